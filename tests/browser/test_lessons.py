"""Every lesson in a real JupyterLab: its explorer by keyboard and mouse, its questions, its exercises, its looks.

Each is opened as it is saved, and of its cells only those that are looked at are run. Lesson 00 is run as a whole in
test_second_day.py.
"""

from __future__ import annotations

import importlib
import inspect
import random
import re
from base64 import b64decode
from dataclasses import replace

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import screenshot, watch_flicker
from page import SCREENSHOTS, ExplorerPage, contrasts
from save_notebooks import NOTEBOOKS

from resnote import explorers
from resnote.explorers import bottleneck
from resnote.explorers.base import Slider, Steps, Switch

EXPLORERS = {"00_start_here": explorers.LineExplorer, "01_plain_networks": explorers.SignalExplorer,
             "02_residual_block": explorers.BlockExplorer, "03_bottleneck": explorers.BottleneckExplorer,
             "04_batch_norm_training": explorers.NormalizationExplorer,
             "05_batch_norm_inference": explorers.InferenceExplorer, "06_resnet": explorers.NetworkExplorer}


def test_every_lesson_is_opened_here():
    assert EXPLORERS.keys() == {path.stem for path in NOTEBOOKS.glob("*.ipynb")}


def code_cells(lesson):
    return [cell for cell in nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", 4).cells if cell.cell_type == "code"]


def sources(lesson):
    return {cell.id: cell.source for cell in code_cells(lesson)}


def about(names):
    """Lessons as parameters; tests of one lesson share a worker, where it is opened once. Lesson 03 stands for all where time is short."""
    return [pytest.param(name, marks=[pytest.mark.subject(name, needs=[EXPLORERS[name].__name__]),
                                      *([] if name == "03_bottleneck" else [pytest.mark.thorough])]) for name in names]


@pytest.fixture(params=about(EXPLORERS))
def lesson(request):
    return request.param


@pytest.fixture(params=["light", "dark"])
def theme(request):
    return request.param


@pytest.fixture
def notebook(theme, lesson, open_lesson):
    """The lesson, opened once; each test gets its theme and starts from the explorer's first preset.

    An error is told once, by the test in which it came up.
    """
    notebook = open_lesson(f"{lesson}.ipynb")
    notebook.set_theme(theme)
    reset(ExplorerPage(notebook, EXPLORERS[lesson]))
    known = notebook.errors()
    yield notebook
    assert [error for error in notebook.errors() if error not in known] == []


light = pytest.mark.parametrize("theme", ["light"], indirect=True)
lessons_with_exercises = pytest.mark.parametrize("lesson", about(list(EXPLORERS)[1:]), indirect=True)
lessons_01_and_03 = pytest.mark.parametrize("lesson", about(["01_plain_networks", "03_bottleneck"]), indirect=True)
lesson_03 = pytest.mark.parametrize("lesson", about(["03_bottleneck"]), indirect=True)
lesson_01 = pytest.mark.parametrize("lesson", about(["01_plain_networks"]), indirect=True)


def reset(explorer):
    name, state = next(iter(explorer.kind.presets.items()))
    if explorer.shows(state):
        return state
    field = next(name for name, control in explorer.kind.controls.items() if isinstance(control, Slider | Steps))
    explorer.slider(field).press("Home")            # away from every preset, so that a click is a change
    explorer.output.locator(".widget-toggle-button.mod-active").wait_for(state="detached")
    explorer.preset(name)
    explorer.assert_shows(state)
    return state


# --- as saved: first, since each is run on the page on which it is looked at here -----


def test_a_notebook_that_was_not_run_shows_the_still_with_its_alt_text(lesson, open_lesson):
    notebook = open_lesson(f"{lesson}.ipynb", run=False)
    images = notebook.output("explorer").locator("img").evaluate_all(
        "images => images.map(i => [i.alt, i.complete && i.naturalWidth])")
    assert images and all(len(alt) > 40 and width > 400 for alt, width in images)
    assert "Error displaying widget" not in notebook.page.locator(".jp-Notebook").inner_text()
    assert "This is a still. Its controls appear when" in notebook.output("explorer").inner_text()


@lesson_03
def test_the_still_of_lesson_03_says_its_numbers(lesson, open_lesson):
    notebook = open_lesson(f"{lesson}.ipynb", run=False)
    alts = notebook.output("explorer").locator("img").evaluate_all("images => images.map(i => i.alt)")
    assert len(alts) == 2 and "1,179,648" in alts[0] and "69,632" in alts[1]
    assert "16.94" in notebook.output("explorer").inner_text()


# --- run -----


def one_of_each_kind(kind):
    """Of an explorer's controls, the first slider, the first choice …; what each position shows is the same in both homes, and
    unit tests and test_pages.py go through them."""
    return {type(control): (field, control) for field, control in reversed(kind.controls.items())}.values()


@light                                  # a theme changes colours only
def test_a_control_of_each_kind_goes_from_end_to_end_and_shows_its_state_without_flicker(notebook, lesson):
    """A slider goes to its end by keyboard, and back by mouse."""
    explorer = ExplorerPage(notebook, EXPLORERS[lesson])
    start = next(iter(explorer.kind.presets.values()))
    with watch_flicker(explorer.output) as flicker:
        for field, control in one_of_each_kind(explorer.kind):
            places = control.positions
            if isinstance(control, Slider | Steps):
                slider = explorer.slider(field)
                for move, place in ((lambda: slider.press("End"), -1), (lambda: slider.drag(0), 0),
                                    (lambda: slider.press("ArrowRight", times=3), 3)):
                    move()
                    explorer.assert_shows(replace(start, **{field: places[place]}))
                if isinstance(control, Slider):
                    slider.type(str(getattr(start, field)))
                else:
                    slider.press("Home")
                    slider.press("ArrowRight", times=places.index(getattr(start, field)))
            else:
                for position in [*places, getattr(start, field)]:
                    explorer.choose(field, position)
                    explorer.assert_shows(replace(start, **{field: position}))
            explorer.assert_shows(start)
    assert flicker.frames and flicker.changes and len(flicker.heights) == 1
    assert flicker.blanks == 0


@light
def test_every_preset_shows_its_state_and_no_text_is_clipped(notebook, lesson):
    explorer = ExplorerPage(notebook, EXPLORERS[lesson])
    for name, state in [*list(explorer.kind.presets.items())[1:], next(iter(explorer.kind.presets.items()))]:
        explorer.preset(name)
        explorer.assert_shows(state)
        explorer.assert_texts_fit()
    for end in ("End", "Home"):
        for field, control in explorer.kind.controls.items():
            if isinstance(control, Slider | Steps):
                explorer.slider(field).press(end)
        explorer.assert_texts_fit()


SHOWN = ".jp-Notebook .jp-RenderedMarkdown, .jp-Notebook .jp-OutputArea-output"  # cells and editors are JupyterLab's own


@light                                  # colours: see the next test
def test_an_accessibility_engine_objects_to_nothing(notebook, lesson):
    """axe-core, on all that a lesson shows."""
    report = Axe().run(notebook.page, context={"include": [[SHOWN]]}, options={"resultTypes": ["violations", "passes"]}).response
    looked_at = {rule["id"]: len(rule["nodes"]) for rule in report["passes"]}
    assert looked_at["aria-input-field-name"] >= len(notebook.page.locator(".jp-Notebook .noUi-handle").all())
    assert looked_at["label"] >= 3 and looked_at["svg-img-alt"] >= 1
    assert [(rule["id"], node["html"]) for rule in report["violations"] for node in rule["nodes"]] == []


@pytest.mark.thorough
def test_every_text_stands_out_from_what_lies_below_it(notebook, lesson, theme):
    screenshot(notebook.page, SCREENSHOTS / f"{lesson}_{theme}.png")
    found = contrasts(notebook.page.locator(SHOWN))
    assert len(found) > 30 and [text for text in found if text[0] < 4.5] == []
    explorer = ExplorerPage(notebook, EXPLORERS[lesson])
    for name, state in explorer.kind.presets.items():
        explorer.preset(name)
        explorer.assert_shows(state)
        found = contrasts(explorer.output.locator(".jp-OutputArea-output"))
        assert len(found) > 10 and [text for text in found if text[0] < 4.5] == []


@pytest.mark.thorough
@light                                  # a theme changes colours only
@lessons_01_and_03
def test_every_control_has_its_label_for_a_name_and_tells_its_value_and_is_reached_by_keyboard(notebook, lesson):
    explorer = ExplorerPage(notebook, EXPLORERS[lesson])
    page, names, handles = notebook.page, set(), {}
    for field, control in explorer.kind.controls.items():
        role = "slider" if isinstance(control, Slider | Steps) else "checkbox" if isinstance(control, Switch) else "combobox"
        names.add((role, explorer.kind.label(field)))
        handles[field] = explorer.box(field).get_by_role(role, name=explorer.kind.label(field), exact=True)
        assert handles[field].count() == 1, field
    assert len(names) == len(handles)
    explorer.output.get_by_role("button").first.focus()
    reached = set()
    for _ in range(100):
        page.keyboard.press("Tab")
        reached |= {field for field, handle in handles.items() if handle.and_(page.locator(":focus")).count()}
        if not explorer.output.locator(":focus").count():
            break
    assert reached == explorer.kind.controls.keys()
    for field, control in explorer.kind.controls.items():
        if isinstance(control, Slider | Steps):
            handles[field].press("End")
            notebook.settle()
            assert handles[field].get_attribute("aria-valuetext") == explorer.slider(field).value
            editable = explorer.slider(field).readout.get_attribute("contenteditable")
            assert editable == str(isinstance(control, Slider)).lower()
    group = explorer.output.get_by_role("group", name="Presets")
    for name in explorer.kind.presets:
        explorer.preset(name)
        group.get_by_role("button", name=name, exact=True, pressed=True).wait_for()
        assert group.get_by_role("button", pressed=True).count() == 1


@light
def test_the_line_that_is_read_out_stays_while_its_words_change(notebook, lesson):
    explorer = ExplorerPage(notebook, EXPLORERS[lesson])
    region = explorer.output.get_by_role("status")
    region.evaluate("region => { region.before = true; }")
    field = next(field for field, control in explorer.kind.controls.items() if isinstance(control, Slider | Steps))
    said = region.inner_text()
    explorer.slider(field).press("Home")
    notebook.settle()
    assert region.inner_text() != said and region.inner_text().strip() == explorer.says()
    assert region.evaluate("region => region.before === true")


@light
def test_a_move_changes_all_parts_of_the_picture_at_once(notebook, lesson):
    """In one task of the browser: between two it may paint."""
    explorer = ExplorerPage(notebook, EXPLORERS[lesson])
    field = next(field for field, control in explorer.kind.controls.items() if isinstance(control, Slider | Steps))
    explorer.slider(field).press("Home")
    notebook.settle()
    tasks = explorer.output.evaluate_handle("""output => {
        const tasks = [], part = ({ target }) => (target.closest ? target : target.parentElement)?.closest(".widget-html");
        const observer = new MutationObserver(records => tasks.push([...new Set(records.map(part).filter(Boolean))].length));
        observer.observe(output, { subtree: true, childList: true });
        return tasks;
    }""")
    explorer.slider(field).press("ArrowRight")
    notebook.settle()
    assert len([parts for parts in tasks.json_value() if parts]) == 1 and max(tasks.json_value()) > 1


@pytest.mark.thorough
@light
@lessons_01_and_03                      # the slowest and the largest
def test_a_hand_that_moves_fast_leaves_the_state_of_where_it_stopped(notebook, lesson):
    explorer = ExplorerPage(notebook, EXPLORERS[lesson])
    start = next(iter(explorer.kind.presets.values()))
    field, control = next((f, c) for f, c in explorer.kind.controls.items() if isinstance(c, Slider | Steps))
    slider, choose = explorer.slider(field), random.Random(3)
    for _ in range(3):
        slider.drag(choose.random(), steps=30)
        notebook.settle()
        stopped = {control.words(value): value for value in control.positions}[slider.value]
        explorer.assert_shows(replace(start, **{field: stopped}))


@pytest.mark.thorough
@light
def test_in_a_narrow_window_nothing_is_cut_off(notebook, lesson):
    page, wide = notebook.page, notebook.page.viewport_size
    page.set_viewport_size({"width": 800, "height": 1000})
    try:
        explorer = ExplorerPage(notebook, EXPLORERS[lesson])
        explorer.assert_texts_fit()
        overflow = page.locator(".jp-Notebook .jp-OutputArea-output, .jp-Notebook .cm-scroller, .jp-RenderedMarkdown").evaluate_all(
            "places => places.filter(p => p.scrollWidth > p.clientWidth + 1).map(p => p.textContent.slice(0, 80))")
        assert overflow == []
        screenshot(page, SCREENSHOTS / f"{lesson}_800.png")
        for width in (360, 320):                    # as narrow as a phone, or enlarged to four times
            page.set_viewport_size({"width": width, "height": 800})
            page.wait_for_timeout(300)
            tracks = explorer.output.locator(".noUi-base").evaluate_all("all => all.map(e => e.getBoundingClientRect().width)")
            assert tracks and min(tracks) >= 80
            cut = explorer.output.evaluate(
                """output => [...output.querySelectorAll('.jupyter-widgets label, .widget-label, .widget-readout, button')].filter(
                    e => e.getBoundingClientRect().right > output.getBoundingClientRect().right + 1).map(e => e.textContent)""")
            assert cut == []
            explorer.output.screenshot(path=SCREENSHOTS / f"{lesson}_{width}.png")
    finally:
        page.set_viewport_size(wide)


@light
def test_every_prediction_answers_a_wrong_guess_and_a_right_one(notebook, lesson):
    guesses = importlib.import_module(f"resnote.exercises.lesson_{lesson[:2]}").guesses
    asked = {cell: re.search(r"^guesses\.(\w+)$", source, re.M) for cell, source in sources(lesson).items()}
    asked = {cell: getattr(guesses, match[1]) for cell, match in asked.items() if match}
    assert len(asked) >= (1 if lesson == "00_start_here" else 2)
    for cell, question in asked.items():
        output = notebook.output(cell)
        group = output.get_by_role("radiogroup", name=question.question)
        first, second = list(question.choices)[:2]
        group.get_by_role("radio", name=first, exact=True).focus()
        notebook.page.keyboard.press("ArrowDown")                # goes on to the next choice, and takes it
        assert group.get_by_role("radio", name=second, exact=True).is_checked()
        output.get_by_role("status").get_by_text(question.choices[second]).wait_for()
        assert group.get_by_role("radio", checked=True).count() == 1
        for choice in (next(c for c in question.choices if c != question.answer), question.answer):
            output.get_by_label(choice, exact=True).check()
            notebook.settle()
            assert question.choices[choice] in output.inner_text()
            assert ("Guess again" in output.inner_text()) == (choice != question.answer)
        assert "Yes" in output.inner_text()


@light
@lessons_with_exercises
def test_every_exercise_tells_an_open_a_raising_a_wrong_and_a_right_answer_apart(notebook, lesson):
    exercises = importlib.import_module(f"resnote.exercises.lesson_{lesson[:2]}")
    for number in (1, 2, 3):
        cell, exercise = f"exercise-{number}", getattr(exercises, f"ex{number}")
        check = sources(lesson)[cell].splitlines()[-1]
        assert "Not answered yet" in notebook.output(cell).inner_text()
        raising = re.sub(r"return.*", "return 1 / 0", sources(lesson)[cell])
        wrong = re.sub(r"return.*", "return 'a guess'", sources(lesson)[cell])
        for source, outcome in ((raising, "ZeroDivisionError"), (wrong, "Wrong:"),
                                (f"import math\nimport torch\n{inspect.getsource(exercise.model)}\n{check}", "Right"),
                                (sources(lesson)[cell], "Not answered yet")):
            notebook.run_cell(cell, source)
            notebook.page.wait_for_timeout(50)
            notebook.settle()
            assert outcome in notebook.output(cell).inner_text()


@light
@lesson_01
def test_kernel_interrupt_ends_a_training_without_a_traceback_and_the_next_assertion_says_what_to_do(notebook, lesson):
    """That the lesson goes on when the training is run again, nbval's kernel shows: see ``--again``."""
    notebook.run_cell("train")
    notebook.output("train").get_by_text(re.compile(r"[1-9]\d* of \d+ epochs")).wait_for(timeout=60_000)
    notebook.interrupt()
    notebook.output("train").get_by_text("interrupted after").wait_for(timeout=20_000)
    notebook.run_cells(["train-picture", "train-facts"])
    assert notebook.output("train-picture").locator("img").count() == 1
    stopped, = notebook.cell_errors()               # what the next cell states cannot be known now, and it says so
    assert "run the training cell again" in stopped and stopped in notebook.output("train-facts").inner_text()
    notebook.run_cell("train-facts", "pass")        # so that this error, which was asked for, is none of the page's
    notebook.settle()


@pytest.mark.thorough
def test_every_text_of_a_still_stands_out(lesson, browser):
    """A still is an image, which no theme reaches; here it is opened as a drawing."""
    notebook = nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", 4)
    html = "".join(output.get("data", {}).get("text/html", "") for cell in notebook.cells for output in cell.get("outputs", []))
    pictures = [b64decode(data).decode() for data in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)]
    page = browser.new_page()
    page.set_content("".join(picture for picture in pictures if 'role="img"' in picture))   # not matplotlib's
    found = contrasts(page.locator("body"))
    page.close()
    assert len(found) >= 3 and [text for text in found if text[0] < 4.5] == []


