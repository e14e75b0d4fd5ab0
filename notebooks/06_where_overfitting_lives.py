# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where overfitting lives
#
# "The" test loss of a diffusion model is an average over noise levels, and an average
# can hide what it is made of. {cite:t}`kaiser2026generalize` looked at the levels one
# by one: the gap between training and held-out images sits at intermediate noise.
# {cite:t}`garnierbrun2026biased` looked at the samples, and found that they lean toward
# the training images while the average still falls. This chapter joins the two: *is
# the leaning the overfitting of single noise levels, which the average hides?*
#
# The scale is small and the answer is for this scale. Eight networks of a million
# parameters were trained beforehand on photographs of clothes (Fashion-MNIST at
# 16 × 16 pixels): four disjoint blocks of 512 images, each with two seeds. They are the
# networks of the chapter before. First comes a model whose gap can be computed here and
# now, since it only remembers.
#
# Symbols are on the [notation page](../book/notation.md).
#
# On this page, $k$ counts training steps, $L$ is a test loss, and $v$ its weight.

# %% tags=["hide-input"]
from itertools import combinations

import torch
from matplotlib import pyplot as plt
from nearsight import EmpiricalDenoiser, generalization_gap, records
from nearsight.datasets import fashion_mnist
from nearsight.measures import (
    crossed_gap,
    ddpm_weight,
    flat_minimum,
    mean_interval,
    onset,
    overfitting_onset,
    pair_mean,
    point_errors,
    preference_onset,
    weighted_loss,
    wilson,
)
from nearsight.noise import level_index
from nearsight.page import (
    HOLDOUT,
    LOSS,
    NEUTRAL,
    THEORY,
    TRAIN,
    beside,
    curve,
    glue,
    moment,
    provenance,
    step_axis,
    use_style,
)
from nearsight.randomness import stream
from nearsight.studies import find
from nearsight.studies.image_measures import SIGMAS, STUDY
from nearsight.studies.image_readings import (
    crossed_errors,
    crossed_gaps,
    held_losses,
    joint_preferences,
    networks,
    over_blocks,
    pair_preferences,
    recorded,
    resampled,
    sample_preferences,
)
from scipy import optimize
from scipy.stats import t as student

use_style()
torch.set_num_threads(1)  # small products: a second thread would mostly wait
generator = torch.Generator().manual_seed(0)  # all randomness of this chapter

# %% [markdown]
# ## What a memory scores
#
# The gap of a denoiser at noise level $\sigma$ is the relative excess of its error on
# held-out images, $G = (E_\text{holdout} - E_\text{train}) / E_\text{train}$
# {eq}`eq-gap`. An *ideal* generator, which does not depend on the images it was trained
# on, has $G = 0$. The other extreme is {eq}`eq-blurred`: a memory of the block, blurred
# by a model error $\delta$.
#
# One thing must be settled before. Is it the model that is worse on held-out images, or
# are these images harder? Of two disjoint blocks $i$ and $j$, each is training data for
# one model and held out for the other. With $E_{ij}$ the error on block $j$ of the
# model that was trained on block $i$, the *crossed gap* is
#
# $$
# G(\sigma) = \frac{E_{ij}(\sigma) + E_{ji}(\sigma)}{E_{ii}(\sigma) + E_{jj}(\sigma)} - 1 .
# $$ (eq-crossed)
#
# A block that is harder for both models raises both sums alike. And a model that both
# blocks share scores exactly 0.

# %%
n, counted = 512, 256  # images of a block, and how many of them errors are measured on
pool = fashion_mnist("pool", 16)
blocks = pool.images[: 4 * n].unflatten(0, (4, n))
eps = torch.randn(1, counted, 1, 16, 16, generator=stream(STUDY, 2))  # as on record


def memory_gap(delta, i, j):
    """The crossed gap of two blurred memories, one of block i and one of block j."""
    a, b = blocks[i], blocks[j]
    first, second = EmpiricalDenoiser(a, delta), EmpiricalDenoiser(b, delta)
    a, b = a[:counted], b[:counted]
    return crossed_gap(generalization_gap(first, a, b, SIGMAS, noise=eps),
                       generalization_gap(second, b, a, SIGMAS, noise=eps)).gap


