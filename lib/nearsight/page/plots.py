"""The look of the book's figures. Functions here take results and axes, never models.

Colors carry one meaning through all chapters: TRAIN is a model's own data, HOLDOUT data it has not seen, LOSS a test loss,
NEUTRAL what is neither, THEORY a closed form.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

TRAIN, HOLDOUT, LOSS, NEUTRAL, THEORY = "#0072B2", "#D55E00", "#B2182B", "#666666", "#222222"
EARLY_TO_LATE = "#56B4E9", TRAIN, "#08224A"  # three moments of one training


def use_style() -> None:
    """Set matplotlib's defaults to the book's style."""
    plt.style.use(Path(__file__).with_name("nearsight.mplstyle"))


def curve(axes: Axes, x: Tensor, y: Tensor, label: str, color: str, low: Tensor | None = None, high: Tensor | None = None,
          at: int = -1, offset: tuple[float, float] = (4, 0), **line) -> None:
    """Draw y [S] over x [S] with its band low..high, and write the label on the line, at point `at`, in its color.

    `offset` shifts the label, in points; `line` goes to matplotlib's plot.
    """
    axes.plot(x, y, color=color, **line)
    if low is not None:
        axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
    axes.annotate(label, (float(x[at]), float(y[at])), offset, textcoords="offset points", color=color, va="center",
                  fontsize=9, annotation_clip=False)


def gallery(rows: list[tuple[str, Tensor]], columns: list[str] | None = None, size: float = 0.75) -> Figure:
    """Show rows of grey images, each (label, images [B, 1, H, W] with brightness 0..1); `columns` are titles above.

    `size` is the side of one image in inches. Returns the figure.
    """
    count = max(len(images) for _, images in rows)
    figure, grid = plt.subplots(len(rows), count, squeeze=False, figsize=(size * count + 1.1, size * len(rows) + 0.3),
                                gridspec_kw={"wspace": 0.04, "hspace": 0.04})
    for line, (label, images) in zip(grid, rows):
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6)
        for axes, image in zip(line, images):
            axes.imshow(image.squeeze(0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        for axes in line:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    for axes, title in zip(grid[0], columns or []):
        axes.set_title(title, loc="center", fontsize=8.5)
    return figure
