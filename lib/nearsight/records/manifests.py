"""The manifest of a recorded run: which configuration and which definitions made it, when, where, and what files it has."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import torch

from nearsight.files import sha256, write_whole
from nearsight.records.digests import Meaning
from nearsight.records.runs import Run

PACKAGES = ("numpy", "safetensors", "scikit-learn", "scipy", "torch")


class RecordRefused(ValueError):
    """A record that must not be used; `state` is "missing", "corrupt" or "stale"."""

    def __init__(self, run: str, state: str, reason: str):
        super().__init__(f"{run}: {reason}: recompute it with `make reproduce RUN={run}`.")
        self.state = state


@dataclass(frozen=True)
class Manifest:
    """Everything that is known about a recorded run.

    `digest` is that of its meaning and `definitions` those of its parts (see `digests`), `tolerances` say how far each
    array is determined (see `tolerances`), `files` are the SHA-256 of each file, and `history` the digests that `make
    verify` replaced, oldest first. A field that an older schema lacks takes its default.
    """

    NAME: ClassVar[str] = "manifest.json"
    SCHEMA: ClassVar[int] = 2

    run: str
    scale: str
    computation: str
    config: dict
    seed: int
    commit: str
    versions: dict[str, str]
    machine: dict[str, str]
    seconds: float
    date: str
    command: str
    files: dict[str, str]
    history: list[dict]
    digest: str = ""
    definitions: dict[str, str] = field(default_factory=dict)
    threads: int = 1
    tolerances: dict[str, float] = field(default_factory=dict)

    @property
    def meaning(self) -> Meaning:
        """The meaning of the computation when it was recorded or verified."""
        return Meaning(self.digest, self.definitions)

    def write(self, folder: Path) -> None:
        """Write the manifest and, as its last entry, the digest of all that stands above it."""
        content = {"schema": self.SCHEMA} | asdict(self)
        write_whole(folder / self.NAME, (json.dumps(content | {"seal": seal(content)}, indent=2) + "\n").encode())

    @classmethod
    def read(cls, folder: Path, run: str) -> Manifest:
        """Read the manifest of `run`; RecordRefused where there is none, it was edited, or it is of a later schema."""
        try:
            content = json.loads((folder / cls.NAME).read_bytes())
            found, schema = content.pop("seal"), content.get("schema", 1)
            known = {each.name for each in fields(cls)}
            needed = {each.name for each in fields(cls) if each.default is MISSING and each.default_factory is MISSING}
            if not needed <= content.keys() or (schema == cls.SCHEMA and not content.keys() <= known | {"schema"}):
                raise KeyError
        except (FileNotFoundError, NotADirectoryError):
            raise RecordRefused(run, "missing", "no record of this run is stored") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise RecordRefused(run, "corrupt", f"its {cls.NAME} is no longer a manifest") from None
        if found != seal(content):
            raise RecordRefused(run, "corrupt", f"its {cls.NAME} was edited after it was written") from None
        if schema > cls.SCHEMA:
            raise RecordRefused(run, "corrupt", f"its {cls.NAME} has schema {schema}, and this library knows {cls.SCHEMA}")
        return cls(**{name: value for name, value in content.items() if name in known})


def describe(run: Run, meaning: Meaning, device: str, seconds: float, files: dict[str, str],
             tolerances: dict[str, float]) -> Manifest:
    """Return the manifest of a run whose results were computed just now, by these definitions, on this machine."""
    return Manifest(
        run=run.name, scale=run.scale, computation=run.computation.__qualname__, config=plain_config(run),
        seed=run.config.seed, commit=commit(),
        versions={"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
        machine=machine(device), seconds=round(seconds, 2), date=today(), command=f"make reproduce RUN={run.name}",
        files=files, history=[], digest=meaning.digest, definitions=meaning.definitions, threads=run.threads,
        tolerances=tolerances)


def plain_config(run: Run) -> dict:
    """Return the configuration as JSON knows it; TypeError where a field cannot be written so."""
    try:
        return json.loads(json.dumps(asdict(run.config), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"the configuration of {run.name} cannot be written down ({error}); expected finite numbers, "
                        "texts, and tuples, dicts or dataclasses of them.") from error


def config_differences(recorded: dict, run: Run) -> str:
    """Return in words how the configuration of a run differs from the recorded one, field by field; "" where it does not.

    A field that has come since the run was recorded is no difference where it has its default.
    """
    current = plain_config(run)
    defaults = {each.name: each.default for each in fields(run.config)}
    grown = {name: value for name, value in current.items()
             if name not in recorded and value == json.loads(json.dumps(defaults[name], default=lambda _: None))}
    changed = [f"{name} was {recorded.get(name)!r}, is {current.get(name)!r}"
               for name in sorted(recorded.keys() | current.keys() - grown.keys())
               if recorded.get(name) != current.get(name)]
    return ", ".join(changed)


def machine(device: str) -> dict[str, str]:
    """Return what two machines must share for equal bits: the processor and the libraries that compute."""
    kind = torch.device(device).type
    processor = torch.cuda.get_device_name(device) if kind == "cuda" else processor_name()
    return {"device": kind, "processor": processor, "capability": torch.backends.cpu.get_cpu_capability(),
            "torch": torch.__version__, "numpy": version("numpy")}


def processor_name(listing: Path = Path("/proc/cpuinfo")) -> str:
    """Return what the processor says of itself: a marketing name alone covers chips that round differently.

    On Intel and AMD its model name, family, model and stepping; Arm hides its name and tells implementer, part, variant
    and revision.
    """
    try:
        lines = listing.read_text().split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    known = {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in lines if ":" in line)}
    telling = ("cpu family", "model", "stepping", "CPU implementer", "CPU part", "CPU variant", "CPU revision")
    numbers = [f"{key} {known[key]}" for key in telling if key in known]
    name = known.get("model name") or known.get("Hardware") or platform.processor() or platform.machine()
    return ", ".join([name, *numbers])


def commit() -> str:
    """Return the commit of this library's checkout, with a plus sign where its sources differ from it."""
    def git(*arguments: str) -> str:
        return subprocess.run(("git", *arguments), cwd=Path(__file__).parents[1], capture_output=True, text=True,
                              check=True, env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"}).stdout.strip()
    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def today() -> str:
    """Return the time now, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def seal(content: dict) -> str:
    """Return the SHA-256 of a manifest's content in canonical JSON."""
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
