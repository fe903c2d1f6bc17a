"""Exercises and guesses of lesson 06, whole ResNets."""

from __future__ import annotations

from resnote.exercises.base import Exercise
from resnote.exercises.prediction import Prediction
from resnote.exercises.weight_files import check_why_not, why_not
from resnote.exercises.whole_network import MyResNet, basic_stage, check_resnet, check_stage

ex1 = Exercise("ex1", check_stage, solution=basic_stage, hints=(
    "blocks.BasicBlock(in_channels, width, out_channels, stride=…, shortcut=…) is one block. Only the first one of a stage can change the shape.",
    "The first block needs shortcut=\"projection\" where stride is not 1 or in_channels is not width; elsewhere \"identity\".",
    "The other number − 1 blocks are blocks.BasicBlock(width, width, width). nn.Sequential(first, *others) runs them in order.",
))
ex2 = Exercise("ex2", check_resnet, solution=MyResNet, hints=(
    "The stem: nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1).",
    "In stage number place, from 0, a block is blocks.Bottleneck(channels, middle, 4 * middle, …) with middle = width * 2**place. The first block "
    "of each stage has a projection, and stride 2 but in stage 0.",
    "Keep the blocks in an nn.Sequential, so that the network knows their weights. At the end: self.fc(x.mean((2, 3))).",
))
ex3 = Exercise("ex3", check_why_not, solution=why_not, hints=(
    "network.state_dict() gives the network's tensors by name; weights is a dictionary of the same kind.",
    "Missing: [name for name in ours if name not in weights]. Unknown is the same the other way round.",
    "Compare shapes only for names that are in both: weights[name].shape != ours[name].shape.",
))


class guesses:
    """The lesson's predictions; they stand here so that a cell does not give the answer away."""

    cost = Prediction(
        "ResNet-34 has 16 blocks of two 3×3 convolutions, ResNet-50 has 16 bottlenecks of three convolutions. How many multiply–accumulates does "
        "ResNet-50 need, against ResNet-34?",
        {
            "about the same": "4.09 G against 3.66 G: 1.1 times. In a bottleneck only one convolution of three is 3×3, and the widths were chosen for it.",
            "1.5 times as many":
                "It has 1.5 times as many convolutions, but two of three are 1×1, nine times cheaper for equal channels.",
            "four times as many": "Its stages put out four times the channels. But the 3×3 inside a bottleneck works on the squeezed ones.",
        },
        answer="about the same",
    )

    where = Prediction(
        "In which of ResNet-50's four stages are most of the parameters, and in which is most saved for backward?",
        {
            "both in the last stage": "Parameters, yes. But its maps have 7×7 values, where those of the first stage have 56×56.",
            "parameters in the last stage, memory in the first":
                "Weights grow with the square of the channels, and do not care about the size of the maps. Memory is the maps: each stage has twice "
                "the channels on a quarter of the places.",
            "both in the first stage": "Memory, yes. But its convolutions have an eighth of the channels of the last stage, so a 64th of the weights.",
        },
        answer="parameters in the last stage, memory in the first",
    )

    stride = Prediction(
        "In stages 2, 3 and 4 the first bottleneck has stride 2. The authors' code has it on the first 1×1 convolution, torchvision on the 3×3. What "
        "differs between the two ResNet-50?",
        {
            "the parameters": "A stride says where a kernel is applied. The kernel itself has as many numbers.",
            "the work": "With the stride on the 3×3, the 1×1 before it works on the large maps, on four times as many places.",
            "neither": "The outputs have the same shapes, but in one of the two the first 1×1 works on four times as many places.",
        },
        answer="the work",
    )

    depth = Prediction(
        "Residual networks of 8, 20 and 44 layers on 5,000 small photographs of clothes. Which makes fewest errors on test images?",
        {
            "8 layers": "On the digits 8 layers are enough. Here they leave errors on the training images, so there is something to gain.",
            "20 layers": "20 layers beat 8 in each of three seeds, and 44 add nothing, in the time given.",
            "44 layers": "They train well, thanks to + x, and beat 8 layers in some seeds. In the time given they do not reach 20 layers.",
        },
        answer="20 layers",
    )

    replicas = Prediction(
        "Two processes share a batch of 16 images: each computes on its own 8, and the gradients are averaged. Is the loss of the first step the "
        "one that a single process has with all 16?",
        {
            "yes": "It would be without batch norm. With it each process normalises by the mean and variance of its own 8 images.",
            "no": "The weights are the same and so are the images, but each process normalises by the mean and variance of its own 8 images.",
            "only by chance, since the order is random": "Order and images are the same here, to the last pixel. What else depends on the batch?",
        },
        answer="no",
    )
