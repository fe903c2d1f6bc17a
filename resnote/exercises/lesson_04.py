"""Exercises and guesses of lesson 04, batch normalization in training."""

from __future__ import annotations

import torch

from resnote.exercises import suspects
from resnote.exercises.backward_slips import WHY
from resnote.exercises.base import Exercise, NotAnswered, Unfinished, Wrong, short
from resnote.exercises.compare import NORM_FUNCTIONS, Watch, check_gradients, check_tensor, far, generator_for, near, signed, slip
from resnote.exercises.group_norm import MyGroupNorm, check_group_norm
from resnote.exercises.norm_slips import affines, roots
from resnote.exercises.prediction import Prediction

# --- 1. Algorithm 1 for images -------------------------------------------------------------------


def batch_norm_images(x, gamma, beta, eps):
    mu = x.mean(dim=(0, 2, 3), keepdim=True)
    var = x.var(dim=(0, 2, 3), correction=0, keepdim=True)
    x_hat = (x - mu) / torch.sqrt(var + eps)
    return gamma.view(1, -1, 1, 1) * x_hat + beta.view(1, -1, 1, 1)


def _cut(mu_cut, var_cut):
    """`batch_norm_images` with mean, variance or both outside autograd's graph."""
    def cut(x, gamma, beta, eps):
        mu, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
        x_hat = (x - (mu.detach() if mu_cut else mu)) / ((var.detach() if var_cut else var) + eps).sqrt()
        return gamma.view(1, -1, 1, 1) * x_hat + beta.view(1, -1, 1, 1)
    return cut


_CUTS = tuple((_cut(*cut), f"{what} outside autograd's graph (no_grad, or detach). x moves μ and σ² too, so its gradient "
                           "flows through both.") for cut, what in (
    ((True, True), "μ and σ² are"), ((True, False), "μ is"), ((False, True), "σ² is")))


def _check_batch_norm(ask):
    generator = generator_for(4)
    # as many columns as channels: gamma alone would go along the columns, and silently
    for shape, eps in (((3, 4, 5, 4), 0.2), ((2, 3, 1, 3), 0.5), ((2, 5, 2, 5), 1e-3)):
        x = 2 * torch.randn(shape, generator=generator, dtype=torch.float64) + 1.5
        gamma = signed(shape[1], generator, 0.3)
        beta = 2 * signed(shape[1], generator, 0.6)
        if eps == 1e-3:
            gamma[1], beta[2] = 0, 0
            x[:, 0], x[:, 3] = 1e-4 * x[:, 0], 30 * x[:, 3]
        with Watch(*NORM_FUNCTIONS) as watch:
            got = ask(x, gamma, beta, eps)
        right = batch_norm_images(x, gamma, beta, eps)
        check_tensor("what you returned", got, right, "Every value of x stays at its place.")
        if not near(got, right):
            raise Wrong(_why_not_batch_norm(got, x, gamma, beta, eps) or
                        f"{far(got, right)} Go through Algorithm 1 line by line: μ, σ², x̂, y.")
        if watch.called:
            raise Unfinished("the values are right, and they come from PyTorch's own norms. Write the four lines of "
                             "Algorithm 1: that is what the exercise is about.")
    check_gradients(ask, (x[:, 1:4], gamma[1:4], beta[1:4], 0.1), _CUTS)
    return "one mean and one variance for each channel, over batch, height and width."


def _why_not_batch_norm(got, x, gamma, beta, eps):
    def formula(dims, correction, mean, root, affine, shaped):
        mu, var = shaped(x.mean(dims, keepdim=True), x.var(dims, correction=correction, keepdim=True))
        return affine((x - mean * mu) / root(var))

    def by_column(statistic):
        return statistic.flatten() if statistic.numel() == x.shape[-1] else statistic

    def rows(y):            # as a table with a row for each pixel of each image, cut into the shape of x
        return y.movedim(1, -1).reshape(x.shape)

    right = batch_norm_images(x, gamma, beta, eps)
    if near(got, rows(right)):
        return ("the values are right and stand at other places: reshape to (N, H, W, C) first, then bring the channels "
                "back with movedim(-1, 1).")
    flat = x.reshape(-1, x.shape[1])
    if near(got, batch_norm_images(flat[:, :, None, None], gamma, beta, eps).reshape(x.shape)):
        return "reshape(-1, C) mixes the channels: bring their axis to the end first, with movedim(1, -1)."
    columns = (" along the columns: PyTorch matches the last axes. Give {} the shape (1, C, 1, 1), with keepdim=True or "
               "view(1, -1, 1, 1).")

    return slip(
        got, formula,
        (((0, 2, 3), None),
         (0, "the statistics are taken over the batch axis only, for each pixel apart. They belong to a channel: take "
             "them over batch, height and width."),
         ((0, 1, 2, 3), "the statistics are taken over everything, the channels mixed. Each channel has its own."),
         ((2, 3), "each image is normalised by itself. The statistics go over the batch too."),
         ((1, 2, 3), "each image is normalised by itself, its channels mixed. Take one mean and one variance for each "
                     "channel, over batch, height and width."),
         (1, "the statistics go over the channels. Each channel has its own, over batch, height and width.")),
        ((0, None),
         (1, "the variance is divided by m − 1. Algorithm 1 divides by m: x.var(..., correction=0).")),
        ((1, None), (0, "the mean is not subtracted.")),
        roots(eps), affines(gamma, beta),
        ((lambda mu, var: (mu, var), None),
         (lambda mu, var: (by_column(mu), by_column(var)), "μ and σ² go" + columns.format("them")),
         (lambda mu, var: (by_column(mu), var), "μ goes" + columns.format("it")),
         (lambda mu, var: (mu, by_column(var)), "σ² goes" + columns.format("it"))))


