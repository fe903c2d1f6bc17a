"""A drawing says what the count says: its words, its shapes to scale, and its marks."""

import xml.etree.ElementTree as ElementTree
from base64 import b64decode

import pytest
from controls import drawn, parse, points, strokes, table, texts

from resnote import counting
from resnote.drawings.blocks import block_diagram, describe_block
from resnote.drawings.kit import NEUTRAL, POINTWISE, SPATIAL, WRONG, as_image
from resnote.drawings.layers import HIGH, LOW, layer_chart
from resnote.explorers import bottleneck as lesson
from resnote.explorers.bottleneck import PRESETS, State, totals_table
from resnote.text import sci

RICH = counting.bottleneck(64, 16, 128, size=(9, 12), kernel_size=5, stride=2, bias=True, shortcut="projection")
PADDED = counting.basic_block(4, 8, 8, size=6, batch_norm=False, shortcut="zero-pad")
LISTING = counting.basic_block(256, 64, 64, batch_norm=False, strict=False)
EVEN = counting.bottleneck(8, 4, 8, size=6, kernel_size=2, batch_norm=False, strict=False)
SHRUNK = counting.basic_block(8, 8, 4, size=6, batch_norm=False, shortcut="zero-pad", strict=False)


pytestmark = pytest.mark.subject("BottleneckExplorer", "BlockExplorer", needs=["explorers"])


def trapezoids(drawing):
    """(width above, width below, fill) of each convolution."""
    corners = [([x for x, _ in points(polygon)], polygon.get("fill")) for polygon in drawn(drawing).iter("polygon")]
    return [(x[1] - x[0], x[2] - x[3], fill) for x, fill in corners]


def test_a_rich_block_is_written_out_in_full():
    assert texts(drawn(block_diagram(RICH, 128))) == [
        "Bottleneck", f"{RICH.parameters:,} parameters",
        "1×1", "1×1", "5×5 /2", "1×1",                                     # the shortcut's, then F's
        "+", "shortcut /2: 1·1·64·128 + 128 +", "2·128 = 8,576", "after ReLU: 128 × 5 × 6",
        "x: 64 × 9 × 12",
        "1·1·64·16 + 16 = 1,040", "64 → 16 channels, 111 k MACs", "batch norm: 2·16 = 32", "after ReLU: 16 × 9 × 12",
        "5·5·16·16 + 16 = 6,416", "16 → 16 channels, 192 k MACs", "batch norm: 2·16 = 32", "after ReLU: 16 × 5 × 6",
        "1·1·16·128 + 128 = 2,176", "16 → 128 channels, 61.4 k MACs", "batch norm: 2·128 = 256", "F(x): 128 × 5 × 6",
        "✓", "F(x) and the shortcut match: 128 × 5 × 6.",
    ]


def test_a_block_without_batch_norm_or_weights_in_its_shortcut_says_so():
    written = texts(drawn(block_diagram(PADDED, 8)))
    assert "+ 0s" in written and "shortcut: zeros added" in written
    assert not any("batch norm" in text for text in written)
    assert "shortcut: identity, no parameters" in texts(drawn(block_diagram(counting.basic_block(4, 4, 4), 4)))


@pytest.mark.parametrize("block, marks, sentence", [
    (LISTING, ["✗", "✗"], "F(x) has 64 channels and x has 256: they cannot be added."),
    (EVEN, ["✗ 2×2", "✗"], "A 2 x 2 kernel has no centre pixel"),
    (SHRUNK, ["✗", "✗"], "Zero-padding adds channels and cannot take any away: x has 8"),
])
def test_a_block_that_cannot_run_is_marked_once_in_its_drawing_and_once_beside_its_sentence(block, marks, sentence):
    found = texts(drawn(block_diagram(block, 256)))
    assert [text for text in found if "✗" in text] == marks
    assert ("+" in found) == (block.problem.where != "add")
    assert sentence in " ".join(found) and "no output" in found and "✓" not in found
    assert block.problem.message in describe_block(block)


def test_what_is_wrong_is_drawn_in_its_own_colour_and_dashed_where_it_is_a_line():
    assert drawn(block_diagram(LISTING, 256)).find(".//circle").get("stroke") == WRONG
    even = [polygon.get("stroke") for polygon in drawn(block_diagram(EVEN, 256)).iter("polygon")]
    assert even == [None, WRONG, None]
    assert drawn(block_diagram(SHRUNK, 256)).find(".//path").get("stroke") == WRONG
    for shape in drawn(block_diagram(RICH, 128)).iter():
        assert WRONG not in (shape.get("stroke"), shape.get("fill")) and not shape.get("stroke-dasharray")


@pytest.mark.parametrize("block", [RICH, PADDED, LISTING])
def test_channels_are_drawn_to_scale_and_kernels_in_their_colour(block):
    convs = [row for row in block.residual if row.kind == "conv"]
    channels = [block.input[0]] + [row.output[0] for row in convs]
    for (above, below, fill), row, before, after in zip(
            trapezoids(block_diagram(block, 512)), convs, channels[:-1], channels[1:], strict=True):
        assert above == pytest.approx(180 * before / 512, abs=2) and below == pytest.approx(180 * after / 512, abs=2)
        assert fill == (POINTWISE if row.formula.startswith("1·1") else SPATIAL)


