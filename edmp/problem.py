"""A planning problem: scene, robot, start and goal; and where it is read from."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked, checked_but, numbers, shown
from edmp.constraints import Constraint, settled
from edmp.constraints.documents import constraint_of, document_of
from edmp.constraints.moveit import path_constraints
from edmp.errors import EdmpError, FileFormatError, InvalidInputError, unknown_name
from edmp.files.yaml_nodes import YamlNode
from edmp.geometry.poses import quaternion_of
from edmp.geometry.tool_path import ToolPath
from edmp.goals import Line, PoseGoal, ToolGoal, Via
from edmp.ranges import Range, check_fields
from edmp.robots import built_in_robots, load_robot
from edmp.robots.configuration import configuration
from edmp.robots.parts import Limits, ToolLimits
from edmp.robots.robot import Robot
from edmp.scenes.files import example_path, open_scene, parse_scene
from edmp.scenes.moveit import MOVEIT_BASES, MoveItScene, is_moveit_scene, parse_moveit_scene, robot_model
from edmp.scenes.moveit_nodes import joint_state, virtual_joint_pose
from edmp.scenes.moveit_objects import note
from edmp.scenes.moveit_request import LinkPose, MoveItRequest, load_moveit_request
from edmp.scenes.moveit_robot import equipped, fixed_frames, frames_of, pose_of_tool
from edmp.scenes.native import (
    DEEPEST_ESCAPE,
    TOOL_LIMITS,
    JointValues,
    RobotEntry,
    SceneFile,
    is_native,
    save_scene_file,
)
from edmp.scenes.scene import Scene

Array = NDArray[np.float64]

PANDA_FINGER_JOINT = "panda_finger_joint1"

SCALES: Mapping[str, Range] = {
    "velocity_scale": Range(0.0, 1.0, above=True),
    "acceleration_scale": Range(0.0, 1.0, above=True),
}

ESCAPE_DEPTH = 0.02
"""How deep in something a motion may start if it is asked to lead out of it first and no depth is given [m]."""


def escape_depth(escape: bool | float) -> float:
    """How deep that is which ``escape=`` asks for [m]: True stands for `ESCAPE_DEPTH`."""
    return ESCAPE_DEPTH if escape is True else float(escape)


Goal = Array | PoseGoal
StartLike = ArrayLike | Mapping[str, float]
"""A configuration (dof,) in any form, or by joint name."""
GoalLike = Goal | ToolGoal | Mapping[str, float]


@checked_but("start", "goal", "tool_speed", "tool_acceleration")
@dataclass(frozen=True, eq=False)
class Problem:
    """A question for the planner.

    Attributes:
        robot: the arm as the problem wants it (gripper opening, base pose).
        scene: the obstacles.
        start: (dof,) [rad or m]; it may be given in any form that `edmp.plan` takes, a dictionary by joint name, say.
        goal: a configuration (dof,), a `PoseGoal`, or a tuple of several of either: reaching one of them is enough.
            It may be given in any form, too. Or a `Line` or a `Via`, which the tool is to follow.
        name: for reports.
        velocity_scale, acceleration_scale: shares of the robot's limits that a motion may use, in (0, 1].
        constraints: what the motion must keep to all the way, start and goal included; all of them at once.
        escape: depth of contacts that a motion may start in, if it leads out of them first [m]; see `edmp.plan`.
        tool_speed, tool_acceleration: limits of the tool beside those of the joints, linear [m/s, m/s^2] and angular
            [rad/s, rad/s^2]; one number is the linear one; None if there are none.
    """

    robot: Robot
    scene: Scene
    start: Array
    goal: Goal | ToolGoal | tuple[Goal, ...]
    name: str = ""
    velocity_scale: float = 1.0
    acceleration_scale: float = 1.0
    constraints: tuple[Constraint, ...] = ()
    escape: float = 0.0
    tool_speed: float | tuple[float, float] | None = None
    tool_acceleration: float | tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_fields(self, {**SCALES, "escape": Range(0.0, DEEPEST_ESCAPE)})
        for name in TOOL_LIMITS:
            object.__setattr__(self, name, _linear_and_angular(getattr(self, name), name))
        if not isinstance(self.robot, Robot):
            raise InvalidInputError(f"a problem's robot must be a Robot, not {type(self.robot).__name__}")
        if not isinstance(self.scene, Scene):
            raise InvalidInputError(f"a problem's scene must be a Scene, not {type(self.scene).__name__}")
        object.__setattr__(self, "constraints", settled(self.robot, self.scene, self.constraints))
        object.__setattr__(self, "start", configuration(self.robot, self.start, "start"))
        object.__setattr__(self, "goal", _settled_goal(self.robot, self.goal))
        for name in (*SCALES, "escape"):
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def options(self) -> dict[str, Any]:
        """What is asked for beside robot, scene, start and goal, as keywords of `edmp.plan` and `Planner.plan`."""
        names = (*SCALES, *TOOL_LIMITS, "constraints", "escape")
        return {name: getattr(self, name) for name in names}

    @property
    def timing_limits(self) -> Limits:
        """What motions are timed within: the robot's limits, or the shares of them that the problem allows."""
        limits = self.robot.limits.scaled(velocity=self.velocity_scale, acceleration=self.acceleration_scale)
        if self.tool_speed is None and self.tool_acceleration is None:
            return limits
        speed, acceleration = (getattr(self, name) or (np.inf, np.inf) for name in TOOL_LIMITS)
        return replace(limits, tool=ToolLimits(speed, acceleration))

    @property
    def tool_path(self) -> ToolPath | None:
        """Where the tool is to go, if the goal is a `Line` or a `Via`.

        Raises:
            InvalidInputError: from where the tool is, it makes no sense; see `Line.path_from`.
        """
        if not isinstance(self.goal, Line | Via):
            return None
        import torch

        from edmp.robots.kinematics import tool_pose

        return self.goal.path_from(tool_pose(self.robot, torch.as_tensor(self.start)).numpy())


