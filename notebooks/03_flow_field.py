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
# # The flow field of a denoiser that errs
#
# [Chapter 1](01_denoisers.py) ended on a riddle: the best denoiser of a training set
# returns the training set, so a model that makes anything new must err. But *how* must
# it err? In a plane we can look. Ten training points on a circle, the best denoiser for
# them, and one knob that makes it worse: every field line can be drawn and every error
# integrated. This chapter follows {cite:t}`kaiser2026generalize`, who asked which error
# of a network makes it generalize, at which noise level that shows, and what a
# *generalization gap* measured there says about the samples. It reproduces the curves
# of their toy model as closely as these can be read, and then asks what such a gap can
# say, and what it cannot. The [companion page](03b_flow_field_deeper.py) holds the
# rest, and a list of faults.
#
# Symbols are on the [notation page](../book/notation.md). The unit of all lengths,
# $\sigma$ and $\delta$ included, is a tenth of the circle's radius: $r = 10$.

# %% tags=["hide-input"]
import math
from itertools import product

import torch
from nearsight import (
    EmpiricalDenoiser,
    RingDenoiser,
    RingKernelDenoiser,
    edm_sigmas,
    generalization_gap,
    proximity_bias,
    records,
    sample,
)
from nearsight.datasets import on_ring, ring_split
from nearsight.flow import (
    excess_risk,
    gap_map,
    lattice_gap,
    modulation,
    place_gap,
    published_gap,
    published_noise,
    published_sigmas,
    small_gap,
)
from nearsight.measures import denoising_error, mean_interval, point_errors
from nearsight.quadrature import polar
from nearsight.studies import find
from scipy import optimize

radius, n = 10.0, 10

# %% tags=["hide-input"]
from matplotlib import pyplot as plt
from nearsight.flow import fitted_blur, matched_blur, random_gap
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
    provenance,
    use_style,
)
from nearsight.randomness import stream
from nearsight.studies.ring_networks import LEVEL, LEVELS, SCALED

use_style()
torch.set_num_threads(1)  # many small arrays: a second thread would mostly wait

# %% [markdown]
# ## Ten points, and the field that remembers them
#
# The training points sit at equal angles, the held-out points in the middles of the
# arcs between them. Both are samples of one population: the circle. The best denoiser
# of the points is {eq}`eq-empirical`; that of the whole circle is known as well,
#
# $$
# D_\text{pop}(x, \sigma) = r\,\frac{I_1(\kappa)}{I_0(\kappa)}\,\frac{x}{|x|}, \qquad
# \kappa = \frac{r|x|}{\sigma^2},
# $$ (eq-ring)
#
# with the modified Bessel functions $I_k$. It is the *ideal*: what there is to learn.

# %%
train, holdout = ring_split(n, radius, turn=0.01)
optimal, ideal = EmpiricalDenoiser(train), RingDenoiser(radius)

# %% [markdown]
# The reverse process moves a state $x$ toward the denoiser's guess: its direction is
# $D(x, \sigma) - x$. Here is that field for the optimal denoiser at three noise levels,
# with its guesses for noised training points as dots. At large noise the ring is a
# distant cloud; at small noise the field should fall into ten pieces, and that of the
# ideal should not.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Field lines (background: longer steps are darker) and guesses for noised training points (dots). The optimal denoiser of ten points (crosses) leads to the center, then to the ring, then into ten basins. Right: the ideal leads to the circle.", "name": "fig-flow"}, "image": {"alt": "Four stream plots around ten points on a circle. The optimal denoiser's lines run to the center at noise level 28, to the circle at 2.8, and straight to the nearest of the ten points at 0.63. The ideal's lines at 0.63 run to the nearest place of the circle.", "width": "100%"}}
published_steps = edm_sigmas(40)[:-1].flip(0)[[32, 20, 14]]
axis = torch.linspace(-17.5, 17.5, 61, dtype=torch.float64)
places = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), 2)
eps = torch.randn(100, n, 2, dtype=torch.float64, generator=stream(0, 1))


def show_field(axes, denoiser, sigma):
    """Draw the field at one noise level; return the guesses for noised points."""
    everywhere = places.flatten(0, 1)
    step = (denoiser(everywhere, sigma) - everywhere).view(61, 61, 2)
    guesses = denoiser((train + sigma * eps).flatten(0, 1), sigma)
    window = (-17.5, 17.5, -17.5, 17.5)
    axes.imshow(step.norm(dim=2), extent=window, origin="lower", cmap="viridis_r",
                alpha=0.35)
    axes.streamplot(axis.numpy(), axis.numpy(), *step.unbind(2), color=NEUTRAL,
                    linewidth=0.6, density=0.7, arrowsize=0.6)
    axes.plot(*guesses.T, ".", color=HOLDOUT, markersize=1.5, alpha=0.5)
    axes.plot(*train.T, "+", color=THEORY, markersize=7, markeredgewidth=1.5)
    axes.set(aspect="equal", xlim=window[:2], ylim=window[2:], xticks=[-10, 0, 10],
             yticks=[-10, 0, 10])
    return guesses


figure, panels = plt.subplots(1, 4, figsize=(7.8, 2.3), sharey=True)
guesses = [show_field(axes, optimal, sigma)
           for axes, sigma in zip(panels, published_steps)]
show_field(panels[3], ideal, published_steps[2])
for axes, sigma in zip(panels, published_steps):
    axes.set_title(rf"$\sigma = {sigma:.3g}$")
panels[3].set_title(rf"ideal, $\sigma = {published_steps[2]:.3g}$");

# %% tags=["remove-input"]
center, ring_like, basins = guesses
edges = (holdout / radius).T  # outward normals of the decagon
across = (ring_like @ edges).amax(1) / (radius * math.cos(math.pi / n))
everywhere = places.flatten(0, 1)
sector = (train @ everywhere.T).argmax(0)
settled = torch.cdist(optimal(everywhere, published_steps[2]), train).argmin(1)
away = everywhere.norm(dim=1) > 0.5
assert (published_steps - torch.tensor([27.84, 2.818, 0.6254])).abs().max() < 5e-3
assert (center.std(0) / (50 / published_steps[0]) - 1).abs().max() < 0.1
assert across.max() <= 1 + 1e-12 and across.median() > 0.9
assert (settled == sector)[away].double().mean() > 0.99
glue(decagon=across.median(), low=published_steps[2], middle=published_steps[1],
     high=published_steps[0], basin=100 * (settled == sector)[away].double().mean())

