# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Every diffusion model is a denoiser, and the best one only remembers
#
# A diffusion model is trained to do one thing: to guess a clean image from a noisy one.
# Everything else, the sampling from pure noise included, is arithmetic around that
# guess. So before we ask of any trained network *how near its images stay to its
# training data*, we ask it of the network that training aims at: the best guess there
# can be, given the training images. For a finite training set it can be written down in
# one line. This chapter computes it on {glue:text}`n:.0f` photographs of clothes, looks
# at what it does at every noise level, and lets it generate. Beside it runs a second
# exact denoiser, which knows only the mean and the covariance of the same photographs.
# One of the two copies everything, the other nothing; trained networks live between
# them, and the rest of this book is about where.
#
# Symbols are collected on the [notation page](../book/notation.md).

# %%
import torch
from matplotlib import pyplot as plt
from nearsight import EmpiricalDenoiser, GaussianDenoiser, edm_sigmas, nearest, sample
from nearsight.datasets import fashion_mnist
from nearsight.measures import (
    gap_band,
    generalization_gap,
    mean_interval,
    memorized_fraction,
    proximity_bias,
)
from nearsight.noise import level_index
from nearsight.page import HOLDOUT, NEUTRAL, TRAIN, curve, gallery, glue, use_style
from scipy.optimize import brentq

use_style()
torch.set_num_threads(1)  # small products: a second thread would mostly wait

# %% [markdown]
# ## A thousand photographs, and a thousand the model never sees
#
# The images come with the package: {glue:text}`shipped:,.0f` of Fashion-MNIST
# {cite:p}`xiao2017fashion`. Pixels are shifted and scaled to mean 0 and standard
# deviation ½ over the data set, a convention of {cite:t}`karras2022elucidating` that we
# keep throughout; noise levels are in these units. We shuffle the images and deal them
# into {glue:text}`deals:.0f` pairs of halves. The two halves of a pair differ by chance
# alone: the *training* images define the denoisers; the *held-out* images are used for
# nothing, and so tell us what is knowledge and what is memory. The first pair serves
# until the last section needs all of them.

# %%
clothes, more = fashion_mnist("train"), fashion_mnist("test")
generator = torch.Generator().manual_seed(0)  # all randomness of this chapter
images, n = torch.cat([clothes.images, more.images]), 1024
order = torch.randperm(len(images), generator=generator)
pairs = images[order].unflatten(0, (-1, 2, n))
train, holdout = pairs[0]

# %% tags=["remove-input"]
glue(n=n, d=train[0].numel(), shipped=len(images), deals=len(pairs))

# %% [markdown]
# An image has {glue:text}`d:.0f` pixels, so the {glue:text}`n:.0f` training images are
# a thin cloud in a space of that many dimensions.
#
# ## What a denoiser is
#
# We add noise in one way only. With $y$ a clean image, $\varepsilon$ white noise and
# $\sigma \ge 0$ the *noise level*,
#
# $$
# x = y + \sigma \varepsilon, \qquad \varepsilon \sim \mathcal N(0, I).
# $$ (eq-noise)
#
# A **denoiser** is a function $D(x, \sigma)$ that returns a clean image, and it is
# trained by least squares: it should make the denoising error
# $\mathbb E\,|D(x, \sigma) - y|^2$ small, at every noise level. In this book a denoiser
# is any Python callable with these two arguments; a trained network, a formula and a
# joke all fit:

# %%
def do_nothing(x, sigma):
    return x


# %% [markdown]
# ```{prf:theorem} The optimal denoiser
# :label: thm-optimal
# At each $\sigma > 0$ the denoising error is least for the posterior mean
#
# $$
# D(x, \sigma) = \mathbb E[\,y \mid x\,] = x + \sigma^2\, \nabla_x \log p_\sigma(x),
# $$ (eq-tweedie)
#
# where $p_\sigma$ is the density of the noisy images. If $y$ is one of $n$ training
# images $y_i$, each with probability $1/n$, the posterior mean is a weighted average of
# these images:
#
# $$
# D(x, \sigma) = \sum_i w_i\, y_i, \qquad
# w_i = \frac{\exp(-|x - y_i|^2 / 2\sigma^2)}{\sum_j \exp(-|x - y_j|^2 / 2\sigma^2)}.
# $$ (eq-empirical)
# ```
#
# The first equality is the bias-variance identity of least squares, the second is
# Tweedie's formula {cite:p}`efron2011tweedie`; $\nabla \log p_\sigma$ is called the
# *score*, and {eq}`eq-tweedie` says that a denoiser and a score are the same thing. The
# last line is Bayes' rule. Training on a data set means that $y$ *is* one of the $y_i$:
# so {eq}`eq-empirical` is what a network with the training loss of a diffusion model
# would become if it had no limits at all.
#
# The two exact denoisers of this chapter, then: {eq}`eq-empirical`, and the posterior
# mean of a Gaussian that has the mean $m$ and the covariance $S$ of the training
# images, the Wiener filter $D(x, \sigma) = m + S (S + \sigma^2 I)^{-1} (x - m)$, which
# is the best that a *linear* denoiser can be.

