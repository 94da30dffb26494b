"""Files of points: .ply, .pcd, .npy, .xyz to points in the file's own frame and unit, or refused in words.

Only the coordinates are taken; colours, normals and intensities are left. Points may be NaN or infinite where a sensor
saw nothing: `edmp.PointCloud` drops and counts them. Of 10^7 points the memory is about three times that of the file.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpWarning, FileFormatError
from edmp.files.npz import npy_array
from edmp.files.reading import read_bytes

Points = NDArray[np.float64] | NDArray[np.float32]

MAX_POINTS = 50_000_000
"""Of the largest cloud that is read."""

LINES = 1 << 16
"""Of a text that are taken at a time."""


class CloudError(FileFormatError):
    """What is wrong with a file, which is still to be named."""


def load_points(path: Path) -> Points:
    """(n, 3) points of a file, in its order, its unit and its frame.

    Raises:
        FileFormatError: it is not there, not a cloud that can be read, or cut off.
    """
    kind = path.suffix.lower()
    if kind not in READERS:
        raise FileFormatError(f"{path}: points are read from {', '.join(READERS)} files, not from {path.suffix!r}")
    data = read_bytes(path, "file of points")
    if not data:
        raise FileFormatError(f"{path}: the file is empty; expected points")
    try:
        return READERS[kind](data, str(path))
    except CloudError as fault:
        raise FileFormatError(f"{path}: {fault}") from None


def rows_of(text: bytes, columns: tuple[int, int, int], first: int, *, count: int | None = None) -> Points:
    """Three columns of a text of numbers, line by line; ``first`` is the number of its first line.

    Of lines there must be ``count``, if it is given; else empty lines and those that begin with # or // are skipped.
    """
    found: list[NDArray[np.float32]] = [np.zeros((0, 3), np.float32)]
    taken, at, number = 0, 0, first
    while at < len(text) and (count is None or taken < count):
        lines, at = _lines(text, at, LINES if count is None else min(LINES, count - taken))
        block = [(k, line) for k, line in enumerate(lines, number) if count is not None or _has_numbers(line)]
        found.append(_numbers(block, columns))
        taken, number = taken + len(block), number + len(lines)
        if taken > MAX_POINTS:
            raise CloudError(f"more than {MAX_POINTS} points; thin the cloud first")
    if count is not None and taken < count:
        raise CloudError(f"the header promises {count} rows, {taken} lines follow: cut off?")
    return np.concatenate(found)


def _lines(text: bytes, at: int, most: int) -> tuple[list[bytes], int]:
    """Up to so many lines from a place in a text on, and the place behind them."""
    lines: list[bytes] = []
    while len(lines) < most and at < len(text):
        end = text.find(b"\n", at)
        end = len(text) if end < 0 else end
        lines.append(text[at:end])
        at = end + 1
    return lines, at


def _has_numbers(line: bytes) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith((b"#", b"//"))


def _numbers(block: list[tuple[int, bytes]], columns: tuple[int, int, int]) -> NDArray[np.float32]:
    """(n, 3) of numbered lines."""
    lines = [line.replace(b",", b" ").decode("latin-1") for _, line in block]
    if not lines:
        return np.zeros((0, 3), np.float32)
    try:
        table = np.loadtxt(lines, dtype=np.float64, comments=None, usecols=columns, ndmin=2)
        if len(table) == len(lines):  # it skips lines that are empty
            return table.astype(np.float32)
    except (ValueError, IndexError, OverflowError):
        pass
    for number, line in block:
        if not _fits(line.replace(b",", b" ").split(), columns):
            raise CloudError(f"line {number}: expected numbers x y z, got {_shown(line)}")
    raise CloudError(f"lines {block[0][0]} to {block[-1][0]}: expected numbers x y z")


def _fits(row: list[bytes], columns: tuple[int, int, int]) -> bool:
    try:
        return len([float(row[k]) for k in columns]) == 3
    except (ValueError, IndexError):
        return False


def coordinates(table: NDArray[Any]) -> Points:
    """(n, 3) of a structured array with the fields x, y and z, as float32 or float64 in the machine's order."""
    kinds = [table.dtype[name] for name in "xyz"]
    wide = any(kind.itemsize == 8 for kind in kinds)
    points = np.empty((len(table), 3), np.float64 if wide else np.float32)
    for k, name in enumerate("xyz"):
        points[:, k] = table[name]
    return points


