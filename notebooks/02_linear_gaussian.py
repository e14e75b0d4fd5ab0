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
# # What really happens at n = d
#
# There is one diffusion model that can be solved to the last digit: the linear one,
# which learns a Gaussian from $n$ samples in $d$ dimensions. A paper of 2024
# {cite:p}`halder2024solvable` says of it that it passes *sharply from memorizing to
# generalizing* when $n$ reaches $d$. This chapter solves the model and measures all
# that can be measured in it. Some quantities do jump at $n = d$, for a reason that has
# nothing to do with memory. And the measure by which the jump was reported moves it to
# almost any place one likes, and can prefer the worse of two models.
#
# All is computed while the page is built, but for four recorded runs, shown beside
# miniatures. The companion, {doc}`02b_linear_gaussian_deeper`, has what would break the
# thread, and answers the {ref}`questions of readers and reviewers <questions>`. Symbols
# are on the [notation page](../book/notation.md).

# %% tags=["hide-input"]
import math

import torch
from matplotlib import pyplot as plt
from nearsight import GaussianDenoiser, generalization_gap, records, sample
from nearsight.datasets import digits
from nearsight.gaussian import (
    expected_divergences,
    expected_errors,
    expected_kl,
    expected_preference,
    fit,
    limits,
    log_affinity,
    one_step,
    proportional_limits,
    squared_bures,
)
from nearsight.gaussian.white import PROPERTIES, fit_properties, nearness
from nearsight.measures import crossing, mean_interval, wilson
from nearsight.noise import edm_sigmas, level_index
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
    quartiles,
    ratio_axis,
    use_style,
)
from nearsight.studies import find
from nearsight.studies.gaussian_networks import untrained
from torch.distributions import MultivariateNormal, kl_divergence

# %%
use_style()
torch.set_num_threads(1)  # many small matrices: a second thread would mostly wait
torch.set_default_dtype(torch.float64)  # theorems are checked in double precision
generator = torch.Generator().manual_seed(0)  # all randomness of this chapter

# %% [markdown]
# ```{admonition} Definitions
# :class: note
# - **Noise.** $x = y + \sigma\varepsilon$, as everywhere in this book. The paper's
#   process $e^{-t} y + \sqrt{1 - e^{-2t}}\, \varepsilon$ is ours at
#   $\sigma^2 = e^{2t} - 1$, after division by $e^{-t}$.
# - **Truth** $P = \mathcal N(\mu, \Sigma)$ in $d$ dimensions; **fit**
#   $Q = \mathcal N(m, S)$, with the mean $m$ and the covariance
#   $S = \frac1n \sum_i (y_i - m)(y_i - m)^\top$ of $n$ samples.
# - **The linear model.** The denoiser of $Q$ is the Wiener filter
#   $D(x) = m + S (S + \sigma^2)^{-1} (x - m)$. It is what a linear denoiser trained on
#   the $n$ points with infinitely many noise draws converges to, and sampling with it
#   generates $Q$ (`GaussianDenoiser`).
# - **Direction.** KL(fit, truth) is $\mathrm{KL}(Q \,\|\, P)$.
#   $H^2 = 1 - \int \sqrt{PQ}$ is the squared Hellinger distance, $W_2^2$ the squared
#   Wasserstein distance.
# - **Ideal generator.** It draws from $P$ itself. It has no memory.
# ```
#
# ## Solving it
#
# How far is the fit from the truth? For Gaussian data the expected Kullback-Leibler
# divergence is known in closed form, in both directions and for every $\Sigma$:
#
# ```{prf:theorem} The price of a fitted Gaussian
# :label: thm-expected-kl
# With $\Psi = \sum_{i=1}^{d} \psi\big(\tfrac{n-i}{2}\big)$, $\psi$ the digamma
# function,
#
# $$
# \begin{aligned}
# \mathbb E\, \mathrm{KL}(Q \,\|\, P) &= \tfrac12 \Big[ d \ln \tfrac n2 - \Psi \Big], \\
# \mathbb E\, \mathrm{KL}(P \,\|\, Q)
#   &= \tfrac12 \Big[ \tfrac{(n+1)\, d}{n-d-2} - d + \Psi - d \ln \tfrac n2 \Big],
# \end{aligned}
# $$ (eq-expected-kl)
#
# the first finite for $n > d$, the second for $n > d + 2$, and both infinite for
# $n \le d$.
# ```
#
# The infinity is plain: $n$ points span at most $n - 1$ directions around their mean,
# so $S$ is singular for $n \le d$, and a law that lives on a subspace is infinitely far
# from one that does not. Does {eq}`eq-expected-kl` hold?

# %%
deviations = torch.tensor([4.0, 1.0, 1.0, 0.3, 0.1])
truth = MultivariateNormal(torch.randn(5, generator=generator), deviations.diag())
sets_of_20 = torch.randn(2000, 20, 5, generator=generator) @ truth.scale_tril.T
fits = MultivariateNormal(*fit(truth.loc + sets_of_20))
divergences = torch.stack([kl_divergence(fits, truth), kl_divergence(truth, fits)], 1)
mean, low, high = mean_interval(divergences)

# %% tags=["remove-input"]
standard_error = divergences.std(0) / 2000**0.5
assert ((mean - torch.tensor(expected_kl(20, 5))).abs() < 3 * standard_error).all()
glue(kl_forward=mean[0], kl_forward_theory=expected_kl(20, 5)[0], kl_backward=mean[1],
     kl_backward_theory=expected_kl(20, 5)[1], kl_forward_low=low[0],
     kl_forward_high=high[0], kl_backward_low=low[1], kl_backward_high=high[1])

# %% [markdown]
# | 2000 fits to 20 points in 5 dimensions | mean, 95 % interval | theorem |
# | --- | --- | --- |
# | KL(fit, truth) | {glue:text}`kl_forward:.3f` [{glue:text}`kl_forward_low:.3f`, {glue:text}`kl_forward_high:.3f`] | {glue:text}`kl_forward_theory:.3f` |
# | KL(truth, fit) | {glue:text}`kl_backward:.3f` [{glue:text}`kl_backward_low:.3f`, {glue:text}`kl_backward_high:.3f`] | {glue:text}`kl_backward_theory:.3f` |
#
# ## What jumps, and what does not
#
# If $n = d$ were the place where a model stops memorizing, one would see it from many
# sides. Here are nine. Four are distances between fit and truth. One is the
# *convergence* of two models that were fitted to disjoint sets and are given the same
# noise: $q = \frac1d \operatorname{tr} S^{1/2} S'^{1/2}$, the correlation of their
# samples. Two are about single samples: the *preference* $\nu$, the share that sits
# nearer to the training points than to as many fresh ones, and the memorized fraction
# of chapter 1. Two are denoising errors, at $\sigma = 0.3$. All are of many fits to
# white data.

# %%
ratios = torch.tensor([0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0, 8.0, 16.0])


def properties_along(d, sets):
    """Nine properties of fits to n = ratio d white points: {name: [sets, ratios]}."""
    found = []
    for n in (ratios * d).round().int().tolist():
        train, fresh = torch.randn(2, sets, n, d, generator=generator)
        found.append(fit_properties(train, fresh, sigma=0.3, generator=generator))
    return {name: torch.stack([each[name] for each in found], 1) for name in PROPERTIES}


nine = {d: properties_along(d, sets) for d, sets in ((16, 60), (64, 24), (256, 8))}

# %% tags=["hide-input"]
fine = torch.logspace(math.log10(0.25), math.log10(16), 121)
limit_laws = [proportional_limits(float(ratio)) for ratio in fine]
error_laws = [expected_errors(torch.ones(256), round(256 * float(ratio)), 0.3)
              for ratio in fine]
