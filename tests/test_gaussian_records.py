"""What is recorded of study 1: probabilities of another simulation, laws that calibrate, networks beside exact models."""

import pytest
import torch
from nearsight import records
from nearsight.studies import find
from nearsight.studies.gaussian_delta import LAWS, WIDTHS
from nearsight.studies.gaussian_networks import MODELS

INDEPENDENT = {  # P(Delta > 0) in another simulation of 150 runs, at the counts of the record
    (16, "as defined"): (.01, .00, .00, .26, .86, .98, 1.0, 1.0),
    (16, "transposed"): (.73, .01, .09, .82, .98, .99, 1.0, 1.0),
    (16, "exact O"): (.89, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    (16, "kernel h^2/2"): (.00, .02, .01, .01, .13, .39, .57, .77),
    (16, "kernel 2h^2"): (1.0, .09, .45, 1.0, 1.0, 1.0, 1.0, 1.0),
    (100, "as defined"): (.00, .00, .02, .00, .00, .04, .29, .51, .69),
    (100, "transposed"): (.19, .69, .02, .96, .91, .73, .65, .68, .76),
    (100, "exact O"): (1.0,) * 9,
    (100, "kernel 2h^2"): (.00, .00, .00, .00, .31, .89, .99, .99, .99)}
WIDTH = {"kernel 2h^2": WIDTHS.index(2**0.5), "kernel h^2/2": WIDTHS.index(0.5**0.5)}


def recorded(d):
    run = find(f"delta-{d}-laptop")
    results = records.load(run).results
    return run.config, {name: results.curve(name)[1] for name in results.final}


def positive(term, reading, law=0):
    """Shares of runs with Delta > 0, at each count."""
    width = WIDTH.get(reading, 0)
    own, shared = term["pairs_train"][..., width], term["pairs_original"][:, None, width]
    original = term["models_original"][..., width, law]
    if reading == "exact O":  # its own overlap is the same for every model
        original, shared = term["models_exact"][..., law], 0
    delta = own - shared - 2 * (term["models_train"][..., width, law] - original)
    return (delta > 0).double().mean(0)


@pytest.mark.parametrize("d, reading", INDEPENDENT)
def test_the_record_agrees_with_another_simulation(d, reading):
    _, term = recorded(d)
    share = positive(term, reading, LAWS.index("transposed") if reading == "transposed" else 0)
    expected = torch.tensor(INDEPENDENT[d, reading], dtype=torch.float64)
    spread = (2 * (expected * (1 - expected)).clamp(min=0.01) / 150).sqrt()
    assert ((share - expected).abs() < 4 * spread).all()


@pytest.mark.parametrize("d", [16, 100])
def test_the_laws_of_the_record_are_what_they_say(d):
    config, term = recorded(d)
    # The overlap of the truth with a kernel estimate is that of two Gaussians, in the mean over sets.
    for place, n in enumerate(config.counts):
        overlap = term["models_train"][:, place, 0, LAWS.index("truth")]
        # The pair overlap of the truth with a kernel of variance h^2 at N(0, I): (2 / (2 + h^2))^(d/2), h = n^(-1/d).
        expected = (2 / (2 + n ** (-2 / d))) ** (d / 2)
        assert abs(overlap.mean() - expected) < 4 * overlap.std() / 150**0.5
    torch.testing.assert_close(term["models_exact"][..., LAWS.index("truth")], torch.ones(150, len(config.counts)).double())


@pytest.mark.parametrize("d", [16, 64])
def test_exact_models_beside_the_networks_score_what_they_must(d):
    run = find(f"networks-{d}-laptop")
    results, ratios = records.load(run).results, len(run.config.ratios)
    values = {name: results.curve(name)[1].unflatten(0, (-1, ratios)) for name in ("memorized", "preference", "wasserstein")}
    empirical, ideal = MODELS.index("empirical"), MODELS.index("ideal")
    assert (values["memorized"][..., empirical] == 1).all() and (values["preference"][..., empirical] > 0.999).all()
    assert values["memorized"][..., ideal].max() < 0.01 and values["wasserstein"][..., ideal].max() < 0.05
    leaning = values["preference"][..., ideal]
    assert abs(leaning.mean() - 0.5) < 4 * leaning.std() / leaning.numel() ** 0.5
