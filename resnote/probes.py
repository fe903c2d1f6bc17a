"""What flows through a network: activations on the way forward, gradients on the way back."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from resnote.checks import check_can_change, check_classes, check_network, scores_of
from resnote.settings import SettingError
from resnote.training import check_examples, measuring, one_thread

MEASURED = (nn.Conv2d, nn.Linear, nn.ReLU)


@dataclass(frozen=True)
class LayerStats:
    """One layer, seen with one batch.

    Attributes
    ----------
    name : as in ``network.named_modules()``; "name (2)" is a second call of the same module
    kind : 'Conv2d', 'Linear' or 'ReLU'
    mean, std : of all numbers in the output; std is the population's (divided by N)
    dead : for a ReLU, the share of units that are 0 for every image and at every place; a unit is a
        channel, axis 1 of the output
    gradient : Euclidean norm of the loss's gradient with respect to the weight (without the bias), also where
        the layer computes that weight, as with weight_norm; None for a ReLU, for a frozen weight, and without
        labels
    """

    name: str
    kind: str
    mean: float
    std: float
    dead: float | None = None
    gradient: float | None = None


@torch.inference_mode(False)
@one_thread()
def probe(network: nn.Module, images: Tensor, labels: Tensor | None = None, *,
          statistics: str = "batch") -> list[LayerStats]:
    """Send ``images`` forward and their cross-entropy back; one `LayerStats` a layer, in forward order.

    Seen are the Conv2d, Linear and ReLU modules that the forward pass calls; a function such as
    ``F.relu`` is no module. A module called twice stands there twice. Its weight has a single gradient,
    the sum over both calls, and so both entries show the same.

    Parameters
    ----------
    images : (N, C, H, W)
    labels : (N), classes from 0; without them nothing is sent back
    statistics : that batch norm uses, 'batch' or 'running', as in `resnote.training.error`

    Dropout is off. Parameters, their ``grad``, buffers, modes, hooks and the random state stay as they were.

    Raises
    ------
    SettingError
        (a ValueError) for images and labels that do not fit, and for a network that cannot be measured.
    """
    check_network(network)
    if labels is not None:
        check_can_change(network)
    without = labels is None and isinstance(images, Tensor)      # any labels will do for the check
    check_examples(network, images, images.new_zeros(images.shape[:1], dtype=torch.long) if without else labels,
                   statistics)
    names = {module: name for name, module in network.named_modules() if isinstance(module, MEASURED)}
    seen = []  # (module, its statistics), a pair for each call

    def see(module, _inputs, output):
        if not isinstance(output, Tensor):
            raise SettingError(f"The layer {names[module]!r} gives a {type(output).__name__} and no tensor, so it has no "
                               "mean and no deviation. Let it return one tensor.")
        output = output.detach()  # measured at once: a ReLU that works in place would overwrite it
        calls = 1 + sum(other is module for other, _ in seen)
        seen.append((module, LayerStats(
            names[module] + (f" ({calls})" if calls > 1 else ""),
            next(kind.__name__ for kind in MEASURED if isinstance(module, kind)),
            output.mean().item(), output.std(correction=0).item(),
            _dead(output) if isinstance(module, nn.ReLU) else None)))

    with (ExitStack() as hooks, measuring(network, statistics), torch.set_grad_enabled(labels is not None),
          parametrize.cached()):  # weights that are computed, as by weight_norm, are then computed once
        for module in names:
            hooks.callback(module.register_forward_hook(see).remove)
        scores = scores_of(network, images)
        if labels is None:
            return [stats for _, stats in seen]
        check_classes(scores, labels)
        labels = labels.long()
        weights = {module: module.weight for module, _ in seen
                   if not isinstance(module, nn.ReLU) and module.weight.requires_grad}
        gradients = torch.autograd.grad(F.cross_entropy(scores, labels), list(weights.values()),
                                        allow_unused=True) if weights and scores.requires_grad else ()
    norms = {module: None if gradient is None else gradient.norm().item()
             for module, gradient in zip(weights, gradients)}
    return [replace(stats, gradient=norms.get(module)) for module, stats in seen]


@torch.inference_mode(False)
@one_thread()
def agreement(network: nn.Module, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], *,
              statistics: str = "batch") -> dict[str, float]:
    """Whether two batches ask for the same step: the cosine between their gradients, layer by layer.

    Both batches' cross-entropies are sent back through the network. For the weight of each Conv2d and Linear module
    the cosine between the two gradients is 1 where both ask for the same direction, 0 where the directions have
    nothing in common, and −1 where they are opposite. Balduzzi et al. (2017, arXiv:1702.08591) call gradients
    shattered that differ from input to input like noise.

    Parameters
    ----------
    first, second : (images, labels) each, (N, C, H, W) and (N); the batches may differ in size
    statistics : that batch norm uses, 'batch' (each batch its own) or 'running'

    Returns
    -------
    {name of the module: cosine}, in the order of ``network.named_modules()``; 0 where a gradient is 0. Frozen weights
    and modules that the forward pass does not call are left out.

    Dropout is off. Parameters, their ``grad``, buffers and modes stay as they were.

    Raises
    ------
    SettingError
        (a ValueError) for images and labels that do not fit, and for a network that cannot be measured.
    """
    check_network(network)
    check_can_change(network)
    with parametrize.cached():  # weights that are computed, as by weight_norm, are then the same for both batches
        weights = {name: module.weight for name, module in network.named_modules()
                   if isinstance(module, (nn.Conv2d, nn.Linear)) and module.weight.requires_grad}
        if not weights:
            raise SettingError("The network has no Conv2d and no Linear layer whose weight has a gradient, so there is "
                               "nothing to compare. Give a network with such a layer, not frozen.")
        gradients = [_gradients(network, list(weights.values()), *batch, statistics) for batch in (first, second)]
    return {name: F.cosine_similarity(one.flatten(), other.flatten(), dim=0).item()
            for name, one, other in zip(weights, *gradients) if one is not None and other is not None}


def _gradients(network, weights, images, labels, statistics) -> tuple:
    """Of the cross-entropy, with respect to ``weights``; None for one that the forward pass does not use."""
    check_examples(network, images, labels, statistics)
    with measuring(network, statistics), torch.enable_grad():
        scores = scores_of(network, images)
        check_classes(scores, labels)
        return torch.autograd.grad(F.cross_entropy(scores, labels.long()), weights, allow_unused=True)


def _dead(output) -> float:
    """Share of the channels (axis 1) that are 0 everywhere."""
    return (output == 0).movedim(1, 0).flatten(1).all(1).double().mean().item()
