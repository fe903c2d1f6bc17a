"""The course as pages for any web server: lessons with their saved outputs, explorers that move, questions that answer.

    python tools/make_site.py [folder] [--url https://…] [--repository https://…]     "site" by default

With ``--url``, the address that the pages will have, links that are shared show a picture. Pyodide, the Python that runs in
the reader's browser, is fetched once by npm; after that nothing is fetched. Node, which comes with npm, compiles its modules.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from html import escape, unescape
from importlib import import_module
from pathlib import Path

import nbformat
from browser_python import ROOT, VERSION, write_python
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import markdown2html_mistune
from save_notebooks import NOTEBOOKS
from tables import write_tables

from resnote import explorers
from resnote.exercises import Prediction
from resnote.hosts import web
from resnote.hosts.tables import TABLES
from resnote.text import SCROLLS

HOST = ROOT / "resnote" / "hosts"
STATUS = "The picture is a still. It moves where the page comes from a web server and scripts are allowed, and in JupyterLab."
ON_A_PAGE = ('This page shows the lesson as it was run. Explorers move and questions answer here; to run its cells and to answer its exercises, '
             'open it in JupyterLab: <a href="index.html#jupyterlab">how</a>.')
HIGHLIGHT = Highlight2HTML()


# --- lessons ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lesson:
    """A lesson as README's table has it, and its notebook."""

    name: str
    title: str
    shows: str
    minutes: str

    @property
    def cells(self):
        return nbformat.read(NOTEBOOKS / f"{self.name}.ipynb", 4).cells


