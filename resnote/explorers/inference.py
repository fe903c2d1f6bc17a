"""Lesson 05's explorer: running statistics walk to the population's, and what each mode makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from resnote.drawings.kit import WIDTH
from resnote.drawings.walks import Mode, Walk, mode_bars, walk_chart
from resnote.explorers.base import Column, Columns, Explorer, Slider, Steps, Switch
from resnote.text import number, rounded

STEPS, CLASSES = 200, 10                       # batches that pass, and steps that the network learns
AXES = {"mean": (-2, 0, 6), "variance": (0, 10, 20)}
BATCH_SIZES = (2, 4, 8, 16, 32, 64, 128, 256)
MOMENTA = ("0.01", "0.05", "0.1", "0.3", "0.5", "1", "None")


@dataclass(frozen=True)
class State:
    """Momentum as PyTorch has it ("None": all batches count alike), 2 to 256 images a batch, 0 to 200 batches."""

    momentum: str = "0.1"
    batch_size: int = 64
    seen: int = 10
    learning: bool = False


PRESETS = {
    "Too few batches": State(),
    "Enough batches": State(seen=100),
    "Batches of two": State(batch_size=2, seen=200),
    "Only the last batch": State(momentum="1", batch_size=8, seen=100),
    "All batches alike": State(momentum="None", seen=200),
    "All alike while it learns": State(momentum="None", seen=200, learning=True),
}


class Right(NamedTuple):
    """How many of the test images each way of predicting gets right; how many there are; and batches that Algorithm 2 reads."""

    stored: int
    own: int
    best: int
    images: int
    batches: int


class Numbers(NamedTuple):
    """Mean and variance of the drawn unit, up to the batches seen, and what each mode gets right."""

    state: State
    mean: Walk
    variance: Walk
    right: Right


@cache
def whole_walks(momentum: str, batch_size: int, learning: bool) -> list[list[list[float]]]:
    """Mean and variance of the drawn unit over all batches, to five digits; a web page replaces this function by a table.

    Each as three lists: by batch, running, and over all training images.
    """
    from resnote import modes

    return [list(map(rounded, walk)) for walk in modes.walks(momentum, batch_size, learning)]


def walks(state: State) -> tuple[Walk, Walk]:
    """Mean and variance of the drawn unit, up to the batches seen; the population's is a line to the end where the weights stand still."""
    seen, found = state.seen, whole_walks(state.momentum, state.batch_size, state.learning)
    return tuple(Walk(name, AXES[name], batches[:seen], running[:seen + 1], population[:seen + 1 if state.learning else None])
                 for name, (batches, running, population) in zip(AXES, found))


def right(state: State) -> Right:
    """What each mode gets right, with the weights of the state, by `resnote.modes`: a page puts a table here."""
    from resnote import modes

    step, size = _step(state), state.batch_size
    return Right(modes.eval_mode(state.momentum, size, state.seen, state.learning), modes.batch_mode(step, size),
                 modes.algorithm_2(step, size), *modes.sizes(size))


def shown(numbers: Numbers) -> list[Mode]:
    """The bars: each mode, where its statistics come from, and what it gets right."""
    state, right = numbers.state, numbers.right
    return [Mode("eval(): running statistics", _gathered(state), right.stored),
            Mode("train(): each batch's own statistics", f"test images in batches of {state.batch_size}", right.own),
            Mode("eval(): Algorithm 2's population statistics",
                 f"from all {right.batches} training batches of {state.batch_size}", right.best)]


def _step(state) -> int:
    return state.seen if state.learning else STEPS


def _gathered(state) -> str:
    if state.seen == 0:
        return "no batch seen: mean 0, variance 1"
    seen = "1 batch" if state.seen == 1 else f"{state.seen} batches"
    return f"after {seen} of {state.batch_size}, momentum {state.momentum}"


NOTE = ('<p class="resnote-note" style="margin:4px 8px;font-size:13px;line-height:1.5">'
        "The network has three hidden layers of 32 sigmoid units, batch norm before each sigmoid. It learned the "
        f"digits for {STEPS} steps with batches of 64, and stands still while the batches pass. With the box "
        "ticked they pass while it learns, one before each step. The controls change the statistics, never what it "
        "learns.</p>")


class InferenceExplorer(Explorer):
    """Momentum, batch size, batches seen, weights still learning: running statistics, and each mode's accuracy.

    Parameters
    ----------
    preset : name of one of `PRESETS`; too few batches by default
    """

    State, presets, looks_ahead = State, PRESETS, True
    controls = {"momentum": Steps("momentum", MOMENTA), "batch_size": Steps("batch size", BATCH_SIZES),
                "seen": Slider("batches seen", 0, STEPS), "learning": Switch("weights still learning")}
    layout = (Columns((Column(("momentum", "seen", "walk")), Column(("batch_size", "learning", "modes"))), WIDTH), "note")

    @staticmethod
    def prepare():
        from resnote import modes

        modes.prepare(BATCH_SIZES)

    @staticmethod
    def numbers(state):
        return Numbers(state, *walks(state), right(state))

    @staticmethod
    def draw(numbers):
        return {"walk": walk_chart("One unit of the first layer", (numbers.mean, numbers.variance), STEPS),
                "modes": mode_bars(f"Test images right, weights at step {_step(numbers.state)}", shown(numbers),
                                   numbers.right.images, 1 / CLASSES), "note": NOTE}

    @staticmethod
    def sentence(before, numbers):
        _, mean, variance, right = numbers
        return (f"Running mean {number(mean.running[-1])} (population {number(mean.population[-1])}), running "
                f"variance {number(variance.running[-1])} (population {number(variance.population[-1])}). Right of "
                f"{right.images}: {right.stored} with running statistics, {right.own} with each batch's own, {right.best} with "
                "Algorithm 2's.")
