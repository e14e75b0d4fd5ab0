"""What the audit refuses, from Python and from the command line: one sentence, a code, exit status 2, no half a report."""

import json
import sys

import numpy as np
import pytest
import torch
from nearsight import AuditRefused, EmpiricalDenoiser, audit
from nearsight.__main__ import main
from PIL import Image

RNG = np.random.default_rng(0)
TRAIN, HOLDOUT, SAMPLES = (RNG.uniform(-1, 1, (30, 6, 6)).astype(np.float32) for _ in range(3))


def changed(values, place, value):
    copy = values.copy()
    copy[place] = value
    return copy


def bytes_of(values):
    return ((values + 1) * 127.5).round().astype(np.uint8)


REFUSALS = {
    "NaN": ("not_finite", dict(train=changed(TRAIN, 7, np.nan)), r"train has NaN .* in 1 images, the first at index 7"),
    "infinite": ("not_finite", dict(samples=changed(SAMPLES, 0, np.inf)), "samples has NaN or infinite entries"),
    "beyond float32": ("not_finite", dict(train=TRAIN.astype(np.float64) * 1e300), "beyond the reach of float32"),
    "other shape": ("shape_mismatch", dict(samples=SAMPLES[:, :5]), r"samples holds images of shape \[5, 6\]"),
    "one axis": ("shape_mismatch", dict(train=TRAIN[:, 0, 0]), "one image a row"),
    "no entries": ("shape_mismatch", dict(holdout=np.zeros((30, 0))), "one image a row"),
    "channels": ("shape_mismatch", dict(train=TRAIN[:, None], holdout=HOLDOUT[:, None], samples=SAMPLES[..., None]),
                 r"samples has its channels last: try samples.transpose\(0, 3, 1, 2\)"),
    "few": ("too_few", dict(holdout=HOLDOUT[:19]), "holdout holds 19 images; expected at least 20"),
    "none": ("too_few", dict(holdout=HOLDOUT[:0]), "holdout holds 0 images"),
    "scale": ("range_mismatch", dict(samples=(SAMPLES + 1) * 127.5), r"pass ranges=\{'samples': \(low, high\)\}"),
    "integers and floats": ("range_mismatch", dict(samples=bytes_of(SAMPLES)), "integers in some sets and floats in others"),
    "wide integers": ("range_mismatch", dict(zip(("train", "holdout", "samples"), (
        bytes_of(each).astype(np.int32) for each in (TRAIN, HOLDOUT, SAMPLES)))), "expected bytes"),
    "constant": ("range_mismatch", dict(train=np.ones_like(TRAIN)), "one value alone"),
    "leaks": ("overlap", dict(holdout=np.concatenate([TRAIN[:4], HOLDOUT[4:]])), "4 of 30 held-out images depict training"),
    "all leaves": ("too_few", dict(train=np.concatenate([TRAIN[:15]] * 2)), "15 images a set are left after duplicates"),
}


def write(folder, **arrays):
    """The arguments of the command line for arrays saved in a folder."""
    arguments = ["audit"]
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
        arguments += [f"--{name}", str(folder / f"{name}.npy")]
    return arguments


def sets(**changes):
    return dict(train=TRAIN, holdout=HOLDOUT, samples=SAMPLES) | changes


def without(document, key):
    return {name: value for name, value in document.items() if name != key}


@pytest.mark.parametrize("case", REFUSALS)
def test_python_is_told_why(case):
    code, changes, words = REFUSALS[case]
    with pytest.raises(AuditRefused, match=words) as refused:
        audit(**sets(**changes))
    assert refused.value.code == code and "expected" in str(refused.value)


@pytest.mark.parametrize("case", REFUSALS)
def test_the_command_line_is_told_why(case, tmp_path, capsys):
    code, changes, _ = REFUSALS[case]
    page = tmp_path / "audit.html"
    status = main([*write(tmp_path, **sets(**changes)), "--json", str(tmp_path / "audit.json"), "--html", str(page)])
    said = capsys.readouterr()
    assert status == 2 and said.out == "" and not page.exists()
    assert said.err.startswith("nearsight: ") and said.err.count("\n") == 1
    document = json.loads((tmp_path / "audit.json").read_text())
    assert document["status"] == "refused" and document["refusal"]["code"] == code and document["verdict"] is None
    assert document["schema"] == "nearsight-audit/1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.json", "holdout.npy", "samples.npy", "train.npy"]


