"""The pages of `make site` in a real browser: explorers and questions without a kernel, and what happens where they cannot run."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from importlib import import_module

import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import screenshot
from page import SCREENSHOTS
from playwright.sync_api import Error, expect
from save_notebooks import NOTEBOOKS
from test_lessons import EXPLORERS
from web import WebExplorer, in_browser, in_python, positions, serving

from resnote import explorers
from resnote.exercises.base import Exercise
from resnote.hosts.tables import TABLES
from resnote.hosts.web import link_setting

pytestmark = pytest.mark.subject("pages", needs=["explorers"])

LESSONS = list(EXPLORERS)
PAGES = ["index", *LESSONS]


def each(names, quick=("index", "03_bottleneck", "BottleneckExplorer")):
    """Pages or explorers as parameters; those of ``quick`` stand for all where time is short."""
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.thorough) for name in names]


def needs_tables(explorer) -> bool:
    return explorer.__module__.rpartition(".")[2] in TABLES


def test_the_browser_of_these_tests_reaches_no_host_but_this_one(browser):
    with browser.new_context() as context, pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        context.new_page().goto("http://localhost")


@pytest.fixture(scope="module")
def address(site):
    with serving(site) as address:
        yield address


@pytest.fixture(scope="module")
def opened(browser, address, request):
    """A function (page's name) → page with live explorers, opened once."""
    context, pages = browser.new_context(viewport={"width": 1400, "height": 1000}), {}
    context.grant_permissions(["clipboard-read", "clipboard-write"])

    def open_once(name):
        if name not in pages:
            if name in EXPLORERS and needs_tables(EXPLORERS[name]):
                request.getfixturevalue("tables")
            page = pages[name] = context.new_page()
            page.asked, page.wrong = [], []
            page.on("request", lambda request: page.asked.append(request.url))
            page.on("pageerror", lambda error: page.wrong.append(str(error)))
            page.on("console", lambda message: message.type == "error" and page.wrong.append(message.text))
            page.goto(f"{address}/{name}.html")
            page.locator(".explorer").first.scroll_into_view_if_needed()
            for explorer in page.locator(".explorer").all():
                WebExplorer(page, explorer.get_attribute("id")).wait()
        pages[name].bring_to_front()
        return pages[name]

    yield open_once
    context.close()


@pytest.fixture
def fresh(browser):
    """A function (options of a context) → page of its own."""
    contexts = []

    def make(**options):
        contexts.append(browser.new_context(**options))
        return contexts[-1].new_page()

    yield make
    for context in contexts:
        context.close()


# --- the same Python -----


def questions(kind):
    """All presets; of each control both ends from the first preset, or all positions where they are few; states at random."""
    first, choose = kind.setting(), random.Random(0)
    states = list(kind.presets.values())
    for name, control in kind.controls.items():
        places = positions(kind, name)
        states += [replace(first, **{name: place}) for place in (places if len(places) <= 15 else [places[0], places[-1]])]
    states += [kind.State(**{name: choose.choice(positions(kind, name)) for name in kind.controls}) for _ in range(40)]
    table = kind.__module__.rpartition(".")[2] if needs_tables(kind) else None
    return [{"explorer": kind.__name__, "key": "explorer", "table": table, "positions": {
        name: control.positions.index(getattr(state, name)) for name, control in kind.controls.items()}} for state in states]


@pytest.mark.parametrize("name", each([kind.__name__ for kind in EXPLORERS.values()]))
def test_a_page_answers_every_move_with_the_words_and_pictures_of_python_with_torch(opened, name, request):
    kind = getattr(explorers, name)
    if needs_tables(kind):
        request.getfixturevalue("tables")
    asked = questions(kind)
    found, expected = in_browser(opened("index"), asked), in_python(asked)
    assert found == expected and len(set(found)) > 10 and not any("problem" in answer for answer in found)


@pytest.mark.parametrize("lesson", each(LESSONS))
def test_an_explorer_moves_by_keyboard_by_mouse_and_by_presets(opened, lesson):
    explorer = WebExplorer(opened(lesson))
    kind, state = explorer.kind, explorer.kind.setting()
    for name, preset in [*explorer.kind.presets.items()][1:]:
        explorer.preset(name)
        explorer.assert_shows(preset)
    explorer.preset(next(iter(kind.presets)))
    explorer.assert_shows(state)
    for name, control in kind.controls.items():
        box, places = explorer.control(name), control.positions
        kind_of = box.get_attribute("type")
        if kind_of == "range":
            box.press("End")
            explorer.assert_shows(replace(state, **{name: places[-1]}))
            edges = box.bounding_box()
            box.click(position={"x": 1, "y": edges["height"] / 2})
            explorer.assert_shows(replace(state, **{name: places[0]}))
            box.press("ArrowRight")
            explorer.assert_shows(replace(state, **{name: places[1]}))
            number = explorer.box.locator(f"[data-of='{name}']")
            if number.count():
                number.fill("9999")
                number.press("Enter")
                explorer.assert_shows(replace(state, **{name: places[-1]}))
            explorer.preset(next(iter(kind.presets)))
        else:
            for place in [*places, getattr(state, name)]:
                box.set_checked(place) if kind_of == "checkbox" else box.select_option(control.words(place))
                explorer.assert_shows(replace(state, **{name: place}))
        explorer.assert_shows(state)


def test_controls_say_their_names_and_values_and_a_number_typed_as_it_was_follows_the_slider_again(opened):
    explorer = WebExplorer(opened("03_bottleneck"))
    side = explorer.box.get_by_role("slider", name="image side", exact=True)
    assert side.get_attribute("aria-valuetext") == "320"
    side.press("ArrowRight")
    explorer.assert_shows(replace(explorer.kind.setting(), side=384))
    assert side.get_attribute("aria-valuetext") == "384"
    assert "320 to 384" in explorer.box.locator(".sentence").and_(explorer.box.get_by_role("status")).inner_text()
    explorer.preset("Equal channels")
    number = explorer.box.get_by_role("spinbutton", name="Bottleneck, width, as a number")
    for key in ("End", "Backspace", "4", "Tab"):
        number.press(key)
    explorer.box.get_by_role("slider", name="Bottleneck, width", exact=True).press("Home")
    explorer.assert_shows(replace(explorer.kind.setting(), bottleneck_width=1))
    explorer.preset("Equal channels")
    number.fill("")
    number.press("Tab")
    explorer.assert_shows(explorer.kind.setting())


def test_a_hand_that_moves_fast_leaves_the_picture_of_where_it_stopped(opened):
    explorer = WebExplorer(opened("03_bottleneck"))
    slider = explorer.control("bottleneck_width")
    for _ in range(30):
        slider.press("ArrowLeft")
    explorer.assert_shows(replace(explorer.kind.setting(), bottleneck_width=34))
    assert "Bottleneck, width: from" in explorer.says()
    explorer.preset("Equal channels")
    explorer.assert_shows(explorer.kind.setting())


# --- questions, exercises, looks -----


@pytest.mark.parametrize("lesson", each(LESSONS))
def test_every_question_answers_every_guess_and_every_exercise_says_where_to_write(opened, lesson):
    page, module = opened(lesson), import_module(f"resnote.exercises.lesson_{lesson[:2]}")
    guesses, exercises = module.guesses, [name for name, value in vars(module).items() if isinstance(value, Exercise)]
    asked = [guess for guess in vars(guesses).values() if hasattr(guess, "choices")]
    assert page.locator(".question").count() == len(asked) > 0
    for guess in asked:
        box = page.locator(".question").filter(has_text=guess.question)
        assert box.locator("details").count() == 0
        for choice in guess.choices:
            box.get_by_label(choice, exact=True).check()
            expect(box.get_by_role("status")).to_contain_text(guess.choices[choice])
            expect(box.get_by_role("status")).to_contain_text("Yes" if choice == guess.answer else "Guess again.")
    assert page.locator(".open", has_text=f"{lesson}.ipynb").count() == len(exercises)


@pytest.mark.parametrize("name", each(PAGES, quick=("index",)))
def test_axe_finds_nothing_in_light_nor_dark_and_no_page_is_wider_than_its_window(opened, name):
    page = opened(name)
    for width in (360, 800, 1400):
        page.set_viewport_size({"width": width, "height": 1000})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for scheme in ("light", "dark") if width != 800 else ("light",):
            page.emulate_media(color_scheme=scheme)
            if name in ("index", "03_bottleneck"):
                screenshot(page, SCREENSHOTS / f"page_{name}_{scheme}_{width}.png")
            if (scheme, width) in (("light", 360), ("dark", 1400)):
                found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
                assert [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in found] == []
    page.emulate_media(color_scheme="light")


@pytest.mark.thorough
@pytest.mark.parametrize("lesson", ["03_bottleneck", "06_resnet"])
def test_on_a_phone_the_numbers_of_the_table_are_in_view(opened, lesson):
    page = opened(lesson)
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.locator(".explorer td").evaluate_all("all => all.every(each => each.getBoundingClientRect().right <= innerWidth)")
    page.set_viewport_size({"width": 1400, "height": 1000})


def test_the_way_through_the_course_leads_on(fresh, address):
    page, asked = fresh(viewport={"width": 1400, "height": 1000}), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/index.html")
    page.get_by_role("link", name="00 · Start here").first.click()
    for lesson in LESSONS:
        expect(page).to_have_url(f"{address}/{lesson}.html", timeout=60000)
        expect(page.locator("header [aria-current=page]")).to_have_text(re.compile(rf"^\s*{lesson[:2]}"))
        if lesson != LESSONS[-1]:
            page.locator("a[rel=next]").click()
    assert page.locator("a[rel=next]").count() == 0
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    headings = page.locator(".heads a")
    assert headings.count() > 3 and headings.first.is_visible()
    for link in headings.all():
        assert page.locator(f"[id='{link.get_attribute('href')[1:]}']").count() == 1


def test_a_finger_moves_a_slider_on_a_phone_but_not_when_it_scrolls_the_page(fresh, address):
    page = fresh(viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True)
    page.goto(f"{address}/03_bottleneck.html#explorer?side=320")
    explorer = WebExplorer(page).wait()
    slider = explorer.control("bottleneck_width")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box["width"] > 150 and box["height"] >= 24
    page.touchscreen.tap(box["x"] + 2, box["y"] + box["height"] / 2)
    explorer.assert_shows(replace(explorer.kind.setting(), bottleneck_width=1))
    middle = box["y"] + box["height"] / 2
    swipe(page, [(box["x"] + 9 + step * (box["width"] - 12) / 10, middle) for step in range(11)])
    explorer.assert_shows(replace(explorer.kind.setting(), bottleneck_width=512))
    slider.evaluate("slider => { slider.moves = 0; slider.oninput = () => ++slider.moves; }")
    for number, drift in enumerate((0, 5)):                 # a finger that scrolls the page, a crooked one, too
        slider.scroll_into_view_if_needed()
        box, before = slider.bounding_box(), page.evaluate("scrollY")
        swipe(page, [(box["x"] + box["width"] / 2 + drift * step, box["y"] + 18 - 20 * step) for step in range(8)])
        page.wait_for_function("before => scrollY > before + 50", arg=before)
        expect(slider).to_have_value("512")
        assert slider.evaluate("slider => slider.moves") > number         # it had come down on the slider
        explorer.assert_shows(replace(explorer.kind.setting(), bottleneck_width=512))
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def swipe(page, places):
    """A finger comes down at the first place, moves on through the others, and goes up."""
    touches = page.context.new_cdp_session(page)
    for number, (x, y) in enumerate(places):
        touches.send("Input.dispatchTouchEvent", {"type": "touchMove" if number else "touchStart", "touchPoints": [{"x": x, "y": y}]})
        page.wait_for_timeout(20)
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    touches.detach()


@pytest.mark.thorough
@pytest.mark.parametrize("lesson", LESSONS)
def test_on_a_phone_an_explorer_grows_with_its_longest_sentence_and_does_not_jump_back(opened, lesson):
    page = opened(lesson)
    page.set_viewport_size({"width": 360, "height": 700})
    explorer = WebExplorer(page)
    heights = []

    def visit():
        for name, preset in explorer.kind.presets.items():
            explorer.preset(name)
            explorer.assert_shows(preset)
            heights.append(explorer.box.bounding_box()["height"])

    visit()
    visit()
    assert heights == sorted(heights) and heights[len(heights) // 2:] == [heights[-1]] * (len(heights) // 2)
    page.set_viewport_size({"width": 340, "height": 700})           # narrower, while it shows the last preset
    page.wait_for_timeout(200)
    before = explorer.box.bounding_box()["height"]
    explorer.preset(next(iter(explorer.kind.presets)))
    explorer.assert_shows(explorer.kind.setting())
    assert explorer.box.bounding_box()["height"] >= before
    page.emulate_media(media="print")
    assert explorer.box.bounding_box()["height"] < before           # no controls on paper, nor room for them
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 1400, "height": 1000})
    explorer.preset(next(iter(explorer.kind.presets)))
    explorer.assert_shows(explorer.kind.setting())
    page.wait_for_timeout(200)
    held, natural = explorer.box.evaluate("""box => {
        const held = box.offsetHeight;
        box.style.minHeight = "";
        return [held, box.offsetHeight];
    }""")
    assert held == natural


