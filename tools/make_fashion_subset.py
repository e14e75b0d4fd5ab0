"""Make the shipped part of Fashion-MNIST from the four original IDX files.

    python tools/make_fashion_subset.py FOLDER [TARGET]

FOLDER holds the files train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and
t10k-labels-idx1-ubyte.gz from github.com/zalandoresearch/fashion-mnist or from a distribution's package
dataset-fashion-mnist. They are checked by the SHA-256 of their uncompressed bytes, since compressors differ.
The result holds the first 12,288 training and the first 2,048 test images in their order, with labels.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np
from nearsight.datasets.fashion import SHIPPED
from nearsight.datasets.idx import read_idx

ORIGINALS = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def make_subset(folder: Path, target: Path, train: int = 12_288, test: int = 2_048, digests=ORIGINALS) -> None:
    """Write the first `train` training and `test` test images, with labels, as a compressed npz of uint8 arrays.

    The archive carries no dates, so that the same input gives the same bytes (with the same version of zlib).
    """
    arrays = {}
    for name, expected in digests.items():
        found = hashlib.sha256(gzip.decompress((folder / name).read_bytes())).hexdigest()
        if found != expected:
            raise ValueError(f"{folder / name} has SHA-256 {found} when uncompressed; expected {expected}: "
                             "fetch the original file.")
        part, kind = name.split("-")[:2]
        split, count = ("train", train) if part == "train" else ("test", test)
        arrays[f"{split}_{kind}"] = read_idx(folder / name)[:count]
    np.savez_compressed(target, allow_pickle=False, **arrays)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    make_subset(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else SHIPPED)
