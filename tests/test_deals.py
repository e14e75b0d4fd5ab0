"""The laws of random deals, against the enumeration of all hands."""

from itertools import combinations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.measures import deals
from nearsight.measures.deals import deal_law, deal_test, stratified_deal_test
from scipy.stats import binomtest, hypergeom


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 5), st.data())
def test_deal_test_is_the_enumeration_of_all_hands(hand, data):
    weights = data.draw(st.lists(st.integers(-4, 6), min_size=2 * hand, max_size=2 * hand))
    sums = np.array([sum(cards) for cards in combinations(weights, hand)])
    observed = int(data.draw(st.sampled_from(list(sums))))
    deal = deal_test(weights, hand, observed)
    middle = sum(weights) / 2
    assert deal.exact
    assert deal.p_value == pytest.approx(np.mean(abs(sums - middle) >= abs(observed - middle)), abs=1e-12)
    assert deal.lower == pytest.approx(np.mean(sums <= observed), abs=1e-12)
    assert deal.upper == pytest.approx(np.mean(sums >= observed), abs=1e-12)
    assert deal.variance == pytest.approx(sums.var(), abs=1e-12)


@pytest.mark.parametrize("weights, hand, observed, p_value", [
    ([2, 1], 3, 3, 0.4), ([1, 1, 1], 3, 3, 0.1), ([4, 2, 1, 1], 8, 6, 0.58974), ([1] * 40, 500, 30, 0.0018083),
    ([1] * 40, 10**9, 30, 0.0022214),
])
def test_deals_done_by_hand(weights, hand, observed, p_value):
    assert deal_test(weights, hand, observed).p_value == pytest.approx(p_value, rel=3e-5)


@pytest.mark.parametrize("hand, cards", [(7, 14), (40, 31), (500, 300)])
def test_unit_weights_give_the_hypergeometric_law_down_to_its_far_tail(hand, cards):
    values, probabilities = deal_law(torch.ones(cards, dtype=torch.int64), hand)
    np.testing.assert_allclose(probabilities, hypergeom(2 * hand, cards, hand).pmf(values), rtol=1e-9, atol=1e-300)


def test_distinct_owners_in_a_vast_pool_give_the_binomial_sign_test():
    for wins in (20, 26, 33):
        expected = binomtest(wins, 40).pvalue
        assert deal_test([1] * 40, 10**9, wins).p_value == pytest.approx(expected, rel=1e-6)


def test_the_normal_law_stands_in_where_the_exact_one_costs_too_much(monkeypatch):
    weights = torch.arange(1, 121)
    exact = [deal_test(weights, 200, observed) for observed in (3000, 3630, 4000, 4400)]
    monkeypatch.setattr(deals, "_LARGEST_COST", 0)
    for deal in exact:
        normal = deal_test(weights, 200, deal.observed)
        assert deal.exact and not normal.exact
        assert normal.variance == deal.variance
        for name in ("p_value", "lower", "upper"):
            assert getattr(normal, name) == pytest.approx(getattr(deal, name), abs=2e-3)


def test_few_cards_of_great_weight_do_not_fill_the_memory():
    deal = deal_test([25_000_000, 25_000_001], 3, 25_000_000)  # 5e7 additions on 2.4 GB
    assert not deal.exact and deal.variance == pytest.approx(6 / 5 / 4 * (2 * 25e6**2 - 50e6**2 / 6), rel=1e-6)
    assert deal_test([2_500_000, 2_500_001], 3, 2_500_000).exact


def test_cards_of_one_weight_cannot_vary():
    for hand in (3, 10**4):
        deal = deal_test(torch.full((2 * hand,), 2), hand, 2 * hand)
        assert (deal.variance, deal.p_value, deal.lower, deal.upper) == (0, 1, 1, 1)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_hand_of_any_size_is_the_enumeration_of_all_hands(data):
    total = data.draw(st.integers(1, 9))
    hand = data.draw(st.integers(0, total))
    weights = data.draw(st.lists(st.integers(-4, 6), min_size=total, max_size=total))
    sums = np.array([sum(cards) for cards in combinations(weights, hand)])
    values, probabilities = deal_law(weights, hand, total)
    np.testing.assert_allclose(probabilities, [np.mean(sums == int(value)) for value in values], atol=1e-12)
    observed = int(data.draw(st.sampled_from(list(sums))))
    deal = deal_test(weights, hand, observed, total)
    far = abs(total * sums - hand * sum(weights)) >= abs(total * observed - hand * sum(weights))
    assert deal.p_value == pytest.approx(far.mean(), abs=1e-12)
    assert (deal.expected, deal.variance) == pytest.approx((sums.mean(), sums.var()), abs=1e-12)


