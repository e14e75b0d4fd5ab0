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
# # Deeper into the linear model
#
# The companion of {doc}`02_linear_gaussian`: each section answers one question that a careful reader of that chapter
# asks next, with one figure. They can be read in any order. First what the published measure is made of, then what
# depends on the data, then what a sampler adds, and last where linear theory ends.

# %%
import math

import torch
from matplotlib import pyplot as plt
from torch.distributions import MultivariateNormal, kl_divergence

from nearsight import (EmpiricalDenoiser, GaussianDenoiser, MixtureDenoiser, denoising_error, edm_sigmas,
                       records, sample)
from nearsight.datasets import digits
from nearsight.gaussian import (expected_divergences, expected_errors, expected_kl, expected_squared_wasserstein, fit,
                                log_affinity, one_step, one_step_limit, proportional_limits, sampler_map, squared_bures)
from nearsight.networks import MLP, Preconditioned
from nearsight.page import HOLDOUT, NEUTRAL, THEORY, TRAIN, beside, curve, glue, use_style
from nearsight.randomness import stream
from nearsight.studies import find
from nearsight.studies.gaussian_networks import untrained
from nearsight.training import LogNormal, Training, train

use_style()
torch.set_num_threads(1)  # many small matrices: a second thread would mostly wait for the first
torch.set_default_dtype(torch.float64)  # theorems are checked in double precision
generator = torch.Generator().manual_seed(0)  # all randomness of this page
COLORS = [TRAIN, HOLDOUT, "#009E73", "#CC79A7", "#56B4E9", "#E69F00", NEUTRAL, "black"]


def ratio_axis(axes, ticks=(0.25, 1, 4, 16), label="$n/d$"):
    """A logarithmic axis of n/d with a mark at 1."""
    names = {1 / 16: "1/16", 0.25: "¼", 0.5: "½"}
    axes.set(xscale="log", xlabel=label, xticks=ticks, xticklabels=[names.get(tick, f"{tick:g}") for tick in ticks])
    axes.xaxis.set_minor_formatter("")
    axes.axvline(1, color=NEUTRAL, lw=0.6, ls=":")


def dots(axes, x, values, color, **style):
    """Means of values [sets, S] over sets, with 95 % intervals."""
    reach = 1.96 * values.std(0).nan_to_num() / len(values) ** 0.5
    axes.errorbar(x, values.mean(0), reach, fmt="o", color=color, **style)


def off(values, theory):
    """Largest distance of the means of values [sets, S] from theory [S], beyond three standard errors, as a share."""
    excess = (values.mean(0) - theory).abs() - 3 * values.std(0) / len(values) ** 0.5
    return float((excess / theory.abs()).max())


# %% [markdown]
# ## What the published measure is made of
#
# $\Delta$ is the difference of two energies, $E_{TG}$ of the training set and $E_{OG}$ of the original set. Here they
# are, from the recorded runs, in units in which the diagonal of a set's overlap with itself is 1, and less that 1. The
# live miniature is the same computation at its smallest scale, 20 runs in 8 dimensions.

# %%
run16, run100 = find("delta-16-laptop"), find("delta-100-laptop")
record16, record100 = records.load(run16), records.load(run100)
miniature = records.compute(find("delta-16-smoke"))


def energies(results):
    """E_TG - 1 and E_OG - 1 of the correct reading: [2, runs, counts]."""
    term = {name: results.curve(name)[1] for name in results.final}
    own = term["pairs_train"][..., 0] - 2 * term["models_train"][..., 0, 0]
    return torch.stack([own, term["pairs_original"][:, None, 0] - 2 * term["models_original"][..., 0, 0]])


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The two energies whose difference is the published measure, less their common 1: medians and middle halves over 150 runs. In 16 dimensions they cross where their spreads overlap; in 100 dimensions both are minute beside the 1 that cancels. A sign of a difference of two small numbers carries the published claim.", "name": "fig-energies"}, "image": {"alt": "Two panels, d = 16 and d = 100, of the energies of training and original set against n/d on a symmetric log axis. The bands of the two energies move together and overlap; in 100 dimensions their size is far below one.", "width": "95%"}}
figure, panels = plt.subplots(1, 2, figsize=(8.4, 3.5))
for axes, run, record in zip(panels, (run16, run100), (record16, record100)):
    gamma = torch.tensor(run.config.counts) / run.config.dimension
    both = energies(record.results)
    for values, label, color in zip(both, ("$E_{TG} - 1$", "$E_{OG} - 1$"), (TRAIN, HOLDOUT)):
        low, middle, high = values.quantile(torch.tensor([0.25, 0.5, 0.75]), dim=0)
        axes.plot(gamma, middle, "o-", ms=3, color=color, label=label)
        axes.fill_between(gamma, low, high, color=color, alpha=0.2, lw=0)
    axes.set_yscale("symlog", linthresh=float(both.abs().quantile(0.1)), linscale=1.5)
    axes.axvline(1, color=NEUTRAL, lw=0.6, ls=":")
    axes.set(title=f"$d = {run.config.dimension}$", xlabel="$n/d$")
panels[0].set_ylabel("energy less its diagonal")
panels[0].legend();

# %% tags=["remove-input"]
small16, small100, live = energies(record16.results), energies(record100.results), energies(miniature)
assert live.isfinite().all() and live.shape[1] == 20
at = run100.config.counts.index(100)
assert small100[:, :, at].abs().median() < 1e-4
ranks = small16.median(1).values.argsort(1).argsort(1).double()
at16 = run16.config.counts.index(16)
positive = (live[0] > live[1]).double().mean(0)  # at n = d/2 and n = 2d
glue(live_half=positive[0], live_two=positive[1], energy_100=small100[:, :, at].abs().median(),
     energy_16=small16[:, :, at16].abs().median(),
     together=torch.corrcoef(ranks)[0, 1])

# %% [markdown]
# At $n = d$ the energies differ from 1 by {glue:text}`energy_16:.1g` in 16 dimensions and by
# {glue:text}`energy_100:.0e` in 100. Over the range of $n$ the medians of the two rise and fall together (rank
# correlation {glue:text}`together:.2f` in 16 dimensions). Nothing requires them to cross at $n = d$, or to cross at
# all. (In the miniature, $\Delta$ is positive in {glue:text}`live_half:.2f` of the runs at $n = d/2$ and
# {glue:text}`live_two:.2f` at $n = 2d$.)
#
# ### By data set
#
# "Memorizing is a property of the data set, not of the model", wrote a reviewer. For twenty training sets of each size
# we fit the one-step model to twenty noise draws each, and ask how much of the variation of $\Delta$ lies between the
# sets. $\Delta$ has heavy tails near the pole, so we rank its values first.

# %%
sets_run = find("delta-sets-laptop")
record_sets = records.load(sets_run)
beside(records.compare(record_sets, records.compute(sets_run, stages=1)))  # the first of twenty, computed anew

# %%
by_set = record_sets.results.curve("delta")[1].movedim(1, 0)  # [counts, data sets, noises]


def share_between(values):
    """Share of the variance of the ranks of values [sets, noises] that lies between sets, by one-way analysis."""
    ranks = values.flatten().argsort().argsort().double().view_as(values)
    within = ranks.var(1).mean()
    between = (ranks.mean(1).var() - within / values.shape[1]).clamp(min=0)
    return between / (between + within)


shares = torch.stack([share_between(values) for values in by_set])
chosen = torch.randint(by_set.shape[1], (200, by_set.shape[1]), generator=generator)
resampled = torch.stack([torch.stack([share_between(values[sets]) for values in by_set]) for sets in chosen])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: share of noise draws with $\\Delta > 0$ for each of twenty training sets, sorted, at six sizes. Right: share of the variance of $\\Delta$ (of its ranks) that lies between training sets rather than between noise draws of one set, with 95 % bootstrap intervals. Close to $n = d$ the noise decides, far beyond it more than half of the variation is the data set's: memorizing in this sense is a property of both.", "name": "fig-data-sets"}, "image": {"alt": "Left: a staircase of shares of positive Delta per data set, for six training set sizes. Right: the share of variance between data sets against n/d rises from near zero to most of the variance.", "width": "95%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.3))
gamma = torch.tensor(sets_run.config.counts) / sets_run.config.dimension
for row, (values, ratio) in enumerate(zip(by_set, gamma)):
    color = plt.get_cmap("viridis")(row / 6)
    left.step(range(1, 1 + values.shape[0]), (values > 0).double().mean(1).sort().values, where="mid", color=color,
              label=f"$n/d = {ratio:g}$")
