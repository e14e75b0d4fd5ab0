import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.denoisers.ring import RingDenoiser, RingKernelDenoiser


def circle(n, radius=10.0, turn=0.0):
    angles = 2 * math.pi * (torch.arange(n, dtype=torch.float64) / n + turn)
    return radius * torch.stack([angles.cos(), angles.sin()], 1), angles


@pytest.fixture
def plane():
    return 12 * torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def brute_force(x, sigma, radius, angles, spread, grid=4000):
    """Posterior mean by summing over a fine grid of angles."""
    y, theta = circle(grid, radius)
    log_prior = ((radius / spread) ** 2 * (theta[:, None] - angles).cos()).logsumexp(1)
    logits = log_prior - (x[:, None] - y).square().sum(2) / (2 * sigma**2)
    return logits.softmax(1) @ y


def test_ring_denoiser_gives_the_value_of_the_specification():
    found = RingDenoiser(10.0)(torch.tensor([[6.0, 5.0]], dtype=torch.float64), 2.0)
    torch.testing.assert_close(found, torch.tensor([[7.482832, 6.235693]], dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("sigma", [0.3, 2.0, 7.0, 100.0])
def test_ring_denoiser_is_a_fine_lattice(plane, sigma):
    lattice, _ = circle(2000)
    expected = EmpiricalDenoiser(lattice)(plane, sigma)
    torch.testing.assert_close(RingDenoiser(10.0)(plane, sigma), expected, atol=1e-12, rtol=0)


@settings(max_examples=30, deadline=None)
@given(spread=st.floats(0.3, 40.0), sigma=st.floats(0.2, 30.0), turn=st.floats(0, 1))
def test_ring_kernel_is_the_brute_force_posterior(spread, sigma, turn):
    x = 12 * torch.randn(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    angles = 2 * math.pi * torch.tensor([turn, turn + 0.1, 0.7], dtype=torch.float64)
    found = RingKernelDenoiser(10.0, angles, spread)(x, sigma)
    torch.testing.assert_close(found, brute_force(x, sigma, 10.0, angles, spread), atol=1e-12, rtol=1e-11)


def test_wide_ring_kernel_is_the_uniform_ring(plane):
    _, angles = circle(3)
    found = RingKernelDenoiser(10.0, angles, 1e9)(plane, 2.0)
    torch.testing.assert_close(found, RingDenoiser(10.0)(plane, 2.0), atol=1e-12, rtol=0)


def test_narrow_ring_kernel_is_the_finite_set(plane):
    points, angles = circle(7)
    found = RingKernelDenoiser(10.0, angles, 1e-8)(plane, 2.0)
    torch.testing.assert_close(found, EmpiricalDenoiser(points)(plane, 2.0), atol=1e-10, rtol=0)


@pytest.mark.parametrize("denoiser", [RingDenoiser(10.0), RingKernelDenoiser(10.0, circle(5)[1], 2.0)])
class TestBoth:
    def test_no_noise_projects_on_the_circle(self, plane, denoiser):
        projected = 10 * plane / plane.norm(dim=1, keepdim=True)
        torch.testing.assert_close(denoiser(plane, 0.0), projected, atol=1e-13, rtol=0)
        torch.testing.assert_close(denoiser(plane, 1e-6), projected, atol=1e-10, rtol=0)

    def test_the_center_is_finite_at_every_sigma(self, denoiser):
        center = torch.zeros(4, 2, dtype=torch.float64)
        found = denoiser(center, torch.tensor([0.0, 1e-3, 1.0, 1e4]))
        assert found.norm(dim=1).max() < 1e-12

    def test_each_row_has_its_own_sigma(self, plane, denoiser):
        sigmas = torch.linspace(0, 30, len(plane), dtype=torch.float64)
        rows = torch.cat([denoiser(row[None], float(sigma)) for row, sigma in zip(plane, sigmas)])
        torch.testing.assert_close(denoiser(plane, sigmas), rows, atol=1e-13, rtol=0)

    @pytest.mark.parametrize("sigma", [1e-3, 0.1, 1.0, 30.0, 1e4])
    def test_single_precision_agrees_with_double(self, plane, denoiser, sigma):
        single = denoiser(plane.float(), sigma)
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), denoiser(plane.float().double(), sigma), atol=1e-6, rtol=0)

    def test_jacobian_is_symmetric_and_positive(self, plane, denoiser):
        for x in plane[:10]:
            jacobian = torch.func.jacrev(lambda place: denoiser(place[None], 2.0)[0])(x)
            torch.testing.assert_close(jacobian, jacobian.T, atol=1e-12, rtol=0)
            assert torch.linalg.eigvalsh(jacobian).min() > -1e-12

    def test_a_batch_may_be_empty(self, denoiser):
        assert denoiser(torch.zeros(0, 2), 1.0).shape == (0, 2)

    def test_events_must_be_plane_vectors(self, denoiser):
        with pytest.raises(ValueError, match=r"\[B, 2\]"):
            denoiser(torch.zeros(4, 3), 1.0)
        with pytest.raises(ValueError, match=">= 0"):
            denoiser(torch.zeros(4, 2), -1.0)


def test_tweedie_holds_for_the_ring(plane):
    sigma, radius = 2.0, 10.0

    def log_density(x):
        kappa = radius * x.norm() / sigma**2
        return torch.special.i0e(kappa).log() + kappa - x.square().sum() / (2 * sigma**2)

    score = torch.stack([torch.func.grad(log_density)(x) for x in plane])
    torch.testing.assert_close(RingDenoiser(radius)(plane, sigma), plane + sigma**2 * score, atol=1e-12, rtol=0)


def test_bad_construction_is_refused():
    angles = torch.zeros(3)
    for build in (lambda: RingDenoiser(0.0), lambda: RingDenoiser(math.inf),
                  lambda: RingKernelDenoiser(10.0, angles, 0.0), lambda: RingKernelDenoiser(-1.0, angles, 1.0),
                  lambda: RingKernelDenoiser(10.0, angles[:0], 1.0),
                  lambda: RingKernelDenoiser(10.0, angles * math.nan, 1.0)):
        with pytest.raises(ValueError, match="expected|NaN"):
            build()
    with pytest.raises(TypeError, match="float"):
        RingKernelDenoiser(10.0, torch.arange(3), 1.0)
