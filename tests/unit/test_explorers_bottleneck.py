"""Lesson 03's explorer: every slider position shows the numbers of a real module."""

import re
import xml.etree.ElementTree as ElementTree
from base64 import b64decode
from dataclasses import asdict, fields, replace
from functools import cache

import ipywidgets as widgets
import pytest
import torch
from controls import coordinate, drawn, html, live, parse, positions, presets, table, texts

from resnote import blocks
from resnote.drawings.blocks import HEIGHT, block_diagram
from resnote.explorers import BottleneckExplorer
from resnote.explorers import bottleneck as lesson
from resnote.explorers.bottleneck import PRESETS, SHORTCUT_ARGUMENTS, State

pytestmark = pytest.mark.subject("BottleneckExplorer", needs=["explorers"])

SWEPT = ["Equal channels", "The article's tables"]


@cache
def module_numbers(kind, in_channels, width, out_channels, kernel_size, bias, batch_norm, shortcut):
    """Parameters, and weights that are used at each pixel, from the torch module; None if refused."""
    try:
        with torch.device("meta"):
            block = kind(in_channels, width, out_channels, kernel_size=kernel_size, bias=bias,
                         batch_norm=batch_norm, **SHORTCUT_ARGUMENTS[shortcut])
    except ValueError:
        return None
    weights = sum(m.weight.numel() for m in block.modules() if isinstance(m, torch.nn.Conv2d))
    return sum(p.numel() for p in block.parameters()), weights


def expected(state):
    shared = (state.kernel_size, state.bias, state.batch_norm)
    return (
        module_numbers(blocks.BasicBlock, state.basic_in, state.basic_width, state.basic_out, *shared,
                       state.basic_shortcut),
        module_numbers(blocks.Bottleneck, state.bottleneck_in, state.bottleneck_width, state.bottleneck_out,
                       *shared, state.bottleneck_shortcut))


def readout(page):
    """What a learner reads: the table's cells by row, and the parameters in the drawings' headings."""
    headings = [re.fullmatch(r"([\d,]+) parameters", text) for text in texts(page)]
    return table(page), [heading[1] for heading in headings if heading]


def assert_shows(html, state):
    rows, headings = readout(parse(html))
    for place, numbers in enumerate(expected(state)):
        macs = rows["multiply–accumulates (MACs)"][place]
        assert rows["parameters"][place] == headings[place]
        if numbers is None:
            assert macs == "cannot run"
        else:
            parameters, weights = numbers
            assert headings[place] == f"{parameters:,}"
            assert macs == f"{weights * state.side**2:,}"
    assert ("✗" in html) == (None in expected(state))


@pytest.mark.thorough
@pytest.mark.parametrize("preset", SWEPT)
@pytest.mark.parametrize("name", [field.name for field in fields(State)])
def test_every_position_of_every_control_shows_the_numbers_of_a_real_module(name, preset):
    explorer = BottleneckExplorer(preset)
    control = explorer.lab.controls[name]
    for position in positions(control):
        control.value = position
        assert getattr(explorer.lab.state, name) == position
        assert_shows(html(explorer), explorer.lab.state)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_exact_after_an_illegal_state(preset):
    explorer = BottleneckExplorer()
    before = BottleneckExplorer(preset)
    explorer.lab.controls["kernel_size"].value = 2
    explorer.lab.controls["basic_out"].value = 1
    assert "cannot run" in html(explorer)
    presets(explorer).value = preset
    assert explorer.lab.state == before.lab.state == PRESETS[preset]
    assert explorer.move(None, explorer.lab.state).parts == before.move(None, before.lab.state).parts


def test_the_presets_are_the_articles_and_the_papers_numbers():
    shown = {name: readout(parse(html(BottleneckExplorer(name))))[1] for name in PRESETS}
    assert shown == {
        "Equal channels": ["1,179,648", "69,632"],
        "He et al. Fig. 5": ["73,728", "69,632"],
        "The article's tables": ["331,776", "135,424"],
        "The article's listings": ["184,320", "69,632"],
    }


