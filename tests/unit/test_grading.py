"""Points: what `check` calls right gets them, hidden cases find what only looks right, and no answer harms the grader."""

import itertools
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from test_exercise_answers import RIGHT

from resnote.exercises import base, lesson_01, lesson_02, lesson_03
from resnote.exercises.base import NoPoints
from resnote.exercises.every import EXERCISES
from resnote.grading.apart import OutOfBounds, apart, can_fork
from resnote.grading.hidden import DRAWN, check_hidden
from resnote.settings import SettingError

ROOT = Path(__file__).parents[2]
forks = pytest.mark.skipif(not can_fork(), reason="only a fork has limits, and there is none here")


def he_std(kernel_size, in_channels):
    return (2 / (kernel_size**2 * in_channels)) ** 0.5


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, answer", [(name, answer) for name, answers in RIGHT.items() for answer in answers])
def test_an_unusual_right_answer_agrees_on_hidden_cases(name, answer):
    verdict = check_hidden(EXERCISES[name], answer, 1)
    assert verdict.outcome == "right", verdict.text


def test_a_wrong_answer_gets_the_verdicts_sentence():
    with pytest.raises(NoPoints) as error:
        lesson_01.ex1.grade(lambda kernel_size, in_channels: 1.0, hidden=1)
    assert str(error.value) == f"wrong: {lesson_01.ex1.check(lambda kernel_size, in_channels: 1.0).text}"
    assert isinstance(error.value, AssertionError)


@pytest.mark.parametrize("name", EXERCISES)
def test_no_answer_gets_no_points(name):
    with pytest.raises(NoPoints):
        EXERCISES[name].grade(...)


def test_an_answer_that_knows_the_published_cases_by_heart_is_found_by_the_hidden_ones():
    known = {}

    def learns(kernel_size, in_channels, out_channels, groups, bias):
        known[kernel_size, in_channels, out_channels, groups, bias] = lesson_03.conv_parameters(
            kernel_size, in_channels, out_channels, groups, bias)
        return known[kernel_size, in_channels, out_channels, groups, bias]

    def by_heart(kernel_size, in_channels, out_channels, groups, bias):
        return known.get((kernel_size, in_channels, out_channels, groups, bias), 0)

    assert lesson_03.ex1.check(learns).outcome == "right" == lesson_03.ex1.check(by_heart).outcome
    assert lesson_03.ex1.grade(by_heart) == 1
    with pytest.raises(NoPoints, match="right for the arguments of the lesson's check, and not for all: conv_parameters"):
        lesson_03.ex1.grade(by_heart, hidden=7)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in EXERCISES if EXERCISES[name].name in DRAWN])
def test_a_right_answer_is_right_for_every_seed(name):
    """Two answers a seed, in turn."""
    answers = itertools.cycle(RIGHT[name])
    for seed in range(2, 32):
        for answer in itertools.islice(answers, 2):
            verdict = check_hidden(EXERCISES[name], answer, seed)
            assert verdict.outcome == "right", (seed, verdict.text)


WITHOUT = ("find_bug",)     # its check draws nothing


@pytest.mark.thorough
@pytest.mark.parametrize("name", EXERCISES)
def test_hidden_cases_follow_from_the_seed_and_differ_between_seeds(name, monkeypatch):
    """They are the tensors and numbers that the answer is called with; for modules, what their layers then see."""
    def seen(seed):
        given = []
        asked = base._Asked._guarded

        def noted(self, function, args, given_args, names, call, may_change):
            given.extend(repr(sorted(arg.state_dict().items()) if isinstance(arg, torch.nn.Module) else arg) for arg in args if not callable(arg)
                         or isinstance(arg, torch.nn.Module))
            return asked(self, function, args, given_args, names, call, may_change)

        with monkeypatch.context() as patch:
            patch.setattr(base._Asked, "_guarded", noted)
            check_hidden(EXERCISES[name], EXERCISES[name].model, seed)
        return given

    assert seen(1) == seen(1)
    assert (seen(1) == seen(2)) == (EXERCISES[name].name in WITHOUT)


def test_settings_of_a_grade_that_make_no_sense_are_told():
    for settings in ({"hidden": 0}, {"hidden": "secret"}, {"points": -1}):
        with pytest.raises(SettingError):
            lesson_01.ex1.grade(he_std, **settings)


def test_hidden_cases_leave_the_random_numbers_of_the_notebook_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    check_hidden(lesson_01.ex1, he_std, 77)
    assert torch.equal(torch.get_rng_state(), before) and torch.initial_seed() == 5


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.thorough
@forks
def test_an_answer_that_never_ends_is_stopped(tmp_path):
    def for_ever(kernel_size, in_channels):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (tmp_path / "pid").write_bytes(str(child.pid).encode())
        while True:
            pass

    start = time.monotonic()
    with pytest.raises(NoPoints, match="stopped: your code was still running after 2 seconds"):
        lesson_01.ex1.grade(for_ever, seconds=2)
    assert time.monotonic() - start < 30
    pid = int((tmp_path / "pid").read_bytes())
    while runs(pid):        # what it started is ended, too
        assert time.monotonic() - start < 30


