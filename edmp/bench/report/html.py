"""A report as one HTML page that needs nothing else: no scripts, no links, figures inside it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from typing import Any

from edmp.bench.report.content import Block, Paragraph, Picture, Report, Table
from edmp.bench.report.style import svg

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: #2b2f36;
       background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin-bottom: .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; border-bottom: 1px solid #d5d9df; padding-bottom: .2rem; }
p { margin: .5rem 0; max-width: 50rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th { text-align: right; vertical-align: bottom; font-weight: 600; border-bottom: 1.5px solid #8b919a; }
th, td { padding: .22rem .6rem; }
td { text-align: right; vertical-align: top; border-bottom: 1px solid #eceef1; white-space: nowrap; }
th.w, td.w { text-align: left; white-space: normal; overflow-wrap: break-word; max-width: 34rem; }
tr.s td { font-weight: 600; border-bottom: 1.5px solid #c5cad1; }
figure { margin: 1rem 0 1.6rem; }
figure img { width: 100%; max-width: 52rem; height: auto; display: block; }
figcaption { font-size: .86rem; color: #565d68; max-width: 50rem; margin-top: .3rem; }
@media screen and (prefers-color-scheme: dark) {
  body { color: #e4e7eb; background: #16181c; }
  h2 { border-color: #3a4048; }
  td { border-color: #2b3037; }
  tr.s td { border-color: #59616c; }
  figcaption { color: #a5adb8; }
  figure img { background: #fff; border-radius: 6px; }  /* figures are drawn in dark ink: they keep their paper */
}
@page { size: A4; margin: 14mm; }
@media print {
  body { font-size: 10pt; max-width: none; margin: 0; padding: 0; }
  .wide { overflow: visible; }
  table { font-size: 7.2pt; }
  th, td { padding: .1rem .3rem; }
  th.w, td.w { overflow-wrap: anywhere; max-width: 90mm; min-width: 18mm; }
  thead { display: table-header-group; }
  tr, figure { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""


def as_html(report: Report) -> str:
    """The whole page."""
    parts = [f"<h1>{escape(report.title)}</h1>"]
    for section in report.sections:
        parts.append(f"<h2>{escape(section.title)}</h2>")
        parts += [_RENDERERS[type(block)](block) for block in section.blocks]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _paragraph(block: Paragraph) -> str:
    return f"<p>{escape(block.text)}</p>"


def _table(block: Table) -> str:
    def row(cells: Any, tag: str) -> str:
        return "".join(
            f'<{tag} class="w">{escape(cell)}</{tag}>' if i < block.left else f"<{tag}>{escape(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )

    lines = [f"<thead><tr>{row(block.headings, 'th')}</tr></thead>", "<tbody>"]
    for i, cells in enumerate(block.rows):
        opening = '<tr class="s">' if i in block.strong else "<tr>"
        lines.append(f"{opening}{row(cells, 'td')}</tr>")
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</tbody></table></div>"


def _picture(block: Picture) -> str:
    # As an image, not as elements of the page: names inside one drawing then never meet those of another.
    data = base64.b64encode(svg(block.figure)).decode("ascii")
    caption = escape(block.caption)
    alt = escape(block.caption.split(". ")[0], quote=True)
    image = f'<img alt="{alt}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


_RENDERERS: dict[type[Block], Callable[[Any], str]] = {Paragraph: _paragraph, Table: _table, Picture: _picture}
