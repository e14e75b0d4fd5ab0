"""How far the states of a blurred denoiser's trajectories are from noised training data, and what dimension does to it.

Around a training point y noised data is N(y, sigma^2 I), while a trajectory of the denoiser with blur delta passes
through N(y, (sigma^2 + delta^2) I): it never comes to rest on y.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearsight import checks
from nearsight.quadrature import polar


def bhattacharyya(ratio: Tensor, dimension: int) -> Tensor:
    """Bhattacharyya coefficient of N(0, sigma^2 I) and N(0, (sigma^2 + delta^2) I) in `dimension` dimensions, in [0,
    1].

        BC = (2 q / (1 + q^2))^(D/2) ~ exp(-D (delta/sigma)^4 / 16),      q^2 = 1 + ratio^2,  ratio = delta / sigma

    1 for equal laws. Any shape; returns float64 of its shape, on the CPU.
    """
    ratio, dimension = checks.numbers(ratio, "ratio"), checks.count(dimension, "dimension")
    q = (1 + ratio ** 2).sqrt()
    return (2 * q / (1 + q**2)) ** (dimension / 2)


def mode_distance(ratio: Tensor, dimension: int) -> Tensor:
    """Total variation between noised data and trajectory states around a single training point, in [0, 1].

        TV = F_D(T) - F_D(T / q^2),      T = D ln q^2 / (1 - 1/q^2),  q^2 = 1 + ratio^2,  ratio = delta / sigma

    F_D is the chi^2 law with D degrees of freedom, of the squared distance from the point. Half separated at a ratio
    near 1.39 D^(-1/4). ratio > 0 of any shape; returns float64 of its shape, on
    the CPU.
    """
    ratio, dimension = checks.numbers(ratio, "ratio"), checks.count(dimension, "dimension")
    square = ratio ** 2
    # ln q^2 / (1 - 1/q^2), which nears 1 where the ratio is small: log1p keeps its digits.
    threshold = dimension * torch.log1p(square) * (1 + square) / square
    return _chi_square(threshold, dimension) - _chi_square(threshold / (1 + square), dimension)


def state_distance(points: Tensor, sigma: float, blur: float, dimension: int = 2) -> float:
    """Total variation between noised training data and trajectory states at noise level sigma, in [0, 1].

        TV = E_states[ (p_data(x) / p_states(x) - 1)_+ ]

    the advantage of the best classifier between the two mixtures over points [N, 2]. For `dimension` D > 2 the points
    are padded with zeros; the D - 2 further directions enter through the chi^2 law of their squared length, so that
    any D costs the same. By the polar rule around the trajectory states, right to 1e-3 for blur up to 6 sigma.
    """
    checks.exact(checks.points(points, "points"), "state_distance")
    dimension = checks.count(dimension, "dimension")
    if points.shape[1:] != (2,) or dimension < 2:
        raise ValueError(f"points has events of shape {list(points.shape[1:])} and dimension is {dimension}; "
                         "expected plane points [N, 2] and a dimension >= 2.")
    data_variance = checks.positive(sigma, "sigma") ** 2
    state_variance = data_variance + checks.positive(blur, "blur") ** 2
    noise, weights = (part.to(points.device) for part in polar())
    x = points.double() + state_variance**0.5 * noise[:, None]
    half_square = (x[:, :, None] - points.double()).square().sum(3) / 2
    log_widening = math.log(state_variance / data_variance)
    log_ratio = log_widening + ((-half_square / data_variance).logsumexp(2)
                                - (-half_square / state_variance).logsumexp(2))
    normal = dimension - 2
    # Data is the likelier source where the squared length in the normal directions stays below this.
    evidence = log_ratio + normal / 2 * log_widening
    threshold = 2 * evidence / (1 / data_variance - 1 / state_variance)
    gain = (log_ratio.exp() * _chi_square(threshold / data_variance, normal)
            - _chi_square(threshold / state_variance, normal))
    return float(weights @ gain.mean(1))


def padded_gap(train: Tensor, holdout: Tensor, sigmas: Tensor, blur: float, dimension: int) -> Tensor:
    """Mean-square gap of a blurred denoiser when its plane data is padded with zeros into `dimension` dimensions.

        G_D = (A_holdout - A_train) / (A_train + (D - 2) (blur^2 sigma / (sigma^2 + blur^2))^2)

    train and holdout [S] are the summed squared errors A in the plane. Isotropic error pays in every normal direction,
    which tells nothing about the points and dilutes the gap. Returns [S].
    """
    sigmas = checks.grid(sigmas)
    blur, dimension = checks.not_negative(blur, "blur"), checks.count(dimension, "dimension", at_least=2)
    for name, errors in {"train": train, "holdout": holdout}.items():
        checks.floating(errors, name, sigmas.shape)
    checks.same_device(train, holdout, "train", "holdout")
    sigmas = sigmas.to(checks.widest_float(train.device)).to(train.device)
    normal = (blur**2 * sigmas / (sigmas**2 + blur**2)) ** 2
    return (holdout - train) / (train + (dimension - 2) * normal)


def _chi_square(value: Tensor, dimension: int) -> Tensor:
    """Distribution function of the chi^2 law; with 0 degrees of freedom all mass is at 0, which counts as reached."""
    if dimension == 0:
        return (value >= 0).to(value)
    half = torch.full((), dimension / 2, dtype=torch.float64, device=value.device)
    return torch.special.gammainc(half, value.clamp(min=0) / 2)
