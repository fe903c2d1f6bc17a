"""The command in processes of its own: interrupted, killed at any moment, shared by two under `torchrun`."""

import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_runs import SMALL, TINY, same, threads, weights  # noqa: F401

from resnote import train
from resnote.checkpoints import load
from resnote.runs import Run, Settings
from resnote.train import main

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.thorough
forks = pytest.mark.skipif(sys.platform != "linux" or torch.cuda.is_available(), reason="a process that has computed may be forked on Linux's CPUs only")


def forked(target, *arguments):
    """A copy of this process, which has loaded torch already, that runs ``target``."""
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def test_an_interrupt_ends_it_after_its_step_and_it_goes_on_from_there(tmp_path):
    command = [sys.executable, "-m", "resnote.train", *TINY, "--epochs", "2000", "--output", str(tmp_path)]
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with subprocess.Popen([*command, "--resume"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
            for _ in range(3):
                process.stdout.readline()
            process.send_signal(number)
            _, words = process.communicate(timeout=120)
        assert process.returncode == code, words
        assert words.startswith("Interrupted after step") and "--resume" in words and words.count("\n") == 1
    assert len(load(tmp_path / "checkpoint.pt")["loss"]) == load(tmp_path / "checkpoint.pt")["step"] > 4


@forks
def test_kills_at_any_moment_leave_a_readable_checkpoint_and_the_same_end(tmp_path):
    """A few kills here; benchmarks/command.py does twenty."""
    arguments = [*TINY, "--epochs", "20", "--checkpoint-every", "1", "--resume", "--output"]
    assert main([*arguments, str(tmp_path / "whole")]) == 0
    checkpoint, moments, steps = tmp_path / "killed" / "checkpoint.pt", random.Random(0), [0]
    for _ in range(4):
        process = forked(main, [*arguments, str(tmp_path / "killed")])
        while process.is_alive() and not (checkpoint.exists() and load(checkpoint)["step"] > steps[-1]):
            time.sleep(0.001)               # until it is in the middle of its work
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        process.join()
        steps.append(load(checkpoint)["step"])
    assert steps == sorted(set(steps)) and steps[-1] < 80
    assert main([*arguments, str(tmp_path / "killed")]) == 0
    assert os.listdir(tmp_path / "killed") == ["checkpoint.pt"]
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))


def replicas(*arguments, ranks=range(2), port=None):
    """Processes as `torchrun` starts two of them; the codes with which they end."""
    if port is None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]

    def run(rank):
        os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        sys.exit(main([*TINY, *arguments]))

    processes = [forked(run, rank) for rank in ranks]
    for process in processes:
        process.join(240)
    return [process.exitcode for process in processes]


@forks
def test_two_processes_with_shared_batch_norm_learn_what_one_does(tmp_path, capfd):
    assert replicas("--batch-norm", "sync", "--output", str(tmp_path / "two")) == [0, 0]
    out = capfd.readouterr().out
    assert "2 processes" in out and out.count("epoch 3 of 3") == 1            # the first one speaks; that all agree is checked by the run
    assert main([*TINY, "--batch-norm", "sync", "--output", str(tmp_path / "one")]) == 0
    one, two = (load(tmp_path / name / "checkpoint.pt") for name in ("one", "two"))
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)       # 12 steps; rounding alone differs
    assert one["loss"][0] == pytest.approx(two["loss"][0], rel=1e-6)


@forks
def test_replicas_with_their_own_batch_norm_see_other_statistics_and_another_loss(tmp_path):
    assert replicas("--batch-norm", "own", "--output", str(tmp_path / "two")) == [0, 0]
    assert main([*TINY, "--output", str(tmp_path / "one")]) == 0
    one, two = (load(tmp_path / name / "checkpoint.pt")["loss"] for name in ("one", "two"))
    assert abs(one[0] - two[0]) > 1e-3 * one[0]


def test_a_process_that_is_killed_ends_the_run_with_a_sentence_and_one_process_goes_on(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "resnote.train"]
    with subprocess.Popen([*torchrun, *TINY, "--batch-norm", "sync", "--epochs", "400", "--output", str(tmp_path)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        for _ in range(3):
            assert process.stdout.readline(), process.stderr.read()
        ranks = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True).stdout.split()
        os.kill(int(ranks[1]), signal.SIGKILL)
        _, err = process.communicate(timeout=240)
    assert process.returncode != 0 and "Another process of this run is gone" in err and "--resume" in err
    step = load(tmp_path / "checkpoint.pt")["step"]
    run = Run(Settings(**{**vars(SMALL), "batch_norm": "sync", "epochs": 400}), train.opened(SMALL, None))
    run.restore(load(tmp_path / "checkpoint.pt"), tmp_path / "checkpoint.pt")
    run.advance()
    assert run.step == step + 1 > 8


@forks
def test_a_port_that_is_taken_gets_a_sentence(capfd):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert replicas(ranks=[0], port=taken.getsockname()[1]) == [1]
    err = capfd.readouterr().err
    assert err.splitlines()[-1].startswith("Another process of this run is gone, or cannot be reached"), err
