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
# # The flow field: going deeper
#
# The companion of [chapter 3](03_flow_field.py): the rest of the published toy
# experiments, what follows from them, and what went wrong in them. Each section stands
# alone. Definitions are those of the chapter: ten points on a ring of radius $r = 10$
# unless said otherwise, $y_\delta$ the denoiser with model error $\delta$
# {eq}`eq-blurred`, $R$ the excess risk {eq}`eq-excess-risk`, $a = n\delta/r$ and $s =
# n\sigma/r$. Gaps $G$ are those of the mean square, and where a published figure is
# reproduced those of the mean norm $|D - y|$, "of the norm". The *ideal* is the
# denoiser of the whole circle {eq}`eq-ring`; its gap is 0.

# %% tags=["hide-input"]
import math

import torch
from nearsight import (
    EmpiricalDenoiser,
    RingDenoiser,
    edm_sigmas,
    generalization_gap,
    guided,
    records,
    sample,
)
from nearsight.datasets import on_ring, ring, ring_split
from nearsight.flow import (
    excess_risk,
    gap_peak,
    guided_blur,
    lattice_gap,
    mode_distance,
    padded_gap,
    place_gap,
    published_gap,
    published_noise,
    published_random_split,
    published_sigmas,
    random_gap,
    return_probability,
    state_distance,
)
from nearsight.measures import denoising_error, frechet, mean_interval, point_errors
from scipy import optimize

radius, n, level = 10.0, 10, 1.07

# %% tags=["hide-input"]
import numpy as np
from matplotlib import pyplot as plt
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
from nearsight.quadrature import polar
from nearsight.randomness import stream
from nearsight.studies import find
from nearsight.studies.random_rings import RATIOS, RandomRings, random_errors

use_style()
torch.set_num_threads(1)  # many small arrays: a second thread would mostly wait

# %%
train, holdout = ring_split(n, radius, turn=0.01)
ideal = RingDenoiser(radius)
noise, weights = polar(32, 48)
few, shares = polar(24, 32)
exact = {"noise": noise[:, None], "weights": weights}
quick = {"noise": few[:, None], "weights": shares}
published_grid = published_sigmas()


def gap_of(denoiser, levels, metric="mse"):
    """Exact gap on the lattice, where one point of each kind stands for all."""
    return generalization_gap(denoiser, train[:1], holdout[:1], levels, metric,
                              **exact).gap


# %% [markdown]
# ## Denser data acts like more error
#
# The published density figure: $\delta = 1.6$ fixed, 8 to 15 training points. We expect
# the bump to fall, and its place to move as $1/n$.

# %%
counts = range(8, 16)
by_density, protocol = {}, {}
for count in counts:
    points, between = ring_split(count, radius, turn=0.01)
    blurred = EmpiricalDenoiser(points, 1.6)
    by_density[count] = generalization_gap(blurred, points[:1], between[:1],
                                           published_grid, "norm", **exact).gap
    protocol[count] = published_gap(blurred, points, between).gap

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gap of the norm at $\\delta = 1.6$ for 8 to 15 points: exact (lines) and by the published protocol (dashed). The bump falls and moves to smaller noise. The ripples of the dashed lines near $\\sigma = 6$ are noise.", "name": "fig-density"}, "image": {"alt": "Eight bumps of the gap against noise level. With 8 points the bump is 0.74 high at noise level 1.4, with 15 points it is below 0.1 at 0.8; dashed Monte Carlo curves ripple around them, and the ideal is a line at zero.", "width": "85%"}}
figure, axes = plt.subplots(figsize=(6.8, 3.3))
for count in counts:
    color = plt.get_cmap("viridis")(1 - (count - 7) / 9)
    axes.plot(published_grid, by_density[count], color=color)
    axes.plot(published_grid, protocol[count], "--", color=color, linewidth=0.9)
    if count < 13:
        height = float(by_density[count].max())
        axes.text(4.2, height, f"$n = {count}$", fontsize=8.5, va="center", color=color)
        place = float(published_grid[by_density[count].argmax()])
        axes.plot([place, 4.0], [height] * 2, color=color, linewidth=0.4)
axes.axhline(0, color=THEORY, linewidth=0.8)
axes.text(0.022, -0.06, "ideal: 0", color=THEORY, fontsize=8.5)
axes.set(xscale="log", xlim=(0.02, 40), ylim=(-0.1, 0.85), ylabel="gap $G$ of the norm",
         xlabel=r"noise level $\sigma$");

# %% tags=["remove-input"]
tops = torch.stack([gap.max() for gap in by_density.values()])
tens = torch.tensor(list(counts), dtype=torch.float64)
tips = []
for count in counts:
    points, between = ring_split(count, radius)
    near_peak = torch.linspace(10.5 / count, 12.5 / count, 81, dtype=torch.float64)
    tips.append(near_peak[generalization_gap(EmpiricalDenoiser(points, 1.6), points[:1],
                                             between[:1], near_peak, "norm",
                                             **quick).gap.argmax()])
design = torch.stack([tens.log(), torch.ones_like(tens)], 1)
slope = float(torch.linalg.lstsq(design, torch.stack(tips).log()[:, None]).solution[0])
assert (tops.diff() < 0).all() and abs(tops[0] - 0.738) < 1e-3 and tops[-1] < 0.1
assert abs(slope + 1) < 0.05
for count, height in ((8, 0.7998), (10, 0.3869), (12, 0.2129), (14, 0.1061)):
    assert abs(protocol[count].max() - height) < 1e-3
beyond = (published_grid > 6) & (published_grid < 10)
glue(dense_8=tops[0], dense_15=tops[-1], slope=slope,
     ripple=max(gap[beyond].abs().max() for gap in protocol.values()),
     no_ripple=max(gap[beyond].abs().max() for gap in by_density.values()))

# %% [markdown]
# From {glue:text}`dense_8:.2f` to {glue:text}`dense_15:.2f`, at a noise level that goes
# as $n$ to the power {glue:text}`slope:.2f`.
#
# In the published curves there are wiggles of up to {glue:text}`ripple:.2f` between
# $\sigma = 6$ and 10, where the exact gap is at most {glue:text}`no_ripple:.4f`.
#
# ## Along the ring
#
# The map of the chapter, cut along the circle. Where training points stand it should be
# zero; in every arc there should be a hump.

# %%
around = torch.linspace(0, math.pi, 401, dtype=torch.float64)
profile = {delta: place_gap(EmpiricalDenoiser(train, delta), train, on_ring(around),
                            level, few, shares) for delta in (2.0, 1.6, 1.2)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gap of the norm along the ring at $\\sigma = 1.07$: zero at each training point (dashed), a hump in every arc. The model does not treat the circle as one thing; the ideal does.", "name": "fig-profile"}, "image": {"alt": "Three periodic curves against the angle from 0 to pi. All touch zero at five dashed training angles and peak midway between them, at heights 0.14, 0.36 and 0.89; the ideal is a line at zero.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.6, 2.8))
for angle in torch.atan2(train[:, 1], train[:, 0]):
    if angle >= 0:
        axes.axvline(float(angle), color=NEUTRAL, linestyle="--", linewidth=0.8)
