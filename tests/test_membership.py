import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.datasets import digits
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.measures.membership import area_under_curve, calibrated_threshold, membership
from scipy.stats import chi2

LEVELS = torch.tensor([0.15, 0.3, 0.6])


def forgets(x, sigma):
    """Returns 0 whatever it sees, so that the score of y is -|y|^2/d up to a constant factor."""
    return torch.zeros_like(x)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_the_area_counts_pairs_and_halves_ties(members, outsiders):
    pairs = [(a > b) + (a == b) / 2 for a in members for b in outsiders]
    found = area_under_curve(torch.tensor(members, dtype=torch.float64), torch.tensor(outsiders, dtype=torch.float64))
    assert found == pytest.approx(np.mean(pairs), abs=1e-12)


@pytest.mark.parametrize("count, rate, rank", [
    (100, 0.1, 91), (100, 0.01, 100), (100, 0.001, None), (9, 0.1, 9), (8, 0.1, None), (99, 0.01, 99), (98, 0.01, None),
    (999, 0.001, 999), (998, 0.001, None)])
def test_the_threshold_is_the_conformal_rank_or_does_not_exist(count, rate, rank):
    scores = torch.arange(1.0, count + 1)[torch.randperm(count, generator=torch.Generator().manual_seed(0))]
    threshold = calibrated_threshold(scores, rate)
    assert math.isnan(threshold) if rank is None else threshold == rank


@pytest.mark.parametrize("count", [20, 99, 100])
def test_new_outsiders_are_called_members_at_most_at_the_nominal_rate(count):
    generator, rate, repeats = torch.Generator().manual_seed(count), 0.1, 2000
    scores = torch.randn(repeats, count, generator=generator, dtype=torch.float64)
    alarms = 1 - torch.special.ndtr(torch.tensor([calibrated_threshold(row, rate) for row in scores]))
    error = 3 * float(alarms.std()) / math.sqrt(repeats)
    assert rate - 1 / (count + 1) - error <= float(alarms.mean()) <= rate + error


def test_members_of_smaller_norm_are_found_with_the_power_in_closed_form():
    generator, scale, rate = torch.Generator().manual_seed(1), 4.0, 0.1
    members = torch.randn(1500, 1, generator=generator)
    outsiders = scale * torch.randn(3000, 1, generator=generator)
    result = membership(forgets, members, outsiders, LEVELS, 1, generator, false_positive_rate=rate)
    assert result.auc_low <= 2 / math.pi * math.atan(scale) <= result.auc_high
    power = chi2(1).cdf(scale**2 * chi2(1).ppf(rate))
    cut = chi2(1).ppf(rate)
    slope = scale**2 * chi2(1).pdf(scale**2 * cut) / chi2(1).pdf(cut)
    error = math.sqrt(power * (1 - power) / 1500 + slope**2 * rate * (1 - rate) / 1500)
    assert abs(result.tpr - power) <= 3 * error
    assert result.tpr_low < result.tpr < result.tpr_high
    assert abs(result.realized_fpr - rate) <= 3 * math.sqrt(2 * rate * (1 - rate) / 1500)


def test_without_any_memory_the_intervals_hold_one_half_and_the_false_positive_rate():
    generator, repeats = torch.Generator().manual_seed(2), 400
    held, hits, alarms = 0, [], []
    for _ in range(repeats):
        members, outsiders = torch.randn(2, 60, 4, generator=generator)
        result = membership(forgets, members, outsiders, LEVELS[:1], 1, generator, false_positive_rate=0.1)
        held += result.auc_low <= 0.5 <= result.auc_high
        hits.append(result.tpr)
        alarms.append(result.realized_fpr)
    assert abs(held / repeats - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / repeats)
    for rates in (hits, alarms):
        assert np.mean(rates) <= 0.1 + 3 * np.std(rates) / math.sqrt(repeats)


def test_exchanging_members_and_outsiders_mirrors_the_area():
    generator = torch.Generator().manual_seed(3)
    members, outsiders = torch.randn(2, 50, 3, generator=generator)
    denoiser = EmpiricalDenoiser(members, blur=0.5)
    there = membership(denoiser, members, outsiders, LEVELS, 2, torch.Generator().manual_seed(4))
    back = membership(denoiser, outsiders, members, LEVELS, 2, torch.Generator().manual_seed(4))
    assert there.auc == pytest.approx(1 - back.auc, abs=1e-12)
    assert torch.equal(there.member_scores, back.outsider_scores)


def test_a_model_calibrated_by_itself_knows_nothing():
    members, outsiders = digits().images[:60], digits().images[60:260]
    denoiser = EmpiricalDenoiser(members, blur=0.4)
    result = membership(denoiser, members, outsiders, LEVELS, 1, torch.Generator().manual_seed(5), reference=denoiser)
    assert (result.auc, result.tpr, result.realized_fpr) == (0.5, 0, 0)


def test_calibration_takes_out_how_hard_an_image_is():
    images, order = digits().images, torch.randperm(1797, generator=torch.Generator().manual_seed(6))
    members, others, outsiders = images[order[:400]], images[order[400:800]], images[order[800:1200]]
    models = [EmpiricalDenoiser(points, blur=1.0) for points in (members, others)]
    plain, calibrated = (membership(models[0], members, outsiders, LEVELS, 2, torch.Generator().manual_seed(7), other)
                         for other in (None, models[1]))
    assert 0.55 < plain.auc < calibrated.auc_low
    assert calibrated.tpr_low > plain.tpr_high


def test_the_rate_that_too_few_outsiders_cannot_calibrate_is_unknown():
    generator = torch.Generator().manual_seed(8)
    members, outsiders = torch.randn(2, 90, 2, generator=generator)
    result = membership(forgets, members, outsiders, LEVELS, 1, generator)
    assert all(math.isnan(rate) for rate in (result.tpr, result.tpr_low, result.tpr_high, result.realized_fpr))
    assert 0 < result.auc < 1


@pytest.mark.parametrize("call, words", [
    (lambda x: membership(forgets, x, x[:1], LEVELS, 1, torch.Generator()), "at least 2"),
    (lambda x: membership(forgets, x, x[:, :1], LEVELS, 1, torch.Generator()), "expected equal shapes"),
    (lambda x: membership(forgets, x, x, torch.tensor([0.0, 1.0]), 1, torch.Generator()), "noise levels > 0"),
    (lambda x: membership(forgets, x, x, LEVELS, 0, torch.Generator()), "draws is 0; expected a whole number >= 1"),
    (lambda x: membership(forgets, x, x, LEVELS, 1, torch.Generator(), false_positive_rate=0), "between 0 and 1"),
])
def test_bad_input_is_refused_with_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call(torch.rand(6, 3, generator=torch.Generator().manual_seed(0)))
