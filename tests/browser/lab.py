"""Open a notebook in a real JupyterLab with a real Chromium, move its sliders, and see what a reader sees.

From the outside in: `running_lab` starts a server, `open_notebook` shows a notebook in a page and returns it as a
`Notebook`, whose `slider(…)` is a `Slider`. `watch_flicker` and `measure_latency` watch an output while something
moves. By hand, from the root of the repository::

    from playwright.sync_api import sync_playwright
    from tests.browser.lab import launch_chromium, open_notebook, running_lab, screenshot

    with running_lab("notebooks") as lab, sync_playwright() as playwright:
        page = launch_chromium(playwright).new_page(viewport={"width": 800, "height": 1000})
        notebook = open_notebook(page, lab, "00_start_here.ipynb", theme="dark")
        notebook.run_all()
        notebook.slider("slope").press("ArrowRight", times=3)
        notebook.settle()
        screenshot(page, "screenshots/start_dark_800.png")

What is saved is written to the folder that JupyterLab shows: give `running_lab` a copy of whatever must not change. Times
are in seconds, except latencies, which are in milliseconds.
"""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil  # comes with ipykernel
from playwright.sync_api import Browser, Locator, Page, Playwright
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import TimeoutError as PlaywrightTimeout

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
).split() + ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]        # other hosts are out of reach

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

SETTINGS = {
    # Lay out every cell, also those out of view, and end the page after the last one. (Those of resnote/jupyterlab.json hold, too.)
    "notebook-extension/tracker": {"windowingMode": "none", "scrollPastEnd": False},
    # No pop-up that asks about news: in JupyterLab 4.6 it comes even with `--LabApp.news_url=None`.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # Only tests save: a save that begins while another is under way can ask whether the file changed on disk.
    "docmanager-extension/plugin": {"autosave": False},
}


# The server


@dataclass
class Lab:
    """A running JupyterLab: where it is, the token that opens it, and the file it logs to."""

    url: str
    token: str
    log: Path

    def api(self, path: str, method: str = "GET"):
        """The decoded answer to a request of Jupyter Server's REST interface, such as ``api("sessions")``."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or "null")

    def stop_kernels(self) -> None:
        """Stop every kernel. One that outlives its page meets the next page of its notebook with old variables."""
        for session in self.api("sessions"):
            self.api(f"sessions/{session['id']}", method="DELETE")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_lab(root: Path | str, timeout: float = 60) -> Iterator[Lab]:
    """A JupyterLab that shows the folder `root` on a free local port, with none of the user's own settings."""
    port = free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.root_dir={Path(root).resolve()}"]
    if os.getuid() == 0:
        command.append("--allow-root")

    with tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True) as home:
        lab = Lab(f"http://127.0.0.1:{port}", secrets.token_hex(16), Path(home, "server.log"))
        own = "JUPYTER_CONFIG_DIR JUPYTER_DATA_DIR JUPYTER_RUNTIME_DIR JUPYTERLAB_WORKSPACES_DIR IPYTHONDIR".split()
        environment = os.environ | {name: f"{home}/{name}" for name in own}
        environment |= {"JUPYTERLAB_SETTINGS_DIR": f"{home}/settings", "JUPYTER_TOKEN": lab.token}
        for name, settings in SETTINGS.items():
            file = Path(home, "settings/@jupyterlab", f"{name}.jupyterlab-settings")
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(settings), encoding="utf-8")
        with open(lab.log, "w", encoding="utf-8") as log:
            # A session of its own, so that Ctrl-C reaches this process first and the server is stopped below.
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_until_ready(lab, server, timeout)
            yield lab
        finally:
            _stop(server)


def _wait_until_ready(lab: Lab, server: subprocess.Popen, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while server.poll() is None and time.monotonic() < deadline:
        try:
            return lab.api("status")
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"JupyterLab ended, or was not ready within {timeout} s. Its log:\n{lab.log.read_text(encoding='utf-8')}")


def _stop(server: subprocess.Popen) -> None:
    """End the server and its kernels, each of which leads a process group of its own."""
    if server.poll() is None:
        family = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        for survivor in psutil.wait_procs([*family, server], timeout=10)[1]:
            survivor.kill()
    server.wait()


# The page


def launch_chromium(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)


def close_all(page: Page) -> None:
    """Close every tab of a JupyterLab, and end the kernels."""
    page.evaluate(
        """async () => {
            for (const panel of [...jupyterapp.shell.widgets('main')]) {
                await panel.sessionContext?.shutdown();
                panel.dispose();
            }
        }"""
    )


