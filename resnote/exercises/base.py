"""Exercises that say what is wrong: one check, five outcomes, hints, and a solution.

The outcomes are "not answered yet", "not finished", "raised", "wrong" and "right". A check never raises, so an
untouched or a broken answer leaves Run All green; only an interrupt passes through. `Exercise.grade` is for teachers, and raises.
"""

from __future__ import annotations

import inspect
import os
import random
import textwrap
import traceback
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from html import escape

MARKS = {"not answered yet": "○", "not finished": "◐", "raised": "!", "wrong": "✗", "right": "✓"}
COLOURS = {"not answered yet": "#8a8a8a", "not finished": "#E69F00", "raised": "#CC79A7", "wrong": "#D55E00", "right": "#009E73"}


class Wrong(Exception):
    """Raised by a checker with the sentence that says what is wrong with the answer."""


class Unfinished(Exception):
    """Raised by a checker with the sentence that says what is left to do: all that is there is right."""


class NotAnswered(Exception):
    """Raised by a checker where the answer still holds a ``...``."""


class Raised(Exception):
    """The learner's own code raised; the cause is in ``__cause__``."""


class NoPoints(AssertionError):
    """What `Exercise.grade` raises for an answer that is not right, with the verdict's sentence."""


@dataclass(frozen=True)
class Note:
    """A boxed sentence for the page: a mark, a heading, and a text."""

    mark: str
    heading: str
    text: str
    colour: str = "#8a8a8a"

    def __repr__(self) -> str:
        return f"{self.mark} {self.heading}: {self.text}"

    def _repr_html_(self) -> str:
        return (f'<div style="border-left:4px solid {self.colour};padding:4px 12px;margin:4px 0">'
                f"<b>{self.mark} {escape(self.heading.capitalize())}:</b> "
                f'<span style="white-space:pre-wrap">{escape(self.text)}</span></div>')


@dataclass(frozen=True, repr=False)
class Verdict(Note):
    """What a check found; ``outcome`` is one of the five."""

    @property
    def outcome(self) -> str:
        return self.heading


@dataclass(frozen=True)
class Source:
    """Python source, shown as code."""

    code: str

    def __repr__(self) -> str:
        return self.code

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.code)}</pre>"


