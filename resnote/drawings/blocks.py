"""A residual block, drawn from its count."""

from __future__ import annotations

import textwrap

from resnote.counting import BlockCount, Row
from resnote.drawings.kit import INK, MUTED, NEUTRAL, ON_COLOUR, PAPER, POINTWISE, SPATIAL, WIDTH, WRONG, Drawing, svg_text
from resnote.text import format_macs, format_shape

HEIGHT = 434
_CENTRE, _BAR, _WIDEST = 140, 8, 180   # feature maps: middle, thickness, width of the widest
_TOP, _FX, _ADD, _OUT = 38, 286, 316, 346
_TEXT, _RAIL = 246, 28                 # left edge of the right column; x of the shortcut's line


def block_diagram(block: BlockCount, widest: int) -> Drawing:
    """Draw one block from x at the top to its output, channels to scale.

    Parameters
    ----------
    block : the count to draw; where it has a problem, the place is marked and the sentence shown
    widest : number of channels that fills the width, so that two blocks share one scale
    """
    convs = [row for row in block.residual if row.kind == "conv"]
    pitch = (_FX - _TOP) / len(convs)
    scale = _WIDEST / widest
    where = block.problem.where if block.problem else None

    shapes = [_shortcut(block, scale, where)]
    labels = []
    channels, y = block.input[0], _TOP
    labels.append(svg_text(_TEXT, y + 8, f"x: {format_shape(block.input)}", size=12, colour=MUTED))
    for number, row in enumerate(convs, start=1):
        below = _TOP + pitch * number
        bad = where == "kernel" and kernel_of(row) == _spatial(convs)
        shapes.append(_convolution(row, channels * scale, row.output[0] * scale, y + _BAR, below, bad))
        labels.append(_conv_labels(block, row, channels, (y + below) / 2 + 4))
        channels, y = row.output[0], below
        note = "F(x): " if number == len(convs) else "after ReLU: "
        labels.append(svg_text(_TEXT, y + 8, note + format_shape(row.output), size=12, colour=MUTED))
    for number, count in enumerate([block.input[0]] + [row.output[0] for row in convs]):
        shapes.append(_bar(count * scale, _TOP + pitch * number))
    shapes.append(_addition(block, scale, where))

    title = block.name.capitalize()
    head = (svg_text(8, 20, title, size=15, weight="bold")
            + svg_text(WIDTH - 8, 20, f"{block.parameters:,} parameters", size=15, weight="bold", anchor="end"))
    return Drawing(head + "".join(shapes) + "".join(labels) + _verdict(block), describe_block(block), WIDTH, HEIGHT)


def describe_block(block: BlockCount) -> str:
    """The picture in words, for those who cannot see it."""
    steps = [f"{block.name.capitalize()}: x has {block.input[0]} channels, {block.input[1]} by {block.input[2]}"]
    for row in block.residual:
        if row.kind == "conv":
            steps.append(f"{kernel_of(row)} convolution to {row.output[0]} channels, {row.parameters:,} parameters")
    steps.append(f"shortcut {_shortcut_words(block)}")
    if block.problem:
        return "; ".join(steps) + f"; resnote refuses it: {block.problem.message}"
    return ("; ".join(steps) + f"; output {format_shape(block.rows[-1].output)}. Total {block.parameters:,} "
            f"parameters, {block.macs:,} multiply–accumulates.")


def kernel_of(row: Row) -> str:
    """'3×3' from a convolution's formula."""
    height, width = row.formula.split("·")[:2]
    return f"{height}×{width}"


# --- parts -----------------------------------------------------------------------------------


def _stride(row: Row) -> str:
    """' /2' as the paper writes a stride of 2; nothing for stride 1."""
    return "" if row.stride == (1, 1) else f" /{row.stride[0]}"


def _bar(width, y) -> str:
    width = max(width, 2)
    return (f'<rect x="{_CENTRE - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_BAR}" rx="2" '
            f'fill="{INK}"/>')


def _convolution(row: Row, above, below, y1, y2, bad) -> str:
    """A trapezoid from the map above to the map below: the squeeze is seen as a squeeze."""
    above, below = max(above, 2) / 2, max(below, 2) / 2
    colour = POINTWISE if kernel_of(row) == "1×1" else SPATIAL
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (
        (_CENTRE - above, y1), (_CENTRE + above, y1), (_CENTRE + below, y2), (_CENTRE - below, y2)))
    edge = f' stroke="{WRONG}" stroke-width="3" stroke-dasharray="5 3"' if bad else ""
    mark = "✗ " if bad else ""
    return (f'<polygon points="{points}" fill="{colour}" fill-opacity="0.55"{edge}/>'
            + _pill(_CENTRE, (y1 + y2) / 2, mark + kernel_of(row) + _stride(row), colour))


