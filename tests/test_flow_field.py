"""The blurred denoiser of points in the plane: its field, its limits and its flow (study 2)."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.datasets import ring, ring_split
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.flow import return_probability
from nearsight.measures.gaps import denoising_error, generalization_gap
from nearsight.noise import edm_sigmas
from nearsight.quadrature import polar
from nearsight.sampling import sample
from scipy import stats


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def twin(x, points, sigma, blur):
    """The blurred posterior mean of single events, as the formula reads."""
    total = sigma**2 + blur**2
    result = []
    for event in x:
        logits = [-((event - point) ** 2).sum() / (2 * total) for point in points]
        weights = np.exp(np.array(logits) - max(logits))
        mean = sum(weight * point for weight, point in zip(weights / weights.sum(), points))
        result.append((sigma**2 * mean + blur**2 * event) / total)
    return np.array(result)


@settings(max_examples=40, deadline=None)
@given(event=st.sampled_from([(2,), (1,), (5,), (1, 4, 4), (3, 2)]), count=st.integers(1, 9), batch=st.integers(1, 5),
       sigma=st.floats(0.05, 20), blur=st.sampled_from([0.0, 0.3, 2.0]), seed=st.integers(0, 99))
def test_denoiser_is_its_twin(event, count, batch, sigma, blur, seed):
    points, x = 3 * normal(count, *event, seed=seed), 3 * normal(batch, *event, seed=seed + 100)
    expected = torch.from_numpy(twin(x.numpy(), points.numpy(), sigma, blur))
    torch.testing.assert_close(EmpiricalDenoiser(points, blur)(x, sigma), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("place", "sigma", "blur", "expected"), [
    ((6.0, 5.0), 2.0, 0.0, (7.866509, 5.992583)), ((9.0, -0.5), 1.2, 1.6, (9.336814, -0.364666))])
def test_values_on_the_lattice_of_ten(place, sigma, blur, expected):
    found = EmpiricalDenoiser(ring(10), blur)(torch.tensor([place], dtype=torch.float64), sigma)
    torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("blur", [0.0, 1.6])
def test_jacobian_is_the_posterior_covariance(blur):
    points, sigma, step = ring(10), 2.0, 1e-5
    denoiser, total = EmpiricalDenoiser(points, blur), 2.0**2 + blur**2
    for x in 8 * normal(6, 2):
        weights = (-(x - points).square().sum(1) / (2 * total)).softmax(0)
        mean = weights @ points
        covariance = (points - mean).T @ (weights[:, None] * (points - mean))
        expected = (blur**2 * torch.eye(2, dtype=torch.float64) + sigma**2 / total * covariance) / total
        moved = torch.cat([x + step * torch.eye(2, dtype=torch.float64), x - step * torch.eye(2, dtype=torch.float64)])
        values = denoiser(moved, sigma)
        found = (values[:2] - values[2:]).T / (2 * step)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
        assert torch.linalg.eigvalsh(expected).min() >= blur**2 / total - 1e-12


def test_tweedie_holds_with_the_blurred_density():
    points, sigma, blur = ring(10), 1.3, 1.1

    def log_density(x):
        return (-(x - points).square().sum(1) / (2 * (sigma**2 + blur**2))).logsumexp(0)

    x = 8 * normal(20, 2)
    score = torch.stack([torch.func.grad(log_density)(row) for row in x])
    torch.testing.assert_close(EmpiricalDenoiser(points, blur)(x, sigma), x + sigma**2 * score, atol=1e-11, rtol=0)


def test_limits_of_small_and_large_noise():
    points, x = ring(10), 8 * normal(20, 2)
    nearest = points[torch.cdist(x, points).argmin(1)]
    torch.testing.assert_close(EmpiricalDenoiser(points)(x, 1e-3), nearest, atol=1e-12, rtol=0)
    torch.testing.assert_close(EmpiricalDenoiser(points, 1.6)(x, 1e-4), x, atol=1e-7, rtol=0)
    covariance = points.T @ points / 10
    torch.testing.assert_close(EmpiricalDenoiser(points)(x, 2e3), x @ covariance / 2e3**2, atol=1e-8, rtol=0)


def test_a_point_twice_counts_twice():
    points, x = ring(5), 8 * normal(20, 2)
    doubled = EmpiricalDenoiser(torch.cat([points, points[:1]]), 0.7)(x, 2.0)
    logits = -torch.cdist(x, points).square() / (2 * (2.0**2 + 0.7**2))
    logits[:, 0] += math.log(2)
    mean = logits.softmax(1) @ points
    torch.testing.assert_close(doubled, (4 * mean + 0.49 * x) / 4.49, atol=1e-12, rtol=0)


def test_errors_of_the_optimal_denoiser_at_both_ends():
    train, holdout = ring_split(10)
    noise, weights = polar()
    ends = generalization_gap(EmpiricalDenoiser(train), train[:1], holdout[:1], [1e-3, 28.0, 80.0], "norm",
                              noise=noise[:, None], weights=weights)
    assert abs(ends.holdout[0] - 20 * math.sin(math.pi / 20)) < 1e-3
    assert (ends.holdout[1:] - ends.train[1:]).abs().max() < 1e-8
    assert abs(ends.train[2] - 9.942) < 1e-3
    square = denoising_error(EmpiricalDenoiser(train), train[:1], [80.0], noise=noise[:, None], weights=weights)
    assert abs(2 * square - 99.225) < 1e-3


@pytest.mark.parametrize("sigma", [0.01, 0.7, 3.0, 40.0])
def test_one_point_errs_by_its_blur_alone(sigma):
    point, blur = ring(1), 1.6
    noise = normal(200, 1, 2)
    found = denoising_error(EmpiricalDenoiser(point, blur), point, [sigma], "norm", noise=noise)
    expected = blur**2 * sigma / (sigma**2 + blur**2) * noise.norm(dim=2).mean()
    torch.testing.assert_close(found, expected[None], atol=0, rtol=1e-12)


def test_a_set_has_no_gap_to_itself():
    train = ring(7)
    gap = generalization_gap(EmpiricalDenoiser(train, 0.5), train, train, [0.1, 1.0, 10.0], noise=normal(30, 7, 2)).gap
    assert torch.equal(gap, torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("n", [5, 10, 40])
def test_the_identity_of_a_point_is_log_n_nats(n):
    noise, weights = polar()
    log_sigmas = torch.linspace(math.log(0.02), math.log(2000), 231, dtype=torch.float64)
    sigmas, points = log_sigmas.exp(), ring(n)
    error = 2 * denoising_error(EmpiricalDenoiser(points), points[:1], sigmas, noise=noise[:, None], weights=weights)
    assert abs(torch.trapezoid(error / sigmas**2, log_sigmas) - math.log(n)) < 1e-3


def test_at_small_noise_the_gap_is_that_of_the_log_density():
    train, holdout = ring_split(10)
    blur, sigma = 1.6, 0.02
    noise, weights = polar()
    errors = generalization_gap(EmpiricalDenoiser(train, blur), train[:1], holdout[:1], [sigma], noise=noise[:, None],
                                weights=weights)

    def log_density(x):
        return (-(x - train).square().sum(1) / (2 * blur**2)).logsumexp(0)

    def curvature(x):
        slope = torch.func.grad(log_density)
        return 2 * torch.func.jacrev(slope)(x).trace() + slope(x).square().sum()

    law = curvature(holdout[0]) - curvature(train[0])
    assert abs(law - 2.937) < 1e-3
    assert abs(2 * (errors.holdout - errors.train) / sigma**4 - 2.935) < 2e-3


def test_one_blurred_point_is_approached_and_never_reached():
    point, blur, start = ring(1), 1.6, 80.0
    x = point + start * normal(5, 2)
    expected = point + (x - point) * blur / math.sqrt(start**2 + blur**2)
    torch.testing.assert_close(sample(EmpiricalDenoiser(point, blur), x, edm_sigmas(640)), expected, atol=1e-3, rtol=0)


def early_stopping_difference(steps, solver):
    points, blur, grid = ring(10), 1.6, edm_sigmas(steps)
    x = 80 * normal(300, 2)
    blurred = sample(EmpiricalDenoiser(points, blur), x, grid, solver)
    stopped = sample(EmpiricalDenoiser(points), x, (grid**2 + blur**2).sqrt(), solver)
    return float((blurred - stopped).norm(dim=1).max())


def test_blur_is_early_stopping_up_to_the_error_of_the_solver():
    differences = [early_stopping_difference(steps, "heun") for steps in (80, 160, 320)]
    assert differences[-1] < 1e-3
    orders = [math.log2(coarse / fine) for coarse, fine in pairwise(differences)]
    assert all(1.6 < order < 2.6 for order in orders), orders
    assert early_stopping_difference(40, "euler") > 0.2


def test_endpoints_are_training_points_plus_the_blur():
    points, blur, count = ring(10), 0.6, 4000
    ends = sample(EmpiricalDenoiser(points, blur), 80 * normal(count, 2, seed=3), edm_sigmas(80))
    distance = torch.cdist(ends, points).min(1).values
    fresh = points[torch.arange(count) % 10] + blur * normal(count, 2, seed=4)
    expected = torch.cdist(fresh, points).min(1).values
    error = math.sqrt(float(distance.var() + expected.var()) / count)
    assert abs(distance.mean() - expected.mean()) < 4 * error
    visits = torch.bincount(torch.cdist(ends, points).argmin(1), minlength=10)
    assert stats.chisquare(visits.numpy()).pvalue > 1e-4


@pytest.mark.parametrize(("sigma", "expected"), [(1, 0.998), (2, 0.878), (5, 0.466), (20, 0.173)])
def test_the_basins_of_the_flow_are_the_sectors(sigma, expected):
    assert abs(return_probability(10, sigma) - expected) < 1e-3
    points, count = ring(10), 3000
    x = points[:1] + sigma * normal(count, 2)
    grid = torch.cat([torch.tensor([float(sigma)]), edm_sigmas(30, sigma_max=0.999 * sigma)])
    ends = sample(EmpiricalDenoiser(points), x, grid)
    returned = (torch.cdist(ends, points).argmin(1) == 0).double().mean()
    assert abs(returned - expected) < 4 * math.sqrt(expected * (1 - expected) / count) + 1e-3


def test_return_probability_tends_to_one_and_to_one_in_n():
    assert abs(return_probability(10, 0.01) - 1) < 1e-8
    assert abs(return_probability(10, 1e6) - 0.1) < 1e-5
    with pytest.raises(ValueError, match="n is 2; expected a whole number >= 3"):
        return_probability(2, 1.0)
