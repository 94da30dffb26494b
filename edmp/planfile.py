"""Plan files: one problem and what came of it, as versioned JSON. A plan file alone is enough to view or run the plan.

Non-finite numbers (the clearance in an empty scene) are written as null, so that any JSON reader takes the file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.constraints import Constraint, settled
from edmp.constraints.documents import constraint_of, document_of, kept_document, kept_of
from edmp.errors import unknown_name
from edmp.files.beside import write_beside
from edmp.files.json_nodes import JsonNode, read_json
from edmp.files.writing import write_json
from edmp.geometry.kinds import Field, field_values, kind_of, kinds_by_name
from edmp.geometry.poses import FARTHEST
from edmp.geometry.shapes import Shape
from edmp.goals import Line, ToolGoal, Via
from edmp.goals.documents import tool_goal_document, tool_goal_of_json
from edmp.problem import SCALES, TOOL_LIMITS, Goal, PoseGoal, Problem
from edmp.result import Blocked, BlockedBy, PlanResult, Solution, Stage, Stats, Status
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Region, Scene, Unseen
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]
Document = dict[str, Any]

VERSION = 2
PLAIN_VERSION = 1
"""Of files without constraints and regions, which edmp 0.1 reads, too; there they would be overlooked."""


@checked
@dataclass(frozen=True, eq=False)
class PlanFile:
    """A problem and its result."""

    problem: Problem
    result: PlanResult


@checked
def save_plan(path: str | Path, problem: Problem, result: PlanResult) -> None:
    """Write a plan file, whole or not at all; clouds, voxels and fields beside it (`edmp.files.beside`).

    Raises:
        InvalidInputError: if the file cannot be written; an older file of that name is then left as it was.
    """
    write_beside(path, plan_document(problem, result), write_json)


@checked
def load_plan(path: str | Path) -> PlanFile:
    """Read a plan file. What it says fits together: joints, goals and motions are those of its robot, and finite.

    Raises:
        FileFormatError: it is none, damaged, or of a version that this edmp does not know; names file and place.
    """
    root = read_json(path, "plan file")
    if isinstance(root.value, dict) and "edmp_task" in root.value:
        root.fail("this is the plan of a whole task: edmp.load_task reads it")
    if not isinstance(root.value, dict) or "edmp_plan" not in root.value:
        root.fail("not a plan file: no key 'edmp_plan' at the top")
    if (version := root["edmp_plan"]).value not in (PLAIN_VERSION, VERSION) or isinstance(version.value, bool):
        version.fail(f"plan format {version.value!r:.60}; this edmp reads versions {PLAIN_VERSION} and {VERSION}")
    return plan_of(root)


@checked
def load_result(path: str | Path) -> PlanResult:
    """The result of a plan file, which knows its problem; `PlanResult.save` writes it.

    Raises:
        FileFormatError: as `load_plan`.
    """
    return load_plan(path).result


def plan_document(problem: Problem, result: PlanResult) -> Document:
    """What `save_plan` writes; large arrays stand in it as they are."""
    goals = problem.goal if isinstance(problem.goal, tuple) else (problem.goal,)
    more: Document = {}
    if problem.constraints:
        more["constraints"] = [document_of(constraint) for constraint in problem.constraints]
    if problem.scene.regions:
        more["regions"] = [region_document(region) for region in problem.scene.regions]
    plain = not more
    if problem.scene.unseen is not None:
        more["unseen"] = unseen_document(problem.scene.unseen)
    return {
        "edmp_plan": PLAIN_VERSION if plain else VERSION,
        "name": problem.name,
        "robot": robot_document(problem.robot),
        "start": plain_numbers(problem.start),
        "goals": [_goal_document(goal) for goal in goals],
        **{name: getattr(problem, name) for name in (*SCALES, "escape")},
        **{name: _limit_document(getattr(problem, name)) for name in TOOL_LIMITS if getattr(problem, name) is not None},
        "scene": [obstacle_document(obstacle) for obstacle in problem.scene],
        **more,
        "result": result_document(result),
    }


def plan_of(root: JsonNode) -> PlanFile:
    """The inverse of `plan_document`, every value checked.

    Raises:
        FileFormatError: names the place.
    """
    problem = _problem(root)
    return PlanFile(problem, _result(root["result"], problem))


def result_document(result: PlanResult) -> Document:
    """A result as plain data for JSON."""
    return {
        "status": result.status.value,
        "solved": result.solved,
        "message": result.message,
        "stats": stats_document(result.stats),
        "best": solution_document(result.best) if result.best else None,
        "alternatives": [solution_document(solution) for solution in result.alternatives],
        **({} if result.blocked is None else {"blocked": _blocked_document(result.blocked)}),
    }


def _blocked_document(blocked: Blocked) -> Document:
    return {
        "fraction": float(blocked.fraction),
        "by": blocked.by.value,
        "message": blocked.message,
        "partial": None if blocked.partial is None else solution_document(blocked.partial),
    }


def _blocked(node: JsonNode, robot: Robot) -> Blocked:
    partial = node.get("partial")
    return Blocked(
        node["fraction"].number(0, 1),
        BlockedBy(node["by"].one_of(one.value for one in BlockedBy)),
        node["message"].text(),
        None if partial is None else solution_of(partial, robot, 1),
    )


def stats_document(stats: Stats) -> Document:
    """Timings and counts as plain data for JSON."""
    return {
        "stage": stats.stage.value if stats.stage else None,
        "time_s": stats.time_s,
        "timings": {name: float(value) for name, value in stats.timings.items()},
        "num_seeds": int(stats.num_seeds),
        "num_valid": int(stats.num_valid),
        "edges_checked": int(stats.edges_checked),
        "first_s": stats.first_s,
    }


def stats_of(node: JsonNode) -> Stats:
    """The inverse of `stats_document`."""
    return Stats(
        stage=_stage(node),
        time_s=node["time_s"].number(0),
        timings={name: seconds.number() for name, seconds in node["timings"].items()},
        num_seeds=node["num_seeds"].integer(),
        num_valid=node["num_valid"].integer(),
        edges_checked=node["edges_checked"].integer(0, 10**15),
        first_s=None if (first := node.get("first_s")) is None else first.number(0),
    )


def _result(node: JsonNode, problem: Problem) -> PlanResult:
    robot, num_goals = problem.robot, len(problem.goal) if isinstance(problem.goal, tuple) else 1
    best, status = node.get("best"), Status(node["status"].one_of(s.value for s in Status))
    others = node["alternatives"].entries()
    if (status is Status.SOLVED) != (best is not None):
        node.fail(f"status {status.value} {'without' if best is None else 'with'} a best motion")
    if others and best is None:
        node["alternatives"].fail("there is no best motion that these could be alternatives to")
    return PlanResult(
        status=status,
        message=node["message"].text(),
        best=None if best is None else solution_of(best, robot, num_goals, problem.constraints),
        alternatives=tuple(solution_of(other, robot, num_goals, problem.constraints) for other in others),
        stats=stats_of(node["stats"]),
        problem=problem,
        blocked=None if (blocked := node.get("blocked")) is None else _blocked(blocked, robot),
    )


def _stage(node: JsonNode) -> Stage | None:
    stage = node.get("stage")
    return None if stage is None else Stage(stage.one_of(s.value for s in Stage))


def finite_or_none(value: float | None) -> float | None:
    """JSON knows no infinity."""
    return None if value is None or not math.isfinite(value) else float(value)


# --- robot, start and goal -------------------------------------------------------------------------------------------


def robot_document(robot: Robot) -> Document:
    """By name if edmp ships it unchanged; else its whole description, so that the file stands alone."""
    from edmp.robots.description_writer import departs_from_built_in, document_of

    document: Document = {
        "name": robot.name,
        "gripper_width": robot.gripper.width if robot.gripper else None,
        "base": robot.X_W0.tolist(),
        "tool": robot.tool.name,
    }
    if departs_from_built_in(robot):
        document["description"] = document_of(robot)
    return document


def robot_of(node: JsonNode) -> Robot:
    """The inverse of `robot_document`."""
    from edmp.robots import built_in_robots, load_robot
    from edmp.robots.description import robot_from_document

    name, width = node["name"].text(), node.get("gripper_width")
    with node.blamed():
        if description := node.get("description"):
            robot = robot_from_document(description.plain(), source="description")
        elif name not in built_in_robots():  # a name, never a file that lies about
            raise unknown_name("robot", name, built_in_robots())
        else:
            robot = load_robot(name, gripper_width=None if width is None else width.number())
        X_W0 = node["base"].array(4, 4)
        if not np.array_equal(X_W0, robot.X_W0):
            robot = robot.with_base(X_W0)
        tool = node["tool"].text()
        return robot if robot.tool.name == tool else robot.with_tool(tool)


def _problem(root: JsonNode) -> Problem:
    robot = robot_of(root["robot"])
    goals: Any = tuple(_goal(entry, robot) for entry in root["goals"].entries(least=1))
    scene = root["scene"]
    obstacles = tuple(obstacle_of(entry) for entry in scene.entries())
    regions, constraints = root.get("regions"), root.get("constraints")
    boxes = tuple(region_of(entry) for entry in regions.entries()) if regions else ()
    with scene.blamed():
        setting = Scene(obstacles, boxes, unseen_of(root.get("unseen")))
    kept = tuple(settled_constraint_of(entry, robot, setting) for entry in constraints.entries()) if constraints else ()
    # Older files say nothing.
    shares: Any = {name: scale.number() for name in (*SCALES, "escape") if (scale := root.get(name)) is not None}
    limits: Any = {name: _limit(limit) for name in TOOL_LIMITS if (limit := root.get(name)) is not None}
    with scene.blamed():
        return Problem(
            robot=robot,
            scene=setting,
            constraints=kept,
            start=configuration_of(root["start"], robot),
            goal=goals[0] if len(goals) == 1 else goals,
            name=root["name"].text(),
            **shares,
            **limits,
        )


def _limit_document(limit: tuple[float, float]) -> list[float | None]:
    return [finite_or_none(value) for value in limit]


def _limit(node: JsonNode) -> tuple[float, float]:
    """A limit of the tool: two numbers, null where there is none."""
    entries = node.entries(least=2)
    linear, angular = (math.inf if entry.is_null else entry.number() for entry in entries[:2])
    return linear, angular


def configuration_of(node: JsonNode, robot: Robot) -> Array:
    """(dof,) joint values."""
    return node.array(robot.dof, limit=FARTHEST)


def _goal_document(goal: Goal | ToolGoal) -> Document:
    if isinstance(goal, Line | Via):
        return tool_goal_document(goal)
    if isinstance(goal, PoseGoal):
        return {"position": plain_numbers(goal.position), "quaternion": plain_numbers(goal.quaternion)}
    return {"configuration": plain_numbers(goal)}


def _goal(node: JsonNode, robot: Robot) -> Goal | ToolGoal:
    if (line := tool_goal_of_json(node)) is not None:
        return line
    if (position := node.get("position")) is None:
        return configuration_of(node["configuration"], robot)
    with node.blamed():
        return PoseGoal(position.array(3, limit=FARTHEST), node["quaternion"].array(4))


# --- scene -----------------------------------------------------------------------------------------------------------


def obstacle_document(obstacle: Obstacle) -> Document:
    """An obstacle as plain data for JSON."""
    return {"name": obstacle.name, **shape_document(obstacle.shape), "X_WO": obstacle.X_WO.tolist()}


def obstacle_of(node: JsonNode) -> Obstacle:
    """The inverse of `obstacle_document`."""
    shape = shape_of(node)
    with node.blamed():
        return Obstacle(node["name"].text(least=1), shape, node["X_WO"].array(4, 4))


def region_document(region: Region) -> Document:
    """A region as plain data for JSON."""
    return {"name": region.name, "size": region.size.tolist(), "X_WR": region.X_WR.tolist()}


def region_of(node: JsonNode) -> Region:
    """The inverse of `region_document`."""
    with node.blamed():
        return Region(node["name"].text(least=1), node["size"].array(3), node["X_WR"].array(4, 4))


def unseen_document(unseen: Unseen) -> Document:
    """What is unknown of a scene as plain data for JSON."""
    return {"policy": unseen.policy, "share": unseen.share}


def unseen_of(node: JsonNode | None) -> Unseen | None:
    """The inverse of `unseen_document`; None of nothing."""
    return None if node is None else Unseen(node["policy"].one_of(Unseen.POLICIES), node["share"].number(0, 1))


def settled_constraint_of(node: JsonNode, robot: Robot, scene: Scene) -> Constraint:
    """A constraint that ``robot`` and ``scene`` have all the names of."""
    with node.blamed():
        return settled(robot, scene, [constraint_of(node.plain())])[0]


def shape_document(shape: Shape) -> Document:
    """A shape as plain data for JSON: its kind and what defines it."""
    return {"type": kind_of(shape).name, **field_values(shape)}


def shape_of(node: JsonNode) -> Shape:
    """The inverse of `shape_document`."""
    kinds = kinds_by_name()
    kind = kinds[node["type"].one_of(kinds)]
    values = {field.name: _value(field, node[field.name]) for field in kind.fields}
    # What is made of an array is made once: a task shows the same cloud in scene after scene.
    key = (kind.name, *(id(value) if isinstance(value, np.ndarray) else value for value in values.values()))
    with node.blamed():
        if not any(field.array for field in kind.fields):
            return kind.shape(**values)
        if key not in node.arrays.made:
            node.arrays.made[key] = kind.shape(**values)
        return node.arrays.made[key]


def _value(field: Field, node: JsonNode) -> Any:
    if field.array:
        return node.array_beside(field.array, *field.rows)
    if not field.rows:
        return node.number()
    return node.whole_array(*field.rows) if field.whole else node.array(*field.rows)


# --- motions ---------------------------------------------------------------------------------------------------------


def plain_numbers(values: Any) -> Any:
    """An array as lists."""
    return np.asarray(values, dtype=np.float64).tolist()


def solution_document(solution: Solution) -> Document:
    """A motion as plain data for JSON."""
    trajectory = solution.trajectory
    return {
        "path": plain_numbers(solution.path),
        "length_rad": float(solution.length),
        "min_clearance_m": finite_or_none(solution.min_clearance),
        "duration_s": solution.duration,
        "goal_index": int(solution.goal_index),
        "stage": solution.stage.value if solution.stage else None,
        "terms": {name: float(value) for name, value in solution.terms.items()},
        "weighted_terms_rad": float(solution.weighted_terms),
        "tool_deviation": None if solution.tool_deviation is None else plain_numbers(solution.tool_deviation),
        **({"kept": [kept_document(kept) for kept in solution.kept]} if solution.kept else {}),
        "trajectory": {
            "joint_names": list(trajectory.joint_names),
            "times": plain_numbers(trajectory.times),
            "positions": plain_numbers(trajectory.positions),
            "velocities": plain_numbers(trajectory.velocities),
            "accelerations": plain_numbers(trajectory.accelerations),
        },
    }


def solution_of(
    node: JsonNode, robot: Robot, num_goals: int, constraints: Sequence[Constraint] | None = None
) -> Solution:
    """The inverse of `solution_document`; what was proved of constraints is read where these are given."""
    kept = node.get("kept") if constraints is not None else None
    proved = kept.entries() if kept else []
    if kept and constraints is not None and len(proved) != len(constraints):
        kept.fail(f"expected one entry for each of {len(constraints)} constraints, got {len(proved)}")
    keys = ("min_clearance_m", "terms", "weighted_terms_rad", "tool_deviation")
    clearance, terms, weighted, deviation = map(node.get, keys)
    return Solution(
        path=_waypoints(node["path"], robot),
        trajectory=_trajectory(node["trajectory"], robot),
        length=node["length_rad"].number(0),
        min_clearance=math.inf if clearance is None else clearance.number(),
        goal_index=node["goal_index"].integer(0, num_goals - 1),
        # Files of version 0.1 say less.
        stage=_stage(node),
        terms={} if terms is None else {name: value.number(-1e300, 1e300) for name, value in terms.items()},
        weighted_terms=0.0 if weighted is None else weighted.number(-1e300, 1e300),
        tool_deviation=None if deviation is None else _pair(deviation),
        kept=tuple(kept_of(one, constraint) for one, constraint in zip(proved, constraints or (), strict=False)),
    )


def _pair(node: JsonNode) -> tuple[float, float]:
    first, second = node.array(2).tolist()
    return first, second


def _waypoints(node: JsonNode, robot: Robot) -> Array:
    path = node.array(None, robot.dof, limit=FARTHEST)
    if len(path) == 0:
        node.fail("a motion has one waypoint at least")
    return path


def _trajectory(node: JsonNode, robot: Robot) -> Trajectory:
    names = tuple(name.text() for name in node["joint_names"].entries())
    if names != robot.joint_names:
        node["joint_names"].fail(f"expected those of {robot.name}, {', '.join(robot.joint_names)}")
    times = node["times"].array(None)
    if len(times) < 2 or not (np.diff(times) > 0).all():
        node["times"].fail("expected two times at least, each greater than the one before")
    shape = (len(times), robot.dof)
    positions = node["positions"].array(*shape, limit=FARTHEST)
    return Trajectory(names, times, positions, node["velocities"].array(*shape), node["accelerations"].array(*shape))
