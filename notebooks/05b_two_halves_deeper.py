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
# # Whose images are these? Deeper
#
# The companion of {doc}`05_two_halves`: first {ref}`the whole record <image-record>`,
# network by network, then one section for each question that a careful reader of that
# chapter asks next. Last come {ref}`the faults of the published experiment
# <image-faults>` and {ref}`the questions that readers asked <image-questions>`.
#
# On this page, $V_\text{data}$, $V_\text{seed}$ and $V_\text{mixed}$ are variances
# between networks; $\ell_j$ is the share of a generator's samples that lie nearest to
# image $j$ of a pool. V and H, upright, are two sets of 1,024 photographs that no
# network has seen. The preference $\nu$ for the own set is that of the chapter, the
# mean over both networks of a pair, and ½ for one that remembers nothing.

# %% tags=["hide-input"]
from itertools import combinations, product

import torch
from matplotlib import pyplot as plt
from nearsight import nearest
from nearsight.datasets import fashion_mnist
from nearsight.measures import (
    family_preference,
    flat_minimum,
    frechet,
    leave_one_out,
    moment_ladder,
    onset,
    own_other,
    preference_onset,
    split_variance,
    stratified_deal_test,
)
from nearsight.page import (
    HOLDOUT,
    LOSS,
    NEUTRAL,
    THEORY,
    TRAIN,
    curve,
    glue,
    moment,
    provenance,
    step_axis,
    use_style,
)
from nearsight.randomness import stream
from nearsight.records.computing import Results
from nearsight.records.runs import Stage
from nearsight.studies import find
from nearsight.studies.image_measures import COARSE, PROBED, STUDY, owner, owners
from nearsight.studies.image_readings import (
    Networks,
    attacks,
    frechet_to,
    held_losses,
    joint_preferences,
    networks,
    over_blocks,
    pair_preferences,
    pair_weights,
    probe_bias,
    probe_cosines,
    probe_errors,
    probe_variances,
    recorded,
    split_distances,
)
from nearsight.studies.images import clusters, prepared
from scipy.stats import t as student

use_style()
torch.set_num_threads(1)  # small arrays: a second thread would mostly wait
generator = torch.Generator().manual_seed(5)  # all randomness of this page
DATA, SEED, MIXED = TRAIN, NEUTRAL, "#CC79A7"  # what two networks differ in

# %% [markdown]
# (image-record)=
# ## What is the whole record?
#
# The networks of the chapter: every block of $n = 512$ images with every seed, measured
# at 16 steps. First their means. Losses are those of EDM on V and on H, of averaged and
# of raw weights; all else is of averaged weights. The interval and the p-value of $\nu$
# are those of one joint deal of all images into blocks. The distances of paired samples
# are cosine distances, medians over samples, between networks that differ in their seed
# alone, in their data alone, or in both.

# %% tags=["hide-input"]
kept = recorded("512")
family = networks(kept)
steps, blocks = family.steps, sorted({block for block, _ in kept})
loss = {(held, weights): held_losses(family, held, weights)
        for held in ("stopping", "report") for weights in (0, 1)}
joint = joint_preferences(family, generator)
distances = split_distances(family)
print("        loss on V     loss on H     preference, 95 %              "
      "distance by")
print(" step  aver.   raw   aver.   raw   for the own set         p      "
      "seed   data   both")
for index, (step, each) in enumerate(zip(steps, joint)):
    print(f"{step:5}" + "".join(f"{float(values[index].mean()):7.4f}"
                                for values in loss.values())
          + f"   {each.preference:.3f} [{each.low:.3f}, {each.high:.3f}]"
          f"  {each.p_value:7.4f}  "
          + "".join(f"{float(distances[part].value[index]):7.4f}"
                    for part in ("seed", "data", "both")))

# %% [markdown]
# (2,000 deals: the least p that they allow is 0.0005.)
#
# Next the variances of denoised images at $\sigma = 0.546$, per pixel and times
# $10^4$; the area under the curve of the membership attack, plain and calibrated by the
# network of another block; the share of memorized samples, and the smallest $d_1/d_2$ of
# all samples; the Fréchet distance to 4,096 reference photographs in 32 principal
# directions.

