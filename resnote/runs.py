"""A run of training by the paper's recipe: what a checkpoint holds, one step at a time, in one process or in several.

The command `resnote.train` makes runs, prints, and notes the signals that end one.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from zlib import crc32

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from resnote import recipe
from resnote.checkpoints import CheckpointError, checked_weights, save
from resnote.data import ImageData
from resnote.networks import SmallNet
from resnote.replicas import share_batch_norm
from resnote.settings import SettingError
from resnote.training import History, without_denormals

FORMAT = "resnote.train 1"


@dataclass(frozen=True)
class Settings:
    """The settings that a checkpoint shares with the run that goes on from it."""

    data: str = "digits"
    block: str = "residual"
    depth: int = 20
    width: int = 16
    shortcut: str = "zero-pad"
    images: int = 0                 # how many training images, from the first; 0: all
    test_images: int = 0            # and how many test images
    shrink: int = 1                 # a pixel is the mean of so many by so many
    augment: bool = True
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 0.1
    schedule: str = "steps"
    warm_up: int = 0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    batch_norm: str = "own"
    seed: int = 0


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is, and where it computes."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def sum(self, *numbers: float) -> list[float]:
        """Each number, summed over all processes."""
        total = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        if self.count > 1:
            dist.all_reduce(total)
        return total.tolist()


class Stopped(Exception):
    """Why a run ended early and what to do, in words; ``code`` is the exit code."""

    def __init__(self, words: str, code: int = 1):
        super().__init__(words)
        self.code = code


@contextmanager
def joined():
    """The processes that torchrun has started, connected; one alone where it has not."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if "WORLD_SIZE" not in os.environ:
        yield Processes(device=device)
        return
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


def check_that_all_agree(network: nn.Module, processes: Processes) -> None:
    """Every process must hold the same weights, to the bit."""
    mine = float(crc32(b"".join(weight.detach().cpu().contiguous().numpy().tobytes() for weight in network.parameters())))
    if processes.sum(mine)[0] != mine * processes.count:
        raise Stopped("The processes do not hold the same weights at the end, which must not happen. Please report it.")


