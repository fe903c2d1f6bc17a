"""The loop does what a hand-written one does, ends when it is told to, and leaves nothing behind."""

from __future__ import annotations

import _thread
import math
import re
import signal
import threading
from copy import deepcopy
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from resnote import progress, training
from resnote.batchnorm import BatchNorm
from resnote.settings import SettingError
from resnote.training import History, Progress, error, fit

CLASSES = 3


@pytest.fixture(autouse=True)
def interruptible():
    """Interrupts arrive, also where the tests were started in the background and ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def examples(count, seed=0, brightness=0.0):
    """Noise with one bright row that tells the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    images = 0.3 * torch.randn(count, 1, 6, 6, generator=generator) + brightness
    images[torch.arange(count), 0, 2 * labels] += 2
    return images, labels


def data(train=20, test=9, **options):
    train_images, train_labels = examples(train, **options)
    test_images, test_labels = examples(test, **options | {"seed": 1})
    return SimpleNamespace(train_images=train_images, train_labels=train_labels,
                           test_images=test_images, test_labels=test_labels)


def network(batch_norm=True, extra=None):
    torch.manual_seed(0)
    norms = [nn.BatchNorm2d(5) if batch_norm else nn.Identity() for _ in range(2)]
    return nn.Sequential(nn.Conv2d(1, 5, 3), norms[0], nn.ReLU(), nn.Conv2d(5, 5, 3), norms[1], nn.ReLU(),
                         extra or nn.Identity(), nn.Flatten(), nn.Linear(20, CLASSES))


class Each(nn.Module):
    """Passes its input on, and calls ``act`` with the number of the training step, from 1."""

    def __init__(self, act):
        super().__init__()
        self.act, self.step = act, 0

    def forward(self, x):
        if torch.is_grad_enabled():
            self.step += 1
            self.act(self.step)
        return x


def interrupting(*steps):
    return network(extra=Each(lambda step: step in steps and signal.raise_signal(signal.SIGINT)))


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_same_bits(a, b):
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def record(history):
    return history.loss, history.train_error, history.test_error, history.final_error


# --- what it computes ------------------------------------------------------------------------


