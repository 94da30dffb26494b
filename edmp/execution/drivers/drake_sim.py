"""An arm in Drake: rigid-body dynamics, contact, torque limits, and the faults that real arms have.

The arm follows commands as a position-controlled arm does, by a controller that runs at every step of the simulation
and knows the arm as it is described; what it does not know (`DrakeSimSettings.mass_error`, ``payload``) is what it has
to fight. With e = q_d - q,

- ``inverse-dynamics``: tau = M(q) (a_d + 3 w e' + 3 w^2 e + w^3 integral(e)) + C(q, v) v - tau_g(q): computed torque,
  every joint's error with three poles at -w (Siciliano et al., Robotics, section 8.5.2, with an integral).
- ``impedance``: tau = K e + D e' + M(q) a_d + C(q, v) v - tau_g(q), no integral: a payload shows as sag.

Both are cut off at the effort limits.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydrake.multibody.tree import MultibodyForces
from pydrake.systems.analysis import Simulator
from scipy.linalg import eigh

from edmp.dynamics.arm import ROTOR_INERTIA, ArmDynamics, effort_scale, friction_numbers, joint_values
from edmp.dynamics.simulate import CONTROLS
from edmp.errors import InvalidInputError, unknown_name
from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.execution.drivers.drake_friction import JointFriction
from edmp.execution.drivers.drake_plant import ArmDiagram, become, make_diagram, make_model
from edmp.execution.drivers.followed import Followed
from edmp.execution.drivers.sim_gripper import SimGripper
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DrakeSimSettings:
    """Settings of `DrakeArm`.

    Attributes:
        control: ``inverse-dynamics`` or ``impedance``.
        bandwidth: w, where the poles of inverse dynamics control are [rad/s].
        stiffness: of impedance control, as a multiple of the effort limit of each joint for each radian [1/rad]; 7 is
            about what Franka's own joint impedance has.
        damping: damping ratio of impedance control, mode by mode [1].
        rotor_inertia: of the motors, seen from the joints, for each unit of the effort limit [kg m^2/Nm or kg/N];
            Franka gives 0.61 kg m^2 for a joint of 87 Nm (README of Drake's franka_description).
        period: time between commands [s].
        time_step: of the simulation, and of its controller [s].
        delay: commands take effect this much later [s].
        mass_error: share by which all moving links are heavier than the controller believes [1].
        payload: mass at the tool that the controller does not know of [kg].
        motor_error: share by which the motors have more inertia than the controller believes [1].
        viscous: friction of the joints that grows with their speed, which the controller does not know of: one number
            for each unit of the effort limit [s/rad or s/m], or one for each joint [Nm s/rad or N s/m].
        coulomb: friction that does not: one number for each unit of the effort limit [1], or one for each joint
            [Nm or N]; coulomb tanh(v / 0.01 rad/s). Of a Panda, 0.01 is about what its joints have.
        object_density: of what can be moved [kg/m^3].
        position_noise: standard deviation of measured positions [rad or m].
        velocity_noise: standard deviation of measured velocities [rad/s or m/s].
        seed: of the noise.
        real_time: sleep so that a second of motion takes a second; otherwise as fast as possible. In real time the
            arm does not wait for commands that are late: it moves on, and brakes, without them.
    """

    control: str = "inverse-dynamics"
    bandwidth: float = 30.0
    stiffness: float = 7.0
    damping: float = 1.0
    rotor_inertia: float = ROTOR_INERTIA
    period: float = 1e-3
    time_step: float = 1e-3
    delay: float = 0.0
    mass_error: float = 0.0
    payload: float = 0.0
    motor_error: float = 0.0
    viscous: float | tuple[float, ...] = 0.0
    coulomb: float | tuple[float, ...] = 0.0
    object_density: float = 500.0
    position_noise: float = 0.0
    velocity_noise: float = 0.0
    seed: int = 0
    real_time: bool = False

    def __post_init__(self) -> None:
        positive, other = Range(0, above=True), Range(0)
        check_fields(
            self,
            dict.fromkeys(("bandwidth", "object_density", "stiffness", "damping", "period", "time_step"), positive),
        )
        check_fields(
            self, dict.fromkeys(("rotor_inertia", "delay", "payload", "position_noise", "velocity_noise"), other)
        )
        check_fields(self, dict.fromkeys(("mass_error", "motor_error"), Range(-0.9)))
        check_fields(self, {"seed": Range(0, whole=True), "time_step": Range(0, 5e-3)})
        for name in ("viscous", "coulomb"):
            friction_numbers(getattr(self, name), name)
        if self.control not in CONTROLS:
            raise unknown_name("control", self.control, CONTROLS)
        steps = self.period / self.time_step
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
            raise InvalidInputError(f"period {self.period:g} s must be a multiple of time_step {self.time_step:g} s")


def friction_of(settings: DrakeSimSettings, robot: Robot) -> tuple[Array, Array]:
    """(dof,) viscous and Coulomb friction [Nm s/rad, Nm]."""
    return joint_values(settings.viscous, robot, "viscous"), joint_values(settings.coulomb, robot, "coulomb")


class DrakeArm(ArmDriver):
    """A simulated arm; its time is that of the simulation.

    External torques are those of the contacts, from the simulation itself; a real arm could only estimate them.

    Args:
        robot: the arm.
        positions: (dof,) where it is when connected, at rest [rad or m].
        scene: what stands around it.
        movable: names of obstacles that can be moved: free bodies with mass and friction. With these the gripper's
            fingers are moved, too, and hold by pressure and friction alone; else they stay as ``robot`` has them.
        settings: see `DrakeSimSettings`.
        dynamics: masses, motors and friction that the arm has in the place of those that settings say.
    """

    name: ClassVar[str] = "drake-sim"
    takes_accelerations: ClassVar[bool] = True
    evidence: ClassVar[str] = "rigid-body simulation with contact; masses as described, joint friction if asked for"

    def __init__(
        self,
        robot: Robot,
        positions: ArrayLike,
        *,
        scene: Scene | None = None,
        movable: Collection[str] = (),
        settings: DrakeSimSettings | None = None,
        dynamics: ArmDynamics | None = None,
    ) -> None:
        self.robot, self.settings, self._dynamics = robot, settings or DrakeSimSettings(), dynamics
        if dynamics is not None and dynamics.robot.joint_names != robot.joint_names:
            raise InvalidInputError(f"dynamics: are of {dynamics.robot.name}, not of {robot.name}")
        self.period, self.real_time = self.settings.period, self.settings.real_time
        friction_of(self.settings, robot)  # told here, not when it moves
        self._start = np.array(positions, dtype=np.float64)
        if self._start.shape != (robot.dof,) or not np.isfinite(self._start).all():
            raise InvalidInputError(f"positions: expected {robot.dof} finite joint values, got {positions!r}")
        self._scene, self._movable = scene or Scene(), tuple(movable)
        for name in self._movable:
            if name not in self._scene:
                raise unknown_name("movable obstacle", name, self._scene.names)
        self.has_gripper = robot.gripper is not None and bool(self._movable)
        self.gripper: SimGripper | None = None
        self._simulation: _Simulation | None = None

    def now(self) -> float:
        if self.settings.real_time:
            return time.monotonic()
        return self._simulation.time if self._simulation else 0.0

    def connect(self) -> None:
        if self._movable and self.robot.gripper is not None:
            self.gripper = SimGripper(len(self.robot.gripper.fingers), self.robot.gripper.width)
        self._simulation = _Simulation(
            self.robot, self._scene, self._start, self.settings, self._movable, self.gripper, self._dynamics
        )
        self._followed = Followed(self.robot, self._start, period=self.period, delay=self.settings.delay)
        self._due = self._returned = time.monotonic()

    def wait(self) -> ArmState:
        self._catch_up()
        state = self._advance()
        if self.settings.real_time:
            self._due += self.period
            time.sleep(max(0.0, self._due - time.monotonic()))
        self._returned = time.monotonic()
        return state

    def command(self, command: Command) -> None:
        self._connected()
        self._catch_up()
        if self._followed.failure:
            raise DriverError(self._followed.failure)
        self._followed.take(command)

    def stop(self) -> None:
        """From where it is, not from where it should be, brake as fast as the acceleration limits allow.

        Simulates until the arm rests, or a second has passed.
        """
        if self._simulation is None:
            return
        q, v = self._simulation.forget_error()
        self._followed.stop(Command(q, v, np.zeros_like(v)))
        for _ in range(round(1.0 / self.period)):
            state = self.wait()
            if not self._followed.now.velocities.any() and np.abs(state.velocities).max() < 1e-3:
                break

    def objects(self) -> dict[str, Array]:
        return {} if self._simulation is None else self._simulation.objects()

    def close(self) -> None:
        self._simulation = None

    def _connected(self) -> _Simulation:
        if self._simulation is None:
            raise DriverError("the arm is not connected: use the driver as a context manager")
        return self._simulation

    def _advance(self) -> ArmState:
        """One period, by the command that is due, or without one."""
        simulation, followed = self._connected(), self._followed
        before, target = followed.now, followed.due()
        try:
            state = simulation.advance(before, target, self.expected)
        except RuntimeError as error:  # Drake's solvers, when the numbers run away
            raise DriverError(f"the simulation broke down at {simulation.time:.3f} s: {error}") from error
        followed.advance(target)
        return state

    def _catch_up(self) -> None:
        """In real time: the ticks that passed since `wait` returned, while nobody commanded."""
        if not self.settings.real_time:
            return
        passed = int((time.monotonic() - self._returned) / self.period)
        for _ in range(passed - 1):
            self._advance()
            self._due += self.period
        if passed > 1:
            self._returned = time.monotonic()


class _Simulation:
    """Drake's world, the controller in it, and the sensors."""

    def __init__(
        self,
        robot: Robot,
        scene: Scene,
        positions: Array,
        settings: DrakeSimSettings,
        movable: Collection[str] = (),
        gripper: SimGripper | None = None,
        dynamics: ArmDynamics | None = None,
    ) -> None:
        self._settings, self._effort, self._gripper = settings, robot.limits.effort, gripper
        self._built: ArmDiagram = make_diagram(
            robot,
            scene,
            time_step=settings.time_step,
            rotor_inertia=settings.rotor_inertia * (1.0 + settings.motor_error),
            mass_error=settings.mass_error,
            payload=settings.payload,
            movable=movable,
            density=settings.object_density,
        )
        self._simulator = Simulator(self._built.diagram)
        plant: Any = self._built.plant
        root = self._simulator.get_mutable_context()
        self._context = plant.GetMyMutableContextFromRoot(root)
        friction = friction_of(settings, robot)
        if dynamics is not None:
            become(plant, self._built.arm, dynamics, self._context)
            friction = (dynamics.viscous, dynamics.coulomb)
        plant.SetPositions(self._context, self._built.arm, positions)
        self._torques = self._built.diagram.GetInputPort("torques").FixValue(root, np.zeros(robot.dof))
        if self._built.fingers is not None and gripper is not None:
            gap = np.full(plant.num_positions(self._built.fingers), gripper.state().width / 2)
            plant.SetPositions(self._context, self._built.fingers, gap)
            self._finger_forces = self._built.diagram.GetInputPort("forces").FixValue(root, 0 * gap)
        self._contact_port = plant.get_contact_results_output_port()
        self._external_port = plant.get_generalized_contact_forces_output_port(self._built.arm)
        self._simulator.Initialize()
        self._model: Any = make_model(robot, rotor_inertia=settings.rotor_inertia)
        self._model_context = self._model.CreateDefaultContext()
        self._forces = MultibodyForces(self._model)
        self._integral = np.zeros(robot.dof)
        self._stiffness = settings.stiffness * effort_scale(robot)
        self._friction = JointFriction(plant, self._built.arm, robot.joint_names, *friction)
        self._noise = np.random.default_rng(settings.seed)
        self._steps = round(settings.period / settings.time_step)
        self._count = 0

    @property
    def time(self) -> float:
        """[s]"""
        return self._count * self._settings.time_step

    def objects(self) -> dict[str, Array]:
        """Poses X_WO (4, 4) of what can be moved."""
        plant = self._built.plant
        return {
            name: np.array(plant.EvalBodyPoseInWorld(self._context, body).GetAsMatrix4())
            for name, body in self._built.objects.items()
        }

    def advance(self, before: Command, target: Command, expected: Collection[frozenset[str]] = ()) -> ArmState:
        """One period of control from one reference to the next; the state after it, and contacts not expected."""
        dt = self._settings.time_step
        contact, torques = None, np.zeros(len(before.positions))
        external: Any = torques
        for k in range(self._steps):
            share, end = k / self._steps, (k + 1) / self._steps
            reference = Command(
                (1 - share) * before.positions + share * target.positions,
                (1 - share) * before.velocities + share * target.velocities,
                (1 - end) * before.accelerations + end * target.accelerations,
            )
            torques = self._control(reference, *self._measured())
            self._torques.GetMutableData().set_value(torques)
            self._move_fingers(dt)
            self._friction.set(self._context)
            # To the middle between two updates of the plant, so that rounding makes no difference to their number.
            self._simulator.AdvanceTo((self._count + 0.5) * dt)
            self._count += 1
            contact = contact or self._contact(expected)
            external = self._external_port.Eval(self._context)
        q, v = self._measured()
        return ArmState(self.time, q, v, torques, np.array(external), contact)

    def _move_fingers(self, dt: float) -> None:
        if self._gripper is None or self._built.fingers is None:
            return
        plant: Any = self._built.plant
        x = np.array(plant.GetPositions(self._context, self._built.fingers))
        v = np.array(plant.GetVelocities(self._context, self._built.fingers))
        self._finger_forces.GetMutableData().set_value(self._gripper.forces(x, v, dt))

    def forget_error(self) -> tuple[Array, Array]:
        """Drop the integral of the error; positions and velocities now, measured."""
        self._integral[:] = 0.0
        return self._measured()

    def _measured(self) -> tuple[Array, Array]:
        plant: Any = self._built.plant
        arm = self._built.arm
        q, v = np.array(plant.GetPositions(self._context, arm)), np.array(plant.GetVelocities(self._context, arm))
        settings, noise = self._settings, self._noise
        if settings.position_noise > 0:
            q += noise.normal(scale=settings.position_noise, size=len(q))
        if settings.velocity_noise > 0:
            v += noise.normal(scale=settings.velocity_noise, size=len(v))
        return q, v

    def _control(self, reference: Command, q: Array, v: Array) -> Array:
        settings = self._settings
        e, de = reference.positions - q, reference.velocities - v
        model, context = self._model, self._model_context
        model.SetPositions(context, q)
        model.SetVelocities(context, v)
        model.CalcForceElementsContribution(context, self._forces)
        if settings.control == "impedance":
            damping = self._damping(model.CalcMassMatrix(context))
            tau = model.CalcInverseDynamics(context, reference.accelerations, self._forces)
            tau = tau + self._stiffness * e + damping @ de
        else:
            w = settings.bandwidth
            wanted = reference.accelerations + 3 * w * de + 3 * w**2 * e + w**3 * self._integral
            tau = model.CalcInverseDynamics(context, wanted, self._forces)
            full = np.abs(tau) >= self._effort  # what is cut off must not be summed up
            self._integral += np.where(full, 0.0, e * settings.time_step)
        return np.clip(tau, -self._effort, self._effort)

    def _damping(self, M: Array) -> Array:
        """D = 2 z Q sqrt(L) Q^T where M = Q Q^T and K = Q L Q^T: each mode is damped alone (Albu-Schaeffer et al. 2003,
        Cartesian impedance control of redundant robots)."""
        values, X = eigh(np.diag(self._stiffness), M)  # X^T M X = 1, X^T K X = L
        Q = M @ X
        return 2.0 * self._settings.damping * (Q * np.sqrt(values)) @ Q.T

    def _contact(self, expected: Collection[frozenset[str]]) -> tuple[str, str] | None:
        """The deepest pair that is not expected; those that press over an area come last."""
        results: Any = self._contact_port.Eval(self._context)
        names = self._built.names
        points = [results.point_pair_contact_info(k).point_pair() for k in range(results.num_point_pair_contacts())]
        points.sort(key=lambda pair: -pair.depth)
        areas = [
            results.hydroelastic_contact_info(k).contact_surface() for k in range(results.num_hydroelastic_contacts())
        ]
        pairs = [(names[one.id_A], names[one.id_B]) for one in points]
        pairs += [(names[one.id_M()], names[one.id_N()]) for one in areas]
        return next((pair for pair in pairs if frozenset(pair) not in expected), None)
