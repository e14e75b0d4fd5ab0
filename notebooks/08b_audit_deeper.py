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
# # Audit your own model: deeper
#
# The companion of {doc}`08_audit_your_model`: {ref}`the whole record <audit-record>`,
# then why each part of the audit is as it is, one section a part. Last come
# {ref}`the faults of published practice <audit-faults>` and
# {ref}`the questions that readers asked <audit-questions>`.
#
# T are the training images and H the held-out ones as they came, T* all training images
# that differ, T' and H' what is left of both when they were cut to one size and
# cleaned. Copies are looked for in T*, everything is tested on T' and H'.
#
# On this page, $\ell_j$ is 1 where an image was dealt to T' and 0 otherwise, and $o_j$
# the number of samples that it owns: to which it is the nearest of the pool T' ∪ H'.

# %% tags=["hide-input"]
from textwrap import fill

import torch
from matplotlib import pyplot as plt
from nearsight import (
    EmpiricalDenoiser,
    audit,
    from_edm,
    from_vp,
    memorized_fraction,
    proximity_bias,
    records,
    samples_needed,
)
from nearsight.datasets import fashion_mnist
from nearsight.measures import weighted_loss, wilson
from nearsight.noise import alpha_bar_of_sigma, vp_sigmas
from nearsight.page import (
    HOLDOUT,
    THEORY,
    TRAIN,
    curve,
    glue,
    provenance,
    use_style,
)
from nearsight.studies import find
from nearsight.studies.audit_training import EFFECTS, LEVELS, TESTS, verdict_of
from nearsight.studies.audits import KINDS, PLANTED, STRENGTHS
from nearsight.studies.image_measures import SIGMAS
from nearsight.studies.image_moments import recorded_network

use_style()
torch.set_num_threads(1)  # small products: a second thread would mostly wait
generator = torch.Generator().manual_seed(8)  # all randomness of this page

# %% [markdown]
# (audit-record)=
# ## What is the whole record?
#
# First the audits of models without memory: the share of p-values at most 0.05 and at
# most 0.01, test by test, and of the smallest of the four times four ("any", Holm's
# first step), which is the share of false verdicts.

# %% tags=["hide-input"]
null, power = (records.load(find(name)) for name in ("audit-null-laptop",
                                                     "audit-power-laptop"))
p_null = torch.stack([stage.arrays["p_values"] for stage in null.results.stages])
p_coins = torch.stack([stage.arrays["binomial"] for stage in null.results.stages])
columns = torch.cat([p_coins[..., None], p_null, 4 * p_null.amin(-1, keepdim=True)], -1)
heads = ("binomial", "prefer.", "margin", "copies", "reprod.", "any")
print(f"{len(p_null)} audits of each kind" + "".join(f"{head:>10}" for head in heads))
for level in (0.05, 0.01):
    for place, kind in enumerate(KINDS):
        shares = (columns[:, place] <= level).double().mean(0)
        print(f"{kind:18} {level:4}" + "".join(f"{float(each):10.3f}"
                                               for each in shares))
low, high = wilson(round(0.05 * len(p_null)), len(p_null))
print(f"\n95 % of shares that estimate .05 lie between {low:.3f} and {high:.3f}.")

# %% [markdown]
# Next the planted audits: the share of draws in which each test, by itself and at 0.05,
# finds what was planted, and in parentheses at 0.0125, the level of one of four tests
# in the first step of Holm's correction.

# %% tags=["hide-input"]
p_power = torch.stack([stage.arrays["p_values"] for stage in power.results.stages])
names = ["nothing", *(f"{kind}, {100 * each:g} %" for kind in PLANTED
                      for each in STRENGTHS)]
columns_of = ("prefer.", "margin", "copies", "reprod.", "attack")
print(f"{len(p_power)} draws{'':15}" + "".join(f"{each:>13}" for each in columns_of))
for place, name in enumerate(names):
    shares, strict = ((p_power[:, place] <= level).double().mean(0)
                      for level in (0.05, 0.0125))
    print(f"{name:22}" + "".join(f"{float(share):6.2f} ({float(other):.2f})"
                                 for share, other in zip(shares, strict)))

# %% [markdown]
# Then all audited checkpoints of all networks: effects, and the p-values of the six
# tests before correction.

# %% tags=["hide-input"]
trained = {name: find(name) for name in (
    "audit-few-140-laptop", "audit-few-2000-laptop", "audit-tuned-plain-laptop",
    "audit-tuned-flips-laptop", "audit-tuned-old-laptop")}
