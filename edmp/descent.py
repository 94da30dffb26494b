"""Covariant descent of a batch of splines on clearance and the objective: what repair and polish are made of.

Zucker et al. 2013, "CHOMP", eq. 11: the gradient on the waypoints, pulled back to the interior control points, is
multiplied by the inverse of a smoothness metric, so that a push at one waypoint moves its neighbours along.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from edmp.cached import cached_property
from edmp.collision.bands import PackedBands
from edmp.collision.free import edges_free, paths_free
from edmp.collision.world import World
from edmp.costs.clearance import clearance_field
from edmp.costs.objective import Objective
from edmp.prior.spline import Spline
from edmp.projection import Manifold

REPAIR_METRIC = (0.2, 1.0, 0.0)
SHORTEN_METRIC = (1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Descent:
    """Descent in one world.

    Attributes:
        world: robot and scene.
        spline: representation of the trajectories.
        num_waypoints: samples along the spline at which the cost is felt.
        self_margin: distance between links below which they push each other apart [m].
        objective: what the motions are ranked by, and descend beside clearance.
        bands: what constraints come down to; every step is projected onto what they leave.
    """

    world: World
    spline: Spline
    num_waypoints: int = 64
    self_margin: float = 0.01
    objective: Objective = field(default_factory=Objective)
    bands: PackedBands | None = None

    @property
    def device(self) -> torch.device:
        """Where the batch is."""
        return self.world.torch_device

    @cached_property
    def manifold(self) -> Manifold | None:
        """What the constraints leave, None without any."""
        return None if self.bands is None else Manifold(self.bands, self.spline, self.num_waypoints)

    @cached_property
    def limits(self) -> tuple[Tensor, Tensor]:
        """(dof,) lower and upper joint limits. A spline stays in the hull of its control points: clamping is enough."""
        limits = self.world.robot.limits
        where: dict[str, Any] = {"dtype": torch.float32, "device": self.device}
        return torch.as_tensor(limits.lower, **where), torch.as_tensor(limits.upper, **where)

    def clamp(self, control_points: Tensor) -> Tensor:
        """``control_points`` (B, K, dof) with the interior ones moved into the joint limits."""
        lower, upper = self.limits
        inside = torch.minimum(torch.maximum(control_points[:, 1:-1], lower), upper)
        return torch.cat([control_points[:, :1], inside, control_points[:, -1:]], dim=1)

    def waypoints(self, control_points: Tensor) -> Tensor:
        """(B, num_waypoints, dof)"""
        return self.spline.waypoints(control_points, self.num_waypoints)

    def length(self, control_points: Tensor) -> Tensor:
        """(B,) joint-space length [rad]."""
        return torch.linalg.vector_norm(self.waypoints(control_points).diff(dim=1), dim=-1).sum(dim=1)

    def value(self, control_points: Tensor) -> Tensor:
        """(B,) the objective: length and the weighted terms [rad]."""
        length = self.length(control_points)
        if not self.objective.terms:
            return length
        return length + self.objective.weighted(self.terms(control_points))

    def terms(self, control_points: Tensor) -> Tensor:
        """(B, terms) value of each term of the objective."""
        q = self.spline.waypoints(control_points, self.objective.num_waypoints)
        return self.objective.values(self.world, q)

    def terms_gradient(self, control_points: Tensor) -> Tensor:
        """(B, K - 2, dof) gradient of the weighted terms, without length, on the interior control points."""
        q = self.spline.waypoints(control_points, self.objective.num_waypoints)
        basis = self.spline.basis(self.objective.num_waypoints, dtype=q.dtype, device=q.device)
        return basis[:, 1:-1].T @ self.objective.gradient(self.world, q)

    def free(self, control_points: Tensor, *, step: float = 0.02, margin: float = 0.0) -> Tensor:
        """(B,) does the sphere model find the whole motion free, no point moving over ``step`` [m] between checks?

        And does it keep to the constraints, if there are any?
        """
        free = paths_free(self.world, self.waypoints(control_points), step=step, margin=margin)
        return free if self.manifold is None else free & self.manifold.holds(control_points)

    def free_edges(self, control_points: Tensor, *, step: float = 0.02, margin: float = 0.0) -> Tensor:
        """(B, num_waypoints - 1) as `free`, edge by edge."""
        return edges_free(self.world, self.waypoints(control_points), step=step, margin=margin)

    def faulty(self, control_points: Tensor, *, step: float = 0.02) -> Tensor:
        """(B,) the share of each motion that is not free, and that of it which breaks constraints, in sum [1]."""
        faulty = (~self.free_edges(control_points, step=step)).float().mean(dim=1)
        if self.manifold is not None:
            faulty = faulty + (self.manifold.excess(control_points) > 0.0).float().mean(dim=1)
        return faulty

    def cost_gradient(
        self, control_points: Tensor, clearance: Tensor, *, every: int = 1, first: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Clearance cost and its gradient.

        Args:
            control_points: (B, K, dof).
            clearance: (B,) distance below which an obstacle pushes [m].
            every: the cost is felt at every so many-th waypoint; the gradient is that many times as large.
            first: the first of these.

        Returns:
            cost (B, waypoints that were felt), and its gradient (B, K - 2, dof) on the interior control points.
        """
        basis = self.spline.basis(self.num_waypoints, device=control_points.device)[first::every]
        q = basis @ control_points
        cost, gradient = clearance_field(self.world, q, clearance, self_margin=self.self_margin)
        return cost, every * (basis[:, 1:-1].T @ gradient)

    def covariant_step(
        self,
        control_points: Tensor,
        gradient: Tensor,
        *,
        max_move: float,
        metric: tuple[float, float, float] = REPAIR_METRIC,
        max_scale: float = float("inf"),
        pull: Tensor | float = 0.0,
        also: Tensor | None = None,
    ) -> Tensor:
        """One covariant update.

        Args:
            control_points: (B, K, dof).
            gradient: (B, K - 2, dof) on the interior control points.
            max_move: each trajectory's step is scaled so that its farthest waypoint moves this far [rad].
            metric: weights of squared velocity, acceleration and jerk in the smoothness metric.
            max_scale: largest factor on the preconditioned gradient; gentle pushes then stay gentle.
            pull: fraction of the way to the straight line that is added: a step of covariant descent on length;
                a number, or one for each trajectory (B,).
            also: (B, K - 2, dof) a move of the interior control points that is added, such as `objective_step`.

        Returns:
            (B, K, dof), within the joint limits.
        """
        smoothing = self.spline.smoothing_tensor(metric, dtype=gradient.dtype, device=gradient.device)
        direction = smoothing @ gradient
        basis = self.spline.basis(self.num_waypoints, device=direction.device)[:, 1:-1]
        farthest = torch.linalg.vector_norm(basis @ direction, dim=-1).amax(dim=1)
        scale = torch.where(farthest > 1e-9, (max_move / farthest.clamp_min(1e-9)).clamp_max(max_scale), 0.0)
        interior = control_points[:, 1:-1] - scale[:, None, None] * direction
        line = self.spline.straight_line(control_points[:, 0], control_points[:, -1])[:, 1:-1]
        pull = torch.as_tensor(pull, device=line.device).reshape(-1, 1, 1)
        interior = interior + pull * (line - control_points[:, 1:-1])
        if also is not None:
            interior = interior + also
        return self._kept(control_points, interior)

    def onto_constraints(self, control_points: Tensor, *, iterations: int) -> Tensor:
        """``control_points`` (B, K, dof), led onto what constraints leave, as far as ``iterations`` go."""
        if self.manifold is None:
            return control_points
        return self.manifold.landed(control_points, iterations=iterations)

    def _kept(self, control_points: Tensor, interior: Tensor) -> Tensor:
        """``control_points`` (B, K, dof) with new interior ones, projected onto constraints and into the limits."""
        if self.manifold is not None:
            lower, upper = self.limits
            interior = self.manifold.kept(control_points, torch.minimum(torch.maximum(interior, lower), upper))
        return self.clamp(torch.cat([control_points[:, :1], interior, control_points[:, -1:]], dim=1))

    def with_terms(self, gradient: Tensor, control_points: Tensor) -> Tensor:
        """``gradient`` (B, K - 2, dof) of clearance, with that of the terms added: what repair descends.

        Of each trajectory the terms' part is held to half of clearance's, so that every step still descends clearance:
        what the terms want must not keep a motion in collision.
        """
        if not self.objective.terms:
            return gradient
        own = self.terms_gradient(control_points)
        most = gradient.flatten(1).norm(dim=1) / 2
        return gradient + own * (most / own.flatten(1).norm(dim=1).clamp_min(1e-12)).clamp_max(1.0)[:, None, None]

    def objective_step(self, control_points: Tensor, *, pull: float, max_move: float) -> Tensor:
        """(B, K - 2, dof) how a covariant step on the objective moves the interior control points.

        In the metric of squared velocity, a step on length L goes ``pull`` times the way to the straight line, and one
        on L + sum w c goes pull (line - x - L G^-1 sum w dc/dx), with G the Gram matrix of the first derivative: at
        constant speed L^2 / 2 is the squared-velocity energy x^T G x / 2, whose gradient is L dL/dx. It is scaled so
        that no waypoint moves farther than ``max_move`` [rad].
        """
        line = self.spline.straight_line(control_points[:, 0], control_points[:, -1])
        inverse = torch.as_tensor(self.spline.inverse_gram(1), dtype=line.dtype, device=line.device)
        length = self.length(control_points)[:, None, None]
        towards_line = (line - control_points)[:, 1:-1]
        move = pull * (towards_line - length * (inverse @ self.terms_gradient(control_points)))
        basis = self.spline.basis(self.num_waypoints, dtype=move.dtype, device=move.device)[:, 1:-1]
        farthest = torch.linalg.vector_norm(basis @ move, dim=-1).amax(dim=1)
        return move * (max_move / farthest.clamp_min(1e-9)).clamp_max(1.0)[:, None, None]

    def shorten(
        self,
        control_points: Tensor,
        *,
        clearance: float,
        iterations: int = 60,
        check_every: int = 8,
        pull: float = 0.1,
        max_move: float = 0.05,
        max_scale: float = 0.3,
        step: float = 0.02,
        margin: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Pull motions taut against the obstacles; keep, of each, the best version that was free.

        The best is that of least `value`: with terms in the objective they are descended together with length, without
        any it is the shortest.

        Args:
            control_points: (B, K, dof).
            clearance: distance at which obstacles begin to push back [m].
            iterations: covariant steps.
            check_every: steps between two tests of validity.
            pull: fraction of the way to the straight line taken in each step.
            max_move, max_scale: see `covariant_step`.
            step, margin: see `free`.

        Returns:
            control points (B, K, dof) and their `value` (B,) [rad]; ``inf`` where no free version was seen.
        """
        num = control_points.shape[0]
        best, best_value = control_points.clone(), control_points.new_full((num,), float("inf"))
        clearances = control_points.new_full((num,), clearance)
        also = None
        last = iterations - iterations % check_every  # of the looks: no step leads on from there
        for i in range(last + 1):
            if i % check_every == 0:
                value = self.value(control_points)
                better = self.free(control_points, step=step, margin=margin) & (value < best_value)
                best[better], best_value[better] = control_points[better], value[better]
            if i == last:
                break
            _, gradient = self.cost_gradient(control_points, clearances)
            if self.objective.terms:
                also = self.objective_step(control_points, pull=pull, max_move=max_move)
            control_points = self.covariant_step(
                control_points,
                gradient,
                max_move=max_move,
                metric=SHORTEN_METRIC,
                max_scale=max_scale,
                pull=pull if also is None else 0.0,
                also=also,
            )
        return best, best_value
