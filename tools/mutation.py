"""Do the tests notice a mistake? Make small ones in a module, one at a time, and run its tests for each.

    .venv/bin/python tools/mutation.py resnote/counting.py tests/unit/test_counting.py [more tests ...]
    .venv/bin/python tools/mutation.py --sample 40 resnote/training.py tests/unit/test_training.py

A mistake: an operator swapped for its neighbour (+ and −, < and ≤, and and or, ...), a number one larger, True for
False, a condition negated, a check or another call left out, a result lost. Prints each that no test noticed, and
the share that was noticed. --sample takes that many at random (seed 0).

Each runs in a process of its own, forked after torch is imported; the file itself is never changed. So a test that
starts another Python sees no mistake. A run that takes over ten times as long as the untouched module's and 5 s more counts as noticed,
and is listed as stopped.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.util
import math
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import torch  # noqa: F401  (imported once, before the forks)

ROOT = Path(__file__).parents[1]
SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
         ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
         ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
         ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}


def is_swapped_already(test: ast.expr) -> bool:
    """Whether negating this condition is what swapping its operator or its constant does."""
    return isinstance(test, ast.Constant) or (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(
        test.ops[0], (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)))


def mistakes(tree: ast.Module) -> list:
    """(line, words, function that makes the mistake in this tree) for each; annotations and decorators are let be."""
    found = []

    def note(node, words, make):
        found.append((node.lineno, f"{words}: {ast.unparse(node).splitlines()[0][:90]}", make))

    def swap(node, name, place=None):
        def make():
            if place is None:
                setattr(node, name, SWAPS[type(getattr(node, name))]())
            else:
                node.ops[place] = SWAPS[type(node.ops[place])]()
        old = getattr(node, name) if place is None else node.ops[place]
        if type(old) in SWAPS:
            note(node, f"{type(old).__name__} → {SWAPS[type(old)].__name__}", make)

    def visit(node):
        match node:
            case ast.BinOp() | ast.BoolOp() | ast.AugAssign():
                swap(node, "op")
            case ast.Compare():
                for place in range(len(node.ops)):
                    swap(node, "ops", place)
            case ast.Constant(value=bool(value)):
                note(node, f"{value} → {not value}", lambda value=value: setattr(node, "value", not value))
            case ast.Constant(value=int(value) | float(value)):
                note(node, f"{value} → {value + 1}", lambda value=value: setattr(node, "value", value + 1))
            case ast.If() | ast.IfExp() | ast.While() if not is_swapped_already(node.test):
                note(node.test, "negated", lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test)))
            case ast.Return(value=value) if value is not None and ast.unparse(value) != "None":
                note(node, "None returned", lambda: setattr(node, "value", ast.Constant(None)))
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            for place, child in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(child, ast.Raise) or isinstance(child, ast.Expr) and isinstance(child.value, ast.Call):
                    note(child, "left out", lambda value=value, place=place: value.__setitem__(place, ast.Pass()))
                if isinstance(child, ast.AST):
                    visit(child)
    visit(tree)
    return found


def start(module: Path, tree: ast.Module, tests: list[str], seconds: float) -> int:
    """Run the tests in a child with ``tree`` in the place of the module; return the child's number.

    It ends with pytest's exit code, or by SIGALRM after that time, also where nobody waits for it.
    """
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(seconds))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    name = ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    class Finder:
        """Finds the changed module first."""

        @staticmethod
        def find_spec(wanted, path=None, target=None):
            if wanted != name:
                return None
            spec = importlib.util.spec_from_file_location(name, module)
            spec.loader.get_code = lambda _: compile(ast.fix_missing_locations(tree), module, "exec")
            return spec
    sys.meta_path.insert(0, Finder)
    os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]))


def end() -> tuple[int, str]:
    """Wait for a child; return its number and what became of it."""
    child, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    # A module that cannot even be imported ends pytest with 2, in a conftest with 4.
    return child, {0: "survived", 1: "noticed", 2: "noticed", 4: "noticed", -signal.SIGALRM: "stopped"}.get(code, f"ended with {code}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", type=lambda path: Path(path).resolve())
    parser.add_argument("tests", nargs="+", type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--sample", type=int)
    wanted = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    clean = ast.parse(wanted.module.read_text(encoding="utf-8"))
    count, began = len(mistakes(clean)), time.monotonic()
    start(wanted.module, clean, wanted.tests, 600)
    if end()[1] != "survived":
        sys.exit("The tests fail without any mistake; run them first.")
    seconds = 10 * (time.monotonic() - began) + 5
    chosen = sorted(random.Random(0).sample(range(count), min(wanted.sample or count, count)))
    running, fates = {}, []
    for number in [*chosen, None, None]:            # two at a time; the two None wait for the last
        if len(running) == 2 or (number is None and running):
            child, fate = end()
            fates.append(fate)
            if fate != "noticed":
                print(f"{fate}: {running[child]}", flush=True)
            del running[child]
        if number is not None:
            tree = copy.deepcopy(clean)
            line, words, make = mistakes(tree)[number]
            make()
            running[start(wanted.module, tree, wanted.tests, seconds)] = f"{wanted.module.name}:{line}  {words}"
    noticed = sum(fate in ("noticed", "stopped") for fate in fates)
    print(f"{wanted.module.name}: {noticed} of {len(chosen)} noticed ({100 * noticed / len(chosen):.0f} %)"
          f"{f', a sample of {count}' if len(chosen) < count else ''}; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
