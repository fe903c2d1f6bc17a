"""Lesson 06's explorer: a whole network, from its stages' blocks to the memory that training it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from resnote import resnets
from resnote.drawings.kit import WIDTH
from resnote.drawings.networks import network_maps, network_shares
from resnote.explorers.base import Choice, Column, Columns, Explorer, Line, Slider, Steps
from resnote.resnets import Architecture, NetworkCount
from resnote.text import SCROLLS, format_bytes

SIDES = (8, 14, 16, 28, 32, 48, 64, 96, 112, 128, 160, 192, 224, 256, 288, 320, 384, 448, 512)
OPTIONS = {"A, zeros": "zero-pad", "B, projection": "projection"}


@dataclass(frozen=True)
class State:
    """Blocks of each stage (0 leaves the fourth out), channels of the first stage, the bottlenecks' 3x3, image and batch."""

    block: str = "bottleneck"
    stage_1: int = 3
    stage_2: int = 4
    stage_3: int = 6
    stage_4: int = 3
    width: int = 64
    groups: int = 1
    group_width: int = 64
    version: str = "v1.5"
    shortcut: str = "B, projection"
    stem: str = "7x7"
    side: int = 224
    batch: int = 32


def _large(architecture: Architecture) -> State:
    """The state of a network for ImageNet."""
    return State(architecture.block, *architecture.blocks, groups=architecture.groups, group_width=architecture.group_width,
                 version=architecture.version)


def _small(depth: int) -> State:
    """The state of one of the paper's residual networks for CIFAR-10."""
    n = resnets.blocks_per_stage(depth)
    return State("basic block", n, n, n, 0, width=16, shortcut="A, zeros", stem="3x3", side=32, batch=128)


PRESETS = {
    "ResNet-50": State(), "ResNet-18": _large(resnets.resnet(18)), "ResNet-34": _large(resnets.resnet(34)),
    "ResNet-101": _large(resnets.resnet(101)), "ResNet-152": _large(resnets.resnet(152)),
    "ResNet-50 v1": _large(resnets.resnet(50, version="v1")), "ResNeXt-50 32x4d": _large(resnets.resnext(50, 32, 4)),
    "wide ResNet-50-2": _large(resnets.wide_resnet(50)),
    "CIFAR ResNet-20": _small(20), "CIFAR ResNet-56": _small(56), "CIFAR ResNet-110": _small(110),
}


def _alone(state: State) -> State:
    """The state but for image and batch, and for what only bottlenecks have: the states of one network become equal."""
    aside = ("side", "batch") if state.block == "bottleneck" else ("side", "batch", "groups", "group_width", "version")
    return replace(state, **{name: getattr(State, name) for name in aside})


_NAMES = {_alone(preset): name for name, preset in PRESETS.items()}


class Numbers(NamedTuple):
    """The network described and counted, and the state that it belongs to."""

    state: State
    architecture: Architecture
    count: NetworkCount


def architecture(state: State) -> Architecture:
    """The network of a state: of 1,000 classes behind the large stem, of 10 behind the small one."""
    blocks = tuple(filter(None, (state.stage_1, state.stage_2, state.stage_3, state.stage_4)))
    return Architecture(_NAMES.get(_alone(state), "This network"), state.block, blocks, state.width, state.groups, state.group_width,
                        state.version, OPTIONS[state.shortcut], state.stem, classes=1000 if state.stem == "7x7" else 10)


def totals_table(numbers: Numbers) -> str:
    """The network's totals as an HTML table, whose numbers change in place."""
    state, described, counted = numbers
    cells = (("layers with weights", f"{described.depth}"), ("parameters", f"{counted.parameters:,}"),
             ("multiply–accumulates, one image", f"{counted.macs:,}"),
             ("memory of the weights", format_bytes(4 * counted.parameters)),
             ("memory kept in training, one image", format_bytes(counted.saved_for_backward)),
             (f"memory for training, {state.batch} images: weights, gradients, momentum, kept",
              format_bytes(counted.training_bytes(state.batch))))
    rows = "".join(f'<tr><th scope="row" style="text-align:left;font-weight:normal">{name}</th><td style="text-align:right">{value}</td></tr>'
                   for name, value in cells)
    return (f'<div {SCROLLS}><table class="resnote-totals" style="border-collapse:collapse;table-layout:fixed;width:100%;'
            f'max-width:{2 * WIDTH}px;font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums"><tbody>{rows}</tbody></table></div>')


class NetworkExplorer(Explorer):
    """A residual network: blocks of each stage, width, groups, image side, batch.

    Parameters
    ----------
    preset : name of one of `PRESETS`; ResNet-50 by default
    """

    State, presets = State, PRESETS
    controls = {
        "block": Choice("block", ("plain block", "basic block", "bottleneck")),
        **{f"stage_{n}": Slider(f"blocks of stage {n}", 0 if n == 4 else 1, 36) for n in (1, 2, 3, 4)},
        "width": Steps("width of stage 1", (4, 8, 16, 24, 32, 48, 64, 80, 96, 128)), "groups": Steps("groups", (1, 2, 4, 8, 16, 32, 64)),
        "group_width": Steps("channels a group", (1, 2, 4, 8, 16, 32, 64, 128, 256)),
        "version": Choice("version", resnets.VERSIONS), "shortcut": Choice("shortcut", tuple(OPTIONS)),
        "stem": Choice("stem", resnets.STEMS), "side": Steps("image side", SIDES),
        "batch": Steps("images a batch", (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024))}
    layout = (
        Line("Network", ("block", "stem", "version")),
        Columns((Column(("stage_1", "stage_2", "stage_3", "stage_4", "width", "maps")),
                 Column(("side", "batch", "shortcut", "groups", "group_width", "shares"))), WIDTH),
        "totals")

    @staticmethod
    def numbers(state):
        described = architecture(state)
        return Numbers(state, described, resnets.count(described, state.side))

    @staticmethod
    def draw(numbers):
        return {"maps": network_maps(numbers.count), "shares": network_shares(numbers.count), "totals": totals_table(numbers)}

    @staticmethod
    def sentence(before, numbers):
        state, described, counted = numbers
        return (f"{described.name}: {described.depth} layers, {counted.parameters:,} parameters, {counted.macs:,} MACs. Training with "
                f"{state.batch} {'image' if state.batch == 1 else 'images'} a batch takes {format_bytes(counted.training_bytes(state.batch))}.")
