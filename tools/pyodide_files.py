"""Pyodide, the Python that runs in a browser: npm's package, fetched once and checked against its recorded hash."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

VERSION = "314.0.7"
SHA256 = "66b7949e5a0cba2250b586d7e368bf12fb482800748d182c4618254b685ffaa0"
KEPT = Path(__file__).parents[1] / ".cache"         # not in git
FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")


def fetched(kept: Path = KEPT) -> Path:
    """The package's file, from ``kept`` or from npm.

    Raises
    ------
    SystemExit : with a sentence, where npm is missing or fails, or the file is another than the recorded one
    """
    package = kept / f"pyodide-{VERSION}.tgz"
    if not package.exists():
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept) as folder:
            try:
                subprocess.run(["npm", "pack", "--silent", f"pyodide@{VERSION}", "--pack-destination", folder], check=True,
                               stdout=subprocess.DEVNULL)
            except (OSError, subprocess.CalledProcessError) as error:
                raise SystemExit(f"Pyodide {VERSION} could not be fetched ({error}). The site needs npm and a network once; or "
                                 f"put npm's package there yourself: {package}") from None
            Path(folder, package.name).rename(package)
    found = sha256(package.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{package} has the SHA-256 {found}, and {SHA256} was recorded. Remove the file, and it is fetched anew; "
                         "if it differs again, do not use it.")
    return package


def copy_pyodide(target: Path) -> None:
    """Put the files that a page needs into a folder."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(fetched(), folder, filter="data")
        package = Path(folder, "package")
        for name in FILES:
            shutil.copyfile(package / name, target / name)
        lock = json.loads((package / "pyodide-lock.json").read_text(encoding="utf-8"))
    # No package beside the standard library is used; the whole list would be 119 kB.
    (target / "pyodide-lock.json").write_text(json.dumps(lock | {"packages": {}}), encoding="utf-8")
