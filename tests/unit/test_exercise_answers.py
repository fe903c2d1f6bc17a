"""Unusual right answers are accepted, odd ones are told what is wrong, and a check leaves nothing behind."""

import copy
import functools
import itertools
import math
import operator
import random
from collections import Counter, OrderedDict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.checkpoint import checkpoint

from resnote import blocks
from resnote.exercises import lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06
from resnote.exercises.every import EXERCISES
from resnote.folding import fold_network

each_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


class He:
    def __call__(self, kernel_size, in_channels):
        return math.sqrt(2 / math.prod([kernel_size, kernel_size, in_channels]))


def dead_by_loops(outputs):
    dead = 0
    for unit in outputs.T.tolist():
        if not any(unit):
            dead += 1
    return dead / outputs.shape[1]


def diagnosed_by_match(shallow_train, deep_train, deep_test):
    match (deep_train - shallow_train > 0.05, deep_test - deep_train > 0.05):
        case (True, _):
            return "degradation"
        case (_, True):
            return "overfitting"
    return "neither"


def probed_by_backward(network, images, labels):
    network.zero_grad()
    nn.CrossEntropyLoss()(network(images), labels).backward()
    norms = [m.weight.grad.norm() for m in network.modules() if type(m) is nn.Conv2d]
    return norms[0] / norms[-1]


def probed_by_names(network, images, labels):
    names = [name for name, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    for p in network.parameters():
        p.grad = None
    F.nll_loss(F.log_softmax(network(images), 1), labels).backward()
    ends = [network.get_parameter(f"{name}.weight").grad.pow(2).sum() for name in (names[0], names[-1])]
    return math.sqrt(ends[0].item() / ends[1].item())


def probed_by_functional_call(network, images, labels):
    weights = {f"{name}.weight": m.weight for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}

    def loss(weights):
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        return F.cross_entropy(torch.func.functional_call(network, weights | buffers, (images,)), labels)

    norms = [g.norm().item() for g in torch.func.grad(loss)({k: w.detach() for k, w in weights.items()}).values()]
    return norms[0] / norms[-1]


def probed_on_a_copy(network, images, labels):
    network = copy.deepcopy(network)
    network.zero_grad()
    F.cross_entropy(network(images), labels, reduction="sum").backward()    # a quotient does not mind
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    return (torch.linalg.vector_norm(convs[0].weight.grad) / torch.linalg.vector_norm(convs[-1].weight.grad)).item()


def probed_by_hooks(network, images, labels):
    found = {}
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    handles = [conv.weight.register_hook(lambda g, i=i: found.__setitem__(i, g.norm())) for i, conv in enumerate(convs)]
    network.zero_grad()
    F.cross_entropy(network(images), labels).backward()
    for handle in handles:
        handle.remove()
    return np.float64(found[0] / found[len(convs) - 1])


class DepthByBernoulli(nn.Module):
    def __init__(self, f, keep):
        super().__init__()
        self.residual = f
        self.register_buffer("p", torch.tensor(keep, dtype=torch.float64))

    def forward(self, x):
        share = torch.bernoulli(self.p) if self.training else self.p
        return share * self.residual(x) + x


class DepthByPython(nn.Module):
    def __init__(self, f, keep):
        nn.Module.__init__(self)
        self.f, self.keep = f, keep

    def forward(self, x):
        if self.training and random.random() >= self.keep:
            return x
        return torch.add(x, self.f(x), alpha=1 if self.training else self.keep)


class DepthByNumPy(nn.Module):
    def __init__(self, f, keep):
        super().__init__()
        self.layers, self.keep = nn.ModuleList([f]), keep

    def forward(self, x):
        out = x.clone()
        used = np.random.binomial(1, self.keep) if self.training else self.keep
        if used > 0:
            out += used * self.layers[0](x)
        return out


class DepthByDropout(nn.Module):
    def __init__(self, f, keep):
        super().__init__()
        self.f, self.keep, self.drop = f, keep, nn.Dropout(1 - keep)

    def forward(self, x):
        drawn = self.drop(x.new_ones(1)) > 0
        return x + (drawn.to(x) if self.training else self.keep) * self.f(x)


def depth_by_hook(f, keep):
    def choose(module, args, fx):
        return args[0] + (fx * keep if not module.training else fx if torch.rand(1).item() < keep else fx * 0)
    whole = nn.Sequential(f)
    whole.register_forward_hook(choose)
    return whole


class Residual(nn.Module):
    def forward(self, f, x):
        out = f(x)
        if not out.size() == x.size():
            raise ValueError
        out += x
        return F.relu(out, inplace=True)


class GroupedByLoops(nn.Module):
    def __init__(self, groups, channels, eps=1e-5):
        super().__init__()
        self.size, self.eps = channels // groups, eps
        self.bias, self.weight = nn.Parameter(torch.zeros(1, channels, 1, 1)), nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x):
        images = []
        for image in x:
            parts = [(part - part.mean()) * (part.var(correction=0) + self.eps).rsqrt() for part in image.split(self.size)]
            images.append(torch.cat(parts))
        return torch.stack(images) * self.weight + self.bias


class GroupedByRows(nn.Module):
    def __init__(self, groups, channels, eps):
        super().__init__()
        self.learned = nn.ParameterDict({"scale": torch.ones(channels), "shift": torch.zeros(channels)})
        self.rows = lambda x: x.reshape(len(x) * groups, -1)
        self.eps = eps

    def forward(self, x):
        rows = self.rows(x)
        var, mu = torch.var_mean(rows, 1, correction=0, keepdim=True)
        y = ((rows - mu) / torch.sqrt(var + self.eps)).view_as(x)
        return torch.einsum("nchw,c->nchw", y, self.learned["scale"]) + self.learned["shift"][:, None, None]


class Shifts(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.b = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x):
        return x + self.b


