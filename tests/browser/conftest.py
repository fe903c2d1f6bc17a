"""Fixtures for tests in the browser: one JupyterLab and one Chromium for all of them, and each lesson run once.

Without Chromium these tests are skipped, or fail where REQUIRE_BROWSER=1. A page whose test fails is saved in
screenshots/.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from lab import CHROMIUM, Notebook, launch_chromium, open_notebook, running_lab, screenshot
from page import SCREENSHOTS
from playwright.sync_api import sync_playwright
from save_notebooks import NOTEBOOKS


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM.exists():
        missing = pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip
        missing(f"{CHROMIUM} is missing; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        yield launch_chromium(playwright)


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """The folder that JupyterLab shows, with the records that lessons read."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "benchmarks").mkdir()
    for record in (NOTEBOOKS.parent / "benchmarks").glob("*.json"):
        shutil.copy(record, folder / "benchmarks")
    return folder


@pytest.fixture(scope="session")
def lab(browser, served):
    with running_lab(served) as lab:
        yield lab


@pytest.fixture(scope="session")
def open_lesson(browser, lab, served):
    """A function (name, run) → Notebook in a page of its own; the same notebook for the same name and run.

    Each opens a copy of its own, since JupyterLab saves what it shows. One that was not run is no longer to be had
    after the same lesson was asked for run: it is then opened again.
    """
    opened = {}

    def open_once(name, run=True):
        if (name, run) not in opened:
            notebook = opened.pop((name, False), None) or open_copy(name)
            if run:
                notebook.run_all()
            opened[name, run] = notebook
        return opened[name, run]

    def open_copy(name):
        copy = Path(shutil.copy(NOTEBOOKS / name, tempfile.mkdtemp(dir=served)))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        return open_notebook(page, lab, copy.relative_to(served).as_posix())

    return open_once


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for shown in item.funcargs.values():
            if isinstance(shown, Notebook):
                screenshot(shown.page, SCREENSHOTS / (re.sub(r"[^-\w]+", "_", item.name) + ".png"))
    return report
