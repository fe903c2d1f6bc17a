"""Lesson 06's exercises that build, a stage and a ResNet of bottlenecks: checked by the blocks in them and by what they compute."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parameter import UninitializedParameter

from resnote import blocks
from resnote.exercises.base import Raised, Wrong, short
from resnote.exercises.compare import as_it_is, bare, check_tensor, far, generator_for, near, slip
from resnote.training import one_thread


def basic_stage(in_channels, width, number, stride):
    changes = stride != 1 or in_channels != width
    first = blocks.BasicBlock(in_channels, width, width, stride=stride, shortcut="projection" if changes else "identity")
    following = [blocks.BasicBlock(width, width, width) for _ in range(number - 1)]
    return nn.Sequential(first, *following)


class MyResNet(nn.Module):
    def __init__(self, numbers, width, classes):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1))
        channels, stages = width, []
        for place, number in enumerate(numbers):
            middle = width * 2**place
            for block in range(number):
                stride = 2 if block == 0 and place > 0 else 1
                shortcut = "projection" if block == 0 else "identity"
                stages.append(blocks.Bottleneck(channels, middle, 4 * middle, stride=stride, shortcut=shortcut))
                channels = 4 * middle
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.stages(self.stem(x))
        return self.fc(x.mean((2, 3)))


# --- 1. a stage ----------------------------------------------------------------------------------

# with and without a change of channels, up and down, and of the size, alone and together
_STAGES = (4, 4, 2, 1), (4, 6, 3, 2), (5, 3, 1, 1), (3, 3, 2, 2), (3, 5, 2, 1), (2, 4, 1, 3)


def check_stage(ask):
    """Compare blocks, shapes, values and gradients with the solution's, which gets the same weights."""
    for case in _STAGES:
        call = f"basic_stage({', '.join(map(str, case))})"
        made = ask(*case, call=call)
        if isinstance(made, (list, tuple)):
            raise Wrong(f"{call} gave a {type(made).__name__} of blocks. Put them into one module that runs them in order: "
                        "nn.Sequential(*blocks).")
        of = type(ask)(made, MyResNet).of       # a module is asked like one that a class has made
        _check_module(call, of, made, ask.model(*case), blocks.BasicBlock, _images(3, case[0], 7, 6))
    return "the first block changes the shape where it has to, the others keep it, and all run in order."


# --- 2. a network --------------------------------------------------------------------------------

# no two of a stem's and a head's weights have one shape, so each is told by its shape; a slip that makes giants shows in a short one first
_NETWORKS = ((2, 1), 4, 7), ((1, 1, 3), 2, 3), ((2, 1, 2, 1), 3, 5), ((2,), 3, 4), ((1, 1, 1, 1, 1), 2, 3)
_COUNT = 25_557_032


def check_resnet(ask):
    """Compare small networks by their values and gradients; and count the one that must have ResNet-50's parameters."""
    for numbers, width, classes in _NETWORKS:
        call = f"MyResNet({numbers}, {width}, {classes})"
        made = ask(numbers, width, classes, call=call)
        _check_module(call, ask.of, made, ask.model(numbers, width, classes), blocks.Bottleneck, _images(3, 3, 40, 33))
    call = "MyResNet((3, 4, 6, 3), 64, 1000)"
    counted = _counted(ask, call)
    if counted != _COUNT:
        raise Wrong(f"{call} has {counted:,} parameters, and ResNet-50 has {_COUNT:,}; the smaller networks "
                    "that were tried are right. Does a number in your class stand for an argument?")
    return f"{call} has {_COUNT:,} parameters. That is ResNet-50."


def _counted(ask, call) -> int:
    """The parameters of what the answer makes as ResNet-50; without memory, on the meta device, if it can be made there."""
    try:
        with torch.device("meta"):
            made = ask((3, 4, 6, 3), 64, 1000, call=call)
    except Raised:          # numbers computed with tensors, say
        made = None
    if made is None or _open(made):
        made = ask((3, 4, 6, 3), 64, 1000, call=call)
        if _open(made):
            ask.of(made, torch.zeros(2, 3, 32, 32), call=f"{call}(x)")
    return sum(weight.numel() for weight in made.parameters())


