"""Small files of what sensors saw, in every format; those that other programs wrote are kept here as they are."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

GRID = np.stack(np.meshgrid(np.arange(4) * 0.25, np.arange(3) * 0.5, [1.0], indexing="ij"), axis=-1).reshape(-1, 3)
"""Twelve points, which every one of these files holds."""

ROWS = GRID.astype(np.float32)

# Written by pypcd4 1.5 of GRID with a fourth field.
COMPRESSED_PCD = base64.b64decode(
    "VkVSU0lPTiAwLjcKRklFTERTIHggeSB6IGludGVuc2l0eQpTSVpFIDQgNCA0IDQKVFlQRSBGIEYgRiBGCkNPVU5UIDEgMSAxIDEKV0lEVEggMTIK"
    "SEVJR0hUIDEKVklFV1BPSU5UIDAuMCAwLjAgMC4wIDEuMCAwLjAgMC4wIDAuMApQT0lOVFMgMTIKREFUQSBiaW5hcnlfY29tcHJlc3NlZAoyAAAA"
    "wAAAAAEAAOADAAGAPuABAwEAP+ABAwBAIAvAA2AAIA8AgCADYAAgB+ATC0Ab4CMD4CMAAQAA"
)

# Written by pyoctomap (OctoMap 1.10): three occupied cells of 0.1 m, a leaf of 2 x 2 x 2 of them, and free cells.
OCTREES = {
    name: zlib.decompress(base64.b64decode(text))
    for name, text in {
        "tree.bt": "eNpTVvBPLsnPTSwA0iFFqakKSZl5iUWVCmmZOalcylyZKVBxruLMqlQFYwuuotRiBQM9Q66UxJJELoYPPAy4oAHDBAZmXPAA"
        "M4MUAxMDAMj5Fpc=",
        "tree.ot": "eNpTVvBPLsnPTSwA0iFFqakKaZk5qVzKXJkpUAGu4syqVAVjC66i1GIFAz1DrpTEkkSuXVsSHA40v4iwZ6KUYAERPPIzz+9j"
        "ALEYQCYzUkA0gkxhBBHsYPPABNh4uBIGAP62X7I=",
        "color.ot": "eNpTVvBPLsnPTSwA0iFFqakKaZk5qVzKXJkpCs75OflFEFGu4syqVAVjC66i1GIFAz1DrpTEkkSuXVsSHP7//3+g+UWEPZBm"
        "ohPNAqV55Gee3wekGaB8Bqh7GGlMN0LtY4TS7DD7YTTMXWj6GAA8YNM/",
    }.items()
}
TREE_CELLS = {(0, 0, 0), (1, 0, 0), (-3, 3, 0)} | {(4 + i, 4 + j, 4 + k) for i, j, k in np.ndindex(2, 2, 2)}
"""The occupied cells of these trees: the corner of each, in cells."""


def ply(form: str) -> bytes:
    """GRID with a colour, an element before the vertices and faces behind them."""
    order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}[form]
    head = (
        f"ply\nformat {form} 1.0\ncomment a test\nelement camera 1\nproperty float focal\nproperty short id\n"
        f"element vertex {len(GRID)}\nproperty uchar red\nproperty double x\nproperty float y\nproperty float z\n"
        "end_header\n"
    ).encode()
    if not order:
        return head + b"500.0 1\n" + b"".join(b"255 %.17g %.9g %.9g\n" % tuple(row) for row in GRID)
    camera = np.array([(500.0, 1)], dtype=[("focal", f"{order}f4"), ("id", f"{order}i2")])
    table = np.zeros(len(GRID), dtype=[("red", "u1"), ("x", f"{order}f8"), ("y", f"{order}f4"), ("z", f"{order}f4")])
    table["x"], table["y"], table["z"] = GRID.T
    return head + camera.tobytes() + table.tobytes()


def pcd(how: str) -> bytes:
    """GRID as an organised cloud, with a field of three values before its coordinates."""
    head = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS normal x y z\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 3 1 1 1\nWIDTH 4\nHEIGHT 3\n"
        f"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(GRID)}\nDATA {how}\n"
    ).encode()
    table = np.hstack([np.zeros_like(ROWS), ROWS])
    if how == "binary":
        return head + table.astype("<f4").tobytes()
    return head + b"".join(b" ".join(b"%.9g" % value for value in row) + b"\n" for row in table)


def _save(write: Callable[[Path], object]) -> Callable[[Path], bytes]:
    def made(path: Path) -> bytes:
        write(path)
        return path.read_bytes()

    return made


CLOUDS: dict[str, Callable[[Path], bytes]] = {
    "ascii.ply": lambda _: ply("ascii"),
    "little.ply": lambda _: ply("binary_little_endian"),
    "big.ply": lambda _: ply("binary_big_endian"),
    "ascii.pcd": lambda _: pcd("ascii"),
    "binary.pcd": lambda _: pcd("binary"),
    "compressed.pcd": lambda _: COMPRESSED_PCD,
    "plain.npy": _save(lambda path: np.save(path, GRID)),
    "image.npy": _save(lambda path: np.save(path, ROWS.reshape(4, 3, 3))),
    "named.npz": _save(lambda path: np.savez(path, points=ROWS, colors=np.zeros((12, 3)))),
    "alone.npz": _save(lambda path: np.savez_compressed(path, GRID)),
    "text.xyz": lambda _: b"# x y z\n\n" + b"\n".join(b"%.9g %.9g %.9g 255 0 0" % tuple(row) for row in GRID),
    "commas.xyz": lambda _: b"\n".join(b"%.9g,%.9g, %.9g" % tuple(row) for row in GRID) + b"\n",
}


def write_cloud(path: Path, name: str) -> Path:
    """The file of that name, at a path or in a folder."""
    path = path / name if path.is_dir() else path
    path.write_bytes(CLOUDS[name](path))
    return path


def octomap(frame: str = "panda_link0", **more: object) -> dict[str, object]:
    """OctomapWithPose as MoveIt has it in its planning scenes, of TREE_CELLS."""
    origin = {"position": {"x": 0.5, "y": 0, "z": 0.1}, "orientation": {"x": 0, "y": 0, "z": 0, "w": 1}}
    data = np.frombuffer(OCTREES["tree.bt"].partition(b"data\n")[2], np.int8).tolist()
    tree = {"header": {"frame_id": ""}, "id": "OcTree", "binary": True, "resolution": 0.1, "data": data, **more}
    return {"header": {"frame_id": frame}, "origin": origin, "octomap": tree}


CALIBRATION = """image_width: 8
image_height: 6
camera_name: rig
camera_matrix: {rows: 3, cols: 3, data: [10.0, 0, 3.5, 0, 12.0, 2.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}
projection_matrix: {rows: 3, cols: 4, data: [9.0, 0, 3.0, 0, 0, 9.0, 2.0, 0, 0, 0, 1, 0]}
"""
"""What camera_calibration of ROS writes."""
