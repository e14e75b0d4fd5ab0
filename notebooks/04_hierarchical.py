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
# # A grammar whose every answer is known
#
# When does a network that is still getting better on data it has not seen begin to lean
# on the data it has? On photographs the question has no clean answer, since nobody
# knows the best denoiser of photographs. So {cite:t}`garnierbrun2026biased` asked it on
# strings that a random grammar writes. Such strings hang together at several scales, as
# images do, and yet a short calculation, *belief propagation*, returns for any noisy
# string exactly what can be known of the clean one, and also what could be known by
# somebody who has understood its lower scales alone. This chapter builds it up from
# nothing, checks it against brute force, and holds networks against it while they
# learn. The [companion page](04b_hierarchical_deeper.py) has all else, and the whole
# record.
#
# Symbols are on the [notation page](../book/notation.md).
#
# On this page, $v$ is the weight of a token at a node of the tree, $Z$ the sum of the
# weights of all strings, and $V$ the variance of networks, in nats a string.

# %% tags=["hide-input"]
import torch
from matplotlib import pyplot as plt
from nearsight import records
from nearsight.measures import (
    divergence,
    mean_interval,
    oracle_losses,
    pair_divergences,
    string_preference,
)
from nearsight.noise import vp_sigmas
from nearsight.page import (
    HOLDOUT,
    LETTERS,
    LOSS,
    NEUTRAL,
    THEORY,
    TRAIN,
    beside,
    curve,
    dots,
    draw_strings,
    draw_tree,
    glue,
    moment,
    provenance,
    step_axis,
    use_style,
)
from nearsight.studies import find
from nearsight.studies.hierarchy import blocks_of, untrained
from nearsight.studies.hierarchy_measures import TIMES
from nearsight.studies.hierarchy_readings import (
    Family,
    clocks,
    committee_distance,
    distance_law,
    excess,
    fresh_split,
    grammatical,
    nearness,
    onset,
    other_draws,
    over_blocks,
    preference,
    split_classes,
)
from nearsight.studies.hierarchy_samples import TURNS
from nearsight.tree import Grammar
from torch.nn.functional import one_hot

use_style()
torch.set_num_threads(1)  # small arrays: a second thread would mostly wait
torch.set_default_dtype(torch.float64)  # exact laws are checked in double precision
generator = torch.Generator().manual_seed(3)  # all randomness of this chapter

# %% [markdown]
# ## A string and its tree
#
# The grammar has six tokens, here written as letters. A token can be replaced by a pair
# of tokens, by four rules each with its own probability. Start from one token, the
# *root*, each of the six equally likely, and replace all tokens by pairs, four times:
# the last 16 are the string. These are the rules of the first token:

# %%
grammar = Grammar.random()  # the published sizes: 6 tokens, 4 rules for each, 16 places
for left, right in grammar.transitions[0].nonzero().tolist():
    share = grammar.transitions[0, left, right]
    print(f"{LETTERS[0]} → {LETTERS[left]}{LETTERS[right]}   {share:.3f}")

# %% [markdown]
# Of the 36 pairs 24 have a parent, each of them just one, and 12 never occur. So a
# string has one tree: neighbors must form pairs, their parents must form pairs, up to
# the root.
#
# Noise is added to the *one-hot* string $y$, 16 × 6 entries that are 1 at the token of
# each place and 0 elsewhere: $x = y + \sigma\varepsilon$. The paper counts noise in
# steps $t$ of a chain of 500, at noise level $\sigma(t)$.

# %%
sigma_at = vp_sigmas().flip(0)  # sigma_at[t], t = 0 ... 500


def noisy(tokens, t):
    y = one_hot(tokens, 6).double()
    return y + sigma_at[t] * torch.randn(y.shape, generator=generator)


tokens = grammar.sample(1, generator)
truth = [*(level[0] for level in grammar.parse(tokens).parents), tokens[0]]

# %% [markdown]
# How much of the tree can be known from the noisy string? The picture answers for one
# string and three noise levels; how these certainties are computed comes next.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "One string with its tree, and what can be known of each node under noise: the most probable token, the more solid the surer; black rims are wrong. Little noise hides leaves that the tree restores; much noise takes the whole tree away.", "name": "fig-tree"}, "image": {"alt": "Four drawings of the same binary tree with sixteen leaves. The first shows the true tokens. In the others the discs fade as noise grows: at a tenth of the clock nearly all nodes are certain, at 0.3 nearly none.", "width": "100%"}}
figure, grid = plt.subplots(2, 2, figsize=(8.6, 5.4))
draw_tree(grid[0, 0], [one_hot(level, 6).double() for level in truth], truth)
grid[0, 0].set_title("the string and its tree")
for axes, t in zip(grid.flat[1:], (50, 75, 150)):
    nodes = grammar.denoiser().node_probabilities(noisy(tokens, t), float(sigma_at[t]))
    draw_tree(axes, [level[0] for level in nodes], truth)
    axes.set_title(f"$t/500 = {t / 500:g}$, $\\sigma = {sigma_at[t]:.2f}$")

# %% [markdown]
# ### Belief propagation
#
# What does a noisy string say? Consider one place $i$. The density of its six noisy
# numbers, if its token is the $k$-th, is proportional to $\exp(x_{ik}/\sigma^2)$: all
# one-hot vectors have the same length, so everything else in $|x_i - y_i|^2$ is the
# same for all six. By Bayes' rule the probability of a string $y$, given all of $x$, is
#
# $$
# \begin{aligned}
# \Pr(y \mid x) &= \frac1Z \Pr(y) \prod_i v_i(y_i), \qquad
# v_i(k) = e^{x_{ik}/\sigma^2}, \\
# Z &= \sum_y \Pr(y) \prod_i v_i(y_i).
# \end{aligned}
# $$ (eq-evidence)
#
# One could add up all strings. For two generations there are few enough.

# %%
small = Grammar.random(depth=2)
strings = small.strings()  # all that have a tree
y = one_hot(strings, 6).double()
x = y[100] + 0.5 * torch.randn(4, 6, generator=generator)
likelihoods = -(x - y).square().sum((1, 2)) / (2 * 0.5**2)  # their logarithms
posterior = (small.log_prob(strings) + likelihoods).softmax(0)
enumerated = torch.einsum("n,nia->ia", posterior, y)  # E[y | x]

# %% tags=["remove-input"]
glue(language=len(strings), billions=6 * 4.0**15 / 1e9)

