"""Lesson 06's exercises that build: a stage, and a ResNet of bottlenecks; checked by the blocks in them and by what they compute."""

from __future__ import annotations

import copy

import torch
from torch import nn

from resnote import blocks
from resnote.exercises.base import Raised, Wrong, short
from resnote.exercises.compare import check_tensor, far, near


def basic_stage(in_channels, width, number, stride):
    changes = stride != 1 or in_channels != width
    first = blocks.BasicBlock(in_channels, width, width, stride=stride, shortcut="projection" if changes else "identity")
    following = [blocks.BasicBlock(width, width, width) for _ in range(number - 1)]
    return nn.Sequential(first, *following)


class MyResNet(nn.Module):
    def __init__(self, numbers, width, classes):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1))
        channels, stages = width, []
        for place, number in enumerate(numbers):
            middle = width * 2**place
            for block in range(number):
                stride = 2 if block == 0 and place > 0 else 1
                shortcut = "projection" if block == 0 else "identity"
                stages.append(blocks.Bottleneck(channels, middle, 4 * middle, stride=stride, shortcut=shortcut))
                channels = 4 * middle
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.stages(self.stem(x))
        return self.fc(x.mean((2, 3)))


# --- 1. a stage ----------------------------------------------------------------------------------

_STAGES = (4, 4, 2, 1), (4, 6, 3, 2), (5, 3, 1, 1), (3, 3, 2, 2)


def check_stage(ask):
    """Compare blocks, shapes and values with the solution's, which gets the same weights."""
    for case in _STAGES:
        call = f"basic_stage({', '.join(map(str, case))})"
        made = ask(*case, call=call)
        if isinstance(made, (list, tuple)):
            raise Wrong(f"{call} gave a {type(made).__name__} of blocks. Put them into one module that runs them in order: "
                        "nn.Sequential(*blocks).")
        right = ask.model(*case)
        _check_blocks(call, made, right, blocks.BasicBlock)
        _check_alone(call, made, right)
        _check_values(call, ask, made.double(), right.double(), torch.randn(3, case[0], 7, 6, dtype=torch.float64))
    return "the first block changes the shape where it has to, the others keep it, and all run in order."


# --- 2. a network --------------------------------------------------------------------------------

_NETWORKS = ((2, 1, 2, 1), 4, 7), ((1, 2), 3, 5), ((1, 1, 3), 2, 3)
_COUNT = 25_557_032


def check_network(ask):
    """Compare small networks by their values; and count the one that must have ResNet-50's parameters."""
    for numbers, width, classes in _NETWORKS:
        call = f"MyResNet({numbers}, {width}, {classes})"
        made = ask(numbers, width, classes, call=call)
        if isinstance(made, nn.Module) and not list(made.parameters()):
            ask.of(made, torch.randn(3, 3, 40, 33), call=f"{call}(x)")      # not written yet?
        right = ask.model(numbers, width, classes)
        _check_blocks(call, made, right, blocks.Bottleneck)
        _check_rest(call, made, right)
        _check_values(call, ask, made.double(), right.double(), torch.randn(3, 3, 40, 33, dtype=torch.float64))
    with torch.device("meta"):
        made = ask((3, 4, 6, 3), 64, 1000, call="MyResNet((3, 4, 6, 3), 64, 1000)")
    counted = sum(weight.numel() for weight in made.parameters())
    if counted != _COUNT:
        raise Wrong(f"MyResNet((3, 4, 6, 3), 64, 1000) has {counted:,} parameters, and ResNet-50 has {_COUNT:,}; the smaller networks "
                    "that were tried are right. Does a number in your class stand for an argument?")
    return f"MyResNet((3, 4, 6, 3), 64, 1000) has {_COUNT:,} parameters. That is ResNet-50."


# --- 3. why a file does not load -------------------------------------------------------------------


def why_not(network, weights):
    ours = network.state_dict()
    missing = [name for name in ours if name not in weights]
    unknown = [name for name in weights if name not in ours]
    other_shape = [name for name in ours if name in weights and weights[name].shape != ours[name].shape]
    return missing, unknown, other_shape


