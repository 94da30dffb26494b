"""From sensors to scenes: depth cameras, the map that they fill, and what of it a plan takes for free."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "edmp.sensing.camera": ("DepthCamera",),
    "edmp.sensing.files": ("load_camera", "load_depth", "point_cloud", "voxels"),
    "edmp.sensing.map": ("Map", "MapSettings"),
    "edmp.sensing.simulated": ("PERFECT", "SensorFaults", "SimulatedCameras"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'edmp.sensing' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
