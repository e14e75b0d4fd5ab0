"""The preference of a fitted Gaussian, its exact parts, limits and simulation; the nine properties of white fits."""

import math

import pytest
import torch
from nearsight import GaussianDenoiser
from nearsight.gaussian import expected_errors, expected_kl, expected_preference, fit, squared_bures
from nearsight.gaussian.white import PROPERTIES, fit_properties, nearness
from nearsight.measures import denoising_error, memorized_fraction, nearest
from torch.distributions import MultivariateNormal, kl_divergence


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def simulated(n, d, sets, seed):
    """Share of samples nearer to train than to fresh points, and its standard error over sets."""
    shares = []
    for k in range(sets):
        train, fresh = normal(2, n, d, seed=seed + k)
        mean, covariance = fit(train)
        samples = MultivariateNormal(mean, covariance + 1e-12 * torch.eye(d)).sample((300,)) if n > d else (
            mean + normal(300, n, seed=-seed - k - 1) @ (train - mean) / n**0.5)
        shares.append((nearest(samples, train).distance < nearest(samples, fresh).distance).double().mean())
    shares = torch.stack(shares)
    return shares.mean(), shares.std() / sets**0.5


@pytest.mark.parametrize("n, d, sets, accuracy", [(8, 16, 300, 0.01), (16, 16, 300, 0.01), (64, 16, 100, 0.01),
                                                  (32, 64, 100, 0.005), (64, 64, 100, 0.005), (256, 64, 40, 0.005)])
def test_the_theory_of_the_preference_agrees_with_simulation(n, d, sets, accuracy):
    torch.manual_seed(n + d)
    share, error = simulated(n, d, sets, seed=1000 * n)
    assert abs(expected_preference(n, d, seeded()) - share) < accuracy + 4 * error


def test_a_sample_of_the_fit_is_a_weighted_sum_of_its_points():
    train = normal(7, 3, seed=1)
    mean, covariance = fit(train)
    centering = (torch.eye(7) - 1 / 7).double()
    torch.testing.assert_close(train.mT @ centering @ centering.mT @ train / 7, covariance)  # covariance of sum b_i y_i
    torch.testing.assert_close(train.mT @ torch.full((7,), 1 / 7, dtype=torch.float64), mean)


def test_distances_given_the_weights_have_the_exact_law():
    # |x - y_i|^2 = tau chi^2_d with tau = |b - e_i|^2, whatever else is known: mean tau d, variance 2 tau^2 d.
    d, weights = 16, torch.tensor([0.7, 0.4, -0.1])
    points = normal(40_000, 3, d, seed=2)
    squares = (torch.einsum("i,ric->rc", weights.double(), points) - points[:, 0]).square().sum(1)
    tau = float((weights - torch.tensor([1.0, 0, 0])).square().sum())
    assert abs(squares.mean() - tau * d) < 4 * tau * (2 * d / 40_000) ** 0.5


def test_the_preference_falls_with_n_rises_with_d_and_tends_to_its_limit():
    falling = [expected_preference(n, 64, seeded()) for n in (16, 32, 64, 128, 512, 4096)]
    assert falling == sorted(falling, reverse=True) and falling[-1] > 0.5
    rising = [expected_preference(2 * d, d, seeded()) for d in (8, 32, 128, 512)]
    assert rising == sorted(rising)
    n, d = 50_000, 2_000
    leading = 1 / (1 + n ** (-2 * (math.sqrt(1 + 2 * d / (3 * n)) - 1)))
    assert expected_preference(n, d, seeded()) - 0.5 == pytest.approx(leading - 0.5, rel=0.25)  # it converges as 1/ln n


def test_two_draws_of_weights_agree():
    values = [expected_preference(100, 50, seeded(seed)) for seed in range(4)]
    assert max(values) - min(values) < 0.004


@pytest.mark.parametrize("n, d", [(1, 3), (3, 0), (10**6, 3), (3, 10**6)])
def test_counts_beyond_the_theory_are_refused(n, d):
    with pytest.raises(ValueError, match="expected"):
        expected_preference(n, d, seeded())


@pytest.fixture(scope="module")
def regular():
    return normal(4, 40, 6, seed=3), normal(4, 40, 6, seed=4)


