"""Trainings side by side: each to the last bit what it is alone, and all else one at a time."""

from __future__ import annotations

import _thread
import signal
import threading
import time

import pytest
import torch
from torch import nn

from resnote import together, training
from resnote.data import digits, first
from resnote.networks import SmallNet
from resnote.progress import Progress
from resnote.settings import SettingError
from resnote.together import others_may_run, side_by_side
from resnote.training import fit

DATA = first(digits(), 96, 32)


@pytest.fixture(autouse=True)
def two_processors(monkeypatch):
    monkeypatch.setattr(together, "processors", lambda: 2)


def trained(seed, bar, made=lambda: SmallNet("plain", 8, width=4)):
    torch.manual_seed(seed)
    network = made()
    history = fit(network, DATA, epochs=2, batch_size=32, seed=seed, progress=bar)
    return [history.loss, history.test_error, torch.cat([p.flatten() for p in network.parameters()]).tolist(), torch.rand(1).item()]


def dropping():
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))


@pytest.mark.parametrize("made", [lambda: SmallNet("plain", 8, width=4), dropping], ids=["batch norm", "dropout"])
def test_each_training_is_to_the_last_bit_what_it_is_alone(made):
    alone = [trained(seed, None, made) for seed in range(4)]
    torch.manual_seed(5)
    state = torch.get_rng_state()
    with Progress(8) as bar:
        found = side_by_side(lambda seed, bar: trained(seed, bar, made), range(4), bar)
    assert list(found) == [0, 1, 2, 3] and list(found.values()) == alone
    assert torch.equal(torch.get_rng_state(), state)


def test_a_call_that_seeds_nothing_draws_the_same_numbers_each_time():
    def draws(_, bar):
        before = torch.rand(3)
        with others_may_run():
            time.sleep(0.01)
        return [*before.tolist(), *torch.rand(3).tolist()]

    with Progress(1) as bar:
        first_time, second_time = (side_by_side(draws, range(6), bar) for _ in range(2))
    assert first_time == second_time and len(set(map(tuple, first_time.values()))) == 1


class Meeting(nn.Module):
    """Its second step waits for that of the other network."""

    def __init__(self, place):
        super().__init__()
        self.place, self.steps = place, 0
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x):
        self.steps += 1
        if self.steps == 3:         # the first is a check's
            self.place.wait(30)
        return self.layers(x)


def test_steps_of_two_networks_run_at_the_same_time():
    place = threading.Barrier(2)
    with Progress(2) as bar:
        found = side_by_side(lambda n, bar: fit(Meeting(place), DATA, epochs=1, batch_size=32, test=False, progress=bar), (0, 1), bar)
    assert [history.steps for history in found.values()] == [3, 3] and bar.position == 2


def test_all_else_is_done_by_one_call_at_a_time():
    inside, most = [], []

    def alone(number, bar):
        inside.append(number)
        time.sleep(0.02)
        most.append(len(inside))
        inside.remove(number)

    with Progress(1) as bar:
        side_by_side(alone, range(6), bar)
    assert most == [1] * 6


def test_what_fit_measures_is_all_else_too(monkeypatch):
    """It puts torch's random numbers back as they were, which may be another call's."""
    undisturbed = []

    def slow(*_, **__):
        before = torch.get_rng_state()
        time.sleep(0.02)
        undisturbed.append(torch.equal(before, torch.get_rng_state()))
        return 0.5

    monkeypatch.setattr(training, "error", slow)
    with Progress(12) as bar:
        side_by_side(trained, range(6), bar)
    assert undisturbed == [True] * 18


def test_calls_are_tuples_of_arguments_or_the_only_one():
    with Progress(1) as bar:
        assert side_by_side(lambda a, b, bar: a + b, iter([(1, 2), (3, 4)]), bar) == {(1, 2): 3, (3, 4): 7}
        assert side_by_side(lambda a, bar: a, ["one"], bar) == {"one": "one"}
        assert side_by_side(lambda a, bar: a, [], bar) == {}


def test_the_bar_is_drawn_by_its_own_thread_and_stands_where_all_parts_add_up():
    drawn = []

    class Watched(Progress):
        def move(self, position, label=""):
            drawn.append((threading.current_thread(), position, label))
            super().move(position, label)

    with Watched(7) as bar:
        bar.move(3)
        side_by_side(trained, (0, 1), bar)
    assert {thread for thread, _, _ in drawn} == {threading.main_thread()}
    positions = [position for _, position, _ in drawn]
    assert positions == sorted(positions) and positions[-1] == 7


def steps_taken(bar, interrupt):
    """The steps of each of three trainings, of 3,000 each, where ``interrupt`` is called once a training has begun."""
    def train(_, part):
        network, own = dropping()[::2], []

        def count(*_):
            own.append(1)
            if len(own) == 5:
                interrupt(part)
        network.register_forward_hook(count)
        history = fit(network, DATA, epochs=1000, batch_size=32, test=False, progress=part)
        return history.steps, history.stopped

    return side_by_side(train, range(3), bar)


