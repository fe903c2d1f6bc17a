"""The published networks: counts to the digit, the same in closed form and as modules, under torchvision's names."""

import re

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resnote import resnets
from resnote.networks import ResNet, SmallNet
from resnote.resnets import blocks_per_stage, count, resnet, resnext, small, wide_resnet
from resnote.settings import SettingError

PUBLISHED = {   # parameters, G MACs at 224 x 224
    resnet(18): (11_689_512, 1.814), resnet(34): (21_797_672, 3.664), resnet(50): (25_557_032, 4.089),
    resnet(101): (44_549_160, 7.801), resnet(152): (60_192_808, 11.514),
    resnext(50, 32, 4): (25_028_904, 4.230), resnext(101, 32, 8): (88_791_336, 16.414),
    wide_resnet(50): (68_883_240, 11.398), wide_resnet(101): (126_886_696, 22.753),
    resnet(50, version="v1"): (25_557_032, 3.858)}
published = pytest.mark.parametrize("architecture", PUBLISHED, ids=lambda a: f"{a.name} {a.version}")


def on_meta(architecture):
    with torch.device("meta"):
        return ResNet(architecture)


@published
def test_the_closed_form_gives_the_published_numbers(architecture):
    parameters, giga_macs = PUBLISHED[architecture]
    counted = count(architecture)
    assert counted.parameters == parameters and round(counted.macs / 1e9, 3) == giga_macs


@pytest.mark.parametrize("architecture", [pytest.param(a, id=f"{a.name} {a.version}", marks=[] if a.depth < 100 else pytest.mark.thorough)
                                          for a in PUBLISHED])
def test_the_module_has_the_parameters_and_does_the_work_that_are_counted(architecture):
    network = on_meta(architecture)
    assert sum(p.numel() for p in network.parameters()) == count(architecture).parameters
    with FlopCounterMode(display=False) as flops:
        assert network(torch.randn(1, 3, 224, 224, device="meta")).shape == (1, 1000)
    assert flops.get_total_flops() == 2 * count(architecture).macs


TABLE_6 = {20: "0.27", 32: "0.46", 44: "0.66", 56: "0.85", 110: "1.7", 1202: "19.4"}      # million parameters, as printed there


@pytest.mark.parametrize("depth", TABLE_6)
@pytest.mark.parametrize("block", ["plain", "residual"])
def test_the_family_for_small_images_has_the_parameters_of_the_papers_table_6(block, depth):
    counted = count(small(block, depth), 32)
    digits = len(TABLE_6[depth].split(".")[1])
    assert f"{counted.parameters / 1e6:.{digits}f}" == TABLE_6[depth]
    assert small(block, depth).depth == depth
    b = count(small(block, depth, shortcut="projection"), 32)
    # option B: 1x1 convolutions from 16 to 32 and from 32 to 64 channels, and their batch norms
    assert b.parameters - counted.parameters == (0 if block == "plain" else 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64)


SMALL_ONES = [small("plain", 20), small("residual", 20), small("residual", 14, shortcut="projection", width=5, classes=3),
              small("bottleneck", 29), small("bottleneck", 20, shortcut="projection", in_channels=1, width=8)]


@pytest.mark.parametrize("architecture", SMALL_ONES, ids=lambda a: f"{a.name} {a.shortcut}")
def test_a_small_network_has_the_parameters_and_does_the_work_that_are_counted(architecture):
    with torch.device("meta"):
        network = SmallNet(architecture.name.split("-")[0], architecture.depth, width=architecture.width,
                           in_channels=architecture.in_channels, classes=architecture.classes, shortcut=architecture.shortcut)
    assert network.architecture == architecture
    counted = count(architecture, (32, 30))
    assert sum(p.numel() for p in network.parameters()) == counted.parameters
    with FlopCounterMode(display=False) as flops:
        assert network(torch.randn(1, architecture.in_channels, 32, 30, device="meta")).shape == (1, architecture.classes)
    assert flops.get_total_flops() == 2 * counted.macs
    assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) and "shortcut" not in name for name, m in network.named_modules()) == architecture.depth