memory = {delta: pair_mean({pair: memory_gap(delta, *pair)
                            for pair in combinations(range(4), 2)})
          for delta in (0.2, 0.3, 0.5)}

# %% tags=["hide-input"]
def band(estimate, level=0.95):
    """Student's bounds for what has an error that leaves out one of the four blocks."""
    reach = float(student.ppf((1 + level) / 2, len(blocks) - 1)) * estimate.error
    return estimate.value - reach, estimate.value + reach


def sigma_axis(axes):
    axes.set(xscale="log", xlabel=r"noise level $\sigma$")
    axes.set_xticks([0.02, 0.1, 0.5, 2, 10], ["0.02", "0.1", "0.5", "2", "10"])
    axes.set_xticks([], minor=True)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Crossed gap of blurred memories of 512 photographs, by noise level (bands: 95 %, over blocks). Each has one bump; the more the memory errs, the lower, and the larger the noise at which it sits.", "name": "fig-memory-gap"}, "image": {"alt": "Three curves of the gap against noise level from 0.02 to 20. Each is a single bump: for model error 0.2 it reaches six near noise 0.6, for 0.3 two near 0.7, for 0.5 a third near 1. A dotted line at zero is an ideal generator.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.2, 3.1))
peaks = {delta: int(each.value.argmax()) for delta, each in memory.items()}
for (delta, each), color in zip(memory.items(), (TRAIN, "#CC79A7", "#009E73")):
    curve(axes, SIGMAS, each.value, rf"$\delta = {delta:g}$", color, *band(each),
          at=peaks[delta] + 1, offset=(8, 2))
axes.axhline(0, color=THEORY, lw=1, ls=":")
axes.annotate("ideal: no memory", (0.022, 0), (0, 5), textcoords="offset points",
              fontsize=9, color=THEORY)
axes.set_ylabel("crossed gap $G$")
sigma_axis(axes)

# %% tags=["remove-cell"]
glue(**{f"memory_{delta * 10:.0f}_{name}": value for delta, each in memory.items()
        for name, value in (("peak", each.value.max()), ("at", SIGMAS[peaks[delta]]))})
fresh = pool.images[8 * n : 9 * n]
many_levels = 0.02 * 1000 ** torch.linspace(0, 1, 31, dtype=torch.float64)
for delta, expected, at in ((0.2, 6.54, 0.63), (0.3, 1.97, 0.80)):
    exact = generalization_gap(EmpiricalDenoiser(blocks[0], delta), blocks[0], fresh,
                               many_levels, draws=4, generator=generator)
    assert abs(exact.gap.max() / expected - 1) < 0.1
    assert abs(many_levels[exact.gap.argmax()] / at - 1) < 0.15

# %% [markdown]
# At $\delta = 0.2$ the bump reaches {glue:text}`memory_2_peak:.1f`, at $\delta = 0.3$
# {glue:text}`memory_3_peak:.1f`. Below it the noise is too weak to leave any doubt
# which image is meant; above it, too strong to tell images apart. So much for a model
# that knows nothing but single images.
#
# ## What networks score
#
# Every network was measured at 16 steps of its training, with averaged weights and one
# noise for all: at 24 noise levels, on the first 256 images of every block and of two
# sets that no network has seen, V and H. Steps of the record are a factor 1.3 apart,
# and nothing finer is resolved here.

