"""From files and other libraries' objects to what a scene or a map takes: points, cells, cameras, depth images.

Files of points and octrees are scenes of their own, too: `edmp.load_scene`, `edmp.scenes.clouds`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked, checked_but, shown
from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError
from edmp.files.npz import npy_array
from edmp.files.reading import read_bytes
from edmp.files.yaml_nodes import YamlNode, read_yaml
from edmp.geometry.cloud_files import CloudError, points_of
from edmp.geometry.poses import pose, rigid
from edmp.geometry.sensed import MAX_CELLS, PointCloud, Voxels
from edmp.scenes.clouds import cloud_of, load_sensed
from edmp.sensing.camera import DepthCamera

Array = NDArray[np.float64]

MOST_PIXELS = 1 << 26
"""Of the largest depth image that is read."""


@checked_but("source")
def point_cloud(source: Any, *, radius: float | None = None, scale: float = 1.0) -> PointCloud:
    """Points as an obstacle, in the frame in which they are given.

    Args:
        source: the path of a .ply, .pcd, .npz, .npy or .xyz file, an array (n, 3) or an image of points (h, w, 3), or a
            point cloud of Open3D, old or new (tensor).
        radius: of each point [m]: what the sensor leaves open, and its error. None takes it from how far the points are
            apart, and says so.
        scale: length of the unit that they are in [m]; 0.001 for millimetres.

    Raises:
        FileFormatError: the file is not there, damaged, or holds no points.
        InvalidInputError: no such source, or none of its points is finite.
    """
    if isinstance(source, str | Path):
        shape, X = load_sensed(source, radius=radius, scale=scale, viewpoint=False)
        if not isinstance(shape, PointCloud):
            raise InvalidInputError(f"{source} holds {type(shape).__name__}, no points; see edmp.sensing.voxels")
        if not np.array_equal(X, np.eye(4)):
            raise InvalidInputError(f"{source} says where its points stand (X_WV); edmp.load_scene keeps that")
        return shape
    if isinstance(source, PointCloud):
        raise InvalidInputError("this is a PointCloud already")
    try:
        points = points_of(np.asarray(_points_held(source)))
    except (CloudError, ValueError, TypeError) as error:
        raise InvalidInputError(
            f"points are taken from files, arrays (n, 3) and point clouds of Open3D, not from {shown(source)}: {error}"
        ) from None
    return cloud_of(points, radius=radius, scale=scale)


@checked_but("source")
def voxels(source: Any) -> tuple[Voxels, Array]:
    """Occupied cells as an obstacle, and the pose (4, 4) of their grid's corner in the frame of the source.

    Both are what `edmp.Scene.of` takes: ``Scene.of({"map": edmp.sensing.voxels("map.bt")})``.

    Args:
        source: the path of a .bt or .ot (OctoMap) or .npz file, or a voxel grid of Open3D.

    Raises:
        FileFormatError: the file is not there, damaged, or none of its cells is occupied.
        InvalidInputError: no such source.
    """
    if isinstance(source, str | Path):
        shape, X = load_sensed(source)
        if not isinstance(shape, Voxels):
            raise InvalidInputError(f"{source} holds {type(shape).__name__}, no occupied cells")
        return shape, X
    if not all(hasattr(source, name) for name in ("get_voxels", "voxel_size", "origin")):
        raise InvalidInputError(
            f"cells are taken from .bt, .ot and .npz files and voxel grids of Open3D, not from {shown(source)}"
        )
    index = np.array([voxel.grid_index for voxel in source.get_voxels()], dtype=np.int64).reshape(-1, 3)
    if not len(index):
        raise InvalidInputError("this voxel grid has no cells; leave it out of the scene")
    low = index.min(axis=0)
    sides = index.max(axis=0) - low + 1
    if np.prod(sides.astype(np.float64)) > MAX_CELLS:
        raise InvalidInputError(
            f"the grid round its voxels has {' x '.join(map(str, sides))} cells; at most {MAX_CELLS}: cut out what the "
            "arm can reach, or make it coarser"
        )
    occupancy = np.zeros(sides, dtype=np.bool_)
    occupancy[tuple((index - low).T)] = True
    edge = float(source.voxel_size)
    X_SV = pose(np.asarray(source.origin, dtype=np.float64) + edge * low)
    rotation = np.asarray(getattr(source, "rotation", np.eye(3)))  # newer ones can be turned about their origin
    if not np.allclose(rotation, np.eye(3), atol=1e-9):
        raise InvalidInputError("a voxel grid that is turned is not taken; turn what it was made of")
    return Voxels(occupancy, edge), X_SV


def _points_held(source: Any) -> Any:
    """The points of an object of Open3D, or the source itself."""
    if hasattr(source, "point") and hasattr(source.point, "positions"):  # open3d.t.geometry
        return source.point.positions.cpu().numpy()
    return source.points if hasattr(source, "points") else source


# --- depth images and cameras ----------------------------------------------------------------------------------------


@checked
def load_depth(path: str | Path, *, scale: float = 0.001) -> NDArray[np.float32]:
    """A depth image (height, width) [m], 0 where nothing was measured.

    Args:
        path: a 16-bit grey .png, or a .npy of whole numbers or of metres.
        scale: length of a unit of whole numbers [m]: 0.001 for most cameras, 0.0002 or so for some.

    Raises:
        FileFormatError: it is not there, damaged, or no such image.
    """
    path = Path(path)
    if not 1e-9 <= scale <= 1e3:
        raise InvalidInputError(f"scale must be positive, the length of a unit [m], got {scale}")
    data = read_bytes(path, "depth image")
    if path.suffix.lower() == ".npy":
        image = npy_array(data, str(path))
    elif path.suffix.lower() == ".png":
        image = _png(data, path)
    else:
        raise FileFormatError(f"{path}: depth images are read from .png and .npy files, not from {path.suffix!r}")
    if image.ndim != 2 or not image.size or image.dtype.kind not in "uif" or image.size > MOST_PIXELS:
        raise FileFormatError(f"{path}: expected depths (height, width), got {image.dtype} {image.shape}")
    depth = image.astype(np.float32) * (np.float32(scale) if image.dtype.kind in "ui" else np.float32(1.0))
    if not (depth > 0).any():
        warnings.warn(f"{path}: none of its {depth.size} pixels has a depth", EdmpWarning, stacklevel=3)
    return depth


def _png(data: bytes, path: Path) -> NDArray[Any]:
    import io
    import struct
    import zlib

    from PIL import Image

    # The size is looked at before anything is unpacked.
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 33:
        raise FileFormatError(f"{path}: no PNG, or cut off")
    width, height, bits, color = struct.unpack_from(">IIBB", data, 16)
    if (bits, color) != (16, 0):
        raise FileFormatError(
            f"{path}: expected grey of 16 bits a pixel, got {bits} bits of {_PNG_COLORS.get(color, 'nothing')}; "
            "is it a picture of depths, not the depths?"
        )
    if not 0 < width * height <= MOST_PIXELS:
        raise FileFormatError(f"{path}: {width} x {height} pixels; at most {MOST_PIXELS} are read")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.load()
            return np.array(image)
    # What Pillow raises on damaged files.
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, MemoryError, IndexError) as error:
        raise FileFormatError(f"{path}: a damaged PNG, or cut off: {error}") from None


_PNG_COLORS = {0: "grey", 2: "colour", 3: "a palette", 4: "grey with opacity", 6: "colour with opacity"}


@checked_but("X_WC")
def load_camera(
    path: str | Path,
    *,
    X_WC: ArrayLike | None = None,
    near: float = 0.1,
    far: float = 3.0,
    far_is_free: bool = False,
    rectified: bool = False,
) -> DepthCamera:
    """A camera from a YAML file of ROS: what ``camera_calibration`` writes, or a ``CameraInfo`` message.

    Args:
        path: of the file; it has ``image_width``, ``image_height`` and ``camera_matrix``, or ``width``, ``height`` and
            ``k`` (or ``K``).
        X_WC: (4, 4) pose of the camera in the world, z ahead, x to the right; None for the world's own frame.
        near, far, far_is_free: as in `DepthCamera`.
        rectified: the images have been rectified: take ``projection_matrix`` (``p``), and let distortion be.

    Raises:
        FileFormatError: with line, for what is missing or malformed; and for a lens that distorts, if images are not
            rectified.
    """
    X = np.eye(4) if X_WC is None else rigid(X_WC, "X_WC")
    root = read_yaml(path)
    width, height = (_size(root, names) for names in (("image_width", "width"), ("image_height", "height")))
    if rectified:
        named, K = _matrix(root, ("projection_matrix", "p", "P"), 4)
    else:
        named, K = _matrix(root, ("camera_matrix", "k", "K"), 3)
        bent = _numbers_of(root, ("distortion_coefficients", "d", "D"))
        if bent is not None and np.abs(bent[1]).max(initial=0.0) > 0.0:
            bent[0].fail(
                "this lens distorts: rectify the images and say rectified=True, which takes the projection_matrix"
            )
    try:
        return DepthCamera(K[:, :3], X, width, height, near, far, far_is_free)
    except InvalidInputError as error:
        named.fail(str(error))


def _size(root: YamlNode, names: tuple[str, ...]) -> int:
    node = _first(root, names)
    if node is None:
        root.fail(f"missing key {names[0]!r} (or {names[1]!r}); found: {', '.join(root.mapping()) or '(none)'}")
    value = node.number()
    if value != int(value) or not 1 <= value <= 1e6:
        node.fail(f"expected a number of pixels, got {value:g}")
    return int(value)


def _matrix(root: YamlNode, names: tuple[str, ...], columns: int) -> tuple[YamlNode, Array]:
    """(3, columns) of a list of all its numbers, or of a mapping with rows, cols and data."""
    found = _numbers_of(root, names)
    if found is None:
        root.fail(f"missing key {names[0]!r} (or {names[1]!r}); found: {', '.join(root.mapping()) or '(none)'}")
    node, values = found
    if len(values) != 3 * columns:
        node.fail(f"expected {3 * columns} numbers, a matrix (3, {columns}) by rows, got {len(values)}")
    return node, values.reshape(3, columns)


def _numbers_of(root: YamlNode, names: tuple[str, ...]) -> tuple[YamlNode, Array] | None:
    node = _first(root, names)
    if node is None:
        return None
    if node.is_mapping:
        node = node.need("data")
    if node.items() and all(item.is_list for item in node):  # rows
        return node, np.array([value for row in node for value in row.numbers()], dtype=np.float64)
    return node, np.array(node.numbers(), dtype=np.float64)


def _first(root: YamlNode, names: tuple[str, ...]) -> YamlNode | None:
    return next((node for name in names if (node := root.get(name)) is not None), None)
