"""Splines projected onto bands: the banded kernel against dense algebra, and where it leads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edmp.collision.bands import PackedBands
from edmp.collision.world import World
from edmp.constraints import OnPlane, Upright, bands_of
from edmp.prior.spline import Spline
from edmp.projection import Manifold
from edmp.projection.manifold import _STIFFNESS, _ramp
from edmp.robots import load_robot
from edmp.robots.kinematics import tool_pose
from edmp.scenes import Scene
from tests.branching_robot import branching_robot

ROBOTS = {"panda": lambda: load_robot("panda"), "tree": branching_robot}


def manifold_at_home(robot, spline: Spline, num_waypoints: int = 25) -> Manifold:
    X_WT = tool_pose(robot, torch.as_tensor(robot.home)).numpy()
    constraints = [OnPlane(X_WT[:3, 3], tolerance=0.005), Upright(0.02, up=X_WT[:3, 2])]
    bands = PackedBands.of(World.of(robot, Scene()), bands_of(robot, constraints))
    assert bands is not None
    return Manifold(bands, spline, num_waypoints)


def splines_about_home(robot, spline: Spline, num: int, spread: float) -> torch.Tensor:
    rng = np.random.default_rng(1)
    noise = 0.1 * rng.standard_normal((num, spline.num_control_points, robot.dof))
    bump = np.sin(np.pi * spline.greville)[:, None] * rng.standard_normal((num, 1, robot.dof))
    q = robot.home + spread * (bump + noise)
    q[:, [0, -1]] = robot.home
    return torch.as_tensor(q.clip(robot.limits.lower, robot.limits.upper), dtype=torch.float32)


@pytest.mark.parametrize("name", ROBOTS)
def test_one_step_is_the_dense_least_squares_step(name):
    robot, spline = ROBOTS[name](), Spline(num_control_points=10)
    manifold = manifold_at_home(robot, spline)
    control_points = splines_about_home(robot, spline, 4, 0.05)
    wanted = control_points[:, 1:-1] + 0.02
    upper = torch.as_tensor(robot.limits.upper, dtype=torch.float32)
    lower = torch.as_tensor(robot.limits.lower, dtype=torch.float32)
    wanted = torch.minimum(torch.maximum(wanted, lower + 0.2), upper - 0.2)  # no limit is in the way
    found = manifold.kept(control_points, wanted).double().numpy()

    n, dof = manifold.num_waypoints, robot.dof
    basis = spline.basis_at(np.linspace(0.0, 1.0, n))[:, 1:-1]
    value, gradient = (x.double().numpy() for x in manifold.bands.values(spline.waypoints(control_points, n)))
    move = basis @ (wanted - control_points[:, 1:-1]).double().numpy()
    packed = manifold.bands.bands
    low, high, slack = (x.numpy().astype(float) for x in (packed.lower, packed.upper, packed.slack))
    slack = slack * _ramp(n, torch.device("cpu")).double().numpy()[:, None]
    metric = _STIFFNESS * (spline.smoothness_metric((1.0, 0.0, 0.0)) + 0.05 * np.eye(spline.num_interior))
    out = 0
    for b in range(len(wanted)):
        expected = value[b] + np.einsum("wkj,wj->wk", gradient[b], move[b])
        error = np.maximum(expected - (high - slack), 0.0) - np.maximum(low + slack - expected, 0.0)
        out += bool(error.any())
        rows = np.einsum("wi,wkj->wkij", basis, gradient[b]).reshape(n, len(high), -1)[error != 0.0]
        normal = rows.T @ rows + np.kron(metric, np.eye(dof))
        step = np.linalg.solve(normal, rows.T @ error[error != 0.0]).reshape(-1, dof)
        np.testing.assert_allclose(found[b], wanted[b].double().numpy() - step, atol=2e-3)
    assert out


def test_steps_lead_onto_the_bands_within_the_limits():
    robot, spline = load_robot("panda"), Spline()
    manifold = manifold_at_home(robot, spline, num_waypoints=40)
    control_points = splines_about_home(robot, spline, 16, 0.5)
    assert not manifold.holds(control_points).any()
    for _ in range(12):
        interior = manifold.kept(control_points, control_points[:, 1:-1])
        control_points = torch.cat([control_points[:, :1], interior, control_points[:, -1:]], dim=1)
    assert manifold.holds(control_points).float().mean() > 0.8
    interior = control_points[:, 1:-1].numpy()
    assert (interior >= robot.limits.lower - 1e-2).all()
    assert (interior <= robot.limits.upper + 1e-2).all()
