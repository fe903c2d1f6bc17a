"""What a probe reports is what a hand-written pass finds, and it leaves no trace."""

from __future__ import annotations

import math
from copy import deepcopy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from resnote.probes import agreement, probe
from resnote.settings import SettingError

same = partial(assert_close, rtol=1e-9, atol=1e-12)  # float64, a few hundred terms


class Net(nn.Module):
    """Two convolutions and a linear layer, called in another order than they are defined in."""

    def __init__(self, inplace=False):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.drop = nn.Dropout(0.5)
        self.relu = nn.ReLU(inplace=inplace)
        self.conv2 = nn.Conv2d(4, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.conv1 = nn.Conv2d(1, 4, 3)

    def forward(self, x):
        x = self.bn(self.conv1(x))
        x = self.relu(x)
        x = self.conv2(x)
        x = self.drop(x)
        return self.fc(x.mean((2, 3)))


def network(**options):
    return Net(**options).double()


def examples(count=10):
    return torch.randn(count, 1, 7, 6, dtype=torch.float64), torch.arange(count) % 3


def outputs_by_hand(net, images):
    """Every layer's output with batch statistics and without dropout."""
    outputs = {"conv1": net.conv1(images)}
    mean, variance = outputs["conv1"].mean((0, 2, 3), keepdim=True), outputs["conv1"].var((0, 2, 3), False, keepdim=True)
    outputs["relu"] = ((outputs["conv1"] - mean) / (variance + net.bn.eps).sqrt()).relu()
    outputs["conv2"] = net.conv2(outputs["relu"])
    return outputs | {"fc": net.fc(outputs["conv2"].mean((2, 3)))}


# --- what it reports -------------------------------------------------------------------------


@pytest.mark.parametrize("inplace", [False, True])
def test_layers_stand_in_forward_order_with_the_mean_and_deviation_of_their_outputs(inplace):
    net, (images, labels) = network(inplace=inplace), examples()
    stats = probe(net, images, labels)
    assert [(layer.name, layer.kind) for layer in stats] == [
        ("conv1", "Conv2d"), ("relu", "ReLU"), ("conv2", "Conv2d"), ("fc", "Linear")]
    outputs = outputs_by_hand(net, images)
    for layer in stats:
        output = outputs[layer.name]
        same(layer.mean, output.mean().item())
        same(layer.std, (output - output.mean()).square().mean().sqrt().item())


def test_gradient_norms_are_those_of_autograd_by_hand():
    net, (images, labels) = network(), examples()
    stats = {layer.name: layer for layer in probe(net, images, labels)}
    twin = deepcopy(net)
    twin.drop.eval()
    F.cross_entropy(twin(images), labels).backward()
    for name in ("conv1", "conv2", "fc"):
        same(stats[name].gradient, getattr(twin, name).weight.grad.square().sum().sqrt().item())
    assert stats["relu"].gradient is None


def test_a_dead_unit_is_a_channel_that_is_0_for_every_image_at_every_place():
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5), nn.ReLU())
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([0, 0, 1, 1]).view(4, 1, 1, 1))
        net[0].bias.copy_(torch.tensor([-1, 1, -9.5, -0.5]))  # dead, alive, alive at one place of one image, at some
        net[3].weight.zero_()
        net[3].bias.copy_(torch.tensor([-1.0, -1, -1, 0, 2]))
    images = torch.arange(12.0).view(3, 1, 2, 2).clamp(max=10)
    images[2, 0, 1, 0] = 0
    conv, relu, linear, last = probe(net, images)
    assert (net[0](images) > 0).sum((0, 2, 3)).tolist() == [0, 12, 1, 10]
    assert (relu.dead, last.dead) == (0.25, 0.8)
    assert conv.dead is None and linear.dead is None


def test_a_module_called_twice_stands_there_twice_with_the_one_gradient_of_its_weight():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.fc = nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.Linear(1, 3)

        def forward(self, x):
            x = self.relu(self.conv(x))
            x = self.relu(self.conv(x - 1))
            return self.fc(x.mean((2, 3)))

    net, (images, labels) = Twice().double(), examples()
    stats = probe(net, images, labels)
    assert [layer.name for layer in stats] == ["conv", "relu", "conv (2)", "relu (2)", "fc"]
    same(stats[0].mean, net.conv(images).mean().item())
    same(stats[2].mean, net.conv(net.conv(images).relu() - 1).mean().item())
    F.cross_entropy(net(images), labels).backward()
    same([stats[0].gradient, stats[2].gradient], [net.conv.weight.grad.norm().item()] * 2)


