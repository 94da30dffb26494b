"""Arms that are like one that is described, and heavier, rougher, later or stiffer: drawn at random."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.dynamics.arm import ArmDynamics, effort_scale
from edmp.dynamics.simulate import CONTROLS, Controller
from edmp.errors import unknown_name
from edmp.robots.robot import Robot

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """From where to where the parts of random arms lie; each part is drawn on its own, evenly.

    Attributes:
        mass: log of the factor on each link's mass: within plus and minus these two ends.
        shape: size of the random part of the linear map that a link's mass distribution goes through [1].
        com: how far a centre of mass is moved along each axis [m].
        armature: log of the factor on each motor's inertia, as ``mass``.
        viscous: for each unit of the effort limit [s/rad].
        coulomb: for each unit of the effort limit [1].
        payload: mass at the tool [kg].
        bandwidth: of inverse dynamics control [rad/s].
        stiffness: of impedance control, for each unit of the effort limit [1/rad].
        damping: of impedance control [1].
        delay: of commands [s].
        common: log of a factor on all links together, as ``mass``.
        rub: share of both frictions that all joints have in common; where it is drawn below 0, there is none [1].
    """

    mass: tuple[float, float]
    shape: tuple[float, float]
    com: tuple[float, float]
    armature: tuple[float, float]
    viscous: tuple[float, float]
    coulomb: tuple[float, float]
    payload: tuple[float, float]
    bandwidth: tuple[float, float]
    stiffness: tuple[float, float]
    damping: tuple[float, float]
    delay: tuple[float, float]
    common: tuple[float, float] = (0.0, 0.0)
    rub: tuple[float, float] = (1.0, 1.0)


SPREADS: Mapping[str, Spread] = {
    "in": Spread(
        mass=(0.0, 0.25),
        shape=(0.0, 0.15),
        com=(0.0, 0.02),
        armature=(0.0, 0.4),
        viscous=(0.0, 0.03),
        coulomb=(0.0, 0.015),
        payload=(0.0, 1.5),
        bandwidth=(20.0, 40.0),
        stiffness=(4.0, 12.0),
        damping=(0.7, 1.2),
        delay=(0.0, 0.02),
    ),
    "out": Spread(
        mass=(0.25, 0.45),
        shape=(0.15, 0.25),
        com=(0.02, 0.035),
        armature=(0.4, 0.7),
        viscous=(0.03, 0.05),
        coulomb=(0.015, 0.025),
        payload=(1.5, 2.5),
        bandwidth=(14.0, 20.0),
        stiffness=(2.5, 4.0),
        damping=(0.5, 0.7),
        delay=(0.02, 0.035),
    ),
    "wide": Spread(
        mass=(0.0, 0.35),
        shape=(0.0, 0.25),
        com=(0.0, 0.035),
        armature=(0.0, 0.7),
        viscous=(0.0, 0.05),
        coulomb=(0.0, 0.025),
        payload=(0.0, 2.5),
        bandwidth=(14.0, 50.0),
        stiffness=(2.5, 12.0),
        damping=(0.5, 1.2),
        delay=(0.0, 0.05),
        common=(0.0, 0.35),
        rub=(-0.25, 1.0),
    ),
}
"""Arms to learn from, arms all of whose parts lie beyond those, and arms to learn to recognise: like both, some heavier
as a whole or later still, and a fifth of them without friction."""


@dataclass(frozen=True, eq=False)
class RandomArm:
    """An arm, its controller, and what was put on it [kg]; ``arm`` has the payload in it."""

    arm: ArmDynamics
    controller: Controller
    payload: float

    def parameters(self) -> Array:
        """(P,) in the order of `parameter_names`."""
        arm, control = self.arm, self.controller
        gains = [control.bandwidth, control.stiffness, control.damping, control.delay, CONTROLS.index(control.control)]
        per_joint = (arm.inertial_parameters().ravel(), arm.armature, arm.viscous, arm.coulomb)
        return np.concatenate([*per_joint, [self.payload, *gains]])


def parameter_names(robot: Robot) -> tuple[str, ...]:
    """Of the numbers in `RandomArm.parameters`: ten of each body, three of each joint, then payload and controller."""
    inertial = ("mass", "mx", "my", "mz", "Ixx", "Ixy", "Ixz", "Iyy", "Iyz", "Izz")
    names = [f"{joint}.{name}" for joint in robot.joint_names for name in inertial]
    names += [f"{joint}.{name}" for name in ("armature", "viscous", "coulomb") for joint in robot.joint_names]
    return (*names, "payload", "bandwidth", "stiffness", "damping", "delay", "control")


def spread_of(distribution: str | Spread) -> Spread:
    """The `Spread` of this name; `UnknownNameError` if there is none."""
    if isinstance(distribution, Spread):
        return distribution
    if distribution not in SPREADS:
        raise unknown_name("distribution", distribution, SPREADS)
    return SPREADS[distribution]


def random_arm(nominal: ArmDynamics, rng: np.random.Generator, distribution: str | Spread = "in") -> RandomArm:
    """An arm of this distribution, by its name in `SPREADS`, around ``nominal``; the same for the same ``rng``.

    Masses, centres of mass and inertias stay those of some distribution of mass (Wensing, Kim and Slotine 2018, Linear
    matrix inequalities for physically consistent inertial parameter identification): second moments S = 1/2 tr(I) 1 - I
    become B S B^T by a random linear map B, and so stay positive.
    """
    spread = spread_of(distribution)
    dof, effort = nominal.dof, effort_scale(nominal.robot)
    factor = np.exp(_two_sided(rng, spread.mass, dof))
    if any(spread.common):
        factor *= np.exp(_two_sided(rng, spread.common, 1))
    map_B = np.eye(3) + _two_sided(rng, spread.shape, (dof, 3, 3))
    moments = 0.5 * np.trace(nominal.I_C_B, axis1=1, axis2=2)[:, None, None] * np.eye(3) - nominal.I_C_B
    moments = factor[:, None, None] * map_B @ moments @ map_B.transpose(0, 2, 1)
    rubbing = effort if spread.rub == (1.0, 1.0) else effort * max(float(rng.uniform(*spread.rub)), 0.0)
    arm = dataclasses.replace(
        nominal,
        mass=factor * nominal.mass,
        com_B=nominal.com_B + _two_sided(rng, spread.com, (dof, 3)),
        I_C_B=np.trace(moments, axis1=1, axis2=2)[:, None, None] * np.eye(3) - moments,
        armature=nominal.armature * np.exp(_two_sided(rng, spread.armature, dof)),
        viscous=rng.uniform(*spread.viscous, dof) * rubbing,
        coulomb=rng.uniform(*spread.coulomb, dof) * rubbing,
    )
    payload = float(rng.uniform(*spread.payload))
    controller = Controller(
        control=CONTROLS[int(rng.integers(len(CONTROLS)))],
        bandwidth=float(rng.uniform(*spread.bandwidth)),
        stiffness=float(rng.uniform(*spread.stiffness)),
        damping=float(rng.uniform(*spread.damping)),
        delay=float(rng.uniform(*spread.delay)),
    )
    return RandomArm(arm.with_payload(payload), controller, payload)


def _two_sided(rng: np.random.Generator, ends: tuple[float, float], shape: int | tuple[int, ...]) -> Array:
    """Numbers whose sizes lie between the two ends, of either sign."""
    return rng.uniform(*ends, shape) * rng.choice([-1.0, 1.0], shape)
