"""An explorer on the page, whatever its lesson: its controls by field of the state, and what it shows."""

from __future__ import annotations

import time
from pathlib import Path

from controls import parse, words
from lab import Notebook, Slider
from playwright.sync_api import Locator

SCREENSHOTS = Path(__file__).parents[2] / "screenshots"

SLACK = 0.1  # pixels: boxes on the page are rounded


def contrasts(places: Locator) -> list[tuple[float, str]]:
    """Of every visible text in these places: its contrast with what lies below it, by WCAG 2's formula, and its words.

    Below a text of a drawing lie the shapes painted before it. (axe-core leaves drawings out, and nearly all of a
    JupyterLab page.)
    """
    return [tuple(found) for found in places.evaluate_all(
        """places => {
            const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
            const once = make => {              // of each argument
                const known = new Map();
                return key => known.has(key) ? known.get(key) : known.set(key, make(key)).get(key);
            };
            const rgba = once(colour => {
                if (!CSS.supports('color', colour)) throw new Error(`cannot measure the colour ${colour}`);
                canvas.clearRect(0, 0, 1, 1);
                canvas.fillStyle = colour;
                canvas.fillRect(0, 0, 1, 1);
                return [...canvas.getImageData(0, 0, 1, 1).data].map(part => part / 255);
            });
            const over = (below, [r, g, b, a]) => [r, g, b].map((part, n) => part * a + below[n] * (1 - a));
            const luminance = rgb => rgb.map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
                .reduce((sum, part, n) => sum + part * [0.2126, 0.7152, 0.0722][n], 0);
            const ground = once(element => {
                const colour = element ? rgba(getComputedStyle(element).backgroundColor) : [1, 1, 1, 1];
                return colour[3] === 1 ? colour.slice(0, 3) : over(ground(element.parentElement), colour);
            });
            const opacity = once(element => element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1);
            const faded = ([r, g, b, a], element) => [r, g, b, a * opacity(element)];
            const fill = once(element => {
                const style = getComputedStyle(element), [r, g, b, a] = style.fill === 'none' ? [0, 0, 0, 0] : rgba(style.fill);
                return faded([r, g, b, a * style.fillOpacity], element);
            });
            const frame = once(element => element.getBoundingClientRect());
            const toItself = once(shape => shape.getScreenCTM().inverse());
            const covers = (shape, {x, y}) => frame(shape).left <= x && x <= frame(shape).right && frame(shape).top <= y
                && y <= frame(shape).bottom && shape.isPointInFill(new DOMPoint(x, y).matrixTransform(toItself(shape)));
            const contrast = (below, colour) => {
                const [dark, light] = [luminance(below), luminance(over(below, colour))].sort((a, b) => a - b);
                return (light + 0.05) / (dark + 0.05);
            };
            const drawn = drawing => {
                const elements = [...drawing.querySelectorAll('rect, circle, polygon, path, text')];
                return elements.filter(e => e.tagName === 'text' && e.textContent).map(text => {
                    const box = frame(text), shapes = elements.slice(0, elements.indexOf(text)).filter(e => e.tagName !== 'text');
                    const least = Math.min(...[0.05, 0.5, 0.95].map(part => {
                        const place = {x: box.x + part * box.width, y: box.y + box.height / 2};
                        let below = ground(drawing);
                        for (const shape of shapes)
                            if (covers(shape, place))
                                below = over(below, fill(shape));
                        return contrast(below, fill(text));
                    }));
                    return [least, text.textContent];
                });
            };
            const written = place => [...place.querySelectorAll('*')].filter(element => !element.closest('svg')
                && element.checkVisibility() && [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())
            ).map(element => [contrast(ground(element), faded(rgba(getComputedStyle(element).color), element)), element.textContent.slice(0, 60)]);
            return places.flatMap(place => [...written(place), ...[...place.querySelectorAll('svg:not(svg svg, [data-icon])')].flatMap(drawn)]);
        }""")]


class ExplorerPage:
    """The explorer of class ``kind`` that ``cell`` shows in ``notebook``."""

    def __init__(self, notebook: Notebook, kind: type, cell: str = "explorer"):
        self.notebook, self.kind = notebook, kind
        self.output = notebook.output(cell)
        self.output.scroll_into_view_if_needed()

    @property
    def drawings(self) -> Locator:
        return self.output.locator("svg[role=img]")

    def box(self, field: str):
        return self.output.locator(f".resnote-{field}")

    def slider(self, field: str) -> Slider:
        return Slider(self.box(field))

    def preset(self, name: str) -> None:
        self.output.get_by_role("button", name=name, exact=True).click()

    def choose(self, field: str, value) -> None:
        """Set a switch or a list to ``value``."""
        if isinstance(value, bool):
            self.box(field).get_by_role("checkbox").set_checked(value)
        else:
            self.box(field).locator("select").select_option(str(value))

    def shown(self) -> list[str]:
        """Texts, curves and tables of the picture, as the page has them."""
        return self.output.evaluate(
            """output => [...output.querySelectorAll('svg:not([data-icon]) text, polyline, td, th')].map(
                e => e.tagName === 'polyline' ? e.getAttribute('points') : e.textContent)""")

    def expected(self, state) -> tuple[list[str], str]:
        """What `shown` is in this state, and the sentence."""
        moved = self.kind.move(None, state)
        picture = parse("".join(moved.parts.values()))
        return [element.get("points") if element.tag == "polyline" else words(element)
                for element in picture.iter() if element.tag in ("text", "polyline", "td", "th")], moved.sentence

    def says(self) -> str:
        return self.output.locator(".resnote-live").inner_text()

    def shows(self, state) -> bool:
        expected, said = self.expected(state)
        return self.shown() == expected and self.says().endswith(said)

    def assert_shows(self, state, patience: float = 10) -> None:
        """The page shows this state, at the latest after ``patience`` seconds: a busy machine draws late."""
        deadline, (expected, said) = time.monotonic() + patience, self.expected(state)
        while not (self.shown() == expected and self.says().endswith(said)) and time.monotonic() < deadline:
            self.notebook.page.wait_for_timeout(20)
        assert self.shown() == expected
        assert self.says().endswith(said)

    def assert_texts_fit(self) -> None:
        """With the page's real font: every text lies inside its drawing, and none lies on another."""
        self.notebook.settle()
        drawings = self.drawings.evaluate_all(
            """drawings => drawings.map(drawing => [drawing.viewBox.baseVal.width, drawing.viewBox.baseVal.height,
                [...drawing.querySelectorAll('text')].map(text => {
                    const frame = drawing.getBoundingClientRect(), box = text.getBoundingClientRect();
                    const scale = drawing.viewBox.baseVal.width / frame.width;   // 1, but in a narrow window
                    const [x, y] = [(box.left - frame.left) * scale, (box.top - frame.top) * scale];
                    return [text.textContent, x, y, x + box.width * scale, y + box.height * scale];
                })])""")
        assert len(drawings) == len(parse("".join(self.kind.move(None, self.kind.setting()).parts.values())).findall(".//svg[@role='img']"))
        for width, height, texts in drawings:
            for text, left, top, right, bottom in texts:
                assert -SLACK <= left and right <= width + SLACK and -SLACK <= top and bottom <= height + SLACK, (text, right, bottom)
            for n, (text, *a) in enumerate(texts):
                for others, *b in texts[n + 1:]:
                    apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] + 3 or b[3] <= a[1] + 3
                    assert apart, (text, others)
