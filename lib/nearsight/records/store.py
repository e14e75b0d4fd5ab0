"""Long results with their provenance: loaded only if they are what was recorded, for this configuration.

A record is a folder with one file of arrays and a manifest (`nearsight.records.manifests`). How a long computation is
written is said in `nearsight.records.runs`; how one is recomputed and verified, in `nearsight.records.reproduction`.

    record = records.load(find("miniature-laptop"))
    steps, losses = record.results.curve("loss")
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from html import escape
from pathlib import Path

import platformdirs
from safetensors.torch import load as parse
from safetensors.torch import save as serialize

from nearsight.files import sha256, write_whole
from nearsight.records.computing import Results
from nearsight.records.digests import meaning
from nearsight.records.manifests import Manifest, RecordRefused, config_differences, describe
from nearsight.records.runs import Run, Stage

CHECKOUT = Path(__file__).parents[3]


def place(checkout: Path = CHECKOUT) -> Path:
    """Return the folder of records: what the variable NEARSIGHT_RECORDS names, else book/recorded of a checkout, else,
    for an installed library, a folder of the user's data."""
    if named := os.environ.get("NEARSIGHT_RECORDS"):
        return Path(named).resolve()
    if (checkout / "pyproject.toml").is_file() and (checkout / "book").is_dir():
        return checkout / "book" / "recorded"
    return platformdirs.user_data_path("nearsight") / "recorded"


ROOT = place()


@dataclass(frozen=True, eq=False)
class Record:
    """A stored run: its results, its manifest, and the definitions that have changed since (none: the record is fresh)."""

    results: Results
    manifest: Manifest
    changed: tuple[str, ...]

    @property
    def state(self) -> str:
        """A sentence: fresh, or stale and why."""
        if not self.changed:
            return "fresh: the definitions that made it are those of today"
        some = ", ".join(self.changed[:5]) + (f" and {len(self.changed) - 5} more" if len(self.changed) > 5 else "")
        return (f"stale: {some} changed since it was recorded; `make verify RUN={self.manifest.run}` computes some of its "
                "stages again and renews it if they agree")

    def __repr__(self) -> str:
        return f"Record({self.manifest.run}, {self.state})"

    def _repr_html_(self) -> str:
        """The provenance as a table."""
        kept = self.manifest
        where = [kept.machine[part] for part in ("device", "processor", "capability")]
        where.append(f"{kept.threads} thread{'s' * (kept.threads > 1)}")
        digits = [f"{name} {share:.0e}" for name, share in kept.tolerances.items() if not name.startswith("weight/")]
        return table([
            ("run", f"{kept.run} ({kept.scale} scale)"), ("state", self.state),
            ("configuration", ", ".join(f"{name} = {value}" for name, value in kept.config.items())),
            ("meaning", f"{kept.digest[:16]} over {len(kept.definitions)} definitions, renewed {len(kept.history)} times"),
            ("determined to", ", ".join(digits) + " of an array's largest entry" if digits else "not measured"),
            ("commit", kept.commit[:12]), ("recorded", kept.date), ("wall time", f"{kept.seconds:,.0f} s"),
            ("machine", ", ".join(where)),
            ("versions", ", ".join(f"{name} {number}" for name, number in kept.versions.items())),
            ("to recompute", kept.command)])


def table(rows: list[tuple[str, ...]]) -> str:
    """Return an HTML table whose first column names the rows."""
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in others) for _, *others in rows)
    lines = (f"<tr><th>{escape(row[0])}</th>{rest}</tr>" for row, rest in zip(rows, cells, strict=True))
    return f"<table>{''.join(lines)}</table>"


def load(run: Run, root: Path = ROOT) -> Record:
    """Return the record of a run.

    Raises RecordRefused, a ValueError that says how to recompute, where the record is missing, incomplete or edited, or
    was made with another configuration. A record whose definitions have changed is returned: it is stale, and says so.
    """
    folder = root / run.name
    manifest = Manifest.read(folder, run.name)
    if changed := config_differences(manifest.config, run):
        raise RecordRefused(run.name, "stale", f"it was recorded with another configuration ({changed})")
    stages = defaultdict(dict)
    for name, digest in manifest.files.items():
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError:
            raise RecordRefused(run.name, "corrupt", f"its file {name} is missing") from None
        if sha256(content) != digest:
            raise RecordRefused(run.name, "corrupt", f"its file {name} is not the one that was recorded")
        for key, array in parse(content).items():
            step, _, array_name = key.partition("/")
            stages[int(step)][array_name] = array
    results = Results(tuple(Stage(step, stages[step]) for step in sorted(stages)), manifest.seconds)
    return Record(results, manifest, meaning(run.computation, run.config).changes(manifest.meaning))


def state(run: Run, root: Path = ROOT) -> str:
    """Return "fresh", "stale", "corrupt" or "missing"."""
    try:
        return "stale" if load(run, root).changed else "fresh"
    except RecordRefused as refused:
        return refused.state


def store(run: Run, results: Results, described: dict, root: Path = ROOT) -> None:
    """Write a record in place of any that is there; `described` goes to `manifests.describe`.

    The file of arrays is named by its content, and the manifest that names it is replaced in one step after it: a
    reader finds the old record or the new one, and a writer that is killed leaves the old one whole.
    """
    folder = root / run.name
    content = serialize({f"{step}/{name}": array for (step, name), array in results.arrays.items()})
    digest = sha256(content)
    name = f"results-{digest[:12]}.safetensors"
    write_whole(folder / name, content)
    describe(run, seconds=results.seconds, files={name: digest}, **described).write(folder)
    for left in set(folder.iterdir()) - {folder / name, folder / Manifest.NAME}:
        left.unlink()
