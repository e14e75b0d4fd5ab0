"""The report of an audit: plain numbers by name, as JSON, as a page, as 25 lines."""

from __future__ import annotations

import html
import json
import math
import textwrap
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from nearsight import checks
from nearsight.auditing.page import page
from nearsight.auditing.refusal import AuditRefused
from nearsight.auditing.verdicts import p_text
from nearsight.files import write_whole

SCHEMA = "nearsight-audit/1"
_WIDTH, _LINES = 88, 25


@dataclass(frozen=True, eq=False, repr=False)
class AuditReport:
    """What an audit found. The attributes are the top-level keys of its JSON, and hold plain Python.

    `drawings` holds what the page shows beside the numbers: scores, re-deals and pictures of nearest images.
    """

    schema: str
    status: str
    refusal: None
    title: str | None
    alpha: float
    seed: int
    environment: dict[str, Any]
    inputs: dict[str, Any]
    warnings: list[dict[str, str]]
    duplicates: dict[str, Any]
    exchangeability: dict[str, Any] | None
    proximity: dict[str, Any] | None
    copies: dict[str, Any] | None
    membership: dict[str, Any]
    gap: dict[str, Any] | None
    tests: list[dict[str, Any]]
    verdict: dict[str, Any]
    drawings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The document as plain Python that strict JSON can hold."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "drawings"}

    def to_json(self) -> str:
        """The document as strict JSON: no NaN, no Infinity."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)

    def to_html(self) -> str:
        """The document as one page that loads nothing and runs no script."""
        return page(self.to_dict(), self.drawings)

    def save(self, path: str | Path) -> None:
        """Write the report, whole or not at all, as .json or .html by the path's suffix."""
        path = Path(checks.instance(path, "path", (str, Path), "a name that ends in .json or .html"))
        if path.suffix not in (".json", ".html"):
            raise ValueError(f"path is {str(path)!r}; expected a name that ends in .json or .html: try 'audit.html'.")
        write_whole(path, (self.to_json() if path.suffix == ".json" else self.to_html()).encode())

    def __repr__(self) -> str:
        return f"AuditReport({self.verdict['code']}{'' if self.verdict['reliable'] else ', not reliable'})"

    def __str__(self) -> str:
        lines = [self.title] if self.title else []
        lines += [*_wrapped(" ".join(self.inputs["compared"])), ""]
        lines += _wrapped(f"Verdict: {self.verdict['code']}. {self.verdict['sentence']}")
        if not self.verdict["reliable"]:
            lines += _wrapped("Not reliable: see the warnings.")
        lines += [f"  {test['name']:20}p = {p_text(test['p_value']):>8}   adjusted {p_text(test['p_adjusted']):>8}"
                  f"{'   significant' if test['significant'] else ''}" for test in self.tests]
        lines += [line for remark in self.warnings for line in _wrapped(f"Warning ({remark['code']}): {remark['text']}")]
        if len(lines) > _LINES:
            lines = [*lines[:_LINES - 1], "More in .to_html() and .to_json()."]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return (f'<iframe title="Audit: {html.escape(self.verdict["code"])}" srcdoc="{html.escape(self.to_html())}" '
                'style="width:100%;height:40em;border:1px solid #888"></iframe>')


def refused(error: AuditRefused) -> str:
    """The JSON of an audit that was refused."""
    document = {"schema": SCHEMA, "status": "refused", "refusal": {"code": error.code, "text": str(error)}, "verdict": None}
    return json.dumps(document, indent=1, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Numbers, texts, lists and dictionaries of what numpy, torch and named tuples hold; None for what is not finite."""
    if isinstance(value, (np.ndarray, Tensor)):
        return [plain(each) for each in value.tolist()] if value.ndim else plain(value.item())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH)
