"""Networks of study 4 that see windows of an image: how the gap depends on the receptive field.

One network denoises the four windows, each as an image of its own, and is told which one it sees as others are told a
class. So its optimum on a finite block is `denoisers.window_memorizer`. Blocks, first weights' seed, rate, and the images,
noise and levels of the measures are those of the plain networks, whose window is the whole image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nearsight.denoisers.windows import Windowed, windows
from nearsight.networks.preconditioned import Preconditioned
from nearsight.networks.unet import UNet
from nearsight.records.runs import Run, Stage, Work
from nearsight.studies.image_measures import errors, losses
from nearsight.studies.images import EVERY, ImageNetwork, prepared
from nearsight.training.loop import train
from nearsight.training.recipe import Training, log_steps


@dataclass(frozen=True)
class WindowNetwork:
    """A U-Net trained on the windows of `window` pixels of the images of a block, as many a step as `images` images have.

    Measured at every second checkpoint of the plain networks of 2,400 steps, on the first `blocks` blocks, V and H: `held`
    images for the loss, `curve` for the error curves.
    """

    window: int = 8
    size: int = 512
    block: int = 0
    blocks: int = 3
    channels: int = 32
    images: int = 64
    learning_rate: float = 1e-3
    first: int = 50
    checkpoints: int = 16
    steps: int = 2400
    held: int = 1024
    curve: int = 256
    seed: int = 0

    @property
    def standing(self) -> int:
        """The first checkpoint stands for the run: all have the same arrays, by the same code."""
        return 1

    @property
    def recipe(self) -> Training:
        """How the network is trained: an event is a window, its class the place of it."""
        return Training(snapshots=log_steps(self.first, self.steps, self.checkpoints)[::-2][::-1], batch=4 * self.images,
                        learning_rate=self.learning_rate, classes=4, seed=self.seed)


def window_network(config: WindowNetwork, work: Work = Work()) -> Iterator[Stage]:
    """Train the network; yield at each checkpoint the mean training `loss` since the last one and, as
    `image_measures.measure` has them, `stopping`, `report`, `error`, `uncertainty` and `stopping_error`.

    Cost on one core: .3 s a step and 75 s a checkpoint for windows of 8 pixels, .7 s and 160 s for 12.
    """
    ground, _ = prepared(ImageNetwork(size=config.size, block=config.block, blocks=config.blocks, seed=config.seed),
                         work.device)
    crops = windows(ground.trained, config.window)
    places = torch.arange(4, device=crops.device).repeat_interleave(config.size)
    recipe, seen = config.recipe, 0
    for step, trained, network, average in train(recipe, lambda: Preconditioned(UNet(config.channels, classes=4)),
                                                 crops.flatten(0, 1), places, work.folder, EVERY, work.device):
        if step not in recipe.snapshots:
            yield Stage(step)
            continue
        if step > work.after:
            wholes = [through_windows(each, config.window) for each in (average, network)]
            with torch.no_grad():
                yield Stage(step, {"loss": trained[seen:].mean(), **losses(*wholes, ground, config.held),
                                   **errors(wholes[0], ground, config.curve)})
        seen = step


def through_windows(network: nn.Module, window: int) -> Windowed:
    """The denoiser of whole images that a network is which was told of four windows."""
    def seeing(place: int):
        def denoise(x: Tensor, sigma: float | Tensor) -> Tensor:
            return network(x, sigma, torch.full((len(x),), place, device=x.device))

        return denoise

    return Windowed([seeing(place) for place in range(4)], window)


SCALES = [
    Run("images-window-smoke", window_network, WindowNetwork(size=64, blocks=2, channels=8, images=4, first=5, checkpoints=4,
                                                             steps=20, held=32, curve=16), "smoke", on_device=True),
    *(Run(f"images-window-{window}-b{block}-s0-laptop", window_network, WindowNetwork(window, block=block), "laptop",
          on_device=True) for window in (8, 12) for block in range(3))]
