"""The drawing of lesson 04's batch puts every number where it belongs."""

import pytest
from controls import coordinate, drawn, points, strokes, texts, words

from resnote.explorers import normalization
from resnote.drawings.batches import BARS, ZONE, BatchChart, batch_chart

pytestmark = pytest.mark.subject("NormalizationExplorer", needs=["explorers"])


def sigmoid_chart(values, problem=""):
    return drawn(batch_chart(BatchChart("t", ("", ""), values, "x₁", normalization.curve("sigmoid"), problem)))


def pixel(z):
    """Where z stands: the ticks tell, from −10 to 10."""
    ticks = {words(text): coordinate(text, "x") for text in sigmoid_chart([0.0]).iter("text")}
    return ticks["−10"] + (ticks["10"] - ticks["−10"]) * (z + 10) / 20


def test_the_curve_rises_from_its_low_end_to_its_high_end():
    drawing = sigmoid_chart([0.0, 1.0])
    line, = map(points, drawing.iter("polyline"))
    y = {words(text): coordinate(text, "y") for text in drawing.iter("text") if coordinate(text, "x") > line[-1][0]}     # beside it
    assert line[0][1] > line[-1][1] + 100 and y["1"] < y["0"]
    assert y["0"] == pytest.approx(line[0][1], abs=6) and y["1"] == pytest.approx(line[-1][1], abs=6)    # a text's y is its baseline


def test_the_zone_reaches_from_minus_1_96_to_1_96():
    zone = max((rect for rect in sigmoid_chart([0.0]).iter("rect") if rect.get("fill") == ZONE), key=lambda rect: coordinate(rect, "width"))
    left, width = coordinate(zone, "x"), coordinate(zone, "width")
    assert left == pytest.approx(pixel(-1.96), abs=0.2) and left + width == pytest.approx(pixel(1.96), abs=0.2)


@pytest.mark.parametrize("first, place", [(3.0, 3.0), (-5.0, -5.0), (30.0, 10.0), (-30.0, -10.0)])
def test_the_triangle_stands_under_the_first_value_or_at_the_edge_and_points_there(first, place):
    triangles = [stroke for path in sigmoid_chart([first, 0.0]).iter("path") for stroke in strokes(path) if len(stroke) == 4 and stroke[0] == stroke[-1]]
    tip, *base, _ = triangles[0]                                # the other is the legend's
    assert tip[0] == pytest.approx(pixel(place), abs=0.2)
    away = sum(x for x, _ in base) / 2 - tip[0]
    assert away == 0 if first == place else away * first < 0     # an edge's triangle points outwards


def bars(drawing):
    """(left, width, height) of each bar; the legend's has its own height."""
    tall = [rect for rect in drawing.iter("rect") if rect.get("fill") == BARS and coordinate(rect, "x") > 0]
    return [tuple(coordinate(rect, name) for name in ("x", "width", "height")) for rect in tall]


def test_bars_stand_on_the_values_and_their_heights_are_their_shares():
    drawing = sigmoid_chart([0.1, -0.2, 0.24, 3.0])
    (x0, width, tall), (x3, _, short) = bars(drawing)
    assert tall == pytest.approx(3 * short, abs=0.2) and x0 + width / 2 == pytest.approx(pixel(0), abs=0.5)
    assert x3 + width / 2 == pytest.approx(pixel(3), abs=0.5) and "75 %" in texts(drawing)


def test_a_bars_share_is_of_all_values_also_of_those_outside():
    assert "50 %" in texts(sigmoid_chart([0.1, 0.2, 20.0, 20.0]))