# --- links -----


def test_a_link_carries_a_setting_and_back_and_forward_follow(opened):
    page = opened("03_bottleneck")
    explorer = WebExplorer(page)
    first, set_to = explorer.kind.setting(), explorer.kind.setting(bottleneck_width=32, bias=True)
    for field in ("bottleneck_width", "bias"):
        control = explorer.control(field)
        control.check() if field == "bias" else (control.focus(), explorer.box.locator(f"[data-of='{field}']").fill("32"), page.keyboard.press("Enter"))
    explorer.assert_shows(set_to)
    explorer.box.get_by_role("button", name="Copy link").click()
    expect(explorer.box.locator(".told")).to_have_text("Copied.")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url and link.endswith("03_bottleneck.html#explorer?bottleneck_width=32&bias=on")
    page.go_back()
    explorer.assert_shows(first)
    page.go_forward()
    explorer.assert_shows(set_to)
    page.evaluate("location.hash = 'width=8'")
    explorer.assert_shows(explorer.kind.setting(width=8))
    page.locator(".heads a").first.click()      # which is no setting, and takes none away
    page.wait_for_timeout(300)
    explorer.assert_shows(explorer.kind.setting(width=8))
    page.evaluate("location.hash = ''")
    explorer.assert_shows(first)
    second = page.context.new_page()            # a second tab does not know of the first
    second.goto(link)
    WebExplorer(second).wait().assert_shows(set_to)
    explorer.assert_shows(first)
    second.close()