def wait_until_open(page: Page, path: str, timeout: float) -> None:
    """Until a JupyterLab shows the notebook and its kernel is idle."""
    try:
        page.wait_for_function(
            """path => {
                const panel = window.jupyterapp?.shell.currentWidget;
                return panel?.context?.path === path && panel.context.isReady
                    && panel.sessionContext.session?.kernel?.status === 'idle';
            }""",
            arg=path,
            timeout=timeout * 1000,
        )
    except PlaywrightTimeout as error:
        with suppress(PlaywrightError):         # a page that is stuck says nothing
            error.add_note(page.wait_for_function(
                """() => {
                    const panel = window.jupyterapp?.shell.currentWidget, kernel = panel?.sessionContext?.session?.kernel;
                    const dialogs = [...document.querySelectorAll('.jp-Dialog')].map(dialog => dialog.innerText);
                    return `The page shows ${panel?.context?.path ?? panel?.title?.label ?? 'no tab'}, ready: ${panel?.context?.isReady}; `
                        + `its kernel is ${kernel?.status ?? 'not there'}, its connection ${kernel?.connectionStatus}; `
                        + `its dialogs: ${JSON.stringify(dialogs)}.`;
                }""",
                timeout=5000,
            ).json_value())
        raise


def open_notebook(page: Page, lab: Lab, path: str, theme: str = "light", timeout: float = 60) -> "Notebook":
    """Show the notebook at `path` in the lab's root: nothing run yet, its kernel idle, no other tab, no side bar.

    A page that already shows this lab is used again, its notebooks closed and their kernels ended, because JupyterLab is
    slow to start.
    """
    notebook, here = Notebook(page), page.url.startswith(lab.url)
    if here:
        close_all(page)
    page.on("pageerror", lambda error: notebook.page_errors.append(str(error)))
    if here:
        page.evaluate("path => jupyterapp.commands.execute('docmanager:open', {path}).then(() => {})", path)
    else:
        page.goto(f"{lab.url}/lab/tree/{quote(path)}?token={lab.token}&reset", wait_until="commit")
    wait_until_open(page, path, timeout)
    # Keep account of the talk with the kernel, for `settle` and `callback_errors`.
    page.evaluate(
        """() => {
            const talk = window.talk = {unanswered: new Set(), last: 0, errors: []};
            const {sessionContext} = jupyterapp.shell.currentWidget;
            sessionContext.session.kernel.anyMessage.connect((_, {msg, direction}) => {
                talk.last = performance.now();
                if (direction === 'send' && msg.channel === 'shell') talk.unanswered.add(msg.header.msg_id);
            });
            sessionContext.iopubMessage.connect((_, {header, parent_header, content}) => {
                talk.last = performance.now();
                if (content.execution_state === 'idle') talk.unanswered.delete(parent_header.msg_id);
                if (header.msg_type === 'error' && parent_header.msg_type === 'comm_msg')
                    talk.errors.push(`${content.ename}: ${content.evalue}`);
            });
            jupyterapp.shell.collapseLeft();
        }"""
    )
    notebook.set_theme(theme)
    return notebook