kept = {name: records.load(run) for name, run in trained.items()}
for name, record in kept.items():
    print(f"\n{name}\n  step  preference [95 %]       margin  copies    AUC  detectable"
          "  verdict")
    audited = [stage for stage in record.results.stages if "effects" in stage.arrays]
    for stage in audited:
        effects = dict(zip(EFFECTS, stage.arrays["effects"].tolist()))
        print(f"{stage.step:6,}  {effects['preference']:.3f} [{effects['low']:.3f}, "
              f"{effects['high']:.3f}]  {effects['margin']:8.3f}"
              f"{effects['copies']:8.3f}{effects['auc']:7.3f}"
              f"{effects['detectable']:12.3f}  "
              f"{verdict_of(trained[name].config, stage.arrays)}")
    print("  step" + "".join(f"{test[:10]:>12}" for test in TESTS))
    for stage in audited:
        print(f"{stage.step:6,}" + "".join(f"{each:12.2g}" for each in
                                          stage.arrays["p_values"].tolist()))

# %% [markdown]
# And what fine-tuning costs: the EDM-weighted loss at six noise levels, on held-out
# boots and on unseen images of the eight kinds of the first training.

# %% tags=["hide-input"]
print(f"{'':26}{'step':>5}{'boots':>9}{'old kinds':>11}")
for name, record in kept.items():
    for stage in record.results.stages:
        if "errors" in stage.arrays:
            boots, old = weighted_loss(LEVELS, stage.arrays["errors"].double(), "edm")
            print(f"{name:26}{stage.step:5,}{float(boots):9.4f}{float(old):11.4f}")

# %% [markdown]
# ## Why are images dealt and not samples?
#
# Of all $o = \sum_j o_j$ samples T' owns $K' = \sum_j \ell_j o_j$. Under the null the
# $\ell_j$ are a random deal of $n$ ones among $2n$ places, with
# $\operatorname{Var} \ell_j = \frac14$ and
# $\operatorname{Cov}(\ell_i, \ell_j) = -\frac{1}{4(2n - 1)}$. Hence
# $\mathbb E K' = o/2$, and
#
# $$
# \operatorname{Var} K' = \frac14 \sum_j o_j^2 - \frac{o^2 - \sum_j o_j^2}{4 (2n - 1)}
#     = \frac{2n}{4 (2n - 1)} \Bigl(\sum_j o_j^2 - \frac{o^2}{2n}\Bigr),
# $$ (eq-deal-variance)
#
# which is {eq}`eq-effective`. If every $o_j$ is 0 or 1 the law is hypergeometric. If
# one image owns all, $K'$ is 0 or $o$ with equal probability: $m_\text{eff}$ is 1, and
# no number of samples can help. The audit's p-value is one-sided, the probability of as
# large a $K'$ or a larger one: the direction is the question.

# %% tags=["hide-input"]
points = torch.randn(600, 32, generator=generator)
own, other, queries = points.split([100, 100, 400])
found = proximity_bias(queries, own, other)
sides = torch.cat([own, other])
owned = torch.cdist(queries, sides).argmin(1).bincount(minlength=200)
dealt = torch.stack([owned[torch.randperm(200, generator=generator)[:100]].sum()
                     for _ in range(4000)]).double()
print(f"deviation of K' by the formula {found.deal.variance**0.5:.3f}, "
      f"of 4,000 deals {float(dealt.std()):.3f}; "
      f"{found.effective:.0f} effective of 400")

# %% tags=["remove-cell"]
assert abs(float(dealt.var()) / found.deal.variance - 1) < 0.1

# %% [markdown]
# ## Why is the larger set cut before it is cleaned?
#
# Cleaning collapses duplicates within a set to their first image, and takes images that
# have a twin in the other set out of both. Say there are 1,000 training images and 100
# held-out ones, and some images come in pairs. An image of H that has a twin has it in
# T, nearly always, and leaves; of T's own pairs one image stays. So what is
# photographed twice remains in T' and is missing from H': the sets are no longer
# exchangeable. Cut first, both lose alike.

