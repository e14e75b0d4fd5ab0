"""The published measure Delta: integrals on a grid, moments, arithmetic, golden probabilities."""

import math

import pytest
import torch
from nearsight.gaussian import kernel_delta, one_step
from nearsight.gaussian.kernel import model_overlap, pair_overlap

SIGMA = (1 - math.exp(-4)) ** 0.5


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("deviation, scale", [(1.0, 1.0), (0.7, 1.0), (1.0, 2**0.5)])
def test_it_is_the_difference_of_integrals_over_the_plane(deviation, scale):
    train, original = normal(5, 2, seed=0), normal(9, 2, seed=1)
    mean = torch.tensor([0.3, -0.2], dtype=torch.float64)
    covariance = torch.tensor([[1.0, 0.4], [0.4, 0.5]], dtype=torch.float64)
    axis = torch.linspace(-12, 12, 601, dtype=torch.float64)
    plane, cell = torch.cartesian_prod(axis, axis), (axis[1] - axis[0]).item() ** 2

    def mixture(points, blur):
        offsets = plane[:, None] - points
        squares = (offsets @ torch.linalg.inv(blur) * offsets).sum(-1)
        return (torch.exp(-squares / 2) / (2 * math.pi * torch.linalg.det(blur).sqrt())).mean(1)

    def energy(points):
        width = scale * deviation * len(points) ** -0.5
        kernel = mixture(points, width**2 * torch.eye(2, dtype=torch.float64))
        return (kernel * (kernel - 2 * mixture(mean[None], covariance))).sum() * cell

    expected = (energy(train) - energy(original)).item() * 4 * math.pi * deviation**2
    assert kernel_delta(train, original, mean, covariance, deviation, scale) == pytest.approx(expected, rel=1e-8)


def test_pair_overlap_equals_the_plain_double_sum_across_chunks():
    points = normal(2300, 3, seed=2)
    width = 2300 ** (-1 / 3)
    squares = torch.cdist(points, points).square()
    off = torch.exp(-squares / (4 * width**2)).fill_diagonal_(0).sum() / 2300**2 / width**3
    assert pair_overlap(points) == pytest.approx(off.item(), rel=1e-9)


def test_pair_overlap_has_the_mean_of_gaussian_data():
    n, d, deviation = 60, 6, 0.8
    values = torch.tensor([pair_overlap(deviation * normal(n, d, seed=k), deviation) for k in range(300)])
    expected = (1 - 1 / n) * (1 + n ** (-2 / d)) ** (-d / 2)
    assert abs(values.mean() - expected) < 4 * values.std() / 300**0.5


def test_no_term_underflows_at_a_thousand_dimensions():
    points = normal(40, 1000, seed=3)
    covariance = torch.diag(torch.ones(1000, dtype=torch.float64))
    assert 0 < pair_overlap(points) < 1e-100
    assert 0 < model_overlap(points, points.mean(0), covariance) < 1e-50


def test_a_far_origin_and_a_shuffle_change_nothing():
    train, original = normal(30, 5, seed=4), normal(200, 5, seed=5)
    mean, covariance = one_step(train, SIGMA, generator=torch.Generator().manual_seed(6))
    here = kernel_delta(train, original, mean, covariance)
    there = kernel_delta(train.flip(0) + 100, original.flip(0) + 100, mean + 100, covariance)
    assert there == pytest.approx(here, rel=1e-8)


def test_units_of_the_data_change_nothing():
    train, original = normal(30, 5, seed=4), normal(200, 5, seed=5)
    mean, covariance = one_step(train, SIGMA, generator=torch.Generator().manual_seed(6))
    here = kernel_delta(train, original, mean, covariance)
    assert kernel_delta(9 * train, 9 * original, 9 * mean, 81 * covariance, 9.0) == pytest.approx(here, rel=1e-9)


@pytest.mark.parametrize("n", [75, 100, 150])
def test_float32_input_at_d_100_gives_the_float64_sign(n):
    train, original = normal(n, 100, seed=n), normal(2000, 100, seed=1)
    mean, covariance = one_step(train, SIGMA, generator=torch.Generator().manual_seed(2))
    exact = kernel_delta(train, original, mean, covariance)
    single = kernel_delta(train.float(), original.float(), mean.float(), covariance.float())
    assert math.copysign(1, single) == math.copysign(1, exact)
    assert single == pytest.approx(exact, rel=1e-3)


def in_float32(overlap, n, d):
    """A self-overlap, diagonal included, in float32 and in the order of operations of the release."""
    width = torch.tensor(n, dtype=torch.float32) ** (-1 / d)
    pairs = torch.tensor(n * (1 + overlap), dtype=torch.float32)
    return (pairs / ((2 * width**2) ** (d / 2) * torch.tensor(float(n**2))) * 2 ** (d / 2)).item()


def test_the_rounding_of_a_cancelling_diagonal_decides_the_published_sign():
    original, signs = normal(10000, 100, seed=7), []
    shared = pair_overlap(original)
    for seed in range(5):
        train = normal(100, 100, seed=20 + seed)
        model = one_step(train, SIGMA, generator=torch.Generator().manual_seed(seed))
        cross, own = model_overlap(train, *model) - model_overlap(original, *model), pair_overlap(train)
        rounded = in_float32(own, 100, 100) - in_float32(shared, 10000, 100)
        signs.append((rounded - 2 * cross > 0, own - shared - 2 * cross > 0))
    assert signs == [(True, False)] * 5


@pytest.mark.parametrize("n, scale, positive", [(16, 1.0, 0), (64, 1.0, 12), (8, 2**0.5, 12), (8, 0.5**0.5, 0)])
def test_probability_of_a_positive_delta_at_d_16(n, scale, positive):
    # The golden probabilities are 0.00 or 1.00 of 150 runs here: at most one of 12 may differ.
    original = normal(10000, 16, seed=9)
    shared = pair_overlap(original, scale=scale)
    count = 0
    for seed in range(12):
        train = normal(n, 16, seed=100 + seed)
        model = one_step(train, SIGMA, generator=torch.Generator().manual_seed(seed))
        cross = model_overlap(train, *model, scale=scale) - model_overlap(original, *model, scale=scale)
        count += pair_overlap(train, scale=scale) - shared - 2 * cross > 0
    assert abs(count - positive) <= 1


POINTS = torch.zeros(3, 2)


@pytest.mark.parametrize("arguments, sentence", [
    ((POINTS, torch.zeros(3, 4), torch.zeros(2), torch.eye(2)), "equal shapes"),
    ((POINTS[:1], POINTS, torch.zeros(2), torch.eye(2)), "train holds 1 events; expected at least 2"),
    ((POINTS, POINTS[:1], torch.zeros(2), torch.eye(2)), "original holds 1 events"),
    ((POINTS, POINTS, torch.zeros(3), torch.eye(2)), "mean has shape"),
    ((POINTS, POINTS, torch.zeros(2), torch.eye(3)), r"expected \[2, 2\]"),
    ((POINTS, POINTS, torch.zeros(2), -9 * torch.eye(2)), "eigenvalue -9"),
    ((POINTS, POINTS, torch.zeros(2), torch.full((2, 2), math.nan)), "NaN"),
    ((POINTS, POINTS, torch.full((2,), math.nan), torch.eye(2)), "mean has NaN"),
    ((POINTS, POINTS, torch.zeros(2), torch.eye(2), 0.0), "deviation is 0"),
    ((POINTS, POINTS, torch.zeros(2), torch.eye(2), 1.0, -1.0), "scale is -1"),
])
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        kernel_delta(*arguments)