# --- what checks share -----------------------------------------------------------------------------


class _Runs:
    """Notes which modules run, in order, however they are kept; `ran` is the list."""

    def __enter__(self):
        self.ran = []
        self._handle = register_module_forward_pre_hook(lambda module, args: self.ran.append(module))
        return self

    def __exit__(self, *stop):
        self._handle.remove()


def _images(*shape) -> torch.Tensor:
    return torch.randn(shape, generator=generator_for(12), dtype=torch.float64)


@one_thread()        # two wait for each other where the machine is busy
def _check_module(call, of, made, right, kind, x) -> None:
    """Raise `Wrong` unless a module is what the right one is; ``of`` asks it, ``kind`` is the kind of its blocks.

    Blocks are compared in the order in which they run. Then both get the same weights and the same images.
    """
    if not isinstance(made, nn.Module):
        raise Wrong(f"{call} gave {short(made)}; it must give a module.")
    if getattr(made.forward, "__func__", None) is nn.Module.forward:
        raise Wrong(f"{call} gave a {type(made).__name__}, which cannot be called with images: it has no forward. nn.Sequential has one.")

    def run(images):
        return of(made, images, call=f"{call}(x) for x of shape {tuple(x.shape)}")

    stopped, got, runs = None, None, _Runs()
    given = x.to(next((weight.dtype for weight in made.parameters() if weight.is_floating_point()), torch.float32))
    try:
        with runs:      # what is built at the first call is built now
            got = run(given)
    except Raised as raised:
        if _open(made):
            raise
        stopped, runs.ran = raised, []
    made.double(), _drawn(right.double())
    known = _in_order(_found(made, kind), runs.ran)
    _check_blocks(call, made, known, right, kind, runs.ran)
    pairs = _pairs_beside(call, made, known, right) if kind is blocks.Bottleneck else _nothing_beside(call, made, known)
    if stopped:         # only now: what is built wrongly often stops, and the words above say more
        raise stopped
    if isinstance(got, torch.Tensor) and got.dtype != given.dtype:
        raise Wrong(f"what {call}(x) returned is {got.dtype} and what went in is {given.dtype}. Keep the type.")
    for block, model in zip(known, _found(right, kind)):
        pairs += zip(_tensors(block).values(), _tensors(model).values())
    with torch.no_grad():
        for mine, theirs in pairs:
            mine.copy_(_fitted(theirs, mine))
    _check_values(call, run, made, right, kind, known, x)
    _check_flow(call, run, made, right, pairs, x)


def _open(module) -> bool:
    """Whether some of a module is built at the first call only."""
    weights = list(module.parameters())
    return not weights or any(isinstance(weight, UninitializedParameter) for weight in weights)


def _found(module, kind) -> list:
    return [part for part in module.modules() if isinstance(part, kind)]


def _tensors(module) -> dict[str, torch.Tensor]:
    return module.state_dict(keep_vars=True)


def _shapes(module) -> list:
    return [(name, value.shape) for name, value in _tensors(module).items()]


def _in_order(known, ran) -> list:
    """Blocks in the order in which they first run; as the module names them where that cannot be told."""
    owner = {part: block for block in known for part in block.modules()}
    order = list(dict.fromkeys(owner[part] for part in ran if part in owner))
    return order if len(order) == len(known) else known


def _drawn(module) -> None:
    """Give a module weights and statistics that no two of its layers share."""
    generator = generator_for(9)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5 if tensor.dim() > 1 else 0.3 + noise.square() if name.endswith("var")
                         else 1 + 0.3 * noise if name.endswith("weight") else 0.3 * noise)


# --- what it is made of ------------------------------------------------------------------------------


