"""``edmp bench replan``: arms that plan while something crosses their way, in simulation."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import driver_options, progress_console, report_console
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable

if TYPE_CHECKING:
    from edmp.bench.crossings import CrossingRecord


SimulatedArm = Annotated[str, typer.Option(help="A simulated arm: drake-sim or kinematic.")]
ArmOptions = Annotated[
    list[str] | None, typer.Option(help="Option of the driver, such as real_time=true or delay=0.02; may be repeated.")
]


def replan(
    out: Annotated[Path, typer.Option(help="A line of JSON for each run.")],
    runs: Annotated[int, typer.Option(min=1, help="Crossings; each has a seed of its own.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of the first crossing.")] = 0,
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    driver: SimulatedArm = "drake-sim",
    option: ArmOptions = None,
    slowdown: Annotated[
        float, typer.Option(help="Charge computing so many times the processor time that it took.")
    ] = 1.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an existing file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Send an arm through crossings, judge what it really did, and time each replan warm and cold.

    Planner, guard and arm take turns on the arm's clock, each charged the processor time that it used, so that the
    result does not depend on what else the machine does; with --option real_time=true they run side by side, which
    needs two idle cores. Exit code 1 if anything was touched.
    """
    check_writable(out, "--out")
    if out.exists() and resume == force:
        raise InvalidInputError(f"--out: {out} exists; --resume goes on with it, --force overwrites it")
    from edmp.bench.crossings import summarise_replans
    from edmp.bench.replanned import ReplanBenchSettings, replan_crossings

    settings = ReplanBenchSettings(robot, seed, driver, driver_options(option or []), slowdown)
    command = shlex.join(["edmp", *sys.argv[1:]])
    with progress_console().status("warming up") as status, contextlib.redirect_stdout(sys.stderr):
        counted = 0

        def on_record(record: CrossingRecord) -> None:
            nonlocal counted
            counted += 1
            status.update(f"{counted}: crossing {record.index} {record.outcome}")

        records = replan_crossings(out, settings, runs=runs, command=command, resume=resume, on_record=on_record)
    _print(records)
    raise typer.Exit(1 if summarise_replans(records).touched else 0)


def _print(records: list[CrossingRecord]) -> None:
    from edmp.bench.crossings import summarise_replans

    console, s = report_console(), summarise_replans(records)
    for record in records:
        if record.outcome != "REACHED" or record.touched:
            told = f"; touched: {record.touched}" if record.touched else ""
            console.print(f"crossing {record.index}: {record.outcome} {record.message}{told}", soft_wrap=True)
    console.print(f"reached the goal   {s.reached} of {s.runs} ({s.reached / max(1, s.runs):.0%})")
    console.print(f"touched            {s.touched}")
    console.print(f"closest            {1e3 * s.closest:.1f} mm from the moving obstacle")
    console.print(f"duration           {s.duration:.2f} s (median)")
    console.print(f"replans            {s.replans} new motions taken on the way")
    console.print(
        f"planning           warm {1e3 * s.warm:.0f} ms, cold {1e3 * s.cold:.0f} ms (medians of the same {s.queries} "
        f"questions, processor time): {s.speed_up:.1f} times faster warm",
        soft_wrap=True,
    )
