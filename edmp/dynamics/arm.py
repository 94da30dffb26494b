"""An arm as its equations of motion see it: masses, motors and friction on a tree of joints."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked, checked_but, numbers, shown
from edmp.errors import InvalidInputError
from edmp.robots.inertia import Inertia, link_inertia
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

UNKNOWN_EFFORT = 100.0
"""In place of an effort limit that nobody knows, for what is scaled by it [Nm or N]."""
LEAST_MASS, LEAST_RADIUS = 1e-3, 0.01
"""The ball that every body has besides its links, so that none is without inertia [kg], [m]."""
PAYLOAD_RADIUS = 0.03
"""Of the ball that a payload is [m]."""
FRICTION_SPEED = 0.01
"""Speed within which Coulomb friction turns round, tanh(v / this) [rad/s or m/s]."""
ROTOR_INERTIA = 0.007
"""Of the motors, seen from the joints, for each unit of the effort limit [kg m^2/Nm or kg/N]: Franka gives 0.61 kg m^2
for a joint of 87 Nm (README of Drake's franka_description)."""

PER_JOINT = ("mass", "armature", "viscous", "coulomb")


@checked
@dataclass(frozen=True, eq=False)
class ArmDynamics:
    """Masses, motors and joint friction of an arm; kinematics and effort limits are those of ``robot``.

    Row i belongs to body i + 1, which joint i moves, and to this joint. The motor exerts tau, the joint feels
    tau + tau_f with the friction tau_f = -(viscous v + coulomb tanh(v / `FRICTION_SPEED`)).

    Attributes:
        robot: the tree of joints, and how the arm stands in the world.
        mass: (dof,) [kg].
        com_B: (dof, 3) centres of mass in the body frames [m].
        I_C_B: (dof, 3, 3) rotational inertias about the centres of mass, in the axes of the body frames [kg m^2].
        armature: (dof,) inertia of the motors seen from the joints [kg m^2 or kg].
        viscous: (dof,) [Nm s/rad or N s/m].
        coulomb: (dof,) [Nm or N].

    Raises:
        InvalidInputError: arrays of the wrong shape, or not finite; a mass or inertia that no body has.
    """

    robot: Robot
    mass: Array
    com_B: Array
    I_C_B: Array
    armature: Array
    viscous: Array
    coulomb: Array

    def __post_init__(self) -> None:
        dof = self.robot.dof
        shapes = dict.fromkeys(PER_JOINT, (dof,)) | {"com_B": (dof, 3), "I_C_B": (dof, 3, 3)}
        for name, shape in shapes.items():
            value = np.array(getattr(self, name), dtype=np.float64)
            if value.shape != shape or not np.isfinite(value).all():
                raise InvalidInputError(f"{name}: expected finite numbers of shape {shape}, got shape {value.shape}")
            if name in PER_JOINT and value.min(initial=0.0) < 0.0:
                joint = self.robot.joint_names[int(value.argmin())]
                raise InvalidInputError(f"{name}: that of {joint} is {value.min():.4g}, below zero")
            object.__setattr__(self, name, value)

    @classmethod
    @checked_but("viscous", "coulomb")
    def of(
        cls,
        robot: Robot,
        *,
        rotor_inertia: float = ROTOR_INERTIA,
        mass_error: float = 0.0,
        payload: float = 0.0,
        viscous: float | Sequence[float] = 0.0,
        coulomb: float | Sequence[float] = 0.0,
    ) -> ArmDynamics:
        """The arm as it is described, if nothing else is said; what Drake's model of it is made of.

        Args:
            robot: the arm; its gripper and what is attached to it weigh, too.
            rotor_inertia: of the motors, for each unit of the effort limit [kg m^2/Nm or kg/N].
            mass_error: share by which all moving links are heavier than described [1].
            payload: mass at the tool frame [kg].
            viscous, coulomb: friction as `joint_values` takes it.
        """
        bodies = [_merged(_pieces(robot, body, 1.0 + mass_error, payload)) for body in range(1, robot.num_bodies)]
        dof = robot.dof
        return cls(
            robot,
            mass=np.array([body.mass for body in bodies]).reshape(dof),
            com_B=np.array([body.com_B for body in bodies]).reshape(dof, 3),
            I_C_B=np.array([body.I_C_B for body in bodies]).reshape(dof, 3, 3),
            armature=rotor_inertia * effort_scale(robot),
            viscous=joint_values(viscous, robot, "viscous"),
            coulomb=joint_values(coulomb, robot, "coulomb"),
        )

    @property
    def dof(self) -> int:
        return self.robot.dof

    def inertial_parameters(self) -> Array:
        """(dof, 10): m, m c (3), inertia about the origin of the body (xx, xy, xz, yy, yz, zz).

        Torques are linear in these (Atkeson, An and Hollerbach 1986).
        """
        about_origin = self.I_C_B + self.mass[:, None, None] * _squared(self.com_B)
        rows, columns = np.triu_indices(3)
        return np.column_stack([self.mass, self.mass[:, None] * self.com_B, about_origin[:, rows, columns]])

    @checked
    def with_parameters(
        self,
        inertial: Array | None = None,
        *,
        armature: ArrayLike | None = None,
        viscous: ArrayLike | None = None,
        coulomb: ArrayLike | None = None,
    ) -> ArmDynamics:
        """The same arm with other parameters, those not given staying as they are.

        Args:
            inertial: (dof, 10) as from `inertial_parameters`.
            armature, viscous, coulomb: (dof,) each, or one number for all joints.

        Raises:
            InvalidInputError: wrong shapes; a mass that is not above zero.
        """
        given: dict[str, Any] = {"armature": armature, "viscous": viscous, "coulomb": coulomb}
        changed = {
            name: np.broadcast_to(np.asarray(numbers(value)), self.dof) if np.ndim(value) == 0 else numbers(value)
            for name, value in given.items()
            if value is not None
        }
        if inertial is not None:
            inertial = np.array(inertial, dtype=np.float64)
            if inertial.shape != (self.dof, 10):
                raise InvalidInputError(f"inertial: expected shape ({self.dof}, 10), got {inertial.shape}")
            mass = inertial[:, 0]
            if not (mass > 0.0).all():
                raise InvalidInputError(f"inertial: masses must be above zero, got {mass}")
            com_B = inertial[:, 1:4] / mass[:, None]
            about_origin = np.zeros((self.dof, 3, 3))
            rows, columns = np.triu_indices(3)
            about_origin[:, rows, columns] = about_origin[:, columns, rows] = inertial[:, 4:]
            I_C_B = about_origin - mass[:, None, None] * _squared(com_B)
            changed |= {"mass": mass, "com_B": com_B, "I_C_B": I_C_B}
        return dataclasses.replace(self, **changed)  # type: ignore[arg-type]

    @checked
    def with_payload(self, mass: float) -> ArmDynamics:
        """The same arm with a ball of this mass [kg] at the tool frame."""
        body = self.robot.tool.body - 1
        if mass == 0.0 or body < 0:
            return self
        own = Inertia(self.mass[body], self.com_B[body], self.I_C_B[body])
        both = _merged([own, _payload(self.robot, mass)])
        changed = {"mass": self.mass.copy(), "com_B": self.com_B.copy(), "I_C_B": self.I_C_B.copy()}
        for name, value in changed.items():
            value[body] = getattr(both, name)
        return dataclasses.replace(self, **changed)  # type: ignore[arg-type]


def effort_scale(robot: Robot) -> Array:
    """(dof,) effort limits, `UNKNOWN_EFFORT` where there is none [Nm or N]."""
    effort = robot.limits.effort
    return np.where(np.isfinite(effort), effort, UNKNOWN_EFFORT)


def joint_values(value: float | Sequence[float], robot: Robot, name: str) -> Array:
    """(dof,) friction of the joints, from one number or from one for each joint.

    Args:
        value: one number: for each unit of a joint's effort limit [s/rad for viscous, 1 for Coulomb friction]; several:
            what each joint has [Nm s/rad, Nm].
        robot: the arm.
        name: of the setting, for the message.

    Raises:
        InvalidInputError: a number below zero; not as many numbers as joints.
    """
    found = friction_numbers(value, name)
    if found.ndim == 0:
        return found * effort_scale(robot)
    if found.shape != (robot.dof,):
        raise InvalidInputError(f"{name}: {robot.name} has {robot.dof} joints, got {len(found)} numbers")
    return found


def friction_numbers(value: float | Sequence[float], name: str) -> Array:
    """One number or several, each at least 0; `InvalidInputError` names the setting otherwise."""
    found = numbers(value)
    if found is None or not np.isfinite(found).all() or found.min(initial=0.0) < 0.0 or found.ndim > 1:
        raise InvalidInputError(f"{name} must be a number of at least 0, or one for each joint, got {shown(value)}")
    return found


def friction_damping(v: Array, viscous: Array, coulomb: Array) -> Array:
    """b(v) [Nm s/rad]: friction is -b(v) v = -(viscous v + coulomb tanh(v / `FRICTION_SPEED`)).

    A step in time that takes b from the old velocity and v from the new one never turns a joint round.
    """
    x = np.maximum(np.abs(v) / FRICTION_SPEED, 1e-6)
    return viscous + coulomb * np.tanh(x) / (x * FRICTION_SPEED)


def _pieces(robot: Robot, body: int, share: float, payload: float) -> list[Inertia]:
    """What moves together with a body: its links, a payload, and the ball that every body has."""
    least = Inertia(LEAST_MASS, np.zeros(3), 0.4 * LEAST_MASS * LEAST_RADIUS**2 * np.eye(3))
    links = [link_inertia(link) for link in robot.links if link.body == body]
    heavier = [Inertia(share * link.mass, link.com_B, share * link.I_C_B) for link in links if link is not None]
    carried = [_payload(robot, payload)] if payload > 0.0 and body == robot.tool.body else []
    return [least, *heavier, *carried]


def _payload(robot: Robot, mass: float) -> Inertia:
    return Inertia(mass, robot.tool.X_BT[:3, 3].copy(), 0.4 * mass * PAYLOAD_RADIUS**2 * np.eye(3))


def _merged(pieces: list[Inertia]) -> Inertia:
    """One rigid body of several, by parallel axes (Steiner)."""
    mass = sum(piece.mass for piece in pieces)
    com_B = sum(piece.mass * piece.com_B for piece in pieces) / mass
    I_C_B = sum(piece.I_C_B + piece.mass * _squared(piece.com_B - com_B) for piece in pieces)
    return Inertia(float(mass), np.asarray(com_B), np.asarray(I_C_B))


def _squared(p: Array) -> Array:
    """-[p]x[p]x = p.p 1 - p p^T (..., 3, 3): the inertia of a unit mass at ``p`` (..., 3) about the origin."""
    return (p * p).sum(-1)[..., None, None] * np.eye(3) - p[..., :, None] * p[..., None, :]
