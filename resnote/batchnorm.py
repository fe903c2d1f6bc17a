"""Batch normalization, to be read beside Ioffe & Szegedy (2015), arXiv:1502.03167.

    forward               Algorithm 1: the mini-batch's own mean and variance
    backward              its gradients, the six equations of §3
    update                running averages, as PyTorch keeps them
    population            Algorithm 2, line 10: averages over mini-batches
    inference             Algorithm 2, line 11: a fixed mean and variance
    BatchNorm             these as a module
    estimate_population   Algorithm 2 for a trained network

`resnote.folding` writes line 11 into the weights of the layer before.

The symbols are the paper's: x, y, mu, var (σ²), x_hat (x̂), gamma, beta, eps, m. Where it has one
activation, here x is a batch (m, C), and every equation holds for each of the C channels. Images
(N, C, H, W) have one mean and variance a channel too, over all images and places: m is N·H·W (m′ in §3.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnote.checks import check_can_change, check_device, check_network, copied, output_of, restorer, words_for
from resnote.settings import SettingError, check_number, check_size, check_switch

# --- training --------------------------------------------------------------------------------


class Cache(NamedTuple):
    """What `forward` saw and found: x and x_hat in the shape of x; mu and var (C), var divided by m."""

    x: Tensor
    mu: Tensor
    var: Tensor
    x_hat: Tensor
    gamma: Tensor | None
    eps: float


def forward(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None,
            eps: float = 1e-5) -> tuple[Tensor, Cache]:
    """Batch norm in training: y in the shape of x, and the `Cache` for `backward` and `update`.

    Parameters
    ----------
    x : (m, C), or images (N, C, H, W)
    gamma, beta : (C), of the dtype of x; None means 1 and 0

    Raises
    ------
    SettingError
        (a ValueError) for anything but float tensors of these shapes, for an eps of 0 or less, or that the
        dtype of x rounds to 0, for fewer than two values a channel, and for NaN or inf in x, naming the channel.

    Source: Algorithm 1; §3.2 for images. Autograd can differentiate it.
    """
    eps = _check(x, eps, gamma=gamma, beta=beta)
    _check_count(x)
    gamma_, beta_ = 1 if gamma is None else gamma, 0 if beta is None else beta
    x_, batch = _channels_last(x)
    mu = x_.mean(batch)                            # mini-batch mean
    var = (x_ - mu).square().mean(batch)           # mini-batch variance, divided by m
    _check_finite(x, var)
    x_hat = (x_ - mu) / (var + eps).sqrt()         # normalize
    y = gamma_ * x_hat + beta_                     # scale and shift
    return y.movedim(-1, 1), Cache(x, mu, var, x_hat.movedim(-1, 1), gamma, eps)


def backward(dy: Tensor, cache: Cache) -> tuple[Tensor, Tensor, Tensor]:
    """From dy = ∂ℓ/∂y, in the shape of x: (dx, dgamma, dbeta), in the shapes of x, (C) and (C).

    Where gamma and beta were None, dgamma and dbeta are the gradients of 1 and 0. Raises `SettingError`
    for a dy of another shape or dtype than x.

    Source: the six equations after Algorithm 1 in §3, which have no numbers.
    """
    _check_cache(cache)
    x, mu, var, x_hat, gamma, eps = cache
    if not isinstance(dy, Tensor) or dy.shape != x.shape or dy.dtype != x.dtype:
        raise SettingError(f"dy is {words_for(dy)} and x is {words_for(x)}; dy has one number for each number of y, "
                           "and y is like x. Give the gradient of the loss with respect to y.")
    m, gamma, std = _count(x), 1 if gamma is None else gamma, (var + eps).sqrt()
    (dy, batch), (x, _), (x_hat, _) = map(_channels_last, (dy, x, x_hat))
    dx_hat = dy * gamma                                                             # ∂ℓ/∂x̂
    dvar = (dx_hat * (x - mu)).sum(batch) * -1 / 2 * (var + eps) ** (-3 / 2)        # ∂ℓ/∂σ²
    dmu = (-dx_hat / std).sum(batch) + dvar * (-2 * (x - mu)).sum(batch) / m        # ∂ℓ/∂μ; the last sum is 0
    dx = dx_hat / std + dvar * 2 * (x - mu) / m + dmu / m                           # ∂ℓ/∂x
    dgamma = (dy * x_hat).sum(batch)                                                # ∂ℓ/∂γ
    dbeta = dy.sum(batch)                                                           # ∂ℓ/∂β
    return dx.movedim(-1, 1), dgamma, dbeta


@torch.no_grad()
def update(running_mean: Tensor, running_var: Tensor, cache: Cache, momentum: float | None = 0.1,
           seen: int = 1) -> tuple[Tensor, Tensor]:
    """New running mean and variance (C), after one more batch.

    Parameters
    ----------
    momentum : 0 to 1, the share of the new batch, as in PyTorch (elsewhere often that of the old
        average); None gives the plain average of all batches
    seen : number of batches, this one included; for None only

    A batch is normalized with its variance divided by m; stored is the one divided by m − 1. Raises
    `SettingError` for a momentum outside 0 to 1, and for averages of another channel count or dtype.

    Source: `torch.nn.BatchNorm2d`; §3.1 mentions moving averages, to follow a model while it trains.
    """
    _check_cache(cache)
    _check_vectors(cache.x, running_mean=running_mean, running_var=running_var)
    momentum = _check_momentum(momentum)
    if momentum is None:
        momentum = 1 / check_size("seen", seen)
    m = _count(cache.x)
    unbiased = m / (m - 1) * cache.var
    running_mean = (1 - momentum) * running_mean + momentum * cache.mu
    running_var = (1 - momentum) * running_var + momentum * unbiased
    return running_mean, running_var


# --- inference -------------------------------------------------------------------------------


def population(means, variances, m: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (C) of the population, estimated from batches of ``m`` values a channel.

    ``means`` and ``variances`` are lists of (C), one for each batch, or tensors (batches, C); variances
    are divided by m, as in `Cache`. For images m is N·H·W. Raises `SettingError` for an m below 2, for no
    batch, and for shapes that do not fit.

    Source: Algorithm 2, line 10: E[x] = E[μ], Var[x] = m/(m−1) · E[σ²].
    """
    if check_size("m", m) == 1:
        raise SettingError("m is 1, and m/(m-1) divides by 0: one value a channel has no variance. Use batches with "
                           "2 values or more.")
    means, variances = list(means), list(variances)
    if not all(isinstance(value, Tensor) and value.dim() == 1 for value in means + variances):
        raise SettingError("The means and variances must be tensors (C), one of each for every batch, or tensors "
                           "(batches, C). Give those of forward's caches.")
    if not means or len(means) != len(variances) or len({value.shape for value in means + variances}) != 1:
        raise SettingError(f"There are {len(means)} means and {len(variances)} variances; there must be one of each "
                           "for every batch, all of one shape (C), and at least one batch.")
    mean = torch.stack(means).mean(0)                          # E[x]
    var = m / (m - 1) * torch.stack(variances).mean(0)         # Var[x]
    return mean, var


