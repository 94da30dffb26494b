"""`Manifold`: the splines that keep to bands, and moves of splines projected onto them.

Berenson et al. 2009 project configurations, Zucker et al. 2013 (CHOMP, sec. 4.3) whole trajectories: of all moves that
keep the linearised constraints, the one that differs least from the move that is wanted, in the metric of squared
velocity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from edmp.collision.bands import PackedBands
from edmp.prior.spline import Spline

CHECKS_PER_WAYPOINT = 4
"""Bands are looked at so many times as often as costs, when it is asked whether they hold."""
CHECKED_SHARE = 0.3
"""A motion holds where its bands, narrowed by this share of their slack, do."""
_RAMP = 0.08
"""Start and goal may use a band to its bounds; so much of the way from them, a motion is inside by its slack."""
_STIFFNESS = 2e-3
"""Weight of the metric against that of the bands: the smaller, the closer one step of Gauss-Newton comes."""
_MOST_MOVE = 0.4
"""No waypoint moves farther in one projection [rad]."""


@dataclass(frozen=True)
class Manifold:
    """What the bands leave, for splines of one family.

    Attributes:
        bands: packed for the kernels.
        spline: representation of the trajectories.
        num_waypoints: samples along a spline at which the bands are kept.
    """

    bands: PackedBands
    spline: Spline
    num_waypoints: int

    def holds(self, control_points: Tensor) -> Tensor:
        """(B,) which splines ``control_points`` (B, K, dof) keep to the bands, at samples, with a little room."""
        return self.excess(control_points).amax(dim=1) <= 0.0

    def excess(self, control_points: Tensor) -> Tensor:
        """(B, n) how far each of n samples of each spline is out of its worst band, in slacks; ends left out."""
        n = CHECKS_PER_WAYPOINT * (self.num_waypoints - 1) + 1
        q = self.spline.waypoints(control_points, n)[:, 1:-1]
        return self.bands.excess(q, CHECKED_SHARE * _ramp(n, q.device)[1:-1])

    def kept(self, control_points: Tensor, interior: Tensor) -> Tensor:
        """Interior control points as near to ``interior`` as the bands, linearised at ``control_points``, let them be.

        One step of Gauss-Newton: repeated, it leads onto the manifold from afar.

        Args:
            control_points: (B, K, dof), where the motions are.
            interior: (B, K - 2, dof), where they are wanted.

        Returns:
            (B, K - 2, dof); joint limits are the caller's business.
        """
        basis = self.spline.basis(self.num_waypoints, dtype=interior.dtype, device=interior.device)[:, 1:-1]
        q = self.spline.waypoints(control_points, self.num_waypoints)
        value, gradient = self.bands.values(q)
        move = basis @ (interior - control_points[:, 1:-1])
        value = value + (gradient * move[:, :, None]).sum(dim=-1)
        slack = self.bands.slack * _ramp(self.num_waypoints, q.device)[:, None]
        above = (value - (self.bands.upper - slack)).clamp_min(0.0)
        below = ((self.bands.lower + slack) - value).clamp_min(0.0)
        error = above - below
        rows = (error != 0.0).flatten(1).any(dim=1).nonzero().squeeze(1)
        if not len(rows):
            return interior
        correction = self._least_move(gradient[rows], error[rows], basis)
        out = interior.clone()
        out[rows] -= correction
        return out

    def _least_move(self, gradient: Tensor, error: Tensor, basis: Tensor) -> Tensor:
        """(n, K - 2, dof) the least move that changes the bands by ``error``, as far as they are out of bounds.

        Args:
            gradient: (n, w, bands, dof), w waypoints.
            error: (n, w, bands); bands without one are left alone.
            basis: (w, K - 2).
        """
        n, _, _, dof = gradient.shape
        k = basis.shape[1]
        active = gradient * (error != 0.0)[..., None]
        squares = active.transpose(2, 3) @ active  # (n, w, dof, dof)
        pairs = _pairs(self.spline, self.num_waypoints, basis.dtype, basis.device)
        normal = (pairs @ squares.flatten(2)).unflatten(1, (k, k)).unflatten(3, (dof, dof))
        normal = normal.permute(0, 1, 3, 2, 4).reshape(n, k * dof, k * dof)
        normal = normal + _metric(self.spline, dof, basis.dtype, basis.device)
        push = basis.T @ (active * error[..., None]).sum(dim=2)
        factor, _ = torch.linalg.cholesky_ex(normal)
        move = torch.cholesky_solve(push.reshape(n, k * dof, 1), factor).reshape(n, k, dof)
        farthest = torch.linalg.vector_norm(basis @ move, dim=-1).amax(dim=1)
        return move * (_MOST_MOVE / farthest.clamp_min(_MOST_MOVE))[:, None, None]


@lru_cache(maxsize=32)
def _ramp(n: int, device: torch.device) -> Tensor:
    """(n,) 0 at both ends, 1 from `_RAMP` of the way on."""
    with torch.inference_mode(False):
        u = torch.linspace(0.0, 1.0, n, device=device)
        return (torch.minimum(u, 1.0 - u) / _RAMP).clamp_max(1.0)


@lru_cache(maxsize=32)
def _pairs(spline: Spline, num_waypoints: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """((K - 2)^2, num_waypoints) products of two basis functions at each waypoint."""
    with torch.inference_mode(False):
        basis = spline.basis(num_waypoints, dtype=dtype, device=device)[:, 1:-1]
        return (basis.T[:, None] * basis.T[None]).flatten(0, 1)


@lru_cache(maxsize=32)
def _metric(spline: Spline, dof: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """((K - 2) dof, same) metric of squared velocity, with a little of the plain one."""
    metric = spline.smoothness_metric((1.0, 0.0, 0.0)) + 0.05 * np.eye(spline.num_interior)
    with torch.inference_mode(False):
        return torch.tensor(_STIFFNESS * np.kron(metric, np.eye(dof)), dtype=dtype, device=device)
