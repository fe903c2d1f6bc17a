"""The recorded study is whole, and its script trains what it says."""

import sys
from collections import Counter
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import degradation  # noqa: E402

from resnote import study  # noqa: E402
from resnote.settings import SettingError  # noqa: E402

STUDY = study.load()


def test_the_record_holds_every_run_of_the_plan_once_and_none_was_stopped():
    def keys(run):
        return tuple(run[name] for name in ("block", "depth", "epochs", "learning_rate", "seed"))

    assert Counter(map(keys, STUDY.runs)) == Counter(map(keys, degradation.plan(8)))
    assert len(STUDY.runs) == 208 and not any(run["stopped"] for run in STUDY.runs)
    assert STUDY.command == "python benchmarks/degradation.py" and STUDY.data == "digits"


def test_over_all_eight_seeds_depth_hurts_the_plain_network_and_not_the_residual_one():
    pairs = list(zip(STUDY.errors("plain", 8), STUDY.errors("plain", 44), STUDY.errors("residual", 44), strict=True))
    assert len(pairs) == 8
    assert all(deep > shallow and residual < deep / 2 for shallow, deep, residual in pairs)


def test_errors_are_those_of_one_setting_in_the_order_of_the_seeds():
    setting = {"block": "plain", "depth": 44, "epochs": 50, "learning_rate": 0.1}
    by_seed = {run["seed"]: run["test_error"] for run in STUDY.runs if setting.items() <= run.items()}
    assert STUDY.errors("plain", 44, epochs=50, images="test") == [by_seed[seed] for seed in range(8)]


@pytest.mark.parametrize("setting, words", [
    ({"depth": 45}, "no network with block='plain', depth=45"), ({"depth": 8, "learning_rate": 3.0}, "learning_rate=3.0"),
    ({"depth": 8, "images": "both"}, "'train' or 'test'")])
def test_a_network_that_was_not_trained_is_said_to_be_missing(setting, words):
    with pytest.raises(SettingError, match=words):
        STUDY.errors("plain", **setting)


def test_a_run_of_the_script_is_repeatable_and_gives_shares():
    run = {"block": "residual", "depth": 8, "epochs": 1, "learning_rate": 0.1, "seed": 3}
    result = degradation.train(run)
    assert result == degradation.train(run) and result.items() >= run.items()
    assert 0 <= result["train_error"] <= 1 and 0 <= result["test_error"] <= 1 and result["stopped"] is None


@pytest.mark.parametrize("seeds, folder, name", [(8, None, "study"), (2, None, "degradation-2-seeds"),
                                                 (8, "x", "degradation-cifar10"), (1, "x", "degradation-cifar10-1-seeds")])
def test_only_the_full_study_is_written_where_the_lessons_read(seeds, folder, name):
    assert degradation.target(seeds, folder).stem == name
    assert (degradation.target(seeds, folder) == study.RECORD) == (name == "study")
