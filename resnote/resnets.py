"""Residual networks for ImageNet, described and counted without torch.

A stem (7x7 convolution, max pooling), four stages of blocks, a head (mean over the image, one linear layer): He et al.
(2015), Table 1. With groups in the 3x3 they are ResNeXts (Xie et al. 2017), with wider ones wide ResNets (Zagoruyko and
Komodakis 2016, as torchvision builds them). Multiply-accumulates are for one image of 224 x 224.

    network                 stages       block        parameters    G MACs
    ResNet-18               2, 2, 2, 2   basic        11,689,512     1.814
    ResNet-34               3, 4, 6, 3   basic        21,797,672     3.664
    ResNet-50               3, 4, 6, 3   bottleneck   25,557,032     4.089
    ResNet-101              3, 4, 23, 3  bottleneck   44,549,160     7.801
    ResNet-152              3, 8, 36, 3  bottleneck   60,192,808    11.514
    ResNeXt-50 32x4d        3, 4, 6, 3   bottleneck   25,028,904     4.230
    ResNeXt-101 32x8d       3, 4, 23, 3  bottleneck   88,791,336    16.414
    wide ResNet-50-2        3, 4, 6, 3   bottleneck   68,883,240    11.398
    wide ResNet-101-2       3, 4, 23, 3  bottleneck  126,886,696    22.753

Bottlenecks have their stride on the 3x3 ("v1.5", as in torchvision). The paper's own code has it on the first 1x1 ("v1"),
which makes ResNet-50 cheaper, 3.858 G, and changes no parameter.
"""

from __future__ import annotations

from typing import NamedTuple

from resnote.counting import (BYTES_PER_VALUE, BlockCount, Row, basic_block, batch_norm2d, bottleneck, bottleneck_layout,
                              bytes_of, conv2d, relu, two_spatial)
from resnote.settings import SettingError, check_pair, check_size

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
VERSIONS = "v1.5", "v1"
STEM = 64                   # channels; those of the stages' basic blocks are 64, 128, 256, 512
EXPANSION = 4               # a bottleneck puts out four times these


class BlockSettings(NamedTuple):
    """The arguments of one block of a stage, for `resnote.blocks` and `resnote.counting` alike."""

    in_channels: int
    width: int
    out_channels: int
    stride: int
    shortcut: str


class Architecture(NamedTuple):
    """A residual network for large images.

    Attributes
    ----------
    name : for people
    depth : layers with weights on the longest way, those of projections not counted
    block : 'basic block' or 'bottleneck'
    blocks : how many each of the four stages has
    groups, group_width : of the bottlenecks' 3x3, which has groups · group_width · 2^stage channels, stage from 0
    version : 'v1.5' or 'v1', where the stride of a bottleneck stands
    in_channels, classes : of the images, and of the scores
    """

    name: str
    depth: int
    block: str
    blocks: tuple[int, int, int, int]
    groups: int = 1
    group_width: int = 64
    version: str = "v1.5"
    in_channels: int = 3
    classes: int = 1000

    @property
    def features(self) -> int:
        """Channels that the last stage puts out."""
        return STEM * 8 * (EXPANSION if self.block == "bottleneck" else 1)

    def stage(self, number: int) -> tuple[BlockSettings, BlockSettings]:
        """Settings of the first block of stage ``number``, 0 to 3, and of those that follow it.

        The first has a projection where the shape changes (option B), and stride 2 but in stage 0.
        """
        channels = STEM * 2**number
        width, out = channels, channels
        before = STEM if number == 0 else channels // 2
        if self.block == "bottleneck":
            width, out = self.groups * self.group_width * 2**number, EXPANSION * channels
            before = STEM if number == 0 else EXPANSION * before
        stride = 1 if number == 0 else 2
        first = BlockSettings(before, width, out, stride, "identity" if (before, stride) == (out, 1) else "projection")
        return first, BlockSettings(out, width, out, 1, "identity")


def resnet(depth: int, *, version: str = "v1.5", in_channels: int = 3, classes: int = 1000) -> Architecture:
    """ResNet-18, 34, 50, 101 or 152; raises `SettingError` for another depth or version."""
    return _architecture(f"ResNet-{depth}", depth, version=version, in_channels=in_channels, classes=classes)


def resnext(depth: int, groups: int = 32, group_width: int = 4, **settings) -> Architecture:
    """ResNeXt: bottlenecks whose 3x3 has ``groups``, of ``group_width`` channels each in the first stage.

    Depth 50 or more; further settings as of `resnet`. Published: (50, 32, 4) and (101, 32, 8).
    """
    name = f"ResNeXt-{depth} {groups}x{group_width}d"
    return _architecture(name, _deep(name, depth), groups=groups, group_width=group_width, **settings)


def wide_resnet(depth: int, factor: int = 2, **settings) -> Architecture:
    """A ResNet whose bottlenecks have ``factor`` times the width. Depth 50 or more; further settings as of `resnet`."""
    name = f"wide ResNet-{depth}-{factor}"
    return _architecture(name, _deep(name, depth), group_width=64 * check_size("factor", factor), **settings)


def _architecture(name, depth, *, groups=1, group_width=64, version="v1.5", in_channels=3, classes=1000) -> Architecture:
    depth = check_size("depth", depth)
    if depth not in BLOCKS:
        raise SettingError(f"There is no {name}: the paper's depths are {', '.join(map(str, BLOCKS))}. Use one of these.")
    if version not in VERSIONS:
        raise SettingError(f"version={version!r} is not known. Use 'v1.5' (stride on the 3x3) or 'v1' (on the first 1x1).")
    sizes = [check_size(key, value) for key, value in (
        ("groups", groups), ("group_width", group_width), ("in_channels", in_channels), ("classes", classes))]
    return Architecture(name, depth, "bottleneck" if depth >= 50 else "basic block", BLOCKS[depth], *sizes[:2], version, *sizes[2:])


