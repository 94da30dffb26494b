"""The arms there are, by name. A driver's module, and the package behind it, is imported when it is asked for."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from edmp.errors import InvalidInputError, unknown_name
from edmp.execution.driver import ArmDriver
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene


@dataclass(frozen=True)
class DriverEntry:
    """Where a driver is.

    Attributes:
        module: its module.
        driver: the class in it. Its constructor takes the robot, then ``positions`` if it is an arm that begins where
            we like, and ``scene`` by keyword if it knows one.
        settings: the dataclass in the module that holds the driver's options, given to the constructor as ``settings``;
            None if the constructor's other keywords are the options.
    """

    module: str
    driver: str
    settings: str | None = None


DRIVERS: Mapping[str, DriverEntry] = {
    "kinematic": DriverEntry("edmp.execution.kinematic", "KinematicArm"),
    "drake-sim": DriverEntry("edmp.execution.drivers.drake_sim", "DrakeArm", "DrakeSimSettings"),
    "learned": DriverEntry("edmp.execution.drivers.learned", "LearnedArm", "LearnedSettings"),
    "identified": DriverEntry("edmp.execution.drivers.learned", "IdentifiedArm", "IdentifiedSettings"),
    "drake-lcm": DriverEntry("edmp.execution.drivers.drake_lcm", "DrakeLcmArm", "DrakeLcmSettings"),
    "franka-fr3": DriverEntry("edmp.execution.drivers.franka_fr3", "FrankaFR3", "FrankaFR3Settings"),
    "franka-panda": DriverEntry("edmp.execution.drivers.franka_panda", "FrankaPanda", "FrankaPandaSettings"),
    "ur": DriverEntry("edmp.execution.drivers.ur", "URArm", "URSettings"),
    "xarm": DriverEntry("edmp.execution.drivers.xarm", "XArm", "XArmSettings"),
}


def driver_class(name: str) -> type[ArmDriver]:
    """The class of a driver.

    Raises:
        UnknownNameError: no such driver.
        MissingDependencyError: its package is not installed; the message says what to install.
    """
    return getattr(importlib.import_module(_entry(name).module), _entry(name).driver)


def driver_options(name: str) -> tuple[str, ...]:
    """Names of the options that `make_driver` takes for this driver."""
    return tuple(_options(name))


def make_driver(
    name: str,
    robot: Robot,
    *,
    positions: ArrayLike | None = None,
    scene: Scene | None = None,
    movable: Collection[str] = (),
    options: Mapping[str, Any] | None = None,
) -> ArmDriver:
    """A driver, not connected yet.

    Args:
        name: one of `DRIVERS`.
        robot: description of the arm.
        positions: (dof,) where a simulated arm begins [rad or m]; default its home. A real arm is where it is.
        scene: what stands round a simulated arm.
        movable: names of obstacles in it that can be moved, for a simulation that knows how.
        options: of this driver (`driver_options`).

    Raises:
        UnknownNameError: no such driver or option.
        InvalidInputError: an option that makes no sense, or one that must be given is missing.
        MissingDependencyError: the driver's package is not installed; the message says what to install.
    """
    entry, given, known = _entry(name), dict(options or {}), _options(name)
    for option in given:
        if option not in known:
            raise unknown_name(f"option of driver {name}", option, tuple(known))
    if missing := [option for option, required in known.items() if required and option not in given]:
        raise InvalidInputError(f"driver {name} needs the option {', '.join(missing)}")
    cls = driver_class(name)
    parameters = inspect.signature(cls.__init__).parameters
    arguments: dict[str, Any] = {}
    if "positions" in parameters:
        arguments["positions"] = robot.home if positions is None else positions
    if "scene" in parameters:
        arguments["scene"] = scene
    if "movable" in parameters:
        arguments["movable"] = movable
    if entry.settings is not None:
        given = {"settings": getattr(importlib.import_module(entry.module), entry.settings)(**given)}
    return cls(robot, **arguments, **given)  # type: ignore[call-arg]


def _entry(name: str) -> DriverEntry:
    if name not in DRIVERS:
        raise unknown_name("driver", name, DRIVERS)
    return DRIVERS[name]


def _options(name: str) -> dict[str, bool]:
    """Options of a driver, and whether each must be given."""
    entry, cls = _entry(name), driver_class(name)
    if entry.settings is not None:
        fields = dataclasses.fields(getattr(importlib.import_module(entry.module), entry.settings))
        none = (dataclasses.MISSING, dataclasses.MISSING)
        return {field.name: (field.default, field.default_factory) == none for field in fields}
    own = [p for p in inspect.signature(cls.__init__).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return {p.name: p.default is p.empty for p in own if p.name not in ("scene", "movable")}