left.set(xlabel="training set, sorted", ylabel=r"share of draws with $\Delta > 0$", ylim=(-0.03, 1.03))
left.legend(fontsize=7.5)
low, high = resampled.quantile(torch.tensor([0.025, 0.975]), dim=0)
right.errorbar(gamma, shares, torch.stack([shares - low, high - shares]).clamp(min=0), fmt="o-", color=TRAIN)
ratio_axis(right, (1, 2, 4, 8))
right.set(ylabel="share of variance between sets", ylim=(0, 1));

# %% tags=["remove-input"]
assert shares[-1] > shares[0] + 0.2
glue(share_first=shares[0], share_last=shares[-1])

# %% [markdown]
# The share between data sets is {glue:text}`share_first:.2f` at $n = d$ and {glue:text}`share_last:.2f` at $n = 8d$.
# *What $\Delta$ reports belongs to the data set and to the model, both.*
#
# ### Without kernels
#
# One can compare the model with raw points without any kernel: in one direction, the Wasserstein distance between $n$
# sorted numbers and a Gaussian is a closed formula, and *sliced* $W_2^2$ is its mean over random directions. We take
# the fitted Gaussian, its training points, as many fresh points, and the population.

# %%
def sliced_to_points(points, mean, covariance, directions):
    """Sliced W2^2 between points [sets, n, d] and N(mean, covariance), over directions [k, d]: [sets]."""
    n = points.shape[1]
    x = (points @ directions.T).sort(1).values
    center, deviation = mean @ directions.T, ((directions @ covariance) * directions).sum(-1).clamp(min=0).sqrt()
    z = torch.special.ndtri(torch.arange(n + 1) / n)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    pull = (x * (density[:-1] - density[1:])[:, None]).sum(1)
    squared = x.square().mean(1) + center**2 + deviation**2 - 2 * center * x.mean(1) - 2 * deviation * pull
    return squared.mean(1)


def sliced(n, d=64, sets=60):
    """Sliced W2^2 of fits to n points to those points, to n fresh points and to N(0, I): [sets, 3]."""
    train, fresh = torch.randn(2, sets, n, d, generator=generator)
    directions = torch.nn.functional.normalize(torch.randn(64, d, generator=generator), dim=1)
    mean, covariance = fit(train)
    center, deviation = mean @ directions.T, ((directions @ covariance) * directions).sum(-1).clamp(min=0).sqrt()
    population = (center**2 + (deviation - 1) ** 2).mean(1)
    to_points = [sliced_to_points(points, mean, covariance, directions) for points in (train, fresh)]
    return torch.stack([*to_points, population], 1)


def expected_population(n):
    """E m^2 + E (s - 1)^2 for the mean and the deviation of n normal numbers, exactly."""
    mean_deviation = (2 / n).sqrt() * (torch.lgamma(n / 2) - torch.lgamma((n - 1) / 2)).exp()
    return 1 / n + (n - 1) / n - 2 * mean_deviation + 1


sliced_ratios = torch.tensor([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
slices = torch.stack([sliced(round(64 * float(ratio))) for ratio in sliced_ratios], 2)  # [sets, 3, S]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Sliced Wasserstein distance of the fitted Gaussian to its training points, to as many fresh points, and to the population, $d = 64$; means with 95 % intervals over 60 sets; thin black line: exact expectation. The model is always nearer to its own points than to fresh ones, for every $n$, and nothing happens at $n = d$.", "name": "fig-sliced"}, "image": {"alt": "Log-log plot of sliced squared Wasserstein distance against n/d: three parallel falling lines; the distance to training points lies below that to fresh points everywhere.", "width": "75%"}}
figure, axes = plt.subplots(figsize=(6.4, 3.6))
labels = (("training points", TRAIN, 0, (2, -14)), ("fresh points", HOLDOUT, 4, (8, 6)),
          ("population", NEUTRAL, 5, (-30, -16)))
for column, (label, color, at, offset) in enumerate(labels):
    dots(axes, sliced_ratios, slices[:, column], color)
    curve(axes, sliced_ratios, slices[:, column].mean(0), label, color, at=at, offset=offset, lw=1)
axes.plot(sliced_ratios, expected_population(64 * sliced_ratios), color=THEORY, lw=0.8)
ratio_axis(axes)
axes.set(yscale="log", ylabel="sliced $W_2^2$");

# %% tags=["remove-input"]
means = slices.mean(0)
assert (means[0] < means[1]).all()
for ratio, expected in ((0.25, (.0714, .2543, .0980)), (1.0, (.0225, .0670, .0223)), (16.0, (.0018, .0046, .0014))):
    column = sliced_ratios.tolist().index(ratio)
    spread = slices[:, :, column].std(0) * (2 / 60) ** 0.5  # the expected values are means over 60 sets, too
    assert ((means[:, column] - torch.tensor(expected)).abs() < 3 * spread + 5e-5).all(), (ratio, means[:, column])
assert off(slices[:, 2], expected_population(64 * sliced_ratios)) < 0
glue(sliced_train=means[0, 2], sliced_fresh=means[1, 2], sliced_nearer=(means[1] / means[0]).min())

# %% [markdown]
# At $n = d$ it is {glue:text}`sliced_train:.4f` to the training points and {glue:text}`sliced_fresh:.4f` to fresh ones;
# over the whole range the ratio is never less than {glue:text}`sliced_nearer:.1f`. *Without kernels the model is always
# nearer to its training set.*
#
# ### Quality
#
# A model that "generalizes" need not be good. Three measures of quality that are in use: the mean log density of
# samples under the truth, and the precision and recall of {cite:t}`kynkaanniemi2019improved`, which count samples that
# fall within the distance of a real point to its third neighbor, and conversely.

# %%
def quality(n, d=16, sets=20, drawn=500):
    """Mean ln P of samples per dimension, precision and recall, for fits to n points: [sets, 3]."""
    mean, covariance = fit(torch.randn(sets, n, d, generator=generator))
    values, basis = torch.linalg.eigh(covariance)
    noise = torch.randn(sets, drawn, d, generator=generator)
    samples = mean[:, None] + (noise * values.clamp(min=0).sqrt()[:, None]) @ basis.mT
    real = torch.randn(sets, drawn, d, generator=generator)
    between = torch.cdist(samples, real)
    radius = [torch.cdist(points, points).kthvalue(4, dim=2).values for points in (real, samples)]
    precision = (between <= radius[0][:, None]).any(2).double().mean(1)
    recall = (between <= radius[1][:, :, None]).any(1).double().mean(1)
    log_density = -(samples.square().mean((1, 2)) + math.log(2 * math.pi)) / 2
    return torch.stack([log_density, precision, recall], 1)


quality_ratios = torch.tensor([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0])
qualities = torch.stack([quality(round(16 * float(ratio))) for ratio in quality_ratios], 2)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Quality of the fitted Gaussian's samples in 16 dimensions: mean log density under the truth per dimension, precision and recall; means with 95 % intervals over 20 fits. The log density is the same for every $n$, and precision nearly so; recall rises smoothly from 0, without a step at $n = d$.", "name": "fig-quality"}, "image": {"alt": "Two panels against n/d. The mean log density of samples is flat at -1.42 and precision is flat near 0.78; recall rises smoothly from zero to 0.7.", "width": "90%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.2))
dots(left, quality_ratios, qualities[:, 0], TRAIN)
left.axhline(-(1 + math.log(2 * math.pi)) / 2, color=THEORY, lw=1)
left.set(ylabel=r"mean $\ln P$ of samples, per dimension", ylim=(-2, -1))
for column, (label, color, offset) in ((1, ("precision", TRAIN, (-6, 12))), (2, ("recall", HOLDOUT, (8, -10)))):
    dots(right, quality_ratios, qualities[:, column], color)
    curve(right, quality_ratios, qualities[:, column].mean(0), label, color, at=4, offset=offset, lw=1)
right.set(ylim=(0, 1.02))
for axes in (left, right):
    ratio_axis(axes)

# %% tags=["remove-input"]
flat = qualities[:, 0]
exact = -(1 + math.log(2 * math.pi)) / 2
assert ((flat.mean(0) - exact).abs() <= 3.5 * flat.std(0) / 20**0.5).all()
recall, precision = qualities[:, 2].mean(0), qualities[:, 1].mean(0)
assert (recall.diff() > -0.01).all() and precision.max() - precision.min() < 0.1
glue(log_density=flat.mean(), recall_low=recall[0], recall_at=recall[3], recall_high=recall[-1],
     precision_low=precision[0], precision_at=precision[3], precision_high=precision[-1])

# %% [markdown]
# Recall goes from {glue:text}`recall_low:.2f` over {glue:text}`recall_at:.2f` at $n = d$ to
# {glue:text}`recall_high:.2f`. Precision hardly moves, from {glue:text}`precision_low:.2f` over
# {glue:text}`precision_at:.2f` to {glue:text}`precision_high:.2f`: samples confined to a subspace are as typical one by
# one. And the mean log density says nothing at all: it is $-\tfrac12 (1 + \ln 2\pi)$ per dimension in expectation for
# every $n$, since $\mathbb E (\operatorname{tr} S + |m - \mu|^2) = \operatorname{tr} \Sigma$, and we measure
# {glue:text}`log_density:.3f`. *A sign of $\Delta$ says nothing about quality*; it turns where it turns, and quality
# goes on rising.
#
# ## The one-step model
#
# Later versions of the paper report the divergence KL(G, truth) of the one-step model, which falls monotonically from
# $n = d$ on. Its limit is known (`one_step_limit`), and shows what one is looking at.

# %%
pole_ratios, deviations = torch.tensor([1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0]), (0.5, math.sqrt(1 - math.exp(-4)), 2.0)


def one_step_divergences(ratio, sigma, d=100, sets=16):
    """KL(G, truth)/d of one-step models: [sets]."""
    train = torch.randn(sets, round(float(ratio) * d), d, generator=generator)
    models = MultivariateNormal(*one_step(train, sigma, generator=generator))
    return kl_divergence(models, MultivariateNormal(torch.zeros(d), torch.eye(d))) / d


poles = {sigma: torch.stack([one_step_divergences(ratio, sigma) for ratio in pole_ratios], 1) for sigma in deviations}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Divergence of the one-step model from the truth for three noise levels. Lines: limits for large $n$ and $d$; dots: $d = 100$, means with 95 % intervals over 16 sets; dashes: what remains with infinitely much data. The fall from $n = d$ on is the far side of a double-descent pole, and ends at a floor that no amount of data removes.", "name": "fig-pole"}, "image": {"alt": "Log-log plot of KL per dimension against n/d beyond 1, for three noise levels; each curve diverges at n = d and falls to its own positive floor.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.8, 3.7))
smooth = torch.logspace(math.log10(1.02), math.log10(12), 100)
for sigma, color in zip(deviations, COLORS):
    line = torch.tensor([one_step_limit(float(ratio), sigma) for ratio in smooth])
    curve(axes, smooth, line, rf"$\sigma^2 = {sigma**2:.3g}$", color, at=-1, lw=1.3)
    dots(axes, pole_ratios, poles[sigma], color)
    axes.axhline(one_step_limit(1e12, sigma), color=color, lw=0.8, ls="--")
