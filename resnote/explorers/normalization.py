"""Lesson 04's explorer: one batch before and after batch norm, and where it meets the activation."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from math import exp, tanh
from statistics import fmean
from typing import NamedTuple

from resnote.drawings.batches import HIGH, LOW, BatchChart, Curve, batch_chart
from resnote.drawings.kit import WIDTH
from resnote.explorers.base import Choice, Column, Columns, Explorer, Steps
from resnote.text import number, percent

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
REFUSED = ("A batch of one is its own mean: x − μ is 0 and σ² is 0, so every output would be β = {beta}, whatever "
           "came in. PyTorch refuses it in training. Give it two values or more.")


class Activation(NamedTuple):
    """g(z), its slope, the values at the picture's bottom and top, and the zone where it is close to a line."""

    function: Callable[[float], float]
    slope: Callable[[float], float]
    low: int
    high: int
    zone: tuple[float, float]
    zone_name: str = "nearly linear"


def sigmoid(z: float) -> float:
    return 1 / (1 + exp(-z))


# tanh(z) = 2·sigmoid(2z) − 1, so its zone is half as wide. ReLU is bent at 0 only: its zone is where it passes z on.
ACTIVATIONS = {
    "sigmoid": Activation(sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z)), 0, 1, (-1.96, 1.96)),
    "tanh": Activation(tanh, lambda z: 1 - tanh(z) ** 2, -1, 1, (-0.98, 0.98)),
    "ReLU": Activation(lambda z: max(z, 0.0), lambda z: float(z > 0), 0, HIGH, (0, HIGH), "slope 1"),
}


@dataclass(frozen=True)
class State:
    """Mean −6 to 6, spread 0.1 to 6, γ −1 to 4, β −4 to 4; a batch of 1 to 256 values of one feature."""

    mean: float = 4.0
    spread: float = 1.5
    gamma: float = 1.0
    beta: float = 0.0
    batch_size: int = 256
    activation: str = "sigmoid"


PRESETS = {
    "Saturated": State(),
    "Too wide": State(mean=0.0, spread=6.0),
    "γ and β at work": State(gamma=2.5, beta=-2.0),
    "Undone by γ = σ, β = μ": State(mean=3.0, spread=2.0, gamma=2.0, beta=3.0),
    "Batch of two": State(batch_size=2),
    "Batch of one": State(batch_size=1),
}


class Batch(NamedTuple):
    """The batch's values, their mean and variance (÷ m), the share in the zone, and the activation's mean slope over all."""

    values: tuple[float, ...]
    mean: float
    variance: float
    zone: float
    slope: float


class Numbers(NamedTuple):
    """The batch before and after batch norm, None where that refuses it; and the state that they belong to."""

    state: State
    came: Batch
    went: Batch | None


def batches(state: State) -> tuple[Batch, Batch | None]:
    """The batch before and after batch norm (ε = 1e-5, float64); None where batch norm refuses it."""
    before = tuple(state.mean + state.spread * z for z in _sample()[:state.batch_size])
    after = None if state.batch_size == 1 else _measure(batch_norm(before, state.gamma, state.beta), state.activation)
    return _measure(before, state.activation), after


def variance(values, mean: float) -> float:
    """The biased one, ÷ m."""
    return fmean([(x - mean) ** 2 for x in values])


def batch_norm(values, gamma: float, beta: float, eps: float = 1e-5) -> tuple[float, ...]:
    """One feature's batch, normalised in training mode, times γ, plus β: Algorithm 1, as `resnote.batchnorm.forward`."""
    mean = fmean(values)
    scale = gamma / (variance(values, mean) + eps) ** 0.5
    return tuple(scale * (x - mean) + beta for x in values)


@lru_cache(maxsize=4)           # γ and β leave the incoming batch as it is
def _measure(values, activation) -> Batch:
    activation = ACTIVATIONS[activation]
    low, high = activation.zone
    reaches = high if high < HIGH else float("inf")
    mean = fmean(values)
    return Batch(values, mean, variance(values, mean), sum(low < z < reaches for z in values) / len(values),
                 fmean([activation.slope(z) for z in values]))


