"""Wrong answers made by a program: each changed solution that differs as a function is refused, in true words.

Mutants are drawn, the same every time, until 30 have been refused, or 100 tried. All of them, with the counts shown:
MUTANTS=all python -m pytest -rP tests/unit/test_exercise_mutants.py
"""

import copy
import inspect
import math
import os
import random
from collections import Counter

import pytest
import torch
from mutants import mutants
from torch import nn

from resnote import blocks
from resnote.exercises import (
    backward_slips,
    folding_slips,
    group_norm,
    lesson_02,
    lesson_04,
    lesson_05,
    suspects,
    whole_network,
)
from resnote.exercises.every import EXERCISES
from resnote.grading.hidden import DRAWN, normal, pick


# --- arguments to compare functions on, unkind ones too; none of them are the checkers' own ------------------------


def channelwise(number):
    """γ or β, with signs and zeros."""
    return normal(number) * (torch.rand(number) > 0.2)


def residual_forward(turn):
    def f(x):
        return 0.7 * x.flip(-1) + x.square() - 0.4

    x = normal(*pick((2, 3, 4, 4), (1, 2, 3, 2), (3, 3, 1, 5), (2, 1, 3, 3), (4, 6), (3,)))
    whole = turn % 2 == 0
    return (f if whole else lambda x: f(pick_shape(x, turn))), x


def pick_shape(x, turn):
    """x in another shape."""
    axis = turn % x.dim()
    shapes = (x.narrow(axis, 0, 1) if x.shape[axis] > 1 else x.repeat_interleave(3, axis), x[None], x[0], x.sum(),
              x.repeat_interleave(2, axis), x.transpose(0, -1) if x.shape[0] != x.shape[-1] else x[:1, None])
    return shapes[turn // 2 % len(shapes)]


def zero_pad_shortcut(turn):
    channels = pick(1, 2, 3)
    return normal(pick(1, 2), channels, pick(3, 5, 6), pick(4, 7), dtype=torch.float32), channels + pick(0, 1, 4), pick(1, 2, 3)


def stochastic_depth(turn):
    f = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh()).double()
    return f, (0.0, 1.0, 0.3, 0.75)[turn % 4], normal(pick(2, 5), 3)


def pointwise(turn):
    channels = pick(1, 2, 4)
    return normal(pick(1, 2), channels, pick(1, 3), pick(2, 5)), normal(pick(1, 3, 4), channels)


def bottleneck(turn):
    stride, out_channels = pick((1, 13), (1, 7), (2, 7), (3, 5), (2, 11))
    return 7, pick(2, 3, 9), out_channels, stride


def batch_norm_images(turn):
    channels = pick(1, 3, 4)
    x = normal(pick(1, 2, 4), channels, pick(1, 3), pick(2, 4)) * 10 ** normal(1, channels, 1, 1) + normal(1, channels, 1, 1)
    return x, channelwise(channels), channelwise(channels), pick(1e-5, 0.01, 0.5)


def bn_backward(turn):
    m, channels = pick(2, 5, 8), pick(1, 3, 4)
    return (normal(m, channels) + normal(channels), normal(m, channels) * 10 ** normal(channels) + normal(channels),
            channelwise(channels), pick(1e-3, 0.01, 0.5))


def find_bug(turn):
    return (type("Norm", ((suspects.A, suspects.B, suspects.C, suspects.D, suspects.E)[turn % 5],), {})(pick(2, 3, 6, 9)),)


def my_group_norm(turn):
    groups, each = pick(1, 2, 3), pick(1, 2, 4)
    x = normal(pick(1, 2, 3), groups * each, pick(1, 3), pick(2, 4)) * 10 ** normal(1, groups * each, 1, 1) + normal(1, groups * each, 1, 1)
    return groups, groups * each, pick(1e-5, 0.01, 0.5), x


