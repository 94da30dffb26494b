"""What moves beside an arm is where it is, and the arm stays where it was."""

import numpy as np
import pytest

from edmp.robots import load_robot
from edmp.scenes import Box, Scene
from edmp.scenes.scene import Obstacle
from edmp.timing import retime_waypoints
from edmp.viz.models import CARRIED
from edmp.viz.moving import beside_mover, with_mover
from edmp.viz.staging import START, Staging
from edmp.viz.subject import Subject
from edmp.viz.surfaces import body_poses


@pytest.mark.parametrize("velocity", [(0.3, -0.2, 0.1), (0.0, 0.0, -0.5), (0.0, 0.0, 0.0)])
def test_arm_and_mover_are_both_in_their_places(velocity):
    turn = np.array([[0.0, -1.0, 0.0, 0.2], [1.0, 0.0, 0.0, -0.1], [0.0, 0.0, 1.0, 0.5], [0.0, 0.0, 0.0, 1.0]])
    panda = load_robot("panda").with_base(turn)
    velocity = np.array(velocity)
    obstacle = Obstacle.at("mover", Box((0.2, 0.1, 0.1)), (0.5, 0.4, 0.3))
    motion = retime_waypoints([panda.home, panda.home + 0.3], panda.limits, joint_names=panda.joint_names)
    shown = with_mover(panda, obstacle, velocity)
    both = beside_mover(motion, float(np.linalg.norm(velocity)), robot=shown, begin=0.5)
    assert both.joint_names == shown.joint_names
    for time in (0.0, 0.4, motion.duration):
        alone, together = body_poses(panda, motion.at(time)[None])[0], body_poses(shown, both.at(time)[None])[0]
        np.testing.assert_allclose(together[3:], alone[1:], atol=1e-6)
        np.testing.assert_allclose(together[2][:3, 3], alone[0][:3, 3], atol=1e-6)
        hull = shown.links[-1].hulls_B[0]
        middle = (hull @ together[1][:3, :3].T + together[1][:3, 3]).mean(axis=0)
        expected = obstacle.X_WO[:3, 3] + velocity * (time + 0.5)
        np.testing.assert_allclose(middle, expected, atol=1e-6)


def test_a_mover_is_not_coloured_like_the_arm():
    panda = load_robot("panda")
    shown = with_mover(panda, Obstacle.at("mover", Box((0.2, 0.1, 0.1)), (0.5, 0.4, 0.3)), np.array([0.3, 0.0, 0.0]))
    subject = Subject(shown, Scene(), shown.home, shown.home)
    for geometry in ("auto", "hulls"):
        stage = Staging(subject, geometry)
        (mover,) = (part.surface for part in stage.parts if part.link == "mover")
        assert mover.color == CARRIED
        assert CARRIED not in [part.surface.color for part in stage.parts if part.link != "mover"]
        assert [surface.color for surface in stage.robot_at(shown.home, START)].count(CARRIED) == 1
