"""Which settings a convolution or a residual block can have, and the sentence for those it cannot.

Shared by `resnote.counting`, which counts blocks without torch, and `resnote.blocks`, which builds
them: both refuse the same settings with the same words.
"""

from __future__ import annotations

import math
from numbers import Real
from operator import index
from typing import NamedTuple

SHORTCUTS = ("identity", "zero-pad", "projection")


class SettingError(ValueError):
    """A setting, a network or data that cannot be used; the message says what to do about it."""


class Problem(NamedTuple):
    """Why a block cannot run: where it fails ("kernel", "shortcut" or "add"), and a sentence."""

    where: str
    message: str


def check_block(in_channels, width, out_channels, size, kernel_size, stride, shortcut,
                projection_kernel_size=1, groups=1) -> Problem | None:
    """Where a block with these settings fails, and why; None when it runs.

    ``size`` is (height, width), or None when it is not known yet, as when a module is built.
    ``shortcut`` may be None: no shortcut. ``groups`` are those of the bottleneck's k x k convolution.

    Raises
    ------
    SettingError
        for sizes that are not whole numbers of 1 or more, for groups that do not divide the width, and for an
        unknown shortcut.
    """
    in_channels, out_channels = check_size("in_channels", in_channels), check_size("out_channels", out_channels)
    kernel_size, stride = check_size("kernel_size", kernel_size), check_size("stride", stride)
    width, groups = check_size("width", width), check_size("groups", groups)
    check_size("projection_kernel_size", projection_kernel_size)
    if width % groups:
        below = width // groups * groups or groups
        raise SettingError(f"groups={groups} must divide the width, and that is {width}: each group gets as many channels "
                           f"as the next. Use a width of {below} or {below + groups}, or other groups.")
    if not (shortcut is None or isinstance(shortcut, str) and shortcut in SHORTCUTS):
        raise SettingError(f"shortcut={shortcut!r} is not known. Use one of "
                           + ", ".join(map(repr, SHORTCUTS)) + ".")
    if kernel_size % 2 == 0:
        return Problem("kernel", why_not_even(kernel_size))
    if shortcut == "projection" and projection_kernel_size % 2 == 0:
        return Problem("shortcut", why_not_even(projection_kernel_size))
    if shortcut == "zero-pad" and out_channels < in_channels:
        return Problem("shortcut", (
            f"Zero-padding adds channels and cannot take any away: x has {in_channels}, F(x) has "
            f"{out_channels}. Use a projection (shortcut='projection'), or {in_channels} or more output channels."))
    if shortcut == "identity" and stride != 1:
        fx, x = (out_channels, *(strided_length(n, stride) for n in size or ())), (in_channels, *(size or ()))
        return Problem("add", why_not_addable(fx, x) if size and fx != x else (
            f"With stride {stride}, F(x) keeps only one in {stride} rows and columns of x and cannot be added "
            "to it. Use a shortcut with a stride too ('projection' or 'zero-pad'), or stride 1."))
    if shortcut == "identity" and in_channels != out_channels:
        return Problem("add", why_not_addable((out_channels,), (in_channels,)))
    return None


def why_not_even(kernel_size) -> str:
    return (f"A {kernel_size} x {kernel_size} kernel has no centre pixel: no padding gives an image of "
            f"the same size, so F(x) would not lie on x. Use an odd kernel, {kernel_size - 1} or "
            f"{kernel_size + 1}.")


def why_not_addable(fx, x) -> str:
    """The sentence for two shapes, (C,) or (C, H, W), that F(x) + x must not mix."""
    if fx[0] != x[0]:
        silent = ""
        if 1 in (fx[0], x[0]) and _broadcasts(fx, x):
            one, many, count = ("F(x)", "x", x[0]) if fx[0] == 1 else ("x", "F(x)", fx[0])
            silent = f" PyTorch would silently repeat the one channel of {one} for all {count} of {many}."
        return (f"F(x) has {_channels(fx[0])} and x has {x[0]}: they {_verb(silent)}.{silent} "
                + ("Use a projection (shortcut='projection'), or as many output as input channels."
                   if fx[1:] == x[1:] else "Use a projection (shortcut='projection') with the same stride."))
    silent = (" PyTorch would silently repeat the single row or column."
              if _broadcasts(fx, x) else "")
    return (f"F(x) is {fx[1]} x {fx[2]} and x is {x[1]} x {x[2]}: they {_verb(silent)}.{silent} "
            "Use a shortcut with the same stride ('projection' or 'zero-pad'), or stride 1.")


