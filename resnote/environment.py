"""Whether this Python has what the lessons need, and what to do where it has not."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from packaging.requirements import Requirement

PYTHONS = (3, 11), (3, 13)
_PIP = f"{sys.executable} -m pip install -c constraints.txt"
MARKS = {True: "✓", False: "✗"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is, whether it will do, what was found or what to do."""

    what: str
    good: bool
    words: str


@dataclass(frozen=True, repr=False)
class Report:
    """All findings; ``problems`` are those that will not do."""

    findings: tuple[Finding, ...]

    @property
    def problems(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.good]

    def __repr__(self) -> str:
        return "\n".join(f"{MARKS[f.good]} {f.what}: {f.words}" for f in self.findings)

    def _repr_html_(self) -> str:
        rows = "".join(f'<tr><td>{MARKS[f.good]}</td><th scope="row" style="text-align:left">{escape(f.what)}</th>'
                       f'<td style="text-align:left">{escape(f.words)}</td></tr>' for f in self.findings)
        return f"<table>{rows}</table>"


def check() -> Report:
    """Look at Python, the packages, the processor's cores and the data; nothing is installed or fetched."""
    return Report((_python(sys.version_info[:3]), *map(_package, _needed()), _cores(), _digits()))


def _python(found: tuple[int, int, int]) -> Finding:
    low, high = PYTHONS
    good = low <= found[:2] <= high
    words = ".".join(map(str, found))
    return Finding("Python", good, words if good else
                   f"{words}, and the lessons are made for {low[0]}.{low[1]} to {high[0]}.{high[1]}. Start JupyterLab "
                   "with make lab, and choose the kernel Python 3 (ipykernel).")


def _needed() -> list[Requirement]:
    """The packages that pyproject.toml named when resnote was installed, JupyterLab where it is there, none for the tests."""
    named = [Requirement(line) for line in requires("resnote") or []]
    return [need for need in named if not need.marker or need.marker.evaluate({"extra": ""})
            or need.marker.evaluate({"extra": "lab"}) and find_spec(need.name)]


def _package(need: Requirement) -> Finding:
    try:
        found = version(need.name)
    except PackageNotFoundError:
        found = None
    if found and need.specifier.contains(found, prereleases=True):
        return Finding(need.name, True, found)
    return Finding(need.name, False, f"{found or 'not installed'}, and {need.specifier} is needed. In the folder of the "
                                     f"README: {_PIP} -e {'.[lab]' if need.name == 'jupyterlab' else '.'} Then Kernel → Restart Kernel.")


def _cores() -> Finding:
    cores = os.cpu_count() or 1
    return Finding("processor", True, f"{cores} {'core' if cores == 1 else 'cores'}; each network trains on one")


def _digits() -> Finding:
    try:
        from resnote.data import digits     # imports torch, which can be installed and broken
        return Finding("data", True, repr(digits()))
    except Exception as error:
        return Finding("data", False, f"the digits could not be read ({type(error).__name__}: {error}). Install what reads "
                                      f"them anew, in the folder of the README: {_PIP} --force-reinstall --no-deps torch "
                                      "scikit-learn. Then Kernel → Restart Kernel.")
