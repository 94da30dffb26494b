"""Plots beside the picture: joints against their limits, speeds, clearance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edmp.result import Solution
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.scenes.shapes import Mesh
from edmp.viz.surfaces import body_poses, hull_faces

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
    meshes = [obstacle.shape for obstacle in scene if isinstance(obstacle.shape, Mesh)]
    if not len(scene) or any(len(mesh.faces) > MAX_MESH_FACES for mesh in meshes):
        axes.text(0.5, 0.5, "no obstacles" if not len(scene) else "not drawn for large meshes", color=INK, ha="center",
                  transform=axes.transAxes)  # fmt: skip
        axes.set_yticks([])
        return
    times, distances = clearance_over_time(robot, scene, solution)
    millimetres = 1e3 * distances
    top = max(40.0, 1.08 * float(millimetres.max()))
    axes.fill_between(times, 0, millimetres, color="#dcefe3", linewidth=0)
    axes.plot(times, millimetres, color="#1b7a3d", linewidth=1.8)
    proved = 1e3 * solution.min_clearance
    axes.axhline(proved, color=INK, linewidth=1.0, linestyle=(0, (1, 2)))
    axes.annotate(f"proved: {proved:.1f} mm", (1.0, proved), xycoords=("axes fraction", "data"), fontsize=9.5,
                  ha="right", va="bottom", color=INK, xytext=(0, 2), textcoords="offset points")  # fmt: skip
    axes.set_ylim(0, top)
    axes.set_ylabel("mm", color=INK)


def clearance_over_time(robot: Robot, scene: Scene, solution: Solution) -> tuple[Array, Array]:
    """Times (n,) [s], and the distance (n,) [m] from points on the moving links to the nearest obstacle.

    Points, not surfaces: the true distance can be smaller by a few millimetres. The judge's word is the proof.
    """
    import torch

    trajectory = solution.trajectory
    times = np.linspace(0, trajectory.duration, CLEARANCE_SAMPLES)
    q = np.stack([np.interp(times, trajectory.times, column) for column in trajectory.positions.T], axis=1)
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

    from edmp.scenes.distance import signed_distance

    X_OW = torch.as_tensor(np.linalg.inv(obstacle.X_WO)).to(p_W)
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
