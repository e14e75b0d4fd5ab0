"""Errors with closed forms, shared noise, and the gap."""

import math

import pytest
import torch
from nearsight.denoisers import EmpiricalDenoiser, GaussianDenoiser
from nearsight.measures.gaps import GeneralizationGap, crossed_gap, denoising_error, generalization_gap, point_errors
from nearsight.measures.intervals import gap_band
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

F64 = torch.float64
SIGMAS = torch.tensor([0.1, 1.0, 5.0], dtype=F64)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_doing_nothing_costs_the_noise_and_returning_the_mean_costs_the_variance():
    points = randn(200, 3, 4)
    draws = 200
    nothing = denoising_error(lambda x, sigma: x, points, SIGMAS, draws=draws, generator=generator(1))
    standard_error = SIGMAS**2 * math.sqrt(2 / (points.numel() * draws))
    assert ((nothing - SIGMAS**2).abs() < 5 * standard_error).all()
    mean = points.mean(0)
    constant = denoising_error(lambda x, sigma: mean.expand_as(x), points, SIGMAS, draws=2, generator=generator())
    assert torch.allclose(constant, points.var(0, correction=0).mean().expand(3))


def test_error_of_the_wiener_filter_is_its_posterior_variance():
    spectrum = torch.tensor([2.0, 0.5], dtype=F64)
    points = randn(40_000, 2) * spectrum.sqrt()
    errors = point_errors(GaussianDenoiser(torch.zeros(2, dtype=F64), torch.diag(spectrum)), points, SIGMAS, draws=1,
                          generator=generator(1))
    expected = (spectrum * SIGMAS[:, None] ** 2 / (spectrum + SIGMAS[:, None] ** 2)).mean(1)
    assert ((errors.mean(1) - expected).abs() < 5 * errors.std(1) / len(points) ** 0.5).all()


def test_the_norm_of_one_blurred_point_is_exact_with_the_same_noise():
    point, blur, noise = randn(1, 2), 0.7, randn(500, 1, 2, seed=1)
    errors = denoising_error(EmpiricalDenoiser(point, blur), point, SIGMAS, "norm", noise=noise)
    expected = blur**2 * SIGMAS / (SIGMAS**2 + blur**2) * noise.norm(dim=2).mean()
    assert torch.allclose(errors, expected, rtol=1e-12)


@pytest.mark.parametrize("metric", ["mse", "norm"])
def test_point_errors_equal_a_loop_whatever_the_blocks(metric, monkeypatch):
    points, noise, weights = randn(7, 2, 3), randn(11, 7, 2, 3, seed=1), torch.arange(1.0, 12.0)
    denoiser = EmpiricalDenoiser(randn(20, 2, 3, seed=2), 0.3)
    expected = torch.zeros(3, 7, dtype=F64)
    for s, sigma in enumerate(SIGMAS.tolist()):
        for i in range(7):
            for q in range(11):
                miss = denoiser(points[i:i + 1] + sigma * noise[q, i:i + 1], sigma) - points[i]
                expected[s, i] += weights[q] / 66 * (miss.square().mean() if metric == "mse" else miss.norm())
    for entries in (2**20, 50, 1):
        monkeypatch.setattr("nearsight.measures.gaps._ENTRIES", entries)
        assert torch.allclose(point_errors(denoiser, points, SIGMAS, metric, noise=noise, weights=weights), expected)


def test_a_single_noise_serves_all_points():
    points, noise = randn(5, 2), randn(30, 1, 2, seed=1)
    denoiser = EmpiricalDenoiser(points, 0.2)
    shared = point_errors(denoiser, points, SIGMAS, noise=noise)
    assert torch.allclose(shared, point_errors(denoiser, points, SIGMAS, noise=noise.expand(30, 5, 2)))


class Sizes(TorchDispatchMode):
    """Keeps the entries of every tensor that is made under it, but for views of the given ones."""

    def __init__(self, *given):
        super().__init__()
        self.given, self.entries = {tensor.untyped_storage().data_ptr() for tensor in given}, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.entries += [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)
                         and leaf.untyped_storage().data_ptr() not in self.given]
        return result


@pytest.mark.parametrize("given", [False, True])
def test_no_temporary_is_larger_than_a_block(given):
    points, asked = torch.zeros(100, 3, 160, 160), []
    noise = torch.zeros(2, 1, 3, 160, 160) if given else None
    with Sizes(points, *([noise] if given else [])) as sizes:
        point_errors(lambda x, sigma: asked.append(len(x)) or x, points, SIGMAS, "norm", draws=2, noise=noise,
                     generator=generator())
    assert points.numel() > 7 * 2**20 > 7 * max(sizes.entries)
    assert sum(asked) == 2 * 3 * 100 and max(asked) == 2**20 // (3 * 160 * 160)


