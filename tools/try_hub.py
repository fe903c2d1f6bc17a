"""Let learners work in the hub of docs/teaching.md on this machine, and say what they see and take.

    python tools/try_hub.py ENVIRONMENT [learners [lesson ...]]         (5, and 03; as root, on Linux)

ENVIRONMENT is a folder like /opt/resnote in docs/teaching.md: the course, jupyterhub and nbgitpuller; configurable-http-proxy
is on the PATH. This Python has what the course's tests need, for its browser. Accounts are made on this machine, and removed.

Each learner logs in, opens a lesson by an nbgitpuller link, and runs all of it when all others do. A line a lesson says the
seconds until the last was through, and the memory of a server and of a kernel: private (shared with no other process), and
the most that the kernel ever had. In lesson 03 each also moves the explorer, writes in an exercise and saves; nobody gets at
another's server or files; and a newer version of the course is pulled over their work, with a change in the line that they
changed. It ends with a traceback where something else than docs/teaching.md says is seen.
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import nbformat
import psutil
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "browser"))
from lab import Slider, close_all, free_port, launch_chromium, wait_until_open  # noqa: E402

OWN, NEW, SENTENCE = "mine = 'a line of my own'", "theirs = 'the line of the course'", "This sentence is new."
CONFIG = """
load_subconfig({config!r})
c.Spawner.args = [*c.Spawner.args, "--LabApp.expose_app_in_browser=True"]
"""


def sh(*command, cwd=None, **options) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, **options).stdout


def learners_of(stack: ExitStack, number: int) -> dict[str, str]:
    """Accounts in the group that may log in, and their passwords; removed at the end."""
    if subprocess.run(["getent", "group", "learners"], capture_output=True).returncode:
        sh("groupadd", "learners")
        stack.callback(sh, "groupdel", "learners")
    accounts = {f"resnote-try-{n}": os.urandom(8).hex() for n in range(1, number + 1)}
    for name, password in accounts.items():
        sh("useradd", "-m", "-s", "/bin/bash", "-G", "learners", name)
        stack.callback(subprocess.run, ["userdel", "-r", name], capture_output=True)
        sh("chpasswd", input=f"{name}:{password}")
        os.chmod(pwd.getpwnam(name).pw_dir, 0o700)
    return accounts


@contextmanager
def served_repository(folder: Path):
    """The course as a repository that git serves: its address, and a clone to change it in."""
    bare, clone, port = folder / "course.git", folder / "clone", free_port()
    sh("git", "clone", "--bare", str(ROOT), str(bare))
    sh("git", "clone", str(bare), str(clone))
    daemon = subprocess.Popen(["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}", f"--base-path={folder}"],
                              stderr=subprocess.DEVNULL)
    try:
        wait_for(port, daemon)
        yield f"git://127.0.0.1:{port}/course.git", clone
    finally:
        daemon.terminate()
        daemon.wait(60)


def wait_for(port: int, process: subprocess.Popen, seconds: float = 60) -> None:
    """Until something answers there."""
    until = time.monotonic() + seconds
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None and time.monotonic() < until, f"nothing answers on port {port}"
        time.sleep(0.5)


def publish(clone: Path) -> None:
    """A new version: another sentence in lesson 03, another line in its first exercise, a new file."""
    path = clone / "notebooks" / "03_bottleneck.ipynb"
    notebook = nbformat.read(path, 4)
    cells = {cell.id: cell for cell in notebook.cells}
    notebook.cells[0].source += f"\n\n{SENTENCE}"
    cells["exercise-1"].source = changed(cells["exercise-1"].source, NEW)
    nbformat.write(notebook, path)
    (clone / "new.txt").write_text("new\n", encoding="utf-8")
    sh("git", "add", "-A", cwd=clone)
    sh("git", "-c", "user.name=teacher", "-c", "user.email=teacher@example.org", "commit", "-m", "A new version", cwd=clone)
    sh("git", "push", "origin", "HEAD", cwd=clone)


def changed(source: str, line: str) -> str:
    return "\n".join([line, *source.split("\n")[1:]])


@contextmanager
def running_hub(environment: Path, folder: Path):
    port = free_port()
    config = folder / "config.py"
    config.write_text(CONFIG.format(config=str(ROOT / "docs" / "hub" / "jupyterhub_config.py")), encoding="utf-8")
    environ = os.environ | {"PATH": f"{environment}/bin:{os.environ['PATH']}", "HUB_URL": f"http://127.0.0.1:{port}",
                            "HUB_PORT": str(free_port()), "CONFIGPROXY_AUTH_TOKEN": os.urandom(16).hex()}
    with open(folder / "hub.log", "w", encoding="utf-8") as log:
        hub = subprocess.Popen([environment / "bin" / "jupyterhub", "--config", config], cwd=folder, env=environ, stdout=log, stderr=log)
        try:
            wait_for(port, hub)
            yield f"http://127.0.0.1:{port}"
        finally:
            hub.terminate()             # it ends the learners' servers and the proxy
            hub.wait(60)


def log_in(page: Page, hub: str, name: str, password: str) -> None:
    page.goto(f"{hub}/hub/login")
    page.fill("#username_input", name)
    page.fill("#password_input", password)
    page.click("#login_submit")
    page.wait_for_url("**/lab**", timeout=180_000)


def open_lesson(page: Page, hub: str, address: str, lesson: str) -> None:
    path = f"course/notebooks/{lesson}.ipynb"
    page.goto(f"{hub}/hub/user-redirect/git-pull?{urlencode({'repo': address, 'branch': 'main', 'targetpath': 'course', 'urlpath': f'lab/tree/{path}'})}")
    wait_until_open(page, path, timeout=180)


def close(page: Page) -> None:
    """End the kernel and close the tab, which JupyterLab would open again, with a kernel, in its next page."""
    close_all(page)
    page.wait_for_timeout(2000)         # it writes down which tabs are open


def run_all(pages: list[Page]) -> float:
    """All cells of all pages at one time; seconds until the last is through."""
    start = time.perf_counter()
    for page in pages:
        page.evaluate("void (window.ran = jupyterapp.commands.execute('notebook:run-all-cells'))")
    for page in pages:
        page.evaluate("window.ran")
        wrong = page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr'], .jp-OutputArea-output.jp-mod-error")
        assert not wrong.count(), wrong.first.text_content()
    return time.perf_counter() - start


def memory(names) -> dict[str, list[float]]:
    """Private GB of each learner's server and kernel, and the most that the kernel had."""
    taken = {"server": [], "kernel": [], "peak": []}
    for process in psutil.process_iter(["username", "cmdline"]):
        if process.info["username"] not in names or not process.info["cmdline"]:
            continue
        words = " ".join(process.info["cmdline"])
        kind = "kernel" if "ipykernel" in words else "server" if "singleuser" in words else None
        if kind:
            taken[kind].append(process.memory_full_info().uss / 1e9)
        if kind == "kernel":
            peak, = (line.split()[1] for line in Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
            taken["peak"].append(int(peak) * 1024 / 1e9)
    return taken


def work(page: Page) -> None:
    """Move the explorer, write in the exercise, save."""
    Slider(page.locator(".resnote-bottleneck_width").first).press("ArrowRight", times=3)
    page.locator(".resnote-live", has_text="from 66 to 67").first.wait_for()
    page.evaluate("""async line => {
        const panel = jupyterapp.shell.currentWidget;
        const model = panel.content.widgets.find(cell => cell.model.id === 'exercise-1').model.sharedModel;
        model.setSource([line, ...model.getSource().split('\\n').slice(1)].join('\\n'));
        await panel.context.save();
    }""", OWN)


def assert_apart(pages: list[Page], hub: str, names: list[str]) -> None:
    for page, other in zip(pages, names[1:] + names[:1]):
        for place in ("lab", "api/contents/course"):
            assert page.request.get(f"{hub}/user/{other}/{place}").status in (403, 404), (other, place)
    listed = subprocess.run(["su", names[0], "-c", f"ls {pwd.getpwnam(names[-1]).pw_dir}"], capture_output=True, text=True)
    assert listed.returncode and "Permission denied" in listed.stderr, listed


def assert_pulled(page: Page, name: str) -> None:
    """The course's sentence and file are there, and so is the learner's own line; the lesson's first cell says so."""
    course = Path(pwd.getpwnam(name).pw_dir, "course")
    cells = {cell.id: cell.source for cell in nbformat.read(course / "notebooks" / "03_bottleneck.ipynb", 4).cells}
    assert OWN in cells["exercise-1"] and NEW not in cells["exercise-1"] and (course / "new.txt").exists()
    assert any(SENTENCE in source for source in cells.values())
    said = page.evaluate("""async () => {
        const {content} = jupyterapp.shell.currentWidget;
        content.activeCellIndex = content.widgets.findIndex(cell => cell.model.type === 'code');
        await jupyterapp.commands.execute('notebook:run-cell');
        return content.activeCell.node.querySelector('.jp-Cell-outputArea').textContent;
    }""")
    assert "A newer version of the course changed lines of 03_bottleneck.ipynb" in said, said


def main(environment: Path, number: int, numbers: list[str]) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        accounts = learners_of(stack, number)
        address, clone = stack.enter_context(served_repository(folder))
        hub = stack.enter_context(running_hub(environment, folder))
        browser = launch_chromium(stack.enter_context(sync_playwright()))
        pages = [browser.new_context(viewport={"width": 1400, "height": 1000}).new_page() for _ in accounts]
        start = time.perf_counter()
        for page, (name, password) in zip(pages, accounts.items()):
            log_in(page, hub, name, password)
        print(f"{number} learners logged in after {time.perf_counter() - start:.0f} s", flush=True)
        for lesson in sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb") if path.stem[:2] in numbers):
            for page in pages:
                open_lesson(page, hub, address, lesson)
            seconds, taken = run_all(pages), memory(accounts)
            assert len(taken["kernel"]) == len(taken["server"]) == number, taken
            server, kernel, peak = (f"{max(each):.2f}" for each in taken.values())
            print(f"{lesson}: all through after {seconds:.0f} s; server {server} GB, kernel {kernel} GB, at most {peak} GB", flush=True)
            if lesson.startswith("03"):
                for page in pages:
                    work(page)
                assert_apart(pages, hub, list(accounts))
                publish(clone)
                for page, name in zip(pages, accounts):
                    open_lesson(page, hub, address, lesson)
                    assert_pulled(page, name)
                print("03: each apart from the others; their lines kept under a new version, and said", flush=True)
            for page in pages:
                close(page)


if __name__ == "__main__":
    if len(sys.argv) < 2 or os.geteuid():
        sys.exit("As root: python tools/try_hub.py ENVIRONMENT [learners [lesson ...]]")
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 5, sys.argv[3:] or ["03"])
