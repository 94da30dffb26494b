"""`save_image`: one picture that tells how a plan went."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edmp.outfile import check_writable, written_whole
from edmp.planfile import PlanFile
from edmp.problem import Problem
from edmp.result import PlanResult
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.scenes.shapes import Box
from edmp.viz.camera import Box3, Camera, best_direction, direction, fitted
from edmp.viz.raster import Buffer, Layer, render
from edmp.viz.subject import Subject, subject_of
from edmp.viz.surfaces import Surface, body_poses, robot_surfaces, scene_surfaces, tool_positions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Color = tuple[float, float, float]

START: Color = (0.25, 0.47, 0.80)
GOAL: Color = (0.95, 0.56, 0.16)
GHOST_OPACITY = 0.15
BASE: Color = (0.55, 0.58, 0.63)
FAULT: Color = (0.87, 0.16, 0.16)
PATH = "#b3126b"
FURNITURE: Color = (0.80, 0.74, 0.64)
THINGS: tuple[Color, ...] = ((0.55, 0.72, 0.60), (0.64, 0.62, 0.78), (0.80, 0.62, 0.58), (0.56, 0.70, 0.77))

SCENE_PIXELS = (994, 828)


def save_image(
    plan: PlanResult | PlanFile,
    path: str | Path,
    *,
    robot: Robot | None = None,
    scene: Scene | None = None,
    problem: Problem | None = None,
    azimuth: float | None = None,
    elevation: float | None = None,
    ghosts: int = 6,
) -> None:
    """Draw a plan: the scene, the robot at start, on its way and at the goal, and what joints and clearance do.

    A failed plan shows start and goal, with the links and obstacles that its message names in red.

    Args:
        plan: a plan file alone is enough; a result needs ``robot`` and ``scene``, or ``problem``.
        path: of the picture; its ending chooses the format (.png, .pdf, .svg, .jpg).
        robot, scene: what was planned for.
        problem: the same, and start and goal for a plan that failed.
        azimuth, elevation: where to look from [rad]; the side that shows most of the robot if not given.
        ghosts: configurations drawn between start and goal.

    Raises:
        InvalidInputError: something is missing, or the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = check_writable(path, "picture")
    subject = subject_of(plan, robot=robot, scene=scene, problem=problem)
    figure = Figure(figsize=(15.2, 9.0), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    view = None if azimuth is None else direction(azimuth, np.radians(25) if elevation is None else elevation)
    _draw_scene(figure.add_axes((0.0, 0.0, 0.655, 0.92)), subject, view, ghosts)
    _draw_title(figure, subject)
    if subject.result.best is not None:
        from edmp.viz.plots import draw_plots

        draw_plots(figure, subject.robot, subject.scene, subject.result.best)
    else:
        _draw_message(figure, subject)
    with written_whole(path) as temporary:
        figure.savefig(temporary)


# --- the scene -------------------------------------------------------------------------------------------------------


def _draw_scene(axes: Axes, subject: Subject, view: Array | None, ghosts: int) -> None:
    robot, result = subject.robot, subject.result
    between, tool = _between(subject, ghosts)
    ends = [q for q in (subject.start, subject.goal) if q is not None]
    shown = np.concatenate([*(np.atleast_2d(q) for q in ends), between]) if ends else robot.home[None]
    on_robot = _points_of(robot, shown)
    surfaces, ghost_layers = _surfaces(subject, between)
    if view is None:
        path = _thinned(tool if len(tool) else on_robot, 100)
        view = best_direction(_thinned(on_robot, 400), subject.scene, path, _link_boxes(robot, ends))
    camera = fitted(_frame(on_robot, subject.scene), view, SCENE_PIXELS)
    ground = min([0.0, *(float(surface.vertices[:, 2].min()) for surface in surfaces)])
    image, buffer = render(camera, surfaces, ghost_layers, ground)
    axes.imshow(image, interpolation="antialiased")
    axes.set_axis_off()
    axes.set_xlim(0, SCENE_PIXELS[0])
    axes.set_ylim(SCENE_PIXELS[1], 0)
    if len(tool):
        _draw_tool_path(axes, camera, buffer, tool)
    _draw_legend(axes, subject, solved=result.solved)


def _between(subject: Subject, ghosts: int) -> tuple[Array, Array]:
    """Configurations (ghosts, dof) on the way, evenly along the tool path, and tool positions (n, 3)."""
    best = subject.result.best
    if best is None:
        return np.zeros((0, subject.robot.dof)), np.zeros((0, 3))
    q = best.trajectory.positions
    at = np.linspace(0, len(q) - 1, 400)
    q = np.stack([np.interp(at, np.arange(len(q)), column) for column in q.T], axis=1)
    tool = tool_positions(subject.robot, q)
    moved = np.linalg.norm(np.diff(tool, axis=0), axis=1) + 0.1 * np.linalg.norm(np.diff(q, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(moved)])
    wanted = np.linspace(0, along[-1], ghosts + 2)[1:-1]
    return q[np.searchsorted(along, wanted)], tool


def _surfaces(subject: Subject, between: Array) -> tuple[list[Surface], list[Layer]]:
    """What is opaque, and the translucent layers in the order they are drawn."""
    robot, faults, at_fault = subject.robot, subject.faults, subject.at_fault
    colors = [FAULT if o.name in faults else _obstacle_color(o.name, o.shape) for o in subject.scene]
    opaque = scene_surfaces(subject.scene, colors)
    for q, color, here in ((subject.start, START, at_fault["start"]), (subject.goal, GOAL, at_fault["goal"])):
        if q is None:
            continue
        by_link = {
            link.name: FAULT if here and link.name in faults else (BASE if link.body == 0 else color)
            for link in robot.links
        }
        opaque += robot_surfaces(robot, q, by_link)
    layers = []
    for q, t in zip(between, np.linspace(0, 1, len(between) + 2)[1:-1], strict=True):
        by_link = dict.fromkeys(robot.link_names, _blend(t))
        layers.append(Layer(robot_surfaces(robot, q, by_link, fixed=False), GHOST_OPACITY))
    return opaque, layers


def _blend(t: float) -> Color:
    """Colour of a configuration on the way: pale, from the start's to the goal's."""
    r, g, b = 0.25 + 0.75 * ((1 - t) * np.array(START) + t * np.array(GOAL))
    return float(r), float(g), float(b)


def _obstacle_color(name: str, shape: Any) -> Color:
    """Large or thin things are furniture; the rest get quiet colours of their own, the same in every picture."""
    if isinstance(shape, Box) and (max(shape.size) > 0.35 or min(shape.size) < 0.03):
        return FURNITURE
    return THINGS[sum(name.encode()) % len(THINGS)]


def _points_of(robot: Robot, q: Array) -> Array:
    """(n, 3) vertices of all pieces at configurations ``q`` (m, dof)."""
    X_WB = body_poses(robot, q)
    parts = [
        hull @ X_WB[k, link.body, :3, :3].T + X_WB[k, link.body, :3, 3]
        for k in range(len(q))
        for link in robot.links
        for hull in link.hulls_B
    ]
    return np.concatenate(parts) if parts else X_WB[:, :, :3, 3].reshape(-1, 3)


def _link_boxes(robot: Robot, configurations: list[Array]) -> list[Box3]:
    """The boxes round the moving links, except those near the tool, at each configuration."""
    boxes = []
    for q in configurations:
        X_WB = body_poses(robot, q[None])[0]
        for link in robot.links:
            if link.box is not None and 0 < link.body < robot.dof - 1:
                X_XW = np.linalg.inv(X_WB[link.body] @ link.box.X_BX)
                boxes.append((X_XW, -link.box.size / 2, link.box.size / 2))
    return boxes


def _thinned(points: Array, count: int) -> Array:
    return points[np.linspace(0, len(points) - 1, min(count, len(points))).astype(int)]


def _frame(on_robot: Array, scene: Scene) -> Array:
    """Points that must be in the picture: the robot, and what of the scene lies within 0.45 m of its surroundings."""
    low, high = on_robot.min(axis=0) - 0.45, on_robot.max(axis=0) + 0.45
    surfaces = scene_surfaces(scene, [FURNITURE] * len(scene))
    things = [np.clip(surface.vertices, low, high) for surface in surfaces]
    near = [points for points in things if (np.ptp(points, axis=0) > 1e-6).all()]
    return np.concatenate([on_robot, *near])


def _draw_tool_path(axes: Axes, camera: Camera, buffer: Buffer, tool: Array) -> None:
    """Solid where it can be seen, faint and dotted where something is in front of it."""
    pixels, depth = camera.project(tool)
    fine = camera.enlarged(buffer.near.shape[1] // camera.size[0])
    column, row = np.clip(np.round(fine.project(tool)[0]).astype(int), 0, np.array(fine.size) - 1).T
    seen = 1.0 / depth >= buffer.near[row, column] * (1 - 0.004)
    axes.plot(*pixels.T, color=PATH, linewidth=1.3, linestyle=(0, (1, 2)), alpha=0.7)
    shown = np.where(seen[:, None], pixels, np.nan)
    axes.plot(*shown.T, color="white", linewidth=5.0, solid_capstyle="round", alpha=0.85)
    axes.plot(*shown.T, color=PATH, linewidth=2.8, solid_capstyle="round", label="tool path")


def _draw_legend(axes: Axes, subject: Subject, *, solved: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Any] = [Patch(color=START, label="start")]
    if subject.goal is not None:
        entries.append(Patch(color=GOAL, label="goal"))
    if solved:
        entries += [
            Patch(color=_blend(0.5), alpha=0.6, label="on the way"),
            Line2D([], [], color=PATH, lw=2.8, label="tool path"),
        ]
    else:
        entries.append(Patch(color=FAULT, label="at fault"))
    axes.legend(handles=entries, loc="lower left", ncols=4, frameon=False, fontsize=11, handlelength=1.3)


# --- words -----------------------------------------------------------------------------------------------------------


def _draw_title(figure: Figure, subject: Subject) -> None:
    result = subject.result
    color = "#1b7a3d" if result.solved else "#b32020"
    figure.text(0.018, 0.955, result.status.value, fontsize=19, fontweight="bold", color=color, va="center")
    parts = [f"{result.stats.time_s:.2f} s"]
    if result.stats.stage:
        parts[0] += f", by {result.stats.stage.value}"
    if best := result.best:
        parts += [f"path {best.length:.2f} rad", f"motion {best.duration:.2f} s"]
        if best.min_clearance < 10:
            parts.append(f"clearance {best.min_clearance * 1e3:.1f} mm")
    left = 0.018 + 0.0125 * len(result.status.value) + 0.02
    figure.text(left, 0.953, "   ·   ".join(parts), fontsize=13.5, color="#30343c", va="center")


def _draw_message(figure: Figure, subject: Subject) -> None:
    text = textwrap.fill(subject.result.message, 46)
    figure.text(0.675, 0.78, "Why there is no motion", fontsize=14, fontweight="bold", color="#30343c")
    figure.text(0.675, 0.755, text, fontsize=13, color="#30343c", va="top", linespacing=1.5)
