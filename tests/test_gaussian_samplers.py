"""`sampler_map`: golden numbers, the library's own sampler, exact limits, textbook forms."""

import math
from itertools import pairwise

import pytest
import torch
from nearsight.denoisers import GaussianDenoiser
from nearsight.gaussian import sampler_map
from nearsight.gaussian.samplers import SOLVERS
from nearsight.noise import edm_sigmas
from nearsight.sampling import sample
from torch.distributions import MultivariateNormal, kl_divergence

SPECTRUM = torch.tensor([0.1, 1.0, 4.0], dtype=torch.float64)
GRID = torch.tensor([10.0, 3.0, 1.0, 0.3, 0.0], dtype=torch.float64)
TO_DATA = ((0.0009990, 0.0099010, 0.0384615),)
GOLDEN = {
    "euler": ((0.0196050, 0.0732128, 0.1480592), 0, None),
    "heun": ((0.0276910, 0.1158225, 0.2346158), 0, None),
    "ode": ((0.0316070, 0.0995037, 0.1961161), 0, None),
    "ancestral": (*TO_DATA, (0.0310222, 0.3730558, 1.4226088), None),
    "ddpm": (*TO_DATA, (0.1516934, 0.9075302, 2.3513719), None),
    "sde": (*TO_DATA, (0.0999001, 0.9900990, 3.8461538), None),
    "ou-euler": ((0.0542226, 0.0995037, 0.1486720), 0, (0.7785325, 0.6253952, 0.4998149)),
    "ou-euler-maruyama": ((-0.0000698, -0.0020238, -0.0054644), (0.2883197, 1.3960973, 3.4716618),
                          (0.9639822, 0.8624078, 0.7577740)),
}


@pytest.mark.parametrize("solver", SOLVERS)
def test_golden_numbers(solver):
    gain, noise_variance, pull = GOLDEN[solver]
    result = sampler_map(SPECTRUM, GRID, solver)
    assert result.gain.tolist() == pytest.approx(gain, abs=5.1e-8)
    assert result.noise_variance.tolist() == pytest.approx(noise_variance or (0, 0, 0), abs=5.1e-8)
    assert result.pull.tolist() == pytest.approx(pull or (1 - result.gain).tolist(), abs=5.1e-8)


@pytest.fixture(scope="module")
def law():
    generator = torch.Generator().manual_seed(3)
    basis = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    return torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), basis


@pytest.mark.parametrize("grid", [GRID, GRID[:-1], edm_sigmas(9)])
@pytest.mark.parametrize("solver", ["euler", "heun"])
@pytest.mark.parametrize("spectrum", [SPECTRUM, torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)])
def test_the_map_is_what_the_sampler_does(law, grid, solver, spectrum):
    mean, basis = law
    latents = grid[0] * torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    run = sample(GaussianDenoiser(mean, (basis * spectrum) @ basis.T), latents, grid, solver)
    predicted = sampler_map(spectrum, grid, solver)
    expected = (predicted.gain * (latents @ basis) + predicted.pull * (mean @ basis)) @ basis.T
    torch.testing.assert_close(run, expected, atol=1e-10, rtol=0)


def test_the_ancestral_map_has_the_mean_and_variance_of_the_sampler(law):
    mean, basis = law
    count, grid = 40000, GRID[:-1]
    latents = torch.full((count, 3), 2.0, dtype=torch.float64)
    run = sample(GaussianDenoiser(mean, (basis * SPECTRUM) @ basis.T), latents, grid, "ancestral",
                 generator=torch.Generator().manual_seed(1)) @ basis
    predicted = sampler_map(SPECTRUM, grid, "ancestral")
    expected = predicted.gain * (latents[0] @ basis) + predicted.pull * (mean @ basis)
    assert ((run.mean(0) - expected).abs() < 5 * (predicted.noise_variance / count).sqrt()).all()
    assert ((run.var(0) / predicted.noise_variance - 1).abs() < 5 * (2 / count) ** 0.5).all()


@pytest.mark.parametrize("end", [0.0, 0.3])
@pytest.mark.parametrize("solver, exact", [("euler", "ode"), ("heun", "ode"), ("ou-euler", "ode"), ("ancestral", "sde"),
                                           ("ddpm", "sde"), ("ou-euler-maruyama", "sde")])
def test_many_steps_approach_the_exact_map(solver, exact, end):
    # Equal steps in asinh(sigma): even in sigma below 1 and in ln sigma above it.
    grid = torch.linspace(math.asinh(10.0), math.asinh(end), 100_001, dtype=torch.float64).sinh()
    many, limit = sampler_map(SPECTRUM, grid, solver), sampler_map(SPECTRUM, grid, exact)
    torch.testing.assert_close(many.gain, limit.gain, atol=1e-4, rtol=0)
    torch.testing.assert_close(many.pull, limit.pull, atol=1e-4, rtol=0)
    torch.testing.assert_close(many.noise_variance, limit.noise_variance, atol=3e-4, rtol=0)


@pytest.mark.parametrize("solver, order", [("euler", 1), ("heun", 2), ("ou-euler", 1)])
def test_order_of_convergence(solver, order):
    def error(steps):
        grid = torch.linspace(math.log(10.0), math.log(0.1), steps + 1, dtype=torch.float64).exp()
        return (sampler_map(SPECTRUM, grid, solver).gain - sampler_map(SPECTRUM, grid, "ode").gain).abs().max()

    assert math.log2(error(400) / error(800)) == pytest.approx(order, abs=0.05)


