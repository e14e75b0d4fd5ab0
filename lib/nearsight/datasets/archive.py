"""The files of a folder or an archive that a reader brings along, read in place and never unpickled."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path


@contextmanager
def opened(path: str | Path) -> Iterator[dict[str, Callable[[], bytes]]]:
    """Yield {name: function that returns the bytes} for each file below a folder or in a zip or tar archive.

    Raises ValueError where the path is missing, a Python pickle or nothing of the kind, and where reading it inside
    the block meets a cut or damaged archive.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist; expected a folder, a zip or a tar archive: check the path.")
    try:
        if path.is_dir():
            yield {file.relative_to(path).as_posix(): file.read_bytes for file in path.rglob("*") if file.is_file()}
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield {entry.filename: partial(archive.read, entry)
                       for entry in archive.infolist() if not entry.is_dir()}
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                yield {entry.name: partial(_extract, archive, entry) for entry in archive if entry.isfile()}
        else:
            with path.open("rb") as file:
                pickled = file.read(1) == b"\x80"
            found = "a Python pickle, which can run any program when it is read" if pickled else "no archive, or cut"
            raise ValueError(f"{path} is {found}; expected a folder, a zip or a tar archive of the files themselves.")
    except (EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is cut or damaged ({error}); expected a whole archive: fetch it again.") from error


def _extract(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    """The bytes of one regular file of a tar archive."""
    with archive.extractfile(entry) as file:
        return file.read()
