"""The tables of `resnote.hosts.tables`, packed for the site; kept, since they take a minute, until their code changes."""

from __future__ import annotations

import gzip
import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from browser_python import KEPT

from resnote.hosts.tables import made

RESNOTE = Path(__file__).parents[1] / "resnote"
NAMES = ("signal", "inference")
MADE_BY = ("signals", "modes", "data", "training", "text", "explorers/signal", "explorers/inference", "hosts/tables")


def kept_in() -> Path:
    """The folder for tables made by this code with this torch."""
    code = sha256(version("torch").encode())
    for name in MADE_BY:
        code.update((RESNOTE / f"{name}.py").read_bytes())
    return KEPT / f"tables-{code.hexdigest()[:16]}"


def _write(name: str, file: Path) -> None:
    packed = gzip.compress(json.dumps(made(name), separators=(",", ":"), ensure_ascii=False).encode(), mtime=0)
    half = file.with_suffix(".half")
    half.write_bytes(packed)
    half.rename(file)


def write_tables(target: Path) -> None:
    """Put the packed tables into a folder."""
    kept = kept_in()
    kept.mkdir(parents=True, exist_ok=True)
    files = {name: kept / f"{name}.json.gz" for name in NAMES}
    with ProcessPoolExecutor(2) as processes:
        for made in [processes.submit(_write, name, file) for name, file in files.items() if not file.exists()]:
            made.result()
    target.mkdir(parents=True, exist_ok=True)
    for file in files.values():
        shutil.copy(file, target)
