"""The recorded study is whole, and its script trains what it says."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import degradation  # noqa: E402

STUDY = json.loads((BENCHMARKS / "degradation.json").read_text())


def test_the_record_holds_every_run_of_the_plan_once_and_none_was_stopped():
    def keys(run):
        return tuple(run[name] for name in ("block", "depth", "epochs", "learning_rate", "seed"))

    assert Counter(map(keys, STUDY["runs"])) == Counter(map(keys, degradation.plan(8)))
    assert len(STUDY["runs"]) == 208 and not any(run["stopped"] for run in STUDY["runs"])
    assert STUDY["command"] == "python benchmarks/degradation.py" and STUDY["data"] == "digits"


def test_over_all_eight_seeds_depth_hurts_the_plain_network_and_not_the_residual_one():
    def errors(block, depth):
        return [run["train_error"] for run in STUDY["runs"] if (run["block"], run["depth"]) == (block, depth)
                and run["epochs"] == 10 and run["learning_rate"] == 0.1]

    pairs = list(zip(errors("plain", 8), errors("plain", 44), errors("residual", 44), strict=True))
    assert len(pairs) == 8
    assert all(deep > shallow and residual < deep / 2 for shallow, deep, residual in pairs)


def test_a_run_of_the_script_is_repeatable_and_gives_shares():
    run = {"block": "residual", "depth": 8, "epochs": 1, "learning_rate": 0.1, "seed": 3}
    result = degradation.train(run)
    assert result == degradation.train(run) and result.items() >= run.items()
    assert 0 <= result["train_error"] <= 1 and 0 <= result["test_error"] <= 1 and result["stopped"] is None


@pytest.mark.parametrize("seeds, folder, name", [(8, None, "degradation"), (2, None, "degradation-2-seeds"),
                                                 (8, "x", "degradation-cifar10"), (1, "x", "degradation-cifar10-1-seeds")])
def test_only_the_full_study_is_written_where_the_lessons_read(seeds, folder, name):
    assert degradation.name_of(seeds, folder) == name
