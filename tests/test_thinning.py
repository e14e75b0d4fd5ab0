"""The preference against h images a half: against all ways to keep 2h images, and what copies and statistics do to it."""

from itertools import combinations

import numpy as np
import pytest
import torch
from nearsight.measures.preference import own_other, proximity_bias
from nearsight.measures.thinning import own_other_curve, proximity_curve


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_enumeration(samples, train, holdout, size):
    """The mean preference over all 2h of the 2n images, and that of every image as an owner."""
    pool, n = torch.cat([train, holdout]), len(train)
    distance, owned, kept_sets = torch.cdist(samples, pool), torch.zeros(2 * n, dtype=torch.float64), 0
    for kept in combinations(range(2 * n), 2 * size):
        part = distance[:, list(kept)]
        nearest = (part == part.amin(1, keepdim=True)).double()
        owned[list(kept)] += (nearest / nearest.sum(1, keepdim=True)).sum(0)
        kept_sets += 1
    return float(owned[:n].sum() / kept_sets / len(samples)), owned / kept_sets


@pytest.mark.parametrize("tied", [False, True])
def test_the_curve_is_the_mean_over_all_ways_to_keep_images_and_its_variance_that_of_all_deals(tied):
    samples, train, holdout = randn(7, 2, seed=1), *randn(2, 4, 2, seed=2)
    if tied:  # on a lattice many images are equally near
        samples, train, holdout = samples.round(), train.round(), holdout.round()
    curve = proximity_curve(samples, train, holdout, [1, 2, 3, 4])
    for size, preference, effective in zip(curve.sizes, curve.preference, curve.effective):
        expected, owned = by_enumeration(samples, train, holdout, int(size))
        assert float(preference) == pytest.approx(expected, abs=1e-12)
        deals = [float(owned[list(hand)].sum()) / 7 for hand in combinations(range(8), 4)]
        assert float(effective) == pytest.approx(min(7, 1 / (4 * np.var(deals))))


def test_against_all_images_it_is_the_preference_itself():
    samples_a, samples_b, (train, holdout) = randn(90, 3, seed=1), randn(90, 3, seed=2), randn(2, 60, 3, seed=3)
    bias, curve = proximity_bias(samples_a, train, holdout), proximity_curve(samples_a, train, holdout, [60])
    assert float(curve.preference) == pytest.approx(bias.preference, abs=1e-12)
    assert float(curve.effective) == pytest.approx(bias.effective)
    low, high = curve.interval()
    assert (float(low), float(high)) == pytest.approx((bias.low, bias.high))
    arguments = samples_a, samples_b, train, holdout
    pair, curve = own_other(*arguments), own_other_curve(*arguments, [60])
    assert float(curve.preference) == pytest.approx(pair.preference, abs=1e-12)
    assert float(curve.effective) == pytest.approx(pair.effective)


def test_drawing_exactly_h_of_each_half_gives_an_excess_larger_by_its_2h_th_part():
    generator, size, n = torch.Generator().manual_seed(4), 8, 64
    train, holdout = randn(2, n, 4, seed=5)
    samples = train.repeat(8, 1) + 0.5 * randn(8 * n, 4, seed=6)
    near = torch.cdist(samples, train), torch.cdist(samples, holdout)
    shares = []
    for _ in range(4000):
        first, second = (distance[:, torch.randperm(n, generator=generator)[:size]].amin(1) for distance in near)
        shares.append(float((first < second).double().mean()))
    excess = float(proximity_curve(samples, train, holdout, [size]).preference) - 0.5
    assert np.mean(shares) - 0.5 == pytest.approx(excess * (1 + 1 / (2 * size)), abs=4 * np.std(shares) / 4000**0.5)


def test_copies_lose_their_preference_with_their_images_and_statistics_keep_it():
    n, sizes = 400, [25, 100, 200, 400]
    train, holdout = randn(2, n, 60, seed=7)
    shifted = torch.cat([torch.full((1,), 1.5, dtype=torch.float64), torch.zeros(59, dtype=torch.float64)])
    copies = proximity_curve(train + 0.05 * randn(n, 60, seed=8), train, holdout, sizes)
    statistics = proximity_curve(randn(n, 60, seed=9) + shifted, train + shifted, holdout, sizes)
    copies, statistics = ((curve.preference - 0.5) / (curve.preference[-1] - 0.5) for curve in (copies, statistics))
    np.testing.assert_allclose(copies, np.array(sizes) / n, atol=0.03)
    assert statistics[1] > 0.6 and statistics[2] > 0.8


def test_under_the_null_the_interval_holds_one_half_at_every_size():
    generator, sizes, repeats = torch.Generator().manual_seed(10), [4, 20, 80], 300
    held = torch.zeros(3)
    for _ in range(repeats):
        pool = torch.randn(160, 12, generator=generator)
        shared = 0.8 * torch.randn(120, 12, generator=generator)
        low, high = proximity_curve(shared, pool[:80], pool[80:], sizes).interval()
        held += (low <= 0.5) & (high >= 0.5)
    assert (held / repeats >= 0.95 - 3 * (0.95 * 0.05 / repeats) ** 0.5).all()


def test_two_models_that_make_the_same_samples_prefer_nothing_at_any_size():
    samples, (set_a, set_b) = randn(50, 3, seed=11), randn(2, 40, 3, seed=12)
    curve = own_other_curve(samples, samples, set_a, set_b, range(1, 41))
    assert (curve.preference == 0.5).all() and (curve.effective == 100).all()


@pytest.mark.parametrize("sizes, error", [([0], ValueError), ([9], ValueError), ([], TypeError), (3, TypeError)])
def test_sizes_that_no_half_has_are_refused(sizes, error):
    with pytest.raises(error, match="expected"):
        proximity_curve(randn(5, 2), randn(8, 2), randn(8, 2), sizes)
