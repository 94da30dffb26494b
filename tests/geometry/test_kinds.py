"""One table of the kinds of shapes: every row keeps its promises, and a kind that is only a row works everywhere.

`Cone` is such a kind: made here, known nowhere in edmp. It is planned around, proved free of, drawn, written, read,
held, sampled and simulated: that is why adding a kind touches few files.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from plan_cases import every_shape, solved

import edmp
from edmp import viz
from edmp.collision import World
from edmp.costs import IntersectionVolume, Margins, SphereClearance
from edmp.execution.prediction import Observation, predicted_scene
from edmp.files.yaml_nodes import read_yaml
from edmp.geometry.distance import signed_distance
from edmp.geometry.kinds import (
    KINDS,
    Field,
    Kind,
    as_mesh,
    bounds,
    hull_points,
    kind_of,
    register,
    sampler,
    triangles,
)
from edmp.geometry.primitives import Triangles, hull_faces
from edmp.geometry.shapes import Shape
from edmp.scenes.moveit import load_moveit_scene
from edmp.scenes.moveit_write import save_moveit_scene
from edmp.scenes.surface import sample_scene
from edmp.validate.dense import dense_collisions
from edmp.validate.spacetime import MovingObstacle

HOME, ASIDE = (-0.8, 0.2, 0.0, -1.9, 0.0, 2.1, 0.8), (0.8, 0.2, 0.0, -1.9, 0.0, 2.1, 0.8)
SIDES = 24


@dataclass(frozen=True)
class Cone(Shape):
    """A cone along z, its tip up, its box centred at the origin."""

    radius: float
    length: float


def pyramid(shape: Cone) -> Triangles:
    """The least pyramid of many sides that contains the cone."""
    angle = 2 * math.pi * np.arange(SIDES) / SIDES
    rim = np.column_stack([np.cos(angle), np.sin(angle)]) * shape.radius / math.cos(math.pi / SIDES)
    points = np.vstack(
        [np.column_stack([rim, np.full(SIDES, -shape.length / 2)]), [[0.0, 0.0, shape.length / 2]]],
    )
    return points, hull_faces(points)


CONE = Kind("cone", Cone, (Field("radius"), Field("length")), triangles=pyramid, convex=True)
"""All that edmp is told."""


@pytest.fixture
def cone(monkeypatch: pytest.MonkeyPatch) -> edmp.Obstacle:
    """An obstacle between `HOME` and `ASIDE`, while its kind is known."""
    monkeypatch.setitem(KINDS, Cone, CONE)
    return edmp.Obstacle.at("cone", Cone(0.18, 0.9), (0.55, 0.0, 0.45))


# --- every row --------------------------------------------------------------------------------------------------------

SENSED = [
    edmp.PointCloud(np.random.default_rng(3).uniform(-0.1, 0.1, (60, 3)), 0.02),
    edmp.Voxels(np.arange(60).reshape(3, 4, 5) % 7 < 3, 0.04),
    edmp.DistanceField(np.linalg.norm(np.indices((6, 7, 8)).T - 3.2, axis=-1).T * 0.03 - 0.05, 0.03),
]
SHAPES = [obstacle.shape for obstacle in every_shape()] + SENSED + [Cone(0.1, 0.3)]


@pytest.fixture(params=SHAPES, ids=lambda shape: type(shape).__name__)
def shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Shape:
    monkeypatch.setitem(KINDS, Cone, CONE)
    return request.param


def test_every_kind_is_tried_here() -> None:
    assert set(KINDS) == {type(shape) for shape in SHAPES} - {Cone}


def _area(corners: np.ndarray) -> float:
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(normals, axis=1).sum()) / 2


def test_a_row_agrees_with_itself(shape: Shape) -> None:
    vertices, faces = triangles(shape)
    corners = vertices[faces]
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()  # closed
    assert np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() > 0  # wound outward
    lower, upper = bounds(shape)
    size = float(np.linalg.norm(upper - lower))
    drawn = sampler(shape).sample(5000, np.random.default_rng(0))
    distance = signed_distance(shape, torch.tensor(drawn)).numpy()
    assert np.abs(distance).max() < 2e-6
    loose = isinstance(shape, edmp.PointCloud | edmp.DistanceField)  # the triangles are round it, not its surface
    for points in (drawn,) if loose else (drawn, vertices):
        assert (points >= lower - 1e-9).all()
        assert (points <= upper + 1e-9).all()
    if not loose:
        assert np.abs(signed_distance(shape, torch.tensor(vertices)).numpy()).max() < 2e-6
        assert sampler(shape).area == pytest.approx(_area(corners), rel=0.02)
    outer = as_mesh(shape)
    assert signed_distance(outer, torch.tensor(drawn)).max() < 3e-6
    little = 0.03 * size
    if loose:
        little = np.sqrt(3) * (2 * shape.radius if isinstance(shape, edmp.PointCloud) else shape.resolution)
    assert signed_distance(shape, torch.tensor(outer.vertices)).max() < little
    directions = np.random.default_rng(1).normal(size=(200, 3))
    assert ((hull_points(shape) @ directions.T).max(axis=0) >= (drawn @ directions.T).max(axis=0) - 1e-9).all()


def test_a_grown_shape_is_larger_on_all_sides_or_as_it_was(shape: Shape) -> None:
    grown = kind_of(shape).grown(shape, 0.02)
    drawn = torch.tensor(sampler(shape).sample(500, np.random.default_rng(2)))
    if grown is not shape:
        assert signed_distance(grown, drawn).max() <= -0.02 + 1e-6


def test_rows_that_do_not_fit_the_table_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        edmp.InvalidInputError, match=r"shape must be one of Box, .*Mesh, .*got Cone.*kinds.register adds"
    ):
        edmp.Obstacle.at("cone", Cone(0.1, 0.2))
    with pytest.raises(edmp.InvalidInputError, match="Cone is no kind of shape: known are Box"):
        bounds(Cone(0.1, 0.2))
    with pytest.raises(edmp.InvalidInputError, match="kind 'box' of Cone: there is a kind 'box' of Box"):
        register(dataclasses.replace(CONE, name="box"))
    with pytest.raises(edmp.InvalidInputError, match=r"must derive from edmp\.geometry\.shapes\.Shape"):
        register(dataclasses.replace(CONE, shape=int))
    monkeypatch.setattr("edmp.geometry.kinds.KINDS", dict(KINDS))
    assert register(CONE) is register(CONE)
    with pytest.raises(edmp.InvalidInputError, match="kind 'hat' of Cone: there is a kind 'cone' of Cone"):
        register(dataclasses.replace(CONE, name="hat"))


# --- a kind that is only a row ----------------------------------------------------------------------------------------


def test_a_new_kind_is_planned_around_and_proved_free_of(cone: edmp.Obstacle, tmp_path: Path) -> None:
    """Through the front door; then into a plan file and back."""
    scene, panda = edmp.Scene((cone,)), edmp.load_robot("panda")
    assert dense_collisions(panda, scene, np.array([HOME, ASIDE]), first_only=True)  # straight would hit it
    result = edmp.plan(scene, HOME, ASIDE, robot=panda)
    assert result.solved, result.message
    assert not dense_collisions(panda, scene, result.path)
    assert edmp.Judge(panda, scene).check_path(result.path).valid
    result.save(tmp_path / "plan.json")
    again = edmp.load_result(tmp_path / "plan.json")
    assert again.problem.scene == scene
    np.testing.assert_allclose(again.path, result.path)


def test_a_new_kind_in_scene_files(cone: edmp.Obstacle, tmp_path: Path) -> None:
    file = tmp_path / "scene.yaml"
    edmp.save_scene(file, edmp.Scene((cone,)))
    assert read_yaml(file).need("obstacles").need("cone").need("type").text() == "cone"
    assert edmp.load_scene(file) == edmp.Scene((cone,))
    file.write_text(file.read_text().replace("radius", "width"))
    with pytest.raises(edmp.FileFormatError, match="unknown key 'width'; valid: type, radius, length, position"):
        edmp.load_scene(file)
    save_moveit_scene(tmp_path / "moveit.yaml", edmp.Scene((cone,)))
    (found,) = load_moveit_scene(tmp_path / "moveit.yaml").scene
    assert found.shape == as_mesh(cone.shape)


def test_a_new_kind_in_pictures(cone: edmp.Obstacle, tmp_path: Path) -> None:
    problem = edmp.load_example("bookshelf")
    pages = {}
    for name, obstacles in (("with", (cone,)), ("without", ())):
        shown = dataclasses.replace(problem, scene=edmp.Scene(obstacles), start=HOME, goal=np.array(ASIDE))
        result = dataclasses.replace(solved(shown), problem=shown)
        viz.save_image(result, tmp_path / f"{name}.png", geometry="hulls", ghosts=2, renderer="numpy")
        viz.save_page(result, tmp_path / f"{name}.html")
        pages[name] = (tmp_path / f"{name}.html").read_text()
        if obstacles:
            viz.save_plots(result, tmp_path / "plots.png")
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()
    assert '"cone"' in pages["with"]
    assert '"cone"' not in pages["without"]


@dataclass(frozen=True)
class Bracket(Shape):
    """Two plates of one width at a right angle: not convex."""

    width: float


def bracket(shape: Bracket) -> Triangles:
    profile = np.array([[0.0, 0.0], [0.4, 0.0], [0.4, 0.05], [0.05, 0.05], [0.05, 0.4], [0.0, 0.4]])
    n, half = len(profile), shape.width / 2
    points = np.vstack([np.insert(profile, 1, y, axis=1) for y in (-half, half)])
    near = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]])  # all seen from the inner corner
    around = [(i, (i + 1) % n) for i in range(n)]
    sides = [face for i, j in around for face in ((i, i + n, j), (j, i + n, j + n))]
    return points, np.vstack([near, near[:, ::-1] + n, sides])


def test_a_new_kind_that_is_not_convex_is_judged_as_its_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, Bracket, Kind("bracket", Bracket, (Field("width"),), triangles=bracket))
    shape, panda = Bracket(0.5), edmp.load_robot("panda")
    q = np.random.default_rng(3).uniform(panda.limits.lower, panda.limits.upper, (60, 7))
    scenes = [edmp.Scene.of({"it": (one, (0.3, 0.0, 0.3))}) for one in (shape, as_mesh(shape))]
    ours, theirs = ([edmp.Judge(panda, scene).check(row).valid for row in q] for scene in scenes)
    assert ours == theirs
    assert len(set(ours)) == 2
    hollow = torch.tensor([[0.2, 0.0, 0.2]])
    assert signed_distance(shape, hollow) == pytest.approx(0.15, abs=1e-5)  # inside its hull, not inside it


@pytest.mark.parametrize("cost", [SphereClearance(), IntersectionVolume()], ids=lambda cost: cost.name)
def test_a_new_kind_in_the_kernels(cone: edmp.Obstacle, cost) -> None:
    """They take it as the mesh that stands for it, wherever its box is centred."""
    panda = edmp.load_robot("panda")
    rng = np.random.default_rng(0)
    q = torch.tensor(rng.uniform(panda.limits.lower, panda.limits.upper, (20, 8, 7)), dtype=torch.float32)
    scene = edmp.Scene((cone, edmp.Obstacle.at("box", edmp.Box((0.3, 0.3, 0.3)), (-0.4, 0.3, 0.4))))
    world = World.of(panda, scene, margins={"cone": 0.03})
    value, gradient = cost.value_and_gradient(world, q, Margins.of(q, clearance=0.05))
    expected, by_definition = super(type(cost), cost).value_and_gradient(world, q, Margins.of(q, clearance=0.05))
    assert (expected > 0).any()
    torch.testing.assert_close(value, expected, rtol=2e-4, atol=2e-5)
    torch.testing.assert_close(gradient, by_definition, rtol=2e-3, atol=2e-3)


def test_a_new_kind_is_held_sampled_generated_and_foreseen(cone: edmp.Obstacle) -> None:
    from edmp.scenes.generators.base import Builder

    panda = edmp.load_robot("panda")
    held = panda.with_attachment("hat", Cone(0.04, 0.1), np.eye(4), link="panda_hand")
    assert held.links[held.link_index("hat")].attached
    cloud = sample_scene(edmp.Scene((cone,)), 2000, np.random.default_rng(0))
    p_O = (cloud - cone.X_WO[:3, 3]) @ cone.X_WO[:3, :3]
    assert signed_distance(cone.shape, torch.tensor(p_O)).abs().max() < 2e-5  # of meshes in single precision
    builder = Builder(np.eye(4))
    assert builder.add("far", cone.shape, cone.X_WO)
    near = np.eye(4)
    near[:3, 3] = [0.1, 0.0, 0.45]
    assert not builder.add("near", cone.shape, near)
    moving = MovingObstacle(cone, np.array([0.0, 0.2, 0.0]))
    ahead = predicted_scene(
        panda, Observation(edmp.Scene(()), (moving,)), HOME, begin=0.0, end=1.0, grow=0.02, spacing=0.1
    )
    assert len(ahead) > 1
    assert all(isinstance(obstacle.shape, Cone) for obstacle in ahead)


def test_a_new_kind_in_drakes_plant(cone: edmp.Obstacle) -> None:
    pytest.importorskip("pydrake")
    from edmp.execution.drivers.drake_plant import make_diagram

    panda = edmp.load_robot("panda")
    world = make_diagram(panda, edmp.Scene((cone,)), time_step=1e-3, rotor_inertia=0.01, mass_error=0.0, payload=0.0)
    context = world.diagram.CreateDefaultContext()
    plant = world.plant
    touched = {}
    for name, q in (("between", np.array([0, 0.6, 0, -1.6, 0, 2.1, 0.8])), ("home", np.array(HOME))):
        plant.SetPositions(plant.GetMyMutableContextFromRoot(context), world.arm, q)
        query = plant.get_geometry_query_input_port().Eval(plant.GetMyContextFromRoot(context))
        pairs = query.ComputePointPairPenetration()
        touched[name] = {world.names[i] for pair in pairs for i in (pair.id_A, pair.id_B)}
    assert "cone" in touched["between"]
    assert "cone" not in touched["home"]
