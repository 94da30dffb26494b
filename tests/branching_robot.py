"""Two small arms on a turning torso, as a URDF that Drake reads and as a robot of ours."""

from __future__ import annotations

import numpy as np

from edmp.geometry.poses import pose_rpy
from edmp.robots.parts import Joint, Limits, Link, LinkBox, ToolFrame
from edmp.robots.robot import Robot

HALF = np.array([0.04, 0.04, 0.12])
"""Half extents of every link's box, which stands on its joint [m]."""
SIDES = {"left": 0.25, "right": -0.25}


def _joints() -> list[tuple[str, str, int, tuple[float, float, float], tuple[float, float, float]]]:
    """Name, kind, body that carries it, xyz and rpy of each; the torso, then arm after arm."""
    joints = [("torso", "revolute", 0, (0.0, 0.0, 0.1), (0.0, 0.0, 0.0))]
    for side, y in SIDES.items():
        carrier = 1
        places = [
            ((0.0, y, 0.3), (0.0, 0.4, 0.0)),
            ((0.0, 0.0, 0.26), (1.2, 0.0, 0.3)),
            ((0.0, 0.0, 0.26), (0.2, 0.7, 0)),
        ]
        for k, (xyz, rpy) in enumerate(places):
            joints.append((f"{side}_{k}", "prismatic" if k == 2 else "revolute", carrier, xyz, rpy))
            carrier = len(joints)
    return joints


def branching_robot() -> Robot:
    """Seven joints: torso, left_0, left_1, left_2 (sliding), right_0, right_1, right_2 (sliding)."""
    joints = _joints()
    upper = np.array([0.25 if kind == "prismatic" else 2.6 for _, kind, *_ in joints])
    lower = np.where(upper < 1.0, 0.0, -upper)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * HALF + (0.0, 0.0, HALF[2])
    balls = np.array([[0.0, 0.0, z, 0.085] for z in np.linspace(0.04, 0.2, 4)])
    box = LinkBox(pose_rpy((0.0, 0.0, HALF[2]), (0.0, 0.0, 0.0)), 2 * HALF)
    links = [Link("base", 0, np.eye(4), (corners * 0.5 - (0.0, 0.0, 0.1),), balls * 0.5 - (0, 0, 0.1, 0), None)]
    links += [
        Link(f"{name}_link", i + 1, np.eye(4), (corners,), balls, box, mass=1.0) for i, (name, *_) in enumerate(joints)
    ]
    carriers = {i + 1: carrier for i, (_, _, carrier, _, _) in enumerate(joints)}
    pairs = [
        (i, j)
        for i in range(len(links))
        for j in range(i + 1, len(links))
        if carriers[j] != i and not (i in (2, 5) and j in (2, 5))  # neighbours, and the two shoulders
    ]
    ones = np.ones(len(joints))
    tools = tuple(
        ToolFrame(f"{side}_hand", body, pose_rpy((0, 0, 0.24), (0, 0, 0))) for side, body in (("left", 4), ("right", 7))
    )
    return Robot(
        name="two arms",
        joints=tuple(Joint(n, kind, pose_rpy(xyz, rpy), parent=carrier) for n, kind, carrier, xyz, rpy in joints),
        limits=Limits(lower, upper, 2 * ones, 10 * ones, 200 * ones),
        links=tuple(links),
        collision_pairs=tuple(pairs),
        tool=tools[0],
        home=np.array([0.0, 0.8, 0.0, 0.05, -0.8, 0.0, 0.05]),
        X_W0=pose_rpy((0.1, -0.2, 0.3), (0.0, 0.0, 0.5)),
        tools=tools,
    )


def branching_urdf() -> str:
    """The same kinematics; joints turn about, or slide along, z."""
    body = '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'
    links = "".join(f'<link name="body{i}">{body}</link>' for i in range(len(_joints()) + 1))
    joints = "".join(
        f'<joint name="{name}" type="{kind}"><parent link="body{carrier}"/><child link="body{i + 1}"/>'
        f'<origin xyz="{" ".join(map(str, xyz))}" rpy="{" ".join(map(str, rpy))}"/><axis xyz="0 0 1"/>'
        '<limit lower="-3" upper="3" velocity="1" effort="1"/></joint>'
        for i, (name, kind, carrier, xyz, rpy) in enumerate(_joints())
    )
    return f'<robot name="two_arms">{links}{joints}</robot>'
