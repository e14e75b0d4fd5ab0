"""The public boundary: whatever comes in, a call returns, or says in a sentence of ours what came and what was expected."""

import dataclasses
import importlib
import inspect
import linecache
import math
import traceback
import warnings
from contextlib import chdir
from pathlib import Path

import nearsight
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight import datasets, flow, gaussian, measures, networks, noise, quadrature, randomness, shares, training, tree
from torch.distributions import MultivariateNormal

LIBRARY = Path(nearsight.__file__).parent
PACKAGES = ("nearsight", "nearsight.auditing", "nearsight.gaussian", "nearsight.datasets", "nearsight.networks",
            "nearsight.training", "nearsight.measures", "nearsight.flow", "nearsight.denoisers", "nearsight.tree",
            "nearsight.shares")
MODULES = (noise, quadrature, randomness)

NASTY = [None, True, "three", b"", object(), {}, [], [1.0, 2.0], [[1.0, 2.0], [3.0, "x"]], (0, 1), 0, -1, 1, 2.5, -0.5,
    10**30,
         math.nan, math.inf, -math.inf, 1j, np.float32(2.5), np.int64(-3), np.ones((4, 2)), np.array(["a"]), np.array(None),
         torch.tensor(1.0), torch.tensor(math.nan), torch.tensor([]), torch.zeros(0, 2), torch.zeros(4, 0),
         torch.ones(4, 2, dtype=torch.bool), torch.ones(4, 2, dtype=torch.complex64), torch.ones(4, 2, dtype=torch.int64),
         torch.ones(4, dtype=torch.int32), torch.full((4, 2), math.nan), torch.full((4,), math.inf), -torch.ones(4),
         torch.ones(3),
         torch.ones(4, 2), torch.ones(5, 2), torch.ones(4, 3), torch.ones(4, 2, dtype=torch.float64), torch.ones(2, 2, 2),
         torch.ones(4, 1, 4, 4), -torch.ones(2, 2), torch.tensor([[1.0, 5.0], [0.0, 1.0]]), torch.eye(2).to_sparse(),
         torch.ones(4, 2).half(), lambda *given: None, lambda *given: torch.ones(3), lambda *given: torch.ones(2, 3, 4)]


