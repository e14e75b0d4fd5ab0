"""Votes, basins, k-nearest-neighbor denoisers and repeated denoising, against enumeration, integration and brute force."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight import EmpiricalDenoiser, KnnDenoiser, edm_sigmas, nearest, sample
from nearsight.shares import basin_shares, critical_blur, knn_vote, settle
from scipy.integrate import solve_ivp
from scipy.stats import binom


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def by_enumeration(shares, k):
    won = np.zeros(len(shares))
    for votes in itertools.product(range(len(shares)), repeat=k):
        counts = np.bincount(votes, minlength=len(shares))
        winners = counts == counts.max()
        won += winners / winners.sum() * np.prod([shares[vote] for vote in votes])
    return won


@pytest.mark.parametrize("shares", [(1.0,), (0.7, 0.3), (0.6, 0.3, 0.1), (0.25, 0.0, 0.5, 0.25)])
def test_a_vote_is_that_of_all_outcomes(shares):
    for k in range(1, 8 if len(shares) < 4 else 7):
        assert knn_vote(vector(*shares), k).numpy() == pytest.approx(by_enumeration(shares, k), abs=1e-12)


@pytest.mark.parametrize("q, k, expected", [
    (0.01, 3, 0.000298), (0.01, 5, 0.0000099), (0.1, 3, 0.028), (0.1, 5, 0.008560), (0.1, 11, 0.000296),
    (0.1, 4, 0.028), (0.4168, 3, 0.376352), (0.4168, 5, 0.346856), (0.4168, 11, 0.284830), (0.4168, 25, 0.198697),
    (0.4168, 101, 0.0456830)])
def test_the_votes_of_the_table(q, k, expected):
    assert float(knn_vote(vector(1 - q, q), k)[1]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("k, expected", [(3, (0.46255, 0.23866, 0.12921)), (5, (0.55745, 0.24765, 0.10829)),
                                         (25, (0.82937, 0.14870, 0.01964))])
def test_the_votes_of_a_long_tail(k, expected):
    tail = 0.6 ** torch.arange(10, dtype=torch.float64)
    assert knn_vote(tail / tail.sum(), k)[:3].tolist() == pytest.approx(expected, abs=1e-5)


@given(st.floats(0.001, 0.999), st.integers(1, 60))
def test_two_classes_are_a_binomial_tail_and_an_even_number_is_the_odd_one_before(q, k):
    won = knn_vote(vector(1 - q, q), 2 * k - 1)
    assert float(won[1]) == pytest.approx(binom.sf(k - 1, 2 * k - 1, q), rel=1e-9, abs=1e-300)
    assert knn_vote(vector(1 - q, q), 2 * k).numpy() == pytest.approx(won.numpy(), abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6).filter(lambda values: sum(values) > 0.1), st.integers(1, 30),
       st.randoms(use_true_random=False))
def test_a_vote_knows_no_order_and_no_absent_class(values, k, random):
    shares = torch.tensor(values, dtype=torch.float64) / sum(values)
    won, order = knn_vote(shares, k), random.sample(range(len(values)), len(values))
    assert float(won.sum()) == pytest.approx(1, abs=1e-9)
    assert knn_vote(shares[order], k).numpy() == pytest.approx(won[order].numpy(), abs=1e-12)
    assert knn_vote(torch.cat([shares, vector(0)]), k).numpy() == pytest.approx([*won.tolist(), 0], abs=1e-12)
    assert knn_vote(shares, 1).numpy() == pytest.approx(shares.numpy(), abs=1e-12)


def test_a_large_vote_is_what_draws_say_and_keeps_its_small_entries():
    rng, draws = np.random.default_rng(0), 200_000
    shares = np.array([0.14, 0.12, 0.12, *[0.62 / 7] * 7])
    counts = rng.multinomial(301, shares, draws)
    winners = counts == counts.max(1, keepdims=True)
    seen, won = (winners / winners.sum(1, keepdims=True)).mean(0), knn_vote(torch.from_numpy(shares), 301).numpy()
    assert (np.abs(seen - won) <= 4 * np.sqrt(won * (1 - won) / draws)).all()
    tail = 0.6 ** np.arange(10)
    small = knn_vote(torch.from_numpy(tail / tail.sum()), 301)
    assert (small.diff() < 0).all() and 0 < small[-1] < 1e-80


@pytest.mark.parametrize("blur, share, boundary, from_noise", [
    (0.0, 0.19996, 0.0686, 0.47267), (0.3, 0.19958, 0.1524, 0.43943), (0.5, 0.19654, 0.3663, 0.35708),
    (0.55, 0.19201, 0.4746, 0.31755)])
def test_the_basins_of_the_table(blur, share, boundary, from_noise):
    found = basin_shares(vector(0.8, 0.2), vector(-1, 1), 0.3, blur)
    assert found.shares.tolist() == pytest.approx([1 - share, share], abs=1e-4)
    assert float(found.boundaries[0]) == pytest.approx(boundary, abs=1e-4)
    noise = basin_shares(vector(0.8, 0.2), vector(-1, 1), 0.3, blur, (0, 1))
    assert float(noise.shares[1]) == pytest.approx(from_noise, abs=1e-4) and torch.equal(noise.modes, found.modes)


@pytest.mark.parametrize("blur", [0.62, 0.7])
def test_beyond_the_critical_blur_the_minority_has_no_basin(blur):
    found = basin_shares(vector(0.8, 0.2), vector(-1, 1), 0.3, blur)
    assert len(found.modes) == 1 and found.shares.tolist() == [1] and len(found.boundaries) == 0


def test_basins_are_where_particles_flow_to():
    weights, means, std, blur = vector(0.5, 0.3, 0.2), vector(-2, 0.4, 1.9), vector(0.3, 0.5, 0.2), 0.35
    found = basin_shares(weights, means, std, blur, (0.2, 1.5))
    w, m, v = weights.numpy(), means.numpy(), std.numpy() ** 2 + blur**2

    def slope(_, x):
        logs = -((x[:, None] - m) ** 2) / (2 * v) - np.log(v) / 2
        parts = w * np.exp(logs - logs.max(1, keepdims=True))
        return (parts * (m - x[:, None]) / v).sum(1) / parts.sum(1)

    starts = 0.2 + 1.5 * np.random.default_rng(0).standard_normal(4000)
    ends = solve_ivp(slope, (0, 30), starts, rtol=1e-6).y[:, -1]
    counts = np.abs(ends[:, None] - found.modes.numpy()).argmin(1)
    assert np.abs(ends - found.modes.numpy()[counts]).max() < 1e-2
    expected = found.shares.numpy()
    seen = np.bincount(counts, minlength=len(expected)) / 4000
    assert (np.abs(seen - expected) <= 4 * np.sqrt(expected * (1 - expected) / 4000)).all()


@settings(max_examples=30)
@given(st.floats(0.02, 0.48), st.floats(0.2, 5), st.floats(0.05, 0.3), st.floats(0.01, 100))
def test_the_minority_mode_is_there_below_the_critical_blur_and_gone_above_at_any_scale(minority, m, ratio, scale):
    blur = critical_blur(minority, m, ratio * m)
    if math.isnan(blur):
        return
    weights, means = vector(1 - minority, minority), vector(-m, m)
    below, above = (basin_shares(weights, means, ratio * m, factor * blur) for factor in (0.999, 1.001))
    assert (len(below.modes), len(above.modes)) == (2, 1)
    assert float(below.shares.sum()) == pytest.approx(1, abs=1e-12)
    scaled = basin_shares(weights, scale * means, scale * ratio * m, scale * 0.999 * blur)
    assert scaled.shares.numpy() == pytest.approx(below.shares.numpy(), abs=1e-6)


@pytest.mark.parametrize("minority, expected", [(0.5, 0.95394), (0.4168, 0.78067), (0.2, 0.60019), (0.0085, 0.37994)])
def test_the_critical_blurs_of_the_table(minority, expected):
    assert critical_blur(minority) == pytest.approx(expected, abs=2e-5)


def test_the_critical_blur_is_the_spinodal_of_a_magnet():
    assert critical_blur(0.5, 2.0, 0.7) == pytest.approx(math.sqrt(4 - 0.49), rel=1e-12)
    assert math.isnan(critical_blur(0.2, 1.0, 0.9)) and critical_blur(1e-200, 1e6, 1e-3) > 0
    shares = np.geomspace(0.005, 0.5, 40)
    assert (np.diff([critical_blur(share) for share in shares]) > 0).all()
    for q in (0.01, 0.2, 0.45):  # there the curve x = m tanh(m x/v - a) touches the line: its slope is 1
        variance, field = critical_blur(q) ** 2 + 0.09, math.log((1 - q) / q) / 2
        x = math.sqrt(1 - variance)
        assert math.tanh(x / variance - field) == pytest.approx(x, abs=1e-9)
        assert (1 - x**2) / variance == pytest.approx(1, rel=1e-9)


def test_just_below_the_critical_blur_the_minority_still_has_its_share():
    found = basin_shares(vector(0.8, 0.2), vector(-1, 1), 0.3, critical_blur(0.2) - 2e-5)
    assert float(found.shares[1]) == pytest.approx(0.161, abs=3e-3)


@pytest.fixture
def points():
    return torch.randn(40, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_one_neighbor_is_the_nearest_point_and_all_are_the_mean(points):
    x = torch.randn(30, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.equal(KnnDenoiser(points, 1)(x, 0.5), points[nearest(x, points).index[:, 0]])
    assert torch.allclose(KnnDenoiser(points, 40)(x, 0.5), points.mean(0).expand_as(x), atol=1e-12)
    sigma = torch.linspace(0.05, 5, 30, dtype=torch.float64)
    posterior, exact = KnnDenoiser(points, 40, "posterior"), EmpiricalDenoiser(points)
    assert torch.allclose(posterior(x, sigma), exact(x, sigma), atol=1e-10)
    assert torch.equal(posterior(x, 0.0), KnnDenoiser(points, 1)(x, 0.0))


@settings(max_examples=25)
@given(st.integers(1, 12), st.sampled_from(["uniform", "posterior"]), st.floats(0.01, 10), st.integers(0, 100))
def test_the_mean_of_neighbors_is_that_of_brute_force(k, weighting, sigma, seed):
    generator = torch.Generator().manual_seed(seed)
    points, x = torch.randn(12, 5, generator=generator).double(), torch.randn(7, 5, generator=generator).double()
    expected = []
    for event in x:
        distance = (points - event).norm(dim=1)
        chosen = sorted(range(12), key=lambda i: float(distance[i]))[:k]
        logs = -distance[chosen] ** 2 / (2 * sigma**2) if weighting == "posterior" else torch.zeros(k).double()
        expected.append(logs.softmax(0) @ points[chosen])
    assert torch.allclose(KnnDenoiser(points, k, weighting)(x, sigma), torch.stack(expected), atol=1e-9)


def test_single_precision_is_finite_at_little_noise(points):
    x = points[:5].float() + 1e-3
    for weighting in ("uniform", "posterior"):
        assert KnnDenoiser(points.float(), 7, weighting)(x, 1e-3).isfinite().all()


def test_no_vote_of_many_neighbors_goes_to_a_small_class():
    """With k >= 2 n_min + 1 neighbors the minority's are outvoted, wherever one stands."""
    generator = torch.Generator().manual_seed(0)
    points, queries = torch.randn(50, 2, generator=generator), 3 * torch.randn(500, 2, generator=generator)
    points[-8:] += 4
    votes = nearest(queries, points, 17).index >= 42
    assert (votes.sum(1) > 17 / 2).sum() == 0 and (nearest(queries, points, 1).index >= 42).any()


