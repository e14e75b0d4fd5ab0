"""Train the classifiers that ship with the package: `networks.clothes_classifier` and `networks.tops_and_trousers`.

Their weights are data, not a result: trained anew by other kernels they differ in the second digit, and so would everything
that is read with them. They are trained on images of Fashion-MNIST at 16 x 16 that no network is trained on.

    python tools/make_classifier.py clothes|tops-and-trousers [FILE]
"""

import sys
from pathlib import Path

from nearsight.datasets import fashion_mnist
from nearsight.files import sha256
from nearsight.networks.classifier import WEIGHTS
from nearsight.networks.committee import MEMBERS, TOPS_AND_TROUSERS, Committee
from nearsight.studies.depth_data import taught
from nearsight.training import train_classifier
from safetensors.torch import save


def clothes():
    """Weights of the classifier of all ten kinds, in float32."""
    reference = fashion_mnist("reference", 16)
    return train_classifier(reference.images, reference.labels, classes=10).state_dict()


def tops_and_trousers():
    """Weights of three classifiers of two classes, in float16."""
    committee = Committee([train_classifier(*taught(), classes=2, seed=seed) for seed in range(MEMBERS)])
    return committee.half().state_dict()


if __name__ == "__main__":
    make, place = {"clothes": (clothes, WEIGHTS), "tops-and-trousers": (tops_and_trousers, TOPS_AND_TROUSERS)}[sys.argv[1]]
    place = Path(sys.argv[2]) if sys.argv[2:] else place
    content = save({name: weight.contiguous() for name, weight in make().items()})
    place.write_bytes(content)
    print(f"{place}: {len(content):,} bytes, SHA-256 {sha256(content)}")
