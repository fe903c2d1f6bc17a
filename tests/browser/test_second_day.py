"""A lesson that was run, saved and closed is opened again: stills where widgets were, and no error. And it is
read on paper.

What keeps a widget out of a saved file is the same code for every explorer and question, so lesson 00 stands for all."""

import re
import shutil
import tempfile
from pathlib import Path

import nbformat
import pytest
from lab import open_notebook, running_lab, screenshot
from page import SCREENSHOTS, ExplorerPage
from save_notebooks import NOTEBOOKS
from test_lessons import EXPLORERS, about, sources

from resnote.hosts.saved import VIEW

pytestmark = pytest.mark.thorough


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
    """File → Save Notebook, to its end: a save begun while another is under way can ask whether the file changed on disk."""
    notebook.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    assert not notebook.page.evaluate("jupyterapp.shell.currentWidget.context.model.dirty")


def trust(notebook):
    """File → Trust Notebook, which saves."""
    notebook.page.evaluate("() => { window.trusting = jupyterapp.commands.execute('notebook:trust'); }")
    notebook.page.locator(".jp-Dialog .jp-mod-accept").click()
    assert notebook.page.evaluate("trusting")["trusted"] and is_trusted(notebook)


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
    """A function: the copy in a new page of a server, or closed and opened again in a page that is open there."""
    pages = []

    def reopen(lab, theme="light", page=None):
        if page is None:
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            pages.append(page)
        return open_notebook(page, lab, copy.relative_to(served).as_posix(), theme)

    yield reopen
    for page in pages:
        page.close()


@pytest.mark.parametrize("lesson", about(["00_start_here"]), indirect=True)
def test_a_lesson_that_was_run_and_saved_opens_again_on_the_same_server_and_on_a_new_one_trusted_or_not(lab, lesson, served, copy, reopen):
    notebook = reopen(lab)
    notebook.run_all()
    save(notebook)
    notebook.page.close()

    notebook = reopen(lab)              # the kernel runs on: so do the widgets
    notebook.output("explorer").get_by_role("slider").first.wait_for()
    assert notebook.cell_errors() == [] and all(is_live(notebook, cell) for cell in asking(lesson))
    explorer = ExplorerPage(notebook, EXPLORERS[lesson])
    name, state = list(explorer.kind.presets.items())[1]
    explorer.preset(name)
    explorer.assert_shows(state)
    save(notebook)
    saved = nbformat.read(copy, 4)
    outputs = [output for cell in saved.cells for output in cell.get("outputs", []) if "data" in output]
    assert not any(VIEW in output.data for output in outputs) and "widgets" not in saved.metadata
    assert sum(VIEW in output.metadata for output in outputs) == len(asking(lesson))

    notebook = reopen(lab, page=notebook.page)
    assert is_trusted(notebook)
    assert_stills(notebook, lesson, "same_server_trusted")
    run_widgets(notebook, lesson)       # and it runs again
    assert all(is_live(notebook, cell) for cell in asking(lesson)) and notebook.cell_errors() == []
    notebook.page.close()               # without saving
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
def test_a_lesson_saved_without_being_run_shows_stills(lab, lesson, reopen):
    notebook = reopen(lab)
    save(notebook)
    trust(notebook)
    notebook = reopen(lab, page=notebook.page)
    assert is_trusted(notebook)
    assert_stills(notebook, lesson, "not_run_trusted")


@pytest.mark.subject("pages", needs=["explorers"])
def test_no_page_is_cut_off_on_paper(browser, site):
    """As wide as A4 between its margins, where nothing scrolls."""
    page = browser.new_page(viewport={"width": 700, "height": 1000})
    page.emulate_media(media="print")
    for file in sorted(site.glob("[0-9]*.html")):
        page.goto(file.as_uri())
        cut = page.evaluate("""() => [...document.querySelectorAll('body *')].filter(e => !e.closest('svg') && e.checkVisibility()
            && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.textContent.slice(0, 60))""")
        assert cut == [], file.name
    page.close()
