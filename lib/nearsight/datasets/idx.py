"""The IDX format of MNIST and its relatives: a big-endian header, then the bytes of one array."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

UNSIGNED_BYTE = 0x08


def read_idx(path: str | Path) -> np.ndarray:
    """Return the uint8 array in an IDX file, plain or compressed (.gz).

    Header: two zero bytes, the type (8: unsigned byte), the number of dimensions, then each length as a big-endian
    32-bit integer. Raises ValueError where the header is another or the bytes do not fill the array exactly.
    """
    content = Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} ends early or is damaged ({error}); expected a whole .gz file.") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise ValueError(f"{path} starts with {content[:4].hex(' ')}; expected an IDX file of bytes: 00 00 08.")
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist()) if len(content) >= start else ()
    expected = start + int(np.prod(shape, dtype=np.int64))
    if len(shape) != content[3] or len(content) != expected:
        raise ValueError(f"{path} holds {len(content)} bytes; its header of shape {list(shape)} asks for {expected}: "
                         "the file is cut or mixed up, fetch it again.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
