"""Denoisers of networks from other formulations: a Gaussian law in every costume, and folders that diffusers saved."""

import json
import math
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nearsight import AuditRefused, audit, from_diffusers, from_edm, from_vp
from nearsight.__main__ import main
from nearsight.auditing.asking import audit_sigmas, sampling_sigmas
from torch import nn

VARIANCE = 0.09
LINEAR = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)


def cosine():
    steps = torch.linspace(0, 1, 1001, dtype=torch.float64)
    shares = torch.cos((steps + 0.008) / 1.008 * math.pi / 2) ** 2
    return torch.cumprod(1 - (1 - shares[1:] / shares[:-1]).clamp(max=0.999), 0)


def scaled_linear():
    return torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)


class GaussianNetwork:
    """The exact network for data with law N(0, VARIANCE), on a chain; remembers the times that it was asked at."""

    def __init__(self, alphas_bar, predicts):
        self.alphas_bar, self.predicts, self.times = alphas_bar, predicts, []

    def __call__(self, x_vp, t):
        assert t.dtype == torch.int64 and t.shape == (len(x_vp),)
        self.times.append(t)
        share = self.alphas_bar[t].reshape(-1, *[1] * (x_vp.ndim - 1))
        clean = share.sqrt() * VARIANCE / (share * VARIANCE + 1 - share) * x_vp
        noise = (x_vp - share.sqrt() * clean) / (1 - share).sqrt()
        return {"x0": clean, "eps": noise, "v": share.sqrt() * noise - (1 - share).sqrt() * clean}[self.predicts]


def shrunk(x, sigma):
    return VARIANCE / (VARIANCE + sigma**2) * x


