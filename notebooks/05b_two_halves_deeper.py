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
# between networks, per pixel; $\ell_j$ is the share of a generator's samples to which
# the image that the index names is the nearest one of a pool.
#
# V and H, upright, are two sets of 1,024 photographs that no network has seen. The
# preference $\nu$ for the own set is that of the chapter, the mean over both networks
# of a pair: ½ for networks that remember nothing.

# %% tags=["hide-input"]
import math
from itertools import combinations, product

import torch
from matplotlib import pyplot as plt
from nearsight import memorized_fraction, nearest, records
from nearsight.datasets import fashion_mnist
from nearsight.measures import (
    Estimate,
    family_course,
    flat_minimum,
    frechet,
    leave_one_out,
    mean_interval,
    moment_ladder,
    onset,
    own_other,
    owned_preference,
    prediction_cosine,
    preference_onset,
    split_variance,
    stratified_deal_test,
    student_interval,
    student_reach,
    weighted_loss,
)
from nearsight.noise import vp_sigmas
from nearsight.page import (
    EARLY_TO_LATE,
    HOLDOUT,
    LOSS,
    NEUTRAL,
    THEORY,
    TRAIN,
    curve,
    glue,
    listed,
    moment,
    provenance,
    step_axis,
    use_style,
)
from nearsight.randomness import stream
from nearsight.records.computing import Results
from nearsight.records.runs import Stage
from nearsight.studies import find
from nearsight.studies.image_attacks import attacks
from nearsight.studies.image_clocks import judged
from nearsight.studies.image_fields import AWAY
from nearsight.studies.image_gaps import frechet_to
from nearsight.studies.image_measures import (
    COARSE,
    GRID,
    PROBED,
    SIGMAS,
    STUDY,
    owner,
    owners,
)
from nearsight.studies.image_moments import MOMENTS, recorded_network
from nearsight.studies.image_paths import KINDS, STARTS
from nearsight.studies.image_readings import (
    Networks,
    block_preferences,
    held_losses,
    networks,
    over_blocks,
    over_networks,
    pair_preferences,
    pair_weights,
    probe_bias,
    probe_cosines,
    probe_errors,
    probe_variances,
    recorded,
    split_distances,
)
from nearsight.studies.image_stops import by_preference, least_loss, prices
from nearsight.studies.images import clusters, prepared
from torch.nn.functional import cosine_similarity

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
joint, struck = judged(family, torch.Generator().manual_seed(512))  # as in the chapter
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
# (10,000 deals: the least p that they allow is 0.0001.)
#
# Next the variances of denoised images at $\sigma = 0.546$, per pixel and times
# $10^4$; the area under the curve of the membership attack, plain and calibrated by the
# network of another block; the share of memorized samples, and the smallest $d_1/d_2$
# of all; the Fréchet distance to 4,096 reference photographs in 32 principal
# directions.

# %% tags=["hide-input"]
ground, _ = prepared(find("images-512-b0-s0-laptop").config)
coordinates = ground.basis(ground.reference)[:, :COARSE]
found = attacks(family)
apart = frechet_to(family, coordinates)
ratios = {label: values.double() for label, values in family.curve("ratio").items()}
PER_PIXEL = ground.basis.directions.shape[0] / ground.basis.directions.shape[1]
PROBES = {"V": slice(32), "blocks": slice(32, 64)}  # of V; of blocks 0 and 1


def bounds(estimate, scale=1.0):
    """The value and Student's 95 % bounds over the four blocks."""
    return [scale * each for each in student_interval(estimate, len(blocks))]


def reach_of(estimate):
    """Half of that interval."""
    return student_reach(estimate, len(blocks))


def overall(values, index):
    """The mean over all networks or pairs at a checkpoint."""
    return float(torch.stack([each[index] for each in values.values()]).mean())


print(" step   V_data  V_seed  V_mixed     AUC: plain  calibrated   memorized  least"
      "   Frechet")
for index, (step, parts) in enumerate(zip(steps, probe_variances(family, 1,
                                                                 probes=PROBES["V"]))):
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
turn = int(loss["stopping", 0].mean(1).argmin())
fall, lowest_fall, highest_fall = map(float, over_networks(
    {label: values[-1] - values[turn] for label, values in apart.items()}))
assert lowest_fall < 0 < highest_fall
glue(networks=len(kept), floor=floor, frechet_end=overall(apart, -1),
     frechet_fall=fall, frechet_reach=fall - lowest_fall,
     least_ratio=min(float(values.min()) for values in ratios.values()))

# %% [markdown]
# Not one sample of {glue:text}`networks:.0f` networks is memorized at any step; the
# smallest ratio of all is {glue:text}`least_ratio:.2f`.
#
# The Fréchet distance does not rise when the loss has turned, as far as four blocks
# tell: to the last step it changes by {glue:text}`frechet_fall:+.2f` ±
# {glue:text}`frechet_reach:.2f` (95 %). It ends at {glue:text}`frechet_end:.2f`, where
# as many photographs have {glue:text}`floor:.2f`.
#
# And everything again, for each network (block, seed) and for each pair of networks.

# %% tags=["hide-input", "hide-output"]
for (held, weights), name in zip(loss, ("V, averaged", "V, raw", "H, averaged",
                                        "H, raw")):
    listed(f"loss on {name}", steps, {
        label: values[:, weights].double().mean(1)
        for label, values in family.curve(held).items()})
listed("area under the curve, plain attack", steps, found["plain"])
listed("area under the curve, calibrated attack", steps, found["calibrated"])
listed("least d1/d2 of 1,024 samples", steps,
       {label: values.min(1).values for label, values in ratios.items()})
listed("Frechet distance", steps, apart)
for space in ("pixels", "principal", "classifier"):
    listed(f"preference of pairs (blocks, seed), {space}", steps,
           pair_preferences(family, f"owners/{space}"))

# %% [markdown]
# (image-sizes)=
# ## What do blocks of other sizes show?
#
# Three blocks of each other size, one seed. First the means, as above; then where each
# rule of the chapter stops these networks, and what that costs and gains (± half of the
# 95 % interval over blocks).

# %% tags=["hide-input"]
SIZES = (256, 512, 1024, 2048)
of_size = {size: kept if size == family.size else recorded(str(size)) for size in SIZES}
sized = {size: networks(records_there) for size, records_there in of_size.items()}
judged_of = {size: (joint, struck) if size == family.size else
             judged(several, torch.Generator().manual_seed(512))
             for size, several in sized.items()}


def mean_loss(several, name, place):
    """The mean loss of averaged weights on V or H at a checkpoint."""
    return float(held_losses(several, name)[place].mean())


for size, several in sized.items():
    if size == family.size:
        continue
    between, areas = split_distances(several)["data"], attacks(several)
    print(f"n = {size:,}\n step    on V    on H  preference, 95 %           p   "
          "distance  AUC  d1/d2")
    for place, (step, each) in enumerate(zip(several.steps, judged_of[size][0])):
        smallest = min(float(values[place].min())
                       for values in several.curve("ratio").values())
        print(f"{step:5}{mean_loss(several, 'stopping', place):8.4f}"
              f"{mean_loss(several, 'report', place):8.4f}"
              f"  {each.preference:.3f} [{each.low:.3f}, {each.high:.3f}]"
              f"  {each.p_value:.4f}{float(between.value[place]):9.4f}"
              f"{overall(areas['calibrated'], place):7.3f}{smallest:6.2f}")
    print()

# %% tags=["hide-input"]
def priced(values, form):
    """The mean of a price over blocks, ± half of its 95 % interval."""
    mean, low, _ = over_networks(values)
    return f"{mean:{form}} ± {mean - low:{form[-3:]}}"


print("stopped by   of   at steps        added loss    preference  attacker    Fréchet")
stops_by, area_at_least = {}, {}
for size, several in sized.items():
    print(f"n = {size:,}")
    alone = block_preferences(several)
    stops_by[size] = {"least loss": least_loss(several),
                      "ν > 0.5": by_preference(alone, 0.0),
                      "ν > 0.55": by_preference(alone, 0.05)}
    paid = prices(several, stops_by[size], coordinates)
    area_at_least[size] = over_networks(paid["least loss"]["attack"])
    for name, of_rule in paid.items():
        line = f"{name:11} {len(of_rule['loss'])}/{len(several.results)}"
        if of_rule["loss"]:
            places = [several.steps[stops_by[size][name][label]]
                      for label in of_rule["loss"]]
            line += f"  {f'{min(places):,} to {max(places):,}':15}" + "".join(
                f" {priced(values, form):12}" for form, values in
                zip(("+.1%", ".2f", ".2f", ".2f"), of_rule.values()))
        print(line.rstrip())

# %% tags=["remove-cell"]
late_stops = {size: [(stop, stops["least loss"][label])
                     for label, stop in stops["ν > 0.55"].items() if stop is not None]
              for size, stops in stops_by.items()}
assert all(stop > least_there for each in late_stops.values()
           for stop, least_there in each)
assert not late_stops[1024] and not late_stops[2048] and len(late_stops[256]) == 3
smallest_area, largest_area = (pick(area_at_least.values(), key=lambda each: each[0])
                               for pick in (min, max))
area_gap = float(largest_area[0] - smallest_area[0])
area_doubt = sum(float(each[0] - each[1])**2
                 for each in (smallest_area, largest_area))**0.5
assert area_gap < 0.05 < area_doubt + area_gap
glue(area_gap=area_gap, area_doubt=area_doubt, late_stopped=len(late_stops[512]),
     late_of=len(kept))

