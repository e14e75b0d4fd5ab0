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
# The companion of {doc}`02_linear_gaussian`: each section answers one question that a
# careful reader of that chapter asks next, with one figure. They can be read in any
# order. First what the published measure is made of, then what depends on the data,
# then what a sampler adds, and where linear theory ends. Last comes a table of
# {ref}`questions that readers and reviewers asked <questions>`.

# %% tags=["hide-input"]
import math

import torch
from matplotlib import pyplot as plt
from nearsight import (
    EmpiricalDenoiser,
    GaussianDenoiser,
    MixtureDenoiser,
    denoising_error,
    edm_sigmas,
    records,
    sample,
)
from nearsight.datasets import digits
from nearsight.gaussian import (
    expected_divergences,
    expected_kl,
    expected_preference,
    expected_squared_wasserstein,
    fit,
    log_affinity,
    one_step,
    one_step_limit,
    proportional_limits,
    sampler_map,
    squared_bures,
)
from nearsight.gaussian.sliced import projected, sliced_to_points
from nearsight.measures import mean_interval, wilson
from nearsight.networks import MLP, Preconditioned
from nearsight.noise import level_index
from nearsight.page import (
    HOLDOUT,
    NEUTRAL,
    THEORY,
    TRAIN,
    beside,
    curve,
    dots,
    glue,
    provenance,
    ratio_axis,
    use_style,
)
from nearsight.randomness import stream
from nearsight.studies import find
from nearsight.studies.gaussian_networks import untrained
from nearsight.training import LogNormal, Training, train
from scipy.optimize import minimize_scalar
from torch.distributions import MultivariateNormal, kl_divergence

# %%
use_style()
torch.set_num_threads(1)  # many small matrices: a second thread would mostly wait
torch.set_default_dtype(torch.float64)  # theorems are checked in double precision
generator = torch.Generator().manual_seed(0)  # all randomness of this page
COLORS = [TRAIN, HOLDOUT, "#009E73", "#CC79A7", "#56B4E9", "#E69F00", NEUTRAL, "black"]
IDEAL = "#009E73"  # what the ideal generator, which draws from the truth, scores

# %% tags=["remove-input"]
def off(values, theory):
    """Largest distance, beyond 3 s.e., of means of values [sets, S] from theory [S]."""
    excess = (values.mean(0) - theory).abs() - 3 * values.std(0) / len(values) ** 0.5
    return float((excess / theory.abs()).max())


# %% [markdown]
# ```{admonition} Definitions
# :class: note
#
# On this page, $X$ is a set of points.
#
# Symbols are those of the chapter, and these.
#
# - **Energies.** $U_X = \int p_X^2 - 2 \int p_X Q_1$ of a set $X$, so that
#   $\Delta = U_T - U_O$.
# - **The other limit.** $\alpha = (\ln n)/d$ is fixed while $d$ grows, so that $n$ is
#   exponential in $d$. The empirical density at a noisy training point $x$ then has two
#   parts: the term of the point's own parent, $e^{-d/2}/n$ in units of
#   $(2\pi\sigma^2)^{-d/2}$, since $x$ lies at squared distance $d\sigma^2$ from it, and
#   the sum over all others. Orders of magnitude are meant up to factors that do not
#   change the exponent.
# - **The posterior** of a noisy $x$ is
#   $p(y \mid x) \propto P(y)\, e^{-|x-y|^2/2\sigma^2}$; its mean $\mathbb E[y \mid x]$
#   is what a denoiser returns.
# ```
#
# (leaning)=
# ## Why samples lean
#
# The chapter gives a law for the preference $\nu$, {eq}`eq-leaning`. It comes from one
# observation: a sample of the fit is a weighted sum of the training points.
#
# ```{admonition} Derivation
# :class: dropdown
#
# On this page, $v$ is a sum of squared weights, $V$ a variance, and $\chi$ the length
# of a normal vector, whose square has the chi-squared law.
#
# Let $\varepsilon_1, \dots, \varepsilon_n$ be independent and standard normal,
# $\bar\varepsilon$ their mean, and
# $c_i = \frac1n + (\varepsilon_i - \bar\varepsilon)/\sqrt n$. Then $x = \sum_i c_i y_i$
# has mean $m$ and covariance $S$: it is a sample of $Q$. For white points, once the
# weights are given, $x$ and $y_i$ are jointly normal with covariance $c_i$ in each
# coordinate. Hence given $x$, with $v = \sum_k c_k^2$,
#
# $$
# |x - y_i|^2 \sim \Big(1 - \frac{c_i^2}{v}\Big)\,
# \chi^2_d\bigg(\frac{(1 - c_i/v)^2\, |x|^2}{1 - c_i^2/v}\bigg), \qquad
# |x - y'|^2 \sim \chi^2_d\big(|x|^2\big)
# $$
#
# for a training point and a fresh one $y'$, $\chi^2_d(\cdot)$ noncentral. This is
# exact. `expected_preference` takes the distances of one sample for independent (their
# correlations are of order $1/n$) and $v$ for its mean, 1. Against simulation it errs
# by less than 0.01 from $d = 16$ on, by 0.005 from $d = 64$ on.
#
# For large $d$ both squared distances are normal around $2d$. Their variances are $6d$
# for a fresh point and $6d + 4d^2/n$ for a training point, whose mean its weight moves
# by $2 d\, c_i$. The least of $n$ normal numbers of variance $V$ lies
# $\sqrt{2 V \ln n}$ below their mean, with Gumbel's law of width $\sqrt{V/(2 \ln n)}$.
# The difference of two such is logistic, and {eq}`eq-leaning` follows, with corrections
# that fall as slowly as $1/\ln n$.
# ```

# %%
multiples = torch.logspace(math.log10(0.25), 2, 13)
lean = {d: torch.tensor([expected_preference(round(float(multiple) * d), d, generator)
                         for multiple in multiples]) for d in (16, 64, 256)}


def leading_lean(n, d):
    return 1 / (1 + n ** (-2 * ((1 + 2 * d / (3 * n)) ** 0.5 - 1)))


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Preference of a fitted Gaussian for its training points against the weight $d \\ln n/(6n)$. Solid: `expected_preference`; dashes: the limit for large $d$, one curve to leading order; dotted: the ideal generator. Vertical marks: $n = d$, where nothing happens.", "name": "fig-leaning"}, "image": {"alt": "Preference rises from one half to one against d ln n over 6 n on a log axis. Solid curves of three dimensions lie just below the dashed limit, nearer to it the larger the dimension. Small vertical marks at n = d show no feature.", "width": "75%"}}
figure, axes = plt.subplots(figsize=(6.6, 3.7))
for (d, line), color in zip(lean.items(), COLORS):
    n = (multiples * d).round()
    scale = d * n.log() / (6 * n)
    axes.plot(scale, line, color=color, lw=1.5, label=f"$d = {d}$")
    axes.plot(scale, leading_lean(n, d), color=color, lw=1, ls="--")
    axes.axvline(math.log(d) / 6, color=color, lw=0.8, ymax=0.06)
axes.axhline(0.5, color=NEUTRAL, lw=0.9, ls=":")
axes.text(0.0055, 0.468, "ideal generator", color=NEUTRAL, fontsize=8.5)
axes.set(xscale="log", xlabel=r"$d\,\ln n\,/\,(6n)$", ylabel=r"preference $\nu$",
         xlim=(5e-3, 3), ylim=(0.45, 1.02))
axes.legend(loc="center left");

# %% tags=["remove-input"]
needed = {d: next(multiple for multiple in (64, 128, 256)
                  if expected_preference(multiple * d, d, generator) < 0.51)
          for d in (16, 256)}
glue(needed_16=needed[16], needed_256=needed[256])

# %% [markdown]
# Among powers of two, the first multiple of $d$ at which $\nu < 0.51$ is
# {glue:text}`needed_16:.0f` for $d = 16$ and {glue:text}`needed_256:.0f` for $d = 256$.
#
# ## What the published measure is made of
#
# $\Delta$ is the difference of two energies, $U_T$ of the training set and $U_O$ of the
# original set. Here they are, from the recorded runs, in units in which the diagonal of
# a set's overlap with itself is 1, and less that 1. The live miniature is the same
# computation at its smallest scale, 20 runs in 8 dimensions.

# %%
delta_runs = {16: find("delta-16-laptop"), 100: find("delta-100-laptop")}
delta_records = {d: records.load(run) for d, run in delta_runs.items()}
miniature = records.compute(find("delta-16-smoke"))


def energies(results):
    """U_T - 1 and U_O - 1 of the one-step model, as defined: [2, runs, counts]."""
    term = {name: results.curve(name)[1] for name in results.final}
    own = term["pairs_train"][..., 0] - 2 * term["models_train"][..., 0, 0]
    shared = term["pairs_original"][:, None, 0]
    return torch.stack([own, shared - 2 * term["models_original"][..., 0, 0]])


