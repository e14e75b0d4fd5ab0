"""Readings of the records of study 3: equal to the measures taken of the models themselves, which are exact here."""

from dataclasses import replace
from itertools import combinations, permutations

import pytest
import torch
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.measures import committee, divergence, string_distance
from nearsight.measures.intervals import Estimate
from nearsight.records.computing import Results
from nearsight.records.runs import Stage
from nearsight.studies import find, hierarchy_readings
from nearsight.studies.hierarchy import blocks_of, ground_of
from nearsight.studies.hierarchy_measures import HEADLINE, Counts, measure_own, measure_tests, predictions
from nearsight.studies.hierarchy_readings import Family
from nearsight.studies.hierarchy_samples import measure_samples
from torch.nn.functional import one_hot

STEPS, BLOCKS, SIZE = (2, 60), 3, 64
COUNTS = Counts(tests=400, uniform=100, noises=1, samples=600, kept=600, few=600, turned=4, turns=1)
CONFIG = replace(find("hierarchy-smoke").config, blocks=BLOCKS, redrawn=1, snapshots=STEPS, counts=COUNTS)
FRESH = replace(find("hierarchy-fresh-smoke").config, blocks=BLOCKS, fresh=3, snapshots=STEPS, counts=COUNTS)


class Oracle:
    """BP_k, in float64."""

    def __init__(self, level):
        self.denoiser = CONFIG.grammar.denoiser(level)

    def log_probabilities(self, x, sigma):
        return self.denoiser.log_probabilities(x.double(), sigma).float()


class Memory:
    """The best denoiser of a block, a little unsure."""

    def __init__(self, strings, doubt):
        self.denoiser, self.doubt = EmpiricalDenoiser(one_hot(strings, 6).double()), doubt

    def log_probabilities(self, x, sigma):
        sure = self.denoiser(x.double(), sigma)
        return ((1 - self.doubt) * sure + self.doubt / 6).log().float()


def models(step):
    """Early a network knows its seed and nothing else: BP_1 or BP_2. Late it remembers its block."""
    blocks = blocks_of(CONFIG)
    if step == STEPS[0]:
        return [Oracle(1 + member.seed) for member in CONFIG.members]
    return [Memory(blocks[member.block], 0.01 * (1 + member.seed)) for member in CONFIG.members]


def recorded(config, members, ground):
    """A family with these models at each step."""
    stages = []
    for step in STEPS:
        found = measure_tests(members(step), ground, config.committees)
        found |= {"distance/raw": found["distance"][HEADLINE], "split/raw": found["split"][HEADLINE]}
        if not config.fresh:
            found |= measure_own(members(step), [member.block for member in config.members], ground)
        made = [members(step)[place] for place in config.sampled]
        stages.append(Stage(step, found | measure_samples(made, made, ground, COUNTS)))
    return Family(Results(tuple(stages), 0.0), config)


@pytest.fixture(scope="module")
def ground():
    return ground_of(CONFIG)


@pytest.fixture(scope="module")
def family(ground):
    return recorded(CONFIG, models, ground)


@pytest.fixture(scope="module")
def fresh(ground):
    return recorded(FRESH, lambda step: [Oracle(level) for level in (0, 1, 2)], ground_of(FRESH))


def test_networks_are_named_by_block_and_seed(family, fresh):
    assert family.labels == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)] and fresh.labels == [(0, 0), (1, 1), (2, 2)]
    assert family.distance(0).shape == (2, 6) and family.split().shape == (2, 6, 6)
    assert family.steps.tolist() == family.sampled.tolist() == list(STEPS)
    assert family.curve("distance", 0).shape == (2, 7, 3) and family.curve("staircase").shape == (2, 7, 2)


def test_classes_of_pairs_tell_what_networks_know(family, fresh, ground):
    """Early the seed alone makes a difference; late the block does."""
    first, second = predictions([Oracle(1), Oracle(2)], ground.tests[HEADLINE])
    apart = float((divergence(first, second).mean() + divergence(second, first).mean()) / 2)
    classes = hierarchy_readings.split_classes(family)
    assert classes.data_difference.value[0] == pytest.approx(0, abs=1e-6)
    assert classes.seed_difference.value[0] == pytest.approx(apart, rel=1e-4)
    assert classes.both_difference.value[0] == pytest.approx(apart, rel=1e-4)
    assert classes.data_variance.value[0] == pytest.approx(0, abs=1e-4)
    assert classes.data_variance.value[1] > 3 * classes.data_variance.error[1] > 0
    alone = hierarchy_readings.fresh_split(fresh)
    pairs = [divergence(a, b).mean() for a, b in permutations(predictions([Oracle(k) for k in range(3)],
                                                                         ground.tests[HEADLINE]), 2)]
    assert alone.value[1] == pytest.approx(float(torch.stack(pairs).mean()), rel=1e-3)
    beyond = hierarchy_readings.excess(family, fresh)
    assert beyond.value[1] == pytest.approx(float(classes.both_difference.value[1] - alone.value[1]), rel=1e-6)
    assert beyond.error[1] >= alone.error[1]


def test_means_are_over_blocks(family):
    values = torch.tensor([[1.0, 3.0, 4.0, 6.0, 9.0, 11.0]])
    mean, low, high = hierarchy_readings.over_blocks(values, family.labels)
    assert mean.tolist() == pytest.approx([17 / 3]) and float(high - mean) == pytest.approx(4.30265 * (49 / 9) ** 0.5)
    assert torch.allclose(mean - low, high - mean)


