"""Readings of records: equal to the measures taken of the samples and errors themselves."""

from dataclasses import replace

import pytest
import torch
from nearsight.denoisers import EmpiricalDenoiser, GaussianDenoiser
from nearsight.measures import (
    calibrated_threshold,
    crossed_gap,
    frechet,
    generalization_gap,
    own_other,
    pair_cosine,
    preference_onset,
    preference_stop,
    proximity_bias,
    split_variance,
    stratified_deal_test,
)
from nearsight.records.computing import Results
from nearsight.records.runs import Stage
from nearsight.studies import (
    find,
    image_attacks,
    image_clocks,
    image_gaps,
    image_measures,
    image_paths,
    image_readings,
    image_stops,
    images,
)
from nearsight.studies.image_measures import SIGMAS, Counts, draw
from nearsight.studies.image_paths import KINDS, STARTS
from nearsight.studies.image_readings import Networks
from nearsight.studies.recorded_weights import Experiment
from scipy.stats import t as student

SIZE, BLOCKS = 128, 3
COUNTS = Counts(held=32, samples=200, pictures=24, curve=32, probes=(6, 2, 2), candidates=64)
STEPS = [10, 20]


@pytest.fixture(scope="module")
def ground():
    return images.prepared(replace(find("images-smoke").config, blocks=BLOCKS))[0]


def generators(ground, block, seed):
    """Two exact denoisers that stand for a network at two checkpoints: early a Gaussian of its block, late its memory. A
    seed is told by a slight blur."""
    rows = ground.blocks[block].flatten(1)
    covariance = rows.T.cov() + 0.01 * (1 + seed) * torch.eye(256)
    return GaussianDenoiser(rows.mean(0), covariance), EmpiricalDenoiser(ground.blocks[block], 0.1 + 0.2 * seed)


@pytest.fixture(scope="module")
def made(ground):
    """{(block, seed): [samples at each checkpoint]}, and the networks that have them on record."""
    samples, results = {}, {}
    for block in range(BLOCKS):
        own = replace(ground, own=block)
        for seed in range(2):
            stages = []
            for step, denoiser in zip(STEPS, generators(ground, block, seed)):
                drawn = draw(denoiser, own, COUNTS.samples)
                samples.setdefault((block, seed), []).append(drawn)
                arrays = {**image_measures.measure_samples(drawn, own, COUNTS.pictures),
                          **image_measures.errors(denoiser, own, COUNTS.curve),
                          **image_measures.losses(denoiser, denoiser, own, COUNTS.held),
                          "scores": image_measures.scores(denoiser, own, COUNTS),
                          "probes": image_measures.probes(denoiser, own)}
                stages.append(Stage(step, arrays))
            results[block, seed] = Results(tuple(stages), 0.0)
    return samples, Networks(results, SIZE)


def test_all_pairs_of_blocks_with_one_seed_are_pairs(made):
    networks = made[1]
    assert networks.steps == STEPS
    assert sorted(networks.pairs) == [(0, 1, 0), (0, 1, 1), (0, 2, 0), (0, 2, 1), (1, 2, 0), (1, 2, 1)]


def test_a_network_s_preference_is_that_of_its_samples(made, ground):
    samples, networks = made
    found = image_readings.block_preferences(networks)
    for (block, seed), preferences in found.items():
        for place, preference in enumerate(preferences):
            whole = proximity_bias(samples[block, seed][place], ground.blocks[block], ground.blocks[(block + 1) % BLOCKS])
            assert vars(preference) == {name: getattr(whole, name) for name in vars(preference)}


def test_a_pair_s_preference_is_that_of_its_samples(made, ground):
    samples, networks = made
    found = image_readings.pair_preferences(networks)
    for i, j, seed in networks.pairs:
        for index in range(2):
            expected = own_other(samples[i, seed][index], samples[j, seed][index], ground.blocks[i], ground.blocks[j])
            assert float(found[i, j, seed][index]) == pytest.approx(expected.preference, abs=1e-12)
        assert found[i, j, seed][1] > 0.9 > found[i, j, seed][0]  # memory leans wholly, a Gaussian a little


def test_the_joint_preference_is_the_mean_over_pairs(made):
    _, networks = made
    joint = image_readings.joint_preferences(networks, torch.Generator().manual_seed(0), 200)
    pairs = torch.stack(list(image_readings.pair_preferences(networks).values())).mean(0)
    assert [each.preference for each in joint] == pytest.approx(pairs.tolist(), abs=2e-3)  # 12 neighbors are kept of all
    assert torch.allclose(image_readings.over_blocks(image_readings.pair_preferences(networks)).value, pairs)


