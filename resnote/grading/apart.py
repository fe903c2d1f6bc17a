"""A call in a process of its own, with limits: what runs for ever, fills the memory or the disk, or prints without end
takes nothing but its own points.

The process is a fork, on Linux, and where torch sees no GPU (after a backward pass torch refuses gradients in a fork
otherwise); elsewhere the call runs here, without limits. These limits stop accidents, not an attack: code that wants to can
reach the whole account that it runs under.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait

LARGEST_FILE = 10 * 2**20       # bytes


class OutOfBounds(Exception):
    """The call did not come to its end, with the sentence that says why."""


def apart(call: Callable[[], list[str]], *, seconds: float, memory: int) -> list[str]:
    """What ``call`` returns, texts, from a copy of this process that can do no harm to this one.

    The copy works in an empty folder that is deleted afterwards, and prints nothing. It may take ``seconds`` of time and
    ``memory`` bytes more than there are in use, and write files of 10 MiB.

    Raises
    ------
    OutOfBounds
        where it took longer, or ended its process.
    """
    if not can_fork():
        return call()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)     # a kernel has threads; the copy uses none of them
        process = context.Process(target=_limited, args=(call, sender, folder, memory), daemon=True)
        process.start()
        sender.close()
        answer = None
        try:
            ended = wait([receiver, process.sentinel], timeout=seconds)
            with suppress(EOFError):
                answer = json.loads(receiver.recv_bytes()) if receiver.poll() else None
        finally:
            _end(process)
            receiver.close()
    if not ended:
        raise OutOfBounds(f"your code was still running after {seconds:g} seconds, and was stopped. Does every loop end?")
    if answer is None:
        raise OutOfBounds(f"your code ended its own process ({_ending(process.exitcode)}), before there was an answer.")
    return answer


def can_fork() -> bool:
    """Whether calls can have a process of their own here."""
    import torch

    return sys.platform == "linux" and not torch.cuda.is_available()


def _limited(call, sender, folder, memory):
    import torch

    os.setsid()     # a group of its own, so that what it starts is ended with it
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(1)        # the threads of a pool do not live on in a fork
    _limit(memory)
    answer = json.dumps(call())
    sender.send_bytes(answer.encode())


def _limit(memory):
    import resource     # not on Windows

    with open("/proc/self/statm", encoding="ascii") as numbers:
        used = int(numbers.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    for what, wanted in ((resource.RLIMIT_FSIZE, LARGEST_FILE), (resource.RLIMIT_AS, used + memory)):
        now = [limit for limit in resource.getrlimit(what) if limit != resource.RLIM_INFINITY]      # never above what there is
        resource.setrlimit(what, (min([wanted, *now]), resource.getrlimit(what)[1]))


def _end(process):
    """End the process and all that it started, which may outlive it."""
    with suppress(ProcessLookupError, PermissionError):     # no group of its own yet, or none any more
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _ending(code):
    names = {each.value: each.name for each in signal.Signals}
    return f"signal {names.get(-code, -code)}" if code < 0 else f"exit code {code}"
