"""Fitting a robot: work and memory bounded, kept by content, told of; home free where links rest on each other."""

import logging
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from edmp.errors import EdmpWarning
from edmp.robots import FitSettings, Robot, body_poses, fit_cache, hull_fit, load_urdf
from edmp.robots import fit as fit_module
from edmp.robots.fit_cache import cache_folder
from edmp.robots.hull_fit import halfspaces, outer_polytope, project_to_hull
from edmp.robots.self_collision import fcl_convex
from edmp.robots.sphere_fit import cover, surface_triangles

QUICK = FitSettings(max_spheres=3, relocations=0, num_samples=150)

FOLDED = """<robot name="folded">
  <link name="base"><collision><origin xyz="0 0 0.05"/><geometry><box size="0.4 0.4 0.1"/></geometry></collision></link>
  <link name="column"><collision><origin xyz="0 0 0.15"/><geometry><box size="0.05 0.05 0.3"/></geometry></collision>
  </link>
  <link name="arm">{arm}</link>
  <joint name="turn" type="revolute"><parent link="base"/><child link="column"/><origin xyz="0 0 0.1"/>
    <axis xyz="0 0 1"/><limit lower="-2" upper="2" velocity="1" effort="1"/></joint>
  <joint name="lift" type="revolute"><parent link="column"/><child link="arm"/><origin xyz="0 0.06 {height}"/>
    <axis xyz="0 1 0"/><limit lower="-2" upper="2" velocity="1" effort="1"/></joint>
</robot>
"""
"""At home, the arm hangs down beside the column; it is 0.3 m long, so that at that height it ends on the base."""

BAR = '<collision><origin xyz="0 0 -0.15"/><geometry><box size="0.05 0.04 0.3"/></geometry></collision>'


def folded(folder: Path, height: float, arm: str = BAR) -> Path:
    path = folder / "folded.urdf"
    path.write_text(FOLDED.format(arm=arm, height=height))
    return path