lines = {"KL(fit, truth)": [each.kl_fit_truth for each in limit_laws],
         "KL(truth, fit)": [each.kl_truth_fit for each in limit_laws],
         "exponent": [each.hellinger_exponent for each in limit_laws],
         "W2": [each.squared_wasserstein for each in limit_laws],
         "convergence": [each.convergence for each in limit_laws],
         "training error": [each.train for each in error_laws],
         "held-out error": [each.holdout for each in error_laws]}
leaning_ratios = ratios[[0, 1, 2, 3, 4, 6, 7, 8, 9]]
leaning = {d: [expected_preference(round(d * float(ratio)), d, generator)
               for ratio in leaning_ratios] for d in nine}
SHADES = {16: "#9ecae1", 64: "#4292c6", 256: "#08306b"}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Nine properties of a Gaussian fitted to $n$ points. Lines: theory; dots: means with 95 % intervals, for KL(truth, fit) medians with quartiles. The first row is infinite (gray) up to $n = d$, where the fitted covariance becomes invertible. Nothing else sees $n = d$.", "name": "fig-nine"}, "image": {"alt": "Nine small plots against n/d on a log axis. Two KL divergences and the Hellinger exponent are infinite up to n = d and fall beyond; six other quantities, among them Wasserstein distance, preference for training data and denoising errors, pass n = d smoothly.", "width": "100%"}}
TITLES = dict(zip(PROPERTIES, (
    "KL(fit, truth) / d", "KL(truth, fit) / d", r"$-\ln(1 - H^2)\,/\,d$", "$W_2^2/d$",
    "convergence $q$", r"preference $\nu$", "memorized fraction",
    r"training error, $\sigma = 0.3$", r"held-out error, $\sigma = 0.3$")))
figure, grid = plt.subplots(3, 3, figsize=(8.6, 6.8), sharex=True)
for axes, (name, title) in zip(grid.flat, TITLES.items()):
    start = 0
    if name in PROPERTIES[:3]:
        start = 4  # up to n = d infinite
        axes.axvspan(0.22, 1, color="#e8e8e8", lw=0)
        axes.text(0.47, 0.5, "∞", transform=axes.get_xaxis_transform(), ha="center",
                  fontsize=16, color=NEUTRAL)
    if name in lines:
        axes.plot(fine, lines[name], color=THEORY, lw=1)
    for d, properties in nine.items():
        summary = quartiles if name == "KL(truth, fit)" else mean_interval
        dots(axes, ratios[start:], summary(properties[name][:, start:]), SHADES[d],
             label=f"$d = {d}$")
    ratio_axis(axes)
    axes.set(title=title, xlim=(0.22, 18))
    if axes not in grid[2]:
        axes.set_xlabel("")
for d, line in leaning.items():
    grid[1, 2].plot(leaning_ratios, line, color=SHADES[d], lw=1)
grid[0, 1].set(yscale="log", ylim=(1e-2, 30))
grid[0, 0].set_ylim(0, 0.75), grid[0, 2].set_ylim(0, 0.25), grid[1, 0].set_ylim(0)
grid[1, 2].set_ylim(0.3, 1.02), grid[2, 0].set_ylim(-0.02, 1.02)
grid[2, 2].set_yscale("log"), grid[2, 1].set_ylim(0, 0.09)
grid[1, 2].axhline(0.5, color=NEUTRAL, lw=0.8, ls="--")
grid[1, 2].text(0.25, 0.44, "ideal generator", color=NEUTRAL, fontsize=8.5)
for axes, place in ((grid[2, 1], (0.25, 0.0845)), (grid[2, 2], (0.25, 0.0878))):
    axes.axhline(0.09 / 1.09, color=NEUTRAL, lw=0.8, ls="--")
    axes.text(*place, "optimum", color=NEUTRAL, fontsize=8.5)
grid[2, 0].legend(loc="upper right");

# %% tags=["remove-input"]
for d, properties in nine.items():  # exact theory, where the variance is finite
    for side, name in enumerate(PROPERTIES[:2]):
        values = properties[name][:, 5:]
        exact = torch.tensor([expected_kl(round(float(ratio) * d), d)[side] / d
                              for ratio in ratios[5:]])
        error = values.std(0) / len(values) ** 0.5
        assert ((values.mean(0) - exact).abs() <= 3.5 * error).all(), (d, name)
for name in ("W2", "convergence", "exponent", "training error", "held-out error"):
    values = nine[256][name]  # limits, to leading order in 1/d
    line = torch.tensor(lines[name])[torch.searchsorted(fine, ratios - 1e-6)]
    known = line.isfinite()
    off_line = (values.mean(0) - line)[known].abs()
    assert (off_line < 0.04 * line[known] + 0.01).all(), name
    assert name == "exponent" or values.mean(0).diff().sign().abs().sum() == 9
for d, line in leaning.items():
    values = nine[d]["preference"][:, [0, 1, 2, 3, 4, 6, 7, 8, 9]]
    error = (values.std(0) / len(values) ** 0.5).clamp(min=1e-3)
    assert ((values.mean(0) - torch.tensor(line)).abs() < 0.01 + 4 * error).all(), d
large = {name: values.mean(0) for name, values in nine[256].items()}
assert (large["memorized"] == 0).all() and (large["preference"].diff() < 0).all()
optimum = 0.09 / 1.09
for properties in nine.values():
    assert (properties["training error"].mean(0) < optimum).all()
just_above = proportional_limits(1 + 1e-12)
few_copies = nine[16]["memorized"][:, 0].mean()
glue(exponent_at=just_above.hellinger_exponent, forward_at=just_above.kl_fit_truth,
     preference_below=large["preference"][2], preference_at=large["preference"][3],
     preference_above=large["preference"][4], preference_far_theory=leaning[256][-1],
     w2_below=large["W2"][2], w2_at=large["W2"][3], w2_above=large["W2"][4],
     memorized_few=few_copies,
     preference_16=leaning[16][3], preference_256=leaning[256][3])

# %% [markdown]
# In the first row something happens. As $n$ falls to $d$, KL(truth, fit) grows without
# bound, while KL(fit, truth) per dimension rises to {glue:text}`forward_at:.2f` and the
# exponent of the Hellinger distance to {glue:text}`exponent_at:.3f`; then all are
# infinite. *The divergences jump because $S$ becomes invertible.*
#
# In the other two rows nothing happens:
#
# | $d = 256$ | $n = \tfrac34 d$ | $n = d$ | $n = \tfrac54 d$ |
# | --- | --- | --- | --- |
# | $W_2^2/d$ | {glue:text}`w2_below:.2f` | {glue:text}`w2_at:.2f` | {glue:text}`w2_above:.2f` |
# | preference $\nu$ | {glue:text}`preference_below:.2f` | {glue:text}`preference_at:.2f` | {glue:text}`preference_above:.2f` |
#
# **No sample looks different on the two sides of $n = d$.** None is a copy, either,
# except where four points in 16 dimensions leave hardly anything else to be near to
# (memorized fraction {glue:text}`memorized_few:.2f`). A linear denoiser cannot remember
# a point. But it remembers its points all together, and at every $n$: its training
# error lies below the optimum, where none can be on data that it does not know. (It is
# $\frac{\sigma^2}{d} \operatorname{tr} S(S+\sigma^2)^{-1}$, concave in $S$, so that
# chance can only lower it.)
#
# Nor are the nine independent of each other. For white data, at *every* $n$ and $d$,
#
# $$
# \frac{\mathbb E\, W_2^2}{d} = 2 - 2 \sqrt{\mathbb E\, q}\,.
# $$ (eq-distance-agreement)
#
# How far a model is from the truth can be read off two models, without the truth.
#
# ```{admonition} Why
# :class: dropdown
# $W_2^2 = |m|^2 + \operatorname{tr} S + d - 2 \operatorname{tr} S^{1/2}$ for
# $P = \mathcal N(0, I)$, and $\mathbb E(|m|^2 + \operatorname{tr} S) = d$, as
# $\mathbb E|y|^2 = d$. No direction is special: $\mathbb E\, S^{1/2}$ is a multiple of
# $I$. As $S$, $S'$ are independent, $\mathbb E\, q$ is the square of that multiple, and
# $\mathbb E\, W_2^2/d$ is 2 less twice the multiple. For other spectra the two sides
# differ.
# ```
#
# ## How samples lean
#
# What the samples do remember is the preference, and for it there is a law. A sample of
# $Q$ is a weighted sum of the training points, and lies near to those from which it has
# much weight. This alone gives the lines in the panel of $\nu$ (`expected_preference`;
# derived {ref}`in the companion <leaning>`), and for large $d$
#
# $$
# \begin{aligned}
# \nu &\to \frac{1}{1 + n^{2 - 2 \sqrt{1 + 2d/(3n)}}}\,, \\
# \nu - \tfrac12 &\to \frac{d \ln n}{6\, n} \quad \text{for } n \gg d .
# \end{aligned}
# $$ (eq-leaning)
#
# Nothing in it knows of $n = d$. To stop leaning takes many times $d \ln n$ samples;
# and at fixed $n/d$ the preference *rises* with the dimension, at $n = d$ from
# {glue:text}`preference_16:.2f` for $d = 16$ to {glue:text}`preference_256:.2f` for
# $d = 256$. At $n = 16 d$, $d = 256$, it still is
# {glue:text}`preference_far_theory:.3f`.
#
# ## A distance that hides its own jump
#
# The published curve is not of a divergence but of $H^2$, which is bounded by 1 and so
# cannot jump to infinity. And the published model is a *one-step* model: it is given
# one noisy copy $x_i = y_i + \sigma\varepsilon_i$ of each training point, finds
# $y \approx b + Bx$ by least squares, and generates by applying this once to
# $x \sim \mathcal N(m, \sigma_x^2 I)$. The result is a Gaussian again,
# $Q_1 = \mathcal N(b + Bm,\ \sigma_x^2 BB^\top)$ (`one_step`). The published noise is
# $\sigma^2 = 1 - e^{-4}$.