# %% [markdown]
# At $\sigma =$ {glue:text}`high:.1f` the guesses are a small cloud around the center.
# At {glue:text}`middle:.1f` half of them lie beyond {glue:text}`decagon:.2f` of the way
# from the center to the edge of the decagon through the points. Then the plane is cut
# into sectors, and {glue:text}`basin:.1f` % of the places in the window are sent to the
# point of their own sector. What will be generated is decided on the way down.
#
# ## One knob: the model error $\delta$
#
# A network cannot represent these edges. The simplest model of its failure
# {cite:p}`kaiser2026generalize,scarvelis2025closed` is to blur the training
# distribution with $\mathcal N(0, \delta^2 I)$ and take the best denoiser of *that*.
#
# ```{prf:definition} Model error
# :label: def-blur
# With $y^*(x, \sigma) = \sum_i w_i y_i$ the optimal denoiser {eq}`eq-empirical` at
# noise level $\sigma$, and with the *total* noise level $\sigma_t$, where $\sigma_t^2 =
# \sigma^2 + \delta^2$,
#
# $$
# \begin{aligned}
# y_\delta(x, \sigma) &= \frac{\sigma^2\, y^*(x, \sigma_t) + \delta^2 x}{\sigma_t^2}, \\
# y_\delta - x &= \underbrace{\frac{\sigma^2}{\sigma_t^2}}_{\text{dynamics}}\;
# \underbrace{\bigl(y^*(x, \sigma_t) - x\bigr)}_{\text{geometry}}.
# \end{aligned}
# $$ (eq-blurred)
# ```
#
# The two factors say all that follows. *Geometry*: the model sees the data through
# noise of level $\sigma_t \ge \delta$, so what is finer than $\delta$ it never
# resolves. *Dynamics*: below $\sigma \approx \delta$ it hardly acts on what it sees.
# $\delta = 0$ is memory without error.
#
# How does such a model treat a place $y$ of the plane? Take it for a clean point, noise
# it, denoise it, and compare the error with that of the training points, with the same
# noise for all. The map $G(y) = (E(y) - E_\text{train})/E_\text{train}$ is 0 where $y$
# is treated like training data. Here and in {numref}`fig-gap-by-error`, which reproduce
# published figures, errors are means of $|D - y|$ as there; later they are mean
# squares. All are integrated, not drawn.

# %%
level = 1.07  # near the peak of the gap
coarse = polar(12, 20, 6.0)
maps = {delta: gap_map(EmpiricalDenoiser(train, delta), train, level, *coarse)
        for delta in (2.0, 1.6, 1.2)}
of_the_ideal = gap_map(ideal, train, level, *coarse)

# %% [markdown]
# A bridge between neighboring islands of small gap crosses the ray midway between two
# training points where the gap on it is least. At that level the bridge breaks.

# %%
fine_noise, fine_weights = polar(32, 48)
along_the_ray = torch.linspace(0.85, 1.05, 81)[:, None] * holdout[:1]


def bridge(delta):
    """The least gap on the ray midway between two training points."""
    gaps = place_gap(EmpiricalDenoiser(train, delta), train, along_the_ray, level,
                     fine_noise, fine_weights)
    return float(gaps.min())


def breaking(high):
    """The model error whose bridges break at a level."""
    return optimize.brentq(lambda delta: bridge(delta) - high, 1.0, 2.1)


errors_tried = torch.linspace(1.0, 2.1, 23, dtype=torch.float64)
bridges = torch.tensor([bridge(float(delta)) for delta in errors_tried])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gap $G(y)$ of every place to the training points (crosses) at $\\sigma = 1.07$. Inside the black line $G < ½$: a ring, or ten islands. Right: the error at which the bridges break, by the level of that line. Reconstructed after a published figure.", "name": "fig-islands"}, "image": {"alt": "Three maps of the gap around ten points on a circle: for the ideal denoiser and at model error 1.6 the places with a small gap form one ring, at 1.2 ten separate islands. A falling curve shows the model error at which the ring breaks, from 1.85 at a level of 0.2 to 1.14 at a level of 1.", "width": "100%"}}
def show_map(axes, found, title):
    """Filled map with its line G = 1/2; returns the colors for a bar."""
    colors = axes.contourf(found.axis, found.axis, found.gap, cmap="viridis",
                           levels=torch.linspace(0, 4, 17).tolist(), extend="both")
    axes.contour(found.axis, found.axis, found.gap, levels=[0.5], colors="black",
                 linewidths=2)
    axes.plot(*train.T, "+", color="white", markersize=7, markeredgewidth=1.6)
    islands = found.islands()
    axes.set(aspect="equal", xticks=[-10, 0, 10], yticks=[-10, 0, 10],
             title=title + (": 1 region" if islands == 1 else f": {islands} islands"))
    return colors


figure, panels = plt.subplots(1, 4, figsize=(8.4, 2.3), width_ratios=[1, 1, 1, 1.05])
for axes, found, title in zip(panels, (of_the_ideal, maps[1.6], maps[1.2]),
                              ("ideal", r"$\delta = 1.6$", r"$\delta = 1.2$")):
    colors = show_map(axes, found, title)
figure.colorbar(colors, ax=panels[2], label="gap $G(y)$", ticks=[0, 0.5, 1, 2, 3, 4])
panels[3].plot(bridges, errors_tried, color=TRAIN)
panels[3].plot(0.5, breaking(0.5), "o", color=TRAIN)
panels[3].set(xlim=(0, 1.1), ylim=(1, 2.1), xlabel="level of the line",
              ylabel=r"bridges break at $\delta$");

# %% tags=["remove-cell"] picture="flow-field.png"
# What stands in place of the explorable figure below where there is no JavaScript;
# `make pictures` keeps it.
still, panels = plt.subplots(1, 2, figsize=(7.5, 4))
for axes, delta in zip(panels, (1.6, 1.2)):
    show_map(axes, maps[delta], rf"$\delta = {delta}$")

# %% tags=["remove-input"]
critical = {high: breaking(high) for high in (0.2, 0.5, 1.0)}
around = [gap_map(EmpiricalDenoiser(train, critical[0.5] + change), train, level,
                  *coarse, pixels=81).islands() for change in (-0.03, 0.03)]
assert [found.islands() for found in maps.values()] == [1, 1, 10]
assert of_the_ideal.islands() == 1 and around == [10, 1]
assert abs(critical[0.5] - 1.440) < 1e-3 and (bridges.diff() < 0).all()
glue(critical=critical[0.5], critical_02=critical[0.2], critical_1=critical[1.0])

# %% [markdown]
# The region inside the line falls apart at $\delta =$ {glue:text}`critical:.2f`. That
# number belongs to the level ½, which is a choice: at 0.2 the bridges break at
# {glue:text}`critical_02:.2f`, at 1 at {glue:text}`critical_1:.2f`. What is no choice
# is the order: the less a model errs, the higher the level up to which its training
# points are islands.
#
# ## Try it
#
# The same field, live. Drag the training points (or focus one and use the arrow keys),
# move $\sigma$ and $\delta$, and watch the field lines, the guesses, and the line $G =
# ½$.
#
# ```{raw} html
# <div class="explorable"><iframe name="flow-field" src="../_static/flow-field.html"
#   title="Explorable figure: the flow field of ten training points"></iframe></div>
# <p><a href="../_static/flow-field.html">Open the figure on its own page.</a></p>
# ```

# %% tags=["remove-input"]
rule_shown = polar(8, 12, 5.0)  # the rule of the explorable figure


def shown(delta, sigma=level, count=n):
    """What the explorable shows for a lattice: islands, and the gap at the probe."""
    points, between = ring_split(count, radius, turn=0.01)
    denoiser = EmpiricalDenoiser(points, delta)
    found = gap_map(denoiser, points, sigma, *rule_shown, pixels=61)
    return found.islands(), place_gap(denoiser, points, between[:1], sigma,
                                      *rule_shown).item()


