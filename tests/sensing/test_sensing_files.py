"""From files and objects of other libraries: clouds, cells, depth images, cameras of ROS."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest
from command import run
from PIL import Image
from sensed_cases import CALIBRATION, OCTREES, ROWS, TREE_CELLS, write_cloud

import edmp
from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError
from edmp.sensing import load_camera, load_depth, point_cloud, voxels

MESSAGE = "header: {frame_id: eye}\nheight: 6\nwidth: 8\nk: [10.0, 0, 3.5, 0, 12.0, 2.5, 0, 0, 1]\nd: []\n"
K = np.array([[10.0, 0, 3.5], [0, 12.0, 2.5], [0, 0, 1]])


def test_arrays_files_and_objects_of_open3d_are_the_same_cloud(tmp_path: Path) -> None:
    expected = edmp.PointCloud(ROWS, 0.01)
    old = types.SimpleNamespace(points=ROWS.astype(float), colors=[])
    on_cpu = types.SimpleNamespace(numpy=lambda: ROWS)
    new = types.SimpleNamespace(point=types.SimpleNamespace(positions=types.SimpleNamespace(cpu=lambda: on_cpu)))
    path = write_cloud(tmp_path, "binary.pcd")
    for source in (ROWS, ROWS.reshape(4, 3, 3), ROWS.tolist(), path, str(path), old, new):
        assert point_cloud(source, radius=0.01) == expected
    assert point_cloud(1000 * ROWS, radius=0.01, scale=0.001).points == pytest.approx(ROWS)
    with pytest.warns(EdmpWarning, match="radius of its points is taken to be"):
        point_cloud(ROWS)


def test_cells_of_files_and_of_open3d(tmp_path: Path) -> None:
    (tmp_path / "map.ot").write_bytes(OCTREES["tree.ot"])
    shape, X = voxels(tmp_path / "map.ot")
    scene = edmp.Scene.of({"map": voxels(tmp_path / "map.ot")})
    assert scene["map"].shape == shape
    found = [types.SimpleNamespace(grid_index=np.array(cell)) for cell in TREE_CELLS]
    grid = types.SimpleNamespace(get_voxels=lambda: found, voxel_size=0.1, origin=np.zeros(3))
    same, at = voxels(grid)
    assert same == shape
    np.testing.assert_allclose(at, X, atol=1e-12)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((3, 2)), "got an array of float64"),
        (np.zeros((0, 3)), "has no points"),
        (np.full((3, 3), np.nan), "has no points"),
        (["a", "b"], "not from"),
        (object(), "not from"),
        (None, "not from"),
    ],
)
def test_what_is_no_cloud_is_refused(source: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        point_cloud(source, radius=0.01)


def test_what_are_no_cells_is_refused(tmp_path: Path) -> None:
    write_cloud(tmp_path, "little.ply")
    for source, message in ((np.zeros((3, 3)), "not from"), (types.SimpleNamespace(), "not from")):
        with pytest.raises(InvalidInputError, match=message):
            voxels(source)
    apart = [types.SimpleNamespace(grid_index=np.array(cell)) for cell in ((0, 0, 0), (9000, 9000, 9000))]
    sparse = types.SimpleNamespace(get_voxels=lambda: apart, voxel_size=0.1, origin=np.zeros(3))
    with pytest.raises(InvalidInputError, match="9001 x 9001 x 9001 cells; at most"):
        voxels(sparse)
    with pytest.warns(EdmpWarning), pytest.raises(InvalidInputError, match="holds PointCloud, no occupied cells"):
        voxels(tmp_path / "little.ply")
    (tmp_path / "map.bt").write_bytes(OCTREES["tree.bt"])
    with pytest.raises(InvalidInputError, match=r"holds Voxels, no points; see edmp.sensing.voxels"):
        point_cloud(tmp_path / "map.bt")


# --- depth -----------------------------------------------------------------------------------------------------------


def write_depth(path: Path, depth: np.ndarray) -> Path:
    Image.fromarray(depth.astype(np.uint16)).save(path)
    return path


def test_depth_images_are_in_metres(tmp_path: Path) -> None:
    counts = np.arange(48).reshape(6, 8) * 1000
    depth = load_depth(write_depth(tmp_path / "depth.png", counts))
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, 0.001 * counts, rtol=1e-6)
    np.testing.assert_allclose(load_depth(tmp_path / "depth.png", scale=0.0002), 0.0002 * counts, rtol=1e-6)
    np.save(tmp_path / "counts.npy", counts.astype(np.uint16))
    np.testing.assert_array_equal(load_depth(tmp_path / "counts.npy"), depth)
    np.save(tmp_path / "metres.npy", depth)
    np.testing.assert_array_equal(load_depth(tmp_path / "metres.npy", scale=7.0), depth)
    with pytest.warns(EdmpWarning, match="none of its 48 pixels has a depth"):
        load_depth(write_depth(tmp_path / "blind.png", np.zeros((6, 8))))


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.png", lambda path: Image.fromarray(np.zeros((4, 4), np.uint8)).save(path), "16 bits.*got 8 bits of grey"),
        ("a.png", lambda path: Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path), "8 bits of colour"),
        ("a.png", lambda path: path.write_bytes(b"P5 4 4"), "no PNG"),
        ("a.png", lambda path: path.write_bytes(write_depth(path, np.ones((60, 60))).read_bytes()[:70]), "damaged PNG"),
        ("a.jpg", lambda path: path.write_bytes(b"x"), "from .png and .npy files"),
        ("a.npy", lambda path: np.save(path, np.zeros((4, 4, 3))), r"depths \(height, width\), got float64"),
        ("gone.png", lambda path: None, "no such depth image"),
    ],
)
def test_what_is_no_depth_image_is_refused(tmp_path: Path, name: str, make: object, message: str) -> None:
    make(tmp_path / name)
    with pytest.raises(FileFormatError, match=message):
        load_depth(tmp_path / name)


@pytest.mark.parametrize("text", [CALIBRATION, MESSAGE, MESSAGE.replace("k:", "K:")])
def test_cameras_of_ros(tmp_path: Path, text: str) -> None:
    (tmp_path / "camera.yaml").write_text(text)
    X_WC = np.diag([1.0, -1, -1, 1])
    camera = load_camera(tmp_path / "camera.yaml", X_WC=X_WC, near=0.2, far=5.0)
    np.testing.assert_array_equal(camera.intrinsics, K)
    np.testing.assert_array_equal(camera.X_WC, X_WC)
    assert (camera.width, camera.height, camera.near, camera.far) == (8, 6, 0.2, 5.0)


def test_a_lens_that_distorts_wants_rectified_images(tmp_path: Path) -> None:
    (tmp_path / "camera.yaml").write_text(CALIBRATION.replace("data: [0, 0, 0, 0, 0]", "data: [0.1, 0, 0, 0, 0]"))
    with pytest.raises(FileFormatError, match=r"camera.yaml:6: .*rectified=True"):
        load_camera(tmp_path / "camera.yaml")
    rectified = load_camera(tmp_path / "camera.yaml", rectified=True)
    np.testing.assert_array_equal(rectified.intrinsics, [[9, 0, 3], [0, 9, 2], [0, 0, 1]])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("image_width: 8\n", "", "missing key 'image_width'"),
        ("image_height: 6", "image_height: 6.5", "number of pixels"),
        ("[10.0, 0, 3.5, 0, 12.0, 2.5, 0, 0, 1]", "[10.0, 0, 3.5, 0]", r"expected 9 numbers, a matrix \(3, 3\)"),
        ("[10.0,", "[-10.0,", "camera.yaml:4"),
        ("camera_matrix", "camera_matrices", "missing key 'camera_matrix'"),
        ("[10.0,", "[ten,", "expected a number"),
    ],
)
def test_what_is_no_camera_is_refused_by_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in CALIBRATION
    (tmp_path / "camera.yaml").write_text(CALIBRATION.replace(old, new))
    with pytest.raises(FileFormatError, match=message):
        load_camera(tmp_path / "camera.yaml")


def test_a_plan_around_a_depth_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The camera looks along the world's x axis from beside the robot; half of its pixels saw nothing."""
    depth = np.full((6, 8), 1200)
    depth[::2] = 0
    write_depth(tmp_path / "depth.png", depth)
    (tmp_path / "camera.yaml").write_text(CALIBRATION)
    plan = (
        "plan", "--cloud", tmp_path / "depth.png", "--camera-pose", "0 -1 0.5 -0.5 0.5 -0.5 0.5",
        "--cloud-radius", "0.05", "--start", "0 -0.785 0 -2.356 0 1.571 0.785",
        "--goal", "0.3 -0.785 0 -2.356 0 1.571 0.785",
    )  # fmt: skip
    assert run(*plan, "--out", tmp_path / "plan.json") == 2
    assert "needs the --intrinsics of its camera" in capsys.readouterr().err
    assert run(*plan, "--intrinsics", tmp_path / "camera.yaml", "--out", tmp_path / "plan.json") == 0
    cloud = edmp.load_plan(tmp_path / "plan.json").problem.scene["depth"]
    seen = cloud.shape.points @ cloud.X_WO[:3, :3].T + cloud.X_WO[:3, 3]
    assert seen.shape == (24, 3)
    np.testing.assert_allclose(seen[:, 0], 1.2, atol=1e-6)
    np.testing.assert_allclose(sorted(set(seen[:, 1].round(6))), -1 - 1.2 * (np.arange(8)[::-1] - 3.5) / 10, atol=1e-5)
    (tmp_path / "camera.yaml").write_text(CALIBRATION.replace("image_width: 8", "image_width: 9"))
    assert run(*plan, "--intrinsics", tmp_path / "camera.yaml", "--out", tmp_path / "other.json") == 2
    assert "(height, width) = (6, 9) [m], got float64 (6, 8)" in capsys.readouterr().err
    assert not (tmp_path / "other.json").exists()
