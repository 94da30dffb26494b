"""What a sensor saw, as options of a command: ``--cloud``, where its camera stood, how large a point is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edmp.cli.arguments import numbers
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.scenes.scene import Scene


@dataclass(frozen=True)
class CloudOptions:
    """As they were typed.

    Attributes:
        clouds: files.
        camera_poses: ``'x y z qx qy qz qw'`` of the frame of each in the world; none where they are in the world.
        radius: of each point [m]; None: from how far they are apart.
        scale: length of the files' unit [m].
    """

    clouds: Sequence[Path] = ()
    camera_poses: Sequence[str] = ()
    radius: float | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        poses, clouds = len(self.camera_poses), len(self.clouds)
        if not clouds:
            for name in ("camera_poses", "radius", "scale"):
                if getattr(self, name):
                    option = "--camera-pose" if name == "camera_poses" else f"--cloud-{name}"
                    raise InvalidInputError(f"{option} belongs to --cloud")
        elif poses not in (0, clouds):
            raise InvalidInputError(
                f"--camera-pose: give one for each --cloud, in their order, or none if they are in the world's frame; "
                f"got {poses} for {clouds}"
            )

    def added_to(self, scene: Scene) -> Scene:
        """The scene and what the files hold, each an obstacle that is named after its file.

        Raises:
            EdmpError: names the file or option at fault.
        """
        from edmp.geometry.poses import pose
        from edmp.scenes.clouds import load_sensed
        from edmp.scenes.scene import Obstacle

        for k, path in enumerate(self.clouds):
            shape, X_CO = load_sensed(path, radius=self.radius, scale=self.scale or 1.0)
            if self.camera_poses:
                values = numbers(self.camera_poses[k], 7, "--camera-pose")
                try:
                    X_CO = pose(values[:3], values[3:]) @ X_CO
                except InvalidInputError as error:
                    raise InvalidInputError(f"--camera-pose: {error}") from None
            scene = dataclasses.replace(scene, obstacles=(*scene, Obstacle(_free_name(path, scene), shape, X_CO)))
        return scene


def _free_name(path: Path, scene: Scene) -> str:
    name, number = path.stem or "cloud", 2
    while name in scene:
        name, number = f"{path.stem}-{number}", number + 1
    return name
