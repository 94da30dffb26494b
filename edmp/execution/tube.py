"""A certificate as a tube: how far from its path the arm may be measured before it must stop.

The judge has proved the path free, with some clearance at each place. `Tube` looks at every tick how far the arm is
from its path, not from its command: an arm that is late is on the path still, where it is free. The displacement that
its distance from the path can mean for any point of a link (`edmp.validate.margins`) is held against the clearance
proved there. When a share of it is used up, now or after the time until braking works, the arm brakes along the path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.execution.driver import ArmState
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.trajectory import Trajectory
from edmp.validate.margins import path_margins

Array = NDArray[np.float64]

_WINDOW = 12
"""Edges before and behind the last place that are searched for the present one; an arm passes one a sample period."""


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
    """

    def __init__(
        self, robot: Robot, scene: Scene, trajectory: Trajectory, *, settings: TubeSettings | None = None
    ) -> None:
        self.settings = settings or TubeSettings()
        q = trajectory.positions
        moved = np.concatenate([[True], np.abs(np.diff(q, axis=0)).max(axis=1) > 1e-9])
        path = q[moved] if moved.sum() > 1 else np.stack([q[0], q[-1]])
        self.margins = path_margins(robot, scene, path, far=self.settings.far)
        self._steps = np.diff(path, axis=0)
        self._squares = np.maximum(np.sum(self._steps**2, axis=1), 1e-300)
        self._place = 0

    def check(self, state: ArmState) -> str | None:
        """Why the arm must stop, None if it is well within; call it with states in the order of time."""
        if not self.margins.links:
            return None
        used, displacement, row = self.used(state)
        if used <= self.settings.share:
            return None
        clearance = self.margins.clearance[self._place, row]
        return (
            f"{self.margins.links[row]} may be {displacement * 1e3:.1f} mm off its path, where "
            f"{max(clearance, 0.0) * 1e3:.1f} mm are free"
        )

    def used(self, state: ArmState) -> tuple[float, float, int]:
        """Share of the clearance that is used up, by how much displacement [m], and the row of `margins`."""
        margins, settings = self.margins, self.settings
        edges = np.arange(
            max(0, self._place - _WINDOW), min(len(self._steps), self._place + _WINDOW + 1), dtype=np.int64
        )
        steps, squares = self._steps[edges], self._squares[edges]
        beside = state.positions - margins.path[edges]
        along = np.clip(np.sum(beside * steps, axis=1) / squares, 0.0, 1.0)
        offset = beside - along[:, None] * steps
        # Only what leads away from the path brings it nearer to anything.
        leaving = state.velocities - ((steps @ state.velocities) / squares)[:, None] * steps
        offsets = np.stack([offset, offset + settings.reaction * leaving])
        offsets = np.sign(offsets) * np.maximum(np.abs(offsets) - settings.noise, 0.0)
        moved = np.maximum(margins.displacement(edges, offsets[0]), margins.displacement(edges, offsets[1]))
        shares = moved / np.maximum(margins.clearance[edges], 1e-9)
        worst = shares.max(axis=1)
        best = int(worst.argmin())
        self._place = int(edges[best])
        row = int(shares[best].argmax())
        return float(worst[best]), float(moved[best, row]), row