# %% [markdown]
# There are {glue:text}`language:.0f` strings. With four generations there are
# {glue:text}`billions:.1f` billion, for every noisy string anew. The way out is that
# the sum has the shape of the tree. Write $v(k)$ for the total weight of all that can
# stand below a node whose token is the $k$-th. At a leaf it is $v_i(k)$. At any other
# node it is a sum over the rules of that token, of what its two children have found:
#
# $$
# v(k) = \sum_{i, j} \Pr(k \to ij)\; v_\text{left}(i)\; v_\text{right}(j).
# $$ (eq-up)
#
# At the root, $Z$ is the mean of $v$ over the six tokens. One pass from the leaves up
# has added up billions of strings.

# %%
def total_weight(grammar, evidence):
    """The sum Z over all strings, from the evidence [places, tokens]."""
    up = evidence
    while len(up) > 1:
        up = torch.einsum("kij,ni,nj->nk", grammar.transitions, up[0::2], up[1::2])
    return up.mean()


# %% [markdown]
# And the posterior? Raise $v_i(k)$ by one percent. All strings with this token at this
# place gain one percent, and $Z$ gains the share that they have of it, which is the
# probability that we look for:
#
# $$
# \Pr(y_{ik} = 1 \mid x) = \frac{\partial \ln Z}{\partial \ln v_i(k)} .
# $$ (eq-down)
#
# Automatic differentiation walks back from $Z$ to the leaves: a second pass, from the
# root down, that tells each node what the rest of the tree believes of it. The two
# passes are belief propagation {cite:p}`pearl1988probabilistic`.

# %%
log_evidence = (x / 0.5**2).requires_grad_()
log_weight = total_weight(small, log_evidence.exp()).log()
[by_gradient] = torch.autograd.grad(log_weight, log_evidence)
propagated = small.denoiser()(x[None], 0.5)[0]
print("largest difference from enumeration")
for name, found in (("by gradient", by_gradient), ("in the library", propagated)):
    print(f"{name:15}{(found - enumerated).abs().max():.10f}")

# %% tags=["remove-cell"]
for found in (by_gradient, propagated):
    assert (found - enumerated).abs().max() < 1e-12
assert len(strings) == 384

# %% [markdown]
# All agree to rounding. `grammar.denoiser()` does it in logarithms, at any noise level,
# with an exact 0 on what the grammar forbids, in some microseconds a string. The
# posterior probabilities of a one-hot string *are* its posterior mean, so this is the
# best denoiser $D(x, \sigma)$ of the language.
#
# ## Those who know less
#
# Let somebody forget how the string hangs together above a certain scale. They know how
# each of the $2^k$ nodes in generation $k$ depends on the root, *one by one*, and all
# rules below. In their world these nodes are independent once the root is given; belief
# propagation with that change of the top is their best denoiser, $\mathrm{BP}_k$.
# $\mathrm{BP}_0$ forgets nothing. $\mathrm{BP}_4$ knows of each place how often each
# token occurs there, given the root. And whoever knows nothing looks at $v_i$ alone: we
# call it *rounding*.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A noisy string at $t/500 = 0.15$ as four readers see it: the first of 2,000 strings in which each of them is right at more places than the one below. Discs as in the figure above; black rims are wrong.", "name": "fig-readers"}, "image": {"alt": "Five rows of sixteen discs: the true string, BP0, BP2, BP4, and rounding. Rounding is wrong at several places and unsure at others; with each step up more discs are solid and fewer have a black rim.", "width": "100%"}}
many = grammar.sample(2000, generator)
seen, sigma = noisy(many, 75), float(sigma_at[75])
readers = {rf"$\mathrm{{BP}}_{level}$": grammar.denoiser(level)(seen, sigma)
           for level in (0, 2, 4)}
readers["rounding"] = (seen / sigma**2).softmax(2)
right = torch.stack([(guess.argmax(2) == many).sum(1) for guess in readers.values()])
chosen = int((right.diff(dim=0) < 0).all(0).nonzero()[0])
rows = {"truth": one_hot(many, 6).double(), **readers}
figure, axes = plt.subplots(figsize=(8.6, 3.0))
drawn = [(name, guess[chosen]) for name, guess in rows.items()]
draw_strings(axes, drawn, many[chosen]);

# %% [markdown]
# How far a reader $D$ is from the truth we measure by
# $\mathrm{KL}(\mathrm{BP}_0 \,\|\, D)$, summed over the places of a string and averaged
# over strings: the nats that are lost by believing $D$. We call it $\mathrm{KL}_0$, and
# $\mathrm{KL}_k$ the distance from $\mathrm{BP}_k$ in its place.

# %%
def losses(grammar, x, sigma):
    """What is lost [N, depth + 1] with BP_1, BP_2, ..., and, last, with rounding."""
    exact = grammar.denoiser().log_probabilities(x, sigma)
    guesses = [grammar.denoiser(level).log_probabilities(x, sigma)
               for level in range(1, grammar.depth + 1)]
    guesses.append((x / sigma**2).log_softmax(2))
    return torch.stack([divergence(exact, guess) for guess in guesses], 1)


times = torch.tensor([5, 15, *range(25, 80, 5), 90, 100, 120, 150, 200, 250])
shallow = Grammar.random(depth=3)  # the grammar of the networks below
few_generations = shallow.sample(2000, generator)
lost = torch.stack([losses(grammar, noisy(many, t), sigma_at[t]) for t in times])
lost_3 = torch.stack([losses(shallow, noisy(few_generations, t), sigma_at[t])
                      for t in times])

# %% [markdown]
# Networks were trained on strings of three generations, 8 places: small transformers
# with {glue:text}`parameters:,` parameters that see a noisy string and its $t$, trained
# as published by the cross-entropy of the clean tokens. On record are networks on six
# disjoint blocks of $n = 300$ and of 500 strings, with two seeds on each, and four that
# never see a string twice, with averaged weights, on test strings of their own, and at
# $t/500 = 0.15$ unless said otherwise.

# %%
runs = [find("hierarchy-300-laptop"), find("hierarchy-500-laptop"),
        find("hierarchy-fresh-laptop")]
kept = [records.load(run) for run in runs]
few, more, fresh = (Family(record.results, run.config)
                    for record, run in zip(kept, runs))
families = {"$n = 300$": few, "$n = 500$": more, "fresh strings": fresh}
laws = {family: distance_law(shallow, blocks_of(family.config))
        for family in (few, more)}
