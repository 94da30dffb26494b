"""The same random arms and excitations, moved by Drake: test sets that owe nothing to our kernels.

One plant serves all arms: masses, motors and friction are parameters of its context. Plants are discrete, with the
steps that our kernels take.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydrake.systems.analysis import Simulator

from edmp.dynamics.arm import ROTOR_INERTIA, ArmDynamics, effort_scale
from edmp.dynamics.draws import Draw, Moved
from edmp.dynamics.simulate import DAMPER, EXCITED_SUBSTEPS, SPRING
from edmp.errors import InvalidInputError
from edmp.execution.drivers.drake_friction import JointFriction
from edmp.execution.drivers.drake_plant import become, make_model
from edmp.robots.robot import Robot

Array = NDArray[np.float64]


def simulated_by_drake(draw: Draw) -> Moved:
    """What Drake says of a draw of chirps or multisines, beside `edmp.dynamics.draws.simulated`.

    Raises:
        InvalidInputError: a draw of motions; `edmp bench execute` runs these in Drake.
    """
    if draw.excitation is None:
        raise InvalidInputError(
            "Drake makes windows of chirp and multisine only; edmp bench execute runs motions in it"
        )
    shaker = _Shaker(draw.robot, draw.dt / EXCITED_SUBSTEPS)
    answers = [shaker.shaken(one.arm, q0, u) for one, q0, u in zip(draw.arms, draw.q0, draw.excitation, strict=True)]
    q, v, tau = (np.array(part) for part in zip(*answers, strict=True))
    return Moved(draw, q, v, tau)


class _Shaker:
    """A plant whose masses are set anew for every arm, and the controller's model of the arm as described."""

    def __init__(self, robot: Robot, time_step: float) -> None:
        self._robot, self._time_step = robot, time_step
        self._plant: Any = make_model(robot, rotor_inertia=ROTOR_INERTIA, time_step=time_step)
        self._model: Any = make_model(robot, rotor_inertia=ROTOR_INERTIA)
        self._known = self._model.CreateDefaultContext()
        self._arm = self._plant.GetModelInstanceByName(robot.name)

    def shaken(self, arm: ArmDynamics, q0: Array, excitation: Array) -> tuple[Array, Array, Array]:
        """Positions, velocities, mean torques (T, dof), each row of ``excitation`` (T, dof) held for its time."""
        plant, effort = self._plant, self._robot.limits.effort
        spring, damper = SPRING * effort_scale(self._robot), DAMPER * effort_scale(self._robot)
        simulator = Simulator(plant)
        context = simulator.get_mutable_context()
        become(plant, self._arm, arm, context)
        plant.SetPositions(context, q0)
        motors = plant.get_actuation_input_port().FixValue(context, np.zeros_like(q0))
        friction = JointFriction(plant, self._arm, self._robot.joint_names, arm.viscous, arm.coulomb)
        simulator.Initialize()
        rows, count = [], 0
        for u in excitation:
            total = np.zeros_like(q0)
            for _ in range(EXCITED_SUBSTEPS):
                q, v = plant.GetPositions(context), plant.GetVelocities(context)
                self._model.SetPositions(self._known, q)
                gravity = self._model.CalcGravityGeneralizedForces(self._known)
                tau = np.clip(u - gravity + spring * (q0 - q) - damper * v, -effort, effort)
                motors.GetMutableData().set_value(tau)
                friction.set(context)
                # To the middle between two updates, so that rounding makes no difference to their number.
                simulator.AdvanceTo((count + 0.5) * self._time_step)
                count, total = count + 1, total + tau
            rows.append((plant.GetPositions(context), plant.GetVelocities(context), total / EXCITED_SUBSTEPS))
        q_rows, v_rows, tau_rows = (np.array(part) for part in zip(*rows, strict=True))
        return q_rows, v_rows, tau_rows