# %% [markdown]
# (Of how many networks the rule stops; costs and gains are means over these.)
#
# With the margin of 0.05 the rule stops all networks of 256 images and
# {glue:text}`late_stopped:.0f` of {glue:text}`late_of:.0f` of 512, each after its loss
# is least, and none of 1,024 or 2,048 within the record. With a margin of 0 it stops
# most of them, some before the least loss and some at it or after it. At the least loss
# the attacker's areas differ between sizes by {glue:text}`area_gap:.2f` ±
# {glue:text}`area_doubt:.2f` at most: networks of more images lean less when stopped
# there, but that an attacker learns less of each image is not shown.
#
# Everything for each network and each pair of networks:

# %% tags=["hide-input", "hide-output"]
for size, several in sized.items():
    if size == family.size:
        continue
    print(f"\nn = {size:,}\n")
    for name, title in (("stopping", "V"), ("report", "H")):
        listed(f"loss on {title}", several.steps, {
            label: values[:, 0].double().mean(1)
            for label, values in several.curve(name).items()})
    for space in ("pixels", "principal", "classifier"):
        listed(f"preference of pairs, {space}", several.steps,
               pair_preferences(several, f"owners/{space}"))

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


def of_blocks_0_and_1(several, owned):
    """The joint preference of networks of these blocks at each checkpoint."""
    return family_course([{label: owner(names, family.size, (0, 1))[:, None]
                           for label, names in several.at(place, owned).items()}
                          for place in range(len(steps))], first_two, generator)


of_two = {"averaged": of_blocks_0_and_1(two, "owners/pixels"),
          "raw": of_blocks_0_and_1(two, "raw_owners")}
flat = {key: flat_minimum(values) for key, values in loss.items()}
least, late = flat["stopping", 0].index, steps.index(510)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Loss on V (shaded: the checkpoints that a paired test cannot tell from the minimum) and preference of blocks 0 and 1, both seeds (bands: 95 % of the joint deal). Averaging lowers the loss; it does not make the preference.", "name": "fig-averaging"}, "image": {"alt": "Two panels against training steps. The raw loss lies above the averaged one and both are least near step 1,432. The two preferences rise together from about 0.53 to 0.67, the raw one less smoothly.", "width": "100%"}}
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
# without the correction. Below, the clocks by the joint deal and that of the published
# experiment, the least distance of samples of other block and other seed, when blocks,
# images and latents are drawn anew, and the share of draws in which each strikes before
# the loss on V.

# %% tags=["hide-input"]
def at_step(place):
    return f"{steps[place]:,}" if place is not None else "none"


over_pairs = over_blocks(pair_preferences(family))
all_looks, one_look = (student_interval(over_pairs, len(blocks), level)[1].tolist()
                       for level in (1 - 0.05 / len(steps), 0.95))
print(f"{'loss on':12} least at   not told from it    least for single networks at")
for (held, weights), each in flat.items():
    name = f"{'V' if held == 'stopping' else 'H'}, {('averaged', 'raw')[weights]}"
    own = [steps[int(values[:, weights].double().mean(1).argmin())]
           for values in family.curve(held).values()]
    print(f"{name:12} {at_step(each.index):>8}   "
          f"{f'{at_step(each.earliest)} to {at_step(each.latest)}':19} "
          f"{min(own):,} to {max(own):,}")
print(f"\n{'onset of preference':50} margin 0   margin 0.05")
for name, preferences in (("all networks, joint deal", joint),
                          ("blocks 0 and 1, averaged weights", of_two["averaged"]),
                          ("blocks 0 and 1, raw weights", of_two["raw"])):
    print(f"{name:50}" + "".join(f"{at_step(preference_onset(preferences, margin)):>9}"
                                 + 4 * " " for margin in (0, 0.05)))
for name, lowest in (("corrected", all_looks), ("uncorrected", one_look)):
    print(f"{'all networks, jackknife, ' + name:50}" + "".join(
        f"{at_step(onset(lowest, 0.5 + margin)):>9}" + 4 * " " for margin in (0, 0.05)))
print(f"\n{'drawn anew':27}{'step':>6}   95 %{'before the loss':>28}")
for name, clock in struck.items():
    print(f"{name:27}{clock.step:6,}   {f'[{clock.low:,}, {clock.high:,}]':22}"
          f"{clock.before(struck['loss']):8.3f}")

# %% tags=["remove-cell"]
rate = torch.tensor([min(0.999, (k + 1) / (k + 10)) for k in range(1, 2401)])
share = (1 - rate) * torch.cat([rate.flip(0).cumprod(0).flip(0)[1:], torch.ones(1)])
assert rate.max() < 0.999
ages = 2400 - torch.arange(1, 2401).float()
assert abs(float(ages @ share) / 2400 - 0.1) < 0.005
assert flat["stopping", 0].index == flat["stopping", 1].index == least
begins = [preference_onset(joint, margin) for margin in (0, 0.05)]
raw_begins = preference_onset(of_two["raw"], 0.05)
late_begins = [onset(all_looks, 0.5 + margin) for margin in (0, 0.05)]
assert begins[0] < begins[1] < least and raw_begins < least
assert late_begins[0] < least <= late_begins[1]
glue(minimum=steps[least], begins_0=steps[begins[0]], begins_05=steps[begins[1]],
     jackknife_05=steps[late_begins[1]],
     deal_reach=(joint[least].high - joint[least].low) / 2,
     block_reach=reach_of(over_pairs)[least],
     order_05=struck["onset 0.05"].before(struck["loss"]),
     averaged_at=of_two["averaged"][least].preference,
     raw_at=of_two["raw"][least].preference)

# %% [markdown]
# Raw and averaged losses are least at the same checkpoint, {glue:text}`minimum:,.0f`,
# and there samples of both lean alike: {glue:text}`averaged_at:.3f` with averaged and
# {glue:text}`raw_at:.3f` with raw weights. The order, onset before minimum, is not made
# by averaging.
#
# How sure is that order? The joint deal asks whether *these* networks lean, and grants
# the margin from step {glue:text}`begins_05:,.0f` on. The jackknife asks what other
# blocks would show, and corrected for all looks it grants the margin at step
# {glue:text}`jackknife_05:,.0f`, not before the least loss: for blocks in general, four
# of them establish before it a preference above ½, and the margin of 0.05 in a share
# {glue:text}`order_05:.2f` of draws.
#
# And the order, is it made by the learning rate? It is constant here, so that the raw
# weights never settle. One pair more, blocks 0 and 1, was trained with a rate that
# falls to zero over the 2,400 steps as a cosine does.

# %% tags=["hide-input"]
annealed = recorded("cosine")
falling = networks(annealed)
steady = Networks({label: two.results[label] for label in falling.results}, family.size)
of_rate = {"constant": steady, "falling": falling}
leaning_of_rate = {name: of_blocks_0_and_1(several, "owners/pixels")
                   for name, several in of_rate.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Two pairs of networks, by rate. Left: loss on V, of averaged (solid) and raw weights (dashed). Right: preference against the averaged loss, along training (bands: 95 % of the joint deal; dots: least loss). The rate does not make the order.", "name": "fig-rate"}, "image": {"alt": "Left, four curves that fall until step 1,432; the raw loss of the constant rate lies highest and rises afterwards, that of the falling rate stays flat. Right, two curves that nearly coincide: the preference rises from 0.53 to 0.6 while the loss falls, then to 0.65 and more while it rises.", "width": "100%"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4))
for (name, several), color in zip(of_rate.items(), (NEUTRAL, TRAIN)):
    for weights, line in enumerate(("-", "--")):
        left.plot(steps, held_losses(several, weights=weights).mean(1), line,
                  color=color, label=f"{name}, {('averaged', 'raw')[weights]}")
    middle, low, high = torch.tensor([(each.preference, each.low, each.high)
                                      for each in leaning_of_rate[name]]).T
    losses = held_losses(several).mean(1)
    shown, turned_at = losses < 0.24, int(losses.argmin())
    curve(right, losses[shown], middle[shown], "", color, low[shown], high[shown])
    right.plot(losses[turned_at], middle[turned_at], "o", color=color, ms=5)
    right.plot([], [], color=color, label=name)
left.legend()
left.set(ylabel="loss on V", ylim=(0.19, 0.3))
step_axis(left, (50, 200, 500, 1000, 2400))
right.axhline(0.5, color=THEORY, lw=0.8)
right.annotate("no memory", (0.237, 0.5), (0, 4), textcoords="offset points",
               ha="right", fontsize=8.5)
right.legend()
right.set(xlabel="loss on V", ylabel=r"preference $\nu$", ylim=(0.48, None));

# %% tags=["remove-cell"]
for name, several in of_rate.items():
    started = preference_onset(leaning_of_rate[name], 0.05)
    ends = [flat_minimum(held_losses(several, weights=weights)) for weights in (0, 1)]
    assert started < ends[0].index == ends[1].index == steps.index(1432)
    assert (ends[1].latest == len(steps) - 1) == (name == "falling")
    glue(**{f"begin_{name}": steps[started],
            f"end_{name}": leaning_of_rate[name][-1].preference},
         **{f"{kind}_{name}": held_losses(several, weights=weights).mean(1).min()
            for weights, kind in enumerate(("averaged", "raw"))})
assert leaning_of_rate["falling"][-1].high > leaning_of_rate["constant"][-1].low

# %% [markdown]
# | rate | $\nu$ above .55 from step | least loss on V, averaged | raw | $\nu$ at the end |
# | --- | --- | --- | --- | --- |
# | constant | {glue:text}`begin_constant:,.0f` | {glue:text}`averaged_constant:.4f` | {glue:text}`raw_constant:.4f` | {glue:text}`end_constant:.3f` |
# | falling | {glue:text}`begin_falling:,.0f` | {glue:text}`averaged_falling:.4f` | {glue:text}`raw_falling:.4f` | {glue:text}`end_falling:.3f` |
#
# It is not. All four losses are least at step 1,432, and with either rate this pair
# leans by the margin before it. What the falling rate does is to settle the raw
# weights: their loss is lower, and up to the last step it cannot be told from its
# least. Samples lean no less for sure.
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
latents = torch.randn(3, 1024, 1, 16, 16, generator=generator)  # three draws
choices = torch.rand(3, 1024, generator=generator)
ladders = [moment_ladder(images, kinds, reference.images, reference.labels)
           for images, kinds in zip(ground.blocks, labels)]
rungs = list(ladders[0])
pools = {space: values.unflatten(0, ground.blocks.shape[:2]) for space, values
         in ground.spaces(ground.blocks.flatten(0, 1)).items()}


def nearest_owners(law, draw):
    """Whose the samples of a law are, in each space, as it is kept of networks."""
    samples = law.sample(latents[draw], choices[draw])
    return {f"owners/{space}": owners(events, pools[space])
            for space, events in ground.spaces(samples).items()}


# %%
ladder = Networks({(block, draw): Results(tuple(  # a rung for a step
    Stage(rung, nearest_owners(law, draw)) for rung, law in enumerate(laws.values())),
    0.0) for block, laws in enumerate(ladders) for draw in range(3)}, family.size)
SPACES = {"pixels": "pixels", "principal": "32 principal directions",
          "classifier": "classifier"}
lean = {space: over_blocks(pair_preferences(family, f"owners/{space}"))
        for space in SPACES}
rung_lean = {space: over_blocks(pair_preferences(ladder, f"owners/{space}"))
             for space in SPACES}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Preference in three spaces, mean over pairs (bands: 95 %, jackknife over blocks), and what three rungs of the moment ladder have there. Red: the least loss on V. There networks lean less than class Gaussians in pixels, in the others not.", "name": "fig-spaces"}, "image": {"alt": "Three panels of preference against training steps, each rising from near 0.51 to about 0.65. The dashed line of the class Gaussians is at 0.62 in pixels and at 0.57 in principal directions and classifier features.", "width": "100%"}}
RUNGS = {"class Gaussians": "--", "shared covariance": "-.", "Gaussian": ":"}


def banded(axes, values, color, name="", line="-"):
    """A line with its 95 % band, named for a legend."""
    axes.plot(steps, values[0], color=color, ls=line, label=name)
    axes.fill_between(steps, *values[1:], color=color, alpha=0.15, lw=0)


figure, panels = plt.subplots(1, 3, figsize=(8.8, 3.7), sharey=True)
for axes, (space, title) in zip(panels, SPACES.items()):
    banded(axes, bounds(lean[space]), TRAIN, "networks")
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
              ncols=5);

