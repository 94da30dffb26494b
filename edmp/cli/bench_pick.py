"""``edmp bench pick``: whole tasks of picking and placing, planned and judged."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import progress_console, report_console
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable

if TYPE_CHECKING:
    from edmp.bench.handled import Row


def pick(
    problems: Annotated[Path, typer.Option(help="Folder of tasks, made by edmp bench make --suite pick-place.")],
    out: Annotated[Path, typer.Option(help="A line of JSON for each task.")],
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many tasks, families in turn.")] = None,
    seed: Annotated[int, typer.Option(help="Given to every task.")] = 0,
    time_budget: Annotated[float, typer.Option(help="For one task [s].")] = 10.0,
    plans: Annotated[Path | None, typer.Option(help="Keep the task plans in this folder.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Plan tasks, have the judge look at every phase again, and print a table. Exit code 1 if one is not certified."""
    check_writable(out, "--out")
    if out.exists() and not force:
        raise InvalidInputError(f"--out: {out} exists; --force overwrites it")
    from edmp.bench.handled import run, summary, tasks_in

    files = tasks_in(problems, limit=limit)
    with progress_console().status("warming up") as status, contextlib.redirect_stdout(sys.stderr):

        def on_row(row: Row) -> None:
            status.update(f"{row.name}: {row.status}, {row.time_s:.2f} s")

        rows = run(files, out, seed=seed, time_budget=time_budget, plans=plans, on_row=on_row)
    console = report_console()
    for row in rows:
        if not row.certified:
            console.print(f"{row.name}: {row.status} {row.failed}: {row.message}", soft_wrap=True)
    console.print(summary(rows), soft_wrap=True)
    raise typer.Exit(0 if all(row.certified for row in rows) else 1)
