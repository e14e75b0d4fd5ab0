"""The recorded networks of study 3 at their smallest, their design, and their measures on what has a known answer."""

import math
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.measures import divergence, oracle_losses, string_distance
from nearsight.records.computing import LARGEST, compute
from nearsight.records.runs import Work
from nearsight.studies import find, hierarchy, runs
from nearsight.studies.hierarchy import (
    Member,
    blocks_of,
    grammar_networks,
    ground_of,
    recipe,
    tape,
    trainer,
    untrained,
)
from nearsight.studies.hierarchy_measures import CLOCK, HEADLINE, TIMES, Counts, measure_own, measure_tests, predictions
from nearsight.studies.hierarchy_samples import draw, measure_samples, measure_turns, packed, turned, unpacked
from nearsight.training.loop import in_step
from torch.nn.functional import one_hot

ALL = [run for run in runs() if run.computation is grammar_networks]
SMOKE, FRESH = find("hierarchy-smoke"), find("hierarchy-fresh-smoke")
LAPTOP = {run.name: run.config for run in ALL if run.scale == "laptop"}
TINY = Counts(tests=40, uniform=40, own=20, noises=1, samples=8, kept=8, few=4, turned=2, turns=1)


class Remembering:
    """The best denoiser of training strings, as a model."""

    def __init__(self, strings):
        self.denoiser = EmpiricalDenoiser(one_hot(strings, 6).float())

    def log_probabilities(self, x, sigma):
        return self.denoiser(x, sigma).clamp(min=1e-30).log()


class Widened:
    """An oracle in float64, as networks are not."""

    def __init__(self, denoiser):
        self.denoiser = denoiser

    def log_probabilities(self, x, sigma):
        return self.denoiser.log_probabilities(x.double(), sigma).float()


@pytest.fixture(scope="module")
def results():
    return {run.name: compute(run) for run in (SMOKE, FRESH)}


@pytest.fixture(scope="module")
def ground():
    """Of the laptop scale at n = 300, with fewer draws."""
    return ground_of(replace(LAPTOP["hierarchy-300-laptop"], counts=Counts(tests=2000, uniform=2000, turned=400, turns=1)))


# Runs


@pytest.mark.parametrize("run", [SMOKE, FRESH], ids=lambda run: run.name)
def test_a_run_goes_from_end_to_end_and_learns(run, results):
    found = results[run.name]
    assert found.steps == list(run.config.snapshots) and found.steps[-1] == 60
    assert all(array.double().isfinite().all() for array in found.arrays.values())
    last = found.final
    networks = len(run.config.members)
    entropy = last["losses/test"][-1].sum(1)  # a token, at uniform times, of averaged weights
    assert (entropy[:networks] < 1.60).all() and (entropy[:networks] > entropy[networks]).all()  # marginals; BP_0
    assert last["split"].diagonal(dim1=1, dim2=2).abs().max() < 1e-6
    known, truth = last["losses/test"][HEADLINE, :, 0].split([networks, 1])
    assert (known - truth).tolist() == pytest.approx((last["distance"][HEADLINE, :, 0] / 4).tolist(), abs=1e-5)
    assert found.curve("samples/averaged")[0].tolist() == run.config.sampled_at == [found.steps[0], found.steps[-1]]
    assert set(found.stages[0].arrays) == set(last)  # what stands for the run has all arrays


@pytest.mark.parametrize("run", [SMOKE, FRESH], ids=lambda run: run.name)
def test_a_run_that_was_killed_ends_with_the_same_bits(run, results, tmp_path, monkeypatch):
    measured, kept = [], hierarchy.measured

    def killed(*given):
        measured.append(len(measured))
        if len(measured) == 3:
            raise KeyboardInterrupt
        return kept(*given)

    monkeypatch.setattr(hierarchy, "measured", killed)
    monkeypatch.setattr(hierarchy, "EVERY", 7)
    with pytest.raises(KeyboardInterrupt):
        compute(run, folder=tmp_path)
    resumed = compute(run, folder=tmp_path)
    assert len(measured) == 1 + len(run.config.snapshots)  # earlier checkpoints are not measured again
    assert resumed.arrays.keys() == results[run.name].arrays.keys()
    assert all(torch.equal(resumed.arrays[key], array) for key, array in results[run.name].arrays.items())


