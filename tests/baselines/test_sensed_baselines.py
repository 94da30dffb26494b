"""What is compared with, among points, cells and fields: they plan round them, or say that they cannot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from waypoint_cases import over_the_box

from edmp.baselines.chomp import Chomp
from edmp.baselines.edmp_paper import EdmpPaper
from edmp.baselines.mpinets.planner import Mpinets
from edmp.baselines.stomp import Stomp
from edmp.bench.examine import examine
from edmp.errors import InvalidInputError
from edmp.problem import Problem
from edmp.result import Status
from edmp.scenes import DistanceField, Obstacle, Scene, as_clouds, as_voxels


def as_fields(scene: Scene) -> Scene:
    """Boxes as the distances from them at nodes 2 cm apart."""
    found = []
    for obstacle in scene:
        half = np.array(obstacle.shape.size) / 2
        corner = -half - 0.06
        nodes = np.stack(np.meshgrid(*(np.arange(low, -low + 0.02, 0.02) for low in corner), indexing="ij"), axis=-1)
        excess = np.abs(nodes) - half
        distances = np.linalg.norm(np.maximum(excess, 0), axis=-1) + np.minimum(excess.max(axis=-1), 0)
        X_OF = np.eye(4)
        X_OF[:3, 3] = corner
        found.append(Obstacle(obstacle.name, DistanceField(distances, 0.02), obstacle.X_WO @ X_OF))
    return Scene(tuple(found))


SEEN = {
    "clouds": lambda scene: as_clouds(scene, spacing=0.02),
    "voxels": lambda scene: as_voxels(scene, resolution=0.02),
    "fields": as_fields,
}


@pytest.fixture(params=SEEN)
def problem(request: pytest.FixtureRequest) -> Problem:
    plain = over_the_box()
    return dataclasses.replace(plain, scene=SEEN[request.param](plain.scene))


@pytest.mark.parametrize("planner", [Chomp, Stomp])
def test_optimisers_go_round_what_was_seen(planner: type, problem: Problem) -> None:
    """And the judge, who sees the same, finds nothing wrong."""
    claim = planner().plan(problem, seed=0)
    assert claim.status is Status.SOLVED, claim.message
    assert examine(problem, claim, true=over_the_box()).refuted is None


def test_searches_go_round_what_was_seen(problem: Problem) -> None:
    pytest.importorskip("ompl")
    from edmp.baselines.sampling_based import RrtConnect

    claim = RrtConnect().plan(problem, seed=0)
    assert claim.status is Status.SOLVED, claim.message
    assert examine(problem, claim).refuted is None


def test_motion_policy_networks_see_the_surface(problem: Problem) -> None:
    """They learned from points; what they make of them is their own affair, and a value."""
    claim = Mpinets().plan(problem, seed=0)
    assert claim.status in (Status.SOLVED, Status.NO_PATH_FOUND, Status.TIMEOUT)


def test_edmp_as_published_says_what_it_does_not_know(problem: Problem) -> None:
    kind = type(problem.scene["table"].shape).__name__
    with pytest.raises(InvalidInputError, match=f"obstacle 'table': EDMP as published .* knows no {kind}"):
        EdmpPaper().plan(problem, seed=0)