def test_the_crossed_gap_is_that_of_the_denoisers(made, ground):
    _, networks = made
    found = image_gaps.crossed_gaps(networks)[0, 2, 0][1]
    noise = torch.randn(1, COUNTS.curve, 1, 16, 16,
                        generator=image_measures.stream(image_measures.STUDY, 2))
    first, second = (generators(ground, block, 0)[1] for block in (0, 2))
    a, b = (ground.blocks[block][:COUNTS.curve] for block in (0, 2))
    expected = crossed_gap(generalization_gap(first, a, b, SIGMAS, noise=noise),
                           generalization_gap(second, b, a, SIGMAS, noise=noise))
    assert torch.allclose(found, expected.gap.double(), rtol=1e-3)
    own, other = image_gaps.crossed_errors(networks)[0, 2, 0][:, 1]
    assert torch.allclose(own, expected.train.double(), rtol=1e-3)
    assert torch.allclose(other, expected.holdout.double(), rtol=1e-3)


def test_the_summit_of_a_parabola_is_where_it_is_between_levels_too():
    at, height = torch.tensor([0.1, 0.33, 4.0], dtype=torch.float64), torch.tensor([0.2, 0.05, 7.0], dtype=torch.float64)
    gaps = height[:, None] - (SIGMAS.log() - at.log()[:, None]).square()
    torch.testing.assert_close(image_gaps.summit(gaps), torch.stack([height, at.log()]))
    rising = image_gaps.summit(SIGMAS.log())  # no bump: at the edge, and never beyond
    torch.testing.assert_close(rising[1], SIGMAS[-1].log())
    with pytest.raises(ValueError, match=r"expected \[24\]"):
        image_gaps.summit(SIGMAS[:5])


def test_split_distances_are_those_of_the_pictures(made):
    _, networks = made
    found = image_readings.split_distances(networks)
    pictures = {label: curve.double() for label, curve in networks.curve("pictures").items()}
    seeds = [(1 - pair_cosine(pictures[block, 0][1], pictures[block, 1][1])).median() for block in range(BLOCKS)]
    assert float(found["seed"].value[1]) == pytest.approx(float(torch.stack(seeds).mean()))
    assert found["data"].value[1] > found["seed"].value[1] and (found["both"].error >= 0).all()


def test_variances_are_those_of_the_probed_coordinates(made):
    _, networks = made
    coarse = list(image_readings.probe_variances(networks, 1, slice(32), slice(6)))
    expected = split_variance({label: array[1][:6, :32].double() for label, array in networks.at(1, "probes").items()})
    assert float(coarse[1].data_variance.value) == pytest.approx(float(expected.data_variance.value))
    assert len(coarse) == 2


def test_the_cards_of_a_pair_are_those_that_are_dealt_for_its_samples(made, ground):
    samples, networks = made
    for index in range(2):
        weights = image_readings.pair_weights(networks, (0, 2, 1), index)
        expected = own_other(samples[0, 1][index], samples[2, 1][index], ground.blocks[0], ground.blocks[2])
        deal = stratified_deal_test(weights, torch.zeros_like(weights), torch.arange(2 * SIZE) < SIZE)
        assert 0.5 + deal.observed / (2 * COUNTS.samples) == pytest.approx(expected.preference, abs=1e-12)
        assert deal.p_value == pytest.approx(expected.p_value, rel=1e-9)


def at_the_probes(ground, level):
    """Coordinates of the probed images without noise, and with the noise of the measurement."""
    noise = torch.randn(ground.probed.shape, generator=image_measures.stream(image_measures.STUDY, 4))
    noisy = ground.probed + image_measures.PROBED[level] * noise
    return ground.basis(ground.probed).double(), ground.basis(noisy.float()).double()


def test_the_error_at_the_probes_is_what_all_have_in_common_and_three_variances(made, ground):
    _, networks = made
    truth, _ = at_the_probes(ground, 1)
    variances = list(image_readings.probe_variances(networks, 1, probes=slice(6)))
    bias = image_readings.probe_bias(networks, 1, truth, slice(6))
    # One block in three, one seed in two: the pairs that differ in both weigh every network alike.
    error = torch.stack(list(image_readings.probe_errors(networks, 1, truth, probes=slice(6)).values())).mean(0)
    total = torch.stack([each.data_variance.value + each.seed_variance.value + each.mixed_variance.value
                         for each in variances])
    assert torch.allclose(bias.value + total, error, rtol=1e-12)
    denoiser = generators(ground, 2, 1)[0]
    noise = torch.randn(ground.probed.shape, generator=image_measures.stream(image_measures.STUDY, 4))
    denoised = denoiser(ground.probed + float(image_measures.PROBED[1]) * noise, float(image_measures.PROBED[1]))
    expected = (ground.basis(denoised).double() - truth)[:6, 32:].square().mean()
    found = image_readings.probe_errors(networks, 1, truth, slice(32, None), slice(6))[2, 1][0]
    assert float(found) == pytest.approx(float(expected), rel=1e-3)


