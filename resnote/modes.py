"""A small network with batch norm, its statistics while batches pass, and what each mode gets right with them.

The network is the one of the paper's own first experiment (Ioffe and Szegedy 2015, §4.1) in small: hidden
layers of sigmoid units with batch norm before each sigmoid. It is trained once, when it is first asked for.
All is float64 and starts from whole numbers of pixels, so that rounding, which differs between machines,
stays far below the digits that are shown.

``order`` says in which random order the images pass, wherever it is asked for: 0 is the explorer's.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from resnote.data import digits
from resnote.training import Progress, fit, one_thread

HIDDEN_LAYERS, UNITS, CLASSES, EPS = 3, 32, 10, 1e-5
STEPS, TRAINED_WITH = 200, 64                  # one batch passes for each training step
SHOWN_UNIT = 26                                # of the first layer, whose statistics are drawn


class Experiment(NamedTuple):
    """The trained network's parameters after 0 to 200 steps, and the digits, (N, 64) float64."""

    weights: list[Tensor]
    train_images: Tensor
    test_images: Tensor
    test_labels: Tensor


@cache
@one_thread()
def experiment() -> Experiment:
    """Train by SGD, batches of 64, at a constant rate of 0.1, and keep the weights after 0, 1, … 200 steps."""
    data = digits()
    data = replace(data, train_images=_whole_pixels(data.train_images, data),
                   test_images=_whole_pixels(data.test_images, data))
    network, past = build(), []

    def note(network, _inputs):
        if network.training:  # `fit` first checks the scores in eval mode
            past.append([parameter.detach().clone() for parameter in network.parameters()])

    network.register_forward_pre_hook(note)
    history = fit(network, data, epochs=10, batch_size=TRAINED_WITH, schedule=None, test=False, progress=Progress(10))
    if history.stopped:  # half a run must not be kept: the next explorer trains anew
        raise KeyboardInterrupt(history.stopped)
    return Experiment([torch.stack(parameter) for parameter in zip(*past[:STEPS + 1])],
                      data.train_images.flatten(1), data.test_images.flatten(1), data.test_labels)


def build() -> nn.Sequential:
    """64 pixels, three hidden layers of 32 units, 10 classes; weights normal, mean 0, spread 1/√inputs (seed 0)."""
    layers, generator = [nn.Flatten()], torch.Generator().manual_seed(0)
    for inputs in (64, UNITS, UNITS):
        layers += [nn.Linear(inputs, UNITS, bias=False), nn.BatchNorm1d(UNITS, eps=EPS), nn.Sigmoid()]
    network = nn.Sequential(*layers, nn.Linear(UNITS, CLASSES)).double()
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, layer.in_features**-0.5, generator=generator)
    nn.init.zeros_(network[-1].bias)
    return network


def _whole_pixels(images, data):
    """Inked pixels, 0 to 16, moved to −1 … 1: exact, where scaled float32 images differ in the last digit."""
    return (16 * (images * data.std[0] + data.mean[0])).round().double() / 8 - 1


# --- statistics --------------------------------------------------------------------------------