@pytest.mark.parametrize("low, expected", [([0.1, 0, 0.2, 0.3], 30), ([0.1] * 4, 10), ([0.1, 0.1, 0.1, 0], None)])
def test_an_onset_stays(low, expected):
    four = Family(Results(tuple(Stage(step, {"loss": torch.zeros(1)}) for step in (10, 20, 30, 40)), 0.0), CONFIG)
    value = torch.tensor(low, dtype=torch.float64)
    assert hierarchy_readings.onset(four, Estimate(value + 0.02, torch.full((4,), 0.01))) == expected


def test_clocks_strike_where_curves_are_least(family, fresh, ground):
    laws = hierarchy_readings.distance_law(CONFIG.grammar, blocks_of(CONFIG))
    _, divergences = hierarchy_readings.nearness(family, laws)
    found = hierarchy_readings.clocks(family, fresh, divergences, torch.Generator().manual_seed(0))
    assert set(found) == {"level 0", "level 1", "level 2", "novel", "raw", "entropy", "split", "split/raw", "excess",
                          "nearest"}
    assert all((clock.step, clock.low, clock.high) == (2, 2, 2) for clock in found.values())  # memories are far from all
    assert found["split"].before(found["level 0"]) == 0 and found["split"].first


def test_the_law_of_distances_is_that_of_many_fresh_strings():
    blocks = blocks_of(CONFIG)
    laws = hierarchy_readings.distance_law(CONFIG.grammar, blocks)
    drawn = CONFIG.grammar.sample(20_000, torch.Generator().manual_seed(0))
    for law, block in zip(laws, blocks):
        shares = string_distance(drawn, block).bincount(minlength=5) / 20_000
        assert law.sum() == pytest.approx(1) and ((shares - law).abs() < 5 * (law / 20_000).sqrt() + 1e-9).all()


def test_memories_are_too_near_and_oracles_are_not(family, fresh):
    laws = hierarchy_readings.distance_law(CONFIG.grammar, blocks_of(CONFIG))
    shift, divergences = hierarchy_readings.nearness(family, laws)
    assert shift[1].tolist() == pytest.approx((-(laws @ torch.arange(5.0).double())).tolist(), abs=0.02)
    assert (divergences[1] > 0.1).all()
    shift, divergences = hierarchy_readings.nearness(fresh, laws)
    assert shift.shape == (2, 3) and shift[1, 0].abs() < 5 * 1.0 / 600**0.5 and divergences[1, 0] < 3 * 4 / 2 / 600


def test_memories_prefer_their_own_block_alone_and_as_committees(family):
    generator = torch.Generator().manual_seed(0)
    early, late = (hierarchy_readings.preference(family, step, generator, relabelings=100) for step in STEPS)
    assert late.preference > 0.7 and late.p_value < 0.02 and early.p_value > 0.02
    raw = hierarchy_readings.preference(family, 60, generator, "raw", relabelings=100)
    assert raw.preference == late.preference  # the same models, samples from the same noise
    with pytest.raises(ValueError, match="two blocks"):  # three networks make one committee
        hierarchy_readings.preference(family, 60, generator, "committee", relabelings=100)


def test_grammatical_nodes_are_counted_in_samples(fresh):
    found = hierarchy_readings.grammatical(fresh, 60)
    assert found.shape == (3, 2) and found[0].tolist() == [1, 1] and found[1, 0] < 1 and found[2, 1] < 1


def test_a_committee_is_as_far_as_measured(family, ground):
    logs = predictions(models(60), ground.tests[HEADLINE])
    pairs = [(a, b) for a, b in combinations(range(6), 2) if family.labels[a][1] == family.labels[b][1]]
    expected = sorted(float(divergence(ground.tests[HEADLINE].levels[0], committee(logs[[a, b]])[0]).mean())
                      for a, b in pairs)
    found = hierarchy_readings.committee_distance(family)[1]
    assert sorted(found.tolist()) == pytest.approx(expected, rel=1e-3)


def test_variance_and_bias_add_up_and_are_those_of_committees(family, ground):
    variance, bias = hierarchy_readings.variance_and_bias(family)
    for level in range(3):
        mean = family.distance(level).mean(1)
        assert (bias[level].value + variance.value).tolist() == pytest.approx(mean.tolist(), rel=1e-5)
    logs = predictions(models(60), ground.tests[HEADLINE])
    direct = torch.stack([committee(logs[members])[1].mean() for members in CONFIG.committees]).mean() * 3 / 2
    assert variance.value[1] == pytest.approx(float(direct), rel=1e-4)
    assert variance.value[0] == pytest.approx(0, abs=1e-6) and variance.error[0] < 1e-6 and variance.error[1] > 0


def test_each_network_has_its_row(family, fresh):
    rows = hierarchy_readings.table(family)
    assert [(row["block"], row["seed"], row["draws"]) for row in rows] == [tuple(member) for member in CONFIG.members]
    assert all(row["least 0"] == 2 and row["at least"] < row["at end"] for row in rows)
    assert all(row["leaning"] < -0.01 for row in rows)
    assert rows[0]["at least"] == pytest.approx(float(family.distance(0)[0, 0]))
    assert all(row["leaning"] != row["leaning"] for row in hierarchy_readings.table(fresh))