for (delta, gap), color in zip(profile.items(), (NEUTRAL, TRAIN, LOSS)):
    axes.plot(around, gap, color=color)
    axes.text(math.pi + 0.03, {2.0: 0.14, 1.6: 0.36, 1.2: 0.89}[delta],
              rf"$\delta = {delta:g}$", color=color, fontsize=9, va="center")
axes.axhline(0, color=THEORY, linewidth=0.8)
axes.text(math.pi + 0.03, 0, "ideal", color=THEORY, fontsize=9, va="center")
axes.set(xlim=(0, math.pi), ylim=(-0.05, 1.0), xlabel="angle (radians)",
         ylabel="gap $G(y)$ of the norm");

# %% tags=["remove-input"]
at_points = torch.stack([place_gap(EmpiricalDenoiser(train, delta), train, train, level,
                                   *polar(24, 40)) for delta in profile])
assert at_points.abs().max() < 1e-9
for gap, height in zip(profile.values(), (0.1429, 0.3563, 0.8925)):
    turns = (gap.diff() > 0).long().diff()
    assert (turns == -1).sum() == 5 and abs(gap.max() - height) < 2e-3

# %% [markdown]
# ## A picture that cannot explain the gap
#
# The published paper shades the region where the denoiser moves a state by less than
# the noise, $|y_\delta(x) - x| \le \sigma$, and reads from it where the model "treats
# $x$ like data". Here is the picture, and beside it the reason why it cannot carry
# that.

# %%
side = torch.linspace(-17.5, 17.5, 120, dtype=torch.float64)
places = torch.stack(torch.meshgrid(side, side, indexing="xy"), 2).flatten(0, 1)
circle = on_ring(torch.linspace(0, 2 * math.pi, 201, dtype=torch.float64)[:-1])


def displacement(denoiser, sigma, x):
    return (denoiser(x, sigma) - x).norm(dim=1)


def widest(denoiser):
    """The largest displacement on the ring, over sigma."""
    return torch.stack([displacement(denoiser, sigma, circle).max() / sigma
                        for sigma in published_grid])


ratios = {delta: widest(EmpiricalDenoiser(train, delta)) for delta in (0.4, 1.01, 2.0)}
of_the_ideal = widest(ideal)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: displacement of a state where it is less than $\\sigma$ (shaded), as published. Right: the largest displacement on the ring over $\\sigma$. For $\\delta \\ge 1.01$ it stays below 1: the ring lies inside the region at every noise level.", "name": "fig-displacement"}, "image": {"alt": "Nine small maps of shaded regions around the ring, and curves of the largest relative displacement on the ring: only the curve of model error 0.4 rises above one; that of the ideal is near zero.", "width": "100%"}}
figure = plt.figure(figsize=(7.9, 4.4))
pictures, right = figure.subfigures(1, 2, width_ratios=[1.5, 1])
grid = pictures.subplots(3, 3, sharex=True, sharey=True,
                         gridspec_kw={"wspace": 0, "hspace": 0})
for line, delta in zip(grid, (0.4, 1.2, 2.0)):
    for axes, sigma in zip(line, (0.63, 1.07, 2.8)):
        moved = displacement(EmpiricalDenoiser(train, delta), sigma, places)
        axes.contourf(side, side, moved.view(120, 120), cmap="viridis_r",
                      levels=torch.linspace(0, sigma, 31).tolist())
        axes.plot(*train.T, "+", color=THEORY, markersize=4)
        axes.set(aspect="equal", xticks=[-10, 0, 10], yticks=[-10, 0, 10])
        if delta == 0.4:
            axes.set_title(rf"$\sigma = {sigma}$", fontsize=9)
    line[0].set_ylabel(rf"$\delta = {delta}$")
axes = right.subplots()
axes.axhline(1, color=NEUTRAL, linewidth=0.8)
for (delta, ratio), color, place in zip(ratios.items(), (LOSS, HOLDOUT, TRAIN),
                                        ((0.75, 3.4), (0.33, 0.5), (0.33, 0.25))):
    axes.plot(published_grid, ratio, color=color)
    axes.text(*place, rf"$\delta = {delta}$", color=color, fontsize=9)
axes.plot(published_grid, of_the_ideal, color=THEORY, linestyle="--")
axes.text(5, 0.64, "ideal (dashed)", color=THEORY, fontsize=9)
axes.set(xscale="log", xlim=(0.05, 80), ylim=(0, 3.8), xlabel=r"noise level $\sigma$",
         ylabel=r"largest $|y_\delta(x) - x|\,/\,\sigma$ on the ring");

# %% tags=["remove-input"]
assert all(ratio.max() <= 1 for delta, ratio in ratios.items() if delta >= 1.01)
assert ratios[0.4].max() > 2
saddle = max(float(displacement(EmpiricalDenoiser(train, delta), sigma, holdout[:1]))
             for delta in (0.0, 0.4, 1.01, 2.0, 3.5)
             for sigma in (0.01, 0.1, 0.5, 1.0, 1.5, 2.0, 2.4))
at_the_peak = published_grid[(published_grid > 0.7) & (published_grid < 2)]
finer = torch.linspace(1.1, 1.24, 281, dtype=torch.float64)
norm_peaks = {delta: gap_of(EmpiricalDenoiser(train, delta), at_the_peak, "norm")
              for delta in (1.01, 1.2, 2.2)}
fine_gaps = [gap_of(EmpiricalDenoiser(train, delta), finer, "norm")
             for delta in (1.2, 2.2)]
true_peaks = [float(finer[gap.argmax()]) for gap in fine_gaps]
grid_peaks = [float(at_the_peak[norm_peaks[delta].argmax()]) for delta in (1.2, 2.2)]
assert abs(true_peaks[0] - 1.155) < 3e-3 and abs(true_peaks[1] - 1.176) < 3e-3
assert grid_peaks[0] == grid_peaks[1] and saddle <= 0.505
assert 1.3 < norm_peaks[1.01].max() < 1.5 and norm_peaks[2.2].max() < 0.1
glue(saddle=saddle, peak_101=norm_peaks[1.01].max(), peak_22=norm_peaks[2.2].max(),
     widest_101=ratios[1.01].max(), true_12=true_peaks[0], true_22=true_peaks[1],
     grid_peak=grid_peaks[0], index_42=published_grid[42], index_60=published_grid[60],
     index_96=published_grid[96])

# %% [markdown]
# At $\delta = 1.01$ the largest displacement on the ring is {glue:text}`widest_101:.2f`
# times $\sigma$ at most, and the gap peaks at {glue:text}`peak_101:.2f`; at 2.2 it
# peaks at {glue:text}`peak_22:.2f`. In the middle of an arc, where the gap is large,
# the field has a saddle: whatever $\delta$, and for every $\sigma \le 2.4$, the
# displacement there is at most {glue:text}`saddle:.2f`. A place can be at rest and
# still be unlike the training data: what counts is where its noised copies go.
#
# ## Guidance is a smaller model error
#
# `guided` pushes a denoiser away from a worse one. With model errors 1.8 and 2.2 the
# bump should rise with the weight $\omega$, on the lattice and on random points. On a
# single point everything is linear and guidance *is* another model error:
# $1/(\sigma^2 + \delta_\text{eff}^2) = (1 + \omega)/(\sigma^2 + \delta_+^2) -
# \omega/(\sigma^2 + \delta_-^2)$. On ten points, its limit at $\sigma = 0$ is a rule of
# thumb that we can test.

