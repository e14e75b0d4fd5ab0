import math

import pytest
import torch
from nearsight.datasets import on_ring, ring_split
from nearsight.denoisers import EmpiricalDenoiser, guided
from nearsight.denoisers.ring import RingDenoiser, RingKernelDenoiser
from nearsight.flow import excess_risk, fitted_blur, fitted_spread, guided_blur, matched_blur, modulation
from nearsight.measures.gaps import denoising_error, generalization_gap
from nearsight.quadrature import polar
from scipy import special

NOISE, WEIGHTS = polar(48, 64)
EXACT = {"noise": NOISE[:, None], "weights": WEIGHTS}
TRAIN, HOLDOUT = ring_split(10)
# Midpoints of a fine division of one arc integrate over the ring, since the lattice repeats itself.
ARC = on_ring(2 * math.pi * (torch.arange(24, dtype=torch.float64) + 0.5) / 240)
TRUTH = RingDenoiser(10.0)


def risk(denoiser, sigma):
    return float(excess_risk(denoiser, TRUTH, ARC, [sigma], **EXACT))


@pytest.mark.parametrize(("sigma", "blur", "expected"), [
    (1.07, 0.0, 2.238), (1.07, 0.8, 0.865), (1.07, 1.339, 0.583), (1.07, 1.6, 0.611), (1.07, 2.2, 0.753),
    (1.07, 3.5, 0.956), (1.67, 0.0, 1.148), (1.67, 1.129, 0.557), (1.67, 2.0, 0.982)])
def test_excess_risk_of_the_blurred_lattice(sigma, blur, expected):
    assert abs(risk(EmpiricalDenoiser(TRAIN, blur), sigma) - expected) < 2e-3


@pytest.mark.parametrize(("sigma", "best"), [(0.3, 1.46), (1.07, 1.34), (2.2, 0.86), (4.0, 0.15)])
def test_the_best_blur_falls_with_sigma(sigma, best):
    blurs = torch.linspace(best - 0.06, best + 0.06, 13, dtype=torch.float64)
    risks = torch.tensor([risk(EmpiricalDenoiser(TRAIN, float(blur)), sigma) for blur in blurs])
    assert abs(blurs[risks.argmin()] - best) < 0.02


def test_at_the_best_blur_the_gap_is_large():
    gap = generalization_gap(EmpiricalDenoiser(TRAIN, 1.339), TRAIN[:1], HOLDOUT[:1], [1.07], "norm", **EXACT).gap
    assert abs(gap - 0.643) < 2e-3


@pytest.mark.parametrize(("sigma", "best"), [(1.07, 1.152), (1.67, 2.831)])
def test_error_is_that_of_the_population_plus_the_excess_risk(sigma, best):
    population = 2 * denoising_error(TRUTH, ARC, [sigma], **EXACT)
    assert abs(population - best) < 2e-3
    for blur in (0.8, 2.0):
        denoiser = EmpiricalDenoiser(TRAIN, blur)
        error = 2 * denoising_error(denoiser, ARC, [sigma], **EXACT)
        assert abs(error - population - risk(denoiser, sigma)) < 2e-3


@pytest.mark.parametrize(("blur", "gap", "expected", "isotropic_gap", "isotropic"), [
    (1.2, 1.569, 0.243, 0.892, 0.595), (2.0, 0.270, 0.015, 0.143, 0.705)])
def test_blur_along_the_ring_is_the_better_error(blur, gap, expected, isotropic_gap, isotropic):
    tangential = RingKernelDenoiser(10.0, 2 * math.pi * torch.arange(10, dtype=torch.float64) / 10, blur)
    for denoiser, its_gap, its_risk in ((tangential, gap, expected),
                                        (EmpiricalDenoiser(TRAIN, blur), isotropic_gap, isotropic)):
        found = generalization_gap(denoiser, TRAIN[:1], HOLDOUT[:1], [1.07], "norm", **EXACT).gap
        assert abs(found - its_gap) < 2e-3
        assert abs(risk(denoiser, 1.07) - its_risk) < 2e-3


