"""Run the lessons as they would run elsewhere, and say which of their assertions hold, and by how much.

    python tools/elsewhere.py                                   every lesson, every kind of run
    python tools/elsewhere.py --lesson 04 --cell rates-facts    one cell, with the cells that it needs
    python tools/elsewhere.py --kind rounding --runs 4          one kind of run, a few of it
    python tools/elsewhere.py --table docs/other-machines.md    write the table, too

An outcome of training differs from processor to processor, since rounding differs and training makes it grow. A run
stands for another machine in one of three ways:

instructions  other instruction sets of this processor, or torch's own convolutions instead of oneDNN's
rounding      all weights times 1 + 1e-7 · N(0, 1) when an optimizer takes them, before the first step (float64
              weights: 2e-16, as much in units of their rounding)
seed          torch.manual_seed and new generators get shifted seeds: weights, order of images, batches; not dropout

Assertions are measured and not raised, so a lesson goes on behind one that fails. The margin of a < b is b − a. A
cell's margin is the smallest among its comparisons that differ between runs: a constant one, such as a recorded number's,
would hide how close the others come. An asserting cell is listed if it trains or if a margin differs between runs; any
cell, if it fails in one. Cells are run as plain Python: no kernel, no widgets on a page.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import nbformat
from source_coverage import asserts, names

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"

INSTRUCTIONS = {"oneDNN AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "oneDNN SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
                "ATen AVX2": {"ATEN_CPU_CAPABILITY": "avx2"}, "ATen default": {"ATEN_CPU_CAPABILITY": "default"},
                "oneDNN off": {"RESNOTE_ONEDNN": "off"}}
KINDS = {"instructions": list(INSTRUCTIONS), "rounding": list(range(1, 17)), "seed": list(range(1, 9))}
SHIFT = 1000        # between one shifted seed and the next, so that no lesson's other seeds are met


@dataclass
class Cell:
    """What one cell's assertions gave in one run: whether all held, and of each comparison the smallest margin."""

    held: bool = True
    margins: dict[str, float] = field(default_factory=dict)
    trains: bool = False
    seconds: float = 0.0

    def note(self, comparisons) -> None:
        """Take the margins of comparisons, (its words, a function that measures it), up to the first that does not hold."""
        for where, margin in comparisons:
            margin = margin()
            self.margins[where] = min(margin, self.margins.get(where, math.inf))
            if margin < 0:
                self.held = False
                break


# --- margins: assert statements rewritten into measurements ----------------------------------------