ILLEGAL = [
    ("add", replace(State(), basic_out=64), "F(x) has 64 channels and x has 256"),
    ("add", replace(State(), basic_out=1), "PyTorch would silently repeat the one channel of F(x) for all 256 of x"),
    ("add", replace(State(), basic_in=1), "repeat the one channel of x for all 256 of F(x)"),
    ("kernel", replace(State(), kernel_size=2), "no centre pixel"),
    ("shortcut", replace(State(), basic_out=64, basic_shortcut="zero-pad"), "cannot take any away"),
]


@pytest.mark.parametrize("where, state, sentence", ILLEGAL)
def test_an_illegal_setting_is_marked_where_it_fails_and_explained(where, state, sentence):
    block = lesson.count(state)[0]
    drawing = drawn(block_diagram(block, 512))
    assert block.problem.where == where
    assert sentence in " ".join(texts(drawing)) and "no output" in texts(drawing)
    dashed = [shape.tag for shape in drawing.iter() if shape.get("stroke-dasharray")]
    assert dashed == {"add": [], "kernel": ["polygon", "polygon"], "shortcut": ["path"]}[where], dashed


def test_no_message_is_longer_than_its_place_on_the_picture():
    extreme = replace(State(), basic_in=512, bottleneck_in=512, side=4096)
    for state in [state for _, state, _ in ILLEGAL] + [
            replace(extreme, basic_out=1, bottleneck_out=1), replace(extreme, basic_in=1, basic_out=512),
            replace(extreme, kernel_size=6), replace(extreme, basic_out=511, basic_shortcut="zero-pad")]:
        drawing = drawn(block_diagram(lesson.count(state)[0], 512))
        written = [text for text in drawing.iter("text") if text.text]
        assert max(coordinate(text, "y") for text in written) <= HEIGHT - 8


def test_the_live_line_says_what_changed_in_words():
    explorer = BottleneckExplorer()
    explorer.lab.controls["bottleneck_width"].value = 32
    assert live(explorer) == ("Bottleneck, width: from 64 to 32. Basic block: 1,179,648 parameters, 120,795,955,200 MACs. "
                    "Bottleneck: 25,600 parameters, 2,621,440,000 MACs.")


def test_the_still_carries_the_pictures_their_alt_text_and_the_totals():
    explorer = BottleneckExplorer("The article's tables")
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    page = parse(bundle["text/html"])
    images = list(page.iter("img"))
    assert len(images) == 2 and not list(page.iter("svg"))
    for image, total in zip(images, ("331,776", "135,424"), strict=True):
        drawn = b64decode(image.get("src").removeprefix("data:image/svg+xml;base64,")).decode()
        assert ElementTree.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
        assert f"{total} parameters" in texts(parse(drawn)) and total in image.get("alt")
    assert readout(page)[0]["parameters"][:2] == ["331,776", "135,424"]


def test_sliders_answer_every_step_over_the_ranges_that_the_lesson_names():
    controls = BottleneckExplorer().lab.controls
    ranges = {name: (control.min, control.max) for name, control in controls.items() if isinstance(control, widgets.IntSlider)}
    assert ranges.pop("kernel_size") == (1, 7) and set(ranges.values()) == {(1, 512)}
    assert positions(controls["side"])[0] == 1 and positions(controls["side"])[-1] == 4096
    sliders = [control for control in controls.values() if hasattr(control, "continuous_update")]
    assert all(control.continuous_update for control in sliders)
    assert {control.style.description_width for control in sliders} == {"120px"}


@pytest.mark.parametrize("name, value, words", [
    ("kernel_size", 5, "Kernel: from 3 to 5. Basic block: 3,276,800 parameters"),
    ("batch_norm", True, "Batch norm: from off to on. Basic block: 1,180,672 parameters"),
    ("basic_out", 64, "Basic block, output channels: from 256 to 64. The basic block cannot run: it fails at the add."),
])
def test_a_move_is_told_by_the_name_on_its_label(name, value, words):
    explorer = BottleneckExplorer()
    explorer.lab.controls[name].value = value
    assert live(explorer).startswith(words)


def test_the_controls_are_the_fields_of_the_state():
    assert list(BottleneckExplorer().lab.controls) and BottleneckExplorer().lab.controls.keys() == asdict(State()).keys()