bridged = [shown(delta)[0] for delta in (1.4, 1.5)]
(_, gap_high), (_, gap_low) = shown(1.2, 8.0), shown(1.2, 0.1)
merged, gap_dense = shown(1.2, count=14)
assert bridged == [10, 1] and merged == 1 and gap_high < 5e-3 and gap_low < 0.03
glue(gap_start=shown(1.2)[1], gap_high=gap_high, gap_low=gap_low, gap_dense=gap_dense)

# %% [markdown]
# Three things to try:
#
# 1. **Build the bridges.** Start from <a
#    href="../_static/flow-field.html#s=1.07&d=1.2" target="flow-field">ten islands at
#    δ = 1.2</a> and raise $\delta$ by steps. At 1.40 there are still 10 islands, at
#    1.50 there is 1 region.
# 2. **Turn the noise.** From the same view, the gap at the probe is
#    {glue:text}`gap_start:.2f`. At <a href="../_static/flow-field.html#s=8&d=1.2"
#    target="flow-field">σ = 8</a> it is {glue:text}`gap_high:.2f`, at <a
#    href="../_static/flow-field.html#s=0.1&d=1.2" target="flow-field">σ = 0.1</a> it
#    is {glue:text}`gap_low:.2f`.
# 3. **Add data instead of error.** Leave $\delta$ at 1.2 and take <a
#    href="../_static/flow-field.html#s=1.07&d=1.2&n=14" target="flow-field">14 points
#    instead of 10</a>: 1 region, and a gap of {glue:text}`gap_dense:.2f` at the probe.
#
# ## Overfitting lives at intermediate noise
#
# Now the gap $G(\sigma)$ between held-out and training points against the noise level,
# for eleven model errors. On the lattice one point of each kind stands for all, which
# gives the exact curves. Beside three of them stands what the published protocol draws:
# one set of 50 noises, different ones for each point. We expect one bump for each
# $\delta$.

# %%
noise, weights = polar(48, 72)
exact = {"noise": noise[:, None], "weights": weights}
published_grid = published_sigmas()
deltas = [2.2 - 0.1 * k for k in range(11)]


def gap_of(denoiser, levels, metric="mse"):
    return generalization_gap(denoiser, train[:1], holdout[:1], levels, metric,
                              **exact).gap


norm_gaps = {round(delta, 1): gap_of(EmpiricalDenoiser(train, delta), published_grid,
                                     "norm") for delta in deltas}
norm_memory = gap_of(optimal, published_grid, "norm")

# %% [markdown]
# How much do the published peaks depend on their one noise seed? Here are a hundred.

# %%
at_the_peak = (published_grid > 0.6) & (published_grid < 2.5)
some = published_grid[at_the_peak | (torch.arange(120) % 3 == 0)]
draws = torch.cat([published_noise(2 * n, seed) for seed in range(100)], 1)
published, over_seeds = {}, {}
for delta in (1.2, 1.6, 2.0):
    blurred = EmpiricalDenoiser(train, delta)
    published[delta] = published_gap(blurred, train, holdout).gap
    each = [point_errors(blurred, points.repeat(100, 1), some, "norm", noise=own)
            for points, own in ((train, draws[:, ::2]), (holdout, draws[:, 1::2]))]
    mine, theirs = (errors.unflatten(1, (100, n)).mean(2) for errors in each)
    over_seeds[delta] = theirs / mine - 1  # [S, 100], as the protocol computes it

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gap of the mean norm for model errors from 2.2 (light) to 1.2 (dark): exact (lines), by the published protocol (dashed), and its central 95 % over 100 noise seeds (bands). One bump each. Inset: without model error, a wall.", "name": "fig-gap-by-error"}, "image": {"alt": "Eleven curves of the gap against noise level, each a single bump near noise level 1.2, from a height of 0.09 at model error 2.2 to 0.90 at model error 1.2; the ideal is a line at zero. The inset shows the gap without model error rising steeply toward small noise.", "width": "90%"}}
figure, axes = plt.subplots(figsize=(7.0, 3.8))
for delta, gap in norm_gaps.items():
    color = plt.get_cmap("viridis_r")(0.15 + 0.85 * (2.2 - delta))
    axes.plot(published_grid, gap, color=color)
    if delta in (1.2, 1.4, 1.6, 1.8, 2.0):
        axes.plot([1.2, 2.9], [gap.max()] * 2, color=color, linewidth=0.5)
        axes.text(3.0, float(gap.max()), rf"$\delta = {delta:.1f}$", fontsize=8.5,
                  va="center", color=color)
for delta, gap in published.items():
    axes.plot(published_grid, gap, color=HOLDOUT, linewidth=1, linestyle="--")
    low, high = over_seeds[delta].quantile(torch.tensor([0.025, 0.975]).double(), dim=1)
    axes.fill_between(some, low, high, color=HOLDOUT, alpha=0.15, linewidth=0)
axes.axhline(0, color=THEORY, linewidth=0.8)
axes.text(22, -0.055, "ideal: 0", color=THEORY, fontsize=8.5)
axes.text(0.0025, 0.08, "published protocol:\none seed (dashed),\na hundred (bands)",
          color=HOLDOUT, fontsize=8.5)
axes.set(xscale="log", ylim=(-0.1, 1.12), xlabel=r"noise level $\sigma$",
         ylabel=r"gap $G(\sigma)$ of the norm")
inset = axes.inset_axes([0.09, 0.55, 0.27, 0.4])
inset.plot(published_grid, norm_memory, color=TRAIN)
inset.tick_params(labelsize=8)
inset.set(xscale="log", yscale="log", xlim=(0.6, 30), ylim=(1e-3, 1e6),
          title=r"$\delta = 0$");

# %% tags=["remove-input"]
peaks = torch.stack([gap.max() for gap in norm_gaps.values()])
places_of_peaks = torch.stack([published_grid[gap.argmax()]
                               for gap in norm_gaps.values()])
rising = [(gap.diff() > 1e-6).long() for gap in norm_gaps.values()]
assert (peaks.diff() > 0).all() and (places_of_peaks - 1.1838).abs().max() < 1e-4
assert all(up[published_grid[1:] > 0.01].diff().eq(-1).sum() == 1 for up in rising)
assert all(gap[published_grid > 5].abs().max() < 0.01 for gap in norm_gaps.values())
steep = norm_memory[(published_grid > 0.6) & (published_grid < 10)]
assert (steep.diff() < 0).all() and steep[0] > 1e5
for delta, protocol, norm in ((1.2, 0.9539, 0.9033), (1.6, 0.3869, 0.3626),
                              (2.0, 0.1607, 0.1452)):
    assert abs(published[delta].max() - protocol) < 1e-3
    assert abs(norm_gaps[delta].max() - norm) < 5e-4
    name = f"{10 * delta:.0f}"
    glue(**{f"exact_{name}": norm_gaps[delta].max(),
            f"once_{name}": published[delta].max(),
            f"mean_{name}": over_seeds[delta].amax(0).mean(),
            f"sd_{name}": over_seeds[delta].amax(0).std()})
glue(offset=published[1.6][0], offset_sd=over_seeds[1.6][0].std())

