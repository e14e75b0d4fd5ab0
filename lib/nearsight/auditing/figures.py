"""The figures of the page, each with a caption that states its finding, which is its alternative text too."""

from __future__ import annotations

import base64
import io
import math
from html import escape
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from nearsight.auditing.attacks import Attack
from nearsight.auditing.charts import Chart, decades, roc, ticks
from nearsight.auditing.nearness import CLIP
from nearsight.auditing.panel import COLUMNS, Shown
from nearsight.checks.results import number

BINS = 31
HIGHEST_GAP = 1000.0  # that is drawn
LARGEST_SIDE = 96  # pixels of a picture of the panel: larger ones are averaged


def figures(document: dict[str, Any], drawings: dict[str, Any]) -> list[str]:
    """All figures that the measurements allow, in the order of the page."""
    found = []
    if document["proximity"] is not None:
        found.append(_histogram(document["proximity"], drawings["null"]))
        if document["proximity"]["curve"] is not None:
            found.append(_thinned(document["proximity"]))
    if document["gap"] is not None and document["gap"]["peak_gap"] is not None:
        found.append(_gap(document["gap"]))
    attacks = {name: drawings[f"{key}_attack"] for key, name in (("network", "denoiser"), ("sample", "samples"))
               if f"{key}_attack" in drawings}
    if attacks:
        found.append(_roc(attacks, document["membership"]))
    if drawings.get("panel") is not None:
        found.append(_panel(drawings["panel"]))
    return found


def _figure(drawn: str, caption: str) -> str:
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _histogram(near: dict[str, Any], null: np.ndarray) -> str:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(np.array(near["holdout_distance"]) / np.array(near["train_distance"]))
    ratios = np.nan_to_num(ratios, nan=0.0, posinf=CLIP, neginf=-CLIP).clip(-CLIP, CLIP)
    reach = min(CLIP, max(0.1, 1.1 * float(np.abs(np.concatenate([ratios, null])).max())))
    edges = np.linspace(-reach, reach, BINS + 1)
    heights, dealt = (np.histogram(values, edges)[0] / len(values) for values in (ratios, null))
    top = 1.15 * max(heights.max(), dealt.max())
    chart = Chart((-reach, reach), (0, top), "ln(distance to held-out / to training)", "share of samples",
                  x_ticks=ticks(-reach, reach), y_ticks=ticks(0, top))
    steps = np.repeat(edges, 2)[1:-1]
    chart.bars(edges, heights, "train area").line(steps, np.repeat(dealt, 2), "neutral").line([0, 0], [0, top], "zero")
    chart.words(-0.97 * reach, 0.93 * top, "line: a random deal", "neutral")
    chart.words(0.97 * reach, 0.93 * top, "nearer to training", "train", "end")
    caption = (f"{100 * near['preference']:.1f} % of {near['samples']:,} samples lie nearer to a training image than to a "
               f"held-out one; on average training images are {100 * np.expm1(near['margin']):.1f} % nearer. A model that "
               "does not know its images has 50 % and 0.")
    return _figure(chart.svg(caption), caption)


def _thinned(near: dict[str, Any]) -> str:
    curve, gaussian = near["curve"], near["gaussian"]
    images, low = curve["images"], min(0.45, *curve["low"])
    chart = Chart((images[0], images[-1]), (low, 1), "images kept of each set", "preference", log_x=True,
                  x_ticks=images, y_ticks=ticks(low, 1))
    chart.band(images, curve["low"], curve["high"], "train area").line(images, curve["preference"], "train")
    chart.line([images[0], images[-1]], [0.5, 0.5], "zero")
    said = ""
    if gaussian is not None:
        chart.line([images[0], images[-1]], [gaussian["preference"]] * 2, "neutral")
        above = max(gaussian["preference"], 0.5) + 0.02 * (1 - low)
        chart.words(0.98 * images[-1], above, "a Gaussian, all images kept", "neutral", "end")
        said = f" A Gaussian with the training images' mean and covariance has {gaussian['preference']:.3f}."
    caption = (f"With {images[0]:,} images of each set kept the preference is {curve['preference'][0]:.3f}, with all "
               f"{images[-1]:,} it is {curve['preference'][-1]:.3f}: what goes with the images is knowledge of single ones, "
               f"what stays is that of their statistics.{said}")
    return _figure(chart.svg(caption), caption)


