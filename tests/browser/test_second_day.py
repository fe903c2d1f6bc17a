"""A lesson that was run, saved and closed is opened again: stills where widgets were, and no error. And it is read elsewhere:
on paper, in a window as narrow as a phone, and in a front end that has bound the arrow keys.

What keeps a widget out of a saved file is the same code for every explorer and question, so two lessons stand for all."""

import json
import re
import shutil
import tempfile
from pathlib import Path

import nbformat
import pytest
from lab import Slider, open_notebook, running_lab, screenshot
from page import SCREENSHOTS, ExplorerPage
from make_site import main
from save_notebooks import NOTEBOOKS
from test_lessons import EXPLORERS, about, sources

from resnote.explorers.saved import VIEW


@pytest.fixture
def lesson(request):
    return request.param


def asking(lesson):
    """The cells that show an explorer or a question."""
    return [cell for cell, source in sources(lesson).items() if re.search(r"^(guesses\.|\w+Explorer\()", source, re.M)]


def run_widgets(notebook, lesson):
    """Run the import cell, and each cell that shows an explorer or a question."""
    for cell in ("imports", *asking(lesson)):
        if cell in sources(lesson):
            notebook.run_cell(cell)
            notebook.settle()
    notebook.page.wait_for_function("() => !document.querySelector('.jp-Notebook').textContent.includes('Loading widget')")


def save(notebook):
    notebook.page.keyboard.press("Control+s")
    notebook.page.wait_for_function("() => !jupyterapp.shell.currentWidget.context.model.dirty")


def trust(notebook):
    """File → Trust Notebook."""
    notebook.page.evaluate("void jupyterapp.commands.execute('notebook:trust')")
    notebook.page.locator(".jp-Dialog .jp-mod-accept").click()
    notebook.page.wait_for_function(TRUSTED)
    save(notebook)


TRUSTED = "() => [...jupyterapp.shell.currentWidget.context.model.cells].every(cell => cell.type !== 'code' || cell.trusted)"


def is_trusted(notebook):
    return notebook.page.evaluate(TRUSTED)


def is_live(notebook, cell):
    return notebook.output(cell).locator(".jupyter-widgets").count() > 0


def assert_stills(notebook, lesson, name):
    """Each explorer and question shows what its file holds, and the page no error."""
    notebook.page.wait_for_timeout(3000)         # a widget that is not found is sought for two seconds
    screenshot(notebook.page, SCREENSHOTS / f"{lesson}_second_day_{name}.png")
    assert notebook.cell_errors() == [] and notebook.page_errors == []
    for cell in asking(lesson):
        assert not is_live(notebook, cell)
        assert "Answer" in notebook.output(cell).inner_text() or notebook.output(cell).locator("img").count()
    images = notebook.output("explorer").locator("img").evaluate_all("all => all.map(i => [i.alt, i.complete && i.naturalWidth])")
    assert images and all(len(alt) > 40 and width > 400 for alt, width in images)


@pytest.fixture
def copy(served, lesson):
    return Path(shutil.copy(NOTEBOOKS / f"{lesson}.ipynb", tempfile.mkdtemp(dir=served)))


@pytest.fixture
def reopen(browser, served, copy):
    """A function: the copy in a new page of a server."""
    pages = []

    def reopen(lab, theme="light"):
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        pages.append(page)
        return open_notebook(page, lab, copy.relative_to(served).as_posix(), theme)

    yield reopen
    for page in pages:
        page.close()


@pytest.fixture
def left(lab, lesson, reopen):
    """A copy whose explorer and questions were run, trusted and saved; its page is closed, its kernel stopped."""
    notebook = reopen(lab)
    run_widgets(notebook, lesson)
    assert all(is_live(notebook, cell) for cell in asking(lesson)) and notebook.cell_errors() == []
    trust(notebook)
    assert all(is_live(notebook, cell) for cell in asking(lesson))
    notebook.page.close()
    lab.stop_kernels()


@pytest.mark.parametrize("lesson", about(["03_bottleneck"]), indirect=True)
def test_a_saved_lesson_opened_again_shows_stills_and_runs_and_on_a_new_server_too_trusted_or_not(
        left, lab, lesson, served, copy, reopen):
    outputs = [output for cell in nbformat.read(copy, 4).cells for output in cell.get("outputs", []) if "data" in output]
    assert not any(VIEW in output.data for output in outputs)
    assert sum(VIEW in output.metadata for output in outputs) == len(asking(lesson))
    notebook = reopen(lab)
    assert is_trusted(notebook)
    assert_stills(notebook, lesson, "same_server_trusted")
    run_widgets(notebook, lesson)
    assert all(is_live(notebook, cell) for cell in asking(lesson)) and notebook.cell_errors() == []
    explorer = ExplorerPage(notebook, EXPLORERS[lesson])
    explorer.assert_shows(next(iter(explorer.kind.presets.values())))
    notebook.page.close()                           # without saving
    with running_lab(served) as other:
        notebook = reopen(other, "dark")
        assert not is_trusted(notebook)
        assert_stills(notebook, lesson, "new_server_untrusted")
        trust(notebook)
        notebook.page.close()
        other.stop_kernels()
        notebook = reopen(other)
        assert is_trusted(notebook)
        assert_stills(notebook, lesson, "new_server_trusted")


