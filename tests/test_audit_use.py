"""The audit as it is used: the twenty lines to copy, its cost, its memory, a network on a device."""

import os
import subprocess
import sys
from time import process_time

import numpy as np
import pytest
import torch
from conftest import ROOT
from nearsight import EmpiricalDenoiser, audit
from nearsight.noise import alpha_bar_of_sigma, vp_sigmas

TWENTY_LINES = """
import numpy as np, torch, nearsight

train, holdout = (torch.from_numpy(np.load(f)).float() for f in ("train.npy", "holdout.npy"))  # [N, C, H, W]
denoiser = nearsight.from_vp(network, alphas_bar, predicts="eps")
report = nearsight.audit(train, holdout, denoiser=denoiser, title="My model, step 20 000")
print(report)
report.save("audit.html"); report.save("audit.json")
"""
MEMORY = """
import resource, sys, numpy as np, nearsight
rng = np.random.default_rng(0)
sets = [rng.standard_normal((count, 3, 32, 32), dtype=np.float32) for count in (5_000, 300, 300)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = nearsight.audit(*sets[:2], samples=sets[2], permutations=99)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, sets[0].nbytes)
"""


def shrinking_network(alphas_bar):
    """The exact eps-predicting network of normal data with deviation 0.5."""
    def network(x_vp, t):
        share = alphas_bar[t].to(x_vp).reshape(-1, 1, 1, 1)
        return (1 - share).sqrt() / (0.25 * share + 1 - share) * x_vp
    return network


def test_the_twenty_lines_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("train", "holdout")):
        images = 0.5 * np.random.default_rng(seed).standard_normal((200, 1, 8, 8))
        np.save(f"{name}.npy", images)
    alphas_bar = alpha_bar_of_sigma(vp_sigmas(1000)[:-1].flip(0))
    exec(TWENTY_LINES, {"network": shrinking_network(alphas_bar), "alphas_bar": alphas_bar})
    said = capsys.readouterr().out
    assert said.startswith("My model, step 20 000\nCompared: 200 of 200 training and 200 of 200 held-out images.")
    assert "Verdict: inconclusive." in said or "Verdict: no_evidence." in said
    assert sorted(os.listdir()) == ["audit.html", "audit.json", "holdout.npy", "train.npy"]


@pytest.mark.slow
def test_a_thousand_images_of_28_pixels_take_under_ten_seconds():
    generator = torch.Generator().manual_seed(0)
    train, holdout, samples = (torch.rand(1000, 1, 28, 28, generator=generator) for _ in range(3))
    start = process_time()
    audit(train, holdout, samples=samples)
    assert process_time() - start < 10


@pytest.mark.slow
def test_memory_is_a_few_copies_of_the_images_and_some_blocks():
    """5,000 x 3 x 32 x 32, 61 MB, in a fresh process: the union of the sets, those that differ, blocks below 256 MB."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", MEMORY], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    grown, images = map(int, done.stdout.split())
    assert grown < 4 * images + 2**28, grown / 2**20


def test_a_network_and_its_images_may_live_on_any_device():
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(0)
    train, holdout = torch.randn(2, 40, 1, 6, 6, generator=generator).unbind(0)
    denoiser = EmpiricalDenoiser(train.to(device))
    report = audit(train, holdout, denoiser=denoiser, sample_count=30, permutations=99, device=device)
    assert report.verdict["code"] == "copies" and report.environment["device"] == str(torch.device(device))
    same = audit(train.to(device), holdout.to(device), denoiser=denoiser, sample_count=30, permutations=99)
    assert same.proximity == report.proximity


def test_distances_may_be_taken_of_features():
    generator = torch.Generator().manual_seed(0)
    train, holdout, samples = torch.randn(3, 60, 1, 6, 6, generator=generator).unbind(0)
    samples[:30] = train[:30].flip(3)

    def either_way(images):
        return (images + images.flip(3)).flatten(1)

    pixels, features = (audit(train, holdout, samples=samples, features=each, permutations=99)
                        for each in (None, either_way))
    assert (pixels.copies["count"], features.copies["count"]) == (0, 30)
    assert features.verdict["code"] == "copies" and features.copies["reproduced"] == 0
