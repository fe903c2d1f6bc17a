"""Exercises and guesses of lesson 01, plain networks."""

from __future__ import annotations

import math

import torch

from resnote.exercises.base import Exercise, Wrong, short
from resnote.exercises.compare import one_number
from resnote.exercises.prediction import Prediction

# --- 1. He initialisation ------------------------------------------------------------------------


def he_std(kernel_size, in_channels):
    return (2 / (kernel_size * kernel_size * in_channels)) ** 0.5


_LAYERS = ((5, 7), (3, 16), (1, 64))


def _check_he_std(ask):
    for kernel_size, in_channels in _LAYERS:
        call, fan_in = f"he_std({kernel_size}, {in_channels})", kernel_size**2 * in_channels
        got = one_number(call, ask(kernel_size, in_channels))
        if not got > 0:
            raise Wrong(f"{call} gave {got:.4g}; a standard deviation is a number above 0.")
        for value, words in (
                (2 / fan_in, "that is the variance. The standard deviation is its square root."),
                (math.sqrt(1 / fan_in), "ReLU sets half of the signal to 0, so the variance has to be doubled: 2 / fan_in."),
                (math.sqrt(2 / in_channels) if kernel_size > 1 else None,
                 "one output adds up kernel × kernel pixels of each channel: count all of them."),
                (math.sqrt(2 / (kernel_size * in_channels)) if kernel_size > 1 else None,
                 "the kernel is square: it covers kernel × kernel pixels."),
                (math.sqrt(6 / fan_in), "that is the bound of a uniform distribution. Its standard deviation is asked for."),
                (math.sqrt(2 / kernel_size**2) if in_channels > 1 else None,
                 "one output adds up the pixels of every channel: count the channels, too."),
                (2 / math.sqrt(fan_in), "the 2 stands under the root, too."),
                (1 / fan_in, "a root is ** 0.5; ** 1 / 2 halves, since the power comes first."),
                (math.sqrt(2 * fan_in), "the more inputs are added up, the smaller each weight has to be: divide by fan_in.")):
            if value is not None and math.isclose(got, value, rel_tol=1e-6):
                raise Wrong(f"{call} gave {got:.4g}: {words}")
        if not math.isclose(got, he_std(kernel_size, in_channels), rel_tol=1e-6):
            change = got**2 * fan_in / 2
            raise Wrong(f"{call} gave {got:.4g}. " + (
                "That is close, as if rounded, or measured on random numbers: compute it." if 0.9 < change < 1.1 else
                f"With it, the signal's mean square would change by a factor of {change:.3g} in each layer, where 1 is needed."))
    return "with it, a ReLU layer passes the signal's mean square on unchanged, on average over the weights."


# --- 2. dead ReLUs -------------------------------------------------------------------------------


def dead_share(outputs):
    return (outputs == 0).all(dim=0).float().mean().item()


def _check_dead_share(ask):
    generator = torch.Generator().manual_seed(1)
    outputs = torch.rand(6, 10, generator=generator) + 0.1
    outputs[0, 5:] = outputs[3, :4] = 0      # zeros here and there,
    outputs[:, [1, 4, 8]] = 0                # three dead units,
    outputs[[2, 5]] = 0                      # and two images that move nothing
    got = one_number("dead_share", ask(outputs), " from 0 to 1")
    dead = (outputs == 0)
    for value, words in (
            (dead.float().mean().item(), "that is the share of zeros. A unit is dead only if it is 0 for every image."),
            (dead.all(1).float().mean().item(), "that is the share of images for which all units are 0. Rows are images, "
                                                "columns are units."),
            (1 - dead.all(0).float().mean().item(), "that is the share of units that live."),
            (dead.any(0).float().mean().item(), "'for some image' is not enough. A unit is dead if it is 0 for all images."),
            (float(dead.all(0).sum()), "that is the number of dead units; divide by the number of units."),
            (30, "that is in percent. A share runs from 0 to 1.")):
        if math.isclose(got, value, rel_tol=1e-6):
            raise Wrong(f"dead_share gave {got:.3g}: {words}")
    if not math.isclose(got, 0.3, rel_tol=1e-6):
        raise Wrong(f"dead_share gave {got:.3g} for 10 units of which 3 are 0 for every image.")
    for outputs, right, words in ((torch.ones(4, 5), 0, "no unit is dead"), (torch.zeros(4, 5), 1, "all units are dead")):
        got = float(ask(outputs))
        if not math.isclose(got, right, abs_tol=1e-6):
            raise Wrong(f"dead_share gave {got:.3g} where {words}.")
    return "a dead unit passes no gradient on, for any image, so its own gradient cannot bring it back."