@pytest.mark.parametrize("predicts", ["eps", "v", "x0"])
@pytest.mark.parametrize("alphas_bar", [LINEAR, cosine(), scaled_linear()], ids=["linear", "cosine", "scaled linear"])
def test_a_gaussian_law_on_a_chain_is_shrunk_at_every_level(predicts, alphas_bar):
    network = GaussianNetwork(alphas_bar, predicts)
    denoiser = from_vp(network, alphas_bar, predicts)
    x = torch.randn(3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert (denoiser.sigmas.diff() < 0).all() and len(denoiser.sigmas) == 1000
    for place in range(0, 1000, 37):
        sigma = denoiser.sigmas[place]
        # eps and v subtract numbers as large as sigma: their digits go with it.
        torch.testing.assert_close(denoiser(x, sigma), shrunk(x, sigma), rtol=1e-10, atol=1e-10 * max(1, float(sigma) / 100))
        assert network.times[-1].tolist() == [999 - place] * 3
    levels = denoiser.sigmas[[10, 500, 990]]
    torch.testing.assert_close(denoiser(x, levels), shrunk(x, levels[:, None, None]), rtol=1e-8, atol=1e-8)
    assert network.times[-1].tolist() == [989, 499, 9]


def test_a_gaussian_law_as_an_edm_network():
    sigma_data = 0.7

    def network(scaled, clock):
        sigma = (4 * clock).exp()[:, None]
        total = (sigma**2 + sigma_data**2).sqrt()
        x = scaled * total
        return (shrunk(x, sigma) - (sigma_data / total) ** 2 * x) * total / (sigma * sigma_data)

    denoiser = from_edm(network, sigma_data)
    x = torch.randn(300, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for sigma in (1e-3, 0.1, 1.0, 80.0, torch.tensor(0.4, dtype=torch.float64)):
        torch.testing.assert_close(denoiser(x, sigma), shrunk(x, sigma), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("alphas_bar, steps, sigmas", [
    (LINEAR, (0, 100, 250, 500, 750, 999), (0.01, 0.34226, 0.95803, 3.44297, 17.3786, 157.407)),
    (scaled_linear(), (0, 100, 250, 500, 750, 999), (0.02917, 0.34393, 0.69580, 1.61828, 4.09916, 14.6146)),
    (cosine(), (0, 500, 999), (0.00643, 1.01555, 20291))])
def test_levels_of_schedules(alphas_bar, steps, sigmas):
    denoiser = from_vp(lambda x, t: x, alphas_bar, "eps")
    assert [float(denoiser.sigmas[999 - step]) for step in steps] == pytest.approx(sigmas, rel=1e-3)


def test_one_warning_between_levels_and_an_error_above_them():
    denoiser = from_vp(GaussianNetwork(scaled_linear(), "eps"), scaled_linear(), "eps")
    x = torch.zeros(1, 2, dtype=torch.float64)
    with pytest.warns(UserWarning, match="its clock is rounded to the nearest"):
        denoiser(x, 0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        denoiser(x, 0.01)
    with pytest.raises(ValueError, match=r"this network knows noise up to 14.6, start there"):
        denoiser(x, 20.0)


@pytest.mark.parametrize("out", [lambda x: SimpleNamespace(sample=0 * x), lambda x: (0 * x, None), lambda x: [0 * x],
                                 lambda x: torch.cat([0 * x, 1 + 0 * x], 1)])
def test_outputs_are_unwrapped(out):
    x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(from_vp(lambda x_vp, t: out(x_vp), LINEAR, "eps")(x, 1.0), x)


def test_other_outputs_and_schedules_are_refused():
    with pytest.raises(ValueError, match="expected a tensor of events"):
        from_vp(lambda x, t: x[:, :1], LINEAR, "eps")(torch.zeros(2, 3, 4, 4), 1.0)
    with pytest.raises(ValueError, match="expected one of 'eps', 'v', 'x0'"):
        from_vp(lambda x, t: x, LINEAR, "noise")
    with pytest.raises(ValueError, match=r"try torch.cumprod"):
        from_vp(lambda x, t: x, 1 + LINEAR, "eps")
    assert len(from_vp(lambda x, t: x, torch.tensor([1.0, 0.5, 0.0]), "eps").sigmas) == 1


def test_a_network_is_asked_in_eval_mode_in_parts_and_left_as_it_was():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.sizes = nn.Dropout(0.9), []

        def forward(self, x, t):
            self.sizes.append(len(x))
            return self.inner(x)

    network = Network()
    network.inner.eval()
    x = torch.ones(300, 2)
    torch.testing.assert_close(from_vp(network, LINEAR, "x0")(x, 1.0), x / math.sqrt(2))
    assert network.sizes == [128, 128, 44] and network.training and not network.inner.training


def test_grids_are_snapped_to_what_the_network_knows():
    denoiser = from_vp(GaussianNetwork(scaled_linear(), "eps"), scaled_linear(), "eps")
    for grid in (audit_sigmas(0.5, denoiser.sigmas), sampling_sigmas(denoiser.sigmas)):
        assert torch.isin(grid, denoiser.sigmas).all()
    grid = sampling_sigmas(denoiser.sigmas)
    assert grid[0] == denoiser.sigmas[0] and grid[-1] == denoiser.sigmas[-1] and (grid.diff() < 0).all() and len(grid) == 19
    assert len(audit_sigmas(0.5, None)) == 12 and len(sampling_sigmas(None)) == 19


def test_one_law_through_every_door_is_one_report():
    images = VARIANCE**0.5 * torch.randn(120, 6, 6, generator=torch.Generator().manual_seed(3))
    doors = [from_vp(GaussianNetwork(LINEAR.float(), predicts), LINEAR, predicts) for predicts in ("eps", "v", "x0")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an audit asks at levels that the network knows
        reports = [audit(images[:60], images[60:], denoiser=denoiser, sample_count=60, permutations=99, check_ranges=False)
                   for denoiser in doors]
    assert len({report.verdict["code"] for report in reports}) == 1
    for report in reports[1:]:
        assert report.proximity["margin"] == pytest.approx(reports[0].proximity["margin"], abs=1e-3)
        assert report.gap["gap"] == pytest.approx(reports[0].gap["gap"], abs=1e-3)


class TestDiffusers:
    """A small UNet2DModel with its scheduler, saved by the test."""

    @pytest.fixture
    def diffusers(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pytest.importorskip("diffusers", reason="the extra nearsight[diffusers] is not installed")

    @pytest.fixture
    def save(self, diffusers, tmp_path):
        def save(prediction="epsilon", schedule="linear", name="model"):
            with torch.random.fork_rng():
                torch.manual_seed(0)
                network = diffusers.UNet2DModel(
                    sample_size=16, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 16),
                    down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
                    norm_num_groups=4)
            scheduler = diffusers.DDPMScheduler(1000, beta_schedule=schedule, prediction_type=prediction, clip_sample=False)
            folder = tmp_path / name
            diffusers.DDPMPipeline(network, scheduler).save_pretrained(folder)
            return folder, network.eval(), scheduler
        return save

    @pytest.mark.parametrize("prediction, schedule", [("epsilon", "linear"), ("v_prediction", "linear"),
                                                      ("sample", "linear"), ("epsilon", "squaredcos_cap_v2")])
    def test_it_agrees_with_the_librarys_own_prediction(self, save, prediction, schedule):
        folder, network, scheduler = save(prediction, schedule)
        denoiser = from_diffusers(folder)
        generator = torch.Generator().manual_seed(4)
        for step in (0, 50, 100, 250, 400, 500, 650, 800, 900, 990):
            x_vp = torch.randn(4, 1, 16, 16, generator=generator)
            share = scheduler.alphas_cumprod[step].double()
            with torch.no_grad():
                out = network(x_vp, torch.full((4,), step)).sample
            expected = scheduler.step(out, step, x_vp, generator=generator).pred_original_sample
            found = denoiser((x_vp.double() / share.sqrt()).float(), ((1 - share) / share).sqrt())
            torch.testing.assert_close(found, expected, rtol=0, atol=4e-6 * float(expected.abs().max()))

    def test_it_is_audited_from_the_command_line(self, save, tmp_path, capsys):
        """A network that predicts v = 0 shrinks as a denoiser does; an untrained one that predicts eps does not."""
        arguments = ["audit"]
        for seed, name in enumerate(("train", "holdout", "samples")):
            images = 0.5 * np.random.default_rng(seed).standard_normal((60, 1, 16, 16), dtype=np.float32)
            np.save(tmp_path / f"{name}.npy", images)
            arguments += [f"--{name}", str(tmp_path / f"{name}.npy")]
        folder, network, _ = save("v_prediction")
        for parameter in network.conv_out.parameters():
            nn.init.zeros_(parameter)
        network.save_pretrained(folder / "unet")
        assert main([*arguments, "--diffusers", str(folder), "--json", "-"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["verdict"]["code"] == "inconclusive" and len(document["tests"]) == 6
        assert "The network itself was measured." in document["inputs"]["compared"]
        np.save(tmp_path / "samples.npy", np.zeros((60, 1, 20, 20), dtype=np.float32))
        assert main([*arguments, "--diffusers", str(folder)]) == 2 and "equal shapes" in capsys.readouterr().err
        folder, *_ = save("epsilon", name="noise")
        np.save(tmp_path / "samples.npy", images)
        assert main([*arguments, "--diffusers", str(folder), "--json", "-"]) == 2
        assert json.loads(capsys.readouterr().out)["refusal"]["code"] == "not_a_denoiser"

    @pytest.mark.slow
    def test_a_network_that_was_trained_by_the_library_is_audited(self, save):
        """An eps-predicting one on a DDPM chain of 1,000 steps, trained for some seconds."""
        folder, network, scheduler = save()
        generator = torch.Generator().manual_seed(6)
        images = (torch.rand(120, 1, 1, 1, generator=generator) - 0.5).expand(-1, 1, 16, 16) * 2
        train, holdout = (images + 0.05 * torch.randn(images.shape, generator=generator)).split(60)
        optimizer = torch.optim.Adam(network.train().parameters(), 3e-3)
        for _ in range(150):
            clean = train[torch.randint(60, (32,), generator=generator)]
            eps = torch.randn(clean.shape, generator=generator)
            step = torch.randint(1000, (32,), generator=generator)
            loss = (network(scheduler.add_noise(clean, eps, step), step).sample - eps).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.save_pretrained(folder / "unet")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            report = audit(train, holdout, denoiser=from_diffusers(folder), sample_count=60, permutations=99,
                           check_ranges=False)
        assert report.status == "done" and len(report.tests) == 6 and report.gap["peak_sigma"] > 0
        assert report.inputs["used"] == {"samples": 60, "train": 60, "holdout": 60, "cards": 60, "train_searched": 60}

    def test_averaged_weights_are_taken_and_a_models_own_folder_will_do(self, save, diffusers):
        folder, _, scheduler = save()
        averaged = shutil.copytree(folder / "unet", folder / "unet_ema")
        model = diffusers.UNet2DModel.from_pretrained(averaged, low_cpu_mem_usage=False)
        with torch.no_grad():
            model.conv_out.bias.fill_(0.5)
        model.save_pretrained(averaged)
        assert from_diffusers(folder).network.conv_out.bias.tolist()[0] == 0.5
        model.save_pretrained(folder / "alone")
        scheduler.save_pretrained(folder / "alone")
        assert from_diffusers(folder / "alone").network.conv_out.bias.tolist()[0] == 0.5

    @pytest.mark.parametrize("change, words", [
        (lambda folder: (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(
            folder / "unet" / "diffusion_pytorch_model.bin"), "pickled weights can run any program"),
        (lambda folder: shutil.rmtree(folder / "scheduler"), "holds no scheduler_config.json"),
        (lambda folder: (folder / "vae").mkdir(), "audit decoded samples"),
        (lambda folder: (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"cut"), "cannot be read"),
        (lambda folder: (folder / "unet" / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: rewrite(folder / "unet" / "config.json", num_class_embeds=10), "with num_class_embeds"),
        (lambda folder: rewrite(folder / "unet" / "config.json", _class_name="UNet2DConditionModel"),
         "UNet2DConditionModel"),
        (lambda folder: rewrite(folder / "scheduler" / "scheduler_config.json",
                                _class_name="FlowMatchEulerDiscreteScheduler"), "wrap the network in a function"),
        (shutil.rmtree, "is no folder"),
    ])
    def test_what_cannot_be_asked_is_refused_with_what_to_do(self, save, change, words):
        folder, *_ = save()
        change(folder)
        with pytest.raises(AuditRefused, match=words) as refused:
            from_diffusers(folder)
        assert refused.value.code == "bad_file"


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
