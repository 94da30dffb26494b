"""Shared by the robot tests: the Panda, and the meshes package where there is one."""

from pathlib import Path

import pytest

from edmp.errors import EdmpError
from edmp.robots import Robot, load_robot
from edmp.robots.mesh_paths import resolve

DATA = "package://example-robot-data/robots/"


@pytest.fixture(scope="session")
def panda() -> Robot:
    return load_robot("panda")


@pytest.fixture(scope="session")
def robot_data() -> Path:
    """The folder of example-robot-data's robots; skips the test where the package is not installed."""
    try:
        return resolve(DATA + "panda_description/urdf/panda.urdf", folder=None, packages={}, place="").parents[2]
    except EdmpError:
        pytest.skip("example-robot-data is not installed")
