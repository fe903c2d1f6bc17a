"""Residual networks, described and counted without torch: the paper's for ImageNet and for CIFAR-10, and their kin.

A stem, stages of blocks, a head (mean over the image, one linear layer): He et al. (2015), Table 1. For large images the
stem is a 7x7 convolution and max pooling, and there are four stages. Grouped 3x3 convolutions make ResNeXts (Xie et al.
2017), wider ones wide ResNets (Zagoruyko and Komodakis 2016, as torchvision builds them). Multiply-accumulates are for one
image of 224 x 224.

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

For small images (§4.2) the stem is a 3x3 convolution, and three stages of n two-layer blocks have 16, 32 and 64 channels:
6n + 2 layers with weights. Parameters with option A, and as the paper's Table 6 rounds them; option B has 2,752 more.

    depth         20       32       44       56       110        1202
    parameters    269,722  464,154  658,586  853,018  1,727,962  19,421,274
    Table 6       0.27 M   0.46 M   0.66 M   0.85 M   1.7 M      19.4 M
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from resnote.counting import (BYTES_PER_VALUE, BlockCount, Row, basic_block, batch_norm2d, bottleneck, bottleneck_layout,
                              bytes_of, conv2d, plain_block, relu, two_spatial)
from resnote.settings import SettingError, check_pair, check_size
from resnote.text import format_bytes, format_shape, html_table, text_table

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
VERSIONS = "v1.5", "v1"
STEMS = "7x7", "3x3"
LAYERS_PER_BLOCK = {"plain block": 2, "basic block": 2, "bottleneck": 3}
SMALL = {"plain": "plain block", "residual": "basic block", "bottleneck": "bottleneck"}
CHANGES = "zero-pad", "projection"     # options A and B: the shortcut where the shape changes
EXPANSION = 4               # a bottleneck puts out four times its stage's channels


class BlockSettings(NamedTuple):
    """The arguments of one block of a stage, for `resnote.blocks` and `resnote.counting` alike."""

    in_channels: int
    width: int
    out_channels: int
    stride: int
    shortcut: str


class Architecture(NamedTuple):
    """A network of stages.

    Attributes
    ----------
    name : for people
    block : 'plain block', 'basic block' or 'bottleneck'
    blocks : how many each stage has
    width : channels of the stem, and of basic blocks in the first stage; each later stage has twice as many
    groups, group_width : of the bottlenecks' 3x3, which has groups · group_width channels in the first stage
    version : 'v1.5' or 'v1', where the stride of a bottleneck stands
    shortcut : where the shape changes, 'projection' (option B) or 'zero-pad' (option A)
    stem : '7x7', with stride 2 and max pooling after it, or '3x3'
    in_channels, classes : of the images, and of the scores
    """

    name: str
    block: str
    blocks: tuple[int, ...]
    width: int = 64
    groups: int = 1
    group_width: int = 64
    version: str = "v1.5"
    shortcut: str = "projection"
    stem: str = "7x7"
    in_channels: int = 3
    classes: int = 1000

    @property
    def depth(self) -> int:
        """Layers with weights on the longest way; those of projections are not counted."""
        return LAYERS_PER_BLOCK[self.block] * sum(self.blocks) + 2

    @property
    def features(self) -> int:
        """Channels that the last stage puts out."""
        return self.stage(len(self.blocks) - 1)[1].out_channels

    def stage(self, number: int) -> tuple[BlockSettings, BlockSettings]:
        """Settings of the first block of stage ``number``, from 0, and of those that follow it.

        The first changes the shape where it has to, and has stride 2 but in stage 0.
        """
        channels = self.width * 2**number
        width, out = channels, channels
        before = self.width if number == 0 else channels // 2
        if self.block == "bottleneck":
            width, out = self.groups * self.group_width * 2**number, EXPANSION * channels
            before = self.width if number == 0 else EXPANSION * before
        stride = 1 if number == 0 else 2
        first = BlockSettings(before, width, out, stride, "identity" if (before, stride) == (out, 1) else self.shortcut)
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


def small(block: str, depth: int, *, width: int = 16, shortcut: str = "zero-pad", in_channels: int = 3,
          classes: int = 10) -> Architecture:
    """A network for small images: 6n + 2 layers, 'plain' or 'residual', or 9n + 2 with 'bottleneck' blocks.

    ``width`` is that of the first stage, 16 in the paper. Raises `SettingError` for what there is not.
    """
    if not (isinstance(block, str) and block in SMALL):
        raise SettingError(f"block={block!r} is not known. Use {_or(SMALL)}.")
    if not (isinstance(shortcut, str) and shortcut in CHANGES):
        raise SettingError(f"shortcut={shortcut!r} is not known. Use {_or(CHANGES)}, where the shape changes.")
    number = blocks_per_stage(depth, LAYERS_PER_BLOCK[SMALL[block]])
    width, in_channels, classes = (check_size(name, value) for name, value in (
        ("width", width), ("in_channels", in_channels), ("classes", classes)))
    return Architecture(f"{block}-{check_size('depth', depth)}", SMALL[block], (number,) * 3, width, 1, width, "v1.5", shortcut,
                        "3x3", in_channels, classes)


def blocks_per_stage(depth: int, layers: int = 2) -> int:
    """The n of depth = 3 · ``layers`` · n + 2; raises `SettingError` where there is none."""
    depth, step = check_size("depth", depth), 3 * layers
    n, rest = divmod(depth - 2, step)
    if rest or n < 1:
        lower = max(1, n)
        raise SettingError(f"depth is {depth}; three stages of {('two', 'three')[layers - 2]}-layer blocks, a stem and a last "
                           f"layer make {step}n + 2 layers. Use {step * lower + 2} or {step * lower + 2 + step}.")
    return n


def _architecture(name, depth, *, groups=1, group_width=64, version="v1.5", in_channels=3, classes=1000) -> Architecture:
    depth = check_size("depth", depth)
    if depth not in BLOCKS:
        raise SettingError(f"There is no {name}: the paper's depths are {', '.join(map(str, BLOCKS))}. Use one of these.")
    if version not in VERSIONS:
        raise SettingError(f"version={version!r} is not known. Use 'v1.5' (stride on the 3x3) or 'v1' (on the first 1x1).")
    groups, group_width, in_channels, classes = (check_size(key, value) for key, value in (
        ("groups", groups), ("group_width", group_width), ("in_channels", in_channels), ("classes", classes)))
    return Architecture(name, "bottleneck" if depth >= 50 else "basic block", BLOCKS[depth], groups=groups,
                        group_width=group_width, version=version, in_channels=in_channels, classes=classes)


def _deep(name, depth) -> int:
    if check_size("depth", depth) in BLOCKS and depth < 50:
        raise SettingError(f"{name} would need bottlenecks, and depth {depth} has basic blocks. Use depth 50, 101 or 152.")
    return depth


# --- counts ------------------------------------------------------------------------------------


class _Totals:
    """Sums over the parts of a stage or a network."""

    @cached_property
    def parameters(self) -> int:
        return self._sum("parameters")

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates. FLOPs would be twice this."""
        return self._sum("macs")

    @cached_property
    def elementwise(self) -> int:
        return self._sum("elementwise")

    def _sum(self, what):
        return sum(times * getattr(part, what) for times, part in self._parts())


