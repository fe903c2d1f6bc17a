"""Lesson 04's explorer: its numbers are PyTorch's, and every position answers."""


import pytest
import torch
import torch.nn.functional as F
from controls import assert_every_position_draws, beside, images, live, coordinate, parse, random_states, still, strokes, texts, words
from torch import nn

from resnote.drawings import batches as histograms
from resnote.explorers import NormalizationExplorer, normalization
from resnote.explorers.normalization import ACTIVATIONS

pytestmark = pytest.mark.subject("NormalizationExplorer", needs=["explorers"])

TORCH = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "ReLU": torch.relu}


@pytest.mark.thorough
@pytest.mark.parametrize("preset", [0, 1])
def test_every_position_of_every_control_draws(preset):
    assert_every_position_draws(NormalizationExplorer(list(NormalizationExplorer.presets)[preset]))


@pytest.mark.parametrize("preset", NormalizationExplorer.presets)
def test_the_still_of_every_preset_carries_both_pictures_and_their_alt_text(preset):
    page = still(NormalizationExplorer(preset))
    found = images(page)
    assert not list(page.iter("svg")) and len(found) == 2
    for alt, drawing in found:
        assert len(alt) >= 40 and words(next(drawing.iter("title"))) == alt


def test_no_setting_changes_the_size_of_a_picture_or_writes_beside_it():
    explorer = NormalizationExplorer()
    for state in random_states(NormalizationExplorer, 60):
        drawings = [drawing for part in explorer.move(None, state).parts.values() for drawing in parse(part).iter("svg")]
        assert len(drawings) == 2
        for drawing in drawings:
            assert (coordinate(drawing, "width"), coordinate(drawing, "height")) == (histograms.WIDTH, histograms.HEIGHT)
            assert beside(drawing, histograms.WIDTH, histograms.HEIGHT) == []


@pytest.mark.parametrize("name, value, words", [
    ("gamma", 1.5, "Scale γ: from 1.00 to 1.50. Where sigmoid is nearly linear: 6 %"),
    ("batch_size", 1, "Batch size: from 256 to 1. A batch of one is refused"),
    ("activation", "ReLU", "Activation: from sigmoid to ReLU. Where ReLU has slope 1: "),
])
def test_a_move_is_told_by_the_name_on_its_label(name, value, words):
    explorer = NormalizationExplorer()
    explorer.lab.controls[name].value = value
    assert live(explorer).startswith(words)


def test_the_numbers_are_those_of_pytorchs_batch_norm_and_its_slopes():
    """Tolerance 1e-12, float64."""
    for state in random_states(NormalizationExplorer, 60):
        before, after = normalization.batches(state)
        if state.batch_size == 1:
            assert after is None
            continue
        norm = nn.BatchNorm1d(1).double()
        nn.init.constant_(norm.weight, state.gamma), nn.init.constant_(norm.bias, state.beta)
        x = torch.tensor(before.values, dtype=torch.float64)
        y = norm(x[:, None]).flatten().detach()
        for batch, values in ((before, x), (after, y)):
            z = values.clone().requires_grad_()
            slope, = torch.autograd.grad(TORCH[state.activation](z).sum(), z)
            torch.testing.assert_close(values.new_tensor(batch.values), values, rtol=1e-12, atol=1e-12)
            for shown, true in zip(batch[1:3] + batch[4:], (values.mean(), values.var(correction=0), slope.mean())):
                assert shown == pytest.approx(true.item(), rel=1e-12, abs=1e-12)


def test_whatever_mean_and_spread_come_in_the_same_comes_out():
    """But for ε, by which values are up to 0.1 % smaller where the spread is 0.1 and the batch small."""
    for batch_size in (2, 16, 256):
        outputs = [normalization.batches(normalization.State(mean, spread, 2.5, -1, batch_size))[1].values
                   for mean in (-6, 0, 0.25, 6) for spread in (0.1, 1, 6)]
        for values in outputs:
            assert values == pytest.approx(outputs[-1], rel=1e-3, abs=3e-3)