# --- 2. the six backward equations -----------------------------------------------------------------


def bn_backward(dy, x, gamma, eps):
    m, mu, var = len(x), x.mean(0), x.var(0, correction=0)
    s = torch.sqrt(var + eps)
    dx_hat = dy * gamma
    dvar = (dx_hat * (x - mu)).sum(0) * -1 / 2 * (var + eps) ** (-3 / 2)
    dmu = (-dx_hat / s).sum(0) + dvar * (-2 * (x - mu)).sum(0) / m
    dx = dx_hat / s + dvar * 2 * (x - mu) / m + dmu / m
    dgamma = (dy * (x - mu) / s).sum(0)
    dbeta = dy.sum(0)
    return dx_hat, dvar, dmu, dx, dgamma, dbeta


_PIECES = {"dx_hat": "∂ℓ/∂x̂", "dvar": "∂ℓ/∂σ²", "dmu": "∂ℓ/∂μ", "dx": "∂ℓ/∂x", "dgamma": "∂ℓ/∂γ", "dbeta": "∂ℓ/∂β"}


def _check_bn_backward(ask):
    generator = generator_for(5)
    for m, channels, eps in ((6, 4, 0.3), (9, 3, 0.05)):
        x = 1.7 * torch.randn(m, channels, generator=generator, dtype=torch.float64) + 0.8
        dy = torch.randn(m, channels, generator=generator, dtype=torch.float64) + 0.4
        gamma = signed(channels, generator, 1.2)
        if eps == 0.05:
            gamma[1] = 0
            x[:, 0] *= 1e-3
        _check_pieces(ask(dy, x, gamma, eps), dy, x, gamma, eps)
    return ("all six. The second term of ∂ℓ/∂μ is 0 but for rounding, since the sum of x − μ is 0: whether you wrote "
            "it, no number can show.")


def _check_pieces(got, dy, x, gamma, eps):
    order = ", ".join(_PIECES)
    if isinstance(got, torch.Tensor):
        raise Wrong("bn_backward gave a tensor; return a tuple, also of the first piece alone: return dx_hat, with the comma.")
    if not isinstance(got, (tuple, list)):
        raise Wrong(f"bn_backward gave {short(got)}; it must give the six pieces in this order: return {order}.")
    if got and all(piece is ... for piece in got):
        raise NotAnswered
    right = dict(zip(_PIECES, bn_backward(dy, x, gamma, eps)))
    for number, (name, symbol) in enumerate(_PIECES.items()):
        done = f"right so far: {', '.join(list(_PIECES)[:number]) or 'nothing yet'}. "
        if len(got) <= number:
            raise Unfinished(f"{done}You returned {len(got)} of six pieces; the next is {name}, {symbol}. "
                             f"The order: {order}.")
        piece = got[number]
        if piece is ...:
            raise Unfinished(f"{done}{name}, {symbol}, is still ...")
        if isinstance(piece, torch.Tensor) and piece.shape == (1, *right[name].shape):
            piece = piece[0]  # summed with keepdim=True
        if isinstance(piece, torch.Tensor) and near(piece, right[name]):
            continue
        _raise_for(name, symbol, piece, right, (dy, x, gamma, eps))
    if len(got) > len(_PIECES):
        raise Wrong(f"the first six are right, and you returned {len(got)}. Return {order}.")