# %% [markdown]
# Each bump has this height:
#
# | $\delta$ | exact | published protocol | the same over 100 noise seeds, mean ± sd |
# | --- | --- | --- | --- |
# | 1.2 | {glue:text}`exact_12:.3f` | {glue:text}`once_12:.3f` | {glue:text}`mean_12:.3f` ± {glue:text}`sd_12:.3f` |
# | 1.6 | {glue:text}`exact_16:.3f` | {glue:text}`once_16:.3f` | {glue:text}`mean_16:.3f` ± {glue:text}`sd_16:.3f` |
# | 2.0 | {glue:text}`exact_20:.3f` | {glue:text}`once_20:.3f` | {glue:text}`mean_20:.3f` ± {glue:text}`sd_20:.3f` |
#
# The third column agrees with the released figure as closely as that can be read, to
# 0.005. The last one is what no error bar showed. And since training and held-out
# points do not share their noise there, the published gap does not vanish as $\sigma
# \to 0$: it tends to {glue:text}`offset:.4f`, give or take {glue:text}`offset_sd:.3f`.
#
# Two things here should make one suspicious. Without model error there is no bump, but
# a wall. And with it, the peak stands at the same $\sigma$ for every $\delta$.
#
# ## Why there is a bump
#
# Equation {eq}`eq-blurred` is a product, and the gap inherits it. Near the ring, the
# density of $n$ equidistant points seen at total noise $\sigma_t$ is a constant plus a
# wave with one period an arc. Its relative amplitude, $2 I_n(\kappa)/I_0(\kappa)
# \approx 2 e^{-n^2\sigma_t^2/2r^2}$ with $\kappa = r^2/\sigma_t^2$, is what the model
# still resolves of the single points. It falls with the noise, while the factor
# $\sigma^2/\sigma_t^2$, how strongly the model acts, rises.
#
# ```{prf:theorem} The bump on a dense lattice
# :label: thm-bump
# Let $a = n\delta/r$ and $s = n\sigma/r$. As $n \to \infty$ at fixed $a$ and $s$, the
# mean-square gap between the middles of the arcs and the training points tends to a
# function of $a$ and $s$ alone, which for large $a^2 + s^2$ is
#
# $$
# G = \frac{2u}{1 - u}\,\Bigl(1 + \mathcal O\bigl(e^{-(a^2 + s^2)}\bigr)\Bigr), \qquad
# u = \frac{4 s^2 e^{-s^2} e^{-a^2/2}}{1 + a^4/(a^2 + s^2)^2}.
# $$ (eq-bump)
#
# For large $a$ its peak is at $s = 1$, that is at $\sigma = r/n$, one spacing over
# $2\pi$, and $(4/e)\, e^{-a^2/2}$ high.
# ```
#
# :::{dropdown} Derivation
# Take $r/n$ for the unit of length, so that $\sigma = s$ and $\delta = a$. As $n \to
# \infty$ the ring becomes a line with a training point every $2\pi$. At total noise
# $\sigma_t^2 = a^2 + s^2$, the density along it is a Fourier series, $1 + 2c\cos x_1 +
# 2c^4 \cos 2x_1 + \dots$ with $c = e^{-(a^2 + s^2)/2}$, and Tweedie's formula
# {eq}`eq-tweedie` gives, along the line and across it,
#
# $$
# (y_\delta - x)_1 = -2 s^2 c \sin x_1 + 2 s^2 c^2 \sin 2x_1 + \mathcal O(c^3), \qquad
# (y_\delta)_2 = \frac{a^2}{a^2 + s^2}\, x_2 .
# $$
#
# Insert $x = y + s\varepsilon$ with $y$ on the line. By Stein's lemma $\mathbb
# E[\varepsilon_1 \sin(y_1 + s\varepsilon_1)] = s\, e^{-s^2/2} \cos y_1$, so that
#
# $$
# \mathbb E\,|y_\delta - y|^2 = s^2 \Bigl(1 + \frac{a^4}{(a^2 + s^2)^2}
# - 4 s^2 c\, e^{-s^2/2} \cos y_1\Bigr) + c^2 A(y_1) + \mathcal O(c^3) .
# $$
#
# On this page, $A$ is a function of the place along the line.
#
# It stems from $\sin^2 x_1$ and $\varepsilon_1 \sin 2x_1$, and so has the period
# $\pi$: it is the same at a training point, $y_1 = 0$, and in the middle of an arc,
# $y_1 = \pi$. It cancels in the difference of the two errors and changes their ratio by
# a share of order $c^2$ only.
# :::
#
# So three numbers, $n$, $\delta$ and $\sigma$, should act as two: model error and
# density of the data are one knob.

# %%
wide = torch.linspace(0.05, 5, 100, dtype=torch.float64)
total = (wide**2 + 1.6**2).sqrt()
dynamics, geometry = wide**2 / total**2, modulation(n, total, radius)
scaled = torch.linspace(0.05, 3.5, 70, dtype=torch.float64)
quick = {"noise": fine_noise[:, None], "weights": fine_weights}


def scaled_gap(count, a):
    """Exact gap of a lattice of so many points on the grid of s."""
    points, between = ring_split(count, radius)
    return generalization_gap(EmpiricalDenoiser(points, a * radius / count), points[:1],
                              between[:1], scaled * radius / count, **quick).gap


family = {(count, a): scaled_gap(count, a)
          for count, a in product((10, 20, 80), (1.2, 1.6, 2.0))}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: the two factors of the field for ten points and $\\delta = 1.6$, and their product. Right: gap (mean square) of lattices of 10, 20 and 80 points (light to dark) against $s = n\\sigma/r$, and the closed form (dashed). At equal $a = n\\delta/r$ they all but coincide.", "name": "fig-bump"}, "image": {"alt": "Left: a rising curve, dynamics, and a falling one, geometry, over noise level, with their product peaking at about 1.15. Right: three groups of bumps for a = 1.2, 1.6 and 2.0; within a group the curves of 10, 20 and 80 points nearly coincide, and the dashed closed form follows those of 1.6 and 2.0.", "width": "100%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.2))
curve(left, wide, dynamics, r"dynamics $\sigma^2/\sigma_t^2$", TRAIN, at=70,
      offset=(-70, 12))
curve(left, wide, geometry, r"geometry $2I_n/I_0$", HOLDOUT, at=1, offset=(2, 14))
curve(left, wide, dynamics * geometry, "product", THEORY, at=22, offset=(-20, -14))
left.set(xlabel=r"noise level $\sigma$", ylabel="factor", ylim=(0, 1))
for a, color in ((1.2, LOSS), (1.6, TRAIN), (2.0, NEUTRAL)):
    for count, shade in ((10, 0.35), (20, 0.6), (80, 1.0)):
        right.plot(scaled, family[count, a], color=color, alpha=shade, linewidth=1.4)
    right.plot(scaled, small_gap(a, scaled), color=color, linestyle="--", linewidth=1.1)
    above = (0.9, float(family[80, a].max()) + 0.07)
    right.text(*((1.45, 2.05) if a == 1.2 else above), f"$a = {a}$", color=color,
               fontsize=9)
right.set(xlim=(0, 3.5), ylim=(0, 2.6), xlabel=r"$s = n\sigma/r$", ylabel="gap $G$");

