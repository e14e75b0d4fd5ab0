"""The recorded networks of study 4 at their smallest, their design, and their measures on what has a known answer."""

from contextlib import nullcontext
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial

import pytest
import torch
from devices import ELSEWHERE, elsewhere
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.measures import area_under_curve, own_other, proximity_bias
from nearsight.records.computing import LARGEST, compute
from nearsight.records.runs import Work
from nearsight.studies import find, image_measures, images, runs
from nearsight.studies.image_measures import EXCHANGED, Counts, draw, in_batches, measure, measure_samples, owner, owners
from nearsight.studies.images import ImageNetwork, image_network, members, prepared, untrained
from nearsight.training import train
from nearsight.training.recipe import draw as drawn

SMOKE = find("images-smoke")
FEW = SMOKE.config.counts
TINY = Counts(held=16, samples=8, pictures=4, curve=8, probes=(4, 2, 2), candidates=8)
ALL = [run for run in runs() if run.computation is image_network]
LAPTOP = [run for run in ALL if run.scale == "laptop"]


def config(name: str, **changed) -> ImageNetwork:
    """The configuration of a laptop run, with fewer draws."""
    return replace(find(f"images-{name}-laptop").config, counts=TINY, **changed)


@pytest.fixture(scope="module")
def ground():
    return prepared(SMOKE.config)[0]


@pytest.fixture(scope="module")
def results():
    return compute(SMOKE)


def test_a_run_goes_from_end_to_end(results):
    assert results.steps == [20, 60]
    assert all(array.double().isfinite().all() for array in results.arrays.values())
    loss = results.curve("loss")[1]
    assert loss[1] < loss[0] < 1.5


def test_a_run_that_was_killed_ends_with_the_same_bits(results, tmp_path, monkeypatch):
    measured = []

    def killed(network, average, *rest):
        measured.append(len(measured))
        if len(measured) == 2:
            raise KeyboardInterrupt
        return measure(network, average, *rest)

    monkeypatch.setattr(images, "measure", killed)
    monkeypatch.setattr(images, "EVERY", 7)
    with pytest.raises(KeyboardInterrupt):
        compute(SMOKE, folder=tmp_path)
    resumed = compute(SMOKE, folder=tmp_path)
    assert len(measured) == 3  # the first checkpoint is not measured again
    assert resumed.arrays.keys() == results.arrays.keys()
    assert all(torch.equal(resumed.arrays[key], array) for key, array in results.arrays.items())


def expected_bytes(run):
    """The table in the docstrings of `measure` and `measure_samples`, and the training loss."""
    chosen, counts, blocks = run.config, run.config.counts, run.config.blocks
    of_a_sample = 2 * (3 * blocks + 12 + blocks + 3 + blocks * chosen.raw)
    of_a_stage = (4 + 8 * counts.held + 192 * (blocks + 2) + 48 * counts.curve + 12 * min(counts.candidates, chosen.size)
                  + 768 * sum(counts.probes) + of_a_sample * counts.samples + 4 * 33 * 32 + 256 * counts.pictures)
    return len(chosen.recipe.snapshots) * of_a_stage


@pytest.mark.parametrize("run", ALL, ids=lambda run: run.name)
def test_a_record_stays_below_three_megabytes(run):
    assert expected_bytes(run) < LARGEST


def test_a_record_has_the_stated_bytes(results):
    assert sum(array.nbytes for array in results.arrays.values()) == expected_bytes(SMOKE)
    assert expected_bytes(find("images-512-b0-s0-laptop")) == 16 * (185_600 + 4) < LARGEST


def test_the_runs_are_those_of_the_table_in_its_order():
    names = [run.name.removeprefix("images-").removesuffix("-laptop") for run in LAPTOP]
    assert names[:10] == ["512-b0-s0", "512-b0-s1", "512-b1-s0", "512-b1-s1", "512-b2-s0", "512-b3-s0", "512-b2-s1",
                          "512-b3-s1", "swapped-b0-s0", "swapped-b0-s1"]
    assert [run for run in LAPTOP if fnmatchcase(run.name, "images-512-*-laptop")] == LAPTOP[:8]
    assert {run.config.steps for run in LAPTOP[:10]} == {2400} and len(LAPTOP) == 4 + 4 + 2 + 3 + 3 + 6 + 3 + 6 + 5 + 2
    assert {run.config.steps for run in LAPTOP if run.config.size == 2048} == {8000}
    assert all(run.threads == 1 and run.standing == 1 for run in ALL)


