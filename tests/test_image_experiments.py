"""Experiments on recorded networks: each measure on denoisers whose answer is known, and each run from end to end."""

import math
from dataclasses import replace

import pytest
import torch
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.measures import denoising_error, frechet
from nearsight.randomness import stream
from nearsight.records.computing import LARGEST, Results, compute
from nearsight.records.digests import meaning
from nearsight.records.manifests import RecordRefused
from nearsight.records.runs import Stage
from nearsight.records.store import load, store
from nearsight.studies import find, image_fields, image_guidance, image_paths, recorded_weights, runs
from nearsight.studies.image_fields import AWAY, blur_of_errors, dependence, effective_blur, remedies
from nearsight.studies.image_guidance import Guidance, blurred_guidance, class_owners, guided_networks, steered, untold
from nearsight.studies.image_measures import GRID, SIGMAS
from nearsight.studies.image_paths import (
    FINE,
    KINDS,
    STARTS,
    finer_steps,
    frechet_by_eighths,
    mixtures,
    nearest_cosine,
    overlaps,
    passage,
    turned,
    turns,
)
from nearsight.studies.images import ImageNetwork, prepared, untrained
from nearsight.studies.recorded_weights import Experiment, Weights, network_of, recorded

FEW = Experiment((), images=24, samples=24, pictures=4, curve=16)
EXPERIMENTS = [run for run in runs() if isinstance(run.config, (Experiment, Guidance))]
SMOKE = [run for run in EXPERIMENTS if run.scale == "smoke"]


@pytest.fixture(scope="module")
def ground():
    return prepared(ImageNetwork())[0]


