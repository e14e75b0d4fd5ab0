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
# knows the best denoiser of photographs. So we ask it where the best denoiser is known:
# on strings that a random grammar writes {cite:p}`garnierbrun2026biased`. Such strings
# hang together at several scales, as images do, and yet a short calculation, *belief
# propagation*, returns for any noisy string and at any noise level exactly what can be
# known of the clean one. It does so too for whoever has understood only the lower
# scales. Every error of a network can then be split: by scale, by noise, by cause.
#
# This chapter builds that calculation up from nothing, checks it against brute force,
# and computes how much each scale is worth. Symbols are on the [notation
# page](../book/notation.md).

# %%
import torch
from matplotlib import pyplot as plt
from torch.nn.functional import one_hot

from nearsight.measures import divergence
from nearsight.noise import vp_sigmas
from nearsight.page import (LETTERS, NEUTRAL, curve, draw_strings, draw_tree, glue,
                            use_style)
from nearsight.tree import Grammar

use_style()
torch.set_num_threads(1)  # small arrays: a second thread would mostly wait
torch.set_default_dtype(torch.float64)  # exact laws are checked in double precision
generator = torch.Generator().manual_seed(3)  # all randomness of this chapter

# %% [markdown]
# ## A string and its tree
#
# The grammar has $q = 6$ tokens, here written as letters. A token can be replaced by a
# pair of tokens, each pair with its own probability $M(p \to bc)$. Start from one
# token, the *root*, each of the six equally likely. Replace it by a pair, each of these
# by a pair, and so on, $\ell = 4$ times: the $L = 2^\ell = 16$ tokens of the last
# generation are the string. These are the rules of the first two tokens:

# %%
grammar = Grammar.random()  # the published sizes: 6 tokens, 4 rules for each, 16 leaves
for parent, left, right in grammar.transitions[:2].nonzero().tolist():
    share = grammar.transitions[parent, left, right]
    print(f"{LETTERS[parent]} → {LETTERS[left]}{LETTERS[right]}   {share:.3f}")

# %% [markdown]
# Of the 36 pairs 24 have a parent, each of them just one, and 12 never occur. So a
# string has one tree, and a rule that is broken anywhere shows. A string of the
# language has to keep rules at all scales at once: neighbors must form pairs, the
# parents of neighboring pairs must form pairs, up to the root.
#
# Noise is added to the *one-hot* string $y$, an array of $L \times q$ entries that are
# 1 at the token of each place and 0 elsewhere, as everywhere in this book: $x = y +
# \sigma\varepsilon$. The paper counts noise on the clock of a chain of $T = 500$ steps,
# in which step $t$ has the noise level $\sigma_t$. We give both.

# %%
sigma_at = vp_sigmas().flip(0)  # sigma_at[t], t = 0 ... 500


def noisy(tokens, t):
    y = one_hot(tokens, 6).double()
    return y + sigma_at[t] * torch.randn(y.shape, generator=generator)


tokens = grammar.sample(1, generator)
truth = [*(level[0] for level in grammar.parse(tokens).parents), tokens[0]]

# %% [markdown]
# How much of the tree can be known from the noisy string? The picture answers for one
# string and three noise levels. How these certainties are computed is the subject of
# the next section.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "One string with its tree, and what can be known of each node when noise is added to the leaves. Each disc shows the most probable token, the more solid the surer; a black rim marks a wrong one. Little noise hides leaves that the tree restores; more noise takes the tree away from below and above.", "name": "fig-tree"}, "image": {"alt": "Four drawings of the same binary tree with sixteen leaves. The first shows the true tokens. In the others the discs fade as noise grows: at a tenth of the clock nearly all nodes are certain, at 0.3 nearly none.", "width": "100%"}}
figure, grid = plt.subplots(2, 2, figsize=(8.6, 5.4))
draw_tree(grid[0, 0], [one_hot(level, 6).double() for level in truth], truth)
grid[0, 0].set_title("the string and its tree")
for axes, t in zip(grid.flat[1:], (50, 75, 150)):
    nodes = grammar.denoiser().node_probabilities(noisy(tokens, t), float(sigma_at[t]))
    draw_tree(axes, [level[0] for level in nodes], truth)
    axes.set_title(f"$t/T = {t / 500:g}$, $\\sigma = {sigma_at[t]:.2f}$")

