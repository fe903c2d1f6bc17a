"""Comparing a learner's tensor with the right one, and finding the slip that explains the difference."""

from __future__ import annotations

import math
from itertools import product
from numbers import Real

import torch

from resnote.exercises.base import Wrong, short


def check_tensor(name, got, right, words="") -> None:
    """Raise `Wrong` unless ``got`` is a tensor with the shape and the type of ``right``."""
    if not isinstance(got, torch.Tensor):
        raise Wrong(f"{name} is {short(got)}; it must be a tensor.")
    if got.shape != right.shape:
        raise Wrong(f"{name} has shape {tuple(got.shape)}; it must be {tuple(right.shape)}. {words}".rstrip())
    if got.dtype != right.dtype:
        raise Wrong(f"{name} is {got.dtype} and what went in is {right.dtype}. Keep the type.")


def one_number(call, got, words="") -> float:
    """``got`` as a number, also out of a tensor or array of one number; raise `Wrong` for anything else."""
    if hasattr(got, "item") and math.prod(getattr(got, "shape", (2,))) == 1:
        got = got.item()
    if isinstance(got, bool) or not isinstance(got, Real):
        raise Wrong(f"{call} gave {short(got)}; it must give one number{words}.")
    return got


def check_pair(call, names, got) -> None:
    """Raise `Wrong` unless ``got`` holds two things."""
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong(f"{call} gave {short(got)}; it must give two tensors: return {names}.")


def near(a, b) -> bool:
    """Whether two tensors of one shape are equal but for rounding in float64."""
    return a.shape == b.shape and a.dtype == b.dtype and torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def slip(got, formula, *choices) -> str | None:
    """The words for the slip that makes ``formula`` give ``got``; None when no one or two slips do.

    Each of ``choices`` lists what may stand at one place of the formula, as (what, words): first what
    belongs there, with None for words, then the slips. One slip is tried before two; of two, the words
    are the first's.
    """
    ways = [(*zip(*way),) for way in product(*choices)]
    for number in (1, 2):
        for values, words in ways:
            words = [w for w in words if w]
            if len(words) == number and near(got, formula(*values)):
                return words[0]
    return None


def far(got, right) -> str:
    """How far the values are from the right ones, in words."""
    return f"the shape is right, the values differ by up to {(got - right).abs().max().item():.3g}."
