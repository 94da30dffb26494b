"""``edmp bench report``, ``compare``, ``ablate``: what results say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edmp.cli.arguments import names, report_console


def report(
    results: Annotated[list[Path], typer.Argument(help="Results of edmp bench run, one file or more.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for index.html, which stands alone, and report.md with its figures.")
    ] = None,
    planners: Annotated[
        str | None, typer.Option(help="Only these planners, separated by commas, in this order.")
    ] = None,
) -> None:
    """Print the table of results; with --out write a report with figures, statistics and definitions."""
    from edmp.bench.report.sources import load
    from edmp.bench.table import markdown as as_markdown
    from edmp.bench.table import report as as_table

    loaded = load(results, planners=names(planners))
    if out is not None:
        from edmp.bench.report.build import write_report

        for path in write_report(loaded, out):
            if path.suffix in (".html", ".md"):
                report_console().print(str(path))
    elif markdown:
        print(as_markdown(loaded.records))
    else:
        report_console().print(as_table(loaded.records))
