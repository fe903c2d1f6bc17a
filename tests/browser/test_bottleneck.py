"""Lesson 03 in a real JupyterLab: what a learner sees is what `resnote.counting` counts."""

import random
import re
import time
from dataclasses import replace

import pytest
from conftest import SCREENSHOTS
from lab import Slider, screenshot, watch_flicker

from resnote.explorers import bottleneck as lesson
from resnote.explorers.bottleneck import PRESETS, State

LESSON = "03_bottleneck.ipynb"
pytestmark = pytest.mark.xdist_group(LESSON)
CHANNELS = [f"{block}_{part}" for block in ("basic", "bottleneck") for part in ("in", "width", "out")]


class Explorer:
    """The explorer on the page: its controls by field of the state, and its readout."""

    def __init__(self, notebook):
        self.notebook, self.output = notebook, notebook.output("explorer")
        self.output.scroll_into_view_if_needed()

    def slider(self, field):
        return Slider(self.output.locator(f".resnote-{field}"))

    def preset(self, name):
        self.output.get_by_role("button", name=name).click()

    def numbers(self):
        """The table's rows, by heading, and the parameters above the drawings."""
        self.notebook.settle()
        rows = self.output.locator(".resnote-totals tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")
        headings = self.output.locator("svg text", has_text=re.compile(r"^[\d,]+ parameters$")).all_text_contents()
        return {row[0]: row[1:] for row in rows}, headings

    def assert_shows(self, state, patience=10):
        """The page shows this state's numbers, at the latest after ``patience`` seconds: a busy machine draws late."""
        blocks = lesson.count(state)
        expected = ([f"{block.parameters:,} parameters" for block in blocks], [f"{block.parameters:,}" for block in blocks],
                    ["cannot run" if block.problem else f"{block.macs:,}" for block in blocks])
        deadline = time.monotonic() + patience
        while (shown := self.shown()) != expected and time.monotonic() < deadline:
            self.notebook.page.wait_for_timeout(50)
        assert shown == expected

    def shown(self):
        table, headings = self.numbers()
        return headings, table["parameters"][:2], table["multiply–accumulates (MACs)"][:2]


@pytest.fixture(params=["light", "dark"])
def notebook(request, open_lesson):
    """The lesson, run once for all tests of a theme; each starts from the first preset."""
    notebook = open_lesson(LESSON, request.param)
    notebook.page.bring_to_front()
    explorer = Explorer(notebook)
    explorer.slider("side").press("Home")                       # away from every preset, so that a click is a change
    explorer.output.locator(".widget-toggle-button.mod-active").wait_for(state="detached")
    explorer.preset("Equal channels")
    explorer.assert_shows(State())
    yield notebook
    assert notebook.cell_errors() == []
    assert notebook.callback_errors() == []
    assert notebook.page_errors == []


def test_every_slider_by_keyboard_and_mouse_shows_the_counts_without_flicker(notebook, request):
    explorer = Explorer(notebook)
    state = State()
    with watch_flicker(explorer.output) as flicker:
        for field in CHANNELS + ["kernel_size", "side"]:
            positions = {"kernel_size": range(1, 8), "side": lesson.SIDES}.get(field, range(1, 513))
            slider, start = explorer.slider(field), getattr(state, field)
            for move, place in ((lambda: slider.press("End"), -1), (lambda: slider.press("Home"), 0),
                                (lambda: slider.press("ArrowRight", times=3), 3),
                                (lambda: slider.drag(1), -1), (lambda: slider.drag(0), 0)):
                move()
                explorer.assert_shows(replace(state, **{field: positions[place]}))
            slider.press("ArrowRight", times=positions.index(start)) if field == "side" else slider.type(str(start))
            explorer.assert_shows(state)
    assert flicker.frames and flicker.changes and len(flicker.heights) == 1
    assert flicker.blanks == 0
    screenshot(notebook.page, SCREENSHOTS / f"03_bottleneck_{request.node.callspec.id}.png")


