"""Training: a loop that yields, and that ends with the same bits whether or not it was interrupted.

    config = Training(snapshots=log_steps(10, 2400, 10))
    for step, losses, network, ema in train(config, lambda: Preconditioned(UNet()), images, folder="runs/a", every=100):
        ...                                       # measure `ema`, log, stop whenever you like

A run is a function of its configuration, of the function that makes its network, and of its data. The random numbers
of a step are a function of (seed, step), so that they do not depend on what was drawn before.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nearsight import checks
from nearsight.files import sha256
from nearsight.randomness import global_stream
from nearsight.training.checkpoints import Checkpoints
from nearsight.training.objectives import training_loss
from nearsight.training.recipe import Training, draw


class Snapshot(NamedTuple):
    """A training after `step` steps: all losses so far [step], the network and the one with averaged weights, both in
    evaluation mode. They are the live ones: measure or copy them before the loop goes on, and leave them as they
    are."""

    step: int
    losses: Tensor
    network: nn.Module
    ema: nn.Module


def train(config: Training, make_network: Callable[[], nn.Module], data: Tensor, labels: Tensor | None = None,
          folder: Path | str | None = None, every: int | None = None,
          device: torch.device | str = "cpu") -> Iterator[Snapshot]:
    """Train a denoiser; yield a `Snapshot` at each step of config.snapshots and at multiples of `every` between them.

    make_network()  returns the denoiser to train, a Module called as (x, sigma) or (x, sigma, labels); its weights
                    are drawn under config.initial_seed, so it need not and must not seed anything
    data            clean events [N, *event], for "cross_entropy" one-hot strings; kept on `device`, in float32
    labels          classes [N] int64, with config.classes
    folder          where the state is saved whenever the loop yields, before it does. Called again with the same
                    arguments, a run that was killed yields its earlier snapshots again, read from the folder, and goes
                    on behind its newest checkpoint; what it yields has the bits of an unbroken run (same machine, same
                    number of threads). Of the checkpoints between snapshots the two newest are kept
    every           at most that many steps between two checkpoints, and between two signs of life for a progress bar

    Raises ValueError for bad data, for a folder with another run's checkpoints, and FloatingPointError when the loss
    is no longer finite. Cost: forward and backward pass a step; on disk 16 bytes a parameter and snapshot.
    """
    trainers = [Trainer(config, make_network, data, labels, folder, device)]
    return (snapshots[0] for snapshots in in_step(trainers, every))


def in_step(trainers: list[Trainer], every: int | None = None) -> Iterator[tuple[Snapshot, ...]]:
    """Bring networks with the same snapshots from step to step together; yield what `train` yields, for all of them."""
    if not isinstance(trainers, (list, tuple)) or not trainers:
        raise TypeError(f"trainers is {checks.came(trainers)}; expected a list of trainers, at least one.")
    for trainer in trainers:
        checks.instance(trainer, "a trainer", Trainer, "a Trainer")
    every = None if every is None else checks.count(every, "every")
    snapshots = trainers[0].config.snapshots
    newest = min(trainer.newest for trainer in trainers)
    between = range(every, snapshots[-1], every) if every else ()
    for step in sorted({*snapshots, *(step for step in between if step > newest)}):
        for trainer in trainers:
            trainer.reach(step)
        yield tuple(trainer.snapshot() for trainer in trainers)


class Trainer:
    """One network on its way: what `train` describes, at the step that was reached last."""

    def __init__(self, config: Training, make_network: Callable[[], nn.Module], data: Tensor, labels: Tensor | None,
                 folder: Path | str | None, device: torch.device | str):
        checks.instance(config, "config", Training, "a Training(...)")
        checks.function(make_network, "make_network", "a function that returns the network")
        checks.points(data, "data")
        if folder is not None:
            checks.instance(folder, "folder", (str, Path), "the path of a folder")
        device = checks.device(device)
        check_labels(labels, len(data), config.classes)
        with global_stream(config.seed if config.initial_seed is None else config.initial_seed):
            network = checks.instance(make_network(), "what make_network returned", nn.Module, "a torch.nn.Module")
        self.store = None if folder is None else Checkpoints(Path(folder), {
            **asdict(config), "data": _digest([data] if labels is None else [data, labels]),
            "network": sha256(f"{network} {_digest(network.state_dict().values())}".encode())})
        self.config, self.device, self.step = config, device, 0
        self.data = data.to(self.device, torch.float32)
        self.labels = None if labels is None else labels.to(self.device)
        # Convolutions with the channels last take 5 to 20 % less time on a CPU, and are what tensor cores want.
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.ema = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=config.learning_rate, weight_decay=0.0)
        self.averages = list(zip(self.ema.parameters(), self.network.parameters()))
        self.copies = list(zip(self.ema.buffers(), self.network.buffers()))
        self.losses = torch.zeros(config.steps, device=self.device)

    @property
    def newest(self) -> int:
        """The step of the newest checkpoint, 0 without any."""
        return max(self.store.steps, default=0) if self.store else 0

    def reach(self, step: int) -> None:
        """Come to `step`, from the newest whole checkpoint on the way there, and leave one behind."""
        for saved in reversed(self.store.steps if self.store else []):
            if self.step < saved <= step and (tensors := self.store.load(saved)) is not None:
                self._restore(saved, tensors)
                break
        if self.store and self.step == step and step in self.store.steps:
            return
        self.network.train()
        while self.step < step:
            self._advance()
        if not self.losses[:step].isfinite().all():
            first = int((~self.losses[:step].isfinite()).nonzero()[0])
            raise FloatingPointError(f"the loss is {self.losses[first]:g} at step {first}; expected a finite number: "
                                     "try a smaller learning rate, or clip=1.")
        if self.store:
            self.store.save(step, self._tensors(), keep=self.config.snapshots)

    def snapshot(self) -> Snapshot:
        """What is to be seen at this step."""
        return Snapshot(self.step, self.losses[:self.step].cpu(), self.network.eval(), self.ema)

    def _advance(self) -> None:
        """One step of training."""
        config, k = self.config, self.step
        indices, sigma, eps, dropped = draw(config, k, self.data.shape, self.device)
        y = self.data[indices]
        x = y + sigma.view(-1, *[1] * (y.ndim - 1)) * eps
        labels = None if self.labels is None else self.labels[indices].masked_fill(dropped, config.classes)
        with (global_stream(config.seed, k, 1, device=self.device),
              torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16)):
            loss = training_loss(config.loss, self.network, y, x, sigma, labels, config.sigma_data).mean()
        self.optimizer.zero_grad()
        loss.backward()
        if config.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), config.clip)
        for group in self.optimizer.param_groups:
            decay = (1 + math.cos(math.pi * k / config.steps)) / 2 if config.decay == "cosine" else 1.0
            group["lr"] = config.learning_rate * decay
        self.optimizer.step()
        rate = min(config.ema, (k + 1) / (k + 10))
        with torch.no_grad():
            for average, weight in self.averages:
                average.lerp_(weight, 1 - rate)
            for copied, buffer in self.copies:
                copied.copy_(buffer)
        self.losses[k] = loss.detach()
        self.step += 1

    def _tensors(self) -> dict[str, Tensor]:
        """All that the next steps depend on."""
        states = self.optimizer.state_dict()["state"]
        return {"losses": self.losses[:self.step],
                **{f"network/{name}": tensor for name, tensor in self.network.state_dict().items()},
                **{f"ema/{name}": tensor for name, tensor in self.ema.state_dict().items()},
                **{f"optimizer/{index}/{name}": tensor
                   for index, state in states.items() for name, tensor in state.items()}}

    def _restore(self, step: int, tensors: dict[str, Tensor]) -> None:
        """The inverse of `_tensors`."""
        parts = defaultdict(dict)
        for path, tensor in tensors.items():
            part, _, name = path.rpartition("/")
            parts[part][name] = tensor
        self.network.load_state_dict(parts["network"])
        self.ema.load_state_dict(parts["ema"])
        states = {index: parts[f"optimizer/{index}"] for index, _ in enumerate(self.network.parameters())}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": states if step else {}})
        self.losses[:step] = parts[""]["losses"].to(self.device)
        self.step = step


def check_labels(labels: Tensor | None, count: int, classes: int) -> None:
    """Raise ValueError unless labels came if and only if there are classes, one for each event, in range."""
    if (labels is None) != (classes == 0):
        raise ValueError(f"the configuration has {classes} classes, and labels {'are missing' if classes else 'came'}; "
                         "expected both or neither.")
    if labels is not None and (checks.tensor(labels, "labels").shape != (count,) or labels.dtype != torch.int64
                               or not 0 <= labels.min() <= labels.max() < classes):
        raise ValueError(f"labels are {labels.dtype}, have shape {list(labels.shape)} and run from {labels.min()} to "
                         f"{labels.max()}; expected int64, one of 0 to {classes - 1} for each of the {count} events.")


def _digest(tensors: Iterable[Tensor]) -> str:
    """SHA-256 over shapes, dtypes and bytes."""
    # As bytes, since numpy has no bfloat16.
    parts = (f"{tensor.dtype} {list(tensor.shape)}".encode()
             + tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes() for tensor in tensors)
    return sha256(b"".join(parts))
