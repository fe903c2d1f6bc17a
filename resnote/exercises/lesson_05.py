"""Exercises and guesses of lesson 05, batch normalization at inference."""

from __future__ import annotations

import copy

import torch
from torch import nn

from resnote.exercises.base import Exercise, Wrong
from resnote.exercises.compare import check_two, check_tensor, far, generator_for, near, signed, slip
from resnote.exercises.folding_slips import bias_slip, check_stack, weight_slip
from resnote.folding import fold
from resnote.exercises.prediction import Prediction

# --- 1. running averages -------------------------------------------------------------------------


def update(running_mean, running_var, x, momentum):
    mean = x.mean(dim=(0, 2, 3))
    var = x.var(dim=(0, 2, 3), correction=1)
    running_mean = (1 - momentum) * running_mean + momentum * mean
    running_var = (1 - momentum) * running_var + momentum * var
    return running_mean, running_var


def _check_update(ask):
    generator = generator_for(6)
    # as many columns as channels: statistics of each pixel apart would be added to them, and silently
    for shape, momentum in (((3, 4, 2, 4), 0.3), ((2, 3, 1, 3), 0.1), ((1, 3, 2, 2), 0.7), ((4, 2, 1, 1), 1.0), ((2, 2, 1, 2), 0.0)):
        x = 1.6 * torch.randn(shape, generator=generator, dtype=torch.float64) - 0.7
        mean, var = torch.rand(2, shape[1], generator=generator, dtype=torch.float64) + 0.4
        mean[1] -= 2
        if momentum == 0.1:
            x[:, 0], x[:, 2], var[1] = 1e-3 * x[:, 0], 5 * x[:, 2] + 9, 1e-6
        # PyTorch moves its averages in place, and so may an answer
        got = ask(mean, var, x, momentum, may_change=("running_mean", "running_var"))
        right = update(mean, var, x, momentum)
        call = f"update(…, momentum={momentum})"
        check_two(call, "running_mean, running_var", got)
        words = "One number for each channel: take the statistics of x over batch, height and width, axes 0, 2 and 3."
        for name, value, wanted in zip(("the running mean", "the running variance"), got, right):
            check_tensor(name, value, wanted, words)
        if near(got[0], right[1]) and near(got[1], right[0]):
            raise Wrong("mean and variance are exchanged: return running_mean, running_var.")
        if not near(got[0], right[0]):
            raise Wrong(f"{call}: the running mean is wrong: " + (
                _why_not_average(got[0], mean, momentum, *_batch_means(x)) or far(got[0], right[0])))
        if not near(got[1], right[1]):
            raise Wrong(f"{call}: the running mean is right, the running variance is wrong: " + (
                _why_not_average(got[1], var, momentum, *_batch_variances(x)) or far(got[1], right[1])))
    return "a tenth of the new, nine tenths of the old, with momentum 0.1; and the variance kept is the unbiased one."


def _why_not_average(got, old, momentum, *batch):
    def formula(new, weights):
        return weights[0] * old + weights[1] * new

    return slip(
        got, formula, batch,
        (((1 - momentum, momentum), None),
         ((momentum, 1 - momentum), "momentum and 1 − momentum are exchanged. In PyTorch, momentum is the share of "
                                    "the new batch."),
         ((0, 1), "that is the batch's own. Keep (1 − momentum) of the old value."),
         ((1, 0), "it has not moved: add momentum times the batch's own."),
         ((1, momentum), "the old value keeps its whole weight. It gets 1 − momentum."),
         ((1 - momentum, 1), "the batch has its whole weight. It gets momentum."),
         ((1, 1), "old and new are added with their whole weights: 1 − momentum for the old, momentum for the new."),
         ((1 + momentum, -momentum), "it moves away from the batch: the sign."),
         ((0.9, 0.1), "your momentum is always 0.1. Use the momentum given."),
         ((1 / 2, 1 / 2), "momentum is not used: old and new are averaged with equal weights.")))


def _batch_means(x):
    return ((x.mean((0, 2, 3)), None), (x.sum((0, 2, 3)), "it takes the batch's sum. Take its mean."),
            (x.mean().expand(x.shape[1]), "the channels are mixed: each has its own mean."),
            (x[0].mean((1, 2)), "it takes the first image only. The mean goes over the batch too."))


