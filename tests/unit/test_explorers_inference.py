"""Lesson 05's explorer: its numbers are PyTorch's, and every position answers."""

from dataclasses import replace

import pytest
import torch
from controls import assert_every_position_draws, beside, coordinate, images, live, parse, random_states, still, texts, words
from torch import nn

from resnote.drawings import walks
from resnote import modes
from resnote.explorers import InferenceExplorer, inference
from resnote.text import rounded
from resnote.training import fit

pytestmark = pytest.mark.subject("InferenceExplorer", needs=["explorers"])


@pytest.mark.thorough
@pytest.mark.parametrize("preset", [0, 5])
def test_every_position_of_every_control_draws(preset):
    assert_every_position_draws(InferenceExplorer(list(InferenceExplorer.presets)[preset]))


@pytest.mark.parametrize("preset", InferenceExplorer.presets)
def test_the_still_of_every_preset_carries_both_pictures_and_their_alt_text(preset):
    page = still(InferenceExplorer(preset))
    found = images(page)
    assert not list(page.iter("svg")) and len(found) == 2
    for alt, drawing in found:
        assert len(alt) >= 40 and words(next(drawing.iter("title"))) == alt


@pytest.mark.thorough
def test_no_setting_changes_the_size_of_a_picture_or_writes_beside_it():
    explorer = InferenceExplorer()
    for state in random_states(InferenceExplorer, 60):
        drawings = [drawing for part in explorer.move(None, state).parts.values() for drawing in parse(part).iter("svg")]
        assert len(drawings) == 2
        for drawing in drawings:
            assert (coordinate(drawing, "width"), coordinate(drawing, "height")) == (walks.WIDTH, walks.HEIGHT)
            assert beside(drawing, walks.WIDTH, walks.HEIGHT) == []


@pytest.mark.parametrize("name, value, words", [
    ("seen", 11, "Batches seen: from 10 to 11. Running mean "),
    ("learning", True, "Weights still learning: from off to on. Running mean "),
])
def test_a_move_is_told_by_the_name_on_its_label(name, value, words):
    explorer = InferenceExplorer()
    explorer.lab.controls[name].value = value
    assert live(explorer).startswith(words)


def network(step, momentum=0.1):
    """The explorer's network as a torch module, with its weights at that step."""
    made = modes.build()
    for parameter, values in zip(made.parameters(), modes.weights_after(step)):
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
    for number, batch in enumerate(modes.training_batches(state.batch_size)[:state.seen]):
        made = network(number if state.learning else modes.STEPS, momentum)
        load(made, running, number)
        made(batch)
        running = buffers(made)
    shown = modes.running_statistics(state.momentum, state.batch_size, state.learning)[state.seen]
    torch.testing.assert_close(shown, running, rtol=1e-10, atol=1e-12)
    made = network(state.seen if state.learning else modes.STEPS).eval()
    load(made, running, state.seen)
    assert modes.eval_mode(state.momentum, state.batch_size, state.seen, state.learning) == right(made, *modes.experiment()[2:])


def load(made, running, seen):
    norms = [norm for norm in made if isinstance(norm, nn.BatchNorm1d)]
    for norm, mean, var in zip(norms, *running):
        norm.running_mean, norm.running_var = mean.clone(), var.clone()
        norm.num_batches_tracked.fill_(seen)


@pytest.mark.parametrize("step, batch_size", [(200, 2), (200, 8), (37, 64), (0, 256)])
def test_train_mode_predicts_every_test_image_once_in_full_batches(step, batch_size):
    _, _, images, labels = modes.experiment()
    order = torch.randperm(450, generator=torch.Generator().manual_seed(2))
    full = torch.cat([order, order])
    made, found = network(step), 0
    for start in range(0, 450, batch_size):
        batch = full[start:start + batch_size]
        counted = min(batch_size, 450 - start)
        found += int((made(images[batch]).argmax(1) == labels[batch])[:counted].sum())
    assert modes.batch_mode(step, batch_size) == found


@pytest.mark.parametrize("step, batch_size", [(200, 2), (120, 32), (200, 256)])
def test_algorithm_2_is_pytorchs_average_over_all_full_training_batches(step, batch_size):
    """With momentum None the stored variance is the mean of m/(m − 1)·σ², Algorithm 2's line 10."""
    _, train_images, images, labels = modes.experiment()
    made = network(step, momentum=None)
    order = torch.randperm(len(train_images), generator=torch.Generator().manual_seed(3))
    for batch in order.split(batch_size):
        if len(batch) == batch_size:
            made(train_images[batch])
    assert modes.algorithm_2(step, batch_size) == right(made.eval(), images, labels)


def test_the_explorer_has_order_0_and_another_order_deals_the_same_images_into_other_batches():
    first, other = modes.training_batches(64), modes.training_batches(64, order=1)
    assert torch.equal(first, modes.training_batches(64, order=0)) and not torch.equal(first, other)
    assert all(len(batches[:21].flatten(0, 1).unique(dim=0)) == 21 * 64 for batches in (first, other))   # an epoch: none twice
    for found in (lambda order: modes.running_statistics("0.1", 8, False, order)[9],
                  lambda order: modes.batch_statistics(8, False, order)):
        assert torch.equal(found(0), found(0)) and not torch.allclose(found(0), found(1))
    for found in (lambda order: modes.batch_mode(200, 2, order), lambda order: modes.algorithm_2(200, 2, order),
                  lambda order: modes.eval_mode("1", 8, 100, False, order)):
        assert len({found(order) for order in range(4)}) > 1