ratio_axis(axes, (1, 2, 4, 8))
axes.set(yscale="log", ylabel=r"KL$(G, \mathrm{truth})/d$", xlim=(0.98, 12));

# %% tags=["remove-input"]
for sigma, values in poles.items():
    r, n = 1 / (1 + sigma**2), 100 * pole_ratios
    trace = r + (1 - r) * 100 / (n.round() - 102)  # of the covariance, per dimension, exactly
    mean = (1 + sigma**2 * r * trace) / n  # squared error of the mean, per dimension
    limit = torch.tensor([one_step_limit(float(ratio), sigma) for ratio in pole_ratios])
    theory = limit + (trace - r - (1 - r) / (pole_ratios - 1) + mean) / 2
    assert off(values, theory) < 0.02, (sigma, values.mean(0), theory)
glue(pole_floor=one_step_limit(1e12, deviations[1]), pole_two=one_step_limit(2.0, deviations[1]),
     pole_two_live=poles[deviations[1]].mean(0)[3])

# %% [markdown]
# At the published noise and $n = 2d$ the limit is {glue:text}`pole_two:.3f`; at $d = 100$ we find
# {glue:text}`pole_two_live:.3f`, and the exact trace and the error of the mean at finite $d$ explain the difference.
# Infinitely many data leave {glue:text}`pole_floor:.4f`: the model never recovers the variance. *The "monotone fall
# from $n = d$" is the far side of a double-descent pole.*
#
# ### Isotropy flatters it
#
# The base from which the model generates, $\mathcal N(\bar y, s_x^2 I)$, has the right shape already if the truth is
# isotropic: with $\sigma \to 0$ the model becomes perfect without having learned anything. For $\Sigma \ne I$ and
# infinitely many data it generates the covariance
# $(\operatorname{tr} \Sigma/d + \sigma^2)\, \Sigma^2 (\Sigma + \sigma^2)^{-2}$, which is wrong for every $\sigma$.

# %%
def covariance_of_much_data(spectrum, sigma):
    return (spectrum.mean() + sigma**2) * (spectrum / (spectrum + sigma**2)) ** 2


def kl_of_much_data(spectrum, sigma):
    """KL(G, truth)/d of the one-step model for infinitely many data."""
    ratio = covariance_of_much_data(spectrum, sigma) / spectrum
    return float((ratio - 1 - ratio.log()).mean() / 2)


steep = 1 / torch.arange(1.0, 33.0)
steep = steep * 32 / steep.sum()
sizes = torch.logspace(-2, 1, 61)
isotropic, shaped = ([kl_of_much_data(spectrum, float(level)) for level in sizes]
                     for spectrum in (torch.ones(32), steep))
_, large_sample = one_step(torch.randn(40_000, 32, generator=generator) * steep.sqrt(), 0.7, generator=generator)
formula = covariance_of_much_data(steep, 0.7)
agreement = large_sample.diagonal() / formula
assert (agreement - 1).abs().max() < 0.06
glue(isotropic_small=isotropic[0], shaped_small=shaped[0], shaped_best=min(shaped), checked=agreement.mean())

# %% [markdown]
# At $\sigma = 0.01$ the divergence per dimension is {glue:text}`isotropic_small:.1e` for white data, and
# {glue:text}`shaped_small:.2f` for a spectrum that falls as $1/k$; its least value over all noise levels is
# {glue:text}`shaped_best:.2f`. (With 40,000 points at $\sigma = 0.7$ the simulated variances are
# {glue:text}`checked:.3f` times those of the formula on average.)
#
# (faults)=
# ## A list of faults
#
# What we found in the public code, to be shown or avoided and never inherited:
#
# 1. The covariance is transposed, $s^2 B^\top B$ for $s^2 BB^\top$: same eigenvalues, wrong directions
#    ({numref}`fig-delta`).
# 2. Single precision decides the sign of $\Delta$ at $d = 100$ ({numref}`fig-delta`).
# 3. Determinants below $e^{-25}$ count as 0, so that $H^2$ is 1 by construction ({numref}`fig-hellinger`).
# 4. In the experiment with a network, originals lie in 0…255, training data in [−1, 1], samples in [0, 1], and are
#    compared on one grid; and the sets are of unequal size (10 samples, 10 training points, 100 originals).
# 5. Ten steps with $\beta \le 0.02$ leave 91 % of the signal ($\bar\alpha_T = 0.913$), and sampling starts from pure
#    noise.
# 6. At most 250 images, batches of 128 and 20 epochs are 20 to 40 steps of the optimizer.
# 7. Isotropic data flatter the model (above).
#
# The fifth is one line of arithmetic. The fourth can be tried out with an ideal generator, which draws from the truth:
# 16×16 independent pixels $\mathcal N(0.5, 0.1^2)$, each compared by kernels of width $0.1/n$ on a grid of 16 points,
# as in the code.

# %%
kept = float(torch.prod(1 - torch.linspace(1e-4, 0.02, 11)[:10]))
pixel_grid = torch.linspace(0.0, 1.0, 16)


def pixel_densities(points):
    """Kernel estimates of every pixel's density on the grid: [runs, pixels, grid]."""
    width = 0.1 / points.shape[1]
    exponents = -(points[..., None] - pixel_grid).square() / (2 * width**2)
    return exponents.exp().mean(1) / (math.sqrt(2 * math.pi) * width)


def ideal_share(original_scale, train_scale, train_shift, runs=100):
    """Share of runs with Delta > 0 for an ideal generator: 10 samples, 10 training points, 100 originals."""
    images = 0.5 + 0.1 * torch.randn(runs, 120, 256, generator=generator)
    made, train, original = images.split((10, 10, 100), 1)
    generated = pixel_densities(made)
    to_train = (pixel_densities(train_scale * train + train_shift) - generated).square().sum((1, 2))
    to_original = (pixel_densities(original_scale * original) - generated).square().sum((1, 2))
    return float((to_train > to_original).double().mean())


