"""The audit on the digits: numbers of the specification, three mock models, and the parts against slow twins."""

import json
import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from nearsight import EmpiricalDenoiser, audit, audit_checkpoints, proximity_bias
from nearsight.auditing import cleaning, nearness
from nearsight.auditing.copies import reproduction, upper_bound
from nearsight.auditing.family import holm, samples_needed, smallest_detectable
from nearsight.auditing.pool import make_pool
from nearsight.measures import area_under_curve, hanley_mcneil
from nearsight.randomness import stream
from scipy.stats import binom
from sklearn.datasets import load_digits

DIGITS = torch.from_numpy(load_digits().images / 8 - 1).float()


def sets(seed, *sizes):
    """Disjoint random sets of digits."""
    order = np.random.default_rng(seed).permutation(len(DIGITS))
    ends = np.cumsum([0, *sizes])
    return [DIGITS[order[start:end]] for start, end in pairwise(ends)]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_pool(train, holdout, units=None, strata=None):
    both = torch.cat([train, holdout])
    zeros = np.zeros(len(both), dtype=int)
    units = np.arange(len(both)) if units is None else units
    return make_pool(both, both.flatten(1), np.arange(len(both)) < len(train), units, zeros if strata is None else strata,
                     zeros)


@pytest.mark.parametrize("seed, preference, variance, effective, p_value, margin, detectable", [
    (0, 0.515, 178.778, 500.07, 0.262727, 0.0216460, 0.579), (3, 0.515, 226.226, 397.83, 0.286988, 0.0127100, 0.588)])
def test_the_numbers_of_real_digits(seed, preference, variance, effective, p_value, margin, detectable):
    train, holdout, samples = sets(seed, 500, 500, 600)
    report = audit(train, holdout, samples=samples)
    near = report.proximity
    assert near["preference"] == pytest.approx(preference) and near["p_value"] == pytest.approx(p_value, abs=2e-6)
    assert near["effective_samples"] == pytest.approx(effective, abs=0.01)
    assert near["margin"] == pytest.approx(margin, abs=2e-6)
    assert near["smallest_detectable"] == pytest.approx(detectable, abs=5e-4)
    reach = 1.96 * math.sqrt(variance) / 600
    assert (near["null_high"] - near["null_low"]) / 2 == pytest.approx(reach, rel=0.01)
    assert (report.copies["count"], report.copies["reproduced"]) == (0, 0)
    if seed == 3:
        assert report.verdict["code"] == "no_evidence" and near["margin_p_value"] == pytest.approx(0.147, abs=0.03)


def test_thirty_planted_copies_are_found_and_counted():
    train, holdout, samples = sets(0, 500, 500, 600)
    planted = samples.clone()
    planted[:30] = train[:30] + 0.03 * noise(30, 8, 8)
    report = audit(train, holdout, samples=planted)
    copies = {test["name"]: test["p_value"] for test in report.tests}["copies"]
    assert (report.copies["count"], report.copies["distinct_train"], report.copies["distinct_holdout"]) == (30, 30, 0)
    assert copies == pytest.approx(5.9e-10, rel=0.02)
    assert report.proximity["preference"] == pytest.approx(0.535, abs=0.002)
    assert report.verdict["code"] == "copies" and report.warnings[0]["code"] == "reproduced"


@pytest.mark.parametrize("level, low, high", [(0.15, 0.05, 0.06), (0.30, 0.03, 0.04)])
def test_half_way_copies_are_seen_by_the_margin_alone(level, low, high):
    train, holdout, samples = sets(0, 500, 500, 600)
    samples[:30] = train[:30] + level * noise(30, 8, 8)
    report = audit(train, holdout, samples=samples)
    assert report.verdict["code"] == "closer" and low <= report.proximity["margin"] <= high
    assert [test["name"] for test in report.tests if test["significant"]] == ["margin"]
    assert report.proximity["gaussian"] is not None and len(report.proximity["curve"]["images"]) == 5