# %%
record = recorded("512")
family = networks(record)
steps = torch.tensor(family.steps)
own, other = over_blocks(crossed_errors(family)).value.unbind(0)  # [steps, levels]
gap = over_blocks(crossed_gaps(family))
on_v = torch.stack([each.double() for each in family.curve("stopping_error").values()])
loss = held_losses(family)  # [steps, images of V], the EDM loss as it is trained on
least = flat_minimum(loss)
top = int(gap.value[least.index].argmax())  # level of the largest gap at the least loss
held_out = overfitting_onset(on_v.mean(0), generator)
quiet = int(held_out.open.nonzero()[0])  # the first level that is least at the last step

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Error on the own and on the other block along training, at the noise level of the largest gap and at a larger one (bands: 95 %, over blocks). Dashed: where the error on V is least. Left it turns while the error on the own block falls on.", "name": "fig-one-level"}, "image": {"alt": "Two panels against training steps. Left, at noise 0.3, both errors fall together; then that on the other block turns up near step 1,400 while that on the own block keeps falling, and the shaded gap widens. Right, at noise 1, both still fall at step 2,400.", "width": "100%"}}
figure, panels = plt.subplots(1, 2, figsize=(8.2, 3.2))
errors = over_blocks(crossed_errors(family))
low, high = band(errors)
for axes, level in zip(panels, (top, quiet)):
    for kind, (name, color) in enumerate((("own block", TRAIN), ("other block", HOLDOUT))):
        curve(axes, steps, errors.value[kind, :, level], name, color, low[kind, :, level],
              high[kind, :, level])
    axes.fill_between(steps, own[:, level], other[:, level], color=NEUTRAL, alpha=0.15)
    bounds = (int(steps[each[level]]) for each in (held_out.low, held_out.high))
    moment(axes, int(steps[held_out.index[level]]), *bounds, LOSS, r"$k^*$")
    axes.set_title(rf"$\sigma = {SIGMAS[level]:.2g}$")
    step_axis(axes, (50, 200, 500, 1000, 2000))
panels[0].set_ylabel(r"error $E(\sigma)$");

# %% [markdown]
# ## One noise level
#
# At $\sigma =$ {glue:text}`top:.2f` the network first gets better on all images alike.
# Its error on the other block parts from that on its own, but falls as well, and only
# then turns. Where it turns we define on V, which decides all stops of this book:
#
# $$
# k^*(\sigma) = \operatorname{argmin}_k E_V(\sigma; k) ,
# $$ (eq-turn)
#
# with an interval from images of V drawn anew. At this level it is step
# {glue:text}`top_turn:.0f`; at $\sigma =$ {glue:text}`quiet:.2f` there is none in the
# record. *The gap is open long before*: at step {glue:text}`early:.0f` it is
# {glue:text}`early_gap:.1%` here, at levels that all still improve.
#
# ## Why crossed
#
# Is it the network or the images? The simple gap answers by the set that it happens to
# be given.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Relative gap at the noise level of the largest one, with three choices of held-out images: a line for the networks of each block (two seeds), and in black the crossed gap. Sets differ by more than networks overfit for the first thousand steps.", "name": "fig-difficulty"}, "image": {"alt": "Three panels of the gap against steps, with four lines each. On V they lie below the black crossed gap, on H too, some below zero until step 500; on the other blocks they scatter around it.", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(8.4, 3.0), sharey=True)
until = least.index + 1
error = {label: each.double()[:until, :, top]
         for label, each in family.curve("error").items()}
apart = {}
for block in range(4):
    seen = torch.stack([error[block, seed] for seed in (0, 1)])
    simple = (seen / seen[..., [block]] - 1).mean(0)  # [steps, blocks and V and H]
    strange = [each for each in range(4) if each != block]
    apart[block] = torch.stack([simple[:, 4], simple[:, 5], simple[:, strange].mean(1)])
    for axes, values in zip(panels, apart[block]):
        axes.plot(steps[:until], values, color=HOLDOUT, lw=1, alpha=0.75)
for axes, title in zip(panels, ("held out: V", "held out: H", "held out: other blocks")):
    axes.plot(steps[:until], gap.value[:until, top], color=THEORY, lw=2)
    axes.axhline(0, color=THEORY, lw=1, ls=":")
    axes.set_title(title)
    step_axis(axes, (50, 200, 1000))
