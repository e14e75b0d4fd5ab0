import math
import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nearsight.measures.proximity import memorized_fraction, nearest


def brute_force(queries, reference, k, exclude_self=False):
    rows = [(query - reference.flatten(1).double()).square().sum(1).sqrt() for query in queries.flatten(1).double()]
    distance = torch.stack(rows)
    if exclude_self:
        distance.fill_diagonal_(math.inf)
    distance, index = distance.sort(dim=1, stable=True)
    return distance[:, :k], index[:, :k]


@st.composite
def point_sets(draw):
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    event = draw(st.sampled_from([(1,), (2,), (33,), (1, 4, 5), (3, 7, 2)]))
    queries, count = draw(st.integers(1, 40)), draw(st.integers(3, 90))
    offset, scale = draw(st.sampled_from([0, 10, 1e4])), draw(st.sampled_from([1e-6, 1.0, 1e3]))
    points = offset + scale * torch.randn(count, *event, generator=generator, dtype=torch.float64)
    picks = torch.randint(count, (queries,), generator=generator)
    spread = draw(st.sampled_from([0.0, 1e-7, 1.0]))
    noise = torch.randn(queries, *event, generator=generator, dtype=torch.float64)
    points[count // 2] = points[0]
    return (points[picks] + spread * scale * noise).to(dtype), points.to(dtype)


@settings(max_examples=150, deadline=None)
@given(point_sets(), st.integers(1, 3))
def test_nearest_is_the_float64_brute_force(sets, k):
    queries, reference = sets
    found = nearest(queries, reference, k=k)
    distance, _ = brute_force(queries, reference, k)
    torch.testing.assert_close(found.distance.double(), distance, rtol=1e-6, atol=0)
    chosen = (queries.flatten(1).double()[:, None] - reference.flatten(1).double()[found.index]).norm(dim=-1)
    torch.testing.assert_close(chosen, distance, rtol=1e-12, atol=0)
    assert found.distance.dtype == queries.dtype and found.index.dtype == torch.int64


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 60), st.booleans())
def test_of_equally_near_events_the_lower_index_comes_first(seed, entries, count, exclude_self):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randint(0, 3, (count, entries), generator=generator).float()
    k = min(5, count - exclude_self)
    found = nearest(points, points, k=k, exclude_self=exclude_self)
    assert torch.equal(found.index, brute_force(points, points, k, exclude_self)[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tiles_agree_with_brute_force(dtype):
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(2300, 24, generator=generator, dtype=dtype)
    for queries, k, exclude_self in ((points[:1100], 1, False), (points, 3, True), (points[:40], 2300, False)):
        found = nearest(queries, points, k=k, exclude_self=exclude_self)
        distance, index = brute_force(queries, points, k, exclude_self)
        torch.testing.assert_close(found.distance.double(), distance, rtol=1e-6, atol=0)
        assert torch.equal(found.index, index)


def test_identical_twins_are_not_the_self_that_is_excluded():
    points = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 0.0]])
    found = nearest(points, points, exclude_self=True)
    assert found.index.flatten().tolist() == [2, 0, 0]
    assert found.distance.flatten().tolist() == [0, 5, 0]