@pytest.mark.parametrize("setting, words", [
    ("width=9999", "width is '9999'; it must be a whole number from 1 to 512."), ("width=wide", "width is 'wide'"),
    ("colour=red", "There is no setting 'colour'."), ("bias=2", "bias is '2'; use one of False, True."),
    ("width=%E0%A4%A", "width is"), ("preset=none", "There is no preset 'none'."), ("=", "There is no setting ''.")])
def test_nonsense_in_a_link_is_told_and_changes_nothing(opened, setting, words):
    page = opened("03_bottleneck")
    page.evaluate(f"location.hash = 'explorer?{setting}'")
    explorer = WebExplorer(page)
    expect(explorer.box.locator(".sentence")).to_contain_text("The setting in the link cannot be shown. " + words)
    explorer.assert_pictures(explorer.kind.setting())
    page.evaluate("location.hash = ''")
    explorer.assert_shows(explorer.kind.setting())


@pytest.mark.thorough
def test_nonsense_in_a_link_that_opens_a_page_is_told_and_read_out(fresh, address):
    page = fresh()
    page.goto(f"{address}/00_start_here.html#explorer?slope=steep")
    explorer = WebExplorer(page).wait()
    assert "The setting in the link cannot be shown. slope is 'steep'" in explorer.says() and explorer.status() == explorer.says()
    explorer.assert_pictures(explorer.kind.setting())
    explorer.control("slope").press("ArrowRight")
    explorer.assert_shows(replace(explorer.kind.setting(), slope=explorer.kind.setting().slope + 1))