# %%
pixels = train.flatten(1)
empirical = EmpiricalDenoiser(train)
gaussian = GaussianDenoiser(pixels.mean(0), pixels.T.cov(correction=0))

# %% [markdown]
# The theorem can be tried out. If the empirical denoiser is optimal on the training
# images, then mixing in any share $\theta$ of another denoiser can only raise its
# training error, in either direction. At $\sigma = 2$, where many images still share
# the weight, the error over mixtures
# $(1 - \theta)\, D_\text{empirical} + \theta\, D_\text{Gaussian}$ is a parabola in
# $\theta$, and its lowest point should be at $\theta = 0$.

# %%
def error_of_mixture(share):
    noise = torch.randn(train.shape, generator=torch.Generator().manual_seed(1))
    x = train + 2.0 * noise
    clean = torch.lerp(empirical(x, 2.0), gaussian(x, 2.0), share)
    return (clean - train).square().mean().item()


below, pure, above = (error_of_mixture(share) for share in (-0.2, 0.0, 0.2))
lowest = 0.2 * (below - above) / (2 * (below + above - 2 * pure))

# %% tags=["remove-input"]
assert abs(lowest) < 0.02
glue(lowest=lowest, pure=pure, aside=(below + above) / 2)

# %% [markdown]
# With one draw of noise per image it lies at $\theta =$ {glue:text}`lowest:.4f`; the
# error there is {glue:text}`pure:.4f`, and {glue:text}`aside:.4f` on average at
# $\theta = \pm 0.2$.
#
# ## What the best denoiser sees
#
# Now give both denoisers something they have not seen: a held-out image, with less and
# less noise. At large $\sigma$ nothing of the image is visible and both return the mean
# of the training set. What happens further down is the heart of this chapter.

# %%
levels = torch.tensor([0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0])
picture = holdout[4:5]
noise = torch.randn(picture.shape, generator=generator)
noisy = picture + levels[:, None, None, None] * noise
remembered, filtered = empirical(noisy, levels), gaussian(noisy, levels)
closest = train[nearest(noisy, train).index[:, 0]]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A held-out image under growing noise, and what two denoisers make of it. At small noise the empirical one turns it into its nearest training image; the Gaussian one returns it, less some noise. At large noise both return the training mean.", "name": "fig-denoised"}, "image": {"alt": "Rows of images: noisy input, empirical denoiser, Gaussian denoiser, nearest training image, at seven noise levels. The empirical denoiser shows a different garment, its nearest training image, wherever the noise is small.", "width": "100%"}}
figure = gallery([("noisy $x$", clothes.pixels(noisy)),
                  ("empirical", clothes.pixels(remembered)),
                  ("Gaussian", clothes.pixels(filtered)),
                  ("nearest in train", clothes.pixels(closest))],
                 [rf"$\sigma = {level:g}$" for level in levels.tolist()])

# %% tags=["remove-input"]
assert torch.allclose(remembered[:3], closest[:3], atol=1e-3)

# %% [markdown]
# From the left up to $\sigma = 0.5$ the second row is one and the same photograph, and
# not the one that was given. It is the training image nearest to $x$ (last row). The
# empirical denoiser has no other vocabulary: it answers every question with training
# images, and when the noise is small, with exactly one.
#
# How small is small? The weights in {eq}`eq-empirical` say it: where the largest weight
# is nearly 1, one image speaks alone. For noisy *training* images, the denoiser then
# returns the very image that the noise was added to.