@pytest.mark.parametrize("blur", [0.4, 1.6])
def test_a_blurred_denoiser_has_its_own_blur(blur):
    denoiser = EmpiricalDenoiser(TRAIN, blur)
    assert abs(matched_blur(denoiser, TRAIN, 1.07, **EXACT) - blur) < 1e-5
    fit = fitted_blur(denoiser, TRAIN, 1.07, **EXACT)
    assert abs(fit.blur - blur) < 1e-4 and fit.unexplained < 1e-6


ANGLES = 2 * math.pi * torch.arange(10, dtype=torch.float64) / 10
COARSE = dict(zip(("noise", "weights"), polar(10, 16, 5.0)))
COARSE["noise"] = COARSE["noise"][:, None]


def test_a_ring_kernel_is_explained_by_its_own_family_and_not_by_isotropic_blur():
    denoiser = RingKernelDenoiser(10.0, ANGLES, 2.0)
    along = fitted_spread(denoiser, TRAIN, 1.07, **COARSE)
    expected = special.iv(10, 25) / special.iv(0, 25) * float(modulation(10, 1.07))
    assert abs(along.modulation / expected - 1) < 1e-4 and along.unexplained < 1e-9
    assert fitted_blur(denoiser, TRAIN, 1.07, **COARSE).unexplained > 0.2


def test_modulation_is_that_of_the_blurred_and_noised_density_on_the_ring():
    spread, sigma = 1.5, 0.8
    theta = 2 * math.pi * torch.arange(1000, dtype=torch.float64) / 1000
    kernel, likelihood = ((scale * (theta.cos() - 1)).exp() for scale in ((10 / spread) ** 2, (10 / sigma) ** 2))
    waves = [torch.fft.fft(law) for law in (kernel, likelihood)]
    density = torch.stack([torch.fft.ifft(waves[0] * waves[1]).real.roll(100 * k) for k in range(10)]).sum(0)
    expected = 2 * density @ (10 * theta).cos() / density.sum()
    found = fitted_spread(RingKernelDenoiser(10.0, ANGLES, spread), TRAIN, sigma, **COARSE)
    assert abs(found.modulation - expected) < 1e-6


def test_a_uniform_law_shows_none_of_its_points_whatever_the_search_says():
    for sigma in (0.3, 1.07, 2.8):
        for denoiser in (TRUTH, RingKernelDenoiser(10.0, ANGLES, 7.5), RingKernelDenoiser(10.0, ANGLES, 35.0)):
            found = fitted_spread(denoiser, TRAIN, sigma, **COARSE)
            assert 0 <= found.modulation < 1e-5 and found.unexplained < 1e-9


def test_where_nothing_is_nearer_than_the_uniform_ring_all_find_the_same():
    found = {fitted_spread(lambda x, sigma: factor * TRUTH(x, sigma), TRAIN, 0.3, **COARSE).modulation
             for factor in (0.9, 0.97, 0.97 + 1e-7)}
    assert len(found) == 1 and 0 <= found.pop() < 1e-20


@pytest.mark.parametrize("spread", [0.5, 1.5, 2.5, 3.5, 5.0, 9.0])
def test_rounding_of_the_denoiser_does_not_change_what_is_reported(spread):
    generator = torch.Generator().manual_seed(0)
    off = EmpiricalDenoiser(TRAIN, 0.5)

    def report(sigma, size):
        def denoiser(x, sigma):
            rounding = size * torch.randn(x.shape, dtype=x.dtype, generator=generator)
            return 0.8 * RingKernelDenoiser(10.0, ANGLES, spread)(x, sigma) + 0.2 * off(x, sigma) + rounding
        fit, along = (fit(denoiser, TRAIN, sigma, **COARSE) for fit in (fitted_blur, fitted_spread))
        return torch.tensor([fit.unexplained, along.unexplained, along.modulation])

    for sigma in (0.3, 1.07, 2.8):
        assert (report(sigma, 0.0) - report(sigma, 1e-7)).abs().max() < 1e-4


