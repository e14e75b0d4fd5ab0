"""Shares of a class among samples: corrected for the errors of a classifier, and compared between two samplers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.stats import binomtest, norm
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable, interval, number
from nearsight.measures.intervals import wilson


@dataclass(frozen=True, repr=False)
class CorrectedShare(Readable):
    """A class share, clipped to [0, 1], with its 95 % interval and standard `error`, which are not."""

    share: float
    low: float
    high: float
    error: float

    _headline = "share"

    def _pairs(self) -> dict[str, object]:
        return {"share": interval(self.share, self.low, self.high), "error": number(self.error, 2)}


@dataclass(frozen=True, repr=False)
class Flips(Readable):
    """Of `count` pairs, `b` lose the attribute from the first to the second and `c` gain it.

    `rate` = (b + c)/count with its 95 % Wilson interval, `net` = (b - c)/count, and McNemar's exact `p_value`.
    """

    b: int
    c: int
    count: int
    rate: float
    low: float
    high: float
    net: float
    p_value: float

    _headline = "rate"

    def _pairs(self) -> dict[str, object]:
        return {"rate": interval(self.rate, self.low, self.high), "p": number(self.p_value, 2), "lost": self.b,
                "gained": self.c, "pairs": self.count}


def corrected(share: float, count: int, hit_rate: float, false_alarm_rate: float, hits_from: int,
              alarms_from: int) -> CorrectedShare:
    """The true share of a class, from the `share` that a classifier of known error rates sees among `count` samples.

        p~ = (p - f)/(t - f)      se^2 = [p(1 - p)/M + p~^2 t(1 - t)/n1 + (1 - p~)^2 f(1 - f)/n0] / (t - f)^2

    t = `hit_rate`, measured on n1 = `hits_from` fresh images of the class, f = `false_alarm_rate` on n0 = `alarms_from`
    of the others.

    Raises ValueError unless 0 <= f < t <= 1. Source: Rogan and Gladen 1978, Am. J. Epidemiol. 107, 71.
    """
    share, hit_rate = checks.share(share, "share"), checks.share(hit_rate, "hit_rate")
    false_alarm_rate, count = checks.share(false_alarm_rate, "false_alarm_rate"), checks.count(count, "count")
    hits_from, alarms_from = checks.count(hits_from, "hits_from"), checks.count(alarms_from, "alarms_from")
    if hit_rate <= false_alarm_rate:
        raise ValueError(f"hit_rate is {hit_rate:g} and false_alarm_rate {false_alarm_rate:g}; expected more hits than "
                         "false alarms: this classifier does not know the class.")
    span = hit_rate - false_alarm_rate
    true = (share - false_alarm_rate) / span
    variance = (share * (1 - share) / count + true**2 * hit_rate * (1 - hit_rate) / hits_from
                + (1 - true) ** 2 * false_alarm_rate * (1 - false_alarm_rate) / alarms_from)
    error = math.sqrt(variance) / span
    reach = float(norm.ppf(0.975)) * error
    return CorrectedShare(min(max(true, 0.0), 1.0), true - reach, true + reach, error)


def flips(first: Tensor, second: Tensor) -> Flips:
    """How many samples change class between two samplers that start from the same latents.

    `first` and `second` [M] are boolean: has the i-th sample the attribute? Under the null that gains and losses are
    equally likely, p = min(1, 2 P(Bin(b + c, 1/2) <= min(b, c))).

    Source: McNemar 1947, Psychometrika 12, 153, in its exact form.
    """
    for name, labels in {"first": first, "second": second}.items():
        if not isinstance(labels, Tensor) or labels.dtype != torch.bool or labels.ndim != 1:
            raise TypeError(f"{name} is no boolean vector; expected whether each sample has the attribute: try "
                            f"{name} == label.")
    if len(first) != len(second) or not len(first):
        raise ValueError(f"first holds {len(first)} samples and second {len(second)}; expected as many, at least one: "
                         "draw both from the same latents.")
    b, c, count = int((first & ~second).sum()), int((~first & second).sum()), len(first)
    p_value = float(binomtest(b, b + c).pvalue) if b + c else 1.0
    return Flips(b, c, count, (b + c) / count, *wilson(b + c, count), (b - c) / count, p_value)