def expected_bytes(config):
    """The tables in the docstrings of `hierarchy_measures` and `hierarchy_samples`."""
    members, made, levels, times = len(config.members), len(config.sampled), config.depth + 1, len(TIMES)
    losses = 2 * 2 * (times + 1) * (members + 1)
    numbers = (members + (times + 2) * members * levels + (times + 3) * members**2 + members * config.depth + losses
               + times * sum(1 + len(group) for group in config.committees))
    if not config.fresh:
        numbers += members * levels + members**2 + 3 * 4 * members
    counts, length = config.counts, 2**config.depth
    codes = made * counts.kept + made * min(counts.few, counts.kept) + made // 2 * min(counts.few, counts.kept)
    samples = (4 if length < 12 else 8) * codes + 4 * (made * config.blocks * (length + 1) + made * 2 * 5 * 4)
    stages = len(config.snapshots)
    return 4 * numbers * stages + samples * len(config.sampled_at)


@pytest.mark.parametrize("run", ALL, ids=lambda run: run.name)
def test_a_record_stays_below_three_megabytes(run):
    assert expected_bytes(run.config) < LARGEST


@pytest.mark.parametrize("run", [SMOKE, FRESH], ids=lambda run: run.name)
def test_a_record_has_the_stated_bytes(run, results):
    assert sum(array.nbytes for array in results[run.name].arrays.values()) == expected_bytes(run.config)


# Design


def test_the_laptop_runs_are_the_table():
    assert list(LAPTOP) == ["hierarchy-300-laptop", "hierarchy-fresh-laptop", "hierarchy-500-laptop"]
    small, fresh, large = LAPTOP.values()
    assert [(len(each.members), each.steps, each.size) for each in LAPTOP.values()] == [
        (14, small.steps, 300), (4, 8000, 500), (12, 8000, 500)]
    assert 4400 < small.steps < 4600 and fresh.snapshots == large.snapshots == small.snapshots + large.snapshots[-3:]
    assert sum(p.numel() for p in untrained(large).parameters()) == 104_006
    assert sum(p.numel() for p in untrained(SMOKE.config).parameters()) == 18_758
    assert large.sampled_at[:5] == list(large.snapshots[:21:5]) and large.sampled_at[5:] == list(large.snapshots[21:])
    assert all(run.threads == 1 and run.standing == 1 and run.config.snapshots[0] in run.config.sampled_at for run in ALL)


def test_blocks_are_disjoint_rows_of_one_tape_and_smaller_ones_the_first_of_larger():
    small, large = blocks_of(LAPTOP["hierarchy-300-laptop"]), blocks_of(LAPTOP["hierarchy-500-laptop"])
    assert small.shape == (6, 300, 8) and large.shape == (6, 500, 8)
    assert torch.equal(small, large[:, :300]) and torch.equal(large, tape(LAPTOP["hierarchy-fresh-laptop"]))
    rows = LAPTOP["hierarchy-500-laptop"].grammar.sample(3000, hierarchy.stream(3, 0))
    assert torch.equal(large.flatten(0, 1), rows)  # each row of the tape in one block, as it was drawn


def test_novel_strings_are_in_no_block(ground):
    seen = tape(LAPTOP["hierarchy-300-laptop"]).flatten(0, 1)
    distance = string_distance(ground.tests[0].tokens, seen)
    assert torch.equal(ground.novel, distance > 0) and 0.5 < ground.novel.double().mean() < 0.7
    assert torch.equal(ground.novel, ground_of(replace(LAPTOP["hierarchy-500-laptop"], counts=Counts(
        tests=2000, uniform=2000, noises=1))).novel)


