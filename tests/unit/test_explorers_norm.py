"""The explorers of lessons 04 and 05: their numbers are PyTorch's, and every position answers."""

import math
import random
import re
from base64 import b64decode
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F
from controls import html, positions
from torch import nn

from resnote import histograms, walks
from resnote.explorers import InferenceExplorer, NormalizationExplorer, inference, normalization
from resnote.explorers.normalization import ACTIVATIONS
from resnote.training import fit

EXPLORERS = [(NormalizationExplorer, 0), (NormalizationExplorer, 1), (InferenceExplorer, 0), (InferenceExplorer, 5)]


def random_states(make, count):
    """Settings from the whole range, each control drawn by itself; and those where all are at an end."""
    controls, generator = make().controls, random.Random(0)
    choices = {name: list(positions(control)) for name, control in controls.items()}
    ends = [{name: values[place] for name, values in choices.items()} for place in (0, -1)]
    drawn = [{name: generator.choice(values) for name, values in choices.items()} for _ in range(count)]
    return [make.State(**values) for values in ends + drawn]


# --- both --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make, preset", EXPLORERS)
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


@pytest.mark.parametrize("make", [NormalizationExplorer, InferenceExplorer])
def test_the_still_of_every_preset_carries_both_pictures_and_their_alt_text(make):
    for name in make.presets:
        still = make(name)._repr_mimebundle_()["text/html"]
        images = re.findall(r'<img alt="([^"]{40,})"[^>]* src="data:image/svg\+xml;base64,([^"]+)"', still)
        assert "<svg" not in still and len(images) == 2
        for alt, data in images:
            assert f"<title>{alt}</title>" in b64decode(data).decode()


@pytest.mark.parametrize("make, size", [(NormalizationExplorer, (histograms.WIDTH, histograms.HEIGHT)),
                                        (InferenceExplorer, (walks.WIDTH, walks.HEIGHT))])
def test_no_setting_changes_the_size_of_a_picture_or_writes_beside_it(make, size):
    explorer, (width, height) = make(), size
    for state in random_states(make, 60):
        parts = explorer.picture(state)
        assert all("<svg" not in html or f'width="{width}" height="{height}"' in html for html in parts.values())
        for svg in list(parts.values())[:2]:
            for x, y, font, anchor, words in re.findall(
                    r'<text x="([\d.-]+)" y="([\d.-]+)" font-size="(\d+)"[^>]* text-anchor="(\w+)"[^>]*>([^<]*)<', svg):
                reach = 0.56 * int(font) * len(words)  # as wide as DejaVu Sans, a wide face
                start = float(x) - {"start": 0, "middle": reach / 2, "end": reach}[anchor]
                assert int(font) >= 11 and int(font) <= float(y) <= height - 4, words
                assert 0 <= start and start + reach <= width, words


@pytest.mark.parametrize("make, name, value, words", [
    (NormalizationExplorer, "gamma", 1.5, "Scale γ: from 1.00 to 1.50. Where sigmoid is nearly linear: 6 %"),
    (NormalizationExplorer, "batch_size", 1, "Batch size: from 256 to 1. A batch of one is refused"),
    (NormalizationExplorer, "activation", "ReLU", "Activation: from sigmoid to ReLU. Where ReLU has slope 1: "),
    (InferenceExplorer, "seen", 11, "Batches seen: from 10 to 11. Running mean "),
    (InferenceExplorer, "learning", True, "Weights still learning: from off to on. Running mean "),
])
def test_a_move_is_told_by_the_name_on_its_label(make, name, value, words):
    explorer = make()
    before = explorer.state
    explorer.controls[name].value = value
    assert explorer.says(before, explorer.state).startswith(words)


# --- normalization -----------------------------------------------------------------------------

TORCH = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "ReLU": torch.relu}


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
    drawn = NormalizationExplorer().picture(normalization.State(batch_size=1, beta=-1.5))["after"]
    words = re.sub(r"</text><text[^>]*>", " ", drawn.split("</title>")[1])
    assert normalization.REFUSED.format(beta="−1.50") in words and "polyline" not in drawn


@pytest.mark.parametrize("mean, below, above", [(0, 0, 0), (6, 0, 1), (-6, 1, 0)])
def test_what_leaves_the_frame_is_counted_at_its_edge(mean, below, above):
    state = normalization.State(mean=mean, spread=2.0)
    values = normalization.batches(state)[0].values
    drawn = NormalizationExplorer().picture(state)["before"]
    for has, there, mark in ((below, sum(z < -10 for z in values), "◂ {} outside"),
                             (above, sum(z > 10 for z in values), "{} outside ▸")):
        assert bool(there) == bool(has) == (mark.format(there) in drawn)
    ticks = re.search(r'd="((?:M[\d.]+,260v9)*)"', drawn).group(1).count("M")
    assert ticks == sum(-10 <= z <= 10 for z in values)