# %%
published = math.sqrt(1 - math.exp(-4))
beyond = torch.tensor([1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 16.0])


def one_step_models(ratio, d, sets):
    """ln(1 - H^2) to N(0, I) and ln |Sigma_1| of one-step models: [2, sets]."""
    train = torch.randn(sets, round(float(ratio) * d), d, generator=generator)
    model = MultivariateNormal(*one_step(train, published, generator=generator))
    white = MultivariateNormal(torch.zeros(d), torch.eye(d))
    return torch.stack([log_affinity(model, white), model.covariance_matrix.logdet()])


logarithms = {d: torch.stack([one_step_models(ratio, d, sets) for ratio in beyond], 2)
              for d, sets in ((16, 100), (100, 20))}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: squared Hellinger distance between one-step model and truth. At $d = 100$ it is 1 to the eye, below $n = d$ and far above; with small determinants cut to 0, as released, it is 1 almost everywhere (crosses). Right: its exponent. Means with 95 % intervals.", "name": "fig-hellinger"}, "image": {"alt": "Two plots against n/d. The squared Hellinger distance in 100 dimensions is flat at 1 below and above n = d and bends only beyond n = 6d; its exponent per dimension is infinite up to n = d and then falls for both dimensions.", "width": "95%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.3))
for d, color in ((16, SHADES[16]), (100, SHADES[256])):
    logs = logarithms[d][0]
    for axes, values in ((left, -torch.expm1(logs)), (right, -logs / d)):
        ratio_axis(axes)
        dots(axes, beyond, mean_interval(values), color, ls="-")
    left.plot([0.25, 1], [1, 1], color=color)
log_root, log_determinant = logarithms[100]
cut = torch.where(log_determinant < -25, 1.0, -torch.expm1(log_root)).mean(0)
left.plot(beyond, cut, "x", color=HOLDOUT)
left.text(1.15, 0.74, "$d = 16$", color="#4292c6")
left.text(4.6, 0.935, "$d = 100$", color=SHADES[256])
left.text(3.6, 1.015, "as released, $d = 100$", color=HOLDOUT, fontsize=8.5)
left.set(ylabel="$H^2$", xlim=(0.25, 18), ylim=(0.4, 1.06))
right.axvspan(0.25, 1, color="#e8e8e8", lw=0)
right.text(0.47, 0.16, "∞", fontsize=16, color=NEUTRAL)
right.set(ylabel=r"$-\ln(1 - H^2)\,/\,d$", xlim=(0.25, 18), ylim=(0, 0.32));

# %% tags=["remove-input"]
at = beyond.tolist().index
assert (torch.expm1(log_root[:, :3]).abs() > 1 - 1e-3).all()
assert log_root.mean(0).diff().min() > 0 and (cut[1:-1] > 0.999).all()
glue(h2_twice_missing=log_root[:, at(2.0)].exp().mean(),
     logdet_two=log_determinant[:, at(2.0)].mean())

# %% [markdown]
# In 100 dimensions, at $n = 2d$, $H^2$ differs from 1 by
# {glue:text}`h2_twice_missing:.0e`: on the usual axis it is a flat line through
# everything that happens at $n = d$. *$H^2$ hides the transition; its exponent shows
# it*, as the authors saw themselves: in their public reply to the reviewers they
# proposed to plot $(1 - H^2)^{1/d}$ instead. In the released code the jump is hidden
# better still. Determinants below $e^{-25}$ are set to zero there, and since
# $\ln|\Sigma_1| \approx$ {glue:text}`logdet_two:.0f` at $n = 2d$, the distance would be
# reported as exactly 1 whatever the model does.
#
# ## One noise draw per point
#
# The one-step model has a second reason to do something at $n = d$. Least squares on
# $n$ pairs in $d$ dimensions is at its worst when $n = d$: it fits the noise exactly,
# with coefficients without bound, the pole of double descent. That has nothing to do
# with diffusion models, which see a new noise draw of every point in each pass. With
# $M$ draws per point there are $nM$ pairs: the pole should move to $n = d/M$, and for
# $M = \infty$ be gone. There the distance can be computed, by the Marchenko-Pastur law
# of the eigenvalues $\lambda$ of $S$:
# $W_2^2/d = \int (\sigma_x \lambda/(\lambda + \sigma^2) - 1)^2 d\mathrm{MP}(\lambda)$.
# {cite:t}`george2025denoising` treat the number of draws for random features.

# %%
dimension, counts = 64, [2, 4, 8, 16, 32, 48, 64, 96, 128, 256, 512]


def distance_to_truth(n, draws, sets=24):
    """W2^2/d between N(0, I) and one-step models of n points: [sets]."""
    train = torch.randn(sets, n, dimension, generator=generator)
    mean, covariance = one_step(train, published, draws, generator)
    white = torch.eye(dimension).expand_as(covariance)
    return (squared_bures(covariance, white) + mean.square().sum(1)) / dimension


by_draws = {draws: torch.stack([distance_to_truth(n, draws) for n in counts
                                if n * (draws or 1) <= 4096], 1)
            for draws in (1, 2, 4, 16, None)}

# %%
def infinite_draws(n):
    """W2^2/d with infinitely many draws: proportional limit, and 1/n for the mean."""
    values, weights = map(torch.from_numpy, limits.quadrature(n / dimension))
    generated = math.sqrt(1 + published**2) * values / (values + published**2)
    unseen = max(0.0, 1 - n / dimension)  # share of directions without any width
    return 1 / n + unseen + float(weights @ (generated - 1) ** 2)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Wasserstein distance of the one-step model to the truth, $d = 64$, for $M$ noise draws per training point: medians with quartiles over 24 training sets. The peak sits where the number of pairs $nM$ equals $d$; infinitely many draws have none, and theory (black).", "name": "fig-draws"}, "image": {"alt": "Log-log plot of squared Wasserstein distance per dimension against n/d. One draw per point gives a tall peak at n = d, two at d/2, four at d/4, sixteen at d/16; infinitely many draws give a smooth falling curve that theory matches.", "width": "85%"}}
