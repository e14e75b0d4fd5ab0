"""The published scale of study 4: the very configurations, two steps each, on files of the same format.

Of a configuration nothing is changed but the fields of FEW, which count what is measured and the steps, and how many images
are in memory at a time, which changes nothing. On a processor the batch of CIFAR-10 is cut too, where a step of 1,024 images
would take an hour of one core; a GPU takes it whole.
"""

import io
import math
import tarfile
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from nearsight.datasets import fashion_mnist
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.measures import proximity_bias
from nearsight.networks import DdpmPlusPlus
from nearsight.noise import edm_sigmas, vp_sigmas
from nearsight.randomness import stream
from nearsight.records.computing import LARGEST, Results, compute
from nearsight.records.runs import Stage
from nearsight.studies import cifar_network, find, photographs, runs
from nearsight.studies.brought import brought
from nearsight.studies.cifar_network import CifarNetwork
from nearsight.studies.image_gaps import crossed_gaps
from nearsight.studies.image_measures import owner
from nearsight.studies.image_readings import Networks, held_losses, pair_preferences
from nearsight.studies.photographs import EPOCHS, Faces, LaterClock, Photographs, measure, prepared
from PIL import Image

CELEBA, FASHION = find("images-celeba-b0-paper"), find("images-32-b0-s0-gpu")
SMOKE, CIFAR = find("images-32-smoke"), find("images-cifar-paper")
LISTED = [run for run in runs() if run.computation is photographs.photographs]
FEW = {"steps": 2, "samples": 2, "pictures": 2, "tested": 1, "curve": 2, "first": 2, "split": 2}


def with_few(run, **more):
    config = replace(run.config, **{name: few for name, few in FEW.items() if hasattr(run.config, name)}, **more)
    changed = {field.name for field in fields(config) if getattr(config, field.name) != getattr(run.config, field.name)}
    assert changed <= FEW.keys() | more.keys()
    return config


def picture(values):
    content = io.BytesIO()
    Image.fromarray(values).save(content, "PNG", compress_level=0)
    return content.getvalue()


@pytest.fixture(scope="module")
def celeba(tmp_path_factory):
    """An archive of small color pictures, as many as 15 blocks and what is held out need, in CelebA's order of names."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for number in range(1, 15 * 1024 + 2048 + 101):  # a hundred in the middle belong to nobody
            values = np.repeat(random.integers(0, 256, (5, 4, 3), np.uint8), 8, 0)
            archive.writestr(f"img_align_celeba/{number:06}.png", picture(values))
    return folder


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """The binary version of CIFAR-10 with 10 images a batch."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(1)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
            records = random.integers(0, 256, (10, 3073), np.uint8)
            records[:, 0] %= 10
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = records.nbytes
            archive.addfile(entry, io.BytesIO(records.tobytes()))
    return folder


@pytest.mark.slow
def test_the_published_network_of_celeba_takes_two_steps(celeba, monkeypatch):
    # A chain of 1,000 steps and a loss at 999 levels are 1,000 calls each: of both a few levels are taken.
    monkeypatch.setattr(Photographs, "shown", property(lambda config: config.levels[::125]))
    monkeypatch.setenv("NEARSIGHT_IMAGES", str(celeba))
    stage, = compute(replace(CELEBA, config=with_few(CELEBA, part=64))).stages
    assert stage.step == 2 and all(array.double().isfinite().all() for array in stage.arrays.values())
    assert stage.arrays["owners/pixels"].shape == (2, 15) and stage.arrays["error"].shape == (17, 24)
    assert stage.arrays["level_loss"].shape == (7,) and stage.arrays["order"].max() < 1024 * 15
    assert 0.8 < stage.arrays["loss"] < 2  # of noise of variance 1, predicted by a network that has learned nothing


