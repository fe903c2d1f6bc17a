"""Explorers: move a control, and the picture and its numbers move with it.

Each is loaded when it is asked for, and brings none of the others.
"""

from importlib import import_module

_HOMES = {"BlockExplorer": "block", "BottleneckExplorer": "bottleneck", "InferenceExplorer": "inference",
          "LineExplorer": "line", "NetworkExplorer": "network", "NormalizationExplorer": "normalization", "SignalExplorer": "signal"}
__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return sorted({*globals(), *_HOMES})
