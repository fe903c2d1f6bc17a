"""A network for small images, plain or residual, after He et al. (2015), §4.2.

A 3x3 stem, three stages of n blocks with `width`, 2·width and 4·width channels (the second and third
start with stride 2), global average pooling, one linear layer: 6n + 2 layers with weights. Shortcuts
are option A, zero-padded, so the plain and the residual network of one depth hold exactly the same
parameters, and only the additions differ.

At width 16 on colour images these are the paper's CIFAR-10 networks:

    depth        20       32       44       56        110
    parameters   269,722  464,154  658,586  853,018   1,727,962
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from resnote.blocks import BasicBlock, PlainBlock, check_images
from resnote.settings import SettingError, check_size

BLOCKS = ("plain", "residual")


class SmallNet(nn.Module):
    """6n + 2 layers for small images (N, in_channels, H, W); gives scores (N, classes).

    Parameters
    ----------
    block : 'plain' or 'residual'
    depth : number of layers with weights, 6n + 2: 8, 14, 20, 26, 32, 38, 44, 50, 56 …
    width : channels of the first stage

    Weights are He-initialised (He et al. 2015b, fan-in) from torch's global random state: call
    `torch.manual_seed` before. Raises `SettingError` for an unknown block, for a depth that is not
    6n + 2, and for sizes that are not whole numbers of 1 or more.
    """

    def __init__(self, block: str, depth: int, *, width: int = 8, in_channels: int = 1, classes: int = 10):
        super().__init__()
        if not (isinstance(block, str) and block in BLOCKS):
            raise SettingError(f"block={block!r} is not known. Use 'plain' or 'residual'.")
        n = blocks_per_stage(depth)
        width, in_channels, classes = (check_size(name, value) for name, value in (
            ("width", width), ("in_channels", in_channels), ("classes", classes)))
        self.in_channels = in_channels
        self.stem = nn.Sequential(OrderedDict(
            conv=nn.Conv2d(in_channels, width, 3, padding=1, bias=False), bn=nn.BatchNorm2d(width), relu=nn.ReLU()))
        self.stages = nn.Sequential(
            _stage(block, n, width, width, stride=1),
            _stage(block, n, width, 2 * width, stride=2),
            _stage(block, n, 2 * width, 4 * width, stride=2))
        self.fc = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.in_channels, self.fc.weight.dtype)
        x = self.stem(x)
        x = self.stages(x)
        x = x.mean((2, 3))      # global average pooling
        return self.fc(x)


def blocks_per_stage(depth: int) -> int:
    """The n of depth = 6n + 2; raises `SettingError` where there is none."""
    depth = check_size("depth", depth)
    n, rest = divmod(depth - 2, 6)
    if rest or n < 1:
        lower = max(1, n)
        raise SettingError(f"depth is {depth}; three stages of two-layer blocks, a stem and a last layer make "
                           f"6n + 2 layers. Use {6 * lower + 2} or {6 * lower + 8}.")
    return n


def _stage(block, n, in_channels, out_channels, stride) -> nn.Sequential:
    blocks = []
    for number in range(n):
        first = number == 0
        channels, step = (in_channels, stride) if first else (out_channels, 1)
        if block == "plain":
            blocks.append(PlainBlock(channels, out_channels, out_channels, stride=step))
        else:
            blocks.append(BasicBlock(channels, out_channels, out_channels, stride=step, shortcut="zero-pad"))
    return nn.Sequential(*blocks)