@pytest.mark.parametrize("network, words", [
    (lambda x, sigma: x[:, :3], "expected one clean image for each noisy one"),
    (lambda x, sigma: None, "returned None"),
    (lambda x: x, r"denoiser\(x, sigma\) failed"),
    (lambda x, sigma: torch.nn.functional.conv2d(x, torch.ones(1, 3, 1, 1)), r"denoiser\(x, sigma\) failed on x of shape"),
    (lambda x, sigma: x * float("nan"), "returned NaN or infinite entries"),
    (lambda x, sigma: torch.randn(x.shape, generator=torch.Generator().manual_seed(0)), "does the network predict noise"),
    (lambda x, sigma: 3 + 0 * x, "doing nothing gives training images an error of"),
])
def test_what_is_no_denoiser_is_refused(network, words):
    with pytest.raises(AuditRefused, match=words) as refused:
        audit(TRAIN, HOLDOUT, denoiser=network, sample_count=0)
    assert refused.value.code == "not_a_denoiser"


def test_a_perfect_memorizer_is_a_legal_denoiser():
    report = audit(TRAIN, HOLDOUT, denoiser=EmpiricalDenoiser(torch.from_numpy(TRAIN)), sample_count=20, permutations=99)
    assert report.verdict["code"] in ("recognizes", "copies")


def test_samples_that_a_denoiser_draws_on_another_scale_are_refused():
    points = 3 * torch.from_numpy(TRAIN)

    def spread(x, sigma):
        return EmpiricalDenoiser(points)(x, sigma) if sigma > 1.5 else x

    with pytest.raises(AuditRefused, match="samples drawn from the denoiser spans") as refused:
        audit(TRAIN, HOLDOUT, denoiser=lambda x, sigma: spread(x, sigma) if sigma > 2 else EmpiricalDenoiser(
            torch.from_numpy(TRAIN), 0.6)(x, sigma), sample_count=20)
    assert refused.value.code == "range_mismatch"


def test_nothing_to_audit():
    with pytest.raises(AuditRefused, match="neither samples nor a denoiser") as refused:
        audit(TRAIN, HOLDOUT)
    assert refused.value.code == "nothing_to_audit"
    with pytest.raises(AuditRefused, match="neither samples nor held-out images"):
        audit(TRAIN, None, denoiser=EmpiricalDenoiser(torch.from_numpy(TRAIN)), sample_count=0)


def test_bytes_are_mapped_without_a_denoiser_and_unknown_with_one():
    report = audit(*map(bytes_of, (TRAIN, HOLDOUT)), samples=bytes_of(SAMPLES), permutations=99)
    assert report.warnings[0]["code"] == "converted_uint8"
    with pytest.raises(AuditRefused, match="which only you know") as refused:
        audit(*map(bytes_of, (TRAIN, HOLDOUT)), denoiser=EmpiricalDenoiser(torch.from_numpy(TRAIN)))
    assert refused.value.code == "range_unknown"
    ranges = dict.fromkeys(("train", "holdout"), (0, 255))
    mapped = audit(*map(bytes_of, (TRAIN, HOLDOUT)), samples=SAMPLES, ranges=ranges, permutations=99)
    assert mapped.proximity["preference"] == report.proximity["preference"]


@pytest.mark.parametrize("value", [[1, 2], "train.npy", np.array(["a"] * 30), np.ones((30, 4), dtype=complex),
                                   np.array([object()] * 30), np.ones((30, 4), dtype=bool), None])
def test_what_is_no_numeric_array_is_a_type_error(value):
    with pytest.raises(TypeError, match="train is .*; expected a numeric array of numpy or torch"):
        audit(value, HOLDOUT, samples=SAMPLES)


