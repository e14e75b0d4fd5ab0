import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from tqdm import tqdm

from nearsight import manifests, recorded
from nearsight.__main__ import main
from nearsight.computing import LARGEST, compute, one_thread
from nearsight.files import write_whole
from nearsight.manifests import RecordRefused, address
from nearsight.reproduction import compare, largest_difference, reproduce, verify
from nearsight.scales import Run, Stage, Work, find, runs
from nearsight.studies.miniature import Miniature, train_halves


@dataclass(frozen=True)
class Walk:
    rate: float = 0.1
    steps: int = 6
    seed: int = 0
    pause: float = 0.0
    widths: tuple[int, ...] = (2, 3)


def walk(config: Walk, work: Work = Work()):
    """A random walk that keeps its place and its generator in a checkpoint."""
    generator, place, first = torch.Generator().manual_seed(config.seed), torch.zeros(config.widths), 0
    checkpoint = work.folder / "walk.json" if work.folder else None
    if checkpoint and checkpoint.exists():
        kept = json.loads(checkpoint.read_text())
        first, place = kept["step"], torch.tensor(kept["place"])
        generator.set_state(torch.tensor(kept["state"], dtype=torch.uint8))
    for step in range(first + 1, config.steps + 1):
        place = place + config.rate * torch.randn(config.widths, generator=generator)
        time.sleep(config.pause)
        yield Stage(step, {"place": place, "norm": place.norm()} if step % 2 == 0 else {})
        if checkpoint:
            kept = {"step": step, "place": place.tolist(), "state": generator.get_state().tolist()}
            write_whole(checkpoint, json.dumps(kept).encode())


RUN = Run("walk", walk, Walk())


@pytest.fixture
def root(tmp_path):
    return tmp_path / "book" / "recorded"


def record(run: Run, root: Path):
    assert reproduce(run, root=root) is None
    return recorded.load(run, root)


def results_file(root: Path) -> Path:
    return next((root / RUN.name).glob("results-*.safetensors"))


def start(script: str, root: Path) -> subprocess.Popen:
    """Start a process in which `run` is a slow walk."""
    script = f"from test_recorded import *; run = Run('walk', walk, Walk(steps=40, pause=0.05)); {script}"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", script, root], env=environment, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def stages_of(*stages):
    def computation(config, work=Work()):
        yield from stages
    return computation


def test_a_record_holds_the_bits_that_were_computed(root):
    kept = record(RUN, root).results
    assert kept.steps == [2, 4, 6]
    for old, new in zip(kept.stages, compute(RUN).stages, strict=True):
        assert old.arrays.keys() == new.arrays.keys()
        assert all(torch.equal(old.arrays[name], new.arrays[name]) for name in old.arrays)
    steps, norms = kept.curve("norm")
    assert steps.tolist() == [2, 4, 6] and torch.equal(norms[-1], kept.final["norm"])
    assert torch.equal(norms[-1], kept.final["place"].norm())
    with pytest.raises(KeyError, match="no array 'height' here; there are norm, place"):
        kept.curve("height")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool, torch.uint8])
def test_every_dtype_survives(root, dtype):
    values = {"matrix": torch.arange(6).reshape(2, 3).to(dtype), "scalar": torch.tensor(1, dtype=dtype),
              "view": torch.arange(6).reshape(2, 3).to(dtype).T, "empty": torch.empty(0, 3, dtype=dtype)}
    recorded.store(RUN, compute(replace(RUN, computation=stages_of(Stage(6, values)))), {}, root=root)
    kept = recorded.load(RUN, root).results.final
    assert all(torch.equal(kept[name], values[name]) and kept[name].dtype == dtype for name in values)


