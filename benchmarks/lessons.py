"""Time and memory of each lesson, run from a cold kernel: the table in README.

    python benchmarks/lessons.py [rounds]        (3 by default, about three minutes each)

One lesson at a time. Seconds are on the clock, medians over the rounds: from the first cell to the last, without the
second or so in which the kernel starts. Memory is the most that the kernel's process held at any time, the largest of
the rounds; about 300 MB of it is torch and matplotlib, imported.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PEAK = "import resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
UNIT = 1 if sys.platform == "darwin" else 1024      # bytes in what ru_maxrss counts


def run(path: Path) -> tuple[dict[str, float], int]:
    """Seconds by cell id, and the kernel's largest memory in bytes."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK, id="peak"))
    client, seconds = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": path.parent}}), {}
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            start = time.perf_counter()
            client.execute_cell(cell, index)
            seconds[cell.id] = time.perf_counter() - start
    del seconds["peak"]
    return seconds, UNIT * int(notebook.cells[-1].outputs[0].text)


def main(rounds: int = 3) -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch "
          f"{version('torch')}; {rounds} rounds\n")
    print("| lesson | all cells | slowest cell | memory |\n|---|---|---|---|")
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        runs = [run(path) for _ in range(rounds)]
        total = statistics.median(sum(seconds.values()) for seconds, _ in runs)
        longest = max(runs[0][0], key=lambda cell: statistics.median(seconds[cell] for seconds, _ in runs))
        slow = statistics.median(seconds[longest] for seconds, _ in runs)
        memory = max(peak for _, peak in runs)
        print(f"| {path.stem[:2]} | {total:.0f} s | {slow:.0f} s | {memory / 1e9:.1f} GB |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
