"""Tables of what torch computes for two explorers, over all settings: a web page, which has no torch, reads them.

`made` runs where torch is, when the site is built, and asks the explorers' own functions; `use` runs in the browser.
"""

from __future__ import annotations

from itertools import product

from resnote.explorers import inference, signal
from resnote.explorers.inference import BATCH_SIZES, MOMENTA, STEPS
from resnote.explorers.signal import ACTIVATIONS, DEEPEST, GAINS


def made(name: str, **only) -> dict:
    """The table of the explorer in the module ``name``, fit for JSON; ``only`` are fewer values of its controls, for a test."""
    return TABLES[name][0](**only)


def use(name: str, table: dict) -> None:
    """From now on, the explorer in the module ``name`` reads this table."""
    TABLES[name][1](table)


def key(*settings) -> str:
    """The place of these settings in a table."""
    return ", ".join(map(str, settings))


# --- lesson 01: later layers leave a layer's spread as it is, so one depth has all -------------------


def _signal(activations=ACTIVATIONS, gains=GAINS):
    table = {}
    for setting in product(activations, gains, (False, True)):
        profiles = [signal.propagate(signal.State(depth, *setting)) for depth in range(1, DEEPEST + 1)]
        table[key(*setting)] = {"spread": profiles[-1].spread, "gradients": [profile.gradient for profile in profiles]}
    return table


def _use_signal(table):
    def propagate(state):
        found = table[key(state.activation, state.gain, state.batch_norm)]
        return signal.Profile(found["spread"][:state.depth], found["gradients"][state.depth - 1])

    signal.propagate = propagate


# --- lesson 05: a walk's first batches do not know how many follow -----------------------------------


def _inference(batch_sizes=BATCH_SIZES, momenta=MOMENTA):
    table = {"walks": {}, "right": {}, "sizes": {}}
    for size, learning, momentum in product(batch_sizes, (False, True), momenta):
        table["walks"][key(momentum, size, learning)] = inference.whole_walks(momentum, size, learning)
        table["sizes"][key(size)] = inference.right(inference.State(momentum, size, STEPS, learning))[3:]
    for size, learning, seen in product(batch_sizes, (False, True), range(STEPS + 1)):
        for momentum in momenta:          # innermost, since two of the three counts do not know it
            right = inference.right(inference.State(momentum, size, seen, learning))
            table["right"].setdefault(key(momentum, size, learning), []).append(right[:3])
    return table


def _use_inference(table):
    def whole_walks(*settings):
        return table["walks"][key(*settings)]

    def right(state):
        found = table["right"][key(state.momentum, state.batch_size, state.learning)]
        return inference.Right(*found[state.seen], *table["sizes"][key(state.batch_size)])

    inference.whole_walks, inference.right = whole_walks, right


TABLES = {"signal": (_signal, _use_signal), "inference": (_inference, _use_inference)}