# %%
near = torch.linspace(1.0, 1.35, 36, dtype=torch.float64)
strengths = [0.0, 0.5, 1.0, 1.5, 2.0]


def pushed(points, weight):
    return guided(EmpiricalDenoiser(points, 1.8), EmpiricalDenoiser(points, 2.2),
                  weight)


def peak(denoiser):
    return float(generalization_gap(denoiser, train[:1], holdout[:1], near, "norm",
                                    **quick).gap.max())


def same_peak(weight):
    """The model error with the peak of the guided denoiser."""
    wanted = peak(pushed(train, weight))
    return optimize.brentq(lambda delta: peak(EmpiricalDenoiser(train, delta)) - wanted,
                           1.0, 2.0, xtol=1e-4)


# %%
some, others = published_random_split(20, seed=0)
on_lattice = {weight: gap_of(pushed(train, weight), published_grid, "norm")
              for weight in strengths}
on_random = {weight: published_gap(pushed(some, weight), some, others,
                                   alternate=False).gap for weight in strengths}
rule = [guided_blur(1.8, 2.2, weight) for weight in strengths]
matched = [same_peak(weight) for weight in strengths]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Guidance away from a blurrier denoiser raises the bump, on the lattice (left, exact) and on twenty random points (middle, published protocol). Right: the model error with the same peak (dots) and the rule that adds precisions (line).", "name": "fig-guidance"}, "image": {"alt": "Left and middle: five bumps of the gap that rise with the guidance weight from 0 to 2. Right: the effective model error falls from 1.8 to 1.34, close to the line of the rule.", "width": "100%"}}
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(7.9, 2.9))
for axes, found, title in ((left, on_lattice, "lattice"),
                           (middle, on_random, "random")):
    for weight, gap in found.items():
        color = plt.get_cmap("viridis_r")(0.2 + 0.4 * weight)
        top = int(gap.argmax())
        axes.plot(published_grid, gap, color=color)
        if weight in (0, 1, 2):
            axes.plot([float(published_grid[top]), 6.0], [gap[top]] * 2, color=color,
                      linewidth=0.4)
            axes.text(6.5, float(gap[top]), rf"$\omega = {weight:g}$", color=color,
                      fontsize=8.5, va="center")
    axes.axhline(0, color=THEORY, linewidth=0.8)
    axes.text(0.06, -0.06, "ideal: 0", color=THEORY, fontsize=8.5)
    axes.set(xscale="log", xlim=(0.05, 60), ylim=(-0.08, 0.75), title=title,
             xlabel=r"noise level $\sigma$")
left.set_ylabel("gap $G$ of the norm")
right.plot(strengths, matched, "o", color=TRAIN)
right.plot(strengths, rule, color=THEORY)
right.set(xlabel=r"weight $\omega$", ylabel=r"effective $\delta$", ylim=(1.2, 1.9),
          xticks=[0, 1, 2]);

# %% tags=["remove-input"]
for found in (on_lattice, on_random):
    assert (torch.stack([gap.max() for gap in found.values()]).diff() > 0).all()
misses = [abs(mine / theirs - 1) for mine, theirs in zip(rule, matched)]
assert max(misses[:3]) < 0.0115 and misses[4] < 0.042
glue(lattice_0=on_lattice[0.0].max(), lattice_2=on_lattice[2.0].max(),
     random_0=on_random[0.0].max(), random_2=on_random[2.0].max(), matched_1=matched[2],
     rule_1=rule[2], matched_2=matched[4], rule_2=rule[4])

# %% [markdown]
# From $\omega = 0$ to 2 the peak rises from {glue:text}`lattice_0:.3f` to
# {glue:text}`lattice_2:.3f` on the lattice, and from {glue:text}`random_0:.3f` to
# {glue:text}`random_2:.3f` on random points.
#
# The model error that would do the same is {glue:text}`matched_1:.2f` at $\omega = 1$,
# where the rule says {glue:text}`rule_1:.2f`, and {glue:text}`matched_2:.2f` at 2,
# where it says {glue:text}`rule_2:.2f`. So guidance of this kind brings a model nearer
# to its training points.
#
# ## Lattice and random points obey different laws
#
# The published text says that the points are independent and uniform; the figures are
# of the lattice. That matters. On a lattice the only structure is the spacing; random
# points have fluctuations at every wavelength, and whatever $\delta$ is, some are left
# to resolve. To first order in $1/a$, with $\tau = \sigma/\delta$,
#
# $$
# G \approx \frac1a \cdot \frac{2\sqrt{2\pi}\; \tau^2 (1 + 2\tau^2)^{-3/2}}
# {1 + (1 + \tau^2)^{-2}} .
# $$ (eq-random)
#
# :::{dropdown} Derivation
#
# On this page, $\ell$ is a number of points per length, $\varphi$ a density, and
# $\zeta$ a relative excess of density.
#
# For many points the ring is locally a line with $\ell = n/2\pi r$.
# At total noise $\sigma_t^2 = \sigma^2 + \delta^2$ their density is $\ell\,(1 +
# \zeta)$, with $\zeta$ a sum over points of $\varphi(x_1 - y_i)/\ell$ less 1, where
# $\varphi$ is the density of $\mathcal N(0, \sigma_t^2)$. Since $\zeta$ is of order
# $a^{-1/2}$, Tweedie's formula gives $y_\delta - x \approx \sigma^2 \zeta'(x_1)$ along
# the line, and across it $y_\delta$ errs by $\delta^2\sigma\varepsilon_2/\sigma_t^2$ as
# on a lattice.
#
# At a held-out point the mean of $\zeta$ is 0, and to this order $E_\text{holdout} =
# \sigma^2 \bigl(1 + \delta^4/\sigma_t^4\bigr)$. At a training point $\zeta$ has the
# point's own share, $\varphi(x_1 - y)/\ell$. By Stein's lemma it changes the squared
# error by
#
# $$
# 2\sigma^3\, \mathbb E\bigl[\varepsilon_1\, \varphi'(\sigma\varepsilon_1)\bigr]/\ell
# = 2\sigma^4\, \mathbb E\bigl[\varphi''(\sigma\varepsilon_1)\bigr]/\ell
# = -\frac{2\sigma^4}{\ell\sqrt{2\pi}\,(\sigma^2 + \sigma_t^2)^{3/2}} ,
# $$
#
# since $\varphi$ averaged over $\sigma\varepsilon_1$ is a Gaussian of variance
# $\sigma^2 + \sigma_t^2$. All other terms of order $1/a$ are the same for both kinds of
# points, so they change $G$ in the next order. Divide by $E_\text{holdout}$ and insert
# $\ell$.
# :::
#
# Up to $a = 4$ we draw thirty random rings of each kind now; the draws at larger $a$,
# with up to 600 points, are recorded.

# %%
own_reaches = (1.2, 1.7, 2.4, 3.2, 4.0)
own_rings = RandomRings(own_reaches, repeats=30)
drawn = {reach: [random_errors(own_rings, (repeat, reach)) for repeat in range(30)]
         for reach in own_reaches}
run = find("random-rings-laptop")
record = records.load(run)
for stage, reach in zip(record.results.stages, run.config.reaches * run.config.repeats):
    drawn.setdefault(reach, []).append(stage.arrays)
