"""The pages of `make site`: a server for them, and an explorer on one of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.sync_api import Locator, Page

from resnote import explorers
from resnote.hosts import web


# The tables would take a minute or two. Of these controls they hold the values of all presets and what lies at both ends; with
# TABLES=all, all of them.
FEW = {} if os.environ.get("TABLES") == "all" else {
    "signal": {"gains": ("0.1", "0.3", "1 (Xavier)", "√2 (He)", "3", "20")},
    "inference": {"momenta": ("0.01", "0.05", "0.1", "1", "None"), "batch_sizes": (2, 4, 8, 64, 256)}}
FIELDS = {("SignalExplorer", "gain"): ("signal", "gains"), ("InferenceExplorer", "momentum"): ("inference", "momenta"),
          ("InferenceExplorer", "batch_size"): ("inference", "batch_sizes")}


def positions(kind, field: str) -> list:
    """The values of a control that the site of these tests can show."""
    table, name = FIELDS.get((kind.__name__, field), (None, None))
    return list(FEW.get(table, {}).get(name, kind.controls[field].positions))


class _Server(ThreadingHTTPServer):
    request_queue_size = 128        # a page and its worker open more than the usual five at once, and then wait seconds for another try

    def handle_error(self, request, address):
        """A reader who leaves a page cuts its loads short; other errors are shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, address)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A plain web server on 127.0.0.1; its address."""
    server = _Server(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def in_python(questions: list[dict]) -> list[str]:
    """What CPython with torch answers to questions in a row."""
    web._before.clear()
    return [web.answer(json.dumps(question)) for question in questions]


def in_browser(page: Page, questions: list[dict]) -> list[str]:
    """What a worker of the page's own kind answers to them."""
    return page.evaluate("""async questions => {
        const worker = new Worker("python/web_worker.js", { type: "module" }), answers = [];
        for (const question of questions) {
            const answer = new Promise((resolve, reject) => {
                worker.onmessage = ({ data }) => resolve(data);
                worker.onerror = ({ message }) => reject(new Error(message));
                setTimeout(() => reject(new Error("no answer within a minute")), 60000);
            });
            worker.postMessage(question);
            answers.push(await answer);
        }
        worker.terminate();
        return answers;
    }""", [json.dumps(question) for question in questions])


# Of an explorer's box and {part: HTML}, the parts that show another picture.
OTHER_PICTURES = """(box, parts) => Object.entries(parts).filter(([name, html]) => {
    const parsed = document.createElement("div");
    parsed.innerHTML = html;
    return parsed.innerHTML !== box.querySelector(`[data-part=${name}]`).innerHTML;
}).map(([name]) => name)"""


class WebExplorer:
    """One explorer on a page."""

    def __init__(self, page: Page, key: str = "explorer"):
        self.page, self.box = page, page.locator(f"div.explorer[id='{key}']")
        self.kind = getattr(explorers, self.box.get_attribute("data-explorer"))

    def wait(self) -> WebExplorer:
        """Until it is live."""
        self.box.locator(".sentence").wait_for(timeout=120_000)
        return self

    def control(self, field: str) -> Locator:
        return self.box.locator(f"[name='{field}']")

    def preset(self, name: str) -> None:
        self.box.get_by_role("button", name=name, exact=True).click()

    def says(self) -> str:
        return self.box.locator(".sentence").inner_text()

    def status(self) -> str:
        return self.box.locator(".status").inner_text()

    def assert_pictures(self, state) -> None:
        """The parts of the picture are those of the state."""
        assert self.box.evaluate(OTHER_PICTURES, self.kind.move(None, state).parts) == []

    def assert_shows(self, state, timeout: float = 10_000) -> None:
        """Controls, pictures, sentence, pressed preset and line of code are those of the state."""
        moved = self.kind.move(None, state)
        expected = {"parts": moved.parts, "sentence": moved.sentence, "code": self.kind.code(state),
                    "words": {name: control.words(getattr(state, name)) for name, control in self.kind.controls.items()},
                    "pressed": [name for name, preset in self.kind.presets.items() if preset == state]}
        self.page.wait_for_function("""({key, expected}) => {
            const box = document.getElementById(key), otherPictures = """ + OTHER_PICTURES + """;
            const value = control => control.type === "checkbox" ? (control.checked ? "on" : "off")
                : control.type !== "range" ? control.value
                : (readout => readout.value ?? readout.textContent)(control.parentElement.querySelector(".value, [data-of]")).replace("-", "−");
            const controls = [...box.querySelectorAll(".control [name]")];
            return otherPictures(box, expected.parts).length === 0
                && box.querySelector(".sentence").textContent.endsWith(expected.sentence)
                && box.querySelector(".keep code").textContent === expected.code
                && controls.every(control => value(control) === expected.words[control.name])
                && [...box.querySelectorAll(".presets [aria-pressed=true]")].map(b => b.textContent).join() === expected.pressed.join();
        }""", arg={"key": self.box.get_attribute("id"), "expected": expected}, timeout=timeout)