def update(turn):
    channels = pick(1, 3, 4)
    x = normal(pick(1, 2, 3), channels, pick(1, 3), pick(2, 4)) * 10 ** normal(1, channels, 1, 1) + normal(1, channels, 1, 1)
    return normal(channels), torch.rand(channels, dtype=torch.float64) * pick(1e-3, 1, 10), x, pick(0.0, 0.1, 0.25, 0.9, 1.0)


def fold_into(turn):
    out = pick(1, 2, 3)
    k = pick(1, 2, 3)
    return (normal(out, pick(1, 2, 3), k, k), None if turn % 3 == 0 else normal(out), channelwise(out), channelwise(out), normal(out),
            torch.rand(out, dtype=torch.float64) * pick(0, 1e-3, 1, 10), pick(1e-5, 0.1))


def estimate(turn):
    number, m, channels = pick(1, 2, 5), pick(2, 3, 6), pick(1, 2, 4)
    return ([normal(m, channels) * 10 ** normal(channels) + normal(channels) for _ in range(number)],)


def fold_stack(turn):
    """Where a convolution, a ReLU and a batch norm stand is drawn."""
    layers, channels = [], 3
    for place in range(pick(1, 2, 4, 6)):
        kind = pick("norm", "relu", "conv", "pair", "pair")
        if kind in ("conv", "pair"):
            out = pick(2, 3, 4)
            layers.append(nn.Conv2d(channels, out, pick(1, 3), stride=pick(1, 2), padding=pick(1, 2), bias=pick(True, False)))
            channels = out
        if kind == "pair" or kind == "norm" and not (layers and isinstance(layers[-1], (nn.BatchNorm2d, nn.Conv2d))):
            layers.append(nn.BatchNorm2d(channels, eps=pick(1e-5, 0.1, 0.5)))
        if kind == "relu":
            layers.append(nn.ReLU())
    stack = nn.Sequential(*layers).eval()
    for norm in stack:
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.weight, norm.bias, norm.running_mean):
                tensor.data.normal_()
            norm.running_var.uniform_(0.1, 3)
    return (stack,)


def basic_stage(turn):
    width = pick(1, 2, 3)
    return pick(1, 2, 3, width, width), width, pick(1, 2, 4), pick(1, 1, 2, 3)


def my_resnet(turn):
    return tuple(pick(1, 1, 2, 3) for _ in range(pick(1, 2, 3, 4))), pick(1, 2, 3), pick(1, 2, 4)


OTHER = {
    "turned": lambda value: value.transpose(0, -1), "longer": lambda value: torch.cat([value, value]), "wider": lambda value: torch.cat([value] * 3, -1),
    "deeper": lambda value: torch.cat([value] * 2, min(1, value.dim() - 1)), "the first": lambda value: value[:1], "more axes": lambda value: value[None],
    "flat": lambda value: value.flatten(), "other numbers": lambda value: value + 1, "kept": lambda value: value}


def why_not(turn):
    """A file with names left out and new ones, and tensors of other shapes; in the first turn the network's own."""
    network = nn.Sequential(nn.Conv2d(2, pick(2, 3), 1), nn.Conv2d(3, 1, 2), nn.BatchNorm2d(3), nn.Conv2d(3, 2, (1, 3)), nn.Linear(2, 1))
    weights = {}
    for name, value in network.state_dict().items():
        change = pick(*OTHER, "left out", "renamed") if turn else "kept"
        if change != "left out":
            weights["more." * (change == "renamed") + name] = OTHER[change if change in OTHER and value.dim() else "kept"](value).clone()
    return network, weights


ARGUMENTS = dict(zip(EXERCISES, (
    DRAWN["he_std"], DRAWN["dead_share"], DRAWN["diagnose"], DRAWN["first_over_last"],
    residual_forward, zero_pad_shortcut, DRAWN["slope_through"], stochastic_depth,
    DRAWN["conv_parameters"], pointwise, DRAWN["widest_bottleneck"], bottleneck,
    batch_norm_images, bn_backward, find_bug, my_group_norm,
    update, fold_into, estimate, fold_stack,
    basic_stage, my_resnet, why_not), strict=True))
