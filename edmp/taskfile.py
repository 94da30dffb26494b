"""Task files: a `TaskPlan` as versioned JSON. A task file alone is enough to view or run the task.

The robot stands in it once; of each phase it says how far the gripper is open, what is held, and what may touch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edmp.arguments import checked
from edmp.constraints.documents import document_of
from edmp.errors import InvalidInputError
from edmp.files.beside import write_beside
from edmp.files.json_nodes import JsonNode, read_json
from edmp.files.writing import write_json
from edmp.geometry.poses import FARTHEST, rigid
from edmp.geometry.tool_path import ToolPath
from edmp.planfile import (
    PlanFile,
    configuration_of,
    load_plan,
    obstacle_document,
    obstacle_of,
    plain_numbers,
    region_document,
    region_of,
    robot_document,
    robot_of,
    settled_constraint_of,
    shape_document,
    shape_of,
    solution_document,
    solution_of,
    stats_document,
    stats_of,
    unseen_document,
    unseen_of,
)
from edmp.result import Status
from edmp.robots.parts import AllowedContact
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.taskplan import Held, Part, Phase, TaskPlan

Document = dict[str, Any]

VERSION = 1
_JOIN = 1e-6
"""A phase begins where the one before ended, within this [rad or m]."""


@checked
def save_task(path: str | Path, plan: TaskPlan) -> None:
    """Write a task file, whole or not at all; clouds, voxels and fields beside it (`edmp.files.beside`).

    Raises:
        InvalidInputError: if the file cannot be written; an older file of that name is then left as it was.
    """
    write_beside(path, task_document(plan), write_json)


@checked
def load_task(path: str | Path) -> TaskPlan:
    """Read a task file; what it says fits together, phase after phase.

    Raises:
        FileFormatError: it is none, damaged, or of a version that this edmp does not know; names file and place.
    """
    root = read_json(path, "task file")
    if isinstance(root.value, dict) and "edmp_plan" in root.value:
        root.fail("this is the plan of a single motion: edmp.load_plan reads it")
    if not isinstance(root.value, dict) or "edmp_task" not in root.value:
        root.fail("not a task file: no key 'edmp_task' at the top")
    if (version := root["edmp_task"]).value != VERSION:
        version.fail(f"task format {version.value!r:.60}; this edmp reads version {VERSION}")
    return task_of(root)


@checked
def load_plan_or_task(path: str | Path) -> PlanFile | TaskPlan:
    """Read a plan file, or a task file, whichever it is.

    Raises:
        FileFormatError: as `edmp.load_plan` and `load_task`.
    """
    value = read_json(path, "plan file").value
    return load_task(path) if isinstance(value, dict) and "edmp_task" in value else load_plan(path)


def task_document(plan: TaskPlan) -> Document:
    """What `save_task` writes."""
    scenes: list[Scene] = [plan.scene]
    phases = [_phase_document(phase, _place_of(phase.scene, scenes)) for phase in plan.phases]
    return {
        "edmp_task": VERSION,
        "name": plan.name,
        "robot": robot_document(plan.robot),
        "start": plain_numbers(plan.start),
        "status": plan.status.value,
        "message": plan.message,
        "failed": plan.failed,
        "grasp": plan.grasp,
        "stats": stats_document(plan.stats),
        "regions": [region_document(region) for region in plan.scene.regions],
        **({} if plan.scene.unseen is None else {"unseen": unseen_document(plan.scene.unseen)}),
        "scenes": [[obstacle_document(obstacle) for obstacle in scene] for scene in scenes],
        "phases": phases,
    }


def _place_of(scene: Scene, scenes: list[Scene]) -> int:
    """The index of a scene in a list, to which it is added if it is not there."""
    if scene not in scenes:
        scenes.append(scene)
    return scenes.index(scene)


def _phase_document(phase: Phase, scene: int) -> Document:
    held = phase.held
    return {
        "name": phase.name,
        "scene": scene,
        "gripper_width": phase.width_before,
        "width": phase.width,
        "duration_s": phase.duration,
        "start": plain_numbers(phase.start),
        "held": held
        and {
            "name": held.name,
            **shape_document(held.shape),
            "link": held.link,
            "X_LA": plain_numbers(held.X_LA),
        },
        "allowed_contacts": [[contact.link, contact.obstacle] for contact in phase.robot.allowed_contacts],
        "constraints": [document_of(constraint) for constraint in phase.constraints],
        "parts": [
            {"name": part.name, "until_s": part.until, "line": part.line and _line_document(part.line)}
            for part in phase.parts
        ],
        "solution": None if phase.solution is None else solution_document(phase.solution),
    }


def _line_document(line: ToolPath) -> Document:
    return {
        "begin": plain_numbers(line.X_WT[0]),
        "end": plain_numbers(line.X_WT[-1]),
        "tolerance_m": line.tolerance,
        "rotation_tolerance_rad": line.rotation_tolerance,
    }


def task_of(root: JsonNode) -> TaskPlan:
    """The inverse of `task_document`, every value checked.

    Raises:
        FileFormatError: names the place.
    """
    robot = robot_of(root["robot"])
    regions = tuple(region_of(entry) for entry in root["regions"].entries())
    unseen = unseen_of(root.get("unseen"))
    scenes = []
    for node in root["scenes"].entries(least=1):
        obstacles = tuple(obstacle_of(entry) for entry in node.entries())
        with node.blamed():
            scenes.append(Scene(obstacles, regions, unseen))
    start = configuration_of(root["start"], robot)
    phases: list[Phase] = []
    for node in root["phases"].entries():
        phase = _phase(node, robot, scenes)
        before = phases[-1].end if phases else start
        if abs(phase.start - before).max() > _JOIN:
            node["start"].fail("this phase does not begin where the one before ends")
        phases.append(phase)
    status = Status(root["status"].one_of(status.value for status in Status))
    if status is Status.SOLVED and not phases:
        root["phases"].fail("a task that is solved has phases")
    grasp = root.get("grasp")
    return TaskPlan(
        status=status,
        message=root["message"].text(),
        robot=robot,
        scene=scenes[0],
        start=start,
        phases=tuple(phases),
        stats=stats_of(root["stats"]),
        failed=root["failed"].text(),
        grasp=None if grasp is None else grasp.integer(),
        name=root["name"].text(),
    )


def _phase(node: JsonNode, robot: Robot, scenes: Sequence[Scene]) -> Phase:
    held = _held(node.get("held"))
    arm = _arm(node, robot, held)
    width, solution = node.get("width"), node.get("solution")
    scene = scenes[node["scene"].integer(0, len(scenes) - 1)]
    constraints = tuple(settled_constraint_of(entry, arm, scene) for entry in node["constraints"].entries())
    found = None if solution is None else solution_of(solution, arm, 1, constraints)
    duration = node["duration_s"].number(0) if found is None else found.duration
    parts = tuple(
        Part(part["name"].text(), part["until_s"].number(0), _line(part.get("line")))
        for part in node["parts"].entries()
    )
    start = configuration_of(node["start"], arm)
    if found is not None and abs(found.trajectory.positions[0] - start).max() > _JOIN:
        node["start"].fail("the motion of this phase begins elsewhere")
    if found is None and not duration > 0:
        node["duration_s"].fail("a phase in which the gripper moves takes some time")
    return Phase(
        name=node["name"].text(least=1),
        robot=arm,
        scene=scene,
        start=start,
        solution=found,
        width=_width(width, arm),
        duration=duration,
        held=held,
        parts=parts,
        constraints=constraints,
    )


def _line(node: JsonNode | None) -> ToolPath | None:
    if node is None:
        return None
    ends = []
    for key in ("begin", "end"):
        with node[key].blamed():
            ends.append(rigid(node[key].array(4, 4, limit=FARTHEST), key))
    tolerances = node["tolerance_m"].number(1e-6, 1.0), node["rotation_tolerance_rad"].number(1e-6, np.pi / 2)
    with node.blamed():
        line = ToolPath(np.stack(ends), np.zeros(0), *tolerances)
    if not np.linalg.norm(np.diff(line.X_WT[:, :3, 3], axis=0)) > 1e-6:
        node["end"].fail("a line has a length: it ends where it begins")
    return line


def _width(node: JsonNode | None, robot: Robot) -> float | None:
    if node is None:
        return None
    if robot.gripper is None:
        node.fail(f"{robot.name} has no gripper")
    return node.number(0, robot.gripper.max_width)


def _held(node: JsonNode | None) -> Held | None:
    if node is None:
        return None
    return Held(node["name"].text(least=1), shape_of(node), node["link"].text(least=1), node["X_LA"].array(4, 4))


def _arm(node: JsonNode, robot: Robot, held: Held | None) -> Robot:
    """The robot as it is in a phase."""
    arm = robot
    for link in robot.links:
        if link.attached and (held is None or link.name != held.name):
            arm = arm.without_attachment(link.name)
    with node.blamed():
        if (width := node.get("gripper_width")) is not None:
            arm = arm.with_gripper(width.number())
        if held is not None and held.name not in arm.link_names:
            arm = arm.with_attachment(held.name, held.shape, held.X_LA, link=held.link)
        contacts = []
        for entry in node["allowed_contacts"].entries():
            names = [name.text(least=1) for name in entry.entries()]
            if len(names) != 2:
                raise InvalidInputError(f"an allowed contact is a pair (link, obstacle) of names, got {names}")
            arm.link_index(names[0])
            contacts.append(AllowedContact(*names))
        return dataclasses.replace(arm, allowed_contacts=tuple(contacts))