@pytest.mark.thorough
@pytest.mark.parametrize("lesson", LESSONS)
def test_every_setting_comes_back_by_its_link(opened, address, lesson):
    """Presets, and values with signs, roots and commas, go through the browser's own parts of a link."""
    page = opened(lesson)
    explorer = WebExplorer(page)
    for asked in random.Random(1).sample(questions(explorer.kind), 6):
        state = explorer.kind.State(**{name: explorer.kind.controls[name].positions[n] for name, n in asked["positions"].items()})
        page.evaluate("""setting => { location.hash = `explorer?${new URLSearchParams(setting)}`; }""", link_setting(explorer.kind, state))
        explorer.assert_shows(state)
    page.evaluate("location.hash = ''")
    explorer.assert_shows(explorer.kind.setting())


# --- where Python cannot run -----


def assert_still(page, words):
    explorer = WebExplorer(page)
    explorer.box.scroll_into_view_if_needed()
    expect(explorer.box.locator(".status")).to_contain_text(words, timeout=60_000)
    assert explorer.box.locator(".still img").first.evaluate("image => image.complete && image.naturalWidth > 300")
    assert len(explorer.box.locator(".still p").last.inner_text()) > 40
    return explorer


def test_without_scripts_the_still_the_sentence_and_the_answers_are_there(fresh, address):
    page = fresh(java_script_enabled=False)
    page.goto(f"{address}/03_bottleneck.html")
    box = page.locator(".explorer")
    assert box.locator("img").count() == 2 and "It moves where" in box.locator(".status").inner_text()
    details = page.locator(".question details").first
    details.locator("summary").click()
    assert len(details.locator("p").inner_text()) > 20