DIFFERENTIABLE = "lesson_02.ex1", "lesson_02.ex2", "lesson_03.ex2", "lesson_04.ex1"
MAY_CHANGE = {"lesson_05.ex1": {0, 1}, "lesson_04.ex3": {0}}
WHOLE = "lesson_03.ex1", "lesson_03.ex3"


# --- comparing functions, without the checkers -------------------------------------------------------------------


def used(cls):
    """A function of all arguments of a module, (…, x): its output, before and after its parameters are changed, and gradients."""
    def run(*args):
        *settings, x = args
        norm = cls(*settings).double()
        fresh, parameters = norm(x), list(norm.parameters())
        with torch.no_grad():
            for number, parameter in enumerate(parameters):
                parameter.copy_(torch.linspace(-2, 1 + number, parameter.numel()).view_as(parameter))
        leaf = x.clone().requires_grad_()
        later = norm(leaf)
        found = torch.autograd.grad((later * torch.linspace(-1, 2, later.numel()).view(later.shape)).sum(),
                                    [leaf, *parameters], allow_unused=True)
        return fresh, later, norm.eval()(x), *[torch.zeros(0) if gradient is None else gradient for gradient in found]
    return run


def skipped(cls):
    """A function of all arguments of a module that draws: what it gives in eval mode, and in training, how often, with gradients."""
    def run(f, keep, x):
        module, leaf = cls(f, keep), x.clone().requires_grad_()
        known = len(list(module.parameters())) >= len(list(f.parameters()))
        predicted = module.eval()(x)
        outputs = [module.train()(leaf) for _ in range(200)]
        rows = torch.stack([output.detach() for output in outputs])
        kinds = [rows[0]] + [row for row in rows if not torch.allclose(row, rows[0])][:1]
        other = [row for row in rows if not any(torch.allclose(row, kind) for kind in kinds)]
        often = sum(torch.allclose(row, x + f(x)) for row in rows) / len(rows)
        gradients = {}
        for output, row in zip(outputs, rows):
            place = torch.allclose(row, x)
            if place not in gradients:
                found = torch.autograd.grad(output.sum(), [leaf, *f.parameters()], allow_unused=True)
                gradients[place] = [torch.zeros_like(a) if g is None else g for a, g in zip([leaf, *f.parameters()], found)]
        kinds = sorted(kinds, key=lambda row: torch.allclose(row, x))
        return (predicted, torch.stack(kinds), float(len(other)), float(abs(often - keep) < 0.15), float(known),
                *(gradient for place in sorted(gradients) for gradient in gradients[place]))
    return run


def built(cls):
    """A function of the settings of a module: its output for some x, the shapes of its weights, and all gradients.

    Weights are taken in the order of their shapes, and each is filled with numbers of its shape's own.
    """
    def run(*settings):
        module = cls(*settings).double()
        weights = sorted(module.parameters(), key=lambda weight: tuple(weight.shape))
        for weight in weights:
            weight.data = torch.randn(weight.shape, generator=torch.Generator().manual_seed(sum(weight.shape)), dtype=torch.float64)
        x = torch.randn(2, 7, 5, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64, requires_grad=True)
        output = module(x.clone())
        found = torch.autograd.grad((output * torch.linspace(-1, 2, output.numel()).view(output.shape)).sum(), [*weights, x],
                                    allow_unused=True)
        return output, [tuple(weight.shape) for weight in weights], *[torch.zeros(0) if g is None else g for g in found]
    return run


def filled(module):
    """The module in float64, each weight and statistic with numbers of its place's and its shape's own."""
    for place, (name, tensor) in enumerate(module.double().state_dict().items()):
        if tensor.is_floating_point():
            drawn = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(100 * place + sum(tensor.shape)), dtype=torch.float64)
            tensor.copy_(drawn.abs() + 0.3 if name.endswith("var") else drawn / max(1, tensor[:1].numel()) ** 0.5)
    return module


