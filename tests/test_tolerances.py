"""Significant digits: how far a result is determined, measured under other kernels, and what is refused."""

import math
import os
from dataclasses import dataclass, replace

import pytest
import torch
from nearsight import records
from nearsight.page import DIFFERS, beside
from nearsight.records import Results, Run, Stage, Work, compare, compute, reproduce
from nearsight.records.kernels import PLAIN, THREADS, compute_plainly
from nearsight.records.tolerances import ABSENT, MARGIN, largest_difference, measured, significant_digits


@dataclass(frozen=True)
class Sum:
    steps: int = 2
    seed: int = 0


def sums(config: Sum, work: Work = Work()):
    """A sum whose order kernels choose, and where it was taken."""
    values = torch.randn(300, 200, generator=torch.Generator().manual_seed(config.seed))
    yield Stage(1, {"product": values @ values.T, "plain": torch.tensor(float("ATEN_CPU_CAPABILITY" in os.environ)),
                    "threads": torch.tensor(torch.get_num_threads())})
    yield Stage(2, {"product": values.T @ values})


def free(config: Sum, work: Work = Work()):
    """One array is whatever the machine makes of it: here, something of the number of threads."""
    for stage in sums(config, work):
        yield Stage(stage.step, {"phase": torch.tensor(0.3 * torch.get_num_threads()), "product": stage.arrays["product"]})


RUN = Run("sums", sums, Sum())


@pytest.fixture(scope="module")
def plain() -> Results:
    return compute_plainly(RUN, RUN.standing)


def test_plain_kernels_are_other_kernels_with_other_threads_in_another_process(plain):
    final = plain.final
    assert final["plain"] == 1 and final["threads"] == THREADS
    here = compute(RUN)
    assert here.final["threads"] == 1
    alike = os.environ.get("ATEN_CPU_CAPABILITY") == PLAIN["ATEN_CPU_CAPABILITY"]  # the tests run under plain kernels, too
    assert alike or here.final["plain"] == 0
    difference = largest_difference(here.arrays[1, "product"], plain.arrays[1, "product"])
    assert difference < 1e-5 and (alike or difference > 0)
    before = dict(os.environ)
    other = compute_plainly(replace(RUN, threads=THREADS), 1)
    assert other.final["threads"] == 1 and dict(os.environ) == before


def results(**arrays) -> Results:
    return Results((Stage(1, {name: torch.as_tensor(array) for name, array in arrays.items()}),), 0.0)


def test_a_tolerance_is_ten_times_the_largest_difference_of_any_stage():
    first = Results((Stage(1, {"x": torch.tensor([1.0, -4.0])}), Stage(2, {"x": torch.tensor([1.0, -2.0])})), 0.0)
    second = Results((Stage(1, {"x": torch.tensor([1.0, -4.004])}), Stage(2, {"x": torch.tensor([1.01, -2.0])})), 0.0)
    assert measured("run", first, second) == {"x": pytest.approx(MARGIN * 0.005, rel=1e-4)}


def test_equal_bits_are_held_to_roundings_and_names_to_equality():
    array = {"single": torch.tensor([1.0]), "double": torch.tensor([1.0], dtype=torch.float64), "whole": torch.tensor([3]),
             "grey": torch.tensor([255], dtype=torch.uint8)}
    found = measured("run", results(**array), results(**array))
    assert found == {"single": MARGIN * torch.finfo(torch.float32).eps, "double": MARGIN * 2.0**-52, "whole": 0.0,
                     "grey": MARGIN / 255}


@pytest.mark.parametrize("names, allowed", [(99, 0.0), (100, 0.1), (5000, 0.002)])
def test_ten_of_many_names_may_be_others_on_some_machine(names, allowed):
    index = torch.arange(names, dtype=torch.int16)
    found = measured("run", results(index=index), results(index=index))
    assert found == {"index": pytest.approx(allowed)}


@pytest.mark.parametrize("again", [[1.0, 0.8], [1.0, math.nan], [1.0], [1.0, math.inf]])
def test_an_array_that_is_not_determined_is_refused_by_name(again):
    with pytest.raises(ValueError, match=r"run does not determine spread \(.* significant digits\).* record a quantity"):
        measured("run", results(spread=[1.0, 0.5], good=[1.0]), results(spread=again, good=[1.0]))


