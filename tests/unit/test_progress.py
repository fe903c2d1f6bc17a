"""Whatever fails while a bar is shown, the interrupt handler comes back; and one handler is enough for a run."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from resnote import progress, training
from resnote.progress import Progress, noting_interrupts
from resnote.training import fit


@pytest.fixture(autouse=True)
def handler():
    """Interrupts arrive, also where the tests were started in the background and ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


class Failure(Exception):
    """Raised on purpose."""


def fail(*_args, **_options):
    raise Failure


@pytest.fixture
def notebook(monkeypatch):
    """As in a notebook; what a test puts into ``display`` and ``update`` is called there."""
    calls = SimpleNamespace(display=lambda: None, update=lambda: None)
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: calls.display() or handle)
    handle = SimpleNamespace(update=lambda *_, **__: calls.update())
    return calls


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


def data():
    images, labels = torch.randn(6, 1, 2, 2), torch.arange(6) % 2
    return SimpleNamespace(train_images=images, train_labels=labels, test_images=images, test_labels=labels)


@pytest.mark.parametrize("part", ["display", "update"])
@pytest.mark.parametrize("use", [lambda: Progress(3).__enter__(), lambda: fit(network(), data(), epochs=2)])
def test_a_bar_that_cannot_be_shown_gives_the_handler_back(notebook, handler, part, use):
    setattr(notebook, part, fail)
    with pytest.raises(Failure):
        use()
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_bar_that_cannot_be_drawn_at_its_end_gives_the_handler_back(notebook, handler):
    with pytest.raises(Failure), Progress(3):
        notebook.update = fail
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_run_whose_bar_cannot_be_drawn_at_its_end_leaves_the_network_as_it_was(notebook, handler, monkeypatch):
    def run(*given):
        stopped = was(*given)
        notebook.update = fail
        return stopped

    was, module = training._run, network()
    monkeypatch.setattr(training, "_run", run)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: -1.0))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(Failure):
        fit(module, data(), epochs=2)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_handler_is_installed_once_for_a_run_and_its_bar(monkeypatch, handler):
    installed, install = [], signal.signal
    monkeypatch.setattr(signal, "signal", lambda number, new: (installed.append(new), install(number, new))[1])
    fit(network(), data(), epochs=2)
    assert len(installed) == 2 and installed[1] is handler          # in, and out again
    with Progress(4) as bar:
        for _ in range(2):
            fit(network(), data(), epochs=2, progress=bar)
    assert len(installed) == 4 and installed[3] is handler


def test_a_bar_that_was_never_entered_notes_interrupts_during_the_run(handler):
    bar = Progress(2)
    assert fit(nn.Sequential(Interrupting(), network()), data(), epochs=2, progress=bar).steps == 1
    assert bar.interrupted and signal.getsignal(signal.SIGINT) is handler


class Interrupting(nn.Module):
    def forward(self, x):
        if torch.is_grad_enabled():
            signal.raise_signal(signal.SIGINT)
        return x


def test_a_bar_inside_another_has_a_handler_of_its_own(handler):
    with Progress(2) as outer, Progress(2) as inner:
        with noting_interrupts(inner):
            signal.raise_signal(signal.SIGINT)
        assert inner.interrupted and not outer.interrupted
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_bar_is_found_where_the_lessons_look_for_it():
    assert training.Progress is progress.Progress
