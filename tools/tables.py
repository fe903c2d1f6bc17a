"""The tables of `resnote.hosts.tables`, packed for the site; kept, since they take a minute or two, until what makes them changes."""

from __future__ import annotations

import gzip
import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from browser_python import KEPT, ROOT, keep

from resnote.hosts.tables import TABLES, made

MADE_BY = ("*.py", "explorers/*.py", "hosts/tables.py", "digits_split.json")         # of resnote


def kept_in() -> Path:
    """The folder for tables made by this code with these libraries."""
    made_of = sha256(" ".join(map(version, ("torch", "numpy", "scikit-learn"))).encode())
    for path in [Path(__file__), *sorted(path for pattern in MADE_BY for path in (ROOT / "resnote").glob(pattern))]:
        made_of.update(path.read_bytes())
    return KEPT / f"tables-{made_of.hexdigest()[:16]}"


def _write(name: str, file: Path, only: dict) -> None:
    keep(gzip.compress(json.dumps(made(name, **only), separators=(",", ":"), ensure_ascii=False).encode(), mtime=0), file)


def write_tables(target: Path, only: dict | None = None, kept: Path | None = None) -> None:
    """Put the packed tables into a folder. ``only`` is, by table, what `made` takes; then ``kept`` is a folder of their own."""
    kept = kept or kept_in()
    kept.mkdir(parents=True, exist_ok=True)
    files = {name: kept / f"{name}.json.gz" for name in TABLES}
    with ProcessPoolExecutor(2) as processes:
        for written in [processes.submit(_write, name, file, (only or {}).get(name, {})) for name, file in files.items()
                        if not file.exists()]:
            written.result()
    target.mkdir(parents=True, exist_ok=True)
    for file in files.values():
        shutil.copyfile(file, target / file.name)
