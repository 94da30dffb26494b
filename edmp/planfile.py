"""Plan files: one problem and what came of it, as versioned JSON. A plan file alone is enough to view or run the plan.

Non-finite numbers (the clearance in an empty scene) are written as null, so that any JSON reader takes the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.problem import Goal, PoseGoal, Problem
from edmp.result import PlanResult, Solution, Stage, Stats, Status
from edmp.robots.errors import FileFormatError, InvalidInputError
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.scenes.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere
from edmp.scenes.yaml_write import write_text
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]
Document = dict[str, Any]

VERSION = 1


@dataclass(frozen=True, eq=False)
class PlanFile:
    """A problem and its result."""

    problem: Problem
    result: PlanResult


def save_plan(path: str | Path, problem: Problem, result: PlanResult) -> None:
    """Write a plan file, whole or not at all.

    Raises:
        InvalidInputError: if the file cannot be written; an older file of that name is then left as it was.
    """
    write_text(path, json.dumps(plan_document(problem, result), indent=1, allow_nan=False) + "\n")


def load_plan(path: str | Path) -> PlanFile:
    """Read a plan file.

    Raises:
        FileFormatError: if it is not one, or of a version that this edmp does not know.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{path}:{error.lineno}: malformed JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise FileFormatError(f"{path}: is not a text file (UTF-8 expected)") from None
    if not isinstance(document, dict) or "edmp_plan" not in document:
        raise FileFormatError(f"{path}: not a plan file: no key 'edmp_plan' at the top")
    if document["edmp_plan"] != VERSION:
        raise FileFormatError(f"{path}: plan format {document['edmp_plan']!r}; this edmp reads version {VERSION}")
    try:
        return plan_from_document(document)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        reason = f"missing key {error}" if type(error) is KeyError else str(error)
        raise FileFormatError(f"{path}: damaged plan file: {reason}") from None


def load_result(path: str | Path) -> PlanResult:
    """The result of a plan file, which knows its problem; `PlanResult.save` writes it.

    Raises:
        FileFormatError: as `load_plan`.
    """
    return load_plan(path).result


def plan_document(problem: Problem, result: PlanResult) -> Document:
    """What `save_plan` writes."""
    goals = problem.goal if isinstance(problem.goal, tuple) else (problem.goal,)
    return {
        "edmp_plan": VERSION,
        "name": problem.name,
        "robot": _robot_document(problem.robot),
        "start": _numbers(problem.start),
        "goals": [_goal_document(goal) for goal in goals],
        "scene": [_obstacle_document(obstacle) for obstacle in problem.scene],
        "result": result_document(result),
    }


def plan_from_document(document: Mapping[str, Any]) -> PlanFile:
    """The inverse of `plan_document`."""
    problem = _problem(document)
    return PlanFile(problem, replace(result_from_document(document["result"]), problem=problem))


def result_document(result: PlanResult) -> Document:
    """A result as plain data for JSON."""
    stats = result.stats
    return {
        "status": result.status.value,
        "solved": result.solved,
        "message": result.message,
        "stats": {
            "stage": stats.stage.value if stats.stage else None,
            "time_s": stats.time_s,
            "timings": {name: float(value) for name, value in stats.timings.items()},
            "num_seeds": int(stats.num_seeds),
            "num_valid": int(stats.num_valid),
            "edges_checked": int(stats.edges_checked),
        },
        "best": _solution_document(result.best) if result.best else None,
        "alternatives": [_solution_document(solution) for solution in result.alternatives],
    }


def result_from_document(document: Mapping[str, Any]) -> PlanResult:
    """The inverse of `result_document`."""
    stats = document["stats"]
    return PlanResult(
        status=Status(document["status"]),
        message=str(document["message"]),
        best=_solution(document["best"]) if document["best"] else None,
        alternatives=tuple(_solution(entry) for entry in document["alternatives"]),
        stats=Stats(
            stage=Stage(stats["stage"]) if stats["stage"] else None,
            time_s=float(stats["time_s"]),
            timings=dict(stats["timings"]),
            num_seeds=int(stats["num_seeds"]),
            num_valid=int(stats["num_valid"]),
            edges_checked=int(stats["edges_checked"]),
        ),
    )


def finite_or_none(value: float | None) -> float | None:
    """JSON knows no infinity."""
    return None if value is None or not math.isfinite(value) else float(value)


# --- robot, start and goal -------------------------------------------------------------------------------------------


def _robot_document(robot: Robot) -> Document:
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


def _robot(document: Mapping[str, Any]) -> Robot:
    from edmp.robots import load_robot
    from edmp.robots.description import robot_from_document

    if description := document.get("description"):
        robot = robot_from_document(dict(description), source="robot description")
    else:
        robot = load_robot(document["name"], gripper_width=document["gripper_width"])
    X_W0 = np.array(document["base"], dtype=np.float64)
    if not np.array_equal(X_W0, robot.X_W0):
        robot = robot.with_base(X_W0)
    return robot if robot.tool.name == document["tool"] else robot.with_tool(document["tool"])