@pytest.mark.parametrize("size, count", [(256, 3), (512, 4), (1024, 3), (2048, 3)])
def test_blocks_of_a_size_are_disjoint_plain_and_in_the_pool(size, count):
    blocks = [members(run.config) for run in LAPTOP if run.config.size == size and run.config.seed == 0
              and run.name.startswith(f"images-{size}-")]
    indices = torch.stack(blocks)
    assert indices.shape == (count, size) and indices.unique().tolist() == list(range(size * count))
    assert size * count <= 8192


def test_the_swapped_network_differs_by_64_images_at_their_places():
    own, swapped, following = (members(config(name)) for name in ("512-b0-s0", "swapped-b0-s0", "512-b1-s0"))
    assert (own != swapped).sum() == 64 == EXCHANGED
    assert torch.equal(swapped[:64], following[:64]) and torch.equal(swapped[64:], own[64:])
    first, second = (config(name).recipe for name in ("512-b0-s0", "swapped-b0-s0"))
    assert first == second  # the same steps, draws and first weights


def test_networks_train_on_their_block_alone():
    """What a step takes is looked at where it is drawn: V, H, R and other blocks are never among it."""
    taken = []

    class Spied(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x, sigma):
            taken.append((x, sigma))
            return self.network(x, sigma)

    chosen = replace(SMOKE.config, block=1)
    ground, _ = prepared(chosen)
    recipe = replace(chosen.recipe, snapshots=(3,))
    steps = list(train(recipe, lambda: Spied(untrained(chosen)), ground.trained))
    assert steps[-1].step == 3 and len(taken) == 3
    pool = ground.blocks.flatten(0, 1)
    for step, (x, sigma) in enumerate(taken):
        draw = drawn(recipe, step, ground.trained.shape)
        clean = x - sigma.view(-1, 1, 1, 1) * draw.eps
        near = nearest_by_hand(clean, torch.cat([pool, ground.stopping, ground.report, ground.reference]))
        assert ((near >= 128) & (near < 256)).all() and torch.equal(near - 128, draw.indices)


def nearest_by_hand(events, reference):
    return torch.cdist(events.flatten(1).double(), reference.flatten(1).double()).argmin(1)


def test_the_sets_of_the_ground_have_no_image_in_common(ground):
    rows = torch.cat([ground.blocks.flatten(0, 1), ground.stopping, ground.report, ground.reference]).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows) == 2 * 128 + 1024 + 1024 + 4096
    assert torch.equal(ground.trained, ground.blocks[0])


def test_two_networks_of_one_seed_share_first_weights_draws_latents_and_noise():
    first, second = SMOKE.config, replace(SMOKE.config, block=1)
    started = [next(train(replace(each.recipe, snapshots=(0, 1)), partial(untrained, each), prepared(each)[0].trained))
               for each in (first, second)]
    assert first.recipe == second.recipe
    assert all(map(torch.equal, started[0].network.parameters(), started[1].network.parameters()))
    met = [[], []]
    for seen, each in zip(met, (first, second)):
        grounds, _ = prepared(each)

        def denoiser(x, sigma, seen=seen):
            seen.append(x)
            return x / (1 + torch.as_tensor(sigma).view(-1, 1, 1, 1) ** 2)

        draw(denoiser, grounds, 8), image_measures.probes(denoiser, grounds)
        image_measures.errors(denoiser, grounds, 8), image_measures.losses(denoiser, denoiser, grounds, 8)
    assert len(met[0]) == len(met[1]) and all(map(torch.equal, *met))


