"""Small drawings as SVG that the page holds: they take the page's colors, in daylight and in the dark.

Every drawing says its finding in an alternative text. Numbers are written at 13 units of a width of 440, so that they can
be read on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 52, 22, 14, 46
_MOST_POINTS = 300  # of a curve: more cannot be seen


class Chart:
    """Axes from `x` = (low, high) and `y` = (low, high), each linear or logarithmic, with their labels and ticks.

    Ticks along y may bring their own texts, where y is some function of what is named."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], x_label: str, y_label: str, *, log_x: bool = False,
                 log_y: bool = False, x_ticks: Sequence[float] = (), y_ticks: Sequence[float] | dict[float, str] = ()):
        self._across = _scale(*x, LEFT, WIDTH - RIGHT, log_x)
        self._up = _scale(*y, HEIGHT - BOTTOM, TOP, log_y)
        self._parts = [f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
                       f'height="{HEIGHT - TOP - BOTTOM}"/>']
        for value in x_ticks:
            self._parts.append(f'<text class="tick" x="{self._across(value):.1f}" y="{HEIGHT - BOTTOM + 16}" '
                               f'text-anchor="middle">{value:g}</text>')
        names = y_ticks if isinstance(y_ticks, dict) else {value: f"{value:g}" for value in y_ticks}
        for value, name in names.items():
            self._parts.append(f'<text class="tick" x="{LEFT - 5}" y="{self._up(value) + 4:.1f}" '
                               f'text-anchor="end">{name}</text>')
        middle = (TOP + HEIGHT - BOTTOM) / 2
        self._parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}'
                           f'</text><text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">'
                           f'{escape(y_label)}</text>')

    def line(self, x: Sequence[float], y: Sequence[float], kind: str) -> Chart:
        """A curve, in pieces where values are missing."""
        pieces, piece = [], []
        for one, other in zip(x, y):
            if other is None or not math.isfinite(other):
                pieces, piece = [*pieces, piece], []
            else:
                piece.append(self._point(one, other))
        self._parts += [f'<polyline class="{kind}" points="{" ".join(some)}"/>' for some in [*pieces, piece] if some]
        return self

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float], kind: str) -> Chart:
        """The area between two curves, where both are known."""
        known = [(one, a, b) for one, a, b in zip(x, low, high) if a is not None and b is not None]
        there = [self._point(one, b) for one, _, b in known] + [self._point(one, a) for one, a, _ in reversed(known)]
        self._parts.append(f'<polygon class="{kind}" points="{" ".join(there)}"/>')
        return self

    def bars(self, edges: np.ndarray, heights: np.ndarray, kind: str) -> Chart:
        """A histogram."""
        self._parts += [f'<rect class="{kind}" x="{self._across(left):.1f}" y="{self._up(height):.1f}" '
                        f'width="{self._across(right) - self._across(left):.1f}" '
                        f'height="{self._up(0) - self._up(height):.1f}"/>'
                        for left, right, height in zip(edges, edges[1:], heights) if height > 0]
        return self

    def dot(self, x: float, y: float, kind: str) -> Chart:
        self._parts.append(f'<circle class="{kind}" r="4" cx="{self._across(x):.1f}" cy="{self._up(y):.1f}"/>')
        return self

    def words(self, x: float, y: float, text: str, kind: str, anchor: str = "start") -> Chart:
        """Words at a place of the axes, in the color of what they name."""
        self._parts.append(f'<text class="{kind} named" x="{self._across(x):.1f}" y="{self._up(y):.1f}" '
                           f'text-anchor="{anchor}">{escape(text)}</text>')
        return self

    def svg(self, finding: str) -> str:
        """The drawing, with its finding for those who do not see it."""
        return (f'<svg role="img" aria-label="{escape(finding)}" viewBox="0 0 {WIDTH} {HEIGHT}"><title>{escape(finding)}'
                f'</title>{"".join(self._parts)}</svg>')

    def _point(self, x: float, y: float) -> str:
        return f"{self._across(x):.1f},{self._up(y):.1f}"


def ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers between two others."""
    step = 10 ** math.floor(math.log10((high - low) / 3)) if high > low else 1
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 5.5)
    return [round(place * step, 12) for place in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """The powers of ten between two numbers, and thrice these where they are few."""
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    marks = powers if math.log10(high / low) > 2.5 else sorted([*powers, *(3 * power for power in powers)])
    return [mark for mark in marks if low <= mark <= high]


def roc(members: np.ndarray, outsiders: np.ndarray) -> tuple[list[float], list[float]]:
    """False and true positive rates at thresholds that fall, at most 300 of them, spaced for a logarithmic axis."""
    levels = np.sort(np.unique(np.concatenate([members, outsiders])))[::-1]
    false, true = (1 - np.searchsorted(np.sort(scores), levels) / len(scores) for scores in (outsiders, members))
    kept = np.unique(np.geomspace(1, len(levels), min(_MOST_POINTS, len(levels))).round().astype(int)) - 1
    return false[kept].tolist(), true[kept].tolist()


def _scale(low: float, high: float, start: float, end: float, logarithmic: bool) -> Callable[[float], float]:
    """The map from values to places, which does not leave the axes."""
    def place(value: float) -> float:
        share = math.log(max(value, low) / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)
        return start + min(max(share, 0.0), 1.0) * (end - start)

    return place
