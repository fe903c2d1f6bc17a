"""Recorded studies: plain and residual networks by depth, trained beforehand, each record with its command and hardware.

On the digits, for lessons 01 and 02, 208 networks: study.json beside this module, which `benchmarks/degradation.py` writes.
On Fashion-MNIST, for lesson 06, 18 networks: fashion_study.json, which `benchmarks/fashion.py` writes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from resnote.settings import SettingError

RECORD = Path(__file__).with_suffix(".json")
FASHION_RECORD = RECORD.with_name("fashion_study.json")


@dataclass(frozen=True, repr=False)
class Study:
    """The record, field by field as in its file.

    Attributes
    ----------
    command, versions, hardware : how, with what and on what the networks were trained
    data, width, batch_size : the images, the channels of the first stage, images a batch
    runs : one dictionary a network: block, depth, epochs, learning_rate, seed, train_error, test_error (shares, 0 to
        1) and stopped
    """

    command: str
    data: str
    width: int
    batch_size: int
    versions: str
    hardware: str
    runs: list[dict]

    def __repr__(self) -> str:
        return "\n".join((self.command, self.versions, self.hardware))

    def errors(self, block: str, depth: int, epochs: int = 10, learning_rate: float = 0.1,
               images: str = "train") -> list[float]:
        """The share of wrong predictions of each seed, in their order, on "train" or "test" images.

        Raises `SettingError` where no such network was trained.
        """
        if images not in ("train", "test"):
            raise SettingError(f"images={images!r} is not known. Use 'train' or 'test'.")
        keys = {"block": block, "depth": depth, "epochs": epochs, "learning_rate": learning_rate}
        found = [run[f"{images}_error"] for run in self.runs if keys.items() <= run.items()]
        if not found:
            raise SettingError("The study has no network with " + ", ".join(f"{k}={v!r}" for k, v in keys.items())
                               + f". {self.command} says which it has.")
        return found


def load(record: Path = RECORD) -> Study:
    """A record that comes with the package: `RECORD`, of the digits, or `FASHION_RECORD`."""
    return Study(**json.loads(record.read_text(encoding="utf-8")))
