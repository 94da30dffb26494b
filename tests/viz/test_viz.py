"""Pictures are checked as pictures: what should be seen covers pixels where the projection says."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from plan_cases import every_shape, failed, solved
from scipy.spatial import ConvexHull

import edmp
from edmp.geometry.kinds import triangles
from edmp.geometry.primitives import hull_faces
from edmp.planfile import PlanFile
from edmp.problem import load_example
from edmp.result import Status
from edmp.scenes import Box, Scene, Sphere
from edmp.viz.camera import Camera, direction, fitted
from edmp.viz.models import placed, robot_parts
from edmp.viz.raster import Buffer, NumpyRenderer, draw
from edmp.viz.renderers import advice, renderer_by_name, trouble_with
from edmp.viz.shot import Body, Layer, Shot
from edmp.viz.staging import CLEARANCE_SCALE, REGION_OPACITY, Staging, clearance_color, clearance_colored
from edmp.viz.subject import subject_of
from edmp.viz.surfaces import Surface, scene_surfaces, tool_positions, tube

RED, BLUE, WHITE = (1.0, 0.1, 0.1), (0.1, 0.1, 1.0), (1.0, 1.0, 1.0)


def picture(camera: Camera, still: list[Surface], layers: list[Layer] | None = None) -> np.ndarray:
    view = NumpyRenderer().open(Shot(camera, still, layers or [], (), ground=-5.0))
    return view.frame(np.zeros((0, 4, 4)))


def colored(image: np.ndarray, color: tuple[float, float, float]) -> np.ndarray:
    """Pixels whose strongest channel is the colour's, and clearly so."""
    strongest = int(np.argmax(color))
    others = [k for k in range(3) if k != strongest]
    return image[..., strongest] > 1.8 * image[..., others].max(axis=-1)


def test_regions_tint_what_is_behind_them_and_hide_nothing() -> None:
    scene = Scene.of({"wall": (Box((0.05, 1.0, 1.0)), (0.4, 0.0, 0.5))})
    marked = scene.with_region("tray", (0.2, 0.3, 0.3), (0.7, 0.1, 0.5))
    plain, tinted = (
        Staging(subject_of(one), "hulls", azimuth=0.0, elevation=0.2, size=(240, 200)).picture(0)
        for one in (scene, marked)
    )
    assert [layer.opacity for layer in tinted.layers[:1]] == [REGION_OPACITY]
    before, after = (picture(plain.camera, list(shot.still), list(shot.layers)) for shot in (plain, tinted))
    (column, row), _ = plain.camera.project(np.array([0.8, 0.1, 0.5]))
    ahead, behind = after[round(row), round(column)].astype(float), before[round(row), round(column)].astype(float)
    assert ahead[1] / ahead.sum() > behind[1] / behind.sum() + 0.02  # greener, and what is behind shines through
    assert np.abs(ahead - behind).max() < 0.5 * behind.max()
    (column, row), _ = plain.camera.project(np.array([0.425, -0.4, 0.5]))
    np.testing.assert_array_equal(before[round(row), round(column)], after[round(row), round(column)])


def test_nearer_things_hide_farther_ones_whatever_the_order() -> None:
    scene = Scene.of({"near": (Box((0.1, 0.4, 0.4)), (1.0, 0, 0)), "far": (Box((0.1, 1.0, 1.0)), (0.0, 0, 0))})
    surfaces = scene_surfaces(scene, [RED, BLUE])
    points = np.concatenate([surface.vertices for surface in surfaces])
    camera = fitted(points, direction(0.0, 0.2), (160, 120))
    for order in (surfaces, surfaces[::-1]):
        image = picture(camera, order)
        (column, row), _ = camera.project(np.array([1.05, 0.0, 0.0]))
        assert colored(image, RED)[round(row), round(column)]
        (column, row), _ = camera.project(np.array([0.05, 0.45, 0.45]))
        assert colored(image, BLUE)[round(row), round(column)]


def test_a_ball_covers_the_disc_that_the_projection_says() -> None:
    surfaces = scene_surfaces(Scene.of({"ball": (Sphere(0.3), (0, 0, 0))}), [RED])
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
    camera = fitted(corners, direction(0.3, 0.4), (200, 200))
    image = picture(camera, surfaces)
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
    plain = picture(camera, back)
    tinted = picture(camera, back, [Layer(front, 0.3)])
    before, after = (image[round(row), round(column)] for image in (plain, tinted))
    assert after[0] > before[0] + 0.1
    assert after[2] > after[0]
    behind = picture(camera, front, [Layer(back, 0.5)])
    assert colored(behind, RED)[round(row), round(column)]


