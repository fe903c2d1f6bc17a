"""The stack for small images: the paper's family to the digit, and a sentence for what it cannot be."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from resnote.blocks import BasicBlock, PlainBlock
from resnote.networks import SmallNet
from resnote.settings import SettingError

PUBLISHED = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}  # CIFAR-10, option A


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("block", ["plain", "residual"])
@pytest.mark.parametrize("depth", PUBLISHED)
def test_at_the_papers_sizes_it_has_the_papers_parameters(block, depth):
    with torch.device("meta"):
        assert parameters(SmallNet(block, depth, width=16, in_channels=3)) == PUBLISHED[depth]


@pytest.mark.parametrize("depth", [8, 14, 44])
def test_depth_counts_the_layers_with_weights_on_the_longest_way(depth):
    for block, kind in (("plain", PlainBlock), ("residual", BasicBlock)):
        modules = list(SmallNet(block, depth).modules())
        assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in modules) == depth
        assert sum(type(m) is kind for m in modules) == (depth - 2) // 2


def test_plain_and_residual_start_from_the_same_weights_and_differ_by_the_additions_alone():
    networks = {}
    for block in ("plain", "residual"):
        torch.manual_seed(3)
        networks[block] = SmallNet(block, 14)
    for ours, theirs in zip(networks["plain"].parameters(), networks["residual"].parameters(), strict=True):
        assert torch.equal(ours, theirs)
    x = torch.randn(4, 1, 8, 8)
    assert not torch.allclose(networks["plain"](x), networks["residual"](x))
    for block in networks["residual"].modules():
        if isinstance(block, BasicBlock):
            block.shortcut = None
    torch.testing.assert_close(networks["plain"](x), networks["residual"](x))


@pytest.mark.parametrize("side, sides", [(8, (8, 4, 2)), (9, (9, 5, 3)), (32, (32, 16, 8)), (1, (1, 1, 1))])
def test_each_stage_halves_the_image_and_doubles_the_channels(side, sides):
    network = SmallNet("residual", 8, width=5, in_channels=2, classes=7)
    x = network.stem(torch.randn(3, 2, side, side))
    for stage, expected, channels in zip(network.stages, sides, (5, 10, 20)):
        x = stage(x)
        assert x.shape == (3, channels, expected, expected)
    assert network(torch.randn(3, 2, side, side)).shape == (3, 7)


def test_by_default_grey_images_enter_8_channels_and_leave_as_10_scores():
    stem, fc = 9 * 8 + 2 * 8, 32 * 10 + 10
    convolutions = 9 * (2 * 8 * 8 + 8 * 16 + 16 * 16 + 16 * 32 + 32 * 32)
    assert parameters(SmallNet("plain", 8)) == stem + convolutions + 2 * 2 * (8 + 16 + 32) + fc == 19_074


@pytest.mark.parametrize("block", ["plain", "residual"])
def test_its_scores_are_those_of_a_forward_pass_by_hand(block):
    torch.manual_seed(5)
    network = SmallNet(block, 14, width=3, in_channels=2, classes=4).double()
    for weight in network.parameters():
        if weight.dim() == 1:       # gamma, beta and the last bias: not 1 and 0
            nn.init.normal_(weight, 0.5)
    x = images = torch.randn(5, 2, 8, 9, dtype=torch.float64)
    weights = iter(network.parameters())

    def conv_bn(x, stride=1):
        x = F.conv2d(x, next(weights), stride=stride, padding=1)
        return F.batch_norm(x, None, None, next(weights), next(weights), training=True)

    x = conv_bn(x).relu()
    for stride in (1, 1, 2, 1, 2, 1):
        fx = conv_bn(conv_bn(x, stride).relu())
        shortcut = torch.zeros_like(fx)
        if block == "residual":
            shortcut[:, :x.shape[1]] = x[:, :, ::stride, ::stride]
        x = (fx + shortcut).relu()
    scores = x.flatten(2).mean(2) @ next(weights).T + next(weights)
    torch.testing.assert_close(network(images), scores, rtol=1e-9, atol=1e-9)     # float64, 14 layers
    assert next(weights, None) is None


def test_its_weights_have_he_spread():
    torch.manual_seed(0)
    for conv in (m for m in SmallNet("plain", 8, width=32).modules() if isinstance(m, nn.Conv2d)):
        spread = math.sqrt(2 / (9 * conv.in_channels))
        assert conv.weight.std().item() == pytest.approx(spread, rel=6 / math.sqrt(2 * conv.weight.numel()))
        assert conv.bias is None


def test_its_weights_are_normal_and_so_one_in_22_is_beyond_two_spreads():
    torch.manual_seed(0)
    convs = [m for m in SmallNet("plain", 8, width=32).modules() if isinstance(m, nn.Conv2d)]
    z = torch.cat([conv.weight.flatten() * math.sqrt(9 * conv.in_channels / 2) for conv in convs])
    share = math.erfc(math.sqrt(2))     # 0.0455; a uniform weight stays within √3
    assert (z.abs() > 2).double().mean().item() == pytest.approx(share, abs=6 * math.sqrt(share / len(z)))


@pytest.mark.parametrize("depth, offered", [(9, "8 or 14"), (2, "8 or 14"), (7, "8 or 14"), (50 + 1, "50 or 56"), (43, "38 or 44")])
def test_a_depth_that_is_not_6n_plus_2_is_told_its_neighbours(depth, offered):
    with pytest.raises(SettingError, match=f"depth is {depth}; .*Use {offered}"):
        SmallNet("plain", depth)


@pytest.mark.parametrize("settings, words", [
    ({"depth": 0}, "depth"), ({"depth": -4}, "depth"), ({"depth": 8.0}, "depth"), ({"depth": "8"}, "depth"),
    ({"depth": True}, "depth"), ({"width": 0}, "width"), ({"width": 2.5}, "width"), ({"in_channels": -1}, "in_channels"),
    ({"classes": 0}, "classes"), ({"block": "Residual"}, "'plain', 'residual' or 'bottleneck'"), ({"block": None}, "'plain', 'residual' or 'bottleneck'"),
])
def test_a_bad_setting_is_refused_by_its_name_and_the_next_good_one_works(settings, words):
    with pytest.raises(SettingError, match=words):
        SmallNet(**{"block": "plain", "depth": 8} | settings)
    SmallNet("plain", 8)


@pytest.mark.parametrize("images, words", [
    (torch.zeros(2, 3, 8, 8), "3"), (torch.zeros(1, 8, 8), r"\(N, "), (torch.zeros(2, 64), r"\(N, "),
    (torch.zeros(2, 1, 8, 8, dtype=torch.float64), "float"), (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "uint8"),
    ([[0.0]], "tensor"),
])
def test_images_that_do_not_fit_get_a_sentence_and_the_next_ones_a_score(images, words):
    network = SmallNet("residual", 8)
    with pytest.raises((SettingError, TypeError), match=words):
        network(images)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