def test_from_disk_the_page_says_why_nothing_moves(fresh, site):
    page = fresh()
    page.goto((site / "03_bottleneck.html").as_uri())
    assert_still(page, "opened from disk, where a browser starts no Python; from a web server it does. The picture is a still.")
    page.goto((site / "03_bottleneck.html").as_uri() + "#explorer?width=32")
    page.reload()
    explorer = assert_still(page, "opened from disk")
    assert "a still of the lesson's setting, not of the link's" in explorer.status()
    page.locator(".question input").first.check()
    assert page.locator(".question").first.get_by_role("status").inner_text() != ""


@pytest.mark.thorough
@pytest.mark.parametrize("without", ["delete globalThis.Worker", "delete globalThis.WebAssembly",
                                     "const Before = Worker; Worker = class { constructor(file) { return new Before(file); } }"])
def test_a_browser_without_module_workers_or_webassembly_is_told(fresh, address, without):
    page = fresh()
    page.add_init_script(without)
    page.goto(f"{address}/03_bottleneck.html")
    assert_still(page, "This browser cannot run Python in a page")


@pytest.mark.thorough
@pytest.mark.parametrize("lesson, file", [("03_bottleneck", file) for file in (
    "pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "pyodide-lock.json", "python_stdlib.zip", "web_worker.js")] + [
    ("01_plain_networks", "signal.json.gz"), ("05_batch_norm_inference", "inference.json.gz")])
def test_a_file_that_is_missing_or_cut_short_is_told(fresh, address, site, request, lesson, file):
    if file.endswith("gz"):
        request.getfixturevalue("tables")
    page, whole = fresh(), (site / "python" / file).read_bytes()
    kind = {"wasm": "application/wasm", "json": "application/json", "zip": "application/zip", "gz": "application/gzip"}.get(
        file.rpartition(".")[2], "text/javascript")
    for answer in ({"status": 404}, {"body": whole[:len(whole) // 2], "headers": {"content-type": kind}}):
        page.route(f"**/{file}", lambda route: route.fulfill(**answer))
        page.goto(f"{address}/{lesson}.html")
        assert_still(page, "Python could not be started in this page")
        page.unroute_all()


@pytest.mark.thorough
def test_the_reader_of_a_slow_line_is_told_and_not_given_up(fresh, address):
    page, held = fresh(), []
    page.clock.install()
    page.route("**/python_stdlib.zip", lambda route: held.append(route))
    page.goto(f"{address}/03_bottleneck.html#explorer?width=32")
    explorer = WebExplorer(page)
    expect(explorer.box.locator(".status")).to_contain_text("Python is starting in this page")
    expect(explorer.box.locator(".status")).to_contain_text("a still of the lesson's setting, not of the link's")
    for _ in range(600):
        if not held:
            page.wait_for_timeout(100)
    assert held
    page.clock.run_for(40_000)
    expect(explorer.box.locator(".status")).to_contain_text("Python is still on its way to this page: 5 MB")
    page.evaluate("location.hash = 'explorer?width=64'")
    page.wait_for_timeout(200)
    status = explorer.status()
    assert "still on its way" in status and "not of the link's" in status
    page.evaluate("location.hash = 'explorer?width=32'")
    page.clock.run_for(300_000)
    held[0].continue_()
    explorer.wait().assert_shows(explorer.kind.setting(width=32))


@pytest.mark.thorough
def test_a_line_that_stays_silent_is_given_up(fresh, address):
    page = fresh()
    page.clock.install()
    page.route("**/python_stdlib.zip", lambda route: None)
    page.goto(f"{address}/03_bottleneck.html")
    explorer = WebExplorer(page)
    explorer.box.scroll_into_view_if_needed()
    expect(explorer.box.locator(".status")).to_contain_text("Python is starting in this page")
    page.clock.run_for(1_000_000)
    assert_still(page, "Python could not be started in this page (it does not answer). The picture is a still. Try again, or load")


@pytest.mark.thorough
def test_a_start_that_failed_can_be_tried_again(fresh, address):
    page = fresh()
    page.route("**/python_stdlib.zip", lambda route: route.abort())
    page.goto(f"{address}/03_bottleneck.html")
    explorer = assert_still(page, "Python could not be started in this page")
    page.unroute_all()
    explorer.box.get_by_role("button", name="Try again").click()
    explorer.wait().assert_shows(explorer.kind.setting())


@pytest.mark.thorough
def test_a_reader_who_saves_data_is_asked_first(fresh, address):
    page, asked = fresh(), []
    page.add_init_script("Object.defineProperty(navigator, 'connection', {value: {saveData: true}})")
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/03_bottleneck.html#explorer?width=32")
    explorer = assert_still(page, "The explorer needs Python in this page, 5 MB")
    found = Axe().run(page, context={"include": [[".explorer"]]}).response["violations"]
    assert found == [] and not any("pyodide" in url for url in asked)
    explorer.box.get_by_role("button", name="Start it").press("Enter")
    explorer.wait().assert_shows(explorer.kind.setting(width=32))
    assert explorer.box.locator(":focus").count() == 1 and "controls" in explorer.status()


@pytest.mark.thorough
def test_a_worker_that_dies_is_told_and_the_next_move_starts_another(fresh, address):
    page = fresh()
    page.clock.install()
    page.goto(f"{address}/00_start_here.html#explorer?slope=2")
    explorer = WebExplorer(page).wait()
    page.workers[0].evaluate("self.close()")
    explorer.control("slope").press("ArrowRight")
    page.clock.run_for(30_000)
    expect(explorer.box.locator(".sentence")).to_contain_text("Python has stopped in this page (it does not answer).")
    explorer.control("slope").press("ArrowRight")
    explorer.assert_shows(replace(explorer.kind.setting(), slope=4), timeout=60_000)


# --- last, when all pages have been used -----


@pytest.mark.parametrize("name", each(PAGES))
def test_a_page_asked_no_other_host_and_nothing_went_wrong(opened, address, name):
    page = opened(name)
    assert [url for url in page.asked if not url.startswith((address, "data:", "blob:"))] == [] and page.wrong == []


def test_every_lesson_has_its_page_here():
    assert LESSONS == [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
