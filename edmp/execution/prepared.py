"""From a plan to a moving arm, with all that keeps it safe: one way for Python, the command line and benchmarks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.dynamics.model import ArmModel
from edmp.errors import InvalidInputError
from edmp.execution.adapt import Adaptation, AdaptSettings, adapted, unfed
from edmp.execution.driver import ArmDriver, ArmState, Command
from edmp.execution.drivers import driver_class, make_driver
from edmp.execution.effort import SHARE, EffortLimit, effort_limit
from edmp.execution.executor import Execution, ExecutionSettings, Outcome, refuse, run
from edmp.execution.recorder import Recorder
from edmp.execution.tasks import TUBE, PreparedTask, prepare_task
from edmp.execution.tube import Tube, TubeSettings
from edmp.planfile import PlanFile
from edmp.problem import Problem
from edmp.result import PlanResult
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.taskplan import TaskPlan
from edmp.trajectory import Trajectory
from edmp.validate import Judge

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A planned motion that was looked at again, and how it may be run.

    Attributes:
        robot: the arm that it was planned for.
        scene: what stands around it.
        trajectory: the motion.
        refusal: why it must not be run, None if it may: files can be edited, so limits and collisions are judged anew.
        settings: with the speed that the motors allow.
        limit: what the effort limits say of the planned speed.
        tube: room round the motion; None if none was wanted, or the motion is refused.
        adaptation: what was chosen for an arm that is not as described; None if it was not asked for.
    """

    robot: Robot
    scene: Scene
    trajectory: Trajectory
    refusal: str | None
    settings: ExecutionSettings
    limit: EffortLimit
    tube: Tube | None
    adaptation: Adaptation | None = None

    @property
    def begin(self) -> Array:
        """(dof,) where the motion begins [rad or m]."""
        return np.array(self.trajectory.positions[0])

    @checked
    def run(
        self,
        arm: ArmDriver,
        *,
        interrupt: threading.Event | None = None,
        on_tick: Callable[[ArmState, Command], None] | None = None,
        recorder: Recorder | None = None,
    ) -> Execution:
        """`edmp.execution.run` on a driver, which is connected here and left at the end; REFUSED if it must not be."""
        refusal = self.refusal or unfed(self.adaptation, arm)
        if refusal is not None:
            recording = (recorder or Recorder(self.robot)).recording()
            return Execution(Outcome.REFUSED, refusal, None, recording)
        with arm:
            return run(
                self.trajectory,
                arm,
                settings=self.settings,
                tube=self.tube,
                correct=None if self.adaptation is None else self.adaptation.corrector(),
                interrupt=interrupt,
                on_tick=on_tick,
                recorder=recorder,
            )


@checked
def prepare(
    plan: PlanResult | PlanFile,
    *,
    motion: int = 0,
    speed: float = 1.0,
    effort: float = SHARE,
    tube: TubeSettings | None = TUBE,
    settings: ExecutionSettings | None = None,
    adapt: ArmModel | None = None,
    adapting: AdaptSettings | None = None,
) -> Prepared:
    """Look at a planned motion again, slow it down to what the motors allow, and prove the room round it.

    Args:
        plan: a solved result that knows its problem, or a plan file.
        motion: 0 is the best one, 1 the first alternative.
        speed: share of the planned speed, in (0, 1].
        effort: motions that need more than this share of an effort limit are slowed down; 1 trusts the description.
        tube: see `TubeSettings`; None runs without one.
        settings: see `ExecutionSettings`; their speed is ``speed``.
        adapt: model of the arm that will run it (`edmp.dynamics.identify`): speed, lead, feed-forward and braking
            distance are chosen for that arm, see `Adaptation`; a motion that it can run at no speed is refused.
        adapting: how, see `AdaptSettings`.

    Raises:
        InvalidInputError: there is no such motion, or an argument is out of range, or holding the arm still already
            needs more than ``effort`` allows, or the model is of another robot.
    """
    result = plan.result if isinstance(plan, PlanFile) else plan
    problem = plan.problem if isinstance(plan, PlanFile) else result.problem
    if problem is None:
        raise InvalidInputError("the result does not know its problem: give edmp.PlanFile(problem, result)")
    if result.best is None:
        raise InvalidInputError(f"holds no motion: {result.status.value} {result.message}")
    motions = (result.best, *result.alternatives)
    if not 0 <= motion < len(motions):
        raise InvalidInputError(f"motion {motion!r}: the plan holds {len(motions)}, numbered from 0")
    trajectory = motions[motion].trajectory
    robot, scene = problem.robot, problem.scene
    settings = replace(settings or ExecutionSettings(), speed=speed)
    limit, room, adaptation = EffortLimit(1.0, "", 0.0), None, None
    model = None if adapt is None else adapt.for_robot(robot)
    refusal = refuse(trajectory, robot) or _not_free(trajectory, problem)
    if refusal is None:
        limit = effort_limit(robot, trajectory, share=effort)
        settings = replace(settings, speed=min(settings.speed, limit.speed))
        if tube is not None:
            late = 0.0 if model is None else model.delay
            room = Tube(robot, scene, trajectory, settings=replace(tube, reaction=tube.reaction + late))
        if model is not None:
            adaptation = adapted(model, trajectory, settings=settings, tube=room, adapting=adapting or AdaptSettings())
            settings = replace(settings, speed=adaptation.speed, lead=adaptation.lead)
            refusal = adaptation.refusal
    return Prepared(robot, scene, trajectory, refusal, settings, limit, room, adaptation)


