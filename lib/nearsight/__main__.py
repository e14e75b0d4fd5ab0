"""The command line: audit a model; which runs are recorded, compute some again, verify some after a change."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from fnmatch import fnmatchcase
from time import perf_counter

from tqdm import tqdm

from nearsight.auditing.command import add_options, audit_files
from nearsight.records import Comparison, RecordRefused, Run, load, processes, reproduce, state, verify
from nearsight.records.side_by_side import progress_line, reproduce_many
from nearsight.studies import find, runs


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="nearsight", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("audit", help="does a model lean on its training images?")
    add_options(command)
    command.set_defaults(do=lambda selected, options: audit_files(options), run=[])
    command = commands.add_parser("runs", help="list all runs: scale, date, device, wall time, state")
    command.set_defaults(do=list_runs, run=[])
    command = commands.add_parser("reproduce", help="compute runs from nothing and show them beside their records")
    command.add_argument("run", nargs="+", help="a name, or a pattern such as 'networks-*-laptop'")
    command.add_argument("--workers", type=int, default=1,
                         help="processes for the independent parts of one run, or for several runs side by side")
    command.add_argument("--scheduler", help="the address of a Dask cluster that computes the runs, as in tcp://host:8786")
    command.add_argument("--device", default="cpu", help="the torch device, as in cuda")
    command.set_defaults(do=reproduce_runs)
    command = commands.add_parser("verify", help="compute some stages of runs again and renew their manifests")
    command.add_argument("run", nargs="*", help="names or patterns (default: all runs that are stale)")
    command.add_argument("--workers", type=int, default=1, help="processes for independent stages")
    command.add_argument("--formerly", help="the name that the run had when it was recorded")
    command.add_argument("--device", default="cpu", help="the torch device, as in cuda")
    command.set_defaults(do=verify_runs)
    options = parser.parse_args(arguments)
    try:
        selected = [run for pattern in options.run for run in matching(pattern)]
        for run in selected:
            run.check_device(getattr(options, "device", "cpu"))
    except ValueError as error:
        parser.error(str(error))
    return options.do(selected, options)


def matching(pattern: str) -> list[Run]:
    """The runs whose names match a pattern; ValueError where there is none."""
    return [run for run in runs() if fnmatchcase(run.name, pattern)] or [find(pattern)]


def list_runs(selected: list[Run], options: argparse.Namespace) -> int:
    """Print a table of all runs."""
    width = max(len(run.name) for run in runs()) + 2
    print(f"{'run':{width}}{'scale':8}{'date':12}{'device':8}{'wall time':>12}  state")
    for run in runs():
        try:
            kept = load(run).manifest
            about = f"{kept.date[:10]:12}{kept.machine['device']:8}{kept.seconds:>10,.1f} s"
        except RecordRefused:
            about = f"{'-':12}{'-':8}{'-':>12}"
        print(f"{run.name:{width}}{run.scale:8}{about}  {state(run)}")
    return 0


def reproduce_runs(selected: list[Run], options: argparse.Namespace) -> int:
    """Compute runs from nothing; fail where one fails, or a fresh record is not met within its tolerances."""
    if len(selected) == 1 and not options.scheduler:
        return reproduce_one(selected[0], options)
    began, outcomes = perf_counter(), []
    for outcome in reproduce_many(selected, options.workers, options.device, options.scheduler):
        outcomes.append(outcome)
        tqdm.write(f"{outcome.run}: {'done' if outcome.status == 0 else 'FAILED'}: {outcome.said}")
    failed = [outcome.run for outcome in outcomes if outcome.status]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} runs done in {perf_counter() - began:,.0f} s"
          + (f"; failed: {', '.join(failed)}." if failed else "."))
    return 1 if failed else 0


def reproduce_one(run: Run, options: argparse.Namespace) -> int:
    """Compute one run from nothing, with a progress bar, or with a line for each step where there is no terminal."""
    before = state(run)
    with (processes(options.workers, run.threads) if options.workers > 1 else nullcontext() as executor,
          tqdm(total=run.config.steps, desc=run.name, unit=" steps", disable=None) as bar):
        def progress(step: int) -> None:
            bar.update(step - bar.n)
            if bar.disable:
                print(progress_line(run.name, step, run.config.steps), flush=True)

        try:
            comparison = reproduce(run, executor, options.device, progress=progress)
        except ValueError as refused:
            print(refused)
            return 1
    if comparison:
        print_side_by_side(comparison)
    if before != "fresh":
        print(f"{run.name} was {before} and is now recorded.")
        return 0
    return 1 if comparison.worst else 0


def verify_runs(selected: list[Run], options: argparse.Namespace) -> int:
    """Verify the named runs, or all stale ones; fail where one does not agree."""
    failed = 0
    for run in selected or [run for run in runs() if state(run) == "stale"]:
        before = state(run)
        try:
            comparison = verify(run, options.device, options.workers, options.formerly)
        except ValueError as refused:
            print(refused)
            failed += 1
            continue
        outcome = ("NOT renewed: today's definitions compute something else" if comparison.worst
                   else "was fresh" if before == "fresh" else "renewed")
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
