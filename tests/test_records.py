import json
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path

import pytest
import torch
from children import Child, kill_at
from nearsight import records
from nearsight.__main__ import main
from nearsight.files import write_whole
from nearsight.page import provenance
from nearsight.records import RecordRefused, Run, Stage, Work, compare, compute, reproduce, verify
from nearsight.records import store as stored
from nearsight.records.computing import LARGEST, own_settings
from nearsight.records.digests import meaning
from nearsight.records.manifests import Manifest, config_differences, plain_config, processor_name, seal
from nearsight.studies import find, runs
from nearsight.studies.audit_training import few_images, tuned_network
from nearsight.studies.image_moments import image_samples, image_weights
from nearsight.studies.miniature import Miniature, train_halves
from threadpoolctl import threadpool_info


@dataclass(frozen=True)
class Walk:
    rate: float = 0.1
    steps: int = 6
    seed: int = 0
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
        place = a_step(place, config, generator)
        yield Stage(step, {"place": place, "norm": place.norm()} if step % 2 == 0 else {})
        if checkpoint:
            kept = {"step": step, "place": place.tolist(), "state": generator.get_state().tolist()}
            write_whole(checkpoint, json.dumps(kept).encode())


def a_step(place: torch.Tensor, config: Walk, generator: torch.Generator) -> torch.Tensor:
    return place + config.rate * torch.randn(config.widths, generator=generator)


