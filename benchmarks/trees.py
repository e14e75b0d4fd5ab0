"""Cost of belief propagation, as a ratio to the textbook's in log space, in one run; and how it grows with the tree.

The textbook sends messages up and down, each a sum over all q^3 triples of parent and children, and multiplies the two that
meet at a leaf. Ours goes over the rules that there are, and takes no exponential on the way down.
"""

import time

import torch
from nearsight.tree import Grammar

REPEATS = 7


def textbook(transitions, x, sigma):
    """Posterior [B, L, q] of the leaves given x, by messages that are logarithms."""
    log_rules, up = transitions.log(), [x / sigma**2]
    while up[0].shape[1] > 1:
        left, right = up[0][:, 0::2, None, :, None], up[0][:, 1::2, None, None, :]
        up.insert(0, (log_rules + left + right).logsumexp((-2, -1)))
    down = torch.zeros_like(up[0])
    for below in up[1:]:
        left, right = below[:, 0::2, None, :, None], below[:, 1::2, None, None, :]
        terms = log_rules + down[..., None, None]
        down = torch.stack([(terms + right).logsumexp((-3, -1)), (terms + left).logsumexp((-3, -2))], 2).flatten(1, 2)
    return (down + up[-1]).softmax(-1)


def seconds(*calls):
    """Median processor time of each call after a warm-up, [calls], taken in turn so that all meet the same machine.

    On one thread it is the wall time, less what others take of the machine.
    """
    times = torch.zeros(REPEATS + 1, len(calls), dtype=torch.float64)
    for row in times:
        for place, call in enumerate(calls):
            start = time.process_time()
            call()
            row[place] = time.process_time() - start
    return times[1:].median(0).values.tolist()


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    grammar = Grammar.random()
    levels = [grammar.denoiser(level) for level in range(5)]
    print(f"torch {torch.__version__}, one thread; vocabulary 6, depth 4, 24 rules; median of {REPEATS}, microseconds")
    for count in (16, 64, 256, 1024, 4096):
        x = torch.randn(count, 16, 6, dtype=torch.float64, generator=generator)
        # The textbook gets blocks that fit the caches, which is the best that can be done for it.
        mine, peer = seconds(lambda: levels[0](x, 0.5),
                             lambda: [textbook(grammar.transitions, block, 0.5) for block in x.split(64)])
        print(f"  {count:5} strings: {1e6 * mine / count:6.2f} a string, textbook {1e6 * peer / count:6.1f}: "
              f"{peer / mine:.1f} times faster")
    costs = seconds(*[lambda denoiser=denoiser: denoiser(x, 0.5) for denoiser in levels],
                    lambda: levels[0].log_probabilities(x, 0.5))
    print("  a string at levels 0 .. 4: " + ", ".join(f"{1e6 * cost / count:.2f}" for cost in costs[:-1])
          + f"; logarithms at level 0: {1e6 * costs[-1] / count:.2f}")
    events = [torch.randn(2**(18 - depth), 2**depth, 6, dtype=torch.float64, generator=generator) for depth in range(1, 11)]
    denoisers = [Grammar(grammar.transitions, depth).denoiser() for depth in range(1, 11)]
    costs = seconds(*[lambda denoiser=denoiser, x=x: denoiser(x, 0.5) for denoiser, x in zip(denoisers, events)])
    print("  a leaf at depths 1 .. 10: " + ", ".join(f"{1e6 * cost / 2**18:.3f}" for cost in costs))


if __name__ == "__main__":
    main()