def test_surfaces_are_closed_and_wound_outward() -> None:
    for obstacle in every_shape():
        vertices, faces = triangles(obstacle.shape)
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
    surfaces = placed(robot_parts(robot, "hulls"), robot, problem.start, dict.fromkeys(robot.link_names, RED))
    points = np.concatenate([surface.vertices for surface in surfaces])
    camera = fitted(points, direction(-1.0, 0.3), (240, 200))
    image = picture(camera, surfaces)
    covered = colored(image, RED).mean()
    assert 0.05 < covered < 0.6
    pixels, _ = camera.project(points)
    assert (pixels >= 0).all()
    assert (pixels <= (240, 200)).all()


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_plan_is_drawn_from_its_file_alone(tmp_path: Path, suffix: str) -> None:
    problem = load_example("bookshelf")
    path = tmp_path / f"plan{suffix}"
    edmp.save_image(PlanFile(problem, solved(problem)), path, geometry="hulls", ghosts=2)
    assert path.stat().st_size > 20_000
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_failure_shows_what_is_at_fault_in_red(tmp_path: Path) -> None:
    from matplotlib.image import imread

    problem = load_example("bookshelf")
    result = failed(Status.START_IN_COLLISION, 'panda_link4 is 12 mm inside "globe"')
    edmp.save_image(subject_of(result, problem=problem), tmp_path / "fault.png", geometry="hulls")
    edmp.save_image(subject_of(failed(), problem=problem), tmp_path / "plain.png", geometry="hulls")
    red = [colored(imread(tmp_path / name)[100:, :990, :3], RED).sum() for name in ("fault.png", "plain.png")]
    assert red[0] > red[1] + 2000


def test_misuse_says_what_is_missing(tmp_path: Path) -> None:
    problem = load_example("bookshelf")
    with pytest.raises(edmp.InvalidInputError, match="give robot= and scene="):
        edmp.save_image(solved(problem), tmp_path / "x.png")
    with pytest.raises(edmp.InvalidInputError, match="does not exist"):
        edmp.save_image(PlanFile(problem, solved(problem)), tmp_path / "no" / "x.png")
    assert list(tmp_path.iterdir()) == []


# --- what covers which pixels ----------------------------------------------------------------------------------------


def drawn(stage_shot: Shot) -> tuple[np.ndarray, np.ndarray]:
    """Which surface each pixel shows, and the picture."""
    buffer = Buffer(stage_shot.camera)
    draw(buffer, stage_shot.camera, stage_shot.still)
    thing = np.where(buffer.thing < -1, -2 - buffer.thing, buffer.thing)
    return thing, picture(stage_shot.camera, list(stage_shot.still))


@pytest.mark.parametrize("geometry", ["hulls", "spheres", "boxes"])
def test_every_obstacle_and_link_is_where_the_projection_says(geometry: str) -> None:
    problem = load_example("table")
    stage = Staging(subject_of(problem), geometry, size=(240, 200), azimuth=-0.8)
    shot = stage.picture(0)
    thing, image = drawn(shot)
    for k, surface in enumerate(shot.still):
        pixels, _ = shot.camera.project(surface.vertices)
        rows, columns = np.nonzero(thing == k)
        if not len(rows):
            continue  # wholly behind something
        inside = (pixels.min(axis=0) - 1, pixels.max(axis=0) + 1)
        assert (columns >= inside[0][0]).all()
        assert (columns <= inside[1][0]).all()
        assert (rows >= inside[0][1]).all()
        assert (rows <= inside[1][1]).all()
        area = hull_area(pixels)
        assert len(rows) <= 1.1 * area + 10
    seen = set(np.unique(thing)) - {-1}
    assert len(seen) > 0.7 * len(shot.still)
    arms = list(range(len(problem.scene), len(shot.still)))
    assert 0.02 < np.isin(thing, arms).mean() < 0.5
    assert image.shape == (200, 240, 3)


def hull_area(pixels: np.ndarray) -> float:
    """Area of the convex hull of points in the plane."""
    return float(ConvexHull(pixels).volume)


def test_a_link_alone_covers_the_area_of_its_silhouette() -> None:
    robot = load_example("table").robot
    part = next(part for part in robot_parts(robot, "boxes") if part.link == "panda_link5")
    surface = part.surface.colored(RED)
    camera = fitted(surface.vertices, direction(0.7, 0.5), (200, 200))
    covered = colored(picture(camera, [surface]), RED).sum()
    assert abs(covered / hull_area(camera.project(surface.vertices)[0]) - 1) < 0.06


def test_a_tube_is_as_thick_as_it_says() -> None:
    line = np.stack([np.linspace(-1, 1, 30), np.zeros(30), np.zeros(30)], axis=1)
    surface = tube(line, 0.05, RED, sides=24)
    camera = fitted(np.array([[-1.0, -1, -1], [1, 1, 1]]), direction(np.pi / 2, 0.0001), (300, 300))
    covered = colored(picture(camera, [surface]), RED).sum()
    _, depth = camera.project(np.zeros(3))
    scale = camera.scale / float(depth)
    assert abs(covered / (2 * scale * 0.1 * scale) - 1) < 0.1
    assert len(tube(np.zeros((3, 3)), 0.05, RED).faces) > 0


def test_what_moves_is_drawn_as_if_it_stood_still() -> None:
    problem = load_example("table")
    stage = Staging(subject_of(problem), "hulls", size=(160, 120))
    shot = stage.backdrop()
    bodies, X_WB = stage.bodies(problem.start)
    moving = NumpyRenderer().open(Shot(shot.camera, shot.still, (), bodies, shot.ground)).frame(X_WB)
    arm = [body.surface.at(X) for body, X in zip(bodies, X_WB, strict=True)]
    still = NumpyRenderer().open(Shot(shot.camera, [*shot.still, *arm], (), (), shot.ground)).frame(X_WB[:0])
    assert np.abs(moving - still).mean() < 0.004  # the shadow map is fitted to what stands still