class GroupedInParts(nn.Module):
    """γ in the module, β in a part of it, and a buffer that nothing asks for."""
    def __init__(self, groups: int, channels: int, eps: float = 1e-5, **unused):
        super().__init__()
        self.g, self.eps, self.shift = groups, eps, Shifts(channels)
        self.gamma = nn.Parameter(torch.ones(channels, 1, 1))
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        n, c, h, w = x.shape
        grouped = x.view(n, self.g, c // self.g * h * w)
        centred = grouped - grouped.sum(-1, keepdim=True) / grouped.shape[-1]
        scale = (centred.pow(2).mean(-1, keepdim=True) + self.eps) ** 0.5
        return self.shift(self.gamma * (centred / scale).view(n, c, h, w))


class Unequal(ValueError):
    pass


def residual_with_its_own_error(f, x):
    fx = f(x)
    if list(fx.shape) != list(x.shape):
        raise Unequal
    return torch.maximum(fx + x, torch.zeros_like(x))


def residual_by_where(f, x):
    total = f(x)
    if total.ndim != x.ndim or any(a != b for a, b in zip(total.shape, x.shape)):
        raise ValueError("no")
    total = torch.add(total, x)
    return torch.where(total > 0, total, 0 * total)


def padded_in_a_buffer(x, out_channels, stride):
    kept = x[..., ::stride, ::stride]
    out = torch.zeros(x.shape[0], out_channels, *kept.shape[2:])
    out[:, :x.shape[1]] = kept
    return out


def padded_by_convolution(x, out_channels, stride):
    return F.conv2d(x, torch.eye(out_channels, x.shape[1])[:, :, None, None], stride=stride)


def padded_by_index(x, out_channels, stride):
    rows, columns = (torch.arange(0, n, stride) for n in x.shape[2:])
    kept = x.index_select(2, rows).index_select(3, columns)
    return torch.cat((kept, *(torch.zeros_like(kept[:, :1]) for _ in range(out_channels - x.shape[1]))), 1)


def slope_by_autograd(slopes):
    x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    y = x
    for slope in slopes:
        y = slope * y + y
    return torch.autograd.grad(y, x)[0]


def slope_by_recursion(slopes):
    return (1 + slopes[0]) * slope_by_recursion(slopes[1:]) if slopes else 1


def pixel_by_pixel(x, weight):
    n, _, h, w = x.shape
    out = x.new_zeros(n, len(weight), h, w)
    for i, j in itertools.product(range(h), range(w)):
        out[:, :, i, j] = x[:, :, i, j] @ weight.T
    return out


def widest_by_the_formula(channels, budget):
    return int((math.isqrt(channels * channels + 9 * budget) - channels) // 9)


def widest_by_bisection(channels, budget):
    low, high = 0, budget + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if 2 * channels * middle + 9 * middle**2 <= budget else (low, middle)
    return low


def normalised_by_loops(x, gamma, beta, eps):
    channels = []
    for c in range(x.shape[1]):
        values = x[:, c]
        mean = values.sum() / values.numel()
        spread = ((values - mean) ** 2).sum() / values.numel()
        channels.append(gamma[c] * (values - mean) * (spread + eps) ** -0.5 + beta[c])
    return torch.stack(channels, 1)


def normalised_as_a_table(x, gamma, beta, eps):
    table = x.movedim(1, -1)
    rows = table.reshape(-1, x.shape[1])
    rows = (rows - rows.mean(0)) * torch.rsqrt(rows.var(0, unbiased=False) + eps) * gamma + beta
    return rows.view(table.shape).movedim(-1, 1)


def normalised_in_place(x, gamma, beta, eps):
    out = x.clone()
    out -= out.mean((0, 2, 3), keepdim=True)
    out = out / (out.pow(2).mean((0, 2, 3), keepdim=True) + eps).sqrt()
    out *= gamma[:, None, None]
    out += beta[:, None, None]
    return out


def normalised_by_var_mean(x, gamma, beta, eps):
    var, mean = torch.var_mean(x, (0, 2, 3), keepdim=True, correction=0)
    scale = gamma[None, :, None, None] / (var + eps).sqrt()
    return x * scale + (beta[None, :, None, None] - mean * scale)


def normalised_by_einsum(x, gamma, beta, eps):
    m = x.numel() // x.shape[1]
    mean = torch.einsum("nchw->c", x) / m
    centred = x - mean.reshape(-1, 1, 1)
    std = (torch.einsum("nchw,nchw->c", centred, centred) / m + eps).sqrt()
    return torch.einsum("nchw,c->nchw", centred, gamma / std) + beta.reshape(-1, 1, 1)


def backward_by_autograd(dy, x, gamma, eps):
    leaf, scale, shift = x.clone().requires_grad_(), gamma.clone().requires_grad_(), torch.zeros_like(gamma, requires_grad=True)
    mean = leaf.mean(0, keepdim=True)
    var = ((leaf - mean) ** 2).mean(0, keepdim=True)
    x_hat = (leaf - mean) * (var + eps) ** -0.5
    y = scale * x_hat + shift
    dx, dgamma, dbeta = torch.autograd.grad(y, (leaf, scale, shift), dy, retain_graph=True)
    dx_hat = torch.autograd.grad(y, x_hat, dy)[0].detach()
    dvar = (dx_hat * (x - mean)).sum(0) * -0.5 * (var.detach()[0] + eps) ** -1.5
    return dx_hat, dvar.detach(), -(dx_hat / (var.detach() + eps).sqrt()).sum(0), dx, dgamma, dbeta


def backward_closed(dy, x, gamma, eps):
    m, s = x.shape[0], (x.var(0, correction=0) + eps).sqrt()
    x_hat = (x - x.mean(0)) / s
    dbeta, dgamma, dx_hat = dy.sum(0), (dy * x_hat).sum(0), dy * gamma
    return [dx_hat, -(dx_hat * x_hat).sum(0) / (2 * s * s), -dx_hat.sum(0) / s,
            gamma / (m * s) * (m * dy - dbeta - x_hat * dgamma), dgamma, dbeta]


def backward_with(change):
    return lambda dy, x, gamma, eps: change(lesson_04.bn_backward(dy, x, gamma, eps))


def watched(norm):
    """Every question asked of a norm of its own kind, the averages worked out by hand."""
    make = type(norm)
    x = 2 * torch.randn(3, len(norm.gamma)) + 1
    fresh = make(len(norm.gamma))
    fresh.eval()
    if not torch.allclose(fresh(x), x, atol=1e-3):
        return "mode"
    fresh = make(len(norm.gamma))
    fresh(x.clone().requires_grad_())
    if fresh.running_mean.grad_fn is not None:
        return "graph"
    if ((fresh.running_var.detach() - 0.9) / 0.1 - x.var(0)).abs().max() > 0.01:
        return "biased"
    leaf = x.clone().requires_grad_()
    norm(leaf).sum().backward()
    return "right" if leaf.grad.abs().max() < 1e-3 else "no gradient"


def suspects_by_no_grad(norm):
    """Tells the mode's bug by an output without gradients, and the statistics' by the size of two gradients."""
    x = torch.randn(5, len(norm.gamma)) + 3
    with torch.no_grad():
        y = norm(x)
    if y.mean().abs() > 0.1:
        return "mode"
    var = norm.running_var
    if torch.allclose(var, 0.9 + 0.1 * x.var(0, correction=0), atol=1e-6):
        return "biased"
    x.requires_grad_()
    y = norm(x)
    if norm.running_var.requires_grad:
        return "graph"
    y.sum().backward()
    return "no gradient" if x.grad.norm() > 1e-2 else "right"


class Detective(nn.Module):
    def forward(self, norm):
        return np.str_(lesson_04.find_bug(norm))


def update_by_pytorch(running_mean, running_var, x, momentum):
    F.batch_norm(x, running_mean, running_var, training=True, momentum=momentum)
    return running_mean, running_var


def update_in_place(running_mean, running_var, x, momentum):
    var, mean = torch.var_mean(x, (0, 2, 3))
    return running_mean.mul_(1 - momentum).add_(momentum * mean), running_var.lerp_(var, momentum)


@torch.no_grad()
def update_channel_by_channel(running_mean, running_var, x, momentum):
    means, variances = [], []
    for c, (mean, var) in enumerate(zip(running_mean, running_var)):
        values = x[:, c].flatten()
        centre = values.sum() / len(values)
        means.append(mean + momentum * (centre - mean))
        variances.append(var + momentum * ((values - centre).square().sum() / (len(values) - 1) - var))
    return [torch.stack(means), torch.stack(variances)]


def update_by_bessel(running_mean, running_var, x, momentum):
    m = x[:, 0].numel()
    mean = x.transpose(0, 1).flatten(1).mean(1)
    var = x.transpose(0, 1).flatten(1).var(1, unbiased=False) * (m / (m - 1))
    return torch.lerp(running_mean, mean, momentum), torch.lerp(running_var, var, momentum)


def update_by_numpy(running_mean, running_var, x, momentum):
    values = x.numpy()
    mean, var = values.mean(axis=(0, 2, 3)), values.var(axis=(0, 2, 3), ddof=1)
    return (torch.from_numpy((1 - momentum) * running_mean.numpy() + momentum * mean),
            torch.from_numpy((1 - momentum) * running_var.numpy() + momentum * var))


def folded_filter_by_filter(weight, bias, gamma, beta, mean, var, eps):
    weights, biases = [], []
    for o in range(len(weight)):
        scale = gamma[o] * (var[o] + eps) ** -0.5
        weights.append(weight[o] * scale)
        biases.append(((bias[o] if bias is not None else 0) - mean[o]) * scale + beta[o])
    return torch.stack(weights), torch.stack(biases)


def folded_by_probing(weight, bias, gamma, beta, mean, var, eps):
    """The batch norm of 0 is the bias; a convolution with a diagonal is the scale."""
    start = torch.zeros_like(mean) if bias is None else bias
    shift = F.batch_norm(start[None], mean, var, gamma, beta, False, 0, eps)[0]
    return torch.einsum("oikl,op->pikl", weight, torch.diag(gamma * torch.rsqrt(var + eps))), shift


def folded_in_copies(weight, bias, gamma, beta, mean, var, eps):
    scale, weight = gamma.div((var + eps).sqrt()), weight.clone()
    weight *= scale[:, None, None, None]
    shift = beta.clone()
    shift -= scale * mean
    if bias is not None:
        shift += scale * bias
    return [weight, shift]


def folded_as_parameters(*given):
    return tuple(nn.Parameter(value) for value in lesson_05.fold_into(*given))


def folded_as_a_matrix(weight, bias, gamma, beta, mean, var, eps):
    bias = 0 if bias is None else bias
    scale = torch.diag(gamma) @ torch.diag((var + eps) ** -0.5)
    return (scale @ weight.flatten(1)).view_as(weight), scale @ (bias - mean) + beta


def population_by_loops(batches):
    mean, var, m = 0, 0, len(batches[0])
    for batch in batches:
        mean = mean + batch.mean(0) / len(batches)
        var = var + ((batch - batch.mean(0)) ** 2).sum(0) / (m - 1) / len(batches)
    return mean, var


def population_by_pairs(batches):
    """Half the mean square of the differences of pairs is the unbiased variance."""
    m = len(batches[0])
    pairs = [sum((a - b).square() for a, b in itertools.combinations(batch, 2)) / (m * (m - 1)) for batch in batches]
    return torch.cat(batches).mean(0), functools.reduce(operator.add, pairs) / len(pairs)


def stack_by_network(stack):
    """Folded parts are replaced by nn.Identity."""
    return fold_network(stack, torch.randn(1, 3, 9, 9))


def stack_by_pytorch(stack):
    layers = list(stack)
    for place, layer in reversed(list(enumerate(layers))):
        if place and isinstance(layer, nn.BatchNorm2d) and isinstance(layers[place - 1], nn.Conv2d):
            layers[place - 1:place + 1] = [fuse_conv_bn_eval(layers[place - 1], layer)]
    return copy.deepcopy(nn.Sequential(*layers))


def stack_with_names(stack):
    """Names stay, and stacks are nested."""
    folded = nn.Sequential(OrderedDict((f"part{name}", layer) for name, layer in lesson_05.fold_stack(stack).named_children()))
    return nn.Sequential(nn.Sequential(folded), nn.Identity())


def stack_by_new_convolutions(stack):
    """Each convolution is built anew, with a bias of 0 where it has none."""
    layers = []
    for layer in stack:
        if isinstance(layer, nn.Conv2d):
            new = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
                            layer.groups)
            new.weight.data.copy_(layer.weight)
            new.bias.data.copy_(torch.zeros(len(new.weight)) if layer.bias is None else layer.bias)
            layers.append(new)
        elif isinstance(layer, nn.BatchNorm2d) and layers and isinstance(layers[-1], nn.Conv2d):
            scale = layer.weight.data * torch.rsqrt(layer.running_var + layer.eps)
            layers[-1].weight.data *= scale[:, None, None, None]
            layers[-1].bias.data.sub_(layer.running_mean).mul_(scale).add_(layer.bias.data)
        else:
            layers.append(copy.deepcopy(layer))
    return nn.Sequential(*layers)


def stack_without_gradients(stack):
    return lesson_05.fold_stack(stack).requires_grad_(False)


def residual_f(f, x):
    fx = f(x)
    if fx.shape != x.shape:
        raise ValueError
    return F.threshold(fx + x, 0, 0)


class OneLine(nn.Module):
    """Layers in a Sequential, other names, the projection always built and kept elsewhere unless it is needed."""

    def __init__(self, in_channels, width, out_channels, stride=1):
        nn.Module.__init__(self)
        self.around = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        self.f = nn.Sequential(nn.Conv2d(in_channels, width, 1, bias=False), nn.ReLU(inplace=True),
                               nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.ReLU(inplace=True),
                               nn.Conv2d(width, out_channels, 1, bias=False))
        if in_channels == out_channels and stride == 1:
            self.around = nn.Sequential()

    def forward(self, x):
        out = self.f(x)
        out += self.around(x)
        return F.relu_(out)


class WithOurs(nn.Module):
    def __init__(self, in_channels, width, out_channels, stride=1):
        super().__init__()
        self.block = blocks.Bottleneck(
            in_channels, width, out_channels, stride=stride, batch_norm=False,
            shortcut="identity" if (in_channels, stride) == (out_channels, 1) else "projection")

    def forward(self, x):
        return self.block(x)


class Pointwise(nn.Module):
    """1×1 convolutions as linear layers, the 3×3 by F.conv2d with a parameter of its own."""

    def __init__(self, in_channels, width, out_channels, stride=1):
        super().__init__()
        self.stride = stride
        self.three = nn.Parameter(torch.zeros(width, width, 3, 3))
        self.down, self.up = nn.Linear(in_channels, width, bias=False), nn.Linear(width, out_channels, bias=False)
        if stride > 1 or in_channels != out_channels:
            self.side = nn.Linear(in_channels, out_channels, bias=False)

    def forward(self, x):
        def at_each_pixel(layer, maps):
            return layer(maps.movedim(1, -1)).movedim(-1, 1)
        fx = F.conv2d(at_each_pixel(self.down, x).clamp(min=0), self.three, stride=self.stride, padding="same" if self.stride == 1 else 1)
        fx = at_each_pixel(self.up, fx.clamp(min=0))
        if hasattr(self, "side"):
            x = at_each_pixel(self.side, x[..., ::self.stride, ::self.stride])
        return torch.where(fx + x > 0, fx + x, 0)


class InADict(nn.Module):
    """Layers in a ModuleDict, weights at 0 at first, a projection or None."""

    def __init__(self, in_channels, width, out_channels, stride=1, **unused):
        super().__init__()
        sizes = {"a": (in_channels, width, 1, 1), "b": (width, width, 3, stride), "c": (width, out_channels, 1, 1)}
        self.convs = nn.ModuleDict({name: nn.Conv2d(i, o, k, s, k // 2, bias=False) for name, (i, o, k, s) in sizes.items()})
        needed = stride != 1 or in_channels != out_channels
        self.downsample = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False) if needed else None
        for weight in self.parameters():
            nn.init.zeros_(weight)

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        for name, conv in self.convs.items():
            x = conv(x) if name == "a" else conv(F.relu(x))
        return F.relu(x + identity)


class Lazily(nn.Module):
    """Input channels are found at the first call."""

    def __init__(self, in_channels, width, out_channels, stride=1):
        super().__init__()
        self.a, self.b, self.c = nn.LazyConv2d(width, 1, bias=False), nn.LazyConv2d(width, 3, stride, 1, bias=False), nn.LazyConv2d(
            out_channels, 1, bias=False)
        self.side = nn.LazyConv2d(out_channels, 1, stride, bias=False) if (in_channels, 1) != (out_channels, stride) else lambda x: x

    def forward(self, x):
        return (self.c(self.b(self.a(x).relu()).relu()) + self.side(x)).relu()


class StrideOnTheLast(lesson_03.Bottleneck):
    """The same numbers for more work."""

    def __init__(self, in_channels, width, out_channels, stride=1):
        super().__init__(in_channels, width, out_channels, stride)
        self.look.stride, self.grow.stride = (1, 1), (stride, stride)


def built_by_a_function(in_channels, width, out_channels, stride=1):
    return OneLine(in_channels, width, out_channels, stride).eval()


def basic(i, width, stride=1):
    """A basic block, its shortcut chosen by trying."""
    try:
        return blocks.BasicBlock(i, width, width, stride=stride)
    except ValueError:
        return blocks.BasicBlock(i, width, width, stride=stride, shortcut="projection")


class StageAsAList(nn.ModuleList):
    """A class in place of the function, which runs its own parts."""

    def __init__(self, in_channels, width, number, stride):
        super().__init__(basic(width if k else in_channels, width, 1 if k else stride) for k in range(number))

    def forward(self, x):
        return functools.reduce(lambda maps, block: block(maps), self, x)


class LastOneFirst(nn.Module):
    """Names its blocks in another order than it runs them, and runs them without their hooks."""

    def __init__(self, in_channels, width, number, stride):
        super().__init__()
        self.others = nn.ModuleDict({f"block{k}": basic(width, width) for k in range(1, number)})
        self.beginning = basic(in_channels, width, stride)

    def forward(self, x):
        x = self.beginning.forward(x)
        for block in self.others.values():
            x = block.forward(x)
        return x


class BuiltAtTheFirstCall(nn.Module):
    """Asks the images how many channels they have."""

    def __init__(self, in_channels, width, number, stride):
        super().__init__()
        self.settings, self.body = (width, number, stride), None

    def forward(self, x):
        if self.body is None:
            self.body = stage_with_names(x.shape[1], *self.settings).to(x)
        return self.body(x)


class Recomputed(LastOneFirst):
    """Keeps no maps for the backward pass."""

    def forward(self, x):
        return checkpoint(super().forward, x, use_reentrant=False) if self.training else super().forward(x)


class Wide(blocks.BasicBlock):
    """A basic block that needs fewer words, ends in place, and starts as its shortcut."""

    def __init__(self, i, width, stride=1):
        super().__init__(i, width, width, stride=stride, shortcut=("identity", "projection")[(i, 1) != (width, stride)], projection_bias=False)
        self.relu = nn.ReLU(inplace=True)
        nn.init.zeros_(self.residual.bn2.weight)


def stage_with_names(in_channels, width, number, stride):
    return nn.Sequential(OrderedDict([("first", basic(in_channels, width, stride)), *((f"more{k}", basic(width, width)) for k in range(1, number))]))


def stage_added_to(in_channels, width, number, stride):
    stage = nn.Sequential()
    while len(stage) < number:
        stage.add_module(f"block_{len(stage)}", basic(in_channels, width, stride))
        in_channels, stride = width, 1
    return stage.eval()


def stage_nested(in_channels, width, number, stride):
    if number == 1:
        return nn.Sequential(nn.Identity(), basic(in_channels, width, stride))
    return nn.Sequential(stage_nested(in_channels, width, number - 1, stride), nn.Sequential(basic(width, width)))


def stage_of_copies(in_channels, width, number, stride):
    pattern = basic(width, width)
    return nn.Sequential(basic(in_channels, width, stride), *(copy.deepcopy(pattern) for _ in range(number - 1))).double()


def stage_or_block(in_channels, width, number, stride):
    """A stage of one block is the block."""
    blocks_ = [Wide(width if k else in_channels, width, 1 if k else stride) for k in range(number)]
    return blocks_[0] if number == 1 else nn.Sequential(*blocks_)


def deep_blocks(numbers, width):
    """The bottlenecks, one by one, and at the end their channels."""
    channels = width
    for middle, number in zip((width << place for place in itertools.count()), numbers):
        for k in range(number):
            yield blocks.Bottleneck(channels, middle, 4 * middle, stride=1 + (k == 0 and middle > width), shortcut="identity" if k else "projection")
            channels = 4 * middle
    yield channels


def net_in_one_sequential(numbers, width, classes):
    *parts, channels = deep_blocks(numbers, width)
    return nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(3, width, (7, 7), (2, 2), (3, 3), bias=False), bn1=nn.BatchNorm2d(width), pool=nn.MaxPool2d((3, 3), 2, 1),
        relu=nn.ReLU(inplace=True), body=nn.Sequential(*parts), mean=nn.AdaptiveAvgPool2d((1, 1)), flat=nn.Flatten(), fc=nn.Linear(channels, classes)))


class NetAsASequential(nn.Sequential):
    """Padding by hand, and the mean after the linear layer."""

    def __init__(self, numbers, width, classes):
        *parts, channels = deep_blocks(numbers, width)
        super().__init__(nn.ZeroPad2d(3), nn.Conv2d(3, width, 7, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.ZeroPad2d(1), nn.MaxPool2d(3, 2),
                         *parts, nn.Conv2d(channels, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))


class NetOfLists(nn.Module):
    """The head first, stages as lists in a list, all else as functions."""

    def __init__(self, numbers, width, classes, **unused):
        nn.Module.__init__(self)
        self.head = nn.Linear(4 * width * 2 ** (len(numbers) - 1), classes)
        parts = deep_blocks(numbers, width)
        self.stages = nn.ModuleList(nn.ModuleList(itertools.islice(parts, number)) for number in numbers)
        self.norm, self.conv = nn.BatchNorm2d(width), nn.Conv2d(3, width, 7, 2, 3, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 3, 2, 1)
        for block in itertools.chain.from_iterable(self.stages):
            x = block(x)
        return self.head(x.flatten(2).sum(-1) / (x.shape[2] * x.shape[3]))


class LazyNet(nn.Module):
    """Channels are found at the first call, and stages built last to first."""

    def __init__(self, numbers, width, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.LazyConv2d(width, 7, stride=2, padding=3, bias=False), nn.LazyBatchNorm2d(), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.fc, stages = nn.LazyLinear(classes), {}
        for place in reversed(range(len(numbers))):
            middle = width * 2**place
            before = 2 * middle if place else width
            stages[str(place)] = nn.Sequential(
                blocks.Bottleneck(before, middle, 4 * middle, stride=2 if place else 1, shortcut="projection"),
                *(blocks.Bottleneck(4 * middle, middle, 4 * middle) for _ in range(numbers[place] - 1)))
        self.stages = nn.ModuleDict(stages)

    def forward(self, x):
        x = self.stem(x)
        for place in range(len(self.stages)):
            x = self.stages[str(place)](x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1))


class NetWithItsOwnHead(nn.Module):
    """The head's weights as parameters, the matrix the other way round; sizes computed with tensors, which the meta device cannot tell."""

    def __init__(self, numbers, width, classes):
        super().__init__()
        *parts, _ = deep_blocks(numbers, width)
        channels = int(4 * width * 2 ** torch.arange(len(numbers)).max())
        self.features = nn.Sequential(nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1), *parts)
        self.weight, self.bias = nn.Parameter(torch.randn(channels, classes)), nn.Parameter(torch.zeros(classes))

    def forward(self, x):
        return torch.einsum("nchw,ck->nkhw", self.features(x), self.weight).mean((-2, -1)) + self.bias


def net_by_type(*settings):
    return type("Net", (NetOfLists,), {"forward": lambda self, x: NetOfLists.forward(self, x).clone()})(*settings).double().eval()


def by_sets(network, weights):
    ours = network.state_dict()
    return ours.keys() - weights.keys(), set(weights) - set(ours), {name for name in ours.keys() & weights.keys() if ours[name].shape != weights[name].shape}


def by_generators(network, weights):
    ours = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return [(n for n in ours if n not in weights), filter(lambda n: n not in ours, weights),
            (n for n, value in weights.items() if n in ours and list(value.shape) != list(ours[n].size()))]


def by_taking_out(network, weights):
    """What is left over of two dictionaries of shapes."""
    ours, theirs = ({name: tuple(value.shape) for name, value in held.items()} for held in (network.state_dict(), weights))
    other = {name: shape for name, shape in ours.items() if theirs.get(name, shape) != shape}
    for name in [*ours]:
        if name in theirs:
            del ours[name], theirs[name]
    return ours.keys(), theirs, other


def by_counters(network, weights):
    ours = network.state_dict()
    here, there = Counter(list(ours)), Counter(weights.keys())
    other = map(operator.itemgetter(0), filter(lambda pair: pair[0] in weights and weights[pair[0]].shape != pair[1].shape, ours.items()))
    return namedtuple("Why", "missing unknown other_shape")(deque((here - there).elements()), dict(there - here), other)


RIGHT = {
    "lesson_01.ex1": [
        He(), lambda k, c: np.sqrt(2 / (k**2 * c)), lambda k, c: torch.sqrt(torch.tensor(2 / (k * k * c))),
        lambda k, c: torch.tensor([2 / (k * k * c)]) ** 0.5, lambda k, c: np.float32((2 / (k * k * c)) ** 0.5),
        lambda kernel_size, in_channels: math.exp(0.5 * (math.log(2) - math.log(kernel_size**2 * in_channels))),
        lambda k, c: Fraction((2 / (k * k * c)) ** 0.5), functools.partial(lambda two, k, c: math.sqrt(two / k / k / c), 2),
        lambda k, c: nn.init.calculate_gain("relu") / math.sqrt(nn.init._calculate_fan_in_and_fan_out(torch.empty(1, c, k, k))[0]),
    ],
    "lesson_01.ex2": [
        dead_by_loops, lambda y: (y.sum(0) == 0).double().mean(), lambda y: (y.max(0).values == 0).sum() / y.shape[1],
        lambda y: 1 - (y > 0).any(0).float().mean(), lambda y: np.mean(np.all(y.numpy() == 0, axis=0)),
        lambda y: 1 - len(torch.nonzero(y)[:, 1].unique()) / y.shape[1], lambda y: (y.norm(dim=0) == 0).float().mean().item(),
        lambda y: (y.count_nonzero(0) == 0).float().mean(0, keepdim=True), lambda y: Fraction(int((y.amax(0) <= 0).sum()), y.shape[1]),
    ],
    "lesson_01.ex3": [
        diagnosed_by_match, lambda a, b, c: np.str_(lesson_01.diagnose(a, b, c)),
        lambda a, b, c: "degradation" if b - a > 0.05 else "overfitting" if c - b > 0.05 else "neither",
        lambda *errors: ["neither", "overfitting", "degradation", "degradation"][2 * (errors[1] - errors[0] > 0.05) + (errors[2] - errors[1] > 0.05)],
        lambda a, b, c: "degradation" * (a + 0.05 < b) or "overfitting" * (b + 0.05 < c) or "neither",
        functools.partial(lambda gap, a, b, c: next((name for name, d in (("degradation", b - a), ("overfitting", c - b)) if d > gap), "neither"), 0.05),
    ],
    "lesson_01.ex4": [
        probed_by_backward, probed_by_names, probed_by_functional_call, probed_on_a_copy, probed_by_hooks,
    ],
    "lesson_02.ex1": [
        Residual(), residual_with_its_own_error, residual_by_where, residual_f,
        lambda f, x: lesson_02.residual_forward(lambda y: f(y), x).clone(),
        lambda f, x: (lesson_02.residual_forward(f, x) * 1).relu_(),
        functools.partial(lesson_02.residual_forward),
    ],
    "lesson_02.ex2": [
        padded_in_a_buffer, padded_by_convolution, padded_by_index,
        lambda x, c, s: F.pad(x[:, :, ::s, ::s], (0, 0, 0, 0, 0, c - x.shape[1])),
        lambda x, c, s: F.pad(F.max_pool2d(x, 1, s), (0, 0, 0, 0, 0, c - x.size(1))),
        lambda x, c, s: F.interpolate(lesson_02.zero_pad_shortcut(x, c, s), scale_factor=1),
    ],
    "lesson_02.ex3": [
        slope_by_autograd, slope_by_recursion, lambda slopes: math.prod(1 + slope for slope in slopes),
        lambda slopes: np.prod(np.array(slopes) + 1), lambda slopes: torch.prod(1 + torch.tensor(slopes)),
        lambda slopes: functools.reduce(lambda total, slope: total + total * slope, slopes, 1.0),
        lambda slopes: sum(math.prod(way) for r in range(len(slopes) + 1) for way in itertools.combinations(slopes, r)) if len(slopes) < 9
        else np.array([1.0]),
    ],
    "lesson_02.ex4": [DepthByBernoulli, DepthByPython, DepthByNumPy, DepthByDropout, depth_by_hook],
    "lesson_03.ex1": [
        lambda k, i, o, g, b: sum(p.numel() for p in nn.Conv2d(i, o, k, groups=g, bias=b).parameters()),
        lambda k, i, o, g, bias: np.int64(k * k * i * o // g + bias * o), lambda k, i, o, g, bias: torch.tensor(o * (k * k * i // g + int(bias))),
        lambda k, i, o, g, bias: int(k * k * i / g * o) + [0, o][bias], lambda k, i, o, g, bias: math.prod((o, i // g, k, k)) + (o if bias is True else 0),
        lambda k, i, o, g, bias: np.array([o * i // g * k**2 + o * bias]), functools.partial(lesson_03.conv_parameters),
    ],
    "lesson_03.ex2": [
        pixel_by_pixel, lambda x, w: torch.einsum("nchw,oc->nohw", x, w), lambda x, w: torch.tensordot(w, x, ([1], [1])).transpose(0, 1),
        lambda x, w: (w @ x.flatten(2)).view(len(x), -1, *x.shape[2:]), lambda x, w: F.linear(x.movedim(1, -1), w).movedim(-1, 1),
        lambda x, w: (w[None, :, :, None, None] * x[:, None]).sum(2), lambda x, w: torch.stack([sum(c * y for c, y in zip(row, x.unbind(1))) for row in w], 1),
    ],
    "lesson_03.ex3": [
        widest_by_the_formula, widest_by_bisection, lambda c, b: np.int32(lesson_03.widest_bottleneck(c, b)),
        lambda c, b: torch.tensor(lesson_03.widest_bottleneck(c, b)),
        lambda c, b: max(w for w in range(b + 1) if w < 999 and w * (2 * c + 9 * w) <= b),
        lambda c, b: next(w for w in itertools.count() if 2 * c * (w + 1) + 9 * (w + 1) ** 2 > b),
        lambda c, b: int(np.floor(max(np.roots([9, 2 * c, -b - 0.5])))),
    ],
    "lesson_03.ex4": [OneLine, WithOurs, Pointwise, InADict, Lazily, StrideOnTheLast, built_by_a_function, functools.partial(lesson_03.Bottleneck)],
    "lesson_04.ex1": [normalised_by_loops, normalised_as_a_table, normalised_in_place, normalised_by_var_mean, normalised_by_einsum,
                      functools.partial(lesson_04.batch_norm_images)],
    "lesson_04.ex2": [
        backward_by_autograd, backward_closed, backward_with(list), backward_with(lambda pieces: tuple(p.clone().contiguous() for p in pieces)),
        backward_with(lambda p: (p[0], p[1][None], p[2][None], p[3], p[4][None], p[5][None])),
        functools.partial(lesson_04.bn_backward),
    ],
    "lesson_04.ex3": [watched, suspects_by_no_grad, Detective(), functools.partial(lesson_04.find_bug), lambda norm: lesson_04.find_bug(norm.train())],
    "lesson_04.ex4": [GroupedByLoops, GroupedByRows, GroupedInParts, functools.partial(lesson_04.MyGroupNorm),
                      lambda groups, channels, eps=1e-5: torch.compiler.disable(lesson_04.MyGroupNorm(groups, channels, eps)),
                      lambda *args, **settings: nn.Sequential(lesson_04.MyGroupNorm(*args, **settings))],
    "lesson_05.ex1": [update_by_pytorch, update_in_place, update_channel_by_channel, update_by_bessel, update_by_numpy,
                      lambda *given: [nn.Parameter(value) for value in lesson_05.update(*given)]],
    "lesson_05.ex2": [folded_filter_by_filter, folded_by_probing, folded_in_copies, folded_as_parameters, folded_as_a_matrix],
    "lesson_05.ex3": [
        population_by_loops, population_by_pairs, lambda batches: (torch.stack(batches).mean((0, 1)), torch.stack(batches).var(1).mean(0)),
        lambda batches: [torch.vstack(batches).mean(0), torch.stack([x.var(0) for x in batches]).mean(0)],
        torch.no_grad()(lambda batches: (sum(x.mean(0) for x in batches) / len(batches), sum(x.std(0) ** 2 for x in batches) / len(batches))),
    ],
    "lesson_05.ex4": [stack_by_network, stack_by_pytorch, stack_with_names, stack_by_new_convolutions, stack_without_gradients],
    "lesson_06.ex1": [
        StageAsAList, LastOneFirst, BuiltAtTheFirstCall, Recomputed, stage_with_names, stage_added_to, stage_nested, stage_of_copies, stage_or_block,
        functools.partial(lesson_06.basic_stage), lambda i, w, n, s: nn.Sequential(lesson_06.basic_stage(i, w, n, s), nn.ReLU(), nn.Identity()),
    ],
    "lesson_06.ex2": [
        net_in_one_sequential, NetAsASequential, NetOfLists, LazyNet, NetWithItsOwnHead, net_by_type, functools.partial(lesson_06.MyResNet),
        lambda *settings: nn.Sequential(lesson_06.MyResNet(*settings)).to(memory_format=torch.channels_last),
    ],
    "lesson_06.ex3": [
        by_sets, by_generators, by_taking_out, by_counters,
        lambda network, weights: [np.array(names, dtype=str) for names in lesson_06.why_not(network, weights)],
        lambda network, weights: tuple(dict.fromkeys(reversed(names)).keys() for names in lesson_06.why_not(network, weights)),
        functools.partial(lesson_06.why_not),
    ],
}


def test_every_exercise_is_tried_with_at_least_five_unusual_right_answers():
    assert RIGHT.keys() == EXERCISES.keys() and all(len(answers) >= 5 for answers in RIGHT.values())


@pytest.mark.parametrize("name, answer", [(name, answer) for name, answers in RIGHT.items() for answer in answers])
def test_an_unusual_right_answer_is_right(name, answer):
    verdict = EXERCISES[name].check(answer)
    assert verdict.outcome == "right", verdict.text


# --- odd answers -------------------------------------------------------------------------------------------------


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no words")


def raises(error):
    def answer(*args):
        raise error
    return answer


def for_ever(*args):
    return for_ever(*args)


def a_generator(*args):
    yield 1


async def a_coroutine(*args):
    return 1


class Evil:
    """Nothing can be done with it."""
    def __getattr__(self, name):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")


@each_exercise
@pytest.mark.parametrize("answer, outcome, words", [
    (for_ever, "raised", "RecursionError"), (raises(SystemExit(3)), "raised", "SystemExit"),
    (raises(Unprintable()), "raised", "Unprintable: no message"), (raises(MemoryError()), "raised", "MemoryError"),
    (raises(IndexError("an index can only have a single ellipsis")), "raised", "single ellipsis"),
    (lambda *args: torch.zeros(10**12), "raised", "RuntimeError"), (lambda *args: torch.relu(...), "not answered yet", ""),
    (lambda *args: None, "wrong", "returned nothing (None)"), (a_generator, "wrong", "without yield"),
    (a_coroutine, "wrong", "without yield or async"), (lambda only: only, None, ""), (lambda: 1, "wrong", "could not call"),
    (lambda *args: torch.zeros(1).expand(10**12), "wrong", ""), (lambda *args: math.nan, "wrong", ""),
    (lambda *args: torch.full((2, 3), math.nan), "wrong", ""), (lambda *args: Evil(), "wrong", ""),
    (lambda *args: np.bool_(True), "wrong", ""), (lambda *args: 10**400, "wrong", ""), (lambda *args: [[]], "wrong", ""),
    (lambda *args: torch.Tensor, "wrong", ""), (lambda *args: "right so far", "wrong", ""), (lambda *args: Decimal(1), "wrong", ""),
])
def test_a_check_never_raises_and_says_what_is_wrong(exercise, answer, outcome, words):
    verdict = exercise.check(answer)
    assert verdict.outcome == outcome or outcome is None and verdict.outcome in ("wrong", "right")
    assert words in verdict.text and verdict._repr_html_()


@each_exercise
def test_what_cannot_even_be_printed_gets_a_sentence(exercise):
    assert f"it got a Evil. Write check({exercise.name})" in exercise.check(Evil()).text


@each_exercise
def test_settings_that_an_answer_leaves_behind_are_put_back(exercise):
    def careless(*args):
        result = exercise.model(*args)
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        return result

    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert exercise.check(careless).outcome == "right"
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
    with torch.no_grad():
        assert exercise.check(exercise.model).outcome == "right"
        assert not torch.is_grad_enabled()


@pytest.mark.thorough
@each_exercise
def test_an_answer_is_checked_alike_whatever_numbers_were_drawn_before(exercise):
    torch.manual_seed(5)
    first = exercise.check(exercise.model)
    torch.manual_seed(6)
    assert exercise.check(exercise.model) == first


@pytest.mark.parametrize("name, argument", [
    ("lesson_01.ex2", "outputs"), ("lesson_02.ex1", "x"), ("lesson_02.ex2", "x"), ("lesson_02.ex3", "slopes"), ("lesson_03.ex2", "weight"),
    ("lesson_04.ex1", "gamma"), ("lesson_04.ex2", "dy"), ("lesson_05.ex1", "x"), ("lesson_05.ex2", "weight"), ("lesson_05.ex3", "batches")])
def test_an_argument_changed_in_place_is_named(name, argument):
    exercise = EXERCISES[name]
    place = list(exercise.model.__code__.co_varnames).index(argument)

    def spoils(*args):
        result = exercise.model(*args)
        result = [each.clone() for each in result] if isinstance(result, tuple) else result
        if isinstance(args[place], list):
            args[place].pop()
        else:
            args[place].data.mul_(2)
        return result

    assert f"changed its argument {argument} in place" in exercise.check(spoils).text


def test_the_widest_bottleneck_is_the_one_that_is_counted():
    from resnote import counting
    for channels, budget in lesson_03._BUDGETS:
        width = lesson_03.widest_bottleneck(channels, budget)
        cost = [counting.bottleneck(channels, w, channels, batch_norm=False).parameters for w in (max(width, 1), width + 1)]
        assert (cost[0] <= budget or width == 0) and budget < cost[1]


def norm_by(function):
    """Batch norm's right values by another of PyTorch's norms."""
    def answer(x, gamma, beta, eps):
        rows = x.transpose(0, 1).reshape(1, x.shape[1], -1)
        y = function(rows, x.shape[1], eps).reshape(x.shape[1], len(x), *x.shape[2:]).transpose(0, 1)
        return y * gamma[:, None, None] + beta[:, None, None]
    return answer


@pytest.mark.parametrize("answer", [
    lambda x, g, b, eps: F.batch_norm(x, None, None, g, b, True, 0.1, eps),
    lambda x, g, b, eps: F.batch_norm(x, None, None, training=True, eps=eps) * g[:, None, None] + b[:, None, None],
    lambda x, g, b, eps: nn.BatchNorm2d(len(g), eps, affine=False, track_running_stats=False)(x) * g[:, None, None] + b[:, None, None],
    norm_by(lambda rows, c, eps: F.layer_norm(rows, rows.shape[2:], eps=eps)),
    norm_by(lambda rows, c, eps: F.instance_norm(rows, eps=eps)), norm_by(lambda rows, c, eps: F.group_norm(rows, c, eps=eps)),
    norm_by(lambda rows, c, eps: nn.InstanceNorm1d(c, eps)(rows)), norm_by(lambda rows, c, eps: nn.GroupNorm(c, c, eps, affine=False)(rows)),
    norm_by(lambda rows, c, eps: nn.LayerNorm(rows.shape[2:], eps, elementwise_affine=False)(rows)),
    norm_by(lambda rows, c, eps: torch.batch_norm(rows, None, None, None, None, True, 0.1, eps, False)),
], ids=lambda answer: "norm")
def test_right_values_from_one_of_pytorchs_norms_are_not_finished(answer):
    verdict = lesson_04.ex1.check(answer)
    assert verdict.outcome == "not finished" and "come from PyTorch's" in verdict.text


@pytest.mark.parametrize("answer, words", [
    (lambda x, g, b, eps: F.instance_norm(x, weight=g, bias=b, eps=eps), "each image is normalised by itself. The"),
    (lambda x, g, b, eps: F.group_norm(x, 1, g, b, eps), "each image is normalised by itself, its channels mixed"),
    (lambda x, g, b, eps: F.layer_norm(x, x.shape[1:], eps=eps) * g[:, None, None] + b[:, None, None], "its channels mixed"),
    (lambda x, g, b, eps: F.batch_norm(x, None, None, g, b, True, 0.1), "your ε is always 1e-5"),
    (lambda x, g, b, eps: F.batch_norm(x, 0 * g, 1 + 0 * g, g, b, False, 0.1, eps), "differ by up to"),
])
def test_wrong_values_from_one_of_pytorchs_norms_are_told_what_is_wrong(answer, words):
    verdict = lesson_04.ex1.check(answer)
    assert verdict.outcome == "wrong" and words in verdict.text