def load(path: Path, **options) -> tuple[Robot, list[str]]:
    """The robot, and what was said of its fit."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        robot = load_urdf(path, acceleration=4, jerk=80, settings=QUICK, **options)
    return robot, [str(warning.message) for warning in told if issubclass(warning.category, EdmpWarning)]


def touching(robot: Robot, q: np.ndarray) -> set[tuple[str, str]]:
    """Pairs of links that are checked and collide."""
    fcl = pytest.importorskip("fcl")
    X_WB = body_poses(robot, torch.as_tensor(q)).numpy()
    objects = [
        [fcl.CollisionObject(fcl_convex(hull), fcl.Transform(X[:3, :3], X[:3, 3])) for hull in link.hulls_B]
        for link in robot.links
        for X in [X_WB[link.body]]
    ]
    return {
        (robot.links[i].name, robot.links[j].name)
        for i, j in robot.collision_pairs
        for a in objects[i]
        for b in objects[j]
        if fcl.collide(a, b, fcl.CollisionRequest(), fcl.CollisionResult())
    }


@pytest.fixture
def no_fitting(monkeypatch):
    """From now on, whatever is fitted anew fails the test."""

    def forbid() -> None:
        def fail(*_args, **_options):
            raise AssertionError("fitted again")

        monkeypatch.setattr(fit_module, "fit_hull", fail)
        monkeypatch.setattr(fit_module, "fit_spheres", fail)

    return forbid


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fit_cache, "cache_folder", cache_folder)
    return tmp_path / "cache" / "edmp" / "fits"


# --- kept by content -------------------------------------------------------------------------------------------------


def test_the_same_geometry_is_fitted_once(tmp_path, own_cache, no_fitting):
    first, told = load(folded(tmp_path, 0.2995))
    (entry,) = own_cache.iterdir()
    assert entry.suffix == ".json"
    no_fitting()
    (tmp_path / "elsewhere").mkdir()
    again, told_again = load(folded(tmp_path / "elsewhere", 0.2995))
    np.testing.assert_array_equal(again.spheres, first.spheres)
    assert again.collision_pairs == first.collision_pairs
    assert any("rest on each other" in line for line in told)
    assert told_again == told
    # What a fit does not depend on may change.
    assert load_urdf(folded(tmp_path, 0.2995), acceleration=1, jerk=20, settings=QUICK).limits.acceleration[0] == 1


@pytest.mark.parametrize("change", ["joint", "settings", "mesh"])
def test_what_counts_is_fitted_again(change, tmp_path, own_cache, monkeypatch):
    mesh = '<collision><geometry><mesh filename="arm.stl"/></geometry></collision>'
    trimesh.creation.box((0.05, 0.04, 0.1)).export(tmp_path / "arm.stl")
    load(folded(tmp_path, 0.3, mesh))
    if change == "mesh":
        trimesh.creation.box((0.05, 0.04, 0.12)).export(tmp_path / "arm.stl")
    if change == "settings":
        monkeypatch.setitem(globals(), "QUICK", FitSettings(max_spheres=4, relocations=0, num_samples=150))
    robot, _ = load(folded(tmp_path, 0.31 if change == "joint" else 0.3, mesh))
    assert len(list(own_cache.iterdir())) == 2
    if change == "mesh":
        assert robot.links[2].box.size.max() == pytest.approx(0.12, abs=1e-3)


@pytest.mark.parametrize("damage", [b"", b"\xff\x00", None])
def test_a_damaged_entry_is_fitted_again(damage, tmp_path, own_cache):
    first, _ = load(folded(tmp_path, 0.31))
    (entry,) = own_cache.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole.replace(b"0.1", b"0.2") if damage is None else damage)
    again, _ = load(folded(tmp_path, 0.31))
    np.testing.assert_array_equal(again.spheres, first.spheres)
    assert entry.read_bytes() == whole
    assert list(own_cache.iterdir()) == [entry]


def test_a_cache_that_cannot_be_written_is_told_of(tmp_path, own_cache):
    own_cache.parents[1].write_text("a file where the folder should be")
    robot, told = load(folded(tmp_path, 0.31))
    assert robot.dof == 2
    assert [line for line in told if "cannot be kept in" in line and "XDG_CACHE_HOME" in line]


def test_without_cache_nothing_is_kept(tmp_path, own_cache):
    load(folded(tmp_path, 0.31), cache=False)
    assert not own_cache.exists()


def test_a_word_when_it_takes_long(tmp_path, monkeypatch, caplog):
    with caplog.at_level(logging.WARNING):
        load(folded(tmp_path, 0.31), cache=False)
        assert not caplog.records
        monkeypatch.setattr(fit_module, "PATIENCE", -1.0)
        load(folded(tmp_path, 0.31), cache=False)
    (record,) = caplog.records
    assert "folded.urdf: fitting its geometry" in record.getMessage()


# --- bounded ---------------------------------------------------------------------------------------------------------


def test_a_hull_of_thousands_of_vertices_takes_few_steps(monkeypatch):
    """Each collapse is a small linear program: one for every edge of the hull at every step was hours."""
    points = np.random.default_rng(0).normal(size=(2500, 3))
    points *= np.array([0.05, 0.03, 0.12]) / np.linalg.norm(points, axis=1, keepdims=True)
    solved = []
    solve = hull_fit._solve_collapse
    monkeypatch.setattr(hull_fit, "_solve_collapse", lambda *parts: solved.append(1) or solve(*parts))
    hull = outer_polytope(points, tolerance=8e-4)
    assert len(solved) < 8 * len(points)
    assert len(hull) < 500
    planes = halfspaces(hull)
    assert (points @ planes[:, :3].T + planes[:, 3]).max() <= 1e-12
    assert np.linalg.norm(hull - project_to_hull(hull, points), axis=1).max() <= 8.5e-4


def test_closest_points_of_a_hull_of_many_vertices():
    """Found among few vertices, and found elsewhere if those are not the ones that count."""
    rng = np.random.default_rng(1)
    dense = rng.normal(size=(300, 3)) * 1e-3
    far = np.array([[1.0, 0, 0], [0, 1.0, 0], [-1.0, -1, 0], [0, 0, -1.0]])
    vertices = np.vstack([dense, far])
    queries = rng.normal(size=(40, 3))
    found = project_to_hull(queries, vertices)
    # The closest point is the one beyond which no vertex lies in the direction of the query.
    away = queries - found
    assert ((vertices @ away.T).max(axis=0) - (found * away).sum(axis=1)).max() <= 1e-6


def test_a_plate_of_metres_takes_megabytes():
    plate = np.stack(np.meshgrid([-1.0, 1], [-0.5, 0.5], [-0.02, 0.02], indexing="ij"), axis=-1).reshape(-1, 3)
    tracemalloc.start()
    spheres = cover(plate, stick_out=0.015, max_spheres=8, relocations=1, num_samples=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    samples = surface_triangles(plate, 0.01).mean(axis=1)
    gap = np.linalg.norm(samples[:, None] - spheres[:, :3], axis=2) - spheres[:, 3]
    assert gap.min(axis=1).max() <= 1e-9


@pytest.mark.parametrize("size", [(2.0, 1.0, 0.04), (3.0, 0.7, 0.001), (0.002, 0.002, 1.9), (0.7, 0.7, 0.7)])
def test_plates_and_rods_anywhere_are_contained(size):
    """Corners are rounded to a grid and pushed out again; away from the centre is hardly outwards on a plate."""
    corners = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * size
    for offset in np.random.default_rng(0).uniform(-1, 1, size=(20, 3)).round(3):
        hull = outer_polytope(corners + offset)
        planes = halfspaces(hull)
        assert ((corners + offset) @ planes[:, :3].T + planes[:, 3]).max() <= 1e-12
        assert np.abs(np.sort(hull, axis=0) - np.sort(corners + offset, axis=0)).max() <= 2e-4


def test_a_large_link_is_told_of(tmp_path):
    table = (
        '<link name="base"><collision><origin xyz="0 0 0.05"/><geometry><box size="{}"/></geometry></collision></link>'
    )
    path = folded(tmp_path, 0.32)
    path.write_text(path.read_text().replace(table.format("0.4 0.4 0.1"), table.format("2 1 0.1")))
    _, told = load(path)
    assert any("base is large" in line and "obstacle of the scene" in line for line in told)


def test_geometry_that_is_listed_twice_counts_once(tmp_path):
    robot, _ = load(folded(tmp_path, 0.31, BAR + BAR))
    assert len(robot.links[2].hulls_B) == 1


# --- at home ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("overlap", "says"), [(0.0, None), (3e-4, "overlapping by 0.30 mm"), (-2e-3, None)])
def test_links_that_rest_on_each_other_at_home_are_parted(overlap, says, tmp_path):
    robot, told = load(folded(tmp_path, 0.3 - overlap))
    assert ("base", "arm") in {(robot.links[i].name, robot.links[j].name) for i, j in robot.collision_pairs}
    assert touching(robot, robot.home) == set()
    # Where they do collide, they still do: the corner of the arm goes down when it swings.
    assert touching(robot, np.array([0.0, 0.08])) == ({("base", "arm")} if overlap >= 0 else set())
    assert [line for line in told if "rest on each other" in line] == [line for line in told if says and says in line]
    assert bool(says) == any("rest on each other" in line for line in told)
    assert np.ptp(robot.links[2].hulls_B[0], axis=0).max() >= 0.3 - max(overlap, 0) - 2e-4


def test_a_fit_that_reaches_over_its_mesh_loses_nothing_of_it(tmp_path):
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.03)
    ball.apply_scale([1, 1, 1.5])
    ball.apply_translation([0, 0, -0.3 - ball.vertices[:, 2].min()])
    ball.export(tmp_path / "arm.stl")
    mesh = '<collision><geometry><mesh filename="arm.stl"/></geometry></collision>'
    robot, told = load(folded(tmp_path, 0.3001, mesh))
    assert touching(robot, robot.home) == set()
    assert not any("rest on each other" in line for line in told)
    arm = robot.links[2]
    planes = halfspaces(arm.hulls_B[0])
    points_B = np.asarray(ball.vertices) @ arm.X_BL[:3, :3].T + arm.X_BL[:3, 3]
    assert (points_B @ planes[:, :3].T + planes[:, 3]).max() <= 1e-7


def test_links_that_overlap_deeply_at_home_are_told_of(tmp_path):
    robot, told = load(folded(tmp_path, 0.29))
    assert touching(robot, robot.home) == {("base", "arm")}
    assert any("base and arm overlap by 10.0 mm at home" in line for line in told)
