"""One fault gives one red line, and a cell that does not end is red: tried on small lessons and tests with one fault each."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
STUBBORN = """
import time
def train():
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pass
train()
"""


pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester, monkeypatch):
    """A folder for small lessons and tests; `run` runs them as `make test` does, in a kernel of this environment."""
    path = pytester.path
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT / "tests", ROOT / "tools", ROOT))))
    monkeypatch.setenv("RED_LINES", str(path / "red"))
    monkeypatch.delenv("COLUMNS", raising=False)
    (path / "red").mkdir()
    pytester.makeconftest('pytest_plugins = ["one_red_line"]')
    pytester.makeini("[pytest]")

    def lesson(name, **cells):
        made = [nbformat.v4.new_code_cell(source, id=cell.replace("_", "-")) for cell, source in cells.items()]
        nbformat.write(nbformat.v4.new_notebook(cells=made), path / f"{name}.ipynb")

    def run(*arguments):
        ended = pytester.runpytest_inprocess("-v", "-rfEs", "--color=no", "-p", "no:cacheprovider", "--junitxml=report.xml",
                                             "--nbval", "--nbval-current-env", *arguments)
        outcomes = {}
        for case in ElementTree.parse(path / "report.xml").iter("testcase"):
            outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
            outcomes.setdefault(outcome, []).append(case.get("name").partition("@")[0])
        text = ended.stdout.str()
        return SimpleNamespace(code=ended.ret, outcomes=outcomes, summary=text.partition("short test summary info")[2], text=text)

    return SimpleNamespace(path=path, lesson=lesson, run=run)


def test_a_cell_that_does_not_end_is_the_one_red_line_and_the_cells_after_it_are_not_run(project):
    """Whether the interrupt raises in it, or ends it as if all were well."""
    endless = {"raises": "import time\ntime.sleep(60)", "ends": STUBBORN, "says": STUBBORN.replace("pass", "print('Interrupted')")}
    for name, source in endless.items():
        project.lesson(name, **{f"{name}_first": "x = 1", name: source, f"{name}_facts": "open('touched', 'w').close()", f"{name}_x": "x = 2"})
    ended = project.run("--nbval-cell-timeout", "2")
    assert {key: sorted(names) for key, names in ended.outcomes.items()} == {
        "passed": sorted(f"{name}-first" for name in endless), "failure": sorted(endless),
        "skipped": sorted(f"{name}-{cell}" for name in endless for cell in ("facts", "x"))}, ended.text
    assert ended.code == 1 and not (project.path / "touched").exists()
    for name in endless:
        assert f"{name}, cell {name}: The cell did not end within 2 s, and was interrupted." in ended.text
        assert f"not run, since a cell before it did not end: see {name}.ipynb::{name}\n" in ended.summary


@pytest.mark.thorough
def test_without_this_plugin_a_cell_that_turns_the_interrupt_into_a_normal_end_is_green(project):
    """Why the plugin is needed. Where this test fails, nbval has mended it."""
    project.lesson("01_hangs", train=STUBBORN, facts="pass")
    (project.path / "conftest.py").unlink()
    assert project.run("--nbval-cell-timeout", "2").code == 0


def test_a_false_assertion_is_one_red_line_that_names_lesson_and_cell(project):
    project.lesson("02_false", one="x = 1", two="assert x == 2, 'x is 1'\ny = 3", three="print(y)", four="x = 4")
    project.lesson("03_right", one="x = 1")
    project.path.joinpath("test_browser.py").write_text(
        "import pytest\n@pytest.mark.subject('02_false', needs=['XExplorer'])\n@pytest.mark.parametrize('n', range(3))\n"
        "def test_looks(n): assert False\n@pytest.mark.subject('03_right')\ndef test_right(): pass\ndef test_other(): pass", encoding="utf-8")
    ended = project.run("02_false.ipynb", "03_right.ipynb", "test_browser.py", "-n", "2", "--dist", "loadgroup")
    assert ended.outcomes["failure"] == ["two"] and ended.code == 1, ended.text
    assert sorted(ended.outcomes["passed"]) == ["four", "one", "one", "test_other", "test_right"]
    assert sorted(ended.outcomes["skipped"]) == ["test_looks[0]", "test_looks[1]", "test_looks[2]", "three"]
    assert "FAILED 02_false.ipynb::two" in ended.summary and "02_false, cell two: AssertionError: x is 1" in ended.summary
    assert "see 02_false.ipynb::two" in ended.summary
    assert "fails too (NameError: name 'y' is not defined): see 02_false.ipynb::two" in ended.summary


EXPLORER_TESTS = """
import pytest
pytestmark = pytest.mark.subject("WaveExplorer")
@pytest.fixture
def page():
    yield
    assert False, "also at its end"
