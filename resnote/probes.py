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

LAYERS = (nn.Conv2d, nn.Linear, nn.ReLU)


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
    names = {module: name for name, module in network.named_modules() if isinstance(module, LAYERS)}
    seen = []  # (module, its statistics), a pair for each call

    def see(module, _inputs, output):
        if not isinstance(output, Tensor):
            raise SettingError(f"The layer {names[module]!r} gives a {type(output).__name__} and no tensor, so it has no "
                               "mean and no deviation. Let it return one tensor.")
        output = output.detach()  # measured at once: a ReLU that works in place would overwrite it
        calls = 1 + sum(other is module for other, _ in seen)
        seen.append((module, LayerStats(
            names[module] + (f" ({calls})" if calls > 1 else ""),
            next(kind.__name__ for kind in LAYERS if isinstance(module, kind)),
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


def _dead(output) -> float:
    """Share of the channels (axis 1) that are 0 everywhere."""
    return (output == 0).movedim(1, 0).flatten(1).all(1).double().mean().item()