class Run:
    """A network on its way: what a checkpoint holds, and one step at a time.

    Attributes
    ----------
    step, steps : done, and to do in all
    wrong : images that the network took for another class in the current epoch
    history : loss by step, errors by epoch
    """

    def __init__(self, settings: Settings, data: ImageData, processes: Processes = Processes()):
        self.settings, self.processes = settings, processes
        self.images, self.labels, self.test_images, self.test_labels = (tensor.to(processes.device) for tensor in (
            data.train_images, data.train_labels, data.test_images, data.test_labels))
        if settings.batch_size > len(self.images):
            raise SettingError(f"A batch of {settings.batch_size} does not fit into {len(self.images):,} training images. Give a "
                               "smaller --batch-size, or more --images.")
        if settings.batch_size % processes.count or settings.batch_size < 2 * processes.count:
            raise SettingError(f"A batch of {settings.batch_size} cannot be shared by {processes.count} processes in equal parts of 2 "
                               "images or more. Give another --batch-size.")
        torch.manual_seed(settings.seed)
        self.network = SmallNet(settings.block, settings.depth, width=settings.width, shortcut=settings.shortcut,
                                in_channels=self.images.shape[1], classes=len(data.classes)).to(processes.device)
        if settings.batch_norm == "sync":
            share_batch_norm(self.network)
        self.optimizer = torch.optim.SGD(self.network.parameters(), settings.learning_rate, settings.momentum,
                                         weight_decay=settings.weight_decay)
        self.replica = nn.parallel.DistributedDataParallel(self.network) if processes.count > 1 else self.network
        self.per_epoch = len(self.images) // settings.batch_size        # the rest of an epoch's images is left out of it
        self.step, self.steps, self.wrong = 0, settings.epochs * self.per_epoch, 0
        self.history = History(f"{settings.block}-{settings.depth}")

    def advance(self, stop: bool = False) -> bool:
        """One step, and the errors where it ends an epoch; whether any process was told to ``stop``."""
        settings, processes = self.settings, self.processes
        x, y = self._batch()
        self.optimizer.zero_grad()
        scores = self.replica(x)
        loss = F.cross_entropy(scores, y)
        loss.backward()             # with several processes, the gradients are averaged meanwhile
        total, wrong, stops = processes.sum(loss.item(), (scores.argmax(1) != y).sum().item(), stop)
        if not math.isfinite(total):
            raise Stopped(f"At step {self.step + 1} of {self.steps} the loss was no longer a finite number. Start again with a "
                          f"lower --learning-rate, such as {settings.learning_rate / 10:g}.")
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate(self.step, self.steps, settings.learning_rate, schedule=settings.schedule,
                                               warm_up=settings.warm_up)
        self.optimizer.step()
        self.step, self.wrong = self.step + 1, self.wrong + int(wrong)
        self.history.loss.append(total / processes.count)
        if self.step % self.per_epoch == 0:
            self.history.train_error.append(self.wrong / (self.per_epoch * settings.batch_size))
            self.history.test_error.append(self.error(self.test_images, self.test_labels))
            self.wrong = 0
        if self.step == self.steps:
            self.history.final_error = self.error(self.images, self.labels)
        return stops > 0

    def _batch(self):
        """This process's part of the step's images, moved and mirrored, and their labels."""
        settings, (epoch, place) = self.settings, divmod(self.step, self.per_epoch)
        mine = slice(self.processes.rank, None, self.processes.count)
        order = recipe.order(settings.seed, epoch, len(self.images))
        batch = order[place * settings.batch_size:(place + 1) * settings.batch_size][mine].to(self.images.device)
        x, y = self.images[batch], self.labels[batch]
        if settings.augment:        # 4 of 32 pixels, as in the paper; a digit in a mirror is not one
            how = recipe.changes(settings.seed, self.step, settings.batch_size, x.shape[2] // 8, settings.data != "digits")
            x = recipe.changed(x, how[mine].to(x.device))
        return x, y

    @torch.no_grad()
    def error(self, images, labels) -> float:
        """Share of wrong predictions in eval mode, each process taking a part of the images."""
        if self.processes.count > 1:
            for buffer in self.network.buffers():       # batch norm's running statistics: the first process's
                dist.broadcast(buffer, 0)
        self.network.eval()
        mine = slice(self.processes.rank, None, self.processes.count)
        wrong = sum((self.network(x).argmax(1) != y).sum().item()
                    for x, y in zip(images[mine].split(500), labels[mine].split(500)))
        self.network.train()
        return self.processes.sum(wrong)[0] / len(images)

    # Its checkpoint.

    def content(self) -> dict:
        """All that the run needs to go on: numbers, texts and tensors. Random numbers follow from seed and step."""
        return {"format": FORMAT, "settings": asdict(self.settings), "step": self.step, "wrong": self.wrong,
                "network": self.network.state_dict(),
                "momentum": {name: self.optimizer.state[weight]["momentum_buffer"] for name, weight in
                             self.network.named_parameters() if "momentum_buffer" in self.optimizer.state[weight]},
                "loss": self.history.loss, "train_error": self.history.train_error,
                "test_error": self.history.test_error, "final_error": self.history.final_error}

    def restore(self, content, path) -> None:
        """Go on from what `content` gave; raises `CheckpointError` for anything else, and then changes nothing."""
        weights = self._check(content, path)
        self.step, self.wrong = content["step"], content["wrong"]
        for name in ("loss", "train_error", "test_error", "final_error"):
            setattr(self.history, name, content[name])
        self.network.load_state_dict(weights)
        for name, weight in self.network.named_parameters():
            if name in content["momentum"]:
                self.optimizer.state[weight]["momentum_buffer"] = content["momentum"][name].to(weight.device)

    def _check(self, content, path) -> dict[str, torch.Tensor]:
        """The network's weights, once all of it can be gone on from."""
        def refuse(found):
            raise CheckpointError(f"{path} {found}. Name another --output, or restore the file.")
        if not isinstance(content, dict) or content.get("format") != FORMAT or content.keys() != self.content().keys():
            refuse("is no checkpoint of python -m resnote.train")
        if not isinstance(content["settings"], dict):
            refuse("does not say which settings it was made with")
        for name, ours in asdict(self.settings).items():
            theirs = content["settings"].get(name)
            if theirs != ours or type(theirs) is not type(ours):
                option = f"--{name.replace('_', '-')}"
                raise CheckpointError(f"{path} was made with {option} {theirs}, and this run has {option} {ours}. Give the "
                                      "same settings, or another --output.")
        step, epochs = content["step"], len(content["train_error"]) if isinstance(content["train_error"], list) else -1
        if type(step) is not int or not 0 <= step <= self.steps or epochs != step // self.per_epoch:
            refuse(f"has step {step!r} of {self.steps}, which does not fit its history")
        for name, length in (("loss", step), ("train_error", epochs), ("test_error", epochs)):
            if not isinstance(content[name], list) or len(content[name]) != length or not all(type(x) is float for x in content[name]):
                refuse(f"does not hold {length} numbers under {name!r}")
        if type(content["wrong"]) is not int or type(content["final_error"]) is not float:
            refuse("holds no errors")
        checked = checked_weights(self.network, content["network"], path)
        momentum, weights = content["momentum"], dict(self.network.named_parameters())
        if not isinstance(momentum, dict) or momentum.keys() != (weights.keys() if step and self.settings.momentum else set()) or any(
                not isinstance(m, torch.Tensor) or m.shape != weights[n].shape or m.dtype != weights[n].dtype
                for n, m in momentum.items()):
            refuse("has no momentum that fits the network's weights")
        return checked


@without_denormals()
def go(run: Run, checkpoint: Path | None, every: int, say, signals: Sequence[int] = ()) -> None:
    """Train to the end, with a checkpoint each ``every`` steps; ``say(run)`` after each step.

    ``signals`` is what `resnote.train.noting_signals` gave: the first step that begins after a signal is the last one.

    Raises
    ------
    Stopped
        when a signal ended the run, in any process (what was learned is in the checkpoint, where there is one), and when
        the loss is no longer a finite number.
    """
    def keep():
        if checkpoint and run.processes.rank == 0:
            save(run.content(), checkpoint)

    while run.step < run.steps:
        stop = run.advance(bool(signals))
        if stop or run.step % every == 0 or run.step == run.steps:
            keep()
        say(run)
        if stop and run.step < run.steps:
            where = (f"{checkpoint} holds it: give the same command and --resume, and it goes on." if checkpoint else
                     "It is lost, since there was no --output.")
            raise Stopped(f"Interrupted after step {run.step} of {run.steps}. {where}", 128 + (signals or [signal.SIGTERM])[0])
