import math

import numpy as np
import pytest
import scipy.stats
import torch
from nearsight.measures.intervals import (
    clopper_pearson,
    gap_band,
    hanley_mcneil,
    leave_one_out,
    mean_interval,
    student_interval,
    student_reach,
    wilson,
)
from scipy.stats import binom, binomtest


@pytest.mark.parametrize("successes, count, low, high", [
    (0, 100, 0.0, 0.0370), (27, 90, 0.2151, 0.4013), (30, 40, 0.5981, 0.8581), (0, 1000, 0.0, 0.003827),
])
def test_wilson_gives_the_published_bounds(successes, count, low, high):
    assert wilson(successes, count) == pytest.approx((low, high), abs=5e-5 if count < 1000 else 5e-7)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("successes, count", [(0, 7), (1, 7), (7, 7), (31, 200)])
def test_both_intervals_agree_with_scipy(successes, count, level):
    test = binomtest(successes, count)
    for interval, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        expected = test.proportion_ci(level, method)
        assert interval(successes, count, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_bounds_solve_the_score_equation_for_a_fractional_count():
    successes, count, z = 12.4, 41.7, 1.959963984540054
    for bound in wilson(successes, count):
        assert abs(successes / count - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / count), abs=1e-12)


def test_swapping_successes_and_failures_mirrors_the_bounds():
    for interval in (wilson, clopper_pearson):
        low, high = interval(3, 19)
        assert interval(16, 19) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_no_trials_tell_nothing():
    assert wilson(0, 0) == clopper_pearson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("count", [10, 60])
def test_clopper_pearson_covers_every_share_and_wilson_covers_on_average(count):
    shares = np.linspace(0.005, 0.995, 199)
    coverage = {}
    for interval in (clopper_pearson, wilson):
        bounds = np.array([interval(s, count) for s in range(count + 1)])
        inside = (bounds[:, :1] <= shares) & (shares <= bounds[:, 1:])
        coverage[interval] = (inside * binom.pmf(np.arange(count + 1)[:, None], count, shares)).sum(0)
    assert coverage[clopper_pearson].min() >= 0.95
    assert abs(coverage[wilson].mean() - 0.95) < 0.006


@pytest.mark.parametrize("arguments", [(5, 4), (-1, 4), (1, math.inf), (math.nan, 4), (1, 4, 1.0), (1, 4, 0.0)])
def test_impossible_counts_and_levels_are_refused(arguments):
    for interval in (wilson, clopper_pearson):
        with pytest.raises(ValueError, match="expected"):
            interval(*arguments)


def test_hanley_mcneil_has_the_spread_and_the_coverage_of_exponential_scores():
    rng, area, repeats = np.random.default_rng(0), 0.7, 1000
    members, outsiders = rng.exponential(area / (1 - area), (repeats, 300)), rng.exponential(1.0, (repeats, 400))
    areas = np.array([(a[:, None] > b).mean() for a, b in zip(members, outsiders)])
    low, high = hanley_mcneil(area, 300, 400, level=0.6826894921370859)
    assert (high - low) / 2 == pytest.approx(areas.std(), rel=3 / math.sqrt(2 * repeats))
    bounds = np.array([hanley_mcneil(auc, 300, 400) for auc in areas])
    held = np.mean((bounds[:, 0] <= area) & (area <= bounds[:, 1]))
    assert abs(held - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / repeats)


def test_leaving_one_out_of_a_mean_gives_the_textbook_standard_error():
    values = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    estimate = leave_one_out(lambda rows: values[rows].mean(0), range(9))
    torch.testing.assert_close(estimate.value, values.mean(0))
    torch.testing.assert_close(estimate.error, values.std(0) / 3)


def test_leaving_the_only_unit_out_leaves_the_error_unknown():
    assert leave_one_out(lambda units: sum(units) / len(units) if units else math.nan, [2.0]).error.isnan()


def test_the_gap_band_holds_the_whole_curve_in_ninety_five_percent_of_repeats():
    generator = torch.Generator().manual_seed(0)
    levels, count, repeats, held = torch.linspace(0.5, 1.5, 6)[:, None], 250, 400, 0
    for _ in range(repeats):
        shared = torch.randn(1, count, generator=generator)
        train, holdout = (levels + 0.3 * shared + 0.4 * torch.randn(6, count, generator=generator) for _ in range(2))
        low, high = gap_band(4 + train, 4 + 1.2 * holdout, generator, resamples=500)
        truth = (0.2 * levels / (4 + levels)).flatten()
        held += bool(((low <= truth) & (truth <= high)).all())
    assert abs(held / repeats - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / repeats)


def test_the_gap_of_a_set_against_its_own_copy_has_no_band():
    errors = torch.rand(3, 40, generator=torch.Generator().manual_seed(1))
    low, high = gap_band(errors, errors.clone(), torch.Generator().manual_seed(2))
    assert torch.equal(low, torch.zeros(3)) and torch.equal(high, torch.zeros(3))


def test_a_level_without_training_error_leaves_the_band_of_the_others_alone():
    train, holdout = torch.rand(2, 3, 40, generator=torch.Generator().manual_seed(3)) + 0.1
    low, high = gap_band(train[1:], holdout[1:], torch.Generator().manual_seed(4))
    train[0] = 0
    wide = gap_band(train, holdout, torch.Generator().manual_seed(4))
    assert wide[0][0].isnan() and wide[1][0].isnan()
    torch.testing.assert_close((wide[0][1:], wide[1][1:]), (low, high))


def test_the_band_refuses_points_that_are_not_paired():
    with pytest.raises(ValueError, match="pair as many"):
        gap_band(torch.rand(3, 5), torch.rand(3, 6), torch.Generator())


@pytest.mark.parametrize("repetitions", [2, 3, 10])
def test_the_interval_of_a_mean_holds_it_in_ninety_five_percent_of_repeats_however_few(repetitions):
    values = 3 + 2 * torch.randn(repetitions, 20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean, low, high = mean_interval(values)
    held = ((low <= 3) & (high >= 3)).double().mean()
    assert abs(held - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / 20_000)
    torch.testing.assert_close(mean, (low + high) / 2)
    known = scipy.stats.t.interval(0.9, repetitions - 1, values[:, 0].mean().item(), scipy.stats.sem(values[:, 0].numpy()))
    assert [float(bound[0]) for bound in mean_interval(values, 0.9)[1:]] == pytest.approx(known)


def test_one_repetition_has_no_interval():
    with pytest.raises(ValueError, match="at least two repetitions"):
        mean_interval(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="at least two"):
        student_reach(leave_one_out(lambda units: float(len(units)), [0]), 1)


def test_the_reach_of_a_jackknifed_mean_is_that_of_its_interval():
    values = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    of_mean = leave_one_out(lambda units: values[units].mean(0), range(4))
    for level in (0.5, 0.95):
        known = mean_interval(values, level)
        torch.testing.assert_close(student_interval(of_mean, 4, level), known)
        torch.testing.assert_close(student_reach(of_mean, 4, level), known[2] - known[0])
