"""A batch of values as a histogram, with the activation that they meet.

The axis is fixed, so that the values move and their frame does not: values outside the frame are counted at its edge.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from functools import cache
from math import floor
from typing import NamedTuple

from resnote.drawings.kit import INK, MUTED, WIDTH, Drawing, legend, svg_text
from resnote.text import percent

HEIGHT = 338
LOW, HIGH, BIN = -10, 10, 0.5          # of the horizontal axis
BARS, CURVE, ZONE = "#3A97D4", "#D55E00", "#009E73"
_LEFT, _RIGHT, _TOP, _CEILING, _BOTTOM = 48, 438, 70, 96, 256


class Curve(NamedTuple):
    """An activation to draw: its points (z, 0 at the bottom to 1 at the top), and the zone to shade.

    ``ends`` are the values that bottom and top stand for.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    ends: tuple[str, str]
    zone: tuple[float, float]
    zone_name: str


class BatchChart(NamedTuple):
    """What a picture of one batch shows.

    ``facts`` are two lines under the title; ``first`` is what to call the batch's first value, which is marked;
    ``problem`` is a sentence to stand in the frame in place of a batch that cannot be drawn.
    """

    title: str
    facts: tuple[str, str]
    values: Sequence[float]
    first: str
    curve: Curve
    problem: str = ""


def batch_chart(chart: BatchChart) -> Drawing:
    """The batch from −10 to 10, in bars of width ½ and one by one below them, with the activation over it.

    The tallest bar always has the same height, and its share of the batch stands beside it.
    """
    head = svg_text(8, 20, chart.title, size=14, weight="bold") + "".join(
        svg_text(8, y, line, size=12) for y, line in zip((40, 58), chart.facts))
    ticks = "".join(svg_text(_x(z), _BOTTOM + 30, f"{z}".replace("-", "−"), size=11, anchor="middle", colour=MUTED)
                    for z in range(LOW, HIGH + 1, 2))
    inside = (_sentence(chart.problem) if chart.problem else
              _zone(chart.curve) + _bars(chart.values) + _curve(chart.curve) + _first(chart.values[0]))
    frame = f'<path d="M{_LEFT},{_TOP} V{_BOTTOM} H{_RIGHT} V{_TOP}" fill="none" stroke="{MUTED}"/>'
    return Drawing(head + inside + frame + ticks + _legend(chart.curve, chart.first), describe_batch(chart), WIDTH, HEIGHT)


def describe_batch(chart: BatchChart) -> str:
    """The chart in words."""
    return f"{chart.title}: {chart.problem or '; '.join(chart.facts) + '.'}"


def _x(z) -> float:
    return _LEFT + (_RIGHT - _LEFT) * (min(max(z, LOW), HIGH) - LOW) / (HIGH - LOW)


def _y(share) -> float:
    return _BOTTOM - (_BOTTOM - _CEILING) * share


def _bars(values) -> str:
    """Bars around the multiples of ½, what lies outside as a count at the edge, and a tick for each value."""
    inside = [z for z in values if LOW <= z <= HIGH]
    counts = Counter(floor(z / BIN + 0.5) for z in inside)
    tallest = max(counts.values(), default=1)
    bars = "".join(
        f'<rect x="{_x(place * BIN - BIN / 2) + 0.5:.1f}" y="{_y(count / tallest):.1f}" '
        f'width="{_x(place * BIN + BIN / 2) - _x(place * BIN - BIN / 2) - 1:.1f}" '
        f'height="{_BOTTOM - _y(count / tallest):.1f}" fill="{BARS}"/>'
        for place, count in sorted(counts.items()))
    right = (_RIGHT - _LEFT) / (HIGH - LOW)                 # pixels for a unit
    each = "".join([f"M{_LEFT + right * (z - LOW):.1f},{_BOTTOM + 4}v9" for z in inside])
    scale = svg_text(_LEFT - 5, _CEILING + 4, percent(tallest / len(values)) if inside else "", size=11, anchor="end",
                     colour=MUTED)
    below, above = sum(z < LOW for z in values), sum(z > HIGH for z in values)
    return (bars + f'<path d="{each}" stroke="{BARS}"/>' + scale
            + (svg_text(_LEFT + 5, _TOP + 14, f"◂ {below} outside", size=12) if below else "")
            + (svg_text(_RIGHT - 5, _TOP + 14, f"{above} outside ▸", size=12, anchor="end") if above else ""))


def _zone(curve) -> str:
    left, right = map(_x, curve.zone)
    return (f'<rect x="{left:.1f}" y="{_CEILING - 6}" width="{right - left:.1f}" height="{_BOTTOM - _CEILING + 6}" '
            f'fill="{ZONE}" fill-opacity="0.18" stroke="{ZONE}" stroke-dasharray="4 3"/>'
            + svg_text(min((left + right) / 2, _x(3)), _TOP + 14, curve.zone_name, size=12, anchor="middle"))


@cache
def _curve(curve) -> str:
    line = " ".join(f"{_x(z):.1f},{_y(height):.1f}" for z, height in curve.points)
    return (f'<polyline points="{line}" fill="none" stroke="{CURVE}" stroke-width="2.5"/>'
            + "".join(svg_text(_RIGHT + 6, _y(height) + 4, end, size=11, colour=MUTED)
                      for height, end in enumerate(curve.ends)))


def _first(z) -> str:
    """A triangle under the axis; outside the frame it stands at the edge and points outwards."""
    x, y = _x(z), _BOTTOM + 4
    shape = "l-5,10 h10 z" if LOW <= z <= HIGH else ("l10,-5 v10 z" if z < LOW else "l-10,-5 v10 z")
    return f'<path d="M{x:.1f},{y if LOW <= z <= HIGH else y + 5} {shape}" fill="{INK}"/>'


def _sentence(problem) -> str:
    return "".join(svg_text(_LEFT + 16, _TOP + 40 + 19 * n, line, size=13)
                   for n, line in enumerate(textwrap.wrap(problem, 50)))


def _legend(curve, first) -> str:
    y = HEIGHT - 14
    box = f'<rect x="0" y="{y - 9}" width="12" height="10" fill="{{}}" {{}}/>'
    marks = ((box.format(BARS, ""), "the batch", 92),
             (f'<path d="M0,{y - 4} h14" stroke="{CURVE}" stroke-width="2.5"/>', curve.name, 92),
             (box.format(ZONE, f'fill-opacity="0.18" stroke="{ZONE}" stroke-dasharray="4 3"'), curve.zone_name, 118),
             (f'<path d="M6,{y - 9} l-5,10 h10 z" fill="{INK}"/>', f"its first value, {first}", 0))
    return legend(marks, _LEFT, y)
