"""``edmp distill``: what is made of a trained prior afterwards."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import report_console
from edmp.cli.learn import check_folder
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.learning.training import TrainReport

Data = Annotated[Path, typer.Option(help="Folder that edmp generate filled, or is still filling.")]
Out = Annotated[Path, typer.Option(help="Folder of the run; an earlier run there goes on.")]
RobotName = Annotated[str, typer.Option(help="Robot name or description file.")]
MaxSteps = Annotated[int | None, typer.Option(min=1, help="Stop after this many steps.")]
MaxSeconds = Annotated[float | None, typer.Option(min=1, help="Stop after this time [s].")]
BatchSize = Annotated[int, typer.Option(min=1, help="Examples a step.")]
LearningRate = Annotated[float, typer.Option(help="Peak of the learning rate.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; default: torch's choice.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all random numbers.")]
Resume = Annotated[bool, typer.Option(help="Go on from the checkpoint in the folder, if there is one.")]


def distill(
    prior: Annotated[str, typer.Option(help="The teacher, by name or file: an mlp or a scene prior.")],
    data: Data,
    out: Out,
    robot: RobotName = "panda",
    base: Annotated[
        str | None, typer.Option(help="Of a scene prior: the one-call prior of start and goal that it corrects.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Motions between whose ends the teacher is asked.")] = 20_000,
    levels: Annotated[int, typer.Option(min=2, help="Calls that the teacher gets for each.")] = 8,
    looks: Annotated[int | None, typer.Option(min=0, help="Looks of a scene teacher in each call.")] = None,
    max_steps: MaxSteps = None,
    max_seconds: MaxSeconds = None,
    batch_size: BatchSize = 256,
    learning_rate: LearningRate = 3e-4,
    threads: Threads = None,
    seed: Seed = 0,
    resume: Resume = True,
) -> None:
    """Tune a prior until one call gives what took several. Stop with Ctrl-C; the same command goes on."""
    from edmp.data.distill import DistillSettings
    from edmp.data.distill import distill as run
    from edmp.learning.training import TrainSettings
    from edmp.robots import load_robot

    _check(data, max_steps, max_seconds)
    settings = TrainSettings(
        max_steps=max_steps,
        max_seconds=max_seconds,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=100,
        seed=seed,
        num_threads=threads,
    )
    check_folder(out)
    report = run(
        data,
        out,
        robot=load_robot(robot),
        prior=prior,
        base=base,
        distillation=DistillSettings(count=count, levels=levels, looks=looks),
        settings=settings,
        resume=resume,
        command=shlex.join(["edmp", *sys.argv[1:]]),
    )
    _tell(report)


def _check(data: Path, max_steps: int | None, max_seconds: float | None) -> None:
    if not data.is_dir():
        raise InvalidInputError(f"--data: no such folder: {data}")
    if max_steps is None and max_seconds is None:
        raise InvalidInputError("give --max-steps or --max-seconds (or both): training needs an end")


def _tell(report: TrainReport) -> None:
    console = report_console()
    for name, value in report.metrics.items():
        console.print(f"  {name}: {value}")
    console.print("stopped; the same command goes on" if report.interrupted else f"written: {report.file}")
