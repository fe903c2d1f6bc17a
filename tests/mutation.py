"""Do the tests notice a mistake? Make small ones in a module, one at a time, and run its tests for each.

    python tests/mutation.py resnote/counting.py tests/test_counting.py [more tests ...]
    python tests/mutation.py --sample 40 resnote/training.py tests/test_training.py

A mistake: an operator swapped for its neighbour (+ and −, < and ≤, and and or, ...), a number one larger, True for
False, a condition negated, a check or another call left out, a result lost. Prints each that no test noticed, and
the share that was noticed. --sample takes that many at random (seed 0).

Each runs in a process of its own, forked after torch is imported; the file itself is never changed. A run that takes
ten times as long as the untouched module's counts as noticed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.util
import os
import random
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch  # noqa: F401  (imported once, before the forks)

ROOT = Path(__file__).parents[1]
SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
         ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
         ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
         ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}


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
            case ast.If() | ast.IfExp() | ast.While():
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


def passes(module: Path, tree: ast.Module, tests: list[str], seconds: float) -> bool:
    """Whether all tests pass with ``tree`` in the place of the module, within that time."""
    child = os.fork()
    if child == 0:
        os.setpgrp()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        name = ".".join(module.relative_to(ROOT).with_suffix("").parts)

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
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", type=lambda path: Path(path).resolve())
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--sample", type=int)
    wanted = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    clean = ast.parse(wanted.module.read_text(encoding="utf-8"))
    count = len(mistakes(clean))
    start = time.monotonic()
    if not passes(wanted.module, clean, wanted.tests, 600):
        sys.exit("The tests fail without any mistake; run them first.")
    seconds = 10 * (time.monotonic() - start) + 5
    chosen = sorted(random.Random(0).sample(range(count), min(wanted.sample or count, count)))

    def survives(number):
        tree = copy.deepcopy(clean)
        line, words, make = mistakes(tree)[number]
        make()
        return passes(wanted.module, tree, wanted.tests, seconds) and f"{wanted.module.name}:{line}  {words}"
    with ThreadPoolExecutor(2) as pool:
        survivors = [words for words in pool.map(survives, chosen) if words]
    print(*survivors, sep="\n")
    print(f"{wanted.module.name}: {len(chosen) - len(survivors)} of {len(chosen)} noticed"
          f"{f' (of {count})' if len(chosen) < count else ''}, {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
