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
# # How results are recorded, and how to trust one
#
# Every figure of this book is computed when the book is built, and some of what the
# figures show took hours. Those results are *recorded*: computed once, stored in the
# repository, and loaded by the chapter that shows them. A stored number deserves a
# question that a fresh one does not: *is it still what this code computes?* This page
# shows how the book answers that question, on the smallest recorded run there is, which
# takes less than a minute and is therefore also computed live.

# %%
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from textwrap import fill

import matplotlib.pyplot as plt
from IPython.display import HTML
from nearsight import records
from nearsight.page import HOLDOUT, TRAIN, beside, curve, glue, provenance, use_style
from nearsight.records import RecordRefused, compare, compute
from nearsight.records.store import table
from nearsight.records.tolerances import MARGIN, significant_digits
from nearsight.studies import find, runs

use_style()

# %% [markdown]
# ## A miniature, live
#
# A **run** is a function and its configuration, nothing else. This one trains two small
# networks in step, on disjoint halves of a few handwritten digits, and asks each how
# well it denoises its own half and the other one. We should see what all later chapters
# are about: with training, the two errors part.

# %%
run = find("miniature-laptop")
live = compute(run)

# %% [markdown]
# ## Its recorded twin
#
# The same run was computed before and is stored in `book/recorded/miniature-laptop`.
# `load` returns it, `compare` lays both side by side, array by array, and `beside` says
# what came of it. Every chapter with a recorded result does this.

# %%
record = records.load(run)
comparison = compare(record, live)
beside(comparison)

# %%
def own_and_other(results):
    """Mean error at the third noise level on the own half and on the other [S]."""
    error = results.curve("error")[1][..., 2]  # [S, network, half]
    own, other = error.diagonal(dim1=1, dim2=2), error.flip(2).diagonal(dim1=1, dim2=2)
    return own.mean(1), other.mean(1)


own, other = own_and_other(record.results)
own_now, other_now = own_and_other(live)

# %% tags=["hide-input"]
assert other[-1] > 1.05 * own[-1]
glue(points=run.config.points, sigma=run.config.sigmas[2],
     gap=100 * (other[-1] / own[-1] - 1))

# %% mystnb={"figure": {"caption": "Two networks trained on disjoint halves of the same digits come to err less on their own half than on the other. The lines were recorded; the dots were computed for this page, and lie on them.", "name": "fig-miniature"}, "image": {"alt": "Denoising error against training step. The error on a network's own half and on the other half fall together for some hundred steps and then part; live dots lie on the recorded lines.", "width": "80%"}}
figure, axes = plt.subplots(figsize=(5.6, 3.2))
curve(axes, record.results.steps, other, "the other half", HOLDOUT, offset=(8, 0))
curve(axes, record.results.steps, own, "own half", TRAIN, offset=(8, 0))
axes.plot(live.steps, other_now, "o", color=HOLDOUT)
axes.plot(live.steps, own_now, "o", color=TRAIN)
axes.set(xscale="log", xlabel="training step",
         ylabel=rf"error $E$ per pixel at $\sigma = {run.config.sigmas[2]:g}$");

# %% [markdown]
# With {glue:text}`points:.0f` digits a network, the error at $\sigma =$
# {glue:text}`sigma:.1f` ends {glue:text}`gap:.0f` % higher on the other half than on
# the own one.
#
# ## On any processor
#
# How near must the two be? On the machine that recorded the run, equal to the bit. On
# another processor, or with another number of threads, the same sums are taken in
# another order and round differently, and training amplifies that. So the tolerance is
# *measured*: when a run is recorded, some of its stages are computed a second time, in
# a process that is made to use the plainest kernels of each library and other threads.
#
# On this page, $Z$ is the largest difference of an array between the two, as a share of
# its largest entry. It leaves the array $-\log_{10} Z$ **significant digits**, as
# stochastic arithmetic calls them {cite:p}`sohier2021`. One digit is kept in reserve:
# the tolerance is $10 Z$. Of this run the record says:

# %% tags=["hide-input"]
heading = ("array", "difference under other kernels", "digits", "tolerance")
shares = {name: kept / MARGIN for name, kept in record.manifest.tolerances.items()}
HTML(table([heading, *(
    (name, f"{share:.1e}", f"{significant_digits(share):.1f}", f"{MARGIN * share:.1e}")
    for name, share in shares.items())]))

# %% [markdown]
# An array that keeps less than one digit is not a result, whatever the figure looks
# like, and is refused by name when the run is recorded. That has happened: a blur along
# the ring of chapter 3, fitted where any large blur fits as well, came out differently
# on every processor. The chapter reports what the blur leaves of the points instead.
#
# Some records hold what a long training ended with: weights to be loaded, samples drawn
# with them, what an audit finds of these. Training amplifies rounding until a network
# elsewhere is another draw from the same law, so these are *kept*, without a tolerance,
# and never compared between machines. What is concluded from them has an interval over
# networks, or is said to be of one.
#
# Where a live array differs from its record by more than its tolerance, `beside` shows
# a notice with array, size and both machines, and the page goes on: a reader can do
# nothing about it. `make test` fails. It also executes all chapters under the plain
# kernels and compares the words of both books: a number may differ by one unit of its
# last digit, and nothing else may differ at all.
#
# ## What a record knows about itself
#
# Beside its arrays a record holds a *manifest*, and shows it as a table:

