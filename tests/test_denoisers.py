"""Identities and limits of the exact denoisers, each against a slow twin or a derivative of a log density."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.denoisers import EmpiricalDenoiser, GaussianDenoiser, MixtureDenoiser, guided, score
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

F64 = torch.float64


def randn(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


def twin(points, x, sigma, blur=0.0):
    """Ten slow lines of numpy: the posterior mean of the blurred points, event by event."""
    points, x = points.double().numpy(), x.double().numpy()
    total = sigma**2 + blur**2
    result = np.empty_like(x)
    for b, event in enumerate(x):
        exponent = -((points - event) ** 2).reshape(len(points), -1).sum(1) / (2 * total)
        weight = np.exp(exponent - exponent.max())
        mean = np.tensordot(weight / weight.sum(), points, 1)
        result[b] = (sigma**2 * mean + blur**2 * event) / total
    return torch.from_numpy(result)


def spread(d, seed):
    """A covariance that is far from diagonal."""
    root = randn(d, d, seed=seed)
    return root @ root.T / d + 0.1 * torch.eye(d, dtype=F64)


# The empirical denoiser


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 7), st.sampled_from([(1,), (2,), (3, 4), (1, 6, 5)]), st.floats(-4, 4),
       st.sampled_from([0.0, 0.3, 2.0]), st.integers(0, 10**6))
def test_empirical_equals_its_slow_twin(n, batch, event, log_sigma, blur, seed):
    points, sigma = randn(n, *event, seed=seed), 10.0**log_sigma
    x = randn(batch, *event, seed=seed + 1) * (1 + sigma)
    expected = twin(points, x, sigma, blur)
    assert torch.allclose(EmpiricalDenoiser(points, blur)(x, sigma), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("sigma", [1e-3, 1e-2, 0.1, 0.5, 1.0, 3.0, 30.0, 1e4])
@pytest.mark.parametrize("offset", [0.0, 300.0])
@pytest.mark.parametrize("blur", [0.0, 0.05])
def test_float32_agrees_with_float64_far_from_the_origin_too(sigma, offset, blur):
    points = (randn(500, 1, 16, 16) + offset).float()
    x = points[:64] + sigma * randn(64, 1, 16, 16, seed=1, dtype=torch.float32)
    single = EmpiricalDenoiser(points, blur)(x, sigma)
    double = EmpiricalDenoiser(points.double(), blur)(x.double(), sigma)
    assert single.dtype == torch.float32
    # One unit in the last place of the values themselves, and 1e-4 of the spread of the data.
    assert (single - double).abs().max() < 1e-4 + 2**-23 * (offset + 5 * sigma * (blur > 0))


def test_near_duplicates_at_the_smallest_noise_are_told_apart_in_float32():
    sigma = 1e-3
    points = randn(300, 784, dtype=torch.float32)
    points[1] = points[0] + 1e-4 * randn(784, seed=1, dtype=torch.float32)
    x = ((points[0].double() + points[1].double()) / 2 + sigma * randn(20, 784, seed=2)).float()
    expected = twin(points, x, sigma)
    weights = ((EmpiricalDenoiser(points)(x, sigma).double() - points[0]) @ (points[1] - points[0]).double()
               / (points[1] - points[0]).double().square().sum())
    truth = (expected - points[0]) @ (points[1] - points[0]).double() / (points[1] - points[0]).double().square().sum()
    assert ((truth > 0.01) & (truth < 0.99)).any()
    assert (weights - truth).abs().max() < 1e-3


def test_one_row_at_a_time_equals_one_call_and_a_level_a_row_equals_a_loop():
    points, x = randn(50, 3, 4), randn(6, 3, 4, seed=1)
    sigmas = torch.tensor([0.0, 1e-4, 0.1, 1.0, 7.0, 1e4], dtype=F64)
    for blur in (0.0, 0.4):
        denoiser = EmpiricalDenoiser(points, blur)
        loop = torch.cat([denoiser(row[None], float(sigma)) for row, sigma in zip(x, sigmas)])
        assert torch.allclose(denoiser(x, sigmas), loop, rtol=1e-12, atol=1e-12)


def test_small_blocks_change_nothing(monkeypatch):
    points, x = randn(200, 8, 8), randn(40, 8, 8, seed=1)
    sigmas = torch.logspace(-4, 2, 40, dtype=F64)
    dense = EmpiricalDenoiser(points)(x, sigmas)
    monkeypatch.setattr("nearsight.denoisers.empirical._LARGEST_TEMPORARY", 64)
    assert torch.allclose(EmpiricalDenoiser(points)(x, sigmas), dense, rtol=1e-12, atol=1e-12)


def test_a_single_point_is_always_returned():
    point, x = randn(1, 2, 3), randn(9, 2, 3, seed=1)
    for sigma in (0.0, 1e-4, 1.0, 1e4):
        assert torch.equal(EmpiricalDenoiser(point)(x, sigma), point.expand(9, 2, 3))


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("sigma", [0.0, 1e-170, 1e-30, 1e-20, 1e-10, 1e-3, 1.0, 1e25])
def test_identical_points_are_returned_at_any_noise_level(dtype, sigma):
    for points in (torch.ones(3, 2, dtype=dtype), torch.zeros(1, 2, dtype=dtype), torch.full((5, 2), 300.1, dtype=dtype)):
        for x in (points[:1], randn(4, 2, dtype=dtype), torch.full((1, 2), 1e-30, dtype=dtype)):
            assert torch.allclose(EmpiricalDenoiser(points)(x, sigma), points[0].expand_as(x), rtol=1e-6, atol=0)
            assert torch.equal(EmpiricalDenoiser(points, 1e-40)(x, 0.0), x)


@pytest.mark.parametrize("dtype, scale", [(torch.float32, 1e-20), (torch.float32, 1e-30), (F64, 1e-100), (F64, 1e-150)])
def test_points_whose_squares_underflow_are_told_apart(dtype, scale):
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, -3.0]], dtype=F64)
    x = torch.tensor([[0.4, 0.1], [0.6, 0.1], [0.4, -2.0]], dtype=F64)
    denoiser = EmpiricalDenoiser((scale * points).to(dtype))
    assert torch.equal(denoiser((scale * x).to(dtype), 0.0), (scale * points).to(dtype))
    for level in (0.2, 1.0, 30.0):
        found = denoiser((scale * x).to(dtype), scale * level).double() / scale
        assert torch.allclose(found, twin(points, x, level), rtol=1e-5, atol=1e-6)


def test_without_noise_the_nearest_point_is_returned_to_the_bit():
    for dtype in (torch.float32, F64):
        points, x = randn(300, 20, dtype=dtype) + 7, randn(50, 20, seed=1, dtype=dtype) + 7
        nearest = points[torch.cdist(x.double(), points.double()).argmin(1)]
        assert torch.equal(EmpiricalDenoiser(points)(x, 0.0), nearest)
        assert torch.allclose(EmpiricalDenoiser(points)(x, 1e-3), nearest, atol=1e-6)


def test_equally_near_points_share_the_limit_and_blur_makes_it_the_identity():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]])
    x = torch.tensor([[0.5, 0.2]])
    assert torch.allclose(EmpiricalDenoiser(points)(x, 0.0), torch.tensor([[0.5, 0.0]]))
    assert torch.equal(EmpiricalDenoiser(points, blur=0.1)(x, 0.0), x)


def test_large_noise_leaves_the_mean_and_the_first_order_law():
    points, x = randn(80, 5), randn(4, 5, seed=1)
    denoiser, mean = EmpiricalDenoiser(points), points.mean(0)
    centered = points - mean
    covariance, skew = centered.T @ centered / 80, centered.square().sum(1) @ centered / 80
    sigma = 300.0
    assert torch.allclose(denoiser(x, 1e4), mean.expand(4, 5), atol=1e-6)
    first_order = (x - mean) @ covariance - skew / 2
    assert torch.allclose((denoiser(x, sigma) - mean) * sigma**2, first_order, atol=1e-3)


def test_blur_is_an_early_stop_of_the_same_flow():
    points, x, sigma, blur = randn(30, 2), randn(12, 2, seed=1), 0.7, 0.4
    stopped = (sigma**2 + blur**2) ** 0.5
    slow = (EmpiricalDenoiser(points, blur)(x, sigma) - x) / sigma**2
    assert torch.allclose(slow, (EmpiricalDenoiser(points)(x, stopped) - x) / stopped**2, rtol=1e-12)


def test_symmetries():
    points, x, sigma = randn(40, 6), randn(10, 6, seed=1), 0.8
    base = EmpiricalDenoiser(points, 0.3)(x, sigma)
    rotation = torch.linalg.qr(randn(6, 6, seed=2)).Q
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(EmpiricalDenoiser(points[order], 0.3)(x, sigma), base, rtol=1e-10)
    assert torch.allclose(EmpiricalDenoiser(points @ rotation, 0.3)(x @ rotation, sigma), base @ rotation, rtol=1e-10)
    assert torch.allclose(EmpiricalDenoiser(points + 5, 0.3)(x + 5, sigma), base + 5, rtol=1e-10)
    assert torch.allclose(EmpiricalDenoiser(3 * points, 0.9)(3 * x, 3 * sigma), 3 * base, rtol=1e-10)
    doubled = torch.cat([points, points[:7]])
    weights = torch.ones(40, dtype=F64).index_fill(0, torch.arange(7), 2.0) / 47
    still = MixtureDenoiser(weights, points, 0.09 * torch.eye(6, dtype=F64).expand(40, 6, 6))
    assert torch.allclose(EmpiricalDenoiser(doubled, 0.3)(x, sigma), still(x, sigma), rtol=1e-9)


# The normal denoisers


def test_gaussian_is_the_wiener_filter():
    mean, covariance, x = randn(5), spread(5, 1), randn(8, 5, seed=2)
    for sigma in (0.05, 1.0, 20.0):
        gain = torch.linalg.solve(covariance + sigma**2 * torch.eye(5, dtype=F64), covariance).T
        assert torch.allclose(GaussianDenoiser(mean, covariance)(x, sigma), mean + (x - mean) @ gain.T, rtol=1e-10)


def test_gaussian_limits_projection_identity_and_mean():
    mean, x = randn(6), randn(8, 6, seed=1)
    basis = torch.linalg.qr(randn(6, 3, seed=2)).Q
    flat = GaussianDenoiser(mean, basis @ torch.diag(torch.tensor([4.0, 1.0, 0.2], dtype=F64)) @ basis.T)
    assert torch.allclose(flat(x, 0.0), mean + (x - mean) @ basis @ basis.T, atol=1e-12)
    assert torch.allclose(GaussianDenoiser(mean, spread(6, 3))(x, 0.0), x, atol=1e-12)
    assert torch.allclose(GaussianDenoiser(mean, spread(6, 3))(x, 1e6), mean.expand(8, 6), atol=1e-9)


def test_mixture_equals_bayes_rule_with_torch_distributions():
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=F64)
    means, covariances = 2 * randn(3, 4), torch.stack([spread(4, k) for k in range(3)])
    x, sigma = 2 * randn(10, 4, seed=5), 0.6
    noisy = covariances + sigma**2 * torch.eye(4, dtype=F64)
    joint = weights.log() + torch.stack([MultivariateNormal(m, c).log_prob(x) for m, c in zip(means, noisy)], 1)
    share = joint.softmax(1)
    filtered = torch.stack([GaussianDenoiser(m, c)(x, sigma) for m, c in zip(means, covariances)], 1)
    mixture = MixtureDenoiser(weights, means, covariances)
    assert torch.allclose(mixture.responsibilities(x, sigma), share, atol=1e-12)
    assert torch.allclose(mixture(x, sigma), (share[..., None] * filtered).sum(1), rtol=1e-10)


def test_a_mixture_of_points_is_the_empirical_denoiser():
    points, x = randn(20, 3), randn(30, 3, seed=1)
    uniform = torch.full((20,), 1 / 20, dtype=F64)
    for blur in (0.0, 0.5):
        mixture = MixtureDenoiser(uniform, points, blur**2 * torch.eye(3, dtype=F64).expand(20, 3, 3))
        for sigma in (0.0, 0.05, 1.0, 50.0):
            assert torch.allclose(mixture(x, sigma), EmpiricalDenoiser(points, blur)(x, sigma), rtol=1e-9, atol=1e-9)


def test_mixture_is_finite_where_densities_underflow():
    means, covariances = randn(3, 8), torch.stack([spread(8, k) for k in range(3)])
    mixture = MixtureDenoiser(torch.ones(3) / 3, means.float(), covariances.float())
    x = torch.full((2, 8), 1e4)
    clean = mixture(x, 1e-3)
    assert clean.dtype == torch.float32 and clean.isfinite().all()
    assert torch.allclose(clean, x, rtol=1e-4)


# What holds for every denoiser


def laws():
    points = randn(12, 3)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=F64)
    means, covariances = randn(3, 3, seed=1), torch.stack([spread(3, k) for k in range(3)])
    eye = torch.eye(3, dtype=F64)
    return {
        "empirical": (EmpiricalDenoiser(points), torch.ones(12, dtype=F64) / 12, points, torch.zeros(12, 3, 3, dtype=F64)),
        "blurred": (EmpiricalDenoiser(points, 0.5), torch.ones(12, dtype=F64) / 12, points, 0.25 * eye.expand(12, 3, 3)),
        "gaussian": (GaussianDenoiser(means[0], covariances[0]), torch.ones(1, dtype=F64), means[:1], covariances[:1]),
        "mixture": (MixtureDenoiser(weights, means, covariances), weights, means, covariances),
    }


@pytest.mark.parametrize("name", laws())
@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_tweedie_first_and_second_order(name, sigma):
    denoiser, weights, means, covariances = laws()[name]
    noisy = covariances + sigma**2 * torch.eye(3, dtype=F64)
    density = MixtureSameFamily(Categorical(weights), MultivariateNormal(means, noisy))
    x = randn(5, 3, seed=9).requires_grad_()
    gradient, = torch.autograd.grad(density.log_prob(x).sum(), x)
    assert torch.allclose(score(denoiser, x, sigma), gradient, rtol=1e-8, atol=1e-10)
    for row in x.detach():
        jacobian = torch.autograd.functional.jacobian(lambda z: denoiser(z[None], sigma)[0], row)
        hessian = torch.autograd.functional.hessian(lambda z: density.log_prob(z[None])[0], row)
        assert torch.allclose(jacobian, torch.eye(3, dtype=F64) + sigma**2 * hessian, atol=1e-8)
        assert torch.allclose(jacobian, jacobian.T, atol=1e-10)
        assert (torch.linalg.eigvalsh(jacobian) > -1e-12).all()


def test_guidance_is_linear_in_its_weight_and_zero_is_the_positive_denoiser():
    positive, negative, x = EmpiricalDenoiser(randn(9, 2), 0.2), EmpiricalDenoiser(randn(9, 2), 0.9), randn(4, 2, seed=1)
    assert torch.equal(guided(positive, negative, 0.0)(x, 1.0), positive(x, 1.0))
    expected = 3 * positive(x, 1.0) - 2 * negative(x, 1.0)
    assert torch.allclose(guided(positive, negative, 2.0)(x, 1.0), expected, rtol=1e-12)


def test_score_takes_a_level_for_every_event_and_refuses_zero():
    denoiser, x = EmpiricalDenoiser(randn(9, 2, 2)), randn(3, 2, 2, seed=1)
    sigmas = torch.tensor([0.5, 1.0, 2.0], dtype=F64)
    rows = [score(denoiser, row[None], float(sigma)) for row, sigma in zip(x, sigmas)]
    assert torch.allclose(score(denoiser, x, sigmas), torch.cat(rows), rtol=1e-12)
    with pytest.raises(ValueError, match="pass sigma > 0"):
        score(denoiser, x, 0.0)


POINTS = randn(5, 2)


def test_a_covariance_may_be_symmetric_up_to_the_rounding_of_any_kernels():
    # 1,024 images in float32 under plain kernels and three threads: 3.3e-6 of the largest entry
    covariance = torch.tensor([[1.0, 0.5], [0.5 + 4e-6, 1.0]], dtype=F64)
    x = randn(4, 2)
    exact = GaussianDenoiser(POINTS[0], (covariance + covariance.mT) / 2)(x, 1.0)
    assert torch.equal(GaussianDenoiser(POINTS[0], covariance)(x, 1.0), exact)


@pytest.mark.parametrize("call, kind, sentence", [
    (lambda: EmpiricalDenoiser(POINTS.to(torch.int64)), TypeError, "expected floating point"),
    (lambda: EmpiricalDenoiser(POINTS.numpy()), TypeError, "as_tensor"),
    (lambda: EmpiricalDenoiser(POINTS[:0]), ValueError, "holds 0 events"),
    (lambda: EmpiricalDenoiser(POINTS[:, 0]), ValueError, "one event a row"),
    (lambda: EmpiricalDenoiser(POINTS.log()), ValueError, "NaN or infinite"),
    (lambda: EmpiricalDenoiser(POINTS, -0.1), ValueError, "blur is -0.1"),
    (lambda: EmpiricalDenoiser(POINTS, float("nan")), ValueError, "blur is nan"),
    (lambda: EmpiricalDenoiser(POINTS)(POINTS[:, :1], 1.0), ValueError, "expected equal shapes"),
    (lambda: EmpiricalDenoiser(POINTS)(POINTS, -1.0), ValueError, "sigma runs from -1"),
    (lambda: EmpiricalDenoiser(POINTS)(POINTS, float("nan")), ValueError, "finite noise levels"),
    (lambda: EmpiricalDenoiser(POINTS)(POINTS, torch.ones(3)), ValueError, "one value for each of the 5"),
    (lambda: GaussianDenoiser(POINTS[0], torch.eye(3, dtype=F64)), ValueError, "do not match"),
    (lambda: GaussianDenoiser(POINTS[0], -torch.eye(2, dtype=F64)), ValueError, "eigenvalue -1"),
    (lambda: GaussianDenoiser(POINTS[0], torch.tensor([[1.0, 0.5], [0.0, 1.0]], dtype=F64)), ValueError, "not symmetric"),
    (lambda: GaussianDenoiser(POINTS[0], torch.full((2, 2), torch.nan, dtype=F64)), ValueError, "NaN"),
    (lambda: GaussianDenoiser(POINTS[0], torch.eye(2, dtype=F64))(randn(4, 3), 1.0), ValueError, "3 entries an event"),
    (lambda: MixtureDenoiser(torch.tensor([0.5, 0.6]), POINTS[:2], torch.eye(2, dtype=F64).expand(2, 2, 2)), ValueError,
     "sum to 1"),
    (lambda: guided(None, None, float("inf")), ValueError, "weight is inf"),
])
def test_bad_input_gets_a_sentence(call, kind, sentence):
    with pytest.raises(kind, match=sentence):
        call()
