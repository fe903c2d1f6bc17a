"""Matplotlib pictures: light cards that read in both of JupyterLab's themes, each with its alt text.

Figures are made without pyplot, so nothing is drawn twice and no global state is left behind. A
picture is an SVG inside an ``<img>``: the same bytes for the same numbers.
"""

from __future__ import annotations

from io import StringIO
from itertools import cycle

import matplotlib
import matplotlib.style
from matplotlib.figure import Figure

from resnote.drawings.kit import POINTWISE, SPATIAL, as_image

STYLE = {
    "svg.hashsalt": "resnote", "font.size": 11, "axes.titlesize": 11, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": False, "figure.facecolor": "white", "text.color": "#212121",
    "axes.prop_cycle": matplotlib.cycler(color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"]),
}
DASHES = "-", "--", "-.", ":"


def _our_style():
    """matplotlib's defaults and `STYLE`, whatever style the reader has chosen; on leaving, the reader's again."""
    return matplotlib.style.context(STYLE, after_reset=True)


def _plain(numbers):
    """Tensors as NumPy arrays, in lists too: NumPy warns of a conversion that it has to ask a tensor for."""
    if hasattr(numbers, "detach"):
        return numbers.detach().cpu().numpy()
    return [_plain(number) for number in numbers] if isinstance(numbers, (list, tuple)) else numbers


class Picture:
    """A finished figure with its alt text, shown as the last expression of a cell."""

    def __init__(self, figure: Figure, alt: str):
        out = StringIO()
        with _our_style():
            figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
        self.svg, self.alt = out.getvalue(), alt

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"

    def _repr_html_(self) -> str:
        return as_image(self.svg, self.alt, style="max-width:100%;background-color:#fff;border-radius:8px;padding:8px;box-sizing:border-box")


def images(grid, titles, row_names, alt) -> Picture:
    """Rows of grey images, (H, W) each, all rows under the same column titles."""
    with _our_style():
        rows, columns = len(grid), len(grid[0])
        figure = Figure(figsize=(2.3 * columns, 2.3 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for i, row in enumerate(grid):
            for j, image in enumerate(row):
                axes[i][j].imshow(_plain(image), cmap="gray")
                axes[i][j].set(xticks=[], yticks=[])
                axes[i][j].spines[:].set(visible=True, color="#BBBBBB")        # near-white pixels would melt into the page
                if i == 0:
                    axes[i][j].set_title(titles[j])
            axes[i][0].set_ylabel(row_names[i])
        return Picture(figure, alt)


def shares(rows, kinds, alt) -> Picture:
    """One bar of 100 % for each of ``rows``: {name: [(label, value, kind), …]}; kinds are coloured.

    ``kinds`` maps a kind to its words in the legend: "pointwise", "spatial" and "other".
    """
    colours = {"pointwise": POINTWISE, "spatial": SPATIAL, "other": "#D0D0D0"}
    with _our_style():
        figure = Figure(figsize=(8.6, 0.72 * len(rows) + 1.0), layout="constrained")
        axes = figure.subplots()
        for place, parts in enumerate(rows.values()):
            total, left = sum(value for _, value, _ in parts), 0
            for label, value, kind in parts:
                share = float(100 * value / total)
                axes.barh(place, share, left=left, color=colours[kind], edgecolor="white", linewidth=1.5)
                if share >= 5:
                    axes.text(left + share / 2, place, f"{label}\n{share:.0f} %", ha="center", va="center", fontsize=9)
                left += share
        axes.set(yticks=range(len(rows)), yticklabels=list(rows), xlim=(0, 100), xlabel="share of the total, %")
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        handles = [matplotlib.patches.Patch(color=colours[kind], label=words) for kind, words in kinds.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(kinds), frameon=False)
        return Picture(figure, alt)


def curves(panels, alt) -> Picture:
    """Shares, 0 to 1, over widths (log scale); the panels stand side by side.

    ``panels`` is a list of (title, y label, {label: (widths, shares)}).
    """
    with _our_style():
        figure = Figure(figsize=(4.4 * len(panels), 4), layout="constrained")
        for axes, (title, ylabel, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
            for (label, (x, y)), marker in zip(lines.items(), cycle("osD^")):
                x = _plain(x)
                axes.plot(x, _plain(y), marker=marker, label=label)
            axes.set_xscale("log", base=2)
            axes.set(title=title, ylabel=ylabel, xlabel="width of the squeeze", xticks=x, xticklabels=x, ylim=(0, 1.06))
            axes.minorticks_off()
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
        return Picture(figure, alt)


def functions(x, panels, alt) -> Picture:
    """Functions of one variable; ``panels`` is {title: {label: values}}, side by side."""
    with _our_style():
        figure = Figure(figsize=(4.4 * len(panels), 3.4), layout="constrained")
        for axes, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
            for (label, y), dashes in zip(lines.items(), cycle(DASHES)):
                axes.plot(_plain(x), _plain(y), dashes, label=label, linewidth=2)
            axes.set(title=title, xlabel="z", ylim=(-1.15, 1.6))
            axes.legend(frameon=False, loc="upper left")
        return Picture(figure, alt)


def learning(curves, alt) -> Picture:
    """Errors by epoch; a value of ``curves`` is one list, or a list of lists, one a seed, all drawn alike.

    A run interrupted in its first epoch has an empty list, and no line.
    """
    with _our_style():
        figure = Figure(figsize=(7, 3.4), layout="constrained")
        axes = figure.subplots()
        for number, ((label, lines), dashes) in enumerate(zip(curves.items(), cycle(DASHES))):
            lines = lines if lines and isinstance(lines[0], (list, tuple)) else [lines]
            for seed, line in enumerate(lines):
                axes.plot(range(1, len(line) + 1), _plain([100 * e for e in line]), dashes, color=f"C{number}", linewidth=2,
                          label=f"{label}, {len(lines)} seeds" if len(lines) > 1 and seed == 0 else
                          label if seed == 0 else None)
        axes.set(xlabel="epoch", ylabel="error, %", ylim=(0, 100))
        axes.legend(frameon=False)
        return Picture(figure, alt)


def by_layer(lines, ylabel, alt) -> Picture:
    """One positive value a layer, on a logarithmic axis; ``lines`` is {label: values}."""
    with _our_style():
        figure = Figure(figsize=(7, 3.4), layout="constrained")
        axes = figure.subplots()
        for (label, values), marker in zip(lines.items(), cycle("osD^")):
            axes.plot(range(1, len(values) + 1), _plain(values), marker=marker, markersize=4, label=label)
        axes.set(xlabel="layer", ylabel=ylabel, yscale="log")
        axes.legend(frameon=False)
        return Picture(figure, alt)


def dots(groups, xlabel, ylabel, alt, *, limits=None) -> Picture:
    """Every value a dot, none averaged, by category; ``groups`` is {label: {category: [values]}}.

    Values are shares, 0 to 1, and shown in percent; with ``limits``, the ends of the axis, as they are.
    """
    times = 1 if limits else 100
    categories = list(dict.fromkeys(category for seen in groups.values() for category in seen))
    with _our_style():
        figure = Figure(figsize=(7, 3.4), layout="constrained")
        axes = figure.subplots()
        for number, ((label, seen), marker) in enumerate(zip(groups.items(), cycle("osD^"))):
            beside = 0.24 * (number - (len(groups) - 1) / 2)  # groups stand beside each other, seeds spread a little
            points = [(categories.index(category) + beside + 0.016 * (n - len(values) / 2), times * value)
                      for category, values in seen.items() for n, value in enumerate(values)]
            x, y = zip(*points) if points else ((), ())         # nothing was measured before an interrupt
            axes.plot(x, _plain(y), marker, markersize=5.5, markeredgecolor="white", markeredgewidth=0.5, label=label)
        axes.set(xticks=range(len(categories)), xticklabels=categories, xlabel=xlabel, ylabel=ylabel,
                 ylim=limits or (-3, 103))
        if limits:
            axes.axhline(0, color="#BBBBBB", linewidth=1, zorder=0)
        if len(groups) > 1:     # above the frame, where its marks are not taken for dots
            axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, ncols=3)
        return Picture(figure, alt)


def by_step(lines, ylabel, alt) -> Picture:
    """A number at each step of training; ``lines`` is {label: values}."""
    with _our_style():
        figure = Figure(figsize=(7, 3.4), layout="constrained")
        axes = figure.subplots()
        for (label, values), dashes in zip(lines.items(), ("-", "--", "-.", ":")):
            axes.plot(range(1, len(values) + 1), _plain(values), dashes, linewidth=2, label=label)
        axes.set(xlabel="step", ylabel=ylabel)
        axes.legend(frameon=False)
        return Picture(figure, alt)


def loglog(groups, xlabel, ylabel, alt) -> Picture:
    """Positive numbers over positive numbers, both axes logarithmic; ``groups`` is {label: [(x values, y values), …]}.

    The lines of one label share its colour and dashes.
    """
    with _our_style():
        figure = Figure(figsize=(7, 3.4), layout="constrained")
        axes = figure.subplots()
        for number, ((label, lines), dashes) in enumerate(zip(groups.items(), cycle(DASHES))):
            for place, (x, y) in enumerate(lines):
                axes.plot(_plain(x), _plain(y), dashes, color=f"C{number}", linewidth=2, label=None if place else label)
        axes.set(xlabel=xlabel, ylabel=ylabel, xscale="log", yscale="log")
        axes.legend(frameon=False)
        return Picture(figure, alt)


def sharing(masks, marked, captions, alt) -> Picture:
    """Tables of maps, images by channels, side by side: which maps share one mean with the marked map.

    Parameters
    ----------
    masks : {title: (N, C) of True and False}, True where a map shares the marked map's mean
    marked : (image, channel) of the marked map
    captions : a line under each table
    """
    with _our_style():
        figure = Figure(figsize=(2.3 * len(masks), 2.7), layout="constrained")
        for axes, (title, mask), caption in zip(figure.subplots(1, len(masks), squeeze=False)[0], masks.items(), captions):
            rows, columns = len(mask), len(mask[0])
            for n in range(rows):
                for c in range(columns):
                    shared = bool(mask[n][c])
                    axes.add_patch(matplotlib.patches.Rectangle(
                        (c + 0.06, n + 0.06), 0.88, 0.88, facecolor=SPATIAL if shared else "white",
                        edgecolor="#212121" if shared else "#AAAAAA", hatch="///" if shared else None, linewidth=0.8))
            image, channel = marked
            axes.add_patch(matplotlib.patches.Circle((channel + 0.5, image + 0.5), 0.2, facecolor="#212121"))
            axes.set(title=title, xlabel=f"channel\n{caption}", ylabel="image", xlim=(0, columns), ylim=(rows, 0), aspect="equal",
                     xticks=[c + 0.5 for c in range(columns)], xticklabels=range(1, columns + 1),
                     yticks=[n + 0.5 for n in range(rows)], yticklabels=range(1, rows + 1))
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
        return Picture(figure, alt)
