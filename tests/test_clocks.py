"""Clocks and classes of pairs: against loops, and against what is known of curves whose minimum is known."""

import pytest
import torch
from nearsight.measures import Clock, block_curves, bootstrap_clocks, split_divergence, split_variance

F64 = torch.float64
LABELS = [(block, seed) for block in range(4) for seed in range(2)]
STEPS = torch.tensor([10, 20, 40, 80, 160])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_split_divergence_is_split_variance_with_another_distance():
    """On mean squared differences both are the same numbers, with the same errors; here at two entries of a curve."""
    outputs = {label: torch.randn(30, 2, generator=seeded(index), dtype=F64) for index, label in enumerate(LABELS)}
    squares = torch.stack([torch.stack([(a - b).square().mean() for b in outputs.values()]) for a in outputs.values()])
    found, expected = split_divergence(torch.stack([squares, 3 * squares]), LABELS), split_variance(outputs)
    for name in vars(expected):
        one, curve = getattr(expected, name), getattr(found, name)
        assert curve.value.tolist() == pytest.approx([float(one.value), 3 * float(one.value)])
        assert curve.error.tolist() == pytest.approx([float(one.error), 3 * float(one.error)])


@pytest.mark.parametrize("differing", ["both", "data"])
def test_block_curves_are_means_over_pairs_of_their_class(differing):
    values = torch.rand(3, 8, 8, generator=seeded(), dtype=F64)
    found = block_curves(values, LABELS, differing)
    for i in range(4):
        for j in range(4):
            pairs = [(a, b) for a, (block, seed) in enumerate(LABELS) for b, (other, again) in enumerate(LABELS)
                     if {block, other} == {i, j} and block != other and (seed != again) == (differing == "both")]
            if i != j:
                expected = sum(values[:, a, b] for a, b in pairs) / len(pairs)
                assert found[:, i, j].tolist() == pytest.approx(expected.tolist())
    assert block_curves(values[:, 0], LABELS)[:, 1].tolist() == pytest.approx(values[:, 0, 2:4].mean(1).tolist())


def slow_clock(steps, values, counts, start):
    """The step of the least mean over resampled blocks, or over ordered pairs of different ones."""
    means = []
    for row in values:
        if row.ndim == 1:
            terms = [(float(row[i]), float(counts[i])) for i in range(len(row))]
        else:
            terms = [(float(row[i, j]), float(counts[i] * counts[j])) for i in range(len(row)) for j in range(len(row))
                     if i != j]
        means.append(sum(value * weight for value, weight in terms) / sum(weight for _, weight in terms))
    return min((mean, step) for step, mean in zip(steps.tolist(), means) if step >= start)[1]


def test_a_clock_is_the_argmin_of_each_resample_within_its_window(monkeypatch):
    counts = torch.tensor([[2, 1, 1, 0], [0, 4, 0, 0], [1, 0, 0, 3], [1, 1, 1, 1]], dtype=F64)
    monkeypatch.setattr("nearsight.measures.clocks.resampled_counts", lambda *given: [counts])
    pairs, single = torch.rand(5, 4, 4, generator=seeded(1), dtype=F64), torch.rand(5, 4, generator=seeded(2), dtype=F64)
    later = torch.rand(3, 4, generator=seeded(3), dtype=F64)
    pairs.diagonal(dim1=1, dim2=2).fill_(torch.nan)
    curves = {"pairs": (STEPS, pairs), "opening": (STEPS, single), "few": (STEPS[2:], later)}
    found = bootstrap_clocks(curves, "opening", seeded())
    kept = torch.cat([torch.ones(1, 4, dtype=F64), counts[[0, 2, 3]]])  # one block alone is no family
    starts = [slow_clock(STEPS, single, each, 0) for each in kept]
    for name, (steps, values) in curves.items():
        expected = [slow_clock(steps, values, each, start) for each, start in zip(kept, starts)]
        assert [found[name].step, *found[name].drawn.tolist()] == expected
        assert found[name].low == min(expected[1:]) and found[name].high == max(expected[1:])
    assert found["opening"].first
    free = bootstrap_clocks(curves, None, seeded())
    assert free["pairs"].step == slow_clock(STEPS, pairs, kept[0], 0)


def test_blocks_that_agree_leave_no_doubt_and_an_order_has_its_probability():
    valley = (torch.arange(5.0, dtype=F64) - 1).square()
    late = valley.roll(2)
    curves = {"early": (STEPS, valley[:, None].expand(5, 6)), "late": (STEPS, late[:, None].expand(5, 6))}
    found = bootstrap_clocks(curves, None, seeded(), resamples=50)
    assert (found["early"].low, found["early"].step, found["early"].high) == (20, 20, 20)
    assert found["late"].step == 80
    assert found["early"].before(found["late"]) == 1 and found["late"].before(found["early"]) == 0
    assert found["early"].before(found["early"]) == 0


def test_the_interval_covers_the_minimum_of_the_mean():
    """Blocks of noisy valleys about the third step: 95 % intervals hold it in nearly all of 100 studies."""
    generator, held = seeded(4), 0
    valley = 0.3 * (torch.arange(5.0, dtype=F64) - 2).square()
    for _ in range(100):
        values = valley[:, None] + 0.3 * torch.randn(5, 8, generator=generator, dtype=F64)
        clock = bootstrap_clocks({"curve": (STEPS, values)}, None, generator, resamples=200)["curve"]
        held += clock.low <= 40 <= clock.high
    assert held >= 90


def test_what_is_no_curve_of_blocks_is_refused():
    curve = {"a": (STEPS, torch.ones(5, 3))}
    for call in (lambda: bootstrap_clocks({"a": (STEPS, torch.ones(5, 1))}, None, seeded()),
                 lambda: bootstrap_clocks({**curve, "b": (STEPS, torch.ones(5, 4))}, None, seeded()),
                 lambda: bootstrap_clocks({"a": (STEPS.flip(0), torch.ones(5, 3))}, None, seeded()),
                 lambda: bootstrap_clocks(curve, "b", seeded()),
                 lambda: block_curves(torch.ones(5, 3), LABELS),
                 lambda: split_divergence(torch.ones(4, 4), [(0, 0), (0, 1), (1, 2), (1, 3)]),
                 lambda: Clock(1, 1, 1, torch.ones(3), True).before(Clock(1, 1, 1, torch.ones(4), True))):
        with pytest.raises(ValueError, match="expected"):
            call()
