"""The dumb checker of constraints: each kind against a motion whose numbers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edmp.constraints import Constraint, InBox, JointRange, KeepDistance, LookAt, OnLine, OnPlane, Oriented, Upright
from edmp.geometry.poses import pose_yaw
from edmp.robots import load_robot
from edmp.robots.kinematics import tool_pose
from edmp.scenes import Box, Scene
from edmp.validate.dense_constraints import dense_breaches

PANDA = load_robot("panda")
HOME = PANDA.home
TURNED = HOME.copy()
TURNED[0] += 0.5  # the tool turns by this about the world's z axis
X_WT = tool_pose(PANDA, torch.as_tensor(HOME)).numpy()
P = X_WT[:3, 3]
RADIUS = math.hypot(P[0], P[1])
CHORD = 2 * RADIUS * math.sin(0.25)
AHEAD = P / [1, 1, math.inf]  # its foot on the floor
SCENE = Scene.of({"block": (Box((0.1, 0.1, 0.1)), (P[0], P[1], P[2] - 0.15))})
PATH = np.stack([HOME, TURNED])

HOLD = [
    Upright(0.01, axis=(0, 0, -1)),
    Oriented(X_WT[:3, :3], (0.001, 0.001, 0.501)),
    OnPlane(P),
    InBox((2.2 * RADIUS, 2.2 * RADIUS, 0.001), pose_yaw((0, 0, P[2]), 0.0)),
    OnLine((0, 0, 0), (0, 0, 1), tolerance=RADIUS + 1e-6),
    LookAt((0, 0, P[2]), 0.01, axis=(-1, 0, 0)),
    JointRange("panda_joint1", HOME[0] - 0.1, HOME[0] + 0.51),
    KeepDistance("block", 0.05),
]
BREAK = [
    (Upright(0.3, axis=(1, 0, 0), up=X_WT[:3, 0]), 0.2),
    (Oriented(X_WT[:3, :3], (0.001, 0.001, 0.4)), 0.1),
    (OnPlane(P, X_WT[:3, 0], tolerance=0.001), RADIUS * (1 - math.cos(0.5)) - 0.001),
    (InBox((math.inf, 0.2, math.inf), X_WT), RADIUS * math.sin(0.5) - 0.1),
    (OnLine(P, (0, 0, 1), tolerance=0.005), CHORD - 0.005),
    (LookAt(AHEAD, 0.1), math.atan2(CHORD, P[2]) - 0.1),
    (JointRange("panda_joint1", HOME[0] - 0.1, HOME[0] + 0.3), 0.2),
]


@pytest.mark.parametrize("constraint", HOLD, ids=lambda c: type(c).__name__)
def test_what_holds_holds(constraint: Constraint) -> None:
    assert dense_breaches(PANDA, SCENE, (constraint,), PATH, step=0.02) == []


@pytest.mark.parametrize(("constraint", "excess"), BREAK, ids=lambda x: type(x).__name__)
def test_what_is_broken_is_found_at_its_worst(constraint: Constraint, excess: float) -> None:
    (breach,) = dense_breaches(PANDA, SCENE, (HOLD[0], constraint), PATH)
    assert breach.constraint is constraint
    assert breach.excess == pytest.approx(excess, abs=1e-3)
    np.testing.assert_allclose(breach.q, TURNED, atol=1e-9)
    assert breach.edge == 0
    assert 0 < breach.samples < 501
    assert f"{constraint}: out by" in str(breach)


def test_distances_are_of_all_that_moves() -> None:
    (breach,) = dense_breaches(PANDA, SCENE, (KeepDistance("block", 0.12),), PATH, step=0.1)
    assert breach.constraint.obstacle == "block"
    np.testing.assert_allclose(breach.q, HOME, atol=0.11)
    assert breach.samples > 1
    inside = Scene.of({"block": (Box((0.1, 0.1, 0.1)), P)})
    (breach,) = dense_breaches(PANDA, inside, (KeepDistance("block", 0.01),), PATH[:1])
    assert breach.excess >= 0.01


def test_a_single_look_between_two_waypoints_is_enough_to_find_a_spike() -> None:
    """Both ends hold; what lies between does not, for 2 mrad."""
    constraint = JointRange("panda_joint1", -1.0, 0.4)
    path = np.stack([HOME, HOME, HOME])
    path[:, 0] = [0.0, 0.4015, 0.0]
    (breach,) = dense_breaches(PANDA, SCENE, (constraint,), path)
    assert breach.excess == pytest.approx(0.0015, abs=1e-9)
    assert breach.samples <= 4