@pytest.fixture(scope="module", autouse=True)
def somewhere(tmp_path_factory):
    """A folder of its own for what is written where "three" is a path."""
    with chdir(tmp_path_factory.mktemp("boundary")):
        yield


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def valid() -> dict:
    """A call that goes through for each public name: (callable, arguments by name)."""
    points, other = torch.randn(4, 2, generator=seeded()), torch.randn(4, 2, generator=seeded()) + 1
    ring_points = datasets.ring(6)
    sigmas, x = torch.tensor([0.5, 1.0]), torch.ones(3, 2)
    empirical = nearsight.EmpiricalDenoiser(points, 0.1)
    nodes, weights = torch.randn(5, 2, generator=seeded()), torch.full((5,), 0.2)
    law = MultivariateNormal(torch.zeros(2), torch.eye(2))
    spectrum = torch.tensor([1.0, 2.0, 3.0])
    errors = torch.rand(2, 4, generator=seeded()) + 1
    tokens = torch.tensor([[0, 1], [1, 1], [2, 0], [0, 1], [2, 2]])
    grammar = tree.Grammar.random(3, 1, 2)
    oracle = grammar.denoiser(1)
    images = torch.randn(2, 1, 8, 8, generator=seeded())
    mlp = networks.Preconditioned(networks.MLP(2, 4, 1))
    logs = torch.randn(2, 2, 2, 3, generator=seeded()).log_softmax(-1)
    strings = grammar.sample(4, seeded())
    clock = measures.Clock(2, 1, 4, torch.tensor([1, 2, 4]), False)
    config = training.Training(snapshots=(1, 2), batch=2)
    called = dict(x=x, sigma=0.5)
    audited = torch.rand(3, 20, 1, 4, 4, generator=seeded())
    memorizer = nearsight.EmpiricalDenoiser(audited[0], 0.2)
    report = nearsight.audit(audited[0], audited[1], samples=audited[2], permutations=2)
    chain = noise.alpha_bar_of_sigma(noise.vp_sigmas(40)[:-1])
    preference = measures.Preference(0.6, 50, 0, 50.0, measures.Deal(30, 25.0, 0.1, 0.1, 0.9, 12.5, "exact"), 0.1)
    kept = networks.DepthUNet(1, 4)
    unet, attention = networks.UNet(8, (1, 1), 3), networks.AttentionUNet(8, (1, 1))
    transformer = networks.TokenTransformer(3, 2, 4, 1, 1, 4)
    token = networks.TokenDenoiser(transformer, noise.vp_sigmas(40))
    strings_x = torch.rand(2, 2, 3)
    corrected = dict(share=0.5, count=50, hit_rate=0.9, false_alarm_rate=0.1, hits_from=50, alarms_from=50)
    kernel = dict(train=points, original=other, mean=torch.zeros(2), covariance=torch.eye(2), deviation=1.0, scale=1.0)
    gap = dict(denoiser=empirical, train=points, holdout=other, sigmas=sigmas, metric="mse", draws=2, noise=None,
        weights=None,
               generator=seeded())
    error = dict(denoiser=empirical, points=points, sigmas=sigmas, metric="mse", draws=2, noise=None, weights=None,
                 generator=seeded())
    risk = dict(denoiser=empirical, truth=empirical, points=points, sigmas=sigmas, noise=nodes[:, None], weights=weights)
    blur = dict(denoiser=empirical, points=points, sigma=0.5, noise=nodes[:, None], weights=weights)
    train = dict(config=config, make_network=lambda: networks.Preconditioned(networks.MLP(2, 4, 1)), data=points,
        labels=None,
                 folder=None, every=1, device="cpu")
    return {
        "nearsight.audit": (nearsight.audit, dict(
            train=audited[0], holdout=audited[1], samples=audited[2], denoiser=memorizer, sample_count=2,
            sigmas=torch.tensor([0.5]), draws=1, features=lambda images: images.flatten(1), ratio=0.3, tolerance=0.1,
            max_overlap=0.1, ranges={"samples": (-1, 1), "train": (-1, 1)}, check_ranges=False, alpha=0.05,
            permutations=2, fprs=(0.1,), title="A title", seed=0, device="cpu",
            groups={"train": list(range(20)), "holdout": list(range(20, 40))}, conditions=None, sampling="all")),
        "nearsight.audit(conditions)": (nearsight.audit, dict(
            train=audited[0], holdout=audited[1], denoiser=lambda x, sigma, labels: memorizer(x, sigma), draws=1,
            permutations=2, sample_count=4, conditions={"train": [0] * 20, "holdout": [0] * 20})),
        "nearsight.auditing.AuditRefused": (lambda **given: None, dict(code="bad_file", text="expected")),
        "nearsight.auditing.AuditReport.save": (report.save, dict(path="audit.json")),
        "nearsight.audit_checkpoints": (nearsight.audit_checkpoints, dict(
            denoisers={1: memorizer}, train=audited[0], holdout=audited[1], alpha=0.05, sample_count=4, permutations=2,
            draws=1)),
        "nearsight.auditing.CheckpointAudits.last_below": (nearsight.auditing.CheckpointAudits({1: report}).last_below,
                                                           dict(code="copies")),
        "nearsight.samples_needed": (nearsight.samples_needed, dict(preference=0.6, alpha=0.05, power=0.9)),
        "nearsight.from_vp": (nearsight.from_vp, dict(network=lambda x, t: x, alphas_bar=chain, predicts="eps")),
        "nearsight.from_vp()": (nearsight.from_vp(lambda x, t: x, chain, "v"), called),
        "nearsight.auditing.ChainDenoiser": (nearsight.auditing.ChainDenoiser, dict(
            network=lambda x, t: x, alphas_bar=chain, predicts="x0")),
        "nearsight.from_edm": (nearsight.from_edm, dict(network=lambda x, t: x, sigma_data=0.5)),
        "nearsight.from_edm()": (nearsight.from_edm(lambda x, t: x), called),
        "nearsight.from_diffusers": (lambda path: nearsight.from_diffusers(path), dict(path="nowhere")),
        "nearsight.EmpiricalDenoiser": (nearsight.EmpiricalDenoiser, dict(points=points, blur=0.1)),
        "nearsight.EmpiricalDenoiser()": (empirical, called),
        "nearsight.GaussianDenoiser": (nearsight.GaussianDenoiser, dict(mean=torch.zeros(2), covariance=torch.eye(2))),
        "nearsight.GaussianDenoiser()": (nearsight.GaussianDenoiser(torch.zeros(2), torch.eye(2)), called),
        "nearsight.MixtureDenoiser": (nearsight.MixtureDenoiser, dict(weights=torch.ones(1), means=torch.zeros(1, 2),
                                                                      covariances=torch.eye(2)[None])),
        "nearsight.MixtureDenoiser.responsibilities": (
            nearsight.GaussianDenoiser(torch.zeros(2), torch.eye(2)).responsibilities, called),
        "nearsight.RingDenoiser": (nearsight.RingDenoiser, dict(radius=2.0)),
        "nearsight.RingDenoiser()": (nearsight.RingDenoiser(2.0), called),
        "nearsight.RingKernelDenoiser": (nearsight.RingKernelDenoiser, dict(radius=2.0, angles=torch.tensor([0.0, 1.0]),
                                                                            spread=0.5)),
        "nearsight.RingKernelDenoiser()": (nearsight.RingKernelDenoiser(2.0, torch.tensor([0.0, 1.0]), 0.5), called),
        "nearsight.denoising_error": (nearsight.denoising_error, error),
        "nearsight.edm_sigmas": (nearsight.edm_sigmas, dict(n=4, sigma_min=0.01, sigma_max=10.0, rho=7.0)),
        "nearsight.generalization_gap": (nearsight.generalization_gap, gap),
        "nearsight.denoisers.Windowed": (nearsight.denoisers.Windowed, dict(
            denoisers=[nearsight.EmpiricalDenoiser(images[:, :, :5, :5])] * 4, window=5)),
        "nearsight.denoisers.Windowed()": (nearsight.denoisers.window_memorizer(images, 5), dict(x=images, sigma=0.5)),
        "nearsight.denoisers.windows": (nearsight.denoisers.windows, dict(images=images, window=5)),
        "nearsight.denoisers.window_memorizer": (nearsight.denoisers.window_memorizer, dict(images=images, window=5,
                                                                                            blur=0.1)),
        "nearsight.guided": (nearsight.guided, dict(positive=empirical, negative=empirical, weight=1.0)),
        "nearsight.guided()": (lambda positive, negative, x, sigma: nearsight.guided(positive, negative, 1.0)(x, sigma),
                               dict(positive=empirical, negative=empirical, **called)),
        "nearsight.memorized_fraction": (nearsight.memorized_fraction, dict(samples=points, train=other, ratio=0.5)),
        "nearsight.nearest": (nearsight.nearest, dict(queries=points, reference=other, k=1, exclude_self=False)),
        "nearsight.proximity_bias": (nearsight.proximity_bias, dict(samples=x, train=points, holdout=other,
                                                                        strata=torch.arange(8) % 2)),
        "nearsight.sample": (nearsight.sample, dict(denoiser=empirical, latents=x, sigmas=torch.tensor([2.0, 1.0, 0.0]),
                                                    solver="ancestral", generator=seeded(), trajectory=True)),
        "nearsight.score": (nearsight.score, dict(denoiser=empirical, **called)),
        "nearsight.gaussian.expected_divergences": (gaussian.expected_divergences,
                                                    dict(spectrum=spectrum, n=5, floor=0.1, sigma=0.1)),
        "nearsight.gaussian.expected_errors": (gaussian.expected_errors, dict(spectrum=spectrum, n=5, sigma=0.1)),
        "nearsight.gaussian.expected_preference": (gaussian.expected_preference, dict(n=9, d=3, generator=seeded())),
        "nearsight.gaussian.expected_kl": (gaussian.expected_kl, dict(n=9, d=3)),
        "nearsight.gaussian.expected_squared_wasserstein": (gaussian.expected_squared_wasserstein,
                                                            dict(spectrum=spectrum, n=5, floor=0.1)),
        "nearsight.gaussian.fit": (gaussian.fit, dict(points=points, floor=0.1)),
        "nearsight.gaussian.kernel_delta": (gaussian.kernel_delta, kernel),
        "nearsight.gaussian.log_affinity": (gaussian.log_affinity, dict(p=law, q=law)),
        "nearsight.gaussian.squared_hellinger": (gaussian.squared_hellinger, dict(p=law, q=law)),
        "nearsight.gaussian.squared_wasserstein": (gaussian.squared_wasserstein, dict(p=law, q=law)),
        "nearsight.gaussian.squared_bures": (gaussian.squared_bures, dict(a=torch.eye(2), b=torch.eye(2))),
        "nearsight.gaussian.one_step": (gaussian.one_step, dict(points=points, sigma=0.5, draws=2, generator=seeded())),
        "nearsight.gaussian.one_step_limit": (gaussian.one_step_limit, dict(ratio=2.0, sigma=0.5, variance=1.0)),
        "nearsight.gaussian.proportional_limits": (gaussian.proportional_limits, dict(ratio=2.0)),
        "nearsight.gaussian.sampler_map": (gaussian.sampler_map, dict(spectrum=spectrum, sigmas=noise.edm_sigmas(3),
                                                                      solver="heun")),
        "nearsight.noise.sigma_of_alpha_bar": (noise.sigma_of_alpha_bar, dict(alpha_bar=torch.tensor([0.5, 1.0]))),
        "nearsight.noise.alpha_bar_of_sigma": (noise.alpha_bar_of_sigma, dict(sigma=sigmas)),
        "nearsight.noise.sigma_of_ou_time": (noise.sigma_of_ou_time, dict(time=sigmas)),
        "nearsight.noise.ou_time_of_sigma": (noise.ou_time_of_sigma, dict(sigma=sigmas)),
        "nearsight.noise.vp_sigmas": (noise.vp_sigmas, dict(steps=50, first=1e-4, last=0.02)),
        "nearsight.noise.level_index": (noise.level_index, dict(sigmas=sigmas, sigma=0.5)),
        "nearsight.noise.vp_time": (noise.vp_time, dict(sigma=sigmas, sigmas=noise.vp_sigmas(40))),
        "nearsight.shares.corrected": (shares.corrected, corrected),
        "nearsight.KnnDenoiser": (nearsight.KnnDenoiser, dict(points=points, k=2, weighting="posterior")),
        "nearsight.KnnDenoiser()": (nearsight.KnnDenoiser(points, 2, "posterior"), called),
        "nearsight.shares.basin_shares": (shares.basin_shares, dict(
            weights=torch.tensor([0.75, 0.25]), means=sigmas, std=0.2, blur=0.1, start=(0.0, 1.0))),
        "nearsight.shares.critical_blur": (shares.critical_blur, dict(minority=0.2, half_distance=1.0, std=0.3)),
        "nearsight.shares.knn_vote": (shares.knn_vote, dict(shares=torch.tensor([0.75, 0.25]), k=3)),
        "nearsight.shares.settle": (shares.settle, dict(denoiser=empirical, x=x, sigma=0.5, steps=3, tolerance=1e-3)),
        "nearsight.shares.flips": (shares.flips, dict(first=points[:, 0] > 0, second=points[:, 1] > 0)),
        "nearsight.quadrature.polar": (quadrature.polar, dict(radial=4, angular=4, reach=9.0)),
        "nearsight.randomness.derived_seed": (lambda first, second: randomness.derived_seed(first, second), dict(first=1,
            second=2)),
        "nearsight.randomness.stream": (lambda first, device: randomness.stream(first, device=device), dict(first=1,
            device="cpu")),
        "nearsight.datasets.Scaling": (datasets.Scaling, dict(mean=1.0, deviation=2.0, white=16.0)),
        "nearsight.datasets.Scaling.measured": (datasets.Scaling.measured, dict(values=np.arange(4.0))),
        "nearsight.datasets.Scaling.network": (datasets.Scaling(1.0, 2.0).network, dict(values=np.arange(4.0))),
        "nearsight.datasets.Scaling.pixels": (datasets.Scaling(1.0, 2.0).pixels, dict(images=images)),
        "nearsight.datasets.check_disjoint": (datasets.check_disjoint, dict(a=torch.arange(3), b=torch.arange(3, 5))),
        "nearsight.datasets.cifar10": (datasets.cifar10, dict(path="nowhere", split="train")),
        "nearsight.datasets.digits": (datasets.digits, dict(scaling=datasets.Scaling(8, 4, white=16))),
        "nearsight.datasets.disjoint_blocks": (datasets.disjoint_blocks, dict(tokens=tokens, n=2, blocks=2)),
        "nearsight.datasets.disjoint_splits": (datasets.disjoint_splits, dict(total=10, size=2, count=3, seed=1)),
        "nearsight.datasets.fashion_mnist": (datasets.fashion_mnist, dict(split="stopping", resolution=16)),
        "nearsight.datasets.image_folder": (datasets.image_folder, dict(path="nowhere", side=8, grey=True, indices=[0],
                                                                        scaling=None)),
        "nearsight.datasets.index_digest": (lambda a, b: datasets.index_digest(a, b), dict(a=torch.arange(3),
            b=torch.arange(2))),
        "nearsight.datasets.is_novel": (datasets.is_novel, dict(strings=tokens, seen=tokens[:2])),
        "nearsight.datasets.on_ring": (datasets.on_ring, dict(angles=torch.tensor([0.0, 1.0]), radius=2.0)),
        "nearsight.datasets.ring": (datasets.ring, dict(n=4, radius=2.0, turn=0.1, generator=seeded())),
        "nearsight.datasets.ring_split": (datasets.ring_split, dict(n=4, radius=2.0, turn=0.1, generator=seeded())),
        "nearsight.networks.AttentionUNet": (networks.AttentionUNet, dict(channels=8, multipliers=(1, 1))),
        "nearsight.networks.AttentionUNet()": (attention, dict(x_vp=images, t=torch.zeros(2))),
        "nearsight.networks.DdpmPlusPlus": (networks.DdpmPlusPlus, dict(channels=4, multipliers=(1, 1), blocks=1,
                                                                        dropout=0.1)),
        "nearsight.networks.DdpmPlusPlus()": (networks.DdpmPlusPlus(4, (1, 1), 1).eval(), dict(
            x=torch.randn(2, 3, 4, 4, generator=seeded()), c_noise=torch.zeros(2))),
        "nearsight.networks.InParts": (networks.InParts, dict(network=mlp, size=2)),
        "nearsight.networks.InParts()": (networks.InParts(mlp, 2), called),
        "nearsight.networks.EpsilonDenoiser": (networks.EpsilonDenoiser, dict(network=attention,
                                                                              sigmas=noise.vp_sigmas(40))),
        "nearsight.networks.EpsilonDenoiser()": (networks.EpsilonDenoiser(attention, noise.vp_sigmas(40)), dict(
            x=images, sigma=0.5)),
        "nearsight.tree.Grammar": (tree.Grammar, dict(transitions=torch.full((2, 2, 2), 0.25), depth=2)),
        "nearsight.tree.Grammar.random": (tree.Grammar.random, dict(vocabulary=3, depth=2, rules=2, spread=1.0, seed=0)),
        "nearsight.tree.Grammar.sample": (grammar.sample, dict(n=3, generator=seeded(), level=1)),
        "nearsight.tree.Grammar.denoiser": (grammar.denoiser, dict(level=1)),
        "nearsight.tree.Grammar.denoiser()": (oracle, dict(x=strings_x, sigma=0.5)),
        "nearsight.tree.Grammar.denoiser().log_probabilities": (oracle.log_probabilities, dict(x=strings_x, sigma=0.5)),
        "nearsight.tree.Grammar.denoiser().node_probabilities": (oracle.node_probabilities, dict(x=strings_x, sigma=0.5)),
        "nearsight.tree.Grammar.parse": (grammar.parse, dict(tokens=tokens)),
        "nearsight.tree.Grammar.counted": (grammar.counted, dict(tokens=grammar.sample(4, seeded()))),
        "nearsight.tree.Grammar.log_prob": (grammar.log_prob, dict(tokens=tokens, level=1)),
        "nearsight.tree.Grammar.path_matrices": (grammar.path_matrices, dict(level=1)),
        "nearsight.tree.Grammar.information": (grammar.information, dict(level=1)),
        "nearsight.networks.MLP": (networks.MLP, dict(dimension=2, width=4, layers=1)),
        "nearsight.networks.MLP()": (networks.MLP(2, 4, 1), dict(x=x, c_noise=torch.zeros(3))),
        "nearsight.networks.DepthUNet": (networks.DepthUNet, dict(depth=1, channels=4, context=False, halving=True)),
        "nearsight.networks.DepthUNet()": (kept, dict(x=images, c_noise=torch.zeros(2))),
        "nearsight.networks.UNet": (networks.UNet, dict(channels=8, multipliers=(1, 1), classes=3)),
        "nearsight.networks.Classifier": (networks.Classifier, dict(classes=3, channels=1, side=8)),
        "nearsight.networks.Classifier()": (networks.Classifier(3, 1, 8), dict(x=images)),
        "nearsight.networks.Committee": (networks.Committee, dict(members=[networks.Classifier(3, 1, 8)])),
        "nearsight.networks.Committee()": (networks.Committee([networks.Classifier(3, 1, 8)]), dict(x=images)),
        "nearsight.networks.tops_and_trousers": (networks.tops_and_trousers, dict()),
        "nearsight.networks.clothes_classifier": (networks.clothes_classifier, dict()),
        "nearsight.training.train_classifier": (training.train_classifier, dict(
            images=images, labels=torch.tensor([0, 2]), classes=3, epochs=1, seed=0)),
        "nearsight.networks.UNet()": (unet, dict(x=images, c_noise=torch.zeros(2), labels=torch.tensor([0, 3]))),
        "nearsight.networks.Preconditioned": (networks.Preconditioned, dict(network=networks.MLP(2, 4, 1), sigma_data=0.5)),
        "nearsight.networks.Preconditioned()": (mlp, called),
        "nearsight.networks.Preconditioned(UNet)()": (networks.Preconditioned(unet), dict(x=images, sigma=torch.ones(2),
                                                                                         labels=torch.tensor([0, 3]))),
        "nearsight.networks.TokenTransformer": (networks.TokenTransformer, dict(
            vocabulary=3, length=2, width=4, layers=1, heads=1, feedforward=4, dropout=0.1, norm_first=True)),
        "nearsight.networks.TokenTransformer()": (transformer, dict(x_vp=strings_x, t=torch.zeros(2))),
        "nearsight.networks.TokenDenoiser": (networks.TokenDenoiser, dict(network=transformer, sigmas=noise.vp_sigmas(40))),
        "nearsight.networks.TokenDenoiser()": (token, dict(x=strings_x, sigma=0.5)),
        "nearsight.networks.bypassed": (lambda gain, x, sigma: networks.bypassed(networks.Preconditioned(kept), kept.mid,
            gain)(
            x, sigma), dict(gain=lambda sigma: 0.5, x=images, sigma=0.5)),
        "nearsight.networks.solve_width": (networks.solve_width, dict(depth=1, parameters=20_000)),
        "nearsight.training.LogNormal": (training.LogNormal, dict(mean=-1.0, std=1.2)),
        "nearsight.training.VpClock": (training.VpClock, dict(steps=50, first=1e-4, last=0.02)),
        "nearsight.training.Training": (training.Training, dict(
            snapshots=(1, 2), batch=2, learning_rate=1e-3, decay="cosine", loss="mse", levels=training.LogNormal(),
                sigma_data=0.5,
            classes=3, label_dropout=0.1, ema=0.9, clip=1.0, bf16=False, seed=1, initial_seed=2)),
        "nearsight.training.Trainer": (training.Trainer, {name: train[name] for name in
                                                          ("config", "make_network", "data", "labels", "folder", "device")}),
        "nearsight.training.train": (lambda **given: list(training.train(**given)), train),
        "nearsight.training.train_family": (lambda **given: list(training.train_family(**given)), {
            **train, "sets": [torch.tensor([0, 1]), torch.tensor([2, 3])], "same_initialization": True, "same_noise": True}),
        "nearsight.training.in_step": (lambda trainers, every: list(training.in_step(trainers, every)), dict(
            trainers=[training.Trainer(**{name: train[name] for name in
                                          ("config", "make_network", "data", "labels", "folder", "device")})], every=1)),
        "nearsight.training.log_steps": (training.log_steps, dict(first=1, last=100, count=5)),
        "nearsight.training.training_loss": (training.training_loss, dict(
            loss="edm", denoiser=networks.Preconditioned(unet), y=images, x=images, sigma=torch.ones(2),
                labels=torch.tensor([0, 3]),
            sigma_data=0.5)),
        "nearsight.training.StreamTrainer": (training.StreamTrainer, dict(
            config=config, make_network=train["make_network"], events=lambda step: points[:2], folder=None, device="cpu",
            rate=lambda step: 0.5)),
        "nearsight.training.in_epochs": (lambda data, batch, seed, step: training.in_epochs(data, batch, seed)(step), dict(
            data=points, batch=3, seed=0, step=1)),
        "nearsight.training.settling": (training.settling, dict(epoch=3, epochs=100, halved=50)),
        "nearsight.measures.block_curves": (measures.block_curves, dict(
            values=torch.ones(3, 4, 4), labels=[(0, 0), (0, 1), (1, 0), (1, 1)], differing="both")),
        "nearsight.measures.bootstrap_clocks": (measures.bootstrap_clocks, dict(
            curves={"split": (torch.tensor([1, 2, 4]), torch.ones(3, 2, 2))}, opening="split", generator=seeded(),
            resamples=9)),
        "nearsight.measures.Clock.before": (clock.before, dict(other=clock)),
        "nearsight.measures.committee": (measures.committee, dict(logs=logs)),
        "nearsight.measures.divergence": (measures.divergence, dict(log_p=logs[0], log_q=logs[1])),
        "nearsight.measures.neighbor_divergence": (measures.neighbor_divergence, dict(samples=[3, 4, 0], fresh=[1, 2, 3])),
        "nearsight.measures.oracle_losses": (measures.oracle_losses, dict(
            logs=logs[0], posterior=logs[1].exp(), tokens=torch.tensor([[0, 1], [2, 0]]))),
        "nearsight.measures.pair_divergences": (measures.pair_divergences, dict(logs=logs)),
        "nearsight.measures.pair_variances": (measures.pair_variances, dict(logs=logs)),
        "nearsight.measures.preference_by_depth": (measures.preference_by_depth, dict(
            grammar=grammar, samples={(block, 0): strings for block in range(2)}, blocks=torch.stack([strings, strings]),
            generator=seeded(), relabelings=3)),
        "nearsight.measures.split_divergence": (measures.split_divergence, dict(
            divergences=torch.ones(4, 4), labels=[(0, 0), (0, 1), (1, 0), (1, 1)])),
        "nearsight.measures.staircase": (measures.staircase, dict(logs=logs[0], levels=logs)),
        "nearsight.measures.string_distance": (measures.string_distance, dict(strings=tokens, reference=tokens[:2])),
        "nearsight.measures.string_preference": (measures.string_preference, dict(
            samples={(block, 0): tokens for block in range(2)}, blocks=torch.stack([tokens, tokens]), generator=seeded(),
            relabelings=3, neighbors=2)),
        "nearsight.measures.area_under_curve": (measures.area_under_curve, dict(member_scores=errors[0],
            outsider_scores=errors[1])),
        "nearsight.measures.calibrated_threshold": (measures.calibrated_threshold, dict(outsider_scores=errors[0],
                                                                                        false_positive_rate=0.5)),
        "nearsight.measures.clopper_pearson": (measures.clopper_pearson, dict(successes=3, count=9, level=0.9)),
        "nearsight.measures.convergence": (measures.convergence, dict(first=points, second=other)),
        "nearsight.measures.crossed_gap": (measures.crossed_gap, dict(
            first=measures.generalization_gap(**gap), second=measures.generalization_gap(**gap))),
        "nearsight.measures.crossing": (measures.crossing, dict(
            x=sigmas, outcomes=torch.tensor([[False, True], [True, True]]), generator=seeded(), level=0.5, resamples=40)),
        "nearsight.measures.ddpm_weight": (measures.ddpm_weight, dict(sigmas=sigmas, steps=50)),
        "nearsight.measures.deal_law": (measures.deal_law, dict(weights=[1, 2, 0], hand=3, total=5)),
        "nearsight.measures.deal_test": (measures.deal_test, dict(weights=[1, 2, 0], hand=3, observed=2, total=5)),
        "nearsight.measures.stratified_deal_test": (measures.stratified_deal_test, dict(
            weights=[1, 2, 0, 4], strata=[0, 0, 1, 1], dealt=torch.tensor([True, False, True, True]))),
        "nearsight.measures.edm_weight": (measures.edm_weight, dict(sigmas=sigmas, sigma_data=0.5, mean=-1.0, std=1.2)),
        "nearsight.measures.family_preference": (measures.family_preference, dict(
            neighbors={(block, 0): torch.tensor([[0, 3], [2, 1]]) for block in range(2)}, blocks=torch.arange(4) // 2,
            generator=seeded(), relabelings=9)),
        "nearsight.measures.family_course": (measures.family_course, dict(
            course=[{(block, 0): torch.tensor([[0, 3], [2, 1]]) for block in range(2)}], blocks=torch.arange(4) // 2,
            generator=seeded(), relabelings=9)),
        "nearsight.measures.flat_minimum": (measures.flat_minimum, dict(losses=errors, level=0.9)),
        "nearsight.measures.frechet": (measures.frechet, dict(first=points, second=other)),
        "nearsight.measures.gap_band": (measures.gap_band, dict(train_errors=errors, holdout_errors=errors + 1,
            generator=seeded(),
                                                                resamples=20, level=0.9)),
        "nearsight.measures.hanley_mcneil": (measures.hanley_mcneil, dict(auc=0.7, members=9, outsiders=9, level=0.9)),
        "nearsight.measures.mean_interval": (measures.mean_interval, dict(values=errors, level=0.95)),
        "nearsight.measures.student_reach": (measures.student_reach, dict(
            estimate=measures.Estimate(torch.zeros(3), torch.ones(3)), units=4, level=0.9)),
        "nearsight.measures.student_interval": (measures.student_interval, dict(
            estimate=measures.Estimate(torch.zeros(3), torch.ones(3)), units=4, level=0.9)),
        "nearsight.measures.leave_one_out": (measures.leave_one_out, dict(statistic=lambda units: float(sum(units)),
                                                                          units=[1, 2, 3])),
        "nearsight.measures.membership": (measures.membership, dict(
            denoiser=empirical, members=points, outsiders=other, sigmas=sigmas, draws=2, generator=seeded(),
                reference=empirical,
            false_positive_rate=0.4)),
        "nearsight.measures.moment_ladder": (measures.moment_ladder, dict(
            points=points, labels=torch.tensor([0, 1, 0, 1]), pool=other, pool_labels=torch.tensor([0, 0, 1, 1]))),
        "nearsight.measures.NormalMixture.sample": (measures.NormalMixture(
            torch.ones(1).double(), torch.zeros(1, 2).double(), torch.eye(2)[None].double()).sample, dict(
            latents=x, choices=torch.rand(3, generator=seeded()))),
        "nearsight.measures.onset": (measures.onset, dict(lower_bounds=[0.4, 0.6], threshold=0.5)),
        "nearsight.measures.overfitting_onset": (measures.overfitting_onset, dict(errors=torch.rand(3, 2, 4,
            generator=seeded()),
                                                                                  generator=seeded(), resamples=40)),
        "nearsight.measures.own_other": (measures.own_other, dict(
            samples_a=x, samples_b=x + 1, set_a=points, set_b=other, strata=torch.arange(8) % 2)),
        "nearsight.measures.owned_preference": (measures.owned_preference, dict(
            owners=torch.arange(40), half=20, others=torch.arange(40).flip(0))),
        "nearsight.measures.own_other_curve": (measures.own_other_curve, dict(
            samples_a=x, samples_b=x + 1, set_a=points, set_b=other, sizes=[1, 4])),
        "nearsight.measures.PreferenceCurve.interval": (measures.proximity_curve(x, points, other, [2, 3]).interval,
                                                        dict(level=0.9)),
        "nearsight.measures.proximity_curve": (measures.proximity_curve, dict(samples=x, train=points, holdout=other,
                                                                             sizes=[1, 4])),
        "nearsight.measures.pair_cosine": (measures.pair_cosine, dict(first=points, second=other)),
        "nearsight.measures.pair_mean": (measures.pair_mean, dict(values={(0, 1): 1.0, (0, 2): 2.0, (1, 2): 3.0})),
        "nearsight.measures.point_errors": (measures.point_errors, error),
        "nearsight.measures.prediction_cosine": (measures.prediction_cosine, dict(
            first=empirical, second=empirical, points=points, sigmas=sigmas, generator=seeded(), sigma_data=0.5)),
        "nearsight.measures.Preference.interval": (preference.interval, dict(level=0.9)),
        "nearsight.measures.preference_onset": (measures.preference_onset, dict(preferences=[preference, preference],
            margin=0.05,
                                                                                level=0.95)),
        "nearsight.measures.preference_stop": (measures.preference_stop, dict(
            preferences=[preference, preference], planned=3, margin=0.05, level=0.95)),
        "nearsight.measures.principal_basis": (measures.principal_basis, dict(pool=points, count=1)),
        "nearsight.measures.PrincipalBasis()": (measures.principal_basis(points, 1), dict(events=points)),
        "nearsight.measures.resampled_counts": (lambda **given: list(measures.resampled_counts(**given)), dict(
            count=3, resamples=4, generator=seeded())),
        "nearsight.measures.split_variance": (measures.split_variance, dict(outputs={
            (block, seed): points + block + seed for block in range(2) for seed in range(2)})),
        "nearsight.measures.standardized": (measures.standardized, dict(events=points)),
        "nearsight.measures.weighted_loss": (measures.weighted_loss, dict(sigmas=sigmas, errors=errors[:, :2],
            weight="edm")),
        "nearsight.measures.wilson": (measures.wilson, dict(successes=3, count=9, level=0.9)),
        "nearsight.flow.bhattacharyya": (flow.bhattacharyya, dict(ratio=sigmas, dimension=3)),
        "nearsight.flow.excess_risk": (flow.excess_risk, risk),
        "nearsight.flow.fitted_blur": (flow.fitted_blur, blur),
        "nearsight.flow.fitted_spread": (flow.fitted_spread, {**blur, "radius": 2.0}),
        "nearsight.flow.matched_blur": (flow.matched_blur, blur),
        "nearsight.flow.gap_map": (flow.gap_map, dict(denoiser=empirical, train=points, sigma=0.5, noise=nodes,
            weights=weights,
                                                      window=3.0, pixels=3, metric="norm")),
        "nearsight.flow.gap_peak": (flow.gap_peak, dict(train=errors.T[:2, [0, 1, 0]], holdout=errors[:, :3] + 1,
            sigmas=torch.tensor([1.0, 2.0, 4.0]), generator=seeded(), resamples=3)),
        "nearsight.flow.GapMap.islands": (flow.GapMap(torch.arange(2), torch.rand(2, 2)).islands, dict(level=0.5)),
        "nearsight.flow.GapMap.share": (flow.GapMap(torch.arange(2), torch.rand(2, 2)).share, dict(level=0.5)),
        "nearsight.flow.guided_blur": (flow.guided_blur, dict(positive=0.5, negative=1.0, weight=0.5, sigma=0.1)),
        "nearsight.flow.lattice_gap": (lambda a, s, metric: flow.lattice_gap(a, s, metric), dict(
            a=1.0, s=torch.tensor([1.0]), metric="mse")),
        "nearsight.flow.mode_distance": (flow.mode_distance, dict(ratio=sigmas, dimension=3)),
        "nearsight.flow.modulation": (flow.modulation, dict(n=5, sigma=sigmas, radius=2.0)),
        "nearsight.flow.padded_gap": (flow.padded_gap, dict(train=errors[0, :2], holdout=errors[1, :2], sigmas=sigmas,
            blur=0.5,
                                                            dimension=3)),
        "nearsight.flow.place_gap": (flow.place_gap, dict(denoiser=empirical, train=points, places=other, sigma=0.5,
            noise=nodes,
                                                          weights=weights, metric="norm")),
        "nearsight.flow.published_gap": (lambda denoiser, train, holdout, seed, alternate: flow.published_gap(
            denoiser, train, holdout, seed, alternate), dict(denoiser=lambda x, sigma: x, train=points, holdout=other,
                seed=0,
                                                             alternate=True)),
        "nearsight.flow.published_noise": (flow.published_noise, dict(count=3, seed=0, draws=2)),
        "nearsight.flow.published_random_split": (flow.published_random_split, dict(n=3, seed=0, radius=2.0)),
        "nearsight.flow.published_sigmas": (flow.published_sigmas, dict(steps=5)),
        "nearsight.flow.random_gap": (flow.random_gap, dict(a=1.0, t=sigmas)),
        "nearsight.flow.return_probability": (flow.return_probability, dict(n=5, sigma=0.5, radius=2.0)),
        "nearsight.flow.small_gap": (flow.small_gap, dict(a=2.0, s=sigmas)),
        "nearsight.flow.state_distance": (flow.state_distance, dict(points=ring_points[:2], sigma=0.5, blur=0.5,
            dimension=3)),
    }


