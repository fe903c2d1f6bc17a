"""Running statistics on their way to the population's, and what each mode gets right, in two charts.

The axes are fixed, so that a curve moves and its frame does not: values outside the frame are drawn at its edge.
"""

from __future__ import annotations

from typing import NamedTuple

from resnote.drawings.kit import INK, MUTED, WIDTH, Drawing, legend, svg_text
from resnote.text import number, percent

HEIGHT = 350
RUNNING, EACH, BAR = "#D55E00", "#3A97D4", "#3A97D4"
_LEFT, _RIGHT, _TALL = 48, 448, 100
_TOPS = 54, 184                        # of the two frames
_BAR_LEFT, _BAR_WIDTH, _ROW_TOP, _ROW = 16, 300, 52, 84


class Walk(NamedTuple):
    """One statistic by batch number.

    ``running`` and ``population`` start before the first batch, ``batches`` at the first; ``axis`` gives
    the bottom, a middle and the top of the frame.
    """

    name: str
    axis: tuple[float, float, float]
    batches: list[float]
    running: list[float]
    population: list[float]


class Mode(NamedTuple):
    """A way to predict, how it comes to its statistics, and how many of the test images it gets right."""

    name: str
    statistics: str
    right: int


def walk_chart(title: str, walks: tuple[Walk, Walk], last: int) -> Drawing:
    """Two frames, one above the other, over 0 to ``last`` batches."""
    frames = "".join(_frame(walk, top, last) for walk, top in zip(walks, _TOPS))
    bottom = _TOPS[1] + _TALL
    ticks = "".join(svg_text(_x(n, last), bottom + 16, str(n), size=11, anchor="middle", colour=MUTED)
                    for n in range(0, last + 1, last // 4))
    foot = svg_text((_LEFT + _RIGHT) / 2, bottom + 30, "batches seen", size=11, anchor="middle", colour=MUTED)
    return Drawing(svg_text(8, 20, title, size=14, weight="bold") + frames + ticks + foot + _legend(),
                   describe_walks(title, walks), WIDTH, HEIGHT)


def mode_bars(title: str, modes, images: int, guessing: float) -> Drawing:
    """A bar for each mode, the share of ``images`` that it gets right; ``guessing`` is marked by a line."""
    rows, x = [], _BAR_LEFT + _BAR_WIDTH * guessing
    dashed = f'stroke="{INK}" stroke-width="1.5" stroke-dasharray="4 3"'
    for n, mode in enumerate(modes):
        y, share = _ROW_TOP + _ROW * n, mode.right / images
        rows.append(
            svg_text(_BAR_LEFT, y, mode.name, size=13, weight="bold")
            + svg_text(_BAR_LEFT, y + 17, mode.statistics, size=12, colour=MUTED)
            + f'<rect x="{_BAR_LEFT}" y="{y + 26}" width="{_BAR_WIDTH}" height="24" fill="none" stroke="{MUTED}"/>'
            + f'<rect x="{_BAR_LEFT}" y="{y + 26}" width="{_BAR_WIDTH * share:.1f}" height="24" fill="{BAR}"/>'
            + f'<path d="M{x:.1f},{y + 22} v32" {dashed}/>'
            + svg_text(454, y + 43, f"{mode.right} of {images}: ", size=13, anchor="end", bold_end=percent(share)))
    ticks = "".join(svg_text(_BAR_LEFT + _BAR_WIDTH * share, _ROW_TOP + _ROW * len(modes) - 2, percent(share), size=11,
                             anchor="middle" if share else "start", colour=MUTED) for share in (0, 0.5, 1))
    dash = f'<path d="M0,{HEIGHT - 18} h16" {dashed}/>'
    key = legend([(dash, f"guessing, {percent(guessing)}", 0)], _BAR_LEFT, HEIGHT - 14)
    return Drawing(svg_text(8, 20, title, size=14, weight="bold") + "".join(rows) + ticks + key,
                   describe_modes(title, modes, images), WIDTH, HEIGHT)


def describe_walks(title, walks) -> str:
    """The chart in words."""
    return f"{title}, after {len(walks[0].running) - 1} batches: " + "; ".join(
        f"running {walk.name} {number(walk.running[-1])}, the population's {number(walk.population[-1])}" for walk in walks)


def describe_modes(title, modes, images) -> str:
    """The bars in words."""
    return f"{title}: " + "; ".join(f"{mode.name}, {mode.statistics}, {mode.right} of {images}" for mode in modes)


def _frame(walk, top, last) -> str:
    low, _, high = walk.axis
    right, down = (_RIGHT - _LEFT) / last, _TALL / (high - low)        # pixels for a batch, and for a unit

    def place(n, value):                # called for every point, so it is short
        value = low if value < low else high if value > high else value
        return f"{_LEFT + right * n:.1f},{top + down * (high - value):.1f}"

    numbers = f"running {number(walk.running[-1])}, the population's {number(walk.population[-1])}"
    head = (svg_text(_LEFT, top - 7, walk.name, size=12, weight="bold")
            + svg_text(_RIGHT, top - 7, numbers, size=12, anchor="end"))
    scale = "".join(
        svg_text(_LEFT - 6, top + down * (high - value) + 4, number(value, 0), size=11, anchor="end", colour=MUTED)
        + f'<path d="M{place(0, value)} H{_RIGHT}" stroke="{MUTED}" stroke-width="0.3"/>' for value in walk.axis)
    dots = "".join(f"M{place(n, value)}h0" for n, value in enumerate(walk.batches, start=1))
    lines = [" ".join(place(n, value) for n, value in enumerate(values)) for values in (walk.population, walk.running)]
    x, y = place(len(walk.running) - 1, walk.running[-1]).split(",")
    return (f'<rect x="{_LEFT}" y="{top}" width="{_RIGHT - _LEFT}" height="{_TALL}" fill="none" stroke="{MUTED}"/>'
            f'{head}{scale}<path d="{dots}" stroke="{EACH}" stroke-width="4" stroke-linecap="round"/>'
            f'<polyline points="{lines[0]}" fill="none" stroke="{INK}" stroke-width="1.5" stroke-dasharray="6 4"/>'
            f'<polyline points="{lines[1]}" fill="none" stroke="{RUNNING}" stroke-width="2.5"/>'
            f'<circle cx="{x}" cy="{y}" r="5" fill="{RUNNING}" stroke="{INK}"/>')


def _x(number, last) -> float:
    return _LEFT + (_RIGHT - _LEFT) * number / last


def _legend() -> str:
    y = HEIGHT - 14
    line = f'<path d="M0,{y - 4} h16" stroke="{RUNNING}" stroke-width="2.5"/>'
    dot = f'<path d="M8,{y - 4} h0" stroke="{EACH}" stroke-width="5" stroke-linecap="round"/>'
    dashes = f'<path d="M0,{y - 4} h16" stroke="{INK}" stroke-width="1.5" stroke-dasharray="6 4"/>'
    return legend([(line, "running", 92), (dot, "one batch", 104), (dashes, "population: all training images", 0)],
                  _LEFT, y)