def by_hand(module, data, epochs, batch_size, schedule, learning_rate, momentum, weight_decay, seed, stop=math.inf):
    """SGD as PyTorch's tutorials write it; stops after ``stop`` steps."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(module.parameters(), learning_rate, momentum, weight_decay=weight_decay)
    steps = epochs * math.ceil(len(data.train_images) / batch_size)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses, errors = [], []
    for _ in range(epochs):
        wrong = 0
        for batch in torch.randperm(len(data.train_images), generator=generator).split(batch_size):
            scores = module(data.train_images[batch])
            loss = F.cross_entropy(scores, data.train_labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule == "cosine":
                cosine.step()
            losses.append(loss.item())
            wrong += (scores.argmax(1) != data.train_labels[batch]).sum().item()
            if len(losses) == stop:
                return losses, errors
        errors.append(wrong / len(data.train_images))
    return losses, errors


SETTINGS = {"epochs": 3, "batch_size": 8, "schedule": "cosine", "learning_rate": 0.05, "momentum": 0.8,
            "weight_decay": 0.01, "seed": 3}


@pytest.mark.parametrize("schedule", ["cosine", None])
def test_fit_does_what_a_hand_written_loop_does_on_the_same_batches(schedule):
    settings, examples = SETTINGS | {"schedule": schedule}, data()
    examples.train_images, examples.test_images = examples.train_images.double(), examples.test_images.double()
    ours, theirs = network().double(), network().double()
    history = fit(ours, examples, **settings)
    losses, errors = by_hand(theirs, examples, **settings)
    same = partial(assert_close, rtol=1e-9, atol=1e-9)  # float64, nine steps
    same(history.loss, losses)
    same(history.train_error, errors)
    for name, value in theirs.state_dict().items():
        same(ours.state_dict()[name], value, msg=name)


def test_left_to_itself_fit_uses_the_papers_momentum_and_weight_decay_and_a_cosine_from_a_tenth():
    examples = data(140, 9)
    examples.train_images, examples.test_images = examples.train_images.double(), examples.test_images.double()
    losses, _ = by_hand(network().double(), examples, epochs=10, batch_size=128, schedule="cosine", learning_rate=0.1,
                        momentum=0.9, weight_decay=1e-4, seed=0)
    assert_close(fit(network().double(), examples).loss, losses, rtol=1e-8, atol=1e-8)  # float64, 20 steps


def test_a_frozen_weight_stays_and_the_others_learn():
    module = network()
    module[0].weight.requires_grad_(False)
    before = state(module)
    assert fit(module, data(), **SETTINGS).stopped is None
    assert torch.equal(module[0].weight, before["0.weight"])
    assert not torch.equal(module[3].weight, before["3.weight"])


def test_the_same_seed_gives_the_same_history_and_weights_and_another_seed_another():
    first, again, other = network(), network(), network()
    kept = fit(first, data(), **SETTINGS)
    assert record(kept) == record(fit(again, data(), **SETTINGS))
    assert_same_bits(state(first), state(again))
    assert fit(other, data(), **SETTINGS | {"seed": 4}).loss != kept.loss


def test_the_seed_governs_dropout_too():
    runs = []
    for disturbance in range(2):
        module = network(extra=nn.Dropout(0.5))
        torch.rand(disturbance)
        runs.append(fit(module, data(), **SETTINGS).loss)
    assert runs[0] == runs[1]
    assert runs[0] != fit(network(), data(), **SETTINGS).loss


def test_it_learns_and_its_errors_are_those_of_error():
    module, examples = network(), data(60, 30)
    history = fit(module, examples, epochs=6, batch_size=16)
    assert history.train_error[0] > 0.1 and history.final_error == 0
    assert history.test_error[-1] == error(module, examples.test_images, examples.test_labels) < 0.1
    assert (history.steps, history.epochs, history.stopped) == (24, 6, None)
    assert len(history.loss) == 24 and len(history.train_error) == len(history.test_error) == 6


def test_the_final_error_is_that_of_the_last_weights_on_the_training_images_and_the_test_error_on_the_test_images():
    module, examples = network(), data(60)
    examples.test_labels = examples.test_labels.roll(1)     # labels that nothing in the training images tells
    history = fit(module, examples, epochs=1, learning_rate=0.01)
    assert history.final_error == error(module, examples.train_images, examples.train_labels) > 0
    assert history.final_error != history.train_error[-1]
    assert history.test_error == [error(module, examples.test_images, examples.test_labels)] != [history.final_error]


@pytest.mark.parametrize("count, size, sizes", [(17, 8, [8, 9]), (18, 8, [8, 8, 2]), (16, 8, [8, 8]), (9, 20, [9])])
def test_an_epoch_shows_every_image_once_and_a_last_batch_of_one_joins_the_one_before(count, size, sizes):
    batches = training._batches(count, size, torch.Generator())
    assert list(map(len, batches)) == sizes
    assert sorted(torch.cat(batches).tolist()) == list(range(count))
    module, seen = network(), []
    module.register_forward_pre_hook(
        lambda _, inputs: seen.append(len(inputs[0])) if torch.is_grad_enabled() else None)
    fit(module, data(count), epochs=2, batch_size=size)
    assert seen == 2 * sizes


def test_single_images_stay_single_where_that_was_asked_for():
    assert list(map(len, training._batches(3, 1, torch.Generator()))) == [1, 1, 1]
    assert fit(network(batch_norm=False), data(3), epochs=1, batch_size=1).steps == 3


def test_without_the_test_error_no_test_images_are_needed():
    examples = data()
    examples.test_images = examples.test_labels = None
    history = fit(network(), examples, epochs=2, test=False)
    assert history.test_error == [] and history.epochs == 2


def test_labels_of_any_whole_number_type_train_alike():
    losses = []
    for dtype in (torch.int64, torch.int32, torch.uint8):
        examples = data()
        examples.train_labels, examples.test_labels = examples.train_labels.to(dtype), examples.test_labels.to(dtype)
        losses.append(fit(network(), examples, **SETTINGS).loss)
    assert losses[0] == losses[1] == losses[2]


def test_a_history_is_one_short_line():
    history = fit(network(), data(), epochs=2, label="plain-2")
    assert re.fullmatch(r"History\('plain-2', 2 steps, 2 epochs, final training error [\d.]+%\)", repr(history))
    assert repr(History(stopped="Why.")).endswith("stopped: Why.)")


# --- what it leaves behind -------------------------------------------------------------------


class Failure(Exception):
    """Raised on purpose."""


def fail(_step):
    raise Failure


@pytest.mark.parametrize("fails", [False, True])
def test_error_computes_in_one_thread_and_gives_the_others_back(fails):
    class Threads(nn.Module):
        def forward(self, x):
            seen.append(torch.get_num_threads())
            if fails:
                raise Failure
            return x

    torch.set_num_threads(2)
    seen = []
    try:
        error(network(extra=Threads()), *examples(9))
    except Failure:
        assert fails
    assert (set(seen), torch.get_num_threads()) == ({1}, 2)


@pytest.mark.parametrize("fails", [False, True])
def test_threads_handler_modes_layout_and_random_state_are_as_before_even_after_an_error(fails):
    torch.set_num_threads(2)
    seen = []

    def act(step):
        seen.append((torch.get_num_threads(), signal.getsignal(signal.SIGINT), module[3].training))
        torch.rand(1)
        if fails:
            raise Failure

    module = network(extra=Each(act))
    module[3].eval()
    modes = [part.training for part in module.modules()]
    random, handler = torch.get_rng_state(), signal.getsignal(signal.SIGINT)
    if fails:
        with pytest.raises(Failure):
            fit(module, data())
    else:
        fit(module, data())
    threads, during, mode = seen[0]
    assert threads == 1 and during is not handler and not mode  # what was put into eval mode alone stays in it
    assert torch.get_num_threads() == 2
    assert signal.getsignal(signal.SIGINT) is handler
    assert [part.training for part in module.modules()] == modes and not module[3].training
    assert all(weight.is_contiguous() and weight.grad is None for weight in module.parameters())
    assert torch.equal(torch.get_rng_state(), random)


# --- interruption ----------------------------------------------------------------------------


def test_an_interrupt_ends_the_run_after_the_current_step_and_keeps_what_was_learned():
    ours, theirs = interrupting(5), network(extra=nn.Identity())
    history = fit(ours, data(), **SETTINGS)
    losses, errors = by_hand(theirs, data(), **SETTINGS, stop=5)
    assert history.stopped == "Interrupted after 5 of 9 steps; what was learned so far is kept."
    assert (history.steps, history.epochs, len(history.test_error)) == (5, 1, 1)
    assert_close(history.loss, losses, rtol=1e-4, atol=1e-4)
    assert history.train_error == errors
    for name, value in theirs.state_dict().items():
        assert_close(ours.state_dict()[name], value, rtol=1e-4, atol=1e-4, msg=name)
    assert history.final_error == error(ours, *examples(20))


def test_the_same_call_runs_again_after_an_interrupt():
    module = interrupting(2)
    assert fit(module, data(), **SETTINGS).steps == 2
    assert fit(module, data(), **SETTINGS).stopped is None


def test_an_interrupt_from_outside_ends_the_run():
    def act(step):
        if step == 3:
            threading.Thread(target=_thread.interrupt_main).start()

    history = fit(network(extra=Each(act)), data(), epochs=20_000, test=False)
    assert 3 <= history.steps < 20_000 and history.stopped.startswith(f"Interrupted after {history.steps} of 20000 ")


def test_a_second_interrupt_is_raised_at_once_and_the_handler_comes_back():
    handler = signal.getsignal(signal.SIGINT)

    def act(step):
        signal.raise_signal(signal.SIGINT)
        steps.append(step)
        signal.raise_signal(signal.SIGINT)
        steps.append("after")

    steps, module = [], network(extra=Each(act))
    with pytest.raises(KeyboardInterrupt):
        fit(module, data())
    assert steps == [1] and signal.getsignal(signal.SIGINT) is handler


def test_after_an_interrupt_no_later_run_under_the_same_bar_starts():
    with Progress(9) as bar:
        first = fit(interrupting(4), data(), **SETTINGS, progress=bar)
        module = network()
        before = state(module)
        second = fit(module, data(), **SETTINGS, progress=bar)
    assert first.steps == 4
    assert second.stopped == "Interrupted after 0 of 9 steps; what was learned so far is kept."
    assert math.isnan(second.final_error)
    assert_same_bits(before, state(module))


def test_in_another_thread_a_run_needs_no_handler_and_ends_when_its_bar_says_so():
    def act(step):
        handlers.append(signal.getsignal(signal.SIGINT))
        bar.interrupted = step == 2

    bar, handlers, histories = Progress(3), [], []
    module = network(extra=Each(act))
    thread = threading.Thread(target=lambda: histories.append(fit(module, data(), **SETTINGS, progress=bar)))
    thread.start()
    thread.join()
    assert histories[0].stopped.startswith("Interrupted after 2 of 9 steps")
    assert set(handlers) == {signal.getsignal(signal.SIGINT)}


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert fit(interrupting(2), data(), **SETTINGS).stopped is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_outside_python_is_left_alone(monkeypatch):
    """Python shows it as None, and could not put it back."""
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", fail)
    assert fit(network(), data(), **SETTINGS).stopped is None


# --- divergence ------------------------------------------------------------------------------


class Overflow(torch.autograd.Function):
    """Passes its input on, and turns the gradient infinite."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.inf


