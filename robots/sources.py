"""Where fitted geometry comes from: mesh files and primitives, as `source` entries of a description name them.

An entry is a mapping with one of

    mesh: package://NAME/PATH, file://PATH or a path     (with an optional scale: [x, y, z])
    box: [x, y, z]          full extents [m]
    cylinder: [radius, length]                            along z [m]
    sphere: radius          [m]

and, optionally, where it sits in the link frame: xyz, and rpy or quaternion.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edmp.errors import EdmpWarning, FileFormatError
from edmp.geometry.kinds import hull_points
from edmp.geometry.mesh_files import load_mesh
from edmp.geometry.poses import apply
from edmp.geometry.shapes import Box, Cylinder, Shape, Sphere
from edmp.robots.description import entry_numbers, entry_pose
from edmp.robots.geometry_fit import SourceGeometry
from edmp.robots.mesh_paths import resolve
from edmp.robots.parts import Array

FLAT = 1e-7
"""A mesh whose vertices leave a plane by less than this, on average, is flat [m]."""

FLAT_THICKNESS = 1e-3
"""What a flat collision mesh is taken to measure across [m]."""


def load_source(
    entry: Mapping[str, Any], *, folder: Path | None, packages: Mapping[str, Path], place: str
) -> SourceGeometry:
    """The geometry that one `source` entry names."""
    kinds = [kind for kind in ("mesh", *_PRIMITIVES) if kind in entry]
    if len(kinds) != 1:
        raise FileFormatError(f"{place}: expected one of mesh, {', '.join(_PRIMITIVES)}")
    if kinds[0] == "mesh":
        scale = entry_numbers(entry.get("scale", (1, 1, 1)), (3,), f"{place}: scale")
        points, triangles = load_mesh(resolve(str(entry["mesh"]), folder=folder, packages=packages, place=place))
        solid = _thickened(points * scale)
        if len(solid) > len(points):
            note = f"{place}: mesh {entry['mesh']} is flat: taken as a body of {1000 * FLAT_THICKNESS:g} mm"
            warnings.warn(note, EdmpWarning, stacklevel=2)
            return SourceGeometry(apply(entry_pose(entry, place), solid), None)
        return SourceGeometry(apply(entry_pose(entry, place), solid), triangles)
    shape = _primitive(kinds[0], entry[kinds[0]], f"{place}: {kinds[0]}")
    return SourceGeometry(apply(entry_pose(entry, place), hull_points(shape)), None)


def _primitive(kind: str, sizes: Any, place: str) -> Shape:
    count, make = _PRIMITIVES[kind]
    numbers = entry_numbers(sizes, count, place)
    if (numbers <= 0).any():
        raise FileFormatError(f"{place}: every size must be positive")
    return make(numbers)


def _thickened(points: Array) -> Array:
    """The points (n, 3) as they are; those of a flat mesh twice, or more often, so that their hull has a volume."""
    _, spread, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    for size, axis in zip(spread / np.sqrt(len(points)), axes, strict=True):
        if size < FLAT:
            points = np.concatenate([points + sign * axis * FLAT_THICKNESS / 2 for sign in (1, -1)])
    return points


_PRIMITIVES: Mapping[str, tuple[tuple[int, ...], Callable[[Any], Shape]]] = {
    "box": ((3,), lambda sizes: Box(tuple(sizes))),
    "cylinder": ((2,), lambda sizes: Cylinder(*sizes)),
    "sphere": ((), lambda radius: Sphere(float(radius))),
}
"""Name in a description -> shape of its numbers, and what is made of them."""


def load_sources(
    entries: Sequence[Any], *, folder: Path | None, packages: Mapping[str, Path], place: str
) -> list[SourceGeometry]:
    """All sources of a link."""
    return [
        load_source(entry, folder=folder, packages=packages, place=f"{place}: source[{i}]")
        for i, entry in enumerate(entries)
    ]
