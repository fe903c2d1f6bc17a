"""Cases that nobody has seen, drawn from a seed that only the teacher knows.

Most checks draw tensors and weights; hidden cases are then the same check with other numbers. Where a check has a list of
numbers, arguments are drawn here, one function an exercise. One check draws nothing, and has no hidden cases: `find_bug` is
asked about five classes.
"""

from __future__ import annotations

import random

import torch

from resnote.exercises.base import Exercise, Wrong, settings_kept, short
from resnote.exercises.compare import alike, one_number, other_numbers


def normal(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype)


def pick(*choices):
    return random.choice(choices)


def he_std(turn):
    return pick(1, 2, 3, 5, 7), pick(1, 2, 3, 16, 64, 100)


def dead_share(turn):
    m, n = pick(1, 2, 7, 400), pick(1, 3, 8)
    firing = torch.rand(m, n) < torch.rand(n) * pick(0, 0.01, 1)
    scale = 10.0 ** torch.randint(-15, 2, (n,))
    return (torch.rand(m, n).add(0.1) * scale * firing,)


def diagnose(turn):
    def next_to(error):
        return abs(error + pick(random.uniform(-0.3, 0.3), 0.05 + random.uniform(-0.002, 0.002), -0.01))
    shallow = random.uniform(0, 1)
    deep = next_to(shallow)
    return (shallow, deep, next_to(deep)) if turn else (0.0, 0.05, 0.1)


def first_over_last(turn):
    channels, classes = pick(1, 2, 3), pick(2, 3)
    layers = [torch.nn.Conv2d(channels, 4, 3, bias=pick(True, False))]
    for block in range(pick(1, 2)):
        # without batch norm in the first at most: behind it, all units of a last layer are dead now and then
        norm = torch.nn.Identity() if block == 0 and pick(True, False) else torch.nn.BatchNorm2d(4)
        layers += [norm, torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 1)]
    network = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(4 * 6, classes)).double()
    m = pick(2, 3, 5)
    return network, normal(m, channels, 4, 5), torch.randint(classes, (m,))


def slope_through(turn):
    # not next to -1, where 1 + slope would be rounding in float32
    return ([pick(0.0, -1.0, pick(-1, 1) * random.uniform(0.1, 3) - 1, random.uniform(-0.9, 1)) for _ in range(turn % 6)],)


def conv_parameters(turn):
    groups = pick(1, 1, 2, 3)
    return pick(1, 2, 3, 5), groups * pick(1, 2, 4, 5), groups * pick(1, 2, 3, 7), groups, pick(True, False)


def widest_bottleneck(turn):
    channels = pick(1, 2, 5, 32, 256)
    width = pick(1, 2, 5, 40)
    return channels, max(0, 2 * channels * width + 9 * width * width + pick(-1, 0, 1, 3))


DRAWN = {draw.__name__: draw for draw in (
    he_std, dead_share, diagnose, first_over_last, slope_through, conv_parameters, widest_bottleneck)}
CASES = 18


def check_hidden(exercise: Exercise, answer, seed: int):
    """The verdict on cases of ``seed``, for an answer that the published check calls right."""
    if exercise.name not in DRAWN:
        with other_numbers(seed):
            return exercise.verdict(answer)
    with settings_kept():
        random.seed(seed)
        torch.default_generator.manual_seed(seed)
        cases = [DRAWN[exercise.name](turn) for turn in range(CASES)]
    return Exercise(exercise.label, lambda ask: _compare(ask, cases), hints=(), solution=exercise.model).verdict(answer)


def _compare(ask, cases) -> str:
    for args in cases:
        call, got, right = ask.called(*args), ask(*args), ask.model(*args)
        if isinstance(right, str):
            same = isinstance(got, str) and got == right
        else:
            got = one_number(call, got)
            same = alike(got, right)
        if not same:
            raise Wrong(f"right for the arguments of the lesson's check, and not for all: {call} gave {_rounded(got)}, and it is "
                        f"{_rounded(right)}.")
    return "right for arguments that the lesson's check does not use."


def _rounded(value) -> str:
    return f"{value:.9g}" if isinstance(value, float) else short(value)
