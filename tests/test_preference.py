import math
from itertools import combinations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.datasets import fashion_mnist
from nearsight.measures.deals import deal_law
from nearsight.measures.preference import own_other, owned_preference, proximity_bias
from nearsight.measures.proximity import nearest
from scipy.stats import binom, hypergeom, kstest

ALPHAS = (0.01, 0.05, 0.1, 0.3)


def test_ties_count_half_in_the_preference_and_not_at_all_in_the_test():
    owners = 10.0 * torch.arange(500.0)[:, None]
    train, holdout = owners, owners + 10_000
    samples = torch.cat([train[:30] + 1, holdout[:10] + 1, torch.full((60, 1), 10_000 / 2 + 4990 / 2)])
    with pytest.warns(UserWarning, match="60 of 100 samples are as near"):
        bias = proximity_bias(samples, train, holdout)
    assert (bias.preference, bias.ties, bias.effective) == (0.6, 60, 40)
    assert bias.p_value == pytest.approx(0.0018083, rel=3e-5)
    assert bias.p_value_independent == pytest.approx(0.0022214, rel=3e-5)
    assert (bias.low, bias.high) == pytest.approx(((30 + 40 * 0.5981) / 100, (30 + 40 * 0.8581) / 100), abs=5e-5)


def fashion():
    return fashion_mnist("pool", resolution=16).images, fashion_mnist("test", resolution=16).images


@pytest.mark.parametrize("count, blocks, preference, train, holdout, p_value, independent, interval", [
    (512, (0, 1), 0.498047, 2.86487, 2.86796, 0.970, 0.965, (0.448, 0.548)),
    (512, (2, 3), 0.484375, 2.86051, 2.87217, 0.568, None, None),
    (1024, (0, 1), 0.493164, None, None, 0.756, None, None),
])
def test_unseen_photographs_prefer_neither_of_two_blocks(count, blocks, preference, train, holdout, p_value,
                                                         independent, interval):
    pool, test = fashion()
    halves = [pool[512 * block:512 * (block + 1)] for block in blocks]
    bias = proximity_bias(test[:count], *halves)
    assert bias.preference == pytest.approx(preference, abs=5e-7)
    assert bias.p_value == pytest.approx(p_value, abs=5e-4)
    if train:
        assert bias.train_distance.mean() == pytest.approx(train, abs=6e-6)
        assert bias.holdout_distance.mean() == pytest.approx(holdout, abs=6e-6)
    if independent:
        assert bias.p_value_independent == pytest.approx(independent, abs=5e-4)
        assert (bias.low, bias.high) == pytest.approx(interval, abs=5e-4)


@pytest.mark.parametrize("n, m, deviation, binomial_rejects", [
    (512, 512, 0.0262, 0.096), (512, 1024, 0.0206, 0.137), (256, 1024, 0.0246, 0.212)])
def test_on_photographs_the_deal_test_keeps_its_level_and_the_binomial_test_does_not(n, m, deviation,
                                                                                    binomial_rejects):
    images = fashion_mnist("train", resolution=16).images
    rng = np.random.default_rng(n + m)
    p_values, naive, preferences = [], [], []
    for _ in range(6):
        drawn = images[rng.choice(len(images), 2 * n + m, replace=False)]
        owned = torch.bincount(nearest(drawn[2 * n:], drawn[:2 * n]).index[:, 0], minlength=2 * n)
        values, probabilities = deal_law(owned, n)
        for _ in range(400):
            wins = int(owned[rng.permutation(2 * n)[:n]].sum())
            p_values.append(float(probabilities[(2 * values - m).abs() >= abs(2 * wins - m)].sum()))
            naive.append(min(1, 2 * binom.cdf(min(wins, m - wins), m, 0.5)))
            preferences.append(wins / m)
    p_values, error = np.array(p_values), np.sqrt(np.array(ALPHAS) * (1 - np.array(ALPHAS)) / 2400)
    for alpha, three in zip(ALPHAS, 3 * error):
        assert np.mean(p_values <= alpha) <= alpha + three
    assert np.mean(p_values <= 0.05) >= 0.05 - 3 * error[1] - 0.004
    assert np.std(preferences) == pytest.approx(deviation, rel=0.08)
    assert np.mean(np.array(naive) <= 0.05) == pytest.approx(binomial_rejects, abs=0.035)