# %% tags=["hide-input"]
ground, _ = prepared(find("images-512-b0-s0-laptop").config)
coordinates = ground.basis(ground.reference)[:, :COARSE]
found = attacks(family, len(blocks))
apart = frechet_to(family, coordinates)
ratios = {label: values.double() for label, values in family.curve("ratio").items()}
PER_PIXEL = ground.basis.directions.shape[0] / ground.basis.directions.shape[1]
HELD, OWN = slice(32), slice(32, 64)  # probes: images of V, images of blocks 0 and 1


def overall(values, index):
    """The mean over all networks or pairs at a checkpoint."""
    return float(torch.stack([each[index] for each in values.values()]).mean())


print(" step   V_data  V_seed  V_mixed     AUC: plain  calibrated   memorized  least"
      "   Frechet")
for index, (step, parts) in enumerate(zip(steps, probe_variances(family, 1,
                                                                 probes=HELD))):
    variances = (parts.data_variance, parts.seed_variance, parts.mixed_variance)
    shares = [float((values[index] < 1 / 3).double().mean())
              for values in ratios.values()]
    print(f"{step:5} " + "".join(f"{1e4 * PER_PIXEL * float(part.value):8.3f}"
                                 for part in variances)
          + f"{overall(found['plain'], index):13.3f}"
          f"{overall(found['calibrated'], index):12.3f}{max(shares):12.4f}"
          f"{min(float(values[index].min()) for values in ratios.values()):7.2f}"
          f"{overall(apart, index):10.3f}")
floor = frechet(ground.basis(ground.stopping)[:, :COARSE], coordinates)
print(f"\nFrechet distance of 1,024 photographs (V): {floor:.3f}")

# %% tags=["remove-cell"]
assert all(float(values.min()) > 1 / 3 for values in ratios.values())
least = int(loss["stopping", 0].mean(1).argmin())
glue(networks=len(kept), floor=floor, frechet_end=overall(apart, -1),
     least_ratio=min(float(values.min()) for values in ratios.values()))

# %% [markdown]
# Not one sample of {glue:text}`networks:.0f` networks is memorized at any step; the
# smallest ratio of all is {glue:text}`least_ratio:.2f`. The Fréchet distance still falls
# when the loss has turned. It ends at {glue:text}`frechet_end:.2f`, the floor of as many
# photographs being {glue:text}`floor:.2f`.
#
# And everything again, for each network (block, seed) and for each pair of networks.

# %% tags=["hide-input", "hide-output"]
def listed(title, values):
    """Print values [S] of each network or pair, a column each."""
    names = ["-".join(map(str, label[:-1])) + f",{label[-1]}" for label in values]
    print(f"\n{title}\n step" + "".join(f"{name:>6}" for name in names))
    for place, at in enumerate(steps):
        print(f"{at:5}" + "".join(f"{float(column[place]):6.3f}"
                                  for column in values.values()))


for (held, weights), name in zip(loss, ("V, averaged", "V, raw", "H, averaged",
                                        "H, raw")):
    listed(f"loss on {name}", {
        label: values[:, weights].double().mean(1)
        for label, values in family.curve(held).items()})
listed("area under the curve, plain attack", found["plain"])
listed("area under the curve, calibrated attack", found["calibrated"])
listed("least d1/d2 of 1,024 samples",
       {label: values.min(1).values for label, values in ratios.items()})
listed("Frechet distance", apart)
for space in ("pixels", "principal", "classifier"):
    listed(f"preference of pairs (blocks, seed), {space}",
           pair_preferences(family, f"owners/{space}"))

# %% [markdown]
# ## Do averaged weights decide the order of the clocks?
#
# All networks are judged by an average of their weights, updated at step $k$ with the
# rate $\min(0.999, (k + 1)/(k + 10))$. The cap never binds here: the weights of step
# $j$ have a share that grows as $j^8$, so that the average has a mean age of $k/10$
# steps. Samples of raw weights were kept for blocks 0 and 1.

# %% tags=["hide-input"]
two = Networks({label: results for label, results in family.results.items()
                if label[0] < 2}, family.size)
