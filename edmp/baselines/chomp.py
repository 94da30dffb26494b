"""CHOMP: covariant Hamiltonian optimization for motion planning (Ratliff et al. 2009, ICRA; Zucker et al. 2013, IJRR).

U[xi] = F_obs[xi] + lambda F_smooth[xi] is minimised over waypoints by covariant gradient descent,

    xi <- xi - 1/eta A^-1 (grad F_obs + lambda grad F_smooth),

where A = K^T K of the finite differences of F_smooth, and F_obs is the potential of every body point along its arc of
workspace, so that its gradient has no part along the motion (see `edmp.baselines.passage_kernels`). What passes a joint
limit is pushed back through A^-1, too. As published, the optimiser begins at the straight line and goes on for a fixed
number of iterations after the first free trajectory.

Descent ends in local minima. `hmc_runs` adds runs of Hamiltonian Monte Carlo (Zucker et al. 2013): the same
gradient drives a leapfrog integrator of trajectory and momentum, the momentum is drawn anew after exponentially
distributed numbers of iterations, and the temperature falls during the run, until only descent is left. What is
found free on the way is improved by descent.

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
class ChompSettings:
    """Settings of `Chomp`.

    Attributes:
        num_waypoints: interior waypoints.
        derivative: order of the finite differences that make F_smooth and A: 1 velocities, 2 accelerations, 3 jerks.
        epsilon: distance from obstacles at which their potential begins [m].
        self_epsilon: the same between links [m].
        smoothness: lambda, weight of F_smooth against F_obs.
        eta: step size regulariser; the step is 1/eta.
        max_move: an update that moves a joint farther than this is scaled down to it [rad or m]; not
            in the papers, it keeps the curvature term of a point that has nearly stopped from throwing the arm.
        max_iterations: of one run.
        min_iterations: before a free trajectory is accepted.
        extra_iterations: spent on improving after the first free one.
        check_every: iterations between two looks whether the edges are free.
        hmc_runs: runs of Hamiltonian Monte Carlo after descent found nothing, over all goals.
        hmc_temperature: of the first momentum: its velocities are drawn from N(0, temperature A^-1).
        hmc_cooling: factor on the temperature for each iteration.
        hmc_period: mean number of iterations between two draws of the momentum.
        time_budget: give up after this [s].
    """

    num_waypoints: int = 50
    derivative: int = 1
    epsilon: float = 0.07
    self_epsilon: float = 0.02
    smoothness: float = 0.01
    eta: float = 1.0
    max_move: float = 0.1
    max_iterations: int = 500
    min_iterations: int = 20
    extra_iterations: int = 30
    check_every: int = 5
    hmc_runs: int = 20
    hmc_temperature: float = 0.01
    hmc_cooling: float = 0.97
    hmc_period: float = 20.0
    time_budget: float = 10.0

    def __post_init__(self) -> None:
        positive, count = Range(0, above=True), Range(0, whole=True)
        check_fields(
            self,
            {
                "num_waypoints": Range(3, whole=True),
                "derivative": Range(1, 3, whole=True),
                "smoothness": Range(0),
                **dict.fromkeys(["epsilon", "self_epsilon", "eta", "max_move", "time_budget"], positive),
                **dict.fromkeys(["min_iterations", "extra_iterations", "hmc_runs"], count),
                **dict.fromkeys(["max_iterations", "check_every"], Range(1, whole=True)),
                "hmc_temperature": Range(0),
                "hmc_cooling": Range(0, 1),
                "hmc_period": Range(1),
            },
        )


class Chomp(Baseline):
    """Covariant gradient descent on an arc-length obstacle functional; Hamiltonian Monte Carlo if asked for."""

    def __init__(self, settings: ChompSettings | None = None) -> None:
        self.settings = settings or ChompSettings()
        self.metric = SmoothnessMetric(self.settings.num_waypoints, self.settings.derivative)

    def search(self, task: Task) -> Claim:
        s, rng, goals = self.settings, np.random.default_rng(task.seed), nearest_first(task)
        begin = time.perf_counter()
        deadline = begin + s.time_budget
        attempts: list[Attempt] = []
        for k in range(len(goals) + s.hmc_runs):
            line = straight_line(task.start, goals[k % len(goals)], s.num_waypoints)
            attempts.append(self._run(task, line, rng if k >= len(goals) else None, deadline))
            if attempts[-1].free is not None or time.perf_counter() >= deadline:
                break
        return conclude(task, attempts, begin=begin, deadline=deadline)

    def _run(self, task: Task, q: Array, rng: np.random.Generator | None, deadline: float) -> Attempt:
        """Optimise ``q`` (n + 2, dof): by descent, or by Hamiltonian Monte Carlo if ``rng`` is given."""
        s, metric = self.settings, self.metric
        velocity = np.zeros_like(q[1:-1])
        step = np.sqrt(2.0 / s.eta)  # a leapfrog step from rest is then the same as one of descent
        draw_at, temperature = 0, s.hmc_temperature
        best, best_cost, last = None, np.inf, s.max_iterations
        iteration = 0
        while True:
            terms = self._terms(task, q)
            looked = iteration >= s.min_iterations and (iteration - s.min_iterations) % s.check_every == 0
            if looked and terms.gap.min() > 0 and path_free(task.world, q):
                if best is None:
                    last = min(last, iteration + s.extra_iterations)
                cost = self._objective(q, terms)
                if cost < best_cost:
                    best, best_cost = q, cost
            if iteration >= last or time.perf_counter() > deadline:
                return Attempt(q, best, iteration)
            direction = self._covariant_gradient(q, terms)
            if rng is None or best is not None:
                move = -direction / s.eta
            else:
                if iteration == draw_at:  # and half a step back, as the leapfrog wants
                    noise = metric.noise_factor @ rng.standard_normal(velocity.shape)
                    velocity = np.sqrt(temperature) * noise + step / 2 * direction
                    draw_at += 1 + int(rng.exponential(s.hmc_period))
                velocity = velocity - step * direction
                move = step * velocity
                temperature *= s.hmc_cooling
            move *= min(1.0, s.max_move / max(float(np.abs(move).max()), 1e-12))
            q = np.concatenate([q[:1], q[1:-1] + move, q[-1:]])
            limits = task.robot.limits
            q = project_on_limits(q, limits.lower, limits.upper, metric)
            iteration += 1

    def _terms(self, task: Task, q: Array) -> Passage:
        s = self.settings
        return passage(task.world, q[None], kind=kernels.CHOMP, epsilon=s.epsilon, self_epsilon=s.self_epsilon)

    def _objective(self, q: Array, terms: Passage) -> float:
        """U[xi]"""
        return float(self.metric.dt * terms.cost.sum()) + self.settings.smoothness * self.metric.cost(q)

    def _covariant_gradient(self, q: Array, terms: Passage) -> Array:
        """(n, dof) A^-1 grad U."""
        gradient = self.metric.dt * terms.gradient[0] + self.settings.smoothness * self.metric.gradient(q)
        return self.metric.A_inverse @ gradient


def project_on_limits(q: Array, lower: Array, upper: Array, metric: SmoothnessMetric, *, rounds: int = 20) -> Array:
    """A trajectory (n + 2, dof) within the joint limits, its ends as they were (Ratliff et al. 2009).

    What passes a limit, smoothed by A^-1 and scaled so that the worst violation vanishes, is taken off, again and
    again; the little that is left after ``rounds`` is cut off.
    """
    interior = q[1:-1].copy()
    for _ in range(rounds):
        violation = interior - interior.clip(lower, upper)  # (n, dof)
        worst = np.abs(violation).argmax(axis=0), np.arange(q.shape[1])
        outside = np.abs(violation[worst]) > 1e-9
        if not outside.any():
            break
        smooth = metric.A_inverse @ violation
        # the violation may lie on both sides: what smoothing turns around at the worst place is left for the cut
        scale = np.where(outside & (smooth[worst] * violation[worst] > 0), violation[worst], 0.0)
        interior -= smooth * scale / np.where(scale != 0, smooth[worst], 1.0)
    return np.concatenate([q[:1], interior.clip(lower, upper), q[-1:]])