panels[0].set_ylabel(rf"gap $G$ at $\sigma = {SIGMAS[top]:.2g}$")
panels[0].annotate("crossed", (320, float(gap.value[7, top])), (-4, 12), ha="right",
                   textcoords="offset points", fontsize=9, color=THEORY);

# %% [markdown]
# H is easier than V, and both are easier than the blocks, or some of them: a network
# of the block that is hardest seems to have no gap at all at step
# {glue:text}`early:.0f`, and one that overfits as much has. In the crossed gap that
# cancels. From here on $G$ is crossed; V decides where minima are, and H is for
# reports.
#
# ## All noise levels
#
# ```{prf:definition} What is expected
# :label: def-bump
# One bump at intermediate noise {cite:p}`kaiser2026generalize`, growing with training,
# and nothing at either end.
# ```

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Crossed gap by noise level at each step of the record (bands at three of them: 95 %, over blocks). Black: at each level at its own turn $k^*$. One bump; it grows from the start, and its peak moves to smaller noise. An ideal generator scores 0.", "name": "fig-gap"}, "image": {"alt": "Sixteen curves of the gap against noise level, from dark to bright along training. All are one bump between 0.05 and 1; the peak rises from 0.05 at step 510 to 0.6 at step 2,400 and moves from noise 0.4 to 0.2. A black line joins the gaps at the turn of each level, near 0.2.", "width": "90%"}}
figure, axes = plt.subplots(figsize=(7.4, 3.8))
shades = plt.get_cmap("viridis")(torch.linspace(0, 0.9, len(steps)).numpy())
low, high = band(gap)
told = [least.index - 4, least.index, *range(least.index + 1, len(steps))]
for index, color in enumerate(shades):
    axes.plot(SIGMAS, gap.value[index], color=color, lw=1.2)
    if index in told:
        at = int(gap.value[index].argmax())
        axes.annotate(f"step {steps[index]}", (float(SIGMAS[at]), float(gap.value[index, at])),
                      (0, 3), textcoords="offset points", ha="center", fontsize=9, color=color)
        axes.fill_between(SIGMAS, low[index], high[index], color=color, alpha=0.2, lw=0)
at_turn = gap.value[held_out.index, torch.arange(len(SIGMAS))]
turned = ~held_out.open & (torch.arange(len(SIGMAS)) < quiet)
curve(axes, SIGMAS[turned], at_turn[turned], r"at $k^*(\sigma)$", THEORY, at=0,
      offset=(-4, 12))
axes.axhline(0, color=THEORY, lw=1, ls=":")
axes.annotate("ideal: no memory", (20, 0), (0, 5), textcoords="offset points",
              ha="right", fontsize=9, color=THEORY)
axes.set_ylabel("crossed gap $G$")
sigma_axis(axes)

# %% tags=["remove-cell"]
peak_at = gap.value.argmax(1)
early = steps.tolist().index(510)
print("PEAKS", [(int(s), round(float(g.max()), 3), round(float(SIGMAS[g.argmax()]), 3)) for s, g in zip(steps, gap.value)])

# %% [markdown]
# TEXT
#
# ## Is it a blurred memory?
#
# A network errs, and its gap has the bump of a memory that errs. Is it one? Of each
# network we ask which $\delta$ gives the blurred memory of its block the same error on
# that block, level by level.

# %%
def memory_error(block, held, delta, level):
    """Error of the blurred memory of a block on the images of another one."""
    return float(point_errors(EmpiricalDenoiser(blocks[block], delta),
                              blocks[held][:counted], SIGMAS[[level]], noise=eps).mean())


def matched(block, level, wanted):
    """The model error at which the memory of a block has the error `wanted` on it."""
    found = optimize.brentq(
        lambda power: memory_error(block, block, 10**power, level) - wanted, -3, 1,
        xtol=1e-3)
    return 10**found


# %% tags=["hide-input"]
SHOWN = [early, least.index, len(steps) - 1]
on_own = torch.stack([torch.stack([family.curve("error")[block, seed][:, block]
                                   for seed in (0, 1)]).double().mean(0)
                      for block in range(4)])  # [blocks, steps, levels]