drift = {family: nearness(family, laws[family]) for family in laws}
struck = {family: clocks(family, fresh, drift[family][1], generator)
          for family in (few, more)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What is lost by not knowing the upper scales, against noise (bands: 95 % intervals). Each scale matters in a window of noise. Left: the published grammar. Right: that of the networks; dotted, these at their least test loss, fresh ones in the end.", "name": "fig-levels"}, "image": {"alt": "Two panels of divergence against t/500 from 0 to 0.5, noise level above. Curves of BP1 to BP4 and rounding rise from near zero at 0.05 to peaks between 0.12 and 0.16 and fall again, the coarser the reader the higher. Dotted curves of networks of blocks lie between BP2 and BP3, that of fresh strings is near BP2.", "width": "100%"}}
SHADES = ["#041f4a", "#2171b5", "#6baed6", "#9ecae1"]  # BP_1, BP_2, ... and distances
LOOK = {"$n = 300$": HOLDOUT, "$n = 500$": "#009E73", "fresh strings": THEORY}


def show_levels(axes, values, levels):
    """Mean losses [T, N, depth + 1] against t, labels where they peak."""
    mean, reach = values.mean(1), 1.96 * values.std(1) / values.shape[1] ** 0.5
    names = [*(rf"$\mathrm{{BP}}_{level}$" for level in levels), "rounding"]
    for k, name in enumerate(names):
        shade = NEUTRAL if name == "rounding" else SHADES[k]
        low = (mean - reach)[:, k].clamp(min=1e-5)
        curve(axes, times / 500, mean[:, k], name, shade, low, (mean + reach)[:, k],
              at=-3, offset=(5, 7))
    axes.set(yscale="log", ylim=(5e-4, 10), xlim=(0, 0.5), xlabel="$t/500$")
    above = axes.secondary_xaxis("top")
    ticks = torch.tensor([25, 50, 75, 100, 150, 250])
    above.set_xticks(ticks / 500, [f"{level:.2g}" for level in sigma_at[ticks]])
    above.set_xlabel(r"noise level $\sigma$")


figure, (left, right_panel) = plt.subplots(1, 2, figsize=(8.6, 3.9), sharey=True)
show_levels(left, lost, (1, 2, 3, 4))
show_levels(right_panel, lost_3, (1, 2, 3))
left.set_ylabel(r"KL(BP$_0$ ‖ ·), nats a string")
at_best = {}
for name, family in families.items():
    place = (-1 if family is fresh else
             family.steps.tolist().index(struck[family]["level 0"].step))
    dotted = torch.stack([over_blocks(family.distance(0, time=k), family.labels)[0]
                          for k in range(len(TIMES))])[:, place]
    at_best[name] = float(dotted[TIMES.index(75)])
    right_panel.plot(torch.tensor(TIMES) / 500, dotted, "o:", ms=3.5, color=LOOK[name])
for at, (name, color) in zip((0.2, 0.3, 0.4), LOOK.items()):
    right_panel.text(at, 6, name, color=color, fontsize=9, va="center")

# %% tags=["remove-input"]
open_at = times[lost.mean(1)[:, 0] > lost.mean(1)[:, 0].max() / 10] / 500
peak, peak_3 = (times[values.mean(1).argmax(0)] / 500 for values in (lost, lost_3))
top_3 = lost_3.mean(1).amax(0)
assert 0.1 <= peak[0] <= 0.13 and 0.14 <= peak[3] <= 0.16
assert (lost.mean(1)[4:].diff(dim=1) > 0).all()
glue(parameters=sum(each.numel() for each in untrained(few.config).parameters()),
     opens=open_at[0], closes=open_at[-1], peak_1=peak[0], peak_4=peak[3],
     second=top_3[1], third=top_3[2],
     best_few=at_best["$n = 300$"], best_more=at_best["$n = 500$"],
     best_fresh=at_best["fresh strings"])

# %% [markdown]
# The top of the tree matters between {glue:text}`opens:.2f` and {glue:text}`closes:.2f`
# on this clock, where $\mathrm{BP}_1$ loses over a tenth of its most; its bump is
# highest at {glue:text}`peak_1:.2f`, that of $\mathrm{BP}_4$ at
# {glue:text}`peak_4:.2f`. With less noise rounding is all there is to do, with more
# nothing but frequencies is left.
#
# At their least test loss the networks are {glue:text}`best_few:.2f` and
# {glue:text}`best_more:.2f` nats from the truth at $t/500 = 0.15$, where
# $\mathrm{BP}_2$ loses {glue:text}`second:.2f` and $\mathrm{BP}_3$
# {glue:text}`third:.2f`. They have learned one scale beyond the coarsest, not the
# grammar.
#
# More data bring them nearer; those that always get new strings are at
# {glue:text}`best_fresh:.2f` when the record ends.
#
# ## The approach
#
# First a miniature, live: five networks, two generations, 60 steps.

# %%
run = find("hierarchy-smoke")
live, smoke = records.compute(run), records.load(run)
beside(records.compare(smoke, live))

# %% tags=["hide-input"]
print("step     distance to BP_0      divergence of networks of two blocks")
print("         now    recorded       now    recorded")
for now, then in zip(live.stages, smoke.results.stages):
    values = [Family(results, run.config) for results in (live, smoke.results)]
    shown = [float(stage.arrays["distance"][2, :4, 0].mean()) for stage in (now, then)]
    apart = [float(stage.arrays["split"][2, 0, 3]) for stage in (now, then)]
    print(f"{now.step:4}   {shown[0]:5.3f}   {shown[1]:7.3f}   {apart[0]:9.3f}   "
          f"{apart[1]:7.3f}")

# %% [markdown]
# Now the recorded families. At each checkpoint every network is compared with every
# oracle, and those of different blocks and seeds with each other:
# $\mathrm{KL}_\text{split}$ is the mean of $\mathrm{KL}(D_A \,\|\, D_B)$ over such
# pairs. The paper's clock of *biased generalization* is the step at which this is
# least: from there on, networks that see other data go other ways, though their test
# loss still falls. Three controls decide what it means. Networks that never see a
# string twice can lean on none. The seed has its own section below. And a learner who
# knows *which* rules there are, and counts in the trees of a block how often each is
# used, says how much a block can teach:

# %%
test_strings = shallow.sample(4000, generator)
hidden = noisy(test_strings, 75)
exact = shallow.denoiser().log_probabilities(hidden, sigma)
counted = {}
for family in (few, more):
    learners = [shallow.counted(block) for block in blocks_of(family.config)]
    logs = torch.stack([learner.denoiser().log_probabilities(hidden, sigma)
                        for learner in learners])
    counted[family] = (divergence(exact, logs).mean(),
                       pair_divergences(logs).sum() / (len(logs) * (len(logs) - 1)))

# %% [markdown]
# A clock is the argmin of a noisy curve: it has an interval, from resampled blocks with
# all that was trained on them, and counts from the checkpoint on at which networks are
# nearest to the coarsest oracle. Before, they differ because they know nothing.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Above: distance of networks to each oracle. Below: divergence of networks of other block and other seed. Both on test strings; dotted: networks of fresh strings; dash-dotted: counting learners. The split is least long before the test loss. Bands: 95 %.", "name": "fig-approach"}, "image": {"alt": "Four panels against training steps for n = 300 and 500. The distance to BP3 is least near step 400, that to BP2 near 2,000, that to BP0 last. The divergence of networks falls to a plateau near step 400, rises, dips once more, and grows; that of networks of fresh strings stays below.", "width": "100%"}}
CLOCKS = {"split": ("split", "#9A6A00"), "nearest": ("nearest", "#7B3294"),
          "level 0": ("test", LOSS)}
LABELED = ((-1, (4, 7)), (-1, (4, -3)), (8, (0, -9)), (-1, (4, 5)))  # where, by level


def show_clocks(axes, family, names=("split", "level 0"), height=1.0):
    """The clocks of a family as dashed lines with bands."""
    for name in names:
        clock, (text, color) = struck[family][name], CLOCKS[name]
        moment(axes, clock.step, clock.low, clock.high, color, text, height)


def show_estimate(axes, steps, estimate, label, color, **line):
    """A curve with a band of two standard errors."""
    reach = 2 * estimate.error
    curve(axes, steps, estimate.value, label, color, estimate.value - reach,
          estimate.value + reach, **line)


figure, grid = plt.subplots(2, 2, figsize=(8.6, 6.2), sharex=True, sharey="row")
for (upper, lower), (name, family) in zip(grid.T, list(families.items())[:2]):
    for level, color in reversed(list(enumerate(SHADES))):
        middle, low, high = over_blocks(family.distance(level), family.labels)
        text = rf"$\mathrm{{KL}}_{level}$"
        curve(upper, family.steps, middle, text, color, low, high, *LABELED[level])
    upper.plot(fresh.steps, over_blocks(fresh.distance(0), fresh.labels)[0],
               color=THEORY, lw=1, ls=":")
    upper.axhline(counted[family][0], color=NEUTRAL, lw=1, ls="-.")
    raw = split_classes(family, "split/raw").both_difference.value
    curve(lower, family.steps, raw, "raw", HOLDOUT, at=3, offset=(-4, 10), lw=0.7,
          alpha=0.5)
    show_estimate(lower, family.steps, split_classes(family).both_difference,
                  r"$\mathrm{KL}_\mathrm{split}$", HOLDOUT)
    show_estimate(lower, fresh.steps, fresh_split(fresh), "fresh", THEORY, ls=":")
    lower.axhline(counted[family][1], color=NEUTRAL, lw=1, ls="-.")
    for axes, level in ((upper, 0), (lower, 1)):
        axes.text(22, 1.1 * counted[family][level], "counting", color=NEUTRAL,
                  fontsize=8.5, va="bottom")
        show_clocks(axes, family)
    upper.set(yscale="log", title=name)
    lower.set_yscale("log")
    step_axis(upper, label="")
    step_axis(lower)
grid[0, 0].set_ylabel("distance to oracles, nats")
grid[1, 0].set_ylabel("between networks, nats");

# %% tags=["hide-input"]
ORDER = ("level 3", "split", "excess", "nearest", "level 2", "level 1", "level 0",
         "entropy")
print("clock       n = 300                 before test   n = 500"
      "                 before test")
for clock in ORDER:
    line = f"{clock:9}"
    for family in (few, more):
        each, test = struck[family][clock], struck[family]["level 0"]
        place = f"{each.step:,} [{each.low:,}, {each.high:,}]"
        line += f"   {place:23}" + (f"{each.before(test):9.3f}  " if each is not test
                                   else " " * 11)
    print(line.rstrip())

# %% tags=["remove-cell"]
def value_at(values, family, step):
    """A curve [S] at one checkpoint."""
    return float(values[family.steps.tolist().index(step)])


for name, family in (("few", few), ("more", more)):
    beyond = excess(family, fresh)
    reach = 2 * beyond.error
    split_step, test_step = (struck[family][at].step for at in ("split", "level 0"))
    at_split, at_test = (value_at(beyond.value, family, step)
                         for step in (split_step, test_step))
    glue(**{f"{name}_split_step": split_step, f"{name}_test_step": test_step,
            f"{name}_excess_split": at_split, f"{name}_excess_test": at_test,
            f"{name}_excess_split_error": value_at(reach, family, split_step),
            f"{name}_excess_test_error": value_at(reach, family, test_step),
            f"{name}_second": struck[family]["level 2"].step})
    assert struck[family]["split"].before(struck[family]["level 0"]) == 1
    assert struck[family]["split"].first
    assert struck[family]["level 2"].before(struck[family]["level 0"]) > 0.95
    assert at_split > 1.5 * value_at(reach, family, split_step)
alone = fresh_split(fresh)
glue(alone_least=alone.value.min(), alone_end=alone.value[-1],
     alone_step=fresh.steps[alone.value.argmin()], counted_few=counted[few][0],
     counted_split=counted[few][1])

# %% [markdown]
# *One scale is learned, and little more.* Networks first approach $\mathrm{BP}_3$, then
# leave it and pass by $\mathrm{BP}_2$, nearest at step {glue:text}`few_second:,.0f` of
# $n = 300$ and {glue:text}`more_second:,.0f` of 500; last come $\mathrm{KL}_1$ and
# $\mathrm{KL}_0$, which these checkpoints do not tell apart.
#
# *The split strikes first*, in all resamples. (After a peak, while the next scale is
# learned, it has a second, higher minimum; we mean the first.) But it sits on the
# plateau where networks are nearest to $\mathrm{BP}_3$, on the first checkpoint that is
# admitted, and networks of fresh strings have such a minimum as well: they are
# {glue:text}`alone_least:.3f` nats apart at step {glue:text}`alone_step:,.0f` and
# {glue:text}`alone_end:.3f` in the end. For a minimum no block has to be finite. The
# evidence is the *excess* over fresh strings, at the same step (± two standard errors):
#
# | | at the split clock | at the test clock |
# | --- | --- | --- |
# | $n = 300$ | {glue:text}`few_excess_split:.2f` ± {glue:text}`few_excess_split_error:.2f` | {glue:text}`few_excess_test:.2f` ± {glue:text}`few_excess_test_error:.2f` |
# | $n = 500$ | {glue:text}`more_excess_split:.2f` ± {glue:text}`more_excess_split_error:.2f` | {glue:text}`more_excess_test:.2f` ± {glue:text}`more_excess_test_error:.2f` |
#
# It is not 0 even where it is least. And it is the *network* that makes it, not a block
# too small: the counting learner is {glue:text}`counted_few:.3f` nats from the truth
# with 300 strings, and two of them {glue:text}`counted_split:.3f` from each other.
#
# ## What splits networks
#
# A pair can differ in its data, in its seed, or in both; the seed fixes the first
# weights, and every network draws its own batches and noise. Pairs that differ in both
# are farther apart than pairs of one block, by twice the variance $V$ that the data
# make. From which step on does it stay above 0.05 nats, by two standard errors?

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Divergence of networks by what a pair has in common, and the variance $V$ that the data make. The first descent is that of the first weights: pairs that share them have none. Later the block decides. Bands: two standard errors over blocks.", "name": "fig-splitting"}, "image": {"alt": "Two panels of divergence against training steps by class of pair, and one of the variance of the data. Pairs with other first weights fall from 0.7, pairs with the same rise from 0.1; from step 1,000 pairs of other blocks go apart together, pairs of one block stay low.", "width": "100%"}}
CLASSES = {"both": (HOLDOUT, "-", "other block, other seed"),
           "data": (TRAIN, "-", "other block, same seed"),
           "seed": ("#009E73", "--", "same block, other seed")}
figure, panels = plt.subplots(1, 3, figsize=(8.6, 3.9))
onsets = {}
for axes, (name, family) in zip(panels, list(families.items())[:2]):
    classes = split_classes(family)
    for kind, (color, style, text) in CLASSES.items():
        estimate = getattr(classes, f"{kind}_difference")
        show_estimate(axes, family.steps, estimate, "", color, ls=style)
        axes.plot([], [], color=color, ls=style, label=text)
    show_estimate(axes, fresh.steps, fresh_split(fresh), "", THEORY, ls=":")
    axes.set(title=name, ylim=(0, 1.05))
    onsets[family] = onset(family, classes.data_variance)
    show_estimate(panels[2], family.steps, classes.data_variance, name, LOOK[name])
redrawn, *_ = other_draws(few)
panels[0].plot(few.steps, redrawn, color="#CC79A7", lw=1.2, ls="-.",
               label="same block and seed, other draws")
panels[0].plot([], [], color=THEORY, ls=":", label="fresh strings")
panels[2].axhline(0.05, color=NEUTRAL, lw=0.8, ls=":")
panels[2].axhline(0, color=NEUTRAL, lw=0.8)
panels[2].set_title("$V$ of the data")
for axes in panels:
    step_axis(axes)
for axes, family in zip(panels, (few, more)):
    show_clocks(axes, family)
panels[0].set_ylabel("between networks, nats")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center",
              ncols=3);