def promised(word: Any, what: str = "points") -> int:
    """A number of rows that a header promises."""
    try:
        count = int(word)
    except (TypeError, ValueError):
        raise CloudError(f"{_shown(word)} is no number of {what}") from None
    if not 0 <= count <= MAX_POINTS:
        raise CloudError(f"the header promises {_shown(word)} {what}; at most {MAX_POINTS} are read")
    return count


def _shown(word: Any) -> str:
    return ascii(word.decode(errors="replace") if isinstance(word, bytes) else word)[:60]


# --- PLY -------------------------------------------------------------------------------------------------------------

_PLY_TYPES = {
    b"char": "i1", b"int8": "i1", b"uchar": "u1", b"uint8": "u1", b"short": "i2", b"int16": "i2", b"ushort": "u2",
    b"uint16": "u2", b"int": "i4", b"int32": "i4", b"uint": "u4", b"uint32": "u4", b"float": "f4", b"float32": "f4",
    b"double": "f8", b"float64": "f8",
}  # fmt: skip
_PLY_FORMATS = {b"ascii": "", b"binary_little_endian": "<", b"binary_big_endian": ">"}


def ply_points(data: bytes, source: str = "") -> Points:
    """The vertices of a .ply file, whatever else it holds."""
    match = re.match(rb"ply\s*\n(.{0,65536}?)\nend_header[ \t\r]*\n", data, re.DOTALL)
    if match is None:
        raise CloudError("no PLY file: it begins with 'ply' and has a line 'end_header'")
    order: str | None = None
    elements: list[tuple[bytes, int, list[tuple[str, str]]]] = []
    for line in match[1].splitlines():
        word, *rest = line.split() or [b"comment"]
        if word == b"format" and rest and rest[0] in _PLY_FORMATS:
            order = _PLY_FORMATS[rest[0]]
        elif word == b"element" and len(rest) == 2:
            elements.append((rest[0], promised(rest[1], "rows"), []))
        elif word == b"property" and elements and len(rest) == 2 and rest[0] in _PLY_TYPES:
            elements[-1][2].append((rest[1].decode("latin-1"), _PLY_TYPES[rest[0]]))
        elif word == b"property" and elements and len(rest) == 4 and rest[0] == b"list":
            elements[-1][2].append((rest[3].decode("latin-1"), "list"))
        elif word not in (b"comment", b"obj_info"):
            raise CloudError(f"PLY header: {_shown(line)} is not understood")
    if faces := sum(count for name, count, _ in elements if name == b"face"):
        warnings.warn(
            f"{source}: its {faces} faces are left, its vertices are taken as points; as a mesh it is an obstacle in a "
            "scene file: {type: mesh, file: ...}",
            EdmpWarning,
            stacklevel=4,
        )
    if order is None:
        raise CloudError(
            "PLY header: no line 'format ascii', 'format binary_little_endian' or 'format binary_big_endian'"
        )
    return _ply_vertices(data, match.end(), order, elements)


def _ply_vertices(data: bytes, at: int, order: str, elements: list[tuple[bytes, int, list[tuple[str, str]]]]) -> Points:
    line = data.count(b"\n", 0, at) + 1
    for name, count, properties in elements:
        names = [one for one, _ in properties]
        if name == b"vertex" and not {"x", "y", "z"} <= set(names):
            raise CloudError(f"the vertices have the properties {', '.join(names) or '(none)'}; expected x, y and z")
        if len(set(names)) < len(names):
            raise CloudError(f"the element {_shown(name)} has a property twice")
        if name == b"vertex" and not order:
            if any(kind == "list" for _, kind in properties):
                raise CloudError("vertices with lists are not read")
            x, y, z = (names.index(axis) for axis in "xyz")
            return rows_of(data[at:], (x, y, z), line, count=count)
        if not order:
            _, end = _lines(data, at, count)
            line, at = line + count, end
            continue
        if any(kind == "list" for _, kind in properties):
            raise CloudError(f"the lists of {_shown(name)} stand before the vertices, or in them; this is not read")
        row = np.dtype([(one, order + kind) for one, kind in properties])
        if len(data) - at < count * row.itemsize:
            have = (len(data) - at) // max(row.itemsize, 1)
            raise CloudError(f"the header promises {count} rows of {_shown(name)}, {have} follow: cut off?")
        if name == b"vertex":
            return coordinates(np.frombuffer(data, row, count=count, offset=at))
        at += count * row.itemsize
    raise CloudError("PLY header: no element 'vertex'")


