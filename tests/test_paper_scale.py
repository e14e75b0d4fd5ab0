"""The published sizes: each study's own paper configuration, with only its steps cut, taken through two of them.

Of a configuration nothing is changed but the fields of FEW, which count the steps of a training.
"""

from dataclasses import fields, replace
from itertools import islice

import pytest
from nearsight.noise import edm_sigmas
from nearsight.records.runs import Work
from nearsight.studies import gaussian_networks, runs
from nearsight.studies.audit_training import few_images, tuned_network
from nearsight.studies.cifar_network import cifar_network
from nearsight.studies.depth import depth_network
from nearsight.studies.hierarchy import grammar_networks
from nearsight.studies.image_fields import image_ranges, image_remedies
from nearsight.studies.image_guidance import image_guidance
from nearsight.studies.image_moments import image_samples, image_weights
from nearsight.studies.image_paths import image_passages, image_steps, image_turns
from nearsight.studies.image_windows import window_network
from nearsight.studies.photographs import photographs

FEW = {"training_steps": 2, "snapshots": (2,)}
GROWING = {"networks-16-paper", "random-rings-paper", "ring-networks-paper"}  # sweeps whose last stage is the largest
IMAGES = "networks-64-paper"  # U-Nets of 64 channels that draw 1,000 images and more: tested by themselves, below

# Of networks of `images`, whose paper scale is theirs.
OF_OTHERS = {image_samples, image_weights, window_network, image_turns, image_passages, image_steps, image_ranges,
             image_remedies, image_guidance}

PAPER = {run.name: run for run in runs() if run.scale == "paper"}

# Beside the other networks of their studies, in test_images, test_hierarchy, test_depth and test_audit_studies, and on files
# of the published format, in test_photographs.
APART = {IMAGES, "images-paper"} | {name for name, run in PAPER.items()
                                    if run.computation in (grammar_networks, photographs, cifar_network,
                                                                            depth_network, few_images, tuned_network)}


def with_few_steps(run):
    config = replace(run.config, **{name: few for name, few in FEW.items() if hasattr(run.config, name)})
    changed = {field.name for field in fields(config) if getattr(config, field.name) != getattr(run.config, field.name)}
    assert changed <= FEW.keys() and config.steps == run.config.steps
    return config


def assert_measured(stage):
    assert stage.arrays
    for name, array in stage.arrays.items():
        assert array.numel() and array.isfinite().all(), name


def test_every_study_has_a_paper_scale():
    studies = {run.computation for run in runs()} - OF_OTHERS
    assert {run.computation for run in PAPER.values()} == studies and PAPER.keys() >= GROWING | APART


@pytest.mark.parametrize("name", sorted(PAPER.keys() - APART))
def test_the_paper_scale_takes_two_steps(name):
    run = PAPER[name]
    stages = list(islice(run.computation(with_few_steps(run)), 2))
    assert 0 < stages[0].step < stages[1].step <= run.config.steps
    for stage in stages:
        assert_measured(stage)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(GROWING))
def test_the_largest_stage_of_the_paper_scale_takes_two_steps(name):
    run = PAPER[name]
    stage, = run.computation(with_few_steps(run), Work(after=run.config.steps - 1))
    assert stage.step == run.config.steps
    assert_measured(stage)


@pytest.mark.slow
def test_the_published_network_takes_two_steps_of_training_and_two_of_the_reverse_process(monkeypatch):
    # The 18 steps of its samples are 35 calls with 1,000 images each: five minutes of one core. Two steps have both
    # kinds of step in them, Heun's and Euler's into 0.
    monkeypatch.setattr(gaussian_networks, "edm_sigmas", lambda steps: edm_sigmas(2))
    run = PAPER[IMAGES]
    assert_measured(next(run.computation(with_few_steps(run))))