def test_settling_with_the_empirical_denoiser_is_mean_shift_and_ends_at_the_modes():
    generator = torch.Generator().manual_seed(0)
    points = 0.3 * torch.randn(100, 1, generator=generator).double() - 1
    points[80:] += 2
    denoiser, sigma = EmpiricalDenoiser(points), 0.4
    found = settle(denoiser, points, sigma, steps=2000, tolerance=1e-10)
    x = points.clone()
    for _ in range(found.steps):
        weights = torch.exp(-(x - points.T) ** 2 / (2 * sigma**2))
        x = weights @ points / weights.sum(1, keepdim=True)
    assert torch.allclose(found.points, x, atol=1e-9) and found.converged == 1
    equal = torch.full((100,), 0.01, dtype=torch.float64)
    modes = basin_shares(equal, points[:, 0], 1e-9, sigma).modes  # blurred points alone
    ends = torch.stack([found.points[found.attractors == name].mean() for name in found.attractors.unique()])
    assert ends.sort().values.numpy() == pytest.approx(modes.numpy(), abs=1e-6)
    assert found.attractors[0] == 0


def test_settling_says_what_did_not_converge_and_counts_what_is_apart():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.00001, 0.0], [5.0, 5.0]])
    still = settle(lambda x, sigma: x, x, 1.0)
    assert still.steps == 1 and still.attractors.tolist() == [0, 1, 1, 2]
    moving = settle(lambda x, sigma: x + torch.tensor([0.0, 1.0]) * (x[:, :1] > 4), x, 1.0, steps=5)
    assert moving.steps == 5 and moving.converged == 0.75


