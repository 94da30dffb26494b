"""A problem as three depth cameras see it: simulated by Drake, with a sensor's faults, fused into a map."""

from __future__ import annotations

import numpy as np

from edmp.problem import Problem
from edmp.scenes import Scene
from edmp.sensing import DepthCamera, Map, SensorFaults, SimulatedCameras
from edmp.validate import Judge

EYES = ((0.1, 1.1, 1.0), (0.1, -1.1, 1.0), (-0.35, 0.0, 1.5))
"""To the left, to the right, and above the arm's back [m]."""
_LOOK_AT = (0.45, 0.0, 0.35)
BOUNDS = ((-0.5, -0.85, -0.15), (1.15, 0.85, 1.35))
"""Of the map [m]; what is beyond is seen by nobody, and the arm is told so where unseen space is occupied."""
RESOLUTION = 0.0125
PADDING = 0.0
"""Of the map [m]: goals of these problems are a few millimetres from shelves, and whole cells count as it is."""
TURNS = (-1.2, -0.6, 0.0, 0.6, 1.2)
"""The arm has been at home, turned so about its first joint, where that is free [rad]: what it hides at the
start was seen before."""


def seen_by_cameras(problem: Problem, unseen: str) -> Scene:
    """The scene that a map makes of what cameras saw with the arm at home and turned from there, and at the start.

    Raises:
        InvalidInputError: a camera is inside an obstacle.
    """
    robot = problem.robot
    base = robot.X_W0[:3, 3]
    cameras = [
        DepthCamera.looking(base + eye, base + _LOOK_AT, width=320, height=240, angle=1.4, far_is_free=True)
        for eye in np.array(EYES)
    ]
    simulated = SimulatedCameras(cameras, problem.scene, robot=robot, faults=SensorFaults(), seed=0)
    map = Map(np.array(BOUNDS) + base, RESOLUTION, robot=robot)
    judge = Judge(robot, problem.scene)
    turned = [robot.home + turn * np.eye(robot.dof)[0] for turn in TURNS]
    for q in (*(q for q in turned if judge.check(q).valid), problem.start, problem.start):
        for camera, depth in zip(cameras, simulated.look(q), strict=True):
            map.integrate(depth, camera, q)
    simulated.close()
    return map.scene(unseen=unseen, padding=PADDING)
