"""``edmp logs``: what arms did, as written down by whoever: what is in it, and what was not."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from edmp.cli.arguments import progress_console, report_console
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.dynamics.label import LabelSettings
    from edmp.recordings import Log
    from edmp.recordings.log_info import LogInfo
    from edmp.robots import Robot

app = typer.Typer(help="Logs of arms: .csv, .mcap, .hdf5, .parquet.", no_args_is_help=True, rich_markup_mode=None)

_UNITS = {"velocities": "rad/s or m/s", "torques": "Nm or N", "commanded": "rad or m"}

File = Annotated[Path, typer.Argument(help="Log (.csv .mcap .npz .hdf5 .parquet), or a folder as LeRobot's.")]
Episode = Annotated[int, typer.Option(help="Which, of files that hold several.")]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="MEANT=THEIRS, such as 'position_elbow=A3[deg]' or positions=observation.state."),
]
Rate = Annotated[float | None, typer.Option(help="Of the rows, for files that hold no times [Hz].")]


@app.callback()
def logs() -> None:
    """Logs of arms."""


def chosen_columns(texts: Sequence[str] | None) -> dict[str, str]:
    """``["time=Zeit[ms]"]`` as {"time": "Zeit[ms]"}.

    Raises:
        InvalidInputError: for anything else.
    """
    chosen = {}
    for text in texts or ():
        meant, sign, theirs = text.partition("=")
        if not sign or not meant.strip() or not theirs.strip():
            raise InvalidInputError(f"--column: expected MEANT=THEIRS such as time=Zeit[ms], got {text!r}")
        chosen[meant.strip()] = theirs.strip()
    return chosen


@app.command()
def info(
    file: File,
    robot: Annotated[str | None, typer.Option(help="Built-in name or description file: whose log it is.")] = None,
    episode: Episode = 0,
    column: Columns = None,
    rate: Rate = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON on stdout, and nothing else.")] = False,
) -> None:
    """Say what is in a log: joints, time, gaps, ranges of motion, what is missing, what can be identified from it."""
    from edmp.recordings import read_log
    from edmp.recordings.log_info import describe_log
    from edmp.robots import load_robot

    arm = None if robot is None else load_robot(robot)
    with progress_console().status(f"reading {file}"):
        log = read_log(file, robot=arm, episode=episode, columns=chosen_columns(column), rate=rate)
    if as_json:
        print(json.dumps(described(log, arm), allow_nan=False))
    else:
        _print(log, describe_log(log, robot=arm))


@app.command()
def label(
    file: File,
    robot: Annotated[str, typer.Option(help="Built-in name or description file: whose log it is.")],
    out: Annotated[Path, typer.Option(help="Write the log with what was added (.csv .mcap .npz) here.")],
    model: Annotated[Path | None, typer.Option(help="The arm as edmp identify found it (.safetensors).")] = None,
    network: Annotated[
        Path | None, typer.Option(help="Learned inverse dynamics (.safetensors), added to the arm as described.")
    ] = None,
    control: Annotated[str | None, typer.Option(help="Law: inverse-dynamics (if not said) or impedance.")] = None,
    delay: Annotated[float | None, typer.Option(help="Commands take effect this much later [s].")] = None,
    seed: Annotated[int, typer.Option(help="Of the draws that say how sure the labels are.")] = 0,
    episode: Episode = 0,
    column: Columns = None,
    rate: Rate = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was added as JSON, and nothing else.")] = False,
) -> None:
    """Add the velocities, torques and commands that a log lacks, each with a standard deviation."""
    from edmp.dynamics.label import LabelSettings, label_log
    from edmp.files.writing import check_writable
    from edmp.recordings import read_log, write_log
    from edmp.recordings.log_file import WRITTEN
    from edmp.robots import load_robot

    check_writable(out, "--out", suffixes=WRITTEN)
    if out.exists() and out.resolve() == file.resolve():
        raise InvalidInputError(f"--out: {out} is the log itself, which stays as it is: name another file")
    if sum((model is not None, network is not None, control is not None or delay is not None)) > 1:
        raise InvalidInputError("--model, --network, and --control with --delay exclude each other: give one of them")
    arm, settings = load_robot(robot), LabelSettings(seed=seed)
    options = _explained_by(arm, model, network, control, delay, settings)
    with progress_console().status(f"reading {file}"):
        log = read_log(file, robot=arm, episode=episode, columns=chosen_columns(column), rate=rate)
    with progress_console().status("computing"):
        labelled = label_log(log, arm, **options, settings=settings)
    write_log(out, labelled, about={"labelled": ", ".join(sorted({*labelled.spread} - {*log.spread}))})
    added = {name: labelled.spread[name] for name in labelled.spread if name not in log.spread}
    if as_json:
        deviations = {name: np.sqrt((one**2).mean(axis=0)).tolist() for name, one in added.items()}
        print(json.dumps({"file": str(out), "rows": len(log.times), "deviations": deviations}, allow_nan=False))
        return
    console = report_console()
    for name, deviation in added.items():
        each = ", ".join(f"{value:.2g}" for value in np.sqrt((deviation**2).mean(axis=0)))
        console.print(f"{name:<12}added, standard deviations {each} [{_UNITS[name]}]", soft_wrap=True)
    if not added:
        console.print("nothing      was missing")
    console.print(f"{'written':<12}{out}", soft_wrap=True)


def _explained_by(
    robot: Robot,
    model: Path | None,
    network: Path | None,
    control: str | None,
    delay: float | None,
    settings: LabelSettings,
) -> dict[str, Any]:
    """Options of `label_log`."""
    from edmp.dynamics import ArmModel, Controller

    if network is not None:
        from edmp.dynamics.learned.inverse import load_inverse

        return {"leftover": load_inverse(network)}
    if model is not None:
        found = ArmModel.load(model, robot=robot)
        arms, delays = found.draws(settings.arms + 1, seed=settings.seed)
        return {"arms": arms, "controller": found.controller, "delays": delays.tolist()}
    return {"controller": Controller(control=control or "inverse-dynamics", delay=delay or 0.0)}


def described(log: Log, robot: Robot | None) -> dict[str, Any]:
    """The same as plain data: SI units, gaps and joints as lists of objects."""
    from edmp.recordings.log_info import describe_log

    found = describe_log(log, robot=robot)
    return {"source": log.source, **dataclasses.asdict(found), "rich": found.rich, "computed": sorted(log.spread)}


def _print(log: Log, found: LogInfo) -> None:
    console = report_console()
    held = [name for name in ("velocities", "torques", "commanded") if name not in found.missing]
    rows = [
        (
            "rows",
            f"{found.rows} in {found.duration:.4g} s, {found.rate:.4g} a second, jitter {1e3 * found.jitter:.3g} ms",
        ),
        ("holds", ", ".join(f"{one} (computed)" if one in log.spread else one for one in ("positions", *held))),
        ("lacks", ", ".join(found.missing) or "nothing"),
    ]
    rows += [("gap", f"{gap.duration:.3g} s after {gap.time:.4g} s, row {gap.row}") for gap in found.gaps[:5]]
    if len(found.gaps) > 5:
        rows.append(("gaps", f"{len(found.gaps)} in all"))
    for name, value in rows:
        console.print(f"{name:<12}{value}", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for title in ("joint", "from", "to", "speed -", "speed +", "beyond limit", "of top speed", "of top effort", "note"):
        table.add_column(title, justify="left" if title in ("joint", "note") else "right")
    for joint in found.joints:
        shares = [_share(value) for value in (joint.speed_share, joint.effort_share)]
        beyond = "-" if joint.beyond_limit is None else f"{joint.beyond_limit:.3f}"
        numbers = [f"{value:.3f}" for value in (joint.lower, joint.upper, *joint.speed)]
        table.add_row(joint.name, *numbers, beyond, *shares, "; ".join(joint.notes))
    console.print(table)
    for note in found.notes:
        console.print(f"{'note':<12}{note}", soft_wrap=True)
    console.print(f"{'identify':<12}{'rich enough' if found.rich else 'not all parameters show, see the notes'}")


def _share(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.0f} %"
