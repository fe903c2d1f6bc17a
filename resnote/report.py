"""A run of `resnote.train` as one HTML page: its settings, its machine, its curves."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from html import escape
from pathlib import Path

import torch

from resnote import figures
from resnote.checkpoints import write

STYLE = """
:root { color-scheme: light dark }
body { max-width: 760px; margin: 24px auto; padding: 0 12px; font: 15px/1.5 system-ui, sans-serif }
table { border-collapse: collapse } td, th { padding: 2px 14px 2px 0; text-align: left; font-weight: normal }
img { max-width: 100% }
"""


def hardware() -> str:
    """The processor and its cores, with the versions that compute on it."""
    names = Path("/proc/cpuinfo")
    lines = names.read_text(encoding="utf-8").splitlines() if names.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, torch {torch.__version__}"


def page(run, path: Path) -> None:
    """Write the page; raises `CheckpointError` where it cannot be written."""
    history = run.history
    title = f"{history.label} on {run.settings.data}"
    errors = {"training": history.train_error, "test": history.test_error}
    words = (f"{run.step:,} of {run.steps:,} steps. " + (
        f"After {history.epochs} epochs the training error is {history.train_error[-1]:.1%}, measured while the network learned, and "
        f"the test error {history.test_error[-1]:.1%}." if history.epochs else "No epoch is complete."))
    pictures = [figures.learning(errors, f"Errors by epoch. {words}"),
                figures.by_step({"loss": history.loss}, "loss", f"Loss at each of {run.step:,} steps, from {history.loss[0]:.3g} to "
                                f"{history.loss[-1]:.3g}.")]
    rows = "".join(f'<tr><th scope="row">--{escape(name.replace("_", "-"))}</th><td>{escape(_words(name, value))}</td></tr>'
                   for name, value in asdict(run.settings).items())
    write(f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
          f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1><p>{escape(words)}</p>"
          f"{''.join(picture._repr_html_() for picture in pictures)}<h2>Settings</h2><table>{rows}</table>"
          f"<p>{run.processes.count} {'process' if run.processes.count == 1 else 'processes'}. {escape(hardware())}.</p>"
          "</main></body></html>\n".encode(), path)


def _words(name, value) -> str:
    return "all" if name.endswith("images") and not value else str(value)
