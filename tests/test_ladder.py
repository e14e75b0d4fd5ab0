"""The moment ladder: generators that know some moments of a block, and nothing else of it."""

import numpy as np
import pytest
import torch
from nearsight import sample
from nearsight.datasets import fashion_mnist
from nearsight.denoisers import GaussianDenoiser
from nearsight.measures.ladder import moment_ladder
from nearsight.measures.preference import own_other
from nearsight.noise import edm_sigmas

RUNGS = ("class shares", "mean", "Gaussian", "shared covariance", "class Gaussians")


def block(count, seed):
    """Points of three classes with spreads of their own, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), count, replacement=True, generator=generator)
    points = torch.randn(count, 2, 2, generator=generator, dtype=torch.float64)
    return points * (1 + labels[:, None, None]) + 3 * labels[:, None, None], labels


def drawn(count, seed, event=(2, 2)):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, *event, generator=generator, dtype=torch.float64),
            torch.rand(count, generator=generator, dtype=torch.float64))


def moments(law):
    """Mean and covariance of a whole mixture."""
    mean = law.weights @ law.means
    apart = law.means - mean
    return mean, torch.einsum("k,kij->ij", law.weights, law.covariances + apart[:, :, None] * apart[:, None])


def test_each_rung_has_the_moments_of_the_block_that_it_knows_and_those_of_the_pool_otherwise():
    (points, labels), (pool, pool_labels) = block(300, 0), block(2000, 1)
    ladder = moment_ladder(points, labels, pool, pool_labels)
    assert tuple(ladder) == RUNGS
    rows, pool_rows = points.flatten(1), pool.flatten(1)
    mean, covariance = rows.mean(0), torch.cov(rows.T, correction=0)
    for name in ("Gaussian", "shared covariance", "class Gaussians"):
        for found, wanted in zip(moments(ladder[name]), (mean, covariance)):
            torch.testing.assert_close(found, wanted)
    for found, wanted in zip(moments(ladder["mean"]), (mean, torch.cov(pool_rows.T, correction=0))):
        torch.testing.assert_close(found, wanted)
    shares = torch.bincount(labels) / 300
    for name in ("class shares", "shared covariance", "class Gaussians"):
        torch.testing.assert_close(ladder[name].weights, shares.double())
    for k in range(3):
        torch.testing.assert_close(ladder["class shares"].means[k], pool_rows[pool_labels == k].mean(0))
        torch.testing.assert_close(ladder["class Gaussians"].covariances[k],
                                   torch.cov(rows[labels == k].T, correction=0))


def test_samples_have_the_moments_of_the_law_and_follow_their_latents():
    points, labels = block(400, 2)
    for law in moment_ladder(points, labels, *block(900, 3)).values():
        latents, choices = drawn(40_000, 4)
        samples = law.sample(latents, choices)
        assert samples.shape == latents.shape and torch.equal(law.sample(latents[:9], choices[:9]), samples[:9])
        rows, (mean, covariance) = samples.flatten(1), moments(law)
        error = covariance.diagonal().sqrt() / 200
        assert ((rows.mean(0) - mean).abs() <= 4.5 * error).all()
        spread = covariance.diagonal().outer(covariance.diagonal()).sqrt()
        assert ((torch.cov(rows.T) - covariance).abs() <= 0.05 * spread).all()


def test_a_gaussians_samples_are_what_its_denoiser_makes_of_the_same_latents():
    points, labels = block(400, 5)
    law = moment_ladder(points, labels, points, labels)["Gaussian"]
    latents, choices = drawn(50, 6)
    # From sigma 2000 on, where the ODE starts within 1e-3 of its limit, in steps so fine that Heun's error is smaller.
    made = sample(law.denoiser(), 2000 * latents, edm_sigmas(400, 1e-3, 2000.0))
    torch.testing.assert_close(made, law.sample(latents, choices), rtol=0, atol=0.01)
    x, exact = 3 * latents, GaussianDenoiser(points.flatten(1).mean(0), torch.cov(points.flatten(1).T, correction=0))
    torch.testing.assert_close(law.denoiser()(x, 0.7), exact(x, 0.7))


def test_the_ladder_sees_no_image_but_only_moments():
    (points, labels), pool = block(300, 7), block(900, 8)
    mirrored = 2 * points.mean(0) - points
    first, second = (moment_ladder(each, labels, *pool) for each in (points, mirrored))
    latents = drawn(20, 9)
    for name in ("mean", "Gaussian", "class shares"):
        torch.testing.assert_close(first[name].sample(*latents), second[name].sample(*latents))


@pytest.mark.slow
def test_on_photographs_each_rung_leans_to_its_block_as_the_study_says_though_it_copies_nothing():
    images, reference = fashion_mnist("pool", 16), fashion_mnist("reference", 16)
    blocks = [slice(0, 512), slice(512, 1024)]
    ladders = [moment_ladder(images.images[each], images.labels[each], reference.images, reference.labels)
               for each in blocks]
    latents, choices = (each.float() for each in drawn(4096, 0, (1, 16, 16)))
    found = {name: own_other(*(ladder[name].sample(latents, choices) for ladder in ladders),
                             *(images.images[each] for each in blocks)) for name in RUNGS}
    # The study's values are single draws of latents; the standard deviation over latents is 0.004 to 0.008 here.
    for name, wanted in zip(RUNGS, (0.506, 0.507, 0.5235, 0.553, 0.616)):
        assert found[name].preference == pytest.approx(wanted, abs=0.02), name
    assert found["Gaussian"].p_value <= 4e-4 and found["class Gaussians"].low > 0.55
    preferences = [found[name].preference for name in RUNGS[2:]]
    assert np.all(np.diff(preferences) > 0)


@pytest.mark.parametrize("change, words", [
    (dict(labels=torch.tensor([0, 0, 0, 1])), "1 events of class 1; expected at least two"),
    (dict(labels=torch.tensor([0, 0, 9, 9])), "fewer classes than events"),
    (dict(labels=torch.zeros(3, dtype=torch.int64)), "one for each of 4 events"),
    (dict(pool=torch.randn(4, 3)), "expected equal shapes"),
])
def test_bad_input_is_refused_with_a_sentence(change, words):
    labels = torch.tensor([0, 1, 1, 0])
    arguments = dict(points=torch.randn(4, 2), labels=labels, pool=torch.randn(4, 2), pool_labels=labels)
    with pytest.raises(ValueError, match=words):
        moment_ladder(**{**arguments, **change})
    law = moment_ladder(**arguments)["mean"]
    with pytest.raises(ValueError, match="0 to below 1"):
        law.sample(torch.randn(2, 2), torch.tensor([0.5, 1.0]))
    with pytest.raises(ValueError, match="as the law"):
        law.sample(torch.randn(2, 3), torch.rand(2))
