"""PlainBlock, BasicBlock and Bottleneck: what He et al. (2015) stack, with errors that explain.

Every block computes relu(F(x) + shortcut(x)); the plain block leaves the shortcut out. A setting
that PyTorch would refuse late, or would accept and silently broadcast, is refused when the block is
built. The same settings are counted by `resnote.counting`.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnote import counting
from resnote.settings import SettingError, check_block, check_switch


def conv(in_channels, out_channels, kernel_size, stride, bias, groups=1) -> nn.Conv2d:
    """A convolution that keeps height and width at stride 1 (odd kernels)."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2,
                     groups=groups, bias=bias)


class ZeroPad(nn.Module):
    """Option A of He et al. (2015, §3.3): every stride-th pixel, new channels filled with zeros."""

    def __init__(self, new_channels: int, stride: int):
        super().__init__()
        self.new_channels, self.stride = new_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, ::self.stride, ::self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.new_channels))


class _Block(nn.Module):
    """What the three blocks share: checks, the shortcut, and F(x) + x.

    A block names the layout of its convolutions, the one that `resnote.counting` counts; batch norm and ReLU are put
    between them here.
    """

    def __init__(self, layout, in_channels, width, out_channels, *, kernel_size, stride, bias,
                 batch_norm, shortcut, projection_kernel_size, projection_bias, groups=1):
        super().__init__()
        problem = check_block(in_channels, width, out_channels, None, kernel_size, stride, shortcut,
                              projection_kernel_size, groups)
        bias, batch_norm = check_switch("bias", bias), check_switch("batch_norm", batch_norm)
        projection_bias = bias if projection_bias is None else check_switch("projection_bias", projection_bias)
        if problem:
            raise SettingError(problem.message)
        self.in_channels = in_channels
        self.residual = _layers(layout(in_channels, width, out_channels, kernel_size, stride, groups), bias, batch_norm)
        self.shortcut = _shortcut(shortcut, in_channels, out_channels, stride, batch_norm,
                                  projection_kernel_size, projection_bias)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H', W'), H' = ceil(H / stride)."""
        check_batch(x, self.in_channels, self.residual.conv1.weight.dtype)
        fx = self.residual(x)           # F(x)
        if self.shortcut is None:       # a plain block
            return self.relu(fx)
        out = fx + self.shortcut(x)     # F(x) + x
        return self.relu(out)


class PlainBlock(_Block):
    """Two k x k convolutions, ReLU after each, no shortcut.

    Parameters as in `BasicBlock`, without the shortcut's.
    """

    def __init__(self, in_channels: int, width: int, out_channels: int, *, kernel_size: int = 3,
                 stride: int = 1, bias: bool = False, batch_norm: bool = True):
        super().__init__(
            counting.two_spatial, in_channels, width, out_channels, kernel_size=kernel_size, stride=stride, bias=bias,
            batch_norm=batch_norm, shortcut=None, projection_kernel_size=1, projection_bias=False)


class BasicBlock(_Block):
    """Two k x k convolutions, the add, ReLU: He et al. (2015), Fig. 5 left.

    Parameters
    ----------
    in_channels, width, out_channels : channels of x, between the convolutions, and of F(x)
    kernel_size : odd whole number
    stride : of the first convolution and of the shortcut
    bias : whether the convolutions have one; batch norm makes it useless
    batch_norm : whether one follows each convolution
    shortcut : 'identity', 'zero-pad' (option A), 'projection' (options B, C), or None for no shortcut
    projection_kernel_size, projection_bias : 1, and as ``bias``, unless given

    Raises
    ------
    SettingError
        (a ValueError) for sizes that are not whole numbers of 1 or more, an even kernel, and for an
        F(x) and a shortcut that cannot be added or that PyTorch would broadcast.
    """

    def __init__(self, in_channels: int, width: int, out_channels: int, *, kernel_size: int = 3,
                 stride: int = 1, bias: bool = False, batch_norm: bool = True,
                 shortcut: str = "identity", projection_kernel_size: int = 1,
                 projection_bias: bool | None = None):
        super().__init__(
            counting.two_spatial, in_channels, width, out_channels, kernel_size=kernel_size, stride=stride, bias=bias,
            batch_norm=batch_norm, shortcut=shortcut, projection_kernel_size=projection_kernel_size,
            projection_bias=projection_bias)


class Bottleneck(_Block):
    """1x1 down, k x k, 1x1 up, the add, ReLU: He et al. (2015), Fig. 5 right.

    Parameters as in `BasicBlock`, and ``groups``, those of the k x k convolution, which must divide the
    width: with 32 it is ResNeXt's (Xie et al. 2017, Fig. 3c). The stride stands on the k x k convolution,
    as in torchvision ("v1.5"); with ``stride_first`` it stands on the first 1x1, as in the authors' own code ("v1").
    """

    def __init__(self, in_channels: int, width: int, out_channels: int, *, kernel_size: int = 3,
                 stride: int = 1, groups: int = 1, stride_first: bool = False, bias: bool = False,
                 batch_norm: bool = True, shortcut: str = "identity", projection_kernel_size: int = 1,
                 projection_bias: bool | None = None):
        super().__init__(
            counting.bottleneck_layout(stride_first), in_channels, width, out_channels, kernel_size=kernel_size, stride=stride, bias=bias,
            batch_norm=batch_norm, shortcut=shortcut, projection_kernel_size=projection_kernel_size,
            projection_bias=projection_bias, groups=groups)


def check_batch(x, channels: int, dtype: torch.dtype) -> None:
    """Raise unless ``x`` is a batch of images (N, channels, H, W) of the weights' ``dtype``.

    Raises
    ------
    TypeError
        for something that is not a tensor, or of another type than the weights (autocast converts it).
    SettingError
        for another number of axes or of channels.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"This module needs a tensor of images (N, {channels}, H, W); it got "
                        f"{type(x).__name__}. Convert it with torch.as_tensor(...).")
    if x.dim() != 4:
        raise SettingError(f"This module needs images as (N, {channels}, H, W); it got shape {tuple(x.shape)}. "
                           "For one image (C, H, W), add the batch axis with x[None].")
    if x.shape[1] != channels:
        raise SettingError(f"This module was built for {channels} channels; x has {x.shape[1]}, its shape is "
                           f"{tuple(x.shape)}. Build it with in_channels={x.shape[1]}, or give it the "
                           "images it was built for.")
    if x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(f"The weights are {dtype} and x is {x.dtype}. Convert x with x.to({dtype}).")


def _layers(convolutions, bias, batch_norm) -> nn.Sequential:
    """conv1, bn1, relu1, conv2 …: no ReLU after the last, since the add comes first."""
    layers = OrderedDict()
    for number, (in_channels, out_channels, kernel_size, stride, groups) in enumerate(convolutions, start=1):
        if number > 1:
            layers[f"relu{number - 1}"] = nn.ReLU()
        layers[f"conv{number}"] = conv(in_channels, out_channels, kernel_size, stride, bias, groups)
        if batch_norm:
            layers[f"bn{number}"] = nn.BatchNorm2d(out_channels)
    return nn.Sequential(layers)


def _shortcut(kind, in_channels, out_channels, stride, batch_norm, kernel_size, bias) -> nn.Module | None:
    if kind is None:
        return None
    if kind == "projection":
        projection = conv(in_channels, out_channels, kernel_size, stride, bias)
        return nn.Sequential(projection, nn.BatchNorm2d(out_channels)) if batch_norm else projection
    if kind == "zero-pad" and (stride != 1 or out_channels != in_channels):
        return ZeroPad(out_channels - in_channels, stride)
    return nn.Identity()