figure, axes = plt.subplots(figsize=(7.0, 3.9))
DRAW_COLORS = {1: HOLDOUT, 2: "#E69F00", 4: "#009E73", 16: "#56B4E9", None: TRAIN}
for draws, values in by_draws.items():
    gamma = torch.tensor(counts[: values.shape[1]]) / dimension
    dots(axes, gamma, quartiles(values), DRAW_COLORS[draws], ls="-" if draws else "")
    if draws:
        peak = counts.index(dimension // draws)
        place = gamma[peak], values.median(0).values[peak]
        axes.annotate(f"$M = {draws}$", place, (8, 6), textcoords="offset points",
                      color=DRAW_COLORS[draws])
smooth = torch.logspace(math.log10(2 / 64), math.log10(8), 80)
theory = torch.tensor([infinite_draws(float(dimension * each)) for each in smooth])
curve(axes, smooth, theory, r"$M = \infty$", THEORY, at=24, offset=(-20, -14), lw=1)
ratio_axis(axes, (1 / 16, 0.25, 1, 4))
axes.set(yscale="log", ylabel="$W_2^2/d$ of the one-step model");

# %% tags=["remove-input"]
medians = {draws: values.median(0).values for draws, values in by_draws.items()}
for draws in (1, 2, 4, 16):
    assert counts[int(medians[draws].argmax())] == dimension // draws
endless = by_draws[None].mean(0)
expected_endless = torch.tensor([infinite_draws(n) for n in counts])
assert (endless.diff() < 0).all()
assert ((endless - expected_endless).abs()[3:] < 0.04 * expected_endless[3:]).all()
glue(peak_one=medians[1][6], peak_none=medians[None][6], at_d_two=medians[2][6])

# %% [markdown]
# At $n = d$ the published model, with one draw, is at a median $W_2^2/d$ of
# {glue:text}`peak_one:.0f`; with two draws it is at {glue:text}`at_d_two:.2f`, its peak
# having moved to $n = d/2$; with infinitely many at {glue:text}`peak_none:.2f`. *The
# pole belongs to one noise draw per point, not to diffusion.* That makes two causes
# which happen to meet at $n = d$:
#
# 1. A divergence *jumps*, because $S$ or $BB^\top$ is singular for $n \le d$: for every
#    $M$, and for every sampler that is run to $\sigma = 0$.
# 2. Least squares has a *pole*, where $nM = d$. The published model has $M = 1$, and
#    the published fall of KL is the far side of the pole ({numref}`fig-pole`).
#
# Only the first is a property of the diffusion model. Where does it live?
#
# ## The jump lives at vanishing noise
#
# A sampler that stops at noise level $\sigma$ delivers a blurred law. Blurring both
# laws by $\sigma$ makes $S + \sigma^2$ invertible, and the divergence finite for every
# $n$. For any spectrum it is, to leading order in $1/d$, a function of one number
# $g \in (0, 1]$ that solves
# $g \big(1 + \frac1n \sum_k \frac{\lambda_k}{\sigma^2 + g\lambda_k}\big) = 1$
# (`expected_divergences`). And it can be taken apart by noise level, by Verdú's
# identity for mismatched estimation {cite:p}`verdu2010mismatched`, here with the
# signal-to-noise ratio written as $1/\sigma^2$. It holds for any two laws, Gaussian or
# not:
#
# ```{prf:theorem} A divergence is a sum of excess denoising errors (Verdú 2010)
# :label: thm-excess
# With $E$ the denoising error (mean over entries) that the best denoiser of $Q$ makes
# on data from $P$, $E^*$ that of the best denoiser of $P$, and $P_\sigma$, $Q_\sigma$
# the laws blurred by $\sigma$,
#
# $$
# \begin{aligned}
# &\mathrm{KL}(P_{\sigma_0} \,\|\, Q_{\sigma_0}) \\
# &\quad = d \int_{\sigma_0}^{\infty} \big( E(\sigma) - E^*(\sigma) \big)\,
#   \frac{d\sigma}{\sigma^3} .
# \end{aligned}
# $$ (eq-excess)
# ```
#
# What makes the divergence infinite at $\sigma_0 \to 0$ is the weight $\sigma^{-3}$: an
# error of no consequence at small noise is counted as if it mattered most.

# %%
levels, sizes = (0.03, 0.1, 0.3, 1.0), torch.arange(80, 1620, 20)
white400, few_sizes = torch.ones(400), [100, 200, 300, 400, 500, 600, 800, 1600]


def blurred_theory(n, level):
    return expected_divergences(white400, int(n), sigma=level).kl_truth_fit


def blurred_divergences(n, sets=16):
    """KL(truth, fit) at each level, of fits with known mean: [sets, levels]."""
    train = torch.randn(sets, n, 400, generator=generator)
    spectrum = torch.linalg.eigvalsh(train.mT @ train / n).clamp(min=0)
    noise = torch.tensor(levels)[:, None, None] ** 2
    ratio = (1 + noise) / (spectrum + noise)
    return ((ratio - 1 - ratio.log()).sum(-1) / 2).T


simulated = torch.stack([blurred_divergences(n) for n in few_sizes], 2)

# %%
sigma_grid = torch.logspace(-3, 1.5, 226)


def excess(ratio):
    """The theorem's integrand, per dimension and unit of ln sigma, for white data."""
    found = [expected_errors(white400, round(400 * ratio), float(level))
             for level in sigma_grid]
    return torch.tensor([each.holdout - each.optimum for each in found]) / sigma_grid**2


integrands = {ratio: excess(ratio) for ratio in (0.5, 1.0, 2.0)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: KL(truth, fit) in 400 dimensions, both laws blurred by $\\sigma$. Lines: theory; dots: means with 95 % intervals over 16 fits. At every $\\sigma > 0$ it passes $n = d$ smoothly. Right: excess error over $\\sigma^2$; the area under a curve is KL$/d$, infinite for $n \\le d$.", "name": "fig-blurred"}, "image": {"alt": "Left: four falling curves of divergence against n/d for noise levels 0.03 to 1, without a break at n = d. Right: three integrands against noise level; for n = 2d a closed bump, for n = d growing as 1/sigma and for n = d/2 as 1/sigma squared toward small noise.", "width": "100%"}}
def times_d(ratio):
    return "$n = d$" if ratio == 1 else rf"$n = {ratio:g}\,d$"


figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.5))
for row, level in enumerate(levels):
    color = plt.get_cmap("viridis")(0.15 + 0.22 * row)
    line = torch.tensor([blurred_theory(n, level) for n in sizes])
    curve(left, sizes / 400, line, rf"$\sigma = {level:g}$", color, at=0,
          offset=(4, 9), lw=1.3)
    dots(left, torch.tensor(few_sizes) / 400, mean_interval(simulated[:, row]), color)
ratio_axis(left, (0.25, 1, 4))
left.set(yscale="log", ylabel="KL(truth, fit), $d = 400$", ylim=(0.5, 1e6))
tones, spots = (HOLDOUT, NEUTRAL, TRAIN), ((95, (6, 6)), (60, (6, 6)), (85, (-46, 5)))
for (ratio, line), color, (at, offset) in zip(integrands.items(), tones, spots):
    curve(right, sigma_grid, line, times_d(ratio), color, at=at, offset=offset)
right.set(xscale="log", yscale="log", xlabel=r"noise level $\sigma$",
          ylabel=r"$(E - E^*)/\sigma^2$", ylim=(1e-4, 1e5));

# %% tags=["remove-input"]
for row, level in enumerate(levels):
    exact = torch.tensor([blurred_theory(n, level) for n in few_sizes])
    values = simulated[:, row]
    slack = 3 * values.std(0) / len(values) ** 0.5 + 4 / 400 * exact  # order 1/d
    assert ((values.mean(0) - exact).abs() <= slack).all(), level
