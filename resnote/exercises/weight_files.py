"""Lesson 06's exercise on files of weights: which names and shapes keep one from fitting a network."""

from __future__ import annotations

import copy
from itertools import islice, permutations

import torch
from torch import nn

from resnote.exercises.base import Raised, Wrong, short


def why_not(network, weights):
    ours = network.state_dict()
    missing = [name for name in ours if name not in weights]
    unknown = [name for name in weights if name not in ours]
    other_shape = [name for name in ours if name in weights and weights[name].shape != ours[name].shape]
    return missing, unknown, other_shape


def _weights_files():
    """A network and files of weights for it, each with something else wrong, or nothing.

    In the second all three lists have names, so that one of another order of the three is not taken for another slip.
    """
    def linear(*sizes):
        return nn.Sequential(*(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])))

    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 4))
    right = network.state_dict()
    yield network, dict(right)
    yield network, {name: value for name, value in right.items() if name != "0.bias"} | {
        "optimizer": torch.zeros(()), "2.weight": torch.zeros(3, 4)}
    yield network, {name: value for name, value in right.items() if "running" not in name}
    yield network, right | {"2.bias": torch.zeros(5), "0.weight": torch.zeros(3, 2, 1, 1)}
    yield network, right | {"0.weight": torch.zeros(5, 2, 3, 3)}
    yield network, right | {"0.weight": torch.zeros(3, 4, 3, 3)}
    yield network, {f"module.{name}": value for name, value in right.items()}
    yield network, {name: value + 1 for name, value in right.items()}
    yield network, {name: value.half() for name, value in right.items()}
    yield network, right | {"1.num_batches_tracked": torch.zeros(1)}
    yield linear(3, 4, 5), linear(3, 4).state_dict()
    yield linear(3, 4), linear(3, 4, 5).state_dict()
    yield linear(3, 4, 1), linear(3, 4, 4).state_dict()
    yield linear(3, 4), {}


_WHY = {"missing": "A name is missing that the network has and the file has not.",
        "unknown": "A name is unknown that the file has and the network has not.",
        "other_shape": "A name belongs there that both have, with tensors of different shapes."}


def check_why_not(ask):
    """Compare the three lists for each file; the order in them is free."""
    for network, weights in _weights_files():
        call = f"why_not(network, weights) for a file of {len(weights)} names"
        kept, given = copy.deepcopy(network.state_dict()), copy.deepcopy(dict(weights))
        got, right = ask(network, weights, call=call), ask.model(network, given)
        if not isinstance(got, (list, tuple)) or len(got) != 3:
            raise Wrong(f"{call} gave {short(got)}; it must give three lists: return missing, unknown, other_shape.")
        lists = [_names(call, what, mine) for what, mine in zip(_WHY, got)]
        _check_untouched(call, network, kept, weights, given)
        _check_order(call, lists, right)
        for what, mine, theirs in zip(_WHY, lists, right):
            lacking = [name for name in theirs if name not in mine]
            extra = [name for name in mine if name not in theirs]
            for name in (lacking + extra)[:1]:
                raise Wrong(f"{call}: {name!r} is {'not ' if lacking else ''}in {what}. {_WHY[what]} {_facts(name, network, given)}")
            if len(mine) != len(theirs):
                raise Wrong(f"{call}: a name stands more than once in {what}. Each stands there once.")
    return "with these three lists you see in one line why load_state_dict refuses a file."


def _names(call, what, mine) -> list[str]:
    if isinstance(mine, (str, bytes)) or not hasattr(mine, "__iter__"):
        raise Wrong(f"{call} gave {short(mine)} for {what}; it must be a list of names.")
    try:
        names = list(islice(mine, 1000))
    except Exception as error:      # a generator computes only now
        raise Raised(f"{call}, where {what} is read,") from error
    for name in names:
        if not isinstance(name, str):
            raise Wrong(f"{call}: {what} holds {short(name)}; it must hold names only, as the network and the file have them.")
    return names


def _check_untouched(call, network, kept, weights, given) -> None:
    if weights.keys() != given.keys() or not all(torch.equal(weights[name], value) for name, value in given.items()):
        raise Wrong(f"{call} changed the weights that it was given. Look, and leave them as they are.")
    now = network.state_dict()
    if now.keys() != kept.keys() or not all(torch.equal(now[name], value) for name, value in kept.items()):
        raise Wrong(f"{call} changed the network. Compare names and shapes without loading anything.")
    if not network.training:
        raise Wrong(f"{call} left the network in eval mode. Compare names and shapes, and leave it as it is.")


def _check_order(call, lists, right) -> None:
    """Raise `Wrong` where the lists are right and stand in another order; one without names would not tell."""
    if not all(right):
        return
    for order in permutations(range(3)):
        if order != (0, 1, 2) and all(sorted(lists[place]) == sorted(theirs) for place, theirs in zip(order, right)):
            moved = [what for number, (place, what) in enumerate(zip(order, _WHY)) if place != number]
            raise Wrong(f"{call}: {' and '.join(moved) if len(moved) == 2 else 'all three lists'} are exchanged. "
                        "Return missing, unknown, other_shape, in this order.")


def _facts(name, network, weights) -> str:
    """What the network and the file have by a name."""
    ours = network.state_dict()
    has = [f"{who} has {f'it, with shape {tuple(held[name].shape)}' if name in held else 'no such name'}"
           for who, held in (("The network", ours), ("the file", weights))]
    buffer = " It is a buffer: network.state_dict() holds buffers as well as parameters." if name in dict(network.named_buffers()) else ""
    silent = " load_state_dict does not always report it: compare the names yourself." if name.endswith("num_batches_tracked") else ""
    return f"{has[0]}; {has[1]}.{buffer}{silent}"