def _deep(name, depth) -> int:
    if check_size("depth", depth) in BLOCKS and depth < 50:
        raise SettingError(f"{name} would need bottlenecks, and depth {depth} has basic blocks. Use depth 50, 101 or 152.")
    return depth


# --- counts ------------------------------------------------------------------------------------


class StageCount(NamedTuple):
    """A stage: its first block, the block that follows it, and how many blocks there are, all told.

    ``receptive_field`` is how many pixels wide the part of the image is that one value of the stage's output depends on.
    """

    first: BlockCount
    following: BlockCount
    number: int
    receptive_field: int

    @property
    def output(self) -> tuple[int, int, int]:
        return self.first.after[-1].output

    @property
    def parameters(self) -> int:
        return self._sum("parameters")

    @property
    def macs(self) -> int:
        return self._sum("macs")

    @property
    def elementwise(self) -> int:
        return self._sum("elementwise")

    @property
    def saved_for_backward(self) -> int:
        """Bytes that the stage keeps in training beside its input, which the stage before has kept."""
        return sum(times * (block.saved_for_backward - bytes_of(block.input)) for times, block in self._parts())

    def _parts(self):
        return (1, self.first), (self.number - 1, self.following)

    def _sum(self, what):
        return sum(times * getattr(block, what) for times, block in self._parts())


class NetworkCount(NamedTuple):
    """A whole network: rows of the stem and of the head, and the stages between them, for one image in float32."""

    name: str
    input: tuple[int, int, int]
    stem: tuple[Row, ...]
    stages: tuple[StageCount, ...]
    head: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        return self._sum("parameters")

    @property
    def macs(self) -> int:
        """Multiply-accumulates. FLOPs would be twice this."""
        return self._sum("macs")

    @property
    def elementwise(self) -> int:
        return self._sum("elementwise")

    @property
    def saved_for_backward(self) -> int:
        """Bytes that autograd keeps in training, the image included.

        Beside what `BlockCount.saved_for_backward` names, max pooling saves its output's places, 8 bytes each; its output
        is kept as the first block's input, and the mean over the last maps as the linear layer's.
        """
        conv, bn, act, pool = self.stem
        return (bytes_of(self.input) + conv.bytes + 2 * bn.output[0] * BYTES_PER_VALUE + act.bytes
                + pool.bytes + 2 * pool.bytes
                + sum(stage.saved_for_backward for stage in self.stages) + self.head[0].bytes)

    def _sum(self, what):
        return sum(getattr(part, what) for part in (*self.stem, *self.stages, *self.head))


def count(architecture: Architecture, size=224) -> NetworkCount:
    """Count a network for images of ``size``, one number or (height, width).

    Raises
    ------
    SettingError
        for sizes that are not whole numbers of 1 or more.
    """
    image = (architecture.in_channels, *check_pair("size", size))
    conv = conv2d(image, STEM, 7, stride=2, padding=3, bias=False, name="conv1")
    bn = batch_norm2d(conv.output, name="bn1")
    act = relu(conv.output)
    pool = _max_pool(act.output)
    field, jump = 7 + 2 * 2, 4                      # after both: pixels, and pixels from one value to the next
    stages, shape = [], pool.output
    for number, blocks in enumerate(architecture.blocks):
        settings = architecture.stage(number)
        first = _counted(architecture, settings[0], shape[1:])
        shape = first.after[-1].output
        following = _counted(architecture, settings[1], shape[1:])
        for block in (settings[0], *[settings[1]] * (blocks - 1)):
            for layer in _layout(architecture)(*block[:3], 3, block.stride, architecture.groups):
                field, jump = field + (layer.kernel_size - 1) * jump, jump * layer.stride
        stages.append(StageCount(first, following, blocks, field))
    mean = Row("mean", "pool", (shape[0], 1, 1), 0, 0, shape[0] * shape[1] * shape[2], shape[0] * BYTES_PER_VALUE, "")
    classes = architecture.classes
    linear = Row("fc", "linear", (classes, 1, 1), shape[0] * classes + classes, shape[0] * classes, classes,
                 classes * BYTES_PER_VALUE, f"{shape[0]}·{classes} + {classes}")
    return NetworkCount(architecture.name, image, (conv, bn, act, pool), tuple(stages), (mean, linear))


def _counted(architecture, settings: BlockSettings, size) -> BlockCount:
    common = {"size": size, "stride": settings.stride, "shortcut": settings.shortcut}
    if architecture.block == "basic block":
        return basic_block(*settings[:3], **common)
    return bottleneck(*settings[:3], **common, groups=architecture.groups, stride_first=architecture.version == "v1")


def _layout(architecture):
    return two_spatial if architecture.block == "basic block" else bottleneck_layout(architecture.version == "v1")


def _max_pool(shape) -> Row:
    """3x3 with stride 2 and one row and column of padding: the largest of nine values, eight comparisons."""
    channels, height, width = shape
    output = (channels, (height - 1) // 2 + 1, (width - 1) // 2 + 1)
    values = output[0] * output[1] * output[2]
    return Row("maxpool", "pool", output, 0, 0, 8 * values, values * BYTES_PER_VALUE, "", (2, 2))