def test_bars_stand_on_the_values_and_their_heights_are_their_shares():
    svg = histograms.batch_chart(histograms.BatchChart(
        "t", ("", ""), [0.1, -0.2, 0.24, 3.0], "x₁", normalization.curve("sigmoid")))
    bars = [tuple(map(float, bar)) for bar in re.findall(
        rf'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="([\d.]+)" fill="{histograms.BARS}"/>', svg)]
    (x0, width, tall), (x3, _, short) = bars
    assert tall == pytest.approx(3 * short, abs=0.2) and (x3 - x0) / (width + 1) == pytest.approx(6, abs=0.05)
    assert ">75 %<" in svg


def test_the_sentence_says_when_batch_norm_hides_the_move():
    explorer, hidden = NormalizationExplorer(), "Batch norm gives what it gave before"
    for name, value, same in (("mean", -3.0, True), ("spread", 0.2, True), ("beta", 1.0, False),
                              ("batch_size", 8, False), ("mean", 2.0, True), ("activation", "tanh", False)):
        explorer.controls[name].value = value
        assert (hidden in html(explorer)) == same, name


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


# --- inference ---------------------------------------------------------------------------------


def network(step, momentum=0.1):
    """The explorer's network as a torch module, with its weights at that step."""
    made = inference.build()
    for parameter, values in zip(made.parameters(), inference.weights_after(step)):
        parameter.data = values.clone()
    for norm in made:
        if isinstance(norm, nn.BatchNorm1d):
            norm.momentum = momentum
    return made


def buffers(made):
    norms = [norm for norm in made if isinstance(norm, nn.BatchNorm1d)]
    return torch.stack([torch.stack([norm.running_mean for norm in norms]),
                        torch.stack([norm.running_var for norm in norms])])


def right(made, images, labels):
    return int((made(images).argmax(1) == labels).sum())


@pytest.mark.parametrize("state", [
    inference.State("0.1", 8, 23), inference.State("None", 2, 11), inference.State("1", 32, 5),
    inference.State("0.3", 4, 0), inference.State("0.05", 16, 37, True), inference.State("None", 64, 9, True)])
def test_running_statistics_and_their_accuracy_are_those_of_pytorchs_modules(state):
    """Tolerance 1e-10, float64. While it learns, a batch passes before its step, as in every training loop."""
    momentum = None if state.momentum == "None" else float(state.momentum)
    running = buffers(network(0))
    for number, batch in enumerate(inference.training_batches(state.batch_size)[:state.seen]):
        made = network(number if state.learning else inference.STEPS, momentum)
        load(made, running, number)
        made(batch)
        running = buffers(made)
    shown = inference.running_statistics(state.momentum, state.batch_size, state.learning)[state.seen]
    torch.testing.assert_close(shown, running, rtol=1e-10, atol=1e-12)
    made = network(state.seen if state.learning else inference.STEPS).eval()
    load(made, running, state.seen)
    assert inference.eval_mode(state) == right(made, *inference.experiment()[2:])


def load(made, running, seen):
    norms = [norm for norm in made if isinstance(norm, nn.BatchNorm1d)]
    for norm, mean, var in zip(norms, *running):
        norm.running_mean, norm.running_var = mean.clone(), var.clone()
        norm.num_batches_tracked.fill_(seen)


@pytest.mark.parametrize("step, batch_size", [(200, 2), (200, 8), (37, 64), (0, 256)])
def test_train_mode_predicts_every_test_image_once_in_full_batches(step, batch_size):
    _, _, images, labels = inference.experiment()
    order = torch.randperm(450, generator=torch.Generator().manual_seed(2))
    full = torch.cat([order, order])
    made, found = network(step), 0
    for start in range(0, 450, batch_size):
        batch = full[start:start + batch_size]
        counted = min(batch_size, 450 - start)
        found += int((made(images[batch]).argmax(1) == labels[batch])[:counted].sum())
    assert inference.batch_mode(step, batch_size) == found


@pytest.mark.parametrize("step, batch_size", [(200, 2), (120, 32), (200, 256)])
def test_algorithm_2_is_pytorchs_average_over_all_full_training_batches(step, batch_size):
    """With momentum None the stored variance is the mean of m/(m − 1)·σ², Algorithm 2's line 10."""
    _, train_images, images, labels = inference.experiment()
    made = network(step, momentum=None)
    order = torch.randperm(len(train_images), generator=torch.Generator().manual_seed(3))
    for batch in order.split(batch_size):
        if len(batch) == batch_size:
            made(train_images[batch])
    assert inference.algorithm_2(step, batch_size) == right(made.eval(), images, labels)