CALLS = valid()


def public() -> set[str]:
    """All public functions and classes with a constructor that checks; results are made by us and hold what we computed."""
    found = {f"{package}.{name}" for package in PACKAGES for name in importlib.import_module(package).__all__}
    found |= {f"{module.__name__}.{name}" for module in MODULES for name, value in vars(module).items()
              if not name.startswith("_") and inspect.isfunction(value) and value.__module__ == module.__name__}
    def is_result(name: str) -> bool:
        value = getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2])
        return (not callable(value) or not hasattr(value, "__qualname__") or value is training.Snapshot
                or (dataclasses.is_dataclass(value) and not hasattr(value, "__post_init__")))
    return {name for name in found if not is_result(name)} - {"nearsight.denoisers.Denoiser"}  # a type


def test_every_public_name_is_called_here():
    called = {name.split("(")[0] for name in CALLS}
    once = {name.rpartition(".")[2] for name in called}  # a function that two packages name is called under one of them
    context_managers = {"nearsight.randomness.global_stream"}
    assert {name for name in public() - context_managers if name.rpartition(".")[2] not in once} == set()


def outcome(name: str, replaced: dict) -> str | None:
    """Call with some arguments replaced; None where it returns or answers with a sentence of ours, else what it raised."""
    torch.manual_seed(0)
    function, arguments = CALLS[name]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that few samples are effective, or that a plane rule is coarse, is no refusal
            function(**{**arguments, **replaced})
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = Path(frames[-1].filename).is_relative_to(LIBRARY)
        raised = linecache.getline(frames[-1].filename, frames[-1].lineno).lstrip().startswith("raise ")
        sentence = any(word in str(error) for word in ("expected", "try ", "pass "))
        if not (isinstance(error, (TypeError, ValueError)) and ours and raised and sentence):
            return f"{error!r:.150} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return None


