"""An explorer without a page: what it shows, and the positions of its controls."""

import re
from html.parser import HTMLParser
from xml.etree.ElementTree import Element, TreeBuilder

import ipywidgets as widgets


def html(explorer) -> str:
    """All parts of the live picture."""
    return "".join(view.value for view in explorer.views.values())


def live(explorer) -> str:
    """The sentence below the picture."""
    return words(parse(explorer.views["live"].value))


def presets(explorer) -> widgets.ToggleButtons:
    """The row of buttons with the presets' names."""
    row, = (child for child in explorer.widget.children if isinstance(child, widgets.ToggleButtons))
    return row


def positions(control) -> list:
    """All positions of a control, in its order."""
    if isinstance(control, widgets.IntSlider):
        return list(range(control.min, control.max + 1))
    if isinstance(control, widgets.Checkbox):
        return [False, True]
    return [option[1] if isinstance(option, tuple) else option for option in control.options]


# --- HTML and SVG, read as a browser reads it -------------------------------------------------


class _Tree(HTMLParser):
    EMPTY = {"br", "hr", "img", "input"}

    def __init__(self):
        super().__init__()
        self.builder = TreeBuilder()

    def handle_starttag(self, tag, attrs):
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in self.EMPTY:
            self.builder.end(tag)

    def handle_startendtag(self, tag, attrs):
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        self.builder.end(tag)

    def handle_endtag(self, tag):
        self.builder.end(tag)

    def handle_data(self, data):
        self.builder.data(data)


def parse(html: str) -> Element:
    """The elements of a picture or a part of a page, under one root. Names are in small letters: viewbox."""
    tree = _Tree()
    tree.feed(f"<body>{html}</body>")
    tree.close()
    return tree.builder.close()


def words(element: Element) -> str:
    """All that is written in it."""
    return "".join(element.itertext())


def texts(drawing: Element) -> list[str]:
    """What is written in a drawing, text by text."""
    return [words(text) for text in drawing.iter("text")]


def table(page: Element) -> dict[str, list[str]]:
    """The cells of each row of a table, by the row's first."""
    rows = ([words(cell) for cell in row if cell.tag in ("td", "th")] for row in page.iter("tr"))
    return {first: rest for first, *rest in rows}


def number(element: Element, name: str) -> float:
    """An attribute that is a number, such as x."""
    return float(element.get(name))


def points(line: Element) -> list[tuple[float, float]]:
    """The corners of a polyline or a polygon."""
    return [tuple(map(float, point.split(","))) for point in line.get("points").split()]


def strokes(path: Element) -> list[list[tuple[float, float]]]:
    """The corners of each stroke of a path of straight lines. A closed stroke ends where it began."""
    found, x, y = [], 0.0, 0.0
    for command, numbers in re.findall(r"([MmLlHhVvZz])([^A-Za-z]*)", path.get("d")):
        values = [float(number) for number in re.findall(r"-?[\d.]+", numbers)]
        own = command.islower()
        if command in "Mm":
            found.append([])
        if command in "Zz":
            x, y = found[-1][0]
        elif command in "Hh":
            x = values[0] + own * x
        elif command in "Vv":
            y = values[0] + own * y
        else:
            x, y = values[0] + own * x, values[1] + own * y
        found[-1].append((x, y))
    return found
