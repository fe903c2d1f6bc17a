"""Lesson 00's explorer, to learn how explorers work: a straight line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from resnote.drawings.kit import INK, MUTED, WIDTH, Drawing, svg_text
from resnote.explorers.base import Column, Columns, Explorer, Slider

HEIGHT, UNIT = 270, 20                      # pixels; one unit of x or y is 20


@dataclass(frozen=True)
class State:
    """y = slope · x + shift, both from −5 to 5."""

    slope: int = 1
    shift: int = 0


class Numbers(NamedTuple):
    """A line is drawn from its state alone."""

    state: State


PRESETS = {"Rising": State(), "Falling": State(-2, 3), "Flat": State(0, 2)}


def chart(state: State) -> Drawing:
    """The line in a frame that reaches from −10 to 10 and from −5 to 5; what leaves the frame is cut off."""
    left, top, width, height = 35, 30, 20 * UNIT, 10 * UNIT
    x, y = left + width / 2, top + height / 2
    axes = (f'<path d="M{left},{y} h{width} M{x},{top} v{height}" stroke="{MUTED}"/>'
            f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="{MUTED}" stroke-width="0.5"/>'
            + svg_text(left + width - 4, y - 6, "x", size=12, anchor="end", colour=MUTED)
            + svg_text(x + 6, top + 14, "y", size=12, colour=MUTED))
    ends = [(_x, state.slope * _x + state.shift) for _x in (-10, 10)]
    points = " ".join(f"{x + UNIT * a},{y - UNIT * b}" for a, b in ends)
    line = (f'<svg x="{left}" y="{top}" width="{width}" height="{height}" viewBox="{left} {top} {width} {height}">'
            f'<polyline points="{points}" fill="none" stroke="#0072B2" stroke-width="3"/>'
            f'<circle cx="{x}" cy="{y - UNIT * state.shift}" r="5" fill="{INK}"/></svg>')
    head = svg_text(left, 20, equation(state), size=14, weight="bold")
    return Drawing(axes + line + head, describe_line(state), WIDTH, HEIGHT)


def equation(state: State) -> str:
    return f"y = {state.slope} · x {'+' if state.shift >= 0 else '−'} {abs(state.shift)}".replace("-", "−")


def describe_line(state: State) -> str:
    """The picture in words."""
    way = "rises" if state.slope > 0 else "falls" if state.slope < 0 else "is level"
    return f"A straight line, {equation(state)}: it {way}, and meets the y axis at {state.shift}.".replace("-", "−")


class LineExplorer(Explorer):
    """A straight line: slope and shift.

    Parameters
    ----------
    preset : name of one of `PRESETS`; the rising line by default
    """

    State, presets = State, PRESETS
    controls = {"slope": Slider("slope", -5, 5), "shift": Slider("shift", -5, 5)}
    layout = (Columns((Column(("slope", "shift", "line")),), WIDTH),)

    @staticmethod
    def numbers(state):
        return Numbers(state)

    @staticmethod
    def draw(numbers):
        return {"line": chart(numbers.state)}

    @staticmethod
    def sentence(before, numbers):
        return describe_line(numbers.state)