# %%
record

# %% [markdown]
# The **meaning** is a digest of the definitions that made the record: the function, and
# every function, class and constant of this library that it reaches, wherever they
# stand. It is taken over their syntax trees, without comments, docstrings and layout,
# and names count for what they stand for. So a better comment, a helper next door, and
# a module that moves or gets a better name cost nothing, and a changed default two
# calls away is seen.
#
# ## What it refuses
#
# A record is refused when it is not whole, when it was edited, and when it was made for
# another configuration. We copy this one into a folder of our own and harm it: one bit
# of one number.

# %%
root = Path(mkdtemp()) / "book" / "recorded"
shutil.copytree(records.ROOT / run.name, root / run.name)
path, = (root / run.name).glob("results-*")
content = bytearray(path.read_bytes())
content[-1] ^= 1
path.write_bytes(content)

try:
    records.load(run, root)
except RecordRefused as refused:
    print(fill(str(refused), 88))

# %% [markdown]
# And we ask for a result with another learning rate:

# %%
faster = replace(run, config=replace(run.config, learning_rate=2e-3))
try:
    records.load(faster)
except RecordRefused as refused:
    print(fill(str(refused), 88))

# %% [markdown]
# A record whose definitions have changed is not refused but **stale**. It says so, and
# which ones, in its table, wherever a chapter shows it, and `make test` fails. Most
# changes to a library are tidy-ups, and hours of computing are much to ask for a better
# algorithm for the same sum. So `make verify RUN=...` computes some stages of the run
# again, those that its configuration names to stand for it. Where they agree, it renews
# the manifest and keeps the former digest in its history; where they do not, it says at
# which step and by how much, and leaves the record stale.
#
# ## Do it yourself
#
# ```bash
# make runs                             # all runs, and the state of their records
# make reproduce RUN=miniature-laptop   # compute one anew, beside its record
# make verify RUN=miniature-laptop      # only the stages that stand for it
# make reproduce RUN='networks-*-laptop' ARGS='--workers 2'    # several, side by side
# ```
#
# `make reproduce` may be killed at any time: started again, it goes on where it stopped
# and ends with the same bits. It leaves a fresh record as it is, and replaces one that
# is missing, stale or refused. `ARGS='--scheduler tcp://...'` sends the runs to a Dask
# cluster. Of each run there are three sizes: `smoke`, for tests; `laptop`, which the
# book shows; and `paper`, with the published sizes, for whoever has the machine.
#
# These results are recorded:

# %%
kept = [each for each in runs() if records.state(each) in ("fresh", "stale")]
provenance(*map(records.load, kept))

# %% [markdown]
# ## How far to trust one
#
# - *Fresh* means: these definitions, with this configuration, wrote these bytes. It
#   does not mean that they are right; that is what the tests are for.
# - *Verified* means: the stages that stand for the run agree after a change. A change
#   that only shows in another one is seen by `make reproduce` alone. The history in the
#   manifest says what each verification rested on.
# - Libraries are not part of the digest but of the manifest, with their versions, and
#   the lock file pins them all.
# - A tolerance rests on two computations of some stages, a small sample of all
#   machines. An array that counts, such as a share of samples, can differ by a whole
#   count where two computations happened to agree.
#
# ## Summary
#
# - A recorded result belongs to a configuration and to the definitions that it reaches;
#   it is refused or called stale as soon as one of them changes.
# - What is recorded is what other kernels reproduce: each array has its measured
#   tolerance, and what has no significant digit is not recorded.
# - A live miniature stands beside it wherever it is shown, and one command reproduces
#   each of them.
#
# ## Reuse this
#
# A long computation of yours is a generator of stages. The cell stands alone; to have
# its results recorded, move the function into a module of `nearsight.studies` and list
# it in that module's `SCALES`.

# %%
from dataclasses import dataclass

import torch
from nearsight.records import Run, Stage, Work, compute


@dataclass(frozen=True)
class Walk:
    steps: int = 5  # the step of the last stage
    seed: int = 0


def walk(config, work=Work()):
    generator, place = torch.Generator().manual_seed(config.seed), torch.zeros(2)
    for step in range(1, config.steps + 1):
        place = place + torch.randn(2, generator=generator)
        yield Stage(step, {"place": place})  # what a stage holds is recorded


steps, places = compute(Run("walk", walk, Walk())).curve("place")
for step, (x, y) in zip(steps.tolist(), places.tolist()):
    print(f"step {step}: at ({x:.3f}, {y:.3f})")

# %% [markdown]
# ## Exercises
#
# 1. In a clone, rename a local variable in `lib/nearsight/training/loop.py`. What do
#    `make runs` and `make verify` say? Then move the module to another folder. Then
#    swap the two lines of `training/recipe.py` that draw noise levels and noise.
# 2. Start `make reproduce RUN=miniature-laptop` twice at the same time. What does the
#    second one do?
# 3. Change one digit in a manifest. Why is that found out, although no file lists the
#    digest of the manifest?
#
# ## Provenance
#
# One record is shown, and everything else was computed when the page was built.

# %%
provenance(record)
