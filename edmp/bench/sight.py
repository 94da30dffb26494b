"""How a planner sees a problem: as the shapes that it is made of, or as sensors without noise would see them.

What a planner claims of what it sees is judged there, and among the true shapes as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from edmp.bench.planners import PlannerSpec
from edmp.errors import unknown_name
from edmp.problem import Problem
from edmp.scenes import Scene, as_clouds, as_voxels

SPACING = 0.005
"""Of the points of a cloud, and the edge of a cell [m]."""

SHAPES = "shapes"

SIGHTS: Mapping[str, Callable[[Scene], Scene]] = MappingProxyType(
    {
        SHAPES: lambda scene: scene,
        "clouds": lambda scene: as_clouds(scene, spacing=SPACING),
        "voxels": lambda scene: as_voxels(scene, resolution=SPACING),
    }
)
"""What becomes of a scene, by name."""


def seen(problem: Problem, sight: str) -> Problem:
    """The problem as a planner is given it.

    Raises:
        UnknownNameError: there is no such sight.
    """
    return replace(problem, scene=_row(sight)(problem.scene))


def with_sight(spec: PlannerSpec, sight: str) -> PlannerSpec:
    """The planner, given problems as ``sight`` has them: filed under a name of its own, ``edmp as clouds``.

    Raises:
        UnknownNameError: there is no such sight.
    """
    _row(sight)
    return spec if sight == SHAPES else replace(spec, text=f"{spec.text} as {sight}", sight=sight)


def _row(sight: str) -> Callable[[Scene], Scene]:
    if sight not in SIGHTS:
        raise unknown_name("sight", sight, SIGHTS)
    return SIGHTS[sight]
