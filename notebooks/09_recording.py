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
# Every figure of this book is computed when the book is built, and some of what the figures show took hours. Those results
# are *recorded*: computed once, stored in the repository, and loaded by the chapter that shows them. A stored number
# deserves a question that a fresh one does not: *is it still what this code computes?* This page shows how the book answers
# that question, on the smallest recorded run there is, which takes less than a minute and is therefore also computed live.

# %%
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from textwrap import fill

import matplotlib.pyplot as plt
from IPython.display import HTML

from nearsight import recorded
from nearsight.computing import compute
from nearsight.manifests import RecordRefused
from nearsight.numbers import glue
from nearsight.plots import HOLDOUT, TRAIN, curve, use_style
from nearsight.reproduction import compare
from nearsight.scales import find, runs

use_style()

# %% [markdown]
# ## A miniature, live
#
# A **run** is a function and its configuration, nothing else. This one trains two small networks in step, on disjoint halves
# of a few handwritten digits, and asks each how well it denoises its own half and the other one. We should see what all later
# chapters are about: with training, the two errors part.

# %%
run = find("miniature-laptop")
live = compute(run)

# %% [markdown]
# ## Its recorded twin
#
# The same run was computed before and is stored in `book/recorded/miniature-laptop`. `load` returns it, and `compare` lays
# both side by side, array by array. On the machine that recorded it every bit must agree. On another one, whose processor may
# take a sum in another order, the largest difference may be a share of {glue:text}`tolerance:.0e` of an array's largest entry.

# %%
record = recorded.load(run)
comparison = compare(run, record, live)
assert comparison.worst is None, comparison
print(comparison)

# %%
def own_and_other(results):
    """Mean error at the third noise level on the own half and on the other [S]."""
    error = results.curve("error")[1][..., 2]  # [S, network, half]
    own, other = error.diagonal(dim1=1, dim2=2), error.flip(2).diagonal(dim1=1, dim2=2)
    return own.mean(1), other.mean(1)


own, other = own_and_other(record.results)
own_now, other_now = own_and_other(live)

# %% tags=["remove-input"]
assert other[-1] > 1.05 * own[-1]
glue(tolerance=run.tolerance, largest=max(each.largest for each in comparison.differences),
     arrays=len(comparison.differences), points=run.config.points, sigma=run.config.sigmas[2],
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
# All {glue:text}`arrays:.0f` arrays agree, with a largest difference of {glue:text}`largest:.1g`. With
# {glue:text}`points:.0f` digits a network, the error at $\sigma =$ {glue:text}`sigma:.1f` ends {glue:text}`gap:.0f` % higher on
# the other half than on the own one.
#
# ## What a record knows about itself
#
# Beside its arrays a record holds a *manifest*, and shows it as a table:

# %%
record

# %% [markdown]
# Two digests do the work. The **address** is that of the function's name and of the configuration: another learning rate is
# another run. The **sources** are those of the modules that the function imports, directly or through others. They are taken
# over the syntax trees, without comments, docstrings and layout, so that a better comment costs nothing, and every change
# that could matter is seen.
#
# ## What it refuses
#
# A record is refused when it is not whole, when it was edited, and when it was made for another configuration. We copy this
# one into a folder of our own and harm it: one bit of one number.

# %%
root = Path(mkdtemp()) / "book" / "recorded"
shutil.copytree(recorded.ROOT / run.name, root / run.name)
path, = (root / run.name).glob("results-*")
content = bytearray(path.read_bytes())
content[-1] ^= 1
path.write_bytes(content)

try:
    recorded.load(run, root)
except RecordRefused as refused:
    print(fill(str(refused), 88))

# %% [markdown]
# And we ask for a result with another learning rate:

# %%
faster = replace(run, config=replace(run.config, learning_rate=2e-3))
try:
    recorded.load(faster)
except RecordRefused as refused:
    print(fill(str(refused), 88))

# %% [markdown]
# A record whose sources have changed is not refused but **stale**. It says so in its table, wherever a chapter shows it, and
# `make test` fails. Most changes to a library are tidy-ups, and hours of computing are much to ask for a better name. So
# `make verify RUN=...` computes only the opening stages of the run again. Where they agree, it renews the manifest and keeps
# the former digests in its history; where they do not, it says at which step and by how much, and leaves the record stale.
#
# ## Do it yourself
#
# ```bash
# make runs                             # all runs, and the state of their records
# make reproduce RUN=miniature-laptop   # compute one anew, beside its record
# make verify RUN=miniature-laptop      # only its opening stages
# ```
#
# `make reproduce` may be killed at any time: started again, it goes on where it stopped and ends with the same bits. It leaves
# a fresh record as it is, and replaces one that is missing, stale or refused. Of each run there are three sizes: `smoke`, for
# tests; `laptop`, which the book shows; and `paper`, with the published sizes, for whoever has the machine.
#
# These results are recorded:

# %% tags=["remove-input"]
rows = [("run", "date", "device", "wall time", "state")]
for each in runs():
    if (state := recorded.state(each)) in ("fresh", "stale"):
        kept = recorded.load(each).manifest
        rows.append((each.name, kept.date[:10], kept.machine["device"], f"{kept.seconds:,.0f} s", state))
HTML(recorded.table(rows))

# %% [markdown]
# ## How far to trust one
#
# - *Fresh* means: these sources, with this configuration, wrote these bytes. It does not mean that the sources are right;
#   that is what the tests are for.
# - *Verified* means: the opening stages agree after a change. A change that only shows later, in the last stage of a long run,
#   is seen by `make reproduce` alone. The history in the manifest says how far each verification went.
# - Libraries are not part of the digest but of the manifest, with their versions, and the lock file pins them all.
# - Bits are promised on the machine that recorded them: same processor, same versions, one thread. Training amplifies rounding,
#   so elsewhere a long run may end at other weights. What must hold there are the statements, which each chapter asserts.
#
# ## Summary
#
# - A recorded result belongs to a function, a configuration, and the sources that it rests on; it is refused or called stale
#   as soon as one of them changes.
# - A live miniature stands beside it wherever it is shown, and here the two are the same run: the largest difference is
#   {glue:text}`largest:.1g`.
# - One command reproduces each of them.
#
# ## Reuse this
#
# A long computation of yours is a generator of stages. The cell stands alone; to have its results recorded, move the function
# into a module of `nearsight.studies` and list it in that module's `SCALES`.

# %%
from dataclasses import dataclass

import torch
from nearsight.computing import compute
from nearsight.scales import Run, Stage, Work


@dataclass(frozen=True)
class Walk:
    steps: int = 5                                    # the step of the last stage
    seed: int = 0


def walk(config, work=Work()):
    generator, place = torch.Generator().manual_seed(config.seed), torch.zeros(2)
    for step in range(1, config.steps + 1):
        place = place + torch.randn(2, generator=generator)
        yield Stage(step, {"place": place})           # what a stage holds is recorded


steps, places = compute(Run("walk", walk, Walk())).curve("place")
print(torch.column_stack([steps, places]))

# %% [markdown]
# ## Exercises
#
# 1. In a clone, rename a local variable in `lib/nearsight/training.py`. What do `make runs` and `make verify` say? Then swap the
#    two lines of `lib/nearsight/recipes.py` that draw noise levels and noise.
# 2. Start `make reproduce RUN=miniature-laptop` twice at the same time. What does the second one do?
# 3. Change one digit in a manifest. Why is that found out, although no file lists the digest of the manifest?
#
# ## Provenance
#
# The record is that of the table above. Everything else was computed when the page was built.
