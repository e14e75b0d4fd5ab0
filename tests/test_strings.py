"""Nearness of strings: against loops and the published law of distances, and the test for ties under its null."""

import warnings

import pytest
import torch
from nearsight import nearest
from nearsight.measures import neighbor_divergence, own_other, preference_by_depth, string_distance, string_preference
from nearsight.tree import Grammar
from scipy.stats import kstest
from torch.nn.functional import one_hot

GRAMMAR = Grammar.random(depth=3)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_distance_counts_the_places_that_differ():
    strings, reference = GRAMMAR.sample(40, seeded()), GRAMMAR.sample(60, seeded(1))
    found = string_distance(strings, reference)
    slow = [min(sum(a != b for a, b in zip(s, r)) for r in reference.tolist()) for s in strings.tolist()]
    assert found.tolist() == slow
    squared = nearest(*(one_hot(each, 6).double() for each in (strings, reference))).distance[:, 0] ** 2
    assert (squared / 2 - found).abs().max() < 1e-9
    assert (string_distance(reference, reference) == 0).all()


def counts(strings, training):
    return string_distance(strings, training).bincount(minlength=training.shape[1] + 1)


@pytest.fixture(scope="module")
def training():
    return Grammar.random().sample(12_000, seeded(7))


@pytest.fixture(scope="module")
def fresh(training):
    return counts(Grammar.random().sample(6000, seeded(8)), training)


@pytest.mark.parametrize("level, low, high", [(0, 0, 0.002), (1, 0, 0.002), (2, .005, .025), (3, .12, .18), (4, 1.1, 1.4)])
def test_filtered_strings_are_at_other_distances(training, fresh, level, low, high):
    """Published grammar, n = 12,000; D_NN of fresh strings is its floor, (m - 1)/2 (1/N_1 + 1/N_2) with m = 9 bins."""
    samples = counts(Grammar.random().sample(3000, seeded(9), level), training)
    assert low <= float(neighbor_divergence(samples, fresh)) <= max(high, 3 * 4 * (1 / 3000 + 1 / 6000))


@pytest.mark.parametrize("share, expected", [(.01, .006), (.05, .07)])
def test_copies_are_seen(fresh, share, expected):
    """Exact copies among fresh strings."""
    mixed = (1 - share) * fresh
    mixed[0] += share * fresh.sum()
    assert float(neighbor_divergence(mixed, fresh)) == pytest.approx(expected, abs=.006)


def test_the_law_of_distances_may_be_exact():
    block, strings = GRAMMAR.sample(500, seeded(11)), GRAMMAR.strings()
    law = torch.zeros(9, dtype=torch.float64).index_add_(0, string_distance(strings, block), GRAMMAR.log_prob(strings).exp())
    assert float(law.sum()) == pytest.approx(1) and law[0] > 0.1  # a copy is no evidence of memory here
    drawn = counts(GRAMMAR.sample(10_000, seeded(12)), block)
    assert float(neighbor_divergence(drawn, 10_000 * law)) < 3 * 2.5 / 10_000
    shares = torch.stack([drawn, drawn.flip(0)])
    assert neighbor_divergence(shares, drawn)[0] == 0 < neighbor_divergence(shares, drawn)[1]


def drawn(blocks, size, count, seed, depth=3, seeds=1):
    grammar, generator = Grammar.random(depth=depth), seeded(seed)
    pool = grammar.sample(blocks * size, generator).unflatten(0, (blocks, size))
    return pool, {(block, s): grammar.sample(count, generator) for s in range(seeds) for block in range(blocks)}


def test_with_two_blocks_it_is_the_preference_of_own_other():
    pool, samples = drawn(2, 60, 300, 0)
    found = string_preference(samples, pool, seeded(1), relabelings=400, neighbors=120)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ties
        expected = own_other(*(one_hot(each, 6).float() for each in (*samples.values(), *pool)))
    assert found.preference == pytest.approx(expected.preference) and found.ties == expected.ties > 100
    assert found.expected == pytest.approx(0.5) and found.p_value > 0.01


def test_under_the_null_its_p_values_are_uniform():
    """Three blocks, two seeds, samples from the law itself, of which most are ties."""
    found = [string_preference(*reversed(drawn(3, 40, 120, seed, seeds=2)), seeded(seed), relabelings=99)
             for seed in range(120)]
    assert kstest([each.p_value for each in found], "uniform").pvalue > 0.01
    middle = torch.tensor([each.preference for each in found], dtype=torch.float64)
    assert abs(middle.mean() - 0.5) < 4 * middle.std() / 120**0.5
    assert all(each.ties > 0.3 * each.count for each in found)


def test_a_copy_prefers_its_own_block():
    pool, _ = drawn(4, 50, 1, 3)
    found = string_preference({(block, 0): pool[block] for block in range(4)}, pool, seeded(4), relabelings=199)
    assert found.preference > 0.9 and found.p_value == 1 / 200


def test_near_the_root_nearly_all_are_ties():
    """Blocks of 300 hold all pairs of children and most strings of four: depths 0 and 1 say nothing, depth 2 little."""
    pool, samples = drawn(2, 300, 1000, 5)
    samples[1, 0] = torch.cat([samples[1, 0], samples[1, 0].flip(1)])  # of which half are mostly not of the language
    found = preference_by_depth(GRAMMAR, samples, pool, seeded(6), relabelings=9)
    ties = [each.ties / each.count for each in found]
    assert ties[0] == 1 and ties[1] > .97 and ties[2] == pytest.approx(.75, abs=.1) and ties[3] < ties[2]
    assert found[0].p_value == 1 and found[0].preference == 0.5 and 2000 <= found[0].count < 2300


def test_what_cannot_be_compared_is_refused():
    pool, samples = drawn(2, 10, 5, 0)
    with pytest.raises(ValueError, match=r"networks \[\(0, 0\)\] came for 2 blocks; expected one"):
        string_preference({(0, 0): samples[0, 0]}, pool, seeded())
    with pytest.raises(ValueError, match="length 8 and those of the reference 4; expected one"):
        string_distance(samples[0, 0], pool[0, :, :4])
    with pytest.raises(ValueError, match="20 strings of the blocks are not of the language"):
        preference_by_depth(GRAMMAR, samples, torch.zeros_like(pool), seeded())
    with pytest.raises(ValueError, match="expected counts >= 0"):
        neighbor_divergence([1, -1], [1, 1])
