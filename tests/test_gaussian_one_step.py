"""The published one-step model: least squares, traces, limits, golden numbers."""

import math

import numpy as np
import pytest
import torch
from nearsight.gaussian import limits, one_step, one_step_limit, squared_bures, squared_hellinger
from scipy.optimize import brentq
from sklearn.linear_model import LinearRegression
from torch.distributions import MultivariateNormal, kl_divergence

SIGMA = (1 - math.exp(-4)) ** 0.5


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def models(sets, n, d, seed, sigma=SIGMA, draws=1):
    return one_step(normal(sets, n, d, seed=seed), sigma, draws, torch.Generator().manual_seed(seed + 1))


@pytest.mark.parametrize("n, draws", [(30, 1), (6, 1), (6, 4)])
def test_it_is_the_least_squares_of_another_library(n, draws):
    points = normal(n, 10, seed=0) + 3
    mean, covariance = one_step(points, 0.7, draws, torch.Generator().manual_seed(5))
    clean = points.repeat_interleave(draws, 0)
    noisy = clean + 0.7 * normal(n * draws, 10, seed=5)
    regression = LinearRegression().fit(noisy.numpy(), clean.numpy())
    center = points.mean(0).numpy()
    np.testing.assert_allclose(mean, regression.predict(center[None])[0], atol=1e-10)
    variance = points.var(0).mean().item() + 0.49
    np.testing.assert_allclose(covariance, variance * regression.coef_ @ regression.coef_.T, atol=1e-10)


def test_infinitely_many_draws_are_the_wiener_filter():
    points = normal(40, 6, seed=1)
    mean, covariance = one_step(points, 0.5, draws=None)
    sample = torch.cov(points.T, correction=0)
    slope = sample @ torch.linalg.inv(sample + 0.25 * torch.eye(6, dtype=torch.float64))
    torch.testing.assert_close(mean, points.mean(0))
    torch.testing.assert_close(covariance, (points.var(0).mean() + 0.25) * slope @ slope.T)
    many = one_step(points, 0.5, draws=20000, generator=torch.Generator().manual_seed(2))[1]
    torch.testing.assert_close(many, covariance, atol=0.02, rtol=0)


@pytest.mark.parametrize("draws", [1, 3, None])
def test_without_noise_it_keeps_every_direction_of_the_data(draws):
    points = normal(5, 8, seed=2)
    _, covariance = one_step(points, 0.0, draws)
    vectors = torch.linalg.svd(points - points.mean(0), full_matrices=False)[2][:4]
    torch.testing.assert_close(covariance, points.var(0).mean() * vectors.T @ vectors)


@pytest.mark.parametrize("n", [20, 60])
def test_the_model_stays_in_the_span_of_the_data(n):
    points = normal(n, 40, seed=3)
    _, covariance = one_step(points, SIGMA, generator=torch.Generator().manual_seed(4))
    assert torch.linalg.matrix_rank(covariance) == min(n - 1, 40)
    vectors = torch.linalg.svd(points - points.mean(0), full_matrices=False)[2][: min(n - 1, 40)]
    torch.testing.assert_close(vectors.T @ vectors @ covariance, covariance)


@pytest.mark.parametrize("n, d", [(80, 16), (32, 16), (8, 20)])
def test_expected_trace(n, d):
    r = 1 / (1 + SIGMA**2)
    ridge = d / (n - d - 2) if n > d else (n - 1) / (d - n)
    expected = (r * min(1, (n - 1) / d) + (1 - r) * ridge) * d
    traces = models(6000, n, d, seed=n)[1].diagonal(dim1=1, dim2=2).sum(1)
    # s_x^2 and B are nearly, not exactly, independent: half a percent.
    assert abs(traces.mean() - expected) < 4 * traces.std() / 6000**0.5 + 0.005 * expected


@pytest.mark.parametrize("sigma2, ratio, value", [
    (0.982, 1.05, 4.790), (0.982, 1.25, 0.9682), (0.982, 1.5, 0.5495), (0.982, 2, 0.3421), (0.982, 3, 0.2182),
    (0.982, 5, 0.1563), (0.982, 10, 0.1218), (0.982, 50, 0.0994), (0.982, 1e9, 0.0943), (0.25, 1.1, 0.9871),
    (0.25, 1.5, 0.2116), (0.25, 5, 0.0366),
])
def test_limit_golden_numbers(sigma2, ratio, value):
    assert one_step_limit(ratio, sigma2**0.5) == pytest.approx(value, abs=5.1e-4 if ratio == 1.05 else 5.1e-5)


