"""Shapes, poses, meshes and exact distances: what robots and scenes are both made of."""
