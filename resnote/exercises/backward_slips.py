"""What a wrong piece of batch norm's backward pass gives away: a search for the slip, piece by piece.

Each function gets the learner's piece, the six right ones by name, and what the pass was given, dy and x
(m, C), gamma (C) and eps. It returns the words for the slip, or None. All earlier pieces were right.
"""

from __future__ import annotations

import torch

from resnote.exercises.compare import near, slip


def _why_dx_hat(got, right, dy, x, gamma, eps):
    return slip(got, lambda value: value,
                ((dy * gamma, None),
                 (dy, "γ is missing. y = γ x̂ + β, so dx_hat is dy times γ."),
                 (dy / gamma, "dy is divided by γ; multiply."),
                 (dy * gamma.abs(), "γ has lost its sign. It may be negative."),
                 (dy + gamma, "γ is added; multiply: y = γ x̂ + β."),
                 (dy * gamma / (x.var(0, correction=0) + eps).sqrt(),
                  "the root comes later: y depends on x̂ by γ alone.")))


def _why_dvar(got, right, dy, x, gamma, eps):
    mu, var, m = x.mean(0), x.var(0, correction=0), len(x)

    def formula(upstream, factor, centred, exponent, spread, reduce):
        return reduce(upstream * centred * factor * spread**exponent)

    if near(got, formula(right["dx_hat"], -1, x - mu, -1, var + eps, lambda each: each.sum(0))):
        return "that is the gradient of the standard deviation. Take the derivative by σ², not by σ."
    return slip(
        got, formula,
        ((right["dx_hat"], None), (dy, "it starts from dy; start from dx_hat, which holds γ.")),
        ((-1 / 2, None), (1 / 2, "the sign. The factor is −1/2."), (-1, "the 1/2 is missing. The factor is −1/2."),
         (1, "the factor −1/2 is missing."), (-2, "the factor is −1/2, not −2."),
         (-3 / 2, "the factor is −1/2: it comes down from the exponent of (σ² + ε)^(−1/2).")),
        ((x - mu, None), (x, "it has x where x − μ belongs."),
         ((x - mu) / (var + eps).sqrt(), "one root too many: x − μ (not x̂) times (σ² + ε)^(−3/2) (not −2)."),
         (1, "x − μ is missing: x̂ = (x − μ)(σ² + ε)^(−1/2).")),
        ((-3 / 2, None),
         (-1 / 2, "the exponent is −3/2: the derivative of (σ² + ε)^(−1/2) takes 1 away from the exponent."),
         (1 / 2, "the exponent is −3/2, not 1/2: the derivative takes 1 away from −1/2."),
         (3 / 2, "the exponent is −3/2: the minus is missing."),
         (-1, "the exponent is −3/2, not −1."), (-3, "the exponent is −3/2, not −3: σ² is already a square."),
         (0, "the power (σ² + ε)^(−3/2) is missing.")),
        ((var + eps, None), (var, "ε is forgotten: σ² + ε."),
         (var * m / (m - 1) + eps, "your σ² is divided by m − 1. Algorithm 1 divides by m: x.var(0, correction=0).")),
        ((lambda each: each.sum(0), None), (lambda each: each.mean(0), "sum over the batch, do not take the mean.")))


