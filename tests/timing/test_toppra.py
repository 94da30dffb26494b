"""TOPP-RA: the optimum in closed form, against Drake's, and where Drake's linear programs fail."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.interpolate import BSpline

import edmp
from edmp.robots import load_robot
from edmp.robots.robot import Robot
from edmp.timing import _grid, retime_spline
from edmp.toppra import time_path
from edmp.trajectory import clamped_spline

SCENE = edmp.Scene((edmp.Obstacle.at("far", edmp.Box((0.1, 0.1, 0.1)), (2.0, 2.0, 2.0)),))


def short_spline(rng: np.random.Generator, robot: Robot) -> np.ndarray:
    """0.1 to 100 mrad with a bend; joints move by very different amounts, some hardly at all."""
    size = 10 ** rng.uniform(-4, -1)
    step = size * 10.0 ** rng.uniform(-4, 0, robot.dof) * rng.choice([-1.0, 1.0], robot.dof)
    t = np.linspace(0, 1, rng.choice([6, 9, 16, 32]))[:, None]
    points = robot.home + t * step
    points[2:-2] += 0.2 * size * np.sin(np.pi * t[2:-2]) * rng.normal(size=robot.dof)
    return points


def drake_duration(path: BSpline, velocity: np.ndarray, acceleration: np.ndarray, grid: np.ndarray) -> float | None:
    """Drake's TOPP-RA on the same grid; None where it fails."""
    from pydrake.math import BsplineBasis
    from pydrake.multibody.optimization import Toppra
    from pydrake.multibody.plant import MultibodyPlant
    from pydrake.multibody.tree import PrismaticJoint, SpatialInertia
    from pydrake.trajectories import BsplineTrajectory

    plant = MultibodyPlant(0.0)
    for j in range(path.c.shape[1]):
        body = plant.AddRigidBody(f"body{j}", SpatialInertia.SolidSphereWithMass(1.0, 0.1))
        plant.AddJoint(PrismaticJoint(f"joint{j}", plant.world_frame(), body.body_frame(), [0.0, 0.0, 1.0]))
    plant.Finalize()
    curve = BsplineTrajectory(BsplineBasis(4, list(path.t)), [c[:, None] for c in path.c])
    toppra = Toppra(curve, plant, grid)
    toppra.AddJointVelocityLimit(-velocity, velocity)
    toppra.AddJointAccelerationLimit(-acceleration, acceleration)
    solution = toppra.SolvePathParameterization()
    return None if solution is None else solution.end_time()


@pytest.mark.parametrize(("length", "seconds"), [(0.25, 1.0), (1.0, 2.0), (2.0, 3.0), (1e-6, 2e-3)])
def test_one_joint_accelerates_cruises_and_brakes(length: float, seconds: float) -> None:
    path = clamped_spline(np.linspace(0.0, length, 8)[:, None])
    grid = np.linspace(0.0, 1.0, 801)
    fastest = time_path(path, np.array([1.0]), np.array([1.0]), grid)
    assert fastest.duration == pytest.approx(seconds, rel=5e-3)
    np.testing.assert_allclose(fastest(fastest.t), grid, atol=1e-12)
    # A still joint beside it and a scale in time change nothing.
    still = clamped_spline(np.concatenate([path.c, np.zeros_like(path.c)], axis=1))
    assert time_path(still, np.ones(2), np.ones(2), grid).duration == pytest.approx(fastest.duration)
    assert time_path(path, np.full(1, 1e3), np.full(1, 1e6), grid).duration == pytest.approx(fastest.duration / 1e3)


@pytest.mark.parametrize("name", ["panda", "ur5"])
def test_as_fast_as_drakes_where_drakes_succeeds_and_within_the_limits(name: str) -> None:
    robot, rng = load_robot(name), np.random.default_rng(3)
    velocity, acceleration = robot.limits.velocity, robot.limits.acceleration
    ratios = []
    logger = logging.getLogger("drake")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        for k in range(60):
            points = short_spline(rng, robot)
            if k % 2:  # long ones
                points = robot.home + np.cumsum(0.2 * rng.normal(size=(16, robot.dof)), axis=0)
            path = clamped_spline(points)
            grid = _grid(path, 80)
            fastest = time_path(path, velocity, acceleration, grid)
            x = fastest.rate**2
            pull = 0.5 * np.diff(x) / np.diff(grid)
            first, second = path.derivative(1)(grid), path.derivative(2)(grid)
            for here in (slice(None, -1), slice(1, None)):  # at the beginning and at the end of each interval
                force = first[here] * pull[:, None] + second[here] * x[here, None]
                assert (np.abs(force) <= 1.001 * acceleration).all()
            assert (np.abs(first * fastest.rate[:, None]) <= 1.001 * velocity).all()
            drakes = drake_duration(path, velocity, acceleration, grid)
            if drakes is not None:
                ratios.append(fastest.duration / drakes)
    finally:
        logger.setLevel(level)
    assert np.median(ratios) == pytest.approx(1.0, abs=2e-3)
    assert max(ratios) < 1.03


def test_planned_short_motions_are_as_short_in_time_and_say_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    robot, rng = load_robot("ur5"), np.random.default_rng(5)
    for _ in range(12):
        step = rng.normal(size=6) * 10.0 ** rng.uniform(-4, 0, 6)
        step *= rng.uniform(1e-3, 20e-3) / np.linalg.norm(step)
        result = edmp.plan(SCENE, robot.home, robot.home + step, robot=robot)
        assert result.solved
        straight = np.linspace(robot.home, robot.home + step, 8)
        assert result.best.duration <= 1.2 * retime_spline(straight, robot.limits).duration + 0.02
    assert "Toppra" not in "".join(capfd.readouterr())
