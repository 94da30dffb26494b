"""What a planner is given, checked and in one form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from edmp.arguments import numbers, shown
from edmp.costs import Ensemble, ensemble_by_name
from edmp.errors import InvalidInputError
from edmp.prior.base import Prior
from edmp.prior.checkpoint import default_prior, load_prior
from edmp.robots import load_robot
from edmp.robots.parts import Array
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene


def check_call(scene: object, seed: object, time_budget: object) -> None:
    """
    Raises:
        InvalidInputError: there is no scene, no seed from 0 to 2**31 - 1, or no time [s].
    """
    if not isinstance(scene, Scene):
        raise InvalidInputError(f"scene must be a Scene, not {type(scene).__name__}")
    budget = numbers(time_budget)
    if budget is None or budget.ndim or not budget > 0:
        raise InvalidInputError(f"time_budget must be a positive number of seconds, got {shown(time_budget)}")
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**31:
        raise InvalidInputError(f"seed must be an integer from 0 to 2**31 - 1, got {seed!r}")


def check_same_arm(ours: Robot, theirs: Robot) -> None:
    """
    Raises:
        InvalidInputError: another arm than the planner's: its joints or their limits differ.
    """
    same = ours.joint_names == theirs.joint_names and all(
        np.array_equal(getattr(ours.limits, bound), getattr(theirs.limits, bound)) for bound in ("lower", "upper")
    )
    if not same:
        raise InvalidInputError(f"robot {theirs.name!r} is another arm than this planner's {ours.name!r}")


def given_robot(robot: Robot | str | Path) -> Robot:
    """The robot itself, by its name or from its description file.

    Raises:
        InvalidInputError: it is none of these.
    """
    found: object = load_robot(robot) if isinstance(robot, (str, Path)) else robot
    if not isinstance(found, Robot):
        raise InvalidInputError(f"robot must be a Robot, a name or a description file, not {type(robot).__name__}")
    return found


def given_ensemble(ensemble: Ensemble | str) -> Ensemble:
    """The ensemble itself, or the preset of that name.

    Raises:
        InvalidInputError: it is none of these.
    """
    found: object = ensemble_by_name(ensemble) if isinstance(ensemble, str) else ensemble
    if not isinstance(found, Ensemble):
        raise InvalidInputError(f"ensemble must be an Ensemble or the name of one, not {type(ensemble).__name__}")
    return found


def given_path(warm: ArrayLike, robot: Robot) -> Array:
    """``warm`` as (n, dof).

    Raises:
        InvalidInputError: it is no path of this robot.
    """
    path = numbers(warm)
    if path is None:
        raise InvalidInputError(f"warm must be a path (n >= 2, {robot.dof}) of numbers, not {type(warm).__name__}")
    if path.ndim != 2 or path.shape[1] != robot.dof or len(path) < 2 or not np.isfinite(path).all():
        raise InvalidInputError(
            f"warm must be a path (n >= 2, {robot.dof}) of finite numbers for {robot.name}, got shape {path.shape}"
        )
    return path


def given_prior(prior: Prior | str | Path | None, robot: Robot) -> Prior:
    """The prior itself, by its name or from its file; None is the one bundled for the robot, or the process.

    Raises:
        InvalidInputError: it is no prior on splines, or for another number of joints.
    """
    if prior is None:
        found: object = default_prior(robot)
    else:
        found = load_prior(prior, robot) if isinstance(prior, (str, Path)) else prior
    if not isinstance(found, Prior):
        raise InvalidInputError(f"the planner needs a prior on splines, not {type(found).__name__}")
    if found.dof != robot.dof:
        raise InvalidInputError(f"the prior is for {found.dof} joints, {robot.name} has {robot.dof}")
    return found