first_two = torch.arange(2).repeat_interleave(family.size)


def of_blocks_0_and_1(owned):
    """The joint preference of the pairs of these blocks at each checkpoint."""
    return [family_preference({label: owner(names, family.size, (0, 1))[:, None]
                               for label, names in two.at(place, owned).items()},
                              first_two, generator, 2000)
            for place in range(len(steps))]


of_two = {"averaged": of_blocks_0_and_1("owners/pixels"),
          "raw": of_blocks_0_and_1("raw_owners")}
flat = {key: flat_minimum(values) for key, values in loss.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Loss on V (shaded: the checkpoints that a paired test cannot tell from the minimum) and preference of blocks 0 and 1, both seeds (bands: 95 % of the joint deal), for averaged and raw weights. Averaging lowers the loss; it does not make the preference.", "name": "fig-averaging"}, "image": {"alt": "Two panels against training steps. The raw loss lies above the averaged one and both are least near step 1,432. The two preferences rise together from about 0.53 to 0.67, the raw one less smoothly.", "width": "100%"}}
figure, (axes_loss, axes_lean) = plt.subplots(1, 2, figsize=(8.6, 3.5))
for weights, (name, line) in enumerate((("averaged", "-"), ("raw", "--"))):
    curve(axes_loss, steps, loss["stopping", weights].mean(1), name, LOSS, at=8,
          offset=(-4, 18) if weights else (-42, -14), ls=line)
    reached = flat["stopping", weights]
    axes_loss.axvspan(steps[reached.earliest] * 0.98, steps[reached.latest] * 1.02,
                      color=LOSS, alpha=0.12, lw=0)
    middle = torch.tensor([each.preference for each in of_two[name]])
    curve(axes_lean, steps, middle, name, TRAIN if name == "averaged" else MIXED,
          torch.tensor([each.low for each in of_two[name]]),
          torch.tensor([each.high for each in of_two[name]]),
          offset=(4, 5 if name == "averaged" else -5), ls=line)
axes_loss.set(ylabel="loss on V", ylim=(0.19, 0.3))
axes_lean.set(ylabel=r"preference $\nu$")
axes_lean.axhline(0.5, color=THEORY, lw=0.8)
axes_lean.annotate("no memory", (1000, 0.5), (0, -8), textcoords="offset points",
                   fontsize=8.5)
for axes in (axes_loss, axes_lean):
    step_axis(axes, (50, 200, 500, 1000, 2400))

# %% [markdown]
# All clocks. An onset is the first step from which the lower bound stays above ½ plus
# the margin, corrected for 16 looks; "jackknife" leaves out a block at a time and takes
# Student's $t$ with as many degrees of freedom as there are blocks less one, with and
# without the correction.

# %% tags=["hide-input"]
def at_step(place):
    return f"{steps[place]:,}" if place is not None else "none"


PEAK = student.ppf(1 - 0.025 / len(steps), len(blocks) - 1)  # for 16 looks
SINGLE = student.ppf(0.975, len(blocks) - 1)
over_pairs = over_blocks(pair_preferences(family))
for (held, weights), each in flat.items():
    name = f"loss on {'V' if held == 'stopping' else 'H'}, {('averaged', 'raw')[weights]}"
    own = [steps[int(values[:, weights].double().mean(1).argmin())]
           for values in family.curve(held).values()]
    print(f"{name:27} least at {at_step(each.index)}, not told from it "
          f"{at_step(each.earliest)} to {at_step(each.latest)};"
          f" single networks {min(own):,} to {max(own):,}")
print(f"\n{'onset of preference':50} margin 0   margin 0.05")
for name, preferences in (("all networks, joint deal", joint),
                          ("blocks 0 and 1, averaged weights", of_two["averaged"]),
                          ("blocks 0 and 1, raw weights", of_two["raw"])):
    print(f"{name:50}" + "".join(f"{at_step(preference_onset(preferences, margin)):>9}"
                                 + 4 * " " for margin in (0, 0.05)))
for name, reach in (("jackknife, corrected", PEAK), ("jackknife, uncorrected", SINGLE)):
    bounds = (over_pairs.value - reach * over_pairs.error).tolist()
    print(f"{'all networks, ' + name:50}" + "".join(
        f"{at_step(onset(bounds, 0.5 + margin)):>9}" + 4 * " " for margin in (0, 0.05)))

# %% tags=["remove-cell"]
rate = torch.tensor([min(0.999, (k + 1) / (k + 10)) for k in range(1, 2401)])
share = (1 - rate) * torch.cat([rate.flip(0).cumprod(0).flip(0)[1:], torch.ones(1)])
assert rate.max() < 0.999
ages = 2400 - torch.arange(1, 2401).float()
assert abs(float(ages @ share) / 2400 - 0.1) < 0.005
assert flat["stopping", 0].index == flat["stopping", 1].index == least
begins = [preference_onset(joint, margin) for margin in (0, 0.05)]
raw_begins = preference_onset(of_two["raw"], 0.05)
assert begins[0] < begins[1] < least and raw_begins < least
glue(minimum=steps[least], begins_0=steps[begins[0]], begins_05=steps[begins[1]],
     averaged_at=of_two["averaged"][least].preference,
     raw_at=of_two["raw"][least].preference)

# %% [markdown]
# Raw and averaged losses are least at the same checkpoint, {glue:text}`minimum:,.0f`,
# and there samples of both lean alike: {glue:text}`averaged_at:.3f` with averaged and
# {glue:text}`raw_at:.3f` with raw weights. The order, onset before minimum, is not made
# by averaging. The two intervals answer two questions. The joint deal asks whether
# *these* networks lean, and is sure from step {glue:text}`begins_0:,.0f` on. The
# jackknife asks what other blocks would show; four blocks, corrected for all looks,
# cannot tell.
#
# ## Does it depend on the space in which nearness is measured?
#
# Pixels; 32 principal directions of the reference photographs, where blur and fine
# noise do not count; and the last features of a classifier of clothes. Beside the
# networks stand the generators of the moment ladder, which know a block's statistics
# and none of its images. They are made here.

# %%
pool, reference = fashion_mnist("pool", 16), fashion_mnist("reference", 16)
labels = pool.labels[:ground.blocks[:, :, 0, 0, 0].numel()].view(len(ground.blocks), -1)
latents = torch.randn(1024, 1, 16, 16, generator=generator)
choices = torch.rand(1024, generator=generator)
ladders = [moment_ladder(images, kinds, reference.images, reference.labels)
           for images, kinds in zip(ground.blocks, labels)]
rungs = list(ladders[0])
pools = {space: values.unflatten(0, ground.blocks.shape[:2]) for space, values
         in ground.spaces(ground.blocks.flatten(0, 1)).items()}


def nearest_owners(law):
    """Whose the samples of a law are, in each space, as it is kept of networks."""
    return {f"owners/{space}": owners(events, pools[space]) for space, events
            in ground.spaces(law.sample(latents, choices)).items()}


# %%
ladder = Networks({(block, 0): Results(tuple(  # a rung for a step
    Stage(rung, nearest_owners(law)) for rung, law in enumerate(laws.values())), 0.0)
    for block, laws in enumerate(ladders)}, family.size)
SPACES = {"pixels": "pixels", "principal": "32 principal directions",
          "classifier": "classifier"}
lean = {space: over_blocks(pair_preferences(family, f"owners/{space}"))
        for space in SPACES}
rung_lean = {space: over_blocks(pair_preferences(ladder, f"owners/{space}"))
             for space in SPACES}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Preference in three spaces, mean over pairs (bands: 95 %, jackknife over blocks), and what three rungs of the moment ladder have there. Red: the least loss on V. In pixels it lies below the class Gaussians; in the other two spaces above.", "name": "fig-spaces"}, "image": {"alt": "Three panels of preference against training steps, each rising from near 0.51 to about 0.65. The dashed line of the class Gaussians is at 0.62 in pixels and at 0.57 in principal directions and classifier features.", "width": "100%"}}
RUNGS = {"class Gaussians": "--", "shared covariance": "-.", "Gaussian": ":"}
figure, panels = plt.subplots(1, 3, figsize=(8.8, 3.7), sharey=True)
for axes, (space, title) in zip(panels, SPACES.items()):
    reach = SINGLE * lean[space].error
    curve(axes, steps, lean[space].value, "", TRAIN, lean[space].value - reach,
          lean[space].value + reach)
    for rung, line in RUNGS.items():
        axes.axhline(float(rung_lean[space].value[rungs.index(rung)]), color="#009E73",
                     lw=1.2, ls=line, label=rung)
    axes.axhline(0.5, color=THEORY, lw=0.8, label="no memory")
    reached = flat["stopping", 0]
    moment(axes, steps[least], steps[reached.earliest], steps[reached.latest], LOSS)
    axes.set_title(title)
    step_axis(axes, (50, 200, 1000))
panels[0].set_ylabel(r"preference $\nu$")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center",
              ncols=4);

