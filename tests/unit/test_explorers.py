"""What every explorer does: a move draws once and in place, nothing is ever raised, and words cannot break the page."""

import asyncio
import gc
import subprocess
import sys
from dataclasses import fields, replace

import ipywidgets as widgets
import numpy
import pytest
from controls import html, live, parse, presets, random_states

from resnote import explorers, signals
from resnote.exercises import lesson_00
from resnote.explorers import BottleneckExplorer, NormalizationExplorer, SignalExplorer, signal
from resnote.explorers.base import names_in
from resnote.hosts import at_once, saved
from resnote.settings import SettingError
from resnote.explorers.bottleneck import PRESETS, State

pytestmark = pytest.mark.subject("explorers")


def test_the_preset_button_follows_the_sliders():
    explorer = BottleneckExplorer("Equal channels")
    explorer.lab.controls["basic_in"].value = 255
    assert presets(explorer).value is None
    explorer.lab.controls["basic_in"].value = 256
    assert presets(explorer).value == "Equal channels"
    explorer.lab.controls["basic_in"].value = 255
    presets(explorer).value = "Equal channels"
    assert explorer.lab.controls["basic_in"].value == 256


def test_an_error_while_drawing_is_a_sentence_in_place_and_the_next_move_works(monkeypatch):
    explorer = BottleneckExplorer()

    def shows(state):
        return {part: explorer.lab.views[part].value for part in explorer.part_names()} == BottleneckExplorer.move(None, state).parts

    def broken(numbers):
        raise RuntimeError("provoked")
    with monkeypatch.context() as patch:
        patch.setattr(BottleneckExplorer, "draw", broken)
        explorer.lab.controls["basic_width"].value = 8
        assert "could not draw this setting (RuntimeError: provoked)" in live(explorer)
        assert not list(parse(html(explorer)).iter("svg")) and presets(explorer).value is None
        assert repr(explorer) == "BottleneckExplorer(basic_width=8)"
    preset, state = next(iter(PRESETS.items()))        # the one from which the move came
    presets(explorer).value = preset
    assert explorer.lab.state == state and explorer.lab.read() == state and shows(state)
    with monkeypatch.context() as patch:
        patch.setattr(BottleneckExplorer, "draw", broken)
        explorer.lab.controls["basic_width"].value = 8
    explorer.lab.controls["basic_width"].value = 16
    assert shows(replace(State(), basic_width=16)) and "could not draw" not in live(explorer)


def test_one_move_sets_each_part_once_and_only_where_it_changed():
    explorer = BottleneckExplorer("The article's tables")
    seen = []
    for part, view in explorer.lab.views.items():
        view.observe(lambda change, part=part: seen.append(part), names="value")
    explorer.lab.controls["bottleneck_width"].value = 32
    assert seen == ["bottleneck", "totals", "live"]
    seen.clear()
    presets(explorer).value = "Equal channels"
    assert sorted(seen) == ["basic", "bottleneck", "live", "totals"]


def test_parts_are_sent_at_once_to_a_front_end_that_takes_them_so_and_by_themselves_to_others_and_at_rest(monkeypatch):
    lab, told = BottleneckExplorer("The article's tables").lab, []
    parts = [lab.views[name] for name in ("bottleneck", "totals", "live")]
    monkeypatch.setattr(at_once, "REST", 0.05)
    monkeypatch.setattr(widgets.HTML, "send_state", lambda part, key: key and told.append((part, part.value)))
    monkeypatch.setattr(at_once.AtOnce, "send", lambda _, values: told.append(values))

    def move(width):
        lab.controls["bottleneck_width"].value = width
        values = {part.model_id: part.value for part in parts}
        return values, [(part, part.value) for part in parts]

    assert move(32)[1] == told                          # no front end has said anything, as when a notebook is run by a program
    told.clear()
    lab.at_once._handle_custom_msg("taken", [])

    async def drag():
        first, _ = move(33)
        second, own = move(34)
        assert told == [first, second]
        await asyncio.sleep(0.2)
        assert told[:2] == [first, second] and sorted(told[2:], key=parts_first) == own
        told.clear()
        third, own = move(35)
        await asyncio.sleep(0.2)
        assert told[0] == third and sorted(told[1:], key=parts_first) == own

    def parts_first(sent):
        return parts.index(sent[0])

    asyncio.run(drag())


