"""Small files in the formats of public data sets, made with classes that carry the official names."""

from __future__ import annotations

import contextlib
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

START = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
HALF = np.sqrt(0.5)
QUARTER_TURN = (HALF, 0.0, 0.0, HALF)
"""About z, (w, x, y, z)."""


def module_of(name: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    for key, value in members.items():
        value.__module__, value.__qualname__ = name, key
        setattr(module, key, value)
    return module


def classes(*names: str) -> list[type]:
    return [type(name, (), {}) for name in names]


@contextlib.contextmanager
def official_modules(types_module: str = "mpinets.types") -> Iterator[dict[str, type]]:
    """The classes that an official pickle names, importable (which pickling needs) only within the block."""
    planning, se3, so3, cuboid, cylinder, sphere, quaternion = classes(
        "PlanningProblem", "SE3", "SO3", "Cuboid", "Cylinder", "Sphere", "Quaternion"
    )
    modules = [
        module_of("mpinets"),
        module_of(types_module, PlanningProblem=planning),
        module_of("geometrout"),
        module_of("geometrout.transform", SE3=se3, SO3=so3),
        module_of("geometrout.primitive", Cuboid=cuboid, Cylinder=cylinder, Sphere=sphere),
        module_of("pyquaternion"),
        module_of("pyquaternion.quaternion", Quaternion=quaternion),
    ]
    before = {module.__name__: sys.modules.get(module.__name__) for module in modules}
    sys.modules.update({module.__name__: module for module in modules})
    try:
        yield {kind.__name__: kind for kind in (planning, se3, so3, cuboid, cylinder, sphere, quaternion)}
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def make(kind: type, **attributes: Any) -> Any:
    thing = kind()
    vars(thing).update(attributes)
    return thing


def se3(kinds: dict[str, type], layout: str, position: Any, wxyz: Any) -> Any:
    """An SE3 as geometrout 0.0 ("old") or 0.1 ("new") stores it."""
    position, wxyz = np.array(position, dtype=float), np.array(wxyz, dtype=float)
    if layout == "old":
        rotation = make(kinds["SO3"], _quat=make(kinds["Quaternion"], q=wxyz))
        return make(kinds["SE3"], _xyz=position, _so3=rotation)
    return make(kinds["SE3"], pos=position, so3=make(kinds["SO3"], q=wxyz))


def planning_problem(kinds: dict[str, type], layout: str, target: tuple[Any, Any]) -> Any:
    """A box turned by a quarter, a cylinder, a ball, and a box without volume."""
    under = "_" if layout == "old" else ""

    def at(*where: Any) -> dict[str, Any]:
        return {f"{under}pose": se3(kinds, layout, *where)}

    obstacles = [
        make(kinds["Cuboid"], **at((0.6, 0.1, 0.2), QUARTER_TURN), **{f"{under}dims": np.array([0.4, 1.0, 0.02])}),
        make(kinds["Cylinder"], **at((0.5, -0.4, 0.3), (1, 0, 0, 0)), radius=0.05, height=np.float64(0.2)),
        make(kinds["Sphere"], **{f"{under}center": np.array([0.0, 0.9, 0.5]), f"{under}radius": 0.07}),
        make(kinds["Cuboid"], **at((0, 0, 0), (1, 0, 0, 0)), **{f"{under}dims": np.zeros(3)}),
    ]
    return make(
        kinds["PlanningProblem"],
        target=se3(kinds, layout, *target),
        target_volume=obstacles[0],
        q0=START.astype(np.float32),
        obstacles=obstacles,
        obstacle_point_cloud=np.zeros((4, 3), np.float32),
        target_negative_volumes=[],
    )


def write_mpinets_pickle(
    path: Path,
    target: tuple[Any, Any],
    *,
    layout: str = "old",
    protocol: int = 4,
    types_module: str = "mpinets.types",
) -> Path:
    """Two problems of tabletop/task-oriented, one of cubby/neutral-start."""
    with official_modules(types_module) as kinds:
        one = planning_problem(kinds, layout, target)
        problems = {"tabletop": {"task-oriented": [one, one]}, "cubby": {"neutral-start": [one]}}
        path.write_bytes(pickle.dumps(problems, protocol=protocol))
    return path


def write_mpinets_hdf5(path: Path, *, cylinders: bool = True) -> Path:
    """Three rows; the second has no hybrid solution. Row 2 has a cylinder."""
    import h5py

    rows, slots = 3, 40
    solutions = np.zeros((rows, 50, 7))
    for row in range(rows):
        solutions[row] = START + np.linspace(0, 1, 50)[:, None] * np.array([0.5 + row, 0, 0, 0, 0, 0, 0])
    hybrid = solutions.copy()
    hybrid[1] = 0.0
    dims, centres, quaternions = np.zeros((rows, slots, 3)), np.zeros((rows, slots, 3)), np.zeros((rows, slots, 4))
    dims[:, 0], centres[:, 0], quaternions[:, 0] = (0.4, 1.0, 0.02), (0.6, 0.1, 0.2), QUARTER_TURN
    with h5py.File(path, "w") as file:
        data = {
            "global_solutions": solutions,
            "hybrid_solutions": hybrid,
            "cuboid_dims": dims,
            "cuboid_centers": centres,
            "cuboid_quaternions": quaternions,
        }
        if cylinders:
            radii, places, turns = np.zeros((rows, slots, 1)), np.zeros((rows, slots, 3)), np.zeros((rows, slots, 4))
            radii[2, 3], places[2, 3], turns[2, 3] = 0.05, (0.5, -0.4, 0.3), (1, 0, 0, 0)
            data |= {
                "cylinder_radii": radii,
                "cylinder_heights": 4 * radii,
                "cylinder_centers": places,
                "cylinder_quaternions": turns,
            }
        for key, value in data.items():
            file.create_dataset(key, data=value.astype(np.float32))
    return path


ROBOMETRICS = """
bookshelf_small_panda:
- collision_buffer_ik: 0
  goal_ik:
  - [-0.35806408524513245, 0.280899316072464, -1.0740009546279907, -2.2003324031829834, 2.744006633758545,
     2.2448089122772217, 1.3049980401992798]
  goal_pose:
    frame: panda_hand
    position_xyz: [0.10456633567810059, -0.5652995109558105, 0.3497552275657654]
    quaternion_wxyz: [0.6069663763046265, 0.36674752831459045, 0.6004236936569214, -0.3695666491985321]
  obstacles:
    cuboid:
      shelf:
        dims: [1.2, 1.0, 0.04]
        pose: [0.6, 0.1, 0.2, 0.7071067811865476, 0.0, 0.0, 0.7071067811865476]
    cylinder:
      can: {height: 0.14, radius: 0.01, pose: [0.5, -0.4, 0.3, 1.0, 0.0, 0.0, 0.0]}
  start: [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]
  world_frame: panda_link0
dresser_task_oriented:
- goal_ik:
  - [0.1, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]
  - [0.2, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]
  obstacles: {cuboid: {}, cylinder: {}}
  start: [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]
"""
"""In the layout of the package robometrics; start, pose and configuration of the first are those of its demo set."""