# %% [markdown]
# For many strings: how probable is the most probable token of a node, on average, at
# each depth from the root to the leaves, and how probable is it for a reader of each
# leaf by itself?

# %%
many = grammar.sample(2000, generator)


def certainties(x, sigma):
    """Mean probability of the most probable token: by depth, and of leaves alone."""
    nodes = grammar.denoiser().node_probabilities(x, sigma)
    return [each.amax(2).mean() for each in (*nodes, (x / sigma**2).softmax(2))]


print(" t/T    root  depth 1       2       3  leaves  leaves, one by one")
for t in (50, 75, 100, 150):
    found = certainties(noisy(many, t), float(sigma_at[t]))
    print(f"{t / 500:4.2f}" + "".join(f"{value:8.2f}" for value in found))

# %% [markdown]
# At $t/T = 0.15$ the tree makes leaves surer than they are by themselves, while its own
# root is nearly lost.
#
# ## Belief propagation
#
# What does a noisy string say? Consider one place first. The density of its six noisy
# numbers, if its token is $a$, is proportional to
#
# $$
# \psi_i(a) = \exp(x_{i,a} / \sigma^2),
# $$ (eq-evidence)
#
# since all one-hot vectors have the same length, so that everything else in $|x_i -
# y_i|^2$ is the same for all $a$. This is the *evidence* of place $i$ for token $a$.
# With Bayes' rule the probability of a string $s$, given all of $x$, is $P(s) \prod_i
# \psi_i(s_i)$, divided by the sum over all strings
#
# $$
# Z = \sum_s P(s) \prod_i \psi_i(s_i) .
# $$ (eq-tree-sum)
#
# One could add up all strings of the language. For two generations there are few enough
# to do so.

# %%
small = Grammar.random(depth=2)
strings = small.strings()  # all that have a tree
y = one_hot(strings, 6).double()
x = y[100] + 0.5 * torch.randn(4, 6, generator=generator)
likelihoods = -(x - y).square().sum((1, 2)) / (2 * 0.5**2)  # their logarithms
posterior = (small.log_prob(strings) + likelihoods).softmax(0)
enumerated = torch.einsum("n,nia->ia", posterior, y)  # E[y | x]

# %% tags=["remove-input"]
glue(few=len(strings), many=6 * 4.0**15 / 1e9)

# %% [markdown]
# Here there are {glue:text}`few:.0f` strings. With four generations there are
# {glue:text}`many:.1f` billion, and this has to be done for every noisy string at every
# noise level. The way out is that the sum has the shape of the tree. Write $u(p)$ for
# the total weight of all that can stand below a node, if the node is token $p$. At a
# leaf it is the evidence, $u_i(a) = \psi_i(a)$. At any other node it is a sum over the
# rules of $p$, of what the two children have already found:
#
# $$
# u_j(p) = \sum_{b, c} M(p \to bc)\; u_{2j}(b)\; u_{2j+1}(c),
# $$ (eq-up)
#
# where $2j$ and $2j + 1$ are the children of node $j$. At the root, $Z$ is the mean of
# $u$ over the six tokens. That is all: one pass, from the leaves up, at each node a sum
# over 24 rules.

# %%
def total_weight(grammar, evidence):
    """The sum Z over all strings, from the evidence [leaves, tokens]."""
    up = evidence
    while len(up) > 1:
        up = torch.einsum("pbc,jb,jc->jp", grammar.transitions, up[0::2], up[1::2])
    return up.mean()