def test_a_memorizer_prefers_its_own_images_wholly(ground):
    found = measure_samples(draw(EmpiricalDenoiser(ground.trained), ground, 64), ground, 4)
    for name in ("owners/pixels", "owners/principal", "owners/classifier"):
        assert (found[name][:, 0] // 128 == 0).all()
        assert (owner(found[name], 128, (0, 1)) < 128).all() and (owner(found[name], 128, (1, 0)) >= 128).all()
    assert (found["ratio"] < 1 / 3).all()
    assert (found["distance"][:, 0] < 0.05).all() and torch.equal(found["order"][:, 0], found["owners/pixels"][:, 0])
    scores = image_measures.scores(EmpiricalDenoiser(ground.trained), ground, FEW)
    assert area_under_curve(scores[0], scores[2]) > 0.99 and area_under_curve(scores[1], scores[2]) < 0.8
    errors = image_measures.errors(EmpiricalDenoiser(ground.trained), ground, 32)["error"]
    assert (errors[0, :12] < 0.1 * errors[1, :12]).all()


def test_held_out_images_as_samples_lie_as_under_the_null(ground):
    found = measure_samples(ground.stopping, ground, 4)
    bias = proximity_bias(ground.stopping, *ground.blocks)
    share = float((owner(found["owners/pixels"], 128, (0, 1)) < 128).double().mean())
    assert share == pytest.approx(bias.preference) and bias.p_value > 0.05
    assert torch.equal(found["unseen"], torch.arange(1024).short())
    assert not (found["ratio"] < 1 / 3).any()


def test_owners_are_those_of_the_pair_test():
    generator = torch.Generator().manual_seed(0)
    blocks, samples = torch.randn(3, 40, 6, generator=generator), torch.randn(2, 200, 6, generator=generator)
    names = [owners(each, blocks) for each in samples]
    for pair in ((0, 1), (2, 0), (1, 2)):
        found = [owner(each, 40, pair) for each in names]
        expected = [nearest_by_hand(each, blocks[list(pair)].flatten(0, 1)) for each in samples]
        assert all(map(torch.equal, found, expected))
        share = float(((found[0] < 40).double().mean() + (found[1] >= 40).double().mean()) / 2)
        assert share == pytest.approx(own_other(*samples, *blocks[list(pair)]).preference)


def test_the_losses_are_those_of_an_untrained_network(ground):
    """With F = 0 the EDM loss is (sigma^2 q^2 + sd^4) / (sd^2 (sigma^2 + sd^2)) on average: 1 where q = sd = 1/2."""
    network = untrained(SMOKE.config)
    with torch.no_grad():
        found = image_measures.losses(network, network, ground, 1024)
    for name in ("stopping", "report"):
        losses = found[name].double()
        assert torch.equal(losses[0], losses[1])
        square = getattr(ground, name).square().mean()
        assert losses[0].mean() == pytest.approx(1, abs=4 * float(losses[0].std()) / 32 + abs(4 * float(square) - 1))


def test_classes_reach_the_network_image_by_image():
    for name, classes in (("labels-b1-s0", 10), ("clusters-b1-s0", 40)):
        chosen = config(name, size=64, channels=8)
        ground, labels = prepared(chosen)
        assert chosen.recipe.classes == classes and labels.max() < classes
        assert torch.equal(labels, ground.labels["blocks"][1]) and ground.labels["blocks"].shape == (3, 64)
        met = []
        denoiser = in_batches(lambda x, sigma, given: met.append(given) or x, ground.labels["stopping"][:100])
        denoiser(ground.stopping[:100].repeat(2, 1, 1, 1), 1.0)
        assert torch.equal(torch.cat(met), ground.labels["stopping"][:100].repeat(2))


@pytest.mark.parametrize("condition", ["none", "labels"])
def test_nothing_is_measured_on_two_devices_at_once(condition, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *device, **options: nullcontext())  # which does not know this device
    chosen = replace(SMOKE.config, condition=condition, counts=TINY)
    network = untrained(chosen).requires_grad_(False).eval()
    here = measure(network, network, prepared(chosen)[0], TINY, True)
    with elsewhere():
        network._apply(lambda weight: weight.to(ELSEWHERE))
        there = measure(network, network, prepared(chosen, ELSEWHERE)[0], TINY, True)
        assert all(torch.equal(there[name].cpu(), array) for name, array in here.items())


@pytest.mark.parametrize("name, rank", [("principal-8-b0-s0", 8), ("average-4-b0-s0", 16), ("average-2-b0-s0", 64)])
def test_all_images_are_filtered_alike(name, rank):
    ground, _ = prepared(config(name))
    for images_ in (ground.trained, ground.blocks.flatten(0, 1), ground.stopping):
        rows = images_[:256].flatten(1).double()
        values = torch.linalg.svdvals(rows - rows.mean(0))
        assert values[rank:].sum() < 1e-4 * values.sum()


def assert_two_steps_are_taken_and_measured(run):
    chosen = replace(run.config, first=1, checkpoints=2, steps=2, counts=TINY)
    stage = list(image_network(chosen, Work(after=1)))[-1]
    assert stage.step == 2 and all(array.double().isfinite().all() for array in stage.arrays.values())
    assert stage.arrays["owners/pixels"].shape == (TINY.samples, chosen.blocks)


@pytest.mark.parametrize("name", ["512-b0-s0", "swapped-b0-s0", "2048-b2-s0", "labels-b0-s0", "clusters-b0-s0",
                                  "48-channels-b0-s0", "principal-32-b0-s0", "cosine-b0-s0"])
def test_the_laptop_scale_takes_two_steps_and_is_measured(name):
    assert_two_steps_are_taken_and_measured(find(f"images-{name}-laptop"))


@pytest.mark.slow
def test_the_paper_scale_takes_two_steps_and_is_measured():
    assert_two_steps_are_taken_and_measured(find("images-paper"))