def test_the_lowest_of_several_minima_is_found():
    # Far above sigma, blurs on both sides of one that suits less leave x alone just as well.
    def denoiser(x, sigma):
        return 0.5 * (EmpiricalDenoiser(TRAIN, 2.7)(x, sigma) + EmpiricalDenoiser(TRAIN, 12.0)(x, sigma))

    fit = fitted_blur(denoiser, TRAIN, 0.3, **COARSE)
    blurs = torch.logspace(-2, 1.6, 400, dtype=torch.float64).tolist()
    clean = denoiser((TRAIN + 0.3 * COARSE["noise"]).flatten(0, 1), 0.3)
    by_force, optimal = ([float(excess_risk(lambda x, sigma: clean, EmpiricalDenoiser(TRAIN, blur), TRAIN, [0.3], **COARSE))
                          for blur in values] for values in (blurs, [0.0]))
    assert fit.unexplained <= min(by_force) / optimal[0] < 1.001 * fit.unexplained


def test_nothing_explains_an_error_that_no_blur_makes():
    # Sharper than the optimal denoiser: any blur is a step in the wrong direction.
    def denoiser(x, sigma):
        return EmpiricalDenoiser(TRAIN)(x, 0.9 * sigma)

    assert fitted_blur(denoiser, TRAIN, 1.07, **COARSE).blur == 0
    for fit in (fitted_blur, fitted_spread):
        assert fit(denoiser, TRAIN, 1.07, **COARSE).unexplained == 1
        assert fit(EmpiricalDenoiser(TRAIN), TRAIN, 1.07, **COARSE).unexplained == 0


def test_an_error_out_of_reach_is_matched_by_the_nearest_blur():
    assert matched_blur(lambda x, sigma: 2 * x, TRAIN, 1.07, **EXACT) == 40
    peeking = TRAIN[:, None].expand(-1, len(NOISE), -1).transpose(0, 1).flatten(0, 1)
    assert matched_blur(lambda x, sigma: peeking, TRAIN, 1.07, **EXACT) == 0
    assert matched_blur(EmpiricalDenoiser(TRAIN), TRAIN, 1.07, **EXACT) == 0


def test_precisions_add_up_on_one_point():
    point = TRAIN[:1]
    x = point + 3 * torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for weight in (0.5, 2.0):
        both = guided(EmpiricalDenoiser(point, 1.8), EmpiricalDenoiser(point, 2.2), weight)
        alone = EmpiricalDenoiser(point, guided_blur(1.8, 2.2, weight, sigma=1.3))
        torch.testing.assert_close(both(x, 1.3), alone(x, 1.3), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("weight", "matched", "rule"), [(1, 1.544, 1.560), (2, 1.343, 1.397)])
def test_guidance_acts_like_a_smaller_blur(weight, matched, rule):
    assert abs(guided_blur(1.8, 2.2, weight) - rule) < 1e-3
    sigmas = torch.linspace(1.05, 1.3, 26, dtype=torch.float64)
    both = guided(EmpiricalDenoiser(TRAIN, 1.8), EmpiricalDenoiser(TRAIN, 2.2), weight)
    peaks = [generalization_gap(denoiser, TRAIN[:1], HOLDOUT[:1], sigmas, "norm", **EXACT).gap.max()
             for denoiser in (both, EmpiricalDenoiser(TRAIN, matched))]
    assert abs(peaks[0] / peaks[1] - 1) < 0.005


def test_guidance_that_takes_too_much_is_refused():
    with pytest.raises(ValueError, match="leaves no blur"):
        guided_blur(1.8, 1.0, 3.0)


def test_a_network_sees_the_dtype_of_the_points_whatever_that_of_the_noise():
    network = torch.nn.Linear(2, 2)

    def denoiser(x, sigma):
        return network(x)

    for dtype in (torch.float32, torch.float64):
        network.to(dtype)
        assert excess_risk(denoiser, TRUTH, TRAIN.to(dtype), [1.0], **EXACT).isfinite().all()
        assert 0 < fitted_blur(denoiser, TRAIN.to(dtype), 1.0, **EXACT).unexplained <= 1
