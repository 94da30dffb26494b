"""Shapes of obstacles: plain data, validated when made. All lengths in [m]."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.robots.arguments import numbers, shown
from edmp.robots.errors import InvalidInputError
from edmp.robots.transforms import FARTHEST

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """Axis-aligned in its own frame, centred at its origin; ``size`` holds the three full extents."""

    size: tuple[float, float, float]

    def __post_init__(self) -> None:
        given = numbers(self.size)
        if given is None or given.shape != (3,):
            raise InvalidInputError(f"Box size must be three numbers [m], got {shown(self.size)}")
        size = tuple(given.tolist())
        if not all(math.isfinite(extent) and extent > 0 for extent in size):
            raise InvalidInputError(f"Box size must be positive and finite in all three extents [m], got {size}")
        if max(size) > FARTHEST:
            raise InvalidInputError(f"Box size must be at most {FARTHEST:.0e} m, got {size}")
        object.__setattr__(self, "size", size)


@dataclass(frozen=True)
class Cylinder:
    """Solid cylinder along its local z axis, centred at its origin."""

    radius: float
    length: float

    def __post_init__(self) -> None:
        _positive(self, "radius", "length")


@dataclass(frozen=True)
class Capsule:
    """Cylinder of ``length`` along local z (caps not included) with a half ball at each end."""

    radius: float
    length: float

    def __post_init__(self) -> None:
        _positive(self, "radius", "length")


@dataclass(frozen=True)
class Sphere:
    """Solid ball centred at its origin."""

    radius: float

    def __post_init__(self) -> None:
        _positive(self, "radius")


@dataclass(frozen=True, eq=False)
class Mesh:
    """Closed triangle mesh: ``vertices`` (V, 3), ``faces`` (F, 3) with outward normals.

    Vertices that coincide count as one, so that a triangle soup (an STL file) is closed if its surface is. The arrays
    cannot be written to: what was made from a mesh is kept for the next that equals it.
    """

    vertices: Array
    faces: NDArray[np.int32]

    def __post_init__(self) -> None:
        vertices, faces = _mesh_arrays(self.vertices, self.faces)
        _require_closed(vertices, faces)
        vertices.setflags(write=False)
        faces.setflags(write=False)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mesh):
            return NotImplemented
        return self is other or (
            np.array_equal(self.vertices, other.vertices) and np.array_equal(self.faces, other.faces)
        )

    def __hash__(self) -> int:
        return self._digest

    @cached_property
    def _digest(self) -> int:
        """A hash of the content that is the same in every process: it is pickled along."""
        content = hashlib.blake2b((self.vertices + 0.0).tobytes(), digest_size=8)  # -0.0 equals 0.0
        content.update(self.faces.tobytes())
        return int.from_bytes(content.digest(), "big", signed=True)


Shape = Box | Cylinder | Capsule | Sphere | Mesh


def _positive(shape: Any, *fields: str) -> None:
    """Replace the named fields by positive finite floats, or say which one is not."""
    for field in fields:
        value = getattr(shape, field)
        given = numbers(value)
        if given is None or given.ndim:
            raise InvalidInputError(f"{type(shape).__name__} {field} must be a number [m], got {shown(value)}")
        number = float(given)
        if not (math.isfinite(number) and number > 0):
            raise InvalidInputError(f"{type(shape).__name__} {field} must be positive and finite [m], got {number}")
        if number > FARTHEST:
            raise InvalidInputError(f"{type(shape).__name__} {field} must be at most {FARTHEST:.0e} m, got {number}")
        object.__setattr__(shape, field, number)


def _mesh_arrays(vertices: Any, faces: Any) -> tuple[Array, NDArray[np.int32]]:
    try:
        vertices = np.array(vertices, dtype=np.float64)
        indices = np.array(faces)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInputError("Mesh needs vertices (V, 3) of numbers and faces (F, 3) of vertex indices") from None
    if vertices.ndim != 2 or vertices.shape[1:] != (3,):
        raise InvalidInputError(f"Mesh vertices must be an array (V, 3), got shape {vertices.shape}")
    if indices.ndim != 2 or indices.shape[1:] != (3,) or indices.dtype.kind not in "iu":
        raise InvalidInputError(
            f"Mesh faces must be an array (F, 3) of vertex indices, got {indices.dtype} {indices.shape}"
        )
    if not np.isfinite(vertices).all():
        row = int(np.flatnonzero(~np.isfinite(vertices).all(axis=1))[0])
        raise InvalidInputError(f"Mesh vertices must be finite, but vertex {row} is {vertices[row].tolist()}")
    if len(indices) == 0:
        raise InvalidInputError("Mesh has no faces")
    if np.abs(vertices).max() > FARTHEST:
        row = int(np.abs(vertices).max(axis=1).argmax())
        raise InvalidInputError(
            f"Mesh vertices must be within {FARTHEST:.0e} m, vertex {row} is {vertices[row].tolist()}"
        )
    if indices.min() < 0 or indices.max() >= len(vertices):
        raise InvalidInputError(
            f"Mesh faces point at vertices {int(indices.min())} to {int(indices.max())}, "
            f"but there are vertices 0 to {len(vertices) - 1}"
        )
    return vertices, indices.astype(np.int32)


def _require_closed(vertices: Array, faces: NDArray[np.int32]) -> None:
    """Every edge is walked as often one way as the other (closed, consistently wound), and the volume is positive."""
    _, merged = np.unique(vertices, axis=0, return_inverse=True)
    corners = merged.reshape(-1)[faces].astype(np.int64)
    tail, head = corners.reshape(-1), np.roll(corners, -1, axis=1).reshape(-1)
    edge = np.minimum(tail, head) * len(vertices) + np.maximum(tail, head)
    edges, index = np.unique(edge, return_inverse=True)
    uses = np.bincount(index.reshape(-1), minlength=len(edges))
    balance = np.bincount(index.reshape(-1), weights=np.sign(head - tail), minlength=len(edges))
    open_edges = int(np.count_nonzero(uses % 2))
    if open_edges:
        raise InvalidInputError(
            f"Mesh is not closed (watertight): {open_edges} of its {len(edges)} edges bound an odd number of faces; "
            "an open surface has no inside to measure a distance to"
        )
    flipped = int(np.count_nonzero(balance))
    if flipped:
        raise InvalidInputError(
            f"Mesh faces are wound inconsistently: {flipped} of its {len(edges)} edges are walked twice the same way"
        )
    corners_O = vertices[faces] - vertices.mean(axis=0)
    volume = float(np.einsum("fi,fi->f", corners_O[:, 0], np.cross(corners_O[:, 1], corners_O[:, 2])).sum() / 6)
    if volume < 0:
        raise InvalidInputError(
            f"Mesh normals point inward (signed volume {volume:.3g} m^3); reverse the winding: faces[:, ::-1]"
        )
    if volume < 1e-15:
        raise InvalidInputError(f"Mesh encloses no volume ({volume:.3g} m^3)")
