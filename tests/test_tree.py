"""The tree grammar: its recipe, its laws, its draws, and the way back from a string to its tree."""

import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.tree import Grammar

F64 = torch.float64
GRAMMAR = Grammar.random()
SMALL = Grammar.random(vocabulary=3, depth=2, rules=2, seed=1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def dense(q=3, depth=2, seed=0):
    """An ambiguous grammar: every pair of children has q parents, and left and right differ."""
    weights = torch.rand(q, q, q, generator=seeded(seed), dtype=F64)
    return Grammar(weights / weights.sum((1, 2), keepdim=True), depth)


def slow_recipe(q, rules, spread, seed):
    """The specified recipe, one number after the other."""
    stream = np.random.RandomState(seed)
    pairs = np.array([(i, j) for i in range(q) for j in range(q)])
    stream.shuffle(pairs)
    table = {}
    for p in range(q):
        weights = [math.exp(spread * stream.randn()) for _ in range(rules)]
        for row in range(rules):
            table[p, *pairs[p * q + row].tolist()] = weights[row] / sum(weights)
    return table


@pytest.mark.parametrize("q, rules, spread, seed", [(6, 4, 1.0, 0), (6, 4, 1.0, 7), (5, 5, 2.0, 1), (2, 1, 0.0, 3),
                                                    (1, 1, 1.0, 0)])
def test_a_random_grammar_follows_the_recipe_and_leaves_global_generators_alone(q, rules, spread, seed):
    state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    grammar = Grammar.random(q, 3, rules, spread, seed)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    expected = torch.zeros(q, q, q, dtype=F64)
    for place, probability in slow_recipe(q, rules, spread, seed).items():
        expected[place] = probability
    torch.testing.assert_close(grammar.transitions, expected, rtol=1e-13, atol=0)
    assert (grammar.vocabulary, grammar.depth, grammar.transitions.dtype) == (q, 3, F64)


def test_what_comes_in_is_kept_as_it_is_and_cannot_be_changed_from_outside():
    table = GRAMMAR.transitions.clone()
    grammar = Grammar(table, 4)
    assert torch.equal(grammar.transitions, table)
    table.zero_()
    assert torch.equal(grammar.transitions, GRAMMAR.transitions)
    assert torch.equal(pickle.loads(pickle.dumps(grammar)).transitions, GRAMMAR.transitions)
    assert Grammar(GRAMMAR.transitions.float(), 4).transitions.dtype == F64


def string_law(grammar, level):
    """Probability of every string under the k-filtered law, by its definition: {string: probability}."""
    M, q = grammar.transitions.tolist(), grammar.vocabulary

    def below(token, depth):
        if depth == grammar.depth:
            return {(token,): 1.0}
        found = {}
        for b, c in itertools.product(range(q), repeat=2):
            for (left, p), (right, r) in itertools.product(below(b, depth + 1).items(), below(c, depth + 1).items()):
                found[left + right] = found.get(left + right, 0) + M[token][b][c] * p * r
        return found

    def node(root, j):
        """Law of node j at depth `level` given the root: a walk from the root, by the bits of j."""
        law = [float(token == root) for token in range(q)]
        for bit in format(j, f"0{level}b") if level else "":
            step = [[sum(M[p][a][c] if bit == "0" else M[p][c][a] for c in range(q)) for a in range(q)] for p in range(q)]
            law = [sum(law[p] * step[p][a] for p in range(q)) for a in range(q)]
        return law

    total = {}
    subtrees = [below(token, level) for token in range(q)]
    for root in range(q):
        strings = {(): 1 / q}
        for j in range(2**level):
            law = node(root, j)
            strings = {head + tail: sum(law[a] * subtrees[a].get(tail, 0) for a in range(q)) * p
                       for head, p in strings.items() for tail in set().union(*subtrees)}
        for string, p in strings.items():
            total[string] = total.get(string, 0) + p
    return {string: p for string, p in total.items() if p > 0}


@pytest.mark.parametrize("grammar", [SMALL, dense(), dense(2, 3), dense(4, 1), Grammar.random(2, 3, 1, seed=2)], ids=repr)
def test_the_probability_of_every_string_at_every_level(grammar):
    q, length = grammar.vocabulary, 2**grammar.depth
    tokens = torch.tensor(list(itertools.product(range(q), repeat=length)))
    for level in range(grammar.depth + 1):
        law = string_law(grammar, level)
        assert sum(law.values()) == pytest.approx(1, abs=1e-12)
        expected = torch.tensor([law.get(tuple(string), 0.0) for string in tokens.tolist()], dtype=F64).log()
        torch.testing.assert_close(grammar.log_prob(tokens, level), expected, rtol=1e-12, atol=1e-12)
    assert [tuple(string) for string in grammar.strings().tolist()] == sorted(string_law(grammar, 0))


@pytest.mark.parametrize("level", range(3))
def test_draws_have_the_law_of_their_level(level):
    law = string_law(SMALL, level)
    drawn = SMALL.sample(20_000, seeded(), level)
    assert drawn.dtype == torch.int64 and drawn.shape == (20_000, 4)
    strings, counts = drawn.unique(dim=0, return_counts=True)
    seen = {tuple(string): int(count) for string, count in zip(strings.tolist(), counts)}
    assert set(seen) <= set(law)
    # Pearson's statistic has mean and half its variance `degrees`: 5 standard deviations.
    degrees = len(law) - 1
    statistic = sum((seen.get(string, 0) - 20_000 * p) ** 2 / (20_000 * p) for string, p in law.items())
    assert statistic < degrees + 5 * math.sqrt(2 * degrees)


def test_draws_at_the_published_size_have_the_marginals_and_the_sibling_pairs_of_the_grammar():
    n = 50_000
    tokens = GRAMMAR.sample(n, seeded())
    marginals = GRAMMAR.leaf_marginals()
    seen = torch.nn.functional.one_hot(tokens, 6).double().mean(0)
    assert ((seen - marginals).abs() <= 5 * (marginals * (1 - marginals) / n).sqrt()).all()
    parents = GRAMMAR.path_matrices(3).mean(1)  # of the pairs of leaves
    pairs = torch.einsum("jp,pbc->jbc", parents, GRAMMAR.transitions)
    seen = torch.nn.functional.one_hot(6 * tokens[:, 0::2] + tokens[:, 1::2], 36).double().mean(0).view(8, 6, 6)
    assert ((seen - pairs).abs() <= 5 * (pairs * (1 - pairs) / n).sqrt()).all()
    assert GRAMMAR.parse(tokens).valid.all()


def test_a_draw_depends_on_its_generator_alone():
    state = torch.random.get_rng_state()
    assert torch.equal(GRAMMAR.sample(50, seeded(1)), GRAMMAR.sample(50, seeded(1)))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(GRAMMAR.sample(50), GRAMMAR.sample(50, seeded(1)))
    assert GRAMMAR.sample(0).shape == (0, 16)


def test_a_rule_without_probability_is_never_drawn():
    transitions = torch.zeros(2, 2, 2, dtype=F64)
    transitions[0, 0, 1], transitions[1, 1, 0] = 1.0, 1.0
    strings = Grammar(transitions, 3).sample(5000, seeded())
    assert strings.unique(dim=0).tolist() == [[0, 1, 1, 0, 1, 0, 0, 1], [1, 0, 0, 1, 0, 1, 1, 0]]


def slow_parse(grammar, string):
    """Parents of one string by a dictionary, root first."""
    parent = {(left, right): p for p, left, right in grammar.transitions.nonzero().tolist()}
    levels = [list(string)]
    while len(levels[0]) > 1:
        levels.insert(0, [parent.get(pair, -1) for pair in zip(levels[0][0::2], levels[0][1::2])])
    return levels[:-1]


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 6), st.floats(0, 1))
def test_the_parse_of_corrupted_strings_is_that_of_a_dictionary(seed, depth, q, rate):
    grammar = Grammar.random(q, depth, min(q, 4), seed=seed % 50)
    generator = seeded(seed)
    tokens = grammar.sample(12, generator)
    corrupted = torch.rand(tokens.shape, generator=generator) < rate
    tokens = torch.where(corrupted, torch.randint(q, tokens.shape, generator=generator), tokens)
    parse = grammar.parse(tokens.to(torch.int16))
    for row, string in enumerate(tokens.tolist()):
        assert [level[row].tolist() for level in parse.parents] == slow_parse(grammar, string)
    assert [level.shape for level in parse.parents] == [(12, 2**d) for d in range(depth)]
    assert all(torch.equal(level >= 0, good) for level, good in zip(parse.parents, parse.grammatical, strict=True))
    assert torch.equal(parse.valid, parse.grammatical[0][:, 0])
    assert torch.equal(parse.valid, grammar.log_prob(tokens) > -math.inf)


