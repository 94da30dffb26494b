"""One arm under its controller, command by command: what `track` does with a whole motion."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked
from edmp.dynamics import control_kernels as control
from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.simulate import (
    Controller,
    loops_at,
    packed_arms,
    packed_controllers,
    packed_tree,
    scratch,
)
from edmp.errors import InvalidInputError
from edmp.ranges import Range
from edmp.warp_start import wp

Array = NDArray[np.float64]

_DEVICE = "cpu"


class ControlledArm:
    """The closed loop of `track`, which remembers where it is; a command takes a tenth of a millisecond.

    Args:
        arm: what moves.
        nominal: what the controller believes of it.
        controller: see `Controller`.
        positions: (dof,) where the arm is, at rest, and is told to be [rad or m].
        dt: between commands [s].
        substeps: steps of simulation and controller in it.

    Raises:
        InvalidInputError: shapes or numbers that make no sense.
    """

    @checked
    def __init__(
        self,
        arm: ArmDynamics,
        nominal: ArmDynamics,
        controller: Controller,
        positions: ArrayLike,
        dt: float,
        *,
        substeps: int = 1,
    ) -> None:
        robot, start = arm.robot, np.array(positions, dtype=np.float64)
        if start.shape != (robot.dof,) or not np.isfinite(start).all():
            raise InvalidInputError(f"positions: expected {robot.dof} finite joint values, got {positions!r}")
        if not Range(0, above=True).holds(dt) or substeps < 1:
            raise InvalidInputError(f"dt must be above 0 and substeps at least 1, got {dt} s and {substeps}")
        still = np.zeros(robot.dof)
        self._line = deque([(start, still, still)] * round(controller.delay / dt))
        shape = (1, 1, robot.dof)
        commanded = control.Reference()
        told = [wp.zeros(shape, dtype=wp.float64, device=_DEVICE) for _ in range(3)]
        commanded.q, commanded.v, commanded.a = told
        said = [wp.zeros(shape, dtype=wp.float64, device=_DEVICE) for _ in range(3)]
        self._told, self._said = ([array.numpy()[0, 0] for array in arrays] for arrays in (told, said))
        prompt = replace(controller, delay=0.0)
        room = [wp.zeros((1, robot.dof, robot.dof), dtype=wp.float64, device=_DEVICE) for _ in range(2)]
        inputs = [
            packed_tree(robot, _DEVICE),
            packed_arms([arm], _DEVICE),
            scratch(1, robot.dof + 1, _DEVICE),
            packed_arms([nominal], _DEVICE),
            packed_controllers([prompt], robot, dt, _DEVICE),
            commanded,
            loops_at(start[None], _DEVICE),
            *(dt / substeps, substeps, 1, *room, 0),
        ]
        self._kept = (inputs, told, said)  # what the launch points to
        self._launch = wp.launch(
            control.track_rows, dim=1, inputs=inputs, outputs=said, device=_DEVICE, record_cmd=True
        )

    def advance(self, q: Array, v: Array, a: Array) -> tuple[Array, Array, Array]:
        """Told to be at ``q``, moving at ``v``, accelerating by ``a`` (dof,) ``dt`` from now; all that counts later if
        its commands are late.

        Returns:
            positions, velocities (dof,) at that time, and the mean of the torques meanwhile.
        """
        self._line.append((q, v, a))
        for room, value in zip(self._told, self._line.popleft(), strict=True):
            room[:] = value
        self._launch.launch()
        q_now, v_now, tau = (values.copy() for values in self._said)
        return q_now, v_now, tau
