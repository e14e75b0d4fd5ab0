import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch
from nearsight.records.sweeps import processes, sweep


@dataclass(frozen=True)
class Walk:
    seed: int
    length: int = 50


def walk(config: Walk) -> torch.Tensor:
    generator = torch.Generator().manual_seed(config.seed)
    return torch.randn(config.length, 20, generator=generator).cumsum(0).T @ torch.ones(config.length)


def refuse_three(number: int) -> int:
    if number == 3:
        raise ValueError("three is refused")
    return number


def slow_first(number: int) -> int:
    time.sleep(0.2 if number == 0 else 0.0)
    return number


def threads(_: int) -> int:
    return torch.get_num_threads()


WALKS = [Walk(seed) for seed in range(7)]


def test_a_process_pool_computes_the_bits_of_this_process():
    here = list(sweep(walk, WALKS))
    with processes(2) as executor:
        there = list(sweep(walk, WALKS, executor))
        assert list(sweep(threads, [0, 1], executor)) == [1, 1]
    assert len(here) == len(there) == 7
    assert all(torch.equal(a, b) for a, b in zip(here, there))


def test_dask_computes_the_bits_of_this_process():
    from distributed import Client, LocalCluster

    with (LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0") as cluster,
          Client(cluster) as client):
        there = list(sweep(walk, WALKS, client.get_executor()))
    assert all(torch.equal(a, b) for a, b in zip(sweep(walk, WALKS), there, strict=True))


def test_results_come_in_the_order_of_the_configurations():
    with ThreadPoolExecutor(4) as executor:
        assert list(sweep(slow_first, range(10), executor)) == list(range(10))


@pytest.mark.parametrize("pool", [False, True])
def test_an_error_names_the_configuration(pool):
    executor = ThreadPoolExecutor(2) if pool else None
    results = sweep(refuse_three, range(6), executor)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three is refused") as caught:
        next(results)
    assert caught.value.__notes__ == ["The sweep stopped at 3."]


def test_nothing_is_computed_before_it_is_asked_for():
    seen = []
    results = sweep(seen.append, [1, 2, 3])
    assert seen == []
    next(results)
    assert seen == [1]
