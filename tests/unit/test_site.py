"""The pages of `make site` hold what they show or have it beside them, and link to each other; and what else they are made of."""

import gzip
import json
import os
import re
import zipfile

import browser_python
import make_site
import pytest
import tables as packed
from make_site import explorer_in, lessons
from save_notebooks import NOTEBOOKS

from resnote.explorers import BottleneckExplorer, inference, signal
from resnote import explorers
from resnote.explorers.base import plain_words
from resnote.hosts import web

pytestmark = pytest.mark.subject("pages", needs=["explorers"])


def texts(pages):
    return {page.stem: page.read_text(encoding="utf-8") for page in pages.glob("*.html")}


def test_there_is_a_page_a_lesson_and_every_link_between_them_works(pages):
    assert texts(pages).keys() == {path.stem for path in NOTEBOOKS.glob("*.ipynb")} | {"index"}
    for name, page in texts(pages).items():
        links = re.findall(r'href="(?!https?:)([^"#?]*)(?:\?\w+)?(#[^"]*)?"', page)
        assert len(links) > 7, name
        for file, anchor in links:
            assert not file or (pages / file).is_file(), (name, file)
            there = (pages / file).read_text(encoding="utf-8") if file else page
            assert len(anchor) < 2 or f'id="{anchor[1:]}"' in there, (name, anchor)


def test_a_page_asks_no_other_host_for_anything(pages):
    for name, page in texts(pages).items():
        asked = re.findall(r'<(?:script|link|img|iframe)[^>]* (?:src|href)="(?!data:)([^"]*)"', page)
        assert {file.partition("?")[0] for file in asked} == {"web.js", "web.css", "icon.svg"}, name
        assert re.findall(r'@import|url\((?!\s*["\']?(?:data:|#))', page) == []
    for file in (pages / "web.js", pages / "web.css", browser_python.ROOT / "resnote" / "hosts" / "web_worker.js"):
        assert "//" not in re.sub(r"^ *//.*$|\s// .*$", "", file.read_text(encoding="utf-8"), flags=re.M)


def test_a_page_without_explorers_touched_is_small_and_says_what_it_is(pages):
    for name, page in texts(pages).items():
        assert len(page.encode()) + sum((pages / file).stat().st_size for file in ("web.js", "web.css", "icon.svg")) < 1_000_000
        title, description = (re.search(pattern, page)[1] for pattern in (r"<title>(.*?)</title>", r'name="description" content="(.*?)"'))
        assert "resnote" in title and 60 < len(description) < 300 and not set("`*<[") & set(description)
        assert "Pyodide" in page and "Mozilla Public License" in page and "PSF" in page and "MIT" in page


def test_a_shared_link_has_a_picture_where_the_address_is_known(pages, tmp_path):
    from make_site import lesson_page

    page = lesson_page(lessons()[3], course=lessons(), url="https://example.org/resnote", python="python")
    assert '<meta property="og:image" content="https://example.org/resnote/explorer.png">' in page
    assert (pages / "explorer.png").is_file() and "og:image" not in texts(pages)["index"]


def test_every_explorer_of_the_lessons_is_on_its_page_with_its_own_setting(pages):
    for lesson in lessons():
        shown = [(cell.id, explorer_in(cell)) for cell in lesson.cells if cell.cell_type == "code" and explorer_in(cell)]
        found = re.findall(r'<div class="explorer" id="(.*?)".*?data-explorer="(.*?)"', texts(pages)[lesson.name])
        assert found == [(key, type(explorer).__name__) for key, explorer in shown] and found


def test_what_runs_in_the_browser_is_packed_alone_and_always_the_same(tmp_path):
    for name in ("one.zip", "other.zip"):
        browser_python.pack(tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()
    names = zipfile.ZipFile(tmp_path / "one.zip").namelist()
    assert "resnote/hosts/web.py" in names and not {"resnote/hosts/lab.py", "resnote/signals.py"} & set(names)


def test_the_site_keeps_python_in_a_folder_of_its_own_version_that_every_web_server_can_read(tmp_path, monkeypatch):
    def write(name, mode):
        def into(folder):
            (folder / name).write_text(name, encoding="utf-8")
            (folder / name).chmod(mode)
        return into

    monkeypatch.setattr(make_site, "write_python", write("web_worker.js", 0o600))
    monkeypatch.setattr(make_site, "write_tables", write("signal.json.gz", 0o400))
    site = tmp_path / "site"
    before = os.umask(0o022)
    try:
        for _ in range(2):          # and into the same folder again
            make_site.main([str(site), "--repository", "https://example.org/resnote"])
    finally:
        os.umask(before)
    python, = site.glob("python-*")
    assert sorted(path.name for path in python.iterdir()) == ["signal.json.gz", "web_worker.js"]
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in site.rglob("*"))
    assert all(path.stat().st_mode & 0o111 == 0o111 for path in (site, python))
    for page in site.glob("*.html"):
        assert f'data-python="{python.name}"' in page.read_text(encoding="utf-8")
    assert "git clone https://example.org/resnote resnote" in (site / "index.html").read_text(encoding="utf-8")