def test_cosines_are_those_of_what_the_denoisers_remove_within_the_directions(made, ground):
    _, networks = made
    _, noisy = at_the_probes(ground, 0)
    found = image_readings.probe_cosines(networks, 0, noisy, slice(6))
    noise = torch.randn(ground.probed.shape, generator=image_measures.stream(image_measures.STUDY, 4))
    sigma = float(image_measures.PROBED[0])
    x = ground.probed + sigma * noise
    kept = [(generators(ground, block, 1)[1](x, sigma) - x).flatten(1)[:6] @ ground.basis.directions.T
            for block in (0, 1)]
    expected = torch.nn.functional.cosine_similarity(*kept).mean()
    assert float(found[0, 1, 1][1]) == pytest.approx(float(expected), abs=1e-4)
    same = image_readings.probe_cosines(Networks(dict.fromkeys(networks.results, networks.results[0, 0]), SIZE), 0, noisy)
    assert all(torch.allclose(each, torch.ones(2, dtype=torch.float64)) for each in same.values())


def test_a_memory_is_found_by_both_attacks(made):
    _, networks = made
    areas = image_attacks.attacks(networks)
    assert areas["plain"].keys() == areas["calibrated"].keys() == networks.results.keys()
    for kind in ("plain", "calibrated"):
        assert all(area[1] > 0.9 for area in areas[kind].values()), areas


def test_members_are_found_at_about_the_false_alarms_that_were_asked_for(made):
    _, networks = made
    for kind in image_attacks.KINDS:
        asked = torch.tensor([0.1, 0.3, 0.5])
        found, alarmed = image_attacks.members_found(networks, 1, kind, asked)
        assert found.shape == alarmed.shape == (3, len(networks.results))
        half = COUNTS.candidates // 2
        reach = 4 * (asked * (1 - asked) / half).sqrt() * 2**0.5  # the threshold and the count are both of half of them
        assert ((alarmed.mean(1) - asked).abs() < reach).all()
        assert (found.mean(1) > alarmed.mean(1)).all()
    with pytest.raises(ValueError, match="kind"):
        image_attacks.members_found(networks, 1, "strong", asked)


def test_the_plain_attack_finds_what_its_threshold_finds(made):
    _, networks = made
    members, _, strangers = networks.at(1, "scores")[0, 1]
    found, alarmed = image_attacks.members_found(networks, 1, "plain", torch.tensor([0.25]))
    rates = [[(each > calibrated_threshold(one, 0.25)).double().mean() for each in (members, other)]
             for one, other in ((strangers[::2], strangers[1::2]), (strangers[1::2], strangers[::2]))]
    assert [float(found[0, 1]), float(alarmed[0, 1])] == pytest.approx(torch.tensor(rates).mean(0).tolist())


def test_the_frechet_distance_is_that_of_the_samples(made, ground):
    samples, networks = made
    features = ground.basis(ground.reference)[:, :32]
    found = image_gaps.frechet_to(networks, features)
    for index in range(2):
        expected = frechet(ground.basis(samples[1, 0][index])[:, :32], features)
        assert float(found[1, 0][index]) == pytest.approx(expected, rel=1e-4)


def test_the_inference_gap_of_a_memory_is_the_distance_of_blocks_and_that_of_one_law_is_0(made, ground):
    _, networks = made
    features = torch.stack([ground.basis(block)[:, :32].double() for block in ground.blocks])

    def that_of(block):
        moments = {"mean": features[block].mean(0), "covariance": features[block].T.cov()}
        return Results(tuple(Stage(step, moments) for step in STEPS), 0.0)

    memory, same = ({(block, seed): that_of(block * recalls) for block in range(BLOCKS) for seed in range(2)}
                    for recalls in (True, False))
    for results, share in ((memory, 1), (same, 0)):
        gaps = image_gaps.inference_gaps(Networks(results, SIZE), features)
        assert gaps.keys() == {*networks.pairs}
        for (i, j, _), gap in gaps.items():
            apart = frechet(features[i], features[j])
            assert gap.tolist() == pytest.approx([share * apart] * 2, abs=1e-6 * apart)