def test_a_blurred_sampler_keeps_the_share_of_two_far_clusters():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(200, 3, generator=generator)
    points[:20, 0] += 60
    latents = 300 * torch.randn(1500, 3, generator=generator)
    for blur in (0.0, 0.5, 3.0):
        drawn = sample(EmpiricalDenoiser(points, blur), latents, edm_sigmas(24, 0.01, 300.0))
        share = float((drawn[:, 0] > 30).double().mean())
        assert abs(share - 0.1) < 4 * math.sqrt(0.09 / 1500)


@pytest.mark.parametrize("call, error, words", [
    (lambda: knn_vote(vector(0.5, 0.4), 3), ValueError, "sum to 0.9"),
    (lambda: knn_vote(vector(1.2, -0.2), 3), ValueError, "shares run from -0.2"),
    (lambda: knn_vote(vector(0.5, math.nan), 3), ValueError, "NaN"),
    (lambda: knn_vote(vector(0.5, 0.5), 0), ValueError, "k is 0"),
    (lambda: knn_vote(vector(0.5, 0.5), 2.5), ValueError, "k is 2.5"),
    (lambda: KnnDenoiser(torch.zeros(60, 2), 61), ValueError, "there are 60 points, k = 61"),
    (lambda: KnnDenoiser(torch.zeros(60, 2), 3, "gaussian"), ValueError, "expected one of 'uniform', 'posterior'"),
    (lambda: basin_shares(vector(0.5, 0.5), vector(-1, 1), 0.0, 0.1), ValueError, "std is 0.0"),
    (lambda: basin_shares(vector(0.5, 0.5), vector(-1, 1), 0.3, -0.1), ValueError, "blur is -0.1"),
    (lambda: basin_shares(vector(0.5, 0.5), vector(-1, 1), 0.3, 0.1, "noise"), ValueError, "start is 'noise'"),
    (lambda: critical_blur(0.8), ValueError, "pass 0.2"),
    (lambda: settle(lambda x, sigma: x, torch.zeros(3, 2), 0.0), ValueError, "sigma is 0"),
])
def test_bad_input_is_refused_with_a_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()
