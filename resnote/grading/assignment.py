"""A lesson as an assignment: the cells of a teacher's and of a student's version, for nbgrader and for otter-grader.

An exercise's cell becomes three: the answer, the published check, and the points, with hidden cases in the teacher's
version only. The lesson itself stays as it is. Functions take and give notebooks of `nbformat`, and touch no file.
"""

from __future__ import annotations

import ast
import builtins
import copy
import inspect
import json
import re
import sys
import textwrap
from dataclasses import dataclass

import nbformat

CHECKED = re.compile(r"\n+exercises\.(ex\d+)\.check\((\w+)\)\s*$")
HELP = "hints", "solutions"


class AssignmentError(ValueError):
    """A notebook that no assignment can be made of, or settings that do not fit it, in a sentence."""


@dataclass(frozen=True)
class Task:
    """An exercise of a lesson: the ids of its cell, its label there, what learners write, and its points."""

    cell: str
    label: str
    name: str
    points: int


def tasks(notebook, points=None) -> list[Task]:
    """The lesson's exercises in their order; ``points`` for each, by default as many as its heading has stars.

    Raises
    ------
    AssignmentError
        where there are none, or another number of points.
    """
    if not all("id" in cell for cell in notebook.cells):
        raise AssignmentError("This notebook's cells have no ids: another program has saved it. Take the lesson as the course has it.")
    found, stars = [], 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and "### Exercise" in cell.source:
            stars = cell.source.split("### Exercise")[1].split("\n")[0].count("★")
        checked = CHECKED.search(cell.source) if cell.cell_type == "code" else None
        if checked:
            found.append(Task(cell.id, *checked.groups(), max(1, stars)))
    if not found or "exercises" not in [cell.id for cell in notebook.cells]:
        raise AssignmentError("This notebook has no exercise: no code below a heading with the id exercises ends in exercises.ex1.check(answer) or the like.")
    if points is not None and len(points) != len(found):
        raise AssignmentError(f"There are {len(found)} exercises and {len(points)} numbers of points. Give one for each.")
    return found if points is None else [Task(t.cell, t.label, t.name, worth) for t, worth in zip(found, points)]


def teachers(notebook, lesson, *, points=None, hidden: int, off=(), only_exercises=False):
    """The version that nbgrader reads as ``source``: solutions and hidden cases stand between its marks.

    Parameters
    ----------
    notebook : the lesson
    lesson : its module in `resnote.exercises`
    points : for each exercise; the stars of its heading by default
    hidden : the seed of the hidden cases, which learners must not know
    off : of "hints" and "solutions", what learners do not get
    only_exercises : whether the lesson before them is left out
    """
    chosen = tasks(notebook, points)
    imported = _bound(notebook)

    def answered(task, stub):
        solution = f"### BEGIN SOLUTION\n{_solution(getattr(lesson, task.label).model, imported)}\n### END SOLUTION"
        return [_code(task.cell, f"{stub}\n\n{solution}", solution=True, locked=False, grade_id=_grade_id(lesson, task)),
                _checked(task),
                _code(f"{task.cell}-points", f"# Here your answer to {_words(task.cell)} gets its points.\n### BEGIN HIDDEN TESTS\n"
                      f"{_graded(task, hidden)}\n### END HIDDEN TESTS", grade=True, points=task.points,
                      grade_id=f"{_grade_id(lesson, task)}-points")]

    return _rebuilt(notebook, lesson, chosen, answered, off, only_exercises)


def students(notebook, lesson, *, points=None, off=(), only_exercises=False):
    """The version that learners get: that of `teachers`, as nbgrader releases it."""
    version = teachers(notebook, lesson, points=points, hidden=0, off=off, only_exercises=only_exercises)
    for cell in version.cells:
        cell.source = re.sub(r"\n*### BEGIN (SOLUTION|HIDDEN TESTS)\n.*?### END \1", "", cell.source, flags=re.DOTALL)
    return version


