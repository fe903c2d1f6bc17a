"""An explorer in JupyterLab: ipywidgets move its state, and each part of its picture is a `widgets.HTML`.

A move draws once and in place; an error is a sentence in place, since JupyterLab shows nowhere what a callback raises.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from html import escape

import ipywidgets as widgets

from resnote.explorers.base import Choice, Column, Columns, Explorer, Line, Slider, Steps, cannot_draw, words_of
from resnote.hosts.at_once import AtOnce
from resnote.hosts.names import GROUP, NAMED, REGION, STEPPED, ControlNames
from resnote.hosts.saved import KeepsStill, bundle

# One width for every label and one for every control, so that the tracks line up.
_STYLE = {"description_width": "120px"}
_LAYOUT = {"width": "auto", "max_width": "440px", "height": "28px", "margin": "2px"}
HOW_IT_MOVES = ('<p style="color:var(--jp-content-font-color2,#555)">This is a still. Its controls appear when the lesson’s first cells '
                "and this cell are run where Jupyter widgets are shown: JupyterLab, Notebook 7, nbclassic.</p>")


def make(control) -> widgets.Widget:
    """The widget of a control."""
    match control:
        case Slider(label, low, high):
            return widgets.IntSlider(min=low, max=high, description=label, continuous_update=True, style=_STYLE, layout=_LAYOUT)
        case Steps(label):
            return widgets.SelectionSlider(options=[(control.words(value), value) for value in control.positions], description=label,
                                           continuous_update=True, style=_STYLE, layout=_LAYOUT).add_class(STEPPED)
        case Choice(label, options):
            return widgets.Dropdown(options=list(options), description=label, style=_STYLE, layout=_LAYOUT)
    return widgets.Checkbox(description=control.label, indent=False, layout={"width": "auto", "height": "28px", "margin": "2px 2px 2px 24px"})


class Lab:
    """One explorer made of widgets.

    Attributes
    ----------
    state : what the controls show, an instance of the explorer's `State`; None where it could not be drawn
    controls : the widget of each field of the state
    views : the `widgets.HTML` of each part of the picture, and of the sentence, "live"
    at_once : what gives the views their values
    presets : the row of buttons
    widget : all of it
    """

    def __init__(self, explorer: Explorer, state):
        explorer.prepare()
        self.explorer = explorer
        self.controls = {name: make(control).add_class(f"resnote-{name}") for name, control in explorer.controls.items()}
        self.presets = widgets.ToggleButtons(options=list(explorer.presets), value=None, style={"button_width": "auto"},
                                             description="Presets", tooltips=[f"Set all controls: {n}" for n in explorer.presets])
        self.views = {name: widgets.HTML() for name in (*explorer.part_names(), "live")}
        self.state = self._numbers = self._moved = self._ahead = None
        self.at_once = AtOnce(self.views, self._look_ahead)
        self._busy = False
        self._set(state)
        for control in self.controls.values():
            control.observe(self._on_control, names="value")
        self.presets.observe(self._on_preset, names="value")
        self.widget = widgets.VBox([self.presets, widgets.VBox([self._place(item) for item in explorer.layout]),
                                    self.views["live"].add_class(REGION), ControlNames(layout={"display": "none"})]).add_class(NAMED)
        KeepsStill(shown=self.widget.model_id)

    def read(self):
        """The state that the controls show."""
        return self.explorer.State(**{name: control.value for name, control in self.controls.items()})

    def bundle(self, **kwargs) -> dict[str, object]:
        """A mime bundle: the widget, and the still and a sentence for front ends without a kernel or without widgets."""
        explorer, numbers = self.explorer, self._numbers if self.state else self.explorer.numbers(self.explorer.start)
        return bundle(self.widget, words_of(explorer.sentence(None, numbers)), explorer.still(numbers) + HOW_IT_MOVES, **kwargs)

    def _place(self, item) -> widgets.Widget:
        """A control, a part, or several of them as the layout says."""
        match item:
            case Line(heading, names):
                return widgets.HBox([widgets.HTML(f"<b>{heading}</b>"), *map(self._place, names)])
            case Columns(columns, width):
                return widgets.HBox([self._column(column, width) for column in columns],
                                    layout={"flex_flow": "row wrap", "width": "100%"})
        return self.controls.get(item) or self.views[item]

    def _column(self, column: Column, width: int) -> widgets.VBox:
        heading = [widgets.HTML(f"<b>{column.heading}</b>")] if column.heading else []
        box = widgets.VBox([*heading, *map(self._place, column.names)], layout={"flex": "1 1 330px", "max_width": f"{width}px"})
        return box.add_class(GROUP) if heading else box

    def _on_control(self, change):
        if not self._busy:
            self._moved = next(name for name, control in self.controls.items() if control is change.owner)
            self._refresh()

    def _on_preset(self, change):
        if not self._busy and change.new is not None:
            self._moved = None
            self._set(self.explorer.presets[change.new])

    def _set(self, state):
        """Move all controls, then draw once."""
        with self._quietly():
            for name, control in self.controls.items():
                control.value = getattr(state, name)
        self._refresh()

    def _refresh(self):
        try:
            state = self.read()
            moved = self.explorer.move(self._numbers, state)
            html = moved.parts | {"live": _live(moved.sentence)}
            self.state, self._numbers = state, moved.numbers
        except Exception as error:
            self.state = None        # no preset is pressed, so that each can be chosen
            html = dict.fromkeys(self.views, "") | {"live": _live(cannot_draw(error))}
        self.at_once.show(html)
        with self._quietly():
            self.presets.value = self.explorer.preset_of(self.state)

    def _look_ahead(self):
        """While the hand rests, compute where it may go next."""
        if self.explorer.looks_ahead and self.state and self._moved:
            near = self.explorer.neighbours(self.state, self._moved)
            self._ahead = asyncio.ensure_future(self._compute(near, self.state))       # a task that nothing holds may be collected

    async def _compute(self, states, shown):
        for state in states:
            await asyncio.sleep(0.01)               # moves that have come are seen first
            if self.state != shown:
                return
            with suppress(Exception):               # the move itself will show an error
                self.explorer.numbers(state)

    @contextmanager
    def _quietly(self):
        busy, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = busy


def _live(sentence: str) -> str:
    """The line that a screen reader reads out when it changes, with room for two lines."""
    return f'<p class="resnote-live" style="min-height:3em;line-height:1.5em;margin:4px 8px">{escape(sentence)}</p>'
