"""The audit in one call: what comes in, the cut and the cleaning, the tests, the verdict."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from inspect import signature
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nearsight import checks
from nearsight.auditing import remarks as say
from nearsight.auditing.arrays import SMALLEST_SET, check_same_event, checked_set, described
from nearsight.auditing.asking import Asked, audit_sigmas, evaluating, off_grid
from nearsight.auditing.cleaning import cut_and_clean, find_duplicates
from nearsight.auditing.documents import duplicates_document
from nearsight.auditing.labels import condition_numbers, group_numbers, mixed, strata
from nearsight.auditing.measuring import Evidence, Searched, lean, measured, without_null
from nearsight.auditing.pool import make_pool
from nearsight.auditing.ranges import check_scale, on_one_scale
from nearsight.auditing.refusal import AuditRefused, Remarks
from nearsight.auditing.report import SCHEMA, AuditReport, plain
from nearsight.auditing.settings import Settings, points_of
from nearsight.auditing.verdicts import verdict
from nearsight.denoisers.compose import Denoiser
from nearsight.randomness import derived_seed, stream

SAMPLES, CUT, CONDITIONS, PROBE = range(4)  # the streams of an audit's seed that are drawn here


def audit(train, holdout, *, samples=None, denoiser: Denoiser | None = None, sample_count: int = 1000,
          sigmas: Tensor | None = None, draws: int = 4, features: Callable[[Tensor], Tensor] | None = None,
          ratio: float = 1 / 3, tolerance: float = 0.1, max_overlap: float = 0.1, ranges: dict | None = None,
          check_ranges: bool = True, alpha: float = 0.05, permutations: int = 1999,
          fprs: Sequence[float] = (0.1, 0.01, 0.001), title: str | None = None, seed: int = 0, device: str | None = None,
          groups: dict | None = None, conditions: dict | None = None, sampling: str | None = None) -> AuditReport:
    """Does a model lean on its training images? One verdict, with what it shows and what it does not show.

    The null: the model does not know which of the exchangeable images it was trained on. Under it the labels of the pool
    of training and held-out images are a random deal, whatever the model is and however bad its samples are.

        report = nearsight.audit(train, holdout, denoiser=nearsight.from_vp(network, alphas_bar, predicts="eps"))
        print(report)
        report.save("audit.html")

    train, holdout, samples: arrays [N, *event] of numpy or torch on the scale that the network sees. The held-out images
    are to be split off at random before training, and used for nothing; with `holdout=None` nothing is tested, and copies
    are counted. A `denoiser` (x, sigma) -> clean images is measured, and asked for `sample_count` samples where none came
    (0: none); `sigmas` are the levels of its measurement, each with `draws` of noise.

    `features` maps [B, *event] to [B, k], in which distances are taken, except for duplicates. `ratio` is that of the two
    nearest below which a sample is a copy; images within `tolerance` standard deviations a pixel depict the same; more
    than the share `max_overlap` of held-out images that depict training images is refused. `ranges` maps named sets from
    (low, high) to (-1, 1). `alpha` bounds the probability that any test errs; `permutations` are the re-deals of margin and
    gap; `fprs` are the false-positive rates of the attacks. `groups` are dealt whole, {"train": ids, "holdout": ids};
    `conditions`, such as classes, {"train": labels, "holdout": labels, "samples": labels}, are passed to the denoiser as
    (x, sigma, labels), and deals stay within them. `sampling` says how samples were chosen, `seed` names all randomness.

    Raises AuditRefused, a ValueError with a `code`, where the sets cannot be audited as they came. Source: study 6.
    Cost: (M + 2 N) 2 N d for distances, as much as the larger set needs for its own duplicates, and 2 N S draws calls of
    the network; temporaries stay below 256 MB.
    """
    began, call = perf_counter(), _call(locals())
    settings = Settings.checked(sample_count, draws, ratio, tolerance, max_overlap, check_ranges, alpha, permutations, fprs,
                                seed)
    for name, text in (("title", title), ("sampling", sampling)):
        if text is not None:
            checks.instance(text, name, str, "a text, such as 'step 20 000'")
    where, remarks = _device(device, train), Remarks()
    if samples is None and denoiser is None:
        raise AuditRefused("nothing_to_audit", "neither samples nor a denoiser came; expected one of them at least: pass "
                           "samples= or denoiser=.")
    came = {name: checked_set(value, name) for name, value in (("samples", samples), ("train", train), ("holdout", holdout))
            if value is not None or name == "train"}
    for name, array in came.items():
        check_same_event(array, came["train"], name)
    counts = {name: len(array) for name, array in came.items()}
    grouped = group_numbers(groups, {name: counts[name] for name in ("train", "holdout")}) if holdout is not None else None
    labels = condition_numbers(conditions, counts)
    about = {name: described(array) for name, array in came.items()}
    sets = on_one_scale(came, ranges, denoiser is not None, remarks)
    for name, values in sets.items():
        if settings.check_ranges or name == "train":
            check_scale(values, sets["train"], name)

    asked = levels = None
    if denoiser is not None:
        asked = Asked(denoiser, conditions is not None, where)
        std = float(sets["train"].double().std())
        levels = _levels(sigmas, asked, std, remarks)
        with evaluating(denoiser):
            asked.check(sets["train"], labels["train"], std, derived_seed(seed, PROBE))
            if samples is None and settings.sample_count:
                sets["samples"] = _drawn(asked, sets, labels, settings)
                about["samples"] = described(sets["samples"])
                if settings.check_ranges:
                    check_scale(sets["samples"], sets["train"], "samples drawn from the denoiser")
    used, evidence = _measured(sets, labels, grouped, asked, levels, points_of(features), settings, remarks, where)
    inputs = {name: about[name]._asdict() if name in about else None for name in ("samples", "train", "holdout")}
    inputs |= {"used": used, "settings": settings._asdict() | {
        "sigmas": levels, "ranges": ranges, "features": features is not None, "groups": groups is not None,
        "conditions": conditions is not None, "sampling": sampling}}
    inputs["compared"] = say.compared(inputs, evidence.document, asked is not None, samples is None, sampling)
    document = plain(dict(schema=SCHEMA, status="done", refusal=None, title=title, alpha=settings.alpha,
                          seed=settings.seed, environment=_environment(where, perf_counter() - began, call), inputs=inputs,
                          warnings=list(remarks)) | evidence.document)
    return AuditReport(**document, verdict=verdict(evidence.code, evidence.reliable, document), drawings=evidence.drawings)


def _measured(sets: dict[str, Tensor], labels: dict[str, np.ndarray], grouped: np.ndarray | None, asked: Asked | None,
              levels: Tensor | None, to_points: Callable[[Tensor], Tensor], settings: Settings, remarks: Remarks,
              device: torch.device) -> tuple[dict[str, int], Evidence]:
    """Clean and cut, then measure all that the sets allow; also how many images were used."""
    count, samples = len(sets["train"]), sets.get("samples")
    both = torch.cat([sets[name] for name in ("train", "holdout") if name in sets])
    is_train = np.arange(len(both)) < count
    duplicates = find_duplicates(both, settings.tolerance, float(sets["train"].double().std()), device)
    counted = duplicates_document(duplicates, is_train, samples, settings.tolerance)
    say.on_duplicates(counted, remarks)
    unlike = np.sort(np.unique(duplicates.components(is_train)[is_train], return_index=True)[1])
    used = {"samples": 0 if samples is None else len(samples), "train": len(unlike), "holdout": 0, "cards": 0,
            "train_searched": len(unlike)}
    searched = None
    if samples is not None:
        train, samples = sets["train"].to(device), samples.to(device)
        differing = train[torch.from_numpy(unlike).to(device)]
        searched = Searched(samples, to_points(samples), train, differing, to_points(differing), duplicates.reach,
                            (counted["cross_near"], len(both) - count))
    if "holdout" not in sets:
        if searched is None:
            raise AuditRefused("nothing_to_audit", "neither samples nor held-out images came; expected one of them: pass "
                               "samples=, or a sample_count above 0.")
        evidence = without_null(searched, settings)
        return used, evidence._replace(document=evidence.document | {"duplicates": counted})
    if counted["cross_near"] > settings.max_overlap * (len(both) - count):
        raise AuditRefused("overlap", f"{counted['cross_near']} of {len(both) - count} held-out images depict training "
                           f"images; expected at most {100 * settings.max_overlap:g} %: were they part of the training set? "
                           "Try to split off the held-out images first, by person or scene, and train again.")
    units = np.arange(len(both)) if grouped is None else grouped
    conditions = np.concatenate([labels["train"], labels["holdout"]])
    kinds = strata(units, conditions)
    cut = cut_and_clean(duplicates, is_train, units, kinds, stream(settings.seed, CUT))
    if cut.cards < SMALLEST_SET:
        raise AuditRefused("too_few", f"{cut.cards} {'images' if grouped is None else 'groups'} a set are left after "
                           f"duplicates and leaks; expected at least {SMALLEST_SET}: hold out more images, or try a smaller "
                           "tolerance.")
    say.on_cut(cut, remarks)
    images = both[torch.from_numpy(cut.kept)].to(device)
    pool = make_pool(images, to_points(images), is_train[cut.kept], units[cut.kept], kinds[cut.kept], conditions[cut.kept])
    used |= {"train": len(pool.train), "holdout": len(pool.holdout), "cards": pool.cards}
    evidence = measured(searched, pool, asked, levels, settings, remarks)
    if evidence.code == "closer":
        lean(evidence.document, searched, labels["train"][unlike], pool, to_points, settings)
    return used, evidence._replace(document=evidence.document | {"duplicates": counted})


def _drawn(asked: Asked, sets: dict[str, Tensor], labels: dict[str, np.ndarray], settings: Settings) -> Tensor:
    """Samples of the denoiser, of the conditions that came for them, or of such as tell nothing of either set."""
    conditions = labels.get("samples")
    if conditions is None:
        conditions = mixed(labels["train"], labels.get("holdout", labels["train"]), settings.sample_count,
                           stream(settings.seed, CONDITIONS))
    return asked.samples(sets["train"].shape[1:], conditions, derived_seed(settings.seed, SAMPLES))


def _levels(sigmas: Tensor | None, asked: Asked, std: float, remarks: Remarks) -> Tensor:
    """The noise levels of the measurement, with a remark on those that the network was not trained at."""
    if sigmas is None:
        return audit_sigmas(std, asked.sigmas)
    levels = checks.grid(sigmas)
    if levels.min() <= 0:
        raise ValueError("sigmas holds a 0; expected noise levels > 0: without noise nothing is denoised.")
    strange = off_grid(levels, asked.sigmas)
    if len(strange):
        remarks.add("off_grid_sigma", f"{len(strange)} of {len(levels)} noise levels lie between those that the network was "
                    f"trained at, such as {float(strange[0]):.3g}; its clock was rounded to the nearest.")
    return levels


def _device(device: str | None, train) -> torch.device:
    if device is not None:
        return checks.device(device)
    return train.device if isinstance(train, Tensor) else torch.device("cpu")


def _environment(device: torch.device, seconds: float, call: str) -> dict[str, Any]:
    import nearsight  # whose version this module must not need while the package is being imported

    return {"nearsight": nearsight.__version__, "torch": torch.__version__, "python": platform.python_version(),
            "device": str(device), "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 2), "command": call}


def _call(given: dict[str, Any]) -> str:
    """The call as it can be written again: names for what has no short text, nothing for what was left as it is."""
    said = []
    for name, parameter in signature(audit).parameters.items():
        value = given[name]
        if parameter.default is parameter.empty:
            said.append("None" if value is None else name)
        elif isinstance(value, (bool, int, float, str, tuple)):
            said += [f"{name}={value!r}"] if value != parameter.default else []
        elif value is not None:
            said.append(f"{name}={name}")
    return f"nearsight.audit({', '.join(said)})"
