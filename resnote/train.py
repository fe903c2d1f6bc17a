"""Train a network for small images by the recipe of He et al. (2015), §4.2, in one process or in several.

    python -m resnote.train --data digits --block residual --depth 20
    python -m resnote.train --data cifar10 --folder FOLDER --block plain --depth 56 --output runs/plain-56
    torchrun --standalone --nproc-per-node 2 -m resnote.train --data digits --depth 20 --batch-norm sync

With --output a checkpoint is written after each epoch and when the run is interrupted; with --resume the same command goes
on from it. In one process, on one machine and with as many --threads, the result is bit for bit that of a run that never
stopped. Several processes share each batch: --batch-size counts the images that all of them see in one step, so a run may go
on with another number of processes.

Nothing is downloaded. A GPU is used where there is one.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from zlib import crc32

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from resnote import recipe
from resnote.arguments import whole_number
from resnote.checkpoints import CheckpointError, checked_weights, clear, load, save
from resnote.data import FASHION_MNIST_FOLDER, DataError, ImageData, cifar10, digits, fashion_mnist, first, shrunk
from resnote.networks import SmallNet
from resnote.replicas import share_batch_norm
from resnote.resnets import CHANGES, SMALL
from resnote.settings import SettingError, check_number, check_size
from resnote.training import History, without_denormals

EPOCHS = {"digits": 20, "fashion-mnist": 20, "cifar10": 164}       # CIFAR-10: 64,000 steps of 128 images
FORMAT = "resnote.train 1"


@dataclass(frozen=True)
class Settings:
    """All that decides what is learned. A run goes on from a checkpoint of the same settings only."""

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


# --- training ----------------------------------------------------------------------------------


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

    ``signals`` is what `noting_signals` gave: the run ends after the step in which a signal came.

    Raises
    ------
    Stopped
        when a signal ended the run, in any process; what was learned is then in the checkpoint.
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


@contextmanager
def noting_signals():
    """A list that an interrupt or a request to end is added to; a second one ends the process as usual."""
    noted, before = [], {}

    def note(number, _frame):
        noted.append(number)
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- words -------------------------------------------------------------------------------------


class Console:
    """A bar on a terminal, and a line for each epoch everywhere."""

    def __init__(self):
        self.out, self.live, self.due = sys.stdout, sys.stdout.isatty(), 0.0
        self.start, self.before = time.monotonic(), None

    def line(self, words: str) -> None:
        print(f"\r\033[K{words}" if self.live else words, file=self.out, flush=True)

    def __call__(self, run: Run) -> None:
        now, history = time.monotonic(), run.history
        self.before = run.step - 1 if self.before is None else self.before
        if run.step % run.per_epoch == 0:
            speed = (run.step - self.before) * run.settings.batch_size / (now - self.start)
            self.line(f"epoch {history.epochs} of {run.settings.epochs} · loss {history.loss[-1]:.3f} · training error "
                      f"{history.train_error[-1]:.1%} · test error {history.test_error[-1]:.1%} · {speed:,.0f} images a second")
        elif self.live and now >= self.due:
            self.due, done = now + 0.1, run.step / run.steps
            left = (now - self.start) / (run.step - self.before) * (run.steps - run.step)
            print(f"\r\033[K{'█' * int(30 * done):░<30} {done:.0%} · step {run.step:,} of {run.steps:,} · loss {history.loss[-1]:.3f} "
                  f"· {left / 60:.0f} min left", end="", file=self.out, flush=True)


# --- the command -------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    rank = int(os.environ.get("RANK", 0))
    console = Console()
    with ExitStack() as last_word:
        try:
            options, settings = parsed(arguments)
            if options.threads:
                torch.set_num_threads(options.threads)
            data = opened(settings, options.folder)
            with joined() as processes:
                # From here to the last word: where a process is gone, torchrun tells the others to end while they say so.
                signals = last_word.enter_context(noting_signals())
                _train(options, settings, data, processes, console if processes.rank == 0 else None, signals)
        except Stopped as stopped:
            words, code = str(stopped), stopped.code
        except (SettingError, DataError) as error:
            words, code = str(error), 2
        except CheckpointError as error:
            words, code = str(error), 1
        except (RuntimeError, ValueError) as error:
            if "WORLD_SIZE" not in os.environ or not _of_processes(error):
                raise
            rank, code = 0, 1           # every process that is left says so: the first may be the one that is gone
            words = (f"Another process of this run is gone, or cannot be reached ({str(error).splitlines()[0][:200]}). Start the run "
                     "again, with --resume where it had an --output; the number of processes may be another one.")
        else:
            return 0
        if rank == 0:
            print(f"{chr(13) + chr(27) + '[K' if console.live else ''}{words}", file=sys.stderr, flush=True)
        return code


def _train(options, settings, data, processes, console, signals) -> None:
    run = Run(settings, data, processes)
    checkpoint = options.output / "checkpoint.pt" if options.output else None
    if checkpoint:
        if processes.rank == 0:
            clear(checkpoint)
        if checkpoint.exists() and not options.resume:
            raise SettingError(f"{checkpoint} is there already. Add --resume to go on from it, or name another --output.")
        if checkpoint.exists():
            run.restore(load(checkpoint), checkpoint)
    say = console or (lambda run: None)
    if console:
        weights = sum(p.numel() for p in run.network.parameters())
        console.line(f"{run.history.label}: {weights:,} parameters, {len(run.images):,} training images "
                     f"{tuple(run.images.shape[1:])}, {run.steps:,} steps"
                     + (f", going on after step {run.step:,}" if run.step else "")
                     + (f", {processes.count} processes" if processes.count > 1 else ""))
    try:
        go(run, checkpoint, options.checkpoint_every or run.per_epoch, say, signals)
    finally:
        if console and options.report and run.step:
            from resnote.report import page  # imported late: only the first process draws

            page(run, options.report)
    if processes.count > 1:
        _agree(run.network, processes)
    if console:
        console.line(f"after {run.history.epochs} epochs: training error {run.history.final_error:.1%}, test error "
                     f"{run.history.test_error[-1]:.1%}")


def parsed(arguments) -> tuple[argparse.Namespace, Settings]:
    """The options, and the settings among them; ends the program with one sentence and code 2 where they are wrong."""
    parser = _Parser(prog="python -m resnote.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", choices=list(EPOCHS), required=True)
    add("--folder", type=Path, help="where Fashion-MNIST or CIFAR-10 lies on disk")
    add("--block", choices=list(SMALL), default="residual")
    add("--depth", type=whole_number, default=20, help="6n + 2; with bottlenecks 9n + 2")
    add("--width", type=whole_number, default=16, help="channels of the first stage")
    add("--shortcut", choices=CHANGES, default="zero-pad", help="where the shape changes: option A or B")
    add("--images", type=whole_number, default=0, metavar="N", help="the first N training images; all by default")
    add("--test-images", type=whole_number, default=0, metavar="N", help="the first N test images; all by default")
    add("--shrink", type=whole_number, default=1, metavar="K", help="average K by K pixels into one")
    add("--no-augment", dest="augment", action="store_false", help="leave the images unmoved and unmirrored")
    add("--epochs", type=whole_number, help=", ".join(f"{name}: {number}" for name, number in EPOCHS.items()))
    add("--batch-size", type=whole_number, default=128, help="images a step, of all processes together")
    add("--learning-rate", type=_number, default=0.1)
    add("--schedule", choices=recipe.SCHEDULES, default="steps", help="a tenth at half, a hundredth at three quarters; or a cosine")
    add("--warm-up", type=whole_number, metavar="STEPS", help="steps at a tenth of the rate; 400 from 110 layers on, else none")
    add("--momentum", type=_number, default=0.9)
    add("--weight-decay", type=_number, default=1e-4)
    add("--batch-norm", choices=("own", "sync"), default="own", help="over a process's own images, or over those of all")
    add("--seed", type=whole_number, default=0)
    add("--threads", type=whole_number, default=0, help="of each process; as many as torch takes by default")
    add("--output", type=Path, metavar="FOLDER", help="where checkpoint.pt is kept")
    add("--resume", action="store_true", help="go on from the checkpoint in --output, where there is one")
    add("--checkpoint-every", type=whole_number, metavar="STEPS", help="an epoch by default; one is written at the end in any case")
    add("--report", type=Path, metavar="FILE", help="write an HTML page with the curves")
    options = parser.parse_args(arguments)
    if options.epochs is None:
        options.epochs = EPOCHS[options.data]
    if options.warm_up is None:
        options.warm_up = 400 if options.depth >= 110 else 0
    try:
        return options, _checked(options)
    except (SettingError, OSError) as error:
        parser.error(str(error))


def _checked(options) -> Settings:
    for name in ("epochs", "batch_size", "shrink", "width"):
        check_size(f"--{name.replace('_', '-')}", getattr(options, name))
    if options.checkpoint_every is not None:
        check_size("--checkpoint-every", options.checkpoint_every)
    check_number("--learning-rate", options.learning_rate, "a number above 0, such as 0.1", above=0, below=1e9)
    check_number("--momentum", options.momentum, "0 or a number below 1, such as 0.9", least=0, below=1)
    check_number("--weight-decay", options.weight_decay, "0 or a small positive number, such as 1e-4", least=0, below=1e9)
    if options.resume and not options.output:
        raise SettingError("--resume needs the --output of the run that is to go on.")
    if options.data == "cifar10" and not options.folder:
        raise SettingError("--data cifar10 needs --folder, the folder with CIFAR-10's python batches.")
    with torch.device("meta"):      # a depth that the family does not have says so before data are read
        SmallNet(options.block, options.depth, width=options.width, shortcut=options.shortcut)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
    return Settings(**{f.name: getattr(options, f.name) for f in fields(Settings)})


def opened(settings: Settings, folder: Path | None) -> ImageData:
    """The images of these settings."""
    if settings.data == "digits":
        data = digits()
    elif settings.data == "fashion-mnist":
        data = fashion_mnist(folder or FASHION_MNIST_FOLDER)
    else:
        data = cifar10(folder)
    data = first(data, settings.images or None, settings.test_images or None)
    return shrunk(data, settings.shrink) if settings.shrink > 1 else data


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


def _agree(network, processes) -> None:
    """Every process must hold the same weights, to the bit."""
    mine = float(crc32(b"".join(weight.detach().cpu().contiguous().numpy().tobytes() for weight in network.parameters())))
    if processes.sum(mine)[0] != mine * processes.count:
        raise Stopped("The processes do not hold the same weights at the end, which must not happen. Please report it.")


def _of_processes(error) -> bool:
    return isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "nccl", "NCCL", "environment variable"))


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the list of all options."""

    def error(self, message):
        if int(os.environ.get("RANK", 0)) == 0:
            print(f"{message[0].upper()}{message[1:]}{'' if message.endswith('.') else '.'} (--help lists all options.)",
                  file=sys.stderr)
        raise SystemExit(2)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


if __name__ == "__main__":
    sys.exit(main())
