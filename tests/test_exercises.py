"""Every exercise takes its solution, and says of each plausible wrong answer what is wrong with it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from resnote.exercises import Prediction, lesson_01, lesson_02, lesson_03
from resnote.exercises.base import Exercise, Wrong

EXERCISES = {f"{module.__name__.split('.')[-1]}.{name}": value
             for module in (lesson_01, lesson_02, lesson_03) for name, value in vars(module).items() if isinstance(value, Exercise)}


def same_channels(fx, x, error):
    if fx.shape[1] != x.shape[1]:
        raise error("no")
    return (fx + x).relu()


def weights(k, i, o, groups, bias):
    return k * k * (i // groups) * o


def widest(cost, budget):
    return next(w for w in range(10_000) if cost(w + 1) > budget)


WRONG = {
    "lesson_01.ex1": [
        (lambda k, c: 2 / (k * k * c), "that is the variance"),
        (lambda k, c: (1 / (k * k * c)) ** 0.5, "has to be doubled"),
        (lambda k, c: (2 / c) ** 0.5, "count all of them"),
        (lambda k, c: (2 / (k * c)) ** 0.5, "the kernel is square"),
        (lambda k, c: (2 * k * k * c) ** 0.5, "divide by fan_in"),
        (lambda k, c: 0.01, "would change by a factor"),
        (lambda k, c: (2 / (9 * c)) ** 0.5, "he_std(1, 64) gave"),
        (lambda k, c: (2 / ((4 * k - 3) * c)) ** 0.5, "he_std(5, 7) gave"),     # 4k − 3 is k² for 1 and 3
        (lambda k, c: "0.1", "one number"),
    ],
    "lesson_01.ex2": [
        (lambda y: (y == 0).float().mean().item(), "share of zeros"),
        (lambda y: (y == 0).all(1).float().mean(), "Rows are images"),
        (lambda y: 1 - (y == 0).all(0).float().mean(), "that live"),
        (lambda y: (y == 0).any(0).float().mean(), "for some image"),
        (lambda y: (y == 0).all(0).sum(), "number of dead units"),
        (lambda y: 0.5, "3 are 0 for every image"),
        (lambda y: (y == 0).all(0), "one number"),
        (lambda y: 0.3, "no unit is dead"),
    ],
    "lesson_01.ex3": [
        (lambda a, b, c: "overfitting" if c > b + 0.05 else "neither", "worse on the images it trains on"),
        (lambda a, b, c: "degradation" if b > a + 0.05 else "neither", "fails on others"),
        (lambda a, b, c: "overfitting" if c > b + 0.05 else "degradation" if b > a + 0.05 else "neither", "already worse"),
        (lambda a, b, c: "degradation" if b > a else "overfitting" if c > b + 0.05 else "neither", "close to each other"),
        (lambda a, b, c: "degradation" if abs(a - b) > 0.05 else "overfitting" if c > b + 0.05 else "neither", "deeper is better"),
        (lambda a, b, c: "degradation" if b > a + 0.15 else "overfitting" if c > b + 0.05 else "neither", "more than 0.05"),
        (lambda a, b, c: "degradation" if b > a + 0.03 else "overfitting" if c > b + 0.05 else "neither", "both gaps"),
        (lambda a, b, c: True, "it must give"),
    ],
    "lesson_02.ex1": [
        (lambda f, x: f(x).relu(), "x is missing"),
        (lambda f, x: f(x) + x, "behind it is missing"),
        (lambda f, x: f(x).relu() + x, "after the add, not before"),
        (lambda f, x: f(x) + x.relu(), "x goes around as it is"),
        (lambda f, x: f(x).relu() + x.relu(), "one ReLU"),
        (lambda f, x: (f(x) - x).relu(), "The block adds"),
        (lambda f, x: (x + x).relu(), "F is not called"),
        (lambda f, x: (f(f(x)) + 0).relu(), "applied twice"),
        (lambda f, x: (f(x) + x).relu(), "repeats what has length 1 silently"),
        (lambda f, x: torch.nn.ReLU(f(x) + x), "torch.relu(...) computes"),
        (lambda f, x: same_channels(f(x), x, ValueError), "1 of 3 rows"),
        (lambda f, x: same_channels(f(x), x, TypeError), "raised a TypeError"),
        (lambda f, x: (f(x) + x).relu()[:1], "has the shape of x"),
        (lambda f, x: (f(x) + 2 * x).relu(), "values differ"),
        (lambda f, x: 3, "must return a tensor"),
    ],
    "lesson_02.ex2": [
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x, c, 1), "The stride is missing"),
        (lambda x, c, s: x[:, :, ::s, ::s], "new channels are missing"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x, c, min(s, 2)), "zero_pad_shortcut(x, 8, 3) gave"),
        (lambda x, c, s: F.pad(x[:, :, ::s, ::s], (0, 0, 0, c - 3)), "must be"),
        (lambda x, c, s: torch.cat([x[:, :, ::s, ::s]] * c, 0), "the zeros went to axis 0"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x, c, s).roll(c - 3, 1), "before x's channels"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(F.avg_pool2d(x, s, ceil_mode=True), c, 1), "the image is pooled"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x.roll(1, 2), c, s), "other pixels are kept"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x, c, s) + (torch.arange(c) > 2).view(1, -1, 1, 1), "are not 0"),
        (lambda x, c, s: 3, "must return a tensor"),
    ],
    "lesson_02.ex3": [
        (lambda slopes: math.prod(slopes), "plain network's"),
        (lambda slopes: 1 + math.prod(slopes) if len(slopes) > 1 else 1 + sum(slopes), "each block has its own 1"),
        (lambda slopes: 1 + sum(slopes), "multiply"),
        (lambda slopes: sum(1 + s for s in slopes), "multiply"),
        (lambda slopes: math.prod(abs(1 + s) for s in slopes), "and it is"),
        (lambda slopes: sum(slopes), "each block adds its 1"),
        (lambda slopes: math.prod(1 + s for s in slopes) if slopes else 0, "slope_through([]) gave 0"),
        (lambda slopes: math.prod(1 + s for s in slopes) if any(slopes) or not slopes else 0, "30 slopes of 0 gave 0"),
        (lambda slopes: 7, "and it is"),
        (lambda slopes: "1", "one number"),
    ],
    "lesson_03.ex1": [
        (lambda k, i, o, g, b: k * i * o + b * o, "kernel counts only once"),
        (lambda k, i, o, g, b: (k ^ 2) * (i // g) * o + b * o, "not a power"),
        (lambda k, i, o, g, b: k * k * i + b * o, "one filter"),
        (weights, "bias is missing"),
        (lambda k, i, o, g, b: weights(k, i, o, g, b) + b, "one bias for the whole layer"),
        (lambda k, i, o, g, b: weights(k, i, o, g, b) + b * i, "one for each input channel"),
        (lambda k, i, o, g, b: weights(k, i, o, g, b) + o, "bias is False"),
        (lambda k, i, o, g, b: weights(k, i, o, 1, b) + b * o, "groups is ignored"),
        (lambda k, i, o, g, b: k * k * (i // g) * (o // g) + b * o, "only the input channels are divided"),
        (lambda k, i, o, g, b: weights(k, i, o, g, b) + b * o // g, "not divided by groups"),
        (lambda k, i, o, g, b: k * k * (i / g) * o + b * o, "divide with //"),
        (lambda k, i, o, g, b: weights(k, i, o, g, b) + b * o + 1, "weight tensor"),
        (lambda k, i, o, g, b: True, "whole number"),
        (lambda k, i, o, g, b: "315", "whole number"),
        (lambda k, i, o, g, b: torch.tensor(315), "whole number"),
    ],
    "lesson_03.ex2": [
        (lambda x, w: x.permute(0, 2, 3, 1) @ w.T, "channels are still last"),
        (lambda x, w: (x.permute(0, 3, 2, 1) @ w.T).permute(0, 3, 1, 2), "Height and width are exchanged"),
        (lambda x, w: x.flatten(2), "Order: batch, channels"),
        (lambda x, w: (x.reshape(x.shape[0], *x.shape[2:], -1) @ w.T).permute(0, 3, 1, 2), "reshape cuts"),
        (lambda x, w: (x.permute(0, 2, 3, 1) @ w.T).reshape(x.shape[0], -1, *x.shape[2:]), "on the way back"),
        (lambda x, w: torch.einsum("nchw,oc->nohw" if w.shape[0] != w.shape[1] else "nchw,co->nohw", x, w),
         "wrong way round"),
        (lambda x, w: torch.einsum("oc,nchw->nohw", w, x).relu(), "ReLU"),
        (lambda x, w: torch.einsum("oc,nchw->nohw", w, x) + 1, "values differ"),
        (lambda x, w: torch.einsum("oc,nchw->nohw", w, x).float(), "Keep their type"),
        (lambda x, w: F.conv2d(x, w[:, :, None, None]), "come from a convolution"),
        (lambda x, w: torch.conv2d(x, w[:, :, None, None]), "come from a convolution"),
        (lambda x, w: np.ones(3), "must return a tensor"),
        (lambda x, w: torch.full((x.shape[0], w.shape[0], *x.shape[2:]), math.nan, dtype=x.dtype), "values differ"),
    ],
    "lesson_03.ex3": [
        (lambda c, b: widest(lambda w: c * w + 9 * w * w, b), "counts one 1×1"),
        (lambda c, b: widest(lambda w: 2 * c * w + w * w, b), "as if it were a 1×1"),
        (lambda c, b: widest(lambda w: 11 * c * w, b), "inside the squeeze"),
        (lambda c, b: widest(lambda w: 2 * c * w + 9 * w * w + 1, b), "still allowed"),
        (lambda c, b: lesson_03.widest_bottleneck(c, b) + 1, "over the budget"),
        (lambda c, b: max(1, lesson_03.widest_bottleneck(c, b)), "return 0"),
        (lambda c, b: lesson_03.widest_bottleneck(c, b) or -1, "never negative"),
        (lambda c, b: lesson_03.widest_bottleneck(c, b) - 3, "fits too"),
        (lambda c, b: (-c + math.sqrt(c * c + 9 * b)) / 9, "whole number"),
    ],
}

each_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


def test_every_exercise_is_tried_with_wrong_answers():
    assert EXERCISES.keys() == WRONG.keys()
    assert all(len(answers) >= 3 for answers in WRONG.values())


@each_exercise
def test_the_solution_is_right(exercise):
    assert exercise.check(exercise.model).outcome == "right"


@pytest.mark.parametrize("name, answer, words",
                         [(name, *case) for name, cases in WRONG.items() for case in cases])
def test_a_wrong_answer_is_told_what_is_wrong(name, answer, words):
    verdict = EXERCISES[name].check(answer)
    assert verdict.outcome == "wrong"
    assert words in verdict.text


@pytest.mark.parametrize("errors, illness", [
    ((0.0, 0.06, 0.06), "degradation"), ((0.0, 0.04, 0.05), "neither"), ((0.0, 0.0, 0.06), "overfitting"),
    ((0.0, 0.01, 0.05), "neither"), ((0.0, 0.06, 0.5), "degradation"), ((0.5, 0.1, 0.16), "overfitting")])
def test_a_gap_of_more_than_five_in_a_hundred_is_an_illness(errors, illness):
    assert lesson_01.diagnose(*errors) == illness


@each_exercise
def test_an_untouched_exercise_is_not_answered_yet(exercise):
    def untouched(*args):
        return ...
    assert exercise.check(untouched).outcome == "not answered yet"
    assert exercise.check(...).outcome == "not answered yet"


@each_exercise
@pytest.mark.parametrize("thing", [None, "text", 3, torch.ones(2), [], np.zeros(3)], ids=repr)
def test_what_is_no_function_gets_a_sentence(exercise, thing):
    verdict = exercise.check(thing)
    assert verdict.outcome == "wrong"
    assert f"check({exercise.name})" in verdict.text


@each_exercise
def test_an_answer_that_raises_is_told_where(exercise):
    def broken(*args):
        return 1 / 0  # here
    verdict = exercise.check(broken)
    assert verdict.outcome == "raised"
    assert verdict.text.startswith(exercise.name + "(") and "ZeroDivisionError" in verdict.text and "return 1 / 0  # here" in verdict.text


@each_exercise
def test_an_answer_that_returns_nothing_or_takes_other_arguments_is_told_so(exercise):
    assert f"{exercise.name}(" in exercise.check(lambda *args: None).text and "return" in exercise.check(print).text
    assert exercise.check(lambda *args: ... + 1).outcome == "not answered yet"
    assert f"def {exercise.name}(" in exercise.check(lambda: 1).text


@each_exercise
@pytest.mark.parametrize("value", [object(), np.ones((2, 2)), torch.ones(3, dtype=torch.bool), torch.ones(2, device="meta"),
                                   float("nan"), float("inf"), {}, "x", 1j, [1, 2]], ids=lambda v: type(v).__name__)
def test_odd_return_values_are_wrong_and_never_raise(exercise, value):
    assert exercise.check(lambda *args: value).outcome == "wrong"


@each_exercise
def test_a_check_leaves_no_trace(exercise):
    """After a wrong or a broken answer the right one is still right, and the inputs were copies."""
    def spoils(*args):
        for arg in args:
            if isinstance(arg, torch.Tensor):
                arg.zero_()
        return exercise.model(*args)
    exercise.check(spoils)
    exercise.check("text")
    assert exercise.check(exercise.model).outcome == "right"


@each_exercise
def test_an_interrupt_is_not_swallowed(exercise):
    def interrupted(*args):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        exercise.check(interrupted)


@each_exercise
def test_hints_come_one_by_one_and_the_solution_is_code(exercise):
    first, second = exercise.hint(), exercise.hint()
    assert first.text != second.text
    last = [exercise.hint().text for _ in range(5)]
    assert last[-1] == last[-2]
    namespace = {"torch": torch}
    exec(repr(exercise.solution()), namespace)
    assert exercise.check(namespace[exercise.name]).outcome == "right"


def test_each_outcome_has_its_own_mark_and_words_and_not_its_colour_alone():
    exercise = lesson_03.ex1
    shown = [exercise.check(answer) for answer in (..., lambda *a: 1 / 0, lambda *a: 1, exercise.model)]
    assert [verdict.outcome for verdict in shown] == ["not answered yet", "raised", "wrong", "right"]
    assert len({verdict.mark for verdict in shown}) == len({verdict.colour for verdict in shown}) == 4
    for verdict in shown:
        assert verdict.mark in verdict._repr_html_() and verdict.outcome.capitalize() in verdict._repr_html_()


def test_where_it_happened_is_the_learners_own_last_line():
    def helper(x):
        return x[0]  # inside

    def answer(*args):
        return helper(())
    assert "return x[0]  # inside" in lesson_03.ex1.check(answer).text


def test_a_message_cannot_break_the_page():
    def check(ask):
        raise Wrong("<script>")
    exercise = Exercise("ex", check, hints=("h",), solution=lesson_03.pointwise)
    assert "&lt;script&gt;" in exercise.check(print)._repr_html_()


def test_a_prediction_answers_each_choice_and_keeps_the_answer_folded_on_a_still_page():
    guess = Prediction("2 + 2?", {"3": "One short.", "4": "Yes <b>."}, answer="4")
    _, radio, reply = guess.widget().children
    assert "No guess yet" in reply.value
    radio.value = "3"
    assert "One short." in reply.value and "Guess again" in reply.value
    radio.value = "4"
    assert "Yes &lt;b&gt;." in reply.value and "again" not in reply.value
    still = guess._repr_mimebundle_()["text/html"]
    assert "<details>" in still and still.index("2 + 2?") < still.index("<details>") < still.index("Yes &lt;b&gt;.")


def test_the_guesses_about_44_layers_are_answered_as_the_recorded_study_answers_them():
    study = json.loads((Path(__file__).parents[1] / "benchmarks" / "degradation.json").read_text())
    errors = {key: [run["train_error"] for run in study["runs"] if key == (run["block"], run["depth"]) and
                    (run["epochs"], run["learning_rate"]) == (10, 0.1)] for key in (("plain", 8), ("plain", 44), ("residual", 44))}
    assert max(errors["plain", 8]) < 0.01 and min(errors["plain", 44]) > 0.3 and max(errors["residual", 44]) < 0.01
    assert lesson_01.guesses.deeper.answer == "The shallow one"
    assert lesson_02.guesses.repaired.answer == "near 0"


def test_a_prediction_refuses_an_answer_that_is_no_choice():
    with pytest.raises(ValueError, match="'5' is not among the choices"):
        Prediction("2 + 2?", {"3": "", "4": ""}, answer="5")
