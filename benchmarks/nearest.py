"""Time of exact nearest neighbors, as a ratio to the float32 matrix product that any method needs, and to scikit-learn.

Medians of several calls after a warm-up, on as many threads as torch and scikit-learn take by default. The product has
no memory bound and finds nothing; it is the floor. scikit-learn's float32 distances are rounded; ours are exact.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import perf_counter

import torch
from nearsight import nearest
from sklearn.neighbors import NearestNeighbors

SHAPES = ((1_000, 60_000, 784, 1), (1_000, 60_000, 784, 24), (1_000, 10_000, 3_072, 2), (2_000, 20_000, 2, 1))


def seconds(call, repeats: int) -> float:
    """Median wall time of `call()`."""
    call()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32, median of {repeats}")
    print(f"{'queries':>8} {'reference':>9} {'d':>5} {'k':>3} {'nearest':>9} {'/ product':>9} {'/ sklearn':>9}")
    for count, size, entries, k in SHAPES:
        generator = torch.Generator().manual_seed(0)
        reference = torch.rand(size, entries, generator=generator)
        queries = torch.rand(count, entries, generator=generator)
        peer = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(reference.numpy())
        own = seconds(lambda: nearest(queries, reference, k=k), repeats)
        product = seconds(lambda: queries @ reference.T, repeats)
        other = seconds(lambda: peer.kneighbors(queries.numpy()), repeats)
        print(f"{count:8,} {size:9,} {entries:5,} {k:3} {own:8.2f}s {own / product:9.2f} {own / other:9.2f}")


if __name__ == "__main__":
    main()
