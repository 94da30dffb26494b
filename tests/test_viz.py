"""Pictures are checked as pictures: what should be seen covers pixels where the projection says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plan_cases import every_shape, failed, solved

import edmp
from edmp.planfile import PlanFile
from edmp.problem import load_example
from edmp.result import Status
from edmp.scenes import Box, Scene, Sphere
from edmp.viz.camera import direction, fitted
from edmp.viz.raster import Layer, render
from edmp.viz.surfaces import hull_faces, robot_surfaces, scene_surfaces, tool_positions, triangles_of

RED, BLUE, WHITE = (1.0, 0.1, 0.1), (0.1, 0.1, 1.0), (1.0, 1.0, 1.0)


def colored(image: np.ndarray, color: tuple[float, float, float]) -> np.ndarray:
    """Pixels whose strongest channel is the colour's, and clearly so."""
    strongest = int(np.argmax(color))
    others = [k for k in range(3) if k != strongest]
    return image[..., strongest] > 1.8 * image[..., others].max(axis=-1)


def test_nearer_things_hide_farther_ones_whatever_the_order() -> None:
    scene = Scene.of({"near": (Box((0.1, 0.4, 0.4)), (1.0, 0, 0)), "far": (Box((0.1, 1.0, 1.0)), (0.0, 0, 0))})
    surfaces = scene_surfaces(scene, [RED, BLUE])
    points = np.concatenate([surface.vertices for surface in surfaces])
    camera = fitted(points, direction(0.0, 0.2), (160, 120))
    for order in (surfaces, surfaces[::-1]):
        image, _ = render(camera, order, [], ground=-5.0)
        (column, row), _ = camera.project(np.array([1.05, 0.0, 0.0]))
        assert colored(image, RED)[round(row), round(column)]
        (column, row), _ = camera.project(np.array([0.05, 0.45, 0.45]))
        assert colored(image, BLUE)[round(row), round(column)]


def test_a_ball_covers_the_disc_that_the_projection_says() -> None:
    surfaces = scene_surfaces(Scene.of({"ball": (Sphere(0.3), (0, 0, 0))}), [RED])
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
    camera = fitted(corners, direction(0.3, 0.4), (200, 200))
    image, _ = render(camera, surfaces, [], ground=-5.0)
    centre, depth = camera.project(np.zeros(3))
    expected = np.pi * (0.3 * camera.scale / float(depth)) ** 2
    rows, columns = np.nonzero(colored(image, RED))
    assert abs(len(rows) / expected - 1) < 0.1
    np.testing.assert_allclose([columns.mean(), rows.mean()], centre, atol=1.5)


def test_translucent_layers_tint_and_do_not_hide() -> None:
    back = scene_surfaces(Scene.of({"wall": (Box((0.1, 1.0, 1.0)), (0, 0, 0))}), [BLUE])
    front = scene_surfaces(Scene.of({"pane": (Box((0.1, 0.4, 0.4)), (0.5, 0, 0))}), [RED])
    points = np.concatenate([surface.vertices for surface in back + front])
    camera = fitted(points, direction(0.0, 0.2), (160, 120))
    (column, row), _ = camera.project(np.array([0.55, 0.0, 0.0]))
    plain, _ = render(camera, back, [], ground=-5.0)
    tinted, _ = render(camera, back, [Layer(front, 0.3)], ground=-5.0)
    before, after = (image[round(row), round(column)] for image in (plain, tinted))
    assert after[0] > before[0] + 0.1
    assert after[2] > after[0]
    behind, _ = render(camera, front, [Layer(back, 0.5)], ground=-5.0)
    assert colored(behind, RED)[round(row), round(column)]


def test_surfaces_are_closed_and_wound_outward() -> None:
    for obstacle in every_shape():
        vertices, faces = triangles_of(obstacle.shape)
        corners = vertices[faces] - vertices.mean(axis=0)
        assert np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() > 0
    square = np.array([[x, y, z] for x in (0.0, 1) for y in (0.0, 1) for z in (0.0, 1)])
    assert len(hull_faces(square)) == 12


def test_the_robot_is_drawn_where_its_kinematics_says() -> None:
    torch = pytest.importorskip("torch")
    from edmp.robots import tool_pose

    problem = load_example("bookshelf")
    robot = problem.robot
    tool = tool_positions(robot, problem.start[None])[0]
    np.testing.assert_allclose(tool, tool_pose(robot, torch.as_tensor(problem.start)).numpy()[:3, 3], atol=1e-9)
    surfaces = robot_surfaces(robot, problem.start, dict.fromkeys(robot.link_names, RED))
    points = np.concatenate([surface.vertices for surface in surfaces])
    camera = fitted(points, direction(-1.0, 0.3), (240, 200))
    image, _ = render(camera, surfaces, [], ground=-5.0)
    covered = colored(image, RED).mean()
    assert 0.05 < covered < 0.6
    pixels, _ = camera.project(points)
    assert (pixels >= 0).all()
    assert (pixels <= (240, 200)).all()


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_plan_is_drawn_from_its_file_alone(tmp_path: Path, suffix: str) -> None:
    problem = load_example("bookshelf")
    path = tmp_path / f"plan{suffix}"
    edmp.save_image(PlanFile(problem, solved(problem)), path)
    assert path.stat().st_size > 20_000
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_failure_shows_what_is_at_fault_in_red(tmp_path: Path) -> None:
    from matplotlib.image import imread

    problem = load_example("bookshelf")
    result = failed(Status.START_IN_COLLISION, 'panda_link4 is 12 mm inside "globe"')
    edmp.save_image(result, tmp_path / "fault.png", problem=problem)
    edmp.save_image(failed(), tmp_path / "plain.png", problem=problem)
    red = [colored(imread(tmp_path / name)[100:, :990, :3], RED).sum() for name in ("fault.png", "plain.png")]
    assert red[0] > red[1] + 2000


def test_misuse_says_what_is_missing(tmp_path: Path) -> None:
    problem = load_example("bookshelf")
    with pytest.raises(edmp.InvalidInputError, match="give robot= and scene="):
        edmp.save_image(solved(problem), tmp_path / "x.png")
    with pytest.raises(edmp.InvalidInputError, match="does not exist"):
        edmp.save_image(PlanFile(problem, solved(problem)), tmp_path / "no" / "x.png")
    assert list(tmp_path.iterdir()) == []