def trained(make):
    """A function of the settings of a module of blocks, as {aspect: value}.

    Values are the kinds and settings of its blocks, the shapes of its weights, and what it gives for images in training mode, then in eval mode.
    """
    def run(*settings):
        with torch.device("meta"):
            size = sum(weight.numel() for weight in make(*settings).parameters())
        if size > 10**7:
            raise MemoryError
        module, channels = make(*settings), settings[0] if isinstance(settings[0], int) else 3
        x = torch.randn(3, channels, 24, 20, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        weights = list(module.parameters())
        kept = module(x.to(weights[0].dtype)).dtype == weights[0].dtype       # as it was built
        leaf, given = x.clone().requires_grad_(), x.clone()
        outputs = [filled(module).train()(leaf), module.eval()(given)]
        upstream = torch.linspace(-1, 2, outputs[0].numel(), dtype=outputs[0].dtype).view(outputs[0].shape)
        gradients = torch.autograd.grad((module.train()(leaf) * upstream).sum(), [*weights, leaf], allow_unused=True) if outputs[0].requires_grad else []
        return {"value": [[repr(part) for part in module.modules() if isinstance(part, (blocks.BasicBlock, blocks.Bottleneck))],
                          sorted(tuple(weight.shape) for weight in weights), [output.detach().double() for output in outputs]],
                "gradient": list(gradients), "type": [kept, *(output.dtype for output in outputs)], "argument": [leaf.detach(), given]}
    return run


RUN = {"lesson_02.ex4": skipped, "lesson_03.ex4": built, "lesson_06.ex1": trained, "lesson_06.ex2": trained}


def copied(value):
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, torch.nn.Module):
        return copy.deepcopy(value)
    if isinstance(value, dict):
        return {name: copied(each) for name, each in value.items()}
    return [copied(each) for each in value] if isinstance(value, list) else value


def seen(name, function, args):
    """What a function does, as {aspect: value}: its value with its type, its gradients, its arguments afterwards."""
    function = RUN.get(name, used)(function) if name in RUN or inspect.isclass(function) else function
    args = [copied(arg) for arg in args]
    leaves = [arg.requires_grad_() for arg in args if isinstance(arg, torch.Tensor)] if name in DIFFERENTIABLE else []
    given = [copied(arg) for arg in args]
    try:
        if name == "lesson_04.ex3":         # a verdict found by experiments on random numbers: the commonest of three
            value = Counter(drawn(seed, function, copied(given)) for seed in range(3)).most_common(1)[0][0]
        else:
            value = drawn(0, function, given)
    except Exception as error:
        return {"value": "ValueError" if isinstance(error, ValueError) else "error"}
    if isinstance(value, dict) and name in RUN:
        return value
    flat = value if isinstance(value, (tuple, list)) and name not in ("lesson_02.ex3",) else [value]
    result = {"value": [plain(name, each) for each in flat]}
    result["type"] = [str(each.dtype) if isinstance(each, torch.Tensor) and each.numel() != 1 else
                      type(each).__name__ if name in WHOLE else "" for each in flat]
    if leaves:
        result["gradient"] = None
        if isinstance(value, torch.Tensor) and value.requires_grad:
            upstream = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).view(value.shape)
            try:
                result["gradient"] = [None if g is None else g.double()
                                      for g in torch.autograd.grad((value * upstream).sum(), leaves, allow_unused=True)]
            except RuntimeError:
                result["gradient"] = "error"
    result["argument"] = [held(after) for place, after in enumerate(given)
                          if isinstance(after, (list, dict, torch.Tensor, nn.Module)) and place not in MAY_CHANGE.get(name, ())]
    if isinstance(value, nn.Module):
        result["shared"] = value is given[0] or bool(memory(value) & memory(given[0]))
    return result


def held(value):
    """What an argument holds."""
    if isinstance(value, dict):
        return [sorted(value), *(value[name].double() for name in sorted(value))]
    if isinstance(value, nn.Module):
        return [len(value), *(tensor.clone() for tensor in value.state_dict().values())]
    return value if isinstance(value, list) else value.detach().double()


def memory(module):
    return {tensor.data_ptr() for tensor in module.state_dict().values()}