class Measure(ast.NodeTransformer):
    """assert test → _note([("test", its margin)]); comparisons inside all(…), any(…), and, or, not are measured, too.

    Of ``assert a and b`` both are noted by themselves, and b only where a holds.
    """

    def visit_Assert(self, node):
        together = isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And)
        parts = [ast.Tuple([ast.Constant(ast.unparse(test)), _lazy(self.margin(test))], ast.Load())
                 for test in (node.test.values if together else [node.test])]
        return ast.copy_location(ast.Expr(_call("_note", ast.List(parts, ast.Load()))), node)

    def margin(self, test):
        match test:
            case ast.Compare(left=left, ops=ops, comparators=others):
                return _call("_compare", ast.Tuple([left, *others], ast.Load()),
                             ast.Constant(" ".join(type(op).__name__ for op in ops)),
                             _lazy(test))
            case ast.BoolOp(op=op, values=values):
                return _call("_and" if isinstance(op, ast.And) else "_or", *(_lazy(self.margin(v)) for v in values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ast.UnaryOp(ast.USub(), self.margin(operand))
            case ast.Call(func=ast.Name(id="all" | "any" as name), args=[ast.GeneratorExp(elt=elt, generators=generators)]):
                each = ast.GeneratorExp(self.margin(elt), generators)
                return _call(f"_{name}", each)
        return _call("_bool", test)


def _call(name, *args):
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


def _lazy(value):
    return ast.Lambda(ast.arguments([], [], None, [], [], None, []), value)


def _bool(value) -> float:
    return math.inf if value else -math.inf


def _compare(values, ops, whole) -> float:
    """The smallest margin of a chain of comparisons; of == and the like, infinite either way."""
    ops = ops.split()
    if not all(op in ("Lt", "LtE", "Gt", "GtE") for op in ops):
        if not whole():
            return -math.inf
        pairs = [(a, op, b) for a, op, b in zip(values, ops, values[1:]) if op in ("Lt", "LtE", "Gt", "GtE")]
    else:
        pairs = list(zip(values, ops, values[1:]))
    try:
        return min((_pair(float(a), op, float(b)) for a, op, b in pairs), default=math.inf)
    except (TypeError, ValueError, RuntimeError):       # sets, strings, tensors of several numbers
        return _bool(whole())


def _pair(a, op, b) -> float:
    margin = b - a if op.startswith("Lt") else a - b
    if math.isnan(margin) or (margin == 0 and op in ("Lt", "Gt")):
        return -math.ulp(0)
    return margin


def _and(*tests) -> float:
    least = math.inf
    for test in tests:
        least = min(least, test())
        if least == -math.inf:
            break
    return least


def _or(*tests) -> float:
    return max(test() for test in tests)


MEASURES = {"_bool": _bool, "_compare": _compare, "_and": _and, "_or": _or, "_all": lambda each: min(each, default=math.inf),
            "_any": lambda each: max(each, default=-math.inf)}


# --- one run, in a process of its own ----------------------------------------------------------------


def perturb(kind: str, number: int) -> None:
    """Make this process another machine; before anything of resnote is imported."""
    import torch

    if os.environ.get("RESNOTE_ONEDNN") == "off":
        torch.backends.mkldnn.enabled = False
    if kind == "seed":
        seed_all, shift = torch.manual_seed, SHIFT * number
        torch.manual_seed = lambda seed: seed_all(int(seed) + shift)
        torch.Generator = type("Generator", (torch.Generator,), {
            "manual_seed": lambda self, seed, plain=torch.Generator.manual_seed: plain(self, int(seed) + shift)})
    if kind == "rounding":
        start = torch.optim.Optimizer.__init__

        @torch.no_grad()
        def shaken(self, params, defaults):
            start(self, params, defaults)
            noise = torch.Generator().manual_seed(number)       # anew: a machine rounds a repeated run as it did before
            for group in self.param_groups:
                for weight in group["params"]:
                    size = 1e-7 if weight.dtype == torch.float32 else torch.finfo(weight.dtype).eps
                    drawn = torch.randn(weight.shape, generator=noise, dtype=torch.float64).to(weight)
                    weight.mul_(1 + size * drawn)

        torch.optim.Optimizer.__init__ = shaken


def code_cells(path: Path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def needed(cells, wanted: str | None):
    """The cells ``wanted``, by their ids with commas between, those that bind what they use, and so on; all for None."""
    if wanted is None:
        return cells
    places = {cell.id: n for n, cell in enumerate(cells)}
    for cell in wanted.split(","):
        if cell not in places:
            raise SystemExit(f"There is no code cell {cell!r}. There are: {', '.join(places)}.")
    found = {cell.id: names(compile(cell.source, cell.id, "exec")) for cell in cells}
    keep, queue = set(), [*wanted.split(","), "imports"]
    while queue:
        cell = queue.pop()
        if cell in keep or cell not in found:
            continue
        keep.add(cell)
        queue += [other for other, (bound, _) in found.items() if bound & found[cell][1] and places[other] < places[cell]]
    return [cell for cell in cells if cell.id in keep]


def run_lesson(path: Path, wanted: str | None) -> dict[str, Cell]:
    """Run the lesson's cells one after the other; by its id, what each cell gave that asserts, fails or takes over a second."""
    import torch

    path, trained = path.resolve(), []
    count = torch.optim.Optimizer.__init__
    torch.optim.Optimizer.__init__ = lambda self, *args: (trained.append(1), count(self, *args))[1]
    folder = tempfile.mkdtemp()
    os.chdir(path.parent)
    space, results = {"__name__": "__main__", **MEASURES}, {}
    for cell in needed(code_cells(path), wanted):
        result, before, start = Cell(), len(trained), time.perf_counter()
        space["_note"] = result.note
        file = Path(folder, f"{cell.id}.py")            # a file, so that inspect finds the source of what cells define
        file.write_text(cell.source, encoding="utf-8")
        tree = ast.fix_missing_locations(Measure().visit(ast.parse(cell.source)))
        try:
            exec(compile(tree, str(file), "exec"), space)
        except Exception as error:                      # assert_close and the like, or what follows from an earlier failure
            result.note([(f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}", lambda: -math.inf)])
        result.trains, result.seconds = len(trained) > before, time.perf_counter() - start
        if asserts(cell.source) or not result.held or result.seconds > 1:
            results[cell.id] = result
    return results


def child(arguments) -> None:
    perturb(arguments.kind, arguments.number)
    found = run_lesson(Path(arguments.notebook), arguments.cell)
    print("\x1e" + json.dumps({cell: vars(result) for cell, result in found.items()}))


# --- all runs ------------------------------------------------------------------------------------------


@dataclass
class Runs:
    """A lesson's runs: the cells of each, by the run's name."""

    runs: dict[str, dict[str, Cell]] = field(default_factory=dict)

    def rows(self):
        """For each listed cell: its id, runs in which it held, runs, smallest margin, in which comparison and run."""
        for cell in dict.fromkeys(cell for run in self.runs.values() for cell in run):
            found = {name: run[cell] for name, run in self.runs.items() if cell in run}
            held, margins = sum(f.held for f in found.values()), {}         # of each comparison, its margin in each run
            for name, result in found.items():
                for where, margin in result.margins.items():
                    margins.setdefault(where, {})[name] = margin
            varying = {where: runs for where, runs in margins.items() if len(set(runs.values())) > 1}
            if margins and (varying or held < len(found) or any(f.trains for f in found.values())):
                told = varying if varying and held == len(found) else margins
                margin, where, name = min(((m, where, name) for where, runs in told.items() for name, m in runs.items()),
                                          key=lambda each: each[0])
                yield cell, held, len(found), margin, where, name


def start(path, kind, number, cell) -> dict[str, Cell]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                                "OMP_NUM_THREADS": "1"}
    environment |= INSTRUCTIONS.get(number, {})
    command = [sys.executable, __file__, "--child", str(path), kind, str(number if kind != "instructions" else 0)]
    done = subprocess.run(command + (["--cell", cell] if cell else []), env=environment, capture_output=True, text=True,
                          encoding="utf-8")
    if "\x1e" not in done.stdout:
        raise SystemExit(f"{path.stem}, {kind} {number}, ended without a result:\n{done.stderr[-2000:]}")
    return {name: Cell(**values) for name, values in json.loads(done.stdout.split("\x1e")[1]).items()}


def number(value: float) -> str:
    return "no number" if math.isinf(value) else f"{value:.3g}"


def table(lessons: dict[str, Runs]) -> str:
    lines = ["| lesson | cell | held | smallest margin | in the comparison | in the run |", "|---|---|---|---|---|---|"]
    for lesson, runs in lessons.items():
        for cell, held, count, margin, where, run in runs.rows():
            where = " ".join(where.split()).replace("|", "\\|")
            where = where if len(where) <= 90 else where[:87] + "…"
            lines.append(f"| {lesson[:2]} | `{cell}` | {held} of {count} | {number(margin)} | `{where}` | {run} |")
    return "\n".join(lines)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def report(lessons, kinds, seconds) -> str:
    counted = ", ".join(f"{len(numbers)} × {kind}" for kind, numbers in kinds.items())
    failed = sum(held < count for runs in lessons.values() for _, held, count, *_ in runs.rows())
    listed = sum(1 for runs in lessons.values() for _ in runs.rows())
    return (f"Runs of each lesson: 1 as it is, {counted}. Cells listed: {listed}; cells that failed in any run: {failed}.\n\n"
            f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, torch {version('torch')}; "
            f"{seconds / 60:.0f} minutes.\n\n{table(lessons)}\n")


HEADING = """# The same truth on other machines

Made by `python tools/elsewhere.py --table docs/other-machines.md`; the program's first lines say what its runs are.
A margin is how far the tightest comparison of a cell was from being false, of those that differ between runs, in the
comparison's own units: shares of errors for most. "No number" stands for cells whose assertions compare no numbers that could come close.

"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesson", action="append", default=[], help="the lesson's two digits; several may be given")
    parser.add_argument("--cell", help="a cell's id, or several with commas between, with --lesson")
    parser.add_argument("--kind", action="append", choices=KINDS, default=[])
    parser.add_argument("--runs", type=int, help="how many runs of each kind, instead of all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--times", action="store_true", help="print each cell's seconds in the run as it is")
    parser.add_argument("--table", type=Path, help="file for the table")
    parser.add_argument("--child", nargs=3, metavar=("NOTEBOOK", "KIND", "NUMBER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        arguments.notebook, arguments.kind, arguments.number = arguments.child[0], arguments.child[1], int(arguments.child[2])
        child(arguments)
        return 0
    kinds = {kind: KINDS[kind][:arguments.runs] for kind in (arguments.kind or KINDS)}
    paths = [p for p in sorted(NOTEBOOKS.glob("*.ipynb")) if not arguments.lesson or p.name[:2] in arguments.lesson]
    if arguments.cell and len(paths) != 1:
        parser.error("--cell needs --lesson, with the two digits of one lesson.")
    if arguments.cell:
        needed(code_cells(paths[0]), arguments.cell)        # is there such a cell? Said before all runs begin
    begun, lessons, jobs = time.monotonic(), {path.stem: Runs() for path in paths}, []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for path in paths:
            for kind, names_of in {"as it is": [0], **kinds}.items():
                for name in names_of:
                    label = kind if kind == "as it is" else f"{kind} {name}"
                    jobs.append((path.stem, label, pool.submit(start, path, kind, name, arguments.cell)))
        for lesson, label, job in jobs:
            lessons[lesson].runs[label] = found = job.result()
            failed = [cell for cell, result in found.items() if not result.held]
            print(f"{lesson}, {label}: {sum(r.seconds for r in found.values()):.0f} s"
                  + (f"; failed: {', '.join(failed)}" if failed else ""), file=sys.stderr, flush=True)
            if arguments.times and label == "as it is":
                for cell, result in found.items():
                    print(f"    {cell:24} {result.seconds:5.1f} s", file=sys.stderr)
    text = report(lessons, kinds, time.monotonic() - begun)
    print(text)
    if arguments.table:
        arguments.table.write_text(HEADING + text, encoding="utf-8")
    return any(held < count for runs in lessons.values() for _, held, count, *_ in runs.rows())


if __name__ == "__main__":
    sys.exit(main())