both = {d: energies(record.results) for d, record in delta_records.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The two energies whose difference is the published measure, less their common 1: medians and middle halves over 150 runs. They move together; in 100 dimensions both are minute beside the 1 that cancels.", "name": "fig-energies"}, "image": {"alt": "Two panels, d = 16 and d = 100, of the energies of training and original set against n/d on a symmetric log axis. The bands of the two energies move together and overlap; in 100 dimensions their size is far below one.", "width": "95%"}}
figure, panels = plt.subplots(1, 2, figsize=(8.6, 3.5))
for axes, (d, pair) in zip(panels, both.items()):
    gamma = torch.tensor(delta_runs[d].config.counts) / d
    for values, label, color in zip(pair, ("$U_T - 1$", "$U_O - 1$"), (TRAIN, HOLDOUT)):
        low, middle, high = values.quantile(torch.tensor([0.25, 0.5, 0.75]), dim=0)
        axes.plot(gamma, middle, "o-", ms=3, color=color, label=label)
        axes.fill_between(gamma, low, high, color=color, alpha=0.2, lw=0)
    threshold = float(pair.abs().quantile(0.1))
    axes.set_yscale("symlog", linthresh=threshold, linscale=1.5)
    axes.set_yticks([0.1, 0, -0.1, -1, -10] if d == 16 else [-1, -1e-4, -1e-8, -1e-12])
    axes.axvline(1, color=NEUTRAL, lw=0.6, ls=":")
    axes.set(title=f"$d = {d}$", xlabel="$n/d$")
panels[0].set_ylabel("energy less its diagonal")
panels[0].legend();

# %% tags=["remove-input"]
live = energies(miniature)
assert live.isfinite().all() and live.shape[1] == 20
at_equal = {d: pair[:, :, delta_runs[d].config.counts.index(d)].abs().median()
            for d, pair in both.items()}
assert at_equal[100] < 1e-4
ranks = both[16].median(1).values.argsort(1).argsort(1).double()
share_live = (live[0] > live[1]).double().mean(0)  # at n = d/2 and n = 2d
glue(live_half=share_live[0], live_two=share_live[1], energy_100=at_equal[100],
     energy_16=at_equal[16], together=torch.corrcoef(ranks)[0, 1])

# %% [markdown]
# At $n = d$ the energies differ from 1 by {glue:text}`energy_16:.1g` in 16 dimensions
# and by {glue:text}`energy_100:.0e` in 100. Over the range of $n$ the medians of the
# two rise and fall together (rank correlation {glue:text}`together:.2f` in 16
# dimensions). Nothing requires them to cross at $n = d$, or to cross at all.
#
# (In the miniature, $\Delta$ is positive in {glue:text}`live_half:.2f` of the runs at
# $n = d/2$ and {glue:text}`live_two:.2f` at $n = 2d$.)
#
# ### By data set
#
# Memorizing, a reviewer held (in our words), is a property of the data set and not of
# the model. For twenty training sets of each size we fit the one-step model to twenty
# noise draws each, and ask how much of the variation of $\Delta$ lies between the sets.
# $\Delta$ has heavy tails near the pole, so we rank its values first.

# %%
sets_run = find("delta-sets-laptop")
record_sets = records.load(sets_run)
beside(records.compare(record_sets, records.compute(sets_run, stages=1)))

# %%
by_set = record_sets.results.curve("delta")[1].movedim(1, 0)  # [counts, sets, noises]


def share_between(values):
    """Share of the variance of ranks of values [sets, noises] that is between sets."""
    ranks = values.flatten().argsort().argsort().double().view_as(values)
    within = ranks.var(1).mean()
    between = (ranks.mean(1).var() - within / values.shape[1]).clamp(min=0)
    return between / (between + within)


shares = torch.stack([share_between(values) for values in by_set])
chosen = torch.randint(by_set.shape[1], (400, by_set.shape[1]), generator=generator)
resampled = torch.stack([torch.stack([share_between(values[sets]) for values in by_set])
                         for sets in chosen])
share_low, share_high = resampled.quantile(torch.tensor([0.025, 0.975]), dim=0)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: share of noise draws with $\\Delta > 0$ for each of twenty training sets, sorted, at six sizes. Right: share of the variance of $\\Delta$ (of its ranks) that lies between training sets, with 95 % bootstrap intervals over sets.", "name": "fig-data-sets"}, "image": {"alt": "Left: a staircase of shares of positive Delta per data set, for six training set sizes. Right: the share of variance between data sets against n/d lies between 0.1 and 0.6, without a clear trend.", "width": "95%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4))
set_gamma = torch.tensor(sets_run.config.counts) / sets_run.config.dimension
for row, (values, ratio) in enumerate(zip(by_set, set_gamma)):
    heights = (values > 0).double().mean(1).sort().values
    left.step(range(1, 1 + len(heights)), heights, where="mid", lw=1.5,
              color=plt.get_cmap("viridis")(row / 6), label=f"$n/d = {ratio:g}$")
left.set(xlabel="training set, sorted", ylabel=r"share of draws with $\Delta > 0$",
         ylim=(-0.03, 1.03), xticks=[1, 5, 10, 15, 20])
left.legend()
dots(right, set_gamma, (shares, share_low, share_high), TRAIN, ls="-")
ratio_axis(right, (1, 2, 4, 8))
right.set(ylabel="share of variance between sets", ylim=(0, 1));

# %% tags=["remove-input"]
middle_size = sets_run.config.counts.index(24)
spread_of_sets = (by_set[middle_size] > 0).double().mean(1)
glue(share_least=shares.min(), share_most=shares.max(), share_last=shares[-1],
     share_last_low=share_low[-1], share_last_high=share_high[-1],
     set_least=spread_of_sets.min(), set_most=spread_of_sets.max())

# %% [markdown]
# The share between data sets lies between {glue:text}`share_least:.2f` (at $n = d$,
# where no $\Delta$ is positive) and {glue:text}`share_most:.2f`, without a clear trend
# beyond.
#
# At $n = 8 d$ it is {glue:text}`share_last:.2f` [{glue:text}`share_last_low:.2f`,
# {glue:text}`share_last_high:.2f`]: half or so.
#
# At $n = 1.5 d$, on the way up, $\Delta$ is positive for {glue:text}`set_least:.2f` to
# {glue:text}`set_most:.2f` of the draws, depending on the set. *What $\Delta$ reports
# belongs to the data set and to the model, both.*
#
# ### Without kernels
#
# One can compare the model with raw points without any kernel: in one direction, the
# Wasserstein distance between $n$ sorted numbers and a Gaussian is a closed formula,
# and *sliced* $W_2^2$ is its mean over random directions (`sliced_to_points`). We take
# the fitted Gaussian, its training points, as many fresh points, and the population;
# and the ideal generator, which is equally far from both sets.

# %%
def sliced(n, d=64, sets=60):
    """Sliced W2^2 of fits to n points to those, to n fresh ones and to N(0, I), and of
    N(0, I) to the n points: [sets, 4]."""
    train, fresh = torch.randn(2, sets, n, d, generator=generator)
    directions = torch.randn(64, d, generator=generator)
    directions = directions / directions.norm(dim=1, keepdim=True)
    law, white = fit(train), (torch.zeros(d), torch.eye(d))
    center, deviation = projected(*law, directions)
    population = (center**2 + (deviation - 1) ** 2).mean(1)
    own, other = (sliced_to_points(each, *law, directions) for each in (train, fresh))
    ideal = sliced_to_points(train, *white, directions)
    return torch.stack([own, other, population, ideal], 1)