def lessons() -> list[Lesson]:
    rows = re.findall(r"^\| \[(.+?)\]\(notebooks/(\w+)\.ipynb\) \| (.+?) \| (\d+(?: \+ \d+)?) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    missing = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} - {name for _, name, *_ in rows}
    if missing:
        raise SystemExit(f"README's table of lessons has no row, of the form that this program reads, for {', '.join(sorted(missing))}.")
    return [Lesson(name, title, shows, minutes.replace(" + ", " minutes, and for its exercises ")) for title, name, shows, minutes in rows]


def markdown(source: str) -> str:
    html = markdown2html_mistune(source)
    html = re.sub(r'<a class="anchor-link".*?</a>', "", html)
    html = re.sub(r"<table>.*?</table>", lambda table: f"<div {SCROLLS}>{table[0]}</div>", html, flags=re.S)
    return re.sub(r'href="([\w-]+)\.ipynb"', r'href="\1.html"', html)


def plain(source: str) -> str:
    """Markdown without its marks and links."""
    return unescape(re.sub(r"<[^>]+>", "", markdown(source))).strip()


def output(output) -> str:
    """A saved output as HTML."""
    if output.output_type == "stream":
        return f"<pre>{escape(output.text)}</pre>"
    data = output.data
    return data.get("text/html") or f"<pre>{escape(data['text/plain'])}</pre>"


def explorer_in(cell) -> explorers.base.Explorer | None:
    """The explorer that a cell shows: its last line makes it."""
    line = cell.source.rpartition("\n")[2]
    made = re.fullmatch(r"(\w+Explorer)\(.*\)", line)
    return eval(line, {made[1]: getattr(explorers, made[1])}) if made else None


def explorer(shown: explorers.base.Explorer, key: str) -> str:
    """An explorer's still, and what takes its place once Python runs."""
    module = type(shown).__module__.rpartition(".")[2]
    table = f' data-table="{module}"' if module in TABLES else ""
    setting = json.dumps(web.link_setting(shown, shown.start))
    return (f'<div class="explorer" id="{key}" role="group" aria-label="Explorer" data-explorer="{type(shown).__name__}" '
            f'data-setting="{escape(setting)}"{table}><div class="still">{shown.still(shown.numbers(shown.start))}</div>'
            f'<template>{web.live(shown, key)}</template><p class="status" role="status">{STATUS}</p></div>')


def question(asked: Prediction, key: str) -> str:
    """A question with its answer folded away, and what takes its place where scripts run."""
    choices = "".join(f'<label><input type="radio" name="{key}"><template>{asked.reply(choice)._repr_html_()}</template>'
                      f"<span>{escape(choice)}</span></label>" for choice in asked.choices)
    return (f'<div class="question"><div class="still">{asked.still()}</div><template><fieldset>'
            f"<legend><b>Your guess:</b> {escape(asked.question)}</legend>{choices}</fieldset>"
            f'<div role="status">{asked.waiting()._repr_html_()}</div></template></div>')


def code(lesson: Lesson, cell) -> str:
    """A code cell and what it put out."""
    if guess := re.search(r"^guesses\.(\w+)$", cell.source, re.M):
        guesses = import_module(f"resnote.exercises.lesson_{lesson.name[:2]}").guesses
        return question(getattr(guesses, guess[1]), cell.id)
    shown = explorer_in(cell)
    parts = [HIGHLIGHT(cell.source, language="ipython3")]
    parts.append(explorer(shown, cell.id) if shown else "".join(f'<div class="output">{output(o)}</div>' for o in cell.outputs))
    if cell.id.startswith("exercise-"):
        parts.append(f'<p class="open">To answer, open <code>{lesson.name}.ipynb</code> in JupyterLab: '
                     '<a href="index.html#jupyterlab">how</a>. There the check tells what is wrong, and hints come one at a time.</p>')
    return "".join(parts)


def body(lesson: Lesson) -> str:
    html = "".join(f'<div class="words">{markdown(cell.source)}</div>' if cell.cell_type == "markdown" else
                   f'<div class="code">{code(lesson, cell)}</div>' for cell in lesson.cells)
    # Each page has its own way through the course.
    return re.sub(r"<p>Lessons: .*?</p>", f'<p class="open">{ON_A_PAGE}</p>', html, count=1)


# --- pages -----------------------------------------------------------------------------------------


PAGE = """<!doctype html>
<html lang="en" data-python="{python}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<meta name="description" content="{description}">
<meta property="og:type" content="website">
<meta property="og:title" content="{title}">
<meta property="og:description" content="{description}">
{shared}<meta name="color-scheme" content="light dark">
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="web.css?{version}">
<script defer src="web.js?{version}"></script>
</head>
<body>
<a class="skip" href="#main">To the text</a>
<header><nav aria-label="Lessons">{lessons}</nav></header>
<div class="page{headed}">{aside}<main id="main">
{body}
</main></div>
<footer>{footer}</footer>
</body>
</html>
"""
LICENCES = (
    '<p>resnote: <a href="LICENSE.txt">MIT licence</a>. The Python in these pages is <a href="https://pyodide.org">Pyodide</a> {version}, '
    '<a href="https://www.mozilla.org/MPL/2.0/">Mozilla Public License 2.0</a> (<a href="https://github.com/pyodide/pyodide">its source</a>), '
    'with <a href="https://docs.python.org/3/license.html">CPython and its standard library</a>, PSF licence. Both come from this site; the '
    "pages ask no other for anything.</p>")
ICON = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M8 1v3m0 8v3M8 3c7 0 7 10 0 10" fill="none" stroke="#D55E00" '
        'stroke-width="1.5"/><rect x="4" y="5" width="8" height="6" rx="1" fill="#56B4E9"/></svg>')


def page(title: str, description: str, main: str, *, here: str, course: list[Lesson], url: str, python: str, aside: str = "",
         after: str = "") -> str:
    def link(name, words):
        return f'<a href="{name}.html"{" aria-current=page" if name == here else ""}>{escape(words)}</a>'

    shared = (f'<meta property="og:url" content="{url}/{here}.html">\n<meta property="og:image" content="{url}/explorer.png">\n'
              '<meta name="twitter:card" content="summary_large_image">\n' if url else "")
    return PAGE.format(
        python=python, version=_hash(HOST / "web.js", HOST / "web.css"),
        title=escape(title), description=escape(description), shared=shared, body=main, aside=aside, headed=" headed" * bool(aside),
        lessons=link("index", "resnote") + "".join(link(lesson.name, short(lesson.title)) for lesson in course),
        footer=after + LICENCES.format(version=VERSION))


def short(title: str) -> str:
    """A title for the row of all lessons: a long one without its subtitle."""
    return title if len(title) < 40 else title.partition(":")[0]