blurs = {index: torch.tensor([[matched(block, level, float(on_own[block, index, level]))
                               for level in range(len(SIGMAS))] for block in range(4)],
                             dtype=torch.float64) for index in SHOWN}


def crossed_memory(i, j, deltas):
    """The crossed gap of the memories of two blocks with model errors [4, levels]."""
    found = torch.tensor([[memory_error(a, b, float(deltas[a, level]), level)
                           for a, b in ((i, i), (j, j), (i, j), (j, i))]
                          for level in range(len(SIGMAS))], dtype=torch.float64)
    return found[:, 2:].sum(1) / found[:, :2].sum(1) - 1


as_wrong = pair_mean({(i, j): crossed_memory(i, j, blurs[least.index])
                      for i, j in combinations(range(4), 2)})

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: the model error $\\delta$ with which a memory errs on its block as much as the network does. No single one explains the curve. Right: that memory's gap at the least test loss, and the network's (bands: 95 %, over blocks).", "name": "fig-blur"}, "image": {"alt": "Left: model error against noise level at three steps; it rises along the diagonal from 0.03 to 0.4 and is flat above noise 0.7. Right, logarithmic: the gap of the equally wrong memory falls from 35 to near zero, the network's is a bump below 0.3; they meet above noise 3.", "width": "100%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
for index in SHOWN:
    middle, *bounds = (each.exp() for each in mean_interval(blurs[index].log()))
    curve(left, SIGMAS, middle, "", shades[index], *bounds)
left.plot(SIGMAS[:15], SIGMAS[:15], color=NEUTRAL, lw=0.8, ls="--")
left.annotate(r"$\delta = \sigma$", (float(SIGMAS[12]), float(SIGMAS[12])), (-4, 4),
              textcoords="offset points", ha="right", fontsize=9, color=NEUTRAL)
left.set(yscale="log", ylabel=r"model error $\delta$ of equal error")
curve(right, SIGMAS, as_wrong.value, "memory as wrong", HOLDOUT, *band(as_wrong), at=6,
      offset=(6, 4))
curve(right, SIGMAS, gap.value[least.index], "network", TRAIN,
      low[least.index], high[least.index], at=4, offset=(0, -12))
right.set(yscale="log", ylim=(1e-3, 100), ylabel="crossed gap $G$")
for axes in (left, right):
    sigma_axis(axes)

# %% tags=["remove-cell"]
print("BLUR", blurs, as_wrong.value)

# %% [markdown]
# TEXT
#
# ## Each level has its own minimum
#
# A test loss is $L(k) = \int v(\sigma)\, E_V(\sigma; k)\, d\ln\sigma$, and every weight
# $v$ has a minimum of its own. Below are four: the weight of the loss that the networks
# were trained with (EDM, {cite:p}`karras2022elucidating`), that of the published ones
# (DDPM, {cite:p}`ho2020denoising`), none at all, and $\sigma^{-2}$, which favors little
# noise.
#
# Beside them, the samples. The *preference* $\nu$ is the share of samples that are
# nearer to the block of their own network than to another block; its *onset* is the
# first step from which the lower bound of $\nu$, corrected for all 16 looks, stays
# above ½ plus a margin. One question was declared to be the primary one before
# looking: nearness in pixels, 512 images, averaged weights, a margin of 0.05. Where
# does that onset fall among the turns?

# %%
preferences = joint_preferences(family, generator)
begins = {margin: preference_onset(preferences, margin) for margin in (0.0, 0.05)}
per_unit = pool.scaling.deviation / 0.5 / 255  # published units: brightness 0 to 1
weights = {"EDM": "edm", "DDPM": lambda sigma: ddpm_weight(per_unit * sigma),
           "σ⁻²": lambda sigma: sigma**-2, "no weight": torch.ones_like}
minima = {name: flat_minimum(weighted_loss(SIGMAS, on_v.mean(0).mT, weight))
          for name, weight in weights.items()}

