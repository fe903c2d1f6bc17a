"""One training loop for all lessons: seeded, interruptible, and it says why it ended.

SGD with momentum on a data set held whole in memory. Where a lesson compares networks, only the
network differs.
"""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnote.batchnorm import NORMS, frozen_norms
from resnote.checks import (check_can_change, check_classes, check_images, check_labels, check_network, restorer,
                            scores_of)
from resnote.progress import Progress, noting_interrupts
from resnote.settings import SettingError, check_number, check_size, check_switch, is_boolean
from resnote.together import others_may_run, part_here, side_by_side  # noqa: F401 (lessons find all about training here)


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


@contextmanager
def without_denormals():
    """Numbers below 1.2e-38 count as 0 meanwhile; also a decorator. Some processors take many times longer for them.

    Signals and gradients that vanish pass through these numbers; in a network that trains none are seen.
    Where the processor cannot do so, nothing changes.
    """
    before = flushes_denormals()
    try:
        torch.set_flush_denormal(True)
        yield
    finally:
        torch.set_flush_denormal(before)


def flushes_denormals() -> bool:
    """Whether torch counts numbers below the smallest normal one as 0; torch can set this and does not tell."""
    smallest = torch.tensor([torch.finfo(torch.float32).tiny], dtype=torch.float32, device="cpu")
    return (smallest / 2).item() == 0


