"""The judge's word on a whole task: every phase in its own robot and scene, and how the phases join.

- The arm moves: the timed motion is proved as any other, with the phase's robot and scene. Nothing touches anything,
  but what is held may rest on something where the motion begins and ends. Where a part of it has a line, the tool is
  proved to keep to it (`edmp.validate.tool_path`).
- The gripper moves: the fingers are proved as joints of their own, the arm standing. They may touch the one object that
  is taken or let go, no deeper than 0.1 mm, and nothing else.
- What is taken is where it was, what is let go stays where it is let go, and nothing else of the scene changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.robots.robot import Robot
from edmp.robots.sliding import gripper_robot
from edmp.scenes.scene import Scene
from edmp.taskplan import Held, Part, Phase, TaskPlan
from edmp.trajectory import Trajectory
from edmp.validate.judge import END_TOLERANCE, Judge
from edmp.validate.kinematic_tree import KinematicTree
from edmp.validate.tool_path import ToolVerdict, follows
from edmp.validate.verdict import Cause, Verdict

Array = NDArray[np.float64]

PLACE_TOLERANCE = 1e-4
"""An object is where it should be within this: its farthest point [m]."""


@dataclass(frozen=True, eq=False)
class TaskVerdict:
    """The judge's word on a task.

    Attributes:
        valid: True only if every phase is proved, and they join.
        phases: the verdict on each phase that was looked at, in order; what is proved of constraints is in ``kept``.
        lines: what is proved of each straight part, by the names of its phase and itself.
        fault: what is wrong, in words; empty if valid.
        failed: name of the phase in which it is.
    """

    valid: bool
    phases: tuple[Verdict, ...]
    fault: str = ""
    failed: str = ""
    lines: tuple[tuple[str, str, ToolVerdict], ...] = ()

    def message(self) -> str:
        """One line for a person."""
        if not self.valid:
            return self.fault
        kept = [f"{phase} {part}: {proof.message()}" for phase, part, proof in self.lines]
        kept += [one.message() for verdict in self.phases for one in verdict.kept]
        return "; ".join(["free, phase by phase", *kept])


@checked
def judge_task(plan: TaskPlan) -> TaskVerdict:
    """Prove a task, phase by phase, or say what is wrong with it. It believes nothing but what the phases hold."""
    verdict = _judged(plan, judge_phase)
    lines: list[tuple[str, str, ToolVerdict]] = []
    for phase in plan.phases if verdict.valid else ():
        for part, proof in judge_lines(phase):
            lines.append((phase.name, part.name, proof))
            if not proof.valid:
                return TaskVerdict(False, verdict.phases, f"{phase.name} {part.name}: {proof.detail}", phase.name)
    return replace(verdict, lines=tuple(lines))


def judge_joins(plan: TaskPlan, proved: Mapping[Phase, Verdict]) -> TaskVerdict:
    """`judge_task` of phases that have been proved just now: how they join, and what the motions touch at their ends.

    Args:
        plan: of the phases.
        proved: the verdicts on those in which the gripper moves.
    """
    return _judged(plan, lambda phase: proved[phase] if phase in proved else _at_ends(phase))


def _judged(plan: TaskPlan, verdict_on: Callable[[Phase], Verdict]) -> TaskVerdict:
    """The joins of a task, and what ``verdict_on`` says of each phase."""
    verdicts: list[Verdict] = []
    q, scene, held, width = plan.start, plan.scene, None, None
    for k, phase in enumerate(plan.phases):
        fault = _joins(phase, q, width, scene, held, first=k == 0)
        if not fault and k > 0 and held is None and phase.held is not None:
            fault = _not_grasped(phase.held.name, plan.phases[k - 1], verdicts[-1])
        if not fault:
            verdicts.append(verdict_on(phase))
            fault = "" if verdicts[-1].valid else verdicts[-1].message()
        if fault:
            return TaskVerdict(False, tuple(verdicts), f"{phase.name}: {fault}", phase.name)
        q, scene, held, width = phase.end, phase.scene, phase.held, phase.width
    return TaskVerdict(True, tuple(verdicts))


def judge_phase(phase: Phase) -> Verdict:
    """Prove one phase."""
    if phase.solution is None:
        return judge_grip(phase.robot, phase.scene, phase.start, phase.width_before, phase.width, _object_of(phase))
    judge = Judge(phase.robot, phase.scene, constraints=phase.constraints)
    verdict = judge.check_trajectory(phase.solution.trajectory, start=phase.start, goal=phase.end)
    return _only_held_rests(phase, verdict)


def judge_lines(phase: Phase) -> Iterator[tuple[Part, ToolVerdict]]:
    """Prove of each part of a phase that is to be straight that the timed motion keeps to its line."""
    begin = 0.0
    for part in phase.parts:
        if part.line is not None and phase.solution is not None:
            positions = _between(phase.solution.trajectory, begin, part.until)
            yield part, follows(phase.robot, positions, part.line)
        begin = part.until


def _between(trajectory: Trajectory, begin: float, end: float) -> Array:
    """(n, dof) the samples from one time to another, and where the straight lines between samples are then."""
    inner = (trajectory.times > begin) & (trajectory.times < end)
    first, last = (
        np.array([np.interp(time, trajectory.times, column) for column in trajectory.positions.T])
        for time in (begin, max(begin, end))
    )
    return np.vstack([first, trajectory.positions[inner], last])


def _at_ends(phase: Phase) -> Verdict:
    """The verdict on where a motion begins and ends: only what touches there may touch on the way."""
    judge = Judge(phase.robot, phase.scene, constraints=phase.constraints)
    start, end = (_only_held_rests(phase, judge.check(q)) for q in (phase.start, phase.end))
    return end if start.valid else start


def _only_held_rests(phase: Phase, verdict: Verdict) -> Verdict:
    """The verdict on a motion, in which nothing but what is held may rest on something."""
    for contact in verdict.allowed if verdict.valid else ():
        if phase.held is None or contact.link != phase.held.name:
            return Verdict(False, Cause.COLLISION, (contact,), detail=contact.message())
    return verdict


def judge_grip(
    robot: Robot, scene: Scene, q: Array, before: float | None, after: float | None, touching: str | None
) -> Verdict:
    """Prove that the fingers move from a gap ``before`` to a gap ``after`` [m] and touch ``touching`` at most.

    The arm stands at ``q`` (dof,): that it may do so is what the motions before and after prove.
    """
    if before is None or after is None or robot.gripper is None:
        return Verdict(True)
    if not 0 <= after <= robot.gripper.max_width:
        return Verdict(
            False, Cause.OUT_OF_LIMITS, detail=f"the gripper opens 0 to {robot.gripper.max_width:g} m, not {after:g}"
        )
    fingers = gripper_robot(robot, poses_at(robot, q), touching)
    judge = Judge(fingers, scene)
    path = np.repeat([[before / 2], [after / 2]], fingers.dof, axis=1)
    verdict = judge.check_path(path)
    for contact in verdict.allowed if verdict.valid else ():
        if contact.other != touching:
            return Verdict(False, Cause.COLLISION, (contact,), detail=contact.message())
    return verdict


def _object_of(phase: Phase) -> str | None:
    """The one obstacle that the fingers may touch in a phase in which they move."""
    fingers = {finger.link for finger in phase.robot.gripper.fingers} if phase.robot.gripper else set()
    names = {contact.obstacle for contact in phase.robot.allowed_contacts if contact.link in fingers}
    return names.pop() if len(names) == 1 else None


def _joins(phase: Phase, q: Array, width: float | None, scene: Scene, held: Held | None, *, first: bool) -> str:
    """What is wrong between a phase and what was before: ``q``, ``width``, ``scene`` and ``held``; empty if nothing."""
    if np.abs(phase.start - q).max() > END_TOLERANCE:
        return "it does not begin where the phase before ends"
    if not first and width is not None and phase.width_before != width:
        return f"the gripper is {phase.width_before} m open, after {width} m"
    if phase.solution is not None and phase.width != phase.width_before:
        return "the gripper moves with the arm"
    if first:
        before, holds = set(scene.names), phase.held
        if held is None and holds is not None and holds.name in before:
            return f"{holds.name!r} is taken without a grasp"
        return "" if phase.scene == scene else "it is not the scene that was asked about"
    return _handed_over(phase, scene, held)


def _not_grasped(name: str, before: Phase, verdict: Verdict) -> str:
    """What is wrong with taking an object after a phase, whose verdict this is; empty if the fingers hold it then."""
    if before.robot.gripper is None:  # it holds otherwise, by suction say
        return ""
    touched = before.solution is None and any(contact.other == name for contact in verdict.allowed)
    return "" if touched else f"{name!r} is taken, but the fingers did not close on it just before"


def _handed_over(phase: Phase, scene: Scene, held: Held | None) -> str:
    """What is wrong with what is taken, let go, or disappears as ``phase`` begins."""
    taken = phase.held if held is None else None
    let_go = held if phase.held is None else None
    if held is not None and phase.held is not None and not _same(held, phase.held):
        return f"it holds {phase.held.name!r} otherwise than before"
    kept = scene.without(taken.name) if taken is not None and taken.name in scene else scene
    rest = phase.scene.without(let_go.name) if let_go is not None and let_go.name in phase.scene else phase.scene
    if set(kept.obstacles) != set(rest.obstacles):
        return "the scene is another than before, and not for what is taken or let go"
    for thing, there in ((taken, scene), (let_go, phase.scene)):
        if thing is None:
            continue
        if thing.name not in there:
            return f"{thing.name!r} is nowhere in the scene"
        obstacle = there[thing.name]
        if obstacle.shape != thing.shape:
            return f"{thing.name!r} has another shape in the hand"
        off = np.abs(_place(phase.robot, phase.start, thing) - obstacle.X_WO)
        if off[:3, 3].max() > PLACE_TOLERANCE or off[:3, :3].max() > PLACE_TOLERANCE:
            return f"{thing.name!r} is {1e3 * off[:3, 3].max():.2g} mm from where it should be"
    return ""


def _same(a: Held, b: Held) -> bool:
    return (a.name, a.shape, a.link) == (b.name, b.shape, b.link) and np.array_equal(a.X_LA, b.X_LA)


def _place(robot: Robot, q: Array, held: Held) -> Array:
    """(4, 4) where what is held is in the world."""
    link = robot.links[robot.link_index(held.link)]
    return poses_at(robot, q)[link.body] @ link.X_BL @ held.X_LA


def poses_at(robot: Robot, q: Array) -> Array:
    """(bodies, 4, 4) where the bodies are in the world, at ``q`` (dof,)."""
    poses = KinematicTree(robot).poses(q[None])
    X_0B = np.tile(np.eye(4), (robot.num_bodies, 1, 1))
    X_0B[:, :3, :3], X_0B[:, :3, 3] = poses.R[0], poses.p[0]
    return robot.X_W0 @ X_0B