def test_while_the_hand_rests_the_next_positions_are_computed_and_the_move_there_finds_them(monkeypatch):
    lab, asked, numbers = SignalExplorer("ReLU, He", depth=20).lab, [], SignalExplorer.numbers
    gains = list(signal.GAINS)

    def counted(state):
        asked.append(state.gain)
        if len(asked) == at:
            lab.controls["gain"].value = "0.1"          # a hand that moves on while a neighbour is computed
        if state.gain == "12":
            raise RuntimeError("no such gain")
        return numbers(state)

    monkeypatch.setattr(at_once, "REST", 0.05)
    monkeypatch.setattr(at_once.AtOnce, "send", lambda *_: None)
    monkeypatch.setattr(SignalExplorer, "numbers", staticmethod(counted))
    lab.at_once._handle_custom_msg("taken", [])
    at, missed = None, []

    async def move(gain):
        asked.clear()
        lab.controls["gain"].value = gain
        await asyncio.sleep(0.4)
        return list(asked)

    async def hand():
        nonlocal at
        asyncio.get_running_loop().set_exception_handler(lambda _, context: missed.append(context))
        for gain in ("2", "0.1", "20", "8"):                        # inside, both ends, beside a fault
            place = gains.index(gain)
            assert await move(gain) == [gain, *gains[max(place - 1, 0):place], *gains[place + 1:place + 2]]
        before = signals._profile.cache_info().misses
        lab.controls["gain"].value = "5"                            # a neighbour of 8
        assert signals._profile.cache_info().misses == before
        assert await move("12") == ["12"]
        assert "could not draw this setting (RuntimeError: no such gain)" in lab.views["live"].value
        at = 2
        assert await move("3") == ["3", "2", "0.1", "0.3"]          # not 5, the other neighbour of 3
        at = None
        asked.clear()
        presets(lab.explorer).value = "Exploding"
        await asyncio.sleep(0.4)
        assert asked == ["3"]

    asyncio.run(hand())
    gc.collect()
    assert not missed


def test_an_explorer_whose_numbers_take_no_time_does_not_look_ahead(monkeypatch):
    lab, asked, numbers = BottleneckExplorer().lab, [], BottleneckExplorer.numbers
    monkeypatch.setattr(at_once, "REST", 0.05)
    monkeypatch.setattr(at_once.AtOnce, "send", lambda *_: None)
    monkeypatch.setattr(BottleneckExplorer, "numbers", staticmethod(lambda state: asked.append(state) or numbers(state)))
    lab.at_once._handle_custom_msg("taken", [])

    async def hand():
        lab.controls["bottleneck_width"].value = 33
        await asyncio.sleep(0.2)

    asyncio.run(hand())
    assert len(asked) == 1


def test_a_sentence_cannot_break_the_page(monkeypatch):
    explorer = BottleneckExplorer()
    monkeypatch.setattr(BottleneckExplorer, "sentence", lambda before, numbers: "<script>")
    explorer.lab.controls["side"].value = 64
    assert live(explorer) == "Image side: from 320 to 64. <script>" and not list(parse(html(explorer)).iter("script"))


def test_two_explorers_do_not_share_state():
    one, two = BottleneckExplorer(), BottleneckExplorer()
    one.lab.controls["side"].value = 32
    assert two.lab.state.side == 320


def test_an_unknown_preset_is_refused_with_the_names_of_the_known():
    with pytest.raises(ValueError, match="Equal channels"):
        BottleneckExplorer("Fig 5")


# --- a setting can be given, and the line that makes it again --------------------------------------


def test_a_setting_is_given_by_its_field_or_for_both_blocks_at_once():
    assert BottleneckExplorer(side=32).lab.state == replace(State(), side=32)
    assert BottleneckExplorer("The article's tables", width=32).start == replace(
        PRESETS["The article's tables"], basic_width=32, bottleneck_width=32)
    assert BottleneckExplorer(side=numpy.int64(32), bias=numpy.True_).start == replace(State(), side=32, bias=True)
    for two in (2, 2.0, "2", "2.0", "2.00", " 2 "):
        assert NormalizationExplorer(gamma=two).start.gamma == 2.0
    for words in ("-0.5", "-0.50", "−0.50", "−0.5"):
        assert NormalizationExplorer(beta=words).start.beta == -0.5
    for words in ("on", "true", "True"):
        assert BottleneckExplorer(bias=words, width="32.0").start == replace(State(), bias=True, basic_width=32, bottleneck_width=32)
    assert explorers.InferenceExplorer(momentum="0.10").start == explorers.InferenceExplorer(momentum="0.1").start