@light
@pytest.mark.parametrize("lesson", about(["00_start_here"]), indirect=True)
def test_keys_that_move_a_slider_reach_no_command_of_the_front_end_and_other_keys_do(notebook, lesson, request):
    """Notebook 7 binds → and Home in a notebook; here JupyterLab is given such bindings."""
    notebook.page.evaluate(
        """() => {
            window.taken = [];
            window.bound = ['ArrowRight', 'ArrowUp', 'Home', 'Shift Enter'].flatMap(key => [
                jupyterapp.commands.addCommand(`test:${key}`, {execute: () => taken.push(key)}),
                jupyterapp.commands.addKeyBinding({command: `test:${key}`, keys: [key], selector: '.jp-Notebook'})]);
        }""")
    request.addfinalizer(lambda: notebook.page.evaluate("bound.forEach(each => each.dispose())"))
    slider = ExplorerPage(notebook, EXPLORERS[lesson]).slider("slope")
    for key, value in (("ArrowRight", "2"), ("ArrowUp", "3"), ("Home", "−5")):
        slider.press(key)
        assert slider.value.replace("-", "−") == value
        assert slider.handle.and_(notebook.page.locator(":focus")).count() == 1
    assert notebook.page.evaluate("taken") == []
    slider.press("Shift+Enter")
    assert notebook.page.evaluate("taken") == ["Shift Enter"]
    notebook.output("explorer").get_by_role("button").first.press("Home")       # which moves nothing there
    assert notebook.page.evaluate("taken") == ["Shift Enter", "Home"]