# What a long training ends with, which is kept and not compared between machines.
AUDITED = {"weight", "samples", "errors", "effects", "p_values", "gap"}
KEPT = {image_samples: {"samples"}, image_weights: {"weight"}, few_images: AUDITED, tuned_network: AUDITED}
RUN = Run("walk", walk, Walk())
LONG = Run("walk", walk, Walk(steps=40))


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A record of the walk, computed once."""
    root = tmp_path_factory.mktemp("walked") / "recorded"
    assert reproduce(RUN, root=root) is None
    return root


@pytest.fixture
def root(tmp_path):
    return tmp_path / "recorded"


@pytest.fixture
def kept(walked, root):
    """The record of the walk, in a folder of this test."""
    records.load(RUN, walked)
    (root / "walk").mkdir(parents=True)
    for path in (walked / "walk").iterdir():
        (root / "walk" / path.name).write_bytes(path.read_bytes())
    return root


def results_file(root: Path) -> Path:
    return next((root / RUN.name).glob("results-*.safetensors"))


def rewrite(root: Path, change) -> None:
    """Change the manifest of the walk and seal it again."""
    path = root / "walk" / "manifest.json"
    content = json.loads(path.read_text())
    del content["seal"]
    change(content)
    path.write_text(json.dumps(content | {"seal": seal(content)}))


def stages_of(*stages):
    def computation(config, work=Work()):
        yield from stages
    return computation


def described(run: Run = RUN) -> dict:
    return {"meaning": meaning(run.computation, run.config), "device": "cpu", "tolerances": {}}


def test_a_record_holds_the_bits_that_were_computed(kept):
    results = records.load(RUN, kept).results
    assert results.steps == [2, 4, 6]
    for old, new in zip(results.stages, compute(RUN).stages, strict=True):
        assert old.arrays.keys() == new.arrays.keys()
        assert all(torch.equal(old.arrays[name], new.arrays[name]) for name in old.arrays)
    steps, norms = results.curve("norm")
    assert steps.tolist() == [2, 4, 6] and torch.equal(norms[-1], results.final["norm"])
    assert torch.equal(norms[-1], results.final["place"].norm())
    with pytest.raises(KeyError, match="no array 'height' here; there are norm, place"):
        results.curve("height")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool, torch.uint8])
def test_every_dtype_survives(root, dtype):
    values = {"matrix": torch.arange(6).reshape(2, 3).to(dtype), "scalar": torch.tensor(1, dtype=dtype),
              "view": torch.arange(6).reshape(2, 3).to(dtype).T, "empty": torch.empty(0, 3, dtype=dtype)}
    stored.store(RUN, compute(replace(RUN, computation=stages_of(Stage(6, values)))), described(), root)
    final = records.load(RUN, root).results.final
    assert all(torch.equal(final[name], values[name]) and final[name].dtype == dtype for name in values)


def test_the_manifest_says_where_the_record_comes_from(kept):
    manifest = records.load(RUN, kept).manifest
    assert manifest.config == {"rate": 0.1, "steps": 6, "seed": 0, "widths": [2, 3]} and manifest.seed == 0
    assert {"walk", "a_step", "Walk", "write_whole"} < set(manifest.definitions) and len(manifest.digest) == 64
    assert manifest.versions["torch"] == torch.__version__ and {"python", "numpy", "scipy"} < set(manifest.versions)
    assert manifest.machine["device"] == "cpu" and manifest.machine["processor"] and manifest.threads == 1
    assert manifest.tolerances.keys() == {"place", "norm"} and all(1e-7 < t < 1e-4 for t in manifest.tolerances.values())
    assert manifest.command == "make reproduce RUN=walk"
    assert manifest.date.startswith("20") and manifest.seconds >= 0
    assert len(manifest.commit.rstrip("+")) == 40 or manifest.commit == "unknown"
    assert not any(word in (kept / "walk" / "manifest.json").read_text() for word in (str(kept), str(Path.home())))


def test_the_provenance_table_has_no_empty_cell(kept):
    rows = re.findall("<tr><th>(.*?)</th><td>(.*?)</td></tr>", records.load(RUN, kept)._repr_html_())
    assert {"run", "state", "commit", "machine", "determined to", "wall time", "to recompute"} <= {name for name, _ in rows}
    assert all(content and "<" not in content for _, content in rows)


def test_the_foot_of_a_page_says_how_long_its_runs_take_together(kept):
    record = records.load(RUN, kept)

    def taking(seconds, threads=1):
        return replace(record, manifest=replace(record.manifest, seconds=seconds, threads=threads))

    foot = provenance(taking(7200.0), taking(1800.0, 2))
    assert "2 recorded runs, 3.0 hours of one core" in foot._repr_html_() and foot._repr_html_().count("<tr>") == 3
    assert "1 recorded run, 20 minutes of one core" in provenance(taking(1200.0))._repr_html_()


def test_one_flipped_bit_is_refused(kept):
    draw = random.Random(0)
    for path in [results_file(kept), kept / "walk" / "manifest.json"]:
        whole = path.read_bytes()
        for _ in range(20):
            changed = bytearray(whole)
            changed[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
            path.write_bytes(changed)
            with pytest.raises(RecordRefused, match="walk: its .*: recompute it with `make reproduce RUN=walk`"):
                records.load(RUN, kept)
        assert records.state(RUN, kept) == "corrupt"
        path.write_bytes(whole)
    assert records.state(RUN, kept) == "fresh"


def test_a_missing_file_is_refused(kept):
    results_file(kept).unlink()
    with pytest.raises(RecordRefused, match="results-.* is missing: recompute it with `make reproduce RUN=walk`"):
        records.load(RUN, kept)
    assert records.state(RUN, kept) == "corrupt"


def test_a_missing_record_is_refused(root):
    with pytest.raises(RecordRefused, match="walk: no record of this run is stored: recompute it with `make reproduce"):
        records.load(RUN, root)
    assert records.state(RUN, root) == "missing"


@pytest.mark.parametrize("change", [{"rate": 0.2}, {"seed": 1}, {"steps": 8}, {"widths": (3, 2)}])
def test_a_changed_configuration_is_refused_by_name(kept, change):
    (field, value), = change.items()
    value = list(value) if isinstance(value, tuple) else value
    other = replace(RUN, config=replace(RUN.config, **change))
    for refuse in (records.load, verify):
        with pytest.raises(RecordRefused, match="with another configuration") as refused:
            refuse(other, root=kept)
        assert f"{field} was " in str(refused.value) and f", is {value!r})" in str(refused.value)
    assert records.state(other, kept) == "stale"


def test_a_new_field_with_its_default_is_no_other_configuration(kept):
    grown = make_dataclass("Walk", [("drift", float, 0.0)], bases=(Walk,), frozen=True)
    manifest = records.load(RUN, kept).manifest
    assert config_differences(manifest.config, replace(RUN, config=grown())) == ""
    assert config_differences(manifest.config, replace(RUN, config=grown(drift=1.0))) == "drift was None, is 1.0"
    assert "rate" in config_differences({**manifest.config, "rate": 0.3}, replace(RUN, config=grown()))


@dataclass(frozen=True)
class LongerWalk(Walk):
    drift: float = 0.0


def test_a_record_grows_with_its_configuration_by_being_verified(kept):
    grown = replace(RUN, config=LongerWalk())
    record = records.load(grown, kept)
    assert record.changed == ("LongerWalk",) and "drift" not in record.manifest.config
    assert verify(grown, root=kept).worst is None
    assert records.load(grown, kept).manifest.config["drift"] == 0.0 and records.state(grown, kept) == "fresh"


def test_a_record_of_an_older_schema_is_read_and_grows_by_being_verified(kept):
    before = records.load(RUN, kept).manifest

    def older(content):
        for name in ("schema", "tolerances", "threads", "definitions", "digest"):
            del content[name]
        content["sources"] = {"some.module": "0" * 64}
    rewrite(kept, older)
    assert records.state(RUN, kept) == "stale" and records.load(RUN, kept).manifest.tolerances == {}
    assert verify(RUN, root=kept).worst is None
    after = records.load(RUN, kept).manifest
    assert (after.digest, after.definitions, after.threads) == (before.digest, before.definitions, 1)
    assert after.tolerances == pytest.approx(before.tolerances) and records.state(RUN, kept) == "fresh"


def test_a_later_schema_and_an_unknown_field_are_refused(kept):
    rewrite(kept, lambda content: content.update(colour="red"))
    with pytest.raises(RecordRefused, match="no longer a manifest"):
        records.load(RUN, kept)
    rewrite(kept, lambda content: content.update(schema=Manifest.SCHEMA + 1))
    with pytest.raises(RecordRefused, match=f"has schema {Manifest.SCHEMA + 1}, and this library knows {Manifest.SCHEMA}"):
        records.load(RUN, kept)


def strolling(config: Walk, work: Work = Work()):
    yield from walk(config, work)


def test_a_renamed_study_is_verified_under_its_new_name(kept):
    renamed = Run("stroll", strolling, Walk())
    assert records.state(renamed, kept) == "missing"
    assert verify(renamed, formerly="walk", root=kept).worst is None
    assert records.state(renamed, kept) == "fresh" and not (kept / "walk").exists()
    manifest = records.load(renamed, kept).manifest
    assert (manifest.run, manifest.computation, manifest.command) == ("stroll", "strolling", "make reproduce RUN=stroll")


def test_a_changed_definition_makes_a_record_stale_and_verify_renews_it(kept):
    before = records.load(RUN, kept).manifest
    rewrite(kept, lambda content: content.update(digest="0" * 64, definitions=content["definitions"] | {"a_step": "0" * 16}))
    stale = records.load(RUN, kept)
    assert stale.changed == ("a_step",)
    assert "stale: a_step changed since it was recorded; `make verify RUN=walk`" in stale.state
    assert verify(RUN, root=kept).worst is None
    renewed = records.load(RUN, kept)
    assert renewed.changed == () and renewed.manifest.digest == before.digest
    former = renewed.manifest.history[0]
    assert former["digest"] == "0" * 64 and former["commit"] == before.commit
    assert former["because"] == "4 arrays up to step 4 agree: equal bits on this machine"
    assert replace(renewed.manifest, history=[]) == before


def drifting(rate):
    def compute_again(config, work=Work()):
        for step, arrays in walk(config, work):
            yield Stage(step, {name: array * (1 + rate * (step >= 4)) for name, array in arrays.items()})
    return compute_again


def test_verify_says_at_which_step_and_by_how_much_and_writes_nothing(kept):
    content = (kept / "walk" / "manifest.json").read_bytes()
    comparison = verify(replace(RUN, computation=drifting(0.5)), root=kept)
    assert comparison.worst.step == 4 and comparison.worst.largest == pytest.approx(0.5)
    assert re.fullmatch(r"step 4: (norm|place) differs by 0\.5 of its largest entry; expected equal bits", str(comparison))
    assert (kept / "walk" / "manifest.json").read_bytes() == content


@dataclass(frozen=True)
class StandingWalk(Walk):
    standing = (2, 6)


def test_verify_computes_the_stages_that_stand_for_a_run(root):
    run = replace(RUN, config=StandingWalk())
    reproduce(run, root=root)
    assert [each.step for each in verify(run, root=root).differences] == [2, 2, 6, 6]
    assert {each.step for each in verify(replace(run, computation=drifting(0.5)), root=root).differences} == {2, 6}
    assert verify(replace(run, computation=drifting(0.5)), root=root).worst.step == 6


def asked(config: Walk, work: Work = Work()):
    yield from records.stages(squared, range(config.steps), work)


def squared(index: int) -> dict[str, torch.Tensor]:
    return {"square": torch.tensor(float(index**2)), "process": torch.tensor(float(os.getpid()))}


def test_independent_stages_are_computed_alone_and_by_several_processes():
    run = Run("asked", asked, StandingWalk())
    alone = compute(run, run.standing)
    assert alone.steps == [2, 6] and [stage.arrays["square"].item() for stage in alone.stages] == [1, 25]
    with records.processes(2) as executor:
        elsewhere = compute(run, run.standing, executor=executor)
    assert elsewhere.curve("square")[1].tolist() == [1, 25]
    assert not set(elsewhere.curve("process")[1].tolist()) & {float(os.getpid())}


@pytest.mark.parametrize("drift, agrees", [(0.5, True), (20.0, False)])
def test_another_machine_is_held_to_the_measured_tolerance(kept, monkeypatch, drift, agrees):
    monkeypatch.setattr("nearsight.records.reproduction.machine",
                        lambda device: {"device": device, "processor": "another", "capability": "none"})
    tolerance = records.load(RUN, kept).manifest.tolerances["place"]
    comparison = verify(replace(RUN, computation=drifting(drift * tolerance)), root=kept)
    assert (comparison.worst is None) is agrees
    assert ("within its measured tolerance" if agrees else f"expected at most {tolerance:.2g}") in str(comparison)
    assert comparison.computed_on == "another, none"


def test_a_stage_or_array_on_one_side_alone_differs(kept):
    record = records.load(RUN, kept)
    second = Stage(4, {"norm": record.results.stages[1].arrays["norm"]})
    again = replace(record.results, stages=(Stage(1, {"empty": torch.empty(0)}), second))
    differences = {(each.step, each.name): each.largest for each in compare(record, again).differences}
    assert differences == {(1, "empty"): float("inf"), (4, "norm"): 0.0, (4, "place"): float("inf")}


def test_what_no_standing_stage_has_is_held_to_its_shape_alone_on_another_machine(kept):
    rewrite(kept, lambda content: content["tolerances"].pop("norm"))
    record = records.load(RUN, kept)
    *early, (step, arrays) = record.results.stages

    def with_norm(norm):
        return replace(record.results, stages=(*early, Stage(step, arrays | {"norm": norm})))

    doubled = with_norm(2 * arrays["norm"])
    assert "norm differs by 1 of its largest entry; expected equal bits" in str(compare(record, doubled, tolerances={}))
    assert compare(record, doubled).worst is None
    assert str(compare(record, doubled)).endswith("each within its measured tolerance, where it has one: 3 are kept without")
    assert "norm differs by inf" in str(compare(record, with_norm(torch.ones(2))))


def test_reproducing_a_fresh_record_leaves_it_as_it_is(kept):
    before = {path: path.read_bytes() for path in (kept / "walk").iterdir()}
    assert reproduce(RUN, root=kept).worst is None
    assert {path: path.read_bytes() for path in (kept / "walk").iterdir()} == before


@pytest.mark.parametrize("damage", ["flip", "remove", "configuration"])
def test_reproducing_replaces_what_is_refused_and_leaves_nothing_else(kept, damage):
    run = replace(RUN, config=replace(RUN.config, rate=0.2)) if damage == "configuration" else RUN
    if damage == "flip":
        results_file(kept).write_bytes(results_file(kept).read_bytes()[:-1] + b"?")
    if damage == "remove":
        results_file(kept).unlink()
    reproduce(run, root=kept)
    assert records.state(run, kept) == "fresh"
    assert len(list((kept / "walk").iterdir())) == 2
    assert [path.name for path in (kept.parent / ".nearsight").iterdir()] in ([], ["walk.lock"])


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(root, monkeypatch):
    for step in (3, 9, 5):  # counted from where each process goes on
        kill_at("test_records.a_step", step, reproduce, LONG, None, "cpu", root)
    assert records.state(LONG, root) == "missing"
    done = len(list(root.parent.glob(".nearsight/walk/*/stage-*")))
    assert done == (2 + 8 + 4) // 2
    taken, real = [], a_step
    monkeypatch.setattr("test_records.a_step", lambda *arguments: taken.append(1) or real(*arguments))
    reproduce(LONG, root=root)
    assert len(taken) == 40 - (2 + 8 + 4)
    record, unbroken = records.load(LONG, root), compute(LONG)
    assert record.results.steps == unbroken.steps == list(range(2, 41, 2))
    assert not [each for each in compare(record, unbroken).differences if each.largest]


def test_a_killed_training_goes_on_and_ends_with_the_same_bits(root):
    run = Run("walk", train_halves, Miniature(points=32, width=32, steps=300, stages=8, draws=1))
    kill_at("nearsight.records.computing._store", 5, reproduce, run, None, "cpu", root)
    assert records.state(run, root) == "missing"
    assert len(list(root.parent.glob(".nearsight/walk/*/stage-*"))) == 4
    reproduce(run, root=root)
    comparison = compare(records.load(run, root), compute(run), tolerances={})
    assert comparison.worst is None and len(comparison.differences) == 3 * 8


def test_two_processes_at_once_end_with_one_whole_record(root):
    first = Child(compute_under_the_lock, LONG, root, at="test_records.a_step", count=20)
    first.wait()
    script = "from test_records import *; print(reproduce(LONG, root=Path(sys.argv[1])))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    with subprocess.Popen([sys.executable, "-c", script, root], env=environment, stdout=subprocess.PIPE,
                          text=True) as second:
        said = second.stdout.readline()
        assert said == "walk: another process is working on this run; waiting for it.\n"
        first.go_on()
        assert second.stdout.read() == "None\n"
    assert second.returncode == 0 and records.state(LONG, root) == "fresh"
    assert len(list((root / "walk").iterdir())) == 2


def compute_under_the_lock(run: Run, root: Path) -> None:
    """What `reproduce` does, without other kernels, for which a child of a test may start no process."""
    from nearsight.records.reproduction import only_writer

    with only_writer(run, root):
        stored.store(run, compute(run), described(run), root)


def test_the_lock_of_a_dead_process_does_not_block(root):
    kill_at("test_records.a_step", 1, compute_under_the_lock, RUN, root)
    assert (root.parent / ".nearsight" / "walk.lock").exists()
    assert reproduce(RUN, root=root) is None


def test_a_writer_that_dies_between_two_files_leaves_the_old_record_whole(kept, monkeypatch):
    other = compute(replace(RUN, config=replace(RUN.config, seed=1)))
    monkeypatch.setattr(Manifest, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        stored.store(RUN, other, described(), kept)
    assert records.state(RUN, kept) == "fresh"


def test_a_write_that_fails_leaves_no_trace(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_bytes() == b"old"


def test_definitions_that_change_during_a_run_make_its_record_stale(root, monkeypatch):
    before = meaning(walk, Walk())
    old = replace(before, digest="0" * 64, definitions=before.definitions | {"a_step": "old"})
    monkeypatch.setattr("nearsight.records.reproduction.meaning", lambda *_: old)
    reproduce(RUN, root=root)
    assert records.load(RUN, root).changed == ("a_step",)


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


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_uses_its_threads_and_gives_the_others_back(threads):
    seen = []

    def asking(config, work=Work()):
        seen.append(torch.get_num_threads())
        libraries.append({each["num_threads"] for each in threadpool_info()})
        yield Stage(6, {"x": torch.zeros(1)})
    before, libraries = torch.get_num_threads(), []
    compute(replace(RUN, computation=asking, threads=threads))
    assert all(max(counts) <= threads for counts in libraries)
    with pytest.raises(KeyboardInterrupt), own_settings(1):
        raise KeyboardInterrupt
    assert seen == [threads] and torch.get_num_threads() == before


def test_a_run_does_not_depend_on_what_its_caller_has_set():
    def asking(config, work=Work()):
        precision = torch.backends.cudnn.conv.fp32_precision
        yield Stage(6, {"made": torch.zeros(1), "exact": torch.tensor(precision == "ieee")})
    torch.set_default_dtype(torch.float64)
    try:
        final = compute(replace(RUN, computation=asking)).final
        assert final["made"].dtype == torch.float32 and final["exact"] and torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_number_of_threads_is_in_the_manifest_and_another_one_is_another_machine(kept, root, monkeypatch):
    two = replace(RUN, threads=2)
    assert reproduce(two, root=root / "two") is None
    assert records.load(two, root / "two").manifest.threads == 2
    assert "within its measured tolerance" in str(verify(two, root=kept))
    assert "equal bits" in str(verify(RUN, root=kept))


def test_a_device_that_a_run_does_not_use_is_refused_by_a_sentence(root, capsys):
    sentence = "walk computes on the CPU whatever the device, and 'cuda' was asked for: leave the device out"
    for refuse in (lambda: reproduce(RUN, device="cuda", root=root), lambda: verify(RUN, device="cuda", root=root),
                   lambda: compute(RUN, device="cuda")):
        with pytest.raises(ValueError, match=sentence):
            refuse()
    with pytest.raises(SystemExit):
        main(["reproduce", "delta-16-smoke", "--device", "cuda"])
    assert "delta-16-smoke computes on the CPU whatever the device" in capsys.readouterr().err
    assert find("miniature-smoke").on_device


@pytest.mark.parametrize("listing, name", [
    ("processor\t: 0\nmodel name\t: Some Chip\ncpu family\t: 6\nmodel\t\t: 207\nstepping\t: 2\n\nprocessor\t: 1\n",
     "Some Chip, cpu family 6, model 207, stepping 2"),
    ("processor\t: 0\nCPU implementer\t: 0x41\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n",
     "CPU implementer 0x41, CPU part 0xd0c, CPU variant 0x3, CPU revision 1"),
])
def test_processors_are_told_apart_by_what_they_say(tmp_path, listing, name):
    (tmp_path / "cpuinfo").write_text(listing)
    assert processor_name(tmp_path / "cpuinfo").endswith(name)
    other = listing.replace("0xd0c", "0xd40").replace("207", "143")
    (tmp_path / "other").write_text(other)
    assert processor_name(tmp_path / "other") != processor_name(tmp_path / "cpuinfo")
    assert processor_name(tmp_path / "nothing")


def test_records_are_kept_where_a_user_can_write(tmp_path, monkeypatch):
    (tmp_path / "clone" / "book").mkdir(parents=True)
    (tmp_path / "clone" / "pyproject.toml").touch()
    assert stored.place(tmp_path / "clone") == tmp_path / "clone" / "book" / "recorded"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    installed = stored.place(tmp_path / "site-packages")
    assert not installed.is_relative_to(tmp_path / "site-packages") and installed.name == "recorded"
    monkeypatch.setenv("NEARSIGHT_RECORDS", str(tmp_path / "mine"))
    assert stored.place(tmp_path / "clone") == tmp_path / "mine"


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, torch.zeros(1)])
def test_a_configuration_that_cannot_be_written_down_is_refused(value):
    with pytest.raises(TypeError, match="the configuration of walk cannot be written down"):
        plain_config(replace(RUN, config=Walk(rate=value)))


@pytest.mark.parametrize("run", runs(), ids=lambda run: run.name)
def test_no_record_of_the_book_is_stale_or_corrupt(run):
    assert records.state(run) in ("fresh", "missing"), "make verify"


@pytest.mark.parametrize("folder", sorted(records.ROOT.iterdir()), ids=lambda folder: folder.name)
def test_every_record_of_the_book_belongs_to_a_run_is_small_and_knows_its_tolerances(folder):
    record = records.load(find(folder.name))
    assert sum(path.stat().st_size for path in folder.iterdir()) < LARGEST + 100_000
    kept = record.results.final.keys() - record.manifest.tolerances.keys()
    assert record.manifest.tolerances.keys() <= record.results.final.keys()
    assert {name.partition("/")[0] for name in kept} <= KEPT.get(find(folder.name).computation, set())
    assert all(0 <= tolerance < 1 for tolerance in record.manifest.tolerances.values())


def test_the_command_line_answers_an_unknown_run_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        main(["reproduce", "nothing-*"])
    assert "there is no run 'nothing-*'; expected one of" in capsys.readouterr().err


def test_the_command_line_lists_every_run(capsys):
    assert main(["runs"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "scale", "date", "device", "wall", "time", "state"]
    assert [line.split()[0] for line in lines] == [run.name for run in runs()]
    assert {line.split()[-1] for line in lines} <= {"fresh", "stale", "corrupt", "missing"}
