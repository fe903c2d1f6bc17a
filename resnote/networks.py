"""Whole networks: `SmallNet` for small images, plain or residual, and `ResNet` for large ones.

`resnote.resnets` describes both and counts them without torch; there stand the published numbers.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from torch import Tensor, nn

from resnote.blocks import BasicBlock, Bottleneck, PlainBlock, check_batch
from resnote.resnets import Architecture, small


class SmallNet(nn.Module):
    """A network for small images (N, in_channels, H, W); gives scores (N, classes).

    After He et al. (2015), §4.2: a 3x3 stem, three stages of n blocks with `width`, 2·width and 4·width channels (the
    second and third start with stride 2), global average pooling, one linear layer. At width 16 on colour images these are
    the paper's CIFAR-10 networks.

    Parameters
    ----------
    block : 'plain', 'residual' or 'bottleneck' (He et al. 2016: 4·width, 8·width and 16·width channels between blocks)
    depth : number of layers with weights, 6n + 2: 8, 14, 20, 26, 32, 38, 44, 50, 56 …; with bottlenecks, 9n + 2
    width : channels of the first stage
    shortcut : where the shape changes, 'zero-pad' (option A) or 'projection' (option B). With option A the plain and the
        residual network of one depth hold exactly the same parameters, and only the additions differ.

    Convolutions are He-initialised (He et al. 2015b, fan-in), from torch's global random state: call
    `torch.manual_seed` before. Raises `SettingError` for an unknown block or shortcut, for a depth that the family does not
    have, and for sizes that are not whole numbers of 1 or more.
    """

    def __init__(self, block: str, depth: int, *, width: int = 8, in_channels: int = 1, classes: int = 10,
                 shortcut: str = "zero-pad"):
        super().__init__()
        architecture = small(block, depth, width=width, shortcut=shortcut, in_channels=in_channels, classes=classes)
        self.architecture, self.in_channels = architecture, architecture.in_channels
        self.stem = nn.Sequential(OrderedDict(
            conv=nn.Conv2d(architecture.in_channels, architecture.width, 3, padding=1, bias=False),
            bn=nn.BatchNorm2d(architecture.width), relu=nn.ReLU()))
        self.stages = nn.Sequential(*(_stage(architecture, number) for number in range(3)))
        self.fc = nn.Linear(architecture.features, architecture.classes)
        _he_initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        check_batch(x, self.in_channels, self.fc.weight.dtype)
        x = self.stem(x)
        x = self.stages(x)
        x = x.mean((2, 3))      # global average pooling
        return self.fc(x)


class ResNet(nn.Module):
    """A residual network for large images (N, in_channels, H, W); gives scores (N, classes).

    Parameters
    ----------
    architecture : what `resnote.resnets.resnet`, `resnext` and `wide_resnet` give

    ``state_dict`` has the names and shapes of torchvision's networks, so that published weights load:
    ``network.load_state_dict(torch.load(file, weights_only=True))``. Convolutions are He-initialised (fan-in), from
    torch's global random state.
    """

    def __init__(self, architecture: Architecture):
        super().__init__()
        if not isinstance(architecture, Architecture):
            raise TypeError(f"ResNet needs an architecture, and got {type(architecture).__name__}. Write "
                            "ResNet(resnets.resnet(50)).")
        self.architecture = architecture
        self.conv1 = nn.Conv2d(architecture.in_channels, architecture.width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(architecture.width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = (_stage(architecture, number) for number in range(4))
        self.fc = nn.Linear(architecture.features, architecture.classes)
        _he_initialise(self)
        self.register_state_dict_post_hook(_to_published_names)
        self.register_load_state_dict_pre_hook(_to_our_names)
        self.register_load_state_dict_post_hook(_name_as_published)

    def forward(self, x: Tensor) -> Tensor:
        check_batch(x, self.architecture.in_channels, self.fc.weight.dtype)
        x = self.conv1(x)
        x = self.bn1(x)
        x = self.relu(x)
        x = self.maxpool(x)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)
        x = x.mean((2, 3))      # global average pooling
        return self.fc(x)


def _stage(architecture, number) -> nn.Sequential:
    first, following = architecture.stage(number)
    blocks = []
    for settings in (first, *[following] * (architecture.blocks[number] - 1)):
        if architecture.block == "plain block":
            blocks.append(PlainBlock(*settings[:3], stride=settings.stride))
        elif architecture.block == "basic block":
            blocks.append(BasicBlock(*settings[:3], stride=settings.stride, shortcut=settings.shortcut))
        else:
            blocks.append(Bottleneck(*settings[:3], stride=settings.stride, shortcut=settings.shortcut,
                                     groups=architecture.groups, stride_first=architecture.version == "v1"))
    return nn.Sequential(*blocks)


def _he_initialise(network) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


# Our blocks hold F(x) in `residual` and the projection in `shortcut`; in published files F's layers stand in the block
# itself, and the projection is called `downsample`.


def _published(name: str) -> str:
    return name.replace(".residual.", ".").replace(".shortcut.", ".downsample.")


def _ours(name: str) -> str:
    return re.sub(r"(layer\d\.\d+\.)(?=conv|bn)", r"\1residual.", name).replace(".downsample.", ".shortcut.")


def _rename(state_dict, prefix, rename) -> None:
    for name in [name for name in state_dict if name.startswith(prefix)]:
        state_dict[prefix + rename(name[len(prefix):])] = state_dict.pop(name)


def _to_published_names(network, state_dict, prefix, _metadata) -> None:
    _rename(state_dict, prefix, _published)


def _to_our_names(network, state_dict, prefix, *_) -> None:
    _rename(state_dict, prefix, _ours)


def _name_as_published(network, incompatible) -> None:
    for names in incompatible:
        names[:] = map(_published, names)