# --- numbers and switches --------------------------------------------------------------------


def check_number(name, value, needed, *, above=-math.inf, least=-math.inf, below=math.inf, most=math.inf) -> float:
    """Return ``value`` as a float, or raise `SettingError` unless it is a number within the bounds; a boolean is none."""
    try:
        number = float(value) if isinstance(value, Real) and not is_boolean(value) else math.nan
    except OverflowError:  # a whole number beyond all floats
        number = math.nan
    if not (above < number < below and least <= number <= most):
        raise SettingError(f"{name} is {value!r}; it must be {needed}.")
    return number


def check_switch(name, value) -> bool:
    """Return ``value`` as a bool, or raise `SettingError` unless it is a boolean: Python's, NumPy's or torch's."""
    if value is True or value is False:
        return value
    if not is_boolean(value) or getattr(value, "ndim", 0):
        raise SettingError(f"{name} is {value!r}; it must be True or False.")
    return bool(value)


def is_boolean(value) -> bool:
    """Whether ``value`` holds truth values, Python's, NumPy's or torch's; neither library needs to be there."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")


# --- sizes -----------------------------------------------------------------------------------


def check_size(name, value, needed="a whole number of 1 or more") -> int:
    """Return ``value`` as an int, or raise `SettingError` unless it is a whole number of 1 or more."""
    if type(value) is int and value > 0:  # the quick way out: an explorer counts at every move
        return value
    if not _is_whole(value) or value < 1:
        example = {"kernel_size": 3, "projection_kernel_size": 3, "depth": 8}.get(name, 1)
        raise SettingError(f"{name} is {value!r}; it must be {needed}. Give {name} as an int, such as {example}.")
    return index(value)  # NumPy's integers overflow and are no JSON


def check_shape(shape) -> tuple[int, int, int]:
    """Return ``shape`` as (C, H, W), or raise `SettingError`."""
    try:
        channels, height, width = shape
    except (TypeError, ValueError):
        raise SettingError(f"The shape is {shape!r}; it must be (channels, height, width) of one "
                           "example, without the batch axis.") from None
    return check_size("channels", channels), check_size("height", height), check_size("width", width)


def _is_whole(value) -> bool:
    if is_boolean(value):
        return False
    try:
        index(value)
    except TypeError:
        return False
    return True


def check_pair(name, value) -> tuple[int, int]:
    """Return a whole number, or a pair of them, as a pair, or raise `SettingError`."""
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return check_size(name, value[0]), check_size(name, value[1])
    value = check_size(name, value, "a whole number of 1 or more, or a pair of them")
    return value, value


def check_padding(value) -> tuple[int, int]:
    """Return a padding, 'same' apart, as a pair of whole numbers of 0 or more, or raise `SettingError`."""
    if type(value) is int and value >= 0:
        return value, value
    if isinstance(value, str) and value == "valid":  # an array would be compared number by number
        return 0, 0
    pair = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value, value)
    if not all(_is_whole(item) and item >= 0 for item in pair):
        raise SettingError(f"padding is {value!r}; it must be 0 or a positive whole number, a pair of "
                           "them, 'same' or 'valid'.")
    return index(pair[0]), index(pair[1])


def strided_length(length, stride) -> int:
    """Length after a 'same' convolution of that stride, which keeps pixels 0, stride, 2·stride …"""
    return (length - 1) // stride + 1


def _verb(silent) -> str:
    return "must not be added" if silent else "cannot be added"


def _broadcasts(a, b) -> bool:
    return all(p == q or 1 in (p, q) for p, q in zip(a, b))


def _channels(count) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
