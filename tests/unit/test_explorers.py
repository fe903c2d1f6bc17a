"""What every explorer does: a move draws once and in place, nothing is ever raised, and words cannot break the page."""

import subprocess
import sys
from dataclasses import replace

import pytest
from controls import html, live, parse, presets

from resnote import explorers
from resnote.exercises import lesson_00
from resnote.explorers import BottleneckExplorer, saved
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


@pytest.mark.parametrize("name", explorers.__all__)
def test_the_view_of_every_explorer_is_kept_out_of_the_saved_file(name, monkeypatch):
    kept = []
    monkeypatch.setattr(saved.KeepsStill, "__init__", lambda self, shown: kept.append(shown))
    explorer = getattr(explorers, name)()
    assert kept == [explorer.widget.model_id] == [explorer._repr_mimebundle_()[saved.VIEW]["model_id"]]


def test_the_view_of_a_question_is_kept_out_of_the_saved_file(monkeypatch):
    kept = []
    monkeypatch.setattr(saved.KeepsStill, "__init__", lambda self, shown: kept.append(shown))
    assert [lesson_00.guesses.shift._repr_mimebundle_()[saved.VIEW]["model_id"]] == kept


def test_importing_the_explorers_loads_no_torch_and_an_unknown_one_is_refused():
    code = "import sys; import resnote.explorers; sys.exit('torch' in sys.modules or 'ipywidgets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(ImportError, match="PlainExplorer"):
        from resnote.explorers import PlainExplorer  # noqa: F401