beside(records.compare(record, records.compute(run, stages=1)))

# %% [markdown]
# That was the first recorded draw, computed again just now. For each $a$ we average the
# errors over draws, take the peak of the gap of the averages, and resample the draws
# for an interval.

# %%
def errors_of(reach, kind):
    return torch.stack([draw[kind] for draw in drawn[reach]])


peaks = {reach: gap_peak(errors_of(reach, "train"), errors_of(reach, "holdout"), RATIOS,
                         stream(0, 4)) for reach in sorted(drawn)}
line = torch.linspace(0.8, 1.3, 26, dtype=torch.float64)
grid_a = torch.linspace(1.2, 5, 9, dtype=torch.float64)
lattice_curves = [lattice_gap(float(a), line) for a in grid_a]
lattice_peaks = torch.stack([torch.stack([gap.max(), line[gap.argmax()]])
                             for gap in lattice_curves])

# %% [markdown]
# Does the lattice law hold locally, arc by arc? For forty random rings of twelve points
# at $a = 1.2$ we take the middle of each arc, its gap against the two points at its
# ends, and the lattice law for that arc's own spacing.

# %%
arc_draws, arcs = stream(0, 5), []
for _ in range(40):
    turns = torch.rand(12, dtype=torch.float64, generator=arc_draws)
    angles = 2 * math.pi * turns.sort().values
    spacing = torch.cat([angles.diff(), angles[:1] + 2 * math.pi - angles[-1:]])
    denoiser = EmpiricalDenoiser(on_ring(angles), 1.0)
    ends = point_errors(denoiser, on_ring(angles), [1.0], **quick)[0]
    between = point_errors(denoiser, on_ring(angles + spacing / 2), [1.0], **quick)[0]
    arcs.append(torch.stack([2 * math.pi / spacing / radius,
                             2 * between / (ends + ends.roll(-1)) - 1]))
own_a, own_gap = torch.cat(arcs, 1)
law_a = torch.logspace(-0.4, 0.6, 30, dtype=torch.float64)
law = torch.cat([lattice_gap(float(a), [float(a)]) for a in law_a])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Height (left) and place (middle) of the bump against $a$: lattices (dotted: $\\tfrac4e e^{-a^2/2}$) and random points (dots, 95 % intervals; dashed: first order in $1/a$). Right: gap in the middle of single random arcs, and the lattice law for the arc's own spacing.", "name": "fig-random"}, "image": {"alt": "Left: the height of the bump falls exponentially for lattices and as one over a for random points. Middle: the place of the peak over delta falls with a for lattices and stays between 1.1 and 1.4 for random points. Right: scattered arcs around the lattice law.", "width": "100%"}}
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(7.9, 3.0))
tau = torch.linspace(1, 1.6, 601, dtype=torch.float64)
first_order = random_gap(1.0, tau)
wide_a = torch.logspace(0.05, 1.85, 50, dtype=torch.float64)
left.plot(grid_a, lattice_peaks[:, 0], color=TRAIN)
left.text(1.2, 3e-3, "lattice", color=TRAIN, fontsize=9)
left.plot(grid_a, 4 / math.e * torch.exp(-grid_a**2 / 2), ":", color=TRAIN, linewidth=1)
curve(left, wide_a, first_order.max() / wide_a, "random", HOLDOUT, at=26,
      offset=(4, 10), linestyle="--", linewidth=1)
middle.plot(grid_a, lattice_peaks[:, 1] / grid_a, color=TRAIN)
middle.text(1.15, 0.2, "lattice", color=TRAIN, fontsize=9)
middle.axhline(float(tau[first_order.argmax()]), color=HOLDOUT, linestyle="--",
               linewidth=1)
middle.text(3.1, 1.72, "random", color=HOLDOUT, fontsize=9)
for reach, found in peaks.items():
    for axes, value, ends in ((left, found.height, found.height_interval),
                              (middle, found.place, found.place_interval)):
        axes.plot([reach, reach], ends, color=HOLDOUT, linewidth=1)
        axes.plot(reach, value, "o", color=HOLDOUT)
left.set(xscale="log", yscale="log", ylim=(1e-4, 4), xlabel=r"$a = n\delta/r$",
         ylabel="peak of $G$")
middle.set(xscale="log", xlabel=r"$a = n\delta/r$", ylim=(0, 2),
           ylabel=r"place of the peak $\sigma/\delta$")
right.plot(own_a, own_gap, ".", color=HOLDOUT, markersize=3, alpha=0.5)
curve(right, law_a, law, "lattice law", TRAIN, at=8, offset=(6, 6))
right.set_yscale("symlog", linthresh=0.1)
right.set(xscale="log", xlim=(0.35, 5), ylim=(-1.2, 60), ylabel="gap in its middle",
          xlabel=r"own $a$ of an arc, $2\pi\delta/$spacing", yticks=[-1, 0, 1, 10])
for axes, ticks in ((left, [1, 3, 10, 30]), (middle, [1, 3, 10, 30]),
                    (right, [0.5, 1, 2, 4])):
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)

# %% tags=["remove-input"]
by_law = torch.from_numpy(np.interp(own_a.log(), law_a.log(), law))
wide_arcs, narrow_arcs = own_a < 1, own_a > 2.5
share_of_law = own_gap / by_law
assert (lattice_peaks[:, 1] - 1.1).abs().max() < 0.1
assert share_of_law[wide_arcs].quantile(0.1) > 0.5
assert share_of_law[wide_arcs].quantile(0.9) < 1.1
assert own_gap[narrow_arcs].median() < -0.02
assert all(0.9 < peaks[reach].place < 1.9 for reach in run.config.reaches)
for reach in run.config.reaches:
    found, name = peaks[reach], f"{reach:.0f}"
    low, high = found.height_interval
    assert low * reach < 1.25 * float(first_order.max()) and high * reach > 0.75
    glue(**{f"ag_{name}": reach * found.height, f"ag_{name}_low": reach * low,
            f"ag_{name}_high": reach * high,
            f"place_{name}": found.place})
glue(first_order=first_order.max(), first_place=tau[first_order.argmax()],
     lattice_4=lattice_gap(4.0, line).max(), random_4=peaks[4.0].height,
     wide_ratio=share_of_law[wide_arcs].median(),
     narrow_gap=own_gap[narrow_arcs].median())

