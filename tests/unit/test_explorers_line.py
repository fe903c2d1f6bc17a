"""Lesson 00's explorer draws the line that its numbers say."""

import re

import pytest
from controls import positions

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


@pytest.mark.parametrize("state, equation", [(State(), "y = 1 · x + 0"), (State(-2, -5), "y = −2 · x − 5"), (State(0, 3), "y = 0 · x + 3")])
def test_the_equation_is_written_with_its_signs(state, equation):
    assert line.equation(state) == equation


def test_the_presets_are_what_their_names_say():
    words = {name: line.describe(state) for name, state in line.PRESETS.items()}
    assert "it rises" in words["Rising"] and "it falls" in words["Falling"] and "it is level" in words["Flat"] and len(words) == 3
    assert LineExplorer().state == State(slope=1, shift=0)


def test_every_position_draws_and_the_sentence_says_what_moved():
    explorer = LineExplorer()
    for name in ("slope", "shift"):
        assert positions(explorer.controls[name]) == list(range(-5, 6))
        for value in positions(explorer.controls[name]):
            explorer.controls[name].value = value
            assert getattr(explorer.state, name) == value
            assert line.equation(explorer.state) in explorer.views["line"].value
    assert "Shift: from 4 to 5." in explorer.views["live"].value
    still = explorer._repr_mimebundle_()["text/html"]
    assert "<svg" not in still and '<img alt="A straight line' in still
