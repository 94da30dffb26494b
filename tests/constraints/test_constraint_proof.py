"""The judge's proof of constraints against the dumb checker, on random robots, constraints and edges."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from branching_robot import branching_robot
from dumb_checker import excesses
from scipy.spatial.transform import Rotation

import edmp
from edmp.constraints import Constraint
from edmp.geometry.poses import pose
from edmp.robots.robot import Robot
from edmp.validate import Cause
from edmp.validate.band_proof import ROUNDING
from edmp.validate.dense import _body_poses

sys.path.append(str(Path(__file__).parents[1] / "validate"))
from validate_cases import random_robot

KINDS = ("upright", "oriented", "box", "sphere", "plane", "line", "look", "joint")


def about(rng: np.random.Generator, robot: Robot, q: np.ndarray, kind: str, room: float) -> Constraint:
    """A constraint that holds at ``q``, where a value is somewhere in its band, ``room`` times as wide as usual."""
    names = [*(tool.name for tool in robot.tools), *robot.link_names]
    frame = str(rng.choice(names))
    arm = robot.with_tool(frame)
    X = _body_poses(robot, q)[arm.tool.body] @ arm.tool.X_BT
    offset = rng.uniform(-0.1, 0.1, 3)
    R, p = X[:3, :3], X[:3, 3] + X[:3, :3] @ offset
    wide = room * rng.uniform(0.02, 0.4)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    off = Rotation.from_rotvec(0.9 * wide * rng.uniform() * unit(rng)).as_matrix()
    if kind == "upright":
        return edmp.Upright(min(wide, 3.0), axis=axis, up=off @ R @ axis, frame=frame)
    if kind == "oriented":
        tolerance = wide * rng.uniform(0.95, 3.0, 3)
        tolerance[rng.random(3) < 0.2] = np.inf
        tolerance[rng.integers(3)] = wide
        return edmp.Oriented(R @ off.T, tolerance, frame=frame)
    if kind == "box":
        size = wide * rng.uniform(0.5, 2.0, 3)
        X_WO = pose(p + 0.2 * size * rng.uniform(-1, 1, 3), Rotation.random(random_state=rng).as_quat())
        return edmp.InBox(2.5 * size, X_WO, frame=frame, offset=offset)
    if kind == "plane":
        return edmp.OnPlane(p + 0.5 * wide * rng.uniform() * axis, axis, 0.5 * wide, frame=frame, offset=offset)
    if kind == "line":
        return edmp.OnLine(p + 0.5 * wide * rng.uniform() * unit(rng), axis, 0.5 * wide, frame=frame, offset=offset)
    if kind == "sphere":
        return edmp.InSphere(0.5 * wide, p + 0.5 * wide * rng.uniform() * unit(rng), frame=frame, offset=offset)
    if kind == "look":
        p = X[:3, 3]
        return edmp.LookAt(p + rng.uniform(0.2, 1.0) * (off @ R @ axis), min(wide, 3.0), axis=axis, frame=frame)
    j = int(rng.integers(robot.dof))
    return edmp.JointRange(robot.joint_names[j], q[j] - wide * rng.uniform(0.1, 1), q[j] + wide * rng.uniform(0.1, 1))


def unit(rng: np.random.Generator) -> np.ndarray:
    v = rng.normal(size=3)
    return v / np.linalg.norm(v)


def some_robot(rng: np.random.Generator, seed: int) -> Robot:
    robot = (edmp.load_robot("panda"), branching_robot(), random_robot(rng))[seed % 3]
    return robot.with_base(pose(rng.uniform(-1, 1, 3), Rotation.random(random_state=rng).as_quat()))


def alone(robot: Robot) -> Robot:
    """Without self-collisions: only the constraints are to be judged."""
    return dataclasses.replace(robot, collision_pairs=())


def edge(rng: np.random.Generator, robot: Robot, longest: float) -> np.ndarray:
    lower, upper = robot.limits.lower, robot.limits.upper
    a = rng.uniform(0.7 * lower + 0.3 * upper, 0.3 * lower + 0.7 * upper)
    return np.stack([a, np.clip(a + rng.uniform(-longest, longest, robot.dof), lower, upper)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_what_is_proved_passes_the_dumb_checker_and_what_is_refuted_does_not(seed: int, kind: str) -> None:
    rng = np.random.default_rng(1000 * KINDS.index(kind) + seed)
    robot = alone(some_robot(rng, seed))
    outcomes = []
    for _ in range(6):
        path = edge(rng, robot, rng.choice([0.02, 0.1, 0.4]))
        constraints = [about(rng, robot, path[0], kind, rng.choice([0.3, 1.0, 4.0])) for _ in range(2)]
        verdict = edmp.Judge(robot, edmp.Scene(), constraints=constraints).check_path(path)
        sampled = excesses(robot, edmp.Scene(), constraints, path)
        outcomes.append(verdict.valid)
        if verdict.valid:
            check_kept(verdict, constraints, sampled)
            continue
        assert verdict.cause is Cause.CONSTRAINT
        for broken in verdict.broken:
            assert broken.proved
            there = excesses(robot, edmp.Scene(), [broken.constraint], broken.q[None])[0]
            assert there > 0
            assert abs(there - broken.excess) < 1e-9 + 1e-6 * abs(there)
            along = (broken.q - path[0]) @ (path[1] - path[0]) / np.sum((path[1] - path[0]) ** 2)
            assert np.allclose(path[0] + along * (path[1] - path[0]), broken.q, atol=1e-9)
            assert -1e-9 < along < 1 + 1e-9
    assert outcomes


def check_kept(verdict: edmp.validate.Verdict, constraints: Sequence[Constraint], sampled: Sequence[float]) -> None:
    for kept, constraint, worst in zip(verdict.kept, constraints, sampled, strict=True):
        assert kept.constraint is constraint
        assert worst <= ROUNDING
        assert kept.spare <= -worst + ROUNDING
