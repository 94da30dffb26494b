"""The arc-length costs against their definition, and their functional gradient against differences."""

from __future__ import annotations

import numpy as np
import pytest
from waypoint_cases import arc_length_cost, smooth_trajectory

from edmp.baselines import passage_kernels as kernels
from edmp.baselines.waypoints import passage
from edmp.costs import World
from edmp.robots import load_robot
from edmp.scenes import Box, Capsule, Cylinder, Scene, Sphere

KINDS = {"chomp": int(kernels.CHOMP), "stomp": int(kernels.STOMP)}


def clutter() -> Scene:
    """One large obstacle of each kind, where a Panda moves."""
    return Scene.of(
        {
            "box": (Box((0.3, 0.4, 0.3)), (0.5, 0.1, 0.4), (0.0, 0.28, 0.0, 0.96)),
            "can": (Cylinder(0.15, 0.5), (-0.3, 0.4, 0.6)),
            "pipe": (Capsule(0.1, 0.6), (0.2, -0.5, 0.5), (0.6, 0.0, 0.0, 0.8)),
            "ball": (Sphere(0.2), (-0.4, -0.3, 0.7)),
        }
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_cost_is_the_discretised_functional(kind: str, seed: int) -> None:
    robot, scene = load_robot("panda"), clutter()
    q = smooth_trajectory(robot, 40, seed=seed)
    terms = passage(World.of(robot, scene), q[None], kind=KINDS[kind], epsilon=0.1, self_epsilon=0.1)
    expected = arc_length_cost(robot, scene, q, 0.1, 0.1, kind)
    assert expected > 0.01
    assert terms.cost.sum() / 41 == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("arena", ["obstacles", "self"])
@pytest.mark.parametrize("seed", range(3))
def test_functional_gradient_is_the_limit_of_differences(arena: str, seed: int) -> None:
    """Along smooth variations the formula meets the derivative of the discretised functional."""
    robot = load_robot("panda")
    scene = clutter() if arena == "obstacles" else Scene.of({})
    epsilon, self_epsilon = (0.3, 1e-4) if arena == "obstacles" else (0.1, 0.3)
    errors = []
    for num in (50, 400):
        q = smooth_trajectory(robot, num, seed=seed)
        world = World.of(robot, scene)
        terms = passage(world, q[None], kind=KINDS["chomp"], epsilon=epsilon, self_epsilon=self_epsilon)
        t = np.linspace(0.0, 1.0, num + 2)[:, None]
        found, expected = [], []
        for direction in np.random.default_rng(seed).normal(size=(6, robot.dof)):
            variation = np.sin(np.pi * t) ** 2 * direction
            variation[[0, -1]] = 0.0
            h = 1e-5
            plus, minus = (
                arc_length_cost(robot, scene, q + sign * h * variation, epsilon, self_epsilon, "chomp")
                for sign in (1, -1)
            )
            expected.append((plus - minus) / (2 * h))
            found.append((terms.gradient[0] * variation[1:-1]).sum() / (num + 1))
        errors.append(np.abs(np.subtract(found, expected)).max() / np.abs(expected).max())
    assert errors[0] < 0.02
    assert errors[1] < 0.01
