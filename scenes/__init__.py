"""What the arm must not hit: shapes, distances, generators and file formats."""

from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere
from edmp.scenes.files import load_scene, save_scene
from edmp.scenes.scene import Obstacle, Region, Scene

__all__ = [
    "Box",
    "Capsule",
    "Cylinder",
    "Mesh",
    "Obstacle",
    "Region",
    "Scene",
    "Shape",
    "Sphere",
    "load_scene",
    "save_scene",
]
