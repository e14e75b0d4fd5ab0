"""Belief propagation: the denoiser of a tree grammar against the sum over all trees, its limits, and its digits."""

import itertools
import math
import runpy

import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight import score
from nearsight.tree import Grammar, oracle
from test_tree import F64, GRAMMAR, dense, seeded, string_law

SPARSE = Grammar.random(vocabulary=3, depth=2, rules=2, seed=1)
# One parent with three rules, and one with a single rule.
UNEQUAL = Grammar(torch.tensor([[[0.0, 0.3], [0.5, 0.2]], [[0.0, 0.0], [1.0, 0.0]]], dtype=F64), 3)
GRAMMARS = [SPARSE, dense(), dense(2, 3), dense(3, 1), UNEQUAL, Grammar.random(2, 3, 1, seed=2), Grammar.random(3, 1, 3)]
LEVELS = [(grammar, level) for grammar in GRAMMARS for level in range(grammar.depth + 1)]


def trees(grammar, level):
    """All trees of the k-filtered law: tokens [n, 2^d] at depth 0 and at those from level on, and their log prior [n]."""
    q, M = grammar.vocabulary, grammar.transitions
    depths = [0, *range(max(level, 1), grammar.depth + 1)]
    widths = [2**d for d in depths]
    tokens = torch.tensor(list(itertools.product(range(q), repeat=sum(widths))))
    levels = tokens.split(widths, 1)
    prior = torch.full((len(tokens),), 1 / q, dtype=F64)
    for above, below, depth in zip(levels, levels[1:], depths[1:]):
        if depth == level:  # each node on its own, from the walk to it
            for j in range(2**level):
                walk = torch.eye(q, dtype=F64)
                for bit in format(j, f"0{level}b"):
                    walk = walk @ (M.sum(2) if bit == "0" else M.sum(1))
                prior = prior * walk[above[:, 0], below[:, j]]
        else:
            for j in range(above.shape[1]):
                prior = prior * M[above[:, j], below[:, 2 * j], below[:, 2 * j + 1]]
    return levels, prior.log()


def twin(grammar, level, x, sigma):
    """Posterior of every node by the sum over all trees, with the whole Gaussian likelihood: [B, 2^d, q] for each depth."""
    levels, log_prior = trees(grammar, level)
    one_hots = [torch.nn.functional.one_hot(tokens, grammar.vocabulary).double() for tokens in levels]
    weights = torch.stack([(log_prior - (event - one_hots[-1]).square().sum((1, 2)) / (2 * sigma**2)).softmax(0)
                           for event in x])
    return [torch.einsum("bn,njq->bjq", weights, each) for each in one_hots]


def events(grammar, count=6, seed=0):
    """Arbitrary events, and with them one that knows a single leaf and one that knows nothing."""
    x = 2 * torch.randn(count, 2**grammar.depth, grammar.vocabulary, generator=seeded(seed), dtype=F64)
    x[0, 1:], x[1] = 0.0, 0.0
    return x


@pytest.mark.parametrize("grammar, level", LEVELS, ids=repr)
def test_it_is_the_sum_over_all_trees(grammar, level):
    x, denoiser = events(grammar), grammar.denoiser(level)
    for sigma in (0.15, 0.4, 1.0, 5.0):
        expected = twin(grammar, level, x, sigma)
        nodes = denoiser.node_probabilities(x, sigma)
        assert len(nodes) == len(expected)
        for found, wanted in zip(nodes, expected):
            assert found.shape == wanted.shape and (found - wanted).abs().max() <= 1e-10
        assert torch.equal(denoiser(x, sigma), nodes[-1])
        assert (denoiser.log_probabilities(x, sigma).exp() - expected[-1]).abs().max() <= 1e-10


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 3), st.integers(1, 2), st.floats(-0.8, 1), st.integers(0, 2))
def test_it_is_the_sum_over_all_trees_for_any_table(seed, q, depth, log_sigma, level):
    generator = seeded(seed)
    table = torch.rand(q, q, q, generator=generator, dtype=F64) * (torch.rand(q, q, q, generator=generator) < 0.6)
    table[:, 0, 1] += 1e-3  # every parent has a rule
    grammar = Grammar(table / table.sum((1, 2), keepdim=True), depth)
    level, x = min(level, depth), events(grammar, seed=seed)
    found = grammar.denoiser(level)(x, 10**log_sigma)
    assert (found - twin(grammar, level, x, 10**log_sigma)[-1]).abs().max() <= 1e-10


