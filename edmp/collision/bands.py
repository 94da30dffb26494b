"""`PackedBands`: what the constraints of a motion come down to, for the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edmp.collision.free import pack_rows
from edmp.collision.kernels import bands as kernels
from edmp.collision.launch import launch_rows
from edmp.collision.world import World
from edmp.constraints import Band, BandKind
from edmp.errors import InvalidInputError
from edmp.warp_start import wp

Array = NDArray[np.float64]

MAX_BANDS = 24
"""Room in the kernels (`edmp.collision.kernels.bands`)."""
SLACK_SHARE = 0.3
"""Motions are looked for inside bands that are narrower by this share of half their width ..."""
MOST_SLACK_LENGTH, MOST_SLACK_ANGLE = 0.01, 0.03
"""... but by no more than this [m], [rad]: room for what lies between samples, and for the judge's bounds."""
SHORTEST_EDGE, LONGEST_EDGE = 0.01, 0.05
_LENGTHS = (BandKind.COORDINATE, BandKind.OFFSET)
_NOT_NEGATIVE = (BandKind.ANGLE, BandKind.OFFSET, BandKind.GAZE)


@dataclass(frozen=True)
class PackedBands:
    """The bands of one robot, packed for the kernels of a device.

    Attributes:
        world: whose robot and device.
        bands: as kernels read them.
        limits: lower and upper joint limits (dof,) for the kernels [rad or m].
        count: number of bands.
        edge: how long edges of a polyline in the middle of what the bands leave may be about, to stay inside [rad].
    """

    world: World
    bands: kernels.Bands
    limits: tuple[wp.array, wp.array]
    count: int
    edge: float

    @classmethod
    def of(cls, world: World, bands: Sequence[Band]) -> PackedBands | None:
        """``bands`` packed; None if there are none.

        Raises:
            InvalidInputError: there are more than `MAX_BANDS`.
        """
        if not bands:
            return None
        if len(bands) > MAX_BANDS:
            raise InvalidInputError(
                f"the constraints come down to {len(bands)} bounded numbers; the kernels take at most {MAX_BANDS}"
            )
        lower, upper, slack = (np.array(column) for column in zip(*(_bounds(band) for band in bands), strict=True))

        def pack(values, dtype):
            return wp.array(np.asarray(values), dtype=dtype, device=world.device)

        packed = kernels.Bands()
        packed.count = len(bands)
        packed.kind = pack([int(band.kind) for band in bands], int)
        packed.lower, packed.upper, packed.slack = (pack(x.astype(np.float32), float) for x in (lower, upper, slack))
        packed.body = pack([band.body for band in bands], int)
        packed.R_BF = pack([band.X_BF[:3, :3] for band in bands], wp.mat33)
        packed.p_BF = pack([band.X_BF[:3, 3] for band in bands], wp.vec3)
        packed.axis_B = pack([band.X_BF[:3, :3] @ band.axis for band in bands], wp.vec3)
        packed.direction = pack([band.direction for band in bands], wp.vec3)
        packed.point = pack([band.point for band in bands], wp.vec3)
        packed.R_WT = pack([band.rotation for band in bands], wp.mat33)
        packed.index = pack([band.index for band in bands], int)
        limits = world.robot.limits
        box = (pack_rows(limits.lower, world.device), pack_rows(limits.upper, world.device))
        # An edge of length e leaves an arc of a metre's radius by e^2 / 8 [m], and turns an axis out of it by as much.
        edge = float(np.clip(np.sqrt(8.0 * slack.min() / 2), SHORTEST_EDGE, LONGEST_EDGE))
        return cls(world, packed, box, len(bands), edge)

    def values(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Value (batch, n, count) of each band at ``q`` (batch, n, dof), and gradient (batch, n, count, dof)."""
        q = q.contiguous()
        value = q.new_empty(*q.shape[:2], self.count)
        gradient = q.new_empty(*value.shape, q.shape[2])
        launch_rows(
            kernels.band_rows,
            len(q),
            (q.shape[1],),
            [self.world.chain, self.bands, wp.from_torch(q)],
            [wp.from_torch(value), wp.from_torch(gradient)],
            self.world.device,
        )
        return value, gradient

    def excess(self, q: Tensor, share: Tensor) -> Tensor:
        """(batch, n) how far ``q`` (batch, n, dof) is out of its worst band, in slacks; 0 where all hold.

        Args:
            q: [rad or m].
            share: (n,) of its slack by which each band is narrowed at each waypoint.
        """
        q = q.contiguous()
        out = q.new_empty(q.shape[:2])
        inputs = [self.world.chain, self.bands, wp.from_torch(q), wp.from_torch(share.contiguous())]
        launch_rows(kernels.rows_excess, len(q), (q.shape[1],), inputs, [wp.from_torch(out)], self.world.device)
        return out

    def projected(self, q: Array, *, max_iterations: int = 40) -> tuple[Array, NDArray[np.bool_]]:
        """Configurations near ``q`` (n, dof) inside all bands and the joint limits, and which (n,) of them are."""
        device = self.world.device
        rows = pack_rows(q[:, None], device)
        out, holds = wp.empty_like(rows), wp.zeros((len(q), 1), dtype=wp.bool, device=device)
        inputs = [self.world.chain, self.bands, rows, *self.limits, max_iterations]
        launch_rows(kernels.rows_projected, len(q), (1,), inputs, [out, holds], device)
        return out.numpy()[:, 0].astype(np.float64), holds.numpy()[:, 0]


def _bounds(band: Band) -> tuple[float, float, float]:
    """Lower and upper bound as single precision holds them, and slack."""
    cone = band.kind in _NOT_NEGATIVE and band.lower <= 0.0  # bounded from above alone: its middle is 0
    half = band.upper if cone else (band.upper - band.lower) / 2
    most = MOST_SLACK_LENGTH if band.kind in _LENGTHS else MOST_SLACK_ANGLE
    lower = -np.inf if cone else band.lower
    return max(lower, -1e6), min(band.upper, 1e6), min(SLACK_SHARE * half, most)
