"""Training data of Motion Policy Networks (Fishman et al. 2022): HDF5, one row a problem with its expert's path.

    global_solutions, hybrid_solutions    (N, 50, 7)   joints 1 to 7 [rad]; a hybrid solution of zeros was not found
    cuboid_dims, _centers, _quaternions   (N, M, 3), (N, M, 3), (N, M, 4)   full extents [m], quaternions (w, x, y, z)
    cylinder_radii, _heights              (N, M, 1)    [m]; the cylinders may be missing altogether
    cylinder_centers, _quaternions        (N, M, 3), (N, M, 4)

Slots without volume (zero extents) are empty. The world is the frame of the robot's base.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpError, FileFormatError, InvalidInputError, MissingDependencyError, unknown_name
from edmp.geometry.shapes import Shape
from edmp.scenes.franka_tasks import DOF, Array, box, cylinder, scene_of
from edmp.scenes.scene import Scene

SOLUTIONS = {"global": "global_solutions", "hybrid": "hybrid_solutions"}
"""Data sets by the expert that made them."""

MAX_ROWS = 2 * 10**7
MAX_NUMBERS = 10**5
"""Rows, and numbers in one; those that were published have 3 million rows of 350."""

_CUBOID = ("cuboid_dims", "cuboid_centers", "cuboid_quaternions")
_CYLINDER = ("cylinder_radii", "cylinder_heights", "cylinder_centers", "cylinder_quaternions")


def solved_rows(path: str | Path) -> dict[str, NDArray[np.int64]]:
    """The rows that hold a solution, by expert; experts that the file does not have are left out.

    Raises:
        FileFormatError: not such a file.
        MissingDependencyError: h5py is not installed.
    """
    with _open(path) as file:
        # All-zero joints are beyond the Panda's limit of joint 4: only a row that was never filled begins so.
        return {
            expert: np.flatnonzero(np.any(file[key][:, 0, :] != 0.0, axis=1))
            for expert, key in SOLUTIONS.items()
            if key in file
        }


def read_expert_paths(
    path: str | Path,
    expert: str,
    rows: Sequence[int] | NDArray[np.int64] | None = None,
    *,
    scenes: bool = True,
) -> tuple[Array, list[Scene]]:
    """Paths of an expert and the scenes that they are meant to be free in, for benchmarks or to train on.

    Args:
        path: the HDF5 file.
        expert: ``global`` or ``hybrid``.
        rows: which, from 0; all that hold a solution if not given (whole files take tens of gigabytes).
        scenes: whether to read the scenes too.

    Returns:
        Paths (n, 50, 7) [rad] and n scenes (none if not wanted).

    Raises:
        FileFormatError: not such a file, or a shape that makes no sense, with its row.
        InvalidInputError: a row that the file does not have.
        UnknownNameError: no such expert.
        MissingDependencyError: h5py is not installed.
    """
    if expert not in SOLUTIONS:
        raise unknown_name("expert", expert, SOLUTIONS)
    if rows is None:
        rows = solved_rows(path).get(expert, np.zeros(0, np.int64))
    with _open(path) as file:
        if SOLUTIONS[expert] not in file:
            raise FileFormatError(f"{path}: has no {SOLUTIONS[expert]}")
        count = len(file[SOLUTIONS[expert]])
        if bad := [int(row) for row in rows if not 0 <= row < count]:
            raise InvalidInputError(f"{path}: no row {bad[0]}; it has rows 0 to {count - 1}")
        length = file[SOLUTIONS[expert]].shape[1]
        paths = np.zeros((len(rows), length, DOF))
        for i, row in enumerate(rows):
            paths[i] = file[SOLUTIONS[expert]][int(row)]
        if not np.isfinite(paths).all():
            raise FileFormatError(f"{path}: {SOLUTIONS[expert]} has numbers that are not finite")
        return paths, [_scene(file, int(row), path) for row in rows] if scenes else []


@contextlib.contextmanager
def _open(path: str | Path) -> Iterator[Any]:
    """The file, open for reading, its data sets of the right shapes."""
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(f"reading {path} needs h5py: pip install edmp[data]") from error
    try:
        with h5py.File(path, "r") as file:
            _check(file, path)
            yield file
    except EdmpError:
        raise
    # What h5py raises wherever it stumbles over damage; a data set is only read when it is asked for.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise FileFormatError(f"{path}: cannot be read as HDF5, or damaged: {error}") from error


def _check(file: Any, path: str | Path) -> None:
    present = [key for key in SOLUTIONS.values() if key in file]
    if not present:
        raise FileFormatError(f"{path}: has neither global_solutions nor hybrid_solutions; found: {', '.join(file)}")
    groups = (_CUBOID, _CYLINDER) if any(key in file for key in _CYLINDER) else (_CUBOID,)
    if missing := [key for keys in groups for key in keys if key not in file]:
        raise FileFormatError(f"{path}: has no {', '.join(missing)}")
    keys = (*present, *(key for keys in groups for key in keys))
    for key in keys:
        _check_kind(file[key], f"{path}: {key}")
    rows = len(file[present[0]])
    for key in present:
        if file[key].ndim != 3 or file[key].shape[2] != DOF or file[key].shape[1] < 2:
            raise FileFormatError(f"{path}: {key} should be (N, 50, {DOF}), got {file[key].shape}")
    for key in keys:
        if len(file[key]) != rows:
            raise FileFormatError(f"{path}: {key} has {len(file[key])} rows, {present[0]} has {rows}")


def _check_kind(data: Any, place: str) -> None:
    """Numbers, row by row; no row, and no column of first joints, takes more memory than it may."""
    shape = getattr(data, "shape", None)
    if not shape or data.dtype.kind not in "fiu":
        raise FileFormatError(f"{place}: expected an array of numbers (N, ...)")
    if len(shape) > 3 or math.prod(shape[1:]) > MAX_NUMBERS or shape[0] > MAX_ROWS:
        raise FileFormatError(f"{place}: an array {shape}; at most {MAX_ROWS} rows of {MAX_NUMBERS} numbers")


def _scene(file: Any, row: int, path: str | Path) -> Scene:
    try:
        return scene_of(_shapes(file, row))
    except (InvalidInputError, ValueError) as error:
        raise FileFormatError(f"{path}: row {row}: {error}") from None


def _shapes(file: Any, row: int) -> Iterator[tuple[str, Shape | None, Array, Array]]:
    """Name, shape, position [m] and quaternion (w, x, y, z) of each slot of a row; shape None for an empty slot."""
    sizes, centres, quaternions = (np.asarray(file[key][row], np.float64) for key in _CUBOID)
    for i, (size, centre, quaternion) in enumerate(_slots(sizes, centres, quaternions)):
        yield f"cuboid{i}", box(size), centre, quaternion
    if _CYLINDER[0] not in file:
        return
    radii, heights, centres, quaternions = (np.asarray(file[key][row], np.float64) for key in _CYLINDER)
    sizes = np.stack([radii.reshape(-1), heights.reshape(-1)], axis=1)
    for i, (size, centre, quaternion) in enumerate(_slots(sizes, centres, quaternions)):
        yield f"cylinder{i}", cylinder(*size), centre, quaternion


def _slots(sizes: Array, centres: Array, quaternions: Array) -> Iterator[tuple[Array, Array, Array]]:
    """One obstacle a time; a row that has only one may come without the axis of slots."""
    centres, quaternions = centres.reshape(-1, 3), quaternions.reshape(-1, 4)
    return zip(sizes.reshape(len(centres), -1), centres, quaternions, strict=True)