def test_the_textbook_of_the_benchmark_says_the_same():
    textbook = runpy.run_path(str(ROOT / "benchmarks" / "trees.py"))["textbook"]
    for depth in (1, 4, 6):
        grammar = Grammar(GRAMMAR.transitions, depth)
        x = torch.randn(20, 2**depth, 6, generator=seeded(), dtype=F64)
        for sigma in (0.2, 0.5, 3.0):
            assert (grammar.denoiser()(x, sigma) - textbook(grammar.transitions, x, sigma)).abs().max() < 1e-10


def test_the_lowest_level_has_a_closed_form():
    paths, x, sigma = GRAMMAR.path_matrices(4), torch.randn(30, 16, 6, generator=seeded(), dtype=F64), 0.6
    evidence = (x / sigma**2).exp()
    leaf = torch.einsum("jpa,bja->bpj", paths, evidence)
    root = leaf.prod(2) / leaf.prod(2).sum(1, keepdim=True)
    expected = torch.einsum("bp,bpj,jpa,bja->bja", root, 1 / leaf, paths, evidence)
    torch.testing.assert_close(GRAMMAR.denoiser(4)(x, sigma), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("level", range(5))
def test_without_information_it_says_the_marginals_leaf_by_leaf(level):
    x = torch.randn(3, 16, 6, generator=seeded(), dtype=F64)
    for sigma in (1e6, 1e200):
        found = GRAMMAR.denoiser(level)(x, sigma)
        torch.testing.assert_close(found, GRAMMAR.leaf_marginals().expand_as(found), rtol=0, atol=1e-10)


@pytest.mark.parametrize("grammar, level", LEVELS, ids=repr)
def test_without_noise_it_says_the_nearest_strings_by_their_prior(grammar, level):
    law, q = string_law(grammar, level), grammar.vocabulary
    strings = torch.tensor(list(law))
    prior = torch.tensor(list(law.values()), dtype=F64)
    one_hots = torch.nn.functional.one_hot(strings, q).double()
    integers = torch.randint(-2, 3, (40, 2**grammar.depth, q), generator=seeded()).double()  # with many ties
    for x in (integers, torch.nn.functional.one_hot(integers.abs().long()[..., 0] % q, q).double(), events(grammar)):
        nearness = torch.einsum("bia,nia->bn", x, one_hots)
        weights = torch.where(nearness == nearness.amax(1, keepdim=True), prior, 0.0)
        expected = torch.einsum("bn,nia->bia", weights / weights.sum(1, keepdim=True), one_hots)
        found = grammar.denoiser(level)(x, 0.0)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        assert torch.equal(found == 0, expected == 0)
    torch.testing.assert_close(grammar.denoiser(level)(one_hots, 0), one_hots, rtol=0, atol=1e-14)


def test_without_noise_the_least_difference_decides_and_with_a_little_it_does_not():
    x = torch.tensor([[[0.5, 0.5 + 2**-40], [0.0, 0.0]]], dtype=F64)
    denoiser = dense(2, 1).denoiser()
    assert denoiser(x, 0)[0, 0].tolist() == [0.0, 1.0]
    assert 0.1 < denoiser(x, 1e-5)[0, 0, 0] < 0.9


def test_a_forbidden_pair_gives_way_by_the_odds_of_the_prior():
    """Two leaves: of a pair that never occurs one token is wrong, and which one the prior says, at any small noise."""
    grammar = Grammar(GRAMMAR.transitions, 1)
    law = grammar.transitions.mean(0)
    b, c = (law == 0).nonzero()[0].tolist()
    near = torch.zeros_like(law)
    near[b], near[:, c] = law[b], law[:, c]
    expected = torch.stack([near.sum(1), near.sum(0)]) / near.sum()
    x = torch.nn.functional.one_hot(torch.tensor([[b, c]]), 6)
    for sigma in (0.0, 1e-12, 1e-5, 1e-3, 0.05):
        torch.testing.assert_close(grammar.denoiser()(x.double(), sigma)[0], expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(grammar.denoiser()(x.float(), sigma)[0], expected.float())


@pytest.mark.parametrize("level", range(5))
def test_what_is_forbidden_is_exactly_zero(level):
    impossible = GRAMMAR.leaf_marginals() == 0
    transitions = GRAMMAR.transitions.clone()
    transitions[:, :, 3] = 0  # no right child is 3
    grammar = Grammar(transitions / transitions.sum((1, 2), keepdim=True), 4)
    x = torch.zeros(2, 16, 6)
    x[..., 3] = 1e4
    for sigma in (1e-3, 0.3, 1e4):
        found, logs = (call(x, sigma) for call in (grammar.denoiser(level), grammar.denoiser(level).log_probabilities))
        assert not found[:, 1::2, 3].any() and (logs[:, 1::2, 3] == -math.inf).all()
        assert not GRAMMAR.denoiser(level)(x, sigma)[:, impossible].any()
        assert found[:, 0::2, 3].amax() > 0


@pytest.mark.parametrize("level", range(5))
def test_float32_is_right_at_every_noise(level):
    denoiser = GRAMMAR.denoiser(level)
    nonsense = torch.randint(6, (20, 16), generator=seeded(1))
    tokens = torch.cat([GRAMMAR.sample(20, seeded()), nonsense])
    y = torch.nn.functional.one_hot(tokens, 6).float()
    for sigma in (1e-3, 1e-2, 0.1, 0.5, 1.0, 10.0, 1e4):
        x = torch.cat([y, y + sigma * torch.randn(y.shape, generator=seeded(2))])
        found = denoiser(x, sigma)
        assert found.dtype == torch.float32 and found.isfinite().all()
        assert (found.sum(2) - 1).abs().max() < 1e-5
        assert (found - denoiser(x.double(), sigma)).abs().max() < 1e-5
        logs = denoiser.log_probabilities(x, sigma)
        assert (logs.exp() - found).abs().max() < 1e-5 and (logs < 1e-9).all()


def test_logarithms_reach_where_probabilities_underflow():
    """Two leaves far apart in evidence: log odds of hundreds of thousands, as the sum over pairs has them."""
    grammar, sigma = Grammar(GRAMMAR.transitions, 1), 2e-3
    x = torch.randn(30, 2, 6, generator=seeded(), dtype=F64)
    pairs = (x[:, 0, :, None] + x[:, 1, None, :]) / sigma**2 + grammar.transitions.mean(0).log()
    expected = torch.stack([pairs.logsumexp(2), pairs.logsumexp(1)], 1) - pairs.logsumexp((1, 2))[:, None, None]
    found = grammar.denoiser().log_probabilities(x, sigma)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-6)
    assert expected[expected > -math.inf].amin() < -1e5 and (grammar.denoiser()(x, sigma) == 0).any()


def test_a_tensor_of_noise_levels_is_a_loop_over_them_whatever_the_blocks(monkeypatch):
    x = torch.randn(23, 16, 6, generator=seeded(), dtype=F64)
    sigmas = torch.rand(23, generator=seeded(1), dtype=F64) * 2
    sigmas[3] = 0.0
    for level in (0, 2, 4):
        denoiser = GRAMMAR.denoiser(level)
        expected = torch.cat([denoiser(event[None], float(sigma)) for event, sigma in zip(x, sigmas)])
        torch.testing.assert_close(denoiser(x, sigmas), expected, rtol=0, atol=1e-13)
        monkeypatch.setattr(oracle, "_LARGEST_TEMPORARY", 5000)
        torch.testing.assert_close(denoiser(x, sigmas), expected, rtol=0, atol=1e-13)
        assert [len(part) for part in denoiser.node_probabilities(x, sigmas)] == [23] * (5 if level == 0 else 6 - level)
        monkeypatch.undo()
    assert torch.equal(denoiser(x, torch.tensor(0.5)), denoiser(x, 0.5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, F64])
def test_the_result_has_the_dtype_of_x_and_is_laid_out_as_it(dtype):
    x = torch.randn(3, 16, 6, generator=seeded()).to(dtype)
    found = GRAMMAR.denoiser()(x, 0.5)
    assert found.dtype == dtype and found.shape == x.shape and found.is_contiguous()
    assert torch.equal(GRAMMAR.denoiser()(x.transpose(1, 2).contiguous().transpose(1, 2), 0.5), found)
    assert GRAMMAR.denoiser(2)(x[:0], 0.5).shape == (0, 16, 6)
    assert [nodes.shape for nodes in GRAMMAR.denoiser(3).node_probabilities(x[:0], 0.5)] == [
        (0, 1, 6), (0, 8, 6), (0, 16, 6)]


def test_memory_does_not_grow_with_the_batch():
    """The largest tensor inside holds no more than a block's entries, the input and the output aside."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        entries = 0

        def __torch_dispatch__(self, operator, types, arguments=(), options=None):
            result = operator(*arguments, **(options or {}))
            if isinstance(result, torch.Tensor):
                self.entries = max(self.entries, result.numel())
            return result

    x = torch.zeros(8000, 16, 6)
    for level in range(5):
        with Largest() as largest:
            GRAMMAR.denoiser(level).log_probabilities(x, 1.0)
        assert largest.entries <= max(oracle._LARGEST_TEMPORARY * 1.1, x.numel())


@pytest.mark.parametrize("grammar, level", [(SPARSE, 0), (SPARSE, 1), (SPARSE, 2), (dense(), 0), (dense(), 1)], ids=repr)
def test_the_score_is_the_slope_of_the_log_density(grammar, level):
    levels, log_prior = trees(grammar, level)
    one_hots = torch.nn.functional.one_hot(levels[-1], grammar.vocabulary).double()
    x, sigma, step = events(grammar)[2:5], 0.7, 1e-5

    def log_density(x):
        return (log_prior - (x[:, None] - one_hots).square().sum((2, 3)) / (2 * sigma**2)).logsumexp(1)

    found = score(grammar.denoiser(level), x, sigma)
    for i, a in itertools.product(range(x.shape[1]), range(x.shape[2])):
        nudge = torch.zeros_like(x)
        nudge[:, i, a] = step
        slope = (log_density(x + nudge) - log_density(x - nudge)) / (2 * step)
        assert (found[:, i, a] - slope).abs().max() < 1e-8


@pytest.mark.parametrize("level", range(3))
def test_gradients_flow_through_x(level):
    x = events(SPARSE)[2:4].requires_grad_()
    denoiser = SPARSE.denoiser(level)
    assert torch.autograd.gradcheck(lambda x: denoiser(x, 0.8), x)
    assert torch.autograd.gradcheck(lambda x: denoiser.log_probabilities(x, 0.8).exp(), x)
    # Tweedie's second formula: the Jacobian is the posterior covariance over sigma^2, so symmetric.
    jacobian = torch.autograd.functional.jacobian(lambda x: denoiser(x[None], 0.8).flatten(), x[0]).flatten(1)
    torch.testing.assert_close(jacobian, jacobian.T, rtol=0, atol=1e-12)


def test_a_deep_tree_keeps_its_digits():
    """Ten levels: the posterior of strings with little noise is the strings, of much noise nearly the marginals."""
    grammar = Grammar(GRAMMAR.transitions, 10)
    tokens = grammar.sample(2, seeded())
    y = torch.nn.functional.one_hot(tokens, 6).double()
    assert (grammar.denoiser()(y, 0.05) - y).abs().max() < 1e-12
    for level in (0, 5, 10):
        found = grammar.denoiser(level)(y + torch.randn(y.shape, generator=seeded(), dtype=F64), 1.0)
        assert found.isfinite().all() and (found.sum(2) - 1).abs().max() < 1e-12
    extreme = Grammar.random(depth=8, spread=60.0)  # rules of 1e-50: products of hundreds of them leave float64
    y = torch.nn.functional.one_hot(extreme.sample(2, seeded()), 6).double()
    for sigma in (0.0, 1e-3, 0.3, 1.0, 30.0):
        assert (extreme.denoiser()(y, sigma).sum(2) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("x, sigma, error, said", [
    (torch.zeros(2, 16, 6).long(), 1.0, TypeError, "expected floating point"),
    (torch.zeros(2, 16, 5), 1.0, ValueError, r"shape \[2, 16, 5\]; expected \[B, 16, 6\]"),
    (torch.zeros(16, 6), 1.0, ValueError, r"expected \[B, 16, 6\]"),
    (torch.full((2, 16, 6), math.nan), 1.0, ValueError, "NaN or infinite"),
    (torch.full((2, 16, 6), math.inf), 1.0, ValueError, "NaN or infinite"),
    (torch.zeros(2, 16, 6), -0.1, ValueError, "expected finite noise levels >= 0"),
    (torch.zeros(2, 16, 6), math.inf, ValueError, "expected finite noise levels >= 0"),
    (torch.zeros(2, 16, 6), torch.tensor([1.0, math.nan]), ValueError, "expected finite noise levels >= 0"),
    (torch.zeros(2, 16, 6), torch.ones(3), ValueError, "expected a number or one value for each of the 2 events")])
def test_bad_input_gets_a_sentence(x, sigma, error, said):
    with pytest.raises(error, match=said):
        GRAMMAR.denoiser()(x, sigma)
