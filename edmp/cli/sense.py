"""``edmp sense``: what is in the file of a sensor."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edmp.cli.arguments import progress_console, report_console
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.scenes.sensed_info import SensedInfo

app = typer.Typer(help="What sensors saw.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def sense() -> None:
    """What sensors saw."""


@app.command()
def info(
    file: Annotated[Path, typer.Argument(help="Points (.ply .pcd .npz .npy .xyz), or an octree (.bt .ot).")],
    scale: Annotated[float, typer.Option(help="Length of the file's unit [m]; 0.001 for millimetres.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON on stdout, and nothing else.")] = False,
) -> None:
    """Say what is in a file: how many points or cells, where, how far apart, what is wrong with them."""
    from edmp.scenes.clouds import SUFFIXES, is_sensed
    from edmp.scenes.sensed_info import sensed_info

    if not is_sensed(file):
        raise InvalidInputError(f"{file}: expected a file {', '.join(SUFFIXES)}")
    with progress_console().status(f"reading {file}"), contextlib.redirect_stdout(sys.stderr):
        found = sensed_info(file, scale=scale)
    if as_json:
        print(json.dumps(_document(found), allow_nan=False))
        return
    console = report_console()
    for name, value in _rows(found):
        console.print(f"{name:<12}{value}", soft_wrap=True)


def _rows(found: SensedInfo) -> list[tuple[str, str]]:
    names = {"point_cloud": "points", "voxels": "occupied cells", "distance_field": "nodes inside"}
    rows = [("kind", found.kind), ("holds", f"{found.count} {names[found.kind]}")]
    if found.kind == "point_cloud":
        rows += [
            ("dropped", f"{found.not_finite} not finite, {found.doubles} there twice"),
            ("spacing", f"{found.spacing * 1e3:.3g} mm"),
            ("radius", f"{found.radius * 1e3:.3g} mm leaves no gap; add the sensor's error"),
        ]
    else:
        rows.append(("grid", f"{' x '.join(map(str, found.shape))}, {found.spacing * 1e3:.4g} mm apart"))
    extent = " x ".join(f"{side:.4g}" for side in found.upper - found.lower)
    corners = " to ".join(f"({', '.join(f'{x:.4g}' for x in corner)})" for corner in (found.lower, found.upper))
    rows += [("extent", f"{extent} m, {corners}"), ("memory", f"{found.memory / 1e6:.4g} MB")]
    return rows + [("note", note) for note in found.notes]


def _document(found: SensedInfo) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "count": found.count,
        "lower_m": found.lower.tolist(),
        "upper_m": found.upper.tolist(),
        "memory_bytes": found.memory,
        "not_finite": found.not_finite,
        "doubles": found.doubles,
        "spacing_m": found.spacing,
        "radius_m": found.radius if found.kind == "point_cloud" else None,
        "shape": list(found.shape),
        "notes": list(found.notes),
    }
