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
# # Audit your own model
#
# You have trained a diffusion model. You have its training images, and some that you
# held out. *Has it memorized, how would you know, and what may you say about it?* The
# chapters before answered that for models that we made. This one turns their
# measurements into one call.
#
# Let T be the training images and H the held-out ones, drawn by the same random split,
# before training, and used for nothing. Then the audit needs one assumption, its
# *null*: the model does not know which of the images of T and H it was trained on.
# Under it the labels T and H are a random deal, whatever the model is and however bad
# its samples are. Every test below compares what is seen with such deals. What comes
# out is one of five verdicts:
#
# | verdict | what it means | what it does not show |
# | --- | --- | --- |
# | copies | some samples depict single training images, more often than unseen real images would | that the rest is free of copies; anything about crops, objects, styles |
# | closer | samples lie nearer to the training images than to as many unseen ones: the model leans on its data without copying | harm by itself: biased is not memorized |
# | recognizes | the network treats its training images differently; samples did not show it, or were not asked | that it will stay so with more samples or other samplers |
# | no_evidence | an effect of the size that is named would have been seen with 90 % probability | that there is no memory |
# | inconclusive | the data cannot answer | anything |
#
# None of them is a privacy guarantee or a legal finding. The idea of comparing samples
# with training and with unseen images at once is of {cite:t}`meehan2020nonparametric`.
#
# Symbols are on the [notation page](../book/notation.md).
#
# On this page, $o_j$ is the number of samples that one image *owns*: to which it is the
# nearest of T and H.

# %% tags=["hide-input"]
import base64
from dataclasses import replace

import torch
from IPython.display import HTML
from matplotlib import pyplot as plt
from nearsight import (
    EmpiricalDenoiser,
    GaussianDenoiser,
    audit,
    memorized_fraction,
    nearest,
    records,
    sample,
    samples_needed,
)
from nearsight.datasets import digits, fashion_mnist
from nearsight.gaussian import fit
from nearsight.measures import weighted_loss, wilson
from nearsight.networks import clothes_classifier
from nearsight.page import (
    HOLDOUT,
    NEUTRAL,
    THEORY,
    TRAIN,
    beside,
    curve,
    dots,
    gallery,
    glue,
    provenance,
    step_axis,
    use_style,
)
from nearsight.studies import find
from nearsight.studies.audit_training import (
    BOOT,
    EFFECTS,
    LEVELS,
    WAYS,
    boots_and_others,
    both_ways,
    few_and_held,
    recorded_few,
    verdict_of,
)
from nearsight.studies.audits import KINDS, PLANTED, STRENGTHS
from nearsight.studies.image_measures import GRID
from nearsight.studies.image_moments import recorded_network

use_style()
torch.set_num_threads(1)  # small products: a second thread would mostly wait
generator = torch.Generator().manual_seed(0)  # all randomness of this chapter
WORSE = "#CC79A7"  # verdicts "closer" and "copies"

# %% [markdown]
# ## Does it tell models apart?
#
# First six models whose answer is known, or was found in earlier chapters. T and H are
# the first two blocks of 512 photographs of clothes of [chapter 5](05_two_halves.py).
# Three models are exact: a *memory* of T, which can only copy; the same *blurred* by
# $\delta = 0.15$; and a *Gaussian* fitted to other photographs, which has met neither
# set. Two are the network of block 0 of that chapter, early (step 510) and late (step
# 2,400). The last one was trained on {glue:text}`few:.0f` photographs only, and is
# audited against them.

# %%
pool = fashion_mnist("pool", 16)
train, holdout = pool.images[:1024].split(512)
flat = GaussianDenoiser(*fit(fashion_mnist("reference", 16).images.flatten(1)))
exact = {"memory": EmpiricalDenoiser(train),
         "blurred memory": EmpiricalDenoiser(train, blur=0.15),
         "Gaussian of others": lambda x, sigma: flat(x.flatten(1), sigma).view_as(x)}
latents = GRID[0].float() * torch.randn(1000, *train.shape[1:], generator=generator)


def as_files(images):
    """Images in the 256 grey levels of an image file, and back in network units."""
    grey = (255 * pool.scaling.pixels(images)).round()
    return pool.scaling.network(grey.numpy())


reports = {name: audit(train, holdout, samples=as_files(sample(model, latents, GRID)),
                       denoiser=model, sigmas=LEVELS, draws=1, title=name)
           for name, model in exact.items()}

# %% [markdown]
# The networks and their samples are recorded. `sigmas` are
# {glue:text}`levels:.0f` noise levels at which the network's errors are measured, each
# with one draw of noise for every image.

# %%
drawn = records.load(find("image-samples-512-b0-s0-laptop"))
moments = {"network, early": find("image-weights-512-b0-s0-510-laptop"),
           "network, late": find("image-weights-512-b0-s0-2400-laptop")}
for name, run_of in moments.items():
    steps, grey_levels = drawn.results.curve("samples")
    of_moment = grey_levels[steps.tolist().index(run_of.config.steps)]
    network = recorded_network(run_of.config, records.load(run_of).results)
    samples = pool.scaling.network(of_moment[:, None].numpy())
    reports[name] = audit(train, holdout, samples=samples, denoiser=network,
                          sigmas=LEVELS, draws=1, title=name)

# %% tags=["hide-input"]
few = {140: records.load(find("audit-few-140-laptop")),
       2000: records.load(find("audit-few-2000-laptop"))}
config = find("audit-few-140-laptop").config
few_train, few_holdout = few_and_held(config)
few_samples = pool.scaling.network(few[140].results.final["samples"][:, None].numpy())
few_name = f"network, {config.images} images"
reports[few_name] = audit(few_train, few_holdout, samples=few_samples, title=few_name,
                          denoiser=recorded_few(config, few[140].results),
                          sigmas=LEVELS, draws=1)