class OverflowAt(Each):
    def forward(self, x):
        super().forward(x)
        return Overflow.apply(x) if self.step == 3 else x


class MaskAt(Each):
    def forward(self, x):
        super().forward(x)
        return x + torch.tensor([-math.inf, 0, 0]) if self.step == 3 else x


def noting_weights(module):
    """A list that grows by the weights at the start of every training step."""
    seen = []
    module.register_forward_pre_hook(lambda m, _: seen.append(
        {name: weight.detach().clone() for name, weight in m.named_parameters()}) if torch.is_grad_enabled() else None)
    return seen


def test_a_learning_rate_of_a_million_ends_the_run_with_advice_and_the_weights_before_that_step():
    module = network(batch_norm=False)
    seen = noting_weights(module)
    history = fit(module, data(), learning_rate=1e6, epochs=20)
    step = len(seen)
    assert history.steps == step - 1 < 20 and all(map(math.isfinite, history.loss))
    assert re.match(rf"At step {step} of 20 the (loss was .* guessing has 1|gradient was no longer)", history.stopped)
    assert history.stopped.endswith("with a lower learning_rate, such as 0.1.")
    assert_same_bits(dict(module.named_parameters()), seen[-1])
    assert all(weight.isfinite().all() for weight in module.parameters())


def test_a_gradient_that_is_not_finite_does_not_reach_the_weights():
    module = network(extra=OverflowAt(lambda step: None))
    seen = noting_weights(module)
    history = fit(module, data(), **SETTINGS)
    assert history.steps == 2 and "At step 3 of 9 the gradient was no longer a finite number" in history.stopped
    assert "(learning rate 0.0442)" in history.stopped     # 0.05 (1 + cos(2/9 π)) / 2
    assert "such as 0.005." in history.stopped
    assert_same_bits(dict(module.named_parameters()), seen[2])


