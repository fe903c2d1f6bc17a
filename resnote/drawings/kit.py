"""What all pictures share: colours, text, and a drawing that knows its live form and its still. No torch, no widgets.

Colours come from JupyterLab's CSS variables, so a picture follows the theme; the values behind the commas serve pages that
have none. Colour never stands alone: every shape carries its words.
"""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import NamedTuple

INK = "var(--jp-content-font-color1,#212121)"
MUTED = "var(--jp-content-font-color2,#555)"
PAPER = "var(--jp-layout-color0,#fff)"
# Okabe and Ito's colour-blind-safe palette, and a grey; ON_COLOUR reads on all of them.
POINTWISE, SPATIAL, WRONG, NEUTRAL = "#56B4E9", "#E69F00", "#D55E00", "#BBBBBB"
ON_COLOUR = "#111"

WIDTH = 470                            # of a column, in pixels


class Drawing(NamedTuple):
    """A picture: SVG elements, its words for those who cannot see it, and its size in pixels."""

    body: str
    words: str
    width: int
    height: int

    def inline(self) -> str:
        """As a part of a page, whose colours it takes."""
        return self._svg("", "")

    def image(self) -> str:
        """As an ``<img>`` that holds all it needs: JupyterLab removes inline SVG from notebooks not yet trusted."""
        background = f'<rect width="{self.width}" height="{self.height}" rx="8" fill="{PAPER}"/>'
        return as_image(self._svg(' xmlns="http://www.w3.org/2000/svg"', background), self.words)

    def __repr__(self) -> str:
        return f"Picture: {self.words}"

    def _repr_html_(self) -> str:
        return self.image()

    def _svg(self, namespace, background) -> str:
        return (f'<svg{namespace} role="img" viewBox="0 0 {self.width} {self.height}" width="{self.width}" height="{self.height}" '
                f'style="max-width:100%;height:auto" font-family="var(--jp-ui-font-family,sans-serif)">'
                f"<title>{escape(self.words)}</title>{background}{self.body}</svg>")


def as_image(svg: str, alt: str, *, style: str = "max-width:100%") -> str:
    """An ``<img>`` that carries its SVG."""
    data = b64encode(svg.encode()).decode()
    return f'<img alt="{escape(alt)}" style="{style}" src="data:image/svg+xml;base64,{data}">'


def svg_text(x, y, words, *, size, weight="normal", anchor="start", colour=INK, bold_end="") -> str:
    """A text element; `bold_end` follows in bold."""
    end = f'<tspan font-weight="bold">{escape(bold_end)}</tspan>' if bold_end else ""
    return (f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
            f'fill="{colour}">{escape(words)}{end}</text>')


def legend(marks, x, y) -> str:
    """A row of marks, each an SVG drawn from 0 on, with its words and the width that both take up."""
    parts = []
    for mark, words, width in marks:
        parts.append(f'<g transform="translate({x})">{mark}{svg_text(22, y, words, size=12)}</g>')
        x += width
    return "".join(parts)