print(f"{'model':22}{'verdict':14}{'least adjusted p':>18}  of the test")
for name, report in reports.items():
    least = min(report.tests, key=lambda test: test["p_adjusted"])
    print(f"{name:22}{report.verdict['code']:14}{least['p_adjusted']:18.2g}  "
          f"{least['name']}")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Six models, by what the audit measures (bars: 95 %; grey: 95 % of random deals; dotted: no memory). Colored by verdict: one call tells copying, leaning and neither apart.", "name": "fig-models"}, "image": {"alt": "Four panels with a row for each of six models, verdicts at the right. The memory and the blurred memory have preference one; the memory and the network of 140 images have copies. The late network has preference 0.68 and an area of 0.73; the early network and the Gaussian are near one half.", "width": "100%"}}
COLORS = {"copies": "#B2182B", "closer": HOLDOUT}


def bars(report):
    """Value, low and high of preference, margin, copies in percent, and area."""
    near, copied = report.proximity, report.copies
    attack = report.membership["denoiser"]
    return [(near["preference"], near["low"], near["high"]), (near["margin"],) * 3,
            [100 * copied[key] for key in ("fraction", "low", "high")],
            (attack["auc"], attack["low"], attack["high"])]


figure, panels = plt.subplots(1, 4, figsize=(8.6, 2.9), sharey=True)
for place, report in enumerate(reports.values()):
    code, near = report.verdict["code"], report.proximity
    color = COLORS.get(code, TRAIN)
    for axes, (value, low, high) in zip(panels, bars(report)):
        reach = [[max(value - low, 0)], [max(high - value, 0)]]
        axes.errorbar(value, place, xerr=reach, color=color, fmt="o", ms=4, lw=1.4)
    panels[0].barh(place, near["null_high"] - near["null_low"], 0.7, near["null_low"],
                   color=NEUTRAL, alpha=0.25)
    panels[3].annotate(code, (1.08, place), xycoords=("axes fraction", "data"),
                       va="center", fontsize=9, color=color, annotation_clip=False)
for axes, none, title in zip(panels, (0.5, 0, 0, 0.5), (
        r"preference $\nu$", "margin", "copies, %", "membership (AUC)")):
    axes.axvline(none, color=THEORY, lw=1, ls=":")
    axes.set_xlabel(title)
panels[0].set_xlim(0.4, 1.04)
panels[0].set_yticks(range(len(reports)), list(reports))
panels[0].invert_yaxis();

# %% tags=["remove-cell"]
assert [report.verdict["code"] for report in reports.values()] == [
    "copies", "closer", "inconclusive", "no_evidence", "closer", "copies"]
assert all(report.verdict["reliable"] for report in reports.values())
late, early = reports["network, late"], reports["network, early"]
glue(few=config.images, levels=len(LEVELS), late=late.proximity["preference"],
     late_low=late.proximity["low"], late_high=late.proximity["high"],
     late_gaussian=late.proximity["gaussian"]["preference"],
     gaussian_low=late.proximity["gaussian"]["low"],
     gaussian_high=late.proximity["gaussian"]["high"],
     late_margin=late.proximity["margin"], late_bound=100 * late.copies["bound"],
     early=early.proximity["preference"], early_low=early.proximity["low"],
     early_high=early.proximity["high"],
     early_detectable=early.proximity["smallest_detectable"],
     few_copies=reports[few_name].copies["count"],
     few_samples=reports[few_name].copies["samples"],
     few_auc=reports[few_name].membership["denoiser"]["auc"])

# %% [markdown]
# The three networks are told apart:
#
# - *Early*: preference {glue:text}`early:.3f` ({glue:text}`early_low:.3f` to
#   {glue:text}`early_high:.3f`). No test found anything, and a preference of
#   {glue:text}`early_detectable:.3f` had a 90 % chance to be found. Eight networks
#   together do lean at this step, by less than that ([chapter 5](05_two_halves.py)):
#   `no_evidence` is not "no".
# - *Late*: preference {glue:text}`late:.3f` ({glue:text}`late_low:.3f` to
#   {glue:text}`late_high:.3f`), and not one copy. It leans.
# - *Of 140 images*: {glue:text}`few_copies:.0f` of {glue:text}`few_samples:.0f` samples
#   are copies.
#
# Leaning is not yet knowing single images: samples of a Gaussian with the mean and
# covariance of T, which knows none, may lean as well. The report puts them beside the
# model's. Here they have {glue:text}`late_gaussian:.3f`
# ({glue:text}`gaussian_low:.3f` to {glue:text}`gaussian_high:.3f`): so coarse a summary
# does not explain this network. [Chapter 5](05_two_halves.py) asks what does.
#
# The Gaussian of others, which has met neither set, is `inconclusive`: its samples have
# few nearest images between them, and are worth little, as the next sections show.
#
# The *margin* is the mean over samples of $\ln(d_\text{H} / d_\text{T})$, the distances
# to the nearest image of H and of T, clipped at $\pm \ln 3$: 0.05 says that training
# images are 5 % nearer. A *copy* is a sample with $d_1 / d_2 < 1/3$, as everywhere in
# this book. The area (AUC) belongs to an attack on membership by the network's error on
# single images; a half of them chooses the noise level, the other half is judged.
#
# ## Does it cry wolf?
#
# The usual test asks how many of the samples are nearer to T, and takes each for a coin
# toss. But samples share nearest images: one image that is near to a hundred samples
# wins them all for its side. The audit deals *images* instead. Let $K'$ be the number
# of samples that T owns, and $o = \sum_j o_j$ that of all samples. If $n$ of $2n$
# images are dealt to T,
#
# $$
# \begin{aligned}
# \operatorname{Var} K'
#     &= \frac{2n}{4(2n - 1)} \Bigl(\sum_j o_j^2 - \frac{o^2}{2n}\Bigr), \\
# m_\text{eff} &= \frac{o^2}{4 \operatorname{Var} K'} ,
# \end{aligned}
# $$ (eq-effective)
#
# where $m_\text{eff}$ is the number of fair coins that would vary as much. The law of
# $K'$ is computed exactly.
#
# Which of the two cries wolf? Audits of three kinds of data, where the samples know
# nothing of either set: real photographs as samples of photographs; white noise in 256
# dimensions, where some points are near to very many ("hubs"); and patients with ten
# images each. A miniature, live:

# %%
def miniature(run):
    """A small run of the same computation, live, beside its own record."""
    return beside(records.compare(records.load(run), records.compute(run)))


miniature(find("audit-null-smoke"))

# %% tags=["hide-input"]
null = records.load(find("audit-null-laptop"))
p_null = torch.stack([stage.arrays["p_values"] for stage in null.results.stages])
p_binomial = torch.stack([stage.arrays["binomial"] for stage in null.results.stages])
audits = len(p_null)
family = p_null.shape[-1] * p_null.amin(-1)  # the first step of Holm's correction

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How often the p-value of an audit without memory is below a level: binomial test on samples (left), deal of images (right; bands: 95 %, Wilson). An honest test stays on the dotted line or below it.", "name": "fig-alarms"}, "image": {"alt": "Two panels of the share of audits against the level. Left, the binomial test lies far above the diagonal for all three kinds of data. Right, deals lie on the diagonal, but for patients whose images are dealt one by one.", "width": "100%"}}
nominal = torch.linspace(0.005, 0.3, 60, dtype=torch.float64)


def alarms(axes, p_values, label, color, offset=None):
    """Draw the share of audits whose p-value is at most the level, with its band."""
    counts = (p_values[:, None] <= nominal).sum(0).tolist()
    low, high = torch.tensor([wilson(each, audits) for each in counts]).T
    curve(axes, nominal, torch.tensor(counts) / audits, label, color, low, high,
          offset=offset or (4, 0))


figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4), sharey=True)
shades = (TRAIN, HOLDOUT, "#CC79A7", "#009E73")
for kind, (name, color) in enumerate(zip(KINDS, shades)):
    if kind < 3:
        alarms(left, p_binomial[:, kind], name.partition(",")[0], color)
    alarms(right, p_null[:, kind, 0], name, color, (4, (-4, -8, 0, 3)[kind]))
for axes in (left, right):
    axes.plot(nominal, nominal, color=THEORY, lw=1, ls=":")
    axes.set_xlabel("level")
left.set(ylabel="share of audits below it", title="binomial test on samples")
right.set_title("deal of images or patients");

# %% tags=["hide-input"]
def rate(p_values):
    """The share of audits at most .05, with Wilson's interval."""
    count = int((p_values <= 0.05).sum())
    low, high = wilson(count, audits)
    return f"{count / audits:.2f} [{low:.2f}, {high:.2f}]"


print(f"{'':9}" + "".join(f"{name:19}" for name in KINDS).rstrip())
for test, values in (("binomial", p_binomial), ("deal", p_null[..., 0]),
                     ("margin", p_null[..., 1]), ("any of 4", family)):
    print(f"{test:9}" + "".join(f"{rate(each):19}" for each in values.T).rstrip())

# %% tags=["remove-cell"]
accused = 100 * (p_binomial <= 0.05).double().mean(0)
in_error = 100 * (family <= 0.05).double().mean(0)
glue(audits=audits, **{f"binomial_{kind}": accused[kind] for kind in range(3)},
     by_image=in_error[2], by_group=in_error[3])

# %% [markdown]
# In {glue:text}`audits:.0f` audits of each kind, the binomial test errs in
# {glue:text}`binomial_0:.1f` % of photographs, {glue:text}`binomial_1:.1f` % of hubs
# and {glue:text}`binomial_2:.1f` % of patients, where 5 % were promised.
#
# The deal keeps its level, with one exception. Images of one patient come into a set
# together, so dealing them one by one is wrong, and {glue:text}`by_image:.1f` % of the
# audits end in a false verdict. Whoever has patients, persons or scenes passes
# `groups=`; then groups are dealt, and it is {glue:text}`by_group:.1f` %. The last
# row holds all tests together, corrected by {cite:t}`holm1979simple`: the verdict
# rests on it.
#
# ## What does it see?
#
# Into samples that know nothing, real digits, we plant what a memory does: nearly exact
# copies, half-way copies (a training image with noise), and a pull of all samples
# toward their nearest training image.

# %%
miniature(find("audit-power-smoke"))

# %% tags=["hide-input"]
power = records.load(find("audit-power-laptop"))
p_power = torch.stack([stage.arrays["p_values"] for stage in power.results.stages])
draws = len(p_power)
seen = (p_power <= 0.05).double()  # [draws, planted, tests]
without, by_kind = seen[:, 0], seen[:, 1:].unflatten(1, (len(PLANTED), len(STRENGTHS)))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of audits in which a test at level 0.05 finds what was planted (bars: 95 %, Wilson). The margin sees what the preference misses; the ratio sees copies, and these alone.", "name": "fig-power"}, "image": {"alt": "Three panels of the detection rate against the planted share from half a percent to ten. For copies the ratio test rises first; for half-way copies the margin rises first and the ratio stays near zero; for a pull, margin and preference rise together.", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(8.6, 3.1), sharey=True)
lines = {"preference": (0, NEUTRAL), "margin": (1, TRAIN), "ratio": (2, "#B2182B"),
         "sample attack": (4, "#CC79A7")}
