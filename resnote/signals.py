"""A signal sent through many layers at initialisation, and the gradient that comes back."""

from __future__ import annotations

from functools import cache, lru_cache
from threading import Lock
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from resnote.data import digits
from resnote.settings import SettingError, check_size
from resnote.training import one_thread

FUNCTIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "ReLU": torch.relu}
DEEPEST, UNITS, IMAGES = 60, 64, 128
_ONE_AT_A_TIME = Lock()         # an explorer may move in another thread than the one that runs a cell


@one_thread()
def propagate(depth: int, activation: str, gain: float, batch_norm: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Send 128 scanned digits forward and the cross-entropy's gradient back, at initialisation (seed 0).

    Of each layer, the spread of a unit's output over the images, mean over the units, and the norm of the weights' gradient.
    In float64: a signal that has all but vanished would be float32's rounding.

    Parameters
    ----------
    depth : layers, 1 to 60, each 64 wide
    activation : "sigmoid", "tanh" or "ReLU"
    gain : the spread of a weight is gain / √64
    batch_norm : whether batch norm stands before each activation

    Raises
    ------
    SettingError : for another depth or activation
    """
    if not 1 <= check_size("depth", depth) <= DEEPEST:
        raise SettingError(f"depth is {depth}; there are weights for 1 to {DEEPEST} layers.")
    if activation not in FUNCTIONS:
        raise SettingError(f"activation={activation!r} is not known. Use one of {', '.join(map(repr, FUNCTIONS))}.")
    with _ONE_AT_A_TIME:
        return _profile(depth, activation, gain, batch_norm)


@lru_cache(maxsize=2048)
@torch.enable_grad()            # what is kept has to serve a later call, too
def _profile(depth, activation, gain, batch_norm):
    _, labels, _, last = _signal()
    passed = _layers_so_far(activation, gain, batch_norm)
    _pass_on(passed, depth, activation, gain, batch_norm)
    weights, outputs, spread = zip(*passed[:depth])
    loss = F.cross_entropy(outputs[-1] @ last.T, labels)
    gradients = torch.autograd.grad(loss, weights, retain_graph=True)       # kept for the next depth
    return spread, tuple(torch.stack(torch._foreach_norm(gradients)).tolist())


class Passed(NamedTuple):
    """What one layer did: its weights, (64, 64), its output, (N, 64), and that output's spread."""

    weight: Tensor
    output: Tensor
    spread: float


@lru_cache(maxsize=4)
def _layers_so_far(activation, gain, batch_norm) -> list[Passed]:
    """The layers that the signal has passed at this setting so far: another depth needs no more than its own backward pass."""
    return []


def _pass_on(passed: list[Passed], depth, activation, gain, batch_norm) -> None:
    """Let the signal pass the layers up to ``depth`` that it has not passed."""
    images, _, directions, _ = _signal()
    x, layers, deviations = passed[-1].output if passed else images, [], []
    for direction in directions[len(passed):depth]:
        weight = (direction * (gain / UNITS**0.5)).requires_grad_()
        x = x @ weight.T
        if batch_norm:
            x = F.batch_norm(x, None, None, training=True)
        x = FUNCTIONS[activation](x)
        layers.append((weight, x))
        deviations.append(x.detach().std(0))
    if layers:
        spreads = torch.stack(deviations).mean(1).tolist()
        passed += [Passed(*layer, spread) for layer, spread in zip(layers, spreads)]


@cache
def _signal():
    data, generator = digits(), torch.Generator().manual_seed(0)
    last = torch.randn(10, UNITS, generator=generator, dtype=torch.float64) / UNITS**0.5
    directions = torch.randn(DEEPEST, UNITS, UNITS, generator=generator, dtype=torch.float64)
    return data.train_images[:IMAGES].flatten(1).double(), data.train_labels[:IMAGES], directions, last