def test_meshes_lie_where_the_hulls_are() -> None:
    robot = edmp.load_robot("panda")
    try:
        parts = robot_parts(robot, "meshes")
    except edmp.MissingDependencyError:
        pytest.skip("no meshes installed")
    hulls = {part.link: part.surface.vertices for part in robot_parts(robot, "hulls")}
    for part in parts:
        apart = part.surface.vertices.min(axis=0) - hulls[part.link].min(axis=0)
        assert np.abs(apart).max() < 0.03
        assert part.surface.face_colors is not None
    wide = edmp.load_robot("panda", gripper_width=0.0)
    fingers = [part.surface.vertices[:, :3] for part in robot_parts(wide, "meshes") if "finger" in part.link]
    assert len(fingers) == 2
    assert not np.allclose(fingers[0].mean(axis=0), fingers[1].mean(axis=0))


def test_a_robot_of_ones_own_with_a_known_name_keeps_its_own_shape() -> None:
    robot = edmp.load_robot("panda")
    link = dataclasses.replace(robot.links[3], hulls_B=tuple(2.0 * hull for hull in robot.links[3].hulls_B))
    other = dataclasses.replace(robot, links=(*robot.links[:3], link, *robot.links[4:]))
    part = next(part for part in robot_parts(other, "auto") if part.link == link.name)
    np.testing.assert_allclose(part.surface.vertices.max(axis=0), np.concatenate(link.hulls_B).max(axis=0))


def test_clearance_colours_say_the_distance() -> None:
    scene = Scene.of({"ball": (Sphere(0.1), (0, 0, 0))})
    near = tube(np.array([[0.105, 0, 0]]), 0.004, WHITE)
    far = tube(np.array([[0.6, 0, 0]]), 0.004, WHITE)
    colors = [surface.face_colors.mean(axis=0) for surface in clearance_colored([near, far], scene)]
    np.testing.assert_allclose(colors[0], clearance_color(np.array([0.005]))[0], atol=0.06)
    np.testing.assert_allclose(colors[1], CLEARANCE_SCALE[-1][1], atol=1e-6)


def test_overlays_change_the_picture_where_the_arm_is() -> None:
    problem = load_example("table")
    subject = subject_of(solved(problem), problem=problem)
    plain = Staging(subject, "hulls", size=(160, 120), azimuth=-0.8)
    reference = NumpyRenderer().open(plain.picture(0)).frame(np.zeros((0, 4, 4)))
    for overlay in ("spheres", "boxes", "swept", "clearance"):
        stage = Staging(subject, "hulls", (overlay,), azimuth=-0.8, size=(160, 120))
        image = NumpyRenderer().open(stage.picture(0)).frame(np.zeros((0, 4, 4)))
        assert 0.02 < (np.abs(image - reference).max(axis=2) > 0.03).mean() < 0.6
    with pytest.raises(edmp.UnknownNameError, match="valid: boxes, clearance, spheres, swept"):
        Staging(subject, show=("speres",))


@pytest.mark.parametrize("name", ["drake", "open3d"])
def test_other_renderers_show_the_same_things(name: str) -> None:
    if trouble := trouble_with(name):
        pytest.skip(trouble)
    problem = load_example("table")
    stage = Staging(subject_of(problem), "hulls", size=(160, 120))
    shot = stage.backdrop()
    bodies, X_WB = stage.bodies(problem.start)
    shot = Shot(shot.camera, shot.still, (), [Body(b.surface.colored(RED)) for b in bodies], shot.ground)
    seen = []
    for renderer in ("numpy", name):
        view = renderer_by_name(renderer).open(shot)
        first, second = view.frame(X_WB), view.frame(X_WB + 0.0)
        np.testing.assert_allclose(first, second, atol=0.02)
        seen.append(colored(first, RED))
        view.close()
    ours, theirs = seen
    assert 0.7 < theirs.sum() / ours.sum() < 1.3
    assert (ours & theirs).sum() > 0.8 * ours.sum()


def test_renderers_that_do_not_work_say_what_to_install() -> None:
    with pytest.raises(edmp.UnknownNameError, match="valid: drake, numpy, open3d"):
        renderer_by_name("opengl")
    assert advice("open3d", "ImportError: libusb-1.0.so.0: cannot open shared object", 1).endswith("libusb-1.0-0")
    no_screen = "Vulkan device driver: llvmpipe\nreason: Unable to open X11 display."
    assert "another DISPLAY" in advice("open3d", no_screen, -6)
    assert "mesa-vulkan-drivers" in advice("open3d", "RuntimeError: Failed to load vulkan library!", 1)
    assert "code -6" in advice("drake", "", -6)


def test_importing_the_package_imports_no_renderer() -> None:
    code = "import sys, edmp.viz; print([m for m in ('open3d', 'pydrake', 'matplotlib', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
