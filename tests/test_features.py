import tracemalloc

import pytest
import torch
from nearsight.datasets import fashion_mnist
from nearsight.gaussian import squared_wasserstein
from nearsight.measures.features import frechet, principal_basis
from sklearn.decomposition import PCA
from torch.distributions import MultivariateNormal
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def test_principal_features_are_those_of_scikit_learn_up_to_sign():
    pool = torch.randn(200, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).cumsum(2)
    basis, peer = principal_basis(pool, 4), PCA(4).fit(pool.flatten(1))
    torch.testing.assert_close(basis(pool).abs(), torch.from_numpy(peer.transform(pool.flatten(1))).abs())
    torch.testing.assert_close(basis.shares, torch.from_numpy(peer.explained_variance_ratio_))


@pytest.mark.parametrize("n, d, count", [(300, 12, 1), (300, 12, 11), (300, 12, 12), (12, 40, 4), (12, 40, 11), (3, 1, 1)])
def test_principal_directions_are_the_leading_eigenvectors_of_the_covariance(n, d, count):
    generator = torch.Generator().manual_seed(n)
    pool = torch.randn(n, d, generator=generator, dtype=torch.float64) * torch.logspace(0, -3, d, dtype=torch.float64) + 5
    basis = principal_basis(pool, count)
    variances, vectors = (part.flip(-1) for part in torch.linalg.eigh(torch.atleast_2d(torch.cov(pool.T))))
    torch.testing.assert_close(basis.mean, pool.mean(0))
    torch.testing.assert_close(basis.shares, variances[:count] / variances.sum(), rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(basis.directions @ basis.directions.T, torch.eye(count, dtype=torch.float64))
    torch.testing.assert_close((basis.directions @ vectors[:, :count]).abs(), torch.eye(count, dtype=torch.float64))
    largest = basis.directions.gather(1, basis.directions.abs().argmax(1, keepdim=True))
    assert (largest > 0).all()
    assert torch.equal(principal_basis(pool, count).directions, basis.directions)


class Largest(TorchDispatchMode):
    """Knows the entries of the largest tensor that was made under it."""

    entries = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.entries = max([self.entries, *(leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor))])
        return result


def test_wide_events_need_no_matrix_of_all_their_pairs():
    pool = torch.randn(30, 3000, generator=torch.Generator().manual_seed(2))
    with Largest():
        principal_basis(pool[:, :9], 5)  # imports what it needs
    tracemalloc.start()
    with Largest() as largest:
        assert principal_basis(pool, 5).directions.shape == (5, 3000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert largest.entries <= pool.numel() and peak < 8 * 8 * pool.numel() < 8 * 3000**2


def test_the_frechet_distance_is_that_of_the_fitted_gaussians():
    first, second = torch.randn(2, 300, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    second = 1.3 * second + 0.2
    laws = [MultivariateNormal(points.mean(0), torch.cov(points.T)) for points in (first, second)]
    assert frechet(first, second) == pytest.approx(squared_wasserstein(*laws), rel=1e-9)
    assert frechet(first, first) == pytest.approx(0, abs=1e-12)
    assert frechet(first[:, :1], second[:, :1]) == pytest.approx(
        float((first[:, 0].mean() - second[:, 0].mean())**2 + (first[:, 0].std() - second[:, 0].std())**2), rel=1e-9)


def test_photographs_have_the_stated_spectrum_and_distances():
    pool, test, reference = (fashion_mnist(split, resolution=16).images for split in ("pool", "test", "reference"))
    wide = principal_basis(reference, 128)
    assert [float(wide.shares[:k].sum()) for k in (8, 32, 128)] == pytest.approx([0.7867, 0.9192, 0.9922], abs=5e-5)
    basis = principal_basis(reference, 32)
    pairs = {0.0781: (test, reference), 0.385: (test[:512], reference), 0.338: (pool[:512], reference),
             0.588: (pool[:512], pool[512:1024])}
    for expected, (first, second) in pairs.items():
        assert frechet(basis(first), basis(second)) == pytest.approx(expected, abs=5e-4 if expected > 0.1 else 5e-5)


@pytest.mark.parametrize("call, words", [
    (lambda x: principal_basis(x, 4), "1 to 3"),
    (lambda x: principal_basis(x[:3], 3), "1 to 2, the directions that 3 events of 3 entries determine"),
    (lambda x: principal_basis(x[:1].repeat(4, 1), 1), "one event 4 times"),
    (lambda x: frechet(x, x[:, :2]), "expected equal shapes"),
    (lambda x: frechet(x[:1], x), "at least 2"),
    (lambda x: frechet(x[:, None], x), "expected features"),
])
def test_bad_input_is_refused_with_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call(torch.rand(5, 3, generator=torch.Generator().manual_seed(0)))
