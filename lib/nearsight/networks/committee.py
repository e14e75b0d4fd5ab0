"""Classifiers that vote: the mean of the probabilities of several, which errs less than one and says when it is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor, nn

from nearsight import checks
from nearsight.files import sha256
from nearsight.networks.classifier import Classifier

TOPS_AND_TROUSERS = Path(__file__).with_name("data") / "tops-and-trousers.safetensors"
SHA256 = "764ad82984e34c4e31f38366379bf760e1221d531829d01dd6e2ac23fceb39c7"
MEMBERS = 3


class Committee(nn.Module):
    """Probabilities [B, classes] of images x [B, C, H, W]: the mean of those of its members, `Classifier`s."""

    def __init__(self, members: Sequence[Classifier]):
        super().__init__()
        if not isinstance(members, (list, tuple)) or not members:
            raise TypeError(f"members is {checks.came(members)}; expected a list of classifiers, at least one.")
        self.members = nn.ModuleList(checks.instance(member, "a member", Classifier, "a Classifier") for member in members)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([member(x).softmax(1) for member in self.members]).mean(0)


def tops_and_trousers() -> Committee:
    """The three classifiers that tell tops (class 0) from trousers (class 1) of Fashion-MNIST at 16 x 16 and ship with the
    package, in evaluation mode, their gradients off. Cost: a file of 36 kB.

    Each was trained once, by `training.train_classifier` with its own seed, on the last 500 + 500 of the training images,
    which no network of study 5 is trained on; their weights are those of float16. Raises ValueError for another file.
    """
    content = TOPS_AND_TROUSERS.read_bytes()
    if sha256(content) != SHA256:
        raise ValueError(f"{TOPS_AND_TROUSERS.name} is not the file that ships with the package; expected SHA-256 "
                         f"{SHA256[:12]}: install the package again.")
    committee = Committee([Classifier(classes=2) for _ in range(MEMBERS)])
    committee.load_state_dict({name: weight.float() for name, weight in load(content).items()})
    return committee.requires_grad_(False).eval()
