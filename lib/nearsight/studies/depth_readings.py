"""What the records of study 5 say: shares by two readouts, slopes with their intervals, networks read at equal loss.

Every reading is a function of recorded arrays (`nearsight.studies.depth_measures`) and of the test images, which say how
often a readout errs. The unit of replication is the network; networks of one cell (block, seed) share their images and their
draws, and what they share is taken out as an effect of the cell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy.stats import f as fisher
from scipy.stats import t as student
from torch import Tensor

from nearsight.measures.proximity import nearest
from nearsight.records.computing import Results
from nearsight.records.store import Record, load
from nearsight.shares.corrections import CorrectedShare, corrected
from nearsight.studies.depth import SCALES
from nearsight.studies.depth_data import Ground
from nearsight.studies.depth_readouts import Said, told

READOUTS = ("likeliest", "nearest")  # the forced choice of the classifier, and the class of the nearest training image
DOUBTFUL = 0.15  # with more samples than this that are neither, the readout decides and no verdict is given


class Rates(NamedTuple):
    """How a readout of the minority errs: its hit rate and its false-alarm rate, and the test images that say so."""

    hit: float
    alarm: float
    hits_from: int
    alarms_from: int


EXACT = Rates(1.0, 0.0, 1, 1)  # the rates of a readout that is taken as it is: the nearest label, and the twin's posterior


class Fit(NamedTuple):
    """Coefficients [k] of least squares with their 95 % intervals by Student's t, and the degrees of freedom."""

    value: Tensor
    low: Tensor
    high: Tensor
    freedom: int


@dataclass(frozen=True)
class Matched:
    """A reading at the step at which a loss was reached; `censored` where it was reached before the first checkpoint."""

    step: float
    value: float
    censored: bool


def recorded(series: str) -> dict[tuple[int, int, int], Record]:
    """The records of a series of the laptop's networks, such as "equal" or "twin", by (depth, block, seed)."""
    found = {(run.config.depth, run.config.block, run.config.seed): load(run) for run in SCALES
             if re.fullmatch(rf"depth-{re.escape(series)}-L\d(-b\d)?(-s\d)?-laptop", run.name)}
    if not found:
        raise ValueError(f"there is no series {series!r}; expected a name such as 'equal' or 'twin'.")
    return found


def rates(ground: Ground) -> dict[str, Rates]:
    """The errors of both readouts on the test images, for class 1 of two."""
    minority = ground.test_kinds == 1
    calls = {"likeliest": ground.classify(ground.tested).argmax(1) == 1,
             "nearest": ground.kinds[nearest(ground.tested, ground.trained).index[:, 0]] == 1}
    return {name: Rates(float(called[minority].double().mean()), float(called[~minority].double().mean()),
                        int(minority.sum()), int((~minority).sum())) for name, called in calls.items()}


def words(results: Results, classes: int = 2) -> dict[int, Said]:
    """What is said of the samples at each checkpoint."""
    return {stage.step: told(stage.arrays["said"], classes) for stage in results.stages if "said" in stage.arrays}


def minority_share(said: Said, readout: str, errors: Rates) -> CorrectedShare:
    """The share of the minority among samples by one of READOUTS, corrected for its errors on real images."""
    called = getattr(said, readout) == 1
    return corrected(float(called.double().mean()), len(called), *errors)


def logit(share: float, count: int) -> float:
    """ln p/(1 - p) of a share of `count` samples, clipped to [1/2M, 1 - 1/2M]."""
    share = min(max(share, 0.5 / count), 1 - 0.5 / count)
    return math.log(share / (1 - share))


def held_losses(results: Results, shares: Sequence[float]) -> Tensor:
    """Held-out losses [S, 2] at the checkpoints: the mean over test images with the classes in these shares, at the noise
    levels of training; and with the classes in balance, where the class is decided."""
    losses = results.curve("held")[1].double()
    return torch.stack([losses[:, 0] @ torch.tensor(shares, dtype=torch.float64), losses[:, 1].mean(1)], 1)


def least_squares(design: Tensor, values: Tensor) -> Fit:
    """Coefficients [k] of values [N] on the columns of a design [N, k]."""
    freedom = len(design) - design.shape[1]
    value = torch.linalg.lstsq(design, values).solution
    variance = (values - design @ value).square().sum() / freedom
    reach = student.ppf(0.975, freedom) * (variance * torch.linalg.inv(design.T @ design).diagonal()).sqrt()
    return Fit(value, value - reach, value + reach, freedom)