@torch.no_grad()
def propagate(weights, x: Tensor, statistics: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Send batches (…, m, 64) forward; give scores (…, m, 10) and batch statistics (…, 2, 3, 32).

    Each batch is normalised by its own mean and variance, or by ``statistics`` (2, 3, 32): mean and
    variance, by layer, by unit. The variances are the biased ones (÷ m).
    """
    seen = []
    for n in range(HIDDEN_LAYERS):
        weight, gamma, beta = weights[3 * n:3 * n + 3]
        x = x @ weight.mT
        mu = x.mean(-2, keepdim=True)
        var = (x - mu).square().mean(-2, keepdim=True)
        seen.append(torch.cat([mu, var], -2))
        if statistics is not None:
            mu, var = statistics[:, n]
        x_hat = (x - mu) / (var + EPS).sqrt()
        x = torch.sigmoid(gamma.unsqueeze(-2) * x_hat + beta.unsqueeze(-2))
    weight, bias = weights[3 * HIDDEN_LAYERS:]
    return x @ weight.mT + bias.unsqueeze(-2), torch.stack(seen, -2)


def weights_after(step: int | slice) -> list[Tensor]:
    return [parameter[step] for parameter in experiment().weights]


def training_batches(batch_size: int, order: int = 0) -> Tensor:
    """The 200 batches that pass, (200, m, 64): all training images in random order, then all again."""
    images, generator = experiment().train_images, _generator(1, order)
    epochs = -(-STEPS * batch_size // len(images))
    places = torch.cat([torch.randperm(len(images), generator=generator) for _ in range(epochs)])
    return images[places[:STEPS * batch_size]].unflatten(0, (STEPS, batch_size))


def _generator(seed: int, order: int) -> torch.Generator:
    """One for each use (``seed``) and each order."""
    return torch.Generator().manual_seed(seed + 10 * order)


@cache
@one_thread()
def batch_statistics(batch_size: int, learning: bool, order: int = 0) -> Tensor:
    """Mean and unbiased variance of each of the 200 batches that pass, (200, 2, 3, 32).

    The weights are the trained ones, or, with ``learning``, those before step 1, before step 2 …
    """
    weights = weights_after(slice(STEPS) if learning else STEPS)
    _, statistics = propagate(weights, training_batches(batch_size, order))
    return _unbiased(statistics, batch_size)


@lru_cache(maxsize=64)
@one_thread()
def running_statistics(momentum: str, batch_size: int, learning: bool, order: int = 0) -> Tensor:
    """From mean 0 and variance 1 through 200 batches, (201, 2, 3, 32), as ``nn.BatchNorm1d`` keeps them."""
    running = [torch.stack([torch.zeros(HIDDEN_LAYERS, UNITS), torch.ones(HIDDEN_LAYERS, UNITS)]).double()]
    for seen, batch in enumerate(batch_statistics(batch_size, learning, order), start=1):
        alpha = 1 / seen if momentum == "None" else float(momentum)
        running.append((1 - alpha) * running[-1] + alpha * batch)
    return torch.stack(running)


@lru_cache(maxsize=512)
@one_thread()
def batch_mode(step: int, batch_size: int, order: int = 0) -> int:
    """Test images right in train mode; the last batch is filled up with the first images again."""
    _, _, images, labels = experiment()
    places = torch.randperm(len(images), generator=_generator(2, order))
    places = places.repeat(2)[:-(-len(images) // batch_size) * batch_size]
    scores, _ = propagate(weights_after(step), images[places].unflatten(0, (-1, batch_size)))
    return _right(scores.flatten(0, 1)[:len(images)], labels[places[:len(images)]])


@lru_cache(maxsize=512)
@one_thread()
def algorithm_2(step: int, batch_size: int, order: int = 0) -> int:
    """Test images right with the population's statistics: E[μ] and m/(m − 1)·E[σ²] over all training batches."""
    _, train_images, images, labels = experiment()
    places = torch.randperm(len(train_images), generator=_generator(3, order))
    batches = train_images[places[:_full_batches(batch_size) * batch_size]].unflatten(0, (-1, batch_size))
    _, statistics = propagate(weights_after(step), batches)
    scores, _ = propagate(weights_after(step), images, _unbiased(statistics, batch_size).mean(0))
    return _right(scores, labels)


@lru_cache(maxsize=512)
@one_thread()
def eval_mode(momentum: str, batch_size: int, seen: int, learning: bool, order: int = 0) -> int:
    """Test images right with the running statistics after ``seen`` batches."""
    _, _, images, labels = experiment()
    running = running_statistics(momentum, batch_size, learning, order)[seen]
    scores, _ = propagate(weights_after(seen if learning else STEPS), images, running)
    return _right(scores, labels)


@cache
@one_thread()
def population() -> Tensor:
    """Mean and variance over all training images of the drawn unit, after each step, (2, 201)."""
    x = experiment().train_images @ experiment().weights[0][:, SHOWN_UNIT].T
    return torch.stack([x.mean(0), x.var(0, correction=0)])


def _full_batches(batch_size) -> int:
    return len(experiment().train_images) // batch_size


def _unbiased(statistics, m) -> Tensor:
    """Means as they are, variances times m/(m − 1)."""
    return statistics * statistics.new_tensor([1, m / (m - 1)])[:, None, None]


def _right(scores, labels) -> int:
    return int((scores.argmax(1) == labels).sum())


def walks(momentum: str, batch_size: int, learning: bool) -> list[tuple[list, list, list]]:
    """Mean and variance of the drawn unit: of each batch that passes, running, and of all training images."""
    unit = slice(None), 0, SHOWN_UNIT
    batches = batch_statistics(batch_size, learning)[:, *unit].T.tolist()
    running = running_statistics(momentum, batch_size, learning)[:, *unit].T.tolist()
    target = population() if learning else population()[:, -1:].expand(-1, STEPS + 1)
    return list(zip(batches, running, target.tolist()))


def sizes(batch_size: int) -> tuple[int, int]:
    """Number of test images, and of full batches of training images."""
    return len(experiment().test_labels), _full_batches(batch_size)


def prepare(batch_sizes) -> None:
    """Compute every batch's statistics, about a second, once; every move is quick then."""
    for batch_size in batch_sizes:
        for learning in (False, True):
            batch_statistics(batch_size, learning)
