"""Accelerators: data, noise levels and generators on one device, float64 where it is known, and no waiting for the host."""

import pytest
import torch
from devices import ELSEWHERE, Elsewhere, elsewhere
from nearsight import (
    EmpiricalDenoiser,
    GaussianDenoiser,
    RingDenoiser,
    checks,
    denoising_error,
    edm_sigmas,
    generalization_gap,
    nearest,
    proximity_bias,
    sample,
)
from nearsight.flow import (
    excess_risk,
    gap_map,
    mode_distance,
    modulation,
    padded_gap,
    place_gap,
    random_gap,
    small_gap,
    state_distance,
)
from nearsight.gaussian import fit, one_step, sampler_map
from nearsight.measures import (
    ddpm_weight,
    family_preference,
    flat_minimum,
    gap_band,
    membership,
    moment_ladder,
    own_other,
    pair_mean,
    prediction_cosine,
    proximity_curve,
    weighted_loss,
)
from nearsight.networks import (
    MLP,
    AttentionUNet,
    EpsilonDenoiser,
    Preconditioned,
    TokenDenoiser,
    TokenTransformer,
    UNet,
)
from nearsight.noise import vp_sigmas
from nearsight.tree import Grammar

DATA = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def no_float64(monkeypatch):
    """The device that is not there is like Apple's MPS."""
    assert checks.widest_float(torch.device("mps")) == torch.float32
    monkeypatch.setattr(Elsewhere, "knows_float64", False)
    for module in (checks, checks.tensors):
        monkeypatch.setattr(module, "widest_float",
                            lambda device: torch.float32 if device == ELSEWHERE else torch.float64)


def moved(network):
    """The network on the device that is not there, as `network.to` would move it to a real one."""
    return network.requires_grad_(False)._apply(lambda tensor: tensor.to(ELSEWHERE)).eval()


def test_the_device_that_is_not_there_has_no_float64_and_does_not_mix(no_float64):
    with elsewhere():
        x = DATA.to(ELSEWHERE)
        assert x.device == ELSEWHERE and (x + 1).cpu().equal(DATA + 1)
        with pytest.raises(TypeError, match="float64"):
            x.double()
        with pytest.raises(RuntimeError, match="same device"):
            x + DATA


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_a_network_samples_where_there_is_no_float64(solver, no_float64):
    network, sigmas = Preconditioned(MLP(2, 8, 1)), edm_sigmas(6)
    for parameter in network.requires_grad_(False).parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) / 3)
    expected = sample(network, 80 * DATA, sigmas, solver)
    with elsewhere():
        found = sample(moved(network), (80 * DATA).to(ELSEWHERE), sigmas, solver)
        assert found.device == ELSEWHERE
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-4)


def test_errors_and_gaps_are_measured_where_there_is_no_float64(no_float64):
    network, noise = Preconditioned(MLP(2, 8, 1)), torch.randn(5, 4, 2)
    sigmas = edm_sigmas(4)[:-1]
    expected = generalization_gap(network, DATA, DATA + 1, sigmas, noise=noise)
    with elsewhere():
        there = moved(network), DATA.to(ELSEWHERE)
        found = generalization_gap(*there, (DATA + 1).to(ELSEWHERE), sigmas, noise=noise.to(ELSEWHERE))
        for part in ("sigmas", "train", "holdout", "gap"):
            assert getattr(found, part).device == ELSEWHERE
            torch.testing.assert_close(getattr(found, part).cpu(), getattr(expected, part), rtol=1e-5, atol=1e-5)
        assert denoising_error(*there, sigmas, draws=3).device == ELSEWHERE


@pytest.mark.parametrize("call", [
    lambda x: EmpiricalDenoiser(x), lambda x: GaussianDenoiser(x[0], x[:2]), lambda x: RingDenoiser(1.0)(x, 1.0),
    lambda x: nearest(x, x), lambda x: proximity_bias(x, x, x), lambda x: fit(x), lambda x: one_step(x, 0.5),
    lambda x: Grammar.random(2, 1, 2).denoiser()(x.view(2, 2, 2), 0.5), lambda x: Grammar(x.view(2, 2, 2), 1),
    lambda x: sampler_map(x[0].abs(), [1.0, 0.0]), lambda x: state_distance(x, 1.0, 1.0), lambda x: ddpm_weight(x[0])])
def test_what_is_exact_says_that_it_needs_float64(call, no_float64):
    with elsewhere(), pytest.raises(TypeError, match=r"no float64; expected a device that has it.*try the same on data.cpu"):
        call(DATA.to(ELSEWHERE))


