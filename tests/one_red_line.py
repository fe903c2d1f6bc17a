"""A pytest plugin: one fault gives one red line, and a lesson's cell that does not end is red.

A test that is marked ``subject("BlockExplorer")`` is about that explorer; one marked ``subject("02_residual_block",
needs=["BlockExplorer"])`` is about that lesson, which stands on it. Where ``RED_LINES`` names a folder, as in `make
test`, the first test that fails makes its subjects red there, for all parts and workers of the run; further tests of a
red subject, or of one that needs it, are skipped and say which line is red. Without that folder each test is run.
Tests with a subject in common run in one worker (``--dist loadgroup``), in the order in which they are collected.

A lesson's cells, which nbval runs, have the lesson for their subject. They bear the ids that they have in the file. The
cells after a red one are run, with or without the folder; those that fail too are skipped, with the reason. But when a
cell has timed out, nbval only interrupts it, and a training that is interrupted ends as if all were well: here that cell
fails, and the cells after it are not run. With ``--again``, each training under ``with Progress(…)`` is interrupted before
nbval runs it, in the same kernel: so what nbval compares with the file is a training that was interrupted and run again.
After the last cell the others are run once more, but for a cell that leaves its work to processes of their own.
"""

import os
import re
from pathlib import Path
from queue import Empty

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile
from source_coverage import asserts

TRAINS = re.compile(r"^with Progress\(", re.M)
IN_PROCESSES = re.compile(r"\bsubprocess\.run\(")
EXPLORER = re.compile(r"^(\w+Explorer)\(", re.M)
AGAIN = "run (the training|this) cell again"


def pytest_addoption(parser):
    parser.getgroup("nbval").addoption(
        "--again", action="store_true",
        help="Interrupt each training before it is run; and after each lesson's last cell, run all cells without one again.")


def pytest_configure(config):
    config.addinivalue_line("markers", "subject(*names, needs=()): what the test is about, and what that stands on")
    config.stash[RED] = RedLines(os.environ.get("RED_LINES"))


# --- what is red -------------------------------------------------------------------------------


class RedLines:
    """The subjects that are red, each with the test that says so: in ``folder``, or for this process where it is None."""

    def __init__(self, folder: str | None):
        self.folder, self.own = folder and Path(folder), {}

    def find(self, subjects) -> str | None:
        """The red line of the first of ``subjects`` that has one."""
        for subject in subjects:
            if self.folder and (self.folder / subject).exists():
                return (self.folder / subject).read_text(encoding="utf-8")
            if subject in self.own:
                return self.own[subject]

    def note(self, subjects, line: str) -> None:
        for subject in subjects:
            self.own.setdefault(subject, line)
            if self.folder and not (self.folder / subject).exists():
                (self.folder / subject).write_text(line, encoding="utf-8")


RED = pytest.StashKey[RedLines]()


def subjects(item) -> tuple[list[str], list[str]]:
    """What a test is about, and what that needs."""
    marks = list(item.iter_markers("subject"))
    return [name for mark in marks for name in mark.args], [name for mark in marks for name in mark.kwargs.get("needs", ())]


