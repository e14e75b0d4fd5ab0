"""The networks: their sizes, their symmetries, and what they are before they are trained."""

from __future__ import annotations

import math

import pytest
import torch
from nearsight.denoisers import GaussianDenoiser
from nearsight.networks import MLP, DepthUNet, Preconditioned, TokenDenoiser, TokenTransformer, UNet, bypassed, solve_width
from nearsight.networks.preconditioned import coefficients
from nearsight.noise import vp_sigmas
from nearsight.randomness import global_stream, stream
from torch import nn


def parameters(make, *arguments, **named):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in make(*arguments, **named).parameters())


def randomized(make, *arguments, **named):
    with global_stream(1):
        network = make(*arguments, **named)
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.1)
    return network.requires_grad_(False).eval()


def images(count=3, side=16, seed=0):
    return torch.randn(count, 1, side, side, generator=stream(seed))


@pytest.mark.parametrize("channels, count", [(16, 295_905), (32, 963_777), (48, 2_028_449)])
def test_unet_has_the_sizes_of_study_4(channels, count):
    assert parameters(UNet, channels) == count
    assert f"{count / 1e6:.2f}" == {16: "0.30", 32: "0.96", 48: "2.03"}[channels]


@pytest.mark.parametrize("depth", range(4))
def test_depth_unet_has_the_size_of_its_formula(depth):
    for c in range(4, 65, 4):
        expected = 6273 + 293 * c + 36 * c**2 + depth * (56 * c**2 + 276 * c)
        assert parameters(DepthUNet, depth, c) == expected
        assert parameters(DepthUNet, depth, c, context=True) == expected + 2 * (c**2 + c)
        assert parameters(DepthUNet, depth, c, halving=False) == expected


def test_series_of_study_5():
    series = {depth: solve_width(depth, 150_000) for depth in range(4)}
    assert series == {0: 60, 1: 36, 2: 28, 3: 24}
    counts = [parameters(DepthUNet, depth, c) for depth, c in series.items()]
    assert counts == [153_453, 145_989, 145_965, 150_681]
    assert all(abs(count / 150_000 - 1) < 0.03 for count in counts)
    assert [parameters(DepthUNet, depth, 24) for depth in range(4)] == [34_041, 72_921, 111_801, 150_681]
    assert parameters(DepthUNet, 0, 56, context=True) == 141_961


def test_solve_width_is_the_nearest_of_all_widths():
    for depth in (0, 2):
        counts = {c: parameters(DepthUNet, depth, c) for c in range(4, 101, 4)}
        for wanted in (1_000, 40_000, 77_777, 250_000):
            assert solve_width(depth, wanted) == min(counts, key=lambda c: abs(counts[c] - wanted))


def test_token_transformer_has_the_sizes_of_study_3():
    assert parameters(TokenTransformer, 6, 8, 64, 3, 4, 128) == 104_006
    assert parameters(TokenTransformer, 6, 16, 512, 8, 4, 1024, dropout=0.1, norm_first=False) == 16_854_022


def test_mlp_has_the_size_of_its_formula():
    for d, w, layers in ((2, 16, 3), (64, 128, 1)):
        assert parameters(MLP, d, w, layers) == (d + 6) * w + (layers - 1) * (w**2 + w) + (w + 1) * d


def test_coefficients_are_those_of_karras_and_give_unit_scale():
    sigma = torch.logspace(-3, 3, 13, dtype=torch.float64)
    for data in (0.5, 1.7):
        c = coefficients(sigma, data)
        for i, s in enumerate(sigma.tolist()):
            assert float(c.skip[i]) == pytest.approx(data**2 / (s**2 + data**2), rel=1e-14)
            assert float(c.out[i]) == pytest.approx(s * data / math.sqrt(s**2 + data**2), rel=1e-14)
            assert float(c.input[i]) == pytest.approx(1 / math.sqrt(s**2 + data**2), rel=1e-14)
            assert float(c.noise[i]) == pytest.approx(math.log(s) / 4, rel=1e-14)
        target = ((1 - c.skip)**2 * data**2 + c.skip**2 * sigma**2) / c.out**2
        torch.testing.assert_close(target, torch.ones_like(sigma), rtol=1e-12, atol=0)
        torch.testing.assert_close(c.input**2 * (sigma**2 + data**2), torch.ones_like(sigma), rtol=1e-12, atol=0)


