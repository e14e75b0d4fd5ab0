"""A small convolutional classifier of images: what a set of features, or a share of classes, is read with."""

from __future__ import annotations

from torch import Tensor, nn

from nearsight import checks


class Classifier(nn.Module):
    """Logits [B, classes] of images x [B, C, H, W]: two 3 x 3 convolutions, of 16 and 32 channels, each with a ReLU and the
    maximum over squares of 2 x 2 pixels, then one linear layer.

    `features(x)` [B, 2 H W] is what the linear layer sees. Raises ValueError for images of another shape.
    Parameters: 144 C + 4,656 + (2 H W + 1) classes. Cost: H W (144 C + 1,152) multiplications an image.
    """

    def __init__(self, classes: int, channels: int = 1, side: int = 16):
        super().__init__()
        classes, channels = checks.count(classes, "classes"), checks.count(channels, "channels")
        side = checks.count(side, "side", at_least=4)
        if side % 4:
            raise ValueError(f"side is {side}; expected a multiple of 4, since it is halved twice.")
        self.shape = (channels, side, side)
        self.layers = nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                                    nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.head = nn.Linear(2 * side * side, classes)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees of images, [B, 2 H W]."""
        if checks.floating(x, "x").shape[1:] != self.shape:
            raise ValueError(f"x has shape {list(x.shape)}; expected images [B, {', '.join(map(str, self.shape))}].")
        return self.layers(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))