start = level_index(sigma_grid, 0.1)
log_grid = sigma_grid.log()
area = torch.trapezoid(integrands[2.0][start:], log_grid[start:])
whole = blurred_theory(800, 0.1) / 400
assert abs(area / whole - 1) < 2e-3
above = torch.trapezoid(integrands[1.0][start:], log_grid[start:])
small_share = 1 - above / torch.trapezoid(integrands[1.0], log_grid)
glue(area=area, whole=whole, small_noise_share=100 * small_share)

# %% [markdown]
# The area under the integrand from $\sigma_0 = 0.1$ is {glue:text}`area:.3f` for
# $n = 2d$; the divergence per dimension there is {glue:text}`whole:.3f`. At $n = d$,
# {glue:text}`small_noise_share:.0f` % of the divergence down to $\sigma = 10^{-3}$
# comes from noise levels below 0.1. *The jump lives at vanishing noise only.*
#
# So an instrument that looks at each noise level by itself should see it there, and
# only there. The book has one, the relative gap $G(\sigma)$ between held-out and
# training error of chapter 1, which needs no knowledge of the truth. We take it of
# white data, of a spectrum that falls as $1/k^2$, and of real digits, whose 64 pixels
# span 61 dimensions.

# %%
sigmas, some_sigmas = torch.logspace(-3, 0.5, 71), torch.logspace(-3, 0, 7)
decaying = torch.arange(1.0, 101.0) ** -2
decaying = decaying * 100 / decaying.sum()
pixels = digits().images.flatten(1).double()
pixel_spectrum = torch.linalg.eigvalsh(fit(pixels)[1])
pixel_spectrum = pixel_spectrum[pixel_spectrum > 1e-6 * pixel_spectrum[-1]]


def expected_gap(spectrum, n, at=sigmas):
    found = [expected_errors(spectrum, n, float(level)) for level in at]
    return torch.tensor([each.holdout / each.train - 1 for each in found])


