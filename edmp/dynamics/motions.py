"""Motions of the planner for arms to follow: planned once, kept in a file, run again and again."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.errors import EdmpError, FileFormatError
from edmp.learning.tensors import read_tensors, write_tensors
from edmp.robots.robot import Robot
from edmp.trajectory import Trajectory, slowed

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

POOL_FILE = "motions.safetensors"
_TARGETS = 48
"""Task poses in a scene, from which start and goals come."""
_MOTIONS_A_SCENE = 4
_BARREN = 40
"""Scenes in a row without a motion, after which something is wrong."""
_PAUSE = 0.1
"""At rest before a motion, and before it goes back [s]."""
_PARTS = ("positions", "velocities", "accelerations")


def planned_pool(folder: Path, robot: Robot, count: int, seed: int) -> list[Trajectory]:
    """Certified motions in random scenes: read from the folder, or planned and written there.

    Args:
        folder: where `POOL_FILE` is, or will be.
        robot: the arm.
        count: of motions.
        seed: of the scenes and of the planner; the pool does not depend on anything else.

    Raises:
        FileFormatError: a file that is not such a pool, or one of another robot, number or seed.
        EdmpError: this robot finds no motion in these scenes.
    """
    path = folder / POOL_FILE
    about = {"robot": robot.name, "count": count, "seed": seed}
    if path.exists():
        return _read(path, robot, about)
    motions = _plan(robot, count, seed)
    tensors = {name: torch.from_numpy(np.concatenate([getattr(m, name) for m in motions])) for name in _PARTS}
    tensors["times"] = torch.from_numpy(np.concatenate([m.times for m in motions]))
    tensors["rows"] = torch.tensor([len(m.times) for m in motions])
    write_tensors(path, tensors, about)
    return motions


def _read(path: Path, robot: Robot, about: dict[str, object]) -> list[Trajectory]:
    tensors, header = read_tensors(path)
    if header.keys_plain() != about:
        raise FileFormatError(f"{path}: motions of {header.keys_plain()}, expected {about}; choose another folder")
    bounds = np.cumsum([0, *tensors["rows"].tolist()])
    times, *parts = (tensors[name].numpy() for name in ("times", *_PARTS))
    return [
        Trajectory(robot.joint_names, times[a:b], *(part[a:b] for part in parts)) for a, b in itertools.pairwise(bounds)
    ]


def _plan(robot: Robot, count: int, seed: int) -> list[Trajectory]:
    """Some motions from task to task in each random scene."""
    from edmp.collision.free import free
    from edmp.collision.world import World
    from edmp.data.task_poses import task_configurations
    from edmp.planner import Planner
    from edmp.scenes.generators import FAMILIES, generate

    motions: list[Trajectory] = []
    planner, families = Planner(robot), sorted(FAMILIES)
    scene_number, barren = 0, 0
    while len(motions) < count:
        rng = np.random.default_rng((seed, scene_number))
        scene_number, before = scene_number + 1, len(motions)
        generated = generate(families[int(rng.integers(len(families)))], rng, robot)
        q = task_configurations(robot, generated.targets(rng, _TARGETS), rng)
        if len(q):
            q = q[free(World.of(robot, generated.scene, only_separable=True), q, margin=0.01)]
        for k in range(min(_MOTIONS_A_SCENE, count - len(motions), len(q) // 2)):
            result = planner.plan(generated.scene, q[2 * k], q[2 * k + 1], seed=scene_number)
            if result.best is not None:
                motions.append(result.best.trajectory)
        barren = 0 if len(motions) > before else barren + 1
        if barren >= _BARREN:
            raise EdmpError(f"{robot.name}: no motion in {_BARREN} random scenes in a row; can it reach their targets?")
        log.info("%d of %d motions planned", len(motions), count)
    return motions


def there_and_back(motion: Trajectory, share: float, times: Array) -> tuple[Array, Array, Array]:
    """Positions, velocities, accelerations (T, dof) of a motion at a share of its speed, back, and again; at ``times``.

    Begins at rest. The way back is as free as the way there.
    """
    slow = slowed(motion, share)
    leg = _PAUSE + slow.duration
    t = np.mod(times, 2.0 * leg)
    back = t > leg
    within = np.where(back, 2.0 * leg - t, t - _PAUSE)
    q, v, a = slow.sample(within)
    return q, np.where(back[:, None], -v, v), a
