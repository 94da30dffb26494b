"""Many obstacles and fine meshes: what a plan costs grows no faster than they do, and is paid once for a mesh."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

import edmp
from edmp.geometry.mesh_cache import MeshCache, ShapeCache
from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Sphere
from edmp.planner import planner as planner_module
from edmp.result import Status
from edmp.robots import load_robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.validate import Judge, bodies, meshes

HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
ASIDE = np.array([0.9, -0.4, 0.2, -2.0, 0.1, 1.7, 0.6])


def scattered(count: int, *, beyond: float = 1.6) -> Scene:
    """Boxes of all orientations, out of the arm's reach."""
    rng = np.random.default_rng(1)
    place = rng.uniform(-6.0, 6.0, (8 * count, 3))
    place = place[np.linalg.norm(place, axis=1) > beyond][:count]
    turn = rng.normal(size=(count, 4))
    turn /= np.linalg.norm(turn, axis=1, keepdims=True)
    size = rng.uniform(0.02, 0.2, (count, 3))
    return Scene(tuple(Obstacle.at(f"b{k}", Box(tuple(size[k])), place[k], turn[k]) for k in range(count)))


def ripples(subdivisions: int = 4) -> Mesh:
    """A closed mesh that is not convex, made anew by each call."""
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.15)
    return Mesh(ball.vertices * (1 + 0.2 * np.sin(40 * ball.vertices[:, :1])), ball.faces)


def test_five_thousand_boxes_are_planned_among_within_the_budget(monkeypatch):
    made = []
    monkeypatch.setattr(
        bodies, "convex_of_shape", lambda shape, make=bodies.convex_of_shape: made.append(shape) or make(shape)
    )
    result = edmp.plan(scattered(5000), HOME, ASIDE)
    assert result.solved, result.message
    assert len(made) < 500  # only what comes near is looked at closely


def test_among_many_the_clearance_is_that_to_the_nearest():
    scene, robot = scattered(600, beyond=1.1), load_robot("panda")
    result = edmp.plan(scene, HOME, ASIDE)
    alone = min(Judge(robot, Scene((one,))).clearance(result.path) for one in scene)
    assert result.best.min_clearance == pytest.approx(alone, abs=2e-3)


def test_a_budget_includes_the_preparation_of_the_scene(monkeypatch):
    class Slow(Judge):
        def __init__(self, robot, scene, **options):
            super().__init__(robot, scene, **options)
            late[0] = True

    late, clock = [False], planner_module.time.perf_counter
    monkeypatch.setattr(planner_module, "Judge", Slow)
    monkeypatch.setattr(planner_module.time, "perf_counter", lambda: clock() + 60.0 * late[0])
    result = edmp.plan(scattered(3), HOME, ASIDE, time_budget=5.0)
    assert result.status is Status.TIMEOUT
    assert "3 obstacles" in result.message


def test_a_mesh_is_prepared_once_for_each_content(monkeypatch):
    built = []
    make = meshes.PreparedMesh.__init__
    monkeypatch.setattr(meshes.PreparedMesh, "__init__", lambda self, mesh: built.append(mesh) or make(self, mesh))
    monkeypatch.setattr(bodies, "prepared", MeshCache(meshes.PreparedMesh))
    paths = []
    for _ in range(3):
        scene = Scene.of({"a": (ripples(), (0.5, -0.5, 0.2)), "b": (ripples(), (0.6, 0.6, 0.9))})
        paths.append(edmp.plan(scene, HOME, ASIDE).path)
    assert len(built) == 1
    assert np.array_equal(paths[0], paths[2])


def test_meshes_that_nobody_holds_are_forgotten():
    kept = MeshCache(lambda mesh: len(mesh.faces), max_faces=3000)
    held = ripples(3)  # 1280 faces
    assert kept(held) == 1280
    for scale in range(2, 9):
        assert kept(Mesh(held.vertices * scale, held.faces)) == 1280
    assert len(kept._made) == 3  # the latest two, and the one that is held


def test_sizes_are_asked_for_once():
    asked = []
    kept = ShapeCache(lambda mesh: 0, size=lambda mesh: asked.append(mesh) or len(mesh.faces), most=10_000)
    held = [Mesh(ripples(2).vertices * scale, ripples(2).faces) for scale in range(1, 6)]
    for _ in range(3):
        for mesh in held:
            kept(mesh)
    assert len(asked) == len(held)


def test_a_fine_convex_mesh_is_no_burden():
    ball = trimesh.creation.icosphere(subdivisions=5, radius=0.1)  # 20480 faces
    hand = (0.307, 0.0, 0.65)
    scene = Scene.of({"ball": (Mesh(ball.vertices, ball.faces), hand)})
    result = edmp.plan(scene, HOME, ASIDE)
    assert result.status is Status.START_IN_COLLISION
    assert '"ball"' in result.message
    assert edmp.plan(Scene.of({"ball": (Mesh(ball.vertices, ball.faces), (0.4, -0.4, 0.3))}), HOME, ASIDE).solved


@pytest.mark.parametrize(
    "solid",
    [trimesh.creation.torus(0.1, 0.04), trimesh.creation.annulus(0.3, 0.5, 0.4), trimesh.creation.box((0.2, 0.3, 0.1))],
)
def test_inside_and_depth_agree_with_the_plain_definitions(solid):
    mesh = meshes.PreparedMesh(Mesh(solid.vertices, solid.faces))
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(mesh.lower - 0.02, mesh.upper + 0.02, (300, 3)), np.zeros((1, 3))])
    points = np.concatenate([points, 0.999 * solid.triangles_center[:40], 1.001 * solid.vertices[:40]])
    assert [mesh.contains(p) for p in points] == [mesh._winds(p) for p in points]
    for p in points[:30]:
        assert mesh.surface_distance(p) == mesh._distances(p, np.arange(len(mesh.faces))).min()


def test_boxes_of_one_orientation_share_a_frame_in_any_number():
    rng = np.random.default_rng(2)
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(3)]
    shapes = [Box((0.1, 0.2, 0.3))] * 600 + [Cylinder(0.1, 0.2), Capsule(0.1, 0.2), Sphere(0.1)]
    R = np.array([turns[k % 3][:, rng.permutation(3)] * rng.choice([-1, 1], 3) for k in range(600)] + [*turns])
    frames, frame_of = bodies.choose_frames(shapes, R)
    assert len(frames) == 3
    for k in range(600):
        fit = np.abs(frames[frame_of[k]].T @ R[k]).max(axis=0)
        assert fit.min() > 1 - 1e-9
    assert np.abs(frames[frame_of[600]].T @ R[600])[:, 2].max() > 1 - 1e-9


@pytest.mark.parametrize("far", [1e300, -1e20, 2e6])
def test_what_is_beyond_measure_is_refused_at_the_door(far: float):
    X_W0 = np.eye(4)
    X_W0[0, 3] = far
    ball = trimesh.creation.icosphere(subdivisions=1)
    for make in (
        lambda: load_robot("panda").with_base(X_W0),
        lambda: Scene.of({"a": (Box((0.1, 0.1, 0.1)), (0.0, far, 0.0))}),
        lambda: Box((0.1, abs(far), 0.1)),
        lambda: Cylinder(0.1, abs(far)),
        lambda: Mesh(ball.vertices * abs(far), ball.faces),
    ):
        with pytest.raises(edmp.InvalidInputError, match=r"1e\+06 m"):
            make()