# %% tags=["hide-input"]
print(f"{'':24}" + "".join(f"{title:>26}" for title in SPACES.values()))
for place in (9, least, len(steps) - 1):
    print(f"{'networks, step ' + at_step(place):24}" + "".join(
        f"{lean[space].value[place]:18.3f} ± {SINGLE * lean[space].error[place]:.3f}"
        for space in SPACES))
for rung in rungs:
    values = [(each.value[rungs.index(rung)], SINGLE * each.error[rungs.index(rung)])
              for each in rung_lean.values()]
    print(f"{rung:24}" + "".join(f"{middle:18.3f} ± {reach:.3f}"
                                 for middle, reach in values))
print(f"{'networks pass class Gaussians at':50}" + ", ".join(
    at_step(onset(lean[space].value.tolist(), float(rung_lean[space].value[-1])))
    for space in SPACES))

# %% tags=["remove-cell"]
assert lean["pixels"].value[least] < rung_lean["pixels"].value[-1]
assert all(lean[space].value[least] > rung_lean[space].value[-1]
           for space in ("principal", "classifier"))
for space in SPACES:
    glue(**{f"{space}_at": lean[space].value[least],
            f"{space}_class": rung_lean[space].value[-1]})

# %% [markdown]
# (± half the 95 % interval, jackknife over blocks.)
#
# The networks lean alike in all three spaces; the ladder does not. A Gaussian a class
# is fitted to some 50 images of 256 pixels, so its samples stay within the span of
# these images, which pixels notice and coarse features do not:
#
# | at the least loss on V | networks | class Gaussians |
# | --- | --- | --- |
# | pixels | {glue:text}`pixels_at:.3f` | {glue:text}`pixels_class:.3f` |
# | 32 principal directions | {glue:text}`principal_at:.3f` | {glue:text}`principal_class:.3f` |
# | classifier | {glue:text}`classifier_at:.3f` | {glue:text}`classifier_class:.3f` |
#
# So blur and fine noise do not explain the preference; and whether moments of the
# classes could is a question whose answer depends on the space.
#
# ## What makes denoised images differ, data or seed?
#
# 64 noisy images were given to every network at three noise levels, the same noise to
# all: 32 of V, and 16 of each of the blocks 0 and 1, which one block's networks have
# seen. What they answered is on record in 128 principal directions. With two networks
# that differ in block and in seed, at one noisy image,
#
# $$
# \begin{aligned}
# \mathbb E\, |D - y|^2 &= \mathbb E\, (D - y) \cdot (D' - y) + V_\text{data}
# + V_\text{seed} + V_\text{mixed}, \\
# V_\text{data} &= \tfrac12 \mathbb E \big(|D - D'|^2_\text{both}
# - |D - D'|^2_\text{seed}\big),
# \end{aligned}
# $$ (eq-common-error)
#
# the indices naming what the two differ in, and $V_\text{seed}$ likewise;
# $V_\text{mixed}$ is what data and seed do only together. The first term is what all
# networks get wrong alike: bias², and what nobody could know.