@dataclass(frozen=True)
class StageCount(_Totals):
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

    @cached_property
    def saved_for_backward(self) -> int:
        """Bytes that the stage keeps in training beside its input, which the stage before has kept."""
        return sum(times * (block.saved_for_backward - bytes_of(block.input)) for times, block in self._parts())

    def _parts(self):
        return (1, self.first), (self.number - 1, self.following)


@dataclass(frozen=True, repr=False)
class NetworkCount(_Totals):
    """A whole network: rows of the stem and of the head, and the stages between them, for one image in float32."""

    name: str
    input: tuple[int, int, int]
    stem: tuple[Row, ...]
    stages: tuple[StageCount, ...]
    head: tuple[Row, ...]

    @cached_property
    def saved_for_backward(self) -> int:
        """Bytes that autograd keeps in training, the image included."""
        return (bytes_of(self.input) + self.stem_saved + sum(stage.saved_for_backward for stage in self.stages)
                + self.head[0].bytes)       # the mean over the last maps: the linear layer's input

    @property
    def stem_saved(self) -> int:
        """Bytes that the stem keeps in training beside the image.

        The input of batch norm, with a mean and an inverse deviation a channel; the output of ReLU, which max pooling keeps,
        too; the places of its maxima, 8 bytes each; and the pooled maps, which are the first block's input.
        """
        conv, bn, act, *pool = self.stem
        return conv.bytes + 2 * bn.output[0] * BYTES_PER_VALUE + act.bytes + sum(3 * row.bytes for row in pool)

    def training_bytes(self, batch: int) -> int:
        """Memory for training by SGD with momentum: weight, gradient and momentum, and what a batch keeps for backward.

        The framework itself and scratch space inside operations come on top.
        """
        return 3 * BYTES_PER_VALUE * self.parameters + check_size("batch", batch) * self.saved_for_backward

    def as_text(self) -> str:
        """One row for the image, the stem, each stage and the head, as in Table 1."""
        return text_table(HEADINGS, self._cells())

    def as_html(self) -> str:
        return html_table(HEADINGS, self._cells(), caption=f"{self.name}, one image {format_shape(self.input)}, float32")

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()

    def _cells(self) -> list[list[str]]:
        parts = [("image", self.input, "", 0, 0, bytes_of(self.input)),
                 ("stem", self.stem[-1].output, "", sum(row.parameters for row in self.stem), sum(row.macs for row in self.stem),
                  self.stem_saved)]
        parts += [(f"stage {n}", stage.output, f"{stage.number}", stage.parameters, stage.macs, stage.saved_for_backward)
                  for n, stage in enumerate(self.stages, start=1)]
        parts += [("head", self.head[-1].output[:1], "", self.head[1].parameters, self.head[1].macs, self.head[0].bytes),
                  ("total", (), "", self.parameters, self.macs, self.saved_for_backward)]
        return [[name, format_shape(shape), blocks, f"{parameters:,}", f"{macs:,}", format_bytes(saved)]
                for name, shape, blocks, parameters, macs, saved in parts]

    def _parts(self):
        return ((1, part) for part in (*self.stem, *self.stages, *self.head))


