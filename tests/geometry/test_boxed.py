"""What sensors saw as boxes: for Drake's contacts and MoveIt's files."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from plan_cases import every_sensed_shape

import edmp
from edmp.errors import EdmpWarning, InvalidInputError
from edmp.geometry.boxed import boxes_round
from edmp.scenes import moveit_write
from edmp.scenes.moveit_write import save_moveit_scene

RNG = np.random.default_rng(6)
SENSED = every_sensed_shape()


@pytest.mark.parametrize("name", ["cloud", "cells", "field"])
def test_boxes_contain_it_do_not_overlap_and_leave_it_by_little(name: str) -> None:
    shape = SENSED[name].shape
    middles, sizes, beyond = boxes_round(shape)
    lower, upper = middles - sizes / 2, middles + sizes / 2
    p = RNG.uniform(lower.min(axis=0) - 0.05, upper.max(axis=0) + 0.05, (20_000, 3))
    within = ((p[:, None] > lower) & (p[:, None] < upper)).all(axis=-1)
    assert within.sum(axis=1).max() == 1
    if name == "cells":
        index = np.floor(p / shape.resolution).astype(int)
        there = ((index >= 0) & (index < shape.occupancy.shape)).all(axis=1)
        solid = np.zeros(len(p), dtype=bool)
        solid[there] = shape.occupancy[tuple(index[there].T)]
        assert beyond == 0
        np.testing.assert_array_equal(within.any(axis=1), solid)
    if name == "cloud":
        distance = np.linalg.norm(p[:, None] - shape.points, axis=-1).min(axis=1) - shape.radius
        assert within.any(axis=1)[distance < 0].all()
        assert distance[within.any(axis=1)].max() <= beyond
    if name == "field":
        distance = np.linalg.norm(p - 2.5 * 0.05, axis=1) - 0.1  # what it was made of; its interpolant is further in
        assert within.any(axis=1)[distance < -0.005].all()


def test_a_planning_scene_has_them_as_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(EdmpWarning) as told:
        save_moveit_scene(tmp_path / "scene.yaml", SENSED)
    assert {str(one.message).split("'")[1] for one in told} == {"cloud", "field"}
    read = edmp.load_scene(tmp_path / "scene.yaml")
    boxes = [obstacle for obstacle in read if obstacle.name.startswith("cells")]
    volume = sum(np.prod(obstacle.shape.size) for obstacle in boxes)
    assert volume == pytest.approx(SENSED["cells"].shape.occupancy.sum() * 0.05**3)
    monkeypatch.setattr(moveit_write, "MOST_BOXES", 5)
    with pytest.raises(InvalidInputError, match=r"'cloud': a PointCloud that comes to \d+ boxes.*edmp.save_scene"):
        save_moveit_scene(tmp_path / "other.yaml", SENSED)
    assert not (tmp_path / "other.yaml").exists()


def test_drake_meets_them_where_they_are() -> None:
    """Distances that Drake measures are those of the balls; cells are their boxes."""
    pytest.importorskip("pydrake")
    from edmp.execution.drivers.drake_plant import make_diagram

    panda = edmp.load_robot("panda")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdmpWarning)
        arm = make_diagram(panda, SENSED, time_step=1e-3, rotor_inertia=0.1, mass_error=0.0, payload=0.0)
    names = list(arm.names.values())
    assert names.count("cloud") == len(SENSED["cloud"].shape.points)
    assert names.count("cells") == len(boxes_round(SENSED["cells"].shape)[0])
    context = arm.diagram.CreateDefaultContext()
    graph = next(system for system in arm.diagram.GetSystems() if system.get_name() == "scene_graph")
    query = graph.get_query_output_port().Eval(graph.GetMyContextFromRoot(context))
    X_WO, shape = SENSED["cloud"].X_WO, SENSED["cloud"].shape
    for point in RNG.uniform(-0.15, 0.15, (30, 3)):
        found = query.ComputeSignedDistanceToPoint(X_WO[:3, :3] @ point + X_WO[:3, 3], 1.0)
        measured = min(one.distance for one in found if arm.names[one.id_G] == "cloud")
        expected = np.linalg.norm(shape.points - point, axis=1).min() - shape.radius
        assert measured == pytest.approx(expected, abs=1e-6)
