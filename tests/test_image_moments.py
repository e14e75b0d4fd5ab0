"""Networks at named moments: the very networks of the record, their samples as image files have them, their weights."""

from dataclasses import replace

import pytest
import torch
from nearsight.records.computing import LARGEST, compute
from nearsight.studies import find, runs
from nearsight.studies.image_measures import measure
from nearsight.studies.image_moments import Moments, draw, image_samples, image_weights, recorded_network
from nearsight.studies.images import image_network, prepared, untrained
from nearsight.training import train

SMOKE = find("images-smoke")
SAMPLES, WEIGHTS = find("image-samples-smoke"), find("image-weights-smoke")
LISTED = [run for run in runs() if run.computation in (image_samples, image_weights)]


@pytest.fixture(scope="module")
def record():
    return compute(SMOKE)


@pytest.fixture(scope="module")
def average():
    """The network of the smoke run at its last step, trained by hand."""
    config = SMOKE.config
    *_, last = train(config.recipe, lambda: untrained(config), prepared(config)[0].trained)
    return last.ema


def test_the_first_samples_are_those_of_the_network_s_record(record):
    found = compute(SAMPLES)
    assert found.steps == [20, 60] and torch.equal(found.final["loss"], record.arrays[20, "loss"])
    assert torch.equal(found.final["samples"][:8], record.final["pictures"])
    assert found.final["samples"].shape == (64, 16, 16)


def test_many_samples_begin_with_the_few_that_are_counted():
    ground = prepared(SMOKE.config)[0]
    many, few = (draw(lambda x, sigma: x / (1 + sigma), ground, count) for count in (2048, 96))
    assert torch.equal(many[:96], few) and len(many.flatten(1).unique(dim=0)) == 2048


def test_labels_are_those_of_the_held_out_images():
    met = []
    config = replace(SMOKE.config, condition="labels")
    ground = prepared(config)[0]
    draw(lambda x, sigma, labels: met.append(labels) or x, ground, 1100)
    first = torch.cat(met)[:1100]
    assert torch.equal(first, torch.cat([ground.labels["stopping"], ground.labels["report"][:76]]))


def test_recorded_weights_make_the_trained_denoiser_again(average):
    results = compute(WEIGHTS)
    network = recorded_network(WEIGHTS.config, results)
    x, sigma = torch.randn(16, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.linspace(0.1, 3, 16)
    expected, found = average(x, sigma), network(x, sigma)
    assert (found - expected).abs().max() < 2e-3 * expected.abs().max()  # weights are rounded to 11 bits
    assert not network.training and not any(weight.requires_grad for weight in network.parameters())
    assert all(array.dtype == torch.float16 for name, array in results.final.items() if name.startswith("weight/"))


def test_recorded_weights_are_measured_like_the_network_itself(record, average):
    config = SMOKE.config
    network = recorded_network(WEIGHTS.config, compute(WEIGHTS))
    found = measure(network, network, prepared(config)[0], config.counts, False)
    assert found["error"] == pytest.approx(record.final["error"], rel=0.02)


@pytest.mark.parametrize("run", LISTED, ids=lambda run: run.name)
def test_a_record_stays_below_three_megabytes_and_weights_below_two(run):
    parameters = sum(weight.numel() for weight in untrained(run.config.network).parameters())
    weights, samples = 2 * parameters, 256 * run.config.samples * len(run.config.moments)
    assert (weights < 2_000_000) if run.computation is image_weights else (samples < LARGEST)


def test_moments_are_checkpoints_of_networks_that_are_recorded():
    recorded = [run.config for run in runs() if run.computation is image_network]
    assert all(run.config.network in recorded for run in LISTED)
    with pytest.raises(ValueError, match="expected checkpoints of the network, without .501."):
        Moments(SMOKE.config, (60, 501))
