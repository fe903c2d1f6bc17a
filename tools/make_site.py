"""All lessons as static pages, with the pictures and stills that are saved in them; nothing runs, nothing is fetched.

    python tools/make_site.py [folder]        "site" by default
"""

import re
import sys
from pathlib import Path

from nbconvert import HTMLExporter
from save_notebooks import NOTEBOOKS


# On paper nothing scrolls: code wraps, and a table takes the width there is.
PRINT = """<style>@media print {
pre, code { white-space: pre-wrap !important; overflow-wrap: anywhere; }
table { table-layout: auto !important; min-width: 0 !important; max-width: 100% !important; font-size: 10px !important; }
td, th { white-space: normal !important; max-width: none !important; padding: 2px 4px !important; }
img, svg { max-width: 100% !important; height: auto; break-inside: avoid; }
div { overflow: visible !important; }
}</style>"""


def page(path: Path) -> str:
    """One lesson as HTML that needs no other file and no other machine."""
    # The exporter would have these three fetched from elsewhere; no lesson needs them.
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="")
    html, _ = exporter.from_filename(path)
    html = re.sub(r'<script[^>]* src="[^"]*"[^>]*>\s*</script>', "", html)
    html = re.sub(r'<script[^>]* type="module"[^>]*>.*?</script>', "", html, flags=re.S)
    html = html.replace("</head>", f"{PRINT}</head>", 1)
    return re.sub(r'href="([\w-]+)\.ipynb"', r'href="\1.html"', html)


def main(folder: str = "site") -> None:
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    names = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        (target / f"{path.stem}.html").write_text(page(path), encoding="utf-8")
        names.append(path.stem)
    (target / "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>resnote</title><meta http-equiv="refresh" '
        f'content="0; url={names[0]}.html"><a href="{names[0]}.html">resnote</a>\n', encoding="utf-8")
    print(target / "index.html")


if __name__ == "__main__":
    main(*sys.argv[1:])
