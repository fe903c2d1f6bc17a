"""Five batch norms for (m, C): one is right, each of the others has a bug that is easy to make."""

from __future__ import annotations

import torch
from torch import nn


class Norm(nn.Module):
    """What the five share: γ, β and the running averages."""

    def __init__(self, channels, momentum=0.1, eps=1e-5):
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))


class A(Norm):
    def forward(self, x):
        if self.training:
            m, mu, var = len(x), x.mean(0), x.var(0, correction=0)
            self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mu
            self.running_var = (1 - self.momentum) * self.running_var + self.momentum * var * m / (m - 1)
        else:
            mu, var = self.running_mean, self.running_var
        return self.gamma * (x - mu) / torch.sqrt(var + self.eps) + self.beta


class B(Norm):
    def forward(self, x):
        mu, var = self.running_mean, self.running_var
        if self.training:
            m, mu, var = len(x), x.mean(0), x.var(0, correction=0)
            with torch.no_grad():
                self.running_mean += self.momentum * (mu - self.running_mean)
                self.running_var += self.momentum * (var * m / (m - 1) - self.running_var)
        return self.gamma * (x - mu) / torch.sqrt(var + self.eps) + self.beta


class C(Norm):
    def forward(self, x):
        mu, var = self.running_mean, self.running_var
        if self.training:
            mu, var = x.mean(0), x.var(0, correction=0)
            with torch.no_grad():
                self.running_mean += self.momentum * (mu - self.running_mean)
                self.running_var += self.momentum * (var - self.running_var)
        return self.gamma * (x - mu) / torch.sqrt(var + self.eps) + self.beta


class D(Norm):
    def forward(self, x):
        if torch.is_grad_enabled():
            m, mu, var = len(x), x.mean(0), x.var(0, correction=0)
            self.running_mean += self.momentum * (mu.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * m / (m - 1) - self.running_var)
        else:
            mu, var = self.running_mean, self.running_var
        return self.gamma * (x - mu) / torch.sqrt(var + self.eps) + self.beta


class E(Norm):
    @torch.no_grad()
    def statistics(self, x):
        if not self.training:
            return self.running_mean, self.running_var
        m, mu, var = len(x), x.mean(0), x.var(0, correction=0)
        self.running_mean += self.momentum * (mu - self.running_mean)
        self.running_var += self.momentum * (var * m / (m - 1) - self.running_var)
        return mu, var

    def forward(self, x):
        mu, var = self.statistics(x)
        return self.gamma * (x - mu) / torch.sqrt(var + self.eps) + self.beta
