"""The audit on simulated data: false alarms at the stated rate, planted effects found at the stated rates.

Every rate is compared with what it is to be, within three standard errors of the simulation.
"""

import math

import numpy as np
import pytest
import torch
from nearsight import EmpiricalDenoiser, audit
from nearsight.auditing.attacks import _rate, network_attack
from nearsight.measures import clopper_pearson
from nearsight.randomness import stream
from sklearn.datasets import load_digits

pytestmark = pytest.mark.slow
DIGITS = torch.from_numpy(load_digits().images / 8 - 1).float()
AUDITS, ALPHA = 200, 0.05


def at_most(alarms, rate, audits=AUDITS):
    """Whether so many alarms are within three standard errors of a rate, or fewer."""
    return alarms <= audits * rate + 3 * math.sqrt(audits * rate * (1 - rate))


def gaussian(count, size, seed):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def judged(report):
    return {test["name"]: test["p_value"] <= ALPHA for test in report.tests} | {
        "family": any(test["significant"] for test in report.tests)}


def count(rows):
    return {name: sum(row[name] for row in rows) for name in rows[0]}


def test_an_audit_of_unseen_images_raises_a_false_alarm_at_the_stated_rate():
    """Held-out digits as samples: 200 random deals of training, held-out images and samples, M > N."""
    rows = []
    for seed in range(AUDITS):
        order = torch.randperm(len(DIGITS), generator=torch.Generator().manual_seed(seed))
        train, holdout, samples = DIGITS[order].split([150, 150, len(DIGITS) - 300])[:3]
        rows.append(judged(audit(train, holdout, samples=samples[:500], permutations=199, seed=seed)))
    alarms = count(rows)
    assert all(at_most(alarms[name], ALPHA) for name in alarms), alarms
    assert alarms["proximity"] >= 1 and alarms["margin"] >= 1  # a test that never errs would be no test at this level


def test_hubs_and_duplicates_raise_no_more_false_alarms():
    """Gaussian points in 64 dimensions have hubs, and each set twins: where the binomial test cries wolf."""
    rows, binomial = [], 0
    for seed in range(AUDITS):
        points = gaussian(1000, 64, seed)
        order = torch.randperm(200, generator=torch.Generator().manual_seed(seed))
        pool = points[:200].clone()
        pool[:10] = pool[10:20]  # pairs of twins, dealt at random: some leak, some collapse
        report = audit(pool[order[:100]], pool[order[100:]], samples=points[200:], permutations=199, seed=seed,
                       max_overlap=0.5)
        rows.append(judged(report))
        near = report.proximity
        wins = sum(one < other for one, other in zip(near["train_distance"], near["holdout_distance"]))
        binomial += clopper_pearson(wins, len(near["train_distance"]), 1 - 2 * ALPHA)[0] > 0.5
    alarms = count(rows)
    assert all(at_most(alarms[name], ALPHA) for name in alarms), alarms
    assert binomial > 2 * AUDITS * ALPHA, binomial


def test_a_cut_before_the_cleaning_keeps_the_rate_where_one_set_is_larger():
    """400 and 100 images, many in pairs: cleaned before the cut, the larger set would lose more twins."""
    rows = []
    for seed in range(AUDITS):
        points = gaussian(900, 16, seed)
        pool = points[:500]
        pool[:60] = pool[60:120] + 1e-4
        pool = pool[torch.randperm(500, generator=torch.Generator().manual_seed(seed))]
        rows.append(judged(audit(pool[:400], pool[400:], samples=points[500:], permutations=199, seed=seed,
                                 max_overlap=0.6)))
    alarms = count(rows)
    assert all(at_most(alarms[name], ALPHA) for name in alarms), alarms


def test_a_network_that_saw_neither_set_raises_a_false_alarm_at_the_stated_rate():
    rows = []
    for seed in range(AUDITS):
        order = torch.randperm(len(DIGITS), generator=torch.Generator().manual_seed(seed))
        train, holdout, others = DIGITS[order[:80]], DIGITS[order[80:160]], DIGITS[order[160:400]]
        rows.append(judged(audit(train, holdout, denoiser=EmpiricalDenoiser(others, 0.4), sample_count=0, permutations=199,
                                 draws=1, sigmas=torch.tensor([0.3, 0.7, 1.5]), seed=seed)))
    alarms = count(rows)
    assert all(at_most(alarms[name], ALPHA) for name in alarms), alarms


