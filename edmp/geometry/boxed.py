"""Sensed shapes as boxes, for simulators and formats that know neither points nor cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.errors import InvalidInputError
from edmp.geometry import cells
from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.geometry.shapes import Shape

Array = NDArray[np.float64]


def boxes_round(shape: Shape) -> tuple[Array, Array, float]:
    """Boxes that contain a sensed shape: middles (n, 3) and sizes (n, 3) in its frame, and how far they leave it [m].

    They do not overlap. Of voxels they are exactly its cells, joined; of points and fields the cells that these reach
    into.

    Raises:
        InvalidInputError: of another kind.
    """
    corner, beyond = np.zeros(3), 0.0
    if isinstance(shape, Voxels):
        occupancy, edge = shape.occupancy, shape.resolution
    elif isinstance(shape, DistanceField):
        occupancy, edge = cells.of_field(shape.distances), shape.resolution
        beyond = edge * 3**0.5
    elif isinstance(shape, PointCloud):
        occupancy, edge, corner = cells.of_cloud(shape.points, shape.radius)
        beyond = edge * 3**0.5
    else:
        raise InvalidInputError(f"{type(shape).__name__} is not made of cells; expected what a sensor saw")
    low, high = cells.boxes(occupancy)
    return corner + edge * (low + high) / 2, edge * (high - low).astype(np.float64), beyond