# %% [markdown]
# At $a = 4$ the bump of a lattice is {glue:text}`lattice_4:.4f` high and that of random
# points {glue:text}`random_4:.2f`. For large $a$ the product $aG$ and the place of the
# peak should near what {eq}`eq-random` says (the largest value of a noisy curve is a
# little too large):
#
# | $a$ | $aG$ at the peak, 95 % interval | $\sigma/\delta$ at the peak |
# | --- | --- | --- |
# | 8 | {glue:text}`ag_8:.2f` [{glue:text}`ag_8_low:.2f`, {glue:text}`ag_8_high:.2f`] | {glue:text}`place_8:.2f` |
# | 16 | {glue:text}`ag_16:.2f` [{glue:text}`ag_16_low:.2f`, {glue:text}`ag_16_high:.2f`] | {glue:text}`place_16:.2f` |
# | 32 | {glue:text}`ag_32:.2f` [{glue:text}`ag_32_low:.2f`, {glue:text}`ag_32_high:.2f`] | {glue:text}`place_32:.2f` |
# | 60 | {glue:text}`ag_60:.2f` [{glue:text}`ag_60_low:.2f`, {glue:text}`ag_60_high:.2f`] | {glue:text}`place_60:.2f` |
# | {eq}`eq-random` | {glue:text}`first_order:.2f` | {glue:text}`first_place:.2f` |
#
# "The gap emerges at $\sigma \approx \delta$" is thus a law of random data; a peak that
# does not move is the lattice's. Arc by arc, the lattice law is a fair guide for the
# wide arcs (own $a$ below 1), whose gap is {glue:text}`wide_ratio:.2f` of it in the
# median; in the middle of narrow arcs (own $a$ above 2.5) the gap is even negative,
# {glue:text}`narrow_gap:.2f`: two training points pull harder than one.
#
# ## The best error at each noise level
#
# The chapter finds that excess risk has a minimum in the isotropic model error. Where
# it lies depends on the noise level, so no single $\delta$ is right everywhere.

# %%
arc = on_ring(2 * math.pi * (torch.arange(12, dtype=torch.float64) + 0.5) / (12 * n)
              + 0.02 * math.pi)  # by symmetry one arc stands for the circle


def risk(delta, sigma):
    return float(excess_risk(EmpiricalDenoiser(train, float(delta)), ideal, arc,
                             [sigma], **quick))


best_at = torch.tensor([0.2, 0.3, 0.5, 0.75, 1.07, 1.4, 1.8, 2.2, 2.7, 3.2, 3.6, 4.0])
best = torch.tensor([optimize.minimize_scalar(risk, bounds=(0, 3), args=(sigma,),
                                              method="bounded").x
                     for sigma in best_at.tolist()])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The isotropic model error of least excess risk at each noise level. (The ideal needs none.)", "name": "fig-best-error"}, "image": {"alt": "A curve of the best model error that falls from 1.5 at small noise to 0.15 at noise level 4.", "width": "60%"}}
figure, axes = plt.subplots(figsize=(4.8, 2.7))
axes.plot(best_at, best, "o-", color=THEORY)
axes.set(xlabel=r"noise level $\sigma$", ylabel=r"best model error $\delta^*$",
         ylim=(0, 1.7));

# %% tags=["remove-input"]
assert (best.diff() < 0).all() and abs(best[4] - 1.339) < 0.01
glue(best_low=best[1], best_high=best[-1])

# %% [markdown]
# It falls from {glue:text}`best_low:.2f` at $\sigma = 0.3$ to
# {glue:text}`best_high:.2f` at 4.
#
# ## How many steps early stopping takes
#
# By {prf:ref}`thm-early` the model with error $\delta$ and the optimal denoiser stopped
# at $\sigma = \delta$ take the same paths. Solvers agree with each other up to their
# own error, which should fall with the order of the solver.

# %%
latents = 80 * torch.randn(300, 2, dtype=torch.float64, generator=stream(0, 6))


def apart(steps, solver):
    """Largest distance between endpoints of the two."""
    schedule = edm_sigmas(steps)
    erring = sample(EmpiricalDenoiser(train, 1.6), latents, schedule, solver)
    stopped = sample(EmpiricalDenoiser(train), latents, (schedule**2 + 1.6**2).sqrt(),
                     solver)
    return float((erring - stopped).norm(dim=1).max())


steps = torch.tensor([20, 40, 80, 160, 320])
distance = {solver: torch.tensor([apart(int(count), solver) for count in steps])
            for solver in ("euler", "heun")}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Largest distance between the endpoints of the model with error $\\delta = 1.6$ and of the optimal denoiser stopped at $\\sigma = 1.6$, against the number of steps.", "name": "fig-solvers"}, "image": {"alt": "Distance against steps on logarithmic axes, of slope minus one for Euler and minus two for Heun.", "width": "60%"}}
figure, axes = plt.subplots(figsize=(4.8, 2.7))
for solver, color in (("euler", NEUTRAL), ("heun", TRAIN)):
    curve(axes, steps, distance[solver], solver.capitalize(), color, at=1,
          offset=(4, 9), marker="o")
axes.set(xscale="log", yscale="log", xlabel="steps", ylabel="largest distance")
axes.set_xticks(steps.tolist(), [f"{count}" for count in steps])
axes.set_xticks([], minor=True);

# %% tags=["remove-input"]
order = math.log2(distance["heun"][-2] / distance["heun"][-1])
euler_order = math.log2(distance["euler"][-2] / distance["euler"][-1])
assert distance["heun"][-1] < 1e-3 and 1.6 < order < 2.4 and 0.7 < euler_order < 1.3
drawn_points = train[torch.randint(n, (300,), generator=stream(0, 7))]
kernel = drawn_points + 1.6 * torch.randn(300, 2, dtype=torch.float64,
                                          generator=stream(0, 8))
finish = sample(EmpiricalDenoiser(train, 1.6), latents, edm_sigmas(160))
nearest_of = [torch.cdist(cloud, train).min(1).values for cloud in (finish, kernel)]
spread = math.sqrt(float(nearest_of[0].var() + nearest_of[1].var()) / 300)
assert abs(nearest_of[0].mean() - nearest_of[1].mean()) < 4 * spread
glue(heun_320=distance["heun"][-1], euler_40=distance["euler"][1], order=order)

# %% [markdown]
# With 320 steps of Heun no two endpoints are farther apart than
# {glue:text}`heun_320:.4f`, and the distance falls with order {glue:text}`order:.2f`.
# Forty Euler steps, the published choice, are {glue:text}`euler_40:.2f` off.
#
# ## When is it revealed which point it was?
#
# For the optimal denoiser there is an exact accounting {cite:p}`guo2005mutual`: the
# area under $E_\text{sum}(\sigma)/\sigma^2$ against $\ln\sigma$, with the squared error
# summed over both coordinates, is the information that $x$ carries about the point,
# $\ln n$ nats in all. The ideal never comes to an end: on a circle ever finer noise
# reveals ever more of the place, so its curve tends to 1, one dimension.

# %%
log_sigmas = torch.linspace(math.log(0.02), math.log(2000), 231, dtype=torch.float64)
levels = log_sigmas.exp()


def rate(denoiser, points):
    return 2 * denoising_error(denoiser, points[:1], levels, **exact) / levels**2


revealed = {count: rate(EmpiricalDenoiser(ring(count)), ring(count))
            for count in (5, 10, 20, 40)}
of_the_circle = rate(ideal, ring(1))
areas = {count: torch.trapezoid(values, log_sigmas)
         for count, values in revealed.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Squared error of the optimal denoiser over $\\sigma^2$, against the noise level. The area under each curve is $\\ln n$: the identity of a point, in nats (dotted: half of it, for ten points). Dashed: the ideal.", "name": "fig-information"}, "image": {"alt": "Four curves with a common bump near noise level 6 and shoulders that reach further to small noise the more points there are; their areas are ln 5, ln 10, ln 20 and ln 40. The ideal follows them and stays near one at small noise.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.6, 3.0))
for (count, values), color in zip(revealed.items(), (NEUTRAL, TRAIN, HOLDOUT, LOSS)):
    axes.plot(levels, values, color=color)
    edge = float(levels[(values > 0.5).nonzero()[0, 0]])
    axes.text(0.93 * edge, 0.5, f"$n = {count}$" if count == 40 else f"{count}",
              color=color, fontsize=9, ha="right")