# --- PCD -------------------------------------------------------------------------------------------------------------

_PCD_KEYS = (b"VERSION", b"FIELDS", b"SIZE", b"TYPE", b"COUNT", b"WIDTH", b"HEIGHT", b"VIEWPOINT", b"POINTS", b"DATA")


def pcd_points(data: bytes, source: str = "PCD") -> Points:
    """The points of a .pcd file: ASCII, binary or compressed. Its VIEWPOINT is not applied; `pcd_viewpoint` has it."""
    header, at, line = _pcd_header(data)
    names = [word.decode("latin-1") for word in header.get(b"FIELDS", [])]
    if not {"x", "y", "z"} <= set(names):
        raise CloudError(f"its fields are {', '.join(names) or '(none)'}; expected x, y and z")
    counts = [promised(word, "values") for word in header.get(b"COUNT", [b"1"] * len(names))]
    sizes, kinds = header.get(b"SIZE", []), header.get(b"TYPE", [])
    if not len(counts) == len(sizes) == len(kinds) == len(names):
        raise CloudError("PCD header: FIELDS, SIZE, TYPE and COUNT differ in length")
    columns = []
    for k, (name, count, size, kind) in enumerate(zip(names, counts, sizes, kinds, strict=True)):
        code = kind.decode("latin-1").lower() + size.decode("latin-1")
        if code not in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8") or count > 10_000:
            raise CloudError(
                f"PCD header: field {name!r} of TYPE {_shown(kind)}, SIZE {_shown(size)} is not understood"
            )
        if name in ("x", "y", "z") and (count != 1 or names.count(name) > 1):
            raise CloudError(f"PCD header: the field {name} stands {count * names.count(name)} times")
        columns.append((name if name in ("x", "y", "z") else f"{k}", f"<{code}", (count,)))
    width, height = (promised(b"".join(header.get(key, [b"1"])[:1])) for key in (b"WIDTH", b"HEIGHT"))
    total = promised(b"".join(header.get(b"POINTS", [b"%d" % (width * height)])[:1]))
    how = b" ".join(header[b"DATA"]).lower()
    if how == b"ascii":
        begins = np.concatenate([[0], np.cumsum(counts)])
        x, y, z = (int(begins[names.index(axis)]) for axis in "xyz")
        return rows_of(data[at:], (x, y, z), line, count=total)
    row = np.dtype([(name, code, shape) if shape != (1,) else (name, code) for name, code, shape in columns])
    if how == b"binary":
        if len(data) - at < total * row.itemsize:
            have = (len(data) - at) // row.itemsize
            raise CloudError(f"the header promises {total} points, {have} follow: cut off?")
        return coordinates(np.frombuffer(data, row, count=total, offset=at))
    if how == b"binary_compressed":
        return _pcd_unpacked(data, at, total, row)
    raise CloudError(f"PCD header: DATA {_shown(how)}; expected ascii, binary or binary_compressed")


def pcd_viewpoint(data: bytes) -> NDArray[np.float64] | None:
    """Where the sensor stood that took a .pcd file: x, y, z, and the quaternion qx, qy, qz, qw; None for the origin.

    Args:
        data: the file, or its beginning with the whole header.

    Raises:
        CloudError: these are no pose.
    """
    words = _pcd_header(data)[0].get(b"VIEWPOINT", [])
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.zeros(1)
    if not len(values) or np.array_equal(values, [0, 0, 0, 1, 0, 0, 0]):
        return None
    if len(values) != 7 or not np.isfinite(values).all() or abs(np.linalg.norm(values[3:]) - 1.0) > 1e-3:
        raise CloudError(
            f"PCD header: VIEWPOINT {_shown(b' '.join(words))}; expected x y z and a unit quaternion qw qx qy qz"
        )
    w, x, y, z = values[3:] / np.linalg.norm(values[3:])
    return np.array([*values[:3], x, y, z, w])


