"""The costs timed side by side: torch definition with autograd against the fused kernels, on the same cores."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from edmp.collision.world import World
from edmp.costs.base import Cost, Margins
from edmp.costs.clearance import SelfCollision, SphereClearance
from edmp.costs.volume import IntersectionVolume, SweptVolume
from edmp.geometry.shapes import Box
from edmp.robots.description import load_robot
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.threads import kernel_threads, num_threads

FUSED: tuple[Cost, ...] = (SphereClearance(), SelfCollision(), IntersectionVolume(), SweptVolume())
WAYPOINTS = 64


def benchmark_kernels(
    *,
    configurations: int = 3200,
    boxes: int = 15,
    threads: int | None = None,
    repeats: int = 20,
    seed: int = 0,
    robot: Robot | None = None,
) -> dict[str, Any]:
    """Time value and gradient of each fused cost against its torch definition, one after the other in turn.

    Args:
        configurations: how many at a time, as trajectories of 64 waypoints (rounded up to whole ones).
        boxes: obstacles in the scene, turned any way.
        threads: CPU threads that both may use; all that this process may run on if not given.
        repeats: timed runs of the kernel, four for each of the torch definition.
        seed: scene and motions.
        robot: the arm; a Panda if not given.

    Returns:
        What was run (``touching``: share of trajectories that come within 3 cm of something), and under ``costs`` for
        each cost its ``torch_ms`` and ``warp_ms`` (median [ms]) with their minima, the ``ratio`` of the medians,
        ``first_ms`` of the first kernel call (compilation, unless cached, included), and ``max_error``, the largest
        difference of a gradient entry relative to the largest entry.
    """
    robot = robot or load_robot("panda")
    rng = np.random.default_rng(seed)
    world = World.of(robot, random_boxes(rng, boxes))
    q = straight_motions(robot, rng, -(-configurations // WAYPOINTS))
    margins = Margins.of(q, clearance=0.03)
    with _threads(threads) as used:
        rows = {cost.name: _compare(cost, world, q, margins, repeats) for cost in FUSED}
    return {
        "robot": robot.name,
        "configurations": q.shape[0] * q.shape[1],
        "spheres": len(robot.spheres),
        "boxes": boxes,
        "threads": used,
        "touching": rows["sphere_clearance"].pop("touching"),
        "costs": rows,
    }


def random_boxes(rng: np.random.Generator, count: int) -> Scene:
    """``count`` boxes of 5 to 40 cm, turned any way, within reach but not on the base."""
    obstacles: dict[str, tuple] = {}
    while len(obstacles) < count:
        position = rng.uniform([-0.9, -0.9, 0.0], [0.9, 0.9, 1.0])
        if np.linalg.norm(position) > 0.35:
            quaternion = rng.normal(size=4)
            quaternion /= np.linalg.norm(quaternion)
            obstacles[f"box_{len(obstacles)}"] = (Box(tuple(rng.uniform(0.05, 0.4, 3))), position, quaternion)
    return Scene.of(obstacles)


def straight_motions(robot: Robot, rng: np.random.Generator, batch: int) -> torch.Tensor:
    """(batch, 64, dof) straight lines between random configurations, float32."""
    a, b = rng.uniform(robot.limits.lower, robot.limits.upper, (2, batch, 1, robot.dof))
    return torch.tensor(a + np.linspace(0, 1, WAYPOINTS)[None, :, None] * (b - a), dtype=torch.float32)


def _compare(cost: Cost, world: World, q: torch.Tensor, margins: Margins, repeats: int) -> dict[str, float]:
    """Run both in turn, so that whatever else the machine does slows both alike."""

    def fused() -> tuple[torch.Tensor, torch.Tensor]:
        return cost.value_and_gradient(world, q, margins)

    def definition() -> tuple[torch.Tensor, torch.Tensor]:
        return Cost.value_and_gradient(cost, world, q, margins)

    start = time.perf_counter()
    value, gradient = fused()
    first_ms = (time.perf_counter() - start) * 1e3
    _, expected = definition()
    slow, fast = [], []
    per_turn = 4
    for _ in range(max(2, repeats // per_turn)):
        slow.append(_milliseconds(definition))
        fast += [_milliseconds(fused) for _ in range(per_turn)]
    torch_ms, warp_ms = statistics.median(slow), statistics.median(fast)
    row = {
        "torch_ms": torch_ms,
        "warp_ms": warp_ms,
        "ratio": torch_ms / warp_ms,
        "torch_min_ms": min(slow),
        "warp_min_ms": min(fast),
        "first_ms": first_ms,
        "max_error": float((gradient - expected).abs().max() / expected.abs().max().clamp(min=1e-9)),
    }
    if isinstance(cost, SphereClearance):
        row["touching"] = float((value > 0).float().mean())
    return row


def _milliseconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


@contextmanager
def _threads(count: int | None) -> Iterator[int]:
    """Give torch and the kernels the same number of threads for a while."""
    before = torch.get_num_threads()
    count = count or num_threads()
    torch.set_num_threads(count)
    try:
        with kernel_threads(count):
            yield count
    finally:
        torch.set_num_threads(before)
