"""The closed form against torch, torchinfo and the storages that a running block really makes."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from random import Random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchinfo
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from resnote import blocks, counting
from resnote.settings import SHORTCUTS, SettingError
from resnote.text import format_bytes, format_macs

KINDS = {"plain": (counting.plain_block, blocks.PlainBlock),
         "basic": (counting.basic_block, blocks.BasicBlock),
         "bottleneck": (counting.bottleneck, blocks.Bottleneck)}
MIB = 2**20


# --- one convolution against torch -----------------------------------------------------------


def random_convolution(random):
    """A shape and arguments of `nn.Conv2d`, some of which no convolution can have."""

    def number(*good):
        return random.choice((0, -1, 2.5)) if random.random() < 0.008 else random.choice(good)

    def number_or_pair(*good):
        return random.choice((number(*good), (number(*good), number(*good))))

    groups = random.choice((1, 1, 2, 3))
    shape = groups * random.randint(1, 3), number(*range(6, 16)), number(*range(6, 16))
    return shape, dict(
        out_channels=number(groups, 2 * groups, 5 * groups),
        kernel_size=number_or_pair(1, 2, 3, 3, 4, 5),
        stride=number_or_pair(1, 1, 1, 2, 3),
        padding=random.choice((*(number_or_pair(0, 1, 2, 3) for _ in range(4)), "same", "valid")),
        dilation=number_or_pair(1, 1, 2, 3),
        groups=number(groups) if random.random() < 0.97 else random.randint(1, 4),
        bias=random.random() < 0.5)


def counted_by_us(shape, **settings):
    try:
        row = counting.conv2d(shape, **settings)
    except SettingError:
        return "refused"
    return row.output, row.parameters, row.macs


def counted_by_torch(shape, **settings):
    # On the CPU: the meta device lets a dilation of 0 and a negative padding pass.
    try:
        conv = nn.Conv2d(shape[0], **settings)
        with FlopCounterMode(display=False) as flops, torch.no_grad():
            output = conv(torch.zeros(1, *shape))
    except Exception:  # torch raises ValueError, TypeError or RuntimeError, as the case may be
        return "refused"
    return tuple(output.shape[1:]), sum(p.numel() for p in conv.parameters()), flops.get_total_flops() / 2


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:Using padding='same'", "ignore:Initializing zero-element")
def test_conv2d_agrees_with_torch_on_legal_and_illegal_settings():
    random = Random(0)
    refused, mismatches = 0, []
    for _ in range(2_000):
        shape, settings = random_convolution(random)
        ours, theirs = counted_by_us(shape, **settings), counted_by_torch(shape, **settings)
        refused += theirs == "refused"
        if ours != theirs:
            mismatches.append((shape, settings, ours, theirs))
    assert mismatches == []
    assert 300 <= refused <= 500  # so 1,500 or more were legal


# Where torch runs and we refuse on purpose, since nobody means it.


def test_a_convolution_without_channels_is_refused_although_torch_runs_it():
    with pytest.warns(UserWarning, match="zero-element"):
        output = nn.Conv2d(0, 4, 3)(torch.zeros(1, 0, 7, 8))
    assert output.shape == (1, 0, 5, 6)  # and not even the 4 channels it was asked for
    with pytest.raises(SettingError, match="channels is 0"):
        counting.conv2d((0, 7, 8), 4, 3)


def test_true_is_no_kernel_size_although_torch_takes_it_for_1():
    assert nn.Conv2d(4, 4, True)(torch.zeros(1, 4, 7, 8)).shape == (1, 4, 7, 8)
    with pytest.raises(SettingError, match="kernel_size is True"):
        counting.conv2d((4, 7, 8), 4, True)


def test_a_tuple_of_one_is_no_stride_although_torch_repeats_it():
    assert nn.Conv2d(4, 4, 3, stride=(2,))(torch.zeros(1, 4, 7, 8)).shape == (1, 4, 3, 3)
    with pytest.raises(SettingError, match="stride is"):
        counting.conv2d((4, 7, 8), 4, 3, stride=(2,))


# --- blocks against torch and torchinfo ------------------------------------------------------


def random_blocks(number, seed):
    """Counts, modules and inputs of blocks that run, of every kind and shortcut."""
    random = Random(seed)
    for _ in range(number):
        count, build = KINDS[kind := random.choice(list(KINDS))]
        in_channels, width, out_channels = (random.randint(1, 6) for _ in range(3))
        settings = dict(kernel_size=random.choice((1, 3, 5)), stride=random.choice((1, 2, 3)),
                        bias=random.random() < 0.5, batch_norm=random.random() < 0.5)
        if kind == "bottleneck":
            settings["groups"] = random.choice((1, 1, 2, 3))
            width *= settings["groups"]
        if kind != "plain":
            settings["shortcut"] = random.choice(SHORTCUTS)
            if settings["shortcut"] == "identity":
                out_channels, settings["stride"] = in_channels, 1
            elif settings["shortcut"] == "zero-pad":
                out_channels = in_channels + random.randint(0, 3)
            else:
                settings["projection_kernel_size"] = random.choice((1, 3))
                settings["projection_bias"] = random.choice((None, False, True))
        channels, size = (in_channels, width, out_channels), (random.randint(4, 12), random.randint(4, 12))
        yield (count(*channels, size=size, **settings), build(*channels, **settings),
               torch.rand(1, in_channels, *size))


def test_blocks_agree_with_torch_and_torchinfo():
    for count, block, x in random_blocks(250, seed=1):
        with FlopCounterMode(display=False) as flops, torch.no_grad():
            output = block.eval()(x)
        info = torchinfo.summary(block, input_size=tuple(x.shape), device="cpu", verbose=0)
        assert count.problem is None
        assert count.rows[-1].output == output.shape[1:]
        assert count.parameters == info.total_params
        assert count.macs == flops.get_total_flops() / 2


def test_a_resnext_bottleneck_costs_what_torch_counts_and_groups_stand_in_the_formula_of_the_middle_convolution_only():
    """The first block of ResNeXt-50 32x4d (Xie et al. 2017, Table 1)."""
    settings = dict(groups=32, shortcut="projection")
    count, block = counting.bottleneck(64, 128, 256, size=56, **settings), blocks.Bottleneck(64, 128, 256, **settings)
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        block(torch.rand(1, 64, 56, 56))
    assert count.parameters == sum(weight.numel() for weight in block.parameters()) == 63_488
    assert count.macs == flops.get_total_flops() / 2
    assert [row.formula for row in count.rows if row.kind == "conv"] == [
        "1·1·64·128", "3·3·(128/32)·128", "1·1·128·256", "1·1·64·256"]
    assert counting.bottleneck(256, 64, 256) == counting.bottleneck(256, 64, 256, groups=1)


@pytest.mark.parametrize("width, groups, advice", [(50, 32, "32 or 64"), (8, 32, "32 or 64"), (100, 32, "96 or 128"),
                                                   (64, 3, "63 or 66")])
def test_groups_that_do_not_divide_the_width_are_refused_with_widths_that_they_divide(width, groups, advice):
    words = rf"groups={groups} must divide the width, and that is {width}.*Use a width of {advice}, or other groups"
    for build in (counting.bottleneck, blocks.Bottleneck):
        with pytest.raises(SettingError, match=words):
            build(256, width, 256, groups=groups)
        for good in map(int, advice.split(" or ")):
            build(256, good, 256, groups=groups)
    with pytest.raises(SettingError, match=words):       # not even a lenient count can go on
        counting.bottleneck(256, width, 256, groups=groups, strict=False)


def test_rows_are_the_operations_that_torch_runs():
    operations = {"conv": "convolution", "bn": "native_batch_norm", "relu": "relu", "pad": "constant_pad_nd",
                  "add": "add"}
    for count, block, x in random_blocks(100, seed=2):
        with Storages(x) as storages, torch.no_grad():
            block.eval()(x)
        ran = [name for name in storages.operations if name in operations.values()]
        assert [operations[row.kind] for row in count.rows] == ran


# --- what runs in torch, and what must not ---------------------------------------------------


def outcome_in_bare_torch(kind, channels, size, kernel_size, stride, shortcut, projection_kernel_size):
    """'runs', 'raises', or 'broadcasts' where F(x) and the shortcut differ and torch adds them anyway."""
    in_channels, width, out_channels = channels
    convolutions = [(in_channels, width, kernel_size, stride), (width, out_channels, kernel_size, 1)]
    if kind == "bottleneck":
        convolutions = [(in_channels, width, 1, 1), (width, width, kernel_size, stride),
                        (width, out_channels, 1, 1)]
    try:
        fx = x = torch.zeros(1, in_channels, *size)
        for before, after, kernel, step in convolutions:
            fx = nn.Conv2d(before, after, kernel, stride=step, padding=kernel // 2)(fx)
        if kind == "plain":
            return "runs"
        if shortcut == "zero-pad":
            x = x[:, :, ::stride, ::stride]
            x = torch.cat([x, torch.zeros(1, out_channels - in_channels, *x.shape[2:])], dim=1)
        elif shortcut == "projection":
            x = nn.Conv2d(in_channels, out_channels, projection_kernel_size, stride=stride,
                          padding=projection_kernel_size // 2)(x)
        fx + x
    except Exception:
        return "raises"
    return "runs" if fx.shape == x.shape else "broadcasts"


def accepts(function, *args, **settings):
    try:
        function(*args, **settings)
    except SettingError:
        return False
    return True


def are_whole(*numbers):
    return all(type(n) is int and n > 0 for n in numbers)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_a_block_is_accepted_where_bare_torch_runs_it_and_refused_where_it_raises_or_broadcasts():
    random = Random(3)

    def number(*good):
        return random.choice((0, -1, 2.5)) if random.random() < 0.02 else random.choice(good)

    seen = dict(runs=0, raises=0, broadcasts=0)
    for _ in range(1_500):
        kind = random.choice(list(KINDS))
        shortcut = random.choice(SHORTCUTS) if kind != "plain" else None
        channels, size = [number(1, 2, 3) for _ in range(3)], (number(1, 3, 4), number(1, 3, 6))
        if shortcut == "identity" and random.random() < 0.5:
            channels[2] = channels[0]
        kernel_size, stride = number(1, 2, 3, 3, 4, 5), number(1, 1, 2, 3)
        projection_kernel_size = number(1, 1, 2, 3) if shortcut == "projection" else 1
        outcome = outcome_in_bare_torch(kind, channels, size, kernel_size, stride, shortcut,
                                        projection_kernel_size)
        seen[outcome] += 1

        # Refused on purpose: no centre pixel, and a stride that only a one-pixel image survives.
        on_purpose = kernel_size % 2 == 0 or kind != "plain" and (
            projection_kernel_size % 2 == 0 or shortcut == "identity" and stride != 1 and size == (1, 1))
        expected = outcome == "runs" and not on_purpose

        count, build = KINDS[kind]
        settings = dict(kernel_size=kernel_size, stride=stride)
        if kind != "plain":
            settings |= dict(shortcut=shortcut, projection_kernel_size=projection_kernel_size)
        given = kind, channels, size, settings
        assert accepts(count, *channels, size=size, **settings) == expected, given
        if are_whole(*channels, *size, kernel_size, stride, projection_kernel_size):
            lenient = count(*channels, size=size, strict=False, **settings)
            assert (lenient.problem is None) == expected, given
            assert (lenient.after != ()) == expected, given
        else:  # not even a lenient count can go on
            assert not accepts(count, *channels, size=size, strict=False, **settings), given
        if are_whole(*size):  # a module is built before it sees an image
            assert accepts(build, *channels, **settings) == expected, given
    assert min(seen.values()) >= 50, seen


# --- activation memory, measured -------------------------------------------------------------


class Storages(TorchDispatchMode):
    """Every storage that operations make, by identity, so that a view or an in-place result adds none."""

    def __init__(self, x):
        super().__init__()
        self.bytes = {StorageWeakRef(x.untyped_storage()): x.untyped_storage().nbytes()}
        self.peak, self.operations = self.alive(), []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.operations.append(function.__name__.split(".")[0])
        tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        for storage in (tensor.untyped_storage() for tensor in tensors):
            self.bytes.setdefault(StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, self.alive())
        return result

    def alive(self):
        return sum(size for storage, size in self.bytes.items() if not storage.expired())


def bytes_saved_by_autograd(block, x):
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage  # held, so that no address comes twice

    with saved_tensors_hooks(pack, lambda _: None):
        block.train()(x)
    for tensor in (*block.parameters(), *block.buffers()):
        saved.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(storage.nbytes() for storage in saved.values())


def test_all_outputs_and_inference_peak_are_the_bytes_that_torch_allocates():
    for count, block, x in random_blocks(150, seed=4):
        with Storages(x) as storages, torch.no_grad():
            block.eval()(x)
        assert count.all_outputs == sum(storages.bytes.values()) - x.nbytes
        assert count.inference_peak == storages.peak


def test_saved_for_backward_is_what_autograd_saves():
    for count, block, x in random_blocks(150, seed=5):
        assert count.saved_for_backward == bytes_saved_by_autograd(block, x)


def test_the_input_is_saved_once_whether_or_not_it_needs_a_gradient():
    count, block = counting.basic_block(4, 4, 4, size=8), blocks.BasicBlock(4, 4, 4)
    x = torch.rand(1, 4, 8, 8)
    assert bytes_saved_by_autograd(block, x) == count.saved_for_backward
    assert bytes_saved_by_autograd(block, x.requires_grad_()) == count.saved_for_backward


# --- published numbers -----------------------------------------------------------------------


@pytest.mark.parametrize("count, channels, settings, parameters, macs", [
    (counting.bottleneck, (256, 64, 256), {}, 69_632, 7_130_316_800),
    (counting.bottleneck, (256, 64, 256), dict(shortcut="projection", projection_bias=True), 135_424,
     13_841_203_200),
    (counting.basic_block, (256, 64, 64), dict(shortcut="projection", projection_kernel_size=3), 331_776,
     33_973_862_400),
    (counting.basic_block, (256, 256, 256), {}, 1_179_648, 120_795_955_200),
    (counting.basic_block, (64, 64, 64), {}, 73_728, 7_549_747_200),
])
def test_counts_of_the_article(count, channels, settings, parameters, macs):
    block = count(*channels, size=320, batch_norm=False, **settings)
    assert (block.parameters, block.macs) == (parameters, macs)


def test_the_bottleneck_of_the_article_keeps_400_saves_250_and_peaks_at_400_mib():
    block = counting.bottleneck(256, 64, 256, size=320, batch_norm=False)
    assert block.all_outputs == 400 * MIB
    assert block.saved_for_backward == 250 * MIB
    assert block.inference_peak == 400 * MIB


# --- what counting tools get wrong -----------------------------------------------------------


def test_the_add_is_a_row():
    rows = counting.basic_block(4, 4, 4, size=8).rows
    assert [row for row in rows if row.kind == "add"] == [counting.add((4, 8, 8), (4, 8, 8))]
    assert counting.add((4, 8, 8), (4, 8, 8)).elementwise == 4 * 8 * 8


def test_a_bias_is_an_addition_and_no_mac_although_torchinfo_adds_it_to_them():
    row = counting.conv2d((3, 8, 9), 5, 3, padding=1, bias=True)
    assert row.macs == counting.conv2d((3, 8, 9), 5, 3, padding=1, bias=False).macs
    assert row.elementwise == 5 * 8 * 9
    conv = nn.Conv2d(3, 5, 3, padding=1)
    info = torchinfo.summary(conv, input_size=(1, 3, 8, 9), device="cpu", verbose=0)
    assert info.total_mult_adds == row.macs + row.elementwise


def test_padding_same_is_counted():
    same = counting.conv2d((3, 8, 9), 5, 3, padding="same")
    assert same == counting.conv2d((3, 8, 9), 5, 3, padding=1)
    assert same.macs == 3 * 3 * 3 * 5 * 8 * 9


def test_a_relu_is_counted_once_although_the_block_uses_one_module_twice():
    block = blocks.BasicBlock(4, 4, 4, batch_norm=False)
    block.residual.relu1 = block.relu  # one module, two places
    with Storages(x := torch.rand(1, 4, 8, 8)) as storages, torch.no_grad():
        block(x)
    count = counting.basic_block(4, 4, 4, size=8, batch_norm=False)
    assert [row.kind for row in count.rows].count("relu") == storages.operations.count("relu") == 2
    assert count.elementwise == 3 * 4 * 8 * 8  # two ReLUs and the add
    assert counting.relu((4, 8, 8)).elementwise == 4 * 8 * 8


def test_an_fx_of_one_channel_is_refused_although_torch_adds_it_to_every_channel():
    assert (torch.zeros(1, 8, 8) + torch.zeros(4, 8, 8)).shape == (4, 8, 8)
    why = r"F\(x\) has 1 channel and x has 4: .* PyTorch would silently repeat"
    with pytest.raises(SettingError, match=why):
        counting.add((1, 8, 8), (4, 8, 8))
    with pytest.raises(SettingError, match=why):
        counting.basic_block(4, 4, 1)


def test_batch_norm_is_two_operations_a_value_and_two_parameters_a_channel():
    row = counting.batch_norm2d((4, 8, 9))
    assert (row.output, row.elementwise, row.macs) == ((4, 8, 9), 2 * 4 * 8 * 9, 0)
    for affine in (True, False):
        parameters = sum(p.numel() for p in nn.BatchNorm2d(4, affine=affine).parameters())
        assert counting.batch_norm2d((4, 8, 9), affine=affine).parameters == parameters


# --- cheap -----------------------------------------------------------------------------------


def test_counting_loads_no_torch():
    code = ("import sys, resnote.counting, resnote.settings, resnote.text as t; "
            "repr(resnote.counting.bottleneck(256, 64, 256)); assert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.thorough
def test_two_thousand_counts_leave_nothing_behind():
    counting.bottleneck(256, 64, 256).as_html()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for side in range(1, 2_001):
        counting.bottleneck(256, 64, 256, size=side).as_html()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < MIB


# --- bad values ------------------------------------------------------------------------------


CONVOLUTION = dict(shape=(4, 9, 9), out_channels=4, kernel_size=3)
BLOCK = dict(in_channels=4, width=4, out_channels=4)


@pytest.mark.parametrize("bad", [0, -1, 2.5, True, None, "a"])
@pytest.mark.parametrize("name, count", [
    *((name, lambda bad, i=i: counting.conv2d([*(4, 9, 9)[:i], bad, *(4, 9, 9)[i + 1:]], 4, 3))
      for i, name in enumerate(("channels", "height", "width"))),
    *((name, lambda bad, name=name: counting.conv2d(**CONVOLUTION | {name: bad}))
      for name in ("out_channels", "kernel_size", "stride", "dilation", "groups")),
    *((name, lambda bad, name=name: counting.conv2d(**CONVOLUTION | {name: (1, bad)}))
      for name in ("kernel_size", "stride", "dilation")),
    *((name, lambda bad, name=name, count=count: count(**BLOCK | {name: bad}))
      for name in (*BLOCK, "size", "kernel_size", "stride", "projection_kernel_size")
      for count in (counting.basic_block, counting.bottleneck)),
    *((name, lambda bad, name=name: counting.plain_block(**BLOCK | {name: bad}))
      for name in (*BLOCK, "size", "kernel_size", "stride")),
])
def test_a_size_that_is_no_whole_number_of_1_or_more_is_named_in_the_error(name, count, bad):
    with pytest.raises(SettingError) as error:
        count(bad)
    assert f"{name} is {bad!r}" in str(error.value)


@pytest.mark.parametrize("bad", [-1, 2.5, True, None, "a", (1, -1), (1, 1, 1)])
def test_a_bad_padding_is_named_in_the_error(bad):
    with pytest.raises(SettingError) as error:
        counting.conv2d((4, 9, 9), 4, 3, padding=bad)
    assert f"padding is {bad!r}" in str(error.value)


@pytest.mark.parametrize("bad", [5, None, (), (4, 9), (1, 4, 9, 9), "ab"])
@pytest.mark.parametrize("count", [
    lambda shape: counting.conv2d(shape, 4, 3), counting.batch_norm2d, counting.relu,
    lambda shape: counting.add(shape, (4, 9, 9)), lambda shape: counting.add((4, 9, 9), shape)])
def test_a_shape_that_is_not_chw_is_refused_with_what_was_given(count, bad):
    with pytest.raises(SettingError) as error:
        count(bad)
    assert repr(bad) in str(error.value) and "(channels, height, width)" in str(error.value)


@pytest.mark.parametrize("count", [counting.basic_block, counting.bottleneck])
def test_an_unknown_shortcut_lists_the_known_ones(count):
    with pytest.raises(SettingError) as error:
        count(4, 4, 4, shortcut="option A")
    assert all(repr(name) in str(error.value) for name in ("option A", *SHORTCUTS))


def test_groups_that_divide_only_one_channel_count_are_refused():
    for channels in ((4, 6), (6, 4)):
        with pytest.raises(SettingError, match=f"groups=3 must divide both.* {channels[0]} in and {channels[1]} out"):
            counting.conv2d((channels[0], 9, 9), channels[1], 3, groups=3)


@pytest.mark.filterwarnings("error")  # numpy warns where its integers overflow
@pytest.mark.parametrize("whole", [np.int64, np.int32, np.int16])
def test_numpy_integers_are_counted_as_python_integers(whole):
    shape = whole(256), whole(320), whole(320)
    convolution = counting.conv2d(shape, whole(256), (whole(3), 3), padding=whole(1))
    assert convolution == counting.conv2d((256, 320, 320), 256, 3, padding=1)
    block = counting.basic_block(*3 * [whole(256)], size=whole(320), kernel_size=whole(3), stride=whole(1))
    assert json.dumps(block.as_dict()) == json.dumps(
        counting.basic_block(256, 256, 256, size=320, kernel_size=3, stride=1).as_dict())


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_a_small_numpy_stride_is_no_smaller_than_a_python_one(shortcut):
    strided = [counting.basic_block(4, 4, 4, size=320, stride=stride, shortcut=shortcut, strict=False)
               for stride in (np.int8(2), 2)]
    assert strided[0] == strided[1]


# --- as text, as HTML, as a dict -------------------------------------------------------------


@pytest.fixture
def projected():
    return counting.bottleneck(4, 2, 8, size=(9, 12), stride=2, bias=True, shortcut="projection")


def test_the_last_line_and_the_last_table_row_hold_the_totals(projected):
    totals = [f"{projected.parameters:,}", f"{projected.macs:,}", f"{projected.elementwise:,}",
              *format_bytes(projected.all_outputs).split()]
    *table, memory = projected.as_text().splitlines()
    assert table[-1].split() == ["total", *totals]
    assert [line.split()[0] for line in table[2:-2]] == [row.name.split()[0] for row in projected.rows]
    last_row = projected.as_html().rsplit("<tr", 1)[1]
    assert all(total in last_row for total in totals)
    for value in (projected.all_outputs, projected.saved_for_backward, projected.inference_peak):
        assert format_bytes(value) in memory and format_bytes(value) in projected.as_html()


def test_the_totals_are_the_sums_of_the_rows(projected):
    for total, of_row in (("parameters",) * 2, ("macs",) * 2, ("elementwise",) * 2, ("all_outputs", "bytes")):
        assert getattr(projected, total) == sum(getattr(row, of_row) for row in projected.rows)


def test_the_formula_of_a_row_is_its_parameters(projected):
    grouped = counting.conv2d((6, 9, 9), 4, (3, 5), groups=2)
    assert grouped.formula == "3·5·(6/2)·4 + 4"
    for row in (grouped, *projected.rows):
        assert eval(row.formula.replace("·", "*") or "0") == row.parameters


def test_a_dict_survives_json_and_holds_the_totals(projected):
    refused = counting.basic_block(4, 4, 8, size=8, strict=False)
    for count in (projected, refused):
        restored = json.loads(json.dumps(count.as_dict()))
        for name in ("name", "parameters", "macs", "elementwise", "all_outputs", "saved_for_backward",
                     "inference_peak"):
            assert restored[name] == getattr(count, name)
        assert tuple(restored["input"]) == count.input
        assert restored["rows"] == [row._asdict() | {"output": list(row.output), "stride": list(row.stride)}
                                    for row in count.rows]
        assert restored["problem"] == (count.problem and count.problem._asdict())


def test_html_escapes_what_it_is_given(projected):
    row = counting.relu((4, 8, 8), name="<i>row</i>")
    html = projected._replace(name="<b>&", after=(row,)).as_html()
    assert "<b>" not in html and "&lt;b&gt;&amp;" in html
    assert "<i>" not in html and "&lt;i&gt;row&lt;/i&gt;" in html


def test_a_block_that_cannot_run_says_so_in_text_and_html():
    count = counting.basic_block(4, 4, 8, size=8, strict=False)
    assert count.problem.where == "add" and "F(x) has 8 channels and x has 4" in count.problem.message
    assert f"This block cannot run: {count.problem.message}" in repr(count)
    assert "This block cannot run: F(x) has 8 channels and x has 4" in count._repr_html_()


@pytest.mark.parametrize("where, settings", [
    ("kernel", dict(kernel_size=4)), ("shortcut", dict(shortcut="projection", projection_kernel_size=2)),
    ("add", dict(stride=2))])
def test_a_problem_says_where_the_block_fails(where, settings):
    count = counting.basic_block(4, 4, 4, size=8, strict=False, **settings)
    assert count.problem.where == where
    assert count.residual != () and count.after == ()


@pytest.mark.parametrize("count, text", [
    (0, "0 B"), (999, "999 B"), (1000, "1,000 B"), (1023, "1,023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"),
    (409_600, "400 KiB"), (1000 * 1024, "1,000 KiB"), (1024**2, "1 MiB"), (400 * MIB, "400 MiB"),
    (1024**3, "1 GiB"), (1024**4, "1 TiB")])
def test_bytes_are_written_in_binary_units(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize("count, text", [
    (0, "0"), (999, "999"), (1000, "1 k"), (999_499, "999 k"), (999_500, "1 M"), (999_999, "1 M"),
    (10**6, "1 M"), (7_130_316_800, "7.13 G"), (120_795_955_200, "121 G"), (10**12, "1 T"), (10**15, "1 P")])
def test_macs_are_written_with_si_prefixes(count, text):
    assert format_macs(count) == text


@pytest.mark.parametrize("along", [(1, 0), (0, 1)])
def test_padding_decides_whether_a_kernel_fits_into_a_thin_image(along):
    shape = (1, *(1 if thin else 9 for thin in along))
    padding = tuple(along)
    assert counting.conv2d(shape, 1, 3, padding=padding).output == tuple(
        F.conv2d(torch.zeros(1, *shape), torch.zeros(1, 1, 3, 3), padding=padding).shape[1:])
    for kernel_size, padding in ((3, 0), (4, padding)):
        with pytest.raises(SettingError, match="does not fit"):
            counting.conv2d(shape, 1, kernel_size, padding=padding)


@pytest.mark.parametrize("build", [counting.plain_block, counting.basic_block, counting.bottleneck])
def test_a_block_without_settings_is_3x3_with_batch_norm_and_no_bias_on_320_pixels(build):
    written_out = build(8, 4, 8, size=320, kernel_size=3, stride=1, bias=False, batch_norm=True)
    assert build(8, 4, 8) == written_out


def test_a_shortcut_is_counted_unless_it_is_what_cannot_run():
    even = counting.basic_block(4, 4, 8, kernel_size=2, shortcut="projection", strict=False)
    assert even.problem.where == "kernel" and even.parameters == 4 * 4 * 4 + 4 * 4 * 8 + 4 * 8 + 2 * (4 + 8 + 8)
    fewer = counting.basic_block(8, 8, 4, shortcut="zero-pad", strict=False)
    assert fewer.problem.where == "shortcut" and "pad" not in [row.kind for row in fewer.rows]
    padded, = (row for row in counting.basic_block(4, 8, 8, stride=2, shortcut="zero-pad").rows if row.kind == "pad")
    assert (padded.parameters, padded.macs, padded.elementwise) == (0, 0, 0)


def test_a_formula_names_groups_only_where_there_are_some():
    assert counting.conv2d((4, 8, 8), 6, 3).formula == "3·3·4·6 + 6"
    assert counting.conv2d((4, 8, 8), 6, (3, 1), groups=2, bias=False).formula == "3·1·(4/2)·6"


def test_a_convolution_without_settings_is_torchs_without_settings():
    ours, torchs = counting.conv2d((2, 7, 7), 3, 3), torch.nn.Conv2d(2, 3, 3)
    assert ours.output == tuple(torchs(torch.zeros(1, 2, 7, 7)).shape[1:])
    assert ours.parameters == sum(p.numel() for p in torchs.parameters()) and ours.stride == torchs.stride


@pytest.mark.parametrize("build, message", [
    (lambda: counting.conv2d((4, 8, 8), 4, 3, stride=2, padding="same"),
     "padding='same' keeps the size, so it needs stride 1, not 2. Give the padding as a number, or use stride=1."),
    (lambda: counting.conv2d((4, 8, 4), 4, 3, padding=(1, 2), dilation=5),
     "A kernel that reaches over 11 x 11 pixels does not fit into 10 x 8 (image and padding). Use a smaller kernel or "
     "dilation, or more padding."),
    (lambda: counting.basic_block(4, 4, 4, kernel_size=4),
     "A 4 x 4 kernel has no centre pixel: no padding gives an image of the same size, so F(x) would not lie on x. Use an "
     "odd kernel, 3 or 5."),
    (lambda: counting.basic_block(4, 4, 4, size=(6, 5), stride=2),
     "F(x) is 3 x 3 and x is 6 x 5: they cannot be added. Use a shortcut with the same stride ('projection' or "
     "'zero-pad'), or stride 1."),
    (lambda: counting.basic_block(4, 4, 4, size=2, stride=2),
     "F(x) is 1 x 1 and x is 2 x 2: they must not be added. PyTorch would silently repeat the single row or column. Use "
     "a shortcut with the same stride ('projection' or 'zero-pad'), or stride 1."),
    (lambda: counting.basic_block(4, 4, 1, size=6, stride=2),
     "F(x) has 1 channel and x has 4: they cannot be added. Use a projection (shortcut='projection') with the same stride."),
    (lambda: counting.conv2d((4, 8, 8), 4, 0), "kernel_size is 0; it must be a whole number of 1 or more, or a pair of "
     "them. Give kernel_size as an int, such as 3."),
    (lambda: counting.conv2d((4, 8, 8), 0, 3),
     "out_channels is 0; it must be a whole number of 1 or more. Give out_channels as an int, such as 1."),
])
def test_a_refusal_says_what_was_given_what_is_needed_and_what_to_do(build, message):
    with pytest.raises(SettingError) as refused:
        build()
    assert str(refused.value) == message
