"""The joint deal of a family: against all relabelings, against its pairs one by one, and under the null with hubs."""

import math
from contextlib import nullcontext
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from nearsight.measures.families import family_course, family_preference
from nearsight.measures.preference import own_other
from nearsight.measures.proximity import nearest

ALPHAS = (0.05, 0.1, 0.3)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def family(samples, sets, kept):
    """Neighbors of the samples {(block, seed): [m, d]} in the pool of all sets [B, n, d], and the blocks of the pool."""
    pool = sets.flatten(0, 1)
    return ({label: nearest(each, pool, k=kept).index for label, each in samples.items()},
            torch.arange(len(sets)).repeat_interleave(sets.shape[1]))


def drawn(blocks, seeds, images, samples, dimension=4, seed=0):
    """Sets of images, and samples that depend on the seed, on what is of the network alone, and on no image."""
    stream = generator(seed)
    sets = torch.randn(blocks, images, dimension, generator=stream)
    shared = 0.8 * torch.randn(seeds, samples, dimension, generator=stream)
    return sets, {(block, seed): shared[seed] + 0.4 * torch.randn(samples, dimension, generator=stream)
                  for block in range(blocks) for seed in range(seeds)}


@pytest.mark.parametrize("kept", [1, 3, 6])
def test_the_null_is_that_of_all_relabelings_whatever_is_kept_and_its_mean_is_one_half(kept):
    sets, samples = drawn(3, 2, 2, 30)
    neighbors, blocks = family(samples, sets, kept)
    every = []
    for relabeled in sorted(set(permutations(blocks.tolist()))):  # the observed labels are the first
        total = 0
        for (own, _), order in neighbors.items():
            for row in np.array(relabeled)[order.numpy()].tolist():
                place = [row.index(block) if block in row else kept for block in range(3)]
                total += sum((place[own] < place[other]) + (place[own] == place[other]) / 2 for other in range(3)
                             if other != own)
        every.append(total)
    observed = every[0]
    assert len(every) == 90 and np.mean(every) == pytest.approx(180, abs=1e-9)  # half of 6 * 30 * 2 comparisons
    with pytest.warns(UserWarning, match="keep more of them") if kept == 1 else nullcontext() as warned:
        found = family_preference(neighbors, blocks, generator(1), 4000)
    assert all(warning.filename == __file__ for warning in warned or ())
    assert (found.count, found.deal.observed, found.deal.expected) == (360, observed, 180)
    assert found.preference == pytest.approx(observed / 360)
    assert found.deal.variance == pytest.approx(np.var(every), rel=0.1)
    exact = np.mean(abs(np.array(every) - 180) >= abs(observed - 180))
    assert found.p_value == pytest.approx(exact, abs=4 * math.sqrt(0.25 / 4000))
    assert found.deal.lower == pytest.approx(np.mean(np.array(every) <= observed), abs=4 * math.sqrt(0.25 / 4000))


