import math

import pytest
import torch
from nearsight.quadrature import polar


def test_the_mean_length_of_noise_is_exact():
    noise, weights = polar()
    assert noise.shape == (64 * 96, 2) and weights.shape == (64 * 96,)
    assert abs(weights @ noise.norm(dim=1) - math.sqrt(math.pi / 2)) < 1e-12


def test_moments_are_those_of_the_normal_law():
    noise, weights = polar()
    torch.testing.assert_close(weights @ noise, torch.zeros(2, dtype=torch.float64), atol=1e-13, rtol=0)
    covariance = noise.T @ (weights[:, None] * noise)
    torch.testing.assert_close(covariance, torch.eye(2, dtype=torch.float64), atol=1e-12, rtol=0)
    assert abs(weights @ noise[:, 1] ** 4 - 3) < 1e-12


@pytest.mark.parametrize("shift", [0.0, 0.7, 2.0])
def test_a_shifted_norm_agrees_with_its_closed_form(shift):
    noise, weights = polar(96, 128)
    laguerre = math.exp(-shift**2 / 4) * ((1 + shift**2 / 2) * torch.special.i0(torch.tensor(shift**2 / 4))
                                          + shift**2 / 2 * torch.special.i1(torch.tensor(shift**2 / 4)))
    found = weights @ (noise + torch.tensor([shift, 0.0], dtype=torch.float64)).norm(dim=1)
    assert abs(found - math.sqrt(math.pi / 2) * laguerre) < 2e-5


def test_a_rule_without_nodes_is_refused():
    with pytest.raises(ValueError, match="expected a whole number >= 1"):
        polar(radial=0)
    with pytest.raises(ValueError, match="reach"):
        polar(reach=-1.0)