@pytest.mark.thorough
@forks
@pytest.mark.parametrize("eat", [lambda *_: [0] * 10**10, lambda *_: torch.zeros(10**10), lambda *_: [bytearray(10**7) for _ in range(10**4)]])
def test_an_answer_that_eats_memory_stops_with_a_sentence(eat):
    with pytest.raises(NoPoints, match="(?i)raised: .*memory"):
        lesson_01.ex1.grade(lambda kernel_size, in_channels: eat(), memory=2**30)


@forks
def test_what_an_answer_writes_is_gone_and_a_file_has_a_largest_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def writes(kernel_size, in_channels):
        with open("mine", "w", encoding="utf-8") as file:
            file.write("x" * 100)
        return he_std(kernel_size, in_channels)

    def fills_the_disk(kernel_size, in_channels):
        with open("mine", "wb") as file:
            for _ in range(100):
                file.write(bytes(10**6))

    assert lesson_01.ex1.grade(writes) == 1 and os.listdir(tmp_path) == []
    with pytest.raises(NoPoints, match="raised: .*File too large"):
        lesson_01.ex1.grade(fills_the_disk)


@forks
def test_what_an_answer_prints_is_not_kept(capfd):
    def prints(kernel_size, in_channels):
        print("x" * 10**6)
        os.write(2, b"y" * 10**6)
        return he_std(kernel_size, in_channels)

    assert lesson_01.ex1.grade(prints) == 1
    assert capfd.readouterr() == ("", "")


@forks
@pytest.mark.parametrize("code, words", [(0, "exit code 0"), (3, "exit code 3")])
def test_an_answer_that_ends_its_process_gets_a_sentence(code, words):
    with pytest.raises(NoPoints, match=words):
        lesson_01.ex1.grade(lambda kernel_size, in_channels: os._exit(code))


@forks
def test_while_nbgrader_grades_only_the_points_run_an_answer(monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    ran = []
    said = lesson_01.ex1.check(lambda *args: ran.append(args))
    assert not ran and "only the cell with the points" in repr(said) and lesson_01.ex1.grade(he_std, hidden=3) == 1


@forks
def test_what_an_answer_started_ends_with_it(tmp_path):
    def starts(kernel_size, in_channels):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (tmp_path / "pid").write_bytes(str(child.pid).encode())
        os._exit(3)

    with pytest.raises(NoPoints, match="exit code 3"):
        lesson_01.ex1.grade(starts)
    start, pid = time.monotonic(), int((tmp_path / "pid").read_bytes())
    while runs(pid):
        assert time.monotonic() - start < 30


@pytest.mark.thorough
@forks
def test_limits_that_are_lower_already_stay(tmp_path):
    code = ("import resource, sys; from resnote.exercises import lesson_01; from resnote.grading.apart import LARGEST_FILE; "
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); resource.setrlimit(resource.RLIMIT_AS, (2**36, 2**36)); "
            "print(lesson_01.ex1.grade(lesson_01.he_std, points=4))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout == "4\n"


@forks
def test_an_endless_message_is_cut():
    def fails(kernel_size, in_channels):
        raise ValueError("x" * 10**7)

    with pytest.raises(NoPoints) as error:
        lesson_01.ex1.grade(fails)
    assert len(str(error.value)) < 2100 and str(error.value).endswith("x …")


@forks
def test_an_answer_changes_nothing_outside_its_process():
    def spoils(f, x):
        lesson_02.ex1._hints = ()
        torch.relu = None

    with pytest.raises(NoPoints):
        lesson_02.ex1.grade(spoils)
    assert len(lesson_02.ex1._hints) == 2 and torch.relu(torch.ones(1)) == 1       # asking for a hint would count as the first


def test_without_forks_the_call_runs_here(monkeypatch):
    monkeypatch.setattr("resnote.grading.apart.can_fork", lambda: False)
    assert apart(lambda: [str(os.getpid())], seconds=1, memory=2**30) == [str(os.getpid())]
    assert lesson_01.ex1.grade(he_std) == 1


@forks
def test_an_interrupt_of_the_grader_ends_the_process_too(monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("resnote.grading.apart.wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        apart(lambda: time.sleep(60), seconds=60, memory=2**30)
    assert not multiprocessing.active_children()


@forks
def test_a_killed_process_is_told_by_its_signal():
    for number, words in ((9, "SIGKILL"), (40, "signal 40")):
        with pytest.raises(OutOfBounds, match=words):
            apart(lambda number=number: os.kill(os.getpid(), number), seconds=20, memory=2**30)
