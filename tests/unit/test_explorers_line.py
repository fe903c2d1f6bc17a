"""Lesson 00's explorer draws the line that its numbers say."""

import pytest
from controls import coordinate, drawn, images, live, parse, points, positions, still, texts, words

from resnote.explorers import LineExplorer, line
from resnote.explorers.line import State


pytestmark = pytest.mark.subject("LineExplorer", needs=["explorers"])


@pytest.mark.parametrize("state", [State(slope, shift) for slope in range(-5, 6) for shift in (-5, -1, 0, 4)])
def test_the_drawn_line_has_the_slope_and_the_shift(state):
    drawing = drawn(line.chart(state))
    left, top, width, height = (coordinate(next(drawing.iter("rect")), name) for name in ("x", "y", "width", "height"))
    (x0, y0), (x1, y1) = points(next(drawing.iter("polyline")))
    unit = width / 20                                                      # the frame reaches from −10 to 10
    assert (y0 - y1) / (x1 - x0) == pytest.approx(state.slope) and (x0, x1) == (left, left + width)
    assert (y0 + y1) / 2 == top + height / 2 - unit * state.shift
    assert line.equation(state) in texts(drawing) and words(next(drawing.iter("title"))) == line.describe_line(state)


@pytest.mark.parametrize("state, words", [(State(2, -1), "y = 2 · x − 1: it rises"), (State(-3, 4), "y = −3 · x + 4: it falls"),
                                          (State(0, 2), "is level, and meets the y axis at 2.")])
def test_the_line_is_described_in_words(state, words):
    assert words in line.describe_line(state)


@pytest.mark.parametrize("state, equation", [(State(), "y = 1 · x + 0"), (State(-2, -5), "y = −2 · x − 5"), (State(0, 3), "y = 0 · x + 3")])
def test_the_equation_is_written_with_its_signs(state, equation):
    assert line.equation(state) == equation


def test_the_presets_are_what_their_names_say():
    words = {name: line.describe_line(state) for name, state in line.PRESETS.items()}
    assert "it rises" in words["Rising"] and "it falls" in words["Falling"] and "it is level" in words["Flat"] and len(words) == 3
    assert LineExplorer().lab.state == State(slope=1, shift=0)


def test_every_position_draws_and_the_sentence_says_what_moved():
    explorer = LineExplorer()
    for name in ("slope", "shift"):
        assert positions(explorer.lab.controls[name]) == list(range(-5, 6))
        for value in positions(explorer.lab.controls[name]):
            explorer.lab.controls[name].value = value
            assert getattr(explorer.lab.state, name) == value
            assert line.equation(explorer.lab.state) in texts(parse(explorer.lab.views["line"].value))
    assert "Shift: from 4 to 5." in live(explorer)
    (alt, _), = images(still(explorer))
    assert alt.startswith("A straight line") and not list(still(explorer).iter("svg"))
