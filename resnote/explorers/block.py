"""Lesson 02's explorer: one residual block, the shape on every arrow, and whether it is legal, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from resnote import counting
from resnote.counting import BlockCount
from resnote.drawings.blocks import HEIGHT, block_diagram
from resnote.drawings.kit import WIDTH
from resnote.explorers.base import Choice, Column, Columns, Explorer, Slider
from resnote.settings import SHORTCUTS
from resnote.text import format_shape

KINDS = {"basic block": (counting.basic_block, "BasicBlock"), "bottleneck": (counting.bottleneck, "Bottleneck")}

@dataclass(frozen=True)
class State:
    """Channels 1–256, stride 1–4, image side 1–64 pixels."""

    kind: str = "basic block"
    in_channels: int = 64
    width: int = 64
    out_channels: int = 64
    stride: int = 1
    side: int = 32
    shortcut: str = "identity"


PRESETS = {
    "Identity": State(),
    "Next stage, projected": State(out_channels=128, width=128, stride=2, shortcut="projection"),
    "Next stage, zero-padded": State(out_channels=128, width=128, stride=2, shortcut="zero-pad"),
    "The article's trap": State(out_channels=128),
    "The silent trap": State(out_channels=1),
}


class Numbers(NamedTuple):
    """The block's count, and the state that it belongs to."""

    state: State
    block: BlockCount


def count(state: State) -> BlockCount:
    """The block's count, with batch norm; a block that cannot run carries its problem."""
    kind, _ = KINDS[state.kind]
    return kind(state.in_channels, state.width, state.out_channels, size=state.side, stride=state.stride,
                shortcut=state.shortcut, strict=False)


def code(state: State) -> str:
    """The call that builds this block."""
    settings = "".join([f", stride={state.stride}" if state.stride != 1 else "",
                        f", shortcut={state.shortcut!r}" if state.shortcut != "identity" else ""])
    return f"{KINDS[state.kind][1]}({state.in_channels}, {state.width}, {state.out_channels}{settings})"


def bare_pytorch(state: State, block: BlockCount | None = None) -> str:
    """What F(x) + shortcut(x) would do in PyTorch without a check. ``block`` is the state's count, where there is one."""
    block = block or count(state)
    if block.problem is None:
        return f"adds, and returns {format_shape(block.rows[-1].output)}."
    if block.problem.where == "shortcut":
        return (f"depends on how x is padded. F.pad takes a negative number: it cuts {state.in_channels - state.out_channels} "
                f"channels off x without a word, and the sum is {format_shape(block.residual[-1].output)}. torch.zeros "
                "refuses the number, and stops.")
    fx, x = block.residual[-1].output, block.input
    if fx == x:  # a stride on an image of one pixel
        return f"adds, and returns {format_shape(x)}."
    if all(a == b or 1 in (a, b) for a, b in zip(fx, x)):
        return "adds without a word, and repeats what has length 1: " + format_shape(tuple(map(max, zip(fx, x)))) + "."
    axis = next(n for n, (a, b) in enumerate(zip(reversed(fx), reversed(x))) if a != b and 1 not in (a, b))
    a, b = list(reversed(fx))[axis], list(reversed(x))[axis]
    return f"stops: the size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension {3 - axis}"


class BlockExplorer(Explorer):
    """One residual block with batch norm: channels, stride, image side, shortcut.

    Parameters
    ----------
    preset : name of one of `PRESETS`; the identity by default
    """

    State, presets = State, PRESETS
    controls = {
        "kind": Choice("block", tuple(KINDS)), "in_channels": Slider("input channels", 1, 256),
        "width": Slider("middle channels", 1, 256), "out_channels": Slider("output channels", 1, 256),
        "stride": Slider("stride", 1, 4), "side": Slider("image side", 1, 64), "shortcut": Choice("shortcut", SHORTCUTS)}
    layout = (Columns((Column(("in_channels", "width", "out_channels", "drawing")),
                       Column(("kind", "shortcut", "stride", "side", "words"))), WIDTH),)

    @staticmethod
    def numbers(state):
        return Numbers(state, count(state))

    @staticmethod
    def draw(numbers):
        return {"drawing": block_diagram(numbers.block, _widest(numbers.state)), "words": _words(*numbers)}

    @staticmethod
    def sentence(before, numbers):
        block = numbers.block
        return (f"resnote refuses the block, at the {block.problem.where}." if block.problem else
                f"{format_shape(block.input)} becomes {format_shape(block.rows[-1].output)}; "
                f"{block.parameters:,} parameters.")


def _widest(state: State) -> int:
    return max(state.in_channels, state.width, state.out_channels)


def _words(state: State, block: BlockCount) -> str:
    """The call, what bare PyTorch does, and what `resnote` says; the place does not grow with the words."""
    resnote = block.problem.message if block.problem else f"builds it: {block.parameters:,} parameters, {block.macs:,} MACs."
    parts = (("You write", f"<code>{escape(code(state))}</code>"),
             ("F(x) + shortcut(x) in bare PyTorch", escape(bare_pytorch(state, block))), ("resnote", escape(resnote)))
    # No <dl>: JupyterLab's own style floats its terms.
    body = "".join(f'<div style="font-weight:bold;margin-top:8px">{name}</div><div>{text}</div>' for name, text in parts)
    return f'<div class="resnote-words" style="width:420px;max-width:100%;min-height:{HEIGHT - 40}px;font-size:13px;line-height:1.5">{body}</div>'