# %% [markdown]
# And the posterior? Raise the evidence of token $a$ at place $i$ by one percent. Then
# all strings with this token at this place gain one percent, and $Z$ gains the share
# that they have of it, which is the probability that we look for:
#
# $$
# P(s_i = a \mid x) = \frac{\partial \ln Z}{\partial \ln \psi_i(a)} .
# $$ (eq-down)
#
# Automatic differentiation walks back from $Z$ to the leaves: a second pass, from the
# root down, in which each node hears what the rest of the tree believes of it. The two
# passes are belief propagation {cite:p}`pearl1988probabilistic`.

# %%
log_evidence = (x / 0.5**2).requires_grad_()
log_weight = total_weight(small, log_evidence.exp()).log()
[by_gradient] = torch.autograd.grad(log_weight, log_evidence)
propagated = small.denoiser()(x[None], 0.5)[0]
for name, found in (("by gradient", by_gradient), ("in the library", propagated)):
    print(f"{name}: differs from enumeration by {(found - enumerated).abs().max():.0e}")

# %% tags=["remove-cell"]
for found in (by_gradient, propagated):
    assert (found - enumerated).abs().max() < 1e-12
assert len(strings) == 384

# %% [markdown]
# All three agree to rounding. The library's version, `grammar.denoiser()`, does the
# same in logarithms and so holds at any noise level, puts an exact 0 on what the
# grammar forbids, and takes a few microseconds a string. Since the posterior
# probabilities of a one-hot string *are* its posterior mean, it is the best denoiser of
# this language, a callable $D(x, \sigma)$ like all others in this book.
#
# ## Those who know less
#
# Now let somebody forget how the string hangs together above a certain scale. They know
# the root's law, and how the $2^k$ nodes at depth $k$ depend on it *one by one*, and
# all the rules below. In their world these nodes are independent once the root is
# given. Belief propagation with this change of the top is their best denoiser; call it
# $\mathrm{BP}_k$. $\mathrm{BP}_0$ forgets nothing. $\mathrm{BP}_4$ knows how often each
# token occurs at each place, given the root, and nothing of neighbors. And whoever
# knows nothing at all looks at the evidence {eq}`eq-evidence` alone; we call it
# *rounding*.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A noisy string at $t/T = 0.15$ as four readers see it: the first of 2,000 strings in which each of them is right at more places than the one below. Discs as in the figure above, black rims are wrong.", "name": "fig-readers"}, "image": {"alt": "Five rows of sixteen discs: the true string, BP0, BP2, BP4, and rounding. Rounding is wrong at several places and unsure at others; with each step up more discs are solid and fewer have a black rim.", "width": "100%"}}
seen, sigma = noisy(many, 75), float(sigma_at[75])
readers = {rf"$\mathrm{{BP}}_{level}$": grammar.denoiser(level)(seen, sigma)
           for level in (0, 2, 4)}
readers["rounding"] = (seen / sigma**2).softmax(2)
right = torch.stack([(guess.argmax(2) == many).sum(1) for guess in readers.values()])
chosen = int((right.diff(dim=0) < 0).all(0).nonzero()[0])
rows = {"truth": one_hot(many, 6).double(), **readers}
figure, axes = plt.subplots(figsize=(8.6, 3.0))
drawn = [(name, guess[chosen]) for name, guess in rows.items()]
draw_strings(axes, drawn, many[chosen])

# %% tags=["remove-input"]
right_0, _, right_4, right_none = right.double().mean(1)
glue(right_0=right_0, right_4=right_4, right_none=right_none)

# %% [markdown]
# On average over all these strings $\mathrm{BP}_0$ is right at {glue:text}`right_0:.1f`
# of 16 places, $\mathrm{BP}_4$ at {glue:text}`right_4:.1f`, rounding at
# {glue:text}`right_none:.1f`.

# %% [markdown]
# How far they are from the truth we measure by the Kullback-Leibler divergence
# $\mathrm{KL}(\mathrm{BP}_0 \,\|\, \mathrm{BP}_k)$, summed over the places of a string
# and averaged over strings: the nats that are lost by believing $\mathrm{BP}_k$.

