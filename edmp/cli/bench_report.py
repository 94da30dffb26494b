"""``edmp bench report``, ``compare``, ``baseline``, ``ablate``: what results say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import deadlines as as_deadlines
from edmp.cli.arguments import names, ranges, report_console
from edmp.cli.bench import DEFAULT_DEADLINES, Deadlines, Limit, Numbers, Problems, Sets, stoppable_run
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.bench import Record
    from edmp.bench.ablation import Variant


def report(
    results: Annotated[list[Path], typer.Argument(help="Results of edmp bench run, one file or more.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for index.html, which stands alone, and report.md with its figures.")
    ] = None,
    planners: Annotated[
        str | None, typer.Option(help="Only these planners, separated by commas, in this order.")
    ] = None,
    deadlines: Deadlines = DEFAULT_DEADLINES,
) -> None:
    """Print the table of results; with --out write a report with figures, statistics and definitions."""
    from edmp.bench.report.sources import load
    from edmp.bench.table import constrained_markdown, within_markdown
    from edmp.bench.table import markdown as as_markdown
    from edmp.bench.table import report as as_table

    told = as_deadlines(deadlines)
    loaded = load(results, planners=names(planners))
    if out is not None:
        from edmp.bench.report.build import write_report

        for path in write_report(loaded, out, told):
            if path.suffix in (".html", ".md"):
                report_console().print(str(path))
    elif markdown:
        print(as_markdown(loaded.records))
        print()
        print(within_markdown(loaded.records, told))
        if any(record.num_constraints for record in loaded.records):
            print()
            print(constrained_markdown(loaded.records))
    else:
        report_console().print(as_table(loaded.records, told))


def compare(
    old: Annotated[Path, typer.Argument(help="Results from before, or a baseline.")],
    new: Annotated[Path, typer.Argument(help="Results of the same problems now.")],
    planner: Annotated[str | None, typer.Option(help="Only this planner; default: all of the old results.")] = None,
    success_tolerance: Annotated[
        float, typer.Option(help="Part of the problems that success may drop by, in all; 0: none may newly fail.")
    ] = 0.0,
    length_tolerance: Annotated[float, typer.Option(help="Part that paths may grow by (geometric mean).")] = 0.02,
    length_noise: Annotated[float, typer.Option(help="Parts that count as rounding.")] = 0.005,
    alpha: Annotated[float, typer.Option(help="Level of the tests; 0 leaves only the tolerances.")] = 0.05,
    common: Annotated[bool, typer.Option("--common", help="Leave out problems that one file lacks.")] = False,
) -> None:
    """Gate a change: are problems newly failed, or paths longer? Exit code 1 on a regression; time never counts."""
    from edmp.bench import read_records
    from edmp.bench.compare import CompareSettings, describe, rules
    from edmp.bench.compare import compare as compare_records

    settings = CompareSettings(success_tolerance, length_tolerance, length_noise, alpha, common)
    comparisons = compare_records(read_records(old), read_records(new), settings, planner=planner)
    print(rules(settings))
    for comparison in comparisons:
        print("\n".join(describe(comparison, settings)))
    raise typer.Exit(1 if any(comparison.regressions for comparison in comparisons) else 0)


def baseline(
    results: Annotated[Path, typer.Argument(help="Results of edmp bench run.")],
    out: Annotated[Path, typer.Option(help="Small file to commit, for edmp bench compare.")],
) -> None:
    """Keep of some results what edmp bench compare needs: who solved what, and how long the paths are."""
    from edmp.bench import read_records
    from edmp.bench.compare import write_baseline
    from edmp.files.writing import check_writable

    records = read_records(results)
    write_baseline(records, check_writable(out, "--out"))
    report_console().print(f"{len(records)} results in {out}")


def ablate(
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Results, one line of JSON a problem and variant.")],
    questions: Annotated[
        str | None, typer.Option(help="Only these questions, separated by commas: prior, guidance, cost, ensemble, ...")
    ] = None,
    sets: Sets = None,
    numbers: Numbers = None,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(help="Given to every plan.")] = 0,
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes side by side, of one thread each.")] = None,
    ray: Annotated[bool, typer.Option("--ray", help="On a Ray cluster, as edmp bench run.")] = False,
    timeout: Annotated[float, typer.Option(help="A planner that takes longer is killed [s].")] = 120.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an existing file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
) -> None:
    """Run variants of edmp, each with one part off or changed, and print what changes against the default."""
    from edmp.bench import RunSettings, find_problems, parse_specs
    from edmp.bench.ablation import DEFAULT, variants_of

    if resume and force:
        raise InvalidInputError("--resume goes on with the file, --force overwrites it: choose one")
    variants = variants_of(names(questions))
    settings = RunSettings(robot, seed, workers, timeout, ray=ray, resume=resume, force=force)
    chosen = find_problems(problems, sets=names(sets), numbers=ranges(numbers), limit=limit)
    specs = parse_specs([DEFAULT, *(variant.spec for variant in variants)], {})
    with stoppable_run(chosen, specs, out, settings) as records:
        _print_effects(records, variants, markdown=markdown)


def _print_effects(records: list[Record], variants: Sequence[Variant], *, markdown: bool) -> None:
    from rich import box
    from rich.table import Table

    from edmp.bench.ablation import HEADINGS, NOTE, cells

    rows = cells(records, variants)
    if markdown:
        print("\n".join("| " + " | ".join(row) + " |" for row in (HEADINGS, ["---"] * len(HEADINGS), *rows)))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if i < 2 else "right", overflow="fold")
    question = ""
    for row in rows:
        table.add_row(row[0] if row[0] != question else "", *row[1:])
        question = row[0]
    report_console().print(table, NOTE)
