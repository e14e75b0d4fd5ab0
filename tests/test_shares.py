import math

import numpy as np
import pytest
import torch
from nearsight.shares import corrected, flips
from scipy.stats import binom


def test_a_perfect_classifier_leaves_the_share_and_its_binomial_error():
    result = corrected(0.1, 1000, 1.0, 0.0, 500, 500)
    assert (result.share, result.error) == pytest.approx((0.1, math.sqrt(0.09 / 1000)), rel=1e-12)


def test_correction_undoes_what_the_classifier_does_in_expectation():
    for true in (0.0, 0.1, 0.6, 1.0):
        seen = true * 0.93 + (1 - true) * 0.04
        assert corrected(seen, 10, 0.93, 0.04, 10, 10).share == pytest.approx(true, abs=1e-12)


def test_the_share_is_clipped_and_its_interval_is_not():
    result = corrected(0.01, 200, 0.9, 0.05, 300, 300)
    assert result.share == 0
    assert result.low < -0.04 and result.high == pytest.approx(2 * (0.01 - 0.05) / 0.85 - result.low, abs=1e-12)


def test_the_corrected_interval_covers_and_the_error_is_the_spread():
    rng, true, hit, alarm, repeats = np.random.default_rng(0), 0.1, 0.93, 0.03, 2000
    seen = rng.binomial(1000, true * hit + (1 - true) * alarm, repeats) / 1000
    hits, alarms = rng.binomial(400, hit, repeats) / 400, rng.binomial(600, alarm, repeats) / 600
    results = [corrected(p, 1000, t, f, 400, 600) for p, t, f in zip(seen, hits, alarms)]
    unclipped = [(result.low + result.high) / 2 for result in results]
    held = np.mean([result.low <= true <= result.high for result in results])
    assert abs(held - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / repeats)
    assert np.mean([result.error for result in results]) == pytest.approx(np.std(unclipped), rel=0.06)


def test_flips_counts_gains_losses_and_their_imbalance():
    first = torch.tensor([True] * 12 + [False] * 18)
    second = torch.tensor([False] * 9 + [True] * 3 + [True] * 2 + [False] * 16)
    result = flips(first, second)
    assert (result.b, result.c, result.count) == (9, 2, 30)
    assert (result.rate, result.net) == pytest.approx((11 / 30, 7 / 30))
    assert result.p_value == pytest.approx(2 * binom.cdf(2, 11, 0.5), rel=1e-12)
    assert result.low < result.rate < result.high
    swapped = flips(second, first)
    assert (swapped.b, swapped.c, swapped.net, swapped.p_value) == (2, 9, -result.net, result.p_value)


def test_equal_samplers_do_not_flip():
    labels = torch.tensor([True, False, True])
    assert (flips(labels, labels).rate, flips(labels, labels).p_value) == (0, 1)


def test_independent_samplers_of_one_share_keep_the_level_of_the_test():
    rng, repeats = np.random.default_rng(1), 1000
    labels = torch.from_numpy(rng.random((repeats, 2, 500)) < 0.1)
    results = [flips(*pair) for pair in labels]
    for alpha in (0.01, 0.05, 0.1, 0.3):
        rejected = np.mean([result.p_value <= alpha for result in results])
        assert rejected <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / repeats)
    majority = [result.b / int(first.sum()) for result, (first, _) in zip(results, labels)]
    assert np.mean(majority) == pytest.approx(0.9, abs=0.005)


@pytest.mark.parametrize("call, error, words", [
    (lambda: corrected(0.1, 10, 0.3, 0.4, 10, 10), ValueError, "more hits than false alarms"),
    (lambda: corrected(1.1, 10, 0.9, 0.4, 10, 10), ValueError, "share is 1.1"),
    (lambda: corrected(0.1, 0, 0.9, 0.4, 10, 10), ValueError, "count is 0"),
    (lambda: flips(torch.tensor([1, 0]), torch.tensor([True, False])), TypeError, "boolean vector"),
    (lambda: flips(torch.tensor([True]), torch.tensor([True, False])), ValueError, "same latents"),
])
def test_bad_input_is_refused_with_a_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()