def test_memories_turn_their_own_images_to_themselves_and_the_others_to_their_own(ground):
    memories = [EmpiricalDenoiser(ground.blocks[block]) for block in range(2)]
    two = replace(ground, blocks=ground.blocks[:2])
    found = image_paths.turns(Experiment((), images=12, samples=4), memories, two)
    ends = image_readings.turned_owners(Results((Stage(1, found), Stage(2, found)), 0.0), SIZE)
    assert ends.shape == (2, 2, len(STARTS), len(KINDS), 12) and torch.equal(ends[0], ends[1])
    low = STARTS.index(10)  # sigma .14
    assert torch.equal(ends[0, :, low, KINDS.index(1.0)], torch.arange(12).expand(2, 12))
    assert (ends < SIZE).all()  # a memory of one block ends in it, wherever it starts
    swapped = image_readings.turned_owners(Results((Stage(1, {"owners": found["owners"].flip(0)}),), 0.0), SIZE)
    assert torch.equal(swapped[0, :, low, KINDS.index(1.0)], SIZE + torch.arange(12).expand(2, 12))


def test_the_onsets_of_a_judged_family_are_those_of_its_joint_preferences(made):
    _, networks = made
    joint, struck = image_clocks.judged(networks, torch.Generator().manual_seed(0), relabelings=50)
    again = image_readings.joint_preferences(networks, torch.Generator().manual_seed(0), 50)
    assert [(each.low, each.high) for each in joint] == [(each.low, each.high) for each in again]
    for margin in (0, 0.05):
        place = preference_onset(joint, margin)
        assert place is not None and struck[f"onset {margin:g}"].step == STEPS[place]


def test_a_mean_over_networks_has_the_bounds_over_blocks(made):
    _, networks = made
    values = {label: torch.tensor([label[0] + 10.0 * label[1], 1.0]) for label in networks.results}
    mean, low, high = image_readings.over_networks(values)
    reach = student.ppf(0.975, 2) / 3**0.5  # of three blocks: 5, 6, 7
    assert torch.allclose(torch.stack([mean, low, high])[:, 0], torch.tensor([6, 6 - reach, 6 + reach], dtype=torch.float64))
    assert low[1] == mean[1] == high[1] == 1
    number, *_ = image_readings.over_networks({label: each[0] for label, each in values.items()})
    assert number.ndim == 0 and number == 6


def test_stops_and_their_prices_are_those_of_the_curves(made, ground):
    _, networks = made
    features = ground.basis(ground.reference)[:, :32]
    stops = image_stops.least_loss(networks)
    for label, results in networks.results.items():
        losses = [float(stage.arrays["stopping"][0].double().mean()) for stage in results.stages]
        assert losses[stops[label]] == min(losses)
    last = dict.fromkeys(networks.results, 1)
    some = last | {label: None for label in last if label[0] == 0}
    found = image_stops.prices(networks, {"least": stops, "last": last, "some": some}, features)
    for what, of_some in found["some"].items():  # a network that is not stopped has no price
        assert of_some == {label: found["last"][what][label] for label in last if label[0] > 0}
    assert all(value == 0 for value in found["least"]["loss"].values())
    report = image_stops.losses_on(networks, "report")
    pairs = image_readings.pair_preferences(networks)
    for block, seed in networks.results:
        of_last = {what: float(each[block, seed]) for what, each in found["last"].items()}
        loss = report[block, seed]
        own = [float(pairs[pair][1]) for pair in pairs if pair[2] == seed and block in pair[:2]]
        assert of_last == pytest.approx({
            "loss": float(loss[1] / loss[stops[block, seed]]) - 1, "preference": sum(own) / len(own),
            "attack": float(image_attacks.attacks(networks)["calibrated"][block, seed][1]),
            "frechet": float(image_gaps.frechet_to(networks, features)[block, seed][1])})


def test_a_preference_stops_at_its_second_sure_checkpoint_or_never(made):
    _, networks = made
    alone = image_readings.block_preferences(networks)
    late = {label: [*seen, seen[-1], seen[-1]] for label, seen in alone.items()}  # a memory at three checkpoints
    for label, stop in image_stops.by_preference(late, 0.05).items():
        assert stop == preference_stop(late[label], 4, 0.05) < 3
    assert set(image_stops.by_preference(late, 0.5).values()) == {None}


def test_held_losses_are_the_mean_of_all_networks(made):
    _, networks = made
    found = image_readings.held_losses(networks, "report")
    assert found.shape == (2, COUNTS.held)
    expected = torch.stack([array[0].double() for array in networks.at(0, "report").values()]).mean(0)
    assert torch.allclose(found[0], expected)