def test_the_walk_is_the_drawn_units_and_ends_after_the_batches_seen():
    for learning, step in ((False, modes.STEPS), (True, 17)):
        state = inference.State(batch_size=4, seen=17, learning=learning)
        x = network(step)[1](modes.experiment().train_images)[:, modes.SHOWN_UNIT]
        own = modes.training_batches(4)[16] @ network(16 if learning else step)[1].weight[modes.SHOWN_UNIT]
        exact = [(batches[:17], running[:18], populations[:18 if learning else None])
                 for batches, running, populations in modes.walks(state.momentum, 4, learning)]
        for (batches, running, populations), shown, population, batch, start in zip(
                exact, inference.walks(state), (x.mean(), x.var(correction=0)), (own.mean(), own.var()), (0, 1)):
            assert len(batches) == 17 and len(running) == 18 and running[0] == start
            assert populations[-1] == pytest.approx(population.item(), rel=1e-10)
            assert batches[-1] == pytest.approx(batch.item(), rel=1e-10)
            assert shown[2:] == tuple(map(rounded, (batches, running, populations)))


def test_the_network_is_the_one_that_the_course_trains_and_it_has_learned():
    weights = modes.experiment().weights
    assert {len(parameter) for parameter in weights} == {modes.STEPS + 1}
    for parameter, start in zip(weights, modes.build().parameters()):
        assert torch.equal(parameter[0], start)
    assert modes.algorithm_2(200, 64) > 0.92 * 450


def test_an_interrupted_training_is_not_kept(monkeypatch):
    def interrupted(*args, progress, **settings):
        progress.interrupted = True
        return fit(*args, progress=progress, **settings)

    monkeypatch.setattr(modes, "fit", interrupted)
    modes.experiment.cache_clear()
    with pytest.raises(KeyboardInterrupt, match="Interrupted after 0 of 220 steps"):
        modes.experiment()
    monkeypatch.undo()
    assert len(modes.experiment().weights[0]) == modes.STEPS + 1


def test_the_presets_of_inference_show_what_their_names_say():
    shown = {name: [mode.right for mode in inference.shown(InferenceExplorer.numbers(state))] for name, state in inference.PRESETS.items()}
    stored, own, best = shown["Too few batches"]
    assert stored < 0.75 * best and own > 0.9 * best
    assert shown["Enough batches"][0] > 0.95 * best
    assert shown["Batches of two"][1] < 0.6 * best < shown["Batches of two"][0]
    assert shown["Only the last batch"][0] < 0.93 * best
    assert shown["All batches alike"][0] > 0.95 * best
    assert shown["All alike while it learns"][0] < 0.75 * best
    following = replace(inference.PRESETS["All alike while it learns"], momentum="0.1")
    assert inference.right(following).stored > 0.9 * best


def test_the_still_is_the_same_where_rounding_differs(monkeypatch):
    """Inputs off by 1e-6 and first weights off by 1e-12 stand for other machines, whose float64 differs by 1e-16."""
    before = [InferenceExplorer.still(InferenceExplorer.numbers(state)) for state in inference.PRESETS.values()]
    caches = [function for module in (modes, inference) for function in vars(module).values() if hasattr(function, "cache_clear")]
    digits, build, generator = modes.digits, modes.build, torch.Generator().manual_seed(0)

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
            patch.setattr(modes, "digits", shaken_digits)
            patch.setattr(modes, "build", shaken_network)
            untouched = modes.experiment().weights[0][-1]
            for function in caches:
                function.cache_clear()
            assert not torch.equal(modes.experiment().weights[0][-1], untouched)
            assert [InferenceExplorer.still(InferenceExplorer.numbers(state)) for state in inference.PRESETS.values()] == before
    finally:
        for function in caches:
            function.cache_clear()


def test_each_modes_bar_is_as_long_as_its_share_of_right_answers():
    state = inference.PRESETS["Batches of two"]
    drawing = parse(InferenceExplorer().move(None, state).parts["modes"])
    frames = [coordinate(rect, "width") for rect in drawing.iter("rect") if rect.get("fill") == "none"]
    bars = [coordinate(rect, "width") for rect in drawing.iter("rect") if rect.get("fill") == walks.BAR]
    for bar, frame, mode in zip(bars, frames, inference.shown(InferenceExplorer.numbers(state)), strict=True):
        assert bar == pytest.approx(frame * mode.right / 450, abs=0.05)
        assert f"{mode.right} of 450: {100 * mode.right / 450:.0f} %" in texts(drawing)


def test_the_explorers_range_is_that_of_the_network_behind_it():
    assert (inference.STEPS, inference.CLASSES) == (modes.STEPS, modes.CLASSES)