def test_under_the_null_p_values_are_uniform_and_intervals_hold_one_half_despite_hubs():
    generator = torch.Generator().manual_seed(1)
    p_values, held = [], 0
    for _ in range(600):
        pool = torch.randn(400, 16, generator=generator)
        samples = 0.9 * torch.randn(300, 16, generator=generator)
        bias = proximity_bias(samples, pool[:200], pool[200:])
        p_values.append(bias.p_value)
        held += bias.low <= 0.5 <= bias.high
    p_values = np.array(p_values)
    for alpha in ALPHAS:
        assert np.mean(p_values <= alpha) <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / 600)
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert abs(held / 600 - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / 600)


def planted(preference, count, generator):
    """Sites far apart, each with a training image, a held-out image and a sample that picks the former's side."""
    sites = 100.0 * torch.arange(count)[:, None]
    side = torch.where(torch.rand(count, 1, generator=generator) < preference, -1.0, 1.0)
    return sites + 0.5 * side, sites - 1, sites + 1


def test_planted_preferences_are_covered_by_the_interval_and_found_with_the_computed_power():
    count, preference, repeats = 120, 0.6, 500
    law, wins = hypergeom(2 * count, count, count), np.arange(count + 1)
    p_values = np.array([law.pmf(wins)[abs(wins - count / 2) >= abs(k - count / 2)].sum() for k in wins])
    power = binom(count, preference).pmf(wins)[p_values <= 0.05].sum()
    generator = torch.Generator().manual_seed(2)
    results = [proximity_bias(*planted(preference, count, generator)) for _ in range(repeats)]
    found = np.mean([result.p_value <= 0.05 for result in results])
    held = np.mean([result.low <= preference <= result.high for result in results])
    assert abs(found - power) <= 3 * math.sqrt(power * (1 - power) / repeats)
    assert abs(held - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / repeats)


def test_owners_say_what_samples_do():
    drawn = torch.randn(280, 6, generator=torch.Generator().manual_seed(0))
    samples, train, holdout = drawn.split((200, 40, 40))
    whole = proximity_bias(samples, train, holdout)
    owned = owned_preference(nearest(samples, torch.cat([train, holdout])).index[:, 0].short(), 40)
    assert vars(owned) == {name: getattr(whole, name) for name in vars(owned)}
    owners = [nearest(each, torch.cat([train, holdout])).index[:, 0] for each in (samples, samples.flip(0))]
    paired, whole = owned_preference(owners[0], 40, owners[1]), own_other(samples, samples.flip(0), train, holdout)
    assert vars(paired) == {name: getattr(whole, name) for name in vars(paired)}
    with pytest.raises(ValueError, match="same latents"):
        owned_preference(owners[0], 40, owners[1][:-1])


@pytest.mark.parametrize("owners, error", [(torch.tensor([0.0]), TypeError), (torch.tensor([], dtype=torch.long), TypeError),
                                           (torch.tensor([[1]]), TypeError), (torch.tensor([-1]), ValueError),
                                           (torch.tensor([8]), ValueError)])
def test_owners_are_images_of_the_pool(owners, error):
    with pytest.raises(error, match="owners"):
        owned_preference(owners, 4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_swapping_halves_mirrors_and_order_scale_and_rotation_do_not_matter(seed):
    generator = torch.Generator().manual_seed(seed)
    train, holdout = torch.randn(2, 60, 5, generator=generator, dtype=torch.float64)
    samples = torch.randn(90, 5, generator=generator, dtype=torch.float64)
    bias, swapped = proximity_bias(samples, train, holdout), proximity_bias(samples, holdout, train)
    assert swapped.preference == pytest.approx(1 - bias.preference, abs=1e-12)
    assert (swapped.low, swapped.high) == pytest.approx((1 - bias.high, 1 - bias.low), abs=1e-12)
    assert swapped.p_value == pytest.approx(bias.p_value, rel=1e-9)
    assert torch.equal(swapped.train_distance, bias.holdout_distance)
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64)).Q
    shuffled = [points[torch.randperm(len(points), generator=generator)] for points in (samples, train, holdout)]
    moved = proximity_bias(*[7 * points @ rotation + 1 for points in shuffled])
    assert moved.preference == bias.preference
    assert moved.p_value == pytest.approx(bias.p_value, rel=1e-9)


