"""Depth cameras that Drake simulates: what they would see of a scene and an arm in it, with a sensor's faults."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked
from edmp.errors import EdmpError, InvalidInputError
from edmp.geometry.kinds import triangles
from edmp.geometry.primitives import hull_faces
from edmp.ranges import Range, check_fields
from edmp.robots import load_robot
from edmp.robots.configuration import configuration
from edmp.robots.kinematics import body_poses
from edmp.robots.robot import Robot
from edmp.scenes.distance import scene_distance
from edmp.scenes.scene import Scene
from edmp.sensing.camera import DepthCamera

Array = NDArray[np.float64]
Depth = NDArray[np.float32]


@dataclass(frozen=True)
class SensorFaults:
    """What a depth camera does wrong; the defaults are about those of a stereo camera at short range.

    Attributes:
        noise: standard deviation at ``noise_at``; it grows with the square of depth, as disparity has it [m].
        noise_at: depth [m].
        dropout: share of pixels that say nothing, drawn one by one [1].
        edge_dropout: share of those at edges, where depth jumps, that say nothing [1].
        edge_jump: between neighbours that makes an edge [m].
    """

    noise: float = 0.002
    noise_at: float = 1.0
    dropout: float = 0.002
    edge_dropout: float = 0.7
    edge_jump: float = 0.03

    def __post_init__(self) -> None:
        positive, share = Range(0, above=True), Range(0, 1)
        check_fields(self, {"noise": Range(0), "noise_at": positive, "edge_jump": positive})
        check_fields(self, {"dropout": share, "edge_dropout": share})

    @checked
    def applied(self, depth: Depth, rng: np.random.Generator) -> Depth:
        """A perfect image (height, width) [m], with +inf where nothing is, as the sensor has it; 0 says nothing."""
        seen = np.isfinite(depth) & (depth > 0)
        # Drawn for every pixel, so that the same seed gives the same noise whatever is in sight.
        normal, lost, lost_at_edge = rng.normal(size=depth.shape), rng.random(depth.shape), rng.random(depth.shape)
        sigma = self.noise * (np.where(seen, depth, 0.0) / self.noise_at) ** 2
        noisy = np.where(seen, depth + sigma * normal, depth)
        none = (lost < self.dropout) | (_at_edges(depth, self.edge_jump) & (lost_at_edge < self.edge_dropout))
        return np.where(none, 0.0, noisy).astype(np.float32)


PERFECT = SensorFaults(noise=0.0, dropout=0.0, edge_dropout=0.0)
"""A camera without faults."""


class SimulatedCameras:
    """Cameras in a scene, with an arm in it: Drake's `RgbdSensor` with the renderer VTK, no window.

    The arm is seen as the convex pieces that the judge knows, obstacles as they are. What is beyond a camera's range is
    +inf, what is nearer 0.

    Args:
        cameras: by name. They count as ``far_is_free``: in here nothing is there where nothing was measured.
        scene: what stands there, really.
        robot: the arm, by name or as it is; None for none.
        faults: of the cameras; none by default.
        seed: of the faults.

    They belong to the process that made them. One that was forked from a process that has rendered cannot render:
    of its threads, and the graphics library's, none is there.

    Raises:
        InvalidInputError: a camera is inside an obstacle.
        EdmpError: made, or looked through, in such a fork.
    """

    @checked
    def __init__(
        self,
        cameras: Sequence[DepthCamera],
        scene: Scene,
        *,
        robot: Robot | str | None = None,
        faults: SensorFaults = PERFECT,
        seed: int = 0,
    ) -> None:
        self.cameras, self.scene, self.faults = tuple(cameras), scene, faults
        self.robot = load_robot(robot) if isinstance(robot, str) else robot
        self._rng = np.random.default_rng(seed)
        for number, camera in enumerate(self.cameras):
            _check_outside(camera, scene, number)
        # The renderer's window belongs to the thread that made it; who asks may have several.
        self._thread = _renderer()
        self._studio = self._thread.studio()
        self._thread.submit(self._build).result()
        weakref.finalize(self, _end, self._thread, self._studio).atexit = False

    @checked
    def look(self, q: ArrayLike | None = None) -> list[Depth]:
        """An image (height, width) [m] of each camera.

        Args:
            q: (dof,) where the arm is [rad or m], or {joint: value}; home if left out.
        """
        self._thread.check_process()
        if self.robot is None:
            if q is not None:
                raise InvalidInputError("q needs a robot: SimulatedCameras(..., robot=)")
            return self._thread.submit(self._images, np.zeros((0, 4, 4))).result()
        at = self.robot.home if q is None else configuration(self.robot, q, "q")
        X_WB = body_poses(self.robot, torch.as_tensor(at, dtype=torch.float64)).numpy()
        return self._thread.submit(self._images, X_WB).result()

    def _images(self, X_WB: Array) -> list[Depth]:
        global _rendered
        _rendered = True
        from pydrake.geometry import FramePoseVector
        from pydrake.math import RigidTransform, RotationMatrix

        poses = FramePoseVector()
        for frame, X in zip(self._studio.frames, X_WB, strict=True):
            rotation = RotationMatrix.ProjectToRotationMatrix(X[:3, :3])
            poses.set_value(frame, RigidTransform(rotation, p=X[:3, 3]))
        context = self._studio.context
        if self._studio.frames:
            graph_context = self._studio.graph.GetMyMutableContextFromRoot(context)
            self._studio.graph.get_source_pose_port(self._studio.source).FixValue(graph_context, poses)
        images = []
        for camera, sensor in zip(self.cameras, self._studio.sensors, strict=True):
            port: Any = sensor.depth_image_32F_output_port()
            raw = np.array(port.Eval(sensor.GetMyContextFromRoot(context)).data[..., 0], dtype=np.float32)
            images.append(_ranged(self.faults.applied(raw, self._rng), camera))
        return images

    def close(self) -> None:
        """End the renderer where it began; the cameras are blind from now on."""
        _end(self._thread, self._studio)

    def _build(self) -> None:
        with tempfile.TemporaryDirectory(prefix="edmp-cameras-") as folder:  # of meshes, which are read at once
            self._build_from(Path(folder))

    def _build_from(self, folder: Path) -> None:
        from pydrake.geometry import GeometryFrame, MakeRenderEngineVtk, RenderEngineVtkParams, SceneGraph
        from pydrake.math import RigidTransform
        from pydrake.systems.framework import DiagramBuilder
        from pydrake.systems.sensors import RgbdSensor

        builder = DiagramBuilder()
        graph: Any = builder.AddSystem(SceneGraph())
        self._studio.graph = graph
        graph.AddRenderer("vtk", MakeRenderEngineVtk(RenderEngineVtkParams()))
        self._studio.source = graph.RegisterSource("edmp")
        for k, obstacle in enumerate(self.scene):
            vertices, faces = triangles(obstacle.shape)
            instance = self._instance(folder / f"obstacle{k}.obj", vertices, faces, obstacle.X_WO)
            graph.RegisterAnchoredGeometry(self._studio.source, instance)
        self._studio.frames = []
        for body in range(self.robot.num_bodies if self.robot else 0):
            frame = graph.RegisterFrame(self._studio.source, GeometryFrame(f"body{body}"))
            self._studio.frames.append(frame)
            for link in self.robot.links if self.robot else ():
                for k, hull in enumerate(link.hulls_B if link.body == body else ()):
                    instance = self._instance(folder / f"{link.name}-{k}.obj", hull, hull_faces(hull), np.eye(4))
                    graph.RegisterGeometry(self._studio.source, frame, instance)
        self._studio.sensors = []
        for camera in self.cameras:
            X_WC: Any = camera.X_WC
            pose: Any = RigidTransform(X_WC)
            sensor: Any = builder.AddSystem(RgbdSensor(graph.world_frame_id(), pose, _drake_camera(camera)))
            builder.Connect(graph.get_query_output_port(), sensor.query_object_input_port())
            self._studio.sensors.append(sensor)
        self._studio.diagram = builder.Build()
        self._studio.context = self._studio.diagram.CreateDefaultContext()

    @staticmethod
    def _instance(path: Path, vertices: Array, faces: NDArray[np.int64], X: Array) -> Any:
        from pydrake.geometry import GeometryInstance, Mesh, PerceptionProperties, RenderLabel
        from pydrake.math import RigidTransform, RotationMatrix

        placed: Any = X
        _write_obj(path, vertices, faces)
        properties = PerceptionProperties()
        properties.AddProperty("label", "id", RenderLabel.kDontCare)
        rotation = RotationMatrix.ProjectToRotationMatrix(placed[:3, :3])
        instance = GeometryInstance(RigidTransform(rotation, p=placed[:3, 3]), Mesh(path), path.stem)
        instance.set_perception_properties(properties)
        return instance


class _Studio:
    """What Drake made for some cameras, in the thread of the renderers, where it is let go."""

    graph: Any
    source: Any
    frames: list[Any]
    sensors: list[Any]
    diagram: Any
    context: Any


class _RendererThread:
    """The thread of all renderers: what it made is let go there, too, when Python ends at the latest."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = queue.SimpleQueue()
        self._studios: weakref.WeakSet[_Studio] = weakref.WeakSet()
        self._process = os.getpid()
        # Those of a pool are joined before anything is asked to clean up.
        threading.Thread(target=self._work, name="edmp-cameras", daemon=True).start()
        atexit.register(self._end)

    def studio(self) -> _Studio:
        """A new one, empty."""
        studio = _Studio()
        self._studios.add(studio)
        return studio

    def check_process(self) -> None:
        """Raises EdmpError: this is not the process of the thread."""
        if os.getpid() != self._process:
            raise EdmpError(
                f"these cameras belong to process {self._process}, and this is a fork of it, process {os.getpid()}: "
                "make cameras of its own there"
            )

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._jobs.put((future, call, arguments))
        return future

    def _work(self) -> None:
        while True:
            future, call, arguments = self._jobs.get()
            try:
                future.set_result(call(*arguments))
            except BaseException as error:
                future.set_exception(error)
            del future, call, arguments  # or they live until the next one

    def _end(self) -> None:
        if os.getpid() != self._process:
            return  # a forked child has no such thread
        for ended in [self.submit(vars(studio).clear) for studio in self._studios]:
            with contextlib.suppress(TimeoutError):
                ended.exception(timeout=5.0)


