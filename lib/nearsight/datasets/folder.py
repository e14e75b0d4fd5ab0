"""Images from a folder or an archive, such as CelebA's: cut to squares of one size, in natural file order."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from nearsight import checks
from nearsight.datasets.archive import LARGEST, bounded, opened
from nearsight.datasets.images import Images, Scaling

SUFFIXES = (".png", ".jpg", ".jpeg")


def image_folder(path: str | Path, side: int = 32, grey: bool = True, indices: Iterable[int] | None = None,
                 scaling: Scaling | None = None) -> Images:
    """Return the png and jpg images below a folder or in a zip or tar archive, [N, C, side, side] float32.

    Each image is resized so that its shorter side is `side` (bilinear, antialiased), cut to the centered square and,
    with grey, reduced to its luma (ITU-R 601), C = 1; otherwise C = 3. Files come in natural order, in which 10.jpg
    follows 9.jpg; `indices` picks some of that order, so that CelebA's block i is
    `image_folder(path, indices=range(1024 * i, 1024 * (i + 1)))`.
    Network units: y = 0.5 (v - mean) / deviation for pixel values v in 0..255. Without a `scaling` both constants are
    measured on the images returned; read every further set with the `.scaling` of the first.

    Raises ValueError for a path without images, a pickle, an encrypted archive, a cut or damaged file, images of more
    than 8 bits or 256 MiB (`archive.LARGEST`), and an index beyond the files. Cost: about 2 ms an image of CelebA's size.
    """
    side = checks.count(side, "side")
    if indices is not None:
        indices = [checks.whole(i, "an index") for i in _listed(indices)]
    if scaling is not None:
        checks.instance(scaling, "scaling", Scaling, "a Scaling")
    with opened(path) as files:
        names = sorted((name for name in files if name.lower().endswith(SUFFIXES)), key=_natural)
        if not names:
            raise ValueError(f"{path} holds no {', '.join(SUFFIXES)} file; expected a folder or an archive of images.")
        chosen = list(range(len(names))) if indices is None else indices
        if not chosen or not 0 <= min(chosen) <= max(chosen) < len(names):
            span = f"{min(chosen)} to {max(chosen)}" if chosen else "over nothing"
            raise ValueError(f"indices run {span} and {path} holds {len(names)} images; expected indices from 0 to "
                             f"{len(names) - 1}.")
        values = np.stack([_square(files[names[i]](), names[i], side, grey)
                           for i in tqdm(chosen, unit="image", disable=None)])
    scaling = scaling or Scaling.measured(values)
    return Images(scaling.network(values), None, (), scaling)


def _listed(indices: Iterable[int]) -> list:
    """The indices as a list."""
    if isinstance(indices, Tensor):
        return checks.tensor(indices, "indices").flatten().tolist()
    if isinstance(indices, np.ndarray):
        return indices.flatten().tolist()
    return list(checks.instance(indices, "indices", Iterable, "whole numbers, such as range(100)"))


def _natural(name: str) -> tuple:
    """Sort key in which runs of digits count as numbers; the name itself decides between 1.jpg and 01.jpg."""
    return [int(part) if odd % 2 else part for odd, part in enumerate(re.split(r"(\d+)", name))], name


def _square(content: bytes, name: str, side: int, grey: bool) -> np.ndarray:
    """One image as uint8 [C, side, side]."""
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
        image.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} unpacks to more than {LARGEST:,} bytes ({error}); expected a smaller picture: leave "
                         "it out or shrink it.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{name} is cut or no image ({error}); expected a png or jpg file: fetch it again.") from error
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"{name} has more than 8 bits a pixel ({image.mode}); expected 8: try to convert it.")
    image = image.convert("RGB")
    shorter = min(image.size)
    width, height = (side * length // shorter for length in image.size)
    bounded(3 * width * height, f"{name} with a shorter side of {side}")  # a line of pixels grows to a plane
    left, top = round((width - side) / 2), round((height - side) / 2)
    image = image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + side, top + side))
    values = np.asarray(image.convert("L") if grey else image)
    return values.reshape(side, side, -1).transpose(2, 0, 1)
