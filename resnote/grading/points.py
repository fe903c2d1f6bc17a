"""Points for one answer: the published check, then cases that nobody has seen."""

from __future__ import annotations

from resnote.exercises.base import Exercise, NoPoints
from resnote.grading.apart import OutOfBounds, apart
from resnote.grading.hidden import check_hidden


def points(exercise: Exercise, answer, worth: float, hidden: int | None, seconds: float, memory: int) -> float:
    """``worth``, where the answer is right; see `Exercise.grade`."""
    try:
        outcome, text = apart(lambda: _found(exercise, answer, hidden), seconds=seconds, memory=memory)
    except OutOfBounds as error:
        outcome, text = "stopped", str(error)
    if outcome != "right":
        raise NoPoints(f"{outcome}: {text}")
    return worth


def _found(exercise, answer, hidden) -> list[str]:
    verdict = exercise.verdict(answer)
    if verdict.outcome == "right" and hidden is not None:
        verdict = check_hidden(exercise, answer, hidden)
    return [verdict.outcome, verdict.text]
