"""The same text on every machine: no file's encoding or line ends depend on where it is read."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from save_notebooks import NOTEBOOKS

ROOT = Path(__file__).parents[2]
PROGRAMS = [path for folder in ("resnote", "tests", "tools", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]


def without_encoding(source):
    """Lines that read or write text in whatever encoding the machine prefers."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        modes = [argument.value for argument in call.args if isinstance(argument, ast.Constant) and isinstance(argument.value, str)]
        opens = (name == "open" and ast.unparse(call.func) != "os.open" and not any("b" in mode for mode in modes)
                 or name in ("read_text", "write_text"))
        if opens and not any(keyword.arg in ("encoding", None) for keyword in call.keywords):
            yield call.lineno, ast.unparse(call)


def test_every_program_names_the_encoding_of_the_text_that_it_reads_or_writes():
    assert len(PROGRAMS) > 50
    found = [(path.relative_to(ROOT).as_posix(), *line) for path in PROGRAMS for line in without_encoding(path.read_text(encoding="utf-8"))]
    assert found == []
    for slip in ("path.read_text()", "path.write_text(text)", "open(name)", "open(name, 'w')", "path.open()"):
        assert len(list(without_encoding(slip))) == 1, slip


def test_a_clone_with_autocrlf_has_the_line_ends_that_bash_and_make_need(tmp_path):
    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words], check=True, capture_output=True)

    first, clone = tmp_path / "first", tmp_path / "clone"
    files = [".gitattributes", ".ci/run", "Makefile", "notebooks/00_start_here.ipynb", "resnote/__init__.py"]
    for file in files:
        (first / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, first / file)
    shutil.copy(ROOT / "docs" / "explorer.png", first)
    git("init", "-q", str(first))
    git("-C", str(first), "add", "-A")
    git("-C", str(first), "commit", "-qm", "all")
    git("clone", "-q", "-c", "core.autocrlf=true", str(first), str(clone))
    for file in [*files, "explorer.png"]:
        assert (clone / file).read_bytes() == (first / file).read_bytes(), file


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_lesson_reads_no_file_by_its_place(path):
    """So it runs from any folder, as papermill runs it, or copied alone. Files in temporary folders of its own have no place."""
    sources = {cell.id: cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"}
    own = re.findall(r"(\w+) = TemporaryDirectory\(\)|TemporaryDirectory\(\) as (\w+)", "\n".join(sources.values()))
    folders = "|".join([f"{name}\\.name" for name, _ in own if name] + [name for _, name in own if name]) or "$"
    for cell, source in sources.items():
        assert not re.search(rf"""\bopen\(|read_text\(|\bPath\((?!(?:{folders}),)|["']\.\.?/""", source), cell
