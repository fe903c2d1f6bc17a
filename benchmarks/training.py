"""Training on the digits: images a second of `fit`, of the bare steps, and of the loop most tutorials write.

    python benchmarks/training.py [rounds]        (5 by default, under a minute each)

All in this run, in turn. The bare steps have everything that makes `fit` fast (one thread, channels_last,
fused SGD) and none of its work besides: no shuffling, history, checks, errors. `fit` measures the final
error, with or without the test error after every epoch. Ten epochs each.

Speeds, and "÷ tutorial", are medians on the clock. "÷ bare" is a matter of a few percent, so it compares the
least CPU time of all rounds, which other programs disturb least; both have one thread.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from resnote.data import digits
from resnote.networks import SmallNet
from resnote.training import fit

NETWORKS = [(20, 8), (44, 8)]               # depth, and width of the first of three stages
SGD = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4}
THREADS = torch.get_num_threads()           # as torch starts
EPOCHS = 10


def ours(network, data, test=False) -> int:
    fit(network, data, epochs=EPOCHS, learning_rate=SGD["lr"], test=test)
    return EPOCHS


def ours_with_test_errors(network, data) -> int:
    return ours(network, data, test=True)


def bare_steps(network, data, epochs=EPOCHS) -> int:
    torch.set_num_threads(1)
    network.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), **SGD, fused=True)
    batches = list(zip(data.train_images.split(128), data.train_labels.split(128)))
    for _ in range(epochs):
        for images, labels in batches:
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
    return epochs


def tutorial_loop(network, data, epochs=EPOCHS) -> int:
    loader = DataLoader(TensorDataset(data.train_images, data.train_labels), batch_size=64, shuffle=True)
    optimizer = torch.optim.SGD(network.parameters(), **SGD)
    network.train()
    for _ in range(epochs):
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(images)
    return epochs


WAYS = {"resnote.training.fit": ours, "  with the test errors": ours_with_test_errors,
        "bare steps": bare_steps, "tutorial loop": tutorial_loop}


def speed(way, depth, width, data) -> tuple[float, float]:
    """Training images a second on the clock, and a CPU second."""
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    network = SmallNet("plain", depth, width=width)
    clock, cpu = time.perf_counter(), time.process_time()
    images = way(network, data) * len(data.train_images)
    return images / (time.perf_counter() - clock), images / (time.process_time() - cpu)


def main(rounds: int) -> None:
    data = digits()
    bare_steps(SmallNet("plain", 8), data, epochs=1)  # the first optimizer imports torch's compiler
    print(f"Images a second, {len(data.train_images):,} images {tuple(data.train_images.shape[1:])}, plain networks · "
          f"torch {torch.__version__}, {platform.machine()}, {THREADS} threads, {rounds} rounds")
    for depth, width in NETWORKS:
        results = [{way: speed(run, depth, width, data) for way, run in WAYS.items()} for _ in range(rounds)]
        print(f"\n{f'depth {depth}, width {width}':26}{'median':>10}{'÷ bare':>10}{'÷ tutorial':>12}")
        for way in WAYS:
            median = statistics.median(result[way][0] for result in results)
            bare = max(result[way][1] for result in results) / max(result["bare steps"][1] for result in results)
            tutorial = statistics.median(result[way][0] / result["tutorial loop"][0] for result in results)
            print(f"{way:26}{median:>10,.0f}{f'{bare:.2f}' if way != 'tutorial loop' else '':>10}{tutorial:>12.1f}",
                  flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
