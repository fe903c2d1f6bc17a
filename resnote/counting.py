"""What a residual block costs, in closed form and without torch.

Every operation is one `Row`: output shape, parameters, multiply-accumulates, elementwise
operations, bytes. The add and the shortcut are rows like the others. A block is the rows of
F(x), of the shortcut and of what follows them, with the totals and three activation memories.

Conventions, used everywhere in this course:

* All numbers are for **one example** and float32: shapes are (C, H, W), values take 4 bytes.
* A multiply-accumulate (MAC) is one multiplication and one addition. FLOPs are 2 x MACs.
* A bias is not a MAC: it is one addition per output value, an elementwise operation.
* Batch norm is counted as the one multiplication and one addition per value that it costs
  at inference, ReLU and the add as one operation per value.
"""

from __future__ import annotations

from typing import NamedTuple

from resnote.settings import (Problem, SettingError, check_block, check_pair, check_padding, check_shape,
                              check_size, check_switch, strided_length, why_not_addable)
from resnote.text import format_bytes, format_shape, html_table, text_table

BYTES_PER_VALUE = 4  # float32


class Row(NamedTuple):
    """One operation on one example.

    ``output`` is (C, H, W); ``elementwise`` counts operations; ``bytes`` is the size of the
    output; ``formula`` is the arithmetic behind ``parameters``, with the numbers filled in.
    """

    name: str
    kind: str  # "conv", "bn", "relu", "pad", "add"; from resnote.resnets also "pool" and "linear"
    output: tuple[int, int, int]
    parameters: int
    macs: int
    elementwise: int
    bytes: int
    formula: str
    stride: tuple[int, int] = (1, 1)


# --- one operation ---------------------------------------------------------------------------