# %%
def share_returned(sigma):
    """Share of noisy training images whose nearest training image is their own."""
    noise = torch.randn(train.shape, generator=torch.Generator().manual_seed(2))
    found = nearest(train + sigma * noise, train).index[:, 0]
    return (found == torch.arange(n)).double().mean().item()


half = brentq(lambda sigma: share_returned(sigma) - 0.5, 1, 10, xtol=0.01)

# %% tags=["remove-input"]
glue(returned_at_1=share_returned(1.0), half=half)

# %% [markdown]
# At $\sigma = 1$, twice the standard deviation of the data,
# {glue:text}`returned_at_1:.3f` of all training images are still nearer to their noisy
# version than any other image is, although to the eye little more than a shadow is
# left; only at $\sigma \approx$ {glue:text}`half:.1f` does the share fall to one half.
# In {glue:text}`d:.0f` dimensions noise is very nearly perpendicular to every direction
# that matters, so it hides less than it seems to.
#
# ## Generating: the best denoiser returns its training set
#
# To generate, start from pure noise at a large $\sigma$ and follow the denoiser
# downward. The path solves
#
# $$
# \frac{dx}{d\sigma} = \frac{x - D(x, \sigma)}{\sigma}
# $$ (eq-flow)
#
# {cite:p}`song2021score,karras2022elucidating`: at every step, move a little way from
# where you are toward the current guess. `sample` does this with any denoiser. We give
# both the same 256 starting points and small steps.

# %%
schedule = edm_sigmas(128)
latents = schedule[0] * torch.randn(256, *train.shape[1:], generator=generator)
copies, path = sample(empirical, latents, schedule, trajectory=True)
inventions, smooth_path = sample(gaussian, latents, schedule, trajectory=True)

# %% tags=["hide-input"] picture="copies.png" mystnb={"figure": {"caption": "Samples, each above its nearest training image. The empirical denoiser's are that image. The Gaussian denoiser's, from the same noise, are new, and nothing one could wear. Last, what a generator without memory would show: photographs that no model has seen.", "name": "fig-copies"}, "image": {"alt": "Three pairs of image rows. Samples of the empirical denoiser are identical to their nearest training images; samples of the Gaussian denoiser are blurred, unlike any training image; held-out photographs resemble their nearest training images without being them.", "width": "100%"}}
rows = []
for name, shown in (("empirical sample", copies), ("Gaussian sample", inventions),
                    ("held-out image", holdout)):
    matches = train[nearest(shown[:10], train).index[:, 0]]
    rows += [(name, clothes.pixels(shown[:10])),
             ("nearest in train", clothes.pixels(matches))]
figure = gallery(rows, size=0.55)

# %% [markdown]
# To count copies we use a criterion from the literature {cite:p}`yoon2023diffusion`: a
# sample is *memorized* if the distance $d_1$ to its nearest training image is less than
# a third of the distance $d_2$ to the second nearest. The fraction comes with a 95 %
# interval. Held-out images are the yardstick: they are what a generator that remembers
# nothing, and errs in nothing, would make.

# %%
memorized = memorized_fraction(copies, train)
invented = memorized_fraction(inventions, train)
real = memorized_fraction(holdout, train)
print(f"empirical: {memorized}\nGaussian:  {invented}\nheld-out:  {real}")

# %% tags=["remove-input"]
assert memorized.fraction == 1 and invented.fraction == 0 and real.fraction < 0.01
assert nearest(copies, train).distance.max() < 1e-4
glue(memorized=memorized.fraction, invented=invented.fraction)

# %% [markdown]
# Every sample of the empirical denoiser is a copy, equal to a training image but for
# rounding. It generates its training set, nothing else.
#
# Why do the Gaussian's samples look like smoke? Not because they lack contrast: their
# covariance is that of the photographs, so neighboring pixels differ by as much as they
# should. But in a photograph these differences are mostly nothing and sometimes an
# edge. The kurtosis of the differences (3 for a Gaussian) tells the two apart.

# %%
def contrast_and_kurtosis(images):
    """Mean square and kurtosis of the differences of neighboring pixels."""
    square = images.diff(dim=-1).square()
    return square.mean(), square.square().mean() / square.mean() ** 2


contrast, kurtosis = contrast_and_kurtosis(train)
smooth_contrast, smooth_kurtosis = contrast_and_kurtosis(inventions)