percents = [100 * strength for strength in STRENGTHS]
for kind, (axes, title) in enumerate(zip(panels, PLANTED)):
    for shift, (test, color) in zip((0.94, 0.98, 1.02, 1.06), lines.values()):
        hits = by_kind[:, kind, :, test].sum(0).tolist()
        bounds = torch.tensor([wilson(int(each), draws) for each in hits]).T
        dots(axes, [shift * each for each in percents],
             (torch.tensor(hits) / draws, *bounds), color, fmt="o-")
    axes.axhline(0.05, color=THEORY, lw=1, ls=":")
    axes.set(title=title, xscale="log", xlabel="planted, %")
    axes.set_xticks(percents, [f"{each:g}" for each in percents])
    axes.set_xticks([], minor=True)
panels[0].set_ylabel("detection rate")
for panel, name, place, offset in ((0, "ratio", (1, 1.0), (-2, 7)),
                                   (0, "margin", (2, 0.56), (-41, 2)),
                                   (2, "sample attack", (5, 0.34), (10, -8)),
                                   (0, "preference", (5, 0.3), (4, -14))):
    panels[panel].annotate(name, place, offset, textcoords="offset points", fontsize=9,
                           color=lines[name][1])
panels[2].annotate("nothing planted", (10, 0.05), (0, 5), textcoords="offset points",
                   ha="right", fontsize=8.5, color=THEORY);

# %% tags=["hide-input"]
print(f"{'at .05':22}{'preference':>12}{'margin':>10}{'ratio':>10}"
      f"{'sample attack':>16}")
print(f"{'nothing planted':22}" + "".join(
    f"{float(without[:, test].mean()):{width}.2f}"
    for width, test in zip((12, 10, 10, 16), (0, 1, 2, 4))))
for kind, name in enumerate(PLANTED):
    for place, strength in enumerate(STRENGTHS):
        print(f"{name + f', {100 * strength:g} %':22}" + "".join(
            f"{float(by_kind[:, kind, place, test].mean()):{width}.2f}"
            for width, test in zip((12, 10, 10, 16), (0, 1, 2, 4))))

# %% tags=["remove-cell"]
half = by_kind[:, list(PLANTED).index("half-way copies"), STRENGTHS.index(0.05)].mean(0)
glue(draws=draws, half_preference=100 * half[0], half_margin=100 * half[1])
assert half[2] == 0
rates = by_kind.mean(0)  # [kinds, strengths, tests]
assert (rates[..., 4] <= rates[..., 1]).all()
assert (rates[2, :, 0] - rates[2, :, 1]).abs().max() < 0.05

# %% [markdown]
# *Preference counts samples, margin weighs them.* Thirty half-way copies among six
# hundred samples (5 %) are found by the margin in {glue:text}`half_margin:.0f` % of
# {glue:text}`draws:.0f` draws, by the preference in {glue:text}`half_preference:.0f` %,
# and by the ratio never. A few nearly exact copies, of different images, are what the
# ratio is for. A pull of all samples is a matter of counting: preference and margin are
# equal. The attack that knows only the samples stays behind the margin everywhere.
#
# ## How many images?
#
# The interval of a preference is as wide as that of $m_\text{eff}$ coins, and that
# number does not grow with the samples for long.

# %%
everything = torch.cat([fashion_mnist(split, 16).images for split in ("train", "test")])
shuffled = everything[torch.randperm(len(everything), generator=generator)]


def effective(n, count):
    """The effective number of `count` photographs as samples, with n images a side."""
    owner = nearest(shuffled[2 * n : 2 * n + count], shuffled[: 2 * n]).index[:, 0]
    owned = owner.bincount(minlength=2 * n).double()
    spread = (owned.square().sum() - count**2 / (2 * n)) * 2 * n / (2 * n - 1)
    return min(float(count), float(count**2 / spread))  # spread = 4 Var K'


counts = [125, 250, 500, 1000, 2000, 4000, 6000]
sizes = {n: [effective(n, count) for count in counts] for n in (250, 1000, 4000)}
needed = {share: samples_needed(share, alpha=0.05 / 4) for share in (0.52, 0.55, 0.6)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: effective samples by the number of samples, for three numbers of images a side; dashed: what a preference takes to be found with 90 % probability by one of four tests. Right: what zero copies seen leave possible, with 95 % confidence.", "name": "fig-samples"}, "image": {"alt": "Left, three curves of effective against actual samples bend away from the diagonal and level off, at about 500 for 250 images a side, 1,300 for 1,000. Dashed lines at 324, 1,276 and 7,834. Right, the bound falls as three over the number of samples, to one percent at 299.", "width": "100%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4), width_ratios=[1.4, 1])
for (n, found_of), color in zip(sizes.items(), (HOLDOUT, TRAIN, "#009E73")):
    curve(left, counts, found_of, rf"$n = {n:,}$", color, marker="o", ms=3)
left.plot(counts, counts, color=THEORY, lw=1, ls=":")
for share, count in needed.items():
    left.axhline(count, color=NEUTRAL, lw=0.8, ls="--")
    left.annotate(rf"$\nu = {share:g}$", (125, count), (0, 3), fontsize=8.5,
                  textcoords="offset points", color=NEUTRAL)
left.set(xscale="log", yscale="log", xlabel="samples", xlim=(115, 14_000),
         ylim=(80, 13_000), ylabel=r"effective samples $m_\mathrm{eff}$")
left.set_xticks([250, 1000, 4000], ["250", "1,000", "4,000"])
left.set_yticks([100, 1000, 10_000], ["100", "1,000", "10,000"])
none_seen = torch.logspace(1.5, 4, 60, dtype=torch.float64)
right.plot(none_seen, 100 * (1 - 0.05 ** (1 / none_seen)), color=TRAIN)
right.axhline(1, color=NEUTRAL, lw=0.8, ls="--")
right.plot(299, 1, "o", color=TRAIN, ms=4)
right.annotate("299 samples: 1 %", (299, 1), (6, 5), textcoords="offset points",
               fontsize=8.5)
right.set(xscale="log", yscale="log", xlabel="samples, none of them a copy",
          ylabel="share of copies, at most, %")
