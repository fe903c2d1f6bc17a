"""Exercises and guesses of lesson 03, the bottleneck."""

from __future__ import annotations

import torch

from resnote import counting
from resnote.exercises.base import Exercise, Wrong, short
from resnote.exercises.bottleneck_module import Bottleneck, check_bottleneck
from resnote.exercises.compare import Watch, check_gradients, check_numbers, generator_for
from resnote.exercises.prediction import Prediction

# --- 1. parameters of a convolution --------------------------------------------------------------


def conv_parameters(kernel_size, in_channels, out_channels, groups, bias):
    weights = kernel_size * kernel_size * (in_channels // groups) * out_channels
    return weights + (out_channels if bias else 0)


_CONVOLUTIONS = ((3, 5, 7, 1, False), (3, 5, 7, 1, True), (3, 6, 8, 2, True), (2, 4, 4, 1, True), (1, 256, 64, 1, False),
                 (5, 12, 12, 12, False), (5, 8, 12, 4, True), (3, 6, 4, 2, False), (1, 1, 1, 1, True))


def _count(kernel_size, in_channels, out_channels, groups, bias):
    return counting.conv2d((in_channels, 16, 16), out_channels, kernel_size, groups=groups, bias=bias).parameters


_COUNT_SLIPS = (
    *((power, "in Python ^ is not a power: write kernel_size ** 2.") for power in (
        lambda k, i, o, g, bias: (k ^ 2) * (i // g) * o + bias * o, lambda k, i, o, g, bias: k ^ (2 * (i // g) * o + bias * o),
        lambda k, i, o, g, bias: k ^ (2 * (i // g) * o) + bias * o, lambda k, i, o, g, bias: k ^ (2 * i * o))),
    *((lambda k, i, o, g, bias, each=each: k * i * o // each(g) + bias * o,
       "the kernel counts only once. A 3 × 3 kernel has 9 weights for each pair of channels.") for each in (int, bool)),
    (lambda k, i, o, g, bias: k * k * (i // g) + bias * o, "that is one filter. There is one for each output channel."),
    (lambda k, i, o, g, bias: k * k * i + bias * o, "that is one filter. There is one for each output channel."),
    (lambda k, i, o, g, bias: k * k * o + bias * o, "each filter spans all input channels, and yours has one."),
    (lambda k, i, o, g, bias: _count(k, i, o, g, True), "bias is False here, so nothing is added."),
    (lambda k, i, o, g, bias: _count(k, i, o, g, False),
     "the bias is missing: with bias=True there is one more parameter for each output channel."),
    (lambda k, i, o, g, bias: _count(k, i, o, g, not bias), "the bias is added where bias is False: if bias, not if not bias."),
    (lambda k, i, o, g, bias: _count(k, i, o, g, False) + bias,
     "one bias for the whole layer is too few: there is one for each output channel."),
    (lambda k, i, o, g, bias: _count(k, i, o, g, False) + bias * i,
     "there is one bias for each output channel, and you added one for each input channel."),
    (lambda k, i, o, g, bias: k * k * ((i // g) * o + bias * o),
     "the bias is added once for each output channel, not once for each weight of the kernel."),
    (lambda k, i, o, g, bias: _count(k, i, o, 1, bias), "groups is ignored. With groups=2 each filter sees half of the input channels."),
    (lambda k, i, o, g, bias: k * k * (i // g) * (o // g) + bias * o,
     "only the input channels are divided by groups: all output channels still have a filter each."),
    (lambda k, i, o, g, bias: _count(k, i, o, g, False) + bias * o // g, "the weights are right; the bias is not divided by groups."),
    (lambda k, i, o, g, bias: k * k * i * g * o + bias * o, "more groups mean fewer weights: divide by groups, do not multiply."),
)


def _check_conv_parameters(ask):
    def otherwise(got, *args):
        return (f"conv_parameters({', '.join(map(str, args))}) gave {got:,} and a layer like that has {_count(*args):,}: "
                "write out the shape of its weight tensor, and multiply.")

    answers = check_numbers(ask, _CONVOLUTIONS, _COUNT_SLIPS, otherwise, words=", and a count is a whole number")
    for got, args in zip(answers, _CONVOLUTIONS):
        if not isinstance(got, int):
            raise Wrong(f"conv_parameters({', '.join(map(str, args))}) gave {got}, the right value as a float. A count is a "
                        "whole number: divide with //.")
    return "kernel, channels, bias and groups, each in its place."


# --- 2. a 1x1 convolution without convolution ------------------------------------------------------


def pointwise(x, weight):
    # channels last, one matrix product at every pixel, channels back
    return (x.permute(0, 2, 3, 1) @ weight.T).permute(0, 3, 1, 2)


def _check_pointwise(ask):
    generator = generator_for(3)
    for shape, out_channels in (((2, 4, 3, 5), 4), ((2, 3, 4, 5), 6)):       # square first: a weight turned round fits, and is told
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        weight = torch.randn(out_channels, shape[1], generator=generator, dtype=torch.float64)
        with Watch("conv") as watch:
            got = ask(x, weight)
        _compare_pointwise(got, x, weight)
        if watch.called:
            raise Wrong("the values are right, and they come from a convolution. Do it with a matrix product: "
                        "that is what the exercise is about.")
    check_gradients(ask, (x, weight))
    return "a 1×1 convolution is one matrix, applied at every pixel."


def _compare_pointwise(got, x, weight):
    n, _, h, w = x.shape
    right = torch.einsum("oc,nchw->nohw", weight, x)
    if not isinstance(got, torch.Tensor):
        raise Wrong(f"your function returned {type(got).__name__}; it must return a tensor.")
    if got.shape != right.shape:
        given = f"for x of shape {tuple(x.shape)} and {weight.shape[0]} output channels you returned " \
                f"{tuple(got.shape)}; it must be {tuple(right.shape)}. "
        if tuple(got.shape) == (n, h, w, weight.shape[0]):
            raise Wrong(given + "The channels are still last: move them back behind the batch axis.")
        if tuple(got.shape) == (n, weight.shape[0], w, h):
            raise Wrong(given + "Height and width are exchanged.")
        raise Wrong(given + "Order: batch, channels, height, width.")
    if got.dtype != x.dtype:
        raise Wrong(f"x and the weights are {x.dtype} and you returned {got.dtype}. Keep their type.")
    if torch.allclose(got, right, rtol=1e-9, atol=1e-12):
        return
    if weight.shape[0] == weight.shape[1] and torch.allclose(got, torch.einsum("co,nchw->nohw", weight, x)):
        raise Wrong("the weight is used the wrong way round: its rows are output channels, (out, in).")
    scrambled = (x.reshape(n, h, w, -1) @ weight.T)
    if any(torch.allclose(got, s) for s in (scrambled.permute(0, 3, 1, 2), scrambled.reshape(right.shape))):
        raise Wrong("the shape is right and the values are mixed up: reshape cuts the numbers anew, it does not "
                    "move an axis. Use permute or movedim.")
    back = (x.permute(0, 2, 3, 1) @ weight.T).reshape(right.shape)
    if torch.allclose(got, back):
        raise Wrong("the product is right; on the way back reshape mixes the values up. Use permute or movedim.")
    if torch.allclose(got, right.relu()):
        raise Wrong("a ReLU has come in: a 1×1 convolution alone is linear, negative values stay.")
    worst = (got - right).abs().max().item()
    raise Wrong(f"the shape is right, the values differ by up to {worst:.3g}. At each pixel, output channel o is "
                "the sum over c of weight[o, c] · x[c].")


# --- 3. the widest bottleneck for a budget -------------------------------------------------------


def widest_bottleneck(channels, budget):
    width = 0
    while 2 * channels * (width + 1) + 9 * (width + 1) ** 2 <= budget:
        width += 1
    return width


def _widest(cost, budget):
    width = 0
    while cost(width + 1) <= budget:
        width += 1
    return width


_BUDGETS = ((256, 73_728), (256, 69_632), (256, 69_700), (256, 69_631), (64, 20_000), (512, 1_179_648), (256, 100),
            (4, 10_000),        # wider than the block itself
            (3, 15), (3, 14), (1, 11), (5, 0))


def _widest_for(cost):
    return lambda channels, budget: _widest(lambda w: cost(channels, w), budget)


_WIDTH_SLIPS = (
    (_widest_for(lambda c, w: c * w + 9 * w * w), "that counts one 1×1 convolution. There are two: one squeezes, one grows."),
    (_widest_for(lambda c, w: 2 * c * w + w * w), "that counts the 3×3 as if it were a 1×1: it has 9 weights a pair."),
    (_widest_for(lambda c, w: 2 * c * w + 9 * c * w), "the 3×3 stands inside the squeeze, from width to width."),
    (_widest_for(lambda c, w: 2 * c * w + 9 * w * w + 1), "a width that costs exactly the budget is still allowed: <=, not <."),
    (_widest_for(lambda c, w: 2 * c * w + 9 * w * w + 2 * w + c), "do you count biases? There are none."),
    (_widest_for(lambda c, w: 2 * c * w + 18 * w * w), "that counts the 3×3 twice. There is one."),
    (_widest_for(lambda c, w: 2 * c * w + 3 * w * w), "that counts 3 weights a pair for the 3×3: it has 3 · 3."),
    (_widest_for(lambda c, w: 2 * c * w + 9 * w), "that counts 9 · width for the 3×3: it goes from width to width, 9 · width²."),
    (_widest_for(lambda c, w: 2 * c * w + 9 * w * w + 4 * w + 2 * c), "that counts batch norm. There is none."),
    (_widest_for(lambda c, w: 2 * c * w), "the 3×3 is missing."),
    (_widest_for(lambda c, w: 9 * w * w), "the two 1×1 convolutions are missing."),
)


def _check_widest_bottleneck(ask):
    answers = check_numbers(ask, _BUDGETS, _WIDTH_SLIPS, _not_widest, call=_call_of_widest,
                            words=", and a width is a whole number")
    for got, case in zip(answers, _BUDGETS):
        if not isinstance(got, int):
            raise Wrong(f"{_call_of_widest(*case)} gave {got}, the right value as a float. A width is a whole number: "
                        "use int(...).")
    return ("for the budget of a 64-channel basic block, 73,728, the widest is 66. He et al. took 64, "
            "which costs 69,632.")


def _call_of_widest(channels, budget):
    return f"widest_bottleneck({channels}, {budget:,})"


def _not_widest(got, channels, budget):
    call, right = _call_of_widest(channels, budget), widest_bottleneck(channels, budget)
    if not isinstance(got, int):
        return f"{call} gave {short(got)}; a width is a whole number. Round down: rounding up breaks the budget."
    if got < 0:
        return f"{call} gave {got}; a width is never negative. Return 0 where even width 1 is too dear."
    if right == 0:
        return f"{call} gave {got}; width 1 already costs {_cost(channels, 1):,}, so nothing fits: return 0."
    if got > right:
        return f"{call} gave {got}, which costs {_cost(channels, got):,}: over the budget."
    if got == right - 1 and _cost(channels, right) == budget:
        return f"{call} gave {got}, and {right} costs exactly the budget, {budget:,}: that is still allowed."
    return (f"{call} gave {got}, which costs {_cost(channels, got):,}. Width {got + 1} costs {_cost(channels, got + 1):,} "
            "and fits too.")


def _cost(channels, width) -> int:
    if width == 0:
        return 0
    return counting.bottleneck(channels, width, channels, batch_norm=False).parameters


ex1 = Exercise("ex1", _check_conv_parameters, solution=conv_parameters, hints=(
    "How many numbers does one filter hold? It spans kernel × kernel pixels and the channels it sees.",
    "With groups, a filter sees in_channels / groups channels. There are out_channels filters.",
    "A bias is one number a filter: add out_channels, if bias.",
))
ex2 = Exercise("ex2", _check_pointwise, solution=pointwise, hints=(
    "At one pixel, x is a vector of C numbers and the output is weight @ vector.",
    "Matrix products work on the last axis: bring the channels there with x.permute(0, 2, 3, 1).",
    "Multiply by weight.T, then bring the channels back with permute(0, 3, 1, 2).",
))
ex3 = Exercise("ex3", _check_widest_bottleneck, solution=widest_bottleneck, hints=(
    "Write the parameters of channels → width → width → channels: two 1×1 and one 3×3, no bias.",
    "2 · channels · width + 9 · width² must not be over the budget.",
    "Start with width 0 and grow it while the next width still fits.",
))
ex4 = Exercise("ex4", check_bottleneck, solution=Bottleneck, hints=(
    "Begin with BottleneckByHand of section 3. Its channels become three arguments, and the 3×3 gets stride=stride.",
    "The shortcut is x where stride is 1 and in_channels equals out_channels. Elsewhere it is nn.Conv2d(in_channels, "
    "out_channels, 1, stride=stride, bias=False).",
    "nn.Identity() gives back what it is called with: set self.shortcut to it or to the projection in __init__, and forward "
    "needs no if.",
))


# --- guesses before the experiments ---------------------------------------------------------------


class guesses:
    """The lesson's predictions; they stand here so that a cell does not give the answer away."""

    shuffle = Prediction(
        "Shuffle the pixels, convolve, undo the shuffle. For which kernel is the result the same as without the shuffle?",
        {
            "1×1 only": "Every pixel is treated alone, so it does not matter where it stands.",
            "1×1 and 3×3": "A 3×3 kernel reads eight neighbours, and the shuffle has put other pixels there.",
            "3×3 only": "A 3×3 kernel reads eight neighbours, and the shuffle has put other pixels there. How many does a 1×1 read?",
        },
        answer="1×1 only",
    )

    ratio = Prediction(
        "Two 3×3 convolutions at 256 channels against the bottleneck 256 → 64 → 64 → 256. How many times fewer parameters?",
        {
            "about 3 times": "The article says so of another pair of blocks. For this one, compare 2 · 9 · 256² with "
                             "2 · 256 · 64 + 9 · 64².",
            "about 9 times": "Nine is one 3×3 against one 1×1. Here the 3×3 also has a quarter of the channels, on both of its "
                             "sides. Compare 2 · 9 · 256² with 2 · 256 · 64 + 9 · 64².",
            "about 17 times": "1,179,648 against 69,632. The one 3×3 left has 32 times fewer weights than the two had; the two "
                              "1×1 convolutions bring the ratio to 17.",
        },
        answer="about 17 times",
    )

    memory = Prediction(
        "In the bottleneck, the 3×3 costs about half of the parameters and of the work. What takes most of the memory?",
        {
            "the output of the 3×3": "It has 64 channels. Other outputs in the block have four times as many.",
            "the outputs with 256 channels": "The last 1×1, the add and the last ReLU each write 256 channels.",
            "the weights": "69,632 parameters take 272 KiB. A single output with 64 channels at 320×320 takes 25 MiB.",
        },
        answer="the outputs with 256 channels",
    )

    channels = Prediction(
        "Three networks with about the same number of parameters, and 4, 16 or 64 channels around the squeeze. Which step lowers "
        "the training error more?",
        {
            "from 4 to 16 channels": "With 4 channels the block hands on only 4 numbers a pixel. Most of the gain comes from leaving that.",
            "from 16 to 64 channels": "At equal parameters those 64 channels are paid for with a squeeze to 8 instead of 15. From 4 to 16 "
                                      "channels costs only 2 of the width.",
            "neither: the parameters are the same":
                "The number of parameters is about the same, but with 4 channels all that the block hands on is 4 numbers a pixel.",
        },
        answer="from 4 to 16 channels",
    )

    loss = Prediction(
        "F of this block sees x squeezed from 32 channels to a single one, and the shortcut carries the whole x. What happens to the "
        "trained network's test error?",
        {
            "it rises by less than 15 points": "F knows little of x, but the sum still holds all of it.",
            "more than a third of the digits are wrong":
                "That happens where the shortcut carries the squeezed x, too. Here it carries all of x.",
            "it is guessing: 9 of 10 are wrong":
                "F is nearly blind, but F is only one of the two parts of the sum. What does the other one hold?",
        },
        answer="it rises by less than 15 points",
    )
