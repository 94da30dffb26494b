"""What the arm must not hit: shapes, distances, generators and file formats."""

from edmp.scenes.files import load_scene, save_scene
from edmp.scenes.scene import Obstacle, Scene
from edmp.scenes.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere

__all__ = ["Box", "Capsule", "Cylinder", "Mesh", "Obstacle", "Scene", "Shape", "Sphere", "load_scene", "save_scene"]
