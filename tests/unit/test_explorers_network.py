"""Lesson 06's explorer shows the network that its controls describe, and its presets are the published ones."""

import pytest
from controls import coordinate, drawn, images, live, still, strokes, texts, words

from resnote import resnets
from resnote.drawings import networks
from resnote.explorers import NetworkExplorer, network
from resnote.explorers.network import PRESETS, State
from resnote.text import percent

pytestmark = pytest.mark.subject("NetworkExplorer", needs=["explorers"])

PUBLISHED = {
    "ResNet-18": resnets.resnet(18), "ResNet-34": resnets.resnet(34), "ResNet-50": resnets.resnet(50), "ResNet-101": resnets.resnet(101),
    "ResNet-152": resnets.resnet(152), "ResNet-50 v1": resnets.resnet(50, version="v1"), "ResNeXt-50 32x4d": resnets.resnext(50, 32, 4),
    "wide ResNet-50-2": resnets.wide_resnet(50), **{f"CIFAR ResNet-{depth}": resnets.small("residual", depth) for depth in (20, 56, 110)}}


def numbers(**setting):
    return NetworkExplorer.numbers(NetworkExplorer.setting(**setting))


def test_each_preset_counts_the_network_of_its_name():
    assert PRESETS.keys() == PUBLISHED.keys()
    for name, architecture in PUBLISHED.items():
        counted = NetworkExplorer.numbers(PRESETS[name])
        wanted = resnets.count(architecture, PRESETS[name].side)
        assert (counted.count.parameters, counted.count.macs, counted.count.saved_for_backward) == (
            wanted.parameters, wanted.macs, wanted.saved_for_backward)
        assert counted.count.name == name and f"{wanted.parameters:,} parameters, {wanted.macs:,} MACs" in NetworkExplorer.sentence(None, counted)


def test_a_network_without_a_name_of_its_own_is_this_network_and_side_and_batch_do_not_change_the_name():
    assert numbers(stage_3=7).architecture.name == "This network"
    assert numbers(side=112, batch=1).architecture.name == "ResNet-50"


@pytest.mark.parametrize("setting", [{"groups": 64}, {"group_width": 256}, {"version": "v1"}])
def test_what_only_bottlenecks_have_changes_no_other_network(setting):
    changed, without = (NetworkExplorer.numbers(NetworkExplorer.setting("ResNet-34", **each)) for each in (setting, {}))
    assert changed.architecture.name == "ResNet-34" and NetworkExplorer.draw(changed) == NetworkExplorer.draw(without)
    assert numbers(**setting).architecture.name != "ResNet-50"


@pytest.mark.parametrize("name", PRESETS)
def test_maps_are_drawn_to_scale(name):
    counted = NetworkExplorer.numbers(PRESETS[name]).count
    parts = networks.parts_of(counted)
    boxes = list(drawn(networks.network_maps(counted)).iter("rect"))
    assert len(boxes) == len(parts) == len(counted.stages) + 3
    tallest, longest = max(counted.input[1:]), max(part.output[0] for part in parts)
    for box, part in zip(boxes, parts):
        assert coordinate(box, "width") == pytest.approx(max(190 * part.output[0] / longest, 1), abs=0.06)
        assert coordinate(box, "height") == pytest.approx(max(46 * part.output[1] / tallest, 1), abs=0.06)


@pytest.mark.parametrize("name", PRESETS)
def test_bars_are_shares_of_the_totals_and_the_parts_add_up(name):
    counted = NetworkExplorer.numbers(PRESETS[name]).count
    parts = networks.parts_of(counted)
    for place, total in ((3, counted.parameters), (4, counted.macs), (5, counted.saved_for_backward)):
        assert sum(part[place] for part in parts) == total
    drawing = drawn(networks.network_shares(counted))
    bars = {path.get("fill"): strokes(path) for path in drawing.iter("path")}
    for place, (_, colour) in enumerate(networks.SHARES, start=3):
        shares = [part[place] / sum(part[place] for part in parts) for part in parts if part[place]]
        assert [right[0] - left[0] for left, right, *_ in bars[colour]] == [
            pytest.approx(max(150 * share, 0.5), abs=0.06) for share in shares]
        middles = [stroke[0][1] for stroke in bars[colour]]
        assert middles == sorted(set(middles)) and len(middles) == len(shares)
        assert all(any(percent(share) in text for text in texts(drawing)) for share in shares)


def test_every_text_stays_inside_its_picture_at_the_largest_network():
    largest = NetworkExplorer.numbers(State(**{name: control.positions[-1] for name, control in NetworkExplorer.controls.items()})).count
    for drawing in (networks.network_maps(largest), networks.network_shares(largest)):
        for text in drawn(drawing).iter("text"):
            written, size, x = words(text), coordinate(text, "font-size"), coordinate(text, "x")
            assert text.get("text-anchor") == "end" or x + 0.56 * size * len(written) < drawing.width, written     # a sans-serif's mean width


def test_the_fourth_stage_can_be_left_out_and_memory_follows_the_batch():
    without = numbers(stage_4=0)
    assert len(without.count.stages) == 3 and without.architecture.depth == 2 + 3 * 13
    one, many = (numbers(batch=batch).count.training_bytes(batch) for batch in (1, 64))
    assert many - one == 63 * numbers().count.saved_for_backward
    assert "1 image a batch" in NetworkExplorer.sentence(None, numbers(batch=1))


def test_a_still_has_both_pictures_and_says_what_is_on_them():
    explorer = NetworkExplorer("ResNet-18")
    (maps, _), (shares, _) = images(still(explorer))
    assert "stage 1 64 × 56 × 56, 2 blocks, sees 43 × 43 pixels" in maps and "stage 4 72 %, 23 %, 4 %" in shares
    explorer.lab.controls["side"].value = 256
    assert "Image side: from 224 to 256." in live(explorer)


@pytest.mark.thorough
def test_every_position_of_every_control_draws():
    for name, control in NetworkExplorer.controls.items():
        for value in control.positions:
            for preset in ("ResNet-50", "CIFAR ResNet-20"):
                moved = NetworkExplorer.move(None, NetworkExplorer.setting(preset, **{name: value}))
                assert set(moved.parts) == {"maps", "shares", "totals"} and moved.sentence
    assert network.SIDES[0] == 8
