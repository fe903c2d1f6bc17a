"""Which networks, images and labels can be trained or measured with, and the sentence for those that cannot.

No check changes a network. A network that passes may still fail on its images: the error is then its own, unless
`output_of` or `scores_of` can name the cause.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from resnote.settings import SettingError


def words_for(value) -> str:
    """What was given in the place of a tensor, for a sentence: its dtype and shape, or its type."""
    return f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


# --- networks --------------------------------------------------------------------------------


def check_network(network) -> None:
    """Raise unless ``network`` is an nn.Module that can be called and whose weights are all there."""
    if not isinstance(network, nn.Module):
        raise SettingError(f"The network is a {type(network).__name__}; it must be an nn.Module, and comes first.")
    if getattr(getattr(network, "forward", None), "__func__", None) is nn.Module.forward:
        raise SettingError(f"The network is a {type(network).__name__}, which has no forward and cannot be called. Use "
                           "nn.Sequential, or write a class with a forward.")
    for name, module in network.named_modules():
        part = f"The part {name!r} of the network" if name else "The network"
        if isinstance(module, torch.jit.ScriptModule):
            raise SettingError(f"{part} was compiled by torch.jit, which hides its batch norms and layers. Give the "
                               "nn.Module that it was made from.")
        if type(module).__name__ == "OptimizedModule":
            raise SettingError(f"{part} was compiled by torch.compile, which hides its layers and modes. Give the "
                               "nn.Module that was compiled: both have the same weights, so what one learns both know.")
        if any(map(is_lazy, (*module._parameters.values(), *module._buffers.values()))):
            raise SettingError(f"{part} is a {type(module).__name__}, whose weights are made at the first call. Send a "
                               "small batch through once, network.eval()(images[:2]), and then repeat this call.")
    if any(tensor.is_meta for tensor in _tensors(network)):
        raise SettingError("The network has weights on the meta device, which have shapes and no numbers. Build it on "
                           "the CPU, or on the device of the images.")


def check_can_change(network: nn.Module) -> None:
    """Raise where torch lets nobody change the weights, or compute a gradient with them."""
    if any(tensor.is_inference() for tensor in _tensors(network)):
        raise SettingError("The network was built under torch.inference_mode, and such weights cannot change and have no "
                           "gradient. Build it outside of it.")


def _tensors(network):
    return chain(network.parameters(), network.buffers())


def copied(network: nn.Module) -> nn.Module:
    """A deep copy. Activations that the network keeps as attributes, as Grad-CAM's do, are detached in it."""
    memo = {}
    try:
        for module in network.modules():
            for kept in tree_leaves([value for name, value in vars(module).items() if name != "_modules"]):
                if isinstance(kept, Tensor) and not kept.is_leaf:
                    memo[id(kept)] = kept.detach().clone()  # deepcopy itself refuses a tensor with a history
        return deepcopy(network, memo)
    except Exception as error:
        raise SettingError("The network cannot be copied, and this call works on a copy. Take what cannot be copied, "
                           f"such as an open file or a tensor in an object of your own, out of it: {error}") from error


def restorer(network: nn.Module):
    """A function that sets all weights and buffers of ``network`` back to what they are now."""
    places = [(own, dict(own)) for module in network.modules() for own in (module._parameters, module._buffers)]
    values = [(tensor, tensor.detach().clone()) for tensor in _tensors(network)]

    def restore():
        for own, before in places:
            own.clear()
            own.update(before)
        for tensor, value in values:
            if not torch.equal(tensor, value):
                tensor.data.copy_(value)  # through .data: a graph that the caller still holds stays usable
    return restore


# --- images, labels and scores ---------------------------------------------------------------


def check_images(images, network: nn.Module) -> None:
    """Raise unless ``images`` are a float tensor (N, C, H, W) of finite numbers, where ``network`` is."""
    if not isinstance(images, Tensor) or not images.is_floating_point() or images.dim() != 4:
        raise SettingError(f"The images are {words_for(images)}; they must be a float tensor (N, C, H, W). Convert "
                           "them with torch.as_tensor(images).float(); images[:, None] adds a missing channel axis.")
    check_device(images, network)
    if len(images) and not images.numel():
        raise SettingError(f"The images have shape {tuple(images.shape)}, which leaves them without pixels. They must be "
                           "(N, C, H, W), and none of these 0.")
    if not images.isfinite().all():
        raise SettingError("Some pixels are infinite or NaN, and so would be every loss. Look for a division by 0 "
                           "where the images are normalised.")


