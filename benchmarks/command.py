"""The training command under kills, and shared by two processes.

    python benchmarks/command.py            (20 kills, then throughput; about three minutes)

Kills: a run on the digits that writes a checkpoint after each step is killed at 20 random moments and resumed each time. Its
last weights must be those of a run that nobody disturbed, to the bit, and each checkpoint found must be readable. Throughput:
images a second, over a run of two epochs, of one process with one thread, of one with two threads, and of two processes with one
thread each, which share a batch; medians of three runs, as ratios to the first.
"""

from __future__ import annotations

import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from resnote.checkpoints import load

KILLS, ROUNDS = 20, 3
TRAIN = "-m resnote.train --data digits".split()
TINY = [*TRAIN, *"--depth 8 --width 4 --batch-size 32 --epochs 20 --threads 1 --checkpoint-every 1 --resume --output".split()]
LARGER = [*TRAIN, *"--depth 20 --width 16 --epochs 2 --batch-size 128".split()]
TORCHRUN = "-m torch.distributed.run --standalone --nproc-per-node 2".split()


def kill(folder: Path) -> list[int]:
    """At which steps the checkpoints stood that were read after a kill; raises where one cannot be read."""
    moments, steps = random.Random(0), []
    for number in range(KILLS):
        process = subprocess.Popen([sys.executable, *TINY, folder], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()               # it has begun, or goes on
        time.sleep(moments.uniform(0, 1))
        if process.poll() is not None:
            raise SystemExit(f"The run ended after {number} kills: give it more epochs.")
        process.kill()
        process.communicate()
        if (folder / "checkpoint.pt").exists():
            steps.append(load(folder / "checkpoint.pt")["step"])
    return steps


def images_a_second(command) -> float:
    out = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True).stdout
    return float(re.findall(r"([\d,]+) images a second", out)[-1].replace(",", ""))


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        whole, killed = Path(temporary, "whole"), Path(temporary, "killed")
        subprocess.run([sys.executable, *TINY, whole], check=True, stdout=subprocess.DEVNULL)
        steps = kill(killed)
        subprocess.run([sys.executable, *TINY, killed], check=True, stdout=subprocess.DEVNULL)
        one, other = (load(folder / "checkpoint.pt") for folder in (whole, killed))
        same = all(torch.equal(one["network"][name], value) for name, value in other["network"].items()) and one["loss"] == other["loss"]
        print(f"{KILLS} kills; {len(steps)} checkpoints read, at steps {steps} of {one['step']}; final weights and losses equal: {same}")
        if not same:
            raise SystemExit(1)
    ways = {"one process, one thread": [*LARGER, "--threads", "1"], "one process, two threads": [*LARGER, "--threads", "2"],
            "two processes, own batch norms": [*TORCHRUN, *LARGER, "--threads", "1"],
            "two processes, shared batch norm": [*TORCHRUN, *LARGER, "--threads", "1", "--batch-norm", "sync"]}
    speeds = {way: statistics.median(images_a_second(command) for _ in range(ROUNDS)) for way, command in ways.items()}
    first = speeds["one process, one thread"]
    for way, speed in speeds.items():
        print(f"{way:34} {speed:6,.0f} images a second, {speed / first:.2f} ×")


if __name__ == "__main__":
    main()