# %% tags=["hide-input"]
eps = torch.randn(ground.probed.shape, generator=stream(STUDY, 4))  # as all met it
clean = ground.basis(ground.probed).double()
PARTS = {"data": DATA, "seed": SEED, "mixed": MIXED}


def variances_of(splits):
    """V_data, V_seed, V_mixed [S] and their errors, as lists by name."""
    splits = list(splits)
    return {part: [torch.stack([getattr(getattr(each, f"{part}_variance"), what)
                                for each in splits]) for what in ("value", "error")]
            for part in PARTS}


samples_seen = {label: values for label, values in family.curve("pictures").items()}
of_samples = variances_of(split_variance({
    label: ground.scaling.network(values[place].numpy()).double()
    for label, values in samples_seen.items()}) for place in range(len(steps)))
of_probes = {(level, which): variances_of(probe_variances(family, level, probes=which))
             for level in range(3) for which in (HELD, OWN)}
error = {(level, which): torch.stack(list(probe_errors(
    family, level, clean, probes=which).values())).mean(0)
    for level in range(3) for which in (HELD, OWN)}
common = [probe_bias(family, level, clean, HELD) for level in range(3)]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Above: variances of denoised images of V (bands: 95 %), dotted those of images of blocks 0 and 1, and of samples. Below: the error on V, and what all networks have in common. The data's part grows, the seed's dies out, the mixed part is the largest of all.", "name": "fig-components"}, "image": {"alt": "Seven panels against training steps. Data variance rises from zero in each, seed variance falls to near zero, mixed variance is flat and then rises. Below, at three noise levels, the error turns or flattens while the common part falls.", "width": "100%"}}
figure, grid = plt.subplots(2, 4, figsize=(9.4, 5.6), sharex=True)
for level, (upper, lower) in enumerate(grid.T[:3]):
    scale = 1e4 * PER_PIXEL
    for part, color in PARTS.items():
        value, spread = (scale * each for each in of_probes[level, HELD][part])
        curve(upper, steps, value, "", color, value - SINGLE * spread,
              value + SINGLE * spread, label=rf"$V_\text{{{part}}}$".replace("text", "mathrm"))
        upper.plot(steps, scale * of_probes[level, OWN][part][0], color=color, ls=":")
    upper.set(title=rf"$\sigma = {PROBED[level]:.3f}$")
    value, spread = (PER_PIXEL * each for each in (common[level].value,
                                                   common[level].error))
    lower.plot(steps, PER_PIXEL * error[level, HELD], color=LOSS, label="error")
    curve(lower, steps, value, "", THEORY, value - SINGLE * spread,
          value + SINGLE * spread, label="in common")
    lower.set_yscale("log")
    lower.yaxis.set_major_formatter("{x:.3g}")
    lower.yaxis.set_minor_formatter("{x:.3g}")
    step_axis(lower, (50, 300, 2000))