@pytest.mark.parametrize("lesson", about(["00_start_here"]), indirect=True)
def test_a_lesson_run_as_a_whole_and_saved_opens_trusted_with_stills_and_on_a_page_loaded_anew_lives_on(lab, lesson, copy, reopen):
    notebook = reopen(lab)
    notebook.run_all()
    save(notebook)
    notebook.page.close()
    notebook = reopen(lab)              # the kernel runs on
    notebook.output("explorer").get_by_role("slider").first.wait_for()
    assert notebook.cell_errors() == [] and all(is_live(notebook, cell) for cell in asking(lesson))
    explorer = ExplorerPage(notebook, EXPLORERS[lesson])
    name, state = list(explorer.kind.presets.items())[1]
    explorer.preset(name)
    explorer.assert_shows(state)
    save(notebook)
    notebook.page.close()
    lab.stop_kernels()
    notebook = reopen(lab)
    assert is_trusted(notebook)
    assert_stills(notebook, lesson, "run_all")
    assert json.loads(copy.read_text(encoding="utf-8"))["metadata"].get("widgets") is None


@pytest.mark.parametrize("lesson", about(["00_start_here"]), indirect=True)
def test_a_lesson_saved_without_being_run_shows_stills(lab, lesson, reopen):
    notebook = reopen(lab)
    notebook.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    trust(notebook)
    notebook.page.close()
    lab.stop_kernels()
    notebook = reopen(lab)
    assert is_trusted(notebook)
    assert_stills(notebook, lesson, "not_run_trusted")


@pytest.mark.parametrize("lesson", about(["00_start_here"]), indirect=True)
def test_keys_that_move_a_slider_reach_no_command_of_the_front_end_and_other_keys_do(lab, lesson, reopen):
    """Notebook 7 binds → and Home in a notebook; here JupyterLab is given such bindings."""
    notebook = reopen(lab)
    run_widgets(notebook, lesson)
    notebook.page.evaluate(
        """() => {
            window.taken = [];
            for (const key of ['ArrowRight', 'ArrowUp', 'Home', 'Shift Enter']) {
                jupyterapp.commands.addCommand(`test:${key}`, {execute: () => taken.push(key)});
                jupyterapp.commands.addKeyBinding({command: `test:${key}`, keys: [key], selector: '.jp-Notebook'});
            }
        }""")
    slider = Slider(notebook.output("explorer").locator(".resnote-slope"))
    for key, value in (("ArrowRight", "2"), ("ArrowUp", "3"), ("Home", "−5")):
        slider.press(key)
        assert slider.value.replace("-", "−") == value
        assert slider.handle.and_(notebook.page.locator(":focus")).count() == 1
    assert notebook.page.evaluate("taken") == []
    slider.press("Shift+Enter")
    assert notebook.page.evaluate("taken") == ["Shift Enter"]
    notebook.output("explorer").get_by_role("button").first.press("Home")       # which moves nothing there
    assert notebook.page.evaluate("taken") == ["Shift Enter", "Home"]


@pytest.mark.parametrize("lesson", about(["03_bottleneck"]), indirect=True)
def test_in_a_window_as_narrow_as_a_phone_every_slider_has_a_track_and_nothing_is_cut_off(lab, lesson, reopen):
    notebook = reopen(lab)
    run_widgets(notebook, lesson)
    for width in (320, 360):
        notebook.page.set_viewport_size({"width": width, "height": 800})
        notebook.page.wait_for_timeout(300)
        tracks = notebook.output("explorer").locator(".noUi-base").evaluate_all("all => all.map(e => e.getBoundingClientRect().width)")
        assert len(tracks) == 8 and min(tracks) >= 80
        cut = notebook.output("explorer").evaluate(
            """output => [...output.querySelectorAll('.jupyter-widgets label, .widget-label, .widget-readout, button')].filter(
                e => e.getBoundingClientRect().right > output.getBoundingClientRect().right + 1).map(e => e.textContent)""")
        assert cut == []
        notebook.output("explorer").screenshot(path=SCREENSHOTS / f"{lesson}_{width}.png")


@pytest.mark.subject("pages")
def test_no_page_is_cut_off_on_paper(browser, tmp_path):
    """As wide as A4 between its margins, where nothing scrolls."""
    main(str(tmp_path))
    page = browser.new_page(viewport={"width": 700, "height": 1000})
    page.emulate_media(media="print")
    for file in sorted(tmp_path.glob("[0-9]*.html")):
        page.goto(file.as_uri())
        cut = page.evaluate("""() => [...document.querySelectorAll('body *')].filter(e => !e.closest('svg') && e.checkVisibility()
            && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.textContent.slice(0, 60))""")
        assert cut == [], file.name
    page.close()
