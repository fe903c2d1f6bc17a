"""Lesson 00's explorer draws the line that its numbers say."""

import re

import pytest

from resnote.explorers import LineExplorer, line
from resnote.explorers.line import State


@pytest.mark.parametrize("state", [State(slope, shift) for slope in range(-5, 6) for shift in (-5, -1, 0, 4)])
def test_the_drawn_line_has_the_slope_and_the_shift(state):
    drawing = line.chart(state)
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in re.search(r'points="(.*?)"', drawing)[1].split())
    assert (y0 - y1) / (x1 - x0) == pytest.approx(state.slope)
    assert (235 - x0, (y0 + y1) / 2) == (200, 130 - 20 * state.shift)      # the middle of the frame is (235, 130)
    assert line.equation(state) in drawing and line.describe(state) in drawing


@pytest.mark.parametrize("state, words", [(State(2, -1), "y = 2 · x − 1: it rises"), (State(-3, 4), "y = −3 · x + 4: it falls"),
                                          (State(0, 2), "is level, and meets the y axis at 2.")])
def test_the_line_is_described_in_words(state, words):
    assert words in line.describe(state)


def test_every_position_draws_and_the_sentence_says_what_moved():
    explorer = LineExplorer()
    for name in ("slope", "shift"):
        for value in range(-5, 6):
            explorer.controls[name].value = value
            assert getattr(explorer.state, name) == value
            assert line.equation(explorer.state) in explorer.views["line"].value
    assert "Shift: from 4 to 5." in explorer.views["live"].value
    still = explorer._repr_mimebundle_()["text/html"]
    assert "<svg" not in still and '<img alt="A straight line' in still
