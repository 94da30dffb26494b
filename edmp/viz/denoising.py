"""How planning goes: the batch of candidates from noise to motions, as a film strip or a movie."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.cached import cached_property
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable, written_whole
from edmp.trace import Batch, Trace, load_trace
from edmp.viz.models import placed
from edmp.viz.movie import HOLD, MOVIES, Clip, Progress, write_movie
from edmp.viz.raster import NumpyRenderer
from edmp.viz.shot import Shot
from edmp.viz.staging import PATH, Staging
from edmp.viz.subject import subject_of
from edmp.viz.surfaces import tool_positions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

INK = "#30343c"
STRIPS = (".png", ".pdf", ".svg", ".jpg")
FREE = "#12805c"
COLORS = ((0.0, "#e8b04a"), (0.35, "#dd6b3f"), (0.7, "#a83a4a"), (1.0, "#6d5a78"))
"""Colours of candidates in collision, from the lowest cost to the highest."""
WASH = 0.45
"""How far the scene is faded towards white behind the paths."""
SAMPLES = 160
STEP_SECONDS = 0.55
"""How long a movie takes from one batch to the next [s]."""


@checked
def save_denoising(
    trace: Trace | str | Path,
    path: str | Path,
    *,
    panels: int = 6,
    fps: float = 20.0,
    size: tuple[int, int] = (960, 720),
    azimuth: float | None = None,
    elevation: float | None = None,
    progress: Progress | None = None,
) -> None:
    """Show how the candidates of a plan go from noise to motions: the tool's path of each, coloured by its cost.

    Free candidates are green, the others yellow to violet by how deep they are in collision; the one that became the
    plan is drawn thick. Of several rounds, the last is shown.

    Args:
        trace: what `edmp.planner.record_plan` gave, or the file of it.
        path: of a picture, which is a film strip (.png, .pdf, .svg, .jpg), or of a movie (.mp4, .gif).
        panels: pictures in the strip, 2 to 12.
        fps, size: of the movie; see `edmp.viz.movie.Clip`.
        azimuth, elevation: where to look from [rad].
        progress: called after every frame of the movie.

    Raises:
        InvalidInputError: nothing was recorded, an option is out of range, or the file cannot be written.
        FileFormatError: the file is no trace.
    """
    path = check_writable(path, "picture or movie", suffixes=(*STRIPS, *MOVIES))
    trace = load_trace(trace) if isinstance(trace, (str, Path)) else trace
    if not trace.batches:
        raise InvalidInputError(f"nothing was recorded: planning ended before sampling ({trace.plan.result.message})")
    if not isinstance(panels, int) or not 2 <= panels <= 12:
        raise InvalidInputError(f"panels must be a whole number from 2 to 12, got {panels!r}")
    if path.suffix.lower() in MOVIES:
        clip = Clip(fps, size)
        film = Film(trace, Staging(subject_of(trace.plan), azimuth=azimuth, elevation=elevation, size=size))
        write_movie(path, film.frames(clip, progress), fps=fps, size=size)
    else:
        film = Film(trace, Staging(subject_of(trace.plan), azimuth=azimuth, elevation=elevation, size=(640, 520)))
        with written_whole(path) as temporary:
            film.strip(panels).savefig(temporary)


@dataclass(frozen=True, eq=False)
class Film:
    """A trace before a camera.

    Attributes:
        trace: what is shown.
        stage: the plan and the camera.
    """

    trace: Trace
    stage: Staging

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        return self.trace.round()

    @cached_property
    def shot(self) -> Shot:
        """The scene with the arm pale at start and goal, and its base, which the pale arms lack."""
        shot = self.stage.backdrop()
        base = tuple(part for part in self.stage.parts if part.body == 0)
        return dataclasses.replace(shot, still=[*shot.still, *placed(base, self.stage.robot, self.stage.ends[0][1])])

    @cached_property
    def backdrop(self) -> Array:
        view = NumpyRenderer().open(self.shot)
        image = view.frame(np.zeros((0, 4, 4)))
        return image + WASH * (1.0 - image)

    @cached_property
    def winner(self) -> int | None:
        """Row, until polish, of the candidate that became the plan; None without one."""
        return self._nearest([batch for batch in self.batches if batch.stage != "polish"][-1])

    def _nearest(self, batch: Batch) -> int | None:
        """The free candidate nearest to the plan."""
        best = self.trace.plan.result.best
        if best is None or not batch.valid.any():
            return None
        at = np.linspace(0, len(best.path) - 1, SAMPLES)
        path = np.stack([np.interp(at, np.arange(len(best.path)), column) for column in best.path.T], axis=1)
        apart = np.linalg.norm(batch.waypoints(SAMPLES) - path, axis=2).mean(axis=1)
        return int(np.where(batch.valid, apart, np.inf).argmin())

    @cached_property
    def pixels(self) -> list[Array]:
        """For each batch (B, n, 2), the tool of each candidate on the picture."""
        found = []
        for batch in self.batches:
            q = batch.waypoints(SAMPLES)
            points = tool_positions(self.stage.robot, q.reshape(-1, q.shape[2]))
            found.append(self.shot.camera.project(points)[0].reshape(*q.shape[:2], 2))
        return found

    def winner_in(self, batch: Batch) -> int | None:
        """Row of the winner in a batch: only polish reorders the rows."""
        row = self._nearest(batch) if batch.stage == "polish" else self.winner
        return row if row is not None and row < len(batch) else None

    def chosen(self, panels: int) -> list[int]:
        """Batches for a strip: the first, the last of each stage, and others evenly between."""
        count, stages = len(self.batches), [batch.stage for batch in self.batches]
        must = [0, *(k for k in range(count) if k + 1 == count or stages[k + 1] != stages[k])]
        rest = [k for k in range(count) if k not in must]
        spare = min(len(rest), max(0, panels - len(must)))
        some = [rest[k] for k in np.linspace(0, len(rest) - 1, spare + 2).round().astype(int)[1:-1]] if spare else []
        return sorted({*must[-panels:], *some})

    def strip(self, panels: int) -> Any:
        """A matplotlib figure of some of the batches, in order."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        chosen = self.chosen(panels)
        columns = -(-len(chosen) // (2 if len(chosen) > 3 else 1))
        rows = -(-len(chosen) // columns)
        figure = Figure(figsize=(4.4 * columns, 4.0 * rows + 0.65), dpi=110, facecolor="white")
        FigureCanvasAgg(figure)
        foot = 0.65 / (4.0 * rows + 0.65)
        tall = (1 - foot) / rows
        for k, index in enumerate(chosen):
            row, column = divmod(k, columns)
            box = (column / columns + 0.004, 1 - (row + 1) * tall, 1 / columns - 0.008, 0.92 * tall)
            axes = figure.add_axes(box)
            batch = self.batches[index]
            self.draw(axes, self.pixels[index], batch.costs, batch.valid, self.winner_in(batch))
            axes.set_title(f"{k + 1}.  {caption(batch)}", loc="left", fontsize=12.5, color=INK, pad=5)
        self._legend(figure.add_axes((0.0, 0.0, 1.0, foot)))
        return figure

    def frames(self, clip: Clip, progress: Progress | None) -> Iterator[NDArray[np.uint8]]:
        """Frames of a movie in which the candidates glide from batch to batch."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        width, height = clip.size
        figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        per_step = max(2, round(STEP_SECONDS * clip.fps))
        total = (len(self.batches) - 1) * per_step + 1
        for number in range(total):
            k, share = divmod(number, per_step)
            batch = self.batches[k]
            points = self.pixels[k]
            if share and k + 1 < len(self.batches):
                points = self._glide(points, k, share / per_step)
            figure.clear()
            axes = figure.add_axes((0, 0, 1, 1))
            self.draw(axes, points, batch.costs, batch.valid, self.winner_in(batch))
            figure.text(0.025, 0.955, caption(batch), fontsize=17, fontweight="bold", color=INK, va="center")
            note = f"{len(batch)} candidates, {int(batch.valid.sum())} free"
            figure.text(0.025, 0.915, note, fontsize=12.5, color=INK, va="center")
            self._legend(figure.add_axes((0, 0, 1, 0.06)))
            canvas.draw()
            frame = np.asarray(canvas.buffer_rgba())[..., :3].copy()
            for _ in range(round(2 * HOLD * clip.fps) if number in (0, total - 1) else 1):
                yield frame
            if progress is not None:
                progress(number + 1, total)

    def _glide(self, points: Array, k: int, share: float) -> Array:
        """Pixels between batch ``k`` and the next; where rows are not the same candidates, they stand."""
        after = self.batches[k + 1]
        if after.stage == "polish":
            return points
        ease = share * share * (3 - 2 * share)
        same = min(len(points), len(after))
        moved = points.copy()
        moved[:same] += ease * (self.pixels[k + 1][:same] - points[:same])
        return moved

    def draw(
        self, axes: Axes, points: Array, costs: NDArray[np.float32], valid: NDArray[np.bool_], winner: int | None
    ) -> None:
        """One picture: the worst candidates first, free ones over them, the winner on top."""
        from matplotlib.collections import LineCollection

        width, height = self.shot.camera.size
        axes.imshow(self.backdrop, interpolation="antialiased")
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
        order = sorted(range(len(points)), key=lambda k: (bool(valid[k]), -float(costs[k])))
        colors = [FREE if valid[k] else self._color(float(costs[k])) for k in order]
        lines = LineCollection([points[k] for k in order], colors=colors, linewidths=1.3, alpha=0.75, clip_on=True)
        axes.add_collection(lines)
        if winner is not None:
            wide = 3.0 if valid[winner] else 2.2
            axes.plot(*points[winner].T, color="white", linewidth=wide + 2.4, solid_capstyle="round", alpha=0.9)
            axes.plot(*points[winner].T, color=PATH, linewidth=wide, solid_capstyle="round")

    def _color(self, cost: float) -> Any:
        return colormap()(cost_share(cost, self.top))

    @cached_property
    def top(self) -> float:
        """The cost at the end of the scale: few candidates of the whole trace are worse."""
        return float(np.quantile(np.concatenate([batch.costs for batch in self.batches]), 0.95)) or 1.0

    def _legend(self, axes: Axes) -> None:
        from matplotlib.lines import Line2D

        axes.set_axis_off()
        entries = [
            Line2D([], [], color=colormap()(0.0), lw=2, label="in collision, a little"),
            Line2D([], [], color=colormap()(0.45), lw=2, label="more"),
            Line2D([], [], color=colormap()(1.0), lw=2, label="deep"),
            Line2D([], [], color=FREE, lw=2, label="free"),
        ]
        if self.winner is not None:
            entries.append(Line2D([], [], color=PATH, lw=3.2, label="becomes the plan"))
        axes.legend(handles=entries, loc="center", ncols=5, frameon=False, fontsize=11.5, labelcolor=INK)


def cost_share(cost: float, top: float) -> float:
    """Place of a cost on the scale 0..1, small costs spread out."""
    return float(np.sqrt(np.clip(cost / top, 0.0, 1.0)))


def colormap() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("cost", COLORS)


def caption(batch: Batch) -> str:
    """What a batch is, in a few words."""
    if batch.stage == "sample":
        return f"denoising, noise level {batch.level:.2g}" if batch.level > 0 else "denoised, more seeds join"
    if batch.stage == "repair":
        return f"repair, step {batch.level:.0f}"
    return "polished"