# %% tags=["hide-input"]
def over_seeds(several, owned):
    """The preference [S] of each pair of blocks, the mean over its seeds."""
    values = pair_preferences(several, owned)
    return {pair: torch.stack([each for label, each in values.items()
                               if label[:2] == pair]).mean(0)
            for pair in combinations(blocks, 2)}


print(f"{'':25}" + "".join(f"{title:>21}" for title in (
    "pixels", "principal", "classifier")))
for place in (9, least, len(steps) - 1):
    print(f"{'networks, step ' + at_step(place):25}" + "".join(
        f"{lean[space].value[place]:13.3f} ± {reach_of(lean[space])[place]:.3f}"
        for space in SPACES))
for rung in rungs:
    values = [(each.value[rungs.index(rung)], reach_of(each)[rungs.index(rung)])
              for each in rung_lean.values()]
    print(f"{rung:25}" + "".join(f"{middle:13.3f} ± {reach:.3f}"
                                 for middle, reach in values))
excess = {}
for space in SPACES:
    of_networks, of_rungs = (over_seeds(each, f"owners/{space}")
                             for each in (family, ladder))
    excess[space] = over_blocks({
        (*pair, 0): values[least] - of_rungs[pair][-1]
        for pair, values in of_networks.items()})
print(f"{'least loss - Gaussians':25}" + "".join(
    f"{float(each.value):+13.3f} ± {float(reach_of(each)):.3f}"
    for each in excess.values()))

# %% tags=["remove-cell"]
for space in SPACES:
    gap, doubt = float(excess[space].value), float(reach_of(excess[space]))
    assert gap + doubt < 0 if space == "pixels" else 0 < gap < doubt
    over = lean[space].value[-1] - rung_lean[space].value[-1]
    assert over > torch.stack([reach_of(each)[-1] for each in
                               (lean[space], rung_lean[space])]).norm()
    glue(**{f"{space}_at": lean[space].value[least],
            f"{space}_class": rung_lean[space].value[-1],
            f"{space}_excess": gap, f"{space}_reach": doubt})

# %% [markdown]
# (± half the 95 % interval, jackknife over blocks.)
#
# The networks lean nearly alike in all three spaces; the ladder does not. A Gaussian a
# class is fitted to some 50 images of 256 pixels, so its samples stay within the span
# of these images, which pixels notice and coarse features do not:
#
# | at the least loss on V | networks | class Gaussians | difference |
# | --- | --- | --- | --- |
# | pixels | {glue:text}`pixels_at:.3f` | {glue:text}`pixels_class:.3f` | {glue:text}`pixels_excess:+.3f` ± {glue:text}`pixels_reach:.3f` |
# | 32 principal directions | {glue:text}`principal_at:.3f` | {glue:text}`principal_class:.3f` | {glue:text}`principal_excess:+.3f` ± {glue:text}`principal_reach:.3f` |
# | classifier | {glue:text}`classifier_at:.3f` | {glue:text}`classifier_class:.3f` | {glue:text}`classifier_excess:+.3f` ± {glue:text}`classifier_reach:.3f` |
#
# So blur and fine noise do not explain the preference. Whether moments of the classes
# could, depends on the space: in no space are the networks above these Gaussians beyond
# the interval, and in the end they are above them in all.
#
# ## Where does memorization by ratio end?
#
# The chapter's ruler on data whose distances are known. Images of $\mathcal N(0, I_d)$,
# $d = 256$, are copied with noise $\delta$ on each entry. A copy's squared distance to
# its own image is about $d\delta^2$, to any other one about $d\,(2 + \delta^2)$. In the
# limit of large $d$ the ratio of the distances is below ⅓ as long as
#
# $$
# \frac{\delta^2}{2 + \delta^2} < \frac19, \qquad \delta < \tfrac12 .
# $$
#
# Its own image is the nearest of $n$ until chance brings another one as near. Given the
# copy, its squared distances to the other images are independent, with variance
# $d\,(6 + 4\delta^2)$, and the least of them lies up to $\sqrt{2 \ln n}$ deviations
# below their mean, which is $2d$ more than the own one:
# until $\delta^2 \approx d / (2 \ln n) - \tfrac32$.