@pytest.mark.parametrize("block, depth, words", [("plain", 21, "6n \\+ 2 layers. Use 20 or 26"), ("bottleneck", 20 + 1, "9n \\+ 2 layers. Use 20 or 29"),
                                                 ("basic", 20, "'plain', 'residual' or 'bottleneck'"), ("residual", 0, "depth")])
def test_a_small_network_that_there_is_not_gets_a_sentence(block, depth, words):
    with pytest.raises(SettingError, match=words):
        small(block, depth)
    with pytest.raises(SettingError, match=words):
        SmallNet(block, depth)
    with pytest.raises(SettingError, match="'zero-pad' or 'projection'"):
        small("residual", 20, shortcut="identity")


@pytest.mark.parametrize("n", [1, 2, 18])
def test_blocks_per_stage_is_the_n_of_6n_plus_2_and_of_9n_plus_2(n):
    assert blocks_per_stage(6 * n + 2) == blocks_per_stage(9 * n + 2, 3) == n


def test_memory_for_training_is_three_numbers_a_parameter_and_what_each_image_keeps():
    counted = count(resnet(18))
    assert counted.training_bytes(32) == 12 * 11_689_512 + 32 * counted.saved_for_backward
    with pytest.raises(SettingError, match="batch"):
        counted.training_bytes(0)


def test_a_table_has_a_row_for_each_part_that_adds_up_to_the_total():
    for architecture, size in ((resnet(50), 224), (small("residual", 20), 32)):
        lines = [[cell.replace(",", "") for cell in re.split(r" {2,}", line)] for line in count(architecture, size).as_text().splitlines()
                 if not line.startswith("-")]
        parts, total = lines[1:-1], lines[-1]
        assert [row[0] for row in parts] == ["image", "stem", *(f"stage {n}" for n in range(1, len(architecture.blocks) + 1)), "head"]
        assert [sum(int(row[place]) for row in parts) for place in (-3, -2)] == [int(total[-3]), int(total[-2])]
        assert [row[2] for row in parts[2:-1]] == list(map(str, architecture.blocks))
        assert "<table>" in count(architecture, size)._repr_html_()


@pytest.mark.parametrize("architecture, size", [(architecture, (20, 17)) for architecture in SMALL_ONES] + [
    (resnet(18, in_channels=2, classes=7), 33), (resnet(50), (40, 65)), (resnet(50, version="v1"), 64), (resnext(50), 48)],
    ids=lambda value: getattr(value, "name", None))
def test_what_training_keeps_is_what_autograd_saves(architecture, size):
    size = size if isinstance(size, tuple) else (size, size)
    network, kept = (ResNet(architecture) if architecture.stem == "7x7" else SmallNet(
        architecture.name.split("-")[0], architecture.depth, width=architecture.width, in_channels=architecture.in_channels,
        classes=architecture.classes, shortcut=architecture.shortcut)), {}
    weights = {p.untyped_storage().data_ptr() for p in (*network.parameters(), *network.buffers())}

    def pack(tensor):
        place = tensor.untyped_storage().data_ptr()
        if place not in weights:
            kept[place] = tensor.untyped_storage().nbytes()
        return tensor
    x = torch.randn(1, architecture.in_channels, *size)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        scores = network(x)
    assert scores.shape == (1, architecture.classes)
    assert sum(kept.values()) == count(architecture, size).saved_for_backward


@pytest.mark.thorough
@pytest.mark.parametrize("architecture", [resnet(18), resnet(50), resnet(50, version="v1"), resnet(101)],
                         ids=lambda a: f"{a.name} {a.version}")
