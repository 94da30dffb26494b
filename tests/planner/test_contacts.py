"""A held block on its table: motions that begin or end in contact, through the front door."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
import trimesh

import edmp
from edmp.planfile import load_plan, save_plan
from edmp.planner.contacts import _straight
from edmp.problem import Problem
from edmp.result import PlanResult, Status
from edmp.robots import load_robot
from edmp.robots.ik import solve_ik
from edmp.robots.kinematics import body_poses
from edmp.robots.robot import Robot

HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
TOP = 0.2
BLOCK = (0.06, 0.06, 0.08)
X_LA = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.12], [0, 0, 0, 1]], dtype=np.float64)


def holding(*allowed: str) -> Robot:
    arm = load_robot("panda", gripper_width=0.04)
    return arm.with_attachment("block", edmp.Box(BLOCK), X_LA, link="panda_hand", allowed_contacts=allowed)


def table(height: float = 0.0) -> edmp.Scene:
    """Its top is ``height`` [m] above where the block ends."""
    return edmp.Scene.of({"table": (edmp.Box((0.8, 1.2, 0.05)), (0.55, 0.0, TOP - 0.025 + height))})


@functools.cache
def over(x: float, y: float, above: float, yaw: float = 0.0) -> np.ndarray:
    """The configuration that holds the block upright, its lower end ``above`` [m] over the table."""
    arm = load_robot("panda").with_tool("panda_hand")
    c, s = np.cos(yaw), np.sin(yaw)
    X_WT = np.array([[c, s, 0, x], [s, -c, 0, y], [0, 0, -1, TOP + 0.16 + above], [0, 0, 0, 1]])
    found = solve_ik(arm, X_WT, num_seeds=64, generator=torch.Generator().manual_seed(0))
    q = np.asarray(found.q, dtype=np.float64)
    q = q[np.linalg.norm(q - HOME, axis=1).argmin()]
    body = arm.links[arm.link_index("panda_hand")].body
    for _ in range(2):  # inverse kinematics is good to micrometres, a block that rests to nanometres
        height = lowest(holding(), q[None])[0] - (TOP + above)
        q = _straight(arm, q, body, np.array([[0, 0, 0], [0, 0, -height]]), turning=True)[-1]
    return q


def lowest(robot: Robot, path: np.ndarray) -> np.ndarray:
    """(n,) height of the lowest corner of the block [m]."""
    block = robot.links[robot.link_index("block")]
    X_WB = body_poses(robot, torch.as_tensor(path)).numpy()[:, block.body]
    return (block.hulls_B[0] @ X_WB[:, 2, :3].T).min(axis=0) + X_WB[:, 2, 3]


def lifts(result: PlanResult, robot: Robot, *, top: float, down: bool, deepest: float = 0.0) -> bool:
    """Sampled independently: no deeper than allowed, and once off the table, off it until it is put down, if it is."""
    steps = np.linspace(0.0, result.trajectory.duration, 4000)
    for path in (result.path, result.trajectory.at(steps)):
        height = lowest(robot, path) - top
        off = np.flatnonzero(height > 1e-4)
        flight = height[off[0] : off[-1] + 1] if down else height[off[0] :]
        if height.min() < -deepest - 1.1e-4 or flight.min() <= 0.0:
            return False
    return True


GOALS = {
    "up": (0.45, -0.3, 0.35, 0.0),
    "aside": (0.45, -0.35, 0.02, 0.5),
    "behind": (0.3, 0.45, 0.1, -1.0),
    "put down": (0.5, 0.3, 0.0, 0.7),
}


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("height", [0.0, 5e-5, -2e-4])
def test_a_block_that_rests_on_the_table_is_lifted(goal: str, height: float):
    robot, start, end = holding(), over(0.5, 0.0, 0.0), over(*GOALS[goal])
    result = edmp.plan(table(height), start, end, robot=robot)
    assert result.solved, result.message
    assert np.array_equal(result.path[0], start)
    assert np.array_equal(result.path[-1], end)
    assert lifts(result, robot, top=TOP + height, down=goal == "put down")


def mesh_table(height: float) -> edmp.Scene:
    """The same on one leg, as a mesh that is not convex."""
    top, leg = (edmp.Box((0.8, 1.2, 0.05)), 0.025), (edmp.Box((0.1, 0.1, 0.1401)), 0.12)
    place = [(0.55, 0.0, TOP - down + height) for _, down in (top, leg)]
    solids = [
        trimesh.creation.box(box.size).apply_translation(p) for (box, _), p in zip((top, leg), place, strict=True)
    ]
    both = trimesh.util.concatenate(solids)
    return edmp.Scene.of({"table": (edmp.Mesh(both.vertices, both.faces), (0.0, 0.0, 0.0))})


@pytest.mark.parametrize(("height", "named"), [(0.0, ()), (5e-5, ()), (2e-3, ("table",))])
def test_a_table_that_is_a_mesh_is_no_different(height: float, named: tuple[str, ...]):
    robot, start, end = holding(*named), over(0.5, 0.0, 0.0), over(*GOALS["put down"])
    result = edmp.plan(mesh_table(height), start, end, robot=robot)
    assert result.solved, result.message
    assert lifts(result, robot, top=TOP + height, down=True, deepest=height if named else 0.0)
    if named:
        assert edmp.plan(mesh_table(height), start, end, robot=holding()).status is Status.START_IN_COLLISION


def test_a_block_in_the_table_is_a_collision_unless_it_is_named():
    start, end = over(0.5, 0.0, 0.0), over(*GOALS["up"])
    result = edmp.plan(table(2e-3), start, end, robot=holding())
    assert result.status is Status.START_IN_COLLISION
    assert 'block is 2.0 mm inside "table"' in result.message
    robot = holding("table")
    result = edmp.plan(table(2e-3), start, end, robot=robot)
    assert result.solved, result.message
    assert lifts(result, robot, top=TOP + 2e-3, down=False, deepest=2e-3)
    result = edmp.plan(table(2e-3), start, over(*GOALS["put down"]), robot=robot)
    assert result.solved, result.message  # as deep as it was
    assert lifts(result, robot, top=TOP + 2e-3, down=True, deepest=2e-3)


def test_a_goal_is_no_deeper_than_the_start():
    robot, end = holding("table"), over(*GOALS["put down"])
    assert edmp.plan(table(0.0), over(*GOALS["up"]), end, robot=robot).solved
    for height in (1e-3, 0.02):
        result = edmp.plan(table(height), over(*GOALS["up"]), end, robot=robot)
        assert result.status is Status.GOAL_IN_COLLISION
        assert f'block is {1e3 * height:.1f} mm inside "table"' in result.message
        assert edmp.plan(table(height), over(*GOALS["up"]), end, robot=holding()).status is Status.GOAL_IN_COLLISION


def test_several_goals_leave_out_what_is_too_deep():
    robot = holding("table")
    result = edmp.plan(table(1e-3), over(*GOALS["up"]), [over(*GOALS["put down"]), over(*GOALS["behind"])], robot=robot)
    assert result.solved
    assert result.best.goal_index == 1


def test_a_shelf_close_above_leaves_little_room_to_lift():
    board = (edmp.Box((0.3, 0.5, 0.01)), (0.7, 0.0, TOP + 0.105))  # 2 cm above the block, in front of the hand
    scene = edmp.Scene((*table(), *edmp.Scene.of({"board": board})))
    result = edmp.plan(scene, over(0.5, 0.0, 0.0), over(0.45, -0.3, 0.1), robot=holding())
    assert result.solved, result.message


def test_names_that_are_not_there_are_told():
    with pytest.raises(edmp.UnknownNameError, match=r"'tabel'.*table.*Did you mean 'table'"):
        edmp.plan(table(), over(0.5, 0.0, 0.0), over(*GOALS["up"]), robot=holding("tabel"))
    for wrong in ("table", [3], [""]):
        with pytest.raises(edmp.InvalidInputError, match="allowed_contacts"):
            load_robot("panda").with_attachment(
                "block", edmp.Box(BLOCK), X_LA, link="panda_hand", allowed_contacts=wrong
            )


def test_what_is_allowed_goes_with_the_robot(tmp_path):
    robot = holding("table", "panda_link6")
    assert [(c.link, c.obstacle) for c in robot.allowed_contacts] == [("block", "table")]
    assert robot.with_base(np.eye(4)).allowed_contacts == robot.allowed_contacts
    assert robot.without_attachment("block").allowed_contacts == ()
    start, end = over(0.5, 0.0, 0.0), over(*GOALS["up"])
    result = edmp.plan(table(2e-3), start, end, robot=robot)
    save_plan(tmp_path / "plan.json", Problem(robot=robot, scene=table(2e-3), start=start, goal=end), result)
    again = load_plan(tmp_path / "plan.json").problem.robot
    assert again.allowed_contacts == robot.allowed_contacts


def test_links_of_the_arm_may_be_named_too():
    arm = load_robot("panda")
    hand = arm.links[arm.link_index("panda_hand")]
    X_WB = body_poses(arm, torch.as_tensor(HOME)[None]).numpy()[0, hand.body]
    tip = X_WB[:3, :3] @ hand.hulls_B[0].mean(axis=0) + X_WB[:3, 3]
    scene = edmp.Scene.of({"cup": (edmp.Box((0.04, 0.04, 0.04)), tip - np.array([0.0, 0.0, 0.06]))})
    goal = HOME + np.array([0.5, 0.0, 0.0, 0.4, 0.0, 0.0, 0.0])
    blocked = edmp.plan(scene, HOME, goal)
    assert blocked.status is Status.START_IN_COLLISION
    freed = arm.with_allowed_contacts(*((link, "cup") for link in arm.link_names))
    assert edmp.plan(scene, HOME, goal, robot=freed).solved