# %%
halves = torch.randn(2, 512, 256, generator=generator)
copied, grain = torch.arange(1024) % 512, torch.randn(1024, 256, generator=generator)
DELTAS = (0.2, 0.4, 0.45, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
copies = {delta: [half[copied] + delta * grain for half in halves] for delta in DELTAS}
by_ratio = [memorized_fraction(each[0], halves[0]) for each in copies.values()]
by_preference = [own_other(*each, *halves) for each in copies.values()]
own_nearest = [float((nearest(of_first, halves[0]).index[:, 0] == copied).double()
                     .mean()) for of_first, _ in copies.values()]

# %% tags=["hide-input"]
print("delta    memorized, 95 %         own image nearest    preference, 95 %")
for delta, ratio, own, preference in zip(DELTAS, by_ratio, own_nearest, by_preference):
    print(f"{delta:5.2f}    {ratio.fraction:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
          f"{own:13.3f}                {preference.preference:.3f} "
          f"[{preference.low:.3f}, {preference.high:.3f}]")

# %% tags=["remove-cell"]
shares = dict(zip(DELTAS, by_ratio))
leans = dict(zip(DELTAS, by_preference))
assert shares[0.2].fraction == 1 and shares[0.5].fraction < 0.05
assert shares[0.4].fraction > 0.8 and shares[0.45].fraction < 0.5
assert shares[1.0].fraction == 0 and leans[2.0].preference > 0.999
for delta, expected in ((3.0, 0.984), (4.0, 0.879), (6.0, 0.637)):
    assert leans[delta].low < expected < leans[delta].high + 0.006
lasts = (256 / (2 * math.log(512)) - 1.5) ** 0.5
assert own_nearest[DELTAS.index(4.0)] > 0.6 and own_nearest[DELTAS.index(6.0)] < 0.4
glue(lasts=lasts, at_half=leans[0.5].preference)

# %% [markdown]
# So it is, but for the size of $d$: the nearest of 511 others is nearer than their
# mean, and at 0.45 most copies are no longer memorized by ratio. At ½, where hardly one
# is, the preference is {glue:text}`at_half:.0f`. By the formula own images are the
# nearest until $\delta$ is {glue:text}`lasts:.1f`, by the table for half of the copies
# until about 5; there the preference still is far from ½. What is no copy by the ratio
# can still owe all to one image.
#
# ## Do 14 steps of the sampler suffice?
#
# All samples are made by 14 Heun steps. Here the networks of blocks 0 and 1, seed 0,
# sample with 28 as well, from the same 512 latents (± half of the 95 % interval over
# latents):

# %% tags=["hide-input"]
finer = records.load(find("image-steps-laptop"))
by_steps = [torch.stack([torch.stack([
    owner(stage.arrays["owners/pixels"][block, sampler], 512, (block, 1 - block)) < 512
    for block in (0, 1)]).double().mean(0) for sampler in (0, 1)])
    for stage in finer.results.stages]  # [samplers, latents] at each moment
print(" step   14 steps   28 steps      difference      moved   to the nearest image")
for step, stage, (few, many) in zip(MOMENTS, finer.results.stages, by_steps):
    change, least_change, _ = mean_interval((many - few)[:, None])
    print(f"{step:5,}{float(few.mean()):10.3f}{float(many.mean()):11.3f}"
          f"    {float(change):+.3f} ± {float(change - least_change):.3f}"
          f"{float(stage.arrays['moved'].double().mean()):10.2f}"
          f"{float(stage.arrays['distance'][:, 0].double().mean()):18.2f}")

# %% tags=["remove-cell"]
changes = torch.stack([(many - few).mean() for few, many in by_steps])
assert changes.min() > 0 and changes.max() < 0.02
moves = [float(stage.arrays["moved"].double().mean()
               / stage.arrays["distance"][:, 0].double().mean())
         for stage in finer.results.stages]
glue(least_move=100 * min(moves), most_move=100 * max(moves))

# %% [markdown]
# With finer steps a sample moves by {glue:text}`least_move:.1f` to
# {glue:text}`most_move:.1f` percent of its distance to the nearest image. The
# preference is no smaller, and at step 510 a little larger: coarse steps do not make
# it.
#
# ## Do training images come back nearer?
#
# The published U-turn {cite:p}`garnierbrun2026biased` noises an image to a level
# $\sigma_0$, lets the sampler go from there, and measures how far from the image it
# ends. Here with 256 images of blocks 0 and 1, of which each of the two networks has
# seen the one half: so an image is compared with itself, under the same noise, led back
# by the network that knows it and by the one that does not.

# %%
released = records.load(find("image-turns-laptop"))
ended = released.results.curve("distance")[1].double()  # [moments, networks, ...
seen, unseen_too = ended[..., KINDS.index(1.0), :], ended[..., KINDS.index("other"), :]
nearer = (seen / unseen_too.flip(1)).log().permute(1, 3, 0, 2).flatten(0, 1)
percent = [100 * (each.exp() - 1) for each in mean_interval(nearer)]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Distance between an image and where the sampler ends that is let go from its noised self. Left: at step 1,432, for seen and unseen images. Right: by how much the seen ones end nearer, image by image (bands: 95 % over images). Two networks.", "name": "fig-return"}, "image": {"alt": "Left, two rising curves that nearly coincide. Right, three curves below zero, deepest near noise 0.5, by 2 percent at step 510, 5 at 1,432 and 12 at 2,400, and near zero above noise 4.", "width": "100%"}}
let_go = GRID[list(STARTS)]
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.3))
for values, name, color, line in ((seen, "seen", TRAIN, "-"),
                                  (unseen_too, "unseen", HOLDOUT, "--")):
    left.plot(let_go, values[1].mean((0, 2)), color=color, ls=line, label=name)
left.legend(loc="upper left")
left.set(ylabel="distance to the start", ylim=(0, None))
for place, color in enumerate(EARLY_TO_LATE):
    right.plot(let_go, percent[0][place], color=color, label=f"step {MOMENTS[place]:,}")
    right.fill_between(let_go, percent[1][place], percent[2][place], color=color,
                       alpha=0.2, lw=0)
right.axhline(0, color=THEORY, lw=0.8)
right.annotate("no memory", (0.14, 0), (0, 4), textcoords="offset points", fontsize=8.5)
right.legend(loc="lower right")
right.set_ylabel("seen less unseen, percent")
for axes in (left, right):
    axes.set(xscale="log", xlabel=r"start $\sigma_0$")
    axes.set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    axes.set_xticks([], minor=True)

# %% tags=["hide-input"]
print("seen less unseen, by the network that has seen the image and the other, percent")
print("start " + "".join(f"{f'step {step:,}':>16}" for step in MOMENTS))
for level, sigma in enumerate(let_go.tolist()):
    print(f"{sigma:5.2f} " + "".join(
        f"{percent[0][place, level]:+10.1f} ± "
        f"{(percent[2] - percent[1])[place, level] / 2:3.1f}" for place in range(3)))

# %% tags=["remove-cell"]
below_1, above_4 = let_go < 1, let_go > 4
assert (percent[2][:, below_1] < 0).all() and (percent[2][:, above_4] > 0).all()
assert (percent[0].diff(dim=0)[:, below_1] < 0).all()

# %% [markdown]
# One expects no difference early and one at the least loss. There is one already at
# step 510, small but sure below $\sigma_0 = 1$, and it grows all the way; from
# $\sigma_0 = 4$ on there is none at any of the three moments. How far the basin of a
# training image reaches, {numref}`fig-basin` shows.
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
# - |D - D'|^2_\text{seed}\big), \\
# V_\text{mixed} &= \tfrac12 \mathbb E \big(|D - D'|^2_\text{data}
# + |D - D'|^2_\text{seed} - |D - D'|^2_\text{both}\big),
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


def stacked(estimates):
    """Estimates at all checkpoints as one, [S]."""
    return Estimate(*(torch.stack(each) for each in zip(*(
        (one.value, one.error) for one in estimates))))


def variances_of(splits):
    """V_data, V_seed and V_mixed, by name: an estimate [S] each."""
    splits = list(splits)
    return {part: stacked(getattr(each, f"{part}_variance") for each in splits)
            for part in PARTS}


of_samples = variances_of(split_variance({
    label: ground.scaling.network(values[place].numpy()).double()
    for label, values in family.curve("pictures").items()}) for place in range(16))
of_probes = {(level, name): variances_of(probe_variances(family, level, probes=which))
             for level in range(3) for name, which in PROBES.items()}


error = [over_networks(probe_errors(family, level, clean, probes=PROBES["V"]))
         for level in range(3)]
common = [probe_bias(family, level, clean, PROBES["V"]) for level in range(3)]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Above: variances of denoised images of V (bands: 95 %; dotted: of blocks 0 and 1) and of samples. Below: the error on V, and its part that all networks share. The data's variance grows, the seed's dies out, the mixed one never does.", "name": "fig-components"}, "image": {"alt": "Seven panels against training steps. Data variance rises from zero in each, seed variance falls to near zero, mixed variance is flat and, at small noise, rises late. Below, at three noise levels, the error turns or flattens while the common part falls.", "width": "100%"}}
figure, grid = plt.subplots(2, 4, figsize=(9.4, 5.6), sharex=True)
for level, (upper, lower) in enumerate(grid.T[:3]):
    scale = 1e4 * PER_PIXEL
    for part, color in PARTS.items():
        banded(upper, bounds(of_probes[level, "V"][part], scale), color,
               rf"$V_\mathrm{{{part}}}$")
        upper.plot(steps, scale * of_probes[level, "blocks"][part].value, color=color,
                   ls=":")
    upper.set(title=rf"$\sigma = {PROBED[level]:.3f}$")
    middle, low, high = (PER_PIXEL * each for each in error[level])
    lower.plot(steps, middle, color=LOSS, label="error on V")
    lower.fill_between(steps, low, high, color=LOSS, alpha=0.15, lw=0)
    banded(lower, bounds(common[level], PER_PIXEL), THEORY, "in common, on V")
    step_axis(lower, (50, 300, 2000))
for part, color in PARTS.items():
    banded(grid[0, 3], bounds(of_samples[part], 1e2), color)
for axes in grid[0]:
    axes.axhline(0, color=NEUTRAL, lw=0.6)
grid[0, 3].set_title(r"samples, $\times\, 10^2$")
step_axis(grid[0, 3], (50, 300, 2000))
grid[0, 3].tick_params(labelbottom=True)
grid[0, 0].set_ylabel(r"variance per pixel, $\times\, 10^4$")
grid[1, 0].set_ylabel("square error per pixel")
grid[1, 3].axis("off")
named = [pair for axes in grid[:, 0]
         for pair in zip(*axes.get_legend_handles_labels())]
grid[1, 3].legend(*zip(*named), loc="center");

# %% tags=["hide-input"]
print("all times 10^4, on V")
print(f"sigma   step  {'V_data':11}     {'V_seed':11}     {'V_mixed':11}     error"
      "   common")
for level in range(3):
    for place in (0, 9, least, len(steps) - 1):
        line = f"{PROBED[level]:.3f} {at_step(place):>6}"
        for part in PARTS:
            value, _, high = (float(each[place]) for each in
                              bounds(of_probes[level, "V"][part], 1e4 * PER_PIXEL))
            line += f"{value:8.2f} ± {high - value:5.2f}"
        print(line + f"{1e4 * PER_PIXEL * float(error[level][0][place]):9.1f}"
              f"{1e4 * PER_PIXEL * float(common[level].value[place]):9.1f}")

# %% tags=["remove-cell"]
for level in range(3):
    data, seed, mixed = (of_probes[level, "V"][part].value for part in PARTS)
    assert data[-1] > data[least] > data[late] > data[:6].mean()
    lowest = bounds(of_probes[level, "V"]["data"])[1]
    assert (lowest[:2] < 0).all() and lowest[-1] > 0
    assert 0.9 < data[-1] / mixed[-1] < 1.4
    assert seed[-1] < seed[late] < seed[0] and (mixed >= data)[:least + 1].all()
    glue(**{f"data_from_{level}": steps[onset(lowest.tolist(), 0)],
            f"common_change_{level}": 100 * (common[level].value[-1]
                                             / common[level].value[least] - 1),
            f"error_change_{level}": 100 * (error[level][0][-1]
                                            / error[level][0][least] - 1)})