@cache
def _sample() -> list[float]:
    """256 numbers from a normal distribution, shifted and scaled to mean 0 and spread 1 exactly."""
    generator = random.Random(0)
    drawn = [generator.gauss(0, 1) for _ in range(max(BATCH_SIZES))]
    mean = fmean(drawn)
    spread = variance(drawn, mean) ** 0.5
    return [(z - mean) / spread for z in drawn]


@cache
def curve(name: str) -> Curve:
    """The activation as the picture needs it."""
    g = ACTIVATIONS[name]
    places = [LOW + (HIGH - LOW) * n / 100 for n in range(101)]
    return Curve(name, tuple((z, (g.function(z) - g.low) / (g.high - g.low)) for z in places),
                 (number(g.low, 0), number(g.high, 0)), g.zone, g.zone_name)


def _in_parts(label, low, high, parts) -> Steps:
    """Steps over low/parts, (low + 1)/parts … high/parts."""
    return Steps(label, {number(n / parts): n / parts for n in range(low, high + 1)})


class NormalizationExplorer(Explorer):
    """Incoming mean and spread, γ, β, batch size, activation: the batch before and after batch norm.

    Parameters
    ----------
    preset : name of one of `PRESETS`; the saturated sigmoid by default
    """

    State, presets = State, PRESETS
    controls = {"mean": _in_parts("incoming mean", -24, 24, 4), "spread": _in_parts("incoming spread", 1, 60, 10),
                "gamma": _in_parts("scale γ", -10, 40, 10), "beta": _in_parts("shift β", -16, 16, 4),
                "batch_size": Steps("batch size", BATCH_SIZES), "activation": Choice("activation", tuple(ACTIVATIONS))}
    layout = (Columns((Column(("mean", "spread", "batch_size", "before")), Column(("gamma", "beta", "activation", "after"))), WIDTH),)

    @staticmethod
    def numbers(state):
        return Numbers(state, *batches(state))

    @staticmethod
    def draw(numbers):
        before, after = map(_drawn, charts(numbers))
        return {"before": before, "after": after}

    @staticmethod
    def sentence(before, numbers):
        state, came, went = numbers
        if went is None:
            return "A batch of one is refused: it would be its own mean, and every output would be β."
        zone = ACTIVATIONS[state.activation].zone_name
        return (("Batch norm gives what it gave before. " if before and _same(before, numbers) else "")
                + f"Where {state.activation} {'has' if zone == 'slope 1' else 'is'} {zone}: "
                f"{percent(came.zone)} of the values before, {percent(went.zone)} after; its mean slope is "
                f"{came.slope:.3f} before and {went.slope:.3f} after.")


def charts(numbers: Numbers) -> tuple[BatchChart, BatchChart]:
    """What the two pictures show."""
    state, came, went = numbers
    drawn, title = curve(state.activation), "After batch norm"
    before = BatchChart("What comes in", _facts(came, drawn, "x₁"), came.values, "x₁", drawn)
    if went is None:
        return before, BatchChart(title, ("", ""), (), "y₁", drawn, REFUSED.format(beta=number(state.beta)))
    return before, BatchChart(title, _facts(went, drawn, "y₁"), went.values, "y₁", drawn)


_drawn = lru_cache(maxsize=4)(batch_chart)          # γ and β leave the picture of the incoming batch as it is


def _facts(batch, drawn, first) -> tuple[str, str]:
    return (f"mean {number(batch.mean)}, variance {number(batch.variance)}, {first} = {number(batch.values[0])}",
            f"{drawn.zone_name}: {percent(batch.zone)} of the values; mean slope of {drawn.name} {batch.slope:.3f}")


def _same(before, numbers) -> bool:
    """Whether the activation meets the same values as before the move; ε alone may move them a little."""
    return (before.went is not None and before.state.activation == numbers.state.activation
            and before.state != numbers.state
            and all(abs(a - b) < 0.01 for a, b in zip(before.went.values, numbers.went.values)))
