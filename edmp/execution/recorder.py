"""How an executed motion is recorded, tick by tick; and its summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.execution.driver import ArmState, Command
from edmp.recordings.recording import Handled, Recording, spaced_rows
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.validate import Judge

Array = NDArray[np.float64]

LOOK_PERIOD = 0.01
"""Gripper and objects are looked at so often [s]."""


class Recorder:
    """Collects ticks.

    Attributes:
        look: asked every `LOOK_PERIOD` for the gap between the fingers [m], None if it is not known, and the poses
            X_WO (4, 4) of what can be moved; None asks for nothing.
        lead: commands are sent this much before they are to be reached [s].
    """

    def __init__(self, robot: Robot) -> None:
        self.look: Callable[[], tuple[float | None, Mapping[str, Array]]] | None = None
        self.lead = 0.0
        self._robot = robot
        self._rows: list[tuple[float, float, Command, ArmState]] = []
        self._looks: list[tuple[int, float, Mapping[str, Array]]] = []
        self._looked = -np.inf

    def add(self, state: ArmState, command: Command, seen: float) -> None:
        self._rows.append((state.time, seen, command, state))
        if self.look is not None and state.time - self._looked >= LOOK_PERIOD:
            width, objects = self.look()
            self._looks.append((len(self._rows) - 1, np.nan if width is None else width, objects))
            self._looked = state.time

    def recording(self) -> Recording:
        """All ticks so far."""
        dof = self._robot.dof
        times, seen, commands, states = zip(*self._rows, strict=True) if self._rows else ((), (), (), ())

        def table(rows: list[Array]) -> Array:
            return np.array(rows, dtype=np.float64).reshape(len(rows), dof)

        return Recording(
            self._robot.joint_names,
            np.array(times, dtype=np.float64),
            np.array(seen, dtype=np.float64),
            table([c.positions for c in commands]),
            table([s.positions for s in states]),
            table([c.velocities for c in commands]),
            table([s.velocities for s in states]),
            table([s.torques for s in states]),
            table([s.external_torques for s in states]),
            tuple((k, *state.contact) for k, state in enumerate(states) if state.contact),
            self._handled(),
            self.lead,
        )

    def _handled(self) -> Handled | None:
        if not self._looks:
            return None
        ticks, widths, objects = zip(*self._looks, strict=True)
        always = [name for name in objects[0] if all(name in one for one in objects)]
        poses = {name: np.array([one[name] for one in objects]) for name in always}
        return Handled(np.array(ticks, dtype=np.int64), np.array(widths, dtype=np.float64), poses)


@dataclass(frozen=True)
class Summary:
    """A motion in numbers.

    Attributes:
        duration: [s].
        tracking_rms, tracking_peak: distance from the command, over all joints and ticks [mrad].
        peak_torque: largest torque [Nm].
        min_clearance: of the measured motion, proved by the judge; 0 if it touched; None without a scene [m].
        jitter: standard deviation of the time between ticks [ms].
        num_contacts: ticks at which something touched.
        torque_share: largest share of its joint's effort limit that any torque was; None without a robot [1].
    """

    duration: float
    tracking_rms: float
    tracking_peak: float
    peak_torque: float
    min_clearance: float | None
    jitter: float
    num_contacts: int
    torque_share: float | None = None


@checked
def summarise(recording: Recording, *, robot: Robot | None = None, scene: Scene | None = None) -> Summary:
    """The summary; with ``robot`` and ``scene`` also how near the measured motion came to an obstacle."""
    if len(recording.times) == 0:
        return Summary(0.0, 0.0, 0.0, 0.0, None, 0.0, 0)
    error = 1e3 * (recording.measured - recording.commanded)
    return Summary(
        duration=float(recording.times[-1] - recording.times[0]),
        tracking_rms=float(np.sqrt(np.mean(error**2))),
        tracking_peak=float(np.abs(error).max()),
        peak_torque=float(np.abs(recording.torques).max()),
        min_clearance=_clearance(recording, robot, scene),
        jitter=float(1e3 * np.diff(recording.seen).std()) if len(recording.times) > 2 else 0.0,
        num_contacts=len(recording.contacts),
        torque_share=None if robot is None else float((np.abs(recording.torques) / robot.limits.effort).max()),
    )


def _clearance(recording: Recording, robot: Robot | None, scene: Scene | None) -> float | None:
    """Of the ticks some 10 ms apart; the judge proves what lies between."""
    if robot is None or scene is None:
        return None
    rows = spaced_rows(recording.times, 0.01)
    return Judge(robot, scene).clearance(robot.clipped(recording.measured[rows]))