def test_presets_switches_and_shortcuts_show_the_counts(notebook):
    explorer = Explorer(notebook)
    state = State()
    for name, preset in PRESETS.items():
        explorer.slider("kernel_size").type("2")              # illegal, before each preset
        explorer.assert_shows(replace(state, kernel_size=2))
        explorer.preset(name)
        state = preset
        explorer.assert_shows(state)
    state = PRESETS["The article's listings"]
    explorer.output.get_by_label("bias").check()
    explorer.output.get_by_label("batch norm").check()
    state = replace(state, bias=True, batch_norm=True)
    explorer.assert_shows(state)
    for place, field in enumerate(("basic_shortcut", "bottleneck_shortcut")):
        for shortcut in lesson.SHORTCUTS:
            explorer.output.locator("select").nth(place).select_option(shortcut)
            state = replace(state, **{field: shortcut})
            explorer.assert_shows(state)


@pytest.mark.parametrize("notebook", ["light"], indirect=True)
@pytest.mark.parametrize("typed, becomes", [("0", 1), ("-1", 1), ("1000000", 512), ("many", 256), ("", 256), ("64", 64)])
def test_what_is_typed_into_a_readout_ends_as_a_legal_value(notebook, typed, becomes):
    explorer = Explorer(notebook)
    slider = explorer.slider("bottleneck_in")
    slider.type(typed)
    explorer.assert_shows(replace(State(), bottleneck_in=becomes))
    assert slider.value == str(becomes)                       # the readout agrees with the picture
    slider.type("256")
    explorer.assert_shows(State())


@pytest.mark.parametrize("notebook", ["light"], indirect=True)
def test_a_hand_that_moves_fast_leaves_the_numbers_of_where_it_stopped(notebook):
    explorer = Explorer(notebook)
    choose = random.Random(3)
    slider = explorer.slider("bottleneck_width")
    for _ in range(5):
        slider.drag(choose.random(), steps=60)
        explorer.notebook.settle()
        explorer.assert_shows(replace(State(), bottleneck_width=int(slider.value)))


def test_no_text_of_a_drawing_is_clipped_at_the_extremes(notebook):
    """With the page's real font: every text lies inside its drawing, and none lies on another."""
    explorer = Explorer(notebook)
    for field in CHANNELS + ["kernel_size", "side"]:
        explorer.slider(field).press("End")
    explorer.output.get_by_label("bias").check()
    explorer.output.get_by_label("batch norm").check()
    for place in range(2):
        explorer.output.locator("select").nth(place).select_option("projection 3×3")
    assert_texts_fit(explorer)
    explorer.slider("basic_out").press("Home")
    for place in range(2):
        explorer.output.locator("select").nth(place).select_option("identity")
    explorer.slider("bottleneck_in").press("Home")
    assert_texts_fit(explorer)
    explorer.slider("kernel_size").type("6")
    assert_texts_fit(explorer)


def assert_texts_fit(explorer):
    explorer.notebook.settle()
    drawings = explorer.output.locator("svg[role=img]").evaluate_all(
        """drawings => drawings.map(drawing => [drawing.viewBox.baseVal.width, drawing.viewBox.baseVal.height,
            [...drawing.querySelectorAll('text')].map(text => {
                const {x, y, width, height} = text.getBBox();
                return [text.textContent, x, y, x + width, y + height];
            })])""")
    assert len(drawings) == 2
    for width, height, texts in drawings:
        for words, left, top, right, bottom in texts:
            assert 0 <= left and right <= width and 0 <= top and bottom <= height, (words, right, bottom)
        for n, (words, *a) in enumerate(texts):
            for others, *b in texts[n + 1:]:
                apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] + 3 or b[3] <= a[1] + 3
                assert apart, (words, others)


@pytest.mark.parametrize("notebook", ["light"], indirect=True)
def test_predictions_and_exercises_answer_back(notebook):
    question = notebook.output("guess-ratio")
    question.get_by_label("about 3 times").check()
    notebook.settle()
    assert "Guess again" in question.inner_text()
    question.get_by_label("about 17 times").check()
    notebook.settle()
    assert "Yes" in question.inner_text() and "Guess again" not in question.inner_text()
    assert "Not answered yet" in notebook.output("exercise-1").inner_text()


def test_a_notebook_that_was_not_run_shows_the_still_with_its_alt_text(open_lesson):
    notebook = open_lesson(LESSON, run=False)
    images = notebook.output("explorer").locator("img").evaluate_all(
        "images => images.map(i => [i.alt, i.complete && i.naturalWidth])")
    assert len(images) == 2
    for (alt, width), total in zip(images, ("1,179,648", "69,632")):
        assert total in alt and width > 400
    assert "16.94" in notebook.output("explorer").inner_text()
    assert "Error displaying widget" not in notebook.page.locator(".jp-Notebook").inner_text()
