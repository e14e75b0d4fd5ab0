"""The audit from the command line, for people with arrays or folders of images."""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from dataclasses import replace
from pathlib import Path

from nearsight.auditing.auditor import audit
from nearsight.auditing.folders import from_diffusers
from nearsight.auditing.ranges import SETS
from nearsight.auditing.refusal import AuditRefused
from nearsight.auditing.report import AuditReport, refused
from nearsight.auditing.shelves import read_groups, read_images
from nearsight.auditing.verdicts import CODES
from nearsight.files import write_whole


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of `nearsight audit`."""
    command.add_argument("--train", type=Path, required=True, help="training images: .npy, .npz or a folder of png and jpg")
    command.add_argument("--holdout", type=Path, help="held-out images; without them only copies are counted")
    command.add_argument("--samples", type=Path, help="samples of the model")
    command.add_argument("--diffusers", type=Path, metavar="FOLDER", help="the model, as saved by Hugging Face diffusers")
    command.add_argument("--groups", type=Path, metavar="JSON", help='{"train": [...], "holdout": [...]}: one id an image')
    command.add_argument("--size", type=int, help="scale and cut the pictures of folders to squares of so many pixels")
    command.add_argument("--json", metavar="FILE", help="write the report as JSON; - prints it, and nothing else")
    command.add_argument("--html", type=Path, metavar="FILE", help="write the report as a page")
    command.add_argument("--title")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--alpha", type=float, default=0.05)
    for name in SETS:
        command.add_argument(f"--{name}-range", type=_range, metavar="LO,HI",
                             help=f"the values of black and white in {name}")
    command.add_argument("--fail-on", choices=CODES[1:],
                         help="exit with 1 where the verdict is at least that bad; not reliable or without held-out images "
                              "is inconclusive")


def audit_files(options: argparse.Namespace) -> int:
    """Audit and report; 0: audited, 1: as bad as --fail-on says, 2: refused, with one sentence on stderr."""
    try:
        report = _audited(options)
        written = {options.html: report.to_html()} if options.html else {}
        if options.json and options.json != "-":
            written[Path(options.json)] = report.to_json()
        for path, text in written.items():
            _write(path, text)
    except (AuditRefused, ValueError, TypeError, ImportError) as error:
        return _refuse(error, options)
    print(report.to_json() if options.json == "-" else report)
    return int(options.fail_on is not None and _badness(report) >= CODES.index(options.fail_on))


def _audited(options: argparse.Namespace) -> AuditReport:
    files = {name: getattr(options, name) for name in SETS}
    sets = {name: read_images(path, options.size) for name, path in files.items() if path is not None}
    ranges = {name: given for name in SETS if (given := getattr(options, f"{name}_range")) is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters stands in the report
        denoiser = from_diffusers(options.diffusers) if options.diffusers else None
        groups = read_groups(options.groups) if options.groups else None
        report = audit(sets["train"], sets.get("holdout"), samples=sets.get("samples"), denoiser=denoiser, groups=groups,
                       ranges=ranges or None, title=options.title, seed=options.seed, alpha=options.alpha)
    return replace(report, environment=report.environment | {"command": shlex.join(["nearsight", *sys.argv[1:]])})


def _badness(report: AuditReport) -> int:
    """The place of the verdict among the codes; what cannot be relied on, or was not tested, has no evidence either."""
    code = report.verdict["code"]
    place = CODES.index(code) if code in CODES else 0
    return max(place, CODES.index("inconclusive")) if not report.verdict["reliable"] or code == "no_null" else place


def _refuse(error: Exception, options: argparse.Namespace) -> int:
    refusal = error if isinstance(error, AuditRefused) else AuditRefused("bad_setting", str(error))
    print(f"nearsight: {' '.join(str(refusal).split())}", file=sys.stderr)
    if options.json == "-":
        print(refused(refusal))
    elif options.json:
        try:
            _write(Path(options.json), refused(refusal))
        except AuditRefused as unwritten:
            print(f"nearsight: {unwritten}", file=sys.stderr)
    return 2


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise AuditRefused("bad_file", f"{path} cannot be written ({error.strerror}); expected a place where you may "
                           "write: try another folder.") from error


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no range; expected two numbers, such as 0,255") from None
    return low, high
