"""Every gradient meets finite differences of the torch definition, and the kernels meet the torch definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cost_cases import random_motion, random_scene

from edmp.costs import (
    Cost,
    GoalPose,
    IntersectionVolume,
    JointLimits,
    Margins,
    SelfCollision,
    Smoothness,
    SphereClearance,
    SweptVolume,
    World,
)
from edmp.robots import Motion, Robot
from edmp.scenes import Scene

COSTS: list[Cost] = [
    SphereClearance(),
    SphereClearance(self_margin=0.05),
    SelfCollision(margin=0.06),
    IntersectionVolume(),
    SweptVolume(),
    JointLimits(buffer=0.3),
    Smoothness(velocity=1.0, acceleration=0.1, jerk=0.01),
    GoalPose(position=(0.4, 0.1, 0.5), quaternion=(0.0, 1.0, 0.0, 0.0)),
]
FUSED = [cost for cost in COSTS if isinstance(cost, SphereClearance | SelfCollision | IntersectionVolume | SweptVolume)]


def margins_for(q: torch.Tensor) -> Margins:
    """Different margins for every row, zero among them."""
    return Margins(torch.linspace(0, 0.08, len(q)).to(q), torch.linspace(0, 0.3, len(q)).to(q))


def reference(cost: Cost, robot: Robot, scene: Scene, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Value and gradient of the torch definition in double precision."""
    x = q.double().requires_grad_(True)
    value = cost(Motion.of(robot, x), scene, margins_for(x))
    if not value.requires_grad:
        return value, torch.zeros_like(x)
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]


@pytest.mark.parametrize("cost", COSTS, ids=repr)
def test_gradient_meets_finite_differences(cost: Cost, panda: Robot) -> None:
    rng = np.random.default_rng(1)
    scene = random_scene(rng, with_mesh=False)  # distances to meshes are in single precision
    q = random_motion(panda, rng, batch=3, waypoints=6).double()
    margins = margins_for(q)
    _, gradient = reference(cost, panda, scene, q)
    step = 1e-6
    for _ in range(6):
        direction = torch.tensor(rng.normal(size=q.shape))
        plus, minus = (cost(Motion.of(panda, q + s * step * direction), scene, margins) for s in (1, -1))
        expected = (plus - minus) / (2 * step)
        torch.testing.assert_close((gradient * direction).sum((1, 2)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cost", COSTS, ids=repr)
@pytest.mark.parametrize("arm", ["panda", "sliding_panda"])
@pytest.mark.parametrize("seed", range(3))
def test_value_and_gradient_meets_the_torch_definition(
    cost: Cost, arm: str, seed: int, request: pytest.FixtureRequest
) -> None:
    robot, rng = request.getfixturevalue(arm), np.random.default_rng(seed)
    scene = random_scene(rng, count=12)
    q = random_motion(robot, rng, batch=6, waypoints=16)
    value, gradient = cost.value_and_gradient(World.of(robot, scene), q, margins_for(q))
    expected, expected_gradient = reference(cost, robot, scene, q)
    assert value.shape == (6,)
    assert gradient.shape == q.shape
    assert (expected > 0).any()
    torch.testing.assert_close(value, expected.float(), rtol=2e-4, atol=2e-5)
    error = (gradient - expected_gradient).flatten(1).norm(dim=1)
    assert (error <= 2e-3 * expected_gradient.flatten(1).norm(dim=1) + 2e-4).all(), error


@pytest.mark.parametrize("cost", FUSED, ids=repr)
def test_kernel_gradient_meets_finite_differences_of_the_kernel(cost: Cost, world: World) -> None:
    rng = np.random.default_rng(2)
    q = random_motion(world.robot, rng, batch=8, waypoints=4)
    margins = Margins.of(q, clearance=0.08, expansion=0.1)
    _, gradient = cost.value_and_gradient(world, q, margins)
    direction = torch.tensor(rng.normal(size=q.shape), dtype=torch.float32)
    step = 1e-3
    plus, minus = (cost.value_and_gradient(world, q + s * step * direction, margins)[0] for s in (1, -1))
    scale = (gradient.abs() * direction.abs()).sum((1, 2))
    error = ((plus - minus) / (2 * step) - (gradient * direction).sum((1, 2))).abs()
    assert (error <= 0.02 * scale + 2e-3).all(), (error, scale)


@pytest.mark.parametrize("cost", COSTS, ids=repr)
def test_empty_scene(cost: Cost, panda: Robot) -> None:
    q = random_motion(panda, np.random.default_rng(5), batch=2, waypoints=5)
    value, gradient = cost.value_and_gradient(World.of(panda, Scene()), q, margins_for(q))
    expected, expected_gradient = reference(cost, panda, Scene(), q)
    torch.testing.assert_close(value, expected.float(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(gradient, expected_gradient.float(), rtol=1e-3, atol=1e-3)
