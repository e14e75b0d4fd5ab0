"""Checkpoints: the state of a training as whole files of tensors, from which it goes on with the same bits.

A checkpoint is two files. `step-N.safetensors` holds the tensors; `step-N.json`, written after it, holds their digest
and the identity of the run. Both are replaced in one step, so a process that is killed while it writes leaves the
earlier checkpoints as they were, and a checkpoint without its second file does not count. Nothing is pickled.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection
from pathlib import Path

from safetensors.torch import load, save
from torch import Tensor

from nearsight.files import sha256, write_whole

NAME = "step-" + 12 * "[0-9]"


class Checkpoints:
    """The checkpoints of one run in `folder`, which has one writer at a time.

    `identity` is what a run must share to go on from them, a dict of names and JSON values. Raises ValueError where the
    folder holds checkpoints of a run with another identity, and says what differs.
    """

    def __init__(self, folder: Path, identity: dict):
        self.folder = Path(folder)
        self.identity = json.loads(json.dumps(identity))
        for step in self.steps:
            self._check_identity(self._read_seal(step)["identity"])
        self._remove_torn()

    @property
    def steps(self) -> list[int]:
        """Steps at which a whole checkpoint was written, rising."""
        steps = (int(path.stem.removeprefix("step-")) for path in self.folder.glob(f"{NAME}.json"))
        return sorted(step for step in steps if self._read_seal(step))

    def save(self, step: int, tensors: dict[str, Tensor], keep: Collection[int]) -> None:
        """Write the checkpoint at `step`; then remove all others but those at the steps in `keep` and the two newest
        of the rest."""
        content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
        write_whole(self._path(step, "safetensors"), content)
        seal = {"step": step, "sha256": sha256(content), "identity": self.identity}
        write_whole(self._path(step, "json"), (json.dumps(seal, indent=2) + "\n").encode())
        for old in [each for each in self.steps if each not in keep][:-2]:
            # The seal goes first: without it the checkpoint does not count, whenever the process is killed.
            self._path(old, "json").unlink()
            self._path(old, "safetensors").unlink(missing_ok=True)

    def load(self, step: int) -> dict[str, Tensor] | None:
        """The tensors at `step`, on the CPU; None, with a warning, where the file is missing or its digest does not
        match."""
        path = self._path(step, "safetensors")
        content = path.read_bytes() if path.exists() else b""
        if sha256(content) != self._read_seal(step)["sha256"]:
            warnings.warn(f"{path} is not what was written; the run goes on from an earlier checkpoint.", stacklevel=2)
            return None
        return load(content)

    def _path(self, step: int, suffix: str) -> Path:
        return self.folder / f"step-{step:012d}.{suffix}"

    def _remove_torn(self) -> None:
        """Remove what a process left that was killed while it wrote: hidden temporary files, and half a checkpoint."""
        whole = [self._path(step, "json").stem for step in self.steps]
        halves = [path for suffix in ("json", "safetensors") for path in self.folder.glob(f"{NAME}.{suffix}")
                  if path.stem not in whole]
        for path in [*halves, *self.folder.glob(f".{NAME}.*")]:
            path.unlink()

    def _read_seal(self, step: int) -> dict | None:
        """The second file of a checkpoint, None where it is torn."""
        try:
            seal = json.loads(self._path(step, "json").read_bytes())
            return seal if {"step", "sha256", "identity"} <= seal.keys() else None
        except (ValueError, AttributeError):
            return None

    def _check_identity(self, found: dict) -> None:
        names = sorted(found.keys() | self.identity.keys())
        changed = [f"{name} was {found.get(name)!r} and is {self.identity.get(name)!r}"
                   for name in names if found.get(name) != self.identity.get(name)]
        if changed:
            raise ValueError(f"{self.folder} holds checkpoints of another run ({', '.join(changed)}); expected those "
                             "of this one: choose another folder, or delete this one to start afresh.")
