"""``edmp replay``: show and summarise what was recorded."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edmp.cli.arguments import progress_console, report_console
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable

if TYPE_CHECKING:
    from edmp.execution import Recording, Summary
    from edmp.planfile import PlanFile
    from edmp.robots.robot import Robot
    from edmp.scenes.scene import Scene
    from edmp.taskplan import TaskPlan
    from edmp.viz.subject import Subject


NO_CONTACTS = "contacts_unseen"
"""Of what is known of a run: there if its driver would not have told of a touch, and says so."""


def replay(
    recording: Annotated[Path, typer.Argument(help="Recording (.mcap) of edmp execute --record.")],
    summary: Annotated[bool, typer.Option("--summary", help="Print the numbers only.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Show the measured motion in a browser.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page (.html) that needs nothing else.")] = None,
    movie: Annotated[Path | None, typer.Option(help="Write a movie (.mp4, .gif) of the measured motion.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON on stdout.")] = False,
) -> None:
    """Show what an arm did, measured, and sum it up; the recording alone is enough."""
    if sum([summary, web, html is not None, movie is not None]) > 1:
        raise InvalidInputError("give one of --summary, --web, --html and --movie")
    if html is not None:
        check_writable(html, "--html", suffixes=(".html", ".htm"))
    if movie is not None:
        check_writable(movie, "--movie")
    from edmp.recordings.mcap_file import load_recording

    with progress_console().status(f"reading {recording}"):
        file = load_recording(recording)
        if file.task is not None:
            numbers = summary_of(file.recording, file.task.robot, None)
        elif file.plan is not None:
            numbers = summary_of(file.recording, file.plan.problem.robot, file.plan.problem.scene)
        else:
            raise InvalidInputError(f"{recording}: no plan is attached, so robot and scene are not known")
    print_summary(numbers, file.about, as_json, task=file.task is not None)
    if summary:
        return
    if file.task is not None:
        subject = task_subject(file.recording, file.task, recording.stem)
    else:
        assert file.plan is not None
        subject = _subject(file.recording, file.plan, recording.stem)
    if web or html is not None or movie is not None:
        from edmp.cli.view import present

        present(subject, html=html, movie=movie)
    elif not as_json:
        from edmp.cli.view import show_in_window

        show_in_window(subject)


def summary_of(recording: Recording, robot: Robot, scene: Scene | None) -> Summary:
    from edmp.execution import summarise

    return summarise(recording, robot=robot, scene=scene)


def print_summary(numbers: Summary, about: Any, as_json: bool, *, task: bool = False) -> None:
    from edmp.planfile import finite_or_none

    clearance = numbers.min_clearance
    if as_json:
        values = {
            "duration_s": numbers.duration,
            "tracking_rms_mrad": numbers.tracking_rms,
            "tracking_peak_mrad": numbers.tracking_peak,
            "peak_torque_nm": numbers.peak_torque,
            "peak_torque_share": numbers.torque_share,
            "min_clearance_m": finite_or_none(clearance),
            "jitter_ms": numbers.jitter,
            "contacts": None if NO_CONTACTS in about else numbers.num_contacts,
        }
        print(json.dumps({**about, **values}, allow_nan=False))
        return
    share = "" if numbers.torque_share is None else f", {numbers.torque_share:.0%} of the limit"
    near = (
        "no obstacle" if clearance is None or clearance > 10 else f"{clearance * 1e3:.1f} mm, measured motion, proved"
    )
    if task:
        near = "not measured: robot and scene change from phase to phase"
    console = report_console()
    console.print(f"{about.get('outcome', '-')} {about.get('message', '')}", soft_wrap=True)
    for name, value in (
        ("driver", about.get("driver")),
        ("duration", f"{numbers.duration:.2f} s"),
        ("tracking", f"{numbers.tracking_rms:.2f} mrad RMS, {numbers.tracking_peak:.2f} mrad peak"),
        ("torque", f"{numbers.peak_torque:.1f} Nm peak{share}"),
        ("clearance", near),
        ("jitter", f"{numbers.jitter:.3f} ms"),
        ("contacts", about.get(NO_CONTACTS) or f"{numbers.num_contacts} ticks"),
    ):
        if value is not None:
            console.print(f"  {name:<11}{value}", soft_wrap=True)


def task_subject(recording: Recording, plan: TaskPlan, name: str) -> Subject:
    """The measured motion of arm, fingers and objects.

    Raises:
        InvalidInputError: the driver did not tell where the objects were.
    """
    from edmp.viz.subject import Subject
    from edmp.viz.tasks import Seen, measured_task

    handled = recording.handled
    names = {phase.held.name for phase in plan.phases if phase.held is not None}
    if handled is None or len(handled.ticks) < 2 or not names <= set(handled.objects):
        raise InvalidInputError(
            f"{name}: nobody recorded where {', '.join(sorted(names)) or 'the fingers'} went, which only a simulation "
            "knows: it cannot be shown; --summary says the rest"
        )
    seen = [
        Seen(
            float(recording.times[tick]),
            recording.measured[tick],
            None if math.isnan(width) else width,
            {thing: X_WO[k] for thing, X_WO in handled.objects.items()},
        )
        for k, (tick, width) in enumerate(zip(handled.ticks.tolist(), handled.widths.tolist(), strict=True))
    ]
    shown = measured_task(plan, seen)
    q = shown.motion.positions
    return Subject(shown.robot, shown.scene, q[0], q[-1], motions=(shown.motion,), name=f"{name}, measured")


def _subject(recording: Recording, plan: PlanFile, name: str) -> Subject:
    """The measured motion first, the planned ones behind it."""
    from edmp.recordings.recording import measured_motion
    from edmp.viz.subject import Subject

    measured, result = measured_motion(recording), plan.result
    planned = () if result.best is None else (result.best.trajectory,)
    q = measured.positions
    return Subject(
        plan.problem.robot, plan.problem.scene, q[0], q[-1], motions=(measured, *planned), name=f"{name}, measured"
    )
