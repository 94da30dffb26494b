"""``edmp bench``: run planners over folders of problems, judge the results again, time the parts."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import deadlines as as_deadlines
from edmp.cli.arguments import names, progress_console, ranges, report_console
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.bench import BenchProblem, PlannerSpec, Record, RunSettings

app = typer.Typer(help="Benchmarks.", no_args_is_help=True, rich_markup_mode=None)

Problems = Annotated[Path, typer.Option(help="Folder or file of problems; docs/problems.md tells which.")]
Sets = Annotated[str | None, typer.Option(help="Only these sets, separated by commas.")]
Numbers = Annotated[str | None, typer.Option(help="Only problems of these numbers, such as 1-50 or 3,7.")]
Deadlines = Annotated[
    str, typer.Option(help="Success within these times is told, certified and timed [s]; no plan is stopped by them.")
]
DEFAULT_DEADLINES = "0.05,0.1,0.2,0.5"
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many problems, taken evenly from the sets.")]


@app.command()
def run(
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Results, one line of JSON a problem.")],
    planners: Annotated[
        str, typer.Option(help="Planners, separated by commas, with settings: edmp,chomp:time_budget=5.")
    ] = "edmp",
    sets: Sets = None,
    numbers: Numbers = None,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(help="Given to every plan.")] = 0,
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes side by side, of one thread each if several; 1, or all CPUs of a Ray cluster."
        ),
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="On the Ray cluster at RAY_ADDRESS, or one started here.")] = False,
    timeout: Annotated[float, typer.Option(help="A planner that takes longer is killed [s].")] = 120.0,
    fallback: Annotated[bool | None, typer.Option(help="Allow searching where optimisation fails.")] = None,
    time_budget: Annotated[float | None, typer.Option(help="For one plan, of planners that keep one [s].")] = None,
    num_seeds: Annotated[int | None, typer.Option(help="Trajectories denoised at once.")] = None,
    ensemble: Annotated[str | None, typer.Option(help="Ensemble of costs.")] = None,
    prior: Annotated[str | None, typer.Option(help="Prior by name or file, process, or none.")] = None,
    sight: Annotated[
        str,
        typer.Option(
            "--as",
            help="How problems are seen, separated by commas: shapes, clouds, voxels, cameras (three, with noise; what "
            "they do not see is occupied), cameras-free (it is free).",
        ),
    ] = "shapes",
    deadlines: Deadlines = DEFAULT_DEADLINES,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an existing file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Plan every problem with every planner, write one line of JSON each, and print a table.

    A planner is named with its settings: edmp:num_seeds=16:guidance.steps=0. The options from --fallback to --prior are
    short for settings of all planners that have them. Ctrl-C keeps what is written.
    """
    from edmp.bench import RunSettings, find_problems, parse_specs, with_sight

    if resume and force:
        raise InvalidInputError("--resume goes on with the file, --force overwrites it: choose one")
    told = as_deadlines(deadlines)
    settings = RunSettings(robot, seed, workers, timeout, ray=ray, resume=resume, force=force)
    chosen = find_problems(problems, sets=names(sets), numbers=ranges(numbers), limit=limit)
    shorthands = {
        "fallback": fallback,
        "time_budget": time_budget,
        "num_seeds": num_seeds,
        "ensemble": ensemble,
        "prior": prior,
    }
    specs = parse_specs(names(planners) or [], shorthands)
    specs = [with_sight(spec, one) for one in names(sight) or [] for spec in specs]
    with stoppable_run(chosen, specs, out, settings) as records:
        _print_table(records, told)


@contextlib.contextmanager
def stoppable_run(
    problems: Sequence[BenchProblem], specs: Sequence[PlannerSpec], out: Path, settings: RunSettings
) -> Iterator[list[Record]]:
    """Run with a bar of progress, and hand over what is in the file then. After Ctrl-C the command ends with 130."""
    from edmp.bench import read_records
    from edmp.bench.runner import count_todo
    from edmp.bench.runner import run as run_problems
    from edmp.bench.worker import WarmUp

    earlier = read_records(out) if settings.resume and out.is_file() else []
    command = shlex.join(["edmp", *sys.argv[1:]])
    with _bar() as progress, contextlib.redirect_stdout(sys.stderr):
        task = progress.add_task("warming up", total=count_todo(problems, specs, earlier), note="")
        solved = 0

        def on_warm_up(warm: WarmUp) -> None:
            progress.console.print(f"{warm.planner}: first plan, imports and kernels included: {warm.seconds:.1f} s")
            progress.update(task, description=warm.planner)

        def on_record(record: Record) -> None:
            nonlocal solved
            solved += record.solved
            progress.update(task, advance=1, note=f"{solved} solved, {record.set}/{record.index}")

        try:
            records = run_problems(
                problems, specs, out, settings, command=command, on_warm_up=on_warm_up, on_record=on_record
            )
            interrupted = False
        except KeyboardInterrupt:
            records, interrupted = read_records(out), True
    yield records
    if interrupted:
        progress_console().print(f"stopped; the same command with --resume goes on with {out}")
        raise typer.Exit(130)