def test_times_and_tests_are_shared_and_differ_in_their_noise(ground):
    assert all(torch.equal(each.tokens, ground.tests[0].tokens) for each in ground.tests)
    for time, inputs in zip(TIMES, ground.tests):
        noise = (inputs.x - one_hot(inputs.tokens, 6)) / CLOCK[time]
        assert inputs.sigma == float(CLOCK[time]) and noise.std() == pytest.approx(1, abs=0.02)
        assert noise[0, 0, 0] != (ground.tests[0].x - one_hot(inputs.tokens, 6))[0, 0, 0] / CLOCK[50] or time == 50


def first_weights(config, member):
    return list(trainer(config, member, blocks_of(config), Work()).network.parameters())


def test_controls_differ_in_what_they_say():
    """Other first weights for another seed alone; other draws for every network; the redrawn one has both of its twin's."""
    config = SMOKE.config
    assert config.members == [Member(0, 0), Member(0, 1), Member(1, 0), Member(1, 1), Member(0, 0, 1)]
    weights = {member: first_weights(config, member) for member in config.members}
    for one, other in combinations(config.members, 2):
        assert all(map(torch.equal, weights[one], weights[other])) == (one.seed == other.seed)
        assert recipe(config, one).seed != recipe(config, other).seed
    assert all(map(torch.equal, weights[Member(0, 1)], first_weights(FRESH.config, Member(1, 1))))
    fields, twin = (vars(recipe(config, Member(0, 0, draws))) for draws in (0, 1))
    assert {key for key in fields if fields[key] != twin[key]} == {"seed"}


def seen_by(config, member, steps):
    """The clean strings that a network is shown in its first steps."""
    shown = []

    def spied(loss, network, y, *rest):
        shown.append(y.argmax(2))
        return network(y, 1.0).square().mean((1, 2))

    with pytest.MonkeyPatch.context() as patched:
        for module in ("loop", "streams"):
            patched.setattr(f"nearsight.training.{module}.training_loss", spied)
        each = trainer(replace(config, snapshots=(steps,)), member, blocks_of(config), Work())
        list(in_step([each]))
    return shown


def test_networks_see_their_block_alone():
    training = blocks_of(SMOKE.config)
    for member in SMOKE.config.members:
        for batch in seen_by(SMOKE.config, member, 3):
            own, other = ((batch[:, None] == training[block]).all(2).any(1) for block in (member.block, 1 - member.block))
            assert own.all() and not other.all()


def test_fresh_networks_see_strings_that_are_drawn_anew():
    one, other = (torch.stack(seen_by(FRESH.config, member, 12)) for member in FRESH.config.members)
    parsed = FRESH.config.grammar.parse(torch.cat([one, other]).flatten(0, 1))
    assert parsed.valid.all() and not torch.equal(one, other)
    assert len({tuple(batch.flatten().tolist()) for batch in torch.cat([one, other])}) == 24
    law = FRESH.config.grammar.leaf_marginals()
    shares = one_hot(torch.cat([one, other]).flatten(0, 1), 6).double().mean(0)
    assert ((shares - law).abs() <= 5 * (law * (1 - law) / (24 * 64)).sqrt()).all()


def test_epochs_show_each_string_of_the_block_once():
    config = replace(SMOKE.config, epochs=10, batch=48)  # an epoch of 64 strings has two steps, the second one smaller
    shown = seen_by(config, Member(1, 0), 4)
    assert [len(batch) for batch in shown] == [48, 16, 48, 16]
    block = blocks_of(config)[1]
    for epoch in (shown[:2], shown[2:]):
        assert packed(torch.cat(epoch), 6).sort().values.tolist() == packed(block, 6).sort().values.tolist()


# Measures


