"""What every explorer does: a move draws once and in place, nothing is ever raised, and words cannot break the page."""

from dataclasses import replace

import pytest
from controls import html, live, parse, presets

from resnote.explorers import BottleneckExplorer
from resnote.explorers.bottleneck import PRESETS, State

pytestmark = pytest.mark.subject("explorers")


def test_the_preset_button_follows_the_sliders():
    explorer = BottleneckExplorer("Equal channels")
    explorer.controls["basic_in"].value = 255
    assert presets(explorer).value is None
    explorer.controls["basic_in"].value = 256
    assert presets(explorer).value == "Equal channels"
    explorer.controls["basic_in"].value = 255
    presets(explorer).value = "Equal channels"
    assert explorer.controls["basic_in"].value == 256


def test_an_error_while_drawing_is_a_sentence_in_place_and_the_next_move_works(monkeypatch):
    explorer = BottleneckExplorer()

    def shows(state):
        return [explorer.views[part].value for part in explorer.parts] == list(BottleneckExplorer().picture(state).values())

    def broken(state):
        raise RuntimeError("provoked")
    with monkeypatch.context() as patch:
        patch.setattr(explorer, "picture", broken)
        explorer.controls["basic_width"].value = 8
        assert "could not draw this setting (RuntimeError: provoked)" in live(explorer)
        assert not list(parse(html(explorer)).iter("svg")) and presets(explorer).value is None
    preset, state = next(iter(PRESETS.items()))        # the one from which the move came
    presets(explorer).value = preset
    assert explorer.state == state and explorer.read() == state and shows(state)
    with monkeypatch.context() as patch:
        patch.setattr(explorer, "picture", broken)
        explorer.controls["basic_width"].value = 8
    explorer.controls["basic_width"].value = 16
    assert shows(replace(State(), basic_width=16)) and "could not draw" not in live(explorer)


def test_one_move_sets_each_part_once_and_only_where_it_changed():
    explorer = BottleneckExplorer("The article's tables")
    seen = []
    for part, view in explorer.views.items():
        view.observe(lambda change, part=part: seen.append(part), names="value")
    explorer.controls["bottleneck_width"].value = 32
    assert seen == ["bottleneck", "totals", "live"]
    seen.clear()
    presets(explorer).value = "Equal channels"
    assert sorted(seen) == ["basic", "bottleneck", "live", "totals"]


def test_a_sentence_cannot_break_the_page(monkeypatch):
    explorer = BottleneckExplorer()
    monkeypatch.setattr(explorer, "says", lambda before, state: "<script>")
    explorer.controls["side"].value = 64
    assert live(explorer) == "<script>" and not list(parse(html(explorer)).iter("script"))


def test_two_explorers_do_not_share_state():
    one, two = BottleneckExplorer(), BottleneckExplorer()
    one.controls["side"].value = 32
    assert two.state.side == 320


def test_an_unknown_preset_is_refused_with_the_names_of_the_known():
    with pytest.raises(ValueError, match="Equal channels"):
        BottleneckExplorer("Fig 5")