def test_a_loss_that_is_not_finite_ends_the_run_though_its_gradient_is():
    """A score of minus infinity for a right class: the loss is infinite, its gradient at most 1."""
    module = network()
    module.append(MaskAt(lambda step: None))
    seen = noting_weights(module)
    history = fit(module, data(), **SETTINGS)
    assert history.steps == 2 and "At step 3 of 9 the loss was inf" in history.stopped
    assert_same_bits(dict(module.named_parameters()), seen[2])


def test_a_bar_counts_the_epochs_that_a_diverged_run_left_out():
    with Progress(23) as bar:
        fit(network(batch_norm=False), data(), learning_rate=1e6, epochs=20, progress=bar)
        assert bar.position == 20
        fit(network(), data(), epochs=3, progress=bar)
        assert bar.position == 23


# --- error -----------------------------------------------------------------------------------


def test_stale_running_statistics_do_not_fool_error_as_they_fool_eval_mode():
    """Bright images: after a few steps the running means are still on their way from 0."""
    module, examples = network(), data(60, brightness=5.0)
    history = fit(module, examples, epochs=6, batch_size=30)
    images, labels = examples.train_images, examples.train_labels
    assert history.final_error == error(module, images, labels) == 0
    assert error(module, images, labels, statistics="running") >= 0.3
    with torch.no_grad():
        scores = deepcopy(module).eval()(images)
    assert error(module, images, labels, statistics="running") == (scores.argmax(1) != labels).double().mean().item()


@pytest.mark.parametrize("statistics", ["batch", "running"])
@pytest.mark.parametrize("fails", [False, True])
def test_error_changes_no_buffer_mode_or_random_state_even_when_the_network_fails(statistics, fails):
    class Noise(nn.Module):
        def forward(self, x):
            if fails and x.sum() != 0:
                raise Failure
            return x + torch.randn_like(x)

    module = network(extra=Noise())
    module[1].eval()
    before, modes = state(module), [part.training for part in module.modules()]
    random = torch.get_rng_state()
    try:
        error(module, *examples(12), statistics=statistics)
        assert not fails
    except Failure:
        assert fails
    assert_same_bits(before, state(module))
    assert [part.training for part in module.modules()] == modes
    assert all(part.track_running_stats for part in module.modules() if isinstance(part, nn.BatchNorm2d))
    assert torch.equal(torch.get_rng_state(), random)


