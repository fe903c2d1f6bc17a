"""Slider key press to settled picture in a real JupyterLab, three ways in one run.

    python benchmarks/slider_latency.py [moves]

`ours` is lesson 03's explorer; the floor is a slider that sets a Label; the alternative is what most
notebooks do, `interact` with torchinfo.summary. All three count the same bottleneck. Moves alternate
between the ways, so that a busy moment of the machine falls on all of them.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
from lab import Slider, launch_chromium, measure_latency, open_notebook, running_lab, watch_flicker  # noqa: E402

from resnote.counting import bottleneck  # noqa: E402

CELLS = {
    "ours": "from resnote.explorers import BottleneckExplorer\nBottleneckExplorer()",
    "ours-at-side-32": "small = BottleneckExplorer()\nsmall.controls['side'].value = 32\nsmall",
    "ours-at-side-4096": "large = BottleneckExplorer()\nlarge.controls['side'].value = 4096\nlarge",
    "floor": """
import ipywidgets as widgets
from IPython.display import display
slider, label = widgets.IntSlider(64, 1, 512, description="width"), widgets.Label("64 wide")
slider.observe(lambda change: setattr(label, "value", f"{change.new} wide"), names="value")
widgets.VBox([slider, label])""",
    "interact-torchinfo": """
import torchinfo
from resnote.blocks import Bottleneck
@widgets.interact(width=widgets.IntSlider(64, 1, 512, description="width"))
def summary(width):
    block = Bottleneck(256, width, 256, batch_norm=False)
    print(torchinfo.summary(block, (1, 256, 320, 320), verbose=0))""",
}


def expected(way: str, width: int) -> str:
    """A text that only the answer to this width contains."""
    return f"{width} wide" if way == "floor" else f"{bottleneck(256, width, 256, batch_norm=False).parameters:,}"


def slider_of(notebook, way: str) -> Slider:
    slider = Slider(notebook.output(way), "width")
    slider.handle = slider.handle.last      # ours has two; the bottleneck's is the second
    return slider


def main(moves: int) -> None:
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        cells=[nbformat.v4.new_code_cell(source.strip(), id=way) for way, source in CELLS.items()])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        nbformat.write(notebook, Path(folder, "latency.ipynb"))
        with running_lab(folder) as lab:
            page = launch_chromium(playwright).new_page(viewport={"width": 1400, "height": 1000})
            opened = open_notebook(page, lab, "latency.ipynb")
            opened.run_all()
            report(*measure(opened, moves))


def measure(notebook, moves: int):
    taken, width = {way: [] for way in CELLS}, 64
    with watch_flicker(notebook.output("ours")) as flicker:
        for _ in range(moves):
            width += 1
            for way in CELLS:
                if way == "interact-torchinfo" and len(taken[way]) >= 20:
                    continue
                slider = slider_of(notebook, way)
                slider.handle.scroll_into_view_if_needed()
                slider.handle.focus()
                taken[way].append(measure_latency(notebook.output(way),
                                                  lambda: slider.press("ArrowRight"), expected(way, width), timeout=30))
                notebook.settle()
    return taken, flicker


def report(taken: dict[str, list[float]], flicker) -> None:
    print(f"Slider key press to settled picture, ms · Python {platform.python_version()}, {platform.machine()}, "
          "JupyterLab in headless Chromium")
    floor, own = statistics.median(taken["floor"][1:]), statistics.median(taken["ours"][1:])
    print(f"{'way':24}{'median':>8}{'p95':>8}{'first':>8}{'÷ floor':>9}{'÷ ours':>9}{'moves':>7}")
    for way, times in taken.items():
        later = times[1:]
        median, p95 = statistics.median(later), statistics.quantiles(later, n=20)[-1]
        print(f"{way:24}{median:>8.1f}{p95:>8.1f}{times[0]:>8.1f}{median / floor:>9.2f}{median / own:>9.1f}{len(later):>7}")
    print(f"cell of ours while it moved: heights {sorted(flicker.heights)}, without a picture {flicker.blanks} times "
          f"in {len(flicker.frames)} frames")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
