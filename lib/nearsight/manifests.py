"""The manifest of a recorded run: which configuration and which sources made it, when, where, and what files it has."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import torch

from nearsight.files import sha256, write_whole
from nearsight.scales import Run
from nearsight.sources import combined

PACKAGES = ("numpy", "safetensors", "scikit-learn", "scipy", "torch")


class RecordRefused(ValueError):
    """A record that must not be used; `state` is "missing", "corrupt" or "stale"."""

    def __init__(self, run: str, state: str, reason: str):
        super().__init__(f"{run}: {reason}: recompute it with `make reproduce RUN={run}`.")
        self.state = state


@dataclass(frozen=True)
class Manifest:
    """Everything that is known about a recorded run. `address` is the SHA-256 of computation and configuration,
    `sources` the digest of each module, `files` the SHA-256 of each file, and `history` the digests that `make verify`
    replaced, oldest first."""

    NAME: ClassVar[str] = "manifest.json"

    run: str
    scale: str
    computation: str
    config: dict
    seed: int
    address: str
    sources: dict[str, str]
    digest: str
    commit: str
    versions: dict[str, str]
    machine: dict[str, str]
    seconds: float
    date: str
    command: str
    files: dict[str, str]
    history: list[dict]

    def write(self, folder: Path) -> None:
        """Write the manifest and, as its last entry, the digest of all that stands above it."""
        content = asdict(self)
        write_whole(folder / self.NAME, (json.dumps(content | {"seal": _seal(content)}, indent=2) + "\n").encode())

    @classmethod
    def read(cls, folder: Path, run: str) -> Manifest:
        """Read the manifest of `run`; RecordRefused where there is none or it was edited by hand."""
        try:
            content = json.loads((folder / cls.NAME).read_bytes())
            seal = content.pop("seal")
            manifest = cls(**content)
        except FileNotFoundError:
            raise RecordRefused(run, "missing", "no record of this run is stored") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise RecordRefused(run, "corrupt", f"its {cls.NAME} is no longer a manifest") from None
        if seal != _seal(content):
            raise RecordRefused(run, "corrupt", f"its {cls.NAME} was edited after it was written") from None
        return manifest


def describe(run: Run, sources: dict[str, str], device: str, seconds: float, files: dict[str, str]) -> Manifest:
    """Return the manifest of a run whose results were computed just now, by these sources, on this machine."""
    return Manifest(
        run=run.name, scale=run.scale, computation=computation_name(run), config=plain_config(run),
        seed=run.config.seed, address=address(run), sources=sources, digest=combined(sources), commit=commit(),
        versions={"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
        machine=machine(device), seconds=round(seconds, 2), date=today(), command=f"make reproduce RUN={run.name}",
        files=files, history=[])


def address(run: Run) -> str:
    """Return the SHA-256 of the computation's name and the configuration in canonical JSON: where a result belongs."""
    return _seal({"computation": computation_name(run), "config": plain_config(run)})


def computation_name(run: Run) -> str:
    """Return module and name of the computation."""
    return f"{run.computation.__module__}.{run.computation.__qualname__}"


def plain_config(run: Run) -> dict:
    """Return the configuration as JSON knows it; TypeError where a field cannot be written so."""
    try:
        return json.loads(json.dumps(asdict(run.config), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"the configuration of {run.name} cannot be written down ({error}); expected finite numbers, "
                        "texts, and tuples, dicts or dataclasses of them.") from error


def machine(device: str) -> dict[str, str]:
    """Return what two machines must share for equal bits: the processor and the libraries that compute."""
    processor = _processor() if torch.device(device).type == "cpu" else torch.cuda.get_device_name(device)
    return {"device": torch.device(device).type, "processor": processor,
            "capability": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__,
            "numpy": version("numpy")}


def commit() -> str:
    """Return the commit of this library's checkout, with a plus sign where its sources differ from it."""
    def git(*arguments: str) -> str:
        return subprocess.run(("git", *arguments), cwd=Path(__file__).parent, capture_output=True, text=True,
                              check=True).stdout.strip()
    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def today() -> str:
    """Return the time now, in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def differences(recorded: dict, current: dict) -> str:
    """Return in words how two configurations differ, field by field."""
    changed = [f"{name} was {recorded.get(name)!r}, is {current.get(name)!r}"
               for name in sorted(recorded.keys() | current.keys()) if recorded.get(name) != current.get(name)]
    return ", ".join(changed)


def _processor() -> str:
    """Return model and stepping of the processor: a marketing name alone covers chips that round differently."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    known = {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in lines if ":" in line)}
    numbers = [f"{key} {known[key]}" for key in ("cpu family", "model", "stepping") if key in known]
    return ", ".join([known.get("model name", platform.machine()), *numbers])


def _seal(content: dict) -> str:
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
