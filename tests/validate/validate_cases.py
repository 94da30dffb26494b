"""Robots and scenes for the tests of the judge: random, seeded."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy.spatial.transform import Rotation

from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Sphere
from edmp.robots.parts import Joint, Limits, Link, ToolFrame
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene

BOX_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_FACES = ("013", "032", "467", "475", "045", "051", "237", "276", "026", "064", "157", "173")
BOX_FACES = np.array([[int(vertex) for vertex in face] for face in _FACES])


def pose(rotation: Rotation, position) -> np.ndarray:
    X = np.eye(4)
    X[:3, :3], X[:3, 3] = rotation.as_matrix(), position
    return X


def translation(x: float, y: float, z: float) -> np.ndarray:
    return pose(Rotation.identity(), (x, y, z))


def random_robot(rng: Generator, dof: int = 5) -> Robot:
    """A chain of turning and sliding joints with random polytopes for links; every third joint slides."""
    joints, links = [], []
    for j in range(dof):
        kind = "prismatic" if j % 3 == 2 else "revolute"
        X_PJ = pose(
            Rotation.random(random_state=int(rng.integers(1 << 30))), rng.uniform([-0.2, -0.2, -0.05], [0.2, 0.2, 0.35])
        )
        joints.append(Joint(f"j{j}", kind, X_PJ))
        points = rng.normal(size=(12, 3)) * [0.05, 0.04, 0.08]
        links.append(Link(f"link{j}", j + 1, np.eye(4), (points,), np.zeros((0, 4)), None))
    lower = np.where([j.kind == "prismatic" for j in joints], -0.2, -2.5)
    big = np.full(dof, 10.0)
    pairs = tuple((i, j) for i in range(dof) for j in range(i + 2, dof))
    tool = ToolFrame("tool", dof, np.eye(4))
    X_W0 = pose(Rotation.from_rotvec(rng.normal(size=3)), rng.normal(size=3) * 0.3)
    return Robot("chain", tuple(joints), Limits(lower, -lower, big, big, big), tuple(links), pairs, tool, 0 * big, X_W0)


def random_scene(rng: Generator, count: int, reach: float, meshes: bool = False) -> Scene:
    makers = [
        lambda: Box(tuple(rng.uniform(0.02, 0.4, 3))),
        lambda: Cylinder(rng.uniform(0.02, 0.15), rng.uniform(0.05, 0.5)),
        lambda: Capsule(rng.uniform(0.02, 0.1), rng.uniform(0.05, 0.4)),
        lambda: Sphere(rng.uniform(0.03, 0.15)),
    ]
    if meshes:
        makers = [lambda: l_shape(rng.uniform(0.1, 0.4)), lambda: Mesh(BOX_CORNERS * rng.uniform(0.05, 0.3), BOX_FACES)]
    obstacles = []
    for k in range(count):
        yaw = Rotation.from_euler("z", rng.uniform(0, 3)) if k % 2 else Rotation.random(random_state=k + 1)
        direction = rng.normal(size=3)
        position = direction / np.linalg.norm(direction) * rng.uniform(0.35, 1.0) * reach + [0, 0, 0.3]
        obstacles.append(Obstacle(f"thing{k}", makers[int(rng.integers(len(makers)))](), pose(yaw, position)))
    return Scene(tuple(obstacles))


def l_shape(size: float) -> Mesh:
    """A closed mesh that is not convex: an L of unit thickness."""
    outline = np.array([[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]], dtype=float) - 0.75
    n = len(outline)
    vertices = np.concatenate([np.c_[outline, np.full(n, z)] for z in (-0.5, 0.5)]) * size
    caps = [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]]
    faces = [f[::-1] for f in caps] + [[a + n, b + n, c + n] for a, b, c in caps]
    for i in range(n):
        j = (i + 1) % n
        faces += [[i, j, j + n], [i, j + n, i + n]]
    return Mesh(vertices, np.array(faces, dtype=np.int32))


def random_path(rng: Generator, robot: Robot, waypoints: int, spread: float) -> np.ndarray:
    """Smooth random waypoints within the limits."""
    lower, upper = robot.limits.lower, robot.limits.upper
    a = rng.uniform(lower, upper)
    b = np.clip(a + spread * rng.uniform(-1, 1, robot.dof) * (upper - lower), lower, upper)
    t = np.linspace(0, 1, waypoints)[:, None]
    bend = 0.1 * np.sin(np.pi * t) * rng.normal(size=robot.dof) * (upper - lower)
    return np.clip(a + t * (b - a) + bend, lower, upper)
