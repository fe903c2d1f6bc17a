"""The parts of an explorer's picture, of which a move changes several, and all at once.

Their values, sent one by one, would also be drawn one by one: between two messages a browser may paint the whole page.
And each part is laid out and painted by itself: when one changes, the others and the controls need not be.
"""

from pathlib import Path

import anywidget
import ipywidgets as widgets
from traitlets import List

PART = "resnote-part"           # a class


class Part(widgets.HTML):
    """A part of a picture; while it is `silent`, the front end is not told of a new value."""

    silent = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.add_class(PART)

    def send_state(self, key=None):
        if not self.silent:
            super().send_state(key)


class AtOnce(anywidget.AnyWidget):
    """Shows nothing; gives several parts their new values in one message.

    It does so once the front end has said that it takes such messages. To others, and before, each part sends its own.

    Parameters
    ----------
    parts : the widgets of the parts, by name
    """

    models = List().tag(sync=True)

    _esm = Path(__file__).with_name("at_once.js").read_text(encoding="utf-8")
    _css = f".{PART} {{ contain: content; }}"

    def __init__(self, parts: dict[str, Part]):
        super().__init__(models=[part.model_id for part in parts.values()])
        self.parts, self.taken = parts, False
        self.on_msg(lambda *_: setattr(self, "taken", True))        # the front end sends nothing else

    def show(self, html: dict[str, str]) -> None:
        """Give each part its value of ``html``."""
        changed = {part.model_id: html[name] for name, part in self.parts.items() if part.value != html[name]}
        for name, part in self.parts.items():
            part.silent = self.taken
            try:
                part.value = html[name]
            finally:
                part.silent = False
        if self.taken and changed:
            self.send(changed)
