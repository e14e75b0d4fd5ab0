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
# A diffusion model is trained to do one thing: to guess a clean image from a noisy one. Everything else, the sampling from
# pure noise included, is arithmetic around that guess. So before we ask of any trained network *how near its images stay to
# its training data*, we ask it of the network that training aims at: the best guess there can be, given the training images.
# For a finite training set it can be written down in one line. This chapter computes it on {glue:text}`n:.0f` photographs of
# clothes, looks at what it does at every noise level, and lets it generate. Beside it runs a second exact denoiser, which
# knows only the mean and the covariance of the same photographs. One of the two copies everything, the other nothing;
# trained networks live between them, and the rest of this book is about where.
#
# Symbols are collected on the [notation page](../book/notation.md).

# %%
import torch
from matplotlib import pyplot as plt

from nearsight import (EmpiricalDenoiser, GaussianDenoiser, edm_sigmas, generalization_gap, memorized_fraction, nearest,
                       proximity_bias, sample)
from nearsight.datasets import fashion_mnist
from nearsight.measures import gap_band
from nearsight.page import HOLDOUT, NEUTRAL, TRAIN, curve, gallery, glue, use_style

use_style()

# %% [markdown]
# ## A thousand photographs, and a thousand the model never sees
#
# The images come with the package: the first part of Fashion-MNIST {cite:p}`xiao2017fashion`, in its original order. Pixels
# are shifted and scaled to mean 0 and standard deviation ½ over the data set, a convention of
# {cite:t}`karras2022elucidating` that we keep throughout; noise levels are in these units. *Training* images define the
# denoisers. *Held-out* images, drawn from the same source and used for nothing, tell us what is knowledge and what is memory.

# %%
clothes, unseen = fashion_mnist("pool"), fashion_mnist("stopping")
n = 1024
train, holdout = clothes.images[:n], unseen.images[:n]
generator = torch.Generator().manual_seed(0)  # all randomness of this chapter

# %% tags=["remove-input"]
glue(n=n, d=train[0].numel())

# %% [markdown]
# An image has {glue:text}`d:.0f` pixels, so the {glue:text}`n:.0f` training images are a thin cloud in a space of that many
# dimensions.
#
# ## What a denoiser is
#
# We add noise in one way only. With $y$ a clean image, $\varepsilon$ white noise and $\sigma \ge 0$ the *noise level*,
#
# $$
# x = y + \sigma \varepsilon, \qquad \varepsilon \sim \mathcal N(0, I).
# $$ (eq-noise)
#
# A **denoiser** is a function $D(x, \sigma)$ that returns a clean image, and it is trained by least squares: it should make
# the denoising error $\mathbb E\,|D(x, \sigma) - y|^2$ small, at every noise level. In this book a denoiser is any Python
# callable with these two arguments; a trained network, a formula and a joke all fit:

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
# where $p_\sigma$ is the density of the noisy images. If $y$ is one of $n$ training images $y_i$, each with probability
# $1/n$, the posterior mean is a weighted average of these images:
#
# $$
# D(x, \sigma) = \sum_i w_i\, y_i, \qquad
# w_i = \frac{\exp(-|x - y_i|^2 / 2\sigma^2)}{\sum_j \exp(-|x - y_j|^2 / 2\sigma^2)}.
# $$ (eq-empirical)
# ```
#
# The first equality is the bias-variance identity of least squares, the second is Tweedie's formula
# {cite:p}`efron2011tweedie`; $\nabla \log p_\sigma$ is called the *score*, and {eq}`eq-tweedie` says that a denoiser and a
# score are the same thing. The last line is Bayes' rule. Training on a data set means that $y$ *is* one of the $y_i$: so
# {eq}`eq-empirical` is what a network with the training loss of a diffusion model would become if it had no limits at all.
#
# The two exact denoisers of this chapter, then: {eq}`eq-empirical`, and the posterior mean of a Gaussian that has the mean
# $m$ and the covariance $C$ of the training images, the Wiener filter $D(x, \sigma) = m + C (C + \sigma^2 I)^{-1} (x - m)$,
# which is the best that a *linear* denoiser can be.

# %%
pixels = train.flatten(1)
empirical = EmpiricalDenoiser(train)
gaussian = GaussianDenoiser(pixels.mean(0), pixels.T.cov(correction=0))