def as_problem(
    robot: Robot,
    scene: Scene,
    start: StartLike,
    goal: GoalLike | Sequence[GoalLike],
    *,
    velocity_scale: float = 1.0,
    acceleration_scale: float = 1.0,
    constraints: Sequence[Constraint] = (),
    escape: float = 0.0,
    tool_speed: float | tuple[float, float] | None = None,
    tool_acceleration: float | tuple[float, float] | None = None,
) -> Problem:
    """The problem of what was asked for in any form.

    Raises:
        InvalidInputError: wrong shapes, or numbers that are not finite.
        UnknownNameError: a constraint names what robot or scene do not have.
    """
    q = configuration(robot, start, "start")
    return Problem(
        robot,
        scene,
        q,
        _settled_goal(robot, goal),
        velocity_scale=velocity_scale,
        acceleration_scale=acceleration_scale,
        constraints=tuple(constraints),
        escape=escape,
        tool_speed=tool_speed,
        tool_acceleration=tool_acceleration,
    )


def _linear_and_angular(limit: Any, name: str) -> tuple[float, float] | None:
    """A limit of the tool as two positive numbers, the second infinite if it is not given."""
    if limit is None:
        return None
    given = numbers(limit)
    if given is not None and given.ndim == 0:
        given = np.array([float(given), np.inf])
    if given is None or given.shape != (2,) or not (given > 0.0).all():
        raise InvalidInputError(
            f"{name} must be a positive number, of the tool's origin, or two, of its rotation as well, "
            f"got {shown(limit)}"
        )
    return float(given[0]), float(given[1])


