"""Lesson 01's explorer: a signal sent through many layers, and the gradient that comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from resnote.drawings.kit import WIDTH
from resnote.drawings.layers import layer_chart
from resnote.explorers.base import Choice, Column, Columns, Explorer, Slider, Steps, Switch
from resnote.settings import SettingError
from resnote.text import rounded, sci

ACTIVATIONS, DEEPEST = ("sigmoid", "tanh", "ReLU"), 60
# The spread of a weight is gain / √64. LeCun's and Xavier's are 1 here, since layers are square; He's is √2.
GAINS = {"0.1": 0.1, "0.3": 0.3, "0.5": 0.5, "0.7": 0.7, "1 (Xavier)": 1.0, "1.2": 1.2, "√2 (He)": 2**0.5,
         "1.7": 1.7, "2": 2.0, "3": 3.0, "5": 5.0, "8": 8.0, "12": 12.0, "20": 20.0}


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
    """Of each layer: the spread of the signal, and the norm of the weights' gradient."""

    spread: list[float]
    gradient: list[float]


class Numbers(NamedTuple):
    """Of each layer, the spread of the signal and the norm of the weights' gradient; and the state that they belong to."""

    state: State
    spread: list[float]
    gradient: list[float]


def propagate(state: State) -> Profile:
    """Both profiles by `resnote.signals`, to five digits, more than is drawn. It needs torch: a page puts a table here.

    Raises
    ------
    SettingError : for a setting that the controls do not have
    """
    from resnote import signals

    if state.gain not in GAINS:
        raise SettingError(f"gain={state.gain!r} is not known. Use one of {', '.join(map(repr, GAINS))}.")
    profile = signals.propagate(state.depth, state.activation, GAINS[state.gain], state.batch_norm)
    return Profile(*map(rounded, profile))


class SignalExplorer(Explorer):
    """Depth, activation, initial gain, batch norm: both profiles, layer by layer.

    Parameters
    ----------
    preset : name of one of `PRESETS`; the vanishing sigmoid by default
    """

    State, presets, looks_ahead = State, PRESETS, True
    controls = {"depth": Slider("layers", 1, DEEPEST), "activation": Choice("activation", ACTIVATIONS),
                "gain": Steps("gain", tuple(GAINS)), "batch_norm": Switch("batch norm")}
    layout = (Columns((Column(("depth", "gain", "spread")), Column(("activation", "batch_norm", "gradient"))), WIDTH),)

    @staticmethod
    def numbers(state):
        return Numbers(state, *propagate(state))

    @staticmethod
    def draw(numbers):
        return {"spread": layer_chart(numbers.spread, "Spread of the signal", layers=DEEPEST, colour="#0072B2", arrow="→"),
                "gradient": layer_chart(numbers.gradient, "Gradient of the weights", layers=DEEPEST, colour="#D55E00", arrow="←")}

    @staticmethod
    def sentence(before, numbers):
        _, spread, gradient = numbers
        return (f"The signal's spread goes from {sci(spread[0])} to {sci(spread[-1])}; the gradient's norm is "
                f"{sci(gradient[-1])} at the last layer and {sci(gradient[0])} at the first.")
