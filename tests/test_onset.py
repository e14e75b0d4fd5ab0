import math

import numpy as np
import pytest
import torch
from nearsight.denoisers import GaussianDenoiser
from nearsight.measures.deals import Deal
from nearsight.measures.gaps import denoising_error
from nearsight.measures.onset import (
    ddpm_weight,
    edm_weight,
    flat_minimum,
    onset,
    overfitting_onset,
    preference_onset,
    preference_stop,
    weighted_loss,
)
from nearsight.measures.preference import Preference
from nearsight.noise import vp_sigmas
from nearsight.training.objectives import LogNormal, training_loss
from scipy.stats import ttest_rel


def test_each_noise_level_has_its_own_onset():
    steps, best = torch.arange(9.0)[:, None, None], torch.tensor([2.0, 5.0, 20.0])[:, None]
    errors = (steps - best).abs() + torch.rand(1, 1, 40, generator=torch.Generator().manual_seed(0))
    found = overfitting_onset(errors, torch.Generator().manual_seed(1))
    assert found.index.tolist() == found.low.tolist() == found.high.tolist() == [2, 5, 8]
    assert found.open.tolist() == [False, False, True]


def test_the_onset_interval_covers_the_checkpoint_that_is_best_in_expectation():
    generator, repeats, held, widths = torch.Generator().manual_seed(2), 400, 0, []
    steps = torch.arange(40.0)[:, None, None]
    for _ in range(repeats):
        best = 17.3 + 25 * torch.randn(1, 1, 60, generator=generator)
        found = overfitting_onset((steps - best) ** 2, generator, resamples=400)
        held += bool(found.low <= 17 <= found.high)
        widths.append(int(found.high - found.low))
    assert held / repeats >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / repeats)
    assert np.mean(widths) == pytest.approx(2 * 1.96 * 25 / math.sqrt(60), rel=0.1)


@pytest.mark.parametrize("flip", [False, True])
def test_the_edm_loss_of_an_untrained_network_is_one_at_every_level_and_in_all(flip):
    sigmas = torch.logspace(-4, 4, 400, dtype=torch.float64)
    sigmas = sigmas.flip(0) if flip else sigmas
    error = (sigmas**2 * 0.25 + 0.5**4) * 0.25 * sigmas**2 / (0.25 * (sigmas**2 + 0.25)) / (sigmas**2 + 0.25)
    assert float(weighted_loss(sigmas, error, "edm")) == pytest.approx(1, abs=1e-6)
    assert weighted_loss(sigmas, torch.stack([error, 2 * error]), "edm").tolist() == pytest.approx([1, 2], abs=2e-6)


def test_the_ddpm_loss_is_the_mean_over_the_chain():
    chain = vp_sigmas(1000)[:-1]
    sigmas = torch.logspace(math.log10(float(chain[-1])), math.log10(float(chain[0])), 4000, dtype=torch.float64)
    error = sigmas**2 / (1 + sigmas**2)
    assert float(weighted_loss(sigmas, error, "ddpm")) == pytest.approx(float((1 / (1 + chain**2)).mean()), rel=2e-3)
    assert ddpm_weight(torch.tensor([0.009, 200.0])).tolist() == [0, 0]


@pytest.mark.parametrize("loss", ["edm", "epsilon"])
def test_the_weighted_curve_is_the_measured_training_loss(loss):
    generator, law = torch.Generator().manual_seed(3), LogNormal()
    wrong = GaussianDenoiser(torch.full((4,), 0.2), 0.4 * torch.eye(4))
    y = 0.5 * torch.randn(20_000, 4, generator=generator)
    sigma = law.draw(len(y), generator)
    x = y + sigma[:, None] * torch.randn(y.shape, generator=generator)
    measured = training_loss(loss, wrong, y, x, sigma)
    sigmas = torch.logspace(-2.5, 2, 40)
    curve = denoising_error(wrong, y[:2000], sigmas, draws=10, generator=generator)
    epsilon = lambda s: edm_weight(s) * (s * 0.5) ** 2 / (s**2 + 0.25) / s**2
    expected = weighted_loss(sigmas, curve, "edm" if loss == "edm" else epsilon)
    assert abs(measured.mean() - expected) <= 4 * measured.std() / math.sqrt(len(y))


def test_an_onset_must_last():
    assert onset([0.4, 0.6, 0.4, 0.7, 0.8], 0.5) == 3
    assert onset([0.6, 0.7], 0.5) == 0
    assert onset([0.6, 0.5], 0.5) is None
    assert onset([0.6, math.nan, 0.7], 0.5) == 2
    assert onset([], 0.5) is None


def preference(wins, count=400):
    return Preference(wins / count, count, 0, count, Deal(wins, count / 2, 1.0, 1.0, 1.0, count / 4, "exact"), 1.0)


