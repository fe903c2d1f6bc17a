"""The report of lesson 00 finds what is there, and says of what is not what to do."""

import sys

import pytest
from packaging.requirements import Requirement

from resnote import environment
from resnote.environment import check


def test_where_the_tests_run_nothing_is_missing():
    report = check()
    assert report.problems == []
    assert {"Python", "torch", "jupyterlab", "data", "processor"} <= {finding.what for finding in report.findings}
    assert repr(report).count("✓") == len(report.findings) == report._repr_html_().count("<tr>")


@pytest.mark.parametrize("found, good", [((3, 10, 9), False), ((3, 11, 0), True), ((3, 13, 2), True), ((3, 14, 0), False),
                                         ((4, 0, 0), False)])
def test_another_python_is_told_the_right_ones(found, good):
    finding = environment._python(found)
    assert finding.good == good and (good or "3.11 to 3.13" in finding.words and "make lab" in finding.words)


@pytest.mark.parametrize("need, words", [("no-such-package>=1", "not installed, and >=1 is needed"), ("torch<1", "<1 is needed")])
def test_a_missing_or_other_package_is_told_how_to_install_it(need, words):
    finding = environment._package(Requirement(need))
    assert not finding.good and words in finding.words and f"{sys.executable} -m pip install -c constraints.txt -e ." in finding.words


def test_data_that_cannot_be_read_are_told_and_raise_nothing(monkeypatch):
    def broken():
        raise OSError("no such file")

    monkeypatch.setattr("resnote.data.digits", broken)
    report = check()
    assert [finding.what for finding in report.problems] == ["data"] and "no such file" in repr(report)


def test_a_torch_that_cannot_be_imported_is_told_and_raises_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "resnote.data", raising=False)
    report = check()
    assert [finding.what for finding in report.problems] == ["data"] and "import of torch halted" in repr(report)


def test_jupyterlab_is_looked_at_where_it_is_there(monkeypatch):
    monkeypatch.setattr(environment, "requires", lambda name: ['jupyterlab>=4; extra == "lab"'])
    assert [need.name for need in environment._needed()] == ["jupyterlab"]
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    assert environment._needed() == []


def test_a_package_for_this_platform_is_needed_and_one_for_the_tests_is_not(monkeypatch):
    named = ["one", f'two; sys_platform == "{sys.platform}"', 'three; sys_platform == "other"', 'four; extra == "test"']
    monkeypatch.setattr(environment, "requires", lambda name: named)
    assert [need.name for need in environment._needed()] == ["one", "two"]
