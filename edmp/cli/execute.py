"""``edmp execute``: run a plan on an arm, simulated or real."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edmp.cli.arguments import driver_options, progress_console, report_console
from edmp.cli.replay import NO_CONTACTS, print_summary, summary_of
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable

if TYPE_CHECKING:
    from edmp.execution import Adaptation, ArmDriver, Execution, Prepared, Recording, TaskExecution
    from edmp.execution.recorder import Recorder
    from edmp.planfile import PlanFile
    from edmp.scenes.scene import Scene
    from edmp.taskplan import TaskPlan
    from edmp.trajectory import Trajectory

REACHED, NOT_REACHED, INTERRUPTED = 0, 1, 130


def execute(
    plan: Annotated[Path, typer.Argument(help="Plan file (.json) of edmp plan --out, or a task file.")],
    driver: Annotated[
        str, typer.Option(help="Which arm; docs/execution.md tells which there are, and what each was tested against.")
    ] = "drake-sim",
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the driver, such as delay=0.02; may be repeated.")
    ] = None,
    speed: Annotated[float, typer.Option(help="Share of the planned speed, in (0, 1].")] = 1.0,
    effort: Annotated[
        float, typer.Option(help="Slow the motion down if it needs more of an effort limit, in (0, 1]; 1 trusts it.")
    ] = 0.75,
    motion: Annotated[int, typer.Option(min=0, help="0 is the best motion of the plan, 1 its first alternative.")] = 0,
    tube: Annotated[bool, typer.Option(help="Stop when the arm uses up half of the clearance that was proved.")] = True,
    adapt: Annotated[
        Path | None,
        typer.Option(
            help="Recording (.mcap) of this arm, or model (.safetensors) of edmp identify: choose speed, feed-forward "
            "and braking distance for the arm that it shows."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, connect to nothing.")] = False,
    record: Annotated[Path | None, typer.Option(help="Write every tick (.mcap) here.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Move a real arm without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,
) -> None:
    """Run a plan on an arm and say how it went. Ctrl-C is a controlled stop.

    Exit code 0: the goal is reached, 1: it is not, 2: misuse, 130: stopped by Ctrl-C.
    """
    if record is not None:
        check_writable(record, "--record", suffixes=(".mcap",))
    from edmp.dynamics.identification import arm_model
    from edmp.execution import AdaptSettings, TubeSettings, prepare
    from edmp.execution.drivers import make_driver
    from edmp.execution.recorder import Recorder
    from edmp.planfile import PlanFile

    with progress_console().status(f"checking {plan}"):
        from edmp.taskfile import load_plan_or_task

        read = load_plan_or_task(plan)
    if not isinstance(read, PlanFile):
        _execute_task(read, driver, option or [], speed, effort, motion, tube, adapt, dry_run, record, yes, as_json)
    with progress_console().status(f"checking {plan}"):
        file, trajectory = read_motion(plan, motion)
        robot, scene = file.problem.robot, file.problem.scene
        start = trajectory.positions[0]
        arm = make_driver(driver, robot, positions=start, scene=scene, options=driver_options(option or []))
        room = TubeSettings() if tube else None
        model = None if adapt is None else arm_model(adapt, robot=robot)
        adapting = AdaptSettings().within(arm.takes_accelerations)
        ready = prepare(file, motion=motion, speed=speed, effort=effort, tube=room, adapt=model, adapting=adapting)
    if ready.refusal is not None:
        _say("REFUSED", ready.refusal, as_json)
        raise typer.Exit(NOT_REACHED)
    _announce(arm, ready, asked=speed, effort=effort)
    if dry_run:
        _say("READY", "dry run: nothing was connected, nothing moved", as_json)
        raise typer.Exit(REACHED)
    if arm.hardware and not yes:
        _confirm(arm)
    recorder = Recorder(robot)
    try:
        done = _run(arm, ready, recorder)
    except BaseException as error:
        recording = recorder.recording()
        if record is not None and len(recording.seen):
            _record(
                record,
                recording,
                f"ended by {type(error).__name__}: {error}",
                file,
                arm,
                ready.settings.speed,
                ready.adaptation,
            )
        raise
    if record is not None:
        _record(record, done.recording, done, file, arm, ready.settings.speed, ready.adaptation)
    _report(done, arm, scene, as_json, ready.adaptation)
    outcomes = {"REACHED": REACHED, "INTERRUPTED": INTERRUPTED}
    raise typer.Exit(outcomes.get(done.outcome.value, NOT_REACHED))


def _execute_task(
    plan: TaskPlan,
    driver: str,
    option: list[str],
    speed: float,
    effort: float,
    motion: int,
    tube: bool,
    adapt: Path | None,
    dry_run: bool,
    record: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """As `execute`, of a task; ends the program."""
    if motion:
        raise InvalidInputError(f"--motion {motion}: a task has no alternatives")
    from edmp.dynamics.identification import arm_model
    from edmp.execution import AdaptSettings, TubeSettings, prepare_task
    from edmp.execution.drivers import driver_class
    from edmp.execution.prepared import driver_for
    from edmp.execution.recorder import Recorder

    with progress_console().status("checking the task"):
        model = None if adapt is None else arm_model(adapt, robot=plan.robot)
        adapting = AdaptSettings().within(driver_class(driver).takes_accelerations)
        room = TubeSettings() if tube else None
        ready = prepare_task(plan, speed=speed, effort=effort, tube=room, adapt=model, adapting=adapting)
        arm = driver_for(ready, driver, driver_options(option))
        ready.check(arm)
    if ready.refusal is not None:
        _say("REFUSED", ready.refusal, as_json)
        raise typer.Exit(NOT_REACHED)
    console = progress_console()
    console.soft_wrap = True
    console.print(f"driver    {arm.name}: {'a REAL arm' if arm.hardware else 'simulated'}; {arm.evidence}")
    for one in ready.phases:
        console.print(
            f"{one.phase.name:<9} {one.phase.duration:.2f} s, at {one.settings.speed:.0%} of the planned speed"
        )
        if one.adaptation is not None:
            console.print(f"{'adapted':<9} {one.adaptation.message}")
    if dry_run:
        _say("READY", "dry run: nothing was connected, nothing moved", as_json)
        raise typer.Exit(REACHED)
    if arm.hardware and not yes:
        _confirm(arm)
    recorder = Recorder(ready.robot)
    try:
        with controlled_stop() as interrupt:
            done = ready.run(arm, interrupt=interrupt, recorder=recorder)
    except BaseException as error:
        recording = recorder.recording()
        if record is not None and len(recording.seen):
            _record(record, recording, f"ended by {type(error).__name__}: {error}", plan, arm, speed)
        raise
    if record is not None:
        _record(record, done.recording, done, plan, arm, speed)
    _report_task(done, as_json)
    outcomes = {"REACHED": REACHED, "INTERRUPTED": INTERRUPTED}
    raise typer.Exit(outcomes.get(done.outcome.value, NOT_REACHED))


def _report_task(done: TaskExecution, as_json: bool) -> None:
    from edmp.execution import summarise

    numbers = summarise(done.recording)
    if as_json:
        about = {"outcome": done.outcome.value, "message": done.message, "phase": done.phase}
        if done.violation is not None:
            about["fault"] = done.violation.fault.value
        objects = [{"name": one.name, "error_m": one.error, "turned_rad": one.turned} for one in done.objects]
        values = {"duration_s": numbers.duration, "tracking_peak_mrad": numbers.tracking_peak}
        print(json.dumps({**about, **values, "contacts": numbers.num_contacts, "objects": objects}))
        return
    console = report_console()
    console.print(f"{done.outcome.value} {done.message}", soft_wrap=True)
    console.print(f"  duration   {numbers.duration:.2f} s")
    console.print(f"  tracking   {numbers.tracking_rms:.2f} mrad RMS, {numbers.tracking_peak:.2f} mrad peak")
    console.print(f"  contacts   {numbers.num_contacts} ticks, beside those of the task")
    for one in done.objects:
        console.print(
            f"  {one.name:<10} {1e3 * one.error:.1f} mm and {math.degrees(one.turned):.1f} degrees from its place"
        )


# -- before anything moves --------------------------------------------------------------------------------------------


def read_motion(path: Path, motion: int = 0) -> tuple[PlanFile, Trajectory]:
    """A plan file, and the best motion in it or another by its number.

    Raises:
        InvalidInputError: there is no such motion.
    """
    from edmp.planfile import load_plan

    file = load_plan(path)
    best = file.result.best
    if best is None:
        raise InvalidInputError(f"{path}: holds no motion: {file.result.status.value} {file.result.message}")
    motions = (best, *file.result.alternatives)
    if motion >= len(motions):
        raise InvalidInputError(f"--motion {motion}: the plan holds {len(motions)}, numbered from 0")
    return file, motions[motion].trajectory


def _announce(arm: ArmDriver, ready: Prepared, *, asked: float, effort: float) -> None:
    limit, speed = ready.limit, ready.settings.speed
    if limit.speed < asked:
        typer.echo(
            f"slowed down to {limit.speed:.0%}: at full speed {limit.joint} would need {limit.share:.0%} of its "
            f"torque, --effort allows {effort:.0%}",
            err=True,
        )
    console = progress_console()
    console.soft_wrap = True
    console.print(f"driver    {arm.name}: {'a REAL arm' if arm.hardware else 'simulated'}; {arm.evidence}")
    console.print(f"motion    {ready.trajectory.duration / speed:.2f} s at {speed:.0%} of the planned speed")
    if ready.adaptation is not None:
        console.print(f"adapted   {ready.adaptation.message}")
    if ready.tube is not None:
        console.print(f"tube      stops when {ready.tube.settings.share:.0%} of the proved clearance is used up")


def _confirm(arm: ArmDriver) -> None:
    """A person types the driver's name, or nothing moves."""
    if not sys.stdin.isatty():
        raise InvalidInputError(f"{arm.name} moves a real arm and nobody is here to confirm: --yes says that it may")
    typer.echo("Keep the emergency stop within reach and everybody out of the arm's.", err=True)
    if typer.prompt(f"Type {arm.name} to move it", default="", show_default=False, err=True).strip() != arm.name:
        typer.echo("not confirmed, nothing moved", err=True)
        raise typer.Exit(NOT_REACHED)


