"""The root command, and what every command shares: misuse becomes one line on stderr."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Annotated, TextIO

import typer

import edmp
from edmp.cli.bench import app as bench_app
from edmp.cli.bench_carry import carry
from edmp.cli.bench_dynamics import dynamics as bench_dynamics
from edmp.cli.bench_execute import execute as bench_execute
from edmp.cli.bench_make import make
from edmp.cli.bench_pick import pick as bench_pick
from edmp.cli.bench_replan import replan as bench_replan
from edmp.cli.bench_report import ablate, baseline, compare, report
from edmp.cli.demo import app as demo_app
from edmp.cli.dynamics import app as dynamics_app
from edmp.cli.execute import execute
from edmp.cli.identify import identify
from edmp.cli.learn import generate, prior_app, train
from edmp.cli.logs import app as logs_app
from edmp.cli.pick import pick
from edmp.cli.plan import plan
from edmp.cli.refine import distill, finetune, improve
from edmp.cli.replay import replay
from edmp.cli.robot import app as robot_app
from edmp.cli.sense import app as sense_app
from edmp.cli.sim import app as sim_app
from edmp.cli.view import view
from edmp.errors import EdmpError, EdmpWarning

MISUSE, INTERRUPTED = 2, 130

app = typer.Typer(
    name="edmp",
    help="Plan certified collision-free motions for robot arms.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(plan)
app.command()(pick)
app.command()(view)
bench_app.command()(make)
bench_app.command("execute")(bench_execute)
bench_app.command("replan")(bench_replan)
bench_app.command("pick")(bench_pick)
bench_app.command("carry")(carry)
bench_app.command("dynamics")(bench_dynamics)
for command in (report, compare, baseline, ablate):
    bench_app.command()(command)
app.add_typer(bench_app, name="bench")
app.add_typer(robot_app, name="robot")
app.add_typer(sim_app, name="sim")
app.add_typer(sense_app, name="sense")
app.add_typer(logs_app, name="logs")
app.add_typer(demo_app, name="demo")
app.command()(execute)
app.command()(replay)
app.command()(identify)
app.command()(generate)
app.command()(train)
app.command()(distill)
app.command()(finetune)
app.command()(improve)
app.add_typer(prior_app, name="prior")
app.add_typer(dynamics_app, name="dynamics")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edmp {edmp.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens inside.")] = False,
) -> None:
    """Plan certified collision-free motions for robot arms."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    if verbose:
        logging.getLogger("edmp").setLevel(logging.INFO)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the ``edmp`` command; always ends in `SystemExit`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", EdmpWarning)
            warnings.showwarning = _show_warning
            app(args=arguments, prog_name="edmp")
    except EdmpError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(MISUSE)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning of ours is one line for the user; others name the code that they come from, as Python shows them."""
    if issubclass(category, EdmpWarning):
        print(f"warning: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, filename, lineno, line), end="", file=file or sys.stderr)
