"""`Sequence`: phases one after the other, each planned from where the one before ends, and certified."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked, checked_but
from edmp.cached import cached_property
from edmp.cartesian.chain import ToolChain
from edmp.constraints import Constraint
from edmp.errors import InvalidInputError, unknown_name
from edmp.geometry.poses import finite_vector
from edmp.planner.planner import Planner
from edmp.problem import StartLike
from edmp.ranges import Range, check_fields
from edmp.result import Stats, Status
from edmp.robots.configuration import configuration
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.taskplan import Held, Phase, TaskPlan
from edmp.tasks import grip
from edmp.tasks.lines import chain_of
from edmp.tasks.motions import Trip, travel
from edmp.validate import Verdict
from edmp.validate.tasks import judge_joins, judge_phase

Array = NDArray[np.float64]


@checked_but("goal", "depart", "arrive")
@dataclass(frozen=True, eq=False)
class Move:
    """The arm moves, the gripper is still.

    Attributes:
        goal: as `edmp.plan` takes it; None ends where the straight way from the start ends.
        name: of the phase.
        depart: (3,) the tool first goes straight by this, in the world, without turning [m].
        arrive: (3,) and comes straight by this to the goal [m].
        constraints: what the motion keeps to all the way, straight parts included.
        parts: names of the straight way from the start, of the way between, and of the straight way to the goal.
    """

    goal: Any = None
    name: str = "move"
    depart: Any = (0.0, 0.0, 0.0)
    arrive: Any = (0.0, 0.0, 0.0)
    constraints: tuple[Constraint, ...] = ()
    parts: tuple[str, str, str] = ("depart", "transit", "arrive")

    def __post_init__(self) -> None:
        for name in ("depart", "arrive"):
            object.__setattr__(self, name, finite_vector(getattr(self, name), 3, f"Move {name}"))


@checked
@dataclass(frozen=True, eq=False)
class Grip:
    """The gripper moves, the arm is still.

    Attributes:
        width: gap between the fingers at the end [m]; None closes them until they touch.
        touching: name of the object that they may touch; they may touch nothing else.
        name: of the phase.
    """

    width: float | None
    touching: str | None = None
    name: str = "grip"


@checked
@dataclass(frozen=True)
class Attach:
    """From now on an obstacle is in the hand, and counts as robot."""

    name: str


@dataclass(frozen=True)
class Detach:
    """What is in the hand is let go where it is, and is an obstacle again."""


Step = Move | Grip | Attach | Detach

PATIENCE = 0.35
"""No motion of one grasp, or to one placement, may take more than this share of the time [1]."""
REACH_PARTS, CARRY_PARTS = ("depart", "transit", "approach"), ("lift", "transit", "lower")
"""What the stretches of these motions are called."""


@dataclass(frozen=True, eq=False)
class _State:
    robot: Robot
    scene: Scene
    q: Array
    held: Held | None


@dataclass
class TaskRun:
    """What the phases of one task share.

    Attributes:
        planner: of the arm.
        seed: of all random numbers.
        deadline: on the clock of `time.perf_counter` [s].
        velocity_scale, acceleration_scale: shares of the joints' limits.
        patience: time for one motion at most [s].
        seconds: wall time by part [s].
    """

    planner: Planner
    seed: int
    deadline: float
    velocity_scale: float = 1.0
    acceleration_scale: float = 1.0
    patience: float = 1e9
    seconds: dict[str, float] = field(default_factory=dict)

    @cached_property
    def chain(self) -> ToolChain:
        """The joints that move the tool."""
        return chain_of(self.planner.robot)

    @property
    def left(self) -> float:
        """Time until the deadline [s]."""
        return self.deadline - time.perf_counter()

    def spent(self, part: str, since: float) -> None:
        """Book the time since ``since`` to ``part``."""
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - since


@dataclass(frozen=True)
class Failure:
    """Why there is no task plan: in which phase, with what status, in words."""

    phase: str
    status: Status
    message: str


class Sequence:
    """Phases one after the other.

        Sequence([Move(above), Grip(None, touching="can"), Attach("can"), Move(there), Detach(), Grip(0.08)])

    Each is planned from where the one before ends, with the robot and the scene as they are then. What must fit
    together over several phases is for who makes the sequence to choose, as `edmp.pick_and_place` does.
    """

    @checked
    def __init__(self, steps: SequenceOf[Step]) -> None:
        self.steps = tuple(steps)

    @checked_but("start")
    def plan(
        self,
        scene: Scene,
        start: StartLike,
        *,
        robot: Robot | str = "panda",
        seed: int = 0,
        time_budget: float = 10.0,
        velocity_scale: float = 1.0,
        acceleration_scale: float = 1.0,
    ) -> TaskPlan:
        """Plan every phase.

        Args:
            scene, start, robot, seed, velocity_scale, acceleration_scale: as for `edmp.plan`.
            time_budget: give up after this time, all phases together [s].

        Returns:
            The outcome; a failure is a value with its cause, and the phases up to there.
        """
        planner = planner_of(robot)
        begin = time.perf_counter()
        run = TaskRun(planner, seed, begin + time_budget, velocity_scale, acceleration_scale)
        q = configuration(planner.robot, start, "start")
        phases, failure = run_steps(self.steps, planner.robot, scene, q, run)
        return outcome(planner.robot, scene, q, phases, failure, run, begin)


def planner_of(robot: Robot | str) -> Planner:
    """The planner that is kept for a robot; `edmp.plan` keeps the same."""
    from edmp.planner.front import kept_planner

    return kept_planner(robot)


def outcome(
    robot: Robot, scene: Scene, q: Array, phases: list[Phase], failure: Failure | None, run: TaskRun, begin: float
) -> TaskPlan:
    """What a task came to."""
    stats = Stats(None, time.perf_counter() - begin, run.seconds)
    if failure is not None:
        return TaskPlan(failure.status, failure.message, robot, scene, q, tuple(phases), stats, failure.phase)
    duration = sum(phase.duration for phase in phases)
    message = f"certified motion in {len(phases)} phases, {duration:.2f} s: {', '.join(phase.name for phase in phases)}"
    return TaskPlan(Status.SOLVED, message, robot, scene, q, tuple(phases), stats)


def run_steps(
    steps: SequenceOf[Step], robot: Robot, scene: Scene, q: Array, run: TaskRun
) -> tuple[list[Phase], Failure | None]:
    """The phases of some steps, up to the first that fails, and why it does."""
    held = [link.name for link in robot.links if link.attached]
    state = _State(robot, scene, q, held_by(robot, held[-1]) if held else None)
    phases: list[Phase] = []
    proved: dict[Phase, Verdict] = {}
    for step in steps:
        if isinstance(step, Attach):
            if step.name not in state.scene:
                raise unknown_name("obstacle", step.name, state.scene.names)
            state = _State(*_held(state, step.name))
        elif isinstance(step, Detach):
            if state.held is None:
                raise InvalidInputError("Detach: there is nothing in the hand")
            arm, there = grip.let_go(state.robot, state.scene, state.q, state.held)
            state = _State(arm, there, state.q, None)
        else:
            phase = _moved(step, state, run) if isinstance(step, Move) else _gripped(step, state, proved)
            if isinstance(phase, Failure):
                return phases, phase
            if phase is not None:
                phases.append(phase)
                arm = state.robot if phase.width is None else grip.opened(state.robot, phase.width)
                state = dataclasses.replace(state, robot=arm, q=phase.end)
    now = time.perf_counter()
    whole = TaskPlan(Status.SOLVED, "", robot, scene, q, tuple(phases), Stats(None, 0.0))
    verdict = judge_joins(whole, proved)
    run.spent("joins", now)
    if not verdict.valid:
        return phases, Failure(verdict.failed, Status.NO_PATH_FOUND, verdict.message())
    return phases, None


def held_by(robot: Robot, name: str) -> Held:
    """What the robot came with in its hand: its convex hull is its shape."""
    from edmp.geometry.poses import apply, inverse
    from edmp.geometry.shapes import Mesh

    link = robot.links[robot.link_index(name)]
    carriers = [one for one in robot.links if one.body == link.body and not one.attached]
    carried = next((one for one in carriers if one.name == grip.carrier(robot)), carriers[0])
    import trimesh

    hull = trimesh.convex.convex_hull(apply(inverse(link.X_BL), link.hulls_B[0]))
    return Held(name, Mesh(hull.vertices, hull.faces), carried.name, inverse(carried.X_BL) @ link.X_BL)


def _held(state: _State, name: str) -> tuple[Robot, Scene, Array, Held]:
    arm, rest, held = grip.hold(state.robot, state.scene, state.q, name)
    return arm, rest, state.q, held


def _moved(step: Move, state: _State, run: TaskRun) -> Phase | Failure:
    trip = Trip(step.goal, step.depart, step.arrive, step.constraints, step.parts)
    if run.left < 0:
        return Failure(step.name, Status.TIMEOUT, f"{step.name}: time ran out")
    now = time.perf_counter()
    planner = run.planner.for_robot(state.robot)
    made = travel(
        planner,
        run.chain,
        state.scene,
        state.q,
        trip,
        seed=run.seed,
        budget=min(run.left, run.patience),
        velocity_scale=run.velocity_scale,
        acceleration_scale=run.acceleration_scale,
    )
    run.spent(step.name, now)
    if made.solution is None:
        return Failure(step.name, made.status, f"{step.name}: {made.message}")
    width = state.robot.gripper.width if state.robot.gripper else None
    duration = made.solution.duration
    return Phase(
        step.name,
        state.robot,
        state.scene,
        state.q,
        made.solution,
        width,
        duration,
        state.held,
        made.parts,
        step.constraints,
    )


def _gripped(step: Grip, state: _State, proved: dict[Phase, Verdict]) -> Phase | Failure | None:
    """The gripper's phase, whose verdict is added to ``proved``; None if there is nothing to do."""
    robot = state.robot
    if robot.gripper is None:
        raise InvalidInputError(f"{robot.name} has no gripper: {step.name!r} cannot be done")
    before = robot.gripper.width
    if step.width is None:
        if step.touching is None:
            raise InvalidInputError(f"Grip {step.name!r}: touching must name what the fingers close on")
        closing = grip.closing_width(robot, state.q, state.scene[step.touching])
        if closing.fault:
            return Failure(step.name, Status.GOAL_IN_COLLISION, f"{step.name}: {closing.fault}")
        width = closing.width
    else:
        check_fields(step, {"width": Range(0, robot.gripper.max_width)})
        width = float(step.width)
        if width == before:
            return None
    arm = robot if step.touching is None else grip.may_touch(robot, step.touching)
    phase = Phase(step.name, arm, state.scene, state.q, None, width, grip.seconds(before, width), state.held)
    verdict = judge_phase(phase)
    if not verdict.valid:
        return Failure(step.name, Status.GOAL_IN_COLLISION, f"{step.name}: {verdict.message()}")
    proved[phase] = verdict
    return phase