def test_a_network_that_recognizes_what_its_samples_were_not_asked():
    train, holdout = sets(0, 500, 500)
    report = audit(train, holdout, denoiser=EmpiricalDenoiser(train, blur=0.4), sample_count=0)
    assert report.verdict["code"] == "recognizes" and report.proximity is None and report.copies is None
    assert report.gap["peak_sigma"] == pytest.approx(0.676, abs=5e-4) and 1.1 < report.gap["peak_gap"] < 1.35
    assert report.membership["denoiser"]["auc"] > 0.97


def test_three_models_get_three_verdicts():
    train, holdout, unseen = sets(4, 400, 400, 900)
    verdicts = {name: audit(train, holdout, denoiser=EmpiricalDenoiser(points, blur), sample_count=600, permutations=499)
                for name, points, blur in (("sound", unseen, 0.25), ("leaning", train, 0.25), ("copying", train, 0.0))}
    assert {name: report.verdict["code"] for name, report in verdicts.items()} == {
        "sound": "no_evidence", "leaning": "closer", "copying": "copies"}
    for name, report in verdicts.items():
        near, area = report.proximity, report.membership["denoiser"]
        known = name != "sound"
        assert (near["low"] > 0.5) == known == (area["low"] > 0.5)
        assert (min(test["p_adjusted"] for test in report.tests) <= 0.05) == known
        assert report.verdict["reliable"]
    assert verdicts["copying"].gap["gap"][0] is None  # the training error is rounding there


def test_samples_that_are_the_training_set():
    train, holdout = sets(5, 100, 100)
    report = audit(train, holdout, samples=train, permutations=99)
    assert report.proximity["preference"] == 1 and report.copies["fraction"] == 1
    assert report.proximity["p_value"] == pytest.approx(1 / math.comb(200, 100), rel=1e-9)
    assert report.proximity["margin_p_value"] == 1 / 100


def test_a_deal_of_single_images_is_that_of_study_4():
    train, holdout, samples = sets(6, 300, 300, 500)
    pool = plain_pool(train, holdout)
    points = samples.flatten(1)
    found = nearness.sided_preference(points, nearness.near_pool(points, pool), pool)
    expected = proximity_bias(samples, train, holdout)
    for name in ("preference", "count", "ties", "effective", "p_value", "low", "high", "p_value_independent"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9), name
    assert found.deal.upper == pytest.approx(expected.deal.upper, rel=1e-9)


def test_swapping_the_sets_mirrors_preference_and_margin():
    train, holdout, samples = sets(7, 200, 200, 300)
    there, back = (audit(one, other, samples=samples, permutations=99).proximity for one, other in (
        (train, holdout), (holdout, train)))
    assert there["preference"] == pytest.approx(1 - back["preference"])
    assert there["margin"] == pytest.approx(-back["margin"], abs=1e-9)
    assert there["train_distance"] == back["holdout_distance"]


def test_the_margin_is_what_brute_force_makes_of_fifty_relabelings():
    train, holdout, samples = sets(8, 60, 60, 40)
    pool = plain_pool(train, holdout)
    points = samples.flatten(1)
    near = nearness.near_pool(points, pool)
    distance = torch.cdist(points.double(), pool.points.double()).numpy()
    labels = np.concatenate(list(pool.redeals(50, stream(1), 40)))
    assert (labels.sum(1) == 60).all() and len(np.unique(labels, axis=0)) == 50
    found = nearness._log_ratios(near, pool)(labels)
    for deal, row in zip(labels, found.T):
        ratios = np.log(distance[:, ~deal].min(1) / distance[:, deal].min(1))
        np.testing.assert_allclose(row, ratios.clip(-nearness.CLIP, nearness.CLIP), atol=1e-6)


def test_one_attractor_is_one_coin():
    train, holdout = sets(9, 100, 100)
    samples = train[:1] + 0.05 * noise(400, 8, 8)
    report = audit(train, holdout, samples=samples, permutations=999)
    values = {test["name"]: test["p_value"] for test in report.tests}
    assert report.proximity["preference"] == 1 and values["proximity"] == values["copies"] == pytest.approx(0.5)
    assert 0.4 < values["margin"] < 0.6 and values["reproduced"] < 1e-9
    assert report.verdict["code"] == "copies"