def test_the_parse_of_a_draw_finds_rules_that_give_its_probability():
    tokens = GRAMMAR.sample(200, seeded())
    levels = [*GRAMMAR.parse(tokens).parents, tokens]
    steps = [GRAMMAR.transitions[above, below[:, 0::2], below[:, 1::2]].log().sum(1)
             for above, below in itertools.pairwise(levels)]
    torch.testing.assert_close(GRAMMAR.log_prob(tokens), sum(steps) - math.log(6))


@pytest.mark.parametrize("grammar", [SMALL, Grammar.random(4, 2, 3, seed=5), Grammar.random(2, 3, 2, seed=1)], ids=repr)
def test_entropy_and_information_are_sums_over_all_strings(grammar):
    strings = grammar.strings()
    log_law = grammar.log_prob(strings)
    assert float(log_law.exp().sum()) == pytest.approx(1)
    assert grammar.entropy() == pytest.approx(-float(log_law.exp() @ log_law), abs=1e-12)
    for level in range(grammar.depth + 1):
        forgotten = float(log_law.exp() @ (log_law - grammar.log_prob(strings, level)))
        assert grammar.information(level) == pytest.approx(forgotten, abs=1e-12)
    assert grammar.information(0) == 0


@pytest.mark.parametrize("level", range(3))
def test_all_levels_have_the_law_of_each_leaf(level):
    law = string_law(SMALL, level)
    found = sum(p * torch.nn.functional.one_hot(torch.tensor(string), 3) for string, p in law.items())
    torch.testing.assert_close(found.double(), SMALL.leaf_marginals())


