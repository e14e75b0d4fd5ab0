import pytest
import torch
from sklearn.decomposition import PCA
from torch.distributions import MultivariateNormal

from nearsight.datasets import fashion_mnist
from nearsight.measures.features import frechet, principal_basis
from nearsight.gaussian import squared_wasserstein


def test_principal_features_are_those_of_scikit_learn_up_to_sign():
    pool = torch.randn(200, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).cumsum(2)
    basis, peer = principal_basis(pool, 4), PCA(4).fit(pool.flatten(1))
    torch.testing.assert_close(basis(pool).abs(), torch.from_numpy(peer.transform(pool.flatten(1))).abs())
    torch.testing.assert_close(basis.shares, torch.from_numpy(peer.explained_variance_ratio_))


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
    (lambda x: frechet(x, x[:, :2]), "expected equal shapes"),
    (lambda x: frechet(x[:1], x), "at least 2"),
    (lambda x: frechet(x[:, None], x), "expected features"),
])
def test_bad_input_is_refused_with_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call(torch.rand(5, 3, generator=torch.Generator().manual_seed(0)))