# %% tags=["remove-input"]
assert abs(smooth_contrast / contrast - 1) < 0.1 and kurtosis > 1.5 * smooth_kurtosis
glue(contrast=contrast, smooth_contrast=smooth_contrast, kurtosis=kurtosis,
     smooth_kurtosis=smooth_kurtosis)

# %% [markdown]
# The mean squared difference of neighboring pixels is {glue:text}`contrast:.3f` in the
# photographs and {glue:text}`smooth_contrast:.3f` in the Gaussian's samples; the
# kurtosis is {glue:text}`kurtosis:.1f` against {glue:text}`smooth_kurtosis:.1f`. (It is
# not quite 3, as some pixels vary more than others.) The right amount of contrast, and
# no edges: sharpness needs more than a mean and a covariance.
#
# ### One path of each
#
# Both paths start from the same noise. What differs is what they are told on the way,
# $D(x, \sigma)$.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "One path of each denoiser from the same noise: the state $x$, scaled to the contrast of an image, and the current guess $D(x, \\sigma)$. The empirical guess jumps from the mean to one training image and stays; the Gaussian guess never decides.", "name": "fig-paths"}, "image": {"alt": "Four rows over nine noise levels from 80 to 0: state and guess of the empirical and of the Gaussian denoiser. The empirical guess becomes one sharp photograph long before the noise is gone; the Gaussian guess stays blurred.", "width": "100%"}}
wanted = torch.tensor([80, 20, 8, 5, 3, 2, 1, 0.3, 0])
steps = (schedule - wanted[:, None]).abs().argmin(1)


def one_path(denoiser, states):
    """States of the first path, shrunk to the contrast of an image, and guesses."""
    x, sigma = states[steps, 0], schedule[steps]
    contrast = (0.5 / (0.25 + sigma**2).sqrt()).float()[:, None, None, None]
    return clothes.pixels(x * contrast), clothes.pixels(denoiser(x, sigma))


state, guess = one_path(empirical, path)
smooth_state, smooth_guess = one_path(gaussian, smooth_path)
figure = gallery([("$x$", state), ("empirical $D$", guess),
                  ("$x$", smooth_state), ("Gaussian $D$", smooth_guess)],
                 [rf"$\sigma = {level:.2g}$" for level in schedule[steps].tolist()])

# %% [markdown]
# When is it decided which image a path will end on? Along each of the 256 paths we ask
# which training image is nearest to the current guess, and note the lowest level at
# which it is still another one than in the end.

# %%
destination = nearest(copies, train).index[:, 0]
guesses = torch.stack([nearest(empirical(x, sigma), train).index[:, 0]
                       for x, sigma in zip(path, schedule.tolist())])
levels_of_doubt = torch.where(guesses != destination, schedule[:, None], torch.inf)
lowest_doubt = levels_of_doubt.amin(0)

# %% tags=["remove-input"]
quartiles = lowest_doubt.quantile(torch.tensor([0.25, 0.5, 0.75]).double())
assert (quartiles.diff() > 0.3).all()
glue(decided_low=quartiles[0], decided=quartiles[1], decided_high=quartiles[2],
     rungs=len(schedule) - 1)

# %% [markdown]
# On a grid of {glue:text}`rungs:.0f` levels, half of the paths are decided below
# $\sigma =$ {glue:text}`decided:.1f` (quartiles {glue:text}`decided_low:.1f` and
# {glue:text}`decided_high:.1f`). Above that level a path follows the data as a whole;
# below it, one photograph.
#
# ## What its error says
#
# All of this can be read off a curve that any trained model has: its denoising error on
# training and on held-out images, noise level by noise level. Their relative difference
#
# $$
# G(\sigma) = \frac{E_\text{holdout}(\sigma) - E_\text{train}(\sigma)}
# {E_\text{train}(\sigma)}
# $$ (eq-gap)
#
# is the *generalization gap* {cite:p}`kaiser2026generalize`. The i-th training and the
# i-th held-out image share their noise. A model without memory has a gap of 0.

# %%
sigmas = torch.logspace(-1.5, 1.5, 19, dtype=torch.float64)
gap, smooth_gap = (
    generalization_gap(denoiser, train, holdout, sigmas, draws=1, generator=generator)
    for denoiser in (empirical, gaussian))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: denoising error per pixel, with 95 % intervals over images. The empirical denoiser knows what it has seen, and below $\\sigma = 1$ its held-out error stops falling. Right: the gap, with 95 % bands for the whole curve. Without memory it would be 0.", "name": "fig-error"}, "image": {"alt": "Two plots against noise level. Training error of the empirical denoiser drops to zero below noise level 1 while its held-out error levels off; both errors of the Gaussian denoiser fall together. The gap of the empirical denoiser rises steeply toward small noise.", "width": "100%"}}
