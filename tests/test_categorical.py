"""Categorical predictions: against loops, identities, and what the oracles of the grammar must say of each other."""

import math

import pytest
import torch
from nearsight.measures import committee, divergence, oracle_losses, pair_divergences, pair_variances, staircase
from nearsight.noise import vp_sigmas
from nearsight.tree import Grammar
from torch.nn.functional import one_hot

F64 = torch.float64
GRAMMAR = Grammar.random(depth=2)
SIGMA = float(vp_sigmas()[-76])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def predictions(models, strings, seed=0, spread=1.0):
    logits = spread * torch.randn(models, strings, 4, 6, generator=seeded(seed), dtype=F64)
    return logits.log_softmax(-1)


def noisy(count, seed=0):
    tokens = GRAMMAR.sample(count, seeded(seed))
    y = one_hot(tokens, 6).double()
    return tokens, y + SIGMA * torch.randn(y.shape, generator=seeded(seed + 1), dtype=F64)


def levels(x):
    return torch.stack([GRAMMAR.denoiser(level).log_probabilities(x, SIGMA) for level in range(3)])


def slow_divergence(log_p, log_q):
    total = 0.0
    for p, q in zip(log_p.flatten().tolist(), log_q.flatten().tolist()):
        if p > -math.inf:
            total += math.inf if q == -math.inf else math.exp(p) * (p - q)
    return total


def test_a_divergence_is_the_sum_over_places_and_tokens():
    p, q = predictions(2, 5)
    p[0, :, 0] = q[0, :, 0] = -math.inf  # what both forbid
    q[1, 2, 3] = -math.inf               # what only the second does
    found = divergence(p, q)
    assert found.tolist() == pytest.approx([slow_divergence(*pair) for pair in zip(p, q)], rel=1e-12)
    assert found[1] == math.inf and divergence(p, p).abs().max() == 0


def test_pair_divergences_are_the_means_of_all_pairs():
    _, x = noisy(700)  # more than one block of them
    logs = torch.cat([levels(x), predictions(2, 700)])
    logs[:3, :, 0, 0] = -torch.inf  # all that is asked of a model here is that it gives numbers <= 0
    expected = [[float(divergence(p, q).mean()) for q in logs] for p in logs]
    found = pair_divergences(logs)
    assert found.flatten().tolist() == pytest.approx([each for row in expected for each in row], abs=1e-12)
    assert found[3, 0] == found[4, 2] == math.inf  # what is not forbidden here is there
    assert found.diagonal().abs().max() < 1e-12


def test_the_error_of_a_member_is_bias_and_variance():
    """mean_m KL(p0 || p_m) = KL(p0 || pbar) + V, string by string, whatever p0."""
    _, x = noisy(50)
    members = predictions(5, 50)
    pooled, variance = committee(members)
    assert pooled.exp().sum(-1).sub(1).abs().max() < 1e-12 and (variance > 0).all()
    for truth in (*levels(x), predictions(1, 50, seed=3)[0]):
        mean = torch.stack([divergence(truth, member) for member in members]).mean(0)
        assert (mean - divergence(truth, pooled) - variance).abs().max() < 1e-12
    assert committee(members[:1])[1].abs().max() < 1e-12


def test_the_variance_of_few_members_is_smaller_as_stated():
    """To second order V of M members is (M - 1)/M of that of all there could be."""
    members = (predictions(1, 40) + 0.05 * torch.randn(4000, 40, 4, 6, generator=seeded(5), dtype=F64)).log_softmax(-1)
    whole = committee(members)[1].mean()
    for count in (2, 5):
        few = torch.stack([committee(some)[1].mean() for some in members.split(count)]).mean()
        assert float(few * count / (count - 1) / whole) == pytest.approx(1, abs=0.01)


def test_the_split_is_about_twice_the_variance():
    members = (predictions(1, 40) + 0.05 * torch.randn(40, 40, 4, 6, generator=seeded(6), dtype=F64)).log_softmax(-1)
    between = pair_divergences(members)
    split = between.sum() / (40 * 39)
    assert float(split / (2 * committee(members)[1].mean() * 40 / 39)) == pytest.approx(1, abs=0.01)


