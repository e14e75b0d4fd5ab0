"""Exact denoisers of normal laws: one Gaussian (the Wiener filter) and a mixture of them."""

from __future__ import annotations

import torch
from torch import Tensor

from nearsight import checks


class MixtureDenoiser:
    """Posterior mean when clean data are a mixture of normal laws, sum_k w_k N(m_k, C_k).

        D(x, sigma)   = sum_k r_k(x, sigma) D_k(x, sigma)
        D_k(x, sigma) = m_k + C_k (C_k + sigma^2 I)^-1 (x - m_k)                        the Wiener filter of component k
        r_k           = softmax_k( ln w_k + ln N(x; m_k, C_k + sigma^2 I) )             the responsibilities

    weights [k] that sum to 1, means [k, d], covariances [k, d, d], symmetric, may be singular; x [B, *event] with d
    entries an event; sigma a number or [B]. Returns the shape and dtype of x; inside, all is float64. At sigma = 0 a
    singular component projects onto its range (0/0 counts as 0) and outweighs those that are farther from x, or regular.
    One eigendecomposition a component at construction; 4 k B d^2 operations a call.

    Raises ValueError for shapes that do not match, entries that are not finite, weights that are negative or do not sum
    to 1, and covariances that are not symmetric or have an eigenvalue below -1e-6 times the largest.
    """

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor):
        checks.points(means, "means"), checks.points(covariances, "covariances")
        checks.vector(weights, "weights"), checks.exact(means, type(self).__name__)
        checks.same_device(means, covariances, "means", "covariances")
        checks.same_device(means, weights, "means", "weights")
        count, d = means.shape[0], means[0].numel()
        if means.ndim != 2 or weights.shape != (count,) or covariances.shape != (count, d, d):
            raise ValueError(f"weights {list(weights.shape)}, means {list(means.shape)} and covariances "
                             f"{list(covariances.shape)} do not match; expected [k], [k, d] and [k, d, d].")
        weights = weights.double()
        if not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-6:
            raise ValueError(f"weights run from {weights.min():g} and sum to {weights.sum():g}; expected shares >= 0 "
                             "that sum to 1: try weights / weights.sum().")
        self._log_weights = weights.log()
        self._means = means.double()
        spectra, self._bases = torch.linalg.eigh(_symmetric(covariances.double()))
        largest = spectra.abs().amax(1, keepdim=True)
        if (spectra < -1e-6 * largest).any():
            raise ValueError(f"a covariance has the eigenvalue {spectra.min():g}; expected none below 0.")
        # What rounding left of a zero eigenvalue must be a zero, or sigma = 0 would not project.
        self._spectra = torch.where(spectra > d * torch.finfo(torch.float64).eps * largest, spectra, 0.0)

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        variance, coordinates = self._coordinates(x, sigma)
        signal = self._spectra[:, None]
        gain = torch.where(signal > 0, signal / (signal + variance), 0.0)
        filtered = self._means[:, None] + (gain * coordinates) @ self._bases.mT
        shares = self._log_responsibilities(variance, coordinates).exp()
        return torch.einsum("kb,kbd->bd", shares, filtered).to(x.dtype).reshape(x.shape)

    def responsibilities(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Posterior probability [B, k] of each component given x [B, *event] at noise level sigma."""
        return self._log_responsibilities(*self._coordinates(x, sigma)).exp().T.to(x.dtype)

    def _coordinates(self, x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """Noise variance [B or 1, 1] and x - m_k in the eigenbasis of each component [k, B, d]."""
        checks.same_device(self._means, checks.batch(x), "the mean", "x")
        rows = x.flatten(1).double()
        if rows.shape[1] != self._means.shape[1]:
            raise ValueError(f"x has {rows.shape[1]} entries an event; expected {self._means.shape[1]}, as the mean has.")
        return checks.noise_level(sigma, x).square().reshape(-1, 1), (rows - self._means[:, None]) @ self._bases

    def _log_responsibilities(self, variance: Tensor, coordinates: Tensor) -> Tensor:
        """ln r_k [k, B]; the factor (2 pi)^(-d/2) is common to all components."""
        # The limit sigma -> 0 of singular components, kept finite: far below any eigenvalue, far above float64's least.
        total = (self._spectra[:, None] + variance).clamp(min=1e-60)
        log_density = -(coordinates.square() / total + total.log()).sum(-1) / 2
        return (self._log_weights[:, None] + log_density).log_softmax(0)


class GaussianDenoiser(MixtureDenoiser):
    """Posterior mean when clean data are N(mean, covariance): the Wiener filter, a mixture of one.

        D(x, sigma) = m + V diag(lambda / (lambda + sigma^2)) V^T (x - m),      covariance = V diag(lambda) V^T

    mean [d], covariance [d, d], symmetric, may be singular; x [B, *event] with d entries an event; sigma a number or [B].
    Returns the shape and dtype of x. At sigma = 0 it projects onto the range of the covariance, so it is the identity
    where that is regular. It is also the best denoiser that is linear in x, for any law with these two moments, and what
    a linear network trained on them converges to. Cost and errors as for `MixtureDenoiser`.
    """

    def __init__(self, mean: Tensor, covariance: Tensor):
        checks.vector(mean, "mean"), checks.floating(covariance, "covariance")
        super().__init__(mean.new_ones(1), mean[None], covariance[None])


def _symmetric(matrices: Tensor) -> Tensor:
    """The matrices [k, d, d] themselves, made exactly symmetric; ValueError if they were not nearly so."""
    # Some kernels take the two halves of a float32 covariance in different orders: 3e-6 apart for a thousand images.
    if (matrices - matrices.mT).abs().max() > 1e-5 * matrices.abs().max():
        raise ValueError("a covariance is not symmetric: try (covariance + covariance.mT) / 2.")
    return (matrices + matrices.mT) / 2