def with_interval(errors):
    """Mean over images [S], and the ends of its 95 % interval."""
    mean, reach = errors.mean(1), 1.96 * errors.std(1) / errors.shape[1] ** 0.5
    return mean, mean - reach, mean + reach


figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.4))
for errors, label, color, style, at, offset in (
        (gap.holdout_errors, "empirical,\nheld-out", HOLDOUT, "-", 0, (0, 15)),
        (gap.train_errors, "empirical, train", TRAIN, "-", 10, (8, 0)),
        (smooth_gap.holdout_errors, "Gaussian,\nheld-out", HOLDOUT, "--", 0, (0, 50)),
        (smooth_gap.train_errors, "Gaussian, train", TRAIN, "--", 2, (8, -8))):
    mean, low, high = with_interval(errors)
    curve(left, sigmas, mean, label, color, low, high, at, offset, linestyle=style)
curve(left, sigmas, sigmas**2, "do nothing", NEUTRAL, at=8, offset=(8, 0),
      linewidth=0.8)
left.set(xscale="log", yscale="log", ylim=(3e-5, 2), xlabel=r"noise level $\sigma$",
         ylabel=r"error $E(\sigma)$ per pixel")
for result, label, color, style, at, offset in (
        (gap, "empirical", TRAIN, "-", 1, (10, 4)),
        (smooth_gap, "Gaussian", TRAIN, "--", 0, (6, 10))):
    seen = result.gap < 100
    errors = result.train_errors[seen], result.holdout_errors[seen]
    low, high = gap_band(*errors, generator)
    curve(right, sigmas[seen], result.gap[seen], label, color, low, high, at, offset,
          linestyle=style)
right.set(xscale="log", ylim=(-0.3, 3), xlabel=r"noise level $\sigma$",
          ylabel=r"gap $G(\sigma)$")
right.axhline(0, color=NEUTRAL, linewidth=0.8)
right.text(0.035, -0.13, "no memory", color=NEUTRAL, fontsize=9, va="center");

# %% tags=["remove-input"]
at_one, last = level_index(sigmas, 1.0), len(sigmas) - 1
assert gap.train[at_one] < 0.01 * gap.holdout[at_one]
assert gap.holdout[0] > 0.9 * gap.holdout[at_one] and smooth_gap.gap.max() < 2
glue(train_at_one=gap.train[at_one], holdout_at_one=gap.holdout[at_one],
     smallest=sigmas[0], floor=gap.holdout[0], crossing=gap.holdout[0] ** 0.5,
     smooth_gap_small=smooth_gap.gap[0], smooth_gap_one=smooth_gap.gap[at_one],
     largest=sigmas[last], gap_largest=100 * gap.gap[last],
     smooth_gap_largest=100 * smooth_gap.gap[last],
     entries=train[0].numel() * (train[0].numel() + 1) / 2)

# %% [markdown]
# At $\sigma = 1$ the empirical denoiser's error is {glue:text}`train_at_one:.1e` on its
# training images and {glue:text}`holdout_at_one:.3f` on held-out ones. As the noise
# falls the latter stays at {glue:text}`floor:.3f`, the mean squared distance (per
# pixel) between a garment and the training garment most like it: below $\sigma =$
# {glue:text}`crossing:.2f` even doing nothing is better. *The best denoiser of the
# training set is, on new images, worse than none.*
#
# At $\sigma =$ {glue:text}`largest:.0f`, where both denoisers return the training mean,
# the gaps are {glue:text}`gap_largest:.1f` % and {glue:text}`smooth_gap_largest:.1f` %:
# that is how much the two sets of images happen to differ.
#
# The Gaussian denoiser copies nothing, and yet its gap is
# {glue:text}`smooth_gap_one:.2f` at $\sigma = 1$ and {glue:text}`smooth_gap_small:.2f`
# at $\sigma =$ {glue:text}`smallest:.2f`. It has fitted a covariance with
# {glue:text}`entries:,.0f` free entries to a thousand images, and in the directions of
# little variance it has learned these images rather than images. The next chapter
# computes how much.
#
# ## How near, then?
#
# Copies are one end. "Is this sample a copy?" is a question about single images, with a
# threshold that somebody chose. The question of this book is wider: *do the samples of
# a model sit nearer to the images it was trained on than to other images of the same
# kind?* If training and held-out images are dealt at random from one pool, equally many
# of each, then a model that had learned only the source would be as near to the one as
# to the other. So we count: of all samples, what share is nearer to the training
# images? Without any memory that *preference* $\nu$ is ½.
#
# For the Gaussian we can ask it of many training sets, since it needs no sampler: a
# draw from its law is the mean and a random combination of the centered training
# images, $m + n^{-1/2} \sum_i \varepsilon_i (y_i - m)$.

