"""Numbers on their way from a cell into the prose: nothing that is computed is typed."""

from __future__ import annotations

import warnings

from nearsight.checks import finite


def glue(**values: float) -> None:
    """Paste each named number into the page, where the text picks it up as {glue:text}`name:.2f`.

    Outside of the book (in a notebook, in your own study) it prints them instead. Raises ValueError for a number that is
    not finite: a sentence with "nan" in it must not be published.
    """
    numbers = {name: finite(value, name) for name, value in values.items()}  # a plain float: numpy's would show nothing
    try:
        with warnings.catch_warnings():
            # myst-nb imports a progress bar that warns where Jupyter's widgets are missing; the book uses none.
            warnings.simplefilter("ignore")
            from myst_nb import glue as paste
    except ImportError:
        print(", ".join(f"{name} = {value:.6g}" for name, value in numbers.items()))
    else:
        for name, value in numbers.items():
            paste(name, value, display=False)
