"""A layer chart stands upright, its ticks name the layers they stand under, its arrows point out of the frame."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from resnote.charts import layer_chart


def chart(values, layers=60, **how):
    return ElementTree.fromstring(layer_chart(values, "t", layers=layers, colour="#000", **how))


def points(svg):
    return [tuple(map(float, point.split(","))) for point in svg.find("polyline").get("points").split()]


def texts(svg):
    return {text.text: (float(text.get("x")), float(text.get("y"))) for text in svg.iter("text")}


@pytest.mark.parametrize("power, label", [(-12, "10⁻¹²"), (-9, "10⁻⁹"), (-6, "10⁻⁶"), (-3, "10⁻³"), (0, "1"), (3, "10³"), (6, "10⁶")])
def test_a_value_stands_at_the_line_that_bears_its_name(power, label):
    svg = chart([10.0**power])
    (_, y), = points(svg)
    names = {text.text: float(text.get("y")) for text in svg.iter("text") if text.get("text-anchor") == "end"}
    assert names[label] == pytest.approx(y, abs=5)      # a text's y is its baseline
    assert any(f",{y:.1f} H" in path.get("d") for path in svg.iter("path"))


def test_a_larger_value_stands_higher():
    y = [y for _, y in points(chart([1e-9, 1e-3, 1.0, 1e5]))]
    assert y == sorted(y, reverse=True) and len(set(y)) == 4


@pytest.mark.parametrize("layers, named", [(60, ["1", "10", "20", "30", "40", "50", "60"]), (25, ["1", "10", "20"]), (1, ["1"])])
def test_a_tick_stands_under_its_layer(layers, named):
    svg = chart([10.0] * layers, layers)
    centred = {text.text: float(text.get("x")) for text in svg.iter("text") if text.get("text-anchor") == "middle"}
    assert [name for name in centred if name != "layer"] == named
    x = [x for x, _ in points(svg)]
    assert x == sorted(x)
    for name in named:
        assert centred[name] == pytest.approx(x[int(name) - 1], abs=0.1)


@pytest.mark.parametrize("value, down", [(0.0, True), (1e-30, True), (1e30, False), (float("inf"), False)])
def test_an_arrow_points_to_where_its_value_is(value, down):
    svg = chart([value])
    base, tip = next(map(float, found.groups()) for path in svg.iter("path")
                     if (found := re.fullmatch(r"M[\d.]+,([\d.]+) h8 L[\d.]+,([\d.]+) z", path.get("d"))))
    assert (tip > base) == down     # y grows downwards


def test_the_heading_gives_the_first_value_and_then_the_last():
    assert "0.5 → 2.0·10⁻⁵" in texts(chart([0.5, 7.0, 2e-5]))
    assert "0.5 ← 2.0·10⁻⁵" in texts(chart([0.5, 7.0, 2e-5], arrow="←"))
