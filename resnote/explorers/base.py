"""What an explorer is: a state, its controls and presets as data, and three pure functions of the state.

A host (`resnote.hosts`) gives it a place: ipywidgets in JupyterLab, native controls on a web page. Nothing here needs
either, nor torch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from html import escape
from typing import NamedTuple

from resnote.settings import SettingError, is_boolean

# --- controls --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slider:
    """Whole numbers from ``low`` to ``high``."""

    label: str
    low: int
    high: int

    @property
    def positions(self) -> Sequence:
        """All values, in order."""
        return range(self.low, self.high + 1)

    def words(self, value) -> str:
        """A value as the readout shows it."""
        return str(value).replace("-", "−")


@dataclass(frozen=True)
class Steps:
    """A slider over chosen values, for a range too wide for even steps; ``values`` may name each: {"√2 (He)": 1.41}."""

    label: str
    values: tuple | dict

    @property
    def positions(self) -> Sequence:
        return tuple(self.values.values()) if isinstance(self.values, dict) else self.values

    def words(self, value) -> str:
        return list(self.values)[self.positions.index(value)] if isinstance(self.values, dict) else str(value)


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    label: str
    options: tuple

    @property
    def positions(self) -> Sequence:
        return self.options

    def words(self, value) -> str:
        return str(value)


@dataclass(frozen=True)
class Switch:
    """Off or on."""

    label: str
    positions = (False, True)

    def words(self, value) -> str:
        return ("off", "on")[value]


Control = Slider | Steps | Choice | Switch


# --- layout ----------------------------------------------------------------------------------------


class Line(NamedTuple):
    """Controls side by side after a heading."""

    heading: str
    names: tuple[str, ...]


class Column(NamedTuple):
    """Controls and parts of the picture, one below the other; a heading belongs to the names of its controls."""

    names: tuple[str, ...]
    heading: str = ""


class Columns(NamedTuple):
    """Columns side by side, each at most ``width`` pixels wide; in a narrow window one below the other."""

    columns: tuple[Column, ...]
    width: int


# --- an explorer -----------------------------------------------------------------------------------


class Moved(NamedTuple):
    """What a host shows after a move: each part of the picture as HTML, and a sentence; with the numbers behind them."""

    numbers: object
    parts: dict[str, str]
    sentence: str


class Explorer:
    """Base of the explorers; show one in JupyterLab by making it the last expression of a cell.

    A subclass says what `State` is (a frozen dataclass), which control moves each of its fields, which `presets` there are,
    how all is laid out, and three functions. `numbers` is called once a move; its result carries its ``state``. Where `numbers`
    is slow and cached, `looks_ahead` is True: JupyterLab's host then computes the `neighbours` between two moves.

    Parameters
    ----------
    preset : name of one of the presets; the first by default
    setting : fields of the state that differ from the preset's. Where two blocks have the field, ``width=32`` sets both.

    Raises
    ------
    SettingError : for a preset, a field or a value that the explorer does not have
    """

    State: type
    controls: dict[str, Control]
    presets: dict[str, object]
    layout: tuple
    looks_ahead = False

    @staticmethod
    def numbers(state):
        """All that is computed for a state."""
        raise NotImplementedError

    @staticmethod
    def draw(numbers) -> dict[str, object]:
        """The parts of the picture, each a `Drawing` or HTML; no part's height may depend on the numbers."""
        raise NotImplementedError

    @staticmethod
    def sentence(before, numbers) -> str:
        """What the numbers say, in words; ``before`` are those before the move, or None."""
        raise NotImplementedError

    @staticmethod
    def prepare() -> None:
        """Compute what would make the first move slow."""

    # What the base does.

    def __init__(self, preset: str | None = None, **setting):
        self.start = self.setting(preset, **setting)
        self._lab = None

    @classmethod
    def setting(cls, /, preset: str | None = None, **setting):
        """The state of a preset with these fields changed."""
        names = list(cls.presets)
        preset = names[0] if preset is None else preset
        if not isinstance(preset, str) or preset not in cls.presets:
            raise SettingError(f"There is no preset {preset!r}. Choose one of {', '.join(map(repr, names))}.")
        state = {f.name: getattr(cls.presets[preset], f.name) for f in fields(cls.State)}
        for name, value in setting.items():
            meant = [field for field in state if field == name or field.endswith(f"_{name}") and name not in state]
            if not meant:
                raise SettingError(f"There is no setting {name!r}. {cls.__name__} has {', '.join(state)}.")
            state |= {field: _position(name, cls.controls[field], value) for field in meant}
        return cls.State(**state)

    @classmethod
    def code(cls, state) -> str:
        """The line of Python that shows the explorer in this state."""
        preset = cls.preset_of(state)
        if preset is not None:
            return f"{cls.__name__}()" if state == cls.setting() else f"{cls.__name__}({preset!r})"
        return f"{cls.__name__}({', '.join(f'{name}={getattr(state, name)!r}' for name in cls.changed(state))})"

    @classmethod
    def preset_of(cls, state) -> str | None:
        """The name of the preset that a state is; None where it is none."""
        return next((name for name, preset in cls.presets.items() if preset == state), None)

    @classmethod
    def changed(cls, state) -> list[str]:
        """The fields in which a state differs from the first preset."""
        first = cls.setting()
        return [f.name for f in fields(state) if getattr(state, f.name) != getattr(first, f.name)]

    @classmethod
    def neighbours(cls, state, name: str) -> list:
        """The states one step of a control away, below and above, as far as there are any."""
        positions = cls.controls[name].positions
        place = positions.index(getattr(state, name))
        return [replace(state, **{name: positions[near]}) for near in (place - 1, place + 1) if 0 <= near < len(positions)]

    @classmethod
    def part_names(cls) -> list[str]:
        """The parts of the picture, in the layout's order."""
        return [name for name in names_in(cls.layout) if name not in cls.controls]

    @classmethod
    def label(cls, name: str) -> str:
        """A control's full name: its label, after the heading of its column where the column has one."""
        columns = [column for item in cls.layout if isinstance(item, Columns) for column in item.columns]
        heading = next((column.heading for column in columns if name in column.names), "")
        return ", ".join(filter(None, (heading, cls.controls[name].label)))

    @classmethod
    def what_moved(cls, before, state) -> str:
        """"Layers: from 30 to 31. ", where one control moved; nothing where none or several did."""
        moved = [f.name for f in fields(state) if before and getattr(before.state, f.name) != getattr(state, f.name)]
        if len(moved) != 1:
            return ""
        name, = moved
        label, control = cls.label(name), cls.controls[name]
        was, now = (control.words(getattr(s, name)) for s in (before.state, state))
        return f"{label[0].upper()}{label[1:]}: from {was} to {now}. "

    @classmethod
    def move(cls, before, state) -> Moved:
        """The explorer in this state. ``before`` are the numbers before the move, or None."""
        numbers = cls.numbers(state)
        parts = {name: part if isinstance(part, str) else part.inline() for name, part in cls.draw(numbers).items()}
        return Moved(numbers, parts, cls.what_moved(before, state) + cls.sentence(before, numbers))

    @classmethod
    def still(cls, numbers) -> str:
        """The explorer with these numbers for a page where nothing moves and inline SVG may be removed."""
        drawn = cls.draw(numbers).values()
        images = "".join(part.image() for part in drawn if not isinstance(part, str))
        return f"<div>{images}</div>{''.join(part for part in drawn if isinstance(part, str))}<p>{escape(cls.sentence(None, numbers))}</p>"

    # In JupyterLab.

    @property
    def lab(self):
        """The explorer made of ipywidgets: `resnote.hosts.lab.Lab`."""
        if self._lab is None:
            from resnote.hosts.lab import Lab

            self._lab = Lab(self, self.start)
        return self._lab

    def __repr__(self):
        """The line that makes it again as its controls stand now."""
        return self.code(self._lab.read() if self._lab else self.start)

    def _repr_mimebundle_(self, **kwargs):
        return self.lab.bundle(**kwargs)


