"""Exercise 4 of lesson 04: group norm as a module of the learner's own."""

from __future__ import annotations

import torch
from torch import nn

from resnote.exercises.base import Unfinished, Wrong, short
from resnote.exercises.compare import NORM_FUNCTIONS, Watch, check_tensor, far, generator_for, near, signed, slip
from resnote.exercises.norm_slips import affines, roots


class MyGroupNorm(nn.Module):
    def __init__(self, groups, channels, eps=1e-5):
        super().__init__()
        self.groups, self.eps = groups, eps
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        grouped = x.unflatten(1, (self.groups, -1))
        mu = grouped.mean(dim=(2, 3, 4), keepdim=True)
        var = grouped.var(dim=(2, 3, 4), correction=0, keepdim=True)
        x_hat = ((grouped - mu) / torch.sqrt(var + self.eps)).flatten(1, 2)
        return self.gamma.view(1, -1, 1, 1) * x_hat + self.beta.view(1, -1, 1, 1)


def check_group_norm(ask):
    generator = generator_for(6)
    # as many columns as channels in the first: γ alone would go along the columns, and silently
    for groups, channels, eps, images, height, width in ((2, 6, 0.3, 3, 4, 6), (1, 4, 0.05, 2, 3, 5), (3, 3, 0.2, 2, 5, 3),
                                                         (4, 8, 1.7e-5, 1, 2, 3)):
        x = torch.randn(images, channels, height, width, generator=generator, dtype=torch.float64)
        x = x * (torch.rand(images, channels, 1, 1, generator=generator, dtype=torch.float64) + 0.5) + x[:, :, :1, :1]
        if eps < 1e-3:
            x[:, :2] *= 1e-3        # a group whose variance is less than ε
        made = f"MyGroupNorm({groups}, {channels}, {eps})"
        torch.set_default_dtype(torch.float64)      # `Exercise.check` puts it back
        with Watch(*NORM_FUNCTIONS) as watch:
            norm = ask(groups, channels, eps, call=made)
            if not isinstance(norm, nn.Module):
                raise Wrong(f"{made} gave {short(norm)}; it must be a module: write class MyGroupNorm(nn.Module).")
            ask.of(norm.double(), x, call=f"{made}(x)")         # a module left open says so here
            parameters = _gamma_and_beta(norm, made, channels)
            with torch.no_grad():
                for parameter in parameters:
                    parameter.copy_(signed(channels, generator, 0.3).view_as(parameter))
            gamma, beta = (parameter.detach().flatten().clone() for parameter in parameters)
            _check_values(ask, norm, made, x, gamma, beta, groups, eps)
        _check_gradients(ask, norm, made, x, parameters, groups, eps)
        if watch.called:
            raise Unfinished("the values are right, and they come from PyTorch's own norms. Write the mean, the variance and "
                             "the division yourself: that is what the exercise is about.")
    _check_as_built(ask)
    return "a module of your own that nn.GroupNorm could be replaced with. It never asks which other images are in the batch."


def _check_as_built(ask):
    """Until here the module was in float64; as it comes, it has the same parameters, and keeps the type of images in float32."""
    torch.set_default_dtype(torch.float32)
    made, x = "MyGroupNorm(2, 6, 0.3)", torch.randn(2, 6, 3, 3, generator=generator_for(6))
    norm = ask(2, 6, 0.3, call=made)
    _gamma_and_beta(norm, made, 6)
    check_tensor("what your module gave for images in float32", ask.of(norm, x, call=f"{made}(x), x in float32,"), x)


def _gamma_and_beta(norm, made, channels):
    """The module's two parameters, whatever their names, told apart by their first values."""
    found = list(norm.parameters())
    if not found:
        raise Wrong(f"{made} has no parameters, so an optimizer would find nothing to learn. Make γ and β with nn.Parameter(...), "
                    "as attributes of self.")
    if len(found) != 2 or any(parameter.numel() != channels for parameter in found):
        shapes = ", ".join(str(tuple(parameter.shape)) for parameter in found)
        raise Wrong(f"{made} has parameters of shape {shapes}; it must have two, γ and β, each with one number for each of its "
                    f"{channels} channels.")
    if not all(parameter.requires_grad for parameter in found):
        raise Wrong(f"{made} has a parameter with requires_grad=False. γ and β are learned: leave it True.")
    gamma = [parameter for parameter in found if (parameter == 1).all()]
    beta = [parameter for parameter in found if (parameter == 0).all()]
    if len(gamma) != 1 or len(beta) != 1:
        raise Wrong(f"γ must be 1 for every channel at the start, and β 0. {made} starts with "
                    + " and ".join(str([round(value, 3) for value in parameter.flatten().tolist()]) for parameter in found) + ".")
    return gamma[0], beta[0]