@pytest.mark.parametrize("blocks", [4, 8, 11])  # eight is the last number whose blocks fit into a byte
def test_the_preference_is_the_mean_over_all_same_seed_pairs_and_few_neighbors_tell_it(blocks):
    sets, samples = drawn(blocks, 2, 200 // blocks, 200, seed=2)
    few = 6 * blocks // 4
    undecided = family_preference(*family(samples, sets, few), generator(3), 1)
    assert undecided.ties / undecided.count == pytest.approx((1 - 2 / blocks) ** few, rel=0.2)
    samples = {(block, seed): each + 0.3 * (sets[block][nearest(each, sets[block]).index[:, 0]] - each)
               for (block, seed), each in samples.items()}
    pairs = [own_other(samples[a, seed], samples[b, seed], sets[a], sets[b]).preference
             for a, b in combinations(range(blocks), 2) for seed in range(2)]
    pooled, enough = blocks * (200 // blocks), 4 * blocks
    found = {kept: family_preference(*family(samples, sets, kept), generator(3), 300) for kept in (enough, pooled)}
    assert found[pooled].preference == pytest.approx(np.mean(pairs), abs=1e-12)
    assert found[pooled].ties == 0
    assert found[enough].preference == pytest.approx(found[pooled].preference, abs=5e-4)
    assert found[enough].low > 0.5 and found[enough].p_value == 1 / 301 and found[enough].deal.law == "relabeled"


def test_a_course_is_judged_checkpoint_by_checkpoint_by_the_same_deals():
    sets, samples = drawn(3, 2, 40, 60, seed=5)
    course = [family({label: (1 - part) * each + part * sets[label[0]][:20].repeat(3, 1) for label, each in samples.items()},
                     sets, 30) for part in (0.0, 0.1, 0.5)]
    blocks = course[0][1]
    found = family_course([neighbors for neighbors, _ in course], blocks, generator(6), 500)
    alone = [family_preference(neighbors, blocks, generator(6), 500) for neighbors, _ in course]
    assert [vars(each) for each in found] == [vars(each) for each in alone]
    assert found[0].preference < found[1].preference < found[2].preference
    assert family_course([], blocks, generator(6)) == []
    with pytest.warns(UserWarning, match="the interval is rough") as warned:
        family_course([{label: order[:2] for label, order in course[0][0].items()}], blocks, generator(6), 20)
    assert [warning.filename for warning in warned] == [__file__]
    with pytest.raises(TypeError, match="one a checkpoint"):
        family_course(course[0][0], blocks, generator(6))


def test_of_two_blocks_and_a_seed_it_is_own_other_with_a_sampled_law():
    sets, samples = drawn(2, 1, 60, 150, seed=4)
    pair = own_other(samples[0, 0], samples[1, 0], *sets)
    found = family_preference(*family(samples, sets, 1), generator(5), 5000)  # of two blocks, the nearest image decides
    assert found.count == 300 and found.effective == pytest.approx(pair.effective, rel=0.1)
    assert found.deal.variance == pytest.approx(pair.deal.variance, rel=0.1)
    assert found.p_value == pytest.approx(pair.p_value, abs=4 * math.sqrt(0.25 / 5000))


def test_networks_that_all_make_the_same_samples_have_no_preference():
    sets, samples = drawn(3, 1, 40, 80, seed=6)
    found = family_preference(*family(dict.fromkeys([(0, 0), (1, 0), (2, 0)], samples[0, 0]), sets, 120), generator(7), 99)
    assert (found.preference, found.p_value, found.deal.variance) == (0.5, 1, 0)
    assert found.effective == 240 * 3 * 2 / 4


def test_under_the_null_p_values_keep_their_level_and_intervals_hold_one_half_despite_hubs():
    repeats, p_values, held = 300, [], 0
    for repeat in range(repeats):
        # Samples near the origin, in many dimensions: few images own most of them.
        sets, samples = drawn(3, 2, 40, 60, dimension=16, seed=100 + repeat)
        found = family_preference(*family(samples, sets, 12), generator(repeat), 199)
        p_values.append(found.p_value)
        held += found.low <= 0.5 <= found.high
    for alpha in ALPHAS:
        error = math.sqrt(alpha * (1 - alpha) / repeats)
        assert alpha - 4 * error <= np.mean(np.array(p_values) <= alpha) <= alpha + 3 * error
    assert held / repeats >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / repeats)


def test_a_planted_preference_is_covered_and_more_blocks_find_what_one_pair_does_not():
    repeats, found = 60, []
    for repeat in range(repeats):
        sets, samples = drawn(4, 2, 60, 150, dimension=8, seed=1000 + repeat)
        for (block, _), each in samples.items():
            each += 0.025 * (sets[block][nearest(each, sets[block]).index[:, 0]] - each)
        joint = family_preference(*family(samples, sets, 16), generator(repeat), 199)
        pair = own_other(samples[0, 0], samples[1, 0], sets[0], sets[1])
        found.append([joint.p_value <= 0.05, pair.p_value <= 0.05, joint.preference, joint.low, joint.high])
    joint, alone, preference, low, high = np.array(found).T
    assert joint.mean() > 0.9 > 0.6 > alone.mean()
    assert np.mean((low <= preference.mean()) & (preference.mean() <= high)) >= 0.9


@pytest.mark.parametrize("change, error, words", [
    (dict(neighbors={(0, 0): torch.tensor([[0]])}), ValueError, "leave out a seed"),
    (dict(blocks=torch.tensor([0, 0, 0, 1])), ValueError, "2 blocks hold 1 to 3 images; expected 2 to 64 blocks, of one"),
    (dict(blocks=torch.tensor([0.0, 1.0])), TypeError, "vector of whole numbers"),
    (dict(neighbors={(0, 0): torch.tensor([[0]]), (1, 0): torch.tensor([[4]])}), ValueError, "indices of the 4 pooled"),
    (dict(neighbors={(0, 0): torch.tensor([[0]]), (1, 0): torch.tensor([[0.5]])}), TypeError, r"indices \[m, R\]"),
])
def test_bad_input_is_refused_with_a_sentence(change, error, words):
    good = dict(neighbors={(0, 0): torch.tensor([[0]]), (1, 0): torch.tensor([[1]])}, blocks=torch.tensor([0, 0, 1, 1]))
    with pytest.raises(error, match=words):
        family_preference(**{**good, **change}, generator=generator(0), relabelings=9)
