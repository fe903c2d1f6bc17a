"""Folding a batch norm into the layer before it: Algorithm 2, line 11 of Ioffe & Szegedy (2015), in the weights."""

from __future__ import annotations

from contextlib import ExitStack
from copy import deepcopy

import torch
from torch import Tensor, nn

from resnote.batchnorm import NORMS, BatchNorm, line_11
from resnote.checks import check_device, check_network, copied, restorer, words_for
from resnote.settings import SettingError

FOLDABLE = (nn.Conv2d, nn.Linear)  # that a batch norm can be folded into


def fold(layer: nn.Module, norm: nn.Module) -> nn.Module:
    """A new layer that computes norm(layer(x)) alone, with a bias; the two given stay as they are.

    ``layer`` is an nn.Conv2d or nn.Linear, ``norm`` the batch norm behind it, in eval mode. Raises
    `SettingError` for other layers, for one that computes its weight, as with weight_norm, for a norm in
    training mode or without running statistics, and for channel counts that differ.

    Source: Algorithm 2, line 11, with x = Wu + b: y = (scale · W) u + (scale · b + shift).
    """
    if type(layer) not in FOLDABLE or not isinstance(norm, NORMS):
        raise SettingError(f"fold got a {type(layer).__name__} and a {type(norm).__name__}; it needs an nn.Conv2d or "
                           "nn.Linear, then the batch norm behind it.")
    if not _holds_its_weight(layer):
        raise SettingError("The layer computes its weight anew at every call, as with weight_norm or pruning, so nothing "
                           "can be written into it. Make the weight a plain one first, as torch's remove_weight_norm does.")
    if norm.training:
        raise SettingError("The batch norm is in training mode, where its mean and variance are those of each batch: "
                           "nothing is fixed, and nothing can be folded. Call eval() first.")
    if norm.running_mean is None:
        raise SettingError("The batch norm has no running statistics and uses those of each batch, also in eval mode: "
                           "nothing can be folded. Build and train it with track_running_stats=True.")
    if len(norm.running_mean) != len(layer.weight):
        raise SettingError(f"The layer gives {len(layer.weight)} channels and the batch norm is built for "
                           f"{len(norm.running_mean)}. Fold the batch norm that stands behind the layer.")
    if norm.running_mean.dtype != layer.weight.dtype:
        raise SettingError(f"The layer's weights are {layer.weight.dtype} and the batch norm's averages "
                           f"{norm.running_mean.dtype}. Convert one of them, such as with norm.float().")
    gamma, beta = (norm.gamma, norm.beta) if isinstance(norm, BatchNorm) else (norm.weight, norm.bias)
    W, b, folded = layer.weight, 0 if layer.bias is None else layer.bias, deepcopy(layer)
    with torch.no_grad():
        scale, shift = line_11(norm.running_mean, norm.running_var, gamma, beta, norm.eps)
        folded.weight = nn.Parameter(scale.view(-1, *[1] * (W.dim() - 1)) * W, W.requires_grad)
        folded.bias = nn.Parameter(scale * b + shift, W.requires_grad)
    return folded