# %% tags=["remove-input"]
assert (dynamics.diff() > 0).all() and (geometry.diff() < 0).all()
product_peak = wide[(dynamics * geometry).argmax()]
square_peak = wide[gap_of(EmpiricalDenoiser(train, 1.6), wide).argmax()]
near = scaled[(scaled > 0.7) & (scaled < 1.5)]
flat = {a: lattice_gap(a, near).max() for a in (1.2, 1.6, 2.0)}
closed_off = {a: float(small_gap(a, near).max() / top - 1) for a, top in flat.items()}
assert all(abs(off) < math.exp(-a**2 - 1) for a, off in closed_off.items())
off = {count: max(abs(float(family[count, a].max() / flat[a] - 1)) for a in flat)
       for count in (10, 20, 80)}
assert off[10] < 0.05 and off[20] < 0.012 and off[80] < 0.0015
assert abs(product_peak - square_peak) < 0.15
glue(product_peak=product_peak, square_peak=square_peak, off_10=100 * off[10],
     off_80=100 * off[80], high_12=100 * closed_off[1.2], high_16=100 * closed_off[1.6])

# %% [markdown]
# The product peaks at $\sigma =$ {glue:text}`product_peak:.2f`, the exact gap at
# {glue:text}`square_peak:.2f`.
#
# The peaks of ten points differ by up to
# {glue:text}`off_10:.0f` % from those of a dense lattice, those of eighty by
# {glue:text}`off_80:.1f` %: what looks like the circle is only its arcs.
# A model that errs by $\delta$ on $n$ points overfits as one that errs by $\delta/2$ on
# $2n$. The closed form is {glue:text}`high_16:.1f` % too high at the peak for $a = 1.6$
# and {glue:text}`high_12:.0f` % for 1.2, where more harmonics count.
#
# So both suspicions are answered. Without model error the dynamics factor is 1, and
# what is left is the wall of the geometry. And the peak stands still because geometry,
# not $\delta$, sets where the field stops resolving the points. On points at *random*
# angles it does move, to $\sigma \approx 1.3\,\delta$
# ([companion](03b_flow_field_deeper.py)).
#
# ## What its samples are
#
# What comes out at the end?
#
# ```{prf:theorem} Model error is early stopping
# :label: thm-early
# The flow of $y_\delta$ from $\sigma_\text{max}$ to 0 is the flow of the optimal
# denoiser on the clock $\sigma_t$: the same path, from $\sqrt{\sigma_\text{max}^2 +
# \delta^2}$ down to $\delta$ instead of 0. As $\sigma_\text{max} \to \infty$ its
# endpoints become training points, each equally likely, plus $\mathcal N(0, \delta^2
# I)$: draws from a kernel density estimate.
# ```
#
# :::{dropdown} Derivation
# By {eq}`eq-blurred`, the flow {eq}`eq-flow` of $y_\delta$ is $dx/d\sigma =
# (\sigma/\sigma_t^2)\,(x - y^*(x, \sigma_t))$. Since $\sigma\, d\sigma = \sigma_t\,
# d\sigma_t$ at fixed $\delta$, this is $dx/d\sigma_t = (x - y^*(x,
# \sigma_t))/\sigma_t$, the flow of the optimal denoiser. That flow carries the density
# of training points plus noise of level $\sigma_t$ along; where it stops, at $\sigma_t
# = \delta$, that density is the mean of $\mathcal N(y_i, \delta^2 I)$. It starts from
# white noise in place of the density at $\sigma_\text{max}$; the two agree in the
# limit.
# :::
#
# So the samples of this model are training points with a blur, whatever its gap. Do
# they *lean* toward the training points? The preference $\nu$ is the share of samples
# that lie nearer to a training point than to any held-out one; of random halves, and
# without memory, it is ½. On twenty random rings of 500 training and 500 held-out
# points we draw samples by the theorem, and from the whole circle.

# %%
latents = 80 * torch.randn(300, 2, dtype=torch.float64, generator=stream(0, 2))
schedule = edm_sigmas(160)
erring = sample(EmpiricalDenoiser(train, 1.6), latents, schedule)
stopped = sample(optimal, latents, (schedule**2 + 1.6**2).sqrt())
by_the_ideal = sample(ideal, latents, schedule)

# %%
widths = torch.tensor([0.01, 0.03, 0.1, 0.2, 0.5, 1.0])
reaches = 500 * widths / radius  # a


def preferences(split):
    """Preference of samples at each width, and of as many from the circle, [W + 1]."""
    own = stream(0, 3, split)
    points, others = ring_split(500, radius, generator=own)
    chosen = points[torch.randint(500, (500,), generator=own)]
    eps = torch.randn(500, 2, dtype=torch.float64, generator=own)
    drawn = [chosen + float(width) * eps for width in widths]
    fresh, _ = ring_split(500, radius, generator=own)
    return torch.tensor([proximity_bias(each, points, others).preference
                         for each in (*drawn, fresh)])


preference, low, high = mean_interval(torch.stack([preferences(k) for k in range(20)]))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Endpoints of one set of latents: the model with error $\\delta = 1.6$, the optimal denoiser stopped at $\\sigma = 1.6$, and the ideal. Right: on random rings of 500 points, the share of samples nearer to training than to held-out points (20 rings, 95 % intervals).", "name": "fig-early"}, "image": {"alt": "Three clouds of dots: the first two are identical and surround ten points, the third lies on the circle. Right: the preference falls from 0.9 at a = 0.5 toward one half at a = 50; that of samples of the whole circle is one half.", "width": "100%"}}
figure, panels = plt.subplots(1, 4, figsize=(8.2, 2.3), width_ratios=[1, 1, 1, 1.3])
clouds = {"error 1.6, to 0": erring, "no error, to 1.6": stopped,
          "ideal, to 0": by_the_ideal}
for axes, (title, cloud) in zip(panels, clouds.items()):
    axes.plot(*cloud.T, ".", color=HOLDOUT, markersize=2)
    axes.plot(*train.T, "+", color=THEORY, markersize=6)
    axes.set(aspect="equal", xticks=[-10, 0, 10], yticks=[-10, 0, 10],
             xlim=(-15.5, 15.5), ylim=(-15.5, 15.5), title=title)
curve(panels[3], reaches, preference[:-1], "error", TRAIN, low[:-1], high[:-1], at=2,
      offset=(4, 8), marker="o")
panels[3].axhspan(float(low[-1]), float(high[-1]), color=THEORY, alpha=0.2, linewidth=0)
panels[3].axhline(float(preference[-1]), color=THEORY)
panels[3].text(0.5, 0.455, "ideal", color=THEORY, fontsize=9)
panels[3].set(xscale="log", xlabel=r"$a = n\delta/r$", ylabel=r"preference $\nu$",
              ylim=(0.42, 1.0))
panels[3].set_xticks([1, 10], ["1", "10"]);

