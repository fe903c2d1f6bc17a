"""Versions of a lesson for a class: what teachers, learners, nbgrader and otter-grader get."""

import importlib
import json
import re

import nbformat
import pytest
from save_notebooks import NOTEBOOKS

from resnote.exercises import base, lesson_01
from resnote.exercises.base import NoPoints
from resnote.grading.__main__ import main
from resnote.grading.assignment import AssignmentError, otters, students, tasks, teachers

PATHS = [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if path.name[:2] != "00"]
lessons = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def opened(path):
    return nbformat.read(path, as_version=4), importlib.import_module(f"resnote.exercises.lesson_{path.name[:2]}")


def run(version):
    """What a version's cells define, and the points that they give."""
    names, values = {}, []
    for cell in version.cells:
        if cell.cell_type != "code":
            continue
        *body, last = cell.source.split("\n")
        if cell.id.endswith("-points") and not last.startswith("#"):
            exec("\n".join(body), names)
            values.append(eval(last, names))
        else:
            exec(compile(cell.source, cell.id, "exec"), names)
    return names, values


def without_marks(version):
    for cell in version.cells:
        cell.source = "\n".join(line for line in cell.source.split("\n") if not line.startswith("###") or cell.cell_type != "code")
    return version


@pytest.mark.thorough
@lessons
def test_the_teachers_version_runs_and_its_solutions_get_all_points(path):
    notebook, lesson = opened(path)
    _, points = run(without_marks(teachers(notebook, lesson, hidden=5, only_exercises=True)))
    assert points == [task.points for task in tasks(notebook)] and len(points) >= 3 and set(points) <= {1, 2, 3}


@lessons
def test_the_students_version_holds_no_solution_and_runs_as_it_is(path):
    notebook, lesson = opened(path)
    version = students(notebook, lesson, only_exercises=True)
    source = "\n".join(cell.source for cell in version.cells)
    assert "SOLUTION" not in source and "HIDDEN" not in source and ".grade(" not in source
    names, _ = run(version)
    for task in tasks(notebook):
        stub = next(cell.source for cell in version.cells if cell.id == task.cell)
        assert "..." in stub or "super().__init__()" in stub
        assert source.count(f"exercises.{task.label}.check({task.name})") == 1
        with pytest.raises(NoPoints, match="not answered yet"):
            getattr(lesson, task.label).grade(names[task.name])


@lessons
def test_the_rest_of_the_lesson_stays_as_it_is(path):
    before = path.read_bytes()
    notebook, lesson = opened(path)
    kept = {cell.id: cell.source for cell in notebook.cells}
    exercises = {task.cell for task in tasks(notebook)}
    for version in (teachers(notebook, lesson, hidden=1), students(notebook, lesson), otters(notebook, lesson, hidden=1)):
        nbformat.validate(version)
        now = {cell.id: cell.source for cell in version.cells}
        assert len(now) == len(version.cells)
        assert all(now[id] == source for id, source in kept.items() if id not in exercises)
    assert {cell.id: cell.source for cell in notebook.cells} == kept and path.read_bytes() == before


def test_grade_ids_are_unique_over_all_lessons_and_points_stand_with_them():
    ids = []
    for path in PATHS:
        notebook, lesson = opened(path)
        for cell in teachers(notebook, lesson, hidden=1, off=("hints",)).cells:
            if "nbgrader" in cell.metadata:
                ids.append(cell.metadata.nbgrader.grade_id)
                assert ("points" in cell.metadata.nbgrader) == cell.metadata.nbgrader.grade == cell.id.endswith("-points")
    assert len(ids) == len(set(ids))


def test_hints_and_solutions_can_be_switched_off(monkeypatch):
    monkeypatch.setattr(base, "_OFF", set())
    notebook, lesson = opened(PATHS[0])
    version = students(notebook, lesson, off=("hints", "solutions"), only_exercises=True)
    run(version)
    assert "switched the hints off" in lesson_01.ex1.hint().text and "switched the solutions off" in lesson_01.ex1.solution().text
    with pytest.raises(AssignmentError, match="points cannot be switched off"):
        students(notebook, lesson, off=("points",))


def test_the_otter_version_has_a_question_an_exercise_with_its_hidden_test():
    notebook, lesson = opened(PATHS[2])
    version = otters(notebook, lesson, hidden=41, points=[1, 2, 3, 4])
    raw = [cell.source for cell in version.cells if cell.cell_type == "raw"]
    assert raw[0].startswith("# ASSIGNMENT CONFIG") and sum(text.startswith("# BEGIN QUESTION") for text in raw) == 4
    graded = [cell for cell in version.cells if cell.id.endswith("-points")]
    assert [cell.outputs[0].data["text/plain"] for cell in graded] == ["1", "2", "3", "4"]
    assert all("hidden: true" in cell.source and "hidden=41" in cell.source for cell in graded)


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_both_versions_and_overwrites_nothing(tmp_path, capsys):
    arguments = [str(PATHS[2]), "--output", str(tmp_path), "--exercises-only", "--points", "5", "5", "10", "10"]
    assert main(arguments) == 0
    written = [tmp_path / "student/03_bottleneck.ipynb", tmp_path / "source/03_bottleneck/03_bottleneck.ipynb", tmp_path / "nbgrader_config.py"]
    assert capsys.readouterr().out.split() == [str(path) for path in written] and all(path.exists() for path in written)
    seeds = set(re.findall(r"hidden=(\d+)", written[1].read_text(encoding="utf-8")))
    assert len(seeds) == 1 and "hidden=" not in written[0].read_text(encoding="utf-8")
    (tmp_path / "nbgrader_config.py").write_text("mine", encoding="utf-8")
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"{written[0]} is there already, and may hold your changes. Name another --output, or give --force.\n"
    assert main([*arguments, "--force", "--for", "otter"]) == 0 and (tmp_path / "otter/03_bottleneck.ipynb").exists()
    assert (tmp_path / "nbgrader_config.py").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name, content, options, words", [
    ("notes.ipynb", {}, [], "its name must begin with the lesson's number"),
    ("99_other.ipynb", {}, [], "is not a notebook of this course"),
    ("03_bottleneck.ipynb", None, [], "No such file"),
    ("03_bottleneck.ipynb", b"\xff\xfe", [], "is not a notebook of this course"),
    ("03_bottleneck.ipynb", {"cells": [{"cell_type": "markdown", "metadata": {}, "source": "x"}], "metadata": {}, "nbformat": 4,
                             "nbformat_minor": 4}, [], "have no ids"),
    ("03_bottleneck.ipynb", b"no JSON", [], "is not a notebook of this course"),
    ("03_bottleneck.ipynb", {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, [], "This notebook has no exercise"),
    (PATHS[2], None, ["--points", "1"], "There are 4 exercises and 1 numbers of points"),
])
def test_what_no_assignment_can_be_made_of_is_told_in_a_sentence(name, content, options, words, tmp_path, capsys):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    assert main([str(path), "--output", str(tmp_path / "course"), *options]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1 and not (tmp_path / "course").exists()
