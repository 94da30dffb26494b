"""Plots: joints against their limits, speeds, clearance, costs; beside a picture, or as a page of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable, written_whole
from edmp.geometry.kinds import kind_of, triangles
from edmp.geometry.primitives import hull_faces
from edmp.result import Solution
from edmp.robots.parts import Limits
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.trace import Batch, Trace, load_trace
from edmp.trajectory import Trajectory
from edmp.viz.sensed import distances, is_sensed
from edmp.viz.setting import takes_setting
from edmp.viz.subject import Subject, Viewable, subject_of
from edmp.viz.surfaces import body_poses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

Array = NDArray[np.float64]

COLORS = ("#3b6fb6", "#d9822b", "#2f9e62", "#c23b4b", "#7d5bb5", "#8a6d4b", "#4a5568", "#c05a9d")
INK = "#30343c"
BAND = "#e9ebef"

CLEARANCE_SAMPLES = 48
SURFACE_SPACING = 0.03
"""Distance between points on the robot whose clearance is looked at [m]."""
MAX_MESH_FACES = 400
"""Distances to meshes with more triangles would take too long to draw."""


def draw_plots(figure: Figure, robot: Robot, scene: Scene, solution: Solution) -> None:
    """Three plots over time, in the right third of the figure."""
    left, width = 0.705, 0.275
    joints = figure.add_axes((left, 0.655, width, 0.24))
    speeds = figure.add_axes((left, 0.375, width, 0.21), sharex=joints)
    clearance = figure.add_axes((left, 0.085, width, 0.21), sharex=joints)
    _draw_joints(joints, robot, solution)
    _draw_speeds(speeds, robot, solution)
    _draw_clearance(clearance, robot, scene, solution)
    for axes in (joints, speeds, clearance):
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color("#9aa0aa")
        axes.tick_params(colors=INK, labelsize=9.5)
        axes.set_xlim(0, solution.duration)
    clearance.set_xlabel("time [s]", color=INK)


def _draw_joints(axes: Axes, robot: Robot, solution: Solution) -> None:
    """Positions, each joint's range stretched to the same height."""
    limits, trajectory = robot.limits, solution.trajectory
    fraction = (trajectory.positions - limits.lower) / (limits.upper - limits.lower)
    for edge in (0.0, 1.0):
        axes.axhline(edge, color="#b32020", linewidth=1.0, linestyle=(0, (4, 3)))
    for i in range(robot.dof):
        axes.plot(trajectory.times, fraction[:, i], color=COLORS[i % len(COLORS)], linewidth=1.6, label=f"{i + 1}")
    axes.set_ylim(-0.06, 1.06)
    axes.set_yticks([0, 0.5, 1], ["lower", "middle", "upper"])
    axes.set_title("joint positions between their limits", loc="left", fontsize=11.5, color=INK, pad=18)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 0.985), ncols=8, frameon=False, fontsize=9, handlelength=1.0,
        columnspacing=0.9, handletextpad=0.4, borderaxespad=0.0,
    )  # fmt: skip


