"""Slider key press to painted picture in a real JupyterLab: every explorer, a floor and an alternative in one run.

    python benchmarks/slider_latency.py [moves, 120 if none are given]

A move of all takes 8 seconds: JupyterLab and the page have to be at rest before the next one. So these are moves of a hand
that steps; the signal's and the inference's explorers have then computed the next positions. The drags have no rest.
Beside them, the same explorers on a web page (`page-…`), which need no kernel.

`ours` is lesson 03's explorer; the floor is a slider that sets a Label; the alternative is what most notebooks do,
`interact` with torchinfo.summary, which counts the same bottleneck. The other lessons' explorers stand beside them. The
ways alternate, a dozen moves each in a row, so that a busy moment of the machine falls on all of them. They do not alternate
at every move, because JupyterLab 4.6 keeps a toolbar of each cell that was active (jupyterlab/jupyterlab#19370): after 180
changes of the cell the page held 15 MB more than before, and paused ever longer to collect garbage. The order of the ways
is drawn anew each round and each run: JupyterLab's page pauses for garbage once in 40 to 70 moves of any way, the floor
among them, and in a fixed order the same way met each pause. A p95 of few moves is chance: of 60 moves, three pauses decide
it. Then a fast hand: from the release of a drag across the whole range to its last picture.
"""

from __future__ import annotations

import platform
import random
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path[:0] = map(str, (ROOT / "tests" / "browser", ROOT / "tests", ROOT / "tools"))
from browser_python import write_python  # noqa: E402
from lab import Slider, launch_chromium, measure_latency, open_notebook, running_lab, watch_flicker  # noqa: E402
from make_site import explorer, lessons, page, write_pages  # noqa: E402
from tables import write_tables  # noqa: E402
from web import WebExplorer, serving  # noqa: E402

from resnote.counting import bottleneck  # noqa: E402
from resnote.explorers import (BlockExplorer, BottleneckExplorer, InferenceExplorer, LineExplorer, NetworkExplorer,  # noqa: E402
                               NormalizationExplorer, SignalExplorer, block, inference, line, network, normalization, signal)