@checked
def load_problem(
    scene_path: str | Path, request_path: str | Path | None = None, *, robot: str | Robot | None = None
) -> Problem:
    """Read a problem from one file in edmp's own format, or from a MoveIt planning scene and its motion plan request.

    Args:
        scene_path: edmp's own YAML, or a MoveIt planning scene; recognised by content.
        request_path: a MoveIt motion plan request, which then gives start and goal. Joints are matched by name.
        robot: a name or path, as `edmp.robots.load_robot` takes it; None takes the one that the file names, else the
            Panda. The gripper opens as the files say, and the base stands where the files (or, for a UR5, its MoveIt
            model) put it. A `Robot` is taken as it is, except that it moves to a base pose that the files give.

    Raises:
        FileFormatError: with file and line, for files that are not such a problem.
    """
    path = Path(scene_path)
    name = f"{path.parent.name}/{path.stem}" if path.parent.name else path.stem
    request = None if request_path is None else load_moveit_request(request_path)
    arm, content, root = _read(path, robot, request)
    if isinstance(content, SceneFile):
        name = content.name or path.stem
    if request is None:
        if not isinstance(content, SceneFile) or root is None:
            raise FileFormatError(
                f"{path}: a MoveIt planning scene has neither start nor goal: give its motion plan request as well"
            )
        scales = (content.velocity_scale, content.acceleration_scale)
        ends = _native_ends(root, content, arm)
        limits = {key: getattr(content, key) for key in TOOL_LIMITS}
        kept = _native_constraints(root, content, arm)
        return Problem(arm, content.scene, *ends, name, *scales, constraints=kept, escape=content.escape, **limits)
    start = _by_name(request.start, arm, f"{request_path}: start_state")
    goals = tuple(
        PoseGoal(*pose_of_tool(arm, goal))
        if isinstance(goal, LinkPose)
        else _by_name(goal, arm, f"{request_path}: goal_constraints")
        for goal in request.goals
    )
    scales = (request.velocity_scale, request.acceleration_scale)
    asked = request.path_constraints
    kept = path_constraints(asked, arm, fixed_frames(arm)) if asked else ()
    if request.tool_speed is not None and request.tool_link not in ("", arm.tool.name):
        raise FileFormatError(
            f"{request_path}: max_cartesian_speed: a limit for link {request.tool_link!r} is not supported; "
            f"expected one for the tool, {arm.tool.name}"
        )
    ends = start, _one_or_all(goals)
    return Problem(arm, content.scene, *ends, name, *scales, tool_speed=request.tool_speed, constraints=kept)


def load_start(
    scene_path: str | Path, *, robot: str | Robot | None = None
) -> tuple[Robot, SceneFile | MoveItScene, Array | None]:
    """The robot of a file, all else that the file says, and the start (dof,) if it gives one."""
    arm, content, root = _read(Path(scene_path), robot, None)
    if not isinstance(content, SceneFile) or content.start is None or root is None:
        return arm, content, None
    return arm, content, _configuration(content.start, arm, root.need("start"))


def load_setting(scene_path: str | Path, *, robot: str | Robot | None = None) -> tuple[Robot, Scene]:
    """Robot and obstacles of a file as `load_problem` takes them, whether or not it says where to start and end."""
    arm, content, _ = _read(Path(scene_path), robot, None)
    return arm, content.scene


def load_scene_constraints(scene_path: str | Path, robot: Robot) -> tuple[Constraint, ...]:
    """The constraints of a file, whether or not it says where to start and end; none of a MoveIt scene.

    Raises:
        FileFormatError: with file and line, for what is no constraint of ``robot`` and the file's scene.
    """
    _, content, root = _read(Path(scene_path), robot, None)
    return _native_constraints(root, content, robot) if root and isinstance(content, SceneFile) else ()


def _read(
    path: Path, robot: str | Robot | None, request: MoveItRequest | None
) -> tuple[Robot, SceneFile | MoveItScene, YamlNode | None]:
    """The robot, opened, placed and equipped as the files say; what the scene's file says; its root if it is YAML."""
    source = open_scene(path)
    root = source if isinstance(source, YamlNode) else None
    if isinstance(source, Scene):
        content: SceneFile | MoveItScene = MoveItScene(source)
    elif is_native(source) or not is_moveit_scene(source):
        content = parse_scene(source)
    else:
        arm = _placed(_as_requested(_moveit_entry(source, robot), request), robot, path.parent, moveit=True)
        standing = virtual_joint_pose(source.get("robot_state"))
        content = parse_moveit_scene(source, frames_of(arm, joint_state(source.get("robot_state")), X_WR=standing))
        return equipped(arm, content, path), content, root
    moveit = request is not None or not isinstance(content, SceneFile)
    return _placed(_as_requested(_entry(content), request), robot, path.parent, moveit=moveit), content, root


@checked
def load_example(name: str) -> Problem:
    """A problem that comes with edmp, such as ``"bookshelf"``.

    Raises:
        UnknownNameError: listing the names that there are.
    """
    with example_path(name) as path:
        return load_problem(path)


