"""Fitted geometry: polytopes contain the meshes, spheres contain the polytopes, and neither sticks out far."""

import numpy as np
import pytest
import torch
from robot_cases import random_configurations
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from edmp.geometry.kinds import hull_points
from edmp.geometry.poses import apply, inverse
from edmp.geometry.shapes import Cylinder, Sphere
from edmp.robots import body_poses, load_robot
from edmp.robots.description import read_built_in
from edmp.robots.fit import fit_document, link_settings
from edmp.robots.geometry_fit import FitSettings, Interface, buried_allowance, fit_box
from edmp.robots.hull_fit import halfspaces, outer_polytope, project_to_hull
from edmp.robots.pieces import convex_pieces
from edmp.robots.sources import load_sources
from edmp.robots.sphere_fit import cover, surface_triangles

STICK_OUT = 0.015


def mesh_points(name: str) -> dict[str, np.ndarray]:
    """Vertices of the collision meshes by link, in the link frame (convex meshes: the vertices say everything)."""
    entries = {entry["name"]: entry for entry in read_built_in(name)["links"]}
    return {
        link: np.concatenate(
            [
                geometry.points
                for geometry in load_sources(
                    entries[entry.get("like", link)]["source"], folder=None, packages={}, place=link
                )
            ]
        )
        for link, entry in entries.items()
    }


def uncovered(points: np.ndarray, spheres: np.ndarray) -> float:
    """How far the barest of the points is from the nearest sphere [m]; negative if all are covered."""
    gap = np.linalg.norm(points[:, None] - spheres[None, :, :3], axis=2) - spheres[:, 3]
    return float(gap.min(axis=1).max())


