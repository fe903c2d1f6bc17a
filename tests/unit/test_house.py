"""The order of the package's modules: CONTRIBUTING.md lists them from the ground up, and none imports from a row below its own."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "resnote"


def rows():
    """The modules and folders that each row of CONTRIBUTING.md's table of the house names."""
    house = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## The house")[1].split("\n## ")[0]
    return [re.findall(r"`(\w+)/?`", line.split("|")[1]) for line in house.splitlines() if line.startswith("| `")]


def room(module: str) -> str:
    """The module or folder right under the package that holds this module."""
    return module.split(".")[1]


def imported(tree: ast.AST):
    """The package's modules that the code imports; `from resnote import x` imports the module x."""
    for node in ast.walk(tree):
        assert not getattr(node, "level", 0), "an import with dots"
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("resnote."))
        elif isinstance(node, ast.ImportFrom) and node.module == "resnote":
            yield from (f"resnote.{name.name}" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("resnote."):
            yield node.module


def imports_by_place():
    """For each file of the package, (its room, the function or None, the room that is imported there)."""
    for file in sorted(PACKAGE.rglob("*.py")):
        here = room(".".join(file.relative_to(ROOT).with_suffix("").parts))
        tree = ast.parse(file.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        inside = {id(node): function.name for function in functions for node in ast.walk(function)}
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield from ((here, inside.get(id(node)), room(module)) for module in imported(node))


def test_the_table_of_the_house_names_each_module_once():
    named = sorted(name for row in rows() for name in row)
    there = {file.stem for file in PACKAGE.glob("*.py")} | {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert named == sorted(there - {"__init__"})


def test_a_module_imports_from_its_own_row_and_the_rows_above_but_for_two_inside_functions():
    place = {name: number for number, row in enumerate(rows()) for name in row}
    below = {(here, function, there) for here, function, there in imports_by_place()
               if here != "__init__" and there in place and place[there] > place[here]}
    assert below == {("explorers", "lab", "hosts"), ("exercises", "grade", "grading")}
