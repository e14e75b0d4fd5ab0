"""A mixture on a line, blurred: its modes, the mass that flows to each of them, and the blur at which one vanishes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import softmax
from scipy.stats import norm
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable, number
from nearsight.shares.votes import distribution

_GRID = 100_001  # places at which the slope is looked at: two modes 1e-5 of the range apart are two


@dataclass(frozen=True, repr=False)
class BasinShares(Readable):
    """The `modes` [m] of a density, rising, the `boundaries` [m - 1] of their basins, and the `shares` [m] of the start."""

    modes: Tensor
    boundaries: Tensor
    shares: Tensor

    def _pairs(self) -> dict[str, object]:
        found = zip(self.shares.tolist(), self.modes.tolist())
        return {"modes": len(self.modes), "shares": ", ".join(f"{number(share)} to {number(mode)}" for share, mode in found)}


def basin_shares(weights: Tensor, means: Tensor, std: float | Tensor, blur: float,
                 start: str | Sequence[float] = "data") -> BasinShares:
    """Where the mode-seeking flow of a blurred mixture takes a start law: x' = (ln p_h)'(x).

        p_h = sum_j w_j N(m_j, s_j^2 + h^2)      share of a mode = mass of the start law between its boundaries

    weights [k] >= 0 that sum to 1, means [k], std s a number or [k], `blur` h >= 0. The start is the unblurred mixture,
    "data", or a pair (mean, std) of a Gaussian. float64. The roots of the exact slope lie between the outer means; they are
    bracketed on 10^5 places and refined by Brent's method. Near the blur at which a mode vanishes its basin still has a
    finite share: the share jumps.

    Raises ValueError for std <= 0, blur < 0, and weights that are no distribution.
    """
    w, blur = distribution(weights, "weights"), checks.not_negative(blur, "blur")
    m = checks.vector(means, "means", len(w)).detach().cpu().double().numpy()
    if not np.isfinite(m).all():
        raise ValueError("means are not all finite; expected finite ones.")
    s = checks.numbers(std, "std")
    if s.ndim > 1 or (s.ndim == 1 and len(s) != len(m)) or not ((s > 0) & s.isfinite()).all():
        raise ValueError(f"std is {checks.came(std)}; expected a number > 0, or {len(m)} of them.")
    s = s.expand(len(m)).numpy()
    turning = _turning_points(w, m, s**2 + blur**2)
    modes, boundaries = turning[0::2], turning[1::2]
    edges = np.array([-math.inf, *boundaries, math.inf])
    if isinstance(start, str):
        checks.choice(start, "start", ("data",))
        below = norm.cdf((edges[:, None] - m) / s) @ w
    else:
        pair = checks.instance(start, "start", (tuple, list), 'a pair (mean, std), or "data"')
        if len(pair) != 2:
            raise ValueError(f'start holds {len(pair)} values; expected a pair (mean, std), or "data".')
        below = norm.cdf(edges, checks.finite(pair[0], "the mean of start"), checks.positive(pair[1], "the std of start"))
    return BasinShares(*(torch.from_numpy(np.asarray(each, dtype=float)) for each in (modes, boundaries, np.diff(below))))


def critical_blur(minority: float, half_distance: float = 1.0, std: float = 0.3) -> float:
    """The blur h* at which the mode of the smaller of two classes vanishes, where its basin still holds a finite share.

        p_h = (1 - q) N(-m, v) + q N(+m, v),   v = s^2 + h^2,      critical points    x = m tanh(m x/v - a)
        a = ln((1 - q)/q)/2 = sqrt(1 - r)/r - artanh sqrt(1 - r),  the mode vanishes at v* = m^2 r,  h* = sqrt(v* - s^2)

    with q = `minority` in (0, 1/2], m = `half_distance`, s = `std`: the magnetization of a Curie-Weiss magnet in a field, at
    its spinodal. nan where the two modes are one already at h = 0. Cost: one root.

    Raises ValueError for a minority above 1/2.
    """
    minority, m, s = checks.positive(minority, "minority"), checks.positive(half_distance, "half_distance"), std
    s = checks.positive(s, "std")
    if minority > 0.5:
        raise ValueError(f"minority is {minority:g}; expected the minority share, at most 1/2: pass {1 - minority:g}.")
    field = (math.log1p(-minority) - math.log(minority)) / 2

    def excess(u: float) -> float:  # u = sqrt(1 - r)
        return u / (1 - u**2) - math.atanh(u) - field

    # For u -> 1 the left side grows as 1/(2 (1 - u)), so that the root lies below 1 - 1/(4 field + 4).
    u = brentq(excess, 0.0, 1 - 1 / (4 * field + 4), xtol=1e-15) if field > 0 else 0.0
    variance = m**2 * (1 - u**2) - s**2
    return math.sqrt(variance) if variance >= 0 else math.nan


def _turning_points(weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> list[float]:
    """The places where the slope of ln p changes sign: mode, boundary, mode, ..., mode."""
    def slope(x: np.ndarray | float) -> np.ndarray | float:
        distance = means - np.asarray(x)[..., None]
        with np.errstate(divide="ignore"):  # a weight of 0 is a logarithm of -inf, which is right
            logs = np.log(weights) - distance**2 / (2 * variances) - np.log(variances) / 2
        return (softmax(logs, axis=-1) * distance / variances).sum(-1)

    present = means[weights > 0]
    low, high = present.min(), present.max()
    if low == high:
        return [float(low)]
    reach = high - low
    places = np.linspace(low - 1e-3 * reach, high + 1e-3 * reach, _GRID)
    rises = slope(places) > 0
    turns = np.flatnonzero(rises[:-1] != rises[1:])
    return [brentq(slope, places[i], places[i + 1], xtol=1e-14 * reach + 1e-300) for i in turns]