held_seed, other_seed = (distances[part].value for part in ("data", "both"))
bottom = int(held_seed.argmin())
drops = [float(each[:bottom].max() - each[bottom]) for each in (held_seed, other_seed)]
assert 0.4 < drops[0] / drops[1] < 0.6
for out in (None, *blocks):  # at one step, whatever block is left out
    left_in = split_distances(Networks({
        label: results for label, results in family.results.items() if label[0] != out},
        family.size))
    assert left_in["data"].value.argmin() == left_in["both"].value.argmin()
unsure = bounds(of_samples["data"])[1] < 0
assert (of_samples["mixed"].value > of_samples["data"].value).all()
glue(held_drop=drops[0], both_drop=drops[1], same_seed_at=steps[bottom],
     samples_unsure=int(unsure.sum()), looks=len(steps))

# %% [markdown]
# $V_\text{data}$ is not told from 0 in the first checkpoints. Its interval stays above
# 0 from steps {glue:text}`data_from_0:,.0f`, {glue:text}`data_from_1:,.0f` and
# {glue:text}`data_from_2:,.0f` on, in the order of the noise levels; it grows to the
# end, with no step at which a phase begins, and is then about as large as
# $V_\text{mixed}$.
#
# $V_\text{seed}$ dies out, and the distance of the published experiment, whose networks
# differ in both, falls with it. But with the seed held the distance of samples is least
# at the same step, {glue:text}`same_seed_at:.0f`, also without any one of the blocks;
# from its peak it falls by {glue:text}`held_drop:.4f` instead of
# {glue:text}`both_drop:.4f`. The seed makes the dip deeper and does not date it.
#
# $V_\text{mixed}$ has no name in the paper and is no smaller than $V_\text{data}$ at
# any step up to the least loss. Of samples it is the largest part to the end, where the
# band of $V_\text{data}$ holds 0 at {glue:text}`samples_unsure:.0f` of
# {glue:text}`looks:.0f` steps. What a network makes of its block depends on its seed.
#
# From the least loss to the last step, the change in percent:
#
# | | $\sigma = 0.281$ | 0.546 | 1.155 |
# | --- | --- | --- | --- |
# | error on V | {glue:text}`error_change_0:+.1f` | {glue:text}`error_change_1:+.1f` | {glue:text}`error_change_2:+.1f` |
# | in common | {glue:text}`common_change_0:+.1f` | {glue:text}`common_change_1:+.1f` | {glue:text}`common_change_2:+.1f` |
#
# What all networks get wrong falls where the error does, and does not rise where the
# error turns. It turns by variance alone, as on the strings of
# {doc}`chapter 4 <04b_hierarchical_deeper>`.
#
# ## Is it the coarse or the fine part that goes apart?

# %% tags=["hide-input"]
BANDS = {"coarse": slice(COARSE), "fine": slice(COARSE, None)}
pixels = ground.basis.directions.shape[1]
sizes = {"coarse": COARSE / pixels, "fine": PER_PIXEL - COARSE / pixels}
split_of, error_of = {}, {}
for level, (name, which) in product(range(3), BANDS.items()):
    split_of[level, name] = bounds(stacked(
        each.data_difference for each in probe_variances(family, level, which,
                                                         PROBES["V"])),
        1e4 * sizes[name])
    error_of[level, name] = [1e4 * sizes[name] * each for each in over_networks(
        probe_errors(family, level, clean, which, PROBES["V"]))]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Above: mean square difference of two networks of one seed on images of V, in the 32 leading principal directions and in the next 96 (bands: 95 %). Below: their error there. Both parts go apart, not the fine one alone.", "name": "fig-coarse"}, "image": {"alt": "Six panels against training steps. Coarse and fine differences both rise from step 500 on, at the two lower noise levels by a factor of two to four. The errors of both parts fall and flatten.", "width": "100%"}}
figure, grid = plt.subplots(2, 3, figsize=(8.8, 5.2), sharex=True)
for level, (upper, lower) in enumerate(grid.T):
    ahead = max(BANDS, key=lambda name, at=level: float(error_of[at, name][0][-1]))
    for name, color in (("coarse", TRAIN), ("fine", "#009E73")):
        banded(upper, split_of[level, name], color)
        upper.annotate(name, (steps[-1], float(split_of[level, name][0][-1])), (3, 0),
                       textcoords="offset points", color=color, va="center")
        curve(lower, steps, error_of[level, name][0], name, color,
              *error_of[level, name][1:], offset=(3, 5 if name == ahead else -5))
    upper.set_title(rf"$\sigma = {PROBED[level]:.3f}$")
    upper.set_ylim(bottom=0)
    lower.set_ylim(bottom=0)
    step_axis(lower, (50, 200, 1000))
grid[0, 0].set_ylabel(r"difference per pixel, $\times\, 10^4$")
grid[1, 0].set_ylabel(r"error per pixel, $\times\, 10^4$");

# %% tags=["remove-cell"]
for level in range(3):
    growth = {}
    for name in BANDS:
        values = split_of[level, name][0]
        growth[name] = float(values[-1] / values[late])
    assert 1 < growth["coarse"] < growth["fine"]
    glue(**{f"{name}_growth_{level}": value for name, value in growth.items()})

# %% [markdown]
# By how much the difference grows from step 510 to the last:
#
# | | $\sigma = 0.281$ | 0.546 | 1.155 |
# | --- | --- | --- | --- |
# | coarse | {glue:text}`coarse_growth_0:.2f` | {glue:text}`coarse_growth_1:.2f` | {glue:text}`coarse_growth_2:.2f` |
# | fine | {glue:text}`fine_growth_0:.2f` | {glue:text}`fine_growth_1:.2f` | {glue:text}`fine_growth_2:.2f` |
#
# One expects the coarse part to settle and the fine part to grow. The fine part grows
# more; the coarse part does not settle.
#
# ## Do two networks part on training images first?
#
# The paper follows the cosine between two networks' noise predictions $(x - D)/\sigma$
# on training and on held-out images; one expects it to fall on training images first.
# On record are predictions at images of blocks 0 and 1. One network of a pair has seen
# the image, or neither has: the same images serve as their own control. Cosines are
# those within the 128 recorded directions, which hold {glue:text}`held:.3f` of the
# variance. Most of a noise prediction is the noise itself, which all predict; taking
# $c_\text{skip}\, x$ off $D$ instead of $x$ leaves what the network adds.

# %% tags=["hide-input"]
origin = (ground.basis.directions @ ground.basis.mean).double()


def taken_off(level, skip):
    """Coordinates of x, or of its part by the skip connection."""
    sigma = float(PROBED[level])
    noisy = ground.basis(ground.probed + sigma * eps).double()
    return 0.25 / (0.25 + sigma**2) * (noisy + origin) - origin if skip else noisy


def parting(level):
    """1 - cosine on images of blocks 0 and 1, of pairs one of which has seen them, of
    those of which none has, and the difference: [3, S], leaving out a block."""
    apart_on = [{pair: 1 - values for pair, values in probe_cosines(
        family, level, taken_off(level, True), slice(start, start + 16)).items()}
        for start in (32, 48)]

    def means(chosen):
        found = []
        for block in {0, 1} & {*chosen}:  # the same images, seen and unseen
            of_two = {seen: torch.stack([
                values for pair, values in apart_on[block].items()
                if {*pair[:2]} <= {*chosen} and (block in pair[:2]) == seen]).mean(0)
                for seen in (True, False)}
            found.append(torch.stack([of_two[True], of_two[False],
                                      of_two[True] - of_two[False]]))
        return torch.stack(found).mean(0)

    return leave_one_out(means, blocks)


def parting_on_held(level, skip):
    """1 - cosine on images of V."""
    return over_blocks({pair: 1 - values for pair, values in probe_cosines(
        family, level, taken_off(level, skip), PROBES["V"]).items()})


parted = [parting(level) for level in range(3)]
parted_on_held = {(level, skip): parting_on_held(level, skip)
                  for level in range(3) for skip in (True, False)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Above: one minus the cosine of what two networks of one seed add to the skip connection, on images that one or none has seen, and on V; dotted, of noise predictions. Below: seen less unseen. Bands: 95 %. They part on all images.", "name": "fig-agreement"}, "image": {"alt": "Six panels against training steps. The curves for seen images, unseen images and V run together and rise from about step 700 on. The difference of seen and unseen is near 0, with a band that holds 0 nearly everywhere.", "width": "100%"}}
figure, grid = plt.subplots(2, 3, figsize=(8.8, 5.4), sharex=True, sharey="row")
for level, (upper, lower) in enumerate(grid.T):
    upper.plot(steps, parted[level].value[0], color=TRAIN, label="one has seen it")
    upper.plot(steps, parted[level].value[1], color=HOLDOUT, ls="--", label="none has")
    for skip, (name, line) in {True: ("V", "-"), False: ("V, noise", ":")}.items():
        estimate = parted_on_held[level, skip]
        banded(upper, bounds(estimate), NEUTRAL, name, line)
    banded(lower, [each[2] for each in bounds(parted[level])], TRAIN)
    lower.axhline(0, color=THEORY, lw=0.8)
    upper.set(yscale="log", title=rf"$\sigma = {PROBED[level]:.3f}$", ylim=(0.001, 0.1))
    step_axis(lower, (50, 200, 1000))
grid[0, 0].set_ylabel("1 − cosine")
grid[1, 0].set_ylabel("seen − unseen")
figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center",
              ncols=4);

