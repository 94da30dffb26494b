"""What moves: arms as data, kinematics, limits, collision geometry, inverse kinematics, description files.

Names are loaded when they are first used: who plans does not wait for what fits robots.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "edmp.robots.description": ("built_in_robots", "load_robot"),
    "edmp.robots.description_writer": ("save_robot",),
    "edmp.robots.fit": ("fit_description", "load_urdf"),
    "edmp.robots.geometry_fit": ("FitSettings",),
    "edmp.robots.ik": ("IkResult", "solve_ik"),
    "edmp.robots.kinematics": ("body_poses", "jacobian", "tool_pose"),
    "edmp.robots.motion": ("Motion",),
    "edmp.robots.parts": ("Finger", "Gripper", "Joint", "Limits", "Link", "LinkBox", "ToolFrame"),
    "edmp.robots.robot": ("Robot",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

if TYPE_CHECKING:
    from edmp.robots.description import built_in_robots, load_robot
    from edmp.robots.description_writer import save_robot
    from edmp.robots.fit import fit_description, load_urdf
    from edmp.robots.geometry_fit import FitSettings
    from edmp.robots.ik import IkResult, solve_ik
    from edmp.robots.kinematics import body_poses, jacobian, tool_pose
    from edmp.robots.motion import Motion
    from edmp.robots.parts import Finger, Gripper, Joint, Limits, Link, LinkBox, ToolFrame
    from edmp.robots.robot import Robot

__all__ = [
    "Finger",
    "FitSettings",
    "Gripper",
    "IkResult",
    "Joint",
    "Limits",
    "Link",
    "LinkBox",
    "Motion",
    "Robot",
    "ToolFrame",
    "body_poses",
    "built_in_robots",
    "fit_description",
    "jacobian",
    "load_robot",
    "load_urdf",
    "save_robot",
    "solve_ik",
    "tool_pose",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'edmp.robots' has no attribute {name!r}; public names: {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