class Raw(nn.Module):
    """A raw network that keeps what it was given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, *arguments):
        self.arguments = arguments
        return self.weight * torch.tanh(arguments[0]) + arguments[1].view(-1, *[1] * (arguments[0].ndim - 1))


def test_preconditioned_is_its_formula_and_hands_labels_on():
    x, sigma = images(4).double(), torch.tensor([0.01, 0.5, 3.0, 80.0], dtype=torch.float64)
    denoiser = Preconditioned(Raw().double(), sigma_data=0.7)
    for i, s in enumerate(sigma.tolist()):
        total = s**2 + 0.49
        raw = torch.tanh(x[i] / math.sqrt(total)) + math.log(s) / 4
        torch.testing.assert_close(denoiser(x, sigma)[i], 0.49 / total * x[i] + s * 0.7 / math.sqrt(total) * raw)
        torch.testing.assert_close(denoiser(x[i:i + 1], s)[0], denoiser(x, sigma)[i])
    assert len(denoiser.network.arguments) == 2
    labels = torch.tensor([0, 1, 2, 0])
    denoiser(x, sigma, labels)
    assert torch.equal(denoiser.network.arguments[2], labels)


def test_preconditioned_returns_x_without_noise_and_keeps_a_float64_state():
    network = Preconditioned(randomized(UNet, 8))
    x = images()
    assert torch.equal(network(x, 0.0), x)
    assert torch.equal(network(x, torch.tensor([0.0, 1.0, 0.0]))[::2], x[::2])
    wide = network(x.double(), 2.0)
    assert wide.dtype == torch.float64 and network(x, 2.0).dtype == torch.float32
    torch.testing.assert_close(wide.float(), network(x, 2.0))
    assert (wide != wide.float().double()).any()


@pytest.mark.parametrize("make", [lambda: UNet(8), lambda: UNet(8, classes=3), lambda: MLP(256, 16),
                                  lambda: DepthUNet(0, 8), lambda: DepthUNet(2, 8, context=True)])
def test_an_untrained_network_is_the_wiener_filter_of_white_data(make):
    with global_stream(0):
        denoiser = Preconditioned(make(), sigma_data=0.8)
    exact = GaussianDenoiser(torch.zeros(256, dtype=torch.float64), 0.64 * torch.eye(256, dtype=torch.float64))
    for sigma in (0.01, 1.0, 50.0):
        x = images() * sigma
        expected = exact(x.double().flatten(1), sigma).float().view_as(x)
        torch.testing.assert_close(denoiser(x, sigma).detach(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("make", [lambda: randomized(UNet, 8), lambda: randomized(DepthUNet, 2, 8),
                                  lambda: randomized(MLP, 256, 16)])
def test_an_event_does_not_depend_on_the_others_of_its_batch(make):
    denoiser, x, sigma = Preconditioned(make()), images(5), torch.tensor([0.1, 0.4, 1.0, 3.0, 9.0])
    together = denoiser(x, sigma)
    alone = torch.cat([denoiser(x[i:i + 1], s) for i, s in enumerate(sigma.tolist())])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_network_without_halvings_sees_13_pixels_and_context_shows_it_all():
    def reach(network):
        for block in network.modules():
            for name, child in block.named_children():
                if isinstance(child, nn.GroupNorm):
                    setattr(block, name, nn.Identity())
        x = images(1, side=32).requires_grad_()
        network(x, torch.zeros(1))[0, 0, 16, 16].backward()
        touched = x.grad[0, 0].nonzero()
        return (touched.amax(0) - touched.amin(0) + 1).tolist()
    assert reach(randomized(DepthUNet, 0, 8)) == [18 - 5] * 2
    assert reach(randomized(DepthUNet, 0, 8, context=True)) == [32, 32]
    assert reach(randomized(DepthUNet, 1, 8))[0] >= 18 * 2 - 5 - 1
    assert reach(randomized(DepthUNet, 1, 8, halving=False)) == [13 + 10] * 2


def test_bypass_with_gain_one_is_the_untouched_network_and_with_zero_has_no_mid():
    denoiser, x = Preconditioned(randomized(DepthUNet, 1, 8)), images()
    sigma = torch.tensor([0.2, 1.0, 5.0])
    untouched = denoiser(x, sigma)
    assert torch.equal(bypassed(denoiser, denoiser.network.mid, lambda s: 1.0)(x, sigma), untouched)
    half = bypassed(denoiser, denoiser.network.mid, lambda s: torch.where(s > 0.5, 0.0, 1.0))(x, sigma)
    assert torch.equal(denoiser(x, sigma), untouched)
    without = Preconditioned(randomized(DepthUNet, 1, 8))
    without.network.mid = type("Skip", (nn.Module,), {"forward": lambda self, h, embedding: h})()
    torch.testing.assert_close(half, torch.cat([untouched[:1], without(x, sigma)[1:]]))
    assert (without(x, sigma) - untouched).abs().max() > 1e-3


def test_labels_steer_and_none_is_the_last_class():
    denoiser, x = Preconditioned(randomized(UNet, 8, classes=3)), images(1)
    outputs = [denoiser(x, 1.0, torch.tensor([label])) for label in range(4)]
    assert torch.equal(denoiser(x, 1.0), outputs[3])
    assert min((outputs[i] - outputs[j]).abs().max() for i in range(4) for j in range(i)) > 1e-3
    with pytest.raises(ValueError, match="labels run from 4 to 4; expected 0 to 3"):
        denoiser(x, 1.0, torch.tensor([4]))
    with pytest.raises(ValueError, match="has no classes"):
        UNet(8)(x, torch.zeros(1), torch.tensor([0]))


def test_images_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="16x16 pixels cannot be halved 5 times: they allow at most depth 4"):
        DepthUNet(5, 4)(images(), torch.zeros(3))
    with pytest.raises(ValueError, match="6x6 pixels cannot be halved 2 times: they allow at most depth 1"):
        UNet(8)(images(side=6), torch.zeros(3))
    with pytest.raises(ValueError, match="expected gray images"):
        UNet(8)(torch.zeros(2, 3, 16, 16), torch.zeros(2))
    with pytest.raises(ValueError, match="expected 5 entries an event"):
        MLP(5)(images(), torch.zeros(3))
    with pytest.raises(ValueError, match=r"expected strings \[B, 8, 6\]"):
        TokenTransformer(6, 8, 16, 1, 2, 32)(torch.zeros(2, 6, 8), torch.zeros(2))
    with pytest.raises(ValueError, match="sigma_data is -1"):
        Preconditioned(MLP(5), sigma_data=-1)
    with pytest.raises(ValueError, match="expected finite noise levels >= 0"):
        Preconditioned(MLP(256))(images(), -1.0)


def test_token_network_reads_the_chain_and_its_clock():
    sigmas, x = vp_sigmas(500), torch.randn(4, 8, 6, generator=stream(3), dtype=torch.float64)
    raw = Raw().double()
    denoiser = TokenDenoiser(raw, sigmas)
    times = torch.tensor([1, 75, 250, 500])
    sigma = sigmas[500 - times]
    assert float(sigma[1]) == pytest.approx(0.516924, abs=1e-6)
    result = denoiser(x, sigma)
    torch.testing.assert_close(raw.arguments[1], times.double(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(raw.arguments[0], x / (1 + sigma[:, None, None]**2).sqrt())
    torch.testing.assert_close(result, torch.softmax(raw(*raw.arguments), dim=-1))
    torch.testing.assert_close(denoiser.log_probabilities(x, sigma).exp(), result)
    alone = torch.cat([denoiser(x[i:i + 1], float(s)) for i, s in enumerate(sigma)])
    torch.testing.assert_close(result, alone)
    assert denoiser(x.float(), 0.0).dtype == torch.float32 and raw.arguments[1].eq(0).all()


def test_time_features_are_those_of_the_specification():
    network = TokenTransformer(3, 2, 16, 1, 2, 16)
    expected = torch.tensor([1e4 ** (-i / 16) for i in range(16)])
    torch.testing.assert_close(network.frequencies, expected)


def test_layers_of_the_transformer_start_apart_and_positions_matter():
    with global_stream(0):
        network = TokenTransformer(6, 8, 16, 2, 2, 32).eval()
    assert not torch.equal(network.layers[0].linear1.weight, network.layers[1].linear1.weight)
    x = torch.randn(2, 8, 6, generator=stream(4))
    swapped = network(x.flip(1), torch.ones(2)).flip(1)
    assert (network(x, torch.ones(2)) - swapped).abs().max() > 1e-4
    with torch.no_grad():
        network.positions.zero_()
    torch.testing.assert_close(network(x, torch.ones(2)), network(x.flip(1), torch.ones(2)).flip(1))


def test_the_last_layer_sees_unit_scale_with_either_place_of_the_norms():
    for norm_first in (True, False):
        with global_stream(0):
            network = TokenTransformer(6, 8, 16, 2, 2, 32, norm_first=norm_first).eval()
        seen = []
        network.last.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
        network(torch.randn(5, 8, 6, generator=stream(5)), torch.ones(5))
        torch.testing.assert_close(seen[0].var(-1, unbiased=False), torch.ones(5, 8), rtol=1e-3, atol=0)