def _words(block) -> str:
    convolutions = [layer for layer in block.residual if isinstance(layer, nn.Conv2d)]
    around = "no shortcut" if block.shortcut is None else {
        nn.Identity: "a shortcut that keeps x", blocks.ZeroPad: "a shortcut padded with zeros"}.get(type(block.shortcut), "a projection")
    stride = max(layer.stride[0] for layer in convolutions)
    return (f"{convolutions[0].in_channels} → {convolutions[0].out_channels} → {convolutions[-1].out_channels} channels, stride "
            f"{stride}, {around}")


def _check_blocks(call, made, known, right, kind, ran) -> None:
    """Raise `Wrong` unless the module holds the same blocks in the same order."""
    wanted = _found(right, kind)
    if len(known) != len(wanted):
        raise Wrong(f"{call} holds {len(known)} {'block' if len(known) == 1 else 'blocks'} of kind {kind.__name__}; it must hold "
                    f"{len(wanted)}.{_why_not_number(made, known, kind, ran)}")
    for number, (block, model) in enumerate(zip(known, wanted), start=1):
        if _words(block) != _words(model):
            raise Wrong(f"{call}: block {number} has {_words(block)}; it must have {_words(model)}.")
        if _shapes(block) != _shapes(model):
            raise Wrong(f"{call}: block {number} has {_words(block)}, as it must. {_detail(block, model)}")


def _why_not_number(made, known, kind, ran) -> str:
    """What may explain another number of blocks."""
    hidden = {part for part in ran if isinstance(part, kind)} - {*known}
    if hidden:
        return (f" {len(hidden)} more {'runs' if len(hidden) == 1 else 'run'} and {'is' if len(hidden) == 1 else 'are'} not known to it: modules in a "
                "plain list are not seen, nn.Sequential and nn.ModuleList show them.")
    again = [ran.count(block.residual[0]) for block in known if ran.count(block.residual[0]) > 1]
    if again:
        return f" One block runs {again[0]} times, always with the same weights: build a new one for each place."
    others = sorted({type(part).__name__ for part in _found(made, (blocks.PlainBlock, blocks.BasicBlock, blocks.Bottleneck))} - {kind.__name__})
    if others:
        return f" It has blocks of kind {' and '.join(others)}; build them with blocks.{kind.__name__}."
    return "" if known else (f" Build them with blocks.{kind.__name__}; modules in a plain list are not seen, nn.Sequential and "
                             "nn.ModuleList show them.")


def _detail(mine, right) -> str | None:
    """The first layer with weights in which two modules differ, in words."""
    ours, theirs = ({name: repr(layer) for name, layer in module.named_modules() if isinstance(layer, (nn.Conv2d, _BatchNorm))}
                    for module in (mine, right))
    for name in (*theirs, *ours):
        if ours.get(name) != theirs.get(name):
            name, has, must = (f"its {name}" if name else "it"), ours.get(name), theirs.get(name)
            return (f"But {name} is {has}; it must be {must}." if has and must else f"But {name}, {must}, is missing." if must else
                    f"But {name}, {has}, does not belong there.")
    return None


def _nothing_beside(call, made, known) -> list:
    inside = {id(weight) for block in known for weight in block.parameters()}
    beside = [name for name, weight in made.named_parameters() if id(weight) not in inside]
    if beside:
        raise Wrong(f"{call} has weights beside its blocks: {beside[0]}. A stage is its blocks and nothing else.")
    return []