def test_without_labels_nothing_is_sent_back():
    net, (images, labels) = network(), examples()
    with_labels = probe(net, images, labels)
    without = probe(net, images)
    assert all(layer.gradient is None for layer in without)
    assert [(a.name, a.mean, a.dead) for a in without] == [(b.name, b.mean, b.dead) for b in with_labels]


def test_a_frozen_weight_has_no_gradient_and_the_others_keep_theirs():
    net, (images, labels) = network(), examples()
    before = probe(net, images, labels)
    net.conv2.weight.requires_grad_(False)
    after = probe(net, images, labels)
    assert [layer.gradient is None for layer in after] == [False, True, True, False]
    same(after[0].gradient, before[0].gradient)


@pytest.mark.parametrize("bias", [True, False])
def test_a_network_without_a_weight_that_may_change_is_listed_without_gradients(bias):
    layer = nn.Conv2d(1, 3, 3, bias=bias)
    layer.weight.requires_grad_(False)
    found = probe(nn.Sequential(layer, nn.ReLU(), nn.Flatten()), torch.randn(4, 1, 3, 3), torch.tensor([0, 1, 2, 0]))
    assert [(stats.kind, stats.gradient) for stats in found] == [("Conv2d", None), ("ReLU", None)]


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_what_is_no_network_or_no_image_is_refused_in_words(statistics):
    with pytest.raises(SettingError, match="The network is a builtin_function_or_method; it must be an nn.Module"):
        probe(print, torch.randn(4, 1, 3, 3), statistics=statistics)
    with pytest.raises(SettingError, match="The images are a NoneType"):
        probe(nn.Flatten(), None, statistics=statistics)


def test_gradients_are_measured_under_no_grad_too():
    net, (images, labels) = network(), examples()
    with torch.no_grad():
        assert probe(net, images, labels)[0].gradient > 0


def test_labels_of_any_whole_number_type_give_the_same_gradients():
    net, (images, labels) = network(), examples()
    expected = probe(net, images, labels)
    for dtype in (torch.int32, torch.uint8):
        assert probe(net, images, labels.to(dtype)) == expected


def test_a_layer_whose_output_is_not_used_is_listed_without_a_gradient():
    class Aside(Net):
        def forward(self, x):
            self.aside(x.mean((2, 3)))
            return super().forward(x)

    net, (images, labels) = Aside().double(), examples()
    net.aside = nn.Linear(1, 2).double()
    stats = probe(net, images, labels)
    assert [layer.name for layer in stats] == ["aside", "conv1", "relu", "conv2", "fc"]
    assert [layer.gradient is None for layer in stats] == [True, False, True, False, False]


def test_running_statistics_are_used_where_that_is_asked_for():
    net, (images, labels) = network(), examples()
    net.bn.running_mean.fill_(100.0)
    assert probe(net, images, labels)[1].dead == 0
    assert probe(net, images, labels, statistics="running")[1].dead == 1


def test_a_module_the_forward_pass_leaves_out_is_not_listed():
    net, (images, labels) = network(), examples()
    net.unused = nn.Linear(2, 2)
    assert len(probe(net, images, labels)) == 4


# --- what it leaves behind -------------------------------------------------------------------


class Failure(Exception):
    """Raised on purpose."""


class FailBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        raise Failure


class Failing(nn.Module):
    """Draws random numbers, and fails on the way forward, on the way back, or not."""

    def __init__(self, where):
        super().__init__()
        self.where = where

    def forward(self, x):
        x = x + torch.randn_like(x)
        if self.where == "forward":
            raise Failure
        return FailBackward.apply(x) if self.where == "backward" else x


@pytest.mark.parametrize("statistics", ["batch", "running"])
@pytest.mark.parametrize("where", ["nowhere", "forward", "backward"])
def test_hooks_grads_buffers_modes_and_random_state_are_as_before_even_after_an_error(where, statistics):
    net, (images, labels) = network(), examples()
    net.drop = Failing(where)
    net.conv2.eval()
    kept = []
    net.conv1.register_forward_hook(lambda *_: kept.append(1))
    for weight in net.parameters():
        weight.grad = torch.ones_like(weight)
    before, modes = deepcopy(net.state_dict()), [module.training for module in net.modules()]
    random = torch.get_rng_state()
    if where == "nowhere":
        probe(net, images, labels, statistics=statistics)
    else:
        with pytest.raises(Failure):
            probe(net, images, labels, statistics=statistics)
    assert [len(module._forward_hooks) for module in net.modules()] == [int(m is net.conv1) for m in net.modules()]
    assert kept == [1]
    assert all(torch.equal(weight.grad, torch.ones_like(weight)) for weight in net.parameters())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == modes
    assert net.bn.track_running_stats
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.is_grad_enabled()


