"""What the page says of recorded runs: whether a live miniature agrees with its record, and where each came from."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Protocol

DIFFERS = "differs-from-record"
"""The class of the notice in the built page; `make test` fails where it finds one."""


class Compared(Protocol):
    """What `nearsight.records.compare` returns: the worst difference (None where all agree), and both machines."""

    run: str
    worst: object | None
    recorded_on: str
    computed_on: str


@dataclass(frozen=True, repr=False)
class Beside:
    """A sentence that a cell shows: on a page, set apart where the miniature differs from its record."""

    sentence: str
    differs: bool

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        if not self.differs:
            return f"<p>{escape(self.sentence)}</p>"
        return (f'<div class="admonition warning {DIFFERS}"><p class="admonition-title">Not as recorded</p>'
                f"<p>{escape(self.sentence)}</p></div>")


def beside(compared: Compared) -> Beside:
    """Return what a chapter shows of a miniature and its record. It never raises: a difference in rounding is worth a
    notice to a reader, who can do nothing about it, and no more."""
    if compared.worst is None:
        return Beside(f"Computed just now, {compared.run} agrees with its record, each array within its measured tolerance.",
                      False)
    return Beside(f"{compared.run}, {compared.worst}. Recorded on {compared.recorded_on}; computed just now on "
                  f"{compared.computed_on}. The figures show the record.", True)


@dataclass(frozen=True, repr=False)
class Provenance:
    """A folded table of recorded runs, a line each."""

    records: tuple

    def __repr__(self) -> str:
        return "\n".join(", ".join(line) for line in self._lines())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in self._lines())
        names = "".join(f"<th>{name}</th>" for name in ("run", "state", "machine", "recorded", "time", "command"))
        runs = f"{len(self.records)} recorded run{'s' * (len(self.records) > 1)}, {self._cost()}"
        return (f'<details class="provenance"><summary>{runs}</summary><table><thead><tr>{names}</tr></thead>'
                f"<tbody>{rows}</tbody></table></details>")

    def _cost(self) -> str:
        """How long all runs took together, on one core."""
        minutes = sum(each.manifest.seconds * each.manifest.threads for each in self.records) / 60
        return f"{minutes / 60:,.1f} hours of one core" if minutes > 90 else f"{max(minutes, 1):.0f} minutes of one core"

    def _lines(self) -> list[tuple[str, ...]]:
        kept = [record.manifest for record in self.records]
        return [(each.run, "stale" if record.changed else "fresh", f"{each.machine['processor']}, {each.threads} thread"
                 + "s" * (each.threads > 1), each.date[:10], f"{each.seconds:,.0f} s", each.command)
                for record, each in zip(self.records, kept)]


def provenance(*records) -> Provenance:
    """Return what a chapter shows of its records at its foot: how many, what all took together on one core (on several
    `make reproduce` is as many times as fast), and folded, of each, name, state, machine, date, time, command."""
    return Provenance(records)