def test_significant_digits_count_decimal_places():
    assert significant_digits(1e-3) == pytest.approx(3) and significant_digits(0) == math.inf
    assert significant_digits(0.5) == pytest.approx(math.log10(2))


@pytest.mark.parametrize("recorded, again, expected", [
    (torch.tensor([1.0, -4.0]), torch.tensor([1.0, -4.0]), 0.0),
    (torch.tensor([1.0, -4.0]), torch.tensor([2.0, -4.0]), 0.25),
    (torch.tensor([1, 2]), torch.tensor([1, 4]), 0.5),
    (torch.tensor([7, 500, 3, 0]).short(), torch.tensor([7, 2, 3, 0]).short(), 0.25),
    (torch.tensor([250, 100], dtype=torch.uint8), torch.tensor([250, 75], dtype=torch.uint8), 0.1),
    (torch.tensor([True, False]), torch.tensor([True, True]), 1.0),
    (torch.tensor([float("nan"), 1.0]), torch.tensor([float("nan"), 1.0]), 0.0),
    (torch.tensor([float("nan"), 2.0]), torch.tensor([float("nan"), 1.0]), 0.5),
    (torch.tensor([float("nan"), 1.0]), torch.tensor([0.0, 1.0]), math.inf),
    (torch.tensor([float("inf"), 1.0]), torch.tensor([float("-inf"), 1.0]), math.inf),
    (torch.tensor([float("inf"), 1.0]), torch.tensor([float("nan"), 1.0]), math.inf),
    (torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0]), math.inf),
    (torch.zeros(2), torch.zeros(2, 1), math.inf),
    (torch.zeros(2), torch.zeros(2).double(), math.inf),
    (torch.zeros(0), torch.zeros(0), 0.0),
    (torch.zeros(0), ABSENT, math.inf),
])
def test_differences_are_shares_of_the_largest_recorded_entry(recorded, again, expected):
    assert largest_difference(recorded, again) == pytest.approx(expected)


def test_zeros_of_other_sign_are_no_equal_bits():
    assert 0 < largest_difference(torch.tensor([0.0, 1.0]), torch.tensor([-0.0, 1.0])) < 1e-300


def test_a_run_is_recorded_with_its_tolerances(tmp_path):
    run = Run("sums", only_products, Sum())
    assert reproduce(run, root=tmp_path) is None
    tolerance, = records.load(run, tmp_path).manifest.tolerances.values()
    assert 1e-7 < tolerance < 1e-4
    agreed = compare(records.load(run, tmp_path), compute_plainly(run))
    assert agreed.worst is None and not beside(agreed).differs
    assert repr(beside(agreed)).startswith("Computed just now, sums agrees with its record")


def only_products(config: Sum, work: Work = Work()):
    yield from (Stage(stage.step, {"product": stage.arrays["product"]}) for stage in sums(config, work))


def test_what_is_not_determined_is_not_recorded_and_what_was_computed_is_kept(tmp_path):
    run = Run("free", free, Sum())
    with pytest.raises(ValueError, match=r"free does not determine phase \("):
        reproduce(run, root=tmp_path / "recorded")
    assert records.state(run, tmp_path / "recorded") == "missing"
    assert len(list(tmp_path.glob(".nearsight/free/*/stage-*"))) == 2


def test_a_miniature_that_differs_shows_a_notice_with_array_size_and_both_machines(tmp_path):
    run = Run("sums", only_products, Sum())
    reproduce(run, root=tmp_path)
    record = records.load(run, tmp_path)
    planted = 10 * record.manifest.tolerances["product"]
    stages = tuple(Stage(step, {"product": arrays["product"] * (1 + planted)}) for step, arrays in record.results.stages)
    notice = beside(compare(replace(record, results=replace(record.results, stages=stages)), compute(run)))
    assert notice.differs and DIFFERS in notice._repr_html_()
    assert "sums, step 1: product differs by" in repr(notice) and f"expected at most {planted / 10:.2g}." in repr(notice)
    assert repr(notice).count(record.manifest.machine["processor"]) == 2