@dataclass
class Notebook:
    """A notebook that is open in a page. `page_errors` collects that page's uncaught JavaScript errors."""

    page: Page
    page_errors: list[str] = field(default_factory=list)

    def set_theme(self, theme: str) -> None:
        """Change JupyterLab's theme to "light" or "dark"."""
        self.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", THEMES[theme])
        self.page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=THEMES[theme])

    def run_all(self, timeout: float = 300) -> None:
        """Run all cells, as the menu does, until all have finished and every widget is drawn.

        A cell that raises ends the run, unless it is tagged ``raises-exception``: look at `cell_errors`.
        """
        self.start("run-all-cells")
        self.finish(timeout)

    def trust(self) -> None:
        """Trust all outputs, as Edit → Trust Notebook does."""
        self.page.evaluate("() => { for (const cell of jupyterapp.shell.currentWidget.content.widgets) cell.model.trusted = true; }")

    def start(self, command: str) -> None:
        """Begin one of the menu's commands that run cells, such as "run-all-below" from the last cell run: see `finish`."""
        run = f"jupyterapp.commands.execute('notebook:{command}').finally(() => {{ window.ranAll = true; }})"
        self.page.evaluate(f"() => {{ window.ranAll = false; {run}; }}")

    def finish(self, timeout: float = 300) -> None:
        """Wait until what `start` began has run or has been stopped by an error, and every widget is drawn."""
        done = "() => window.ranAll && !document.querySelector('.jp-Notebook').textContent.includes('Loading widget')"
        self.page.wait_for_function(done, timeout=timeout * 1000, polling=200)     # each frame would slow the kernel down
        self.settle(timeout)

    def settle(self, timeout: float = 30) -> None:
        """Wait until the kernel has answered everything, a slider's last move too, and has been quiet for 0.1 s."""
        quiet = "() => talk.unanswered.size === 0 && performance.now() - talk.last > 100"
        self.page.wait_for_function(quiet, timeout=timeout * 1000)

    def cell(self, cell_id: str) -> Locator:
        """The cell that has this id in the notebook's file."""
        ids = self.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.id)")
        return self.page.locator(".jp-Notebook .jp-Cell").nth(ids.index(cell_id))

    def output(self, cell_id: str) -> Locator:
        """All that this cell put out. It stays the same element while its content changes."""
        return self.cell(cell_id).locator(".jp-Cell-outputArea")

    def slider(self, description: str) -> "Slider":
        """The slider with this description."""
        label = self.page.locator(".widget-label", has_text=re.compile(rf"^\s*{re.escape(description)}\s*$"))
        return Slider(self.page.locator(".jp-Notebook .widget-slider").filter(has=label))

    def run_cell(self, cell_id: str, source: str | None = None) -> None:
        """Start a cell, with another source if one is given, and do not wait: see `settle`."""
        self.page.evaluate(
            """([id, source]) => {
                const {content} = jupyterapp.shell.currentWidget;
                content.activeCellIndex = content.widgets.findIndex(cell => cell.model.id === id);
                content.deselectAll();
                if (source !== null) content.activeCell.model.sharedModel.setSource(source);
                jupyterapp.commands.execute('notebook:run-cell');
            }""",
            [cell_id, source],
        )

    def run_cells(self, cell_ids: list[str], timeout: float = 60) -> None:
        """Run these cells, one after the other, and wait until their widgets are drawn."""
        self.page.evaluate(
            """ids => {
                const {content} = jupyterapp.shell.currentWidget;
                const run = async () => {
                    for (const id of ids) {
                        content.activeCellIndex = content.widgets.findIndex(cell => cell.model.id === id);
                        content.deselectAll();
                        await jupyterapp.commands.execute('notebook:run-cell');
                    }
                };
                window.ranAll = false;
                run().finally(() => { window.ranAll = true; });
            }""",
            cell_ids,
        )
        self.finish(timeout)

    def interrupt(self) -> None:
        """Kernel → Interrupt Kernel."""
        self.page.evaluate("jupyterapp.commands.execute('kernelmenu:interrupt')")

    def cell_errors(self) -> list[str]:
        """The text of each output that is an error, a warning, or a widget that is not drawn."""
        outputs = self.page.locator(".jp-Notebook .jp-OutputArea-output")
        stderr = self.page.locator(".jp-Notebook [data-mime-type='application/vnd.jupyter.stderr']")
        undrawn = outputs.filter(has_text=re.compile("Error displaying widget|Loading widget"))
        return stderr.or_(undrawn).all_inner_texts()

    def errors(self) -> list[str]:
        """`cell_errors`, `callback_errors` and `page_errors`."""
        return self.cell_errors() + self.callback_errors() + self.page_errors

    def callback_errors(self) -> list[str]:
        """The exceptions that widgets' callbacks raised. JupyterLab shows these nowhere in the notebook."""
        self.settle()
        return self.page.evaluate("talk.errors")


class Slider:
    """An ipywidgets slider; `box` is its whole line: label, track and readout."""

    def __init__(self, box: Locator):
        self.box = box
        self.handle = self.box.get_by_role("slider")
        self.readout = self.box.locator(".widget-readout")

    @property
    def value(self) -> str:
        """What the readout says. It changes before the kernel knows."""
        return self.readout.inner_text()

    def press(self, key: str, times: int = 1) -> None:
        """Press a key, such as ArrowRight, PageUp or Home, on the handle."""
        for _ in range(times):
            self.handle.press(key)

    def drag(self, fraction: float, steps: int = 8) -> None:
        """Drag the handle with the mouse in `steps` moves to `fraction` of the track: 0 is its start, 1 its end."""
        self.handle.scroll_into_view_if_needed()
        handle, track = self.handle.bounding_box(), self.box.locator(".noUi-base").bounding_box()
        mouse, middle = self.box.page.mouse, handle["y"] + handle["height"] / 2
        mouse.move(handle["x"] + handle["width"] / 2, middle)
        mouse.down()
        mouse.move(track["x"] + fraction * track["width"], middle, steps=steps)
        mouse.up()

    def type(self, text: str) -> None:
        """Type `text` over the readout, and press Enter."""
        self.readout.click()
        self.readout.press("ControlOrMeta+a")
        self.readout.press_sequentially(text)
        self.readout.press("Enter")