def test_oracles_are_where_they_should_be(ground):
    """BP_k as models: D_j of BP_k is the table of distances; BP_0 leans on nothing, and its strings come back in full."""
    models = [Widened(ground.grammar.denoiser(level)) for level in range(4)]
    found = measure_tests(models, ground, [[0, 1]])
    distance = found["distance"][HEADLINE]
    assert distance.diagonal().abs().max() < 1e-6
    assert distance[1:, 0].tolist() == pytest.approx([.123, .507, 1.532], rel=.05)
    assert (found["split"][HEADLINE] - distance.T).abs().max() < 1e-4
    assert (found["losses/test"][:, 0] - found["losses/test"][:, -1]).abs().max() < 1e-6
    assert found["staircase"][3].abs().max() < 1e-6
    assert found["distance/novel"][1:, 0].min() > 0 and found["losses/novel"].shape == (6, 5, 2)
    whole, *rest = found["variance"][HEADLINE, 0].tolist()
    assert whole == pytest.approx(float(found["pair_variance"][0, 1]), rel=1e-4) and rest == pytest.approx([0, 0], abs=1e-6)


def test_what_an_exact_chain_returns_needs_no_chain(ground):
    oracle = Widened(ground.grammar.denoiser())
    for time in (25, 60):
        made, exact, _, _ = turned(oracle, ground, ground.turned[0], 2, time).tolist()
        assert made == pytest.approx(exact, abs=4 * math.sqrt(.25 * .2 / 400))


def test_samples_of_the_oracle_are_strings_of_the_law(ground):
    counts = Counts(samples=2000, kept=600, few=512)
    oracle = Widened(ground.grammar.denoiser())
    found = measure_samples([oracle, oracle], [oracle, oracle], ground, counts)
    assert ground.grammar.parse(unpacked(found["samples/averaged"][0], 6, 8)).valid.all()
    assert found["samples/committee"].shape == (1, 512)
    assert torch.equal(found["samples/averaged"][0], found["samples/averaged"][1])  # same latents, same noise
    assert torch.equal(found["samples/raw"][0], found["samples/committee"][0])
    assert torch.equal(found["samples/averaged"][0, :512], found["samples/raw"][0])
    whole = draw(oracle, ground, 2000)
    assert torch.equal(packed(whole[:600], 6), found["samples/averaged"][0])
    values = ground.grammar.log_prob(whole)
    assert abs(float(values.mean()) + ground.grammar.entropy()) < 4 * float(values.std()) / math.sqrt(2000)
    assert found["nearest"].shape == (2, 6, 9) and found["nearest"][0].sum(1).tolist() == [2000.0] * 6
    for block, counted in zip(ground.training, found["nearest"][0]):
        assert counted.tolist() == string_distance(whole, block).bincount(minlength=9).tolist()


def test_strings_survive_packing():
    tokens = torch.randint(6, (50, 8), generator=torch.Generator().manual_seed(0))
    assert packed(tokens, 6).dtype == torch.int32 and torch.equal(unpacked(packed(tokens, 6), 6, 8), tokens)
    long = tokens.repeat(1, 2)
    assert packed(long, 6).dtype == torch.int64 and torch.equal(unpacked(packed(long, 6), 6, 16), long)


def test_who_remembers_leans_on_the_own_block_and_returns_it(ground):
    models = [Remembering(block) for block in ground.training[:2]]
    own = measure_own(models, [0, 1], ground)
    leaning = own["losses/own"][:, :, :, 1]  # [times, models, model or BP_0]
    assert (leaning[:, :, 0] < leaning[:, :, 1] - 0.05).all()
    tests = measure_tests(models, ground, [[0, 1]])
    assert (own["distance/own"][:, 0] > 1).all() and (own["split/own"] > 1).logical_or(torch.eye(2).bool()).all()
    assert (tests["losses/test"][:, :2, 1] > tests["losses/test"][:, 2:, 1] - 0.05).all()
    few = Counts(samples=200, kept=200, few=8, turns=1)
    made = measure_samples(models, models, ground, few)
    assert made["nearest"][0, 0, 0] == 200 and made["nearest"][1, 0, 0] < 100
    back = measure_turns(models, [0, 1], replace(ground, turned=ground.turned[:, :40]), few)["returned"]
    assert back.shape == (2, 2, 5, 4) and (back[:, 1, 4, 2] > 1).all() and (back[:, 0, 4, 2] < 0.95).all()


