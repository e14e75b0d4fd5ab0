"""The recorded networks of study 5 at their smallest, their design, and their measures on what has a known answer."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from nearsight.datasets import fashion_mnist, index_digest
from nearsight.denoisers import EmpiricalDenoiser, GaussianDenoiser
from nearsight.networks import Classifier, Committee, committee, tops_and_trousers
from nearsight.records.computing import LARGEST, compute
from nearsight.records.runs import Work
from nearsight.studies import depth, depth_data, depth_measures, find, runs
from nearsight.studies.depth import DepthNetwork, depth_network, recorded_network, untrained
from nearsight.studies.depth_data import TAIL, cut, drawn, grouped, last, posterior, prepared, taught, twin
from nearsight.studies.depth_measures import Counts, attractors, draw, jacobians, measure
from nearsight.studies.depth_readouts import said, told
from nearsight.studies.image_measures import in_batches
from nearsight.training import train, train_classifier
from PIL import Image

SMOKE = find("depth-digits-smoke")
TINY = Counts(samples=8, pictures=1, curve=4, draws=1, probes=1, linearized=1, settled=1)
ALL = [run for run in runs() if run.computation is depth_network]
LAPTOP = [run for run in ALL if run.scale == "laptop"]
EQUAL = [run for run in LAPTOP if run.name.startswith("depth-equal")]


def ground_of(config, device="cpu"):
    return prepared(config.source, config.sizes, config.block, config.blocks, config.side, device)


@pytest.fixture(scope="module")
def ground():
    return ground_of(SMOKE.config)


@pytest.fixture(scope="module")
def photographs():
    return ground_of(EQUAL[0].config)


@pytest.fixture(scope="module")
def results():
    return compute(SMOKE)


def test_a_run_goes_from_end_to_end(results):
    assert results.steps == list(SMOKE.config.snapshots)
    assert all(array.double().isfinite().all() for array in results.arrays.values())
    loss = results.curve("loss")[1]
    assert loss[1] < loss[0] < 1.5


@pytest.mark.parametrize("name", ["flat", "twin", "tail"])
def test_each_kind_of_run_goes_from_end_to_end(name):
    run = find(f"depth-{name}-smoke")
    found = compute(run)
    assert found.steps == list(run.config.snapshots) and len(found.curve("said")[1]) == 2
    assert all(array.double().isfinite().all() for (_, kind), array in found.arrays.items() if kind != "spread")


def test_a_run_that_was_killed_ends_with_the_same_bits(results, tmp_path, monkeypatch):
    measured = []

    def killed(*given):
        measured.append(len(measured))
        if len(measured) == 2:
            raise KeyboardInterrupt
        return measure(*given)

    monkeypatch.setattr(depth, "measure", killed)
    monkeypatch.setattr(depth, "EVERY", 30)
    with pytest.raises(KeyboardInterrupt):
        compute(SMOKE, folder=tmp_path)
    resumed = compute(SMOKE, folder=tmp_path)
    assert len(measured) == 3  # the first checkpoint is not measured again
    assert resumed.arrays.keys() == results.arrays.keys()
    assert all(torch.equal(resumed.arrays[key], array) for key, array in results.arrays.items())


def test_the_weights_that_are_recorded_are_those_that_were_measured(results, ground):
    network = recorded_network(SMOKE.config, results)
    found = depth_measures.losses(network, ground, SMOKE.config.last.draws)
    assert torch.allclose(found, results.final["held"], rtol=1e-2)


def expected_bytes(run):
    """The table in the docstring of `measure`, the training loss, and the weights."""
    config, classes = run.config, len(run.config.sizes)

    def of_a_stage(counts):
        starts = sum(min(counts.settled, size) for size in config.sizes)
        probes = classes * counts.probes
        return (4 + 8 * classes + 96 + 2 * counts.samples + 8 * classes + 4 + counts.pictures * config.side**2
                + 3 * 2 * 48 * probes + 40 * classes * counts.linearized + 8 * starts + 16
                + 600 * (counts.bypassed > 0) + (2 * math.ceil(size / counts.weights) if counts.weights else 0))

    size = sum(weight.numel() for weight in untrained(config).parameters())
    return sum(map(of_a_stage, [config.opening, config.last, *(len(config.snapshots) - 2) * [config.passing]]))


def test_every_array_is_there_at_the_first_checkpoint_where_its_tolerance_is_measured(results):
    first, final = results.stages
    assert first.arrays.keys() == final.arrays.keys() == results.final.keys()
    for run in LAPTOP:
        counts = (run.config.opening, run.config.last)
        assert run.config.opening.pictures
        assert len({each.bypassed > 0 for each in counts}) == len({each.weights > 0 for each in counts}) == 1


def test_a_record_has_the_stated_bytes_and_all_together_less_than_three_megabytes(results):
    assert sum(array.nbytes for array in results.arrays.values()) == expected_bytes(SMOKE)
    assert sum(map(expected_bytes, LAPTOP)) < LARGEST
    assert max(expected_bytes(run) for run in LAPTOP if not run.config.last.weights) < 60_000


def test_the_runs_are_those_of_the_table_in_its_order():
    names = [run.name.removeprefix("depth-").removesuffix("-laptop") for run in LAPTOP]
    assert names[:5] == ["equal-L0-b0-s0", "equal-L1-b0-s0", "equal-L2-b0-s0", "equal-L3-b0-s0", "equal-L0-b1-s0"]
    kinds = [name.partition("-")[0] for name in names]
    table = {"equal": 16, "twin": 8, "narrow": 6, "flat": 3, "width": 2, "slow": 2, "fast": 2, "broad": 2, "few": 4,
             "tail": 4, "context": 2}
    assert kinds == [kind for kind, count in table.items() for _ in range(count)]
    assert [run.config.channels for run in EQUAL[:4]] == [60, 36, 28, 24]
    assert {(run.config.block, run.config.seed) for run in EQUAL} == {(0, 0), (1, 0), (2, 0), (0, 1)}
    assert {run.config.steps for run in LAPTOP} == {4000, 3000}
    assert sum(run.config.last.weights for run in LAPTOP) == 4 and sum(run.config.last.bypassed > 0 for run in LAPTOP) == 9
    assert all(run.threads == 1 and run.standing == (2 if run.scale == "smoke" else 1) for run in ALL)
    sizes = [sum(weight.numel() for weight in untrained(run.config).parameters()) for run in EQUAL[:4]]
    assert max(sizes) < 1.03 * 150_000 and min(sizes) > 0.97 * 150_000


def test_networks_of_one_seed_share_draws_and_latents_whatever_their_depth():
    met = {}

    class Spied(torch.nn.Module):
        def __init__(self, network, seen):
            super().__init__()
            self.network, self.seen = network, seen

        def forward(self, x, sigma):
            self.seen.append((x, sigma))
            return self.network(x, sigma)

    for levels in (0, 2):
        config, seen = replace(SMOKE.config, depth=levels, snapshots=(3,)), []
        ground = ground_of(config)
        list(train(config.recipe, lambda: Spied(untrained(config), seen), ground.trained))
        draw(lambda x, sigma: (seen.append((x, torch.as_tensor(sigma))), 0 * x)[1], ground, 8, 4)
        met[levels] = seen
    assert len(met[0]) == len(met[2]) > 3
    for first, second in zip(met[0], met[2]):
        assert all(map(torch.equal, first, second))


def test_samples_do_not_depend_on_how_many_are_drawn(ground):
    network = in_batches(untrained(SMOKE.config))
    with torch.no_grad():
        assert torch.allclose(draw(network, ground, 8, 4), draw(network, ground, 8, 40)[:4], atol=1e-5)


def test_blocks_classifiers_and_test_images_have_no_image_in_common():
    pool = grouped("fashion", fashion_mnist("train", 16))
    blocks = [cut(pool.labels, (900, 100), block) for block in range(3)]
    chosen = torch.cat([*blocks, last(pool.labels, 500)])
    assert len(chosen.unique()) == len(chosen) == 3 * 1000 + 1000
    rows = torch.cat([pool.images[chosen], fashion_mnist("test", 16).images]).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows)
    tail = grouped("tail", fashion_mnist("train", 16))
    assert cut(tail.labels, TAIL, 0).max() < 8192  # behind it stand the images that the classifier of ten kinds has learned
    assert [int((pool.labels[block] == 1).sum()) for block in blocks] == [100] * 3
    assert [index_digest(block)[:8] for block in blocks] == DIGESTS


DIGESTS = ["f24db548", "d4accfa8", "2295693d"]


def test_few_images_are_the_first_of_a_block_and_the_next_are_held_out():
    config = find("depth-few-L0-laptop").config
    few, whole = ground_of(config), ground_of(EQUAL[0].config)
    assert torch.equal(few.trained[:90], whole.trained[:90]) and torch.equal(few.trained[90:], whole.trained[900:910])
    assert torch.equal(few.held[:90], whole.trained[90:180]) and len(few.held) == 100


def test_a_class_that_runs_out_is_said_so():
    with pytest.raises(ValueError, match="block 12 would hold .* images of the classes; expected .900, 100."):
        cut(grouped("fashion", fashion_mnist("train", 16)).labels, (900, 100), 12)


def test_the_committee_that_ships_tells_tops_from_trousers(photographs, tmp_path, monkeypatch):
    found = tops_and_trousers()(photographs.tested)
    assert torch.allclose(found.sum(1), torch.ones(len(found)))
    called, trousers = found.argmax(1) == 1, photographs.test_kinds == 1
    assert len(called) == 847 + 209 and called[trousers].double().mean() > 0.96 and called[~trousers].double().mean() < 0.02
    anew = Committee([train_classifier(*taught(), 2)])  # one alone says nearly the same
    assert (anew(photographs.tested).argmax(1) == found.argmax(1)).double().mean() > 0.97
    other = tmp_path / "tops-and-trousers.safetensors"
    other.write_bytes(committee.TOPS_AND_TROUSERS.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(committee, "TOPS_AND_TROUSERS", other)
    with pytest.raises(ValueError, match="is not the file that ships with the package"):
        tops_and_trousers()


def test_a_committee_is_the_mean_of_its_members():
    members = [Classifier(3, side=8) for _ in range(2)]
    x = torch.randn(5, 1, 8, 8)
    expected = (members[0](x).softmax(1) + members[1](x).softmax(1)) / 2
    assert torch.allclose(Committee(members)(x), expected)
    with pytest.raises(TypeError, match="expected a list of classifiers"):
        Committee([])


def test_the_twin_has_the_shares_and_moments_of_the_photographs_and_knows_its_classes(photographs):
    sizes = (900, 100)
    truth, images = twin(sizes), torch.cat([drawn(sizes, number) for number in range(3, 9)])
    kinds = photographs.kinds.repeat(6)
    assert len(images) == 6000 and (posterior(truth, images).argmax(1) == kinds).double().mean() > 0.99
    for kind in range(2):
        made, real = images[kinds == kind].flatten(1), photographs.trained[photographs.kinds == kind].flatten(1)
        spread = made.std(0) / len(made) ** 0.5
        inside = (made.mean(0) - real.mean(0)).abs() < 5 * spread + 0.02
        assert inside.double().mean() > 0.99
        assert float(made.var(0).sum() / real.var(0).sum()) == pytest.approx(1, abs=0.15)
    assert torch.equal(drawn(sizes, 1), drawn(sizes, 1)) and not torch.equal(drawn(sizes, 1), drawn(sizes, 2))
    sigma = torch.full((len(images),), 0.5)
    noisy = images + 0.5 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    error = (truth(noisy, sigma) - images).square().mean()
    assert error < (EmpiricalDenoiser(drawn(sizes, 0))(noisy, sigma) - images).square().mean()


def test_what_is_said_of_samples_can_be_told_again(photographs):
    generator = torch.Generator().manual_seed(0)
    samples = photographs.tested[:200] + 0.3 * torch.randn(200, 1, 16, 16, generator=generator)
    found = told(said(samples, photographs), 2)
    probabilities = photographs.classify(samples)
    near, off = torch.cdist(samples.flatten(1), photographs.trained.flatten(1)).double().topk(2, largest=False)[0].T, None
    held = torch.cdist(samples.flatten(1), photographs.held.flatten(1)).amin(1)
    owner = torch.cdist(samples.flatten(1), photographs.trained.flatten(1)).argmin(1)
    assert off is None and torch.equal(found.likeliest, probabilities.argmax(1))
    assert torch.equal(found.nearest, (owner >= 900).long())
    assert torch.equal(found.neither, probabilities.amax(1) < 0.9)
    assert torch.equal(found.memorized, near[0] / near[1] < 1 / 3)
    assert torch.equal(found.own, near[0] < held) and 0 < found.own.double().mean() < 1


def test_a_memorizer_keeps_the_share_and_owns_its_samples(photographs):
    samples = draw(EmpiricalDenoiser(photographs.trained), photographs, 18, 600)
    found = told(said(samples, photographs), 2)
    assert found.memorized.all() and found.own.all()
    for share in (found.nearest.double().mean(), found.likeliest.double().mean()):
        assert abs(float(share) - 0.1) < 4 * (0.09 / 600) ** 0.5
    spread = depth_measures.spread(photographs.held, photographs)
    assert torch.allclose(spread, torch.ones(2, 2), atol=0.1)
    assert depth_measures.apart(photographs.held, photographs) == pytest.approx(0, abs=1e-3)


def test_a_jacobian_is_the_covariance_of_the_posterior(ground):
    covariance = torch.diag(torch.linspace(0.1, 2, 64, dtype=torch.float64))
    denoiser = GaussianDenoiser(torch.zeros(64, dtype=torch.float64), covariance)
    found = jacobians(lambda x, sigma: denoiser(x, sigma), ground, 1)
    for (norm, rank), sigma in zip(found[:, 0].tolist(), depth_measures.LINEARIZED):
        gains = covariance.diagonal() / (covariance.diagonal() + sigma**2)
        shares = gains / gains.sum()
        assert norm == pytest.approx(float(gains.norm()), rel=1e-4)
        assert rank == pytest.approx(float(torch.exp(-(shares * shares.log()).sum())), rel=1e-4)


def test_attractors_of_a_memorizer_are_its_images_until_they_merge(ground, monkeypatch):
    monkeypatch.setattr(depth_measures, "SETTLED", (0.05, 50.0))
    ends, converged = attractors(EmpiricalDenoiser(ground.trained), ground, 4)
    assert converged.tolist() == [1, 1]
    assert ends[0].tolist() == [0, 1, 2, 3, 8 + 4, 8 + 5, 8 + 6, 8 + 7] and ends[1].unique().tolist() == [0]


def test_a_block_is_bypassed_within_its_window_and_comes_back():
    gain = depth_measures._gain(0.25, 5.0, 1.0)
    assert gain(5.0) == 0.25 and gain(5.1) == gain(1.0) == 1.0
    assert gain(5**0.5) == pytest.approx((0.25 + 1) / 2)
    assert depth_measures._gain(0.25, float("inf"), 0.0)(3.0) == 0.25


def shortened(run):
    return replace(run.config, snapshots=(1, 2), sampler=2, opening=TINY,
                   last=replace(TINY, bypassed=TINY.samples if run.config.last.bypassed else 0))


def assert_two_steps_are_taken_and_measured(run, monkeypatch):
    monkeypatch.setattr(depth_measures, "SETTLING", 2)
    monkeypatch.setattr(depth_measures, "GAINS", (0.5,))
    monkeypatch.setattr(depth_measures, "LINEARIZED", (1.0,))
    stages = list(depth_network(shortened(run), Work()))
    assert [stage.step for stage in stages] == [1, 2]
    assert all(array.double().isfinite().all() for name, array in stages[-1].arrays.items() if name != "spread")


@pytest.mark.parametrize("name", ["equal-L1-b0-s0", "equal-L0-b2-s0", "twin-L3-b1-s1", "flat-L1", "broad-L3", "few-L2",
                                  "tail-L1", "context-L0-s0"])
def test_the_laptop_scale_takes_two_steps_and_is_measured(name, monkeypatch):
    assert_two_steps_are_taken_and_measured(find(f"depth-{name}-laptop"), monkeypatch)


@pytest.mark.slow
def test_the_paper_scale_takes_two_steps_and_is_measured(tmp_path, monkeypatch):
    """On noise in the place of blond men, with as few of them as the classifiers need; the Jacobian is left out, which has
    4,096 rows of the largest network."""
    run = find("depth-blond-men-L5-paper")
    sizes, taught = (12, 4), 6
    generator = torch.Generator().manual_seed(0)
    for kind, size in enumerate(sizes):
        (tmp_path / "blond-men" / str(kind)).mkdir(parents=True)
        for number in range(2 * size + 2 * taught):
            pixels = torch.randint(256, (64, 64), generator=generator, dtype=torch.uint8).numpy()
            Image.fromarray(pixels).save(tmp_path / "blond-men" / str(kind) / f"{number}.png")
    monkeypatch.setenv("NEARSIGHT_IMAGES", str(tmp_path))
    monkeypatch.setitem(depth_data.TAUGHT, "folder", taught)
    monkeypatch.setattr(depth_measures, "_jacobian", lambda *given: torch.eye(4))
    assert_two_steps_are_taken_and_measured(replace(run, config=replace(run.config, sizes=sizes)), monkeypatch)
    assert {each.config.depth for each in ALL if each.scale == "paper"} == set(range(1, 6))


def test_the_default_network_is_the_first_of_the_table():
    assert find("depth-equal-L0-b0-s1-laptop").config == DepthNetwork(seed=1)
    started = [next(train(replace(each.config.recipe, snapshots=(0, 1)), partial(untrained, each.config),
                          torch.zeros(4, 1, 16, 16))).network for each in (EQUAL[0], EQUAL[4])]
    assert all(map(torch.equal, started[0].parameters(), started[1].parameters()))