def _pairs_beside(call, made, known, right) -> list:
    """The stem's and the head's tensors, each with the right one's, told by their shapes; `Wrong` where they are not as they must be."""
    inside = {part for block in known for part in block.modules()}
    beside = [part for part in made.modules() if part not in inside]
    norms = [part for part in beside if isinstance(part, _BatchNorm)]
    loose = [weight for part in beside if part not in norms for weight in part.parameters(recurse=False)]
    wanted = [right.stem[0].weight, right.fc.weight, right.fc.bias]
    found = [next((weight for weight in loose if _fit(weight, theirs)), None) for theirs in wanted]
    if len(norms) == 1 and _shapes(norms[0]) == _shapes(right.stem[1]) and len(loose) == 3 and all(weight is not None for weight in found):
        return [*zip(found, wanted), *zip(_tensors(norms[0]).values(), _tensors(right.stem[1]).values())]
    for kind, words, theirs in ((nn.Conv2d, "convolution, the stem's 7×7", right.stem[0]), (nn.BatchNorm2d, "batch norm, the stem's", right.stem[1]),
                                (nn.Linear, "linear layer, the head's", right.fc)):
        got = [part for part in beside if isinstance(part, kind)]
        if len(got) != 1:
            raise Wrong(f"{call} has {len(got)} layers of kind {kind.__name__} beside its blocks; it must have one {words}.")
        if _shapes(got[0]) != _shapes(theirs):
            raise Wrong(f"{call}: its {words}, is {got[0]}; it must be {theirs}.")
    raise Wrong(f"{call} has weights beside its blocks, its stem and its linear layer. Nothing else has any.")


def _fit(mine, theirs) -> bool:
    """Whether one tensor can hold what another holds: axes of length 1 do not count, and a matrix may be transposed."""
    return bare(mine.shape) == bare(theirs.shape) or theirs.dim() == 2 and bare(mine.shape) == bare(theirs.t().shape)


def _fitted(theirs, mine) -> torch.Tensor:
    return (theirs if bare(mine.shape) == bare(theirs.shape) else theirs.t()).reshape(mine.shape)


# --- what it computes --------------------------------------------------------------------------------


def _check_values(call, run, made, right, kind, known, x) -> None:
    """Compare what both compute, in training mode and in eval mode."""
    for training in (True, False):
        made.train(training), right.train(training)
        with _Runs() as runs:
            got = run(x)
        wanted = right(x)
        check_tensor(f"what {call}(x) returned", got, wanted)
        if not near(got, wanted):
            mode = "in training mode" if training else "in eval mode, and in training mode it is right"
            raise Wrong(f"{call}(x), {mode}: {_why_not_values(got, wanted, made, right, kind, known, runs.ran, x)}")


def _why_not_values(got, wanted, made, right, kind, known, ran, x) -> str:
    if {part for part in ran if isinstance(part, kind)} - {*known}:
        return "it builds new blocks at each call, so nothing that they learn is kept. Build them once, in __init__."
    for number, (block, model) in enumerate(zip(known, _found(right, kind)), start=1):
        times, weight = ran.count(block.residual[0]), block.residual[0].weight
        if not times and (not got.requires_grad or torch.autograd.grad(got.sum(), weight, retain_graph=True, allow_unused=True)[0] is None):
            return f"block {number} is built and does not run."
        if times > 1:
            return f"block {number} runs {times} times. Each block runs once."
        if words := _detail(block, model):
            return f"block {number} has the right channels. {words}"
    words = None
    if kind is blocks.Bottleneck:
        norm = next(part for part in made.modules() if isinstance(part, _BatchNorm) and all(part not in block.modules() for block in known))
        words = repr(norm) != repr(right.stem[1]) and f"its batch norm, the stem's, is {norm}; it must be {right.stem[1]}." or slip(
            got.detach(), lambda *parts: _network(right, x, *parts).detach(), *_SLIPS)
    return words or (f"its weights have the right shapes, and {far(got, wanted)} Do its parts run in order, each once, with nothing else between "
                     "them than what the exercise names?")


def _network(network, x, conv, norm, pool, head, end):
    """What a network gives whose stem or head is another, as arguments say."""
    stride, padding = conv
    stem = F.conv2d(x, network.stem[0].weight, stride=stride, padding=padding)
    return end(network.fc(head(network.stages(pool(norm(stem, network.stem[1]))))))