def test_noise_is_drawn_in_blocks_of_draws_and_where_one_does_not_fit_of_points(monkeypatch):
    points, denoiser = randn(7, 2, 3), EmpiricalDenoiser(randn(20, 2, 3, seed=2), 0.3)

    def draw(*blocks):
        stream = generator(5)
        return [torch.randn(*block, 2, 3, generator=stream, dtype=F64) for block in blocks]

    whole_draws = torch.cat(draw((4, 7), (4, 7), (3, 7)))
    parts = draw(*[(1, 3), (1, 3), (1, 1)] * 11)
    parts_of_draws = torch.cat([torch.cat(parts[q:q + 3], 1) for q in range(0, 33, 3)])
    for entries, noise in ((4 * 42 + 5, whole_draws), (3 * 6 + 5, parts_of_draws)):
        monkeypatch.setattr("nearsight.measures.gaps._ENTRIES", entries)
        found = point_errors(denoiser, points, SIGMAS, draws=11, generator=generator(5))
        assert torch.equal(found, point_errors(denoiser, points, SIGMAS, noise=noise))


def test_a_network_sees_the_dtype_of_the_points_whatever_that_of_the_noise():
    network, points, noise = torch.nn.Linear(2, 2), randn(5, 2), randn(30, 1, 2, seed=1)

    def errors(noise_dtype, points_dtype):
        network.to(points_dtype)
        return point_errors(lambda x, sigma: network(x), points.to(points_dtype), SIGMAS, noise=noise.to(noise_dtype))

    torch.testing.assert_close(errors(F64, torch.float32), errors(F64, F64), rtol=1e-5, atol=0)
    torch.testing.assert_close(errors(torch.float32, F64), errors(F64, F64), rtol=1e-5, atol=0)


@pytest.mark.parametrize("entries", [2**20, 50, 1])
def test_the_gap_of_a_set_against_itself_is_exactly_zero(entries, monkeypatch):
    monkeypatch.setattr("nearsight.measures.gaps._ENTRIES", entries)
    points = randn(30, 4)
    gap = generalization_gap(EmpiricalDenoiser(points, 0.3), points, points.clone(), SIGMAS, draws=5, generator=generator())
    assert torch.equal(gap.gap, torch.zeros(3, dtype=F64))


def test_the_gap_is_the_relative_difference_of_the_two_errors():
    train, holdout, noise = randn(30, 4), randn(30, 4, seed=1), randn(20, 30, 4, seed=2)
    denoiser = EmpiricalDenoiser(train, 0.3)
    gap = generalization_gap(denoiser, train, holdout, SIGMAS, noise=noise)
    first, second = (denoising_error(denoiser, points, SIGMAS, noise=noise) for points in (train, holdout))
    assert torch.allclose(gap.train, first) and torch.allclose(gap.holdout, second)
    assert torch.allclose(gap.gap, (second - first) / first) and torch.equal(gap.sigmas, SIGMAS)
    assert (gap.gap > 0).all()


def test_sets_of_different_size_take_a_pair_of_noises():
    train, holdout = randn(8, 2), randn(5, 2, seed=1)
    pair = randn(6, 8, 2, seed=2), randn(6, 5, 2, seed=3)
    denoiser = EmpiricalDenoiser(train, 0.5)
    gap = generalization_gap(denoiser, train, holdout, SIGMAS, noise=pair)
    assert torch.allclose(gap.holdout, denoising_error(denoiser, holdout, SIGMAS, noise=pair[1]))
    assert generalization_gap(denoiser, train, holdout, SIGMAS, generator=generator()).holdout_errors.shape == (3, 5)
    with pytest.raises(ValueError, match="or a pair"):
        generalization_gap(denoiser, train, holdout, SIGMAS, noise=pair[0])
    one_for_all = randn(6, 1, 2, seed=4)
    gap = generalization_gap(denoiser, train, holdout, SIGMAS, noise=(one_for_all, one_for_all))
    assert torch.allclose(gap.train, denoising_error(denoiser, train, SIGMAS, noise=one_for_all))


def test_one_seed_one_answer_in_the_input_dtype_and_no_global_state():
    points, state = randn(9, 3).float(), torch.get_rng_state()
    first, second = (generalization_gap(EmpiricalDenoiser(points, 0.3), points, points + 1, SIGMAS, generator=generator(4))
                     for _ in range(2))
    assert torch.equal(first.gap, second.gap) and first.gap.dtype == torch.float32
    assert torch.equal(torch.get_rng_state(), state)


