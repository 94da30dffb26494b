"""Fitting collision geometry: what `edmp robot fit` does, for built-in robots and for any URDF."""

from __future__ import annotations

import dataclasses
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edmp.arguments import checked
from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError
from edmp.files.reading import is_file, is_urdf
from edmp.geometry.poses import apply, inverse
from edmp.robots.description import Document, built_in_robots, read_built_in, read_document, robot_from_document
from edmp.robots.description_writer import geometry_entry, write_document
from edmp.robots.fit_cache import Fit, fit_key, read_fit, write_fit
from edmp.robots.geometry_fit import FitSettings, Interface, SourceGeometry, fit_box, fit_hull, fit_spheres, pieces_of
from edmp.robots.parts import Array, Link
from edmp.robots.rest_contacts import part_at_home
from edmp.robots.robot import Robot
from edmp.robots.self_collision import collision_pairs, sample_pairs
from edmp.robots.sources import load_sources
from edmp.robots.urdf import urdf_document

log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
"""Told what is fitted next, and the share that is done, from 0 to 1."""

URDF_FIT = FitSettings(max_spheres=12, relocations=1, num_samples=300)
"""A quicker fit than `edmp robot fit` makes, for arms that are fitted when they are loaded."""

PATIENCE = 3.0
"""`load_urdf` says that it is fitting when that takes longer than this [s]."""

FAR_OUT = 0.1
"""Spheres that reach so far out of their link's box are told of [m]."""


