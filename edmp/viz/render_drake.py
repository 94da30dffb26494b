"""The renderer of Drake: VTK, with light and shade, headless. Meshes are written to a temporary folder for it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.viz.camera import Camera
from edmp.viz.raster import NumpyView
from edmp.viz.shot import Body, Shot
from edmp.viz.surfaces import Surface, cross

Array = NDArray[np.float64]

LIGHTS = (
    ("world", (0.35, 0.5, -0.8), 0.45),
    ("world", (0.0, 0.0, 1.0), 0.20),
    ("camera", (0.2, 0.1, 1.0), 0.55),
    ("camera", (-0.9, 0.2, 0.5), 0.20),
    ("camera", (0.9, 0.2, 0.5), 0.15),
)
"""Frame and direction in which each light shines, and its brightness: a sun, the floor, and three at the camera."""
PALETTE = 32
"""The palette has this many cells each way, so this many squared colours; each cell is `CELL` pixels wide."""
CELL = 4


class DrakeRenderer:
    """Draws with `RenderEngineVtk`."""

    name = "drake"

    def open(self, shot: Shot) -> DrakeView:
        return DrakeView(shot)


class DrakeView:
    """A scene graph with all that is opaque in a shot; between frames only poses change."""

    def __init__(self, shot: Shot) -> None:
        self._shot = shot
        self._folder = tempfile.TemporaryDirectory(prefix="edmp-viz-")
        self._composer = NumpyView(shot)
        self._set_up(shot.bodies)

    def _set_up(self, bodies: Sequence[Body]) -> None:
        from pydrake.geometry import LightParameter, MakeRenderEngineVtk, RenderEngineVtkParams, SceneGraph

        lights = [
            LightParameter(type="directional", frame=frame, direction=list(direction), intensity=intensity)
            for frame, direction, intensity in LIGHTS
        ]
        params = RenderEngineVtkParams(default_clear_color=[1.0, 1.0, 1.0], lights=lights)
        self._graph = SceneGraph()
        self._graph.AddRenderer("vtk", MakeRenderEngineVtk(params))
        self._source = self._graph.RegisterSource("edmp")
        self._world = self._graph.world_frame_id()
        if self._shot.still:
            self._graph.RegisterAnchoredGeometry(self._source, self._instance("still", self._shot.still))
        self._frames = [
            self._moving(f"body{k}", body.surface) if body.opacity == 1.0 else None for k, body in enumerate(bodies)
        ]
        self._context = self._graph.CreateDefaultContext()

    def _moving(self, name: str, surface: Surface) -> Any:
        from pydrake.geometry import GeometryFrame

        frame = self._graph.RegisterFrame(self._source, GeometryFrame(name))
        self._graph.RegisterGeometry(self._source, frame, self._instance(name, [surface]))
        return frame

    def _instance(self, name: str, surfaces: Sequence[Surface]) -> Any:
        """One mesh of several surfaces; their colours are in a palette that serves as its texture."""
        from pydrake.geometry import GeometryInstance, Mesh, PerceptionProperties, RenderLabel, Rgba
        from pydrake.math import RigidTransform

        mesh, palette = write_textured(Path(self._folder.name) / f"{name}.obj", surfaces)
        properties = PerceptionProperties()
        properties.AddProperty("phong", "diffuse", Rgba(1, 1, 1, 1))
        properties.AddProperty("phong", "diffuse_map", str(palette))
        properties.AddProperty("label", "id", RenderLabel.kDontCare)
        instance = GeometryInstance(RigidTransform(), Mesh(mesh), name)
        instance.set_perception_properties(properties)
        return instance

    def frame(self, X_WB: Array, bodies: Sequence[Body] | None = None) -> Array:
        """See `View.frame`; other bodies mean a new scene graph."""
        from pydrake.geometry import ColorRenderCamera, FramePoseVector
        from pydrake.math import RigidTransform, RotationMatrix

        if bodies is not None:
            self._set_up(bodies)
        poses = FramePoseVector()
        opaque = [(frame, X) for frame, X in zip(self._frames, X_WB, strict=True) if frame is not None]
        for frame, X in opaque:
            rotation = RotationMatrix.ProjectToRotationMatrix(X[:3, :3])
            poses.set_value(frame, RigidTransform(rotation, p=X[:3, 3]))
        if opaque:
            self._graph.get_source_pose_port(self._source).FixValue(self._context, poses)
        camera = self._shot.camera
        eye: Any = camera.eye  # Drake's stubs want another kind of array
        X_WC = RigidTransform(RotationMatrix(camera.axes.T), eye)
        query: Any = self._graph.get_query_output_port().Eval(self._context)
        image = query.RenderColorImage(ColorRenderCamera(_core(camera), False), self._world, X_WC).data[..., :3] / 255.0
        return self._composer.composed_with(image, X_WB, bodies)

    def close(self) -> None:
        self._folder.cleanup()


def _core(camera: Camera) -> Any:
    from pydrake.geometry import ClippingRange, RenderCameraCore
    from pydrake.math import RigidTransform
    from pydrake.systems.sensors import CameraInfo

    width, height = camera.size
    centre = camera.centre + 0.5  # Drake counts pixels from their corners
    info = CameraInfo(width, height, camera.scale, camera.scale, float(centre[0]), float(centre[1]))
    return RenderCameraCore("vtk", info, ClippingRange(0.05, 100.0), RigidTransform())


def write_textured(path: Path, surfaces: Sequence[Surface]) -> tuple[Path, Path]:
    """Write surfaces as one .obj whose texture is a palette of their colours; returns both files."""
    from PIL import Image

    corners = np.concatenate([surface.vertices[surface.faces] for surface in surfaces])
    normals = np.concatenate([_normals(surface) for surface in surfaces])
    colors = np.concatenate([
        np.broadcast_to(surface.color, surface.faces.shape) if surface.face_colors is None else surface.face_colors
        for surface in surfaces
    ])  # fmt: skip
    steps = np.round(np.clip(colors, 0, 1) * 40).astype(np.int64)
    keys, index = np.unique((steps[:, 0] * 41 + steps[:, 1]) * 41 + steps[:, 2], return_inverse=True)
    if len(keys) > PALETTE**2:
        index = np.round(index * (PALETTE**2 - 1) / (len(keys) - 1)).astype(int)
    palette = np.zeros((PALETTE**2, 3))
    palette[index] = colors
    image = palette.reshape(PALETTE, PALETTE, 3).repeat(CELL, axis=0).repeat(CELL, axis=1)
    texture = path.with_suffix(".png")
    Image.fromarray(np.round(255 * image).astype(np.uint8)).save(texture)
    row, column = np.divmod(index, PALETTE)
    uv = np.stack([(column + 0.5) / PALETTE, 1 - (row + 0.5) / PALETTE], axis=1).repeat(3, axis=0)
    number = np.arange(1, 3 * len(corners) + 1).repeat(3).reshape(-1, 9)
    with path.open("w", encoding="ascii") as file:
        for form, rows in (
            ("v %.5f %.5f %.5f\n", corners.reshape(-1, 3)),
            ("vn %.4f %.4f %.4f\n", normals.reshape(-1, 3)),
            ("vt %.5f %.5f\n", uv),
            ("f %d/%d/%d %d/%d/%d %d/%d/%d\n", number),
        ):
            file.write((form * len(rows)) % tuple(rows.reshape(-1).tolist()))
    return path, texture


def _normals(surface: Surface) -> Array:
    """(F, 3, 3) at the corners."""
    if surface.normals is not None:
        return surface.normals
    corners = surface.vertices[surface.faces]
    flat = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-15)
    return np.repeat(flat[:, None], 3, axis=1)
