"""A layer chart stands upright, its ticks name the layers they stand under, its arrows point out of the frame."""

import pytest
from controls import coordinate, drawn, points, strokes, texts

from resnote.drawings.layers import layer_chart


pytestmark = pytest.mark.subject("SignalExplorer", needs=["explorers"])


def chart(values, layers=60, **how):
    return drawn(layer_chart(values, "t", layers=layers, colour="#000", **how))


def curve(drawing):
    line, = drawing.iter("polyline")
    return points(line)


@pytest.mark.parametrize("power, label", [(-12, "10⁻¹²"), (-9, "10⁻⁹"), (-6, "10⁻⁶"), (-3, "10⁻³"), (0, "1"), (3, "10³"), (6, "10⁶")])
def test_a_value_stands_at_the_line_that_bears_its_name(power, label):
    svg = chart([10.0**power])
    (_, y), = curve(svg)
    names = {text.text: coordinate(text, "y") for text in svg.iter("text") if text.get("text-anchor") == "end"}
    assert names[label] == pytest.approx(y, abs=5)      # a text's y is its baseline
    lines = [stroke for path in svg.iter("path") for stroke in strokes(path)]
    assert any(start[1] == end[1] == pytest.approx(y, abs=0.05) and end[0] > start[0] + 100 for start, *_, end in lines)


def test_a_larger_value_stands_higher():
    y = [y for _, y in curve(chart([1e-9, 1e-3, 1.0, 1e5]))]
    assert y == sorted(y, reverse=True) and len(set(y)) == 4


@pytest.mark.parametrize("layers, named", [(60, ["1", "10", "20", "30", "40", "50", "60"]), (25, ["1", "10", "20"]), (1, ["1"])])
def test_a_tick_stands_under_its_layer(layers, named):
    svg = chart([10.0] * layers, layers)
    centred = {text.text: coordinate(text, "x") for text in svg.iter("text") if text.get("text-anchor") == "middle"}
    assert [name for name in centred if name != "layer"] == named
    x = [x for x, _ in curve(svg)]
    assert x == sorted(x)
    for name in named:
        assert centred[name] == pytest.approx(x[int(name) - 1], abs=0.1)


@pytest.mark.parametrize("value, down", [(0.0, True), (1e-30, True), (1e30, False), (float("inf"), False)])
def test_an_arrow_points_to_where_its_value_is(value, down):
    svg = chart([value])
    arrow, = (stroke for path in svg.iter("path") for stroke in strokes(path) if len(stroke) == 4 and stroke[0] == stroke[-1])
    heights = sorted(y for _, y in arrow[:3])
    assert (heights[0] == heights[1]) == down       # the two corners of its base; y grows downwards
    assert (max(x for x, _ in arrow) + min(x for x, _ in arrow)) / 2 == pytest.approx(curve(svg)[0][0], abs=0.1)


def test_the_heading_gives_the_first_value_and_then_the_last():
    assert "0.5 → 2.0·10⁻⁵" in texts(chart([0.5, 7.0, 2e-5]))
    assert "0.5 ← 2.0·10⁻⁵" in texts(chart([0.5, 7.0, 2e-5], arrow="←"))
