"""Exercise 4 of lesson 02: stochastic depth as a module, checked in both modes, its draws counted."""

from __future__ import annotations

import torch
from torch import nn

from resnote.exercises.base import Wrong, short
from resnote.exercises.compare import check_tensor, far, generator_for, near, slip


class StochasticDepth(nn.Module):
    def __init__(self, f, keep):
        super().__init__()
        self.f, self.keep = f, keep

    def forward(self, x):
        if not self.training:
            return x + self.keep * self.f(x)
        if torch.rand(()) < self.keep:
            return x + self.f(x)
        return x


_CALLS = 400        # by chance the share of used calls is further than 0.12 from `keep` less than once in a hundred thousand checks
_PREDICTIONS = 40   # a module that draws in eval mode, too, gives the same each time less than once in a thousand checks


class _Often(nn.Module):
    """Calls a module again and again, in one go, so that every call draws anew."""

    def __init__(self, module, times):
        super().__init__()
        self.module, self.times = module, times

    def forward(self, x):
        return [self.module(x) for _ in range(self.times)]


def check_stochastic_depth(ask):
    generator = generator_for(24)
    for keep in (0.7, 0.2, 1.0, 0.0):
        made = f"StochasticDepth(f, {keep})"
        with torch.random.fork_rng(devices=[]):
            f = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)).double()
        module = ask(f, keep, call=made)
        if not isinstance(module, nn.Module):
            raise Wrong(f"{made} gave {short(module)}; it must be a module: write class StochasticDepth(nn.Module).")
        x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
        ask.of(module, x, call=f"{made}(x)")            # a module left open says so here
        if not {id(p) for p in f.parameters()} <= {id(p) for p in module.parameters()}:
            raise Wrong(f"{made} does not know f's parameters, so an optimizer would not train them. Set self.f = f itself, no "
                        "copy, and after super().__init__().")
        _check_eval(ask, module.eval(), made, f, x, keep)
        _check_training(ask, module.train(), made, f, x, keep)
    return "in training a different network at each step, and for predictions their mean, block by block."


def _check_eval(ask, module, made, f, x, keep):
    fx, call = f(x).detach(), f"{made}(x), in eval mode,"
    outputs = ask.of(_Often(module, _PREDICTIONS).eval(), x, call=call)
    right = x + keep * fx
    check_tensor(f"the output of {call}", outputs[0], right)
    if not all(near(output.detach(), outputs[0].detach()) for output in outputs):
        raise Wrong(f"{call} gave different outputs for the same x. A prediction is not to depend on chance: ask self.training, "
                    "and draw in training mode only.")
    if not near(outputs[0].detach(), right):
        raise Wrong(f"{call} {_why_not_mean(outputs[0].detach(), x, fx, keep) or far(outputs[0], right)} It must be "
                    "x + keep · f(x).")


def _why_not_mean(got, x, fx, keep):
    return slip(got, lambda value: value, (
        (x + keep * fx, None), (x + fx, "gave x + f(x). In training f is used only now and then, so here it counts keep times."),
        (x, "gave x alone."), (fx, "gave f(x) alone."), (keep * fx, "gave keep · f(x) alone: x is missing."),
        (keep * (x + fx), "scaled x, too: x always passes whole."), (keep * x + fx, "scaled x, and f(x) was to be scaled."),
        (x + (1 - keep) * fx, "scaled f(x) by 1 − keep. keep is the probability that f is used."),
        *(((x + fx / keep, "divided f(x) by keep. Multiply."),) if keep else ()),
        ((x + keep * fx).relu(), "has a ReLU after the sum. This block ends with the sum.")))


def _check_training(ask, module, made, f, x, keep):
    call = f"{made}(x), in training mode,"
    leaf = x.clone().requires_grad_()
    fx = f(leaf)
    used, left_out = leaf + fx, leaf
    outputs = ask.of(_Often(module, _CALLS), leaf, call=call)
    check_tensor(f"the output of {call}", outputs[0], used)
    with_f = [near(output, used) for output in outputs]
    for output, uses in zip(outputs, with_f):
        if not uses and not near(output, left_out):
            raise Wrong(f"{call} {_why_neither(output.detach(), x, fx.detach(), keep)} It must give x + f(x) or x.")
    share = sum(with_f) / _CALLS
    if abs(share - keep) > (0.12 if 0 < keep < 1 else 0):
        raise Wrong(f"{call} used f in {share:.0%} of {_CALLS} calls. " + (
            "keep is the probability that f is used, not that it is left out." if abs(share - 1 + keep) < 0.12 else
            "Draw anew at each call, in forward." if share in (0, 1) and 0 < keep < 1 else
            f"With keep at {keep} it must be about {keep:.0%}."))
    _check_gradients(call, f, leaf, [output for output, uses in zip(outputs, with_f) if uses], used, "x + f(x)")
    _check_gradients(call, f, leaf, [output for output, uses in zip(outputs, with_f) if not uses], left_out * 1, "x")


def _why_neither(output, x, fx, keep):
    rows = [near(row, a) or near(row, b) for row, a, b in zip(output, x + fx, x)]
    if all(rows):
        return "left f out for some images of a batch and not for others. Draw once a call, for the whole batch."
    return slip(output, lambda value: value, (
        (x + fx, None), (x + keep * fx, "gave x + keep · f(x), which belongs in eval mode."),
        *(((x + fx / keep, "divided f(x) by keep. Here f(x) is scaled in eval mode instead."),) if keep else ()),
        (torch.zeros_like(x), "gave 0 where f is left out. x passes always."), (fx, "gave f(x) alone: x is missing."),
        ((x + fx).relu(), "has a ReLU after the sum. This block ends with the sum."),
        (x.relu(), "has a ReLU at its end. This block ends with the sum."))) or far(output, x + fx)


def _check_gradients(call, f, leaf, outputs, right, what):
    if not outputs:
        return
    leaves, output = [leaf, *f.parameters()], outputs[0]
    upstream = torch.linspace(-1, 2, right.numel(), dtype=right.dtype).view(right.shape)
    ours = torch.autograd.grad((right * upstream).sum(), leaves, allow_unused=True, retain_graph=True)
    theirs = torch.autograd.grad((output * upstream).sum(), leaves, allow_unused=True, retain_graph=True) if output.requires_grad \
        else [None] * len(leaves)
    for name, wanted, value, arg in zip(("x", *["f"] * (len(leaves) - 1)), ours, theirs, leaves):
        wanted, given = (torch.zeros_like(arg) if gradient is None else gradient for gradient in (wanted, value))
        if not near(given, wanted):         # a product with 0 sends a gradient of 0, which is as good as none
            raise Wrong(f"{call}: {what} is right, and {'no' if value is None else 'a wrong'} gradient reaches {name}. Is a part "
                        "computed under torch.no_grad(), or detached?")
