"""Trainings side by side, as many as there are processors: threads that take turns at all but the steps of `fit`.

While torch computes, Python is free for another thread. So networks that do not depend on each other learn at the same
time, and each is to the last bit what it is when it learns alone.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager

import torch

from resnote.progress import Progress
from resnote.settings import SettingError

MOST = 4        # threads: Python's own part of a step is done by one at a time
_THREAD = threading.local()


def side_by_side(function: Callable, calls: Iterable[Hashable], bar: Progress) -> dict:
    """{call: function(*call, part)} for each of ``calls``, in this order: a tuple of arguments, or the only one.

    ``function`` builds a network and trains it with `fit`, say. Steps of `fit` run beside those of other calls; all else is
    done by one call at a time. Each call has torch's random numbers for itself, from the state that they have now; afterwards
    they are in that state again. A network that draws some in its first step (dropout) trains alone. ``part`` is the call's
    part of ``bar``, a `Progress` from 0.

    After an interrupt each `fit` ends before its next step. Where a call raises, the others end after their step, and the
    error is raised here.
    """
    if not isinstance(bar, Progress):
        raise SettingError(f"progress is a {type(bar).__name__}; it must be a Progress. Make one with: with Progress(epochs) as bar.")
    calls, start, before, turns = list(calls), torch.get_rng_state(), bar.position, _Turns()
    parts = [_Part(bar) for _ in calls]

    def work(call, part):
        _THREAD.turns = turns
        turns.take(start)
        try:
            if not part.ends:
                return function(*(call if isinstance(call, tuple) else (call,)), part)
        except BaseException:
            end()
            raise
        finally:
            turns.give()

    def end():
        for part in parts:
            part.ends = True

    with ThreadPoolExecutor(min(MOST, processors())) as pool:
        futures = [pool.submit(work, call, part) for call, part in zip(calls, parts)]
        try:
            while True:
                done, running = wait(futures, timeout=0.1, return_when=FIRST_EXCEPTION)
                last = max(parts, key=lambda part: part.moved, default=None)
                bar.move(before + sum(part.position for part in parts), last.words if last else "")
                if not running or any(future.exception() for future in done):
                    return {call: future.result() for call, future in zip(calls, futures)}
        finally:
            end()               # after a second interrupt, too
            wait(futures)
            torch.set_rng_state(start)


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def others_may_run():
    """Meanwhile the other calls of `side_by_side` have their turn; nothing may be drawn in here."""
    turns = getattr(_THREAD, "turns", None)
    if turns is None:
        yield
        return
    state = turns.give()
    try:
        yield
    finally:
        turns.take(state)


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
