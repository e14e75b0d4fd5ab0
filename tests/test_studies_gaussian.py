"""The recorded computations of study 1: their parts add up, their sizes run, an ideal generator scores a half."""

from dataclasses import replace

import pytest
import torch
from nearsight.gaussian import fit, kernel_delta, one_step
from nearsight.gaussian.kernel import pair_overlap
from nearsight.randomness import stream
from nearsight.records.runs import Work
from nearsight.studies import gaussian_delta, gaussian_networks
from nearsight.studies.gaussian_delta import LAWS, SIGMA, WIDTHS, Deltas, delta_parts, exact_overlap
from nearsight.studies.gaussian_networks import equal_deltas, set_overlap, untrained


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_parts_of_a_run_add_up_to_delta():
    config = Deltas(5, (12,), originals=300, few=40)
    parts = delta_parts(config, 3)
    generator = stream(config.seed, 3)
    original, train = (torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (300, 12))
    model = one_step(train, SIGMA, generator=generator)
    cross = parts["models_train"] - parts["models_original"]
    for k, width in enumerate(WIDTHS):
        summed = parts["pairs_train"][0, k] - parts["pairs_original"][k] - 2 * cross[0, k, 0]
        assert summed.item() == pytest.approx(kernel_delta(train, original, *model, scale=width), rel=1e-9)
    few = parts["models_train"][0, 0, 0] - parts["models_few"][0, 0]
    few = parts["pairs_train"][0, 0] - parts["pairs_few"] - 2 * few
    assert few.item() == pytest.approx(kernel_delta(train, original[:40], *model), rel=1e-9)


def test_the_laws_that_calibrate_delta_are_the_fit_and_the_truth():
    config = Deltas(5, (12,), originals=300, few=40)
    parts = delta_parts(config, 3)
    generator = stream(config.seed, 3)
    original, train = (torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (300, 12))
    cross = parts["models_train"] - parts["models_original"]
    delta = parts["pairs_train"][0, 0] - parts["pairs_original"][0] - 2 * cross[0, 0]
    truth = torch.zeros(5, dtype=torch.float64), torch.eye(5, dtype=torch.float64)
    assert LAWS == ("one-step", "transposed", "fit", "truth")
    for law, model in ((2, fit(train)), (3, truth)):
        assert delta[law].item() == pytest.approx(kernel_delta(train, original, *model), rel=1e-9)
    # The overlap of two standard normals is 1 / sqrt(4 pi) a dimension: 1 in the units of the record.
    assert parts["models_exact"][0, 3].item() == pytest.approx(1, rel=1e-12)


def test_exact_overlap_is_the_mean_of_the_model_over_the_truth():
    mean, covariance = torch.full((3,), 0.5, dtype=torch.float64), torch.diag(torch.tensor([1.0, 0.5, 2.0]).double())
    density = torch.distributions.MultivariateNormal(mean, covariance).log_prob(normal(200_000, 3, seed=0)).exp()
    unit = (4 * torch.pi) ** 1.5
    assert abs(density.mean() * unit - exact_overlap(mean, covariance)) < 4 * unit * density.std() / 200_000**0.5


def test_set_overlap_of_a_set_with_itself_is_its_pairs_and_its_diagonal():
    points = normal(30, 4, seed=1)
    assert set_overlap(points, points) == pytest.approx(1 + pair_overlap(points), rel=1e-9)


def test_an_ideal_generator_has_a_positive_delta_half_of_the_time():
    deltas = [equal_deltas(normal(20, 6, seed=k), *normal(2, 1, 20, 6, seed=k + 5000))[0] for k in range(400)]
    assert abs(sum(delta > 0 for delta in deltas) - 200) < 4 * 10


@pytest.mark.parametrize("scales", gaussian_delta.SCALES + gaussian_networks.SCALES, ids=lambda scales: scales.name)
def test_the_smoke_scale_runs_and_goes_on_where_it_stopped(scales):
    stages = list(scales.computation(scales.smoke))
    assert [stage.step for stage in stages] == list(range(1, scales.smoke.steps + 1))
    rest = list(scales.computation(scales.smoke, Work(after=2)))
    assert [stage.step for stage in rest] == list(range(3, scales.smoke.steps + 1))
    for name, array in rest[-1].arrays.items():
        assert torch.equal(array, stages[-1].arrays[name]) and array.isfinite().all()


def test_the_kept_weights_are_those_of_a_network():
    stage = next(iter(gaussian_networks.networks(gaussian_networks.SCALES[0].smoke)))
    network = untrained(gaussian_networks.SCALES[0].smoke)
    network.load_state_dict({name[7:]: array for name, array in stage.arrays.items() if name.startswith("weight/")})
    assert network(torch.randn(3, 8), 0.5).isfinite().all()


def test_steps_that_are_no_multiple_of_the_ratios_are_refused():
    with pytest.raises(ValueError, match="multiple of the 2 ratios"):
        next(gaussian_networks.networks(replace(gaussian_networks.SCALES[0].smoke, steps=3)))
