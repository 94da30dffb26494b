"""``edmp pick``: an object is picked up, and put down where it is to go."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import numbers, progress_console, report_console, scene_file
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable

if TYPE_CHECKING:
    from edmp.taskplan import TaskPlan
    from edmp.tasks import PickProblem


def pick(
    scene: Annotated[
        str,
        typer.Option(help="Scene file (edmp's YAML or MoveIt's), which may say start and pick, too; or an example."),
    ],
    object: Annotated[str | None, typer.Option(help="Name of the obstacle to pick up; default: the file's.")] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(help="Where it goes: pose of its frame 'x y z qx qy qz qw' [m]; repeat it for several places."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Start configuration [rad]; default: the file's, else the robot's home.")
    ] = None,
    robot: Annotated[
        str | None, typer.Option(help="Robot name or description file; default: the file's own, else panda.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the task (JSON) here.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else.")
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same task plan.")] = 0,
    time_budget: Annotated[float, typer.Option(help="Give up after this time [s].")] = 10.0,
    keep_upright: Annotated[
        float | None,
        typer.Option(help="Carry with what of the object is up staying up, within this angle [rad]."),
    ] = None,
) -> None:
    """Plan to pick an object up and put it down, phase by phase. Exit code 0: solved, 1: no plan, 2: misuse."""
    if out is not None:
        check_writable(out, "--out", suffixes=(".json",))
    with progress_console().status("reading the task") as status, contextlib.redirect_stdout(sys.stderr):
        problem = read_task(scene, object, at or [], start, robot)
        if keep_upright is not None:
            from edmp.constraints import Upright

            axis = problem.scene[problem.object].X_WO[2, :3]  # what of the object is up, in its own frame
            kept = Upright(keep_upright, axis=axis, frame=problem.object)
            problem = dataclasses.replace(problem, constraints=(*problem.constraints, kept))
        status.update(f"planning to pick {problem.object} (the first run on a machine compiles kernels)")
        plan = dataclasses.replace(problem.plan(seed=seed, time_budget=time_budget), name=problem.name)
        if out is not None:
            plan.save(out)
    if as_json:
        print(json.dumps(_document(plan), allow_nan=False))
    else:
        _print(plan, out)
    raise typer.Exit(0 if plan.solved else 1)


def read_task(scene: str, object: str | None, at: list[str], start: str | None, robot: str | None) -> PickProblem:
    """The task that a file and the options describe.

    Raises:
        EdmpError: names the option or file at fault.
    """
    with scene_file(scene) as path:
        return _task_of(path, object, at, start, robot)


def _task_of(scene: Path, object: str | None, at: list[str], start: str | None, robot: str | None) -> PickProblem:
    import numpy as np

    from edmp.geometry.poses import pose
    from edmp.problem import load_scene_constraints, load_start
    from edmp.scenes.native import SceneFile
    from edmp.tasks import PickProblem
    from edmp.tasks.problem import holding

    arm, content, q = load_start(scene, robot=robot)
    entry = content.pick if isinstance(content, SceneFile) else None
    name = object or (entry.object if entry else None)
    if name is None:
        raise InvalidInputError(
            f"--object: {scene} does not say what to pick; there are {', '.join(content.scene.names)}"
        )
    places = [pose(values[:3], values[3:]) for values in (numbers(text, 7, "--at") for text in at)]
    if not places and entry is not None and entry.object == name:
        places = list(entry.at)
    if start is not None:
        q = np.array(numbers(start, arm.dof, "--start"))
    title = (content.name if isinstance(content, SceneFile) else "") or scene.stem
    constraints = load_scene_constraints(scene, holding(arm, content.scene, name))
    q = arm.home if q is None else q
    return PickProblem(arm, content.scene, q, name, tuple(places), title, constraints)


def _document(plan: TaskPlan) -> dict[str, object]:
    from edmp.constraints.documents import kept_document

    return {
        "status": plan.status.value,
        "solved": plan.solved,
        "message": plan.message,
        "failed": plan.failed,
        "grasp": plan.grasp,
        "duration_s": plan.duration,
        "time_s": plan.stats.time_s,
        "phases": [
            {"name": phase.name, "duration_s": phase.duration, "gripper_width_m": phase.width} for phase in plan.phases
        ],
        "kept": [{"phase": name, **kept_document(kept)} for name, kept in plan.kept],
        "tool_deviation_m_rad": plan.tool_deviation,
    }


def _print(plan: TaskPlan, out: Path | None) -> None:
    console = report_console()
    console.print(f"{plan.status.value}  {plan.message}", soft_wrap=True)
    for begin, phase in zip(plan.begins, plan.phases, strict=False):
        parts = ", ".join(f"{part.name} to {begin + part.until:.2f} s" for part in phase.parts)
        width = "" if phase.width is None else f"gripper {1e3 * phase.width:.1f} mm"
        holds = f", holds {phase.held.name}" if phase.held else ""
        console.print(
            f"  {begin:6.2f} s  {phase.name:8} {phase.duration:5.2f} s  {width}{holds}  {parts}", soft_wrap=True
        )
    for name, kept in plan.kept:
        console.print(f"proved: {name}: {kept.message()}", soft_wrap=True)
    if plan.tool_deviation is not None:
        position, angle = plan.tool_deviation
        lines = f"within {1e3 * position:.2f} mm and {math.degrees(angle):.2f} deg of its straight lines"
        console.print(f"proved: tool {lines}", soft_wrap=True)
    console.print(f"planned in {plan.stats.time_s:.2f} s" + (f"; wrote {out}" if out else ""), soft_wrap=True)
