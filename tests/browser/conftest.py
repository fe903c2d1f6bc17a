"""Fixtures for tests in the browser: one JupyterLab and one Chromium for nearly all of them, and of each lesson the few
cells that are looked at.

Without Chromium these tests are skipped, or fail where REQUIRE_BROWSER=1. Where a test of a `Notebook` fails, its page is
saved in screenshots/.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

import nbformat
import pytest
from lab import CHROMIUM, Notebook, launch_chromium, open_notebook, running_lab, screenshot
from page import SCREENSHOTS
from playwright.sync_api import expect, sync_playwright
from save_notebooks import NOTEBOOKS
from web import FEW

expect.set_options(timeout=30_000)      # the usual five seconds are short on a machine that is busy


def missing(what: str, package: str) -> None:
    stop = pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip
    stop(f"{what} is missing; on Debian: apt-get install {package}")


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM.exists():
        missing(str(CHROMIUM), "chromium")
    with sync_playwright() as playwright:
        yield launch_chromium(playwright)


@pytest.fixture(scope="session")
def site(pages):
    """The folder that `make site` writes, without the tables."""
    from browser_python import KEPT, write_python

    if not shutil.which("node") or not (shutil.which("npm") or [*KEPT.glob("pyodide-*.tgz")]):
        missing("npm, or its Node,", "npm")
    write_python(pages / "python")
    return pages


@pytest.fixture(scope="session")
def tables(site, tmp_path_factory):
    """What the explorers of lessons 01 and 05 read on their pages, written into `site`."""
    from tables import write_tables

    write_tables(site / "python", FEW, tmp_path_factory.mktemp("kept") if FEW else None)


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """The folder that JupyterLab shows."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="session")
def lab(browser, served):
    with running_lab(served) as lab:
        yield lab


LOOKED_AT = re.compile(r"imports|explorer|guess-.*|exercise-\d+")


@pytest.fixture(scope="session")
def open_lesson(browser, lab, served):
    """A function (name, run) → Notebook, the same until another name is asked for: one page of JupyterLab shows all.

    With ``run`` the saved notebook is trusted, and only the cells that tests look at are run: nbval compares the outputs of
    all. Without, none is run. A copy is opened, and may be saved. Where a lesson
    cannot be run, the first test that asks for it fails, and the others are skipped.
    """
    page, shown, failed = browser.new_page(viewport={"width": 1400, "height": 1000}), {}, set()

    def open_once(name, run=True):
        if name in failed:
            pytest.skip(f"{name} could not be run: see the first test that did")
        if (name, run) not in shown:
            failed.add(name)
            notebook = shown.pop((name, False), None)
            shown.clear()
            notebook = notebook or open_copy(name)
            if run:
                notebook.trust()
                cells = nbformat.read(NOTEBOOKS / name, 4).cells
                notebook.run_cells([cell.id for cell in cells if cell.cell_type == "code" and LOOKED_AT.fullmatch(cell.id)])
            shown[name, run] = notebook
            assert notebook.errors() == []
            failed.remove(name)
        return shown[name, run]

    def open_copy(name):
        copy = Path(shutil.copy(NOTEBOOKS / name, tempfile.mkdtemp(dir=served)))
        return open_notebook(page, lab, copy.relative_to(served).as_posix())

    return open_once


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Lesson by lesson, so that each is opened once: first as it is saved, then run, in light, in dark."""
    def order(item):
        asked = item.callspec.params if hasattr(item, "callspec") else {}
        return asked.get("lesson", ""), ("", "light", "dark").index(asked.get("theme", ""))

    places = [place for place, item in enumerate(items) if item.path.name == "test_lessons.py"]
    for place, item in zip(places, sorted((items[place] for place in places), key=order)):
        items[place] = item


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for shown in item.funcargs.values():
            if isinstance(shown, Notebook):
                screenshot(shown.page, SCREENSHOTS / (re.sub(r"[^-\w]+", "_", item.name) + ".png"))
    return report
