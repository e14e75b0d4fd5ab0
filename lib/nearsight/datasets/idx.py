"""The IDX format of MNIST and its relatives: a big-endian header, then the bytes of one array."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from nearsight.datasets.archive import read_stated

UNSIGNED_BYTE = 0x08


def read_idx(path: str | Path) -> np.ndarray:
    """Return the uint8 array in an IDX file, plain or compressed (.gz).

    Header: two zero bytes, the type (8: unsigned byte), the number of dimensions, then each length as a big-endian
    32-bit integer. Raises ValueError where the header is another, asks for more than 256 MiB (`archive.LARGEST`), or
    the bytes do not fill the array exactly; no more than these are unpacked.
    """
    path = Path(path)
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            return _array(file, path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} ends early or is damaged ({error}); expected a whole .gz file.") from error


def _array(file: IO[bytes], path: Path) -> np.ndarray:
    """The array in an open IDX file."""
    head = file.read(4)
    if len(head) < 4 or head[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise ValueError(f"{path} starts with {head.hex(' ')}; expected an IDX file of bytes: 00 00 08.")
    lengths = file.read(4 * head[3])
    if len(lengths) < 4 * head[3]:
        raise ValueError(f"{path} holds {4 + len(lengths)} bytes; its header of {head[3]} dimensions asks for more: "
                         "the file is cut, fetch it again.")
    shape = tuple(np.frombuffer(lengths, ">u4").tolist())
    values = read_stated(file, math.prod(shape), f"the array of shape {list(shape)} in {path}")
    return np.frombuffer(values, np.uint8).reshape(shape)
