"""One training loop for all lessons: seeded, interruptible, and it says why it ended.

SGD with momentum on a data set held whole in memory. Where a lesson compares networks, only the
network differs.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from html import escape
from numbers import Integral, Real

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnote.batchnorm import NORMS, check_network, words_for
from resnote.settings import SettingError, check_size


@dataclass(repr=False)
class History:
    """A loss for every step done, and shares of wrong predictions for every epoch completed."""

    label: str = ""
    loss: list[float] = field(default_factory=list)
    train_error: list[float] = field(default_factory=list)  # over the epoch's own batches, while it learned
    test_error: list[float] = field(default_factory=list)   # after the epoch, by `error`
    final_error: float = math.nan                           # on the training images at the end, by `error`
    stopped: str | None = None                              # why the run ended early

    @property
    def steps(self) -> int:
        return len(self.loss)

    @property
    def epochs(self) -> int:
        return len(self.train_error)

    def __repr__(self) -> str:
        return (f"History({self.label!r}, {self.steps} steps, {self.epochs} epochs, final training error "
                f"{self.final_error:.1%}{f', stopped: {self.stopped}' if self.stopped else ''})")


@contextmanager
def one_thread():
    """Torch computes with one thread meanwhile; also a decorator. At this course's sizes, two are slower."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def fit(network: nn.Module, data, *, epochs: int = 10, learning_rate: float = 0.1, batch_size: int = 128,
        momentum: float = 0.9, weight_decay: float = 1e-4, schedule: str | None = "cosine", seed: int = 0,
        test: bool = True, label: str = "", progress: Progress | None = None) -> History:
    """Train ``network``, which comes initialised, by SGD on the cross-entropy of ``data.train_images``.

    Parameters
    ----------
    data : has train_images (N, C, H, W), train_labels (N), test_images and test_labels
    batch_size : a last batch of a single image joins the one before, since batch norm needs two
    schedule : 'cosine' lowers the rate from step to step along half a cosine to 0; None keeps it
    seed : of the order, one ``torch.randperm`` an epoch from a generator of its own, and of dropout;
        torch's global random state stays as it was
    test : whether to measure the test error after every epoch; on the digits a tenth of the time
    label : stands in the history and beside the bar
    progress : a bar to move on by ``epochs``; without one the run shows its own

    Returns
    -------
    History
        ``final_error`` comes from `error` with batch statistics. Running statistics lag behind the
        weights: after few steps ``eval()`` reports errors that the trained network does not make.

    An interrupt (Kernel → Interrupt, Ctrl-C) ends the run after the current step, and later runs under
    the same bar before their first; a second one raises KeyboardInterrupt at once. Interrupts reach the
    main thread only: for a run in another, set ``progress.interrupted``. A loss that is a thousand times
    that of guessing, and a loss or gradient that is not finite, end the run before they reach the weights
    (running statistics have seen the batch by then). ``history.stopped`` says which it was.

    Raises
    ------
    SettingError
        (a ValueError) for settings, images and labels that cannot be trained with.
    """
    epochs, batch_size = check_size("epochs", epochs), check_size("batch_size", batch_size)
    _check(network, data, batch_size, learning_rate, momentum, weight_decay, schedule, seed, test)
    history, count, generator = History(label), len(data.train_images), torch.Generator().manual_seed(seed)
    batches = (_batches(count, batch_size, generator) for _ in range(epochs))
    steps = epochs * len(_batches(count, batch_size, torch.Generator()))
    rates = [learning_rate * ((1 + math.cos(math.pi * step / steps)) / 2) if schedule else learning_rate
             for step in range(steps)]
    own = Progress(epochs, label or "Training") if progress is None else nullcontext(progress)
    with own as bar, _noting_interrupts(bar), _training(network, seed), torch.enable_grad():
        end = bar.position + epochs
        optimizer = torch.optim.SGD(network.parameters(), learning_rate, momentum, weight_decay=weight_decay,
                                    fused=True)
        history.stopped = _run(network, data, batches, rates, optimizer, test, history, bar)
        if history.steps:
            history.final_error = error(network, data.train_images, data.train_labels)
        if history.stopped is None or not bar.interrupted:
            bar.move(end)
    return history


