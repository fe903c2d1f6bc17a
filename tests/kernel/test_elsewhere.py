"""The program that runs lessons as on other machines: what it takes for a margin, and what it changes."""

import ast
import math
import multiprocessing
import sys
from pathlib import Path

import elsewhere
import nbformat
import pytest
import torch  # noqa: F401  so that a forked process need not load it

ROOT = Path(__file__).parents[2]


def measured(source, **names):
    """What the assertions of ``source`` gave."""
    cell = elsewhere.Cell()
    tree = ast.fix_missing_locations(elsewhere.Measure().visit(ast.parse(source)))
    exec(compile(tree, "cell", "exec"), names | elsewhere.MEASURES | {"_note": cell.note})
    return cell


def least(cell):
    return min(cell.margins.values())


@pytest.mark.parametrize("test, margin", [
    ("1 < 3", 2), ("3 > 1.5", 1.5), ("3 < 1", -2), ("0 < 0.25 < 1", 0.25), ("1 <= 1", 0), ("all(x < 5 for x in (1, 4))", 1),
    ("any(x < 5 for x in (1, 4, 9))", 4), ("1 < 3 and 4 > 1", 2), ("1 < 3 or 9 < 5", 2), ("not 1 > 3", 2),
    ("not (1 < 3 and 4 > 5)", 1), ("all(0 < x and x < 9 for x in (1, 4))", 1),
    ("2 == 2 < 5", 3), ("'a' in 'cat'", math.inf), ("2 == 3", -math.inf), ("{1} < {1, 2}", math.inf),
    ("all(x > 0 for x in ())", math.inf)])
def test_a_margin_is_how_far_the_tightest_comparison_is_from_being_false(test, margin):
    cell = measured(f"assert {test}, 'words'")
    assert least(cell) == margin and cell.held == (margin >= 0) == bool(eval(test))


@pytest.mark.parametrize("test", ["1 < 1", "float('nan') < 1", "1 > float('nan')"])
def test_what_is_just_false_or_no_number_does_not_hold(test):
    assert not measured(f"assert {test}").held and not eval(test)


def test_the_smallest_margin_of_each_comparison_is_kept_and_a_failure_stops_nothing():
    cell = measured("assert 1 < 9\nfor x in (3, 5):\n    assert x < 4\nassert 0 < 2")
    assert (cell.held, cell.margins) == (False, {"1 < 9": 8, "x < 4": -1, "0 < 2": 2})
    assert measured("assert 1 < 9 and 2 < 4").margins == {"1 < 9": 8, "2 < 4": 2}
    assert measured("assert 2 < 1 and () [0] > 1\nassert 1 < 4").margins == {"2 < 1": -1, "1 < 4": 3}


def test_what_is_the_same_in_all_runs_hides_no_margin_that_differs_and_no_failure():
    runs = elsewhere.Runs({name: {"facts": elsewhere.Cell(margins={"study < 1": 0.01, "here < 1": here}), "same": elsewhere.Cell(margins={"a": 1})}
                           for name, here in (("as it is", 0.5), ("seed 1", 0.3), ("seed 2", 0.4))})
    assert list(runs.rows()) == [("facts", 3, 3, 0.3, "here < 1", "seed 1")]
    runs.runs["seed 2"]["facts"] = elsewhere.Cell(held=False, margins={"study < 1": -1, "here < 1": 0.4})
    assert list(runs.rows()) == [("facts", 2, 3, -1, "study < 1", "seed 2")]


def lesson(tmp_path, **cells):
    made = [nbformat.v4.new_code_cell(source, id=cell.replace("_", "-")) for cell, source in cells.items()]
    path = tmp_path / "09_small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


TRAINED = """
import torch
torch.manual_seed(0)
weight = torch.ones(3, requires_grad=True)
sgd = torch.optim.SGD([weight], lr=0)
order = torch.Generator().manual_seed(1)
drawn = torch.rand(1, generator=order) + torch.rand(1)
"""


def perturbed(path, kind):
    """What the cells gave, in a process of its own that need not import torch again."""
    with multiprocessing.get_context("fork").Pool(1) as process:
        return process.apply(run_perturbed, (path, kind))


def run_perturbed(path, kind):
    elsewhere.perturb(kind, 1)
    return elsewhere.run_lesson(path, None)


@pytest.mark.thorough
def test_rounding_shakes_weights_by_a_ten_millionth_and_a_seed_changes_what_is_drawn(tmp_path):
    path = lesson(tmp_path, imports=TRAINED, raises="raise ValueError", weights="assert (weight - 1).abs().max().item() < 1",
                  facts="assert drawn.item() < 9")
    plain, rounded, seeded = (perturbed(path, kind) for kind in ("as it is", "rounding", "seed"))
    assert least(plain["weights"]) == 1 == least(seeded["weights"]) and 1e-8 < 1 - least(rounded["weights"]) < 1e-6
    assert least(plain["facts"]) == least(rounded["facts"]) != least(seeded["facts"])
    assert not plain["raises"].held


@pytest.mark.thorough
def test_a_cell_alone_is_run_with_the_cells_that_it_needs(tmp_path):
    path = lesson(tmp_path, imports="a = 1", unneeded="raise ValueError", needed="b = a + 1", facts="assert b < 3", other="assert a < 4")
    found = elsewhere.start(path, "as it is", 0, "other,facts")
    assert {cell: least(each) for cell, each in found.items()} == {"facts": 1, "other": 3}


@pytest.mark.parametrize("arguments, words", [
    (["--lesson", "00", "--cell", "nowhere"], "There is no code cell 'nowhere'"), (["--cell", "check"], "--cell needs --lesson")])
def test_an_unknown_cell_and_a_cell_without_its_lesson_are_refused(arguments, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["elsewhere.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        elsewhere.main()
    assert words in str(ended.value) + capsys.readouterr().err
