"""Forward kinematics and Jacobian against independent implementations and finite differences."""

import dataclasses

import numpy as np
import pytest
import torch
from robot_cases import bare_urdf, random_configurations

from edmp.geometry.poses import pose, rotation_from_rpy
from edmp.robots import Joint, Motion, body_poses, jacobian, load_robot, tool_pose


def link_poses(robot, q: np.ndarray) -> dict[str, np.ndarray]:
    X_WB = body_poses(robot, torch.as_tensor(q)).numpy()
    return {link.name: X_WB[..., link.body, :, :] @ link.X_BL for link in robot.links}


def test_panda_matches_pytorch_kinematics(panda, robot_data):
    pk = pytest.importorskip("pytorch_kinematics")
    chain = pk.build_chain_from_urdf(bare_urdf(robot_data / "panda_description/urdf/panda.urdf").encode())
    chain = pk.SerialChain(chain, "panda_hand_tcp").to(dtype=torch.float64)
    q = random_configurations(panda, 50)
    theirs = chain.forward_kinematics(torch.as_tensor(q), end_only=False)
    ours = link_poses(panda, q)
    for name in [f"panda_link{i}" for i in range(8)] + ["panda_hand"]:
        np.testing.assert_allclose(ours[name], theirs[name].get_matrix().expand(50, 4, 4).numpy(), atol=1e-7)
    tool = tool_pose(panda, torch.as_tensor(q)).numpy()
    np.testing.assert_allclose(tool, theirs["panda_hand_tcp"].get_matrix().numpy(), atol=1e-7)


def test_panda_matches_drake(panda, robot_data):
    pytest.importorskip("pydrake")
    from pydrake.multibody.parsing import Parser
    from pydrake.multibody.plant import MultibodyPlant

    plant = MultibodyPlant(0.0)
    Parser(plant).AddModelsFromString(bare_urdf(robot_data / "panda_description/urdf/panda.urdf"), "urdf")
    plant.WeldFrames(plant.world_frame(), plant.GetFrameByName("panda_link0"))
    plant.Finalize()
    context = plant.CreateDefaultContext()
    opened = panda.with_gripper(0.06)
    for q in random_configurations(panda, 10):
        plant.SetPositions(context, np.append(q, [0.03, 0.03]))
        ours = link_poses(opened, q)
        for name in panda.link_names[:-1]:
            theirs = plant.GetFrameByName(name).CalcPoseInWorld(context).GetAsMatrix4()
            np.testing.assert_allclose(ours[name], theirs, atol=1e-9, err_msg=name)
        # The right finger's frame is turned by half a turn about z here; its origin is the same.
        theirs = plant.GetFrameByName("panda_rightfinger").CalcPoseInWorld(context).GetAsMatrix4()
        np.testing.assert_allclose(ours["panda_rightfinger"][:3, 3], theirs[:3, 3], atol=1e-9)


@pytest.mark.parametrize("kind", ["revolute", "prismatic"])
def test_jacobian_matches_finite_differences(panda, kind):
    joints = list(panda.joints)
    joints[2] = Joint(joints[2].name, kind, joints[2].X_PJ)
    robot = dataclasses.replace(panda, joints=tuple(joints)).with_base(
        pose([0.3, -0.2, 0.5], rotation_from_rpy([0.3, 0.2, 1]))
    )
    q = torch.as_tensor(random_configurations(panda, 5, seed=3))
    J = jacobian(robot, q)
    step = 1e-6
    for i in range(robot.dof):
        delta = torch.zeros(robot.dof, dtype=torch.float64)
        delta[i] = step
        plus, minus = tool_pose(robot, q + delta), tool_pose(robot, q - delta)
        linear = (plus - minus)[:, :3, 3] / (2 * step)
        turn = (plus[:, :3, :3] @ minus[:, :3, :3].transpose(1, 2) - torch.eye(3)) / (2 * step)
        angular = torch.stack([turn[:, 2, 1], turn[:, 0, 2], turn[:, 1, 0]], dim=1)
        torch.testing.assert_close(J[:, :3, i], linear, atol=1e-7, rtol=0)
        torch.testing.assert_close(J[:, 3:, i], angular, atol=1e-6, rtol=0)


def test_jacobian_matches_autograd(panda):
    q = torch.as_tensor(random_configurations(panda, 1, seed=4))[0]
    linear = torch.autograd.functional.jacobian(lambda x: tool_pose(panda, x)[:3, 3], q)
    torch.testing.assert_close(jacobian(panda, q)[:3], linear)


def test_home_tool_points_down_before_the_base(panda):
    X = tool_pose(panda, torch.as_tensor(panda.home)).numpy()
    np.testing.assert_allclose(X[:3, 2], [0, 0, -1], atol=1e-9)
    np.testing.assert_allclose(X[:3, 3], [0.30702, 0, 0.48687], atol=1e-4)


def test_base_moves_everything(panda):
    X_W0 = pose([1.0, 2.0, 3.0], rotation_from_rpy([0.1, 0.2, 0.3]))
    q = torch.as_tensor(random_configurations(panda, 4))
    torch.testing.assert_close(body_poses(panda.with_base(X_W0), q), torch.as_tensor(X_W0) @ body_poses(panda, q))


def test_motion_has_the_poses_of_every_waypoint(panda):
    q = torch.as_tensor(random_configurations(panda, 6)).reshape(2, 3, 7)
    motion = Motion.of(panda, q)
    assert motion.X_WB.shape == (2, 3, 8, 4, 4)
    torch.testing.assert_close(motion.X_WB[1, 2], body_poses(panda, q[1, 2]))


def test_limits_are_the_published_ones(panda):
    np.testing.assert_allclose(panda.limits.upper, [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])
    np.testing.assert_allclose(panda.limits.velocity, [2.175] * 4 + [2.61] * 3)
    np.testing.assert_allclose(panda.limits.acceleration, [15, 7.5, 10, 12.5, 15, 20, 20])
    assert load_robot("panda") is panda