def interior_points(vertices: np.ndarray, step: float) -> np.ndarray:
    """(n, 3) points of a cubic grid inside a convex hull [m]."""
    axes = [np.arange(a + step / 2, b, step) for a, b in zip(vertices.min(axis=0), vertices.max(axis=0), strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    planes = halfspaces(vertices)
    return grid[(grid @ planes[:, :3].T + planes[:, 3]).max(axis=1) <= 0]


def random_points_in(vertices: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random points of a convex hull, most of them near its surface."""
    return rng.dirichlet(np.full(len(vertices), 0.02), size=count) @ vertices


@pytest.mark.parametrize("name", ["panda", "ur5", "fr3"])
def test_polytopes_contain_the_meshes_closely(name, robot_data):
    if name == "fr3":
        pytest.importorskip("franky_sim", reason="brings the meshes")
    robot, meshes = load_robot(name), mesh_points(name)
    for link in robot.links:
        pieces = [apply(inverse(link.X_BL), hull) for hull in link.hulls_B]
        heights = [
            (meshes[link.name] @ planes[:, :3].T + planes[:, 3]).max(axis=1) for planes in map(halfspaces, pieces)
        ]
        assert np.min(heights, axis=0).max() <= 1e-9, link.name
        for vertices in pieces:
            distance = np.linalg.norm(vertices - project_to_hull(vertices, meshes[link.name]), axis=1)
            assert distance.max() <= 1e-3, link.name
            assert len(vertices) <= 150


def test_panda_links_are_one_polytope_each(panda):
    """The convex hulls of the collision meshes are what the Panda's paths are judged on."""
    assert all(len(link.hulls_B) == 1 for link in panda.links)


@pytest.mark.parametrize("name", ["panda", "ur5", "fr3"])
def test_spheres_contain_the_polytopes(name):
    rng = np.random.default_rng(0)
    for link in load_robot(name).links:
        for hull in link.hulls_B:
            samples = [surface_triangles(hull, 7e-3).mean(axis=1), interior_points(hull, 9e-3)]
            samples.append(random_points_in(hull, 4000, rng))
            assert uncovered(np.concatenate(samples), link.spheres_B) <= 1e-9, link.name


def test_panda_has_at_most_120_spheres(panda):
    assert len(panda.spheres) <= 120
    assert panda.sphere_link.shape == panda.sphere_body.shape == (len(panda.spheres),)


def test_spheres_stick_out_at_most_15_mm_at_any_configuration(panda):
    """Beyond the union of the links; a sphere may lie in a neighbour, as it does at the buried end of a link."""
    directions = Rotation.random(60, random_state=0).as_matrix()[:, :, 0]
    for q in random_configurations(panda, 4, seed=2):
        X_WB = body_poses(panda, torch.as_tensor(q)).numpy()
        hulls = [apply(X_WB[link.body], link.hulls_B[0]) for link in panda.links]
        planes = [halfspaces(hull) for hull in hulls]
        centres = np.einsum("sij,sj->si", X_WB[panda.sphere_body, :3, :3], panda.spheres[:, :3])
        centres += X_WB[panda.sphere_body, :3, 3]
        points = (centres[:, None] + panda.spheres[:, 3, None, None] * directions).reshape(-1, 3)
        # The largest height over the planes is a lower bound of the distance, and exact opposite a face.
        bounds = np.stack([(points @ plane[:, :3].T + plane[:, 3]).max(axis=1) for plane in planes], axis=1)
        assert bounds.min(axis=1).max() <= STICK_OUT
        doubtful = np.flatnonzero(bounds.min(axis=1) > 0.7 * STICK_OUT)
        for point, bound in zip(points[doubtful], bounds[doubtful], strict=True):
            near = [hulls[i] for i in np.argsort(bound)[:3]]
            distance = min(np.linalg.norm(point - project_to_hull(point[None], hull)[0]) for hull in near)
            assert distance <= STICK_OUT


@pytest.mark.parametrize("name", ["panda_hand", "panda_leftfinger", "panda_rightfinger"])
def test_hand_and_fingers_are_fitted_more_closely(panda, name):
    link = panda.links[panda.link_index(name)]
    planes = halfspaces(link.hulls_B[0])
    depth = -(link.spheres_B[:, :3] @ planes[:, :3].T + planes[:, 3]).max(axis=1)
    assert (link.spheres_B[:, 3] - depth).max() <= 0.0115


def test_boxes_contain_the_polytopes(panda):
    for link in panda.links:
        p_X = apply(inverse(link.box.X_BX), link.hulls_B[0])
        assert (np.abs(p_X) <= link.box.size / 2 + 1e-6).all()


def test_the_command_makes_the_shipped_geometry(robot_data):
    """Part of the Panda is fitted again, as `edmp robot fit panda` does with all of it."""
    shipped = read_built_in("panda")
    chosen = ("panda_link7", "panda_leftfinger")
    links = {entry["name"]: dict(entry) for entry in shipped["links"] if entry["name"] in ("panda_link6", *chosen)}
    # Of the neighbour only the polytope matters.
    links["panda_link6"]["fit"] = {**links["panda_link6"]["fit"], "max_spheres": 1, "restarts": 1, "relocations": 0}
    document = {**shipped, "links": list(links.values()), "collision_pairs": [], "gripper": None}
    fitted = {
        entry["name"]: entry
        for entry in fit_document(document, folder=None, packages={}, settings=FitSettings())["links"]
    }
    for entry in shipped["links"]:
        if entry["name"] in links:
            np.testing.assert_allclose(fitted[entry["name"]]["hulls"][0], entry["hulls"][0], atol=1e-4)
        if entry["name"] in chosen:
            np.testing.assert_allclose(fitted[entry["name"]]["spheres"], entry["spheres"], atol=1e-3)
            np.testing.assert_allclose(fitted[entry["name"]]["box"]["size"], entry["box"]["size"], atol=1e-4)


def test_outer_polytope_of_a_box_is_the_box():
    corners = np.stack(np.meshgrid([0, 0.1], [0, 0.2], [0, 0.3], indexing="ij"), axis=-1).reshape(-1, 3)
    fitted = outer_polytope(corners)
    np.testing.assert_allclose(np.sort(fitted, axis=0), np.sort(corners, axis=0), atol=3e-5)
    pose, size = fit_box([corners])
    np.testing.assert_allclose(size, [0.1, 0.2, 0.3], atol=1e-5)
    np.testing.assert_allclose(pose[:3, 3], [0.05, 0.1, 0.15], atol=1e-5)


@pytest.mark.parametrize("points", [hull_points(Cylinder(0.05, 0.2)), hull_points(Sphere(0.08))])
def test_outer_polytope_and_cover_of_round_shapes(points):
    hull = outer_polytope(points, tolerance=2e-3)
    assert len(hull) <= len(points)
    planes = halfspaces(hull)
    assert (points @ planes[:, :3].T + planes[:, 3]).max() <= 1e-12
    assert np.linalg.norm(hull - project_to_hull(hull, points), axis=1).max() <= 2e-3
    spheres = cover(hull, stick_out=0.02, max_spheres=8, relocations=1, num_samples=200)
    assert uncovered(random_points_in(hull, 5000, np.random.default_rng(1)), spheres) <= 1e-9
    depth = -(spheres[:, :3] @ planes[:, :3].T + planes[:, 3]).max(axis=1)
    assert (spheres[:, 3] - depth).max() <= 0.026


def test_oriented_box_follows_a_turned_body():
    corners = np.stack(np.meshgrid([0, 0.1], [0, 0.2], [0, 0.3], indexing="ij"), axis=-1).reshape(-1, 3)
    turned = corners @ Rotation.from_euler("z", 30, degrees=True).as_matrix().T
    _, size = fit_box([turned])
    assert np.prod(size) == pytest.approx(0.006, rel=0.01)


def test_a_concave_mesh_is_cut_where_it_pays():
    import trimesh

    bar = trimesh.creation.box((0.4, 0.05, 0.05))
    head = trimesh.creation.box((0.1, 0.05, 0.3))
    head.apply_translation([0.15, 0, 0])
    mesh = trimesh.util.concatenate([bar, head])
    pieces = convex_pieces(np.asarray(mesh.vertices), np.asarray(mesh.faces), max_pieces=3)
    assert len(pieces) == 2
    volume = sum(ConvexHull(piece).volume for piece in pieces)
    assert volume == pytest.approx(0.1 * 0.05 * 0.3 + 0.3 * 0.05 * 0.05, rel=0.15)
    hulls = [outer_polytope(piece) for piece in pieces]
    samples, _ = trimesh.sample.sample_surface(mesh, 2000, seed=0)
    heights = [(samples @ planes[:, :3].T + planes[:, 3]).max(axis=1) for planes in map(halfspaces, hulls)]
    assert np.min(heights, axis=0).max() <= 1e-9
    assert len(convex_pieces(np.asarray(bar.vertices), np.asarray(bar.faces), max_pieces=3)) == 1


def test_a_face_may_move_as_far_as_the_neighbour_reaches():
    """Two cylinders end to end: spheres of one may lie in the other, not in the open."""
    thin, thick = hull_points(Cylinder(0.05, 0.2)), hull_points(Cylinder(0.06, 0.1))
    neighbour = Interface.of(thick + np.array([0, 0, 0.151]), np.zeros(3), np.array([0.0, 0, 1]))
    upper = halfspaces(thin)[:, 2] > 0.99
    allowance = buried_allowance(thin, [neighbour])
    assert allowance[upper].min() == pytest.approx(0.1, abs=4e-3)
    assert allowance[~upper].max() == 0
    wide = hull_points(Cylinder(0.08, 0.2))
    assert buried_allowance(wide, [neighbour]).max() == 0


def test_link_settings_refuse_unknown_keys():
    assert link_settings({"name": "a", "fit": {"max_spheres": 3}}, FitSettings()).max_spheres == 3
    with pytest.raises(ValueError, match=r"valid: .*max_spheres"):
        link_settings({"name": "a", "fit": {"spheres": 3}}, FitSettings())
