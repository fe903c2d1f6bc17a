"""Batch norm by the paper's equations is PyTorch's, and what it refuses it refuses in words."""

from __future__ import annotations

import math
import random
import re
from copy import deepcopy
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from resnote import training
from resnote.batchnorm import (BatchNorm, Cache, backward, estimate_population, forward, inference, population,
                               update)
from resnote.data import digits
from resnote.folding import fold, fold_network
from resnote.networks import SmallNet
from resnote.settings import SettingError

SHAPES = [(2, 1), (2, 5), (7, 3), (64, 4), (1, 3, 2, 2), (2, 1, 1, 1), (2, 3, 1, 1), (2, 4, 3, 5), (5, 3, 1, 2),
          (16, 6, 4, 4)]


def same(ours, torchs):
    """Equal in float64 to 1e-10 of the largest number."""
    assert ours.shape == torchs.shape
    assert_close(ours, torchs, rtol=0, atol=1e-10 * torchs.abs().max().item())


def numbers(*shape, **options):
    return torch.randn(*shape, dtype=torch.float64, **options)


def batch(*shape):
    """Each channel with a mean and a spread of its own."""
    beside = (shape[1], *[1] * (len(shape) - 2))
    return numbers(*shape) * (0.5 + torch.rand(beside, dtype=torch.float64)) + 3 * numbers(*beside)


def weights(channels, affine=True):
    return (0.7 * numbers(channels) - 0.4, numbers(channels) + 0.3) if affine else (None, None)


# --- training --------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [1e-5, 0.3])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_backward_are_pytorchs(shape, affine, eps):
    x, dy = batch(*shape).requires_grad_(), numbers(*shape)
    gamma, beta = weights(shape[1])
    gamma, beta = gamma.requires_grad_(), beta.requires_grad_()
    used = (gamma, beta) if affine else (None, None)
    expected = F.batch_norm(x, None, None, *used, training=True, eps=eps)
    y, cache = forward(x, *used, eps)
    same(y, expected)
    # Without gamma and beta their gradients are those at 1 and 0.
    ones = used if affine else (torch.ones_like(gamma, requires_grad=True), torch.zeros_like(beta, requires_grad=True))
    gradients = torch.autograd.grad(F.batch_norm(x, None, None, *ones, training=True, eps=eps), (x, *ones), dy)
    for ours, torchs in zip(backward(dy, cache), gradients):
        same(ours, torchs)
    same(torch.autograd.grad(y, x, dy)[0], gradients[0])


def test_random_shapes_agree_with_pytorch_too():
    drawn = random.Random(0)
    for _ in range(40):
        channels, places = drawn.randint(1, 9), [drawn.randint(1, 6), drawn.randint(1, 6)]
        shape = (drawn.randint(2, 20), channels, *places[:drawn.choice([0, 2])])
        x, dy, (gamma, beta), eps = batch(*shape), numbers(*shape), weights(channels), drawn.choice([1e-5, 1e-2, 2.0])
        leaves = [leaf.clone().requires_grad_() for leaf in (x, gamma, beta)]
        expected = F.batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=eps)
        y, cache = forward(x, gamma, beta, eps)
        same(y, expected)
        for ours, torchs in zip(backward(dy, cache), torch.autograd.grad(expected, leaves, dy)):
            same(ours, torchs)


class ByHand(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, beta):
        y, ctx.cache = forward(x, gamma, beta)
        return y

    @staticmethod
    def backward(ctx, dy):
        return backward(dy, ctx.cache)


@pytest.mark.parametrize("shape", [(4, 3), (3, 2, 2, 3)])
def test_gradcheck_passes_for_backward_and_for_autograd_through_forward(shape):
    inputs = [leaf.requires_grad_() for leaf in (batch(*shape), *weights(shape[1]))]
    assert torch.autograd.gradcheck(ByHand.apply, inputs)
    assert torch.autograd.gradcheck(lambda *leaves: forward(*leaves)[0], inputs)


