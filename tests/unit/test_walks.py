"""The drawings of lesson 05 put every number where it belongs."""

import math

import pytest
from controls import coordinate, drawn, parse, points, strokes, texts, words

from resnote.explorers import InferenceExplorer, inference
from resnote.drawings.walks import EACH, Mode, Walk, mode_bars, walk_chart

pytestmark = pytest.mark.subject("InferenceExplorer", needs=["explorers"])

WALKS = (Walk("mean", (-2, 0, 6), [2.0], [0.0, 1.0], [2.0, 2.0]), Walk("variance", (0, 10, 20), [9.0], [1.0, 5.0], [10.0, 10.0]))


def frames(drawing):
    """(left, top, right, bottom) of each frame, the upper one first."""
    found = [[coordinate(rect, name) for name in ("x", "y", "width", "height")] for rect in drawing.iter("rect")]
    return [(x, y, x + width, y + height) for x, y, width, height in found]


def test_the_dashed_line_is_the_populations_and_the_full_one_runs_to_it():
    drawing = drawn(walk_chart("t", WALKS, 4))
    lines = list(drawing.iter("polyline"))
    assert [bool(line.get("stroke-dasharray")) for line in lines] == [True, False, True, False]
    population, running = points(lines[0]), points(lines[1])
    left, _, right, _ = frames(drawing)[0]
    assert population[0][1] == population[1][1] < running[1][1] < running[0][1]      # larger is higher up
    assert [x for x, _ in running] == [left, left + (right - left) / 4]               # 0 and 1 of 4 batches


def test_the_numbers_beside_a_frame_are_its_own():
    drawing = drawn(walk_chart("t", WALKS, 4))
    for (_, top, _, _), said in zip(frames(drawing), ("running 1.00, the population's 2.00", "running 5.00, the population's 10.00"), strict=True):
        above, = (text for text in drawing.iter("text") if words(text) == said)
        assert top - 20 < coordinate(above, "y") < top


def test_what_leaves_a_walks_frame_is_drawn_at_its_edge():
    walk = Walk("mean", (-1, 0, 1), [math.inf, -5.0], [0.0, 7.0, -7.0], [0.0, 0.0, 0.0])
    drawing = drawn(walk_chart("t", (walk, walk), 200))
    dots = [[y for ((_, y), _) in strokes(path)] for path in drawing.iter("path") if path.get("stroke") == EACH and len(strokes(path)) > 1]
    lines = [[y for _, y in points(line)[1:]] for line in drawing.iter("polyline") if not line.get("stroke-dasharray")]
    assert dots == lines == [[top, bottom] for _, top, _, bottom in frames(drawing)]


def test_guessing_is_marked_where_it_is_and_named():
    drawing = drawn(mode_bars("t", [Mode("a", "b", 30)], 60, 0.1))
    assert {"guessing, 10 %", "30 of 60: 50 %", "50 %"} <= set(texts(drawing))
    (left, top, right, bottom), (_, _, end, _) = frames(drawing)
    assert end == (left + right) / 2                                                    # 30 of 60
    mark = next(stroke for path in drawing.iter("path") for stroke in strokes(path) if stroke[0][0] == stroke[-1][0])
    assert mark[0][0] == left + (right - left) / 10 and mark[0][1] < top and mark[-1][1] > bottom
    assert "guessing, 10 %" in texts(parse(InferenceExplorer().move(None, inference.State()).parts["modes"]))