axes.plot(levels, of_the_circle, color=THEORY, linestyle="--", linewidth=1.2)
axes.text(0.11, 1.06, "ideal", color=THEORY, fontsize=9)
from_above = torch.cumulative_trapezoid(revealed[10].flip(0), -log_sigmas.flip(0))
half = levels.flip(0)[1:][(from_above > areas[10] / 2).nonzero()[0, 0]]
axes.axvline(float(half), color=TRAIN, linestyle=":", linewidth=1)
axes.set(xscale="log", xlim=(0.1, 200), ylim=(0, None), xlabel=r"noise level $\sigma$",
         ylabel=r"$E_\mathrm{sum}/\sigma^2$");

# %% tags=["remove-input"]
above_2 = from_above[(levels.flip(0)[1:] < 2).nonzero()[0, 0]] / areas[10]
assert all(abs(area - math.log(count)) < 1e-3 for count, area in areas.items())
assert abs(half - 4.5) < 0.1 and above_2 > 0.7 and abs(of_the_circle[0] - 1) < 1e-3
glue(above_2=100 * above_2, area=areas[10], log_ten=math.log(10), half=half)

# %% [markdown]
# For ten points the area is {glue:text}`area:.4f` nats ($\ln 10 =$
# {glue:text}`log_ten:.4f`). Half of it lies above $\sigma =$ {glue:text}`half:.1f`, and
# {glue:text}`above_2:.0f` % above 2, long before a state looks like a point.
#
# ## Do trajectories leave the noised training data?
#
# The paper's second statement: trajectories of a model with error leave the region of
# noised training data, so what the gap measures there says little about the samples.
# Does the toy show that? Around one point, noised data is $\mathcal N(y, \sigma^2 I)$
# and trajectory states are $\mathcal N(y, (\sigma^2 + \delta^2) I)$. The total
# variation between the two mixtures is the advantage of the best classifier. In the
# plane it is moderate; in $d$ dimensions (the ring padded with zeros) it nears 1. But
# isotropic error in many dimensions also pays in directions that carry nothing, and
# dilutes the gap.

# %%
dimensions = [2, 3, 4, 8, 16, 32, 64, 256, 1024, 12288]
blurred = EmpiricalDenoiser(train, 1.6)
plane = generalization_gap(blurred, train[:1], holdout[:1], [level], **exact)
overlap = torch.tensor([1 - state_distance(train, level, 1.6, dimension)
                        for dimension in dimensions])
diluted = torch.cat([padded_gap(2 * plane.train, 2 * plane.holdout, [level], 1.6,
                                dimension) for dimension in dimensions])
by_force = {}
for dimension in (8, 64):
    padded = [torch.nn.functional.pad(points, (0, dimension - 2))
              for points in (train, holdout)]
    eps = torch.randn(1000, n, dimension, dtype=torch.float64, generator=stream(0, 9))
    by_force[dimension] = float(generalization_gap(EmpiricalDenoiser(padded[0], 1.6),
                                                   *padded, [level], noise=eps).gap)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Overlap of trajectory states with noised training data (1 − total variation), and gap, against the dimension of the space that holds the ring; $\\sigma = 1.07$, $\\delta = 1.6$. Crosses: gap by brute force. Both vanish together.", "name": "fig-dimension"}, "image": {"alt": "Two falling curves on log axes. The overlap falls from 0.6 in the plane to a thousandth in 64 dimensions, the gap from 0.7 to 0.03; both vanish toward 12288 dimensions.", "width": "75%"}}
figure, axes = plt.subplots(figsize=(6.0, 3.0))
curve(axes, torch.tensor(dimensions), overlap.clamp(min=1e-12), "overlap", HOLDOUT,
      at=5, offset=(-56, -8), marker="o")
curve(axes, torch.tensor(dimensions), diluted, "gap", TRAIN, at=5, offset=(8, 6),
      marker="o")
axes.plot(by_force.keys(), by_force.values(), "x", color=THEORY, markersize=7)
axes.set(xscale="log", yscale="log", ylim=(1e-5, 2), xlabel="dimension $d$",
         ylabel="overlap, gap");

# %% tags=["remove-input"]
in_plane = [state_distance(train, level, delta) for delta in (1.2, 1.6)]
half_ratio = optimize.brentq(lambda ratio: float(mode_distance(ratio, 3072)) - 0.5,
                             0.01, 1)
assert (overlap.diff() < 1e-3).all() and (diluted.diff() < 0).all()
assert overlap[-1] < 1e-3 and diluted[-1] < 1e-3
assert all(abs(value / float(diluted[dimensions.index(dimension)]) - 1) < 0.1
           for dimension, value in by_force.items())
glue(tv_12=in_plane[0], tv_16=in_plane[1], overlap_64=overlap[6], gap_64=diluted[6],
     half_ratio=half_ratio)

# %% [markdown]
# In the plane the total variation is {glue:text}`tv_12:.2f` for $\delta = 1.2$ and
# {glue:text}`tv_16:.2f` for 1.6: partly, then. In 64 dimensions, where the overlap is
# {glue:text}`overlap_64:.3f`, the gap is {glue:text}`gap_64:.3f`.
#
# (In 3072 dimensions half separation takes a $\delta$ of only
# {glue:text}`half_ratio:.2f` $\sigma$.) The toy supports the statement about
# trajectories only where it has no gap left to explain; with error along the data both
# could differ.
#
# ## Where does a noised point return to?
#
# The flow of the optimal denoiser is a dynamical system, and its basins are, by
# symmetry, the ten sectors, at every noise level. So the chance that a noised training
# point flows back to itself is that of the noise staying in its sector. (The ideal's
# flow keeps the direction of a state and returns to no point.)

# %%
starts = [0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0]
smooth = torch.logspace(-0.5, 1.7, 60, dtype=torch.float64)
theory = torch.tensor([return_probability(n, float(sigma), radius) for sigma in smooth])
path_draws, returned = stream(0, 10), []
for sigma in starts:
    eps = torch.randn(1000, 2, dtype=torch.float64, generator=path_draws)
    x = train[:1] + sigma * eps
    down = torch.cat([torch.tensor([sigma]), edm_sigmas(24, sigma_max=0.99 * sigma)])
    ends = sample(EmpiricalDenoiser(train), x, down)
    returned.append(float((torch.cdist(ends, train).argmin(1) == 0).double().mean()))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of noised copies of a training point that the optimal flow takes back to it (dots: 1000 paths each, with two standard errors) and the closed form (line), down to 1/10, pure chance.", "name": "fig-basins"}, "image": {"alt": "A curve that falls from one at noise level 1 to one tenth beyond 30, with simulated dots on it.", "width": "70%"}}
figure, axes = plt.subplots(figsize=(5.6, 2.7))
curve(axes, smooth, theory, "sector of the point", THEORY, at=26, offset=(8, 4))
error = [2 * math.sqrt(share * (1 - share) / 1000) for share in returned]
axes.errorbar(starts, returned, error, fmt="o", color=TRAIN)
axes.axhline(1 / n, color=NEUTRAL, linewidth=0.8)
axes.set(xscale="log", ylim=(0, 1.05), xlabel=r"noise level $\sigma$",
         ylabel="share that returns");

