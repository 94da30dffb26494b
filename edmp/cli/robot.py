"""``edmp robot``: fit a description to an arm's meshes; look at one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from edmp.cli.arguments import progress_console, report_console
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable

app = typer.Typer(help="Robot descriptions.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def fit(
    source: Annotated[
        str, typer.Argument(help="URDF of a serial arm; or a built-in robot or description, to fit it again.")
    ],
    out: Annotated[Path, typer.Option(help="Write the description (YAML) here.")],
    tool: Annotated[str | None, typer.Option(help="Link whose frame pose goals speak of.")] = None,
    frozen: Annotated[
        list[str] | None,
        typer.Option(help="JOINT=POSITION of a joint of the URDF that is to stand still; may be repeated."),
    ] = None,
    package: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER of meshes named package://NAME/...; may be repeated.")
    ] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Fit anew what has been fitted before.")] = False,
) -> None:
    """Fit spheres, boxes and convex pieces to the collision meshes of an arm and write a robot description."""
    check_writable(out, "--out", suffixes=(".yaml", ".yml"))
    from edmp.robots import load_robot
    from edmp.robots.fit import fit_description

    packages = dict(_package(text) for text in package or ())
    held = dict(_frozen(text) for text in frozen) if frozen else None
    with _fitting() as progress:
        fit_description(
            source, output=out, tool=tool, frozen=held, packages=packages, progress=progress, cache=not refit
        )
    robot = load_robot(out)
    report_console().print(f"{robot.name}: {robot.dof} joints, {len(robot.spheres)} spheres; written: {out}")


@contextmanager
def _fitting() -> Iterator[Callable[[str, float], None]]:
    """What shows progress: a bar on a terminal, else a line for each step."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = progress_console()
    if not console.is_terminal:
        yield lambda what, done: console.print(f"{done:4.0%} {what}")
        return
    columns = BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=1.0)
        yield lambda what, done: bar.update(task, description=what, completed=done)


def _frozen(text: str) -> tuple[str, float]:
    name, _, position = text.partition("=")
    try:
        return name, float(position)
    except ValueError:
        raise InvalidInputError(f"--frozen: expected JOINT=POSITION [rad or m], got {text!r}") from None


def _package(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not Path(folder).is_dir():
        raise InvalidInputError(f"--package: expected NAME=FOLDER with a folder that exists, got {text!r}")
    return name, Path(folder)


@app.command("list")
def list_robots() -> None:
    """The built-in robots."""
    from rich.table import Table

    from edmp.robots import built_in_robots, load_robot

    table = Table("robot", "joints", "gripper [m]", "tool frame", "other tool frames", box=None)
    for name in built_in_robots():
        robot = load_robot(name)
        width = f"{robot.gripper.max_width:g}" if robot.gripper else "-"
        others = ", ".join(tool.name for tool in robot.tools if tool.name != robot.tool.name)
        table.add_row(name, str(robot.dof), width, robot.tool.name, others or "-")
    report_console().print(table)


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="Robot name or description file.")] = "panda",
) -> None:
    """Joints, limits and collision geometry of a robot."""
    from rich.table import Table

    from edmp.robots import built_in_robots, load_robot

    robot = load_robot(name)
    console = report_console()
    gripper = f", gripper {robot.gripper.width:g} of {robot.gripper.max_width:g} m" if robot.gripper else ""
    console.print(
        f"{robot.name}: {robot.dof} joints, {len(robot.links)} links, {len(robot.spheres)} spheres, "
        f"{sum(len(link.hulls_B) for link in robot.links)} convex pieces, "
        f"{len(robot.collision_pairs)} link pairs, tool frame {robot.tool.name}{gripper}"
    )
    joints = Table("joint", "kind", "lower", "upper", "velocity", "acceleration", "jerk", "home", box=None)
    limits = robot.limits
    for i, joint in enumerate(robot.joints):
        values = (limits.lower, limits.upper, limits.velocity, limits.acceleration, limits.jerk, robot.home)
        joints.add_row(joint.name, joint.kind, *(f"{value[i]:.4g}" for value in values))
    console.print(joints)
    links = Table("link", "body", "spheres", "pieces", "box [m]", box=None)
    for link in robot.links:
        box = " x ".join(f"{extent:.3f}" for extent in link.box.size) if link.box else "-"
        links.add_row(link.name, str(link.body), str(len(link.spheres_B)), str(len(link.hulls_B)), box)
    console.print(links)
    console.print(f"built in: {', '.join(built_in_robots())}")
