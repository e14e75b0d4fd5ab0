"""The network of the published CIFAR-10 experiments, and the taking of large batches in parts."""

import math

import pytest
import torch
from nearsight.networks import DdpmPlusPlus, InParts, Preconditioned
from nearsight.networks.ddpmpp import OneHead, ScaledBlock
from nearsight.randomness import global_stream, stream
from nearsight.training import Training, train
from torch import nn


def images(count=2, side=8, seed=0):
    return torch.randn(count, 3, side, side, generator=stream(seed))


def made(*arguments):
    """A small network whose last layers do not start at zero."""
    with global_stream(0):
        network = DdpmPlusPlus(*(arguments or (8, (1, 2), 1)))
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    return network.eval()


def test_it_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = DdpmPlusPlus()
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 55_732_739 and f"{count / 1e6:.1f}" == "55.7"


def test_attention_stands_at_16_pixels_and_once_in_the_middle():
    with torch.device("meta"):
        network = DdpmPlusPlus()
    places = [name for name, module in network.named_modules() if isinstance(module, OneHead)]
    assert places == [*(f"down.{index}.attention" for index in range(5, 9)), "up.10.attention", "mid.0.attention"]


def test_it_keeps_the_shape_and_tells_images_and_levels_apart():
    network, x = made(), images(3)
    with torch.no_grad():
        out = network(x, torch.tensor([-1.0, 0.0, 1.0]))
        assert out.shape == x.shape
        torch.testing.assert_close(network(x[1:2], torch.zeros(1)), out[1:2], rtol=1e-4, atol=1e-5)
        assert (network(x[1:2], torch.tensor([0.5])) != out[1:2]).any()


def test_it_starts_at_zero_and_its_sums_keep_their_variance():
    with global_stream(1):
        network, block = DdpmPlusPlus(16, (1,), 1), ScaledBlock(16, 16, 4, 0.0)
    with torch.no_grad():
        assert not network(images(), torch.zeros(2)).any()
        x = torch.randn(4, 16, 8, 8, generator=stream(2))
        torch.testing.assert_close(block(x, torch.zeros(4, 4)), math.sqrt(0.5) * x)


def test_halving_averages_squares_and_doubling_repeats_pixels():
    with global_stream(3):
        half, double = ScaledBlock(16, 16, 4, 0.0, "half"), ScaledBlock(16, 16, 4, 0.0, "double")
    x, nothing = torch.randn(1, 16, 4, 4, generator=stream(4)), torch.zeros(1, 4)
    with torch.no_grad():
        smaller = x.view(1, 16, 2, 2, 2, 2).mean((3, 5))
        larger = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        torch.testing.assert_close(half(x, nothing), math.sqrt(0.5) * half.skip(smaller))
        torch.testing.assert_close(double(x, nothing), math.sqrt(0.5) * double.skip(larger))


def test_attention_is_the_softmax_of_its_formula():
    with global_stream(5):
        attention = OneHead(16).double()
        nn.init.normal_(attention.last.weight, std=0.1)
    x = torch.randn(2, 16, 3, 5, generator=stream(6), dtype=torch.float64)
    expected = x.clone()
    for b in range(2):
        q, k, v = attention.parts(attention.norm(x))[b].flatten(1).view(3, 16, 15)
        expected[b] += attention.last((v @ (q.T @ k / 4).softmax(1).T).view(1, 16, 3, 5))[0]
    torch.testing.assert_close(attention(x), math.sqrt(0.5) * expected)


def test_dropout_acts_in_training_alone():
    network, x, noise = made(), images(), torch.zeros(2)
    with torch.no_grad():
        assert torch.equal(network(x, noise), network(x, noise))
        network.train()
        with global_stream(1):
            assert not torch.equal(network(x, noise), network(x, noise))


@pytest.mark.parametrize("size", [2, 3, 8])
def test_a_batch_in_parts_has_the_gradients_of_the_whole(size):
    whole = Preconditioned(made()).train()
    parts, x, sigma = InParts(whole, size), images(7), torch.linspace(0.1, 2, 7)
    for block in whole.modules():
        if isinstance(block, nn.Dropout):
            block.p = 0.0
    gradients = []
    for network in (whole, parts):
        whole.zero_grad()
        network(x, sigma).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in whole.parameters()])
    scale = max(float(gradient.abs().max()) for gradient in gradients[0])
    for expected, found in zip(*gradients):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * scale)
    with torch.no_grad():
        torch.testing.assert_close(parts(x, 0.5), whole(x, 0.5), rtol=1e-4, atol=1e-5)


def test_parts_are_computed_again_with_the_dropout_that_they_had():
    """The gradient is that of the loss that was returned: it agrees with a difference of losses under the same dropout."""
    network = InParts(made().double().train(), 2)
    inner = network.network
    x, sigma = images(5).double(), torch.zeros(5).double()
    parameter = inner.stem.bias

    def loss(step=0.0):
        with torch.no_grad():
            parameter[0] += step
        with global_stream(9):
            value = network(x, sigma).square().sum()
        with torch.no_grad():
            parameter[0] -= step
        return value

    loss().backward()
    with torch.enable_grad():
        difference = (loss(1e-5) - loss(-1e-5)).item() / 2e-5
    assert float(parameter.grad[0]) == pytest.approx(difference, rel=1e-4)


def test_training_in_parts_is_the_training_of_the_whole_without_dropout():
    config = Training(snapshots=(3,), batch=6, seed=1)
    ends = [next(train(config, make, images(8), None)).losses
            for make in (lambda: Preconditioned(DdpmPlusPlus(8, (1, 2), 1, 0.0)),
                         lambda: InParts(Preconditioned(DdpmPlusPlus(8, (1, 2), 1, 0.0)), 4))]
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("call, words", [
    (lambda: DdpmPlusPlus(6), "a multiple of 4"),
    (lambda: made()(images(side=5), torch.zeros(2)), "halved 1 times"),
    (lambda: made()(torch.ones(2, 1, 8, 8), torch.zeros(2)), "expected color images"),
    (lambda: InParts(nn.Identity(), 0), "size is 0"),
])
def test_bad_input_is_refused_with_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
