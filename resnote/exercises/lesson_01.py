"""Exercises and guesses of lesson 01, plain networks."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from resnote.exercises.base import Exercise, Wrong, short
from resnote.exercises.compare import alike, check_numbers, generator_for, one_number
from resnote.exercises.prediction import Prediction

# --- 1. He initialisation ------------------------------------------------------------------------


def he_std(kernel_size, in_channels):
    return (2 / (kernel_size * kernel_size * in_channels)) ** 0.5


_LAYERS = ((5, 7), (3, 16), (1, 64), (1, 1))        # kernel, channels; the last standard deviation is above 1
_STD_SLIPS = (
    (lambda k, c: 2 / (k * k * c), "that is the variance. The standard deviation is its square root."),
    (lambda k, c: (1 / (k * k * c)) ** 0.5,
     "ReLU sets half of the signal to 0, so the variance has to be doubled: 2 / fan_in."),
    (lambda k, c: (2 / c) ** 0.5, "one output adds up kernel × kernel pixels of each channel: count all of them."),
    (lambda k, c: (2 / (k * c)) ** 0.5, "the kernel is square: it covers kernel × kernel pixels."),
    (lambda k, c: (6 / (k * k * c)) ** 0.5,
     "that is the bound of a uniform distribution. Its standard deviation is asked for."),
    (lambda k, c: (2 / (k * k)) ** 0.5, "one output adds up the pixels of every channel: count the channels, too."),
    (lambda k, c: 2 / (k * k * c) ** 0.5, "the 2 stands under the root, too."),
    (lambda k, c: 1 / (k * k * c), "a root is ** 0.5; ** 1 / 2 halves, since the power comes first."),
    (lambda k, c: (2 * k * k * c) ** 0.5,
     "the more inputs are added up, the smaller each weight has to be: divide by fan_in."),
)


def _check_he_std(ask):
    check_numbers(ask, _LAYERS, _STD_SLIPS, _not_he_std)
    return "with it, a ReLU layer passes the signal's mean square on unchanged, on average over the weights."


def _not_he_std(got, kernel_size, in_channels):
    gave = f"he_std({kernel_size}, {in_channels}) gave {got:.4g}"
    if not got > 0:
        return f"{gave}; a standard deviation is a number above 0."
    change = got**2 * kernel_size**2 * in_channels / 2
    return f"{gave}. " + (
        "That is close, as if rounded, or measured on random numbers: compute it." if 0.9 < change < 1.1 else
        f"With it, the signal's mean square would change by a factor of {change:.3g} in each layer, where 1 is needed.")


# --- 2. dead ReLUs -------------------------------------------------------------------------------


def dead_share(outputs):
    return (outputs == 0).all(dim=0).float().mean().item()


def _layers():
    """What ReLU layers may give, an argument of dead_share each."""
    outputs = torch.rand(2000, 10, generator=generator_for(1)) + 0.1
    outputs[:1500, 0] = outputs[:, 2] = 0.5     # a unit that gives the same for every image lives,
    outputs[:, [5, 6, 9]] = 0
    outputs[7, 5] = outputs[900, 9] = 0.7       # as do two that fire once,
    outputs[:1000, 6] = 1e-15                   # and one that hardly fires;
    outputs[[0, 3], 7:] = 0
    outputs[0, :3] = 0                          # the first image has zeros of its own,
    outputs[-1, 3] = 0                          # and so has the last;
    outputs[:, [1, 4, 8]] = 0                   # three units are dead,
    outputs[[2, 5]] = 0                         # and two images move nothing
    return (outputs,), (torch.ones(4, 5),), (torch.zeros(4, 5),), (torch.tensor([[0.0, 3.0, 1.0, 0.0, 5.0, 1.0, 2.0]]),)


_SHARE_SLIPS = (
    (lambda y: (y == 0).float().mean(), "that is the share of zeros. A unit is dead only if it is 0 for every image."),
    (lambda y: (y == 0).all(1).float().mean(),
     "that is the share of images for which all units are 0. Rows are images, columns are units."),
    (lambda y: 1 - (y == 0).all(0).float().mean(), "that is the share of units that live."),
    (lambda y: (y == 0).any(0).float().mean(),
     "'for some image' is not enough. A unit is dead if it is 0 for all images."),
    (lambda y: (y == 0).all(0).sum(), "that is the number of dead units; divide by the number of units."),
    (lambda y: 100 * (y == 0).all(0).float().mean(), "that is in percent. A share runs from 0 to 1."),
    (lambda y: (y[0] == 0).float().mean(), "that looks at the first image only. A unit is dead if it is 0 for all images."),
    (lambda y: (y[-1] == 0).float().mean(), "that looks at the last image only. A unit is dead if it is 0 for all images."),
    *((lambda y, share=share: ((y == 0).float().mean(0) > share).float().mean(),
       "a unit that fires seldom lives. It is dead only if it is 0 for every image.") for share in (0.5, 0.9, 0.95, 0.99)),
    *((lambda y, least=least: (y < least).all(0).float().mean(),
       "a small output is not 0: the unit lives. Compare with 0 exactly.") for least in (0.1, 1e-3, 1e-6, 1e-8)),
)


def _check_dead_share(ask):
    check_numbers(ask, _layers(), _SHARE_SLIPS, _not_dead_share, words=" from 0 to 1")
    return "a dead unit passes no gradient on, for any image, so its own gradient cannot bring it back."


def _not_dead_share(got, outputs):
    units, dead = outputs.shape[1], int((outputs == 0).all(0).sum())
    if dead in (0, units):
        return f"dead_share gave {got:.3g} where {'all units are' if dead else 'no unit is'} dead."
    of = "every image" if len(outputs) > 1 else "the only image"
    return f"dead_share gave {got:.3g} for {units} units of which {dead} {'are' if dead > 1 else 'is'} 0 for {of}."


# --- 3. which illness is it? ---------------------------------------------------------------------


def diagnose(shallow_train, deep_train, deep_test):
    if deep_train > shallow_train + 0.05:
        return "degradation"
    if deep_test > deep_train + 0.05:
        return "overfitting"
    return "neither"


_PATIENTS = (
    ((0.00, 0.40, 0.42), "degradation", "the deeper network is worse on the images it trains on"),
    ((0.02, 0.00, 0.20), "overfitting", "it learns its training images and fails on others"),
    ((0.01, 0.02, 0.03), "neither", "all errors are close to each other"),
    ((0.00, 0.07, 0.08), "degradation", "0.07 more errors on training images is more than 0.05"),
    ((0.00, 0.04, 0.08), "neither", "both gaps, between the training errors and from training to test, are 0.04, which is not more than 0.05"),
    ((0.01, 0.30, 0.60), "degradation", "the training error is already worse, whatever the test error does on top"),
    ((0.30, 0.10, 0.12), "neither", "deeper is better on the training images, and its test error is close"),
    ((0.00, 0.05, 0.05), "neither", "a gap of 0.05 is not larger than 0.05"),
    ((0.00, 0.00, 0.05), "neither", "a gap of 0.05 is not larger than 0.05"),
    ((0.30, 0.30, 0.20), "neither", "its test error is lower, which is no illness"),
    ((0.30, 0.32, 0.50), "overfitting", "the two training errors are within 0.05; the gap is between training and test"),
    ((0.40, 0.10, 0.30), "overfitting", "the gap from training to test is 0.2, although the shallow network is worse still"),
    ((0.90, 0.9505, 0.96), "degradation", "the gap between the training errors is 0.0505, which is more than 0.05"),
    ((0.60, 0.6495, 0.6985), "neither", "both gaps, 0.0495 and 0.049, are not more than 0.05"),
    ((0.89, 0.90, 0.9505), "overfitting", "the gap from training to test is 0.0505, which is more than 0.05"),
    ((0.99, 0.90, 0.9495), "neither", "the gap from training to test is 0.0495, which is not more than 0.05"),
    ((0.90, 1.00, 0.95), "degradation", "the training error is worse by 0.1"),
    ((0.00, 0.055, 0.12), "degradation", "both gaps are there, and degradation is named first"),
)


def _check_diagnose(ask):
    for errors, right, why in _PATIENTS:
        got = ask(*errors)
        call = "diagnose({}, {}, {})".format(*errors)
        if not isinstance(got, str) or got not in ("degradation", "overfitting", "neither"):
            raise Wrong(f"{call} gave {short(got)}; it must give 'degradation', 'overfitting' or 'neither'.")
        if got != right:
            raise Wrong(f"{call} gave {got!r}; {why}, so it is {right!r}.")
    return "training errors tell degradation, the gap to the test error tells overfitting."


# --- 4. a probe -----------------------------------------------------------------------------------


def first_over_last(network, images, labels):
    convs = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    loss = F.cross_entropy(network(images), labels)
    first, last = torch.autograd.grad(loss, [convs[0].weight, convs[-1].weight])
    return ((first**2).sum() / (last**2).sum()).item() ** 0.5


class _Shortcut(nn.Module):
    """Two parallel convolutions with biases, the last one registered being neither the largest nor the last called."""

    def __init__(self, channels):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(channels, 4, 3, padding=1), nn.Conv2d(channels, 4, 1)

    def forward(self, x):
        return self.narrow(x).relu() - 0.5 * self.wide(x)


def _networks():
    """Small networks in float64, with batches for them: with and without biases and batch norm, and no linear layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(14)
        deep = nn.Sequential(
            nn.Conv2d(1, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU(), nn.Sequential(nn.Conv2d(5, 3, 3), nn.ReLU()),
            nn.Conv2d(3, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))
        odd = nn.Sequential(_Shortcut(2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30, 5))
        last = nn.Sequential(nn.Conv2d(1, 3, 3, stride=2), nn.Tanh(), nn.Conv2d(3, 4, 2), nn.Flatten())
        return [(network.double(), 2 * torch.randn(m, *shape, dtype=torch.float64), torch.arange(m) ** 2 % classes)
                for network, m, shape, classes in (
                    (deep, 6, (1, 6, 6), 3), (odd, 3, (2, 5, 6), 5), (last, 5, (1, 6, 5), 4))]


def _norms(network, images, labels, kinds=(nn.Conv2d,), loss=F.cross_entropy, what="weight", p=2):
    layers = [layer for layer in network.modules() if isinstance(layer, kinds) and getattr(layer, what) is not None]
    gradients = torch.autograd.grad(loss(network(images), labels), [getattr(layer, what) for layer in layers])
    return [gradient.norm(p).item() for gradient in gradients]


def _quotient(order=lambda norms: (norms[0], norms[-1]), **how):
    def formula(*case):
        norms = _norms(*case, **how)
        first, last = order(norms) if norms else (0, 1)
        return first / last if last else float("nan")
    return formula


_PROBE_SLIPS = (
    (_quotient(lambda norms: (norms[-1], norms[0])), "that is the last over the first."),
    (_quotient(lambda norms: (norms[0], 1)), "that is the first one's norm alone. Divide by the last one's."),
    (_quotient(lambda norms: (norms[-1], 1)), "that is the last one's norm alone. The first one's is to be divided by it."),
    (_quotient(lambda norms: (norms[0], norms[1])), "that is the first over the second. Take the last convolution."),
    (_quotient(lambda norms: (norms[0] ** 2, norms[-1] ** 2)), "that is the quotient of the squares. A norm is their root."),
    (_quotient(lambda norms: (max(norms), min(norms))), "that is the largest over the smallest. First and last are asked for."),
    (_quotient(p=1), "that adds up absolute values. The norm is the root of the sum of squares."),
    (_quotient(p=float("inf")), "that compares the largest entries. The norm is the root of the sum of squares."),
    (_quotient(what="bias"), "those are the biases' gradients. The weights' are asked for."),
    (_quotient(kinds=(nn.Conv2d, nn.Linear)), "the last layer you took is linear. The last convolution is asked for."),
    (lambda network, *batch: _quotient()(copy.deepcopy(network).eval(), *batch),
     "that is with batch norm in eval mode. Leave the network in the mode it is in."),
    (lambda network, *_: _weights(network), "that compares the weights. Their gradients are asked for."),
)


def _weights(network):
    convs = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return (convs[0].weight.norm() / convs[-1].weight.norm()).item()


def _check_first_over_last(ask):
    case = _networks()[0]
    ask(*case, call=_probed(*case))
    if not case[0].training:
        raise Wrong("your function put the network into eval mode. Leave batch norm in the mode it is in.")
    cases = _networks()
    check_numbers(ask, cases, _PROBE_SLIPS, _not_first_over_last, call=_probed)
    network, images, labels = _networks()[0]
    ask(network, images, labels)                # whatever gradients this leaves, the next call is asked about its own
    case = network, images[:4], labels[:4]
    got, right = one_number(_probed(*case), ask(*case)), first_over_last(*case)
    if not alike(got, right):
        raise Wrong(f"asked a second time about one network, your function gave {got:.4g} where {right:.4g} is right. "
                    "backward() adds to the gradients that stand there: call network.zero_grad() before.")
    return "above 1, the first convolution gets the larger gradient. Where layers' inputs keep their size, the gradient grows on its way back."


def _probed(network, images, labels):
    convs = sum(isinstance(layer, nn.Conv2d) for layer in network.modules())
    return f"first_over_last(network, images, labels), with {convs} convolutions and {len(images)} images,"


def _not_first_over_last(got, *case):
    return (f"{_probed(*case)} gave {got:.4g}, and it is {first_over_last(*case):.4g}: the norm of the first convolution's "
            "weight gradient over the last one's, of the cross-entropy.")


ex1 = Exercise("ex1", _check_he_std, solution=he_std, hints=(
    "One output of a convolution is a sum of fan_in products. How many are there?",
    "The variance of a sum of fan_in independent terms is fan_in times the variance of one.",
    "ReLU halves the second moment, so the variance of a weight must be 2 / fan_in. You return its square root.",
))
ex2 = Exercise("ex2", _check_dead_share, solution=dead_share, hints=(
    "outputs == 0 is True wherever a unit gave 0.",
    "Rows are images: .all(dim=0) asks, for each unit, whether it holds for all images.",
    "The mean of True and False as floats is a share.",
))
ex3 = Exercise("ex3", _check_diagnose, solution=diagnose, hints=(
    "Overfitting cannot raise the training error. What else could?",
    "Compare the two training errors first: more than 0.05 apart, and deep is worse?",
    "If not, compare the deep network's test error with its training error.",
))


ex4 = Exercise("ex4", _check_first_over_last, solution=first_over_last, hints=(
    "[layer for layer in network.modules() if isinstance(layer, nn.Conv2d)] lists the convolutions.",
    "F.cross_entropy(network(images), labels) is the loss; torch.autograd.grad(loss, [one.weight, other.weight]) gives "
    "both gradients.",
))


class guesses:
    """The lesson's predictions; they stand here so that a cell does not give the answer away."""

    slope = Prediction(
        "A gradient comes back through 30 sigmoids. Take the steepest slope a sigmoid has, at each. What do the slopes alone leave of it?",
        {
            "about a thirtieth": "Each sigmoid leaves a quarter of what is left, at best: ¼ · ¼ · ¼ …, thirty times.",
            "about 10⁻¹⁸": "The steepest slope is ¼, and ¼ to the power of 30 is 9·10⁻¹⁹.",
            "all of it": "That would need a slope of 1. A sigmoid's is ¼ at most.",
        },
        answer="about 10⁻¹⁸",
    )

    deeper = Prediction(
        "A plain network with 8 layers, and one with 44, batch norm in both. Which has the lower error on the images it trains on?",
        {
            "the deep one: it has more parameters":
                "It could copy the shallow one and pass the signal through, and be no worse. But training has to find that, and "
                "here it does not.",
            "both the same, near 0": "1,347 small images are few, and each network could learn them by heart. In 110 steps only the shallow one does.",
            "the shallow one": "More layers, and a higher training error: He et al. call it degradation.",
        },
        answer="the shallow one",
    )

    gradients = Prediction(
        "Before the first step of training, with batch norm: how do the gradients of the 44-layer network look, at the first layers?",
        {
            "much smaller than at the last":
                "That is what vanishing would look like. Batch norm with ReLU does the opposite, as with 30 layers above: "
                "the gradient grows on its way back.",
            "about the same": "That would be healthy. Batch norm holds the size of the signal on its way forward, and by dividing it makes the "
                "gradient grow on its way back.",
            "much larger than at the last": "Before the first step they grow towards the input, here more than twentyfold.",
        },
        answer="much larger than at the last",
    )

    agreement = Prediction(
        "44 plain layers, untrained, and two batches of 256 digits each. What is the cosine between their gradients, for the convolution in the middle?",
        {
            "near 1": "That would be fair to expect: both batches hold the same ten kinds of digits. With 8 layers it is above 0.4. "
                      "But a gradient depends on which ReLUs are on, layer after layer; the deeper, the less two batches share.",
            "near 0": "The two batches ask for steps that have nothing in common.",
            "near −1": "Then each batch would undo what the other asks for. It is not as bad: the directions are unrelated.",
        },
        answer="near 0",
    )
