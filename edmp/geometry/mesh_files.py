"""Mesh files: STL, OBJ, PLY, Collada, glTF and OFF to vertices and triangles in metres, or refused in words.

trimesh reads them. What it takes on trust is looked at before: lengths that a header promises, where a text must end,
units, and files that name other files.
"""

from __future__ import annotations

import io
import json
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import FileFormatError
from edmp.files.reading import read_bytes

Array = NDArray[np.float64]

MAX_ROWS = 50_000_000
"""Vertices, or triangles, of the largest mesh that is read."""


def load_mesh(path: Path) -> tuple[Array, NDArray[np.int64]]:
    """Vertices (n, 3), each once, and triangles (F, 3) of a mesh file [m].

    Collada says in which unit it is; other formats are taken to be in metres.

    Raises:
        FileFormatError: it is not there, not a mesh that can be read, cut off, or its numbers are no numbers.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in _CHECKS:
        raise FileFormatError(f"{path}: meshes are read from .{', .'.join(_CHECKS)} files, not from {path.suffix!r}")
    data = read_bytes(path, "mesh file")
    if not data:
        raise FileFormatError(f"{path}: the file is empty; expected a mesh")
    try:
        _CHECKS[kind](data)
        vertices, faces = _read(data, kind)
        unit = unit_of(data) if kind == "dae" else 1.0
    except _MeshError as fault:
        raise FileFormatError(f"{path}: {fault}") from None
    if len(vertices) < 3 or not len(faces):
        raise FileFormatError(f"{path}: a mesh of {len(vertices)} vertices and {len(faces)} triangles is none")
    unusable = ~(np.abs(vertices) < 1e15).all(axis=1)
    if unusable.any():
        row = int(np.flatnonzero(unusable)[0])
        raise FileFormatError(f"{path}: vertex {row} is {vertices[row].tolist()}; expected finite coordinates")
    if not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise FileFormatError(f"{path}: its triangles name vertices {faces.min()} to {faces.max()} of {len(vertices)}")
    unique, index = np.unique(vertices * unit, axis=0, return_inverse=True)
    return unique, index.reshape(-1)[faces].astype(np.int64)


def unit_of(collada: bytes) -> float:
    """The unit of a Collada file [m]."""
    found = re.search(rb"<unit\b[^>]*?\bmeter\s*=\s*[\"']([^\"']*)[\"']", collada)
    if found is None:
        return 1.0
    try:
        unit = float(found[1])
    except ValueError:
        unit = np.nan
    if not 1e-9 <= unit <= 1e9:
        raise _MeshError(f"<unit meter={found[1].decode(errors='replace')!r}>: expected a positive number of metres")
    return unit


class _MeshError(FileFormatError):
    """What is wrong with a file, which is still to be named."""


def _read(data: bytes, kind: str) -> tuple[Array, NDArray[np.int64]]:
    """Vertices and triangles, all parts of the file where it puts them [its own unit]."""
    import trimesh

    # Without a resolver no reader opens further files, such as textures; without processing rows stay as they are.
    options: dict[str, Any] = {} if kind in ("stl", "off", "dae") else {"skip_materials": True}
    try:
        mesh: Any = trimesh.load(io.BytesIO(data), file_type=kind, force="mesh", process=False, **options)
        vertices, faces = np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int64)
    except ImportError as error:
        raise _MeshError(f"reading .{kind} needs another package: {error}; pip install 'edmp[meshes]'") from error
    except Exception as error:  # trimesh and its readers raise whatever they like
        raise _MeshError(f"trimesh cannot read this mesh: {type(error).__name__}: {str(error)[:200]}") from error
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise _MeshError(f"vertices {vertices.shape} and triangles {faces.shape}; expected (n, 3) and (F, 3)")
    return vertices, faces


# --- what is looked at before memory is taken ------------------------------------------------------------------------


def _check_stl(data: bytes) -> None:
    """Binary: as long as its count says. Text: it ends as it should."""
    if len(data) >= 84 and len(data) == 84 + 50 * struct.unpack_from("<I", data, 80)[0]:
        return
    start = data[:1024].lstrip()
    if not start.startswith(b"solid") or b"\0" in start:
        count = struct.unpack_from("<I", data, 80)[0] if len(data) >= 84 else 0
        length = 84 + 50 * count
        raise _MeshError(f"{len(data)} bytes; a binary STL of {count} triangles has {length}: cut off, or no STL")
    if b"endsolid" not in data[-1024:]:
        raise _MeshError("the text ends without 'endsolid': cut off?")


def _check_ply(data: bytes) -> None:
    """No element promises more rows than the file can hold."""
    header, found, body = data.partition(b"end_header")
    if not data.startswith(b"ply") or not found:
        raise _MeshError("no PLY file: it begins with 'ply' and has a line 'end_header'")
    counts = [_count(row) for row in re.findall(rb"^element\s+\S+[ \t]+(\S+)", header, re.MULTILINE)]
    text = re.search(rb"^format\s+ascii", header, re.MULTILINE) is not None
    rows = body.count(b"\n") + 1 if text else len(body)  # a row of bytes has at least one
    if sum(counts) > rows:
        follow = f"{rows} {'lines' if text else 'bytes'}"
        raise _MeshError(f"the header promises {sum(counts)} rows, {follow} follow: cut off?")


def _check_off(data: bytes) -> None:
    lines = [line for line in data[:4096].splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    words = b" ".join(lines[:2]).upper().removeprefix(b"C").removeprefix(b"OFF").split()
    promised = sum(_count(word) for word in words[:2])
    rows = data.count(b"\n") + 1
    if promised > rows:
        raise _MeshError(f"the header promises {promised} rows, the file has {rows} lines: cut off?")


def _check_dae(data: bytes) -> None:
    """No entities, which can stand for gigabytes, and no nodes that multiply."""
    if re.search(rb"<!(DOCTYPE|ENTITY)", data[:65536]):
        raise _MeshError("Collada with a document type or entities of its own is not read")
    if len(re.findall(rb"<instance_node\b", data)) > 1000:
        raise _MeshError("over 1000 nodes that stand for others (<instance_node>)")
    if not re.search(rb"</\s*(\w+:)?COLLADA\s*>\s*\Z", data[-4096:]):
        raise _MeshError("the text ends without </COLLADA>: cut off, or no Collada")


def _check_glb(data: bytes) -> None:
    if len(data) < 20 or data[:4] != b"glTF":
        raise _MeshError("no binary glTF: it begins with 'glTF'")
    length, chunk = struct.unpack_from("<I", data, 8)[0], struct.unpack_from("<I", data, 12)[0]
    if length > len(data) or chunk > len(data) - 20:
        raise _MeshError(f"the header promises {max(length, chunk + 20)} bytes, the file has {len(data)}: cut off?")
    _check_gltf(data[20 : 20 + chunk], size=len(data))


def _check_gltf(data: bytes, *, size: int | None = None) -> None:
    """Accessors hold no more than the file; nodes form a tree, so that none is drawn many times over."""
    try:
        tree = json.loads(data)
        accessors, nodes = tree.get("accessors", []), tree.get("nodes", [])
        counts = [_count(accessor["count"]) for accessor in accessors]
        children = [child for node in nodes for child in node.get("children", [])]
        missing = [i for i, accessor in enumerate(accessors) if "bufferView" not in accessor and counts[i]]
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, _MeshError):
            raise
        raise _MeshError(f"no glTF: {type(error).__name__}: {str(error)[:100]}") from None
    if max(counts, default=0) > (size or len(data)) or missing:
        raise _MeshError("an accessor promises more than the file holds")
    if len(children) != len({json.dumps(child) for child in children}):
        raise _MeshError("a node has two parents: glTF nodes form a tree")


def _count(word: Any) -> int:
    try:
        count = int(word)
    except (TypeError, ValueError):
        raise _MeshError(f"{word!r} is no number of rows") from None
    if not 0 <= count <= MAX_ROWS:
        raise _MeshError(f"the header promises {count} rows; at most {MAX_ROWS} are read")
    return count


_CHECKS: Mapping[str, Callable[[bytes], None]] = {
    "stl": _check_stl,
    "obj": lambda data: None,  # text without a header
    "ply": _check_ply,
    "dae": _check_dae,
    "glb": _check_glb,
    "gltf": _check_gltf,
    "off": _check_off,
}
"""Formats by suffix, and what is looked at before a file is read."""
