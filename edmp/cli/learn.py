"""``edmp generate``, ``edmp train``, ``edmp prior``: from expert data to trained networks."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edmp.cli.arguments import key_values, names, report_console
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.learning.training import TrainReport, TrainSettings
    from edmp.robots import Robot

prior_app = typer.Typer(help="Trained priors.", no_args_is_help=True, rich_markup_mode=None)


def generate(
    out: Annotated[Path, typer.Option(help="Folder for the shards; an earlier run there goes on.")],
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    count: Annotated[int, typer.Option(min=1, help="Trajectories to make.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the data set.")] = 1,
    families: Annotated[str | None, typer.Option(help="Scene families, separated by commas; default: all.")] = None,
    queries: Annotated[int, typer.Option(min=1, help="Start and goal pairs tried in each scene.")] = 24,
    ways: Annotated[int, typer.Option(min=1, help="Searches for each pair; the shortest way is kept.")] = 1,
    goals: Annotated[
        str, typer.Option(help="any, or nearest: goals are the free configurations of their pose nearest to the start.")
    ] = "any",
    correct: Annotated[
        Path | None,
        typer.Option(help="A compact mpinets policy: plan from where it gets to in the scenes that are there already."),
    ] = None,
    correct_round: Annotated[int, typer.Option("--round", min=1, help="With --correct: another for each policy.")] = 1,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=1, help="Stop after this time [s].")] = None,
) -> None:
    """Make expert trajectories in random scenes. Stop with Ctrl-C; the same command goes on."""
    from edmp.data.generate import GenerateSettings
    from edmp.data.generate import generate as run
    from edmp.errors import unknown_name
    from edmp.robots import load_robot
    from edmp.scenes.generators import FAMILIES

    arm = load_robot(robot)
    if correct is not None:
        from edmp.baselines.mpinets.corrections import correct as run_corrections

        added = run_corrections(out, correct, robot=arm, round_=correct_round, max_seconds=max_seconds)
        report_console().print(f"{added} corrections added to {out}")
        return
    chosen = names(families) or []
    for family in chosen:
        if family not in FAMILIES:
            raise unknown_name("scene family", family, FAMILIES)
    check_folder(out)
    settings = GenerateSettings(
        robot=robot,
        count=count,
        seed=seed,
        families=tuple(chosen),
        queries_per_scene=queries,
        ways=ways,
        goals=goals,
    )
    manifest = run(out, settings, workers=workers, max_seconds=max_seconds)
    report_console().print(f"written: {manifest}")


def train(
    data: Annotated[Path, typer.Option(help="Folder that edmp generate filled, or is still filling.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an earlier run there goes on.")],
    kind: Annotated[str, typer.Option(help="What is trained: prior, or mpinets, a baseline.")] = "prior",
    robot: Annotated[str, typer.Option(help="Robot name or description file.")] = "panda",
    arch: Annotated[
        str | None,
        typer.Option(help="Of a prior: mlp, scene or unet; of mpinets: published or compact.  [default: the first]"),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="With --arch scene: the prior to be corrected, by name or file; default: ROBOT.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Trained weights to begin with, by name or file, of the same architecture.  [default: none]"),
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after this many steps.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=1, help="Stop after this time [s].")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Examples a step; default: 512, of mpinets 32.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the learning rate; default: 1e-3.")] = None,
    config: Annotated[
        list[str] | None, typer.Option(help="A size of the network, KEY=JSON, such as widths=[32,64]; repeatable.")
    ] = None,
    imitation: Annotated[
        list[str] | None, typer.Option(help="Of mpinets: how examples are made, KEY=JSON, such as noise=0.02.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: torch's choice.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, examples and noise.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    compact: Annotated[bool, typer.Option(help="Leave a checkpoint of a quarter of the size at the end.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in the folder, if there is one.")] = True,
) -> None:
    """Train a network. Stop with Ctrl-C; the same command goes on."""
    from edmp.errors import unknown_name
    from edmp.learning.training import TrainSettings
    from edmp.robots import load_robot

    if kind not in _TRAINED:
        raise unknown_name("kind", kind, _TRAINED)
    check_run(data, max_steps, max_seconds)
    own = {"--base": (base, "prior"), "--imitation": (imitation, "mpinets")}
    for option, (value, of) in own.items():
        if value and kind != of:
            raise InvalidInputError(f"{option} is for --kind {of}, not for {kind}")
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
    settings = dataclasses.replace(settings, **{**_TRAINED[kind], **changed})
    arm = load_robot(robot)
    command = shlex.join(["edmp", *sys.argv[1:]])
    if kind == "mpinets":
        report = _train_mpinets(
            data, out, arm, arch or "published", weights, settings, imitation or (), resume, command
        )
    else:
        report = _train_prior(data, out, arm, arch or "mlp", base, weights, settings, resume, command)
    tell_report(report)


_TRAINED: Mapping[str, dict[str, Any]] = {"prior": {}, "mpinets": {"batch_size": 32, "max_validation": 1024}}
"""What can be trained, and the settings that differ from `TrainSettings`."""


def _train_prior(
    data: Path,
    out: Path,
    arm: Robot,
    arch: str,
    base: str | None,
    weights: str | None,
    settings: TrainSettings,
    resume: bool,
    command: str,
) -> TrainReport:
    from edmp.data.train import train as run
    from edmp.data.train_scene import train_scene
    from edmp.prior.checkpoint import architecture, bundled_priors

    architecture(arch)
    if base is not None and weights is not None:
        raise InvalidInputError("--base is what is corrected, --weights have their own: give one of them")
    if arch == "scene" and base is weights is None and arm.name not in bundled_priors():
        raise InvalidInputError(
            f"--base: no prior comes with edmp for {arm.name!r}; train one of start and goal first (--arch mlp) "
            "and give its file"
        )
    if base is not None and arch != "scene":
        raise InvalidInputError(f"--base is what --arch scene corrects; the {arch} starts from nothing")
    check_folder(out)
    if arch == "scene":
        return train_scene(
            data,
            out,
            robot=arm,
            base=base or arm.name,
            weights=weights,
            settings=settings,
            resume=resume,
            command=command,
        )
    return run(data, out, robot=arm, arch=arch, weights=weights, settings=settings, resume=resume, command=command)


def _train_mpinets(
    data: Path,
    out: Path,
    arm: Robot,
    arch: str,
    weights: str | None,
    settings: TrainSettings,
    imitation: Sequence[str],
    resume: bool,
    command: str,
) -> TrainReport:
    from edmp.baselines.mpinets.imitation_set import ImitationSettings
    from edmp.baselines.mpinets.train import train_mpinets

    try:
        examples = ImitationSettings(**key_values(imitation, "--imitation"))
    except TypeError as error:
        raise InvalidInputError(f"--imitation: {error}; see ImitationSettings") from None
    check_folder(out)
    return train_mpinets(
        data,
        out,
        robot=arm,
        arch=arch,
        weights=weights,
        settings=settings,
        imitation=examples,
        resume=resume,
        command=command,
    )


def check_run(data: Path, max_steps: int | None, max_seconds: float | None) -> None:
    """There are data to train on, and the training has an end."""
    if not data.is_dir():
        raise InvalidInputError(f"--data: no such folder: {data}")
    if max_steps is None and max_seconds is None:
        raise InvalidInputError("give --max-steps or --max-seconds (or both): training needs an end")


def tell_report(report: TrainReport) -> None:
    """How a training ended."""
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