def test_batch_norm_outside_of_images_is_measured_and_refused_like_that_of_images():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, CLASSES))
    images, labels = examples(12, brightness=5.0)
    before = state(module)
    with training.measuring(module), torch.no_grad():
        scores = module(images)
    assert_same_bits(before, state(module))
    assert_close(scores, deepcopy(module).train()(images))
    with pytest.raises(SettingError, match="over a single image"):
        error(module, images[:1], labels[:1])
    with pytest.raises(SettingError, match="batch_size is 1 and the network has batch norm"):
        fit(module, data(), batch_size=1)


def test_a_batch_norm_without_running_statistics_stays_without_them():
    module = network()
    module[1] = nn.BatchNorm2d(5, track_running_stats=False)
    error(module, *examples(12))
    assert [module[place].track_running_stats for place in (1, 4)] == [False, True]


def test_the_package_s_own_batch_norm_is_measured_as_torch_s_is():
    """Same weights, same steps: the same errors, and nothing left behind."""
    found = []
    for kind in (nn.BatchNorm2d, BatchNorm):
        module, examples = network(), data(60, brightness=5.0)
        module[1], module[4] = kind(5), kind(5)
        history = fit(module, examples, epochs=3, batch_size=30)
        before = state(module)
        found.append([history.final_error, *(error(module, examples.train_images, examples.train_labels, statistics=how)
                                             for how in ("batch", "running"))])
        assert_same_bits(before, state(module))
        assert module[1].track_running_stats is True
        with pytest.raises(SettingError, match="batch_size is 1 and the network has batch norm"):
            fit(module, data(), batch_size=1)
    assert found[0] == found[1] and found[0][1] != found[0][2]


def test_error_uses_no_dropout():
    module, (images, labels) = network(batch_norm=False, extra=nn.Dropout(0.9)), examples(300)
    assert error(module, images, labels) == error(network(batch_norm=False), images, labels)


def test_error_takes_many_images_in_equal_shuffled_parts():
    images, labels = examples(2050)
    order = labels.argsort()
    images[:, 0, 5, 5] = labels.float()
    module, parts = network(), []
    module[0].register_forward_hook(lambda _m, inputs, _out: parts.append(inputs[0][:, 0, 5, 5]))
    value = error(module, images[order], labels[order])
    assert list(map(len, parts)) == [684, 684, 682]
    assert all(0.25 < (part == k).double().mean() < 0.42 for part in parts for k in range(CLASSES))
    assert error(module, images[order], labels[order]) == value
    with torch.no_grad():
        scores = deepcopy(module).train()(images[order])
    assert abs(value - (scores.argmax(1) != labels[order]).double().mean().item()) < 0.02


def test_a_score_of_nan_is_a_wrong_prediction():
    class Nan(nn.Module):
        def forward(self, x):
            return torch.where(x > -math.inf, math.nan, x)

    module = nn.Sequential(network(), Nan())
    assert error(module, *examples(12)) == 1


# --- what it refuses -------------------------------------------------------------------------


