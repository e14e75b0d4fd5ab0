"""One seed, many streams: each purpose draws from a generator of its own, named by whole numbers such as (seed, step).

What a stream yields then depends on its name alone, not on what was drawn before it: a resumed training draws what an
unbroken one does, and two networks with one seed see the same batches and the same noise. """

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nearsight import checks

_GLOBAL_GENERATORS = threading.RLock()  # a process has one set of them, whatever the number of its threads


def derived_seed(*name: int) -> int:
    """Seed in 0 .. 2^63 - 1 of the stream with this name, spread evenly over all bits, of which some generators use
    32."""
    text = " ".join(str(checks.whole(number, "a seed")) for number in name)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(*name: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A new generator on the device, at the start of the stream with this name."""
    return torch.Generator(checks.device(device)).manual_seed(derived_seed(*name))


@contextmanager
def global_stream(*name: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Let torch's global generators of the CPU and of `device` stand at the start of a stream, and put them back after.

    torch.nn draws initial weights and dropout masks from these and takes no other: this is the one place that touches
    them. One thread at a time is inside, others wait until it leaves; a thread that is inside may enter again. Whoever
    draws from the global generators without entering is not held up, and disturbs the thread that is inside. """
    accelerator = torch.device(device).type == "cuda"
    with _GLOBAL_GENERATORS, torch.random.fork_rng(devices=[torch.device(device)] if accelerator else []):
        torch.default_generator.manual_seed(derived_seed(*name))
        if accelerator:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(derived_seed(*name))
        yield