def _weights_files():
    """A network and files of weights for it, each with something else wrong, or nothing."""
    def linear(*sizes):
        return nn.Sequential(*(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])))

    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 4))
    right = network.state_dict()
    yield network, dict(right)
    yield network, {name: value for name, value in right.items() if "running" not in name}
    yield network, right | {"2.bias": torch.zeros(5), "0.weight": torch.zeros(3, 2, 1, 1)}
    yield network, {f"module.{name}": value for name, value in right.items()}
    yield network, right | {"optimizer": torch.zeros(()), "2.weight": torch.zeros(3, 4)}
    yield network, right | {"1.num_batches_tracked": torch.zeros(1)}
    yield linear(3, 4, 5), linear(3, 4).state_dict()
    yield linear(3, 4), linear(3, 4, 5).state_dict()
    yield linear(3, 4), {}


def check_why_not(ask):
    """Compare the three lists for each file; the order in them is free."""
    for network, weights in _weights_files():
        call = f"why_not(network, weights), with a file of {len(weights)} names,"
        kept = copy.deepcopy(network.state_dict())
        given = dict(weights)
        got, right = ask(network, weights, call=call), ask.model(network, given)
        if not isinstance(got, (list, tuple)) or len(got) != 3:
            raise Wrong(f"{call} gave {short(got)}; it must give three lists: return missing, unknown, other_shape.")
        if weights.keys() != given.keys() or any(weights[name] is not value for name, value in given.items()):
            raise Wrong(f"{call} changed the weights that it was given. Look, and leave them as they are.")
        now = network.state_dict()
        if any(not torch.equal(now[name], value) for name, value in kept.items()):
            raise Wrong(f"{call} changed the network. Compare names and shapes without loading anything.")
        for what, mine, theirs in zip(("missing", "unknown", "other_shape"), got, right):
            if isinstance(mine, str) or not hasattr(mine, "__iter__"):
                raise Wrong(f"{call} gave {short(mine)} for {what}; it must be a list of names.")
            mine = list(mine)
            if sorted(map(str, mine)) != sorted(theirs):
                lacking = [name for name in theirs if name not in mine]
                extra = [name for name in mine if name not in theirs]
                words = _WHY[what]
                if lacking:
                    raise Wrong(f"{call}: {lacking[0]!r} is not in {what}. {words}")
                if extra:
                    raise Wrong(f"{call}: {short(extra[0])} is in {what}. {words}")
                raise Wrong(f"{call}: a name stands more than once in {what}. Each stands there once.")
    return "with these three lists you see in one line why load_state_dict refuses a file."


_WHY = {"missing": "A name is missing that the network has and the file has not.",
        "unknown": "A name is unknown that the file has and the network has not.",
        "other_shape": "A name belongs there that both have, with tensors of different shapes."}


# --- what checks share -----------------------------------------------------------------------------


def _found(module, kind) -> list:
    return [part for part in module.modules() if type(part) is kind]


def _words(block) -> str:
    convolutions = [layer for layer in block.residual if isinstance(layer, nn.Conv2d)]
    around = "a projection" if isinstance(block.shortcut, nn.Sequential) else "a shortcut that keeps x" if isinstance(
        block.shortcut, nn.Identity) else "another shortcut"
    stride = max(layer.stride[0] for layer in convolutions)
    return (f"{convolutions[0].in_channels} → {convolutions[0].out_channels} → {convolutions[-1].out_channels} channels, stride "
            f"{stride}, {around}")


def _check_blocks(call, made, right, kind) -> None:
    """Raise `Wrong` unless the module holds the same blocks in the same order."""
    if not isinstance(made, nn.Module):
        raise Wrong(f"{call} gave {short(made)}; it must give a module.")
    got, wanted = _found(made, kind), _found(right, kind)
    if len(got) != len(wanted):
        seen = "" if got else f" Build them with blocks.{kind.__name__}; modules in a plain list are not seen, nn.Sequential shows them."
        raise Wrong(f"{call} holds {len(got)} {'block' if len(got) == 1 else 'blocks'} of kind {kind.__name__}; it must hold {len(wanted)}.{seen}")
    for number, (block, model) in enumerate(zip(got, wanted), start=1):
        same = [(name, value.shape) for name, value in block.state_dict().items()] == [
            (name, value.shape) for name, value in model.state_dict().items()]
        if _words(block) != _words(model) or not same:
            detail = "" if _words(block) != _words(model) else " The one that you built has other layers, kernels or biases."
            raise Wrong(f"{call}: block {number} has {_words(block)}; it must have {_words(model)}.{detail}")