right.set_xticks([100, 1000, 10_000], ["100", "1,000", "10,000"])
right.set_yticks([0.03, 0.1, 1, 10], ["0.03", "0.1", "1", "10"])
for axes in (left, right):
    axes.minorticks_off()

# %% tags=["remove-cell"]
glue(most_250=sizes[250][-1], most_1000=sizes[1000][-1], needs_55=needed[0.55],
     needs_52=needed[0.52])
assert abs((1 - 0.05 ** (1 / 299)) - 0.01) < 1e-4

# %% [markdown]
# With 250 images a side, 6,000 samples are worth {glue:text}`most_250:.0f`, with 1,000
# a side {glue:text}`most_1000:,.0f`. A preference of 0.55 takes
# {glue:text}`needs_55:,.0f`, one of 0.52 {glue:text}`needs_52:,.0f`. *More samples stop
# helping; only more held-out images do.* Other data have other hubs, so every report
# states its own $m_\text{eff}$ and the smallest preference it could have found.
# `no_evidence` is said only where that is 0.60 or less and copies are bounded by 1 %;
# both marks are our choices. Even then a fifth of the samples may lean completely.
#
# ## The split, attacked
#
# Three ways to fool an audit, or oneself.

# %%
figures = digits().images[torch.randperm(1797, generator=generator)]
once, others = figures[:400], figures[400:970].clone()
noisy = once[:30] + 0.02 * torch.randn(30, 1, 8, 8, generator=generator)
planted = torch.cat([noisy, others])
repeated = {times: once.repeat(times, 1, 1, 1) for times in (1, 2, 3, 4, 5)}
plain = {times: 600 * memorized_fraction(planted, each).fraction
         for times, each in repeated.items()}
collapsed = {times: audit(each, None, samples=planted).copies["count"]
             for times, each in repeated.items()}

# %%
grey = 0.5 / pool.scaling.deviation  # one grey level in network units


def with_noise(level):
    """The held-out images with noise of so many grey levels."""
    return holdout + level * grey * torch.randn(holdout.shape, generator=generator)


both, kinds = pool.images[:1024], pool.labels[:1024]
by_light = both[both.flatten(1).mean(1).argsort(descending=True)].split(512)
splits = {"random halves": (train, holdout), "noise of 1 level": (train, with_noise(1)),
          "noise of 2 levels": (train, with_noise(2)), "by brightness": by_light,
          "by kind": (both[kinds < 5], both[kinds >= 5])}
strangers = {name: audit(*sets, denoiser=exact["Gaussian of others"], sample_count=0,
                         sigmas=LEVELS, draws=1, check_ranges=False)
             for name, sets in splits.items()}

# %% tags=["hide-input"]
def best_accuracy(n, trials=400):
    """Accuracy, without a signal, of the threshold that is best on n + n scores."""
    order = torch.rand(trials, 2 * n, generator=generator).argsort(1) < n
    steps = torch.where(order, 1, -1).cumsum(1).amax(1).clamp(min=0)
    return 0.5 + steps.double() / (2 * n)


coins = {n: best_accuracy(n) for n in (50, 100, 250, 500, 1000)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: copies found by the ratio before and after duplicates are collapsed. Middle: attack on a Gaussian that saw neither set (95 %), with the check's p. Right: accuracy of a coin whose threshold is chosen on the judged images.", "name": "fig-attacked"}, "image": {"alt": "Left: with each image once all copies are found; from two times on none by the plain ratio and all by the audit. Middle: the area is one half for random halves and far from it for noise, brightness and kind, where the check has p at its least. Right: accuracy falls from 0.56 at 50 images a side to 0.51 at 1,000.", "width": "100%"}}
figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(8.8, 3.2), width_ratios=[1, 1.3, 1])
curve(left, list(collapsed), list(collapsed.values()), "audit", TRAIN, marker="o",
      at=2, offset=(0, -10))
curve(left, list(plain), list(plain.values()), "plain ratio", "#B2182B", marker="o",
      at=2, offset=(-14, 9))
left.set(xlabel="times each image is in T", ylabel="copies found", ylim=(-2, 34),
         xticks=list(plain))
for place, report in enumerate(strangers.values()):
    attack = report.membership["denoiser"]
    shade = TRAIN if report.verdict["reliable"] else "#B2182B"
    middle.errorbar(attack["auc"], place, color=shade, fmt="o", ms=4, xerr=[
        [attack["auc"] - attack["low"]], [attack["high"] - attack["auc"]]])
    middle.annotate(f"p = {report.exchangeability['p_value']:.2g}", (0.79, place),
                    va="center", fontsize=8.5, color=shade)
middle.set_yticks(range(len(strangers)), list(strangers))
middle.invert_yaxis()
middle.axvline(0.5, color=THEORY, lw=1, ls=":")
middle.set(xlabel="AUC of a model that saw neither", xlim=(0.36, 1.02))
curve(right, list(coins), [each.mean() for each in coins.values()], "mean", TRAIN,
      marker="o", at=1, offset=(-18, -12))
curve(right, list(coins), [each.quantile(0.95) for each in coins.values()],
      "95 % quantile", NEUTRAL, marker="o", at=1, offset=(6, 6))
right.axhline(0.5, color=THEORY, lw=1, ls=":")
right.set(xscale="log", xlabel="images a side", ylabel="accuracy of a coin")
right.set_xticks([50, 100, 250, 1000], ["50", "100", "250", "1,000"])
right.minorticks_off();

# %% tags=["remove-cell"]
assert plain[1] == collapsed[1] == collapsed[5] and plain[2] == 0
glue(coin=float(coins[100].mean()), coin_high=float(coins[100].quantile(0.95)),
     **{f"{name.split()[-1]}_{part}": value for name, report in strangers.items()
        for part, value in (("auc", report.membership["denoiser"]["auc"]),
                            ("p", report.exchangeability["p_value"]))})