def _batch_variances(x):
    dims, n, m = (0, 2, 3), x.shape[0], x.numel() // x.shape[1]
    biased, unbiased = x.var(dims, correction=0), x.var(dims)
    return ((unbiased, None),
            (biased, "it takes the biased variance, divided by m. That one normalises in training; the one that is "
                     "kept is divided by m − 1."),
            (unbiased.sqrt(), "it takes the standard deviation. Keep the variance."),
            (biased.sqrt(), "it takes the standard deviation. Keep the variance, divided by m − 1."),
            (unbiased * m / (m - 1), "Bessel's m / (m − 1) is there twice: x.var divides by m − 1 already."),
            (biased * (m - 1) / m, "Bessel's correction is upside down: m / (m − 1) times the biased variance."),
            (biased * n / (n - 1), "Bessel's m is the number of images here. A channel has N · H · W values."),
            (biased * x.numel() / (x.numel() - 1), "Bessel's m counts all channels here. A channel has N · H · W values."),
            (x.var((2, 3)).mean(0), "it averages the variances of single images. Take one variance over all of the "
                                    "channel's values."),
            (x.var((2, 3), correction=0).mean(0), "it averages the variances of single images. Take one variance over "
                                                  "all of the channel's values."),
            (x.var().expand(x.shape[1]), "the channels are mixed: each has its own variance."),
            (x.square().mean(dims), "it takes the mean of x². Subtract the mean first."))


# --- 2. folding ------------------------------------------------------------------------------------


def fold_into(weight, bias, gamma, beta, mean, var, eps):
    scale = gamma / torch.sqrt(var + eps)
    if bias is None:
        bias = torch.zeros_like(mean)
    return weight * scale.view(-1, 1, 1, 1), scale * (bias - mean) + beta


def _check_fold(ask):
    generator = generator_for(7)
    # first 3 outputs, 3 inputs, 3 × 3: a scale along the wrong axis would go through silently
    for out_channels, in_channels, kernel_size, has_bias in ((3, 3, 3, True), (4, 2, 3, False), (3, 5, 1, True)):
        shape = out_channels, in_channels, kernel_size, kernel_size
        weight = torch.randn(shape, generator=generator, dtype=torch.float64)
        bias, beta, mean = (size * signed(out_channels, generator, 0.4) for size in (3, 1, -1))
        gamma, var = torch.rand(2, out_channels, generator=generator, dtype=torch.float64) + 0.6
        gamma[2] *= -1
        bias, eps = bias if has_bias else None, 0.2
        if kernel_size == 1:
            gamma[0] = var[1] = beta[1] = 0
        if out_channels == 4:
            var[2], var[3], weight[0], eps = 1e-6, 9, 0, 0.01
        got, right = ask(weight, bias, gamma, beta, mean, var, eps), fold_into(weight, bias, gamma, beta, mean, var, eps)
        check_two("fold_into", "weight, bias", got)
        if all(isinstance(one, torch.Tensor) for one in got) and near(got[0], right[1]) and near(got[1], right[0]):
            raise Wrong("weight and bias are exchanged: return weight, bias.")
        check_tensor("the folded weight", got[0], right[0], "The convolution keeps its shape.")
        if not near(got[0], right[0]):
            raise Wrong("the folded weight is wrong: " + (
                weight_slip(got[0], weight, gamma, beta, var, eps) or
                f"{far(got[0], right[0])} Each output channel's filter is multiplied by its γ / √(var + ε)."))
        check_tensor("the folded bias", got[1], right[1], "One number for each output channel.")
        if not near(got[1], right[1]):
            given = "" if has_bias else " (for bias=None)"
            raise Wrong(f"the folded weight is right, the folded bias is wrong{given}: " + (
                bias_slip(got[1], bias, gamma, beta, mean, var, eps) or
                f"{far(got[1], right[1])} Put x = W·u + b into γ / √(var + ε) · (x − mean) + β."))
    return "one convolution gives what convolution and batch norm gave."


# --- 3. Algorithm 2's population statistics ---------------------------------------------------------


def estimate(batches):
    m = len(batches[0])
    mean = torch.stack([x.mean(0) for x in batches]).mean(0)
    var = torch.stack([x.var(0, correction=0) for x in batches]).mean(0)
    return mean, m / (m - 1) * var


def _check_population(ask):
    generator = generator_for(8)
    for number, m, channels in ((6, 4, 3), (3, 2, 5), (1, 3, 2)):
        shifts = torch.randn(number, 1, channels, generator=generator, dtype=torch.float64)
        x = 1.3 * torch.randn(number, m, channels, generator=generator, dtype=torch.float64) + shifts + 0.5
        got, right = ask([batch.clone() for batch in x]), estimate(x)
        call = f"for {number} batches of {m}"
        check_two("estimate", "mean, var", got)
        for name, value, wanted in zip(("the mean", "the variance"), got, right):
            check_tensor(name, value, wanted, "One number for each channel.")
        if near(got[0], right[1]) and near(got[1], right[0]):
            raise Wrong("mean and variance are exchanged: return mean, var.")
        if not near(got[0], right[0]):
            raise Wrong(f"{call} the mean is wrong: " + (_why_not_mean(got[0], x) or far(got[0], right[0])))
        if not near(got[1], right[1]):
            raise Wrong(f"{call} the mean is right, the variance is wrong: " + (
                _why_not_variance(got[1], x) or
                f"{far(got[1], right[1])} It is m / (m − 1) times the mean of the batches' variances."))
    return "Algorithm 2, line 10: the mean of the means, and m / (m − 1) times the mean of the variances."