def test_the_nine_properties_are_what_their_names_say(regular):
    train, fresh = regular
    found = fit_properties(train, fresh, 0.3, seeded(5), drawn=50)
    assert tuple(found) == PROPERTIES
    mean, covariance = fit(train)
    truth, fits = MultivariateNormal(torch.zeros(6).double(), torch.eye(6).double()), MultivariateNormal(mean, covariance)
    torch.testing.assert_close(found["KL(fit, truth)"] * 6, kl_divergence(fits, truth))
    torch.testing.assert_close(found["KL(truth, fit)"] * 6, kl_divergence(truth, fits))
    w2 = squared_bures(covariance[0], torch.eye(6).double()) + float(mean[0].square().sum())
    assert float(found["W2"][0]) * 6 == pytest.approx(w2, rel=1e-9)
    assert found["convergence"].shape == (2,)
    for k in range(4):
        denoiser = GaussianDenoiser(mean[k], covariance[k])
        noise = normal(400, 40, 6, seed=6 + k)
        measured = denoising_error(denoiser, train[k], torch.tensor([0.3]), noise=noise)
        assert float(found["training error"][k]) == pytest.approx(float(measured), rel=0.03)
        exact = (covariance[k] @ torch.linalg.inv(covariance[k] + 0.09 * torch.eye(6).double()))
        rest = torch.eye(6).double() - exact
        expected = (rest @ (torch.eye(6) + mean[k][:, None] * mean[k]) @ rest.T).trace() + 0.09 * (exact @ exact.T).trace()
        assert float(found["held-out error"][k]) == pytest.approx(float(expected) / 6, rel=1e-9)


def test_nearness_is_the_librarys_own(regular):
    train, fresh = regular
    samples = normal(4, 30, 6, seed=9)
    found = nearness(samples, train, fresh)
    for k in range(4):
        closer = nearest(samples[k], train[k]).distance < nearest(samples[k], fresh[k]).distance
        assert float(found["preference"][k]) == pytest.approx(float(closer.double().mean()))
        assert float(found["memorized"][k]) == pytest.approx(memorized_fraction(samples[k], train[k]).fraction)


def test_expectations_of_the_properties():
    n, d, sets = 60, 12, 400
    found = fit_properties(normal(sets, n, d, seed=10), normal(sets, n, d, seed=11), 0.3, seeded(12), drawn=1)
    for name, expected in zip(PROPERTIES[:2], expected_kl(n, d)):
        assert abs(found[name].mean() - expected / d) < 4 * found[name].std() / sets**0.5
    errors = expected_errors(torch.ones(d).double(), n, 0.3)
    assert found["training error"].mean() == pytest.approx(errors.train, rel=0.02)
    assert errors.train < errors.optimum < errors.holdout


@pytest.mark.parametrize("n, d", [(3, 8), (8, 8), (20, 8), (40, 5)])
def test_distance_to_the_truth_is_the_disagreement_of_two_models(n, d):
    # E W2^2/d = 2 - 2 sqrt(E q) for white data, at every n and d: E S^1/2 is a multiple of the identity.
    sets = 4000
    found = fit_properties(normal(sets, n, d, seed=13), normal(sets, n, d, seed=14), 0.3, seeded(15), drawn=1)
    distance, q = found["W2"], found["convergence"]
    error = math.hypot(distance.std() / sets**0.5, q.std() / (sets / 2) ** 0.5 / q.mean().sqrt())
    assert abs(distance.mean() - 2 + 2 * q.mean().sqrt()) < 4 * error


def test_a_singular_fit_is_infinitely_far(regular):
    train, fresh = (points[:, :6] for points in regular)
    found = fit_properties(train, fresh, 0.3, seeded())
    assert all(found[name].isposinf().all() for name in PROPERTIES[:3])
    assert all(found[name].isfinite().all() for name in PROPERTIES[3:])


@pytest.mark.parametrize("train, fresh", [((3, 9, 2), (3, 9, 2)), ((4, 9, 2), (4, 8, 2)), ((9, 2), (9, 2))])
def test_sets_of_other_shapes_are_refused(train, fresh):
    with pytest.raises(ValueError, match="shape"):
        fit_properties(normal(*train, seed=0), normal(*fresh, seed=1), 0.3, seeded())