# %% tags=["hide-input"]
print("1 - cosine     one has seen it    none has it          difference")
print("sigma   step")
for level in range(3):
    for place in (late, least, len(steps) - 1):
        print(f"{PROBED[level]:.3f} {at_step(place):>6}" + "".join(
            f"{float(value):+10.4f} ± {float(reach):.4f}" for value, reach
            in zip(parted[level].value[:, place], reach_of(parted[level])[:, place])))

# %% tags=["remove-cell"]
for level in range(3):  # what pairs part by that have not seen the images
    grown = parted[level].value[:2, -1] - parted[level].value[:2, late]
    assert grown[1] > grown[0] / 2
inside = [estimate.value[2].abs() < reach_of(estimate)[2] for estimate in parted]
glue(held=ground.basis.shares.sum(), within=torch.stack(inside).sum(),
     places=torch.stack(inside).numel())

# %% [markdown]
# They part on all images together, those of neither's block included. The difference
# between seen and unseen ones is 0 within its interval in {glue:text}`within:.0f` of
# {glue:text}`places:.0f` places, four blocks being few. So what looks like memory of
# training images is, here, for the larger part a parting everywhere. And at the largest
# level predictions of noise agree, trivially.
#
# That was at the three noise levels of the record, over four blocks. The networks of
# blocks 0 and 1 ship with the book at three steps, so that this pair can be asked at
# all five levels of the paper, live: one minus the cosine of noise predictions on 320
# images of each of blocks 2 and 3, unseen by both, and by how much more it is on as
# many of each of their own (± 95 % over images, times 1,000). Above zero they agree
# less on training images.

# %% tags=["hide-input"]
unit = ground.scaling.deviation / 0.5 / 255  # of our noise, in brightness 0 to 1
PUBLISHED = (50, 100, 150, 200, 500)  # steps of the chain of 1,000
FIVE = vp_sigmas(1000)[[999 - t for t in PUBLISHED]] / unit
weights_of = {step: [records.load(find(f"image-weights-512-b{block}-s0-{step}-laptop"))
                     for block in (0, 1)] for step in MOMENTS}
asked = [block[:320] for block in ground.blocks]


def disagreements(step):
    """1 - cosine [5, 320] of the networks of blocks 0 and 1 on each of four blocks."""
    pair = [recorded_network(find(each.manifest.run).config, each.results)
            for each in weights_of[step]]
    draws = torch.Generator().manual_seed(7)  # which goes on, from block to block
    return [1 - prediction_cosine(*pair, images, FIVE, draws).double()
            for images in asked]


def own_less_unseen(on_0, on_1, on_2, on_3):
    """Times 1,000, at each level: the mean on unseen images, that on own ones less it,
    and the reach of the latter's interval over images: [3, 5]."""
    own, unseen = torch.cat([on_0, on_1], 1), torch.cat([on_2, on_3], 1)
    (on_own, least_own, _), (on_unseen, least_unseen, _) = (
        mean_interval(each.T) for each in (own, unseen))
    reach = ((on_own - least_own)**2 + (on_unseen - least_unseen)**2).sqrt()
    return 1000 * torch.stack([on_unseen, on_own - on_unseen, reach])


parting_of_two = {step: own_less_unseen(*disagreements(step)) for step in MOMENTS}

# %% tags=["hide-input"]
print("    t   sigma" + "".join(f"{f'{step:,}: unseen':>15}, more" + 3 * " "
                                for step in MOMENTS).rstrip())
for level, (t, sigma) in enumerate(zip(PUBLISHED, FIVE.tolist())):
    print(f"{t:5}{sigma:8.3f}" + "".join(
        f"{unseen:9.2f}{more:+7.2f} ± {reach:4.2f}" for unseen, more, reach in
        (parting_of_two[step][:, level].tolist() for step in MOMENTS)))

# %% tags=["remove-cell"]
more, reach = torch.stack(list(parting_of_two.values()), 1)[1:]  # [moments, levels]
assert (more > -reach).all() and more[2, 0] > 2 * reach[2, 0]
assert (more[0] < reach[0]).all() and more[1, 0] > reach[1, 0]
glue(other_places=(more > reach).sum() - 2,
     **{f"farther_{step}": 100 * values[1, 0] / values[0, 0]
        for step, values in parting_of_two.items()},
     **{f"farther_reach_{step}": 100 * values[2, 0] / values[0, 0]
        for step, values in parting_of_two.items()})

# %% [markdown]
# At $\sigma = 0.28$ this pair agrees less on its own images than on those of two blocks
# that neither has seen: by {glue:text}`farther_2400:.0f` ±
# {glue:text}`farther_reach_2400:.0f` % at step 2,400, and by
# {glue:text}`farther_1432:.0f` ± {glue:text}`farther_reach_1432:.0f` % at 1,432.
#
# Of the other 13 places {glue:text}`other_places:.0f` exceed their interval, two of
# them hardly, all at 0.55 or 0.83 and late. At step 510 there is nothing to be seen. So
# this pair parts more on training images, as published, late and where noise is small;
# it is one pair, and the larger part is a parting on all images.
#
# ## Is the coarse learned first?
#
# Train networks on filtered photographs: on what 8, 32 or 128 principal directions
# hold, or on means over squares of 2 or 4 pixels. Freeze each where its loss on V,
# filtered alike, is least, and ask it and the network of the same block without filter
# about the same noisy photographs. When does the latter come nearest to the former?
# Cosines are of what networks add to the skip connection, on 32 images of V. (One
# block and one seed: intervals are over images.)

# %%
FILTERS = {"8 directions": "principal-8", "squares of 4": "average-4",
           "32 directions": "principal-32", "squares of 2": "average-2",
           "128 directions": "principal-128"}
filtered = {name: recorded(kind)[0, 0] for name, kind in FILTERS.items()}
best_of = {name: int(held_losses(networks({(0, 0): one})).mean(1).argmin())
           for name, one in filtered.items()}


def added(results, level):
    """What a network adds to the skip connection, at images of V: [S, 32, 128]."""
    said = results.curve("probes")[1][:, level, PROBES["V"]].double()
    return said - taken_off(level, True)[PROBES["V"]]


# %% tags=["hide-input"]
def nearness_to(name, level):
    """Cosine [32, S] of the network without filter, at every checkpoint, to the frozen
    one."""
    of_filtered = added(filtered[name].results, level)[best_of[name]]
    return cosine_similarity(added(family.results[0, 0], level), of_filtered, dim=2).T


like = {(name, level): nearness_to(name, level)
        for name, level in product(FILTERS, range(3))}
anew = torch.randint(32, (1000, 32), generator=torch.Generator().manual_seed(32))
nearest_at = {key: each[anew].mean(1).argmax(1) for key, each in like.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Cosine of a network without filter, along its training, to networks trained on filtered images and frozen at their best (bands: 95 % over images; dots: nearest).", "name": "fig-filters"}, "image": {"alt": "Three panels against training steps. Cosines to networks of 128 and of 32 directions peak near 1 around step 660; those to 8 directions rise to between 0.8 and 0.95; those to squares of 2 and of 4 are lower and highest within the first hundred steps.", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(8.8, 3.4), sharey=True)
shades = plt.get_cmap("viridis")(torch.linspace(0.85, 0, len(FILTERS)).numpy())
for level, axes in enumerate(panels):
    for name, color in zip(FILTERS, shades):
        middle, *around = mean_interval(like[name, level])
        curve(axes, steps, middle, "", color, *around)
        axes.plot(steps[int(middle.argmax())], middle.max(), "o", color=color, ms=4,
                  label=name)
    axes.set_title(rf"$\sigma = {PROBED[level]:.3f}$")
    step_axis(axes, (50, 200, 1000))
panels[0].set_ylabel("cosine to the frozen network")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center",
              ncols=5);

# %% tags=["hide-input"]
for level in range(3):
    print(f"{f'sigma = {PROBED[level]:.3f}':16} frozen at   nearest at [95 %]"
          "         cosine there   at the end")
    for name, one in filtered.items():
        middle, found = like[name, level].mean(0), nearest_at[name, level].double()
        place, low, high = (steps[int(each)] for each in (
            middle.argmax(), *(found.quantile(share, interpolation="nearest")
                               for share in (0.025, 0.975))))
        print(f"{name:16}{one.results.steps[best_of[name]]:10,}   "
              f"{f'{place:,} [{low:,}, {high:,}]':26}"
              f"{middle.max():12.3f}{middle[-1]:13.3f}")

# %% tags=["remove-cell"]
met = {key: steps[int(each.mean(0).argmax())] for key, each in like.items()}
assert all(one.results.steps[best_of[name]] == 600 for name, one in filtered.items())
for level in range(3):
    coarse_met, *later = (met[name, level] for name in (
        "8 directions", "32 directions", "128 directions"))
    assert coarse_met < min(later) and {*later} <= {660, 855}
assert met["32 directions", 1] == met["128 directions", 1]
falls = [float(each.mean(0).max() - each.mean(0)[-1]) for each in like.values()]
eight = [met["8 directions", level] for level in range(3)]
glue(eight_first=min(eight), eight_last=max(eight), most_fall=max(falls),
     squares_last=max(met[name, level] for name in ("squares of 2", "squares of 4")
                      for level in range(3)))

# %% [markdown]
# All were frozen at their last step, 600, where their losses still fall. 128 directions
# hold nearly all of the variance, so that this network is nearly the same one, from the
# same first weights and draws: it is met at about its own step, for this reason alone.
# So is that of 32 directions.
#
# What is coarser is met sooner: 8 directions at steps {glue:text}`eight_first:.0f` to
# {glue:text}`eight_last:.0f`, squares not later than step
# {glue:text}`squares_last:.0f`. (By 8 directions at $\sigma = 0.281$ the step is not
# determined.) So the coarse comes first, as published; an order among the finer ones is
# not to be seen. And what was met is hardly left again: to the last step no cosine
# falls by more than {glue:text}`most_fall:.3f`: what is coarse stays learned.
#
# ## Does the preference survive when kinds are matched?
#
# One block may hold more trousers than the other. So deal images only within their
# stratum, here class × coarse cluster (40 clusters of the 32 leading coordinates): the
# deal then expects what the numbers of each kind alone would give.

