"""Nine properties of Gaussians that were fitted to white data, for many training sets at once: what does n = d change?"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from nearsight import checks
from nearsight.gaussian.divergences import fit, log_affinity, squared_bures

PROPERTIES = ("KL(fit, truth)", "KL(truth, fit)", "exponent", "W2", "convergence", "preference", "memorized",
              "training error", "held-out error")


def fit_properties(train: Tensor, fresh: Tensor, sigma: float, generator: Generator, drawn: int = 200) -> dict[str, Tensor]:
    """PROPERTIES of the Gaussians fitted to each of many sets, against the truth N(0, I); {name: [sets]}.

    Divergences, exponent -ln(1 - H^2) and W2^2 are per dimension, and inf where n <= d makes the fit singular. Convergence
    tr S^1/2 S'^1/2 / d is of pairs of fits: [sets/2]. Nearness is of `drawn` samples of each fit, errors at noise `sigma`.
    train, fresh [sets, n, d], an even number of sets, float64. Raises ValueError for other shapes. Cost O(sets (n + d) d^2).
    """
    checks.floating(train, "train"), checks.floating(fresh, "fresh", tuple(train.shape))
    if train.ndim != 3 or len(train) % 2:
        raise ValueError(f"train has shape {list(train.shape)}; expected [sets, n, d] with an even number of sets.")
    sigma, (sets, n, d) = checks.positive(sigma, "sigma"), train.shape
    mean, covariance = fit(train)
    spectrum, basis = torch.linalg.eigh(covariance)
    spectrum = spectrum.clamp(min=0)
    root = (basis * spectrum.sqrt().unsqueeze(1)) @ basis.mT
    noise = torch.randn(sets, checks.count(drawn, "drawn"), d, generator=generator, dtype=train.dtype)
    samples = mean.unsqueeze(1) + noise @ root
    return {**(divergences(mean, covariance) if n > d else infinite(sets)), **distances(mean, covariance, root),
            **nearness(samples, train, fresh), **errors(mean, spectrum, basis, sigma)}


def divergences(mean: Tensor, covariance: Tensor) -> dict[str, Tensor]:
    """The first three properties of regular fits."""
    d = mean.shape[1]
    truth, fits = MultivariateNormal(torch.zeros_like(mean[0]), torch.eye(d).to(mean)), MultivariateNormal(mean, covariance)
    return {"KL(fit, truth)": kl_divergence(fits, truth) / d, "KL(truth, fit)": kl_divergence(truth, fits) / d,
            "exponent": -log_affinity(fits, truth) / d}


def infinite(sets: int) -> dict[str, Tensor]:
    """The same of singular fits: a law on a subspace is infinitely far from one that is not, whatever the data."""
    return dict.fromkeys(PROPERTIES[:3], torch.full((sets,), math.inf))


def distances(mean: Tensor, covariance: Tensor, root: Tensor) -> dict[str, Tensor]:
    """W2^2/d to the truth, and convergence of neighboring sets; `root` is the symmetric root of the covariance."""
    d = mean.shape[1]
    squared = squared_bures(covariance, torch.eye(d).to(mean).expand_as(covariance)) + mean.square().sum(1)
    return {"W2": squared / d, "convergence": (root[::2] * root[1::2]).sum((1, 2)) / d}


def nearness(samples: Tensor, train: Tensor, fresh: Tensor) -> dict[str, Tensor]:
    """Shares of samples [sets, drawn, d] that are nearer to train than to fresh, and that are copies (d_1 < d_2/3)."""
    own, other = (torch.cdist(samples, points).topk(2, largest=False).values for points in (train, fresh))
    return {"preference": (own[..., 0] < other[..., 0]).double().mean(1),
            "memorized": (own[..., 0] < own[..., 1] / 3).double().mean(1)}


def errors(mean: Tensor, spectrum: Tensor, basis: Tensor, sigma: float) -> dict[str, Tensor]:
    """Denoising errors of the fits per entry, exactly, on their own points and in expectation over fresh ones."""
    gain = spectrum / (spectrum + sigma**2)
    # Second moments of a fresh point around the fitted mean, along each eigenvector.
    unseen = 1 + (basis.mT @ mean.unsqueeze(-1)).squeeze(-1).square()
    blurred = sigma**2 * gain.square()
    return {"training error": (spectrum * (1 - gain) ** 2 + blurred).mean(1),
            "held-out error": (unseen * (1 - gain) ** 2 + blurred).mean(1)}