# %% [markdown]
# The theorem can be tried out. If the empirical denoiser is optimal on the training images, then mixing in any share of
# another denoiser can only raise its training error, in either direction. At $\sigma = 2$, where many images still share
# the weight, the error over mixtures $(1 - a) D_\text{empirical} + a D_\text{Gaussian}$ is a parabola in $a$, and its lowest
# point should be at $a = 0$.

# %%
def error_of_mixture(share):
    noise = torch.randn(train.shape, generator=torch.Generator().manual_seed(1))
    x = train + 2.0 * noise
    clean = torch.lerp(empirical(x, 2.0), gaussian(x, 2.0), share)
    return (clean - train).square().mean().item()


left, middle, right = (error_of_mixture(share) for share in (-0.2, 0.0, 0.2))
lowest = 0.2 * (left - right) / (2 * (left + right - 2 * middle))
assert abs(lowest) < 0.02
glue(lowest=lowest, middle=middle, aside=(left + right) / 2)

# %% [markdown]
# With one draw of noise per image it lies at $a =$ {glue:text}`lowest:.4f`; the error there is {glue:text}`middle:.4f`, and
# {glue:text}`aside:.4f` on average at $a = \pm 0.2$.
#
# ## What the best denoiser sees
#
# Now give both denoisers something they have not seen: a held-out image, with less and less noise. At large $\sigma$ nothing
# of the image is visible and both return the mean of the training set. What happens further down is the heart of this
# chapter.

# %% mystnb={"figure": {"caption": "A held-out image under growing noise, and what the two exact denoisers make of it. At small noise the empirical denoiser turns it into its nearest training image, even where the noise hides nothing at all; the Gaussian denoiser returns what it was given, less some of the noise. At large noise both return the mean of the training set.", "name": "fig-denoised"}, "image": {"alt": "Rows of images: noisy input, empirical denoiser, Gaussian denoiser, at seven noise levels. The empirical denoiser shows a different garment, its nearest training image, wherever the noise is small.", "width": "100%"}}
levels = torch.tensor([0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0])
picture = holdout[4:5]
noisy = picture + levels[:, None, None, None] * torch.randn(picture.shape, generator=generator)
remembered, filtered = empirical(noisy, levels), gaussian(noisy, levels)
neighbor = nearest(noisy, train)

figure = gallery([("noisy $x$", clothes.pixels(noisy)), ("empirical", clothes.pixels(remembered)),
                  ("Gaussian", clothes.pixels(filtered)),
                  ("nearest in train", clothes.pixels(train[neighbor.index[:, 0]]))],
                 [rf"$\sigma = {level:g}$" for level in levels.tolist()])

# %% [markdown]
# From the left up to $\sigma = 0.5$ the second row is one and the same photograph, and not the one that was given. It is the
# training image nearest to $x$ (last row). The empirical denoiser has no other vocabulary: it answers every question with
# training images, and when the noise is small, with exactly one.
#
# How small is small? The weights in {eq}`eq-empirical` say it: where the largest weight is nearly 1, one image speaks
# alone. For noisy *training* images, the denoiser then returns the very image that the noise was added to.

# %%
sigmas = torch.logspace(-1.5, 1.5, 19, dtype=torch.float64)


def share_returned(sigma):
    """Share of noisy training images of which the nearest training image is the one they came from."""
    noise = torch.randn(train.shape, generator=torch.Generator().manual_seed(2))
    return (nearest(train + sigma * noise, train).index[:, 0] == torch.arange(n)).double().mean()


returned = torch.stack([share_returned(sigma.float()) for sigma in sigmas])
half = sigmas[(returned < 0.5).nonzero()[0, 0]]
glue(returned_at_1=share_returned(1.0), half=half)

# %% [markdown]
# At $\sigma = 1$, twice the standard deviation of the data, {glue:text}`returned_at_1:.3f` of all training images are still
# nearer to their noisy version than any other image is, although to the eye little more than a shadow is left; only at
# $\sigma \approx$ {glue:text}`half:.1f` does the share fall to one half. In {glue:text}`d:.0f` dimensions noise is very nearly
# perpendicular to every direction that matters, so it hides less than it seems to.
#
# ## Generating: the best denoiser returns its training set
#
# To generate, start from pure noise at a large $\sigma$ and follow the denoiser downward. The path solves
#
# $$
# \frac{dx}{d\sigma} = \frac{x - D(x, \sigma)}{\sigma}
# $$ (eq-flow)
#
# {cite:p}`song2021score,karras2022elucidating`: at every step, move a little way from where you are toward the current guess.
# `sample` does this with any denoiser. We give both the same 256 starting points.

