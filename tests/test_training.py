"""The training loop: its random numbers, its losses, its averages, and who sees which data."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Event

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.denoisers import GaussianDenoiser
from nearsight.networks import MLP, DepthUNet, Preconditioned, TokenDenoiser, TokenTransformer, UNet
from nearsight.noise import vp_sigmas
from nearsight.randomness import derived_seed, global_stream, stream
from nearsight.training import Trainer, Training, log_steps, train
from nearsight.training.families import train_family
from nearsight.training.objectives import LogNormal, VpClock, training_loss
from nearsight.training.recipe import draw
from torch import nn

CLEAN = LogNormal(mean=-40.0, std=0.0)


def points(count=64, d=4, seed=0):
    return 0.5 * torch.randn(count, d, generator=stream(seed))


def small():
    return Preconditioned(MLP(4, 16, 2))


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


class Spy(nn.Module):
    """A denoiser that keeps all it is asked."""

    def __init__(self, seen):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.randn(())), seen

    def forward(self, x, sigma, *labels):
        self.seen.append((x.clone(), sigma.clone(), *labels))
        return x * self.weight


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.integers(0, 10_000), st.integers(2, 40))
def test_log_steps_rise_from_first_to_last(first, more, count):
    steps = log_steps(first, first + more, count)
    assert steps[0] == first and steps[-1] == first + more and len(steps) <= count
    assert all(a < b for a, b in pairwise(steps))


def test_log_steps_have_equal_ratios():
    steps = torch.tensor(log_steps(100, 100_000, 16), dtype=torch.float64)
    assert len(steps) == 16
    torch.testing.assert_close(steps[1:] / steps[:-1], torch.full((15,), 1000 ** (1 / 15), dtype=torch.float64),
                               rtol=0.01, atol=0)


def test_a_step_is_named_by_seed_and_step_alone():
    config = Training(snapshots=(5,), batch=8, seed=3)
    first, again = draw(config, 2, (10, 4)), draw(config, 2, (10, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    for other in (draw(config, 3, (10, 4)), draw(Training(snapshots=(5,), batch=8, seed=4), 2, (10, 4))):
        assert (first.eps != other.eps).all() and (first.sigma != other.sigma).all()
    longer = Training(snapshots=(1, 9), batch=8, seed=3, learning_rate=0.1, label_dropout=0.5, classes=2)
    assert all(torch.equal(a, b) for a, b in zip(first[:3], draw(longer, 2, (10, 4))[:3]))


def test_the_draws_have_the_stated_laws():
    config = Training(snapshots=(1,), batch=40_000, classes=10, label_dropout=0.2)
    indices, sigma, eps, dropped = draw(config, 0, (8, 3))
    se = 1 / math.sqrt(config.batch)
    assert abs(sigma.log().mean() + 1.0) < 4 * 1.2 * se and abs(sigma.log().std() - 1.2) < 4 * 1.2 * se / math.sqrt(2)
    assert abs(eps.mean()) < 4 * se / math.sqrt(3) and abs(eps.square().mean() - 1) < 4 * se * math.sqrt(2 / 3)
    assert (indices.bincount(minlength=8) / config.batch - 1 / 8).abs().max() < 4 * se * math.sqrt(7 / 64)
    assert abs(dropped.double().mean() - 0.2) < 4 * se * 0.4


def test_the_clock_is_uniform_over_the_levels_of_the_chain():
    levels = VpClock(steps=40).draw(50_000, stream(0))
    chain = vp_sigmas(40)[:-1].float()
    share = (levels[:, None] == chain).double().mean(0)
    assert float(share.sum()) == pytest.approx(1)
    assert (share - 1 / 40).abs().max() < 4 * math.sqrt(39 / 1600 / 50_000)


def test_streams_are_apart_and_global_generators_are_left_alone():
    seeds = {derived_seed(a, b) for a in range(50) for b in range(50)} | {derived_seed(a) for a in range(50)}
    assert len(seeds) == 2550 and len({seed % 2**32 for seed in seeds}) == 2550
    before = torch.get_rng_state()
    with global_stream(7):
        first = torch.randn(3)
    with global_stream(7):
        assert torch.equal(first, torch.randn(3))
    tokens = nn.functional.one_hot(torch.zeros(4, 2, dtype=torch.int64), 3).float()
    config = Training(snapshots=(2,), batch=2, loss="cross_entropy", levels=VpClock())
    list(train(config, lambda: TokenDenoiser(TokenTransformer(3, 2, 8, 1, 2, 8, dropout=0.5), vp_sigmas()), tokens))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_thread_that_wants_another_stream_waits():
    first_is_inside, second_is_inside, first_has_left = Event(), Event(), Event()

    def first():
        with global_stream(1):
            head = torch.rand(20)
            first_is_inside.set()
            second_is_inside.wait(0.3)
            drawn = torch.cat([head, torch.rand(20)])
        first_has_left.set()
        return drawn

    def second():
        first_is_inside.wait()
        with global_stream(2):
            second_is_inside.set()
            first_has_left.wait(0.3)
            return torch.rand(40)

    before = torch.get_rng_state()
    with ThreadPoolExecutor(2) as pool:
        found = [future.result() for future in (pool.submit(first), pool.submit(second))]
    assert torch.equal(torch.get_rng_state(), before)
    for name, values in zip((1, 2), found):
        with global_stream(name):
            assert torch.equal(values, torch.rand(40))


def test_a_thread_may_enter_a_stream_within_a_stream():
    with global_stream(1):
        whole = torch.randn(20), torch.randn(20)
    with global_stream(2):
        inner = torch.randn(20)
    with global_stream(1):
        assert torch.equal(torch.randn(20), whole[0])
        with global_stream(2):
            assert torch.equal(torch.randn(20), inner)
        assert torch.equal(torch.randn(20), whole[1])


def test_threads_train_the_networks_that_one_thread_trains():
    def trained(seed):
        def make():
            network = MLP(4, 16, 2)
            network.layers.insert(2, nn.Dropout(0.3))
            return Preconditioned(network)
        start, end = ((weights(s.network).clone(), s.losses)
                      for s in train(Training(snapshots=(0, 10), batch=8, seed=seed), make, points()))
        return torch.cat([start[0], *end])

    alone = [trained(seed) for seed in range(24)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(trained, range(24)))
    assert [torch.equal(a, b) for a, b in zip(alone, together)] == [True] * 24


@pytest.mark.parametrize("sigma_data, q", [(0.5, 0.5), (0.5, 0.8), (1.3, 0.4)])
def test_an_untrained_network_has_the_stated_loss(sigma_data, q):
    with global_stream(0):
        denoiser = Preconditioned(UNet(8), sigma_data)
    generator = stream(1)
    for level in (0.02, 0.3, 1.0, 20.0):
        y = q * torch.randn(256, 1, 8, 8, generator=generator)
        x = y + level * torch.randn(y.shape, generator=generator)
        with torch.no_grad():
            losses = training_loss("edm", denoiser, y, x, torch.full((256,), level), sigma_data=sigma_data)
        expected = (level**2 * q**2 + sigma_data**4) / (sigma_data**2 * (level**2 + sigma_data**2))
        assert abs(losses.mean() - expected) < 4 * losses.std() / 16
        assert expected == pytest.approx(1) or q != sigma_data


def test_losses_are_their_formulas():
    y, sigma = points(6), torch.rand(6, generator=stream(2)) + 0.1
    x = y + sigma[:, None] * points(6, seed=3)
    error = (0.3 * x - y).square().mean(1)
    halve = lambda x, sigma: 0.3 * x
    torch.testing.assert_close(training_loss("mse", halve, y, x, sigma), error)
    torch.testing.assert_close(training_loss("epsilon", halve, y, x, sigma), error / sigma**2)
    implied = (x - 0.3 * x) / sigma[:, None]
    eps = (x - y) / sigma[:, None]
    torch.testing.assert_close(training_loss("epsilon", halve, y, x, sigma), (implied - eps).square().mean(1))
    torch.testing.assert_close(training_loss("edm", halve, y, x, sigma, sigma_data=2.0),
                               error * (sigma**2 + 4) / (2 * sigma)**2)


def test_cross_entropy_is_that_of_torch():
    tokens = torch.randint(3, (5, 4), generator=stream(0))
    y = nn.functional.one_hot(tokens, 3).float()
    x = y + torch.randn(y.shape, generator=stream(1))
    denoiser = TokenDenoiser(TokenTransformer(3, 4, 8, 1, 2, 16).eval(), vp_sigmas())
    losses = training_loss("cross_entropy", denoiser, y, x, torch.ones(5))
    logits = denoiser.log_probabilities(x, 1.0)
    torch.testing.assert_close(losses, nn.functional.cross_entropy(logits.mT, tokens, reduction="none").mean(1))


@pytest.mark.parametrize("make", [small, lambda: Preconditioned(MLP(4, 8, 1), 1.0)])
def test_same_seed_and_data_give_the_same_bits(make):
    config = Training(snapshots=(0, 3, 12), batch=16, seed=5)
    first, again = ([(s.step, s.losses, weights(s.network), weights(s.ema)) for s in train(config, make, points())]
                    for _ in range(2))
    assert [s[0] for s in first] == [0, 3, 12] and [len(s[1]) for s in first] == [0, 3, 12]
    for a, b in zip(first, again):
        assert all(torch.equal(u, v) for u, v in zip(a[1:], b[1:]))
    (other,) = train(Training(snapshots=(12,), batch=16, seed=6), make, points())
    assert not torch.equal(other.losses, first[-1][1])
    (start,) = train(Training(snapshots=(0,), seed=6, initial_seed=5), make, points())
    assert torch.equal(weights(start.network), first[0][2])


def test_networks_of_different_depth_see_the_same_batches_and_noise():
    seen = []
    for depth in (0, 2):
        with torch.no_grad():
            asked = []
            def make():
                network = Preconditioned(DepthUNet(depth, 4))
                network.register_forward_pre_hook(lambda _, inputs: asked.append(inputs))
                return network
        list(train(Training(snapshots=(3,), batch=4, seed=1), make, points(20, 64).view(20, 1, 8, 8)))
        seen.append(asked)
    assert len(seen[0]) == len(seen[1]) == 3
    for (x, sigma), (other, other_sigma) in zip(*seen):
        assert torch.equal(x, other) and torch.equal(sigma, other_sigma)


def test_the_optimizer_is_adam_and_the_average_is_its_recursion():
    config = Training(snapshots=(0, 1, 2, 3, 4, 5), batch=16, ema=0.3, learning_rate=1e-2)
    raw, averages = zip(*((weights(s.network).double(), weights(s.ema).double())
                          for s in train(config, small, points())))
    expected = raw[0]
    for k in range(5):
        rate = min(0.3, (k + 1) / (k + 10))
        expected = rate * expected + (1 - rate) * raw[k + 1]
        torch.testing.assert_close(averages[k + 1], expected, rtol=1e-5, atol=1e-7)
    moved = (raw[1] - raw[0]).abs()
    assert ((moved < 1e-7) | ((moved - 1e-2).abs() < 1e-4)).all() and (moved > 9e-3).any()


def test_the_average_has_the_buffers_of_the_network():
    def make():
        network = MLP(4, 16, 2)
        network.layers.insert(1, nn.BatchNorm1d(16))
        return Preconditioned(network)
    for snapshot in train(Training(snapshots=(0, 1, 5), batch=16, learning_rate=1e-2), make, 3 + points()):
        own, average = dict(snapshot.network.named_buffers()), dict(snapshot.ema.named_buffers())
        assert own.keys() == average.keys() and all(torch.equal(own[name], average[name]) for name in own)
        normalization = snapshot.ema.network.layers[1]
        assert normalization.num_batches_tracked == snapshot.step
        assert bool(normalization.running_mean.any()) == (snapshot.step > 0)


def test_data_of_half_precision_trains_with_a_folder(tmp_path):
    config, data = Training(snapshots=(2,), batch=8), points().bfloat16()
    (single,) = train(config, small, data.float())
    for _ in range(2):  # the second time from the folder
        (half,) = train(config, small, data, folder=tmp_path)
        assert torch.equal(half.losses, single.losses) and torch.equal(weights(half.ema), weights(single.ema))
    with pytest.raises(ValueError, match="another run .data was"):
        train(config, small, data + 1, folder=tmp_path)


def test_learning_rate_decay_and_clipping():
    config = Training(snapshots=(8,), decay="cosine", learning_rate=0.2, clip=1e-3)
    trainer = Trainer(config, small, points(), None, None, "cpu")
    for k in range(8):
        trainer.reach(k + 1)
        assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * (1 + math.cos(math.pi * k / 8)))
        norm = torch.cat([parameter.grad.flatten() for parameter in trainer.network.parameters()]).norm()
        assert norm <= 1e-3 * 1.001


def test_labels_are_dropped_at_their_rate_and_none_is_the_last_class():
    seen, labels = [], torch.arange(50) % 5
    data = labels[:, None].float().expand(50, 4) * 10
    config = Training(snapshots=(40,), batch=128, classes=5, label_dropout=0.2, levels=CLEAN, loss="mse")
    list(train(config, lambda: Spy(seen), data, labels))
    shown = torch.cat([given for _, _, given in seen])
    true = torch.cat([(x[:, 0] / 10).round().long() for x, _, _ in seen])
    dropped = shown == 5
    assert torch.equal(shown[~dropped], true[~dropped])
    assert abs(dropped.double().mean() - 0.2) < 4 * math.sqrt(0.16 / len(shown))


def test_a_conditional_network_learns_what_its_labels_say():
    labels = torch.arange(64) % 2
    data = (2.0 * labels - 1)[:, None, None, None].expand(64, 1, 4, 4)
    config = Training(snapshots=(120,), batch=32, classes=2, label_dropout=0.1, learning_rate=1e-2, sigma_data=1.0)
    (end,) = train(config, lambda: Preconditioned(UNet(8, (1, 1), classes=2), 1.0), data, labels)
    x = 10 * torch.randn(8, 1, 4, 4, generator=stream(0))
    with torch.no_grad():
        high, low = (end.ema(x, 10.0, torch.full((8,), label)).mean() for label in (1, 0))
    assert high > 0.7 and low < -0.7


def test_a_family_in_step_shares_what_it_is_told_to_share():
    data, sets = torch.arange(30.0)[:, None].expand(30, 4) * 100, list(torch.arange(20).split(10))
    for same_noise in (True, False):
        for same_initialization in (True, False):
            seen = []
            family = train_family(Training(snapshots=(0, 6), batch=5), lambda: Spy(seen), data, sets,
                                  same_initialization=same_initialization, same_noise=same_noise)
            start, _ = ([s.network.weight.item() for s in members] for members in family)
            assert (start[0] == start[1]) == same_initialization
            asked = [seen[:6], seen[6:]]
            offsets = [(a[0] - b[0]) for a, b in zip(*asked)]
            assert all((offset + 1000).abs().max() < 0.1 for offset in offsets) == same_noise
            assert all(torch.equal(a[1], b[1]) for a, b in zip(*asked)) == same_noise


def test_a_member_is_the_network_trained_alone_on_its_set():
    data, sets = points(60), list(torch.randperm(60, generator=stream(0)).split(20))
    config = Training(snapshots=(2, 7), batch=8, seed=9)
    family = train_family(config, small, data, sets, same_initialization=True, same_noise=True)
    alone = zip(*(train(config, small, data[indices]) for indices in sets))
    for members, single in zip(family, alone, strict=True):
        for a, b in zip(members, single, strict=True):
            assert a.step == b.step and torch.equal(a.losses, b.losses)
            assert torch.equal(weights(a.network), weights(b.network)) and torch.equal(weights(a.ema), weights(b.ema))


def test_no_member_ever_sees_anything_outside_its_set():
    data = torch.arange(40.0)[:, None].expand(40, 4) * 10
    sets = list(torch.randperm(40, generator=stream(1))[:30].split(15))
    seen, asked = [], []
    def make():
        asked.append([])
        return Spy(asked[-1])
    list(train_family(Training(snapshots=(200,), batch=16, levels=CLEAN, loss="mse"), make, data, sets,
                      same_initialization=True, same_noise=False))
    seen = [torch.cat([(x[:, 0] / 10).round().long() for x, _ in calls]).unique() for calls in asked]
    for indices, found in zip(sets, seen, strict=True):
        assert torch.equal(found, indices.sort().values)


def test_overlapping_unequal_and_foreign_sets_are_refused():
    config, data = Training(snapshots=(1,)), points(20)
    def family(*sets, same_noise=True):
        return train_family(config, small, data, sets, same_initialization=True, same_noise=same_noise)
    with pytest.raises(ValueError, match="index 4 occurs more than once, in set 0 and set 1"):
        family(torch.arange(5), torch.arange(4, 9))
    with pytest.raises(ValueError, match=r"the sets hold \[5, 6\] indices; expected equal sizes"):
        family(torch.arange(5), torch.arange(5, 11))
    with pytest.raises(ValueError, match="expected none empty, and indices from 0 to 19"):
        family(torch.arange(5), torch.arange(16, 21))
    members, = family(torch.arange(5), torch.arange(5, 11), same_noise=False)
    assert len(members) == 2


def test_a_network_learns_the_wiener_filter():
    scale = torch.tensor([1.0, 0.3])
    data = torch.randn(20_000, 2, generator=stream(0)) * scale
    config = Training(snapshots=(600,), batch=256, learning_rate=1e-2, decay="cosine", ema=0.99)
    (end,) = train(config, lambda: Preconditioned(MLP(2, 32, 2)), data)
    exact = GaussianDenoiser(torch.zeros(2), torch.diag(scale**2))
    for sigma in (0.2, 0.5, 1.0):
        y = torch.randn(4000, 2, generator=stream(1)) * scale
        x = y + sigma * torch.randn(4000, 2, generator=stream(2))
        excess = (end.ema(x, sigma) - exact(x, sigma)).square().mean()
        best = (exact(x, sigma) - y).square().mean()
        assert excess < 0.02 * best


def test_a_token_network_learns_independent_tokens():
    law = torch.tensor([0.6, 0.3, 0.1])
    data = nn.functional.one_hot(torch.multinomial(law, 4000 * 2, True, generator=stream(0)).view(4000, 2), 3).float()
    config = Training(snapshots=(250,), batch=128, loss="cross_entropy", levels=VpClock(), learning_rate=1e-2,
                      decay="cosine", ema=0.99)
    (end,) = train(config, lambda: TokenDenoiser(TokenTransformer(3, 2, 16, 1, 2, 32), vp_sigmas()), data)
    y = nn.functional.one_hot(torch.multinomial(law, 4000, True, generator=stream(1)).view(2000, 2), 3).float()
    for sigma in (0.4, 1.0, 30.0):
        x = y + sigma * torch.randn(y.shape, generator=stream(2))
        exact = (law.log() + x / sigma**2).softmax(-1)
        divergence = (exact * (exact.log() - end.ema.log_probabilities(x, sigma))).nansum(-1).mean()
        assert 0 <= divergence < 0.03


def test_autocast_is_in_the_step_only():
    config = dict(snapshots=(0, 20), batch=32)
    half, full = (list(train(Training(**config, bf16=bf16), small, points())) for bf16 in (True, False))
    assert not torch.equal(half[1].losses, full[1].losses)
    torch.testing.assert_close(half[1].losses, full[1].losses, rtol=0.05, atol=0)
    assert {p.dtype for s in half for p in (*s.network.parameters(), *s.ema.parameters())} == {torch.float32}
    assert half[1].ema(points(2), 1.0).dtype == torch.float32 and not half[1].network.training


def test_bad_input_gets_a_sentence():
    with pytest.raises(ValueError, match="expected rising steps >= 0: try log_steps"):
        Training(snapshots=(5, 5))
    with pytest.raises(ValueError, match="loss is 'l2'; expected one of 'edm'"):
        Training(snapshots=(1,), loss="l2")
    with pytest.raises(ValueError, match="label_dropout is 0.2 with 0 classes"):
        Training(snapshots=(1,), label_dropout=0.2)
    with pytest.raises(ValueError, match="batch is 0; expected a whole number >= 1"):
        Training(snapshots=(1,), batch=0)
    with pytest.raises(ValueError, match="expected 1 <= first <= last"):
        log_steps(11, 10, 3)
    with pytest.raises(TypeError, match="divide by 255 first"):
        train(Training(snapshots=(1,)), small, torch.zeros(4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match="has 2 classes, and labels are missing"):
        train(Training(snapshots=(1,), classes=2), small, points())
    with pytest.raises(ValueError, match="run from 0 to 2; expected int64, one of 0 to 1 for each of the 64"):
        train(Training(snapshots=(1,), classes=2), small, points(), torch.arange(64) % 3)
    with pytest.raises(ValueError, match="every is 0; expected a whole number >= 1"):
        list(train(Training(snapshots=(1,)), small, points(), every=0))
    with pytest.raises(FloatingPointError, match="expected a finite number: try a smaller learning rate"):
        list(train(Training(snapshots=(9,), learning_rate=1e30), small, points()))
