"""What can be made of any denoiser: its score, and the guidance of one denoiser by another."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from nearsight import checks

Denoiser = Callable[[Tensor, "float | Tensor"], Tensor]


def score(denoiser: Denoiser, x: Tensor, sigma: float | Tensor) -> Tensor:
    """Gradient of the log density of noised data, by Tweedie's formula.

        score(x, sigma) = (D(x, sigma) - x) / sigma^2 = grad_x log p_sigma(x)

    x [B, *event], sigma a number or [B], > 0; returns the shape and dtype of x. The difference D - x is of the order of
    sigma^2 where the density is smooth, so in float32 all digits are lost below sigma of about 1e-3 times the size of x:
    pass float64 there. Raises ValueError at sigma = 0. Source: Efron 2011; Vincent 2011.
    """
    level = checks.noise_level(sigma, x)
    if (level == 0).any():
        raise ValueError("sigma is 0; the score of a noiseless law may not exist: pass sigma > 0.")
    return (checks.denoiser(denoiser)(x, sigma) - x) / (level**2).to(x.dtype)


def guided(positive: Denoiser, negative: Denoiser, weight: float) -> Denoiser:
    """Denoiser that is pushed from `negative` toward and beyond `positive`.

        D_w = D_pos + w * (D_pos - D_neg)

    With a conditional and an unconditional denoiser this is classifier-free guidance (Ho and Salimans 2022, arXiv
    2207.12598), with a better and a worse copy autoguidance (Karras et al. 2024, arXiv 2406.02507). `weight` = 0 is the
    positive denoiser itself. Costs one call of each. Raises ValueError for a weight that is not finite, and at
    the call for a denoiser that changes the shape.
    """
    weight = checks.finite(weight, "weight")
    positive, negative = checks.denoiser(positive, "positive denoiser"), checks.denoiser(negative, "negative denoiser")

    def denoiser(x: Tensor, sigma: float | Tensor) -> Tensor:
        checks.batch(x)
        wanted = positive(x, sigma)
        return wanted + weight * (wanted - negative(x, sigma)) if weight else wanted

    return denoiser