class Exercise:
    """One exercise: `check` an answer, ask for a `hint`, see the `solution`.

    Parameters
    ----------
    label : what the lesson calls it, "ex1"
    checker : called with the answer, wrapped by `_Asked`; raises `Wrong` at the first mistake and
        `Unfinished` for a right answer that is not complete, and returns the sentence for a complete one
    hints : from a nudge to nearly everything
    solution : a function with the signature that the answer must have; or a class, whose ``__init__`` has it
    """

    def __init__(self, label, checker, *, hints, solution):
        self.label, self.name = label, solution.__name__
        self.model = solution
        self._checker, self._hints, self._shown = checker, hints, 0

    def check(self, answer=None) -> Note:
        """Say whether ``answer``, the learner's function or class, is right, and if not, what is wrong first.

        While nbgrader grades, nothing is run here: `grade` does, within limits.
        """
        if os.environ.get("NBGRADER_EXECUTION") == "autograde":
            return Note("○", "not run", "while notebooks are graded, only the cell with the points runs an answer.")
        return self.verdict(answer)

    def verdict(self, answer) -> Verdict:
        """What `check` says."""
        if answer is ...:
            return _verdict("not answered yet", f"write {self.name}, then run this cell again.")
        kind = "class" if inspect.isclass(self.model) else "function"
        if not callable(answer) or kind == "class" and hasattr(type(answer), "parameters"):     # a module, not its class
            return _verdict("wrong", f"check needs your {kind} itself, and it got {short(answer)}. Write "
                                     f"check({self.name}), without brackets after the name.")
        try:
            with settings_kept():
                return _verdict("right", self._checker(_Asked(answer, self.model)))
        except NotAnswered:
            return _verdict("not answered yet", f"replace the ... in {self.name}, then run this cell again. "
                                                f"Stuck? Run exercises.{self.label}.hint() in a cell of its own.")
        except Raised as raised:
            return _verdict("raised", _where(raised.__cause__, answer, raised.args[0]))
        except Unfinished as unfinished:
            return _verdict("not finished", str(unfinished))
        except Wrong as wrong:
            return _verdict("wrong", str(wrong))
        except Exception as error:  # what came back could not even be compared: still a sentence
            return _verdict("wrong", f"what your function returned could not be compared "
                                     f"({type(error).__name__}: {_message(error)}). Return what the exercise asks for.")

    def grade(self, answer=None, points: float = 1, *, hidden: int | None = None, seconds: float = 25, memory: int = 2 * 2**30) -> float:
        """``points`` for a right answer, for nbgrader and otter-grader; `check` is for learners, and never raises.

        The answer runs in a process of its own, at most ``seconds`` and with ``memory`` bytes more than are in use, on Linux
        where torch sees no GPU; elsewhere it runs here. With ``hidden``, a number from 1 on that learners do not know, it must also be right for
        what is drawn from that seed.

        Raises
        ------
        SettingError
            for points below 0 and for another ``hidden``.
        NoPoints
            (an `AssertionError`) for any other answer; its message is the verdict's sentence.
        """
        from resnote.grading.points import graded      # here: learners' checks do without it

        return graded(self, answer, points, hidden, seconds, memory)

    def hint(self) -> Note:
        """The next hint; after the last one, the last again."""
        if "hints" in _OFF:
            return _asked_for("hints")
        number = min(self._shown, len(self._hints) - 1)
        self._shown += 1
        return Note("?", f"hint {number + 1} of {len(self._hints)}", self._hints[number])

    def solution(self) -> Source | Note:
        """One right answer, as code."""
        if "solutions" in _OFF:
            return _asked_for("solutions")
        return Source(textwrap.dedent(inspect.getsource(self.model)).rstrip())


_OFF: set[str] = set()


def switch_off(*helps: str) -> None:
    """From now on the exercises give no "hints", no "solutions", or neither. (Whoever reads the package finds them.)"""
    _OFF.update(helps)


def _asked_for(helps) -> Note:
    return Note("○", f"no {helps} here", f"your teacher has switched the {helps} off in this notebook. Ask for help there.")


class _Asked:
    """The learner's function or class, called with copies, its exceptions told apart from the checker's."""

    def __init__(self, answer, model):
        self._answer, self.model = answer, model

    def raw(self, *args):
        """What the answer gives for copies of ``args``; its exceptions pass, for a checker that expects one."""
        with settings_kept():
            return self._answer(*map(_copy, args))

    def __call__(self, *args, call=None, may_change=()):
        """The answer for these arguments.

        ``call`` is what messages say was called, if not these. The answer may change the arguments named in
        ``may_change`` in place, and no others.
        """
        given = [_copy(arg) for arg in args]
        try:
            inspect.signature(self._answer).bind(*given)
        except TypeError as error:
            raise Wrong(f"the check could not call your {_first_line(self.model)[0]} ({error}). Its first line must stay "
                        f"{_first_line(self.model)[1]}") from None
        except ValueError:  # a builtin without a signature: the call itself will tell
            pass
        call = call or self.called(*args)
        return self._guarded(self._answer, args, given, inspect.signature(self.model).parameters, call, may_change)

    def called(self, *args) -> str:
        """The call with these arguments, in words."""
        return f"{self.model.__name__}({', '.join(map(short, args))})"

    def of(self, module, *args, call):
        """What a module that the answer has made gives for these arguments, which it must leave alone."""
        return self._guarded(module, args, [_copy(arg) for arg in args], list(inspect.signature(self.model.forward).parameters)[1:],
                             call, ())

    def _guarded(self, function, args, given, names, call, may_change):
        """The function's value for ``given``, copies of ``args``; its errors as `Raised`, other slips as `Wrong`."""
        try:
            with settings_kept():
                result = function(*given)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit, too: exit() in an answer must not end the kernel
            if isinstance(error, (TypeError, AttributeError)) and "ellipsis" in _message(error):
                raise NotAnswered from None  # ... is still in use: ... + 1
            raise Raised(call) from error
        if result is ...:
            raise NotAnswered
        if result is None:
            raise Wrong(f"{call} returned nothing (None). Does every way through your function end in a return?")
        if inspect.isgenerator(result) or inspect.iscoroutine(result):
            result.close()
            raise Wrong(f"{call} gave a {type(result).__name__} and no value: write a plain def, with return and without "
                        "yield or async.")
        for name, before, after in zip(names, args, given):
            if name not in may_change and not _same(before, after):
                raise Wrong(f"{call} changed its argument {name} in place, and whoever called it still needs {name}. "
                            f"Compute something new, or change a copy: {name}.clone() of a tensor, list({name}) of a list.")
        return result