def inference(x: Tensor, mean: Tensor, var: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None,
              eps: float = 1e-5) -> Tensor:
    """Batch norm at inference: y in the shape of x, every example by itself, also a batch of one.

    mean and var (C) are the population's, or running averages; the rest is as in `forward`. Raises
    `SettingError` as `forward` does, except for a single value a channel.

    Source: Algorithm 2, line 11.
    """
    eps = _check(x, eps, mean=mean, var=var, gamma=gamma, beta=beta)
    for name, vector in (("mean", mean), ("variance", var)):
        bad = vector.isfinite().logical_not().nonzero()
        if len(bad):
            channel = int(bad[0])
            raise SettingError(f"The {name} of channel {channel} (counted from 0) is {vector[channel].item()}: nothing can be "
                               "normalized with it. Look where it comes from, such as a batch that held inf or NaN.")
    if (var < 0).any():
        raise SettingError(f"The variance of channel {int((var < 0).nonzero()[0])} (counted from 0) is "
                           f"{var[var < 0][0].item():.3g}; it must be 0 or more.")
    x_, batch = _channels_last(x)
    _check_finite(x, (x_.detach() * 0).sum(batch))
    scale, shift = line_11(mean, var, gamma, beta, eps)
    y = scale * x_ + shift
    return y.movedim(-1, 1)


