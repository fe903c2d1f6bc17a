"""The recorded study of lessons 01 and 02: plain and residual networks by depth, over seeds.

    python benchmarks/degradation.py                        digits, about 10 minutes on two cores
    python benchmarks/degradation.py --cifar10 FOLDER       CIFAR-10, where it is on disk (hours)
    python benchmarks/degradation.py --seeds 1              one seed, to try it out

Writes resnote/study.json (with options, a file of another name beside this one): every run, with the command, the
versions and the hardware. The lessons read that record through `resnote.study`, assert what they say of it, and show
all seeds. Three parts: depth at 10 epochs; four of these trained five times longer; other learning rates.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import torch

from resnote.data import cifar10, digits
from resnote.networks import SmallNet
from resnote.report import hardware
from resnote.study import RECORD
from resnote.training import error, fit

HERE = Path(__file__).parent
BLOCKS = "plain", "residual"
SEEDS, WIDTH, RATE, EPOCHS, LONGER = 8, 8, 0.1, 10, 50
DEPTHS = (8, 20, 32, 44, 56)


def plan(seeds: int) -> list[dict]:
    """All runs, longest first, so that no process is left alone with a long one at the end."""
    runs = [{"block": block, "depth": depth, "epochs": EPOCHS, "learning_rate": RATE}
            for block in BLOCKS for depth in DEPTHS]
    runs += [{"block": block, "depth": depth, "epochs": LONGER, "learning_rate": RATE}
             for block, depth in (("plain", 32), ("plain", 44), ("plain", 56), ("residual", 56))]
    runs += [{"block": block, "depth": depth, "epochs": EPOCHS, "learning_rate": rate}
             for block in BLOCKS for depth in (8, 44) for rate in (0.01, 0.03, 0.3)]
    runs = [run | {"seed": seed} for run in runs for seed in range(seeds)]
    return sorted(runs, key=lambda run: -run["epochs"] * run["depth"])


@cache
def data(folder: str | None):
    return cifar10(folder) if folder else digits()


def train(run: dict, folder: str | None = None) -> dict:
    """One network: its errors at the end, with batch statistics, so that none is an effect of stale ones."""
    images = data(folder)
    torch.manual_seed(run["seed"])
    network = SmallNet(run["block"], run["depth"], width=16 if folder else WIDTH,
                       in_channels=images.train_images.shape[1], classes=len(images.classes))
    history = fit(network, images, epochs=run["epochs"], learning_rate=run["learning_rate"], seed=run["seed"])
    return run | {"train_error": history.final_error,
                  "test_error": error(network, images.test_images, images.test_labels),
                  "stopped": history.stopped}


def record(results: list[dict], folder: str | None) -> dict:
    machine, versions = hardware().split("; ")
    return {
        "command": " ".join(["python benchmarks/degradation.py", *sys.argv[1:]]),
        "data": data(folder).name, "width": 16 if folder else WIDTH, "batch_size": 128,
        "versions": versions, "hardware": f"{machine}, one thread a run",
        "runs": sorted(results, key=lambda run: [run[k] for k in ("learning_rate", "epochs", "block", "depth", "seed")]),
    }


def table(results: list[dict]) -> str:
    """Training error of all seeds of a setting on one line."""
    lines = []
    for key in dict.fromkeys((r["learning_rate"], r["epochs"], r["block"], r["depth"]) for r in results):
        errors = sorted(r["train_error"] for r in results
                        if (r["learning_rate"], r["epochs"], r["block"], r["depth"]) == key)
        rate, epochs, block, depth = key
        lines.append(f"rate {rate:<5} {epochs:3} epochs  {block:>8}-{depth:<3} "
                     + " ".join(f"{100 * e:5.1f}" for e in errors))
    return "training error of each seed, %, sorted\n" + "\n".join(lines)


def target(seeds: int, folder: str | None) -> Path:
    """The lessons' record; a run with options does not overwrite it."""
    if seeds == SEEDS and not folder:
        return RECORD
    return HERE / ("degradation" + ("-cifar10" if folder else "") + (f"-{seeds}-seeds" if seeds != SEEDS else "") + ".json")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=SEEDS)
    options.add_argument("--cifar10", metavar="FOLDER", help="the folder with CIFAR-10's python batches")
    chosen = options.parse_args()
    if chosen.seeds < 1:
        options.error(f"--seeds is {chosen.seeds}; give 1 or more")
    data(chosen.cifar10)  # a missing folder says so before anything else starts
    runs = plan(chosen.seeds)
    results = []
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for number, result in enumerate(pool.map(train, runs, [chosen.cifar10] * len(runs)), start=1):
            results.append(result)
            print(f"\r{number} of {len(runs)} runs", end="", file=sys.stderr, flush=True)
    recorded = record(results, chosen.cifar10)
    file = target(chosen.seeds, chosen.cifar10)
    file.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
    print(f"\n{table(recorded['runs'])}\n{file}")


if __name__ == "__main__":
    main()
