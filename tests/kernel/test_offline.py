"""`make test` runs all parts, the lessons with the network blocked, and the block holds."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import everything
import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]


def run(code):
    return subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT / "tests" / "offline")},
                          capture_output=True, text=True)


def test_make_test_runs_the_lessons_behind_the_block(monkeypatch):
    """By an absolute path: nbval starts each kernel in another folder, where a relative one would lead nowhere."""
    recipe = re.search(r"^test:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[1]
    assert recipe == "\t$(BIN)/python tests/everything.py\n"
    started = []
    monkeypatch.setattr(everything.subprocess, "run", lambda command, *, cwd, env: started.append((command, env)) or SimpleNamespace(returncode=0))
    assert everything.main([]) == 0
    (behind,) = (env["PYTHONPATH"] for command, env in started if "--nbval" in command)
    assert behind.split(os.pathsep)[0] == str(ROOT / "tests" / "offline")


@pytest.mark.parametrize("codes", [(1, 0, 0), (0, 1, 1), (0, 0, 2)])
def test_every_part_is_run_and_those_that_failed_are_named_at_the_end(codes, monkeypatch, capsys):
    left = list(codes)
    monkeypatch.setattr(everything.subprocess, "run", lambda *command, **how: SimpleNamespace(returncode=left.pop(0)))
    assert everything.main([]) == 1 and left == []
    failed = [name for name, code in zip(everything.PARTS, codes) if code]
    assert capsys.readouterr().out.splitlines()[-1] == f"FAILED: {', '.join(failed)}"


def test_make_test_runs_every_lesson_and_every_test():
    ran = [argument for command in everything.PARTS.values() for argument in command]
    assert {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")} <= set(ran)
    for path in (ROOT / "tests").glob("*/test_*.py"):
        assert {f"tests/{path.parent.name}", f"tests/{path.parent.name}/{path.name}"} & set(ran), path


def test_the_block_reaches_a_notebooks_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "offline"))
    cell = nbformat.v4.new_code_cell("import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=1)")
    with pytest.raises(CellExecutionError, match="must not use the network"):
        NotebookClient(nbformat.v4.new_notebook(cells=[cell]), kernel_name="python3",
                       resources={"metadata": {"path": tmp_path}}).execute()


@pytest.mark.parametrize("call", [
    "socket.socket().connect(('192.0.2.1', 80))",
    "socket.create_connection(('example.org', 80), timeout=1)",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'?', ('192.0.2.1', 53))",
    "socket.gethostbyname('example.org')",
    "socket.gethostbyaddr('192.0.2.1')",
    "socket.create_connection(('localhost.example.org', 80), timeout=1)",
    "urllib.request.urlopen('http://192.0.2.1/', timeout=1)",
])
def test_behind_the_block_no_call_leaves_the_machine(call):
    refused = run(f"import socket, urllib.request\n{call}")
    assert refused.returncode != 0 and "must not use the network" in refused.stderr


def test_behind_the_block_the_loopback_works():
    works = run("import socket\ns = socket.create_server(('127.0.0.1', 0))\n"
                "socket.create_connection(s.getsockname()).sendall(b'.')\nprint('works')")
    assert works.stdout == "works\n", works.stderr
