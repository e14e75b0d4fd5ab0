"""A small convolutional classifier of images: what a set of features, or a share of classes, is read with."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load
from torch import Tensor, nn

from nearsight import checks
from nearsight.files import sha256

WEIGHTS = Path(__file__).with_name("data") / "clothes-classifier.safetensors"
SHA256 = "636b7b35ad0603c8f19c18f0def5cb7d8c95e20b11557a57f9861da2176b070e"


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


def clothes_classifier() -> Classifier:
    """The classifier of the ten kinds of clothes of Fashion-MNIST at 16 x 16 that ships with the package, in evaluation
    mode, its gradients off. Cost: a file of 41 kB.

    Trained once, by `training.train_classifier` on the 4,096 reference images, which no network of the book is trained on;
    it is right on 85 % of others. It ships because a training is not determined to more than a digit or two: features that
    are to be the same on every machine need the same weights. Raises ValueError for a file that is not the one that ships.
    """
    content = WEIGHTS.read_bytes()
    if sha256(content) != SHA256:
        raise ValueError(f"{WEIGHTS.name} is not the file that ships with the package; expected SHA-256 {SHA256[:12]}: "
                         "install the package again.")
    network = Classifier(classes=10)
    network.load_state_dict(load(content))
    return network.requires_grad_(False).eval()