def test_one_attractor_is_one_coin():
    generator = torch.Generator().manual_seed(3)
    train, holdout = torch.randn(2, 50, 8, generator=generator)
    with pytest.warns(UserWarning, match="1.0 independent"):
        bias = proximity_bias(train[:1].repeat(400, 1) + 1e-3, train, holdout)
    assert (bias.preference, bias.p_value, bias.deal.upper) == (1, 1, 0.5)
    assert bias.effective == pytest.approx(99 / 99)


def test_own_preference_is_the_mean_of_both_models_shares():
    generator = torch.Generator().manual_seed(4)
    set_a, set_b = torch.randn(2, 80, 6, generator=generator)
    samples = torch.randn(120, 6, generator=generator)
    samples_a = samples + 0.3 * (set_a[nearest(samples, set_a).index[:, 0]] - samples)
    samples_b = samples + 0.3 * (set_b[nearest(samples, set_b).index[:, 0]] - samples)
    pair = own_other(samples_a, samples_b, set_a, set_b)
    alone = proximity_bias(samples_a, set_a, set_b), proximity_bias(samples_b, set_b, set_a)
    assert pair.preference == pytest.approx(sum(bias.preference for bias in alone) / 2, abs=1e-12)
    assert torch.equal(pair.own_distance, torch.stack([bias.train_distance for bias in alone]))
    assert torch.equal(pair.other_distance, torch.stack([bias.holdout_distance for bias in alone]))
    assert pair.p_value < 1e-4 and pair.low > 0.5
    swapped = own_other(samples_b, samples_a, set_b, set_a)
    assert (swapped.preference, swapped.low, swapped.high) == (pair.preference, pair.low, pair.high)
    assert swapped.p_value == pytest.approx(pair.p_value, rel=1e-9)


def test_two_models_that_make_the_same_samples_have_no_preference_at_all():
    generator = torch.Generator().manual_seed(5)
    set_a, set_b = torch.randn(2, 40, 3, generator=generator)
    samples = set_a.repeat(2, 1)
    pair = own_other(samples, samples, set_a, set_b)
    assert (pair.preference, pair.p_value, pair.deal.variance) == (0.5, 1, 0)


def test_under_the_null_the_paired_p_values_keep_their_level():
    generator = torch.Generator().manual_seed(6)
    p_values, held = [], 0
    for _ in range(400):
        pool = torch.randn(120, 20, generator=generator)
        shared = 0.8 * torch.randn(150, 20, generator=generator)
        samples = [shared + 0.4 * torch.randn(150, 20, generator=generator) for _ in range(2)]
        pair = own_other(*samples, pool[:60], pool[60:])
        p_values.append(pair.p_value)
        held += pair.low <= 0.5 <= pair.high
    for alpha in ALPHAS:
        assert np.mean(np.array(p_values) <= alpha) <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / 400)
    assert held / 400 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)


def classes(count, shares, generator):
    """Points of two classes far apart, `shares` of them of the second, with their labels."""
    labels = (torch.rand(count, generator=generator) < shares).long()
    return 30.0 * labels[:, None] + torch.randn(count, 8, generator=generator), labels


def test_a_preference_for_a_half_with_more_of_a_kind_does_not_survive_strata_and_one_within_a_kind_does():
    generator = torch.Generator().manual_seed(8)
    p_values = []
    for _ in range(300):
        train, train_labels = classes(100, 0.7, generator)
        holdout, holdout_labels = classes(100, 0.3, generator)
        samples, _ = classes(200, 0.5, generator)
        strata = torch.cat([train_labels, holdout_labels])
        second = samples[samples[:, 0] > 15]
        plain, matched = proximity_bias(second, train, holdout), proximity_bias(second, train, holdout, strata)
        assert matched.preference == plain.preference and plain.expected == pytest.approx(0.5)
        p_values.append([plain.p_value, matched.p_value])
    p_values = np.array(p_values)
    assert np.mean(p_values[:, 0] <= 0.05) > 0.7
    for alpha in ALPHAS:
        assert np.mean(p_values[:, 1] <= alpha) <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / 300)
    copies = train[torch.randint(100, (200,), generator=generator)] + 0.3 * torch.randn(200, 8, generator=generator)
    matched = proximity_bias(copies, train, holdout, strata)
    assert matched.low > matched.expected and matched.p_value < 1e-6
    assert "expected = " in repr(matched)