# %%
def gaussian_samples(images, count):
    """Draw from the Gaussian with the mean and the covariance of images."""
    mean = images.mean(0)
    weights = torch.randn(count, len(images), generator=generator)
    return mean + torch.tensordot(weights, images - mean, 1) / len(images) ** 0.5


def preference(samples, own, other):
    """Share of samples that are nearer to their own images than to the others."""
    distances = [nearest(samples, half).distance for half in (own, other)]
    return (distances[0] < distances[1]).double().mean()


# %% [markdown]
# The {glue:text}`deals:.0f` pairs of halves share no image, so each gives one
# independent number: the preference of both halves' Gaussians for their own half,
# averaged. The first images of each half make smaller training sets. And the images of
# the next pair, which are strangers to both halves, show what no memory looks like.

# %%
def lean(own, other):
    """Preference of the Gaussian of one half for its own images."""
    return preference(gaussian_samples(own, 2048), own, other)


sizes = [32, 64, 128, 256, 512, 1024]
leaning, no_memory = torch.zeros(2, len(pairs), len(sizes), dtype=torch.float64)
for row, (halves, strangers) in enumerate(zip(pairs, pairs.roll(1, 0))):
    for column, size in enumerate(sizes):
        first, second = halves[:, :size]
        leaning[row, column] = (lean(first, second) + lean(second, first)) / 2
        no_memory[row, column] = preference(strangers.flatten(0, 1), first, second)
one_pair = proximity_bias(inventions, train, holdout)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Preference for the training images, against their number: mean over seven pairs of halves, with Student's 95 % intervals. Copies are always nearer. The Gaussian copies nothing and still leans, less the more images it is fitted to. Unseen images do not.", "name": "fig-preference"}, "image": {"alt": "Preference against the number of training images from 32 to 1024. Copies stay at 1. The Gaussian's samples fall from about three quarters to a little above one half. Held-out images stay at one half.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.4, 3.2))
for values, label, color, offset in (
        (leaning, "the Gaussian", TRAIN, (8, 8)),
        (no_memory, "held-out images: no memory", NEUTRAL, (8, -22))):
    mean, low, high = mean_interval(values)
    axes.errorbar(sizes, mean, [mean - low, high - mean], fmt="o-", color=color)
    axes.annotate(label, (sizes[1], mean[1]), offset, textcoords="offset points",
                  color=color, fontsize=9)
copied = preference(copies, train, holdout)
curve(axes, [32, 1024], [copied, copied], "copies: the empirical denoiser", HOLDOUT,
      at=0, offset=(8, -10))
axes.set(xscale="log", xticks=sizes, xticklabels=sizes, ylim=(0.4, 1.03),
         xlabel="number $n$ of training images", ylabel=r"preference $\nu$ for train")
axes.minorticks_off();

# %% tags=["remove-input"]
mean, low, high = mean_interval(leaning)
rest, rest_low, rest_high = mean_interval(no_memory)
assert copied == 1 and low.min() > 0.5 and (mean.diff() < 0).all()
assert ((rest_low < 0.5) & (rest_high > 0.5)).sum() >= 5
glue(gaussian_preference=mean[-1], gaussian_low=low[-1], gaussian_high=high[-1],
     few=sizes[0], few_preference=mean[0], few_low=low[0], few_high=high[0],
     one=one_pair.preference, one_low=one_pair.low, one_high=one_pair.high,
     rest=rest[-1], rest_low=rest_low[-1], rest_high=rest_high[-1])

