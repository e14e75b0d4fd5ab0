"""Denoisers that see windows: their limits, their slow twin, and the networks that learn to be one."""

from dataclasses import replace

import pytest
import torch
from nearsight.datasets import fashion_mnist
from nearsight.denoisers import EmpiricalDenoiser, Windowed, window_memorizer, windows
from nearsight.measures import generalization_gap
from nearsight.randomness import stream
from nearsight.records.computing import LARGEST, compute
from nearsight.studies import find, image_measures, image_windows, runs
from nearsight.studies.image_windows import through_windows, window_network
from nearsight.studies.images import ImageNetwork, prepared
from nearsight.training.recipe import draw as drawn

SMOKE = find("images-window-smoke")
LISTED = [run for run in runs() if run.computation is window_network]


def images(count=5, height=6, width=6, seed=0):
    return torch.randn(count, 2, height, width, generator=stream(seed), dtype=torch.float64)


@pytest.mark.parametrize("height, width, window", [(6, 6, 3), (6, 6, 4), (6, 5, 5), (8, 7, 4)])
@pytest.mark.parametrize("blur", [0.0, 0.3])
def test_the_memorizer_of_windows_is_its_slow_twin(height, width, window, blur):
    points, x = images(5, height, width), images(3, height, width, seed=1)
    levels = torch.tensor([0.2, 0.5, 2.0]).double()
    found = window_memorizer(points, window, blur)(x, levels)
    for event, sigma, result in zip(x, levels, found):
        answers = [[[] for _ in range(width)] for _ in range(height)]
        for top in (0, height - window):
            for left in (0, width - window):
                crop = slice(top, top + window), slice(left, left + window)
                seen = points[(slice(None), slice(None), *crop)]
                variance = sigma**2 + blur**2
                weight = (-(event[(slice(None), *crop)] - seen).square().flatten(1).sum(1) / (2 * variance)).softmax(0)
                mean = (weight.view(-1, 1, 1, 1) * seen).sum(0)
                clean = (sigma**2 * mean + blur**2 * event[(slice(None), *crop)]) / variance
                for row in range(window):
                    for column in range(window):
                        answers[top + row][left + column].append(clean[:, row, column])
        expected = torch.stack([torch.stack([torch.stack(each).mean(0) for each in line], -1) for line in answers], -2)
        torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("blur", [0.0, 0.3])
def test_a_window_of_the_whole_image_is_the_empirical_denoiser(blur):
    points, x = images(), images(3, seed=1)
    for sigma in (0.0, 0.1, 1.0, torch.tensor([0.1, 1.0, 5.0])):
        torch.testing.assert_close(window_memorizer(points, 6, blur)(x, sigma), EmpiricalDenoiser(points, blur)(x, sigma))


def test_what_acts_on_each_pixel_alone_knows_no_windows():
    def denoiser(x, sigma):
        return x / (1 + sigma**2)

    x = images()
    torch.testing.assert_close(Windowed([denoiser] * 4, 4)(x, 0.7), denoiser(x, 0.7))


def test_each_window_has_its_own_denoiser_and_halves_do_not_overlap():
    places = [lambda x, sigma, place=place: torch.full_like(x, place) for place in range(4)]
    apart = Windowed(places, 3)(images(1), 1.0)[0, 0]
    assert torch.equal(apart, torch.kron(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.ones(3, 3)).double())
    overlapping = Windowed(places, 4)(images(1), 1.0)[0, 0]
    assert overlapping[0, 0] == 0 and overlapping[0, 2] == 0.5 and overlapping[2, 0] == 1 and overlapping[2, 2] == 1.5


