"""Lesson 01's explorer: a signal sent through many layers, and the gradient that comes back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape
from typing import NamedTuple

import torch
import torch.nn.functional as F

from resnote.charts import WIDTH, describe, layer_chart, sci
from resnote.data import digits
from resnote.diagrams import as_image
from resnote.explorers.base import Explorer, choice, columns, slider, steps, switch, what_moved
from resnote.settings import SettingError, check_size
from resnote.training import one_thread

ACTIVATIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "ReLU": torch.relu}
DEEPEST, UNITS, IMAGES = 60, 64, 256
# The spread of a weight is gain / √64. LeCun's and Xavier's are 1 here, since layers are square; He's is √2.
GAINS = {"0.1": 0.1, "0.3": 0.3, "0.5": 0.5, "0.7": 0.7, "1 (Xavier)": 1.0, "1.2": 1.2, "√2 (He)": 2**0.5,
         "1.7": 1.7, "2": 2.0, "3": 3.0, "5": 5.0, "8": 8.0, "12": 12.0, "20": 20.0}
CONTROL_LABELS = {"depth": "layers", "activation": "activation", "gain": "gain", "batch_norm": "batch norm"}


@dataclass(frozen=True)
class State:
    """Layers 1–60, each 64 wide."""

    depth: int = 30
    activation: str = "sigmoid"
    gain: str = "1 (Xavier)"
    batch_norm: bool = False


PRESETS = {
    "Sigmoid vanishes": State(),
    "Tanh, Xavier": State(activation="tanh"),
    "ReLU, too small": State(activation="ReLU"),
    "ReLU, He": State(activation="ReLU", gain="√2 (He)"),
    "ReLU with batch norm": State(activation="ReLU", gain="√2 (He)", batch_norm=True),
    "Exploding": State(activation="ReLU", gain="3"),
}


class Profile(NamedTuple):
    """Of each layer: spread of a unit's output over the images, mean over the units; norm of the weights' gradient."""

    spread: list[float]
    gradient: list[float]


@lru_cache(maxsize=8)  # the picture, its words and its still ask for the same one
@one_thread()
def propagate(state: State) -> Profile:
    """Send 256 scanned digits forward and the cross-entropy's gradient back, at initialisation (seed 0).

    In float64: a signal that has all but vanished would be float32's rounding. Raises `SettingError` for a
    setting that the controls do not have.
    """
    _check(state)
    images, labels, directions, last = _signal()
    activation = ACTIVATIONS[state.activation]
    weights = [(w * (GAINS[state.gain] / UNITS**0.5)).requires_grad_() for w in directions[:state.depth]]
    x, spread = images, []
    for weight in weights:
        x = x @ weight.T
        if state.batch_norm:
            x = F.batch_norm(x, None, None, training=True)
        x = activation(x)
        spread.append(x.std(0).mean().item())
    gradients = torch.autograd.grad(F.cross_entropy(x @ last.T, labels), weights)
    return Profile(spread, [gradient.norm().item() for gradient in gradients])


def _check(state):
    if not 1 <= check_size("depth", state.depth) <= DEEPEST:
        raise SettingError(f"depth is {state.depth}; the explorer draws 1 to {DEEPEST} layers.")
    for name, known in (("activation", ACTIVATIONS), ("gain", GAINS)):
        if getattr(state, name) not in known:
            raise SettingError(f"{name}={getattr(state, name)!r} is not known. Use one of {', '.join(map(repr, known))}.")


@cache
def _signal():
    data, generator = digits(), torch.Generator().manual_seed(0)
    last = torch.randn(10, UNITS, generator=generator, dtype=torch.float64) / UNITS**0.5
    directions = torch.randn(DEEPEST, UNITS, UNITS, generator=generator, dtype=torch.float64)
    return data.train_images[:IMAGES].flatten(1).double(), data.train_labels[:IMAGES], directions, last


class SignalExplorer(Explorer):
    """Depth, activation, initial gain, batch norm: both profiles, layer by layer.

    Parameters
    ----------
    preset : name of one of `PRESETS`; the vanishing sigmoid by default
    """

    State, presets, parts = State, PRESETS, ("spread", "gradient")

    def make_controls(self):
        return {"depth": slider(CONTROL_LABELS["depth"], 1, DEEPEST),
                "activation": choice(CONTROL_LABELS["activation"], list(ACTIVATIONS)),
                "gain": steps(CONTROL_LABELS["gain"], GAINS), "batch_norm": switch(CONTROL_LABELS["batch_norm"])}

    def arrange(self, controls, views):
        return columns((controls["depth"], controls["gain"], views["spread"]),
                       (controls["activation"], controls["batch_norm"], views["gradient"]), width=WIDTH)

    def picture(self, state):
        return dict(zip(self.parts, (chart(profile) for chart, profile in zip(_CHARTS, propagate(state)))))

    def still(self, state):
        images = "".join(as_image(chart(profile, standalone=True), describe(profile, title))
                         for chart, profile, title in zip(_CHARTS, propagate(state), TITLES))
        return f"<div>{images}</div><p>{escape(self.says(None, state))}</p>"

    def says(self, before, state):
        spread, gradient = propagate(state)
        return (what_moved(CONTROL_LABELS, before, state)
                + f"The signal's spread goes from {sci(spread[0])} to {sci(spread[-1])}; the gradient's norm is "
                f"{sci(gradient[-1])} at the last layer and {sci(gradient[0])} at the first.")


TITLES = ("Spread of the signal", "Gradient of the weights")


def _chart(title, colour, arrow):
    return lambda values, **how: layer_chart(values, title, layers=DEEPEST, colour=colour, arrow=arrow, **how)


_CHARTS = (_chart(TITLES[0], "#0072B2", "→"), _chart(TITLES[1], "#D55E00", "←"))
