"""The drawings of lessons 04 and 05 put every number where it belongs."""

import re
from html import unescape

import pytest

from resnote.explorers import inference, normalization
from resnote.histograms import BatchChart, batch_chart
from resnote.walks import Mode, Walk, mode_bars, walk_chart


def polylines(svg):
    """{'dashed' or 'full': points} of each frame or curve, in order."""
    return [(("dashed" if "dasharray" in tag else "full"), [tuple(map(float, p.split(","))) for p in points.split()])
            for tag, points in re.findall(r'(<polyline points="([^"]*)"[^>]*>)', svg)]


WALKS = (Walk("mean", (-2, 0, 6), [2.0], [0.0, 1.0], [2.0, 2.0]), Walk("variance", (0, 10, 20), [9.0], [1.0, 5.0], [10.0, 10.0]))


def test_the_dashed_line_is_the_populations_and_the_full_one_runs_to_it():
    (kind, population), (other, running), *_ = polylines(walk_chart("t", WALKS, 4))
    assert (kind, other) == ("dashed", "full")
    assert population[0][1] == population[1][1] < running[1][1] < running[0][1]      # larger is higher up
    assert [x for x, _ in running] == [48, 148]                                       # 0 and 1 of 4 batches, on 400 pixels


def test_the_numbers_beside_a_frame_are_its_own():
    texts = [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", walk_chart("t", WALKS, 4))]
    assert {"running 1.00, the population's 2.00", "running 5.00, the population's 10.00"} <= set(texts)


def test_guessing_is_marked_where_it_is_and_named():
    svg = mode_bars("t", [Mode("a", "b", 30)], 60, 0.1)
    assert "guessing, 10 %" in svg and "30 of 60: " in svg and "50 %" in svg
    assert re.search(r'<path d="M46\.0,\d+ v32"', svg)                               # 16 + a tenth of 300
    assert 'width="150.0"' in svg
    assert "guessing, 10 %" in mode_bars("t", inference.modes(inference.State()), *inference._images())


def sigmoid_chart(values, problem=""):
    return batch_chart(BatchChart("t", ("", ""), values, "x₁", normalization.curve("sigmoid"), problem))


def pixel(z):
    """Where z stands: ticks tell, from −10 to 10."""
    ticks = {float(words.replace("−", "-")): float(x) for x, words in re.findall(
        r'<text x="([\d.]+)" y="[\d.]+"[^>]*>(−?\d+)</text>', sigmoid_chart([0.0])) if words not in ("0", "1")}
    return ticks[-10] + (ticks[10] - ticks[-10]) * (z + 10) / 20


def test_the_curve_rises_from_its_low_end_to_its_high_end():
    svg = sigmoid_chart([0.0, 1.0])
    ((_, points),) = polylines(svg)
    assert points[0][1] > points[-1][1] + 100
    y = {words: float(y) for y, words in re.findall(r'y="([\d.]+)"[^>]*>([01])</text>', svg)}
    assert y["1"] < y["0"]


def test_the_zone_reaches_from_minus_1_96_to_1_96():
    x, width = map(float, re.search(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" [^>]*fill-opacity', sigmoid_chart([0.0])).groups())
    assert x == pytest.approx(pixel(-1.96), abs=0.2) and x + width == pytest.approx(pixel(1.96), abs=0.2)


def test_the_triangle_stands_under_the_first_value():
    triangle = re.findall(r'<path d="M([\d.]+),[\d.]+ l-5,10 h10 z"', sigmoid_chart([3.0, -5.0]))[0]
    assert float(triangle) == pytest.approx(pixel(3.0), abs=0.2)


def test_a_bars_share_is_of_all_values_also_of_those_outside():
    assert ">50 %<" in sigmoid_chart([0.1, 0.2, 20.0, 20.0])
