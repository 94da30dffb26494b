"""The front of the dynamics kernels: batches of arms and states in, what they do out. All double precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.collision.launch import launch_rows
from edmp.collision.world import MAX_JOINTS, checked_device
from edmp.dynamics import control_kernels as control
from edmp.dynamics import kernels as k
from edmp.dynamics.arm import FRICTION_SPEED, ArmDynamics, effort_scale
from edmp.errors import InvalidInputError, unknown_name
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot
from edmp.warp_start import wp

Array = NDArray[np.float64]

GRAVITY = 9.81
"""[m/s^2]"""
SPRING, DAMPER, EXCITED_SUBSTEPS = 0.2, 0.05, 25
"""What holds an arm that is excited where it began [1/rad, s/rad, each for a unit of the effort limit], and steps of
its simulation between two rows."""
CONTROLS = ("inverse-dynamics", "impedance")


@checked
def forward_dynamics(
    arms: ArmDynamics | Sequence[ArmDynamics], q: Array, v: Array, tau: Array, *, device: str = "cpu"
) -> Array:
    """Accelerations (n, dof) under the motors' torques, gravity and friction, by articulated bodies (Featherstone).

    Args:
        arms: one for all rows, or one for each; all of the same robot.
        q, v, tau: (n, dof) positions [rad or m], velocities, torques of the motors [Nm or N].
        device: Warp device name.

    Raises:
        InvalidInputError: shapes that do not go together, arms of several robots.
    """
    (q, v, tau), batch = _rows(arms, q=q, v=v, tau=tau), _Batch(arms, len(q), device)
    a = np.zeros_like(q)
    batch.launch(k.forward_rows, [batch.array(x) for x in (q, v, tau)], [a])
    return a


@checked
def inverse_dynamics(
    arms: ArmDynamics | Sequence[ArmDynamics], q: Array, v: Array, a: Array, *, device: str = "cpu"
) -> Array:
    """Torques (n, dof) that the motors must exert for accelerations ``a`` (n, dof), friction and gravity included.

    Recursive Newton-Euler. Arguments and errors as of `forward_dynamics`.
    """
    (q, v, a), batch = _rows(arms, q=q, v=v, a=a), _Batch(arms, len(q), device)
    tau = np.zeros_like(q)
    batch.launch(k.inverse_rows, [batch.array(x) for x in (q, v, a)], [tau])
    return tau


@checked
def rollout(
    arms: ArmDynamics | Sequence[ArmDynamics],
    q0: Array,
    v0: Array,
    torques: Array,
    dt: float,
    *,
    substeps: int = 1,
    device: str = "cpu",
) -> tuple[Array, Array]:
    """What arms do under given torques: positions and velocities (n, T, dof) after each row of torques.

    Semi-implicit Euler, as Drake's discrete plants; friction is implicit, so that no step is too long for it.

    Args:
        arms: one for all rows, or one for each; all of the same robot.
        q0, v0: (n, dof) where they begin.
        torques: (n, T, dof) of the motors, each held for ``dt`` [Nm or N].
        dt: time between rows [s].
        substeps: steps of the simulation in it.
        device: Warp device name.

    Raises:
        InvalidInputError: shapes that do not go together, arms of several robots, steps that are none.
    """
    (q0, v0), batch = _rows(arms, q0=q0, v0=v0), _Batch(arms, len(q0), device)
    tau = _series(torques, "torques", q0)
    _check_step(dt, substeps)
    q, v = np.zeros_like(tau), np.zeros_like(tau)
    inputs = [batch.array(q0), batch.array(v0), batch.array(tau), dt / substeps, substeps]
    batch.launch(k.rollout_rows, inputs, [q, v])
    return q, v


@checked
@dataclass(frozen=True)
class Controller:
    """What makes an arm follow its commands; fields as of `DrakeSimSettings`, with the same meaning.

    Attributes:
        control: ``inverse-dynamics`` or ``impedance``.
        bandwidth: where the poles of inverse dynamics control are [rad/s].
        stiffness: of impedance control, for each unit of a joint's effort limit [1/rad].
        damping: damping ratio of impedance control, mode by mode [1].
        delay: commands take effect this much later [s].
    """

    control: str = "inverse-dynamics"
    bandwidth: float = 30.0
    stiffness: float = 7.0
    damping: float = 1.0
    delay: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, dict.fromkeys(("bandwidth", "stiffness", "damping"), Range(0, above=True)))
        check_fields(self, {"delay": Range(0)})
        if self.control not in CONTROLS:
            raise unknown_name("control", self.control, CONTROLS)


@checked
def track(
    arms: ArmDynamics | Sequence[ArmDynamics],
    nominal: ArmDynamics | Sequence[ArmDynamics],
    reference: tuple[Array, Array, Array],
    controller: Controller | Sequence[Controller],
    dt: float,
    *,
    substeps: int = 1,
    every: int = 1,
    device: str = "cpu",
) -> tuple[Array, Array, Array]:
    """The closed loop of `DrakeArm`, without contact and noise: arms that follow commands.

    Everything that comes in numbers may be given once for all rows.

    Args:
        arms: what moves.
        nominal: what the controller believes of it; friction that it has is compensated for at the measured velocity.
        reference: positions, velocities, accelerations (n, T, dof) that are commanded, one row each ``dt``. The arm is
            at rest at the first.
        controller: see `Controller`.
        dt: between commands [s].
        substeps: steps of simulation and controller in it; `DrakeArm` takes 1 of 1 ms if nothing else is said.
        every: so many rows of the reference make one row of the answer.
        device: Warp device name.

    Returns:
        positions and velocities (n, T // every, dof) after these rows, and the mean of the torques meanwhile.

    Raises:
        InvalidInputError: shapes or numbers that do not go together, arms of several robots, steps that are none.
    """
    controllers = [controller] if isinstance(controller, Controller) else [*controller]
    robot = _robot(arms)
    motions = [np.ascontiguousarray(part, dtype=np.float64) for part in reference]
    for name, part in zip(("positions", "velocities", "accelerations"), motions, strict=True):
        if part.ndim != 3 or part.shape != motions[0].shape or part.shape[2] != robot.dof or not part.shape[1]:
            raise InvalidInputError(f"reference: expected {name} (n, T, {robot.dof}), got shape {part.shape}")
    counts = {"arms": _count(arms), "nominal": _count(nominal), "controller": len(controllers)}
    rows = max(*counts.values(), len(motions[0]))
    for name, count in (counts | {"reference": len(motions[0])}).items():
        if count not in (1, rows):
            raise InvalidInputError(f"{name}: expected 1 or {rows}, one a row, got {count}")
    if _robot(nominal) is not robot:
        raise InvalidInputError("nominal: must be of the same robot as arms")
    _check_step(dt, substeps)
    if every < 1:
        raise InvalidInputError(f"every must be at least 1, got {every}")
    batch = _Batch(arms, rows, device)
    commanded = control.Reference()
    commanded.q, commanded.v, commanded.a = (batch.array(part) for part in motions)
    room = [wp.zeros((rows, robot.dof, robot.dof), dtype=wp.float64, device=batch.device) for _ in range(2)]
    known = [nominal] if isinstance(nominal, ArmDynamics) else [*nominal]
    inputs = [packed_arms(known, batch.device), packed_controllers(controllers, robot, dt, batch.device), commanded]
    inputs.append(loops_at(np.resize(motions[0][:, 0], (rows, robot.dof)), batch.device))
    q, v, tau = (np.zeros((rows, motions[0].shape[1] // every, robot.dof)) for _ in range(3))
    batch.launch(control.track_rows, [*inputs, dt / substeps, substeps, every, *room], [q, v, tau])
    return q, v, tau


@checked
def excited(
    arms: ArmDynamics | Sequence[ArmDynamics],
    nominal: ArmDynamics | Sequence[ArmDynamics],
    q0: Array,
    v0: Array,
    excitation: Array,
    dt: float,
    *,
    spring: float = SPRING,
    damper: float = DAMPER,
    substeps: int = EXCITED_SUBSTEPS,
    device: str = "cpu",
) -> tuple[Array, Array, Array]:
    """Arms that are shaken where they are, as through the torque interface of a real arm.

    The torque is that which would hold ``nominal`` up where the arm is, a weak spring to ``q0`` with a damper, and the
    excitation; cut off at the effort limits.

    Args:
        arms: what moves, one or one a row.
        nominal: what gravity compensation believes of it, one or one a row.
        q0, v0: (n, dof) where they begin.
        excitation: (n, T, dof), each row held for ``dt`` [Nm or N].
        dt: between rows [s].
        spring: for each unit of a joint's effort limit [1/rad].
        damper: for each unit of a joint's effort limit [s/rad].
        substeps: steps of the simulation in ``dt``.
        device: Warp device name.

    Returns:
        positions and velocities (n, T, dof) after each row, and the mean of the whole torque meanwhile.

    Raises:
        InvalidInputError: shapes that do not go together, arms of several robots, steps that are none.
    """
    (q0, v0), batch = _rows(arms, q0=q0, v0=v0), _Batch(arms, len(q0), device)
    if _robot(nominal) is not _robot(arms) or _count(nominal) not in (1, len(q0)):
        raise InvalidInputError(f"nominal: must be of the same robot as arms, and 1 or {len(q0)}, one a row")
    u = _series(excitation, "excitation", q0)
    _check_step(dt, substeps)
    if not (0.0 <= spring < np.inf and 0.0 <= damper < np.inf):
        raise InvalidInputError(f"spring and damper must be at least 0, got {spring} and {damper}")
    known = packed_arms([nominal] if isinstance(nominal, ArmDynamics) else [*nominal], batch.device)
    scale = effort_scale(_robot(arms))
    inputs = [known, *(batch.array(x) for x in (q0, v0, u, spring * scale, damper * scale)), dt / substeps, substeps]
    q, v, tau = (np.zeros_like(u) for _ in range(3))
    batch.launch(control.excite_rows, inputs, [q, v, tau])
    return q, v, tau


def _count(arms: ArmDynamics | Sequence[ArmDynamics]) -> int:
    return 1 if isinstance(arms, ArmDynamics) else len(arms)


def packed_controllers(every: Sequence[Controller], robot: Robot, dt: float, device: str) -> control.Controllers:
    def array(values: Any, dtype: Any = wp.float64) -> wp.array:
        return wp.array(np.array(values), dtype=dtype, device=device)

    packed = control.Controllers()
    packed.count = len(every)
    packed.control = array([CONTROLS.index(one.control) for one in every], int)
    packed.bandwidth = array([one.bandwidth for one in every])
    packed.stiffness = array([one.stiffness * effort_scale(robot) for one in every])
    packed.damping = array([one.damping for one in every])
    packed.lag = array([round(one.delay / dt) for one in every], int)
    return packed


def loops_at(q: Array, device: str) -> control.Loops:
    """Closed loops at rest where they are told to be, ``q`` (rows, dof)."""
    loops = control.Loops()
    for name in ("v", "v_before", "a_before", "integral"):
        setattr(loops, name, wp.zeros(q.shape, dtype=wp.float64, device=device))
    loops.q, loops.q_before = (wp.array(q, dtype=wp.float64, device=device) for _ in range(2))
    loops.count = wp.zeros(len(q), dtype=int, device=device)
    return loops


def _check_step(dt: float, substeps: int) -> None:
    if not 0.0 < dt < np.inf or substeps < 1:
        raise InvalidInputError(f"dt must be above 0 and substeps at least 1, got {dt} s and {substeps}")


def _robot(arms: ArmDynamics | Sequence[ArmDynamics]) -> Robot:
    every = [arms] if isinstance(arms, ArmDynamics) else [*arms]
    if not every:
        raise InvalidInputError("arms: there is none")
    if any(arm.robot is not every[0].robot for arm in every):
        raise InvalidInputError("arms: all arms of a batch must be of the same robot")
    return every[0].robot


def _rows(arms: ArmDynamics | Sequence[ArmDynamics], **given: Array) -> list[Array]:
    """Arrays (n, dof), each of the same shape."""
    dof = _robot(arms).dof
    arrays = [np.ascontiguousarray(value, dtype=np.float64) for value in given.values()]
    for name, value in zip(given, arrays, strict=True):
        if value.ndim != 2 or value.shape[1] != dof or len(value) != len(arrays[0]):
            raise InvalidInputError(f"{name}: expected shape ({len(arrays[0])}, {dof}), got {value.shape}")
    return arrays


def _series(values: Array, name: str, rows: Array) -> Array:
    """(n, T, dof) for as many rows."""
    values = np.ascontiguousarray(values, dtype=np.float64)
    if values.ndim != 3 or values.shape[::2] != rows.shape:
        raise InvalidInputError(f"{name}: expected shape ({rows.shape[0]}, T, {rows.shape[1]}), got {values.shape}")
    return values


class _Batch:
    """Arms packed for the kernels, with what each thread needs to remember.

    Args:
        arms: one for all rows, or one a row.
        rows: of the batch.
        device: Warp device name.
    """

    def __init__(self, arms: ArmDynamics | Sequence[ArmDynamics], rows: int, device: str) -> None:
        every = [arms] if isinstance(arms, ArmDynamics) else [*arms]
        if len(every) not in (1, rows):
            raise InvalidInputError(f"arms: expected 1 or {rows}, one a row, got {len(every)}")
        self.device, self.rows = checked_device(device), rows
        self.tree, self.arms = packed_tree(_robot(arms), self.device), packed_arms(every, self.device)
        self.scratch = scratch(rows, self.tree.dof + 1, self.device)

    def array(self, values: Array, dtype: Any = wp.float64) -> wp.array:
        return wp.array(values, dtype=dtype, device=self.device)

    def launch(self, kernel: wp.Kernel, inputs: Sequence[Any], outputs: Sequence[Array]) -> None:
        """Fill ``outputs``, each an array of doubles."""
        if not self.rows:
            return
        results = [wp.zeros(values.shape, dtype=wp.float64, device=self.device) for values in outputs]
        everything = [self.tree, self.arms, self.scratch, *inputs]
        launch_rows(kernel, self.rows, (), everything, results, self.device)
        for values, result in zip(outputs, results, strict=True):
            values[:] = result.numpy()


def packed_tree(robot: Robot, device: str) -> k.Tree:
    if robot.dof > MAX_JOINTS:
        raise InvalidInputError(f"robot {robot.name!r} has {robot.dof} joints; the kernels take at most {MAX_JOINTS}")
    tree = k.Tree()
    tree.dof = robot.dof
    X_PJ = np.array([joint.X_PJ for joint in robot.joints])
    tree.parent = wp.array(np.array(robot.parents, np.int32), dtype=int, device=device)
    tree.kind = wp.array(
        np.array([joint.kind != "revolute" for joint in robot.joints], np.int32), dtype=int, device=device
    )
    tree.R_PJ = wp.array(X_PJ[:, :3, :3], dtype=wp.mat33d, device=device)
    tree.p_PJ = wp.array(X_PJ[:, :3, 3], dtype=wp.vec3d, device=device)
    tree.gravity_0 = wp.vec3d(*(robot.X_W0[:3, :3].T @ (0.0, 0.0, -GRAVITY)))
    tree.effort = wp.array(robot.limits.effort, dtype=wp.float64, device=device)
    tree.friction_speed = wp.float64(FRICTION_SPEED)
    return tree


def packed_arms(arms: Sequence[ArmDynamics], device: str) -> k.Arms:
    packed = k.Arms()
    packed.count = len(arms)
    inertial = np.array([arm.inertial_parameters() for arm in arms])
    about_origin = inertial[:, :, [4, 5, 6, 5, 7, 8, 6, 8, 9]].reshape(*inertial.shape[:2], 3, 3)
    packed.mass = wp.array(np.ascontiguousarray(inertial[:, :, 0]), dtype=wp.float64, device=device)
    packed.moment = wp.array(np.ascontiguousarray(inertial[:, :, 1:4]), dtype=wp.vec3d, device=device)
    packed.J = wp.array(about_origin, dtype=wp.mat33d, device=device)
    for name in ("armature", "viscous", "coulomb"):
        values = np.array([getattr(arm, name) for arm in arms])
        setattr(packed, name, wp.array(values, dtype=wp.float64, device=device))
    return packed


def scratch(rows: int, bodies: int, device: str) -> k.Scratch:
    room = k.Scratch()
    for name in k.Scratch.vars:  # type: ignore[attr-defined]
        matrix = name in ("R", "J", "H", "M")
        setattr(room, name, wp.zeros((rows, bodies), dtype=wp.mat33d if matrix else wp.vec3d, device=device))
    return room