@pytest.fixture(scope="module")
def memorizers(ground):
    """The exact memorizers of blocks 0 and 1."""
    return [EmpiricalDenoiser(ground.blocks[block]) for block in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("run", SMOKE, ids=lambda run: run.name)
def test_an_experiment_goes_from_end_to_end(run):
    results = compute(run)
    assert results.steps == list(range(1, run.config.steps + 1))
    assert all(array.double().isfinite().all() for array in results.arrays.values())


def test_each_experiment_is_listed_at_laptop_scale_on_networks_that_are_listed():
    listed = {run.name: run.config for run in runs()}
    laptop = [run for run in EXPERIMENTS if run.scale == "laptop"]
    assert {run.computation for run in laptop} == {run.computation for run in SMOKE} and len(laptop) == 6
    for run in laptop:
        config = run.config
        weights = [config.late, config.early] if isinstance(config, Guidance) else config.weights
        assert all(listed[each.run] == each.moments for several in weights for each in several)
        assert all([each.moments.network.block for each in several] == list(range(len(several))) for several in weights)
        assert all(each.digest is not None for several in weights for each in several)


# What the recorded weights are, and that no others are taken for them.


@pytest.fixture(scope="module")
def small():
    """A smoke run that records weights, and its results."""
    run = find("image-weights-smoke")
    return run, compute(run)


@pytest.fixture
def place(small, tmp_path, monkeypatch):
    """A folder of records that holds them."""
    run, results = small
    monkeypatch.setattr(recorded_weights, "ROOT", tmp_path / "recorded")
    keep(run, results, tmp_path / "recorded")
    return tmp_path / "recorded"


def keep(run, results, root):
    store(run, results, {"meaning": meaning(run.computation, run.config), "device": "cpu", "tolerances": {}}, root)


def test_recorded_weights_are_those_that_were_trained(small, place):
    weights = recorded(small[0])
    assert len(weights.digest) == 64
    loaded, trained = network_of(weights), network_of(Weights(small[0].name, small[0].config))
    assert all(map(torch.equal, loaded.state_dict().values(), trained.state_dict().values()))
    assert not loaded.training


def test_other_weights_are_refused_with_a_sentence(small, place):
    run, results = small
    weights = recorded(run)
    changed = {name: array + 1 for name, array in results.final.items()}
    keep(run, replace(results, stages=(results.stages[-1]._replace(arrays=changed),)), place)
    assert recorded(run).digest != weights.digest
    with pytest.raises(ValueError, match=f"SHA-256 {weights.digest}: `make reproduce RUN=image-weights-smoke` first"):
        network_of(weights)
    with pytest.raises(ValueError, match="not recorded.*none yet"):
        network_of(replace(weights, digest=""))


def test_weights_that_are_not_recorded_have_no_digest(small, tmp_path, monkeypatch):
    monkeypatch.setattr(recorded_weights, "ROOT", tmp_path)
    assert recorded(small[0]).digest == ""


def test_an_experiment_on_other_weights_is_stale(small, place, monkeypatch):
    monkeypatch.setattr(image_paths, "STARTS", (10,))
    run = replace(find("image-turns-smoke"), name="turns", config=Experiment(((recorded(small[0]),) * 2,), 4, 4, 1, 2))
    keep(run, compute(run), place)
    assert load(run, place).results.steps == [1]
    other = replace(run, config=replace(run.config, weights=((Weights(small[0].name, small[0].config, "0" * 64),) * 2,)))
    with pytest.raises(RecordRefused, match="recorded with another configuration .weights was"):
        load(other, place)


# Paths.


def test_a_memorizer_leads_training_images_back_and_all_others_to_training_images(ground, memorizers):
    found = turns(FEW, memorizers, ground)
    assert found["distance"].shape == (2, len(STARTS), len(KINDS), 24)
    own, low = KINDS.index(1.0), STARTS.index(10)  # sigma .14
    for block in range(2):
        names = found["owners"][block]
        assert (names[..., 0] // 512 == block).all() and (found["natural"][block][:, 0] // 512 == block).all()
        assert torch.equal(names[low, own, :, 0] - 512 * block, torch.arange(24).short())
        assert (found["distance"][block, low, own] < 0.05).all()
        assert (found["distance"][block, low, [KINDS.index(0.0), KINDS.index("other")]] > 0.5).all()
    high = found["distance"][:, 0, own]  # from sigma 9.4 it is another image that is reached
    assert (high > 0.5).double().mean() > 0.9


def test_a_generator_that_knows_the_law_of_white_data_turns_to_the_shrunken_start(ground):
    """The ODE of N(0, s^2 I) from sigma_0 ends at x s / sqrt(s^2 + sigma_0^2), with the sampler's small error."""
    clean, spread = torch.randn(2, 8, 1, 16, 16, generator=stream(1)) / 2, 0.5
    ends = turned(lambda x, sigma: x * spread**2 / (spread**2 + sigma**2), clean)
    noise = torch.randn(clean.shape[1:], generator=stream(image_paths.STUDY, 30))
    for start, end in zip(STARTS, ends):
        sigma = float(GRID[start])
        expected = (clean + sigma * noise) * spread / math.sqrt(spread**2 + sigma**2)
        assert (end - expected).norm() < 0.06 * expected.norm()


def test_mixtures_run_from_the_own_block_to_v_and_the_other_block_stands_last(ground):
    clean = mixtures(ground, 0, 1, 5)
    assert torch.equal(clean[0], ground.blocks[0, :5]) and torch.equal(clean[4], ground.stopping[:5])
    assert torch.equal(clean[5], ground.blocks[1, :5])
    torch.testing.assert_close(clean[2], (clean[0] + clean[4]) / 2)


def test_twenty_eight_steps_end_nearer_to_the_exact_solution():
    latents = 20 * torch.randn(64, 1, 4, 4, generator=stream(2))
    expected = latents * 0.5 / math.sqrt(0.25 + 400)
    error = [(image_paths.sample(lambda x, sigma: x / (1 + 4 * sigma**2), latents, grid) - expected).abs().max()
             for grid in (GRID, FINE)]
    assert error[1] < error[0] / 2 < 0.05


def test_both_samplers_start_alike(ground, memorizers):
    found = finer_steps(FEW, memorizers, ground)
    assert found["owners/pixels"].shape == (2, 2, 24, 4) and found["moved"].shape == (2, 24)
    same = (found["order"][:, 0, :, 0] == found["order"][:, 1, :, 0])
    moved = found["moved"].float()
    assert same.double().mean() > 0.3 and (moved[same] < 0.1).all() and (moved[~same] > 0.3).all()


# Passages.


def test_the_overlap_of_noised_training_images_is_a_chi_square(ground):
    train, sigma = ground.blocks[0], 0.05  # far below half the distance to a neighbor
    x = train + sigma * torch.randn(train.shape, generator=stream(3))
    found = overlaps(x, train, sigma)
    assert float(found.mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / 256 / 512))
    assert float(found.std()) == pytest.approx(math.sqrt(2 / 256), rel=0.15)
    assert overlaps(ground.stopping[:64] + (x - train)[:64], train, sigma).min() > 2


def test_a_path_to_a_single_point_keeps_its_overlap():
    """(x - y)/sigma is constant along the ODE that ends in the one point y."""
    point = torch.randn(1, 1, 4, 4, generator=stream(4))
    latents = GRID[0] * torch.randn(16, 1, 4, 4, generator=stream(5)).double()
    _, states = image_paths.sample(EmpiricalDenoiser(point.double()), latents, GRID, trajectory=True)
    found = torch.stack([overlaps(x, point.double(), float(sigma)) for x, sigma in zip(states, GRID[:-1])])
    torch.testing.assert_close(found, found[:1].expand_as(found), rtol=1e-6, atol=0)


def test_the_nearest_cosine_is_that_of_all_pairs():
    features, reference = torch.randn(7, 5, generator=stream(6)), torch.randn(9, 5, generator=stream(7))
    expected = [max(float(torch.cosine_similarity(a, b, 0)) for b in reference) for a in features]
    torch.testing.assert_close(nearest_cosine(features, reference), torch.tensor(expected).double(), rtol=1e-5, atol=0)


def test_frechet_distances_leave_out_an_eighth_of_both():
    first, second = torch.randn(40, 3, generator=stream(8)), torch.randn(40, 3, generator=stream(9))
    found = frechet_by_eighths(first, second)
    assert found.shape == (9,) and float(found[0]) == pytest.approx(frechet(first, second), rel=1e-6)
    assert float(found[3]) == pytest.approx(frechet(first[[*range(10), *range(15, 40)]],
                                                    second[[*range(10), *range(15, 40)]]), rel=1e-6)


def test_the_baseline_is_the_distance_of_two_blocks_and_a_memorizer_reconstructs_its_own(ground, memorizers):
    """Study 4 states the baseline: .588 for 512 images of blocks 0 and 1."""
    found = passage(memorizers[0], ground, 0, 1, 512)
    assert float(found["baseline"][0]) == pytest.approx(0.588, abs=5e-4)
    low = 9  # of the sampler's levels: sigma .27
    of_own, of_other = found["similarity"][low].float()[:2]
    assert (of_own[0] > 0.999).double().mean() > 0.95 and of_other[1].mean() < of_other[0].mean()
    reconstructed = found["frechet"][low, :, :, 0]
    assert reconstructed[0, 0] < 0.01 < reconstructed[0, 1]  # x_r(own) lies on the own block
    assert float(reconstructed[0, 1]) == pytest.approx(0.588, abs=0.02)
    assert found["overlap"][low, 0].mean() < 1.1 < found["overlap"][low, 1].mean()


# Fields.


def test_what_acts_on_each_pixel_alone_depends_on_none_else():
    images = torch.randn(3, 1, 5, 4, generator=stream(10))
    moment, weight = dependence(lambda x, sigma: x / (1 + sigma**2), images, torch.tensor([0.5, 2.0]), 20)
    assert not moment.any()
    torch.testing.assert_close(weight, 20 / (1 + torch.tensor([0.5, 2.0]) ** 2)[:, None].expand(2, 3))


def test_the_mean_of_all_pixels_depends_on_all_alike():
    places = torch.cartesian_prod(torch.arange(5.0), torch.arange(4.0))
    moment, weight = dependence(lambda x, sigma: x.mean((2, 3), keepdim=True).expand_as(x),
                                torch.randn(2, 1, 5, 4, generator=stream(11)), torch.tensor([1.0]), 20)
    torch.testing.assert_close(moment / weight, torch.cdist(places, places).mean().expand(1, 2))


def test_the_range_of_a_memorizer_is_that_of_its_posterior_covariance():
    """dD/dx = Cov(y | x) / sigma^2."""
    points, image = torch.randn(7, 1, 3, 3, generator=stream(12)).double().split([6, 1])
    sigma = 1.5
    moment, weight = dependence(EmpiricalDenoiser(points), image, torch.tensor([sigma]), 9)
    generator = stream(image_fields.STUDY, 33)
    torch.randperm(9, generator=generator)
    x = (image + sigma * torch.randn(1, 1, 3, 3, generator=generator)).flatten()
    rows = points.flatten(1)
    weights = (-(x - rows).square().sum(1) / (2 * sigma**2)).softmax(0)
    centered = rows - weights @ rows
    slopes = (centered.T @ (weights[:, None] * centered) / sigma**2).abs()
    places = torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0)).double()
    assert float(weight) == pytest.approx(float(slopes.sum()), rel=1e-5)
    assert float(moment) == pytest.approx(float((slopes * torch.cdist(places, places)).sum()), rel=1e-5)