released, common = ideal_share(255.0, 2.0, -1.0), ideal_share(1.0, 1.0, 0.0)
assert abs(kept - 0.913) < 0.002 and released == 1 and 0.05 < common < 0.3
glue(kept=kept, ideal_released=released, ideal_common=common)

# %% [markdown]
# The ideal generator scores $P(\Delta > 0) =$ {glue:text}`ideal_released:.2f` in the units of the release, and
# {glue:text}`ideal_common:.2f` in common ones, because unequal sets have unequal kernels. (The share of the signal that
# is left after ten steps is {glue:text}`kept:.3f`.)
#
# ## What depends on the data, and what does not
#
# KL and the Hellinger exponent are invariant under linear maps, and so is the fit: hence their expectation cannot
# depend on $\Sigma$ at all. $W_2^2$ is not invariant. Spectra $k^{-a}$, one with a spike, and the covariance of real
# 8×8 digits, all from the same white points:

# %%
def power_law(a, d=64):
    """Eigenvalues k^-a with mean 1."""
    values = torch.arange(1, d + 1, dtype=torch.float64) ** -a
    return values * d / values.sum()


spiked = torch.cat([torch.tensor([32.0]), torch.full((63,), 0.5)])
pixels = digits().images.flatten(1).double()
real = torch.linalg.eigvalsh(fit(pixels)[1])
real = real[real > 1e-6 * real[-1]]  # some pixels are always black
spectra = {"$a = 0$": power_law(0), "$a = 1$": power_law(1), "$a = 2$": power_law(2), "spiked": spiked, "digits": real}


def against_truth(spectrum, ratio, sets=40):
    """KL(fit, truth)/d, Hellinger exponent and W2^2/tr Sigma of fits to n = ratio d points: [sets, 3].

    All spectra stretch the same white points.
    """
    d, same = len(spectrum), torch.Generator().manual_seed(round(100 * ratio))
    mean, covariance = fit(torch.randn(sets, round(ratio * d), d, generator=same) * spectrum.sqrt())
    truth, fits = MultivariateNormal(torch.zeros(d), torch.diag(spectrum)), MultivariateNormal(mean, covariance)
    distance = squared_bures(covariance, torch.diag(spectrum).expand_as(covariance)) + mean.square().sum(1)
    return torch.stack([kl_divergence(fits, truth) / d, -log_affinity(fits, truth) / d, distance / spectrum.sum()], 1)