@pytest.mark.slow
def test_ddpm_plus_plus_takes_two_steps_on_the_binary_version(cifar, monkeypatch):
    # A call for one image takes a second of one core: of the 64 levels every ninth is measured, and samples take two steps.
    monkeypatch.setattr(cifar_network, "SIGMAS", cifar_network.SIGMAS[::9])
    monkeypatch.setattr(cifar_network, "edm_sigmas", lambda steps: edm_sigmas(2))
    monkeypatch.setenv("NEARSIGHT_IMAGES", str(cifar))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = with_few(CIFAR, **({} if device == "cuda" else {"batch": 4, "part": 2}))
    stage, = compute(replace(CIFAR, config=config), device=device).stages
    assert stage.step == 2 and all(array.double().isfinite().all() for array in stage.arrays.values())
    assert stage.arrays["error"].shape == (2, 8) and stage.arrays["pictures"].shape == (2, 3, 32, 32)


def test_the_smoke_scales_go_from_end_to_end(cifar, monkeypatch):
    monkeypatch.setenv("NEARSIGHT_IMAGES", str(cifar))
    for name in ("images-32-smoke", "images-cifar-smoke"):
        results = compute(find(name))
        assert results.steps[-1] == 4 and all(array.double().isfinite().all() for array in results.arrays.values())


def test_the_configuration_is_the_published_one():
    config, recipe = CELEBA.config, CELEBA.config.recipe
    assert recipe.snapshots == (*(2 * epoch for epoch in EPOCHS), 10_000) and len(EPOCHS) == 20
    assert (EPOCHS[0], EPOCHS[-1]) == (111, 2046)
    assert (recipe.batch, recipe.learning_rate, recipe.loss, recipe.ema) == (512, 1e-4, "epsilon", 0.0)
    assert sum(parameter.numel() for parameter in photographs.untrained(config).parameters()) == 4_023_233
    assert (config.blocks, config.size, config.samples, config.tested) == (15, 1024, 512, 50)
    config, recipe = CIFAR.config, CIFAR.config.recipe
    assert recipe.snapshots == tuple(2**power for power in range(13, 21)) and 1024 * recipe.steps == 2**30
    assert (recipe.batch, recipe.learning_rate, recipe.levels.mean, recipe.levels.std) == (1024, 1e-3, -1.2, 1.2)
    with torch.device("meta"):
        raw = cifar_network.untrained(config).network.network
    assert isinstance(raw, DdpmPlusPlus) and sum(parameter.numel() for parameter in raw.parameters()) == 55_732_739
    assert {module.p for module in raw.modules() if isinstance(module, torch.nn.Dropout)} == {0.13}
    assert (len(cifar_network.SIGMAS), float(cifar_network.SIGMAS[0]), float(cifar_network.SIGMAS[-1])) == (
        64, pytest.approx(0.002), pytest.approx(80))


def test_a_weight_counts_half_in_the_average_after_half_a_million_images():
    """With the rate min(ema, (k + 1)/(k + 10)) of `Training`, from where the first of the two is the smaller."""
    rate, batch = CIFAR.config.recipe.ema, CIFAR.config.batch
    binds = next(k for k in range(10**5) if rate < (k + 1) / (k + 10))
    assert 6_000 < binds < CIFAR.config.first
    steps = 5e5 / batch
    assert rate**steps == pytest.approx(0.5)
    before = math.prod((k + 1) / (k + 10) for k in range(1000, 1000 + round(steps)))
    assert before < 0.5  # until then it forgets faster


def test_the_first_level_of_the_chain_is_never_trained_on():
    clock, grid = LaterClock(1000), vp_sigmas(1000).float()
    drawn = clock.draw(20_000, stream(0))
    assert drawn.min() == grid[-3] and drawn.max() == grid[0] and len(drawn.unique()) == 999
    times = (grid[:-1].flip(0)[None] == drawn[:, None]).float().argmax(1)
    assert times.min() == 1 and abs(float(times.float().mean()) - 500) < 4 * 288.4 / 20_000**0.5


