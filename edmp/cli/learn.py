"""``edmp generate``, ``edmp train``, ``edmp prior``: from expert data to a prior."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from edmp.cli.arguments import key_values, names, report_console
from edmp.errors import InvalidInputError

prior_app = typer.Typer(help="Trained priors.", no_args_is_help=True, rich_markup_mode=None)


def generate(
    out: Annotated[Path, typer.Option(help="Folder for the shards; an earlier run there goes on.")],
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    count: Annotated[int, typer.Option(min=1, help="Trajectories to make.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the data set.")] = 1,
    families: Annotated[str | None, typer.Option(help="Scene families, separated by commas; default: all.")] = None,
    queries: Annotated[int, typer.Option(min=1, help="Start and goal pairs tried in each scene.")] = 24,
    ways: Annotated[int, typer.Option(min=1, help="Searches for each pair; the shortest way is kept.")] = 1,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=1, help="Stop after this time [s].")] = None,
) -> None:
    """Make expert trajectories in random scenes. Stop with Ctrl-C; the same command goes on."""
    from edmp.data.generate import GenerateSettings
    from edmp.data.generate import generate as run
    from edmp.errors import unknown_name
    from edmp.robots import load_robot
    from edmp.scenes.generators import FAMILIES

    load_robot(robot)
    chosen = names(families) or []
    for family in chosen:
        if family not in FAMILIES:
            raise unknown_name("scene family", family, FAMILIES)
    check_folder(out)
    settings = GenerateSettings(
        robot=robot, count=count, seed=seed, families=tuple(chosen), queries_per_scene=queries, ways=ways
    )
    manifest = run(out, settings, workers=workers, max_seconds=max_seconds)
    report_console().print(f"written: {manifest}")


def train(
    data: Annotated[Path, typer.Option(help="Folder that edmp generate filled, or is still filling.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an earlier run there goes on.")],
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    arch: Annotated[str, typer.Option(help="Architecture: mlp, scene or unet.")] = "mlp",
    base: Annotated[
        str | None, typer.Option(help="With --arch scene: the prior to be corrected, by name or file; default: ROBOT.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after this many steps.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=1, help="Stop after this time [s].")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Trajectories a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the learning rate; default: 1e-3.")] = None,
    config: Annotated[
        list[str] | None, typer.Option(help="A size of the architecture, KEY=JSON, such as widths=[32,64]; repeatable.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: torch's choice.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, batches and noise.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in the folder, if there is one.")] = True,
) -> None:
    """Train a prior. Stop with Ctrl-C; the same command goes on."""
    from edmp.data.train import train as run
    from edmp.learning.training import TrainSettings
    from edmp.prior.checkpoint import architecture
    from edmp.robots import load_robot

    if not data.is_dir():
        raise InvalidInputError(f"--data: no such folder: {data}")
    if max_steps is None and max_seconds is None:
        raise InvalidInputError("give --max-steps or --max-seconds (or both): training needs an end")
    architecture(arch)
    if base is not None and arch != "scene":
        raise InvalidInputError(f"--base is what --arch scene corrects; the {arch} starts from nothing")
    arm = load_robot(robot)
    check_folder(out)
    settings = TrainSettings(
        max_steps=max_steps,
        max_seconds=max_seconds,
        seed=seed,
        device=device,
        num_threads=threads,
        config=key_values(config or (), "--config"),
    )
    if batch_size is not None:
        settings = dataclasses.replace(settings, batch_size=batch_size)
    if learning_rate is not None:
        settings = dataclasses.replace(settings, learning_rate=learning_rate)
    command = shlex.join(["edmp", *sys.argv[1:]])
    if arch == "scene":
        from edmp.data.train_scene import train_scene

        report = train_scene(
            data, out, robot=arm, base=base or arm.name, settings=settings, resume=resume, command=command
        )
    else:
        report = run(data, out, robot=arm, arch=arch, settings=settings, resume=resume, command=command)
    console = report_console()
    for name, value in report.metrics.items():
        console.print(f"  {name}: {value}")
    console.print("stopped; the same command goes on" if report.interrupted else f"written: {report.file}")


def check_folder(path: Path) -> None:
    """The folder exists or can be made, and takes files."""
    import tempfile

    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InvalidInputError(f"--out: cannot write in folder {path}: {error.strerror or error}") from error


@prior_app.command("info")
def prior_info(
    name: Annotated[str | None, typer.Argument(help="Bundled name or weights file; default: list the bundled.")] = None,
) -> None:
    """What is known of a trained prior: data, seed, command, date, metrics."""
    from edmp.prior import checkpoint

    console = report_console()
    if name is None:
        console.print(f"bundled priors: {', '.join(checkpoint.bundled_priors()) or '(none)'}")
        return
    facts = checkpoint.prior_info(name)
    for key, value in facts.items():
        console.print(f"  {key}: {value}", soft_wrap=True)
