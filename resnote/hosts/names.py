"""What a screen reader is told of an explorer or a question, which ipywidgets leaves to the eye.

The name of a slider stands beside its track, and nothing ties the two together: its handle would be read as
"slider, 3", a chosen value as its number in the list, a preset as a button that is never pressed, and the choices of a
question as so many single buttons.
"""

from pathlib import Path

import anywidget

NAMED = "resnote-named"          # classes: the whole explorer or question,
GROUP = "resnote-group"          # a column whose heading, in bold, belongs to its controls' names,
QUESTION = "resnote-question"    # the words that are the name of the choices below them,
STEPPED = "resnote-steps"        # a slider over chosen values: its readout is no place to type, whatever it looks like,
REGION = "resnote-region"        # and what is read out when it changes; it stays while its content is replaced


class ControlNames(anywidget.AnyWidget):
    """Shows nothing; names every control of the explorer or question that it lies in."""

    _esm = Path(__file__).with_name("names.js").read_text(encoding="utf-8")
    _css = Path(__file__).with_name("names.css").read_text(encoding="utf-8")