def _conv_labels(block, row, in_channels, y) -> str:
    norm = next((r for r in block.residual if r.kind == "bn" and r.name[2:] == row.name[4:]), None)
    lines = [svg_text(_TEXT, y - 9, f"{row.formula} = ", size=12, bold_end=f"{row.parameters:,}"),
             svg_text(_TEXT, y + 7, f"{in_channels} → {row.output[0]} channels, {format_macs(row.macs)} MACs", size=12)]
    if norm:
        lines.append(svg_text(_TEXT, y + 23, f"batch norm: {norm.formula} = {norm.parameters:,}", size=12))
    return "".join(lines)


def _shortcut(block, scale, where) -> str:
    """The line that carries x around F(x), and what stands on it."""
    bad = where == "shortcut"
    colour = WRONG if bad else INK
    start = _CENTRE - max(block.input[0] * scale, 2) / 2
    dash = ' stroke-dasharray="5 3"' if bad else ""
    line = (f'<path d="M{start:.1f},{_TOP + _BAR / 2} H{_RAIL} V{_ADD} H{_CENTRE - 13}" fill="none" '
            f'stroke="{colour}" stroke-width="2"{dash}/>')
    middle = (_TOP + _ADD) / 2
    if bad:
        return line + _pill(_RAIL, middle, "✗", WRONG)
    convs = [row for row in block.shortcut if row.kind == "conv"]
    if convs:
        return line + _pill(_RAIL, middle, kernel_of(convs[0]),
                            POINTWISE if kernel_of(convs[0]) == "1×1" else SPATIAL)
    if block.shortcut:
        return line + _pill(_RAIL, middle, "+ 0s", NEUTRAL)
    return line


def _addition(block, scale, where) -> str:
    """F(x) meets the shortcut; below it the output, unless nothing can come out."""
    bad = where == "add"
    colour, sign = (WRONG, "✗") if bad else (INK, "+")
    stem = f'<path d="M{_CENTRE},{_FX + _BAR} V{_ADD - 12}" stroke="{INK}" stroke-width="2"/>'
    circle = (f'<circle cx="{_CENTRE}" cy="{_ADD}" r="12" fill="{PAPER}" stroke="{colour}" stroke-width="2.5"/>'
              + svg_text(_CENTRE, _ADD + 5, sign, size=16, weight="bold", anchor="middle"))
    stride = _stride(block.shortcut[0]) if block.shortcut else ""
    words = "".join(svg_text(_TEXT, _ADD + 15 * i, line, size=12)
                    for i, line in enumerate(textwrap.wrap(f"shortcut{stride}: {_shortcut_words(block)}", 34)))
    if block.problem:
        return stem + circle + words + svg_text(_TEXT, _OUT + 8, "no output", size=12, colour=MUTED)
    out = block.rows[-1].output
    return (stem + circle + words
            + f'<path d="M{_CENTRE},{_ADD + 12} V{_OUT}" stroke="{INK}" stroke-width="2"/>'
            + _bar(out[0] * scale, _OUT)
            + svg_text(_TEXT, _OUT + 8, f"after ReLU: {format_shape(out)}", size=12, colour=MUTED))


def _shortcut_words(block) -> str:
    if block.problem and block.problem.where == "shortcut":
        return "fails"
    counted = [row for row in block.shortcut if row.formula]
    if counted:
        return " + ".join(row.formula for row in counted) + f" = {sum(r.parameters for r in counted):,}"
    return "zeros added" if block.shortcut else "identity, no parameters"


def _verdict(block) -> str:
    if block.problem:
        mark, colour, message = "✗", WRONG, block.problem.message
    else:
        mark, colour = "✓", MUTED
        message = f"F(x) and the shortcut match: {format_shape(block.rows[-1].output)}."
    lines = textwrap.wrap(message, 58)
    bar = f'<rect x="8" y="{HEIGHT - 67}" width="3" height="{15 * len(lines) + 2}" fill="{colour}"/>'
    return bar + svg_text(18, HEIGHT - 55, mark, size=13, weight="bold") + "".join(
        svg_text(36, HEIGHT - 55 + 15 * i, line, size=12) for i, line in enumerate(lines))


def _spatial(convs) -> str:
    return next((kernel_of(row) for row in convs if kernel_of(row) != "1×1"), "")


def _pill(x, y, words, colour) -> str:
    width = 9 * len(words) + 10
    return (f'<rect x="{x - width / 2:.1f}" y="{y - 10:.1f}" width="{width}" height="20" rx="10" fill="{colour}"/>'
            + svg_text(x, y + 4.5, words, size=13, weight="bold", anchor="middle", colour=ON_COLOUR))