# --- 3. which illness is it? ---------------------------------------------------------------------


def diagnose(shallow_train, deep_train, deep_test):
    if deep_train > shallow_train + 0.05:
        return "degradation"
    if deep_test > deep_train + 0.05:
        return "overfitting"
    return "neither"


_PATIENTS = (
    ((0.00, 0.40, 0.42), "degradation", "the deeper network is worse on the images it trains on"),
    ((0.02, 0.00, 0.20), "overfitting", "it learns its training images and fails on others"),
    ((0.01, 0.02, 0.03), "neither", "all errors are close to each other"),
    ((0.00, 0.07, 0.08), "degradation", "0.07 more errors on training images is more than 0.05"),
    ((0.00, 0.04, 0.08), "neither", "both gaps, between the training errors and from training to test, are 0.04, which is not more than 0.05"),
    ((0.01, 0.30, 0.60), "degradation", "the training error is already worse, whatever the test error does on top"),
    ((0.30, 0.10, 0.12), "neither", "deeper is better on the training images, and its test error is close"),
    ((0.00, 0.05, 0.05), "neither", "a gap of 0.05 is not larger than 0.05"),
    ((0.30, 0.30, 0.20), "neither", "its test error is lower, which is no illness"),
    ((0.30, 0.32, 0.50), "overfitting", "the two training errors are within 0.05; the gap is between training and test"),
)


def _check_diagnose(ask):
    for errors, right, why in _PATIENTS:
        got = ask(*errors)
        call = "diagnose({:.2f}, {:.2f}, {:.2f})".format(*errors)
        if got not in ("degradation", "overfitting", "neither"):
            raise Wrong(f"{call} gave {short(got)}; it must give 'degradation', 'overfitting' or 'neither'.")
        if got != right:
            raise Wrong(f"{call} gave {got!r}; {why}, so it is {right!r}.")
    return "training errors tell degradation, the gap to the test error tells overfitting."


ex1 = Exercise("ex1", _check_he_std, solution=he_std, hints=(
    "One output of a convolution is a sum of fan_in products. How many are there?",
    "The variance of a sum of fan_in independent terms is fan_in times the variance of one.",
    "ReLU halves the second moment, so the variance of a weight must be 2 / fan_in. You return its square root.",
))
ex2 = Exercise("ex2", _check_dead_share, solution=dead_share, hints=(
    "outputs == 0 is True wherever a unit gave 0.",
    "Rows are images: .all(dim=0) asks, for each unit, whether it holds for all images.",
    "The mean of True and False as floats is a share.",
))
ex3 = Exercise("ex3", _check_diagnose, solution=diagnose, hints=(
    "Overfitting cannot raise the training error. What else could?",
    "Compare the two training errors first: more than 0.05 apart, and deep is worse?",
    "If not, compare the deep network's test error with its training error.",
))


class guesses:
    """The lesson's predictions; they stand here so that a cell does not give the answer away."""

    slope = Prediction(
        "A gradient comes back through 30 sigmoids. Take the steepest slope a sigmoid has, at each. What do the slopes alone leave of it?",
        {
            "about a thirtieth": "Slopes multiply, they do not add.",
            "about 10⁻¹⁸": "The steepest slope is ¼, and ¼ to the power of 30 is 9·10⁻¹⁹.",
            "all of it": "That would need a slope of 1. A sigmoid's is ¼ at most.",
        },
        answer="about 10⁻¹⁸",
    )

    deeper = Prediction(
        "A plain network with 8 layers, and one with 44, batch norm in both. Which has the lower error on the images it trains on?",
        {
            "the deep one: it has more parameters":
                "It could copy the shallow one and pass the signal through. See whether it finds that.",
            "both the same, near 0": "1,347 small images are few, and each network could learn them by heart. See.",
            "the shallow one": "More layers, and a higher training error: He et al. call it degradation.",
        },
        answer="the shallow one",
    )

    gradients = Prediction(
        "Before the first step of training, with batch norm: how do the gradients of the 44-layer network look, at the first layers?",
        {
            "much smaller than at the last": "That is what vanishing would look like. Batch norm keeps the signal's size up.",
            "about the same": "That would be healthy. Batch norm fixes the forward signal, not the backward one.",
            "much larger than at the last": "Before the first step they grow towards the input, here more than twentyfold.",
        },
        answer="much larger than at the last",
    )