# %% tags=["hide-input"]
each_sample = sample_preferences(family)  # [steps, samples]
corrected = 1 - 0.05 / len(steps)


def clocks(images, samples):
    """Checkpoints of the onset, of the least test loss, and of the least error at each
    level, where images of V and samples are drawn so many times each."""
    shares = (each_sample @ samples / samples.sum()).tolist()
    bounds = [wilson(share * judged.effective, judged.effective, corrected)[0]
              for share, judged in zip(shares, preferences)]
    begun = onset(bounds, 0.55)
    return [len(steps) if begun is None else begun, int((loss @ images).argmin()),
            *(on_v.mean(0) @ images[:counted]).argmin(0).tolist()]


drawn = resampled(clocks, loss.shape[1], each_sample.shape[1], generator)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: the step $k^*$ of least error on V by noise level (bars: 95 %, over images; small: single networks; hollow: still falling) and the minima of four test losses. Right: preference for the own block (band: 95 %).", "name": "fig-minima"}, "image": {"alt": "Two panels that share the training step as vertical axis. Left, the turns by noise level: near step 1,400 for noise between 0.04 and 0.3, later at smaller noise, at the end of training above 1. Right, the preference rises from one half to two thirds.", "width": "100%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 4.0), sharey=True,
                                     width_ratios=[1.7, 1])
turns, bounds = steps[held_out.index], [steps[each] for each in (held_out.low, held_out.high)]
for single in on_v.mean(3).argmin(1):
    left.plot(SIGMAS, steps[single], ".", color=NEUTRAL, ms=3, alpha=0.5)
left.vlines(SIGMAS, *bounds, color=HOLDOUT, lw=1.2)
left.plot(SIGMAS, turns, "o", color=HOLDOUT, ms=5, mfc="white")
left.plot(SIGMAS[~held_out.open], turns[~held_out.open], "o", color=HOLDOUT, ms=5)
for place in sorted({minimum.index for minimum in minima.values()}):
    named = [name for name, minimum in minima.items() if minimum.index == place]
    for axes in (left, right):
        axes.axhline(int(steps[place]), color=LOSS, lw=1, ls="--")
    right.annotate(", ".join(named), (0.68, int(steps[place])), (0, 2),
                   textcoords="offset points", ha="right", fontsize=8.5, color=LOSS)
values = torch.tensor([each.preference for each in preferences])
curve(right, values, steps, "", TRAIN)
right.fill_betweenx(steps, *torch.tensor([each.interval() for each in preferences]).T,
                    color=TRAIN, alpha=0.2, lw=0)
right.axvline(0.5, color=THEORY, lw=1, ls=":")
left.set(yscale="log", ylabel="training step $k$", ylim=(45, 2800))
left.set_yticks([50, 100, 200, 500, 1000, 2000], ["50", "100", "200", "500", "1,000", "2,000"])
left.set_yticks([], minor=True)
right.set(xlabel=r"preference $\nu$", xlim=(0.48, 0.7))
sigma_axis(left)

# %% tags=["remove-cell"]
print("ONSET", begins, [(int(steps[v]) if v is not None else None) for v in begins.values()])
for st, p in zip(steps, preferences): print(int(st), p, p.interval(corrected), p.effective)
print("MINIMA", {k: (int(steps[m.index]), int(steps[m.earliest]), int(steps[m.latest])) for k, m in minima.items()}, int(steps[least.index]), int(steps[least.earliest]), int(steps[least.latest]))
print("BOOT onset", [(int(s), float((drawn[:, 0] == i).double().mean())) for i, s in enumerate(steps)])
print("BOOT edm", [(int(s), float((drawn[:, 1] == i).double().mean())) for i, s in enumerate(steps)])
for k in range(24): print(round(float(SIGMAS[k]), 3), "before", float((drawn[:, 0] < drawn[:, 2 + k]).double().mean()), "same", float((drawn[:, 0] == drawn[:, 2 + k]).double().mean()), "after", float((drawn[:, 0] > drawn[:, 2 + k]).double().mean()))
