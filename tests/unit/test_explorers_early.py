"""The explorers of lessons 01 and 02: every position answers, and says what bare torch would do."""

import math
import re
from base64 import b64decode
from dataclasses import asdict, replace
from html import escape

import pytest
import torch
import torch.nn.functional as F
from controls import html, positions

from resnote import blocks
from resnote.charts import sci
from resnote.explorers import BlockExplorer, SignalExplorer, block, signal
from resnote.settings import SettingError


@pytest.mark.parametrize("make, preset", [(BlockExplorer, 0), (BlockExplorer, 1), (SignalExplorer, 0), (SignalExplorer, 4), (SignalExplorer, 5)])
def test_every_position_of_every_control_draws(make, preset):
    explorer = make(list(make.presets)[preset])
    assert explorer.controls.keys() == asdict(explorer.state).keys()
    for name, control in explorer.controls.items():
        start = control.value
        for position in positions(control):
            control.value = position
            assert getattr(explorer.state, name) == position
            assert "could not draw" not in html(explorer) and "<svg" in html(explorer)
        control.value = start


@pytest.mark.parametrize("make", [BlockExplorer, SignalExplorer])
def test_the_still_of_every_preset_carries_its_alt_text(make):
    for name in make.presets:
        still = make(name)._repr_mimebundle_()["text/html"]
        assert "<svg" not in still and re.findall(r'<img alt="[^"]{40,}"', still)


@pytest.mark.parametrize("make", [BlockExplorer, SignalExplorer])
def test_the_text_for_a_page_without_html_has_no_html_in_it(make, monkeypatch):
    explorer = make()
    monkeypatch.setattr(explorer, "says", lambda before, state: '<b class="x">64</b> channels')
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
    explorer.controls["kind"].value = "bottleneck"
    explorer.controls["width"].value = 16
    explorer.controls["out_channels"].value = 128
    for words in (explorer.views["words"].value, explorer._repr_mimebundle_()["text/html"]):
        assert "<code>Bottleneck(64, 16, 128)</code>" in words
        assert "stops: the size of tensor a (128) must match the size of tensor b (64)" in words
        assert "F(x) has 128 channels and x has 64: they cannot be added." in words


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
    explorer.controls["width"].value = 32
    assert "Middle channels: from 64 to 32. 64 × 32 × 32 becomes 64 × 32 × 32; 37,056 parameters." in explorer.views["live"].value


@pytest.mark.parametrize("name", ["in_channels", "width", "out_channels"])
def test_the_widest_map_of_the_block_fills_the_width(name):
    drawing = BlockExplorer().picture(replace(block.State(), **{name: 256}))["drawing"]
    x = [float(x) for points in re.findall(r'<polygon points="([^"]+)"', drawing) for x in re.findall(r"([\d.-]+),", points)]
    assert max(x) - min(x) == 180


@pytest.mark.parametrize("activation, gain, value, batch_norm", [
    (torch.tanh, "2", 2, False), (torch.sigmoid, "0.7", 0.7, False), (torch.tanh, "1 (Xavier)", 1, True), (torch.relu, "√2 (He)", 2**0.5, True)])
