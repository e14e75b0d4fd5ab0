"""Many checkpoints of one training: an audit of each, with alpha divided by their number, and one figure."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

from nearsight import checks
from nearsight.auditing.auditor import audit
from nearsight.auditing.charts import Chart
from nearsight.auditing.page import STYLE
from nearsight.auditing.report import AuditReport
from nearsight.auditing.verdicts import CODES
from nearsight.denoisers.compose import Denoiser


@dataclass(frozen=True, eq=False, repr=False)
class CheckpointAudits:
    """The audits of checkpoints, `reports` by training step, in the order of the steps."""

    reports: dict[int, AuditReport]

    def last_below(self, code: str = "closer") -> int | None:
        """The last step before any verdict that is `code` or worse; None where the first one is."""
        worst = CODES.index(checks.choice(code, "code", CODES))
        last = None
        for step, report in self.reports.items():
            if CODES.index(report.verdict["code"]) >= worst:
                break
            last = step
        return last

    def __str__(self) -> str:
        return "\n".join(f"{step:>10,}  {_margin(report):>8}  {report.verdict['code']}" for step, report in
                         self.reports.items())

    def _repr_html_(self) -> str:
        return f"<style>{STYLE}</style>{self.svg()}"

    def svg(self) -> str:
        """The margin of the samples against the training step, with the verdict at every checkpoint."""
        steps = list(self.reports)
        margins = [report.proximity["margin"] for report in self.reports.values()]
        low, high = min(0.0, *margins), max(0.05, *margins)
        reach = 0.12 * (high - low)
        chart = Chart((steps[0], max(steps[-1], steps[0] + 1)), (low - reach, high + reach), "training step", "margin",
                      log_x=steps[0] > 0, x_ticks=steps, y_ticks=[0, round(high, 2)])
        chart.line([steps[0], steps[-1]], [0, 0], "zero").line(steps, margins, "train")
        for place, (step, report) in enumerate(self.reports.items()):
            code = report.verdict["code"]
            kind = "holdout" if CODES.index(code) >= CODES.index("closer") else "train"
            chart.dot(step, margins[place], kind)
        kept = self.last_below()
        said = ", ".join(f"{step:,}: {report.verdict['code']}" for step, report in self.reports.items())
        finding = (f"The margin of the samples goes from {margins[0]:.3f} to {margins[-1]:.3f} along training. Verdicts: "
                   f"{said}. "
                   + ("No checkpoint stays below the verdict closer." if kept is None else
                      f"The last checkpoint below the verdict closer is {kept:,}."))
        return f"<figure>{chart.svg(finding)}<figcaption>{html.escape(finding)}</figcaption></figure>"


def audit_checkpoints(denoisers: Mapping[int, Denoiser], train, holdout, *, alpha: float = 0.05,
                      **settings) -> CheckpointAudits:
    """Audit the denoisers {step: denoiser} of one training, each at level alpha/(their number).

    With the level divided, the probability of any false alarm among all checkpoints is at most `alpha`. Fix the steps in
    advance; `settings` are those of `audit`, whose samples every denoiser draws for itself. Cost: one audit a checkpoint.
    """
    checks.instance(denoisers, "denoisers", Mapping, "a dictionary {step: denoiser}")
    steps = [checks.count(step, "a step of denoisers", at_least=0) for step in denoisers]
    if not steps or len(set(steps)) < len(steps):
        raise ValueError(f"denoisers holds {len(steps)} checkpoints; expected at least one, each at a step of its own.")
    level = checks.share(alpha, "alpha") / len(steps)
    checks.count(settings.get("sample_count", 1), "sample_count")
    if "samples" in settings:
        raise ValueError("samples came for all checkpoints; expected each denoiser to draw its own: try without samples=.")
    if holdout is None:
        raise ValueError("holdout is None; expected held-out images, without which no checkpoint has a verdict: try "
                         "audit(train, None, samples=samples) for each.")
    return CheckpointAudits({int(step): audit(train, holdout, denoiser=denoisers[step], alpha=level, **settings)
                             for step in sorted(denoisers, key=int)})


def _margin(report: AuditReport) -> str:
    return f"{report.proximity['margin']:.3f}"
