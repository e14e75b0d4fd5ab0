"""The sentences of a report that are no verdict: what was compared, and what a reader is warned of."""

from __future__ import annotations

from typing import Any

from nearsight.auditing.asking import STEPS
from nearsight.auditing.cleaning import Cut
from nearsight.auditing.exchangeability import WARNS, Exchangeability
from nearsight.auditing.nearness import Proximity
from nearsight.auditing.refusal import Remarks
from nearsight.auditing.verdicts import copies_in_words

REVERSED = 0.005
DRAWN = f"drawn from the network by this audit, {STEPS} steps of Heun, none left out"


def compared(inputs: dict[str, Any], document: dict[str, Any], network: bool, drawn: bool,
             sampling: str | None) -> list[str]:
    """What was compared, in sentences that stand before any statistics."""
    used, copies = inputs["used"], document["copies"]
    train = inputs["train"]["count"]
    said = [f"Training images: {used['train']:,} of {train:,} used."]
    if inputs["holdout"] is not None:
        groups = f", as {used['cards']:,} groups each" if used["cards"] < used["holdout"] else ""
        said = [f"Compared: {used['train']:,} of {train:,} training and {used['holdout']:,} of "
                f"{inputs['holdout']['count']:,} held-out images{groups}."]
    if copies is None:
        said.append("No samples were looked at.")
    else:
        near = f"; {copies['reproduced']:,} reproduce a training image" if copies["reproduced"] else ""
        said.append(f"Copies, looked for in {used['train_searched']:,} training images that differ: "
                    f"{copies_in_words(copies)}{near}.")
    said.append("The network itself was measured." if network and inputs["holdout"] is not None
                else "The network itself was not tested.")
    if copies is not None and (sampling or drawn):
        said.append(f"How the samples were chosen: {sampling or DRAWN}.")
    elif copies is not None:
        said.append("How the samples were chosen (sampler, guidance, prompts, filters) was not stated.")
    return said


def on_duplicates(counted: dict[str, Any], remarks: Remarks) -> None:
    """Warn of training images and of samples that repeat others of their set."""
    if counted["train_near"]:
        remarks.add("train_duplicates", f"{counted['train_near']:,} training images repeat an earlier one "
                    f"({counted['train_exact']:,} exactly); each was taken once. Repeated images are the first to be "
                    "memorized: remove them before training.")
    if counted["samples_exact"]:
        remarks.add("repeated_samples", f"{counted['samples_exact']:,} samples repeat an earlier one exactly.")


def on_cut(cut: Cut, remarks: Remarks) -> None:
    """Warn of images that left."""
    if cut.cut:
        remarks.add("sizes_equalised", f"{cut.cut:,} images of the larger set were left out of the tests, drawn at random, "
                    "so that both are equally large; copies were looked for in all training images.")
    if cut.leaked:
        remarks.add("overlap_removed", f"{cut.leaked:,} images that depict the same in both sets left both: were the sets "
                    "split before training, by person or scene?")


def on_exchangeability(found: Exchangeability, remarks: Remarks) -> None:
    """Warn where the two sets differ."""
    if found.p_value <= WARNS:
        remarks.add("not_exchangeable", f"Training and held-out images differ, most in {found.where} (p = "
                    f"{found.p_value:.2g}): another source or processing looks like memory. Split one set at random, before "
                    "training, and process both alike.")


def on_samples(found: Proximity, reproduced: int, remarks: Remarks) -> None:
    """Warn of reproduced images, and where samples are nearer to the held-out images."""
    if reproduced:
        remarks.add("reproduced", f"{reproduced:,} samples reproduce a training image, within the tolerance of duplicates.")
    if min(found.preference.deal.lower, found.margin_lower) <= REVERSED:
        remarks.add("reversed", "The samples are nearer to the held-out images than chance explains: are the two files "
                    "swapped?")


def on_calibration(membership: dict[str, Any], remarks: Remarks) -> None:
    """Warn of false-positive rates that the held-out images are too few to hold."""
    missing = {rate["fpr"]: rate["calibration"] for attack in membership.values() if attack
               for rate in attack["tpr_at_fpr"] if rate["tpr"] is None}
    if missing:
        fpr = min(missing)
        remarks.add("few_calibration", f"A false-positive rate of {100 * fpr:g} % needs at least {round(1 / fpr) - 1:,} "
                    f"calibration images, half of the held-out ones; there are {missing[fpr]:,}.")
