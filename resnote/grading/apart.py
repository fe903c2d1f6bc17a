"""A call in a process of its own, with limits: what runs for ever, fills the memory or the disk, or prints without end
takes nothing but its own points.

The process is a fork, so it exists on Linux and macOS; elsewhere the call runs here, without limits. The memory's limit is
Linux's. These limits stop accidents, not an attack: code that wants to can reach the whole account that it runs under.
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
    if "fork" not in multiprocessing.get_all_start_methods():
        return call()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)     # a kernel has threads; the copy uses none of them
        process = context.Process(target=_limited, args=(call, sender, folder, memory), daemon=True)
        process.start()
        sender.close()
        try:
            if not receiver.poll(seconds):
                raise OutOfBounds(f"your code was still running after {seconds:g} seconds, and was stopped. Does every loop end?")
            return json.loads(receiver.recv_bytes())
        except EOFError:
            process.join()
            raise OutOfBounds(f"your code ended its own process ({_ending(process.exitcode)}), before there was an answer.") from None
        finally:
            _end(process)
            receiver.close()


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

    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, most))
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as numbers:
            used = int(numbers.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, most))


def _end(process):
    if process.exitcode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:      # it has no group of its own yet, or is gone
            process.kill()
    process.join()


def _ending(code):
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