@pytest.mark.parametrize("shape", [(6, 3), (3, 3, 2, 4)])
def test_every_term_of_the_six_equations_counts_also_the_one_that_is_0_at_the_batchs_own_mean(shape):
    x, (gamma, beta), eps = batch(*shape).requires_grad_(), weights(shape[1]), 0.1
    axes, keep = [axis for axis in range(x.dim()) if axis != 1], (-1, *[1] * (x.dim() - 2))
    mu = x.mean(axes) + numbers(shape[1])  # no longer the mean: the sum of x - mu is not 0
    var = (x - mu.view(keep)).square().mean(axes)
    x_hat = (x - mu.view(keep)) / (var.view(keep) + eps).sqrt()
    y, dy = gamma.view(keep) * x_hat + beta.view(keep), numbers(*shape)
    expected, = torch.autograd.grad(y, x, dy)
    cache = Cache(*(value.detach() for value in (x, mu, var, x_hat, gamma)), eps)
    same(backward(dy, cache)[0], expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_cache_holds_the_batchs_mean_biased_variance_and_normalized_values(shape):
    x, gamma = batch(*shape), weights(shape[1])[0]
    _, cache = forward(x, gamma, None, 0.01)
    rows = x.transpose(0, 1).flatten(1)
    mu, var = rows.mean(1), rows.var(1, correction=0)
    same(cache.mu, mu)
    same(cache.var, var)
    x_hat = (rows - mu[:, None]) / (var + 0.01).sqrt()[:, None]
    same(cache.x_hat.transpose(0, 1).flatten(1), x_hat)
    assert cache.x is x and cache.gamma is gamma and cache.eps == 0.01


def test_a_batch_is_normalized_by_its_biased_variance_and_the_unbiased_one_is_stored():
    x = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    y, cache = forward(x, eps=1e-15)
    assert_close(y, torch.tensor([[-1.0], [1.0]], dtype=torch.float64))  # unbiased: 0.707
    mean, var = update(*torch.zeros(2, 1, dtype=torch.float64), cache, momentum=1)
    assert (cache.var.item(), mean.item(), var.item()) == (1, 1, 2)


@pytest.mark.parametrize("shape", [(4, 2), (4, 2, 3, 3)])
def test_a_constant_channel_becomes_beta_and_sends_nothing_back(shape):
    x, (gamma, beta) = batch(*shape), weights(2)
    x[:, 1] = 0.3
    y, cache = forward(x, gamma, beta)
    assert_close(y[:, 1], beta[1].expand_as(y[:, 1]), rtol=0, atol=1e-12)
    dx, dgamma, _ = backward(torch.ones_like(x), cache)
    assert dx[:, 1].abs().max() < 1e-10 and dgamma[1].abs() < 1e-10


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_outputs_lie_in_memory_as_the_images_do(layout):
    x = batch(2, 3, 4, 5).to(memory_format=layout)
    y, cache = forward(x, *weights(3))
    for images in (y, cache.x_hat, backward(numbers(*x.shape).to(memory_format=layout), cache)[0],
                   inference(x, cache.mu, cache.var)):
        assert images.is_contiguous(memory_format=layout)


# --- running averages ------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.1, 0.9, 0, 1, None])
@pytest.mark.parametrize("shape", SHAPES)
def test_running_averages_are_pytorchs(shape, momentum):
    norm = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(shape[1], momentum=momentum).double()
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    for seen in range(1, 5):
        x = batch(*shape)
        norm(x)
        before = mean.clone(), var.clone()
        new = update(mean, var, forward(x)[1], momentum, seen)
        assert torch.equal(mean, before[0]) and torch.equal(var, before[1])
        mean, var = new
        same(mean, norm.running_mean)
        same(var, norm.running_var)


def test_running_averages_keep_no_graph():
    x, gamma = batch(4, 3).requires_grad_(), weights(3)[0].requires_grad_()
    _, cache = forward(x, gamma)
    assert cache.mu.requires_grad
    assert not any(value.requires_grad for value in update(numbers(3), numbers(3), cache))


# --- inference -------------------------------------------------------------------------------


@pytest.mark.parametrize("name, value, words", [
    ("mean", math.inf, "The mean of channel 2 .* is inf"), ("mean", math.nan, "The mean of channel 2 .* is nan"),
    ("var", math.nan, "The variance of channel 2 .* is nan"), ("var", math.inf, "The variance of channel 2 .* is inf")])
def test_statistics_that_are_no_finite_numbers_are_refused_by_channel(name, value, words):
    given = {"mean": torch.zeros(4), "var": torch.ones(4)}
    given[name][2] = value
    with pytest.raises(SettingError, match=words):
        inference(torch.randn(3, 4), **given)


@pytest.mark.parametrize("network, batches, words", [
    ("a network", torch.randn(8, 1, 3, 3).split(4), "The network is a str; it must be an nn.Module"),
    (nn.BatchNorm2d(1), None, "The batches are a NoneType")])
def test_algorithm_2_without_network_or_batches_is_refused_in_words(network, batches, words):
    with pytest.raises(SettingError, match=words):
        estimate_population(network, batches)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [*SHAPES, (1, 3), (1, 3, 1, 1), (0, 3)])
def test_inference_is_pytorchs_also_for_a_batch_of_one(shape, affine):
    x, mean, var, used = batch(*shape), numbers(shape[1]), numbers(shape[1]).square(), weights(shape[1], affine)
    expected = F.batch_norm(x, mean, var, *used, training=False, eps=0.02)
    y = inference(x, mean, var, *used, 0.02)
    assert y.shape == expected.shape
    if len(x):
        same(y, expected)


