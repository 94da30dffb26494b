"""A certificate as a tube: how far from its path the arm may be measured before it must stop.

The judge has proved the path free, with some clearance at each place. `Tube` looks at every tick how far the arm is
from its path, not from its command: an arm that is late is on the path still, where it is free. The displacement that
its distance from the path can mean for any point of a link (`edmp.validate.margins`) is held against the clearance
proved there. When a share of it is used up, now or after the time until braking works, the arm brakes along the path.
For the time until then the arm is taken to follow the path as it bends, and to leave it by how its velocity deviates
from the path's: a straight extrapolation would see a bend, which the path has by itself, as leaving it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.execution.driver import ArmState
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.trajectory import Trajectory
from edmp.validate.margins import path_margins

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_WINDOW = 12
"""Edges before and behind the last place that are searched for the present one; an arm passes one a sample period."""
_STILL = 1e-3
"""Slower than this a motion has no direction of its own [rad/s or m/s]."""


@dataclass(frozen=True)
class TubeSettings:
    """Settings of `Tube`.

    Attributes:
        share: of the proven clearance that may be used up, in (0, 1].
        reaction: time until braking works: delay of the commands and build-up of the deceleration [s].
        far: clearance beyond this does not count [m].
        noise: distance from the path that is taken for noise of the measurement, joint by joint [rad or m].
    """

    share: float = 0.5
    reaction: float = 0.03
    far: float = 0.05
    noise: float = 0.0

    def __post_init__(self) -> None:
        positive = Range(0, above=True)
        check_fields(self, {"share": Range(0, 1, above=True), "far": positive, "reaction": Range(0), "noise": Range(0)})


class Tube:
    """Room round one motion of one robot in one scene. Made in about a second; asked at every tick.

    Args:
        robot: the arm that moves.
        scene: what stands around it.
        trajectory: certified free.
        settings: see `TubeSettings`.
        touching: pairs of a link and an obstacle that may touch: there is no room between them to keep to.
    """

    @checked
    def __init__(
        self,
        robot: Robot,
        scene: Scene,
        trajectory: Trajectory,
        *,
        settings: TubeSettings | None = None,
        touching: Collection[frozenset[str]] = (),
    ) -> None:
        self.settings = settings or TubeSettings()
        q = trajectory.positions
        rows = np.flatnonzero(np.concatenate([[True], np.abs(np.diff(q, axis=0)).max(axis=1) > 1e-9]))
        if len(rows) < 2:
            rows = np.array([0, len(q) - 1])
        path, times = q[rows], trajectory.times[rows]
        self.margins = path_margins(robot, scene, path, far=self.settings.far, touching=touching)
        self._steps = np.diff(path, axis=0)
        self._squares = np.maximum(np.sum(self._steps**2, axis=1), 1e-300)
        self._velocities = trajectory.velocities[rows]
        ahead = np.searchsorted(times, times[:-1] + self.settings.reaction, side="right") - 1
        self._ahead: Index = np.minimum(ahead, len(self._steps) - 1)
        self._place = 0

    @property
    def narrowest(self) -> float:
        """The smallest clearance that is proved on the motion [m], at most `TubeSettings.far`."""
        return float(self.margins.clearance.min(initial=self.settings.far))

    def restart(self) -> None:
        """Before another motion along the path from its beginning."""
        self._place = 0

    def check(self, state: ArmState) -> str | None:
        """Why the arm must stop, None if it is well within; call it with states in the order of time."""
        if not self.margins.links:
            return None
        used, displacement, row = self.used(state)
        if used <= self.settings.share:
            return None
        return (
            f"{self.margins.links[row]} may be {displacement * 1e3:.1f} mm off its path, {used:.0%} of what is free "
            f"there, or will be {self.settings.reaction * 1e3:.0f} ms later"
        )

    def used(self, state: ArmState) -> tuple[float, float, int]:
        """Share of the clearance that is used up, by how much displacement [m], and the row of `margins`."""
        margins, settings = self.margins, self.settings
        edges = np.arange(
            max(0, self._place - _WINDOW), min(len(self._steps), self._place + _WINDOW + 1), dtype=np.int64
        )
        steps = self._steps[edges]
        beside = state.positions - margins.path[edges]
        along = np.clip(np.sum(beside * steps, axis=1) / self._squares[edges], 0.0, 1.0)[:, None]
        offset = beside - along * steps
        later = offset + settings.reaction * self._leaving(state.velocities, edges, along)
        now, then = self._share(edges, offset), self._share(self._ahead[edges], later)
        worst = np.maximum(now[0].max(axis=1), then[0].max(axis=1))
        best = int(worst.argmin())
        self._place = int(edges[best])
        shares, moved = now if now[0][best].max() >= then[0][best].max() else then
        row = int(shares[best].argmax())
        return float(worst[best]), float(moved[best, row]), row

    def _leaving(self, velocity: Array, edges: Index, along: Array) -> Array:
        """(edges, dof) by how much the velocity deviates from the path's direction ``along`` (edges, 1) each edge."""
        direction = (1.0 - along) * self._velocities[edges] + along * self._velocities[edges + 1]
        square = np.sum(direction**2, axis=1)
        still = square < _STILL**2  # where the motion begins, ends or turns back, the edge tells the direction
        direction = np.where(still[:, None], self._steps[edges], direction)
        square = np.where(still, self._squares[edges], square)
        return velocity - ((direction @ velocity) / square)[:, None] * direction

    def _share(self, edges: Index, offsets: Array) -> tuple[Array, Array]:
        """(edges, rows) share of the clearance that offsets use up, and the displacement behind it [m]."""
        beyond = np.sign(offsets) * np.maximum(np.abs(offsets) - self.settings.noise, 0.0)
        moved = self.margins.displacement(edges, beyond)
        return moved / np.maximum(self.margins.clearance[edges], 1e-9), moved
