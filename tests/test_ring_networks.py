"""The recorded computations of study 2 at their smallest, and measured on denoisers whose answer is known."""

import math
from itertools import product

import pytest
import torch
from nearsight.datasets import ring_split
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.denoisers.ring import RingDenoiser, RingKernelDenoiser
from nearsight.flow import modulation
from nearsight.records.computing import compute
from nearsight.studies import find
from nearsight.studies.random_rings import random_errors
from nearsight.studies.ring_networks import LEVEL, LEVELS, SCALED, RingNetworks, measure, untrained


def test_networks_run_from_end_to_end():
    stages = compute(find("ring-networks-smoke")).stages
    assert [stage.step for stage in stages] == [1, 2]
    assert {name: list(array.shape) for name, array in stages[0].arrays.items()} == {
        "gap": [2, 20], "risk": [2, 20], "matched": [2, 3], "isotropic": [2], "tangential": [2], "modulation": [2]}
    assert not torch.equal(stages[0].arrays["risk"], stages[1].arrays["risk"])


def test_the_stages_that_stand_for_all_meet_every_width_and_every_number_of_points():
    config = RingNetworks()
    networks = list(product(config.widths, config.counts, range(config.seeds)))
    standing = [networks[step - 1] for step in config.standing]
    assert len(networks) == config.steps and all(seed == 0 for *_, seed in standing)
    assert {width for width, *_ in standing} == set(config.widths)
    assert {count for _, count, _ in standing} == set(config.counts)


def test_the_network_has_the_stated_layers():
    width = 64
    count = sum(parameter.numel() for parameter in untrained(width).parameters())
    assert count == (2 + 6) * width + 2 * (width**2 + width) + (width + 1) * 2


@pytest.mark.parametrize("n", [10, 16])
@pytest.mark.parametrize("a", [0.8, 1.6])
def test_a_known_blur_is_measured_in_units_of_the_spacing(n, a):
    points, holdout = ring_split(n)
    found = measure(EmpiricalDenoiser(points, 10 * a / n), points, holdout)
    torch.testing.assert_close(found["matched"], torch.full((len(LEVELS),), 10 * a / n).double(), atol=1e-4, rtol=0)
    assert found["isotropic"] < 1e-5 and found["gap"].shape == SCALED.shape


@pytest.mark.parametrize("spread", [1.0, 2.0, 35.0])
def test_a_known_spread_along_the_ring_is_measured(spread):
    points, holdout = ring_split(10)
    denoiser = RingKernelDenoiser(10.0, torch.atan2(points[:, 1], points[:, 0]), spread)
    found = measure(denoiser, points, holdout)
    expected = modulation(10, LEVEL) * modulation(10, spread) / 2
    torch.testing.assert_close(found["modulation"], expected, atol=1e-4, rtol=0)
    assert found["tangential"] < 1e-5 < found["isotropic"]


def test_the_ring_itself_has_neither_gap_nor_risk_nor_points():
    points, holdout = ring_split(12)
    found = measure(RingDenoiser(10.0), points, holdout)
    assert found["gap"].abs().max() < 1e-6 and found["risk"].max() < 1e-20 and found["modulation"] < 1e-4


def test_random_rings_do_not_depend_on_their_order():
    stages = compute(find("random-rings-smoke")).stages
    last = random_errors(find("random-rings-smoke").config, (1, 3.0))
    assert all(torch.equal(stages[-1].arrays[name], last[name]) for name in last)
    assert not math.isclose(float(stages[1].arrays["train"][0]), float(last["train"][0]))