def line_11(mean, var, gamma, beta, eps) -> tuple[Tensor, Tensor]:
    """Scale and shift (C) of Algorithm 2, line 11: γ/√(Var[x] + ε) and β − γE[x]/√(Var[x] + ε)."""
    scale = (1 if gamma is None else gamma) / (var + eps).sqrt()
    shift = (0 if beta is None else beta) - scale * mean
    return scale, shift


# --- networks --------------------------------------------------------------------------------


class BatchNorm(nn.Module):
    """`torch.nn.BatchNorm1d` and `BatchNorm2d` by the functions above, for (N, C) and (N, C, H, W).

    Parameters gamma and beta (None unless ``affine``); buffers running_mean, running_var and
    num_batches_tracked, which training leaves alone while the attribute ``track_running_stats`` is False.
    Gradients come from autograd, and equal those of `backward`. Raises `SettingError` as the functions do;
    running averages are then as before.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True):
        super().__init__()
        channels = check_size("channels", channels)
        self.eps, self.momentum, affine = _check_eps(eps), _check_momentum(momentum), check_switch("affine", affine)
        self.track_running_stats = True
        self.gamma = nn.Parameter(torch.ones(channels)) if affine else None
        self.beta = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return inference(x, self.running_mean, self.running_var, self.gamma, self.beta, self.eps)
        y, cache = forward(x, self.gamma, self.beta, self.eps)
        if not self.track_running_stats:
            return y
        seen = self.num_batches_tracked.item() + 1
        mean, var = update(self.running_mean, self.running_var, cache, self.momentum, seen)
        _store(self, mean, var, seen)
        return y


NORMS = (_BatchNorm, BatchNorm)


def frozen_norms(network: nn.Module) -> set[nn.Module]:
    """The batch norms that were put into eval mode while ``network`` as a whole is in training mode.

    They keep their running statistics, where they have any, and normalize with them. In a network in eval mode none counts as
    frozen: that is how every network is left after an evaluation.
    """
    return {module for module in network.modules()
            if isinstance(module, NORMS) and network.training and not module.training}


def _store(norm, mean, var, seen) -> None:
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(var)
    norm.num_batches_tracked.fill_(seen)


@torch.no_grad()
def estimate_population(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics of every batch norm in a trained network by Algorithm 2's.

    Each batch goes once through a copy whose batch norms are in training mode, and all else, such as
    dropout, in eval mode. So each layer's input is normalized with the batch's own statistics, as in
    training; `population` averages these statistics. Batch norms that are not called,
    and those that are frozen (`frozen_norms`), stay unchanged; on an error, all do.

    Parameters
    ----------
    batches : of one size, such as ``images.split(64)`` without a smaller last one

    Raises
    ------
    SettingError
        (a ValueError) for a network that is no nn.Module or has no weights yet, for no batch, for batches of
        several sizes, for a network without running statistics, and as `forward` does.

    Source: Algorithm 2, lines 7 to 12.
    """
    check_network(network)
    check_can_change(network)
    if not isinstance(batches, Iterable):
        raise SettingError(f"The batches are a {type(batches).__name__}; give several tensors, such as images.split(64).")
    if isinstance(batches, Tensor):
        raise SettingError(f"The batches are one tensor of shape {tuple(batches.shape)}; several are needed. Split it "
                           "with images.split(64).")
    frozen = frozen_norms(network)
    twin, seen = copied(network).eval(), 0
    norms = {name: twin.get_submodule(name) for name, norm in network.named_modules()
             if isinstance(norm, NORMS) and norm.running_mean is not None and norm not in frozen}
    if not norms:
        raise SettingError("The network has no batch norm with running statistics that may change, so there is nothing "
                           "to replace. Build it with batch norm, with track_running_stats=True, and not all frozen.")
    calls = {name: [] for name in norms}  # (mu, var, m)
    for name, norm in norms.items():
        def note(_norm, inputs, named, calls=calls[name]):
            x, = (*inputs, *named.values())
            if x.dim() >= 2:
                _check_vectors(x, running_mean=_norm.running_mean)
            _, cache = forward(x if x.dim() <= 2 else x.flatten(2)[..., None])  # BatchNorm1d and 3d as well
            calls.append((cache.mu, cache.var, _count(x)))

        norm.train().register_forward_pre_hook(note, with_kwargs=True)
    for seen, batch in enumerate(batches, start=1):
        if not isinstance(batch, Tensor):
            raise SettingError(f"A batch is a {type(batch).__name__}; give the images alone, as tensors, such as "
                               "[images for images, _ in loader].")
        check_device(batch, twin)
        output_of(twin, batch)
    if seen == 0:
        raise SettingError("There is no batch to take statistics from. Give several, such as images.split(64).")
    found = {}
    for name in filter(calls.get, calls):
        means, variances, (m, *others) = zip(*calls[name])
        for other in others:
            if other != m:
                raise SettingError(f"The batches differ in size: {name or 'the batch norm'} saw {m} values a channel, "
                                   f"then {other}, and Algorithm 2 averages over batches of one size. Leave a smaller "
                                   "last batch out.")
        found[name] = population(means, variances, m)
    restore = restorer(network)
    try:
        for name, (mean, var) in found.items():
            _store(network.get_submodule(name), mean, var, seen)
    except BaseException:
        restore()
        raise