HEADINGS = ("part", "output", "blocks", "parameters", "multiply–accumulates", "saved for backward")


def count(architecture: Architecture, size=224) -> NetworkCount:
    """Count a network for images of ``size``, one number or (height, width).

    Raises
    ------
    SettingError
        for sizes that are not whole numbers of 1 or more.
    """
    image = (architecture.in_channels, *check_pair("size", size))
    for name in ("width", "groups", "group_width"):
        check_size(name, getattr(architecture, name))
    large = architecture.stem == "7x7"
    conv = (conv2d(image, architecture.width, 7, stride=2, padding=3, bias=False, name="conv1") if large else
            conv2d(image, architecture.width, 3, padding=1, bias=False, name="conv1"))
    stem = [conv, batch_norm2d(conv.output, name="bn1"), relu(conv.output)]
    field, jump = 3, 1                              # pixels, and pixels from one value to the next
    if large:
        stem.append(_max_pool(conv.output))
        field, jump = 7 + 2 * 2, 4                  # after both
    stages, shape = [], stem[-1].output
    for number, blocks in enumerate(architecture.blocks):
        settings = architecture.stage(number)
        first = _counted(architecture.block, settings[0], shape[1:], architecture.groups, architecture.version)
        shape = first.after[-1].output
        following = _counted(architecture.block, settings[1], shape[1:], architecture.groups, architecture.version)
        for times, block in zip((1, blocks - 1), settings):     # the following blocks have no stride
            for layer in _layout(architecture)(*block[:3], 3, block.stride, architecture.groups):
                field, jump = field + times * (layer.kernel_size - 1) * jump, jump * layer.stride
        stages.append(StageCount(first, following, blocks, field))
    mean = Row("mean", "pool", (shape[0], 1, 1), 0, 0, shape[0] * shape[1] * shape[2], shape[0] * BYTES_PER_VALUE, "")
    classes = architecture.classes
    linear = Row("fc", "linear", (classes, 1, 1), shape[0] * classes + classes, shape[0] * classes, classes,
                 classes * BYTES_PER_VALUE, f"{shape[0]}·{classes} + {classes}")
    return NetworkCount(architecture.name, image, tuple(stem), tuple(stages), (mean, linear))


@lru_cache(maxsize=64)          # the next network that an explorer shows has most blocks of this one
def _counted(kind, settings: BlockSettings, size, groups, version) -> BlockCount:
    common = {"size": size, "stride": settings.stride}
    if kind == "plain block":
        return plain_block(*settings[:3], **common)
    if kind == "basic block":
        return basic_block(*settings[:3], **common, shortcut=settings.shortcut)
    return bottleneck(*settings[:3], **common, shortcut=settings.shortcut, groups=groups,
                      stride_first=version == "v1")


def _layout(architecture):
    return bottleneck_layout(architecture.version == "v1") if architecture.block == "bottleneck" else two_spatial


def _or(names) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}"


def _max_pool(shape) -> Row:
    """3x3 with stride 2 and one row and column of padding: the largest of nine values, eight comparisons."""
    channels, height, width = shape
    output = (channels, (height - 1) // 2 + 1, (width - 1) // 2 + 1)
    values = output[0] * output[1] * output[2]
    return Row("maxpool", "pool", output, 0, 0, 8 * values, values * BYTES_PER_VALUE, "", (2, 2))