for part, color in PARTS.items():
    value, spread = (1e2 * each for each in of_samples[part])
    curve(grid[0, 3], steps, value, "", color, value - SINGLE * spread,
          value + SINGLE * spread)
for axes in grid[0]:
    axes.axhline(0, color=NEUTRAL, lw=0.6)
grid[0, 3].set_title(r"samples, $\times\, 10^2$")
step_axis(grid[0, 3], (50, 300, 2000))
grid[0, 3].tick_params(labelbottom=True)
grid[0, 0].set_ylabel(r"variance per pixel, $\times\, 10^4$")
grid[1, 0].set_ylabel("square error per pixel")
grid[1, 3].axis("off")
handles = [pair for axes in grid[:, 0] for pair in zip(*axes.get_legend_handles_labels())]
grid[1, 3].legend(*zip(*handles), loc="center");

# %% tags=["hide-input"]
print("                V (times 10^4)                            error     common")
print("sigma   step    data           seed           mixed       (times 10^4, V)")
for level in range(3):
    for place in (0, 9, least, len(steps) - 1):
        line = f"{PROBED[level]:.3f} {at_step(place):>6}"
        for part in PARTS:
            value, spread = (1e4 * PER_PIXEL * float(each[place])
                             for each in of_probes[level, HELD][part])
            line += f"{value:8.2f} ± {SINGLE * spread:4.2f}"
        print(line + f"{1e4 * PER_PIXEL * float(error[level, HELD][place]):11.1f}"
              f"{1e4 * PER_PIXEL * float(common[level].value[place]):9.1f}")