def _why_not_mean(got, x):
    means = x.mean(1)
    for average in (0 * means[0], means[0]):            # where running averages start
        for mean in means:
            average = 0.9 * average + 0.1 * mean
        if near(got, average):
            return "that is a running average, in which the last batches count most. In Algorithm 2 each counts alike."
    return slip(got, lambda value: value,
                ((x.mean((0, 1)), None), (x.mean(1).sum(0), "the batches' means are added up; take their mean."),
                 (x[0].mean(0), "that is the first batch's. Take the mean over all batches."),
                 (x[-1].mean(0), "that is the last batch's. Take the mean over all batches."),
                 (len(x[0]) / (len(x[0]) - 1) * x.mean((0, 1)), "Bessel's correction is for the variance only."),
                 (x.mean().expand(x.shape[2]), "the channels are mixed.")))


def _why_not_variance(got, x):
    number, m = x.shape[:2]
    each = x.var(1, correction=0)  # biased, one for each batch

    def formula(variance, factor):
        return variance * factor

    rows = x.flatten(0, 1)
    if near(got, rows.var(0)) or near(got, rows.var(0, correction=0)):
        return ("that is the variance of all rows together. Algorithm 2 keeps the batches apart, as a deep "
                "layer needs, whose inputs were normalised batch by batch: it averages their variances.")
    if any(near(got, value) for std in (each.sqrt().mean(0), x.std(1).mean(0)) for value in (std, std.square())):
        return "that averages standard deviations. Average the variances."
    return slip(
        got, formula,
        ((each.mean(0), None), (each.sum(0), "the variances are added up; take their mean."),
         (each[0], "that is the first batch's. Take the mean over all batches."),
         (each[-1], "that is the last batch's. Take the mean over all batches."),
         (x.mean(1).var(0, correction=0), "that is how much the batches' means vary. Average the variances within the "
                                          "batches.")),
        ((m / (m - 1), None),
         (1, "Bessel's m / (m − 1) is missing: a batch's variance around its own mean comes out too small."),
         ((m / (m - 1)) ** 2, "Bessel's correction is there twice: x.var(0) divides by m − 1 already."),
         ((m - 1) / m, "Bessel's correction is upside down: m / (m − 1)."),
         (number / max(number - 1, 1), "m is the size of a batch, not the number of batches."),
         (number * m / (number * m - 1), "m is the size of one batch, not of all of them together.")))


# --- 4. a whole stack ---------------------------------------------------------------------------------


def fold_stack(stack):
    layers = []
    for layer in copy.deepcopy(stack):
        if isinstance(layer, nn.BatchNorm2d) and layers and isinstance(layers[-1], nn.Conv2d):
            layers[-1] = fold(layers[-1], layer)
        else:
            layers.append(layer)
    return nn.Sequential(*layers).eval()


def _stacks():
    """Stacks for images with 3 channels, in eval mode: with strides, groups, and batch norms that have to stay."""
    yield nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5, eps=0.1), nn.ReLU(),
        nn.Conv2d(5, 5, 3, stride=2), nn.BatchNorm2d(5, eps=0.02), nn.ReLU())
    yield nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4, eps=0.3),
        nn.Conv2d(4, 6, 3, padding=(1, 2), dilation=(1, 2), groups=2, bias=False), nn.BatchNorm2d(6, eps=0.05),
        nn.Conv2d(6, 2, (2, 1)))


def _check_fold_stack(ask):
    for stack in _stacks():
        for norm in stack.eval():
            if isinstance(norm, nn.BatchNorm2d):
                for name, mean in (("weight", 0.8), ("bias", 0.3), ("running_mean", -0.4)):
                    getattr(norm, name).data.normal_(mean, 0.6)
                norm.running_var.uniform_(0.3, 2)[-1] = 1e-3
                norm.weight.data[0].abs_().neg_()
        kept = copy.deepcopy(stack)
        got = ask(stack, call=f"fold_stack({' → '.join(type(layer).__name__ for layer in kept)})")
        check_stack(stack, kept, got, fold_stack(kept))
    return "behind no convolution is a batch norm left, and the stack given is as it was."


