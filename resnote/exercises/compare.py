"""Comparing a learner's answers with the right ones, and finding the slip that explains the difference."""

from __future__ import annotations

import inspect
import math
from contextlib import contextmanager
from itertools import combinations, product
from numbers import Real

import torch
from torch.overrides import TorchFunctionMode

from resnote.exercises.base import HIDDEN, Wrong, short


@contextmanager
def other_numbers(seed: int):
    """Checks inside draw other numbers than the published ones: those of ``seed``."""
    before = HIDDEN.set(seed)
    try:
        yield
    finally:
        HIDDEN.reset(before)


def generator_for(place: int) -> torch.Generator:
    """What a check draws its numbers from; ``place`` is a number of the check's own."""
    return torch.Generator().manual_seed(place + 1000 * HIDDEN.get())


def signed(number: int, generator: torch.Generator, least: float) -> torch.Tensor:
    """Numbers between ``least`` and ``least`` + 1 in size, their signs − + − …: an answer that loses a sign shows."""
    values = torch.rand(number, generator=generator, dtype=torch.float64) + least
    return values * (-1) ** torch.arange(1, number + 1)


def check_tensor(name, got, right, words="") -> None:
    """Raise `Wrong` unless ``got`` is a tensor with the shape and the type of ``right``."""
    if not isinstance(got, torch.Tensor):
        raise Wrong(f"{name} is {short(got)}; it must be a tensor.")
    if got.shape != right.shape:
        raise Wrong(f"{name} has shape {tuple(got.shape)}; it must be {tuple(right.shape)}. {words}".rstrip())
    if got.dtype != right.dtype:
        raise Wrong(f"{name} is {got.dtype} and what went in is {right.dtype}. Keep the type.")


def one_number(call, got, words=""):
    """``got`` as a number, also out of a tensor or array of one number; raise `Wrong` for anything else."""
    if hasattr(got, "item") and math.prod(getattr(got, "shape", (2,))) == 1:
        got = got.item()
    if isinstance(got, bool) or not isinstance(got, Real):
        raise Wrong(f"{call} gave {short(got)}; it must give one number{words}.")
    return got if isinstance(got, (int, float)) else float(got)


def check_two(call, names, got) -> None:
    """Raise `Wrong` unless ``got`` holds two things."""
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong(f"{call} gave {short(got)}; it must give two tensors: return {names}.")


def check_numbers(ask, cases, slips, otherwise, *, call=None, words="") -> list:
    """The answers for all ``cases``, tuples of arguments; raise `Wrong` at the first that is not the solution's.

    ``slips`` are pairs (formula, words), each formula with the solution's arguments. On one case two slips may
    give the same number, so a slip is named only where its formula gives every answer. Where none does,
    ``otherwise(got, *case)`` finds the words. ``call(*case)`` is what messages say was called.
    """
    call = call or ask.called
    answers = []
    for case in cases:
        got = one_number(call(*case), ask(*case, call=call(*case)), words)
        answers.append(got)
        if not alike(got, ask.model(*case)):
            for formula, text in slips:
                if _gives(formula, cases, answers, ask):
                    raise Wrong(f"{call(*case)} gave {got:,{'.4g' if isinstance(got, float) else ''}}: {text}")
            raise Wrong(otherwise(got, *case))
    return answers


def _gives(formula, cases, answers, ask) -> bool:
    """Whether a formula gives the answer to each case that has one; ``answers``, the first, grows as needed."""
    for number, case in enumerate(cases):
        if number == len(answers):
            try:
                answers.append(one_number("", ask(*case)))
            except Exception:  # it raised, or gave something else
                answers.append(None)
        if answers[number] is not None and not alike(answers[number], formula(*case)):
            return False
    return True


def alike(got, right) -> bool:
    """Whether two numbers are equal: whole ones exactly, others but for rounding in float32."""
    return got == right if isinstance(right, int) else math.isclose(got, right, rel_tol=1e-6, abs_tol=1e-12)