# %% tags=["remove-cell"]
for name, family in (("few", few), ("more", more)):
    classes, test_step = split_classes(family), struck[family]["level 0"].step
    apart = {kind: getattr(classes, f"{kind}_difference").value for kind in CLASSES}
    glue(**{f"{name}_{kind}_{when}": value_at(apart[kind], family, step)
            for kind in CLASSES for when, step in (("first", 20), ("test", test_step))})
    glue(**{f"{name}_onset": onsets[family],
            f"{name}_alone": value_at(alone.value, fresh, test_step)})
    assert onsets[family] < test_step
glue(draws_test=value_at(redrawn, few, struck[few]["level 0"].step))

# %% [markdown]
# With the same first weights networks of other blocks start at
# {glue:text}`few_data_first:.2f`, with other ones at {glue:text}`few_both_first:.2f`:
# *the first descent is the first weights being forgotten*, whatever the data. Later the
# block decides: pairs that share it stay near the fresh strings for a thousand steps,
# others go apart with and without a common seed. At the test clock:
#
# | nats apart | $n = 300$ | $n = 500$ |
# | --- | --- | --- |
# | other block, other seed | {glue:text}`few_both_test:.2f` | {glue:text}`more_both_test:.2f` |
# | other block, same seed | {glue:text}`few_data_test:.2f` | {glue:text}`more_data_test:.2f` |
# | same block, other seed | {glue:text}`few_seed_test:.2f` | {glue:text}`more_seed_test:.2f` |
# | same block and seed, other draws | {glue:text}`draws_test:.2f` | |
# | fresh strings | {glue:text}`few_alone:.2f` | {glue:text}`more_alone:.2f` |
#
# The variance of the data stays above 0.05 nats from step {glue:text}`few_onset:,.0f`
# on with 300 strings, from {glue:text}`more_onset:,.0f` on with 500, long before the
# test loss is least.
#
# ## Generalizing and leaning at once
#
# On a given string the loss of a network $D$ has two parts,
#
# $$
# -y \cdot \ln D = \underbrace{-\mathrm{BP}_0 \cdot \ln D}_{\text{known}}
# \; \underbrace{-\,(y - \mathrm{BP}_0) \cdot \ln D}_{\text{leaning}} ,
# $$ (eq-known-leaning)
#
# what it would lose on average, given the noisy string, and what the string that is
# behind it happens to add. On strings that the network has not seen, the second part is
# 0 on average *whatever the network does*. Below 0, on the own block, it says that the
# network knows which string it was. We subtract both parts of $\mathrm{BP}_0$ itself,
# on the same strings and noise.