# %%
coarse_kinds = clusters({"reference": coordinates, "blocks": ground.basis(
    ground.blocks.flatten(0, 1))[:, :COARSE]})["blocks"].view(labels.shape)
strata = {"class": labels, "class x cluster": 100 * labels + coarse_kinds}
in_hand = torch.arange(2 * family.size) < family.size


def matched(several, pair, place, kinds):
    """Preference of a pair, what its strata expect of it, and the p-value."""
    weights = pair_weights(several, pair, place)
    deal = stratified_deal_test(weights, torch.cat([*kinds[list(pair[:2])]]), in_hand)
    values = torch.tensor([deal.observed, deal.expected]) / 2048 + 0.5
    return *values.tolist(), deal.p_value


# %% tags=["hide-input"]
print(f"{'':24}preference   expected by" + 11 * " " + "pairs with p < 0.05")
print(f"{'':37}class   and cluster   class   and cluster   of")
rows = [(rung, ladder, place) for place, rung in enumerate(rungs)]
rows += [(f"networks, step {at_step(place)}", family, place)
         for place in (late, least, len(steps) - 1)]
expected = {}
for name, several, place in rows:
    dealt = {which: torch.tensor([matched(several, pair, place, kinds)
                                  for pair in several.pairs])
             for which, kinds in strata.items()}
    means = {which: values.mean(0) for which, values in dealt.items()}
    small = [int((values[:, 2] < 0.05).sum()) for values in dealt.values()]
    expected[name] = means["class x cluster"][:2].tolist()
    print(f"{name:24}{means['class'][0]:10.3f}{means['class'][1]:9.3f}"
          f"{means['class x cluster'][1]:14.3f}{small[0]:8}{small[1]:14}"
          f"{len(several.pairs):5}")

# %% tags=["remove-cell"]
for name in ("class Gaussians", f"networks, step {at_step(least)}"):
    assert expected[name][0] - expected[name][1] > 0.06
glue(kinds_buy=max(each[1] for each in expected.values()) - 0.5,
     kept_gauss=expected["class Gaussians"][0],
     strata_gauss=expected["class Gaussians"][1],
     kept_net=expected[f"networks, step {at_step(least)}"][0])

# %% [markdown]
# It takes away what the numbers of kinds buy: {glue:text}`kinds_buy:.3f` at most, in
# the last row. A Gaussian a class, which copies no image, keeps
# {glue:text}`kept_gauss:.2f` where the strata expect {glue:text}`strata_gauss:.2f`. At
# the least loss networks keep {glue:text}`kept_net:.2f`. So it is no cure: matched
# strata do not make a preference into evidence of copying.
#
# ## Would it help to exchange single images?
#
# Train again without some images of a block, with others in their place, and see what
# the samples lose: it looks like the cleanest test of what a network does for single
# images. It is not one.
#
# ```{prf:theorem} The preference is the influence of single images
# :label: thm-exchange
# Let a set $T$ of $n$ images be dealt from a pool of $2n$, a generator be fitted to $T$
# and one to the rest, by any rule whatever, and $\ell_j(T)$ be the share of the
# former's samples of which image $j$ of the pool is the nearest. Then
#
# $$
# \mathbb E\, \nu = \tfrac12 + \tfrac n2\, \mathbb E\,
# \big[\ell_j(T) - \ell_j(T')\big], \qquad j \in T,
# $$ (eq-exchange)
#
# $T'$ being $T$ with $j$, and any number of others, exchanged at random for images of
# the rest.
# ```
#
# Proof. Both sets of a pair are dealt alike, so $\mathbb E\, \nu$ is the share of
# samples that their own set owns: $n$ times the mean of $\ell_j(T)$ over $j \in T$.
# Every sample has an owner in the pool, so the means of $\ell_j(T)$ over $j \in T$
# and over $j \notin T$ add up to $1/n$, and the former is $1/(2n)$ plus half their
# difference. And $T'$ is a deal like any other that lacks $j$. ∎
#
# All deals of six points, for three rules that have nothing in common:

# %%
points, white = (torch.randn(size, 2, generator=generator) for size in (6, 40))
RULES = {"copies with noise": lambda held: held[(37 * white[:, 0]).long() % 3]
         + 0.3 * white,
         "mean and covariance": lambda held: held.mean(0) + white @ held.T.cov(),
         "nonsense": lambda held: held.amax(0) * white.sin() + held.square().mean()}
hands = list(combinations(range(6), 3))
own_share, by_exchange = {}, {}
for name, rule in RULES.items():
    shares = {hand: nearest(rule(points[list(hand)]), points).index[:, 0]
              .bincount(minlength=6) / 40 for hand in hands}
    own_share[name] = sum(shares[hand][list(hand)].sum() for hand in hands) / len(hands)
    lost = [shares[hand][j] - shares[tuple(sorted({*hand} - {j} | {back}))][j]
            for hand in hands for j in hand for back in {*range(6)} - {*hand}]
    by_exchange[name] = 0.5 + 3 / 2 * sum(lost) / len(lost)

# %% tags=["hide-input"]
print(f"{'':22}E ν       by exchange")
for name in RULES:
    print(f"{name:22}{own_share[name]:.5f}   {by_exchange[name]:.5f}")

# %% tags=["remove-cell"]
assert all(abs(own_share[name] - by_exchange[name]) < 1e-6 for name in RULES)
assert own_share["copies with noise"] > 0.7

# %% [markdown]
# So the exchange measures what the preference measures, and a Gaussian has it too: each
# image moves the mean toward itself. What discriminates is the curve against fewer and
# fewer images of {doc}`the chapter <05_two_halves>`: copies lose their preference with
# their images, statistics keep it.
#
# ## Is there a cheap remedy?
#
# Averaged weights are none ({numref}`fig-averaging`). Two more can be had without
# training. From two networks A and B of disjoint halves, sample by
# $(1 - \theta)\,D_A + \theta\,D_B$: at $\theta = ½$ by their mean,
# beyond it by A guided away from what it has in excess of B. Between A and B the mean
# leans to neither, for it treats them alike; so it is judged on A and B
# together against blocks 2 and 3.

# %%
remedied = records.load(find("image-remedies-laptop"))
guided_by = {step: stage.arrays for step, stage in zip(MOMENTS,
                                                       remedied.results.stages)}


def leaning_of(arrays, place):
    """For A over B, and for both over blocks 2 and 3: two preferences."""
    names = arrays["owners/pixels"][place]
    return (owned_preference(owner(names, family.size, (0, 1)), family.size),
            owned_preference(names[:, 0].long(), 2 * family.size))


leanings = {step: [leaning_of(arrays, place) for place in range(len(AWAY))]
            for step, arrays in guided_by.items()}
on_v_guided = {step: torch.stack([weighted_loss(SIGMAS, each[4].double(), "edm")
                                  for each in arrays["error"]])
               for step, arrays in guided_by.items()}

# %% tags=["hide-input"]
def losses_on_64(errors):
    """The EDM loss of each of the first 64 images of V from errors [24, images]."""
    return weighted_loss(SIGMAS, errors[:, :64].T.double(), "edm")


turned = least_loss(sized[1024])  # by the loss on all of V
doubled = torch.stack([losses_on_64(curve_on[turned[label]]) for label, curve_on
                       in sized[1024].curve("stopping_error").items()])
mean_of_two = losses_on_64(guided_by[1432]["stopping_error"][AWAY.index(0.5)])
in_excess = [float(each) for each in mean_interval((mean_of_two
                                                    - doubled.mean(0))[:, None])]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Samples by $(1 - \\theta)\\,D_A + \\theta\\,D_B$: loss on 64 images of V, preference for A's block over B's, and for both over blocks 2 and 3 (bands: 95 % of the deal). The mean of two, at $\\theta = ½$, has less loss than each; it leans, but to both.", "name": "fig-remedy"}, "image": {"alt": "Three panels against the share theta, three training steps each. The loss is least near one half. The preference for A falls from above one half at 0 to below it at 1.5. That for both blocks rises with theta beyond one half.", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(8.8, 3.3))
for step, color in zip(MOMENTS, EARLY_TO_LATE):
    panels[0].plot(AWAY, on_v_guided[step], color=color, label=f"step {step:,}")
    for axes, which in zip(panels[1:], range(2)):
        each = [pair[which] for pair in leanings[step]]
        axes.plot(AWAY, [one.preference for one in each], color=color)
        axes.fill_between(AWAY, [one.low for one in each], [one.high for one in each],
                          color=color, alpha=0.15, lw=0)
panels[0].set(ylabel="loss on 64 images of V")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center",
              ncols=3)
panels[1].set(ylabel="preference, A over B")
panels[2].set(ylabel="preference, A and B over others")
for axes in panels:
    axes.axvline(0.5, color=NEUTRAL, lw=0.8, ls=":")
    axes.set(xlabel=r"share of B, $\theta$", xticks=[0, 0.5, 1, 1.5])
for axes in panels[1:]:
    axes.axhline(0.5, color=THEORY, lw=0.8)
panels[1].annotate("no memory", (1.5, 0.5), (0, 4), textcoords="offset points",
                   fontsize=8.5, ha="right");