def near(a, b) -> bool:
    """Whether two tensors of one shape and type are equal but for rounding."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.allclose(a, b, **({"rtol": 1e-9, "atol": 1e-12} if a.dtype == torch.float64 else {}))


def as_it_is(value):
    """The identity: for a place of a formula that does nothing."""
    return value


def bare(shape) -> tuple[int, ...]:
    """A shape without its axes of length 1, by which weights are told apart."""
    return tuple(n for n in shape if n != 1)


def check_gradients(ask, args, slips=()) -> None:
    """Raise `Wrong` unless the gradients for each tensor in ``args`` are the solution's; all values being right.

    ``slips`` are pairs (function, words): functions with the solution's values and arguments that cut the graph.
    """
    leaves = [arg.clone().requires_grad_() if isinstance(arg, torch.Tensor) else arg for arg in args]
    names = [name for name, leaf in zip(inspect.signature(ask.model).parameters, leaves) if isinstance(leaf, torch.Tensor)]
    got = ask(*leaves, call=f"{ask.model.__name__}, given tensors that require gradients,")
    inputs = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]

    def gradients(output):
        upstream = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view(output.shape)
        return torch.autograd.grad((output * upstream).sum(), inputs, retain_graph=True, allow_unused=True)

    right = ask.model(*leaves)
    check_tensor("what you returned for tensors that require gradients", got, right)
    if not near(got, right):
        raise Wrong("your function gives other values when its arguments require gradients.")
    if not got.requires_grad:
        raise Wrong("the values are right, and no gradient flows back: all of it was computed under "
                    "torch.no_grad(), detached, or taken out of the tensors.")
    try:
        ours, theirs = gradients(right), gradients(got)
    except RuntimeError as error:
        raise Wrong(f"the values are right, and the backward pass stopped: {error}") from None
    same = [value is not None and near(value, wanted) for value, wanted in zip(theirs, ours)]
    if all(same):
        return
    for function, words in slips:
        if all(a is b or a is not None and b is not None and near(a, b)
               for a, b in zip(theirs, gradients(function(*leaves)))):
            raise Wrong(f"the values are right, the gradients are not: {words}")
    name, value = next((name, value) for name, value, good in zip(names, theirs, same) if not good)
    raise Wrong(f"the values are right, and {'no gradient reaches' if value is None else 'a wrong gradient reaches'} {name}. "
                "Is a part computed under torch.no_grad(), or detached?")


NORM_FUNCTIONS = "batch_norm", "layer_norm", "instance_norm", "group_norm"      # PyTorch's own, for `Watch`


class Watch(TorchFunctionMode):
    """Notes whether a PyTorch function was called whose name holds one of ``names``."""

    def __init__(self, *names):
        super().__init__()
        self.names, self.called = names, False

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if any(name in getattr(func, "__name__", "") for name in self.names):
            self.called = True
        return func(*args, **(kwargs or {}))


def slip(got, formula, *choices) -> str | None:
    """The words for the slip that makes ``formula`` give ``got``; None when no one or two slips do.

    Each of ``choices`` lists what may stand at one place of the formula, as (what, words): first what
    belongs there, with None for words, then the slips. One slip is tried before two; of two, the words
    are the first's.
    """
    for number in (1, 2):
        for places in combinations(range(len(choices)), number):
            for slips in product(*(choices[place][1:] for place in places)):
                values = [choice[0][0] for choice in choices]
                for place, (value, _) in zip(places, slips):
                    values[place] = value
                if near(got, formula(*values)):
                    return slips[0][1]
    return None


def far(got, right) -> str:
    """How far the values are from the right ones, in words."""
    if not got.isfinite().all():
        return "the shape is right, and some values are infinite or not a number."
    return f"the shape is right, the values differ by up to {(got - right).abs().max().item():.3g}."
