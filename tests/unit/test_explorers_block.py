"""Lesson 02's explorer: every position answers, and says what bare torch would do."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from controls import assert_every_position_draws, images, live, parse, points, still, words

from resnote import blocks
from resnote.explorers import BlockExplorer, block

pytestmark = pytest.mark.subject("BlockExplorer", needs=["explorers"])


@pytest.mark.thorough
@pytest.mark.parametrize("preset", [0, 1])
def test_every_position_of_every_control_draws(preset):
    assert_every_position_draws(BlockExplorer(list(BlockExplorer.presets)[preset]))


@pytest.mark.parametrize("preset", BlockExplorer.presets)
def test_the_still_of_every_preset_carries_its_alt_text(preset):
    page = still(BlockExplorer(preset))
    assert not list(page.iter("svg")) and [alt for alt, _ in images(page) if len(alt) >= 40]


def test_the_text_for_a_page_without_html_has_no_html_in_it(monkeypatch):
    explorer = BlockExplorer()
    monkeypatch.setattr(BlockExplorer, "sentence", staticmethod(lambda before, numbers: '<b class="x">64</b> channels'))
    assert explorer._repr_mimebundle_()["text/plain"] == "64 channels"


SETTINGS = [replace(block.State(side=8), kind=kind, in_channels=c_in, width=4, out_channels=c_out, stride=stride, shortcut=shortcut, side=side)
            for kind in ("basic block", "bottleneck") for c_in in (1, 4, 6) for c_out in (1, 4, 6) for stride in (1, 2, 3) for side in (1, 2, 5)
            for shortcut in ("identity", "projection", "zero-pad")]


def test_what_bare_pytorch_does_is_what_it_does():
    """The naive sum of F(x) and the shortcut, built without a check."""
    for state in SETTINGS:
        said = block.bare_pytorch(state)
        x = torch.randn(1, state.in_channels, state.side, state.side)
        fx = torch.randn(1, *block.count(state).residual[-1].output)
        if state.shortcut == "zero-pad" and state.out_channels < state.in_channels:
            negative = state.out_channels - state.in_channels
            result = fx + F.pad(x[:, :, ::state.stride, ::state.stride], (0, 0, 0, 0, 0, negative))
            assert f"cuts {-negative} channels off x without a word, and the sum is " + " × ".join(map(str, result.shape[1:])) in said
            with pytest.raises(RuntimeError):
                torch.zeros(1, negative, 1, 1)
            assert said.endswith("torch.zeros refuses the number, and stops.")
            continue
        shortcut = x if state.shortcut == "identity" else torch.randn(1, *block.count(replace(
            state, shortcut="projection")).shortcut[0].output)
        try:
            result = fx + shortcut
        except RuntimeError as refused:
            assert str(refused)[0].lower() + str(refused)[1:] in said, state
            continue
        assert " × ".join(map(str, result.shape[1:])) in said
        assert ("without a word" in said) == (fx.shape != shortcut.shape)


def test_the_call_that_the_explorer_shows_builds_the_block_or_is_refused():
    for state in SETTINGS:
        refused = block.count(state).problem is not None
        try:
            built = eval(block.code(state), vars(blocks))
        except ValueError:
            # A stride with the identity is refused for every image, also for one pixel.
            assert refused
        else:
            assert not refused
            assert type(built) is {"basic block": blocks.BasicBlock, "bottleneck": blocks.Bottleneck}[state.kind]
            side = math.ceil(8 / state.stride)
            assert built(torch.randn(2, state.in_channels, 8, 8)).shape[1:] == (state.out_channels, side, side)
            assert sum(p.numel() for p in built.parameters()) == block.count(state).parameters


def test_the_words_beside_the_block_are_those_of_the_setting_live_and_still():
    explorer = BlockExplorer()
    explorer.lab.controls["kind"].value = "bottleneck"
    explorer.lab.controls["width"].value = 16
    explorer.lab.controls["out_channels"].value = 128
    for page in (parse(explorer.lab.views["words"].value), still(explorer)):
        assert "Bottleneck(64, 16, 128)" in [words(code) for code in page.iter("code")]
        assert "stops: the size of tensor a (128) must match the size of tensor b (64)" in words(page)
        assert "F(x) has 128 channels and x has 64: they cannot be added." in words(page)


def test_the_blocks_presets_show_what_their_names_say():
    said = {name: (block.code(state), block.bare_pytorch(state), block.count(state).problem is None)
            for name, state in block.PRESETS.items()}
    assert said["Identity"] == ("BasicBlock(64, 64, 64)", "adds, and returns 64 × 32 × 32.", True)
    for name, shortcut in (("Next stage, projected", "projection"), ("Next stage, zero-padded", "zero-pad")):
        assert said[name] == (f"BasicBlock(64, 128, 128, stride=2, shortcut='{shortcut}')", "adds, and returns 128 × 16 × 16.", True)
    assert said["The article's trap"][1].startswith("stops: ") and not said["The article's trap"][2]
    assert said["The silent trap"][1].startswith("adds without a word") and not said["The silent trap"][2]


def test_a_move_of_the_block_is_told_from_before_to_after():
    explorer = BlockExplorer()
    explorer.lab.controls["width"].value = 32
    assert "Middle channels: from 64 to 32. 64 × 32 × 32 becomes 64 × 32 × 32; 37,056 parameters." in live(explorer)


@pytest.mark.parametrize("name", ["in_channels", "width", "out_channels"])
def test_the_widest_map_of_the_block_fills_the_width(name):
    drawing = parse(BlockExplorer().move(None, replace(block.State(), **{name: 256})).parts["drawing"])
    x = [x for polygon in drawing.iter("polygon") for x, _ in points(polygon)]
    assert max(x) - min(x) == 180
