"""How fast a motion may be run, so that the motors have something left for what the description does not know.

Timing keeps velocities, accelerations and jerks within their limits; the torques that follow from them depend on where
the arm is and on what it carries. A motion that needs all of a motor's torque on paper leaves the path, and cannot even
be braked along it, as soon as the arm is a little heavier than described.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import InvalidInputError
from edmp.ranges import Range
from edmp.robots.robot import Robot
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

SHARE = 0.75
"""Of the effort limits, that a motion may need by the arm's description: an arm a fifth heavier needs 0.9 of them."""


@dataclass(frozen=True)
class EffortLimit:
    """What the effort limits allow.

    Attributes:
        speed: largest share of the planned speed, in (0, 1].
        joint: the one that needs most of its limit at the planned speed; empty if no limit is known.
        share: how much of it [1].
    """

    speed: float
    joint: str
    share: float


def effort_limit(robot: Robot, trajectory: Trajectory, *, share: float = SHARE) -> EffortLimit:
    """By inverse dynamics at each sample: tau(r) = g(q) + r^2 (M(q) a + C(q, v) v) at ``r`` times the planned speed.

    Args:
        robot: with masses and effort limits; a joint whose limit is infinite does not count.
        trajectory: of its joints.
        share: of the effort limits that may be needed, in (0, 1].

    Raises:
        InvalidInputError: the arm needs more than that to hold its weight where the motion leads.
    """
    if not Range(0, 1, above=True).holds(share):
        raise InvalidInputError(f"share of the effort limits must be in (0, 1], got {share!r}")
    limits = robot.limits.effort
    if not np.isfinite(limits).any():
        return EffortLimit(1.0, "", 0.0)
    gravity, moving = _torques(robot, trajectory)
    needed = (np.abs(gravity + moving) / limits).max(axis=0)
    worst = int(needed.argmax())
    room = share * limits - np.abs(gravity)
    if room.min() <= 0.0:
        row, j = np.unravel_index(int((np.abs(gravity) / limits).argmax()), gravity.shape)
        raise InvalidInputError(
            f"{robot.joint_names[j]} needs {abs(gravity[row, j]) / limits[j]:.0%} of its torque to hold the arm still, "
            f"more than {share:.0%}: the arm is too heavy for this motion"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        # The way from g to the limit on the side to which the motion pulls.
        square = np.where(moving != 0.0, (share * limits - np.sign(moving) * gravity) / np.abs(moving), np.inf)
    return EffortLimit(float(np.sqrt(min(square.min(), 1.0))), robot.joint_names[worst], float(needed[worst]))


def _torques(robot: Robot, trajectory: Trajectory) -> tuple[Array, Array]:
    """(n, dof) torques that hold the arm, and (n, dof) those that its motion adds at the planned speed [Nm or N]."""
    from pydrake.multibody.tree import MultibodyForces

    from edmp.execution.drivers.drake_plant import make_model
    from edmp.execution.drivers.drake_sim import DrakeSimSettings

    model: Any = make_model(robot, rotor_inertia=DrakeSimSettings.rotor_inertia)
    context, forces = model.CreateDefaultContext(), MultibodyForces(model)
    held, total = np.zeros_like(trajectory.positions), np.zeros_like(trajectory.positions)
    still = np.zeros(robot.dof)
    for k, (q, v, a) in enumerate(
        zip(trajectory.positions, trajectory.velocities, trajectory.accelerations, strict=True)
    ):
        for velocity, acceleration, into in ((still, still, held), (v, a, total)):
            model.SetPositions(context, q)
            model.SetVelocities(context, velocity)
            model.CalcForceElementsContribution(context, forces)
            into[k] = model.CalcInverseDynamics(context, acceleration, forces)
    return held, total - held
