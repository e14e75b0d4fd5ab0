"""The network of the paper scale, and the denoiser that it becomes on the clock of a chain."""

import math

import pytest
import torch
from nearsight.denoisers import GaussianDenoiser
from nearsight.networks import AttentionUNet, EpsilonDenoiser
from nearsight.networks.attention_unet import Attention
from nearsight.noise import vp_sigmas
from nearsight.randomness import global_stream, stream
from nearsight.training import Training, VpClock, train, training_loss
from torch import nn


def images(count=2, side=32, seed=0):
    return torch.randn(count, 1, side, side, generator=stream(seed))


def made(*arguments):
    with global_stream(0):
        return AttentionUNet(*arguments).eval()


def test_it_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = AttentionUNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_023_233
    attentions = [name for name, module in network.named_modules() if isinstance(module, Attention)]
    assert len(attentions) == 4 + 1 + 6 and sum(name.startswith("mid.0") for name in attentions) == 1


@pytest.mark.parametrize("multipliers, side", [((1, 2, 4), 32), ((1, 2, 4), 20), ((1,), 7), ((1, 1), 6)])
def test_it_keeps_the_shape_of_images_and_tells_images_and_times_apart(multipliers, side):
    network, x = made(8, multipliers), images(3, side)
    with torch.no_grad():
        out = network(x, torch.tensor([0.0, 500.0, 999.0]))
        assert out.shape == x.shape
        torch.testing.assert_close(network(x[1:2], torch.tensor([500.0])), out[1:2], rtol=1e-4, atol=1e-5)
        assert (network(x[1:2], torch.tensor([499.0])) != out[1:2]).any()


def test_dropout_acts_in_training_alone():
    network, x, t = made(8), images(), torch.zeros(2)
    with torch.no_grad():
        assert torch.equal(network(x, t), network(x, t))
        network.train()
        with global_stream(1):
            assert not torch.equal(network(x, t), network(x, t))


def test_attention_is_the_softmax_of_its_formula():
    with global_stream(2):
        attention = Attention(16).double()
    x = torch.randn(2, 16, 3, 5, generator=stream(3), dtype=torch.float64)
    expected = x.clone()
    for b in range(2):
        q, k, v = attention.parts(attention.norm(x))[b].flatten(1).view(3, 4, 4, 15)  # 4 heads of 4 channels, 15 pixels
        heads = [v[h] @ (q[h].T @ k[h] / math.sqrt(4)).softmax(1).T for h in range(4)]
        expected[b] += attention.last(torch.cat(heads).view(1, 16, 3, 5))[0]
    torch.testing.assert_close(attention(x), expected)


class Noise(nn.Module):
    """The exact noise of data N(0, variance I) given x_vp, at the level of a chain that its clock names."""

    def __init__(self, sigmas, variance):
        super().__init__()
        self.levels, self.variance, self.one = sigmas[:-1].flip(0), variance, nn.Parameter(torch.ones(()).double())

    def forward(self, x_vp, t):
        sigma = self.levels[t.round().long()].view(-1, 1, 1, 1)
        self.time = t
        return sigma * (1 + sigma**2).sqrt() * x_vp / (self.variance + sigma**2)


def test_an_exact_prediction_of_the_noise_becomes_the_wiener_filter_and_its_clock_counts_from_0():
    sigmas = vp_sigmas(1000)
    denoiser = EpsilonDenoiser(Noise(sigmas, 0.3), sigmas)
    exact = GaussianDenoiser(torch.zeros(16).double(), 0.3 * torch.eye(16).double())
    x = images(1000, 4).double()
    torch.testing.assert_close(denoiser(x, sigmas[:-1]), exact(x, sigmas[:-1]))
    torch.testing.assert_close(denoiser.network.time, torch.arange(999.0, -1, -1).double(), rtol=0, atol=1e-9)
    assert torch.equal(denoiser(x, 0.0), x)
    denoiser(x[:2], torch.tensor([1e-3, 1e4]))
    assert denoiser.network.time.tolist() == [0, 999]


def test_the_epsilon_loss_is_the_error_of_the_predicted_noise():
    sigmas = vp_sigmas(1000)
    denoiser = EpsilonDenoiser(made(8), sigmas)
    y, eps, t = images(6), images(6, seed=5), torch.tensor([0, 1, 50, 300, 800, 999])
    sigma = sigmas[:-1].flip(0)[t].float()
    x = y + sigma.view(-1, 1, 1, 1) * eps
    with torch.no_grad():
        noise = denoiser.network(x / (1 + sigma**2).sqrt().view(-1, 1, 1, 1), t.float())
        loss = training_loss("epsilon", denoiser, y, x, sigma)
    torch.testing.assert_close(loss, (noise - eps).square().flatten(1).mean(1), rtol=1e-3, atol=0)


def test_the_published_network_takes_two_steps_of_training_and_the_same_ones_again():
    config = Training(snapshots=(1, 2), batch=4, learning_rate=1e-4, loss="epsilon", levels=VpClock(1000), ema=0.0, seed=6)
    data = 0.3 * images(8, seed=7)
    runs = [list(train(config, lambda: EpsilonDenoiser(AttentionUNet(), vp_sigmas(1000)), data)) for _ in range(2)]
    losses, network, ema = runs[0][-1][1:]
    assert losses.isfinite().all() and torch.equal(losses, runs[1][-1].losses)
    for average, weight, again in zip(ema.parameters(), network.parameters(), runs[1][-1].network.parameters()):
        assert torch.equal(average, weight) and torch.equal(weight, again)  # no average, and no chance
    denoised = ema(data, 0.5)
    assert denoised.shape == data.shape and denoised.isfinite().all()


@pytest.mark.parametrize("call, words", [
    (lambda: AttentionUNet(12), "a multiple of 8"),
    (lambda: made(8)(images(side=30), torch.zeros(2)), "cannot be halved 2 times"),
    (lambda: made(8)(torch.ones(2, 3, 32, 32), torch.zeros(2)), "expected gray images"),
    (lambda: EpsilonDenoiser(made(8), torch.tensor([1.0, 2.0])), "falling strictly"),
    (lambda: EpsilonDenoiser(made(8), vp_sigmas(40))(images(), -1.0), "expected finite noise levels"),
])
def test_bad_input_is_refused_with_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