# %% tags=["hide-input"]
def deal_p(cut_first):
    """One-sided p of a model without memory; 30 % of the images come in pairs."""
    kinds = torch.arange(1100)
    kinds[:330] = kinds[:330] // 2  # the motif of each image
    places = torch.randn(1100, 8, generator=generator)[kinds]
    places[kinds < 165] *= 0.6  # what is photographed twice is typical
    order = torch.randperm(1100, generator=generator)
    ours, theirs = order[:1000], order[1000:]
    if cut_first:
        ours = ours[:100]
    leaks = set(kinds[ours].tolist()) & set(kinds[theirs].tolist())
    left = []
    for side in (ours, theirs):
        first = {int(kind): int(place) for place, kind in
                 zip(side.flip(0), kinds[side].flip(0)) if int(kind) not in leaks}
        left.append(torch.tensor(list(first.values())))
    size = min(map(len, left))
    a, b = (places[side[torch.randperm(len(side), generator=generator)[:size]]]
            for side in left)
    drawn = torch.randn(800, 8, generator=generator)
    drawn[: 800 * 30 // 100] *= 0.6
    return proximity_bias(drawn, a, b).deal.upper


alarms = {cut_first: sum(deal_p(cut_first) <= 0.05 for _ in range(150))
          for cut_first in (False, True)}

# %% tags=["hide-input"]
for cut_first, count in alarms.items():
    low_rate, high_rate = wilson(count, 150)
    print(f"{'cut first' if cut_first else 'cleaned first':15}false alarms at .05: "
          f"{count / 150:.3f} [{low_rate:.3f}, {high_rate:.3f}]")

# %% tags=["remove-cell"]
assert alarms[True] / 150 < 0.11 < alarms[False] / 150
glue(cleaned=100 * alarms[False] / 150, cut=100 * alarms[True] / 150)

# %% [markdown]
# Of 5 % false alarms that were promised, one order makes {glue:text}`cleaned:.0f` %,
# the other {glue:text}`cut:.0f` %.

# %% [markdown]
# ## What does the margin add?
#
# With $d_\text{T}$ and $d_\text{H}$ the distances of a sample to T' and to H', the
# margin is the mean of $\ln(d_\text{H}/d_\text{T})$, clipped at $\pm \ln 3$. It has no
# law in closed form, so labels are dealt anew and it is recomputed: of the 24 pool
# images nearest to a sample, the first of each side give both distances, and a deal
# that gives all 24 to one side has probability $2^{-23}$. The p-value counts the deal
# that was seen among the re-deals, which makes it valid whatever their number; with
# 1,999 of them no margin has a smaller p-value than 0.0005.
#
# ## How are six tests one verdict?
#
# The verdict is wrong about a model without memory if *any* test is significant. Holm's
# correction {cite:p}`holm1979simple` orders the six p-values and multiplies the
# smallest by six, the next by five, and so on, never falling below an earlier product.
# Then the probability of any error is at most alpha, however the tests depend on each
# other. Here they depend strongly: preference and margin rest on the same distances.
#
# The numbers of samples that a preference takes, at 90 % power, for one test, one of
# four and one of six. Count *effective* samples.

# %% tags=["hide-input"]
print("preference   " + "".join(f"{head:>12}" for head in ("one test", "of four",
                                                          "of six")))
for share in (0.52, 0.55, 0.6):
    print(f"{share:<13}" + "".join(f"{samples_needed(share, 0.05 / tests):12,}"
                                   for tests in (1, 4, 6)))

# %% tags=["remove-cell"]
assert [samples_needed(0.55, 0.05 / tests) for tests in (1, 4, 6)] == [891, 1276, 1385]

# %% [markdown]
# ## How does an attack hold its rate?
#
# The attack scores image $i$ by $-\ln E_i(\sigma)$, the network's error on it. A random
# half of both sets chooses $\sigma$, and its $n_\text{cal}$ held-out images set the
# threshold for a false-positive rate $\phi$: the
# $\lceil (1 - \phi)(n_\text{cal} + 1) \rceil$-th smallest of their scores, where
# "member" is what lies strictly above. One more image of the same law has each rank
# equally often, so that it is accused with probability at most $\phi$, on average over
# calibrations. If that rank exceeds $n_\text{cal}$, no threshold holds the rate, and
# none is given: 0.1 % takes 999 calibration images.
#
# ## At which noise is the gap, and for sure?
#
# $G(\sigma)$ with two bands: at each level by itself, and all levels at once. The
# second is what a sentence such as "the gap is open at this noise" needs: its
# half-width is the deviation of $G$ times the 95 % quantile of the largest standardized
# difference over all levels, in 2,000 resamples of the pairs of images.

# %%
pool = fashion_mnist("pool", 16)
train, holdout = pool.images[:1024].split(512)
levels = SIGMAS[2:20:2]
moments = {"late": find("image-weights-512-b0-s0-2400-laptop"),
           "early": find("image-weights-512-b0-s0-510-laptop")}
networks = {name: recorded_network(run.config, records.load(run).results)
            for name, run in moments.items()}
gaps = {name: audit(train, holdout, sample_count=0, sigmas=levels, draws=1,
                    denoiser=network).gap for name, network in networks.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gap of the network of block 0 by noise level, late (step 2,400) and early (step 510), with the band that holds at all levels at once (95 %). Dotted: no memory.", "name": "fig-gap-band"}, "image": {"alt": "The late network's gap is a bump of about one half near noise 0.2, whose band leaves zero between 0.04 and 1.5; the early network's stays at zero.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(6.2, 3.2))
for (name, gap), color in zip(gaps.items(), (TRAIN, HOLDOUT)):
    curve(axes, levels, torch.tensor(gap["gap"]), f"{name}, p = {gap['p_value']:.2g}",
          color, torch.tensor(gap["low"]), torch.tensor(gap["high"]),
          at=4 if name == "late" else 0, offset=(16, 14) if name == "late" else (8, 8))
axes.axhline(0, color=THEORY, lw=1, ls=":")
axes.set(xscale="log", xlabel=r"noise level $\sigma$", ylabel="gap $G$")
axes.set_xticks([0.05, 0.2, 1, 3], ["0.05", "0.2", "1", "3"])
axes.minorticks_off();

# %% [markdown]
# ## Fifty copies, five hundred held-out images
#
# Ten thousand training images, five hundred held out, a thousand samples of which fifty
# are copies. Against T* nearly all are found, against T' (as many images as H') hardly
# any. So copies are *counted* in T*; only the *test* uses T' and H', and it cannot
# tell.

# %%
law = torch.linspace(1.5, 0.1, 64)
many, unseen, honest = (law * torch.randn(size, 64, generator=generator)
                        for size in (10_000, 500, 950))
chosen = many[torch.randperm(10_000, generator=generator)[:50]]
copied = chosen + 0.05 * law * torch.randn(50, 64, generator=generator)
fifty = audit(many, unseen, samples=torch.cat([honest, copied]), permutations=199)
for sentence in (*fifty.inputs["compared"], fifty.verdict["sentence"]):
    print(fill(sentence, 86))

# %% tags=["hide-input"]
against = memorized_fraction(torch.cat([honest, copied]), many[:500]).fraction * 1000
print(f"copies found against the first 500 training images alone: {against:.0f}")

# %% [markdown]
# ## Does the formulation matter?
#
# One network, written as one that predicts the noise, the velocity, the clean image,
# and as a raw network of EDM: each conversion gives the same denoiser at its noise
# levels, and the same report.

# %% tags=["hide-input"]
some, rest = train[:120], holdout[:120]
clean = EmpiricalDenoiser(some, blur=0.3)
chain = vp_sigmas(1000)[:-1].flip(0)
shrink = alpha_bar_of_sigma(chain)


def chain_network(predicts):
    """The memory as a network of a variance-preserving chain, called as (x_vp, t)."""
    def network(x_vp, t):
        kept_share = shrink[t[0]].to(x_vp)
        guess = clean(x_vp / kept_share.sqrt(), float(chain[t[0]]))
        noise = (x_vp - kept_share.sqrt() * guess) / (1 - kept_share).sqrt()
        velocity = kept_share.sqrt() * noise - (1 - kept_share).sqrt() * guess
        return {"x0": guess, "eps": noise, "v": velocity}[predicts]
    return network


def raw_network(scaled, clock):
    """The memory as a raw network of EDM with an assumed deviation of 0.5."""
    sigma = float((4 * clock.flatten()[0]).exp())
    size = (sigma**2 + 0.25) ** 0.5
    x = size * scaled
    return (clean(x, sigma) - 0.25 / size**2 * x) / (sigma * 0.5 / size)


doors = {predicts: from_vp(chain_network(predicts), shrink, predicts)
         for predicts in ("eps", "v", "x0")} | {"EDM": from_edm(raw_network)}
grid = chain[[150, 300, 450, 600]]  # levels of the chain
reports = {name: audit(some, rest, denoiser=door, sigmas=grid, sample_count=0, draws=1)
           for name, door in doors.items()}

# %% tags=["hide-input"]
for name, report in reports.items():
    attack = report.membership["denoiser"]
    print(f"{name:5}{report.verdict['code']:14}largest gap "
          f"{report.gap['peak_gap']:.4f} at {report.gap['peak_sigma']:.4f}, "
          f"AUC {attack['auc']:.4f}")

# %% tags=["remove-cell"]
peaks = [report.gap["peak_gap"] for report in reports.values()]
assert max(peaks) - min(peaks) < 2e-3 * max(peaks)

# %% [markdown]
# ## Small print
#
# *Conditional models.* `conditions={"train": labels, "holdout": labels}` calls the
# denoiser as (x, σ, labels) and deals within each condition. Prompts taken from
# training captions break the null: take them from a third set, or equally from both.
#
# *Latent models.* Encode both sets with the same autoencoder and audit latents with the
# denoiser; or compare decoded samples with images that went through it as well.
#
# *Mirrored copies.* Pass the flipped training images along with the originals, flip the
# held-out ones too, and give an image and its mirror image one group.
#
# *No held-out images.* `holdout=None` counts copies, with their bound, and tests
# nothing.
#
# *Pre-training on both sets* looks innocent, since the labels are a random deal again.
#
# *From a shell*, with arrays or folders of images:
#
# ```bash
# nearsight audit --train train.npy --holdout holdout.npy --samples samples/ \
#     --html audit.html --json audit.json --fail-on copies
# ```
#
# It ends with 1 where the verdict is at least that bad, with 2 where the sets could not
# be audited, and says why in one sentence.
#
# (audit-faults)=
# ## The faults of published practice
#
# - Binomial p-values over samples that share nearest images: {numref}`fig-alarms`.
# - The ratio $d_1/d_2$ without collapsing duplicates, or with 0/0 counted as no copy.
# - Thresholds and noise levels chosen on the images they are judged on; areas without
#   rates at few false alarms; rates below one in the number of images.
# - Members and outsiders of different origin: the attack learns the split. Splits that
#   are not published: a report holds the digests of its sets.
# - Held-out images that were used to stop the training.
#
# (audit-questions)=
# ## What did readers ask?
#
# | question | answer |
# | --- | --- |
# | How do I fine-tune on a small set without memorizing? | The guideline of the chapter, with {numref}`fig-tuned`. |
# | My samples are training images: is it the size of the set? | {numref}`fig-few`. |
# | All my samples are one training image. | To the copies test that is one coin; the test called `reproduced` compares samples with held-out images, and finds it. |
# | Why is my AUC not theirs? | {numref}`fig-attacked`, middle and right. |
# | How many samples do I need? | {numref}`fig-samples`, and `smallest_detectable` in every report. |
# | It says `no_evidence`. Am I safe? | No: an effect below the one that is named may be there, and other features may show it. |
# | I audit twenty checkpoints: what changes? | Divide alpha by twenty, or call `audit_checkpoints`. |
# | My pipeline clips, guides, filters. | Draw the samples with it and pass them; `sampling="..."` prints how. |
#
# ## Summary
#
# - The deal of images has a law that can be computed; its variance gives the effective
#   number of samples.
# - Cut, then clean: in the other order the sets that are left are not exchangeable.
# - Copies are counted against all training images and tested against as many as were
#   held out.
# - The formulation of a network does not matter; its condition, its latent space and
#   its prompts do.
#
# ## Reuse this
#
# How many samples does your question need, and how many are yours worth? The cell
# stands alone.

# %%
import torch
from nearsight import proximity_bias, samples_needed
from nearsight.datasets import fashion_mnist

generator = torch.Generator().manual_seed(0)
images = fashion_mnist("report", 16).images  # yours: [N, channels, height, width]
order = torch.randperm(len(images), generator=generator)
train, holdout = images[order[:300]], images[order[300:600]]
samples = images[order[600:]]  # yours
found = proximity_bias(samples, train, holdout)
print(f"{found.effective:.0f} of {len(samples)} samples count; "
      f"a preference of 0.55 takes {samples_needed(0.55, alpha=0.05 / 4):,}")

# %% [markdown]
# ## Exercises
#
# 1. *By hand.* Derive {eq}`eq-deal-variance` for groups of equal size that are dealt
#    whole. What does $m_\text{eff}$ become if all samples are nearest to one patient?
# 2. *Holm by hand.* Correct 0.004, 0.03, 0.02 and 0.5. Which are significant at 0.05?
# 3. *Ranks.* With 100 calibration images, which rank is the threshold for 1 % false
#    alarms, and why is there none for 0.1 %?
#
# ## Provenance
#
# All was computed when this page was built, except:

# %% tags=["remove-input"]
provenance(null, power, *kept.values(), *map(records.load, moments.values()))
