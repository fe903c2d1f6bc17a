"""A newer version of the course pulled over a learner's work, by the commands of nbgitpuller 1.3, in repositories of git."""

import re
import shutil
import subprocess

import pytest

from resnote import pulled
from resnote.pulled import kept_notebooks, say_what_was_kept


def version_of_git():
    said = subprocess.run(["git", "--version"], capture_output=True, text=True).stdout if shutil.which("git") else ""
    return tuple(map(int, re.findall(r"\d+", said)[:2]))


pytestmark = pytest.mark.skipif(version_of_git() < (2, 38), reason="needs git 2.38, as the function does")
PULLER = ["-c", "user.email=nbgitpuller@nbgitpuller.link", "-c", "user.name=nbgitpuller"]


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


class Class:
    """A teacher's repository and a learner's, with one notebook; `writes` puts lines into one of them."""

    def __init__(self, folder):
        self.teachers, self.learners = folder / "course", folder / "home"
        (self.teachers / "notebooks").mkdir(parents=True)
        git(self.teachers, "init", "-q", "-b", "main")
        git(self.teachers, "config", "user.email", "teacher@example.org")
        git(self.teachers, "config", "user.name", "Teacher")
        self.publishes("one", "two", "three", "four", "five")
        git(folder, "clone", "-q", "--depth", "1", self.teachers.as_uri(), self.learners)
        self.notebooks = self.learners / "notebooks"

    def publishes(self, *lines, name="03_bottleneck.ipynb"):
        (self.teachers / "notebooks" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        git(self.teachers, "add", "-A")
        git(self.teachers, "commit", "-q", "-m", "A version")

    def writes(self, *lines):
        (self.notebooks / "03_bottleneck.ipynb").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def opens_the_link(self):
        """What nbgitpuller does (GitPuller.update)."""
        git(self.learners, "fetch")
        deleted = subprocess.run(["git", "ls-files", "--deleted"], cwd=self.learners, capture_output=True, text=True).stdout.split()
        for name in deleted:
            git(self.learners, "checkout", "origin/main", "--", name)
        git(self.learners, "reset", "--mixed")
        git(self.learners, *PULLER, "commit", "-am", "Automatic commit by nbgitpuller", "--allow-empty")
        try:
            git(self.learners, *PULLER, "merge", "-Xours", "origin/main")
        except subprocess.CalledProcessError:           # changed here and deleted there: the changed file stays
            git(self.learners, *PULLER, "commit", "-am", "Automatic commit by nbgitpuller", "--allow-empty")


@pytest.fixture
def learner(tmp_path):
    return Class(tmp_path)


def test_where_both_changed_one_line_the_learner_is_told_which_notebook_and_how_to_get_the_courses(learner, capsys):
    learner.writes("one", "two", "my answer", "four", "five")
    learner.publishes("one", "two", "a better task", "four", "five")
    learner.opens_the_link()
    assert "my answer" in (learner.notebooks / "03_bottleneck.ipynb").read_text(encoding="utf-8")
    assert kept_notebooks(learner.notebooks) == ["03_bottleneck.ipynb"]
    say_what_was_kept(learner.notebooks)
    said = capsys.readouterr().out
    assert "changed lines of 03_bottleneck.ipynb that are changed in your copy too. Yours were kept." in said and "rename the notebook" in said


def test_a_later_merge_without_a_conflict_hides_nothing(learner):
    learner.writes("one", "two", "my answer", "four", "five")
    learner.publishes("one", "two", "a better task", "four", "five")
    learner.opens_the_link()
    learner.publishes("new", name="04_batch_norm_training.ipynb")
    learner.opens_the_link()
    assert kept_notebooks(learner.notebooks) == ["03_bottleneck.ipynb"] and kept_notebooks(learner.learners) == []


def test_a_notebook_that_the_course_has_given_up_cannot_be_fetched_and_is_not_named(learner):
    learner.writes("one", "two", "my answer", "four", "five")
    git(learner.teachers, "rm", "-q", "notebooks/03_bottleneck.ipynb")
    git(learner.teachers, "commit", "-q", "-m", "Another lesson takes its place")
    learner.opens_the_link()
    assert (learner.notebooks / "03_bottleneck.ipynb").exists() and kept_notebooks(learner.notebooks) == []


def test_who_does_what_the_sentence_says_has_both_and_is_told_no_more(learner):
    learner.writes("one", "two", "my answer", "four", "five")
    learner.publishes("one", "two", "a better task", "four", "five")
    learner.opens_the_link()
    (learner.notebooks / "03_bottleneck.ipynb").rename(learner.notebooks / "mine.ipynb")
    assert kept_notebooks(learner.notebooks) == []
    learner.opens_the_link()
    assert "a better task" in (learner.notebooks / "03_bottleneck.ipynb").read_text(encoding="utf-8")
    assert "my answer" in (learner.notebooks / "mine.ipynb").read_text(encoding="utf-8")
    assert kept_notebooks(learner.notebooks) == []
    learner.writes("one", "two", "a better task", "my answer again", "five")        # and works on
    assert kept_notebooks(learner.notebooks) == []


def test_lines_of_both_that_are_merged_or_only_of_one_are_no_news(learner):
    learner.writes("mine", "two", "three", "four", "five")
    learner.opens_the_link()                                                        # nothing new there
    assert kept_notebooks(learner.notebooks) == []
    learner.publishes("one", "two", "three", "four", "theirs")
    learner.opens_the_link()
    assert (learner.notebooks / "03_bottleneck.ipynb").read_text(encoding="utf-8") == "mine\ntwo\nthree\nfour\ntheirs\n"
    assert kept_notebooks(learner.notebooks) == []


def test_a_maintainers_own_merge_a_folder_without_git_and_a_machine_without_git_say_nothing(learner, tmp_path, monkeypatch, capsys):
    learner.writes("one", "two", "my answer", "four", "five")
    learner.publishes("one", "two", "a better task", "four", "five")
    name = ["-c", "user.email=m@example.org", "-c", "user.name=M"]
    git(learner.learners, "fetch")
    git(learner.learners, *name, "commit", "-am", "Mine")
    git(learner.learners, *name, "merge", "-Xours", "origin/main")
    assert kept_notebooks(learner.notebooks) == []
    say_what_was_kept(tmp_path)
    monkeypatch.setattr(pulled.subprocess, "run", lambda *a, **k: (_ for _ in ()).throw(FileNotFoundError("git")))
    say_what_was_kept(learner.notebooks)
    assert capsys.readouterr().out == ""