def otters(notebook, lesson, *, points=None, hidden: int, off=(), only_exercises=False):
    """The version that ``otter assign`` reads."""
    chosen = tasks(notebook, points)
    imported = _bound(notebook)

    def answered(task, stub):
        def raw(place, text):
            return nbformat.v4.new_raw_cell(text, id=f"{task.cell}-{place}")

        solution = f"# BEGIN SOLUTION NO PROMPT\n{_solution(getattr(lesson, task.label).model, imported)}\n# END SOLUTION"
        graded = _code(f"{task.cell}-points", f'""" # BEGIN TEST CONFIG\nhidden: true\n""" # END TEST CONFIG\n{_graded(task, hidden)}')
        graded.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": repr(task.points)}, execution_count=1)]
        return [raw("question", f"# BEGIN QUESTION\nname: {task.label}\npoints: {task.points}"),
                nbformat.v4.new_markdown_cell(f"*{_words(task.cell).capitalize()}. Points: {task.points}.*", id=f"{task.cell}-prompt"),
                raw("begin", "# BEGIN SOLUTION"), _code(task.cell, f"{stub}\n\n{solution}"), raw("end", "# END SOLUTION"),
                raw("tests", "# BEGIN TESTS"), graded, raw("tests-end", "# END TESTS"), raw("question-end", "# END QUESTION"),
                _checked(task)]

    version = _rebuilt(notebook, lesson, chosen, answered, off, only_exercises)
    configuration = "# ASSIGNMENT CONFIG\ninit_cell: false\nexport_cell: false\ncheck_all_cell: false\nenvironment: null\nrequirements: null"
    version.cells.insert(0, nbformat.v4.new_raw_cell(configuration, id="assignment"))
    return version


# --- cells ---------------------------------------------------------------------------------------


def _rebuilt(notebook, lesson, chosen, answered, off, only_exercises):
    """The lesson with each exercise's cell replaced by those that ``answered`` gives for its task and its stub."""
    unknown = set(off) - set(HELP)
    if unknown:
        raise AssignmentError(f"{', '.join(sorted(unknown))} cannot be switched off; {' and '.join(HELP)} can.")
    version, by_cell = copy.deepcopy(notebook), {task.cell: task for task in chosen}
    first = next(place for place, cell in enumerate(version.cells) if cell.id == "exercises")
    cells = []
    for place, cell in enumerate(version.cells):
        if only_exercises and place < first and cell.id not in ("title", "here", "imports"):
            continue
        if cell.id in by_cell:
            cells += answered(by_cell[cell.id], CHECKED.sub("", cell.source))
        else:
            cells.append(cell)
        if cell.id == "imports" and off:
            words = ", ".join(json.dumps(each) for each in off)
            cells.append(_code("switched-off", f"from resnote.exercises.base import switch_off\n\nswitch_off({words})",
                               grade_id=f"{_name(lesson)}-switched-off"))
    version.cells = cells
    return version


def _code(cell, source, *, grade_id=None, **nbgrader):
    new = nbformat.v4.new_code_cell(source, id=cell)
    if grade_id:
        new.metadata.nbgrader = nbformat.from_dict({"grade": False, "solution": False, "locked": True, "task": False,
                                                    "schema_version": 3, "grade_id": grade_id} | nbgrader)
    return new


def _checked(task):
    """The published check, which cannot be edited. It is no cell of nbgrader's, which could not do without it."""
    cell = _code(f"{task.cell}-check", f"exercises.{task.label}.check({task.name})")
    cell.metadata.update(editable=False, deletable=False)
    return cell


def _grade_id(lesson, task) -> str:
    return f"{_name(lesson)}-{task.label}"


def _name(lesson) -> str:
    return lesson.__name__.split(".")[-1]


def _words(cell) -> str:
    return cell.replace("-", " ")


def _graded(task, hidden) -> str:
    return f"exercises.{task.label}.grade({task.name}, points={task.points}, hidden={hidden})"


# --- solutions -----------------------------------------------------------------------------------


def _bound(notebook) -> set[str]:
    """The names that the lesson imports."""
    return {(alias.asname or alias.name).split(".")[0] for cell in notebook.cells if cell.cell_type == "code" and cell.id == "imports"
            for node in ast.walk(ast.parse(cell.source)) if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names}


def _solution(model, imported) -> str:
    """A solution's source, after the imports that it needs and the lesson has not."""
    source = textwrap.dedent(inspect.getsource(model)).rstrip()
    tree, home = ast.parse(source), vars(sys.modules[model.__module__])
    bound = imported | set(dir(builtins)) | {model.__name__}
    needed = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in home} - bound
    lines = [f"import {home[name].__name__}" + (f" as {name}" if home[name].__name__ != name else "") if inspect.ismodule(home[name]) else
             f"from {home[name].__module__} import {name}" for name in sorted(needed)]
    return "\n".join([*lines, *([""] if lines else []), source])
