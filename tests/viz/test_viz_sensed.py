"""What sensors saw, drawn: where it is, thinned if it is much, in pictures, plots and pages."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from command import run
from plan_cases import every_sensed_shape, solved
from sensed_cases import write_cloud

import edmp
from edmp.errors import EdmpWarning
from edmp.geometry import cells
from edmp.problem import load_example
from edmp.viz import sensed
from edmp.viz.plots import clearance_over_time
from edmp.viz.sensed import blockers, distances, drawn, points_drawn
from edmp.viz.staging import FIELD_OF_VIEW, Staging
from edmp.viz.subject import subject_of
from edmp.viz.web_scene import scene_document

RNG = np.random.default_rng(4)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c))) / 6


def ball_field(radius: float, nodes: int, resolution: float) -> edmp.DistanceField:
    grid = np.stack(np.meshgrid(*[np.arange(nodes)] * 3, indexing="ij"), axis=-1) * resolution
    return edmp.DistanceField(np.linalg.norm(grid - (nodes - 1) / 2 * resolution, axis=-1) - radius, resolution)


def test_a_field_is_drawn_where_its_distance_is_zero() -> None:
    """Of a ball: on the ball, closed, outward; cut by its grid: closed there."""
    vertices, faces, normals = drawn(ball_field(0.2, 25, 0.02), "ball", 0)
    from_middle = vertices - 0.24
    np.testing.assert_allclose(np.linalg.norm(from_middle, axis=1), 0.2, atol=0.001)
    assert volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * 0.2**3, rel=0.02)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    outward = from_middle / np.linalg.norm(from_middle, axis=1, keepdims=True)
    assert (np.einsum("fki,fki->fk", normals, outward[faces]) > 0.9).all()
    cut = drawn(ball_field(0.3, 15, 0.03), "cut", 0)  # the grid ends 0.21 m from the middle
    assert volume(cut[0], cut[1]) > 0.42**3 * 0.9


def test_cells_are_drawn_as_they_are_and_joined_where_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = edmp.Voxels(RNG.random((9, 10, 11)) < 0.2, 0.05)
    vertices, faces, _ = drawn(voxels, "cells", 0)
    assert volume(vertices, faces) == pytest.approx(voxels.occupancy.sum() * 0.05**3)
    monkeypatch.setattr(sensed, "MOST_CELLS", 300)
    with pytest.warns(EdmpWarning, match="'cells' 2 x 2 x 2 cells are drawn as one"):
        vertices, faces, _ = drawn(voxels, "cells", 0)
    assert volume(vertices, faces) >= voxels.occupancy.sum() * 0.05**3


def test_points_are_drawn_as_they_are_and_thinned_where_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    clouds = [edmp.PointCloud(RNG.uniform(0, [1, 1, 0.001], (n, 3)), 0.005) for n in (4000, 1000, 50)]
    assert points_drawn([*clouds, edmp.Box((1, 1, 1))]) == [4000, 1000, 50, 0]
    vertices, faces, _ = drawn(clouds[1], "cloud", 1000)
    middles = vertices.reshape(1000, 6, 3).mean(axis=1)
    np.testing.assert_allclose(middles, clouds[1].points, atol=1e-7)
    ball = 4 / 3 * np.pi * 0.005**3
    assert volume(vertices, faces) == pytest.approx(1000 * ball, rel=0.5)
    monkeypatch.setattr(sensed, "MOST_POINTS", 500)
    with pytest.warns(EdmpWarning, match="clouds of 5050 points are drawn as some 500 balls"):
        most = points_drawn(clouds)
    assert most == [396, 100, 50]
    thin = drawn(clouds[0], "cloud", most[0])[0].reshape(-1, 6, 3)
    assert 100 < len(thin) <= 396
    middles, size = thin.mean(axis=1), np.ptp(thin, axis=1).max() / 2
    gaps = np.linalg.norm(clouds[0].points[:, None] - middles, axis=-1).min(axis=1)
    assert gaps.max() < 2.0 * size  # no part of the cloud is left out


@pytest.mark.parametrize("name", ["cloud", "cells", "field"])
def test_distances_for_plots_are_those_of_balls_and_cells(name: str) -> None:
    shape = every_sensed_shape()[name].shape
    p = RNG.uniform(-0.3, 0.6, (200, 3))
    if name == "cloud":
        expected = np.linalg.norm(p[:, None] - shape.points, axis=-1).min(axis=1) - shape.radius
        np.testing.assert_allclose(distances(shape, p), expected, atol=1e-6)
    else:
        occupancy = shape.occupancy if name == "cells" else cells.of_field(shape.distances)
        low = np.argwhere(occupancy) * shape.resolution
        away = np.maximum(np.maximum(low - p[:, None], p[:, None] - low - shape.resolution), 0.0)
        expected = np.linalg.norm(away, axis=-1).min(axis=1)
        np.testing.assert_allclose(distances(shape, p), expected, atol=1e-9)
    boxes = blockers(shape)
    assert 0 < len(boxes) < 400


def test_a_plan_among_them_is_drawn_with_its_clearance(tmp_path: Path) -> None:
    """Picture, page and the distance over time, which goes down to that of the nearest ball."""
    problem = dataclasses.replace(load_example("bookshelf"), scene=every_sensed_shape())
    result = dataclasses.replace(solved(problem), problem=problem)
    result.save(tmp_path / "plan.json")
    edmp.save_image(tmp_path / "plan.json", tmp_path / "plan.png")
    assert (tmp_path / "plan.png").stat().st_size > 10_000
    _, over_time = clearance_over_time(problem.robot, problem.scene, result.trajectory)
    alone = [
        clearance_over_time(problem.robot, edmp.Scene((obstacle,)), result.trajectory)[1] for obstacle in problem.scene
    ]
    np.testing.assert_allclose(over_time, np.min(alone, axis=0), atol=1e-6)
    document = scene_document(Staging(subject_of(tmp_path / "plan.json"), "hulls"))
    assert [one["name"] for one in document["obstacles"]] == list(problem.scene.names)
    json.dumps(document, allow_nan=False)
    colored = Staging(subject_of(result), "hulls", show=("clearance",)).robot_at(problem.start, None)
    assert all(np.isfinite(surface.face_colors).all() for surface in colored)


def test_a_cloud_alone_is_shown_around_a_robot(tmp_path: Path) -> None:
    write_cloud(tmp_path, "little.ply")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdmpWarning)
        assert run("view", tmp_path / "little.ply", "--html", tmp_path / "page.html", "--robot", "ur5") == 0
        subject = subject_of(tmp_path / "little.ply")
    assert (subject.robot.name, subject.scene.names) == ("panda", ("little",))
    assert (tmp_path / "page.html").stat().st_size > 100_000


def test_a_scan_is_in_the_picture_and_thinned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensed, "MOST_POINTS", 300)
    points = RNG.uniform((-0.15, -0.5, 0.0), (0.15, 0.5, 1.2), (1000, 3))
    scene = edmp.Scene.of({"scan": (edmp.PointCloud(points, 0.02), (0.8, 0.0, 0.0))})
    stage = Staging(subject_of(scene, robot="panda"))
    with pytest.warns(EdmpWarning) as told:
        scene_document(stage)
    assert [str(one.message) for one in told] == [
        "clouds of 1000 points are drawn as some 300 balls, larger than the points are"
    ]
    eye, target = stage.orbit()
    away = points + np.array([0.8, 0.0, 0.0]) - eye
    axis = (target - eye) / np.linalg.norm(target - eye)
    angle = np.degrees(np.arccos(away @ axis / np.linalg.norm(away, axis=1)))
    assert angle.max() <= FIELD_OF_VIEW / 2 + 1.0  # the picture is wider than high
