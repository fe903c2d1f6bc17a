"""The Python that runs in a browser: Pyodide, fetched once by npm and checked against its recorded hash, and its modules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path

VERSION = "314.0.7"
SHA256 = "66b7949e5a0cba2250b586d7e368bf12fb482800748d182c4618254b685ffaa0"
TOOLS = Path(__file__).parent
ROOT = TOOLS.parent
KEPT = ROOT / ".cache"         # not in git
FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm")
# What runs in the browser; without torch and ipywidgets.
IN_THE_BROWSER = ("__init__.py", "text.py", "settings.py", "counting.py", "resnets.py", "drawings/*.py", "explorers/*.py", "hosts/__init__.py",
                  "hosts/web.py", "hosts/tables.py")


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
                subprocess.run([shutil.which("npm") or "npm", "pack", "--silent", f"pyodide@{VERSION}", "--pack-destination", folder], check=True,
                               stdout=subprocess.DEVNULL)
            except (OSError, subprocess.CalledProcessError) as error:
                raise SystemExit(f"Pyodide {VERSION} could not be fetched ({error}). The site needs npm and a network once; or "
                                 f"put npm's package there yourself: {package}") from None
            keep(Path(folder, package.name).read_bytes(), package)
    found = sha256(package.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{package} has the SHA-256 {found}, and {SHA256} was recorded. Remove the file, and it is fetched anew; "
                         "if it differs again, do not use it.")
    return package


def pack(target: Path) -> None:
    """The part of resnote that runs in the browser, as a zip file whose bytes depend on nothing else."""
    with zipfile.ZipFile(target, "w") as packed:
        for path in sorted(path for pattern in IN_THE_BROWSER for path in (ROOT / "resnote").glob(pattern)):
            packed.writestr(zipfile.ZipInfo(path.relative_to(ROOT).as_posix()), path.read_bytes())


def write_python(target: Path) -> None:
    """Put the worker, Pyodide and a zip file of all modules that the explorers load into a folder.

    Raises
    ------
    SystemExit : with a sentence, as `fetched`, or where Node does not do its part
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(fetched(), folder)         # whose hash is known
        package, resnote = Path(folder, "package"), Path(folder, "resnote.zip")
        pack(resnote)
        for name in FILES:
            shutil.copyfile(package / name, target / name)
        shutil.copyfile(ROOT / "resnote" / "hosts" / "web_worker.js", target / "web_worker.js")
        shutil.copyfile(_bytecode(package, resnote), target / "python_stdlib.zip")
        lock = json.loads((package / "pyodide-lock.json").read_text(encoding="utf-8"))
    # No package beside the standard library is used; the whole list would be 119 kB.
    (target / "pyodide-lock.json").write_text(json.dumps(lock | {"packages": {}}), encoding="utf-8")


def _bytecode(package: Path, resnote: Path) -> Path:
    """The zip file that bytecode.mjs makes, kept until what goes into it changes."""
    made_of = sha256(VERSION.encode())
    for part in (resnote, TOOLS / "bytecode.mjs", TOOLS / "bytecode.py"):
        made_of.update(part.read_bytes())
    kept = KEPT / f"python-{made_of.hexdigest()[:16]}.zip"
    if not kept.exists():
        made = package / "python.zip"
        try:
            subprocess.run([shutil.which("node") or "node", TOOLS / "bytecode.mjs", package, resnote, made], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"The modules of the pages could not be compiled ({error}). The site needs Node 18 or later, which comes "
                             "with npm.") from None
        keep(made.read_bytes(), kept)
    return kept


def keep(content: bytes, place: Path) -> None:
    """Write a file at one stroke, whoever does the same at this moment."""
    handle, half = tempfile.mkstemp(dir=place.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.replace(half, place)
