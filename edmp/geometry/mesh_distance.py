"""Signed distance from closed triangle meshes: a query of a bounding volume hierarchy, in Warp."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from edmp.geometry.measured import measured
from edmp.geometry.mesh_cache import MeshCache
from edmp.geometry.shapes import Mesh
from edmp.warp_start import wp


@wp.kernel
def _query(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),  # type: ignore[valid-type]
    distances: wp.array(dtype=wp.float32),  # type: ignore[valid-type]
    gradients: wp.array(dtype=wp.vec3),  # type: ignore[valid-type]
):
    i = wp.tid()
    p = points[i]
    # Everything is near enough; the winding number tells inside from outside even where normals are ambiguous.
    query = wp.mesh_query_point_sign_winding_number(mesh, p, 1.0e8)
    if query.result:  # type: ignore[attr-defined]
        offset = p - wp.mesh_eval_position(mesh, query.face, query.u, query.v)  # type: ignore[attr-defined]
        length = wp.length(offset)
        distances[i] = query.sign * length  # type: ignore[attr-defined]
        if length > 1.0e-7:
            gradients[i] = query.sign * offset / length  # type: ignore[attr-defined]
        else:
            gradients[i] = wp.mesh_eval_face_normal(mesh, query.face)  # type: ignore[attr-defined]


@functools.cache
def _on_device(device: str) -> MeshCache[wp.Mesh]:
    def make(mesh: Mesh) -> wp.Mesh:
        return wp.Mesh(
            points=wp.array(mesh.vertices.astype("float32"), dtype=wp.vec3, device=device),
            indices=wp.array(mesh.faces.reshape(-1), dtype=wp.int32, device=device),
            support_winding_number=True,
        )

    return MeshCache(make)


def _distances(mesh: Mesh, p_O: Tensor) -> tuple[Tensor, Tensor]:
    points = p_O.reshape(-1, 3).to(torch.float32).contiguous()
    distances = torch.zeros(len(points), device=points.device)
    gradients = torch.zeros_like(points)
    if len(points):
        device = wp.device_from_torch(points.device)
        surface = _on_device(str(device))(mesh)
        wp.launch(
            _query,
            dim=len(points),
            inputs=[surface.id, wp.from_torch(points, dtype=wp.vec3)],
            outputs=[wp.from_torch(distances), wp.from_torch(gradients, dtype=wp.vec3)],
            device=device,
        )
    return distances.reshape(p_O.shape[:-1]).to(p_O.dtype), gradients.reshape(p_O.shape).to(p_O.dtype)


def mesh_signed_distance(mesh: Mesh, p_O: Tensor) -> Tensor:
    """(...,) signed distance [m] of points ``p_O`` (..., 3) in the frame of the mesh; single precision inside."""
    return measured(_distances, mesh, p_O)
