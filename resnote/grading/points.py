"""Points for one answer: the published check, then cases that nobody has seen."""

from __future__ import annotations

from resnote.exercises.base import Exercise, NoPoints
from resnote.grading.apart import OutOfBounds, apart
from resnote.grading.hidden import check_hidden
from resnote.settings import check_number, check_size

LONGEST = 2000      # characters of a verdict: a learner's own error may bring millions


def graded(exercise: Exercise, answer, points: float, hidden: int | None, seconds: float, memory: int) -> float:
    """``points``, where the answer is right; see `Exercise.grade`."""
    check_number("points", points, "0 or more", least=0, below=1e9)
    if hidden is not None:
        check_size("hidden", hidden)
    try:
        outcome, text = apart(lambda: _found(exercise, answer, hidden), seconds=seconds, memory=memory)
    except OutOfBounds as error:
        outcome, text = "stopped", str(error)
    if outcome != "right":
        raise NoPoints(f"{outcome}: {text}")
    return points


def _found(exercise, answer, hidden) -> list[str]:
    verdict = exercise.verdict(answer)
    if verdict.outcome == "right" and hidden is not None:
        verdict = check_hidden(exercise, answer, hidden)
    return [verdict.outcome, verdict.text if len(verdict.text) <= LONGEST else f"{verdict.text[:LONGEST]} …"]