def test_a_reproduced_image_that_any_held_out_one_is_as_near_to_is_no_finding():
    always, never = np.ones(40, dtype=bool), np.zeros(40, dtype=bool)
    assert reproduction(always, always, never, (30, 30)).p_value == 1
    assert reproduction(always, never, never, (0, 30)).p_value == 1
    assert reproduction(always, always, never, (0, 30)).p_value < 1e-9
    assert reproduction(always, always, always, (0, 30)).p_value == 1


def test_groups_are_dealt_whole():
    train, holdout = sets(10, 120, 120)
    units = np.concatenate([np.arange(120) // 4, 30 + np.arange(120) // 4])
    pool = plain_pool(train, holdout, units)
    for labels in np.concatenate(list(pool.redeals(20, stream(2), 1))):
        whole = np.array([labels[pool.card == card] for card in range(60)])
        assert (whole == whole[:, :1]).all() and whole[:, 0].sum() == 30
    values = np.random.default_rng(0).normal(size=(3, 240))
    np.testing.assert_allclose(pool.means(values), [[row[pool.card == card].mean() for card in range(60)] for row in values])


def test_deals_stay_within_conditions():
    train, holdout = sets(11, 60, 60)
    kinds = np.concatenate([np.arange(60) % 3, np.arange(60) % 3])
    pool = plain_pool(train, holdout, strata=kinds)
    assert np.array_equal(pool.stratum[:60], pool.stratum[60:])
    for labels in np.concatenate(list(pool.redeals(20, stream(3), 1))):
        assert all(labels[kinds == kind].sum() == 20 for kind in range(3))


class TestCleaning:
    def clean(self, train, holdout, units=None, seed=0):
        both = torch.cat([train, holdout])
        is_train = np.arange(len(both)) < len(train)
        found = cleaning.find_duplicates(both, 0.1, float(train.std()), torch.device("cpu"))
        units = np.arange(len(both)) if units is None else units
        return found, cleaning.cut_and_clean(found, is_train, units, np.zeros(len(both), dtype=int), stream(seed))

    def test_components_are_those_of_brute_force(self):
        points = DIGITS[:80]
        points = torch.cat([points, points[:20] + 0.02 * noise(20, 8, 8), points[:5]])
        found = cleaning.find_duplicates(points, 0.1, float(points.std()), torch.device("cpu"))
        distance = torch.cdist(points.flatten(1).double(), points.flatten(1).double())
        labels = list(range(len(points)))
        for first, second in combinations(range(len(points)), 2):
            if distance[first, second] <= found.reach:
                old, new = labels[second], labels[first]
                labels = [new if label == old else label for label in labels]
        components = found.components()
        assert len(set(labels)) == len(np.unique(components)) == len(set(zip(labels, components.tolist()))) == 80

    def test_leaks_leave_both_sets_and_twins_collapse(self):
        train, holdout = sets(12, 100, 100)
        train[90:] = holdout[90:]  # leaks
        train[80:90] = train[:10] + 0.01 * noise(10, 8, 8)  # twins
        _, cut = self.clean(train, holdout)
        kept = cut.kept
        assert cut.leaked == 20 and cut.cards == 80 and (kept < 100).sum() == (kept >= 100).sum() == 80
        assert not set(range(80, 100)) & set(kept.tolist()) and not set(range(190, 200)) & set(kept.tolist())
        assert cut.cut == 10  # held-out images, against the twins that collapsed

    def test_the_larger_set_is_cut_before_it_is_cleaned(self):
        train, holdout = sets(13, 400, 100)
        _, cut = self.clean(train, holdout)
        assert cut.cut == 300 and (cut.kept < 400).sum() == (cut.kept >= 400).sum() == 100

    def test_equal_images_join_among_those_that_are_there(self):
        points = torch.cat([DIGITS[:30], DIGITS[:1], DIGITS[:1]])
        found = cleaning.find_duplicates(points, 0.1, 1.0, torch.device("cpu"))
        there = np.arange(32) > 0
        labels = found.components(there)
        assert labels[30] == labels[31] != labels[1]

    def test_in_the_plane_only_equal_points_are_duplicates(self):
        points = noise(60, 2)
        points[1] = points[0]
        points[2] = points[0] + 1e-6
        found = cleaning.find_duplicates(points, 0.1, 1.0, torch.device("cpu"))
        assert found.reach == 0 and cleaning.repeats(found.components()) == 1

    def test_images_that_are_all_alike_do_not_chain_into_one(self):
        aligned = 0.7 * DIGITS[:1] + 0.02 * noise(300, 8, 8)
        found = cleaning.find_duplicates(aligned, 0.1, float(aligned.std()), torch.device("cpu"))
        assert found.capped and cleaning.repeats(found.components()) == 0

    @pytest.mark.parametrize("twins", [1, 3, 5])
    def test_a_copy_of_an_image_with_twins_is_counted(self, twins):
        train, holdout, samples = sets(14, 200, 200, 300)
        train[50:50 + 10 * twins] = train[:10].repeat(twins, 1, 1) + 0.005 * noise(10 * twins, 8, 8)
        samples[:10] = train[:10] + 0.03 * noise(10, 8, 8, seed=1)
        report = audit(train, holdout, samples=samples, permutations=99)
        assert report.copies["count"] == 10 and report.duplicates["train_near"] == 10 * twins
        assert report.verdict["code"] == "copies"


def test_holm_against_its_definition():
    assert holm([0.004, 0.03, 0.02, 0.5]) == pytest.approx([0.016, 0.06, 0.06, 0.5])
    values = np.random.default_rng(1).random(7) ** 3
    order = np.argsort(values)
    for place, p_adjusted in enumerate(holm(values.tolist())):
        rank = int(np.flatnonzero(order == place)[0])
        assert p_adjusted == pytest.approx(max(min(1, (7 - j) * values[order[j]]) for j in range(rank + 1)))


@pytest.mark.parametrize("preference, needed", [(0.52, (5435, 7834, 8533)), (0.55, (891, 1276, 1385)),
                                                (0.60, (224, 324, 348))])
def test_samples_needed(preference, needed):
    assert tuple(samples_needed(preference, 0.05 / tests) for tests in (1, 4, 6)) == needed


def test_the_power_of_samples_needed_is_a_sawtooth_that_has_passed_its_mark():
    def power(count):
        wins = int(binom.isf(0.05, count, 0.5)) + 1
        assert binom.sf(wins - 1, count, 0.5) <= 0.05
        return binom.sf(wins - 1, count, 0.6)

    assert power(223) < 0.9 and all(power(count) >= 0.9 for count in range(224, 700))
    assert any(power(count) >= 0.9 for count in range(150, 223))


def test_the_published_intervals():
    assert upper_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300)) and upper_bound(0, 300) < 0.01 < upper_bound(0, 290)
    assert hanley_mcneil(0.5, 100, 100)[0] == pytest.approx(0.5 - 1.96 * 0.0409, abs=1e-3)
    assert smallest_detectable(math.sqrt(401 / (12 * 200 * 200)), 0.05, 1) == pytest.approx(0.5846, abs=2e-3)
    assert area_under_curve(torch.tensor([1.0, math.inf]), torch.tensor([0.0, 1.0])) == 0.875