@pytest.mark.parametrize("hand, total, cards", [(3, 14, 14), (60, 70, 31), (900, 1000, 300)])
def test_unequal_hands_of_unit_weights_give_the_hypergeometric_law_down_to_its_far_tail(hand, total, cards):
    values, probabilities = deal_law(torch.ones(cards, dtype=torch.int64), hand, total)
    np.testing.assert_allclose(probabilities, hypergeom(total, cards, hand).pmf(values), rtol=1e-9, atol=1e-300)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 5), st.integers(0, 2), st.booleans()), min_size=1, max_size=9))
def test_a_stratified_deal_is_the_enumeration_of_all_hands_that_keep_each_stratums_size(pool):
    weights, strata, dealt = map(np.array, zip(*pool))
    hands = [combinations(weights[strata == stratum], dealt[strata == stratum].sum()) for stratum in np.unique(strata)]
    sums = np.array([sum(map(sum, parts)) for parts in product(*hands)])
    observed, deal = weights[dealt].sum(), stratified_deal_test(weights, strata, torch.from_numpy(dealt))
    assert deal.exact and deal.observed == observed
    assert deal.expected == pytest.approx(sums.mean(), abs=1e-12)
    assert deal.variance == pytest.approx(sums.var(), abs=1e-12)
    # Rounded: what is as far as the observed sum in whole numbers must not be lost to the mean's last digit.
    far = np.round(abs(sums - sums.mean()), 9) >= np.round(abs(observed - sums.mean()), 9)
    assert deal.p_value == pytest.approx(far.mean(), abs=1e-12)
    assert deal.lower == pytest.approx(np.mean(sums <= observed), abs=1e-12)
    assert deal.upper == pytest.approx(np.mean(sums >= observed), abs=1e-12)


def test_with_one_stratum_the_stratified_deal_is_the_plain_one_to_the_bit():
    rng = np.random.default_rng(0)
    weights, dealt = rng.integers(-3, 9, 200), rng.permutation(200) < 100
    plain = deal_test(weights, 100, int(weights[dealt].sum()))
    assert stratified_deal_test(weights, np.full(200, 7), torch.from_numpy(dealt)) == plain


def test_the_stratified_law_falls_back_to_the_normal_one_and_says_so(monkeypatch):
    rng = np.random.default_rng(1)
    weights, strata, dealt = rng.integers(-3, 9, 600), rng.integers(0, 12, 600), rng.permutation(600) < 300
    exact = stratified_deal_test(weights, strata, torch.from_numpy(dealt))
    for limit in ("_LARGEST_COST", "_LARGEST_TABLES"):
        with monkeypatch.context() as patch:
            patch.setattr(deals, limit, 0)
            normal = stratified_deal_test(weights, strata, torch.from_numpy(dealt))
        assert (exact.law, normal.law) == ("exact", "normal")
        assert (normal.expected, normal.variance) == (exact.expected, exact.variance)
        for name in ("p_value", "lower", "upper"):
            assert getattr(normal, name) == pytest.approx(getattr(exact, name), abs=4e-3)


def test_images_that_are_alone_of_their_kind_cannot_be_dealt_otherwise():
    deal = stratified_deal_test([3, 5, -2], [0, 1, 2], torch.tensor([True, False, True]))
    assert (deal.observed, deal.expected, deal.variance, deal.p_value) == (1, 1, 0, 1)


@pytest.mark.parametrize("call, error, words", [
    (lambda: deal_test([0.5, 1], 3, 1), TypeError, "whole numbers"),
    (lambda: deal_test([1] * 7, 3, 1), ValueError, "at most 6 cards"),
    (lambda: deal_test([1] * 7, 8, 1, total=7), ValueError, "a hand of no more"),
    (lambda: deal_test([1, 1], 3, 5), ValueError, "from 0 to 2"),
    (lambda: stratified_deal_test([1, 1], [0, 0], torch.ones(2)), ValueError, "True or False for each card"),
    (lambda: stratified_deal_test([1, 1], [0, 0, 1], torch.ones(3) > 0), ValueError, "for each card"),
])
def test_bad_input_is_refused_with_a_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()