# %%
schedule = edm_sigmas(18)
latents = schedule[0] * torch.randn(256, 1, 28, 28, generator=generator)
copies, path = sample(empirical, latents, schedule, trajectory=True)
inventions, smooth_path = sample(gaussian, latents, schedule, trajectory=True)

# %% picture="copies.png" mystnb={"figure": {"caption": "Samples of the empirical denoiser, each above its nearest training image: they are the same. Below, samples of the Gaussian denoiser from the same noise, each above its nearest training image: new, and nothing one could wear.", "name": "fig-copies"}, "image": {"alt": "Two pairs of image rows. Samples of the empirical denoiser are identical to their nearest training images; samples of the Gaussian denoiser are blurred, unlike any training image.", "width": "100%"}}
rows = []
for name, images in (("empirical", copies[:10]), ("Gaussian", inventions[:10])):
    rows += [(f"{name} sample", clothes.pixels(images)),
             ("nearest in train", clothes.pixels(train[nearest(images, train).index[:, 0]]))]
figure = gallery(rows)

# %% [markdown]
# To count copies we use a criterion from the literature {cite:p}`yoon2023diffusion`: a sample is *memorized* if the distance
# $d_1$ to its nearest training image is less than a third of the distance $d_2$ to the second nearest. The fraction comes
# with a 95 % interval.

# %%
memorized = memorized_fraction(copies, train)
invented = memorized_fraction(inventions, train)
real = memorized_fraction(holdout, train)
assert memorized.fraction == 1 and invented.high < 0.02
glue(memorized=memorized.fraction, memorized_low=memorized.low, invented=invented.fraction, invented_high=invented.high,
     farthest=nearest(copies, train).distance.max(), real=real.fraction, real_high=real.high)

# %% [markdown]
# Of the empirical denoiser's samples a fraction of {glue:text}`memorized:.3f` (at least {glue:text}`memorized_low:.3f`) are
# memorized; the largest distance of any sample from the training set is {glue:text}`farthest:.1e`. It generates its training
# set, nothing else. Of the Gaussian's samples the fraction is {glue:text}`invented:.3f` (at most {glue:text}`invented_high:.3f`),
# and of real, held-out images it is {glue:text}`real:.3f` (at most {glue:text}`real_high:.3f`).
#
# Why do the Gaussian's samples look like smoke? Not because they lack contrast: their covariance is that of the photographs,
# so neighboring pixels differ by as much as they should. But in a photograph these differences are mostly nothing and
# sometimes an edge. The kurtosis of the differences (3 for a Gaussian) tells the two apart.

# %%
def contrast_and_kurtosis(images):
    difference = images.diff(dim=-1).flatten()
    return difference.square().mean(), (difference**4).mean() / difference.square().mean() ** 2


contrast, kurtosis = contrast_and_kurtosis(train)
gaussian_contrast, gaussian_kurtosis = contrast_and_kurtosis(inventions)
glue(contrast=contrast, gaussian_contrast=gaussian_contrast, kurtosis=kurtosis, gaussian_kurtosis=gaussian_kurtosis)

# %% [markdown]
# The mean squared difference of neighboring pixels is {glue:text}`contrast:.3f` in the photographs and
# {glue:text}`gaussian_contrast:.3f` in the Gaussian's samples; the kurtosis is {glue:text}`kurtosis:.1f` against
# {glue:text}`gaussian_kurtosis:.1f`. (It is not quite 3, as some pixels vary more than others.) The right amount of
# contrast, and no edges: sharpness needs more than a mean and a covariance.
#
# ### One path of each
#
# Both paths start from the same noise. What differs is what they are told on the way, $D(x, \sigma)$.

# %% mystnb={"figure": {"caption": "One trajectory of each denoiser from the same noise: the state x, scaled to the contrast of an image, and the current guess $D(x, \\sigma)$. The empirical guess jumps from the mean to one training image and stays; the Gaussian guess never decides.", "name": "fig-paths"}, "image": {"alt": "Four rows over nine noise levels from 80 to 0: state and guess of the empirical and of the Gaussian denoiser. The empirical guess becomes one sharp photograph long before the noise is gone; the Gaussian guess stays blurred.", "width": "100%"}}
steps = torch.tensor([0, 4, 6, 7, 8, 9, 10, 12, 18])


