"""Every kind of shape in one table: what files, pictures, samples, searches and fits have to know of it.

Whoever has a formula or a primitive of its own for a kind uses that: the collision engine, the judge, Drake, VAMP,
MoveIt's files. All others ask here, and so do these for a kind that they do not know. So a kind needs a class that
derives from `Shape`, and a row; the first two lines of the row are all that it must have::

    register(Kind("wedge", Wedge, (Field("angle"), Field("length")), triangles=wedge_triangles, convex=True))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import InvalidInputError
from edmp.geometry import cells, covering, primitives
from edmp.geometry.primitives import Array, Sampler, Triangles
from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Field:
    """What a file holds of a shape: an attribute and argument of its class.

    Attributes:
        name: its name.
        rows: shape of the numbers, None for any length; () is a single one.
        whole: of a list or table: whole numbers.
        array: type of numbers (numpy's name) of an array that may be large: files of text keep it beside themselves.
    """

    name: str
    rows: tuple[int | None, ...] = ()
    whole: bool = False
    array: str | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of shape. Everything is in the shape's own frame; lengths in [m].

    Attributes:
        name: its name in files.
        shape: its class.
        fields: what files hold of it, and its class takes by name.
        triangles: vertices (V, 3) and faces (F, 3) of a closed surface, faces outward, which contains the shape; or is
            near its surface, if the kind is convex and has ``hull_points``.
        convex: whether every shape of the kind is.
        hull_points: (n, 3) points whose convex hull contains the shape; those of ``triangles`` if left out.
        bounds: lower and upper corner (3,) of its box; that of ``triangles`` if left out.
        sampler: its surface, to draw points from; that of ``triangles`` if left out.
        cover: (n, 3) points on its surface, given a spacing, of which nothing of the surface is farther than
            ``covering.REACH`` spacings; those of ``triangles`` if left out.
        grown: the shape made larger by a distance on all sides, or left as it is, if left out.
        numbers: the few numbers that ``distance`` reads; None without a formula: distances are those of ``triangles``.
        distance: signed distances of points (..., 3), given ``numbers`` (..., k), broadcast and differentiable.
        measured: signed distances from a shape of points (..., 3), differentiable, for a kind that is more than a few
            numbers and whose ``triangles`` are not its surface.
    """

    name: str
    shape: type[Shape]
    fields: tuple[Field, ...]
    triangles: Callable[[Any], Triangles]
    convex: bool = False
    hull_points: Callable[[Any], Array] | None = None
    bounds: Callable[[Any], tuple[Array, Array]] | None = None
    sampler: Callable[[Any], Sampler] | None = None
    cover: Callable[[Any, float], Array] | None = None
    grown: Callable[[Any, float], Shape] = lambda shape, by: shape
    numbers: Callable[[Any], list[float]] | None = None
    distance: Callable[[Tensor, Tensor], Tensor] | None = None
    measured: Callable[[Any, Tensor], Tensor] | None = None


def _centred(*half: float) -> tuple[Array, Array]:
    return -np.array(half), np.array(half)


def _grown_box(shape: Box, by: float) -> Box:
    x, y, z = shape.size
    return Box((x + 2 * by, y + 2 * by, z + 2 * by))


def _cloud_triangles(shape: PointCloud) -> Triangles:
    occupancy, edge, corner = cells.of_cloud(shape.points, shape.radius)
    vertices, faces = cells.surface(occupancy, edge)
    return vertices + corner, faces


def _cloud_bounds(shape: PointCloud) -> tuple[Array, Array]:
    lower, upper = (np.asarray(side, dtype=np.float64) for side in shape.extent)
    return lower - shape.radius, upper + shape.radius


def _cloud_distance(shape: PointCloud, p: Tensor) -> Tensor:
    from edmp.geometry.cloud_distance import cloud_signed_distance

    return cloud_signed_distance(shape, p)


def _cloud_sampler(shape: PointCloud) -> Sampler:
    from edmp.geometry.cloud_distance import cloud_sampler

    return cloud_sampler(shape)


def _voxel_bounds(shape: Voxels) -> tuple[Array, Array]:
    return cells.extent(shape.occupancy, shape.resolution)


def _voxel_distance(shape: Voxels, p: Tensor) -> Tensor:
    from edmp.geometry.grid_distance import voxel_signed_distance

    return voxel_signed_distance(shape, p)


def _field_distance(shape: DistanceField, p: Tensor) -> Tensor:
    from edmp.geometry.grid_distance import field_signed_distance

    return field_signed_distance(shape, p)


def _field_sampler(shape: DistanceField) -> Sampler:
    from edmp.geometry.grid_distance import field_sampler

    return field_sampler(shape) or primitives.triangle_sampler(*_field_triangles(shape))


def _field_triangles(shape: DistanceField) -> Triangles:
    return cells.surface(cells.of_field(shape.distances), shape.resolution)


def _field_bounds(shape: DistanceField) -> tuple[Array, Array]:
    return cells.extent(cells.of_field(shape.distances), shape.resolution)


RADIUS, LENGTH, RESOLUTION = Field("radius"), Field("length"), Field("resolution")

KINDS: dict[type[Shape], Kind] = {
    kind.shape: kind
    for kind in (
        Kind(
            "box",
            Box,
            (Field("size", (3,)),),
            primitives.box_triangles,
            convex=True,
            hull_points=primitives.box_points,
            bounds=lambda s: _centred(*(extent / 2 for extent in s.size)),
            sampler=primitives.box_sampler,
            cover=covering.box_cover,
            grown=_grown_box,  # keeps its corners
            numbers=lambda s: [extent / 2 for extent in s.size],
            distance=primitives.box_distance,
        ),
        Kind(
            "cylinder",
            Cylinder,
            (RADIUS, LENGTH),
            primitives.cylinder_triangles,
            convex=True,
            hull_points=primitives.cylinder_points,
            bounds=lambda s: _centred(s.radius, s.radius, s.length / 2),
            sampler=primitives.cylinder_sampler,
            cover=covering.cylinder_cover,
            grown=lambda s, by: Cylinder(s.radius + by, s.length + 2 * by),  # keeps its corners
            numbers=lambda s: [s.radius, s.length / 2],
            distance=primitives.cylinder_distance,
        ),
        Kind(
            "capsule",
            Capsule,
            (RADIUS, LENGTH),
            primitives.capsule_triangles,
            convex=True,
            hull_points=primitives.capsule_points,
            bounds=lambda s: _centred(s.radius, s.radius, s.length / 2 + s.radius),
            sampler=primitives.capsule_sampler,
            cover=covering.capsule_cover,
            grown=lambda s, by: Capsule(s.radius + by, s.length),
            numbers=lambda s: [s.radius, s.length / 2],
            distance=primitives.capsule_distance,
        ),
        Kind(
            "sphere",
            Sphere,
            (RADIUS,),
            primitives.sphere_triangles,
            convex=True,
            hull_points=primitives.sphere_points,
            bounds=lambda s: _centred(s.radius, s.radius, s.radius),
            sampler=primitives.sphere_sampler,
            cover=covering.sphere_cover,
            grown=lambda s, by: Sphere(s.radius + by),
            numbers=lambda s: [s.radius],
            distance=primitives.sphere_distance,
        ),
        Kind(
            "mesh",
            Mesh,
            (Field("vertices", (None, 3)), Field("faces", (None, 3), whole=True)),
            lambda s: (s.vertices, s.faces.astype(np.int64)),
        ),
        Kind(
            "point_cloud",
            PointCloud,
            (Field("points", (None, 3), array="float32"), RADIUS),
            _cloud_triangles,
            bounds=_cloud_bounds,
            sampler=_cloud_sampler,
            measured=_cloud_distance,
            grown=lambda s, by: PointCloud(s.points, s.radius + by),
        ),
        Kind(
            "voxels",
            Voxels,
            (Field("occupancy", (None, None, None), array="bool"), RESOLUTION),
            lambda s: cells.surface(s.occupancy, s.resolution),
            bounds=_voxel_bounds,
            measured=_voxel_distance,
        ),
        Kind(
            "distance_field",
            DistanceField,
            (Field("distances", (None, None, None), array="float32"), RESOLUTION),
            _field_triangles,
            bounds=_field_bounds,
            sampler=_field_sampler,
            measured=_field_distance,
        ),
    )
}
"""The table: a row for each class of shapes."""


def register(kind: Kind) -> Kind:
    """Add a kind to the table. Registering the very same row again changes nothing.

    Raises:
        InvalidInputError: the class does not derive from `Shape`, or class or name have another row.
    """
    if not (isinstance(kind.shape, type) and issubclass(kind.shape, Shape)):
        raise InvalidInputError(f"kind {kind.name!r}: its class must derive from edmp.geometry.shapes.Shape")
    for other in KINDS.values():
        if other != kind and (other.name == kind.name or other.shape is kind.shape):
            raise InvalidInputError(
                f"kind {kind.name!r} of {kind.shape.__name__}: there is a kind {other.name!r} of {other.shape.__name__}"
            )
    return KINDS.setdefault(kind.shape, kind)


def kind_of(shape: Shape) -> Kind:
    """The row of a shape.

    Raises:
        InvalidInputError: there is none.
    """
    kind = KINDS.get(type(shape))
    if kind is None:
        known = ", ".join(one.__name__ for one in KINDS)
        raise InvalidInputError(
            f"{type(shape).__name__} is no kind of shape: known are {known}; edmp.geometry.kinds.register adds one"
        )
    return kind


def kinds_by_name() -> dict[str, Kind]:
    """The rows by their names in files."""
    return {kind.name: kind for kind in KINDS.values()}


def field_values(shape: Shape) -> dict[str, Any]:
    """What a file holds of a shape: for each field a number, or lists of numbers; a `Field.array` as it is."""
    held = {field.name: (field, np.asarray(getattr(shape, field.name))) for field in kind_of(shape).fields}
    return {name: value if field.array else value.tolist() for name, (field, value) in held.items()}


# --- what can be asked of any shape, in its own frame -----------------------------------------------------------------


def triangles(shape: Shape) -> Triangles:
    """Vertices (V, 3) [m] and outward faces (F, 3) of a closed surface to look at."""
    return kind_of(shape).triangles(shape)


def hull_points(shape: Shape) -> Array:
    """(n, 3) points whose convex hull contains the shape [m].

    Round shapes are left by up to 0.9 % (cylinders) and 2 % (balls) of their radius.
    """
    kind = kind_of(shape)
    return kind.hull_points(shape) if kind.hull_points else np.asarray(kind.triangles(shape)[0])


def bounds(shape: Shape, X: NDArray[np.float64] | None = None) -> tuple[Array, Array]:
    """Lower and upper corner (3,) of a shape's box [m]; along the axes of the frame in which it has pose ``X`` (4, 4).

    Of a kind with ``bounds`` it is the box around its posed box, else that of the posed vertices.
    """
    kind = kind_of(shape)
    if kind.bounds is None:
        vertices = kind.triangles(shape)[0]
        placed = vertices if X is None else vertices @ X[:3, :3].T + X[:3, 3]
        return placed.min(axis=0), placed.max(axis=0)
    lower, upper = kind.bounds(shape)
    if X is None:
        return lower, upper
    middle = X[:3, 3] + X[:3, :3] @ ((lower + upper) / 2)
    extent = np.abs(X[:3, :3]) @ ((upper - lower) / 2)
    return middle - extent, middle + extent


def half_extents(shape: Shape) -> Array:
    """(3,) half the extents of a shape's box in its own frame [m]."""
    lower, upper = bounds(shape)
    return (upper - lower) / 2


def sampler(shape: Shape) -> Sampler:
    """Area of the surface, and points from it."""
    kind = kind_of(shape)
    return kind.sampler(shape) if kind.sampler else primitives.triangle_sampler(*kind.triangles(shape))


def cover(shape: Shape, spacing: float) -> Array:
    """(n, 3) points on the surface of a shape, nothing of which is farther than ``REACH * spacing`` from them [m]."""
    kind = kind_of(shape)
    return kind.cover(shape, spacing) if kind.cover else covering.triangle_cover(kind.triangles(shape), spacing)


def as_mesh(shape: Shape) -> Mesh:
    """A mesh that contains the shape, and leaves it by little: for whoever has nothing better for its kind."""
    return shape if isinstance(shape, Mesh) else _made_mesh(shape)


@lru_cache(maxsize=128)
def _made_mesh(shape: Shape) -> Mesh:
    if not kind_of(shape).convex:
        vertices, faces = triangles(shape)
        return Mesh(vertices, faces.astype(np.int32))
    points = hull_points(shape)
    return Mesh(points, primitives.hull_faces(points).astype(np.int32))
