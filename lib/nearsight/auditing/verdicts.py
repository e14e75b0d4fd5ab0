"""The verdict: one code, one sentence, what it shows and what it does not show."""

from __future__ import annotations

from typing import Any

from nearsight.checks.results import number

CODES = ("no_evidence", "inconclusive", "recognizes", "closer", "copies")
"""Verdicts on a held-out set, the worse the later; without one it is "no_null"."""
LARGEST_DETECTABLE, LARGEST_COPY_BOUND = 0.60, 0.01

SHOWS = {
    "copies": "Some samples depict single training images, more often than unseen real images would.",
    "closer": "Samples lie nearer to the training images than to as many unseen ones. Leaning on the data is not knowing "
              "single images: a Gaussian fitted to the training set leans too.",
    "recognizes": "The network treats its training images differently from unseen ones; samples did not show it, or were "
                  "not asked.",
    "no_evidence": "An effect of the size named would have been seen with 90 % probability.",
    "inconclusive": "Nothing: the data cannot answer the question.",
    "no_null": "How many samples are copies of training images by the ratio of the two nearest, and the most that the "
               "number of samples leaves possible.",
}
DOES_NOT_SHOW = {
    "copies": ["that the rest is free of copies", "anything about crops, objects or styles"],
    "closer": ["harm by itself: biased is not memorized", "that single images can be found out"],
    "recognizes": ["that it will stay so with more samples or other samplers"],
    "no_evidence": ["that there is no memory", "anything about smaller effects, or other features"],
    "inconclusive": ["anything"],
    "no_null": ["whether samples are nearer to the training images than to unseen ones: that takes images which were held "
                "out, split off at random before training and used for nothing",
                "whether the number of copies is more than chance: unseen images of the same source may be as near"],
}


def decide(tests: list[dict[str, Any]], detectable: float, copy_bound: float | None) -> str:
    """The code of the verdict, from the tests after Holm's correction and from what the data could have shown."""
    found = {test["name"] for test in tests if test["significant"]}
    for code, names in (("copies", ("copies", "reproduced")), ("closer", ("proximity", "margin")),
                        ("recognizes", ("gap", "membership_denoiser"))):
        if found.intersection(names):
            return code
    enough = detectable <= LARGEST_DETECTABLE and (copy_bound is None or copy_bound <= LARGEST_COPY_BOUND)
    return "no_evidence" if enough else "inconclusive"


def verdict(code: str, reliable: bool, document: dict[str, Any]) -> dict[str, Any]:
    """The verdict of a document whose measurements are there."""
    shows, hidden = [SHOWS[code]], list(DOES_NOT_SHOW[code])
    copies, near = document["copies"], document["proximity"]
    if code == "closer" and near["gaussian"] is not None:
        shows.append(f"The model's preference is {near['preference']:.3f}; that of a Gaussian with the training images' "
                     f"mean and covariance{' in every condition' if near['gaussian']['conditions'] > 1 else ''}, which "
                     f"knows no image, is {near['gaussian']['preference']:.3f}.")
    if code == "no_evidence" and near:
        shows.append(f"What may go unseen is not small: {_detectable(document)} is what comes of "
                     f"{200 * (detectable(document) - 0.5):.0f} % of the samples leaning completely.")
    if copies is None:
        hidden.append("whether samples are copies: no samples were looked at")
    return {"code": code, "sentence": _sentence(code, document), "shows": shows, "does_not_show": hidden,
            "reliable": reliable}


def copies_in_words(copies: dict[str, Any]) -> str:
    """How many samples are copies, and at most what share is."""
    return (f"{copies['count']:,} of {copies['samples']:,} samples are copies of training images by the ratio of the two "
            f"nearest, at most {percent(copies['bound'])} with 95 % confidence")


def percent(share: float) -> str:
    """A share in percent, in two digits."""
    return f"{number(100 * share, 2)} %"


def p_text(p_value: float) -> str:
    """A p-value as a person reads it."""
    return f"{p_value:.1e}" if p_value < 1e-3 else f"{p_value:.2g}"


def _sentence(code: str, document: dict[str, Any]) -> str:
    adjusted = {test["name"]: test for test in document["tests"]}
    near, copies = document["proximity"], document["copies"]

    def smallest(*names: str) -> str:
        return p_text(min(adjusted[name]["p_adjusted"] for name in names if name in adjusted))

    if code == "copies":
        what = (f"{copies['distinct_train']} training and {copies['distinct_holdout']} held-out images own the copies"
                if adjusted["copies"]["significant"] else
                f"{copies['reproduced']:,} samples reproduce a training image")
        return f"Some samples are copies of training images: {what} (adjusted p = {smallest('copies', 'reproduced')})."
    if code == "closer":
        return (f"The samples lie nearer to the training images than to as many unseen ones (preference "
                f"{near['preference']:.3f}, margin {near['margin']:.3f}, adjusted p = {smallest('proximity', 'margin')}): "
                "the model leans on its data, without more copies than chance explains.")
    if code == "recognizes":
        return ("The network denoises its training images better than unseen ones (adjusted p = "
                f"{smallest('gap', 'membership_denoiser')}); its samples did not show it"
                f"{'.' if near else ', since none were looked at.'}")
    if code == "no_evidence":
        return f"No test found a trace of the training images; {_detectable(document)} had a 90 % chance to be found."
    if code == "no_null":
        return f"Without held-out images nothing can be tested; {copies_in_words(copies)}."
    weak = []
    if detectable(document) > LARGEST_DETECTABLE:
        weak.append(f"only {_detectable(document)} or more would have been found with 90 % probability")
    if copies and copies["bound"] > LARGEST_COPY_BOUND:
        weak.append(f"up to {percent(copies['bound'])} of the samples may be copies")
    return f"The data cannot answer: {' and '.join(weak)}."


def detectable(document: dict[str, Any]) -> float:
    """What the verdict's power rests on: the preference's, without samples the area's."""
    near = document["proximity"]
    return near["smallest_detectable"] if near else document["membership"]["denoiser"]["smallest_detectable"]


def _detectable(document: dict[str, Any]) -> str:
    kind = "a preference" if document["proximity"] else "an area under the membership curve"
    return f"{kind} of {detectable(document):.3f}"