@torch.inference_mode(False)
@without_denormals()
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
    progress : a bar to move on by ``epochs``; without one the run shows its own, or moves its part of `side_by_side`

    Returns
    -------
    History
        ``final_error`` comes from `error` with batch statistics. Running statistics lag behind the
        weights: after few steps ``eval()`` reports errors that the trained network does not make.

    A network that is in training mode as a whole keeps the modes of its parts: a batch norm that you put into
    ``eval()`` is frozen, which means that it normalizes with its running statistics and does not change them,
    while its weights learn. A network that is in eval mode as a whole, as an evaluation leaves it, is trained
    in training mode. Afterwards all modes are as before.

    An interrupt (Kernel → Interrupt, Ctrl-C) ends the run after the current step, and later runs under
    the same bar before their first; a second one raises KeyboardInterrupt at once. Interrupts reach the
    main thread only: for a run in another, set ``progress.interrupted``. A loss that is a thousand times
    that of guessing, and a loss or gradient that is not finite, end the run before they reach the weights
    (running statistics have seen the batch by then). ``history.stopped`` says which it was.

    Numbers too small for float32 to hold in full (denormals) count as 0 meanwhile, since some processors
    take many times longer for them.

    Raises
    ------
    SettingError
        (a ValueError) for settings, networks, images and labels that cannot be trained with.

    Whatever is raised, also by the network itself and by a second interrupt, the network's weights, buffers,
    gradients and modes are then as they were before the call.
    """
    epochs, batch_size = check_size("epochs", epochs), check_size("batch_size", batch_size)
    settings = _settings(learning_rate, momentum, weight_decay, schedule, seed, test, label, progress)
    if not isinstance(network, nn.Module):
        raise SettingError(f"The network is a {type(network).__name__}; it must be an nn.Module. Call "
                           "fit(network, data), in this order.")
    check_network(network)
    restore = restorer(network)
    try:
        return _fit(network, data, epochs, batch_size, *settings)
    except BaseException:
        restore()
        raise


def _fit(network, data, epochs, batch_size, learning_rate, momentum, weight_decay, schedule, seed, test, label,
         progress) -> History:
    _check(network, data, batch_size, test)
    history, count, generator = History(label), len(data.train_images), torch.Generator().manual_seed(seed)
    batches = (_batches(count, batch_size, generator) for _ in range(epochs))
    steps = epochs * len(_batches(count, batch_size, torch.Generator()))
    rates = [learning_rate * (half_cosine(step, steps) if schedule else 1) for step in range(steps)]
    given = part_here() if progress is None else progress
    own = Progress(epochs, label or "Training") if given is None else nullcontext(given)
    with own as bar, noting_interrupts(bar), _training(network, seed), torch.enable_grad():
        end = bar.position + epochs
        optimizer = torch.optim.SGD(network.parameters(), learning_rate, momentum, weight_decay=weight_decay,
                                    fused=True)
        history.stopped = _run(network, data, batches, rates, optimizer, test, history, bar)
        if history.steps:
            history.final_error = error(network, data.train_images, data.train_labels)
        if history.stopped is None or not bar.interrupted:
            bar.move(end)
    return history


def half_cosine(step: int, steps: int) -> float:
    """The factor on the learning rate at ``step``, from 0: half a cosine that falls from 1 to 0 in ``steps`` steps."""
    return (1 + math.cos(math.pi * step / steps)) / 2


def _run(network, data, batches, rates, optimizer, test, history, bar) -> str | None:
    """Do all steps and note them in ``history``; why it ended early, or None."""
    images, labels, start = data.train_images.detach(), data.train_labels.long(), bar.position
    weights = list(network.parameters())
    draws = True            # until the first step shows that the network draws no random numbers
    for epoch in batches:
        wrong = 0
        with ExitStack() as meanwhile:
            if not draws:
                meanwhile.enter_context(others_may_run())
            for place, batch in enumerate(epoch, start=1):
                step = history.steps
                if bar.interrupted:
                    return f"Interrupted after {step} of {len(rates)} steps; what was learned so far is kept."
                before = torch.get_rng_state() if step == 0 else None
                optimizer.zero_grad()
                scores = scores_of(network, images[batch])
                if not scores.requires_grad:
                    raise SettingError("The scores do not depend on any weight that may change, so there is nothing to learn "
                                       "from. Look for detach(), no_grad() or .data in the network's forward.")
                loss = F.cross_entropy(scores, labels[batch])
                guessing = math.log(scores.shape[1] + 1)  # about; a single class has 0
                if not loss.item() < 1000 * guessing:
                    return _diverged(f"loss was {loss.item():.3g}, where guessing has {guessing:.2g}", step, rates)
                loss.backward()
                if not nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None]).isfinite():
                    return _diverged("gradient was no longer a finite number", step, rates)
                optimizer.param_groups[0]["lr"] = rates[step]
                optimizer.step()
                if step == 0 and torch.equal(before, torch.get_rng_state()):
                    draws = False
                    meanwhile.enter_context(others_may_run())
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


@without_denormals()
@one_thread()
def error(network: nn.Module, images: Tensor, labels: Tensor, *, statistics: str = "batch") -> float:
    """Share of wrong predictions, 0 to 1, on ``images`` (N, C, H, W); a score of NaN is wrong.

    With ``statistics='batch'`` batch norm uses the mean and variance of the images themselves: all of
    them, or equal parts of at most 1,024 in a fixed shuffled order; frozen batch norms, in eval mode in a
    network in training mode, use their running statistics as in `fit`. With 'running' all use what they
    gathered in training, as in ``eval()``. All else is in eval mode (dropout off). Weights, buffers, modes
    and the random state stay as they were.

    Raises
    ------
    SettingError
        (a ValueError) for a network that cannot be measured, for images and labels that do not fit it, and for
        batch statistics of a single image.
    """
    check_network(network)
    check_examples(network, images, labels, statistics)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    labels, wrong = labels.long(), 0
    with measuring(network, statistics), torch.no_grad():
        for part in order.chunk(math.ceil(len(order) / 1024)):
            scores = scores_of(network, images[part])
            check_classes(scores, labels)
            wrong += _wrong(scores, labels[part])
    return wrong / len(images)


def _wrong(scores, labels) -> int:
    return int(((scores.argmax(1) != labels) | scores.isnan().any(1)).sum())


@contextmanager
def measuring(network: nn.Module, statistics: str = "batch"):
    """Forward passes that leave no trace in ``network`` or in the random state; see `error`."""
    if not (isinstance(statistics, str) and statistics in ("batch", "running")):
        raise SettingError(f"statistics={statistics!r} is not known. Use 'batch' or 'running'.")
    modes = {module: module.training for module in network.modules()}
    frozen = frozen_norms(network)
    tracks = {module: module.track_running_stats for module in modes
              if isinstance(module, NORMS) and statistics == "batch" and module not in frozen}
    restore = restorer(network)
    try:
        with torch.random.fork_rng(devices=[]):
            for module in modes:
                module.training = module in tracks
            for norm in tracks:
                norm.track_running_stats = False  # in training mode it then leaves the buffers alone
            yield
    finally:
        restore()  # a network may change itself when it is called
        for module, mode in modes.items():
            module.training = mode
        for norm, tracked in tracks.items():
            norm.track_running_stats = tracked


@contextmanager
def _training(network, seed):
    """Training mode, but for what is frozen; channels_last (15 to 20 % faster), dropout seeded; then all as before."""
    modes = {module: module.training for module in network.modules()}
    gradients = {weight: weight.grad for weight in network.parameters()}
    try:
        if not network.training:
            network.train()
        network.zero_grad()
        _lay_out(network, torch.channels_last)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield
        gradients = dict.fromkeys(gradients)
    finally:
        for weight, gradient in gradients.items():
            weight.grad = gradient
        _lay_out(network, torch.contiguous_format)
        for module, mode in modes.items():
            module.training = mode


def _lay_out(network, memory_format) -> None:
    """As Module.to does, which fails on the weights of a Conv3d."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=memory_format)


