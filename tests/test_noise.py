import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nearsight import noise


def test_edm_grid_is_equation_5_of_karras():
    low, high, rho, n = 0.002, 80.0, 7.0, 18
    expected = [(high ** (1 / rho) + i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))) ** rho for i in range(n)]
    assert torch.allclose(noise.edm_sigmas(n), torch.tensor([*expected, 0.0], dtype=torch.float64), rtol=1e-13)


@given(st.integers(1, 400), st.floats(0.1, 20))
def test_edm_grid_falls_strictly_from_end_to_end(n, rho):
    sigmas = noise.edm_sigmas(n, 0.01, 10.0, rho)
    assert len(sigmas) == n + 1 and sigmas.dtype == torch.float64
    assert (sigmas.diff() < 0).all()
    assert sigmas[0] == 10.0 and sigmas[-1] == 0.0 and (n == 1 or sigmas[-2] == 0.01)


@pytest.mark.parametrize("t, sigma", [(0, 0.01), (50, 0.17601), (100, 0.34226), (150, 0.52197), (200, 0.72359),
                                      (300, 1.24016), (500, 3.44297), (800, 25.7360), (999, 157.407)])
def test_vp_levels_of_the_thousand_step_chain(t, sigma):
    rising = noise.vp_sigmas(1000).flip(0)[1:]
    assert rising[t] == pytest.approx(sigma, rel=6e-5)  # half a unit of the table's last digit


@pytest.mark.parametrize("t, sigma", [(25, 0.171382), (50, 0.337470), (75, 0.516924), (150, 1.233701), (250, 3.435507),
                                      (500, 162.947)])
def test_vp_levels_of_the_grammar_chain(t, sigma):
    assert noise.vp_sigmas(500).flip(0)[t] == pytest.approx(sigma, rel=3e-6)


def test_vp_chain_against_the_plain_product():
    betas = np.linspace(2e-4, 4e-2, 500)
    alpha_bar = np.cumprod(1 - betas)
    expected = np.append(np.sqrt((1 - alpha_bar) / alpha_bar)[::-1], 0.0)
    assert np.allclose(noise.vp_sigmas(500).numpy(), expected, rtol=1e-11)


def test_vp_time_inverts_the_chain_and_rises_between_its_points():
    sigmas = noise.vp_sigmas(500)
    assert torch.allclose(noise.vp_time(sigmas, sigmas), torch.arange(500, -1, -1.0, dtype=torch.float64), atol=1e-9)
    between = noise.vp_time(torch.linspace(0, 200, 10_001, dtype=torch.float64), sigmas)
    assert (between.diff() >= 0).all() and between[-1] == 500


@given(st.floats(1e-6, 1e4))
def test_conversions_are_inverses_and_agree_on_the_signal_share(sigma):
    level = torch.tensor(sigma, dtype=torch.float64)
    time = noise.ou_time_of_sigma(level)
    assert noise.sigma_of_ou_time(time) == pytest.approx(sigma, rel=1e-9)
    back = noise.sigma_of_alpha_bar(noise.alpha_bar_of_sigma(level))
    assert back == pytest.approx(sigma, rel=1e-3 if sigma < 1e-4 else 1e-7)
    assert torch.exp(-2 * time) == pytest.approx(float(noise.alpha_bar_of_sigma(level)), rel=1e-12)


@pytest.mark.parametrize("arguments, sentence", [((0,), "n is 0; expected a whole number"),
                                                 ((18, 80.0, 0.002), "expected sigma_min < sigma_max"),
                                                 ((18, -1.0), "sigma_min is -1"), ((18, 0.002, float("inf")), "sigma_max")])
def test_bad_grids_are_refused_with_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        noise.edm_sigmas(*arguments)


def test_a_chain_too_short_for_its_betas_is_refused():
    with pytest.raises(ValueError, match="try more steps"):
        noise.vp_sigmas(10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_level_is_found_in_a_grid_that_holds_it_and_refused_where_it_is_not(dtype):
    grid = torch.tensor([0.1, 0.3, 1.07], dtype=dtype)
    assert [noise.level_index(grid, sigma) for sigma in (0.1, 0.3, 1.07)] == [0, 1, 2]
    assert noise.level_index(noise.edm_sigmas(5), 0.0) == 5
    with pytest.raises(ValueError, match=r"sigma = 0.31 is no level of the grid, the nearest is 0.3;"):
        noise.level_index(grid, 0.31)
