"""The front of the search kernels: arrays in, polylines out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.collision.bands import PackedBands
from edmp.collision.free import pack_rows
from edmp.collision.launch import launch_rows
from edmp.collision.world import World
from edmp.connect import constrained_kernels, kernels
from edmp.warp_start import wp

Array = NDArray[np.float64]

CONSTRAINED_REACH = 0.3
"""Longest edge under constraints: what is projected farther leads astray [rad]."""


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
    local: int = 0,
    lower: Array | None = None,
    upper: Array | None = None,
    bands: PackedBands | None = None,
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
        local: every so many-th sample (2 or more) is drawn about a node of the tree, not from everywhere, which leaves
            narrow passages sooner; 0 is none. Not under constraints.
        lower, upper: (dof,) box to sample in; the joint limits if not given.
        bands: what constraints come down to: the search keeps to them (Berenson et al. 2009, CBiRRT).

    Returns:
        For each problem its path (k, dof) from start to goal, exact at both ends, or None.
    """
    num, dof = starts.shape
    device, limits = world.device, world.robot.limits
    room = 256 if bands is None else 1024
    path, length = wp.zeros((num, room, dof), dtype=float, device=device), wp.zeros(num, dtype=int, device=device)
    seeds: wp.array = wp.array((seed + np.arange(num)).astype(np.int32), dtype=int, device=device)
    box = [
        pack_rows(limits.lower if lower is None else lower, device),
        pack_rows(limits.upper if upper is None else upper, device),
    ]
    nodes = wp.empty((num, 2, max_nodes, dof), dtype=float, device=device)
    parents = wp.empty((num, 2, max_nodes), dtype=int, device=device)
    ends = [pack_rows(starts, device), pack_rows(goals, device), seeds]
    found = [nodes, parents, path, length]
    if bands is None:
        world_: list[Any] = [world.chain, world.obstacles]
        inputs = [*world_, *ends, *box, reach, step, margin, max_iterations, local]
        launch_rows(kernels.rrt_connect, num, (), inputs, found, device, grain=1)
        if shortcuts:
            inputs = [*world_, seeds, step, margin, shortcuts]
            launch_rows(kernels.shortcut, num, (), inputs, [path, length], device, grain=1)
    else:
        world_ = [world.chain, world.obstacles, bands.bands]
        inputs = [*world_, *ends, *box, CONSTRAINED_REACH, step, margin, max_iterations]
        launch_rows(constrained_kernels.constrained_rrt_connect, num, (), inputs, found, device, grain=1)
        if shortcuts:
            inputs = [*world_, seeds, *box, CONSTRAINED_REACH, step, margin, shortcuts]
            way = wp.empty_like(path)
            launch_rows(constrained_kernels.constrained_shortcut, num, (), inputs, [way, path, length], device, grain=1)
    return _polylines(path, length, starts, goals)


def _polylines(path: wp.array, length: wp.array, starts: Array, goals: Array) -> list[Array | None]:
    paths, lengths = path.numpy().astype(np.float64), length.numpy()
    found: list[Array | None] = []
    for i, count in enumerate(lengths):
        if count == 0:
            found.append(None)
            continue
        polyline = paths[i, :count].copy()
        polyline[0], polyline[-1] = starts[i], goals[i]
        found.append(polyline)
    return found
