"""The report as one page: no script, nothing loaded, readable on paper, on a phone and in the dark."""

from __future__ import annotations

from html import escape
from typing import Any

from nearsight.auditing.figures import figures
from nearsight.auditing.verdicts import percent
from nearsight.checks.results import interval, number

STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--paper:#fff;--faint:#5a5a5a;--rule:#c8c8c8;--train:#0072b2;--holdout:#b64a00}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#16181b;--faint:#a8a8a8;--rule:#44484d;--train:#5ab4e8;
--holdout:#f0945a}}
@media print{:root{--ink:#000;--paper:#fff;--faint:#444;--rule:#bbb;--train:#0072b2;--holdout:#b64a00}}
body{font:1rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:46rem;margin:0 auto;
padding:1rem;overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.15rem;margin-top:2rem}h3{font-size:1rem;margin:1rem 0 0}
.verdict{border-left:.35rem solid var(--train);padding:.1rem 0 .1rem .9rem;font-size:1.1rem}
.doubt{border-color:var(--holdout)}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--rule);font-weight:400}
thead th{color:var(--faint);white-space:nowrap}table.names th{white-space:nowrap}
td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
figure{margin:1.5rem 0;break-inside:avoid}figcaption{color:var(--faint);font-size:.9rem;max-width:40rem}
svg{width:100%;max-width:34rem;height:auto}svg text{fill:var(--ink);font-size:13px}svg .tick{fill:var(--faint)}
.frame{fill:none;stroke:var(--rule)}polyline{fill:none;stroke-width:2}.train{stroke:var(--train)}
.holdout{stroke:var(--holdout)}.neutral{stroke:var(--faint)}.zero{stroke:var(--faint);stroke-dasharray:4 4;stroke-width:1}
.area{fill:var(--train);fill-opacity:.28;stroke:none}circle.train{fill:var(--train)}circle.holdout{fill:var(--holdout)}
svg .named{stroke:none}svg .train.named{fill:var(--train)}svg .holdout.named{fill:var(--holdout)}
svg .neutral.named{fill:var(--faint)}.row{margin:.5rem 0 .1rem;font-size:.85rem;color:var(--faint)}
.pictures{display:grid;grid-template-columns:repeat(6,1fr);gap:.3rem;max-width:34rem;font-size:.75rem;text-align:center}
.pictures img{width:100%;image-rendering:pixelated;background:#808080}code{font-size:.85rem}
"""

CHOICES = ("Choices of ours: a ratio of 1/3 of the two nearest distances (as in the literature), a tolerance of 0.1 "
           "standard deviations for duplicates, at most 10 % of overlap, 20 images a set, a warning at p = 0.001 for "
           "exchangeability, and 0.60 with a copy bound of 1 % for no_evidence.")
LIMITS = (
    "A p-value speaks of these images, these samples and this sampler. Areas and margins are lower bounds on what a better "
    "attack could find.",
    "No verdict is a guarantee of privacy, a legal finding or a certificate; differential privacy is another thing.",
    "The audit trusts the person that the held-out images were unseen. Images that were used for early stopping or tuning "
    "were not; no program can check it.",
    "Exchangeability cannot be proved by a check, only refuted.",
    "A model that was pre-trained on both sets knows both, and looks innocent here.",
    "Of a latent model, encode both sets by one autoencoder and audit latents, or compare decoded samples with both sets "
    "after their way through it.",
    "Distances between pixels see copies of whole images. Crops, mirrored and recolored copies escape them.",
)
NAMES = {"proximity": "preference: samples nearer to training images", "margin": "margin: how much nearer",
         "copies": "copies, by distinct images", "reproduced": "reproduced images",
         "gap": "gap of the denoising error", "membership_denoiser": "membership from the error"}


def page(document: dict[str, Any], drawings: dict[str, Any]) -> str:
    """The page of a document, with what it draws."""
    title = document["title"] or "Audit of a diffusion model"
    verdict = document["verdict"]
    body = [
        f"<h1>{escape(title)}</h1>", *(f"<p>{escape(said)}</p>" for said in document["inputs"]["compared"]),
        _verdict(verdict),
        "<h2>What this shows</h2>", _list(verdict["shows"]),
        "<h2>What it does not show</h2>", _list(verdict["does_not_show"]),
    ]
    if document["warnings"]:
        body += ["<h2>Warnings</h2>", _list(f"{each['text']} ({each['code']})" for each in document["warnings"])]
    if document["tests"]:
        body += ["<h2>Tests</h2>", _tests(document)]
    if document["proximity"] or document["copies"]:
        body += ["<h2>Measurements</h2>", _measurements(document)]
    drawn = figures(document, drawings)
    if drawn:
        body += ["<h2>Figures</h2>", *drawn]
    body += [
        "<h2>Duplicates</h2>", _duplicates(document["duplicates"]),
        "<h2>What no program can check</h2>", _list([*LIMITS, CHOICES, *_where_it_applies(document)]),
        "<h2>Inputs</h2>", _inputs(document),
        "<h2>How to make it again</h2>", _again(document),
    ]
    return ('<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width, '
            f'initial-scale=1"><title>{escape(title)}</title><style>{STYLE}</style></head><body>'
            f'<main>{"".join(body)}</main></body></html>')


def _verdict(verdict: dict[str, Any]) -> str:
    kind, doubt = "verdict", ""
    if not verdict["reliable"]:
        kind, doubt = "verdict doubt", " <strong>Not reliable: see the warnings.</strong>"
    return f'<p class="{kind}"><strong>{escape(verdict["code"])}.</strong> {escape(verdict["sentence"])}{doubt}</p>'


def _list(sentences) -> str:
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in sentences)}</ul>"


def _table(rows: list[tuple[str, ...]], head: tuple[str, ...] = ()) -> str:
    """A table whose first column is words and whose other ones are numbers."""
    top = f"<thead><tr>{''.join(f'<th scope=col>{escape(each)}</th>' for each in head)}</tr></thead>" if head else ""
    lines = "".join(f"<tr><th scope=row>{escape(row[0])}</th>"
                    + "".join(f'<td class="n">{escape(each)}</td>' for each in row[1:]) + "</tr>" for row in rows)
    return f"<table>{top}<tbody>{lines}</tbody></table>"


def _tests(document: dict[str, Any]) -> str:
    rows = [(NAMES[test["name"]] + (", significant" if test["significant"] else ""), number(test["p_value"], 2),
             number(test["p_adjusted"], 2)) for test in document["tests"]]
    note = (f"<p>Adjusted by Holm's method: with all of them, the probability of any false alarm is at most "
            f"{document['alpha']:g}.</p>")
    return _table(rows, ("test", "p", "adjusted")) + note


def _measurements(document: dict[str, Any]) -> str:
    rows = []
    near, copies = document["proximity"], document["copies"]
    if near:
        rows += [("preference", interval(near["preference"], near["low"], near["high"])),
                 ("the same under the null, 95 %", f"{near['null_low']:.3f} to {near['null_high']:.3f}"),
                 ("effective samples", number(near["effective_samples"])),
                 ("smallest preference found with 90 % probability", f"{near['smallest_detectable']:.3f}"),
                 ("margin", number(near["margin"]))]
    if copies:
        rows += [("copies of training images", interval(copies["fraction"], copies["low"], copies["high"])),
                 ("at most, with 95 % confidence", percent(copies["bound"]))]
        if copies["baseline"] is not None:
            rows += [("the same ratio, samples against held-out images", percent(copies["holdout_fraction"])),
                     ("the same ratio, held-out against training images", percent(copies["baseline"])),
                     ("distinct training, held-out images that own copies",
                      f"{copies['distinct_train']:,}, {copies['distinct_holdout']:,}")]
        rows.append(("samples that reproduce a training image", f"{copies['reproduced']:,}"))
    for name, attack in document["membership"].items():
        if attack:
            of = "error" if name == "denoiser" else "samples"
            rows.append((f"membership from the {of}: area", interval(attack["auc"], attack["low"], attack["high"])))
            rows += [(f"found at {100 * rate['fpr']:g} % false positives",
                      "too few images" if rate["tpr"] is None else interval(rate["tpr"], rate["low"], rate["high"]))
                     for rate in attack["tpr_at_fpr"]]
    kinds = document["exchangeability"]
    if kinds:
        rows.append(("training and held-out images alike: p", number(kinds["p_value"], 2)))
    note = f"<p>Of the numbers compared, {escape(kinds['where'])} differs most.</p>" if kinds else ""
    return _table(rows) + note


def _duplicates(counted: dict[str, Any]) -> str:
    rows = [("training images that repeat an earlier one", counted["train_exact"], counted["train_near"]),
            ("held-out images that repeat an earlier one", counted["holdout_exact"], counted["holdout_near"]),
            ("held-out images that depict a training image", counted["cross_exact"], counted["cross_near"])]
    return _table([(name, f"{exact:,}", f"{near:,}") for name, exact, near in rows], ("", "equal", "near or equal"))


def _where_it_applies(document: dict[str, Any]) -> list[str]:
    """Sentences on what only some audits have: images that are much alike, conditions."""
    said = []
    if document["duplicates"]["capped"]:
        said.append("These images are aligned, sparse or low in contrast: duplicates were looked for within a third of the "
                    "median distance to the nearest other image, less than the tolerance.")
    if document["inputs"]["settings"]["conditions"]:
        said.append("Conditions of samples are to come from a third set, or equally from both: prompts that are taken from "
                    "training captions make samples lean on the training images whatever the model knows.")
    return said


def _inputs(document: dict[str, Any]) -> str:
    rows = []
    for name in ("train", "holdout", "samples"):
        about = document["inputs"][name]
        if about:
            rows.append((name, f"{about['count']:,} of shape {about['shape'][1:]}, {about['dtype']}, "
                               f"{number(about['low'])} to {number(about['high'])}; SHA-256 {about['sha256']}"))
    rows += [(name, str(value)) for name, value in document["inputs"]["settings"].items() if value is not None]
    lines = "".join("<tr><th "
                    f"scope=row>{escape(name)}</th><td><code>{escape(value)}</code></td></tr>" for name, value in rows)
    return f'<table class="names"><tbody>{lines}</tbody></table>'


def _again(document: dict[str, Any]) -> str:
    about = document["environment"]
    return (f"<p><code>{escape(about['command'])}</code></p><p>Nearsight {escape(about['nearsight'])}, torch "
            f"{escape(about['torch'])}, Python {escape(about['python'])}, on {escape(about['device'])}, "
            f"{escape(about['date'])}, {number(about['seconds'])} s.</p><p>To cite: Nearsight (its file CITATION.cff says "
            "how), and for the methods Meehan et al. 2020 (arXiv 2004.05675), Carlini et al. 2022 and 2023 (arXiv "
            "2112.03570, 2301.13188), Duan et al. 2023 (arXiv 2302.01316).</p>")