def test_the_manifest_says_where_the_record_comes_from(root):
    kept = record(RUN, root).manifest
    assert kept.config == {"rate": 0.1, "steps": 6, "seed": 0, "pause": 0.0, "widths": [2, 3]} and kept.seed == 0
    assert {"test_recorded", "nearsight.scales", "nearsight.reproduction"} < set(kept.sources)
    assert kept.versions["torch"] == torch.__version__ and {"python", "numpy", "scipy"} < set(kept.versions)
    assert kept.machine["device"] == "cpu" and kept.machine["processor"]
    assert kept.command == "make reproduce RUN=walk"
    assert kept.date.startswith("20") and kept.seconds >= 0 and kept.address == address(RUN)
    assert len(kept.commit.rstrip("+")) == 40 or kept.commit == "unknown"
    assert not any(word in (root / "walk" / "manifest.json").read_text() for word in (str(root), str(Path.home())))


def test_the_provenance_table_has_no_empty_cell(root):
    rows = re.findall("<tr><th>(.*?)</th><td>(.*?)</td></tr>", record(RUN, root)._repr_html_())
    assert {"run", "state", "commit", "machine", "wall time", "to recompute"} <= {name for name, _ in rows}
    assert all(content and "<" not in content for _, content in rows)


def test_one_flipped_bit_is_refused(root):
    record(RUN, root)
    draw = random.Random(0)
    for path in [results_file(root), root / "walk" / "manifest.json"]:
        whole = path.read_bytes()
        for _ in range(20):
            changed = bytearray(whole)
            changed[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
            path.write_bytes(changed)
            with pytest.raises(RecordRefused, match="walk: its .*: recompute it with `make reproduce RUN=walk`"):
                recorded.load(RUN, root)
        assert recorded.state(RUN, root) == "corrupt"
        path.write_bytes(whole)
    assert recorded.state(RUN, root) == "fresh"


def test_a_missing_file_is_refused(root):
    record(RUN, root)
    results_file(root).unlink()
    with pytest.raises(RecordRefused, match="results-.* is missing: recompute it with `make reproduce RUN=walk`"):
        recorded.load(RUN, root)
    assert recorded.state(RUN, root) == "corrupt"


def test_a_missing_record_is_refused(root):
    with pytest.raises(RecordRefused, match="walk: no record of this run is stored: recompute it with `make reproduce"):
        recorded.load(RUN, root)
    assert recorded.state(RUN, root) == "missing"


@pytest.mark.parametrize("change", [{"rate": 0.2}, {"seed": 1}, {"steps": 8}, {"widths": (3, 2)}])
def test_a_changed_configuration_is_refused_by_name(root, change):
    record(RUN, root)
    (field, value), = change.items()
    value = list(value) if isinstance(value, tuple) else value
    other = replace(RUN, config=replace(RUN.config, **change))
    for refuse in (recorded.load, verify):
        with pytest.raises(RecordRefused, match="with another configuration") as refused:
            refuse(other, root=root)
        assert f"{field} was " in str(refused.value) and f", is {value!r})" in str(refused.value)
    assert recorded.state(other, root) == "stale"


def test_another_function_with_the_same_configuration_is_refused(root):
    record(RUN, root)
    with pytest.raises(RecordRefused, match="computation was 'test_recorded.walk', is 'test_recorded.record'"):
        recorded.load(replace(RUN, computation=record), root)


def test_a_changed_module_makes_a_record_stale_and_verify_renews_it(root, monkeypatch):
    before = record(RUN, root).manifest
    changed = {name: "0" * 64 if name == "nearsight.scales" else digest for name, digest in before.sources.items()}
    for module in ("recorded", "reproduction"):
        monkeypatch.setattr(f"nearsight.{module}.source_digests", lambda computation: changed)
    stale = recorded.load(RUN, root)
    assert stale.changed == ("nearsight.scales",)
    assert "stale: nearsight.scales changed since it was recorded; `make verify RUN=walk`" in stale.state
    assert verify(RUN, root=root).worst is None
    renewed = recorded.load(RUN, root)
    assert renewed.changed == () and renewed.manifest.digest != before.digest
    assert renewed.manifest.history[0]["digest"] == before.digest
    assert renewed.manifest.history[0]["sources"] == before.sources
    assert renewed.manifest.history[0]["because"] == "4 arrays up to step 4 agree: equal bits on this machine"
    assert replace(renewed.manifest, sources=before.sources, digest=before.digest, history=[]) == before


def drifting(rate):
    def compute_again(config, work=Work()):
        for step, arrays in walk(config, work):
            yield Stage(step, {name: array * (1 + rate * (step >= 4)) for name, array in arrays.items()})
    compute_again.__module__, compute_again.__qualname__ = walk.__module__, walk.__qualname__
    return compute_again


def test_verify_says_at_which_step_and_by_how_much_and_writes_nothing(root):
    record(RUN, root)
    kept = (root / "walk" / "manifest.json").read_bytes()
    comparison = verify(replace(RUN, computation=drifting(0.5)), root=root)
    assert comparison.worst.step == 4 and comparison.worst.largest == pytest.approx(0.5)
    sentence = r"step 4: (norm|place) differs by 0\.5 of its largest entry; expected equal bits on this machine"
    assert re.fullmatch(sentence, str(comparison))
    assert (root / "walk" / "manifest.json").read_bytes() == kept


def test_verify_computes_no_more_stages_than_it_is_told(root):
    record(RUN, root)
    assert verify(replace(RUN, computation=drifting(0.5)), stages=1, root=root).worst is None


@pytest.mark.parametrize("drift, agrees", [(5e-4, True), (5e-3, False)])
def test_another_machine_is_held_to_the_stated_tolerance(root, monkeypatch, drift, agrees):
    record(RUN, root)
    monkeypatch.setattr("nearsight.reproduction.machine", lambda device: {"device": device, "processor": "another"})
    comparison = verify(replace(RUN, computation=drifting(drift)), stages=3, root=root)
    assert (comparison.worst is None) is agrees and comparison.tolerance == RUN.tolerance
    assert "on another machine" in str(comparison)


def test_a_stage_or_array_on_one_side_alone_differs(root):
    kept = record(RUN, root)
    second = Stage(4, {"norm": kept.results.stages[1].arrays["norm"]})
    again = replace(kept.results, stages=(Stage(1, {"empty": torch.empty(0)}), second))
    differences = {(each.step, each.name): each.largest for each in compare(RUN, kept, again).differences}
    absent = float("inf")
    assert differences == {(1, "empty"): absent, (2, "norm"): absent, (2, "place"): absent, (4, "norm"): 0.0,
                           (4, "place"): absent}


@pytest.mark.parametrize("recorded_array, again, expected", [
    (torch.tensor([1.0, -4.0]), torch.tensor([1.0, -4.0]), 0.0),
    (torch.tensor([1.0, -4.0]), torch.tensor([2.0, -4.0]), 0.25),
    (torch.tensor([1, 2]), torch.tensor([1, 4]), 1.0),
    (torch.tensor([True, False]), torch.tensor([True, True]), 1.0),
    (torch.tensor([float("nan"), 1.0]), torch.tensor([float("nan"), 1.0]), 0.0),
    (torch.tensor([float("nan"), 1.0]), torch.tensor([0.0, 1.0]), float("inf")),
    (torch.tensor([float("inf"), 1.0]), torch.tensor([float("-inf"), 1.0]), float("inf")),
    (torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0]), float("inf")),
    (torch.zeros(2), torch.zeros(2, 1), float("inf")),
    (torch.zeros(2), torch.zeros(2).double(), float("inf")),
    (torch.zeros(0), torch.zeros(0), 0.0),
])
def test_differences_are_shares_of_the_largest_recorded_entry(recorded_array, again, expected):
    assert largest_difference(recorded_array, again) == pytest.approx(expected)