def test_the_onset_of_a_preference_depends_on_the_margin_and_on_how_often_one_looks():
    path = [preference(wins) for wins in (200, 223, 245, 262, 290)]
    assert [preference_onset(path, margin) for margin in (0.0, 0.05, 0.3)] == [2, 3, None]
    alone, among = preference_onset([preference(221)], 0.0), preference_onset([preference(221)] * 50, 0.0)
    assert (alone, among) == (0, None)


def test_under_the_null_an_onset_is_found_in_at_most_five_percent_of_trainings():
    rng, repeats, checkpoints = np.random.default_rng(4), 600, 8
    found = [preference_onset([preference(int(wins)) for wins in rng.binomial(400, 0.5, checkpoints)], 0.0) is not None
             for _ in range(repeats)]
    assert np.mean(found) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / repeats)


def test_a_training_stops_at_the_second_consecutive_checkpoint_above_and_never_hears_of_later_ones():
    path = [preference(wins) for wins in (262, 200, 262, 262, 200, 290)]
    assert [preference_stop(path[:seen], planned=6) for seen in range(7)] == [None] * 4 + [3] * 3
    assert preference_stop([preference(262), preference(200)] * 4, planned=8) is None
    assert preference_stop([preference(262)], planned=1) is None
    # Each look costs: what is enough for two planned looks is not for two hundred.
    assert (preference_stop([preference(246)] * 2, planned=2), preference_stop([preference(246)] * 2, planned=200)) \
        == (1, None)


def test_under_the_null_a_training_is_stopped_in_at_most_five_percent():
    rng, repeats, checkpoints = np.random.default_rng(5), 600, 8
    paths = ([preference(int(wins)) for wins in rng.binomial(400, 0.5, checkpoints)] for _ in range(repeats))
    stopped = [preference_stop(path, checkpoints, margin=0.0) is not None for path in paths]
    assert np.mean(stopped) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / repeats)


def test_what_the_strata_give_is_no_onset():
    deal = Deal(300, 280.0, 1.0, 1.0, 1.0, 100.0, "exact")
    stratified = [Preference(0.75, 400, 0, 400, deal, 1.0)] * 3
    assert preference_onset([preference(300)] * 3) == 0 and preference_onset(stratified) is None
    assert preference_stop([preference(300)] * 3, 3) == 1 and preference_stop(stratified, 3) is None


def test_a_flat_minimum_is_what_a_paired_t_test_cannot_tell_from_the_least_loss():
    generator = torch.Generator().manual_seed(6)
    curve = torch.tensor([0.30, 0.2015, 0.2003, 0.2, 0.2004, 0.203, 0.25], dtype=torch.float64)
    losses = curve[:, None] + 0.1 * torch.randn(1, 50, generator=generator) + 0.003 * torch.randn(7, 50, generator=generator)
    found = flat_minimum(losses, level=0.9)
    p_values = [1.0 if step == found.index else ttest_rel(losses[step], losses[found.index], alternative="greater").pvalue
                for step in range(7)]
    assert found.within.tolist() == [p >= 0.1 / 6 for p in p_values]
    assert found.index == losses.mean(1).argmin() and found.earliest < found.index <= found.latest < 6
    assert flat_minimum(losses[:, :1].expand(7, 9)).within.sum() == 1


def test_the_checkpoint_of_least_expected_loss_is_in_the_flat_minimum_and_the_difficulty_of_points_does_not_matter():
    generator, repeats, held, sizes = torch.Generator().manual_seed(7), 1000, 0, []
    expected = 0.02 * (torch.arange(8.0) - 4.2).square()[:, None]
    for _ in range(repeats):
        losses = expected + 5 * torch.randn(1, 60, generator=generator) + 0.3 * torch.randn(8, 60, generator=generator)
        found = flat_minimum(losses)
        held += bool(found.within[4])
        sizes.append(int(found.within.sum()))
    assert held / repeats >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / repeats)
    assert 2 < np.mean(sizes) < 6


@pytest.mark.parametrize("call, words", [
    (lambda: preference_stop([preference(262)] * 3, planned=2), "the level of each depends on the plan"),
    (lambda: flat_minimum(torch.ones(3, 1)), "at least two points"),
    (lambda: weighted_loss(torch.tensor([0.0, 1.0]), torch.ones(2), "edm"), "strictly rising or falling"),
    (lambda: weighted_loss(torch.tensor([1.0, 2.0, 1.5]), torch.ones(3), "edm"), "strictly rising or falling"),
    (lambda: weighted_loss(torch.tensor([1.0, 2.0]), torch.ones(3), "edm"), "one entry a level"),
    (lambda: weighted_loss(torch.tensor([1.0, 2.0]), torch.ones(2), "vp"), "'edm', 'ddpm'"),
    (lambda: overfitting_onset(torch.ones(3, 4), torch.Generator()), "checkpoints, sigmas, points"),
    (lambda: overfitting_onset(torch.full((2, 3, 4), math.nan), torch.Generator()), "NaN or infinite"),
])
def test_bad_input_is_refused_with_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