# %% [markdown]
# - *Duplicates hide copies.* A copied image with a twin in T has $d_1 \approx d_2$:
#   twice in the training set is enough to disappear from the ratio. The audit collapses
#   near-duplicates first, and reports how many there were.
# - *The attack measures the split.* The Gaussian in the middle saw neither set, and yet
#   its errors tell them apart wherever the sets differ. The audit checks that T and H
#   look alike, in the mean, in principal directions, in fine detail and by nearest
#   neighbors, and calls its verdict unreliable where they do not. Exchangeability
#   cannot be proved by a check, only refuted.
# - *A threshold chosen on the judged images finds members where there are none.* With
#   100 images a side a coin scores {glue:text}`coin:.2f` on average. The audit chooses
#   on one half and reports the other; like {cite:t}`carlini2022membership` it gives
#   true positives at low false-positive rates, and nothing where there are too few
#   images to hold such a rate.

# %% [markdown]
# ## "The sample results are training images"
#
# So wrote somebody who had trained on 140 images. Is it the number? Two networks of one
# design, a third as large as those of chapter 5, were trained for as many steps on 140
# and on 2,000 photographs, those among these, and audited six times.

# %%
miniature(find("audit-few-smoke"))

# %% tags=["hide-input"]
def effect(name, stage):
    """A recorded effect of an audited checkpoint."""
    return float(stage.arrays["effects"][EFFECTS.index(name)])


def audited(record):
    """The checkpoints of a network that were audited."""
    return [stage for stage in record.results.stages if "effects" in stage.arrays]


def verdicts(run_of, record):
    """The verdict at each of them."""
    return [verdict_of(run_of.config, stage.arrays) for stage in audited(record)]


few_codes = {140: verdicts(find("audit-few-140-laptop"), few[140]),
             2000: verdicts(find("audit-few-2000-laptop"), few[2000])}
samples_of = {count: pool.scaling.network(
    record.results.final["samples"][:, None].numpy()) for count, record in few.items()}
of_2000 = find("audit-few-2000-laptop").config
trained_on = {140: few_train, 2000: few_and_held(of_2000)[0]}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Trained on 140 and on 2,000 photographs: of the 600 samples at the last step the eight that come nearest to being copies, each above its nearest training image, with the ratio of the two nearest.", "name": "fig-few"}, "image": {"alt": "Four rows of eight small photographs. Samples of the network of 140 images look like the training images below them; samples of the other one do not.", "width": "100%"}}
rows, ratios = [], []
for count, images in samples_of.items():
    found_in = nearest(images, trained_on[count], k=2)
    ratio = found_in.distance[:, 0] / found_in.distance[:, 1]
    first = ratio.argsort()[:8]
    rows += [(f"{count:,}: sample", pool.pixels(images[first])),
             ("nearest", pool.pixels(trained_on[count][found_in.index[first, 0]]))]
    ratios += [ratio[first].tolist()]
figure = gallery(rows)
for line, values in zip((0, 2), ratios):
    for axes, value in zip(figure.axes[8 * line : 8 * line + 8], values):
        axes.set_title(f"{value:.2f}", loc="center", fontsize=8.5)

# %% tags=["hide-input"]
print(f"{'images':>6}{'step':>7}  {'preference, 95 %':24}{'margin':>8}{'copies':>8}"
      f"{'AUC':>7}  verdict")
for count, record in few.items():
    for stage, code in zip(audited(record), few_codes[count]):
        low_high = ", ".join(f"{effect(name, stage):.3f}" for name in ("low", "high"))
        print(f"{count:6,}{stage.step:7,}  {effect('preference', stage):.3f} "
              f"[{low_high}]    {effect('margin', stage):8.3f}"
              f"{effect('copies', stage):8.1%}{effect('auc', stage):7.3f}  {code}")

# %% tags=["remove-cell"]
turned = few_codes[140].index("closer")
glue(copies_140=100 * effect("copies", audited(few[140])[-1]),
     turned=audited(few[140])[turned].step,
     detectable_2000=min(effect("detectable", stage) for stage in audited(few[2000])))
assert few_codes[140][turned:] == [*["closer"] * (5 - turned), "copies"]
assert effect("copies", audited(few[140])[turned]) == 0
assert set(few_codes[2000]) == {"inconclusive"}
assert all(effect("copies", stage) == 0 for stage in audited(few[2000]))

# %% [markdown]
# It is, here. After 3,000 steps {glue:text}`copies_140:.1f` % of the samples of the
# network of 140 images are copies, and of the other one's not one. On the way the small
# set's verdict turns to `closer` at step {glue:text}`turned:.0f`, when no sample is a
# copy yet. The network of 2,000 images shows no trace at any step.
#
# Two limits. The verdict on 2,000 images is `inconclusive` and not `no_evidence`: six
# audits share one alpha, and then 600 samples find a preference of
# {glue:text}`detectable_2000:.3f` at best. And at equal steps each of 140 images is
# seen fourteen times as often as one of 2,000, so that this is the effect of the number
# of images and of repeats together.
#
# ## Fine-tuning on 140 images
#
# How does one fine-tune on a small set without memorizing it? A network that had been
# trained on eight kinds of clothes was trained on 140 ankle boots in three ways: on
# these alone (*plain*), on these and their mirror images (*flips*), and with images of
# the first training as half of each batch (*old*). Each was audited at six steps fixed
# in advance, each time at the level 0.05/6. For denoisers
# `nearsight.audit_checkpoints({step: denoiser}, train, holdout)` does that in one call.
#
# One thing had to be learned first. With old data less than half of the samples are
# boots, and the others share their nearest boots: all 400 of them are worth so little
# that nothing could be found. So only those samples are audited that a classifier takes
# for boots, or for mirrored ones, as one would use them. That choice knows nothing of T
# and H, and leaves the null as it is.

# %%
miniature(find("audit-tuned-smoke"))

