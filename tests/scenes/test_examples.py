"""Start and goal of every shipped example are free, by FCL on the convex hulls of the arm."""

import fcl
import numpy as np
import pytest
import torch
import trimesh

from edmp.problem import PoseGoal, load_example
from edmp.robots import Robot, body_poses, tool_pose
from edmp.scenes import Box, Capsule, Cylinder, Sphere

GEOMETRY = {
    Box: lambda shape: fcl.Box(*shape.size),
    Cylinder: lambda shape: fcl.Cylinder(shape.radius, shape.length),
    Capsule: lambda shape: fcl.Capsule(shape.radius, shape.length),
    Sphere: lambda shape: fcl.Sphere(shape.radius),
}

# A configuration that reaches each pose goal, to show that it can be reached.
WITNESSES = {
    "cage": [[1.573, 0.17, -1.28, -2.334, 1.758, 3.091, -0.79]],
    "bin": [
        [-0.434, 0.54, -0.101, -2.083, 0.104, 2.618, 0.474],
        [-1.371, 0.785, 0.835, -2.022, -0.884, 2.397, -0.462],
    ],
}


def placed(geometry: fcl.CollisionGeometry, X: np.ndarray) -> fcl.CollisionObject:
    return fcl.CollisionObject(geometry, fcl.Transform(X[:3, :3], X[:3, 3]))


def hull(vertices: np.ndarray) -> fcl.Convex:
    mesh = trimesh.convex.convex_hull(vertices)
    faces = np.concatenate([np.full((len(mesh.faces), 1), 3), mesh.faces], axis=1).reshape(-1)
    return fcl.Convex(mesh.vertices, len(mesh.faces), faces)


def touches(robot: Robot, scene, q: np.ndarray) -> list[tuple[str, str]]:
    """Pairs of names (link, obstacle or link) that overlap at ``q``."""
    X_WB = body_poses(robot, torch.tensor(q, dtype=torch.float64)).numpy()
    links = [[placed(hull(piece), X_WB[link.body]) for piece in link.hulls_B] for link in robot.links]
    obstacles = [placed(GEOMETRY[type(obstacle.shape)](obstacle.shape), obstacle.X_WO) for obstacle in scene]

    def hit(a: fcl.CollisionObject, b: fcl.CollisionObject) -> bool:
        return bool(fcl.collide(a, b, fcl.CollisionRequest(), fcl.CollisionResult()))

    found = [
        (link.name, obstacle.name)
        for link, pieces in zip(robot.links, links, strict=True)
        for obstacle, thing in zip(scene, obstacles, strict=True)
        if any(hit(piece, thing) for piece in pieces)
    ]
    return found + [
        (robot.links[i].name, robot.links[j].name)
        for i, j in robot.collision_pairs
        if any(hit(a, b) for a in links[i] for b in links[j])
    ]


@pytest.mark.parametrize("name", ["bookshelf", "table", "cage", "bin"])
def test_start_and_goal_are_free_and_within_limits(name: str) -> None:
    problem = load_example(name)
    goals = problem.goal if isinstance(problem.goal, tuple) else (problem.goal,)
    configurations = [problem.start]
    for goal, witness in zip(goals, WITNESSES.get(name, goals), strict=True):
        configurations.append(np.array(witness))
        if isinstance(goal, PoseGoal):
            reached = tool_pose(problem.robot, torch.tensor(witness, dtype=torch.float64)).numpy()
            np.testing.assert_allclose(reached[:3, 3], goal.position, atol=5e-3)
            np.testing.assert_allclose(reached[:3, :3], goal.X_WT[:3, :3], atol=0.02)
    for q in configurations:
        assert (q > problem.robot.limits.lower).all()
        assert (q < problem.robot.limits.upper).all()
        assert touches(problem.robot, problem.scene, q) == []
