"""Trainings whose events come step by step: the same bits as a plain one, epochs, and the falling rate."""

from itertools import pairwise

import pytest
import torch
from nearsight.datasets import digits
from nearsight.networks import MLP, Preconditioned
from nearsight.training import StreamTrainer, Trainer, Training, in_epochs, in_step, settling
from nearsight.training.recipe import draw

CONFIG = Training(snapshots=(0, 5, 12), batch=8, seed=3)


def make():
    return Preconditioned(MLP(64, 16))


def states(trainer):
    return [[losses, *(p.clone() for each in (network, ema) for p in each.state_dict().values())]
            for [(_, losses, network, ema)] in in_step([trainer], 4)]


def assert_same(first, second):
    assert len(first) == len(second)
    assert all(torch.equal(a, b) for one, other in zip(first, second) for a, b in zip(one, other, strict=True))


def test_with_the_draws_of_a_trainer_it_is_one_bit_by_bit():
    data = digits().images[:100]
    plain = states(Trainer(CONFIG, make, data, None, None, "cpu"))
    assert_same(plain, states(StreamTrainer(CONFIG, make, lambda k: data[draw(CONFIG, k, data.shape).indices])))


def test_killed_and_resumed_it_ends_with_the_same_bits(tmp_path):
    data = digits().images[:30]

    def trainer(folder):
        return StreamTrainer(CONFIG, make, in_epochs(data, 8, 1), folder, rate=lambda step: settling(step // 4, 3, 1))

    whole = states(trainer(None))
    for [snapshot] in in_step([trainer(tmp_path)], 4):
        if snapshot.step == 8:
            break
    resumed = states(trainer(tmp_path))  # steps 0 and 5 from the folder, then 12
    assert_same([whole[i] for i in (0, 2, 4)], [resumed[i] for i in (0, 1, 2)])
    with pytest.raises(ValueError, match="checkpoints of another run"):
        StreamTrainer(CONFIG, make, in_epochs(data, 8, 2), tmp_path)


def test_an_epoch_shows_every_event_once_in_a_new_order():
    data = torch.arange(22.0)[:, None]
    events = in_epochs(data, 8, 5)
    epochs = [torch.cat([events(step) for step in range(3 * epoch, 3 * epoch + 3)])[:, 0] for epoch in range(3)]
    assert [len(events(step)) for step in range(4)] == [8, 8, 6, 8]
    assert all(torch.equal(epoch.sort().values, data[:, 0]) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1]) and torch.equal(events(4), in_epochs(data, 8, 5)(4))


def test_the_rate_settles_as_published():
    rates = [settling(epoch, 20_000) for epoch in range(20_000)]
    assert rates[0] == 1 and rates[25] == pytest.approx(0.75) and rates[50] == pytest.approx(0.5)
    assert rates[50 + 19_950 // 2] == pytest.approx(0.3) and rates[-1] == pytest.approx(0.1, abs=1e-6)
    assert all(a > b for a, b in pairwise(rates))


def test_the_rate_reaches_the_optimizer():
    data = digits().images[:30]
    trainers = [StreamTrainer(Training(snapshots=(0, 1, 2), batch=8), make, in_epochs(data, 8, 1), rate=rate)
                for rate in (lambda step: 1.0, lambda step: float(step == 0), lambda step: 0.0)]
    untrained, _, last = ([[p.clone() for p in snapshot.network.parameters()] for snapshot in snapshots]
                          for snapshots in in_step(trainers))
    for moved, after in zip((True, True, False), last, strict=True):
        assert all(map(torch.equal, untrained[0], after)) != moved
    assert not all(map(torch.equal, last[0], last[1]))
