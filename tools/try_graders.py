"""Grade lesson 03 with nbgrader and otter-grader as a class would hand it in, and compare the points with what they should be.

    python -m pip install nbgrader==0.9.6 otter-grader==7.0.0
    python tools/try_graders.py FOLDER

in an environment of its own that has this course: neither is needed for the course, and neither is a part of its tests. It
takes some minutes, prints a line a submission, and ends with 1 where points differ. docs/teaching.md tells what was seen.
"""

from __future__ import annotations

import copy
import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
LESSON = "03_bottleneck"
SIGNATURE = "def conv_parameters(kernel_size, in_channels, out_channels, groups, bias):\n"
WRONG = {"exercise-1": f"{SIGNATURE}    return kernel_size**2 * in_channels * out_channels", "exercise-4": "class Bottleneck(nn.Module):\n    pass"}
ENDLESS = {"exercise-2": "def pointwise(x, weight):\n    while True:\n        pass"}
HUNGRY = {
    "exercise-1": f"{SIGNATURE}    print('x' * 10**6)\n    with open('litter', 'w', encoding='utf-8') as file:\n        file.write('x' * 1000)\n"
                  "    return kernel_size**2 * (in_channels // groups) * out_channels + (out_channels if bias else 0)",
    "exercise-2": "def pointwise(x, weight):\n    return torch.zeros(10**11)"}
# A submission: answers that are not the solution (None: none is answered), cells that are deleted, a name of its own, and its points.
SUBMISSIONS = {
    "right": ({}, (), LESSON, 9), "wrong": (WRONG, (), LESSON, 5), "unanswered": (None, (), LESSON, 0), "endless": (ENDLESS, (), LESSON, 7),
    "hungry": (HUNGRY, (), LESSON, 7), "deleted": ({}, ("exercise-2-check", "exercise-2-points"), LESSON, 9),
    "renamed": ({}, (), "my work", None)}


def run(*command: str, cwd: Path) -> str:
    """What a command printed, by the programs of this Python's environment; shown, too, where it failed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(command, cwd=cwd, env=os.environ | {"PATH": path}, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        print(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}", flush=True)
    return done.stdout + done.stderr


def make(course: Path, *options: str) -> None:
    print(run(sys.executable, "-m", "resnote.grading", str(ROOT / "notebooks" / f"{LESSON}.ipynb"), "--output", str(course),
              "--exercises-only", *options, cwd=ROOT).strip())


def handed_in(given, solutions: dict[str, str], others: dict[str, str] | None, without=()) -> nbformat.NotebookNode:
    """The notebook that learners were ``given`` with the solutions in their places, and ``others`` in theirs."""
    notebook = copy.deepcopy(given)
    notebook.cells = [cell for cell in notebook.cells if cell.get("id") not in without]
    for cell in notebook.cells:
        exercise = next((name for name in solutions if re.match(rf"(def|class) {defined(solutions[name])}\b", cell.source)), None)
        if exercise and others is not None:
            cell.source = (solutions | others)[exercise]
    return notebook


def defined(source: str) -> str:
    return re.search(r"^(?:def|class) (\w+)", source, re.M)[1]


def between(notebook: Path, begin: str, end: str) -> dict[str, str]:
    """The solutions in a teacher's version, by the exercise's cell."""
    cells = nbformat.read(notebook, 4).cells
    return {cell.id: cell.source.split(begin)[1].split(end)[0] for cell in cells if cell.cell_type == "code" and begin in cell.source}


def by_nbgrader(course: Path) -> dict[str, float | None]:
    make(course)
    print(run("nbgrader", "generate_assignment", LESSON, "--create", cwd=course).strip().splitlines()[-1])
    given = nbformat.read(course / "release" / LESSON / f"{LESSON}.ipynb", 4)
    solutions = between(course / "source" / LESSON / f"{LESSON}.ipynb", "### BEGIN SOLUTION\n", "\n### END")
    for student, (answers, without, name, _) in SUBMISSIONS.items():
        folder = course / "submitted" / student / LESSON
        folder.mkdir(parents=True)
        nbformat.write(handed_in(given, solutions, answers, without), folder / f"{name}.ipynb")
    run("nbgrader", "autograde", LESSON, "--create", cwd=course)
    run("nbgrader", "export", "--to", "points.csv", cwd=course)
    with open(course / "points.csv", encoding="utf-8", newline="") as file:
        points = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    graded = {path.parents[1].name for path in course.glob(f"autograded/*/{LESSON}/{LESSON}.ipynb")}
    return {student: points[student] if student in graded else None for student in SUBMISSIONS}


def by_otter(course: Path) -> dict[str, float]:
    make(course, "--for", "otter")
    source = course / "otter" / f"{LESSON}.ipynb"
    run("otter", "assign", str(source), "dist", cwd=course)
    given = nbformat.read(course / "dist" / "student" / f"{LESSON}.ipynb", 4)
    solutions = between(source, "# BEGIN SOLUTION NO PROMPT\n", "\n# END")
    autograder, points = next((course / "dist" / "autograder").glob("*.zip")), {}
    for student in ("right", "wrong", "unanswered"):
        folder = course / "otter-runs" / student
        folder.mkdir(parents=True)
        nbformat.write(handed_in(given, solutions, SUBMISSIONS[student][0]), folder / "submission.ipynb")
        run("otter", "run", "-a", str(autograder), "submission.ipynb", cwd=folder)
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        points[student] = sum(test.get("score", 0) for test in results["tests"])
    return points


def main(folder: Path) -> int:
    failed = False
    for grader, grade in (("nbgrader", by_nbgrader), ("otter-grader", by_otter)):
        for student, points in grade(folder / grader).items():
            due = SUBMISSIONS[student][3]
            failed |= points != due
            print(f"{grader}, {student}: {points} points{'' if points == due else f', and it should be {due}'}", flush=True)
    return failed


if __name__ == "__main__":
    if len(sys.argv) != 2 or Path(sys.argv[1]).exists():
        sys.exit("Name a new folder: python tools/try_graders.py FOLDER")
    sys.exit(main(Path(sys.argv[1]).resolve()))
