"""The recorded computations of study 2 at their smallest, and measured on denoisers whose answer is known."""

import math

import pytest
import torch
from nearsight.datasets import ring_split
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.denoisers.ring import RingKernelDenoiser
from nearsight.flow import modulation
from nearsight.records.computing import compute
from nearsight.studies import find
from nearsight.studies.random_rings import random_errors
from nearsight.studies.ring_networks import LEVELS, SIGMAS, measure, untrained


def test_networks_run_from_end_to_end():
    stages = compute(find("ring-networks-smoke")).stages
    assert [stage.step for stage in stages] == [1, 2]
    assert {name: list(array.shape) for name, array in stages[0].arrays.items()} == {
        "gap": [2, 17], "risk": [2, 17], "matched": [2, 3], "isotropic": [2, 3], "tangential": [2, 3],
        "modulation": [2, 3]}
    assert not torch.equal(stages[0].arrays["risk"], stages[1].arrays["risk"])


def test_the_network_has_the_stated_layers():
    width = 64
    count = sum(parameter.numel() for parameter in untrained(width).parameters())
    assert count == (2 + 6) * width + 2 * (width**2 + width) + (width + 1) * 2


@pytest.mark.parametrize("blur", [0.8, 1.6])
def test_a_known_blur_is_measured(blur):
    points, holdout = ring_split(10)
    found = measure(EmpiricalDenoiser(points, blur), points, holdout)
    torch.testing.assert_close(found["matched"], torch.full((len(LEVELS),), blur).double(), atol=1e-4, rtol=0)
    assert found["isotropic"].max() < 1e-5 and found["gap"].shape == SIGMAS.shape


@pytest.mark.parametrize("spread", [1.0, 2.0, 35.0])
def test_a_known_spread_along_the_ring_is_measured(spread):
    points, holdout = ring_split(10)
    denoiser = RingKernelDenoiser(10.0, torch.atan2(points[:, 1], points[:, 0]), spread)
    found = measure(denoiser, points, holdout)
    expected = modulation(10, torch.tensor(LEVELS)) * modulation(10, spread) / 2
    torch.testing.assert_close(found["modulation"], expected, atol=1e-4, rtol=0)
    assert found["tangential"].max() < 1e-5 < found["isotropic"][:2].min()


def test_random_rings_do_not_depend_on_their_order():
    stages = compute(find("random-rings-smoke")).stages
    last = random_errors(find("random-rings-smoke").config, (1, 3.0))
    assert all(torch.equal(stages[-1].arrays[name], last[name]) for name in last)
    assert not math.isclose(float(stages[1].arrays["train"][0]), float(last["train"][0]))
