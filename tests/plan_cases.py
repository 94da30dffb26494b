"""Small plans, made without planning: for tests of what happens to plans afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edmp.problem import Problem, load_example
from edmp.result import PlanResult, Solution, Stage, Stats, Status
from edmp.scenes import Box, Capsule, Cylinder, DistanceField, Mesh, PointCloud, Scene, Sphere, Voxels
from edmp.trajectory import Trajectory, path_length

TETRAHEDRON = Mesh(
    np.array([[0.0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]]),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
)


def every_shape() -> Scene:
    """One obstacle of each shape, none of them near anything."""
    s = np.sqrt(0.5)
    return Scene.of(
        {
            "box": (Box((0.1, 0.2, 0.3)), (0.9, 0.1, 0.2), (0, 0, s, s)),
            "can": (Cylinder(0.03, 0.14), (0.9, 0.4, 0.3)),
            "pipe": (Capsule(0.02, 0.3), (0.9, -0.4, 0.3)),
            "ball": (Sphere(0.05), (0.9, -0.6, 0.6)),
            "wedge": (TETRAHEDRON, (0.9, 0.7, 0.1)),
        }
    )


def every_sensed_shape() -> Scene:
    """One obstacle of each kind that is an array, and a box; none of them near anything."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), axis=-1)
    return Scene.of(
        {
            "cloud": (PointCloud(rng.uniform(-0.1, 0.1, (40, 3)), 0.02), (0.9, 0.1, 0.2), (0, 0, 1, 0)),
            "cells": (Voxels(rng.random((3, 4, 5)) < 0.3, 0.05), (0.9, 0.4, 0.3)),
            "field": (DistanceField(np.linalg.norm(grid - 2.5, axis=-1) * 0.05 - 0.1, 0.05), (0.9, -0.6, 0.3)),
            "can": (Cylinder(0.03, 0.14), (0.9, -0.9, 0.3)),
        }
    )


def straight(problem: Problem, *, duration: float = 2.0) -> Solution:
    """From start to goal straight through whatever is there, in ``duration`` [s]."""
    t = np.linspace(0.0, 1.0, 21)
    s, ds, dds = 3 * t**2 - 2 * t**3, (6 * t - 6 * t**2) / duration, (6 - 12 * t) / duration**2
    way = np.asarray(problem.goal) - problem.start
    trajectory = Trajectory(
        problem.robot.joint_names,
        t * duration,
        problem.start + s[:, None] * way,
        ds[:, None] * way,
        dds[:, None] * way,
    )
    path = np.stack([problem.start, problem.start + 0.5 * way, np.asarray(problem.goal, dtype=float)])
    return Solution(path, trajectory, path_length(path), 0.0123)


def solved(problem: Problem) -> PlanResult:
    stats = Stats(Stage.REPAIR, 0.25, {"sample": 0.1, "judge": 0.02}, 64, 12, 99)
    return PlanResult(Status.SOLVED, "certified motion", straight(problem), (straight(problem, duration=3.0),), stats)


def failed(status: Status = Status.NO_PATH_FOUND, message: str = "nothing was found") -> PlanResult:
    return PlanResult(status, message, None, (), Stats(None, 0.5))


def write_problems(folder: Path, counts: dict[str, int]) -> Path:
    """``counts[set]`` copies of a shipped example in each set, numbered from 1."""
    from edmp.problem import save_problem

    problem = load_example("bookshelf")
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for index in range(1, count + 1):
            save_problem(folder / name / f"scene{index:04d}.yaml", problem)
    return folder
