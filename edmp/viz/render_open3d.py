"""The renderer of Open3D: Filament on Vulkan, headless, in software if need be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.viz.raster import NumpyView
from edmp.viz.shot import Body, Shot
from edmp.viz.surfaces import Surface

Array = NDArray[np.float64]

SUN = (0.35, 0.5, -0.8)
"""Direction in which the sun shines, in the world."""
SUN_INTENSITY = 45_000.0
"""[lux]"""
GAMMA = 2.2
"""Without its post-processing, which tints the white background, Filament gives linear intensities."""
SKY_INTENSITY = 18_000.0
"""Brightness of the surroundings, in Filament's units."""


class Open3dRenderer:
    """Draws with `open3d.visualization.rendering.OffscreenRenderer`."""

    name = "open3d"

    def open(self, shot: Shot) -> Open3dView:
        return Open3dView(shot)


class Open3dView:
    """One mesh, coloured at its vertices, of what stands still, and one of what moves.

    Every geometry costs a software driver seconds: so what moves is put into the world and handed over anew.
    """

    def __init__(self, shot: Shot) -> None:
        from open3d.visualization import rendering

        self._shot, self._composer = shot, NumpyView(shot)
        width, height = shot.camera.size
        self._renderer = rendering.OffscreenRenderer(width, height)
        scene = self._renderer.scene
        scene.set_background([1.0, 1.0, 1.0, 1.0])
        scene.set_lighting(rendering.Open3DScene.LightingProfile.NO_SHADOWS, list(SUN))
        scene.scene.set_sun_light(list(SUN), [1.0, 1.0, 1.0], SUN_INTENSITY)
        scene.scene.set_indirect_light_intensity(SKY_INTENSITY)
        scene.view.set_post_processing(False)
        self._show("still", shot.still)
        self._look()

    def _show(self, name: str, surfaces: Sequence[Surface]) -> None:
        """Draw ``surfaces`` in place of those shown under this name before."""
        from open3d.visualization import rendering

        self._renderer.scene.remove_geometry(name)
        if not surfaces:
            return
        material = rendering.MaterialRecord()
        material.shader = "defaultLit"
        material.base_roughness = 0.9
        material.base_reflectance = 0.1
        self._renderer.scene.add_geometry(name, vertex_colored(surfaces), material)

    def _look(self) -> None:
        """The camera of the shot: x to the right, y down, z forward, as in computer vision."""
        camera = self._shot.camera
        width, height = camera.size
        X_CW = np.eye(4)
        X_CW[:3, :3] = camera.axes
        X_CW[:3, 3] = -camera.axes @ camera.eye
        centre = camera.centre + 0.5
        intrinsic = np.array([[camera.scale, 0, centre[0]], [0, camera.scale, centre[1]], [0, 0, 1]])
        self._renderer.setup_camera(intrinsic, X_CW, width, height)

    def frame(self, X_WB: Array, bodies: Sequence[Body] | None = None) -> Array:
        """See `View.frame`."""
        shown = self._shot.bodies if bodies is None else bodies
        moving = [body.surface.at(X) for body, X in zip(shown, X_WB, strict=True) if body.opacity == 1.0]
        self._show("moving", moving)
        linear = np.asarray(self._renderer.render_to_image())[..., :3] / 255.0
        return self._composer.composed_with(linear ** (1 / GAMMA), X_WB, bodies)

    def close(self) -> None:
        self._renderer.scene.clear_geometry()


def vertex_colored(surfaces: Sequence[Surface]) -> Any:
    """One Open3D mesh of several surfaces, every triangle with corners, colours and normals of its own."""
    import open3d

    corners = np.concatenate([surface.vertices[surface.faces] for surface in surfaces]).reshape(-1, 3)
    colors = np.concatenate([
        np.broadcast_to(surface.color, surface.faces.shape) if surface.face_colors is None else surface.face_colors
        for surface in surfaces
    ])  # fmt: skip
    mesh = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(corners),
        open3d.utility.Vector3iVector(np.arange(len(corners), dtype=np.int32).reshape(-1, 3)),
    )
    mesh.vertex_colors = open3d.utility.Vector3dVector(colors.repeat(3, axis=0))
    if all(surface.normals is not None for surface in surfaces):
        normals = np.concatenate([surface.normals for surface in surfaces if surface.normals is not None])
        mesh.vertex_normals = open3d.utility.Vector3dVector(normals.reshape(-1, 3))
    else:
        mesh.compute_vertex_normals()
    return mesh
