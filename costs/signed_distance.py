"""Signed distance to each shape of obstacle in torch, differentiable: what the distance kernels must agree with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edmp.scenes.scene import Obstacle
from edmp.scenes.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere


def signed_distance(obstacle: Obstacle, p_W: Tensor) -> Tensor:
    """(...) distance [m] from points (..., 3) in the world to the obstacle's surface, negative inside."""
    X_WO = torch.as_tensor(obstacle.X_WO).to(p_W)
    p_O = (p_W - X_WO[:3, 3]) @ X_WO[:3, :3]
    return _DISTANCES[type(obstacle.shape)](obstacle.shape, p_O)


def norm(v: Tensor) -> Tensor:
    """Euclidean norm over the last axis, with zero gradient where it is zero (autograd's own would be NaN)."""
    square = (v * v).sum(-1)
    positive = square > 0
    return torch.where(
        positive, torch.where(positive, square, torch.ones_like(square)).sqrt(), torch.zeros_like(square)
    )


def _outside_inside(a: Tensor) -> Tensor:
    """Distance of a product of intervals, from the signed excess (..., n) over each."""
    return norm(a.clamp(min=0)) + a.amax(-1).clamp(max=0)


def _box(shape: Box, p: Tensor) -> Tensor:
    return _outside_inside(p.abs() - p.new_tensor(shape.size) / 2)


def _cylinder(shape: Cylinder, p: Tensor) -> Tensor:
    excess = [norm(p[..., :2]) - shape.radius, p[..., 2].abs() - shape.length / 2]
    return _outside_inside(torch.stack(excess, dim=-1))


def _capsule(shape: Capsule, p: Tensor) -> Tensor:
    z = p[..., 2]
    along = z - z.clamp(-shape.length / 2, shape.length / 2)
    return norm(torch.cat([p[..., :2], along[..., None]], dim=-1)) - shape.radius


def _sphere(shape: Sphere, p: Tensor) -> Tensor:
    return norm(p) - shape.radius


def _mesh(shape: Mesh, p: Tensor) -> Tensor:
    """Distance to the nearest triangle; inside where the winding number is odd (solid angles: van Oosterom 1983)."""
    corners = torch.as_tensor(shape.vertices).to(p)[torch.as_tensor(shape.faces, dtype=torch.long, device=p.device)]
    a, b, c = (corners[:, i] - p[..., None, :] for i in range(3))  # (..., F, 3)
    la, lb, lc = a.norm(dim=-1), b.norm(dim=-1), c.norm(dim=-1)
    triple = (a * torch.linalg.cross(b, c)).sum(-1)
    angle = torch.atan2(triple, la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb)
    inside = angle.detach().sum(-1) > torch.pi  # the sum of half solid angles is 2 pi inside, 0 outside
    distance = norm(_nearest_on_triangles(a, b, c)).amin(-1)
    return torch.where(inside, -distance, distance)


def _nearest_on_triangles(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """(..., 3) the point of each triangle (a, b, c) nearest to the origin: of its face, or of one of its edges."""
    ab, ac = b - a, c - a
    normal = torch.linalg.cross(ab, ac)
    square = (normal * normal).sum(-1, keepdim=True)
    foot = normal * (a * normal).sum(-1, keepdim=True) / square
    u = (torch.linalg.cross(foot - a, ac) * normal).sum(-1, keepdim=True) / square
    v = (torch.linalg.cross(ab, foot - a) * normal).sum(-1, keepdim=True) / square
    over_face = (u >= 0) & (v >= 0) & (u + v <= 1)
    edges = torch.stack([_nearest_on_segment(a, b), _nearest_on_segment(b, c), _nearest_on_segment(c, a)], dim=-2)
    best = (edges.detach() ** 2).sum(-1).argmin(-1)[..., None, None].expand(*edges.shape[:-2], 1, 3)
    return torch.where(over_face, foot, edges.gather(-2, best).squeeze(-2))


def _nearest_on_segment(a: Tensor, b: Tensor) -> Tensor:
    ab = b - a
    t = (-(a * ab).sum(-1, keepdim=True) / (ab * ab).sum(-1, keepdim=True)).clamp(0, 1)
    return a + t * ab


_DISTANCES: dict[type[Shape], Callable[..., Tensor]] = {
    Box: _box,
    Cylinder: _cylinder,
    Capsule: _capsule,
    Sphere: _sphere,
    Mesh: _mesh,
}
