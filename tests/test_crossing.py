"""Where a share first reaches a level: plain cases, edges, and coverage."""

import math

import pytest
import torch
from nearsight.measures import crossing
from nearsight.page import dots, quartiles, ratio_axis

X = torch.tensor([0.5, 1.0, 2.0, 4.0])


def outcomes(*shares, runs=100):
    """Runs [100, S] with so many true outcomes a place."""
    return torch.arange(runs)[:, None] < torch.tensor([round(share * runs) for share in shares])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shares, place, stays", [
    ((0.0, 0.0, 1.0, 1.0), 1.5, True), ((0.1, 0.4, 0.6, 0.9), 1.5, True), ((0.0, 0.2, 0.4, 0.8), 2.5, True),
    ((0.7, 0.0, 0.4, 0.6), 0.5, False), ((0.0, 1.0, 0.4, 0.6), 0.75, False), ((0.0, 1.0, 0.5, 0.5), 0.75, True),
    ((0.5, 0.5, 0.5, 0.5), 0.5, True), ((0.9, 1.0, 1.0, 1.0), 0.5, True), ((0.9, 0.8, 0.7, 0.4), 0.5, False),
    ((0.0,) * 4, math.inf, False)])
def test_the_place_is_the_first_at_the_level(shares, place, stays):
    found = crossing(X, outcomes(*shares), seeded())
    assert found.place == pytest.approx(place) and found.low <= found.place <= found.high and found.stays == stays


def test_another_level():
    assert crossing(X, outcomes(0.0, 0.5, 1.0, 1.0), seeded(), level=0.75).place == pytest.approx(1.5)


def test_the_interval_covers():
    truth, covered = torch.tensor([0.1, 0.35, 0.7, 0.95]), 0
    place = 1 + 0.15 / 0.35
    for seed in range(200):
        drawn = torch.rand(150, 4, generator=seeded(seed)) < truth
        found = crossing(X, drawn, seeded(seed + 1000), resamples=400)
        covered += found.low <= place <= found.high
    assert abs(covered - 190) < 4 * math.sqrt(200 * 0.95 * 0.05)


@pytest.mark.parametrize("x, values, level, sentence", [
    (X, outcomes(0.1, 0.9), 0.5, r"bool \[runs, 4\]"), (X.flip(0), outcomes(0, 0, 1, 1), 0.5, "that rise"),
    (X, outcomes(0, 0, 1, 1).double(), 0.5, "bool"), (X, outcomes(0, 0, 1, 1), 1.0, "between 0 and 1"),
    (X[:1], outcomes(0.4), 0.5, "at least two")])
def test_bad_input_is_answered_with_a_sentence(x, values, level, sentence):
    with pytest.raises(ValueError, match=sentence):
        crossing(x, values, seeded(), level)


def test_marks_show_the_middle_and_its_bounds():
    import matplotlib.pyplot as plt

    values = torch.tensor([[1.0, math.inf], [2.0, 3.0], [3.0, 4.0], [9.0, 5.0], [4.0, 1.0]], dtype=torch.float64)
    middle, low, high = quartiles(values)
    assert (middle.tolist(), low.tolist(), high.tolist()) == ([3.0, 4.0], [2.0, 3.0], [4.0, 5.0])
    figure, axes = plt.subplots()
    ratio_axis(axes, (0.25, 0.5, 1, 4))
    dots(axes, [0.5, 1], (middle, low, high), "black", label="data")
    line, _, (bars,) = axes.containers[0].lines
    assert line.get_ydata().tolist() == [3.0, 4.0]
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[2.0, 4.0], [3.0, 5.0]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["¼", "½", "1", "4"]
    plt.close(figure)