def test_zeros_of_other_sign_are_no_equal_bits():
    assert 0 < largest_difference(torch.tensor([0.0, 1.0]), torch.tensor([-0.0, 1.0])) < 1e-300


def test_reproducing_a_fresh_record_leaves_it_as_it_is(root):
    record(RUN, root)
    before = {path: path.read_bytes() for path in (root / "walk").iterdir()}
    assert reproduce(RUN, root=root).worst is None
    assert {path: path.read_bytes() for path in (root / "walk").iterdir()} == before


@pytest.mark.parametrize("damage", ["flip", "remove", "configuration"])
def test_reproducing_replaces_what_is_refused_and_leaves_nothing_else(root, damage):
    run = replace(RUN, config=replace(RUN.config, rate=0.2)) if damage == "configuration" else RUN
    record(RUN, root)
    if damage == "flip":
        results_file(root).write_bytes(results_file(root).read_bytes()[:-1] + b"?")
    if damage == "remove":
        results_file(root).unlink()
    reproduce(run, root=root)
    assert recorded.state(run, root) == "fresh"
    assert len(list((root / "walk").iterdir())) == 2
    assert [path.name for path in (root.parents[1] / ".nearsight").iterdir()] in ([], ["walk.lock"])


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(root, monkeypatch):
    script = "reproduce(run, root=Path(sys.argv[1]))"

    def stages() -> int:
        return len(list(root.parents[1].glob(".nearsight/walk/*/stage-*")))

    while stages() < 5:
        before, process = stages(), start(script, root)
        while stages() < before + 3:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    run = Run("walk", walk, Walk(steps=40, pause=0.05))
    assert recorded.state(run, root) == "missing"
    naps = []
    monkeypatch.setattr(time, "sleep", naps.append)
    reproduce(run, root=root)
    assert len(naps) <= 40 - 2 * 4
    kept = recorded.load(run, root)
    unbroken = compute(run)
    assert kept.results.steps == unbroken.steps == list(range(2, 41, 2))
    assert not [each for each in compare(run, kept, unbroken).differences if each.largest]


