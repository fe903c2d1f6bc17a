"""Lesson 01's explorer: every position answers, with the numbers that a loop by hand finds."""

import math
from itertools import chain

import pytest
import torch
from controls import assert_every_position_draws, images, live, parse, still, texts

from resnote.text import sci
from resnote import signals
from resnote.explorers import SignalExplorer, signal
from resnote.settings import SettingError

pytestmark = pytest.mark.subject("SignalExplorer", needs=["explorers"])


@pytest.mark.thorough
@pytest.mark.parametrize("preset", [0, 4, 5])
def test_every_position_of_every_control_draws(preset):
    assert_every_position_draws(SignalExplorer(list(SignalExplorer.presets)[preset]))


@pytest.mark.parametrize("preset", SignalExplorer.presets)
def test_the_still_of_every_preset_carries_its_alt_text(preset):
    page = still(SignalExplorer(preset))
    assert not list(page.iter("svg")) and [alt for alt, _ in images(page) if len(alt) >= 40]


@pytest.mark.parametrize("activation, gain, value, batch_norm", [
    (torch.tanh, "2", 2, False), (torch.sigmoid, "0.7", 0.7, False), (torch.tanh, "1 (Xavier)", 1, True), (torch.relu, "√2 (He)", 2**0.5, True)])
def test_the_signal_is_the_one_that_a_loop_by_hand_sends(activation, gain, value, batch_norm):
    name = {torch.tanh: "tanh", torch.sigmoid: "sigmoid", torch.relu: "ReLU"}[activation]
    state = signal.State(depth=3, activation=name, gain=gain, batch_norm=batch_norm)
    images, labels, directions, last = signals._signal()
    sent = signal.Profile(*signals.propagate(3, name, value, batch_norm))
    x, weights = images, [(w * value / 8).requires_grad_() for w in directions[:3]]
    for n, weight in enumerate(weights):
        z = x @ weight.T
        if batch_norm:
            z = (z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt()
        x = activation(z)
        assert sent.spread[n] == pytest.approx(x.std(0).mean().item(), rel=1e-10)
    torch.nn.functional.cross_entropy(x @ last.T, labels).backward()
    assert sent.gradient == pytest.approx([w.grad.norm().item() for w in weights], rel=1e-10)
    for exact, shown in zip((*sent.spread, *sent.gradient), chain(*signal.propagate(state))):
        assert shown == float(f"{exact:.4e}")


def forget():
    signals._layers_so_far.cache_clear()
    signals._profile.cache_clear()


def test_a_depth_shows_the_same_whatever_was_shown_before():
    depths = (30, 60, 1, 31, 59)
    forget()
    again = [signals.propagate(depth, "tanh", 1.2, True) for depth in depths]
    for depth, found in zip(depths, again):
        forget()
        assert signals.propagate(depth, "tanh", 1.2, True) == found and len(found[0]) == len(found[1]) == depth


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
    assert SignalExplorer().lab.controls["depth"].max == len(signal.propagate(signal.State(depth=60)).spread) == 60
    assert "60" in texts(parse(SignalExplorer().lab.views["spread"].value))


def test_each_chart_shows_its_own_profile_live_and_still():
    explorer = SignalExplorer("ReLU with batch norm")
    profile = signal.propagate(explorer.lab.state)
    titles = ("Spread of the signal", "Gradient of the weights")
    for part, title, arrow, values, (alt, saved) in zip(("spread", "gradient"), titles, "→←", profile, images(still(explorer)), strict=True):
        for drawing in (parse(explorer.lab.views[part].value), saved):
            assert {title, f"{sci(values[0])} {arrow} {sci(values[-1])}"} <= set(texts(drawing))
        assert alt.startswith(f"{title}, layer 1 to 30: {sci(values[0])} at the first, ")
    assert sci(profile.spread[0]) != sci(profile.gradient[0])


def test_a_move_of_the_signal_is_told_with_its_first_and_last_layer():
    explorer = SignalExplorer("ReLU with batch norm")
    explorer.lab.controls["depth"].value = 12
    spread, gradient = signal.propagate(signal.State(depth=12, activation="ReLU", gain="√2 (He)", batch_norm=True))
    assert (f"Layers: from 30 to 12. The signal's spread goes from {sci(spread[0])} to {sci(spread[-1])}; the gradient's norm is "
            f"{sci(gradient[-1])} at the last layer and {sci(gradient[0])} at the first.") in live(explorer)
    assert sci(spread[0]) != sci(spread[-1]) and sci(gradient[0]) != sci(gradient[-1])


def test_a_signal_that_was_sent_without_gradients_is_a_signal_as_any_other():
    forget()
    with torch.no_grad():
        without = signals.propagate(3, "tanh", 1.0, False)
    assert without == signals.propagate(3, "tanh", 1.0, False) and signals.propagate(4, "tanh", 1.0, False)


def test_the_signal_is_sent_in_one_thread_and_the_others_come_back(monkeypatch):
    torch.set_num_threads(2)
    seen = []
    monkeypatch.setitem(signals.FUNCTIONS, "tanh", lambda z: seen.append(torch.get_num_threads()) or torch.tanh(z))
    forget()
    signal.propagate(signal.State(depth=2, activation="tanh"))
    assert (seen, torch.get_num_threads()) == ([1, 1], 2)


@pytest.mark.parametrize("setting, words", [({"depth": 0}, "depth"), ({"depth": 61}, "1 to 60"), ({"depth": 2.0}, "depth"),
                                            ({"activation": "relu"}, "'ReLU'"), ({"gain": 1}, "Xavier")])
def test_a_signal_that_the_controls_do_not_have_is_refused_in_words(setting, words):
    with pytest.raises(SettingError, match=words):
        signal.propagate(signal.State(**setting))
    signal.propagate(signal.State())
