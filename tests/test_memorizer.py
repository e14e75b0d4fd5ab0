import numpy as np
import torch
from nearsight.datasets import fashion_mnist
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.measures.gaps import generalization_gap
from nearsight.measures.membership import membership
from nearsight.measures.preference import proximity_bias
from nearsight.measures.proximity import memorized_fraction
from nearsight.noise import edm_sigmas
from nearsight.sampling import sample
from scipy.stats import ncx2


def test_every_measurement_convicts_the_memorizer():
    pool = fashion_mnist("pool", resolution=16).images
    train, holdout = pool[:256], pool[256:512]
    denoiser, generator = EmpiricalDenoiser(train), torch.Generator().manual_seed(0)
    sigmas = edm_sigmas(12)
    samples = sample(denoiser, sigmas[0] * torch.randn(200, 1, 16, 16, generator=generator), sigmas)

    assert memorized_fraction(samples, train).fraction == 1
    bias = proximity_bias(samples, train, holdout)
    assert bias.preference == 1
    assert bias.p_value < 1e-9
    attack = membership(denoiser, train, holdout, torch.tensor([0.15, 0.3, 0.6]), 1, generator)
    assert (attack.auc, attack.tpr) == (1, 1)
    levels = torch.tensor([0.3, 1.0])
    assert generalization_gap(denoiser, train, holdout, levels, draws=1, generator=generator).gap.min() > 1


def test_the_ruler_parts_leaning_from_copying():
    train = fashion_mnist("pool", resolution=16).images[:512]
    holdout = fashion_mnist("pool", resolution=16).images[512:1024]
    generator = torch.Generator().manual_seed(1)
    expected = {0.02: (1.00, 1.00), 0.05: (1.00, 0.79), 0.10: (1.00, 0.06), 0.20: (1.00, 0), 0.50: (0.976, 0),
                1.0: (0.806, 0)}
    for blur, (preference, share) in expected.items():
        picks = torch.randint(512, (1024,), generator=generator)
        samples = train[picks] + blur * torch.randn(1024, 1, 16, 16, generator=generator)
        assert abs(proximity_bias(samples, train, holdout).preference - preference) <= 0.03
        assert abs(memorized_fraction(samples, train).fraction - share) <= 0.06


def own_distance_law(blur, d, n, rng):
    """Share of samples nearer to the training half: their own point is nearest, or one of the exchangeable others."""
    point, noise = rng.standard_normal((2, 4_000, d))
    square = ((point + blur * noise) ** 2).sum(1)
    own = (ncx2.sf(blur**2 * (noise**2).sum(1), d, square) ** (2 * n - 1)).mean()
    return own + (1 - own) * (n - 1) / (2 * n - 1)


def test_in_high_dimension_leaning_outlives_copying():
    generator, rng = torch.Generator().manual_seed(2), np.random.default_rng(2)
    train, holdout = torch.randn(2, 512, 256, generator=generator)
    for blur, share in {0.2: 1.00, 0.4: 0.955, 0.45: 0.33, 0.5: 0, 1.0: 0, 2.0: 0, 3.0: 0, 4.0: 0, 6.0: 0}.items():
        picks = torch.randint(512, (1024,), generator=generator)
        samples = train[picks] + blur * torch.randn(1024, 256, generator=generator)
        low, high = proximity_bias(samples, train, holdout).interval(0.997)
        assert low <= own_distance_law(blur, 256, 512, rng) <= high
        assert abs(memorized_fraction(samples, train).fraction - share) <= 0.06
