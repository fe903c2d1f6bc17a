"""In a real kernel `fit` shows one bar, and an interrupt ends it with what was learned."""

import re

import pytest
from jupyter_client.manager import start_new_kernel

SETUP = """
import torch
from types import SimpleNamespace
from resnote.training import Progress, fit
torch.manual_seed(0)
images, labels = torch.randn(20, 1, 6, 6), torch.arange(20) % 3
data = SimpleNamespace(train_images=images, train_labels=labels, test_images=images, test_labels=labels)
net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
                          torch.nn.Flatten(), torch.nn.Linear(64, 3))
"""
STEPS_AND_REASON = "print(history.steps, history.stopped)"


class Kernel:
    """Runs cells in a kernel; `run` returns what the cell showed."""

    def __init__(self, manager, client):
        self.manager, self.client = manager, client

    def run(self, code, interrupt_when=None):
        request, printed, displays = self.client.execute(code), "", []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != request:
                continue
            if kind == "stream":
                printed += content["text"]
            elif kind in ("display_data", "update_display_data"):
                displays.append((kind, content["data"]))
                if interrupt_when and re.search(interrupt_when, content["data"]["text/plain"]):
                    self.manager.interrupt_kernel()
                    interrupt_when = None
            elif kind == "error":
                pytest.fail("\n".join(content["traceback"]))
            elif content.get("execution_state") == "idle":
                return printed, displays


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3", extra_arguments=["--log-level=ERROR"])
    try:
        kernel = Kernel(manager, client)
        kernel.run(SETUP)
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_kernel_interrupt_returns_the_history_so_far_and_the_next_cells_work(kernel):
    printed, displays = kernel.run(f"history = fit(net, data, epochs=100_000, test=False)\n{STEPS_AND_REASON}",
                                   interrupt_when=r": [1-9]\d* of 100000 epochs")
    steps, reason = printed.strip().split(" ", 1)
    assert 1 <= int(steps) < 100_000
    assert reason == f"Interrupted after {steps} of 100000 steps; what was learned so far is kept."
    assert re.fullmatch(r"Training: interrupted after \d+ of 100000 epochs", displays[-1][1]["text/plain"])
    printed, _ = kernel.run(f"history = fit(net, data, epochs=3)\n{STEPS_AND_REASON}")
    assert printed == "3 None\n"


def test_in_a_kernel_one_output_is_displayed_and_its_first_and_last_state_are_equal(kernel):
    _, displays = kernel.run("with Progress(40, 'Two runs') as bar:\n"
                             "    runs = [fit(net, data, epochs=20, progress=bar) for _ in range(2)]")
    assert [kind for kind, _ in displays].count("display_data") == 1 and len(displays) >= 3
    assert displays[0][1] == displays[-1][1] and displays[0][1]["text/plain"] == "Two runs: finished"
    assert not re.search(r"\d", displays[-1][1]["text/plain"])
