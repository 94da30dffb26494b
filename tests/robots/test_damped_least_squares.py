"""The solver of inverse kinematics: a row a pose, alone or together; drawn towards a configuration; branches."""

import pytest
import torch
from robot_cases import random_configurations

from edmp.robots import Robot, jacobian, load_robot, tool_pose
from edmp.robots.damped_least_squares import ToolKinematics, solve


def poses_and_seeds(robot: Robot, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Poses (count, 4, 4) of the tool that the arm can reach, and configurations (count, dof) to begin from."""
    wanted = tool_pose(robot, torch.as_tensor(random_configurations(robot, count, seed=1)))
    return wanted, torch.as_tensor(random_configurations(robot, count, seed=2))


@pytest.mark.parametrize("name", ["panda", "ur5"])
def test_each_row_reaches_its_own_pose(name: str) -> None:
    robot = load_robot(name)
    wanted, q0 = poses_and_seeds(robot, 60)
    found = solve(robot, q0, wanted)
    assert found.within.double().mean() > 0.4  # from anywhere to anywhere; more seeds find the rest
    q = found.q[found.within]
    X = tool_pose(robot, q)
    assert (X[:, :3, 3] - wanted[found.within][:, :3, 3]).norm(dim=1).max() <= 1e-4
    assert (X[:, :3, :3] - wanted[found.within][:, :3, :3]).abs().max() <= 1e-3
    assert (found.q >= torch.as_tensor(robot.limits.lower)).all()
    assert (found.q <= torch.as_tensor(robot.limits.upper)).all()
    errors = (tool_pose(robot, found.q)[:, :3, 3] - wanted[:, :3, 3]).norm(dim=1)
    torch.testing.assert_close(found.position_error, errors)  # also of the rows that did not arrive


def test_rows_do_not_look_at_one_another(panda: Robot) -> None:
    wanted, q0 = poses_and_seeds(panda, 6)
    together = solve(panda, q0, wanted)
    for k in range(6):
        alone = solve(panda, q0[k, None], wanted[k])
        assert bool(alone.within[0]) == bool(together.within[k])
        torch.testing.assert_close(alone.q[0], together.q[k], atol=1e-6, rtol=0.0)


def test_drawn_towards_a_configuration_as_far_as_the_pose_allows(panda: Robot) -> None:
    home = torch.as_tensor(panda.home)
    q0 = home + 0.3 * torch.randn(20, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = tool_pose(panda, q0)
    drawn = solve(panda, q0, wanted, towards=home, max_iterations=6)
    assert drawn.within.sum() >= 18
    before, after = ((q[drawn.within] - home).norm(dim=1) for q in (q0, drawn.q))
    assert (after <= before + 1e-3).all()
    # At the nearest one, what is left of the way home is not along the self-motion, unless a limit is in the way.
    inside = drawn.within & ((drawn.q - torch.as_tensor(panda.limits.lower)).abs() > 1e-6).all(dim=1)
    _, _, V = torch.linalg.svd(jacobian(panda, drawn.q[inside]))
    along = (V[:, -1] * (home - drawn.q[inside])).sum(dim=1)
    assert along.abs().median() < 1e-2
    row_by_row = solve(panda, q0, wanted, towards=home.expand(20, 7), max_iterations=6)
    torch.testing.assert_close(row_by_row.q, drawn.q, atol=1e-9, rtol=0.0)


def test_no_rows_and_single_precision(panda: Robot) -> None:
    wanted, q0 = poses_and_seeds(panda, 8)
    assert solve(panda, q0[:0], wanted[:0]).q.shape == (0, 7)
    found = solve(panda, q0.float(), wanted, position_tolerance=1e-3)
    assert found.q.dtype == torch.float32
    assert found.within.any()


@pytest.mark.parametrize("name", ["panda", "ur5"])
def test_kinematics_are_those_of_the_definition(name: str) -> None:
    robot = load_robot(name)
    q = torch.as_tensor(random_configurations(robot, 5))
    R, p, J = ToolKinematics(robot, q).pose_and_jacobian(q)
    X = tool_pose(robot, q)
    torch.testing.assert_close(R, X[:, :3, :3])
    torch.testing.assert_close(p, X[:, :3, 3])
    torch.testing.assert_close(J, jacobian(robot, q))
