"""A second, dumb checker: look at the path every few milliradians with FCL. For tests and benchmarks.

It shares nothing with `edmp.validate.judge` but the data types: homogeneous transforms one joint at a time, its own FCL
geometry, no bounds, no culling except FCL's own broad phase boxes. What it does not see between its samples it misses.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import fcl
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, cKDTree

from edmp.geometry.kinds import as_mesh
from edmp.geometry.sensed import DistanceField, PointCloud
from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Hit:
    """A link in collision at sample ``q`` of the path, on edge ``edge``, with an obstacle or another link."""

    link: str
    other: str
    edge: int
    q: Array


def dense_samples(path: Array, step: float) -> tuple[Array, NDArray[np.int64]]:
    """Samples (m, dof) such that no joint moves more than ``step`` between two, and the edge of each (m,)."""
    samples, edges = [np.asarray(path[:1], dtype=np.float64)], [np.zeros(1, dtype=np.int64)]
    for k, (a, b) in enumerate(itertools.pairwise(path)):
        count = max(1, int(np.ceil(np.abs(b - a).max() / step)))
        t = np.arange(1, count + 1)[:, None] / count
        samples.append(a + t * (b - a))
        edges.append(np.full(count, k))
    return np.concatenate(samples), np.concatenate(edges)


def dense_collisions(
    robot: Robot, scene: Scene, path: Array, step: float = 5e-3, *, first_only: bool = False
) -> list[Hit]:
    """Every sample of the path at which FCL reports a collision.

    Args:
        robot, scene: what is checked; the convex hulls ``link.hulls_B`` and ``robot.collision_pairs``. The fixed base
            is not held against the obstacles: no motion moves it.
        path: (n, dof) waypoints [rad or m].
        step: no joint moves more than this between samples [rad or m].
        first_only: stop at the first hit.
    """
    samples, edges = dense_samples(np.atleast_2d(path), step)
    specks = [_Specks(o.name, o.shape, o.X_WO) for o in scene if isinstance(o.shape, PointCloud | DistanceField)]
    scene = scene.without(*(one.name for one in specks))
    shapes = [(o.name, _looked_at(o.shape), o.X_WO) for o in scene]
    obstacles = [(name, fcl.CollisionObject(_geometry(shape), _transform(X_WO))) for name, shape, X_WO in shapes]
    solids = [(name, shape, np.linalg.inv(X_WO)) for name, shape, X_WO in shapes if isinstance(shape, Mesh)]
    pieces = [[fcl.CollisionObject(_hull(points)) for points in link.hulls_B] for link in robot.links]
    request = fcl.CollisionRequest()
    hits = []
    for q, edge in zip(samples, edges, strict=True):
        X_WB = _body_poses(robot, q)
        for link, objects in zip(robot.links, pieces, strict=True):
            for obj in objects:
                obj.setTransform(_transform(X_WB[link.body]))
        found = [
            (link.name, name)
            for link, objects in zip(robot.links, pieces, strict=True)
            if link.body > 0
            for name, obstacle in obstacles
            if any(fcl.collide(obj, obstacle, request, fcl.CollisionResult()) for obj in objects)
        ]
        found += [
            (link.name, name)
            for link in robot.links
            if link.body > 0
            for name, mesh, X_OW in solids
            if any(_inside(mesh, X_OW @ X_WB[link.body], hull[0]) for hull in link.hulls_B)
        ]
        found += [
            (link.name, one.name)
            for link in robot.links
            if link.body > 0
            for one in specks
            if any(one.distance(points, X_WB[link.body]) <= 0.0 for points in link.hulls_B)
        ]
        found += [
            (robot.links[i].name, robot.links[j].name)
            for i, j in robot.collision_pairs
            if any(fcl.collide(a, b, request, fcl.CollisionResult()) for a in pieces[i] for b in pieces[j])
        ]
        hits += [Hit(link, other, int(edge), q) for link, other in found]
        if hits and first_only:
            break
    return hits


def dense_distances(robot: Robot, scene: Scene, name: str, samples: Array) -> Array:
    """(m,) distance of all that moves from one obstacle at each configuration of ``samples`` (m, dof) [m].

    Where they touch, or a link is inside a mesh, it is at most 0.
    """
    solid = scene[name]
    if isinstance(solid.shape, PointCloud | DistanceField):
        specks = _Specks(name, solid.shape, solid.X_WO)
        moves = [link for link in robot.links if link.body]
        poses = [_body_poses(robot, q) for q in samples]
        each = [
            [specks.distance(points, X[link.body], _FAR) for link in moves for points in link.hulls_B] for X in poses
        ]
        return np.array(each).min(axis=1)
    shape = _looked_at(solid.shape)
    obstacle = fcl.CollisionObject(_geometry(shape), _transform(solid.X_WO))
    moving = [
        (link.body, [_hull(points) for points in link.hulls_B], link.hulls_B) for link in robot.links if link.body
    ]
    distances = np.full(len(samples), np.inf)
    for i, q in enumerate(samples):
        X_WB = _body_poses(robot, q)
        for body, hulls, points in moving:
            for hull in hulls:
                obj = fcl.CollisionObject(hull, _transform(X_WB[body]))
                apart = fcl.distance(obj, obstacle, fcl.DistanceRequest(), fcl.DistanceResult())
                distances[i] = min(distances[i], apart)
            X_OB = np.linalg.inv(solid.X_WO) @ X_WB[body]
            if isinstance(shape, Mesh) and any(_inside(shape, X_OB, hull_B[0]) for hull_B in points):
                distances[i] = min(distances[i], 0.0)
    return distances


_FAR = 0.2
"""Specks that are further away than this are not measured [m]."""
_CUTS = 4
"""A field of distances is looked at in so many places along each edge of a cell."""


class _Specks:
    """Points with a radius: those of a cloud, or places of a field of distances where it is not above 0."""

    def __init__(self, name: str, shape: PointCloud | DistanceField, X_WO: Array) -> None:
        self.name = name
        if isinstance(shape, PointCloud):
            points, self.radius = np.asarray(shape.points, dtype=np.float64), shape.radius
        else:
            points, self.radius = _solid_places(shape), 0.0
        self.tree = cKDTree(points @ X_WO[:3, :3].T + X_WO[:3, 3])

    def distance(self, hull_B: Array, X_WB: Array, beyond: float = 0.0) -> float:
        """Of the nearest one from a hull, at most 0 if they touch; inf if it is further away than ``beyond`` [m]."""
        centre = hull_B.mean(axis=0)
        reach = np.linalg.norm(hull_B - centre, axis=1).max() + self.radius + beyond
        near = self.tree.query_ball_point(X_WB[:3, :3] @ centre + X_WB[:3, 3], reach)
        p_B = (self.tree.data[near] - X_WB[:3, 3]) @ X_WB[:3, :3]
        hull = ConvexHull(hull_B)
        if not near:
            return np.inf
        outside = (p_B @ hull.equations[:, :3].T + hull.equations[:, 3]).max(axis=1)  # the distance is no less
        if (outside <= 0.0).any():
            return float(outside.min()) - self.radius
        best = np.inf
        for point, least in sorted(zip(p_B, outside, strict=True), key=lambda pair: pair[1]):
            if least >= best:
                break
            best = min(best, _distance_to_triangles(point, hull_B[hull.simplices]))
        return best - self.radius


def _solid_places(field: DistanceField) -> Array:
    """(n, 3) all solid nodes, and solid places in cells that are not solid throughout [m]."""
    d = np.asarray(field.distances, dtype=np.float64)
    cells = np.stack(np.meshgrid(*(np.arange(n - 1) for n in d.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    corners = {ijk: d[tuple((cells + ijk).T)] for ijk in np.ndindex(2, 2, 2)}
    solid = np.array([values <= 0.0 for values in corners.values()])
    partly = solid.any(axis=0) & ~solid.all(axis=0)
    cells, places = cells[partly], [np.argwhere(d <= 0.0).astype(np.float64)]
    for place in np.ndindex(_CUTS + 1, _CUTS + 1, _CUTS + 1):
        t = np.array(place) / _CUTS
        weights = {ijk: np.prod(np.where(ijk, t, 1 - t)) for ijk in corners}
        value = sum(weights[ijk] * values[partly] for ijk, values in corners.items())
        places.append(cells[value <= 0.0] + t)
    return np.asarray(np.concatenate(places) * field.resolution)


def _distance_to_triangles(point: Array, triangles: Array) -> float:
    """Of a point outside a hull from its triangles (F, 3, 3): from the planes above them, else from their edges."""
    a, edges = triangles - point, np.roll(triangles, -1, axis=1) - triangles
    t = np.clip(-np.sum(a * edges, axis=2) / np.sum(edges * edges, axis=2), 0.0, 1.0)
    to_edges = np.linalg.norm(a + t[:, :, None] * edges, axis=2).min(axis=1)
    normal = np.cross(edges[:, 0], edges[:, 1])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    side = np.sum(np.cross(edges, -a) * normal[:, None], axis=2)
    above = (side >= 0.0).all(axis=1) | (side <= 0.0).all(axis=1)
    return float(np.where(above, np.abs(np.sum(a[:, 0] * normal, axis=1)), to_edges).min())


def _inside(mesh: Mesh, X_OB: Array, p_B: Array) -> bool:
    """Whether a point is inside a mesh: a ray that leaves it crosses the surface an odd number of times."""
    p = X_OB[:3, :3] @ p_B + X_OB[:3, 3]
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    ray = np.array([0.5773, 0.2113, 0.7887])  # along no axis: it should not meet an edge
    cross = np.cross(ray, c - a)  # Moeller and Trumbore 1997
    det = np.sum((b - a) * cross, axis=1)
    det = np.where(np.abs(det) < 1e-300, 1e-300, det)
    u = np.sum((p - a) * cross, axis=1) / det
    other = np.cross(p - a, b - a)
    v, t = other @ ray / det, np.sum((c - a) * other, axis=1) / det
    return bool(np.sum((u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)) % 2)


def _body_poses(robot: Robot, q: Array) -> list[Array]:
    poses = [np.asarray(robot.X_W0, dtype=np.float64)]
    for joint, parent, value in zip(robot.joints, robot.parents, q, strict=True):
        X_JB = np.eye(4)
        if joint.kind == "prismatic":
            X_JB[2, 3] = value
        else:
            c, s = np.cos(value), np.sin(value)
            X_JB[:2, :2] = [[c, -s], [s, c]]
        poses.append(poses[parent] @ joint.X_PJ @ X_JB)
    return poses


def _transform(X: Array) -> fcl.Transform:
    return fcl.Transform(X[:3, :3], X[:3, 3])


def _hull(points: Array) -> fcl.Convex:
    hull = ConvexHull(points)
    faces = np.concatenate([np.full((len(hull.simplices), 1), 3), hull.simplices], axis=1)
    return fcl.Convex(np.asarray(points, dtype=np.float64), len(hull.simplices), faces.ravel())


def _surface(mesh: Mesh) -> fcl.BVHModel:
    model = fcl.BVHModel()
    model.beginModel(len(mesh.faces), len(mesh.vertices))
    model.addSubModel(np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces))
    model.endModel()
    return model


_GEOMETRY: dict[type[Shape], Callable[[Any], fcl.CollisionGeometry]] = {
    Box: lambda s: fcl.Box(*s.size),
    Cylinder: lambda s: fcl.Cylinder(s.radius, s.length),
    Capsule: lambda s: fcl.Capsule(s.radius, s.length),
    Sphere: lambda s: fcl.Sphere(s.radius),
    Mesh: _surface,
}


def _looked_at(shape: Shape) -> Shape:
    """Itself, or, of a kind that FCL has not, the mesh that contains it."""
    return shape if type(shape) in _GEOMETRY else as_mesh(shape)


def _geometry(shape: Shape) -> fcl.CollisionGeometry:
    return _GEOMETRY[type(shape)](shape)