def _draw_speeds(axes: Axes, robot: Robot, solution: Solution) -> None:
    trajectory = solution.trajectory
    share = 100 * np.abs(trajectory.velocities) / robot.limits.velocity
    effort = 100 * (np.abs(trajectory.accelerations) / robot.limits.acceleration).max(axis=1)
    axes.fill_between(trajectory.times, effort, color=BAND, linewidth=0, label="largest acceleration")
    for i in range(robot.dof):
        axes.plot(trajectory.times, share[:, i], color=COLORS[i % len(COLORS)], linewidth=1.6)
    axes.axhline(100, color="#b32020", linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set_ylim(0, 112)
    axes.set_ylabel("% of limit", color=INK)
    axes.set_title("joint speeds (grey: largest acceleration)", loc="left", fontsize=11.5, color=INK)


def _draw_clearance(axes: Axes, robot: Robot, scene: Scene, solution: Solution) -> None:
    axes.set_title("distance to the nearest obstacle", loc="left", fontsize=11.5, color=INK)
    shapes = [obstacle.shape for obstacle in scene]
    meshes = [shape for shape in shapes if kind_of(shape).distance is None and not is_sensed(shape)]
    if not len(scene) or any(len(triangles(mesh)[1]) > MAX_MESH_FACES for mesh in meshes):
        axes.text(0.5, 0.5, "no obstacles" if not len(scene) else "not drawn for large meshes", color=INK, ha="center",
                  transform=axes.transAxes)  # fmt: skip
        axes.set_yticks([])
        return
    times, distances = clearance_over_time(robot, scene, solution.trajectory)
    millimetres = 1e3 * distances
    top = max(40.0, 1.08 * float(millimetres.max()))
    axes.fill_between(times, 0, millimetres, color="#dcefe3", linewidth=0)
    axes.plot(times, millimetres, color="#1b7a3d", linewidth=1.8)
    _mark_proved(axes, solution.min_clearance)
    axes.set_ylim(0, top)
    axes.set_ylabel("mm", color=INK)


def clearance_over_time(robot: Robot, scene: Scene, trajectory: Trajectory) -> tuple[Array, Array]:
    """Times (n,) [s], and the distance (n,) [m] from points on the moving links to the nearest obstacle.

    Points, not surfaces: the true distance can be smaller by a few millimetres. The judge's word is the proof.
    """
    import torch

    times = np.linspace(0, trajectory.duration, CLEARANCE_SAMPLES)
    q = trajectory.at(times)
    X_WB = body_poses(robot, q)
    parts = [
        np.einsum("nij,vj->nvi", X_WB[:, link.body, :3, :3], points) + X_WB[:, link.body, None, :3, 3]
        for link in robot.links
        if link.body > 0
        for points in map(_surface_points, link.hulls_B)
    ]
    p_W = torch.as_tensor(np.concatenate(parts, axis=1), dtype=torch.float32)
    with torch.no_grad():
        nearest = [_distance(obstacle, p_W).amin(dim=1) for obstacle in scene]
    return times, torch.stack(nearest).amin(dim=0).numpy().astype(np.float64)


def _distance(obstacle: Obstacle, p_W: Tensor) -> Tensor:
    """(n, points) signed distance [m]."""
    import torch

    from edmp.geometry.distance import signed_distance

    X_OW = torch.as_tensor(np.linalg.inv(obstacle.X_WO)).to(p_W)
    if is_sensed(obstacle.shape):
        p_O = (p_W @ X_OW[:3, :3].T + X_OW[:3, 3]).numpy()
        return torch.as_tensor(distances(obstacle.shape, p_O.reshape(-1, 3)).reshape(p_O.shape[:-1])).to(p_W)
    return signed_distance(obstacle.shape, p_W @ X_OW[:3, :3].T + X_OW[:3, 3])


def _surface_points(hull: Array) -> Array:
    """Points on a convex hull, its vertices among them, about `SURFACE_SPACING` apart."""
    corners = hull[hull_faces(hull)]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    points = [hull]
    for n in range(2, 9):
        grid = [(i / n, j / n) for i in range(n + 1) for j in range(n + 1 - i)]
        u, v = np.array(grid).T
        some = corners[np.clip(np.ceil(longest / SURFACE_SPACING), 1, 8) == n]
        w = np.stack([1 - u - v, u, v], axis=1)
        points.append(np.einsum("gk,fkx->fgx", w, some).reshape(-1, 3))
    return np.unique(np.round(np.concatenate(points), 5), axis=0)


# --- the whole page --------------------------------------------------------------------------------------------------


@takes_setting
@checked
def save_plots(
    source: Viewable | Subject | Trace,
    path: str | Path,
    *,
    motion: int = 0,
) -> None:
    """Plot a motion over time: positions, velocities and accelerations against the limits, and clearance.

    Args:
        source: a result, a plan file or what `edmp.viz.subject_of` makes; a `Trace`, or the .npz file of one, adds$
            the cost over denoising and repair.
        path: of the figure (.pdf, .png, .svg).
        motion: which motion: 0 is the best, then the alternatives.

    Raises:
        InvalidInputError: there is no motion, or the file cannot be written.
        FileFormatError: the file of a trace or plan cannot be read.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = check_writable(path, "figure", suffixes=(".pdf", ".png", ".svg", ".jpg"))
    if isinstance(source, (str, Path)) and Path(source).suffix == ".npz":
        source = load_trace(source)
    trace = source if isinstance(source, Trace) else None
    subject = subject_of(source.plan if isinstance(source, Trace) else source)
    if not subject.motions and trace is None:
        why = f": {subject.message}" if subject.failed else ""
        raise InvalidInputError(f"there is no motion to plot{why}")
    rows: list[Callable[[Axes], None]] = []
    if subject.motions:
        subject = (subject.arm or subject).choosing(motion)
        rows += [functools.partial(_draw_kind, subject=subject, kind=kind) for kind in _KINDS]
        rows.append(functools.partial(_draw_clearance_of, subject=subject))
    if trace is not None and trace.batches:
        rows.append(functools.partial(_draw_costs, batches=trace.round()))
    figure = Figure(figsize=(7.2, 2.05 * len(rows) + 0.5), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for axes, draw in zip(np.atleast_1d(figure.subplots(len(rows))), rows, strict=True):
        draw(axes)
        _tidy(axes)
    if subject.motions:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=8, frameon=False, fontsize=8.5)
    with written_whole(path) as temporary:
        figure.savefig(temporary)


_KINDS: Mapping[str, tuple[str, Callable[[Limits], tuple[Array, Array]]]] = {
    "positions": ("position [rad]", lambda limits: (limits.lower, limits.upper)),
    "velocities": ("velocity [rad/s]", lambda limits: (-limits.velocity, limits.velocity)),
    "accelerations": ("acceleration [rad/s²]", lambda limits: (-limits.acceleration, limits.acceleration)),
}
"""What is plotted of a trajectory, and its limits."""
_DASHES = ("-", (0, (6, 1.5)), (0, (2, 1)), (0, (6, 1.5, 1.5, 1.5)))
"""Line styles, so that joints can be told apart in a print without colours."""


def _draw_kind(axes: Axes, *, subject: Subject, kind: str) -> None:
    """Values of each joint; limits as ticks in its colour at the edge, or as a band where the joints share them."""
    label, limits_of = _KINDS[kind]
    trajectory, (lower, upper) = subject.motions[0], limits_of(subject.robot.limits)
    values = getattr(trajectory, kind)
    for i, name in enumerate(subject.robot.joint_names):
        color, style = COLORS[i % len(COLORS)], _DASHES[i % len(_DASHES)]
        axes.plot(trajectory.times, values[:, i], color=color, linestyle=style, linewidth=1.2, label=_short(name, i))
    low, high = float(values.min()), float(values.max())
    room = 0.12 * max(high - low, 1e-3)
    axes.set_ylim(low - room, high + room)
    for i in range(subject.robot.dof):
        for bound in (lower[i], upper[i]):
            axes.plot([0.985, 1.0], [bound, bound], color=COLORS[i % len(COLORS)], linewidth=2.4, solid_capstyle="butt",
                      transform=axes.get_yaxis_transform())  # fmt: skip
    share = np.abs(2 * values - (upper + lower)) / (upper - lower)
    i = int(share.max(axis=0).argmax())
    axes.set_title(f"nearest to its limit: {_short(subject.robot.joint_names[i], i)}, {100 * share[:, i].max():.0f} %",
                   loc="right", fontsize=8, color=INK)  # fmt: skip
    axes.set_ylabel(label, fontsize=9, color=INK)
    axes.set_xlim(0, trajectory.duration)


def _short(name: str, index: int) -> str:
    """A joint's name in a legend: without the robot's, which all share."""
    return name.split("_", 1)[1] if name.startswith(("panda_", "fr3_", "iiwa_")) else name or f"joint {index + 1}"


def _draw_clearance_of(axes: Axes, *, subject: Subject) -> None:
    axes.set_ylabel("clearance [mm]", fontsize=9, color=INK)
    axes.set_xlabel("time [s]", fontsize=9, color=INK)
    axes.set_xlim(0, subject.motions[0].duration)
    if not len(subject.scene):
        axes.text(0.5, 0.5, "no obstacles", ha="center", color=INK, transform=axes.transAxes)
        return
    times, distances = clearance_over_time(subject.robot, subject.scene, subject.motions[0])
    axes.fill_between(times, 0, 1e3 * distances, color="#dcefe3", linewidth=0)
    axes.plot(times, 1e3 * distances, color="#1b7a3d", linewidth=1.4)
    axes.set_ylim(0, max(40.0, 1.08e3 * float(distances.max())))
    if subject.solutions:
        _mark_proved(axes, subject.solutions[0].min_clearance)


def _mark_proved(axes: Axes, clearance: float) -> None:
    """The clearance that the judge proved for the whole motion, as a dotted line; its value stands above the plot,
    where no curve comes."""
    proved = 1e3 * clearance
    axes.axhline(proved, color=INK, linewidth=1.0, linestyle=(0, (1, 2)))
    axes.set_title(f"dotted: {proved:.1f} mm proved", loc="right", fontsize=8.5, color=INK)


def _draw_costs(axes: Axes, *, batches: Sequence[Batch]) -> None:
    """Clearance cost of the candidates, and how many are free, from batch to batch."""
    at = np.arange(len(batches))
    low, middle, high = np.stack([np.quantile(batch.costs, (0.1, 0.5, 0.9)) for batch in batches], axis=1)
    floor = 1e-3
    axes.fill_between(at, np.maximum(low, floor), np.maximum(high, floor), color="#f1dccb", linewidth=0)
    axes.plot(at, np.maximum(middle, floor), color="#b4561f", linewidth=1.5, marker="o", markersize=3.2)
    axes.set_yscale("log")
    axes.set_ylabel("cost, median\nand 10–90 %", fontsize=9, color=INK)
    names = [
        f"σ {batch.level:.2g}" if batch.stage == "sample" else _STAGE_NAMES[batch.stage](batch) for batch in batches
    ]
    axes.set_xticks(at, names, fontsize=7.5, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.3, len(batches) - 0.7)
    share = axes.twinx()
    share.plot(
        at, [100 * batch.valid.mean() for batch in batches], color="#12805c", linewidth=1.5, linestyle=(0, (4, 2))
    )
    share.set_ylim(-3, 103)
    share.set_ylabel("free [%]", fontsize=9, color="#12805c")
    share.tick_params(colors="#12805c", labelsize=8)
    share.spines["top"].set_visible(False)


_STAGE_NAMES: Mapping[str, Callable[[Batch], str]] = {
    "repair": lambda batch: f"repair {batch.level:.0f}",
    "polish": lambda batch: "polish",
}


def _tidy(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#9aa0aa")
    axes.tick_params(colors=INK, labelsize=8)
