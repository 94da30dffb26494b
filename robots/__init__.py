"""What moves: arms as data, kinematics, limits, collision geometry, inverse kinematics, description files."""

from edmp.robots.description import built_in_robots, load_robot
from edmp.robots.description_writer import save_robot
from edmp.robots.fit import fit_description, load_urdf
from edmp.robots.geometry_fit import FitSettings
from edmp.robots.ik import IkResult, solve_ik
from edmp.robots.kinematics import body_poses, jacobian, tool_pose
from edmp.robots.motion import Motion
from edmp.robots.robot import Finger, Gripper, Joint, Limits, Link, LinkBox, Robot, ToolFrame

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
