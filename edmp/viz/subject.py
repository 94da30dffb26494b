"""What is to be shown: one type for pictures, movies, the window and the browser, made from whatever a user has."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked, checked_but
from edmp.cached import cached_property
from edmp.errors import FileFormatError, InvalidInputError
from edmp.files.yaml_nodes import YamlNode
from edmp.geometry.poses import quaternion_of
from edmp.planfile import PlanFile
from edmp.problem import PoseGoal, Problem, load_example, load_problem, load_setting
from edmp.result import PlanResult, Solution, Status
from edmp.robots import load_robot
from edmp.robots.robot import Robot
from edmp.scenes.clouds import is_sensed
from edmp.scenes.files import load_scene, open_scene
from edmp.scenes.native import is_native, parse_scene_file
from edmp.scenes.scene import Scene
from edmp.taskfile import load_plan_or_task
from edmp.taskplan import TaskPlan
from edmp.trajectory import Trajectory
from edmp.viz.tasks import shown_task

Array = NDArray[np.float64]

Viewable = PlanFile | PlanResult | TaskPlan | Problem | Scene | Robot | Trajectory | str | Path
"""What `subject_of`, and so every verb of `edmp.viz`, takes."""


@checked
@dataclass(frozen=True, eq=False)
class Subject:
    """A robot in a scene, and what there is to say about its motion.

    Attributes:
        robot: the arm.
        scene: the obstacles.
        start: (dof,) where the robot starts, or just stands [rad or m]; None if nothing says so.
        goal: (dof,) where it ends, None if there is none or it is known as a pose only.
        pose_goal: the tool pose asked for; for several goals, the one that the best motion reaches.
        motions: timed motions, best first; empty if there are none.
        result: what the planner said; None if nothing was planned.
        name: for titles and file names.
        arm: the arm alone, for plots over time, where ``robot`` has joints that only show something; else None.
    """

    robot: Robot
    scene: Scene
    start: Array | None = None
    goal: Array | None = None
    pose_goal: PoseGoal | None = None
    motions: tuple[Trajectory, ...] = ()
    result: PlanResult | None = None
    name: str = ""
    arm: Subject | None = None

    @property
    def solutions(self) -> tuple[Solution, ...]:
        """The best motion and its alternatives as the planner gave them; row k belongs to row k of `motions`."""
        if self.result is None or self.result.best is None:
            return ()
        return (self.result.best, *self.result.alternatives)

    @property
    def labels(self) -> list[str]:
        """What to call each motion where one is chosen."""
        if not self.solutions:
            return [f"motion {k}" for k in range(len(self.motions))]
        names = ["best", *(f"alternative {k}" for k in range(1, len(self.solutions)))]
        return [f"{name}: {_in_words(solution)}" for name, solution in zip(names, self.solutions, strict=True)]

    @property
    def status(self) -> Status | None:
        """How planning ended; None if nothing was planned."""
        return self.result.status if self.result else None

    @property
    def failed(self) -> bool:
        return self.result is not None and not self.result.solved

    @property
    def message(self) -> str:
        return self.result.message if self.result else ""

    @cached_property
    def faults(self) -> frozenset[str]:
        """Names of the links and obstacles that the message of a failed plan speaks of."""
        if not self.failed:
            return frozenset()
        return frozenset(named_in(self.message, (*self.robot.link_names, *self.scene.names)))

    @property
    def at_fault(self) -> Mapping[str, bool]:
        """Whether links at fault are so at the ``start``, and at the ``goal``."""
        status = self.status.value if self.status and self.failed else ""
        return {"start": bool(status) and "GOAL" not in status, "goal": "GOAL" in status}

    @property
    def standing(self) -> Array:
        """(dof,) a configuration to show the robot in when nothing moves: start, goal or home."""
        return next(q for q in (self.start, self.goal, self.robot.home) if q is not None)

    @checked
    def choosing(self, index: int) -> Subject:
        """The same with motion ``index`` (0 is the best) in front, and start and goal where it begins and ends.

        Raises:
            InvalidInputError: there is no such motion.
        """
        if not 0 <= index < len(self.motions):
            raise InvalidInputError(f"no motion {index}: there are {len(self.motions)}, numbered from 0")
        chosen = self.motions[index]
        motions = (chosen, *(motion for k, motion in enumerate(self.motions) if k != index))
        result = self.result
        if result is not None and self.solutions:
            others = tuple(solution for k, solution in enumerate(self.solutions) if k != index)
            result = dataclasses.replace(result, best=self.solutions[index], alternatives=others)
        return dataclasses.replace(
            self, motions=motions, result=result, start=chosen.positions[0], goal=chosen.positions[-1]
        )


@checked_but("source")
def subject_of(
    source: Viewable | Subject,
    *,
    robot: Robot | str | Path | None = None,
    scene: Scene | None = None,
    problem: Problem | None = None,
    request: str | Path | None = None,
    q: ArrayLike | str | None = None,
) -> Subject:
    """What ``source`` shows.

    Args:
        source: a result, a task, or a plan or task file (loaded, or its path), is enough alone. A `Trajectory` needs
            ``robot`` and ``scene``, or ``problem``. A `Problem`, a `Scene`, a `Robot`, the path of a scene or problem
            file, or the name of a shipped example shows how things stand.
        robot: the arm, or its name or description file; for a scene that does not say, the Panda.
        scene: the obstacles, for what does not say.
        problem: robot, scene, start and goal at once.
        request: path of the MoveIt request that belongs to a MoveIt scene file.
        q: (dof,) where the robot stands [rad or m], or ``"home"``; for scenes and robots, which do not say.

    Raises:
        InvalidInputError: something is missing, too much or malformed.
        FileFormatError: the file cannot be read.
    """
    if isinstance(source, Subject):
        return source
    if request is not None and not isinstance(source, (str, Path)):
        raise InvalidInputError("request= belongs to the path of a MoveIt scene file")
    if isinstance(source, (str, Path)):
        source = _read(source, robot, request)
    arm = load_robot(robot) if isinstance(robot, (str, Path)) else robot
    for kind, make in _MAKERS.items():
        if isinstance(source, kind):
            subject = make(source, arm, scene, problem)
            return subject if q is None else dataclasses.replace(subject, start=_configuration(q, subject.robot))
    raise InvalidInputError(
        f"cannot show a {type(source).__name__}; give a PlanFile, PlanResult, TaskPlan, Problem, Scene, Robot, "
        "Trajectory, or the path of a plan, task, scene or problem file"
    )


def named_in(message: str, names: tuple[str, ...]) -> set[str]:
    """Which of the names a message mentions, in quotes or as whole words: link1 is not found in link10."""
    quoted, rest = set(re.findall(r'"([^"]*)"', message)), re.sub(r'"[^"]*"', " ", message)
    return {name for name in names if name in quoted or re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", rest)}


def _in_words(solution: Solution) -> str:
    words = f"{solution.length:.2f} rad, {solution.duration:.2f} s"
    return words + (f", clearance {solution.min_clearance * 1e3:.1f} mm" if solution.min_clearance < 10 else "")


# --- from what users have --------------------------------------------------------------------------------------------


def _of_result(result: PlanResult, robot: Robot | None, scene: Scene | None, problem: Problem | None) -> Subject:
    problem = problem or result.problem
    robot, scene = _setting("a result without its problem", robot, scene, problem)
    start, goal, pose_goal = _ends(problem, result)
    if result.path is not None:
        start, goal = result.path[0], result.path[-1]
    solutions = (result.best, *result.alternatives) if result.best else ()
    if result.best is None and result.blocked is not None and result.blocked.partial is not None:
        solutions = (result.blocked.partial,)  # as far as the line can be followed
    motions = tuple(solution.trajectory for solution in solutions)
    return Subject(robot, scene, start, goal, pose_goal, motions, result, problem.name if problem else "")


def _of_problem(problem: Problem, robot: Robot | None, scene: Scene | None, _: Problem | None) -> Subject:
    start, goal, pose_goal = _ends(problem, None)
    arm, among = robot or problem.robot, problem.scene if scene is None else scene
    return Subject(arm, among, start, goal, pose_goal, name=problem.name)


def _of_trajectory(motion: Trajectory, robot: Robot | None, scene: Scene | None, problem: Problem | None) -> Subject:
    robot, scene = _setting("a trajectory", robot, scene, problem)
    q = motion.positions
    if q.shape[1] != robot.dof:
        raise InvalidInputError(f"the trajectory has {q.shape[1]} joints, {robot.name} has {robot.dof}")
    return Subject(robot, scene, q[0], q[-1], None, (motion,), name=problem.name if problem else "")


def _of_scene(scene: Scene, robot: Robot | None, _: Scene | None, problem: Problem | None) -> Subject:
    arm = robot or (problem.robot if problem else load_robot("panda"))
    return Subject(arm, scene, arm.home)


def _of_robot(robot: Robot, _: Robot | None, scene: Scene | None, problem: Problem | None) -> Subject:
    return Subject(robot, scene if scene is not None else (problem.scene if problem else Scene()), robot.home)


def _of_task(plan: TaskPlan, _: Robot | None, __: Scene | None, ___: Problem | None) -> Subject:
    """Of one that is not solved what there is of it, and why it ends."""
    result = None if plan.solved else PlanResult(plan.status, plan.message, None, (), plan.stats)
    if not plan.phases:
        return Subject(plan.robot, plan.scene, plan.start, result=result, name=plan.name)
    shown = shown_task(plan)
    q, trajectory = shown.motion.positions, plan.trajectory
    assert trajectory is not None
    ends = trajectory.positions[0], trajectory.positions[-1]
    arm = Subject(shown.arm, shown.scene, *ends, motions=(trajectory,), result=result, name=plan.name)
    return Subject(shown.robot, shown.scene, q[0], q[-1], None, (shown.motion,), result, plan.name, arm)


_MAKERS: Mapping[type, Callable[[Any, Robot | None, Scene | None, Problem | None], Subject]] = {
    PlanFile: lambda file, robot, scene, problem: _of_result(file.result, robot, scene, problem or file.problem),
    PlanResult: _of_result,
    TaskPlan: _of_task,
    Problem: _of_problem,
    Trajectory: _of_trajectory,
    Scene: _of_scene,
    Robot: _of_robot,
    Subject: lambda subject, _robot, _scene, _problem: subject,
}


def _setting(what: str, robot: Robot | None, scene: Scene | None, problem: Problem | None) -> tuple[Robot, Scene]:
    robot = robot or (problem.robot if problem else None)
    scene = scene if scene is not None else (problem.scene if problem else None)
    if robot is None or scene is None:
        raise InvalidInputError(f"{what} alone does not say which robot and scene: give robot= and scene=, or problem=")
    return robot, scene


def _ends(problem: Problem | None, result: PlanResult | None) -> tuple[Array | None, Array | None, PoseGoal | None]:
    """Start, goal configuration and goal pose of a problem; of several goals, the one reached, else the first."""
    if problem is None:
        return None, None, None
    goal = problem.goal
    if isinstance(goal, tuple):
        goal = goal[result.best.goal_index if result and result.best else 0]
    start = np.asarray(problem.start, dtype=np.float64)
    if (line := problem.tool_path) is not None:
        goal = PoseGoal(line.X_WT[-1, :3, 3], quaternion_of(line.X_WT[-1]))
    return (start, None, goal) if isinstance(goal, PoseGoal) else (start, np.asarray(goal, dtype=np.float64), None)


def _configuration(q: ArrayLike | str, robot: Robot) -> Array:
    if isinstance(q, str):
        if q != "home":
            raise InvalidInputError(f"q must be 'home' or {robot.dof} numbers, not {q!r}")
        return robot.home
    values = np.asarray(q, dtype=np.float64)
    if values.shape != (robot.dof,) or not np.isfinite(values).all():
        raise InvalidInputError(f"q must be {robot.dof} finite numbers for {robot.name}, got shape {values.shape}")
    return values


def _read(
    path: str | Path, robot: Robot | str | Path | None, request: str | Path | None
) -> PlanFile | TaskPlan | Subject:
    """A plan or task by its ending; else a problem, or, if it says no start and goal, a scene with a robot in it."""
    file = Path(path)
    if file.suffix.lower() == ".json":
        return load_plan_or_task(file)
    if isinstance(path, str) and not file.suffix and not file.exists():
        return _of_problem(load_example(path), None, None, None)
    if not file.is_file():
        raise FileFormatError(f"{file}: no such file")
    arm = str(robot) if isinstance(robot, Path) else robot
    if is_sensed(file):
        return _of_scene(
            load_scene(file), load_robot(arm or "panda") if not isinstance(arm, Robot) else arm, None, None
        )
    source = open_scene(file)
    content = parse_scene_file(source) if isinstance(source, YamlNode) and is_native(source) else None
    if request is not None or (content is not None and content.start is not None and content.goals):
        return _of_problem(load_problem(file, request, robot=arm), None, None, None)
    standing, scene = load_setting(file, robot=arm)
    return Subject(standing, scene, standing.home, name=file.stem)
