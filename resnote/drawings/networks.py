"""A whole network, stage by stage: the maps to scale, and where parameters, work and memory are."""

from __future__ import annotations

from typing import NamedTuple

from resnote.counting import BYTES_PER_VALUE, bytes_of
from resnote.drawings.kit import INK, MUTED, NEUTRAL, POINTWISE, SPATIAL, WIDTH, Drawing, svg_text
from resnote.resnets import NetworkCount
from resnote.text import format_bytes, format_macs, format_shape, percent

ROW, _TOP = 62, 52
HEIGHT = _TOP + 7 * ROW + 8                 # the image, a stem, four stages, a head
_TALLEST, _LONGEST, _LEFT, _TEXT = 46, 190, 12, 226
_BAR_LEFT, _BAR_LONGEST = 138, 150
SHARES = (("parameters", POINTWISE), ("MACs", SPATIAL), ("memory", NEUTRAL))


class Part(NamedTuple):
    """A row of both pictures: a part of the network, its output, and its parameters, MACs and bytes kept in training."""

    name: str
    output: tuple[int, int, int]
    words: str
    parameters: int
    macs: int
    saved: int


def parts_of(network: NetworkCount) -> list[Part]:
    """The image, the stem, the stages and the head."""
    rows = [Part("image", network.input, "", 0, 0, bytes_of(network.input)),
            Part("stem", network.stem[-1].output, "", sum(row.parameters for row in network.stem), sum(row.macs for row in network.stem),
                 network.stem_saved)]
    for number, stage in enumerate(network.stages, start=1):
        blocks = "1 block" if stage.number == 1 else f"{stage.number} blocks"
        field = stage.receptive_field
        rows.append(Part(f"stage {number}", stage.output, f"{blocks}, sees {field} × {field} pixels", stage.parameters, stage.macs,
                         stage.saved_for_backward))
    head = network.head
    return [*rows, Part("head", head[-1].output, "mean, linear layer", head[-1].parameters, head[-1].macs, head[0].output[0] * BYTES_PER_VALUE)]


def network_maps(network: NetworkCount) -> Drawing:
    """Each part's output as a rectangle: as long as it has channels, as tall as its maps, both to scale."""
    parts = parts_of(network)
    tallest = max(network.input[1:])
    longest = max(part.output[0] for part in parts)
    rows = [svg_text(_LEFT, 20, "Maps", size=15, weight="bold"),
            svg_text(_LEFT, 36, f"height: map height; length: channels, up to {longest:,}", size=12, colour=MUTED)]
    for number, part in enumerate(parts):
        middle = _TOP + ROW * number + ROW / 2
        channels, height, _ = part.output
        tall, long = max(_TALLEST * height / tallest, 1), max(_LONGEST * channels / longest, 1)
        rows.append(f'<rect x="{_LEFT}" y="{middle - tall / 2:.1f}" width="{long:.1f}" height="{tall:.1f}" fill="{POINTWISE}" '
                    f'stroke="{INK}" stroke-width="0.8"/>')
        words = f"{channels:,} scores" if part.name == "head" else format_shape(part.output)
        rows.append(svg_text(_TEXT, middle - (4 if part.words else -4), f"{part.name}: ", size=13, bold_end=words))
        if part.words:
            rows.append(svg_text(_TEXT, middle + 13, part.words, size=12, colour=MUTED))
    return Drawing("".join(rows), describe_maps(network, parts), WIDTH, HEIGHT)


def network_shares(network: NetworkCount) -> Drawing:
    """Each part's parameters, multiply-accumulates and memory in training, as bars: shares of the network's totals."""
    parts = parts_of(network)
    totals = network.parameters, network.macs, network.saved_for_backward
    rows = [svg_text(8, 20, "Where they are: parameters, work, memory", size=15, weight="bold"),
            svg_text(8, 36, "share of the network's total; memory: kept in training, one image", size=12, colour=MUTED)]
    bars = {kind: "" for kind, _ in SHARES}
    for number, part in enumerate(parts):
        top = _TOP + ROW * number
        rows.append(svg_text(8, top + 8, part.name, size=13, weight="bold"))
        written = f"{part.parameters:,}", format_macs(part.macs), format_bytes(part.saved)
        for line, ((kind, _), value, total, words) in enumerate(zip(SHARES, part[3:], totals, written)):
            y = top + 17 * line
            long = max(_BAR_LONGEST * value / total, 0.5)
            rows.append(svg_text(_BAR_LEFT - 6, y + 8, kind, size=11, anchor="end", colour=MUTED))
            if value:
                bars[kind] += f"M{_BAR_LEFT},{y - 2}h{long:.1f}v12H{_BAR_LEFT}z"
                rows.append(svg_text(_BAR_LEFT + long + 6, y + 8, f"{words}, ", size=12, bold_end=percent(value / total)))
            else:
                rows.append(svg_text(_BAR_LEFT, y + 8, "none", size=12, colour=MUTED))
    drawn = [f'<path d="{bars[kind]}" fill="{colour}" stroke="{INK}" stroke-width="0.5"/>' for kind, colour in SHARES]
    return Drawing("".join(rows + drawn), describe_shares(network, parts), WIDTH, HEIGHT)


def describe_maps(network: NetworkCount, parts: list[Part]) -> str:
    """The maps of the network's parts in words."""
    return f"{network.name}: " + "; ".join(
        f"{part.name} {format_shape(part.output)}{f', {part.words}' if part.words else ''}" for part in parts) + "."


def describe_shares(network: NetworkCount, parts: list[Part]) -> str:
    """The shares of the network's parts in words."""
    return f"{network.name}, shares of parameters, multiply–accumulates and memory in training: " + "; ".join(
        f"{part.name} {percent(part.parameters / network.parameters)}, {percent(part.macs / network.macs)}, "
        f"{percent(part.saved / network.saved_for_backward)}" for part in parts) + "."
