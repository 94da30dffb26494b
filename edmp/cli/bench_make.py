"""``edmp bench make``: random problems that an expert has solved."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import names, progress_console, report_console
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.bench.expert import ExpertProblem
    from edmp.bench.suites import MakeSettings


def make(
    out: Annotated[Path, typer.Option(help="Folder for the problems; an earlier run there goes on.")],
    suite: Annotated[str | None, typer.Option(help="A suite by name, such as mpinets-like.")] = None,
    fraction: Annotated[str | None, typer.Option(help="This part of the suite, such as 1/6.")] = None,
    family: Annotated[
        str | None,
        typer.Option(help="Instead of a suite: scene families, or kinds of hard problems, separated by commas."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Problems: of the whole suite, or of each family; 100 of a family.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="With --family: seed of the problems; default 0.")] = None,
    goal: Annotated[
        str | None, typer.Option(help="With --family: pose (of the tool, the default) or joints (a configuration).")
    ] = None,
    robot: Annotated[str | None, typer.Option(help="With --family: a built-in robot; default panda.")] = None,
    effort: Annotated[
        int | None, typer.Option(min=1, help="Of hard problems: search so many times as long for the shortest motion.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")] = None,
) -> None:
    """Make random problems whose solvability an expert has proved. Stop with Ctrl-C; the same command goes on."""
    from edmp.bench.hard import DRAWS
    from edmp.bench.suites import MakeSettings, about_constraints, missing
    from edmp.bench.suites import suite as named_suite

    if (suite is None) == (family is None):
        raise InvalidInputError("give either --suite or --family")
    if suite == "pick-place":
        _pick_place(
            out, count, {"--seed": seed, "--goal": goal, "--robot": robot, "--fraction": fraction, "--effort": effort}
        )
        return
    if suite is not None:
        given = {"--seed": seed, "--goal": goal, "--robot": robot}
        if chosen := [option for option, value in given.items() if value is not None]:
            raise InvalidInputError(f"{chosen[0]}: the suite {suite} defines it; use --family for problems of your own")
        settings = named_suite(suite, fraction=_fraction(fraction), count=count)
    else:
        if fraction is not None:
            raise InvalidInputError("--fraction is a part of a --suite; with --family give --count")
        counts = dict.fromkeys(names(family) or (), 100 if count is None else count)
        hard = bool(counts) and set(counts) <= set(DRAWS)
        if hard and goal is not None:
            raise InvalidInputError(f"--goal: each kind of hard problem ({', '.join(DRAWS)}) has goals of its own")
        settings = MakeSettings(counts, seed or 0, goal or ("kind" if hard else "pose"), robot or "panda")
    if effort is not None:
        settings = dataclasses.replace(settings, effort=effort)
    made = _with_bar(out, settings, workers or len(os.sched_getaffinity(0)), len(missing(out, settings)))
    total = sum(settings.counts.values())
    report_console().print(f"{total} problems in {out}: {made} made now, {total - made} were there")
    if told := about_constraints(out):
        report_console().print(told)


def _pick_place(out: Path, count: int | None, others: Mapping[str, object]) -> None:
    """The suite of tasks, which are made one after the other."""
    from edmp.bench.handled import make

    if chosen := [option for option, value in others.items() if value is not None]:
        raise InvalidInputError(f"{chosen[0]}: the suite pick-place defines it; it takes --count alone")
    total = 100 if count is None else count
    with progress_console().status("tasks") as status:
        made = make(out, total, on_made=lambda name: status.update(f"tasks: {name}"))
    report_console().print(f"{total} tasks in {out}: {made} made now, {total - made} were there")


def _with_bar(out: Path, settings: MakeSettings, workers: int, todo: int) -> int:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from edmp.bench.suites import make

    columns = (TextColumn("problems"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=progress_console()) as progress:
        task = progress.add_task("problems", total=todo, note="")

        def on_made(family: str, number: int, made: ExpertProblem) -> None:
            progress.update(task, advance=1, note=f"{family}/{number}: {made.kind}, {made.length:.2f} rad")

        return make(out, settings, workers=workers, on_made=on_made)


def _fraction(text: str | None) -> Fraction | None:
    """``"1/6"`` or ``"0.5"``."""
    if text is None:
        return None
    try:
        return Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        raise InvalidInputError(f"--fraction: expected a number such as 1/6 or 0.5, got {text!r}") from None