@checked
def execute(
    plan: PlanResult | PlanFile | TaskPlan,
    driver: ArmDriver | str = "drake-sim",
    *,
    options: Mapping[str, Any] | None = None,
    motion: int = 0,
    speed: float = 1.0,
    effort: float = SHARE,
    tube: TubeSettings | None = TUBE,
    settings: ExecutionSettings | None = None,
    adapt: ArmModel | None = None,
    adapting: AdaptSettings | None = None,
    interrupt: threading.Event | None = None,
    on_tick: Callable[[ArmState, Command], None] | None = None,
    recorder: Recorder | None = None,
) -> Execution:
    """Run a plan on an arm, simulated or real, as ``edmp execute`` does.

    The motion is judged again, slowed down to what the motors allow, and watched: on any violation the arm brakes along
    its path. **The name of a real arm's driver moves that arm**, without asking.

    Args:
        plan: a solved result, a plan file, or a task.
        driver: a driver that is not connected yet, or the name of one.
        options: of the driver that is named.
        motion, speed, effort, tube, settings, adapt, adapting: see `prepare`. Nothing is fed forward to a driver that
            takes no accelerations.
        interrupt: set it, from a signal handler or another thread, for a controlled stop.
        on_tick: called at every tick with what was measured and what was commanded.
        recorder: collects every tick; give one to have what was recorded even if something here raises.

    Returns:
        How it went; REFUSED if the motion breaks a limit or is not free. Of a task a `TaskExecution`, which also says
        where what was moved is.

    Raises:
        InvalidInputError: see `prepare`; or the driver's options are wrong.
        UnknownNameError: there is no driver of this name.
    """
    ready: Prepared | PreparedTask
    if adapt is not None:
        takes = (driver_class(driver) if isinstance(driver, str) else driver).takes_accelerations
        adapting = (adapting or AdaptSettings()).within(takes)
    if isinstance(plan, TaskPlan):
        if motion != 0:
            raise InvalidInputError(f"motion {motion!r}: a task has no alternatives")
        ready = prepare_task(
            plan, speed=speed, effort=effort, tube=tube, settings=settings, adapt=adapt, adapting=adapting
        )
    else:
        ready = prepare(
            plan,
            motion=motion,
            speed=speed,
            effort=effort,
            tube=tube,
            settings=settings,
            adapt=adapt,
            adapting=adapting,
        )
    if isinstance(driver, str):
        driver = driver_for(ready, driver, options)
    elif options:
        raise InvalidInputError("options= belong to a driver that is named; this one is made already")
    return ready.run(driver, interrupt=interrupt, on_tick=on_tick, recorder=recorder)


def driver_for(ready: Prepared | PreparedTask, name: str, options: Mapping[str, Any] | None = None) -> ArmDriver:
    """A driver by its name, not connected yet, in front of what was prepared.

    Raises:
        UnknownNameError, InvalidInputError, MissingDependencyError: see `make_driver`.
    """
    movable = ready.movable if isinstance(ready, PreparedTask) else ()
    return make_driver(
        name, ready.robot, positions=ready.begin, scene=ready.scene, movable=movable, options=dict(options or {})
    )


def _not_free(trajectory: Trajectory, problem: Problem) -> str | None:
    judge = Judge(problem.robot, problem.scene, constraints=problem.constraints, escape=problem.escape)
    verdict = judge.check_path(trajectory.positions)
    return None if verdict.valid else f"the motion is not free: {verdict.message()}"