# %%
def leaning_of_counting(block, draws=8):
    """Leaning on the own block beyond BP_0's, nats a token, at uniform times."""
    own, times_of = block.repeat(draws, 1), (len(block) * draws,)
    levels = sigma_at[torch.randint(1, 501, times_of, generator=generator)]
    x = one_hot(own, 6) + levels[:, None, None] * torch.randn(
        *own.shape, 6, generator=generator)
    exact, learned = (each.denoiser().log_probabilities(x, levels)
                      for each in (shallow, shallow.counted(block)))
    mine, its = (oracle_losses(each, exact.exp(), own).leaning.mean()
                 for each in (learned, exact))
    return mine - its


counting_leans = {family: torch.stack([leaning_of_counting(block) for block in
                                       blocks_of(family.config)]) for family in laws}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The two parts of the loss beyond those of $\\mathrm{BP}_0$, at uniform times, on test strings and on the own block. Between the two clocks both fall on the own block. Counting learners lean less. Bands: 95 % over blocks.", "name": "fig-known-leaning"}, "image": {"alt": "Four panels against training steps for n = 300 and 500. The known part falls for test and own strings alike. The leaning part stays near zero on test strings and falls below minus 0.01 on the own block, below the line of counting learners.", "width": "100%"}}
def parts(family, name, part, time=-1):
    """Known (0) or leaning (1) beyond BP_0's [S, M], on test or own strings."""
    count = len(family.labels)
    if name == "own":
        values = family.curve("losses/own")[:, time, :count, :, part]
        return values[:, :, 0] - values[:, :, 1]
    values = family.curve(f"losses/{name}", time)[..., part]
    return values[:, :count] - values[:, -1:]