def test_it_computes_in_one_thread_and_gives_the_others_back():
    torch.set_num_threads(2)
    net, seen = network(), []
    net.conv1.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    probe(net, *examples())
    assert (seen, torch.get_num_threads()) == ([1], 2)


# --- what it refuses -------------------------------------------------------------------------


@pytest.mark.parametrize("change, words", [
    (lambda x, y: (x, y[1:]), "There are 10 images and 9 labels"),
    (lambda x, y: (x, y.double()), "labels are torch.float64"),
    (lambda x, y: (x, y + 1), "labels run from 1 to 3, and the network scores 3 classes"),
    (lambda x, y: (x * math.nan, y), "infinite or NaN"),
    (lambda x, y: (x[:1], y[:1]), "over a single image"),
])
def test_images_and_labels_that_do_not_fit_are_refused_in_words(change, words):
    with pytest.raises(SettingError, match=words):
        probe(network(), *change(*examples()))


def test_a_single_image_can_be_probed_with_running_statistics():
    assert len(probe(network(), *examples(1), statistics="running")) == 4


# --- whether two batches ask for the same step --------------------------------------------------


def test_agreement_of_one_linear_layer_is_the_cosine_of_errors_times_the_cosine_of_inputs():
    """Its gradient for one image is (softmax − one-hot) ⊗ x, so the cosine is a product of two, here by hand."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 3, bias=False)).double()
    nn.init.zeros_(net[1].weight)  # softmax is 1/3 everywhere
    first = torch.tensor([3.0, 4.0], dtype=torch.float64).reshape(1, 1, 1, 2), torch.tensor([0])
    second = torch.tensor([4.0, 3.0], dtype=torch.float64).reshape(1, 1, 1, 2), torch.tensor([1])
    errors = -1 / 2  # (−2, 1, 1) and (1, −2, 1), both of length √6: −3 / 6
    inputs = 24 / 25
    assert agreement(net, first, second)["1"] == pytest.approx(errors * inputs, abs=1e-12)
    assert agreement(net, first, (2 * first[0], first[1]))["1"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_agreement_is_the_cosine_of_gradients_taken_one_batch_after_the_other(statistics):
    net, (images, labels) = network(), examples(16)
    net(images)  # running statistics of some batch
    batches = (images[:6], labels[:6]), (images[6:], labels[6:])
    by_hand = deepcopy(net)
    by_hand.drop.p = 0.0
    by_hand.bn.train(statistics == "batch")
    gradients = []
    for x, y in batches:
        by_hand.zero_grad()
        F.cross_entropy(by_hand(x), y).backward()
        gradients.append({name: getattr(by_hand, name).weight.grad.flatten().clone() for name in ("fc", "conv2", "conv1")})
    found = agreement(net, *batches, statistics=statistics)
    assert list(found) == ["fc", "conv2", "conv1"]
    for name, one in gradients[0].items():
        other = gradients[1][name]
        assert found[name] == pytest.approx(float(one @ other / one.norm() / other.norm()), abs=1e-9)


def test_agreement_leaves_the_network_as_it_was():
    net, (images, labels) = network(), examples()
    net.fc.weight.grad = torch.ones_like(net.fc.weight)
    before, state = deepcopy(net.state_dict()), torch.get_rng_state()
    agreement(net, (images[:5], labels[:5]), (images[5:], labels[5:]))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(net.fc.weight.grad, torch.ones_like(net.fc.weight)) and net.conv1.weight.grad is None
    assert net.training and net.drop.training and torch.equal(torch.get_rng_state(), state)


def test_agreement_leaves_frozen_weights_out_and_knows_computed_ones():
    net, (images, labels) = network(), examples()
    batches = (images[:5], labels[:5]), (images[5:], labels[5:])
    plain = agreement(net, *batches)
    net.conv2.weight.requires_grad_(False)
    assert agreement(net, *batches) == {name: plain[name] for name in ("fc", "conv1")}
    nn.utils.parametrizations.weight_norm(net.conv1)
    assert agreement(net, *batches)["conv1"] == pytest.approx(plain["conv1"], abs=1e-9)


def test_what_agreement_cannot_compare_is_said():
    net, (images, labels) = network(), examples()
    with pytest.raises(SettingError, match="labels"):
        agreement(net, (images, labels), (images[:4], labels[:3]))
    with pytest.raises(SettingError, match="nothing to compare"):
        agreement(net.requires_grad_(False), (images, labels), (images, labels))
