"""The blocks compute relu(F(x) + shortcut(x)), and refuse in words what they cannot compute."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from resnote import counting
from resnote.blocks import BasicBlock, Bottleneck, PlainBlock
from resnote.settings import SettingError

BLOCKS = [PlainBlock, BasicBlock, Bottleneck]
WITH_SHORTCUT = [BasicBlock, Bottleneck]
COUNT = {PlainBlock: counting.plain_block, BasicBlock: counting.basic_block, Bottleneck: counting.bottleneck}


# --- what a block computes -------------------------------------------------------------------


@pytest.mark.parametrize("build", BLOCKS)
def test_a_block_without_settings_is_3x3_of_stride_1_with_batch_norm_and_no_bias(build):
    block = build(4, 4, 4)
    layers = dict(block.residual.named_children())
    names = [name for n in range(1, 4 if build is Bottleneck else 3) for name in (f"conv{n}", f"bn{n}", f"relu{n}")][:-1]
    assert list(layers) == names                                    # the last ReLU follows the add
    convs = [layer for layer in layers.values() if isinstance(layer, torch.nn.Conv2d)]
    kernels = [(1, 1), (3, 3), (1, 1)] if build is Bottleneck else [(3, 3), (3, 3)]
    assert [conv.kernel_size for conv in convs] == kernels
    assert all(conv.stride == (1, 1) and conv.bias is None for conv in convs)


@pytest.mark.parametrize("build", WITH_SHORTCUT)
def test_a_projection_without_settings_is_1x1_with_batch_norm_and_no_bias(build):
    projection, norm = build(4, 4, 8, shortcut="projection").shortcut
    assert projection.kernel_size == (1, 1) and projection.bias is None and isinstance(norm, torch.nn.BatchNorm2d)


def convolve(x, conv, bn, stride):
    """A 'same' convolution, then batch norm in training mode, written out; ``bn`` may be None."""
    x = F.conv2d(x, conv.weight, conv.bias, stride=stride, padding=conv.weight.shape[-1] // 2)
    if bn is None:
        return x
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (variance + bn.eps).sqrt() * bn.weight[:, None, None] + bn.bias[:, None, None]


def residual_by_hand(block, x, strides):
    layers = dict(block.residual.named_children())
    for number, stride in enumerate(strides, start=1):
        x = x if number == 1 else x.relu()
        x = convolve(x, layers[f"conv{number}"], layers.get(f"bn{number}"), stride)
    return x


def randomised(block):
    """The block in float64, with no weight left at its special first value of 0 or 1."""
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return block.double()


def images(channels, height=7, width=10):
    return torch.randn(3, channels, height, width, dtype=torch.float64)


same = partial(assert_close, rtol=1e-10, atol=1e-10)  # float64, and sums of a few dozen terms


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_plain_block_is_relu_of_fx(stride, kernel_size, bias, batch_norm):
    block = randomised(PlainBlock(4, 3, 6, kernel_size=kernel_size, stride=stride, bias=bias,
                                  batch_norm=batch_norm))
    x = images(4)
    same(block(x), residual_by_hand(block, x, (stride, 1)).relu())


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shortcut, stride, out_channels", [
    ("identity", 1, 4), ("zero-pad", 1, 4), ("zero-pad", 1, 6), ("zero-pad", 2, 6), ("zero-pad", 3, 4),
    ("projection", 1, 4), ("projection", 1, 2), ("projection", 2, 6)])
@pytest.mark.parametrize("kind", WITH_SHORTCUT)
def test_forward_is_relu_of_fx_plus_the_shortcut(kind, shortcut, stride, out_channels, bias, batch_norm):
    block = randomised(kind(4, 3, out_channels, stride=stride, bias=bias, batch_norm=batch_norm,
                            shortcut=shortcut, projection_kernel_size=3))
    x = images(4)
    # The bottleneck has its stride on the 3x3, as torchvision's.
    fx = residual_by_hand(block, x, (stride, 1) if kind is BasicBlock else (1, stride, 1))
    beside = x
    if shortcut == "zero-pad":
        beside = torch.zeros_like(fx)
        beside[:, :4] = x[:, :, ::stride, ::stride]
    elif shortcut == "projection":
        beside = convolve(x, *(block.shortcut if batch_norm else (block.shortcut, None)), stride)
    same(block(x), (fx + beside).relu())


@pytest.mark.parametrize("kind, kernels", [(PlainBlock, (5, 5)), (BasicBlock, (5, 5)), (Bottleneck, (1, 5, 1))])
def test_kernel_size_is_that_of_the_convolutions_that_are_not_pointwise(kind, kernels):
    convolutions = [m for m in kind(4, 3, 4, kernel_size=5).residual if isinstance(m, torch.nn.Conv2d)]
    assert [conv.kernel_size for conv in convolutions] == [(k, k) for k in kernels]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("projection_bias", [None, False, True])
def test_the_projection_has_the_bias_of_the_block_unless_told(bias, projection_bias):
    block = BasicBlock(4, 3, 6, bias=bias, batch_norm=False, shortcut="projection",
                       projection_bias=projection_bias)
    assert (block.residual.conv1.bias is not None) == bias
    assert (block.shortcut.bias is not None) == (bias if projection_bias is None else projection_bias)


def emptied(block):
    """The block with its last convolution at zero, so that F(x) is zero."""
    last = [m for m in block.residual if isinstance(m, torch.nn.Conv2d)][-1]
    torch.nn.init.zeros_(last.weight)
    return block


@pytest.mark.parametrize("kind", WITH_SHORTCUT)
def test_a_block_whose_last_convolution_is_zero_is_relu_of_x(kind):
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(emptied(kind(4, 3, 4, batch_norm=False))(x), x.relu())


@pytest.mark.parametrize("kind", WITH_SHORTCUT)
def test_a_block_whose_last_gamma_is_zero_is_relu_of_x(kind):
    block, x = kind(4, 3, 4), torch.randn(2, 4, 6, 6)
    torch.nn.init.zeros_(block.residual[-1].weight)
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize("kind", WITH_SHORTCUT)
def test_the_gradient_reaches_x_through_the_shortcut_when_fx_is_zero(kind):
    x = torch.randn(2, 4, 6, 6, requires_grad=True)
    emptied(kind(4, 3, 4, batch_norm=False))(x).sum().backward()
    assert torch.equal(x.grad, (x > 0).float())


def test_no_gradient_reaches_x_through_a_plain_block_when_fx_is_zero():
    x = torch.randn(2, 4, 6, 6, requires_grad=True)
    emptied(PlainBlock(4, 3, 4, batch_norm=False))(x).sum().backward()
    assert not x.grad.any()


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kind", WITH_SHORTCUT)
def test_zero_pad_keeps_x_in_the_first_channels_and_zeros_in_the_rest(kind, stride):
    x = torch.randn(2, 4, 7, 10)
    beside = kind(4, 3, 6, stride=stride, shortcut="zero-pad").shortcut(x)
    assert beside.shape[1] == 6
    assert torch.equal(beside[:, :4], x[:, :, ::stride, ::stride])
    assert not beside[:, 4:].any()


# --- what a block refuses --------------------------------------------------------------------


def message_of(refused, *args, **settings):
    with pytest.raises(SettingError) as error:
        refused(*args, **settings)
    return str(error.value)


@pytest.mark.parametrize("kind", WITH_SHORTCUT)
@pytest.mark.parametrize("channels, settings, words", [
    ((4, 4, 8), {}, ["F(x) has 8 channels and x has 4", "shortcut='projection'", "as many output as input channels"]),
    ((4, 4, 1), {}, ["F(x) has 1 channel and x has 4", "PyTorch would silently repeat",
                     "the one channel of F(x) for all 4 of x", "shortcut='projection'"]),
    ((1, 4, 4), {}, ["F(x) has 4 channels and x has 1", "PyTorch would silently repeat",
                     "the one channel of x for all 4 of F(x)", "shortcut='projection'"]),
    ((8, 4, 4), dict(shortcut="zero-pad"), ["cannot take any away", "x has 8", "F(x) has 4",
                                            "shortcut='projection'", "8 or more output channels"]),
    ((4, 4, 4), dict(stride=2), ["stride 2", "one in 2 rows and columns", "'projection' or 'zero-pad'", "stride 1"]),
    ((4, 4, 4), dict(shortcut="projection", projection_kernel_size=2), ["2 x 2 kernel", "no centre", "1 or 3"]),
    ((4, 4, 4), dict(shortcut="option A"), ["'option A'", "'identity'", "'zero-pad'", "'projection'"]),
])
def test_what_cannot_be_added_is_refused_when_the_block_is_built(kind, channels, settings, words):
    message = message_of(kind, *channels, **settings)
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("kernel_size", [2, 4])
@pytest.mark.parametrize("kind", BLOCKS)
def test_an_even_kernel_is_refused_with_its_odd_neighbours(kind, kernel_size):
    message = message_of(kind, 4, 4, 4, kernel_size=kernel_size)
    assert f"{kernel_size} x {kernel_size} kernel" in message
    assert f"Use an odd kernel, {kernel_size - 1} or {kernel_size + 1}." in message


@pytest.mark.parametrize("bad", [0, -1, 2.5, True, None, "a"])
@pytest.mark.parametrize("kind, name", [
    *((kind, name) for kind in BLOCKS
      for name in ("in_channels", "width", "out_channels", "kernel_size", "stride")),
    *((kind, "projection_kernel_size") for kind in WITH_SHORTCUT)])
def test_a_size_that_is_no_whole_number_of_1_or_more_is_named_in_the_error(kind, name, bad):
    message = message_of(kind, **dict(in_channels=4, width=4, out_channels=4) | {name: bad})
    assert f"{name} is {bad!r}; it must be a whole number of 1 or more. Give {name} as an int" in message


@pytest.mark.parametrize("channels, settings", [
    ((4, 4, 8), {}), ((4, 4, 1), {}), ((1, 4, 4), {}), ((8, 4, 4), dict(shortcut="zero-pad")),
    ((4, 4, 4), dict(kernel_size=2)), ((4, 0, 4), {}), ((4, 4, 4), dict(shortcut="B"))])
@pytest.mark.parametrize("kind", WITH_SHORTCUT)
def test_the_module_and_the_count_refuse_with_the_same_words(kind, channels, settings):
    assert message_of(kind, *channels, **settings) == message_of(COUNT[kind], *channels, **settings)


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("wrong, error, words", [
    ([[1.0]], TypeError, ["list", "(N, 4, H, W)", "torch.as_tensor"]),
    (torch.zeros(2, 4, 6, 6).numpy(), TypeError, ["ndarray", "(N, 4, H, W)", "torch.as_tensor"]),
    (torch.zeros(2, 4, 6, 6, dtype=torch.uint8), TypeError, ["torch.uint8", "x.to(torch.float32)"]),
    (torch.zeros(2, 4, 6, 6, dtype=torch.float64), TypeError, ["torch.float64", "x.to(torch.float32)"]),
    (torch.zeros(4, 6, 6), SettingError, ["(N, 4, H, W)", "(4, 6, 6)", "x[None]"]),
    (torch.zeros(2, 1, 6, 6), SettingError, ["4 channels", "x has 1", "(2, 1, 6, 6)", "in_channels=1"]),
    (torch.zeros(2, 8, 6, 6), SettingError, ["4 channels", "x has 8", "(2, 8, 6, 6)", "in_channels=8"]),
])
def test_a_wrong_input_is_refused_in_words_and_the_next_right_one_is_not(kind, wrong, error, words):
    block, x = kind(4, 3, 4), torch.randn(2, 4, 6, 6)
    statistics = block.residual.bn1.running_mean.clone()
    before = block.eval()(x)
    with pytest.raises(error) as refused:
        block.train()(wrong)
    assert [word for word in words if word not in str(refused.value)] == []
    assert torch.equal(block.residual.bn1.running_mean, statistics)
    assert torch.equal(block.eval()(x), before)


def test_autocast_may_convert_what_the_block_would_refuse():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert BasicBlock(4, 3, 4)(torch.randn(2, 4, 6, 6, dtype=torch.bfloat16)).shape == (2, 4, 6, 6)


def test_following_the_advice_for_channels_and_stride_together_works():
    message = message_of(counting.basic_block, 4, 4, 8, size=8, stride=2)
    assert "(shortcut='projection') with the same stride" in message and "as many output" not in message
    assert counting.basic_block(4, 4, 8, size=8, stride=2, shortcut="projection").problem is None


def test_a_setting_error_is_a_value_error():
    with pytest.raises(ValueError):
        BasicBlock(4, 4, 8)
