"""Guidance: a denoiser that wraps another one and pushes its clean estimates out of collision.

At each denoising step the wrapped denoiser predicts the clean spline, a few covariant cost-gradient steps move it away
from the obstacles, and the sampler goes on from the corrected estimate (classifier guidance on the clean estimate, with
the update of CHOMP).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from edmp.costs.ensemble import Ensemble
from edmp.descent import Descent
from edmp.learning.edm import Callback, Step
from edmp.prior.base import Denoiser, Prior
from edmp.ranges import Range, check_fields


@dataclass(frozen=True)
class GuidanceSettings:
    """Attributes:
    steps: cost-gradient steps on each clean estimate.
    max_move: how far the farthest waypoint moves in one such step, at noise level 0 [rad].
    max_scale: largest factor on a preconditioned gradient; a trajectory hardly in touch is hardly moved.
    """

    steps: int = 1
    max_move: float = 0.1
    max_scale: float = 1.0

    def __post_init__(self) -> None:
        positive = Range(0, above=True)
        check_fields(self, {"steps": Range(0, whole=True), "max_move": positive, "max_scale": positive})


def remaining_share(prior: Prior, sigma: float, rho: float = 7.0) -> float:
    """Share of the denoising still ahead at noise level ``sigma``: 1 at sigma_max, 0 at sigma_min (EDM eq. 5)."""
    low, high, now = (s ** (1 / rho) for s in (prior.sigma_min, prior.sigma_max, sigma))
    return min(1.0, max(0.0, (now - low) / (high - low)))


Push = Callable[[Tensor, float], Tensor]
"""``push(x, sigma) -> x``: clean estimates (batch, dim), moved as guidance moves them at noise level ``sigma``."""


def guided(denoise: Denoiser, push: Push) -> Denoiser:
    """``denoise``, whose clean estimates are pushed."""
    return lambda x, sigma: push(denoise(x, sigma), float(sigma))


def pushes(
    *,
    prior: Prior,
    ensemble: Ensemble,
    descent: Descent,
    start: Tensor,
    goal: Tensor,
    settings: GuidanceSettings,
) -> Push:
    """How clean estimates are moved by the costs of ``ensemble`` and, in every row, the terms of the objective.

    Args:
        prior: whose noise levels the schedules of the ensemble refer to.
        ensemble: row i of the batch follows the member ``ensemble.rows[i]``.
        descent: the world, the objective and the covariant update.
        start, goal: (batch, dof) or (1, dof) [rad or m].
        settings: see `GuidanceSettings`.
    """
    spline = descent.spline
    basis = spline.basis(descent.num_waypoints, device=descent.device)[:, 1:-1]

    def push(x: Tensor, sigma: float) -> Tensor:
        control_points = spline.control_points(x, start, goal)
        share = remaining_share(prior, sigma)
        for _ in range(settings.steps):
            q = descent.waypoints(control_points).contiguous()
            _, gradient = ensemble.value_and_gradient(descent.world, q, share)
            gradient = basis.T @ gradient
            if descent.objective.terms:
                gradient = gradient + descent.terms_gradient(control_points)
            control_points = descent.covariant_step(
                control_points, gradient, max_move=settings.max_move, max_scale=settings.max_scale
            )
        return spline.deviation(control_points)

    return push


def pushed_once(
    denoise: Denoiser, push: Push, x: Tensor, sigmas: Tensor, *, callback: Callback | None = None
) -> Tensor:
    """One call of a prior that needs no more, and then all pushes that a sampler would give between its calls.

    Arguments as those of `edmp.learning.edm.sample_euler`; ``x`` is noise of level ``sigmas[0]``.
    """
    levels = sigmas.tolist()
    clean = denoise(x, levels[0])
    for index, sigma in enumerate(levels[:-1]):
        clean = push(clean, sigma)
        if callback is not None:
            callback(Step(index, sigma, x if index == 0 else clean, clean))
    return clean
