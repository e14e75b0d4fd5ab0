"""Marks that the figures of several chapters share: an axis of n/d, moments of a training, and middle values with bars."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from torch import Tensor

from nearsight.page.plots import NEUTRAL

FRACTIONS = {1 / 16: "1/16", 0.25: "¼", 0.5: "½"}


def ratio_axis(axes: Axes, ticks: Sequence[float] = (0.25, 1, 4, 16), label: str = "$n/d$") -> None:
    """Make x a logarithmic axis of a ratio, with numbers at `ticks` and a mark at 1."""
    names = [FRACTIONS.get(tick, f"{tick:g}") for tick in ticks]
    axes.set(xscale="log", xlabel=label, xticks=ticks, xticklabels=names)
    axes.xaxis.set_minor_formatter("")
    axes.axvline(1, color=NEUTRAL, lw=0.6, ls=":")


def dots(axes: Axes, x: Tensor | Sequence[float], values: Sequence[Tensor], color: str, **style) -> None:
    """Draw middle values with bars from low to high, `values` = (middle [S], low [S], high [S]) over x [S].

    Such as `nearsight.measures.mean_interval` returns them, or `quartiles`. `style` goes to matplotlib's errorbar.
    """
    middle, low, high = values
    reach = [(middle - low).clamp(min=0), (high - middle).clamp(min=0)]  # Wilson's bounds may round past the share
    axes.errorbar(x, middle, reach, **{"fmt": "o", "color": color, "ms": 3.5, "lw": 1, **style})


def moment(axes: Axes, step: float, low: float, high: float, color: str, label: str = "", height: float = 1.0) -> None:
    """Mark a moment on a horizontal axis: a dashed line at `step`, its interval low..high as a band, and its name, at
    `height` in parts of the axes."""
    axes.axvspan(low, high, color=color, alpha=0.12, lw=0)
    axes.axvline(step, color=color, lw=1, ls="--")
    axes.annotate(label, (step, height), (3, -2), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                  color=color, va="top", fontsize=8.5)


def step_axis(axes: Axes, ticks: Sequence[int] = (20, 100, 500, 2000, 8000), label: str = "training step") -> None:
    """Make x a logarithmic axis of training steps, with whole numbers at `ticks`."""
    axes.set(xscale="log", xlabel=label)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)


def sigma_axis(axes: Axes, ticks: Sequence[float] = (0.02, 0.1, 0.5, 2, 10)) -> None:
    """Make x a logarithmic axis of noise levels, with plain numbers at `ticks`."""
    axes.set(xscale="log", xlabel=r"noise level $\sigma$")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)


def quartiles(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The median and the quartiles of values [R, ...], each [...]: what to show where a mean may be infinite."""
    low, middle, high = (values.quantile(share, dim=0) for share in (0.25, 0.5, 0.75))
    return middle, low, high
