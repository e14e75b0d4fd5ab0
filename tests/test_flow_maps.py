import pytest
import torch
from nearsight.datasets import on_ring, ring_split
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.flow import GapMap, gap_map, place_gap, published_noise
from nearsight.quadrature import polar

SIGMA = 1.0717
TRAIN, HOLDOUT = ring_split(10, turn=0.01)
RULE = polar()


@pytest.mark.parametrize(("blur", "middle"), [(1.2, 0.8925), (1.6, 0.3563), (2.0, 0.1429), (1.45, 0.5)])
def test_gap_at_the_middle_of_an_arc(blur, middle):
    assert abs(place_gap(EmpiricalDenoiser(TRAIN, blur), TRAIN, HOLDOUT, SIGMA, *RULE) - middle).max() < 1e-3


@pytest.mark.parametrize(("blur", "origin"), [(1.6, 2.359), (2.0, 1.322)])
def test_gap_at_the_origin(blur, origin):
    center = torch.zeros(1, 2, dtype=torch.float64)
    assert abs(place_gap(EmpiricalDenoiser(TRAIN, blur), TRAIN, center, SIGMA, *RULE) - origin) < 1e-3


@pytest.mark.parametrize(("blur", "islands", "share"), [
    (1.2, 10, 0.122), (1.4, 10, None), (1.6, 1, 0.416), (2.0, 1, 0.739)])
def test_the_region_below_one_half_falls_apart_into_islands(blur, islands, share):
    found = gap_map(EmpiricalDenoiser(TRAIN, blur), TRAIN, SIGMA, *polar(8, 12, 5.0))
    assert found.islands() == islands
    assert share is None or abs(found.share() - share) < 3e-3


def test_the_gap_along_the_ring_vanishes_at_the_training_points_only():
    angles = torch.linspace(0, 2 * torch.pi, 201, dtype=torch.float64)[:-1] + 0.02 * torch.pi
    gap = place_gap(EmpiricalDenoiser(TRAIN, 1.6), TRAIN, on_ring(angles), SIGMA, *polar(32, 40))
    assert gap[::20].abs().max() < 1e-10
    assert gap.min() > -1e-10 and abs(gap[10::20] - gap.max()).max() < 1e-10


def test_the_published_draws_give_the_published_maxima():
    train, _ = ring_split(10, turn=0.001)
    noise = published_noise(1, seed=1, draws=500)[:, 0]
    angles = torch.linspace(0, torch.pi, 201, dtype=torch.float64)
    for blur, highest in ((1.2, 0.931), (1.6, 0.373), (2.0, 0.151)):
        gap = place_gap(EmpiricalDenoiser(train, blur), train, on_ring(angles), SIGMA, noise)
        assert abs(gap.max() - highest) < 2e-3


def test_rows_of_a_map_run_along_y():
    found = gap_map(EmpiricalDenoiser(TRAIN, 1.2), TRAIN, SIGMA, *polar(6, 8), window=12.0, pixels=5)
    place = torch.tensor([[6.0, -12.0]], dtype=torch.float64)
    alone = place_gap(EmpiricalDenoiser(TRAIN, 1.2), TRAIN, place, SIGMA, *polar(6, 8))
    torch.testing.assert_close(found.gap[0, 3], alone[0])


def test_corners_do_not_connect_islands():
    below = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    found = GapMap(torch.linspace(-1, 1, 3), below)
    assert found.islands(0.5) == 3 and found.islands(2.0) == 1 and found.islands(-1.0) == 0
    assert found.share(0.5) == pytest.approx(5 / 9)
