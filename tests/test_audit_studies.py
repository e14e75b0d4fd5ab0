"""The audits of sets whose answer is known, and of networks along their training."""

import math
from dataclasses import replace

import pytest
import torch
from nearsight import audit, records
from nearsight.datasets import fashion_mnist
from nearsight.randomness import stream
from nearsight.records import compute
from nearsight.records.runs import Work
from nearsight.studies import audits, find
from nearsight.studies.audit_training import (
    EFFECTS,
    LEVELS,
    TESTS,
    boots_and_others,
    both_ways,
    few_and_held,
    few_images,
    half_and_half,
    recorded_few,
    tuned_network,
    verdict_of,
)
from nearsight.studies.audits import KINDS, PLANTED, STRENGTHS, noisy, null_audits, null_sets, planted_audits, pulled
from scipy.stats import binomtest


@pytest.mark.parametrize("name", ["audit-null-smoke", "audit-power-smoke"])
def test_audits_are_independent_of_each_other(name):
    run = find(name)
    whole = compute(run)
    last, = run.computation(run.config, Work(after=run.config.steps - 1))
    assert all(torch.equal(last.arrays[key], whole.final[key]) for key in whole.final)


def test_the_binomial_test_is_that_of_brute_force():
    run = find("audit-null-smoke")
    stage = next(null_audits(run.config))
    for row, (train, holdout, samples, _) in enumerate(null_sets(run.config, 0)):
        own, other = (torch.cdist(samples.flatten(1).double(), each.flatten(1).double()).amin(1)
                      for each in (train, holdout))
        expected = binomtest(int((own < other).sum()), len(samples), alternative="greater").pvalue
        assert float(stage.arrays["binomial"][row]) == pytest.approx(expected), KINDS[row]
    assert stage.arrays["p_values"].shape == (len(KINDS), len(audits.TESTS))


def test_the_sets_of_the_null_share_no_image():
    train, holdout, samples, _ = next(null_sets(find("audit-null-laptop").config, 0))
    rows = torch.cat([train, holdout, samples]).flatten(1)
    photographs = torch.cat([fashion_mnist(split, 16).images for split in ("train", "test")]).flatten(1)
    repeated = len(photographs) - len(photographs.unique(dim=0))  # of the data set itself
    assert len(rows) - len(rows.unique(dim=0)) <= repeated


def test_what_is_planted_is_there():
    generator = torch.Generator().manual_seed(0)
    train, samples = torch.randn(2, 40, 1, 4, 4, generator=generator).unbind(0)
    some = noisy(0.1, samples, train, 0.25, generator)
    assert torch.equal(some[10:], samples[10:]) and 0.05 < float((some[:10] - train[:10]).std()) < 0.2
    before, after = (torch.cdist(each.flatten(1), train.flatten(1)).amin(1)
                     for each in (samples, pulled(samples, train, 0.1, generator)))
    assert torch.allclose(after, 0.9 * before, rtol=1e-4)
    stage = next(planted_audits(find("audit-power-smoke").config))
    assert stage.arrays["p_values"].shape == (1 + len(PLANTED) * len(STRENGTHS), 5)


@pytest.mark.slow
def test_recorded_rates_of_false_alarms_are_the_stated_ones():
    record = records.load(find("audit-null-laptop")).results
    found = torch.stack([stage.arrays["p_values"] for stage in record.stages])
    binomial = torch.stack([stage.arrays["binomial"] for stage in record.stages])
    count = len(found)
    at_most = 0.05 + 3 * math.sqrt(0.05 * 0.95 / count)
    for row, kind in enumerate(KINDS):
        if kind != "patients, by image":
            assert ((found[:, row] <= 0.05).double().mean(0) <= at_most).all(), kind
    assert (binomial[:, :3] <= 0.05).double().mean(0).min() > at_most


@pytest.fixture(scope="module")
def few():
    run = find("audit-few-smoke")
    return run.config, compute(run)


