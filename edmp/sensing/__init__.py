"""From sensors to scenes: depth cameras, the map that they fill, and what of it a plan takes for free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edmp.lazy_names import lazily

_HOMES = {
    "edmp.sensing.camera": ("DepthCamera",),
    "edmp.sensing.files": ("load_camera", "load_depth", "point_cloud", "voxels"),
    "edmp.sensing.map": ("Map", "MapSettings"),
    "edmp.sensing.simulated": ("PERFECT", "SensorFaults", "SimulatedCameras"),
}

if TYPE_CHECKING:
    from edmp.sensing.camera import DepthCamera
    from edmp.sensing.files import load_camera, load_depth, point_cloud, voxels
    from edmp.sensing.map import Map, MapSettings
    from edmp.sensing.simulated import PERFECT, SensorFaults, SimulatedCameras

__all__ = [
    "PERFECT",
    "DepthCamera",
    "Map",
    "MapSettings",
    "SensorFaults",
    "SimulatedCameras",
    "load_camera",
    "load_depth",
    "point_cloud",
    "voxels",
]

__getattr__, __dir__ = lazily(__name__, _HOMES, __all__)