def _batches(count, size, generator) -> list[Tensor]:
    """All images once, in random order; a last batch of one joins the batch before."""
    batches = list(torch.randperm(count, generator=generator).split(size))
    if len(batches) > 1 and len(batches[-1]) == 1 < size:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


# --- checks ----------------------------------------------------------------------------------


def _settings(learning_rate, momentum, weight_decay, schedule, seed, test, label, progress) -> tuple:
    """All of these as Python's own numbers and booleans, once they are legal."""
    learning_rate = check_number("learning_rate", learning_rate, "a number above 0 and below a billion, such as 0.1",
                                 above=0, below=1e9)
    momentum = check_number("momentum", momentum, "0 or a number below 1, such as 0.9", least=0, below=1)
    weight_decay = check_number("weight_decay", weight_decay, "0 or a small positive number, such as 1e-4", least=0)
    if not (schedule is None or isinstance(schedule, str) and schedule == "cosine"):
        raise SettingError(f"schedule={schedule!r} is not known. Use 'cosine', or None for a constant rate.")
    if is_boolean(seed) or not isinstance(seed, Integral) or not -2**63 <= seed < 2**63:
        raise SettingError(f"seed is {seed!r}; it must be a whole number, such as 0.")
    if not isinstance(label, str):
        raise SettingError(f"label is {label!r}; it must be a text, such as 'plain-8'.")
    if not (progress is None or isinstance(progress, Progress)):
        raise SettingError(f"progress is a {type(progress).__name__}; it must be a Progress, or None for a bar of its "
                           "own. Make one with: with Progress(epochs) as bar.")
    return learning_rate, momentum, weight_decay, schedule, int(seed), check_switch("test", test), label, progress


def _check(network, data, batch_size, test) -> None:
    lacking = [name for name in ("train_images", "train_labels", *("test_images", "test_labels") * test)
               if not hasattr(data, name)]
    if lacking:
        raise SettingError(f"The data are a {type(data).__name__} without {', '.join(lacking)}. Use digits(), or an "
                           "ImageData with images and labels of your own.")
    if not any(weight.requires_grad for weight in network.parameters()):
        raise SettingError("The network has no weight that may change: it has none, or all are frozen. Set "
                           "requires_grad = True for those that should learn.")
    check_can_change(network)
    if batch_size == 1 and _compares(network):
        raise SettingError("batch_size is 1 and the network has batch norm, which would compare each image only "
                           "with itself. Use batch_size=2 or more, or a network without batch norm.")
    for split in ("train", "test")[:1 + test]:
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        check_examples(network, images, labels)
        with measuring(network), torch.no_grad():
            check_classes(scores_of(network, images[:2]), labels)


def check_examples(network: nn.Module, images, labels, statistics: str = "batch") -> None:
    """Raise unless ``network`` can be measured on these images and labels, with these statistics of batch norm."""
    check_images(images, network)
    check_labels(labels, images)
    if len(images) == 1 and statistics == "batch" and _compares(network):
        raise SettingError("Batch norm over a single image compares it only with itself. Give 2 images or more, or "
                           "evaluate with statistics='running'.")


def _compares(network) -> bool:
    """Whether a batch norm compares the images of a batch, as all do but those that are frozen."""
    frozen = frozen_norms(network)
    return any(isinstance(module, NORMS) and (module not in frozen or module.running_mean is None)
               for module in network.modules())
