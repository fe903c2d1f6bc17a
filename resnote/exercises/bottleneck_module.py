"""Lesson 03's exercise that builds: a bottleneck as a module, checked by what it computes and not by its layers' names."""

from __future__ import annotations

from collections import Counter
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from resnote.exercises.base import Raised, Wrong, short
from resnote.exercises.compare import as_it_is, bare, check_tensor, far, generator_for, near, slip


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, out_channels, stride=1):
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, width, kernel_size=1, bias=False)
        self.look = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.grow = nn.Conv2d(width, out_channels, kernel_size=1, bias=False)
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)

    def forward(self, x):
        fx = self.squeeze(x).relu()
        fx = self.look(fx).relu()
        fx = self.grow(fx)
        return (fx + self.shortcut(x)).relu()


# in, width, out, stride: no two weights of a block have one shape, so each is told by its shape
_SETTINGS = (12, 5, 12), (6, 9, 6), (8, 3, 14), (14, 3, 8), (10, 4, 10, 2), (9, 4, 15, 3), (15, 4, 9, 2)

_NAMES = {"squeeze": "the first 1×1 convolution", "look": "the 3×3 convolution", "grow": "the last 1×1 convolution",
          "projection": "the projection on the shortcut"}


def check_bottleneck(ask):
    """Build each block, give its weights the values of a reference, and compare shapes, values and gradients."""
    generator = generator_for(3)
    for number, setting in enumerate(_SETTINGS):
        call = f"Bottleneck({', '.join(map(str, setting))})"
        module = ask(*setting, call=call)
        if not isinstance(module, nn.Module):
            raise Wrong(f"{call} gave {short(module)}; it must give a module. Write class Bottleneck(nn.Module).")
        module.double()
        run = partial(ask.of, module)
        x = torch.randn(2, setting[0], 7, 6, generator=generator, dtype=torch.float64)
        if number == 0 or any(isinstance(p, nn.UninitializedParameter) for p in module.parameters()):
            try:
                run(x, call=f"{call}(x)")   # is there a forward at all? And what is built at the first call is built now
            except Raised:
                _own_weights(call, module, _reference_weights(setting, generator), setting)     # says more, where it speaks
                raise
        weights = _reference_weights(setting, generator)
        own = _own_weights(call, module, weights, setting)
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(weights[name].view(parameter.shape))
        _check_values(f"{call}(x)", run, module, x, weights, setting)
        _check_gradients(f"{call}(x)", run, x, own, weights, setting)
    return "each block computes relu(F(x) + x), its stride on the 3×3, a projection only where the shapes differ."


def _stride(setting) -> int:
    return setting[3] if len(setting) > 3 else 1


def _reference_weights(setting, generator) -> dict[str, torch.Tensor]:
    in_channels, width, out_channels = setting[:3]
    shapes = {"squeeze": (width, in_channels, 1, 1), "look": (width, width, 3, 3), "grow": (out_channels, width, 1, 1)}
    if _stride(setting) != 1 or in_channels != out_channels:
        shapes["projection"] = (out_channels, in_channels, 1, 1)
    return {name: 1.5 * torch.randn(shape, generator=generator, dtype=torch.float64) / (shape[1] * shape[2] ** 2) ** 0.5
            for name, shape in shapes.items()}


def _block(x, weights, stride, at_once, first, second, before, join, last):
    """The block with what may go wrong as arguments; ``at_once``: the stride stands on the first 1×1.

    On the last 1×1 it would give the same numbers as on the 3×3, for more work.
    """
    fx = first(F.conv2d(x, weights["squeeze"], stride=stride if at_once else 1))
    fx = second(F.conv2d(fx, weights["look"], stride=1 if at_once else stride, padding=1))
    fx = before(F.conv2d(fx, weights["grow"]))
    around = F.conv2d(x, weights["projection"], stride=stride) if "projection" in weights else x
    return last(join(fx, around))


_CHOICES = (
    ((False, None), (True, "the stride stands on the first 1×1. In this exercise it belongs to the 3×3.")),
    ((F.relu, None), (as_it_is, "the ReLU after the first 1×1 is missing.")),
    ((F.relu, None), (as_it_is, "the ReLU after the 3×3 is missing.")),
    ((as_it_is, None), (F.relu, "F(x) goes through a ReLU before the add. The last ReLU comes after the add.")),
    ((torch.add, None), (lambda fx, around: fx, "that is F(x) alone: what the shortcut carries is not added."),
     (lambda fx, around: around, "that is the shortcut alone: F(x) is not added."),
     (torch.sub, "the shortcut is subtracted. The block adds."), (torch.mul, "F(x) is multiplied by the shortcut. The block adds."),
     (lambda fx, around: fx + around.relu(), "the shortcut goes through a ReLU. It carries x as it is, or projected."),
     (lambda fx, around: fx + 2 * around, "the shortcut is added twice.")),
    ((F.relu, None), (as_it_is, "the ReLU after the add is missing.")),
)


def _right(x, weights, setting):
    return _block(x, weights, _stride(setting), *(choice[0][0] for choice in _CHOICES))


