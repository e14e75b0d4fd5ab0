"""A training that is killed, whenever it is, ends with the bits of one that was not."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from nearsight import files
from nearsight.datasets import digits
from nearsight.training.families import train_family
from nearsight.networks import MLP, Preconditioned, UNet
from nearsight.noise import edm_sigmas
from nearsight.randomness import stream
from nearsight.sampling import sample
from nearsight.training import Training, train

# A server that has imported everything once: its children start in milliseconds.
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["nearsight.datasets", "nearsight.training.families", "nearsight.networks", "nearsight.sampling",
                              "pytest", "sklearn.datasets", "torch._dynamo"])

CONFIG = Training(snapshots=(0, 15, 40, 90), batch=32, seed=4)
EVERY = 7


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def mlp(folder, config=CONFIG, data=None):
    make = lambda: Preconditioned(MLP(64, 32))
    images = digits().images[:200] if data is None else data
    return ((snapshot,) for snapshot in train(config, make, images, folder=folder, every=EVERY))


def conditional_unet(folder):
    config = Training(snapshots=(0, 5, 15, 30), batch=8, classes=10, label_dropout=0.2, bf16=True, clip=1.0,
                      decay="cosine")
    make = lambda: Preconditioned(UNet(8, (1, 1), classes=10))
    data = digits()
    return ((snapshot,) for snapshot in train(config, make, data.images[:200], data.labels[:200], folder, EVERY))


def family(folder):
    def make():
        network = MLP(64, 32)
        network.layers.insert(2, nn.Dropout(0.1))
        return Preconditioned(network)
    return train_family(CONFIG, make, digits().images, list(torch.arange(400).split(200)), folder=folder, every=EVERY,
                        same_initialization=True, same_noise=False)


def results(steps):
    """Everything that a run shows at the snapshots: losses, weights, averages, samples."""
    latents, found = 80 * torch.randn(4, 1, 8, 8, generator=stream(0)), {}
    for members in steps:
        for m, (step, losses, network, ema) in enumerate(members):
            found[step, m] = [losses, *(p.clone() for p in network.state_dict().values()),
                              *(p.clone() for p in ema.state_dict().values()), sample(ema, latents, edm_sigmas(4))]
    return found


def assert_same_bits(steps, unbroken, snapshots):
    resumed = results(steps)
    shown = {key for key in unbroken if key[0] in snapshots}
    assert shown <= resumed.keys() <= unbroken.keys()
    for key in resumed:
        assert len(resumed[key]) == len(unbroken[key])
        assert all(torch.equal(a, b) for a, b in zip(resumed[key], unbroken[key]))


def to_the_end(run, folder):
    torch.set_num_threads(1)
    for _ in run(folder):
        pass


def newest(folder):
    return max((int(path.stem.removeprefix("step-")) for path in Path(folder).rglob("step-*.json")), default=-1)


@pytest.fixture(scope="module")
def unbroken():
    """What the MLP shows when nothing happens to it."""
    return results(mlp(None))


@pytest.mark.parametrize("run, last", [(mlp, 90), (conditional_unet, 30), (family, 90)])
def test_killed_at_three_random_moments(run, last, tmp_path):
    whole, chance = results(run(None)), random.Random(2)
    for start in (0.0, 0.3, 0.6):
        child = FRESH.Process(target=to_the_end, args=(run, tmp_path))
        child.start()
        moment = chance.uniform(start, start + 0.25) * last
        while newest(tmp_path) < moment:
            assert child.is_alive()
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.02))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL and newest(tmp_path) < last
    assert_same_bits(run(tmp_path), whole, (0, 15, last))


def die_in_a_write(folder, call, count):
    """Train until the `count`-th call of fsync or replace, and die in the middle of it."""
    torch.set_num_threads(1)
    real, calls = getattr(os, call), 0

    def deadly(*arguments):
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    setattr(files.os, call, deadly)
    to_the_end(mlp, folder)


def test_killed_in_the_middle_of_a_checkpoint(tmp_path, unbroken):
    for call, count in (("replace", 1), ("replace", 2), ("fsync", 3), ("fsync", 9), ("replace", 7), ("replace", 8)):
        child = FRESH.Process(target=die_in_a_write, args=(tmp_path, call, count))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        before = newest(tmp_path)
    assert 15 < before < 90
    assert list(tmp_path.glob(".step-*"))
    assert_same_bits(mlp(tmp_path), unbroken, CONFIG.snapshots)
    assert not list(tmp_path.glob(".step-*"))


@pytest.fixture
def killed(tmp_path):
    """The folder of a run that stopped behind step 42."""
    for (snapshot,) in mlp(tmp_path):
        if snapshot.step > 40:
            return tmp_path


def test_a_run_goes_on_behind_its_newest_checkpoint_and_keeps_few(killed):
    assert [snapshot.step for (snapshot,) in mlp(killed)] == [0, 15, 40, *range(49, 90, 7), 90]
    kept = sorted(int(path.stem.removeprefix("step-")) for path in killed.glob("*.safetensors"))
    assert kept == [0, 15, 40, 77, 84, 90]
    assert [snapshot.step for (snapshot,) in mlp(killed)] == [0, 15, 40, 90]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "half a seal", "empty seal", "snapshot"])
def test_a_torn_checkpoint_costs_time_and_nothing_else(killed, unbroken, damage):
    tensors = killed / f"step-{15 if damage == 'snapshot' else 42:012d}.safetensors"
    seal, content = tensors.with_suffix(".json"), tensors.read_bytes()
    if damage == "half a seal":
        seal.write_bytes(seal.read_bytes()[:40])
    elif damage == "empty seal":
        seal.write_bytes(b"{}")
    elif damage == "missing":
        tensors.unlink()
    else:
        tensors.write_bytes(content[:len(content) // 2] if damage == "truncated" else content[:-1] + b"\x55")
    if "seal" in damage:
        assert_same_bits(mlp(killed), unbroken, CONFIG.snapshots)
    else:
        with pytest.warns(UserWarning, match="is not what was written; the run goes on from an earlier checkpoint"):
            assert_same_bits(mlp(killed), unbroken, CONFIG.snapshots)


def test_checkpoints_of_another_run_are_refused(killed):
    with pytest.raises(ValueError, match=r"of another run \(learning_rate was 0.001 and is 0.002\); expected"):
        mlp(killed, config=Training(snapshots=(0, 15, 40, 90), batch=32, seed=4, learning_rate=2e-3))
    with pytest.raises(ValueError, match=r"another run \(network was '.*seed was 4 and is 5\)"):
        mlp(killed, config=Training(snapshots=(0, 15, 40, 90), batch=32, seed=5))
    with pytest.raises(ValueError, match="another run .data was '[0-9a-f]{64}' and is"):
        mlp(killed, data=digits().images[1:201])
    with pytest.raises(ValueError, match="another run .network was"):
        train(CONFIG, lambda: Preconditioned(MLP(64, 48)), digits().images[:200], folder=killed)
