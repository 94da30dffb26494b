"""Files of what sensors saw: points, octrees, arrays; every format says the same, and what is wrong is said."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from sensed_cases import CLOUDS, COMPRESSED_PCD, OCTREES, ROWS, TREE_CELLS, octomap, pcd, ply, write_cloud

import edmp
from edmp.errors import EdmpWarning, FileFormatError
from edmp.geometry.poses import pose
from edmp.problem import load_setting
from edmp.scenes.clouds import covering_radius, load_sensed

PANDA = edmp.load_robot("panda")


@pytest.mark.parametrize("name", CLOUDS)
def test_points_are_the_same_in_every_format(tmp_path: Path, name: str) -> None:
    path = write_cloud(tmp_path, name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shape, X = load_sensed(path, radius=0.02)
    assert shape == edmp.PointCloud(ROWS, 0.02)
    np.testing.assert_array_equal(X, np.eye(4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdmpWarning)
        assert load_sensed(path, radius=0.02, scale=0.001)[0] == edmp.PointCloud(0.001 * ROWS.astype(float), 0.02)


@pytest.mark.parametrize("name", OCTREES)
def test_an_octree_is_its_occupied_leaves_at_every_depth(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(OCTREES[name])
    shape, X = load_sensed(tmp_path / name)
    assert isinstance(shape, edmp.Voxels)
    assert shape.resolution == 0.1
    corner = np.round(X[:3, 3] / 0.1).astype(int)
    np.testing.assert_allclose(X, pose(0.1 * corner), atol=1e-12)
    assert {tuple(cell) for cell in (np.argwhere(shape.occupancy) + corner).tolist()} == TREE_CELLS


def test_arrays_may_be_cells_and_fields(tmp_path: Path) -> None:
    cells, X = np.arange(24).reshape(2, 3, 4) % 5 == 0, pose((0.5, 0.1, 0.2), (0, 0, 1, 0))
    np.savez(tmp_path / "cells.npz", occupancy=cells, resolution=0.02, X_WV=X)
    np.savez(tmp_path / "field.npz", distances=np.where(cells, -0.01, 0.02), resolution=20.0)
    assert edmp.load_scene(tmp_path / "cells.npz") == edmp.Scene.of({"cells": (edmp.Voxels(cells, 0.02), X)})
    np.savez(tmp_path / "both.npz", occupancy=cells, points=np.eye(3), resolution=0.02)
    with pytest.raises(edmp.FileFormatError, match="holds points, occupancy: one obstacle is one of them"):
        edmp.load_scene(tmp_path / "both.npz")
    shape, at = load_sensed(tmp_path / "field.npz", scale=0.001)
    assert shape == edmp.DistanceField(np.where(cells, -1e-5, 2e-5), 0.02)
    np.testing.assert_array_equal(at, np.eye(4))


def test_a_file_is_a_scene_and_an_obstacle_of_one(tmp_path: Path) -> None:
    """Front doors: `edmp.load_scene` of the file itself, and a scene file that names it."""
    scan = write_cloud(tmp_path, "binary.pcd")
    (tmp_path / "map.bt").write_bytes(OCTREES["tree.bt"])
    with pytest.warns(EdmpWarning, match="radius of its points is taken to be"):
        (alone,) = edmp.load_scene(scan)
    assert (alone.name, type(alone.shape)) == ("binary", edmp.PointCloud)
    text = (
        "edmp_scene: 1\nobstacles:\n"
        "  scan: {type: point_cloud, file: binary.pcd, radius: 0.01, scale: 0.5, position: [1, 0, 0]}\n"
        "  map: {type: voxels, file: map.bt, position: [0, 0, 2], rpy: [0, 0, 1.5707963267948966]}\n"
    )
    (tmp_path / "scene.yaml").write_text(text)
    scene = edmp.load_scene(tmp_path / "scene.yaml")
    assert scene["scan"] == edmp.Scene.of({"scan": (edmp.PointCloud(0.5 * ROWS, 0.01), (1, 0, 0))})["scan"]
    corner = load_sensed(tmp_path / "map.bt")[1]
    turned = pose((0, 0, 2), (0, 0, np.sqrt(0.5), np.sqrt(0.5)))
    np.testing.assert_allclose(scene["map"].X_WO, turned @ corner, atol=1e-12)
    edmp.save_scene(tmp_path / "again.yaml", scene)
    for one, other in zip(edmp.load_scene(tmp_path / "again.yaml"), scene, strict=True):
        assert (one.name, one.shape) == (other.name, other.shape)
        np.testing.assert_allclose(one.X_WO, other.X_WO, atol=1e-12)


@pytest.mark.filterwarnings("ignore::edmp.errors.EdmpWarning")
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{type: point_cloud, file: binary.pcd}", "need a radius"),
        ("{type: voxels, file: binary.pcd, radius: 0.1}", "unknown key 'radius'"),
        ("{type: voxels, file: binary.pcd}", "holds a point_cloud"),
        ("{type: point_cloud, file: map.bt, radius: 0.1}", "a radius belongs to points; this is a Voxels"),
        ("{type: point_cloud, file: gone.ply, radius: 0.1}", "gone.ply: no such file of points"),
        ("{type: point_cloud, file: scene.yaml, radius: 0.1}", "expected a file .ply"),
        ("{type: point_cloud, file: binary.pcd, radius: -1}", "radius must be positive"),
        ("{type: point_cloud, file: binary.pcd, radius: 0.1, scale: 0}", "scale must be positive"),
        ("{type: voxels, file: map.bt, resolution: 0.02}", "resolution is what the file says"),
        ("{type: point_cloud, file: binary.pcd, radius: 0.1, points: {array: a, file: b}}", "points is what the file"),
        ("{type: voxels, occupancy: {array: a, file: b}, resolution: 20, scale: 0.001}", "scale belongs to a file"),
    ],
)
def test_a_scene_file_says_what_is_wrong_with_a_cloud(tmp_path: Path, entry: str, message: str) -> None:
    write_cloud(tmp_path, "binary.pcd")
    (tmp_path / "map.bt").write_bytes(OCTREES["tree.bt"])
    (tmp_path / "scene.yaml").write_text(f"edmp_scene: 1\nobstacles:\n  scan: {entry}\n")
    with pytest.raises(FileFormatError, match=message) as refused:
        edmp.load_scene(tmp_path / "scene.yaml")
    assert "scene.yaml:3: obstacles.scan" in str(refused.value)


BAD: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.ply", b"", "empty"),
    "no points": ("a.xyz", b"# nothing\n", "no points"),
    "all NaN": ("a.xyz", b"nan nan nan\n" * 3, "no points"),
    "words": ("a.xyz", b"1 2 3\n1 2 three\n", "line 2: expected numbers x y z, got '1 2 three'"),
    "two columns": ("a.xyz", b"1 2\n", "line 1"),
    "cut text ply": ("a.ply", ply("ascii")[:-60], "line 21: expected numbers x y z, got '255 0.5'"),
    "cut ply": ("a.ply", ply("binary_big_endian")[:-30], r"12 rows of 'vertex', \d+ follow: cut off"),
    "cut pcd": ("a.pcd", pcd("binary")[:-5], "12 points, 11 follow: cut off"),
    "cut text pcd": ("a.pcd", b"\n".join(pcd("ascii").splitlines()[:-3]) + b"\n", "12 rows, 9 lines follow: cut off"),
    "cut header": ("a.pcd", pcd("ascii")[:60], "its header ends with a line 'DATA'"),
    "cut compressed": ("a.pcd", COMPRESSED_PCD[:-9], "50 bytes of compressed data are promised, 41 follow"),
    "bomb": ("a.pcd", COMPRESSED_PCD.replace(b"POINTS 12", b"POINTS 99999999999"), "at most 50000000 are read"),
    "size": ("a.pcd", COMPRESSED_PCD.replace(b"POINTS 12", b"POINTS 13"), "are said to have 192"),
    "no x": ("a.ply", ply("ascii").replace(b"double x", b"double w"), "expected x, y and z"),
    "no PLY": ("a.ply", b"solid\n", "begins with 'ply'"),
    "shape": ("a.npz", b"", "empty|not a file of arrays"),
    "octree": ("a.bt", OCTREES["tree.bt"][:-3], "nodes end too early: cut off"),
    "octree text": ("a.ot", b"hello", "no octree"),
    "octree rest": ("a.ot", OCTREES["tree.ot"] + b"xx", "2 bytes follow"),
    "octree kind": ("a.ot", OCTREES["tree.ot"].replace(b"id OcTree", b"id MyTree"), "kind 'MyTree' are not read"),
    "octree large": (
        "a.bt",
        b"# Octomap OcTree binary file\nid OcTree\nres 0.1\ndata\n\x02\x80",
        "more than 134217728",
    ),
    "octree free": ("a.bt", b"# Octomap OcTree binary file\nid OcTree\nres 0.1\ndata\n\x01\x00", "none of its cells"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_words(tmp_path: Path, case: str) -> None:
    name, data, message = BAD[case]
    (tmp_path / name).write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdmpWarning)
        with pytest.raises(FileFormatError, match=message) as refused:
            load_sensed(tmp_path / name, radius=None if ".bt" in name or ".ot" in name else 0.01)
    assert name in str(refused.value)


def test_what_is_left_is_said(tmp_path: Path) -> None:
    dirty = np.vstack([ROWS, ROWS[:2], [[np.nan, 0, 0], [0, np.inf, 0]]])
    np.save(tmp_path / "a.npy", 1000 * dirty.astype(np.float64))
    with pytest.warns(EdmpWarning) as told:
        load_sensed(tmp_path / "a.npy", radius=0.01)
    texts = " ".join(str(one.message) for one in told)
    for said in (
        "2 of 16 points are not finite",
        "2 of 14 points are there twice",
        "extends over 1000 m; is it in milli",
    ):
        assert said in texts
    (tmp_path / "faces.ply").write_bytes(
        ply("ascii").replace(b"end_header", b"element face 1\nproperty list uchar int vertex_indices\nend_header")
        + b"3 0 1 2\n"
    )
    with pytest.warns(EdmpWarning, match="its 1 faces are left"):
        load_sensed(tmp_path / "faces.ply", radius=0.01)


def test_a_pcd_stands_where_its_viewpoint_says(tmp_path: Path) -> None:
    """Points are in the sensor's frame; the quaternion has w first."""
    path, pose = tmp_path / "a.pcd", b"VIEWPOINT 0.1 0 2 0 1 0 0"  # half a turn about x
    path.write_bytes(pcd("binary").replace(b"VIEWPOINT 0 0 0 1 0 0 0", pose))
    with pytest.warns(EdmpWarning) as told:
        scene = edmp.load_scene(path)
    assert any("stood at 0.1 0 2 m; points are placed" in str(one.message) for one in told)
    np.testing.assert_allclose(
        scene["a"].X_WO, [[1, 0, 0, 0.1], [0, -1, 0, 0], [0, 0, -1, 2], [0, 0, 0, 1]], atol=1e-12
    )
    with pytest.warns(EdmpWarning, match="taken as they are"):
        assert edmp.sensing.point_cloud(path, radius=0.01) == edmp.PointCloud(ROWS, 0.01)
    with pytest.warns(EdmpWarning, match="stood at 0.0001 0 0.002 m"):
        assert load_sensed(path, radius=0.01, scale=0.001)[1][2, 3] == pytest.approx(0.002)
    for wrong in (b"0 0 2 1 0 0", b"0 0 2 2 0 0 0", b"0 0 nan 1 0 0 0", b"0 0 a 1 0 0 0"):
        path.write_bytes(pcd("binary").replace(b"VIEWPOINT 0 0 0 1 0 0 0", b"VIEWPOINT " + wrong))
        with pytest.raises(edmp.FileFormatError, match=r"VIEWPOINT .*expected x y z and a unit quaternion"):
            load_sensed(path, radius=0.01)


