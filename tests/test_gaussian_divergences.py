"""Divergences between Gaussians: golden numbers, invariances, singular covariances."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.gaussian import fit, log_affinity, squared_bures, squared_hellinger, squared_wasserstein
from scipy.linalg import sqrtm
from torch.distributions import MultivariateNormal, kl_divergence

SEEDS = st.integers(0, 2**31 - 1)
A = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
B = torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64))


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_law(seed, d=4):
    root = normal(d, d, seed=seed)
    return MultivariateNormal(normal(d, seed=seed + 1), root @ root.T + 0.1 * torch.eye(d, dtype=torch.float64))


def mapped(law, matrix, shift):
    return MultivariateNormal(matrix @ law.loc + shift, matrix @ law.covariance_matrix @ matrix.T)


def test_golden_numbers():
    p, q = (MultivariateNormal(torch.zeros(2, dtype=torch.float64), c) for c in (A, B))
    assert squared_hellinger(p, q) == pytest.approx(0.0971807, abs=5e-8)
    assert squared_wasserstein(p, q) == pytest.approx(0.7712204, abs=5e-8)
    assert kl_divergence(p, q).item() == pytest.approx(0.3938410, abs=5e-8)
    assert kl_divergence(q, p).item() == pytest.approx(0.5228256, abs=5e-8)
    one = torch.ones(1, dtype=torch.float64)
    line = squared_hellinger(MultivariateNormal(0 * one, one[None]), MultivariateNormal(one, 2 * one[None]))
    assert isinstance(line, float) and line == pytest.approx(0.1066520, abs=5e-8)


def test_affinity_is_the_integral_of_the_root_of_the_product():
    x = torch.linspace(-12, 14, 4001, dtype=torch.float64)
    p = MultivariateNormal(torch.zeros(1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    q = MultivariateNormal(torch.ones(1, dtype=torch.float64), 2 * torch.ones(1, 1, dtype=torch.float64))
    integral = torch.trapezoid(((p.log_prob(x[:, None]) + q.log_prob(x[:, None])) / 2).exp(), x)
    assert math.exp(log_affinity(p, q)) == pytest.approx(integral.item(), rel=1e-12)


def test_bures_equals_the_nested_matrix_roots():
    root = sqrtm(A.numpy())
    expected = torch.trace(A + B).item() - 2 * sqrtm(root @ B.numpy() @ root).trace().real
    assert squared_bures(A, B) == pytest.approx(expected, rel=1e-12)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_hellinger_is_invariant_under_affine_maps_and_wasserstein_under_rotations(seed):
    p, q, matrix = random_law(seed), random_law(seed + 10), normal(4, 4, seed=seed + 20) + 4 * torch.eye(4)
    shift, rotation = normal(4, seed=seed + 30), torch.linalg.qr(matrix)[0]
    stretched = squared_hellinger(mapped(p, matrix, shift), mapped(q, matrix, shift))
    assert stretched == pytest.approx(squared_hellinger(p, q), rel=1e-9)
    turned = squared_wasserstein(mapped(p, rotation, shift), mapped(q, rotation, shift))
    assert turned == pytest.approx(squared_wasserstein(p, q), rel=1e-9)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_kl_bounds_the_affinity_and_the_affinity_bounds_hellinger(seed):
    p, q = random_law(seed), random_law(seed + 10)
    assert kl_divergence(p, q).item() >= -2 * log_affinity(p, q) >= 2 * squared_hellinger(p, q) >= 0
    assert log_affinity(p, q) == pytest.approx(log_affinity(q, p), rel=1e-9)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_wasserstein_satisfies_the_triangle_inequality(seed):
    p, q, r = (random_law(seed + k) for k in (0, 10, 20))
    assert squared_wasserstein(p, r) ** 0.5 <= squared_wasserstein(p, q) ** 0.5 + squared_wasserstein(q, r) ** 0.5


def test_a_law_has_no_distance_to_itself_even_if_singular():
    p = random_law(0)
    assert squared_hellinger(p, p) == pytest.approx(0, abs=1e-14)
    assert squared_wasserstein(p, p) == pytest.approx(0, abs=1e-12)
    _, flat = fit(normal(3, 8, seed=1))
    assert squared_bures(flat, flat) == pytest.approx(0, abs=1e-12)
    assert squared_bures(torch.zeros(3, 3), torch.eye(3)) == 3


def test_hellinger_keeps_its_exponent_where_it_rounds_to_one():
    p = MultivariateNormal(torch.zeros(300, dtype=torch.float64), torch.eye(300, dtype=torch.float64))
    q = MultivariateNormal(torch.zeros(300, dtype=torch.float64), 9 * torch.eye(300, dtype=torch.float64))
    assert squared_hellinger(p, q) == 1
    assert log_affinity(p, q) == pytest.approx(150 * math.log(2 * 3 / 10), rel=1e-12)


def test_a_batch_gives_the_distances_one_by_one():
    laws = [random_law(k) for k in range(3)]
    batch = MultivariateNormal(torch.stack([p.loc for p in laws]), torch.stack([p.covariance_matrix for p in laws]))
    for distance in (squared_hellinger, squared_wasserstein, log_affinity):
        torch.testing.assert_close(distance(batch, laws[0]).tolist(), [distance(p, laws[0]) for p in laws])


def test_float32_laws_are_compared_in_float64():
    p, q = (MultivariateNormal(torch.zeros(2), c.float()) for c in (A, B))
    assert squared_wasserstein(p, q) == pytest.approx(0.7712204, abs=5e-8)
    assert squared_hellinger(p, q) == pytest.approx(0.0971807, abs=5e-7)


def test_fit_is_the_biased_sample_covariance_plus_the_floor():
    points = normal(7, 3, seed=3)
    mean, covariance = fit(points, floor=0.5)
    torch.testing.assert_close(mean, points.mean(0))
    torch.testing.assert_close(covariance, torch.cov(points.T, correction=0) + 0.5 * torch.eye(3, dtype=torch.float64))
    assert fit(points.float())[1].dtype == torch.float32
    assert torch.linalg.matrix_rank(fit(normal(3, 8, seed=1))[1]) == 2
    batched = fit(normal(5, 7, 3, seed=4))[1]
    torch.testing.assert_close(batched[2], fit(normal(5, 7, 3, seed=4)[2])[1])


@pytest.mark.parametrize("call, error, sentence", [
    (lambda: fit(torch.zeros(3, 2), floor=-1.0), ValueError, "floor is -1"),
    (lambda: fit(torch.full((3, 2), float("nan"))), ValueError, "NaN"),
    (lambda: fit(torch.zeros(3, 2, dtype=torch.int64)), TypeError, "floating point"),
    (lambda: squared_bures(torch.eye(3), torch.eye(2)), ValueError, r"expected \[3, 3\]"),
    (lambda: squared_bures(torch.ones(3, 2), torch.eye(2)), ValueError, r"shape \[3, 2\]"),
    (lambda: squared_bures(-torch.eye(2), torch.eye(2)), ValueError, "eigenvalue -1"),
    (lambda: squared_bures(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.eye(2)), ValueError, "not symmetric"),
    (lambda: squared_bures(torch.full((2, 2), math.nan), torch.eye(2)), ValueError, "NaN"),
    (lambda: squared_bures([[1.0]], torch.eye(1)), TypeError, "torch tensor"),
    (lambda: squared_hellinger(random_law(0), torch.eye(2)), TypeError, "MultivariateNormal"),
    (lambda: squared_wasserstein(random_law(0, 2), random_law(0, 3)), ValueError, "2 and 3 dimensions"),
])
def test_bad_input_is_answered_with_a_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