# %% tags=["remove-input"]
assert (erring - stopped).norm(dim=1).max() < 3e-3
assert (by_the_ideal.norm(dim=1) - radius).abs().max() < 1e-6
at = {round(float(reach), 1): k for k, reach in enumerate(reaches)}
assert abs(preference[at[5.0]] - 0.63) < 0.03
assert abs(preference[at[25.0]] - 0.52) < 0.03
assert low[-1] < 0.5 < high[-1]
tau = torch.linspace(1, 1.6, 601, dtype=torch.float64)
glue(lean_05=preference[at[0.5]], lean_5=preference[at[5.0]],
     lean_25=preference[at[25.0]], random_5=random_gap(5.0, tau).max())

# %% [markdown]
# Samples lean where the blur is narrow: their preference is {glue:text}`lean_05:.2f` at
# $a = 0.5$, {glue:text}`lean_5:.2f` at 5 and {glue:text}`lean_25:.2f` at 25, while the
# gap of random points peaks near {glue:text}`random_5:.2f` at $a = 5$
# ([companion](03b_flow_field_deeper.py)). Here gap and preference fall together, since
# one number, $a$, is all there is. The gap of such a model tells how wide its blur is;
# it does not tell that blur is all it generates.
#
# ## What the gap does not say
#
# So is more error better? The *excess risk*
#
# $$
# R(\sigma) = \mathbb E\,\bigl|D(x, \sigma) - D_\text{pop}(x, \sigma)\bigr|^2
# $$ (eq-excess-risk)
#
# over $x = y + \sigma\varepsilon$ with $y$ uniform on the circle is exactly what a
# denoiser's squared error on fresh data has above that of the ideal {eq}`eq-ring`. We
# expect a minimum in $\delta$: memory on one side, blindness on the other.
#
# And there are other errors than blur in all directions. Blur the training angles along
# the ring only, by a spread that we call $\delta$ again: that is `RingKernelDenoiser`,
# whose guesses never leave the disc.

# %%
arc = on_ring(2 * math.pi * (torch.arange(12, dtype=torch.float64) + 0.5) / (12 * n)
              + 0.02 * math.pi)  # by symmetry one arc stands for the circle
angles = torch.atan2(train[:, 1], train[:, 0])
fine = torch.linspace(0, 3.5, 36, dtype=torch.float64)


def isotropic(delta):
    return EmpiricalDenoiser(train, float(delta))


def along_the_ring(delta):
    return RingKernelDenoiser(radius, angles, float(delta))


# %%
def risk(denoiser, sigma):
    return float(excess_risk(denoiser, ideal, arc, [sigma], **quick))


def best_error(sigma):
    """The isotropic error of least excess risk."""
    return optimize.minimize_scalar(lambda delta: risk(isotropic(delta), sigma),
                                    bounds=(0, 3), method="bounded").x


risks = {sigma: torch.tensor([risk(isotropic(delta), sigma) for delta in fine])
         for sigma in (0.3, 1.07, 1.67, 4.0)}
tracks = {name: torch.tensor([[gap_of(kind(delta), [level])[0],
                               risk(kind(delta), level)] for delta in fine[4:]])
          for name, kind in {"isotropic": isotropic,
                             "along the ring": along_the_ring}.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: excess risk against isotropic model error at four noise levels (dots: the least). Right: gap and excess risk at $\\sigma = 1.07$ of both kinds of error, from small (right) to large (left). The gap does not order models by risk.", "name": "fig-risk"}, "image": {"alt": "Left: four U-shaped curves of excess risk against model error, with their minima between 0.15 and 1.5. Right: in the plane of gap and risk the isotropic curve is U-shaped and ends at gap 0 and risk 1, the curve along the ring falls to the corner where gap and risk are both zero, where the ideal is.", "width": "100%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.3))
labels = {0.3: (30, (-6, 9)), 1.07: (31, (-10, 10)), 1.67: (19, (-40, 8)),
          4.0: (31, (-42, 6))}
for sigma, color in zip(risks, ("#3A8FBF", TRAIN, "#007A5A", "#A8568A")):
    at_point, offset = labels[sigma]
    curve(left, fine, risks[sigma], rf"$\sigma = {sigma:g}$", color, at=at_point,
          offset=offset)
    lowest = best_error(sigma)
    left.plot(lowest, risk(isotropic(lowest), sigma), "o", color=color)
left.set(xlabel=r"model error $\delta$", ylabel="excess risk $R$", ylim=(0, 2.5))
for (name, track), color, at_point, offset in zip(tracks.items(), (NEUTRAL, TRAIN),
                                                  (8, 10), ((4, -12), (10, -6))):
    curve(right, *track.T, name, color, at=at_point, offset=offset, marker=".")
right.plot(0, 0, "*", color=THEORY, markersize=11, clip_on=False, zorder=5)
right.annotate("ideal", (0, 0), (3, 16), textcoords="offset points", color=THEORY)
right.set(xlim=(0, 8), ylim=(0, 1.6), xlabel=r"gap $G$", ylabel="excess risk $R$");

# %% tags=["remove-input"]
for values in (risks[0.3], risks[1.07], risks[1.67]):
    bottom = int(values.argmin())
    assert 0 < bottom < 35 and (values[:bottom + 1].diff() <= 1e-9).all()
    assert (values[bottom:].diff() >= -1e-9).all()
assert all((track[:, 0].diff() < 0).all() for track in tracks.values())
lowest = best_error(level)
least = risk(isotropic(lowest), level)
flat_ends = [optimize.brentq(lambda delta: risk(isotropic(delta), level) - 1.05 * least,
                             *ends) for ends in ((0.5, lowest), (lowest, 3.0))]
gap_at_best = float(gap_of(isotropic(lowest), [level])[0])
twin = optimize.brentq(lambda delta: float(gap_of(along_the_ring(delta), [level])[0])
                       - gap_at_best, 0.8, 3.0)
unavoidable = 2 * denoising_error(ideal, arc, [level], **quick)[0]
assert abs(lowest - 1.339) < 0.01 and abs(unavoidable - 1.152) < 2e-3
assert risk(along_the_ring(3.5), level) < 1e-4
glue(best_delta=lowest, best_risk=least, gap_at_best=gap_at_best,
     memory_risk=risks[1.07][0], memory_gap=gap_of(optimal, [level])[0],
     risk_35=risks[1.07][-1], gap_35=gap_of(isotropic(3.5), [level])[0],
     unavoidable=unavoidable, twin=twin, twin_risk=risk(along_the_ring(twin), level),
     flat_low=flat_ends[0], flat_high=flat_ends[1],
     steep_gap=gap_of(isotropic(flat_ends[0]), [level])[0],
     shallow_gap=gap_of(isotropic(flat_ends[1]), [level])[0],
     wide_gap=gap_of(along_the_ring(3.5), [level])[0],
     wide_risk=risk(along_the_ring(3.5), level))

