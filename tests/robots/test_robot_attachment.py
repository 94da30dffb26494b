"""Attached objects count as robot."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from edmp.errors import InvalidInputError, UnknownNameError
from edmp.geometry.poses import apply, pose, rotation_from_rpy
from edmp.geometry.shapes import Box, Capsule, Cylinder, Sphere
from edmp.robots.description import load_robot
from edmp.robots.hull_fit import halfspaces

X_LA = pose([0.01, 0.0, 0.12], rotation_from_rpy([0.2, 0.4, 0.0]))


def points_of(shape, rng) -> np.ndarray:
    """(n, 3) random points of the solid."""
    p = rng.uniform(-1, 1, size=(4000, 3))
    match shape:
        case Box():
            return p * np.array(shape.size) / 2
        case Sphere():
            return p[np.linalg.norm(p, axis=1) <= 1] * shape.radius
        case Cylinder():
            return p[np.hypot(p[:, 0], p[:, 1]) <= 1] * [shape.radius, shape.radius, shape.length / 2]
        case Capsule():
            ball = p[np.linalg.norm(p, axis=1) <= 1] * shape.radius
            half = np.array([0, 0, shape.length / 2])
            return np.concatenate([ball + half, ball - half])


@pytest.mark.parametrize("shape", [Box((0.06, 0.04, 0.2)), Cylinder(0.03, 0.14), Capsule(0.02, 0.1), Sphere(0.04)])
def test_geometry_contains_the_shape(panda, shape):
    held = panda.with_attachment("can", shape, X_LA, link="panda_hand")
    link = held.links[-1]
    hand = panda.links[panda.link_index("panda_hand")]
    assert (link.name, link.body, link.attached) == ("can", hand.body, True)
    p_B = apply(hand.X_BL @ X_LA, points_of(shape, np.random.default_rng(0)))
    planes = halfspaces(link.hulls_B[0])
    assert (p_B @ planes[:, :3].T + planes[:, 3]).max() <= 1e-9
    gap = np.linalg.norm(p_B[:, None] - link.spheres_B[None, :, :3], axis=2) - link.spheres_B[:, 3]
    assert gap.min(axis=1).max() <= 1e-9
    p_X = apply(np.linalg.inv(link.box.X_BX), p_B)
    assert (np.abs(p_X) <= link.box.size / 2 + 1e-9).all()


def test_pairs_leave_out_hand_and_fingers(panda):
    held = panda.with_attachment("can", Sphere(0.03), X_LA, link="panda_hand", allowed_contacts=["panda_link4"])
    last = len(held.links) - 1
    against = {held.links[i].name for i, j in held.collision_pairs if j == last}
    assert against == {f"panda_link{i}" for i in (0, 1, 2, 3, 5, 6)}
    assert held.collision_pairs[: len(panda.collision_pairs)] == panda.collision_pairs


def test_letting_go_restores_the_robot(panda):
    held = panda.with_attachment("a", Sphere(0.03), X_LA, link="panda_hand")
    held = held.with_attachment("b", Sphere(0.02), X_LA, link="panda_link0", allowed_contacts=["a"])
    only_b = held.without_attachment("a")
    assert only_b.link_names[-1] == "b"
    assert max(j for _, j in only_b.collision_pairs) == len(only_b.links) - 1
    free = only_b.without_attachment("b")
    assert free.collision_pairs == panda.collision_pairs
    assert free.link_names == panda.link_names
    with pytest.raises(UnknownNameError, match="attachment"):
        free.without_attachment("b")


def test_vertices_and_meshes_are_shapes(panda):
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.creation.box((0.1, 0.05, 0.02))
    by_mesh = panda.with_attachment("plate", mesh, np.eye(4), link="panda_hand")
    by_vertices = panda.with_attachment("plate", np.asarray(mesh.vertices), np.eye(4), link="panda_hand")
    np.testing.assert_allclose(by_mesh.links[-1].hulls_B[0], by_vertices.links[-1].hulls_B[0])
    assert ConvexHull(by_mesh.links[-1].hulls_B[0]).volume == pytest.approx(1e-4, rel=0.02)


def test_misuse_is_told(panda):
    with pytest.raises(UnknownNameError, match="panda_hand"):
        panda.with_attachment("can", Sphere(0.03), X_LA, link="panda_hnad")
    with pytest.raises(InvalidInputError, match="already"):
        panda.with_attachment("panda_hand", Sphere(0.03), X_LA, link="panda_link7")
    with pytest.raises(InvalidInputError, match="pose"):
        panda.with_attachment("can", Sphere(0.03), np.eye(3), link="panda_hand")
    with pytest.raises(InvalidInputError, match="vertices"):
        panda.with_attachment("can", np.zeros((2, 3)), X_LA, link="panda_hand")
    with pytest.raises(InvalidInputError, match="volume"):
        panda.with_attachment("can", np.eye(4)[:, :3] * [1, 1, 0], X_LA, link="panda_hand")


@pytest.mark.parametrize("name", ["", " ", None, 3])
def test_an_attachment_has_a_name(panda, name):
    with pytest.raises(InvalidInputError, match="non-empty string as its name"):
        panda.with_attachment(name, Sphere(0.03), X_LA, link="panda_hand")


@pytest.mark.parametrize(
    ("X", "says"),
    [
        (np.eye(4) * 2, "last row"),
        (np.diag([1.0, 1.0, -1.0, 1.0]), "mirrors"),
        (np.diag([1.0, 1.0, 1.1, 1.0]), "R^T R"),
        (np.full((4, 4), np.nan), "finite"),
        (None, "finite|pose"),
        ("here", "numbers"),
    ],
)
def test_poses_of_attachments_and_bases_are_rigid(panda, X, says):
    says = says.replace("^", r"\^")
    with pytest.raises(InvalidInputError, match=rf"attachment 'can': X_LA .*({says})"):
        panda.with_attachment("can", Sphere(0.03), X, link="panda_hand")
    with pytest.raises(InvalidInputError, match=rf"base pose of panda: X_W0 .*({says})"):
        panda.with_base(X)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        (Box((1e-6, 1e-6, 1e-6)), "1e-06 x 1e-06 x 1e-06 m"),
        (Box((0.1, 0.1, 1e-6)), "0.1 x 0.1 x 1e-06 m"),
        (Sphere(1e-6), "1e-06|2e-06|e-06"),
        (Box((100.0, 0.1, 0.1)), "at most 10 m long"),
        (np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0.0]]), "no volume"),
    ],
)
def test_objects_that_no_arm_can_hold_are_refused_with_their_size(shape: object, size: str) -> None:
    with pytest.raises(InvalidInputError, match=f"attachment 'crumb': shape is .*({size})"):
        load_robot("panda").with_attachment("crumb", shape, np.eye(4), link="panda_hand")