def _why_dmu(got, right, dy, x, gamma, eps):
    dx_hat, var, m = right["dx_hat"], x.var(0, correction=0), len(x)
    s = (var + eps).sqrt()
    return slip(
        got, lambda first, second: first + second,
        ((-(dx_hat / s).sum(0), None), ((dx_hat / s).sum(0), "the sign of the first term: x̂ falls when μ grows."),
         (torch.zeros_like(var),
          "the first term is missing. What is left is 0 but for rounding: the sum of x − μ is 0."),
         (-(dy / s).sum(0), "the first term starts from dy; start from dx_hat, which holds γ."),
         (-dx_hat.sum(0), "in the first term, the division by √(σ² + ε) is missing."),
         (-(dx_hat * s).sum(0), "in the first term, divide by √(σ² + ε), do not multiply."),
         (-(dx_hat / (s * s)).sum(0), "in the first term, the root is missing: divide by √(σ² + ε)."),
         (-(dx_hat / var.sqrt()).sum(0), "in the first term, ε is forgotten."),
         (-(dx_hat / s).mean(0), "sum over the batch in the first term, do not take the mean.")),
        ((torch.zeros_like(var), None),
         (right["dvar"] * -2 * x.sum(0) / m, "the second term has x where x − μ belongs."),
         (right["dvar"] * -2 * x.sum(0), "the second term has x where x − μ belongs."),
         (right["dvar"], "the second term is dvar times the mean of −2(x − μ), and yours is dvar alone."),
         (right["dvar"] * -2 / m, "the second term has no x − μ.")))


def _why_dx(got, right, dy, x, gamma, eps):
    mu, var, m = x.mean(0), x.var(0, correction=0), len(x)
    s = (var + eps).sqrt()
    second, third = right["dvar"] * 2 * (x - mu) / m, (right["dmu"] / m).expand_as(x)
    first = right["dx_hat"] / s
    if near(got, first):
        return "that is the way through x̂ alone, as if μ and σ² did not depend on x. Add the ways through both."
    return slip(
        got, lambda *terms: sum(terms),
        ((first, None), (0 * first, "the way through x̂ is missing: dx_hat / √(σ² + ε)."),
         (right["dx_hat"], "in the first term, the division by √(σ² + ε) is missing."),
         (right["dx_hat"] / (s * s), "in the first term, the root is missing."),
         (right["dx_hat"] * s, "in the first term, divide by √(σ² + ε), do not multiply."),
         (right["dx_hat"] / var.sqrt(), "in the first term, ε is forgotten."),
         (dy / s, "the first term starts from dy; start from dx_hat, which holds γ."),
         (-first, "the sign of the first term.")),
        ((second, None), (0 * second, "the way through σ² is missing: dvar · 2(x − μ) / m."),
         (second * m, "in the second term, the division by m is missing."),
         (second / 2, "in the second term, the 2 is missing."),
         (second * m / 2, "in the second term, 2 / m is missing."), (-second, "the sign of the second term."),
         (second * m / (m - 1), "in the second term, divide by m, not by m − 1."),
         (second + right["dvar"] * 2 * mu / m, "the second term has x where x − μ belongs."),
         (second / s, "the second term has x̂ where x − μ belongs.")),
        ((third, None), (0 * third, "the way through μ is missing: dmu / m."),
         (third * m, "in the third term, the division by m is missing."), (-third, "the sign of the third term.")))


def _why_dgamma(got, right, dy, x, gamma, eps):
    mu, s = x.mean(0), (x.var(0, correction=0) + eps).sqrt()
    return slip(
        got, lambda upstream, factor, reduce: reduce(upstream * factor),
        ((dy, None), (right["dx_hat"], "it holds γ: start from dy, not from dx_hat.")),
        (((x - mu) / s, None), (x - mu, "it has x − μ where x̂ belongs: the division by √(σ² + ε) is missing."),
         (x, "it has x where x̂ belongs."),
         ((x - mu) / x.std(0, correction=0), "in x̂, ε is forgotten.")),
        ((lambda each: each.sum(0), None), (lambda each: each.mean(0), "sum over the batch, do not take the mean.")))


def _why_dbeta(got, right, dy, x, gamma, eps):
    return slip(
        got, lambda upstream, reduce: reduce(upstream),
        ((dy, None), (right["dx_hat"], "it holds γ: start from dy, not from dx_hat.")),
        ((lambda each: each.sum(0), None), (lambda each: each.mean(0), "sum over the batch, do not take the mean.")))


WHY = {"dx_hat": _why_dx_hat, "dvar": _why_dvar, "dmu": _why_dmu, "dx": _why_dx, "dgamma": _why_dgamma,
       "dbeta": _why_dbeta}
