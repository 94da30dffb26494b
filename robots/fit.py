"""Fitting collision geometry: what `edmp robot fit` does, for built-in robots and for any URDF."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edmp.robots.description import Document, built_in_robots, read_built_in, read_document, robot_from_document
from edmp.robots.description_writer import geometry_entry, write_document
from edmp.robots.errors import FileFormatError, InvalidInputError
from edmp.robots.files import is_file, is_urdf
from edmp.robots.geometry_fit import FitSettings, Interface, fit_box, fit_hulls, fit_spheres
from edmp.robots.robot import Array, Link, Robot
from edmp.robots.self_collision import collision_pairs, sample_pairs
from edmp.robots.sources import load_sources
from edmp.robots.transforms import apply, inverse
from edmp.robots.urdf import urdf_document

log = logging.getLogger(__name__)

Progress = Callable[[str], None]

URDF_FIT = FitSettings(max_spheres=12, relocations=1, num_samples=300)
"""A quicker fit than `edmp robot fit` makes, for arms that are fitted every time they are loaded."""


def fit_description(
    source: str | Path,
    *,
    output: str | Path | None = None,
    tool: str | None = None,
    frozen: Mapping[str, float] | None = None,
    acceleration: Sequence[float] | float | None = None,
    jerk: Sequence[float] | float | None = None,
    packages: Mapping[str, Path] | None = None,
    settings: FitSettings | None = None,
    progress: Progress | None = None,
) -> Document:
    """Fit the geometry of a robot and sample its collision pairs.

    Args:
        source: a URDF; or a built-in name or a description file, whose geometry is then fitted again from the
            sources that it names, everything else kept.
        output: description file to write, default none.
        tool, frozen, acceleration, jerk: as for `load_urdf`; for a URDF only.
        packages: folders of ``package://`` names.
        settings: how closely to fit; a link's own `fit` entry takes precedence.
        progress: told what is being fitted.

    Returns:
        The description, as `robot_from_document` takes it. The same input gives the same output.
    """
    folder = None if str(source) in built_in_robots() else Path(source).resolve().parent
    if output is not None and not Path(output).resolve().parent.is_dir():
        raise InvalidInputError(f"{output}: the folder does not exist")
    if is_urdf(Path(source)):
        document = urdf_document(source, tool=tool, frozen=frozen, acceleration=acceleration, jerk=jerk)
    elif any(option is not None for option in (tool, frozen, acceleration, jerk)):
        raise InvalidInputError("tool, frozen, acceleration and jerk are options for URDF files only")
    elif folder is None:
        document = read_built_in(str(source))
    elif is_file(Path(source)):
        document = read_document(source)
    else:
        raise FileFormatError(f"{source}: no such file; built-in robots: {', '.join(built_in_robots())}")
    fitted = fit_document(
        document, folder=folder, packages=packages or {}, settings=settings or FitSettings(), progress=progress
    )
    if output is not None:
        write_document(fitted, output)
    return fitted


def load_urdf(
    path: str | Path,
    *,
    tool: str | None = None,
    frozen: Mapping[str, float] | None = None,
    acceleration: Sequence[float] | float | None = None,
    jerk: Sequence[float] | float | None = None,
    packages: Mapping[str, Path] | None = None,
    settings: FitSettings | None = None,
) -> Robot:
    """A serial arm from a URDF, its geometry fitted now (seconds); `save_robot` keeps the result.

    Args:
        path: the URDF.
        tool: link whose frame pose goals speak of; the arm is the chain from the root link to it. Default: the end
            of the only chain; a gripper beyond it is frozen.
        frozen: positions of moving joints beside the arm, such as fingers [rad or m]; default 0.
        acceleration: limits (dof,), or one number [rad/s^2 or m/s^2]; default: full velocity within 0.25 s.
        jerk: limits (dof,), or one number [rad/s^3 or m/s^3]; default: full acceleration within 0.05 s.
        packages: folders of ``package://`` names.
        settings: how closely to fit the geometry; default `URDF_FIT`.
    """
    document = fit_description(
        path,
        tool=tool,
        frozen=frozen,
        acceleration=acceleration,
        jerk=jerk,
        packages=packages,
        settings=settings or URDF_FIT,
    )
    return robot_from_document(document, source=str(path))


def fit_document(
    document: Document,
    *,
    folder: Path | None,
    packages: Mapping[str, Path],
    settings: FitSettings,
    progress: Progress | None = None,
) -> Document:
    """The document with geometry and collision pairs made anew from the links' sources."""
    tell = progress or log.info
    fitted: Document = {**document, "links": [dict(entry) for entry in document["links"]]}
    entries = [entry for entry in fitted["links"] if "like" not in entry]
    for entry in entries:
        for key in ("hulls", "spheres", "box"):
            entry.pop(key, None)
    hulls: dict[str, list[Array]] = {}
    for entry in entries:
        own = link_settings(entry, settings)
        place = f"link {entry.get('name')}"
        loaded = load_sources(entry.get("source") or [], folder=folder, packages=packages, place=place)
        hulls[entry["name"]] = [hull for geometry in loaded for hull in fit_hulls(geometry, own)]
        entry.update(geometry_entry(hulls[entry["name"]], np.empty((0, 4)), None))
    bare = robot_from_document(fitted)
    for entry in entries:
        pieces = hulls[entry["name"]]
        if not pieces:
            continue
        tell(f"spheres of {entry['name']}")
        link = bare.links[bare.link_index(entry["name"])]
        own = link_settings(entry, settings)
        spheres = fit_spheres(pieces, link_interfaces(bare, link), own)
        entry.pop("hulls")
        entry.update(geometry_entry(pieces, spheres, fit_box(pieces)))
    tell("collision pairs")
    robot = robot_from_document(fitted)
    pairs = collision_pairs(sample_pairs(robot, seed=settings.seed))
    fitted["collision_pairs"] = [[robot.links[i].name, robot.links[j].name] for i, j in pairs]
    # The long lists come last: a person reads the top of the file.
    fitted["links"] = fitted.pop("links")
    return fitted


def link_settings(entry: Mapping[str, Any], settings: FitSettings) -> FitSettings:
    """The settings with what the link's `fit` entry says instead."""
    own = dict(entry.get("fit") or {})
    valid = {field.name for field in dataclasses.fields(FitSettings)}
    if unknown := set(own) - valid:
        raise FileFormatError(
            f"link {entry.get('name')}: fit: unknown {', '.join(sorted(unknown))}; valid: {', '.join(sorted(valid))}"
        )
    return dataclasses.replace(settings, **own)


def link_interfaces(robot: Robot, link: Link) -> list[Interface]:
    """The round joints through which a link touches its neighbours, in the link's frame."""
    interfaces = []
    X_LB = inverse(link.X_BL)
    for other in robot.links:
        if abs(other.body - link.body) != 1 or not other.hulls_B:
            continue
        joint = robot.joints[max(other.body, link.body) - 1]
        if joint.kind != "revolute":
            continue
        # The pose of the joint frame in the link's frame, and of the neighbour's vertices, at zero.
        X_LJ = X_LB if other.body < link.body else X_LB @ joint.X_PJ
        X_LO = X_LB @ (inverse(joint.X_PJ) if other.body < link.body else joint.X_PJ)
        for hull in other.hulls_B:
            neighbour = apply(X_LO, hull)
            interfaces += [Interface.of(neighbour, X_LJ[:3, 3], sign * X_LJ[:3, 2]) for sign in (1.0, -1.0)]
    return interfaces