def test_a_smaller_window_has_a_smaller_gap_at_a_smaller_noise_level():
    """The sentence of the exact counterpart, on the images of the study."""
    pool = fashion_mnist("pool", 16).images
    train, holdout, sigmas = pool[:256], pool[4096:4352], torch.logspace(-1, 0.5, 13)
    denoisers = [window_memorizer(train, window, 0.2) for window in (8, 12, 16)]
    gaps = [generalization_gap(denoiser, train, holdout, sigmas, draws=2, generator=stream(3)).gap for denoiser in denoisers]
    peaks = [float(gap.max()) for gap in gaps]
    places = [float(sigmas[gap.argmax()]) for gap in gaps]
    assert peaks[0] < peaks[1] < peaks[2] and places[0] <= places[1] <= places[2] and places[0] < places[2]


def test_a_run_goes_from_end_to_end_and_reads_like_the_plain_networks():
    results = compute(SMOKE)
    assert results.steps[-1] == 20 and all(array.double().isfinite().all() for array in results.arrays.values())
    assert {name: tuple(array.shape) for name, array in results.final.items()} == {
        "loss": (), "stopping": (2, 32), "report": (2, 32), "error": (4, 24), "uncertainty": (4, 24),
        "stopping_error": (24, 16)}


def test_the_measures_are_those_of_the_plain_networks():
    """An untrained network is the Wiener filter of white data, whatever it sees: so all curves must be the same."""
    config = ImageNetwork(size=64, blocks=2, channels=8)
    ground = prepared(config)[0]
    plain = image_windows.Preconditioned(image_windows.UNet(8)).requires_grad_(False)
    told = image_windows.Preconditioned(image_windows.UNet(8, classes=4)).requires_grad_(False)
    for window in (8, 12):
        found = image_measures.errors(through_windows(told, window), ground, 4)
        expected = image_measures.errors(plain, ground, 4)
        assert all(torch.allclose(found[name].float(), expected[name].float(), rtol=1e-3) for name in found)


def test_the_network_is_told_which_window_it_sees_and_trains_on_its_block_alone(monkeypatch):
    met, told = [], []

    class Spied(image_windows.UNet):
        def forward(self, x, c_noise, labels=None):
            met.append((x, c_noise)), told.append(labels)
            return super().forward(x, c_noise, labels)

    monkeypatch.setattr(image_windows, "UNet", Spied)
    config = replace(SMOKE.config, steps=5, block=1)
    stages = window_network(config)
    next(stages)
    recipe, crops = config.recipe, windows(prepared(ImageNetwork(size=64, block=1, blocks=2))[0].trained, 8)
    for step in range(5):
        draw = drawn(recipe, step, crops.flatten(0, 1).shape)
        assert torch.equal(told[step], draw.indices // 64)
        x, c_noise = met[step]
        sigma = (4 * c_noise).exp().view(-1, 1, 1, 1)
        clean = x * (sigma**2 + 0.25).sqrt() - sigma * draw.eps
        torch.testing.assert_close(clean, crops.flatten(0, 1)[draw.indices], atol=1e-3 * float(sigma.max()), rtol=0)


def test_runs_share_steps_rate_and_images_a_step_with_the_plain_networks():
    plain = find("images-512-b0-s0-laptop").config.recipe
    for run in LISTED[1:]:
        recipe = run.config.recipe
        assert set(recipe.snapshots) < set(plain.snapshots) and recipe.steps == plain.steps
        assert (recipe.batch, recipe.learning_rate, recipe.ema) == (4 * plain.batch, plain.learning_rate, plain.ema)
        assert run.name == f"images-window-{run.config.window}-b{run.config.block}-s0-laptop"
        b, config = run.config.blocks, run.config
        assert len(recipe.snapshots) * (4 + 8 * config.held + 192 * (b + 2) + 48 * config.curve) < LARGEST


@pytest.mark.parametrize("call, words", [
    (lambda: Windowed([EmpiricalDenoiser(images())] * 3, 4), "expected four of them, one a window"),
    (lambda: windows(images(), 2), "expected .N, C, H, W. with sides of 2 to 4 pixels"),
    (lambda: windows(images(), 7), "four windows of 7 cover them"),
    (lambda: windows(images()[0], 4), "expected .N, C, H, W."),
    (lambda: window_memorizer(images(), 0), "window is 0"),
])
def test_bad_input_is_refused_with_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
