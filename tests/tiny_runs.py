"""Runs of `resnote.train` that take a second, for its tests."""

import pytest
import torch

from resnote.checkpoints import load
from resnote.runs import Settings

TINY = ["--data", "digits", "--depth", "8", "--width", "2", "--images", "64", "--batch-size", "16", "--shrink", "2", "--epochs", "3",
        "--threads", "1"]
SMALL = Settings(depth=8, width=2, images=64, batch_size=16, shrink=2, epochs=3)      # the same, as settings


@pytest.fixture(autouse=True)
def threads():
    """The number of threads, which the command sets, is as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def weights(folder) -> dict:
    return load(folder / "checkpoint.pt")["network"]


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