def test_a_network_of_few_images_is_measured_as_an_audit_of_its_samples_says(few):
    config, results = few
    assert results.steps == [config.noted, *config.audited] and list(results.stages[0].arrays) == ["loss"]
    train, held = few_and_held(config)
    scaling = fashion_mnist("stopping", 16).scaling
    samples = scaling.network(results.final["samples"][:, None].numpy())
    report = audit(train, held, samples=samples, permutations=config.permutations, check_ranges=False, seed=config.seed)
    assert [test["name"] for test in report.tests] == list(TESTS[:4])
    assert results.final["p_values"][:4].tolist() == [test["p_value"] for test in report.tests]
    whole = audit(train, held, samples=samples, denoiser=recorded_few(config, results), sigmas=LEVELS, draws=config.draws,
                  permutations=config.permutations, check_ranges=False, alpha=0.05 / config.checkpoints, seed=config.seed)
    assert verdict_of(config, results.final) == whole.verdict["code"]
    effects = dict(zip(EFFECTS, results.final["effects"].tolist()))
    assert effects["margin"] == report.proximity["margin"] and effects["copies"] == report.copies["fraction"]


def test_the_recorded_weights_of_few_images_are_those_of_the_network(few):
    config, results = few
    network, again = recorded_few(config, results), recorded_few(config, compute(find("audit-few-smoke")))
    x = torch.randn(4, 1, 16, 16, generator=stream(0))
    assert torch.equal(network(x, 0.5), again(x, 0.5)) and not any(each.requires_grad for each in network.parameters())
    train, _ = few_and_held(config)
    assert float((network(train + 0.5 * torch.randn(train.shape, generator=stream(1)), 0.5) - train).square().mean()) < 0.25


def test_fewer_images_are_among_more_and_none_is_held_out():
    few, many = (few_and_held(find(f"audit-few-{count}-laptop").config) for count in (140, 2000))
    assert torch.equal(few[0], many[0][:140]) and torch.equal(few[1], many[1]) and len(many[0]) == 2000
    assert torch.cdist(many[0].flatten(1), many[1].flatten(1)).amin() > 0


def test_half_of_each_batch_is_new():
    few, many = torch.arange(3.0).reshape(3, 1, 1, 1), torch.arange(10.0, 21).reshape(11, 1, 1, 1)
    mixed = half_and_half(few, many).flatten()
    assert (mixed < 10).double().mean() == 0.5 and [int((mixed == image).sum()) for image in range(3)] == [3, 3, 3]
    assert (mixed[mixed >= 10].unique(return_counts=True)[1] == 1).all()


def test_boots_are_boots_and_no_one_has_seen_those_held_out():
    config = find("audit-tuned-plain-laptop").config
    boots, held, old, unseen = boots_and_others(config)
    assert len(boots) == config.images and len(held) == config.held and len(unseen) == 256
    pool = fashion_mnist("pool", 16)
    assert len(old) == int((pool.labels < 8).sum())
    every = torch.cat([boots, held]).flatten(1)
    assert torch.cdist(every, pool.images[pool.labels == 9].flatten(1)).amin(1).max() < 1e-2
    assert torch.equal(both_ways(boots)[140:].flip(3), boots)


@pytest.mark.parametrize("way", ["plain", "flips", "old"])
def test_tuned_networks_are_measured_along_the_second_training(way):
    config = replace(find("audit-tuned-smoke").config, way=way)
    *_, last = tuned_network(config)
    assert last.step == config.steps and last.arrays["p_values"].shape == (6,)
    assert last.arrays["errors"].shape == (2, len(LEVELS)) and last.arrays["gap"].shape == (len(LEVELS),)


@pytest.mark.slow
@pytest.mark.parametrize("run, changed", [("audit-few-paper", dict(noted=2)),
                                          ("audit-tuned-paper", dict(noted=2, pretraining=3))])
def test_the_paper_scale_of_the_trainings_takes_two_steps(run, changed):
    run = find(run)
    assert run.computation in (few_images, tuned_network)
    stage = next(run.computation(replace(run.config, **changed)))
    assert stage.step == 2 and stage.arrays["loss"].isfinite()