def check_device(images: Tensor, network: nn.Module) -> None:
    """Raise unless ``images`` hold numbers, on a device where ``network`` has weights."""
    if images.is_meta:
        raise SettingError("The images are on the meta device, where they have a shape and no numbers. Make them on the "
                           "device of the network.")
    devices = {tensor.device for tensor in _tensors(network)}
    if devices and images.device not in devices:
        raise SettingError(f"The images are on {images.device} and the network is on {_and(devices)}. Move one of them, "
                           f"such as with network.to({str(images.device)!r}).")


def check_labels(labels, images: Tensor) -> None:
    """Raise unless ``labels`` are whole numbers (N), one for each image, and where the images are."""
    if not isinstance(labels, Tensor) or labels.dim() != 1 or labels.is_floating_point() or labels.is_complex() \
            or labels.dtype == torch.bool:
        raise SettingError(f"The labels are {words_for(labels)}; they must be a tensor (N) of whole numbers. Convert "
                           "them with torch.as_tensor(labels).long(), or one-hot rows with labels.argmax(1).")
    if labels.device != images.device:
        raise SettingError(f"The labels are on {labels.device} and the images are on {images.device}. Move the labels "
                           f"with labels.to({str(images.device)!r}).")
    if len(images) != len(labels) or len(images) == 0:
        raise SettingError(f"There are {len(images)} images and {len(labels)} labels; each image needs one label, "
                           "and at least one image is needed.")


def output_of(network: nn.Module, images: Tensor):
    """What ``network`` gives for ``images``; where it fails and the dtypes differ, `SettingError` says so.

    Images of another dtype are not refused beforehand, since a network may convert them itself. Other
    errors of the network pass as they are.
    """
    try:
        return network(images)
    except (RuntimeError, TypeError) as error:
        dtypes = {tensor.dtype for tensor in network.parameters() if tensor.is_floating_point()}
        if not dtypes or images.dtype in dtypes or torch.is_autocast_enabled(images.device.type):
            raise
        raise SettingError(f"The images are {images.dtype} and the network's weights are {_and(dtypes)}, which do not go "
                           f"together ({error}). Convert the images with images.to({min(dtypes, key=str)}), or the network "
                           f"with network.to({images.dtype}).") from error


def scores_of(network: nn.Module, images: Tensor) -> Tensor:
    """What ``network`` gives for ``images``; raises `SettingError` unless that is a float tensor (N, classes)."""
    scores = output_of(network, images)
    if not isinstance(scores, Tensor):
        raise SettingError(f"The network gives {_a(scores)}, and scores are needed: one float tensor (N, classes). "
                           "Let its forward return the scores alone, or wrap it in a module that does.")
    if scores.dim() != 2 or not scores.shape[1]:
        raise SettingError(f"The network gives scores of shape {tuple(scores.shape)}; they must be (N, classes). "
                           "End it with pooling over height and width, and a linear layer.")
    if not scores.is_floating_point():
        raise SettingError(f"The network gives {scores.dtype}, and scores are floats, one a class. Let its forward return "
                           "them, and not the classes that it chose.")
    if len(scores) != len(images):
        raise SettingError(f"The network gives scores of shape {tuple(scores.shape)} for {len(images)} images; it must give one "
                           "row an image. Look where it mixes axis 0, the images, with others, as in a mean or "
                           "a flatten.")
    if scores.device != images.device:
        raise SettingError(f"The network gives scores on {scores.device} for images on {images.device}. Let it leave them "
                           "on one device.")
    return scores


def check_classes(scores: Tensor, labels: Tensor) -> None:
    """Raise unless every label has its score."""
    labels = labels.long()
    low, high, classes = int(labels.min()), int(labels.max()), scores.shape[1]
    if low < 0 or high >= classes:
        raise SettingError(f"The labels run from {low} to {high}, and the network scores {classes} classes, 0 to "
                           f"{classes - 1}. Build it with more classes, or number the labels from 0.")


def _and(things) -> str:
    return " and ".join(sorted(map(str, things)))


def _a(value) -> str:
    kind = type(value).__name__
    return "None" if value is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