def test_a_learner_who_counts_stays_near_the_truth(ground):
    """D_0 and D_split at n = 300: .013 and .028, where networks have about .8 and .5."""
    models = [Widened(ground.grammar.counted(block).denoiser()) for block in ground.training]
    found = measure_tests(models, ground, [list(range(6))])
    between = found["split"][HEADLINE][~torch.eye(6, dtype=torch.bool)]
    assert found["distance"][HEADLINE, :, 0].mean() == pytest.approx(.013, abs=.005)
    assert between.mean() == pytest.approx(.028, abs=.009)
    bias = found["distance"][HEADLINE, :, 0].mean() - found["variance"][HEADLINE, 0, 0]
    assert 0 < bias < found["distance"][HEADLINE, :, 0].mean()


def test_the_recorded_parts_add_up(results):
    """Mean D_k of a committee's members = its bias + V, with every k; the variance of a part of them is one of two."""
    for run in (SMOKE, FRESH):
        last, (members, *_) = results[run.name].final, run.config.committees
        variance = last["variance"][:, 0]
        assert (last["distance"][:, members].mean(1) - variance[:, :1] > 0).all()
        assert variance[HEADLINE, 0] == pytest.approx(float(last["pair_variance"][members[0], members[1]]), rel=1e-3)


def test_trained_networks_lean_on_no_fresh_string():
    config = SMOKE.config
    each = trainer(replace(config, snapshots=(30, 60)), Member(0, 0), blocks_of(config), Work())
    chosen = ground_of(replace(config, counts=Counts(tests=2000, uniform=2000, noises=1, turned=1)))
    for [snapshot] in in_step([each]):
        for inputs in (chosen.tests[HEADLINE], chosen.uniform):
            leaning = oracle_losses(predictions([snapshot.ema], inputs)[0], inputs.levels[0].exp(), inputs.tokens).leaning
            assert abs(leaning.mean()) < 4 * leaning.std() / math.sqrt(2000)


def test_means_are_over_the_strings(ground):
    network = untrained(LAPTOP["hierarchy-300-laptop"]).requires_grad_(False).eval()
    inputs = ground.tests[HEADLINE]
    logs = torch.cat([network.log_probabilities(x, inputs.sigma) for x in inputs.x.split(333)])
    found = measure_tests([network, network], ground, [[0, 1]])
    expected = [float(divergence(level, logs).mean()) for level in inputs.levels]
    assert found["distance"][HEADLINE, 0].tolist() == pytest.approx(expected, rel=1e-4)
    novel = [float(divergence(level, logs)[ground.novel].mean()) for level in inputs.levels]
    assert found["distance/novel"][0].tolist() == pytest.approx(novel, rel=1e-4)


# Scales


def assert_two_steps_are_taken_and_measured(run, **fewer):
    chosen = replace(run.config, snapshots=(1, 2), counts=TINY, **fewer)
    stages = list(grammar_networks(chosen))
    assert [stage.step for stage in stages] == [1, 2]
    for stage in stages:
        assert all(array.double().isfinite().all() for array in stage.arrays.values())


@pytest.mark.parametrize("name", LAPTOP)
def test_the_laptop_scale_takes_two_steps_and_is_measured(name):
    assert_two_steps_are_taken_and_measured(find(name))


@pytest.mark.slow
def test_the_paper_scale_takes_two_steps_and_is_measured():
    """Of the 30 networks of each size, which differ in block and seed, the first two."""
    run = find("hierarchy-70000-paper")
    assert sum(p.numel() for p in untrained(run.config).parameters()) == 16_854_022
    assert run.config.steps == 35_000 * 137
    assert_two_steps_are_taken_and_measured(run, blocks=2, seeds=1)