def test_a_package_of_another_hash_and_a_missing_npm_are_refused_in_words(tmp_path, monkeypatch):
    (tmp_path / f"pyodide-{browser_python.VERSION}.tgz").write_bytes(b"something else")
    with pytest.raises(SystemExit, match="has the SHA-256 .* was recorded. Remove the file"):
        browser_python.fetched(tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="could not be fetched .* needs npm and a network once"):
        browser_python.fetched(tmp_path / "empty")


@pytest.mark.thorough
def test_tables_are_made_once_and_hold_what_the_explorers_show(tmp_path, monkeypatch):
    """With all settings but a few left out, which would take a minute."""
    only = {"signal": {"activations": ("tanh",), "gains": ("1.2",)}, "inference": {"momenta": ("0.3",), "batch_sizes": (128,)}}
    times = []
    for _ in range(2):
        packed.write_tables(tmp_path / "site", only, tmp_path / "kept")
        times.append([path.stat().st_mtime_ns for path in sorted((tmp_path / "kept").iterdir())])
    assert times[0] == times[1] and len(times[0]) == 2

    states = [signal.State(depth, "tanh", "1.2", batch_norm) for depth in (1, 37, 60) for batch_norm in (False, True)]
    others = [inference.State("0.3", 128, seen, learning) for seen in (0, 1, 99, 200) for learning in (False, True)]

    def shown():
        return [signal.propagate(state) for state in states], [(inference.walks(state), inference.right(state)) for state in others]

    torch = shown()
    for module, functions in ((signal, ("propagate",)), (inference, ("whole_walks", "right"))):
        for function in functions:
            monkeypatch.setattr(module, function, getattr(module, function))        # put back after the test
    for name, unpack in (("signal", bytes), ("inference", gzip.decompress)):       # as some servers send it
        web.use_table(name, unpack((tmp_path / "site" / f"{name}.json.gz").read_bytes()))
    assert json.loads(json.dumps(shown())) == json.loads(json.dumps(torch))
    with pytest.raises(KeyError):
        signal.propagate(signal.State(gain="3"))


def test_an_answer_is_a_state_or_a_problem_in_words():
    def asked(**wanted):
        return json.loads(web.answer(json.dumps({"explorer": "BottleneckExplorer", "key": "k"} | wanted)))

    web._before.clear()
    shown = asked(setting={"width": "32", "bias": "on"})
    assert shown["code"] == "BottleneckExplorer(basic_width=32, bottleneck_width=32, bias=True)"
    assert shown["setting"] == {"basic_width": "32", "bottleneck_width": "32", "bias": "on"} and shown["preset"] is None
    assert asked(setting=shown["setting"]) == shown
    assert asked(preset="Equal channels")["preset"] == "Equal channels"
    moved = asked(positions=shown["positions"] | {"bias": 0})
    assert "bias" not in moved["setting"]
    assert asked(positions=shown["positions"])["sentence"].startswith("Bias: from off to on. ")
    assert asked(setting={"width": "9999"})["problem"].startswith("The setting in the link cannot be shown. width is '9999'")
    assert "could not draw this setting" in asked(positions={"basic_in": 4000})["problem"]


def test_the_live_form_holds_a_native_control_with_a_name_for_each_field():
    html = web.live(BottleneckExplorer(width=8), "key")
    for name in BottleneckExplorer.controls:
        assert len(re.findall(rf'<(?:input|select)[^>]* id="key-{name}" name="{name}" aria-label="', html)) == 1
    assert 'name="basic_width" aria-label="Basic block, width" min="1" max="512" value="8"' in html


@pytest.mark.parametrize("name", explorers.__all__)
def test_each_position_of_each_control_finds_its_way_through_a_link(name):
    kind = getattr(explorers, name)
    for field, control in kind.controls.items():
        for value in control.positions:
            written = plain_words(control, value)
            assert getattr(kind.setting(**{field: written}), field) == value, (field, written)