# --- parameters --------------------------------------------------------------------------------


def _own_weights(call, module, weights, setting) -> dict[str, nn.Parameter]:
    """The learner's parameters by the reference's names, told by their shapes; axes of length 1 do not count."""
    parameters = list(module.parameters())
    if not parameters:
        raise Wrong(f"{call} has no parameters. Build the convolutions in __init__ and give each to self, as in self.squeeze = "
                    "nn.Conv2d(...): only so does the module know them.")
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules()):
        raise Wrong(f"{call} has a batch norm. This exercise is without.")
    if any(p.dim() == 1 for p in parameters):
        raise Wrong(f"{call} has a parameter with one axis, as a bias has. Build each convolution with bias=False.")
    wanted = {bare(w.shape): name for name, w in weights.items()}
    found = {wanted.get(bare(p.shape)): p for p in parameters}
    extra = Counter(bare(p.shape) for p in parameters) - Counter(wanted.keys())
    missing = [name for name in weights if name not in found]
    if extra or missing:
        raise Wrong(f"{call} {_why_not_parameters(weights, setting, list(extra.elements()), missing)}")
    return found


def _why_not_parameters(weights, setting, extra, missing) -> str:
    in_channels, _, out_channels = setting[:3]
    if missing == ["projection"] and not extra:
        differ = " and ".join([f"in channels, {out_channels} and {in_channels}"] * (in_channels != out_channels)
                              + ["in height and width"] * (_stride(setting) != 1))
        return (f"has no projection on its shortcut. F(x) and x differ {differ}: there the shortcut is a 1×1 convolution with the "
                "block's stride.")
    if extra == [(out_channels, in_channels)] and not missing and "projection" not in weights:
        return ("has a projection on its shortcut. F(x) and x have the same shape there, so the shortcut is x itself, without "
                "parameters.")
    if not missing:
        return (f"has a weight too many, of shape {extra[0]} (axes of length 1 left out). It needs "
                f"{len(weights)} weights: " + "; ".join(f"{_NAMES[n]} {tuple(w.shape)}" for n, w in weights.items()) + ".")
    name = missing[0]
    given = f" There is one of shape {extra[0]} (axes of length 1 left out) that belongs nowhere." if extra else (
        " Each convolution must be given to self by itself: layers in a plain list are not seen.")
    return f"has no weight of shape {tuple(weights[name].shape)}, which {_NAMES[name]} has.{given}"


# --- values and gradients ------------------------------------------------------------------------


def _check_values(call, run, module, x, weights, setting):
    right = _right(x, weights, setting)
    for training in (True, False):
        module.train(training)
        got = run(x, call=call)
        check_tensor(f"what {call} returned", got, right, _why_not_shape(got, x, setting))
        if near(got, right):
            continue
        mode = "" if training else " in eval mode, and in training mode it is right:"
        words = slip(got, lambda *parts: _block(x, weights, _stride(setting), *parts), *_CHOICES)
        raise Wrong(f"{call}:{mode} {words or far(got, right) + ' It must be relu(F(x) + x), with a ReLU after the first two convolutions.'}")


def _why_not_shape(got, x, setting) -> str:
    if _stride(setting) > 1 and isinstance(got, torch.Tensor) and got.shape[2:] == x.shape[2:]:
        return "The stride is missing: the 3×3 has it, and so has the projection."
    return "The 3×3 has padding=1 and the 1×1 convolutions none, so only the stride changes height and width."


def _check_gradients(call, run, x, own, weights, setting):
    leaf, kept = x.clone().requires_grad_(), {name: w.clone().requires_grad_() for name, w in weights.items()}
    if frozen := [name for name, parameter in own.items() if not parameter.requires_grad]:
        raise Wrong(f"{call}: {_NAMES[frozen[0]]} cannot learn: its weight does not require a gradient.")
    got, right = run(leaf, call=call), _right(leaf, kept, setting)
    check_tensor(f"what {call} returned for an x that requires a gradient", got, right)
    if not near(got, right):
        raise Wrong(f"{call} gives other values when x requires a gradient.")
    if not got.requires_grad:
        raise Wrong(f"{call}: the values are right, and no gradient flows back: all of it was computed under torch.no_grad(), "
                    "or detached.")
    upstream = torch.linspace(-1, 2, right.numel(), dtype=right.dtype).view(right.shape)
    ours = torch.autograd.grad((right * upstream).sum(), [*kept.values(), leaf])
    try:
        theirs = torch.autograd.grad((got * upstream).sum(), [*(own[name] for name in kept), leaf], allow_unused=True)
    except RuntimeError as error:
        raise Wrong(f"{call}: the values are right, and the backward pass stopped: {error}") from None
    for name, value, wanted in zip((*kept, "x"), theirs, ours):
        if value is None or not near(value.view(wanted.shape), wanted):
            raise Wrong(f"{call}: the values are right, and {'no' if value is None else 'a wrong'} gradient reaches "
                        f"{_NAMES.get(name, name)}. Is a part computed under torch.no_grad(), or detached?")
