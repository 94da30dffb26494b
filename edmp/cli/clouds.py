"""What a sensor saw, as options of a command: ``--cloud``, where its camera stood, how large a point is."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edmp.cli.arguments import numbers
from edmp.errors import EdmpWarning, InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edmp.geometry.sensed import PointCloud
    from edmp.geometry.shapes import Shape
    from edmp.problem import Problem
    from edmp.scenes.scene import Scene

ROBOT_PADDING = 0.02
"""Points nearer to the robot than this and their radius are its own, as `edmp.sensing.MapSettings` has it [m]."""


@dataclass(frozen=True)
class CloudOptions:
    """As they were typed.

    Attributes:
        clouds: files; a depth image (.png) is one, with the intrinsics of its camera.
        camera_poses: ``'x y z qx qy qz qw'`` of the frame of each in the world; none where they are in the world.
        radius: of each point [m]; None: from how far they are apart.
        scale: length of the files' unit [m]; None: 1 mm of depth images, 1 m of others.
        intrinsics: YAML of the camera of all depth images.
        without_robot: points near the robot at the start are its own, and left out.
    """

    clouds: Sequence[Path] = ()
    camera_poses: Sequence[str] = ()
    radius: float | None = None
    scale: float | None = None
    intrinsics: Path | None = None
    without_robot: bool = False

    def __post_init__(self) -> None:
        poses, clouds = len(self.camera_poses), len(self.clouds)
        images = [path for path in self.clouds if _is_image(path)]
        if images and self.intrinsics is None:
            raise InvalidInputError(f"--cloud {images[0]}: a depth image needs the --intrinsics of its camera")
        if self.intrinsics is not None and not images:
            raise InvalidInputError("--intrinsics belongs to a --cloud that is a depth image (.png)")
        if not clouds:
            for name, option in _OPTIONS.items():
                if (value := getattr(self, name)) not in (None, (), []) and value is not False:
                    raise InvalidInputError(f"{option} belongs to --cloud")
        elif poses not in (0, clouds):
            raise InvalidInputError(
                f"--camera-pose: give one for each --cloud, in their order, or none if they are in the world's frame; "
                f"got {poses} for {clouds}"
            )

    def added_to(self, problem: Problem) -> Scene:
        """The problem's scene and what the files hold, each an obstacle that is named after its file.

        Raises:
            EdmpError: names the file or option at fault.
        """
        from edmp.geometry.poses import pose
        from edmp.scenes.scene import Obstacle

        scene = problem.scene
        for k, path in enumerate(self.clouds):
            shape, X_CO = self._seen(path)
            if self.camera_poses:
                values = numbers(self.camera_poses[k], 7, "--camera-pose")
                try:
                    X_CO = pose(values[:3], values[3:]) @ X_CO
                except InvalidInputError as error:
                    raise InvalidInputError(f"--camera-pose: {error}") from None
            if self.without_robot:
                shape = _without_robot(path, shape, X_CO, problem)
            scene = dataclasses.replace(scene, obstacles=(*scene, Obstacle(_free_name(path, scene), shape, X_CO)))
        return scene

    def _seen(self, path: Path) -> tuple[Shape, NDArray[np.float64]]:
        """What is in a file, and its pose in the file's frame."""
        import numpy as np

        from edmp.scenes.clouds import load_sensed

        if _is_image(path):
            return self._of_image(path), np.eye(4)
        scale = 1.0 if self.scale is None else self.scale
        return load_sensed(path, radius=self.radius, scale=scale, viewpoint=not self.camera_poses)

    def _of_image(self, path: Path) -> PointCloud:
        """What a depth image shows, in the frame of its camera."""
        import numpy as np

        from edmp.scenes.clouds import cloud_of
        from edmp.sensing.files import load_camera, load_depth

        assert self.intrinsics is not None
        depth = load_depth(path, scale=0.001 if self.scale is None else self.scale)
        farthest = float(depth.max(initial=0.0, where=depth < float("inf")))
        camera = load_camera(self.intrinsics, near=1e-6, far=max(1.001 * farthest, 1.0))
        try:
            return cloud_of(camera.points(depth.astype(np.float64)), radius=self.radius, what=str(path))
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}, seen by {self.intrinsics}: {error}") from None


def _without_robot(path: Path, shape: Shape, X_WO: NDArray[np.float64], problem: Problem) -> Shape:
    """The points that are not near the robot at the start, and how many were."""
    import numpy as np

    from edmp.geometry.sensed import PointCloud
    from edmp.sensing.pieces import near_robot

    if not isinstance(shape, PointCloud):
        raise InvalidInputError(f"--without-robot: {path} holds {type(shape).__name__}; only points can be left out")
    start = np.asarray(problem.start, dtype=np.float64)
    p_W = shape.points @ X_WO[:3, :3].T + X_WO[:3, 3]
    own = near_robot(problem.robot, start, p_W, shape.radius + ROBOT_PADDING)
    if own.all():
        raise InvalidInputError(f"--without-robot: all points of {path} are at the robot; is the start right?")
    warnings.warn(
        f"{path}: {int(own.sum())} of {len(own)} points are within {1e3 * ROBOT_PADDING:g} mm, and their radius, of "
        f"{problem.robot.name} at the start, and left out",
        EdmpWarning,
        stacklevel=2,
    )
    return PointCloud(shape.points[~own], shape.radius)


_OPTIONS = {
    "without_robot": "--without-robot",
    "camera_poses": "--camera-pose",
    "radius": "--cloud-radius",
    "scale": "--cloud-scale",
}


def _is_image(path: Path) -> bool:
    return path.suffix.lower() == ".png"


def _free_name(path: Path, scene: Scene) -> str:
    name, number = path.stem or "cloud", 2
    while name in scene:
        name, number = f"{path.stem}-{number}", number + 1
    return name
