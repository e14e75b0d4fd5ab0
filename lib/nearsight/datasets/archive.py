"""The files of a folder or an archive that a reader brings along, read in place, never unpickled, never without bound."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from nearsight import checks

LARGEST = 2**28
"""The bytes that one file, or one picture without its compression, may take: 256 MiB, as Pillow has it for pictures."""


@contextmanager
def opened(path: str | Path) -> Iterator[dict[str, Callable[[], bytes]]]:
    """Yield {name: function that returns the bytes} for each file below a folder or in a zip or tar archive.

    Raises ValueError where the path is missing, a Python pickle or nothing of the kind, where an archive is encrypted or
    holds a file of more than LARGEST bytes, and where reading it inside the block meets a cut or damaged archive, or a
    file of another size than its header states. Of such a file no more than the stated bytes and one are ever unpacked.
    """
    path = Path(checks.instance(path, "path", (str, Path), "the path of a folder or an archive"))
    if not path.exists():
        raise ValueError(f"{path} does not exist; expected a folder, a zip or a tar archive: check the path.")
    try:
        if path.is_dir():
            yield {file.relative_to(path).as_posix():
                   partial(_contents, partial(file.open, "rb"), file.stat().st_size, str(file))
                   for file in path.rglob("*") if file.is_file()}
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                entries = [_checked(entry, path) for entry in archive.infolist() if not entry.is_dir()]
                yield {entry.filename: partial(_contents, partial(archive.open, entry), entry.file_size, entry.filename)
                       for entry in entries}
        elif (archive := _tar(path)) is not None:
            with archive:
                yield {entry.name: partial(_contents, partial(archive.extractfile, entry), entry.size, entry.name)
                       for entry in archive if entry.isfile()}
        else:
            with path.open("rb") as file:
                pickled = file.read(1) == b"\x80"
            found = "a Python pickle, which can run any program when it is read" if pickled else "no archive, or cut"
            raise ValueError(f"{path} is {found}; expected a folder, a zip or a tar archive of the files themselves.")
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is cut or damaged ({error}); expected a whole archive: fetch it again.") from error


def bounded(size: int, name: str) -> int:
    """Return a number of bytes that a file asks for; ValueError where it is none, or more than LARGEST."""
    if not 0 <= size <= LARGEST:
        raise ValueError(f"{name} asks for {size:,} bytes; expected at most {LARGEST:,} a file: leave it out or cut it.")
    return size


def read_stated(file: IO[bytes], size: int, name: str) -> bytes:
    """Return the rest of an open file that states to hold `size` bytes; ValueError where it holds more or fewer."""
    content = file.read(bounded(size, name) + 1)
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content):,}"
        raise ValueError(f"{name} states {size:,} bytes and holds {found}; expected what it states: fetch it again.")
    return content


def _contents(open_file: Callable[..., IO[bytes]], size: int, name: str) -> bytes:
    """The bytes of one file of a folder or an archive."""
    with open_file() as file:
        return read_stated(file, size, name)


def _checked(entry: zipfile.ZipInfo, path: Path) -> zipfile.ZipInfo:
    """A file of a zip archive that can be read within bounds."""
    if entry.flag_bits & 1:
        raise ValueError(f"{entry.filename} in {path} is encrypted; expected an archive that anyone can read: unpack it "
                         "with its password, and pass the folder.")
    # Python bounds what comes out of these two alone: 4 kB of bzip2 can hold 5 GB.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{entry.filename} in {path} is compressed by method {entry.compress_type}; expected stored or "
                         "deflated files: unpack it, and pass the folder.")
    bounded(entry.file_size, f"{entry.filename} in {path}")
    return entry


def _tar(path: Path) -> tarfile.TarFile | None:
    """The open tar archive, compressed or not, at a path; None where there is none."""
    try:
        return tarfile.open(path, tarinfo=_BoundedEntry)
    except tarfile.ReadError:
        return None


class _BoundedEntry(tarfile.TarInfo):
    """A member of a tar archive, also one that names or describes the next, whose size is bounded wherever it is stated.

    A size is checked when it becomes known, because what follows is unpacked to get to the next member.
    """

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, bounded(value, self.name) if name == "size" else value)