def _pcd_header(data: bytes) -> tuple[dict[bytes, list[bytes]], int, int]:
    """The entries, where the data begin, and the number of the line there."""
    header: dict[bytes, list[bytes]] = {}
    at, number = 0, 0
    while b"DATA" not in header:
        end = data.find(b"\n", at, at + 4096)
        if end < 0 or number > 100:
            raise CloudError("no PCD file, or cut off: its header ends with a line 'DATA'")
        word, *rest = data[at:end].split() or [b"#"]
        at, number = end + 1, number + 1
        if word.upper() in _PCD_KEYS:
            header[word.upper()] = rest
        elif not word.startswith(b"#"):
            raise CloudError(f"line {number}: {_shown(word)} is no entry of a PCD header")
    return header, at, number + 1


def _pcd_unpacked(data: bytes, at: int, total: int, row: np.dtype[Any]) -> Points:
    """Compressed by LZF, field after field."""
    if len(data) - at < 8:
        raise CloudError("the sizes of the compressed data are missing: cut off?")
    packed, size = struct.unpack_from("<II", data, at)
    if size != total * row.itemsize:
        raise CloudError(
            f"{total} points have {total * row.itemsize} bytes, the compressed data are said to have {size}"
        )
    if len(data) - at - 8 < packed:
        raise CloudError(f"{packed} bytes of compressed data are promised, {len(data) - at - 8} follow: cut off?")
    content = unpacked_lzf(data[at + 8 : at + 8 + packed], size)
    table = np.empty(total, row)
    begin = 0
    for name in row.names or ():
        kind = row[name]
        if name in ("x", "y", "z"):
            table[name] = np.frombuffer(content, kind, count=total, offset=begin)
        begin += total * kind.itemsize
    return coordinates(table)


def unpacked_lzf(data: bytes, size: int) -> bytes:
    """What LZF, as liblzf has it, made ``data`` of: runs of bytes as they are, and copies of what was before.

    Raises:
        CloudError: it does not come to ``size`` bytes.
    """
    out, at = bytearray(), 0
    try:
        while at < len(data) and len(out) <= size:
            control = data[at]
            if control < 32:
                out += data[at + 1 : at + control + 2]
                at += control + 2
                continue
            length = (control >> 5) + 2
            if length == 9:
                at += 1
                length += data[at]
            begin = len(out) - ((control & 31) << 8) - data[at + 1] - 1
            at += 2
            if begin < 0:
                raise CloudError("the compressed data are damaged: a copy of what was never there")
            run = out[begin : begin + length]
            while len(run) < length:  # it repeats itself
                run += run[: length - len(run)]
            out += run
    except IndexError:
        raise CloudError("the compressed data end too early: cut off?") from None
    if len(out) != size:
        raise CloudError(f"the compressed data come to {len(out)} bytes in place of {size}: damaged?")
    return bytes(out)


# --- numpy, text -----------------------------------------------------------------------------------------------------


def npy_points(data: bytes, source: str = "") -> Points:
    """An array (..., 3 or more) of a .npy file: the first three numbers of each row."""
    return points_of(npy_array(data, source))


def points_of(array: NDArray[Any]) -> Points:
    """(n, 3) of an array (..., 3 or more) of numbers: rows, or the pixels of an image of points.

    Raises:
        CloudError: it is none.
    """
    if array.dtype.kind not in "fiu" or array.ndim < 2 or array.shape[-1] < 3:
        raise CloudError(f"expected points, numbers (n, 3), got an array of {array.dtype} {array.shape}")
    if array.size // array.shape[-1] > MAX_POINTS:
        raise CloudError(f"{array.size // array.shape[-1]} points; at most {MAX_POINTS} are read")
    rows = array.reshape(-1, array.shape[-1])[:, :3]
    return rows.astype(np.float64) if array.dtype.itemsize > 4 else rows.astype(np.float32)


def xyz_points(data: bytes, source: str = "") -> Points:
    """Lines of numbers, separated by blanks or commas, of which the first three are x y z; # begins a comment."""
    return rows_of(data.removeprefix(b"\xef\xbb\xbf"), (0, 1, 2), 1)


READERS: Mapping[str, Callable[[bytes, str], Points]] = {
    ".ply": ply_points,
    ".pcd": pcd_points,
    ".npy": npy_points,
    ".xyz": xyz_points,
}
"""Formats by suffix: bytes and the name of the file to points."""