def _check_alone(call, made, right) -> None:
    if len(list(made.parameters())) != len(list(right.parameters())):
        raise Wrong(f"{call} has weights beside its blocks. A stage is its blocks and nothing else.")


def _check_rest(call, made, right) -> None:
    """Raise `Wrong` unless, beside the blocks, there are the stem's and the head's layers."""
    for kind, words in ((nn.Conv2d, "convolution, the stem's 7×7"), (nn.BatchNorm2d, "batch norm, the stem's"),
                        (nn.Linear, "linear layer, the head's")):
        got, wanted = _outside(made, kind), _outside(right, kind)
        if len(got) != 1:
            raise Wrong(f"{call} has {len(got)} layers of kind {kind.__name__} beside its blocks; it must have one {words}.")
        if [(n, w.shape) for n, w in got[0].state_dict().items()] != [(n, w.shape) for n, w in wanted[0].state_dict().items()]:
            raise Wrong(f"{call}: the {words} is {got[0]}; it must be {wanted[0]}.")
    if len(list(made.parameters())) != len(list(right.parameters())):
        raise Wrong(f"{call} has weights beside its blocks, its stem and its linear layer. Nothing else has any.")


def _outside(module, kind) -> list:
    inside = {part for block in _found(module, blocks.Bottleneck) for part in block.modules()}
    return [part for part in _found(module, kind) if part not in inside]


def _check_values(call, ask, made, right, x) -> None:
    """Give both the same weights, and compare what they compute, in training mode and in eval mode."""
    kinds = blocks.BasicBlock, blocks.Bottleneck
    for kind in (*kinds, nn.Conv2d, nn.BatchNorm2d, nn.Linear):
        pairs = zip(_found(made, kind), _found(right, kind)) if kind in kinds else zip(_outside(made, kind), _outside(right, kind)) \
            if _found(right, blocks.Bottleneck) else ()
        for mine, theirs in pairs:
            mine.load_state_dict(theirs.state_dict())
    for training in (True, False):
        made.train(training), right.train(training)
        wanted = right(x)
        got = ask.of(made, x, call=f"{call}(x)") if hasattr(ask.model, "forward") else _run(made, x, call)
        check_tensor(f"what {call}(x) returned", got, wanted)
        if not near(got, wanted):
            mode = "in training mode" if training else "in eval mode, and in training mode it is right"
            raise Wrong(f"{call}(x), {mode}: its parts are right, and {far(got, wanted)} Do they run in order, each once, with nothing "
                        "else between them than what the exercise names?")
        if training:
            _check_flow(call, got, wanted, made, right)


def _run(module, x, call):
    try:
        return module(x.clone())
    except Exception as error:
        raise Raised(f"{call}(x)") from error


def _check_flow(call, got, wanted, made, right) -> None:
    """Raise `Wrong` unless gradients reach every weight."""
    if not got.requires_grad:
        raise Wrong(f"{call}(x): the values are right, and no gradient flows back. Is a part computed under torch.no_grad(), or detached?")
    ours = torch.autograd.grad(wanted.square().sum(), list(right.parameters()))
    theirs = torch.autograd.grad(got.square().sum(), list(made.parameters()), allow_unused=True)
    total = sum(value.norm() ** 2 for value in ours)
    if any(value is None for value in theirs) or not near(sum(value.norm() ** 2 for value in theirs), total):
        raise Wrong(f"{call}(x): the values are right, and a weight gets no gradient or a wrong one. Is a part computed under "
                    "torch.no_grad(), or detached?")
