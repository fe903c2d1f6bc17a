"""Every exercise takes its solution, and says of each plausible wrong answer what is wrong with it."""

import copy
import inspect
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from resnote import blocks, study
from resnote.exercises import (
    Prediction,
    folding_slips,
    group_norm,
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    stochastic_depth,
    suspects,
    whole_network,
)
from resnote.exercises.base import Exercise, Wrong
from resnote.exercises.every import EXERCISES, LESSONS
from resnote.folding import fold


def added(fx, x, compared, error=ValueError):
    """Exercise 1 of lesson 02, with only what ``compared`` picks of the two compared."""
    if compared(fx) != compared(x):
        raise error("shapes")
    return (fx + x).relu()


def broadcast_allowed(fx, x, left, right):
    """Exercise 1 of lesson 02, where an axis of F(x), of x or of either may have length 1."""
    if fx.dim() != x.dim() or any(m != n and not (left and m == 1 or right and n == 1) for m, n in zip(fx.shape, x.shape)):
        raise ValueError("shapes")
    return (fx + x).relu()


def without_gradient(x, eps, *statistics):
    """x̂ with the mean, the variance or both outside the graph."""
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    mean, var = (mean.detach() if "mean" in statistics else mean), (var.detach() if "var" in statistics else var)
    return (x - mean) / (var + eps).sqrt()


def stacked(fold=lesson_05.fold_into, change=lambda conv: None, keep=()):
    """Exercise 4 of lesson 05, with another way to fold, and with what is done to each folded convolution."""
    def fold_stack(stack):
        layers = []
        for layer in copy.deepcopy(stack):
            conv = layers[-1] if layers else None
            if isinstance(layer, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d):
                weight, bias = fold(conv.weight, conv.bias, layer.weight, layer.bias, layer.running_mean, layer.running_var, layer.eps)
                conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
                change(conv)
            elif not isinstance(layer, keep):
                layers.append(layer)
        return nn.Sequential(*layers)
    return fold_stack


def folded_in_place(stack):
    layers = []
    for layer in stack:
        if isinstance(layer, nn.BatchNorm2d) and layers and isinstance(layers[-1], nn.Conv2d):
            layers[-1] = fold(layers[-1], layer)
        else:
            layers.append(layer)
    return layers


def without_settings(conv):
    conv.stride = (1, 1)


def plain_tensor(conv):
    weight = conv.weight.detach()
    del conv.weight
    conv.weight = weight


class Calls(nn.Module):
    """Hides the stack given in a closure, where modules() finds no batch norm."""

    def __init__(self, stack):
        super().__init__()
        self.call = lambda x: stack(x)

    def forward(self, x):
        return self.call(x)


def shortened(stack):
    folded = lesson_05.fold_stack(stack)
    del stack[1:]
    return folded


def running(batches, start):
    mean, var = start, torch.ones_like(batches[0][0])
    for batch in batches:
        mean, var = 0.9 * mean + 0.1 * batch.mean(0), 0.9 * var + 0.1 * batch.var(0)
    return mean, var


