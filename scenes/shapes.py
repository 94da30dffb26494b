"""Shapes of obstacles: plain data, validated when made. All lengths in [m]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """Axis-aligned in its own frame, centred at its origin; ``size`` holds the three full extents."""

    size: tuple[float, float, float]


@dataclass(frozen=True)
class Cylinder:
    """Solid cylinder along its local z axis, centred at its origin."""

    radius: float
    length: float


@dataclass(frozen=True)
class Capsule:
    """Cylinder of ``length`` along local z (caps not included) with a half ball at each end."""

    radius: float
    length: float


@dataclass(frozen=True)
class Sphere:
    radius: float


@dataclass(frozen=True, eq=False)
class Mesh:
    """Closed triangle mesh: ``vertices`` (V, 3), ``faces`` (F, 3) with outward normals."""

    vertices: Array
    faces: NDArray[np.int32]


Shape = Box | Cylinder | Capsule | Sphere | Mesh