@pytest.mark.parametrize("setting, words", [
    ({"width": 700}, "width is 700; it must be a whole number from 1 to 512"), ({"width": None}, "None"),
    ({"side": 3}, "use one of 1, 2, 4"), ({"colour": 1}, "no setting 'colour'.*basic_in"), ({"bias": 1}, "False, True"),
    ({"kernel_size": True}, "from 1 to 7"), ({"side": [32, 32]}, "side"), ({"side": numpy.ones(2)}, "side"),
    ({"basic_shortcut": "none"}, "'identity'"), ({"width": 2.5}, "2.5"), ({"width": "nan"}, "'nan'"), ({"bias": "1"}, "False, True"),
    ({"width": ""}, "''"), ({"width": "1_6"}, "'1_6'")])
def test_a_setting_that_the_controls_do_not_have_is_refused_in_words(setting, words):
    with pytest.raises(SettingError, match=words):
        BottleneckExplorer(**setting)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.subject(name)) for name in explorers.__all__])
def test_the_line_that_an_explorer_prints_makes_it_again(name):
    kind = getattr(explorers, name)
    assert repr(kind()) == f"{name}()"
    for state in [*kind.presets.values(), *random_states(kind, 20)]:
        assert eval(kind.code(state), vars(explorers) | {name: kind}).start == state


def test_the_line_follows_the_controls():
    explorer = BottleneckExplorer()
    explorer.lab.controls["bottleneck_width"].value = 32
    assert repr(explorer) == "BottleneckExplorer(bottleneck_width=32)"


def test_the_numbers_of_a_move_are_computed_once(monkeypatch):
    explorer, asked = BottleneckExplorer(), []
    numbers = BottleneckExplorer.numbers
    assert explorer.lab
    monkeypatch.setattr(BottleneckExplorer, "numbers", lambda state: asked.append(state) or numbers(state))
    explorer.lab.controls["side"].value = 32
    presets(explorer).value = "The article's tables"
    assert asked == [replace(State(), side=32), PRESETS["The article's tables"]]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.subject(name)) for name in explorers.__all__])
def test_the_layout_holds_every_control_and_every_part_once(name):
    kind = getattr(explorers, name)
    placed = list(names_in(kind.layout))
    parts = kind.draw(kind.numbers(kind.setting())).keys()
    assert sorted(placed) == sorted([*kind.controls, *parts]) and kind.part_names() == [n for n in placed if n in parts]
    assert list(kind.controls) == [field.name for field in fields(kind.State)]
    assert all(getattr(state, field) in control.positions for state in kind.presets.values() for field, control in kind.controls.items())


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.subject(name)) for name in explorers.__all__])
def test_the_view_of_every_explorer_is_kept_out_of_the_saved_file(name, monkeypatch):
    kept = []
    monkeypatch.setattr(saved.KeepsStill, "__init__", lambda self, shown: kept.append(shown))
    explorer = getattr(explorers, name)()
    explorer._repr_mimebundle_()
    assert kept == [explorer.lab.widget.model_id] == [explorer._repr_mimebundle_()[saved.VIEW]["model_id"]]


def test_the_view_of_a_question_is_kept_out_of_the_saved_file(monkeypatch):
    kept = []
    monkeypatch.setattr(saved.KeepsStill, "__init__", lambda self, shown: kept.append(shown))
    assert [lesson_00.guesses.shift._repr_mimebundle_()[saved.VIEW]["model_id"]] == kept


def test_importing_the_explorers_loads_no_torch_and_an_unknown_one_is_refused():
    code = f"""import sys, importlib, resnote.explorers
for name in {explorers.__all__}:
    getattr(resnote.explorers, name)
sys.exit(bool({{"torch", "ipywidgets", "anywidget", "numpy"}} & set(sys.modules)))"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(ImportError, match="PlainExplorer"):
        from resnote.explorers import PlainExplorer  # noqa: F401


def test_where_no_widget_is_shown_a_sentence_says_where_the_still_moves_but_not_on_a_page_which_has_its_own():
    explorer = BottleneckExplorer()
    said = "This is a still. Its controls appear when the lesson’s first cells and this cell are run"
    assert said in explorer._repr_mimebundle_()["text/html"] and said not in explorer.still(explorer.numbers(explorer.start))
