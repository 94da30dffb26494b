"""What the arm must not hit: shapes, distances, generators and file formats."""

from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere
from edmp.scenes.files import load_scene, save_scene
from edmp.scenes.scene import Obstacle, Region, Scene, Unseen
from edmp.scenes.surface import as_clouds, as_voxels

__all__ = [
    "Box",
    "Capsule",
    "Cylinder",
    "DistanceField",
    "Mesh",
    "Obstacle",
    "PointCloud",
    "Region",
    "Scene",
    "Shape",
    "Sphere",
    "Unseen",
    "Voxels",
    "as_clouds",
    "as_voxels",
    "load_scene",
    "save_scene",
]
