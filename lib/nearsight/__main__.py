"""The command line: which runs are recorded, compute one again, verify one after a change of the library."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext

from nearsight.manifests import RecordRefused
from nearsight.recorded import load, state
from nearsight.reproduction import Comparison, reproduce, verify
from nearsight.scales import Run, find, runs
from nearsight.sweeps import processes


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m nearsight", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("runs", help="list all runs: scale, date, device, wall time, state")
    command.set_defaults(do=list_runs, run=[])
    command = commands.add_parser("reproduce", help="compute a run from nothing and show it beside its record")
    command.add_argument("run", nargs=1)
    command.add_argument("--workers", type=int, default=1, help="processes for the independent parts of a run")
    command.add_argument("--device", default="cpu", help="the torch device, as in cuda")
    command.set_defaults(do=reproduce_run)
    command = commands.add_parser("verify", help="compute the opening stages of runs again and renew their manifests")
    command.add_argument("run", nargs="*", help="default: all runs that are stale")
    command.add_argument("--stages", type=int, default=2, help="how many stages to compute (default: %(default)s)")
    command.add_argument("--device", default="cpu", help="the torch device, as in cuda")
    command.set_defaults(do=verify_runs)
    options = parser.parse_args(arguments)
    try:
        selected = [find(name) for name in options.run]
    except ValueError as error:
        parser.error(str(error))
    return options.do(selected, options)


def list_runs(selected: list[Run], options: argparse.Namespace) -> int:
    """Print a table of all runs."""
    print(f"{'run':34}{'scale':8}{'date':12}{'device':8}{'wall time':>12}  state")
    for run in runs():
        try:
            kept = load(run).manifest
            about = f"{kept.date[:10]:12}{kept.machine['device']:8}{kept.seconds:>10,.1f} s"
        except RecordRefused:
            about = f"{'-':12}{'-':8}{'-':>12}"
        print(f"{run.name:34}{run.scale:8}{about}  {state(run)}")
    return 0


def reproduce_run(selected: list[Run], options: argparse.Namespace) -> int:
    """Compute a run from nothing; fail where a fresh record of this machine is not met to the bit."""
    run, = selected
    before = state(run)
    with processes(options.workers) if options.workers > 1 else nullcontext() as executor:
        comparison = reproduce(run, executor, options.device)
    if comparison:
        print_side_by_side(comparison)
    if before != "fresh":
        print(f"{run.name} was {before} and is now recorded.")
        return 0
    return 1 if comparison.worst and not comparison.tolerance else 0


def verify_runs(selected: list[Run], options: argparse.Namespace) -> int:
    """Verify the named runs, or all stale ones; fail where one does not agree."""
    failed = 0
    for run in selected or [run for run in runs() if state(run) == "stale"]:
        before = state(run)
        try:
            comparison = verify(run, options.stages, options.device)
        except RecordRefused as refused:
            print(refused)
            failed += 1
            continue
        outcome = ("NOT renewed: today's sources compute something else" if comparison.worst
                   else "renewed" if before == "stale" else "was fresh")
        print(f"{run.name}: {comparison}: {outcome}.")
        failed += comparison.worst is not None
    return 1 if failed else 0


def print_side_by_side(comparison: Comparison) -> None:
    """Print the last value (or the mean) of each array, as recorded and as computed again, and the verdict."""
    last = {each.name: each for each in comparison.differences}
    print(f"{'array':28}{'step':>8}{'recorded':>14}{'again':>14}  largest difference")
    for name, each in last.items():
        old, new = (f"{array.double().mean():.6g}" if array.numel() else "-" for array in (each.recorded, each.again))
        print(f"{name:28}{each.step:>8}{old:>14}{new:>14}  {each.largest:.3g}")
    print(comparison)


if __name__ == "__main__":
    sys.exit(main())
