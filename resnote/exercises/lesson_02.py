"""Exercises and guesses of lesson 02, the residual block."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from resnote.exercises.base import Exercise, Wrong, short
from resnote.exercises.compare import check_gradients, check_numbers, check_tensor, far, generator_for, near, slip
from resnote.exercises.prediction import Prediction
from resnote.exercises.stochastic_depth import StochasticDepth, check_stochastic_depth

# --- 1. the block --------------------------------------------------------------------------------


def residual_forward(f, x):
    fx = f(x)
    if fx.shape != x.shape:
        raise ValueError(f"F(x) is {tuple(fx.shape)} and x is {tuple(x.shape)}")
    return torch.relu(fx + x)


def _check_residual_forward(ask):
    x = torch.randn(2, 4, 3, 5, generator=generator_for(2), dtype=torch.float64)

    def f(x):
        return 1.5 * x.flip(1) - 0.3

    got, fx = ask(f, x, call="residual_forward(f, x)"), f(x)
    if isinstance(got, torch.nn.Module):
        raise Wrong(f"your function returned a layer, {type(got).__name__}, and not a tensor. torch.relu(...) computes; "
                    "nn.ReLU() builds a layer that computes when it is called.")
    if not isinstance(got, torch.Tensor):
        raise Wrong(f"your function returned {short(got)}; it must return a tensor.")
    right = torch.relu(fx + x)
    if got.shape != right.shape:
        raise Wrong(f"you returned shape {tuple(got.shape)}; F(x) + x has the shape of x, {tuple(x.shape)}.")
    check_tensor("what you returned", got, right)
    if not near(got, right):
        raise Wrong(_why_not_residual(got, f, x) or f"{far(got, right)} It must be relu(F(x) + x).")
    check_gradients(ask, (f, x), _CUT)
    _check_shapes_are_compared(ask, x)
    return "the sum of two equal shapes, then the ReLU."


def _why_not_residual(got, f, x):
    fx = f(x)
    return slip(got, lambda value: value, (
        (torch.relu(fx + x), None),
        (fx, "that is F(x) alone: x is missing."), (torch.relu(fx), "that is relu(F(x)): x is missing."),
        (x, "that is x alone: F is not called."), (torch.relu(x), "that is relu(x): F is not called."),
        (fx + x, "the sum is right; the ReLU after it is missing."),
        (torch.relu(fx) + x, "the ReLU comes after the add, not before it."),
        (fx + torch.relu(x), "the ReLU comes after the add, and x goes around as it is."),
        (torch.relu(fx) + torch.relu(x), "there is one ReLU, after the add."),
        (torch.relu(fx - x), "that is F(x) − x. The block adds."), (torch.relu(x - fx), "that is x − F(x). The block adds."),
        (torch.relu(fx * x), "that is F(x) · x. The block adds."),
        (torch.relu(2 * x), "that is x twice: F is not called."),
        (torch.relu(2 * fx), "that is F(x) twice: x is missing."), (torch.relu(f(fx)), "F is applied twice.")))


_CUT = (
    (lambda f, x: torch.relu(f(x).detach() + x),
     "F(x) is cut out of the graph (detach, or torch.no_grad()), so F would never learn."),
    (lambda f, x: torch.relu(f(x) + x.detach()),
     "x is cut out of the graph where it goes around, and this way is what the block is for."),
)


def _check_shapes_are_compared(ask, x):
    def repeated(x):            # F(x) has four channels where x has one
        return x.expand(-1, 4, -1, -1) + 1

    for what, f, given in (
            ("1 of 4 channels", lambda x: x[:, :1], x), ("3 of 4 channels", lambda x: x[:, :3], x),
            ("1 of 3 rows", lambda x: x[:, :, :1], x), ("1 of 5 columns", lambda x: x[..., :1], x),
            ("1 of 2 images", lambda x: x[:1], x), ("rows and columns exchanged", lambda x: x.transpose(2, 3), x),
            ("4 channels and x has 1", repeated, x[:, :1]), ("2 images and x has 1", lambda x: x.repeat(2, 1, 1, 1), x[:1]),
            ("3 rows and x has 1", lambda x: x.expand(-1, -1, 3, -1) + 1, x[:, :, :1]),
            ("5 columns and x has 1", lambda x: x.expand(-1, -1, -1, 5) + 1, x[..., :1]),
            ("no batch axis", lambda x: x[0], x), ("a single number", lambda x: x.mean(), x),
            ("one axis more", lambda x: x[None], x), ("no image axis", lambda x: x[0], x[:1])):
        try:
            got = ask.raw(f, given)
        except ValueError:
            continue
        except Exception as error:
            raise Wrong(f"F(x) with {what} stopped with {type(error).__name__}: {str(error).strip() or 'no message'}. "
                        "Compare fx.shape with x.shape before you add, and raise a ValueError where they differ.") from None
        if got is ValueError or isinstance(got, ValueError):
            raise Wrong(f"F(x) with {what}: your function returned a ValueError. Raise it: raise ValueError(...).")
        raise Wrong(f"where F(x) has {what}, your function raised nothing and added. PyTorch repeats what has length 1 "
                    "silently: compare fx.shape with x.shape, and raise a ValueError where they differ.")


# --- 2. option A ---------------------------------------------------------------------------------


def zero_pad_shortcut(x, out_channels, stride):
    x = x[:, :, ::stride, ::stride]
    return torch.cat([x, x.new_zeros(x.shape[0], out_channels - x.shape[1], *x.shape[2:])], dim=1)


def _check_zero_pad(ask):
    generator = generator_for(2)
    x, other = 3 * torch.randn(2, 3, 6, 7, generator=generator), 3 * torch.randn(1, 4, 5, 4, generator=generator)
    for x, out_channels, stride in ((x, 5, 2), (x, 3, 2), (x, 4, 1), (x, 8, 3), (other, 6, 2)):
        channels = x.shape[1]
        right, got = zero_pad_shortcut(x, out_channels, stride), ask(x, out_channels, stride)
        call = f"zero_pad_shortcut(x, {out_channels}, {stride})"
        if not isinstance(got, torch.Tensor):
            raise Wrong(f"{call} returned {short(got)}; it must return a tensor.")
        if got.shape != right.shape:
            raise Wrong(f"{call} gave shape {tuple(got.shape)} for x of {tuple(x.shape)}; it must be {tuple(right.shape)}. "
                        + _why_not_shape(got, x, right, stride))
        check_tensor(f"what {call} gave", got, right)
        if near(got, right):
            continue
        new = out_channels - channels
        if new and near(got[:, new:], right[:, :channels]):
            raise Wrong(f"{call}: the zeros stand before x's channels. They come after them.")
        if near(got[:, channels:], right[:, channels:]) and stride > 1:
            pooled = F.avg_pool2d(x, stride, ceil_mode=True), F.max_pool2d(x, stride, ceil_mode=True)
            if any(p.shape == right[:, :channels].shape and near(got[:, :channels], p) for p in pooled):
                raise Wrong(f"{call}: the image is pooled. The shortcut keeps every stride-th pixel as it is.")
            if torch.isin(got[:, :channels], x).all():
                raise Wrong(f"{call}: other pixels are kept. Keep rows and columns 0, stride, 2·stride and so on.")
        if near(got[:, :channels], right[:, :channels]):
            raise Wrong(f"{call}: x's channels are right, and the new ones are not 0.")
        raise Wrong(f"{call}: the shape is right and the values are not: x's channels first, as they are, then zeros.")
    check_gradients(ask, (x, out_channels, stride))
    return "no parameters, and x arrives as it was."


def _why_not_shape(got, x, right, stride):
    if got.dim() != 4:
        return "Keep the four axes (N, C, H, W)."
    if stride > 1 and got.shape[2:] == x.shape[2:]:
        return "The stride is missing: keep every stride-th row and column."
    if stride > 1 and got.shape[3] == x.shape[3]:
        return "The columns are all there: rows and columns are axes 2 and 3."
    grown = [axis for axis in (0, 2, 3) if got.shape[axis] > right.shape[axis]]
    if grown:
        return f"Channels are axis 1: the zeros went to axis {grown[0]}."
    channels, wanted = got.shape[1], right.shape[1]
    if channels > wanted:
        return f"That is {channels} channels and not {wanted}: append out_channels − C of them."
    if channels < wanted:
        return "The new channels are missing."
    return "Rows and columns: keep numbers 0, stride, 2·stride and so on."


# --- 3. the gradient's +1 --------------------------------------------------------------------------


def slope_through(slopes):
    total = 1
    for slope in slopes:
        total = total * (1 + slope)
    return total


_CHAINS = (0.5, 0.25), (0.1, -0.2, 0.3), (0.0,) * 30, (), (-1.5, 0.5), (-2.5, -3.0, 1.0), (3.0, -1.0, 0.7), (4.0, 6.0), (0.98765,)
_SLOPE_SLIPS = (
    (math.prod, "that is a plain network's. A residual block's slope is 1 + F′."),
    *((lambda slopes, none=none: 1 + math.prod(slopes) if slopes else none,
       "each block has its own 1: multiply (1 + slope), do not add 1 once.") for none in (1, 2)),
    (lambda slopes: 1 + sum(slopes), "slopes of blocks in a row multiply. This is what is left when the slopes are tiny."),
    (sum, "slopes of blocks in a row multiply, and each block adds its 1."),
    (lambda slopes: sum(1 + slope for slope in slopes), "slopes of blocks in a row multiply, they do not add."),
    (lambda slopes: 0, "a product starts with 1, and not with 0."),
    (lambda slopes: 1 + sum(slopes[:1]), "only the first block is in it. Does the return stand inside the loop?"),
    (lambda slopes: 1 + sum(slopes[-1:]), "only the last block is in it: multiply what you have by each."),
    (lambda slopes: math.prod(1 - slope for slope in slopes), "a block adds x, so its slope is 1 + F′, not 1 − F′."),
    (lambda slopes: math.prod(abs(1 + slope) for slope in slopes),
     "a sign is lost: where F′ is below −1 the block's slope is negative, and it is multiplied as it is."),
    (lambda slopes: math.prod(max(0, 1 + slope) for slope in slopes),
     "negative slopes are clipped to 0. There is no ReLU after the add: a block's slope may be negative, and it is."),
    (lambda slopes: math.prod(min(1, 1 + slope) for slope in slopes), "a slope above 1 is clipped; multiply it as it is."),
    (lambda slopes: math.prod(min(1, max(0, 1 + slope)) for slope in slopes),
     "slopes are clipped to 0 to 1; multiply each as it is."),
    (lambda slopes: math.prod(min(1, max(-1, 1 + slope)) for slope in slopes),
     "slopes are clipped to −1 to 1; multiply each as it is."),
)


def _check_slope_through(ask):
    def call(slopes):
        return f"slope_through({slopes})" if len(slopes) < 4 else f"slope_through of {len(slopes)} slopes of 0"

    check_numbers(ask, [(list(slopes),) for slopes in _CHAINS], _SLOPE_SLIPS, call=call,
                  otherwise=lambda got, slopes: f"{call(slopes)} gave {got:.4g}, and it is {slope_through(slopes):.4g}.")
    return "with slopes of 0, thirty blocks still pass the whole gradient on."


ex1 = Exercise("ex1", _check_residual_forward, solution=residual_forward, hints=(
    "f is the function F. Compute F(x), look at its shape, add, and take the ReLU.",
    "fx.shape != x.shape is the test; raise ValueError(...) there, before the add.",
))
ex2 = Exercise("ex2", _check_zero_pad, solution=zero_pad_shortcut, hints=(
    "x[:, :, ::2, ::2] keeps every second row and column.",
    "out_channels - x.shape[1] channels of zeros are missing; torch.cat joins along dim=1.",
))
ex3 = Exercise("ex3", _check_slope_through, solution=slope_through, hints=(
    "One block: the slope of F(x) + x is F′ + 1.",
    "Blocks in a row: slopes multiply. Start with 1.",
))


ex4 = Exercise("ex4", check_stochastic_depth, solution=StochasticDepth, hints=(
    "nn.Module has self.training: True after train(), False after eval(). Ask it in forward.",
    "torch.rand(()) < self.keep is True with probability keep. Without self.f, forward returns x.",
))


class guesses:
    """The lesson's predictions; they stand here so that a cell does not give the answer away."""

    identity = Prediction(
        "All weights of F are 0. What does the block relu(F(x) + x) give for an x that comes out of a ReLU?",
        {"0": "F(x) is 0, and the block adds x to it: relu(0 + x).", "x": "F(x) is 0 and x has no negative value, so relu(0 + x) = x.",
         "noise": "The weights are all 0, so nothing random is left: F(x) is 0, and x is added."},
        answer="x",
    )

    repaired = Prediction(
        "Lesson 01's 44 layers, the same data, seeds and parameters; only '+ x' is added to each block. What is the training error now?",
        {"about as before": "The layers, their number and the rate are the same. But each block now starts from x and learns "
                            "only what to add to it.",
         "half of it, perhaps": "It is a larger step than that: the 44 layers learn nearly all of the 1,347 images.",
         "near 0": "Each block starts from x and learns only what to add. Why that trains, section 8 asks."},
        answer="near 0",
    )

    removed = Prediction(
        "Take one block out of a trained network, and train nothing again. Which network notices less?",
        {"the plain one": "Each of its blocks expects exactly the output of the one before. A residual block gets mostly x, with "
                          "or without the F before it.",
         "the residual one": "A block adds to what is there. Without one, most of what comes next is still there.",
         "neither survives": "In one of them the block only adds to what is there, and the rest is still there without it."},
        answer="the residual one",
    )

    start = Prediction(
        "44 residual layers at rate 0.3, where they failed. Only the start differs: the last γ of each block is 0. What happens?",
        {"they fail as before": "The rate is the same, and so are data and layers. But the 44 layers now start as if they were two, "
                                "and each block comes in as its γ grows.",
         "nothing is learned: the F(x) stay 0": "With γ at 0 no gradient reaches F's weights at first. It does reach γ itself: "
                                                "γ's own gradient holds the normalised values, which are not 0. From the "
                                                "second step on F learns.",
         "they train": "The 44 layers start as if they were two. γ has a gradient though F(x) is 0, since its factor, the normalised "
                       "values, is not 0; and each block comes in as its γ grows."},
        answer="they train",
    )
