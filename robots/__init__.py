"""What moves: arms as data, kinematics, limits, collision geometry, inverse kinematics, description files.

Names are loaded when they are first used: who plans does not wait for what fits robots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edmp.lazy_names import lazily

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

__getattr__, __dir__ = lazily(__name__, _HOMES, __all__)
