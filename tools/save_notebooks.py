"""Run the lessons and save them so that a second run changes only a timing in lesson 05.

    python tools/save_notebooks.py [notebook ...]        (all of notebooks/ by default)

What changes from run to run is left out: times, widget state, and the live view of widgets, whose
still stays. Cell ids, metadata and key order are fixed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from resnote.hosts.saved import VIEW as WIDGET_VIEW

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# Without the exporter `nbconvert --to script` would leave the prose out. The kernel adds Python's version, which differs.
LANGUAGE = {"codemirror_mode": {"name": "ipython", "version": 3}, "file_extension": ".py", "mimetype": "text/x-python",
            "name": "python", "nbconvert_exporter": "python", "pygments_lexer": "ipython3"}


def execute(path: Path) -> nbformat.NotebookNode:
    """Run a notebook from a fresh kernel and return it with its outputs, normalised."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", store_widget_state=False,
                   record_timing=False, coalesce_streams=True,
                   resources={"metadata": {"path": path.parent}}).execute()
    return normalise(notebook)


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what differs between two runs, and what a reader without a kernel cannot use."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": sorted(cell.metadata.tags)} if cell.metadata.get("tags") else {})
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data.pop(WIDGET_VIEW, None)
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
    return notebook


def main(paths: list[str]) -> None:
    for path in map(Path, paths) if paths else sorted(NOTEBOOKS.glob("*.ipynb")):
        before = path.read_bytes()
        nbformat.write(execute(path), path)
        print(f"{path}: {'unchanged' if path.read_bytes() == before else 'saved'}")


if __name__ == "__main__":
    main(sys.argv[1:])
