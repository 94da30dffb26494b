"""``edmp bench dynamics``: forecasts of arms that were not met in training, held against what the arms did."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from edmp.cli.arguments import names, progress_console, report_console
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable


def dynamics(
    tests: Annotated[str, typer.Option(help="Folders of edmp dynamics generate, with commas between.")],
    out: Annotated[Path, typer.Option(help="A line of JSON for each forecaster and test set.")],
    models: Annotated[
        str, typer.Option(help="Files of edmp dynamics train, with commas between; default: baselines alone.")
    ] = "",
    windows: Annotated[int, typer.Option(min=1, help="Windows of each test set.")] = 24,
    samples: Annotated[int, typer.Option(min=2, help="Samples of each window; bands of 90 % need 19.")] = 19,
    picture: Annotated[Path | None, typer.Option(help="A picture of bands against truth, .png.")] = None,
    shown: Annotated[str | None, typer.Option(help="Test set of the picture; default: the last.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Forecast held-out windows by all models and baselines; print the tables in Markdown."""
    check_writable(out, "--out")
    if out.exists() and not force:
        raise InvalidInputError(f"--out: {out} exists; --force overwrites it")
    if picture is not None:
        check_writable(picture, "--picture")
    from edmp.bench.dynamics.forecasters import classical, learned
    from edmp.bench.dynamics.report import draw_bands, summary, table
    from edmp.bench.dynamics.study import ForecastRecord, run_study
    from edmp.bench.dynamics.test_sets import read_test_sets
    from edmp.dynamics import ArmDynamics
    from edmp.dynamics.learned import load
    from edmp.robots import load_robot

    sets = read_test_sets([Path(folder) for folder in names(tests) or []], count=windows)
    if shown is not None and shown not in {test.name for test in sets}:
        raise InvalidInputError(f"--shown: no test set {shown!r}; there are {', '.join(test.name for test in sets)}")
    loaded = [load(path) for path in names(models) or []]
    nominal = ArmDynamics.of(load_robot(sets[0].robot))
    networks = learned({model.card.architecture: model for model in loaded}, samples=samples)
    forecasters = [*classical(nominal, samples=samples), *networks]
    with progress_console().status("forecasting") as status:

        def on_record(record: ForecastRecord) -> None:
            status.update(f"{record.set}: {record.forecaster}")

        command = shlex.join(["edmp", *sys.argv[1:]])
        records = run_study(sets, forecasters, out, command=command, on_record=on_record)
        if picture is not None:
            chosen = next((test for test in sets if test.name == shown), sets[-1])
            plain = [each for each in forecasters if each.plain != "ablation" and each.name != "hold"]
            draw_bands(chosen, [each for each in plain if "warm" not in each.name], picture)
    console = report_console()
    console.print(summary(records), soft_wrap=True, markup=False)
    console.print()
    console.print(table(records), soft_wrap=True, markup=False)
