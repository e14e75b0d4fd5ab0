"""How far apart two Gaussians are, and the Gaussian fitted to samples.

KL is torch's own: `torch.distributions.kl_divergence(p, q)`. One pair of laws gives a float, a batch of pairs a tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from nearsight import checks
from nearsight.gaussian import inputs


def fit(points: Tensor, floor: float = 0.0) -> tuple[Tensor, Tensor]:
    """Fit a Gaussian by maximum likelihood and add a floor to its variances.

        m = (1/n) sum_i y_i,    S = (1/n) sum_i (y_i - m)(y_i - m)^T + floor I

    points [*batch, n, d]; returns the mean [*batch, d] and the covariance [*batch, d, d], which is singular for n <= d
    and floor = 0. Raises ValueError for floor < 0. Cost O(n d^2).
    """
    values = inputs.samples(points, "points")
    floor = checks.not_negative(floor, "floor")
    mean = values.mean(-2)
    centered = values - mean.unsqueeze(-2)
    covariance = centered.mT @ centered / values.shape[-2]
    covariance.diagonal(dim1=-2, dim2=-1).add_(floor)
    return mean.to(points), covariance.to(points)


def log_affinity(p: MultivariateNormal, q: MultivariateNormal) -> float | Tensor:
    """Logarithm of the Bhattacharyya affinity BC = int sqrt(p q) <= 1 of two Gaussians.

        ln BC = 1/4 ln |S_p| |S_q| - 1/2 ln |M| - 1/8 delta^T M^-1 delta,    M = (S_p + S_q) / 2, delta = m_p - m_q

    It stays finite where the squared Hellinger distance 1 - BC rounds to 1. Raises TypeError for other laws and
    ValueError for unequal dimensions. Cost O(d^3).
    """
    _pair(p, q)
    middle = torch.linalg.cholesky((p.covariance_matrix.double() + q.covariance_matrix.double()) / 2)
    delta = (p.loc.double() - q.loc.double()).unsqueeze(-1)
    whitened = torch.linalg.solve_triangular(middle, delta, upper=False).squeeze(-1)
    logarithm = ((_half_log_determinant(p.scale_tril) + _half_log_determinant(q.scale_tril)) / 2
                 - _half_log_determinant(middle) - whitened.square().sum(-1) / 8)
    return _plain(logarithm.clamp(max=0))


def squared_hellinger(p: MultivariateNormal, q: MultivariateNormal) -> float | Tensor:
    """Squared Hellinger distance H^2 = 1 - int sqrt(p q), in [0, 1] and invariant under affine maps.

    Near 1 it says little: `log_affinity` is ln(1 - H^2). Raises as `log_affinity` does. Cost O(d^3).
    """
    return _plain(-torch.expm1(torch.as_tensor(log_affinity(p, q), dtype=torch.float64)))


def squared_wasserstein(p: MultivariateNormal, q: MultivariateNormal) -> float | Tensor:
    """Squared 2-Wasserstein distance W2^2 = |m_p - m_q|^2 + `squared_bures`(S_p, S_q), in squared units of the data.

    Raises as `log_affinity` does. Cost O(d^3).
    """
    _pair(p, q)
    shift = (p.loc.double() - q.loc.double()).square().sum(-1)
    return _plain(shift + squared_bures(p.covariance_matrix, q.covariance_matrix))


def squared_bures(a: Tensor, b: Tensor) -> float | Tensor:
    """W2^2 between centered Gaussians with covariances a and b [*batch, d, d], either of which may be singular.

        W2^2 = tr a + tr b - 2 tr (a^1/2 b a^1/2)^1/2

    The last trace is the sum of the singular values of a^1/2 b^1/2, which is stable where the nested root is not.
    Raises ValueError for covariances that are not square, not symmetric, not finite or clearly negative.
    Source: Olkin and Pukelsheim 1982. Cost O(d^3).
    """
    a = inputs.covariance(a, "a")
    b = inputs.covariance(b, "b", a.shape[-1])
    overlap = torch.linalg.svdvals(_root(a) @ _root(b)).sum(-1)
    traces = (a + b).diagonal(dim1=-2, dim2=-1).sum(-1)
    return _plain((traces - 2 * overlap).clamp(min=0))


def _pair(p: MultivariateNormal, q: MultivariateNormal) -> None:
    for law in (p, q):
        if not isinstance(law, MultivariateNormal):
            raise TypeError(f"got a {type(law).__name__}; expected two torch.distributions.MultivariateNormal.")
    if p.event_shape != q.event_shape:
        raise ValueError(f"the laws live in {p.event_shape[0]} and {q.event_shape[0]} dimensions; expected as many.")


def _half_log_determinant(scale_tril: Tensor) -> Tensor:
    return scale_tril.double().diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _root(covariance: Tensor) -> Tensor:
    """Symmetric square root of a positive semidefinite matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt().unsqueeze(-2)) @ vectors.mT


def _plain(value: Tensor) -> float | Tensor:
    return value.item() if value.ndim == 0 else value
