"""Seeded random scenes, by family, for training and for benchmarks.

generated = generate("cubby", np.random.default_rng(7))
generated.scene                      # the obstacles; the robot's base at the origin is free
generated.targets(rng, 40)           # (n, 4, 4) tool poses worth trying
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from edmp.errors import unknown_name
from edmp.scenes.generators.base import Builder, GeneratedScene, Placement, TaskRegion
from edmp.scenes.generators.clutter import clutter
from edmp.scenes.generators.containers import bins, box, cage
from edmp.scenes.generators.furniture import cubby, dresser, merged_cubby, shelf
from edmp.scenes.generators.placement import placement
from edmp.scenes.generators.tables import table_under, tabletop

if TYPE_CHECKING:
    from edmp.robots.robot import Robot

__all__ = ["FAMILIES", "GeneratedScene", "Placement", "TaskRegion", "generate", "placement"]

FAMILIES: Mapping[str, Callable[[np.random.Generator], Builder]] = {
    "tabletop": tabletop,
    "cubby": cubby,
    "merged_cubby": merged_cubby,
    "dresser": dresser,
    "shelf": shelf,
    "box": box,
    "bin": bins,
    "cage": cage,
    "table_under": table_under,
    "clutter": clutter,
}
"""Families by name; each draws its obstacles and task regions from a random generator."""


def generate(family: str, rng: np.random.Generator, robot: Robot | None = None) -> GeneratedScene:
    """A random scene of ``family``, the same for the same state of ``rng``.

    Args:
        family: one of `FAMILIES`.
        rng: what it is drawn from.
        robot: the arm that it is for, at the origin: furniture is scaled to its reach and hung at its shoulder; a Panda
            if None.

    Raises:
        UnknownNameError: for a family that is not in `FAMILIES`.
    """
    if family not in FAMILIES:
        raise unknown_name("scene family", family, FAMILIES)
    # Furniture that would stand on the robot spoils a scene: draw again. Few draws are spoiled; 200 in a row are a bug.
    for _ in range(200):
        builder = FAMILIES[family](rng)
        if not builder.spoiled:
            drawn = builder.finish(family)
            return drawn if robot is None else drawn.placed(placement(robot))
    raise AssertionError(f"family {family!r} keeps standing on the robot")
