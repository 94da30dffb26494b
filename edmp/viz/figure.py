"""`save_image`: one picture that tells how a plan went."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable, written_whole
from edmp.viz.raster import depth_of
from edmp.viz.renderers import renderer_by_name
from edmp.viz.setting import takes_setting
from edmp.viz.shot import Renderer, Shot
from edmp.viz.staging import (
    AXES,
    AXIS_LENGTH,
    BOXES,
    CLEARANCE_SCALE,
    FAULT,
    GOAL,
    PATH,
    REGION,
    SPHERES,
    SWEPT,
    Staging,
    blend,
)
from edmp.viz.subject import Subject, Viewable, subject_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

INK = "#30343c"
PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")
DPI = 100


@takes_setting
@checked
def save_image(
    source: Viewable | Subject,
    path: str | Path,
    *,
    geometry: str = "auto",
    show: Collection[str] = (),
    renderer: str | Renderer | None = None,
    azimuth: float | None = None,
    elevation: float | None = None,
    ghosts: int = 6,
) -> None:
    """Draw a plan: the scene, the robot at start, on its way and at the goal, and what joints and clearance do.

    A failed plan shows start and goal, with the links and obstacles that its message names in red. What was not planned
    (a scene, a problem) is shown without plots.

    Args:
        source: a result, a plan file or what `edmp.viz.subject_of` makes.
        path: of the picture; its ending chooses the format (.png, .pdf, .svg, .jpg).
        geometry: ``"meshes"``, ``"hulls"``, ``"spheres"`` or ``"boxes"``; by default meshes where they are installed.
        show: some of ``"spheres"``, ``"boxes"``, ``"swept"`` and ``"clearance"``, on top.
        renderer: ``"numpy"``, ``"drake"`` or ``"open3d"``; see `edmp.viz.renderers`.
        azimuth, elevation: where to look from [rad]; the side that shows most of the robot if not given.
        ghosts: configurations drawn between start and goal.

    Raises:
        InvalidInputError: something is missing, or the file cannot be written.
        UnknownNameError: no such geometry, overlay or renderer.
        MissingDependencyError: what was asked for is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = check_writable(path, "picture", suffixes=PICTURES)
    if not isinstance(ghosts, int) or not 0 <= ghosts <= 50:
        raise InvalidInputError(f"ghosts must be a whole number from 0 to 50, got {ghosts!r}")
    subject = subject_of(source)
    stage = Staging(subject, geometry, show, azimuth, elevation)
    wide = subject.result is not None
    figure = Figure(figsize=(15.2 if wide else 10.0, 9.0), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    _draw_scene(figure.add_axes((0.0, 0.0, 0.655 if wide else 1.0, 0.92)), stage, renderer_by_name(renderer), ghosts)
    _draw_title(figure, subject)
    if subject.solutions:
        from edmp.viz.plots import draw_plots

        draw_plots(figure, subject.robot, subject.scene, subject.solutions[0])
    elif wide:
        _draw_message(figure, subject)
    with written_whole(path) as temporary:
        figure.savefig(temporary)


def render(shot: Shot, renderer: Renderer) -> Array:
    """(height, width, 3) picture of a shot in which nothing moves."""
    view = renderer.open(shot)
    try:
        return view.frame(np.zeros((0, 4, 4)))
    finally:
        view.close()


# --- the scene -------------------------------------------------------------------------------------------------------


def _draw_scene(axes: Axes, stage: Staging, renderer: Renderer, ghosts: int) -> None:
    shot = stage.picture(ghosts)
    width, height = stage.size
    axes.imshow(render(shot, renderer), interpolation="antialiased")
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    if len(stage.tool_path):
        _draw_tool_path(axes, shot, stage.tool_path)
    _draw_hidden_goal(axes, shot, stage)
    _draw_legend(axes, stage, ghosts)


def _draw_tool_path(axes: Axes, shot: Shot, tool: Array) -> None:
    """Solid where it can be seen, faint and dotted where something is in front of it."""
    pixels, depth = shot.camera.project(tool)
    column, row = np.clip(np.round(pixels).astype(int), 0, np.array(shot.camera.size) - 1).T
    seen = 1.0 / depth >= depth_of(shot.camera, shot.still)[row, column] * (1 - 0.004)
    axes.plot(*pixels.T, color=PATH, linewidth=1.3, linestyle=(0, (1, 2)), alpha=0.7)
    shown = np.where(seen[:, None], pixels, np.nan)
    axes.plot(*shown.T, color="white", linewidth=5.0, solid_capstyle="round", alpha=0.85)
    axes.plot(*shown.T, color=PATH, linewidth=2.8, solid_capstyle="round")


def _draw_hidden_goal(axes: Axes, shot: Shot, stage: Staging) -> None:
    """The axes of a pose goal, faint and dotted on top: it may be inside an obstacle, which is then what is wrong."""
    goal = stage.subject.pose_goal
    if goal is None or not stage.goal_in_sight:
        return
    for k, color in enumerate(AXES):
        line = goal.position + AXIS_LENGTH * np.outer([0.0, 1.0], goal.X_WT[:3, k])
        axes.plot(*shot.camera.project(line)[0].T, color=color, linewidth=1.3, linestyle=(0, (1, 1)), alpha=0.8)


def _draw_legend(axes: Axes, stage: Staging, ghosts: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    subject, tinted = stage.subject, "clearance" not in stage.show
    entries: list[Any] = []
    if len(stage.ends) > 1 or subject.result is not None:
        entries += [Patch(color=color, label=name) for name, _, color in stage.ends if tinted]
    if subject.pose_goal is not None:
        entries.append(Patch(color=GOAL, label="goal pose" if stage.goal_in_sight else "goal pose: out of sight"))
    if subject.motions:
        if ghosts and tinted:
            entries.append(Patch(color=blend(0.5), alpha=0.6, label="on the way"))
        entries.append(Line2D([], [], color=PATH, lw=2.8, label="tool path"))
    if subject.scene.regions:
        entries.append(Patch(color=REGION, alpha=0.6, label="region"))
    if subject.faults:
        entries.append(Patch(color=FAULT, label="at fault"))
    for name, color, label in (
        ("spheres", SPHERES, "spheres"), ("boxes", BOXES, "boxes"), ("swept", SWEPT, "swept volume"),
    ):  # fmt: skip
        if name in stage.show:
            entries.append(Patch(color=color, alpha=0.6, label=label))
    if entries:
        axes.legend(handles=entries, loc="lower left", ncols=8, frameon=False, fontsize=11, handlelength=1.3)
    if not tinted:
        _draw_clearance_scale(axes)


def _draw_clearance_scale(axes: Axes) -> None:
    """A strip of the colours of `CLEARANCE_SCALE` with its distances."""
    from matplotlib.colors import LinearSegmentedColormap

    at = np.array([distance for distance, _ in CLEARANCE_SCALE])
    colors = [(d / at[-1], color) for d, color in CLEARANCE_SCALE]
    strip = axes.inset_axes((0.70, 0.055, 0.27, 0.016))
    strip.imshow(np.linspace(0, 1, 256)[None], aspect="auto", extent=(0, 1e3 * at[-1], 0, 1),
                 cmap=LinearSegmentedColormap.from_list("clearance", colors))  # fmt: skip
    strip.set_yticks([])
    strip.set_xticks(1e3 * at, [f"{1e3 * d:.0f}" for d in at[:-1]] + [f"{1e3 * at[-1]:.0f}+"], fontsize=9.5, color=INK)
    strip.set_title("distance to the nearest obstacle [mm]", fontsize=10, color=INK, loc="left", pad=4)
    for spine in strip.spines.values():
        spine.set_visible(False)


# --- words -----------------------------------------------------------------------------------------------------------


def _draw_title(figure: Figure, subject: Subject) -> None:
    result = subject.result
    if result is None:
        parts = [subject.robot.name, f"{len(subject.scene)} obstacles"]
        title = subject.name or subject.robot.name
        color = INK
    else:
        title, color = result.status.value, "#1b7a3d" if result.solved else "#b32020"
        parts = [f"{result.stats.time_s:.2f} s" + (f", by {result.stats.stage.value}" if result.stats.stage else "")]
        if best := result.best:
            parts += [f"path {best.length:.2f} rad", f"motion {best.duration:.2f} s"]
            if best.min_clearance < 10:
                parts.append(f"clearance {best.min_clearance * 1e3:.1f} mm")
    inches = figure.get_size_inches()[0]
    text = figure.text(0.27 / inches, 0.955, title, fontsize=19, fontweight="bold", color=color, va="center")
    end = text.get_window_extent().x1 / DPI
    figure.text((end + 0.3) / inches, 0.953, "   ·   ".join(parts), fontsize=13.5, color=INK, va="center")


def _draw_message(figure: Figure, subject: Subject) -> None:
    text = textwrap.fill(subject.message, 46)
    title = "Why it goes no further" if subject.motions else "Why there is no motion"
    figure.text(0.675, 0.78, title, fontsize=14, fontweight="bold", color=INK)
    figure.text(0.675, 0.755, text, fontsize=13, color=INK, va="top", linespacing=1.5)