def test_outputs_are_drawn_and_their_mean_range_is_near_that_of_all():
    def blurred(x, sigma):
        return torch.nn.functional.avg_pool2d(x, 3, 1, 1)

    images = torch.randn(4, 1, 8, 8, generator=stream(14))
    some, every = (dependence(blurred, images, torch.tensor([1.0]), count) for count in (32, 64))
    assert float(some[0].sum() / some[1].sum()) == pytest.approx(float(every[0].sum() / every[1].sum()), rel=0.1)


def test_the_effective_blur_of_a_blurred_memorizer_is_its_blur(ground):
    train, sigmas = ground.blocks[0, :128], SIGMAS[6:15:4]
    noise = torch.randn(2, 1, 1, 16, 16, generator=stream(15))
    for blur in (0.1, 0.4):
        wanted = denoising_error(EmpiricalDenoiser(train, blur), train, sigmas, noise=noise)
        found = effective_blur(train, train, sigmas, wanted, noise)
        torch.testing.assert_close(found, torch.full((3,), blur).double(), rtol=0.01, atol=0)


def test_the_blur_of_a_record_s_errors_is_found_on_the_record_s_own_images_and_noise(ground):
    error = image_fields.errors(EmpiricalDenoiser(ground.blocks[0], 0.3), ground, 256)["error"][0]
    found = blur_of_errors(ground.blocks[0], error)
    torch.testing.assert_close(found[4:14], torch.full((10,), 0.3).double(), rtol=0.01, atol=0)


