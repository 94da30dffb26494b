"""``edmp sense info``, ``edmp plan --cloud``: what is told of a cloud, and a plan around one that a camera saw."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command import run
from sensed_cases import OCTREES, ROWS, write_cloud

import edmp
from edmp.sensing.pieces import arm_pieces
from edmp.validate import Judge

START = "0 -0.785 0 -2.356 0 1.571 0.785"
GOAL = "0.8 -0.785 0 -2.356 0 1.571 0.785"


def test_info_says_what_is_in_a_cloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = 10.0 * np.stack(np.meshgrid(np.arange(20), np.arange(30), [7.0], indexing="ij"), axis=-1).reshape(-1, 3)
    np.save(tmp_path / "scan.npy", np.vstack([grid, grid[:5], [[np.nan, 0, 0]]]).astype(np.float32))
    assert run("sense", "info", tmp_path / "scan.npy", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["count"], told["not_finite"], told["doubles"]) == ("point_cloud", 600, 1, 5)
    assert told["memory_bytes"] == 600 * 12
    assert told["upper_m"] == [190.0, 290.0, 70.0]
    assert any("extends over 290 m; is it in millimetres?" in note for note in told["notes"])
    assert run("sense", "info", tmp_path / "scan.npy", "--scale", "0.001") == 0
    said = capsys.readouterr().out
    assert "600 points" in said
    assert "1 not finite, 5 there twice" in said
    assert "spacing     10 mm" in said
    assert "radius      7.07 mm" in said
    assert "millimetres" not in said


def test_info_says_what_is_in_a_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "map.bt").write_bytes(OCTREES["tree.bt"])
    assert run("sense", "info", tmp_path / "map.bt") == 0
    said = capsys.readouterr().out
    for words in (
        "voxels",
        "11 occupied cells",
        "9 x 6 x 6, 100 mm apart",
        "0.9 x 0.6 x 0.6 m",
        "boxes fill its cells",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("sense", "info", "gone.ply"), "no such file of points"),
        (("sense", "info", "notes.txt"), "expected a file .ply"),
        (("plan",), "give --scene, a file or a shipped example, or --cloud"),
        (("plan", "--cloud", "scan.ply"), "needs --start"),
        (("plan", "--scene", "bookshelf", "--camera-pose", "0 0 0 0 0 0 1"), "--camera-pose belongs to --cloud"),
        (("plan", "--scene", "bookshelf", "--cloud-radius", "0.1"), "--cloud-radius belongs to --cloud"),
        (
            ("plan", "--scene", "bookshelf", *("--cloud", "scan.ply") * 2, "--camera-pose", "0 0 0 0 0 0 1"),
            "got 1 for 2",
        ),
        (
            ("plan", "--scene", "bookshelf", "--cloud", "scan.ply", "--camera-pose", "0 0 0 0 0 0 2"),
            "--camera-pose: .*unit",
        ),
        (("plan", "--scene", "bookshelf", "--cloud", "scan.ply", "--cloud-radius", "-1"), "radius must be positive"),
        (("plan", "--scene", "bookshelf", "--cloud", "scan.ply", "--cloud-scale", "0"), "scale must be positive"),
        (("plan", "--scene", "bookshelf", "--cloud-scale", "0"), "--cloud-scale belongs to --cloud"),
        (("plan", "--scene", "bookshelf", "--cloud", "cut.ply"), "cut off"),
    ],
)
def test_misuse_is_told_and_nothing_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_cloud(tmp_path / "scan.ply", "big.ply")
    (tmp_path / "cut.ply").write_bytes((tmp_path / "scan.ply").read_bytes()[:-20])
    more = ("--out", "plan.json") if options[0] == "plan" else ()
    assert run(*options, *more) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert re.search(message, line), line
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cut.ply", "scan.ply"]


def test_a_plan_around_what_a_camera_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wall of points between start and goal, in millimetres, in the frame of a camera that looks down."""
    out, up = (side.ravel() for side in np.meshgrid(np.arange(0.25, 0.5, 0.01), np.arange(0.2, 0.5, 0.01)))
    wall = np.stack([np.cos(0.4) * out, np.sin(0.4) * out, up], axis=1)
    turned = np.diag([1.0, -1.0, -1.0])  # half a turn about x
    np.save(tmp_path / "scan.npy", (1000 * (wall - (0.0, 0.0, 1.5)) @ turned).astype(np.float32))
    plan = (
        "plan", "--cloud", tmp_path / "scan.npy", "--camera-pose", "0 0 1.5 1 0 0 0", "--cloud-scale", "0.001",
        "--cloud-radius", "0.008", "--start", START, "--goal", GOAL, "--out", tmp_path / "plan.json",
    )  # fmt: skip
    assert run(*plan) == 0
    assert "panda, 1 obstacles" in capsys.readouterr().out
    result = edmp.load_result(tmp_path / "plan.json")
    cloud = result.problem.scene["scan"]
    seen = cloud.shape.points @ cloud.X_WO[:3, :3].T + cloud.X_WO[:3, 3]
    np.testing.assert_allclose(seen, wall, atol=1e-5)
    straight = np.linspace(result.path[0], result.path[-1], 50)
    judge = Judge(result.problem.robot, result.problem.scene)
    assert not judge.check_path(straight).valid  # the wall is in the way
    assert judge.check_path(result.path).valid


def test_the_robot_is_taken_out_of_a_cloud_where_it_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A camera sees the arm that it is to plan for; without being asked, nothing is left out."""
    robot, start = edmp.load_robot("panda"), np.array([float(word) for word in START.split()])
    own = np.concatenate([piece.vertices for piece in arm_pieces(robot, start)])
    far = np.add(ROWS, (2.0, 0.0, 0.0))
    np.save(tmp_path / "scan.npy", np.concatenate([own, far]) - (0.0, 0.0, 0.5))
    plan = (
        "plan", "--cloud", tmp_path / "scan.npy", "--camera-pose", "0 0 0.5 0 0 0 1", "--cloud-radius", "0.01",
        "--start", START, "--goal", GOAL, "--out", tmp_path / "plan.json",
    )  # fmt: skip
    assert run(*plan) == 1
    assert "START_IN_COLLISION" in capsys.readouterr().out
    assert run(*plan, "--without-robot") == 0
    assert re.search(r"scan.npy: \d+ of \d+ points are within 20 mm.* of panda at the start", capsys.readouterr().err)
    assert len(edmp.load_plan(tmp_path / "plan.json").problem.scene["scan"].shape.points) == len(far)
    np.save(tmp_path / "scan.npy", own - (0.0, 0.0, 0.5))
    assert run(*plan, "--without-robot") == 2
    assert "all points" in capsys.readouterr().err
    assert run("plan", "--scene", "bookshelf", "--without-robot", "--out", tmp_path / "plan.json") == 2
    assert "--without-robot belongs to --cloud" in capsys.readouterr().err


def test_a_cloud_stands_beside_a_scene_under_a_name_of_its_own(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", ROWS + np.float32(2.0))
    again = tmp_path / "again"
    again.mkdir()
    np.save(again / "scan.npy", ROWS - np.float32(3.0))
    clouds = ("--cloud", tmp_path / "scan.npy", "--cloud", again / "scan.npy", "--cloud-radius", "0.01")
    assert run("plan", "--scene", "bookshelf", *clouds, "--out", tmp_path / "plan.json") == 0
    names = edmp.load_plan(tmp_path / "plan.json").problem.scene.names
    assert names[-2:] == ("scan", "scan-2")