def images(count: int = 2):
    return torch.randn(count, 1, 8, 8), torch.rand(count) + 0.5, torch.tensor([0, 3])[:count]


@pytest.mark.parametrize("network, given", [
    (lambda: Preconditioned(UNet(8, (1, 1), classes=3)), images()),
    (lambda: Preconditioned(UNet(8, (1, 1), classes=3)), images()[:2]),
    (lambda: EpsilonDenoiser(AttentionUNet(8, (1, 1)), vp_sigmas(40)), images()[:2]),
    (lambda: TokenDenoiser(TokenTransformer(3, 2, 4, 1, 1, 4), vp_sigmas(40)), (torch.rand(2, 2, 3), torch.rand(2) + 0.5))])
def test_a_network_does_not_wait_for_the_host(network, given):
    network = network()
    with elsewhere() as mode:
        network, given = moved(network), [part.to(ELSEWHERE) for part in given]
        mode.waits = 0
        network(*given), network(given[0], 0.5, *given[2:])
        assert mode.waits == 0
        float(given[1].sum())
        assert mode.waits == 1


def test_labels_out_of_range_still_get_a_sentence():
    x, sigma, labels = images()
    with pytest.raises(ValueError, match="labels run from 1 to 4; expected 0 to 3"):
        Preconditioned(UNet(8, (1, 1), classes=3))(x, sigma, labels + 1)


ERRORS = torch.rand(2, 4, generator=torch.Generator().manual_seed(2)) + 1
NODES, WEIGHTS = torch.randn(5, 2, generator=torch.Generator().manual_seed(3)).double(), torch.full((5,), 0.2).double()


def wiener(x, sigma):
    return x / (1 + sigma**2)


MANY_POINTS = torch.randn(4, 40, 2, generator=torch.Generator().manual_seed(4))
KINDS = torch.arange(80) % 2


def many(on):
    """Two models' samples and their training sets."""
    return [on(points) for points in MANY_POINTS]


# What a caller may hand over with data on an accelerator and a grid, weights or curves from wherever they were made.
ON_ONE_DEVICE = {
    "gap_map": lambda on: gap_map(wiener, on(DATA), 0.5, on(NODES), WEIGHTS, pixels=3).gap,
    "islands": lambda on: torch.tensor(gap_map(wiener, on(DATA), 0.5, on(NODES), pixels=3).islands()),
    "place_gap": lambda on: place_gap(wiener, on(DATA), on(DATA + 1), 0.5, on(NODES), WEIGHTS),
    "excess_risk": lambda on: excess_risk(wiener, lambda x, sigma: x, on(DATA), edm_sigmas(3), on(NODES)[:, None],
        on(WEIGHTS)),
    "padded_gap": lambda on: padded_gap(on(ERRORS[0]), on(ERRORS[1]), edm_sigmas(3), 0.5, 3),
    "padded_gap with its grid": lambda on: padded_gap(on(ERRORS[0]), on(ERRORS[1]), on(edm_sigmas(3)), 0.5, 3),
    "state_distance": lambda on: torch.tensor(state_distance(on(DATA), 0.5, 0.5, 3)),
    "mode_distance": lambda on: mode_distance(on(ERRORS), 3),
    "modulation": lambda on: modulation(5, on(ERRORS)),
    "random_gap": lambda on: random_gap(1.0, on(ERRORS)),
    "small_gap": lambda on: small_gap(2.0, on(ERRORS)),
    "pair_mean": lambda on: pair_mean({(0, 1): on(ERRORS[0]), (0, 2): ERRORS[1], (1, 2): on(ERRORS[1])}).value,
    "pair_mean of numbers": lambda on: pair_mean({(0, 1): on(ERRORS[0, 0]), (0, 2): 1.0, (1, 2): 2.0}).error,
    "weighted_loss": lambda on: weighted_loss(on(edm_sigmas(4)[:-1]), on(ERRORS), "edm"),
    "ddpm_weight": lambda on: ddpm_weight(on(ERRORS)),
    "gap": lambda on: generalization_gap(wiener, on(DATA), on(DATA + 1), on(edm_sigmas(3)[:-1]), noise=on(NODES)[:, None],
                                         weights=WEIGHTS).gap,
    "gap, sigmas": lambda on: generalization_gap(wiener, on(DATA), on(DATA + 1), edm_sigmas(3), noise=on(NODES)[:,
        None]).sigmas,
    "flat_minimum": lambda on: flat_minimum(on(ERRORS)).within,
    "sample": lambda on: sample(wiener, on(DATA), on(edm_sigmas(3))),
    "Grammar": lambda on: Grammar.random(2, 1, 2).denoiser(1)(on(DATA.view(2, 2, 2)), on(ERRORS[:, 0])),
    "Grammar's logarithms": lambda on: Grammar.random(2, 1, 2).denoiser().log_probabilities(on(DATA.view(2, 2, 2)), 0.5),
    "Grammar's parents": lambda on: Grammar.random(2, 1, 2).parse(on(DATA.long().clamp(0, 1))).parents[0],
    "Grammar's probability": lambda on: Grammar.random(2, 1, 2).log_prob(on(DATA.long().clamp(0, 1))),
    "Grammar's counts": lambda on: Grammar.random(2, 1, 2).counted(on(torch.zeros(0, 2).long())).transitions,
    "sampler_map": lambda on: sampler_map(on(ERRORS[0]), on(edm_sigmas(3))).gain,
}


