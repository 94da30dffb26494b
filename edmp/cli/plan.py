"""``edmp plan``: one problem from files and options to a plan file, a picture and a short report."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edmp.cli.arguments import progress_console, report_console
from edmp.cli.asked import constraints_asked, line_asked, one_or_two, read_problem
from edmp.cli.clouds import CloudOptions
from edmp.files.writing import check_writable

if TYPE_CHECKING:
    from edmp.problem import Problem
    from edmp.result import PlanResult
    from edmp.trace import Trace

PICTURES = (".png", ".jpg", ".pdf", ".svg")


def plan(
    scene: Annotated[
        str | None, typer.Option(help="Scene file (edmp's YAML or MoveIt's), or the name of a shipped example.")
    ] = None,
    request: Annotated[Path | None, typer.Option(help="MoveIt motion plan request with start and goal.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Start configuration [rad], such as '0 -0.8 0 -2.4 0 1.6 0.8'.")
    ] = None,
    goal: Annotated[
        list[str] | None, typer.Option(help="Goal configuration [rad]; repeat it for several goals.")
    ] = None,
    goal_pose: Annotated[
        list[str] | None, typer.Option(help="Tool pose goal 'x y z qx qy qz qw' [m] in the world; may be repeated.")
    ] = None,
    line_to: Annotated[
        list[str] | None,
        typer.Option(help="The tool goes in a straight line to the pose 'x y z qx qy qz qw' [m]; repeat it for a way."),
    ] = None,
    line_by: Annotated[
        str | None, typer.Option(help="The tool goes in a straight line by 'x y z' [m] along the axes of the world.")
    ] = None,
    blend: Annotated[
        float | None, typer.Option(help="Round the corners of a way (--line-to, repeated) within this radius [m].")
    ] = None,
    cloud: Annotated[
        list[Path] | None,
        typer.Option(
            help="What a sensor saw (.ply .pcd .npz .xyz .bt .ot; .png with --intrinsics), beside --scene or alone; "
            "may be repeated."
        ),
    ] = None,
    camera_pose: Annotated[
        list[str] | None,
        typer.Option(help="Where the frame of a --cloud stands in the world, 'x y z qx qy qz qw' [m]; one for each."),
    ] = None,
    intrinsics: Annotated[
        Path | None, typer.Option(help="Camera of depth images among the clouds: camera_info YAML of ROS.")
    ] = None,
    without_robot: Annotated[
        bool, typer.Option("--without-robot", help="Points of a --cloud at the robot, at the start, are its own.")
    ] = False,
    cloud_radius: Annotated[
        float | None, typer.Option(help="Radius of each point [m]; default: from how far they are apart.")
    ] = None,
    cloud_scale: Annotated[
        float | None, typer.Option(help="Length of the clouds' unit [m]; default: 0.001 of depth images, else 1.")
    ] = None,
    robot: Annotated[
        str | None, typer.Option(help="Robot name or description file; default: the file's own, else panda.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the plan (JSON) here.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Write a picture of the plan (.png, .pdf, ...) here.")] = None,
    denoising: Annotated[
        Path | None,
        typer.Option(
            help="Write how candidates go from noise to motions: a film strip (.png, ...) or a movie (.gif, .mp4)."
        ),
    ] = None,
    view: Annotated[bool, typer.Option("--view", help="Show the plan in a window afterwards.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Show the plan in a browser afterwards, until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else.")
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same plan.")] = 0,
    time_budget: Annotated[float | None, typer.Option(help="Give up after this time [s].")] = None,
    velocity_scale: Annotated[
        float | None,
        typer.Option(help="Share of the velocity limits to use, in (0, 1]; default: the problem's own, else 1."),
    ] = None,
    acceleration_scale: Annotated[
        float | None, typer.Option(help="The same of the acceleration limits; limits of jerk stay.")
    ] = None,
    escape: Annotated[
        bool, typer.Option("--escape", help="Start in contacts up to 20 mm deep: lead out of them first.")
    ] = False,
    tool_speed: Annotated[
        str | None,
        typer.Option(help="Limit of the tool's speed, '0.25' [m/s], or also of its rotation: '0.25 1' [rad/s]."),
    ] = None,
    tool_acceleration: Annotated[
        str | None, typer.Option(help="The same of its acceleration [m/s^2], [rad/s^2].")
    ] = None,
    keep_upright: Annotated[
        float | None,
        typer.Option(help="Keep up what of the tool is up where the motion starts, within this angle [rad]."),
    ] = None,
    keep_distance: Annotated[
        list[str] | None, typer.Option(help="Stay away from an obstacle: 'NAME DISTANCE' [m]; may be repeated.")
    ] = None,
    joint_range: Annotated[
        list[str] | None, typer.Option(help="Keep a joint in a range: 'JOINT LOWER UPPER' [rad]; may be repeated.")
    ] = None,
    in_region: Annotated[
        list[str] | None, typer.Option(help="Keep the tool in a region of the scene, by its name; may be repeated.")
    ] = None,
    num_seeds: Annotated[int | None, typer.Option(help="Trajectories denoised at once.")] = None,
    alternatives: Annotated[int | None, typer.Option(help="Look for so many other motions, too.")] = None,
    ensemble: Annotated[str | None, typer.Option(help="Ensemble of costs that steers the denoising.")] = None,
    prior: Annotated[
        str | None, typer.Option(help="Prior by name or weights file, or 'process'; default: the robot's own.")
    ] = None,
    fallback: Annotated[bool, typer.Option(help="Search with RRT-Connect where optimisation fails.")] = True,
) -> None:
    """Plan a motion and say how it went. Exit code 0: solved, 1: no plan, 2: misuse."""
    if out is not None:
        check_writable(out, "--out", suffixes=(".json",))
    if picture is not None:
        check_writable(picture, "--picture", suffixes=PICTURES)
    if denoising is not None:
        check_writable(denoising, "--denoising", suffixes=(*PICTURES, ".gif", ".mp4"))
    if view and not web:
        from edmp.viz.window import check_screen

        check_screen()
    from edmp.problem import ESCAPE_DEPTH

    options = {
        "time_budget": time_budget, "num_seeds": num_seeds, "num_alternatives": alternatives, "ensemble": ensemble,
        "prior": prior,
    }  # fmt: skip
    clouds = CloudOptions(cloud or (), camera_pose or (), cloud_radius, cloud_scale, intrinsics, without_robot)
    with progress_console().status("reading the problem") as status, contextlib.redirect_stdout(sys.stderr):
        line = line_asked(line_to or [], line_by, blend)
        problem = read_problem(
            scene, request=request, start=start, goals=goal, goal_poses=goal_pose, line=line, robot=robot, clouds=clouds
        )
        scales: dict[str, Any] = {
            "velocity_scale": velocity_scale,
            "acceleration_scale": acceleration_scale,
            "tool_speed": one_or_two(tool_speed, "--tool-speed"),
            "tool_acceleration": one_or_two(tool_acceleration, "--tool-acceleration"),
        }
        problem = dataclasses.replace(problem, **{name: value for name, value in scales.items() if value is not None})
        if escape:
            problem = dataclasses.replace(problem, escape=ESCAPE_DEPTH)
        asked = constraints_asked(problem, keep_upright, keep_distance or [], joint_range or [], in_region or [])
        problem = dataclasses.replace(problem, constraints=(*problem.constraints, *asked))
        where = f"{problem.name or 'scene'}: {problem.robot.name} among {len(problem.scene)} obstacles"
        status.update(f"planning in {where} (the first run on a machine compiles kernels)")
        chosen = {name: value for name, value in options.items() if value is not None}
        if denoising is None:
            result = solve(problem, seed=seed, fallback=fallback, **chosen)
            result = dataclasses.replace(result, problem=problem)  # with its name
        else:
            trace = record(problem, seed=seed, fallback=fallback, **chosen)
            result = trace.plan.result
        if out is not None:
            result.save(out)
        if picture is not None:
            from edmp.viz import save_image

            status.update("drawing")
            save_image(result, picture)
        if denoising is not None and not trace.batches:
            typer.echo("nothing was sampled: no --denoising is written", err=True)
            denoising = None
        if denoising is not None:
            from edmp.viz import save_denoising

            status.update("drawing the denoising")
            save_denoising(trace, denoising)
    written = [str(path) for path in (out, picture, denoising) if path is not None]
    if as_json:
        print(json.dumps(_json_report(problem, result), allow_nan=False))
    else:
        _print_report(problem, result, written)
    if view or web:
        _show(result, web=web)
    raise typer.Exit(0 if result.solved else 1)


def _show(result: PlanResult, *, web: bool) -> None:
    from edmp.cli.view import show_in_browser, show_in_window
    from edmp.viz import subject_of

    subject = subject_of(result)
    (show_in_browser if web else show_in_window)(subject)


def solve(problem: Problem, *, seed: int, **options: Any) -> PlanResult:
    """One call of the planner."""
    import edmp

    return edmp.plan(
        problem.scene,
        problem.start,
        problem.goal,
        robot=problem.robot,
        seed=seed,
        **problem.options,
        **options,
    )


def record(problem: Problem, *, seed: int, fallback: bool, **options: Any) -> Trace:
    """One call of the planner, with what it looked at on the way."""
    from edmp.planner import Planner, PlannerSettings, record_plan

    of_planner = {name: options[name] for name in ("prior", "ensemble") if name in options}
    settings = PlannerSettings(**{k: options[k] for k in ("num_seeds", "num_alternatives") if k in options})
    budget = {"time_budget": options["time_budget"]} if "time_budget" in options else {}
    planner = Planner(problem.robot, **of_planner, settings=settings)
    return record_plan(
        planner,
        problem.scene,
        problem.start,
        problem.goal,
        seed=seed,
        fallback=fallback,
        **problem.options,
        name=problem.name,
        **budget,
    )


def _json_report(problem: Problem, result: PlanResult) -> dict[str, Any]:
    from edmp.planfile import result_document

    return {"name": problem.name, "robot": problem.robot.name, **result_document(result)}


def _print_report(problem: Problem, result: PlanResult, written: list[str]) -> None:
    from rich.text import Text

    console = report_console()
    stats = result.stats
    console.print(Text(result.status.value, style="bold green" if result.solved else "bold red"), end=" ")
    console.print(Text(result.message), soft_wrap=True)
    rows = [("problem", f"{problem.name or '-'}: {problem.robot.name}, {len(problem.scene)} obstacles")]
    if stats.stage:
        rows.append(("stage", f"{stats.stage.value} ({stats.num_valid} of {stats.num_seeds} seeds free)"))
    rows.append(("time", f"{stats.time_s:.3f} s"))
    if best := result.best:
        clearance = f"{best.min_clearance * 1e3:.1f} mm" if best.min_clearance < 10 else "no obstacle near"
        rows += [
            ("path length", f"{best.length:.3f} rad, {len(best.path)} waypoints"),
            ("duration", f"{best.duration:.2f} s"),
            ("clearance", clearance),
            ("alternatives", str(len(result.alternatives))),
        ]
    if best and best.tool_deviation:
        position, angle = best.tool_deviation
        rows.append(("tool", f"within {1e3 * position:.2f} mm and {math.degrees(angle):.2f} deg of its line, proved"))
    if (shares := (problem.velocity_scale, problem.acceleration_scale)) != (1.0, 1.0):
        rows.append(("scaled to", f"{shares[0]:g} of the velocity limits, {shares[1]:g} of the acceleration limits"))
    if problem.scene.unseen is not None:
        rows.append(("unseen", str(problem.scene.unseen)))
    rows += [("proved", kept.message()) for kept in result.kept]
    rows += [("written", path) for path in written]
    for name, value in rows:
        console.print(Text(f"  {name:<13}{value}"), soft_wrap=True)