@cache
def _renderer() -> _RendererThread:
    """Of this process."""
    if _inherited:
        raise EdmpError(
            "this process was forked from one that has rendered, and would hang: the graphics library's threads are "
            'not here. Start it otherwise (multiprocessing.get_context("spawn")), or use cameras only after forking'
        )
    return _RendererThread()


def _end(thread: _RendererThread, studio: _Studio) -> None:
    """Let the renderer go where it was made."""
    thread.submit(vars(studio).clear)


_rendered = _inherited = False
"""Has this process rendered? Has one from which it was forked?"""


def _forked() -> None:
    """A forked child has its parent's queue, but not the thread, nor those of the graphics library."""
    global _rendered, _inherited
    _inherited, _rendered = _inherited or _rendered, False
    _renderer.cache_clear()


os.register_at_fork(after_in_child=_forked)


def _write_obj(path: Path, vertices: Array, faces: NDArray[np.int64]) -> None:
    """With a normal for each face, which Drake asks for."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-15)
    number = np.arange(1, len(faces) + 1)
    rows = np.column_stack([part for k in range(3) for part in (faces[:, k] + 1, number)])
    with path.open("w", encoding="ascii") as file:
        for form, table in (
            ("v %.7g %.7g %.7g\n", vertices),
            ("vn %.4f %.4f %.4f\n", normals),
            ("f %d//%d %d//%d %d//%d\n", rows),
        ):
            file.write((form * len(table)) % tuple(table.ravel().tolist()))


def _drake_camera(camera: DepthCamera) -> Any:
    from pydrake.geometry import ClippingRange, DepthRange, DepthRenderCamera, RenderCameraCore
    from pydrake.math import RigidTransform
    from pydrake.systems.sensors import CameraInfo

    K = camera.intrinsics
    # Drake counts pixels from their corners.
    info = CameraInfo(camera.width, camera.height, K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5)
    core = RenderCameraCore("vtk", info, ClippingRange(camera.near / 2, 2 * camera.far), RigidTransform())
    return DepthRenderCamera(core, DepthRange(camera.near, camera.far))


def _ranged(depth: Depth, camera: DepthCamera) -> Depth:
    """What noise has brought out of range is out of it."""
    depth = np.where(depth > camera.far, np.float32(np.inf), depth)
    return np.where(depth < camera.near, np.float32(0.0), depth)


def _at_edges(depth: Depth, jump: float) -> NDArray[np.bool_]:
    """Pixels whose depth is another than that of one of their four neighbours."""
    at = np.zeros(depth.shape, dtype=np.bool_)
    flat = np.where(np.isfinite(depth), depth, 1e9)
    for axis in range(2):
        far = np.abs(np.diff(flat, axis=axis)) > jump
        first = [slice(None)] * 2
        second = [slice(None)] * 2
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        at[tuple(first)] |= far
        at[tuple(second)] |= far
    return at


def _check_outside(camera: DepthCamera, scene: Scene, number: int) -> None:
    p = torch.as_tensor(camera.X_WC[:3, 3], dtype=torch.float64)
    distance, index = scene_distance(scene, p)
    if float(distance) <= 0:
        raise InvalidInputError(
            f"camera {number} at {np.round(camera.X_WC[:3, 3], 3).tolist()} is inside obstacle "
            f"{scene.obstacles[int(index)].name!r}: it would see nothing"
        )