def test_the_walk_is_the_drawn_units_and_ends_after_the_batches_seen():
    for learning, step in ((False, inference.STEPS), (True, 17)):
        state = inference.State(batch_size=4, seen=17, learning=learning)
        x = network(step)[1](inference.experiment().train_images)[:, inference.UNIT]
        own = inference.training_batches(4)[16] @ network(16 if learning else step)[1].weight[inference.UNIT]
        for walk, population, batch, start in zip(inference.walks(state), (x.mean(), x.var(correction=0)),
                                                  (own.mean(), own.var()), (0, 1)):
            assert len(walk.batches) == 17 and len(walk.running) == 18 and walk.running[0] == start
            assert walk.population[-1] == pytest.approx(population.item(), rel=1e-10)
            assert walk.batches[-1] == pytest.approx(batch.item(), rel=1e-10)


def test_the_network_is_the_one_that_the_course_trains_and_it_has_learned():
    weights = inference.experiment().weights
    assert {len(parameter) for parameter in weights} == {inference.STEPS + 1}
    for parameter, start in zip(weights, inference.build().parameters()):
        assert torch.equal(parameter[0], start)
    assert inference.algorithm_2(200, 64) > 0.92 * 450


def test_an_interrupted_training_is_not_kept(monkeypatch):
    def interrupted(*args, progress, **settings):
        progress.interrupted = True
        return fit(*args, progress=progress, **settings)

    monkeypatch.setattr(inference, "fit", interrupted)
    inference.experiment.cache_clear()
    with pytest.raises(KeyboardInterrupt, match="Interrupted after 0 of 220 steps"):
        inference.experiment()
    monkeypatch.undo()
    assert len(inference.experiment().weights[0]) == inference.STEPS + 1


def test_the_presets_of_inference_show_what_their_names_say():
    shown = {name: [mode.right for mode in inference.modes(state)] for name, state in inference.PRESETS.items()}
    stored, own, best = shown["Too few batches"]
    assert stored < 0.75 * best and own > 0.9 * best
    assert shown["Enough batches"][0] > 0.95 * best
    assert shown["Batches of two"][1] < 0.6 * best < shown["Batches of two"][0]
    assert shown["Only the last batch"][0] < 0.93 * best
    assert shown["All batches alike"][0] > 0.95 * best
    assert shown["All alike while it learns"][0] < 0.75 * best
    following = replace(inference.PRESETS["All alike while it learns"], momentum="0.1")
    assert inference.eval_mode(following) > 0.9 * best


def test_the_still_is_the_same_where_rounding_differs(monkeypatch):
    """Inputs off by 1e-6 and first weights off by 1e-12 stand for other machines, whose float64 differs by 1e-16."""
    state = inference.PRESETS["All alike while it learns"]
    before = [InferenceExplorer().still(state) for state in inference.PRESETS.values()]
    caches = [function for function in vars(inference).values() if hasattr(function, "cache_clear")]
    digits, build, generator = inference.digits, inference.build, torch.Generator().manual_seed(0)

    def shaken_digits():
        data = digits()
        return replace(data, train_images=data.train_images * (1 + 1e-6), test_images=data.test_images * (1 - 1e-6))

    def shaken_network():
        made = build()
        for parameter in made.parameters():
            parameter.data.mul_(1 + 1e-12 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        return made

    try:
        with monkeypatch.context() as patch:
            patch.setattr(inference, "digits", shaken_digits)
            patch.setattr(inference, "build", shaken_network)
            untouched = inference.experiment().weights[0][-1]
            for function in caches:
                function.cache_clear()
            assert not torch.equal(inference.experiment().weights[0][-1], untouched)
            assert [InferenceExplorer().still(state) for state in inference.PRESETS.values()] == before
    finally:
        for function in caches:
            function.cache_clear()


def test_what_leaves_the_walks_frame_is_drawn_at_its_edge():
    walk = walks.Walk("mean", (-1, 0, 1), [math.inf, -5.0], [0.0, 7.0, -7.0], [0.0, 0.0, 0.0])
    svg = walks.walk_chart("t", (walk, walk), 200)
    heights = {float(y) for x, y in re.findall(r"M([\d.]+),([\d.]+)h0", svg) if float(x) > walks._LEFT}
    assert heights == {54.0, 154.0, 184.0, 284.0}


def test_each_modes_bar_is_as_long_as_its_share_of_right_answers():
    state = inference.PRESETS["Batches of two"]
    svg = InferenceExplorer().picture(state)["modes"]
    bars = [float(width) for width in re.findall(rf'width="([\d.]+)" height="24" fill="{walks.BAR}"', svg)]
    for bar, mode in zip(bars, inference.modes(state), strict=True):
        assert bar == pytest.approx(300 * mode.right / 450, abs=0.05)
        assert f">{mode.right} of 450: <" in svg and f">{100 * mode.right / 450:.0f} %</tspan>" in svg