# --- checks ----------------------------------------------------------------------------------


def _check(x, eps, **vectors) -> float:
    """eps as a float, once everything fits."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.dim() not in (2, 4):
        raise SettingError(f"x is {words_for(x)}; it must be a float tensor (m, C) or (N, C, H, W). Convert it with "
                           "torch.as_tensor(x).float(); x[None] adds a missing batch axis.")
    eps = _check_eps(eps)
    if x.new_tensor(eps) == 0:
        raise SettingError(f"eps is {eps!r}, and {x.dtype}, the dtype of x, rounds that to 0: a channel of variance 0 could "
                           "not be divided by its root. Use 1e-5.")
    _check_vectors(x, **vectors)
    return eps


def _check_vectors(x, **vectors) -> None:
    for name, vector in vectors.items():
        if vector is None and name in ("gamma", "beta"):
            continue
        if not isinstance(vector, Tensor) or vector.shape != x.shape[1:2] or vector.dtype != x.dtype:
            raise SettingError(f"x is {words_for(x)}, with {x.shape[1]} channels, and {name} is {words_for(vector)}. "
                               f"Give {name} one number for each channel, ({x.shape[1]},), and the dtype of x.")


def _check_cache(cache) -> None:
    if not isinstance(cache, Cache):
        raise SettingError(f"The cache is a {type(cache).__name__}; it must be the second thing that forward returns: "
                           "y, cache = forward(x).")


def _check_eps(eps) -> float:
    return check_number("eps", eps, "a small number above 0, so that a channel of variance 0 can be divided by its root. "
                        "Use 1e-5", above=0)


def _check_momentum(momentum) -> float | None:
    if momentum is None:
        return None
    return check_number("momentum", momentum, "the share of the new batch in the running average, 0 to 1, or None for "
                        "the plain average of all batches. Use 0.1", least=0, most=1)


def _check_count(x) -> None:
    if _count(x) < 2:
        raise SettingError(f"x has shape {tuple(x.shape)}, {('no', 'a single')[_count(x)]} value for each channel, and "
                           "batch norm compares a value with the others. Give 2 examples or more, or use running "
                           "statistics (eval mode).")


def _check_finite(x, found) -> None:
    """Raise if ``found`` (C), cheaper to look through than x, shows that x holds NaN or inf in a channel."""
    bad = found.isfinite().logical_not().nonzero()
    if len(bad):
        channel = int(bad[0])
        values = x[:, channel]
        what = ("NaN" if values.isnan().any() else "inf" if values.isinf().any() else
                f"numbers whose squares are too large for {x.dtype}")
        raise SettingError(f"Channel {channel} of x (counted from 0) holds {what}: it cannot be normalized. Look where "
                           "that comes from, such as a division by 0 or a learning rate that is too high.")


def _count(x) -> int:
    """m, the number of values in a channel."""
    return x.shape[0] * math.prod(x.shape[2:])


def _channels_last(x) -> tuple[Tensor, tuple[int, ...]]:
    """x as (m, C) or (N, H, W, C), to which any (C) fits, and the axes of the mini-batch: all but the last."""
    return x.movedim(1, -1), tuple(range(x.dim() - 1))