def red_line(item) -> str | None:
    own, needed = subjects(item)
    return item.config.stash[RED].find(needed + own)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that are tied to each other by their subjects are kept on one worker."""
    groups = []                         # sets of names that have no name in common
    for item in items:
        names = set().union(*subjects(item))
        if names:
            tied = [group for group in groups if group & names]
            groups = [group for group in groups if not group & names] + [names.union(*tied)]
    for item in items:
        own, _ = subjects(item)
        if own and not item.get_closest_marker("xdist_group"):
            group = next(group for group in groups if own[0] in group)
            item.add_marker(pytest.mark.xdist_group(min(sorted(group), key=len)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if isinstance(item.parent, IPyNbFile):
        if item.parent.timed_out:
            pytest.skip(f"not run, since a cell before it did not end: see {red_line(item)}")
        if item.name in item.parent.second and (line := red_line(item)):
            pytest.skip(f"not run again: see {line}")
    elif item.config.stash[RED].folder and (line := red_line(item)):
        pytest.skip(f"see {line}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        line, (own, _) = red_line(item), subjects(item)
        unnamed = [name for name in own if name not in report.nodeid]
        if unnamed and getattr(report.longrepr, "reprcrash", None):
            report.longrepr.reprcrash.message = f"{', '.join(unnamed)}: {report.longrepr.reprcrash.message}"
        if isinstance(item, IPyNbCell):
            if isinstance(report.longrepr, str):        # nbval's own text, whose first line stands in the summary
                first = f"{item.parent.path.stem}, cell {item.name}: {_why(call.excinfo.value)}"
                report.longrepr = report.longrepr.replace("Notebook cell execution failed", first, 1)
        if line and (isinstance(item, IPyNbCell) or item.config.stash[RED].folder):
            report.outcome, report.longrepr = "skipped", (str(item.path), 0, f"fails too ({_why(call.excinfo.value)}): see {line}")
        else:
            item.config.stash[RED].note(own, re.sub(r"@[^]]*$", "", report.nodeid))     # without the worker's group
    return report


def _why(error) -> str:
    """The error in one line; of a cell that raised, what it raised."""
    text = str(error).partition("\n")[0]
    if text == "Cell execution caused an exception":
        text = re.sub(r"\x1b\[[\d;]*m", "", error.inner_traceback).strip().splitlines()[-1]
    return text


# --- the cells of a lesson ---------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if isinstance(collector, IPyNbFile) and report.passed:
        lesson, cells = collector.path.stem, report.result
        sources = [item.cell.source for item in cells]
        explorers = [name for source in sources for name in EXPLORER.findall(source)]
        for item in cells:
            _name(item, item.cell.id)
        collector.second = set()
        if collector.config.option.again:
            trainings = {item: Interrupted.from_parent(collector, name=f"{item.cell.id}-interrupted", cells=[each.cell for each in cells[n:]])
                         for n, item in enumerate(cells) if TRAINS.search(item.cell.source)}
            again = [IPyNbCell.from_parent(collector, name="again", cell_num=item.cell_num, cell=item.cell,
                                           options=item.options)
                     for item in cells if item not in trainings and not IN_PROCESSES.search(item.cell.source)]
            for item in again:
                _name(item, f"{item.cell.id}-again")
            collector.second = {item.name for item in [*trainings.values(), *again]}
            report.result = [each for item in cells for each in ([trainings[item]] if item in trainings else []) + [item]] + again
        for item in report.result:
            item.output_timeout = 30        # seconds for an interrupted training to end its step, on a slow machine too
            item.add_marker(pytest.mark.subject(lesson, needs=explorers))
    return report


def _name(item, name):
    item.name, item._nodeid = name, f"{item.parent.nodeid}::{name}"
    item.reportinfo = lambda: (item.path, 0, f"{item.parent.path.stem}, cell {name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if not isinstance(item, IPyNbCell):
        return (yield)
    try:
        return (yield)
    finally:
        # An error that the interrupt raised is lost here: that the cell did not end says more.
        if item.parent.timed_out:
            item.raise_cell_error(f"The cell did not end within {item.config.option.nbval_cell_timeout:g} s, and was interrupted.")


class Interrupted(pytest.Item):
    """Interrupt Kernel in the middle of a training, the first of ``cells``: there is no traceback there, nor in the cells
    below until the next one that asserts, which says what to do."""

    def __init__(self, cells, **how):
        super().__init__(**how)
        self.cells = cells

    def reportinfo(self):
        return self.path, 0, f"{self.parent.path.stem}, {self.name}"

    def runtest(self):
        training, *below = self.cells
        for _ in range(3):          # a short one may end before the interrupt is there
            texts, errors = self.run_cell(training, interrupt_when=r": [1-9]\d* of \d+ epochs")
            if not texts or "finished" not in texts[-1]:
                break
        assert errors == [] and "interrupted after" in texts[-1], f"{training.id}, interrupted, put out {texts[-1:]}, {errors}"
        for cell in below:
            texts, errors = self.run_cell(cell)
            if asserts(cell.source):
                assert re.search(f"^AssertionError: .*{AGAIN}", "".join(errors)), (
                    f"{cell.id} must say what to do after {training.id} was interrupted, and says {errors}")
                break
            assert errors == [] and bool(texts) == bool(cell.outputs), f"{cell.id}, after {training.id} was interrupted: {errors}"

    def run_cell(self, cell, interrupt_when=None):
        """The text of each output, also of those that replace one, and the errors."""
        kernel, timeout = self.parent.kernel, self.config.option.nbval_cell_timeout
        request, texts, errors = kernel.execute_cell_input(cell.source, allow_stdin=False), [], []
        while True:
            try:
                message = kernel.get_message("iopub", timeout=timeout)
            except Empty:
                pytest.fail(f"{cell.id} neither ended nor put out anything for {timeout:g} s")
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != request:
                continue
            if kind in ("display_data", "execute_result", "update_display_data"):
                texts.append(content["data"]["text/plain"])
                if interrupt_when and re.search(interrupt_when, texts[-1]):
                    kernel.interrupt()
                    interrupt_when = None
            elif kind == "stream":
                texts.append(content["text"])
            elif kind == "error":
                errors.append(f"{content['ename']}: {content['evalue']}")
            elif content.get("execution_state") == "idle":
                return texts, errors

    def repr_failure(self, excinfo):
        return f"{self.parent.path.stem}, {self.name}: {excinfo.value}"
