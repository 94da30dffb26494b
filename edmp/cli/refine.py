"""``edmp distill``, ``edmp finetune``, ``edmp improve``: what is made of a trained prior afterwards."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edmp.cli.arguments import key_values, report_console
from edmp.cli.learn import check_folder, check_run, tell_report
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.data.reward import Reward
    from edmp.learning.training import TrainSettings
    from edmp.robots.robot import Robot

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
    method: Annotated[
        str,
        typer.Option(help="consistency: from the teacher's ways; shortcut, an mlp: from data and itself."),
    ] = "consistency",
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

    check_run(data, max_steps, max_seconds)
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
        distillation=DistillSettings(method=method, count=count, levels=levels, looks=looks),
        settings=settings,
        resume=resume,
        command=shlex.join(["edmp", *sys.argv[1:]]),
    )
    tell_report(report)


def finetune(
    prior: Annotated[str, typer.Option(help="The prior whose samples are looked at, by name or file.")],
    data: Data,
    out: Out,
    method: Annotated[
        str,
        typer.Option(
            help="value: a network that ranks samples by what comes of them. A scene prior is tuned by dppo: policy "
            "gradients, dql: critics that learn along; the controls: clearance (the kernel's) and plain (data alone)."
        ),
    ] = "value",
    robot: RobotName = "panda",
    reward: Annotated[
        Path | None, typer.Option(help="YAML: weights of free, length, duration, clearance; docs/learning.md.")
    ] = None,
    value: Annotated[Path | None, typer.Option(help="Of dql: the file of a value network to begin with.")] = None,
    questions: Annotated[int, typer.Option(min=1, help="Starts and goals that samples are drawn for.")] = 200,
    tuning: Annotated[
        list[str] | None, typer.Option(help="Of dppo and its controls, KEY=JSON, such as group=16; repeatable.")
    ] = None,
    proofs: Annotated[int, typer.Option(min=1, help="Of these: scenes in which the figure is taken.")] = 16,
    max_steps: MaxSteps = None,
    max_seconds: MaxSeconds = None,
    batch_size: BatchSize = 256,
    learning_rate: LearningRate = 1e-3,
    config: Annotated[
        list[str] | None, typer.Option(help="A size of the network, KEY=JSON, such as width=32; repeatable.")
    ] = None,
    threads: Threads = None,
    seed: Seed = 0,
    resume: Resume = True,
) -> None:
    """Learn from what comes of a prior's samples. Stop with Ctrl-C; the same command goes on."""
    from edmp.data.collected import METHODS
    from edmp.data.finetune import train_value
    from edmp.data.reward import Reward, load_reward
    from edmp.errors import unknown_name
    from edmp.learning.training import TrainSettings
    from edmp.robots import load_robot

    if method == "expert":
        raise InvalidInputError("--method expert: expert iteration goes in rounds and is a command, edmp improve")
    if method not in ("value", *METHODS):
        raise unknown_name("method", method, ["value", *METHODS])
    for option, given, is_value in (("--config", config, True), ("--tuning", tuning, False), ("--value", value, False)):
        if given and is_value != (method == "value"):
            raise InvalidInputError(f"{option} is not for --method {method}")
    check_run(data, max_steps, max_seconds)
    settings = TrainSettings(
        max_steps=max_steps,
        max_seconds=max_seconds,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=100,
        seed=seed,
        num_threads=threads,
        config=key_values(config or (), "--config"),
    )
    worth = Reward() if reward is None else load_reward(reward)
    check_folder(out)
    arm, command = load_robot(robot), shlex.join(["edmp", *sys.argv[1:]])
    if method != "value":
        changed = {"questions": questions, **key_values(tuning or (), "--tuning")}
        _reward(data, out, arm, prior, method, worth, changed, value, proofs, settings, resume, command)
        return
    report = train_value(
        data,
        out,
        robot=arm,
        prior=prior,
        reward=worth,
        questions=questions,
        settings=settings,
        resume=resume,
        command=command,
    )
    tell_report(report)


def _reward(
    data: Path,
    out: Path,
    arm: Robot,
    prior: str,
    method: str,
    worth: Reward,
    given: dict[str, Any],
    value: Path | None,
    proofs: int,
    settings: TrainSettings,
    resume: bool,
    command: str,
) -> None:
    from edmp.data.collected import RewardedSettings
    from edmp.data.figures import figure_in
    from edmp.data.rewarded import tune_by_reward

    try:
        rewarded = RewardedSettings(method=method, reward=worth, **given)
    except TypeError as error:
        raise InvalidInputError(f"--tuning: {error}; see RewardedSettings") from None
    report = tune_by_reward(
        data,
        out,
        robot=arm,
        prior=prior,
        rewarded=rewarded,
        value=value,
        settings=settings,
        resume=resume,
        command=command,
    )
    tell_report(report)
    if report.file is not None:
        report_console().print(f"  before: {figure_in(data, out, 'before', arm, prior, proofs).told}")
        report_console().print(f"  after: {figure_in(data, out, 'after', arm, report.file, proofs).told}")


def improve(
    prior: Annotated[str, typer.Option(help="The prior to begin with, by name or file: an mlp or a scene prior.")],
    data: Data,
    out: Out,
    robot: RobotName = "panda",
    rounds: Annotated[int, typer.Option(min=1, help="Of planning in new scenes and tuning.")] = 2,
    scenes: Annotated[int, typer.Option(min=1, help="New scenes in each round.")] = 64,
    queries: Annotated[int, typer.Option(min=1, help="Starts and goals in each.")] = 4,
    proofs: Annotated[int, typer.Option(min=1, help="Scenes in which each figure is taken.")] = 16,
    anchor_shards: Annotated[int, typer.Option(min=1, help="Shards of the data that anchor the prior.")] = 24,
    control: Annotated[bool, typer.Option(help="Train as many steps on the data alone, too.")] = True,
    reward: Annotated[
        Path | None, typer.Option(help="YAML: weights of free, length, duration, clearance; docs/learning.md.")
    ] = None,
    max_steps: Annotated[int, typer.Option(min=1, help="Steps of tuning in each round.")] = 1000,
    batch_size: BatchSize = 256,
    learning_rate: LearningRate = 2e-4,
    threads: Threads = None,
    seed: Seed = 0,
) -> None:
    """Plan in new scenes, tune the prior on what was certified, in rounds. Ctrl-C stops; the same command goes on."""
    from edmp.data.improve import Figure, ImproveSettings
    from edmp.data.improve import improve as run
    from edmp.data.reward import Reward, load_reward
    from edmp.learning.training import TrainSettings
    from edmp.robots import load_robot

    check_run(data, max_steps, None)
    console = report_console()
    improvement = ImproveSettings(
        rounds=rounds,
        scenes=scenes,
        queries=queries,
        proofs=proofs,
        anchor_shards=anchor_shards,
        control=control,
        reward=Reward() if reward is None else load_reward(reward),
    )
    settings = TrainSettings(
        max_steps=max_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=50,
        seed=seed,
        num_threads=threads,
    )
    check_folder(out)

    def tell(figure: Figure) -> None:
        console.print(f"  {figure.name}: {figure.told}")

    run(
        data,
        out,
        robot=load_robot(robot),
        prior=prior,
        improvement=improvement,
        settings=settings,
        command=shlex.join(["edmp", *sys.argv[1:]]),
        on_figure=tell,
    )
    console.print(f"written: {out}")