def test_the_radius_covers_what_the_points_were_seen_of() -> None:
    """Of points on a square grid: no point between them is outside all the balls; and none is much larger."""
    grid = 0.01 * np.stack(np.meshgrid(np.arange(30), np.arange(40), [0.0], indexing="ij"), axis=-1).reshape(-1, 3)
    radius = covering_radius(grid)
    assert 0.00707 < radius < 0.0072
    assert covering_radius(grid[:3]) == 0.005


def _moveit(folder: Path, **more: object) -> Path:
    path = folder / "scene.yaml"
    path.write_text(yaml.safe_dump({"world": {"octomap": octomap(**more)}}))
    return path


@pytest.mark.parametrize("unsigned", [False, True])
def test_the_octomap_of_a_planning_scene_is_voxels(tmp_path: Path, unsigned: bool) -> None:
    """In the frame of its header, here the robot's base, at its origin."""
    data = octomap()["octomap"]["data"]
    more = {"data": [value % 256 for value in data]} if unsigned else {}
    robot = PANDA.with_base(pose((0, 0, 0.7)))
    _, scene = load_setting(_moveit(tmp_path, **more), robot=robot)
    shape, corner = scene["<octomap>"].shape, scene["<octomap>"].X_WO[:3, 3] - (0.5, 0, 0.8)
    cells = np.argwhere(shape.occupancy) + np.round(corner / 0.1).astype(int)
    assert {tuple(cell) for cell in cells.tolist()} == TREE_CELLS


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"data": [1, 2, 300]}, "expected bytes"),
        ({"data": [3]}, "nodes end too early"),
        ({"id": "TsdfTree"}, "'TsdfTree' are not read"),
        ({"resolution": 0.0}, "resolution is 0 m"),
        ({"binary": "perhaps"}, "expected true or false"),
    ],
)
def test_an_octomap_that_cannot_be_read_is_refused_by_its_line(
    tmp_path: Path, more: dict[str, object], message: str
) -> None:
    with pytest.raises(FileFormatError, match=r"scene.yaml:\d+: world.octomap.*" + message):
        load_setting(_moveit(tmp_path, **more), robot=PANDA)


def test_an_octomap_without_occupied_cells_is_no_obstacle(tmp_path: Path) -> None:
    for data in ([], [1, 0]):
        assert len(load_setting(_moveit(tmp_path, data=data), robot=PANDA)[1]) == 0
