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

from edmp.cached import cached_property
from edmp.collision.bands import PackedBands
from edmp.collision.free import pack_rows
from edmp.collision.launch import launch_rows
from edmp.prior.spline import Spline
from edmp.projection import kernels
from edmp.warp_start import wp

CHECKS_PER_WAYPOINT = 4
"""Bands are looked at so many times as often as costs, when it is asked whether they hold."""
CHECKED_SHARE = 0.3
"""A motion holds where its bands, narrowed by this share of their slack, do."""
_RAMP = 0.08
"""Start and goal may use a band to its bounds; so much of the way from them, a motion is inside by its slack."""
_STIFFNESS = 2e-3
"""Weight of the metric against that of the bands: the smaller, the closer one step of Gauss-Newton comes."""
_CONTENT = 0.6
"""Splines are led into bands narrowed by all of their slack, and are there once inside by this share of it: twice what
`CHECKED_SHARE` asks for."""
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
            interior: (B, K - 2, dof), where they are wanted, within the joint limits.

        Returns:
            (B, K - 2, dof), within the joint limits but for rounding, if the bands allow that.
        """
        num, count, dof = interior.shape
        basis = self.spline.basis(self.num_waypoints, dtype=interior.dtype, device=interior.device)[:, 1:-1]
        q = self.spline.waypoints(control_points, self.num_waypoints).contiguous()
        move = (basis @ (interior - control_points[:, 1:-1])).contiguous()
        out = interior.clone()
        inputs = [self.bands.world.chain, self.bands.bands, self._family, *map(wp.from_torch, (q, move))]
        launch_rows(
            kernels.splines_kept,
            num,
            (),
            [*inputs, *self.bands.limits, _MOST_MOVE],
            [*map(wp.from_torch, _room(q, count * dof)), wp.from_torch(out)],
            self.bands.world.device,
            grain=2,
        )
        return out

    def landed(self, control_points: Tensor, *, iterations: int) -> Tensor:
        """``control_points`` (B, K, dof) led onto what the bands leave by up to so many steps as of `kept`.

        Each spline takes only the steps that it needs.
        """
        num, count, dof = control_points.shape
        interior = control_points[:, 1:-1].contiguous().clone()
        ends = control_points[:, [0, -1]].contiguous()
        q = control_points.new_zeros(num, self.num_waypoints, dof)
        inputs = [self.bands.world.chain, self.bands.bands, self._family, wp.from_torch(ends), *self.bands.limits]
        room = [q, torch.zeros_like(q), *_room(q, (count - 2) * dof)]
        launch_rows(
            kernels.splines_landed,
            num,
            (),
            [*inputs, _MOST_MOVE, _CONTENT, iterations],
            [*map(wp.from_torch, room), wp.from_torch(interior)],
            self.bands.world.device,
            grain=1,
        )
        return torch.cat([control_points[:, :1], interior, control_points[:, -1:]], dim=1)

    @cached_property
    def _family(self) -> kernels.Family:
        return _family(self.spline, self.num_waypoints, self.bands.world.device)


def _room(q: Tensor, unknowns: int) -> list[Tensor]:
    """Room for the kernels to work in."""
    shapes = (unknowns, kernels.LOCAL * q.shape[2]), (unknowns,), (unknowns,)
    return [q.new_empty(len(q), *shape) for shape in shapes]


@lru_cache(maxsize=32)
def _ramp(n: int, device: torch.device) -> Tensor:
    """(n,) 0 at both ends, 1 from `_RAMP` of the way on."""
    with torch.inference_mode(False):
        u = torch.linspace(0.0, 1.0, n, device=device)
        return (torch.minimum(u, 1.0 - u) / _RAMP).clamp_max(1.0)


@lru_cache(maxsize=32)
def _family(spline: Spline, num_waypoints: int, device: str) -> kernels.Family:
    """The spline family for the kernels, which know cubic ones alone."""
    local = kernels.LOCAL
    basis = spline.basis_at(np.linspace(0.0, 1.0, num_waypoints))
    # Where a waypoint is on a knot, one of its four basis functions is zero.
    first = np.minimum((basis > 0.0).argmax(axis=1), spline.num_control_points - local)
    values = np.take_along_axis(basis, first[:, None] + np.arange(local), axis=1)
    metric = _STIFFNESS * (spline.smoothness_metric((1.0, 0.0, 0.0)) + 0.05 * np.eye(spline.num_interior))
    rows = np.zeros((spline.num_interior, local))
    for t in range(local):
        rows[t:, local - 1 - t] = np.diagonal(metric, -t)
    family = kernels.Family()
    family.control_points, family.waypoints = spline.num_interior, num_waypoints
    family.first = wp.array((first - 1).astype(np.int32), dtype=int, device=device)
    family.basis = pack_rows(values, device)
    family.ramp = pack_rows(_ramp(num_waypoints, torch.device("cpu")).numpy(), device)
    family.metric = pack_rows(rows, device)
    return family
