"""`make test` and `make thorough` run all parts, the lessons with the network blocked, and the block holds."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import parts
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]


def run(code):
    return subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT / "tests" / "offline")},
                          capture_output=True, text=True)


@pytest.mark.parametrize("target, options", [("test", []), ("thorough", ["--thorough"])])
def test_make_runs_the_lessons_behind_the_block(target, options, monkeypatch):
    """By an absolute path: nbval starts each kernel in another folder, where a relative one would lead nowhere."""
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[1]
    assert recipe == f"\t{' '.join(['$(BIN)/python', 'tests/parts.py', *options])}\n"
    started = []
    monkeypatch.setattr(parts.subprocess, "run", lambda command, *, cwd, env: started.append((command, env)) or SimpleNamespace(returncode=0))
    assert parts.main(options) == 0
    (command, behind), = ((command, env["PYTHONPATH"]) for command, env in started if "--nbval" in command)
    assert behind.split(os.pathsep)[0] == str(ROOT / "tests" / "offline")
    assert ("--again" in command, "not thorough" in command) == ((True, False) if options else (False, True))


def test_continuous_integration_leaves_nothing_out():
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == "REQUIRE_BROWSER=1 make thorough"
    assert "not thorough" not in (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("codes", [(1, 0, 0), (0, 1, 1), (0, 0, 2)])
def test_every_part_is_run_and_those_that_failed_are_named_at_the_end(codes, monkeypatch, capsys):
    left = list(codes)
    monkeypatch.setattr(parts.subprocess, "run", lambda *command, **how: SimpleNamespace(returncode=left.pop(0)))
    assert parts.main([]) == 1 and left == []
    failed = [name for name, code in zip(parts.PARTS, codes) if code]
    assert capsys.readouterr().out.splitlines()[-1] == f"FAILED: {', '.join(failed)}"


def test_the_parts_hold_every_lesson_and_every_test():
    ran = [argument for command in parts.PARTS.values() for argument in command]
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
