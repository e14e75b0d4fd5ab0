"""CIFAR-10 from its binary version: one label byte and 3,072 pixel bytes a record, and no pickle."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import torch

from nearsight.checks import choice
from nearsight.datasets.archive import opened
from nearsight.datasets.images import Images, Scaling

ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
"""Published beside the archive at www.cs.toronto.edu/~kriz/cifar.html."""

FILES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
SCALING = Scaling(127.5, 63.75)


def cifar10(path: str | Path | None = None, split: str = "train") -> Images:
    """Return CIFAR-10, [50000, 3, 32, 32] float32 ("train") or [10000, 3, 32, 32] ("test"), in the order of the files.

    path: cifar-10-binary.tar.gz or the folder it unpacks to. Without one the archive (162 MB) is fetched from the
    University of Toronto into the user's cache and checked by its published MD5.
    Network units: y = v / 127.5 - 1 for pixel values v in 0..255, the range of Karras et al. 2022, in which the
    standard deviation per pixel is 0.5.

    Raises ValueError for the pickled Python version, missing or cut files, batches of unequal size and labels above 9;
    ConnectionError where the archive cannot be fetched. Cost: the train split takes 0.6 GB, and 1.3 GB more on the way.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    choice(split, "split", FILES)
    path = _fetch() if path is None else path
    with opened(path) as files:
        files = {PurePosixPath(name).name: read for name, read in files.items()}
        if "data_batch_1" in files or "test_batch" in files:
            raise ValueError(f"{path} is the Python version of CIFAR-10, which consists of pickles and is not read; "
                             "the binary version holds the same images: try cifar-10-binary.tar.gz.")
        missing = [name for name in FILES[split] if name not in files]
        if missing:
            raise ValueError(f"{path} lacks {', '.join(missing)}; expected the files of cifar-10-binary.tar.gz.")
        batches = [_records(files[name](), name) for name in FILES[split]]
    if len({len(batch) for batch in batches}) > 1:
        raise ValueError(f"the batches in {path} hold {', '.join(str(len(batch)) for batch in batches)} images; "
                         "expected equally many: a file is cut, fetch the archive again.")
    records = np.concatenate(batches)
    images = SCALING.network(records[:, 1:].reshape(-1, *SHAPE))
    return Images(images, torch.from_numpy(records[:, 0].astype(np.int64)), CLASSES, SCALING)


def _records(content: bytes, name: str) -> np.ndarray:
    """The records of one file, [N, 3073] uint8."""
    if not content or len(content) % RECORD:
        raise ValueError(f"{name} holds {len(content)} bytes; expected a multiple of {RECORD} (a label and 3072 pixel "
                         "values an image): the file is cut, fetch the archive again.")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    if records[:, 0].max() >= len(CLASSES):
        raise ValueError(f"{name} has the label {records[:, 0].max()}; expected 0 to {len(CLASSES) - 1}: this is not "
                         "the binary version of CIFAR-10.")
    return records


def _fetch() -> str:
    """The path of the archive in the user's cache, fetched if it is not there yet."""
    import pooch  # only where it is needed: in a notebook its progress bar warns that Jupyter's widgets are missing

    try:
        return pooch.retrieve(ADDRESS, f"md5:{MD5}", fname="cifar-10-binary.tar.gz", path=pooch.os_cache("nearsight"))
    except OSError as error:
        raise ConnectionError(f"{ADDRESS} cannot be fetched ({error}): try the path of a copy that you have, "
                              "cifar10(path).") from error