@pytest.mark.parametrize("settings, words", [
    ({"epochs": 0}, "epochs is 0; it must be a whole number"),
    ({"epochs": 2.5}, "epochs is 2.5"),
    ({"batch_size": 0}, "batch_size is 0"),
    ({"batch_size": True}, "batch_size is True"),
    ({"batch_size": 1}, "batch_size is 1 and the network has batch norm.* Use batch_size=2 or more"),
    ({"learning_rate": 0}, "learning_rate is 0; it must be a number above 0"),
    ({"learning_rate": -0.1}, "learning_rate is -0.1"),
    ({"learning_rate": math.inf}, "learning_rate is inf"),
    ({"learning_rate": math.nan}, "learning_rate is nan"),
    ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
    ({"learning_rate": True}, "learning_rate is True"),
    ({"momentum": 1}, "momentum is 1; it must be 0 or a number below 1"),
    ({"weight_decay": -1}, "weight_decay is -1"),
    ({"schedule": "linear"}, "schedule='linear' is not known. Use 'cosine', or None"),
])
def test_a_setting_that_cannot_be_trained_with_is_refused_in_words(settings, words):
    with pytest.raises(SettingError, match=words):
        fit(network(), data(), **settings)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("images, labels, words", [
    (lambda x: x.numpy(), None, "images are a ndarray; they must be a float tensor"),
    (lambda x: x[:, 0], None, r"torch.float32 of shape \(\d+, 6, 6\).*adds a missing channel axis"),
    (lambda x: x.to(torch.uint8), None, "images are torch.uint8"),
    (lambda x: x[1:], None, "There are 8 images and 9 labels|There are 19 images and 20 labels"),
    (lambda x: x / 0, None, "pixels are infinite or NaN"),
    (None, lambda y: y.tolist(), "labels are a list"),
    (None, lambda y: y.float(), "labels are torch.float32.*whole numbers"),
    (None, lambda y: y > 0, "labels are torch.bool"),
    (None, lambda y: F.one_hot(y), r"labels are torch.int64 of shape \(\d+, 3\).*argmax"),
    (None, lambda y: y + 1, "labels run from 1 to 3, and the network scores 3 classes, 0 to 2"),
    (None, lambda y: y - 1, "labels run from -1 to 1"),
    (lambda x: x[:0], lambda y: y[:0], "There are 0 images and 0 labels"),
    (lambda x: x[:1], lambda y: y[:1], "over a single image"),
])
def test_images_and_labels_that_do_not_fit_are_refused_in_words_by_fit_and_by_error(split, images, labels, words):
    given = data()
    for part, change in (("images", images), ("labels", labels)):
        if change:
            setattr(given, f"{split}_{part}", change(getattr(given, f"{split}_{part}")))
    module = network()
    before = state(module)
    with pytest.raises(SettingError, match=words):
        fit(module, given)
    assert_same_bits(before, state(module))
    with pytest.raises(SettingError, match=words):
        error(module, getattr(given, f"{split}_images"), getattr(given, f"{split}_labels"))


def test_a_network_that_ends_in_images_is_refused_in_words():
    with pytest.raises(SettingError, match=r"scores of shape \(2, 4, 4, 4\); they must be \(N, classes\)"):
        fit(nn.Conv2d(1, 4, 3), data())


def test_error_refuses_unknown_statistics_and_takes_a_single_image_with_running_ones():
    with pytest.raises(SettingError, match="statistics='eval' is not known. Use 'batch' or 'running'"):
        error(network(), *examples(5), statistics="eval")
    assert error(network(), *examples(1), statistics="running") in (0, 1)
    assert error(network(batch_norm=False), *examples(1)) in (0, 1)


# --- the bar ---------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would show, as a list of bundles, with a clock that a test sets."""
    states, clock = [], SimpleNamespace(now=0.0)
    handle = SimpleNamespace(update=lambda bundle, raw: states.append(bundle))
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, display_id: states.append(bundle) or handle)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    states_and_clock = SimpleNamespace(states=states, clock=clock)
    states_and_clock.texts = lambda: [bundle["text/plain"] for bundle in states]
    return states_and_clock


def test_the_first_state_is_the_last_since_nbval_compares_the_one_and_the_other_is_saved(shown):
    fit(network(), data(), epochs=2, label="plain-2")
    assert shown.texts()[:2] == ["plain-2: finished", "plain-2: 0 of 2 epochs"]
    assert shown.states[0] == shown.states[-1]
    assert shown.states[0].keys() == {"text/plain", "text/html"}


def test_one_bar_serves_several_runs_and_names_each(shown):
    with Progress(4, "Training 2 networks") as bar:
        for label in ("a", "b"):
            shown.clock.now += 1
            fit(network(), data(), epochs=2, label=label, progress=bar)
    assert shown.texts() == ["Training 2 networks: finished", "Training 2 networks: 0 of 4 epochs",
                             "Training 2 networks: 1 of 4 epochs · a", "Training 2 networks: 3 of 4 epochs · b",
                             "Training 2 networks: finished"]


def test_a_bar_is_drawn_at_most_ten_times_a_second(shown):
    with Progress(1000) as bar:
        for position in range(1000):
            shown.clock.now += 0.01
            bar.move(position)
    assert 90 <= len(shown.states) <= 103


