"""What the optimisers over waypoints share: smoothness metrics, arc-length costs, and what a path still collides with.

A trajectory is an array (n + 2, dof): start, n interior waypoints, goal, evenly spaced over one unit of time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.baselines import passage_kernels as kernels
from edmp.baselines.base import Claim, Task
from edmp.cached import cached_property
from edmp.collision.free import paths_free
from edmp.collision.kernels.free import sphere_gaps
from edmp.collision.launch import launch_rows
from edmp.collision.world import World
from edmp.costs.clearance import sphere_centers
from edmp.result import Status
from edmp.robots.motion import Motion
from edmp.scenes.distance import scene_distance
from edmp.validate.verdict import Contact
from edmp.warp_start import wp

Array = NDArray[np.float64]


def straight_line(start: Array, goal: Array, num_interior: int) -> Array:
    """(num_interior + 2, dof) evenly spaced, the ends exact."""
    q = start + np.linspace(0.0, 1.0, num_interior + 2)[:, None] * (goal - start)
    q[-1] = goal
    return q


@dataclass(frozen=True)
class SmoothnessMetric:
    """F_smooth = dt / 2 sum ||(K xi + e)_t||^2 over finite differences of one order, and A = dt K^T K.

    Before the start and after the goal the trajectory stands still, so that differences of order d also count how it
    leaves and arrives. With d = 2, K is the matrix A of Kalakrishnan et al. 2011.

    Attributes:
        num_interior: n, waypoints between the fixed ends.
        order: d, 1 velocities, 2 accelerations, 3 jerks.
    """

    num_interior: int
    order: int

    @property
    def dt(self) -> float:
        return 1.0 / (self.num_interior + 1)

    @cached_property
    def differences(self) -> Array:
        """(n + d, n + 2) K, with the columns that make e of start and goal to its left and right."""
        n, d = self.num_interior, self.order
        held = np.clip(np.arange(n + 2 * d) - d + 1, 0, n + 1)  # which waypoint each padded sample is
        return np.diff(np.eye(n + 2)[held], n=d, axis=0) / self.dt**d

    @cached_property
    def A(self) -> Array:
        """(n, n)"""
        K = self.differences[:, 1:-1]
        return self.dt * K.T @ K

    @cached_property
    def A_inverse(self) -> Array:
        """(n, n)"""
        return np.asarray(np.linalg.inv(self.A), dtype=np.float64)

    @cached_property
    def noise_factor(self) -> Array:
        """(n, n) L with L L^T = A^-1: L z is drawn from N(0, A^-1) for z from N(0, I)."""
        return np.asarray(np.linalg.cholesky(self.A_inverse), dtype=np.float64)

    def cost(self, q: Array) -> float:
        """F_smooth of a trajectory (n + 2, dof)."""
        return float(self.dt / 2 * np.square(self.differences @ q).sum())

    def gradient(self, q: Array) -> Array:
        """(n, dof) gradient of F_smooth by the interior waypoints."""
        return self.dt * self.differences[:, 1:-1].T @ (self.differences @ q)


@dataclass(frozen=True)
class Passage:
    """What a batch of trajectories (B, n + 2, dof) costs among obstacles, waypoint by waypoint; see `passage`.

    Attributes:
        cost: (B, n) sum over body points of c ||x'|| [m^2].
        gap: (B, n) the smallest distance to an obstacle, or between links, negative in collision; at most epsilon [m].
        gradient: (B, n, dof) functional gradient by the joints, the density over time.
    """

    cost: Array
    gap: Array
    gradient: Array


def passage(world: World, q: Array, *, kind: int, epsilon: float, self_epsilon: float) -> Passage:
    """The arc-length cost of trajectories.

    Args:
        world: robot and scene; its spheres are the body points.
        q: (B, n + 2, dof), n >= 1.
        kind: potential, ``kernels.CHOMP`` or ``kernels.STOMP``.
        epsilon: distance from obstacles at which the potential begins [m], positive.
        self_epsilon: the same between links of the arm [m], positive.
    """
    batch, num, _ = q.shape
    rows = torch.as_tensor(q, dtype=torch.float32).contiguous()
    cost, gap, gradient = torch.zeros(batch, num), torch.zeros(batch, num), torch.zeros(rows.shape)
    launch_rows(
        kernels.passage_cost,
        num - 2,
        (batch,),
        [world.chain, world.obstacles, wp.from_torch(rows), int(kind), epsilon, self_epsilon, 1.0 / (num - 1)],
        [wp.from_torch(cost), wp.from_torch(gap), wp.from_torch(gradient)],
        world.device,
        grain=16,
    )
    return Passage(*(x[:, 1:-1].double().numpy() for x in (cost, gap, gradient)))


def path_free(world: World, q: Array) -> bool:
    """Does the sphere model find every edge of one polyline (n, dof) free?"""
    return bool(paths_free(world, torch.as_tensor(q[None], dtype=torch.float32))[0])


@dataclass(frozen=True)
class Attempt:
    """What one run of an optimiser came to: the last trajectory (n + 2, dof), and the best free one if there is any."""

    last: Array
    free: Array | None
    iterations: int


def nearest_first(task: Task) -> Array:
    """(k, dof) the goals, by their distance from the start in joint space."""
    return task.goals[np.linalg.norm(task.goals - task.start, axis=1).argsort(kind="stable")]


def conclude(task: Task, attempts: list[Attempt], *, begin: float, deadline: float) -> Claim:
    """The path of the last of ``attempts``, or what kept the first from being free; times of `time.perf_counter`."""
    now = time.perf_counter()
    timings = {"optimise": now - begin}
    if attempts[-1].free is not None:
        return Claim(Status.SOLVED, path=attempts[-1].free, timings=timings)
    iterations, runs = sum(attempt.iterations for attempt in attempts), len(attempts)
    spent = f"{iterations} iterations in {runs} run{'s' * (runs > 1)}"
    message = f"after {spent}; in the first, {worst_contact(task, attempts[0].last)}"
    return Claim(Status.TIMEOUT if now >= deadline else Status.NO_PATH_FOUND, message, timings=timings)


def worst_contact(task: Task, q: Array, *, samples_per_edge: int = 4) -> str:
    """What is deepest in collision along a polyline (n, dof), in the sphere model, as a clause for a person."""
    t = np.arange(0.0, len(q) - 1, 1.0 / samples_per_edge)
    dense = np.column_stack([np.interp(t, np.arange(len(q)), column) for column in q.T])
    world, robot = task.world, task.robot
    gaps = [wp.zeros((len(dense), len(robot.spheres)), dtype=float, device=world.device) for _ in range(2)]
    rows: wp.array = wp.array(dense.astype(np.float32), dtype=float, device=world.device)
    wp.launch(sphere_gaps, dim=len(dense), inputs=[world.chain, world.obstacles, rows, *gaps], device=world.device)
    environment, pairs = (gap.numpy() for gap in gaps)
    with_self = pairs.min() < environment.min()
    gap = pairs if with_self else environment
    if gap.min() >= 0:
        return "its motion between waypoints could not be shown to be free"
    where, sphere = np.unravel_index(int(gap.argmin()), gap.shape)
    by_body = np.argsort(robot.sphere_body, kind="stable")  # the order of the kernels' spheres
    centers = sphere_centers(Motion.of(robot, torch.as_tensor(dense[where][None, None])))[0, 0]
    link = int(robot.sphere_link[by_body[sphere]])
    if with_self:
        other = robot.links[_nearest_link(task, by_body, centers.numpy(), int(by_body[sphere]))].name
    else:
        _, index = scene_distance(task.scene, centers[by_body[sphere]])
        other = task.scene.obstacles[int(index)].name
    return Contact(robot.links[link].name, other, bool(with_self), -float(gap.min()), dense[where]).message()


def _nearest_link(task: Task, by_body: NDArray[np.int64], centers: Array, sphere: int) -> int:
    """The link that a sphere (row of `Robot.spheres`) is deepest in, among those that its own link must not touch."""
    robot = task.robot
    radius = np.empty(len(centers))
    radius[by_body] = task.world.chain.sphere_radius.numpy()
    own = int(robot.sphere_link[sphere])
    partners = {i + j - own for i, j in robot.collision_pairs if own in (i, j)}
    gap = np.linalg.norm(centers - centers[sphere], axis=1) - radius
    gap[~np.isin(robot.sphere_link, list(partners))] = np.inf
    return int(robot.sphere_link[gap.argmin()])
