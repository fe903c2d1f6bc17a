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
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path

import torch
import torch.distributed as dist

from resnote import recipe
from resnote.arguments import whole_number
from resnote.checkpoints import CheckpointError, clear, load
from resnote.data import FASHION_MNIST_FOLDER, DataError, ImageData, cifar10, digits, fashion_mnist, first, shrunk
from resnote.networks import SmallNet
from resnote.resnets import CHANGES, SMALL
from resnote.runs import Run, Settings, Stopped, check_that_all_agree, go, joined
from resnote.settings import SettingError, check_number, check_size

EPOCHS = {"digits": 20, "fashion-mnist": 20, "cifar10": 164}       # CIFAR-10: about 64,000 steps of 128 images


@contextmanager
def noting_signals():
    """A list that an interrupt or a request to end is added to; a second one of the same kind ends the process as usual."""
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


def main(arguments: list[str] | None = None, leave: Callable[[int], object] = lambda code: None) -> int:
    """Run the command; its exit code.

    ``leave`` is called with the code where another process of the run is gone. Freeing tensors after
    that may wait for the lost process, so the program ends there, by ``os._exit``.
    """
    rank = int(os.environ.get("RANK", 0))
    console = Console()

    def say(words):
        print(f"{chr(13) + chr(27) + '[K' if console.live else ''}{words}", file=sys.stderr, flush=True)

    with ExitStack() as last_word:
        try:
            options, settings = parsed(arguments)
            if options.threads:
                torch.set_num_threads(options.threads)
            data = opened(settings, options.folder)
            with joined() as processes:
                # Noted until the last message: when one process is gone, torchrun ends the others while they report it.
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
            # Every process that is left says so: the first may be the one that is gone.
            say(f"Another process of this run is gone, or cannot be reached ({str(error).splitlines()[0][:200]}). Start the run "
                "again, with --resume where it had an --output; the number of processes may be another one.")
            leave(1)                    # here, where the error still holds all that computed
            return 1
        else:
            return 0
        if rank == 0:
            say(words)
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
        check_that_all_agree(run.network, processes)
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
    sys.exit(main(leave=os._exit))