# %% [markdown]
# At $\sigma = 1.07$, where the ideal's own error is {glue:text}`unavoidable:.2f`:
#
# | model | $\delta$ | gap | excess risk |
# | --- | --- | --- | --- |
# | optimal for the ten points | 0 | {glue:text}`memory_gap:.0f` | {glue:text}`memory_risk:.2f` |
# | best isotropic error | {glue:text}`best_delta:.2f` | {glue:text}`gap_at_best:.2f` | {glue:text}`best_risk:.2f` |
# | along the ring, of the same gap | {glue:text}`twin:.2f` | {glue:text}`gap_at_best:.2f` | {glue:text}`twin_risk:.2f` |
# | large isotropic error | 3.5 | {glue:text}`gap_35:.4f` | {glue:text}`risk_35:.2f` |
# | large error along the ring | 3.5 | {glue:text}`wide_gap:.4f` | {glue:text}`wide_risk:.5f` |
#
# **The gap does not order models by risk.** Among isotropic errors the best one has a
# gap of {glue:text}`gap_at_best:.1f`, and its minimum is flat: risk changes by less
# than 5 % while the gap falls from {glue:text}`steep_gap:.1f` to
# {glue:text}`shallow_gap:.1f`. Beyond it the gap vanishes and the risk grows, because
# blur pushes guesses off the circle as much as along it. Along the circle gap and risk
# vanish together. Which kind of error do networks make?
#
# ## What networks do
#
# A small network learns ring points: three hidden layers on the plane, trained with the
# usual loss and fresh noise at every step. On record are {glue:text}`networks:.0f` of
# them, with three widths, eight numbers of points, and five seeds of each, measured at
# five moments of their training. We look at them where $s = n\sigma/r$ is 1.07, the
# same place of {numref}`fig-bump` for every $n$. Here the first one is trained again,
# to its last step; beside the record it should be the same.

# %%
run = find("ring-networks-laptop")
record, config = records.load(run), run.config
names = list(product(config.widths, config.counts, range(config.seeds)))
learned = {name: stage.arrays for name, stage in zip(names, record.results.stages)}
beside(records.compare(record, records.compute(run, stages=1)))

# %% [markdown]
# The yardstick is the optimal denoiser of the same points, the memory. A network whose
# excess risk is less than a twentieth of the memory's we call *the ring*: it is nearly
# the ideal. One that comes near the memory's risk has become *the points*.

# %%
at_level = level_index(SCALED, LEVEL)


def risk_of_memory(count):
    """Excess risk of the optimal denoiser of so many points at s = 1.07."""
    points, _ = ring_split(count, radius)
    fresh, _ = ring_split(6 * count, radius)  # as for the networks
    nodes, node_weights = polar(10, 16, 5.0)
    sigma = LEVEL * radius / count
    return excess_risk(EmpiricalDenoiser(points), ideal, fresh, [sigma], nodes[:, None],
                       node_weights)[0]


memory = {count: risk_of_memory(count) for count in config.counts}
shares = {(width, count, seed): arrays["risk"][:, at_level] / memory[count]
          for (width, count, seed), arrays in learned.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Excess risk of networks at $s = 1.07$ as a share of the memory's (1: memory; 0: the ideal). Left: after 8000 steps, a dot each, lines through medians. Right: width 64 over training (medians).", "name": "fig-turn"}, "image": {"alt": "Left: risk of networks after 8000 steps, as a share of the memory's, against the number of points. It is 0.5 to 0.8 at eight points and nearly 0 at fourteen and more, for all three widths; width 16 falls first. Right: over training, networks of width 64 first fall to nearly 0; with 8 to 11 points they rise again, the earlier the fewer.", "width": "100%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7.9, 3.4))
slots = {count: k for k, count in enumerate(config.counts)}
for width, color, aside in zip(config.widths, (NEUTRAL, TRAIN, LOSS), (-0.22, 0, 0.22)):
    final = torch.tensor([[float(shares[width, count, seed][-1]) for count in slots]
                          for seed in range(config.seeds)])
    across = torch.arange(len(slots)) + aside
    left.plot(across, final.T, ".", color=color, markersize=6)
    left.plot(across, final.median(0).values, color=color, linewidth=1)
for text, place, color in (("width 16", (0.45, 0.37), NEUTRAL),
                           ("64", (1.3, 0.55), TRAIN), ("128", (2.35, 0.80), LOSS)):
    left.text(*place, text, color=color, fontsize=9)
for count, color in zip(slots, plt.get_cmap("viridis")(torch.linspace(0, 0.9, 8))):
    course = torch.stack([shares[64, count, seed] for seed in range(config.seeds)])
    course = course.median(0).values
    right.plot(config.snapshots, course, color=color, marker=".")
    if count < 12:
        apart = {9: 0.012, 10: -0.012}.get(count, 0)
        right.text(8500, float(course[-1]) + apart, f"$n = {count}$", color=color,
                   fontsize=9, va="center")
right.text(8500, 0.05, "12 to 20", fontsize=9, va="center")
for axes in (left, right):
    axes.axhline(1, color=THEORY, linewidth=0.8)
    axes.axhline(0, color=THEORY, linewidth=0.8)
    axes.set(ylim=(-0.04, 1.08), ylabel="excess risk / that of the memory")
left.set_xlabel("number of points $n$")
left.set_xticks(range(len(slots)), [f"{count}" for count in slots])
left.text(7.4, 0.955, "memory", fontsize=9, ha="right")
left.text(7.4, 0.045, "ideal", fontsize=9, ha="right")
right.set(xscale="log", xlabel="training steps", xlim=(270, 15000))
right.set_xticks(config.snapshots, [f"{moment}" for moment in config.snapshots])
right.set_xticks([], minor=True);

# %% tags=["remove-input"]
late = -1
turned = {(width, count): sum(float(shares[width, count, seed][late]) > 0.05
                              for seed in range(config.seeds))
          for width, count in product(config.widths, config.counts)}
been = [name for name, share in shares.items() if (share < 0.05).any()]
dense = [name for name in names if name[1] >= 14]
dense_share = max(float(shares[name][late]) for name in dense)
dense_gap = max(float(learned[name]["gap"][late, at_level]) for name in dense)
assert all(turned[width, 8] == 5 for width in config.widths)
assert all(turned[width, count] == 0 for width, count in turned if count >= 14)
for width, count in product(config.widths, config.counts[:6]):
    glue(**{f"left_{width}_{count}": turned[width, count]})
glue(networks=len(names), been=len(been), dense_share=dense_share, dense_gap=dense_gap)

# %% [markdown]
# **First the ring, then the points, or the ring for good.** {glue:text}`been:.0f` of
# the {glue:text}`networks:.0f` networks were the ring at one of the five moments. With
# 14 points or more they still are after 8000 steps, at every width: their risk is at
# most {glue:text}`dense_share:.3f` of the memory's and their gap at most
# {glue:text}`dense_gap:.4f`. Of five networks so many have left the ring:
#
# | $n$ | width 16 | width 64 | width 128 |
# | --- | --- | --- | --- |
# | 8 | {glue:text}`left_16_8:.0f` | {glue:text}`left_64_8:.0f` | {glue:text}`left_128_8:.0f` |
# | 9 | {glue:text}`left_16_9:.0f` | {glue:text}`left_64_9:.0f` | {glue:text}`left_128_9:.0f` |
# | 10 | {glue:text}`left_16_10:.0f` | {glue:text}`left_64_10:.0f` | {glue:text}`left_128_10:.0f` |
# | 11 | {glue:text}`left_16_11:.0f` | {glue:text}`left_64_11:.0f` | {glue:text}`left_128_11:.0f` |
# | 12 | {glue:text}`left_16_12:.0f` | {glue:text}`left_64_12:.0f` | {glue:text}`left_128_12:.0f` |
# | 14, 16, 20 | {glue:text}`left_16_14:.0f` | {glue:text}`left_64_14:.0f` | {glue:text}`left_128_14:.0f` |
#
# **Density decides**, within these 8000 steps; size moves the turn by a point or two.

