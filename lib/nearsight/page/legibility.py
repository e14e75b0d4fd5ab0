"""Whether a figure can be read: axes with numbers on them, and no text too small.

As an extension of IPython it looks at each figure that a notebook shows and leaves what it finds in the metadata of the
output, so that a test reads it there at no cost, and nothing stops for it. The book executes its chapters with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

SMALLEST = 8.0  # points, at the figure's own size


def illegible(figure: Figure) -> list[str]:
    """Return a sentence for each fault of a drawn figure; none where it can be read.

    An axes that shows data needs numbers: on each axis that has ticks, at its own ticks or at those of an axes in the same
    row (the same column) that shares the axis. Pictures alone need none. No text is smaller than SMALLEST points.
    """
    axes = list(_axes(figure.axes))
    faults = []
    for place, each in enumerate(axes, start=1):
        name = next(filter(None, (each.get_title(loc) for loc in ("left", "center", "right"))), "") or each.get_ylabel()
        name = f"axes {place}" + (f" ({name})" if name else "")
        if not each.has_data() or _pictures_alone(each):
            continue
        if not any(_ticks(_axis(each, side)) for side in "xy"):
            faults.append(f"{name} has no ticks")
        faults += [f"{name} has no numbers on its {side} axis" for side in "xy"
                   if _ticks(_axis(each, side)) and not any(_numbered(_axis(other, side)) for other in axes
                                                            if other is each or _in_line(each, other, side))]
    small = {f"{text.get_text()!r} is of {text.get_fontsize():g} points" for text in figure.findobj(Text)
             if text.get_visible() and text.get_text().strip() and text.get_fontsize() < SMALLEST}
    return faults + sorted(small)


def _axes(several: list[Axes]) -> Iterator[Axes]:
    """Yield the axes that are seen, and the insets within them; a second scale along an edge is none."""
    for each in several:
        if isinstance(each, Axes) and each.get_visible() and each.axison:
            yield each
            yield from _axes(each.child_axes)


def _axis(axes: Axes, side: str) -> Axis:
    return axes.xaxis if side == "x" else axes.yaxis


def _pictures_alone(axes: Axes) -> bool:
    """Whether an axes shows pictures and nothing that is to be read off a scale."""
    return bool(axes.images) and not axes.lines and not axes.collections and not axes.patches


def _ticks(axis: Axis) -> bool:
    return len(axis.get_majorticklocs()) > 0


def _numbered(axis: Axis) -> bool:
    """Whether one of the ticks in view has a label that is seen."""
    low, high = sorted(axis.get_view_interval())
    margin = 1e-9 * (high - low)
    return axis.get_visible() and any(
        label.get_visible() and label.get_text() and low - margin <= tick.get_loc() <= high + margin
        for tick in axis.get_major_ticks() for label in (tick.label1, tick.label2))


def _in_line(axes: Axes, other: Axes, side: str) -> bool:
    """Whether two axes share an axis and stand in one column (for x) or row (for y)."""
    shared = axes.get_shared_x_axes() if side == "x" else axes.get_shared_y_axes()
    start, extent = ("x0", "width") if side == "x" else ("y0", "height")
    mine, its = axes.get_position(), other.get_position()
    aligned = all(abs(getattr(mine, name) - getattr(its, name)) < 0.01 for name in (start, extent))
    return shared.joined(axes, other) and aligned


class _Watched:
    """What draws a figure for a page, with its faults as metadata of the drawing."""

    def __init__(self, draw):
        self.draw = draw

    def __call__(self, figure: Figure):
        drawn, faults = self.draw(figure), illegible(figure)
        return (drawn, {"illegible": faults}) if faults and isinstance(drawn, str) else drawn


def load_ipython_extension(shell) -> None:
    """Look at every figure that the shell shows from now on (`%load_ext nearsight.page.legibility`)."""

    def watch():  # after each cell and before its figures are shown; matplotlib sets its function when it is first used
        png = shell.display_formatter.formatters["image/png"]
        draw = png.type_printers.get(Figure)
        if draw is not None and not isinstance(draw, _Watched):
            png.for_type(Figure, _Watched(draw))

    shell.events.register("post_execute", watch)
