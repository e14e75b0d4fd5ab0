"""The peak of a gap over several draws: exact for a parabola, and an interval that covers."""

import pytest
import torch
from nearsight.flow import gap_peak

SIGMAS = torch.logspace(-0.5, 0.75, 16, dtype=torch.float64)


def bump(height, place, width=0.8):
    """A gap that is a parabola in ln sigma near its peak, over training errors of 1."""
    gap = height - width * (SIGMAS / place).log().square()
    return torch.ones_like(SIGMAS), 1 + gap


@pytest.mark.parametrize(("height", "place"), [(0.3, 1.29), (2.0, 0.71), (0.01, 3.0)])
def test_the_top_of_a_parabola_is_found_between_the_levels(height, place):
    train, holdout = (errors.expand(5, -1) for errors in bump(height, place))
    peak = gap_peak(train, holdout, SIGMAS, torch.Generator().manual_seed(0))
    assert abs(peak.height - height) < 1e-12 and abs(peak.place / place - 1) < 1e-12
    assert all(abs(end - height) < 1e-12 for end in peak.height_interval)


def test_errors_are_averaged_before_the_ratio_is_taken():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):  # the largest value stands at an end in some of them
        train, holdout = torch.rand(2, 7, 16, dtype=torch.float64, generator=generator) + 1
        values = holdout.mean(0) / train.mean(0) - 1
        found = gap_peak(train, holdout, SIGMAS, generator, 10).height
        assert found >= values[1:-1].max() - 1e-12


def test_the_interval_covers_the_height():
    covered, (train, holdout) = 0, bump(0.3, 1.29)
    generator = torch.Generator().manual_seed(3)
    for _ in range(100):
        factors = 1 + 0.1 * torch.randn(30, 1, dtype=torch.float64, generator=generator)
        low, high = gap_peak(train.expand(30, -1), 1 + (holdout - 1) * factors, SIGMAS, generator, 300).height_interval
        covered += low <= 0.3 <= high
    assert covered >= 86  # 95 of 100 expected, less 4 standard deviations


def test_a_gap_without_a_peak_is_as_high_everywhere():
    peak = gap_peak(torch.ones(3, 16), 1.5 * torch.ones(3, 16), SIGMAS)
    assert peak.height == 0.5 and peak.height_interval == (0.5, 0.5)


def test_levels_must_be_equally_spaced():
    with pytest.raises(ValueError, match="equally spaced"):
        gap_peak(torch.ones(2, 3), torch.ones(2, 3), torch.tensor([1.0, 2.0, 3.0]))