def test_the_signal_is_the_one_that_a_loop_by_hand_sends(activation, gain, value, batch_norm):
    name = {torch.tanh: "tanh", torch.sigmoid: "sigmoid", torch.relu: "ReLU"}[activation]
    state = signal.State(depth=3, activation=name, gain=gain, batch_norm=batch_norm)
    images, labels, directions, last = signal._signal()
    x, weights = images, [(w * value / 8).requires_grad_() for w in directions[:3]]
    for n, weight in enumerate(weights):
        z = x @ weight.T
        if batch_norm:
            z = (z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt()
        x = activation(z)
        assert signal.propagate(state).spread[n] == pytest.approx(x.std(0).mean().item(), rel=1e-10)
    torch.nn.functional.cross_entropy(x @ last.T, labels).backward()
    assert signal.propagate(state).gradient == pytest.approx([w.grad.norm().item() for w in weights], rel=1e-10)


def test_presets_show_what_their_names_say():
    profile = {name: signal.propagate(state) for name, state in signal.PRESETS.items()}
    assert profile["Sigmoid vanishes"].gradient[0] < 1e-12 and profile["Sigmoid vanishes"].spread[-1] < 1e-12
    assert all(0.1 < value < 3 for value in profile["ReLU, He"].spread)
    assert profile["Exploding"].spread[-1] > 1e6 and profile["ReLU, too small"].spread[-1] < 1e-3
    spread, gradient = profile["ReLU with batch norm"]
    assert max(spread) / min(spread) < 1.2 and gradient[0] > 20 * gradient[-1]
    for name, state in signal.PRESETS.items():
        assert state.activation == ("sigmoid" if "Sigmoid" in name else "tanh" if "Tanh" in name else "ReLU")
        assert ("Xavier" not in name or state.gain == "1 (Xavier)") and ("He" not in name or state.gain == "√2 (He)")
        assert state.batch_norm == ("batch norm" in name)


def test_a_gain_is_the_number_on_its_label():
    for label, gain in signal.GAINS.items():
        number = label.split()[0]
        assert gain == (math.sqrt(2) if number == "√2" else float(number))


def test_the_deepest_signal_has_60_layers():
    assert SignalExplorer().controls["depth"].max == len(signal.propagate(signal.State(depth=60)).spread) == 60
    assert ">60</text>" in SignalExplorer().views["spread"].value


def test_each_chart_shows_its_own_profile_live_and_still():
    explorer = SignalExplorer("ReLU with batch norm")
    profile = signal.propagate(explorer.state)
    images = re.findall(r'<img alt="([^"]+)".*?base64,([^"]+)"', explorer._repr_mimebundle_()["text/html"])
    titles = ("Spread of the signal", "Gradient of the weights")
    for part, title, arrow, values, (alt, data) in zip(("spread", "gradient"), titles, "→←", profile, images, strict=True):
        for svg in (explorer.views[part].value, b64decode(data).decode()):
            assert f">{title}</text>" in svg and f">{sci(values[0])} {arrow} {sci(values[-1])}</text>" in svg
        assert alt.startswith(f"{title}, layer 1 to 30: {sci(values[0])} at the first, ")
    assert sci(profile.spread[0]) != sci(profile.gradient[0])


def test_a_move_of_the_signal_is_told_with_its_first_and_last_layer():
    explorer = SignalExplorer("ReLU with batch norm")
    explorer.controls["depth"].value = 12
    spread, gradient = signal.propagate(signal.State(depth=12, activation="ReLU", gain="√2 (He)", batch_norm=True))
    assert escape(f"Layers: from 30 to 12. The signal's spread goes from {sci(spread[0])} to {sci(spread[-1])}; the gradient's norm is "
                  f"{sci(gradient[-1])} at the last layer and {sci(gradient[0])} at the first.") in explorer.views["live"].value
    assert sci(spread[0]) != sci(spread[-1]) and sci(gradient[0]) != sci(gradient[-1])


def test_the_signal_is_sent_in_one_thread_and_the_others_come_back(monkeypatch):
    torch.set_num_threads(2)
    seen = []
    monkeypatch.setitem(signal.ACTIVATIONS, "tanh", lambda z: seen.append(torch.get_num_threads()) or torch.tanh(z))
    signal.propagate.cache_clear()
    signal.propagate(signal.State(depth=2, activation="tanh"))
    assert (seen, torch.get_num_threads()) == ([1, 1], 2)


@pytest.mark.parametrize("setting, words", [({"depth": 0}, "depth"), ({"depth": 61}, "1 to 60"), ({"depth": 2.0}, "depth"),
                                            ({"activation": "relu"}, "'ReLU'"), ({"gain": 1}, "Xavier")])
def test_a_signal_that_the_controls_do_not_have_is_refused_in_words(setting, words):
    with pytest.raises(SettingError, match=words):
        signal.propagate(signal.State(**setting))
    signal.propagate(signal.State())