# %% tags=["hide-input"]
tuned = {"plain": find("audit-tuned-plain-laptop"),
         "flips": find("audit-tuned-flips-laptop"),
         "old": find("audit-tuned-old-laptop")}
tuned_records = {way: records.load(run_of) for way, run_of in tuned.items()}
classifier = clothes_classifier()


def sets_of(way):
    """Training and held-out boots, with mirror images where these were trained on."""
    boots, unseen, *_ = boots_and_others(tuned[way].config)
    if way != "flips":
        return {"train": boots, "holdout": unseen}
    each = len(boots)  # a boot and its mirror image are one group
    return {"train": both_ways(boots), "holdout": both_ways(unseen), "groups": {
        "train": 2 * list(range(each)), "holdout": 2 * list(range(each, 2 * each))}}


def boots_of(way, stage):
    """A row: step, samples, share of boots, margin, AUC, both losses, verdict."""
    settings = tuned[way].config
    images = pool.scaling.network(stage.arrays["samples"][:, None].numpy())
    is_boot = [classifier(each).argmax(1) == BOOT for each in (images, images.flip(3))]
    boots = images[is_boot[0] | is_boot[1]]
    report = audit(**sets_of(way), samples=boots, check_ranges=False,
                   alpha=0.05 / settings.checkpoints)
    near = report.proximity
    effects = dict(zip(EFFECTS, stage.arrays["effects"].tolist())) | {
        "detectable": near["smallest_detectable"], "copies": report.copies["fraction"]}
    of_samples = torch.tensor([test["p_value"] for test in report.tests])
    found_now = {"effects": torch.tensor([effects[name] for name in EFFECTS]),
                 "p_values": torch.cat([of_samples, stage.arrays["p_values"][4:]])}
    code = verdict_of(replace(settings, samples=len(boots)), found_now)
    losses = weighted_loss(LEVELS, stage.arrays["errors"].double(), "edm").tolist()
    return {"step": stage.step, "boots": len(boots) / len(images),
            "margin": near["margin"], "AUC": effects["auc"], "loss": losses[0],
            "old kinds": losses[1], "verdict": code,
            "detectable": near["smallest_detectable"]}