def test_a_variance_of_0_is_fixed_too():
    x, zero = numbers(4, 2), torch.zeros(2, dtype=torch.float64)
    same(inference(x, zero, zero, eps=0.25), 2 * x)


def test_the_module_without_settings_is_pytorchs_without_settings():
    ours, torchs = BatchNorm(3), nn.BatchNorm2d(3)
    assert (ours.eps, ours.momentum) == (torchs.eps, torchs.momentum)
    assert torch.equal(ours.gamma, torchs.weight) and torch.equal(ours.beta, torchs.bias)


def test_without_a_count_the_plain_average_is_that_of_a_first_batch():
    _, cache = forward(batch(5, 3))
    mean, _ = update(numbers(3), numbers(3).square(), cache, momentum=None)
    same(mean, cache.mu)


def test_gamma_without_beta_and_beta_without_gamma_work():
    x, mean, var, (gamma, beta) = batch(5, 3), numbers(3), numbers(3).square(), weights(3)
    for used in ((gamma, None), (None, beta)):
        same(forward(x, *used)[0], F.batch_norm(x, None, None, *used, training=True))
        same(inference(x, mean, var, *used), F.batch_norm(x, mean, var, *used))


def test_algorithm_2_over_all_batches_is_exactly_the_population():
    values = torch.tensor([[-1.0, 10], [0, 11], [2, 17], [7, 10]], dtype=torch.float64)
    m = 3
    caches = [forward(values[list(places)])[1] for places in product(range(4), repeat=m)]  # all 64 that can be drawn
    mean, var = population([cache.mu for cache in caches], [cache.var for cache in caches], m)
    same(mean, values.mean(0))
    same(var, values.var(0, correction=0))


def test_population_takes_tensors_as_well_as_lists():
    means, variances = numbers(6, 3), numbers(6, 3).square()
    for ours, other in zip(population(means, variances, 5), population(list(means), list(variances), 5)):
        assert torch.equal(ours, other)


# --- the module ------------------------------------------------------------------------------


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("shape", [(2, 3), (6, 3), (3, 3, 2, 4)])
def test_the_module_is_nn_batchnorm_in_both_modes_and_through_sgd(shape, momentum, affine):
    theirs = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(3, 0.01, momentum, affine).double()
    ours = BatchNorm(3, 0.01, momentum, affine).double()
    if affine:
        for pair in ((ours.gamma, theirs.weight), (ours.beta, theirs.bias)):
            [parameter.data.copy_(value) for value in [numbers(3)] for parameter in pair]
    for _ in range(4):
        x, dy = batch(*shape), numbers(*shape)
        leaves = x.clone().requires_grad_(), x.clone().requires_grad_()
        outputs = ours(leaves[0]), theirs(leaves[1])
        same(*outputs)
        for output in outputs:
            output.backward(dy)
        same(leaves[0].grad, leaves[1].grad)
        for parameters in zip(ours.parameters(), theirs.parameters(), strict=True):
            same(parameters[0].grad, parameters[1].grad)
            for parameter in parameters:
                parameter.data -= 0.1 * parameter.grad
                parameter.grad = None
        for name, value in theirs.named_buffers():
            same(getattr(ours, name).double(), value.double())
    same(ours.eval()(x[:1]), theirs.eval()(x[:1]))


def test_in_eval_mode_the_module_changes_nothing_and_an_example_does_not_depend_on_its_mates():
    norm, x = BatchNorm(3).double(), batch(5, 3)
    norm(x)
    before = deepcopy(norm.state_dict())
    norm.eval()
    same(norm(x)[:1], norm(x[:1]))
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    norm.train()
    assert (norm(x)[:1] - norm(x[:3])[:1]).abs().max() > 0.01


def test_a_batch_that_is_refused_leaves_the_running_averages_as_they_were():
    norm, x = BatchNorm(3), torch.randn(4, 3)
    norm(x)
    before = deepcopy(norm.state_dict())
    x[1, 2] = math.nan
    for wrong in (x, x[:1], torch.randn(4, 2)):
        with pytest.raises(SettingError):
            norm(wrong)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


# --- a network's population ------------------------------------------------------------------


