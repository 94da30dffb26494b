"""`TaskPlan`: several motions and what the gripper does between them, such as picking something up and putting it down.

A task is a row of phases. In each, one robot (its fingers open so far, holding this or that) stands or moves in one
scene, and the judge has proved it free in just that. Phases join: each begins where the one before ends.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edmp  # what is above this module is reached through its front
from edmp.arguments import checked
from edmp.cached import cached_property
from edmp.constraints import Constraint, Kept
from edmp.errors import InvalidInputError
from edmp.geometry.shapes import Shape
from edmp.geometry.tool_path import ToolPath
from edmp.problem import Problem
from edmp.result import Solution, Stats, Status
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.trajectory import Trajectory, joined

Array = NDArray[np.float64]


@checked
@dataclass(frozen=True, eq=False)
class Held:
    """An object in the hand, which counts as robot.

    Attributes:
        name: of the obstacle that it was, and will be; the attached link has this name, too.
        shape: of that obstacle.
        link: name of the link that carries it.
        X_LA: (4, 4) pose of the object in the frame of that link.
    """

    name: str
    shape: Shape
    link: str
    X_LA: Array


@checked
@dataclass(frozen=True, eq=False)
class Part:
    """A named stretch of a phase's motion.

    Attributes:
        name: such as "approach".
        until: where it ends, from the beginning of the phase [s]; it begins where the part before ends.
        line: the straight line that the tool is proved to keep to on this stretch, within its tolerances; None if it
            goes freely. `Solution.tool_deviation` of the phase says how near it is proved to keep.
    """

    name: str
    until: float
    line: ToolPath | None = None


@checked
@dataclass(frozen=True, eq=False)
class Phase:
    """Part of a task: the arm moves and the gripper is still, or the gripper moves and the arm is still.

    Attributes:
        name: such as "reach", "close", "carry", "open", "retreat".
        robot: as it was judged: fingers as wide as when the phase begins, what it holds attached, allowed contacts.
        scene: as it was judged; what is held is not in it.
        start: (dof,) where the arm is when the phase begins [rad or m].
        solution: the certified motion of the arm; None if only the gripper moves.
        width: gap between the fingers when the phase ends [m]; None for an arm without a gripper.
        duration: [s]
        held: what is in the hand.
        parts: stretches of the motion, in order: "transit", "approach", say; empty if it is of one, free, piece.
        constraints: what the motion keeps to all the way, proved.
    """

    name: str
    robot: Robot
    scene: Scene
    start: Array
    solution: Solution | None
    width: float | None
    duration: float
    held: Held | None = None
    parts: tuple[Part, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    @property
    def width_before(self) -> float | None:
        """Gap between the fingers when the phase begins [m]."""
        return self.robot.gripper.width if self.robot.gripper else None

    @property
    def end(self) -> Array:
        """(dof,) where the arm is when the phase ends [rad or m]."""
        return self.start if self.solution is None else self.solution.trajectory.positions[-1]

    @property
    def trajectory(self) -> Trajectory:
        """The arm's motion, which is standing still where the gripper moves."""
        if self.solution is not None:
            return self.solution.trajectory
        still = np.zeros((2, len(self.start)))
        return Trajectory(
            self.robot.joint_names, np.array([0.0, self.duration]), still + self.start, still, still.copy()
        )

    @checked
    def width_at(self, time: float) -> float | None:
        """Gap between the fingers at ``time`` [s] from the beginning of the phase [m]; it changes smoothly."""
        before = self.width_before
        if before is None or self.width is None:
            return before
        u = min(max(time / self.duration, 0.0), 1.0) if self.duration > 0 else 1.0
        return before + (self.width - before) * u * u * (3 - 2 * u)


@dataclass(frozen=True, eq=False)
class Moment:
    """A moment of a task: its phase, configuration (dof,) [rad or m] and gap between the fingers [m]."""

    phase: Phase
    q: Array
    width: float | None


