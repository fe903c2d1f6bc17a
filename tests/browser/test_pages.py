"""The static pages in a real browser: nothing is asked of the network, every picture is there, every link leads on."""

import pytest


@pytest.mark.subject("pages")
def test_the_pages_show_all_and_ask_the_network_nothing(browser, site):
    page, asked, errors = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    for file in sorted(site.glob("[0-9]*.html")):
        page.goto(file.as_uri())
        broken = page.locator("img").evaluate_all("images => images.filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)")
        assert page.locator("img").count() > 0 and broken == []
        assert "Lessons:" in page.locator("body").inner_text()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert errors == []
    page.goto((site / "00_start_here.html").as_uri())
    page.get_by_role("link", name="01 · Plain networks").first.click()
    page.wait_for_url("**/01_plain_networks.html")
    page.close()
