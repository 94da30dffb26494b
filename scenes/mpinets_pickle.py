"""The evaluation problems of Motion Policy Networks (Fishman et al. 2022): pickles such as
``both_solvable_problems.pkl``, a dict ``[environment][kind]`` of lists of ``PlanningProblem``.

A ``PlanningProblem`` has ``target`` (SE3, pose of the frame ``right_gripper``), ``q0`` (7,) [rad], ``obstacles``
(Cuboid, Cylinder or Sphere of the package geometrout), a ``target_volume``, ``target_negative_volumes`` and perhaps an
``obstacle_point_cloud``; the last three are not read. geometrout has stored its objects in two ways:

    0.0.x   SE3: _xyz, _so3; SO3: _quat (a pyquaternion.Quaternion, whose q is w, x, y, z); Cuboid: _pose, _dims;
            Cylinder: _pose, radius, height; Sphere: _center, _radius
    0.1.1+  SE3: pos, so3; SO3: q; Cuboid: pose, dims; Cylinder: pose, radius, height; Sphere: center, radius

(0.1.0 cannot be pickled.) Pickles are read without running them: `edmp.files.plain_pickle`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edmp.errors import EdmpError, FileFormatError
from edmp.files.plain_pickle import PlainArray, PlainObject, load_plain
from edmp.geometry.poses import finite_vector
from edmp.geometry.shapes import Shape
from edmp.scenes.franka_tasks import (
    DOF,
    MPINETS_GRIPPER_WIDTH,
    Array,
    FrankaTask,
    box,
    cylinder,
    pose_wxyz,
    scene_of,
    sphere,
)

FRAME = "right_gripper"

CLASSES = (
    "mpinets.types.PlanningProblem",
    "mpinets.mpinets_types.PlanningProblem",
    "geometrout.transform.SE3",
    "geometrout.transform.SO3",
    "geometrout.primitive.Cuboid",
    "geometrout.primitive.Cylinder",
    "geometrout.primitive.Sphere",
    "pyquaternion.quaternion.Quaternion",
)
"""Full names of the classes whose objects such a pickle may hold."""


def load_mpinets(path: str | Path) -> dict[str, tuple[FrankaTask, ...]]:
    """The problems of a file, by set ``<environment>_<kind>`` (``tabletop_neutral_start``, as robometrics calls them).

    Raises:
        FileFormatError: not such a file, or one that names any class but `CLASSES`.
    """
    content = load_plain(path, CLASSES)
    sets: dict[str, tuple[FrankaTask, ...]] = {}
    for environment, kinds in _dict(content, f"{path}").items():
        for kind, problems in _dict(kinds, f"{path}: [{environment!r}]").items():
            where = f"{path}: [{environment!r}][{kind!r}]"
            if not isinstance(problems, list | tuple):
                raise FileFormatError(f"{where}: expected a list of PlanningProblem, got {_kind(problems)}")
            name = f"{environment}_{kind}".replace("-", "_").replace(" ", "_")
            sets[name] = tuple(_task(problem, f"{where}[{i}]") for i, problem in enumerate(problems))
    return sets


def _task(problem: Any, where: str) -> FrankaTask:
    try:
        if _kind(problem) != "PlanningProblem":
            raise FileFormatError(f"expected a PlanningProblem, got {_kind(problem)}")
        obstacles = _attribute(problem, "obstacles")
        if obstacles is None:
            raise FileFormatError("it has no obstacles: a point cloud alone is not read")
        scene = scene_of(_shapes(obstacles))
        position, quaternion = _pose(_attribute(problem, "target"))
        start = finite_vector(_numbers(_attribute(problem, "q0")).reshape(-1), DOF, "q0")
        X_WF = pose_wxyz(position, quaternion)
    except (EdmpError, ValueError, TypeError) as error:
        raise FileFormatError(f"{where}: {error}") from None
    return FrankaTask(scene, start, X_WF, FRAME, np.zeros((0, DOF)), MPINETS_GRIPPER_WIDTH)


def _shapes(obstacles: Any) -> Iterator[tuple[str, Shape | None, Array, Array]]:
    """Name, shape, position [m] and quaternion (w, x, y, z) of each obstacle."""
    for i, item in enumerate(obstacles):
        kind = _kind(item)
        if kind == "Sphere":
            shape: Shape | None = sphere(float(_attribute(item, "_radius", "radius")))
            yield f"sphere{i}", shape, _numbers(_attribute(item, "_center", "center")), np.array([1.0, 0.0, 0.0, 0.0])
            continue
        if kind not in ("Cuboid", "Cylinder"):
            raise FileFormatError(f"obstacles[{i}]: expected Cuboid, Cylinder or Sphere, got {kind}")
        if kind == "Cuboid":
            shape = box(finite_vector(_numbers(_attribute(item, "_dims", "dims")), 3, "dims"))
        else:
            shape = cylinder(float(_attribute(item, "radius")), float(_attribute(item, "height")))
        yield f"{kind.lower()}{i}", shape, *_pose(_attribute(item, "_pose", "pose"))


def _pose(se3: Any) -> tuple[Array, Array]:
    """Position (3,) [m] and quaternion (4,) (w, x, y, z), normalised as geometrout does."""
    position = _numbers(_attribute(se3, "_xyz", "pos"))
    rotation = _attribute(_attribute(se3, "_so3", "so3"), "_quat", "q")
    if isinstance(rotation, PlainObject):
        rotation = _attribute(rotation, "q")
    quaternion = finite_vector(_numbers(rotation), 4, "quaternion (w, x, y, z)")
    norm = np.linalg.norm(quaternion)
    if norm < 1e-6:
        raise FileFormatError("a quaternion of length zero")
    return position, quaternion / norm


def _attribute(record: Any, *names: str) -> Any:
    """The first of these attributes that an object has."""
    if not isinstance(record, PlainObject):
        raise FileFormatError(f"expected an object with {' or '.join(names)}, got {_kind(record)}")
    values = vars(record)
    for name in names:
        if name in values:
            return values[name]
    found = ", ".join(map(str, values)) or "nothing"
    raise FileFormatError(f"{_kind(record)} has no {' or '.join(names)}, only {found}")


def _numbers(value: Any) -> Array:
    return np.asarray(value.values() if isinstance(value, PlainArray) else value, dtype=np.float64)


def _dict(value: Any, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise FileFormatError(f"{where}: expected a dict, got {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    return type(value).__name__
