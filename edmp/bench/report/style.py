"""How figures look: one style, one colour for each planner. The only home of matplotlib in the benchmarks."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID, FAINT = "#2b2f36", "#e3e6ea", "#8b919a"

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
"""Okabe and Ito's palette (2008), which people with any common colour blindness can tell apart; without its yellow, too
pale for lines on white, and with grey in the place of black, which is the ink."""

DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

MAX_PLANNERS = 12
"""More lines than this in one figure cannot be told apart."""

_RC: Any = {
    "text.parse_math": False,  # a planner may be called $x
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
    "font.size": 9.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.color": INK,
    "svg.hashsalt": "edmp",  # the same results give the same file
}


@dataclass(frozen=True)
class Look:
    """How one planner is drawn, everywhere.

    Attributes:
        color, dashes, marker: as matplotlib takes them.
    """

    color: str
    dashes: Any
    marker: str


def looks(planners: Iterable[str]) -> dict[str, Look]:
    """A look for each planner, in order: colours first, then dashes and other markers."""
    return {
        planner: Look(
            COLORS[i % len(COLORS)],
            DASHES[i // len(COLORS) % len(DASHES)],
            MARKERS[(i + i // len(COLORS)) % len(MARKERS)],
        )
        for i, planner in enumerate(planners)
    }


P = ParamSpec("P")


def in_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A function that draws a figure, made to draw it in this style."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        import matplotlib

        with matplotlib.rc_context(_RC):
            return draw(*args, **kwargs)

    return styled


def subplots(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of ``width`` by ``height`` [inch] with rows x columns axes, listed row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def legend(figure: Figure, planners: Mapping[str, Look], *, markers: bool = False) -> None:
    """One line of planners above all axes, as many as fit, then the next."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.color, linestyle=look.dashes, linewidth=1.8, marker=look.marker if markers else "")
        for look in planners.values()
    ]
    longest = max(map(len, planners))
    columns = max(1, min(len(planners), int(figure.get_figwidth() * 12 / (longest + 7))))
    figure.legend(handles, list(planners), loc="outside upper left", ncols=columns, handlelength=2.2)


def png(figure: Figure) -> bytes:
    """The figure in pixels, sharp on screens of twice the density."""
    return _saved(figure, "png", {"Software": None})


def svg(figure: Figure) -> bytes:
    """The figure as vectors, letters as outlines."""
    return _saved(figure, "svg", {"Date": None, "Creator": None})


def _saved(figure: Figure, kind: str, metadata: Mapping[str, str | None]) -> bytes:
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context(_RC):
        figure.savefig(file, format=kind, dpi=160, metadata=dict(metadata), facecolor="white")
    return file.getvalue()
