"""Child processes that stop by themselves at a named place and wait there, to be killed or to go on.

    child = Child(train_it, folder, at="os.replace", count=3)
    child.wait()        # returns when it is about to call os.replace for the third time
    child.kill()        # and it never does

A test that watches a child from outside and kills it when enough seems to be done depends on who is faster. Here the
place is part of the test, nothing sleeps or polls, and a child that ends without having come there fails the test.
"""

from __future__ import annotations

import functools
import multiprocessing
import pkgutil
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch

# A server that has imported everything once: its children start in milliseconds.
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["nearsight", "nearsight.datasets", "nearsight.networks", "nearsight.training", "pytest",
                              "sklearn.datasets", "torch._dynamo"])


class Child:
    """A process that runs function(*arguments) with one torch thread and stops before the `count`-th call of `at`.

    function and arguments are pickled: a function of a module's top level. `at` is a dotted name and is replaced where
    it stands, so it names what the caller looks up: "os.replace" where that is called by this name, for a function that
    a module has imported "that.module.function", for a method "module.Class.method". The stage n of a computation,
    say, is the n-th call of whatever stores a stage. A child ends when its parent does.
    """

    def __init__(self, function: Callable[..., object], *arguments: object, at: str, count: int = 1):
        self.place = f"call {count} of {at}"
        self._line, other_end = FRESH.Pipe()
        self._process = FRESH.Process(target=_run, args=(other_end, at, count, function, arguments), daemon=True)
        self._process.start()
        other_end.close()  # the child's copy is the only one left, so that its end is heard

    def wait(self) -> None:
        """Return when the child stands at its place; AssertionError where it ended before it came there."""
        try:
            self._line.recv()
        except EOFError:
            self._process.join()
            raise AssertionError(f"the child ended with exit code {self._process.exitcode} and never came to "
                                 f"{self.place}.") from None

    def kill(self) -> None:
        """End the child by SIGKILL, which it cannot answer; return when it is dead."""
        self._process.kill()
        self._process.join()
        assert self._process.exitcode == -signal.SIGKILL

    def go_on(self) -> None:
        """Let the child go on from its place to the end of its function; return when it has ended without an error."""
        self._line.send(None)
        self._process.join()
        assert self._process.exitcode == 0


def kill_at(place: str, count: int, function: Callable[..., object], *arguments: object) -> None:
    """Run function(*arguments) in a child up to the `count`-th call of `place`, and kill it there."""
    child = Child(function, *arguments, at=place, count=count)
    child.wait()
    child.kill()


def _run(line: Connection, at: str, count: int, function: Callable[..., object], arguments: tuple) -> None:
    """What a child does."""
    torch.set_num_threads(1)
    path, _, name = at.rpartition(".")
    owner = pkgutil.resolve_name(path)
    real, calls = getattr(owner, name), 0

    @functools.wraps(real)
    def counted(*args, **keywords):
        nonlocal calls
        calls += 1
        if calls == count:
            line.send(None)
            line.recv()
        return real(*args, **keywords)
    setattr(owner, name, counted)
    function(*arguments)