def one_path(denoiser, states):
    """Row of states, shrunk to the contrast of a clean image, and row of guesses of the first trajectory."""
    x, sigma = states[steps, 0], schedule[steps]
    shrunk = x * (0.5 / (0.25 + sigma**2).sqrt().float())[:, None, None, None]
    return clothes.pixels(shrunk), clothes.pixels(denoiser(x, sigma))


(state, guess), (smooth_state, smooth_guess) = one_path(empirical, path), one_path(gaussian, smooth_path)
figure = gallery([("$x$", state), ("empirical $D$", guess), ("$x$", smooth_state), ("Gaussian $D$", smooth_guess)],
                 [rf"$\sigma = {level:.2g}$" for level in schedule[steps].tolist()])

# %% [markdown]
# When is it decided which image a path will end on? Along each of the 256 paths we ask which training image is nearest to
# the current guess, and note the lowest noise level of the grid at which it is still another one than in the end.

# %%
destination = nearest(copies, train).index[:, 0]
guesses = torch.stack([nearest(empirical(x, sigma.item()), train).index[:, 0] for x, sigma in zip(path, schedule)])
lowest_doubt = torch.where(guesses != destination, schedule[:, None], torch.inf).amin(0).clamp(max=schedule[0])
quartiles = lowest_doubt.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
glue(decided_low=quartiles[0], decided=quartiles[1], decided_high=quartiles[2])

# %% [markdown]
# For half of the paths that level is {glue:text}`decided:.1f` or more (quartiles {glue:text}`decided_low:.1f` and
# {glue:text}`decided_high:.1f`). Above it a path follows the data as a whole; below it, one photograph.
#
# ## What its error says
#
# All of this can be read off a curve that any trained model has: its denoising error on training and on held-out images,
# noise level by noise level. Their relative difference
#
# $$
# G(\sigma) = \frac{E_\text{holdout}(\sigma) - E_\text{train}(\sigma)}{E_\text{train}(\sigma)}
# $$ (eq-gap)
#
# is the *generalization gap* {cite:p}`kaiser2026generalize`. The i-th training and the i-th held-out image share their noise.

# %%
gap = generalization_gap(empirical, train, holdout, sigmas, draws=1, generator=generator)
smooth_gap = generalization_gap(gaussian, train, holdout, sigmas, draws=1, generator=generator)

# %% mystnb={"figure": {"caption": "Left: denoising error per pixel against noise level, with 95 % intervals over images. The empirical denoiser is perfect on what it has seen and useless on what it has not: below $\\sigma = 1$ its held-out error stops falling. Right: the relative gap, with 95 % bands for the whole curve. The empirical denoiser's grows without bound as the noise falls; the Gaussian's stays moderate, and is not zero.", "name": "fig-error"}, "image": {"alt": "Two plots against noise level. Training error of the empirical denoiser drops to zero below noise level 1 while its held-out error levels off; both errors of the Gaussian denoiser fall together. The relative gap of the empirical denoiser rises steeply toward small noise.", "width": "100%"}}
def with_interval(errors):
    """Mean over images [S], and the ends of its 95 % interval."""
    mean, reach = errors.mean(1), 1.96 * errors.std(1) / errors.shape[1] ** 0.5
    return mean, mean - reach, mean + reach


figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.4))
for errors, label, color, style, at, offset in (
        (gap.holdout_errors, "empirical, held-out", HOLDOUT, "-", 0, (0, 8)),
        (gap.train_errors, "empirical, train", TRAIN, "-", 10, (8, 0)),
        (smooth_gap.holdout_errors, "held-out", HOLDOUT, "--", 0, (-3, 38)),
        (smooth_gap.train_errors, "Gaussian, train", TRAIN, "--", 3, (8, -6))):
    mean, low, high = with_interval(errors)
    curve(left, sigmas, mean, label, color, low, high, at, offset, linestyle=style)
curve(left, sigmas, sigmas**2, "do nothing", NEUTRAL, at=8, offset=(4, 4), linewidth=0.8)
left.set(xscale="log", yscale="log", ylim=(3e-5, 2), xlabel=r"noise level $\sigma$", ylabel=r"error $E(\sigma)$ per pixel")
for result, label, color, style, at, offset in ((gap, "empirical", TRAIN, "-", 1, (10, 4)),
                                                (smooth_gap, "Gaussian", NEUTRAL, "--", 0, (6, 10))):
    seen = result.gap < 10
    low, high = gap_band(result.train_errors[seen], result.holdout_errors[seen], generator)
    curve(right, sigmas[seen], result.gap[seen], label, color, low, high, at, offset, linestyle=style)
