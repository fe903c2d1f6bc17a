"""The static pages hold everything they show, and link to each other."""

import re

from save_notebooks import NOTEBOOKS


def test_there_is_a_page_a_lesson_and_every_link_between_them_works(site):
    assert {page.stem for page in site.glob("*.html")} == {path.stem for path in NOTEBOOKS.glob("*.ipynb")} | {"index"}
    for page in site.glob("*.html"):
        links = re.findall(r'href="(?!#|https?:)([^"#]*)', page.read_text(encoding="utf-8"))
        assert links and all((site / link).is_file() for link in links), page.name


def test_no_page_fetches_anything(site):
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r'(?:src|srcset|data)="(?!data:)[^"]*"', text) == []
        assert re.findall(r'<link[^>]* href="', text) == []
        assert re.findall(r'@import|url\((?!\s*["\']?(?:data:|#))', text) == []
        assert re.findall(r"<script[^>]*>[^<]*(?:import\(|import |fetch\()", text) == []