def test_draws(page): assert False
def test_numbers(): assert False
"""


def test_a_broken_explorer_is_one_red_line_in_all_parts_of_a_run(project):
    project.lesson("02_wave", one="def WaveExplorer(): raise ValueError('cannot draw')", explorer="WaveExplorer()", three="x = 1")
    project.path.joinpath("test_wave.py").write_text(EXPLORER_TESTS, encoding="utf-8")
    first = project.run("test_wave.py")
    assert "1 failed, 2 skipped" in first.text and first.outcomes["failure"] == ["test_draws"], first.text
    assert "fails too (also at its end" in first.summary and "see test_wave.py::test_draws" in first.summary
    assert "FAILED test_wave.py::test_draws - WaveExplorer: assert False" in first.summary
    second = project.run("02_wave.ipynb", "--again")
    assert second.code == 0 and "failure" not in second.outcomes, second.text
    assert second.outcomes["passed"] == ["one", "three"]
    assert "fails too (ValueError: cannot draw): see test_wave.py::test_draws" in second.summary


@pytest.mark.thorough
def test_where_no_folder_is_named_every_test_is_run(project, monkeypatch):
    monkeypatch.delenv("RED_LINES")
    project.path.joinpath("test_wave.py").write_text(EXPLORER_TESTS, encoding="utf-8")
    assert "2 failed, 1 error" in project.run("test_wave.py").text


@pytest.mark.thorough
def test_tests_that_are_tied_by_their_subjects_run_in_one_worker(project):
    project.path.joinpath("test_tied.py").write_text(
        "import pytest\n" + "\n".join(f"@pytest.mark.subject('{name}', needs={needs})\ndef test_{name}(): pass"
                                     for name, needs in {"a": [], "b": ["a"], "c": ["b"], "d": []}.items()), encoding="utf-8")
    listed = project.run("test_tied.py", "-n", "1", "--dist", "loadgroup").text
    assert all(f"test_{name}@a " in listed for name in "abc") and "test_d@d " in listed, listed


TRAINING = """
import time
from resnote.progress import Progress
class Run: stopped = None
with Progress(20) as bar:
    for epoch in range(20):
        time.sleep(0.05)
        if bar.interrupted:
            Run.stopped = "Interrupted"
            break
        bar.move(epoch + 1)
"""
FACTS = "assert Run.stopped is None, 'run the training cell again'"


@pytest.mark.thorough
def test_again_means_each_training_after_an_interrupt_and_all_cells_without_one_in_the_same_kernel(project):
    project.lesson("right", train=TRAINING, picture="x = 1", facts=FACTS)
    project.lesson("mute", train=TRAINING, facts="assert bar.total == 20")
    project.lesson("raises", train=TRAINING.replace("break", "raise ValueError"), facts=FACTS)
    project.lesson("counts", train="k = globals().get('k', 0) + 1", facts="assert k == 1")
    ended = project.run("--again")
    assert sorted(ended.outcomes["failure"]) == ["facts-again", "train-interrupted", "train-interrupted"], ended.text
    assert "mute, train-interrupted: facts must say what to do after train was interrupted" in ended.text
    assert "raises, train-interrupted: train, interrupted, put out" in ended.text
    assert "counts, cell facts-again: AssertionError" in ended.text
    assert re.findall(r"right.ipynb::(\S+) PASSED", ended.text) == [
        "train-interrupted", "train", "picture", "facts", "picture-again", "facts-again"]


@pytest.mark.thorough
def test_each_training_of_the_lessons_is_interrupted_and_each_cell_without_one_is_run_again(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    listed = subprocess.run([sys.executable, "-m", "pytest", "--collect-only", "-q", "--nbval", "--again", "notebooks"], cwd=ROOT,
                            capture_output=True, text=True, encoding="utf-8").stdout
    assert set(re.findall(r"notebooks/(\d\d)_\w+\.ipynb::\S+-interrupted", listed)) == {"01", "02", "03", "04", "05", "06"}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "code":
                twice = f"{cell.id}-interrupted" if "with Progress(" in cell.source else f"{cell.id}-again"
                found = [f"{path.stem}.ipynb::{name}\n" in listed for name in (cell.id, twice)]
                assert found == [True, (path.stem, cell.id) != ("06_resnet", "replicas")], cell.id