def _gap(gap: dict[str, Any]) -> str:
    def drawn(name: str) -> list[float | None]:
        """ln(1 + gap), as good as the gap where that is small; a memorizer's leaves the page at the top."""
        return [None if value is None else math.log1p(min(max(value, -0.9), HIGHEST_GAP)) for value in gap[name]]

    curves = {name: drawn(name) for name in ("low", "gap", "high")}
    known = [value for curve in curves.values() for value in curve if value is not None]
    low, high = min(0.0, *known), max(0.0, *known)
    low, high = low - 0.06 * (high - low), high + 0.06 * (high - low)
    marks = {math.log1p(value): f"{value:g}" for value in _gap_ticks(math.expm1(low), math.expm1(high))}
    ends = min(gap["sigmas"]), max(gap["sigmas"])
    chart = Chart(ends, (low, high), "noise level σ", "relative gap", log_x=True, x_ticks=decades(*ends), y_ticks=marks)
    chart.band(gap["sigmas"], curves["low"], curves["high"], "train area").line(gap["sigmas"], curves["gap"], "train")
    chart.line(ends, [0, 0], "zero")
    outside = [sigma for sigma, bound in zip(gap["sigmas"], gap["low"]) if bound is not None and bound > 0]
    where = (f"Zero leaves the band between σ = {number(min(outside))} and {number(max(outside))}."
             if outside else "Zero stays within the band at all noise levels.")
    peak = gap["peak_gap"]
    worse = (f"Held-out images are denoised worse by {number(100 * peak)} %" if peak < 2 else
             f"Held-out images have {number(1 + peak)} times the error of training images")
    caption = (f"{worse} at σ = {number(gap['peak_sigma'])}, where the gap is largest. {where} The band holds the whole "
               "curve with 95 % confidence; a network without "
               "memory has 0.")
    return _figure(chart.svg(caption), caption)


def _gap_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two gaps, few enough to be read on an axis of ln(1 + gap)."""
    if high < 3:
        return ticks(low, high)
    return [0.0, *decades(1.0, high)]


def _roc(attacks: dict[str, Attack], membership: dict[str, Any]) -> str:
    lowest = min(0.5 / max(len(attack.outsiders) for attack in attacks.values()), 1e-2)
    chart = Chart((lowest, 1), (lowest, 1), "false-positive rate", "true-positive rate", log_x=True, log_y=True,
                  x_ticks=decades(lowest, 1), y_ticks=decades(lowest, 1))
    chart.line([lowest, 1], [lowest, 1], "zero")
    said = []
    for row, (name, attack) in enumerate(attacks.items()):
        kind = "train" if name == "denoiser" else "holdout"
        false, true = roc(attack.members, attack.outsiders)
        chart.line([lowest, *false, 1], [0, *true, 1], kind)
        for rate in attack.rates:
            if rate.tpr is not None:
                chart.dot(rate.fpr, rate.tpr, kind)
        chart.words(0.9, lowest ** (0.85 + 0.08 * row), f"from {'errors' if name == 'denoiser' else 'samples'}: "
                    f"area {attack.auc:.3f}", kind, "end")
        said.append(f"from {'its errors' if name == 'denoiser' else 'its samples'} "
                    f"{attack.auc:.3f} [{membership[name]['low']:.3f}, {membership[name]['high']:.3f}]")
    caption = (f"Told apart from unseen images, training images give the area under the curve {', '.join(said)}; without "
               "memory it is 0.5, the dashed line. Dots: thresholds that were set on other held-out images.")
    return _figure(chart.svg(caption), caption)


def _panel(shown: Shown) -> str:
    rows = [("sample", shown.samples, None), ("nearest training image", shown.train, shown.train_distance)]
    if shown.holdout is not None:
        rows.append(("nearest held-out image", shown.holdout, shown.holdout_distance))
    reference = shown.train if shown.holdout is None else shown.holdout
    low, high = (float(end) for end in (min(shown.train.min(), reference.min()), max(shown.train.max(), reference.max())))
    blocks = []
    for title, part in (("The samples that are most like one training image alone", slice(0, COLUMNS)),
                        ("Samples at random", slice(COLUMNS, None))):
        if not len(shown.samples[part]):
            continue
        lines = []
        for name, pictures, distances in rows:
            known = [None] * COLUMNS if distances is None else distances[part]
            cells = [_picture(picture, low, high, f"{name} {place}", distance)
                     for place, (picture, distance) in enumerate(zip(pictures[part], known), 1)]
            lines.append(f'<p class="row">{escape(name)}</p><div class="pictures">{"".join(cells)}</div>')
        blocks.append(f"<h3>{title}</h3>{''.join(lines)}")
    caption = ("Each sample above its nearest images, with their distances. A copy looks like its training image and is far "
               "nearer to it than to any other.")
    return _figure("".join(blocks), caption)


def _picture(picture: Tensor, low: float, high: float, name: str, distance: float | None) -> str:
    pixels = picture[:3].float() if len(picture) >= 3 else picture[:1].float()
    shrink = -(-max(pixels.shape[1:]) // LARGEST_SIDE)
    if shrink > 1:
        pixels = interpolate(pixels[None], scale_factor=1 / shrink, mode="area")[0]
    values = ((pixels - low) / max(high - low, 1e-12) * 255).clamp(0, 255).round().byte().cpu().numpy()
    content = io.BytesIO()
    Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0)).save(content, "PNG")
    source = base64.b64encode(content.getvalue()).decode()
    said = "" if distance is None else f"<br>{number(distance)}"
    alt = name if distance is None else f"{name}, at distance {number(distance)}"
    return f'<span><img alt="{escape(alt)}" src="data:image/png;base64,{source}">{said}</span>'