def _run(network, data, batches, rates, optimizer, test, history, bar) -> str | None:
    """Do all steps and note them in ``history``; why it ended early, or None."""
    images, labels, start = data.train_images, data.train_labels.long(), bar.position
    weights = list(network.parameters())
    for epoch in batches:
        wrong = 0
        for place, batch in enumerate(epoch, start=1):
            step = history.steps
            if bar.interrupted:
                return f"Interrupted after {step} of {len(rates)} steps; what was learned so far is kept."
            optimizer.zero_grad()
            scores = network(images[batch])
            loss = F.cross_entropy(scores, labels[batch])
            guessing = math.log(scores.shape[1] + 1)  # about; a single class has 0
            if not loss.item() < 1000 * guessing:
                return _diverged(f"loss was {loss.item():.3g}, where guessing has {guessing:.2g}", step, rates)
            loss.backward()
            if not nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None]).isfinite():
                return _diverged("gradient was no longer a finite number", step, rates)
            optimizer.param_groups[0]["lr"] = rates[step]
            optimizer.step()
            history.loss.append(loss.item())
            wrong += _wrong(scores, labels[batch])
            bar.move(start + history.epochs + place / len(epoch), history.label)
        history.train_error.append(wrong / len(images))
        if test:
            history.test_error.append(error(network, data.test_images, data.test_labels))
    return None


def _diverged(what, step, rates) -> str:
    return (f"At step {step + 1} of {len(rates)} the {what} (learning rate {rates[step]:.3g}). The weights are "
            "those before that step. Build the network again and train it with a lower learning_rate, such as "
            f"{min(rates[0] / 10, 0.1):.2g}.")


@one_thread()
def error(network: nn.Module, images: Tensor, labels: Tensor, *, statistics: str = "batch") -> float:
    """Share of wrong predictions, 0 to 1, on ``images`` (N, C, H, W); a score of NaN is wrong.

    With ``statistics='batch'`` batch norm uses the mean and variance of the images themselves: all of
    them, or equal parts of at most 1,024 in a fixed shuffled order. With 'running' it uses what it
    gathered in training, as in ``eval()``. All else is in eval mode (dropout off). Modes, running
    statistics, ``num_batches_tracked`` and the random state stay as they were.

    Raises
    ------
    SettingError
        (a ValueError) for what is no nn.Module, for images and labels that do not fit, and for batch statistics
        of a single image.
    """
    check_examples(images, labels, pairs=has_batch_norm(network) and statistics == "batch")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    wrong = 0
    with measuring(network, statistics), torch.no_grad():
        for part in order.chunk(math.ceil(len(order) / 1024)):
            scores = network(images[part])
            check_classes(scores, labels)
            wrong += _wrong(scores, labels[part])
    return wrong / len(images)


def _wrong(scores, labels) -> int:
    return int(((scores.argmax(1) != labels) | scores.isnan().any(1)).sum())


@contextmanager
def measuring(network: nn.Module, statistics: str = "batch"):
    """Forward passes that leave no trace in ``network`` or in the random state; see `error`."""
    if statistics not in ("batch", "running"):
        raise SettingError(f"statistics={statistics!r} is not known. Use 'batch' or 'running'.")
    modes = {module: module.training for module in network.modules()}
    tracks = {module: module.track_running_stats for module in modes
              if isinstance(module, NORMS) and statistics == "batch"}
    try:
        with torch.random.fork_rng(devices=[]):
            for module in modes:
                module.training = module in tracks
            for norm in tracks:
                norm.track_running_stats = False  # in training mode it then leaves the buffers alone
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for norm, tracked in tracks.items():
            norm.track_running_stats = tracked


@contextmanager
def _training(network, seed):
    """Training mode, channels_last (15 to 20 % faster), dropout seeded; then all as before."""
    modes = {module: module.training for module in network.modules()}
    try:
        network.train().to(memory_format=torch.channels_last)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield
    finally:
        network.to(memory_format=torch.contiguous_format).zero_grad()
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def _noting_interrupts(bar):
    """The first interrupt sets ``bar.interrupted``, a second one is raised; the old handler comes back."""
    def note(number, frame):
        if bar.interrupted:
            signal.default_int_handler(number, frame)
        bar.interrupted = True

    before = signal.getsignal(signal.SIGINT)
    # None is a handler outside Python, which could not be put back; an ignored interrupt stays ignored.
    if threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN):
        yield
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _batches(count, size, generator) -> list[Tensor]:
    """All images once, in random order; a last batch of one joins the batch before."""
    batches = list(torch.randperm(count, generator=generator).split(size))
    if len(batches) > 1 and len(batches[-1]) == 1 < size:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


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
        self.total, self.label = check_size("total", total), label
        self.position, self.interrupted = 0.0, False
        self._handle, self._due = None, 0.0

    def __enter__(self):
        self._interrupts = _noting_interrupts(self)
        self._interrupts.__enter__()
        ipython = sys.modules.get("IPython")
        if ipython and hasattr(ipython.get_ipython(), "kernel"):
            from IPython.display import display
            # nbval compares what a cell displays first, and what is saved is what it displays last: so
            # the end is shown first, and replaced at once.
            self._handle = display(self._bundle("finished", 1), raw=True, display_id=True)
        self.move(self.position)
        return self

    def move(self, position: float, label: str = "") -> None:
        """Go to ``position`` in the run called ``label``; drawn at most ten times a second."""
        self.position = position
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + 0.1
            detail = "" if label in ("", self.label) else f" · {label}"
            self._draw(f"{self._count()}{detail}", position / self.total)

    def __exit__(self, kind, _error, _traceback):
        self._interrupts.__exit__(None, None, None)
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