# %% tags=["remove-input"]
for sigma, share in zip(starts, returned):
    expected = return_probability(n, sigma, radius)
    error = math.sqrt(expected * (1 - expected) / 1000)
    assert abs(share - expected) < 4 * error + 2e-3
glue(return_2=return_probability(n, 2.0), return_5=return_probability(n, 5.0),
     return_20=return_probability(n, 20.0))

# %% [markdown]
# It is {glue:text}`return_2:.3f` at $\sigma = 2$, {glue:text}`return_5:.3f` at 5 and
# {glue:text}`return_20:.3f` at 20: above 5 most copies become another point.
#
# ## Trajectories
#
# The published trajectory figure: a unit circle with twenty points, 150 paths without
# error, and with three errors; beside them the ideal.

# %%
unit = ring(20, radius=1.0)
begin = 80 * torch.randn(150, 2, dtype=torch.float64, generator=stream(0, 11))
models = {rf"$\delta = {delta:g}$": EmpiricalDenoiser(unit, delta)
          for delta in (0.0, 0.05, 0.1, 0.2)} | {"ideal": RingDenoiser(1.0)}
paths = {name: sample(model, begin, edm_sigmas(80), trajectory=True)
         for name, model in models.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "150 paths to twenty points on a unit circle: in the plane (top, the last stretch) and one coordinate against the step (bottom). Without model error they end on training points, with it in clouds of standard deviation $\\delta$ around them.", "name": "fig-trajectories"}, "image": {"alt": "Five pairs of panels for model errors 0, 0.05, 0.1 and 0.2 and the ideal. Paths end exactly on the points, then in growing clouds; those of the ideal end on the circle, all around.", "width": "100%"}}
figure, (top, bottom) = plt.subplots(2, 5, figsize=(8.2, 3.5), sharey="row")
for above, below, (name, (ends, path)) in zip(top, bottom, paths.items()):
    above.plot(*path[-30:].unbind(2), color=NEUTRAL, linewidth=0.4, alpha=0.5)
    above.plot(*ends.T, ".", color=HOLDOUT, markersize=2.5)
    above.plot(*unit.T, "+", color=THEORY, markersize=5)
    above.set(aspect="equal", xlim=(-1.8, 1.8), ylim=(-1.8, 1.8), xticks=[-1, 0, 1],
              yticks=[-1, 0, 1], title=name)
    below.plot(path[:, ::3, 0], color=NEUTRAL, linewidth=0.5, alpha=0.6)
    below.set(ylim=(-2.5, 2.5), xlabel="step", xticks=[0, 40, 80])
bottom[0].set_ylabel("$x_1$");

# %% tags=["remove-input"]
off_circle = {name: (ends.norm(dim=1) - 1).square().mean().sqrt()
              for name, (ends, _) in paths.items()}
assert torch.cdist(paths[r"$\delta = 0$"][0], unit).min(1).values.max() < 1e-6
assert all(abs(off_circle[rf"$\delta = {delta:g}$"] / delta - 1) < 0.2
           for delta in (0.05, 0.1, 0.2)) and off_circle["ideal"] < 1e-5
glue(radial_1=off_circle[r"$\delta = 0.1$"])

# %% [markdown]
# Without error every endpoint is a training point, up to rounding; with $\delta = 0.1$
# the root mean square distance from the circle is {glue:text}`radial_1:.3f`.
#
# ## What a Fréchet distance says of memory
#
# The published sampling experiment draws 500 training and 500 held-out points at random
# angles, generates 1000 endpoints with 40 Euler steps, and compares their Fréchet
# distance to both sets as $\delta$ falls. The curves differ, and the difference was
# read as a sign of memory. With one split one cannot tell; we repeat it with twenty,
# keeping Euler, and beside it with samples of the ideal, which has no memory. (What
# does show memory is the preference, in {numref}`fig-early`.)

# %%
errors = torch.linspace(3.0, 0.1, 10).tolist()
start = 80 * published_noise(1000, draws=1)[0]
by_the_ideal = sample(ideal, start, edm_sigmas(40), solver="euler")


def distances(points, other, delta):
    ends = sample(EmpiricalDenoiser(points, delta), start, edm_sigmas(40),
                  solver="euler")
    return frechet(ends, points), frechet(ends, other)


one_split = torch.tensor([distances(*published_random_split(500, seed=2), delta)
                          for delta in errors])


# %%
splits = [published_random_split(500, seed) for seed in range(20)]
both = torch.tensor([[distances(*split, delta) for delta in (3.0, 0.6)]
                     for split in splits])
offset = both[:, :, 1] - both[:, :, 0]
ideal_offset = torch.tensor([frechet(by_the_ideal, other) - frechet(by_the_ideal, mine)
                             for mine, other in splits])
halves = torch.tensor([frechet(*split) for split in splits])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: Fréchet distance of samples to training and held-out points against $\\delta$, on the published split. Right: the offset between the two over 20 splits, against the distance between the halves themselves, at two errors and for the ideal.", "name": "fig-sampling"}, "image": {"alt": "Left: two curves at a constant distance over model error. Right: offsets at two model errors rise together with the distance between the halves; those of the ideal scatter around zero.", "width": "100%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.0))
for k, (name, color) in enumerate((("train", TRAIN), ("held-out", HOLDOUT))):
    curve(left, torch.tensor(errors), one_split[:, k], name, color, at=5,
          offset=(-8, 10))
left.set(xlabel=r"model error $\delta$", ylabel="Fréchet distance", ylim=(0, 0.6))
for values, mark, color, name in ((offset[:, 0], "x", NEUTRAL, r"$\delta = 3$"),
                                  (offset[:, 1], "o", LOSS, r"$\delta = 0.6$"),
                                  (ideal_offset, "*", THEORY, "ideal")):
    right.plot(halves, values, mark, color=color, markersize=4.5, label=name)
right.axhline(0, color=THEORY, linewidth=0.8)
right.legend(loc="upper left")
right.set(xlabel="distance between the halves", ylabel="offset, held-out − train");

# %% tags=["remove-input"]
known = torch.tensor([[0.191, 0.473], [0.057, 0.385], [0.072, 0.437], [0.077, 0.465]])
assert (one_split[[0, 3, 6, 9]] - known).abs().max() < 2e-3  # at 3.0, 2.033, 1.067, 0.1
correlation = float(torch.corrcoef(torch.stack([offset[:, 1], halves]))[0, 1])
first, second = splits[2]
halves_means = (first.mean(0) - second.mean(0)).square().sum()
assert abs(offset[:, 0].mean() - offset[:, 1].mean()) < 0.1 and correlation > 0.6
assert abs(halves[2] - 0.582) < 1e-3
offsets = mean_interval(torch.stack([*offset.T, ideal_offset], 1))
for name, mean, low, high in zip(("3", "06", "ideal"), *offsets):
    glue(**{f"offset_{name}": mean, f"offset_{name}_low": low,
            f"offset_{name}_high": high})
assert offsets[1][2] < 0 < offsets[2][2]
glue(correlation=correlation, halves=halves[2], halves_means=halves_means)

