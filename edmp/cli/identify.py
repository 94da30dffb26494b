"""``edmp identify``: a model of an arm from a recording of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from edmp.cli.arguments import progress_console, report_console
from edmp.files.writing import check_writable

if TYPE_CHECKING:
    from edmp.dynamics.model import ArmModel


def identify(
    recording: Annotated[
        Path,
        typer.Argument(help="Recording (.mcap) of edmp execute --record, or another log of torques and positions."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write the model (.safetensors) here, for edmp execute --adapt.")
    ] = None,
    robot: Annotated[
        str | None, typer.Option(help="Robot name or description file, if the recording does not hold it.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="least-squares; learned, by a network; or both, each as far as it is sure.")
    ] = "least-squares",
    network: Annotated[
        Path | None,
        typer.Option(help="Network of edmp dynamics train --model recogniser; default: the one that ships."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON on stdout.")] = False,
) -> None:
    """Recognise an arm from its own motion: how heavy it is, what it carries, its friction, how late it moves."""
    if out is not None:
        check_writable(out, "--out", suffixes=(".safetensors",))
    from edmp.dynamics import identify as find

    with progress_console().status(f"reading {recording}"):
        model = find(recording, robot=robot, method=method, network=network)
    if out is not None:
        model.save(out)
    if as_json:
        print(json.dumps(found(model), allow_nan=False))
    else:
        _print(model)
    if out is not None:
        typer.echo(f"written {out}", err=True)


def found(model: ArmModel) -> dict[str, Any]:
    """What was found, as plain data."""
    names = model.robot.joint_names
    return {
        "robot": model.robot.name,
        "method": model.method,
        "source": model.source,
        "mass_factor": {"value": model.mass_factor[0], "deviation": model.mass_factor[1]},
        "payload_kg": {"value": model.payload[0], "deviation": model.payload[1]},
        "delay_s": {"value": model.delay, "deviation": model.delay_deviation},
        "controller": model.controller.control,
        "viscous": dict(zip(names, model.arm.viscous.tolist(), strict=True)),
        "coulomb": dict(zip(names, model.arm.coulomb.tolist(), strict=True)),
        "armature": dict(zip(names, model.arm.armature.tolist(), strict=True)),
        "residual": dict(zip(names, model.residual.tolist(), strict=True)),
        "unidentified": [*model.unidentified],
    }


def _print(model: ArmModel) -> None:
    console = report_console()
    dof = model.robot.dof
    friction = np.sqrt(np.diag(model.covariance)[11 * dof :]).reshape(2, dof)
    rows = [
        ("mass", f"{model.mass_factor[0]:.3f} +- {model.mass_factor[1]:.3f} of what is described"),
        ("payload", f"{model.payload[0]:+.3f} +- {model.payload[1]:.3f} kg at the tool, not described"),
        ("delay", f"{1e3 * model.delay:.2f} +- {1e3 * model.delay_deviation:.2f} ms until commands take effect"),
        ("control", _control(model)),
        ("viscous", f"{_row(model.arm.viscous)} +- {_row(friction[0])}, joint by joint"),
        ("Coulomb", f"{_row(model.arm.coulomb)} +- {_row(friction[1])}, joint by joint"),
        ("left", f"{_row(model.residual)} Nm RMS of torque unexplained"),
    ]
    console.print(f"{model.robot.name}, from {model.source}, {model.method}", soft_wrap=True)
    for name, value in rows:
        console.print(f"  {name:<9}{value}", soft_wrap=True, markup=False)
    for sentence in model.unidentified:
        console.print(f"  not told: {sentence}", soft_wrap=True, markup=False)


def _control(model: ArmModel) -> str:
    controller = model.controller
    if controller.control == "impedance":
        return f"impedance, stiffness {controller.stiffness:.3g} effort limits a radian"
    return f"inverse dynamics, bandwidth {controller.bandwidth:.3g} rad/s"


def _row(values: Any) -> str:
    return " ".join(f"{value:.2f}" for value in values)
