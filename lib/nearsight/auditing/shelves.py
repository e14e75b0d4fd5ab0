"""Arrays of images from files: .npy, .npz with one array, or a folder or archive of png and jpg files."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from nearsight.auditing.refusal import AuditRefused
from nearsight.datasets.archive import opened
from nearsight.datasets.folder import SUFFIXES

GREY = ("1", "L", "LA")


def read_images(path: Path, size: int | None) -> np.ndarray:
    """The images at a path as an array [N, ...]; those of a folder as bytes [N, C, H, W], C = 1 where all are grey,
    in the order of their names.

    With a `size` pictures are scaled and cut to centered squares of it; without one all must have one size. Nothing is
    unpickled.
    Raises AuditRefused (code bad_file) with a sentence that names the file.
    """
    try:
        if path.suffix in (".npy", ".npz") and path.is_file():
            return _array(path)
        return _pictures(path, size)
    except AuditRefused:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, Image.DecompressionBombError) as error:
        said = "it holds pickled objects" if "allow_pickle" in str(error) else str(error).rstrip(".") or type(error).__name__
        raise AuditRefused("bad_file", f"{path} cannot be read ({said}); expected .npy, .npz with one array, or a folder of "
                           f"{', '.join(SUFFIXES)} files.") from error


def read_groups(path: Path) -> dict[str, list]:
    """The groups of a JSON file {"train": [...], "holdout": [...]}, one id an image."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AuditRefused("bad_file", f"{path} cannot be read ({error}); expected a JSON file "
                           '{"train": [...], "holdout": [...]}, one id an image.') from error
    if not isinstance(found, dict):
        raise AuditRefused("bad_file", f'{path} holds a {type(found).__name__}; expected '
                                       f'{{"train": [...], "holdout": [...]}}.')
    return found


def _array(path: Path) -> np.ndarray:
    found = np.load(path, allow_pickle=False)
    if isinstance(found, np.ndarray):
        return found
    with found:
        if len(found.files) != 1:
            raise AuditRefused("bad_file", f"{path} holds {len(found.files)} arrays ({', '.join(found.files[:5])}); "
                               "expected one: try numpy.savez(path, images).")
        return found[found.files[0]]


def _pictures(path: Path, size: int | None) -> np.ndarray:
    with opened(path) as files:
        contents = {name: files[name]() for name in sorted(files) if name.lower().endswith(SUFFIXES)}
    if not contents:
        raise AuditRefused("bad_file", f"{path} holds no {', '.join(SUFFIXES)} file; expected some, or a .npy file.")
    pictures = [Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) for content in contents.values()]
    mode = "L" if all(picture.mode in GREY for picture in pictures) else "RGB"
    pictures = [picture.convert(mode) for picture in pictures]
    if size is not None:
        pictures = [ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR) for picture in pictures]
    sizes = sorted({picture.size for picture in pictures})
    if len(sizes) > 1:
        few = " and ".join(f"{width} x {height}" for width, height in sizes[:2])
        raise AuditRefused("bad_file", f"{path} holds pictures of {len(sizes)} sizes, such as {few}; expected one: pass "
                           "--size 64, which scales and cuts all of them to squares.")
    arrays = np.stack([np.asarray(picture) for picture in pictures])
    return arrays[:, None] if mode == "L" else arrays.transpose(0, 3, 1, 2)