ex1 = Exercise("ex1", _check_update, solution=update, hints=(
    "Two steps: the batch's statistics, one number for each channel; then mix them with the old ones.",
    "Axes 0, 2 and 3 are batch, height and width: x.mean(dim=(0, 2, 3)).",
    "In PyTorch, momentum is the share of the new: (1 − momentum) · old + momentum · batch.",
    "The variance that is kept is unbiased, divided by m − 1: x.var(dim=(0, 2, 3), correction=1).",
))
ex2 = Exercise("ex2", _check_fold, solution=fold_into, hints=(
    "Write batch norm in eval mode as scale · x + shift, with x = W·u + b. What is the scale? What is the shift?",
    "scale = γ / √(var + ε), one for each output channel: axis 0 of the weight, so scale.view(-1, 1, 1, 1).",
    "scale · (W·u + b − mean) + β: what multiplies u is the new weight, the rest is the new bias.",
    "The new bias is scale · (b − mean) + β. Without a bias, b is 0.",
))
ex3 = Exercise("ex3", _check_population, solution=estimate, hints=(
    "The batches have the same size m. Each has a mean and a variance; Algorithm 2 averages both over the batches.",
    "A batch's own variance, divided by m, is too small on average. Bessel's m / (m − 1) makes up for it.",
    "torch.stack([...]).mean(0) averages a list of tensors; x.var(0, correction=0) is a batch's biased variance.",
))
ex4 = Exercise("ex4", _check_fold_stack, solution=fold_stack, hints=(
    "Begin with copy.deepcopy(stack): what you change then is yours. Go through its layers, and keep a list of those "
    "that stay. What do you do with a batch norm whose layer before is a convolution?",
    "Put fold(layers[-1], layer) in the convolution's place, and leave the batch norm out. All other layers join the list. "
    "At the end: nn.Sequential(*layers).eval().",
))


# --- guesses before the experiments ---------------------------------------------------------------


class guesses:
    """The lesson's predictions; they stand here so that a cell does not give the answer away."""

    mates = Prediction(
        "One image goes through a trained network twice, in train mode, each time with other images beside it. What "
        "comes out for that image?",
        {
            "the same scores both times": "In train mode the mean and the variance are the batch's. The other images "
                                          "are in them.",
            "other scores": "The other images are in the mean and the variance that it is normalised with.",
            "an error": "Train mode refuses only a channel with a single value. Here it has many.",
        },
        answer="other scores",
    )

    stale = Prediction(
        "After only 22 steps of training you measure the error twice: in eval mode, and with the test images' own "
        "statistics. Which is larger?",
        {
            "in eval mode": "Eval mode lags: its averages come from earlier steps, when the network was another one.",
            "with the images' own statistics": "These come from the network as it is now. The running averages come "
                                               "from earlier steps.",
            "both the same": "They would be close if the network stood still. It has moved, and the averages come from earlier steps.",
        },
        answer="in eval mode",
    )

    sorted_batches = Prediction(
        "A trained network in train mode, on batches of 32. In one run the images are shuffled, in the other each "
        "batch holds a single class. What happens to the test error?",
        {
            "it stays: 32 images are enough": "They are enough if they are a fair sample. A single class is not.",
            "it falls with sorted batches": "What the images of a batch have in common is in its mean, and is subtracted.",
            "it grows much with sorted batches": "What a class has in common is in the batch's mean, and is subtracted.",
        },
        answer="it grows much with sorted batches",
    )

    few = Prediction(
        "A network with batch norm and one with group norm learn in batches of a single image, 300 steps each. Their last "
        "maps are 2×2, so PyTorch refuses nothing. Then both are tested in eval mode. What do you expect?",
        {
            "both learn": "Batch norm trains, but without mates it subtracts each image's own mean, in every channel.",
            "group norm learns, batch norm hardly or not": "Without mates, batch norm subtracts each image's own mean, in "
                                                           "every channel. Group norm keeps how channels differ.",
            "neither learns: one image is too little": "Steps of single images are noisy, but stochastic gradient descent "
                                                       "began with them. Group norm does not mind.",
        },
        answer="group norm learns, batch norm hardly or not",
    )

    frozen = Prediction(
        "Fine-tuning on mirrored digits, with batches of 8. Which of the four ends with most errors?",
        {
            "averages learn on, mixed batches": "A mixed batch is a fair sample, if a small one. Train and eval mode then see nearly the same.",
            "averages learn on, one class a batch": "The batch's mean holds what the class has in common, and is subtracted. In eval mode other "
                                                    "numbers are subtracted.",
            "averages frozen, mixed batches": "The averages are those of other images, but the loss sees them too, and the weights learn for them.",
            "averages frozen, one class a batch": "Such batches are hard to learn from. But at least the network learns with the statistics with "
                                                  "which it is used.",
        },
        answer="averages learn on, one class a batch",
    )
