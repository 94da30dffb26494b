"""When no seed can be repaired: sampling-based search across the stretch that collides, then from end to end."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.connect import connect
from edmp.descent import Descent
from edmp.planner.candidates import Candidates
from edmp.planner.settings import PlannerSettings
from edmp.prior.spline import Spline, resample_polyline
from edmp.result import Stage

Array = NDArray[np.float64]

FINE_SPLINE = Spline(num_control_points=32)
"""Sampling-based paths have corners that 16 control points would cut."""
LANDING = 8
"""Steps of projection that lead such splines onto what constraints leave."""
SPLINES = (FINE_SPLINE, Spline(num_control_points=64), Spline(num_control_points=128))
"""What constraints leave may wind: the more control points, the closer a spline follows a path on it."""


def finer(descent: Descent, spline: Spline) -> Descent:
    """The same descent on splines with more control points, and as many more waypoints."""
    more = spline.num_control_points / descent.spline.num_control_points
    return dataclasses.replace(descent, spline=spline, num_waypoints=round(more * descent.num_waypoints))


def stitch(
    candidates: Candidates, descent: Descent, *, settings: PlannerSettings, seed: int, attempts: int = 4
) -> list[tuple[Array, int]]:
    """Bridge the colliding stretch of the least colliding candidates by RRT-Connect.

    Returns:
        (polyline (n, dof), goal row) of each candidate that could be mended.
    """
    free = descent.free_edges(candidates.control_points, step=settings.edge_step)
    best = torch.argsort((~free).sum(dim=1), stable=True)[:attempts]
    q = descent.waypoints(candidates.control_points[best]).cpu().numpy().astype(np.float64)
    limits = descent.world.robot.limits
    found = []
    for row, edges, goal in zip(q, free[best].cpu().numpy(), candidates.goal[best].tolist(), strict=True):
        blocked = np.flatnonzero(~edges)
        if len(blocked) == 0:
            continue
        i, j = max(0, int(blocked[0]) - 2), min(len(row) - 1, int(blocked[-1]) + 3)
        stretch = row[i : j + 1]
        lower = np.maximum(stretch.min(axis=0) - 0.8, limits.lower)
        upper = np.minimum(stretch.max(axis=0) + 0.8, limits.upper)
        (bridge,) = connect(
            descent.world,
            row[i][None],
            row[j][None],
            seed=seed,
            step=settings.edge_step,
            margin=settings.margin,
            max_iterations=settings.fallback_iterations // 8,
            lower=lower,
            upper=upper,
        )
        if bridge is not None:
            found.append((np.concatenate([row[:i], bridge, row[j + 1 :]]), goal))
    return found


def search(
    descent: Descent, start: Array, goals: Array, *, settings: PlannerSettings, seed: int, margin: float, local: int = 0
) -> list[tuple[Array, int]]:
    """RRT-Connect from start to goal, several trees side by side: (polyline (n, dof), goal row) of each path found.

    Under constraints it is projected onto what they leave.
    """
    num = settings.fallback_attempts
    goal = np.arange(num) % len(goals)
    paths = connect(
        descent.world,
        np.repeat(start[None], num, axis=0),
        goals[goal],
        seed=seed,
        step=settings.edge_step,
        margin=margin,
        max_iterations=settings.fallback_iterations,
        max_nodes=max(4000, settings.fallback_iterations),
        shortcuts=200,
        local=local,
        bands=descent.bands,
    )
    return [(path, int(g)) for path, g in zip(paths, goal, strict=True) if path is not None]


def fit(
    paths: list[tuple[Array, int]], descent: Descent, stage: Stage, *, settings: PlannerSettings, margin: float = 0.0
) -> Candidates:
    """Splines through polylines; those that are free with ``margin`` [m] are valid.

    Under constraints they are led back onto what these leave.
    """
    device = descent.device
    found = [torch.as_tensor(path, dtype=torch.float32, device=device)[None] for path, _ in paths]
    polylines = [resample_polyline(path, 256) for path in found]
    control_points = descent.clamp(descent.spline.fit(torch.cat(polylines), num_samples=256))
    control_points = descent.onto_constraints(control_points, iterations=LANDING)
    valid = descent.free(control_points, step=settings.edge_step, margin=margin)
    return Candidates(
        control_points, torch.tensor([goal for _, goal in paths], device=device), valid, (stage,) * len(paths)
    )