@pytest.mark.parametrize("groups, kind, words", [
    ({"train": range(30), "holdout": range(30)}, ValueError, "expected 30 labels"),
    ({"train": list(range(30))}, ValueError, "expected one label an image for train and holdout"),
    ({"train": [*range(29), "p7"], "holdout": [*range(50, 79), "p7"]}, AuditRefused, r"1 groups have images .* \(p7\)"),
    ({"train": list(range(29)), "holdout": list(range(50, 80))}, ValueError, "with 29 labels; expected 30"),
    ({"train": [0] * 20 + list(range(10)), "holdout": list(range(50, 80))}, AuditRefused, "10 groups a set are left"),
])
def test_groups_that_cannot_be_dealt_are_refused(groups, kind, words):
    with pytest.raises(kind, match=words) as refused:
        audit(TRAIN, HOLDOUT, samples=SAMPLES, groups=groups)
    assert kind is ValueError or refused.value.code in ("groups_split", "too_few")


@pytest.mark.parametrize("arguments, words", [
    (dict(ranges={"trian": (0, 1)}), "expected one of"), (dict(ranges={"train": (1, 0)}), "expected low < high"),
    (dict(ranges={"train": 3}), r"expected \(low, high\)"), (dict(fprs=0.1), "expected a tuple of false-positive rates"),
    (dict(alpha=0), "expected a number between 0 and 1"), (dict(features=lambda x: x), "expected a floating-point tensor"),
    (dict(permutations=0), "expected a whole number >= 1"), (dict(title=3), "expected a text"),
    (dict(conditions={"train": [0.5] * 30, "holdout": [0.5] * 30}), "expected whole numbers, one label an image"),
])
def test_settings_that_make_no_sense_are_refused(arguments, words):
    with pytest.raises((TypeError, ValueError), match=words):
        audit(TRAIN, HOLDOUT, samples=SAMPLES, **arguments)