def test_the_widest_map_of_either_block_fills_the_width_of_both():
    for name in ("basic_in", "basic_width", "basic_out", "bottleneck_in", "bottleneck_width", "bottleneck_out"):
        assert lesson.widest(State(**{name: 500})) == 500


def test_the_shortcuts_badge_has_the_colour_of_its_kind():
    def badges(drawing):
        return [rect.get("fill") for rect in drawn(drawing).iter("rect") if rect.get("rx") == "10"]
    wide = counting.basic_block(4, 4, 8, shortcut="projection", projection_kernel_size=3)
    assert badges(block_diagram(RICH, 128))[0] == POINTWISE
    assert badges(block_diagram(wide, 8))[0] == SPATIAL
    assert badges(block_diagram(PADDED, 8))[0] == NEUTRAL


def test_the_description_for_those_who_cannot_see_names_every_step():
    assert describe_block(RICH) == (
        "Bottleneck: x has 64 channels, 9 by 12; 1×1 convolution to 16 channels, 1,040 parameters; 5×5 convolution to "
        "16 channels, 6,416 parameters; 1×1 convolution to 128 channels, 2,176 parameters; shortcut 1·1·64·128 + 128 + "
        f"2·128 = 8,576; output 128 × 5 × 6. Total {RICH.parameters:,} parameters, {RICH.macs:,} multiply–accumulates.")


def test_a_still_is_a_document_with_a_background_and_a_live_drawing_is_not():
    drawing = block_diagram(RICH, 128)
    image, = parse(drawing.image()).iter("img")
    alone = ElementTree.fromstring(b64decode(image.get("src").removeprefix("data:image/svg+xml;base64,")))
    live = ElementTree.fromstring(drawing.inline())
    assert image.get("alt") == drawing.words == describe_block(RICH)
    assert (alone.tag, live.tag) == ("{http://www.w3.org/2000/svg}svg", "svg")
    background = alone[1]                               # after the title
    assert len(list(alone.iter())) == len(list(live.iter())) + 1
    assert background.tag.endswith("rect") and (background.get("width"), background.get("height")) == (alone.get("width"), alone.get("height"))


def test_an_image_escapes_its_alt_text():
    image, = parse(as_image("<svg/>", '<">')).iter("img")
    assert image.get("alt") == '<">'


def test_the_totals_of_a_block_that_cannot_run_are_its_parameters_alone():
    rows = table(parse(totals_table(*lesson.count(PRESETS["The article's listings"]))))
    assert [[name, *rest] for name, rest in rows.items()][1:] == [
        ["parameters", "184,320", "69,632", "2.65"],
        ["multiply–accumulates (MACs)", "cannot run", "7,130,316,800", "–"],
        ["elementwise operations", "cannot run", "65,536,000", "–"],
        ["activation memory: all outputs", "cannot run", "400 MiB", "–"],
        ["activation memory: saved for backward", "cannot run", "250 MiB", "–"],
        ["activation memory: inference peak", "cannot run", "400 MiB", "–"],
    ]


def dots(chart):
    """The points that have a dot: strokes of no length with round ends."""
    path, = [path for path in drawn(chart).iter("path") if path.get("stroke-linecap") == "round"]
    found = strokes(path)
    assert all(start == end for start, end in found)
    return [start for start, _ in found]


def test_a_chart_puts_each_value_at_its_power_of_ten():
    chart = layer_chart([1, 1e-6, 10.0**LOW], "t", layers=60, colour="#000")
    (x0, top), (x1, middle), (_, bottom) = points(drawn(chart).find(".//polyline"))
    assert bottom - middle == pytest.approx(middle - top, abs=0.2)
    assert x1 - x0 == pytest.approx((456 - 58 - 16) / 59, abs=0.1)
    assert dots(chart) == points(drawn(chart).find(".//polyline"))


def test_what_leaves_a_charts_frame_is_an_arrow_at_its_edge():
    values = [0.0, 1e-30, 10.0**HIGH * 10, float("inf")]
    chart = layer_chart(values, "t", layers=60, colour="#123456")
    y = [y for _, y in points(drawn(chart).find(".//polyline"))]
    assert y[0] == y[1] > y[2] == y[3]
    arrows = [stroke for path in drawn(chart).iter("path") for stroke in strokes(path) if len(stroke) == 4 and stroke[0] == stroke[-1]]
    assert not dots(chart) and len(arrows) == 4


@pytest.mark.parametrize("value, said", [(0, "below 10⁻¹²"), (3e-13, "below 10⁻¹²"), (-5.0, "-5"), (0.25, "0.25"), (3.14e-9, "3.1·10⁻⁹"), (2.5e12, "2.5·10¹²"),
                                          (999, "999"), (0.01, "0.01"), (float("inf"), "overflow"), (1000, "1.0·10³")])
def test_numbers_far_from_one_are_written_with_a_power_of_ten(value, said):
    assert sci(value) == said
