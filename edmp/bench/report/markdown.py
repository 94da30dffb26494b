"""A report in Markdown, its figures as files beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edmp.bench.report.content import Block, Paragraph, Picture, Report, Table


def as_markdown(report: Report) -> str:
    """The text; figure ``name`` is expected in ``name.png``."""
    parts = [f"# {_escaped(report.title)}"]
    for section in report.sections:
        parts.append(f"## {_escaped(section.title)}")
        parts += [_RENDERERS[type(block)](block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _paragraph(block: Paragraph) -> str:
    return _escaped(block.text)


def _table(block: Table) -> str:
    marks = ["---"] * block.left + ["---:"] * (len(block.headings) - block.left)
    lines = [block.headings, marks]
    for i, row in enumerate(block.rows):
        cells = [_escaped(cell) for cell in row]
        lines.append([f"**{cell}**" if cell else "" for cell in cells] if i in block.strong else cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _picture(block: Picture) -> str:
    alt = block.caption.split(". ")[0]
    return f"![{_escaped(alt)}]({block.name}.png)\n\n{_escaped(block.caption)}"


def _escaped(text: str) -> str:
    """Nothing in it that Markdown would take for its own; on one line."""
    text = " ".join(text.split())
    for mark in ("\\", "|", "<", "*", "`", "["):
        text = text.replace(mark, "&lt;" if mark == "<" else f"\\{mark}")
    return text


_RENDERERS: dict[type[Block], Callable[[Any], str]] = {Paragraph: _paragraph, Table: _table, Picture: _picture}
