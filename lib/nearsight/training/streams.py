"""Trainings whose events come step by step: from a source that never runs dry, or from epochs of a set."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from nearsight import checks
from nearsight.randomness import global_stream, stream
from nearsight.training.loop import Trainer
from nearsight.training.objectives import training_loss
from nearsight.training.recipe import Training, draw


class StreamTrainer(Trainer):
    """A `Trainer` whose batch at step k is events(k) [<= B, *event], and whose learning rate there is `rate(k)` times
    that of the configuration.

    `events` is a function of the step alone, or a training that was killed would not end with the same bits. Noise levels,
    noise, weights and averages are those of a `Trainer`: with events(k) = data[draw(config, k, data.shape).indices] it is
    one, bit by bit. Its checkpoints are told apart by the first batch in place of the data.
    """

    def __init__(self, config: Training, make_network: Callable[[], nn.Module], events: Callable[[int], Tensor],
                 folder: Path | str | None = None, device: torch.device | str = "cpu",
                 rate: Callable[[int], float] = lambda step: 1.0):
        self.events, self.rate = checks.function(events, "events", "a function of the step"), checks.function(rate, "rate")
        super().__init__(config, make_network, events(0), None, folder, device)

    def _advance(self) -> None:
        """One step of training."""
        config, k = self.config, self.step
        y = self.events(k).to(self.device, torch.float32)
        _, sigma, eps, _ = draw(config, k, self.data.shape, self.device)
        sigma, eps = sigma[:len(y)], eps[:len(y)]
        x = y + sigma.view(-1, *[1] * (y.ndim - 1)) * eps
        with (global_stream(config.seed, k, 1, device=self.device),
              torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16)):
            loss = training_loss(config.loss, self.network, y, x, sigma, None, config.sigma_data).mean()
        self.optimizer.zero_grad()
        loss.backward()
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * self.rate(k)
        self.optimizer.step()
        kept = min(config.ema, (k + 1) / (k + 10))
        with torch.no_grad():
            for average, weight in self.averages:
                average.lerp_(weight, 1 - kept)
        self.losses[k] = loss.detach()
        self.step += 1


def in_epochs(data: Tensor, batch: int, seed: int) -> Callable[[int], Tensor]:
    """The events of step k of epochs over data [N, *event]: each event once an epoch, in a new order each time; the last
    batch of an epoch holds the rest of them. An epoch has ceil(N / batch) steps."""
    batch, seed = checks.count(batch, "batch"), checks.whole(seed, "seed")
    steps = math.ceil(len(checks.points(data, "data")) / batch)

    @lru_cache(maxsize=1)
    def order(epoch: int) -> Tensor:
        return torch.randperm(len(data), generator=stream(seed, 2, epoch))

    def events(step: int) -> Tensor:
        epoch, place = divmod(checks.count(step, "step", at_least=0), steps)
        return data[order(epoch)[batch * place:batch * (place + 1)].to(data.device)]

    return events


def settling(epoch: int, epochs: int, halved: int = 50) -> float:
    """Share of the learning rate in epoch 0 .. epochs - 1: it falls linearly to 1/2 over the first `halved` epochs, then
    along a cosine to 1/10. Source: Garnier-Brun et al. 2026 (arXiv 2603.03469)."""
    epoch, epochs = checks.count(epoch, "epoch", at_least=0), checks.count(epochs, "epochs")
    halved = checks.count(halved, "halved", at_least=0)
    if epoch >= epochs:
        raise ValueError(f"epoch is {epoch} of {epochs}; expected 0 to {epochs - 1}.")
    if epoch < halved:
        return 1 - epoch / (2 * halved)
    return 0.1 + 0.4 * (1 + math.cos(math.pi * (epoch - halved) / max(epochs - halved, 1))) / 2