@checked
def save_problem(path: str | Path, problem: Problem) -> None:
    """Write a problem in edmp's own format. The robot goes by its name, with gripper opening and base pose.

    Raises:
        InvalidInputError: if the file cannot be written, or the robot is not one that these give back: a description
            of one's own, another tool frame, or an attached object.
    """
    from edmp.robots.description_writer import departs_from_built_in

    arm = problem.robot
    if reason := departs_from_built_in(arm):
        raise InvalidInputError(
            f"cannot write problem {str(path)!r}: the format names its robot, with gripper width and base pose, "
            f"but {reason}; edmp.save_plan keeps any robot"
        )
    entry = RobotEntry(
        arm.name,
        arm.gripper.width if arm.gripper else None,
        None if np.array_equal(arm.X_W0, np.eye(4)) else arm.X_W0,
    )
    goals = problem.goal if isinstance(problem.goal, tuple) else (problem.goal,)
    written = tuple(_written(goal) for goal in goals)
    start = tuple(map(float, problem.start))
    scales = (problem.velocity_scale, problem.acceleration_scale, problem.escape)
    limits = {key: getattr(problem, key) for key in TOOL_LIMITS}
    kept = tuple(document_of(constraint) for constraint in problem.constraints)
    content = SceneFile(problem.scene, problem.name, entry, start, written, *scales, constraints=kept, **limits)
    save_scene_file(path, content)


def _written(goal: Goal | ToolGoal) -> Any:
    """A goal as scene files have it."""
    if isinstance(goal, Line | Via):
        return goal
    return goal.X_WT if isinstance(goal, PoseGoal) else tuple(map(float, goal))


def _settled_goal(robot: Robot, goal: GoalLike | Sequence[GoalLike]) -> Goal | ToolGoal | tuple[Goal, ...]:
    return goal if isinstance(goal, Line | Via) else _one_or_all(tuple(goals_of(robot, goal)))


def goals_of(robot: Robot, goal: GoalLike | Sequence[GoalLike]) -> list[Goal]:
    """The goals, each a `PoseGoal` or a configuration (dof,) of finite numbers.

    Raises:
        InvalidInputError: that is not what they are, or there is none.
    """
    goals = _split(robot, goal)
    if line := next((one for one in goals if isinstance(one, Line | Via)), None):
        kind = type(line).__name__
        raise InvalidInputError(f"goal: a {kind} stands alone, it is none of several goals, and no configuration")
    if not goals:
        raise InvalidInputError("no goal given: pass a configuration, a PoseGoal, or a list of either")
    names = ["goal"] if len(goals) == 1 else [f"goal {i}" for i in range(len(goals))]
    return [
        one if isinstance(one, PoseGoal) else configuration(robot, one, name)
        for one, name in zip(goals, names, strict=True)
    ]


def _split(robot: Robot, goal: Any) -> list[Any]:
    """One entry a goal, unchecked."""
    if isinstance(goal, PoseGoal | Line | Via | Mapping):
        return [goal]
    if isinstance(goal, list | tuple) and any(isinstance(one, PoseGoal | Line | Via | Mapping) for one in goal):
        return list(goal)
    values = numbers(goal)
    if values is None and isinstance(goal, list | tuple) and not all(np.isscalar(one) for one in goal):
        return list(goal)  # not numbers of one shape: the check of each says which is wrong
    if values is None or values.ndim not in (1, 2):
        raise InvalidInputError(
            f"goal must be {robot.dof} joint values of {robot.name}, a PoseGoal, or a list of either, got {goal!r}"
        )
    return list(values) if values.ndim == 2 else [values] * bool(values.size)


# --- robot -----------------------------------------------------------------------------------------------------------


def _entry(content: SceneFile | MoveItScene) -> RobotEntry:
    """The robot that a scene names, else the Panda."""
    return (content.robot if isinstance(content, SceneFile) else None) or RobotEntry("panda")


def _moveit_entry(root: YamlNode, override: str | Robot | None) -> RobotEntry:
    """The robot that a planning scene names, if edmp comes with it; else the Panda."""
    model, X_WR = robot_model(root), virtual_joint_pose(root.get("robot_state"))
    known = model in built_in_robots()
    if model and not known and override is None:
        note(root.need("robot_model_name"), f"edmp comes with no robot {model!r}: the Panda is taken; give the robot")
    return RobotEntry(model if known else "panda", X_WR=X_WR)


def _arm(entry: RobotEntry, override: str | Robot | None, folder: Path) -> Robot:
    """The robot that a file asks for, or the caller's own in its place; opened and placed as the file says."""
    if isinstance(override, Robot):
        arm = override
    else:
        name = override or entry.name
        beside = folder / name
        named = str(beside) if override is None and "." in name and beside.is_file() else name
        arm = load_robot(named) if entry.gripper_width is None else load_robot(named, gripper_width=entry.gripper_width)
    if entry.X_WR is None or np.allclose(entry.X_WR, arm.X_W0, rtol=0.0, atol=1e-12):
        return arm
    return _standing_at(arm, entry.X_WR.tobytes())