def test_the_receptive_field_is_the_part_of_the_image_that_moves_one_value(architecture):
    """On an image that is wider than the field, one value in the middle of a stage, its gradient with all weights positive.

    Everything stays positive, so ReLU hides nothing; max pooling would, and gives way to a mean."""
    network = ResNet(architecture).double().eval()
    network.maxpool = nn.AvgPool2d(3, 2, 1)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    for stage, counted in enumerate(count(architecture).stages[:2], start=1):
        side = 2 * counted.receptive_field + 65
        x = torch.ones(1, 3, side, 1, dtype=torch.float64, requires_grad=True)        # one column: fast
        y = network.maxpool(network.bn1(network.conv1(x)))
        for number in range(1, stage + 1):
            y = getattr(network, f"layer{number}")(y)
        moved = torch.autograd.grad(y[0, 0, y.shape[2] // 2, 0], x)[0][0, 0, :, 0].nonzero().flatten()
        assert moved.max() - moved.min() + 1 == counted.receptive_field


def torchvision_names(architecture):
    """Names and shapes of torchvision's state_dict, written down from its `_make_layer` and not from our modules."""
    def norm(name, channels):
        return {f"{name}.{what}": (channels,) for what in ("weight", "bias", "running_mean", "running_var")} | {
            f"{name}.num_batches_tracked": ()}

    names = {"conv1.weight": (64, architecture.in_channels, 7, 7)} | norm("bn1", 64)
    inplanes, expansion = 64, 4 if architecture.depth >= 50 else 1
    for layer, (planes, blocks) in enumerate(zip((64, 128, 256, 512), architecture.blocks), start=1):
        for number in range(blocks):
            block = f"layer{layer}.{number}"
            width = planes * architecture.group_width // 64 * architecture.groups
            convs = [(width, inplanes, 1), (width, width // architecture.groups, 3), (planes * 4, width, 1)] \
                if expansion == 4 else [(planes, inplanes, 3), (planes, planes, 3)]
            for place, (out, into, kernel) in enumerate(convs, start=1):
                names |= {f"{block}.conv{place}.weight": (out, into, kernel, kernel)} | norm(f"{block}.bn{place}", out)
            if number == 0 and (layer > 1 or inplanes != planes * expansion):
                names |= {f"{block}.downsample.0.weight": (planes * expansion, inplanes, 1, 1)}
                names |= norm(f"{block}.downsample.1", planes * expansion)
            inplanes = planes * expansion
    return names | {"fc.weight": (architecture.classes, 512 * expansion), "fc.bias": (architecture.classes,)}


@published
def test_a_state_dict_has_torchvisions_names_and_shapes(architecture):
    found = {name: tuple(value.shape) for name, value in on_meta(architecture).state_dict().items()}
    assert found == torchvision_names(architecture)
    assert not any(re.search("residual|shortcut", name) for name in found)


@pytest.mark.thorough
@pytest.mark.parametrize("architecture", [resnet(18), resnext(50)], ids=lambda a: a.name)
def test_weights_under_published_names_load_and_give_the_same_scores(architecture, tmp_path):
    one, other, x = ResNet(architecture), ResNet(architecture), torch.randn(2, 3, 40, 40)
    one(x)                                          # running statistics of its own
    torch.save(one.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(one.eval()(x), other.eval()(x))
    whole = nn.Sequential(ResNet(architecture))     # and as a part of another module
    whole.load_state_dict({f"0.{name}": value for name, value in one.state_dict().items()})
    assert torch.equal(whole.eval()(x), one(x)) and all(name.startswith("0.") for name in whole.state_dict())


def test_what_does_not_fit_is_named_as_in_the_file():
    network = ResNet(resnet(18))
    weights = network.state_dict()
    del weights["layer1.0.conv1.weight"]
    weights["layer2.0.downsample.7.weight"] = torch.zeros(1)
    with pytest.raises(RuntimeError, match=r"(?s)layer1\.0\.conv1\.weight.*layer2\.0\.downsample\.7\.weight"):
        network.load_state_dict(weights)


@pytest.mark.parametrize("make, words", [
    (lambda: resnet(51), "no ResNet-51: the paper's depths are 18, 34, 50, 101, 152"), (lambda: resnet("50"), "whole number"),
    (lambda: resnet(50, version="v2"), "'v1.5'"), (lambda: resnext(18), "Use depth 50, 101 or 152"),
    (lambda: wide_resnet(50, 0), "factor"), (lambda: resnext(50, 0), "groups"), (lambda: count(resnet(18), 0), "size"),
    (lambda: resnext(49), "no ResNeXt-49")])
def test_what_there_is_not_gets_a_sentence(make, words):
    with pytest.raises(SettingError, match=words):
        make()


def test_a_network_asks_for_an_architecture_and_says_how_to_get_one():
    with pytest.raises(TypeError, match=r"ResNet\(resnets.resnet\(50\)\)"):
        ResNet(50)
    assert resnets.BLOCKS.keys() == {18, 34, 50, 101, 152}