def test_the_faces_are_the_first_blocks_and_the_last_images_in_natural_order(tmp_path, monkeypatch):
    monkeypatch.setenv("NEARSIGHT_IMAGES", str(tmp_path))
    folder = tmp_path / "img_align_celeba"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number + 1}.png").write_bytes(picture(np.full((40, 32, 3), 20 * number, np.uint8)))
    faces = prepared(Photographs(block=1, blocks=2, size=3, held=2))
    values = torch.cat([faces.blocks.flatten(0, 1), faces.stopping, faces.report])[:, 0, 0, 0] + faces.mean
    torch.testing.assert_close(255 * values, 20.0 * torch.tensor([0, 1, 2, 3, 4, 5, 8, 9, 10, 11]))
    assert float(faces.blocks[1].mean()) == pytest.approx(0, abs=1e-6) and faces.mean == pytest.approx(80 / 255)
    with pytest.raises(ValueError, match="holds 12 images; expected at least 13: 3 blocks of 3, and 4 that are held out"):
        prepared(Photographs(blocks=3, size=3, held=2))


def test_fashion_is_padded_by_two_black_pixels():
    faces, brightness = prepared(replace(FASHION.config, block=1)), fashion_mnist("pool", 28).pixels()
    assert faces.blocks.shape == (4, 1024, 1, 32, 32) and faces.report.shape == (1024, 1, 32, 32)
    torch.testing.assert_close(faces.blocks[1, :, :, 2:-2, 2:-2] + faces.mean, brightness[1024:2048])
    torch.testing.assert_close(faces.blocks[0, :, :, :2], torch.full((1024, 1, 2, 32), -faces.mean))
    with pytest.raises(ValueError, match="9 blocks of 1024 images came; expected no more than the 8192 of the pool"):
        prepared(replace(FASHION.config, blocks=9))


@pytest.mark.parametrize("prepare, words", [
    (lambda: prepared(CELEBA.config), "img_align_celeba.zip, 1.3 GB.*mmlab.ie.cuhk.edu.hk.*put it there"),
    (lambda: next(cifar_network.cifar_network(CIFAR.config)), "cifar-10-binary.tar.gz, 162 MB.*www.cs.toronto.edu.*put it"),
])
def test_what_is_not_there_is_asked_for_with_its_page_and_its_place(prepare, words, tmp_path, monkeypatch):
    monkeypatch.setenv("NEARSIGHT_IMAGES", str(tmp_path / "mine"))
    there = f"{tmp_path / 'mine'}.*does not exist, neither as a folder nor as an archive"
    with pytest.raises(ValueError, match=f"{there}.*{words}"):
        prepare()


