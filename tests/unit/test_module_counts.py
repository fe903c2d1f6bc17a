"""What is counted on the meta device is what a real run does, for networks of the course and for others."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resnote import counting, resnets
from resnote.blocks import BasicBlock, Bottleneck
from resnote.module_counts import count_module
from resnote.networks import ResNet, SmallNet
from resnote.settings import SettingError


class Around(nn.Module):
    def __init__(self, inside, join):
        super().__init__()
        self.inside, self.join = inside, join

    def forward(self, x):
        return self.join(self.inside(x), x)


class Attention(nn.Module):
    """Two heads, written out, so that every product is a matrix product."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        q, k, v = (part.unflatten(2, (2, 4)).transpose(1, 2) for part in self.qkv(x).chunk(3, 2))
        weights = (q @ k.transpose(2, 3) / 2).softmax(3)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


class Twice(nn.Module):
    """One layer used twice, and a second name for it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 5)
        self.again = self.layer
        self.never = nn.Linear(3, 2)

    def forward(self, x):
        return self.again(self.layer(x).relu())


def conv(i, o, **settings):
    return nn.Conv2d(i, o, 3, padding=1, **settings)


NETWORKS = {
    "plain small net": (SmallNet("plain", 14), (1, 8, 8)), "residual small net": (SmallNet("residual", 14), (1, 9, 8)),
    "basic block": (BasicBlock(4, 6, 8, stride=2, shortcut="projection"), (4, 7, 6)),
    "bottleneck": (Bottleneck(8, 4, 8, groups=2, bias=True, batch_norm=False), (8, 5, 6)),
    "ResNet-18": (ResNet(resnets.resnet(18, classes=7)), (3, 33, 40)),
    # ten others
    "perceptron": (nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.GELU(), nn.Linear(7, 3), nn.LogSoftmax(1)), (3, 2, 2)),
    "depthwise": (nn.Sequential(conv(4, 4, groups=4), nn.BatchNorm2d(4), nn.ReLU6(), nn.Conv2d(4, 9, 1)), (4, 6, 5)),
    "in place": (nn.Sequential(conv(2, 4, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), conv(4, 2)), (2, 5, 5)),
    "dense": (Around(conv(3, 2), lambda fx, x: torch.cat([fx, x], 1)), (3, 4, 4)),
    "gate": (Around(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Sigmoid()), torch.mul), (4, 5, 5)),
    "transposed": (nn.Sequential(nn.ConvTranspose2d(3, 5, 2, stride=2), nn.LeakyReLU(), nn.MaxPool2d(2)), (3, 4, 6)),
    "group norm": (nn.Sequential(conv(3, 6), nn.GroupNorm(3, 6), nn.SiLU(), nn.AvgPool2d(2)), (3, 6, 6)),
    "layer norm": (nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6), nn.Tanh()), (3, 6)),
    "attention": (Attention(), (5, 8)), "one-dimensional": (nn.Sequential(nn.Conv1d(2, 3, 5, dilation=2), nn.ReLU()), (2, 20)),
    "shared": (Twice(), (5,)),
}
networks = pytest.mark.parametrize("name", NETWORKS)


@networks
@pytest.mark.parametrize("training", [True, False])
def test_macs_and_saved_memory_are_those_of_a_real_run(name, training):
    network, shape = NETWORKS[name]
    network = copy.deepcopy(network).train(training)
    weights = {t.untyped_storage().data_ptr() for t in (*network.parameters(), *network.buffers())}
    kept = {}

    def pack(tensor):
        place = tensor.untyped_storage().data_ptr()
        if place not in weights:
            kept[place] = (tensor.untyped_storage().nbytes(), tensor)      # held, so that no place is used twice
        return tensor

    x = torch.randn(2, *shape, requires_grad=True)
    with FlopCounterMode(display=False) as flops, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(x)
    counted = count_module(network, shape, batch=2)
    assert counted.macs == flops.get_total_flops() / 2 and counted.uncounted == ()
    assert counted.saved_for_backward == sum(size for size, _ in kept.values())
    assert counted.parameters == sum(p.numel() for p in network.parameters())


def test_a_block_has_the_rows_and_totals_of_the_closed_form_the_addition_included():
    counted, formula = count_module(BasicBlock(4, 6, 4), (4, 7, 6)), counting.basic_block(4, 6, 4, size=(7, 6))
    assert (counted.parameters, counted.macs) == (formula.parameters, formula.macs)
    assert [(row.output[1:], row.macs) for row in counted.rows] == \
        [(row.output, row.macs) for row in formula.rows]
    assert [row.name for row in counted.rows if row.operation == "convolution"] == ["residual.conv1", "residual.conv2"]


def test_a_resnet_has_the_totals_of_the_closed_form():
    with torch.device("meta"):
        network = ResNet(resnets.resnet(50))
    counted, formula = count_module(network, (3, 224, 224)), resnets.count(resnets.resnet(50))
    assert (counted.parameters, counted.macs, counted.saved_for_backward) == \
        (25_557_032, formula.macs, formula.saved_for_backward)


def test_the_module_is_left_as_it_was():
    network = SmallNet("residual", 8)
    before, hooks = copy.deepcopy(network.state_dict()), [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()]
    count_module(network, (1, 8, 8), batch=2)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert hooks == [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()]
    assert network.training and all(p.grad is None for p in network.parameters())


def test_what_is_not_seen_is_said():
    counted = count_module(Twice(), (5,))
    assert counted.unused == 8 and "8 parameters are used by no operation" in repr(counted)
    distances = Around(nn.Linear(3, 3), torch.cdist)
    counted = count_module(distances, (4, 3))
    assert counted.uncounted and counted.uncounted[0] in repr(counted) and "not counted" in counted._repr_html_()


class Asks(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class OnItsOwn(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = [torch.ones(3)]

    def forward(self, x):
        return x * self.table[0]


@pytest.mark.parametrize("module, shape, words", [
    (nn.Sequential(nn.ReLU(), Asks()), (3,), "value of a tensor in '1'"), (OnItsOwn(), (3,), "register_buffer"),
    (nn.Linear(4, 2), (3,), "does not run on an input of shape"),
    (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(3)), (3,), "does not run in '1'"), (F.relu, (3,), "needs an nn.Module"),
    (nn.ReLU(), (0,), "input_shape")])
def test_what_cannot_be_counted_gets_a_sentence_and_leaves_no_hook(module, shape, words):
    with pytest.raises((SettingError, TypeError), match=words):
        count_module(module, shape)
    if isinstance(module, nn.Module):
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
