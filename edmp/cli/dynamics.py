"""``edmp dynamics``: arms that nobody has described, made up and learned."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edmp.cli.arguments import key_values, names, report_console
from edmp.cli.learn import check_folder, check_run, tell_report
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.learning.training import TrainReport

app = typer.Typer(help="How arms answer to their motors.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def generate(
    out: Annotated[Path, typer.Option(help="Folder for the shards; an earlier run there goes on.")],
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    count: Annotated[int, typer.Option(min=1, help="Windows to make.")] = 10_000,
    excitation: Annotated[str, typer.Option(help="chirp, multisine, both with a comma between, or motions.")] = "chirp",
    band: Annotated[str, typer.Option(help="D1 to D4 or held-out, several with commas between.")] = "D2",
    distribution: Annotated[str, typer.Option(help="Of the arms: in, out: beyond all of those, or wide.")] = "in",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the data set.")] = 1,
    pool: Annotated[int, typer.Option(min=1, help="Planned motions that the windows of motions are made of.")] = 200,
    simulator: Annotated[str, typer.Option(help="kernels (edmp's own), or drake, for test sets.")] = "kernels",
    shard: Annotated[int, typer.Option(min=1, help="Windows in a file.")] = 250,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=1, help="Stop after this time [s].")] = None,
) -> None:
    """Make windows of random arms in motion. Stop with Ctrl-C; the same command goes on."""
    from edmp.dynamics.draws import MOTIONS
    from edmp.dynamics.generate import WindowSettings, generate_windows, share_kept
    from edmp.errors import unknown_name
    from edmp.files.json_nodes import read_json

    if simulator not in _SIMULATORS:
        raise unknown_name("simulator", simulator, _SIMULATORS)
    settings = WindowSettings(
        robot=robot,
        count=count,
        excitations=tuple(names(excitation) or ()),
        bands=tuple(names(band) or ()),
        distribution=distribution,
        seed=seed,
        windows_per_shard=shard,
        pool=pool,
    )
    if simulator == "drake" and MOTIONS in settings.excitations:
        raise InvalidInputError("--simulator drake: only chirp and multisine; edmp bench execute runs motions in Drake")
    check_folder(out)
    module, function = _SIMULATORS[simulator]
    moved_by = getattr(importlib.import_module(module), function)
    manifest = generate_windows(
        out, settings, workers=workers, max_seconds=max_seconds, simulator=moved_by, simulator_name=simulator
    )
    kept = share_kept(read_json(manifest, "manifest").keys_plain())
    report_console().print(
        f"written: {manifest}; {kept:.1%} of the arms stayed within their limits, others do not count"
    )


_SIMULATORS = {
    "kernels": ("edmp.dynamics.draws", "simulated"),
    "drake": ("edmp.execution.drivers.drake_windows", "simulated_by_drake"),
}
"""What can move the arms: module and function."""


@app.command()
def train(
    model: Annotated[
        str,
        typer.Option(
            help="robomorph, diffuser, cdcnn or cdt, to forecast; recogniser, for edmp identify; world, to execute on."
        ),
    ],
    data: Annotated[Path, typer.Option(help="Folder that edmp dynamics generate filled, or is still filling.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an earlier run there goes on.")],
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after this many steps.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=1, help="Stop after this time [s].")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Windows a step; default: 32; of the recogniser 256, of a world 128.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the learning rate; default: 1e-3.")] = None,
    config: Annotated[
        list[str] | None, typer.Option(help="A size of the network, KEY=JSON, such as widths=[32,64]; repeatable.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: torch's choice.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, windows and noise.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    compact: Annotated[bool, typer.Option(help="Leave a checkpoint of a quarter of the size at the end.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in the folder, if there is one.")] = True,
) -> None:
    """Train a network that forecasts, recognises or acts as arms. Stop with Ctrl-C; the same command goes on."""
    from edmp.dynamics.learned import recogniser_training, world_train
    from edmp.dynamics.learned import train as forecasting
    from edmp.dynamics.learned.networks import NETWORKS
    from edmp.dynamics.learned.recogniser import ARCHITECTURE
    from edmp.errors import unknown_name
    from edmp.learning.training import TrainSettings
    from edmp.robots import load_robot

    trainers: dict[str, tuple[Callable[..., TrainReport], dict[str, Any]]]
    trainers = {name: (functools.partial(forecasting.train, model=name), forecasting.SETTINGS) for name in NETWORKS}
    trainers[ARCHITECTURE] = (recogniser_training.train_recogniser, recogniser_training.SETTINGS)
    trainers["world"] = (world_train.train_world, world_train.SETTINGS)
    if model not in trainers:
        raise unknown_name("model of an arm's dynamics", model, trainers)
    trained_by, usual = trainers[model]
    check_run(data, max_steps, max_seconds)
    settings = TrainSettings(
        max_steps=max_steps,
        max_seconds=max_seconds,
        seed=seed,
        device=device,
        num_threads=threads,
        compact=compact,
        config=key_values(config or (), "--config"),
    )
    given = {"batch_size": batch_size, "learning_rate": learning_rate}
    changed = {key: value for key, value in given.items() if value is not None}
    settings = dataclasses.replace(settings, **{**usual, **changed})
    arm = load_robot(robot)
    check_folder(out)
    command = shlex.join(["edmp", *sys.argv[1:]])
    report = trained_by(data, out, robot=arm, settings=settings, resume=resume, command=command)
    tell_report(report)
