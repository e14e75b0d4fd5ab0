"""The handwritten digits that scikit-learn embeds: 1,797 images of 8x8 pixels, for everything that must be quick."""

from __future__ import annotations

import numpy as np
import torch

from nearsight import checks
from nearsight.datasets.images import Images, Scaling

DIGITS = Scaling(4.884165, 6.016788, white=16.0)
"""Mean and standard deviation over all pixels of the 1,797 images."""


def digits(scaling: Scaling = DIGITS) -> Images:
    """Return the 1,797 digits, [1797, 1, 8, 8] float32, in scikit-learn's order.

    Network units: y = 0.5 (v - 4.884165) / 6.016788 for pixel values v in 0..16, so that y has a standard deviation of
    0.5 per pixel. Another map is an argument: `Scaling(8, 4, white=16)` is v / 8 - 1, which floating point holds
    exactly, so that equal distances stay equal.

    Source: the test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin, Kaynak 1998).
    """
    checks.instance(scaling, "scaling", Scaling, "a Scaling")
    from sklearn.datasets import load_digits  # takes seconds to import, and nothing else here needs it

    source = load_digits()
    labels = torch.from_numpy(source.target.astype(np.int64))
    return Images(scaling.network(source.images[:, None]), labels, tuple("0123456789"), scaling)
