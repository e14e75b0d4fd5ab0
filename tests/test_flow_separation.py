import math

import pytest
import torch
from nearsight.datasets import ring, ring_split
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.flow import bhattacharyya, mode_distance, padded_gap, state_distance
from nearsight.measures.gaps import generalization_gap
from nearsight.quadrature import polar
from scipy import optimize


def test_bhattacharyya_at_the_dimension_of_an_image():
    found = bhattacharyya(torch.tensor([0.1, 0.2, 0.3]), 12288)
    torch.testing.assert_close(found, torch.tensor([0.927, 0.307, 3.3e-3], dtype=torch.float64), atol=0, rtol=0.015)
    assert abs(float(bhattacharyya(0.05, 12288)) - math.exp(-12288 * 0.05**4 / 16)) < 1e-4


def test_bhattacharyya_by_integration():
    line = torch.linspace(-40, 40, 80001, dtype=torch.float64)
    laws = [-line**2 / (2 * variance) - math.log(2 * math.pi * variance) / 2 for variance in (1.0, 1 + 1.7**2)]
    integral = torch.trapezoid(((laws[0] + laws[1]) / 2).exp(), line)
    assert abs(integral**3 - bhattacharyya(1.7, 3)) < 1e-10


@pytest.mark.parametrize(("dimension", "ratio"), [(2, 1.845), (64, 0.520), (3072, 0.187)])
def test_half_separated_at_the_stated_ratio(dimension, ratio):
    found = optimize.brentq(lambda value: float(mode_distance(value, dimension)) - 0.5, 1e-3, 10)
    assert abs(found - ratio) < 1e-3
    assert dimension == 2 or abs(found / (1.39 * dimension**-0.25) - 1) < 0.07


@pytest.mark.parametrize("dimension", [2, 5, 64])
def test_one_point_has_the_distance_of_its_mode(dimension):
    for sigma, blur in ((1.0, 0.5), (1.0, 1.845), (0.5, 1.6)):
        found = state_distance(ring(1), sigma, blur, dimension)
        assert abs(found - float(mode_distance(blur / sigma, dimension))) < 1.5e-3


@pytest.mark.parametrize(("sigma", "blur", "expected"), [(0.3, 1.6, 0.857), (1.07, 1.6, 0.395), (2.8, 1.6, 0.068),
                                                         (1.17, 1.2, 0.25), (1.17, 1.6, 0.35)])
def test_distance_on_the_ring(sigma, blur, expected):
    assert abs(state_distance(ring(10), sigma, blur) - expected) < 5e-3


@pytest.mark.parametrize("dimension", [2, 6])
def test_distance_is_the_advantage_of_the_likelihood_ratio(dimension):
    points, sigma, blur, count = torch.zeros(4, dimension, dtype=torch.float64), 1.0, 0.8, 20000
    points[:, :2] = ring(4, radius=1.5)
    generator = torch.Generator().manual_seed(0)
    scales = (sigma, math.hypot(sigma, blur))

    def log_ratio(x):
        square = torch.cdist(x, points).square()
        data, states = ((-square / (2 * scale**2)).logsumexp(1) - dimension * math.log(scale) for scale in scales)
        return data - states

    rates = [(log_ratio(points[torch.arange(count) % 4] + scale * torch.randn(count, dimension, generator=generator,
                                                                              dtype=torch.float64)) > 0).double().mean()
             for scale in scales]
    error = math.sqrt(sum(float(rate * (1 - rate)) for rate in rates) / count)
    assert abs(rates[0] - rates[1] - state_distance(points[:, :2], sigma, blur, dimension)) < 4 * error


@pytest.mark.parametrize(("dimension", "expected"), [(2, 0.725), (8, 0.207), (64, 0.027)])
def test_gap_of_padded_data(dimension, expected):
    train, holdout = ring_split(10)
    noise, weights = polar()
    plane = generalization_gap(EmpiricalDenoiser(train, 1.6), train[:1], holdout[:1], [1.0717], noise=noise[:, None],
                               weights=weights)
    assert abs(padded_gap(2 * plane.train, 2 * plane.holdout, [1.0717], 1.6, dimension) - expected) < 1e-3


def test_gap_of_padded_data_by_brute_force():
    train, holdout = ring_split(6)
    noise = torch.randn(4000, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    padded = [torch.nn.functional.pad(points, (0, 3)) for points in (train, holdout)]
    found = generalization_gap(EmpiricalDenoiser(padded[0], 1.0), *padded, [1.5], noise=noise).gap
    polar_noise, weights = polar()
    plane = generalization_gap(EmpiricalDenoiser(train, 1.0), train[:1], holdout[:1], [1.5], noise=polar_noise[:, None],
                               weights=weights)
    predicted = padded_gap(2 * plane.train, 2 * plane.holdout, [1.5], 1.0, 5)
    assert abs(found / predicted - 1) < 0.05


def test_events_off_the_plane_are_refused():
    with pytest.raises(ValueError, match="plane points"):
        state_distance(torch.zeros(3, 4), 1.0, 1.0)