def test_near_duplicates_far_from_the_origin_are_resolved_in_float32():
    generator = torch.Generator().manual_seed(2)
    reference = 100 + torch.rand(3000, 784, generator=generator)
    nudged = torch.nextafter(reference[:64], torch.tensor(math.inf))
    found = nearest(nudged, reference, k=2)
    assert torch.equal(found.index[:, 0], torch.arange(64))
    torch.testing.assert_close(found.distance.double(), brute_force(nudged, reference, 2)[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("magnitude, dtype", [(1e-42, torch.float32), (1e-30, torch.float32), (1e30, torch.float32),
                                              (1e-200, torch.float64), (1e200, torch.float64)])
def test_neither_underflow_nor_overflow_changes_the_answer(magnitude, dtype):
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(300, 8, generator=generator, dtype=torch.float64)
    found = nearest((points[:50] * magnitude).to(dtype), (points * magnitude).to(dtype), k=2)
    stored = (points * magnitude).to(dtype).double() / magnitude
    distance, index = brute_force(stored[:50], stored, 2)
    assert torch.equal(found.index, index)
    unit = torch.nextafter(torch.zeros(1, dtype=dtype), torch.ones(1, dtype=dtype)).double() / magnitude
    torch.testing.assert_close(found.distance.double() / magnitude, distance, rtol=1e-6, atol=float(unit))


def test_neither_autocast_nor_rounded_products_change_the_answer():
    generator = torch.Generator().manual_seed(4)
    points = torch.randn(4000, 64, generator=generator)
    expected = brute_force(points[:200], points, 3)[1]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nearest(points[:200], points, k=3).index, expected)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert torch.equal(nearest(points[:200], points, k=3).index, expected)
    finally:
        torch.set_float32_matmul_precision(before)


def test_far_outliers_do_not_blur_the_rest():
    generator = torch.Generator().manual_seed(5)
    points = torch.randn(2000, 16, generator=generator)
    points[7] = 1e12
    found = nearest(points[:100], points, k=2)
    assert torch.equal(found.index, brute_force(points[:100], points, 2)[1])


def test_temporary_memory_stays_below_256_megabytes():
    script = """
        import resource, torch
        from nearsight.measures.proximity import nearest
        torch.set_num_threads(1)
        reference, queries = torch.rand(60_000, 784), torch.rand(600, 784)
        nearest(queries[:10], reference[:10])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        nearest(queries, reference, k=3)
        nearest(queries[:2], reference, k=60_000)
        nearest(torch.zeros(200, 784), torch.zeros(700, 784), k=1)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 256


def test_planted_copies_are_counted_exactly():
    generator = torch.Generator().manual_seed(6)
    train = torch.randn(400, 1, 6, 6, generator=generator)
    samples = torch.randn(300, 1, 6, 6, generator=generator)
    samples[:75] = train[:75] + 0.01 * samples[:75]
    result = memorized_fraction(samples, train)
    assert result.fraction == 0.25
    assert (result.ratios < 1 / 3).nonzero().flatten().tolist() == list(range(75))
    assert result.low < 0.25 < result.high


def test_a_copy_of_a_training_event_that_occurs_twice_counts():
    train = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 3.0]])
    result = memorized_fraction(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), train)
    assert result.fraction == 0.5
    assert result.ratios.tolist() == [0, 1]


def test_none_memorized_of_a_hundred_leaves_room_for_four_percent():
    generator = torch.Generator().manual_seed(7)
    result = memorized_fraction(torch.randn(100, 64, generator=generator), torch.randn(50, 64, generator=generator))
    assert result.fraction == result.low == 0
    assert result.high == pytest.approx(0.0370, abs=5e-5)


@pytest.mark.parametrize("call, error, words", [
    (lambda a: nearest(a, a[:, :1]), ValueError, "expected equal shapes"),
    (lambda a: nearest(a[:2], a, exclude_self=True), ValueError, "one set twice"),
    (lambda a: nearest(a, a, k=6), ValueError, "from 1 to 5"),
    (lambda a: nearest(a, a, k=5, exclude_self=True), ValueError, "from 1 to 4"),
    (lambda a: nearest(a, a, k=0), ValueError, "expected a whole number >= 1"),
    (lambda a: nearest((255 * a).to(torch.uint8), a), TypeError, "divide by 255"),
    (lambda a: nearest(a, a * math.nan), ValueError, "NaN or infinite"),
    (lambda a: nearest(a[:0], a), ValueError, "at least 1"),
    (lambda a: memorized_fraction(a, a[:1]), ValueError, "at least 2"),
    (lambda a: memorized_fraction(a, a, ratio=0), ValueError, "ratio is 0"),
])
def test_bad_input_is_refused_with_a_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call(torch.ones(5, 3))
