"""``edmp bench carry``: tasks of picking and placing, executed in Drake."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import driver_options, progress_console, report_console
from edmp.files.writing import check_writable

if TYPE_CHECKING:
    from edmp.bench.carried import CarriedRow


def carry(
    tasks: Annotated[Path, typer.Option(help="Folder of task files, as edmp bench pick --plans writes them.")],
    out: Annotated[Path, typer.Option(help="A line of JSON for each task.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    speed: Annotated[float, typer.Option(help="Share of the planned speed, in (0, 1].")] = 1.0,
    option: Annotated[list[str] | None, typer.Option(help="Option of drake-sim, such as delay=0.01.")] = None,
) -> None:
    """Execute task files in Drake, in which objects are held by friction, and say where they end.

    Exit code 1 if anything was touched that should not have been.
    """
    check_writable(out, "--out")
    from edmp.bench.carried import run, summary, task_files

    files = task_files(tasks)[:limit]
    console = progress_console()
    console.soft_wrap = True

    def told(row: CarriedRow) -> None:
        error = "" if row.error_m is None else f", {1e3 * row.error_m:.1f} mm"
        console.print(f"{row.name}: {row.outcome}{error} ({row.wall_s:.0f} s) {'' if row.good else row.message}")

    rows = run(files, out, speed=speed, options=driver_options(option or []), on_row=told)
    for line in summary(rows):
        report_console().print(line, soft_wrap=True)
    raise typer.Exit(1 if any(row.touched for row in rows) else 0)