def measured_gap(train, fresh, denoiser):
    return generalization_gap(denoiser, train, fresh, some_sigmas, generator=generator,
                              draws=max(4, 400 // len(train))).gap

# %%
def gaussian_gap(spectrum, n):
    """The gap of a fit to n points with known mean, on these and on fresh ones."""
    train, fresh = torch.randn(2, n, 100, generator=generator) * spectrum.sqrt()
    denoiser = GaussianDenoiser(torch.zeros(100), train.T @ train / n)
    return measured_gap(train, fresh, denoiser)


# %%
def digit_gap(n):
    chosen = pixels[torch.randperm(len(pixels), generator=generator)[: 2 * n]]
    train, fresh = chosen.split(n)
    return measured_gap(train, fresh, GaussianDenoiser(*fit(train)))


GAMMAS = {0.5: HOLDOUT, 0.9: "#E69F00", 1.0: NEUTRAL, 1.1: "#56B4E9", 2.0: TRAIN}
spectra = {"white, $d = 100$": torch.ones(100), "spectrum $1/k^2$, $d = 100$": decaying}
gaps = {name: {ratio: torch.stack([gaussian_gap(spectrum, round(100 * ratio))
                                   for _ in range(10)]) for ratio in GAMMAS}
        for name, spectrum in spectra.items()}
digit_gaps = {ratio: torch.stack([digit_gap(round(61 * ratio) + 1) for _ in range(10)])
              for ratio in (0.5, 1.0, 2.0)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Relative gap of the linear denoiser against the noise level. Lines: theory; dots: medians with quartiles over 10 fits. Toward small noise the exponent is −2 below $n = d$, −1 at, +2 above, for both spectra. Digits follow below $n = d$ only, and not above.", "name": "fig-gap-exponent"}, "image": {"alt": "Three log-log plots of relative gap against noise level. For white data and for a decaying spectrum, toward small noise the curves for n below d rise with slope minus two, the one at n = d with slope minus one, those above fall with slope two. For digits the dots above n = d stay far above the falling line.", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(9.4, 3.7), sharey=True)
rows = [(name, gaps[name], spectra[name], 100) for name in gaps]
rows.append(("digits", digit_gaps, pixel_spectrum, 61))
for axes, (name, by_ratio_gap, spectrum, d) in zip(panels, rows):
    for ratio, values in by_ratio_gap.items():
        color, line = GAMMAS[ratio], expected_gap(spectrum, round(d * ratio))
        axes.plot(sigmas, line, color=color, lw=1.2)
        dots(axes, some_sigmas, quartiles(values), color)
    axes.set(title=name, xscale="log", yscale="log", xlabel=r"noise level $\sigma$",
             ylim=(1e-4, 1e6), xlim=(7e-4, 4))
panels[0].set_xlim(7e-3, 4)  # below, 100 dimensions are too few for the exponent at d
for row, (ratio, color) in enumerate(GAMMAS.items()):  # in the order of the curves
    panels[0].text(0.97, 0.95 - 0.07 * row, times_d(ratio), color=color, ha="right",
                   transform=panels[0].transAxes)
panels[0].set_ylabel(r"gap $G(\sigma)$");

# %% tags=["remove-input"]
def gap_slope(spectrum, n):
    return float(expected_gap(spectrum, n, (1e-4, 2e-4)).log().diff()) / math.log(2)


slopes = {name: [gap_slope(spectrum, round(100 * ratio)) for ratio in GAMMAS]
          for name, spectrum in spectra.items()}
for name, found in slopes.items():
    assert (torch.tensor(found) - torch.tensor([-2.0, -2, -1, 2, 2])).abs().max() < 0.02
    for ratio, values in gaps[name].items():
        exact = expected_gap(spectra[name], round(100 * ratio), some_sigmas)
        slack = 4 * values.std(0) / 10**0.5 + 0.03 * exact.abs()
        assert ((values.mean(0) - exact).abs() <= slack)[2:].all(), ratio
digit_medians = {ratio: values.median(0).values for ratio, values in digit_gaps.items()}
steps_apart = math.log(float(some_sigmas[2] / some_sigmas[0]))
digit_slopes = {ratio: math.log(float(each[2] / each[0])) / steps_apart
                for ratio, each in digit_medians.items()}
assert abs(digit_slopes[0.5] + 2) < 0.2 and digit_slopes[2.0] < 0
at_third = {ratio: float(expected_gap(torch.ones(100), round(100 * ratio), [0.3]))
            for ratio in GAMMAS}
glue(gap_half=at_third[0.5], gap_double=at_third[2.0], digit_below=digit_slopes[0.5],
     digit_above=digit_slopes[2.0], narrowest=decaying.min().sqrt())

# %% [markdown]
# *The gap sees $n = d$, as a change of its exponent at small noise*: for Gaussian data,
# and below the narrowest direction (for $1/k^2$, $\sigma =$
# {glue:text}`narrowest:.2f`). For digits, over the last decade shown, the exponent is
# {glue:text}`digit_below:.1f` with half as many points as dimensions, but
# {glue:text}`digit_above:.1f` with twice as many, where Gaussian theory has 2.
#
# At noise levels that matter for a sample the gap falls with $n$, and no more: at
# $\sigma = 0.3$ from {glue:text}`gap_half:.1f` for $n = d/2$ to
# {glue:text}`gap_double:.2f` for $2d$, without a break.
#
# ## The measure that was published
#
# What, then, was seen to jump? The published measure compares kernel estimates, of the
# training set $T$ and of an *original* set $O$ of $N = 10^4$ fresh points.
#
# On this page, $X$ is either set.
#
# Its estimate is $p_X = \frac1n \sum_i \mathcal N(\cdot\,; x_i, h^2 I)$
# with $h = \sigma_\text{data}\, n^{-1/d}$, and
#
# $$
# \begin{aligned}
# \Delta = {}&\Big( \int p_T^2 - 2 \int p_T\, Q_1 \Big) \\
#   {}-{} &\Big( \int p_O^2 - 2 \int p_O\, Q_1 \Big) .
# \end{aligned}
# $$ (eq-delta)
#
# The model is said to generalize when $\Pr(\Delta > 0)$ is near 1: it is then nearer to
# the original set than to its own. In 100 dimensions $n^{-1/d}$ is nearly 1, so a
# kernel is as wide as the data: at $n = d = 100$, $h =$ {glue:text}`kernel_width:.3f`
# $\sigma_\text{data}$. And in natural units the diagonal terms of $\int p_X^2$ are
# exactly 1 *whatever $n$ is*. They cancel, and what remains can be as small as
# {glue:text}`remains:.0e`.
#
# `kernel_delta` computes $\Delta$ without forming the diagonal, in double precision.
# The release forms it, in single precision; its covariance is $\sigma_x^2 B^\top B$, a
# transpose of what it should be. A long run has drawn 150 times a fresh original set
# and fresh training sets. From its record we put $\Delta$ together in ten ways, which
# differ in kind: in the **definition** (the kernel's width, the number of original
# points, their exact density), in the **arithmetic**, and in the **model**. Two models
# calibrate the measure: the fit $Q$, which is the linear model sampled properly, and
# the ideal generator.

# %%
ONE_STEP, TRANSPOSED, FIT, TRUTH = range(4)  # the laws of the record


def delta(term, law=ONE_STEP, width=0):
    """Delta [runs, counts] of a law, with kernels of one of three widths."""
    own, shared = term["pairs_train"], term["pairs_original"][:, None]
    cross = term["models_train"] - term["models_original"]
    return own[..., width] - shared[..., width] - 2 * cross[..., width, law]


def delta_against(term, original):
    """The same where `original` stands for O: its 400 points, or its exact density."""
    own, shared = term["pairs_train"][..., 0], term.get(f"pairs_{original}")
    cross = term["models_train"][:, :, 0] - term[f"models_{original}"]
    shared = 0 if shared is None else shared[:, None]  # the same for every model
    return own - shared - 2 * cross[..., ONE_STEP]

# %%
def rounded(overlap, n, d):
    """A self-overlap with its diagonal in float32, in the release's order of steps."""
    width = torch.tensor(float(n), dtype=torch.float32) ** (-1 / d)
    square = torch.tensor(float(n**2), dtype=torch.float32)
    sums = (n * (1 + overlap)).float()
    return (sums / ((2 * width**2) ** (d / 2) * square) * 2 ** (d / 2)).double()


def delta_single(config, term, law):
    """Delta as the release computes it: the diagonal that cancels is rounded."""
    own, shared = term["pairs_train"][..., 0], term["pairs_original"][:, :1]
    singly = [rounded(column, n, config.dimension)
              for column, n in zip(own.T, config.counts)]
    changed = torch.stack(singly, 1) - own
    return delta(term, law) + changed - (
        rounded(shared, config.originals, config.dimension) - shared)

# %%
PUBLISHED, RELEASE = "as defined", "transposed, float32"


def readings(config, term):
    """Whether Delta > 0, by kind and reading: {kind: {name: [runs, counts]}}."""
    definitions = {"kernel $2h^2$": delta(term, width=1),
                   "kernel $h^2/2$": delta(term, width=2),
                   "$N = 400$": delta_against(term, "few"),
                   "exact $O$": delta_against(term, "exact")}
    arithmetic = {"float32": delta_single(config, term, ONE_STEP),
                  RELEASE: delta_single(config, term, TRANSPOSED)}
    models = {"transposed": delta(term, TRANSPOSED), "fit $Q$": delta(term, FIT),
              "ideal": delta(term, TRUTH)}
    kinds = {"definition": definitions, "arithmetic": arithmetic, "model": models}
    return {kind: {name: values > 0 for name, values in {
        PUBLISHED: delta(term), **several}.items()} for kind, several in kinds.items()}


# %% [markdown]
# First a miniature: one of the 150 runs, computed anew.

# %%
delta_runs = {16: find("delta-16-laptop"), 100: find("delta-100-laptop")}
delta_records = {d: records.load(run) for d, run in delta_runs.items()}
beside(records.compare(delta_records[16], records.compute(delta_runs[16], stages=1)))

# %%
terms = {d: {name: record.results.curve(name)[1] for name in record.results.final}
         for d, record in delta_records.items()}
positive = {d: readings(run.config, terms[d]) for d, run in delta_runs.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Probability that $\\Delta$ is positive (150 runs, 95 % Wilson intervals), by what is changed: definition, arithmetic, model. The ideal generator nearly always passes, as it should. In 100 dimensions the fit $Q$, the better model, passes less often than the one-step model.", "name": "fig-delta"}, "image": {"alt": "Six panels, three kinds of change by two dimensions, of the probability of a positive Delta against n/d. Curves for kernel widths, original sets, float32, the transposed covariance and the fit rise at different places between n/d of one half and more than six; that of the ideal generator is near one throughout.", "width": "100%"}}
PALETTE = {PUBLISHED: "black", "kernel $2h^2$": "#CC79A7", "kernel $h^2/2$": "#999999",
           "$N = 400$": TRAIN, "exact $O$": "#009E73", "float32": "#56B4E9",
           RELEASE: HOLDOUT, "transposed": "#E69F00", "fit $Q$": TRAIN,
           "ideal": "#009E73"}
figure, grid = plt.subplots(3, 2, figsize=(9.0, 7.6), sharey=True, sharex="col")
for column, (d, run) in zip(grid.T, delta_runs.items()):
    gamma = torch.tensor(run.config.counts) / d
    for axes, (kind, several) in zip(column, positive[d].items()):
        for name, outcomes in several.items():
            wins = outcomes.sum(0)
            bounds = torch.tensor([wilson(int(win), len(outcomes)) for win in wins]).T
            dots(axes, gamma, (wins / len(outcomes), *bounds), PALETTE[name], ls="-",
                 ms=3, label=name)
        axes.axvline(1, color=NEUTRAL, lw=0.6, ls=":")
        axes.set(title=f"{kind}, $d = {d}$", ylim=(-0.03, 1.05))
    column[-1].set_xlabel("$n/d$")
for row in grid:
    row[0].set_ylabel(r"$\Pr(\Delta > 0)$")
    row[0].legend(loc="lower right");

# %%
def crossings_in(d):
    """Where the probability first reaches one half: {(kind, name): Crossing}."""
    gamma = torch.tensor(delta_runs[d].config.counts) / d
    return {(kind, name): crossing(gamma, outcomes, generator)
            for kind, several in positive[d].items()
            for name, outcomes in several.items()
            if kind == "definition" or name != PUBLISHED}


crossings = {d: crossings_in(d) for d in positive}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The place of the transition: where $\\Pr(\\Delta > 0)$ first reaches one half, with 95 % bootstrap intervals over runs. At the left edge: there or below. Open: falls below one half again. Arrow: not reached. Colors: definition (blue), arithmetic (gray), model (orange).", "name": "fig-crossings"}, "image": {"alt": "Two panels of marks with intervals, a row for each reading of the measure. In 16 dimensions the marks spread from one half to about three and a half times d; in 100 dimensions from one half to four times d, and three readings never reach one half. The ideal generator is at the left edge in both.", "width": "95%"}}
figure, panels = plt.subplots(1, 2, figsize=(9.0, 3.6), sharey=True)
KIND_COLORS = {"definition": TRAIN, "arithmetic": NEUTRAL, "model": HOLDOUT}
for axes, (d, found) in zip(panels, crossings.items()):
    edge = delta_runs[d].config.counts[-1] / d
    for row, ((kind, _), each) in enumerate(reversed(found.items())):
        color = KIND_COLORS[kind]
        ends = [min(end, edge) for end in (each.low, each.high)]
        axes.plot(ends, [row, row], color=color, lw=1.5)
        if each.place < math.inf:
            axes.plot(each.place, row, "o", color=color, ms=5,
                      mfc=color if each.stays else "white")
        if each.high == math.inf:
            axes.plot(1.08 * edge, row, ">", color=color)
    ratio_axis(axes, (0.5, 1, 2, 4, 8))
    axes.set(title=f"$d = {d}$", xlim=(0.45, 9.5), yticks=range(len(found)),
             yticklabels=[name for _, name in reversed(found)])

# %% tags=["remove-input"]
def share(d, kind, name):
    return positive[d][kind][name].double().mean(0)


at_100 = delta_runs[100].config.counts.index
d16, d100 = crossings[16], crossings[100]
half_kernel = d16["definition", "kernel $h^2/2$"]
by_arithmetic = positive[16]["arithmetic"]
same_signs = (by_arithmetic["float32"] == by_arithmetic[PUBLISHED]).double().mean()
assert same_signs > 0.98  # at d = 16 rounding changes nothing
as_defined = {d: found["definition", PUBLISHED] for d, found in crossings.items()}
assert d100["definition", "$N = 400$"].place == math.inf
for d, order in ((16, 1), (100, -1)):  # which of the two models passes more often
    more = share(d, "model", "fit $Q$") - share(d, "model", PUBLISHED)
    at = delta_runs[d].config.counts.index(24 if d == 16 else 200)
    assert more[at] > 0.2 if order > 0 else (more[at:] < 0).all()
single = d100["arithmetic", "float32"]
white_train, white_fresh = torch.randn(2, 12, 600, 100, generator=generator)


def distance_and_lean(mean, covariance):
    """W2^2/d to the truth, and the preference of samples, of models of white_train."""
    white = torch.eye(100).expand_as(covariance)
    distance = (squared_bures(covariance, white) + mean.square().sum(1)).mean() / 100
    root = torch.linalg.cholesky(covariance)
    samples = mean[:, None] + torch.randn(12, 400, 100, generator=generator) @ root.mT
    return float(distance), float(nearness(samples, white_train, white_fresh)
                                  ["preference"].mean())


fit_distance, fit_lean = distance_and_lean(*fit(white_train))
one_distance, one_lean = distance_and_lean(
    *one_step(white_train, published, 1, generator))
assert fit_distance < 0.6 * one_distance and abs(fit_lean - one_lean) < 0.06
cancelling = terms[100]["pairs_train"][..., 0] - 2 * (
    terms[100]["models_train"][..., 0, ONE_STEP])
far_intervals = {}
for key, name in (("one_far", PUBLISHED), ("fit_far", "fit $Q$")):
    passed = positive[100]["model"][name][:, at_100(600)]
    low, high = wilson(int(passed.sum()), len(passed))
    far_intervals |= {f"{key}_low": low, f"{key}_high": high}
glue(half_exact=d16["definition", "exact $O$"].place, half_narrow=half_kernel.place,
     narrow_low=half_kernel.low, narrow_high=half_kernel.high,
     half_correct=as_defined[16].place, correct_low=as_defined[16].low,
     correct_high=as_defined[16].high, half_correct_100=as_defined[100].place,
     correct_low_100=as_defined[100].low, correct_high_100=as_defined[100].high,
     half_single=single.place,
     single_low=single.low, single_high=single.high,
     ideal_least=min(share(d, "model", "ideal").min() for d in positive),
     fit_far=share(100, "model", "fit $Q$")[at_100(600)],
     one_far=share(100, "model", PUBLISHED)[at_100(600)],
     **far_intervals,
     fit_distance=fit_distance, one_distance=one_distance,
     kernel_width=100 ** (-1 / 100),
     remains=cancelling.abs().median(0).values.min(), one_lean=one_lean,
     fit_lean=fit_lean)

# %% [markdown]
# **Definition and arithmetic.** For one and the same model the probability first
# reaches one half at
#
# | | $n/d$, 95 % interval |
# | --- | --- |
# | $d = 16$, as defined | {glue:text}`half_correct:.2f` [{glue:text}`correct_low:.2f`, {glue:text}`correct_high:.2f`] |
# | $d = 16$, kernel's variance halved | {glue:text}`half_narrow:.2f` [{glue:text}`narrow_low:.2f`, {glue:text}`narrow_high:.2f`] |
# | $d = 16$, exact $O$ | {glue:text}`half_exact:.1f` or below |
# | $d = 100$, as defined | {glue:text}`half_correct_100:.2f` [{glue:text}`correct_low_100:.2f`, {glue:text}`correct_high_100:.2f`] |
# | $d = 100$, single precision | {glue:text}`half_single:.2f` [{glue:text}`single_low:.2f`, {glue:text}`single_high:.2f`] |
#
# In 16 dimensions single precision changes nothing. In 100, what decides is the
# rounding of the diagonal that cancels, a fixed function of $n$. We emulate the
# release's arithmetic and have no record of its runs: that rounding and the transpose
# shaped the published curves is likely, not proved.
#
# **Model.** The ideal generator passes (with probability {glue:text}`ideal_least:.3f`
# or more at every $n$), as it should. But the measure does not order models. In 16
# dimensions, at $n = 1.5 d$, $Q$ passes more often than the one-step model; in 100
# dimensions less often, from $2d$ on. At $n = 6d$ it passes with probability
# {glue:text}`fit_far:.2f`, the one-step model with {glue:text}`one_far:.2f`. Yet $Q$ is
# far better, and both lean alike:
#
# | $n = 6 d = 600$ | one-step model | fit $Q$ | ideal |
# | --- | --- | --- | --- |
# | $W_2^2/d$ to the truth | {glue:text}`one_distance:.3f` | {glue:text}`fit_distance:.3f` | 0 |
# | preference $\nu$ | {glue:text}`one_lean:.2f` | {glue:text}`fit_lean:.2f` | ½ |
#
# **A sign of a difference of small numbers carries the published claim**, and it can
# prefer the worse of two models. {numref}`fig-energies` in the companion shows what it
# is the difference of.
#
# ## And a network?
#
# A linear denoiser cannot copy. A network can. Does *it* do something at $n = d$? The
# published experiment has faults ({ref}`4 to 6 <faults>`). We redo it small and clean:
# a multilayer perceptron trained on $n$ white points as a denoiser, in 3000 steps, and
# sampled with 18 Heun steps, beside the linear and the empirical denoiser of the same
# points, and the ideal generator. All sets have $n$ points; five of ten ratios $n/d$
# are close to 1. The miniature trains the first network again.

# %%
network_runs = {16: find("networks-16-laptop"), 64: find("networks-64-laptop")}
network_records = {d: records.load(run) for d, run in network_runs.items()}
again = records.compute(network_runs[16], stages=1)
beside(records.compare(network_records[16], again))

# %%
def by_ratio(d, name):
    """Recorded values as [repetitions, ratios, models, ...]."""
    values = network_records[d].results.curve(name)[1]
    return values.unflatten(0, (-1, len(network_runs[d].config.ratios)))


COLUMNS = {"memorized": "memorized fraction", "preference": r"preference $\nu$",
           "wasserstein": "$W_2^2/d$", "delta": r"$\Pr(\Delta > 0)$, equal sets"}
compared = {d: {name: by_ratio(d, name) for name in COLUMNS} for d in network_runs}
for each in compared.values():
    each["delta"] = (each["delta"] > 0).double().mean(-1)

# %%
def untrained_distance(config, draws=4000):
    """W2^2/d of what a network generates that has seen no data at all."""
    d = config.event[0]
    latents = 80 * torch.randn(draws, d, generator=generator).float()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        made = sample(untrained(config).float(), latents, edm_sigmas(18)).double()
    mean, covariance = fit(made)
    return (squared_bures(covariance, torch.eye(d)) + float(mean.square().sum())) / d


untaught = untrained_distance(network_runs[64].config)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A network, the linear and the empirical denoiser of the same $n$ white points, and the ideal generator; means with 95 % intervals over ten repetitions (five for $d = 64$). In 16 dimensions the network copies at $n = d$ and beyond, in 64 hardly at all.", "name": "fig-networks"}, "image": {"alt": "Two rows of four plots, for 16 and 64 dimensions, against n/d from one half to 32: memorized fraction, preference, Wasserstein distance and probability of positive Delta, for network, linear and empirical denoiser and the ideal generator. The network's curves pass n = d without a feature.", "width": "100%"}}
figure, grid = plt.subplots(2, 4, figsize=(9.8, 4.9), sharex=True)
MODELS = {"network": HOLDOUT, "linear": TRAIN, "empirical": NEUTRAL, "ideal": "#009E73"}
network_ratios = network_runs[16].config.ratios
for line, (d, columns) in zip(grid, compared.items()):
    for axes, (name, values) in zip(line, columns.items()):
        for model, (label, color) in enumerate(MODELS.items()):
            summary = mean_interval(values[..., model])
            dots(axes, network_ratios, summary, color, ls="-", ms=3, label=label)
        ratio_axis(axes, (0.5, 1, 4, 32))
        axes.set_ylim(-0.03, 1.05)
        if d == 16:
            axes.set(title=COLUMNS[name], xlabel="")
    line[0].set_ylabel(f"$d = {d}$")
grid[0, 2].legend(loc="upper right");

# %% tags=["remove-input"]
MODEL_NAMES = list(MODELS)


def recorded(d, name, model, ratio):
    values = compared[d][name][:, network_ratios.index(ratio), MODEL_NAMES.index(model)]
    return [float(each) for each in mean_interval(values[:, None])]


copying = compared[16]["memorized"].mean(0)
assert (copying[:, 0].diff() < 0).all() and (copying[:, 2] == 1).all()
assert copying[3:, 1].max() < 5e-4 and copying[:, 3].max() < 0.005
nearer = compared[64]["wasserstein"].mean(0).diff(dim=1)[:, 0] > 0  # than the linear
assert [ratio for ratio, is_so in zip(network_ratios, nearer) if is_so] == [
    ratio for ratio in network_ratios if ratio < 1.4]
leaning16 = recorded(16, "preference", "network", 32)
assert leaning16[1] > recorded(16, "preference", "linear", 32)[2] > 0.5
glue(copies_below=recorded(16, "memorized", "network", 0.875)[0],
     copies_at=recorded(16, "memorized", "network", 1)[0],
     copies_above=recorded(16, "memorized", "network", 1.1875)[0],
     copies_eight=recorded(16, "memorized", "network", 8)[0], lean_far=leaning16[0],
     lean_low=leaning16[1], lean_high=leaning16[2],
     lean_linear=recorded(16, "preference", "linear", 32)[0],
     copies_at_64=recorded(64, "memorized", "network", 1)[0],
     lean_at_64=recorded(64, "preference", "network", 1)[0],
     network_w2=recorded(64, "wasserstein", "network", 0.5)[0],
     linear_w2=recorded(64, "wasserstein", "linear", 0.5)[0], untaught=untaught)

# %% [markdown]
# In 16 dimensions the share of copies among the network's samples falls without a
# feature through $n = d$: {glue:text}`copies_below:.2f` at $\tfrac78 d$,
# {glue:text}`copies_at:.2f` at $d$, {glue:text}`copies_above:.2f` at
# $\tfrac{19}{16} d$, {glue:text}`copies_eight:.2f` at $8d$. The linear model's is below
# 0.001 from $d$ on. *A network copies at $n = d$ and well beyond, where the linear
# model cannot copy at all.*
#
# At $n = 32 d$, without any copies, the network's samples still lean, with $\nu =$
# {glue:text}`lean_far:.2f` [{glue:text}`lean_low:.2f`, {glue:text}`lean_high:.2f`],
# more than the linear model's ({glue:text}`lean_linear:.2f`).
#
# In 64 dimensions, with the same network and training, {glue:text}`copies_at_64:.2f`
# are copies at $n = d$, though $\nu$ is {glue:text}`lean_at_64:.2f`. Copying is a
# property of data, network and training together. And up to $n = \tfrac{11}{8} d$ (no
# longer from $2d$ on) the network comes *nearer to the truth* than the linear model, by
# the same loss:
#
# | $d = 64$, $n = d/2$ | network | linear | untrained network |
# | --- | --- | --- | --- |
# | $W_2^2/d$ | {glue:text}`network_w2:.2f` | {glue:text}`linear_w2:.2f` | {glue:text}`untaught:.3f` |
#
# The last column says why. Preconditioned for variance 1, the network *begins* as the
# denoiser of $\mathcal N(0, I)$, here the truth, and 3000 steps unlearn only a part of
# that. A linear model is confined to the span of its points; a network has a prior.
#
# ## Summary
#
# - A fitted Gaussian is infinitely far from the truth, in KL, up to $n = d$, because
#   its covariance is singular; the price beyond is known exactly, by
#   {eq}`eq-expected-kl`.
# - Wasserstein distance, the agreement of two models, the nearness of samples to
#   training data and all denoising errors pass $n = d$ without a trace. Samples lean
#   toward the training points by a law, {eq}`eq-leaning`, of $n/d$ and $\ln n$.
# - The jump lives at vanishing noise: by {eq}`eq-excess` a divergence is excess
#   denoising error summed with weight $\sigma^{-3}$. The published model has a pole at
#   $n = d$ besides, due to one noise draw per point.
# - The published measure puts the transition between $n/d =$
#   {glue:text}`half_exact:.1f` or below and {glue:text}`half_narrow:.1f`, or nowhere up
#   to $6d$, by kernel, sets and floating-point format; in 100 dimensions it prefers the
#   worse of two models.
# - A network can copy where a linear model cannot; at $n = d$ nothing happens to it.
#
# {cite:t}`merger2025generalization` treat the linear model in depth and find the same
# $d/n$ law beyond $n = d$; {cite:t}`hurault2025score` take the Gaussian case through
# training and discretization, and {cite:t}`bonnaire2025diffusion` ask when in training
# memorizing begins.
#
# ## Reuse this
#
# How far is a Gaussian model of your data from the truth? Two random halves give the
# scale. The cell stands alone.

# %%
import torch
from nearsight.datasets import digits
from nearsight.gaussian import expected_kl, fit, squared_bures

points = digits().images.flatten(1).double()  # yours: [n, d]
n, d = points.shape
order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
first, second = (fit(points[half]) for half in order.tensor_split(2))
shift = float((first[0] - second[0]).square().sum())
apart = (squared_bures(first[1], second[1]) + shift) / float(points.var(0).sum())
forward, backward = expected_kl(n, d)

print(f"W2^2 between fits to two random halves: {apart:.4f} of the variance")
print(f"expected KL(fit, truth): {forward:.4g} nats of {n} points in {d} dimensions")
print(f"expected KL(truth, fit): {backward:.4g} nats")

# %% [markdown]
# ## Exercises
#
# 1. For $n \gg d$, $n$ times either divergence of {eq}`eq-expected-kl` tends to half
#    the number of parameters of a Gaussian. Check it with `expected_kl`, and explain it
#    without any formula.
# 2. Add a floor: replace $S$ by $S + \rho I$ in the first cell that fits. For which
#    $\rho$ is KL(truth, fit) least at $n = d/2$?
# 3. How many samples does it take until $\nu < 0.51$ for $d = 64$? Use
#    `expected_preference`, and compare with {eq}`eq-leaning`.
# 4. Invent an eleventh reading of $\Delta$ under which the transition happens at
#    $n = 3d$.
#
# ## Provenance

# %% tags=["remove-input"]
provenance(*delta_records.values(), *network_records.values())