def test_a_killed_training_goes_on_and_ends_with_the_same_bits(root):
    run = Run("walk", train_halves, Miniature(points=32, width=32, steps=600, stages=8, draws=1))
    script = f"run = Run('walk', train_halves, {run.config!r}); reproduce(run, root=Path(sys.argv[1]))"
    process = start(script, root)
    while len(list(root.parents[1].glob(".nearsight/walk/*/stage-*"))) < 4:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert recorded.state(run, root) == "missing"
    reproduce(run, root=root)
    comparison = compare(run, recorded.load(run, root), compute(run))
    assert comparison.worst is None and len(comparison.differences) == 3 * 8


def test_two_processes_at_once_end_with_one_whole_record(root):
    script = "print('ready', flush=True); input(); print(reproduce(run, root=Path(sys.argv[1])))"
    processes = [start(script, root) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n", "ready\n"]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = sorted(process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert said == ["None\n", "walk: another process is working on this run; waiting for it.\nNone\n"]
    assert recorded.state(Run("walk", walk, Walk(steps=40, pause=0.05)), root) == "fresh"
    assert len(list((root / "walk").iterdir())) == 2


def test_the_lock_of_a_dead_process_does_not_block(root):
    script = ("from nearsight.reproduction import only_writer; lock = only_writer(RUN, Path(sys.argv[1])); "
              "lock.__enter__(); print('locked', flush=True); time.sleep(60)")
    process = start(script, root)
    assert process.stdout.readline() == "locked\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (root.parents[1] / ".nearsight" / "walk.lock").exists()
    record(RUN, root)


def test_a_writer_that_dies_between_two_files_leaves_the_old_record_whole(root, monkeypatch):
    record(RUN, root)
    other = compute(replace(RUN, config=replace(RUN.config, seed=1)))
    monkeypatch.setattr(manifests.Manifest, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        recorded.store(RUN, other, {}, root=root)
    assert recorded.state(RUN, root) == "fresh"


def test_a_write_that_fails_leaves_no_trace(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_bytes() == b"old"


def test_sources_that_change_during_a_run_make_its_record_stale(root, monkeypatch):
    before = recorded.source_digests(walk) | {"test_recorded": "old"}
    monkeypatch.setattr("nearsight.reproduction.source_digests", lambda computation: before)
    reproduce(RUN, root=root)
    assert recorded.load(RUN, root).changed == ("test_recorded",)


@pytest.mark.parametrize("stages, sentence", [
    ([Stage(2, {"x": torch.zeros(1)})] * 2, "yielded step 2 after step 2; expected rising steps"),
    ([Stage(2, {"x": torch.zeros(1)})], "ended at step 2; expected its last arrays at config.steps = 6"),
    ([], "ended at step 0; expected its last arrays at config.steps = 6"),
    ([Stage(6, {"x": 1.0})], "yielded a float as 'x'; expected a tensor"),
    ([Stage(6, {"x": torch.zeros(LARGEST)})], "has yielded 12,000,000 bytes up to step 6; expected at most 3,000,000"),
])
def test_a_computation_that_breaks_the_rules_is_stopped(stages, sentence):
    with pytest.raises(RuntimeError, match=sentence):
        compute(replace(RUN, computation=stages_of(*stages)))


def test_arrays_that_change_in_place_are_recorded_as_they_were():
    def counting(config, work=Work()):
        count = torch.zeros(1)
        for step in range(1, 7):
            count += 1
            yield Stage(step, {"count": count})
    assert compute(replace(RUN, computation=counting)).curve("count")[1].flatten().tolist() == [1, 2, 3, 4, 5, 6]


def test_a_run_uses_one_thread_and_gives_the_others_back():
    seen = []

    def asking(config, work=Work()):
        seen.append(torch.get_num_threads())
        yield Stage(6, {"x": torch.zeros(1)})
    before = torch.get_num_threads()
    compute(replace(RUN, computation=asking))
    with pytest.raises(ZeroDivisionError), one_thread():
        1 / 0
    assert seen == [1] and torch.get_num_threads() == before


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream, shown", [(Terminal(), True), (io.StringIO(), False)])
def test_a_terminal_shows_rate_and_remaining_time_and_a_page_does_not(monkeypatch, stream, shown):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("nearsight.computing.tqdm", lambda **options: tqdm(**options | {"delay": 0, "mininterval": 0}))
    compute(replace(RUN, config=Walk(pause=0.01)))
    assert bool(re.search(r"walk: +50%.* 3/6 \[.*<.*steps/s\]", stream.getvalue())) is shown
    assert shown or stream.getvalue() == ""


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, torch.zeros(1)])
def test_a_configuration_that_cannot_be_written_down_is_refused(value):
    with pytest.raises(TypeError, match="the configuration of walk cannot be written down"):
        address(replace(RUN, config=Walk(rate=value)))


def test_equal_configurations_have_one_address_and_others_another():
    assert address(RUN) == address(Run("other name", walk, Walk(rate=0.1)))
    others = [Walk(), Walk(rate=0.2), Walk(seed=1), Walk(widths=(2,))]
    assert len({address(replace(RUN, config=config)) for config in others}) == 4


@pytest.mark.parametrize("run", runs(), ids=lambda run: run.name)
def test_no_record_of_the_book_is_stale_or_corrupt(run):
    assert recorded.state(run) in ("fresh", "missing"), "make verify"


def test_every_record_of_the_book_belongs_to_a_run_and_is_small():
    for folder in recorded.ROOT.iterdir():
        assert find(folder.name)
        assert sum(path.stat().st_size for path in folder.iterdir()) < LARGEST + 100_000


def test_the_command_line_answers_an_unknown_run_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        main(["reproduce", "nothing"])
    assert "there is no run 'nothing'; expected one of" in capsys.readouterr().err


def test_the_command_line_lists_every_run(capsys):
    assert main(["runs"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "scale", "date", "device", "wall", "time", "state"]
    assert [line.split()[0] for line in lines] == [run.name for run in runs()]
    assert {line.split()[-1] for line in lines} <= {"fresh", "stale", "corrupt", "missing"}
