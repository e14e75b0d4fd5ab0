"""What goes out: results that a person can read, on one line where they are printed, as a small table in a notebook."""

from __future__ import annotations

import math
from dataclasses import fields
from html import escape

from torch import Tensor


class Readable:
    """A result that says what it holds; the line and the table have the same pairs of a name and a value.

        ProximityBias(0.66 [0.61, 0.71], p = 2e-7, 256 samples)

    One line makes a result readable, `class Result(Readable)` under `@dataclass(frozen=True, repr=False)`: its pairs are
    then its fields. Define `_pairs` for others, `_headline` for the one whose name the line leaves out, as that of the
    class says it. A whole number counts what its name says; floats are shown in three digits, tensors by their shape.
    """

    _headline = ""

    def _pairs(self) -> dict[str, object]:
        """What a reader wants to see, by name: numbers, short texts such as those made below, no tensor's entries."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __repr__(self) -> str:
        phrases = (self._phrase(name, value) for name, value in self._pairs().items())
        return f"{type(self).__name__}({', '.join(phrases)})"

    def _repr_html_(self) -> str:
        rows = (f"<tr><th>{escape(name)}</th><td>{escape(_text(value))}</td></tr>"
                for name, value in self._pairs().items())
        return f'<table class="table"><caption>{type(self).__name__}</caption>{"".join(rows)}</table>'

    def _phrase(self, name: str, value: object) -> str:
        if name == self._headline:
            return _text(value)
        counts = isinstance(value, int) and not isinstance(value, bool)
        return f"{value} {name}" if counts else f"{name} = {_text(value)}"


def number(value: float, digits: int = 3) -> str:
    """The number in so many significant digits, and all digits before the point below a million: 0.66, 12346, 2e-7."""
    value = float(value)
    if 10**digits - 0.5 <= abs(value) < 1e6:
        return f"{value:.0f}"
    mantissa, _, exponent = f"{value:z.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def interval(value: float, low: float, high: float) -> str:
    """The value and its interval, `0.66 [0.61, 0.71]`, in as many decimals as give the width two digits."""
    value, low, high = _rounded(high - low, value, low, high)
    return f"{value} [{low}, {high}]"


def with_error(value: float, error: float) -> str:
    """The value and its standard error, `1.234 ± 0.021`, in as many decimals as give the error two digits."""
    value, error = _rounded(error, value, error)
    return f"{value} ± {error}"


def span(values: Tensor) -> str:
    """The least and the largest of a tensor's entries, `0.2 .. 2`; `none` where there are none. One pass over them."""
    if not values.numel():
        return "none"
    low, high = (number(end) for end in values.detach().aminmax())
    return low if low == high else f"{low} .. {high}"


def _rounded(width: float, *values: float) -> list[str]:
    """The values in as many decimals as give `width` two digits; where it gives no measure, each in three digits."""
    decimals = 1 - math.floor(math.log10(width)) if 0 < width < math.inf else math.inf
    if decimals > 6:
        return [number(value) for value in values]
    return [f"{value:z.{max(decimals, 0)}f}" for value in values]


def _text(value: object) -> str:
    if isinstance(value, Tensor):
        return str(list(value.shape)) if value.ndim else number(value)
    return number(value) if isinstance(value, float) else str(value)
