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


def seconds(call):
    """Median processor time of `call` after a warm-up, and its range: on one thread it is the wall time, less what others
    take of the machine."""
    call()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    times.sort()
    return times[len(times) // 2], times[0], times[-1]


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    grammar, denoiser = Grammar.random(), Grammar.random().denoiser()
    print(f"torch {torch.__version__}, one thread; vocabulary 6, depth 4, 24 rules; median of {REPEATS} (least, most)")
    for count in (16, 64, 256, 4096):
        x = torch.randn(count, 16, 6, dtype=torch.float64, generator=generator)
        mine = seconds(lambda: denoiser(x, 0.5))
        # In blocks that fit the caches, which is the best that can be done for it.
        peer = seconds(lambda: [textbook(grammar.transitions, block, 0.5) for block in x.split(64)])
        print(f"  {count:5} strings: {1e6 * mine[0] / count:6.2f} us a string ({1e6 * mine[1] / count:.2f}, "
              f"{1e6 * mine[2] / count:.2f}), textbook {1e6 * peer[0] / count:.1f} us: {peer[0] / mine[0]:.1f} times faster")
    for level in range(1, 5):
        mine = seconds(lambda: grammar.denoiser(level)(x, 0.5))
        print(f"  level {level}: {1e6 * mine[0] / count:.2f} us a string")
    mine = seconds(lambda: denoiser.log_probabilities(x, 0.5))
    print(f"  logarithms: {1e6 * mine[0] / count:.2f} us a string")
    for depth in range(1, 11):
        x = torch.randn(2**16 // 2**depth, 2**depth, 6, dtype=torch.float64, generator=generator)
        mine = seconds(lambda: Grammar(grammar.transitions, depth).denoiser()(x, 0.5))
        print(f"  depth {depth:2}: {1e6 * mine[0] / 2**16:.3f} us a leaf")


if __name__ == "__main__":
    main()
