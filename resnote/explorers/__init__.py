"""Explorers: move a control, and the picture and its numbers move with it."""

from resnote.explorers.block import BlockExplorer
from resnote.explorers.bottleneck import BottleneckExplorer
from resnote.explorers.inference import InferenceExplorer
from resnote.explorers.line import LineExplorer
from resnote.explorers.normalization import NormalizationExplorer
from resnote.explorers.signal import SignalExplorer

__all__ = ["BlockExplorer", "BottleneckExplorer", "InferenceExplorer", "LineExplorer", "NormalizationExplorer", "SignalExplorer"]