def test_in_one_stratum_a_preference_is_the_plain_one():
    generator = torch.Generator().manual_seed(9)
    set_a, set_b = torch.randn(2, 60, 6, generator=generator)
    samples_a, samples_b = torch.randn(2, 90, 6, generator=generator)
    plain, matched = (own_other(samples_a, samples_b, set_a, set_b, strata)
                      for strata in (None, torch.zeros(120, dtype=torch.int64)))
    assert (matched.deal, matched.preference, matched.low) == (plain.deal, plain.preference, plain.low)
    assert matched.expected == pytest.approx(0.5)


def copies(points, latents):
    return points[(37 * latents[:, 0]).long().abs() % len(points)] + 0.3 * latents


def moments(points, latents):
    return points.mean(0) + latents @ torch.linalg.cholesky(points.T.cov() + 0.1 * torch.eye(2, dtype=points.dtype))


def anything(points, latents):
    return points.amax(0) * latents.sin() + points.square().mean() * latents.roll(1, 1)


@pytest.mark.filterwarnings("ignore:.*independent ones")  # six points are few, and all deals of them are seen
@pytest.mark.parametrize("exchanged", [1, 2])
@pytest.mark.parametrize("generate", [copies, moments, anything], ids=lambda generate: generate.__name__)
def test_over_all_deals_the_preference_is_the_influence_of_single_points_whatever_the_generator(generate, exchanged):
    """E preference = 1/2 + n/(2m) E[c_j(T) - c_j(T')], j in T, T' = T with j and `exchanged` - 1 others exchanged: what a
    point owns with it in the training set and without. So the influence of single points is no second evidence."""
    n, m = 3, 40
    generator = torch.Generator().manual_seed(4)
    pool, latents = (torch.randn(count, 2, dtype=torch.float64, generator=generator) for count in (2 * n, m))
    made = {hand: generate(pool[list(hand)], latents) for hand in combinations(range(2 * n), n)}
    owned = {hand: torch.bincount(nearest(samples, pool).index[:, 0], minlength=2 * n) for hand, samples in made.items()}
    preferences, influences = [], []
    for hand in made:
        rest = tuple(sorted(set(range(2 * n)) - set(hand)))
        preferences.append(own_other(made[hand], made[rest], pool[list(hand)], pool[list(rest)]).preference)
        for out, back in product(combinations(hand, exchanged), combinations(rest, exchanged)):
            without = owned[tuple(sorted(set(hand) - set(out) | set(back)))]
            influences += (owned[hand] - without)[list(out)].tolist()
    assert np.mean(preferences) == pytest.approx(0.5 + n / (2 * m) * np.mean(influences), abs=1e-12)
    assert abs(np.mean(preferences) - 0.5) > 0.01


@pytest.mark.parametrize("call, error, words", [
    (lambda x: proximity_bias(x, x, x[:5]), ValueError, "compare with 5 of the 8 drawn at random"),
    (lambda x: proximity_bias(x, x[:, :1], x[:, :1]), ValueError, "expected equal shapes"),
    (lambda x: proximity_bias(x.int(), x, x), TypeError, "floating point"),
    (lambda x: proximity_bias(x, x, x * math.inf), ValueError, "NaN or infinite"),
    (lambda x: own_other(x, x[:3], x, x), ValueError, "from the same latents"),
    (lambda x: proximity_bias(x, x, x, torch.zeros(5, dtype=torch.int64)), ValueError, "a stratum and True or False"),
])
def test_bad_input_is_refused_with_a_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call(torch.rand(8, 3, generator=torch.Generator().manual_seed(0)))