@pytest.mark.parametrize("ending", ["", ".zip", ".tar", ".tar.gz"])
def test_a_folder_or_any_archive_is_found_also_in_the_working_folder(ending, tmp_path, monkeypatch):
    monkeypatch.delenv("NEARSIGHT_IMAGES", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images" / f"faces{ending}").mkdir(parents=True)
    assert brought("faces", "faces", "a page") == tmp_path / "images" / f"faces{ending}"


class Recalling(torch.nn.Module):
    """The exact memorizer of some images, as a network: their nearest, at small noise."""

    def __init__(self, points):
        super().__init__()
        self.exact = EmpiricalDenoiser(points)

    def forward(self, x, sigma):
        return self.exact(x, sigma)


@pytest.fixture(scope="module")
def memorizers():
    """What is measured of the exact memorizers of two blocks, and of held-out images as an untaught generator."""
    config = Photographs("fashion", blocks=2, size=64, held=64, chain=60, tested=8, samples=64, pictures=4, curve=32)
    found = {}
    for block in range(2):
        faces = prepared(replace(config, block=block))
        arrays = measure(replace(config, block=block), Recalling(faces.blocks[block]), faces)
        found[block, 0] = Results((Stage(2, arrays),), 0.0)
    return Networks(found, 64)


def test_the_readings_of_the_study_read_these_records(memorizers):
    assert pair_preferences(memorizers)[0, 1, 0].tolist() == [1.0]
    assert pair_preferences(memorizers, "heun_owners")[0, 1, 0].tolist() == [1.0]
    gap = crossed_gaps(memorizers)[0, 1, 0]
    assert (gap[0, :8] > 100).all() and abs(float(gap[0, -1])) < 0.1
    assert held_losses(memorizers).shape == (1, 8)


def test_a_memorizer_s_samples_are_copies(memorizers):
    for block in range(2):
        arrays = memorizers.results[block, 0].final
        assert (arrays["ratio"] < 1 / 3).all() and (arrays["order"][:, 0] // 64 == block).all()
        assert (arrays["distance"][:, block] < 0.5).all()


def test_the_loss_by_level_is_that_of_the_predicted_noise(memorizers):
    """At the largest level the memorizer knows the mean alone: its error of the noise is the data's variance over the
    level's."""
    arrays = memorizers.results[0, 0].final
    faces = prepared(Photographs("fashion", blocks=2, size=64, held=64))
    expected = (faces.stopping[:8] - faces.blocks[0].mean(0)).square().mean() / vp_sigmas(60)[0] ** 2
    assert float(arrays["level_loss"][0]) == pytest.approx(float(expected), rel=0.05)
    assert float(arrays["stopping"].mean()) == pytest.approx(float(arrays["level_loss"].mean()), rel=1e-4)


def test_held_out_images_as_samples_lie_as_under_the_null(monkeypatch):
    config = Photographs("fashion", blocks=2, size=256, held=256, chain=60, tested=2, samples=256, curve=2)
    faces = prepared(config)
    monkeypatch.setattr(photographs, "draw", lambda *rest: (faces.stopping, faces.report))
    found = measure(config, Recalling(faces.stopping), faces)
    bias = proximity_bias(faces.stopping, *faces.blocks)
    assert float((owner(found["owners/pixels"], 256, (0, 1)) < 256).double().mean()) == pytest.approx(bias.preference)
    assert bias.p_value > 0.05 and torch.equal(found["unseen"], torch.arange(256).short())


def test_networks_of_all_blocks_share_start_and_noise():
    met = []
    for block in range(2):
        config = replace(SMOKE.config, block=block)

        def denoiser(x, sigma, seen=met):
            seen.append(x)
            return torch.zeros_like(x)

        photographs.draw(config, denoiser, Faces(0.0, *[torch.zeros(1, 1, 32, 32)] * 3))
    assert len(met) % 2 == 0 and all(map(torch.equal, met[:len(met) // 2], met[len(met) // 2:]))
    start = met[0] / (1 + SMOKE.config.levels[0] ** 2).sqrt()
    assert float(start.std()) == pytest.approx(1, abs=4 / (2 * start.numel()) ** 0.5)


@pytest.mark.parametrize("run", [*LISTED, CIFAR], ids=lambda run: run.name)
def test_a_record_stays_below_three_megabytes(run):
    config, checkpoints = run.config, len(run.config.recipe.snapshots)
    if isinstance(config, CifarNetwork):
        assert checkpoints * (1024 + 4 * config.samples + 3072 * config.pictures + 4) == 8 * 54_276 < LARGEST
        return
    b, m = config.blocks, config.samples
    of_a_stage = (8 * config.tested + 4 * (config.chain - 1) + 192 * (b + 2) + m * (6 * b + 24 + 4)
                  + 1024 * config.pictures + 4)
    assert checkpoints * of_a_stage < LARGEST
    if run == CELEBA:
        assert of_a_stage - 4 == 133_612


def test_a_record_has_the_stated_bytes(memorizers):
    arrays = memorizers.results[0, 0].final
    assert sum(array.nbytes for array in arrays.values()) == 8 * 8 + 4 * 59 + 192 * 4 + 64 * (6 * 2 + 28) + 1024 * 4
