"""Robots and worlds that the cost tests share."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from cost_cases import random_scene
from scipy.spatial.transform import Rotation

from edmp.costs import World
from edmp.robots import Robot, load_robot
from edmp.scenes import Scene


@pytest.fixture(scope="session")
def panda() -> Robot:
    return load_robot("panda")


@pytest.fixture(scope="session")
def sliding_panda(panda: Robot) -> Robot:
    """A Panda whose fourth joint slides: the prismatic branch of the kernels; raised and turned, too."""
    joints = list(panda.joints)
    joints[3] = dataclasses.replace(joints[3], kind="prismatic")
    X_W0 = np.eye(4)
    X_W0[:3, :3] = Rotation.from_euler("xyz", [0.1, -0.2, 0.7]).as_matrix()
    X_W0[:3, 3] = [0.05, -0.1, 0.2]
    return dataclasses.replace(panda, joints=tuple(joints), X_W0=X_W0)


@pytest.fixture(scope="session")
def scene() -> Scene:
    return random_scene(np.random.default_rng(3))


@pytest.fixture(scope="session")
def world(panda: Robot, scene: Scene) -> World:
    return World.of(panda, scene)