_SLIPS = (
    (((2, 3), None), ((1, 3), "the stem's convolution has stride 1. It has stride 2."),
     *(((2, padding), f"the stem's convolution has padding {padding}. It has padding 3.") for padding in (0, 1, 2)),
     *(((1, padding), f"the stem's convolution has stride 1 and padding {padding}. It has stride 2 and padding 3.") for padding in (0, 1))),
    ((lambda y, norm: norm(y).relu(), None), (lambda y, norm: norm(y), "the stem's ReLU is missing."),
     (lambda y, norm: norm(y.relu()), "in the stem the ReLU comes before batch norm. It comes after it."),
     (lambda y, norm: norm(y.relu()).relu(), "in the stem a ReLU comes before batch norm, too. There is only the one after it.")),
    ((lambda y: F.max_pool2d(y, 3, 2, 1), None), (as_it_is, "the stem's max pooling is missing."),
     (lambda y: F.avg_pool2d(y, 3, 2, 1), "the stem takes means of 3×3 places. It takes their largest value: max pooling."),
     (lambda y: F.max_pool2d(y, 3, 2), "the stem's max pooling has no padding. It has padding 1."),
     (lambda y: F.max_pool2d(y, 2, 2), "the stem's max pooling looks at 2×2 places. It looks at 3×3, with padding 1."),
     (lambda y: F.max_pool2d(y, 3, 1, 1), "the stem's max pooling has stride 1. It has stride 2."),
     (lambda y: F.max_pool2d(y, 3, 3, 1), "the stem's max pooling has stride 3, as it has where none is given. It has stride 2.")),
    ((lambda maps: maps.mean((2, 3)), None), (lambda maps: maps.amax((2, 3)), "the head takes each map's largest value. It takes the mean."),
     (lambda maps: maps.sum((2, 3)), "the head takes each map's sum. It takes the mean."),
     (lambda maps: maps[:, :, 0, 0], "the head takes each map's first value. It takes the mean of all.")),
    ((as_it_is, None), (F.relu, "a ReLU comes after the last layer. The network ends with the linear layer."),
     (lambda scores: scores.softmax(1), "a softmax comes after the last layer. The network ends with the linear layer: "
                                        "F.cross_entropy takes scores."),
     (lambda scores: scores.log_softmax(1), "a log softmax comes after the last layer. The network ends with the linear layer: "
                                            "F.cross_entropy takes scores."),
     (torch.sigmoid, "a sigmoid comes after the last layer. The network ends with the linear layer.")),
)


def _check_flow(call, run, made, right, pairs, x) -> None:
    """Raise `Wrong` unless the right gradients reach every weight and the images."""
    names = {id(weight): name for name, weight in made.named_parameters()}
    learned = [(mine, theirs) for mine, theirs in pairs if isinstance(theirs, nn.Parameter)]
    for mine, _ in learned:
        if not mine.requires_grad:
            raise Wrong(f"{call}: {names.get(id(mine), 'a weight')} does not require a gradient, so it cannot learn.")
    made.train(), right.train()
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    got, wanted = run(leaves[0]), right(leaves[1])
    if not near(got, wanted):
        raise Wrong(f"{call}(x) gives other values when x requires a gradient, or when it is called again.")
    if not got.requires_grad:
        raise Wrong(f"{call}(x): the values are right, and no gradient flows back. Is a part computed under torch.no_grad(), or detached?")
    upstream = torch.linspace(-1, 2, wanted.numel(), dtype=wanted.dtype).view(wanted.shape)
    ours = torch.autograd.grad((wanted * upstream).sum(), [*(theirs for _, theirs in learned), leaves[1]])
    try:
        theirs = torch.autograd.grad((got * upstream).sum(), [*(mine for mine, _ in learned), leaves[0]], allow_unused=True)
    except RuntimeError as error:
        raise Wrong(f"{call}(x): the values are right, and the backward pass stopped: {error}") from None
    for name, value, right_one in zip([*(names.get(id(mine), "a weight") for mine, _ in learned), "x"], theirs, ours):
        if value is None or (value - _fitted(right_one, value)).abs().max() > 1e-9 * (1 + right_one.abs().max()):
            raise Wrong(f"{call}(x): the values are right, and {'no' if value is None else 'a wrong'} gradient reaches {name}. Is a part "
                        f"computed under torch.no_grad(), {'or detached' if value is None else 'detached, or changed in place afterwards'}?")
