"""Batch norm when several processes share a batch: over each process's own images, or over all of them.

Replicas that train on parts of a batch keep their own batch statistics, as if the batch were that small (lesson 05).
`SharedBatchNorm2d` sums over all processes instead, which costs two exchanges a layer in each direction. PyTorch's own
``nn.SyncBatchNorm`` does the same on GPUs, and does not run on CPUs.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose mean and variance in training are those of the batches of all processes together.

    Every process gives a batch of the same size. Where there is one process, and in eval mode, it is `nn.BatchNorm2d`.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(x)
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = _SumOverProcesses.apply(x.sum((0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = _SumOverProcesses.apply(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)       # Bessel's correction
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale[:, None, None] + self.bias[:, None, None]


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; each of them depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, value):
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient


def share_batch_norm(network: nn.Module) -> None:
    """Replace every `nn.BatchNorm2d` in ``network`` by one over all processes, with the same weights and statistics."""
    for module in network.modules():
        for name, norm in module.named_children():
            if type(norm) is nn.BatchNorm2d:
                shared = SharedBatchNorm2d(norm.num_features, norm.eps, norm.momentum)
                shared.load_state_dict(norm.state_dict())
                setattr(module, name, shared)
