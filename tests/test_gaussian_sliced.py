"""Sliced Wasserstein distance to raw points: quadrature over quantiles, limits, an independent simulation."""

import pytest
import torch
from nearsight.gaussian import fit
from nearsight.gaussian.sliced import sliced_to_points


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_the_integral_of_squared_differences_of_quantiles():
    points, one = normal(1, 7, 1, seed=0), torch.ones(1, 1, dtype=torch.float64)
    mean, covariance = torch.tensor([[0.3]]).double(), torch.tensor([[[1.7]]]).double()
    u = (torch.arange(700_000, dtype=torch.float64) + 0.5) / 700_000
    quantiles = 0.3 + 1.7**0.5 * torch.special.ndtri(u)
    steps = points[0, :, 0].sort().values.repeat_interleave(100_000)
    expected = (quantiles - steps).square().mean()
    assert sliced_to_points(points, mean, covariance, one).item() == pytest.approx(float(expected), rel=1e-4)


def test_many_points_of_a_law_are_near_to_it():
    points, directions = normal(1, 100_000, 3, seed=1), torch.eye(3).double()
    assert sliced_to_points(points, *fit(points), directions) < 1e-3


@pytest.mark.parametrize("ratio, to_train, to_fresh", [(0.25, 0.0714, 0.2543), (1, 0.0225, 0.0670), (16, 0.0018, 0.0046)])
def test_a_fit_is_nearer_to_its_own_points_as_in_another_simulation(ratio, to_train, to_fresh):
    d, sets = 64, 60
    train, fresh = normal(2, sets, round(ratio * d), d, seed=2)
    directions = torch.nn.functional.normalize(normal(64, d, seed=3), dim=1)
    law = fit(train)
    for points, expected in ((train, to_train), (fresh, to_fresh)):
        values = sliced_to_points(points, *law, directions)
        assert abs(values.mean() - expected) < 4 * values.std() * (2 / sets) ** 0.5 + 5e-5  # both are means over 60 sets