# --- checks ----------------------------------------------------------------------------------


def _check(network, data, batch_size, learning_rate, momentum, weight_decay, schedule, seed, test) -> None:
    if not isinstance(network, nn.Module):
        raise SettingError(f"The network is a {type(network).__name__}; it must be an nn.Module. Call "
                           "fit(network, data), in this order.")
    lacking = [name for name in ("train_images", "train_labels", *("test_images", "test_labels") * test)
               if not hasattr(data, name)]
    if lacking:
        raise SettingError(f"The data are a {type(data).__name__} without {', '.join(lacking)}. Use digits(), or an "
                           "ImageData with images and labels of your own.")
    if not any(weight.requires_grad for weight in network.parameters()):
        raise SettingError("The network has no weight that may change: it has none, or all are frozen. Set "
                           "requires_grad = True for those that should learn.")
    _check_number("learning_rate", learning_rate, "a number above 0 and below a billion, such as 0.1",
                  least=math.ulp(0), below=1e9)
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not -2**63 <= seed < 2**63:
        raise SettingError(f"seed is {seed!r}; it must be a whole number, such as 0.")
    _check_number("momentum", momentum, "0 or a number below 1, such as 0.9", below=1)
    _check_number("weight_decay", weight_decay, "0 or a small positive number, such as 1e-4")
    if schedule not in ("cosine", None):
        raise SettingError(f"schedule={schedule!r} is not known. Use 'cosine', or None for a constant rate.")
    batch_norm = has_batch_norm(network)
    if batch_size == 1 and batch_norm:
        raise SettingError("batch_size is 1 and the network has batch norm, which would compare each image only "
                           "with itself. Use batch_size=2 or more, or a network without batch norm.")
    check_examples(data.train_images, data.train_labels, pairs=batch_norm)
    with measuring(network), torch.no_grad():
        scores = network(data.train_images[:2])
    check_classes(scores, data.train_labels)
    if test:
        check_examples(data.test_images, data.test_labels, pairs=batch_norm)
        with measuring(network), torch.no_grad():
            check_classes(network(data.test_images[:2]), data.test_labels)


def _check_number(name, value, needed, least=0.0, below=math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not least <= value < below:
        raise SettingError(f"{name} is {value!r}; it must be {needed}.")


def check_examples(images, labels, pairs: bool) -> None:
    """Raise unless these are images with their labels, and two or more of them if ``pairs`` are needed."""
    if not isinstance(images, Tensor) or not images.is_floating_point() or images.dim() != 4:
        raise SettingError(f"The images are {words_for(images)}; they must be a float tensor (N, C, H, W). Convert "
                           "them with torch.as_tensor(images).float(); images[:, None] adds a missing channel axis.")
    if not isinstance(labels, Tensor) or labels.dim() != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise SettingError(f"The labels are {words_for(labels)}; they must be a tensor (N) of whole numbers. Convert "
                           "them with torch.as_tensor(labels).long(), or one-hot rows with labels.argmax(1).")
    if len(images) != len(labels) or len(images) == 0:
        raise SettingError(f"There are {len(images)} images and {len(labels)} labels; each image needs one label, "
                           "and at least one image is needed.")
    if not images.isfinite().all():
        raise SettingError("Some pixels are infinite or NaN, and so would be every loss. Look for a division by 0 "
                           "where the images are normalised.")
    if len(images) == 1 and pairs:
        raise SettingError("Batch norm over a single image compares it only with itself. Give 2 images or more, or "
                           "evaluate with statistics='running'.")


def check_classes(scores, labels) -> None:
    if scores.dim() != 2:
        raise SettingError(f"The network gives scores of shape {tuple(scores.shape)}; they must be (N, classes). "
                           "End it with pooling over height and width, and a linear layer.")
    low, high, classes = int(labels.min()), int(labels.max()), scores.shape[1]
    if low < 0 or high >= classes:
        raise SettingError(f"The labels run from {low} to {high}, and the network scores {classes} classes, 0 to "
                           f"{classes - 1}. Build it with more classes, or number the labels from 0.")


def has_batch_norm(network) -> bool:
    check_network(network)
    return any(isinstance(module, NORMS) for module in network.modules())