figure, grid = plt.subplots(2, 2, figsize=(8.6, 5.4), sharex=True, sharey="row")
for pair, (name, family) in zip(grid.T, list(families.items())[:2]):
    for part, axes in enumerate(pair):
        for where, color, aside in (("test", HOLDOUT, 5), ("own", TRAIN, -5)):
            middle, low, high = over_blocks(parts(family, where, part), family.labels)
            curve(axes, family.steps, middle, where, color, low, high,
                  offset=(4, aside))
        step_axis(axes, label="training step" if part else "")
        show_clocks(axes, family)
    mean = float(counting_leans[family].mean())
    pair[1].axhline(mean, color=NEUTRAL, lw=1, ls="-.")
    pair[1].text(22, mean, "counting", color=NEUTRAL, fontsize=8.5, va="top")
    pair[1].axhline(0, color=NEUTRAL, lw=0.8)
    pair[0].set(yscale="log", title=name)
    pair[1].set_yscale("symlog", linthresh=0.01)
for axes, ticks in zip(grid[:, 0], ([0.02, 0.05, 0.1, 0.2], [-0.03, -0.01, 0, 0.01])):
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
grid[0, 0].set_ylabel("known, nats a token")
grid[1, 0].set_ylabel("leaning, nats a token");

# %% tags=["remove-cell"]
glue(tests=few.config.counts.uniform)
for name, family in (("few", few), ("more", more)):
    own, test = (parts(family, where, 1).mean(1) for where in ("own", "test"))
    split_step, test_step = (struck[family][at].step for at in ("split", "level 0"))
    known = parts(family, "own", 0).mean(1)
    glue(**{f"{name}_own_split": value_at(own, family, split_step),
            f"{name}_own_test": value_at(own, family, test_step),
            f"{name}_own_end": own[-1],
            f"{name}_test_leaning": test.abs().max(),
            f"{name}_counting_leans": counting_leans[family].mean()})
    assert value_at(known, family, test_step) < value_at(known, family, split_step)
    assert value_at(own, family, test_step) < value_at(own, family, split_step)
    assert value_at(own, family, split_step) < 2 * counting_leans[family].mean()

# %% [markdown]
# Both parts fall on the own block between the two clocks: *the network generalizes and
# leans at once*. In nats a token:
#
# | leaning on the own block | $n = 300$ | $n = 500$ |
# | --- | --- | --- |
# | at the split clock | {glue:text}`few_own_split:.4f` | {glue:text}`more_own_split:.4f` |
# | at the test clock | {glue:text}`few_own_test:.4f` | {glue:text}`more_own_test:.4f` |
# | in the end | {glue:text}`few_own_end:.4f` | {glue:text}`more_own_end:.4f` |
# | of counting learners | {glue:text}`few_counting_leans:.4f` | {glue:text}`more_counting_leans:.4f` |
#
# Whoever learns from a block leans, counting learners as well. A network leans several
# times as much, and in good part before the split clock, while it learns which tokens
# are frequent. (On test strings the second part is at most
# {glue:text}`few_test_leaning:.4f` away from 0, by the chance of the
# {glue:text}`tests:,` strings that all networks share.)
#
# ## Samples drift
#
# Do samples come near the block? Strings of 8 tokens are often near by themselves: to
# 500 strings of this language a fresh one has a mean distance of
# {glue:text}`fresh_distance:.2f` places, and {glue:text}`fresh_copies:.0f` % of fresh
# strings are copies. So copies prove nothing here. The published measure
# $\mathrm{KL}_\text{NN}$ is the divergence of the law of samples' distances from that
# of fresh strings, which we know exactly. It has no sign; the difference of means
# stands beside it. The third panel asks whose block it is: in how many comparisons a
# sample is nearer to the own block than to another, ties counted half, against deals of
# all strings into new blocks.

# %% tags=["remove-input"]
glue(fresh_distance=(laws[more] @ torch.arange(9.0)).mean(),
     fresh_copies=100 * laws[more][:, 0].mean())

# %%
asked = {family: family.sampled[family.sampled >= 300].tolist() for family in laws}
preferred = {family: [preference(family, step, generator) for step in asked[family]]
             for family in laws}
counting_prefers = {}
for family in laws:
    drawn_by = {(index, 0): shallow.counted(block).sample(4096, generator)
                for index, block in enumerate(blocks_of(family.config))}
    counting_prefers[family] = string_preference(drawn_by, blocks_of(family.config),
                                                 generator, relabelings=100)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left, middle: distances of samples to the nearest string, compared with the exact law of fresh strings. Right: preference for the own block (bands: deals), above ½ before samples are near. Dashed: least test loss.", "name": "fig-drift"}, "image": {"alt": "Three panels against training steps. The mean shift of distances falls from 0.8 towards zero, below it for n = 300; the divergence falls and levels off; the preference for the own block rises above one half, further for n = 300, while that of counting learners stays at one half.", "width": "100%"}}
drift[fresh] = nearness(fresh, laws[more])
figure, panels = plt.subplots(1, 3, figsize=(8.6, 3.9))
for (name, color), family in zip(LOOK.items(), (few, more, fresh)):
    late = family.sampled >= 300
    for axes, values in zip(panels, drift[family]):
        middle, low, high = (each[late] for each in mean_interval(values.T))
        curve(axes, family.sampled[late], middle, "", color, low, high)
    panels[0].plot([], [], color=color, label=name)
for color, family in zip(LOOK.values(), (few, more)):
    values = torch.tensor([each.preference for each in preferred[family]])
    spread = torch.tensor([each.deal.variance**0.5 / each.count
                           for each in preferred[family]])
    curve(panels[2], torch.tensor(asked[family]), values, "", color,
          values - 2 * spread, values + 2 * spread)
    level = counting_prefers[family].preference
    panels[2].axhline(level, color=color, lw=1, ls="-.")