def test_a_seed_and_the_kind_of_array_say_all():
    train, holdout, samples = sets(15, 60, 60, 80)
    reports = [audit(*arrays[:2], samples=arrays[2], permutations=99, seed=3).to_dict() for arrays in (
        (train, holdout, samples), (train, holdout, samples), [each.numpy() for each in (train, holdout, samples)])]
    for report in reports:
        report.pop("environment")
    assert reports[0] == reports[1] == reports[2]


def test_the_json_is_strict_and_has_the_promised_names():
    train, holdout = sets(16, 60, 60)
    report = audit(train, holdout, denoiser=EmpiricalDenoiser(train), sample_count=40, permutations=99, title="A <title>")
    document = json.loads(report.to_json(), parse_constant=lambda text: pytest.fail(text))
    assert list(document) == ["schema", "status", "refusal", "title", "alpha", "seed", "environment", "inputs", "warnings",
                              "duplicates", "exchangeability", "proximity", "copies", "membership", "gap", "tests",
                              "verdict"]
    names = {
        "environment": "nearsight torch python device date seconds", "inputs": "samples train holdout used settings",
        "duplicates": "tolerance train_exact train_near holdout_exact holdout_near cross_exact cross_near samples_exact",
        "exchangeability": "p_value largest_shift", "verdict": "code sentence shows does_not_show reliable",
        "proximity": "preference low high null_low null_high p_value effective_samples smallest_detectable margin "
                     "margin_p_value samples train_distance holdout_distance",
        "copies": "fraction low high count ratio holdout_fraction baseline distinct_train distinct_holdout p_value "
                  "reproduced "
                  "reproduced_fraction reproduced_low reproduced_high reproduced_baseline reproduced_p_value",
        "gap": "sigmas train holdout gap low high p_value peak_gap peak_sigma"}
    for key, wanted in names.items():
        assert set(wanted.split()) <= set(document[key]), key
    rates = document["membership"]["denoiser"]["tpr_at_fpr"]
    assert {"sigma", "smallest_detectable", "auc", "low", "high", "p_value"} <= set(document["membership"]["denoiser"])
    assert [set(rate) for rate in rates] == [{"fpr", "tpr", "low", "high", "realised_fpr", "calibration"}] * 3
    assert rates[0]["calibration"] == 30 and rates[2]["tpr"] is None
    assert {"count", "shape", "dtype", "low", "high", "mean", "std", "sha256"} == set(document["inputs"]["train"])
    assert document["schema"] == "nearsight-audit/1" and document["status"] == "done"


