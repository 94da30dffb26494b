"""``edmp train-mpinets``: weights for the baseline Motion Policy Networks."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from edmp.cli.arguments import key_values, report_console
from edmp.errors import InvalidInputError


def train_mpinets(
    data: Annotated[Path, typer.Option(help="Folder that edmp generate filled.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an earlier run there goes on.")],
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after this many steps.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=1, help="Stop after this time [s].")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(min=0, help="Peak, of AdamW.")] = 1e-3,
    config: Annotated[
        list[str] | None,
        typer.Option(help="A size of the network, KEY=JSON, such as fc_widths=[1024,512,512]; repeatable."),
    ] = None,
    imitation: Annotated[
        list[str] | None, typer.Option(help="How examples are made, KEY=JSON, such as noise=0.02; repeatable.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: torch's choice.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, examples and noise.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in the folder, if there is one.")] = True,
) -> None:
    """Train a Motion Policy Network, a baseline, by imitation. Stop with Ctrl-C; the same command goes on."""
    from edmp.baselines.mpinets.imitation_set import ImitationSettings
    from edmp.baselines.mpinets.train import train_mpinets as run
    from edmp.cli.learn import check_folder
    from edmp.learning.training import TrainSettings
    from edmp.robots import load_robot

    if not data.is_dir():
        raise InvalidInputError(f"--data: no such folder: {data}")
    if max_steps is None and max_seconds is None:
        raise InvalidInputError("give --max-steps or --max-seconds (or both): training needs an end")
    arm = load_robot(robot)
    check_folder(out)
    try:
        examples = ImitationSettings(**key_values(imitation or (), "--imitation"))
    except TypeError as error:
        raise InvalidInputError(f"--imitation: {error}; see ImitationSettings") from None
    settings = TrainSettings(
        max_steps=max_steps,
        max_seconds=max_seconds,
        batch_size=batch_size,
        learning_rate=learning_rate,
        max_validation=1024,
        seed=seed,
        device=device,
        num_threads=threads,
        config=key_values(config or (), "--config"),
    )
    command = shlex.join(["edmp", *sys.argv[1:]])
    report = run(data, out, robot=arm, settings=settings, imitation=examples, resume=resume, command=command)
    console = report_console()
    for name, value in report.metrics.items():
        console.print(f"  {name}: {value}")
    console.print("stopped; the same command goes on" if report.interrupted else f"written: {report.file}")
