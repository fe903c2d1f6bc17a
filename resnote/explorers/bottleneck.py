"""Lesson 03's explorer: a basic block and a bottleneck side by side, drawn to one scale."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import ipywidgets as widgets

from resnote import counting
from resnote.counting import BlockCount
from resnote.diagrams import WIDTH, as_image, block_diagram, describe
from resnote.explorers.base import Explorer, choice, columns, slider, steps, switch, what_moved
from resnote.explorers.names import GROUP
from resnote.tables import format_bytes

SHORTCUTS = {
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

CONTROL_LABELS = {
    "in": "input channels", "width": "width", "out": "output channels", "shortcut": "shortcut",
    "kernel_size": "kernel", "side": "image side", "bias": "bias", "batch_norm": "batch norm",
}


def count(state: State) -> tuple[BlockCount, BlockCount]:
    """Both blocks' counts; a block that cannot run carries its problem instead of raising."""
    shared = {"size": state.side, "kernel_size": state.kernel_size, "bias": state.bias,
              "batch_norm": state.batch_norm, "strict": False}
    return (
        counting.basic_block(state.basic_in, state.basic_width, state.basic_out,
                             **shared, **SHORTCUTS[state.basic_shortcut]),
        counting.bottleneck(state.bottleneck_in, state.bottleneck_width, state.bottleneck_out,
                            **shared, **SHORTCUTS[state.bottleneck_shortcut]),
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
    return (f'<div style="overflow-x:auto"><table class="resnote-totals" style="{TABLE_STYLE}">'
            f'<thead style="border-bottom:1px solid var(--jp-border-color1,#bbb)"><tr>{head}</tr></thead>'
            f'<tbody>{"".join(lines)}</tbody></table></div>')


class BottleneckExplorer(Explorer):
    """Basic block and bottleneck side by side: channels, kernel, image side, bias, BN, shortcut.

    Parameters
    ----------
    preset : name of one of `PRESETS`; the first, equal channels, by default
    """

    State, presets, parts = State, PRESETS, ("basic", "bottleneck", "totals")

    def make_controls(self):
        controls = {}
        for block in ("basic", "bottleneck"):
            for part in ("in", "width", "out"):
                controls[f"{block}_{part}"] = slider(CONTROL_LABELS[part], 1, 512)
            controls[f"{block}_shortcut"] = choice(CONTROL_LABELS["shortcut"], list(SHORTCUTS))
        controls["kernel_size"] = slider(CONTROL_LABELS["kernel_size"], 1, 7)
        controls["side"] = steps(CONTROL_LABELS["side"], SIDES)
        controls["bias"] = switch(CONTROL_LABELS["bias"])
        controls["batch_norm"] = switch(CONTROL_LABELS["batch_norm"])
        return controls

    def arrange(self, controls, views):
        """A column for each block, its controls above its drawing: in a narrow window one below the other."""
        blocks = [(widgets.HTML(f"<b>{name}</b>"),
                   *(controls[f"{block}_{part}"] for part in ("in", "width", "out", "shortcut")), views[block])
                  for block, name in (("basic", "Basic block"), ("bottleneck", "Bottleneck"))]
        both = columns([controls["kernel_size"]], [controls["side"]], width=WIDTH)
        switches = widgets.HBox([widgets.HTML("<b>Both blocks</b>"), controls["bias"], controls["batch_norm"]])
        both_blocks = columns(*blocks, width=WIDTH)
        for column in both_blocks.children:
            column.add_class(GROUP)
        return widgets.VBox([switches, both, both_blocks, views["totals"]])

    def picture(self, state):
        basic, bottleneck = blocks = count(state)
        scale = widest(state)
        return {"basic": block_diagram(basic, scale), "bottleneck": block_diagram(bottleneck, scale),
                "totals": totals_table(*blocks)}

    def still(self, state):
        blocks, scale = count(state), widest(state)
        pictures = "".join(as_image(block_diagram(block, scale, standalone=True), describe(block))
                           for block in blocks)
        return f"<div>{pictures}</div>{totals_table(*blocks)}<p>{escape(self.says(None, state))}</p>"

    def says(self, before, state):
        return what_moved(_NAMES, before, state) + " ".join(map(_sentence, count(state)))


def _sentence(block: BlockCount) -> str:
    if block.problem:  # the whole sentence stands on the picture; this line keeps its height
        return f"The {block.name} cannot run: it fails at the {block.problem.where}."
    return f"{block.name.capitalize()}: {block.parameters:,} parameters, {block.macs:,} MACs."


# The controls' labels, and of which block where there are two of the name.
_NAMES = CONTROL_LABELS | {f"{block}_{part}": f"{block}, {CONTROL_LABELS[part]}"
                           for block in ("basic", "bottleneck") for part in ("in", "width", "out", "shortcut")}
