"""Long results with their provenance: loaded only if they are what was recorded, for this configuration.

A record is a folder with one file of arrays and a manifest (`nearsight.manifests`), which carries the digests of
computation and configuration, of the sources, and of the file. How a long computation is written is said in
`nearsight.scales`; how one is recomputed and verified, in `nearsight.reproduction`.

    record = recorded.load(scales.find("miniature-laptop"))
    steps, losses = record.results.curve("loss")
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from html import escape
from pathlib import Path

from safetensors.torch import load as parse
from safetensors.torch import save as serialize

from nearsight.computing import Results
from nearsight.files import sha256, write_whole
from nearsight.manifests import Manifest, RecordRefused, address, computation_name, describe, differences, plain_config
from nearsight.scales import Run, Stage
from nearsight.sources import source_digests

ROOT = Path(__file__).parents[2] / "book" / "recorded"


@dataclass(frozen=True, eq=False, repr=False)
class Record:
    """A stored run: its results, its manifest, and the modules that have changed since (none: the record is fresh)."""

    results: Results
    manifest: Manifest
    changed: tuple[str, ...]

    @property
    def state(self) -> str:
        """A sentence: fresh, or stale and why."""
        if not self.changed:
            return "fresh: the sources that made it are those of today"
        return (f"stale: {', '.join(self.changed)} changed since it was recorded; "
                f"`make verify RUN={self.manifest.run}` computes its opening stages again and renews it if they agree")

    def __repr__(self) -> str:
        return f"Record({self.manifest.run}, {self.state})"

    def _repr_html_(self) -> str:
        """The provenance as a table."""
        kept = self.manifest
        return table([
            ("run", f"{kept.run} ({kept.scale} scale)"), ("state", self.state),
            ("configuration", ", ".join(f"{name} = {value}" for name, value in kept.config.items())),
            ("address", kept.address[:16]),
            ("sources", f"{kept.digest[:16]} over {len(kept.sources)} modules, renewed {len(kept.history)} times"),
            ("commit", kept.commit[:12]), ("recorded", kept.date), ("wall time", f"{kept.seconds:,.0f} s"),
            ("machine", ", ".join(kept.machine[part] for part in ("device", "processor", "capability"))),
            ("versions", ", ".join(f"{name} {number}" for name, number in kept.versions.items())),
            ("to recompute", kept.command)])


def table(rows: list[tuple[str, ...]]) -> str:
    """Return an HTML table whose first column names the rows."""
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in others) for _, *others in rows)
    lines = (f"<tr><th>{escape(row[0])}</th>{rest}</tr>" for row, rest in zip(rows, cells))
    return f'<table class="table">{"".join(lines)}</table>'


def load(run: Run, root: Path = ROOT) -> Record:
    """Return the record of a run.

    Raises RecordRefused, a ValueError that says how to recompute, where the record is missing, incomplete or edited, or
    was made with another configuration. A record whose sources have changed is returned: it is stale, and says so.
    """
    folder = root / run.name
    manifest = Manifest.read(folder, run.name)
    if manifest.address != address(run):
        changed = differences({"computation": manifest.computation} | manifest.config,
                              {"computation": computation_name(run)} | plain_config(run))
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
    current = source_digests(run.computation)
    changed = [name for name in manifest.sources.keys() | current.keys()
               if manifest.sources.get(name) != current.get(name)]
    return Record(results, manifest, tuple(sorted(changed)))


def state(run: Run, root: Path = ROOT) -> str:
    """Return "fresh", "stale", "corrupt" or "missing"."""
    try:
        return "stale" if load(run, root).changed else "fresh"
    except RecordRefused as refused:
        return refused.state


def store(run: Run, results: Results, sources: dict[str, str], device: str = "cpu", root: Path = ROOT) -> None:
    """Write a record in place of any that is there; `sources` are the digests that were taken before it was computed.

    The file of arrays is named by its content, and the manifest that names it is replaced in one step after it: a
    reader finds the old record or the new one, and a writer that is killed leaves the old one whole.
    """
    folder = root / run.name
    content = serialize({f"{step}/{name}": array for step, arrays in results.stages for name, array in arrays.items()})
    digest = sha256(content)
    name = f"results-{digest[:12]}.safetensors"
    write_whole(folder / name, content)
    describe(run, sources, device, results.seconds, {name: digest}).write(folder)
    for left in set(folder.iterdir()) - {folder / name, folder / Manifest.NAME}:
        left.unlink()
