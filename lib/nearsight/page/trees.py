"""Pictures of strings and their trees: at each node the most probable token, the fainter the less sure."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Circle
from torch import Tensor

SHADES = ("#4477AA", "#CCBB44", "#228833", "#AA3377", "#66CCEE", "#EE6677")  # Tol's bright scheme, one a token
LETTERS = "abcdefghijklmnopqrstuvwxyz"
_RADIUS = 0.42  # of a node, where leaves are 1 apart
_FAINTEST = 0.08  # of a node of which nothing is known


def draw_tree(axes: Axes, nodes: Sequence[Tensor], truth: Sequence[Tensor]) -> None:
    """Draw a tree from the probabilities of its nodes [2^d, q], root first, leaves last; a node whose most probable token
    is not that of `truth` [2^d] has a black rim."""
    depth, leaves = len(nodes) - 1, len(nodes[-1])
    height = leaves / (2 * depth)

    def place(level: int, node: int) -> tuple[float, float]:
        return (node + 0.5) * 2 ** (depth - level) - 0.5, (depth - level) * height

    for level in range(depth):
        for child in range(2 ** (level + 1)):
            axes.plot(*zip(place(level, child // 2), place(level + 1, child)), color="#BBBBBB", lw=0.8, zorder=0)
    for level, (probabilities, tokens) in enumerate(zip(nodes, truth)):
        for node, (row, token) in enumerate(zip(probabilities, tokens.tolist())):
            _draw_node(axes, place(level, node), row, token)
    axes.set(xlim=(-0.6, leaves - 0.4), ylim=(-0.6, depth * height + 0.6), aspect="equal")
    axes.axis("off")


def draw_strings(axes: Axes, rows: Sequence[tuple[str, Tensor]], truth: Tensor) -> None:
    """Draw predictions of one string below each other, each (label, probabilities [L, q]), as the leaves of `draw_tree`."""
    for line, (label, probabilities) in enumerate(rows):
        axes.text(-0.8, -line, label, ha="right", va="center")
        for place, (row, token) in enumerate(zip(probabilities, truth.tolist())):
            _draw_node(axes, (place, -line), row, token)
    axes.set(xlim=(-0.6, len(truth) - 0.4), ylim=(0.4 - len(rows), 0.6), aspect="equal")
    axes.axis("off")


def _draw_node(axes: Axes, center: tuple[float, float], probabilities: Tensor, truth: int) -> None:
    """A disc in the color of the most probable token, as solid as it is probable beyond chance, and its letter."""
    probability, token = (float(each) for each in probabilities.max(0))
    sure = (probability - 1 / len(probabilities)) / (1 - 1 / len(probabilities))
    axes.add_patch(Circle(center, _RADIUS, facecolor="white", edgecolor="none", zorder=1))
    axes.add_patch(Circle(center, _RADIUS, facecolor=SHADES[int(token) % len(SHADES)], zorder=2,
                          alpha=_FAINTEST + (1 - _FAINTEST) * max(sure, 0)))
    wrong = token != truth
    axes.add_patch(Circle(center, _RADIUS, facecolor="none", edgecolor="black" if wrong else "#888888",
                          lw=1.6 if wrong else 0.4, zorder=3))
    axes.text(*center, LETTERS[int(token)], ha="center", va="center_baseline", fontsize=8, zorder=4)
