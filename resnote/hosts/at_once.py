"""The parts of an explorer's picture, of which a move changes several, and all at once.

Their values, sent one by one, would be drawn one by one: between two messages a browser may paint the whole page. And each
part is laid out by itself: when one changes, the layout of the others and of the controls stays.
"""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import anywidget
import ipywidgets as widgets
from traitlets import List

PART = "resnote-part"           # a class
REST = 0.3                      # seconds without a move


class AtOnce(anywidget.AnyWidget):
    """Shows nothing; sends the values of several parts in one message.

    It does so once a front end has said that it takes such messages. After the last move each part sends its own value,
    too, for front ends of this kernel that take no such message. Until one has said so, each part sends its own at once.

    Parameters
    ----------
    parts : the widgets of the parts, by name
    at_rest : what to call when no move has followed those that were sent in one message
    """

    models = List().tag(sync=True)

    _esm = Path(__file__).with_name("at_once.js").read_text(encoding="utf-8")
    _css = f".{PART} {{ contain: layout style; }}"

    def __init__(self, parts: dict[str, widgets.HTML], at_rest):
        super().__init__(models=[part.add_class(PART).model_id for part in parts.values()])
        self.parts, self.at_rest, self.taken, self._held, self._timer = parts, at_rest, False, ExitStack(), None
        self.on_msg(lambda *_: setattr(self, "taken", True))        # a front end sends nothing else

    def show(self, html: dict[str, str]) -> None:
        """Give each part its value of ``html``."""
        changed = {part.model_id: html[name] for name, part in self.parts.items() if part.value != html[name]}
        if self.taken and changed:
            self._hold()
            self.send(changed)
        for name, part in self.parts.items():
            part.value = html[name]

    def _hold(self):
        """Let no part send its own value until there is rest."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:            # not in a kernel: then nothing would end it
            return
        if self._timer:
            self._timer.cancel()
        else:
            for part in self.parts.values():
                self._held.enter_context(part.hold_sync())
        self._timer = loop.call_later(REST, self._release)

    def _release(self):
        self._timer = None
        self._held.close()
        self.at_rest()