@torch.no_grad()
def behaviour(stack):
    """What a stack of layers does: its batch norms, and what it gives for two images with 3 channels."""
    norms = [layer for layer in stack.modules() if isinstance(layer, nn.BatchNorm2d)]
    try:
        return [len(norms), stack(torch.linspace(-2, 2, 2 * 3 * 30).sin().view(2, 3, 6, 5)).double()]
    except Exception:
        return [len(norms), "error"]


def drawn(seed, function, args):
    torch.default_generator.manual_seed(seed)
    return function(*args)


def plain(name, value):
    """Numbers as a float, tensors in float64, with nothing but the values; of a stack, what it does."""
    if isinstance(value, nn.Sequential):
        return behaviour(value)
    if name == "lesson_06.ex3" and isinstance(value, list):
        return sorted(value, key=str)       # names in any order
    if isinstance(value, torch.Tensor):
        value = value.detach()
        if name == "lesson_04.ex2" and value.dim() == 2 and len(value) == 1:
            value = value[0]        # summed with keepdim=True
        return value.double() if value.numel() != 1 or name[:9] not in ("lesson_01", "lesson_02", "lesson_03") or value.dim() > 1 \
            else value.item()
    return value


def equal(a, b):
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and torch.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True)
    if isinstance(a, bool) is isinstance(b, bool) and isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12) and not (isinstance(a, int) and isinstance(b, int))
    return type(a) is type(b) and a == b


def difference(name, function, cases):
    """The aspects in which a function differs from the solution, and whether it ever ran without an error."""
    differs, ran = set(), False
    for number, (args, right) in enumerate(cases):
        got = seen(name, function, args)
        ran = ran or len(got) > 1 or got["value"] == right["value"]
        differs |= {aspect for aspect in right if not equal(got.get(aspect), right[aspect])}
        if "value" in differs and (ran or number > 3):
            break
    return differs, ran


def cases_of(name, number=18):
    random.seed(20)
    torch.manual_seed(20)
    model = EXERCISES[name].model
    cases = []
    for turn in range(number):
        args = ARGUMENTS[name](turn)
        cases.append((args, seen(name, model, args)))
    return cases


WORDS = {"argument": ("in place",), "gradient": ("gradient",), "type": ("type", "whole number", "one number", "must be a tensor"),
         "shared": ("shares", "very stack")}


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")      # some mutants are odd Python
@pytest.mark.parametrize("name", EXERCISES)
def test_every_mutant_of_a_solution_that_differs_as_a_function_is_refused(name, record_property, monkeypatch):
    """And where only gradients, types or arguments afterwards differ, the words say so.

    What wrong values are told is tested with the wrong answers that people give; the search for it is slow.
    """
    for module in lesson_02, lesson_04, lesson_05, backward_slips, folding_slips, group_norm, whole_network:
        monkeypatch.setattr(module, "slip", lambda *args: None)
    exercise, cases, counts = EXERCISES[name], cases_of(name), Counter()
    accepted, misnamed = [], []
    made = list(mutants(exercise.model))
    every = os.environ.get("MUTANTS") == "all"
    for kind, source, function in made if every else random.Random(3).sample(made, min(100, len(made))):
        if counts["refused"] - len(accepted) >= 30 and not every:
            break
        differs, ran = difference(name, function, cases)
        counts["tried"] += 1
        counts["equal" if not differs else "never run" if not ran else "refused"] += 1
        if not differs:
            continue
        verdict = exercise.check(function)
        if verdict.outcome == "right":
            accepted.append((kind, differs, source))
        if "value" not in differs and verdict.outcome != "raised":
            if not any(word in verdict.text for aspect in differs for word in WORDS[aspect]):
                misnamed.append((kind, differs, source, verdict.text))
    counts["refused"] -= len(accepted)
    record_property("mutants", dict(counts, accepted=len(accepted)))
    print(name, dict(counts, accepted=len(accepted)))
    assert not accepted, "\n\n".join(map(str, accepted))
    assert not misnamed
    assert counts["refused"] >= 20