# --- lesson 03: settings that no slider of the others has --------------------------------------


@pytest.mark.thorough
@light
@lesson_03
def test_presets_follow_an_illegal_setting_and_every_switch_and_shortcut_counts(notebook):
    explorer = ExplorerPage(notebook, explorers.BottleneckExplorer)
    state = bottleneck.State()
    for name, preset in bottleneck.PRESETS.items():
        explorer.slider("kernel_size").type("2")              # illegal, before each preset
        explorer.assert_shows(replace(state, kernel_size=2))
        explorer.preset(name)
        state = preset
        explorer.assert_shows(state)
        blocks, shown = bottleneck.count(state), explorer.shown()
        assert {f"{block.parameters:,} parameters" for block in blocks} <= set(shown)
        assert {"cannot run" if block.problem else f"{block.macs:,}" for block in blocks} <= set(shown)
    state = bottleneck.PRESETS["The article's listings"]
    for field in ("bias", "batch_norm"):
        explorer.choose(field, True)
        state = replace(state, **{field: True})
        explorer.assert_shows(state)
    for field in ("basic_shortcut", "bottleneck_shortcut"):
        for shortcut in bottleneck.SHORTCUT_ARGUMENTS:
            explorer.choose(field, shortcut)
            state = replace(state, **{field: shortcut})
            explorer.assert_shows(state)