def test_a_report_prints_at_most_25_lines_and_first_what_was_compared():
    train, holdout = sets(17, 90, 60)
    train[60:70] = train[:10]
    report = audit(train, holdout, denoiser=EmpiricalDenoiser(train), sample_count=40, permutations=99,
                   sampling="unconditional, 40 of 40 kept")
    lines = str(report).splitlines()
    assert len(lines) <= 25 and lines[0].startswith("Compared: ") and "of 90 training and" in lines[0]
    said = " ".join(lines)
    assert "40 of 40 samples are copies" in said and "unconditional, 40 of 40 kept" in said
    assert said.index("copies of training images") < said.index("Verdict: copies.")
    assert "The network itself was measured." in said
    assert repr(report) == "AuditReport(copies)"


def test_without_held_out_images_copies_are_counted_and_nothing_is_tested():
    train, samples = sets(18, 200, 150)
    samples[:5] = train[:5] + 0.02 * noise(5, 8, 8)
    report = audit(train, None, samples=samples)
    assert report.verdict["code"] == "no_null" and report.tests == [] and report.proximity is None
    assert (report.copies["count"], report.copies["reproduced"]) == (5, 5)
    assert "at most 6.9 % with 95 % confidence" in report.verdict["sentence"]
    assert "split off at random before training" in report.verdict["does_not_show"][0]


def test_swapped_files_are_named_and_make_the_verdict_unreliable():
    train, holdout = sets(19, 200, 200)
    samples = train[:100] + 0.1 * noise(100, 8, 8)
    report = audit(holdout, train, samples=samples, permutations=999)
    assert not report.verdict["reliable"] and [each["code"] for each in report.warnings][:1] == ["reversed"]


@pytest.mark.parametrize("levels, noticed", [(0, False), (2, True)])
def test_a_held_out_set_with_noise_of_two_grey_levels_is_noticed(levels, noticed):
    """Energies and power are means, in which edges hide such noise: the median difference of neighbors is what sees it."""
    train, holdout, samples = sets(20, 300, 300, 300)
    noisy = holdout + levels * 2 / 255 * noise(*holdout.shape)
    report = audit(train, noisy, samples=samples, permutations=99)
    assert (report.exchangeability["p_value"] == 0.001) == noticed != report.verdict["reliable"]
    assert ("not_exchangeable" in [each["code"] for each in report.warnings]) == noticed
    assert not noticed or report.exchangeability["where"] == "their median"


