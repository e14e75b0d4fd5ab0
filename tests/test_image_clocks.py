"""Clocks of planted families: a loss, a split and a preference that turn at known checkpoints."""

import pytest
import torch
from nearsight.measures import flat_minimum
from nearsight.records.computing import Results
from nearsight.records.runs import Stage
from nearsight.studies.image_clocks import clocks
from nearsight.studies.image_readings import Networks, pair_preferences, split_distances

STEPS, SIZE, BLOCKS, LATENTS = [10, 20, 40, 80, 160], 50, 4, 400
NO_REACH = torch.zeros(len(STEPS), dtype=torch.float64)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


def family(own_shares, losses=(5, 4, 3, 2, 3), apart=(3, 1, 2, 3, 4), seeds=2, wobble=0.0):
    """Networks whose samples have the nearest image in their own block in a share `own_shares` [S] of all comparisons,
    whose losses are `losses` give or take `wobble`, and whose pictures differ by `apart`."""
    generator = torch.Generator().manual_seed(0)
    common = torch.rand(8, 6, 6, generator=generator)
    results = {}
    for block in range(BLOCKS):
        for seed in range(seeds):
            own = torch.randn(8, 6, 6, generator=generator)
            stages = []
            for place, step in enumerate(STEPS):
                names = torch.arange(BLOCKS).roll(-block).expand(LATENTS, BLOCKS).clone()
                lost = torch.arange(LATENTS) >= own_shares[place] * LATENTS
                names[lost] = names[lost].roll(-1, 1)  # own block last
                noise = wobble * torch.randn(64, generator=generator)
                stages.append(Stage(step, {
                    "owners/pixels": (SIZE * names).short(),
                    "stopping_error": torch.stack([(place - turn) ** 2 + 1 + noise[:16] for turn in (1, 3)]).half(),
                    "stopping": torch.stack([losses[place] + noise, losses[place] + noise]).half(),
                    "pictures": (100 * common + apart[place] * own + 50).round().byte()}))
            results[block, seed] = Results(tuple(stages), 0.0)
    return Networks(results, SIZE)


def test_clocks_strike_where_curves_turn(generator):
    found = clocks(family([0.5, 0.52, 0.6, 0.7, 0.9]), NO_REACH, generator, (0.0, 0.05, 0.15), resamples=50)
    assert {name: clock.step for name, clock in found.items()} == {
        "loss": 80, "raw loss": 80, "split": 20, "onset 0": 20, "onset 0.05": 40, "onset 0.15": 80}
    assert found["onset 0.05"].before(found["loss"]) == 1 and found["loss"].before(found["split"]) == 0


def test_every_noise_level_turns_where_its_error_is_least(generator):
    found = clocks(family([0.5] * 5, wobble=0.1), NO_REACH, generator, levels=(0, 1), resamples=50)
    turns = [found[f"turn {level}"] for level in (0, 1)]
    assert [(each.step, each.low, each.high) for each in turns] == [(20, 20, 20), (80, 80, 80)]
    assert turns[0].before(turns[1]) == 1


def test_an_onset_counts_only_what_lasts_and_what_is_beyond_its_reach(generator):
    shares = [0.5, 0.8, 0.5, 0.6, 0.9]
    assert clocks(family(shares), NO_REACH, generator, (0.05,), resamples=20)["onset 0.05"].step == 80
    assert clocks(family(shares), NO_REACH + 0.1, generator, (0.05,), resamples=20)["onset 0.05"].step == 160


def test_what_never_happens_is_put_at_the_last_checkpoint(generator):
    assert clocks(family([0.5] * 5), NO_REACH, generator, resamples=20)["onset 0.05"].step == STEPS[-1]


def test_without_resampling_the_clocks_are_those_of_the_readings(generator):
    networks = family([0.4, 0.6, 0.55, 0.7, 0.8], wobble=0.3)
    found = clocks(networks, NO_REACH, generator, resamples=20)
    losses = torch.stack([curve[:, 0].double() for curve in networks.curve("stopping").values()]).mean(0)
    assert found["loss"].step == STEPS[flat_minimum(losses).index]
    assert found["split"].step == STEPS[split_distances(networks)["both"].value.argmin()]
    mean = torch.stack(list(pair_preferences(networks).values())).mean(0)
    assert found["onset 0.05"].step == STEPS[int((mean <= 0.55).nonzero()[-1]) + 1]


def test_a_curve_of_pure_noise_has_a_wide_clock_and_a_planted_one_a_narrow_one(generator):
    flat = clocks(family([0.5] * 5, losses=[3] * 5, wobble=0.5), NO_REACH, generator)["loss"]
    sharp = clocks(family([0.5] * 5, wobble=0.5), NO_REACH, generator)["loss"]
    assert flat.high - flat.low > sharp.high - sharp.low == 0


def test_one_seed_has_all_clocks_but_the_one_that_needs_another_seed(generator):
    found = clocks(family([0.5, 0.52, 0.6, 0.7, 0.9], seeds=1), NO_REACH, generator, resamples=20)
    assert {name: clock.step for name, clock in found.items()} == {
        "loss": 80, "raw loss": 80, "onset 0": 20, "onset 0.05": 40}


def test_the_reach_is_of_every_checkpoint_and_two_blocks_are_needed(generator):
    networks = family([0.5] * 5)
    with pytest.raises(ValueError, match="reach"):
        clocks(networks, NO_REACH[:2], generator)
    alone = {label: results for label, results in networks.results.items() if label[0] == 0}
    with pytest.raises(ValueError, match="two blocks"):
        clocks(Networks(alone, SIZE), NO_REACH, generator, resamples=5)