along = {way: [boots_of(way, stage) for stage in audited(record)]
         for way, record in tuned_records.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Fine-tuning on 140 boots in three ways: margin of the samples that are boots, area of the attack on membership, loss on held-out boots. Hollow: the verdict is closer. Dotted: no memory.", "name": "fig-tuned"}, "image": {"alt": "Three panels against steps of fine-tuning from 30 to 960. The margin of plain fine-tuning rises to 0.12, three times as far as the other two. The area rises to 0.9 for plain and to 0.6 for the others. The loss on held-out boots turns up for plain after step 480 and falls on for the others.", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(8.8, 3.2))
tints = dict(zip(WAYS, ("#B2182B", "#009E73", TRAIN)))
for way, each in along.items():
    at_steps = [one["step"] for one in each]
    for axes, name in zip(panels, ("margin", "AUC", "loss")):
        curve(axes, at_steps, [one[name] for one in each], way, tints[way],
              offset=(5, {"old": 4, "flips": -5}.get(way, 0)))
        for one in each:
            leans = one["verdict"] in ("closer", "copies")
            axes.plot(one["step"], one[name], "o", ms=5, color=tints[way],
                      mfc="white" if leans else tints[way])
for axes, name, none in zip(panels, ("margin", "AUC", "loss on held-out boots"),
                            (0, 0.5, None)):
    axes.set_ylabel(name)
    step_axis(axes, (30, 120, 480), "step of fine-tuning")
    axes.set_xlim(25, 1900)
    if none is not None:
        axes.axhline(none, color=THEORY, lw=1, ls=":")

# %% tags=["hide-input"]
print(f"{'way':7}{'step':>5}{'boots':>8}{'margin':>9}{'AUC':>8}{'loss':>8}"
      f"{'old kinds':>11}  verdict")
for way, each in along.items():
    for one in each:
        print(f"{way:7}{one['step']:5,}{one['boots']:8.0%}{one['margin']:9.3f}"
              f"{one['AUC']:8.3f}{one['loss']:8.3f}{one['old kinds']:11.3f}  "
              f"{one['verdict']}")

# %% tags=["remove-cell"]
below = {way: [one["verdict"] not in ("closer", "copies") for one in each]
         for way, each in along.items()}
assert all(each == sorted(each, reverse=True) for each in below.values())  # once closer
kept = {way: along[way][sum(each) - 1] for way, each in below.items()}
ended = {way: each[-1] for way, each in along.items()}
best = {way: min(each, key=lambda one: one["loss"]) for way, each in along.items()}
glue(**{f"{name}_{way}_{part}": one[key] for name, which in (
    ("kept", kept), ("end", ended), ("best", best)) for way, one in which.items()
    for part, key in (("step", "step"), ("loss", "loss"), ("margin", "margin"),
                      ("auc", "AUC"), ("old", "old kinds"))},
     cost_plain=100 * (kept["plain"]["loss"] / best["plain"]["loss"] - 1),
     tuned_detectable=min(one["detectable"] for each in along.values() for one in each))
assert kept["plain"]["step"] < best["plain"]["step"] < ended["plain"]["step"]
assert kept["plain"]["step"] < min(kept[way]["step"] for way in ("flips", "old"))
for way in ("flips", "old"):
    assert ended[way]["margin"] < ended["plain"]["margin"] / 2
    assert best[way]["loss"] < 1.01 * best["plain"]["loss"]

# %% [markdown]
# | | last step below `closer` | loss there | least loss | at step |
# | --- | --- | --- | --- | --- |
# | plain | {glue:text}`kept_plain_step:.0f` | {glue:text}`kept_plain_loss:.3f` | {glue:text}`best_plain_loss:.3f` | {glue:text}`best_plain_step:.0f` |
# | flips | {glue:text}`kept_flips_step:.0f` | {glue:text}`kept_flips_loss:.3f` | {glue:text}`best_flips_loss:.3f` | {glue:text}`best_flips_step:.0f` |
# | old | {glue:text}`kept_old_step:.0f` | {glue:text}`kept_old_loss:.3f` | {glue:text}`best_old_loss:.3f` | {glue:text}`best_old_step:.0f` |
#
# *Plain* fine-tuning leans long before the loss on held-out boots is least. To keep the
# last checkpoint below `closer` costs {glue:text}`cost_plain:.0f` % of that loss.
# *Flips* and *old data* slow the leaning, and both reach a loss near plain's least or
# below it: with flips at step {glue:text}`kept_flips_step:.0f`, where nothing was found
# yet. With old data the network still knows what it knew: its loss on the former kinds
# is {glue:text}`end_old_old:.3f` in the end, and {glue:text}`end_plain_old:.3f` for
# plain.
#
# How far does this go? One network each was trained, so there is no interval between
# the ways; areas have one of ± 0.1. With old data a step holds half as many boots, and
# only some of the samples are boots. And `inconclusive` is not "no": with 140 images a
# side, what had a 90 % chance to be found is a preference of
# {glue:text}`tuned_detectable:.2f` or more.
#
# The guideline that this book can give:
#
# 1. Split off the held-out images first, by person, patient or scene, not by picture.
# 2. Remove duplicates.
# 3. Keep checkpoints at log-spaced steps, fixed in advance.
# 4. Audit each of them with `alpha` divided by their number.
# 5. Keep the last one whose verdict is below `closer`; if that is too early to be
#    useful, say which verdict you ship.
# 6. Prefer old data in the batch and augmentation to longer training.
# 7. Repeat the audit with the sampler, the guidance and the prompts that you will use.
#
# ## The page
#
# A report is shown as a page of its own. It loads nothing and runs no script: verdict,
# what it shows and does not show, all tests, nearest images, inputs with digests, and
# the call that makes it again. This is the late network's:

# %%
reports["network, late"]

# %% tags=["hide-input"]
def link(content, kind, name):
    """A link that holds a file."""
    held = base64.b64encode(content.encode()).decode()
    return f'<a download="{name}" href="data:{kind};base64,{held}">{name}</a>'


shown = reports["network, late"]
HTML("<p>Download: " + ", ".join((
    link(shown.to_html(), "text/html", "audit.html"),
    link(shown.to_json(), "application/json", "audit.json"))) + "</p>")

# %% [markdown]
# Next to the question "is it memorized?" there are questions that no audit answers. It
# trusts that H was unseen: images that were used for early stopping or in a
# pre-training are not. Pixel distances see whole images; crops and recolored copies
# escape, and `features=` takes another space. All areas and margins are lower bounds on
# what a better attack finds. More in {doc}`08b_audit_deeper`.
#
# ## Summary
#
# - One call, one null, five verdicts: of three trained networks one shows no trace, one
#   leans without copying, one copies.
# - Deal images, or patients, and not samples: the binomial test raises many times as
#   many false alarms as it promises.
# - The margin finds half-way copies that counts and ratios miss.
# - More held-out images help, more samples soon do not; `no_evidence` is not "no".
# - Duplicates, a split by kind or brightness, and thresholds chosen on the judged
#   images each fool an audit that does not look.
# - Fine-tuning on 140 images leans long before its loss is least; old data and
#   augmentation slow it.
#
# ## Reuse this
#
# Your images, your network, one report. The cell stands alone; put your arrays and your
# denoiser in the lines marked "yours".

# %%
from pathlib import Path
from tempfile import mkdtemp

import nearsight
import torch
from nearsight.datasets import fashion_mnist

generator = torch.Generator().manual_seed(0)
images = fashion_mnist("pool", 16).images[:600]  # yours: [N, channels, height, width]
train, holdout = images[torch.randperm(len(images), generator=generator)].chunk(2)
denoiser = nearsight.EmpiricalDenoiser(train, 0.1)  # yours, trained on `train` alone:
# denoiser = nearsight.from_vp(network, alphas_bar, predicts="eps")  # a DDPM, or
# denoiser = nearsight.from_diffusers("my-unet-folder")  # saved by diffusers, or
# denoiser = lambda x, sigma: network(x, sigma)  # anything that returns clean images
report = nearsight.audit(train, holdout, denoiser=denoiser, sample_count=300,
                         title="My model, step 20,000")
print(report)
folder = Path(mkdtemp())  # yours
report.save(folder / "audit.html")
report.save(folder / "audit.json")

# %% [markdown]
# ## Exercises
#
# 1. *Patients.* Make a set of patients with ten similar images each and audit a
#    generator that saw none of them, with and without `groups=`. Why does the margin
#    err more than the preference?
# 2. *Mirrors.* Replace thirty samples by mirrored training images. Which verdict comes
#    out, and which with `features=lambda x: (x + x.flip(3)).flatten(1)`?
# 3. *Swapped files.* Exchange T and H in the audit of the memory. What does the report
#    say, and which p-value says it?
# 4. *Twenty checkpoints.* With alpha = 0.05 each, how often does at least one of twenty
#    independent audits without memory raise an alarm? How often with `alpha` divided?
#
# ## Provenance
#
# The ratio of 1/3 is of {cite:t}`yoon2023diffusion`, the comparison of three samples of
# {cite:t}`meehan2020nonparametric`, the attack by denoising error of
# {cite:t}`duan2023diffusion`, rates at few false alarms of
# {cite:t}`carlini2022membership`, copies by whole images of
# {cite:t}`carlini2023extracting`. The family of tests, the margin, the tables of false
# alarms and of power are our own. All was computed when this page was built, except:

# %% tags=["remove-input"]
provenance(drawn, *map(records.load, moments.values()), *few.values(), null, power,
           *tuned_records.values())