@torch.inference_mode(False)
@torch.no_grad()
def fold_network(network: nn.Module, images: Tensor) -> nn.Module:
    """A copy of ``network``, in eval mode, with every batch norm behind a layer folded into that layer.

    ``images``, one small batch, are sent through: a batch norm whose input is the very output of an
    nn.Conv2d or nn.Linear is folded, with nn.Identity in its place. Other batch norms stay. The
    folded copy must give the same output in float64, where rounding neither hides a mistake nor looks like one.

    Raises
    ------
    SettingError
        (a ValueError) for a network of which a part is in training mode, that cannot be copied or that fails in
        float64, for a batch norm without running statistics, and for outputs that differ, naming the pairs, as
        where something else uses the output of the layer too.
    """
    check_network(network)
    training = [name for name, module in network.named_modules() if module.training]
    if training:
        what = f"The part {training[0]!r}" if training[0] else "The network"
        raise SettingError(f"{what} is in training mode, where batch norm uses the statistics "
                           "of each batch: nothing is fixed, and nothing can be folded. Call network.eval() first.")
    if not isinstance(images, Tensor) or not images.is_floating_point():
        what = images.dtype if isinstance(images, Tensor) else f"a {type(images).__name__}"
        raise SettingError(f"The images are {what}; give one small batch as a float tensor, such as data.test_images[:8].")
    check_device(images, network)
    exact, given, images = copied(network).double(), images, images.double()
    restore = restorer(exact)
    try:
        pairs, output = _pairs(exact, images)
    except RuntimeError as error:
        how = "" if _fails(copied(network), given) else " in float64, where it is compared with its folded copy"
        raise SettingError(f"The network fails on these images{how}: {error}") from error
    restore()  # a network may change itself when it is called
    if not isinstance(output, Tensor) or output.numel() == 0 or not output.isfinite().all():
        raise SettingError(f"What the network gives for these images, {words_for(output)}, is no tensor of finite numbers, "
                           "so the folded network cannot be compared with it. Let its forward return one tensor, and give "
                           "images for which that is finite.")
    if not _agrees(_folded(exact, pairs), images, output):
        wrong = [pair for pair in pairs if not _agrees(_folded(exact, [pair]), images, output)]
        raise SettingError(
            f"The output changes with {', '.join(f'{norm} folded into {layer}' for layer, norm in wrong or pairs)}. "
            "Only the batch norm may use the layer's output, both must be called once and as modules, and neither a "
            "hook nor the network itself may change a value. Fold the other pairs with fold(layer, norm).")
    return _folded(network, pairs)


def _pairs(network, images) -> tuple[list[tuple[str, str]], Tensor]:
    """The names of each layer with a batch norm right behind it and of that norm; the network's output."""
    names = {module: name for name, module in network.named_modules()}
    made, pairs = {}, []

    def note_output(layer, _inputs, output):
        if output.dim() == layer.weight.dim():  # its channels are axis 1
            made[id(output)] = layer, output, output._version  # kept alive, or another could get its id

    def note_input(norm, inputs, named):
        x, = (*inputs, *named.values())
        layer, output, version = made.get(id(x), (None, None, None))
        if layer and output._version == version:  # nothing, such as a ReLU, has changed it in place
            pairs.append((names[layer], names[norm]))

    with ExitStack() as hooks:
        for module in names:
            if type(module) in FOLDABLE and _holds_its_weight(module):
                hooks.callback(module.register_forward_hook(note_output).remove)
            elif isinstance(module, NORMS):
                hooks.callback(module.register_forward_pre_hook(note_input, with_kwargs=True).remove)
        output = network(images.clone())
    return list(dict.fromkeys(pairs)), output


def _folded(network, pairs) -> nn.Module:
    folded, new = copied(network), {}
    for layer, norm in pairs:
        layer, norm = folded.get_submodule(layer), folded.get_submodule(norm)
        new |= {layer: fold(layer, norm), norm: nn.Identity().eval()}
    for name, module in list(folded.named_modules(remove_duplicate=False)):  # a module may have two names
        if module in new:
            folded.set_submodule(name, new[module])
    return folded


def _holds_its_weight(layer) -> bool:
    """False where a hook computes the weight; a parametrization makes another class of the layer."""
    return "weight" in layer._parameters


def _fails(network, images) -> bool:
    try:
        network(images)
    except RuntimeError:
        return True
    return False


def _agrees(folded, images, output) -> bool:
    """Whether ``folded`` gives ``output``, both in float64, to a millionth of the largest number.

    A hundred layers of rounding leave a hundredth of that.
    """
    try:
        difference = (folded(images.clone()) - output).abs().max()
    except AttributeError:  # something asks nn.Identity for a batch norm's weights
        return False
    return bool(difference <= 1e-6 * output.abs().max())
