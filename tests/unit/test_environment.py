"""environment.yml, pyproject.toml and constraints.txt name the same packages in ranges that agree; settings come with them."""

import json
import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from resnote.environment import PYTHONS

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(*extras):
    listed = pyproject()["dependencies"] + [r for e in extras for r in pyproject()["optional-dependencies"][e]]
    return {r.name: r.specifier for r in map(Requirement, listed)}


def conda():
    """Conda's package names and ranges; the file is flat enough to read by line."""
    lines = re.findall(r"^  - ([\w-]+)(\S*)$", (ROOT / "environment.yml").read_text(encoding="utf-8"), re.M)
    return {name: spec for name, spec in lines if name not in ("conda-forge", "nodefaults", "pip")}


def pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(name): version for name, version in
            (line.split("==") for line in lines if line and not line.startswith("#"))}


def test_conda_and_pip_get_the_same_packages_in_the_same_ranges():
    """Those of the lessons: what the tests import, `make test` installs."""
    ours = {CONDA_NAMES.get(name, name): spec for name, spec in requirements("lab").items()}
    theirs = conda()
    python = theirs.pop("python")
    assert theirs.keys() == ours.keys()
    assert {name: SpecifierSet(spec) for name, spec in theirs.items()} == ours
    assert SpecifierSet(pyproject()["requires-python"]).contains(python.removeprefix("="))


def test_the_tested_versions_lie_in_the_ranges():
    for name, spec in requirements("lab", "test").items():
        assert spec.contains(pinned()[canonicalize_name(name)]), name


def test_the_pythons_are_the_same_everywhere():
    (major, low), (_, high) = PYTHONS
    assert pyproject()["requires-python"] == f">={major}.{low},<{major}.{high + 1}"
    assert f"({major}, {low}) <= sys.version_info[:2] <= ({major}, {high})" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"You need Python {major}.{low}, {major}.{low + 1} or {major}.{high}." in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tested_torch_is_named_exactly():
    assert pinned()["torch"] == "2.13.0"


def test_the_installed_versions_are_the_tested_ones():
    """What the tests ran with is what constraints.txt says they ran with."""
    from importlib.metadata import version
    for name in requirements("lab", "test"):
        assert version(name).split("+")[0] == pinned()[canonicalize_name(name)], name


def test_the_tested_versions_install_on_each_python_that_the_course_allows():
    """On its first release, too: Debian 12 has 3.11.2, where pip searches for an hour if a pinned version wants 3.11.5."""
    from importlib.metadata import PackageNotFoundError, metadata
    (_, oldest), (_, newest) = PYTHONS
    seen = 0
    for name in pinned():
        try:
            wanted = metadata(name).get("Requires-Python") or ""
        except PackageNotFoundError:            # a package of another system
            continue
        seen += 1
        assert all(SpecifierSet(wanted).contains(f"3.{minor}.0") for minor in range(oldest, newest + 1)), f"{name} wants Python {wanted}"
    assert seen > 100


def test_however_it_was_installed_jupyterlab_gets_the_courses_settings():
    """The wheel brings them, an editable one too; overrides.d is where JupyterLab looks for those of a package."""
    settings = (ROOT / "resnote" / "jupyterlab.json").read_text(encoding="utf-8")
    assert json.loads(settings).keys() == {"@jupyterlab/apputils-extension:notification", "@jupyterlab/notebook-extension:tracker"}
    installed = Path(sys.prefix, "share", "jupyter", "lab", "settings", "overrides.d", "resnote.json")
    assert installed.read_text(encoding="utf-8") == settings
