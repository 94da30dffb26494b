"""`ArmModel`: what a recording says of an arm, and what it makes of a motion before the arm moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.least_squares import arm_of, parameters_of
from edmp.dynamics.prediction import Prediction, predict
from edmp.dynamics.simulate import Controller
from edmp.errors import InvalidInputError
from edmp.files.json_nodes import JsonNode
from edmp.ranges import Range
from edmp.robots import load_robot
from edmp.robots.robot import Robot
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

FORMAT, VERSION = "edmp arm model", 1


@checked
@dataclass(frozen=True, eq=False)
class ArmModel:
    """An arm as its own motion shows it. Made by `edmp.dynamics.identify`, or read from a file.

    Parameters (13 dof of them) are ten inertial ones a body (see `ArmDynamics.inertial_parameters`), then motor
    inertia, viscous and Coulomb friction of all joints.

    Attributes:
        nominal: the arm as described.
        arm: the estimate.
        covariance: (13 dof, 13 dof) of the parameters.
        controller: that follows the commands, with their delay.
        delay_deviation: standard deviation of the delay [s].
        residual: (dof,) standard deviation of the torques that the estimate leaves unexplained [Nm or N].
        tracking_residual: (dof,) the same of the positions under the controller [rad or m].
        mass_factor: by which all of the arm is heavier than described, and its standard deviation [1].
        payload: mass at the tool that is not described, and its standard deviation [kg].
        unidentified: what the recording did not tell, in sentences.
        method: how it was found.
        source: of what recording.
    """

    nominal: ArmDynamics
    arm: ArmDynamics
    covariance: Array
    controller: Controller
    delay_deviation: float
    residual: Array
    tracking_residual: Array
    mass_factor: tuple[float, float]
    payload: tuple[float, float]
    unidentified: tuple[str, ...] = ()
    method: str = "least-squares"
    source: str = ""

    @property
    def robot(self) -> Robot:
        return self.nominal.robot

    @property
    def delay(self) -> float:
        """Of the commands [s]."""
        return self.controller.delay

    @checked
    def draws(self, count: int, *, seed: int = 0) -> tuple[list[ArmDynamics], Array]:
        """Arms and delays (count,) [s] as likely as the recording makes them; the first is the estimate itself."""
        if not Range(1, whole=True).holds(count):
            raise InvalidInputError(f"number of samples must be whole and at least 1, got {count!r}")
        rng = np.random.default_rng(seed)
        mean = parameters_of(self.arm)
        scale = np.sqrt(np.maximum(np.diag(self.covariance), 1e-300))
        values, vectors = np.linalg.eigh(self.covariance / np.outer(scale, scale))
        root = scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
        z = rng.standard_normal((count - 1, len(mean)))
        arms = [self.arm, *(arm_of(self.nominal, mean + root @ row) for row in z)]
        late = self.delay + self.delay_deviation * rng.standard_normal(count - 1)
        return arms, np.concatenate([[self.delay], np.maximum(late, 0.0)])

    @checked
    def for_robot(self, robot: Robot) -> ArmModel:
        """The model of the same arm with another gripper opening, or something attached, as ``robot`` has it.

        What the estimate differs from the description by stays.

        Raises:
            InvalidInputError: it is another robot.
        """
        if robot is self.robot:
            return self
        if robot.name != self.robot.name or robot.joint_names != self.robot.joint_names:
            raise InvalidInputError(
                f"the model is of {self.robot.name} ({', '.join(self.robot.joint_names)}), not of {robot.name} "
                f"({', '.join(robot.joint_names)}): record a motion of this arm and identify it"
            )
        nominal = ArmDynamics.of(robot)
        moved = parameters_of(self.arm) - parameters_of(self.nominal)
        return replace(self, nominal=nominal, arm=arm_of(nominal, parameters_of(nominal) + moved))

    @checked
    def predict(
        self,
        trajectory: Trajectory,
        *,
        num_samples: int = 32,
        speed: float = 1.0,
        lead: float = 0.0,
        feed_forward: bool = False,
        seed: int = 0,
    ) -> Prediction:
        """What the arm would do if it were told to run a motion: tracking, torques, and how sure that is.

        Args:
            trajectory: of this robot's joints, from rest.
            num_samples: arms that are tried, drawn from what the recording leaves open; the first is the estimate.
            speed: share of the planned speed, in (0, 1].
            lead: commands are sent this much before they are to be reached [s].
            feed_forward: whether accelerations are commanded that give the torques of the estimate.
            seed: of the draws.
        """
        if trajectory.joint_names != self.robot.joint_names:
            raise InvalidInputError(
                f"trajectory: is of joints {', '.join(trajectory.joint_names)}; the model is of {self.robot.name} "
                f"({', '.join(self.robot.joint_names)})"
            )
        for name, value, allowed in (("speed", speed, Range(0, 1, above=True)), ("lead", lead, Range(0, 1))):
            if not allowed.holds(value):
                raise InvalidInputError(f"{name} must be {allowed}, got {value!r}")
        return predict(
            self, trajectory, num_samples=num_samples, speed=speed, lead=lead, feed_forward=feed_forward, seed=seed
        )

    @checked
    def save(self, path: str | Path) -> None:
        """Write it as .safetensors, whole or not at all.

        Raises:
            InvalidInputError: the file cannot be written, or would not be read as a model by its name.
        """
        if Path(path).suffix.lower() != ".safetensors":
            raise InvalidInputError(f"{path}: a model's file must end in .safetensors")
        from edmp.learning.tensors import write_tensors

        arrays = {
            "nominal": parameters_of(self.nominal),
            "parameters": parameters_of(self.arm),
            "covariance": self.covariance,
            "residual": self.residual,
            "tracking_residual": self.tracking_residual,
        }
        description: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "robot": self.robot.name,
            "joints": [*self.robot.joint_names],
            "controller": {name: getattr(self.controller, name) for name in _CONTROLLER},
            "delay_deviation": self.delay_deviation,
            "mass_factor": [*self.mass_factor],
            "payload": [*self.payload],
            "unidentified": [*self.unidentified],
            "method": self.method,
            "source": self.source,
        }
        tensors = {name: torch.from_numpy(np.array(values, dtype=np.float64)) for name, values in arrays.items()}
        write_tensors(Path(path), tensors, description)

    @classmethod
    @checked
    def load(cls, path: str | Path, *, robot: Robot | None = None) -> ArmModel:
        """Read what `save` wrote.

        Args:
            path: the file.
            robot: the arm; by default it is loaded by the name in the file.

        Raises:
            FileFormatError: it is no such file, damaged, or of a later version.
            InvalidInputError: it is of another robot.
            UnknownNameError: there is no robot of this name: give it.
        """
        from edmp.learning.tensors import read_tensors

        tensors, header = read_tensors(Path(path))
        if header.get("format") is None or header["format"].value != FORMAT:
            header.fail(f"not an arm model: those are written by edmp identify and say {FORMAT!r}")
        if header["version"].integer() != VERSION:
            header["version"].fail(f"version {header['version'].value}; this edmp reads version {VERSION}")
        name, joints = header["robot"].text(least=1), tuple(node.text() for node in header["joints"].entries(least=1))
        robot = robot or load_robot(name)
        if robot.name != name or robot.joint_names != joints:
            raise InvalidInputError(
                f"{path}: is a model of {name} ({', '.join(joints)}), not of {robot.name} "
                f"({', '.join(robot.joint_names)})"
            )
        arrays = _arrays(tensors, header, robot.dof)
        nominal = ArmDynamics.of(robot)
        moved = arrays["parameters"] - arrays["nominal"]  # what is attached to ``robot`` is not what was identified
        with header.blamed():
            return cls(
                nominal,
                arm_of(nominal, parameters_of(nominal) + moved),
                arrays["covariance"],
                _controller(header["controller"]),
                header["delay_deviation"].number(0.0),
                arrays["residual"],
                arrays["tracking_residual"],
                _pair(header["mass_factor"]),
                _pair(header["payload"]),
                tuple(node.text() for node in header["unidentified"].entries()),
                header["method"].text(),
                header["source"].text(),
            )


_CONTROLLER = ("control", "bandwidth", "stiffness", "damping", "delay")


def _controller(node: JsonNode) -> Controller:
    with node.blamed():
        return Controller(
            node["control"].text(), **{name: node[name].number() for name in _CONTROLLER if name != "control"}
        )


def _pair(node: JsonNode) -> tuple[float, float]:
    value, deviation = node.array(2).tolist()
    return value, deviation


def _arrays(tensors: Mapping[str, torch.Tensor], header: JsonNode, dof: int) -> dict[str, Array]:
    d = 13 * dof
    shapes = {
        "nominal": (d,),
        "parameters": (d,),
        "covariance": (d, d),
        "residual": (dof,),
        "tracking_residual": (dof,),
    }
    arrays = {}
    for name, shape in shapes.items():
        if name not in tensors:
            header.fail(f"holds no tensor {name!r}")
        arrays[name] = tensors[name].double().numpy()
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            header.fail(f"{name}: expected finite numbers of shape {shape}, got shape {arrays[name].shape}")
    return arrays
