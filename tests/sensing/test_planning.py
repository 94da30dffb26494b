"""Plans in what cameras see, through the front door."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sights

import edmp
from edmp.sensing import Map, SensorFaults, SimulatedCameras

START = [0.8, -0.3, 0.0, -2.2, 0.0, 1.9, 0.8]
FOLDED = [0.0, -1.7, 0.0, -2.9, 0.0, 1.6, 0.8]
GOAL = [-0.8, -0.3, 0.0, -2.2, 0.0, 1.9, 0.8]


@pytest.fixture(scope="module")
def truth() -> edmp.Scene:
    return sights.scene()


@pytest.fixture(scope="module")
def map(truth: edmp.Scene) -> Map:
    """What three cameras with faults see while the arm comes to the start; it has hidden nothing for good."""
    cameras = sights.eyes(3, width=320)
    simulated = SimulatedCameras(cameras, truth, robot="panda", faults=SensorFaults(), seed=1)
    result = Map(sights.BOUNDS, 0.02, robot="panda")
    for q in (FOLDED, FOLDED, START, START):
        for camera, depth in zip(cameras, simulated.look(q), strict=True):
            result.integrate(depth, camera, q)
    return result


@pytest.fixture(scope="module")
def plan(map: Map) -> edmp.PlanResult:
    return edmp.plan(map.scene(unseen="occupied", padding=0.01), START, GOAL, seed=1)


def test_a_plan_in_a_depth_image_is_certified_and_free_of_the_truth(plan: edmp.PlanResult, truth: edmp.Scene) -> None:
    assert plan.solved, plan.message
    robot = edmp.load_robot("panda")
    straight = edmp.Judge(robot, truth).check_path(np.array([START, GOAL]))
    assert not straight.valid, "the wall is in the way"
    assert edmp.Judge(robot, plan.problem.scene).check_path(plan.path).valid
    assert edmp.Judge(robot, truth).check_path(plan.path).valid


def test_the_policy_is_in_the_result_and_in_the_files(plan: edmp.PlanResult, map: Map, tmp_path: Path) -> None:
    assert plan.unseen == edmp.scenes.Unseen("occupied", float(map.unseen.mean()))
    assert 0.02 < plan.unseen.share < 0.6
    plan.save(tmp_path / "plan.json")
    document = json.loads((tmp_path / "plan.json").read_text())
    assert document["unseen"] == {"policy": "occupied", "share": plan.unseen.share}
    read = edmp.load_result(tmp_path / "plan.json")
    assert read.unseen == plan.unseen
    assert read.problem.scene == plan.problem.scene
    edmp.save_scene(tmp_path / "scene.yaml", plan.problem.scene)
    assert edmp.load_scene(tmp_path / "scene.yaml") == plan.problem.scene
    document["unseen"]["policy"] = "ignored"
    (tmp_path / "plan.json").write_text(json.dumps(document))
    with pytest.raises(edmp.FileFormatError, match="free, occupied"):
        edmp.load_result(tmp_path / "plan.json")


def test_unseen_space_stops_an_arm_only_where_it_counts(truth: edmp.Scene) -> None:
    """A map that saw nothing: as free, everything goes; as occupied, the arm is where it is and cannot leave it."""
    blind = Map(sights.BOUNDS, 0.02, robot="panda")
    camera = sights.eyes(1)[0]
    with pytest.warns(edmp.EdmpWarning, match="says anything"):
        blind.integrate(np.zeros((camera.height, camera.width)), camera, START)
    assert edmp.plan(blind.scene(unseen="free"), START, GOAL, seed=1).solved
    closed = blind.scene(unseen="occupied", padding=0.02)
    assert edmp.Judge(edmp.load_robot("panda"), closed).check(np.array(START)).valid
    result = edmp.plan(closed, START, GOAL, seed=1, time_budget=2.0)
    assert result.status is edmp.Status.GOAL_IN_COLLISION, result.message
    assert "map" in result.message


def test_the_same_seed_gives_the_same_images(truth: edmp.Scene) -> None:
    cameras = sights.eyes(1)
    one, other, third = (
        SimulatedCameras(cameras, truth, robot="panda", faults=SensorFaults(), seed=seed).look(START)[0]
        for seed in (4, 4, 5)
    )
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


def test_cameras_that_nobody_closes_end_without_a_word() -> None:
    """Drake's renderer complains where it is let go in another thread than its own."""
    code = """
import edmp
from edmp.sensing import DepthCamera, SimulatedCameras
camera = DepthCamera.looking((1.7, 0.2, 1.2), (0.4, 0.0, 0.3), width=64, height=48)
cameras = SimulatedCameras([camera], edmp.Scene.of({"table": (edmp.Box((1.0, 1.0, 0.1)), (0.5, 0.0, 0.0))}))
assert (cameras.look()[0] > 0).any()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_simulated_images_are_those_of_geometry(truth: edmp.Scene) -> None:
    camera = sights.eyes(1, width=320)[0]
    perfect = SimulatedCameras([camera], truth).look()[0]
    wanted = sights.image(camera, truth)
    assert (np.isfinite(perfect) == np.isfinite(wanted)).mean() > 0.999
    both = np.isfinite(perfect) & np.isfinite(wanted)
    perfect, wanted = np.where(both, perfect, 1.0), np.where(both, wanted, 1.0)
    error = np.abs(perfect - wanted)[both]
    assert np.quantile(error, 0.995) < 1e-5
    faulty = SimulatedCameras([camera], truth, faults=SensorFaults(noise=0.004), seed=2).look()[0]
    seen = both & (faulty > 0) & np.isfinite(faulty)
    faulty = np.where(seen, faulty, 0.0)
    spread = ((faulty - perfect) / perfect**2)[seen & (np.abs(faulty - perfect) < 0.03)]
    assert abs(spread.std() - 0.004) < 3e-4
    edges = np.abs(np.diff(perfect, axis=1)) > 0.05
    edges &= both[:, 1:] & both[:, :-1]
    assert 0.5 < (faulty[:, 1:] == 0)[edges].mean() < 0.95
    assert (faulty == 0)[both].mean() < 0.2