spectrum_ratios = torch.tensor([1.25, 1.5, 2.0, 4.0, 8.0, 16.0])
by_spectrum = {name: torch.stack([against_truth(values, float(ratio)) for ratio in spectrum_ratios], 2)
               for name, values in spectra.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gaussians of five different spectra, the covariance of real digits among them, fitted to $n$ points; means with 95 % intervals over 40 sets, $d = 64$ (61 for digits). Divergence and Hellinger exponent per dimension fall on one curve (line: exact expectation, and limit; dots of shrinking size, since they coincide). The Wasserstein distance as a share of the total variance does not: it knows how many directions matter.", "name": "fig-spectra"}, "image": {"alt": "Three log-log plots against n/d. In the first two, dots of five spectra coincide on one line. In the third, Wasserstein distance over total variance, the five spectra lie apart by up to a factor of ten.", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(9.2, 3.3))
smooth = torch.logspace(math.log10(1.15), math.log10(16), 60)
panels[0].plot(smooth, [expected_kl(round(64 * float(ratio)), 64)[0] / 64 for ratio in smooth], color=THEORY, lw=1)
panels[1].plot(smooth, [proportional_limits(float(ratio)).hellinger_exponent for ratio in smooth], color=THEORY, lw=1)
for (name, values), spectrum, color, size in zip(by_spectrum.items(), spectra.values(), COLORS, (11, 9, 7, 5, 3)):
    for column, axes in enumerate(panels):
        dots(axes, spectrum_ratios, values[:, column], color, ms=size if column < 2 else 4, label=name)
    counts = (len(spectrum) * smooth).round()
    panels[2].plot(smooth, [expected_squared_wasserstein(spectrum, int(n)) / spectrum.sum() + 1 / n for n in counts],
                   color=color, lw=1)
for axes, title in zip(panels, ("KL(fit, truth) / d", r"$-\ln(1 - H^2)\,/\,d$", r"$W_2^2\,/\,\mathrm{tr}\,\Sigma$")):
    ratio_axis(axes, (1, 2, 4, 8, 16))
    axes.set(title=title, yscale="log")
panels[2].legend(fontsize=7.5);

# %% tags=["remove-input"]
for name, values in by_spectrum.items():
    d = len(spectra[name])
    exact = torch.tensor([expected_kl(round(d * float(ratio)), d)[0] / d for ratio in spectrum_ratios])
    assert ((values[:, 0].mean(0) - exact).abs() <= 3 * values[:, 0].std(0) / 40**0.5).all(), name
for name in ("$a = 1$", "$a = 2$", "spiked"):  # invariance is exact, fit by fit
    torch.testing.assert_close(by_spectrum[name][:, :2], by_spectrum["$a = 0$"][:, :2], rtol=1e-8, atol=1e-10)
at_two = {name: float(values[:, 2].mean(0)[2]) for name, values in by_spectrum.items()}
exponents = torch.tensor([float(values[:, 1].mean(0)[2]) for values in by_spectrum.values()])
assert exponents.max() / exponents.min() < 1.06 and max(at_two.values()) > 4 * min(at_two.values())
glue(wasserstein_most=max(at_two.values()), wasserstein_least=min(at_two.values()), exponent_most=exponents.max(),
     exponent_least=exponents.min())

# %% [markdown]
# At $n = 2d$ the exponent lies between {glue:text}`exponent_least:.4f` and {glue:text}`exponent_most:.4f` for all five;
# $W_2^2$ as a share of the variance between {glue:text}`wasserstein_least:.3f` and {glue:text}`wasserstein_most:.3f`.
# The lines of the third panel are `expected_squared_wasserstein` and $1/n$ for the mean.
#
# ### A floor under the variances
#
# What does a regularized fit do, $S + \rho I$? With a floor, the fit is never singular, and for each $n$ there is a
# best one.

# %%
ladder = power_law(1, 100)
floors, floor_sizes = torch.logspace(-3, 1, 81), (30, 50, 100, 200)
by_floor = {n: torch.tensor([expected_divergences(ladder, n, float(rho)).kl_truth_fit for rho in floors])
            for n in floor_sizes}


def divergences_with_floor(n, rho, sets=30):
    train = torch.randn(sets, n, 100, generator=generator) * ladder.sqrt()
    fits = MultivariateNormal(torch.zeros(100), train.mT @ train / n + rho * torch.eye(100))
    return kl_divergence(MultivariateNormal(torch.zeros(100), torch.diag(ladder)), fits)


some_floors = floors[10::15]
with_floor = {n: torch.stack([divergences_with_floor(n, float(rho)) for rho in some_floors], 1) for n in floor_sizes}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "KL(truth, fit) of a fit with floor $\\rho$ under its variances, spectrum $1/k$ in 100 dimensions. Lines: theory; dots: means with 95 % intervals over 30 fits; circles: the best floor. One minimum each, finite also for $n < d$: a floor removes the jump, and helps most where data are few.", "name": "fig-floor"}, "image": {"alt": "Log-log plot of divergence against floor for four sample sizes. Every curve has one minimum; curves for n up to 100 grow without bound toward small floors.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.8, 3.7))
for (n, line), color in zip(by_floor.items(), COLORS):
    curve(axes, floors, line, f"$n = {n}$", color, at=0, offset=(-40, 0), lw=1.3)
    dots(axes, some_floors, with_floor[n], color)
    axes.plot(floors[line.argmin()], line.min(), "o", ms=9, mfc="none", color=color)
axes.set(xscale="log", yscale="log", xlabel=r"floor $\rho$", ylabel="KL(truth, fit)", xlim=(3e-4, 10));

# %% tags=["remove-input"]
for n, line in by_floor.items():
    low = int(line.argmin())
    assert (line[: low + 1].diff() < 0).all() and (line[low:].diff() > 0).all()
    exact = torch.tensor([expected_divergences(ladder, n, float(rho)).kl_truth_fit for rho in some_floors])
    assert off(with_floor[n], exact) < 0.03, n
best = {n: float(floors[line.argmin()]) for n, line in by_floor.items()}
glue(best_30=best[30], best_200=best[200], least_30=by_floor[30].min(), least_200=by_floor[200].min(),
     without_200=expected_divergences(ladder, 200).kl_truth_fit)

# %% [markdown]
# For $n = 30$ the best floor is {glue:text}`best_30:.2f` and leaves {glue:text}`least_30:.1f`, where without a floor
# the divergence is infinite; for $n = 200$ it is {glue:text}`best_200:.2f` and leaves {glue:text}`least_200:.1f` of
# {glue:text}`without_200:.1f`. *A floor removes the jump and helps most for $n < d$.*
#
# ### Intrinsic or ambient dimension?
#
# Data often lie near a surface. Let 10 of 100 directions have variance 1, and the others $10^{-4}$. Which dimension
# sets the transition?

# %%
near_flat = torch.cat([torch.ones(10), torch.full((90,), 1e-4)])
intrinsic_sizes = torch.tensor([5, 7, 10, 14, 20, 30, 50, 70, 90, 110, 150, 200, 400, 1000])
by_rho = {rho: torch.tensor([expected_divergences(near_flat, int(n), rho).kl_truth_fit for n in intrinsic_sizes])
          for rho in (1e-6, 1e-2)}
plain = torch.tensor([expected_squared_wasserstein(near_flat, int(n)) for n in intrinsic_sizes])
pairs = near_flat * near_flat[:, None] / (near_flat + near_flat[:, None])
many_data = (pairs.sum() - pairs.trace() + near_flat.sum()) / (2 * intrinsic_sizes)  # for n far beyond 10


def near_flat_fits(n, sets=40):
    """KL(truth, fit) with both floors, and W2^2 without, of fits to n points: [sets, 3]."""
    train = torch.randn(sets, n, 100, generator=generator) * near_flat.sqrt()
    covariance, truth = train.mT @ train / n, torch.diag(near_flat)
    laws = [MultivariateNormal(torch.zeros(100), covariance + rho * torch.eye(100)) for rho in by_rho]
    values = [kl_divergence(MultivariateNormal(torch.zeros(100), truth), law) for law in laws]
    return torch.stack(values + [squared_bures(covariance, truth.expand_as(covariance))], 1)


intrinsic = torch.stack([near_flat_fits(int(n)) for n in intrinsic_sizes], 2)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Ten directions of variance 1 in 100 dimensions, the rest of variance 0.0001. Left: KL(truth, fit) with a floor far below the small variance falls at $n = 100$, with one above it at $n = 10$, to a value that the floor costs. Right: the Wasserstein distance is insensitive to the small directions. Lines: theory of leading order (dashed: for $n$ far beyond 10); dots: means with 95 % intervals over 40 fits. The floor decides which dimension counts.", "name": "fig-intrinsic"}, "image": {"alt": "Left: divergence against n for two floors; the curve for the tiny floor drops steeply near n = 100, that for the larger floor flattens after n = 10 to 20. Right: Wasserstein distance falls smoothly with n.", "width": "95%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
for column, (rho, line) in enumerate(by_rho.items()):
    exponent = round(math.log10(rho))
    curve(left, intrinsic_sizes, line, rf"$\rho = 10^{{{exponent}}}$", COLORS[column], at=2, offset=(6, 10), lw=1.2)
    dots(left, intrinsic_sizes, intrinsic[:, column], COLORS[column])
left.set(xscale="log", yscale="log", xlabel="$n$", ylabel="KL(truth, fit)")
dots(right, intrinsic_sizes, intrinsic[:, 2], TRAIN)
right.plot(intrinsic_sizes, plain, color=THEORY, lw=1)
right.plot(intrinsic_sizes[4:], many_data[4:], color=THEORY, lw=1, ls="--")
right.set(xscale="log", yscale="log", xlabel="$n$", ylabel="$W_2^2$, no floor")
for axes in (left, right):
    for n in (10, 100):
        axes.axvline(n, color=NEUTRAL, lw=0.6, ls=":")

# %% tags=["remove-input"]
for column, line in ((0, by_rho[1e-6]), (1, by_rho[1e-2])):
    # Ten strong directions are few for a theory of leading order: 10 % where n is of their number.
    assert off(intrinsic[:, column], line) < 0.1, column
assert off(intrinsic[:, 2, 7:], many_data[7:]) < 0.02
at = intrinsic_sizes.tolist().index
tiny, large = by_rho.values()
glue(tiny_90=tiny[at(90)], tiny_200=tiny[at(200)], large_5=large[at(5)], large_20=large[at(20)], large_end=large[-1])

# %% [markdown]
# With the tiny floor the divergence goes from {glue:text}`tiny_90:.0f` at $n = 90$ to {glue:text}`tiny_200:.0f` at
# $n = 200$: the ambient dimension counts. With the larger one it goes from {glue:text}`large_5:.0f` at $n = 5$ to
# {glue:text}`large_20:.0f` at $n = 20$ and ends at {glue:text}`large_end:.0f`: the intrinsic one. *The floor decides.*
# And a sampler always brings one: the noise level at which it stops, or the coarseness of its steps.
#
# ## What a sampler adds
#
# On a Gaussian every step of every usual solver is an affine map along each eigenvector, and so is a whole run
# (`sampler_map`). No sampling is needed to know exactly what a sampler of $K$ steps generates.

# %%
def both_divergences(variance, projections):
    """KL(Q, truth) and KL(truth, Q) [2, sets] of Gaussians with variances [sets, d] along eigenvectors; `projections`
    [sets, 2, d] are the truth's precision and covariance along these."""
    logs = variance.log().sum(1) - ladder.log().sum()
    forward = (variance * projections[:, 0]).sum(1) - 100 - logs
    backward = (projections[:, 1] / variance).sum(1) - 100 + logs
    return torch.stack([forward, backward]) / 2


def generated_divergences(values, projections, sigmas, start, solver):
    """The same for what a sampler generates from variance `start` with denoisers of eigenvalues [sets, d]."""
    run = sampler_map(values.flatten(), sigmas, solver)
    return both_divergences((run.gain**2 * start + run.noise_variance).view_as(values), projections)


def edm(steps):
    return edm_sigmas(steps), 80.0**2


def ou(steps):
    """Uniform steps in the Ornstein-Uhlenbeck time from 5 to 0, started at N(0, 1 + sigma^2)."""
    grid = torch.expm1(2 * torch.linspace(5, 0, steps + 1)).sqrt()
    return grid, 1 + float(grid[0]) ** 2


steps = [5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000]
alone = ladder[None], torch.stack([1 / ladder, ladder])[None]
solvers = {"EDM Euler": (edm, "euler"), "EDM Heun": (edm, "heun"), "EDM ancestral": (edm, "ancestral"),
           "OU ddpm": (ou, "ddpm"), "OU ancestral": (ou, "ancestral"), "OU Euler (DDIM)": (ou, "euler"),
           "OU-Euler": (ou, "ou-euler"), "OU Euler-Maruyama": (ou, "ou-euler-maruyama")}
exact_denoiser = {name: torch.tensor([generated_divergences(*alone, *grid(k), solver)[0, 0] for k in steps])
                  for name, (grid, solver) in solvers.items()}

# %%
def estimated(n, sets=20):
    """Eigenvalues [sets, d] of fits to n points, and the truth's precision and covariance along their eigenvectors."""
    train = torch.randn(sets, n, 100, generator=generator) * ladder.sqrt()
    values, basis = torch.linalg.eigh(train.mT @ train / n)
    shares = basis.square().mT
    return values, torch.stack([shares @ (1 / ladder), shares @ ladder], 1)


finite = {n: estimated(n) for n in (120, 200, 1600)}
by_steps = {n: torch.stack([generated_divergences(*parts, *edm(k), "heun") for k in steps], 2)
            for n, parts in finite.items()}
exact_fit = {n: both_divergences(*parts) for n, parts in finite.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: divergence of what $K$ steps generate from the truth, exact denoiser, spectrum $1/k$ in 100 dimensions, for eight solvers. Middle and right: with a denoiser estimated from $n$ points (EDM grid, Heun; means with 95 % intervals over 20 fits; dashes: the fit itself). Every solver ends at the divergence of the fit. On the way the curves dip below it: for finite $n$ there is a best number of steps, as coarse steps act as a floor.", "name": "fig-steps"}, "image": {"alt": "Three log-log plots of divergence against number of steps. With the exact denoiser all curves fall with their order. With estimated denoisers they level off at the fit's divergence after about 50 steps, with a dip below it before, strongest for n = 120 in KL(truth, generated).", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(10.2, 3.7))
for (name, line), color in zip(exact_denoiser.items(), COLORS):
    panels[0].plot(steps, line, "-" if name.startswith("EDM") else "--", color=color, lw=1.3, label=name)
panels[0].legend(fontsize=6.5, loc="lower left")
for side, axes in enumerate(panels[1:]):
    for (n, values), color in zip(by_steps.items(), COLORS):
        dots(axes, steps, values[side], color, ms=3)
        curve(axes, steps, values[side].mean(0), f"$n = {n}$", color, at=-1, offset=(-36, 8), lw=1)
        axes.axhline(exact_fit[n][side].mean(), color=color, lw=0.8, ls="--")
panel_titles = ("KL(generated, truth), exact denoiser", "KL(generated, truth)", "KL(truth, generated)")
for axes, title in zip(panels, panel_titles):
    axes.set(title=title, xscale="log", yscale="log", xlabel="steps $K$")
panels[0].set_ylim(1e-4, 300);

# %% tags=["remove-input"]
table = {"EDM Euler": (7.46132, 1.85788), "EDM Heun": (3.76842, .15678), "EDM ancestral": (17.76724, 6.04021),
         "OU ddpm": (36.8016, 13.7795), "OU-Euler": (11.3612, 3.7147)}
for name, expected in table.items():
    torch.testing.assert_close(exact_denoiser[name][[2, 4]], torch.tensor(expected), rtol=1e-4, atol=0)
dip = exact_fit[120][0] - by_steps[120][0][:, 3]
assert dip.mean() > 3 * dip.std() / 20**0.5
assert by_steps[120][1].mean(0)[2] < 0.7 * exact_fit[120][1].mean()
for n in finite:
    assert ((by_steps[n][:, :, -1] - exact_fit[n]).mean(1).abs() < 0.01 * exact_fit[n].mean(1)).all()
glue(dip_at=by_steps[120][0].mean(0)[3], dip_fit=exact_fit[120][0].mean(), back_at=by_steps[120][1].mean(0)[2],
     back_fit=exact_fit[120][1].mean(), heun_twenty=exact_denoiser["EDM Heun"][4],
     ddpm_twenty=exact_denoiser["OU ddpm"][4])
crude = sampler_map(ladder, ou(10)[0], "ou-euler")
glue(mean_missing=(1 - crude.gain - crude.pull).abs().max())

# %% [markdown]
# With the exact denoiser 20 steps of Heun leave {glue:text}`heun_twenty:.2f`, 20 steps of "ddpm" on a uniform grid
# {glue:text}`ddpm_twenty:.1f`. With a denoiser estimated from 120 points, 15 steps of Heun give {glue:text}`dip_at:.1f`
# where the fit itself has {glue:text}`dip_fit:.1f`; in the other direction 10 steps give {glue:text}`back_at:.0f`
# against {glue:text}`back_fit:.0f`. *Finite data have an optimal number of steps: coarse steps act as a floor.* That
# much the later versions of the paper report, and it is right. Beyond about 50 steps it is the estimation that counts,
# not the steps. (A mean needs care, too: the two solvers that step in Ornstein-Uhlenbeck time misplace it, with 10
# steps of OU-Euler by up to {glue:text}`mean_missing:.2f` of $\mu$. For all others pull and gain add up to 1.)
#
# ### Regularizing the network is not regularizing the covariance
#
# A ridge penalty $\rho \|A\|^2$ on a linear network that predicts the noise is not the floor of above. In the
# variance-preserving convention the regression has a closed form, and the whole flow too: from $\sigma_\text{in}$ to
# $\sigma_\text{out}$ the gain is
#
# $$
# \left[ \frac{\lambda + \rho + (1 + \rho)\, \sigma_\text{out}^2}
#              {\lambda + \rho + (1 + \rho)\, \sigma_\text{in}^2} \right]^{1/(2(1+\rho))} .
# $$ (eq-ridge)

# %%
def ridge_denoiser(rho, variance=1.0):
    """x less sigma times the predicted noise, sigma x / (variance + rho + (1 + rho) sigma^2)."""
    return lambda x, sigma: x * (1 - sigma**2 / (variance + rho + (1 + rho) * sigma**2))


def ridge_variance(rho, largest, variance=1.0):
    """Variance of what is generated from N(0, largest^2)."""
    gain = ((variance + rho) / (variance + rho + (1 + rho) * largest**2)) ** (1 / (2 * (1 + rho)))
    return (gain * largest) ** 2


largest = torch.logspace(1, 4, 31)
ridges = {rho: ridge_variance(rho, largest) for rho in (0.01, 0.05, 0.2)}
probed = torch.tensor([10.0, 100.0, 1000.0])


def sampled_variance(rho, top):
    return sample(ridge_denoiser(rho), top.view(1, 1), edm_sigmas(400, sigma_max=float(top))).square().squeeze()


sampled = {rho: torch.stack([sampled_variance(rho, top) for top in probed]) for rho in ridges}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Variance that a sampler generates for data of variance 1 when the noise-predicting network carries a ridge penalty $\\rho$, against the noise level at which it starts. Lines: formula; dots: the library's sampler with 400 Heun steps; dashes: a floor $\\rho$ under the covariance instead. The penalty makes the result depend on the starting level without bound; a floor adds $\\rho$ and no more.", "name": "fig-ridge"}, "image": {"alt": "Log-log plot of generated variance against starting noise level: three lines rising as powers, for penalties 0.01, 0.05 and 0.2; three horizontal dashed lines at 1 + rho.", "width": "75%"}}
figure, axes = plt.subplots(figsize=(6.4, 3.5))
for (rho, line), color in zip(ridges.items(), COLORS):
    curve(axes, largest, line, rf"$\rho = {rho:g}$", color, lw=1.3)
    axes.plot(probed, sampled[rho], "o", color=color)
    axes.axhline(1 + rho, color=color, lw=0.8, ls="--")
axes.set(xscale="log", yscale="log", xlabel=r"$\sigma_\mathrm{max}$", ylabel="generated variance");

# %% tags=["remove-input"]
for rho, line in ridges.items():
    torch.testing.assert_close(sampled[rho], ridge_variance(rho, probed), rtol=5e-3, atol=0)
    growth = math.log(float(line[-1] / line[-11])) / math.log(float(largest[-1] / largest[-11]))
    assert abs(growth - 2 * rho / (1 + rho)) < 1e-3
glue(ridge_slope=growth, ridge_predicted=2 * 0.2 / 1.2, ridge_80=float(ridge_variance(0.05, torch.tensor(80.0))))

# %% [markdown]
# For $\rho = 0.2$ the variance grows as $\sigma_\text{max}$ to the power {glue:text}`ridge_slope:.3f`; the formula says
# $2\rho/(1+\rho) =$ {glue:text}`ridge_predicted:.3f`. Started at $\sigma = 80$, a penalty of 0.05 turns a variance of 1
# into {glue:text}`ridge_80:.2f`. *Regularizing the network is not regularizing the covariance.*
#
# ## Where linear theory ends
#
# ### Late times
#
# At large noise every denoiser looks linear: only the mean and the covariance of the data matter. That is trivial; the
# rate at which the rest dies out is not. It falls as $\sigma^{-2}$ if the data are skewed and as $\sigma^{-3}$ if they
# are symmetric, beyond $\sqrt{\lambda_\text{max}}$. We compare the exact denoiser of two mixtures and of 16 points with
# the linear denoiser of the same mean and covariance, and with it a trained network: the one recorded for
# {numref}`fig-networks`, trained on these very 16 points.

# %%
networks = find("networks-16-laptop")
record_networks = records.load(networks)
at_sixteen = networks.config.ratios.index(1)
weights = record_networks.results.stages[at_sixteen].arrays
network = untrained(networks.config)
network.load_state_dict({name[7:]: value for name, value in weights.items() if name.startswith("weight/")})
sixteen = torch.randn(16, 16, generator=stream(networks.config.seed, at_sixteen), dtype=torch.float32).double()

# %%
late = torch.logspace(-1.5, 2.5, 41)


def mixture(weights, centers):
    """A denoiser of a mixture in the plane, its linear twin, and clean draws from it."""
    weights, centers = torch.tensor(weights), torch.tensor(centers)
    covariances = 0.05 * torch.eye(2).expand(len(weights), 2, 2)
    mean = weights @ centers
    spread = (centers - mean).T @ (weights[:, None] * (centers - mean)) + covariances[0]
    chosen = torch.multinomial(weights, 2000, replacement=True, generator=generator)
    draws = centers[chosen] + 0.05**0.5 * torch.randn(2000, 2, generator=generator)
    return MixtureDenoiser(weights, centers, covariances), GaussianDenoiser(mean, spread), draws


def difference(denoiser, linear, points):
    """Root mean squared difference of two denoisers at noisy points, at each level."""
    noise, apart = torch.randn(points.shape, generator=generator), []
    for level in late.tolist():
        x = points + level * noise
        apart.append((denoiser(x, level) - linear(x, level)).square().mean().sqrt())
    return torch.stack(apart).detach()


many = sixteen.repeat(60, 1)
linear16 = GaussianDenoiser(*fit(sixteen))
late_curves = {"skewed mixture": difference(*mixture([0.8, 0.2], [[0.5, 0.0], [-2.0, 0.0]])),
               "symmetric mixture": difference(*mixture([0.5, 0.5], [[1.0, 0.0], [-1.0, 0.0]])),
               "16 points": difference(EmpiricalDenoiser(sixteen), linear16, many),
               "network": difference(lambda x, sigma: network(x.float(), sigma).double(), linear16, many)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How far a denoiser is from the linear one with the same mean and covariance, against noise level. Beyond the width of the data the difference falls as $\\sigma$ to the power −2 for skewed data, −3 for symmetric ones. The trained network follows the exact denoiser of its 16 points in the middle of the noise levels that it was shown, and is not linear at the large ones that it was not. Linear theory is a theory of the upper half of the noise levels.", "name": "fig-late"}, "image": {"alt": "Log-log plot of root mean squared difference between denoisers against noise level, four curves with plateaus at small noise. Beyond noise level one they fall with slopes minus two and minus three; that of the network stays level at large noise.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.8, 3.8))
slopes = (", slope −2", ", slope −3", ", slope −2", "")
places = ((40, (6, 0)), (30, (-132, -4)), (40, (6, 0)), (40, (6, 0)))
for (name, line), slope, color, (at, offset) in zip(late_curves.items(), slopes, COLORS, places):
    curve(axes, late, line, name + slope, color, at=at, offset=offset, lw=1.4)
axes.set(xscale="log", yscale="log", xlabel=r"noise level $\sigma$", ylabel="difference from linear",
         xlim=(0.02, 1e4), ylim=(1e-7, 3));

# %% tags=["remove-input"]
rates = {name: float((line[36] / line[31]).log() / (late[36] / late[31]).log()) for name, line in late_curves.items()}
for name, expected in (("skewed mixture", -2), ("symmetric mixture", -3), ("16 points", -2)):
    assert abs(rates[name] - expected) < 0.05
glue(rate_skewed=rates["skewed mixture"], rate_symmetric=rates["symmetric mixture"], rate_points=rates["16 points"],
     network_left=late_curves["network"][36], points_left=late_curves["16 points"][36])

# %% [markdown]
# Measured rates: {glue:text}`rate_skewed:.2f` (skewed), {glue:text}`rate_symmetric:.2f` (symmetric),
# {glue:text}`rate_points:.2f` (16 points). *Late-time Gaussianity is two moments; the interesting part is below.* The
# network at $\sigma = 126$ is {glue:text}`network_left:.3f` away from linear, where its 16 points would have it
# {glue:text}`points_left:.5f` away: it was hardly ever shown such noise.
#
# ### Memorizing, for real
#
# The exact score of $n$ points does memorize, and its transition is known {cite:p}`biroli2024dynamical`: the posterior
# weights collapse on one point at $\sigma_C = s/\sqrt{n^{2/d} - 1}$, which depends on $\alpha = (\ln n)/d$ alone. We
# measure the participation $Y_2 = \mathbb E \sum_i w_i^2$, which is 1 if one point has all the weight.

# %%
cases = [(4, 8), (4, 200), (8, 64), (16, 64), (16, 601), (100, 100)]
relative = torch.tensor([0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0])


def participation(d, n, sets=20, queries=200):
    """Y2 at the noise levels `relative` times sigma_C: [sets, S]."""
    points = torch.randn(sets, n, d, generator=generator)
    levels = relative / math.sqrt(n ** (2 / d) - 1)
    own = points[:, torch.randint(n, (queries,), generator=generator)]
    noise = torch.randn(own.shape, generator=generator)
    weights = [(-torch.cdist(own + level * noise, points).square() / (2 * level**2)).softmax(2) for level in levels]
    return torch.stack([w.square().sum(2).mean(1) for w in weights], 1)


collapse = {case: participation(*case) for case in cases}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: where pairs $(d, n)$ lie in the two scalings of the literature, $n/d$ and $\\alpha = (\\ln n)/d$; dashes mark the collapse level $\\sigma_C$, a function of $\\alpha$ alone. The line $n = d$ (dotted) meets every collapse level somewhere: they are different questions. Right: participation of the posterior weights against $\\sigma/\\sigma_C$, means with 95 % intervals over 20 sets. All curves meet near one height at $\\sigma_C$, whatever $d$ and $n$.", "name": "fig-collapse"}, "image": {"alt": "Left: map of alpha against n/d with rising lines for five dimensions and horizontal lines of constant collapse level. Right: participation falls from 1 to near 0 around sigma equal to sigma_C; six curves cross near 0.57.", "width": "95%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.6))
for d, color in zip((4, 8, 16, 100), COLORS):
    counts = torch.logspace(math.log10(2), 4, 50)
    curve(left, counts / d, counts.log() / d, f"$d = {d}$", color, lw=1.2)
