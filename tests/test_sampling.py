"""Samplers against closed forms: on a Gaussian every solver is affine in each eigen-direction."""

from itertools import pairwise

import pytest
import torch
from nearsight.denoisers import EmpiricalDenoiser, GaussianDenoiser
from nearsight.noise import edm_sigmas
from nearsight.sampling import sample

F64 = torch.float64
SPECTRUM = torch.tensor([0.1, 1.0, 4.0], dtype=F64)
ROTATION = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(5), dtype=F64)).Q
MEAN = torch.tensor([1.0, -2.0, 0.5], dtype=F64)
GAUSSIAN = GaussianDenoiser(MEAN, ROTATION @ torch.diag(SPECTRUM) @ ROTATION.T)
SIGMAS = torch.tensor([10.0, 3.0, 1.0, 0.3, 0.0], dtype=F64)


def latents(n, sigma=10.0, seed=0):
    return sigma * torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=F64)


def in_eigenbasis(x):
    return (x - MEAN) @ ROTATION


@pytest.mark.parametrize("solver, gain", [("euler", (0.0196050, 0.0732128, 0.1480592)),
                                          ("heun", (0.0276910, 0.1158225, 0.2346158))])
def test_gain_of_the_deterministic_solvers_on_a_gaussian(solver, gain):
    x = latents(20)
    out = in_eigenbasis(sample(GAUSSIAN, x, SIGMAS, solver))
    assert torch.allclose(out, in_eigenbasis(x) * torch.tensor(gain, dtype=F64), atol=1e-6)


def test_ancestral_gain_is_exact_in_any_number_of_steps_and_its_noise_has_the_stated_variance():
    x = latents(1).expand(200_000, 3)
    out = in_eigenbasis(sample(GAUSSIAN, x, SIGMAS, "ancestral", generator=torch.Generator().manual_seed(1)))
    variance = torch.tensor([0.0310222, 0.3730558, 1.4226088], dtype=F64)
    standard_error = (variance / len(x)).sqrt()
    expected = in_eigenbasis(x[:1]) * SPECTRUM / (SPECTRUM + 100)
    assert ((out.mean(0) - expected).abs() < 5 * standard_error).all()
    assert ((out.var(0) / variance - 1).abs() < 5 * (2 / len(x)) ** 0.5).all()


def ode_gain(sigmas):
    return ((SPECTRUM + sigmas[-1] ** 2) / (SPECTRUM + sigmas[0] ** 2)).sqrt()


@pytest.mark.parametrize("solver, order", [("euler", 1), ("heun", 2)])
def test_order_of_convergence_to_the_exact_flow(solver, order):
    x = latents(5)
    errors = []
    for steps in (200, 400, 800):
        sigmas = torch.logspace(1, -1, steps + 1, dtype=F64)
        errors.append((in_eigenbasis(sample(GAUSSIAN, x, sigmas, solver)) - in_eigenbasis(x) * ode_gain(sigmas)).norm())
    rates = [float((coarse / fine).log2()) for coarse, fine in pairwise(errors)]
    assert rates == pytest.approx([order, order], abs=0.03)


def test_many_heun_steps_return_the_law():
    x = latents(50_000, 80.0)
    out = in_eigenbasis(sample(GAUSSIAN, x, edm_sigmas(60)))
    assert ((out.var(0) / SPECTRUM - 1).abs() < 5 * (2 / len(x)) ** 0.5 + 2e-3).all()


def test_sampling_a_finite_set_returns_its_points():
    points = torch.randn(30, 4, generator=torch.Generator().manual_seed(2), dtype=F64)
    x = 80 * torch.randn(200, 4, generator=torch.Generator().manual_seed(3), dtype=F64)
    out = sample(EmpiricalDenoiser(points), x, edm_sigmas(40))
    assert all((points == row).all(1).any() for row in out)  # to the bit


def test_the_state_is_kept_in_float64_and_returned_in_the_latents_dtype():
    seen = []

    def spy(x, sigma):
        seen.append((x.dtype, sigma))
        return torch.zeros_like(x)

    out, states = sample(spy, latents(4).float(), SIGMAS, trajectory=True)
    assert out.dtype == states.dtype == torch.float32 and {dtype for dtype, _ in seen} == {torch.float32}
    assert [sigma for _, sigma in seen] == pytest.approx([10, 3, 3, 1, 1, 0.3, 0.3])
    assert states.shape == (5, 4, 3) and torch.equal(states[-1], out) and torch.equal(states[0], latents(4).float())


def test_trajectory_points_are_shorter_runs_and_a_grid_may_end_above_zero():
    x = latents(6)
    out, states = sample(GAUSSIAN, x, SIGMAS, trajectory=True)
    for k in range(2, 5):
        assert torch.allclose(sample(GAUSSIAN, x, SIGMAS[:k]), states[k - 1], rtol=1e-12)
    assert torch.allclose(sample(GAUSSIAN, states[2], SIGMAS[2:]), out, rtol=1e-12)


def test_one_seed_one_sample_and_the_global_random_state_stays():
    state = torch.get_rng_state()
    twice = [sample(GAUSSIAN, latents(3), SIGMAS, "ancestral", generator=torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(*twice) and torch.equal(torch.get_rng_state(), state)


def test_no_events_give_no_samples():
    assert sample(GAUSSIAN, latents(0), SIGMAS).shape == (0, 3)


@pytest.mark.parametrize("arguments, sentence", [
    (dict(solver="rk4"), "expected one of 'euler', 'heun', 'ancestral'"),
    (dict(sigmas=SIGMAS.flip(0)), "falling strictly"), (dict(sigmas=SIGMAS[:1]), "at least two"),
    (dict(sigmas=torch.tensor([1.0, 1.0])), "falling strictly"), (dict(sigmas=torch.tensor([1.0, -1.0])), ">= 0"),
    (dict(denoiser=lambda x, sigma: x[:, :2]), "one clean event for each noisy one"),
    (dict(latents=latents(3) * torch.nan), "NaN"),
])
def test_bad_input_gets_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        sample(**{"denoiser": GAUSSIAN, "latents": latents(3), "sigmas": SIGMAS, **arguments})