@app.command()
def judge(
    results: Annotated[Path, typer.Argument(help="Results of edmp bench run.")],
    problems: Problems,
    step: Annotated[float, typer.Option(help="No joint moves more than this between two looks [rad].")] = 5e-3,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")] = None,
) -> None:
    """Look again at every path called solved, with an independent checker. Exit code 1 if anything is wrong."""
    from edmp.bench import find_problems, read_records
    from edmp.bench.rejudge import Opinion, rejudge

    records = read_records(results)
    entries = find_problems(problems)
    claimed = sum(record.solved for record in records)
    with _bar() as progress:
        task = progress.add_task("judging", total=claimed, note="")

        def on_opinion(opinion: Opinion) -> None:
            progress.update(task, advance=1, note=f"{opinion.set}/{opinion.index}")

        opinions = rejudge(records, entries, step=step, workers=workers, on_opinion=on_opinion)
    console = report_console()
    for opinion in opinions:
        if not opinion.clean:
            faults = [f"hulls: {c}" for c in opinion.hulls] + [f"meshes: {c}" for c in opinion.meshes or ()]
            faults += [*opinion.ends, *opinion.constraints]
            console.print(f"{opinion.planner} {opinion.set}/{opinion.index}: {'; '.join(faults)}")
    console.print(f"{len(opinions)} of {claimed} paths called solved were judged, every {step * 1e3:g} mrad:")
    console.print(f"  in collision, robot's own convex pieces:              {sum(bool(o.hulls) for o in opinions)}")
    judged = [o for o in opinions if o.meshes is not None]
    meshes = f"{sum(bool(o.meshes) for o in judged)} of {len(judged)}" if judged else "not judged: meshes not installed"
    console.print(f"  in collision, convex hulls of the original meshes:    {meshes}")
    console.print(f"  start, goal or limits missed:                         {sum(bool(o.ends) for o in opinions)}")
    console.print(
        f"  constraints broken, a look every 1 mrad:              {sum(bool(o.constraints) for o in opinions)}"
    )
    raise typer.Exit(0 if all(o.clean for o in opinions) and len(opinions) == claimed else 1)


@app.command()
def kernels(
    configurations: Annotated[int, typer.Option(min=1, help="How many at a time.")] = 3200,
    boxes: Annotated[int, typer.Option(min=0, help="Obstacles in the scene.")] = 15,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads for both; default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Time value and gradient of the fused costs against their torch definitions, in turn, on the same cores."""
    import json

    from rich import box
    from rich.table import Table

    from edmp.costs.benchmark import benchmark_kernels

    with progress_console().status("timing"), contextlib.redirect_stdout(sys.stderr):
        outcome = benchmark_kernels(configurations=configurations, boxes=boxes, threads=threads)
    if as_json:
        print(json.dumps(outcome))
        return
    console = report_console()
    console.print(
        f"{outcome['configurations']} configurations of {outcome['robot']} ({outcome['spheres']} spheres), "
        f"{outcome['boxes']} boxes, {outcome['threads']} threads; value and gradient, median"
    )
    table = Table(
        "cost", "torch [ms]", "kernel [ms]", "ratio", "first call [ms]", "gradient error", box=box.SIMPLE_HEAD
    )
    for name, row in outcome["costs"].items():
        times = (f"{row['torch_ms']:.1f}", f"{row['warp_ms']:.2f}", f"{row['ratio']:.0f}", f"{row['first_ms']:.0f}")
        table.add_row(name, *times, f"{row['max_error']:.1e}")
    console.print(table)


@app.command("import")
def import_time(repeats: Annotated[int, typer.Option(min=1, help="Fresh interpreters.")] = 3) -> None:
    """Time imports in fresh interpreters: the package alone, and with everything that a plan needs."""
    console = report_console()
    for what, code in (("import edmp", "import edmp"), ("import edmp; edmp.plan", "import edmp; edmp.plan")):
        script = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
        seconds = []
        for _ in range(repeats):
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
            seconds.append(float(done.stdout.split()[-1]))
        console.print(f"{what:<24}{min(seconds):.2f} s (fastest of {repeats})")


def _bar():
    """A progress bar with count, elapsed and remaining time, on stderr."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=progress_console())


def _print_table(records: Sequence[Record], deadlines: Sequence[float]) -> None:
    from edmp.bench.table import report as table

    console = report_console()
    console.print(table(records, deadlines))
