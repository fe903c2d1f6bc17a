"""Time and memory of each lesson, run from a cold kernel: the tables in README and docs/teaching.md.

    python benchmarks/lessons.py [rounds]        (3 by default, four to five minutes each)

One lesson at a time. Seconds are on the clock, medians over the rounds: from the first cell to the last, without the
second or so in which the kernel starts. Processor seconds are those of the kernel and what it starts, on all cores together.
Memory is the most that the kernel's process held at any time, the largest of the rounds; about 300 MB of it is torch and
matplotlib, imported.
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
TAKEN = """import resource
own, begun = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(own.ru_maxrss, own.ru_utime + own.ru_stime + begun.ru_utime + begun.ru_stime)"""
UNIT = 1 if sys.platform == "darwin" else 1024      # bytes in what ru_maxrss counts


def run(path: Path) -> tuple[dict[str, float], float, float]:
    """Seconds by cell id, processor seconds, and the kernel's largest memory in bytes."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(TAKEN, id="taken"))
    client, seconds = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": path.parent}}), {}
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            start = time.perf_counter()
            client.execute_cell(cell, index)
            seconds[cell.id] = time.perf_counter() - start
    del seconds["taken"]
    memory, processor = map(float, notebook.cells[-1].outputs[0].text.split())
    return seconds, processor, UNIT * memory


def main(rounds: int = 3) -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch "
          f"{version('torch')}; {rounds} rounds\n")
    print("| lesson | all cells | slowest cell | processor | memory |\n|---|---|---|---|---|")
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        runs = [run(path) for _ in range(rounds)]
        total = statistics.median(sum(seconds.values()) for seconds, _, _ in runs)
        slow = max(statistics.median(seconds[cell] for seconds, _, _ in runs) for cell in runs[0][0])
        processor, memory = statistics.median(processor for _, processor, _ in runs), max(memory for _, _, memory in runs)
        print(f"| {path.stem[:2]} | {total:.0f} s | {slow:.0f} s | {processor:.0f} s | {memory / 1e9:.1f} GB |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
