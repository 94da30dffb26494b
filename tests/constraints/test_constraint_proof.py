"""The judge's proof of constraints against the dumb checker, on random robots, constraints and edges."""

from __future__ import annotations

import dataclasses
import re
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


HOME = np.array([0, -0.785, 0, -2.356, 0, 1.571, 0.785])
DOWN = (0.0, 0.0, -1.0)


def judged(constraint: Constraint, path: object, scene: edmp.Scene | None = None, robot: Robot | None = None):  # type: ignore[no-untyped-def]
    robot = alone(robot or edmp.load_robot("panda"))
    return edmp.Judge(robot, scene or edmp.Scene(), constraints=[constraint]).check_path(np.asarray(path))


def hand_at(q: np.ndarray) -> np.ndarray:
    robot = edmp.load_robot("panda")
    return _body_poses(robot, q)[robot.tool.body] @ robot.tool.X_BT


@pytest.mark.parametrize("turn", [0.02, 0.2, 1.2])
def test_what_is_broken_between_the_ends_only_is_refuted_there(turn: float) -> None:
    """An arc between two points leaves the plane through both; its sagitta is known."""
    a, b = HOME.copy(), HOME.copy()
    a[0], b[0] = -turn / 2, turn / 2
    ends = hand_at(a)[:3, 3], hand_at(b)[:3, 3]
    radius = float(np.linalg.norm(ends[0][:2]))
    sagitta = radius * (1 - np.cos(turn / 2))
    tighter = edmp.OnPlane(ends[0], (1, 0, 0), 0.99 * sagitta)
    verdict = judged(tighter, [a, b])
    assert verdict.cause is Cause.CONSTRAINT
    (broken,) = verdict.broken
    assert broken.proved
    assert 0.0 < broken.excess <= 0.0101 * sagitta
    assert abs(broken.q[0]) < 0.11 * turn  # near the middle
    wider = edmp.OnPlane(ends[0], (1, 0, 0), 1.001 * sagitta)
    verdict = judged(wider, [a, b])
    assert verdict.valid
    assert sagitta - 1e-9 <= verdict.kept[0].worst <= 1.001 * sagitta + 1e-9


def test_a_motion_along_the_very_bound_is_proved_and_beyond_it_refuted() -> None:
    """A turn about a vertical axis keeps height and tilt."""
    tilted = HOME + np.array([0, 0, 0, 0, 0, 0.1, 0])
    path = [tilted, tilted + np.array([1.0, 0, 0, 0, 0, 0, 0])]
    X = hand_at(tilted)
    angle = float(np.arccos(-X[2, 2]))
    assert judged(edmp.Upright(angle + 1e-10, up=DOWN), path).valid
    assert not judged(edmp.Upright(angle - 1e-8, up=DOWN), path).valid
    height = edmp.OnPlane((0, 0, X[2, 3] - 0.01), tolerance=0.01 + 1e-10)
    assert judged(height, path).valid
    assert not judged(edmp.OnPlane((0, 0, X[2, 3] - 0.01), tolerance=0.01 - 1e-8), path).valid


def test_a_proof_that_takes_too_long_is_given_up_and_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edmp.validate.band_proof._MOST", 10)
    tilted = HOME + np.array([0, 0, 0, 0, 0, 0.1, 0])
    path = [tilted, tilted + np.array([1.0, 0.4, -0.3, 0, 0.2, 0, 0])]
    worst = max(excesses(edmp.load_robot("panda"), edmp.Scene(), [edmp.Upright(1e-9, up=DOWN)], np.array(path)))
    verdict = judged(edmp.Upright(worst + 1e-6, up=DOWN), path)
    assert verdict.cause is Cause.CONSTRAINT
    assert not verdict.broken[0].proved
    assert "cannot be proved, it might be" in verdict.message()


