"""A training that is killed, wherever it is, ends with the bits of one that was not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from children import kill_at
from nearsight.datasets import digits
from nearsight.networks import MLP, Preconditioned, UNet
from nearsight.noise import edm_sigmas
from nearsight.randomness import stream
from nearsight.sampling import sample
from nearsight.training import Training, train
from nearsight.training.families import train_family
from torch import nn

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
    for _ in run(folder):
        pass


def newest(folder):
    return max((int(path.stem.removeprefix("step-")) for path in Path(folder).rglob("step-*.json")), default=-1)


@pytest.fixture(scope="module")
def unbroken():
    """What the MLP shows when nothing happens to it."""
    return results(mlp(None))


DEATHS = [  # the call before which a child is killed, and how many temporary files and tensors without seal it leaves
    ("torch.Tensor.backward", 4, (0, 0)),   # a few steps behind the untrained network
    ("os.replace", 3, (1, 0)),              # the tensors of a checkpoint are written, and do not have their name
    ("os.replace", 2, (1, 1)),              # they have it, and no seal
    ("os.fsync", 9, (1, 0)),                # the tensors are on their way to the disk
    ("torch.Tensor.lerp_", 70, (0, 0)),     # some moments and averages have moved in this step, and others have not
    ("tempfile.mkstemp", 4, (0, 1)),        # the tensors are there, and no file for their seal
    ("torch.optim.AdamW.step", 9, (0, 0)),  # the gradients are there
    ("pathlib.Path.unlink", 2, (0, 1)),     # of a checkpoint no longer needed the seal is removed, the tensors are not
]


def unfinished(folder):
    temporary, tensors, seals = (len(list(folder.rglob(name))) for name in (".step-*", "step-*.safetensors", "*.json"))
    return temporary, tensors - seals


@pytest.mark.parametrize("run, last", [(mlp, 90), (conditional_unet, 30), (family, 90)])
def test_killed_again_and_again_a_training_ends_with_the_same_bits(run, last, tmp_path):
    for place, count, left in DEATHS:
        kill_at(place, count, to_the_end, run, tmp_path)
        assert unfinished(tmp_path) == left
    assert 15 < newest(tmp_path) < last
    assert_same_bits(run(tmp_path), results(run(None)), (0, 15, last))
    assert unfinished(tmp_path) == (0, 0)


@pytest.fixture
def killed(tmp_path):
    """The folder of a run that stopped behind step 42."""
    next(snapshot for (snapshot,) in mlp(tmp_path) if snapshot.step > 40)
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


def test_running_means_go_on_with_the_same_bits(tmp_path):
    def normalized(folder):
        def make():
            network = MLP(64, 32)
            network.layers.insert(1, nn.BatchNorm1d(32))
            return Preconditioned(network)
        return ((snapshot,) for snapshot in train(CONFIG, make, digits().images[:200], folder=folder, every=EVERY))

    whole = results(normalized(None))
    for stop in (7, 40, 63):
        for (snapshot,) in normalized(tmp_path):
            if snapshot.step >= stop:
                break
        assert snapshot.ema.network.layers[1].num_batches_tracked == stop
    assert_same_bits(normalized(tmp_path), whole, CONFIG.snapshots)


def test_checkpoints_of_another_run_are_refused(killed):
    with pytest.raises(ValueError, match=r"of another run \(learning_rate was 0.001 and is 0.002\); expected"):
        mlp(killed, config=Training(snapshots=(0, 15, 40, 90), batch=32, seed=4, learning_rate=2e-3))
    with pytest.raises(ValueError, match=r"another run \(network was '.*seed was 4 and is 5\)"):
        mlp(killed, config=Training(snapshots=(0, 15, 40, 90), batch=32, seed=5))
    with pytest.raises(ValueError, match="another run .data was '[0-9a-f]{64}' and is"):
        mlp(killed, data=digits().images[1:201])
    with pytest.raises(ValueError, match="another run .network was"):
        train(CONFIG, lambda: Preconditioned(MLP(64, 48)), digits().images[:200], folder=killed)
