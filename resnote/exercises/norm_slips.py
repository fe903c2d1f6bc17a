"""Slips that all norms share, as choices for `compare.slip`: the root of the variance, and γ and β."""

from __future__ import annotations


def roots(eps):
    """What x − μ is divided by, as functions of the variance."""
    return ((lambda var: (var + eps).sqrt(), None),
            (lambda var: var.sqrt() + eps, "ε stands outside the root. Add it to the variance, then take the root."),
            (lambda var: var.sqrt(), "ε is forgotten: add it to the variance, under the root."),
            (lambda var: (var + 1e-5).sqrt(), "your ε is always 1e-5. Use the eps that is given."),
            (lambda var: var + eps, "x − μ is divided by σ² + ε: the root is missing, or you divided by the root twice."),
            (lambda var: 1 / (var + eps).sqrt(), "x − μ is multiplied by √(σ² + ε); divide by it."),
            (lambda var: 1, "x − μ is not divided by √(σ² + ε)."))


def affines(gamma, beta):
    """y as functions of x̂, (N, C, H, W), where γ and β are (C)."""
    g, b = gamma.view(1, -1, 1, 1), beta.view(1, -1, 1, 1)
    shape = "the shape (1, C, 1, 1)."
    return ((lambda x_hat: g * x_hat + b, None),
            (lambda x_hat: g.abs() * x_hat + b, "γ has lost its sign. It may be negative."),
            (lambda x_hat: x_hat / g + b, "x̂ is divided by γ; multiply."),
            (lambda x_hat: g * x_hat - b, "the sign of β: it is added."),
            (lambda x_hat: b * x_hat + g, "γ and β are exchanged: γ multiplies, β is added."),
            (lambda x_hat: x_hat, "that is x̂. The last line is missing: y = γ x̂ + β."),
            (lambda x_hat: g * x_hat, "β is missing: y = γ x̂ + β."),
            (lambda x_hat: x_hat + b, "γ is missing: y = γ x̂ + β."),
            (lambda x_hat: g * (x_hat + b), "β is multiplied by γ. It is added afterwards: y = γ x̂ + β."),
            (lambda x_hat: gamma * x_hat + beta, f"γ and β go along the columns: PyTorch matches the last axes. Give them {shape}"),
            (lambda x_hat: gamma * x_hat + b, f"γ goes along the columns: PyTorch matches the last axes. Give it {shape}"),
            (lambda x_hat: g * x_hat + beta, f"β goes along the columns: PyTorch matches the last axes. Give it {shape}"))
