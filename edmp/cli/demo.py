"""``edmp demo``: an arm gets past something that crosses its way, or picks something up; to look at."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import driver_options, progress_console, report_console
from edmp.cli.bench_replan import ArmOptions, SimulatedArm
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable

if TYPE_CHECKING:
    from edmp.bench.replanned import CrossingRun
    from edmp.execution import TaskExecution
    from edmp.execution.sensed import SensedRun
    from edmp.taskplan import TaskPlan
    from edmp.viz.subject import Subject

_LET_DOWN = 0.5
"""How fast what is put down comes from above [m/s]."""

app = typer.Typer(help="Things to look at.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def demo() -> None:
    """Things to look at."""


@app.command()
def replan(
    seed: Annotated[int, typer.Option(min=0, help="Which crossing.")] = 12,
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    driver: SimulatedArm = "drake-sim",
    option: ArmOptions = None,
    headless: Annotated[bool, typer.Option("--headless", help="Print what happened, show nothing.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page (.html) that needs nothing else.")] = None,
    movie: Annotated[Path | None, typer.Option(help="Write a movie (.mp4, .gif).")] = None,
) -> None:
    """Something crosses the arm's way: the arm plans while it moves, and gets past. Shown in a browser.

    Exit code 0: the goal is reached and nothing was touched, 1: not so.
    """
    _check_shown(headless, html, movie)
    from edmp.bench.replanned import ReplanBenchSettings, planner_for, run_crossing
    from edmp.execution.crossing import make_crossing
    from edmp.robots import load_robot

    settings = ReplanBenchSettings(robot, seed, driver, driver_options(option or []))
    with progress_console().status("loading the planner") as status, contextlib.redirect_stdout(sys.stderr):
        crossing = make_crossing(load_robot(robot), seed, settings.crossing)
        with planner_for(settings) as (_, planner):
            status.update("the arm moves")
            run = run_crossing(crossing, planner, settings)
    good = _report(run)
    if not headless and len(run.done.recording.times) > 2:
        from edmp.cli.view import present

        present(_subject(run), html=html, movie=movie)
    raise typer.Exit(0 if good else 1)


@app.command()
def pick(
    seed: Annotated[int, typer.Option(min=0, help="Of the plan.")] = 0,
    driver: Annotated[str, typer.Option(help="A simulated arm with a gripper: drake-sim.")] = "drake-sim",
    option: ArmOptions = None,
    out: Annotated[Path | None, typer.Option(help="Write the task file (.json).")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Print what happened, show nothing.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page (.html) that needs nothing else.")] = None,
    movie: Annotated[Path | None, typer.Option(help="Write a movie (.mp4, .gif).")] = None,
) -> None:
    """An arm takes a can from behind a wall and puts it on a shelf, in Drake, held by friction. Shown in a browser.

    Exit code 0: it is at its place and nothing else was touched, 1: not so.
    """
    _check_shown(headless, html, movie)
    if out is not None:
        check_writable(out, "--out", suffixes=(".json",))
    from edmp.execution import prepare_task
    from edmp.execution.prepared import driver_for

    with progress_console().status("planning") as status, contextlib.redirect_stdout(sys.stderr):
        plan = _pick_plan(seed)
        if out is not None:
            plan.save(out)
        if not plan.solved:
            report_console().print(f"{plan.status.value} {plan.message}", soft_wrap=True)
            raise typer.Exit(1)
        status.update("the arm moves")
        ready = prepare_task(plan)
        arm = driver_for(ready, driver, driver_options(option or []))
        done = ready.run(arm)
    good = _report_pick(plan, done)
    if not headless and len(done.recording.times) > 2:
        from edmp.cli.replay import task_subject
        from edmp.cli.view import present

        present(task_subject(done.recording, plan, "pick and place"), html=html, movie=movie)
    raise typer.Exit(0 if good else 1)


@app.command()
def sense(
    seed: Annotated[int, typer.Option(min=0, help="Of the first cell; each run has the next.")] = 0,
    runs: Annotated[int, typer.Option(min=1, help="How many cells.")] = 1,
    unseen: Annotated[str, typer.Option(help="What nobody has seen is: free or occupied.")] = "occupied",
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    driver: SimulatedArm = "drake-sim",
    headless: Annotated[bool, typer.Option("--headless", help="Print what happened, show nothing.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page (.html) that needs nothing else.")] = None,
    movie: Annotated[Path | None, typer.Option(help="Write a movie (.mp4, .gif).")] = None,
) -> None:
    """Three depth cameras look at a cell; something is put down while the arm works; the arm plans anew on the map.

    What the arm did is judged on the truth. The last run is shown, with the map as it was when the arm set off.
    Exit code 0: nine in ten arrived, and nothing was touched; 1: not so.
    """
    _check_shown(headless, html, movie)
    from edmp.bench.replanned import PLANNER
    from edmp.execution.sensed import make_cell, run_cell
    from edmp.planner import Planner
    from edmp.robots import load_robot
    from edmp.scenes.scene import Unseen

    Unseen(unseen, 0.0)
    console, arm = report_console(), load_robot(robot)
    done: list[SensedRun] = []
    spinner = progress_console().status("loading the planner")
    with spinner as status, contextlib.redirect_stdout(sys.stderr):
        planner = Planner(robot, settings=PLANNER)
        for number in range(seed, seed + runs):
            good = sum(run.good for run in done)
            status.update(f"cell {number}: {len(done)} of {runs} done, {good} arrived and touched nothing")
            done.append(run_cell(make_cell(arm, number), planner, driver=driver, unseen=unseen))
            _report_sensed(done[-1])
    arrived, touched = sum(run.done.reached for run in done), sum(run.touched is not None for run in done)
    console.print(f"reached the goal   {arrived} of {len(done)}")
    console.print(f"touched the truth  {touched}")
    if not headless and len(done[-1].done.recording.times) > 2:
        from edmp.cli.view import present

        present(_sensed_subject(done[-1]), html=html, movie=movie)
    raise typer.Exit(0 if arrived >= 0.9 * len(done) and not touched else 1)


def _check_shown(headless: bool, html: Path | None, movie: Path | None) -> None:
    """At most one way of showing what happens, and files that can be written."""
    if sum([headless, html is not None, movie is not None]) > 1:
        raise InvalidInputError("give one of --headless, --html and --movie")
    if html is not None:
        check_writable(html, "--html", suffixes=(".html", ".htm"))
    if movie is not None:
        check_writable(movie, "--movie", suffixes=(".mp4", ".gif"))


def _report_sensed(run: SensedRun) -> None:
    console, done = report_console(), run.done
    taken = sum(one.accepted for one in done.replans)
    console.print(
        f"cell {run.cell.seed}: {done.outcome.value} {done.message}; put down at {run.cell.put_down:.2f} s, {taken} of "
        f"{len(done.replans)} plans taken, {run.world.scenes} scenes of {run.world.map.frames} images; "
        f"{f'TOUCHED: {run.touched}' if run.touched else 'touched nothing'}",
        soft_wrap=True,
    )


def _sensed_subject(run: SensedRun) -> Subject:
    """The measured motion, the map as it was before it, and what was put down on the way, let down from above."""
    import numpy as np

    from edmp.recordings.recording import motion_as_seen
    from edmp.viz.moving import beside_mover, with_mover
    from edmp.viz.subject import Subject

    cell, recording, world = run.cell, run.done.recording, run.world
    speed, at = _LET_DOWN, cell.after["post"]
    above = at.X_WO.copy()
    above[2, 3] += speed * cell.put_down
    shown = with_mover(cell.robot, dataclasses.replace(at, X_WO=above), np.array([0.0, 0.0, -speed]))
    begin = float(recording.seen[0]) - world.begin
    motion = beside_mover(motion_as_seen(recording), speed, robot=shown, begin=begin, until=cell.put_down)
    q = motion.positions
    return Subject(shown, world.first, q[0], q[-1], motions=(motion,), name=f"sensing, cell {cell.seed}")


def _pick_plan(seed: int) -> TaskPlan:
    """A can behind a wall on a table, and a shelf that it goes to."""
    import numpy as np

    import edmp

    scene = edmp.Scene.of(
        {
            "table": (edmp.Box((0.7, 1.3, 0.04)), (0.55, 0.0, 0.18)),
            "wall": (edmp.Box((0.4, 0.02, 0.14)), (0.6, 0.1, 0.27)),
            "board": (edmp.Box((0.3, 0.3, 0.02)), (0.6, -0.4, 0.34)),
            "side": (edmp.Box((0.3, 0.02, 0.13)), (0.6, -0.54, 0.265)),
            "other side": (edmp.Box((0.3, 0.02, 0.13)), (0.6, -0.26, 0.265)),
            "can": (edmp.Cylinder(0.025, 0.1), (0.5, 0.25, 0.25)),
        }
    )
    place = np.eye(4)
    place[:3, 3] = (0.55, -0.4, 0.4)
    start = [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]
    plan = edmp.pick_and_place(scene, start, "can", place, seed=seed, time_budget=30.0)
    return dataclasses.replace(plan, name="can to shelf")


def _report_pick(plan: TaskPlan, done: TaskExecution) -> bool:
    console = report_console()
    console.print(f"planned    {plan.message}", soft_wrap=True)
    console.print(f"{done.outcome.value} {done.message}", soft_wrap=True)
    near = all(one.error < 5e-3 for one in done.objects) and bool(done.objects)
    touched = done.recording.contacts
    console.print(f"  touched    {touched[0][1:] if touched else 'nothing but what it should'}")
    return done.reached and near and not touched


def _report(run: CrossingRun) -> bool:
    """Print what happened; whether all is well."""
    console, done = report_console(), run.done
    after = run.world.examine(done.recording)
    mover = run.crossing.mover
    console.print(f"{done.outcome.value} {done.message}", soft_wrap=True)
    begin = float(done.recording.seen[0]) if len(done.recording.seen) else 0.0
    console.print(f"  crossing   {mover.speed:.2f} m/s, seen from {run.crossing.appears:.2f} s on")
    for one in done.replans:
        how = "no plan" if one.request is None else "planned" if one.request.warm is None else "planned warm"
        verdict = "taken" if one.accepted else "refused"
        console.print(
            f"  {one.time - begin:6.2f} s   {one.why}: {how} in {1e3 * one.planning:.0f} ms, {verdict}: {one.outcome}",
            soft_wrap=True,
        )
    near = f"closest {1e3 * after.closest:.0f} mm"
    console.print(f"  measured   {f'TOUCHED: {after.touched}' if after.touched else f'touched nothing, {near}'}")
    return done.reached and after.touched is None


def _subject(run: CrossingRun) -> Subject:
    """The measured motion, and what crossed it."""
    from edmp.recordings.recording import motion_as_seen
    from edmp.viz.moving import beside_mover, with_mover
    from edmp.viz.subject import Subject

    crossing, recording = run.crossing, run.done.recording
    mover = run.world.mover()
    shown = with_mover(crossing.robot, mover.obstacle, mover.velocity)
    begin = float(recording.seen[0]) - mover.time
    motion = beside_mover(motion_as_seen(recording), mover.speed, robot=shown, begin=begin)
    q = motion.positions
    return Subject(shown, crossing.scene, q[0], q[-1], motions=(motion,), name=f"replanning, crossing {crossing.seed}")