# %%
def losses(grammar, x, sigma):
    """What is lost [N, depth + 1] with BP_1, BP_2, ..., and, last, with rounding."""
    exact = grammar.denoiser().log_probabilities(x, sigma)
    guesses = [grammar.denoiser(level).log_probabilities(x, sigma)
               for level in range(1, grammar.depth + 1)]
    guesses.append((x / torch.as_tensor(sigma).view(-1, 1, 1) ** 2).log_softmax(2))
    return torch.stack([divergence(exact, guess) for guess in guesses], 1)


times = torch.tensor([5, 15, *range(25, 80, 5), 80, 90, 100, 120, 150, 200, 250])
lost = torch.stack([losses(grammar, noisy(many, t), float(sigma_at[t])) for t in times])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What is lost by not knowing the upper scales, against noise. Bands: 95 % intervals over 2,000 strings. Each scale matters in a window of noise levels and in no other: with little noise rounding is all there is to do, with much noise nothing but frequencies is left. The upper the scale, the lower and narrower its bump.", "name": "fig-levels"}, "image": {"alt": "Five curves of divergence against t/T from 0.01 to 0.5, with noise level on the upper axis. All rise from near zero at 0.05 to peaks between 0.12 and 0.16 and fall again; BP1 is lowest, then BP2, BP3, BP4, and rounding, which stays high.", "width": "90%"}}
figure, axes = plt.subplots(figsize=(7.2, 3.8))
shades = ["#08306b", "#2171b5", "#6baed6", "#9ecae1", NEUTRAL]
names = [*(rf"$\mathrm{{BP}}_{level}$" for level in (1, 2, 3, 4)), "rounding"]
mean, reach = lost.mean(1), 1.96 * lost.std(1) / len(many) ** 0.5
for k, (name, shade) in enumerate(zip(names, shades)):
    low = (mean - reach)[:, k].clamp(min=1e-5)
    curve(axes, times / 500, mean[:, k], name, shade, low, (mean + reach)[:, k])
axes.set(yscale="log", ylim=(1e-4, 10), xlim=(0, 0.5), xlabel="$t/T$")
axes.set_ylabel(r"KL(BP$_0$ ‖ ·), nats a string")
above = axes.secondary_xaxis("top")
ticks = torch.tensor([25, 50, 75, 100, 150, 200, 250])
above.set_xticks(ticks / 500, [f"{level:.2g}" for level in sigma_at[ticks]])
above.set_xlabel(r"noise level $\sigma$")

# %% tags=["remove-cell"]
peak = times[mean.argmax(0)] / 500
assert 0.1 <= peak[0] <= 0.13 and 0.14 <= peak[3] <= 0.16
assert (mean[:, 1:] > mean[:, :-1])[4:].all()
height = mean.amax(0)
glue(peak_1=peak[0], peak_4=peak[3], height_1=height[0], height_4=height[3])

# %% [markdown]
# The top of the tree matters between $t/T = 0.06$ and 0.25 or so. Its bump,
# $\mathrm{BP}_1$, is highest at {glue:text}`peak_1:.2f`, with {glue:text}`height_1:.2f`
# nats a string; that of $\mathrm{BP}_4$ at {glue:text}`peak_4:.2f`, with
# {glue:text}`height_4:.1f`. A network that knows the string only up to some scale will
# show at these noise levels, and at no others.
#
# ## What a scale is worth
#
# The bumps have an exact meaning. With $\lambda = 1/\sigma^2$, half the area under the
# mean squared distance of two denoisers, over $\lambda$, is the divergence of the laws
# that they believe in:
#
# $$
# \mathrm{KL}(P_0 \,\|\, P_k) = \tfrac12 \int_0^\infty
# \mathbb E\, |\mathrm{BP}_0(x) - \mathrm{BP}_k(x)|^2 \, d\lambda ,
# $$ (eq-area)
#
# where strings are drawn from the grammar {cite:p}`verdu2010mismatched`. The left side
# can be computed without any noise, by summing over the nodes at depth $k$.

# %%
rates = torch.logspace(-3, 1.7, 60)  # lambda