def _right(x, gamma, beta, groups, eps):
    norm = MyGroupNorm(groups, len(gamma), eps)
    norm.gamma, norm.beta = (nn.Parameter(value.clone()) for value in (gamma, beta))
    return norm, norm(x)


def _check_values(ask, norm, made, x, gamma, beta, groups, eps):
    right = _right(x, gamma, beta, groups, eps)[1].detach()
    for mode in "train", "eval":
        got = ask.of(norm.train(mode == "train"), x, call=f"{made}(x), in {mode} mode,")
        check_tensor("what your module gave", got, right, "Every value of x stays at its place.")
        if near(got.detach(), right):
            continue
        if mode == "eval":
            raise Wrong("in eval mode, or called again, your module gives other values. Group norm keeps nothing from call to "
                        "call and does the same in both modes.")
        raise Wrong(_why_not(got.detach(), x, gamma, beta, groups, eps) or
                    f"with γ and β as they are now, {far(got.detach(), right)} Go line by line: groups, μ, σ², x̂, y.")


def _why_not(got, x, gamma, beta, groups, eps):
    per_group = x.shape[1] // groups

    def formula(grouping, dims, correction, mean, root, affine):
        apart, back = grouping
        grouped = apart(x)
        mu, var = grouped.mean(dims, keepdim=True), grouped.var(dims, correction=correction, keepdim=True)
        return affine(back((grouped - mean * mu) / root(var)).reshape(x.shape))

    return slip(
        got, formula,
        (((lambda x: x.unflatten(1, (groups, -1)), lambda y: y), None),
         ((lambda x: x.unflatten(1, (-1, groups)).transpose(1, 2), lambda y: y.transpose(1, 2)),
          "a group is made of channels that are not next to each other. The first group holds the first "
          "channels: x.unflatten(1, (groups, -1))."),
         ((lambda x: x.unflatten(1, (per_group, -1)), lambda y: y),
          "the number of groups and the number of channels in a group are exchanged: x.unflatten(1, (groups, -1)) has the "
          "groups on axis 1."),
         ((lambda x: x[:, None], lambda y: y), "all channels of an image share one mean and one variance. Each group of "
                                               "channels has its own."),
         ((lambda x: x[:, :, None], lambda y: y), "each channel has its own mean and variance. The channels of a group share "
                                                  "them.")),
        (((2, 3, 4), None),
         ((0, 2, 3, 4), "the statistics go over the batch too. Group norm takes each image by itself."),
         ((0, 3, 4), "that is batch norm: one mean for each channel, over all images. Group norm takes each image by itself, "
                     "and the channels of a group together."),
         (2, "each pixel has its own mean and variance. Take them over height and width, too.")),
        ((0, None),
         (1, "the variance is divided by the number of values less 1. Divide by their number: correction=0.")),
        ((1, None), (0, "the mean is not subtracted.")),
        roots(eps), affines(gamma, beta))


def _check_gradients(ask, norm, made, x, parameters, groups, eps):
    model, _ = _right(x, *(parameter.detach().flatten() for parameter in parameters), groups, eps)

    def gradients(module, leaves, run):
        given = x.clone().requires_grad_()
        output = run(module, given)
        upstream = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view(output.shape)
        found = torch.autograd.grad((output * upstream).sum(), [given, *leaves], allow_unused=True)
        return [None if gradient is None else gradient.reshape(shape) for gradient, shape in zip(found, (x.shape, -1, -1))]

    right = gradients(model, model.parameters(), lambda module, given: module(given))
    try:
        got = gradients(norm.train(), parameters, lambda module, given: ask.of(module, given, call=f"{made}(x)"))
    except RuntimeError as error:
        raise Wrong(f"the values are right, and the backward pass stopped: {error}") from None
    for name, ours, theirs in zip(("x", "γ", "β"), right, got):
        if theirs is None or not near(theirs, ours):
            raise Wrong(f"the values are right, and {'no' if theirs is None else 'a wrong'} gradient reaches {name}. Is a part "
                        "computed under torch.no_grad(), detached, or taken from .data?")