for level in (0.3, 1.0, 3.0):
    alpha = math.log(1 + level**-2) / 2
    left.axhline(alpha, color=NEUTRAL, lw=0.7, ls="--")
    left.text(0.021, alpha * 1.06, rf"$\sigma_C = {level:g}$", color=NEUTRAL, fontsize=8)
for (d, n), color in zip(cases, COLORS):
    left.plot(n / d, math.log(n) / d, "o", color=color)
    dots(right, relative, collapse[d, n], color, ls="-", lw=1, ms=3.5, label=f"$d = {d}$, $n = {n}$")
ratio_axis(left, (0.1, 1, 10, 100, 1000))
left.set(yscale="log", ylabel=r"$\alpha = (\ln n)/d$", ylim=(0.02, 3), xlim=(0.018, 6000))
right.axvline(1, color=NEUTRAL, lw=0.6, ls=":")
right.set(xlabel=r"$\sigma/\sigma_C$", ylabel="participation $Y_2$", ylim=(0, 1.02))
right.legend(fontsize=7.5);

# %% tags=["remove-input"]
meeting = torch.stack([values.mean(0)[3] for values in collapse.values()])
for case, expected in (((16, 601), (.995, .866, .570, .334, .173, .056)),
                       ((100, 100), (.999, .875, .555, .329, .191, .077))):
    values = collapse[case][:, 1:7]
    # The expected values are good to 0.02.
    assert ((values.mean(0) - torch.tensor(expected)).abs() < 0.02 + 3 * values.std(0) / 20**0.5).all(), case