def crossed(model_a, model_b, set_a, set_b):
    return crossed_gap(generalization_gap(model_a, set_a, set_b, SIGMAS, draws=8, generator=generator(3)),
                       generalization_gap(model_b, set_b, set_a, SIGMAS, draws=8, generator=generator(3)))


def test_the_crossed_gap_is_its_formula_and_exactly_nothing_for_equal_models():
    set_a, set_b = randn(30, 4), 1.5 * randn(30, 4, seed=1)  # B is the harder one
    model_a, model_b = EmpiricalDenoiser(set_a, 0.5), EmpiricalDenoiser(set_b, 0.5)
    noise = randn(8, 30, 4, seed=5)
    a_on_a, a_on_b, b_on_a, b_on_b = (denoising_error(model, points, SIGMAS, noise=noise)
                                      for model in (model_a, model_b) for points in (set_a, set_b))
    gap = crossed_gap(generalization_gap(model_a, set_a, set_b, SIGMAS, noise=noise),
                      generalization_gap(model_b, set_b, set_a, SIGMAS, noise=noise))
    assert torch.allclose(gap.gap, (a_on_b + b_on_a) / (a_on_a + b_on_b) - 1)
    assert (gap.gap > 0).all()
    truth = GaussianDenoiser(torch.zeros(4, dtype=F64), torch.eye(4, dtype=F64))
    assert (generalization_gap(truth, set_a, set_b, SIGMAS, draws=8, generator=generator(3)).gap > 0.1).any()
    assert torch.equal(crossed(truth, truth, set_a, set_b).gap, torch.zeros(3, dtype=F64))
    swapped = crossed(model_b, model_a, set_b, set_a).gap
    assert torch.allclose(swapped, crossed(model_a, model_b, set_a, set_b).gap, rtol=1e-12)


def test_how_hard_the_sets_are_cancels_in_the_crossed_gap():
    own, other = randn(3, 40).exp(), 1.3 * randn(3, 40, seed=1).exp()
    for harder in (1.0, 1.2, 5.0):
        first = GeneralizationGap(SIGMAS, own, harder * other)
        second = GeneralizationGap(SIGMAS, harder * own, other)
        assert torch.allclose(crossed_gap(first, second).gap, other.mean(1) / own.mean(1) - 1)


def test_the_band_of_the_crossed_gap_holds_the_true_one():
    stream, held, repeats = generator(7), 0, 400
    for _ in range(repeats):
        # Difficulty belongs to the point, whichever model denoises it; B's points are harder; the true gap is 0.1.
        a, b = (scale * torch.randn(1, 80, generator=stream, dtype=F64).mul(0.5).exp() for scale in (1.0, 1.4))
        own_a, other_a, own_b, other_b = (1 + 0.1 * torch.randn(3, 80, generator=stream, dtype=F64) for _ in range(4))
        gap = crossed_gap(GeneralizationGap(SIGMAS, a * own_a, 1.1 * b * other_b),
                          GeneralizationGap(SIGMAS, b * own_b, 1.1 * a * other_a))
        low, high = gap_band(gap.train_errors, gap.holdout_errors, stream, resamples=400)
        held += bool(((low <= 0.1) & (high >= 0.1)).all())
    assert abs(held / repeats - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / repeats) + 0.01  # the bootstrap's own error, n = 80


def test_a_crossed_gap_wants_sets_of_one_size_at_the_same_levels():
    gap = GeneralizationGap(SIGMAS, randn(3, 5), randn(3, 5))
    for sigmas, points in ((SIGMAS, 4), (SIGMAS + 1, 5)):
        with pytest.raises(ValueError, match="sets of one size"):
            crossed_gap(gap, GeneralizationGap(sigmas, randn(3, 5), randn(3, points)))


@pytest.mark.parametrize("arguments, sentence", [
    (dict(metric="mae"), "expected one of 'mse', 'norm'"), (dict(draws=0), "draws is 0; expected a whole number >= 1"),
    (dict(noise=randn(3, 4, 2)), "expected \\[draws, N, \\*event\\]"), (dict(noise=randn(3, 5, 3)), "expected \\[draws"),
    (dict(noise=randn(3, 5, 2), weights=torch.ones(4)), r"weights has shape \[4\]; expected \[3\]"),
    (dict(sigmas=torch.tensor([-1.0])), ">= 0"), (dict(points=randn(0, 2)), "holds 0 events"),
])
def test_bad_input_gets_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        point_errors(**{"denoiser": lambda x, sigma: x, "points": randn(5, 2), "sigmas": SIGMAS, **arguments})