class TestFiles:
    """The command line's own bad input."""

    @pytest.fixture
    def arguments(self, tmp_path):
        return write(tmp_path, train=TRAIN, holdout=HOLDOUT)

    def refused(self, capsys, *arguments):
        assert main(list(arguments)) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and "Traceback" not in said.err
        return said.err

    @pytest.mark.parametrize("name, content, words", [
        ("missing.npy", None, "does not exist"), ("cut.npy", b"\x93NUMPY\x01", "cannot be read"),
        ("empty.npy", b"", "cannot be read"), ("text.npz", b"no archive", "cannot be read"),
        ("text.txt", b"hello", "no archive"), ("pickle.pt", b"\x80\x04}", "pickle"),
    ])
    def test_a_file_that_cannot_be_read_is_named(self, arguments, tmp_path, capsys, name, content, words):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        said = self.refused(capsys, *arguments, "--samples", str(path))
        assert name in said and words in said

    def test_pickled_objects_are_not_loaded(self, arguments, tmp_path, capsys):
        np.save(tmp_path / "samples.npy", np.array([{"a": 1}] * 30), allow_pickle=True)
        assert "pickled objects" in self.refused(capsys, *arguments, "--samples", str(tmp_path / "samples.npy"))

    def test_an_archive_of_two_arrays_is_refused(self, arguments, tmp_path, capsys):
        np.savez(tmp_path / "samples.npz", images=SAMPLES, labels=np.arange(30))
        assert "2 arrays (images, labels)" in self.refused(capsys, *arguments, "--samples", str(tmp_path / "samples.npz"))

    def test_a_folder_of_several_sizes_wants_a_size(self, tmp_path, capsys):
        arguments = ["audit"]
        for number, name in enumerate(("train", "holdout", "samples")):
            folder = tmp_path / name
            folder.mkdir()
            pixels = np.random.default_rng(number).integers(0, 255, (24, 12, 8 + number), dtype=np.uint8)
            for place, picture in enumerate(pixels):
                Image.fromarray(picture[:, :8 + place % 2]).save(folder / f"{place:02}.png")
            arguments += [f"--{name}", str(folder)]
        assert "pass --size 64" in self.refused(capsys, "audit", "--train", str(tmp_path / "holdout"), "--samples",
                                                str(tmp_path / "samples"))
        assert main([*arguments, "--size", "8", "--json", "-"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["inputs"]["train"]["shape"] == [24, 1, 8, 8] and document["inputs"]["train"]["dtype"] == "uint8"

    def test_groups_come_as_json(self, arguments, tmp_path, capsys):
        np.save(tmp_path / "samples.npy", SAMPLES)
        arguments = [*arguments, "--samples", str(tmp_path / "samples.npy"), "--groups", str(tmp_path / "groups.json")]
        assert "groups.json cannot be read" in self.refused(capsys, *arguments)
        (tmp_path / "groups.json").write_text("[1, 2]")
        assert "holds a list" in self.refused(capsys, *arguments)
        (tmp_path / "groups.json").write_text(json.dumps({"train": [*range(29), 28], "holdout": list(range(40, 70))}))
        assert main([*arguments, "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["inputs"]["used"]["cards"] == 29

    def test_a_report_that_cannot_be_written_is_refused(self, arguments, tmp_path, capsys):
        np.save(tmp_path / "samples.npy", SAMPLES)
        (tmp_path / "file").write_text("")
        said = self.refused(capsys, *arguments, "--samples", str(tmp_path / "samples.npy"), "--html",
                            str(tmp_path / "file" / "audit.html"))
        assert "cannot be written" in said

    def test_no_model_in_a_folder(self, arguments, tmp_path, capsys):
        assert "config.json cannot be read" in self.refused(capsys, *arguments, "--diffusers", str(tmp_path))


@pytest.mark.parametrize("level, copied, status", [
    (None, True, 0), ("copies", True, 1), ("closer", True, 1), ("inconclusive", True, 1), ("copies", False, 0),
    ("recognizes", False, 0), ("inconclusive", False, 1)])
def test_the_exit_status_is_the_one_that_was_asked_for(tmp_path, capsys, level, copied, status):
    samples = TRAIN + 0.01 * SAMPLES if copied else SAMPLES
    arguments = write(tmp_path, **sets(samples=samples))
    assert main([*arguments, *(["--fail-on", level] if level else [])]) == status
    assert f"Verdict: {'copies' if copied else 'inconclusive'}." in capsys.readouterr().out


def test_the_command_line_writes_both_reports_and_says_how_to_make_them_again(tmp_path, capsys, monkeypatch):
    arguments = [*write(tmp_path, **sets(samples=TRAIN)), "--title", "A <b>title</b>", "--seed", "3", "--alpha", "0.01",
                 "--json", str(tmp_path / "a.json"), "--html", str(tmp_path / "a.html")]
    monkeypatch.setattr(sys, "argv", ["nearsight", *arguments])
    assert main(arguments) == 0 and "Verdict: copies." in capsys.readouterr().out
    document = json.loads((tmp_path / "a.json").read_text())
    assert (document["seed"], document["alpha"], document["title"]) == (3, 0.01, "A <b>title</b>")
    assert document["environment"]["command"].startswith("nearsight audit --train ")
    page = (tmp_path / "a.html").read_text()
    assert "A &lt;b&gt;title&lt;/b&gt;" in page and "<b>" not in page and "nearsight audit --train" in page


def test_json_to_the_terminal_is_all_there_is(tmp_path, capsys):
    assert main([*write(tmp_path, **sets()), "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out, parse_constant=lambda text: pytest.fail(text))
    assert document["verdict"]["code"] == "inconclusive"
    report = audit(**sets())
    assert without(document, "environment") == without(json.loads(report.to_json()), "environment")
    assert main(["audit", "--train", "nowhere.npy", "--json", "-"]) == 2
    assert json.loads(capsys.readouterr().out)["refusal"]["code"] == "bad_file"


def test_swapped_files_do_not_pass_a_gate(tmp_path, capsys):
    samples = HOLDOUT + 0.01 * SAMPLES
    assert main([*write(tmp_path, **sets(samples=samples)), "--fail-on", "inconclusive"]) == 1
    assert "swapped" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments", [["audit"], ["audit", "--train", "t.npy", "--train-range", "0"], []])
def test_options_that_cannot_be_read_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_a_report_goes_to_json_or_html():
    with pytest.raises(ValueError, match=r"expected a name that ends in .json or .html"):
        audit(**sets()).save("audit.pdf")
