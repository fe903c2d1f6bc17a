"""The degradation study on Fashion-MNIST, with `python -m resnote.train`: plain and residual networks by depth, over seeds.

    python benchmarks/fashion.py                    about half an hour on two cores
    python benchmarks/fashion.py --folder FOLDER    where Debian's package dataset-fashion-mnist is not installed

Writes resnote/fashion_study.json: the errors of every run at its end, with the command, the versions and the hardware. 5,000
images, averaged to 14 x 14, are what two cores finish in that time. A run that is interrupted goes on when it is started again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from resnote.checkpoints import load
from resnote.data import FASHION_MNIST_FOLDER
from resnote.report import hardware
from resnote.study import FASHION_RECORD

COMMAND = ("-m resnote.train --data fashion-mnist --images 5000 --test-images 2000 --shrink 2 --width 8 --epochs 15 --threads 1 "
           "--resume").split()
KEPT = Path(tempfile.gettempdir()) / "resnote-fashion"       # the runs' checkpoints
SEEDS = 3


def plan() -> list[dict]:
    """All runs, longest first."""
    return [{"block": block, "depth": depth, "seed": seed} for depth in (44, 20, 8) for seed in range(SEEDS)
            for block in ("plain", "residual")]


def train(run: dict, folder: str) -> dict:
    """One run of the command; its errors at the end."""
    output = KEPT / "-".join(map(str, run.values()))
    options = [f"--{name}={value}" for name, value in run.items()]
    subprocess.run([sys.executable, *COMMAND, *options, "--folder", folder, "--output", output], check=True, stdout=subprocess.DEVNULL)
    content = load(output / "checkpoint.pt")
    return run | {"epochs": content["settings"]["epochs"], "learning_rate": content["settings"]["learning_rate"],
                  "train_error": content["final_error"], "test_error": content["test_error"][-1], "stopped": None}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", default=FASHION_MNIST_FOLDER)
    folder, runs, results = options.parse_args().folder, plan(), []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(train, runs, [folder] * len(runs)):
            results.append(result)
            print(f"{result['block']:>8}-{result['depth']:<3} seed {result['seed']}: training error {result['train_error']:6.1%}, test error "
                  f"{result['test_error']:6.1%}", flush=True)
    machine, versions = hardware().split("; ")
    record = {"command": "python benchmarks/fashion.py", "data": "Fashion-MNIST, 5,000 images of 14 x 14", "width": 8, "batch_size": 128,
              "versions": versions, "hardware": f"{machine}, one thread a run",
              "runs": sorted(results, key=lambda run: [run[key] for key in ("block", "depth", "seed")])}
    FASHION_RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(FASHION_RECORD)


if __name__ == "__main__":
    main()
