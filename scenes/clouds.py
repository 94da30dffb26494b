"""Files of what a sensor saw, as obstacles: points, occupied cells, fields of distances.

    .ply .pcd .xyz .npy     points
    .npz                    points; or occupancy and resolution; or distances and resolution; and X_WV, where it stands
    .bt .ot                 the occupied cells of an octree (OctoMap)

What is in the file stands in the file's own frame: the sensor's, mostly, or the world's.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError
from edmp.files.npz import npz_arrays
from edmp.files.reading import read_bytes
from edmp.geometry.cloud_files import READERS, CloudError, Points, load_points, pcd_viewpoint, points_of
from edmp.geometry.octree import load_octree
from edmp.geometry.poses import pose, rigid
from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.geometry.shapes import Shape
from edmp.scenes.scene import Obstacle, Scene

Array = NDArray[np.float64]

SUFFIXES = (*READERS, ".npz", ".bt", ".ot")
"""Of files that `load_sensed` reads."""

COVERING = 0.7072
"""Balls of this radius round points on a square grid of spacing 1 leave no gap."""

SAMPLE = 20_000
"""Points whose neighbours are looked at, to say how far points are apart."""


def is_sensed(path: str | Path) -> bool:
    """Whether a file is one of these, by its ending."""
    return Path(path).suffix.lower() in SUFFIXES


def load_sensed(
    path: str | Path, *, radius: float | None = None, scale: float = 1.0, viewpoint: bool = True
) -> tuple[Shape, Array]:
    """What a sensor saw, and its pose (4, 4) in the frame of the file.

    Points of a .pcd are in the sensor's frame, as PCL has them, and its VIEWPOINT is where the sensor stood: it becomes
    the pose, which is told. Most files have the origin there.

    Args:
        path: of the file, `SUFFIXES` says which.
        radius: of each point [m]; None takes `covering_radius`, and says so. Cells and fields have none.
        scale: length of the file's unit [m]; 0.001 for millimetres. Of cells and fields, too.
        viewpoint: False leaves a VIEWPOINT out, which is told, too: it is known better where the sensor stood.

    Raises:
        FileFormatError: it is not there, damaged, or holds nothing.
        InvalidInputError: a radius for what has none, or one that makes no sense.
    """
    path = Path(path)
    if not 1e-9 <= scale <= 1e9:
        raise InvalidInputError(f"scale must be positive, the length of the file's unit [m], got {scale}")
    kind = path.suffix.lower()
    try:
        if kind in (".bt", ".ot"):
            voxels, corner = load_octree(path)
            shape: Shape = Voxels(voxels.occupancy, voxels.resolution * scale)
            X = pose(corner * scale)
        elif kind == ".npz":
            shape, X = _of_arrays(_read_arrays(path), path, radius, scale)
        else:
            shape = cloud_of(load_points(path), radius=radius, scale=scale, what=str(path))
            X = _placed(path, scale, viewpoint)
    except InvalidInputError as error:
        raise FileFormatError(f"{path}: {error}") from None
    if radius is not None and not isinstance(shape, PointCloud):
        raise InvalidInputError(f"{path}: a radius belongs to points; this is a {type(shape).__name__}")
    return shape, X


_HEADER = 1 << 19
"""No header of a .pcd is longer [bytes]."""


def viewpoint_of(path: Path) -> Array | None:
    """Where the sensor of a .pcd stood, x, y, z in the file's unit and qx, qy, qz, qw; None if not said, or elsewhere.

    Raises:
        FileFormatError: what is said is no pose.
    """
    if path.suffix.lower() != ".pcd":
        return None
    try:
        with path.open("rb") as file:
            return pcd_viewpoint(file.read(_HEADER))
    except (CloudError, OSError) as fault:
        raise FileFormatError(f"{path}: {fault}") from None


def _placed(path: Path, scale: float, applied: bool) -> Array:
    """(4, 4) where the sensor of a file stood, or the identity if that is not ``applied``; both are told."""
    stood = viewpoint_of(path)
    if stood is None:
        return np.eye(4)
    at = " ".join(f"{scale * value:.4g}" for value in stood[:3])
    told = f"{path}: its VIEWPOINT says that the sensor stood at {at} m"
    if not applied:
        warnings.warn(f"{told}; points are taken as they are, not moved by it", EdmpWarning, stacklevel=4)
        return np.eye(4)
    warnings.warn(f"{told}; points are placed accordingly", EdmpWarning, stacklevel=4)
    return pose(scale * stood[:3], stood[3:])


def load_raw(path: Path, *, scale: float = 1.0) -> Points | tuple[Shape, Array]:
    """The points of a file as they are, also those that are not finite; cells and fields as `load_sensed` has them.

    Raises:
        FileFormatError: it is not there, damaged, or holds nothing.
    """
    kind = path.suffix.lower()
    if kind in (".bt", ".ot"):
        return load_sensed(path, scale=scale)
    if kind != ".npz":
        return np.asarray(_scaled(load_points(path), scale))
    arrays = _read_arrays(path)
    if {"occupancy", "distances"}.isdisjoint(arrays):
        return np.asarray(_scaled(_points_in(arrays, path), scale))
    try:
        return _of_arrays(arrays, path, None, scale)
    except InvalidInputError as error:
        raise FileFormatError(f"{path}: {error}") from None


def load_sensed_scene(path: str | Path) -> Scene:
    """What a sensor saw as the only obstacle, named after its file; its frame is taken to be the world."""
    shape, X = load_sensed(path)
    return Scene((Obstacle(Path(path).stem or "cloud", shape, X),))


def cloud_of(points: Any, *, radius: float | None, scale: float = 1.0, what: str = "cloud") -> PointCloud:
    """Points (n, 3) in any unit as an obstacle; ``what`` names them in messages.

    Raises:
        InvalidInputError: they are no points, or none of them is finite.
    """
    if radius is not None:
        return PointCloud(_scaled(points, scale), radius)
    cloud = PointCloud(_scaled(points, scale), 1.0)
    chosen = covering_radius(cloud.points)
    warnings.warn(
        f"{what}: the radius of its points is taken to be {chosen:.4g} m, from how far they are apart; "
        "give one that is as large as the gaps that the sensor leaves and its error together",
        EdmpWarning,
        stacklevel=3,
    )
    return PointCloud(cloud.points, chosen)


def spacing_of(points: Points) -> float:
    """How far points (n, 3) of a surface are apart [m]: on a square grid, its spacing.

    The distance to the third nearest neighbour, which 95 % of a sample stay below; 0 of fewer than four.
    """
    from scipy.spatial import cKDTree

    if len(points) < 4:
        return 0.0
    sample = points[np.linspace(0, len(points) - 1, min(SAMPLE, len(points))).astype(np.int64)]
    distance = cKDTree(points).query(sample, k=4)[0][:, 3]
    return float(np.quantile(distance, 0.95))


def covering_radius(points: Points) -> float:
    """The radius of balls round points (n, 3) that leave no gap between neighbours [m]: 0.71 `spacing_of`.

    Fewer points than four are no surface: theirs is 5 mm.
    """
    return COVERING * spacing_of(points) or 0.005


def _scaled(points: Any, scale: float) -> Any:
    return points if scale == 1.0 else np.asarray(points) * scale


def _read_arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    return npz_arrays(read_bytes(path, "file of points"), str(path), "file of arrays")


def _of_arrays(
    arrays: Mapping[str, NDArray[Any]], path: Path, radius: float | None, scale: float
) -> tuple[Shape, Array]:
    X = rigid(arrays["X_WV"], "X_WV") if "X_WV" in arrays else np.eye(4)
    X[:3, 3] *= scale
    if len(held := [name for name in ("points", "occupancy", "distances") if name in arrays]) > 1:
        raise InvalidInputError(f"holds {', '.join(held)}: one obstacle is one of them")
    for name, kind in (("occupancy", Voxels), ("distances", DistanceField)):
        if name not in arrays:
            continue
        if "resolution" not in arrays or arrays["resolution"].size != 1:
            raise InvalidInputError(f"{name} need a number 'resolution' beside them [m]")
        resolution = float(arrays["resolution"].reshape(())) * scale
        values = arrays[name] if kind is Voxels else _scaled(arrays[name], scale)
        return kind(values, resolution), X
    return cloud_of(_points_in(arrays, path), radius=radius, scale=scale, what=str(path)), X


def _points_in(arrays: Mapping[str, NDArray[Any]], path: Path) -> Points:
    """The array ``points``, or the only one."""
    named = "points" if "points" in arrays or len(arrays) != 1 else next(iter(arrays))
    if named not in arrays:
        raise FileFormatError(
            f"{path}: it holds the arrays {', '.join(arrays) or '(none)':.200}; expected points, or resolution with "
            "occupancy or distances"
        )
    try:
        return points_of(arrays[named])
    except CloudError as error:
        raise FileFormatError(f"{path}: {named}: {error}") from None
