"""The bar of a training run, and the interrupts that it notes."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from html import escape

from resnote.settings import SettingError, check_size


class Progress:
    """A bar for one run or for several in a row: live in a notebook, and its last state is saved.

    Inside it a first interrupt only sets ``interrupted``, also between two runs; a second one is raised.

    >>> with Progress(2 * 10, "Training 2 networks") as bar:
    ...     histories = [fit(network, data, epochs=10, progress=bar) for network in networks]

    Attributes
    ----------
    position : epochs done, of ``total``
    interrupted : True ends the current run after its step, and later ones before their first
    """

    def __init__(self, total: int, label: str = "Training"):
        if not isinstance(label, str):
            raise SettingError(f"label is {label!r}; it must be a text, such as 'Training'.")
        self.total, self.label = check_size("total", total), label
        self.position, self.interrupted = 0.0, False
        self._handle, self._due = None, 0.0

    def __enter__(self):
        with ExitStack() as undo:  # what fails in here must not leave the handler behind
            undo.enter_context(noting_interrupts(self))
            ipython = sys.modules.get("IPython")
            if ipython and hasattr(ipython.get_ipython(), "kernel"):
                from IPython.display import display
                # nbval compares a cell's first display, and a file keeps its last one: so "finished" is shown
                # first, and replaced at once.
                self._handle = display(self._bundle("finished", 1), raw=True, display_id=True)
            self.move(self.position)
            self._undo = undo.pop_all()
        return self

    def move(self, position: float, label: str = "") -> None:
        """Go to ``position`` in the run called ``label``; drawn at most ten times a second."""
        self.position = position
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + 0.1
            detail = "" if label in ("", self.label) else f" · {label}"
            self._draw(f"{self._count()}{detail}", position / self.total)

    def __exit__(self, kind, _error, _traceback):
        self._undo.close()
        if kind or (self.interrupted and self.position < self.total):
            why = "interrupted" if self.interrupted or kind is KeyboardInterrupt else "stopped by an error"
            self._draw(f"{why} after {self._count()}", self.position / self.total)
        else:
            self._draw("finished", 1)  # no number: it is saved, and compared on other machines
        self._handle = None

    def _count(self) -> str:
        return f"{int(self.position)} of {self.total} epochs"

    def _draw(self, words, share):
        if self._handle:
            self._handle.update(self._bundle(words, min(share, 1)), raw=True)

    def _bundle(self, words, share) -> dict[str, str]:
        label, words, percent = escape(self.label), escape(words), f"{100 * share:.0f}"
        return {"text/plain": f"{self.label}: {words}", "text/html": (
            '<div style="max-width:440px;margin:4px 8px;color:var(--jp-content-font-color1,#222)">'
            f'{label}: {words}<div role="progressbar" aria-label="{label}" aria-valuenow="{percent}" '
            f'aria-valuetext="{words}" style="height:6px;border-radius:4px;background:var(--jp-layout-color2,#eee);'
            'border:1px solid var(--jp-border-color1,#bbb)"><div style="height:100%;'
            f'width:{percent}%;background:var(--jp-brand-color1,#1976d2)"></div></div></div>')}


@contextmanager
def noting_interrupts(bar: Progress):
    """The first interrupt sets ``bar.interrupted``, a second one is raised; the old handler comes back.

    Where ``bar`` notes them already, nothing changes: a run inside its bar needs no handler of its own.
    """
    def note(number, frame):
        if bar.interrupted:
            signal.default_int_handler(number, frame)
        bar.interrupted = True

    before = signal.getsignal(signal.SIGINT)
    # None is a handler outside Python, which could not be put back; an ignored interrupt stays ignored.
    if (threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN)
            or getattr(before, "bar", None) is bar):
        yield
        return
    note.bar = bar
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