def conv2d(shape, out_channels, kernel_size, *, stride=1, padding=0, dilation=1, groups=1,
           bias=True, name="conv") -> Row:
    """Count one 2-d convolution, with the arguments of `torch.nn.Conv2d`.

    Parameters
    ----------
    shape : (C, H, W) of the input
    kernel_size, stride, padding, dilation : whole number, or a pair (height, width);
        padding may also be ``'same'`` or ``'valid'``
    groups : divides both channel counts; each filter sees C / groups channels

    Raises
    ------
    SettingError
        where `torch.nn.Conv2d` could not be built or run; and for sizes that it lets pass: no input
        channels, booleans, tuples of one.
    """
    in_channels, height, width = check_shape(shape)
    out_channels, groups = check_size("out_channels", out_channels), check_size("groups", groups)
    kernel_h, kernel_w = check_pair("kernel_size", kernel_size)
    stride_h, stride_w = check_pair("stride", stride)
    dilation_h, dilation_w = check_pair("dilation", dilation)
    bias = check_switch("bias", bias)
    if in_channels % groups or out_channels % groups:
        raise SettingError(
            f"groups={groups} must divide both channel counts, and they are {in_channels} in and "
            f"{out_channels} out. Choose a common divisor of the two.")
    reach_h, reach_w = dilation_h * (kernel_h - 1), dilation_w * (kernel_w - 1)
    if isinstance(padding, str) and padding == "same":
        if stride_h != 1 or stride_w != 1:
            raise SettingError(f"padding='same' keeps the size, so it needs stride 1, not {stride}. "
                               "Give the padding as a number, or use stride=1.")
        out_h, out_w = height, width
    else:
        pad_h, pad_w = check_padding(padding)
        if height + 2 * pad_h <= reach_h or width + 2 * pad_w <= reach_w:
            raise SettingError(
                f"A kernel that reaches over {reach_h + 1} x {reach_w + 1} pixels does not fit into "
                f"{height + 2 * pad_h} x {width + 2 * pad_w} (image and padding). "
                "Use a smaller kernel or dilation, or more padding.")
        out_h = (height + 2 * pad_h - reach_h - 1) // stride_h + 1
        out_w = (width + 2 * pad_w - reach_w - 1) // stride_w + 1

    values = out_channels * out_h * out_w
    per_value = kernel_h * kernel_w * (in_channels // groups)  # one filter, at one place
    return Row(
        name, "conv", (out_channels, out_h, out_w),
        per_value * out_channels + (out_channels if bias else 0),
        per_value * values,
        values if bias else 0,
        values * BYTES_PER_VALUE,
        f"{kernel_h}·{kernel_w}·" + (f"({in_channels}/{groups})" if groups > 1 else f"{in_channels}")
        + f"·{out_channels}" + (f" + {out_channels}" if bias else ""),
        (stride_h, stride_w))


def batch_norm2d(shape, *, affine=True, name="bn") -> Row:
    """Count batch norm: a scale and a shift per channel; two operations per value at inference.

    The running mean and variance are buffers, not parameters.
    """
    channels, height, width = check_shape(shape)
    affine = check_switch("affine", affine)
    values = channels * height * width
    return Row(name, "bn", (channels, height, width), 2 * channels if affine else 0, 0, 2 * values,
               values * BYTES_PER_VALUE, f"2·{channels}" if affine else "")


def relu(shape, *, name="relu") -> Row:
    """Count a ReLU: no parameters, one operation per value."""
    channels, height, width = check_shape(shape)
    values = channels * height * width
    return Row(name, "relu", (channels, height, width), 0, 0, values, values * BYTES_PER_VALUE, "")


def add(fx_shape, x_shape, *, name="add") -> Row:
    """Count F(x) + x: one operation per value.

    Raises
    ------
    SettingError
        unless both shapes are the same. Stricter than PyTorch, which repeats ("broadcasts") an
        axis of length 1 without a word.
    """
    fx_shape, x_shape = check_shape(fx_shape), check_shape(x_shape)
    if fx_shape != x_shape:
        raise SettingError(why_not_addable(fx_shape, x_shape))
    values = fx_shape[0] * fx_shape[1] * fx_shape[2]
    return Row(name, "add", fx_shape, 0, 0, values, values * BYTES_PER_VALUE, "")


# --- blocks ----------------------------------------------------------------------------------


class BlockCount(NamedTuple):
    """The rows of one block, its totals, and what is wrong with it, if anything.

    ``residual`` is F(x), ``shortcut`` is what x passes through (no rows: the identity, or a plain block without a shortcut),
    ``after`` is the add, if there is one, and the last ReLU. While ``problem`` is set, ``after`` is empty: nothing comes out.
    """

    name: str
    input: tuple[int, int, int]
    residual: tuple[Row, ...]
    shortcut: tuple[Row, ...]
    after: tuple[Row, ...]
    problem: Problem | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        return self.residual + self.shortcut + self.after

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-accumulates. FLOPs would be twice this."""
        return sum(row.macs for row in self.rows)

    @property
    def elementwise(self) -> int:
        return sum(row.elementwise for row in self.rows)

    @property
    def all_outputs(self) -> int:
        """Bytes of every row's output, were they all kept. This is what most tools call memory."""
        return sum(row.bytes for row in self.rows)

    @property
    def saved_for_backward(self) -> int:
        """Bytes that autograd keeps in training, the input included.

        A convolution and a batch norm save their input, a ReLU its output, the add nothing; batch
        norm also saves the batch's mean and inverse deviation of each channel. A tensor that two
        operations save is kept once.
        """
        total = bytes_of(self.input)
        for chain in (self.residual + self.after, self.shortcut):
            for row, following in zip(chain, chain[1:] + (None,)):
                if row.kind == "relu" or (following and following.kind in ("conv", "bn")):
                    total += row.bytes
                if row.kind == "bn":
                    total += 2 * row.output[0] * BYTES_PER_VALUE
        return total

    @property
    def inference_peak(self) -> int:
        """Most bytes alive at once without autograd, the input included.

        x lives until the block returns, since the caller holds it; F(x) lives from its last row to
        the end, as in the `forward` of `resnote.blocks`. Scratch space inside an operation is not
        counted.
        """
        x, previous, peak = bytes_of(self.input), 0, 0
        for row in self.residual:
            peak, previous = max(peak, x + previous + row.bytes), row.bytes
        # At the last ReLU: x, F(x), what it reads (the sum, or F(x) itself) and what it writes. The
        # shortcut never has more alive, since its maps are as large as these.
        return max(peak, x + previous * (1 + len(self.after)))

    def as_dict(self) -> dict:
        """Totals and rows as plain Python values, ready for `json.dumps`."""
        return {
            "name": self.name, "input": self.input,
            "parameters": self.parameters, "macs": self.macs, "elementwise": self.elementwise,
            "all_outputs": self.all_outputs, "saved_for_backward": self.saved_for_backward,
            "inference_peak": self.inference_peak,
            "problem": self.problem and self.problem._asdict(),
            "rows": [row._asdict() for row in self.rows],
        }

    def as_text(self) -> str:
        """The table as a model summary prints it, the add and the shortcut included."""
        return text_table(HEADINGS, self._cells()) + "\n" + "\n".join(self._summary())

    def as_html(self) -> str:
        return html_table(HEADINGS, self._cells(), caption=self.name, notes=self._summary())

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()

    def _cells(self) -> list[list[str]]:
        cells = [[row.name, format_shape(row.output), f"{row.parameters:,}", row.formula,
                  f"{row.macs:,}", f"{row.elementwise:,}", format_bytes(row.bytes)]
                 for row in self.rows]
        return cells + [["total", "", f"{self.parameters:,}", "", f"{self.macs:,}",
                         f"{self.elementwise:,}", format_bytes(self.all_outputs)]]

    def _summary(self) -> list[str]:
        lines = [f"Activation memory, one example, float32: "
                 f"all outputs {format_bytes(self.all_outputs)}, "
                 f"saved for backward {format_bytes(self.saved_for_backward)}, "
                 f"inference peak {format_bytes(self.inference_peak)}."]
        return lines + ([f"This block cannot run: {self.problem.message}"] if self.problem else [])


HEADINGS = ("row", "output", "parameters", "formula", "multiply–accumulates", "elementwise", "bytes")


def plain_block(in_channels, width, out_channels, *, size=320, kernel_size=3, stride=1, bias=False,
                batch_norm=True, strict=True) -> BlockCount:
    """Count two k x k convolutions with a ReLU after each and no shortcut; settings as in `basic_block`."""
    return _block("plain block", in_channels, width, out_channels, two_spatial, size, kernel_size, stride, 1, bias,
                  batch_norm, None, 1, None, strict)


def basic_block(in_channels, width, out_channels, *, size=320, kernel_size=3, stride=1, bias=False, batch_norm=True,
                shortcut="identity", projection_kernel_size=1, projection_bias=None, strict=True) -> BlockCount:
    """Count He et al.'s two-layer block: two k x k convolutions, the add, ReLU (2015, Fig. 5 left).

    Parameters
    ----------
    in_channels, width, out_channels : channels of x, between the convolutions, and of F(x)
    size : height and width of the image, or one number for both
    kernel_size : odd whole number, 3 by default
    stride : of the first k x k convolution and of the shortcut, 1 by default
    bias : whether the convolutions have one, False by default
    batch_norm : whether one follows each convolution, True by default
    shortcut : 'identity', 'zero-pad' (option A), 'projection' (options B, C), or None for no shortcut
    projection_kernel_size, projection_bias : 1, and as ``bias``, by default
    strict : False returns a block that cannot run, with its ``problem``, instead of raising

    Raises
    ------
    SettingError
        for sizes that are not whole numbers of 1 or more, and switches that are not True or False; and, when
        strict, for an even kernel and for an F(x) and a shortcut that cannot be added.
    """
    return _block("basic block", in_channels, width, out_channels, two_spatial, size, kernel_size, stride, 1, bias,
                  batch_norm, shortcut, projection_kernel_size, projection_bias, strict)


def bottleneck(in_channels, width, out_channels, *, size=320, kernel_size=3, stride=1, groups=1, stride_first=False,
               bias=False, batch_norm=True, shortcut="identity", projection_kernel_size=1, projection_bias=None,
               strict=True) -> BlockCount:
    """Count He et al.'s bottleneck: 1x1 down, k x k, 1x1 up, the add, ReLU (2015, Fig. 5 right).

    Settings as in `basic_block`, and ``groups``, those of the k x k convolution, which must divide the
    width: with 32 it is ResNeXt's (Xie et al. 2017, Fig. 3c). The stride stands on the k x k convolution,
    as in torchvision ("v1.5"); with ``stride_first`` it stands on the first 1x1, as in the authors' own code ("v1").
    """
    return _block("bottleneck", in_channels, width, out_channels, bottleneck_layout(stride_first), size, kernel_size, stride, groups,
                  bias, batch_norm, shortcut, projection_kernel_size, projection_bias, strict)


class Convolution(NamedTuple):
    """One convolution of F(x), as `_block` here counts and `resnote.blocks` builds it; the padding keeps odd kernels' size."""

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int = 1
    groups: int = 1


def two_spatial(in_channels, width, out_channels, kernel_size, stride, _groups) -> list[Convolution]:
    """F(x) of a plain and of a basic block."""
    return [Convolution(in_channels, width, kernel_size, stride), Convolution(width, out_channels, kernel_size)]


def squeeze_look_grow(in_channels, width, out_channels, kernel_size, stride, groups) -> list[Convolution]:
    """F(x) of a bottleneck."""
    return [Convolution(in_channels, width, 1), Convolution(width, width, kernel_size, stride, groups),
            Convolution(width, out_channels, 1)]


def squeeze_at_once(in_channels, width, out_channels, kernel_size, stride, groups) -> list[Convolution]:
    """F(x) of a bottleneck that has its stride on the first 1x1."""
    return [Convolution(in_channels, width, 1, stride), Convolution(width, width, kernel_size, 1, groups),
            Convolution(width, out_channels, 1)]


def bottleneck_layout(stride_first):
    """The layout of a bottleneck, by where its stride stands."""
    return squeeze_at_once if check_switch("stride_first", stride_first) else squeeze_look_grow


def _block(name, in_channels, width, out_channels, layers, size, kernel_size, stride, groups, bias, batch_norm,
           shortcut, projection_kernel_size, projection_bias, strict) -> BlockCount:
    x = (check_size("in_channels", in_channels), *check_pair("size", size))
    problem = check_block(in_channels, width, out_channels, x[1:], kernel_size, stride, shortcut,
                          projection_kernel_size, groups)
    bias, batch_norm = check_switch("bias", bias), check_switch("batch_norm", batch_norm)
    projection_bias = bias if projection_bias is None else check_switch("projection_bias", projection_bias)
    if problem and check_switch("strict", strict):
        raise SettingError(problem.message)

    residual, shape = [], x
    convolutions = layers(in_channels, width, out_channels, kernel_size, stride, groups)
    for number, (_, channels, kernel, step, parts) in enumerate(convolutions, start=1):
        row = conv2d(shape, channels, kernel, stride=step, padding=kernel // 2, groups=parts, bias=bias,
                     name=f"conv{number}")
        residual.append(row)
        shape = row.output
        if batch_norm:
            residual.append(batch_norm2d(shape, name=f"bn{number}"))
        if number < len(convolutions):
            residual.append(relu(shape, name=f"relu{number}"))

    branch = []
    if problem is None or problem.where != "shortcut":
        if shortcut == "projection":
            row = conv2d(x, out_channels, projection_kernel_size, stride=stride,
                         padding=projection_kernel_size // 2, bias=projection_bias, name="projection")
            branch.append(row)
            if batch_norm:
                branch.append(batch_norm2d(row.output, name="projection bn"))
        elif shortcut == "zero-pad" and (stride != 1 or out_channels != in_channels):
            branch.append(_zero_pad(x, check_size("out_channels", out_channels), check_size("stride", stride)))

    after = ()
    if problem is None:
        after = (relu(shape, name=f"relu{len(convolutions)}"),)
        if shortcut is not None:
            after = (add(shape, branch[-1].output if branch else x),) + after
    return BlockCount(name, x, tuple(residual), tuple(branch), after, problem)


def _zero_pad(shape, out_channels, stride) -> Row:
    """Option A: every stride-th pixel, and channels of zeros; it copies, and computes nothing."""
    output = (out_channels, strided_length(shape[1], stride), strided_length(shape[2], stride))
    return Row("zero-pad", "pad", output, 0, 0, 0, bytes_of(output), "", (stride, stride))


def bytes_of(shape) -> int:
    """Of a float32 tensor of one example."""
    return shape[0] * shape[1] * shape[2] * BYTES_PER_VALUE