# %% [markdown]
# The mean offset over twenty splits, with its 95 % interval:
#
# | model | offset |
# | --- | --- |
# | $\delta = 0.6$ | {glue:text}`offset_06:.2f` [{glue:text}`offset_06_low:.2f`, {glue:text}`offset_06_high:.2f`] |
# | $\delta = 3$, where nothing can be copied | {glue:text}`offset_3:.2f` [{glue:text}`offset_3_low:.2f`, {glue:text}`offset_3_high:.2f`] |
# | ideal | {glue:text}`offset_ideal:.2f` [{glue:text}`offset_ideal_low:.2f`, {glue:text}`offset_ideal_high:.2f`] |
#
# It does not depend on $\delta$, and its correlation with the distance between the
# halves is {glue:text}`correlation:.2f`: samples inherit the mean of the half that was
# trained on, whatever $\delta$. On the published split that distance is
# {glue:text}`halves:.3f`, of which {glue:text}`halves_means:.3f` is the difference of
# two means.
#
# ## Faults of the published experiments
#
# What this chapter shows or avoids, and never repeats in silence. Figure numbers and
# settings are those of the first version of {cite:t}`kaiser2026generalize` and of the
# notebooks that came with it.
#
# | | fault | here |
# | --- | --- | --- |
# | 1 | Training and held-out points get different noise: the gap does not vanish as $\sigma \to 0$, peaks carry noise without an error bar, and using the same noise at every $\sigma$ makes the curves look smooth. | {numref}`fig-gap-by-error`, {numref}`fig-density` |
# | 2 | The text says independent uniform points, the figures use the lattice: two laws. | {numref}`fig-random` |
# | 3 | On the grid of 120 steps the peak is at {glue:text}`grid_peak:.3f` for every $\delta$; the true one moves, from {glue:text}`true_12:.3f` at 1.2 to {glue:text}`true_22:.3f` at 2.2. | {numref}`fig-gap-by-error` |
# | 4 | The toy uses the norm, the image experiments the mean square: heights differ by a factor of about two. | {numref}`fig-bump` against {numref}`fig-gap-by-error` |
# | 5 | The $\sigma$ indices of the later notebook give {glue:text}`index_42:.3f`, {glue:text}`index_60:.2f` and {glue:text}`index_96:.1f`, not the stated 0.63, 2.8 and 28. | {numref}`fig-flow` uses the stated ones |
# | 6 | Where the total density underflows, the released code returns the point nearest in the L1 sense. A stable softmax needs no fallback. | `EmpiricalDenoiser` |
# | 7 | Displacement regions: the argument `threshold` is overwritten by $\sigma$; and the region cannot explain the gap. | {numref}`fig-displacement` |
# | 8 | The offset of the Fréchet curves mirrors the distance between two random halves, from one split. | {numref}`fig-sampling` |
# | 9 | Forty Euler steps end up to {glue:text}`euler_40:.1f` from where they should. | {numref}`fig-solvers`; kept in {numref}`fig-sampling` |
# | 10 | The released code names 11 values of $\delta$, the saved figure has 20 lines; an unused preconditioning branch has $\sigma_\text{data}$ where its square belongs. | eleven values here |
#
# ## Questions readers and reviewers ask
#
# | question | answer |
# | --- | --- |
# | Is the bump an artifact of $\delta > 0$? Without error the gap diverges as $\sigma \to 0$. | Yes: it is the wall times the dynamics factor. {numref}`fig-gap-by-error`, {numref}`fig-bump` |
# | Why does the peak not move with $\delta$? Would it on random data? | The spacing of the lattice sets it. Yes, it would. {numref}`fig-random` |
# | Are model error and data density two effects? | One. {numref}`fig-bump`, {numref}`fig-density` |
# | Is a smaller gap better? | The gap does not order models by risk. {numref}`fig-risk` |
# | What is $\delta$ in a real network? Is it one number? | No: its error is not of that kind. {numref}`fig-ring-networks` |
# | Does the $\delta$-model generate anything new? | Training points plus noise. {numref}`fig-early` |
# | Is the circle special, or the plane? | Curvature changes the peak by a few per cent at ten points ({numref}`fig-bump`); dimension matters much ({numref}`fig-dimension`). |
# | Do trajectories leave the noised training data? | Partly in the plane; in many dimensions only where the gap vanishes too. {numref}`fig-dimension` |
# | Does memorization show in samples? | In their preference, for narrow blurs. {numref}`fig-early` |
# | Does guidance memorize? | It acts like a smaller $\delta$. {numref}`fig-guidance` |
# | Norm or mean square, how many draws, which error bars? | {numref}`fig-gap-by-error`, and the faults above. |
#
# ## Summary
#
# - Denser data and less isotropic error are one knob on a lattice; guidance away from a
#   blurrier model turns it, too.
# - On random points the bump stands near $\sigma = 1.3\,\delta$ and falls as $1/a$
#   only: the published text and the published figures follow two laws.
# - Regions of small displacement do not explain the gap, and the offset of two Fréchet
#   distances does not show memory: with error so large that nothing can be copied it is
#   as large.
# - In many dimensions isotropic error separates trajectories from noised data and
#   dilutes the gap at once, so this toy cannot tell what the gap says of samples there.
#
# ## Exercises
#
# 1. *Another schedule.* Repeat {numref}`fig-solvers` with `edm_sigmas(steps, rho=3)`.
#    Which solver gains, and why?
# 2. *The next order.* The derivation of {eq}`eq-random` leaves terms of order $1/a^2$.
#    Fit $aG$ at the peak to $c_0 + c_1/a$ over all draws of {numref}`fig-random`. Is
#    $c_0$ the number there?
# 3. *A thinner ring.* Blur the ring across by 0.5 and train on ten points of that.
#    Where does the overlap of {numref}`fig-dimension` go?
# 4. *Memory in two means.* Subtract from each half its own mean before taking the
#    Fréchet distances of {numref}`fig-sampling`. What is left of the offset?
#
# ## Reuse this
#
# Which model error does *your* denoiser have on points of the plane, and is it of the
# isotropic kind? The cell stands alone.

# %%
import torch
from nearsight import EmpiricalDenoiser, guided
from nearsight.datasets import ring
from nearsight.flow import fitted_blur, matched_blur
from nearsight.quadrature import polar

mine = ring(10)  # yours: training points [N, 2]
sharper = guided(EmpiricalDenoiser(mine, 1.8), EmpiricalDenoiser(mine, 2.2), 1.0)
network = sharper  # yours: lambda x, sigma: my_network(x, sigma)
nodes, their_weights = polar(16, 24, 6.0)
nodes_rule = {"noise": nodes[:, None], "weights": their_weights}
for sigma in (0.3, 1.0, 2.0):
    fit = fitted_blur(network, mine, sigma, **nodes_rule)
    same = matched_blur(network, mine, sigma, **nodes_rule)
    print(f"noise {sigma:.1f}: training error of a blur of {same:.3f}, "
          f"nearest to one of {fit.blur:.3f} ({fit.unexplained:.1%} unexplained)")

# %% [markdown]
# ## Provenance
#
# Definitions, data, protocol and settings of the published figures are from the
# authors' released notebooks; no code or image of theirs is used. Derived here: the law
# of random points, the best error, early stopping, the information and overlap figures,
# the basins, and the faults. Everything was computed when this page was built, except
# the random draws at $a \ge 8$:

# %% tags=["remove-input"]
provenance(record)