glue(meet_low=meeting.min(), meet_high=meeting.max(), collapse_100=1 / math.sqrt(100 ** (2 / 100) - 1))

# %% [markdown]
# At $\sigma_C$ the curves lie between {glue:text}`meet_low:.2f` and {glue:text}`meet_high:.2f`. At $n = d = 100$ the
# collapse is at $\sigma_C =$ {glue:text}`collapse_100:.1f`, above the width of the data: in the proportional regime the
# empirical score has collapsed long before the data's own scale (the *speciation* of clusters is at
# $\sqrt{\lambda_\text{max}}$, here 1). *That $n \sim e^{\alpha d}$ and $n \sim d$ are different questions* can be seen
# on the left: neither scale is $n = d$.
#
# ### Parameters
#
# And the number of parameters? Random ReLU features are linear in what they learn, and yet can memorize. Their number
# $p$ varies from $n/4$ to $16 n$; each of $n$ white points in 16 dimensions is seen under many noise draws at
# $\sigma = 0.3$. {cite:t}`george2025denoising` solve this model.

# %%
def random_features(n, p, sigma=0.3, d=16, pairs=10_240):
    """Training, held-out error of p random ReLU features fitted to many noisy copies of n points."""
    projection = torch.randn(d + 1, p, generator=generator) / math.sqrt(d)
    train, fresh = torch.randn(2, n, d, generator=generator)

    def noisy(points, count):
        clean = points.repeat_interleave(count // len(points), 0)
        x = clean + sigma * torch.randn(clean.shape, generator=generator)
        return clean, torch.relu(x @ projection[:-1] + projection[-1])

    clean, features = noisy(train, pairs)
    gram = features.T @ features / len(features)
    gram.diagonal().add_(1e-7)
    readout = torch.cholesky_solve(features.T @ clean / len(features), torch.linalg.cholesky(gram))
    again = noisy(train, 2048), noisy(fresh, 2048)
    return [float((features @ readout - clean).square().mean()) for clean, features in again]


shares_of_n = {64: (0.25, 0.5, 1, 2, 4, 8, 16), 256: (0.25, 0.5, 1, 2, 4)}
repeats = {64: 5, 256: 3}
features = {n: torch.tensor([[random_features(n, round(share * n)) for share in several] for _ in range(repeats[n])])
            for n, several in shares_of_n.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Random ReLU features as a denoiser at $\\sigma = 0.3$, against the number of parameters per training point; means with 95 % intervals over repetitions. The held-out error has a minimum at a moderate number of parameters; there the training error drops under the optimum (dotted), which no denoiser can do without memory.", "name": "fig-parameters"}, "image": {"alt": "Log-log plot of denoising error against parameters per point for 64 and 256 points. Held-out error falls, reaches a minimum near or just above one and rises; training error falls throughout and crosses the dotted optimum between one and two.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.8, 3.7))