def test_what_comes_in_has_the_mean_and_spread_of_the_sliders_up_to_the_noise_of_small_batches():
    whole = normalization.batches(normalization.State(mean=3, spread=2))[0]
    small = normalization.batches(normalization.State(mean=3, spread=2, batch_size=4))[0]
    assert (whole.mean, whole.variance) == (pytest.approx(3), pytest.approx(4))
    assert small.values == whole.values[:4] and abs(small.mean - 3) > 0.1


def test_of_a_normal_distribution_95_percent_lie_where_sigmoid_is_nearly_linear():
    assert normalization.batches(normalization.State())[1].zone == pytest.approx(0.95, abs=0.015)
    assert ACTIVATIONS["tanh"].zone[1] == ACTIVATIONS["sigmoid"].zone[1] / 2
    for name, line in (("sigmoid", lambda z: 0.5 + z / 4), ("tanh", lambda z: z)):
        g, (_, end) = ACTIVATIONS[name].function, ACTIVATIONS[name].zone
        high, low = ACTIVATIONS[name].high, ACTIVATIONS[name].low
        assert abs(line(end) - g(end)) / (high - low) == pytest.approx(0.114, abs=0.001)  # so far off at the zone's end


def test_values_outside_the_picture_count_as_passed_by_relu():
    batch = normalization.batches(normalization.State(mean=6, spread=6, activation="ReLU"))[0]
    assert max(batch.values) > histograms.HIGH and batch.zone == batch.slope


def test_a_batch_of_one_is_explained_where_pytorch_refuses_it():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        F.batch_norm(torch.ones(1, 1), None, None, training=True)
    drawing = parse(NormalizationExplorer().move(None, normalization.State(batch_size=1, beta=-1.5)).parts["after"])
    assert normalization.REFUSED.format(beta="−1.50") in " ".join(texts(drawing)) and not list(drawing.iter("polyline"))


@pytest.mark.parametrize("mean, below, above", [(0, 0, 0), (6, 0, 1), (-6, 1, 0)])
def test_what_leaves_the_frame_is_counted_at_its_edge_and_the_others_have_a_tick_each(mean, below, above):
    state = normalization.State(mean=mean, spread=2.0)
    values = normalization.batches(state)[0].values
    drawing = parse(NormalizationExplorer().move(None, state).parts["before"])
    for has, there, mark in ((below, sum(z < -10 for z in values), "◂ {} outside"),
                             (above, sum(z > 10 for z in values), "{} outside ▸")):
        assert bool(there) == bool(has) == (mark.format(there) in texts(drawing))
    ticks = max((strokes(path) for path in drawing.iter("path")), key=len)         # the path of most strokes
    assert len(ticks) == sum(-10 <= z <= 10 for z in values)


def test_the_sentence_says_when_batch_norm_hides_the_move():
    explorer, hidden = NormalizationExplorer(), "Batch norm gives what it gave before"
    for name, value, same in (("mean", -3.0, True), ("spread", 0.2, True), ("beta", 1.0, False),
                              ("batch_size", 8, False), ("mean", 2.0, True), ("activation", "tanh", False)):
        explorer.lab.controls[name].value = value
        assert (hidden in live(explorer)) == same, name


def test_the_presets_of_normalization_show_what_their_names_say():
    shown = {name: normalization.batches(state) for name, state in normalization.PRESETS.items()}
    for name in ("Saturated", "Too wide"):
        before, after = shown[name]
        assert before.zone < 0.3 and before.slope < after.slope / 3
    before, after = shown["Undone by γ = σ, β = μ"]
    assert after.values == pytest.approx(before.values, abs=1e-4)
    assert sorted(shown["Batch of two"][1].values) == pytest.approx([-1, 1], abs=1e-4)
    assert shown["Batch of one"][1] is None
    assert shown["γ and β at work"][1].mean == pytest.approx(-2) and shown["γ and β at work"][1].zone < 0.5
