"""How a planner sees a problem: as the shapes that it is made of, or as sensors would see them.

What a planner claims of what it sees is judged there, and among the true shapes as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from edmp.bench.cameras import seen_by_cameras
from edmp.bench.planners import PlannerSpec
from edmp.errors import unknown_name
from edmp.problem import Problem
from edmp.scenes import Scene, as_clouds, as_voxels

SPACING = 0.005
"""Of the points of a cloud, and the edge of a cell [m]."""

SHAPES = "shapes"

SIGHTS: Mapping[str, Callable[[Problem], Scene]] = MappingProxyType(
    {
        SHAPES: lambda problem: problem.scene,
        "clouds": lambda problem: as_clouds(problem.scene, spacing=SPACING),
        "voxels": lambda problem: as_voxels(problem.scene, resolution=SPACING),
        "cameras": lambda problem: seen_by_cameras(problem, "occupied"),
        "cameras-free": lambda problem: seen_by_cameras(problem, "free"),
    }
)
"""What becomes of the scene of a problem, by name: `cameras` take what they have not seen for occupied, or for free."""


def seen(problem: Problem, sight: str) -> Problem:
    """The problem as a planner is given it.

    Raises:
        UnknownNameError: there is no such sight.
    """
    return replace(problem, scene=_row(sight)(problem))


def with_sight(spec: PlannerSpec, sight: str) -> PlannerSpec:
    """The planner, given problems as ``sight`` has them: filed under a name of its own, ``edmp as clouds``.

    Raises:
        UnknownNameError: there is no such sight.
    """
    _row(sight)
    return spec if sight == SHAPES else replace(spec, text=f"{spec.text} as {sight}", sight=sight)


def _row(sight: str) -> Callable[[Problem], Scene]:
    if sight not in SIGHTS:
        raise unknown_name("sight", sight, SIGHTS)
    return SIGHTS[sight]
