"""Signed distances against brute force, trimesh and finite differences."""

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edmp.geometry.distance import signed_distance
from edmp.geometry.poses import pose, pose_rpy
from edmp.scenes import Box, Capsule, Cylinder, Mesh, Scene, Sphere
from edmp.scenes.distance import scene_distance, scene_distance_gradient

RING = trimesh.creation.annulus(0.1, 0.3, 0.4)

SHAPES = {
    "box": (Box((0.3, 0.5, 0.9)), trimesh.creation.box((0.3, 0.5, 0.9))),
    "plate": (Box((0.8, 0.6, 0.01)), trimesh.creation.box((0.8, 0.6, 0.01))),
    "cylinder": (Cylinder(0.2, 0.5), trimesh.creation.cylinder(0.2, 0.5, sections=400)),
    "capsule": (Capsule(0.15, 0.4), trimesh.creation.capsule(height=0.4, radius=0.15, count=[80, 80])),
    "sphere": (Sphere(0.3), trimesh.creation.icosphere(subdivisions=5, radius=0.3)),
    "mesh": (Mesh(RING.vertices, RING.faces), RING),
}
PRIMITIVES = {name: shape for name, (shape, _) in SHAPES.items() if name != "mesh"}


@pytest.mark.parametrize("name", SHAPES)
def test_against_dense_surface_samples_and_containment(name: str) -> None:
    shape, mesh = SHAPES[name]
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.7, 0.7, (600, 3))
    # trimesh's exact closest point on a fine triangulation is a surface sampled without gaps
    _, reference, _ = trimesh.proximity.closest_point(mesh, points)
    inside = mesh.contains(points)
    distance = signed_distance(shape, torch.tensor(points)).numpy()
    np.testing.assert_allclose(np.abs(distance), reference, atol=2e-4)
    clear = reference > 5e-4
    np.testing.assert_array_equal(distance[clear] < 0, inside[clear])


@pytest.mark.parametrize("name", SHAPES)
def test_gradient_against_finite_differences(name: str) -> None:
    shape, _ = SHAPES[name]
    p = torch.tensor(np.random.default_rng(1).uniform(-0.6, 0.6, (400, 3)), requires_grad=True)
    (gradient,) = torch.autograd.grad(signed_distance(shape, p).sum(), p)
    h = 1e-3 if name == "mesh" else 1e-6  # the mesh query works in single precision
    steps = torch.eye(3, dtype=p.dtype) * h
    with torch.no_grad():
        ahead = signed_distance(shape, p[:, None] + steps)
        behind = signed_distance(shape, p[:, None] - steps)
    error = (gradient - (ahead - behind) / (2 * h)).abs().amax(-1)
    # at a medial plane the two sides differ: few of 400 random points are that close to one
    assert (error < (2e-2 if name == "mesh" else 1e-6)).float().mean() > 0.97
    np.testing.assert_allclose(gradient.norm(dim=-1).detach(), 1.0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SHAPES)
def test_gradients_are_finite_units_at_awkward_points(name: str, dtype: torch.dtype) -> None:
    shape, mesh = SHAPES[name]
    corner = mesh.bounds[1]
    scales = np.array([[x, y, z] for x in (0, 1, 2) for y in (0, 1, 2) for z in (-1, 0, 1, 2)])
    p = torch.tensor(corner * scales, dtype=dtype)
    p = torch.cat([p, p + 1e-30, p + 1e-8]).requires_grad_()
    distance = signed_distance(shape, p)
    (gradient,) = torch.autograd.grad(distance.sum(), p)
    assert distance.dtype == dtype
    assert distance.isfinite().all()
    np.testing.assert_allclose(gradient.norm(dim=-1).detach(), 1.0, atol=1e-4)


coordinate = st.floats(-1.5, 1.5)
point = st.tuples(coordinate, coordinate, coordinate)
extent = st.floats(1e-3, 1.0)
primitive = st.one_of(
    st.builds(lambda x, y, z: Box((x, y, z)), extent, extent, extent),
    st.builds(Cylinder, extent, extent),
    st.builds(Capsule, extent, extent),
    st.builds(Sphere, extent),
)


@settings(max_examples=150, deadline=None)
@given(primitive, point, point)
def test_distance_is_1_lipschitz(shape, a, b) -> None:
    p = torch.tensor([a, b], dtype=torch.float64)
    distance = signed_distance(shape, p)
    assert abs(distance[0] - distance[1]) <= torch.linalg.vector_norm(p[0] - p[1]) + 1e-12


@settings(max_examples=150, deadline=None)
@given(primitive, point)
@example(Capsule(1.0, 1.0), (0.0, 2.2677542194485966e-160, 0.0))
def test_walking_down_the_gradient_reaches_the_surface(shape, a) -> None:
    """p - d * grad d is the closest surface point: distance zero. This is exactness, inside and outside."""
    p = torch.tensor([a], dtype=torch.float64, requires_grad=True)
    distance = signed_distance(shape, p)
    (gradient,) = torch.autograd.grad(distance.sum(), p)
    assert signed_distance(shape, p - distance[:, None] * gradient).abs() < 1e-9


def test_batches_keep_their_shape() -> None:
    for shape, _ in SHAPES.values():
        assert signed_distance(shape, torch.zeros(2, 5, 4, 3)).shape == (2, 5, 4)
        assert signed_distance(shape, torch.zeros(0, 3)).shape == (0,)


def scene_of_all() -> Scene:
    return Scene.of(
        {
            name: (shape, pose_rpy((0.4 * i, -0.3 * i, 0.1 * i), (0.3 * i, -0.2, 0.5)))
            for i, (name, (shape, _)) in enumerate(SHAPES.items())
        }
    )


def test_scene_distance_is_the_least_over_obstacles() -> None:
    scene = scene_of_all()
    p_W = torch.tensor(np.random.default_rng(2).uniform(-2, 2, (50, 4, 3)))
    alone = []
    for obstacle in scene:
        X_OW = torch.tensor(np.linalg.inv(obstacle.X_WO))
        alone.append(signed_distance(obstacle.shape, p_W @ X_OW[:3, :3].T + X_OW[:3, 3]))
    expected, index = torch.stack(alone).min(dim=0)
    distance, nearest = scene_distance(scene, p_W)
    np.testing.assert_allclose(distance, expected, atol=1e-6)
    np.testing.assert_array_equal(nearest, index)
    also, gradient, _ = scene_distance_gradient(scene, p_W)
    np.testing.assert_allclose(also, distance)
    np.testing.assert_allclose(gradient.norm(dim=-1), 1.0, atol=1e-5)
    h = 1e-4
    behind, _ = scene_distance(scene, p_W - h * gradient)
    assert ((distance - behind) / h > 0.99).float().mean() > 0.97


def test_empty_scene_is_infinitely_far() -> None:
    distance, index = scene_distance(Scene(), torch.zeros(4, 2, 3))
    assert distance.isinf().all()
    assert (index == -1).all()
    assert (scene_distance_gradient(Scene(), torch.zeros(4, 3))[1] == 0).all()


def test_pose_moves_the_distance() -> None:
    scene = Scene.of({"b": (Box((0.2, 0.4, 0.6)), pose((1, 2, 3), (0, 0, np.sin(np.pi / 4), np.cos(np.pi / 4))))})
    distance, _ = scene_distance(scene, torch.tensor([[1.5, 2.0, 3.0], [1.0, 2.5, 3.0]], dtype=torch.float64))
    np.testing.assert_allclose(distance, [0.3, 0.4])