def test_an_error_beyond_that_of_doing_nothing_has_no_blur(ground):
    train = ground.blocks[0, :64]
    noise = torch.randn(1, 1, 1, 16, 16, generator=stream(16))
    found = effective_blur(train, train, torch.tensor([0.5, 0.5]), torch.tensor([0.3, 0.1]), noise)
    assert found[0].isnan() and 0.1 < found[1] < 2


def test_remedies_lead_from_one_network_over_the_mean_to_the_other(ground, memorizers):
    found = remedies(FEW, memorizers, ground)
    assert found["owners/pixels"].shape == (len(AWAY), 24, 4) and found["error"].shape == (len(AWAY), 6, 24)
    blocks = found["order"][:, :, 0] // 512
    assert (blocks[AWAY.index(0.0)] == 0).all() and (blocks[AWAY.index(1.0)] == 1).all()
    error = found["error"]
    for weight, block in ((0.0, 0), (1.0, 1)):
        expected = image_fields.errors(memorizers[block], ground, 16)["error"]
        torch.testing.assert_close(error[AWAY.index(weight)], expected, rtol=1e-3, atol=1e-6)
    middle = error[AWAY.index(0.5)]
    assert (middle[:2, :14].mean(0) < middle[2:4, :14].mean(0)).all()  # it leans on both


# Guidance.


@pytest.fixture(scope="module")
def labelled():
    return prepared(ImageNetwork(size=256, blocks=2, condition="labels", channels=8))[0]


def test_guidance_is_its_formula(labelled):
    network = untrained(ImageNetwork(condition="labels", channels=8)).requires_grad_(False).eval()
    for parameter in network.parameters():
        parameter.copy_(0.1 * torch.randn(parameter.shape, generator=stream(17)))
    x, labels = labelled.stopping[:6], labelled.labels["stopping"][:6]
    told, nothing = network(x, 1.0, labels), network(x, 1.0)
    assert not torch.allclose(told, nothing)
    torch.testing.assert_close(steered(network, untold(network), 2.0)(x, 1.0, labels), told + 2 * (told - nothing))
    assert torch.equal(steered(network, untold(network), 0.0)(x, 1.0, labels), told)
    torch.testing.assert_close(steered(network, network, 3.0)(x, 1.0, labels), told)


def test_owners_of_a_class_are_the_nearest_of_it(labelled):
    samples, labels = labelled.stopping[:40], labelled.labels["stopping"][:40]
    found = class_owners(samples, labels, labelled)
    pool, kinds = labelled.blocks.flatten(0, 1), labelled.labels["blocks"].flatten()
    distance = torch.cdist(samples.flatten(1).double(), pool.flatten(1).double())
    distance[labels[:, None] != kinds] = torch.inf
    expected = torch.stack([part.argmin(1) + 256 * block for block, part in enumerate(distance.split(256, 1))], 1)
    assert torch.equal(found.long().sort(1).values, expected)
    assert torch.equal(found[:, 0].long(), distance.argmin(1))