right.set(xscale="log", ylim=(-0.2, 5), xlabel=r"noise level $\sigma$", ylabel=r"gap $G(\sigma)$")
right.axhline(0, color=NEUTRAL, linewidth=0.8);

# %% tags=["remove-input"]
at_one, small = int((sigmas - 1).abs().argmin()), 0
assert gap.train[at_one] < 0.01 * gap.holdout[at_one] and gap.holdout[small] > 0.9 * gap.holdout[at_one]
assert smooth_gap.gap.max() < 2
glue(train_at_one=gap.train[at_one], holdout_at_one=gap.holdout[at_one], floor=gap.holdout[small],
     crossing=gap.holdout[small] ** 0.5, smooth_gap_small=smooth_gap.gap[small], smooth_gap_one=smooth_gap.gap[at_one],
     largest=sigmas[-1], gap_largest=100 * gap.gap[-1], smooth_gap_largest=100 * smooth_gap.gap[-1])

# %% [markdown]
# At $\sigma = 1$ the empirical denoiser's error is {glue:text}`train_at_one:.1e` on its training images and
# {glue:text}`holdout_at_one:.3f` on held-out ones. As the noise falls the latter stays at {glue:text}`floor:.3f`, the mean
# squared distance (per pixel) between a garment and the training garment most like it: below $\sigma =$
# {glue:text}`crossing:.2f` even doing nothing is better. *The best denoiser of the training set is, on new images, worse than
# none.* At $\sigma =$ {glue:text}`largest:.0f`, where both denoisers return the training mean, the gaps are
# {glue:text}`gap_largest:.1f` % and {glue:text}`smooth_gap_largest:.1f` %: that is how much the two sets of images happen to
# differ.
#
# The Gaussian denoiser copies nothing, and yet its gap is {glue:text}`smooth_gap_one:.2f` at $\sigma = 1$ and
# {glue:text}`smooth_gap_small:.2f` at the smallest noise. It has fitted a covariance with more than three hundred thousand
# entries to a thousand images, and in the directions of little variance it has learned these images rather than images.
# The next chapter computes how much.
#
# ## How near, then?
#
# Copies are one end. "Is this sample a copy?" is a question about single images, with a threshold that somebody chose. The
# question of this book is wider: *do the samples of a model sit nearer to the images it was trained on than to other images
# of the same kind?* If training images and held-out images come from the same source and there are equally many of both,
# then a model that had learned only the source would be as near to the one as to the other. So we count: of all samples,
# what share is nearer to the training images? Without any memory that *preference* is ½.
#
# %%
leaning = {"empirical": proximity_bias(copies, train, holdout), "Gaussian": proximity_bias(inventions, train, holdout),
           "real images": proximity_bias(fashion_mnist("report").images[:256], train, holdout)}

# %% mystnb={"figure": {"caption": "Share of 256 samples that are nearer to the training images than to as many held-out images of the same kind, with 95 % intervals. Copies are always nearer. The Gaussian denoiser copies nothing, and its samples too lean toward the data that it was fitted to; real, unseen images do not.", "name": "fig-preference"}, "image": {"alt": "Three shares with intervals on an axis from 0 to 1. The empirical denoiser's samples are all nearer to the training images, the Gaussian's are nearer in clearly more than half of the cases, real images in about half.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.4, 1.7))
axes.axvline(0.5, color=NEUTRAL, linewidth=0.8)
for place, (name, result) in enumerate(leaning.items()):
    axes.plot([result.low, result.high], [place, place], color=TRAIN, linewidth=1.5)
    axes.plot(result.preference, place, "o", color=TRAIN, markersize=6)
axes.set(yticks=range(3), yticklabels=leaning, ylim=(2.5, -0.5), xlim=(0, 1.02),
         xlabel="preference: share of samples nearer to train than to held-out")
axes.spines["left"].set_visible(False)

# %% tags=["remove-input"]
assert leaning["empirical"].preference == 1 and leaning["real images"].low < 0.5 < leaning["real images"].high
assert leaning["Gaussian"].p_value < 0.05
glue(gaussian_preference=leaning["Gaussian"].preference, gaussian_low=leaning["Gaussian"].low,
     gaussian_high=leaning["Gaussian"].high, gaussian_p=leaning["Gaussian"].p_value,
     real_preference=leaning["real images"].preference, real_p=leaning["real images"].p_value)

