"""Where nbgitpuller merged a newer version of the course into a learner's, and which notebooks stayed the learner's in part.

nbgitpuller (1.3) commits what a learner did, merges the course's branch with ``git merge -Xours``, and so keeps the
learner's lines wherever both changed the same ones. It does not tell.
"""

from __future__ import annotations

import subprocess
from pathlib import Path


def kept_notebooks(folder: Path | str = ".") -> list[str]:
    """The names of those notebooks in ``folder`` that still have a learner's lines where the last merge had the course's too.

    Empty where nbgitpuller has merged nothing, where there is no git (2.38 or later), and of a notebook that the learner
    has since renamed and fetched anew.
    """
    found = _git(folder, "log", "-1", "--merges", "--author=nbgitpuller@nbgitpuller.link", "--format=%H %P").split()
    if len(found) != 3:
        return []
    merge, learners, courses = found
    # Status 1 means that there were conflicts; the first line is a tree, the others are the files in conflict.
    lines = _git(folder, "merge-tree", "--write-tree", "--name-only", "--no-messages", learners, courses, status=1).splitlines()
    names = [Path(line).name for line in lines[1:] if line.endswith(".ipynb") and (Path(folder) / Path(line).name).exists()]
    return sorted(name for name in names if not _fetched_since(folder, name, merge, courses))


def say_what_was_kept(folder: Path | str = ".") -> None:
    """Print `kept_notebooks` as a sentence, and how to get the course's version; nothing where there are none."""
    names = kept_notebooks(folder)
    if names:
        print(f"A newer version of the course changed lines of {' and '.join(names)} that are changed in your copy too. Yours were "
              "kept. To get the course's version beside yours, rename the notebook (File → Rename Notebook…), then open the "
              "link that brought you here once more.")


def _fetched_since(folder, name, merge, courses) -> bool:
    """Whether the file was the course's to the letter after the merge, now or in a commit."""
    theirs = _git(folder, "rev-parse", f"{courses}:./{name}").strip()
    now = _git(folder, "hash-object", "--", name).strip()
    return theirs in (now, *_git(folder, "log", "--raw", "--no-abbrev", "--format=", f"{merge}..HEAD", "--", name).split())


def _git(folder, *arguments, status=0) -> str:
    """What git printed, or nothing where it is missing or ended otherwise than with ``status``."""
    try:
        ended = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout if ended.returncode == status else ""
