"""Margins round named obstacles: the collision engine takes the obstacle as bigger by that distance, everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cost_cases import random_motion, random_scene

import edmp
from edmp.collision import World, edges_free, free, relaxed_world
from edmp.collision.free import pack_rows
from edmp.collision.kernels import free as kernels
from edmp.costs import IntersectionVolume, Margins, SphereClearance, SweptVolume
from edmp.robots import Robot
from edmp.scenes import Capsule, Scene, Sphere
from edmp.warp_start import wp


@pytest.fixture(scope="module")
def panda() -> Robot:
    return edmp.load_robot("panda")


def margins_of(scene: Scene, rng: np.random.Generator) -> dict[str, float]:
    """One of every kind of shape grows, the others stay: `random_scene` goes through the kinds in turn."""
    return {name: float(rng.uniform(0.02, 0.1)) for name in scene.names[:5]}


def gaps(world: World, q: np.ndarray) -> np.ndarray:
    """(n, S) gap of every sphere to the nearest obstacle [m]; nothing is culled."""
    found = [wp.zeros((len(q), len(world.robot.spheres)), dtype=float, device="cpu") for _ in range(2)]
    inputs = [world.chain, world.obstacles, pack_rows(q, "cpu"), *found]
    wp.launch(kernels.sphere_gaps, dim=len(q), inputs=inputs, device="cpu")
    return found[0].numpy()


@pytest.mark.parametrize("seed", range(3))
def test_the_distance_is_less_by_the_margin(panda: Robot, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = random_scene(rng, count=9)
    margins = margins_of(scene, rng)
    q = rng.uniform(panda.limits.lower, panda.limits.upper, (50, 7))
    alone = [gaps(World.of(panda, Scene((o,))), q) - margins.get(o.name, 0.0) for o in scene]
    np.testing.assert_allclose(gaps(World.of(panda, scene, margins=margins), q), np.min(alone, axis=0), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_free_means_that_the_margin_is_kept(panda: Robot, seed: int) -> None:
    """Culling sees the bigger obstacle: what is free is what the gaps say, which are computed without any."""
    rng = np.random.default_rng(seed)
    scene = random_scene(rng, count=9)
    margins = margins_of(scene, rng)
    plain, grown = (World.of(panda, scene, margins=m, only_separable=True) for m in (None, margins))
    q = rng.uniform(panda.limits.lower, panda.limits.upper, (800, 7))
    gap = gaps(grown, q).min(axis=1)
    apart = free(World.of(panda, Scene(), only_separable=True), q)
    for margin in (0.0, 0.03):
        sure = np.abs(gap - margin) > 1e-5
        found = free(grown, q, margin=margin)
        np.testing.assert_array_equal(found[sure], (apart & (gap >= margin))[sure])
        assert found.any()
    assert (free(plain, q) & ~free(grown, q)).any()
    assert not (free(grown, q) & ~free(plain, q)).any()


def test_a_ball_with_a_margin_is_a_bigger_ball(panda: Robot) -> None:
    q = random_motion(panda, np.random.default_rng(1), batch=40, waypoints=12)
    for small, big in ((Sphere(0.1), Sphere(0.16)), (Capsule(0.1, 0.3), Capsule(0.16, 0.3))):
        scenes = [Scene.of({"ball": (shape, (0.4, 0.1, 0.5))}) for shape in (small, big)]
        grown, bigger = World.of(panda, scenes[0], margins={"ball": 0.06}), World.of(panda, scenes[1])
        for cost in (SphereClearance(), IntersectionVolume(), SweptVolume()):
            ours, theirs = (cost.value_and_gradient(w, q, Margins.of(q, clearance=0.02)) for w in (grown, bigger))
            assert (theirs[0] > 0).any()
            torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(ours[1], theirs[1], rtol=1e-3, atol=1e-3)
        edges = [edges_free(w, q) for w in (grown, bigger)]
        assert (edges[0] == edges[1]).float().mean() > 0.99  # grazing contacts may round either way
        assert not edges[0].all()


@pytest.mark.parametrize("cost", [SphereClearance(), IntersectionVolume(), SweptVolume()], ids=lambda c: c.name)
def test_kernels_meet_the_torch_definition(cost, panda: Robot) -> None:
    rng = np.random.default_rng(4)
    scene = random_scene(rng, count=12)
    world = World.of(panda, scene, margins=margins_of(scene, rng))
    q = random_motion(panda, rng, batch=6, waypoints=16)
    margins = Margins.of(q, clearance=0.03, expansion=0.1)
    value, gradient = cost.value_and_gradient(world, q, margins)
    expected, expected_gradient = super(type(cost), cost).value_and_gradient(world, q, margins)
    torch.testing.assert_close(value, expected, rtol=2e-4, atol=2e-5)
    error = (gradient - expected_gradient).flatten(1).norm(dim=1)
    assert (error <= 2e-3 * expected_gradient.flatten(1).norm(dim=1) + 2e-4).all(), error
    without = cost.value_and_gradient(World.of(panda, scene), q, margins)[0]
    assert (value > without).any()


def test_no_margin_is_the_world_as_it_was(panda: Robot) -> None:
    rng = np.random.default_rng(5)
    scene = random_scene(rng, count=9)
    q = random_motion(panda, rng, batch=20, waypoints=16)
    worlds = World.of(panda, scene), World.of(panda, scene, margins=dict.fromkeys(scene.names, 0.0))
    for cost in (SphereClearance(), IntersectionVolume()):
        (value, gradient), (same, same_gradient) = (
            cost.value_and_gradient(world, q, Margins.of(q, clearance=0.05)) for world in worlds
        )
        assert torch.equal(value, same)
        assert torch.equal(gradient, same_gradient)


def test_given_configurations_are_free_in_the_relaxed_world_margins_and_all(panda: Robot) -> None:
    problem = edmp.load_example("bookshelf")
    q = np.array([problem.start])
    name = min(problem.scene.names, key=lambda one: gaps(World.of(panda, Scene((problem.scene[one],))), q).min())
    gap = float(gaps(World.of(panda, Scene((problem.scene[name],))), q).min())
    margins = {name: gap + 0.005}
    assert not free(World.of(panda, problem.scene, margins=margins, only_separable=True), q).any()
    assert free(relaxed_world(panda, problem.scene, q, margins=margins), q).all()


def test_what_is_wrong_with_a_margin_is_said(panda: Robot) -> None:
    scene = Scene.of({"vase": (Sphere(0.1), (0.5, 0.0, 0.3))})
    with pytest.raises(edmp.UnknownNameError, match=r"obstacle.*'vaze'.*vase"):
        World.of(panda, scene, margins={"vaze": 0.05})
    for wrong in (-0.01, np.inf):
        with pytest.raises(edmp.InvalidInputError, match=r"margins\['vase'\] must be at least 0 \[m\], got"):
            World.of(panda, scene, margins={"vase": wrong})
    with pytest.raises(edmp.InvalidInputError, match="margins must be"):
        World.of(panda, scene, margins={"vase": "wide"})