def test_a_fit_without_a_bar_moves_its_part_and_ends_with_it(monkeypatch):
    drawn = []
    monkeypatch.setattr(Progress, "_draw", lambda bar, *_: drawn.append(bar))
    with Progress(8) as bar:
        found = side_by_side(lambda seed, part: (trained(seed, None), part.position), range(4), bar)
        assert bar.position == 8 and [position for _, position in found.values()] == [2.0] * 4
        bar.interrupted = True
        stopped = side_by_side(lambda seed, part: fit(SmallNet("plain", 8, width=4), DATA, epochs=2), range(1), bar)[0]
    assert set(drawn) == {bar} and stopped.steps == 0
    history = fit(SmallNet("plain", 8, width=4), DATA, epochs=1)
    assert history.epochs == 1 and drawn[-1] is not bar             # outside, it shows its own again


def test_an_interrupt_ends_all_after_their_step():
    with Progress(3000) as bar:
        found = steps_taken(bar, lambda part: setattr(part, "interrupted", True))
        assert bar.interrupted
    assert all(steps < 3000 and "Interrupted after" in stopped for steps, stopped in found.values())
    assert found[2][0] == 0


def test_an_interrupt_that_came_before_is_not_forgotten():
    with Progress(3000) as bar:
        bar.interrupted = True
        found = steps_taken(bar, lambda part: None)
    assert {steps for steps, _ in found.values()} == {0}


def test_two_interrupts_are_raised_when_all_have_ended_and_leave_things_as_they_were():
    handler, state, histories = signal.signal(signal.SIGINT, signal.default_int_handler), torch.get_rng_state(), []
    torch.set_num_threads(2)

    def train(number, part):
        torch.manual_seed(number)
        network, steps = dropping()[::2], []
        network.register_forward_hook(lambda *_: steps.append(1))
        if number == 1:         # by now the first call trains
            _thread.interrupt_main()
            while not part.interrupted:
                time.sleep(0.001)
            _thread.interrupt_main()
        histories.append(fit(network, DATA, epochs=1000, batch_size=32, test=False, progress=part).steps)

    with pytest.raises(KeyboardInterrupt), Progress(3000) as bar:
        side_by_side(train, range(3), bar)
    assert bar.interrupted and histories and max(histories) < 3000
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == 2
    assert signal.signal(signal.SIGINT, handler) is signal.default_int_handler


def test_the_first_error_is_raised_and_not_one_that_it_led_to():
    def train(number, bar):
        if number == 1:
            raise MemoryError("first")
        history = fit(SmallNet("plain", 8, width=4), DATA, epochs=1000, batch_size=32, progress=bar)
        return history.test_error[999]

    with pytest.raises(MemoryError, match="first"), Progress(2000) as bar:
        side_by_side(train, range(2), bar)


def test_inside_others_may_run_a_second_one_changes_nothing():
    def twice(_, bar):
        with others_may_run(), others_may_run():
            time.sleep(0.01)
        return torch.rand(1).item()

    with Progress(1) as bar:
        assert len(set(side_by_side(twice, range(4), bar).values())) == 1


def test_calls_that_cannot_be_told_apart_are_refused_before_any_is_made():
    made = []
    with Progress(1) as bar:
        with pytest.raises(TypeError, match="unhashable"):
            side_by_side(lambda *call: made.append(call), [1, [2]], bar)
        assert made == [] and side_by_side(lambda n, bar: made.append(n), [1, 1, 2], bar) == {1: None, 2: None}
    assert sorted(made) == [1, 2]           # which thread is first is chance


def test_an_error_ends_the_others_and_is_raised_and_the_next_call_works():
    ran, stops = [], []

    def train(number, bar):
        ran.append(number)
        if number == 1:
            raise RuntimeError("broken")
        stops.append(fit(dropping()[::2], DATA, epochs=1000, batch_size=32, test=False, progress=bar).stopped)

    with Progress(4000) as bar:
        with pytest.raises(RuntimeError, match="broken"):
            side_by_side(train, range(4), bar)
        assert 3 not in ran and not bar.interrupted and all("Interrupted after" in stop for stop in stops)
        assert side_by_side(trained, [0], bar) == {0: trained(0, None)}


def test_what_is_no_bar_is_refused_in_words():
    with pytest.raises(SettingError, match="progress is a NoneType; it must be a Progress"):
        side_by_side(trained, [0], None)


def test_it_counts_the_processors_that_this_process_may_use(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(together.os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert together.processors() == 3
    monkeypatch.delattr(together.os, "sched_getaffinity")
    monkeypatch.setattr(together.os, "cpu_count", lambda: None)
    assert together.processors() == 1