def _first_line(model) -> tuple[str, str]:
    """What is called, and the line of the answer that says how."""
    if inspect.isclass(model):
        parameters = str(inspect.signature(model))[1:]
        return "class", f"def __init__(self, {parameters}:"
    return "function", f"def {model.__name__}{inspect.signature(model)}:"


HIDDEN: ContextVar[int] = ContextVar("HIDDEN", default=0)       # 0: the published numbers


@contextmanager
def settings_kept():
    """Grad mode, default type and random states are put back; inside, gradients are on, and torch's seed is ``HIDDEN``."""
    import numpy as np  # here, so that predictions alone do not load torch
    import torch

    dtype, states = torch.get_default_dtype(), (random.getstate(), np.random.get_state(), torch.get_rng_state())
    try:
        with torch.enable_grad():
            torch.default_generator.manual_seed(HIDDEN.get())
            yield
    finally:
        torch.set_default_dtype(dtype)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _copy(value):
    if isinstance(value, (list, tuple)):
        return type(value)(map(_copy, value))
    return value.clone() if hasattr(value, "clone") else value


def _same(before, after) -> bool:
    """Whether an argument holds what it held before the call; only tensors and lists can change."""
    if isinstance(before, (list, tuple)):
        return len(before) == len(after) and all(map(_same, before, after))
    if hasattr(before, "clone"):
        return before.dtype == after.dtype and before.equal(after)
    return not isinstance(before, (int, float)) or before == after


def _verdict(outcome, text) -> Verdict:
    return Verdict(MARKS[outcome], outcome, text, COLOURS[outcome])


def _message(error) -> str:
    try:
        return str(error).strip() or "no message"
    except Exception:  # the learner's own exception class
        return "no message"


def _where(error, answer, call) -> str:
    """The call, the error, and the learner's own last line on the way to it."""
    text = f"{call} stopped with {type(error).__name__}: {_message(error)}"
    parts = vars(answer).values() if inspect.isclass(answer) else (answer,)       # not what a class inherits: torch wrote that
    written = next((part.__code__ for part in parts if hasattr(part, "__code__")), None)
    file = getattr(written, "co_filename", None)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return text + (f"\nIt happened in line {own[-1].lineno} of its cell: {own[-1].line}" if own else "")


def short(value) -> str:
    """A value in a few words: numbers and text as they are, tensors by their shape, the rest by its type."""
    try:
        if hasattr(value, "shape"):
            return f"a {type(value).__name__} of shape {tuple(value.shape)}"
        text = repr(value)
    except Exception:  # nn.ReLU(tensor), say, cannot be printed
        return f"a {type(value).__name__}"
    return text if len(text) <= 40 and "\n" not in text else f"a {type(value).__name__}"