def lesson_page(lesson: Lesson, **site) -> str:
    main, course = body(lesson), site["course"]
    heads = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', main)
    aside = f'<nav class="heads" aria-label="On this page"><ol>{"".join(f"""<li><a href="#{key}">{head}</a></li>""" for key, head in heads)}</ol></nav>'
    place = course.index(lesson)
    after = "".join(f'<a rel="{rel}" href="{other.name}.html">{arrow.format(escape(other.title))}</a>' for rel, arrow, others in (
        ("prev", "← {}", course[:place][-1:]), ("next", "{} →", course[place + 1:][:1])) for other in others)
    return page(f"{lesson.title} · resnote", f"Lesson of an interactive course on residual networks: {plain(lesson.shows)}.", main,
                here=lesson.name, aside=aside, after=f'<p class="onwards">{after}</p>', **site)


def first_explorer(lesson: Lesson) -> explorers.base.Explorer:
    return next(filter(None, map(explorer_in, lesson.cells)))


def start_page(repository: str, **site) -> str:
    """The way through the course, with one explorer at the top and a picture of each lesson."""
    course = site["course"]
    cards = []
    for lesson in course:
        shown = first_explorer(lesson)
        picture = next(part for part in shown.draw(shown.numbers(shown.start)).values() if not isinstance(part, str))
        cards.append(f'<li><a href="{lesson.name}.html"><b>{escape(lesson.title)}</b></a><span>{picture.image()}</span>'
                     f"<div>{markdown(lesson.shows[0].upper() + lesson.shows[1:])}<p><i>{lesson.minutes} minutes</i></p></div></li>")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    start = markdown(re.search(r"^## Start\n\n(.*?)\n\n### Without make", readme, re.M | re.S)[1])
    start = re.sub(r'<a href="#[^"]*">(.*?)</a>', r"\1", start)
    start = re.sub(r" To read only, .*?(?= With <code>make)", "", start)
    if repository:
        start = start.replace("&lt;this repository&gt;", repository) + f'<p>The course, its code and its tests: <a href="{repository}">{repository}</a></p>'
    top = explorers.BlockExplorer()
    main = f"""<h1>Residual networks, seen</h1>
<p>Why are residual networks (ResNets) built as they are? In seven lessons you guess, run, move a slider, and watch shapes, parameters and
pictures change together. What a lesson computes is asserted by a cell that would fail if it were false. This explorer is lesson 02's: a
residual block, which adds its input to the output of its layers. Set 63
output channels, and the addition fails; set 1, and bare PyTorch adds without a word.</p>
{explorer(top, "explorer")}
<h2 id="lessons">The way through the course</h2>
<p>For anyone who has trained one small network in PyTorch. Read it here, with explorers and questions; to run and change code, and for the
exercises, <a href="#jupyterlab">open it in JupyterLab</a>.</p>
<ol class="course">{"".join(cards)}</ol>
<h2 id="jupyterlab">In JupyterLab, on your own machine</h2>
{start}"""
    return page("resnote: residual networks, seen", "An interactive course that shows why residual networks are built as they are: "
                "seven lessons, with explorers that run in your browser.", main, here="index", **site)


# --- the folder ------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", default="site", type=Path)
    parser.add_argument("--url", default="", help="where the pages will be, for the picture of a shared link")
    parser.add_argument("--repository", default="", help="where the course itself is")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        write_python(Path(made))
        write_tables(Path(made))
        # A new version has an address of its own, so that no browser keeps half of an old one.
        files = sorted(Path(made).iterdir())
        python = f"python-{_hash(*files)}"
        (options.folder / python).mkdir(exist_ok=True)
        for file in files:
            shutil.copyfile(file, options.folder / python / file.name)      # not its mode: a web server is another user
    write_pages(options.folder, options.url, options.repository, python)
    print(options.folder / "index.html")


def _hash(*files: Path) -> str:
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def write_pages(folder: Path, url: str = "", repository: str = "", python: str = "python") -> None:
    """All but what is in the folder ``python``."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (HOST / "web.js", HOST / "web.css", ROOT / "docs" / "explorer.png"):
        shutil.copyfile(file, folder / file.name)
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE.txt")
    (folder / "icon.svg").write_text(ICON, encoding="utf-8")
    site = {"course": lessons(), "url": url.rstrip("/"), "python": python}
    for lesson in site["course"]:
        (folder / f"{lesson.name}.html").write_text(lesson_page(lesson, **site), encoding="utf-8")
    (folder / "index.html").write_text(start_page(repository, **site), encoding="utf-8")


if __name__ == "__main__":
    main()
