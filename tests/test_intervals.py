import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from nearsight.intervals import clopper_pearson, wilson


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
