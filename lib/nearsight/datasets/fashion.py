"""The part of Fashion-MNIST that the package ships: photographs of clothes, enough for every chapter.

Source: Xiao, Rasul, Vollgraf, arXiv 1708.07747; MIT licence, Zalando SE. `tools/make_fashion_subset.py` made the file
from the original IDX files and kept their order.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import torch

from nearsight.checks import choice
from nearsight.datasets.archive import opened
from nearsight.datasets.images import Images, Scaling

SHIPPED = Path(__file__).parent / "data" / "fashion-mnist.npz"

DIGESTS = {
    "train_images": "404c71cbba64038665eace427c392a3d1a544dab93e68570c69d7b1a8518f5fa",
    "train_labels": "509f395ac53e9e376668463473bd9090f8f2cb8a3b4e9bc5988919ebb394eae5",
    "test_images": "857b72c05ba3e79276eec0ac60bba3a89d06ce58b830436e41475e104f90110f",
    "test_labels": "56ecf07f3939c9adb372cce2500286eb185b77a08ec47e807155a88e3e9b2bf9",
}
"""SHA-256 of the raw bytes of each array."""

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

SPLITS = {
    "train": ("train", 0, 12_288),
    "test": ("test", 0, 2_048),
    "pool": ("train", 0, 8_192),
    "reference": ("train", 8_192, 12_288),
    "stopping": ("test", 0, 1_024),
    "report": ("test", 1_024, 2_048),
}
"""File, first and one past the last image of every split."""

SCALINGS = {28: Scaling(72.940352, 90.021182), 16: Scaling(55.844957, 79.866474)}
"""By resolution: mean and standard deviation over the pixels of all 60,000 training images. Constants leak nothing."""


def fashion_mnist(split: str = "train", resolution: int = 28) -> Images:
    """Return a split of the shipped images, [N, 1, resolution, resolution] float32, in the order of the original files.

    Network units: y = 0.5 (v - mean) / deviation for pixel values v in 0..255, with (mean, deviation) = (72.940352,
    90.021182) at 28 pixels and (55.844957, 79.866474) at 16, where the image is padded by 2 zeros on each side and
    averaged over 2x2. So y has a standard deviation of 0.5 per pixel.

    Splits: "train" (12,288) consists of "pool" (the first 8,192, from which training blocks are cut) and "reference"
    (4,096 that no generative model trains on); "test" (2,048) of "stopping" (the first 1,024, on which a training run
    is stopped) and "report" (1,024, on which the cost of stopping is read).

    Raises ValueError for another split or resolution, and where the shipped file is missing or altered (SHA-256).
    Cost: well under a second.
    """
    choice(split, "split", SPLITS)
    choice(resolution, "resolution", SCALINGS)
    file, start, stop = SPLITS[split]
    images, labels = _read(SHIPPED, file)
    values = images[start:stop, None]
    if resolution == 16:
        padded = np.pad(values, ((0, 0), (0, 0), (2, 2), (2, 2)))
        values = padded.reshape(-1, 1, 16, 2, 16, 2).sum((3, 5), dtype=np.uint16) / 4
    scaling = SCALINGS[resolution]
    return Images(scaling.network(values), torch.from_numpy(labels[start:stop].astype(np.int64)), CLASSES, scaling)


def _read(path: Path, file: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of the training or the test file, each checked by its digest."""
    remedy = "reinstall the package, or make the file again with tools/make_fashion_subset.py."
    names = f"{file}_images", f"{file}_labels"
    try:
        with opened(path) as files:
            images, labels = (np.load(io.BytesIO(files[f"{name}.npy"]()), allow_pickle=False) for name in names)
    except (OSError, EOFError, KeyError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); expected a part of Fashion-MNIST: {remedy}") from error
    for name, array in zip(names, (images, labels)):
        found = hashlib.sha256(array.tobytes()).hexdigest()
        if found != DIGESTS[name]:
            raise ValueError(f"{name} in {path} has SHA-256 {found}; expected {DIGESTS[name]}: {remedy}")
    return images, labels