# %% [markdown]
# | samples of | training images | preference | 95 % interval |
# | --- | --- | --- | --- |
# | the Gaussian | {glue:text}`few:.0f` | {glue:text}`few_preference:.2f` | {glue:text}`few_low:.2f` to {glue:text}`few_high:.2f` |
# | the Gaussian | {glue:text}`n:.0f` | {glue:text}`gaussian_preference:.3f` | {glue:text}`gaussian_low:.3f` to {glue:text}`gaussian_high:.3f` |
# | the same, the 256 samples above | {glue:text}`n:.0f` | {glue:text}`one:.2f` | {glue:text}`one_low:.2f` to {glue:text}`one_high:.2f` |
# | no model: held-out images | {glue:text}`n:.0f` | {glue:text}`rest:.3f` | {glue:text}`rest_low:.3f` to {glue:text}`rest_high:.3f` |
#
# The Gaussian's samples, which no criterion would call copies, prefer the training
# images: strongly where it was fitted to few, and still a little where it was fitted to
# {glue:text}`n:.0f`. One pair of halves and 256 samples could not have told so (third
# row); `proximity_bias`, the function for one pair and any model, says as much by its
# interval and by an exact p-value from the deal. *To lean on the training data is not
# the same as to copy it.* That is the thread of this book.
#
# ## Summary
#
# - A diffusion model is a denoiser, $D(x, \sigma) \approx \mathbb E[y \mid x]$, and its
#   score is $(D(x, \sigma) - x)/\sigma^2$.
# - The best denoiser of a finite training set is a weighted average of training images.
#   With decreasing noise the weight falls on a single one, in high dimension at noise
#   levels where the eye sees hardly anything.
# - Sampling with it returns the training set: memorized fraction
#   {glue:text}`memorized:.2f`. On unseen images it is worse than no denoiser as soon as
#   the noise is small. Generating anything new takes a denoiser that *fails* to be
#   optimal.
# - The best linear denoiser copies nothing and makes nothing that could be worn. Its
#   error on training images is still lower than on held-out ones, and its samples still
#   lean toward the images it was fitted to, the more the fewer they are.
# - So there are three questions to ask of any model: does it copy, does it err less on
#   what it has seen, do its samples lean? They have three different answers.
#
# ## Reuse this
#
# Your own images as a tensor `[N, channels, height, width]`, and any denoiser. The
# halves are dealt at random: images in the order of a file need not be exchangeable.
# The cell stands alone.

# %%
import torch
from nearsight import EmpiricalDenoiser, edm_sigmas, sample
from nearsight.datasets import digits
from nearsight.measures import generalization_gap, memorized_fraction, proximity_bias

images = digits().images  # yours: floats, scaled as your network sees them
generator = torch.Generator().manual_seed(0)
train, holdout = images[torch.randperm(1600, generator=generator)].split(800)
denoiser = EmpiricalDenoiser(train, blur=0.3)  # yours: any function of (x, sigma)

sigmas = edm_sigmas(18, sigma_max=20.0)
latents = sigmas[0] * torch.randn(300, *train.shape[1:], generator=generator)
samples = sample(denoiser, latents, sigmas)
print(memorized_fraction(samples, train))
print(proximity_bias(samples, train, holdout))
gap = generalization_gap(denoiser, train, holdout, sigmas[:-1], generator=generator)
print(f"largest gap {gap.gap.max():.3f} at sigma = {sigmas[gap.gap.argmax()]:.3f}")

# %% [markdown]
# ## Exercises
#
# 1. *Twice in the training set.* Append ten training images to the training set a
#    second time. How does the memorized fraction of the empirical denoiser change, and
#    why must the criterion count $d_1 = 0$ as a copy whatever $d_2$ is?
# 2. *Blur.* `EmpiricalDenoiser(train, blur=delta)` generates training images plus noise
#    of standard deviation $\delta$. At which $\delta$ does the memorized fraction drop,
#    and at which the preference? ([Chapter 3](03_flow_field.py) draws the picture.)
# 3. *Which solver?* Sample with `solver="euler"` and `solver="ancestral"` from the same
#    latents. Do all three end on the same training image? Look at the ones that do not:
#    at which $\sigma$ do they part?
# 4. *Fewer dimensions.* Repeat the figure of the errors at
#    `fashion_mnist(..., resolution=16)`. Does the training error vanish at the same
#    $\sigma$?
#
# ## Provenance
#
# No record is shown: everything was computed when the page was built, from images that
# ship with the repository and whose SHA-256 is checked when they are loaded.
