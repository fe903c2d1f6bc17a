"""The explorers of lessons 01 and 02: every position answers, and says what bare torch would do."""

import math
import re
from dataclasses import asdict, replace

import ipywidgets as widgets
import pytest
import torch

from resnote import blocks
from resnote.explorers import BlockExplorer, SignalExplorer, block, signal
from resnote.settings import SettingError


def html(explorer):
    return "".join(view.value for view in explorer.views.values())


def positions(control):
    if isinstance(control, widgets.IntSlider):
        return range(control.min, control.max + 1)
    return (False, True) if isinstance(control, widgets.Checkbox) else [v[1] if isinstance(v, tuple) else v for v in control.options]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("make, preset", [(BlockExplorer, 0), (BlockExplorer, 1), (SignalExplorer, 0)])
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


SETTINGS = [replace(block.State(side=8), in_channels=c_in, width=4, out_channels=c_out, stride=stride, shortcut=shortcut, side=side)
            for c_in in (1, 4, 6) for c_out in (1, 4, 6) for stride in (1, 2, 3) for side in (1, 2, 5)
            for shortcut in ("identity", "projection", "zero-pad")]


def test_what_bare_pytorch_does_is_what_it_does():
    """The naive sum of F(x) and the shortcut, built without a check."""
    for state in SETTINGS:
        said = block.bare_pytorch(state)
        if state.shortcut == "zero-pad" and state.out_channels < state.in_channels:
            assert "refuses" in said
            continue
        x = torch.randn(1, state.in_channels, state.side, state.side)
        fx = torch.randn(1, *block.count(state).residual[-1].output)
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
            assert built(torch.randn(2, state.in_channels, 8, 8)).shape[1] == state.out_channels


def test_the_signal_is_the_one_that_a_loop_by_hand_sends():
    state = signal.State(depth=3, activation="tanh", gain="2")
    images, labels, directions, last = signal._signal()
    x, weights = images, [(w * 2 / 8).requires_grad_() for w in directions[:3]]
    for n, weight in enumerate(weights):
        x = torch.tanh(x @ weight.T)
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
    assert math.isclose(signal.GAINS["√2 (He)"], math.sqrt(2))


@pytest.mark.parametrize("setting, words", [({"depth": 0}, "depth"), ({"depth": 61}, "1 to 60"), ({"depth": 2.0}, "depth"),
                                            ({"activation": "relu"}, "'ReLU'"), ({"gain": 1}, "Xavier")])
def test_a_signal_that_the_controls_do_not_have_is_refused_in_words(setting, words):
    with pytest.raises(SettingError, match=words):
        signal.propagate(signal.State(**setting))
    signal.propagate(signal.State())