# Watching

PICTURES = "svg:not([data-icon]), img"  # JupyterLab's own icons are svg too


@dataclass
class Flicker:
    """What `watch_flicker` saw: an output's height in px and whether it held a picture, each time it looked."""

    frames: list[tuple[float, bool]] = field(default_factory=list)  # about what the eye sees
    changes: list[tuple[float, bool]] = field(default_factory=list)  # after each change of the page, painted or not

    @property
    def heights(self) -> set[float]:
        return {height for height, _ in self.frames + self.changes}

    @property
    def blanks(self) -> int:
        """How often there was no picture."""
        return sum(not picture for _, picture in self.frames + self.changes)


@contextmanager
def watch_flicker(output: Locator) -> Iterator[Flicker]:
    """Look at `output` on every frame and after every change inside it. The result is complete when the block ends."""
    flicker = Flicker()
    watch = output.evaluate_handle(
        """(output, pictures) => {
            const seen = {frames: [], changes: []};
            const height = element => Math.round(10 * element.getBoundingClientRect().height) / 10;
            const look = list => list.push([height(output), [...output.querySelectorAll(pictures)].some(height)]);
            const eachFrame = () => { look(seen.frames); request = requestAnimationFrame(eachFrame); };
            let request = requestAnimationFrame(eachFrame);
            const observer = new MutationObserver(() => look(seen.changes));
            observer.observe(output, {subtree: true, childList: true, characterData: true, attributes: true});
            return {stop: () => { cancelAnimationFrame(request); observer.disconnect(); return seen; }};
        }""",
        PICTURES,
    )
    yield flicker
    seen = watch.evaluate("watch => watch.stop()")
    watch.dispose()
    flicker.frames += map(tuple, seen["frames"])
    flicker.changes += map(tuple, seen["changes"])


def measure_latency(
    output: Locator, action: Callable, expected: str | None = None, start: str = "keydown", timeout: float = 10
) -> float:
    """Milliseconds from the first `start` event of `action` until the page has painted `output` with the result.

    The result is shown when the text of `output` contains `expected`, which should be something that only the kernel
    can have computed; or, with None, when `output` holds another picture than before.
    """
    watch = output.evaluate_handle(
        """(output, [pictures, expected, start, timeout]) => {
            const drawn = () => [...output.querySelectorAll(pictures)].map(each => each.src ?? each.outerHTML).join();
            const before = expected === null ? drawn() : null;
            const redrawn = () => !['', before].includes(drawn());
            const shown = () => expected === null ? redrawn() : output.textContent.includes(expected);
            if (shown()) throw new Error(`The output shows "${expected}" already.`);
            return {latency: new Promise((resolve, reject) => {
                let began = null;
                const look = () => {
                    if (began === null || !shown()) return;
                    observer.disconnect();
                    const {port1, port2} = new MessageChannel();        // a message sent as a frame begins comes after its painting
                    port1.onmessage = () => { clearTimeout(late); resolve(performance.now() - began); };
                    requestAnimationFrame(() => port2.postMessage(null));
                };
                const observer = new MutationObserver(look);
                document.addEventListener(start, event => { began = event.timeStamp; look(); }, {capture: true, once: true});
                observer.observe(output, {subtree: true, childList: true, characterData: true, attributes: true});
                const late = setTimeout(() => {
                    observer.disconnect();
                    reject(new Error(began ? `The output did not show "${expected}".` : `There was no ${start}.`));
                }, timeout);
            })};
        }""",
        [PICTURES, expected, start, timeout * 1000],
    )
    try:
        action()
        return watch.evaluate("watch => watch.latency")
    finally:
        watch.dispose()     # a page that keeps what it no longer needs collects garbage, and pauses, more and more often


def screenshot(page: Page, path: Path | str) -> None:
    """Save a picture of the page, for the moment made tall enough to show the whole notebook."""
    scroller = page.locator(".jp-Notebook .jp-WindowedPanel-outer")
    hidden = scroller.evaluate_all("all => Math.max(0, ...all.map(each => each.scrollHeight - each.clientHeight))")
    size = page.viewport_size
    page.set_viewport_size({"width": size["width"], "height": size["height"] + hidden})
    page.screenshot(path=path)
    page.set_viewport_size(size)