def test_stochastic_samplers_miss_the_variance_in_first_order():
    def error(steps, solver):
        grid = torch.linspace(math.log(10.0), math.log(0.1), steps + 1, dtype=torch.float64).exp()
        found, exact = (sampler_map(SPECTRUM, grid, name).noise_variance for name in (solver, "sde"))
        return (found - exact).abs().max()

    for solver in ("ancestral", "ddpm", "ou-euler-maruyama"):
        assert math.log2(error(400, solver) / error(800, solver)) == pytest.approx(1, abs=0.05)


def test_euler_is_ddim_in_variance_preserving_form():
    shares = 1 / (1 + GRID**2)
    x = 3.0 * shares[0].sqrt()
    for now, after in pairwise(shares):
        sigma = ((1 - now) / now).sqrt()
        clean = SPECTRUM / (SPECTRUM + sigma**2) * x / now.sqrt()
        noise = (x - now.sqrt() * clean) / (1 - now).sqrt()
        x = after.sqrt() * clean + (1 - after).sqrt() * noise
    torch.testing.assert_close(sampler_map(SPECTRUM, GRID, "euler").gain * 3.0, x)


def test_ddpm_adds_the_forward_variance_in_variance_preserving_form():
    shares = 1 / (1 + GRID**2)
    gain, noise_variance = shares[0].sqrt().expand(3), torch.zeros(3, dtype=torch.float64)
    for now, after in pairwise(shares):
        alpha = now / after
        sigma = ((1 - now) / now).sqrt()
        score = -1 / (now * (SPECTRUM + sigma**2))
        factor = (1 + (1 - alpha) * score) / alpha.sqrt()
        gain, noise_variance = factor * gain, factor**2 * noise_variance + (0 if after == 1 else 1 - alpha)
    result = sampler_map(SPECTRUM, GRID, "ddpm")
    torch.testing.assert_close(result.gain, gain)
    torch.testing.assert_close(result.noise_variance, noise_variance)


def test_exact_maps_carry_the_blurred_law_to_the_blurred_law():
    start, end = SPECTRUM + GRID[0] ** 2, SPECTRUM + GRID[3] ** 2
    for solver in ("ode", "sde"):
        result = sampler_map(SPECTRUM, GRID[:4], solver)
        torch.testing.assert_close(result.gain**2 * start + result.noise_variance, end)


def test_maps_compose():
    for solver in SOLVERS:
        whole, first, last = (sampler_map(SPECTRUM, part, solver) for part in (GRID[:-1], GRID[:3], GRID[2:-1]))
        torch.testing.assert_close(whole.gain, last.gain * first.gain)
        torch.testing.assert_close(whole.pull, last.gain * first.pull + last.pull)
        torch.testing.assert_close(whole.noise_variance, last.gain**2 * first.noise_variance + last.noise_variance)


@pytest.mark.parametrize("solver", SOLVERS)
def test_no_variance_is_legal_and_collapses_on_the_mean(solver):
    result = sampler_map(torch.zeros(1, dtype=torch.float64), GRID, solver)
    assert all(torch.isfinite(part).all() for part in (result.gain, result.pull, result.noise_variance))
    if not solver.startswith("ou-") and solver != "heun":
        assert (result.gain.item(), result.pull.item(), result.noise_variance.item()) == pytest.approx((0, 1, 0), abs=1e-12)


def edm_divergence(spectrum, steps, solver):
    grid = edm_sigmas(steps)
    return generated_divergence(spectrum, sampler_map(spectrum, grid, solver), grid[0] ** 2 + 0 * spectrum)


def ou_divergence(spectrum, steps, solver):
    grid = torch.expm1(2 * torch.linspace(5, 0, steps + 1, dtype=torch.float64)).sqrt()
    return generated_divergence(spectrum, sampler_map(spectrum, grid, solver), 1 + grid[0] ** 2 + 0 * spectrum)


def generated_divergence(spectrum, result, start):
    zero = torch.zeros_like(spectrum)
    generated = MultivariateNormal(zero, torch.diag(result.gain**2 * start + result.noise_variance))
    return kl_divergence(generated, MultivariateNormal(zero, torch.diag(spectrum))).item()


def test_divergence_by_steps_golden_numbers():
    spectrum = torch.arange(1, 101, dtype=torch.float64) ** -1
    spectrum *= 100 / spectrum.sum()
    edm = {"euler": (7.46132, 1.85788), "heun": (3.76842, 0.15678), "ancestral": (17.76724, 6.04021)}
    for solver, expected in edm.items():
        assert [edm_divergence(spectrum, k, solver) for k in (10, 20)] == pytest.approx(expected, abs=5.1e-6)
    uniform = {"ddpm": (36.8016, 13.7795, 0.8561, 0.00949), "ancestral": (45.6874, 22.4525, 3.6987, 0.1825),
               "euler": (43.2607, 19.8307, 2.3490, 0.0605), "ou-euler": (11.3612, 3.7147, 0.1700, 0.0017)}
    for solver, expected in uniform.items():
        values = [ou_divergence(spectrum, k, solver) for k in (10, 20, 100, 1000)]
        assert values == pytest.approx(expected, abs=5.1e-5)


def test_result_has_the_dtype_of_the_spectrum():
    assert sampler_map(SPECTRUM.float(), GRID).gain.dtype == torch.float32


@pytest.mark.parametrize("spectrum, sigmas, solver, sentence", [
    (SPECTRUM, GRID.flip(0), "heun", "falling strictly"),
    (SPECTRUM, GRID[:1], "heun", "1 levels"),
    (SPECTRUM, GRID, "rk4", "'ou-euler-maruyama'"),
    (-SPECTRUM, GRID, "heun", "spectrum runs from -4"),
    (SPECTRUM, torch.tensor([1.0, -1.0]), "heun", "noise levels"),
])
def test_bad_input_is_answered_with_a_sentence(spectrum, sigmas, solver, sentence):
    with pytest.raises(ValueError, match=sentence):
        sampler_map(spectrum, sigmas, solver)
