"""What a browser gets: a subject as plain data for JSON, with the robot's kinematics, so that the page can move it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.robots.parts import Link
from edmp.trajectory import Trajectory
from edmp.viz.models import robot_parts
from edmp.viz.staging import BOXES, FAULT, FIELD_OF_VIEW, GOAL, PATH, REGION, SPHERES, START, SWEPT, Staging
from edmp.viz.surfaces import Surface, corner_normals, tool_positions, tube

Array = NDArray[np.float64]
Document = dict[str, Any]

PATH_POINTS = 120
"""Points of the line that the tool draws."""
SWEPT_POSES = 24
"""Configurations of which the swept volume is made."""


def scene_document(stage: Staging) -> Document:
    """All that the page draws; lengths in [m], angles in [rad], times in [s], matrices by columns as three.js has them.

    Triangles are under ``meshes``, and everything else names them by their index there.
    """
    subject = stage.subject
    meshes: list[Document] = []
    surfaces = stage.scene_surfaces()
    obstacles = [
        {"name": obstacle.name, "mesh": _add(meshes, surface), "fault": obstacle.name in subject.faults}
        for obstacle, surface in zip(subject.scene, surfaces, strict=True)
    ]
    eye, target = stage.orbit()
    paths = [tube(tool_positions(stage.robot, _thinned(motion)), 0.004, PATH) for motion in subject.motions]
    return {
        "name": subject.name,
        "robot": _robot_document(stage, meshes),
        "obstacles": obstacles,
        "regions": [
            {"name": region.name, "mesh": _add(meshes, layer.surfaces[0])}
            for region, layer in zip(subject.scene.regions, stage.regions(), strict=True)
        ],
        "start": _numbers(subject.start),
        "goal": _numbers(subject.goal),
        "goal_pose": {
            "frame": [_add(meshes, surface) for surface in stage.goal_frame()],
            "ghost": [_add(meshes, surface) for surface in stage.goal_ghost()],
        },
        "standing": _numbers(subject.standing),
        "faults": sorted(subject.faults),
        "at_fault": dict(subject.at_fault),
        "motions": [
            {"label": label, "path": _add(meshes, path), **_motion_document(motion)}
            for motion, path, label in zip(subject.motions, paths, subject.labels, strict=True)
        ],
        "solved": None if subject.result is None else subject.result.solved,
        "status": subject.status.value if subject.status else "",
        "message": subject.message,
        "colors": {
            "start": START, "goal": GOAL, "fault": FAULT, "spheres": SPHERES, "boxes": BOXES, "swept": SWEPT,
            "region": REGION,
        },
        "swept_poses": SWEPT_POSES,
        "camera": {"eye": eye.tolist(), "target": target.tolist(), "field_of_view": FIELD_OF_VIEW},
        "floor": min([0.0, *(float(surface.vertices[:, 2].min()) for surface in surfaces)]),
        "meshes": meshes,
    }  # fmt: skip


# --- the robot -------------------------------------------------------------------------------------------------------


def _robot_document(stage: Staging, meshes: list[Document]) -> Document:
    robot = stage.robot
    looks = {part.link: part.surface for part in stage.parts}
    hulls, boxes = ({part.link: part.surface for part in robot_parts(robot, kind)} for kind in ("hulls", "boxes"))
    return {
        "name": robot.name,
        "base": _columns(robot.X_W0),
        "joints": [
            {
                "name": joint.name,
                "prismatic": joint.kind == "prismatic",
                "parent": parent,
                "place": _columns(joint.X_PJ),
            }
            for joint, parent in zip(robot.joints, robot.parents, strict=True)
        ],
        "links": [_link_document(link, (looks, hulls, boxes), meshes) for link in robot.links if link.name in looks],
    }


def _link_document(link: Link, surfaces: tuple[Mapping[str, Surface], ...], meshes: list[Document]) -> Document:
    look, hulls, box = (by_link.get(link.name) for by_link in surfaces)
    return {
        "name": link.name,
        "body": int(link.body),
        "look": _add(meshes, look),
        "hulls": _add(meshes, hulls),
        "box": _add(meshes, box),
        "spheres": np.round(link.spheres_B, 5).tolist(),
    }


# --- motions ---------------------------------------------------------------------------------------------------------


def _motion_document(motion: Trajectory) -> Document:
    return {"times": _numbers(motion.times), "positions": np.round(motion.positions, 6).tolist()}


def _thinned(motion: Trajectory) -> Array:
    """(PATH_POINTS, dof) configurations at even times."""
    at = np.linspace(motion.times[0], motion.times[-1], PATH_POINTS)
    return np.stack([np.interp(at, motion.times, column) for column in motion.positions.T], axis=1)


# --- triangles -------------------------------------------------------------------------------------------------------


def _add(meshes: list[Document], surface: Surface | None) -> int | None:
    """The index of the surface, now among the meshes."""
    if surface is None:
        return None
    meshes.append(mesh_document(surface))
    return len(meshes) - 1


def mesh_document(surface: Surface) -> Document:
    """A surface in few bytes: corners that agree in place, normal and colour are one vertex.

    Returns:
        ``positions`` (n, 3) 32-bit floats, ``normals`` (n, 3) signed bytes, ``shades`` (n,) indices of two bytes into
        ``palette``, and ``index`` (F, 3) of four bytes; all little-endian in base64. ``palette`` is a list of colours.
    """
    vertices, faces = surface.vertices, surface.faces
    normals = corner_normals(vertices, faces) if surface.normals is None else surface.normals
    colors = np.broadcast_to(surface.color, (len(faces), 3)) if surface.face_colors is None else surface.face_colors
    palette, shade = np.unique(np.round(colors, 3), axis=0, return_inverse=True)
    corner = np.zeros(
        3 * len(faces), dtype=[("p", "<f4", 3), ("n", "i1", 3), ("pad", "i1"), ("c", "<u2"), ("x", "<u2")]
    )
    corner["p"] = vertices[faces].reshape(-1, 3)
    corner["n"] = np.round(127 * normals.reshape(-1, 3))
    corner["c"] = np.repeat(shade.reshape(-1), 3)
    _, first, index = np.unique(corner.view("V20"), return_index=True, return_inverse=True)
    unique = corner[first]
    return {
        "positions": _base64(unique["p"]),
        "normals": _base64(unique["n"]),
        "shades": _base64(unique["c"].astype("<u2")),
        "palette": palette.tolist(),
        "index": _base64(index.astype("<u4")),
    }


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _columns(X: Array) -> list[float]:
    return [float(value) for value in X.T.reshape(-1)]


def _numbers(values: Array | None) -> list[float] | None:
    return None if values is None else np.asarray(values, dtype=np.float64).tolist()
