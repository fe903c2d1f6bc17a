"""Where nbgitpuller merged a newer version of the course into a learner's, and which notebooks stayed the learner's in part.

nbgitpuller (1.3) commits what a learner did, merges the course's branch with ``git merge -Xours``, and so keeps the
learner's lines wherever both changed the same ones. It does not tell.
"""

from __future__ import annotations

import subprocess
from pathlib import Path


def kept_notebooks(folder: Path | str = ".") -> list[str]:
    """Names of the notebooks in ``folder`` where a merge kept a learner's lines instead of the course's.

    Empty where nbgitpuller has merged nothing, and where there is no repository or no git (2.38 or later). A notebook that
    the learner has since renamed and fetched anew is not named, nor is one that the course has given up.
    """
    here = Path(folder).resolve()
    if not any((place / ".git").exists() for place in (here, *here.parents)):
        return []
    kept = set()
    for line in _git(here, "log", "--first-parent", "--merges", "--author=nbgitpuller@nbgitpuller.link", "--format=%H %P").splitlines():
        merge, learners, courses = line.split()[:3]
        # Status 1 means that there were conflicts; after a tree come the files in conflict, as seen from here.
        _, *files = _git(here, "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", learners, courses, status=1).split("\0")
        kept.update(file for file in files if "/" not in file and file.endswith(".ipynb") and (here / file).exists()
                    and not _fetched_since(here, file, merge, courses))
    return sorted(kept)


def say_what_was_kept(folder: Path | str = ".") -> None:
    """Print `kept_notebooks` as a sentence, and how to get the course's version; nothing where there are none."""
    names = kept_notebooks(folder)
    if names:
        print(f"A newer version of the course changed lines of {' and '.join(names)} that are changed in your copy too. Yours were "
              "kept. To get the course's version beside yours, rename the notebook (File → Rename Notebook…), then open the "
              "link that brought you here once more.")


def _fetched_since(folder, name, merge, courses) -> bool:
    """Whether the file was the course's to the letter after the merge, now or in a commit; or the course has it no more."""
    theirs = _git(folder, "rev-parse", f"{courses}:./{name}").strip()
    now = _git(folder, "hash-object", "--", name).strip()
    return theirs in ("", now, *_git(folder, "log", "--raw", "--no-abbrev", "--format=", f"{merge}..HEAD", "--", name).split())


def _git(folder, *arguments, status=0) -> str:
    """What git printed, or nothing where it is missing or ended otherwise than with ``status``."""
    try:
        ended = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, encoding="utf-8", errors="replace",
                               timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout if ended.returncode == status else ""