class Net(nn.Module):
    """Two batch norms in a row of layers, dropout between, one that is never called."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn1, self.drop = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.fc, self.bn2, self.unused = nn.Linear(4, 3), BatchNorm(3), nn.BatchNorm1d(3)

    def forward(self, x):
        x = self.bn1(self.conv(x)).relu()
        return self.bn2(self.fc(self.drop(x.mean((2, 3)))))


def test_estimate_population_averages_what_the_layers_see_in_training_mode():
    net, batches = Net().double(), [2 * numbers(6, 1, 5, 5) + place for place in range(5)]
    before, modes = deepcopy(net.state_dict()), [module.training for module in net.modules()]
    first, second = [], []
    for images in batches:
        out = net.conv(images)
        first.append((out.mean((0, 2, 3)), out.var((0, 2, 3))))
        out = F.batch_norm(out, None, None, training=True).relu()  # by this batch's own statistics, without dropout
        out = net.fc(out.mean((2, 3)))
        second.append((out.mean(0), out.var(0)))
    random_state = torch.get_rng_state()
    estimate_population(net, iter(batches))
    for norm, expected in ((net.bn1, first), (net.bn2, second)):
        means, variances = zip(*expected)
        same(norm.running_mean, torch.stack(means).mean(0))
        same(norm.running_var, torch.stack(variances).mean(0))
        assert norm.num_batches_tracked == 5
    for name, value in net.state_dict().items():
        assert name.startswith(("bn1.r", "bn1.n", "bn2.r", "bn2.n")) or torch.equal(value, before[name])
    assert [module.training for module in net.modules()] == modes
    assert not any(module._forward_pre_hooks for module in net.modules())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_without_tracking_the_module_normalises_and_leaves_its_buffers_alone():
    x, ours, torchs = torch.randn(6, 3) + 2, BatchNorm(3), nn.BatchNorm1d(3)
    ours.track_running_stats = torchs.track_running_stats = False
    before = deepcopy(ours.state_dict())
    assert_close(ours(x), torchs(x))
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("norm, shape", [(nn.BatchNorm1d(3), (4, 3)), (nn.BatchNorm1d(3), (4, 3, 5)),
                                         (nn.BatchNorm2d(3), (4, 3, 2, 2)), (nn.BatchNorm3d(3), (4, 3, 2, 2, 2))])
def test_every_batch_norm_of_pytorch_is_estimated(norm, shape):
    x = batch(*shape)
    estimate_population(norm.double(), [x])
    same(norm.running_mean, x.transpose(0, 1).flatten(1).mean(1))
    same(norm.running_var, x.transpose(0, 1).flatten(1).var(1))


@pytest.mark.parametrize("change, words", [
    (lambda x: [x, x[:3]], "bn1 saw 54 values a channel, then 27"),
    (lambda x: [], "There is no batch"),
    (lambda x: x, r"one tensor of shape \(6, 1, 5, 5\).*images.split"),
    (lambda x: [x, x * math.nan], "Channel 0 of x"),
    (lambda x: [x[:1]], r"shape \(1, 3\), a single value")])
def test_batches_that_cannot_be_averaged_are_refused_in_words_and_change_nothing(change, words):
    net = Net().double()
    before = deepcopy(net.state_dict())
    with pytest.raises(SettingError, match=words):
        estimate_population(net, change(numbers(6, 1, 5, 5)))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("net", [nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False)])
def test_a_network_without_running_statistics_has_none_to_replace(net):
    with pytest.raises(SettingError, match="no batch norm with running statistics"):
        estimate_population(net, [torch.randn(4, 3)])


# --- folding ---------------------------------------------------------------------------------


def trained(norm):
    """A batch norm in eval mode with nothing left at its first value."""
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.2, 3)
    for parameter in norm.parameters():
        nn.init.normal_(parameter, 0.5)
    return norm.eval()


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(6), nn.BatchNorm2d(6, eps=0.3, affine=False), BatchNorm(6),
                                  BatchNorm(6, affine=False)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"groups": 2},
                                     {"groups": 2, "stride": (1, 2), "dilation": 2, "padding": 2,
                                      "padding_mode": "reflect"}])
def test_a_folded_convolution_is_the_convolution_and_its_batch_norm(options, bias, norm):
    conv, norm, x = nn.Conv2d(4, 6, 3, bias=bias, **options), trained(deepcopy(norm)), torch.randn(3, 4, 8, 7)
    before = deepcopy((conv.state_dict(), norm.state_dict()))
    folded = fold(conv, norm)
    assert_close(folded(x), norm(conv(x)), rtol=1e-5, atol=1e-5)
    assert isinstance(folded, nn.Conv2d) and folded is not conv
    for module, state in zip((conv, norm), before):
        assert module.state_dict().keys() == state.keys()
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(6), nn.BatchNorm1d(6, affine=False), BatchNorm(6)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_folded_linear_layer_is_the_layer_and_its_batch_norm(bias, norm):
    linear, norm, x = nn.Linear(4, 6, bias=bias), trained(deepcopy(norm)), torch.randn(5, 4)
    assert_close(fold(linear, norm)(x), norm(linear(x)), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module", params=["plain", "residual"])
def network(request):
    torch.manual_seed(0)
    net = SmallNet(request.param, 8)
    training.fit(net, digits(), epochs=4, test=False)
    return net.eval()


@pytest.mark.thorough
def test_a_trained_network_is_folded_to_one_without_batch_norm_and_with_the_same_scores(network):
    images, labels, before = digits().test_images, digits().test_labels, deepcopy(network.state_dict())
    assert training.error(network, images, labels, statistics="running") < 0.3
    folded = fold_network(network, images[:2])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 7
    with torch.no_grad():
        scores = network(images)
        assert_close(folded(images), scores, rtol=1e-5, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert not any(module.training for module in [*network.modules(), *folded.modules()])


def test_folding_works_in_inference_mode_and_gives_weights_that_can_still_be_trained(network):
    with torch.inference_mode():
        folded = fold_network(network, digits().test_images[:2])
    folded(digits().test_images[:2]).sum().backward()
    assert folded.stem.conv.weight.grad.any()


class Two(nn.Module):
    """conv and bn, put together in different ways by ``how``."""

    def __init__(self, how):
        super().__init__()
        self.conv, self.bn, self.how = nn.Conv2d(2, 2, 3, padding=1), trained(nn.BatchNorm2d(2)), how
        self.other, self.linear = trained(nn.BatchNorm2d(2)), nn.Linear(4, 4)
        self.norm1d = trained(nn.BatchNorm1d(4))
        self.eval()

    def forward(self, x):
        return self.how(self, x)


def left(folded):
    """Which of the batch norms of `Two` are still there."""
    return [name for name in ("bn", "other", "norm1d") if not isinstance(getattr(folded, name), nn.Identity)]


@pytest.mark.parametrize("how, kept", [
    (lambda net, x: net.bn(net.conv(x)), ["other", "norm1d"]),
    (lambda net, x: net.bn(net.conv(x).relu()), ["bn", "other", "norm1d"]),
    (lambda net, x: net.bn(net.conv(x).relu_()), ["bn", "other", "norm1d"]),  # the same tensor, changed in place
    (lambda net, x: net.bn(net.conv(x).relu_()).sub_(1), ["bn", "other", "norm1d"]),
    (lambda net, x: net.bn(net.conv(x)).relu_(), ["other", "norm1d"]),
    (lambda net, x: net.conv(net.bn(x)), ["bn", "other", "norm1d"]),
    (lambda net, x: net.other(net.bn(net.conv(x))), ["other", "norm1d"]),
    (lambda net, x: net.bn(F.conv2d(x, net.conv.weight)), ["bn", "other", "norm1d"]),
    (lambda net, x: net.bn(net.conv(net.bn(net.conv(x)))), ["other", "norm1d"]),  # twice, and always together
    (lambda net, x: net.norm1d(net.linear(x[:, 0, 0])), ["bn", "other"]),
    (lambda net, x: net.norm1d(net.linear(x.flatten(1, 2)[:, :4])), ["bn", "other", "norm1d"])])  # channels are axis 1
def test_only_a_batch_norm_right_behind_a_layer_is_folded(how, kept):
    x = torch.randn(3, 2, 4, 4)
    net = Two(how)
    folded = fold_network(net, x)
    assert left(folded) == kept
    with torch.no_grad():
        x = torch.randn_like(x)
        assert_close(folded(x), net(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", [
    lambda net, x: net.bn(out := net.conv(x)) + 0.1 * out,
    lambda net, x: net.bn(net.conv(x)) + net.conv(x),
    lambda net, x: net.bn(net.conv(x)) + net.bn(x),
    lambda net, x: net.bn(net.conv(x)) + net.other(net.conv(x)),
    lambda net, x: net.bn(net.conv(x)) + F.conv2d(x, net.conv.weight, padding=1),
    lambda net, x: net.bn(net.conv(x)) * net.bn.weight[0]])
def test_a_pair_that_something_else_uses_is_refused_by_name(how):
    net = nn.Sequential(nn.Conv2d(2, 2, 1), trained(nn.BatchNorm2d(2)), Two(how)).eval()
    with pytest.raises(SettingError, match=r"The output changes with 2\.(bn|other) folded into 2\.conv") as refusal:
        fold_network(net, torch.randn(3, 2, 4, 4))
    assert "1 folded into 0" not in str(refusal.value)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_deep_networks_are_folded_and_rounding_is_not_taken_for_a_mistake():
    torch.manual_seed(0)
    images, net = digits().train_images[:8], SmallNet("plain", 44)
    estimate_population(net, [digits().train_images[:256]])
    folded = fold_network(net.eval(), images)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        largest = net(images).abs().max()
        assert_close(folded(images), net(images), rtol=0, atol=1e-3 * largest.item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_pair_that_something_else_uses_is_refused_in_every_precision(dtype):
    net = Two(lambda net, x: net.bn(out := net.conv(x)) + 1e-3 * out).to(dtype)
    with pytest.raises(SettingError, match="The output changes with bn folded into conv"):
        fold_network(net, torch.randn(3, 2, 4, 4, dtype=dtype))
    net.how = lambda net, x: net.bn(net.conv(x))
    folded = fold_network(net, torch.randn(3, 2, 4, 4, dtype=dtype))
    assert left(folded) == ["other", "norm1d"] and folded.conv.weight.dtype == dtype


def test_a_network_that_cannot_run_in_float64_is_refused():
    net = Two(lambda net, x: net.bn(net.conv(x.float())))
    with pytest.raises(SettingError, match="fails on these images in float64"):
        fold_network(net, torch.randn(3, 2, 4, 4))


@pytest.mark.parametrize("name", ["conv", "bn"])
def test_a_hook_that_changes_values_is_refused_and_stays_where_it_is(name):
    net = Two(lambda net, x: net.bn(net.conv(x)))
    getattr(net, name).register_forward_hook(lambda _module, _inputs, output: output + 1)
    with pytest.raises(SettingError, match="bn folded into conv"):
        fold_network(net, torch.randn(3, 2, 4, 4))
    assert len(getattr(net, name)._forward_hooks) == 1


def test_a_layer_that_computes_its_weight_is_left_as_it_is():
    net = Two(lambda net, x: net.bn(net.conv(x)))
    nn.utils.parametrizations.weight_norm(net.conv)
    assert left(fold_network(net.eval(), torch.randn(3, 2, 4, 4))) == ["bn", "other", "norm1d"]


def test_images_stay_as_they_are_also_where_the_network_works_in_place_on_them():
    net, images = Two(lambda net, x: net.bn(net.conv(x.sub_(1)))), torch.randn(3, 2, 4, 4)
    before = images.clone()
    assert left(fold_network(net, images)) == ["other", "norm1d"]
    assert torch.equal(images, before)


def test_folding_a_frozen_layer_gives_a_frozen_layer():
    conv = nn.Conv2d(1, 3, 1).requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in fold(conv, trained(nn.BatchNorm2d(3))).parameters())


def test_a_layer_with_two_names_is_folded_under_both():
    net = Two(lambda net, x: net.bn(net.alias(x)))
    net.alias = net.conv
    x = torch.randn(3, 2, 4, 4)
    assert_close(fold_network(net, x)(x), net(x), rtol=1e-5, atol=1e-5)


def test_hooks_are_removed_and_the_error_passes_when_the_network_fails():
    net = Two(lambda net, x: net.bn(net.conv(x)).no_such_thing)
    with pytest.raises(AttributeError):
        fold_network(net, torch.randn(3, 2, 4, 4))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize("part", ["", "bn", "linear"])
def test_a_network_with_a_part_in_training_mode_is_not_folded(part):
    net = Two(lambda net, x: net.bn(net.conv(x)))
    net.get_submodule(part).train()
    name = f"The part '{part}'" if part else "The network"
    words = rf"^{name} is in training mode.*Call network.eval\(\) first"
    with pytest.raises(SettingError, match=words):
        fold_network(net, torch.randn(3, 2, 4, 4))


@pytest.mark.parametrize("images, how", [
    (torch.randn(0, 2, 4, 4), lambda net, x: net.bn(net.conv(x))),
    (torch.full((1, 2, 4, 4), math.nan), lambda net, x: net.bn(net.conv(x))),
    (torch.randn(1, 2, 4, 4), lambda net, x: (net.bn(net.conv(x)),))])
def test_outputs_that_cannot_be_compared_are_refused(images, how):
    with pytest.raises(SettingError, match="no tensor of finite numbers"):
        fold_network(Two(how), images)


@pytest.mark.parametrize("layer, norm, words", [
    (nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), r"in training mode.*Call eval\(\)"),
    (nn.Conv2d(1, 3, 1), BatchNorm(3), "in training mode"),
    (nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3, track_running_stats=False).eval(), "no running statistics"),
    (nn.Conv2d(1, 3, 1), nn.BatchNorm2d(4).eval(), "gives 3 channels and the batch norm is built for 4"),
    (nn.BatchNorm2d(3).eval(), nn.Conv2d(1, 3, 1), "a BatchNorm2d and a Conv2d"),
    (nn.Conv1d(1, 3, 1), nn.BatchNorm1d(3).eval(), "a Conv1d and a BatchNorm1d"),
    (nn.Conv2d(1, 3, 1), nn.InstanceNorm2d(3).eval(), "a Conv2d and a InstanceNorm2d")])
def test_what_cannot_be_folded_is_refused_in_words(layer, norm, words):
    with pytest.raises(SettingError, match=words):
        fold(layer, norm)


def test_a_batch_norm_without_running_statistics_is_refused_in_a_network_too():
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)).eval()
    with pytest.raises(SettingError, match="no running statistics"):
        fold_network(net, torch.randn(2, 1, 4, 4))


# --- what it refuses -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 3), (2, 3), (1, 1), (1, 3, 1, 1), (1, 3, 1, 2), (1, 3, 2, 1), (1, 3, 2, 2),
                                   (2, 3, 1, 1), (1, 1, 1, 1)])
def test_a_single_value_a_channel_is_refused_where_pytorch_refuses_it_and_only_there(shape):
    x = torch.randn(shape)
    try:
        F.batch_norm(x, None, None, training=True)
    except ValueError:
        for refusing in (forward, BatchNorm(shape[1])):
            with pytest.raises(SettingError, match=f"{re.escape(str(shape))}, a single value.*2 examples or more"):
                refusing(x)
        BatchNorm(shape[1]).eval()(x)
    else:
        forward(x)
        BatchNorm(shape[1])(x)


@pytest.mark.parametrize("value, word", [(math.nan, "NaN"), (math.inf, "inf"), (-math.inf, "inf")])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 2, 3)])
def test_nan_and_inf_are_refused_by_the_channels_number(shape, value, word):
    x = torch.randn(shape)
    x[1, 3] = value
    for call in (lambda: forward(x), lambda: inference(x, torch.zeros(5), torch.ones(5)), lambda: BatchNorm(5)(x)):
        with pytest.raises(SettingError, match=rf"Channel 3 of x \(counted from 0\) holds {word}: "):
            call()


def test_numbers_too_large_to_square_are_refused_in_training_only():
    x = torch.tensor([[1.0, 3e38], [2.0, 3e38]])
    with pytest.raises(SettingError, match="Channel 1 .* squares are too large for torch.float32"):
        forward(x)
    assert_close(inference(x, torch.zeros(2), torch.ones(2), eps=1e-9), x)


@pytest.mark.parametrize("x, words", [
    (torch.randn(3), r"torch.float32 of shape \(3,\)"),
    (torch.randn(2, 3, 4), r"torch.float32 of shape \(2, 3, 4\)"),
    (torch.randn(2, 3, 4, 4, 4), r"\(m, C\) or \(N, C, H, W\)"),
    (torch.ones(4, 3, dtype=torch.long), "torch.int64"),
    (torch.ones(4, 3, dtype=torch.bool), "torch.bool"),
    (torch.ones(4, 3, dtype=torch.complex64), "torch.complex64"),
    ([[1.0, 2, 3], [3, 4, 5]], "a list"),
    (torch.randn(4, 2), r"with 2 channels, and (gamma|mean) is torch.float32 of shape \(3,\)"),
    (torch.randn(4, 2, 3, 3), "with 2 channels"),
    (torch.randn(4, 3).double(), "the dtype of x")])
def test_batches_that_do_not_fit_are_refused_in_words(x, words):
    with pytest.raises(SettingError, match=words):
        forward(x, torch.ones(3), torch.zeros(3))
    with pytest.raises(SettingError, match=words):
        inference(x, torch.zeros(3), torch.ones(3))


@pytest.mark.parametrize("changed", ["gamma", "beta", "mean", "var"])
def test_the_vector_that_does_not_fit_is_named(changed):
    vectors = {name: torch.ones(3) for name in ("mean", "var", "gamma", "beta")} | {changed: torch.ones(1)}
    with pytest.raises(SettingError, match=rf"and {changed} is torch.float32 of shape \(1,\)"):
        inference(torch.randn(4, 3), **vectors)


@pytest.mark.parametrize("given, words", [
    ({"gamma": [1.0, 2, 3]}, "gamma is a list"), ({"mean": None}, "mean is a NoneType")])
def test_what_is_no_tensor_is_named(given, words):
    with pytest.raises(SettingError, match=words):
        inference(torch.randn(4, 3), **{"mean": torch.zeros(3), "var": torch.ones(3)} | given)


def test_an_empty_batch_has_no_statistics():
    with pytest.raises(SettingError, match=r"\(0, 3\), no value"):
        forward(torch.randn(0, 3))


@pytest.mark.parametrize("eps", [0, -1e-5, math.nan, math.inf, "1e-5", None])
def test_an_eps_that_is_not_above_0_is_refused(eps):
    x = torch.randn(4, 3)
    for call in (lambda: forward(x, eps=eps), lambda: BatchNorm(3, eps=eps),
                 lambda: inference(x, torch.zeros(3), torch.ones(3), eps=eps)):
        with pytest.raises(SettingError, match=f"eps is {eps!r}"):
            call()


@pytest.mark.parametrize("dtype, eps", [(torch.float16, 1e-8), (torch.float32, 1e-46), (torch.float64, 5e-325)])
def test_an_eps_that_the_dtype_rounds_to_0_is_refused_and_a_smaller_one_than_usual_is_not(dtype, eps):
    x, kept = torch.ones(4, 2, dtype=dtype), torch.ones(2, dtype=dtype)
    for call in (lambda eps: forward(x, eps=eps)[0], lambda eps: inference(x, kept, 0 * kept, eps=eps)):
        with pytest.raises(SettingError, match=f"eps is {eps}"):
            call(eps)
        assert not call(8 * torch.finfo(dtype).tiny).any()


@pytest.mark.parametrize("momentum", [-0.1, 1.1, math.nan, "0.1"])
def test_a_momentum_outside_0_to_1_is_refused(momentum):
    _, cache = forward(torch.randn(4, 3))
    for call in (lambda: BatchNorm(3, momentum=momentum),
                 lambda: update(torch.zeros(3), torch.ones(3), cache, momentum)):
        with pytest.raises(SettingError, match=f"momentum is {momentum!r}"):
            call()


def test_averages_gradients_and_counts_that_do_not_fit_are_refused():
    x = torch.randn(4, 3)
    _, cache = forward(x)
    with pytest.raises(SettingError, match=r"running_mean is torch.float32 of shape \(2,\)"):
        update(torch.zeros(2), torch.ones(2), cache)
    with pytest.raises(SettingError, match="seen is 0"):
        update(torch.zeros(3), torch.ones(3), cache, None, seen=0)
    with pytest.raises(SettingError, match=r"dy is torch.float32 of shape \(4, 1\)"):
        backward(torch.ones(4, 1), cache)
    with pytest.raises(SettingError, match="dy is torch.float64"):
        backward(torch.ones(4, 3).double(), cache)
    with pytest.raises(SettingError, match="channels is 0"):
        BatchNorm(0)


@pytest.mark.parametrize("means, variances, m, words", [
    ([], [], 4, "0 means and 0 variances"), (torch.ones(2, 3), torch.ones(1, 3), 4, "2 means and 1 variances"),
    ([torch.ones(3), torch.ones(2)], [torch.ones(3)] * 2, 4, r"one shape \(C\)"),
    (torch.ones(2, 3), torch.ones(2, 3), 1, "m is 1"), (torch.ones(2, 3), torch.ones(2, 3), 0, "m is 0"),
    (torch.ones(2, 3), torch.ones(2, 3), 2.5, "m is 2.5")])
def test_statistics_that_cannot_be_averaged_are_refused(means, variances, m, words):
    with pytest.raises(SettingError, match=words):
        population(means, variances, m)


@pytest.mark.parametrize("call, words", [
    (lambda x, y, cache: backward(x, (y, cache)), r"y, cache = forward\(x\)"),
    (lambda x, y, cache: backward([1], cache), "dy is a list"),
    (lambda x, y, cache: update(cache.mu, cache.var, x), r"y, cache = forward\(x\)"),
    (lambda x, y, cache: population([1.0], [1.0], 4), "must be tensors"),
    (lambda x, y, cache: population(torch.ones(3), torch.ones(3), 4), "must be tensors"),
    (lambda x, y, cache: inference(x, cache.mu, torch.tensor([0, -2, -3], dtype=x.dtype)), "channel 1 .* is -2"),
    (lambda x, y, cache: estimate_population(nn.Sequential(nn.BatchNorm1d(3).double()), [(x, x)]), "images alone"),
    (lambda x, y, cache: estimate_population(nn.BatchNorm1d(2).double(), [x]), "with 3 channels, and running_mean"),
    (lambda x, y, cache: estimate_population(nn.BatchNorm1d(3).double(), [x[0]]), "must be a float tensor"),
    (lambda x, y, cache: fold_network(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).eval(), [x]), "are a list"),
    (lambda x, y, cache: fold_network(None, x), "must be an nn.Module"),
    (lambda x, y, cache: fold_network(nn.Sequential(nn.Linear(3, 3)).eval(), x.long()), "torch.int64"),
    (lambda x, y, cache: fold(nn.Linear(3, 3), nn.BatchNorm1d(3).double().eval()), "Convert one"),
])
def test_what_is_easily_mixed_up_is_refused_in_words(call, words):
    x = torch.randn(5, 3, dtype=torch.float64)
    with pytest.raises(SettingError, match=words):
        call(x, *forward(x))


class NamesItsInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(input=self.conv(x))


def test_a_batch_norm_that_gets_its_input_by_name_is_measured_and_folded_like_another():
    network, images = NamesItsInput(), torch.randn(8, 1, 5, 5)
    estimate_population(network, images.split(4))
    x = network.conv(images)
    assert_close(network.norm.running_mean, x.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    folded = fold_network(network.eval(), images)
    assert isinstance(folded.norm, nn.Identity) and not isinstance(network.norm, nn.Identity)
