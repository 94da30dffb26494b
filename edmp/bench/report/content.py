"""What a report is made of, before it becomes HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Paragraph:
    """Attributes:
    text: plain.
    """

    text: str


@dataclass(frozen=True)
class Table:
    """Attributes:
    headings: of the columns.
    rows: plain text, as many cells as there are headings.
    left: how many columns from the left hold words; the others hold numbers, aligned at the right.
    strong: rows that sum up others.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """Attributes:
    name: of its file, without ending.
    caption: what is to be seen.
    figure: the drawing.
    """

    name: str
    caption: str
    figure: Figure


Block = Paragraph | Table | Picture


@dataclass(frozen=True)
class Section:
    """Attributes:
    title: its heading.
    blocks: in order.
    """

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Report:
    """Attributes:
    title: of the whole.
    sections: in order.
    """

    title: str
    sections: Sequence[Section]

    @property
    def pictures(self) -> list[Picture]:
        """All of them, in order."""
        return [block for section in self.sections for block in section.blocks if isinstance(block, Picture)]