@checked
@dataclass(frozen=True, eq=False)
class TaskPlan:
    """The outcome of planning a task.

    Attributes:
        status: SOLVED, or the cause of failure.
        message: one sentence for a person; on failure it says in which phase, and what became of the grasps.
        robot, scene, start: what was asked for; the robot as it is before the first phase.
        phases: certified, in order; if the task is not solved, those up to the one that failed.
        failed: name of the phase for which there is no motion; empty if solved.
        grasp: number of the grasp that was chosen; None if there was no choice to make.
        stats: timings and counts, of all that was tried.
        name: for reports.
    """

    status: Status
    message: str
    robot: Robot
    scene: Scene
    start: Array
    phases: tuple[Phase, ...]
    stats: Stats
    failed: str = ""
    grasp: int | None = None
    name: str = ""

    @property
    def solved(self) -> bool:
        return self.status is Status.SOLVED

    @cached_property
    def begins(self) -> Array:
        """(n + 1,) when each phase begins, and the last ends [s]."""
        return np.concatenate([[0.0], np.cumsum([phase.duration for phase in self.phases])])

    @property
    def duration(self) -> float:
        """[s]"""
        return float(self.begins[-1])

    @cached_property
    def trajectory(self) -> Trajectory | None:
        """The arm's whole motion, with stops where the gripper moves; None if there is no phase."""
        return joined([phase.trajectory for phase in self.phases]) if self.phases else None

    @checked
    def at(self, time: float) -> Moment:
        """What is where at ``time`` [s]; before and after the task it rests.

        Raises:
            InvalidInputError: there is no phase.
        """
        if not self.phases:
            raise InvalidInputError(f"this task has no phases: {self.message}")
        k = int(np.clip(np.searchsorted(self.begins, time, side="right") - 1, 0, len(self.phases) - 1))
        phase = self.phases[k]
        since = float(time - self.begins[k])
        return Moment(phase, phase.trajectory.at(since), phase.width_at(since))

    @property
    def configuration_after(self) -> Array:
        """(dof,) where the arm is in the end [rad or m]."""
        return self.phases[-1].end if self.phases else self.start

    @property
    def scene_after(self) -> Scene:
        """The obstacles in the end; what is still held is not among them."""
        return self.phases[-1].scene if self.phases else self.scene

    @property
    def robot_after(self) -> Robot:
        """The robot in the end: its fingers as they are then, what is held attached."""
        if not self.phases:
            return self.robot
        robot, width = self.phases[-1].robot, self.phases[-1].width
        robot = dataclasses.replace(robot, allowed_contacts=self.robot.allowed_contacts)
        return robot if width is None else robot.with_gripper(width)

    @property
    def kept(self) -> tuple[tuple[str, Kept], ...]:
        """The proved worst value of each constraint, with the name of the phase that keeps to it, before and after
        timing."""
        solutions = [(phase.name, phase.solution) for phase in self.phases if phase.solution is not None]
        return tuple((name, kept) for name, solution in solutions for kept in solution.kept)

    @property
    def tool_deviation(self) -> tuple[float, float] | None:
        """What the tool is proved to keep to its straight lines within, before and after timing: a distance [m] and an
        angle [rad]; None if no part is straight."""
        found = [phase.solution.tool_deviation for phase in self.phases if phase.solution is not None]
        pairs = [pair for pair in found if pair is not None]
        return (max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)) if pairs else None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The motions of the arm as problems of their own: robot, scene, start and goal of each phase that moves it."""
        return tuple(
            Problem(phase.robot, phase.scene, phase.start, phase.end, f"{self.name} {phase.name}".strip())
            for phase in self.phases
            if phase.solution is not None
        )

    @checked
    def save(self, path: str | Path) -> None:
        """Write it as one file, which stands alone; `edmp.load_task` reads it.

        Raises:
            InvalidInputError: the file cannot be written.
        """
        edmp.save_task(path, self)
