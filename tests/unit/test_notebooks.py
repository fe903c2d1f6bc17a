"""What a saved lesson must be before its outputs are worth comparing (nbval compares them)."""

import re
from html.parser import HTMLParser

import nbformat
import pytest
from nbconvert import ScriptExporter
from one_red_line import EXPLORER
from save_notebooks import NOTEBOOKS, WIDGET_VIEW, normalise
from source_coverage import asserts, names
from without_outputs import sources

lessons = pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def html_outputs(cell):
    return "".join(output.data.get("text/html", "") for output in cell.outputs if "data" in output)


@lessons
def test_every_code_cell_has_been_run_in_order_without_error_or_warning(path):
    """A notebook saved without outputs would pass a strict comparison vacuously."""
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error" and output.get("name") != "stderr", cell.id


@lessons
def test_it_is_saved_as_make_notebooks_saves_it(path):
    text = path.read_text(encoding="utf-8")
    assert nbformat.writes(normalise(read(path))) + "\n" == text
    assert WIDGET_VIEW not in text and "application/vnd.jupyter.widget-state" not in text


@lessons
def test_cell_ids_are_readable_and_unique(path):
    ids = [cell.id for cell in read(path).cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]+", cell_id) for cell_id in ids)


@lessons
def test_an_output_that_is_not_compared_is_followed_by_an_assertion_of_what_it_shows(path):
    cells = code_cells(path)
    ignored = [n for n, cell in enumerate(cells) if "nbval-ignore-output" in tags(cell)]
    for n in ignored:
        following = next(cell for cell in cells[n + 1:] if "nbval-ignore-output" not in tags(cell))
        assert asserts(following.source), cells[n].id
    assert len(ignored) <= max(1, 0.1 * len(cells))
    assert not any("nbval-skip" in tags(cell) or "NBVAL" in cell.source for cell in cells)


@lessons
def test_headings_are_in_order_under_one_title(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, re.M)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:]))


@lessons
def test_it_links_to_its_neighbours_and_every_link_to_a_file_works(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    links = {link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link}
    assert all((path.parent / link).is_file() for link in links)
    order = sorted(p.name for p in NOTEBOOKS.glob("*.ipynb"))
    place = order.index(path.name)
    assert {*order[max(place - 1, 0):place], *order[place + 1:place + 2]} <= links


@lessons
def test_the_title_is_followed_by_the_way_through_the_course(path):
    files = sorted(p.name for p in NOTEBOOKS.glob("*.ipynb"))
    way = " · ".join(f"**{name[:2]}**" if name == path.name else f"[{name[:2]}]({name})" for name in files)
    assert read(path).cells[0].source.splitlines()[2] == f"Lessons: {way}"


@lessons
def test_a_name_that_another_cell_needs_is_bound_by_one_cell_only(path):
    """So an earlier cell, run again, means what it meant."""
    cells = {cell.id: names(compile(cell.source, cell.id, "exec")) for cell in code_cells(path)}
    for cell, (_, used) in cells.items():
        for name in used:
            assert sum(name in bound for bound, _ in cells.values()) <= 1, (cell, name)


@lessons
def test_an_interrupted_training_is_told_where_its_result_is_asserted(path):
    cells = code_cells(path)
    for n, cell in enumerate(cells):
        if re.search(r"^with Progress\(|\bfit\(", cell.source, re.M):
            following = next(c.source for c in cells[n:] if asserts(c.source))
            assert re.search("run (the training|this) cell again", following), cell.id


def with_explorer(path):
    """A lesson for a test that stands on its explorer's."""
    explorers = [name for cell in code_cells(path) for name in EXPLORER.findall(cell.source)]
    return pytest.param(path, id=path.stem, marks=pytest.mark.subject(path.stem, needs=explorers))


@pytest.mark.parametrize("path", list(map(with_explorer, sorted(NOTEBOOKS.glob("*.ipynb")))))
def test_the_explorer_needs_the_import_cell_and_no_other(path):
    source = {cell.id: cell.source for cell in code_cells(path)}
    exec(compile(f"{source.get('imports', '')}\n{source['explorer']}", path.stem, "exec"), {})


@lessons
def test_no_cell_scrolls(path):
    assert all(len(cell.source.splitlines()) <= 22 for cell in code_cells(path))


@pytest.mark.thorough
@lessons
def test_as_a_script_it_keeps_its_prose_as_comments(path):
    script, resources = ScriptExporter().from_filename(path)
    assert resources["output_extension"] == ".py"
    compile(script, path.stem, "exec")
    lines = [line for cell in read(path).cells if cell.cell_type == "markdown" for line in cell.source.splitlines() if line]
    assert len(lines) > 10 and {f"# {line}" for line in lines} <= set(script.splitlines())


class Images(HTMLParser):
    """Collects the attributes of every <img>."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.found.append(dict(attrs))


@pytest.mark.thorough
@lessons
@pytest.mark.subject("pages", needs=["explorers"])
def test_the_lessons_page_shows_every_picture_with_alt_text_and_fetches_none(path, pages):
    images = Images((pages / f"{path.stem}.html").read_text(encoding="utf-8")).found
    saved = sum(len(Images(html_outputs(cell)).found) for cell in code_cells(path))
    assert len(images) == saved > 0
    assert all(len(image["alt"]) > 40 and image["src"].startswith("data:image/svg+xml;base64,") for image in images)
    assert not any("image/png" in output.get("data", {}) for cell in code_cells(path) for output in cell.outputs)


@lessons
def test_untouched_exercises_say_so(path):
    if path.stem == "00_start_here":
        return
    checks = [cell for cell in code_cells(path) if ".check(" in cell.source]
    assert 2 <= len(checks) <= 4
    assert all("not answered yet" in cell.outputs[0].data["text/plain"].lower() for cell in checks)


def test_what_changes_from_run_to_run_is_not_saved():
    output = nbformat.v4.new_output("display_data", {"text/plain": "a", WIDGET_VIEW: {"model_id": "1"}}, metadata={"x": 1})
    cell = nbformat.v4.new_code_cell("a", outputs=[output], metadata={"tags": ["b", "a"], "execution": {"iopub": "time"}})
    saved = normalise(nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {"state": 1}}))
    assert saved.cells[0].metadata == {"tags": ["a", "b"]}
    assert saved.cells[0].outputs[0].data == {"text/plain": "a"} and saved.cells[0].outputs[0].metadata == {}
    assert saved.metadata.keys() == {"kernelspec", "language_info"}


def test_a_diff_of_a_notebook_shows_sources_and_tags_and_no_output():
    output = nbformat.v4.new_output("stream", text="shown")
    cells = [nbformat.v4.new_markdown_cell("words", id="a"), nbformat.v4.new_code_cell("x = 1", id="b", outputs=[output], metadata={"tags": ["N1"]})]
    assert sources(nbformat.v4.new_notebook(cells=cells)) == "--- markdown a\nwords\n\n--- code b N1\nx = 1\n"