def test_counted_rules_are_those_of_a_slow_count():
    tokens = SMALL.sample(30, seeded())
    expected = torch.where(SMALL.transitions > 0, 0.5, 0.0).double()
    for string in tokens.tolist():
        levels = [*slow_parse(SMALL, string), string]
        for above, below in itertools.pairwise(levels):
            for node, parent in enumerate(above):
                expected[parent, below[2 * node], below[2 * node + 1]] += 1
    expected /= expected.sum((1, 2), keepdim=True)
    learnt = SMALL.counted(tokens)
    torch.testing.assert_close(learnt.transitions, expected)
    assert learnt.depth == SMALL.depth
    assert (SMALL.counted(SMALL.sample(20_000, seeded())).transitions - SMALL.transitions).abs().max() < 0.02


# What bad input gets


M = GRAMMAR.transitions


@pytest.mark.parametrize("call, error, said", [
    (lambda: Grammar(M[:, :, :5], 4), ValueError, r"shape \[6, 6, 5\]; expected \[q, q, q\]"),
    (lambda: Grammar(-M, 4), ValueError, "run from -.*expected shares >= 0 that sum to 1"),
    (lambda: Grammar(M * math.nan, 4), ValueError, "run from nan.*try M /"),
    (lambda: Grammar(M * (1 + 2e-6), 4), ValueError, "sum to 1 .. 1.*try M /"),
    (lambda: Grammar(M.long(), 4), TypeError, "expected floating point"),
    (lambda: Grammar(M, 0), ValueError, "depth is 0; expected a whole number >= 1"),
    (lambda: Grammar(M, 31), ValueError, "depth is 31; expected 1 to 30"),
    (lambda: Grammar(M, 12).strings(), ValueError, "inf trees of 4096 leaves; expected at most"),
    (lambda: Grammar.random(rules=7), ValueError, "rules is 7; expected 1 to 6"),
    (lambda: Grammar.random(rules=0), ValueError, "rules is 0; expected a whole number >= 1"),
    (lambda: Grammar.random(seed=-1), ValueError, "seed is -1; expected 0 to"),
    (lambda: GRAMMAR.denoiser(5), ValueError, "level is 5; expected 0 to 4"),
    (lambda: GRAMMAR.denoiser(-1), ValueError, "level is -1; expected"),
    (lambda: GRAMMAR.sample(-1), ValueError, "n is -1; expected"),
    (lambda: GRAMMAR.sample(2, level=9), ValueError, "level is 9; expected 0 to 4"),
    (lambda: GRAMMAR.parse(torch.zeros(2, 16)), TypeError, "expected an integer tensor: try tokens.long()"),
    (lambda: GRAMMAR.parse(torch.zeros(2, 8).long()), ValueError, r"shape \[2, 8\]; expected \[B, 16\]"),
    (lambda: GRAMMAR.log_prob(torch.full((2, 16), 6)), ValueError, "run from 6 to 6; expected 0 to 5"),
    (lambda: GRAMMAR.counted(torch.zeros(2, 16).long()), ValueError, "2 of 2 strings are not of the language; expected"),
    (lambda: GRAMMAR.strings(), ValueError, r"6.44e\+09 trees of 16 leaves; expected at most"),
    (lambda: GRAMMAR.information(4), ValueError, r"trees of 16 leaves; expected at most.*or draws"),
    (lambda: dense().parse(torch.zeros(2, 4).long()), ValueError, r"children \(0, 0\) have 3 possible parents; expected an"),
    (lambda: dense().entropy(), ValueError, "expected an unambiguous grammar"),
    (lambda: dense().information(1), ValueError, "expected an unambiguous grammar")])
def test_bad_input_gets_a_sentence(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_nothing_comes_out_of_nothing():
    nothing = torch.zeros(0, 16, dtype=torch.int64)
    assert GRAMMAR.parse(nothing).valid.shape == GRAMMAR.log_prob(nothing).shape == (0,)
    assert torch.equal(GRAMMAR.counted(nothing).transitions > 0, GRAMMAR.transitions > 0)
