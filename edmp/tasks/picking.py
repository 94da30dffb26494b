"""`pick`, `place` and `pick_and_place`: from what is wanted to a sequence of certified phases."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence as SequenceOf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked_but, numbers, shown
from edmp.constraints import Constraint
from edmp.errors import InvalidInputError
from edmp.geometry.poses import rigid
from edmp.planner.goals import STATUS_OF
from edmp.problem import PoseGoal, StartLike
from edmp.ranges import Range, check_fields
from edmp.result import Status
from edmp.robots.configuration import configuration
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.taskplan import Phase, TaskPlan
from edmp.tasks import grip
from edmp.tasks.choice import PHASES, UNREACHABLE, Choice, Fate, Question, Search
from edmp.tasks.grasps import Grasps, grasps_for
from edmp.tasks.placing import placed
from edmp.tasks.sequence import (
    CARRY_PARTS,
    PATIENCE,
    REACH_PARTS,
    Attach,
    Detach,
    Failure,
    Grip,
    Move,
    Step,
    TaskRun,
    outcome,
    planner_of,
    run_steps,
)
from edmp.validate import Judge

Array = NDArray[np.float64]

Placement = PoseGoal | ArrayLike | SequenceOf[PoseGoal]
"""Where an object is to go: a pose of its frame in the world, (4, 4) or a `PoseGoal`, or several: one is enough."""


@checked_but("start", "grasps", "at")
def pick_and_place(
    scene: Scene,
    start: StartLike,
    object: str,
    at: Placement,
    grasps: Grasps | ArrayLike | None = None,
    *,
    robot: Robot | str = "panda",
    lift: float = 0.1,
    lower: float = 0.1,
    retreat: float = 0.1,
    constraints: SequenceOf[Constraint] = (),
    velocity_scale: float = 1.0,
    acceleration_scale: float = 1.0,
    seed: int = 0,
    time_budget: float = 10.0,
) -> TaskPlan:
    """Pick an object up and put it down elsewhere.

    The phases: ``open`` the fingers as far as the grasp needs; ``reach``, a free motion that ends straight on to the
    object; ``close`` until they touch; ``carry``, straight up, freely, and straight down, with the object counted as
    robot; ``open`` again; ``retreat``, straight back. Every one is certified with the robot and the scene as they are
    then, and they are timed as one motion with stops where the gripper moves. The fingers, and nothing else, touch the
    object, where they close and where they open. A grasp is taken only if all of the task can be done with it.

    Args:
        scene: with the object in it.
        start: of the arm, as for `edmp.plan`.
        object: name of the obstacle that is picked.
        at: where it is to go: a pose of its frame in the world, (4, 4) or a `PoseGoal`; or several, of which one is
            enough.
        grasps: `Grasps`, or poses (n, 4, 4) of the tool in the object's frame, the better ones first; None makes them
            by `grasps_for`.
        robot: the arm; it has a gripper.
        lift, lower, retreat: lengths of the straight ways up, down and back; shorter where there is no room [m].
        constraints: what ``carry`` keeps to all the way.
        velocity_scale, acceleration_scale, seed: as for `edmp.plan`.
        time_budget: give up after this time, all grasps together [s].

    Returns:
        The outcome; a failure is a value that says in which phase, and what became of how many grasps.

    Raises:
        InvalidInputError: a robot without a gripper, or other arguments that make no sense.
        UnknownNameError: no such obstacle.
    """
    return _picked(
        scene, start, object, _placements(at), grasps, robot, (lift, lower, retreat), tuple(constraints),
        velocity_scale, acceleration_scale, seed, time_budget,
    )  # fmt: skip


@checked_but("start", "grasps")
def pick(
    scene: Scene,
    start: StartLike,
    object: str,
    grasps: Grasps | ArrayLike | None = None,
    *,
    robot: Robot | str = "panda",
    lift: float = 0.1,
    constraints: SequenceOf[Constraint] = (),
    velocity_scale: float = 1.0,
    acceleration_scale: float = 1.0,
    seed: int = 0,
    time_budget: float = 10.0,
) -> TaskPlan:
    """Pick an object up and lift it: `pick_and_place` up to there, whose arguments these are.

    The last phase is ``lift``. `TaskPlan.robot_after`, ``scene_after`` and ``configuration_after`` go on from there:
    the object is attached. Where it is to go matters for the choice of the grasp, which only `pick_and_place` knows.
    """
    return _picked(
        scene, start, object, (), grasps, robot, (lift, 0.0, 0.0), tuple(constraints),
        velocity_scale, acceleration_scale, seed, time_budget,
    )  # fmt: skip


@checked_but("start", "at")
def place(
    scene: Scene,
    start: StartLike,
    object: str,
    at: Placement,
    *,
    robot: Robot,
    opening: float | None = None,
    lower: float = 0.1,
    retreat: float = 0.1,
    constraints: SequenceOf[Constraint] = (),
    velocity_scale: float = 1.0,
    acceleration_scale: float = 1.0,
    seed: int = 0,
    time_budget: float = 10.0,
) -> TaskPlan:
    """Put down what the arm holds: ``carry``, freely and straight down; ``open``; ``retreat``, straight back.

    Args:
        scene: without the object.
        start: of the arm.
        object: name of what is attached to ``robot``, see `Robot.with_attachment`.
        at: where it is to go, as in `pick_and_place`.
        robot: with the object attached, such as `TaskPlan.robot_after` of `pick`.
        opening: gap between the fingers when it is let go [m]; by default 2 cm more than now, if they open so far.
        lower, retreat, constraints, velocity_scale, acceleration_scale, seed, time_budget: as in `pick_and_place`.
    """
    check_fields(_Lengths(0.0, lower, retreat, time_budget), _RANGES)
    return placed(
        scene, start, object, _placements(at), robot, opening, lower, retreat, tuple(constraints),
        velocity_scale, acceleration_scale, seed, time_budget,
    )  # fmt: skip


def _picked(
    scene: Scene,
    start: StartLike,
    object: str,
    places: tuple[Array, ...],
    grasps: Grasps | ArrayLike | None,
    robot: Robot | str,
    lengths: tuple[float, float, float],
    constraints: tuple[Constraint, ...],
    velocity_scale: float,
    acceleration_scale: float,
    seed: int,
    time_budget: float,
) -> TaskPlan:
    """`pick_and_place`, or `pick` if there are no places."""
    lift, lower, retreat = lengths
    check_fields(_Lengths(lift, lower, retreat, time_budget), _RANGES)
    planner = planner_of(robot)
    begin = time.perf_counter()
    arm = planner.robot
    q = configuration(arm, start, "start")
    options = _grasps(grasps, scene, object, arm)
    run = TaskRun(planner, seed, begin + time_budget, velocity_scale, acceleration_scale, PATIENCE * time_budget)
    refused = _refused(arm, scene, q, object, options)
    if refused is not None:
        return outcome(arm, scene, q, [], refused, run, begin)
    settled = [grip.set_down(arm, scene.without(object), scene[object], X) for X in places]
    if settled and all(fault for _, fault in settled):
        blocked = Failure("carry", Status.GOAL_IN_COLLISION, f"at: {settled[0][1]}")
        return outcome(arm, scene, q, [], blocked, run, begin)
    free = tuple(X for X, fault in settled if not fault)
    ask = Question(
        arm, scene, q, object, options, free, lift * grip.UP, -lower * grip.UP, retreat, constraints, seed
    )  # fmt: skip
    search = Search(ask, run.deadline)
    best: tuple[list[Phase], Failure] | None = None
    for choice in search.choices():
        phases, failure = run_steps(_steps(choice, object, constraints), arm, scene, q, run)
        if failure is None:
            plan = outcome(arm, scene, q, phases, None, run, begin)
            return dataclasses.replace(plan, grasp=choice.grasp)
        search.fates[choice.grasp] = Fate(failure.phase, f"without a motion to {failure.phase}")
        if best is None or len(phases) > len(best[0]):
            best = phases, failure
        if run.left < 0:
            break
    return outcome(arm, scene, q, best[0] if best else [], _failure(search, best, object, run), run, begin)


@dataclasses.dataclass(frozen=True)
class _Lengths:
    lift: float
    lower: float
    retreat: float
    time_budget: float


_RANGES = {name: Range(0, 10) for name in ("lift", "lower", "retreat")} | {"time_budget": Range(0, above=True)}


def _steps(choice: Choice, object: str, constraints: tuple[Constraint, ...]) -> list[Step]:
    """The phases of a task with one grasp."""
    steps: list[Step] = [
        Grip(choice.opening, name="open"),
        Move(choice.q_grasp, "reach", arrive=choice.approach, parts=REACH_PARTS),
        Grip(None, object, "close"),
        Attach(object),
    ]
    if choice.q_place is None:
        return [*steps, Move(None, "lift", depart=choice.lift, constraints=constraints, parts=CARRY_PARTS)]
    carry = Move(choice.q_place, "carry", choice.lift, choice.lower, constraints, CARRY_PARTS)
    away = Move(None, "retreat", depart=choice.retreat, parts=("retreat", "", ""))
    return [*steps, carry, Detach(), Grip(choice.opening, object, "let go"), away]


def _failure(search: Search, best: tuple[list[Phase], Failure] | None, object: str, run: TaskRun) -> Failure:
    """Why no grasp will do: where the one that got furthest fails."""
    report = f"no way to take {object!r} with any grasp; {search.report()}"
    if best is not None:
        status, phase = best[1].status, best[1].phase
        report = f"{report}; the one that got furthest: {best[1].message}"
    else:
        fates = search.fates.values()
        phase = max((fate.phase for fate in fates), key=PHASES.index, default="reach")
        reach = all(fate.why == UNREACHABLE or "in reach" in fate.why for fate in fates)
        status = Status.GOAL_UNREACHABLE if reach else Status.GOAL_IN_COLLISION
    if run.left < 0:
        return Failure(phase, Status.TIMEOUT, f"time ran out; {report}")
    return Failure(phase, status, report)


def _refused(robot: Robot, scene: Scene, q: Array, object: str, grasps: Grasps) -> Failure | None:
    """What is wrong before any grasp is looked at."""
    assert robot.gripper is not None
    obstacle = scene[object]
    verdict = Judge(robot, scene).check(q)
    if not verdict.valid:
        return Failure("reach", STATUS_OF["start", verdict.cause], f"start: {verdict.message()}")
    if not len(grasps):
        return Failure(
            "reach",
            Status.GOAL_UNREACHABLE,
            f"{object!r}, a {type(obstacle.shape).__name__}, is too wide for the gripper, which opens "
            f"{1e3 * robot.gripper.widest:.0f} mm",
        )
    return None


def _grasps(grasps: Grasps | ArrayLike | None, scene: Scene, object: str, robot: Robot) -> Grasps:
    """The grasps to choose from.

    Raises:
        InvalidInputError: the arm has no gripper, or the grasps are none.
        UnknownNameError: no such obstacle.
    """
    if robot.gripper is None:
        raise InvalidInputError(
            f"robot: {robot.name} has no gripper, so it cannot pick; give its description one (gripper: and fingers:, "
            "as in panda.yaml), or carry with Robot.with_attachment"
        )
    shape = scene[object].shape
    if isinstance(grasps, Grasps):
        widest = float(np.max(grasps.opening, initial=0.0))
        if widest > robot.gripper.widest:
            raise InvalidInputError(
                f"grasps: opening {widest:g} m, but {robot.name}'s gripper opens {robot.gripper.widest:g} m at most"
            )
        return grasps
    if grasps is not None:
        poses = numbers(grasps)
        if poses is None or poses.shape[-2:] != (4, 4):
            raise InvalidInputError(
                f"grasps must be Grasps, or poses (n, 4, 4) in the object's frame, got {shown(grasps)}"
            )
        return Grasps(poses, robot.gripper.width)
    off = _closing_axis(robot)
    if abs(off[1]) < 0.999:
        raise InvalidInputError(
            f"robot: grasps are made for a tool frame whose fingers close along y and that looks along z; those of "
            f"{robot.name}'s {robot.tool.name} close along {np.round(off, 3).tolist()}: choose a frame by "
            "Robot.with_tool, or give grasps of your own"
        )
    return grasps_for(shape, robot.gripper)


def _closing_axis(robot: Robot) -> Array:
    """(3,) the way the first finger slides, in the tool frame."""
    assert robot.gripper is not None
    finger = robot.gripper.fingers[0]
    link = robot.links[robot.link_index(finger.link)]
    return np.asarray(robot.tool.X_BT[:3, :3].T @ link.X_BL[:3, :3] @ finger.axis)


def _placements(at: Placement) -> tuple[Array, ...]:
    """Poses (4, 4) of the object in the world.

    Raises:
        InvalidInputError: they are none.
    """
    if isinstance(at, PoseGoal):
        return (at.X_WT,)
    if isinstance(at, list | tuple) and at and all(isinstance(one, PoseGoal) for one in at):
        return tuple(one.X_WT for one in at)
    poses = numbers(at)
    if poses is None or poses.ndim not in (2, 3) or poses.shape[-2:] != (4, 4) or not len(poses):
        raise InvalidInputError(f"at must be a pose (4, 4), a PoseGoal, or several of either, got {shown(at)}")
    return tuple(rigid(X, "at") for X in poses.reshape(-1, 4, 4))
