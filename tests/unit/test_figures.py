"""A figure shows the numbers that it was given, under the names that it was given."""

import re
import warnings

import matplotlib
import matplotlib.style
import nbformat
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from save_notebooks import NOTEBOOKS

from resnote import figures


@pytest.fixture
def drawn(monkeypatch):
    """Figures as matplotlib made them, before they become a picture."""
    monkeypatch.setattr(figures, "Picture", lambda figure, alt: figure)


def lines(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def test_curves_show_each_share_over_its_width_under_its_label(drawn):
    panels = [("loss", "share", {"a": ([1, 2, 4], [0.9, 0.5, 0.1]), "b": ([1, 2, 4], [0.8, 0.7, 0.6])}),
              ("cost", "accuracy", {"c": ([1, 2, 4], [0.1, 0.2, 0.3])})]
    axes = figures.curves(panels, "").axes
    for ax, (title, ylabel, expected) in zip(axes, panels, strict=True):
        assert (ax.get_title(), ax.get_ylabel()) == (title, ylabel)
        assert lines(ax) == expected
        assert [text.get_text() for text in ax.get_legend().get_texts()] == list(expected)
        assert len({line.get_marker() for line in ax.get_lines()}) == len(expected)      # never colour alone


def test_shares_of_a_row_add_up_to_a_hundred_and_carry_their_names(drawn):
    figure = figures.shares({"MACs": [("conv1", 3, "pointwise"), ("conv2", 1, "spatial")]},
                            {"pointwise": "1×1", "spatial": "3×3"}, "")
    bars = figure.axes[0].patches
    assert [bar.get_width() for bar in bars] == [75, 25] and [bar.get_x() for bar in bars] == [0, 75]
    assert [text.get_text() for text in figure.axes[0].texts] == ["conv1\n75 %", "conv2\n25 %"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1×1", "3×3"]


def test_images_stand_in_their_row_and_column(drawn):
    grid = [[np.full((2, 2), 10 * row + column) for column in range(3)] for row in range(2)]
    axes = np.reshape(figures.images(grid, ["a", "b", "c"], ["x", "y"], "").axes, (2, 3))
    for row in range(2):
        assert axes[row][0].get_ylabel() == "xy"[row]
        for column in range(3):
            assert (axes[row][column].images[0].get_array() == 10 * row + column).all()
    assert [ax.get_title() for ax in axes[0]] == ["a", "b", "c"]


def test_a_picture_is_the_same_bytes_for_the_same_numbers_and_carries_its_alt_text():
    pictures = [figures.curves([("t", "y", {"a": ([1, 2], [0.1, 0.2])})], 'what "it" shows') for _ in range(2)]
    html = pictures[0]._repr_html_()
    assert html == pictures[1]._repr_html_()
    assert html.startswith('<img alt="what &quot;it&quot; shows"') and "data:image/svg+xml;base64," in html
    assert repr(pictures[0]) == 'Picture: what "it" shows'


def test_functions_and_layers_are_drawn_under_their_names(drawn):
    axes = figures.functions([0, 1], {"value": {"f": [1, 2], "g": [3, 4]}, "slope": {"f": [5, 6]}}, "").axes
    assert [ax.get_title() for ax in axes] == ["value", "slope"]
    assert lines(axes[0]) == {"f": ([0, 1], [1, 2]), "g": ([0, 1], [3, 4])} and lines(axes[1]) == {"f": ([0, 1], [5, 6])}
    assert len({line.get_linestyle() for line in axes[0].get_lines()}) == 2
    axes = figures.by_layer({"a": [1.0, 10.0]}, "norm", "").axes[0]
    assert lines(axes) == {"a": ([1, 2], [1.0, 10.0])} and (axes.get_yscale(), axes.get_ylabel()) == ("log", "norm")


def test_learning_draws_every_seed_and_names_a_group_once(drawn):
    axes = figures.learning({"deep": [[0.5, 0.4], [0.6, 0.3]], "shallow": [0.2, 0.1]}, "").axes[0]
    assert [list(line.get_ydata()) for line in axes.get_lines()] == [[50, 40], [60, 30], [20, 10]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["deep, 2 seeds", "shallow"]
    assert [line.get_color() for line in axes.get_lines()] == ["C0", "C0", "C1"]


def test_no_error_from_0_to_100_percent_leaves_the_frame_of_learning(drawn):
    low, high = figures.learning({"a": [0.0, 1.0]}, "").axes[0].get_ylim()
    assert low <= 0 and high >= 100


def test_five_groups_are_five_lines_and_five_names_in_every_figure_by_group(drawn):
    names = list("abcde")
    for figure in (figures.by_layer({name: [1.0, 2.0] for name in names}, "norm", ""),
                   figures.learning({name: [0.2, 0.1] for name in names}, ""),
                   figures.dots({name: {8: [0.1], 44: [0.2]} for name in names}, "layers", "error, %", "")):
        axes = figure.axes[0]
        assert [text.get_text() for text in axes.get_legend().get_texts()] == list(lines(axes)) == names


def test_learning_takes_runs_that_were_interrupted_before_their_first_epoch(drawn):
    axes = figures.learning({"a": [[], [0.5]], "b": []}, "").axes[0]
    assert [list(line.get_ydata()) for line in axes.get_lines()] == [[], [50], []]


def test_dots_draw_every_value_beside_its_category_and_none_over_another_group(drawn):
    groups = {"plain": {8: [0.0, 0.1], 44: [0.5, 0.6]}, "residual": {44: [0.01]}}
    axes = figures.dots(groups, "layers", "error, %", "").axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["8", "44"]
    plain, residual = (lines(axes)[label] for label in groups)
    assert plain[1] == [0, 10, 50, 60] and residual[1] == [1]
    assert [round(x) for x in plain[0] + residual[0]] == [0, 0, 1, 1, 1]
    assert max(plain[0][2:]) < min(residual[0]) and len(set(plain[0])) == 4
    assert len({line.get_marker() for line in axes.get_lines()}) == 2
    empty = figures.dots({"plain": {8: [], 44: []}, "residual": {8: [0.5]}}, "layers", "error, %", "").axes[0]      # after an interrupt
    assert lines(empty)["plain"][0] == [] and lines(empty)["residual"][1] == [50]


def contrast(one, other):
    """Of two colours, by WCAG 2's formula."""
    dark, light = sorted(sum(weight * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
                             for weight, part in zip((0.2126, 0.7152, 0.0722), to_rgb(colour))) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def test_every_line_stands_out_from_the_card_and_every_text_from_what_it_lies_on(drawn):
    assert contrast("white", "black") == pytest.approx(21)
    palette = figures.STYLE["axes.prop_cycle"].by_key()["color"]
    assert min(contrast(colour, "white") for colour in palette) >= 3
    drawn_lines = [line for figure in (figures.dots({name: {8: [0.1]} for name in "abcde"}, "layers", "error, %", ""),
                                       figures.learning({name: [0.2, 0.1] for name in "abcde"}, ""),
                                       figures.by_layer({name: [1.0, 2.0] for name in "abcde"}, "norm", ""))
                   for line in figure.axes[0].get_lines()]
    assert len(drawn_lines) == 15 and all(line.get_alpha() in (None, 1) for line in drawn_lines)
    kinds = {"pointwise": "1×1", "spatial": "3×3", "other": "rest"}
    axes, = figures.shares({"MACs": [(kind, 1, kind) for kind in kinds]}, kinds, "").axes
    for text, bar in zip(axes.texts, axes.patches, strict=True):
        assert contrast(text.get_color(), bar.get_facecolor()[:3]) >= 4.5
    for text in (axes.xaxis.label, axes.title, *axes.get_xticklabels(), *axes.get_yticklabels()):
        assert contrast(text.get_color(), "white") >= 4.5


KINDS = {"pointwise": "1×1", "spatial": "3×3"}
# Every figure, from values that ``made`` turns into what a lesson has.
EVERY_FIGURE = {
    "images": lambda made: figures.images([[made([[0, 1], [2, 3]])]], ["a"], ["b"], ""),
    "shares": lambda made: figures.shares({"MACs": [("a", made(3), "pointwise"), ("b", made(1), "spatial")]}, KINDS, ""),
    "curves": lambda made: figures.curves([("t", "y", {"a": (made([1, 2, 4]), made([0.75, 0.5, 0.125]))})], ""),
    "functions": lambda made: figures.functions(made([0, 1]), {"v": {"f": made([1, 2])}}, ""),
    "learning": lambda made: figures.learning({"a": [made(0.5), made(0.25)], "b": [[made(0.5)], [made(0.75)]]}, ""),
    "by_layer": lambda made: figures.by_layer({"a": made([1.0, 10.0])}, "norm", ""),
    "dots": lambda made: figures.dots({"a": {8: [made(0.5)], 44: made([0.25])}}, "layers", "error, %", ""),
    "by_step": lambda made: figures.by_step({"a": made([1.0, 2.0])}, "y", ""),
    "loglog": lambda made: figures.loglog({"a": [(made([1.0, 10.0]), made([2.0, 4.0]))]}, "x", "y", ""),
    "sharing": lambda made: figures.sharing({"a": made([[1, 0], [0, 1]])}, (0, 0), ["b"], ""),
}
every_figure = pytest.mark.parametrize("figure", EVERY_FIGURE.values(), ids=EVERY_FIGURE)


def test_every_figure_that_a_lesson_draws_is_listed_here():
    source = "".join(cell.source for path in NOTEBOOKS.glob("*.ipynb") for cell in nbformat.read(path, 4).cells)
    assert set(re.findall(r"figures\.(\w+)\(", source)) == EVERY_FIGURE.keys()


@pytest.mark.thorough
@every_figure
def test_a_picture_does_not_depend_on_the_readers_style_and_leaves_it_as_it_was(figure):
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        usual = figure(lambda values: values).svg
        for style in ("dark_background", "ggplot"):
            matplotlib.style.use(style)
            matplotlib.rcParams.update({"lines.linewidth": 7, "axes.xmargin": 0.4, "font.family": "monospace", "savefig.pad_inches": 2})
            readers = dict(matplotlib.rcParams)
            assert figure(lambda values: values).svg == usual
            assert dict(matplotlib.rcParams) == readers


@pytest.mark.thorough
@every_figure
def test_a_tensor_is_drawn_as_the_same_numbers_in_a_list_are_and_without_a_warning(figure):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figure(torch.tensor).svg == figure(lambda values: values).svg


def test_lines_on_two_logarithmic_axes_share_a_colour_and_a_name_by_group(drawn):
    groups = {"a": [([1, 10], [2, 20]), ([1, 10], [3, 30])], "b": [([1, 10], [4, 40])]}
    axes = figures.loglog(groups, "step", "loss", "").axes[0]
    found = axes.get_lines()
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in found] == [line for group in groups.values() for line in group]
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_xlabel(), axes.get_ylabel()) == ("log", "log", "step", "loss")
    assert found[0].get_color() == found[1].get_color() != found[2].get_color()
    assert found[0].get_linestyle() == found[1].get_linestyle() != found[2].get_linestyle()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_maps_that_share_a_mean_are_filled_and_hatched_where_the_table_says_so(drawn):
    masks = {"one": [[True, False, False], [True, False, True]], "two": torch.tensor([[False, True, True], [False, False, False]])}
    figure = figures.sharing(masks, (1, 2), ["first", "second"], "")
    for axes, (title, mask), caption in zip(figure.axes, masks.items(), ["first", "second"], strict=True):
        *maps, mark = axes.patches
        assert [bool(patch.get_hatch()) for patch in maps] == [bool(value) for row in mask for value in row]
        assert len({patch.get_facecolor() for patch in maps}) == 2
        assert [(round(patch.get_y()), round(patch.get_x())) for patch in maps] == [(n, c) for n in range(2) for c in range(3)]
        assert mark.get_center() == (2.5, 1.5) and axes.get_title() == title and axes.get_xlabel() == f"channel\n{caption}"
        assert axes.yaxis_inverted() and [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "3"]