def test_a_bar_says_how_far_an_interrupted_or_failed_run_came(shown):
    fit(interrupting(4), data(), **SETTINGS)
    assert shown.texts()[-1] == "Training: interrupted after 1 of 3 epochs"
    with pytest.raises(Failure):
        fit(network(extra=Each(fail)), data())
    assert shown.texts()[-1] == "Training: stopped by an error after 0 of 10 epochs"
    with pytest.raises(KeyboardInterrupt), Progress(5):
        raise KeyboardInterrupt
    assert shown.texts()[-1] == "Training: interrupted after 0 of 5 epochs"


def test_a_bar_can_be_read_without_seeing_it(shown):
    with Progress(8, 'a <b> & "c"') as bar:
        shown.clock.now += 1
        bar.move(2)
    html = shown.states[2]["text/html"]
    assert 'role="progressbar"' in html and 'aria-valuenow="25"' in html and 'aria-valuetext="2 of 8 epochs"' in html
    assert "a &lt;b&gt; &amp; &quot;c&quot;: 2 of 8 epochs" in html and "<b>" not in html and "width:25%" in html


def test_a_bar_does_not_name_its_run_twice(shown):
    with Progress(2, "plain-2") as bar:
        shown.clock.now += 1
        bar.move(1, "plain-2")
    assert shown.texts()[2] == "plain-2: 1 of 2 epochs"


def test_a_bar_never_grows_beyond_its_frame(shown):
    with Progress(2) as bar:
        shown.clock.now += 1
        bar.move(3)
    assert "width:100%" in shown.states[2]["text/html"]


def test_outside_a_notebook_nothing_is_shown(capfd):
    fit(network(), data(), epochs=2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("swapped, words", [
    (lambda network, data: (data, network), "in this order"),
    (lambda network, data: (network, (data.train_images, data.train_labels)), "without train_images, train_labels"),
])
def test_a_network_and_data_of_other_kinds_are_refused_in_words(swapped, words):
    from resnote.data import digits
    from resnote.networks import SmallNet
    with pytest.raises(SettingError, match=words):
        fit(*swapped(SmallNet("plain", 8), digits()), epochs=1)


@pytest.mark.parametrize("rate", [1e3, 1e6])
def test_with_batch_norm_too_a_diverging_learning_rate_is_told_from_a_loss_that_is_still_finite(rate):
    from resnote.data import digits
    from resnote.networks import SmallNet
    torch.manual_seed(0)
    history = fit(SmallNet("plain", 8), digits(), learning_rate=rate, epochs=1)
    assert history.steps < 11 and "lower learning_rate" in history.stopped


def test_an_interrupt_between_two_runs_under_one_bar_ends_the_later_ones():
    with Progress(6) as bar:
        whole = fit(network(), data(), epochs=3, progress=bar)
        signal.raise_signal(signal.SIGINT)
        later = fit(network(), data(), epochs=3, progress=bar)
    assert whole.stopped is None and later.steps == 0 and "Interrupted" in later.stopped
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_under_a_bar_is_raised_and_the_handler_comes_back():
    with pytest.raises(KeyboardInterrupt), Progress(6):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_trains_inside_no_grad_too():
    with torch.no_grad():
        assert fit(network(), data(), epochs=3).steps == 3


@pytest.mark.parametrize("seed", [1.5, None, "1", True, 2**63])
def test_a_seed_that_is_no_whole_number_is_refused_in_words(seed):
    with pytest.raises(SettingError, match="seed is"):
        fit(network(), data(), seed=seed)


def test_a_network_whose_weights_are_all_frozen_is_refused_in_words_and_one_with_some_is_trained():
    module = network()
    with pytest.raises(SettingError, match="requires_grad"):
        fit(nn.Flatten(), data())
    with pytest.raises(SettingError, match="requires_grad"):
        fit(module.requires_grad_(False), data())
    module[-1].requires_grad_(True)
    assert fit(module, data(), epochs=2).steps == 2


def test_test_images_that_do_not_fit_are_refused_before_the_first_step():
    module, wrong = network(), data()
    wrong.test_images = wrong.test_images.expand(-1, 3, -1, -1)
    before = state(module)
    with pytest.raises((SettingError, RuntimeError)):
        fit(module, wrong)
    assert_same_bits(before, state(module))


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_the_error_of_what_is_no_network_is_refused_in_words(statistics):
    with pytest.raises(SettingError, match="The network is a function; it must be an nn.Module"):
        error(lambda images: images, torch.randn(4, 1, 3, 3), torch.tensor([0, 1, 0, 1]), statistics=statistics)
