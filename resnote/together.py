"""Trainings side by side, one a processor and at most four: threads that overlap in `fit`'s steps and take turns at all else.

While torch computes, Python is free for another thread. So networks that do not depend on each other learn at the same
time, and each is to the last bit what it is when it learns alone.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import torch

from resnote.progress import Progress
from resnote.settings import SettingError

MOST = 4        # threads: Python's own part of a step is done by one at a time
_THREAD = threading.local()


def side_by_side(function: Callable, calls: Iterable[Hashable], bar: Progress) -> dict:
    """{call: function(*call, part)} for each of ``calls``, in this order. A call is a tuple of arguments, or a single argument.

    ``function`` builds a network, say, and trains it by ``fit(…, progress=part)``. Steps of `fit` run beside those of other
    calls; all else is done by one call at a time. ``part`` is the call's part of ``bar``: a `Progress` that starts at 0. A `fit`
    without a bar moves it, too.

    Each call has a state of torch's random numbers of its own, which starts as a copy of the caller's; the caller's is
    afterwards as before. A network that uses random numbers in its first step (dropout) keeps its turn: others finish their
    epoch, then wait. One that begins to use them later, or uses Python's or NumPy's, disturbs the others. ``torch.no_grad()`` around all does not
    reach the calls.

    An interrupt ends each `fit` before its next step; a loop of your own must look at ``part.interrupted``. Where a call
    raises, the others end after their step, and the error is raised here.
    """
    if not isinstance(bar, Progress):
        raise SettingError(f"progress is a {type(bar).__name__}; it must be a Progress. Make one with: with Progress(epochs) as bar.")
    calls, before, turns, errors = list(dict.fromkeys(calls)), bar.position, _Turns(), []
    start, threads, parts = torch.get_rng_state(), torch.get_num_threads(), [_Part(bar) for _ in calls]

    def work(call, part):
        _THREAD.turns, _THREAD.part = turns, part
        turns.take(start)
        try:
            if not part.ends:
                torch.set_num_threads(threads)
                return function(*(call if isinstance(call, tuple) else (call,)), part)
        except BaseException as error:
            errors.append(error)
            end()
        finally:
            turns.give()

    def end():
        for part in parts:
            part.ends = True

    try:
        with ThreadPoolExecutor(min(MOST, processors())) as pool:       # which waits for all that runs
            try:
                running = futures = [pool.submit(work, call, part) for call, part in zip(calls, parts)]
                while running:
                    _, running = wait(futures, timeout=0.1)
                    last = max(parts, key=lambda part: part.moved, default=None)
                    bar.move(before + sum(part.position for part in parts), last.words if last else "")
            finally:
                end()           # after a second interrupt, too
    finally:
        torch.set_rng_state(start)
        torch.set_num_threads(threads)
    if errors:
        raise errors[0]
    return {call: future.result() for call, future in zip(calls, futures)}


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def part_here() -> Progress | None:
    """The part of the call of `side_by_side` that this thread does, if it does one."""
    return getattr(_THREAD, "part", None)


@contextmanager
def others_may_run():
    """Meanwhile the other calls of `side_by_side` have their turn. What is done in here uses no random numbers, no `fit` and no `error`."""
    turns = getattr(_THREAD, "turns", None)
    if turns is None:
        yield
        return
    state, _THREAD.turns = turns.give(), None
    try:
        yield
    finally:
        turns.take(state)
        _THREAD.turns = turns


class _Turns:
    """A lock that threads hold in turn, each with torch's random numbers in a state of its own."""

    def __init__(self):
        self._lock = threading.Lock()

    def take(self, state) -> None:
        self._lock.acquire()
        torch.set_rng_state(state)

    def give(self) -> torch.Tensor:
        state = torch.get_rng_state()
        self._lock.release()
        return state


class _Part(Progress):
    """One call's part of a bar: it is interrupted with the whole, and drawn with it."""

    def __init__(self, bar):
        self.bar, self.total, self.label = bar, bar.total, bar.label
        self.position, self.words, self.moved, self.ends = 0.0, "", 0.0, False

    @property
    def interrupted(self) -> bool:
        return self.ends or self.bar.interrupted

    @interrupted.setter
    def interrupted(self, value):
        self.bar.interrupted = value

    def move(self, position, label=""):
        self.position, self.words, self.moved = position, label, time.monotonic()