panels[1].axhspan(1e-4, 8 / 2 / 4096, color=NEUTRAL, alpha=0.2, lw=0)
panels[1].text(400, 8 / 2 / 4096, "floor", color=NEUTRAL, fontsize=8.5, va="bottom")
panels[0].axhline(0, color=THEORY, lw=1, ls=":", label="no memory")
panels[2].axhline(0.5, color=THEORY, lw=1, ls=":")
panels[0].plot([], [], color=NEUTRAL, ls="-.", label="counting")
panels[1].set_yscale("log")
for axes, title in zip(panels, ("shift of the distance", r"KL$_\mathrm{NN}$",
                                "preference for the own block")):
    axes.set_title(title)
    step_axis(axes, (400, 1000, 2000, 4000, 8000))
    for color, family in zip(LOOK.values(), (few, more)):
        axes.axvline(struck[family]["level 0"].step, color=color, lw=0.8, ls="--")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center",
              ncols=5);

# %% tags=["remove-cell"]
for name, family in (("few", few), ("more", more)):
    shift, apart = (values.mean(1) for values in drift[family])
    made = family.sampled.tolist()
    test_at, nearest_at = (made.index(struck[family][clock].step)
                           for clock in ("level 0", "nearest"))
    prefers = dict(zip(asked[family], preferred[family]))
    test_clock = struck[family]["level 0"]
    first, at_test = prefers[asked[family][0]], prefers[test_clock.step]
    glue(**{f"{name}_shift_test": shift[test_at], f"{name}_shift_end": shift[-1],
            f"{name}_nearest_step": struck[family]["nearest"].step,
            f"{name}_apart": apart[nearest_at], f"{name}_prefers": at_test.preference,
            f"{name}_prefers_first": first.preference,
            f"{name}_prefers_end": preferred[family][-1].preference,
            f"{name}_counting_prefers": counting_prefers[family].preference,
            f"{name}_before": struck[family]["nearest"].before(test_clock)})
    assert all(each.deal.p_value < 1 / 200 for each in preferred[family])
    assert counting_prefers[family].preference - 0.5 < (at_test.preference - 0.5) / 4
glue(asked_first=asked[few][0])

# %% [markdown]
# *Samples lean, and early.* At every checkpoint they prefer their own block more than
# in any of 200 deals:
#
# | preference | $n = 300$ | $n = 500$ |
# | --- | --- | --- |
# | at step {glue:text}`asked_first:.0f` | {glue:text}`few_prefers_first:.3f` | {glue:text}`more_prefers_first:.3f` |
# | at the test clock | {glue:text}`few_prefers:.3f` | {glue:text}`more_prefers:.3f` |
# | in the end | {glue:text}`few_prefers_end:.3f` | {glue:text}`more_prefers_end:.3f` |
# | counting learners | {glue:text}`few_counting_prefers:.3f` | {glue:text}`more_counting_prefers:.3f` |
#
# *The published measure mixes two things.* Early samples lie too far from any block,
# with and without training on it, since whoever is no grammarian writes strings like no
# other. They move in as grammar comes, and those of a block go on: their shift is
# {glue:text}`few_shift_test:.2f` at the test clock of $n = 300$ and
# {glue:text}`few_shift_end:.2f` in the end. $\mathrm{KL}_\text{NN}$ is least where too
# far turns into too near, before the test clock in {glue:text}`few_before:.2f`
# ($n = 300$) and {glue:text}`more_before:.2f` of the resamples: the published order
# does not come out.
#
# ## The price of stopping

#
# What would it cost to stop at one of the clocks, and what else could one do? Beside
# averaged weights stand raw ones, and committees of two networks of different blocks,
# whose $\ln D$ is the mean of both, and whose own block is both together.

# %% tags=["hide-input"]
def at_clocks(family):
    """{clock: (its step, the checkpoint with samples that is nearest to it)}."""
    moments = {name: struck[family][name].step for name in CLOCKS}
    moments["end"] = int(family.steps[-1])
    made = family.sampled.double().log()
    nearest = {name: int((made - torch.tensor(step).log()).abs().argmin())
               for name, step in moments.items()}
    return {name: (step, int(family.sampled[nearest[name]]))
            for name, step in moments.items()}


def price(family, kind, step, made):
    """Distance to BP_0, share of samples in the language, and their preference."""
    place = family.steps.tolist().index(step)
    distance = {"averaged": family.distance(0), "committee": committee_distance(family),
                "raw": family.distance(0, "distance/raw")}[kind][place].mean()
    whole = grammatical(family, made, kind)[:, 0].mean()
    return distance, whole, preference(family, made, generator, kind).preference


# %% tags=["hide-input"]
print(f"{'':16}averaged weights      raw weights           committee of two")
print(f"{'':16}" + "KL_0  whole  own      " * 3)
prices = {}
for name, family in list(families.items())[:2]:
    for clock, (step, made) in at_clocks(family).items():
        cells = []
        for kind in ("averaged", "raw", "committee"):
            prices[family, clock, kind] = price(family, kind, step, made)
            cells.append("{:.3f} {:5.1%} {:.3f}".format(*prices[family, clock, kind]))
        text = {**{key: value[0] for key, value in CLOCKS.items()}, "end": "end"}[clock]
        print(f"{name[1:-1]:8}{text:8}" + "   ".join(cells))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: averaged weights and committees of two come nearer, fresh strings most. Middle: shares in the language hardly differ. Right: tokens that return from U-turns, as a ratio to the exact chain: the own block returns better.", "name": "fig-price"}, "image": {"alt": "Three panels. Distance to BP0 and share of samples in the language against training steps for averaged weights, raw weights and committees of two; committees are best. Ratios of returned tokens against t/500 fall below one from 0.08 on, less for strings of the own block.", "width": "100%"}}
figure, panels = plt.subplots(1, 3, figsize=(8.6, 3.9))
KINDS = {"averaged": dict(lw=1.8), "raw": dict(lw=0.7),
         "committee": dict(lw=1.3, ls="--")}
