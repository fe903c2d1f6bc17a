"""An explorer without a page: what it shows, and the positions of its controls; and how HTML and SVG are read in tests."""

import random
import re
from base64 import b64decode
from dataclasses import asdict
from html.parser import HTMLParser
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, TreeBuilder

import ipywidgets as widgets


def html(explorer) -> str:
    """All parts of the live picture."""
    return "".join(view.value for view in explorer.lab.views.values())


def still(explorer) -> Element:
    """What a saved page shows in its place."""
    return parse(explorer._repr_mimebundle_()["text/html"])


def images(page: Element) -> list[tuple[str, Element]]:
    """The alt text of each image of a still, and the drawing in it."""
    return [(image.get("alt"), parse(b64decode(image.get("src").removeprefix("data:image/svg+xml;base64,")).decode()))
            for image in page.iter("img")]


def live(explorer) -> str:
    """The sentence below the picture."""
    return words(parse(explorer.lab.views["live"].value))


def presets(explorer) -> widgets.ToggleButtons:
    """The row of buttons with the presets' names."""
    return explorer.lab.presets


def positions(control) -> list:
    """All positions of a control, in its order."""
    if isinstance(control, widgets.IntSlider):
        return list(range(control.min, control.max + 1))
    if isinstance(control, widgets.Checkbox):
        return [False, True]
    return [option[1] if isinstance(option, tuple) else option for option in control.options]


# --- HTML and SVG, read as a browser reads it -------------------------------------------------


SVG = ' xmlns="http://www.w3.org/2000/svg"'


class _Tree(HTMLParser):
    EMPTY = {"br", "hr", "img", "input"}

    def __init__(self):
        super().__init__()
        self.builder = TreeBuilder()

    def handle_starttag(self, tag, attrs):
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in self.EMPTY:
            self.builder.end(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            self.builder.end(tag)

    def handle_data(self, data):
        self.builder.data(data)


def parse(html: str) -> Element:
    """The elements of a picture or a part of a page, under one root and without namespaces."""
    try:                        # pictures are well-formed, and this is ten times faster
        return ElementTree.fromstring(f"<body>{html.replace(SVG, '')}</body>")
    except ElementTree.ParseError:
        tree = _Tree()
    tree.feed(f"<body>{html}</body>")
    tree.close()
    return tree.builder.close()


def drawn(drawing) -> Element:
    """A drawing as a page shows it."""
    return parse(drawing.inline())


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


def coordinate(element: Element, name: str) -> float:
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


# --- drawings as they are shown ----------------------------------------------------------------


def random_states(make, count):
    """Settings from the whole range, each control drawn by itself; and those where all are at an end."""
    generator = random.Random(0)
    choices = {name: control.positions for name, control in make.controls.items()}
    ends = [{name: values[place] for name, values in choices.items()} for place in (0, -1)]
    drawn = [{name: generator.choice(values) for name, values in choices.items()} for _ in range(count)]
    return [make.State(**values) for values in ends + drawn]


def beside(drawing: Element, width: float, height: float) -> list[str]:
    """The texts that are too small to read, or reach out of a drawing, in a face as wide as DejaVu Sans."""
    found = []
    for text in drawing.iter("text"):
        size = coordinate(text, "font-size")
        reach = 0.56 * size * len(words(text))
        left = coordinate(text, "x") - {"start": 0, "middle": reach / 2, "end": reach}[text.get("text-anchor", "start")]
        if not (size >= 11 and size <= coordinate(text, "y") <= height - 4 and left >= 0 and left + reach <= width):
            found.append(words(text))
    return found


def assert_every_position_draws(explorer) -> None:
    """Each control, moved through all its positions by itself, sets its field of the state, and something is drawn."""
    assert explorer.lab.controls.keys() == asdict(explorer.lab.state).keys()
    for name, control in explorer.lab.controls.items():
        start = control.value
        for position in positions(control):
            control.value = position
            assert getattr(explorer.lab.state, name) == position, name
            assert "could not draw" not in live(explorer) and list(parse(html(explorer)).iter("svg")), (name, position)
        control.value = start
