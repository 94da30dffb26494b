"""`Scene`: the named obstacles that an arm must not hit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.scenes.shapes import Shape

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Obstacle:
    """A named shape; ``X_WO`` (4, 4) is the pose of its frame in the world."""

    name: str
    shape: Shape
    X_WO: Array


@dataclass(frozen=True)
class Scene:
    """Obstacles in the world frame, each with a unique name. An empty scene is a valid scene."""

    obstacles: tuple[Obstacle, ...] = ()

    def __len__(self) -> int:
        return len(self.obstacles)

    def __iter__(self) -> Iterator[Obstacle]:
        return iter(self.obstacles)
