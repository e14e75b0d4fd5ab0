"""Train the classifier that ships with the package: `nearsight.networks.clothes_classifier`.

Its weights are data, not a result: trained anew by other kernels they differ in the second digit, and so would everything
that is read with them. They are trained on the reference images of Fashion-MNIST at 16 x 16, which no network is trained on.
"""

import sys
from pathlib import Path

from nearsight.datasets import fashion_mnist
from nearsight.files import sha256
from nearsight.networks.classifier import WEIGHTS
from nearsight.training import train_classifier
from safetensors.torch import save

if __name__ == "__main__":
    reference = fashion_mnist("reference", 16)
    network = train_classifier(reference.images, reference.labels, classes=10)
    content = save({name: weight.contiguous() for name, weight in network.state_dict().items()})
    place = Path(sys.argv[1]) if sys.argv[1:] else WEIGHTS
    place.write_bytes(content)
    print(f"{place}: {len(content):,} bytes, SHA-256 {sha256(content)}")
