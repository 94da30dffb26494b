"""The front of the search kernels: arrays in, polylines out."""

from __future__ import annotations

import numpy as np
import warp as wp
from numpy.typing import NDArray

from edmp.connect import kernels
from edmp.costs.kernels import clearance
from edmp.costs.launch import launch_rows
from edmp.costs.world import World
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene

Array = NDArray[np.float64]


def connect(
    world: World,
    starts: Array,
    goals: Array,
    *,
    seed: int,
    reach: float = 1.0,
    step: float = 0.02,
    margin: float = 0.0,
    max_iterations: int = 2000,
    shortcuts: int = 100,
    max_nodes: int = 4000,
    lower: Array | None = None,
    upper: Array | None = None,
) -> list[Array | None]:
    """RRT-Connect from each start to its goal, then shortcutting; problems run in parallel over the cores.

    Args:
        world: robot and scene; the sphere model decides what is free.
        starts: (n, dof) [rad or m].
        goals: (n, dof).
        seed: problem i uses the stream ``seed + i``.
        reach: longest edge [rad].
        step: no point of the arm moves farther than this between two checks of an edge [m].
        margin: distance to keep from obstacles [m].
        max_iterations: samples after which a problem is given up.
        shortcuts: attempts to shorten each path.
        max_nodes: nodes after which a tree is full.
        lower, upper: (dof,) box to sample in; the joint limits if not given.

    Returns:
        For each problem its path (k, dof) from start to goal, exact at both ends, or None.
    """
    num, dof = starts.shape
    device = world.device
    limits = world.robot.limits
    path, length = wp.zeros((num, 256, dof), dtype=float, device=device), wp.zeros(num, dtype=int, device=device)
    seeds: wp.array = wp.array((seed + np.arange(num)).astype(np.int32), dtype=int, device=device)
    box = [
        _pack(limits.lower if lower is None else lower, device),
        _pack(limits.upper if upper is None else upper, device),
    ]
    nodes = wp.empty((num, 2, max_nodes, dof), dtype=float, device=device)
    parents = wp.empty((num, 2, max_nodes), dtype=int, device=device)
    world_ = (world.chain, world.obstacles)
    inputs = [*world_, _pack(starts, device), _pack(goals, device), seeds, *box, reach, step, margin, max_iterations]
    launch_rows(kernels.rrt_connect, num, (), inputs, [nodes, parents, path, length], device, grain=1)
    if shortcuts:
        inputs = [*world_, seeds, step, margin, shortcuts]
        launch_rows(kernels.shortcut, num, (), inputs, [path, length], device, grain=1)
    paths, lengths = path.numpy().astype(np.float64), length.numpy()
    found: list[Array | None] = []
    for i in range(num):
        if lengths[i] == 0:
            found.append(None)
            continue
        polyline = paths[i, : lengths[i]].copy()
        polyline[0], polyline[-1] = starts[i], goals[i]
        found.append(polyline)
    return found


def _pack(values: Array, device: str) -> wp.array:
    return wp.array(np.ascontiguousarray(values, np.float32), dtype=float, device=device)


def free(world: World, q: Array, *, margin: float = 0.0) -> NDArray[np.bool_]:
    """(n,) which configurations ``q`` (n, dof) the sphere model finds free, ``margin`` [m] away from obstacles."""
    rows = _pack(q[:, None], world.device)
    result = wp.zeros((len(q), 1), dtype=wp.bool, device=world.device)
    inputs = [world.chain, world.obstacles, rows, margin]
    launch_rows(clearance.rows_free, len(q), (1,), inputs, [result], world.device, grain=64)
    return result.numpy()[:, 0]


def relaxed_world(robot: Robot, scene: Scene, configurations: Array, *, slack: float = 1e-3, device="cpu") -> World:
    """The world in which the given configurations are free of collision in the sphere model.

    Spheres stick out of the geometry that they cover, so a start or goal that truly is free may look as if it were
    not. The spheres that overlap something there are shrunk until they clear it by ``slack`` [m]; all others stay.
    Only a judge can tell whether a path found with fewer millimetres is free. Pairs of links that spheres cannot tell
    apart (`edmp.costs.world.separable_pairs`) are left to it too.
    """
    world = World.of(robot, scene, device=device, only_separable=True)
    n, num = len(configurations), len(robot.spheres)
    q = _pack(configurations, device)
    gaps = [wp.zeros((n, num), dtype=float, device=device) for _ in range(2)]
    wp.launch(clearance.sphere_gaps, dim=n, inputs=[world.chain, world.obstacles, q, *gaps], device=device)
    environment, pairs = (gap.numpy().min(axis=0) for gap in gaps)
    by = np.maximum(np.maximum(slack - environment, (slack - pairs) / 2), 0.0)
    return world.shrunk(by) if by.any() else world
