"""A robot may branch: two arms on a torso, through kinematics, kernels, judge, inverse kinematics, plans and files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from branching_robot import branching_robot, branching_urdf

import edmp
from edmp.collision import World, edges_free
from edmp.costs import Cost, IntersectionVolume, Margins, SphereClearance, SweptVolume
from edmp.errors import FileFormatError, InvalidInputError
from edmp.robots import Joint, Robot, load_robot
from edmp.robots.description_writer import save_robot
from edmp.robots.ik import solve_ik
from edmp.robots.kinematics import body_poses, jacobian, tool_pose
from edmp.robots.motion import Motion
from edmp.scenes import Box, Scene
from edmp.validate import Judge
from edmp.validate.bodies import Arm
from edmp.validate.dense import dense_collisions
from edmp.viz.surfaces import body_poses as drawn_poses

POST = Scene.of({"post": (Box((0.1, 0.1, 0.8)), (0.6, 0.1, 0.5))})


@pytest.fixture(scope="module")
def robot() -> Robot:
    return branching_robot()


def configurations(robot: Robot, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(robot.limits.lower, robot.limits.upper, (count, robot.dof))


def test_kinematics_agree_with_drake(robot: Robot) -> None:
    from pydrake.multibody.parsing import Parser
    from pydrake.multibody.plant import MultibodyPlant

    plant = MultibodyPlant(0.0)
    Parser(plant).AddModelsFromString(branching_urdf(), "urdf")
    plant.WeldFrames(plant.world_frame(), plant.GetFrameByName("body0"), _rigid(robot.X_W0))
    plant.Finalize()
    context = plant.CreateDefaultContext()
    joints = [plant.GetJointByName(name) for name in robot.joint_names]
    frames = [plant.GetBodyByName(f"body{i}") for i in range(robot.num_bodies)]
    tree = Arm(robot).tree
    base = np.linalg.inv(robot.X_W0)
    q = configurations(robot, 20)
    ours = body_poses(robot, torch.as_tensor(q)).numpy()
    np.testing.assert_allclose(drawn_poses(robot, q), ours, atol=1e-12)
    for row, X_WB in zip(q, ours, strict=True):
        for joint, value in zip(joints, row, strict=True):
            (joint.set_angle if hasattr(joint, "set_angle") else joint.set_translation)(context, value)
        expected = [plant.EvalBodyPoseInWorld(context, frame).GetAsMatrix4() for frame in frames]
        np.testing.assert_allclose(X_WB, expected, atol=1e-12)
        poses = tree.poses(row[None])
        np.testing.assert_allclose(poses.p[0], (base @ np.array(expected))[:, :3, 3], atol=1e-12)
        np.testing.assert_allclose(poses.R[0], (base @ np.array(expected))[:, :3, :3], atol=1e-12)


def _rigid(X: np.ndarray):  # type: ignore[no-untyped-def]
    from pydrake.math import RigidTransform

    return RigidTransform(X)


def test_the_simulated_arm_branches_alike(robot: Robot) -> None:
    from edmp.execution.drivers.drake_plant import make_model

    model = make_model(robot, rotor_inertia=0.0)
    context = model.CreateDefaultContext()
    for q in configurations(robot, 5):
        model.SetPositions(context, q)
        found = [model.EvalBodyPoseInWorld(context, model.GetBodyByName(f"body{i}")).GetAsMatrix4() for i in range(8)]
        np.testing.assert_allclose(found, body_poses(robot, torch.as_tensor(q)).numpy(), atol=1e-12)


@pytest.mark.parametrize("cost", [SphereClearance(), IntersectionVolume(), SweptVolume()], ids=lambda cost: cost.name)
def test_kernels_agree_with_their_definitions(robot: Robot, cost: Cost) -> None:
    ends = torch.as_tensor(configurations(robot, 6, 1)).float()
    q = ends[:3, None] + torch.linspace(0, 1, 6)[:, None] * (ends[3:, None] - ends[:3, None])
    margins = Margins.of(q, clearance=0.3, expansion=0.4)
    value, gradient = cost.value_and_gradient(World.of(robot, POST), q, margins)
    expected, by_definition = Cost.value_and_gradient(cost, World.of(robot, POST), q, margins)
    torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(gradient, by_definition, rtol=1e-2, atol=2e-3)
    x = q.double().requires_grad_(True)
    (exact,) = torch.autograd.grad(
        cost(Motion.of(robot, x), POST, Margins.of(x, clearance=0.3, expansion=0.4)).sum(), x
    )
    torch.testing.assert_close(gradient.double(), exact, rtol=1e-2, atol=2e-3)
    assert (value > 0).any()


def test_edges_that_the_kernel_calls_free_are_free_at_every_sample(robot: Robot) -> None:
    world = World.of(robot, POST)
    ends = configurations(robot, 80, 2)
    ends[1::2] = ends[::2] + 0.4 * (ends[1::2] - ends[::2])
    q = torch.as_tensor(ends).float().reshape(-1, 2, robot.dof)
    free = edges_free(world, q, step=0.005)[:, 0]
    assert 3 < free.sum() < 40
    t = torch.linspace(0, 1, 120)[1:, None]
    samples = q[:, :1] + t * (q[:, 1:] - q[:, :1])
    at_samples = edges_free(world, samples, step=1.0).all(dim=1)
    assert (at_samples | ~free).all()


def test_no_point_strays_further_than_the_judge_says(robot: Robot) -> None:
    """Seen from the base, from bodies that carry the piece and from the other arm."""
    arm, rng = Arm(robot), np.random.default_rng(3)
    assert len(arm.across) == 8
    bound = arm.motion_bound(robot.limits.upper)
    seen = [(k, 0) for k in range(arm.moving)] + [(2, 1), (3, 2), *arm.across]
    tightest = 0.0
    for _ in range(12):
        a = rng.uniform(robot.limits.lower, robot.limits.upper)
        b = np.clip(a + rng.uniform(-0.4, 0.4, robot.dof), robot.limits.lower, robot.limits.upper)
        t = np.linspace(0, 1, 41)[:, None]
        poses = arm.tree.poses(a + t * (b - a))
        rho = bound.axis_distance(poses)
        motion = bound.between(rho[:1], rho[-1:], np.abs(b - a)[None], np.zeros((1, robot.dof)))
        for k, f in seen:
            m = arm.pieces[k].body
            p_0 = poses.p[:, m, None] + arm.pieces[k].polytope.vertices @ poses.R[:, m].transpose(0, 2, 1)
            p_f = (p_0 - poses.p[:, f, None]) @ poses.R[:, f]
            straight = p_f[0] + t[:, :, None] * (p_f[-1] - p_f[0])
            stray = np.linalg.norm(p_f - straight, axis=2).max()
            travel = np.linalg.norm(np.diff(p_f, axis=0), axis=2).sum(axis=0).max()
            assert stray <= motion.stray[0, k, f]
            assert travel <= motion.travel[0, k, f] + 1e-9
            tightest = max(tightest, stray / motion.stray[0, k, f])
    assert tightest > 0.3


def test_what_the_judge_proves_free_is_free(robot: Robot) -> None:
    judge, proved, refused = Judge(robot, POST), 0, 0
    for a, b in configurations(robot, 160, 4).reshape(-1, 2, robot.dof):
        b = a + 0.3 * (b - a)
        verdict = judge.check_path(np.array([a, b]))
        hits = dense_collisions(robot, POST, np.array([a, b]))
        if verdict.valid:
            proved += 1
            assert not hits
        elif hits:
            refused += 1
    assert proved > 10
    assert refused > 10


def test_arms_that_cross_are_told_by_name(robot: Robot) -> None:
    """The hands meet in front of the torso."""
    judge = Judge(robot, Scene())
    verdicts = [judge.check(q) for q in configurations(robot, 300, 5)]
    across = [
        c for v in verdicts for c in v.contacts if {c.link.split("_")[0], c.other.split("_")[0]} == {"left", "right"}
    ]
    assert across


def test_inverse_kinematics_moves_one_arm(robot: Robot) -> None:
    for tool, still in (("left_hand", slice(4, 7)), ("right_hand", slice(1, 4))):
        arm = robot.with_tool(tool)
        q = configurations(robot, 1, 6)[0]
        X_WT = tool_pose(arm, torch.as_tensor(q)).numpy()
        found = solve_ik(arm, X_WT, near=q + 0.05)
        assert found.reachable
        np.testing.assert_array_equal(found.q[:, still], np.broadcast_to((q + 0.05)[still], found.q[:, still].shape))
        assert not jacobian(arm, torch.as_tensor(q))[:, still].any()


def test_plans_are_certified(robot: Robot) -> None:
    judge = Judge(robot, POST)
    free = [q for q in configurations(robot, 200, 7) if judge.check(q).valid]
    assert len(free) > 8
    solved = 0
    for start, goal in zip(free[:4], free[4:8], strict=True):
        result = edmp.plan(POST, start, goal, robot=robot)
        if result.solved:
            solved += 1
            assert not dense_collisions(robot, POST, result.trajectory.positions)
    assert solved >= 3


def test_a_goal_for_one_hand(robot: Robot) -> None:
    arm = robot.with_tool("right_hand")
    q = robot.home + np.array([0.0, 0.0, 0.0, 0.0, -0.5, 0.6, 0.1])
    X_WT = tool_pose(arm, torch.as_tensor(q)).numpy()
    goal = edmp.PoseGoal(X_WT[:3, 3], _quaternion(X_WT[:3, :3]))
    result = edmp.plan(Scene(), robot.home, goal, robot=arm)
    assert result.solved, result.message
    np.testing.assert_allclose(tool_pose(arm, torch.as_tensor(result.path[-1])).numpy(), X_WT, atol=2e-3)


def _quaternion(R: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(R).as_quat()


def test_files_and_pages_keep_the_branches(robot: Robot, tmp_path: Path) -> None:
    save_robot(robot, tmp_path / "two.yaml")
    again = load_robot(tmp_path / "two.yaml")
    assert again.parents == robot.parents
    q = configurations(robot, 4)
    np.testing.assert_allclose(body_poses(again, torch.as_tensor(q)), body_poses(robot, torch.as_tensor(q)), atol=1e-9)
    result = edmp.plan(Scene(), robot.home, robot.home + 0.1, robot=robot)
    result.save(tmp_path / "plan.json")
    assert edmp.load_result(tmp_path / "plan.json").problem.robot.parents == robot.parents
    edmp.save_image(result, tmp_path / "plan.png", renderer="numpy", geometry="hulls", ghosts=0)
    text = (tmp_path / "two.yaml").read_text().replace("parent: 1", "parent: 9")
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(FileFormatError, match="parent 9"):
        load_robot(tmp_path / "bad.yaml")


def test_joints_come_from_the_base_outwards(robot: Robot) -> None:
    joints = list(robot.joints)
    joints[0] = Joint("torso", "revolute", np.eye(4), parent=3)
    with pytest.raises(InvalidInputError, match="torso is carried by body 3"):
        dataclasses.replace(robot, joints=tuple(joints))


def test_a_body_is_led_away_by_the_joints_that_move_it(robot: Robot) -> None:
    """What leaves a contact goes by the Jacobian of its own branch: against finite differences."""
    from edmp.planner.contacts import _jacobian

    tree, q, body, step = Arm(robot).tree, configurations(robot, 1, 8)[0], 7, 1e-6
    poses = tree.poses(np.vstack([q, q + step * np.eye(robot.dof), q - step * np.eye(robot.dof)]))
    expected = (poses.p[1 : 1 + robot.dof, body] - poses.p[1 + robot.dof :, body]).T / (2 * step)
    np.testing.assert_allclose(_jacobian(tree, poses.R[0], poses.p[0], body)[:3], expected, atol=1e-7)