sliced_ratios = torch.tensor([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
slices = torch.stack([sliced(round(64 * float(ratio))) for ratio in sliced_ratios], 2)

# %%
def expected_population(n):
    """E m^2 + E (s - 1)^2 for mean and deviation of n normal numbers, exactly."""
    ratio = (torch.lgamma(n / 2) - torch.lgamma((n - 1) / 2)).exp()
    return 2 - 2 * (2 / n).sqrt() * ratio


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Sliced Wasserstein distance of the fitted Gaussian to its training points, to as many fresh points, and to the population; and of the ideal generator to either set. $d = 64$, means with 95 % intervals over 60 sets; thin black line: exact.", "name": "fig-sliced"}, "image": {"alt": "Log-log plot of sliced squared Wasserstein distance against n/d: four parallel falling lines; the distance to training points lies below that to fresh points everywhere, that of the ideal generator in between.", "width": "75%"}}
figure, axes = plt.subplots(figsize=(6.6, 3.8))
SLICES = (("training points", TRAIN, 3), ("fresh points", HOLDOUT, 3),
          ("population", NEUTRAL, -5), ("ideal generator", IDEAL, -3))
for column, (label, color, up) in enumerate(SLICES):
    values = slices[:, column]
    dots(axes, sliced_ratios, mean_interval(values), color)
    curve(axes, sliced_ratios, values.mean(0), label, color, offset=(7, up), lw=1)
axes.plot(sliced_ratios, expected_population(64 * sliced_ratios), color=THEORY, lw=0.8)
ratio_axis(axes)
axes.set(yscale="log", ylabel="sliced $W_2^2$", xlim=(0.22, 60));

# %% tags=["remove-input"]
slice_means = slices.mean(0)
assert (slice_means[0] < slice_means[1]).all()
assert off(slices[:, 2], expected_population(64 * sliced_ratios)) < 0
glue(sliced_train=slice_means[0, 2], sliced_fresh=slice_means[1, 2],
     sliced_nearer=(slice_means[1] / slice_means[0]).min(),
     sliced_ideal=slice_means[3, 2])

# %% [markdown]
# At $n = d$ it is {glue:text}`sliced_train:.4f` to the training points and
# {glue:text}`sliced_fresh:.4f` to fresh ones, where the ideal generator has
# {glue:text}`sliced_ideal:.4f` to both; over the whole range the ratio is never less
# than {glue:text}`sliced_nearer:.1f`. *Without kernels the model is always nearer to
# its training set.*
#
# ### Quality
#
# A model that "generalizes" need not be good. Three measures of quality that are in
# use: the mean log density of samples under the truth, and the precision and recall of
# {cite:t}`kynkaanniemi2019improved`, which count samples that fall within the distance
# of a real point to its third neighbor, and conversely.

# %%
def quality(n, d=16, sets=20, drawn=500):
    """Mean ln P of samples per dimension, precision and recall of fits: [sets, 3]."""
    samples, real = torch.randn(2, sets, drawn, d, generator=generator)
    if n is not None:  # else the ideal generator
        mean, covariance = fit(torch.randn(sets, n, d, generator=generator))
        values, basis = torch.linalg.eigh(covariance)
        scaled = samples * values.clamp(min=0).sqrt()[:, None]
        samples = mean[:, None] + scaled @ basis.mT
    between = torch.cdist(samples, real)
    of_real, of_samples = (torch.cdist(points, points).kthvalue(4, dim=2).values
                           for points in (real, samples))
    precision = (between <= of_real[:, None]).any(2).double().mean(1)
    recall = (between <= of_samples[:, :, None]).any(1).double().mean(1)
    log_density = -(samples.square().mean((1, 2)) + math.log(2 * math.pi)) / 2
    return torch.stack([log_density, precision, recall], 1)

# %%
quality_ratios = torch.tensor([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0])
qualities = torch.stack([quality(round(16 * float(ratio)))
                         for ratio in quality_ratios], 2)
ideal_quality = quality(None).mean(0)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Quality of the fitted Gaussian's samples in 16 dimensions: mean log density under the truth, precision and recall; means with 95 % intervals over 20 fits. Dashes: the ideal generator. Only recall tells, and it rises without a step at $n = d$.", "name": "fig-quality"}, "image": {"alt": "Two panels against n/d. The mean log density of samples is flat at -1.42 and precision is flat near 0.78; recall rises smoothly from zero to 0.7.", "width": "90%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.2))
dots(left, quality_ratios, mean_interval(qualities[:, 0]), TRAIN)
left.axhline(-(1 + math.log(2 * math.pi)) / 2, color=THEORY, lw=1)
left.set(ylabel=r"mean $\ln P$ of samples, per dimension", ylim=(-2, -1))
for column, label, color, offset in ((1, "precision", TRAIN, (-6, 12)),
                                     (2, "recall", HOLDOUT, (8, -10))):
    values = qualities[:, column]
    dots(right, quality_ratios, mean_interval(values), color)
    curve(right, quality_ratios, values.mean(0), label, color, at=4, offset=offset,
          lw=1)
    right.axhline(ideal_quality[column], color=color, lw=0.8, ls="--")
right.set(ylim=(0, 1.02))
for axes in (left, right):
    ratio_axis(axes)

# %% tags=["remove-input"]
log_densities = qualities[:, 0]
exact_density = -(1 + math.log(2 * math.pi)) / 2
density_error = log_densities.std(0) / 20**0.5
assert ((log_densities.mean(0) - exact_density).abs() <= 3.5 * density_error).all()
precision, recall = qualities.mean(0)[1:]
assert (recall.diff() > -0.01).all() and precision.max() - precision.min() < 0.1
glue(log_density=log_densities.mean(), recall_low=recall[0], recall_at=recall[3],
     recall_high=recall[-1], recall_ideal=ideal_quality[2],
     precision_least=precision.min(), precision_most=precision.max())

# %% [markdown]
# Recall goes from {glue:text}`recall_low:.2f` over {glue:text}`recall_at:.2f` at
# $n = d$ to {glue:text}`recall_high:.2f`; the ideal generator has
# {glue:text}`recall_ideal:.2f`.
#
# Precision hardly moves, between {glue:text}`precision_least:.2f` and
# {glue:text}`precision_most:.2f`: samples confined to a subspace are as typical one by
# one.
#
# And the mean log density says nothing at all: it is $-\tfrac12 (1 + \ln 2\pi)$ per
# dimension in expectation for every $n$, since
# $\mathbb E (\operatorname{tr} S + |m - \mu|^2) = \operatorname{tr} \Sigma$, and we
# measure {glue:text}`log_density:.3f`. *A sign of $\Delta$ says nothing about quality*;
# it turns where it turns, and quality goes on rising.
#
# ## The one-step model
#
# Later versions of the paper report the divergence KL$(Q_1, \text{truth})$ of the
# one-step model, which falls monotonically from $n = d$ on. Its limit is known
# (`one_step_limit`), and shows what one is looking at.

# %%
pole_ratios = torch.tensor([1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0])
published = math.sqrt(1 - math.exp(-4))


def one_step_divergences(ratio, sigma, d=100, sets=16):
    """KL(Q_1, truth)/d of one-step models: [sets]."""
    train = torch.randn(sets, round(float(ratio) * d), d, generator=generator)
    models = MultivariateNormal(*one_step(train, sigma, generator=generator))
    return kl_divergence(models, MultivariateNormal(torch.zeros(d), torch.eye(d))) / d


poles = {sigma: torch.stack([one_step_divergences(ratio, sigma)
                             for ratio in pole_ratios], 1)
         for sigma in (0.5, published, 2.0)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Divergence of the one-step model from the truth. Lines: limits for large $n$ and $d$; dots: $d = 100$, means with 95 % intervals over 16 sets; dashes: infinitely much data. The fall from $n = d$ on is the far side of a double-descent pole.", "name": "fig-pole"}, "image": {"alt": "Log-log plot of KL per dimension against n/d beyond 1, for three noise levels; each curve diverges at n = d and falls to its own positive floor.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.8, 3.7))
pole_axis = torch.logspace(math.log10(1.02), math.log10(12), 100)
for (sigma, values), color in zip(poles.items(), COLORS):
    line = torch.tensor([one_step_limit(float(ratio), sigma) for ratio in pole_axis])
    curve(axes, pole_axis, line, rf"$\sigma^2 = {sigma**2:.3g}$", color, offset=(4, 3),
          lw=1.3)
    dots(axes, pole_ratios, mean_interval(values), color)
    axes.axhline(one_step_limit(1e12, sigma), color=color, lw=0.8, ls="--")
ratio_axis(axes, (1, 2, 4, 8))
axes.set(yscale="log", ylabel=r"KL$(Q_1, \mathrm{truth})/d$", xlim=(0.98, 12));

# %% tags=["remove-input"]
for sigma, values in poles.items():
    r, n = 1 / (1 + sigma**2), 100 * pole_ratios
    trace = r + (1 - r) * 100 / (n.round() - 102)  # of the covariance per dimension
    shift = (1 + sigma**2 * r * trace) / n  # squared error of the mean, per dimension
    limit = torch.tensor([one_step_limit(float(ratio), sigma) for ratio in pole_ratios])
    finite = limit + (trace - r - (1 - r) / (pole_ratios - 1) + shift) / 2
    assert off(values, finite) < 0.02, (sigma, values.mean(0), finite)
glue(pole_floor=one_step_limit(1e12, published),
     pole_two=one_step_limit(2.0, published), pole_two_live=poles[published].mean(0)[3])

# %% [markdown]
# At the published noise and $n = 2d$ the limit is {glue:text}`pole_two:.3f`; at
# $d = 100$ we find {glue:text}`pole_two_live:.3f`, and the exact trace and the error of
# the mean at finite $d$ explain the difference. Infinitely many data leave
# {glue:text}`pole_floor:.4f`: the model never recovers the variance. *The "monotone
# fall from $n = d$" is the far side of a double-descent pole.*
#
# ### Isotropy flatters it
#
# The base from which the model generates, $\mathcal N(m, \sigma_x^2 I)$, has the right
# shape already if the truth is isotropic: with $\sigma \to 0$ the model becomes perfect
# without having learned anything. For $\Sigma \ne I$ and infinitely many data it
# generates the covariance
# $(\operatorname{tr} \Sigma/d + \sigma^2)\, \Sigma^2 (\Sigma + \sigma^2)^{-2}$, which
# is wrong for every $\sigma$.

# %%
def covariance_of_much_data(spectrum, sigma):
    return (spectrum.mean() + sigma**2) * (spectrum / (spectrum + sigma**2)) ** 2


def kl_of_much_data(spectrum, sigma):
    """KL(Q_1, truth)/d of the one-step model for infinitely many data."""
    ratio = covariance_of_much_data(spectrum, sigma) / spectrum
    return float((ratio - 1 - ratio.log()).mean() / 2)


def power_law(exponent, d=64):
    """Eigenvalues that fall as a power of their rank, with mean 1."""
    values = torch.arange(1, d + 1, dtype=torch.float64) ** -exponent
    return values * d / values.sum()

# %% tags=["hide-input"]
shaped = power_law(1, 32)
best_noise = minimize_scalar(lambda log: kl_of_much_data(shaped, math.exp(log)),
                             bounds=(math.log(0.01), math.log(10)))
draws32 = torch.randn(40_000, 32, generator=generator) * shaped.sqrt()
_, large_sample = one_step(draws32, 0.7, generator=generator)
agreement = large_sample.diagonal() / covariance_of_much_data(shaped, 0.7)

# %% tags=["remove-input"]
assert best_noise.success and (agreement - 1).abs().max() < 0.06
glue(isotropic_small=kl_of_much_data(torch.ones(32), 0.01),
     shaped_small=kl_of_much_data(shaped, 0.01), shaped_best=best_noise.fun,
     checked=agreement.mean())

# %% [markdown]
# At $\sigma = 0.01$ the divergence per dimension is {glue:text}`isotropic_small:.1e`
# for white data, and {glue:text}`shaped_small:.2f` for a spectrum that falls as $1/k$;
# its least value over all noise levels from 0.01 to 10 is {glue:text}`shaped_best:.2f`.
# (With 40,000 points at $\sigma = 0.7$ the simulated variances are
# {glue:text}`checked:.3f` times those of the formula on average.)
#
# (faults)=
# ## A list of faults
#
# What we found in the public code, to be shown or avoided and never inherited:
#
# 1. The covariance is transposed, $\sigma_x^2 B^\top B$ for $\sigma_x^2 BB^\top$: same
#    eigenvalues, wrong directions ({numref}`fig-delta`).
# 2. Single precision can decide the sign of $\Delta$ at $d = 100$
#    ({numref}`fig-delta`).
# 3. Determinants below $e^{-25}$ count as 0, so that $H^2$ is 1 by construction
#    ({numref}`fig-hellinger`).
# 4. In the experiment with a network, originals lie in 0…255, training data in [−1, 1],
#    samples in [0, 1], and are compared on one grid; and the sets are of unequal size
#    (10 samples, 10 training points, 100 originals).
# 5. Ten steps with $\beta \le 0.02$ leave {glue:text}`kept:.0f` % of the signal
#    ($\bar\alpha =$ {glue:text}`kept:.3f`), and sampling starts from pure noise.
# 6. At most 250 images, batches of 128 and 20 epochs are {glue:text}`fewest:.0f` to
#    {glue:text}`most:.0f` steps of the optimizer.
# 7. Isotropic data flatter the model (above).
#
# The fourth can be tried out with an ideal generator, which draws from the truth: 16×16
# independent pixels $\mathcal N(0.5, 0.1^2)$, each compared by kernels of width $0.1/n$
# on a grid of 16 points, as in the code.

# %%
pixel_grid = torch.linspace(0.0, 1.0, 16)


def pixel_densities(points):
    """Kernel estimates of every pixel's density on the grid: [runs, pixels, grid]."""
    width = 0.1 / points.shape[1]
    exponents = -(points[..., None] - pixel_grid).square() / (2 * width**2)
    return exponents.exp().mean(1) / (math.sqrt(2 * math.pi) * width)


def ideal_deltas(in_original_units, in_train_units, runs=200):
    """Delta of an ideal generator: 10 samples, 10 training points, 100 originals."""
    images = 0.5 + 0.1 * torch.randn(runs, 120, 256, generator=generator)
    made, trained_on, original = images.split((10, 10, 100), 1)
    made, trained_on, original = map(pixel_densities, (
        made, in_train_units(trained_on), in_original_units(original)))
    return (((trained_on - made) ** 2) - ((original - made) ** 2)).sum((1, 2))


released = ideal_deltas(lambda y: 255 * y, lambda y: 2 * y - 1) > 0
common = ideal_deltas(lambda y: y, lambda y: y) > 0

# %% tags=["remove-input"]
kept = float(torch.prod(1 - torch.linspace(1e-4, 0.02, 11)[:10]))
optimizer_steps = [20 * math.ceil(images / 128) for images in range(10, 251)]
shares_ideal = released.double().mean(), common.double().mean()
assert shares_ideal[0] == 1 and 0.05 < shares_ideal[1] < 0.3
common_low, common_high = wilson(int(common.sum()), len(common))
glue(kept=100 * kept, ideal_released=shares_ideal[0], ideal_common=shares_ideal[1],
     common_low=common_low, common_high=common_high,
     fewest=min(optimizer_steps), most=max(optimizer_steps))

# %% [markdown]
# The ideal generator scores $\Pr(\Delta > 0) =$ {glue:text}`ideal_released:.2f` in the
# units of the release, and {glue:text}`ideal_common:.2f` [{glue:text}`common_low:.2f`,
# {glue:text}`common_high:.2f`] in common ones, because unequal sets have unequal
# kernels.
#
# ## What depends on the data, and what does not
#
# KL and the Hellinger exponent are invariant under linear maps, and so is the fit:
# hence their expectation cannot depend on $\Sigma$ at all. $W_2^2$ is not invariant.
# Spectra $k^{-\eta}$, one with a spike, and the covariance of real 8×8 digits, all from
# the same white points:

# %%
real = torch.linalg.eigvalsh(fit(digits().images.flatten(1).double())[1])
real = real[real > 1e-6 * real[-1]]  # some pixels are always black
spectra = {rf"$\eta = {exponent}$": power_law(exponent) for exponent in (0, 1, 2)}
spiked = torch.cat([torch.tensor([32.0]), torch.full((63,), 0.5)])
spectra |= {"spiked": spiked, "digits": real}

# %%
def against_truth(spectrum, ratio, sets=40):
    """KL(fit, truth)/d, exponent, W2^2/tr Sigma of fits to n points: [sets, 3]."""
    d, same = len(spectrum), torch.Generator().manual_seed(round(100 * ratio))  # points
    white = torch.randn(sets, round(ratio * d), d, generator=same)
    truth = MultivariateNormal(torch.zeros(d), spectrum.diag())
    fits = MultivariateNormal(*fit(white * spectrum.sqrt()))
    distance = squared_bures(fits.covariance_matrix, spectrum.diag().expand(sets, d, d))
    distance = distance + fits.loc.square().sum(1)
    return torch.stack([kl_divergence(fits, truth) / d, -log_affinity(fits, truth) / d,
                        distance / spectrum.sum()], 1)

# %%
spectrum_ratios = torch.tensor([1.25, 1.5, 2.0, 4.0, 8.0, 16.0])
by_spectrum = {name: torch.stack([against_truth(values, float(ratio))
                                  for ratio in spectrum_ratios], 2)
               for name, values in spectra.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gaussians of five spectra fitted to $n$ points; means with 95 % intervals over 40 sets, $d = 64$ (61 for digits). Divergence and exponent fall on one curve (dots of shrinking size, since they coincide); the Wasserstein distance as a share of the variance does not.", "name": "fig-spectra"}, "image": {"alt": "Three log-log plots against n/d. In the first two, dots of five spectra coincide on one line. In the third, Wasserstein distance over total variance, the five spectra lie apart by up to a factor of ten.", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(9.2, 3.3))
fine = torch.logspace(math.log10(1.15), math.log10(16), 60)
exact_kl = [expected_kl(round(64 * float(ratio)), 64)[0] / 64 for ratio in fine]
panels[0].plot(fine, exact_kl, color=THEORY, lw=1)
limit_laws = [proportional_limits(float(ratio)) for ratio in fine]
panels[1].plot(fine, [law.hellinger_exponent for law in limit_laws], color=THEORY, lw=1)
for row, (name, values) in enumerate(by_spectrum.items()):
    for column, axes in enumerate(panels):
        dots(axes, spectrum_ratios, mean_interval(values[:, column]), COLORS[row],
             ms=11 - 2 * row if column < 2 else 4, label=name)
    spectrum = spectra[name]
    line = [expected_squared_wasserstein(spectrum, int(n)) / spectrum.sum() + 1 / n
            for n in (len(spectrum) * fine).round()]
    panels[2].plot(fine, line, color=COLORS[row], lw=1)
PANEL_TITLES = ("KL(fit, truth) / d", r"$-\ln(1 - H^2)\,/\,d$",
                r"$W_2^2\,/\,\mathrm{tr}\,\Sigma$")
for axes, title in zip(panels, PANEL_TITLES):
    ratio_axis(axes, (1, 2, 4, 8, 16))
    axes.set(title=title, yscale="log")
panels[2].legend();

# %% tags=["remove-input"]
for name, values in by_spectrum.items():
    d = len(spectra[name])
    exact = torch.tensor([expected_kl(round(d * float(ratio)), d)[0] / d
                          for ratio in spectrum_ratios])
    error = values[:, 0].std(0) / 40**0.5
    assert ((values[:, 0].mean(0) - exact).abs() <= 3 * error).all(), name
white_data = by_spectrum[r"$\eta = 0$"][:, :2]
for name in (r"$\eta = 1$", r"$\eta = 2$", "spiked"):  # invariance is exact, fit by fit
    torch.testing.assert_close(by_spectrum[name][:, :2], white_data, rtol=1e-8,
                               atol=1e-10)
at_two = torch.stack([values.mean(0)[:, 2] for values in by_spectrum.values()])
assert at_two[:, 1].max() / at_two[:, 1].min() < 1.06
assert at_two[:, 2].max() > 4 * at_two[:, 2].min()
glue(wasserstein_most=at_two[:, 2].max(), wasserstein_least=at_two[:, 2].min(),
     exponent_most=at_two[:, 1].max(), exponent_least=at_two[:, 1].min())

# %% [markdown]
# At $n = 2d$ the exponent lies between {glue:text}`exponent_least:.4f` and
# {glue:text}`exponent_most:.4f` for all five; $W_2^2$ as a share of the variance
# between {glue:text}`wasserstein_least:.3f` and {glue:text}`wasserstein_most:.3f`. The
# lines of the third panel are `expected_squared_wasserstein` and $1/n$ for the mean.
#
# ### A floor under the variances
#
# What does a regularized fit do, $S + \rho I$? With a floor, the fit is never singular,
# and for each $n$ there is a best one.

# %%
ladder = power_law(1, 100)
floors, floor_sizes = torch.logspace(-3, 1, 81), (30, 50, 100, 200)


def with_floor(n, rho):
    return expected_divergences(ladder, n, float(rho)).kl_truth_fit


def divergences_with_floor(n, rho, sets=30):
    train = torch.randn(sets, n, 100, generator=generator) * ladder.sqrt()
    floor = rho * torch.eye(100)
    fits = MultivariateNormal(torch.zeros(100), train.mT @ train / n + floor)
    return kl_divergence(MultivariateNormal(torch.zeros(100), ladder.diag()), fits)

# %%
by_floor = {n: torch.tensor([with_floor(n, rho) for rho in floors])
            for n in floor_sizes}
best_floor = {n: minimize_scalar(lambda log, n=n: with_floor(n, math.exp(log)),
                                 bounds=(-7, 2)) for n in floor_sizes}
some_floors = floors[10::15]
floored = {n: torch.stack([divergences_with_floor(n, float(rho))
                           for rho in some_floors], 1) for n in floor_sizes}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "KL(truth, fit) of a fit with floor $\\rho$, spectrum $1/k$ in 100 dimensions. Lines: theory; dots: means with 95 % intervals over 30 fits; circles: the best floor. A floor removes the jump, and helps most where data are few.", "name": "fig-floor"}, "image": {"alt": "Log-log plot of divergence against floor for four sample sizes. Every curve has one minimum; curves for n up to 100 grow without bound toward small floors.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.8, 3.7))
for (n, line), color in zip(by_floor.items(), COLORS):
    curve(axes, floors, line, f"$n = {n}$", color, at=0, offset=(-44, 0), lw=1.3)
    dots(axes, some_floors, mean_interval(floored[n]), color)
    axes.plot(math.exp(best_floor[n].x), best_floor[n].fun, "o", ms=9, mfc="none",
              color=color)
axes.set(xscale="log", yscale="log", xlabel=r"floor $\rho$", ylabel="KL(truth, fit)",
         xlim=(3e-4, 10));

# %% tags=["remove-input"]
for n, line in by_floor.items():
    low = int(line.argmin())
    assert (line[: low + 1].diff() < 0).all() and (line[low:].diff() > 0).all()
    exact = torch.tensor([with_floor(n, rho) for rho in some_floors])
    assert off(floored[n], exact) < 0.03, n
glue(best_30=math.exp(best_floor[30].x), best_200=math.exp(best_floor[200].x),
     least_30=best_floor[30].fun, least_200=best_floor[200].fun,
     without_200=with_floor(200, 0))

# %% [markdown]
# | | best floor | KL(truth, fit) with it | without |
# | --- | --- | --- | --- |
# | $n = 30$ | {glue:text}`best_30:.2f` | {glue:text}`least_30:.1f` | ∞ |
# | $n = 200$ | {glue:text}`best_200:.2f` | {glue:text}`least_200:.1f` | {glue:text}`without_200:.1f` |
#
# *A floor removes the jump and helps most for $n < d$.*
#
# ### Intrinsic or ambient dimension?
#
# Data often lie near a surface. Let 10 of 100 directions have variance 1, and the
# others $10^{-4}$. Which dimension sets the transition?

# %%
near_flat = torch.cat([torch.ones(10), torch.full((90,), 1e-4)])
intrinsic_sizes = torch.tensor(
    [5, 7, 10, 14, 20, 30, 50, 70, 90, 110, 150, 200, 400, 1000])
by_rho = {rho: torch.tensor([expected_divergences(near_flat, int(n), rho).kl_truth_fit
                             for n in intrinsic_sizes]) for rho in (1e-6, 1e-2)}


def near_flat_fits(n, sets=40):
    """KL(truth, fit) with both floors, W2^2 without, of fits to n points: [sets, 3]."""
    train = torch.randn(sets, n, 100, generator=generator) * near_flat.sqrt()
    covariance = train.mT @ train / n
    truth = MultivariateNormal(torch.zeros(100), near_flat.diag())
    laws = [MultivariateNormal(torch.zeros(100), covariance + rho * torch.eye(100))
            for rho in by_rho]
    distance = squared_bures(covariance, near_flat.diag().expand_as(covariance))
    return torch.stack([*(kl_divergence(truth, law) for law in laws), distance], 1)


intrinsic = torch.stack([near_flat_fits(int(n)) for n in intrinsic_sizes], 2)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Ten directions of variance 1 in 100 dimensions, the rest of variance 0.0001. Lines: theory of leading order (dashed: for $n$ far beyond 10); dots: means with 95 % intervals over 40 fits. The floor decides which dimension counts; $W_2^2$ hardly feels the small directions.", "name": "fig-intrinsic"}, "image": {"alt": "Left: divergence against n for two floors; the curve for the tiny floor drops steeply near n = 100, that for the larger floor flattens after n = 10 to 20. Right: Wasserstein distance falls smoothly with n.", "width": "95%"}}
leading = torch.tensor([expected_squared_wasserstein(near_flat, int(n))
                        for n in intrinsic_sizes])
pairs = near_flat * near_flat[:, None] / (near_flat + near_flat[:, None])
many_data = (pairs.sum() - pairs.trace() + near_flat.sum()) / (2 * intrinsic_sizes)
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
for column, (rho, line) in enumerate(by_rho.items()):
    label = rf"$\rho = 10^{{{round(math.log10(rho))}}}$"
    curve(left, intrinsic_sizes, line, label, COLORS[column], at=2, offset=(6, 10),
          lw=1.2)
    dots(left, intrinsic_sizes, mean_interval(intrinsic[:, column]), COLORS[column])
left.set(xscale="log", yscale="log", xlabel="$n$", ylabel="KL(truth, fit)")
dots(right, intrinsic_sizes, mean_interval(intrinsic[:, 2]), TRAIN)
right.plot(intrinsic_sizes, leading, color=THEORY, lw=1)
right.plot(intrinsic_sizes[4:], many_data[4:], color=THEORY, lw=1, ls="--")
right.set(xscale="log", yscale="log", xlabel="$n$", ylabel="$W_2^2$, no floor")
for axes in (left, right):
    for n in (10, 100):
        axes.axvline(n, color=NEUTRAL, lw=0.6, ls=":")

# %% tags=["remove-input"]
for column, line in enumerate(by_rho.values()):
    # Ten strong directions are few for a theory of leading order: 10 % near n = 10.
    assert off(intrinsic[:, column], line) < 0.1, column
assert off(intrinsic[:, 2, 7:], many_data[7:]) < 0.02
at = intrinsic_sizes.tolist().index
tiny, large = by_rho.values()
glue(tiny_90=tiny[at(90)], tiny_200=tiny[at(200)], large_5=large[at(5)],
     large_20=large[at(20)], large_end=large[-1])

# %% [markdown]
# With the tiny floor the divergence goes from {glue:text}`tiny_90:.0f` at $n = 90$ to
# {glue:text}`tiny_200:.0f` at $n = 200$: the ambient dimension counts.
#
# With the larger one it goes from {glue:text}`large_5:.0f` at $n = 5$ to
# {glue:text}`large_20:.0f` at $n = 20$ and ends at {glue:text}`large_end:.0f`: the
# intrinsic one. *The floor decides.* And a sampler always brings one: the noise level
# at which it stops, or the coarseness of its steps.
#
# ## What a sampler adds
#
# On a Gaussian every step of every usual solver is an affine map along each
# eigenvector, and so is a whole run (`sampler_map`). No sampling is needed to know
# exactly what a sampler of $K$ steps generates.

# %%
def both_divergences(variance, projections):
    """KL(law, truth) and KL(truth, law) [2, sets] of Gaussians.

    variance [sets, d] along eigenvectors; projections [sets, 2, d] are the truth's
    precision and covariance along these.
    """
    logs = variance.log().sum(1) - ladder.log().sum()
    forward = (variance * projections[:, 0]).sum(1) - 100 - logs
    backward = (projections[:, 1] / variance).sum(1) - 100 + logs
    return torch.stack([forward, backward]) / 2


def generated_divergences(values, projections, sigmas, start, solver):
    """The same for what a sampler generates, from variance `start`."""
    run = sampler_map(values.flatten(), sigmas, solver)
    variance = (run.gain**2 * start + run.noise_variance).view_as(values)
    return both_divergences(variance, projections)

# %%
def edm(steps):
    return edm_sigmas(steps), 80.0**2


def ou(steps):
    """Uniform steps in Ornstein-Uhlenbeck time 5 to 0, from N(0, 1 + sigma^2)."""
    grid = torch.expm1(2 * torch.linspace(5, 0, steps + 1)).sqrt()
    return grid, 1 + float(grid[0]) ** 2


STEPS = [5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000]
SOLVERS = {"EDM Euler": (edm, "euler"), "EDM Heun": (edm, "heun"),
           "EDM ancestral": (edm, "ancestral"), "OU ddpm": (ou, "ddpm"),
           "OU ancestral": (ou, "ancestral"), "OU Euler (DDIM)": (ou, "euler"),
           "OU-Euler": (ou, "ou-euler"), "OU Euler-Maruyama": (ou, "ou-euler-maruyama")}
alone = ladder[None], torch.stack([1 / ladder, ladder])[None]
exact_denoiser = {name: torch.tensor([
    generated_divergences(*alone, *grid(k), solver)[0, 0] for k in STEPS])
    for name, (grid, solver) in SOLVERS.items()}

# %%
def estimated(n, sets=20):
    """Eigenvalues [sets, d] of fits to n points, and the truth along eigenvectors."""
    train = torch.randn(sets, n, 100, generator=generator) * ladder.sqrt()
    values, basis = torch.linalg.eigh(train.mT @ train / n)
    parts = basis.square().mT
    return values, torch.stack([parts @ (1 / ladder), parts @ ladder], 1)


finite_fits = {n: estimated(n) for n in (120, 200, 1600)}
by_steps = {n: torch.stack([generated_divergences(*parts, *edm(k), "heun")
                            for k in STEPS], 2) for n, parts in finite_fits.items()}
exact_fit = {n: both_divergences(*parts) for n, parts in finite_fits.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: divergence of what $K$ steps generate, exact denoiser, spectrum $1/k$ in 100 dimensions. Middle and right: denoiser estimated from $n$ points (Heun on the EDM grid; means with 95 % intervals over 20 fits; dashes: the fit itself). Coarse steps act as a floor.", "name": "fig-steps"}, "image": {"alt": "Three log-log plots of divergence against number of steps. With the exact denoiser all curves fall with their order. With estimated denoisers they level off at the fit's divergence after about 50 steps, with a dip below it before, strongest for n = 120 in KL(truth, generated).", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(10.4, 4.4))
for (name, line), color in zip(exact_denoiser.items(), COLORS):
    style = "-" if name.startswith("EDM") else "--"
    panels[0].plot(STEPS, line, style, color=color, lw=1.3, label=name)
panels[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, fontsize=8,
                 columnspacing=1, handlelength=1.6)
for side, axes in enumerate(panels[1:]):
    for (n, values), color in zip(by_steps.items(), COLORS):
        dots(axes, STEPS, mean_interval(values[side]), color, ms=3)
        curve(axes, STEPS, values[side].mean(0), f"$n = {n}$", color, at=-1,
              offset=(-40, 9), lw=1)
        axes.axhline(exact_fit[n][side].mean(), color=color, lw=0.8, ls="--")
STEP_TITLES = ("KL(generated, truth), exact denoiser", "KL(generated, truth)",
               "KL(truth, generated)")
for axes, title in zip(panels, STEP_TITLES):
    axes.set(title=title, xscale="log", yscale="log", xlabel="steps $K$")
panels[0].set_ylim(1e-4, 300);

# %% tags=["remove-input"]
step = STEPS.index
dip = exact_fit[120][0] - by_steps[120][0][:, step(15)]
assert dip.mean() > 3 * dip.std() / 20**0.5
back = by_steps[120][1].mean(0)[step(10)]
assert back < 0.7 * exact_fit[120][1].mean()
for n, values in by_steps.items():
    last, fitted = values[:, :, -1], exact_fit[n]
    assert ((last - fitted).mean(1).abs() < 0.01 * fitted.mean(1)).all()
crude = sampler_map(ladder, ou(10)[0], "ou-euler")
_, dip_low, dip_high = mean_interval(dip[:, None])
glue(dip_at=by_steps[120][0].mean(0)[step(15)], dip_fit=exact_fit[120][0].mean(),
     dip_low=dip_low[0], dip_high=dip_high[0], back_at=back,
     back_fit=exact_fit[120][1].mean(),
     heun_twenty=exact_denoiser["EDM Heun"][step(20)],
     ddpm_twenty=exact_denoiser["OU ddpm"][step(20)],
     mean_missing=(1 - crude.gain - crude.pull).abs().max())

# %% [markdown]
# With the exact denoiser 20 steps of Heun leave {glue:text}`heun_twenty:.2f`, 20 steps
# of "ddpm" on a uniform grid {glue:text}`ddpm_twenty:.1f`. With a denoiser estimated
# from 120 points coarse steps do better than the fit itself:
#
# | $n = 120$ | few steps | the fit itself |
# | --- | --- | --- |
# | KL(generated, truth), $K = 15$ | {glue:text}`dip_at:.1f` | {glue:text}`dip_fit:.1f` (difference [{glue:text}`dip_low:.1f`, {glue:text}`dip_high:.1f`]) |
# | KL(truth, generated), $K = 10$ | {glue:text}`back_at:.0f` | {glue:text}`back_fit:.0f` |
#
# *Finite data have an optimal number of steps: coarse steps act as a floor.* That much
# the later versions of the paper report, and it is right. Beyond about 50 steps it is
# the estimation that counts, not the steps. (A mean needs care, too: the two solvers
# that step in Ornstein-Uhlenbeck time misplace it, with 10 steps of OU-Euler by up to
# {glue:text}`mean_missing:.2f` of $\mu$. For all others pull and gain add up to 1.)
#
# ### Regularizing the network is not regularizing the covariance
#
# A ridge penalty $\rho \|B\|^2$ on a linear network that predicts the noise is not the
# floor of above. In the variance-preserving convention the regression has a closed
# form, and the whole flow too: from $\sigma_\text{in}$ to $\sigma_\text{out}$ the gain
# is
#
# $$
# \left[ \frac{\lambda + \rho + (1 + \rho)\, \sigma_\text{out}^2}
#              {\lambda + \rho + (1 + \rho)\, \sigma_\text{in}^2}
# \right]^{1/(2(1+\rho))} .
# $$ (eq-ridge)

# %%
def ridge_denoiser(rho):
    """x less sigma times the noise predicted for data of variance 1."""
    return lambda x, sigma: x * (1 - sigma**2 / (1 + rho + (1 + rho) * sigma**2))


def ridge_variance(rho, largest):
    """Variance of what is generated from N(0, largest^2), for data of variance 1."""
    gain = (1 / (1 + largest**2)) ** (1 / (2 * (1 + rho)))
    return (gain * largest) ** 2


def sampled_variance(rho, top):
    grid = edm_sigmas(400, sigma_max=float(top))
    return sample(ridge_denoiser(rho), top.view(1, 1), grid).square().squeeze()


RHOS, probed = (0.01, 0.05, 0.2), torch.tensor([10.0, 100.0, 1000.0])
ridge_samples = {rho: torch.stack([sampled_variance(rho, top) for top in probed])
                 for rho in RHOS}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Variance that a sampler generates for data of variance 1 when the network carries a ridge penalty $\\rho$, against the noise level at which it starts. Lines: formula; dots: 400 Heun steps; dashes: a floor $\\rho$ under the covariance instead.", "name": "fig-ridge"}, "image": {"alt": "Log-log plot of generated variance against starting noise level: three lines rising as powers, for penalties 0.01, 0.05 and 0.2; three horizontal dashed lines at 1 + rho.", "width": "75%"}}
figure, axes = plt.subplots(figsize=(6.4, 3.5))
largest_levels = torch.logspace(1, 4, 31)
for rho, color in zip(RHOS, COLORS):
    line = ridge_variance(rho, largest_levels)
    curve(axes, largest_levels, line, rf"$\rho = {rho:g}$", color,
          offset=(6, 10 if rho < 0.05 else 0), lw=1.3)
    axes.plot(probed, ridge_samples[rho], "o", color=color)
    axes.axhline(1 + rho, color=color, lw=0.8, ls="--")
axes.set(xscale="log", yscale="log", xlabel=r"$\sigma_\mathrm{max}$",
         ylabel="generated variance");

# %% tags=["remove-input"]
for rho in RHOS:
    torch.testing.assert_close(ridge_samples[rho], ridge_variance(rho, probed),
                               rtol=5e-3, atol=0)
decade = ridge_variance(0.2, torch.tensor([1e3, 1e4])).log10()
glue(ridge_slope=decade[1] - decade[0], ridge_predicted=2 * 0.2 / 1.2,
     ridge_80=ridge_variance(0.05, torch.tensor(80.0)))

# %% [markdown]
# For $\rho = 0.2$ the variance grows as $\sigma_\text{max}$ to the power
# {glue:text}`ridge_slope:.3f`; the formula says $2\rho/(1+\rho) =$
# {glue:text}`ridge_predicted:.3f`. Started at $\sigma = 80$, a penalty of 0.05 turns a
# variance of 1 into {glue:text}`ridge_80:.2f`. *Regularizing the network is not
# regularizing the covariance.*
#
# ## Where linear theory ends
#
# ### Late times
#
# At large noise every denoiser looks linear: only the mean and the covariance of the
# data matter. That is trivial; the rate at which the rest dies out is not. It falls as
# $\sigma^{-2}$ if the data are skewed and as $\sigma^{-3}$ if they are symmetric,
# beyond $\sqrt{\lambda_\text{max}}$. We compare the exact denoiser of two mixtures and
# of 16 points with the linear denoiser of the same mean and covariance, and with it a
# trained network: the one recorded for {numref}`fig-networks`, trained on these very 16
# points.

# %%
networks = find("networks-16-laptop")
record_networks = records.load(networks)
kept_step = networks.config.keep
weights = record_networks.results.stages[kept_step - 1].arrays
network = untrained(networks.config)
network.load_state_dict({name[7:]: value for name, value in weights.items()
                         if name.startswith("weight/")})
own_stream = stream(networks.config.seed, kept_step - 1)
sixteen = torch.randn(16, 16, generator=own_stream, dtype=torch.float32).double()

# %%
late = torch.logspace(-1.5, 2.5, 41)


def mixture(shares, centers):
    """A denoiser of a mixture in the plane, its linear twin, and clean draws."""
    shares, centers = torch.tensor(shares), torch.tensor(centers)
    covariances = 0.05 * torch.eye(2).expand(len(shares), 2, 2)
    mean = shares @ centers
    spread = (centers - mean).T @ (shares[:, None] * (centers - mean)) + covariances[0]
    chosen = torch.multinomial(shares, 2000, replacement=True, generator=generator)
    draws = centers[chosen] + 0.05**0.5 * torch.randn(2000, 2, generator=generator)
    exact = MixtureDenoiser(shares, centers, covariances)
    return exact, GaussianDenoiser(mean, spread), draws

# %%
def difference(denoiser, linear, points):
    """Root mean squared difference of two denoisers at noisy points, at each level."""
    noise, apart = torch.randn(points.shape, generator=generator), []
    for level in late.tolist():
        x = points + level * noise
        apart.append((denoiser(x, level) - linear(x, level)).square().mean().sqrt())
    return torch.stack(apart).detach()


many, linear16 = sixteen.repeat(60, 1), GaussianDenoiser(*fit(sixteen))
skewed = mixture([0.8, 0.2], [[0.5, 0.0], [-2.0, 0.0]])
symmetric = mixture([0.5, 0.5], [[1.0, 0.0], [-1.0, 0.0]])
late_curves = {
    "skewed mixture": difference(*skewed), "symmetric mixture": difference(*symmetric),
    "16 points": difference(EmpiricalDenoiser(sixteen), linear16, many),
    "network": difference(lambda x, sigma: network(x.float(), sigma).double(), linear16,
                          many)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How far a denoiser is from the linear one with the same mean and covariance. Beyond the data's width the difference falls as a power of $\\sigma$. The network follows the exact denoiser of its 16 points only where it was trained.", "name": "fig-late"}, "image": {"alt": "Log-log plot of root mean squared difference between denoisers against noise level, four curves with plateaus at small noise. Beyond noise level one they fall with slopes minus two and minus three; that of the network stays level at large noise.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(7.2, 3.9))
SLOPES = (", slope −2", ", slope −3", ", slope −2", "")
for (name, line), slope, color in zip(late_curves.items(), SLOPES, COLORS):
    at, offset = (28, (-150, -10)) if "symmetric" in name else (40, (6, 0))
    curve(axes, late, line, name + slope, color, at=at, offset=offset, lw=1.4)
axes.set(xscale="log", yscale="log", xlabel=r"noise level $\sigma$",
         ylabel="difference from linear", xlim=(0.02, 1e4), ylim=(1e-7, 3),
         xticks=[0.1, 1, 10, 100]);

# %% tags=["remove-input"]
from_level, to_level = level_index(late, 10**1.6), level_index(late, 10**2.1)
rates = {name: float((line[to_level] / line[from_level]).log10()) / 0.5
         for name, line in late_curves.items()}
assert abs(rates["symmetric mixture"] + 3) < 0.05
assert abs(rates["skewed mixture"] + 2) + abs(rates["16 points"] + 2) < 0.1
hundred = level_index(late, 100.0)
glue(rate_skewed=rates["skewed mixture"], rate_symmetric=rates["symmetric mixture"],
     rate_points=rates["16 points"], network_left=late_curves["network"][hundred],
     points_left=late_curves["16 points"][hundred])

# %% [markdown]
# Measured rates: {glue:text}`rate_skewed:.2f` (skewed), {glue:text}`rate_symmetric:.2f`
# (symmetric), {glue:text}`rate_points:.2f` (16 points). *Late-time Gaussianity is two
# moments; the interesting part is below.*
#
# The network at $\sigma = 100$ is {glue:text}`network_left:.3f` away from linear, where
# its 16 points would have it {glue:text}`points_left:.5f` away: it was hardly ever
# shown such noise.
#
# ### Memorizing, for real
#
# The exact score of $n$ points does memorize, and its transition is known
# {cite:p}`biroli2024dynamical`: the posterior weights collapse on one point at
# $\sigma_C = \sigma_\text{data}/\sqrt{n^{2/d} - 1}$, which depends on
# $\alpha = (\ln n)/d$ alone. We measure the participation
# $Y_2 = \mathbb E \sum_i w_i^2$, which is 1 if one point has all the weight.

# %%
CASES = [(4, 8), (4, 200), (8, 64), (16, 64), (16, 601), (100, 100)]
relative = torch.tensor([0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0])


def participation(d, n, sets=20, queries=200):
    """Y2 at the noise levels `relative` times sigma_C: [sets, S]."""
    points, found = torch.randn(sets, n, d, generator=generator), []
    own = points[:, torch.randint(n, (queries,), generator=generator)]
    noise = torch.randn(own.shape, generator=generator)
    for level in relative / math.sqrt(n ** (2 / d) - 1):
        squares = torch.cdist(own + level * noise, points).square()
        weights = (-squares / (2 * level**2)).softmax(2)
        found.append(weights.square().sum(2).mean(1))
    return torch.stack(found, 1)


collapse = {case: participation(*case) for case in CASES}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: pairs $(d, n)$ in the two scalings of the literature, $n/d$ and $\\alpha$; dashes: the collapse level $\\sigma_C$, a function of $\\alpha$ alone. Right: participation of the posterior weights, means with 95 % intervals over 20 sets. All curves meet near one height at $\\sigma_C$.", "name": "fig-collapse"}, "image": {"alt": "Left: map of alpha against n/d with rising lines for four dimensions and horizontal lines of constant collapse level. Right: participation falls from 1 to near 0 around sigma equal to sigma_C; six curves cross near 0.57.", "width": "95%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.6))
for d, color in zip((4, 8, 16, 100), COLORS):
    sizes = torch.logspace(math.log10(2), 4, 50)
    curve(left, sizes / d, sizes.log() / d, f"$d = {d}$", color, lw=1.2,
          offset=(4, -5 if d == 8 else 0))
for level in (0.3, 1.0, 3.0):
    alpha = math.log(1 + level**-2) / 2
    left.axhline(alpha, color=NEUTRAL, lw=0.7, ls="--")
    left.text(0.021, alpha * 1.06, rf"$\sigma_C = {level:g}$", color=NEUTRAL,
              fontsize=8)
for (d, n), color in zip(CASES, COLORS):
    left.plot(n / d, math.log(n) / d, "o", color=color)
    dots(right, relative, mean_interval(collapse[d, n]), color, ls="-",
         label=f"$d = {d}$, $n = {n}$")
ratio_axis(left, (0.1, 1, 10, 100, 1000))
left.set(yscale="log", ylabel=r"$\alpha = (\ln n)/d$", ylim=(0.02, 3),
         xlim=(0.018, 6000))
right.axvline(1, color=NEUTRAL, lw=0.6, ls=":")
right.set(xlabel=r"$\sigma/\sigma_C$", ylabel="participation $Y_2$", ylim=(0, 1.02))
right.legend();

# %% tags=["remove-input"]
meeting = torch.stack([values.mean(0)[3] for values in collapse.values()])
glue(meet_low=meeting.min(), meet_high=meeting.max(),
     collapse_100=1 / math.sqrt(100 ** (2 / 100) - 1))

# %% [markdown]
# At $\sigma_C$ the curves lie between {glue:text}`meet_low:.2f` and
# {glue:text}`meet_high:.2f`. At $n = d = 100$ the collapse is at $\sigma_C =$
# {glue:text}`collapse_100:.1f`, above the width of the data: in the proportional regime
# the empirical score has collapsed long before the data's own scale (the *speciation*
# of clusters is at $\sqrt{\lambda_\text{max}}$, here 1). *That $n \sim e^{\alpha d}$
# and $n \sim d$ are different questions* can be seen on the left: neither scale is
# $n = d$.
#
# ### Parameters
#
# And the number of parameters? Random ReLU features are linear in what they learn, and
# yet can memorize. Their number $f$ varies from $n/4$ to $16 n$; each of $n$ white
# points in 16 dimensions is seen under many noise draws at $\sigma = 0.3$.
# {cite:t}`george2025denoising` solve this model.

# %%
def noisy_features(points, count, projection, sigma=0.3):
    """`count` noisy copies of points: clean [count, d], ReLU features [count, f]."""
    clean = points.repeat_interleave(count // len(points), 0)
    x = clean + sigma * torch.randn(clean.shape, generator=generator)
    return clean, torch.relu(x @ projection[:-1] + projection[-1])


def random_features(n, f, d=16):
    """Training, held-out error of f features fitted to noisy copies of n points."""
    projection = torch.randn(d + 1, f, generator=generator) / math.sqrt(d)
    seen, fresh = torch.randn(2, n, d, generator=generator)
    clean, features = noisy_features(seen, 10_240, projection)
    gram = features.T @ features / len(features) + 1e-7 * torch.eye(f)
    moments = features.T @ clean / len(features)
    readout = torch.cholesky_solve(moments, torch.linalg.cholesky(gram))
    again = (noisy_features(points, 2048, projection) for points in (seen, fresh))
    return [float((values @ readout - y).square().mean()) for y, values in again]

# %%
FEATURE_RATIOS = {64: (0.25, 0.5, 1, 2, 4, 8, 16), 256: (0.25, 0.5, 1, 2, 4)}
repeats = {64: 5, 256: 3}
feature_errors = {n: torch.tensor([[random_features(n, round(ratio * n))
                                    for ratio in several] for _ in range(repeats[n])])
                  for n, several in FEATURE_RATIOS.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Random ReLU features as a denoiser at $\\sigma = 0.3$, against the number of features per training point; means with 95 % intervals over 5 repetitions (3 for 256 points). Dotted: the optimum, the ideal denoiser's error on any points.", "name": "fig-parameters"}, "image": {"alt": "Log-log plot of denoising error against parameters per point for 64 and 256 points. Held-out error falls, reaches a minimum near or just above one and rises; training error falls throughout and crosses the dotted optimum between one and two.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.8, 3.7))
for (n, several), style in zip(FEATURE_RATIOS.items(), ("-", "--")):
    for column, (label, color) in enumerate((("train", TRAIN), ("held-out", HOLDOUT))):
        values = feature_errors[n][..., column]
        dots(axes, several, mean_interval(values), color)
        curve(axes, several, values.mean(0), f"{label}, $n = {n}$", color,
              offset=(6, 0), ls=style, lw=1.2)
axes.axhline(0.09 / 1.09, color=THEORY, lw=0.9, ls=":")
axes.text(0.25, 0.09 / 1.09 * 0.85, "optimum", fontsize=8.5)
ratio_axis(axes, (0.25, 0.5, 1, 2, 4, 16), "$f/n$")
axes.set(yscale="log", ylabel="denoising error", xlim=(0.22, 40));

# %% tags=["remove-input"]
optimum = 0.09 / 1.09
crossings, lowest = {}, {}
for n, several in FEATURE_RATIOS.items():
    average = feature_errors[n].mean(0)
    assert (average[:, 0].diff() < 0).all() and average[-1, 0] < optimum
    lowest[n] = several[int(average[:, 1].argmin())]
    crossings[n] = several[int((average[:, 0] < optimum).double().argmax())]
    assert 0.5 <= lowest[n] <= 4
glue(lowest_64=lowest[64], lowest_256=lowest[256], crossing_64=crossings[64],
     crossing_256=crossings[256])

# %% [markdown]
# The held-out error is least at $f/n =$ {glue:text}`lowest_64:g` for 64 points and
# {glue:text}`lowest_256:g` for 256 (on the grid of the figure), and the training error
# is below the optimum from $f/n =$ {glue:text}`crossing_64:g` and
# {glue:text}`crossing_256:g` on, which no denoiser reaches without some memory of its
# points. The fitted Gaussian is there at every $n$ ({numref}`fig-nine`), by its memory
# of all points together.
#
# *Here memorizing starts where the features pass the points*, give or take a factor of
# two. In the linear model there are as many parameters per output as dimensions; that
# is why $n = d$ could be mistaken for a property of data.
#
# ### Mixtures
#
# Last, data that are not Gaussian: mixtures of two, three and four components in the
# plane, with the exact denoiser, the best linear one, and a small network trained on
# 512 draws here and now.

# %%
mix_levels = torch.logspace(-1.5, 1, 16)
mix_recipe = Training(
    snapshots=(1000,), batch=128, learning_rate=4e-3, levels=LogNormal(-0.7, 1.2),
    sigma_data=1.0, decay="cosine", ema=0.99)


def trained_on(draws):
    """A small network trained on clean draws, as a denoiser in double precision."""
    torch.set_default_dtype(torch.float32)
    last, = train(mix_recipe, lambda: Preconditioned(MLP(2, 64), 1.0), draws.float())
    torch.set_default_dtype(torch.float64)
    return lambda x, sigma: last.ema(x.float(), sigma).detach().double()


# %%
def three_denoisers(k):
    """Errors of linear, exact and trained denoisers of k components: [3, S]."""
    angles = 2 * math.pi * torch.arange(k) / k
    centers = torch.stack([angles.cos(), angles.sin()], 1).mul(1.5).tolist()
    exact, linear, draws = mixture([1 / k] * k, centers)
    noise = torch.randn(4, 1488, 2, generator=generator)
    return torch.stack([denoising_error(denoiser, draws[512:], mix_levels, noise=noise)
                        for denoiser in (linear, exact, trained_on(draws[:512]))])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Denoising error of the exact, the linear and a small trained denoiser on mixtures in the plane. In the middle, where components are told apart, the linear one is worse by a factor, and the network follows the exact one.", "name": "fig-mixture"}, "image": {"alt": "Three log-log plots of error against noise level, for two to four components. The linear denoiser's error lies above the others between noise levels 0.2 and 2; the network's lies on the exact one's.", "width": "100%"}}
mixtures = {k: three_denoisers(k) for k in (2, 3, 4)}
MIXTURE_STYLES = {"linear": (TRAIN, "-"), "exact": (THEORY, "-"),
                  "network": (HOLDOUT, "--")}
figure, panels = plt.subplots(1, 3, figsize=(9.2, 3.2), sharey=True)
for axes, (k, lines) in zip(panels, mixtures.items()):
    for line, (label, (color, style)) in zip(lines, MIXTURE_STYLES.items()):
        axes.plot(mix_levels, line, style, color=color, label=label, lw=1.5)
    axes.set(title=f"{k} components", xscale="log", yscale="log",
             xlabel=r"noise level $\sigma$")
panels[0].set_ylabel("error per coordinate")
panels[0].legend();

# %% tags=["remove-input"]
worst = {k: float((lines[0] / lines[1]).max()) for k, lines in mixtures.items()}
extra = {k: float((lines[2] / lines[1]).max()) for k, lines in mixtures.items()}
assert min(worst.values()) > 1.3
assert all((lines[0] > 0.97 * lines[1]).all() for lines in mixtures.values())
glue(worst_two=worst[2], worst_four=worst[4], network_two=extra[2],
     network_four=extra[4])

# %% [markdown]
# At its worst the linear denoiser errs {glue:text}`worst_two:.1f` times as much as the
# exact one with two components and {glue:text}`worst_four:.1f` times with four; the
# network at most {glue:text}`network_two:.2f` and {glue:text}`network_four:.2f` times.
# The linear model is exact about two moments, for any data. What a model does with the
# others is the subject of the rest of this book.
#
# (questions)=
# ## What readers and reviewers asked
#
# The public reviews of the paper asked good questions, put here in our words; reviewers
# are numbered in the order of the page.
#
# | question | answered |
# | --- | --- |
# | 1–4: Why only isotropic Gaussians? Mixtures? | Spectra ({numref}`fig-spectra`), intrinsic dimension ({numref}`fig-intrinsic`), late times ({numref}`fig-late`), mixtures ({numref}`fig-mixture`). KL and exponent do not depend on the spectrum at all. |
# | 1: What does it mean for large models? | Three things can be measured on any model: the number of noise draws per point ({numref}`fig-draws`), the gap at small noise ({numref}`fig-gap-exponent`), the number of steps as a floor ({numref}`fig-steps`). |
# | 1: To know the density is not yet to have a sampler | A sampler needs $\mathbb E[y \mid x]$ at every $\sigma$ and no more; here it is exact. |
# | 1: No discretization of SDE or ODE | Steps ({numref}`fig-steps`), in closed form for eight solvers. |
# | 1, 5: The definition is circular | {numref}`fig-nine` has nine other quantities; $\Delta$ is one of many, and is calibrated in {numref}`fig-delta`. |
# | 1: Memorizing is a property of the data set | Of both: by data set ({numref}`fig-data-sets`). |
# | 1, 3: What do the symbols mean? | The definitions of the chapter and of this page. |
# | 2: More experimental detail | The manifest of every recorded run, below. |
# | 2: Labels; the curve of Fig. 4 never crosses; can one estimate the transition in practice? | {numref}`fig-networks`. The convergence $q$ of models of two halves gives the distance to the truth ({eq}`eq-distance-agreement`), and needs data only. |
# | 3: Ambient or intrinsic dimension? Data sets far larger than $d$ still memorize | Intrinsic dimension ({numref}`fig-intrinsic`), collapse ({numref}`fig-collapse`), {numref}`fig-networks`. |
# | 3: Is it just mixing time? | Collapse and speciation are both in {numref}`fig-collapse`; neither is $n = d$. |
# | 4: How relevant is a linear toy? | Where it agrees with a network and where not: late times ({numref}`fig-late`), {numref}`fig-networks`, parameters ({numref}`fig-parameters`). |
# | 5: Smoothed L2 is unjustified; use Wasserstein | {numref}`fig-delta`; sliced Wasserstein ({numref}`fig-sliced`) to raw points, no kernel. |
# | 5: Late times are trivial | The rate ({numref}`fig-late`) is not. |
# | 5: A linear model cannot memorize | Not single points: {numref}`fig-nine`, {numref}`fig-networks`. |
# | 5: Fig. 4 contradicts the claim | {numref}`fig-networks`, and the {ref}`list of faults <faults>`. |
# | 5: $e^{\alpha d}$ against $n \sim d$ | Collapse ({numref}`fig-collapse`). |
# | 5: Quality; number of parameters; error bars | Quality ({numref}`fig-quality`), parameters ({numref}`fig-parameters`), all figures. |
#
# ## Summary
#
# - The published measure is a difference of energies that move together; it varies with
#   the data set as well as with the model, and without kernels a model is always nearer
#   to its own points.
# - Divergences of a fitted Gaussian do not depend on the spectrum, Wasserstein
#   distances do. A floor, a noise level or coarse steps remove the jump at $n = d$, and
#   decide whether the ambient or the intrinsic dimension counts.
# - A penalty on the network is not a floor under the covariance: what it generates
#   depends on where the sampler starts.
# - Linear theory holds at large noise, with known rates. Copying belongs to small
#   noise, to $\alpha = (\ln n)/d$, and to models with more parameters than points.
#
# ## Reuse this
#
# What would a sampler of $K$ steps do to data with *your* spectrum? The cell stands
# alone.

# %%
import torch
from nearsight import edm_sigmas
from nearsight.datasets import digits
from nearsight.gaussian import fit, sampler_map

points = digits().images.flatten(1).double()  # yours: [n, d]
spectrum = torch.linalg.eigvalsh(fit(points)[1]).clamp(min=0)

print("generated variance over the data's, along the three widest directions")
for steps in (10, 20, 40):
    run = sampler_map(spectrum, edm_sigmas(steps), solver="heun")
    generated = run.gain**2 * 80.0**2 + run.noise_variance
    shares = (generated / spectrum)[-3:].tolist()
    print(f"{steps} steps:", ", ".join(f"{share:.4f}" for share in shares))

# %% [markdown]
# ## Exercises
#
# 1. Choose the floor of {numref}`fig-floor` by cross-validation on held-out log
#    density, for $n = 50$. How near to the best do you come?
# 2. In {numref}`fig-steps`, start the EDM grid at $\sigma_\text{max} = 10$ from
#    $\mathcal N(0, \sigma_\text{max}^2)$. Which direction suffers?
# 3. Find a symmetric law whose late-time difference falls faster than $\sigma^{-3}$.
# 4. Repeat {numref}`fig-parameters` with one noise draw per point. Where is the pole?
#
# ## Provenance

# %% tags=["remove-input"]
provenance(record_sets, *delta_records.values(), record_networks)
