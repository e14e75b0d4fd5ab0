import math
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.denoisers import GaussianDenoiser
from nearsight.measures.splits import convergence, pair_cosine, pair_mean, prediction_cosine, split_variance, standardized

COMPONENTS = ("data_variance", "seed_variance", "mixed_variance")


def crossed(deviations, blocks, seeds, shape, generator):
    data, seed, mixed = deviations
    a = data * torch.randn(blocks, 1, *shape, generator=generator, dtype=torch.float64)
    b = seed * torch.randn(1, seeds, *shape, generator=generator, dtype=torch.float64)
    outputs = 3 + a + b + mixed * torch.randn(blocks, seeds, *shape, generator=generator, dtype=torch.float64)
    return {(i, s): outputs[i, s] for i in range(blocks) for s in range(seeds)}


@pytest.mark.parametrize("deviations", [(0.7, 0.4, 0.2), (0.0, 1.0, 0.0), (0.5, 0.0, 0.3)])
def test_split_variance_returns_the_components_of_a_crossed_layout(deviations):
    generator, repeats = torch.Generator().manual_seed(0), 200
    results = [split_variance(crossed(deviations, 4, 3, (1, 40), generator)) for _ in range(repeats)]
    for name, deviation in zip(COMPONENTS, deviations):
        values = torch.stack([getattr(result, name).value for result in results])
        assert abs(values.mean() - deviation**2) <= 5 * values.std() / math.sqrt(repeats) + 1e-12


def test_the_error_of_split_variance_is_the_spread_over_new_blocks():
    generator = torch.Generator().manual_seed(1)
    seed_effect = 0.5 * torch.randn(1, 2, 1, 6, generator=generator, dtype=torch.float64)
    values, errors = [], []
    for _ in range(400):
        a = torch.randn(8, 1, 1, 6, generator=generator, dtype=torch.float64)
        outputs = a + seed_effect + 0.3 * torch.randn(8, 2, 1, 6, generator=generator, dtype=torch.float64)
        result = split_variance({(i, s): outputs[i, s] for i in range(8) for s in range(2)})
        values.append(float(result.data_variance.value))
        errors.append(float(result.data_variance.error) ** 2)
    ratio = np.mean(errors) / np.var(values)
    assert 0.85 < ratio < 1.35


def test_the_three_differences_are_the_means_over_pairs():
    outputs = crossed((0.7, 0.4, 0.2), 3, 2, (5, 2), torch.Generator().manual_seed(2))
    result = split_variance(outputs)
    for name, other_block, other_seed in (("data", 1, 0), ("seed", 0, 1), ("both", 1, 1)):
        pairs = [(f, g) for (i, s), f in outputs.items() for (j, t), g in outputs.items()
                 if (i != j) == other_block and (s != t) == other_seed]
        expected = np.mean([float((f - g).square().mean()) for f, g in pairs])
        assert float(getattr(result, f"{name}_difference").value) == pytest.approx(expected, rel=1e-12)
    total = sum(getattr(result, name).value for name in COMPONENTS)
    assert 2 * float(total) == pytest.approx(float(result.both_difference.value), rel=1e-12)


def test_with_two_blocks_the_error_is_unknown():
    outputs = crossed((1.0, 1.0, 1.0), 2, 2, (1, 3), torch.Generator().manual_seed(3))
    assert split_variance(outputs).data_variance.error.isnan()


