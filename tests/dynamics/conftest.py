"""Robots that the dynamics tests share."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edmp.robots import Robot, load_robot

sys.path.append(str(Path(__file__).parents[1]))
from branching_robot import branching_robot


@pytest.fixture(scope="session")
def panda() -> Robot:
    return load_robot("panda")


@pytest.fixture(scope="session", params=["panda", "ur5", "fr3", "sliding", "branching"])
def any_robot(request: pytest.FixtureRequest) -> Robot:
    """Among them a Panda that hangs askew and whose fourth joint slides, and two arms on a torso."""
    if request.param == "branching":
        return branching_robot()
    if request.param != "sliding":
        return load_robot(request.param)
    panda = load_robot("panda")
    joints = list(panda.joints)
    joints[3] = dataclasses.replace(joints[3], kind="prismatic")
    X_W0 = np.eye(4)
    X_W0[:3, :3] = Rotation.from_euler("xyz", [2.0, -0.4, 0.7]).as_matrix()
    X_W0[:3, 3] = [0.05, -0.1, 0.2]
    return dataclasses.replace(panda, joints=tuple(joints), X_W0=X_W0)
