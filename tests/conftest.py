"""What all tests share. This file also puts tests/ on the path, so that they can import each other's helpers."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded_on_one_thread():
    """The same numbers each time; and networks this small gain nothing from threads that wait for each other."""
    before = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
