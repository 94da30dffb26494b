"""Shapes, obstacles and scenes refuse what makes no sense, and say what it was."""

import numpy as np
import pytest
import trimesh

from edmp.errors import InvalidInputError, UnknownNameError
from edmp.geometry.poses import pose, pose_rpy, quaternion_of, unit_quaternion
from edmp.scenes import Box, Capsule, Cylinder, Mesh, Obstacle, Scene, Sphere

BALL = trimesh.creation.icosphere(subdivisions=1)


def mirrored() -> np.ndarray:
    return np.diag([1.0, 1.0, -1.0, 1.0])


@pytest.mark.parametrize("bad", [0.0, -0.1, float("nan"), float("inf"), "wide", None])
@pytest.mark.parametrize(
    "make",
    [
        lambda x: Box((1.0, x, 1.0)),
        lambda x: Cylinder(x, 1.0),
        lambda x: Cylinder(1.0, x),
        lambda x: Capsule(x, 1.0),
        lambda x: Capsule(1.0, x),
        lambda x: Sphere(x),
    ],
)
def test_sizes_must_be_positive_and_finite(make, bad) -> None:
    with pytest.raises(InvalidInputError, match=r"Box|Cylinder|Capsule|Sphere"):
        make(bad)


@pytest.mark.parametrize("size", [(1.0, 1.0), (1.0,) * 4, 1.0])
def test_box_needs_three_extents(size) -> None:
    with pytest.raises(InvalidInputError, match="three numbers"):
        Box(size)


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (BALL.vertices, BALL.faces[1:], "not closed"),
        (BALL.vertices, BALL.faces[:, ::-1], "inward"),
        (BALL.vertices, np.vstack([BALL.faces[:1, ::-1], BALL.faces[1:]]), "inconsistently"),
        (BALL.vertices * [1, 1, 0], BALL.faces, "no volume"),
        (np.where(np.arange(42)[:, None] == 7, np.nan, BALL.vertices), BALL.faces, "vertex 7"),
        (BALL.vertices, BALL.faces + 1, "0 to 41"),
        (BALL.vertices[:, :2], BALL.faces, r"\(V, 3\)"),
        (BALL.vertices, BALL.faces.astype(float), r"\(F, 3\)"),
        (BALL.vertices, np.zeros((0, 3), int), "no faces"),
    ],
)
def test_bad_meshes_are_refused(vertices, faces, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Mesh(vertices, faces)


def test_triangle_soup_with_a_closed_surface_is_a_mesh() -> None:
    soup = BALL.vertices[BALL.faces].reshape(-1, 3)
    assert len(Mesh(soup, np.arange(len(soup)).reshape(-1, 3)).faces) == len(BALL.faces)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.eye(3), r"\(4, 4\)"),
        (np.diag([2.0, 1, 1, 1]), "not rigid"),
        (mirrored(), "mirrors"),
        (np.diag([1.0, 1, 1, 2]), "last row"),
        (np.full((4, 4), np.nan), "finite"),
        ("here", "numbers"),
    ],
)
def test_pose_must_be_rigid_and_the_obstacle_is_named(X, message) -> None:
    with pytest.raises(InvalidInputError, match=message) as info:
        Obstacle("crate", Sphere(1.0), X)
    assert "'crate'" in str(info.value)


def test_scene_names_are_unique_and_known() -> None:
    scene = Scene.of({"a": (Sphere(1.0), (0, 0, 0)), "shelf": (Box((1, 1, 1)), (1, 2, 3), (0, 0, 0, 1))})
    with pytest.raises(InvalidInputError, match="'a'"):
        scene.with_obstacle("a", Sphere(2.0))
    with pytest.raises(UnknownNameError, match=r"valid: a, shelf.*'shelf'"):
        scene["shelve"]
    with pytest.raises(UnknownNameError):
        scene.without("b")
    assert scene.without("a").names == ("shelf",)
    assert "shelf" in scene
    assert "b" not in scene
    assert np.array_equal(scene["shelf"].X_WO[:3, 3], [1, 2, 3])
    assert len(Scene()) == 0


@pytest.mark.parametrize("value", [(Sphere(1.0),), Sphere(1.0), (Sphere(1.0), 1, 2, 3), (Sphere(1.0), (0, 0))])
def test_scene_of_says_what_it_takes(value) -> None:
    with pytest.raises(InvalidInputError, match="'ball'"):
        Scene.of({"ball": value})


@pytest.mark.parametrize("value", [None, [1], 3, "table", [Obstacle("ball", Sphere(1.0), np.eye(4))]])
def test_scene_of_takes_a_mapping(value) -> None:
    with pytest.raises(InvalidInputError, match="takes a mapping"):
        Scene.of(value)


@pytest.mark.parametrize("value", [None, 3, [1], "table"])
def test_scene_takes_obstacles(value) -> None:
    with pytest.raises(InvalidInputError, match="a scene holds"):
        Scene(value)


def test_obstacle_needs_a_name_and_a_shape() -> None:
    with pytest.raises(InvalidInputError, match="name"):
        Obstacle("", Sphere(1.0), np.eye(4))
    with pytest.raises(InvalidInputError, match="Box, Cylinder"):
        Obstacle("x", "ball", np.eye(4))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"Scene\.of"):
        Scene((Sphere(1.0),))  # type: ignore[arg-type]


def test_equality_and_hash_are_by_value() -> None:
    def make() -> Scene:
        return Scene.of({"m": (Mesh(BALL.vertices, BALL.faces), (0, 0, 1)), "b": (Box((1, 2, 3)), (0, 0, 0))})

    assert make() == make()
    assert hash(make()) == hash(make())
    assert make() != make().without("b")


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (1, 1, 0, 0), (0, 0, 0, 1.002), (0, 0, 1), (0, 0, 0, np.nan)])
def test_quaternions_must_be_unit(quaternion) -> None:
    with pytest.raises(InvalidInputError, match="quaternion"):
        pose((0, 0, 0), quaternion)


def test_quaternion_within_tolerance_is_normalised_and_comes_back() -> None:
    q = np.array([0.1, -0.5, 0.3, 0.8])
    q /= np.linalg.norm(q)
    np.testing.assert_allclose(unit_quaternion(q * 1.0005), q, atol=1e-15)
    np.testing.assert_allclose(quaternion_of(pose((1, 2, 3), q)), q, atol=1e-12)
    np.testing.assert_allclose(pose_rpy((0, 0, 0), (0, 0, np.pi / 2))[:3, 0], [0, 1, 0], atol=1e-15)