CELLS = {
    "ours": "from resnote.explorers import BottleneckExplorer\nBottleneckExplorer()",
    "ours-at-side-32": "small = BottleneckExplorer()\nsmall.lab.controls['side'].value = 32\nsmall",
    "ours-at-side-4096": "large = BottleneckExplorer()\nlarge.lab.controls['side'].value = 4096\nlarge",
    "line": "from resnote.explorers import LineExplorer\nLineExplorer()",
    "block": "from resnote.explorers import BlockExplorer\nBlockExplorer()",
    "normalization": "from resnote.explorers import NormalizationExplorer\nNormalizationExplorer()",
    "inference": "from resnote.explorers import InferenceExplorer\nInferenceExplorer()",
    "network": "from resnote.explorers import NetworkExplorer\nNetworkExplorer('ResNet-152')",
    # Depth 60: the longest.
    "signal": """
from resnote.explorers import SignalExplorer
deep = SignalExplorer("ReLU, He")
deep.lab.controls["depth"].value = 60
deep""",
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

IN_A_ROW = 12
REST = 2000     # ms after a change of tabs, which is no part of a move: the tab that comes to the front lays itself out anew

# On the page, and where they start.
ON_A_PAGE = {"ours": BottleneckExplorer(), "line": LineExplorer(), "block": BlockExplorer(), "normalization": NormalizationExplorer(),
             "inference": InferenceExplorer(), "network": NetworkExplorer("ResNet-152"), "signal": SignalExplorer("ReLU, He", depth=60)}


def to_and_fro(positions: list, start, turn: int):
    """Where a slider stands after move number ``turn`` over all its positions and back, and the key of that move."""
    there = [*range(len(positions)), *range(len(positions) - 2, 0, -1)]
    place = positions.index(start) + turn
    then, now = there[place % len(there)], there[(place + 1) % len(there)]
    return positions[now], "ArrowRight" if now > then else "ArrowLeft"


def moves_of(way: str, turn: int):
    """The slider, the key and a text that only the answer contains, for move number ``turn``, from 0."""
    width = 65 + turn
    if way == "line":
        slope, key = to_and_fro(list(LineExplorer.controls["slope"].positions), 1, turn)
        return ".resnote-slope", key, LineExplorer.move(None, line.State(slope)).sentence
    if way == "signal":
        gain, key = to_and_fro(list(signal.GAINS), "√2 (He)", turn)
        state = signal.State(depth=60, activation="ReLU", gain=gain)
        return ".resnote-gain", key, SignalExplorer.move(None, state).sentence
    if way == "normalization":
        beta, key = to_and_fro([n / 4 for n in range(-16, 17)], 0.0, turn)
        return ".resnote-beta", key, NormalizationExplorer.move(None, normalization.State(beta=beta)).sentence
    if way == "inference":
        return ".resnote-seen", "ArrowRight", InferenceExplorer.move(None, inference.State(seen=11 + turn)).sentence
    if way == "network":
        deepest = network.PRESETS["ResNet-152"]
        blocks, key = to_and_fro(list(range(1, 37)), deepest.stage_3, turn)
        return ".resnote-stage_3", key, NetworkExplorer.move(None, replace(deepest, stage_3=blocks)).sentence
    if way == "block":
        state = block.State(out_channels=width)
        return ".resnote-out_channels", "ArrowRight", block.code(state)
    if way == "floor":
        return ".widget-slider", "ArrowRight", f"{width} wide"
    parameters = f"{bottleneck(256, width, 256, batch_norm=False).parameters:,}"
    return ".resnote-bottleneck_width" if way.startswith("ours") else ".widget-slider", "ArrowRight", parameters


# A drag from one end to the other: the slider, and the text of the picture at the end.
DRAGS = {"ours": (".resnote-bottleneck_width", f"{bottleneck(256, 512, 256, batch_norm=False).parameters:,}"),
         "block": (".resnote-out_channels", block.code(block.State(out_channels=256))),
         "signal": (".resnote-depth", SignalExplorer.move(None, signal.State(depth=60, activation="ReLU", gain="√2 (He)")).sentence)}


def main(moves: int) -> None:
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        cells=[nbformat.v4.new_code_cell(source.strip(), id=way) for way, source in CELLS.items()])
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as site, sync_playwright() as playwright:
        nbformat.write(notebook, Path(folder, "latency.ipynb"))
        make_page(Path(site))
        with running_lab(folder) as lab, serving(Path(site)) as address:
            context = launch_chromium(playwright).new_context(viewport={"width": 1400, "height": 1000})
            opened = open_notebook(context.new_page(), lab, "latency.ipynb")
            opened.run_all()
            web = context.new_page()
            web.goto(f"{address}/latency.html")
            for way in ON_A_PAGE:
                web.locator(f"[id={way}]").scroll_into_view_if_needed()
                WebExplorer(web, way).wait()
            taken = measure(opened, web, moves)
            flicker = watch_ours(opened, 20)
            report(taken, flicker, {way: [drag(opened, way) for _ in range(5)] for way in DRAGS})


def make_page(site: Path) -> None:
    """All explorers on one page of the site."""
    write_pages(site)
    write_python(site / "python")
    write_tables(site / "python")
    shown = "".join(explorer(each, way) for way, each in ON_A_PAGE.items())
    html = page("latency", "Every explorer", shown, here="latency", course=lessons(), url="", python="python")
    (site / "latency.html").write_text(html, encoding="utf-8")


def measure(notebook, web, moves: int) -> dict[str, list[float]]:
    taken = {way: [] for way in (*CELLS, *(f"page-{way}" for way in ON_A_PAGE))}
    for first in range(0, moves, IN_A_ROW):
        turns = range(first, min(first + IN_A_ROW, moves))
        print(f"\rmoves {first + 1} to {turns.stop} of {moves}", end="", file=sys.stderr)
        notebook.page.bring_to_front()
        notebook.page.wait_for_timeout(REST)
        for way in random.sample(list(CELLS), len(CELLS)):
            if way != "interact-torchinfo" or first < 20:
                taken[way] += in_jupyterlab(notebook, way, turns)
        web.bring_to_front()
        web.wait_for_timeout(REST)
        for way in random.sample(list(ON_A_PAGE), len(ON_A_PAGE)):
            taken[f"page-{way}"] += on_the_page(web, way, turns)
    print(file=sys.stderr)
    notebook.page.bring_to_front()
    return taken