# What takes float64, or a kernel, that only a real accelerator has.
ON_CUDA = {
    "proximity_curve": lambda on: proximity_curve(on(DATA), on(DATA), on(DATA + 1), [2, 4]).preference,
    "own_other in strata": lambda on: torch.tensor(own_other(*many(on), on(KINDS)).interval()),
    "family_preference": lambda on: torch.tensor(family_preference(
        {(block, 0): nearest(*many(on)[1:3], k=20).index for block in range(2)}, on(KINDS[:40]), torch.Generator(),
        9).p_value),
    "moment_ladder": lambda on: torch.stack([law.sample(on(DATA), on(ERRORS[0] - 1)) for law in moment_ladder(
        on(MANY_POINTS[0]), on(KINDS[:40]), on(MANY_POINTS[1]), on(KINDS[40:])).values()]),
}


@pytest.mark.parametrize("name", ON_ONE_DEVICE)
def test_nothing_mixes_devices(name):
    call = ON_ONE_DEVICE[name]
    expected = call(lambda tensor: tensor)
    with elsewhere():
        torch.testing.assert_close(call(lambda tensor: tensor.to(ELSEWHERE)).cpu(), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("name", [*ON_ONE_DEVICE, *ON_CUDA])
def test_nothing_mixes_devices_on_cuda(name):
    call = (ON_ONE_DEVICE | ON_CUDA)[name]
    torch.testing.assert_close(call(lambda tensor: tensor.cuda()).cpu(), call(lambda tensor: tensor), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_network_does_not_wait_for_the_host_on_cuda():
    network, given = Preconditioned(UNet(8, (1, 1), classes=3)).cuda(), [part.cuda() for part in images()]
    network(*given)  # what is set up once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        network(*given)
        network(given[0], 0.5, given[2])
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("call", [
    lambda x, generator: sample(wiener, x, edm_sigmas(3), "ancestral", generator=generator),
    lambda x, generator: denoising_error(wiener, x, edm_sigmas(3), generator=generator),
    lambda x, generator: generalization_gap(wiener, x, x, edm_sigmas(3), generator=generator),
    lambda x, generator: one_step(x, 0.5, generator=generator),
    lambda x, generator: membership(wiener, x, x, [0.5], 2, generator),
    lambda x, generator: gap_band(x, x, generator),
    lambda x, generator: prediction_cosine(wiener, wiener, x, [0.5], generator)])
def test_a_generator_of_another_device_gets_a_sentence(call):
    with elsewhere(), pytest.raises(ValueError,
        match=r"generator is on cpu and the data on meta; expected one device: try torch"):
        call(DATA.to(ELSEWHERE), torch.Generator())


@pytest.mark.parametrize("call", [
    lambda x, other: nearest(x, other), lambda x, other: generalization_gap(wiener, x, other, [0.5]),
    lambda x, other: denoising_error(wiener, x, [0.5], noise=other[None]), lambda x, other: place_gap(wiener, x, other,
        0.5, NODES),
    lambda x, other: GaussianDenoiser(x[0], torch.eye(2))(other, 0.5), lambda x, other: MLP(2)(other, other[:, 0]),
    lambda x, other: proximity_bias(x, x, other)])
def test_data_on_two_devices_get_a_sentence(call):
    with elsewhere(), pytest.raises(ValueError, match="is on .* and .* on .*; expected one device: try"):
        call(DATA, DATA.to(ELSEWHERE))
