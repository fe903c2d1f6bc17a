"""Files of weights, and checkpoints that training goes on from: written whole or not at all, read without running anything.

A file is written under a temporary name and renamed when it is complete, so that a process killed at any moment leaves the
old file or the new one. It is read with ``weights_only=True``: tensors, numbers, texts, and no code. What a file says is
checked before any of it reaches a network.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn


class CheckpointError(ValueError):
    """A file that cannot be written or used; the message names it and says what to do."""


def save(content, path: str | os.PathLike) -> None:
    """Write what ``torch.save`` can write, whole or not at all.

    Raises
    ------
    CheckpointError
        where the disk is full or cannot be written; a file that was there before is then still there, as it was.
    """
    path, buffer = Path(path), BytesIO()
    torch.save(content, buffer)         # in memory first: torch's own writer ends a full disk with no sentence
    write(buffer.getbuffer(), path)


def write(content, path: Path) -> None:
    """Write bytes under a temporary name and rename them; raises `CheckpointError`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())     # on the disk before it takes the old one's name
        os.replace(temporary, path)
    except OSError as error:
        try:
            temporary.unlink(missing_ok=True)
        except OSError:
            pass                        # a folder that is gone, or that may not be written: the sentence says it
        raise CheckpointError(f"{path} could not be written: {error.strerror or error}. "
                              f"{'The file that was there is still there. ' if path.exists() else ''}"
                              "Make room, or name another place, and start again.") from None


def clear(path: Path) -> None:
    """Remove what killed processes have left of ``path`` under temporary names."""
    for left in path.parent.glob(f".{path.name}.*.part"):
        left.unlink(missing_ok=True)


def load(path: str | os.PathLike):
    """What `save` wrote, on the CPU; nothing that the file asks for is run.

    Raises
    ------
    CheckpointError
        for a file that is missing, damaged, no file of torch's, or that asks for anything but tensors, numbers and texts.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings(action="ignore"):      # of what is in a foreign file; the sentence says enough
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        _refuse(path, "is not there")
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))      # what it would have called
        _refuse(path, f"{f'asks for {wanted[1]}' if wanted else 'is damaged, or asks for more than it may'}; only tensors, numbers and texts "
                      "are read, and nothing was run")
    except Exception as error:          # damage shows as nearly any exception
        _refuse(path, f"is damaged, or no file of torch's ({type(error).__name__})")


def load_weights(network: nn.Module, path: str | os.PathLike) -> None:
    """Give ``network`` the weights of a file that holds its ``state_dict``.

    Raises
    ------
    CheckpointError
        as `load`, and for a file that holds other names, shapes or types than the network's; the network then stays as it was.
    """
    network.load_state_dict(checked_weights(network, load(path), path))


def checked_weights(network: nn.Module, weights, path) -> dict[str, Tensor]:
    """``weights``, if they are a state_dict for ``network``; else raises `CheckpointError`.

    Files from before torch 0.4.1 do not count batches (num_batches_tracked). The network's own counts then stand in.
    """
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        _refuse(path, "holds no weights by name, as network.state_dict() gives them")
    ours = network.state_dict()
    weights = {name: value for name, value in ours.items() if name.endswith("num_batches_tracked")} | weights
    lacking, foreign = [n for n in ours if n not in weights], [n for n in weights if n not in ours]
    if lacking or foreign:
        parts = [f"{len(names)} {words}, such as {names[0]!r}" for names, words in (
            (lacking, "of the network's names are not in it"), (foreign, "of its names are not the network's")) if names]
        _refuse(path, f"belongs to another network: {'; '.join(parts)}", "Build the network that the file was saved from.")
    for name, value in ours.items():
        found = weights[name]
        if found.shape != value.shape:
            _refuse(path, f"belongs to another network: {name} is {tuple(found.shape)} in it and {tuple(value.shape)} in the "
                          "network", "Build the network that the file was saved from.")
        if found.dtype != value.dtype or found.layout != value.layout:
            _refuse(path, f"has {name} as {found.dtype}, where the network has {value.dtype}", "Convert the network or the file.")
    return weights


def _refuse(path, found, advice="Name another file, or save it anew.") -> NoReturn:
    raise CheckpointError(f"{path} {found}. {advice}") from None
