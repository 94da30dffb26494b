"""Shapes in edmp's own scene file: fields inline, arrays beside the file, meshes and clouds in files of their own."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpError, EdmpWarning, FileFormatError
from edmp.files.beside import Arrays
from edmp.files.yaml_nodes import YamlNode
from edmp.geometry.kinds import Field, Kind, kind_of
from edmp.geometry.mesh_files import load_mesh
from edmp.geometry.mesh_repair import solid
from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.geometry.shapes import Mesh, Shape, mesh_arrays
from edmp.scenes.clouds import SUFFIXES, is_sensed, load_sensed

Array = NDArray[np.float64]

FILE_KEYS = {
    Mesh: ("file", "scale", "thickness"),
    **dict.fromkeys((PointCloud, Voxels, DistanceField), ("file", "scale")),
}
"""What kinds may have besides their fields, or instead of them."""


def shape_of_yaml(kind: Kind, item: YamlNode, arrays: Arrays) -> tuple[Shape, Array]:
    """A shape, and the pose (4, 4) of its frame in that of the obstacle."""
    if kind.shape is Mesh:
        return _mesh(item), np.eye(4)
    if item.get("file") is not None:
        return _sensed(kind, item)
    if scale := item.get("scale"):
        scale.fail("scale belongs to a file of its own; what lies beside this one is in [m]")
    return kind.shape(**{field.name: _value(field, item.need(field.name), arrays) for field in kind.fields}), np.eye(4)


def _sensed(kind: Kind, item: YamlNode) -> tuple[Shape, Array]:
    """What another program wrote, with the pose (4, 4) of the obstacle in the frame of its file."""
    file, radius, scale = item.need("file"), item.get("radius"), item.get("scale")
    path = Path(file.file).parent / file.text()
    for field in kind.fields:
        if field.name != "radius" and (given := item.get(field.name)) is not None:
            given.fail(f"{field.name} is what the file says: leave out one of them")
    if kind.shape is PointCloud and radius is None:
        item.fail("points need a radius [m]; edmp sense info says how far they are apart")
    if not is_sensed(path):
        file.fail(f"expected a file {', '.join(SUFFIXES)}, got {file.text()!r:.100}")
    try:
        shape, X = load_sensed(path, radius=radius.number() if radius else None, scale=scale.number() if scale else 1.0)
    except EdmpError as error:
        file.refuse(error)
    if not isinstance(shape, kind.shape):
        item.need("type").fail(f"{file.text()} holds a {kind_of(shape).name}")
    return shape, X


def _value(field: Field, node: YamlNode, arrays: Arrays) -> Any:
    """A number, a list of numbers, rows of numbers, or an array beside the file."""
    if field.array:
        return _array(field.array, field.rows, node, arrays)
    if not field.rows:
        return node.number()
    if len(field.rows) == 1:
        return node.indices(field.rows[0]) if field.whole else node.numbers(field.rows[0])
    return np.array([row.indices(field.rows[1]) if field.whole else row.numbers(field.rows[1]) for row in node])


def _array(dtype: str, shape: tuple[int | None, ...], node: YamlNode, arrays: Arrays) -> NDArray[Any]:
    if not node.is_mapping:
        node.fail("expected {array: ..., file: ...}: large arrays lie beside this file, in a .npz")
    node.only("array", "file")
    try:
        return arrays.fitting(node.need("array").text(), node.need("file").text(), dtype, shape)
    except FileFormatError as error:
        node.refuse(error)


def _mesh(item: YamlNode) -> Shape:
    scale, thickness = item.get("scale"), item.get("thickness")
    factor = scale.number() if scale else 1.0
    if scale and factor <= 0:
        scale.fail(f"scale must be positive, got {factor}")
    vertices: Array
    faces: NDArray[Any]
    if file := item.get("file"):
        if beside := item.get("vertices") or item.get("faces"):
            beside.fail("a mesh needs either file, or vertices and faces, not both")
        try:
            vertices, faces = load_mesh(Path(file.file).parent / file.text())
        except FileFormatError as error:
            file.refuse(error)
    else:
        if item.get("vertices") is None:
            item.fail("a mesh needs either file, or vertices and faces")
        vertices = np.array([vertex.numbers(3) for vertex in item.need("vertices")])
        faces = np.array([face.indices(3) for face in item.need("faces")])
    if thickness and thickness.number() <= 0:
        thickness.fail(f"thickness must be positive [m], got {thickness.number()}")
    surface, triangles, told = solid(
        *mesh_arrays(vertices * factor, faces), thickness=thickness.number() if thickness else None
    )
    if told:
        warnings.warn(f"{item.file}:{item.line}: {item.place}: {told}", EdmpWarning, stacklevel=2)
    return Mesh(surface, triangles)
