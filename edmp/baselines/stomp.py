"""STOMP: stochastic trajectory optimization for motion planning (Kalakrishnan et al. 2011, ICRA).

No gradients: K noisy copies of the trajectory, theta + eps_k with eps_k ~ N(0, R^-1) and R = A^T A of accelerations,
are weighed step by step by their costs,

    P_ki = exp(-h (S_ki - min_k S_ki) / (max_k S_ki - min_k S_ki)) / sum over k,
    delta~_i = sum over k of P_ki eps_ki,    theta <- theta + M delta~,

where M is R^-1 with each column scaled to a maximum of 1/n, which keeps the update as smooth as the noise. The state
cost is q_i = sum over body points of max(epsilon - gap, 0) ||x'|| (see `edmp.baselines.passage_kernels`). The best
copies so far take part in the next iteration again. Limits are kept by clipping.

Body points are the robot's spheres; between links they move in the frame of the other link.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from edmp.baselines import passage_kernels as kernels
from edmp.baselines.base import Array, Baseline, Claim, Task
from edmp.baselines.waypoints import (
    Attempt,
    Passage,
    SmoothnessMetric,
    conclude,
    nearest_first,
    passage,
    path_free,
    straight_line,
)
from edmp.ranges import Range, check_fields


@dataclass(frozen=True)
class StompSettings:
    """Settings of `Stomp`.

    Attributes:
        num_waypoints: n, interior waypoints.
        num_rollouts: K, noisy copies drawn in each iteration.
        num_reused: best copies so far that take part again.
        noise: standard deviation of the noise where it is largest, in the middle [rad or m].
        sensitivity: h.
        epsilon: distance from obstacles below which a body point costs [m].
        self_epsilon: the same between links [m].
        smoothness: weight of 1/2 theta^T R theta, over one unit of time, in the cost that ranks whole trajectories.
        max_iterations: for each goal.
        min_iterations: before a free trajectory is accepted.
        extra_iterations: spent on improving after the first free one.
        time_budget: give up after this [s].
    """

    num_waypoints: int = 50
    num_rollouts: int = 15
    num_reused: int = 5
    noise: float = 0.2
    sensitivity: float = 10.0
    epsilon: float = 0.05
    self_epsilon: float = 0.02
    smoothness: float = 1e-6
    max_iterations: int = 500
    min_iterations: int = 0
    extra_iterations: int = 20
    time_budget: float = 10.0

    def __post_init__(self) -> None:
        positive, count = Range(0, above=True), Range(0, whole=True)
        check_fields(
            self,
            {
                "num_waypoints": Range(3, whole=True),
                "num_rollouts": Range(2, whole=True),
                "smoothness": Range(0),
                **dict.fromkeys(["noise", "sensitivity", "epsilon", "self_epsilon", "time_budget"], positive),
                **dict.fromkeys(["num_reused", "min_iterations", "extra_iterations"], count),
                "max_iterations": Range(1, whole=True),
            },
        )


@dataclass(frozen=True)
class _Pool:
    """Trajectories (m, n + 2, dof), their state costs (m, n), and what ranks them (m,)."""

    q: Array
    cost: Array
    total: Array

    def best(self, count: int) -> _Pool:
        keep = np.argsort(self.total, kind="stable")[:count]
        return _Pool(self.q[keep], self.cost[keep], self.total[keep])

    def joined(self, other: _Pool) -> _Pool:
        pairs = ((self.q, other.q), (self.cost, other.cost), (self.total, other.total))
        return _Pool(*(np.concatenate(pair) for pair in pairs))


class Stomp(Baseline):
    """Exploration by smooth noise, and an average weighted by cost."""

    def __init__(self, settings: StompSettings | None = None) -> None:
        self.settings = settings or StompSettings()
        self.metric = SmoothnessMetric(self.settings.num_waypoints, order=2)
        self.noise_factor = noise_factor(self.metric, self.settings.noise)
        self.smoothing = smoothing_matrix(self.metric)

    def search(self, task: Task) -> Claim:
        s, rng = self.settings, np.random.default_rng(task.seed)
        begin = time.perf_counter()
        deadline = begin + s.time_budget
        attempts: list[Attempt] = []
        for goal in nearest_first(task):
            attempts.append(self._run(task, straight_line(task.start, goal, s.num_waypoints), rng, deadline))
            if attempts[-1].free is not None or time.perf_counter() >= deadline:
                break
        return conclude(task, attempts, begin=begin, deadline=deadline)

    def _run(self, task: Task, theta: Array, rng: np.random.Generator, deadline: float) -> Attempt:
        """Optimise ``theta`` (n + 2, dof)."""
        s = self.settings
        best, best_cost, last = None, np.inf, s.max_iterations
        reused = _Pool(np.empty((0, *theta.shape)), np.empty((0, s.num_waypoints)), np.empty(0))
        iteration = 0
        while True:
            rollouts = self._rollouts(task, theta, rng)
            terms = self._terms(task, np.concatenate([theta[None], rollouts]))  # the noiseless one first
            total = [self._total(q, cost) for q, cost in zip(rollouts, terms.cost[1:], strict=True)]
            pool = _Pool(rollouts, terms.cost[1:], np.array(total)).joined(reused)
            if iteration >= s.min_iterations and terms.gap[0].min() > 0 and path_free(task.world, theta):
                if best is None:
                    last = min(last, iteration + s.extra_iterations)
                cost = self._total(theta, terms.cost[0])
                if cost < best_cost:
                    best, best_cost = theta, cost
            if iteration >= last or time.perf_counter() > deadline:
                return Attempt(theta, best, iteration)
            weights = probabilities(pool.cost, s.sensitivity)
            update = np.einsum("ki,kij->ij", weights, pool.q[:, 1:-1] - theta[1:-1])
            moved = theta[1:-1] + self.smoothing @ update
            reused = pool.joined(_Pool(theta[None], terms.cost[:1], np.array([self._total(theta, terms.cost[0])])))
            reused = reused.best(s.num_reused)
            theta = np.concatenate([theta[:1], _clipped(task, moved), theta[-1:]])
            iteration += 1

    def _rollouts(self, task: Task, theta: Array, rng: np.random.Generator) -> Array:
        """(K, n + 2, dof) noisy copies within the limits."""
        s = self.settings
        noise = self.noise_factor @ rng.standard_normal((s.num_rollouts, s.num_waypoints, theta.shape[1]))
        rollouts = np.repeat(theta[None], s.num_rollouts, axis=0)
        rollouts[:, 1:-1] = _clipped(task, theta[1:-1] + noise)
        return rollouts

    def _terms(self, task: Task, q: Array) -> Passage:
        s = self.settings
        return passage(task.world, q, kind=kernels.STOMP, epsilon=s.epsilon, self_epsilon=s.self_epsilon)

    def _total(self, q: Array, cost: Array) -> float:
        """State costs over time, and the control cost."""
        return float(self.metric.dt * cost.sum()) + self.settings.smoothness * self.metric.cost(q)


def probabilities(cost: Array, sensitivity: float) -> Array:
    """(K, n) P of state costs (K, n); uniform at steps where all cost the same. Columns sum to one."""
    lowest, span = cost.min(axis=0), np.ptp(cost, axis=0)
    weights = np.exp(-sensitivity * (cost - lowest) / np.where(span > 0, span, 1.0))
    return weights / weights.sum(axis=0)


def noise_factor(metric: SmoothnessMetric, deviation: float) -> Array:
    """(n, n) L with L L^T proportional to R^-1, the largest standard deviation being ``deviation``."""
    return deviation * metric.noise_factor / np.sqrt(metric.A_inverse.diagonal().max())


def smoothing_matrix(metric: SmoothnessMetric) -> Array:
    """(n, n) M: R^-1, each column scaled so that its maximum is 1 / n."""
    return metric.A_inverse / (metric.num_interior * metric.A_inverse.max(axis=0))


def _clipped(task: Task, interior: Array) -> Array:
    return interior.clip(task.robot.limits.lower, task.robot.limits.upper)
