"""What an arm was told and what it did, tick by tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.errors import InvalidInputError
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Handled:
    """What a task did with its gripper, at some of the ticks.

    Attributes:
        ticks: (m,) their numbers, in order.
        widths: (m,) gap between the fingers [m]; not a number where the driver does not know.
        objects: (m, 4, 4) poses X_WO of what can be moved, by its name, as far as the driver knows (a simulation).
    """

    ticks: NDArray[np.int64]
    widths: Array
    objects: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Recording:
    """Every tick of a motion.

    Attributes:
        joint_names: (dof) column order.
        times: (n,) of the measurements, on the driver's clock [s].
        seen: (n,) when the executor saw them, by `ArmDriver.now` [s].
        commanded: (n, dof) positions that were to be reached by then [rad or m].
        measured: (n, dof) positions [rad or m].
        commanded_velocities, measured_velocities: (n, dof) [rad/s or m/s].
        torques, external_torques: (n, dof) [Nm or N].
        contacts: (tick, one thing, the other) for each tick at which something touched.
        handled: gripper and objects, of a task; None of a single motion.
        lead: commands were sent this much before they were to be reached [s].
    """

    joint_names: tuple[str, ...]
    times: Array
    seen: Array
    commanded: Array
    measured: Array
    commanded_velocities: Array
    measured_velocities: Array
    torques: Array
    external_torques: Array
    contacts: tuple[tuple[int, str, str], ...] = ()
    handled: Handled | None = None
    lead: float = 0.0


def spaced_rows(times: Array, spacing: float) -> NDArray[np.int64]:
    """Rows of ``times`` (n,) that are about ``spacing`` apart, the first and the last among them [s]."""
    if len(times) == 0:
        return np.zeros(0, dtype=np.int64)
    rows = np.searchsorted(times, np.arange(times[0], times[-1], spacing))
    return np.unique(np.append(rows, len(times) - 1).clip(max=len(times) - 1))  # arange may go past its end


def measured_motion(recording: Recording) -> Trajectory:
    """What the arm was measured to do, by its own clock, from time 0, for viewers; ticks that say nothing new are left
    out. See also `motion_as_seen`.

    Accelerations are differences of the measured velocities.

    Raises:
        InvalidInputError: fewer than two ticks are left.
    """
    finite = np.isfinite(recording.times) & np.isfinite(recording.measured).all(axis=1)
    finite &= np.isfinite(recording.measured_velocities).all(axis=1)
    rows = np.flatnonzero(finite)
    rows = (
        rows[np.concatenate([[True], np.diff(np.maximum.accumulate(recording.times[rows])) > 0])] if len(rows) else rows
    )
    if len(rows) < 2:
        raise InvalidInputError("the recording holds no motion: the arm was refused before anything moved")
    times, v = recording.times[rows], recording.measured_velocities[rows]
    acceleration = np.gradient(v, times, axis=0)
    return Trajectory(recording.joint_names, times - times[0], recording.measured[rows], v, acceleration)


def motion_as_seen(recording: Recording) -> Trajectory:
    """What was measured, by the clock of the executor: at the times at which it saw it, from ``recording.seen[0]`` on.

    This is the clock by which other things move. `measured_motion` goes by the clock of the arm. Accelerations are 0.
    """
    later = np.concatenate([[True], np.diff(recording.seen) > 1e-6])
    times = recording.seen[later] - recording.seen[0]
    q, v = recording.measured[later], recording.measured_velocities[later]
    return Trajectory(recording.joint_names, times, q, v, np.zeros_like(q))