def test_a_turn_about_a_free_axis_goes_past_half_a_turn() -> None:
    """There the rotation vector jumps to its opposite."""
    turned = hand_at(HOME)[:3, :3] @ Rotation.from_euler("z", 2.9).as_matrix()
    path = [HOME - np.array([0, 0, 0, 0, 0, 0, 1.5]), HOME + np.array([0, 0, 0, 0, 0, 0, 1.2])]
    verdict = judged(edmp.Oriented(turned, (0.05, 0.05, np.inf)), path)
    assert verdict.valid
    assert verdict.kept[0].spare > 0.049
    lopsided = edmp.Oriented(turned @ Rotation.from_euler("x", 0.04).as_matrix(), (0.05, 0.05, np.inf))
    scene, robot = edmp.Scene(), alone(edmp.load_robot("panda"))
    assert judged(lopsided, path).valid == (excesses(robot, scene, [lopsided], np.array(path))[0] <= 0)
    assert not judged(edmp.Oriented(turned, (0.05, 0.05, 3.0)), path).valid


def test_of_a_continuous_joint_whole_turns_do_not_count() -> None:
    robot = edmp.load_robot("panda")
    joints = tuple(dataclasses.replace(joint, continuous=joint.name == "panda_joint7") for joint in robot.joints)
    endless = dataclasses.replace(robot, joints=joints)
    path = np.array([HOME, HOME + np.array([0, 0, 0, 0, 0, 0, 0.3])])
    for turns in (-2, 0, 1):
        moved = path + 2 * np.pi * turns * (np.arange(7) == 6)
        for wanted in (edmp.JointRange("panda_joint7", 0.7, 1.1), edmp.JointRange("panda_joint7", 6.99, 7.38)):
            assert judged(wanted, moved, robot=endless).valid
        assert not judged(edmp.JointRange("panda_joint7", 0.7, 1.0), moved, robot=endless).valid


@pytest.mark.parametrize("seed", range(6))
def test_distances_are_proved_or_refuted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    robot = alone(edmp.load_robot("panda"))
    shape = (edmp.Box((0.2, 0.3, 0.1)), edmp.Cylinder(0.1, 0.3), edmp.Sphere(0.1))[seed % 3]
    scene = edmp.Scene.of({"thing": (shape, (0.55, 0.1, 0.3)), "other": (edmp.Sphere(0.05), (-0.5, 0.5, 0.2))})
    outcomes = set()
    for _ in range(8):
        path = edge(rng, robot, 0.3)
        if not edmp.Judge(robot, scene).check_path(path).valid:
            continue
        nearest = -excesses(robot, scene, [edmp.KeepDistance("thing", 1e-9)], path, step=0.01)[0]
        for distance in (0.9 * nearest, 1.1 * nearest):
            constraint = edmp.KeepDistance("thing", distance)
            verdict = edmp.Judge(robot, scene, constraints=[constraint]).check_path(path)
            outcomes.add(verdict.valid)
            assert verdict.valid == (distance < nearest)
            if verdict.valid:
                assert distance - 1e-5 <= verdict.kept[0].worst <= nearest + 1e-6
                continue
            (broken,) = verdict.broken
            there = excesses(robot, scene, [constraint], broken.q[None])[0]
            assert -1e-4 < there <= 0.1 * nearest + 1e-4
            assert broken.excess == pytest.approx(there, abs=1e-4)
    assert outcomes == {True, False}


def test_what_rests_on_an_obstacle_keeps_no_distance_from_it() -> None:
    robot = edmp.load_robot("panda")
    X_WB = _body_poses(robot, HOME)
    points = [
        hull @ X_WB[link.body][:3, :3].T + X_WB[link.body][:3, 3] for link in robot.links[7:] for hull in link.hulls_B
    ]
    x, y, z = min(np.concatenate(points), key=lambda p: p[2])
    scene = edmp.Scene.of({"table": (edmp.Box((0.1, 0.1, 0.1)), (x, y, z - 0.05))})
    assert edmp.Judge(robot, scene).check(HOME).allowed
    judge = edmp.Judge(robot, scene, constraints=[edmp.KeepDistance("table", 0.01)])
    up = HOME + np.array([0, -0.1, 0, 0, 0, 0, 0])
    for verdict in (judge.check(HOME), judge.check_path([HOME, up])):
        assert not verdict.valid
        assert re.search("touches", verdict.message())
    assert judge.check(HOME).cause is Cause.CONSTRAINT
    assert re.search(r"0.01 m from table: panda_\w+ touches it, 10.0 mm too near", judge.check(HOME).message())