@pytest.mark.parametrize("ratio", [1.05, 1.3, 1.9, 3.0])
@pytest.mark.parametrize("sigma, variance", [(1.0, 1.0), (0.5, 2.0), (2.0, 0.7)])
def test_limit_equals_the_integral_equation_solved_by_quadrature(ratio, sigma, variance):
    points, weights = limits.quadrature(ratio)
    total = variance + sigma**2
    r, s2 = variance / total, total
    w, slope = variance * (1 - r), r**2 * total * ratio
    log_determinant = math.log(variance * r)
    if ratio < 1 + sigma**2 / variance:
        q = brentq(lambda q: weights @ (1 / (q + slope * points)) - 1 / w, 0, w, xtol=1e-15)
        log_determinant = (math.log(s2) + weights @ np.log(q + slope * points) - q / w
                           - weights @ np.log(s2 * ratio * points))
    expected = (r + (1 - r) / (ratio - 1) - 1 - log_determinant + math.log(variance)) / 2
    assert one_step_limit(ratio, sigma, variance) == pytest.approx(expected, abs=1e-8)


def test_limit_has_no_unit_and_ends_at_n_equal_d():
    assert one_step_limit(2, 1.0, 4.0) == pytest.approx(one_step_limit(2, 0.5, 1.0), rel=1e-14)
    assert one_step_limit(1.0, 0.5) == math.inf
    assert one_step_limit(1.5, 0.0) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("ratio, value", [(1.25, 1.048), (2, 0.362), (5, 0.159)])
def test_kl_at_d_100_is_near_its_limit(ratio, value):
    mean, covariance = models(40, int(100 * ratio), 100, seed=int(10 * ratio))
    truth = MultivariateNormal(torch.zeros(100, dtype=torch.float64), torch.eye(100, dtype=torch.float64))
    kl = kl_divergence(MultivariateNormal(mean, covariance), truth) / 100
    assert abs(kl.mean() - value) < 4 * kl.std() / 40**0.5 + 0.002
    assert value == pytest.approx(one_step_limit(ratio, SIGMA), rel=0.1)


@pytest.mark.parametrize("n, value", [(20, 0.969), (24, 0.944), (32, 0.900), (64, 0.687), (128, 0.536)])
def test_hellinger_at_d_16(n, value):
    truth = MultivariateNormal(torch.zeros(16, dtype=torch.float64), torch.eye(16, dtype=torch.float64))
    distances = squared_hellinger(MultivariateNormal(*models(150, n, 16, seed=n)), truth)
    # The golden values are themselves means of 150 runs.
    assert abs(distances.mean() - value) < 4 * distances.std() * (2 / 150) ** 0.5 + 5e-4


@pytest.mark.parametrize("ratio, draws, value", [
    (0.25, 1, 0.858), (2, 1, 0.273), (4, 1, 0.141), (0.25, 2, 0.923), (1, 2, 0.390), (4, 2, 0.140), (0.5, 4, 0.680),
    (0.25, None, 0.834), (0.5, None, 0.593), (1, None, 0.366), (2, None, 0.222), (4, None, 0.150),
])
def test_wasserstein_by_draws_at_d_64(ratio, draws, value):
    mean, covariance = models(20, int(64 * ratio), 64, seed=7, draws=draws)
    eye = torch.eye(64, dtype=torch.float64).expand(20, -1, -1)
    distances = (squared_bures(covariance, eye) + mean.square().sum(1)) / 64
    assert distances.mean().item() == pytest.approx(value, rel=0.04)


@pytest.mark.parametrize("ratio, draws", [(1, 1), (0.5, 2), (0.25, 4)])
def test_the_pole_sits_where_pairs_equal_dimensions(ratio, draws):
    n, eye = int(64 * ratio), torch.eye(64, dtype=torch.float64).expand(20, -1, -1)
    at, after = ((squared_bures(models(20, k, 64, seed=8, draws=draws)[1], eye) / 64).median() for k in (n, 4 * n))
    assert at > 5 * after


def test_dtype_batch_and_randomness():
    points = normal(3, 12, 4, seed=9)
    assert one_step(points.float(), 0.5)[1].dtype == torch.float32
    same = [one_step(points, 0.5, generator=torch.Generator().manual_seed(1))[1] for _ in range(2)]
    assert torch.equal(*same)
    torch.testing.assert_close(one_step(points, 0.5, None)[1][1], one_step(points[1], 0.5, None)[1])


@pytest.mark.parametrize("call, sentence", [
    (lambda: one_step(torch.zeros(1, 3), 0.5), "n >= 2"),
    (lambda: one_step(torch.zeros(4, 3), -0.5), "sigma is -0.5"),
    (lambda: one_step(torch.zeros(4, 3), 0.5, draws=0), "draws is 0"),
    (lambda: one_step(torch.full((4, 3), math.inf), 0.5), "infinite"),
    (lambda: one_step_limit(-1.0, 0.5), "ratio is -1"),
    (lambda: one_step_limit(2.0, -0.5), "sigma is -0.5"),
    (lambda: one_step_limit(2.0, 0.5, 0.0), "variance is 0"),
])
def test_bad_input_is_answered_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
