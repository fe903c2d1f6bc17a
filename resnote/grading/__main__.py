"""Make an assignment of a lesson.

    python -m resnote.grading notebooks/03_bottleneck.ipynb --output course
    python -m resnote.grading notebooks/03_bottleneck.ipynb --output course --for otter --exercises-only --no-solutions

For nbgrader, the output folder is a course of its: source/LESSON/LESSON.ipynb, and nbgrader_config.py where there is none
yet. For otter-grader, otter/LESSON.ipynb is what otter assign reads. student/LESSON.ipynb is what learners get without either.
"""

from __future__ import annotations

import argparse
import importlib
import secrets
import sys
from functools import partial
from pathlib import Path

import nbformat

from resnote.arguments import whole_number
from resnote.grading.assignment import HELP, AssignmentError, otters, students, teachers

CONFIGURATION = '''c = get_config()

c.ClearSolutions.code_stub = {"python": ""}         # the lesson's own stub stands above each solution
c.ExecutePreprocessor.timeout = 150                 # seconds a cell: a lesson trains for up to 15 on two cores
c.OverwriteCells.add_missing_cells = True           # a points cell that a learner deleted comes back before grading
'''


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    options = _parser().parse_args(arguments)
    path, output = options.notebook, options.output
    settings = {"points": options.points, "only_exercises": options.exercises_only,
                "off": [name for name in HELP if getattr(options, f"no_{name}")]}
    hidden = secrets.randbelow(10**6) + 1 if options.hidden is None else options.hidden
    try:
        if not path.name[:2].isdigit():
            raise AssignmentError(f"{path.name} is not a lesson: its name must begin with the lesson's number, such as 03_bottleneck.ipynb.")
        notebook = nbformat.read(path, as_version=4)
        lesson = importlib.import_module(f"resnote.exercises.lesson_{path.name[:2]}")
        versions = {output / "student" / path.name: students(notebook, lesson, **settings)}
        if options.grader == "nbgrader":
            versions[output / "source" / path.stem / path.name] = teachers(notebook, lesson, hidden=hidden, **settings)
        else:
            versions[output / "otter" / path.name] = otters(notebook, lesson, hidden=hidden, **settings)
        there = [version for version in versions if version.exists()]
        if there and not options.force:
            raise AssignmentError(f"{there[0]} is there already, and may hold your changes. Name another --output, or give --force.")
        for version, content in versions.items():
            version.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(content, version)
            print(version)
        configuration = output / "nbgrader_config.py"
        if options.grader == "nbgrader" and not configuration.exists():
            configuration.write_text(CONFIGURATION, encoding="utf-8")
            print(configuration)
    except (AssignmentError, OSError) as error:
        print(error, file=sys.stderr)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("resnote."):
            raise
        print(f"{path} is not a notebook of this course ({error}).", file=sys.stderr)
    except (UnicodeDecodeError, nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        print(f"{path} is not a notebook of this course ({str(error).splitlines()[0][:100]}).", file=sys.stderr)
    else:
        return 0
    return 2


def _parser():
    parser = argparse.ArgumentParser(prog="python -m resnote.grading", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", type=Path, help="a lesson of this course")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--for", dest="grader", choices=("nbgrader", "otter"), default="nbgrader")
    parser.add_argument("--points", type=whole_number, nargs="+", metavar="N", help="one for each exercise; its stars by default")
    parser.add_argument("--hidden", type=partial(whole_number, least=1), metavar="SEED", help="of the hidden cases; drawn by default")
    parser.add_argument("--exercises-only", action="store_true", help="leave the lesson before them out: grading takes seconds")
    parser.add_argument("--no-hints", action="store_true", help="hint() tells learners to ask you")
    parser.add_argument("--no-solutions", action="store_true", help="solution() tells learners to ask you")
    parser.add_argument("--force", action="store_true", help="write over what is there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