# %% tags=["hide-input"]
print(" step theta   loss on V   A over B               A and B over others")
for step in MOMENTS:
    for place, weight in enumerate(AWAY):
        print(f"{step:5,}{weight:6.2f}{float(on_v_guided[step][place]):12.4f}"
              + "".join(f"   {one.preference:.3f} [{one.low:.3f}, {one.high:.3f}]"
                        for one in leanings[step][place]))

# %% tags=["remove-cell"]
half_way = AWAY.index(0.5)
assert all(int(each.argmin()) == half_way for each in on_v_guided.values())
assert all(leanings[step][half_way][0].low < 0.5 < leanings[step][half_way][0].high
           for step in MOMENTS)
of_both = {step: leanings[step][half_way][1] for step in MOMENTS}
assert of_both[1432].low < 0.5 < of_both[2400].low
assert all(pair[-1][0].preference < 0.4 for pair in leanings.values())
assert torch.isclose(mean_of_two.mean(), on_v_guided[1432][half_way], rtol=1e-3)
assert in_excess[1] > 0 and float(doubled.mean(1).max()) < mean_of_two.mean()
glue(doubled=doubled.mean(), in_excess=in_excess[0],
     in_excess_low=in_excess[1], in_excess_high=in_excess[2])
glue(alone=on_v_guided[1432][0], together=on_v_guided[1432][half_way],
     late_alone=on_v_guided[2400][0], late_together=on_v_guided[2400][half_way],
     both_1432=of_both[1432].preference, both_1432_low=of_both[1432].low,
     both_1432_high=of_both[1432].high, both_2400=of_both[2400].preference,
     both_2400_low=of_both[2400].low, both_2400_high=of_both[2400].high)

# %% [markdown]
# The mean of two is a remedy for the loss, here that on the first 64 images of V: at
# step 1,432, where A has nearly its least, it has {glue:text}`together:.4f` instead of
# {glue:text}`alone:.4f`, and at 2,400 {glue:text}`late_together:.4f` instead of
# {glue:text}`late_alone:.4f`. It halves what the data and the mixed part contribute to
# the variance; the seed, which both networks share, it leaves.
#
# But who has both blocks can train one network on them. On the same 64 images networks
# of 1,024 have {glue:text}`doubled:.4f` where their loss is least; the mean of two has
# {glue:text}`in_excess:.4f` more ({glue:text}`in_excess_low:.4f` to
# {glue:text}`in_excess_high:.4f`, 95 % over images). It helps who may not join the
# sets.
#
# For the leaning it is none to rely on. At step 1,432 the mean leans to its 1,024
# images by {glue:text}`both_1432:.3f` ({glue:text}`both_1432_low:.3f` to
# {glue:text}`both_1432_high:.3f`), which may be nothing.
#
# At 2,400 it is {glue:text}`both_2400:.3f` ({glue:text}`both_2400_low:.3f` to
# {glue:text}`both_2400_high:.3f`), which is not. And guidance away from A's excess is
# guidance toward B's: past the mean, A's samples go over to B's images, and the loss
# rises. No mixture rids them of both.
#
# (image-scale)=
# ## Would the papers' own networks lean as much?
#
# Not known here: they ask for days on a GPU, and none has been trained to the end. But
# they are runs of this book like the others, and a test takes each configuration
# through two steps. Bring `img_align_celeba.zip` and `cifar-10-binary.tar.gz` in a
# folder that the variable `NEARSIGHT_IMAGES` names, and call
#
# ```sh
# make reproduce RUN='images-celeba-*-paper' ARGS='--device cuda'
# make reproduce RUN='images-cifar-paper' ARGS='--device cuda'
# ```
#
# for the 15 networks of faces {cite:p}`garnierbrun2026biased`, on 1,024 images each,
# and the one of CIFAR-10 {cite:p}`kaiser2026generalize`. `images-32-*-gpu` are four
# networks like those of faces on clothes of 32 pixels, for which nothing must be
# brought. All can be stopped, and go on where they were.
#
# (image-faults)=
# ## What is wrong with the published experiment?
#
# As read from the released code.
#
# | fault | what we do |
# | --- | --- |
# | The two networks differ in data *and* seed: their distance mixes both, and its minimum is read as the onset. | A crossed layout, and its variances: {numref}`fig-components`. |
# | No interval or test on any argmin. | Flat minima by a paired test, joint deals, the jackknife over blocks, and all drawn anew: the table of clocks. |
# | No threshold says from where on a network is biased. | A margin of 0.05, stated beforehand, and 0 beside it. |
# | Samples share latents, so that they are no repetitions. | The unit of repetition is the block. |
# | Evaluation images are centered with another mean than training images. | One constant for all. |
# | The numbers of samples differ between text and scripts. | 1,024 of every network. |
# | The ratio test takes $0/0$ for not memorized, and copies within the training set hide copies from it. | $d_1 = 0$ counts as memorized; all images of the pool differ. |
#
# We are short of what one would wish in one place: what denoised images show of all
# networks is shown at three noise levels; at five for one pair.
#
# Our choices differ too: photographs of clothes at 16 × 16 for faces, another loss, a
# deterministic sampler, averaged weights. Agreement is claimed in direction and order,
# never in numbers.
#
# (image-questions)=
# ## What did readers ask?
#
# | question | answer |
# | --- | --- |
# | Is this just seed noise? | {numref}`fig-components`: half of the dip's depth is; its step and the rise are not. |
# | Is pixel distance meaningful? Could blur explain it? | {numref}`fig-spaces`: three spaces agree on the networks. |
# | Is it memorization under another name? | By the ratio test one sample of all is memorized, of 256 images: {ref}`the record <image-record>`. How much is single images: the curve in {doc}`05_two_halves`. |
# | Do averaged weights make the order, or the constant rate? | {numref}`fig-averaging`, {numref}`fig-rate`: no. |
# | Which test loss has its minimum there? | EDM's on V. On H, and with raw weights, see the table of clocks. |
# | Does it matter for privacy? | The areas of the attack in the record, of which {doc}`05_two_halves` says more. They bound leakage from below. |
# | Is it the mix of classes? | For a small part: the table of strata. |
# | Which remedy is cheap? | The mean of two networks, for the loss, if the sets cannot be joined: {numref}`fig-remedy`. For the leaning none. |
# | How many samples for which effect? | The joint deal of 1,024 samples from each network gives ± {glue:text}`deal_reach:.3f` at the least loss, the jackknife over four blocks ± {glue:text}`block_reach:.3f`: for other blocks, more blocks help, not more samples. |
# | Would networks of faces differ? | Not tried; {ref}`how to try <image-scale>`. All intervals here are over blocks, seeds or images of one set of photographs. |
# | Can I test my own model? | Yes, with samples of two models of disjoint halves: the cell under *Reuse this*. |
# | Would an exchange of images show copying? | {prf:ref}`thm-exchange`: not by itself. |
#
# ## Summary
#
# - No sample of a network of 512 images is memorized by the ratio, and all networks of
#   all sizes lean.
# - Onset comes before least loss for raw and for averaged weights, and with a falling
#   rate, of these networks.
#   For other blocks four of them show it without the margin, not with it.
# - The networks lean nearly alike in three spaces; generators that know moments of the
#   classes do not. Which of the two leans more depends on the space.
# - The data's variance, not told from 0 at first, rises to the end; the seed's dies
#   out; what data and seed do together is no smaller than the data's up to the least
#   loss. The seed deepens the published clock and does not date it.
# - Let go from noise below 1, images that were trained on end nearer to themselves than
#   unseen ones, from step 510 on.
# - Coarse and fine parts both go apart, on images of all blocks and of none.
# - Matched strata and exchanged images do not tell copying from statistics.
# - The mean of two networks of disjoint halves has less loss than each, early and late,
#   and more than one network of as many images as both; it is no cure for the leaning.
#
# ## Reuse this
#
# Does a preference come from the numbers of each kind in the two sets? The cell stands
# alone; `expected` is what these would give.

# %%
import torch
from nearsight.measures import own_other

generator = torch.Generator().manual_seed(0)
kinds = torch.randint(3, (400,), generator=generator)
data = 6.0 * kinds[:, None] + torch.randn(400, 16, generator=generator)  # yours
half, rest = torch.randperm(400, generator=generator).chunk(2)
noise = torch.randn(500, 16, generator=generator)  # shared latents
samples = [data[part][torch.arange(500) % 200] + 2 * noise for part in (half, rest)]
result = own_other(*samples, data[half], data[rest],
                   strata=torch.cat([kinds[half], kinds[rest]]))
print(f"preference {result.preference:.4f}, expected {result.expected:.4f}, "
      f"p = {result.p_value:.2g}")

# %% [markdown]
# ## Exercises
#
# 1. *Mean age.* Show that with the rate $(k + 1)/(k + 10)$ the weights of step $j$ have
#    a share that grows as $j^8$. What rate gives a mean age of $k/2$?
# 2. *Common error.* Prove {eq}`eq-common-error`'s first line. Why must the two networks
#    differ in both?
# 3. *Finer strata.* Let every image be a stratum of its own. What does the deal expect,
#    and what is left to test?
# 4. *Deeper.* {eq}`eq-exchange` holds on average over deals. Give a generator and one
#    deal for which the two sides differ as much as possible.
#
# ## Provenance
#
# The distances of pairs follow {cite:t}`garnierbrun2026biased`. Deal tests, moment
# ladder, strata, the split into three variances and {prf:ref}`thm-exchange` are our own
# here. All was computed when this page was built, except the networks of the record:

# %% tags=["remove-input"]
provenance(*(record for each in of_size.values() for record in each.values()),
           *annealed.values(), *filtered.values(), finer, released, remedied)
