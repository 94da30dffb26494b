"""`place`: putting down what is in the hand already."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from edmp.collision.world import World
from edmp.constraints import Constraint
from edmp.errors import InvalidInputError, unknown_name
from edmp.geometry.poses import inverse
from edmp.planner.goals import STATUS_OF
from edmp.problem import StartLike
from edmp.result import Status
from edmp.robots.configuration import configuration
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.taskplan import Held, Phase, TaskPlan
from edmp.tasks import grip
from edmp.tasks.choice import Landing, landed, small_world, solutions
from edmp.tasks.lines import tool_at
from edmp.tasks.sequence import (
    CARRY_PARTS,
    PATIENCE,
    Detach,
    Failure,
    Grip,
    Move,
    Step,
    TaskRun,
    held_by,
    outcome,
    planner_of,
    run_steps,
)
from edmp.validate import Judge
from edmp.validate.tasks import poses_at

Array = NDArray[np.float64]

_MORE = 0.02
"""How much farther the fingers open to let go [m]."""


def placed(
    scene: Scene,
    start: StartLike,
    name: str,
    places: tuple[Array, ...],
    robot: Robot,
    opening: float | None,
    lower: float,
    retreat: float,
    constraints: tuple[Constraint, ...],
    velocity_scale: float,
    acceleration_scale: float,
    seed: int,
    time_budget: float,
) -> TaskPlan:
    """See `edmp.place`."""
    q = configuration(robot, start, "start")
    attached = [link.name for link in robot.links if link.attached]
    if name not in attached:
        raise unknown_name("object in the hand", name, attached)
    planner = planner_of(robot)
    begin = time.perf_counter()
    run = TaskRun(planner, seed, begin + time_budget, velocity_scale, acceleration_scale, PATIENCE * time_budget)
    width = _opening(robot, opening)
    held = held_by(robot, name)
    carrying = Judge(robot, scene, constraints=constraints)
    verdict = carrying.check(q)
    if not verdict.valid:
        refused = Failure("carry", STATUS_OF["start", verdict.cause], f"start: {verdict.message()}")
        return outcome(robot, scene, q, [], refused, run, begin)
    obstacle = Obstacle(name, held.shape, np.eye(4))
    settled = [grip.set_down(robot.without_attachment(name), scene, obstacle, X) for X in places]
    places = tuple(X for X, fault in settled if not fault)
    if not places:
        refused = Failure("carry", Status.GOAL_IN_COLLISION, f"at: {settled[0][1]}")
        return outcome(robot, scene, q, [], refused, run, begin)
    X_OT = inverse(_object_at(robot, q, held)) @ tool_at(robot, q)
    world = small_world(World.of(robot, scene, only_separable=True))
    ends = solutions(world, np.array(places) @ X_OT, np.array([q, robot.home]), seed)
    found = sorted((one for ones in ends for one in ones), key=lambda one: one.cost)
    why = "no configuration puts it there" if not found else ""
    phases: list[Phase] = []
    failure: Failure | None = None
    for end in found:
        landing = landed(run.chain, carrying, held, end.q, width or 0.0, -lower * grip.UP, retreat)
        if not isinstance(landing, Landing):
            why = why or landing.why
            continue
        steps: list[Step] = [
            Move(end.q, "carry", arrive=landing.lower, constraints=constraints, parts=CARRY_PARTS),
            Detach(),
            *([Grip(width, name, "let go")] if width is not None else []),
            Move(None, "retreat", depart=landing.retreat, parts=("retreat", "", "")),
        ]
        phases, failure = run_steps(steps, robot, scene, q, run)
        if failure is None or run.left < 0:
            return outcome(robot, scene, q, phases, failure, run, begin)
    if failure is None:
        status = Status.GOAL_IN_COLLISION if found else Status.GOAL_UNREACHABLE
        failure = Failure("carry", status, f"{name!r} cannot be put there: {why}")
    return outcome(robot, scene, q, phases, failure, run, begin)


def _opening(robot: Robot, asked: float | None) -> float | None:
    """The gap that lets go; None for an arm without a gripper, which lets go without moving anything."""
    if robot.gripper is None:
        if asked is not None:
            raise InvalidInputError(f"opening: {robot.name} has no gripper")
        return None
    if asked is None:
        return min(robot.gripper.width + _MORE, robot.gripper.max_width)
    if not 0 <= asked <= robot.gripper.max_width:
        raise InvalidInputError(f"opening {asked} m: {robot.name} opens 0 to {robot.gripper.max_width} m")
    return float(asked)


def _object_at(robot: Robot, q: Array, held: Held) -> Array:
    """(4, 4) where what is held is in the world."""
    link = robot.links[robot.link_index(held.link)]
    return np.asarray(poses_at(robot, q)[link.body] @ link.X_BL @ held.X_LA)
