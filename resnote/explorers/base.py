"""What every explorer shares: controls → state → picture, with nothing raised and nothing flickering.

A subclass names its `State` (a frozen dataclass whose fields are the controls' names), its presets
and its controls, and three pure functions of the state: the live picture, a still of it, and a
sentence for what changed. A `widgets.HTML` shows each part; a move sets its value at most once.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import fields
from html import escape
from numbers import Real

import ipywidgets as widgets

from resnote.charts import number
from resnote.explorers.names import NAMED, REGION, STEPS, ControlNames
from resnote.explorers.saved import KeepsStill, bundle

# One width for every label and one for every control, so that the tracks line up.
CONTROL_STYLE = {"description_width": "120px"}
CONTROL_LAYOUT = {"width": "auto", "max_width": "440px", "height": "28px", "margin": "2px"}


def slider(label: str, low: int, high: int) -> widgets.IntSlider:
    """A whole-number slider that reports every step of the hand."""
    return widgets.IntSlider(min=low, max=high, description=label, continuous_update=True,
                             style=CONTROL_STYLE, layout=CONTROL_LAYOUT)


def choice(label: str, options) -> widgets.Dropdown:
    return widgets.Dropdown(options=options, description=label, style=CONTROL_STYLE, layout=CONTROL_LAYOUT)


def steps(label: str, values) -> widgets.SelectionSlider:
    """A slider over chosen values, for a range too wide for even steps."""
    return widgets.SelectionSlider(options=list(values), description=label, continuous_update=True,
                                   style=CONTROL_STYLE, layout=CONTROL_LAYOUT).add_class(STEPS)


def switch(label: str) -> widgets.Checkbox:
    return widgets.Checkbox(description=label, indent=False,
                            layout={"width": "auto", "height": "28px", "margin": "2px 2px 2px 24px"})


def columns(*contents, width: int) -> widgets.HBox:
    """Columns of controls and pictures, each at most ``width`` pixels; in a narrow window one below the other."""
    return widgets.HBox([widgets.VBox(list(content), layout={"flex": "1 1 330px", "max_width": f"{width}px"})
                         for content in contents], layout={"flex_flow": "row wrap", "width": "100%"})


def what_moved(labels: dict[str, str], before, state) -> str:
    """"Layers: from 30 to 31. ", where one control moved between two states; nothing where none or several did."""
    moved = [f.name for f in fields(state) if before and getattr(before, f.name) != getattr(state, f.name)]
    if len(moved) != 1:
        return ""
    name, = moved
    label = labels[name]
    return f"{label[0].upper()}{label[1:]}: from {_word(getattr(before, name))} to {_word(getattr(state, name))}. "


def _word(value) -> str:
    if isinstance(value, bool):
        return ("off", "on")[value]
    return number(value, 2 if isinstance(value, float) else 0) if isinstance(value, Real) else value


class Explorer:
    """Base of the explorers; show one by making it the last expression of a cell.

    Attributes
    ----------
    state : what the controls say now, an instance of `State`
    widget : the whole explorer, an ipywidgets box
    """

    State: type
    presets: dict = {}  # name -> State
    parts: tuple[str, ...] = ("picture",)

    def __init__(self, preset: str | None = None):
        names = list(self.presets)
        if preset is None:
            preset = names[0]
        if preset not in self.presets:
            raise ValueError(f"There is no preset {preset!r}. Choose one of {', '.join(map(repr, names))}.")
        self.controls = self.make_controls()
        self._preset = widgets.ToggleButtons(options=names, value=preset, style={"button_width": "auto"},
                                             description="Presets", tooltips=[f"Set all controls: {n}" for n in names])
        self.views = {part: widgets.HTML() for part in (*self.parts, "live")}
        self.state = None
        self._busy = False
        self._set(self.presets[preset])
        for name, control in self.controls.items():
            control.add_class(f"resnote-{name}")  # a name on the page
            control.observe(self._on_control, names="value")
        self._preset.observe(self._on_preset, names="value")
        self.widget = widgets.VBox([self._preset, self.arrange(self.controls, self.views), self.views["live"],
                                    ControlNames(layout={"display": "none"})])
        self.widget.add_class(NAMED)
        self.views["live"].add_class(REGION)
        KeepsStill(shown=self.widget.model_id)

    # What a subclass says.

    def make_controls(self) -> dict[str, widgets.Widget]:
        """One control for each field of the state, by its name."""
        raise NotImplementedError

    def arrange(self, controls, views) -> widgets.Widget:
        """The controls and the parts of the picture, laid out; the live line is put below."""
        return widgets.VBox([*controls.values(), *(views[part] for part in self.parts)])

    def read(self):
        """The state that the controls show."""
        return self.State(**{name: control.value for name, control in self.controls.items()})

    def picture(self, state) -> dict[str, str]:
        """The live picture as HTML, by part; no part's height may depend on the state."""
        raise NotImplementedError

    def still(self, state) -> str:
        """The same picture for a page without a kernel, where inline SVG may be removed."""
        raise NotImplementedError

    def says(self, before, state) -> str:
        """One sentence on what the last move changed; ``before`` is None at the start."""
        raise NotImplementedError

    # What the base does.

    def _on_control(self, _change):
        if not self._busy:
            self._refresh()

    def _on_preset(self, change):
        if not self._busy and change.new is not None:
            self._set(self.presets[change.new])

    def _set(self, state):
        """Move all controls, then draw once."""
        with self._quietly():
            for name, control in self.controls.items():
                control.value = getattr(state, name)
        self._refresh()

    def _refresh(self):
        # An exception in a callback shows nowhere in a notebook: the picture would just stop.
        try:
            state = self.read()
            html = self.picture(state) | {"live": _live(self.says(self.state, state))}
            shown = self.state = state
        except Exception as error:
            shown = None        # no preset is pressed, so that each can be chosen
            html = dict.fromkeys(self.parts, "") | {"live": _live(
                f"The explorer could not draw this setting ({type(error).__name__}: {error}). "
                "Move the last control back, or choose a preset, and it goes on.")}
        for part, view in self.views.items():
            view.value = html[part]
        with self._quietly():
            self._preset.value = next((n for n, s in self.presets.items() if s == shown), None)

    @contextmanager
    def _quietly(self):
        busy, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = busy

    def _repr_mimebundle_(self, **kwargs):
        """The widget where there is a kernel, and the still beside it for where there is none."""
        return bundle(self.widget, _words(self.says(None, self.state)), self.still(self.state), **kwargs)


def _live(sentence: str) -> str:
    """The line that a screen reader reads out when it changes, with room for two lines."""
    return f'<p class="resnote-live" style="min-height:3em;line-height:1.5em;margin:4px 8px">{escape(sentence)}</p>'


def _words(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)
