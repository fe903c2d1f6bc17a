"""What a wrongly folded batch norm gives away: in a weight, in a bias, and in a whole stack of layers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from resnote.exercises.base import Wrong, short
from resnote.exercises.compare import Watch, far, near, slip

SETTINGS = "kernel_size", "stride", "padding", "dilation", "groups"


def weight_slip(got, weight, gamma, beta, var, eps):
    def formula(numerator, root, shape):
        return weight * (numerator / root).view(shape)

    axes = [((-1, 1, 1, 1), None)]
    if weight.shape[1] == weight.shape[0]:
        axes.append(((1, -1, 1, 1), "the scale goes along the input channels, axis 1. Batch norm follows the "
                                    "convolution: output channels are axis 0."))
    if weight.shape[3] == weight.shape[0]:
        axes += [((1, 1, 1, -1), "the scale goes along the kernel's columns: PyTorch matches the last axes. Give it "
                                 "the shape (out, 1, 1, 1)."),
                 ((1, 1, -1, 1), "the scale goes along the kernel's rows. Give it the shape (out, 1, 1, 1).")]
    one = torch.ones_like(gamma)
    if near(got, weight):
        return "it is as it came. Multiply each output channel's filter by γ / √(var + ε)."
    return slip(
        got, formula,
        ((gamma, None), (beta, "γ and β are exchanged: γ multiplies."),
         (one, "γ is missing: the scale is γ / √(var + ε)."),
         (gamma.abs(), "γ has lost its sign. It may be negative."),
         (1 / gamma, "it is divided by γ; multiply.")),
        (((var + eps).sqrt(), None), (var.sqrt(), "ε is forgotten: √(var + ε)."),
         (var.sqrt() + eps, "ε stands outside the root: √(var + ε)."),
         (var + eps, "the root is missing: γ / √(var + ε)."),
         (var, "root and ε are missing: γ / √(var + ε)."),
         ((var + 1e-5).sqrt(), "your ε is always 1e-5. Use the eps given."),
         (1 / (var + eps).sqrt(), "it is multiplied by √(var + ε); divide."),
         (one, "the division by √(var + ε) is missing.")),
        axes)


def bias_slip(got, bias, gamma, beta, mean, var, eps):
    b, scale = 0 * mean if bias is None else bias, gamma / (var + eps).sqrt()

    def formula(from_bias, from_mean, from_beta):
        return from_bias + from_mean + from_beta

    if near(got, b):
        return "it is as it came. Batch norm subtracts the mean, scales, and adds β."
    if near(got, scale * b + beta - scale * beta):
        return "β is subtracted as if it were the mean."
    if near(got, beta / (var + eps).sqrt() * (b - mean) + gamma):
        return "γ and β are exchanged: γ scales, β is added."
    return slip(
        got, formula,
        ((scale * b, None), (0 * b, "the convolution's own bias is forgotten: it goes through the batch norm too."),
         (b, "the convolution's own bias is not scaled. Batch norm scales all that it gets.")),
        ((-scale * mean, None), (0 * mean, "the mean is forgotten: it is subtracted, then scaled."),
         (-mean, "the mean is not scaled. It is subtracted before the scale comes: scale · mean."),
         (scale * mean, "the sign of the mean: it is subtracted."),
         (-gamma * mean, "the mean is multiplied by γ and not divided by √(var + ε)."),
         (-gamma / (var + eps) * mean, "the mean is divided by var + ε: the root is missing, or was divided by twice."),
         (-gamma / var.sqrt() * mean, "ε is forgotten where the mean is scaled.")),
        ((beta, None), (0 * beta, "β is forgotten."), (scale * beta, "β is scaled. It is added after the scale."),
         (-beta, "the sign of β: it is added."), (gamma, "γ is added where β belongs."),
         (gamma * beta, "β is multiplied by γ. It is added as it is.")))


# --- a whole stack ---------------------------------------------------------------------------------


def check_stack(given, kept, got, right) -> None:
    """Raise `Wrong` unless ``got`` is the stack ``given``, folded into a stack of its own.

    ``kept`` is a copy of ``given`` from before the call, ``right`` the solution's stack, all in eval mode.
    """
    names = " → ".join(type(layer).__name__ for layer in kept)
    if not isinstance(got, nn.Sequential):
        raise Wrong(f"fold_stack gave {short(got)}; it must give an nn.Sequential.")
    if got is given:
        raise Wrong("fold_stack returns the very stack that it was given, and whoever called it still needs that one. Build a "
                    "new nn.Sequential from copy.deepcopy(stack).")
    changed = _what_changed(kept, given)
    if changed:
        raise Wrong(f"fold_stack changed the stack that it was given in place: {changed}. Work on copy.deepcopy(stack).")
    _check_norms(names, got, right)
    memory = {tensor.data_ptr() for tensor in _tensors(given).values()}
    for name, tensor in _tensors(got).items():
        if tensor.data_ptr() in memory:
            raise Wrong(f"{name} of the new stack shares its numbers with the stack given: who changes one changes both. "
                        "Fold a copy, copy.deepcopy(stack).")
    for number, conv in enumerate(_all(got, nn.Conv2d), start=1):
        for name in ("weight", "bias"):
            if name not in conv._parameters and isinstance(getattr(conv, name, None), torch.Tensor):
                raise Wrong(f"the {name} of convolution {number} is a plain tensor, which state_dict() would not save. Make "
                            "it a parameter: nn.Parameter(...).")
    for shape in ((2, 3, 9, 8), (1, 3, 8, 11)):
        _check_output(names, torch.randn(shape), kept, got, right)


def _what_changed(before, after) -> str | None:
    if [type(layer) for layer in before.modules()] != [type(layer) for layer in after.modules()]:
        return f"it was {_kinds(before)} and is {_kinds(after)}"
    if any(layer.training for layer in after.modules()):
        return "it is in training mode"
    old, new = _tensors(before), _tensors(after)
    return next((f"{name} is another" for name in {**old, **new}
                 if name not in old or name not in new or not torch.equal(old[name], new[name])), None)


def _check_norms(names, got, right) -> None:
    norms, wanted = _all(got, nn.BatchNorm2d), _all(right, nn.BatchNorm2d)
    if len(norms) > len(wanted):
        raise Wrong(f"{names} came back with batch norms: {len(norms)}, and it must be {len(wanted)}. Fold each that stands "
                    "directly behind a convolution, and leave it out.")
    if len(norms) < len(wanted):
        raise Wrong(f"{names} came back with batch norms: {len(norms)}, and it must be {len(wanted)}. One that stands first, or "
                    "behind a ReLU, has no convolution to go into: it stays.")
    if any(norm.training for norm in norms):
        raise Wrong("a batch norm that stays is in training mode: it would use each batch's statistics. Call eval() on the "
                    "stack that you return.")


@torch.no_grad()
def _check_output(names, images, given, got, right) -> None:
    expected = given(images)
    try:
        with Watch("batch_norm") as watch:
            output = got(images)
    except Exception as error:
        raise Wrong(f"{names} folded stops on images of shape {tuple(images.shape)}: {error}. "
                    + (_why_not_stack(given, got, right) or "")) from None
    if watch.called and not _all(right, nn.BatchNorm2d):
        raise Wrong(f"{names} folded still calls a batch norm when images go through. Put it into the convolution's weight and "
                    "bias.")
    if not isinstance(output, torch.Tensor) or output.shape != expected.shape:
        raise Wrong(f"{names} folded gives {short(output)} and not {short(expected)}. " + (_why_not_stack(given, got, right) or ""))
    if output.dtype != expected.dtype:
        raise Wrong(f"{names} folded gives {output.dtype}, unfolded {expected.dtype}. Keep the type.")
    if not _close(output, expected):
        raise Wrong(f"{names} folded gives other numbers: " + (_why_not_stack(given, got, right) or far(output, expected)))


def _why_not_stack(given, got, right) -> str | None:
    """The first layer that is not as it must be, in words."""
    if _kinds(got) != _kinds(right):
        return f"its layers are {_kinds(got)}; they must be {_kinds(right)}."
    behind = {id(layer): after for layer, after in pairwise(given) if isinstance(after, nn.BatchNorm2d)}
    for n, (mine, wanted, old) in enumerate(zip(*(_all(stack, nn.Conv2d) for stack in (got, right, given)))):
        name = f"convolution {n + 1}"
        for setting in SETTINGS:
            if getattr(mine, setting) != getattr(wanted, setting):
                return f"{name} has {setting} {getattr(mine, setting)}, and in the stack given it has {getattr(wanted, setting)}."
        words = _why_not_conv(mine, wanted, old, behind.get(id(old)))
        if words:
            return f"{name}: {words}"
    return None


def _why_not_conv(mine, wanted, old, norm) -> str | None:
    bias = torch.zeros_like(wanted.weight[:, 0, 0, 0]) if mine.bias is None else mine.bias
    if mine.weight.shape != wanted.weight.shape or bias.shape != wanted.weight.shape[:1]:
        return f"its weight and bias have shapes {tuple(mine.weight.shape)} and {tuple(bias.shape)}."
    if mine.weight.dtype != wanted.weight.dtype:
        return f"its weight is {mine.weight.dtype}, and in the stack given it is {wanted.weight.dtype}. Keep the type."
    good = _close(mine.weight, wanted.weight)
    if good and (wanted.bias is None or _close(bias, wanted.bias)):
        return None
    if norm is None:
        return "no batch norm stands behind it, so its weight and bias must stay."
    about = norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.eps
    if not good:
        return "the folded weight is wrong: " + (weight_slip(mine.weight, old.weight, about[0], about[1], *about[3:])
                                                 or far(mine.weight, wanted.weight))
    return "the folded weight is right, the folded bias is wrong: " + (bias_slip(bias, old.bias, *about) or far(bias, wanted.bias))


def _all(stack, kind) -> list:
    return [layer for layer in stack.modules() if isinstance(layer, kind)]


def _tensors(stack) -> dict[str, torch.Tensor]:
    return {**dict(stack.named_parameters()), **dict(stack.named_buffers())}


def _kinds(stack) -> str:
    """The layers in order, nested stacks opened, without those that pass everything on."""
    return " → ".join(type(layer).__name__ for layer in stack.modules()
                      if not isinstance(layer, (nn.Sequential, nn.Identity))) or "none"


def _close(a, b) -> bool:
    """Whether two float32 tensors agree but for the rounding of a few layers."""
    return torch.allclose(a, b, rtol=1e-4, atol=1e-4 * b.abs().max().item())