def _raise_for(name, symbol, piece, right, inputs):
    """Raise `Wrong` for the piece ``name``, all before it being right."""
    label = f"{name}, {symbol},"
    if isinstance(piece, torch.Tensor):
        if piece.shape == inputs[0].shape != right[name].shape:
            _raise_for_a_missing_sum(name, label, piece, right, inputs)
        for other, value in right.items():
            if near(piece, value):
                raise Wrong(f"{label} is what {other} must be. The order: {', '.join(_PIECES)}.")
    check_tensor(label[:-1], piece, right[name])
    why = WHY[name](piece, right, *inputs)
    raise Wrong(f"{label} is wrong: " + (why or f"{far(piece, right[name])} All before it is right."))


def _raise_for_a_missing_sum(name, label, piece, right, inputs):
    if name == "dmu" and near(piece.mean(0), right[name]):
        why = "the sum in its second term is missing."
    elif near(piece.sum(0), right[name]):
        why = "only the sum over the batch is missing."
    else:
        why = WHY[name](piece.sum(0), right, *inputs)
        why = "the sum over the batch is missing." + (f" And {why}" if why else "")
    raise Wrong(f"{label} is wrong: it has shape {tuple(piece.shape)} and must have {tuple(right[name].shape)}: {why}")


# --- 3. spot the bug ---------------------------------------------------------------------------------


def find_bug(norm):
    x = torch.randn(4, len(norm.gamma), requires_grad=True)
    y = norm(x)
    if norm.running_mean.requires_grad:
        return "graph"
    if torch.autograd.grad(y.sum(), x)[0].abs().max() > 1e-3:
        return "no gradient"
    if torch.allclose(norm.running_var, 1 + norm.momentum * (x.var(0, correction=0) - 1)):
        return "biased"
    if torch.allclose(norm.eval()(x), y):
        return "mode"
    return "right"


_SUSPECTS = {suspects.A: "graph", suspects.B: "right", suspects.C: "biased", suspects.D: "mode",
             suspects.E: "no gradient"}
_EXPERIMENTS = {
    "biased": "Give it one small batch, of 4 say. running_var becomes 0.9 + 0.1 · the batch's variance: look whether "
              "that variance was divided by m or by m − 1, as it must be.",
    "no gradient": "Send y.sum() back to x, in training. Each column of y sums to m · β whatever x is, so the "
                   "gradient must be 0 but for rounding.",
    "graph": "Give it one batch x with requires_grad=True, in training. Afterwards running_mean.requires_grad must be "
             "False.",
    "mode": "Give it a batch after norm.eval(), with gradients on. It must normalise with running_mean and "
            "running_var, and change neither.",
}


def _check_find_bug(ask):
    for channels in (3, 8, 5):
        for suspect, bug in _SUSPECTS.items():
            name = f"suspect {suspect.__name__}"
            unnamed = type("Norm", (suspect,), {"__repr__": lambda self: "Norm()"})
            got = ask(unnamed(channels), call=f"find_bug({name})")
            if not isinstance(got, str) or got not in (*_EXPERIMENTS, "right"):
                raise Wrong(f"find_bug({name}) gave {short(got)}; it must give one of "
                            + ", ".join(map(repr, _EXPERIMENTS)) + ", or 'right'.")
            if got == bug:
                continue
            if bug == "right":
                raise Wrong(f"find_bug({name}) gave {got!r}, and nothing is wrong with that one. {_EXPERIMENTS[got]} "
                            "It does all that.")
            has = "a bug" if got == "right" else "another bug"
            raise Wrong(f"find_bug({name}) gave {got!r}, and that one has {has}. This experiment tells: "
                        f"{_EXPERIMENTS[bug]}")
    return "each bug shows in what a norm does, whoever wrote it."