def _placed(entry: RobotEntry, override: str | Robot | None, folder: Path, *, moveit: bool) -> Robot:
    """`_arm`, standing where MoveIt's own model puts it if the file is MoveIt's and does not say."""
    arm = _arm(entry, override, folder)
    if moveit and entry.X_WR is None and arm.name in MOVEIT_BASES and not isinstance(override, Robot):
        return _standing_at(arm, MOVEIT_BASES[arm.name].tobytes())
    return arm


@functools.lru_cache(maxsize=64)
def _standing_at(robot: Robot, X_WR: bytes) -> Robot:
    """The robot at a base pose: the same object for the same pose, so that what is cached for it is found again."""
    return robot.with_base(np.frombuffer(X_WR).reshape(4, 4).copy())


def _as_requested(entry: RobotEntry, request: MoveItRequest | None) -> RobotEntry:
    """The entry with the gripper opening and the base pose of a MoveIt request, where it gives them."""
    if request is None:
        return entry
    finger = request.start.get(PANDA_FINGER_JOINT)
    # The joint value is the travel of one finger; the opening is the gap between both.
    width = entry.gripper_width if finger is None else 2.0 * finger
    return RobotEntry(entry.name, width, entry.X_WR if request.X_WR is None else request.X_WR)


# --- start and goal --------------------------------------------------------------------------------------------------


def _native_ends(root: YamlNode, content: SceneFile, robot: Robot) -> tuple[Array, Goal | ToolGoal | tuple[Goal, ...]]:
    """Start and goal of a file in edmp's own format."""
    if content.start is None or not content.goals:
        root.fail("this file holds a scene only: a problem needs the keys start and goal as well")
    start = _configuration(content.start, robot, root.need("start"))
    node = root.need("goal")
    if len(content.goals) > 1 and any(isinstance(goal, Line | Via) for goal in content.goals):
        node.fail("a line of the tool stands alone, it cannot be one of several goals")
    if isinstance(only := content.goals[0], Line | Via):
        return start, only
    return start, _one_or_all(tuple(_goal(goal, robot, node) for goal in content.goals))


def _goal(goal: JointValues | Array | ToolGoal, robot: Robot, node: YamlNode) -> Goal:
    assert not isinstance(goal, Line | Via)
    if isinstance(goal, np.ndarray):
        return PoseGoal(goal[:3, 3], quaternion_of(goal))
    return _configuration(goal, robot, node)


def _native_constraints(root: YamlNode, content: SceneFile, robot: Robot) -> tuple[Constraint, ...]:
    """What a file in edmp's own format says that the motion must keep to."""
    found: list[Constraint] = []
    for k, document in enumerate(content.constraints):
        try:
            found += settled(robot, content.scene, [constraint_of(document)])
        except EdmpError as error:
            root.need("constraints").items()[k].refuse(error)
    return tuple(found)


def _one_or_all(goals: tuple[Goal, ...]) -> Goal | tuple[Goal, ...]:
    return goals[0] if len(goals) == 1 else goals


def _configuration(values: JointValues, robot: Robot, node: YamlNode) -> Array:
    """(dof,) joint values in the robot's order."""
    if isinstance(values, Mapping):
        unknown = [name for name in values if name not in robot.joint_names]
        if unknown:
            node.refuse(unknown_name(f"joint of {robot.name}", unknown[0], robot.joint_names))
        return _by_name(values, robot, f"{node.file}:{node.line}: {node.place}")
    if len(values) != robot.dof:
        node.fail(
            f"expected {robot.dof} joint values for {robot.name} ({', '.join(robot.joint_names)}), got {len(values)}"
        )
    return np.array(values)


def _by_name(values: Mapping[str, float], robot: Robot, where: str) -> Array:
    """(dof,) the values of the robot's joints, in its order; other joints (fingers) are left out."""
    missing = [name for name in robot.joint_names if name not in values]
    if missing:
        raise FileFormatError(
            f"{where}: no value for joint {', '.join(missing)} of robot {robot.name!r}; found: {', '.join(values)}"
        )
    return np.array([values[name] for name in robot.joint_names])
