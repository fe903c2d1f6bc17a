"""README's picture: lesson 03's explorer as it looks in a real JupyterLab.

    python tools/make_picture.py        writes docs/explorer.png anew; needs Chromium, as the browser tests do
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
from lab import launch_chromium, open_notebook, running_lab  # noqa: E402

ROOT = Path(__file__).parents[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        shutil.copy(ROOT / "notebooks" / "03_bottleneck.ipynb", folder)
        with running_lab(folder) as lab:
            page = launch_chromium(playwright).new_page(viewport={"width": 1240, "height": 1100})
            notebook = open_notebook(page, lab, "03_bottleneck.ipynb")
            for cell in ("imports", "explorer"):
                notebook.run_cell(cell)
                page.wait_for_timeout(200)
                notebook.settle(60)
            explorer = notebook.output("explorer")
            explorer.get_by_role("button", name="He et al. Fig. 5").click()
            notebook.settle()
            page.mouse.move(0, 0)
            explorer.screenshot(path=ROOT / "docs" / "explorer.png")


if __name__ == "__main__":
    main()