@checked
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
    cache: bool = True,
) -> Document:
    """Fit the geometry of a robot and sample its collision pairs.

    Args:
        source: a URDF; or a built-in name or a description file, whose geometry is then fitted again from the
            sources that it names, everything else kept.
        output: description file to write, default none.
        tool, frozen, acceleration, jerk: as for `load_urdf`; for a URDF only.
        packages: folders of ``package://`` names.
        settings: how closely to fit; a link's own `fit` entry takes precedence.
        progress: told what is being fitted, and how much is done.
        cache: take the fit from the user's cache folder (`cache_folder`) if the same geometry has been fitted before,
            and keep it there.

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
    robot_from_document(document, source=str(source))  # everything in its place, before the work begins
    fitted = fit_document(
        document,
        folder=folder,
        packages=packages or {},
        settings=settings or FitSettings(),
        progress=progress,
        cache=cache,
    )
    if output is not None:
        write_document(fitted, output)
    return fitted


@checked
def load_urdf(
    path: str | Path,
    *,
    tool: str | None = None,
    frozen: Mapping[str, float] | None = None,
    acceleration: Sequence[float] | float | None = None,
    jerk: Sequence[float] | float | None = None,
    packages: Mapping[str, Path] | None = None,
    settings: FitSettings | None = None,
    progress: Progress | None = None,
    cache: bool = True,
) -> Robot:
    """A serial arm from a URDF, its geometry fitted now (seconds to minutes), or found in the user's cache folder.

    Args:
        path: the URDF.
        tool: link whose frame pose goals speak of; the arm is the chain from the root link to it. Default: the end
            of the only chain; a gripper beyond it is frozen.
        frozen: positions of moving joints beside the arm, such as fingers [rad or m]; default 0.
        acceleration: limits (dof,), or one number [rad/s^2 or m/s^2]; default: full velocity within 0.25 s.
        jerk: limits (dof,), or one number [rad/s^3 or m/s^3]; default: full acceleration within 0.05 s.
        packages: folders of ``package://`` names.
        settings: how closely to fit the geometry; default `URDF_FIT`.
        progress: told what is being fitted, and how much is done; default: a line in the log if it takes long.
        cache: as for `fit_description`; the same geometry is fitted once.
    """
    document = fit_description(
        path,
        tool=tool,
        frozen=frozen,
        acceleration=acceleration,
        jerk=jerk,
        packages=packages,
        settings=settings or URDF_FIT,
        progress=progress or _Word(str(path)),
        cache=cache,
    )
    return robot_from_document(document, source=str(path))


def fit_document(
    document: Document,
    *,
    folder: Path | None,
    packages: Mapping[str, Path],
    settings: FitSettings,
    progress: Progress | None = None,
    cache: bool = False,
) -> Document:
    """The document with geometry and collision pairs made anew from the links' sources.

    With ``cache``, taken from the user's cache folder if the same geometry has been fitted before, and kept there.
    """
    fitted: Document = {**document, "links": [dict(entry) for entry in document["links"]], "collision_pairs": []}
    entries = [entry for entry in fitted["links"] if "like" not in entry]
    loaded: dict[str, list[SourceGeometry]] = {}
    for entry in entries:
        for key in ("hulls", "spheres", "box"):
            entry.pop(key, None)
        place = f"link {entry.get('name')}"
        loaded[entry["name"]] = load_sources(entry.get("source") or [], folder=folder, packages=packages, place=place)
    key = fit_key(fitted, loaded, settings) if cache else ""
    fit = read_fit(key) if cache else None
    if fit is None:
        fit = _fit(fitted, loaded, settings, progress or _log)
        if cache:
            write_fit(key, fit)
    for told in fit["notes"]:
        warnings.warn(f"{fitted['name']}: {told}", EdmpWarning, stacklevel=4)
    for entry in entries:
        entry.update(fit["links"].get(entry["name"], {}))
    fitted["collision_pairs"] = fit["collision_pairs"]
    # The long lists come last: a person reads the top of the file.
    fitted["links"] = fitted.pop("links")
    return fitted


def _fit(
    document: Document, loaded: Mapping[str, Sequence[SourceGeometry]], settings: FitSettings, progress: Progress
) -> Fit:
    """Geometry of the links and pairs to check; ``document`` keeps its links without geometry."""
    entries = [entry for entry in document["links"] if any(loaded.get(entry["name"], ()))]
    tell = _Steps(progress, hulls=len(entries), spheres=len(entries))
    own = {entry["name"]: link_settings(entry, settings) for entry in document["links"]}
    points: dict[str, list[Array]] = {}
    hulls: dict[str, list[Array]] = {}
    for entry in entries:
        name = entry["name"]
        tell(f"convex pieces of {name}")
        points[name] = _distinct([piece for geometry in loaded[name] for piece in pieces_of(geometry, own[name])])
        hulls[name] = [fit_hull(piece, own[name]) for piece in points[name]]
    tell("collision pairs")
    robot = _with_hulls(document, hulls)
    pairs = collision_pairs(sample_pairs(robot, seed=settings.seed))
    copied = {entry.get("like") for entry in document["links"]}
    own_hulls = {name: pieces for name, pieces in hulls.items() if name not in copied}
    notes = part_at_home(robot, pairs, own_hulls, points)
    robot = _with_hulls(document, hulls)
    links = {}
    for name, pieces in hulls.items():
        tell(f"spheres of {name}")
        link = robot.links[robot.link_index(name)]
        spheres = fit_spheres(pieces, link_interfaces(robot, link), own[name])
        links[name] = geometry_entry(pieces, spheres, fit_box(pieces))
        notes += _far_out(name, spheres, fit_box(pieces))
    return {
        "links": links,
        "collision_pairs": [[robot.links[i].name, robot.links[j].name] for i, j in pairs],
        "notes": notes,
    }


def _distinct(pieces: Sequence[Array]) -> list[Array]:
    """Without the copies of files that list the same geometry twice."""
    return [piece for i, piece in enumerate(pieces) if not any(np.array_equal(piece, other) for other in pieces[:i])]


def _with_hulls(document: Document, hulls: Mapping[str, list[Array]]) -> Robot:
    """The robot with convex pieces only."""
    entries = [
        {**entry, **geometry_entry(hulls.get(entry["name"], []), np.empty((0, 4)), None)} for entry in document["links"]
    ]
    return robot_from_document({**document, "links": entries})


def _far_out(name: str, spheres: Array, box: tuple[Array, Array]) -> list[str]:
    """What to say of spheres that leave their link by decimetres, as those of a large plate do."""
    p_X = apply(inverse(box[0]), spheres[:, :3])
    out = float((spheres[:, 3] - (box[1] / 2 - np.abs(p_X)).min(axis=1)).max())
    if out < FAR_OUT:
        return []
    return [
        f"{name} is large: its {len(spheres)} spheres reach up to {out:.2f} m out of it, so that paths keep away from "
        "it or are not found (the proof is not concerned); describe what does not move as an obstacle of the scene, or "
        "raise max_spheres of FitSettings"
    ]


def _log(what: str, done: float) -> None:
    log.info("%s (%.0f %% done)", what, 100 * done)


class _Steps:
    """Counts what is fitted; hulls take most of the time."""

    def __init__(self, progress: Progress, *, hulls: int, spheres: int) -> None:
        self.progress = progress
        self.weights = iter([*[4.0] * hulls, 1.0, *[1.0] * spheres])
        self.total = 4.0 * hulls + 1.0 + spheres
        self.done = 0.0

    def __call__(self, what: str) -> None:
        self.progress(what, self.done / self.total)
        self.done += next(self.weights)


class _Word:
    """Progress of a robot that is loaded: one line in the log, if it takes more than a few seconds."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.begun = time.monotonic()
        self.said = False

    def __call__(self, what: str, done: float) -> None:
        if not self.said and time.monotonic() - self.begun > PATIENCE:
            self.said = True
            log.warning(
                "%s: fitting its geometry (%s, %.0f %% done); this takes up to minutes, once for each geometry",
                self.source, what, 100 * done,
            )  # fmt: skip


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
    carrier = (None, *robot.parents)  # of each body
    for other in robot.links:
        if not other.hulls_B or (carrier[other.body] != link.body and carrier[link.body] != other.body):
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
