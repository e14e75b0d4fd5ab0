"""Expectations and limits for a fitted Gaussian: golden numbers, Monte Carlo, quadrature, identities."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.gaussian import (
    expected_divergences,
    expected_errors,
    expected_kl,
    expected_squared_wasserstein,
    fit,
    fixed_point,
    limits,
    log_affinity,
    proportional_limits,
    squared_bures,
)
from scipy.integrate import quad
from torch.distributions import MultivariateNormal, kl_divergence


def power_law(exponent, d=100):
    values = torch.arange(1, d + 1, dtype=torch.float64) ** -exponent
    return values * d / values.sum()


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sample_covariances(spectrum, n, sets, seed):
    points = normal(sets, n, len(spectrum), seed=seed) * spectrum.sqrt()
    return points.mT @ points / n


def within(values, expected, errors=4.0, bias=0.0):
    """Whether the mean of `values` is `expected` to so many standard errors, plus a relative bias of the theory."""
    return abs(values.mean() - expected) <= errors * values.std() / len(values) ** 0.5 + bias * abs(expected)


@pytest.mark.parametrize("n, d, forward, backward", [
    (20, 5, 0.566028, 0.972433), (50, 20, 2.726935, 5.487351), (60, 40, 9.853392, 37.924386),
    (100, 50, 8.195802, 19.408365), (200, 100, 15.864802, 36.686218), (1000, 3, 0.004507015, 0.004538211),
    (102, 100, 49.271661, math.inf), (100, 100, math.inf, math.inf),
])
def test_expected_kl_golden_numbers(n, d, forward, backward):
    assert expected_kl(n, d) == pytest.approx((forward, backward), rel=1e-6, abs=0)


def test_expected_kl_is_what_monte_carlo_finds_for_any_truth():
    truth = MultivariateNormal(normal(5, seed=0), torch.diag(torch.tensor([4.0, 1, 1, 0.3, 0.1], dtype=torch.float64)))
    torch.manual_seed(1)
    mean, covariance = fit(truth.sample((4000, 20)))
    fitted = MultivariateNormal(mean, covariance)
    forward, backward = expected_kl(20, 5)
    assert within(kl_divergence(fitted, truth), forward)
    assert within(kl_divergence(truth, fitted), backward)


def test_expected_kl_times_n_counts_half_the_parameters():
    d, n = 6, 10**6
    parameters = d + d * (d + 1) / 2
    assert [n * value for value in expected_kl(n, d)] == pytest.approx([parameters / 2] * 2, rel=1e-4)


def test_expected_kl_per_dimension_tends_to_the_proportional_limit():
    limit = proportional_limits(2.0)
    assert expected_kl(20000, 10000)[0] / 10000 == pytest.approx(limit.kl_fit_truth, rel=1e-3)
    assert expected_kl(20000, 10000)[1] / 10000 == pytest.approx(limit.kl_truth_fit, rel=1e-3)


@pytest.mark.parametrize("ratio, expected", [
    (100, (0.002508, 0.002542, 0.000630, 0.002503, 0.997498)), (10, (0.025878, 0.029678, 0.006742, 0.025323, 0.974838)),
    (5, (0.053713, 0.071287, 0.014575, 0.051336, 0.949323)), (2, (0.153426, 0.346574, 0.046907, 0.134401, 0.870115)),
    (1.5, (0.225347, 0.774653, 0.073640, 0.184797, 0.823740)),
    (1.05, (0.423887, 9.576113, 0.157977, 0.283160, 0.736885)),
    (1, (math.inf,) * 3 + (0.302347, 0.720506)), (0.95, (math.inf,) * 3 + (0.325732, 0.700793)),
    (0.5, (math.inf,) * 3 + (0.680822, 0.435057)), (0.25, (math.inf,) * 3 + (1.032312, 0.234105)),
])
def test_proportional_limits_golden_numbers(ratio, expected):
    limit = proportional_limits(ratio)
    values = (limit.kl_fit_truth, limit.kl_truth_fit, limit.hellinger_exponent, limit.squared_wasserstein)
    assert (*values, limit.convergence) == pytest.approx(expected, abs=5.1e-7)


@pytest.mark.parametrize("ratio", [1.02, 1.5, 2.0, 10.0, 0.4])
@pytest.mark.parametrize("shift", [0.0, 0.01, 1.0, 30.0])
def test_closed_log_moment_equals_quadrature(ratio, shift):
    if shift == 0 and ratio < 1:
        return
    points, weights = limits.quadrature(ratio)
    atom = max(0.0, 1 - ratio) * (math.log(shift) if shift else 0.0)
    assert limits.log_moment(ratio, shift) == pytest.approx(float(weights @ np.log(points + shift)) + atom, abs=1e-8)


@pytest.mark.parametrize("c, value", [(0.5, 0.63353519), (2.5, 0.46003262)])
def test_log_moment_equals_the_other_closed_form(c, value):
    low, high = (1 - math.sqrt(c)) ** 2, (1 + math.sqrt(c)) ** 2
    f = (math.sqrt(high + 1) - math.sqrt(low + 1)) ** 2
    closed = math.log(1 + c - f / 4) / c + math.log(2 - f / 4) - f / (4 * c)
    assert limits.log_moment(1 / c, 1.0) == pytest.approx(closed, abs=1e-12)
    assert limits.log_moment(1 / c, 1.0) == pytest.approx(value, abs=5e-9)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 3.0])
def test_quadrature_has_the_mass_and_the_moments_of_marchenko_pastur(ratio):
    points, weights = limits.quadrature(ratio)
    assert weights.sum() == pytest.approx(min(1, ratio), abs=1e-12)
    assert weights @ points == pytest.approx(1, abs=1e-12)
    assert weights @ points**2 == pytest.approx(1 + 1 / ratio, abs=1e-12)


@pytest.mark.parametrize("ratio", [1e4, 1e6])
def test_limits_decay_as_c_over_4_and_c_over_16(ratio):
    limit = proportional_limits(ratio)
    values = (limit.kl_fit_truth, limit.kl_truth_fit, limit.squared_wasserstein, 4 * limit.hellinger_exponent)
    assert [4 * ratio * value for value in values] == pytest.approx([1] * 4, rel=2 / ratio)


def test_limits_on_the_way_down_to_n_equal_d():
    limit = proportional_limits(1 + 1e-9)
    assert limit.kl_fit_truth == pytest.approx(0.5, abs=1e-6)
    golden_ratio = (1 + 5**0.5) / 2
    exponent = 0.25 + math.log(golden_ratio) - (2 - golden_ratio) / 2 - math.log(2) / 2
    assert limit.hellinger_exponent == pytest.approx(exponent, rel=1e-6)
    assert math.exp(-limit.hellinger_exponent) == pytest.approx(0.824, abs=5e-4)
    assert limit.kl_truth_fit > 1e8


@given(st.floats(0.05, 50))
def test_wasserstein_limit_is_a_function_of_the_convergence(ratio):
    limit = proportional_limits(ratio)
    assert limit.squared_wasserstein == pytest.approx(2 - 2 * limit.convergence**0.5, abs=1e-10)


@pytest.mark.parametrize("n, d", [(50, 100), (200, 100)])
def test_convergence_is_the_overlap_of_fits_to_disjoint_sets(n, d):
    roots = []
    for seed in (0, 1):
        values, vectors = torch.linalg.eigh(fit(normal(20, n, d, seed=seed))[1])
        roots.append((vectors * values.clamp(min=0).sqrt()[:, None]) @ vectors.mT)
    overlap = (roots[0] * roots[1]).sum((1, 2)) / d
    assert within(overlap, {50: 0.418, 200: 0.864}[n])
    # Estimating the mean costs one sample of n.
    assert overlap.mean().item() == pytest.approx(proportional_limits((n - 1) / d).convergence * (1 - 1 / n), rel=0.01)


@given(st.integers(1, 60), st.integers(1, 80), st.floats(-9, 3), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_fixed_point_has_no_residual_and_is_stationary(d, n, log_ridge, seed):
    weight = (2 * normal(d, seed=seed)).exp()
    ridge = torch.full_like(weight, 10.0**log_ridge)
    g = fixed_point.solve(ridge, weight, n).item()
    part = ridge / weight
    assert 0 < g <= 1
    assert g * (1 + (1 / (part + g)).sum().item() / n) == pytest.approx(1, abs=1e-12)
    slope = (1 / (part + g)).sum().item() - n / g + n
    assert abs(slope) * g / n <= 1e-12


@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
def test_flat_fixed_point_solves_its_quadratic(ratio):
    d, shift = 50, 0.3
    white = torch.ones(d, dtype=torch.float64)
    g = fixed_point.solve(shift * white, white, int(ratio * d))
    assert g.item() ** 2 + (shift + 1 / ratio - 1) * g.item() - shift == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("a, n, floor, sigma, forward, backward, affinity", [
    (1, 30, 0.1, 0, 48.75247, 118.23108, -12.76882), (1, 200, 0.01, 0, 14.17602, 28.16482, -4.18041),
    (2, 30, 0.01, 0, 45.96398, 129.49291, -11.08229), (1, 100, 0, 0.3, 18.43975, 38.10581, -5.47261),
    (0, 100, 0, 0.5, 16.89112, 30.70593, -4.87858),
])
def test_expected_divergences_golden_numbers_and_monte_carlo(a, n, floor, sigma, forward, backward, affinity):
    spectrum = power_law(a)
    values = expected_divergences(spectrum, n, floor, sigma)
    assert (values.kl_fit_truth, values.kl_truth_fit, values.log_affinity) == pytest.approx(
        (forward, backward, affinity), rel=1e-6)
    eye, zero = torch.eye(100, dtype=torch.float64), torch.zeros(100, dtype=torch.float64)
    fitted = MultivariateNormal(zero, sample_covariances(spectrum, n, 60, seed=n) + (floor + sigma**2) * eye)
    truth = MultivariateNormal(zero, torch.diag(spectrum) + sigma**2 * eye)
    assert within(kl_divergence(fitted, truth), forward, bias=0.02)
    assert within(kl_divergence(truth, fitted), backward, bias=0.03)
    assert within(log_affinity(fitted, truth), affinity, bias=0.02)


@pytest.mark.parametrize("sigma, expected", [
    (0.3, (88.59, 81.63, 78.42, 72.48, 65.91)), (1.0, (6.461, 6.225, 6.113, 5.900, 5.653)),
])
def test_blurred_divergence_passes_n_equal_d_smoothly(sigma, expected):
    values = [expected_divergences(power_law(0), n, sigma=sigma).kl_truth_fit for n in (95, 99, 101, 105, 110)]
    assert values == pytest.approx(expected, abs=0.0051)


@pytest.mark.parametrize("a, n, floor, value", [
    (1, 30, 0.527, 20.409), (1, 100, 0.299, 12.137), (1, 200, 0.191, 7.957), (2, 30, 0.0510, 41.508),
    (0, 100, 0.692, 8.324),
])
def test_best_floor(a, n, floor, value):
    spectrum = power_law(a)
    values = [expected_divergences(spectrum, n, f).kl_truth_fit for f in (0.99 * floor, floor, 1.01 * floor)]
    assert values[1] == pytest.approx(value, abs=5.1e-4)
    assert values[1] < values[0] and values[1] < values[2]


def test_intrinsic_dimension_golden_numbers():
    spectrum = torch.cat([torch.ones(10), torch.full((90,), 1e-4)]).double()
    tiny = [expected_divergences(spectrum, n, 1e-6).kl_truth_fit for n in (50, 90, 110, 200)]
    assert tiny == pytest.approx([2996.6, 729.3, 242.5, 32.13], rel=1e-4)
    large = [expected_divergences(spectrum, n, 1e-2).kl_truth_fit for n in (5, 10, 20, 50, 10**9)]
    assert large == pytest.approx([400.05, 203.25, 166.50, 163.82, 163.13], abs=0.0051)
    distances = [expected_squared_wasserstein(spectrum, n) for n in (5, 20, 200)]
    assert distances == pytest.approx([6.826, 1.358, 0.127], abs=5.1e-4)


@given(st.floats(0.01, 100), st.integers(5, 200), st.floats(0.01, 1), st.floats(0.01, 1))
@settings(max_examples=30, deadline=None)
def test_divergences_know_no_unit(factor, n, floor, sigma):
    spectrum = power_law(1, 20)
    here = expected_divergences(spectrum, n, floor, sigma)
    there = expected_divergences(factor * spectrum, n, factor * floor, factor**0.5 * sigma)
    assert there.kl_fit_truth == pytest.approx(here.kl_fit_truth, rel=1e-9)
    assert there.kl_truth_fit == pytest.approx(here.kl_truth_fit, rel=1e-9)
    assert there.log_affinity == pytest.approx(here.log_affinity, rel=1e-9)


@pytest.mark.parametrize("exponent", [0, 2])
def test_divergences_without_floor_are_d_times_the_limits_for_every_spectrum(exponent):
    values, limit = expected_divergences(power_law(exponent), 200), proportional_limits(2.0)
    assert values.kl_fit_truth == pytest.approx(100 * limit.kl_fit_truth, rel=1e-9)
    assert values.kl_truth_fit == pytest.approx(100 * limit.kl_truth_fit, rel=1e-9)
    assert values.log_affinity == pytest.approx(-100 * limit.hellinger_exponent, rel=1e-9)


@given(st.integers(2, 300), st.floats(0.001, 2), st.floats(0.001, 2))
@settings(max_examples=30, deadline=None)
def test_expected_kl_bounds_the_expected_affinity(n, floor, sigma):
    values = expected_divergences(power_law(1, 30), n, floor, sigma)
    assert min(values.kl_fit_truth, values.kl_truth_fit) >= -2 * values.log_affinity >= 0


def test_directions_without_variance_are_told_apart():
    spectrum = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)
    assert expected_divergences(spectrum, 20) == expected_divergences(spectrum[:2], 20)
    assert expected_divergences(spectrum, 20, floor=0.1).kl_truth_fit == math.inf
    assert math.isfinite(expected_divergences(spectrum, 20, floor=0.1, sigma=0.1).kl_truth_fit)
    singular = expected_divergences(power_law(0), 100)
    assert (singular.kl_fit_truth, singular.kl_truth_fit, singular.log_affinity) == (math.inf, math.inf, -math.inf)


@pytest.mark.parametrize("n, floor, expected, carlo", [(30, 0, 50.43391, 51.3), (200, 0, 6.83753, 7.01),
                                                       (30, 0.1, 29.98213, 30.5)])
def test_expected_squared_wasserstein_golden_numbers(n, floor, expected, carlo):
    spectrum = power_law(1)
    assert expected_squared_wasserstein(spectrum, n, floor) == pytest.approx(expected, rel=1e-6)
    fitted = sample_covariances(spectrum, n, 40, seed=n) + floor * torch.eye(100, dtype=torch.float64)
    distances = squared_bures(fitted, torch.diag(spectrum).expand(40, -1, -1))
    assert within(distances, carlo, bias=0.01)


@pytest.mark.parametrize("n", [50, 100, 300])
def test_expected_squared_wasserstein_of_a_flat_spectrum_is_the_limit(n):
    expected = 100 * proportional_limits(n / 100).squared_wasserstein
    assert expected_squared_wasserstein(power_law(0), n) == pytest.approx(expected, rel=1e-6)
    assert expected_squared_wasserstein(4 * power_law(0), n) == pytest.approx(4 * expected, rel=1e-6)


def test_expected_squared_wasserstein_without_variance_is_the_floor():
    assert expected_squared_wasserstein(torch.zeros(3), 5, 0.5) == 1.5
    assert expected_squared_wasserstein(torch.tensor([1.0, 0.0]), 10**7, 0.0) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("a, n, sigma, train, holdout, optimum", [
    (1, 100, 0.3, 0.057507681, 0.136494589, 0.073714472), (1, 50, 0.3, 0.038833929, 0.281600443, 0.073714472),
    (0, 50, 1.0, 1 - 0.5**0.5, 0.792893219, 0.5),
])
def test_expected_errors_golden_numbers_and_monte_carlo(a, n, sigma, train, holdout, optimum):
    spectrum = power_law(a)
    values = expected_errors(spectrum, n, sigma)
    assert (values.train, values.holdout, values.optimum) == pytest.approx((train, holdout, optimum), rel=2e-8)
    sample = sample_covariances(spectrum, n, 60, seed=n)
    inverse = torch.linalg.inv(sample + sigma**2 * torch.eye(100, dtype=torch.float64))
    gain = sample @ inverse
    on_train = sigma**2 * gain.diagonal(dim1=1, dim2=2).mean(1)
    on_fresh = (sigma**4 * ((inverse @ inverse) * spectrum).diagonal(dim1=1, dim2=2).mean(1)
                + sigma**2 * (gain @ gain.mT).diagonal(dim1=1, dim2=2).mean(1))
    assert within(on_train, train, bias=0.01)
    assert within(on_fresh, holdout, bias=0.01)


@given(st.integers(1, 300), st.floats(0.05, 5))
@settings(max_examples=30, deadline=None)
def test_the_two_second_order_traces_are_one(n, sigma):
    spectrum, level, h = power_law(1, 30), sigma**2, 1e-4

    def traces(tau):
        g = fixed_point.solve(torch.full_like(spectrum, tau), spectrum, n)
        return torch.stack([(1 / (tau + g * spectrum)).sum(), (spectrum / (tau + g * spectrum)).sum(), g])

    inverse, _, g = traces(level)
    slopes = (traces(level * (1 + h)) - traces(level * (1 - h))) / (2 * h * level)
    square_on_truth = -slopes[1]  # tr A^2 Sigma
    first, second = g**2 * square_on_truth, inverse + level * slopes[0]
    assert abs(first - second) <= 10 * h**2 * inverse
    holdout = level**2 * square_on_truth + level * (30 - 2 * level * inverse - level**2 * slopes[0])
    assert expected_errors(spectrum, n, sigma).holdout == pytest.approx(holdout.item() / 30, rel=1e-6)


def test_fact_1_a_divergence_is_excess_denoising_error_summed_over_noise():
    spectrum, n, start = power_law(1, 40), 30, 0.2

    def excess(log_sigma):
        errors = expected_errors(spectrum, n, math.exp(log_sigma))
        return 40 * (errors.holdout - errors.optimum) * math.exp(-2 * log_sigma)

    integral = quad(excess, math.log(start), math.log(1e4), epsrel=1e-7, limit=200)[0]
    assert integral == pytest.approx(expected_divergences(spectrum, n, sigma=start).kl_truth_fit, rel=1e-3)


@pytest.mark.parametrize("n, exponent, factor", [(50, -2, lambda ratio: (1 - ratio) / ratio), (100, -1, lambda _: 0.5),
                                                 (200, 2, None)])
def test_fact_2_the_gap_changes_its_exponent_at_n_equal_d(n, exponent, factor):
    def gap(sigma):
        errors = expected_errors(power_law(0), n, sigma)
        return errors.holdout / errors.train - 1

    assert math.log(gap(2e-3) / gap(1e-3)) / math.log(2) == pytest.approx(exponent, abs=0.01)
    if factor:
        assert gap(1e-3) == pytest.approx(factor(n / 100) * 1e-3**exponent, rel=0.01)


def test_errors_at_no_noise_are_the_variance_outside_the_span():
    values = expected_errors(power_law(0), 25, 0.0)
    assert (values.train, values.holdout, values.optimum) == pytest.approx((0, 0.75, 0), abs=1e-12)
    assert expected_errors(power_law(1), 200, 0.0).holdout == pytest.approx(0, abs=1e-12)
    assert expected_errors(torch.zeros(3), 5, 0.0).holdout == 0
    assert expected_errors(power_law(1), 25, 0.0).holdout == pytest.approx(
        expected_errors(power_law(1), 25, 1e-6).holdout, rel=1e-6)


@pytest.mark.parametrize("call, sentence", [
    (lambda: expected_kl(0, 5), "n is 0; expected a whole number"),
    (lambda: expected_kl(5, 0), "d is 0"),
    (lambda: expected_kl(5.5, 2), "n is 5.5"),
    (lambda: proportional_limits(0.0), "ratio is 0"),
    (lambda: proportional_limits(math.nan), "ratio is nan"),
    (lambda: expected_divergences(torch.zeros(0), 5), "spectrum has shape"),
    (lambda: expected_divergences(torch.tensor([1.0, -1.0]), 5), "spectrum runs from -1"),
    (lambda: expected_divergences(torch.tensor([1.0, math.inf]), 5), "finite"),
    (lambda: expected_divergences(torch.ones(2), 0), "n is 0"),
    (lambda: expected_divergences(torch.ones(2), 5, floor=-0.1), "floor is -0.1"),
    (lambda: expected_divergences(torch.ones(2), 5, sigma=-0.1), "sigma is -0.1"),
    (lambda: expected_squared_wasserstein(torch.ones(2), 5, -1.0), "floor is -1"),
    (lambda: expected_errors(torch.ones(2), 5, -1.0), "sigma is -1"),
])
def test_bad_input_is_answered_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_spectrum_that_is_no_tensor_is_a_type_error():
    with pytest.raises(TypeError, match="torch tensor"):
        expected_errors([1.0, 2.0], 5, 0.1)
