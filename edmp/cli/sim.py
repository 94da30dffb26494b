"""``edmp sim``: a simulated arm in a process of its own, spoken to as a real one is."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import driver_options, numbers, progress_console
from edmp.cli.execute import controlled_stop, read_motion
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.execution.drivers.lcm_server import Served
    from edmp.robots.robot import Robot
    from edmp.scenes.scene import Scene

app = typer.Typer(help="Simulated arms.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """Simulated arms."""


@app.command()
def serve(
    robot: Annotated[str | None, typer.Option(help="Robot name or description file; default: panda.")] = None,
    scene: Annotated[str | None, typer.Option(help="Scene file, or the name of a shipped example.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Where the arm is at first [rad], such as '0 -0.8 0 -2.4 0 1.6 0.8'.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Take robot, scene and start from a plan file (.json) of edmp plan --out.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="panda (lcmt_panda_*) or iiwa (lcmt_iiwa_*).")] = "panda",
    url: Annotated[str, typer.Option(help="Of LCM; default: LCM_DEFAULT_URL, or LCM's own default.")] = "",
    command_channel: Annotated[str, typer.Option(help="Default: PANDA_COMMAND or IIWA_COMMAND.")] = "",
    status_channel: Annotated[str, typer.Option(help="Default: PANDA_STATUS or IIWA_STATUS.")] = "",
    expire: Annotated[float, typer.Option(help="Commands stamped further off the clock are dropped [s].")] = 0.1,
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the simulation, such as payload=0.5; may be repeated.")
    ] = None,
) -> None:
    """Simulate an arm in Drake behind Drake's own arm protocol over LCM, in real time, until Ctrl-C.

    Prints READY once statuses are sent. What drives it: edmp execute plan.json --driver drake-lcm, or any other program
    that drives an arm through drake-franka-driver or drake-iiwa-driver.
    """
    import numpy as np

    from edmp.execution.drivers import make_driver
    from edmp.execution.drivers.lcm_server import ArmServer, ServeSettings

    settings = ServeSettings(protocol, url, command_channel, status_channel, expire)
    options = driver_options(option or [])
    if options.get("real_time"):
        raise InvalidInputError("--option real_time: the pace is kept anyhow")
    if plan is not None:
        if robot is not None or scene is not None or start is not None:
            raise InvalidInputError(
                "--plan gives robot, scene and start already: leave out --robot, --scene and --start"
            )
        file, motion = read_motion(plan)
        arm, around, first = file.problem.robot, file.problem.scene, motion.positions[0]
    else:
        arm, around = _setting(robot, scene)
        first = arm.home if start is None else np.array(numbers(start, arm.dof, "--start"))
    with (
        controlled_stop() as ending,
        make_driver("drake-sim", arm, positions=first, scene=around, options=options) as simulated,
    ):
        server = ArmServer(simulated, settings=settings)
        gc.collect()
        gc.freeze()  # as in edmp execute
        done = server.serve(ending, ready=lambda: print(f"READY {arm.name} {server.where}", flush=True))
    _report(done)


def _setting(robot: str | None, scene: str | None) -> tuple[Robot, Scene]:
    from edmp.problem import load_setting
    from edmp.robots import load_robot
    from edmp.scenes.files import example_names, example_path
    from edmp.scenes.scene import Scene

    if scene is None:
        return load_robot(robot or "panda"), Scene()
    with contextlib.ExitStack() as held:
        path = Path(scene)
        if scene in example_names() and not path.exists():
            path = held.enter_context(example_path(scene))
        elif not path.is_file():
            raise InvalidInputError(f"--scene: no such file: {scene}; shipped examples: {', '.join(example_names())}")
        return load_setting(path, robot=robot)


def _report(done: Served) -> None:
    console = progress_console()
    seconds = done.seconds
    share = seconds / (seconds + done.slipped) if seconds else 1.0
    touched = f"{done.contacts} ticks" if done.contacts else "none"
    console.print(
        f"served {seconds:.1f} s at {share:.0%} of real time; commands {done.commands}, dropped {done.expired}; "
        f"contacts {touched}" + (f"; gave up: {done.gave_up}" if done.gave_up else "")
    )