def depth_slope(values: Mapping[tuple[int, Hashable], float]) -> Fit:
    """The slope in depth of values by (depth, cell), with an effect for each cell: [1]."""
    cells = sorted({cell for _, cell in values})
    design = torch.tensor([[depth, *(cell == other for other in cells)] for depth, cell in values], dtype=torch.float64)
    fit = least_squares(design, torch.tensor(list(values.values()), dtype=torch.float64))
    return Fit(*(part[:1] for part in fit[:3]), fit.freedom)


def lack_of_fit(design: Tensor, values: Tensor, groups: Sequence[Hashable]) -> float:
    """p-value of the F test of a linear fit against a mean for each group of equal rows: small where it does not fit."""
    names = sorted(set(groups))
    means = torch.tensor([[group == name for name in names] for group in groups], dtype=values.dtype)
    fitted, pure = ((values - each @ torch.linalg.lstsq(each, values).solution).square().sum() for each in (design, means))
    above, below = len(names) - design.shape[1], len(values) - len(names)
    return float(fisher.sf((fitted - pure) / above / (pure / below), above, below))


def claim(slopes: Mapping[str, Fit], matched: Mapping[str, Fit], neither: float) -> str:
    """The verdict on "deeper networks amplify the majority", by a rule fixed before the runs.

    `slopes` are those of the logit of the minority's share in depth by each of READOUTS, `matched` the same at equal
    held-out loss; `neither` is the largest share of samples that are neither class. Where the readouts disagree, or too
    many samples are neither, the readout decides.
    """
    signs = {_sign(slope) for slope in slopes.values()}
    if len(signs) > 1 or neither >= DOUBTFUL:
        return "the readout decides"
    sign, at_equal_loss = signs.pop(), {_sign(slope) for slope in matched.values()}
    if sign < 0:
        return "supported" if at_equal_loss == {-1} else "supported, through the loss only"
    return "contradicted" if sign > 0 else "undecided"


def common_loss(losses: Mapping[Hashable, Tensor]) -> float:
    """The largest, over networks, of the smallest loss on the way [S]: the lowest that all of them reach."""
    return max(float(curve.min()) for curve in losses.values())


def at_loss(steps: Tensor, losses: Tensor, values: Tensor, level: float) -> Matched:
    """The value where the loss first is at most `level`, interpolated in ln step between two checkpoints."""
    index = int((losses <= level).int().argmax())
    if losses[index] > level:
        raise ValueError(f"the loss falls to {float(losses.min()):g}; expected it to reach {level:g}.")
    if index == 0:
        return Matched(float(steps[0]), float(values[0]), True)
    share = float((losses[index - 1] - level) / (losses[index - 1] - losses[index]))
    before, after = (math.log(float(step)) for step in steps[index - 1:index + 1])
    value = float(torch.lerp(values[index - 1].double(), values[index].double(), share))
    return Matched(math.exp(before + share * (after - before)), value, False)


def bias_and_variance(probes: Tensor, exact: Tensor, entries: int) -> tuple[Tensor, Tensor]:
    """Squared bias and variance [L] per pixel of K networks that are independent in data and seed, from their probes
    [K, L, p, k] and the exact denoiser's [L, p, k]:

        V = sum |f - mean f|^2 / (K - 1),      bias^2 = |mean f - D*|^2 - V/K

    both without bias themselves, so that bias^2 can come out negative. `entries` is d, the pixels of an image.
    """
    probes, exact = probes.double(), exact.double()
    variance = probes.var(0).sum(-1).mean(-1) / entries
    off = (probes.mean(0) - exact).square().sum(-1).mean(-1) / entries
    return off - variance / len(probes), variance


def basin(ends: Tensor, shares: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Number of attractors [L] and the minority's share [L] of their basins, from `depth_measures.attractors` [L, s]: as
    many starts of each class, which weigh by the classes' shares."""
    starts = ends.shape[1]
    names, kinds = ends.long() % starts, ends.long() // starts
    weights = torch.tensor(shares, dtype=torch.float64).repeat_interleave(starts // len(shares)) * len(shares) / starts
    return torch.tensor([len(row.unique()) for row in names]), (kinds == 1).double() @ weights


def unmixed(seen: Tensor, confusion: Tensor) -> Tensor:
    """Shares of classes [C] among samples, from those that a classifier sees and the confusion [C, C] of its test images:
    row c says how images of class c are called. Not clipped."""
    return torch.linalg.solve((confusion / confusion.sum(1, keepdim=True)).T.double(), seen.double())


def _sign(fit: Fit) -> int:
    """1 or -1 where the whole interval has that sign, else 0."""
    return int(fit.low[0] > 0) - int(fit.high[0] < 0)
