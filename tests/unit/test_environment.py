"""environment.yml, pyproject.toml and constraints.txt name the same packages in ranges that agree."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from resnote.environment import PYTHONS

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements(*extras):
    listed = pyproject()["dependencies"] + [r for e in extras for r in pyproject()["optional-dependencies"][e]]
    return {r.name: r.specifier for r in map(Requirement, listed)}


def conda():
    """Conda's package names and ranges; the file is flat enough to read by line."""
    lines = re.findall(r"^  - ([\w-]+)(\S*)$", (ROOT / "environment.yml").read_text(), re.M)
    return {name: spec for name, spec in lines if name not in ("conda-forge", "nodefaults", "pip")}


def pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(name): version for name, version in
            (line.split("==") for line in lines if line and not line.startswith("#"))}


def test_conda_and_pip_get_the_same_packages_in_the_same_ranges():
    ours = {CONDA_NAMES.get(name, name): spec for name, spec in requirements().items()}
    ours["nbval"], ours["pytest"] = requirements("test")["nbval"], requirements("test")["pytest"]
    theirs = conda()
    python = theirs.pop("python")
    assert theirs.keys() == ours.keys()
    assert {name: SpecifierSet(spec) for name, spec in theirs.items()} == ours
    assert SpecifierSet(pyproject()["requires-python"]).contains(python.removeprefix("="))


def test_the_tested_versions_lie_in_the_ranges():
    for name, spec in requirements("test").items():
        assert spec.contains(pinned()[canonicalize_name(name)]), name


def test_the_pythons_are_the_same_everywhere():
    (major, low), (_, high) = PYTHONS
    assert pyproject()["requires-python"] == f">={major}.{low},<{major}.{high + 1}"
    assert f"({major}, {low}) <= sys.version_info[:2] <= ({major}, {high})" in (ROOT / "Makefile").read_text()
    assert f"You need Python {major}.{low}, {major}.{low + 1} or {major}.{high}." in (ROOT / "README.md").read_text()


def test_the_tested_torch_is_named_exactly():
    assert pinned()["torch"] == "2.13.0"


def test_the_installed_versions_are_the_tested_ones():
    """What the tests ran with is what constraints.txt says they ran with."""
    from importlib.metadata import version
    for name in requirements("test"):
        assert version(name).split("+")[0] == pinned()[canonicalize_name(name)], name
