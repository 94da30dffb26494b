"""``edmp bench execute``: plan problems and run the plans in simulation."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import names, progress_console, ranges, report_console
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable

if TYPE_CHECKING:
    from edmp.bench.executed import ExecutedRecord


def execute(
    problems: Annotated[Path, typer.Option(help="Folder or file of problems; docs/problems.md tells which.")],
    out: Annotated[Path, typer.Option(help="A line of JSON for each plan.")],
    count: Annotated[int, typer.Option(min=1, help="Plans to execute; the sets take turns.")] = 100,
    sets: Annotated[str | None, typer.Option(help="Only these sets, separated by commas.")] = None,
    numbers: Annotated[str | None, typer.Option(help="Only problems of these numbers, such as 1-50 or 3,7.")] = None,
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    seed: Annotated[int, typer.Option(help="Given to every plan.")] = 0,
    control: Annotated[str, typer.Option(help="Controller of the arm: inverse-dynamics or impedance.")] = (
        "inverse-dynamics"
    ),
    payload_error: Annotated[
        float, typer.Option(help="The arm moves this share more mass, link by link, than its controller believes.")
    ] = 0.0,
    payload: Annotated[float, typer.Option(help="Mass at the tool that the controller does not know of [kg].")] = 0.0,
    viscous: Annotated[
        float, typer.Option(help="Friction that grows with speed, for each unit of a joint's effort limit [s/rad].")
    ] = 0.0,
    coulomb: Annotated[
        float, typer.Option(help="Friction that does not, for each unit of a joint's effort limit; a Panda has 0.01.")
    ] = 0.0,
    motor_error: Annotated[
        float, typer.Option(help="The motors have this share more inertia than the controller believes.")
    ] = 0.0,
    delay: Annotated[float, typer.Option(help="Commands take effect this much later [s].")] = 0.0,
    speed: Annotated[float, typer.Option(help="Share of the planned speed, in (0, 1].")] = 1.0,
    effort: Annotated[
        float, typer.Option(help="Slow motions down that need more of an effort limit, in (0, 1].")
    ] = 0.75,
    adapt: Annotated[
        Path | None, typer.Option(help="Recording (.mcap) or model (.safetensors) of the arm, to which motions adapt.")
    ] = None,
    lead: Annotated[bool, typer.Option(help="With --adapt: send commands ahead of the delay.")] = True,
    feed_forward: Annotated[bool, typer.Option(help="With --adapt: feed torques forward.")] = True,
    tube: Annotated[bool, typer.Option(help="Stop when half of the clearance that was proved is used up.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an existing file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Plan, execute in Drake with contacts, and print what was measured. Exit code 1 if anything was touched."""
    check_writable(out, "--out")
    if out.exists() and resume == force:
        raise InvalidInputError(f"--out: {out} exists; --resume goes on with it, --force overwrites it")
    from edmp.bench import find_problems
    from edmp.bench.executed import ExecuteSettings, execute_problems, summarise_executed
    from edmp.execution import AdaptSettings, ExecutionSettings, TubeSettings

    options = {"control": control, "mass_error": payload_error, "payload": payload, "delay": delay}
    options |= {"viscous": viscous, "coulomb": coulomb, "motor_error": motor_error}
    settings = ExecuteSettings(
        robot,
        seed,
        options=options,
        execution=ExecutionSettings(speed=speed),
        tube=TubeSettings() if tube else None,
        effort=effort,
        adapt=None if adapt is None else str(adapt),
        adapting=AdaptSettings(lead=lead, feed_forward=feed_forward),
    )
    chosen = find_problems(problems, sets=names(sets), numbers=ranges(numbers))
    command = shlex.join(["edmp", *sys.argv[1:]])
    with progress_console().status("warming up") as status, contextlib.redirect_stdout(sys.stderr):
        counted = 0

        def on_record(record: ExecutedRecord) -> None:
            nonlocal counted
            counted += 1
            status.update(f"{counted}: {record.set}/{record.index} {record.outcome}")

        records = execute_problems(
            chosen, out, settings, count=count, command=command, resume=resume, on_record=on_record
        )
    _print_table(records)
    touched = summarise_executed(records)[-1].touched
    raise typer.Exit(1 if touched else 0)


def _print_table(records: list[ExecutedRecord]) -> None:
    from rich import box
    from rich.table import Table

    from edmp.bench.executed import summarise_executed

    table = Table(
        "set",
        "executed",
        "reached",
        "stopped",
        "touched",
        "peak [mrad]",
        "RMS [mrad]",
        "torque [%]",
        "speed [%]",
        "clearance lost [mm]",
        "clearance [mm]",
        "stopped by",
        box=box.SIMPLE_HEAD,
    )
    for s in summarise_executed(records):
        faults = ", ".join(f"{fault} {count}" for fault, count in sorted(s.faults.items()))
        numbers = [s.tracking_peak, s.tracking_rms, 100 * s.torque_share, 100 * s.speed]
        numbers += [1e3 * s.clearance_loss, 1e3 * s.min_clearance]
        counts = (s.executed, s.reached, s.stopped, s.touched)
        table.add_row(s.set, *map(str, counts), *(f"{value:.2f}" for value in numbers), faults)
    console = report_console()
    console.print(table)
    if unsolved := sum(record.measured is None for record in records):
        console.print(f"{unsolved} problems without a plan, not counted")