# %% [markdown]
# The Gaussian's samples, which no criterion would call copies, prefer the training images with a share of
# {glue:text}`gaussian_preference:.2f` (95 % interval {glue:text}`gaussian_low:.2f` to {glue:text}`gaussian_high:.2f`, exact
# $p =$ {glue:text}`gaussian_p:.1e`); for real images it is {glue:text}`real_preference:.2f` ($p =$ {glue:text}`real_p:.2f`).
# The p-value is that of a random deal of the images into the two halves, which is not the binomial test: samples that share
# a nearest image are one coin, not several. *To lean on the training data is not the same as to copy it.* That is the thread
# of this book.
#
# ## Summary
#
# - A diffusion model is a denoiser, $D(x, \sigma) \approx \mathbb E[y \mid x]$, and its score is $(D(x, \sigma) - x)/\sigma^2$.
# - The best denoiser of a finite training set is a weighted average of training images. With decreasing noise the weight
#   falls on a single one, in high dimension at noise levels where the eye sees hardly anything.
# - Sampling with it returns the training set: memorized fraction {glue:text}`memorized:.2f`. On unseen images it is worse
#   than no denoiser as soon as the noise is small. Generating anything new takes a denoiser that *fails* to be optimal.
# - The best linear denoiser copies nothing and makes nothing that could be worn. Its error on training images is still lower
#   than on held-out ones, and its samples still lean toward the images it was fitted to.
# - So there are three questions to ask of any model: does it copy, does it err less on what it has seen, do its samples lean?
#   They have three different answers.
#
# ## Reuse this
#
# Your own images as a tensor `[N, channels, height, width]`, any denoiser, and equally many held-out images. The cell
# stands alone.

# %%
import torch
from nearsight import EmpiricalDenoiser, edm_sigmas, generalization_gap, memorized_fraction, proximity_bias, sample
from nearsight.datasets import digits

images = digits().images                              # yours: floats, scaled as your network sees them
train, holdout = images[:800], images[800:1600]       # drawn from one source, equally many
denoiser = EmpiricalDenoiser(train, blur=0.3)         # yours: lambda x, sigma: my_network(x, sigma)

generator = torch.Generator().manual_seed(0)
schedule = edm_sigmas(18, sigma_max=20.0)
latents = schedule[0] * torch.randn(300, *train.shape[1:], generator=generator)
samples = sample(denoiser, latents, schedule)
copied, leaning = memorized_fraction(samples, train), proximity_bias(samples, train, holdout)
gap = generalization_gap(denoiser, train, holdout, torch.tensor([0.2, 0.5, 1.0, 2.0]), draws=4, generator=generator)
print(f"copied {copied.fraction:.2f} [{copied.low:.2f}, {copied.high:.2f}]; "
      f"leaning {leaning.preference:.2f} [{leaning.low:.2f}, {leaning.high:.2f}], p = {leaning.p_value:.1g}; "
      f"largest gap {gap.gap.max():.2f}")

# %% [markdown]
# ## Exercises
#
# 1. *Twice in the training set.* Append ten training images to the training set a second time. How does the memorized
#    fraction of the empirical denoiser change, and why must the criterion count $d_1 = 0$ as a copy whatever $d_2$ is?
# 2. *Blur.* `EmpiricalDenoiser(train, blur=b)` generates training images plus noise of standard deviation $b$. At which $b$
#    does the memorized fraction drop, and at which the preference? ([Chapter 3](03_flow_field.py) draws the picture.)
# 3. *Which solver?* Sample with `solver="euler"` and `solver="ancestral"` from the same latents. Do all three end on the same
#    training image? Look at the ones that do not: at which $\sigma$ do they part?
# 4. *Fewer dimensions.* Repeat the figure of the errors at `fashion_mnist(..., resolution=16)`. Does the training error
#    vanish at the same $\sigma$?
#
# ## Provenance
#
# Everything on this page was computed when the page was built, from data that ship with the repository.

# %% tags=["remove-input"]
print(f"data: Fashion-MNIST, first {n} images of the splits 'pool' and 'stopping', SHA-256 checked at loading; "
      f"torch {torch.__version__}, seed 0")
