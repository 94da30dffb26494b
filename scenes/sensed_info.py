"""What is in a file of points, cells or distances, before it becomes an obstacle."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpWarning, InvalidInputError
from edmp.geometry import cells
from edmp.geometry.kinds import bounds, kind_of
from edmp.geometry.sensed import WIDE, DistanceField, PointCloud, Voxels
from edmp.scenes.clouds import COVERING, load_raw, spacing_of, viewpoint_of

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SensedInfo:
    """What a file holds.

    Attributes:
        kind: its name in scene files: point_cloud, voxels or distance_field.
        count: points, occupied cells, or nodes inside.
        lower, upper: (3,) corners of the box round it, in the file's own frame [m].
        memory: of the obstacle's array [bytes].
        not_finite, doubles: points that are dropped, and that are there twice; 0 of cells and fields.
        spacing: how far points are apart (`edmp.scenes.clouds.spacing_of`), or the edge of a cell [m].
        shape: (3,) of the grid; empty of points.
        notes: what is odd about it, in words.
    """

    kind: str
    count: int
    lower: Array
    upper: Array
    memory: int
    not_finite: int = 0
    doubles: int = 0
    spacing: float = 0.0
    shape: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def radius(self) -> float:
        """For points: a radius that leaves no gap between neighbours [m]."""
        return COVERING * self.spacing


def sensed_info(path: str | Path, *, scale: float = 1.0) -> SensedInfo:
    """Look at a file that `edmp.scenes.clouds.load_sensed` reads; ``scale`` as there.

    Raises:
        FileFormatError: as `load_sensed`.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", EdmpWarning)
        points, stood = load_raw(Path(path), scale=scale), viewpoint_of(Path(path))
    notes = tuple(str(one.message) for one in told)
    if stood is not None:
        at = " ".join(f"{value:.4g}" for value in stood)
        notes = (*notes, f"its VIEWPOINT, where the sensor stood, is {at} (x y z qx qy qz qw); extent is without it")
    if isinstance(points, tuple):
        shape, X = points
        lower, upper = bounds(shape, X)
        assert isinstance(shape, Voxels | DistanceField)
        array = shape.occupancy if isinstance(shape, Voxels) else shape.distances
        count = int(array.sum()) if isinstance(shape, Voxels) else int((array <= 0).sum())
        if isinstance(shape, Voxels):
            notes = (*notes, f"{len(cells.boxes(shape.occupancy)[0])} boxes fill its cells")
        return SensedInfo(
            kind_of(shape).name,
            count,
            lower,
            upper,
            array.nbytes,
            spacing=shape.resolution,
            shape=array.shape,
            notes=notes,
        )
    finite = points[np.isfinite(points).all(axis=1)]
    if not len(finite):
        raise InvalidInputError(f"{path}: none of its {len(points)} points is finite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdmpWarning)
        distinct = PointCloud(finite.astype(np.float32), 1.0).points
    lower, upper = (corner(axis=0).astype(np.float64) for corner in (distinct.min, distinct.max))
    extent = float((upper - lower).max())
    if extent > WIDE:
        notes = (*notes, f"it extends over {extent:.4g} m; is it in millimetres? Then its unit is 0.001 m")
    return SensedInfo(
        "point_cloud",
        len(distinct),
        lower,
        upper,
        distinct.nbytes,
        len(points) - len(finite),
        len(finite) - len(distinct),
        spacing_of(distinct),
        notes=notes,
    )
