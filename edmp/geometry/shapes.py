"""Shapes of obstacles: plain data, validated when made. All lengths in [m]."""

from __future__ import annotations

import hashlib
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import numbers, shown
from edmp.cached import cached_property
from edmp.errors import EdmpWarning, InvalidInputError
from edmp.geometry.mesh_repair import SHELL, solid
from edmp.geometry.poses import FARTHEST

Array = NDArray[np.float64]


class Shape:
    """A solid. Each kind is a frozen dataclass of its own, with a row in `edmp.geometry.kinds`."""


@dataclass(frozen=True)
class Box(Shape):
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
class Cylinder(Shape):
    """Solid cylinder along its local z axis, centred at its origin."""

    radius: float
    length: float

    def __post_init__(self) -> None:
        positive(self, "radius", "length")


@dataclass(frozen=True)
class Capsule(Shape):
    """Cylinder of ``length`` along local z (caps not included) with a half ball at each end."""

    radius: float
    length: float

    def __post_init__(self) -> None:
        positive(self, "radius", "length")


@dataclass(frozen=True)
class Sphere(Shape):
    """Solid ball centred at its origin."""

    radius: float

    def __post_init__(self) -> None:
        positive(self, "radius")


@dataclass(frozen=True, eq=False)
class Mesh(Shape):
    """Closed triangle mesh: ``vertices`` (V, 3), ``faces`` (F, 3) with outward normals.

    Vertices that coincide count as one, so that a triangle soup (an STL file) is closed if its surface is. What keeps
    it from being closed without being a part of its shape (doubled facets, facets without area, gaps up to 1e-5 m) is
    mended, with an `EdmpWarning`; `shell` makes a solid of a surface that is open. The arrays cannot be written to:
    what was made from a mesh is kept for the next that equals it.
    """

    vertices: Array
    faces: NDArray[np.int32]

    def __post_init__(self) -> None:
        vertices, faces = mesh_arrays(self.vertices, self.faces)
        vertices, faces, told = solid(vertices, faces)
        if told:
            warnings.warn(f"Mesh: {told}", EdmpWarning, stacklevel=3)
        _require_volume(vertices, faces)
        vertices.setflags(write=False)
        faces.setflags(write=False)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)

    @classmethod
    def shell(cls, vertices: Any, faces: Any, *, thickness: float) -> Mesh:
        """A thin solid around an open surface, half of ``thickness`` [m] on either side of every triangle.

        A surface that is closed needs none: it is returned as the solid that it is, with an `EdmpWarning`.
        """
        number = _length("Mesh.shell", "thickness", thickness)
        surface, triangles, told = solid(*mesh_arrays(vertices, faces), thickness=number)
        if told:
            warnings.warn(f"Mesh.shell: {told}", EdmpWarning, stacklevel=2)
        return cls(surface, triangles)

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


def positive(shape: Any, *fields: str) -> None:
    """Replace the named fields by positive finite floats, or say which one is not."""
    for field in fields:
        object.__setattr__(shape, field, _length(type(shape).__name__, field, getattr(shape, field)))


def _length(what: str, field: str, value: Any) -> float:
    """A positive number [m]."""
    given = numbers(value)
    if given is None or given.ndim:
        raise InvalidInputError(f"{what} {field} must be a number [m], got {shown(value)}")
    number = float(given)
    if not (math.isfinite(number) and number > 0):
        raise InvalidInputError(f"{what} {field} must be positive and finite [m], got {number}")
    if number > FARTHEST:
        raise InvalidInputError(f"{what} {field} must be at most {FARTHEST:.0e} m, got {number}")
    return number


def mesh_arrays(vertices: Any, faces: Any) -> tuple[Array, NDArray[np.int32]]:
    """Vertices (V, 3) and faces (F, 3) that belong together."""
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


def _require_volume(vertices: Array, faces: NDArray[np.int32]) -> None:
    """The normals of a closed surface point outward, and there is something inside."""
    corners_O = vertices[faces] - vertices.mean(axis=0)
    volume = float(np.einsum("fi,fi->f", corners_O[:, 0], np.cross(corners_O[:, 1], corners_O[:, 2])).sum() / 6)
    if volume < 0:
        raise InvalidInputError(
            f"Mesh normals point inward (signed volume {volume:.3g} m^3); reverse the winding: faces[:, ::-1]"
        )
    if volume < 1e-15:
        raise InvalidInputError(f"Mesh encloses no volume ({volume:.3g} m^3); is it in the wrong unit? {SHELL}")
