"""Many runs from one command: here, on a Dask cluster, and with one among them that fails or is killed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from nearsight.records.side_by_side import Outcome, progress_line, reproduce_alone, reproduce_many
from nearsight.studies import find

pytestmark = pytest.mark.slow


def nearsight(root: Path, *arguments: str) -> tuple[int, list[str]]:
    """Exit status and lines of `python -m nearsight`, with its records in a folder of the test."""
    environment = os.environ | {"NEARSIGHT_RECORDS": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "nearsight", *arguments], env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.splitlines()


def states(root: Path) -> dict[str, str]:
    return {line.split()[0]: line.split()[-1] for line in nearsight(root, "runs")[1][1:]}


def test_all_runs_that_match_are_computed_and_told_of_line_by_line(tmp_path):
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded" / "delta-100-smoke").touch()  # where a folder is wanted: this run fails
    status, lines = nearsight(tmp_path / "recorded", "reproduce", "delta-*-smoke", "--workers", "3")
    assert status == 1
    assert re.fullmatch(r"2 of 3 runs done in \d+ s; failed: delta-100-smoke\.", lines[-1])
    assert [progress_line("delta-sets-smoke", step, 5) for step in range(6)] == [
        line for line in lines if line.startswith("delta-sets-smoke: step")]
    assert "delta-16-smoke: done: delta-16-smoke was missing and is now recorded." in lines
    assert any(line.startswith("delta-100-smoke: FAILED: FileExistsError") for line in lines)
    found = states(tmp_path / "recorded")
    assert {name for name, state in found.items() if state == "fresh"} == {"delta-16-smoke", "delta-sets-smoke"}


def test_a_run_that_is_killed_leaves_the_others_alone(tmp_path, monkeypatch):
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\ncase "$*" in *delta-sets-smoke*) kill -9 $$ ;; esac\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(wrapper))
    monkeypatch.setenv("NEARSIGHT_RECORDS", str(tmp_path / "recorded"))
    monkeypatch.setattr("nearsight.records.side_by_side.ROOT", tmp_path / "recorded")
    monkeypatch.setattr("nearsight.records.side_by_side.state", lambda run: "fresh")
    outcomes = {each.run: each for each in reproduce_many([find("delta-sets-smoke"), find("delta-16-smoke")], 2, "cpu")}
    assert outcomes["delta-sets-smoke"].status == -9
    assert outcomes["delta-sets-smoke"].said == "its process was ended by signal 9"
    assert outcomes["delta-16-smoke"].status == 0 and len(outcomes["delta-16-smoke"].files) == 2


def test_a_run_alone_says_its_last_words(tmp_path, monkeypatch):
    heard = []
    outcome = reproduce_alone("nothing", "cpu", heard.append)
    assert isinstance(outcome, Outcome) and outcome.status == 2 and "there is no run 'nothing'" in " ".join(heard)
    assert outcome.said == heard[-1] and outcome.files == {}


def test_a_dask_cluster_computes_runs_and_their_records_come_here(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setenv("NEARSIGHT_RECORDS", str(tmp_path / "there"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0") as cluster:
        assert cluster.scheduler_address.startswith("tcp://")
        status, lines = nearsight(tmp_path / "here", "reproduce", "delta-16-smoke", "delta-sets-smoke", "--scheduler",
                                  cluster.scheduler_address)
    assert (status, len(lines)) == (0, 3) and re.fullmatch(r"2 of 2 runs done in \d+ s\.", lines[-1])
    found = states(tmp_path / "here")
    assert {name for name, state in found.items() if state == "fresh"} == {"delta-16-smoke", "delta-sets-smoke"}
    for run in ("delta-16-smoke", "delta-sets-smoke"):
        here, there = ({path.name: path.read_bytes() for path in (tmp_path / place / run).iterdir()}
                       for place in ("here", "there"))
        assert here == there and len(here) == 2