@pytest.mark.parametrize("name", CALLS)
def test_the_call_that_is_varied_here_goes_through(name):
    function, arguments = CALLS[name]
    if arguments.get("path") == "nowhere":
        return  # all that can be tried of a path without data is that it leads nowhere
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        function(**arguments)


@pytest.mark.parametrize("name", CALLS)
def test_each_argument_in_turn_is_accepted_or_refused_by_a_sentence(name):
    worse = []
    for argument in CALLS[name][1]:
        for index, value in enumerate(NASTY):
            if argument == "path" and value is None:
                continue  # would fetch from the network
            said = outcome(name, {argument: value})
            if said:
                worse.append(f"{argument} = NASTY[{index}] {value!r:.60}: {said}")
    assert not worse, "\n" + "\n".join(worse)


@settings(max_examples=10)
@given(data=st.data())
@pytest.mark.parametrize("name", [name for name in CALLS if len(CALLS[name][1]) > 1])
def test_several_arguments_at_once_are_accepted_or_refused_by_a_sentence(name, data):
    arguments = sorted(set(CALLS[name][1]) - {"path"})
    chosen = data.draw(st.lists(st.sampled_from(arguments), unique=True, min_size=min(2, len(arguments))))
    indices = {argument: data.draw(st.integers(0, len(NASTY) - 1)) for argument in chosen}
    assert outcome(name, {argument: NASTY[index] for argument, index in indices.items()}) is None


def test_an_error_of_torch_is_no_sentence_of_ours(monkeypatch):
    """The judge itself: what torch says is not taken for ours, even where our line called it."""
    monkeypatch.setitem(CALLS, "torch's", (nearsight.noise.torch.linspace, dict(start=0, end="x", steps=2)))
    monkeypatch.setitem(CALLS, "through us", (lambda x: networks.blocks.fourier(x, None), dict(x=torch.ones(2))))
    assert "TypeError" in outcome("torch's", {}) and "TypeError" in outcome("through us", {})
