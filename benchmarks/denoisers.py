"""Cost of the empirical denoiser, as a ratio to its two matrix products alone, in one run."""

import time

import torch
from nearsight import EmpiricalDenoiser
from nearsight.datasets import fashion_mnist

REPEATS = 7


def seconds(call):
    """Median wall time of `call` after a warm-up, and its range."""
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    times.sort()
    return times[len(times) // 2], times[0], times[-1]


def main():
    points = fashion_mnist("train").images
    flat = points.flatten(1)
    denoiser = EmpiricalDenoiser(points)
    generator = torch.Generator().manual_seed(0)
    print(f"EmpiricalDenoiser of {len(points)} images of {flat.shape[1]} pixels, 256 queries, float32, "
          f"{torch.get_num_threads()} threads; median of {REPEATS} (least, most)")
    for sigma in (0.01, 0.3, 3.0, 30.0):
        x = points[:256] + sigma * torch.randn(256, 1, 28, 28, generator=generator)
        mine = seconds(lambda: denoiser(x, sigma))
        products = seconds(lambda: (x.flatten(1) @ flat.T) @ flat)
        print(f"  sigma {sigma:5g}: {mine[0]:.3f} s ({mine[1]:.3f}, {mine[2]:.3f}), "
              f"{mine[0] / products[0]:.1f} times the products alone")


if __name__ == "__main__":
    main()