def _problem(document: Mapping[str, Any]) -> Problem:
    goals = tuple(_goal(entry) for entry in document["goals"])
    return Problem(
        robot=_robot(document["robot"]),
        scene=Scene(tuple(_obstacle(entry) for entry in document["scene"])),
        start=np.array(document["start"], dtype=np.float64),
        goal=goals[0] if len(goals) == 1 else goals,
        name=str(document["name"]),
    )


def _goal_document(goal: Goal) -> Document:
    if isinstance(goal, PoseGoal):
        return {"position": _numbers(goal.position), "quaternion": _numbers(goal.quaternion)}
    return {"configuration": _numbers(goal)}


def _goal(document: Mapping[str, Any]) -> Goal:
    if "position" in document:
        return PoseGoal(document["position"], document["quaternion"])
    return np.array(document["configuration"], dtype=np.float64)


# --- scene -----------------------------------------------------------------------------------------------------------

_SHAPES: Mapping[str, tuple[type, Callable[[Any], Document], Callable[[Mapping[str, Any]], Shape]]] = {
    "box": (Box, lambda s: {"size": list(s.size)}, lambda d: Box(tuple(d["size"]))),
    "cylinder": (
        Cylinder,
        lambda s: {"radius": s.radius, "length": s.length},
        lambda d: Cylinder(d["radius"], d["length"]),
    ),
    "capsule": (
        Capsule,
        lambda s: {"radius": s.radius, "length": s.length},
        lambda d: Capsule(d["radius"], d["length"]),
    ),
    "sphere": (Sphere, lambda s: {"radius": s.radius}, lambda d: Sphere(d["radius"])),
    "mesh": (
        Mesh,
        lambda s: {"vertices": s.vertices.tolist(), "faces": s.faces.tolist()},
        lambda d: Mesh(np.array(d["vertices"], dtype=np.float64), np.array(d["faces"], dtype=np.int32)),
    ),
}


def _obstacle_document(obstacle: Obstacle) -> Document:
    for kind, (cls, write, _) in _SHAPES.items():
        if isinstance(obstacle.shape, cls):
            return {"name": obstacle.name, "type": kind, **write(obstacle.shape), "X_WO": obstacle.X_WO.tolist()}
    raise InvalidInputError(f"obstacle {obstacle.name!r}: no way to write a {type(obstacle.shape).__name__}")


def _obstacle(document: Mapping[str, Any]) -> Obstacle:
    if document["type"] not in _SHAPES:
        raise FileFormatError(f"obstacle type {document['type']!r}; valid: {', '.join(_SHAPES)}")
    read = _SHAPES[document["type"]][2]
    return Obstacle(document["name"], read(document), np.array(document["X_WO"], dtype=np.float64))


# --- motions ---------------------------------------------------------------------------------------------------------


def _numbers(values: Any) -> Any:
    return np.asarray(values, dtype=np.float64).tolist()


def _solution_document(solution: Solution) -> Document:
    trajectory = solution.trajectory
    return {
        "path": _numbers(solution.path),
        "length_rad": float(solution.length),
        "min_clearance_m": finite_or_none(solution.min_clearance),
        "duration_s": solution.duration,
        "goal_index": int(solution.goal_index),
        "stage": solution.stage.value if solution.stage else None,
        "terms": {name: float(value) for name, value in solution.terms.items()},
        "weighted_terms_rad": float(solution.weighted_terms),
        "trajectory": {
            "joint_names": list(trajectory.joint_names),
            "times": _numbers(trajectory.times),
            "positions": _numbers(trajectory.positions),
            "velocities": _numbers(trajectory.velocities),
            "accelerations": _numbers(trajectory.accelerations),
        },
    }


def _solution(document: Mapping[str, Any]) -> Solution:
    timed, clearance = document["trajectory"], document["min_clearance_m"]
    arrays = (np.array(timed[key], dtype=np.float64) for key in ("times", "positions", "velocities", "accelerations"))
    return Solution(
        path=np.array(document["path"], dtype=np.float64),
        trajectory=Trajectory(tuple(timed["joint_names"]), *arrays),
        length=float(document["length_rad"]),
        min_clearance=math.inf if clearance is None else float(clearance),
        goal_index=int(document["goal_index"]),
        # Files of version 0.1 say less.
        stage=Stage(document["stage"]) if document.get("stage") else None,
        terms={str(name): float(value) for name, value in document.get("terms", {}).items()},
        weighted_terms=float(document.get("weighted_terms_rad", 0.0)),
    )