def in_jupyterlab(notebook, way: str, turns: range) -> list[float]:
    slider, output = slider_of(notebook, way), notebook.output(way)
    slider.handle.scroll_into_view_if_needed()
    slider.handle.focus()
    notebook.page.wait_for_timeout(200)         # to come to a cell is no part of a move
    times = []
    for turn in turns:
        _, key, expected = moves_of(way, turn)
        times.append(measure_latency(output, lambda: slider.press(key), expected, timeout=30))
        notebook.settle()
        if way in ("inference", "signal"):
            notebook.page.wait_for_timeout(500)         # they look ahead
    return times


def on_the_page(web, way: str, turns: range) -> list[float]:
    shown = WebExplorer(web, way)
    box, _, _ = moves_of(way, turns.start)
    slider = shown.control(box.removeprefix(".resnote-"))
    slider.focus()
    times = []
    for turn in turns:
        _, key, expected = moves_of(way, turn)
        web.wait_for_timeout(100)               # at rest, as JupyterLab is
        times.append(measure_latency(shown.box, lambda: slider.press(key), expected, timeout=30))
    return times


def slider_of(notebook, way: str) -> Slider:
    box, _, _ = moves_of(way, 0)
    return Slider(notebook.output(way).locator(box))


def watch_ours(notebook, moves: int):
    """How the cell of `ours` looks while it moves. To watch each frame costs time, so no move that is timed is watched."""
    slider = slider_of(notebook, "ours")
    with watch_flicker(notebook.output("ours")) as flicker:
        for _ in range(moves):
            slider.press("ArrowRight")
            notebook.settle()
    return flicker


def drag(notebook, way: str) -> float:
    """Milliseconds from the release of a fast hand to the picture of where it stopped."""
    box, expected = DRAGS[way]
    slider = Slider(notebook.output(way).locator(box))
    slider.handle.scroll_into_view_if_needed()
    if way == "signal":
        reset = Slider(notebook.output(way).locator(".resnote-gain"))
        reset.press("Home")
        reset.press("ArrowRight", times=list(signal.GAINS).index("√2 (He)"))
    slider.press("Home")
    notebook.settle()
    notebook.output(way).filter(has_not_text=expected).wait_for()   # a busy machine draws late
    return measure_latency(notebook.output(way), lambda: slider.drag(1, steps=60), expected, start="mouseup", timeout=30)


def report(taken: dict[str, list[float]], flicker, drags) -> None:
    print(f"Slider key press to painted picture, ms · Python {platform.python_version()}, {platform.machine()}, "
          "JupyterLab in headless Chromium")
    floor, own = statistics.median(taken["floor"][1:]), statistics.median(taken["ours"][1:])
    print(f"{'way':24}{'median':>8}{'p95':>8}{'worst':>8}{'first':>8}{'÷ floor':>9}{'÷ ours':>9}{'p95 ÷ floor':>13}{'moves':>7}")
    for way, times in taken.items():
        later = times[1:]
        median, p95 = statistics.median(later), statistics.quantiles(later, n=20)[-1]
        print(f"{way:24}{median:>8.1f}{p95:>8.1f}{max(later):>8.1f}{times[0]:>8.1f}{median / floor:>9.2f}{median / own:>9.1f}"
              f"{p95 / floor:>13.2f}{len(later):>7}")
    for way, times in drags.items():
        print(f"{way}: a drag of 60 moves settles {statistics.median(times):.0f} ms after release, at worst {max(times):.0f}")
    print(f"cell of ours while it moved: heights {sorted(flicker.heights)}, without a picture {flicker.blanks} times "
          f"in {len(flicker.frames)} frames")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 120)
