"""An explorer on a web page: its controls as HTML, and the answer to each of its moves.

`live` runs when the site is built. `answer` runs in the reader's browser, under Pyodide, in a worker that `web.js` starts;
so nothing here needs more than the standard library.
"""

from __future__ import annotations

import gzip
import json
from html import escape

from resnote import explorers
from resnote.explorers.base import Choice, Column, Columns, Explorer, Line, Moved, Slider, Switch, cannot_draw, plain_words
from resnote.hosts import tables
from resnote.settings import SettingError

SENTENCE = "sentence"


def live(explorer: Explorer, key: str) -> str:
    """The explorer as it starts: presets, controls, picture and sentence. ``key`` names it on its page."""
    shown = shown_by(explorer, explorer.start, explorer.move(None, explorer.start))
    presets = "".join(f'<button type="button" aria-pressed="{"true" if name == shown["preset"] else "false"}">{escape(name)}</button>'
                      for name in explorer.presets)
    page = _Page(explorer, key, shown["positions"], shown["parts"])
    return (f'<div class="presets" role="group" aria-label="Presets">{presets}</div>'
            f'{"".join(map(page.place, explorer.layout))}'
            f'<p class="{SENTENCE}" role="status">{escape(shown[SENTENCE])}</p>'
            '<p class="keep"><button type="button" class="copy">Copy link</button><span class="told" role="status"></span>'
            f'<span>In JupyterLab: <code>{escape(shown["code"])}</code></span></p>')


class _Page:
    """The layout of one explorer as HTML."""

    def __init__(self, explorer, key, positions, parts):
        self.explorer, self.key, self.positions, self.parts = explorer, key, positions, parts

    def place(self, item) -> str:
        """A control, a part, or several of them as the layout says."""
        match item:
            case Line(heading, names):
                return f'<div class="line" role="group" aria-label="{escape(heading)}"><b>{escape(heading)}</b>{self.all(names)}</div>'
            case Columns(columns, width):
                return f'<div class="columns">{"".join(self.column(column, width) for column in columns)}</div>'
        return self.control(item) if item in self.explorer.controls else f'<div data-part="{item}">{self.parts[item]}</div>'

    def all(self, names) -> str:
        return "".join(map(self.place, names))

    def column(self, column: Column, width: int) -> str:
        heading = f"<b>{escape(column.heading)}</b>" if column.heading else ""
        return f'<div class="column" style="max-width:{width}px">{heading}{self.all(column.names)}</div>'

    def control(self, name: str) -> str:
        """A native control; its position is the number of its value among all of the control's values."""
        control, position = self.explorer.controls[name], self.positions[name]
        label, words = escape(self.explorer.label(name)), escape(control.words(control.positions[position]))
        key = f"{self.key}-{name}"
        this = f'id="{key}" name="{name}" aria-label="{label}"'
        match control:
            case Switch():
                return (f'<div class="control switch"><input type="checkbox" {this}{" checked" * position}>'
                        f'<label for="{key}">{escape(control.label)}</label></div>')
            case Choice():
                options = "".join(f"<option{' selected' * (n == position)}>{escape(control.words(value))}</option>"
                                  for n, value in enumerate(control.positions))
                field = f"<select {this}>{options}</select>"
            case Slider(low=low, high=high):
                field = (f'<input type="range" {this} min="{low}" max="{high}" value="{control.positions[position]}">'
                         f'<input type="number" data-of="{name}" aria-label="{label}, as a number" min="{low}" max="{high}" '
                         f'value="{control.positions[position]}">')
            case _:
                field = (f'<input type="range" {this} min="0" max="{len(control.positions) - 1}" value="{position}" '
                         f'aria-valuetext="{words}"><span class="value" aria-hidden="true">{words}</span>')
        return f'<div class="control"><label for="{key}">{escape(control.label)}</label>{field}</div>'


def shown_by(explorer, state, moved: Moved) -> dict:
    """What a page shows after a move to ``state``."""
    words = {name: control.words(getattr(state, name)) for name, control in explorer.controls.items()}
    return {
        "positions": {name: control.positions.index(getattr(state, name)) for name, control in explorer.controls.items()},
        "words": words, "preset": explorer.preset_of(state),
        "parts": moved.parts, SENTENCE: moved.sentence, "code": explorer.code(state),
        "setting": link_setting(explorer, state),
    }


def link_setting(explorer, state) -> dict[str, str]:
    """What a link says of a state: the fields that are not the first preset's, in words."""
    return {name: plain_words(explorer.controls[name], getattr(state, name)) for name in explorer.changed(state)}


# --- under Pyodide -----------------------------------------------------------------------------

_before: dict[str, object] = {}         # of each explorer on the page, the numbers that it shows


def use_table(name: str, packed) -> None:
    """Take what torch computed for an explorer from a file of the site."""
    packed = bytes(packed)
    tables.use(name, json.loads(gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed))     # some servers unpack it


def answer(asked: str) -> str:
    """What an explorer shows after a move, or a ``problem`` in words; both are JSON.

    The page asks with the explorer's class, its key on the page, and what is wanted: the ``positions`` of all controls,
    a ``preset``, or a ``setting`` as it stands in a link, {field: words}.
    """
    asked = json.loads(asked)
    key = asked["key"]
    try:
        explorer = getattr(explorers, asked["explorer"])
        if "positions" in asked:
            state = explorer.State(**{name: explorer.controls[name].positions[n] for name, n in asked["positions"].items()})
        elif "preset" in asked:
            state = explorer.setting(asked["preset"])
        else:
            state = explorer.setting(**asked["setting"])
        moved = explorer.move(_before.get(key), state)
        _before[key] = moved.numbers
        return json.dumps({"key": key} | shown_by(explorer, state, moved))
    except SettingError as error:
        problem = f"The setting in the link cannot be shown. {error}"
    except Exception as error:
        problem = cannot_draw(error)
    return json.dumps({"key": key, "problem": problem})