def test_pair_variances_are_those_of_committees_of_two():
    logs = predictions(4, 600)
    found = pair_variances(logs)
    expected = [[float(committee(torch.stack([p, q]))[1].mean()) for q in logs] for p in logs]
    assert found.flatten().tolist() == pytest.approx([each for row in expected for each in row], abs=1e-12)


def test_the_two_losses_add_up_to_the_cross_entropy():
    tokens, x = noisy(30)
    posterior = GRAMMAR.denoiser()(x, SIGMA)
    logs = predictions(3, 30)
    for model in logs:
        known, leaning = oracle_losses(model, posterior, tokens)
        for string in range(30):
            entropy = -sum(float(model[string, place, tokens[string, place]]) for place in range(4)) / 4
            from_truth = -float((posterior[string] * model[string]).sum()) / 4
            assert float(known[string]) == pytest.approx(from_truth, abs=1e-12)
            assert float(leaning[string]) == pytest.approx(entropy - from_truth, abs=1e-12)


def test_no_model_leans_on_fresh_strings_and_one_that_knows_them_does():
    tokens, x = noisy(6000)
    posterior, logs = GRAMMAR.denoiser()(x, SIGMA), predictions(1, 6000)[0]
    blind = GRAMMAR.denoiser().log_probabilities(x, SIGMA)
    for model in (logs, blind):
        leaning = oracle_losses(model, posterior, tokens).leaning
        assert abs(leaning.mean()) < 4 * leaning.std() / math.sqrt(6000)
    assert oracle_losses(blind, posterior, tokens).known.mean() == pytest.approx(
        float(-torch.xlogy(posterior, posterior).sum((1, 2)).mean() / 4))
    knowing = (0.9 * one_hot(tokens, 6) + 0.1 * posterior).log()
    assert oracle_losses(knowing, posterior, tokens).leaning.mean() < -0.1


def slow_staircase(logs, ladder):
    weights, found = ladder[0].exp(), []
    for k in range(1, len(ladder)):
        above = below = 0.0
        for string in range(logs.shape[0]):
            for place in range(logs.shape[1]):
                rows = [(float(w), float(p - last), float(high - low)) for w, p, last, high, low in zip(
                    weights[string, place], logs[string, place], ladder[-1][string, place], ladder[k - 1][string, place],
                    ladder[k][string, place]) if w > 0]
                f, g = (sum(row[0] * row[side] for row in rows) for side in (1, 2))
                above += sum(w * (a - f) * (b - g) for w, a, b in rows)
                below += sum(w * (b - g) ** 2 for w, a, b in rows)
        found.append(above / below)
    return found


def test_the_staircase_starts_at_the_coarsest_oracle_and_ends_at_the_finest():
    _, x = noisy(25)
    ladder = levels(x)
    models = torch.stack([ladder[2], ladder[0], (ladder[0] + ladder[1]) / 2, predictions(1, 25)[0]])
    found = staircase(models, ladder)
    for model, coefficients in zip(models, found.tolist()):
        assert coefficients == pytest.approx(slow_staircase(model, ladder), rel=1e-9, abs=1e-12)
    assert found[0].abs().max() == 0
    assert staircase(ladder[0], ladder[[0, 2]]).tolist() == pytest.approx([1])  # a single step, climbed
    assert staircase(models, ladder)[1].tolist() == pytest.approx(staircase(ladder[0] - 7, ladder).tolist())


def test_what_is_no_prediction_is_refused():
    logs = predictions(2, 3)
    for call in (lambda: divergence(logs, logs[..., :5]), lambda: committee(-logs), lambda: pair_divergences(logs[0]),
                 lambda: oracle_losses(logs, logs.exp(), torch.zeros(2, 3, 4) - 1), lambda: staircase(logs[0], logs[:1]),
                 lambda: divergence(logs, predictions(3, 3))):
        with pytest.raises(ValueError, match="expected"):
            call()