for (n, several), style in zip(shares_of_n.items(), ("-", "--")):
    for column, (label, color) in enumerate((("train", TRAIN), ("held-out", HOLDOUT))):
        values = features[n][..., column]
        dots(axes, several, values, color, ms=3.5)
        curve(axes, several, values.mean(0), f"{label}, $n = {n}$", color, offset=(6, 0), ls=style, lw=1.2)
axes.axhline(0.09 / 1.09, color=THEORY, lw=0.9, ls=":")
axes.text(0.25, 0.09 / 1.09 * 0.85, "optimum", fontsize=8.5)
ratio_axis(axes, (0.25, 0.5, 1, 2, 4, 16), "$p/n$")
axes.set(yscale="log", ylabel="denoising error", xlim=(0.22, 40));

# %% tags=["remove-input"]
optimum = 0.09 / 1.09
crossing, lowest = {}, {}
for n, several in shares_of_n.items():
    mean = features[n].mean(0)
    assert (mean[:, 0].diff() < 0).all()
    lowest[n] = several[int(mean[:, 1].argmin())]
    crossing[n] = several[int((mean[:, 0] < optimum).double().argmax())]
    assert 0.5 <= lowest[n] <= 4 and mean[-1, 0] < optimum
glue(lowest_64=lowest[64], lowest_256=lowest[256], crossing_64=crossing[64], crossing_256=crossing[256])

# %% [markdown]
# The held-out error is least at $p/n =$ {glue:text}`lowest_64:g` for 64 points and {glue:text}`lowest_256:g` for 256
# (on the grid of the figure), and the training error is below the optimum from $p/n =$ {glue:text}`crossing_64:g` and
# {glue:text}`crossing_256:g` on. *Memorizing starts where the parameters pass the sample count*, give or take a factor
# of two. In the linear model there are as many parameters per output as dimensions; that is why $n = d$ could be
# mistaken for a property of data.
#
# ### Mixtures
#
# Last, data that are not Gaussian: mixtures of two, three and four components in the plane, with the exact denoiser,
# the best linear one, and a small network trained on 512 draws here and now.

# %%
mix_levels = torch.logspace(-1.5, 1, 16)


def three_denoisers(k):
    """Errors of the linear, the exact and a trained denoiser on fresh draws of k components on a circle: [3, S]."""
    angles = 2 * math.pi * torch.arange(k) / k
    exact, linear, draws = mixture([1 / k] * k, torch.stack([angles.cos(), angles.sin()], 1).mul(1.5).tolist())
    recipe = Training(snapshots=(1000,), batch=128, learning_rate=4e-3, levels=LogNormal(-0.7, 1.2), sigma_data=1.0,
                      decay="cosine", ema=0.99, seed=k)
    torch.set_default_dtype(torch.float32)
    last, = train(recipe, lambda: Preconditioned(MLP(2, 64), sigma_data=1.0), draws[:512].float())
    torch.set_default_dtype(torch.float64)
    noise = torch.randn(4, 1488, 2, generator=generator)
    return torch.stack([denoising_error(denoiser, draws[512:], mix_levels, noise=noise)
                        for denoiser in (linear, exact, lambda x, sigma: last.ema(x.float(), sigma).detach().double())])


mixtures = {k: three_denoisers(k) for k in (2, 3, 4)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Denoising error of the exact, the linear and a small trained denoiser on mixtures of two, three and four components in the plane. At large and at small noise the three agree; in between, where it is decided which component a point belongs to, the linear one is worse by a factor, and the network follows the exact one.", "name": "fig-mixture"}, "image": {"alt": "Three log-log plots of error against noise level, for two to four components. The linear denoiser's error lies above the others between noise levels 0.2 and 2; the network's lies on the exact one's.", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(9.2, 3.2), sharey=True)
for axes, (k, lines) in zip(panels, mixtures.items()):
    styles = {"linear": (TRAIN, "-"), "exact": (THEORY, "-"), "network": (HOLDOUT, "--")}
    for line, (label, (color, style)) in zip(lines, styles.items()):
        axes.plot(mix_levels, line, style, color=color, label=label, lw=1.5)
    axes.set(title=f"{k} components", xscale="log", yscale="log", xlabel=r"noise level $\sigma$")
panels[0].set_ylabel("error per coordinate")
panels[0].legend();

# %% tags=["remove-input"]
worst = {k: float((lines[0] / lines[1]).max()) for k, lines in mixtures.items()}
extra = {k: float((lines[2] / lines[1]).max()) for k, lines in mixtures.items()}
assert min(worst.values()) > 1.3 and all((lines[0] > 0.97 * lines[1]).all() for lines in mixtures.values())
glue(worst_two=worst[2], worst_four=worst[4], network_two=extra[2], network_four=extra[4])

# %% [markdown]
# At its worst the linear denoiser errs {glue:text}`worst_two:.1f` times as much as the exact one with two components
# and {glue:text}`worst_four:.1f` times with four; the network at most {glue:text}`network_two:.2f` and
# {glue:text}`network_four:.2f` times. The linear model is exact about two moments, for any data. What a model does with
# the others is the subject of the rest of this book.
#
# ## Summary
#
# - The published measure is a difference of energies that move together; it varies with the data set as well as with
#   the model, and without kernels a model is always nearer to its own points.
# - Divergences of a fitted Gaussian do not depend on the spectrum, Wasserstein distances do. A floor, a noise level or
#   coarse steps remove the jump at $n = d$, and decide whether the ambient or the intrinsic dimension counts.
# - A penalty on the network is not a floor under the covariance: what it generates depends on where the sampler starts.
# - Linear theory holds at large noise, with known rates. Copying belongs to small noise, to $\alpha = (\ln n)/d$, and
#   to models with more parameters than points.
#
# ## Reuse this
#
# What would a sampler of $K$ steps do to data with *your* spectrum? The cell stands alone.

# %%
import torch
from nearsight import edm_sigmas
from nearsight.datasets import digits
from nearsight.gaussian import fit, sampler_map

points = digits().images.flatten(1).double()                # yours: [n, d]
spectrum = torch.linalg.eigvalsh(fit(points)[1]).clamp(min=0)

for steps in (10, 20, 40):
    run = sampler_map(spectrum, edm_sigmas(steps), solver="heun")
    generated = run.gain**2 * 80.0**2 + run.noise_variance  # variance along each eigenvector, from N(0, 80^2)
    print(steps, "steps: generated / true variance of the leading directions", (generated / spectrum)[-3:].tolist())

# %% [markdown]
# ## Exercises
#
# 1. Choose the floor of {numref}`fig-floor` by cross-validation on held-out log density, for $n = 50$. How near to the
#    best do you come?
# 2. In {numref}`fig-steps`, start the EDM grid at $\sigma_\text{max} = 10$ from $\mathcal N(0, \sigma_\text{max}^2)$.
#    Which direction suffers?
# 3. Find a symmetric law whose late-time difference falls faster than $\sigma^{-3}$.
# 4. Repeat {numref}`fig-parameters` with one noise draw per point. Where is the pole?
#
# ## Provenance

# %% tags=["remove-input"]
from IPython.display import display

display(record_sets, record16, record100, record_networks)