def grouped_sets(seed, groups=40, size=10):
    """Two sets of images of as many patients, and samples that resemble patients of neither: unseen ones of the same law.

    Images of one patient lie close together, so that a patient near to many samples wins them all for its set.
    """
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(2 * groups, 1, 16, generator=generator)
    images = (centers + 0.35 * torch.randn(2 * groups, size, 16, generator=generator)).flatten(0, 1)
    others = torch.randn(60, 1, 16, generator=generator)
    samples = (others + 0.35 * torch.randn(60, size, 16, generator=generator)).flatten(0, 1)
    ids = np.repeat(np.arange(2 * groups), size)
    half = groups * size
    return images[:half], images[half:], samples, {"train": ids[:half], "holdout": ids[half:]}


def test_groups_bring_the_false_alarms_back_to_the_stated_rate():
    """Images of one patient in one set: dealt one by one false alarms are about .15, dealt by patient .05."""
    single, whole = [], []
    for seed in range(AUDITS):
        train, holdout, samples, ids = grouped_sets(seed)
        common = dict(samples=samples, permutations=99, seed=seed)
        single.append(judged(audit(train, holdout, **common)))
        whole.append(judged(audit(train, holdout, groups=ids, **common)))
    single, whole = count(single), count(whole)
    assert 0.10 <= single["proximity"] / AUDITS <= 0.25, single
    assert all(at_most(whole[name], ALPHA) for name in whole), whole


@pytest.mark.parametrize("planted, share, preference, margin", [
    ("5 % half way", 0.05, 0.33, 0.95), ("10 % half way", 0.10, 0.55, 0.98), ("none", 0, 0.04, 0.07)])
def test_planted_effects_are_found_at_the_stated_rates(planted, share, preference, margin):
    """Digits, N = 400, M = 600, 40 repeats; samples = training images with noise of .15 (5 %) or .25 (10 %)."""
    found, repeats = [], 40
    for seed in range(repeats):
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(DIGITS), generator=generator)
        train, holdout, samples = DIGITS[order[:400]], DIGITS[order[400:800]], DIGITS[order[800:1400]].clone()
        changed = round(share * 600)
        level = 0.15 if share == 0.05 else 0.25
        samples[:changed] = train[:changed] + level * torch.randn(changed, 8, 8, generator=generator)
        found.append(judged(audit(train, holdout, samples=samples, permutations=199, seed=seed)))
    rates = {name: sum(each) / repeats for name, each in (("proximity", [row["proximity"] for row in found]),
                                                           ("margin", [row["margin"] for row in found]))}
    for name, stated in (("proximity", preference), ("margin", margin)):
        # The stated rates come from as many repeats as these.
        reach = 3 * math.sqrt(2 * max(stated * (1 - stated), 0.03) / repeats)
        assert abs(rates[name] - stated) <= reach, (planted, rates)


def test_fifty_copies_among_the_samples_of_ten_thousand_images_are_found_with_five_hundred_held_out():
    generator = torch.Generator().manual_seed(0)
    law = torch.linspace(1.5, 0.1, 64)
    train, holdout, samples = (law * torch.randn(size, 64, generator=generator) for size in (10_000, 500, 950))
    copied = train[torch.randperm(10_000, generator=generator)[:50]] + 0.05 * law * torch.randn(50, 64, generator=generator)
    report = audit(train, holdout, samples=torch.cat([samples, copied]), permutations=199)
    assert report.copies["count"] >= 48 and report.inputs["used"]["train_searched"] == 10_000
    assert report.inputs["used"]["train"] == 500 and report.copies["distinct_train"] < 10
    assert "50 of 1,000 samples are copies" in report.inputs["compared"][1]
    assert report.verdict["code"] == "inconclusive"  # 500 of 10,500 images cannot say that this is not chance


@pytest.mark.parametrize("size", [20, 99, 100])
def test_thresholds_hold_their_rate_on_average_over_calibrations(size):
    rng, alarms, repeats = np.random.default_rng(size), [], 2000
    for _ in range(repeats):
        calibration, evaluation = rng.normal(size=(2, size))
        alarms.append(_rate(0.1, evaluation, calibration, evaluation).realised_fpr)
    assert np.mean(alarms) <= 0.1 + 3 * np.std(alarms) / math.sqrt(repeats)
    assert _rate(0.001, np.zeros(9), np.zeros(size), np.zeros(9)).tpr is None


def test_a_level_chosen_on_one_half_finds_nothing_on_the_other_where_there_is_nothing():
    rng = np.random.default_rng(1)
    areas = [network_attack(np.exp(rng.normal(size=(12, 200))), torch.arange(1.0, 13), (0.1,), stream(seed)).auc
             for seed in range(AUDITS)]
    assert abs(np.mean(areas) - 0.5) <= 3 * np.std(areas) / math.sqrt(AUDITS)