def test_the_exact_counterpart_of_guidance(ground):
    train, x = ground.blocks[0, :64], ground.stopping[:8] + 0.5 * torch.randn(8, 1, 16, 16, generator=stream(18))
    sharp, soft = EmpiricalDenoiser(train, 0.2)(x, 0.5), EmpiricalDenoiser(train, 0.4)(x, 0.5)
    torch.testing.assert_close(blurred_guidance(train, 1.5)(x, 0.5), sharp + 1.5 * (sharp - soft))
    assert torch.equal(blurred_guidance(train, 0.0)(x, 0.5), sharp)


def test_guided_networks_are_read_as_others_are():
    ratios = torch.arange(24.0).view(2, 3, 4)
    results = Results(tuple(Stage(step, {"ratio": ratios + 100 * step}) for step in (1, 2)), 0.0)
    for kind, found in enumerate(guided_networks(results, 512)):
        assert found.steps == [1, 2] and found.pairs == [(0, 1, 0), (0, 2, 0), (1, 2, 0)] and found.size == 512
        assert torch.equal(found.curve("ratio")[2, 0], torch.stack([ratios[kind, 2] + 100, ratios[kind, 2] + 200]))


def test_networks_and_kinds_of_guidance_stand_in_their_places(labelled, monkeypatch):
    """Networks that answer with their own number: the late ones 10 and 11, the early ones 0 and 1, no class 5."""
    def answering(weights):
        late = weights.digest == "late"

        class Answer(torch.nn.Module):
            def forward(self, x, sigma, labels=None):
                return torch.full_like(x, 5.0 if labels is None else weights.moments + 10 * late)
        return Answer()

    seen = []
    monkeypatch.setattr(image_guidance, "network_of", answering)
    monkeypatch.setattr(image_guidance, "prepared", lambda *given: (labelled, None))
    monkeypatch.setattr(image_guidance, "guided_network", lambda config, denoiser, ground: seen.append(
        (ground.own, float(denoiser(torch.zeros(1, 1, 2, 2), 1.0, torch.zeros(1))[0, 0, 0, 0]))) or {"a": torch.zeros(3)})

    class Named(Weights):
        network = None

    class Number(int):
        network = None

    late, early = (tuple(Named("", Number(block), name) for block in range(2)) for name in ("late", "early"))
    stages = list(image_guidance.image_guidance(Guidance(late, early, (0.0, 2.0))))
    assert [stage.step for stage in stages] == [1, 2] and stages[0].arrays["a"].shape == (2, 2, 3)
    assert seen[:4] == [(0, 10), (1, 11), (0, 10), (1, 11)]
    assert seen[4:] == [(0, 10 + 2 * 5), (1, 11 + 2 * 6), (0, 10 + 2 * 10), (1, 11 + 2 * 10)]


@pytest.mark.parametrize("run", [run for run in EXPERIMENTS if run.scale == "laptop"], ids=lambda run: run.name)
def test_a_record_stays_below_three_megabytes(run):
    """By the shapes that the docstrings state: 4 blocks, or 3 with guidance."""
    config, b = run.config, 3 if isinstance(run.config, Guidance) else 4
    drawn = config.samples * (3 * 2 * b + 24 + 2 * b + 6) + 4 * 33 * 32 + 256 * config.pictures  # of measure_samples
    curves = 192 * (b + 2) + 48 * config.curve
    bytes_ = {
        image_paths.image_turns: lambda: 2 * (54 * config.images * (2 + 2 * b) + 2 * b * config.samples),
        image_paths.image_passages: lambda: 2 * (14 * config.images * (12 + 12) + 14 * 6 * 36 + 36),
        image_paths.image_steps: lambda: 2 * (2 * drawn + 2 * config.samples),
        image_fields.image_ranges: lambda: 2 * 2 * 2 * 12 * 4 * config.images,
        image_fields.image_remedies: lambda: len(AWAY) * (drawn + curves),
        image_guidance.image_guidance: lambda: 2 * b * (drawn + curves + 2 * b * config.samples),
    }[run.computation]() * config.steps
    assert bytes_ < LARGEST


def test_the_stated_shapes_are_those_that_come(ground, memorizers):
    config = replace(FEW, images=16, samples=16)
    drawn = 16 * (24 + 24 + 8 + 6) + 4 * 33 * 32 + 256 * 4
    for found, expected in ((turns(config, memorizers, ground), 2 * (54 * 16 * 10 + 8 * 16)),
                            (finer_steps(config, memorizers, ground), 2 * (2 * drawn + 2 * 16)),
                            (remedies(config, memorizers, ground), 6 * (drawn + 192 * 6 + 48 * 16))):
        assert sum(array.nbytes for array in found.values()) == expected
