from dataclasses import dataclass, replace

import pytest
import torch
from nearsight.records.computing import compute
from nearsight.records.digests import meaning
from nearsight.records.manifests import plain_config
from nearsight.records.runs import Run, Scales, Stage, Work
from nearsight.studies import find, runs
from nearsight.studies.miniature import Miniature


@dataclass(frozen=True)
class Count:
    steps: int = 3
    seed: int = 0


@dataclass
class Loose:
    steps: int = 3
    seed: int = 0


@dataclass(frozen=True)
class Seedless:
    steps: int = 3


def count(config: Count, work: Work = Work()):
    for step in range(1, config.steps + 1):
        yield Stage(step, {"value": torch.tensor(float(step))})


ALL = runs()


def test_a_computation_has_three_runs_with_three_names():
    scales = Scales("count", count, smoke=Count(1), laptop=Count(10), paper=Count(100), threads=2, on_device=True)
    assert [run.name for run in scales.runs] == ["count-smoke", "count-laptop", "count-paper"]
    assert [run.config.steps for run in scales.runs] == [1, 10, 100]
    assert {(run.threads, run.on_device, run.standing) for run in scales.runs} == {(2, True, 2)}


def test_names_are_unique_and_found():
    assert len({run.name for run in ALL}) == len(ALL) > 0
    assert all(find(run.name) == run for run in ALL)


def test_an_unknown_run_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=f"there is no run 'nothing'; expected one of .*{ALL[0].name}"):
        find("nothing")


@pytest.mark.parametrize("config, sentence", [
    (Loose(), "expected an instance of a frozen dataclass"),
    ({"steps": 3, "seed": 0}, "is a dict; expected an instance of a frozen dataclass"),
    (Seedless(), "has no whole number 'seed'"),
])
def test_a_configuration_is_a_frozen_dataclass_with_steps_and_seed(config, sentence):
    with pytest.raises(TypeError, match=sentence):
        Run("count", count, config)


def test_no_two_runs_are_the_same_computation():
    same = [(meaning(run.computation, run.config).digest, str(plain_config(run))) for run in ALL]
    assert len(set(same)) == len(same)


@pytest.mark.parametrize("run", ALL, ids=lambda run: run.name)
def test_the_stages_that_stand_for_a_run_are_stages_of_it(run):
    standing = run.standing if isinstance(run.standing, tuple) else range(1, run.standing + 1)
    assert standing and all(1 <= step <= run.config.steps for step in standing)


def test_the_miniature_learns_and_errs_less_on_its_own_half():
    final = compute(replace(find("miniature-laptop"), config=Miniature(points=48, width=64, steps=1200, stages=2)))
    loss, error = final.curve("loss")[1], final.final["error"]
    assert (loss[-1] < loss[0]).all()
    own, other = error.diagonal().T, error.flip(1).diagonal().T
    assert (own.mean(1) < other.mean(1)).all()
