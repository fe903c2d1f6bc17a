"""A line chart over layers.

The axes are fixed, so that a curve moves and its frame does not: a value outside the frame is drawn at its edge, as an arrow.
"""

from __future__ import annotations

import math
from functools import cache

from resnote.drawings.kit import INK, MUTED, WIDTH, Drawing, svg_text
from resnote.text import SMALLEST, power_of_ten, sci

HEIGHT = 270
LOW, HIGH = SMALLEST, 6                    # decades on the axis
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 456, 40, 232


def layer_chart(values, title: str, *, layers: int, colour: str, arrow: str = "→") -> Drawing:
    """One value a layer on a logarithmic axis, 10⁻¹² to 10⁶.

    Parameters
    ----------
    values : one positive number a layer, from the input to the output; 0 and inf are drawn at the edge
    layers : what the horizontal axis ends at, whatever the number of values
    arrow : "→" for what travels forward, "←" for what travels back
    """
    places = [(_x(n, layers), _y(value), value) for n, value in enumerate(values, start=1)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    dots = "".join(f"M{x:.1f},{y:.1f}h0" for x, y, value in places if _inside(value))
    arrows = "".join(_arrow(x, y, value) for x, y, value in places if not _inside(value))
    head = (svg_text(8, 20, title, size=14, weight="bold")
            + svg_text(_RIGHT, 20, f"{sci(values[0])} {arrow} {sci(values[-1])}", size=12, anchor="end"))
    curve = (f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
             f'<path d="{dots}" stroke="{colour}" stroke-width="5" stroke-linecap="round"/><path d="{arrows}" fill="{INK}"/>')
    return Drawing(_frame(layers) + curve + head, describe_layers(values, title), WIDTH, HEIGHT)


def describe_layers(values, title: str) -> str:
    """The chart in words."""
    return (f"{title}, layer 1 to {len(values)}: {sci(values[0])} at the first, {sci(values[len(values) // 2])} in the "
            f"middle, {sci(values[-1])} at the last.")


@cache
def _frame(layers) -> str:
    """The grid and the words of both axes."""
    grid = "".join(
        f'<path d="M{_LEFT},{_axis(p):.1f} H{_RIGHT}" stroke="{MUTED}" stroke-width="{1 if p == 0 else 0.3}"/>'
        + svg_text(_LEFT - 6, _axis(p) + 4, power_of_ten(p), size=11, anchor="end", colour=MUTED)
        for p in range(LOW, HIGH + 1, 3))
    ticks = "".join(svg_text(_x(n, layers), _BOTTOM + 18, str(n), size=11, anchor="middle", colour=MUTED)
                    for n in (1, *range(10, layers + 1, 10)))
    return grid + ticks + svg_text((_LEFT + _RIGHT) / 2, HEIGHT - 4, "layer", size=11, anchor="middle", colour=MUTED)


def _x(layer, layers) -> float:
    return _LEFT + 8 + (_RIGHT - _LEFT - 16) * (layer - 1) / max(1, layers - 1)


def _axis(exponent) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * (exponent - LOW) / (HIGH - LOW)


def _y(value) -> float:
    exponent = math.log10(value) if 0 < value < math.inf else (HIGH if value else LOW)
    return _axis(min(max(exponent, LOW), HIGH))


def _inside(value) -> bool:
    """Whether the value has a dot in the frame, and not an arrow at its edge."""
    return 10.0**LOW <= value <= 10.0**HIGH


def _arrow(x, y, value) -> str:
    tip = 5 if value < 1 else -5
    return f"M{x - 4:.1f},{y - tip:.1f} h8 L{x:.1f},{y + tip:.1f} z"
