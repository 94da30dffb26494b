"""What several robot tests use."""

import re
from pathlib import Path

import numpy as np

from edmp.robots import Robot


def random_configurations(robot: Robot, count: int, seed: int = 0) -> np.ndarray:
    """(count, dof) uniform within the limits [rad]."""
    rng = np.random.default_rng(seed)
    return rng.uniform(robot.limits.lower, robot.limits.upper, size=(count, robot.dof))


def bare_urdf(path: Path) -> str:
    """The URDF without geometry, so that no reader looks for meshes."""
    text = path.read_text()
    return re.sub(r"<(visual|collision)>.*?</\1>", "", text, flags=re.DOTALL)