def _position(name, control, value):
    """The control's own value that equals ``value``, or is called or written so."""
    same = _written if isinstance(value, str) else _equal
    try:
        for position in control.positions:
            if same(control, position, value):
                return position
    except (TypeError, ValueError):         # an array, say, which is compared number by number
        pass
    if isinstance(control, Slider):
        raise SettingError(f"{name} is {value!r}; it must be a whole number from {control.low} to {control.high}.")
    known = list(map(repr, control.positions))
    raise SettingError(f"{name} is {value!r}; use one of {', '.join(known if len(known) < 30 else [*known[:3], '…', known[-1]])}.")


def _equal(control, position, value) -> bool:
    return is_boolean(position) == is_boolean(value) and position == value       # True == 1


def _written(control, position, words: str) -> bool:
    """Whether ``words``, from a link, say, mean this position: 2.00, 2.0 and 2 are one number, and on is also true."""
    words = words.strip()
    if words in (control.words(position), plain_words(control, position), str(position)):
        return True
    if is_boolean(position):
        return words.lower() == str(position).lower()
    try:
        return "_" not in words and float(words.replace("−", "-")) == float(position)
    except (TypeError, ValueError):
        return False


def plain_words(control: Control, value) -> str:
    """A value in words that can be typed: with a hyphen for the minus sign."""
    return control.words(value).replace("−", "-")


def cannot_draw(error: Exception) -> str:
    """What a host says where a setting could not be drawn."""
    return (f"The explorer could not draw this setting ({type(error).__name__}: {error}). "
            "Move the last control back, or choose a preset, and it goes on.")


def names_in(layout):
    """The names of controls and parts in a layout, in its order."""
    for item in layout:
        match item:
            case str():
                yield item
            case Columns(columns):
                for column in columns:
                    yield from column.names
            case Line(_, names):
                yield from names


def words_of(html: str) -> str:
    """HTML without its tags."""
    return re.sub(r"<[^>]+>", "", html)