for name, family in list(families.items())[:2]:
    curves = {"averaged": family.distance(0), "raw": family.distance(0, "distance/raw"),
              "committee": committee_distance(family)}
    for kind, line in KINDS.items():
        panels[0].plot(family.steps, curves[kind].mean(1), color=LOOK[name],
                       label=f"{name}, {kind}", **line)
        whole = torch.stack([grammatical(family, step, kind)[:, 0].mean()
                             for step in family.sampled.tolist()])
        panels[1].plot(family.sampled, whole, color=LOOK[name], **line)
    made = family.sampled.tolist().index(at_clocks(family)["level 0"][1])
    returned = family.curve("returned")[made]  # [networks, test or own, times, 4]
    for start, line, text in ((0, "-", "test"), (1, "--", "own")):
        values = mean_interval(returned[:, start, :, 2])
        dots(panels[2], torch.tensor(TURNS) / 500, values, LOOK[name], fmt="o" + line)
        if family is more:
            panels[2].annotate(text, (0.12, float(values[0][-1])), (6, 0), va="center",
                               textcoords="offset points", fontsize=9)
panels[0].plot(fresh.steps, fresh.distance(0).mean(1), color=THEORY, ls=":", lw=1,
               label="fresh strings, averaged")
panels[1].plot(fresh.sampled, torch.stack(
    [grammatical(fresh, step)[:, 0].mean() for step in fresh.sampled.tolist()]),
    color=THEORY, ls=":", lw=1)
panels[0].set(yscale="log", title="distance to BP$_0$, nats")
panels[0].set_yticks([0.5, 1, 2, 5], ["0.5", "1", "2", "5"])
panels[0].set_yticks([], minor=True)
panels[1].set(title="share in the language", ylim=(0, 1))
panels[2].set(title="returned, model / exact", xlabel="$t/500$", xlim=(0, 0.135))
panels[2].axhline(1, color=NEUTRAL, lw=0.8)
for axes in panels[:2]:
    step_axis(axes)
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center",
              ncols=3);

# %% tags=["remove-cell"]
for name, family in (("few", few), ("more", more)):
    for clock, text in (("split", "split"), ("level 0", "test")):
        for kind in KINDS:
            values = prices[family, clock, kind]
            glue(**{f"{name}_{text}_{kind}_distance": values[0],
                    f"{name}_{text}_{kind}_whole": 100 * values[1],
                    f"{name}_{text}_{kind}_own": values[2]})
    assert (prices[family, "level 0", "committee"][0]
            < prices[family, "level 0", "averaged"][0]
            < prices[family, "level 0", "raw"][0])
    own = {kind: prices[family, "level 0", kind][2] for kind in KINDS}
    assert own["committee"] < own["averaged"]

# %% [markdown]
# ("Whole": share of samples in the language; "own": preference; both at the nearest
# checkpoint with samples.) Stopping at the split clock is no remedy: a network is then
# {glue:text}`few_split_averaged_distance:.2f` nats from the truth, farther than
# $\mathrm{BP}_3$, and {glue:text}`few_split_averaged_whole:.0f` % of its strings are of
# the language. At the test clock it is {glue:text}`few_test_averaged_whole:.0f` %, at a
# preference of {glue:text}`few_test_averaged_own:.3f`.
#
# Averaging does more. Averaged weights are {glue:text}`few_test_averaged_distance:.2f`
# nats from the truth where raw ones are {glue:text}`few_test_raw_distance:.2f`; a
# committee of two comes to {glue:text}`few_test_committee_distance:.2f`, with a
# preference of {glue:text}`few_test_committee_own:.3f`. Noised and brought back,
# strings of the own block return better than others.
#
# ## Summary
#
# - On strings of a tree grammar the best denoiser, and that of whoever knows the lower
#   scales alone, takes two passes over the tree. Each scale matters in a window of
#   noise.
# - Networks on 300 and 500 strings learn one scale beyond single tokens. Those that see
#   other blocks are nearest to each other long before their test loss is least, in all
#   resamples of the blocks.
# - That minimum proves nothing by itself: networks that never see a string twice have
#   one as well, and the descent before it is that of the first weights. The excess over
#   them is evidence. It is there as soon as single tokens are learned, and grows.
# - Until the test loss is least, networks generalize and lean at once, several times as
#   much as counting learners do, and their samples lean with them.
# - Distances to the block cannot say so, as samples come from too far. Whose block it
#   is can.
# - Stopping at the split's minimum buys little and costs nearly all; averaging weights
#   or networks buys more. Other depths, sizes and widths are open here.
#
# ## Reuse this
#
# Strings of yours, integers in rows, from one source: do the samples of two models lean
# toward the half that each was trained on? Equal distances count half. The cell stands
# alone.

# %%
import torch
from nearsight.measures import string_preference
from nearsight.tree import Grammar

generator = torch.Generator().manual_seed(0)
grammar = Grammar.random(depth=3)
strings = grammar.sample(1000, generator)  # yours: integers [N, places], one source
order = torch.randperm(len(strings), generator=generator)  # halves at random
blocks = strings[order].unflatten(0, (2, 500))
samples = {}
for block in (0, 1):  # yours: what a model makes that was trained on blocks[block]
    copied, new = blocks[block, :50], grammar.sample(950, generator)
    samples[block, 0] = torch.cat([copied, new])
found = string_preference(samples, blocks, generator, relabelings=500)
print(f"preference {found.preference:.4f}, p = {found.deal.p_value:.3f}, "
      f"{found.ties / found.count:.0%} ties")

# %% [markdown]
# ## Exercises
#
# 1. *By hand.* A tree with one rule application: two leaves, one root. Write
#    {eq}`eq-up` and {eq}`eq-down` for it, and check them against
#    `Grammar.random(depth=1)`.
# 2. *What a forbidden pair is worth.* In {numref}`fig-readers`, give the grammar's
#    forbidden pairs the probability $10^{-16}$ in place of 0. At which $\sigma$ does a
#    forbidden pair win? (The [companion](04b_hierarchical_deeper.py) shows one.)
# 3. *More data.* Run `hierarchy-500-laptop` with `size=1000, largest=1000, blocks=3`.
#    Where does the split clock go, and where the clock of the test loss?
# 4. *Another split.* Why must the excess over fresh strings be taken at equal steps,
#    and what would it mean to take it at equal test loss? Draw it.
#
# ## Provenance
#
# The grammar, the filtered laws, the networks' task, the clock and the measures
# $\mathrm{KL}_k$, $\mathrm{KL}_\text{split}$, $\mathrm{KL}_\text{NN}$ and the two parts
# of the loss are those of {cite:t}`garnierbrun2026biased`, with grammars after
# {cite:t}`garnierbrun2024transformers`. Depth, sizes, averaged weights, the rule that
# admits an argmin, intervals and controls are our own. Their scale, with 17 million
# parameters and up to 70,000 strings, is one command away; nothing is claimed of it.
# All was computed when this page was built, except the networks:

# %% tags=["remove-input"]
provenance(*kept, smoke)
