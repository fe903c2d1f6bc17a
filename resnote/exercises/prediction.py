"""A guess before the experiment: a question with choices that answers back."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets

from resnote.exercises.base import COLOURS, MARKS, Note
from resnote.hosts.names import NAMED, QUESTION, REGION, ControlNames
from resnote.hosts.saved import KeepsStill, bundle


class Prediction:
    """A question with choices; show it by making it the last expression of a cell.

    Parameters
    ----------
    question : plain text
    choices : each choice with the sentence that answers it
    answer : the choice that is right
    """

    def __init__(self, question: str, choices: dict[str, str], answer: str):
        if answer not in choices:
            raise ValueError(f"The answer {answer!r} is not among the choices {list(choices)}.")
        self.question, self.choices, self.answer = question, choices, answer

    def reply(self, choice: str) -> Note:
        """What a choice is answered with."""
        if choice == self.answer:
            return Note(MARKS["right"], "yes", self.choices[choice], COLOURS["right"])
        return Note(MARKS["wrong"], "not this one", self.choices[choice] + " Guess again.", COLOURS["wrong"])

    def widget(self) -> widgets.VBox:
        """The question, its choices, and a place for the reply."""
        radio = widgets.RadioButtons(options=list(self.choices), value=None, layout={"width": "auto"})
        question = widgets.HTML(f"<b>Your guess:</b> {escape(self.question)}").add_class(QUESTION)
        reply = widgets.HTML(self.waiting()._repr_html_()).add_class(REGION)
        radio.observe(lambda change: setattr(reply, "value", self.reply(change.new)._repr_html_()), names="value")
        return widgets.VBox([question, radio, reply, ControlNames(layout={"display": "none"})]).add_class(NAMED)

    @staticmethod
    def waiting() -> Note:
        """What stands in the reply's place before the first choice."""
        return Note(MARKS["not answered yet"], "no guess yet", "choose one, then go on.")

    def still(self) -> str:
        """The question for a page where nothing moves, its answer folded away."""
        choices = "".join(f"<li>{escape(choice)}</li>" for choice in self.choices)
        return (f"<p><b>Your guess:</b> {escape(self.question)}</p><ul>{choices}</ul>"
                f"<details><summary>Answer</summary><p><b>{escape(self.answer)}.</b> "
                f"{escape(self.choices[self.answer])}</p></details>")

    def _repr_mimebundle_(self, **kwargs):
        text = f"{self.question}\n" + "\n".join(f"  - {choice}" for choice in self.choices)
        widget = self.widget()
        KeepsStill(shown=widget.model_id)
        return bundle(widget, text, self.still(), **kwargs)