def distances(rate):
    """Squared distances [1000, 3] of BP_1, BP_2, BP_3 from BP_0 at one noise level."""
    y, sigma = one_hot(many[:1000], 6).double(), rate**-0.5
    x = y + sigma * torch.randn(y.shape, generator=generator)
    exact, *others = (grammar.denoiser(level)(x, sigma) for level in range(4))
    return torch.stack([(exact - other).square().sum((1, 2)) for other in others], 1)


heights = torch.stack([distances(rate) for rate in rates.tolist()])
areas = torch.trapezoid(heights, rates, dim=0) / 2  # [1000, 3]
information = torch.tensor([grammar.information(level) for level in (1, 2, 3)])

# %% [markdown]
# Beside it stands what the training loss of a network could show of it: the
# cross-entropy a token, averaged over all $t$, of which $\mathrm{BP}_0$ has the least
# there can be.

# %% tags=["hide-input"]
steps = torch.arange(1, 501).repeat(20)  # each t as often
written = grammar.sample(len(steps), generator)
hidden = one_hot(written, 6) + sigma_at[steps][:, None, None] * torch.randn(
    len(steps), 16, 6, generator=generator)
excess = losses(grammar, hidden, sigma_at[steps])[:, :3] / 16
error = areas.std(0) / 1000**0.5
table = {"KL(P_0 || P_k), nats a string": information, "half the area": areas.mean(0),
         "  its standard error": error, "excess cross-entropy a token": excess.mean(0)}
print(f"{'':30}     BP_1     BP_2     BP_3")
for name, values in table.items():
    print(f"{name:30}" + "".join(f"{value:9.4f}" for value in values.tolist()))

# %% tags=["remove-cell"]
assert ((areas.mean(0) - information).abs() < 4 * (error + 0.002 * information)).all()
known = grammar.denoiser()(hidden, sigma_at[steps])
least = -torch.xlogy(known, known).sum(2).mean()
glue(entropy=grammar.entropy(), information_1=information[0], least=least,
     excess_1=excess[:, 0].mean())

# %% [markdown]
# A string has {glue:text}`entropy:.2f` nats, of which the top of the tree accounts for
# {glue:text}`information_1:.2f`. In the training loss it is worth
# {glue:text}`excess_1:.4f` nats a token, of {glue:text}`least:.2f` that nobody can
# avoid: to see whether a network has understood the top, do not look at its loss. The
# distance to the exact denoiser, at one noise level in the window, is the instrument.
#
# ## How little data is enough
#
# Last, what could be learnt from few strings at all? Somebody who knows *which* rules
# there are, but not how often each is used, can count them in the trees of $n$ strings
# and run belief propagation with the shares so found. On a grammar with three
# generations, at $t/T = 0.15$:

# %%
shallow = Grammar.random(depth=3)
tests = shallow.sample(4000, generator)
seen_tests = noisy(tests, 75)
exact = shallow.denoiser().log_probabilities(seen_tests, sigma)


def error_of_counting(n):
    """Nats from BP_0, mean over six learners who each count n strings of their own."""
    learners = [shallow.counted(shallow.sample(n, generator)) for _ in range(6)]
    guesses = [learner.denoiser().log_probabilities(seen_tests, sigma)
               for learner in learners]
    return torch.stack([divergence(exact, guess).mean() for guess in guesses]).mean()


first = losses(shallow, seen_tests, sigma)[:, 0].mean()
counted = {n: error_of_counting(n) for n in (100, 300, 500)}
print(f"BP_1              {first:.3f} nats from BP_0")
for n, value in counted.items():
    print(f"counted in {n}    {value:.3f}")

# %% tags=["remove-cell"]
assert counted[300] < 0.2 * first
glue(counted=counted[300], first=first)

# %% [markdown]
# A few hundred strings are enough: {glue:text}`counted:.3f` nats from the truth with
# 300 of them, where forgetting the top alone costs {glue:text}`first:.2f`. Whatever a
# network trained on as many strings gets wrong, and in whatever it leans on them, the
# sample is not too small. It is the network.