ex1 = Exercise("ex1", _check_batch_norm, solution=batch_norm_images, hints=(
    "A channel's values are x[:, c]: over the batch, the height and the width. It has one μ and one σ².",
    "x.mean(dim=(0, 2, 3), keepdim=True) has shape (1, C, 1, 1). For the variance, correction=0 divides by m.",
    "x̂ = (x − μ) / √(σ² + ε): ε is under the root.",
    "y = γ x̂ + β, with gamma.view(1, -1, 1, 1) and beta.view(1, -1, 1, 1).",
))
ex2 = Exercise("ex2", _check_bn_backward, solution=bn_backward, hints=(
    "Return what you have, such as (dx_hat,), and check: it goes piece by piece. y = γ x̂ + β gives dx_hat, dgamma "
    "and dbeta.",
    "Ask of each piece what depends on it. γ, β, μ and σ² are shared by the whole batch: their gradients are sums "
    "over it.",
    "dvar: x̂ = (x − μ)(σ² + ε)^(−1/2). The derivative of that power is −1/2 (σ² + ε)^(−3/2).",
    "dmu: x̂ depends on μ with slope −1/√(σ² + ε), and σ² with slope −2(x − μ)/m, summed over the batch.",
    "dx: three ways lead from x: through x̂, slope 1/√(σ² + ε); through σ², slope 2(x − μ)/m; through μ, slope 1/m.",
))
ex3 = Exercise("ex3", _check_find_bug, solution=find_bug, hints=(
    "Four experiments, one for each bug. len(norm.gamma) is the number of channels; norm.train() and norm.eval() set "
    "the mode, and a fresh one is in training.",
    "One small batch x with requires_grad=True is enough for 'graph' (does running_mean require a gradient?) and for "
    "'biased' (a fresh running_var is 1: which variance went into it?).",
    "For 'no gradient', torch.autograd.grad(y.sum(), x)[0] must be 0 but for rounding. "
    "For 'mode', norm.eval()(x) must differ from what training gave.",
    "Compare with torch.allclose, and look for 'graph' first: it can make a second backward pass fail.",
))
ex4 = Exercise("ex4", check_group_norm, solution=MyGroupNorm, hints=(
    "In __init__: call super().__init__(), keep groups and eps, and make γ and β with nn.Parameter: one number for each "
    "channel, 1 and 0 at the start.",
    "x.unflatten(1, (groups, -1)) is (N, groups, channels per group, H, W). Which axes does one mean go over?",
    "Over axes 2, 3 and 4, with keepdim=True. flatten(1, 2) then gives (N, C, H, W) again.",
    "γ and β are (C): view(1, -1, 1, 1) lines them up with the channels.",
))


# --- guesses before the experiments ---------------------------------------------------------------


class guesses:
    """The lesson's predictions; they stand here so that a cell does not give the answer away."""

    bias = Prediction(
        "A layer Wu + b stands before a batch norm in training. You add 5 to b. What comes out of the batch norm?",
        {
            "all of it 5 higher": "The batch's mean is 5 higher too, and it is subtracted.",
            "all of it higher, by 5 divided by the spread":
                "That would come out if the mean stayed. But the batch's mean is 5 higher too, and it is subtracted.",
            "the same as before": "The mean grows by 5 and is subtracted. So the layer needs no b; β takes its place.",
        },
        answer="the same as before",
    )

    whitening = Prediction(
        "Two features go up and down together: their correlation is 0.9. You give each mean 0 and variance 1. What "
        "is the correlation now?",
        {
            "0": "That would be whitening, which mixes the features. Here each is shifted and scaled alone.",
            "0.9": "A correlation does not notice shifts and scales. Normalising is not whitening.",
            "about half of it": "Shifting and scaling each feature alone changes no correlation.",
        },
        answer="0.9",
    )

    mean_gradient = Prediction(
        "Two ways lead from μ to the loss: straight into each x̂ᵢ, and through σ². How much does the second way add to ∂ℓ/∂μ?",
        {
            "as much as the first": "Its slope holds the sum of all xᵢ − μ. What is that sum?",
            "nothing": "Its slope is −2/m times the sum of all xᵢ − μ, and these add up to 0: μ is their mean.",
            "it depends on the batch": "For every batch its slope is −2/m times the sum of all xᵢ − μ. What is that sum?",
        },
        answer="nothing",
    )

    scale = Prediction(
        "You multiply the weights before a batch norm by 10. The output stays the same. What becomes of the gradient of these weights?",
        {
            "the same too": "The output depends on W's direction alone. The same small step turns a long W less than a short one, so "
                            "it changes the loss less.",
            "10 times larger": "To change the output as much as before, the weights must now move 10 times as far. "
                               "What does that say of the gradient?",
            "10 times smaller": "The output depends on W's direction alone, and a given step turns a long W less.",
        },
        answer="10 times smaller",
    )

    noise = Prediction(
        "After each batch norm, the activations are shifted by up to 0.3 and scaled by up to 15 %, at random, by channel, anew at "
        "every step. The inputs of the layers now jump. How well does the network train?",
        {
            "as badly as without batch norm": "The inputs jump more than without batch norm, and still the network learns: steady "
                                              "inputs are not what helps.",
            "much better than without batch norm": "Its inputs jump more than without batch norm, and still it learns: steady "
                                                   "inputs are not what helps.",
            "not at all": "A shift of up to 0.3 leaves most of the signal: at the start each channel has a spread of 1.",
        },
        answer="much better than without batch norm",
    )
