"""Write scenes and requests as MoveIt YAML, such that `load_moveit_scene` and `load_moveit_request` read them back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpWarning, InvalidInputError
from edmp.files.yaml_writing import write_yaml
from edmp.geometry.boxed import boxes_round
from edmp.geometry.kinds import as_mesh
from edmp.geometry.poses import pose, quaternion_of
from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere
from edmp.scenes.moveit import MoveItScene
from edmp.scenes.moveit_request import LinkPose, MoveItRequest
from edmp.scenes.scene import Obstacle, Scene

MOST_BOXES = 10_000
"""Of one object: MoveIt looks at each."""

Array = NDArray[np.float64]
Piece = tuple[dict[str, Any], Array]


def save_moveit_scene(path: str | Path, scene: Scene | MoveItScene) -> None:
    """Write a planning scene file.

    MoveIt has no capsules: one is written as a cylinder and two spheres; other kinds that it has not as meshes. Voxels
    are boxes, exactly; clouds and fields are boxes that contain them, which is told.

    Raises:
        InvalidInputError: if the file cannot be written, or voxels, a cloud or a field come to too many boxes.
    """
    if isinstance(scene, Scene):
        scene = MoveItScene(scene)
    document = {
        "robot_model_name": scene.robot_model,
        "robot_state": _robot_state(scene.joint_positions, scene.X_WR),
        "world": {"collision_objects": [_collision_object(obstacle) for obstacle in scene.scene]},
    }
    write_yaml(path, document)


def save_moveit_request(path: str | Path, request: MoveItRequest) -> None:
    """Write a motion plan request file with joint-space goals.

    Raises:
        InvalidInputError: if there is no goal, or the file cannot be written.
    """
    if not request.goals:
        raise InvalidInputError("a motion plan request needs at least one goal")
    if any(isinstance(goal, LinkPose) for goal in request.goals):
        raise InvalidInputError("poses as goals of a request are not written; expected joint values by name")
    goals = [
        {"joint_constraints": [{"joint_name": name, "position": float(value)} for name, value in goal.items()]}
        for goal in request.goals
        if not isinstance(goal, LinkPose)
    ]
    document = {
        "start_state": _robot_state(request.start, request.X_WR),
        "goal_constraints": goals,
        "group_name": request.group,
        "max_velocity_scaling_factor": float(request.velocity_scale),
        "max_acceleration_scaling_factor": float(request.acceleration_scale),
    }
    write_yaml(path, document)


def _robot_state(joints: Mapping[str, float], X_WR: Array | None) -> dict[str, Any]:
    state: dict[str, Any] = {
        "joint_state": {"name": list(joints), "position": [float(value) for value in joints.values()]}
    }
    if X_WR is not None:
        transform = {"translation": X_WR[:3, 3].tolist(), "rotation": quaternion_of(X_WR).tolist()}
        state["multi_dof_joint_state"] = {"joint_names": ["virtual_joint"], "transforms": [transform]}
    return state


def _collision_object(obstacle: Obstacle) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": obstacle.name}
    if isinstance(obstacle.shape, PointCloud | Voxels | DistanceField):
        return entry | _boxes(obstacle)
    write = _PRIMITIVES.get(type(obstacle.shape))
    if write is None:
        return entry | {"meshes": [_mesh(as_mesh(obstacle.shape))], "mesh_poses": [_pose(obstacle.X_WO)]}
    pieces = write(obstacle.shape)
    poses = [_pose(obstacle.X_WO @ X_OP) for _, X_OP in pieces]
    return entry | {"primitives": [piece for piece, _ in pieces], "primitive_poses": poses}


def _boxes(obstacle: Obstacle) -> dict[str, Any]:
    """The boxes, and their poses in the world, that contain what a sensor saw."""
    middles, sizes, beyond = boxes_round(obstacle.shape)
    name = type(obstacle.shape).__name__
    if len(middles) > MOST_BOXES:
        raise InvalidInputError(
            f"obstacle {obstacle.name!r}: a {name} that comes to {len(middles)} boxes is not written for MoveIt; "
            f"at most {MOST_BOXES}; edmp.save_scene keeps it as it is"
        )
    if beyond:
        warnings.warn(
            f"obstacle {obstacle.name!r}: MoveIt has no {name}: written as {len(middles)} boxes that contain it and "
            f"leave it by up to {1e3 * beyond:.3g} mm",
            EdmpWarning,
            stacklevel=4,
        )
    return {
        "primitives": [_primitive("box", *size)[0] for size in sizes.tolist()],
        "primitive_poses": [_pose(obstacle.X_WO @ pose(middle)) for middle in middles],
    }


def _pose(X: Array) -> dict[str, Any]:
    return {"position": X[:3, 3].tolist(), "orientation": quaternion_of(X).tolist()}


def _primitive(kind: str, *dimensions: float, z: float = 0.0) -> Piece:
    X_OP = np.eye(4)
    X_OP[2, 3] = z
    return {"type": kind, "dimensions": list(dimensions)}, X_OP


def _capsule(shape: Capsule) -> list[Piece]:
    ends = [_primitive("sphere", shape.radius, z=z) for z in (-shape.length / 2, shape.length / 2)]
    return [_primitive("cylinder", shape.length, shape.radius), *ends]


def _mesh(shape: Mesh) -> dict[str, Any]:
    triangles = [{"vertex_indices": face} for face in shape.faces.tolist()]
    return {"vertices": shape.vertices.tolist(), "triangles": triangles}


_PRIMITIVES: dict[type[Shape], Callable[[Any], list[Piece]]] = {
    Box: lambda shape: [_primitive("box", *shape.size)],
    Cylinder: lambda shape: [_primitive("cylinder", shape.length, shape.radius)],
    Sphere: lambda shape: [_primitive("sphere", shape.radius)],
    Capsule: _capsule,
}
"""Shapes that MoveIt has primitives for: those whose union it is, each with its pose in the shape's frame."""
