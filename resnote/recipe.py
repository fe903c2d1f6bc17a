"""The recipe of He et al. (2015), §4.2, for small images: the rate at each step, the order of the images, their changes.

All random choices are functions of a seed and a number: the order of an epoch, the shifts and mirrorings of a step. So a run that was
stopped goes on as if it had not been, and a run that several processes share sees the same images in the same batches.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from resnote.training import half_cosine

SCHEDULES = "steps", "cosine"
_ORDER, _CHANGES = 0, 1         # what random numbers are for: no two purposes share any


def learning_rate(step: int, steps: int, rate: float, *, schedule: str = "steps", warm_up: int = 0) -> float:
    """The learning rate at ``step``, from 0, of ``steps``.

    With 'steps' it is a tenth from half of the steps on, and a hundredth from three quarters, as the paper has it at 32,000
    and 48,000 of 64,000; with 'cosine' it falls along half a cosine to 0. For the first ``warm_up`` steps it is a tenth. (The
    paper warms 110 layers up until the training error is below 80 %, "about 400 iterations".)
    """
    if step < warm_up:
        return rate / 10
    if schedule == "cosine":
        return rate * half_cosine(step, steps)
    return rate / (1 if step < steps / 2 else 10 if step < steps * 3 / 4 else 100)


def order(seed: int, epoch: int, count: int) -> Tensor:
    """The places of ``count`` images in the order in which an epoch takes them."""
    return torch.from_numpy(_random(seed, _ORDER, epoch).permutation(count))


def changes(seed: int, step: int, count: int, pad: int, mirror: bool) -> Tensor:
    """For each image of a batch how far down and right it moves, −``pad`` to ``pad``, and whether it is mirrored: (count, 3)."""
    random = _random(seed, _CHANGES, step)
    moves = random.integers(-pad, pad, (count, 2), endpoint=True)
    mirrored = random.integers(0, 1, (count, 1), endpoint=True) * mirror
    return torch.from_numpy(np.concatenate([moves, mirrored], axis=1))


def changed(images: Tensor, how: Tensor) -> Tensor:
    """Images (N, C, H, W) moved and mirrored as `changes` says, zeros where nothing was."""
    pad = int(how[:, :2].abs().max())
    padded = F.pad(images, (pad,) * 4)
    windows = padded.unfold(2, images.shape[2], 1).unfold(3, images.shape[3], 1)     # (N, C, 2·pad + 1, 2·pad + 1, H, W)
    moved = windows[torch.arange(len(images)), :, pad - how[:, 0], pad - how[:, 1]]
    return torch.where(how[:, 2].bool()[:, None, None, None], moved.flip(3), moved)


def _random(seed, purpose, number) -> np.random.Generator:
    return np.random.default_rng((seed, purpose, number))