def test_the_error_of_a_mean_over_pairs_counts_blocks_and_not_pairs():
    generator = torch.Generator().manual_seed(4)
    means, errors = [], []
    for _ in range(600):
        effect = torch.randn(6, generator=generator, dtype=torch.float64)
        estimate = pair_mean({(i, j): torch.stack([effect[i] + effect[j]] * 2) for i in range(6) for j in range(i)})
        means.append(float(estimate.value[0]))
        errors.append(float(estimate.error[1]) ** 2)
    assert np.mean(errors) / np.var(means) == pytest.approx(1, abs=0.25)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_squared_distance_of_standardized_events_is_twice_the_cosine_distance(seed):
    a, b = torch.randn(2, 7, 1, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    distance = (standardized(a) - standardized(b)).square().sum(1)
    torch.testing.assert_close(distance, 2 * (1 - pair_cosine(a, b)), rtol=0, atol=1e-12)
    torch.testing.assert_close(pair_cosine(5 * a - 2, 0.1 * b + 1), pair_cosine(a, b), rtol=0, atol=1e-12)


def test_convergence_is_the_mean_over_all_derangements():
    a, b = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    deranged = [order for order in permutations(range(5)) if all(i != j for i, j in enumerate(order))]
    apart = np.mean([float((a - b[list(order)]).square().sum(1).mean()) for order in deranged])
    expected = 1 - float((a - b).square().sum(1).mean()) / apart
    assert convergence(a, b) == pytest.approx(expected, abs=1e-12)


def test_convergence_is_one_for_equal_samples_and_zero_for_unrelated_ones():
    a, b = 10 + torch.randn(2, 4000, 8, generator=torch.Generator().manual_seed(6))
    assert convergence(a, a) == 1
    assert abs(convergence(a, b)) < 3 * math.sqrt(1 / (4000 * 8))


def test_linear_denoisers_have_the_cosine_of_their_predictions_in_closed_form():
    generator = torch.Generator().manual_seed(7)
    points = torch.randn(300, 2, generator=generator, dtype=torch.float64)
    narrow, wide = (GaussianDenoiser(torch.zeros(2, dtype=torch.float64), torch.diag(torch.tensor(variances)).double())
                    for variances in ([1.0, 0.0], [1.0, 1.0]))
    found = prediction_cosine(narrow, wide, points, torch.tensor([0.5, 40.0]), torch.Generator().manual_seed(8))
    eps = torch.randn(points.shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    for row, sigma in zip(found, (0.5, 40.0)):
        x, shrink = points + sigma * eps, sigma**2 / (1 + sigma**2)
        first, second = x * torch.tensor([shrink, 1.0]), x * shrink
        torch.testing.assert_close(row, (first * second).sum(1) / first.norm(dim=1) / second.norm(dim=1))
    assert found[1].min() > 0.999


def test_without_the_skip_connection_trivial_agreement_at_large_noise_is_gone():
    points = torch.randn(50, 6, generator=torch.Generator().manual_seed(9))
    keep = lambda sigma: 0.25 / (sigma**2 + 0.25)
    first, second = (lambda x, sigma, offset=offset: keep(sigma) * x + offset for offset in (torch.eye(6)[0],
                                                                                             torch.eye(6)[1]))
    arguments = first, second, points, torch.tensor([20.0])
    assert prediction_cosine(*arguments, torch.Generator().manual_seed(0)).min() > 0.99
    assert prediction_cosine(*arguments, torch.Generator().manual_seed(0), sigma_data=0.5).abs().max() < 1e-4


@pytest.mark.parametrize("call, words", [
    (lambda x: split_variance({(0, 0): x, (1, 0): x}), "two seeds in common"),
    (lambda x: split_variance({(0, 0): x, (0, 1): x}), "two seeds in common"),
    (lambda x: split_variance({(0, 0): x, (1, 1): x[:2]}), "one shape"),
    (lambda x: split_variance({(0, 0): x, (1, 1): x * math.nan}), "NaN or infinite"),
    (lambda x: pair_mean({(0, 0): 1.0}), "different blocks"),
    (lambda x: pair_mean({}), "at least one pair"),
    (lambda x: pair_cosine(x, x[:2]), "same latents"),
    (lambda x: convergence(x[:1], x[:1]), "at least 2"),
])
def test_bad_input_is_refused_with_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call(torch.rand(4, 3, generator=torch.Generator().manual_seed(0)))
