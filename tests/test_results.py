"""Results that print: one line that says what the fields hold, and a table of the same pairs."""

import dataclasses
import importlib
import math
import pkgutil
import re
from html.parser import HTMLParser

import nearsight
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nearsight import gaussian
from nearsight.checks.results import Readable, interval, number, span, with_error
from nearsight.datasets import disjoint_blocks, disjoint_splits, fashion_mnist
from nearsight.denoisers import EmpiricalDenoiser
from nearsight.flow import FittedBlur, FittedSpread, GapMap, GapPeak
from nearsight.measures import (
    Clock,
    Estimate,
    crossing,
    family_preference,
    flat_minimum,
    generalization_gap,
    membership,
    memorized_fraction,
    moment_ladder,
    nearest,
    overfitting_onset,
    own_other,
    principal_basis,
    proximity_bias,
    proximity_curve,
    split_variance,
)
from nearsight.measures.preference import Preference
from nearsight.shares import basin_shares, corrected, flips, settle
from nearsight.tree import Grammar

ELSEWHERE = ("nearsight.records", "nearsight.studies", "nearsight.__main__")  # records show themselves


def examples():
    """One result of every kind, by name, made by the library where that takes no training."""
    generator = torch.Generator().manual_seed(0)
    train, holdout = torch.randn(2, 60, 3, generator=generator).unbind(0)
    samples = train.repeat(4, 1)[:200] + 0.4 * torch.randn(200, 3, generator=generator)
    denoiser = EmpiricalDenoiser(train, blur=0.3)
    sigmas = torch.tensor([0.2, 0.5, 1.0, 2.0])
    bias = proximity_bias(samples, train, holdout)
    spectrum = torch.linspace(0.1, 2, 30)
    outputs = {(block, seed): torch.randn(9, 2, generator=generator) for block in range(3) for seed in range(2)}
    hits = torch.rand(2, 90, generator=generator) < 0.3
    results = [
        bias, bias.deal, own_other(samples, samples.flip(0), train, holdout), nearest(samples, train, k=2),
        Preference(**{field.name: getattr(bias, field.name) for field in dataclasses.fields(Preference)}),
        memorized_fraction(samples, train), generalization_gap(denoiser, train, holdout, sigmas, draws=2),
        membership(denoiser, train, torch.cat([holdout] * 4), sigmas, 2, generator), split_variance(outputs),
        Estimate(torch.tensor(1.23456), torch.tensor(0.0213)), overfitting_onset(torch.rand(5, 4, 20), generator, 50),
        family_preference({(block, 0): nearest(samples.roll(block, 0), torch.cat([train, holdout]), k=8).index
                           for block in range(2)}, torch.arange(120) // 60, generator, 20),
        proximity_curve(samples, train, holdout, [4, 60]),
        moment_ladder(*[train, torch.arange(60) % 3] * 2)["mean"], flat_minimum(torch.rand(5, 20, generator=generator)),
        principal_basis(samples, 2), corrected(0.31, 400, 0.9, 0.05, 300, 500), flips(*hits),
        basin_shares(torch.tensor([0.75, 0.25]), torch.tensor([-1.0, 1.0]), 0.3, 0.1), settle(denoiser, samples, 0.5),
        GapMap(torch.linspace(-15, 15, 5), torch.arange(25.0).view(5, 5) / 7),
        crossing(sigmas, torch.rand(9, len(sigmas), generator=generator).round().bool(), generator, resamples=40),
        gaussian.sampler_map(spectrum, torch.tensor([2.0, 1.0, 0.0])),
        gaussian.expected_divergences(spectrum, 100), gaussian.expected_errors(spectrum, 100, 0.1),
        gaussian.proportional_limits(9.7), disjoint_splits(100, 20, 4), fashion_mnist("report"),
        disjoint_blocks(torch.randint(4, (90, 8), generator=generator), 20, 3),
        Clock(518, 430, 725, torch.arange(2000), True),
        FittedBlur(1.4, 0.31), FittedSpread(0.02, 0.3), GapPeak(0.21, (0.18, 0.25), 1.3, (1.2, 1.5)), Grammar.random(),
        Grammar.random().parse(torch.randint(6, (90, 16), generator=generator)),
    ]
    return {type(result).__name__: result for result in results}


EXAMPLES = examples()


class Cells(HTMLParser):
    """The words of a table's cells, and its tags."""

    def __init__(self, source):
        super().__init__()
        self.words, self.tags = [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)


def numbers(text):
    return [float(each) for each in re.findall(r"(?<![\w^])-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]


def library_classes():
    """Every class that the library defines, apart from records and studies."""
    for module in pkgutil.walk_packages(nearsight.__path__, "nearsight."):
        if not module.name.startswith(ELSEWHERE):
            members = vars(importlib.import_module(module.name)).values()
            yield from (each for each in members if isinstance(each, type) and each.__module__ == module.name)


def test_every_result_that_holds_tensors_is_readable_and_has_its_example():
    classes = list(library_classes())
    holding = {each.__name__ for each in classes if dataclasses.is_dataclass(each)
               and any("Tensor" in str(field.type) or "Estimate" in str(field.type) for field in dataclasses.fields(each))}
    readable = {each.__name__ for each in classes if issubclass(each, Readable)} - {"Readable"}
    assert holding <= readable == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_result_is_one_short_line_and_a_table_of_the_same_pairs(name):
    result = EXAMPLES[name]
    line, pairs = repr(result), result._pairs()
    assert line.startswith(f"{name}(") and "\n" not in line and len(line) < 120
    table = Cells(result._repr_html_())
    assert table.tags.count("tr") == table.tags.count("th") == table.tags.count("td") == len(pairs)
    assert table.words[0] == name and table.words[1::2] == list(pairs)
    assert all(words in line for words in table.words[2::2])
    assert "nan" not in line and "tensor" not in line


def test_the_line_of_a_proximity_bias():
    bias = EXAMPLES["ProximityBias"]
    assert bias.ties == 0
    ends = f"{bias.preference:.2f} [{bias.low:.2f}, {bias.high:.2f}]"
    p = re.fullmatch(rf"ProximityBias\({re.escape(ends)}, p = (\S+), 200 samples\)", repr(bias))[1]
    assert float(p) == pytest.approx(bias.p_value, rel=0.05) and len(p.partition("e")[0]) <= 3
    tied = dataclasses.replace(bias, ties=3)
    assert repr(tied).endswith("200 samples, 3 ties)")
    assert repr(EXAMPLES["Preference"]) == repr(bias).replace("ProximityBias", "Preference")


def test_lines_of_counted_results():
    share, flipped, near = EXAMPLES["MemorizedFraction"], EXAMPLES["Flips"], EXAMPLES["Neighbors"]
    assert numbers(repr(share)) == pytest.approx([share.fraction, share.low, share.high, 200], abs=5e-3)
    values = [flipped.rate, flipped.low, flipped.high, flipped.p_value, flipped.b, flipped.c, 90]
    assert numbers(repr(flipped)) == pytest.approx(values, abs=5e-3)
    low, high = near.distance.aminmax()
    assert repr(near) == f"Neighbors(200 queries, 2 nearest, distance = {low:.3g} .. {high:.3g})"
    assert repr(EXAMPLES["Splits"]) == "Splits(4 sets, 20 indices a set)"
    novel = int(EXAMPLES["TokenBlocks"].novel.sum())
    assert repr(EXAMPLES["TokenBlocks"]) == ("TokenBlocks(3 blocks, 20 strings a block, 8 tokens a string, "
                                             f"30 strings held out, {novel} of them novel)")
    assert repr(EXAMPLES["Grammar"]) == "Grammar(6 tokens, depth = 4, 24 rules)"
    parse = EXAMPLES["Parse"]
    assert repr(parse) == f"Parse(90 strings, 4 levels, {int(parse.valid.sum())} of the language)"
    assert repr(EXAMPLES["Images"]) == "Images(1024 images, shape = [1, 28, 28], 10 classes)"


def test_lines_of_curves():
    gap = EXAMPLES["GeneralizationGap"]
    largest = gap.gap.argmax()
    assert repr(gap) == (f"GeneralizationGap(4 levels, sigma = 0.2 .. 2, largest gap = {gap.gap[largest]:.3g} at "
                         f"{gap.sigmas[largest]:g}, points = 60 + 60)")
    onset = EXAMPLES["Overfitting"]
    assert f"checkpoint = {onset.index.min()} .. {onset.index.max()}, {onset.open.sum()} open" in repr(onset)
    assert repr(EXAMPLES["GapMap"]) == "GapMap(places = 5 x 5, axis = -15 .. 15, gap = 0 .. 3.43)"
    run = EXAMPLES["SamplerMap"]
    ends = [end for part in (run.gain, run.pull, run.noise_variance) for end in part.unique()[[0, -1]].tolist()]
    assert numbers(repr(run)) == pytest.approx([30, *ends[:4], 0], rel=5e-3)


def test_a_gap_that_is_nan_somewhere_still_has_a_largest():
    gap = dataclasses.replace(EXAMPLES["GeneralizationGap"], train_errors=torch.zeros(4, 2),
                              holdout_errors=torch.tensor([[0.0], [0.0], [1.0], [0.0]]))
    assert "largest gap = inf at 1, points = 2 + 1" in repr(gap)


def test_lines_of_estimates_and_expectations():
    assert repr(EXAMPLES["Estimate"]) == "Estimate(1.235 ± 0.021)"
    curve = Estimate(torch.tensor([1.0, 2.5]), torch.tensor([0.1, math.nan]))
    assert repr(curve) == "Estimate(1 .. 2.5, error = nan, shape = [2])"
    errors = EXAMPLES["ExpectedErrors"]
    assert repr(errors) == (f"ExpectedErrors(train = {errors.train:.3g}, holdout = {errors.holdout:.3g}, "
                            f"optimum = {errors.optimum:.3g})")
    split = EXAMPLES["SplitVariance"]
    parts, shown = (split.data_variance, split.seed_variance, split.mixed_variance), numbers(repr(split))
    for part, value, error in zip(parts, shown[::2], shown[1::2]):
        assert [value, error] == pytest.approx([float(part.value), float(part.error)], abs=float(part.error) / 20)


def test_a_membership_says_both_of_its_rates():
    attack = EXAMPLES["Membership"]
    wanted = [attack.auc, attack.auc_low, attack.auc_high, attack.tpr, attack.tpr_low, attack.tpr_high, 0.01, 60, 240]
    assert numbers(repr(attack)) == pytest.approx(wanted, abs=5.1e-3)


@given(st.floats(-1e12, 1e12), st.sampled_from([2, 3]))
def test_a_number_keeps_its_leading_digits(value, digits):
    text = number(value, digits)
    assert float(text) == pytest.approx(value, rel=0.5 * 10 ** (1 - digits), abs=0)
    assert not re.search(r"e\+|e-?0|^-0$", text)


@pytest.mark.parametrize("value, text", [(0.66, "0.66"), (2e-7, "2e-7"), (12345.6, "12346"), (999.7, "1000"), (4e9, "4e9"),
                                         (-0.0, "0"), (math.inf, "inf"), (math.nan, "nan"), (0.1 + 0.2, "0.3")])
def test_numbers_as_a_person_writes_them(value, text):
    assert number(value) == text


@given(st.floats(-100, 100), st.floats(1e-5, 50), st.floats(1e-5, 50))
def test_an_interval_shows_two_digits_of_its_width(value, below, above):
    shown = numbers(interval(value, value - below, value + above))
    assert shown == pytest.approx([value, value - below, value + above], abs=(below + above) / 20 * (1 + 1e-9))
    assert numbers(with_error(value, above)) == pytest.approx([value, above], abs=above / 20 * (1 + 1e-9))


def test_intervals_and_spans_without_width():
    assert interval(1.0, 1.0, 1.0) == "1 [1, 1]"
    assert interval(math.nan, math.nan, math.nan) == "nan [nan, nan]"
    assert interval(0.5, -math.inf, math.inf) == "0.5 [-inf, inf]"
    assert interval(0.001, -0.001, 0.2) == "0.00 [0.00, 0.20]"
    assert span(torch.full((3,), 2.0)) == "2" and span(torch.empty(0)) == "none"


@dataclasses.dataclass(frozen=True, repr=False)
class Plain(Readable):
    """A result that says no more than that it is readable."""

    share: float
    exact: bool
    samples: int
    note: str
    places: torch.Tensor
    mean: torch.Tensor


def test_one_line_makes_a_result_readable_and_html_is_escaped():
    result = Plain(0.123456, True, 7, "<b>a & b</b>", torch.zeros(1000, 2), torch.tensor(0.98765))
    assert repr(result) == ("Plain(share = 0.123, exact = True, 7 samples, note = <b>a & b</b>, places = [1000, 2], "
                            "mean = 0.988)")
    table = Cells(result._repr_html_())
    assert "b" not in table.tags and "<b>a & b</b>" in "".join(table.words)
    assert table.tags.count("tr") == 6


def test_readable_results_are_equal_as_before():
    first, again = (corrected(0.3, 400, 0.9, 0.05, 300, 500) for _ in range(2))
    assert first == again and hash(first) == hash(again)
    splits, others = disjoint_splits(10, 2, 2), disjoint_splits(10, 2, 2)
    assert splits != others and splits == splits