# %% tags=["hide-input"]
def over_networks(name, width=64, count=10):
    """Measurements [seeds, snapshots, ...] of the networks of one width and count."""
    return torch.stack([learned[width, count, seed][name]
                        for seed in range(config.seeds)])


on_ten = {"noise": polar(10, 16, 5.0)[0][:, None], "weights": polar(10, 16, 5.0)[1]}
ideal_match = [matched_blur(ideal, train, place, **on_ten) for place in LEVELS]
ideal_left = fitted_blur(ideal, train, LEVEL, **on_ten).unexplained
moments = torch.tensor(config.snapshots)
unexplained = {name: over_networks(name) for name in ("isotropic", "tangential")}
match = over_networks("matched")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What networks of width 64 on ten points err by (five seeds, with range). Left: the share of their difference from the optimal denoiser that the best blur leaves unexplained. Right: the isotropic error of equal training error, at three $s$. Dotted: the ideal.", "name": "fig-ring-networks"}, "image": {"alt": "Left: over training the share that a blur along the ring leaves unexplained first falls to a few per cent, then both shares rise to about 0.9. Right: three curves of the matching model error over training that end at different heights.", "width": "100%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.0))
for (name, values), color, text in zip(unexplained.items(), (NEUTRAL, TRAIN),
                                       ("isotropic blur", "blur along the ring")):
    above = 12 if name == "isotropic" else -14
    curve(left, moments, values.median(0).values, text, color, values.amin(0),
          values.amax(0), at=1, offset=(-14, above), marker=".")
left.axhline(ideal_left, color=NEUTRAL, linestyle=":", linewidth=1)
left.text(7900, 0.33, "ideal", fontsize=9, ha="right")
for k, (place, color) in enumerate(zip(LEVELS, (NEUTRAL, TRAIN, LOSS))):
    values = match[:, :, k]
    right.axhline(ideal_match[k], color=color, linestyle=":", linewidth=1)
    curve(right, moments, values.median(0).values, rf"$s = {place}$", color,
          values.amin(0), values.amax(0), at=-1, offset=(6, 0), marker=".")
left.set(xscale="log", yscale="log", ylim=(3e-3, 2), xlabel="training steps",
         ylabel="unexplained share")
right.set(xscale="log", yscale="log", xlim=(270, 17000), xlabel="training steps",
          ylabel=r"matching $\delta$")
for axes in (left, right):
    axes.set_xticks(config.snapshots, [f"{moment}" for moment in config.snapshots])
    axes.set_xticks([], minor=True)

# %% tags=["remove-input"]
early = config.snapshots.index(1000)
gaps_10 = over_networks("gap")[:, :, at_level]
isotropic_left, along_left = unexplained.values()
assert along_left[:, early].max() < 0.1 and isotropic_left[:, early].min() > 0.3
assert along_left[:, late].min() > 0.5 and isotropic_left[:, late].min() > 0.5
assert (match[:, late].diff(dim=1) > 0).all()
glue(ring_along=along_left[:, early].max(), ring_off=isotropic_left[:, early].min(),
     late_along=along_left[:, late].min(), late_off=isotropic_left[:, late].min(),
     match_03=match[:, late, 0].median(), match_107=match[:, late, 1].median(),
     match_28=match[:, late, 2].median())

# %% [markdown]
# What do they err by? With ten points and at 1000 steps, when all five of width 64 are
# the ring, a blur along the ring leaves at most {glue:text}`ring_along:.2f` of their
# difference from the optimal denoiser unexplained, an isotropic one
# {glue:text}`ring_off:.2f` or more. When they have become the points, what is left of
# their error is of neither kind: {glue:text}`late_along:.2f` or more stays unexplained
# along the ring, {glue:text}`late_off:.2f` or more in all directions.
#
# And one $\delta$ does not describe them: those that match their training error at the
# three places $s$ are {glue:text}`match_03:.2f`, {glue:text}`match_107:.2f` and
# {glue:text}`match_28:.2f` (medians). None of this was obtained on images.
#
# ## Summary
#
# - The reverse process of the optimal denoiser falls into basins, one a training point.
#   With a model error $\delta$ it resolves nothing finer than $\delta$, and hardly acts
#   at noise levels below.
# - So overfitting shows at intermediate noise only: near $\sigma = r/n$ on a lattice,
#   near $1.3\,\delta$ on random points. The bump is a product, and on a dense lattice a
#   function of $n\delta/r$ and $n\sigma/r$ alone.
# - Such a model generates training points plus noise. Its gap tells how wide the noise
#   is, and does not order models by risk: the best isotropic error has a gap of
#   {glue:text}`gap_at_best:.1f`, and models without a gap are nearly ideal or poor.
# - Networks of this size first become the ring, with an error that runs along the data.
#   The density of the data decides whether they go on to the points: of eight points
#   all do, of fourteen or more none, at any of three widths.
#
# ## Reuse this
#
# Your own events, half of them held out: is there a bump, and where? The cell stands
# alone.

# %%
import torch
from nearsight import EmpiricalDenoiser, generalization_gap
from nearsight.datasets import ring

generator = torch.Generator().manual_seed(0)
data = ring(80, generator=generator)  # yours: events [N, *event] from one source
shuffled = data[torch.randperm(len(data), generator=generator)]
known, unseen = shuffled.chunk(2)  # halves at random, whatever the order of the data
model = EmpiricalDenoiser(known, blur=1.0)  # yours: lambda x, sigma: network(x, sigma)
sigmas = torch.logspace(-1.5, 1.5, 13)
found = generalization_gap(model, known, unseen, sigmas, draws=200, generator=generator)
for sigma, value in zip(sigmas.tolist(), found.gap.tolist()):
    bar = "#" * round(60 * max(value, 0))
    print(f"noise level {sigma:7.4f}   gap {value:7.4f}  {bar}")

# %% [markdown]
# ## Exercises
#
# 1. *A point apart.* In the explorable, drag one training point outward, off the ring.
#    At which $\delta$ does its island join the others, and what does the gap at the
#    probe do meanwhile?
# 2. *Mean square.* Redraw {numref}`fig-islands` with `metric="mse"`. Where do the
#    bridges break now?
# 3. *Patience.* Train a network of width 64 on 12 and on 20 points for 32,000 steps,
#    with `snapshots` of `nearsight.studies.ring_networks`. Where does the turn go?
# 4. *Yours.* Train one of width 128 on twenty random points. Does it pass through the
#    ring?
#
# ## Provenance
#
# The toy model, its settings and the numbers of the published protocol are those of
# {cite:t}`kaiser2026generalize` (first version) and of their released notebooks; the
# recipe of {numref}`fig-islands` is our reconstruction, at $\sigma = 1.07$ where their
# grid has 1.0717. The laws of the bridges and of the bump, the excess risk and
# everything about networks are our own. All was computed when this page was built,
# except the networks:

# %% tags=["remove-input"]
provenance(record)
