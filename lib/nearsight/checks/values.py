"""Checks of single values: numbers, counts, shares, choices, functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Number

from torch import Tensor

_LARGEST_COUNT = 2**53  # up to here float64 holds every whole number


def came(value) -> str:
    """What `value` is, in a few words for an error."""
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype} and shape {list(value.shape)}"
    return f"{value!r:.40}" if value is None or isinstance(value, (Number, str, bytes)) else f"a {type(value).__name__}"


def instance(value, name: str, kinds: type | tuple[type, ...], expected: str):
    """Return `value` if it is of one of the kinds, described by `expected`."""
    if not isinstance(value, kinds):
        raise TypeError(f"{name} is {came(value)}; expected {expected}.")
    return value


def function(value: Callable, name: str, expected: str = "a function") -> Callable:
    """Return `value` if it can be called."""
    if not callable(value):
        raise TypeError(f"{name} is {came(value)}; expected {expected}.")
    return value


def choice(value: str, name: str, choices) -> str:
    """Return `value` if it is one of `choices`; the error lists them."""
    if not isinstance(value, (str, Integral)) or value not in choices:
        raise ValueError(f"{name} is {came(value)}; expected one of {', '.join(map(repr, choices))}.")
    return value


def count(value: int, name: str, at_least: int = 1) -> int:
    """Return `value` as an int if it is a whole number >= at_least; 4.0 and numpy's are, True and 2.5 are not."""
    number = math.nan if isinstance(value, bool) else real(value, name, f"a whole number >= {at_least}")
    if not (number.is_integer() and at_least <= number <= _LARGEST_COUNT):
        raise ValueError(f"{name} is {came(value)}; expected a whole number >= {at_least}"
                         f"{' and at most 2^53' if number > _LARGEST_COUNT else ''}.")
    return int(value)


def counts(values, name: str, at_least: int = 1) -> tuple[int, ...]:
    """Return a non-empty sequence of whole numbers >= at_least as a tuple."""
    if not isinstance(values, (tuple, list, range)) or not values:
        raise TypeError(f"{name} is {came(values)}; expected a tuple of whole numbers, at least one.")
    return tuple(count(value, f"an entry of {name}", at_least) for value in values)


def whole(value: int, name: str) -> int:
    """Return `value`, such as a seed, as an int if it is a whole number of any sign and size."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} is {came(value)}; expected a whole number.")
    return int(value)


def flag(value: bool, name: str) -> bool:
    """Return `value` as True or False; 0 and 1 count."""
    if not isinstance(value, (bool, Integral)) or value not in (0, 1):
        raise TypeError(f"{name} is {came(value)}; expected True or False.")
    return bool(value)


def share(value: float, name: str) -> float:
    """Return `value` as a float if it is between 0 and 1, both included."""
    return _number(value, name, "a share between 0 and 1", lambda number: 0 <= number <= 1)


def finite(value: float, name: str) -> float:
    """Return `value` as a float if it is finite."""
    return _number(value, name, "a finite number", math.isfinite)


def positive(value: float, name: str) -> float:
    """Return `value` as a float if it is finite and > 0."""
    return _number(value, name, "a finite number > 0", lambda number: 0 < number < math.inf)


def not_negative(value: float, name: str) -> float:
    """Return `value` as a float if it is finite and >= 0."""
    return _number(value, name, "a finite number >= 0", lambda number: 0 <= number < math.inf)


def _number(value: float, name: str, expected: str, accepted: Callable[[float], bool]) -> float:
    number = real(value, name, expected)
    if not accepted(number):
        raise ValueError(f"{name} is {number:g}; expected {expected}.")
    return number


def real(value: float, name: str, expected: str) -> float:
    """`value` as a float: a number of Python or numpy, or a tensor that holds one."""
    try:
        if isinstance(value, (str, bytes)) or getattr(value, "ndim", 0) > 0:
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"{name} is {came(value)}; expected {expected}.") from None
