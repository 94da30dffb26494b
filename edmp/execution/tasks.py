"""Running a task: its phases one after the other, each looked at again before anything moves, and watched.

A phase in which the arm moves is run as a plan is (`edmp.execution.prepared`): judged again, slowed down to what the
motors allow, within a tube of what was proved free. Where the gripper moves, the arm holds still and is watched. What
is taken has to be between the fingers, about as wide as planned, when they stop; and it has to be there still when it
is let go. Only what the phase says may touch: the fingers and the object while they hold it, the object and what it
stands on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.dynamics.model import ArmModel
from edmp.errors import InvalidInputError
from edmp.execution.adapt import Adaptation, AdaptSettings, adapted, unfed
from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.execution.effort import SHARE, effort_limit
from edmp.execution.executor import ControlLoop, Execution, ExecutionSettings, Outcome, refuse, run
from edmp.execution.gripper import Gripper
from edmp.execution.monitor import Fault, Violation
from edmp.execution.recorder import Recorder
from edmp.execution.tube import Tube, TubeSettings
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.taskplan import Phase, TaskPlan
from edmp.validate import Judge
from edmp.validate.tasks import judge_task, poses_at

Array = NDArray[np.float64]

TUBE = TubeSettings()
"""Stop when half of the proved clearance is used up."""
_WIDTH_TOLERANCE = 3e-3
"""The gripper may be open by this more or less than the task begins with [m]."""
_PATIENCE = 3.0
"""The fingers take no longer than planned by more than this [s]."""
_STANDS = 3e-3
"""An object that is no farther above something than this, where it is taken or put down, may touch it [m]."""
_NARROW, _SLOWEST = 6e-3, 0.25
"""Where less clearance than this is proved [m], a motion is slowed down in proportion, down to this share: how far an
arm is off its path falls with its speed."""
_SETTLE = 0.3
"""In the end, what was put down has this time to come to rest [s]."""


@dataclass(frozen=True, eq=False)
class ObjectEnd:
    """Where something that was moved is in the end.

    Attributes:
        name: of the obstacle.
        X_WO: (4, 4) where it is, as far as the driver knows (a simulation).
        error: distance of its origin from where the plan puts it [m].
        turned: angle between its axes and those of the plan [rad].
    """

    name: str
    X_WO: Array
    error: float
    turned: float


@dataclass(frozen=True, eq=False)
class TaskExecution(Execution):
    """What came of a task; ``recording`` is of all its phases.

    Attributes:
        phase: name of the phase that ended it; of the last one if all went well.
        objects: where what was moved is, if the driver can tell.
    """

    phase: str = ""
    objects: tuple[ObjectEnd, ...] = ()


@dataclass(frozen=True, eq=False)
class PreparedPhase:
    """A phase that was looked at again.

    Attributes:
        phase: as planned.
        settings: with the share of the planned speed that the motors allow.
        expected: pairs that may touch in it.
        tube: room round its motion; None if the gripper moves, or without one.
        adaptation: what was chosen for an arm that is not as described; None if it was not asked for.
    """

    phase: Phase
    settings: ExecutionSettings
    expected: frozenset[frozenset[str]]
    tube: Tube | None = None
    adaptation: Adaptation | None = None

    def corrector(self) -> Callable[[Command], Command] | None:
        """What makes of each command the one that is sent; None if commands are sent as they are."""
        return None if self.adaptation is None else self.adaptation.corrector()


@dataclass(frozen=True, eq=False)
class PreparedTask:
    """A task as it may be run, made by `prepare_task`; run it once.

    Attributes:
        plan: as planned.
        phases: looked at again, up to the one that is refused.
        refusal: why it must not be run; None if it may.
    """

    plan: TaskPlan
    phases: tuple[PreparedPhase, ...]
    refusal: str | None

    @property
    def robot(self) -> Robot:
        """The arm as it is before the first phase, with nothing in its hand."""
        arm = self.plan.phases[0].robot if self.plan.phases else self.plan.robot
        for name in self.movable:
            arm = arm.without_attachment(name) if name in arm.link_names else arm
        return replace(arm, allowed_contacts=())

    @property
    def scene(self) -> Scene:
        """All that stands round it, what is moved included, in the hand, too."""
        first = self.plan.phases[0] if self.plan.phases else None
        if first is None or first.held is None:
            return self.plan.scene
        held = first.held
        link = first.robot.links[first.robot.link_index(held.link)]
        X_WO = poses_at(first.robot, first.start)[link.body] @ link.X_BL @ held.X_LA
        return replace(self.plan.scene, obstacles=(*self.plan.scene, Obstacle(held.name, held.shape, X_WO)))

    @property
    def movable(self) -> tuple[str, ...]:
        """Names of what is moved."""
        return tuple(dict.fromkeys(phase.held.name for phase in self.plan.phases if phase.held is not None))

    @property
    def begin(self) -> Array:
        """(dof,) where it begins [rad or m]."""
        return np.array(self.plan.start)

    @checked
    def check(self, arm: ArmDriver) -> None:
        """Whether a driver can do what the task needs.

        Raises:
            InvalidInputError: it moves no gripper.
        """
        grips = any(phase.solution is None or phase.held is not None for phase in self.plan.phases)
        if grips and not arm.has_gripper:
            raise InvalidInputError(
                f"driver {arm.name} moves no gripper, which {self.plan.name or 'the task'} needs: nothing was moved"
                + ("; hand=true says that a Franka Hand is mounted" if arm.name.startswith("franka") else "")
            )

    @checked
    def run(
        self,
        arm: ArmDriver,
        *,
        interrupt: threading.Event | None = None,
        on_tick: Callable[[ArmState, Command], None] | None = None,
        recorder: Recorder | None = None,
    ) -> TaskExecution:
        """Run it on a driver, which is connected here and left at the end; REFUSED if it must not be.

        Raises:
            InvalidInputError: the driver moves no gripper.
        """
        recorder = recorder or Recorder(self.robot)
        self.check(arm)
        refusal = self.refusal or next(filter(None, (unfed(one.adaptation, arm) for one in self.phases)), None)
        if refusal is not None:
            return TaskExecution(Outcome.REFUSED, refusal, None, recorder.recording())
        interrupt = interrupt or threading.Event()
        with arm:
            wrong = _not_as_planned(arm, self.phases[0].phase)
            if wrong is not None:
                return TaskExecution(Outcome.REFUSED, wrong, None, recorder.recording(), self.phases[0].phase.name)
            return self._run(arm, interrupt, on_tick, recorder)

    def _run(
        self,
        arm: ArmDriver,
        interrupt: threading.Event,
        on_tick: Callable[[ArmState, Command], None] | None,
        recorder: Recorder,
    ) -> TaskExecution:
        """All phases on a connected driver, up to the first that does not end as it should."""
        done, name = Execution(Outcome.REACHED, "", None, recorder.recording()), ""
        first = self.phases[0].phase
        if arm.gripper is not None and first.held is not None and first.width_before is not None:
            arm.gripper.grasp(first.width_before, self.phases[0].settings.grip_force)
        for k, one in enumerate(self.phases):
            name, follows = one.phase.name, self.phases[k + 1].phase if k + 1 < len(self.phases) else None
            arm.expected = one.expected
            # A real hand takes its time to answer: it is asked while the arm stands, not in the middle of a motion.
            recorder.look = _look_at(arm) if not arm.hardware or one.phase.solution is None else None
            if one.phase.solution is not None:
                done = run(
                    one.phase.trajectory,
                    arm,
                    settings=one.settings,
                    tube=one.tube,
                    correct=one.corrector(),
                    interrupt=interrupt,
                    on_tick=on_tick,
                    recorder=recorder,
                )
                done = _still_held(arm, one.phase, done)
            else:
                takes = follows is not None and follows.held is not None and one.phase.held is None
                done = _grip(arm, one, takes, interrupt, on_tick, recorder)
            if not done.reached:
                break
        if done.reached:
            last = replace(self.phases[-1].phase, start=self.phases[-1].phase.end, solution=None)
            done = _stand(
                arm, replace(self.phases[-1], phase=last), lambda: False, _SETTLE, interrupt, on_tick, recorder
            )
        message = done.message if done.reached or not name else f"{name}: {done.message}"
        ends = tuple(_ends(arm, self.plan))
        if done.reached and ends:
            message += "; " + ", ".join(f"{end.name} {1e3 * end.error:.1f} mm from its place" for end in ends)
        return TaskExecution(done.outcome, message, done.violation, recorder.recording(), name, ends)


@checked
def prepare_task(
    plan: TaskPlan,
    *,
    speed: float = 1.0,
    effort: float = SHARE,
    tube: TubeSettings | None = TUBE,
    settings: ExecutionSettings | None = None,
    adapt: ArmModel | None = None,
    adapting: AdaptSettings | None = None,
) -> PreparedTask:
    """Judge a task again, slow its motions down to what the motors allow, and prove the room round them.

    Arguments as of `edmp.execution.prepare`. What is in the hand is not part of the model that is adapted to.

    Raises:
        InvalidInputError: the task is not solved, an argument is out of range, or the model is of another robot.
    """
    if not plan.solved:
        raise InvalidInputError(f"holds no whole task: {plan.status.value} {plan.message}")
    settings = replace(settings or ExecutionSettings(), speed=speed)
    verdict = judge_task(plan)
    if not verdict.valid:
        return PreparedTask(plan, (), f"the task is not free: {verdict.message()}")
    model = None if adapt is None else adapt.for_robot(PreparedTask(plan, (), None).robot)
    if tube is not None and model is not None:
        tube = replace(tube, reaction=tube.reaction + model.delay)
    rests = _supports(plan)
    ready: list[PreparedPhase] = []
    for phase in plan.phases:
        expected = frozenset(rests | _grasped(plan, phase))
        if phase.solution is None:
            ready.append(PreparedPhase(phase, settings, expected))
            continue
        trajectory = phase.solution.trajectory
        if (refusal := refuse(trajectory, phase.robot)) is not None:
            return PreparedTask(plan, tuple(ready), f"{phase.name}: {refusal}")
        limit = effort_limit(phase.robot, trajectory, share=effort)
        slower = replace(settings, speed=min(settings.speed, limit.speed))
        room = None
        if tube is not None:
            room = Tube(phase.robot, phase.scene, trajectory, settings=tube, touching=expected)
            slow = min(max(room.narrowest / _NARROW, _SLOWEST), 1.0)
            slower = replace(slower, speed=min(slower.speed, settings.speed * slow))
        chosen = None
        if model is not None:
            chosen = adapted(model, trajectory, settings=slower, tube=room, adapting=adapting or AdaptSettings())
            if chosen.refusal is not None:
                return PreparedTask(plan, tuple(ready), f"{phase.name}: {chosen.refusal}")
            slower = replace(slower, speed=chosen.speed, lead=chosen.lead)
        ready.append(PreparedPhase(phase, slower, expected, room, chosen))
    return PreparedTask(plan, tuple(ready), None)


def _supports(plan: TaskPlan) -> set[frozenset[str]]:
    """What each object stands on where it is taken, and where it is put down: what it is not far above."""
    found: set[frozenset[str]] = set()
    for phase in plan.phases:
        if (held := phase.held) is None:
            continue
        judge = Judge(phase.robot, phase.scene)
        for one in (*judge.near(phase.start, _STANDS), *judge.near(phase.end, _STANDS)):
            if one.link == held.name and not one.with_self and one.away[2] > 0.5:
                found.add(frozenset((one.link, one.other)))
    return found


def _grasped(plan: TaskPlan, phase: Phase) -> set[frozenset[str]]:
    """Fingers and object, while the ones close on the other, hold it, or let go."""
    fingers = [finger.link for finger in phase.robot.gripper.fingers] if phase.robot.gripper else []
    names = {contact.obstacle for contact in phase.robot.allowed_contacts if contact.link in fingers}
    if phase.held is not None:
        names.add(phase.held.name)
    return {frozenset((finger, name)) for finger in fingers for name in names}


def _not_as_planned(arm: ArmDriver, first: Phase) -> str | None:
    """Why the gripper is not as the task begins with it; None if it is."""
    if arm.gripper is None or first.width_before is None:
        return None
    width = arm.gripper.state().width
    if abs(width - first.width_before) <= _WIDTH_TOLERANCE:
        return None
    return (
        f"the gripper is {1e3 * width:.1f} mm open, the task begins with {1e3 * first.width_before:.1f} mm: open it so "
        "far, or plan with it as it is"
    )


def _grip(
    arm: ArmDriver,
    one: PreparedPhase,
    takes: bool,
    interrupt: threading.Event,
    on_tick: Callable[[ArmState, Command], None] | None,
    recorder: Recorder,
) -> Execution:
    """The fingers move, and the arm holds still."""
    gripper, phase = arm.gripper, one.phase
    if gripper is None or phase.width is None:
        raise InvalidInputError(f"driver {arm.name} has no gripper for phase {phase.name!r}")
    if takes:
        gripper.grasp(phase.width, one.settings.grip_force)
    else:
        gripper.move(phase.width)
    done = _stand(arm, one, lambda: gripper.state().moving, phase.duration + _PATIENCE, interrupt, on_tick, recorder)
    state = gripper.state()
    if not done.reached:
        return done
    if state.moving:
        return _failed(done, f"the fingers are at {1e3 * state.width:.1f} mm after {phase.duration + _PATIENCE:.1f} s")
    if takes and not state.holding:
        closed, wide = 1e3 * state.width, 1e3 * phase.width
        return _failed(done, f"the fingers closed to {closed:.1f} mm: what they should hold is {wide:.1f} mm wide")
    return done


def _stand(
    arm: ArmDriver,
    one: PreparedPhase,
    busy: Callable[[], bool],
    longest: float,
    interrupt: threading.Event,
    on_tick: Callable[[ArmState, Command], None] | None,
    recorder: Recorder,
) -> Execution:
    """Hold the arm where a phase begins while something else is ``busy``, or for ``longest`` [s] if nothing ever is."""
    loop = ControlLoop(arm, one.settings, recorder, interrupt, on_tick)
    command, waits = Command.hold(one.phase.start), busy()
    try:
        state = loop.exchange(command)
        begin = state.time
        while loop.tick_fault(state, command) is None:
            if state.time - begin >= longest or (waits and not busy()):
                break
            state = loop.exchange(command)
        if loop.violation is not None and arm.gripper is not None:
            _halt(arm.gripper)
    except DriverError as error:
        return loop.lost(error)
    return loop.conclude(one.phase.start)


def _halt(gripper: Gripper) -> None:
    """Leave the fingers where they are, unless they hold something."""
    state = gripper.state()
    if state.moving and not state.holding:
        gripper.move(state.width)


def _still_held(arm: ArmDriver, phase: Phase, done: Execution) -> Execution:
    """As it went, unless what the arm carried is not in its hand any more."""
    if not done.reached or phase.held is None or arm.gripper is None:
        return done
    state = arm.gripper.state()
    if state.holding:
        return done
    apart = f"which are {1e3 * state.width:.1f} mm apart"
    return _failed(done, f"{phase.held.name!r} is not between the fingers any more, {apart}")


def _look_at(arm: ArmDriver) -> Callable[[], tuple[float | None, Mapping[str, Array]]]:
    return lambda: (arm.gripper.state().width if arm.gripper is not None else None, arm.objects())


def _failed(done: Execution, message: str) -> Execution:
    last = done.recording.times[-1] if len(done.recording.times) else 0.0
    return Execution(Outcome.STOPPED, message, Violation(Fault.GRIPPER, float(last), message), done.recording)


def _ends(arm: ArmDriver, plan: TaskPlan) -> Iterable[ObjectEnd]:
    for name, X_WO in arm.objects().items():
        if name not in plan.scene_after:
            continue
        wanted: Any = plan.scene_after[name].X_WO
        off, R = X_WO[:3, 3] - wanted[:3, 3], wanted[:3, :3].T @ X_WO[:3, :3]
        turned = float(np.arccos(np.clip(0.5 * (np.trace(R) - 1.0), -1.0, 1.0)))
        yield ObjectEnd(name, X_WO, float(np.linalg.norm(off)), turned)
