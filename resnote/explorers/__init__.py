"""Explorers: move a control, and the picture and its numbers move with it."""

from resnote.explorers.bottleneck import BottleneckExplorer

__all__ = ["BottleneckExplorer"]
