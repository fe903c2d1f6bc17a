"""Numbers as people read them, and tables of them: as text and as HTML."""

from __future__ import annotations

import math
from html import escape


SMALLEST = -12        # decades: where the charts end


# Of what is wider than a narrow window: it scrolls, by keyboard too.
SCROLLS = 'style="overflow-x:auto" tabindex="0" role="group" aria-label="Table"'


def text_table(headings, rows) -> str:
    """Columns padded to their widest cell; the first to the left, the others to the right."""
    table = [list(headings), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(headings))]
    lines = ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                       for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
             for row in table]
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def html_table(headings, rows, *, caption, notes=()) -> str:
    """The same table for a page; the last row is the total."""
    border = "border-top:1px solid var(--jp-border-color1,#bbb)"
    head = "".join(f'<th scope="col" style="text-align:{_side(i)}">{escape(h)}</th>'
                   for i, h in enumerate(headings))
    body = "".join(
        f'<tr style="{border if row is rows[-1] else ""}">'
        + f'<th scope="row" style="text-align:left;font-weight:{"bold" if row is rows[-1] else "normal"}">'
        + f"{escape(row[0])}</th>"
        + "".join(f'<td style="text-align:right;white-space:nowrap">{escape(cell)}</td>' for cell in row[1:])
        + "</tr>" for row in rows)
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (f'<div {SCROLLS}><table><caption style="text-align:left">{escape(caption)}'
            f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{below}")


def _side(column) -> str:
    return "left" if column == 0 else "right"


def format_shape(shape) -> str:
    return " × ".join(str(n) for n in shape)


def format_bytes(count) -> str:
    """Bytes in the largest binary unit below them: 409600 -> '400 KiB'."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1023.5:
            break
        size, unit = size / 1024, larger
    return f"{size:,.4g} {unit}" if size < 1000 else f"{size:,.0f} {unit}"


def format_macs(count) -> str:
    """Multiply-accumulates with an SI prefix: 7130316800 -> '7.13 G'."""
    size, unit = float(count), ""
    for larger in ("k", "M", "G", "T", "P", "E"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}".strip()


def sci(value: float) -> str:
    """'0.25' near 1, '3.1·10⁻⁹' far from it, 'below 10⁻¹²' where the chart ends."""
    if not math.isfinite(value):
        return "overflow"
    if abs(value) < 10.0**SMALLEST:
        return f"below {power_of_ten(SMALLEST)}"
    if 0.01 <= abs(value) < 999.5:
        return f"{value:.3g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}·{power_of_ten(int(power))}"


def number(value: float, digits: int = 2) -> str:
    """'−0.50', and no sign on what rounds to 0."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def rounded(values, digits: int = 5) -> list[float]:
    """Each number to so many digits, however small it is."""
    write = f"{{:.{digits - 1}e}}".format
    return [float(write(value)) for value in values]


def percent(share: float) -> str:
    """'58 %' from 0.58."""
    return f"{100 * share:.0f} %"


def power_of_ten(exponent: int) -> str:
    return "1" if exponent == 0 else "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