@pytest.mark.thorough
@light
@lesson_03
@pytest.mark.parametrize("typed, becomes", [("0", 1), ("-1", 1), ("1000000", 512), ("many", 256), ("", 256), ("64", 64)])
def test_what_is_typed_into_a_readout_ends_as_a_legal_value(notebook, typed, becomes):
    explorer = ExplorerPage(notebook, explorers.BottleneckExplorer)
    slider = explorer.slider("bottleneck_in")
    slider.type(typed)
    explorer.assert_shows(replace(bottleneck.State(), bottleneck_in=becomes))
    assert slider.value == str(becomes)                       # the readout agrees with the picture
    slider.type("256")
    explorer.assert_shows(bottleneck.State())


@pytest.mark.thorough
@light
@lesson_03
def test_no_text_of_a_drawing_is_clipped_at_the_extremes(notebook):
    explorer = ExplorerPage(notebook, explorers.BottleneckExplorer)
    for field, control in explorer.kind.controls.items():
        if isinstance(control, Slider | Steps):
            explorer.slider(field).press("End")
        else:
            explorer.choose(field, "projection 3×3" if "shortcut" in field else True)
    explorer.assert_texts_fit()
    explorer.slider("basic_out").press("Home")
    for field in ("basic_shortcut", "bottleneck_shortcut"):
        explorer.choose(field, "identity")
    explorer.slider("bottleneck_in").press("Home")
    explorer.assert_texts_fit()
    explorer.slider("kernel_size").type("6")
    explorer.assert_texts_fit()