def test_samples_of_conditions_and_a_denoiser_that_reads_them():
    digits = load_digits()
    order = np.random.default_rng(21).permutation(len(DIGITS))[:400]
    images, labels = DIGITS[order], torch.from_numpy(digits.target[order] % 2)
    parts = [EmpiricalDenoiser(images[:200][labels[:200] == kind]) for kind in (0, 1)]
    asked = []

    def denoiser(x, sigma, kinds):
        asked.append(kinds)
        assert kinds.shape == (len(x),) and len(kinds.unique()) == 1
        return parts[int(kinds[0])](x, sigma)

    report = audit(images[:200], images[200:], denoiser=denoiser, sample_count=60, permutations=99,
                   conditions={"train": labels[:200], "holdout": labels[200:]})
    assert report.verdict["code"] == "copies" and {int(kinds[0]) for kinds in asked} == {0, 1}
    assert report.inputs["used"]["train"] == sum(min(int((part == kind).sum()) for part in labels.split(200))
                                                 for kind in (0, 1))


def test_labels_of_samples_say_which_and_how_many_are_drawn():
    train, holdout = sets(23, 40, 40)
    labels = {"train": [0, 1] * 20, "holdout": [0, 1] * 20, "samples": [1] * 25}
    asked = []

    def denoiser(x, sigma, kinds):
        asked.append((len(x), int(kinds[0])))
        return EmpiricalDenoiser(train)(x, sigma)

    report = audit(train, holdout, denoiser=denoiser, conditions=labels, permutations=9)
    assert report.inputs["used"]["samples"] == 25 and (25, 1) in asked and (25, 0) not in asked
    assert "training captions" in report.to_html()


def test_what_was_done_to_the_sets_is_said():
    train, holdout, samples = sets(24, 150, 100, 60)
    train[140:] = train[:10]
    holdout[:6] = train[20:26]
    report = audit(train, holdout, samples=torch.cat([samples, samples[:5]]), permutations=99)
    codes = [each["code"] for each in report.warnings]
    assert codes == ["train_duplicates", "repeated_samples", "sizes_equalised", "overlap_removed", "few_calibration"]
    counted = report.duplicates
    assert (counted["train_exact"], counted["train_near"], counted["samples_exact"]) == (10, 10, 5)
    assert (counted["cross_exact"], counted["cross_near"], counted["holdout_exact"]) == (6, 6, 0)
    assert "at least 999 calibration images" in report.warnings[-1]["text"]


def test_noise_levels_that_a_network_does_not_know_are_said():
    train, holdout = sets(25, 40, 40)
    denoiser = EmpiricalDenoiser(train, 0.3)
    denoiser.sigmas = torch.tensor([80.0, 1.0, 0.5, 0.1])
    report = audit(train, holdout, denoiser=denoiser, sample_count=0, sigmas=[0.5, 0.7], permutations=9)
    assert report.warnings[0]["code"] == "off_grid_sigma" and "such as 0.7" in report.warnings[0]["text"]
    report = audit(train, holdout, denoiser=denoiser, sample_count=0, permutations=9)
    assert report.gap["sigmas"] == pytest.approx([0.1, 0.5, 1])


def test_checkpoints_share_the_level():
    train, holdout, unseen = sets(22, 150, 150, 600)
    audits = audit_checkpoints({200: EmpiricalDenoiser(train), 100: EmpiricalDenoiser(unseen, 0.25)}, train, holdout,
                               sample_count=150, permutations=199)
    assert list(audits.reports) == [100, 200] and audits.reports[100].alpha == 0.025
    assert [report.verdict["code"] for report in audits.reports.values()][1] == "copies"
    assert audits.last_below() == 100 and audits.last_below("inconclusive") in (None, 100)
    assert "The last checkpoint below the verdict closer is 100." in audits.svg()
    with pytest.raises(ValueError, match="expected at least one"):
        audit_checkpoints({}, train, holdout)