def weights(k, i, o, groups, bias):
    return k * k * (i // groups) * o


def widest(cost, budget):
    return next(w for w in range(10_000) if cost(w + 1) > budget)


def per_channel(values):
    return values.view(1, -1, 1, 1)


def x_hat(x, eps, dims=(0, 2, 3), correction=0):
    return (x - x.mean(dims, keepdim=True)) / (x.var(dims, correction=correction, keepdim=True) + eps).sqrt()


def affine(values, g, b):
    return per_channel(g) * values + per_channel(b)


def outside(x, eps, correction):
    """x̂ with ε outside the root."""
    c = x - x.mean((0, 2, 3), keepdim=True)
    return c / (x.std((0, 2, 3), correction=correction, keepdim=True) + eps)


def backward_but(name, wrong):
    """The six pieces, right but for one: ``wrong`` of a namespace with all that the equations hold."""
    def answer(dy, x, gamma, eps):
        right = dict(zip(PIECES, lesson_04.bn_backward(dy, x, gamma, eps)))
        var = x.var(0, correction=0)
        given = SimpleNamespace(**right, dy=dy, x=x, gamma=gamma, m=len(x), mu=x.mean(0), var=var, v=var + eps,
                                s=(var + eps).sqrt(), c=x - x.mean(0), unbiased=x.var(0) + eps)
        return tuple((right | {name: wrong(given)}).values())
    return answer


PIECES = "dx_hat", "dvar", "dmu", "dx", "dgamma", "dbeta"


def detective(*experiments):
    """Calls a norm by the first bug whose experiment finds it, and otherwise right."""
    def answer(norm):
        for bug, found in experiments:
            if found(norm):
                return bug
        return "right"
    return answer


def batch(norm, m=4):
    return torch.randn(m, len(norm.gamma), requires_grad=True)


def keeps_graph(norm):
    norm(batch(norm))
    return norm.running_mean.requires_grad


def no_gradient(norm):
    x = batch(norm)
    return torch.autograd.grad(norm(x).sum(), x)[0].abs().max() > 1e-3


def biased(norm, m=4, tolerance=1e-5):
    x = batch(norm, m)
    before = norm.running_var.clone()
    norm(x)
    return torch.allclose(norm.running_var, before + norm.momentum * (x.var(0, correction=0) - before), rtol=tolerance)


def ignores_eval(norm):
    x = batch(norm)
    return torch.allclose(norm(x), norm.eval()(x))


def grouped(*, group=lambda x, groups: x.unflatten(1, (groups, -1)), dims=(2, 3, 4), correction=0,
            root=lambda var, eps: (var + eps).sqrt(), affine=lambda x_hat, g, b: per_channel(g) * x_hat + per_channel(b), **changed):
    """Exercise 4 of lesson 04, with something else at one place."""
    made = {"gamma": None, "beta": 0, "swap": False, "start": 1.0} | changed.get("__init__", {})

    class Grouped(torch.nn.Module):
        def __init__(self, groups, channels, eps=1e-5):
            super().__init__()
            self.groups, self.eps = groups, eps
            self.first = torch.nn.Parameter(torch.full((made["gamma"] or channels,), made["start"]))
            if made["beta"] is not None:
                self.second = torch.nn.Parameter(torch.zeros(channels))

        def forward(self, x):
            apart = group(x, self.groups)
            mu, var = apart.mean(dims, keepdim=True), apart.var(dims, correction=correction, keepdim=True)
            normalised = (apart - mu) / root(var, self.eps)
            if group(torch.arange(x.shape[1])[None, :, None, None], self.groups).flatten().tolist() != list(range(x.shape[1])):
                normalised = normalised.transpose(1, 2)
            g, b = self.first, getattr(self, "second", torch.zeros(x.shape[1]))
            return affine(normalised.reshape(x.shape), *((b, g) if made["swap"] else (g, b)))
    return Grouped


def sometimes(training=lambda x, fx, keep: x + fx if torch.rand(()) < keep else x, predicting=lambda x, fx, keep: x + keep * fx, own=lambda f: f):
    """A module of stochastic depth with other formulas in training and eval mode, and what it does with f."""
    class Sometimes(nn.Module):
        def __init__(self, f, keep):
            super().__init__()
            self.f, self.keep = own(f), keep

        def forward(self, x):
            f = self.f[0] if isinstance(self.f, (list, tuple)) else self.f
            return (training if self.training else predicting)(x, f(x), self.keep)
    return Sometimes


class DrawsOnce(nn.Module):
    def __init__(self, f, keep):
        super().__init__()
        self.f, self.keep, self.used = f, keep, bool(torch.rand(()) < keep)

    def forward(self, x):
        return x + (float(self.used) if self.training else self.keep) * self.f(x)


class OnlyInTraining(lesson_04.MyGroupNorm):
    def forward(self, x):
        return super().forward(x) if self.training else x


class Spoils(lesson_04.MyGroupNorm):
    def forward(self, x):
        return super().forward(x.add_(1))


class GivesNothing(lesson_04.MyGroupNorm):
    def forward(self, x):
        super().forward(x)


def folded(weight, bias, gamma, beta, mean, var, eps, *, root=None, view=(-1, 1, 1, 1)):
    """Weight and bias with a scale of another kind or along another axis, where that is possible."""
    scale = gamma / (var + eps).sqrt() if root is None else gamma / root
    shape = [n if v == -1 else 1 for n, v in zip(weight.shape, view)]
    return (weight * scale.view(shape) if math.prod(shape) == len(scale) else weight,
            lesson_05.fold_into(weight, bias, gamma, beta, mean, var, eps)[1])


def folded_bias(wrong):
    def answer(weight, bias, gamma, beta, mean, var, eps):
        b = torch.zeros_like(mean) if bias is None else bias
        given = SimpleNamespace(b=b, g=gamma, beta=beta, mean=mean, var=var, eps=eps, scale=gamma / (var + eps).sqrt())
        return lesson_05.fold_into(weight, bias, gamma, beta, mean, var, eps)[0], wrong(given)
    return answer


def averaged(variance, keep=lambda momentum: (1 - momentum, momentum), mean=lambda x: x.mean((0, 2, 3))):
    def answer(running_mean, running_var, x, momentum):
        old, new = keep(momentum)
        return old * running_mean + new * mean(x), old * running_var + new * variance(x)
    return answer


def of_channels(x):
    return x.var((0, 2, 3))


def pooled(variance):
    return lambda batches: (torch.cat(batches).mean(0), variance(torch.stack(batches)))


def probed(order=lambda norms: norms[0] / norms[-1], kinds=nn.Conv2d, what="weight", norm=torch.norm, prepare=lambda network: network.zero_grad(),
           loss=F.cross_entropy, grad=lambda p: p.grad):
    def answer(network, images, labels):
        prepare(network)
        loss(network(images), labels).backward()
        parameters = [getattr(m, what) for m in network.modules() if isinstance(m, kinds)]
        return order([norm(grad(p)).item() for p in parameters if p is not None])
    return answer


def bottleneck(add=torch.add, **changes):
    """Exercise 4 of lesson 03, with other arguments for its convolutions, and another sum."""
    class Changed(lesson_03.Bottleneck):
        def __init__(self, in_channels, width, out_channels, stride=1):
            super().__init__(in_channels, width, out_channels, stride)
            sizes = {"i": in_channels, "w": width, "o": out_channels, "s": stride}
            for name, change in changes.items():
                conv = change(**sizes)
                if name != "shortcut" or conv is not None:
                    setattr(self, name, conv)

        def forward(self, x):
            return add(self, x) if add is not torch.add else super().forward(x)
    return Changed


def conv(i, o, k, stride=1, **settings):
    return torch.nn.Conv2d(i, o, k, stride, **{"padding": k // 2, "bias": False} | settings)


def f_of(block, x):
    return block.grow(block.look(block.squeeze(x).relu()).relu())


class InAList(torch.nn.Module):
    def __init__(self, i, w, o, stride=1):
        super().__init__()
        self.layers = [conv(i, w, 1), conv(w, w, 3, stride), conv(w, o, 1), conv(i, o, 1, stride)]


class Half(InAList):
    def __init__(self, i, w, o, stride=1):
        super().__init__(i, w, o, stride)
        self.squeeze, self.grow = self.layers[0], self.layers[2]

    def forward(self, x):
        return x


class Dropping(lesson_03.Bottleneck):
    def forward(self, x):
        return super().forward(x) if self.training else super().forward(x) + 0.1


class Twice(torch.nn.Module):
    """One module for all arguments."""

    def __init__(self, in_channels, width, out_channels, stride=1):
        super().__init__()
        self.block = lesson_03.Bottleneck(12, 5, 12)

    def forward(self, x):
        return self.block(x)


class InPlace(lesson_03.Bottleneck):
    def forward(self, x):
        return x.add_(f_of(self, x)).relu() if isinstance(self.shortcut, torch.nn.Identity) else super().forward(x)


def stage(*, first=blocks.BasicBlock, shortcut=lambda i, w, s: "projection" if s != 1 or i != w else "identity",
          number=lambda n: n - 1, following=lambda w: blocks.BasicBlock(w, w, w), join=lambda *parts: nn.Sequential(*parts), **settings):
    """Exercise 1 of lesson 06, with something else at one place."""
    def basic_stage(i, w, n, s):
        return join(first(i, w, w, **{"stride": s, "shortcut": shortcut(i, w, s)} | settings), *(following(w) for _ in range(number(n))))
    return basic_stage


class Ours(blocks.BasicBlock):
    """A block of a kind of its own."""


class Calling(nn.Module):
    """Runs its parts, which ``keep`` keeps, as ``forward(parts, x)`` says."""

    def __init__(self, forward, parts, keep=nn.ModuleList):
        super().__init__()
        self.parts, self.run = keep(parts), forward

    def forward(self, x):
        return self.run(self.parts, x)


def in_order(parts, x):
    for part in parts:
        x = part(x)
    return x


def run_by(forward, keep=nn.ModuleList):
    """Exercise 1 of lesson 06, its blocks run in another way."""
    return stage(join=lambda *parts: Calling(forward, parts, keep))


def stem(width, **settings):
    """The stem's layers, with other settings for its convolution."""
    return [nn.Conv2d(3, width, **{"kernel_size": 7, "stride": 2, "padding": 3, "bias": False} | settings), nn.BatchNorm2d(width), nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1)]


def resnet(*, stem=stem, start=lambda width: width, middle=lambda width, place: width * 2**place, out=4, block=blocks.Bottleneck,
           stride=lambda place, number: 2 if place and not number else 1, shortcut=lambda number: "identity" if number else "projection",
           counts=lambda numbers: numbers, keep=lambda parts: nn.Sequential(*parts), fc=nn.Linear, also=lambda net, width: None,
           forward=lambda net, x: net.fc(net.stages(net.stem(x)).mean((2, 3))), **settings):
    """Exercise 2 of lesson 06, with something else at one place."""
    class Network(nn.Module):
        def __init__(self, numbers, width, classes):
            super().__init__()
            self.stem, channels, parts = nn.Sequential(*stem(width)), start(width), []
            for place, times in enumerate(counts(numbers)):
                for number in range(times):
                    m = middle(width, place)
                    parts.append(block(channels, m, out * m, stride=stride(place, number), shortcut=shortcut(number), **settings))
                    channels = out * m
            self.stages, self.fc = keep(parts), fc(channels, classes)
            also(self, width)

        def forward(self, x):
            return forward(self, x)
    return Network


def other_stem(change):
    """Exercise 2 of lesson 06 with another list of the stem's layers."""
    return resnet(stem=lambda width: change(stem(width), width))


def other_head(head=lambda maps: maps.mean((2, 3)), end=lambda scores: scores):
    return resnet(forward=lambda net, x: end(net.fc(head(net.stages(net.stem(x))))))


def shared(parts):
    """Where two blocks of one kind follow each other, the first stands there twice."""
    for place, (one, other) in enumerate(itertools.pairwise(parts)):
        if repr(one) == repr(other):
            parts[place + 1] = one
    return nn.Sequential(*parts)


def refused(*, missing=lambda ours, weights: [n for n in ours if n not in weights],
            unknown=lambda ours, weights: [n for n in weights if n not in ours],
            other_shape=lambda ours, weights: [n for n in ours if n in weights and weights[n].shape != ours[n].shape],
            names=lambda network: network.state_dict(), give=lambda *lists: lists):
    """Exercise 3 of lesson 06, with something else at one place."""
    def why_not(network, weights):
        ours = names(network)
        return give(missing(ours, weights), unknown(ours, weights), other_shape(ours, weights))
    return why_not


def both(differ):
    """The names that both have where two tensors differ in something."""
    return lambda ours, weights: [name for name in ours if name in weights and differ(ours[name], weights[name])]


def loads(network, weights):
    ours = network.state_dict()
    fitting = {n: v for n, v in weights.items() if n in ours and v.shape == ours[n].shape}
    network.load_state_dict(fitting, strict=False)
    return lesson_06.why_not(network, weights)


def loads_into_a_copy(network, weights):
    """PyTorch does without num_batches_tracked, which old files have not."""
    other = lesson_06.why_not(network, weights)[2]
    missing, unknown = copy.deepcopy(network).load_state_dict({n: v for n, v in weights.items() if n not in other}, strict=False)
    return [n for n in missing if n not in other], unknown, other


def takes_out(network, weights):
    lists = lesson_06.why_not(network, weights)
    for name in lists[1]:
        del weights[name]
    return lists


WRONG = {
    "lesson_01.ex1": [
        (lambda k, c: 2 / (k * k * c), "that is the variance"),
        (lambda k, c: (1 / (k * k * c)) ** 0.5, "has to be doubled"),
        (lambda k, c: (2 / c) ** 0.5, "count all of them"),
        (lambda k, c: (2 / (k * c)) ** 0.5, "the kernel is square"),
        (lambda k, c: (2 * k * k * c) ** 0.5, "divide by fan_in"),
        (lambda k, c: 0.01, "would change by a factor"),
        (lambda k, c: (2 / (25 * c)) ** 0.5, "he_std(3, 16) gave"),
        (lambda k, c: (2 / ((6 * k - 5) * c)) ** 0.5 if k > 3 or k == 1 else (2 / (8 * c)) ** 0.5, "he_std(3, 16) gave"),
        (lambda k, c: (2 / (k * k * c)) ** 0.5 if k > 1 else (2 / (2 * c)) ** 0.5, "he_std(1, 64) gave"),
        (lambda k, c: (6 / (k * k * c)) ** 0.5, "uniform distribution"),
        (lambda k, c: (2 / (k * k)) ** 0.5, "count the channels"),
        (lambda k, c: 2 / (k * k * c) ** 0.5, "under the root, too"),
        (lambda k, c: (2 / (k * k * c)) ** 1 / 2, "the power comes first"),
        (lambda k, c: -(2 / (k * k * c)) ** 0.5, "above 0"),
        (lambda k, c: math.nan, "above 0"),
        (lambda k, c: round((2 / (k * k * c)) ** 0.5, 3), "as if rounded"),
        (lambda k, c: "0.1", "one number"),
    ],
    "lesson_01.ex2": [
        (lambda y: (y == 0).float().mean().item(), "share of zeros"),
        (lambda y: (y == 0).all(1).float().mean(), "Rows are images"),
        (lambda y: 1 - (y == 0).all(0).float().mean(), "that live"),
        (lambda y: 100 * (y == 0).all(0).float().mean(), "in percent"),
        (lambda y: (y == 0).any(0).float().mean(), "'for some image' is not enough"),
        (lambda y: (y == 0).all(1).sum(), "3 are 0 for every image"),
        (lambda y: (y == 0).all(0).sum(), "number of dead units"),
        (lambda y: 0.5, "3 are 0 for every image"),
        (lambda y: (y == 0).all(0), "one number"),
        (lambda y: 0.3, "no unit is dead"),
        (lambda y: ((y == 0).float().mean(0) > 0.9).float().mean(), "fires seldom lives"),
        (lambda y: (y < 0.1).all(0).float().mean(), "a small output is not 0"),
        (lambda y: (y < 1e-12).all(0).float().mean(), "a small output is not 0"),
        (lambda y: (y[0] == 0).float().mean(), "first image only"),
        (lambda y: (y[-1] == 0).float().mean(), "last image only"),
        (lambda y: (y.std(0, correction=0) == 0).float().mean(), "no unit is dead"),
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
        (lambda a, b, c: "degradation" if b > a + 0.06 else "overfitting" if c > b + 0.05 else "neither", "0.0505, which is more"),
        (lambda a, b, c: "degradation" if b > a + 0.05 else "overfitting" if c > b + 0.06 else "neither", "0.0505, which is more"),
        (lambda a, b, c: "degradation" if b > a + 0.05 else "overfitting" if c > b + 0.049 else "neither", "not larger than 0.05"),
    ],
    "lesson_01.ex4": [
        (probed(lambda n: n[-1] / n[0]), "the last over the first"),
        (probed(lambda n: n[0]), "first one's norm alone"),
        (probed(lambda n: n[-1]), "last one's norm alone"),
        (probed(lambda n: n[0] / n[1]), "first over the second"),
        (probed(lambda n: (n[0] / n[-1]) ** 2), "quotient of the squares"),
        (probed(lambda n: max(n) / min(n)), "largest over the smallest"),
        (probed(norm=lambda g: g.abs().sum()), "absolute values"),
        (probed(norm=lambda g: g.abs().max()), "largest entries"),
        (probed(what="bias"), "biases"),
        (probed(kinds=(nn.Conv2d, nn.Linear)), "the last layer you took is linear"),
        (probed(grad=lambda p: p), "compares the weights"),
        (probed(prepare=lambda network: network.eval().zero_grad()), "eval mode"),
        (probed(prepare=lambda network: None), "zero_grad"),
        (probed(loss=lambda scores, labels: scores.sum()), "of the cross-entropy"),
        (probed(lambda n: n), "one number"),
        (lambda network, images, labels: 1.0, "of the cross-entropy"),
    ],
    "lesson_02.ex1": [
        (lambda f, x: f(x).relu(), "x is missing"),
        (lambda f, x: f(x) + x, "after it is missing"),
        (lambda f, x: f(x).relu() + x, "after the add, not before"),
        (lambda f, x: f(x) + x.relu(), "x goes around as it is"),
        (lambda f, x: f(x).relu() + x.relu(), "one ReLU"),
        (lambda f, x: (f(x) - x).relu(), "The block adds"),
        (lambda f, x: (x + x).relu(), "F is not called"),
        (lambda f, x: (f(f(x)) + 0).relu(), "applied twice"),
        (lambda f, x: (f(x) + x).relu(), "repeats what has length 1 silently"),
        (lambda f, x: (f(x) + x).relu() if f(x).shape == x.shape else ValueError("shapes"), "Raise it"),
        (lambda f, x: torch.nn.ReLU(f(x) + x), "torch.relu(...) computes"),
        (lambda f, x: added(f(x), x, lambda y: y.shape[1]), "1 of 3 rows"),
        (lambda f, x: added(f(x), x, lambda y: y.shape[1], TypeError), "stopped with TypeError"),
        (lambda f, x: added(f(x), x, lambda y: y.shape[1:3]), "1 of 5 columns, your function raised nothing"),
        (lambda f, x: added(f(x), x, lambda y: y.shape[1:]), "1 of 2 images, your function raised nothing"),
        (lambda f, x: added(f(x), x, torch.numel), "rows and columns exchanged stopped with RuntimeError"),
        (lambda f, x: (f(x) + x).relu()[:1], "has the shape of x"),
        (lambda f, x: (f(x) + 2 * x).relu(), "values differ"),
        (lambda f, x: 3, "must return a tensor"),
        (lambda f, x: added(f(x).detach(), x, lambda y: y.shape), "F(x) is cut out of the graph"),
        (lambda f, x: added(f(x.detach()), x, lambda y: y.shape), "F(x) is cut out of the graph"),
        (lambda f, x: added(f(x), x.detach(), lambda y: y.shape), "x is cut out of the graph where it goes around"),
        (torch.no_grad()(lambda f, x: added(f(x), x, lambda y: y.shape)), "no gradient flows back"),
        (lambda f, x: broadcast_allowed(f(x), x, left=True, right=False), "1 of 4 channels, your function raised nothing"),
        (lambda f, x: broadcast_allowed(f(x), x, left=False, right=True), "4 channels and x has 1, your function raised nothing"),
        (lambda f, x: broadcast_allowed(f(x), x, left=True, right=True), "your function raised nothing"),
        (lambda f, x: added(f(x), x, lambda y: y.shape).float(), "Keep the type"),
    ],
    "lesson_02.ex2": [
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x, c, 1), "The stride is missing"),
        (lambda x, c, s: x[:, :, ::s, ::s], "new channels are missing"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x, c, min(s, 2)), "zero_pad_shortcut(x, 8, 3) gave"),
        (lambda x, c, s: F.pad(x[:, :, ::s, ::s], (0, 0, 0, c - 3)), "the zeros went to axis 2"),
        (lambda x, c, s: F.pad(x[:, :, ::s, ::s], (0, c - 3)), "the zeros went to axis 3"),
        (lambda x, c, s: F.pad(x[:, :, ::s, ::s], (0, 0, 0, 0, 0, c)), "That is 8 channels and not 5"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x[:, ::s, ::s], c, 1), "rows and columns are axes 2 and 3"),
        (lambda x, c, s: x[:, :, ::s, ::s].flatten(1), "the four axes"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x, c, s)[:, :, 1:, 1:], "numbers 0, stride"),
        (lambda x, c, s: torch.cat([x[:, :, ::s, ::s]] * c, 0), "the zeros went to axis 0"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x, c, s).roll(c - 3, 1), "before x's channels"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(F.avg_pool2d(x, s, ceil_mode=True), c, 1), "the image is pooled"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x.roll(1, 2), c, s), "other pixels are kept"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x, c, s) + (torch.arange(c) > 2).view(1, -1, 1, 1), "are not 0"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x, c, s)[:2] if len(x) > 1 else x, "The stride is missing"),
        (lambda x, c, s: torch.cat([x[:, :, ::s, ::s], torch.zeros(2, c - 3, *x[:, :, ::s, ::s].shape[2:])], 1)
         if len(x) == 2 else torch.cat([x, x.new_zeros(1, c - 3, *x.shape[2:])], 1)[:, :, ::s, ::s], "7 channels and not 6"),
        (lambda x, c, s: 3, "must return a tensor"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x, c, s).double(), "is torch.float64 and what went in is torch.float32"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x.relu(), c, s), "values are not"),
        (lambda x, c, s: lesson_02.zero_pad_shortcut(x.detach(), c, s), "no gradient flows back"),
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
        (lambda slopes: 0 * math.prod(slopes), "starts with 1"),
        (lambda slopes: 1 + slopes[0], "inside the loop"),
        (lambda slopes: 1 + slopes[-1], "only the last block"),
        (lambda slopes: "1", "one number"),
        (lambda slopes: math.prod(max(0, 1 + s) for s in slopes), "negative slopes are clipped to 0"),
        (lambda slopes: math.prod(min(1, 1 + s) for s in slopes), "a slope above 1 is clipped"),
        (lambda slopes: math.prod(min(1, max(0, 1 + s)) for s in slopes), "clipped to 0 to 1"),
        (lambda slopes: math.prod(min(1, max(-1, 1 + s)) for s in slopes), "clipped to −1 to 1"),
        (lambda slopes: math.prod(1 - s for s in slopes), "1 + F′, not 1 − F′"),
    ],
    "lesson_02.ex4": [
        (sometimes(predicting=lambda x, fx, keep: x + fx), "In training f is used only now and then"),
        (sometimes(predicting=lambda x, fx, keep: x), "x alone"),
        (sometimes(predicting=lambda x, fx, keep: keep * fx), "x is missing"),
        (sometimes(predicting=lambda x, fx, keep: keep * (x + fx)), "x always passes whole"),
        (sometimes(predicting=lambda x, fx, keep: x + (1 - keep) * fx), "by 1 − keep"),
        (sometimes(predicting=lambda x, fx, keep: x + fx / keep), "divided f(x) by keep"),
        (sometimes(predicting=lambda x, fx, keep: (x + keep * fx).relu()), "ReLU after the sum"),
        (sometimes(predicting=lambda x, fx, keep: x + fx if torch.rand(()) < keep else x), "depend on chance"),
        (sometimes(predicting=lambda x, fx, keep: 2 * x + fx), "values differ by up to"),
        (sometimes(lambda x, fx, keep: x + fx if torch.rand(()) > keep else x), "not that it is left out"),
        (sometimes(lambda x, fx, keep: x + fx), "used f in 100% of 400 calls"),
        (sometimes(lambda x, fx, keep: x), "Draw anew at each call"),
        (DrawsOnce, "Draw anew at each call"),
        (sometimes(lambda x, fx, keep: x + fx if torch.rand(()) < 0.5 else x), "it must be about 70%"),
        (sometimes(lambda x, fx, keep: x + keep * fx), "belongs in eval mode"),
        (sometimes(lambda x, fx, keep: x + fx / keep if torch.rand(()) < keep else x), "Here f(x) is scaled in eval mode"),
        (sometimes(lambda x, fx, keep: x + fx if torch.rand(()) < keep else 0 * x), "x passes always"),
        (sometimes(lambda x, fx, keep: fx if torch.rand(()) < keep else x), "x is missing"),
        (sometimes(lambda x, fx, keep: x + fx * (torch.rand(len(x), 1) < keep)), "Draw once a call"),
        (sometimes(lambda x, fx, keep: (x + fx).relu() if torch.rand(()) < keep else x), "ReLU after the sum"),
        (sometimes(lambda x, fx, keep: x + fx.detach() if torch.rand(()) < keep else x), "gradient reaches"),
        (sometimes(lambda x, fx, keep: x + fx if torch.rand(()) < keep else x.detach()), "no gradient reaches x"),
        (sometimes(own=lambda f: [f]), "does not know f's parameters"),
        (sometimes(own=copy.deepcopy), "does not know f's parameters"),
        (lambda f, keep: lambda x: x, "must be a module"),
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
        (lambda k, i, o, g, b: torch.tensor([315, 322]), "whole number"),
    ],
    "lesson_03.ex2": [
        (lambda x, w: x.permute(0, 2, 3, 1) @ w.T, "channels are still last"),
        (lambda x, w: (x.permute(0, 3, 2, 1) @ w.T).permute(0, 3, 1, 2), "Height and width are exchanged"),
        (lambda x, w: x.flatten(2), "Order: batch, channels"),
        (lambda x, w: (x.reshape(x.shape[0], *x.shape[2:], -1) @ w.T).permute(0, 3, 1, 2), "reshape cuts"),
        (lambda x, w: (x.permute(0, 2, 3, 1) @ w.T).reshape(x.shape[0], -1, *x.shape[2:]), "on the way back"),
        (lambda x, w: torch.einsum("nchw,oc->nohw" if w.shape[0] != w.shape[1] else "nchw,co->nohw", x, w),
         "wrong way round"),
        (lambda x, w: (x.permute(0, 2, 3, 1) @ w).permute(0, 3, 1, 2), "wrong way round"),
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
        (lambda c, b: min(c, lesson_03.widest_bottleneck(c, b)), "widest_bottleneck(4, 10,000) gave 4"),
        (lambda c, b: widest(lambda w: 2 * c * w + 9 * w * w + 2 * w + c, b), "do you count biases"),
        (lambda c, b: widest(lambda w: 2 * c * w + 9 * w * w + 4 * w + 2 * c, b), "counts batch norm"),
        (lambda c, b: widest(lambda w: 2 * c * w + 18 * w * w, b), "counts the 3×3 twice"),
        (lambda c, b: widest(lambda w: 2 * c * w + 3 * w * w, b), "3 · 3"),
        (lambda c, b: widest(lambda w: 2 * c * w + 9 * w, b), "from width to width, 9"),
        (lambda c, b: float(lesson_03.widest_bottleneck(c, b)), "as a float"),
        (lambda c, b: (-c + math.sqrt(c * c + 9 * b)) / 9, "whole number"),
    ],
    "lesson_03.ex4": [
        (Half, "has no weight of shape (5, 5, 3, 3)"),
        (bottleneck(lambda m, x: f_of(m, x) + m.shortcut(x)), "the ReLU after the add is missing"),
        (bottleneck(lambda m, x: f_of(m, x).relu() + m.shortcut(x)), "goes through a ReLU before the add"),
        (bottleneck(lambda m, x: (f_of(m, x).relu() + m.shortcut(x)).relu()), "goes through a ReLU before the add"),
        (bottleneck(lambda m, x: (m.grow(m.look(m.squeeze(x)).relu()) + m.shortcut(x)).relu()), "ReLU after the first 1×1 is missing"),
        (bottleneck(lambda m, x: (m.grow(m.look(m.squeeze(x).relu())) + m.shortcut(x)).relu()), "ReLU after the 3×3 is missing"),
        (bottleneck(lambda m, x: (m.grow(m.look(m.squeeze(x))) + m.shortcut(x)).relu()), "ReLU after the first 1×1 is missing"),
        (bottleneck(lambda m, x: f_of(m, x).relu()), "what the shortcut carries is not added"),
        (bottleneck(lambda m, x: m.shortcut(x).relu()), "F(x) is not added"),
        (bottleneck(lambda m, x: (f_of(m, x) - m.shortcut(x)).relu()), "is subtracted"),
        (bottleneck(lambda m, x: (f_of(m, x) * m.shortcut(x)).relu()), "is multiplied"),
        (bottleneck(lambda m, x: (f_of(m, x) + m.shortcut(x).relu()).relu()), "the shortcut goes through a ReLU"),
        (bottleneck(lambda m, x: (f_of(m, x) + m.shortcut(x)).relu().detach()), "no gradient flows back"),
        (bottleneck(lambda m, x: (f_of(m, x).detach() + m.shortcut(x)).relu()), "no gradient reaches the first 1×1"),
        (bottleneck(lambda m, x: (f_of(m, x) + m.shortcut(x.detach())).relu()), "a wrong gradient reaches x"),
        (bottleneck(lambda m, x: torch.tanh(f_of(m, x) + m.shortcut(x))), "It must be relu(F(x) + x)"),
        (bottleneck(squeeze=lambda i, w, o, s: conv(i, w, 1, s), look=lambda i, w, o, s: conv(w, w, 3)), "stands on the first 1×1"),
        (InAList, "has no parameters"),
        (bottleneck(shortcut=lambda i, w, o, s: torch.nn.Identity()), "F(x) and x differ in channels, 14 and 8"),
        (bottleneck(shortcut=lambda i, w, o, s: torch.nn.Identity() if i == o else None), "F(x) and x differ in height and width"),
        (bottleneck(shortcut=lambda i, w, o, s: conv(i, o, 1, s)), "Bottleneck(12, 5, 12) has a projection on its shortcut"),
        (bottleneck(shortcut=lambda i, w, o, s: conv(i, o, 3, s) if i != o else None), "has no weight of shape (14, 8, 1, 1), which the projection"),
        (bottleneck(look=lambda i, w, o, s: conv(i, w, 3, s)),
         "has no weight of shape (5, 5, 3, 3), which the 3×3 convolution has. There is one of shape (5, 12, 3, 3)"),
        (bottleneck(extra=lambda i, w, o, s: conv(w, w, 3)), "has a weight too many, of shape (5, 5, 3, 3)"),
        (bottleneck(squeeze=lambda i, w, o, s: conv(i, w, 1, bias=True)), "bias=False"),
        (bottleneck(norm=lambda i, w, o, s: torch.nn.BatchNorm2d(w)), "has a batch norm"),
        (Dropping, "in eval mode, and in training mode it is right"),
        (bottleneck(grow=lambda i, w, o, s: conv(w, o, 1).requires_grad_(False)), "the last 1×1 convolution cannot learn"),
        (bottleneck(look=lambda i, w, o, s: conv(w, w, 3, s, dilation=2, padding=2)), "values differ by up to"),
        (bottleneck(look=lambda i, w, o, s: conv(w, w, 3), shortcut=lambda i, w, o, s: conv(i, o, 1) if s != 1 or i != o else None),
         "The stride is missing"),
        (Twice, "Bottleneck(6, 9, 6) has no weight of shape (9, 6, 1, 1)"), (InPlace, "changed its argument x in place"),
        (lambda i, w, o, stride=1: torch.nn.Identity(), "has no parameters"), (lambda i, w, o, stride=1: torch.relu, "must give a module"),
        (lambda i, w, o, stride=1: conv(i, o, 1, stride), "has no weight of shape (5, 12, 1, 1)"),
    ],
    "lesson_04.ex1": [
        (lambda x, g, b, eps: lesson_04.batch_norm_images(x, g, b, eps).movedim(1, -1).reshape(x.shape), "stand at other places"),
        (lambda x, g, b, eps: lesson_04.batch_norm_images(x.reshape(-1, x.shape[1])[:, :, None, None], g, b, eps).reshape(x.shape),
         "mixes the channels"),
        (lambda x, g, b, eps: affine(x_hat(x, eps, correction=1), g, b), "divided by m − 1"),
        (lambda x, g, b, eps: affine(x_hat(x, eps, 0), g, b), "batch axis only"),
        (lambda x, g, b, eps: affine(x_hat(x, eps, (0, 1, 2, 3)), g, b), "over everything"),
        (lambda x, g, b, eps: affine(x_hat(x, eps, (2, 3)), g, b), "each image is normalised by itself. The"),
        (lambda x, g, b, eps: affine(x_hat(x, eps, (1, 2, 3)), g, b), "its channels mixed"),
        (lambda x, g, b, eps: affine(x_hat(x, eps, 1), g, b), "go over the channels"),
        (lambda x, g, b, eps: affine(outside(x, eps, 0), g, b), "outside the root"),
        (lambda x, g, b, eps: affine(outside(x, eps, 1), g, b), "divided by m − 1"),  # two slips: the first
        (lambda x, g, b, eps: affine(x_hat(x, 0), g, b), "ε is forgotten"),
        (lambda x, g, b, eps: affine(x_hat(x, 1e-5), g, b), "always 1e-5"),
        (lambda x, g, b, eps: affine(x_hat(x, eps) / (x.var((0, 2, 3), correction=0, keepdim=True) + eps).sqrt(), g, b),
         "divided by the root twice"),
        (lambda x, g, b, eps: affine((x - x.mean((0, 2, 3), keepdim=True))
                                     * (x.var((0, 2, 3), correction=0, keepdim=True) + eps).sqrt(), g, b),
         "divide by it"),
        (lambda x, g, b, eps: affine(x - x.mean((0, 2, 3), keepdim=True), g, b), "not divided"),
        (lambda x, g, b, eps: affine(x / (x.var((0, 2, 3), correction=0, keepdim=True) + eps).sqrt(), g, b),
         "mean is not subtracted"),
        (lambda x, g, b, eps: affine(x_hat(x, eps), b, g), "exchanged"),
        (lambda x, g, b, eps: x_hat(x, eps), "last line is missing"),
        (lambda x, g, b, eps: x_hat(x, eps) * per_channel(g), "β is missing"),
        (lambda x, g, b, eps: x_hat(x, eps) + per_channel(b), "γ is missing"),
        (lambda x, g, b, eps: (x_hat(x, eps) + per_channel(b)) * per_channel(g), "β is multiplied by γ"),
        (lambda x, g, b, eps: x_hat(x, eps) * g + b, "γ and β go along the columns"),
        (lambda x, g, b, eps: x_hat(x, eps) * g + per_channel(b), "γ goes along the columns"),
        (lambda x, g, b, eps: x_hat(x, eps) * per_channel(g) + b, "β goes along the columns"),
        (lambda x, g, b, eps: affine((x - x.mean((0, 2, 3))) / (x.var((0, 2, 3), correction=0) + eps).sqrt(), g, b),
         "μ and σ² go along the columns"),
        (lambda x, g, b, eps: affine((x - x.mean((0, 2, 3))) / (x.var((0, 2, 3), correction=0, keepdim=True) + eps).sqrt(), g, b),
         "μ goes along the columns"),
        (lambda x, g, b, eps: affine((x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0) + eps).sqrt(), g, b),
         "σ² goes along the columns"),
        (lambda x, g, b, eps: affine(x_hat(x, eps), g, b) + 1, "line by line"),
        (lambda x, g, b, eps: affine(x_hat(x, eps), g.abs(), b), "lost its sign"),
        (lambda x, g, b, eps: affine(x_hat(x, eps), 1 / g, b), "divided by γ"),
        (lambda x, g, b, eps: affine(without_gradient(x, eps, "mean", "var"), g, b), "μ and σ² are outside autograd's graph"),
        (lambda x, g, b, eps: affine(without_gradient(x, eps, "mean"), g, b), "gradients are not: μ is outside"),
        (lambda x, g, b, eps: affine(without_gradient(x, eps, "var"), g, b), "gradients are not: σ² is outside"),
        (lambda x, g, b, eps: affine(x_hat(x, eps), g.detach(), b), "no gradient reaches gamma"),
        (torch.no_grad()(lambda x, g, b, eps: affine(x_hat(x, eps), g, b)), "no gradient flows back"),
        (lambda x, g, b, eps: affine(x_hat(x, eps), g, b).float(), "Keep the type"),
        (lambda x, g, b, eps: affine(x_hat(x, eps), g, b)[:1], "stays at its place"),
    ],
    "lesson_04.ex2": [
        (lambda dy, x, g, eps: dy * g, "with the comma"),
        (lambda dy, x, g, eps: {"dx_hat": dy * g}, "the six pieces in this order"),
        (lambda dy, x, g, eps: (dy * g.abs(),), "lost its sign"),
        (backward_but("dx", lambda n: n.dx * n.gamma / n.gamma), "some values are infinite or not a number"),
        (lambda dy, x, g, eps: lesson_04.bn_backward(dy, x, g, eps) + (dy,), "you returned 7"),
        (lambda dy, x, g, eps: lesson_04.bn_backward(dy, x, g, eps)[3:], "dx_hat, ∂ℓ/∂x̂, is what dx must be"),
        (backward_but("dx_hat", lambda n: n.dy), "γ is missing"),
        (backward_but("dx_hat", lambda n: n.dy / n.gamma), "multiply"),
        (backward_but("dx_hat", lambda n: n.dx_hat / n.s), "the root comes later"),
        (backward_but("dx_hat", lambda n: n.dx_hat.float()), "Keep the type"),
        (backward_but("dx_hat", lambda n: n.dx_hat.sum(0)), "dx_hat, ∂ℓ/∂x̂ has shape (4,)"),
        (backward_but("dvar", lambda n: -2 * n.dvar), "∂ℓ/∂σ², is wrong: the factor −1/2 is missing"),
        (backward_but("dvar", lambda n: 4 * n.dvar), "not −2"),
        (backward_but("dvar", lambda n: 3 * n.dvar), "comes down from the exponent"),
        (backward_but("dvar", lambda n: -n.dvar), "∂ℓ/∂σ², is wrong: the sign"),
        (backward_but("dvar", lambda n: 2 * n.dvar), "∂ℓ/∂σ², is wrong: the 1/2 is missing"),
        (backward_but("dvar", lambda n: n.dvar * n.v), "∂ℓ/∂σ², is wrong: the exponent is −3/2: the derivative"),
        (backward_but("dvar", lambda n: n.dvar * n.v**3), "∂ℓ/∂σ², is wrong: the exponent is −3/2: the minus"),
        (backward_but("dvar", lambda n: n.dvar * n.v**-1.5), "−3: σ² is already a square"),
        (backward_but("dvar", lambda n: n.dvar * n.v**2), "−3/2, not 1/2"),
        (backward_but("dvar", lambda n: n.dvar * n.v**.5), "not −1"),
        (backward_but("dvar", lambda n: 2 * n.dvar * n.s), "gradient of the standard deviation"),
        (backward_but("dvar", lambda n: n.dvar * n.v**1.5), "power (σ² + ε)^(−3/2) is missing"),
        (backward_but("dvar", lambda n: n.dvar / n.s), "one root too many"),
        (backward_but("dvar", lambda n: n.dvar * (n.v / n.var)**1.5), "ε is forgotten"),
        (backward_but("dvar", lambda n: n.dvar * (n.v / n.unbiased)**1.5), "correction=0"),
        (backward_but("dvar", lambda n: n.dvar / n.m), "do not take the mean"),
        (backward_but("dvar", lambda n: (n.dy * n.c).sum(0) / -2 * n.v**-1.5), "which holds γ"),
        (backward_but("dvar", lambda n: (n.dx_hat * n.x).sum(0) / -2 * n.v**-1.5), "x where x − μ belongs"),
        (backward_but("dvar", lambda n: n.dx_hat.sum(0) / -2 * n.v**-1.5), "x − μ is missing"),
        (backward_but("dvar", lambda n: n.dx_hat * n.c / -2 * n.v**-1.5), "only the sum over the batch is missing"),
        (backward_but("dvar", lambda n: n.dx_hat * n.c * n.v**-1.5), "is missing. And the factor −1/2"),
        (backward_but("dvar", lambda n: (n.dx_hat * n.c).sum(0) * n.v**-.5), "the factor −1/2 is missing"),  # two slips
        (backward_but("dvar", lambda n: n.dvar.sum()), "dvar, ∂ℓ/∂σ² has shape ()"),
        (backward_but("dvar", lambda n: n.dvar + 1), "All before it is right"),
        (backward_but("dmu", lambda n: -n.dmu), "∂ℓ/∂μ, is wrong: the sign of the first term"),
        (backward_but("dmu", lambda n: n.dvar * (-2 * n.c).sum(0) / n.m), "∂ℓ/∂μ, is wrong: the first term is missing"),
        (backward_but("dmu", lambda n: -(n.dy / n.s).sum(0)), "first term starts from dy"),
        (backward_but("dmu", lambda n: -n.dx_hat.sum(0)), "division by √(σ² + ε) is missing"),
        (backward_but("dmu", lambda n: n.dmu * n.v), "do not multiply"),
        (backward_but("dmu", lambda n: n.dmu / n.s), "the root is missing"),
        (backward_but("dmu", lambda n: n.dmu * n.s / n.var.sqrt()), "ε is forgotten"),
        (backward_but("dmu", lambda n: n.dmu / n.m), "do not take the mean"),
        (backward_but("dmu", lambda n: -n.dx_hat / n.s), "only the sum over the batch is missing"),
        (backward_but("dmu", lambda n: n.dmu + n.dvar * -2 * n.c / n.m), "sum in its second term is missing"),
        (backward_but("dmu", lambda n: n.dmu - 2 * n.dvar * n.mu), "the second term has x where"),
        (backward_but("dmu", lambda n: n.dmu + n.dvar), "yours is dvar alone"),
        (backward_but("dmu", lambda n: n.dmu - 2 * n.dvar / n.m), "the second term has no x − μ"),
        (backward_but("dx", lambda n: n.dx_hat / n.s), "∂ℓ/∂x, is wrong: that is the way through x̂ alone"),
        (backward_but("dx", lambda n: n.dx - n.dmu / n.m), "∂ℓ/∂x, is wrong: the way through μ is missing"),
        (backward_but("dx", lambda n: n.dx - n.dvar * 2 * n.c / n.m), "∂ℓ/∂x, is wrong: the way through σ² is missing"),
        (backward_but("dx", lambda n: n.dx - n.dx_hat / n.s), "∂ℓ/∂x, is wrong: the way through x̂ is missing"),
        (backward_but("dx", lambda n: n.dx + n.dmu * (1 - 1 / n.m)), "third term, the division by m"),
        (backward_but("dx", lambda n: n.dx + n.dvar * 2 * n.c * (1 - 1 / n.m)), "second term, the division by m"),
        (backward_but("dx", lambda n: n.dx - n.dvar * n.c / n.m), "the 2 is missing"),
        (backward_but("dx", lambda n: n.dx - 2 * n.dmu / n.m), "sign of the third"),
        (backward_but("dx", lambda n: n.dx - 4 * n.dvar * n.c / n.m), "sign of the second"),
        (backward_but("dx", lambda n: n.dx + 2 * n.dvar * n.mu / n.m), "x where x − μ belongs"),
        (backward_but("dx", lambda n: n.dx + n.dx_hat - n.dx_hat / n.s), "first term, the division by √(σ² + ε)"),
        (backward_but("dx", lambda n: n.dx + n.dx_hat / n.v - n.dx_hat / n.s), "in the first term, the root"),
        (backward_but("dx", lambda n: n.dx - 2 * n.dx_hat / n.s), "sign of the first"),
        (backward_but("dx", lambda n: n.dx + n.dvar * n.c * (1 - 2 / n.m)), "2 / m is missing"),
        (backward_but("dx", lambda n: n.dx + n.dvar * 2 * n.c * (1 / (n.m - 1) - 1 / n.m)), "not by m − 1"),
        (backward_but("dx", lambda n: n.dx + n.dvar * 2 * n.c * (1 / n.s - 1) / n.m), "x̂ where x − μ belongs"),
        (backward_but("dx", lambda n: n.dx * 1.1), "All before it is right"),
        (backward_but("dx", lambda n: n.dx_hat), "is what dx_hat must be"),
        (backward_but("dgamma", lambda n: n.dgamma * n.gamma), "∂ℓ/∂γ, is wrong: it holds γ"),
        (backward_but("dgamma", lambda n: n.dgamma * n.s), "x − μ where x̂ belongs"),
        (backward_but("dgamma", lambda n: (n.dy * n.x).sum(0)), "it has x where x̂ belongs"),
        (backward_but("dgamma", lambda n: n.dgamma / n.m), "do not take the mean"),
        (backward_but("dgamma", lambda n: n.dgamma * n.s / n.var.sqrt()), "ε is forgotten"),
        (backward_but("dgamma", lambda n: n.dbeta), "is what dbeta must be"),
        (backward_but("dbeta", lambda n: n.dx_hat.sum(0)), "∂ℓ/∂β, is wrong: it holds γ"),
        (backward_but("dbeta", lambda n: n.dy.mean(0)), "do not take the mean"),
        (backward_but("dbeta", lambda n: n.dy), "only the sum over the batch is missing"),
        (backward_but("dbeta", lambda n: n.dy.sum()), "must be (4,)"),
        (backward_but("dbeta", lambda n: 3), "must be a tensor"),
    ],
    "lesson_04.ex3": [
        (lambda norm: "right",
         "suspect A) gave 'right', and that one has a bug. This experiment tells: Give it one batch x"),
        (lambda norm: "graph", "suspect B) gave 'graph', and nothing is wrong with that one. Give it one batch x"),
        (detective(("graph", keeps_graph)),
         "suspect C) gave 'right', and that one has a bug. This experiment tells: Give it one small batch"),
        (detective(("graph", keeps_graph), ("mode", biased)), "suspect C) gave 'mode', and that one has another bug"),
        (detective(("graph", keeps_graph), ("biased", biased)),
         "suspect D) gave 'right', and that one has a bug. This experiment tells: Give it a batch after norm.eval()"),
        (detective(("graph", keeps_graph), ("biased", biased), ("mode", ignores_eval)),
         "suspect E) gave 'right', and that one has a bug. This experiment tells: Send y.sum() back"),
        (detective(("graph", keeps_graph), ("biased", lambda norm: biased(norm, 1000, 1e-2)), ("mode", ignores_eval),
                   ("no gradient", no_gradient)),
         "suspect B) gave 'biased', and nothing is wrong with that one. Give it one small batch"),
        (lambda norm: {"A": "graph", "B": "right", "C": "biased", "D": "mode"}.get(type(norm).__name__, "no gradient"),
         "suspect A) gave 'no gradient'"),
        (lambda norm: lesson_04.find_bug(norm) if len(norm.gamma) == 3 else "right", "suspect A) gave 'right'"),
        (lambda norm: "none", "it must give one of 'biased', 'no gradient', 'graph', 'mode', or 'right'"),
        (lambda norm: False, "it must give one of"),
    ],
    "lesson_04.ex4": [
        (lambda groups, channels, eps=1e-5: torch.nn.BatchNorm2d(channels, eps), "that is batch norm"),
        (lambda groups, channels, eps=1e-5: torch.nn.GroupNorm(1, channels, eps), "all channels of an image share"),
        (lambda groups, channels, eps=1e-5: torch.nn.GroupNorm(channels, channels, eps), "each channel has its own"),
        (lambda groups, channels, eps=1e-5: torch.nn.GroupNorm(channels // groups, channels, eps), "are exchanged"),
        (lambda groups, channels, eps=1e-5: torch.nn.GroupNorm(groups, channels), "your ε is always 1e-5"),
        (lambda groups, channels, eps=1e-5: torch.nn.GroupNorm(groups, channels, eps, affine=False), "has no parameters"),
        (lambda groups, channels, eps=1e-5: torch.nn.GroupNorm(groups, channels, eps).requires_grad_(False), "requires_grad=False"),
        (lambda groups, channels, eps=1e-5: lambda x: x, "must be a module"),
        (lambda groups, channels, eps=1e-5: group_norm.MyGroupNorm(groups, channels, eps)(torch.ones(1, channels, 1, 1)),
         "must be a module"),
        *((grouped(**slip), words) for slip, words in (
            ({"__init__": dict(beta=None)}, "has parameters of shape (6,); it must have two"),
            ({"__init__": dict(gamma=1)}, "has parameters of shape (1,), (6,)"),
            ({"__init__": dict(swap=True)}, "γ and β are exchanged"),
            ({"__init__": dict(start=0.5)}, "γ must be 1 for every channel at the start, and β 0. MyGroupNorm(2, 6, 0.3) starts with [0.5"),
            ({"dims": (0, 2, 3, 4)}, "go over the batch too"),
            ({"dims": (0, 3, 4)}, "that is batch norm"),
            ({"dims": (3, 4)}, "each channel has its own"),
            ({"dims": 2}, "each pixel has its own"),
            ({"correction": 1}, "by the number of values less 1"),
            ({"group": lambda x, groups: x.unflatten(1, (-1, groups)).transpose(1, 2)}, "not next to each other"),
            ({"root": lambda var, eps: var.sqrt() + eps}, "ε stands outside the root"),
            ({"root": lambda var, eps: var + eps}, "the root is missing"),
            ({"affine": lambda x_hat, g, b: x_hat}, "that is x̂"),
            ({"affine": lambda x_hat, g, b: g * x_hat + b}, "γ and β go along the columns"),
            ({"affine": lambda x_hat, g, b: per_channel(g) * (x_hat + per_channel(b))}, "β is multiplied by γ"),
            ({"affine": lambda x_hat, g, b: per_channel(g.data) * x_hat + per_channel(b)}, "no gradient reaches γ"),
            ({"affine": lambda x_hat, g, b: (per_channel(g) * x_hat + per_channel(b)).detach()}, "backward pass stopped"),
            ({"affine": lambda x_hat, g, b: per_channel(g) * x_hat.detach() + per_channel(b)}, "no gradient reaches x"),
            ({"root": lambda var, eps: (var.detach() + eps).sqrt()}, "a wrong gradient reaches x"),
            ({"affine": lambda x_hat, g, b: (per_channel(g) * x_hat + per_channel(b)).flatten(2)}, "has shape (3, 6, 24)"),
            ({"affine": lambda x_hat, g, b: (per_channel(g) * x_hat + per_channel(b)).float()}, "Keep the type"))),
        (lambda groups, channels, eps=1e-5: OnlyInTraining(groups, channels, eps), "in eval mode"),
        (lambda groups, channels, eps=1e-5: Spoils(groups, channels, eps), "changed its argument x in place"),
        (lambda groups, channels, eps=1e-5: GivesNothing(groups, channels, eps), "returned nothing (None)"),
    ],
    "lesson_05.ex1": [
        (averaged(of_channels, lambda momentum: (momentum, 1 - momentum)), "mean is wrong: momentum and 1 − momentum"),
        (averaged(lambda x: x.var((0, 2, 3), correction=0)), "takes the biased variance"),
        (averaged(lambda x: x.var((0, 2, 3), correction=0) * x.numel() / (x.numel() - 1)), "counts all channels"),
        (averaged(lambda x: x.std((0, 2, 3))), "standard deviation. Keep the variance."),
        (averaged(lambda x: x.std((0, 2, 3), correction=0)), "standard deviation. Keep the variance, divided"),
        (averaged(lambda x: x.var(0), mean=lambda x: x.mean(0)), "has shape"),
        (lambda m, v, x, a: ((1 - a) * m[:, None, None] + a * x.mean(0), v), "axes 0, 2 and 3"),
        (averaged(of_channels, lambda momentum: (0, 1)), "that is the batch's own"),
        (averaged(of_channels, lambda momentum: (1, 0)), "it has not moved"),
        (averaged(of_channels, lambda momentum: (1, momentum)), "old value keeps its whole weight"),
        (averaged(of_channels, lambda momentum: (1 - momentum, 1)), "batch has its whole weight"),
        (averaged(of_channels, lambda momentum: (1, 1)), "old and new are added"),
        (averaged(of_channels, lambda momentum: (1 / 2, 1 / 2)), "momentum is not used"),
        (averaged(of_channels, lambda momentum: (0.9, 0.1)), "always 0.1"),
        (averaged(of_channels, lambda momentum: (1 + momentum, -momentum)), "away from the batch"),
        (averaged(of_channels, mean=lambda x: x.sum((0, 2, 3))), "the batch's sum"),
        (averaged(of_channels, mean=lambda x: x.mean()), "the channels are mixed: each has its own mean"),
        (averaged(of_channels, mean=lambda x: x[0].mean((1, 2))), "first image only"),
        (averaged(lambda x: x.var()), "the channels are mixed: each has its own variance"),
        (averaged(lambda x: of_channels(x) * x[:, 0].numel() / (x[:, 0].numel() - 1)), "is there twice"),
        (averaged(lambda x: x.var((0, 2, 3), correction=0) * (1 - 1 / x[:, 0].numel())), "upside down"),
        (averaged(lambda x: x.var((0, 2, 3), correction=0) * len(x) / (len(x) - 1)), "number of images here"),
        (averaged(lambda x: x.var((2, 3)).mean(0)), "variances of single images"),
        (averaged(lambda x: x.var((2, 3), correction=0).mean(0)), "variances of single images"),
        (averaged(lambda x: x.square().mean((0, 2, 3))), "the mean of x²"),
        (averaged(lambda x: of_channels(x) + 1), "the running mean is right, the running variance is wrong"),
        (lambda m, v, x, a: (m + a * (x.mean((0, 2, 3)) - m), a * v + (1 - a) * of_channels(x)),
         "variance is wrong: momentum and 1 − momentum"),
        (lambda m, v, x, a: lesson_05.update(m, v, x, a)[::-1], "mean and variance are exchanged"),
        (lambda m, v, x, a: lesson_05.update(m, v, x, a)[0], "two tensors"),
        (lambda m, v, x, a: (1.0, 2.0), "must be a tensor"),
        (lambda m, v, x, a: [t.float() for t in lesson_05.update(m, v, x, a)], "Keep the type"),
    ],
    "lesson_05.ex2": [
        (lambda w, b, g, beta, mean, var, eps: lesson_05.fold_into(w, b, beta, g, mean, var, eps), "γ and β are exchanged"),
        (lambda *given: folded(*given, view=(1, -1, 1, 1)), "input channels, axis 1"),
        (lambda *given: folded(*given, view=(1, 1, 1, -1)), "kernel's columns"),
        (lambda *given: folded(*given, view=(1, 1, -1, 1)), "kernel's rows"),
        (lambda *given: folded(*given, root=given[5].sqrt()), "ε is forgotten"),
        (lambda *given: folded(*given, root=(given[5] + 1e-5).sqrt()), "always 1e-5"),
        (lambda *given: folded(*given, root=given[5].sqrt() + given[6]), "outside the root"),
        (lambda *given: folded(*given, root=given[5] + given[6]), "the root is missing"),
        (lambda *given: folded(*given, root=given[5]), "root and ε are missing"),
        (lambda *given: folded(*given, root=1), "division by √(var + ε) is missing"),
        (lambda *given: folded(*given, root=1 / (given[5] + given[6]).sqrt()), "divide"),
        (lambda *given: folded(*given, root=given[2] * (given[5] + given[6]).sqrt()), "γ is missing"),
        (lambda *given: folded(*given, root=given[2].square() * (given[5] + given[6]).sqrt()),
         "divided by γ; multiply"),
        (lambda w, b, *rest: (w, b), "it is as it came. Multiply"),
        (lambda w, *rest: (2.2 * lesson_05.fold_into(w, *rest)[0], rest[0]), "Each output channel's filter"),
        (lambda w, *rest: (lesson_05.fold_into(w, *rest)[0][:1], rest[0]), "keeps its shape"),
        (lambda *given: lesson_05.fold_into(*given)[::-1], "weight and bias are exchanged"),
        (lambda w, b, g, *rest: lesson_05.fold_into(w, b, g.abs(), *rest), "γ has lost its sign"),
        (lambda w, b, g, *rest: lesson_05.fold_into(w, b, g * g / g, *rest), "some values are infinite or not a number"),
        (lambda *given: lesson_05.fold_into(*given)[0], "two tensors"),
        (lambda *given: (lesson_05.fold_into(*given)[0], given[1]), "the folded bias is wrong: it is as it came"),
        (lambda w, b, *rest: lesson_05.fold_into(w, None, *rest), "own bias is forgotten"),
        (folded_bias(lambda n: n.b - n.scale * n.mean + n.beta), "own bias is not scaled"),
        (folded_bias(lambda n: n.scale * n.b + n.beta), "the mean is forgotten"),
        (folded_bias(lambda n: n.scale * n.b - n.mean + n.beta), "the mean is not scaled"),
        (folded_bias(lambda n: n.scale * (n.b + n.mean) + n.beta), "sign of the mean"),
        (folded_bias(lambda n: n.scale * n.b - n.g * n.mean + n.beta), "not divided by √(var + ε)"),
        (folded_bias(lambda n: n.scale * n.b - n.g * n.mean / (n.var + n.eps) + n.beta), "the root is missing"),
        (folded_bias(lambda n: n.scale * n.b - n.g * n.mean / n.var.sqrt() + n.beta), "ε is forgotten where the mean"),
        (folded_bias(lambda n: n.scale * (n.b - n.mean)), "β is forgotten"),
        (folded_bias(lambda n: n.scale * (n.b - n.mean + n.beta)), "β is scaled"),
        (folded_bias(lambda n: n.scale * (n.b - n.mean) + n.g * n.beta), "β is multiplied by γ"),
        (folded_bias(lambda n: n.scale * (n.b - n.mean) - n.beta), "sign of β"),
        (folded_bias(lambda n: n.scale * (n.b - n.mean) + n.g), "γ is added where β belongs"),
        (folded_bias(lambda n: n.beta * n.scale / n.g * (n.b - n.mean) + n.g), "γ and β are exchanged"),
        (folded_bias(lambda n: n.scale * (n.b - n.mean) + n.beta + 1), "Put x = W·u + b into"),
        (folded_bias(lambda n: n.scale), "values differ"),
        (folded_bias(lambda n: 0), "must be a tensor"),
        (lambda w, b, *rest: lesson_05.fold_into(w, b, *rest) if b is not None
         else (lesson_05.fold_into(w, b, *rest)[0], rest[1]),
         "(for bias=None): the mean is forgotten"),
    ],
    "lesson_05.ex3": [
        (pooled(lambda x: x.var(1, correction=0).mean(0)), "Bessel's m / (m − 1) is missing"),
        (pooled(lambda x: x.var(1).mean(0) * x.shape[1] / (x.shape[1] - 1)), "is there twice"),
        (lambda batches: running(batches, 0.0), "that is a running average"),
        (lambda batches: running(batches, batches[0].mean(0)), "that is a running average"),
        (pooled(lambda x: x.flatten(0, 1).var(0)), "of all rows together"),
        (pooled(lambda x: x.flatten(0, 1).var(0, correction=0)), "of all rows together"),
        (pooled(lambda x: x.var(1, correction=0).mean(0) * len(x) / (len(x) - 1)), "not the number of batches"),
        (pooled(lambda x: x.var(1, correction=0).mean(0) * (1 - 1 / x.shape[1])), "upside down"),
        (pooled(lambda x: x.var(1, correction=0).mean(0) * x[..., 0].numel() / (x[..., 0].numel() - 1)),
         "of one batch"),
        (pooled(lambda x: x.var(1).sum(0)), "added up"),
        (pooled(lambda x: x.var(1)[0]), "the first batch's"),
        (pooled(lambda x: x.var(1)[-1]), "the last batch's"),
        (pooled(lambda x: x.std(1).mean(0)), "averages standard deviations"),
        (pooled(lambda x: x.std(1).mean(0).square()), "averages standard deviations"),
        (pooled(lambda x: x.mean(1).var(0, correction=0)), "how much the batches' means vary"),
        (pooled(lambda x: x.mean(1).var(0)), "how much the batches' means vary"),
        (pooled(lambda x: x.var(1).mean(0) + 1), "m / (m − 1) times the mean"),
        (pooled(lambda x: x.var(1)), "One number for each channel"),
        (lambda batches: (sum(x.mean(0) for x in batches), batches[0].var(0)), "means are added up"),
        (lambda batches: (batches[0].mean(0), batches[0].var(0)), "mean is wrong: that is the first batch's"),
        (lambda batches: (batches[-1].mean(0), batches[0].var(0)), "mean is wrong: that is the last batch's"),
        (lambda batches: (4 / 3 * torch.cat(batches).mean(0), batches[0].var(0)), "for the variance only"),
        (lambda batches: (torch.cat(batches).mean().expand(3), batches[0].var(0)), "the channels are mixed"),
        (lambda batches: lesson_05.estimate(batches)[::-1], "exchanged"),
        (lambda batches: lesson_05.estimate(batches)[0], "two tensors"),
    ],
    "lesson_05.ex4": [
        (lambda stack: stack, "returns the very stack"),
        (copy.deepcopy, "came back with batch norms: 2, and it must be 0"),
        (folded_in_place, "gave a list; it must give an nn.Sequential"),
        (lambda stack: nn.Sequential(*folded_in_place(stack)), "shares its numbers with the stack given"),
        (lambda stack: nn.Sequential(*stack), "came back with batch norms"),
        (shortened, "in place: it was Conv2d → BatchNorm2d → ReLU → Conv2d → BatchNorm2d → ReLU and is Conv2d"),
        (lambda stack: (lesson_05.fold_stack(stack), stack[0].weight.data.mul_(2))[0], "in place: 0.weight is another"),
        (lambda stack: (lesson_05.fold_stack(stack), stack.train())[0], "in place: it is in training mode"),
        (lambda stack: lesson_05.fold_stack(stack).train(), "a batch norm that stays is in training mode"),
        (stacked(keep=nn.BatchNorm2d), "it must be 2. One that stands first, or behind a ReLU"),
        (stacked(keep=nn.ReLU), "its layers are Conv2d → Conv2d; they must be Conv2d → ReLU → Conv2d → ReLU"),
        (stacked(change=without_settings), "convolution 2 has stride (1, 1), and in the stack given it has (2, 2)"),
        (stacked(change=plain_tensor), "the weight of convolution 1 is a plain tensor"),
        (stacked(fold=lambda w, b, g, beta, mean, var, eps: lesson_05.fold_into(w, b, g, beta, mean, var, 1e-5)),
         "convolution 1: the folded weight is wrong: your ε is always 1e-5"),
        (stacked(fold=lambda w, b, *rest: lesson_05.fold_into(w, None, *rest)),
         "convolution 2: the folded weight is right, the folded bias is wrong: the convolution's own bias is forgotten"),
        (stacked(fold=lambda w, b, g, *rest: lesson_05.fold_into(w, b, g.abs(), *rest)), "γ has lost its sign"),
        (stacked(fold=lambda w, *rest: (w, lesson_05.fold_into(w, *rest)[1])), "the folded weight is wrong: it is as it came"),
        (stacked(fold=lambda w, *rest: (w[:1], lesson_05.fold_into(w, *rest)[1][:1])), "shapes (1, 3, 3, 3) and (1,)"),
        (lambda stack: lesson_05.fold_stack(stack).double(), "folded stops on images of shape (2, 3, 9, 8)"),
        (lambda stack: nn.Sequential(Calls(stack)), "folded still calls a batch norm"),
    ],
    "lesson_06.ex1": [
        (stage(join=lambda *parts: list(parts)), "basic_stage(4, 4, 2, 1) gave a list of blocks. Put them into one module"),
        (stage(join=lambda *parts: parts), "gave a tuple of blocks"),
        (stage(join=lambda *parts: nn.ModuleList(parts)), "gave a ModuleList, which cannot be called with images: it has no forward"),
        (stage(join=lambda *parts: lambda x: in_order(parts, x)), "gave a function; it must give a module"),
        (run_by(in_order, list), "holds 0 blocks of kind BasicBlock; it must hold 2. 2 more run and are not known to it: modules in a plain list"),
        (stage(join=lambda first, *rest: Calling(lambda own, x: in_order(rest, own[0](x)), [first])),
         "holds 1 block of kind BasicBlock; it must hold 2. 1 more runs and is not known to it"),
        (stage(number=lambda n: n), "holds 3 blocks of kind BasicBlock; it must hold 2."),
        (stage(number=lambda n: 1), "basic_stage(4, 6, 3, 2) holds 2 blocks of kind BasicBlock; it must hold 3."),
        (stage(join=lambda first, *rest: nn.Sequential(first, *rest[:1] * len(rest))),
         "basic_stage(4, 6, 3, 2) holds 2 blocks of kind BasicBlock; it must hold 3. One block runs 2 times, always with the same weights"),
        (lambda i, w, n, s: nn.Sequential(*(blocks.PlainBlock(w if k else i, w, w, stride=1 if k else s) for k in range(n))),
         "It has blocks of kind PlainBlock; build them with blocks.BasicBlock"),
        (stage(first=blocks.Bottleneck), "holds 1 block of kind BasicBlock; it must hold 2. It has blocks of kind Bottleneck"),
        (lambda i, w, n, s: nn.Conv2d(i, w, 3, s, 1), "holds 0 blocks of kind BasicBlock; it must hold 2. Build them with blocks.BasicBlock"),
        (stage(shortcut=lambda i, w, s: "projection"), "block 1 has 4 → 4 → 4 channels, stride 1, a projection; it must have 4 → 4 → 4 channels, "
         "stride 1, a shortcut that keeps x"),
        (stage(following=lambda w: blocks.BasicBlock(w, w, w, shortcut="projection")), "block 2 has 4 → 4 → 4 channels, stride 1, a projection"),
        (stage(stride=1), "basic_stage(4, 6, 3, 2): block 1 has 4 → 6 → 6 channels, stride 1, a projection; it must have 4 → 6 → 6 channels, stride 2"),
        (stage(stride=2, shortcut=lambda i, w, s: "projection"), "block 1 has 4 → 4 → 4 channels, stride 2"),
        (lambda i, w, n, s: stage()(i, w, n, min(s, 2)), "basic_stage(2, 4, 1, 3): block 1 has 2 → 4 → 4 channels, stride 2"),
        (lambda i, w, n, s: nn.Sequential(*(blocks.BasicBlock(w if k else i, w, w, stride=s, shortcut="projection" if s != 1 or i != w else "identity")
                                            for k in range(n))),
         "basic_stage(4, 6, 3, 2): block 2 has 6 → 6 → 6 channels, stride 2, a projection; it must have 6 → 6 → 6 channels, stride 1"),
        (lambda i, w, n, s: nn.Sequential(*(blocks.BasicBlock(i, i, i) for _ in range(n - 1)), stage()(i, w, 1, s)),
         "basic_stage(4, 6, 3, 2): block 1 has 4 → 4 → 4 channels, stride 1, a shortcut that keeps x; it must have 4 → 6 → 6"),
        (stage(first=lambda i, w, o, **rest: blocks.BasicBlock(i, i, w, **rest)), "basic_stage(4, 6, 3, 2): block 1 has 4 → 4 → 6 channels"),
        (stage(shortcut=lambda i, w, s: "zero-pad" if w >= i else "projection"), "block 1 has 4 → 6 → 6 channels, stride 2, a shortcut padded with zeros"),
        (stage(shortcut=lambda i, w, s: None), "block 1 has 4 → 4 → 4 channels, stride 1, no shortcut"),
        (stage(batch_norm=False), "block 1 has 4 → 4 → 4 channels, stride 1, a shortcut that keeps x, as it must. But its residual.bn1, BatchNorm2d(4"),
        (stage(bias=True), "as it must. But its residual.conv1 is Conv2d(4, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)); it must be Conv2d(4, 4, "
         "kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)"),
        (stage(kernel_size=5), "But its residual.conv1 is Conv2d(4, 4, kernel_size=(5, 5)"),
        (stage(projection_kernel_size=3), "basic_stage(4, 6, 3, 2): block 1 has 4 → 6 → 6 channels, stride 2, a projection, as it must. But its shortcut.0 is"),
        (stage(join=lambda *parts: nn.Sequential(*parts, nn.Conv2d(4, 4, 1))), "has weights beside its blocks: 2.weight. A stage is its blocks"),
        (stage(join=lambda first, *rest: nn.Sequential(nn.BatchNorm2d(first.in_channels), first, *rest)), "has weights beside its blocks: 0.weight"),
        (run_by(lambda parts, x: parts[0](x)), "basic_stage(4, 4, 2, 1)(x), in training mode: block 2 is built and does not run"),
        (stage(following=lambda w: Ours(w, w, w), join=lambda *parts: Calling(lambda parts, x: parts[0](x), parts)), "block 2 is built and does not run"),
        (stage(join=lambda *parts: Calling(lambda own, x: in_order([type(part)(4, 4, 4).to(x) for part in own], x), parts)),
         "(x), in training mode: it builds new blocks at each call, so nothing that they learn is kept. Build them once, in __init__"),
        (run_by(lambda parts, x: in_order([*parts, parts[-1]], x)), "(x), in training mode: block 2 runs 2 times. Each block runs once"),
        (run_by(lambda parts, x: in_order(parts, x) + (x if parts[0](x).shape == x.shape else 0)), "block 1 runs 2 times"),
        (run_by(lambda parts, x: in_order(parts, x) * 2), "its weights have the right shapes, and the shape is right, the values differ by up to"),
        (run_by(lambda parts, x: in_order(parts, x)[:1]), "what basic_stage(4, 4, 2, 1)(x) returned has shape (1, 4, 7, 6); it must be (3, 4, 7, 6)"),
        (run_by(lambda parts, x: in_order(parts, x).float()), "Keep the type"),
        (run_by(lambda parts, x: in_order(parts, x.add_(0.1))), "changed its argument x in place"),
        (run_by(lambda parts, x: in_order(parts, x) if parts.training else x),
         "in eval mode, and in training mode it is right: block 1 is built and does not run"),
        (stage(join=lambda *parts: nn.Sequential(*parts, nn.Dropout(0.5))), "(x), in training mode: its weights have the right shapes, and"),
        (run_by(lambda parts, x: in_order(parts, x).detach()), "the values are right, and no gradient flows back"),
        (run_by(torch.no_grad()(in_order)), "the values are right, and no gradient flows back"),
        (run_by(lambda parts, x: in_order(parts[1:], parts[0](x).detach())), "no gradient reaches parts.0.residual.conv1.weight"),
        (run_by(lambda parts, x: in_order(parts, x.detach())), "the values are right, and no gradient reaches x"),
        (stage(join=lambda *parts: nn.Sequential(*parts).requires_grad_(False)), "0.residual.conv1.weight does not require a gradient, so it cannot learn"),
        (run_by(lambda parts, x: None), "returned nothing (None)"),
    ],
    "lesson_06.ex2": [
        (resnet(keep=list, forward=lambda net, x: net.fc(in_order(net.stages, net.stem(x)).mean((2, 3)))),
         "holds 0 blocks of kind Bottleneck; it must hold 3. 3 more run and are not known to it: modules in a plain list are not seen"),
        (resnet(keep=shared),
         "MyResNet((1, 1, 3), 2, 3) holds 4 blocks of kind Bottleneck; it must hold 5. One block runs 2 times, always with the same weights"),
        (resnet(counts=lambda numbers: numbers[:2]), "MyResNet((1, 1, 3), 2, 3) holds 2 blocks of kind Bottleneck; it must hold 5."),
        (resnet(counts=lambda numbers: numbers[:4]), "MyResNet((1, 1, 1, 1, 1), 2, 3) holds 4 blocks of kind Bottleneck; it must hold 5."),
        (resnet(counts=lambda numbers: (3, 4, 6, 3)), "holds 16 blocks of kind Bottleneck; it must hold 3."),
        (resnet(block=blocks.BasicBlock), "It has blocks of kind BasicBlock; build them with blocks.Bottleneck"),
        (resnet(stride=lambda place, number: 1 if number else 2), "block 1 has 4 → 4 → 16 channels, stride 2, a projection; it must have 4 → 4 → 16 channels, "
         "stride 1, a projection"),
        (resnet(stride=lambda place, number: 1), "block 3 has 16 → 8 → 32 channels, stride 1, a projection; it must have 16 → 8 → 32 channels, stride 2"),
        (resnet(shortcut=lambda number: "projection"), "block 2 has 16 → 4 → 16 channels, stride 1, a projection; it must have 16 → 4 → 16 channels, stride 1, "
         "a shortcut that keeps x"),
        (resnet(middle=lambda width, place: width), "block 3 has 16 → 4 → 16 channels, stride 2, a projection; it must have 16 → 8 → 32"),
        (resnet(middle=lambda width, place: width * (place + 1)), "MyResNet((1, 1, 3), 2, 3): block 3 has 16 → 6 → 24 channels"),
        (resnet(middle=lambda width, place: width * 4**place), "block 3 has 16 → 16 → 64 channels"),
        (resnet(middle=lambda width, place: 64 * 2**place), "block 1 has 4 → 64 → 256 channels"),
        (resnet(middle=lambda width, place: width * 2 ** (place + 1)), "block 1 has 4 → 8 → 32 channels"),
        (resnet(out=2), "block 1 has 4 → 4 → 8 channels"),
        (resnet(stride_first=True), "block 3 has the right channels. But its residual.conv1 is Conv2d(16, 8, kernel_size=(1, 1), stride=(2, 2)"),
        (resnet(groups=2), "block 1 has 4 → 4 → 16 channels, stride 1, a projection, as it must. But its residual.conv2 is"),
        (resnet(bias=True), "as it must. But its residual.conv1 is"),
        (resnet(batch_norm=False), "as it must. But its residual.bn1, BatchNorm2d(4"),
        (resnet(stem=lambda width: stem(width, bias=True)), "its convolution, the stem's 7×7, is Conv2d(3, 4, kernel_size=(7, 7), stride=(2, 2), "
         "padding=(3, 3)); it must be Conv2d(3, 4, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3), bias=False)"),
        (resnet(stem=lambda width: stem(width, kernel_size=3, padding=1)), "its convolution, the stem's 7×7, is Conv2d(3, 4, kernel_size=(3, 3)"),
        (resnet(stem=lambda width: stem(64), start=lambda width: 64), "block 1 has 64 → 4 → 16 channels"),
        (resnet(stem=lambda width: [stem(width)[0], *stem(width)[2:]]), "has 0 layers of kind BatchNorm2d beside its blocks; it must have one batch norm"),
        (resnet(also=lambda net, width: setattr(net, "norm", nn.BatchNorm2d(width))), "has 2 layers of kind BatchNorm2d beside its blocks"),
        (resnet(also=lambda net, width: setattr(net, "more", nn.Conv2d(3, width, 1))), "has 2 layers of kind Conv2d beside its blocks; it must have one"),
        (resnet(also=lambda net, width: setattr(net, "scale", nn.Parameter(torch.ones(1)))), "has weights beside its blocks, its stem and its linear layer"),
        (resnet(fc=lambda channels, classes: nn.Linear(channels, 1000)),
         "its linear layer, the head's, is Linear(in_features=32, out_features=1000, bias=True)"),
        (resnet(fc=lambda channels, classes: nn.Linear(512, classes)), "its linear layer, the head's, is Linear(in_features=512, out_features=7, bias=True)"),
        (resnet(fc=lambda channels, classes: nn.Linear(channels, classes, bias=False)), "its linear layer, the head's, is Linear(in_features=32, "
         "out_features=7, bias=False)"),
        (resnet(fc=lambda channels, classes: nn.Identity(), forward=lambda net, x: net.stages(net.stem(x)).mean((2, 3))),
         "has 0 layers of kind Linear beside its blocks; it must have one linear layer, the head's"),
        (resnet(forward=lambda net, x: net.stages(net.stem(x)).mean((2, 3))), "returned has shape (3, 32); it must be (3, 7)"),
        (resnet(stem=lambda width: stem(width, stride=1)), "the stem's convolution has stride 1. It has stride 2"),
        (resnet(stem=lambda width: stem(width, padding=0)), "the stem's convolution has padding 0. It has padding 3"),
        (resnet(stem=lambda width: stem(width, stride=1, padding=0)), "the stem's convolution has stride 1 and padding 0"),
        (other_stem(lambda layers, width: [layers[0], layers[1], layers[3]]), "the stem's ReLU is missing"),
        (other_stem(lambda layers, width: [layers[0], layers[2], layers[1], layers[3]]), "in the stem the ReLU comes before batch norm"),
        (other_stem(lambda layers, width: layers[:3]), "the stem's max pooling is missing"),
        (other_stem(lambda layers, width: [*layers[:3], nn.AvgPool2d(3, 2, 1)]), "the stem takes means of 3×3 places"),
        (other_stem(lambda layers, width: [*layers[:3], nn.MaxPool2d(3, 2)]), "the stem's max pooling has no padding"),
        (other_stem(lambda layers, width: [*layers[:3], nn.MaxPool2d(2)]), "the stem's max pooling looks at 2×2 places"),
        (other_stem(lambda layers, width: [*layers[:3], nn.MaxPool2d(3, padding=1)]), "the stem's max pooling has stride 3, as it has where none is given"),
        (other_stem(lambda layers, width: [layers[0], nn.BatchNorm2d(width, eps=0.1), *layers[2:]]), "its batch norm, the stem's, is BatchNorm2d(4, eps=0.1"),
        (other_stem(lambda layers, width: [layers[0], nn.BatchNorm2d(width, momentum=0.9), *layers[2:]]), "in eval mode, and in training mode it is right: "
         "its batch norm, the stem's, is BatchNorm2d(4, eps=1e-05, momentum=0.9"),
        (other_head(lambda maps: maps.amax((2, 3))), "the head takes each map's largest value. It takes the mean"),
        (other_head(lambda maps: maps.sum((2, 3))), "the head takes each map's sum. It takes the mean"),
        (other_head(end=lambda scores: scores.softmax(1)), "a softmax comes after the last layer"),
        (other_head(end=lambda scores: scores.relu()), "a ReLU comes after the last layer"),
        (other_head(end=lambda scores: scores + 1), "in training mode: its weights have the right shapes, and the shape is right, the values differ by up to"),
        (other_head(lambda maps: F.dropout(maps.mean((2, 3)), 0.5)), "in training mode: its weights have the right shapes, and"),
        (resnet(forward=lambda net, x: net.fc(in_order([net.stages[0], *net.stages[2:]], net.stem(x)).mean((2, 3)))), "block 2 is built and does not run"),
        (resnet(forward=lambda net, x: net.fc(in_order([*net.stages[:2], *net.stages[1:]], net.stem(x)).mean((2, 3)))), "block 2 runs 2 times"),
        (resnet(forward=lambda net, x: net.fc(net.stages(net.stem(x)).mean((2, 3)).detach())), "no gradient reaches stem.0.weight"),
        (resnet(forward=lambda net, x: net.fc(net.stages(net.stem(x).detach()).mean((2, 3)))), "no gradient reaches stem.0.weight"),
        (resnet(forward=torch.no_grad()(lambda net, x: net.fc(net.stages(net.stem(x)).mean((2, 3))))), "the values are right, and no gradient flows back"),
        (resnet(also=lambda net, width: net.stem.requires_grad_(False)), "stem.0.weight does not require a gradient, so it cannot learn"),
        (resnet(middle=lambda width, place: min(width, 32) * 2**place), "has 6,927,528 parameters, and ResNet-50 has 25,557,032; the smaller networks"),
        (lambda numbers, width, classes: lambda x: x, "gave a function; it must give a module"),
        (lambda numbers, width, classes: nn.ModuleList(), "gave a ModuleList, which cannot be called with images: it has no forward"),
    ],
    "lesson_06.ex3": [
        (refused(give=lambda missing, unknown, other_shape: missing), "gave []; it must give three lists: return missing, unknown, other_shape"),
        (refused(give=lambda missing, unknown, other_shape: (missing, unknown)), "it must give three lists"),
        (refused(give=lambda *lists: dict(zip(("missing", "unknown", "other_shape"), lists))), "it must give three lists"),
        (refused(give=lambda *lists: sum(lists, [])), "it must give three lists"),
        (refused(give=lambda *lists: [len(names) for names in lists]), "gave 0 for missing; it must be a list of names"),
        (refused(give=lambda *lists: [", ".join(names) for names in lists]), "gave '' for missing; it must be a list of names"),
        (refused(give=lambda missing, unknown, other_shape: (unknown, missing, other_shape)), "for a file of 9 names: missing and unknown are exchanged. "
         "Return missing, unknown, other_shape, in this order"),
        (refused(give=lambda missing, unknown, other_shape: (missing, other_shape, unknown)), "unknown and other_shape are exchanged"),
        (refused(give=lambda missing, unknown, other_shape: (other_shape, missing, unknown)), "all three lists are exchanged"),
        (refused(names=lambda network: dict(network.named_parameters())), "'1.running_mean' is in unknown. A name is unknown that the file has and the network "
         "has not. The network has it, with shape (3,); the file has it, with shape (3,). It is a buffer: network.state_dict() holds buffers"),
        (refused(missing=lambda ours, weights: []),
         "'0.bias' is not in missing. A name is missing that the network has and the file has not. The network has it, with shape (3,); "
         "the file has no such name."),
        (refused(missing=lambda ours, weights: [n for n in ours if n not in weights and "running" not in n]), "'1.running_mean' is not in missing"),
        (refused(missing=lambda ours, weights: list(ours.keys() ^ weights.keys())),
         "'optimizer' is in missing. A name is missing that the network has and the file "
         "has not. The network has no such name; the file has it, with shape ()."),
        (refused(missing=lambda ours, weights: [n for n in ours if n not in weights or weights[n].shape != ours[n].shape]), "'2.weight' is in missing"),
        (refused(unknown=lambda ours, weights: []), "'optimizer' is not in unknown. A name is unknown that the file has and the network has not"),
        (refused(unknown=lambda ours, weights: [n for n in weights if n.removeprefix("module.") not in ours]), "'module.0.weight' is not in unknown"),
        (refused(other_shape=lambda ours, weights: []),
         "'2.weight' is not in other_shape. A name belongs there that both have, with tensors of different shapes. "
         "The network has it, with shape (4, 3); the file has it, with shape (3, 4)."),
        (refused(other_shape=lambda ours, weights: [n for n in ours if n not in weights or weights[n].shape != ours[n].shape]), "'0.bias' is in other_shape"),
        (refused(other_shape=both(lambda a, b: a.numel() != b.numel())), "'2.weight' is not in other_shape"),
        (refused(other_shape=both(lambda a, b: a.dim() != b.dim())), "'2.weight' is not in other_shape"),
        (refused(other_shape=both(lambda a, b: len(a.shape) != len(b.shape) or len(a.shape) > 0 and a.shape[0] != b.shape[0])),
         "'0.weight' is not in other_shape"),
        (refused(other_shape=both(lambda a, b: not torch.equal(a, b))),
         "'0.weight' is in other_shape. A name belongs there that both have, with tensors of different "
         "shapes. The network has it, with shape (3, 2, 3, 3); the file has it, with shape (3, 2, 3, 3)."),
        (refused(other_shape=both(lambda a, b: a.shape != b.shape or a.dtype != b.dtype)), "'0.weight' is in other_shape"),
        (refused(other_shape=both(lambda a, b: a.shape == b.shape)), "'0.weight' is in other_shape"),
        (refused(give=lambda missing, unknown, other_shape: (missing, unknown, [(name, "shape") for name in other_shape])),
         "other_shape holds ('2.weight', 'shape'); it must hold names only"),
        (refused(give=lambda missing, unknown, other_shape: (missing * 2, unknown, other_shape)), "a name stands more than once in missing"),
        (refused(give=lambda missing, unknown, other_shape: (missing, unknown, unknown + other_shape)), "'optimizer' is in other_shape"),
        (loads_into_a_copy,
         "'1.num_batches_tracked' is not in missing. A name is missing that the network has and the file has not. The network has it, "
         "with shape (); the file has no such name. It is a buffer: network.state_dict() holds buffers as well as parameters. "
         "load_state_dict does not always report it"),
        (loads, "changed the network. Compare names and shapes without loading anything"),
        (lambda network, weights: lesson_06.why_not(network.eval(), weights), "left the network in eval mode"),
        (takes_out, "changed the weights that it was given. Look, and leave them as they are"),
        (lambda network, weights: (lesson_06.why_not(network, weights), [value.zero_() for value in weights.values()])[0], "changed the weights"),
    ],
}

each_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


def test_every_exercise_is_tried_with_wrong_answers():
    assert EXERCISES.keys() == WRONG.keys()
    assert all(len(answers) >= 3 for answers in WRONG.values())


@each_exercise
def test_the_solution_is_right(exercise):
    assert exercise.check(exercise.model).outcome == "right"


@pytest.mark.parametrize("exercise, answer, words", [
    (lesson_04.ex1, lambda x, g, b, eps: F.batch_norm(x, None, None, g, b, True, 0.1, eps), "come from PyTorch's"),
    (lesson_04.ex4, torch.nn.GroupNorm, "come from PyTorch's"),
    (lesson_04.ex2, lambda dy, x, g, eps: (), "right so far: nothing yet"),
    (lesson_04.ex2, lambda dy, x, g, eps: (dy * g,), "right so far: dx_hat. You returned 1 of six pieces; the next is dvar"),
    (lesson_04.ex2, lambda dy, x, g, eps: (dy * g, ...), "right so far: dx_hat. dvar, ∂ℓ/∂σ², is still ..."),
])
def test_what_is_right_as_far_as_it_goes_is_not_called_wrong(exercise, answer, words):
    verdict = exercise.check(answer)
    assert verdict.outcome == "not finished"
    assert words in verdict.text and "◐ not finished" in repr(verdict)


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
    first = "def __init__(self, " if inspect.isclass(exercise.model) else f"def {exercise.name}("
    assert first in exercise.check(lambda: 1).text


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
    namespace = {"torch": torch, "nn": nn, "F": F, "copy": copy, "fold": fold, "blocks": blocks}      # as the lessons import them
    exec(repr(exercise.solution()), namespace)
    assert exercise.check(namespace[exercise.name]).outcome == "right"


def test_the_backward_pass_that_is_taught_is_autograds():
    """With μ and σ² as variables of their own where the equations hold them fixed; float64, to 1e-12."""
    generator = torch.Generator().manual_seed(11)
    x, dy = torch.randn(2, 7, 3, generator=generator, dtype=torch.float64)
    gamma, beta = torch.rand(2, 3, generator=generator, dtype=torch.float64) + 0.5
    for leaf in (x, gamma, beta):
        leaf.requires_grad_()
    mu = x.mean(0)
    var = (x - mu).square().mean(0)
    x_hat = (x - mu) / (var + 0.1).sqrt()
    y = gamma * x_hat + beta
    right = torch.autograd.grad(y, (x_hat, var, mu, x, gamma, beta), dy)
    torch.testing.assert_close(lesson_04.bn_backward(dy, x, gamma, 0.1), right, rtol=1e-12, atol=1e-12)


def test_the_second_term_of_the_means_gradient_may_be_left_out_since_it_is_0():
    answer = backward_but("dmu", lambda n: -(n.dx_hat / n.s).sum(0))
    verdict = lesson_04.ex2.check(answer)
    assert verdict.outcome == "right" and "no number can show" in verdict.text


@pytest.mark.parametrize("exercise", [lesson_01.ex1, lesson_01.ex2, lesson_02.ex3, lesson_03.ex1])
def test_a_tensor_of_one_number_is_a_number(exercise):
    assert exercise.check(lambda *args: torch.tensor(exercise.model(*args))).outcome == "right"


def test_an_array_of_one_number_is_a_number():
    assert lesson_02.ex3.check(lambda slopes: np.array(lesson_02.slope_through(slopes))).outcome == "right"
    assert "must give one number" in lesson_02.ex3.check(lambda slopes: np.ones(2)).text


def test_a_suspects_letter_cannot_be_read_off_and_is_named_where_the_answer_raises():
    shown = set()

    def peek(norm):
        shown.add((repr(norm), type(norm).__name__))
        return lesson_04.find_bug(norm)

    assert lesson_04.ex3.check(peek).outcome == "right" and shown == {("Norm()", "Norm")}
    assert "find_bug(suspect A) stopped with ZeroDivisionError" in lesson_04.ex3.check(lambda norm: 1 / 0).text


def test_pieces_summed_with_keepdim_are_right():
    answer = backward_but("dvar", lambda n: n.dvar[None])
    assert lesson_04.ex2.check(answer).outcome == "right"


def test_a_backward_pass_left_as_it_was_is_not_answered_yet():
    assert lesson_04.ex2.check(lambda dy, x, gamma, eps: (...,) * 6).outcome == "not answered yet"


def test_the_other_solutions_are_pytorchs():
    """Float64, to 1e-12."""
    generator = torch.Generator().manual_seed(12)
    x = torch.randn(3, 4, 5, 3, generator=generator, dtype=torch.float64)
    gamma, beta, mean, var = torch.rand(4, 4, generator=generator, dtype=torch.float64) + 0.5
    weight, bias = torch.randn(4, 4, 3, 3, generator=generator, dtype=torch.float64), beta - mean
    torch.testing.assert_close(lesson_04.batch_norm_images(x, gamma, beta, 0.2),
                               F.batch_norm(x, None, None, gamma, beta, True, eps=0.2), rtol=1e-12, atol=1e-12)
    kept = mean.clone(), var.clone()
    F.batch_norm(x, *kept, training=True, momentum=0.3)
    torch.testing.assert_close(lesson_05.update(mean, var, x, 0.3), kept, rtol=1e-12, atol=1e-12)
    for b in (bias, None):
        torch.testing.assert_close(F.conv2d(x, *lesson_05.fold_into(weight, b, gamma, beta, mean, var, 0.2)),
                                   F.batch_norm(F.conv2d(x, weight, b), mean, var, gamma, beta, eps=0.2),
                                   rtol=1e-12, atol=1e-12)


def suspect(cls, training=True, grad=True):
    """Output, gradient at x, running mean and variance, and whether they hold a graph, after one batch."""
    generator = torch.Generator().manual_seed(13)
    x = torch.randn(6, 3, generator=generator).add(0.5).requires_grad_()
    norm = cls(3).train(training)
    with torch.no_grad():
        for values in norm.state_dict().values():
            values.copy_(torch.rand(3, generator=generator) + 0.5)
    with torch.set_grad_enabled(grad):
        y = norm(x)
    gradient = torch.autograd.grad(y.square().sum(), x)[0] if grad else torch.zeros(())
    return {"output": y.detach(), "gradient": gradient,
            "mean": norm.running_mean.detach(), "var": norm.running_var.detach(),
            "graph": torch.tensor(norm.running_mean.requires_grad or norm.running_var.requires_grad)}


class PyTorchs(torch.nn.BatchNorm1d):
    """nn.BatchNorm1d, its state in our order."""

    def state_dict(self):
        return dict(gamma=self.weight, beta=self.bias, running_mean=self.running_mean, running_var=self.running_var)


@pytest.mark.parametrize("cls, differs", [
    (suspects.A, {"graph"}), (suspects.B, set()), (suspects.C, {"var", "train, no_grad: var"}),
    (suspects.E, {"gradient"}),
    (suspects.D, {"eval: output", "eval: gradient", "eval: mean", "eval: var",
                  "train, no_grad: output", "train, no_grad: mean", "train, no_grad: var"})],
    ids=lambda v: getattr(v, "__name__", ""))
def test_each_suspect_differs_from_pytorch_in_its_own_bug_and_in_nothing_else(cls, differs):
    """Float32, to 1e-5."""
    found = set()
    for way, setting in {"": {}, "eval: ": {"training": False}, "train, no_grad: ": {"grad": False}}.items():
        got, right = suspect(cls, **setting), suspect(PyTorchs, **setting)
        found |= {way + what for what in right if not torch.allclose(got[what], right[what], rtol=1e-5, atol=1e-5)}
    assert found == differs


def test_suspects_are_short_and_their_source_does_not_tell():
    sources = [inspect.getsource(cls) for cls in lesson_04._SUSPECTS]
    assert len(sources) == 5 and all(len(source.splitlines()) <= 15 for source in sources)
    assert not any(word in source for source in sources for word in ("bug", "wrong", "right", "#"))


def test_grad_mode_is_restored_when_an_answer_turns_it_off():
    def answer(norm):
        bug = lesson_04.find_bug(norm)
        torch.set_grad_enabled(False)
        return bug
    assert lesson_04.ex3.check(answer).outcome == "right" and torch.is_grad_enabled()


def test_a_slip_is_looked_for_alone_before_in_pairs():
    """2 · 6 with a slip at one place and with slips at two give 12 alike: the single slip is named."""
    from resnote.exercises.compare import slip
    numbers = [torch.tensor(float(n)) for n in range(13)]
    assert slip(numbers[12], lambda a, b: a * b, ((numbers[2], None), (numbers[3], "a"), (numbers[4], "c")),
                ((numbers[3], None), (numbers[4], "b"), (numbers[6], "d"))) in ("c", "d")
    assert slip(numbers[12], lambda a, b: a * b, ((numbers[2], None), (numbers[3], "a")),
                ((numbers[3], None), (numbers[4], "b"))) == "a"
    assert slip(numbers[11], lambda a: a, ((numbers[2], None), (numbers[3], "a"))) is None


@pytest.mark.parametrize("guesses", [lesson.guesses for lesson in LESSONS], ids=[lesson.__name__ for lesson in LESSONS])
def test_a_lesson_has_three_to_five_guesses_and_every_choice_its_own_answer(guesses):
    predictions = [value for value in vars(guesses).values() if isinstance(value, Prediction)]
    assert 3 <= len(predictions) <= 5
    for guess in predictions:
        assert len(guess.choices) >= 3 and all(text.endswith((".", "?")) for text in guess.choices.values())


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


class LeftOpen(torch.nn.Module):
    def __init__(self, groups, channels, eps=1e-5):
        super().__init__()
        ...

    def forward(self, x):
        return ...


class Breaks(lesson_04.MyGroupNorm):
    def forward(self, x):
        return x[0] / self.groups[0]  # inside


def test_a_class_is_told_what_a_function_is_told():
    exercise = lesson_04.ex4
    assert exercise.check(LeftOpen).outcome == "not answered yet"
    verdict = exercise.check(Breaks)
    assert verdict.outcome == "raised" and verdict.text.startswith("MyGroupNorm(2, 6, 0.3)(x) stopped with TypeError")
    assert "return x[0] / self.groups[0]  # inside" in verdict.text
    verdict = exercise.check(lesson_04.MyGroupNorm(2, 6))
    assert verdict.outcome == "wrong" and "check needs your class itself" in verdict.text


def test_what_a_class_inherits_is_no_line_of_its_cell():
    class Empty(nn.Module):
        pass

    verdict = lesson_03.ex4.check(Empty)
    assert verdict.outcome == "raised" and "TypeError" in verdict.text and "It happened" not in verdict.text


class NetLeftOpen(nn.Module):
    def __init__(self, numbers, width, classes):
        super().__init__()

    def forward(self, x):
        return ...


@pytest.mark.parametrize("exercise, answer", [
    (lesson_06.ex1, run_by(lambda parts, x: ...)), (lesson_06.ex1, run_by(lambda parts, x: parts[0](x) + ...)),
    (lesson_06.ex2, NetLeftOpen), (lesson_06.ex2, resnet(forward=lambda net, x: ...)), (lesson_06.ex2, resnet(keep=lambda parts: ..., fc=lambda *sizes: ...)),
], ids=lambda value: getattr(value, "label", "open"))
def test_a_module_of_blocks_left_open_is_not_answered_yet(exercise, answer):
    assert exercise.check(answer).outcome == "not answered yet"


@pytest.mark.parametrize("exercise, answer, words", [
    (lesson_06.ex1, run_by(lambda parts, x: exit()), "basic_stage(4, 4, 2, 1)(x) for x of shape (3, 4, 7, 6) stopped with SystemExit"),
    (lesson_06.ex1, stage(shortcut=lambda i, w, s: "identity"), "basic_stage(4, 6, 3, 2) stopped with SettingError"),
    (lesson_06.ex1, stage(shortcut=lambda i, w, s: "projection" if s != 1 else "identity"), "basic_stage(5, 3, 1, 1) stopped with SettingError"),
    (lesson_06.ex1, stage(shortcut=lambda i, w, s: "projection" if i > w or s != 1 else "identity"), "basic_stage(3, 5, 2, 1) stopped with SettingError"),
    (lesson_06.ex2, other_head(lambda maps: F.avg_pool2d(maps, 7).flatten(1)),
     "MyResNet((2, 1), 4, 7)(x) for x of shape (3, 3, 40, 33) stopped with RuntimeError"),
    (lesson_06.ex2, other_head(lambda maps: maps.flatten(1)), "stopped with RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
    (lesson_06.ex3, refused(other_shape=lambda ours, weights: (n for n in ours if weights[n].shape != ours[n].shape)),
     "where other_shape is read, stopped with KeyError: '0.bias'"),
], ids=lambda value: getattr(value, "label", ""))
def test_what_stops_in_a_whole_network_is_told_where(exercise, answer, words):
    verdict = exercise.check(answer)
    assert verdict.outcome == "raised" and words in verdict.text


def test_a_message_cannot_break_the_page():
    def check(ask):
        raise Wrong("<script>")
    exercise = Exercise("ex", check, hints=("h",), solution=lesson_03.pointwise)
    assert "&lt;script&gt;" in exercise.check(print)._repr_html_()


def test_a_prediction_answers_each_choice_and_keeps_the_answer_folded_on_a_still_page():
    guess = Prediction("2 + 2?", {"3": "One short.", "4": "Yes <b>."}, answer="4")
    _, radio, reply, _ = guess.widget().children
    assert "No guess yet" in reply.value
    radio.value = "3"
    assert "One short." in reply.value and "Guess again" in reply.value
    radio.value = "4"
    assert "Yes &lt;b&gt;." in reply.value and "again" not in reply.value
    still = guess._repr_mimebundle_()["text/html"]
    assert "<details>" in still and still.index("2 + 2?") < still.index("<details>") < still.index("Yes &lt;b&gt;.")


def test_the_guesses_about_44_layers_are_answered_as_the_recorded_study_answers_them():
    errors = {key: study.load().errors(*key) for key in (("plain", 8), ("plain", 44), ("residual", 44))}
    assert max(errors["plain", 8]) < 0.01 and min(errors["plain", 44]) > 0.3 and max(errors["residual", 44]) < 0.01
    assert lesson_01.guesses.deeper.answer == "the shallow one"
    assert lesson_02.guesses.repaired.answer == "near 0"


def test_a_prediction_refuses_an_answer_that_is_no_choice():
    with pytest.raises(ValueError, match="'5' is not among the choices"):
        Prediction("2 + 2?", {"3": "", "4": ""}, answer="5")


@pytest.mark.thorough
def test_no_two_slips_of_one_search_look_alike(monkeypatch):
    """On the arguments of the first failing check, each slip with its own words gives values of its own."""
    from resnote.exercises import backward_slips
    from resnote.exercises.compare import near, slip
    alike, searches = [], 0

    def watched(got, formula, *choices):
        nonlocal searches
        searches += 1
        right = [choice[0][0] for choice in choices]
        seen = [(formula(*right[:place], value, *right[place + 1:]), words)
                for place, choice in enumerate(choices) for value, words in choice[1:]]
        seen = [(value, words) for value, words in seen if not near(value, formula(*right))]    # without a bias, say, no slip there
        alike.extend((a, b) for number, (one, a) in enumerate(seen) for other, b in seen[:number]
                     if a != b and near(one, other))
        return slip(got, formula, *choices)

    for module in lesson_02, lesson_04, lesson_05, backward_slips, folding_slips, group_norm, stochastic_depth, whole_network:
        monkeypatch.setattr(module, "slip", watched)
    for name in ("lesson_02.ex1", "lesson_02.ex4", "lesson_04.ex1", "lesson_04.ex4", "lesson_05.ex1", "lesson_05.ex2", "lesson_05.ex3", "lesson_05.ex4",
                 "lesson_06.ex2"):
        for answer, _ in WRONG[name]:
            EXERCISES[name].check(answer)
    for name in PIECES:
        lesson_04.ex2.check(backward_but(name, lambda n: getattr(n, name) * 1.1))
    assert searches > 50 and not set(alike)
