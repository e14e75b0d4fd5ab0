"""What is read from the records of study 5, on numbers whose answer is known."""

import math

import pytest
import torch
from nearsight.measures import mean_interval
from nearsight.shares import flips
from nearsight.studies.depth_data import prepared
from nearsight.studies.depth_readings import (
    Fit,
    at_loss,
    basin,
    bias_and_variance,
    claim,
    common_loss,
    depth_slope,
    lack_of_fit,
    least_squares,
    logit,
    minority_share,
    rates,
    recorded,
    unmixed,
)
from nearsight.studies.depth_readouts import Said
from scipy.stats import linregress

CELLS = ((0, 0), (1, 0), (2, 0), (0, 1))


def fit(low, high):
    return Fit(*(torch.tensor([value]) for value in ((low + high) / 2, low, high)), 11)


def test_a_series_is_found_by_its_name():
    assert set(recorded("equal")) == {(depth, *cell) for depth in range(4) for cell in CELLS}
    with pytest.raises(ValueError, match="no series 'deep'; expected a name such as"):
        recorded("deep")


def test_a_slope_in_depth_is_that_of_a_line_and_blind_to_what_a_cell_shares():
    generator = torch.Generator().manual_seed(0)
    noise = {(depth, cell): 0.1 * float(torch.randn(1, generator=generator)) for cell in CELLS for depth in range(4)}
    values = {key: -0.2 * key[0] + error for key, error in noise.items()}
    found = depth_slope(values)
    shifted = depth_slope({(depth, cell): value + 7 * CELLS.index(cell) for (depth, cell), value in values.items()})
    assert found.freedom == 16 - 4 - 1
    assert torch.allclose(found.value, shifted.value) and torch.allclose(found.low, shifted.low)
    assert float(found.low) < -0.2 < float(found.high)
    alone = {key: value for key, value in values.items() if key[1] == CELLS[0]}
    line = linregress([depth for depth, _ in alone], list(alone.values()))
    assert float(depth_slope(alone).value) == pytest.approx(line.slope)


def test_the_interval_of_a_slope_covers_it():
    generator = torch.Generator().manual_seed(0)
    design = torch.stack([torch.arange(8.0).double(), torch.ones(8).double()], 1)
    held = 0
    for _ in range(400):
        noise = torch.randn(8, generator=generator).double()
        found = least_squares(design, design @ torch.tensor([0.5, 1.0]).double() + noise)
        held += float(found.low[0]) <= 0.5 <= float(found.high[0])
    assert abs(held / 400 - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 400)


def test_a_line_through_a_curve_does_not_fit():
    generator = torch.Generator().manual_seed(0)
    depth = torch.arange(4.0).repeat(5).double()
    design, noise = torch.stack([depth, torch.ones(20).double()], 1), torch.randn(20, generator=generator).double()
    curve, line = (lack_of_fit(design, values + 0.1 * noise, depth.tolist()) for values in (depth**2, depth))
    assert curve < 1e-6 < 0.01 < line


def test_a_share_is_corrected_for_what_the_readout_does_to_real_images():
    ground = prepared("fashion", (900, 100), 0, 3)
    errors = rates(ground)
    for readout in ("likeliest", "nearest"):
        assert errors[readout].hits_from == 209 and errors[readout].alarms_from == 847
        assert errors[readout].hit > 0.9 and errors[readout].alarm < 0.02
    yes, no = torch.ones(100, dtype=torch.int64), torch.zeros(300, dtype=torch.int64)
    sure = torch.zeros(400, dtype=torch.bool)
    said = Said(torch.cat([yes, no]), torch.cat([no, yes]), sure, sure, sure)
    share = minority_share(said, "likeliest", errors["likeliest"])
    hit, alarm = errors["likeliest"][:2]
    assert share.share == pytest.approx((0.25 - alarm) / (hit - alarm))
    assert minority_share(said, "nearest", errors["nearest"]).share > share.share - 0.02
    assert flips(said.likeliest == 1, said.nearest == 1).rate == 0.5


def test_a_logit_is_clipped_where_no_sample_or_all_are_of_the_class():
    assert logit(0.0, 100) == pytest.approx(math.log(0.005 / 0.995)) == -logit(1.0, 100)
    assert logit(0.1, 100) == pytest.approx(math.log(1 / 9))


def test_verdicts_follow_the_rule():
    below, above, around = fit(-0.3, -0.1), fit(0.1, 0.3), fit(-0.1, 0.2)

    def both(first, second=None):
        return {"likeliest": first, "nearest": second or first}

    assert claim(both(below), both(below), 0.05) == "supported"
    assert claim(both(below), both(around), 0.05) == "supported, through the loss only"
    assert claim(both(above), both(above), 0.05) == "contradicted"
    assert claim(both(around), both(around), 0.05) == "undecided"
    assert claim(both(around, below), both(around), 0.05) == "the readout decides"
    assert claim(both(below), both(below), 0.33) == "the readout decides"


def test_networks_are_read_where_all_have_come_to():
    steps = torch.tensor([250, 500, 1000])
    losses = {"fast": torch.tensor([0.4, 0.2, 0.1]), "slow": torch.tensor([0.9, 0.5, 0.3])}
    level = common_loss(losses)
    assert level == pytest.approx(0.3)
    found = at_loss(steps, losses["fast"], torch.tensor([1.0, 3.0, 9.0]), level)
    assert not found.censored and found.value == pytest.approx(2) and found.step == pytest.approx(math.sqrt(250 * 500))
    assert at_loss(steps, losses["slow"], torch.tensor([1.0, 3.0, 9.0]), level).value == pytest.approx(9)
    early = at_loss(steps, losses["fast"], torch.tensor([1.0, 3.0, 9.0]), 0.5)
    assert early.censored and early.value == 1 and early.step == 250
    with pytest.raises(ValueError, match="expected it to reach 0.05"):
        at_loss(steps, losses["fast"], steps, 0.05)


def test_squared_bias_and_variance_have_no_bias_themselves():
    generator = torch.Generator().manual_seed(0)
    exact = torch.randn(2, 6, 5, generator=generator)
    found = [bias_and_variance(exact + 0.2 + 0.5 * torch.randn(2, 2, 6, 5, generator=generator), exact, 5)
             for _ in range(3000)]
    bias, variance = (torch.stack(each) for each in zip(*found))
    for values, truth in ((bias, 0.04), (variance, 0.25)):
        _, low, high = mean_interval(values.mean(1, keepdim=True), level=0.999)
        assert low < truth < high


def test_basins_are_counted_and_weighed():
    starts = 4  # two of each class
    ends = torch.tensor([[0, 1, 2, starts + 3], [0, 0, 0, 0], [0, 0, starts + 2, starts + 2]], dtype=torch.int16)
    number, share = basin(ends, (0.9, 0.1))
    assert number.tolist() == [4, 1, 2] and share.tolist() == pytest.approx([0.05, 0, 0.1])


def test_mixed_classes_come_apart_again():
    confusion = torch.tensor([[90.0, 10, 0], [5, 80, 15], [1, 2, 97]])
    shares = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    seen = shares @ (confusion / confusion.sum(1, keepdim=True)).double()
    assert torch.allclose(unmixed(seen, confusion), shares)
