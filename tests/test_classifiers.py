"""The classifier that samples are read with: it learns, its features feed its last layer, one seed is one network."""

import pytest
import torch
from nearsight.datasets import fashion_mnist
from nearsight.networks import Classifier, classifier, clothes_classifier
from nearsight.training import train_classifier
from scipy.stats import binom


@pytest.fixture(scope="module")
def reference():
    return fashion_mnist("reference", 16)


@pytest.fixture(scope="module")
def network(reference):
    return train_classifier(reference.images, reference.labels, classes=10, epochs=8)


def test_the_one_that_ships_is_one_of_these(reference):
    """Trained anew it is another network, which says the same of nearly all images, and is right as often."""
    shipped, anew = clothes_classifier(), train_classifier(reference.images, reference.labels, classes=10)
    held = fashion_mnist("report", 16)
    said = shipped(held.images).argmax(1)
    assert (said == anew(held.images).argmax(1)).double().mean() > 0.9
    assert abs((said == held.labels).double().mean() - 0.85) < 3 * (0.85 * 0.15 / 1024) ** 0.5
    assert not shipped.training and not any(weight.requires_grad for weight in shipped.parameters())


def test_another_file_than_the_one_that_ships_is_refused(tmp_path, monkeypatch):
    other = tmp_path / "clothes-classifier.safetensors"
    other.write_bytes(classifier.WEIGHTS.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(classifier, "WEIGHTS", other)
    with pytest.raises(ValueError, match="is not the file that ships with the package"):
        clothes_classifier()


def test_it_tells_kinds_of_clothes_apart_that_it_has_not_seen(network):
    held = fashion_mnist("stopping", 16)
    right = int((network(held.images).argmax(1) == held.labels).sum())
    assert right > binom(len(held.labels), 0.75).ppf(0.999)


def test_its_features_are_what_the_last_layer_sees(network, reference):
    features = network.features(reference.images[:5])
    assert features.shape == (5, 512) and (features >= 0).all()
    assert torch.equal(network(reference.images[:5]), features @ network.head.weight.T + network.head.bias)
    assert not any(weight.requires_grad for weight in network.parameters()) and not network.training


def test_a_seed_names_a_network_whatever_was_drawn_before(reference):
    images, labels = reference.images[:200], reference.labels[:200]
    first = train_classifier(images, labels, 10, epochs=2)
    torch.rand(7)
    before = torch.get_rng_state()
    again, other = train_classifier(images, labels, 10, epochs=2), train_classifier(images, labels, 10, epochs=2, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.head.weight, again.head.weight) and not torch.equal(first.head.weight, other.head.weight)


def test_the_docstring_counts_its_parameters():
    for classes, channels, side in ((10, 1, 16), (2, 3, 8)):
        count = sum(each.numel() for each in Classifier(classes, channels, side).parameters())
        assert count == 144 * channels + 4656 + (2 * side * side + 1) * classes


@pytest.mark.parametrize("given, message", [
    (dict(labels=torch.full((8,), 3)), "labels run from 3 to 3; expected 0 to 2"),
    (dict(labels=torch.zeros(7, dtype=torch.int64)), "expected int64 .8., one for each image"),
    (dict(labels=torch.zeros(8)), "expected int64 .8."),
    (dict(images=torch.zeros(8, 1, 8, 4)), "expected square ones"),
    (dict(images=torch.zeros(8, 1, 6, 6)), "side is 6; expected a multiple of 4")])
def test_bad_input_gets_a_sentence(given, message):
    call = dict(images=torch.zeros(8, 1, 8, 8), labels=torch.zeros(8, dtype=torch.int64), classes=3, epochs=1) | given
    with pytest.raises(ValueError, match=message):
        train_classifier(**call)