# -- the run ----------------------------------------------------------------------------------------------------------


def _run(arm: ArmDriver, ready: Prepared, recorder: Recorder) -> Execution:
    gc.collect()
    gc.freeze()  # looking through what has been made so far takes milliseconds, in the middle of a motion
    with controlled_stop() as interrupt:
        return ready.run(arm, interrupt=interrupt, recorder=recorder)


@contextlib.contextmanager
def controlled_stop() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C, or request to end, sets; a second one ends the program, by the driver's stop."""
    event = threading.Event()
    signals: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in signals}

    def first(number: int, _: Any) -> None:
        event.set()
        signal.signal(number, before[number])
        typer.echo("stopping", err=True)

    for number in signals:
        signal.signal(number, first)
    try:
        yield event
    finally:
        for number in signals:
            signal.signal(number, before[number])


def _record(
    path: Path,
    recording: Recording,
    done: Execution | str,
    run: PlanFile | TaskPlan,
    arm: ArmDriver,
    speed: float,
    adaptation: Adaptation | None = None,
) -> None:
    """``done`` is how it ended: an outcome, or what cut it short; ``speed`` of a task is what was asked for."""
    from edmp.planfile import PlanFile
    from edmp.recordings.mcap_file import RecordingFile, save_recording

    about = {
        "driver": arm.name,
        "evidence": arm.evidence,
        "outcome": "CUT_SHORT" if isinstance(done, str) else done.outcome.value,
        "message": done if isinstance(done, str) else done.message,
        "speed": f"{speed:g}",
        "command": shlex.join(["edmp", *sys.argv[1:]]),
    }
    if not isinstance(done, str) and done.violation is not None:
        about["fault"] = done.violation.fault.value
    about |= _unseen(arm)
    if adaptation is not None:
        about["adaptation"] = json.dumps(adaptation.to_dict())
    if isinstance(run, PlanFile):
        save_recording(path, RecordingFile(recording, run, about))
    else:
        save_recording(path, RecordingFile(recording, None, about, run))
    typer.echo(f"written {path}", err=True)


# -- reports ----------------------------------------------------------------------------------------------------------


def _report(done: Execution, arm: ArmDriver, scene: Scene, as_json: bool, adaptation: Adaptation | None) -> None:
    about: dict[str, Any] = {"outcome": done.outcome.value, "message": done.message, **_unseen(arm)}
    if adaptation is not None:
        about["adaptation"] = adaptation.to_dict()
    if done.violation is not None:
        about["fault"] = done.violation.fault.value
    print_summary(summary_of(done.recording, arm.robot, scene), about, as_json)


def _unseen(arm: ArmDriver) -> dict[str, str]:
    """What a report says of contacts with a driver that does not tell of them."""
    return {} if arm.sees_contacts else {NO_CONTACTS: f"not simulated by the driver {arm.name}"}


def _say(outcome: str, message: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"outcome": outcome, "message": message}))
    else:
        report_console().print(f"{outcome} {message}", soft_wrap=True)
