"""Lesson 03's explorer: a basic block and a bottleneck side by side, drawn to one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from resnote import counting
from resnote.counting import BlockCount
from resnote.drawings.blocks import block_diagram
from resnote.drawings.kit import WIDTH
from resnote.explorers.base import Choice, Column, Columns, Explorer, Line, Slider, Steps, Switch
from resnote.text import SCROLLS, format_bytes

SHORTCUT_ARGUMENTS = {
    "identity": {"shortcut": "identity"},
    "zero-pad": {"shortcut": "zero-pad"},
    "projection 1×1": {"shortcut": "projection"},
    "projection 1×1 with bias": {"shortcut": "projection", "projection_bias": True},
    "projection 3×3": {"shortcut": "projection", "projection_kernel_size": 3},
}


# From one pixel to a scanned page, the usual sizes of ImageNet, and the article's 320.
SIDES = (1, 2, 4, 7, 8, 14, 16, 28, 32, 56, 64, 112, 128, 224, 256, 320, 384, 512, 640, 768, 1024, 1536, 2048, 3072, 4096)


@dataclass(frozen=True)
class State:
    """Both blocks' channels, 1–512, and shortcuts, and what they share. The side is in pixels."""

    basic_in: int = 256
    basic_width: int = 256
    basic_out: int = 256
    basic_shortcut: str = "identity"
    bottleneck_in: int = 256
    bottleneck_width: int = 64
    bottleneck_out: int = 256
    bottleneck_shortcut: str = "identity"
    kernel_size: int = 3
    side: int = 320
    bias: bool = False
    batch_norm: bool = False


PRESETS = {
    "Equal channels": State(),
    "He et al. Fig. 5": State(basic_in=64, basic_width=64, basic_out=64),
    "The article's tables": State(basic_width=64, basic_out=64, basic_shortcut="projection 3×3",
                                  bottleneck_shortcut="projection 1×1 with bias"),
    "The article's listings": State(basic_width=64, basic_out=64),
}

class Numbers(NamedTuple):
    """Both blocks' counts, and the state that they belong to."""

    state: State
    basic: BlockCount
    bottleneck: BlockCount


def count(state: State) -> tuple[BlockCount, BlockCount]:
    """Both blocks' counts; a block that cannot run carries its problem instead of raising."""
    shared = {"size": state.side, "kernel_size": state.kernel_size, "bias": state.bias,
              "batch_norm": state.batch_norm, "strict": False}
    return (
        counting.basic_block(state.basic_in, state.basic_width, state.basic_out,
                             **shared, **SHORTCUT_ARGUMENTS[state.basic_shortcut]),
        counting.bottleneck(state.bottleneck_in, state.bottleneck_width, state.bottleneck_out,
                            **shared, **SHORTCUT_ARGUMENTS[state.bottleneck_shortcut]),
    )


def widest(state: State) -> int:
    """Channels that fill the drawing's width: one scale for both blocks."""
    return max(state.basic_in, state.basic_width, state.basic_out,
               state.bottleneck_in, state.bottleneck_width, state.bottleneck_out)


# Heading, attribute of the count, how to write it, and whether it needs a block that runs.
TOTALS = (
    ("parameters", "parameters", "{:,}".format, False),
    ("multiply–accumulates (MACs)", "macs", "{:,}".format, True),
    ("elementwise operations", "elementwise", "{:,}".format, True),
    ("activation memory: all outputs", "all_outputs", format_bytes, True),
    ("activation memory: saved for backward", "saved_for_backward", format_bytes, True),
    ("activation memory: inference peak", "inference_peak", format_bytes, True),
)


TABLE_STYLE = (f"border-collapse:collapse;table-layout:fixed;width:100%;min-width:600px;max-width:{2 * WIDTH}px;"
               "font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums")


def totals_table(basic: BlockCount, bottleneck: BlockCount) -> str:
    """The totals of both blocks and their ratio, as an HTML table; one example, float32."""
    lines = []
    for heading, attribute, write, needs_to_run in TOTALS:
        values = [getattr(block, attribute) for block in (basic, bottleneck)]
        runs = [not (needs_to_run and block.problem) for block in (basic, bottleneck)]
        cells = [write(value) if ok else "cannot run" for value, ok in zip(values, runs)]
        cells.append(f"{values[0] / values[1]:.2f}" if all(runs) and values[1] else "–")
        tds = "".join(f'<td style="text-align:right">{cell}</td>' for cell in cells)
        lines.append(f'<tr><th scope="row" style="text-align:left;font-weight:normal">{heading}</th>{tds}</tr>')
    # Columns of fixed width: numbers change in place, nothing moves beside them.
    head = "".join(f'<th scope="col" style="text-align:{side};width:{width}%">{name}</th>' for name, side, width in (
        ("one example, float32", "left", 36), ("basic block", "right", 23), ("bottleneck", "right", 23),
        ("basic ÷ bottleneck", "right", 18)))
    return (f'<div {SCROLLS}><table class="resnote-totals" style="{TABLE_STYLE}">'
            f'<thead style="border-bottom:1px solid var(--jp-border-color1,#bbb)"><tr>{head}</tr></thead>'
            f'<tbody>{"".join(lines)}</tbody></table></div>')


class BottleneckExplorer(Explorer):
    """Basic block and bottleneck side by side: channels, kernel, image side, bias, BN, shortcut.

    Parameters
    ----------
    preset : name of one of `PRESETS`; the first, equal channels, by default
    """

    State, presets = State, PRESETS
    controls = {
        **{f"{block}_{name}": control for block in ("basic", "bottleneck") for name, control in (
            ("in", Slider("input channels", 1, 512)), ("width", Slider("width", 1, 512)),
            ("out", Slider("output channels", 1, 512)), ("shortcut", Choice("shortcut", tuple(SHORTCUT_ARGUMENTS))))},
        "kernel_size": Slider("kernel", 1, 7), "side": Steps("image side", SIDES),
        "bias": Switch("bias"), "batch_norm": Switch("batch norm")}
    layout = (
        Line("Both blocks", ("bias", "batch_norm")),
        Columns((Column(("kernel_size",)), Column(("side",))), WIDTH),
        Columns(tuple(Column((*(f"{block}_{part}" for part in ("in", "width", "out", "shortcut")), block), heading)
                      for block, heading in (("basic", "Basic block"), ("bottleneck", "Bottleneck"))), WIDTH),
        "totals")

    @staticmethod
    def numbers(state):
        return Numbers(state, *count(state))

    @staticmethod
    def draw(numbers):
        state, *blocks = numbers
        basic, bottleneck = (block_diagram(block, widest(state)) for block in blocks)
        return {"basic": basic, "bottleneck": bottleneck, "totals": totals_table(*blocks)}

    @staticmethod
    def sentence(before, numbers):
        return " ".join(map(_sentence, (numbers.basic, numbers.bottleneck)))


def _sentence(block: BlockCount) -> str:
    if block.problem:  # the whole sentence stands on the picture; this line keeps its height
        return f"The {block.name} cannot run: it fails at the {block.problem.where}."
    return f"{block.name.capitalize()}: {block.parameters:,} parameters, {block.macs:,} MACs."
