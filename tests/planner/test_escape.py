"""Starts in contact: out of it first, proved to get nowhere deeper, through the front door."""

from __future__ import annotations

import functools
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh
from typer.testing import CliRunner

import edmp
from edmp.cli.main import app
from edmp.execution import prepare
from edmp.result import PlanResult, Status
from edmp.robots import load_robot
from edmp.robots.ik import solve_ik
from edmp.robots.kinematics import body_poses
from edmp.robots.robot import Robot
from edmp.validate import Cause, Judge

HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
PANDA = load_robot("panda")
LEVEL = np.array([[0, 0, 1, 0.6], [0, -1, 0, 0], [1, 0, 0, 0.45], [0, 0, 0, 1]], dtype=np.float64)
"""The hand points forward, and its flat side lies level."""


@functools.cache
def reaching(robot: Robot = PANDA) -> np.ndarray:
    found = solve_ik(robot, LEVEL, near=HOME, num_seeds=64, generator=torch.Generator().manual_seed(0))
    judge = Judge(robot, edmp.Scene())
    return next(q for q in np.asarray(found.q, dtype=np.float64) if judge.check(q).valid)


def heights(path: np.ndarray, link: str = "panda_hand", robot: Robot = PANDA) -> tuple[np.ndarray, np.ndarray]:
    """(n,) lowest and highest point of a link [m]."""
    body = robot.links[robot.link_index(link)]
    X_WB = body_poses(robot, torch.as_tensor(path)).numpy()[:, body.body]
    z = np.concatenate([hull @ X_WB[:, 2, :3].T + X_WB[:, 2, 3] for hull in body.hulls_B])
    return z.min(axis=0), z.max(axis=0)


def boards(below: float, above: float | None = None, side: float = 0.0) -> edmp.Scene:
    """A board that the hand is ``below`` [m] deep in, and one that it is ``above`` deep in, or as far away from."""
    low, high = (float(z[0]) for z in heights(reaching()[None]))
    parts = {"lower": (edmp.Box((0.5, 0.8, 0.02)), (0.75, side, low + below - 0.01))}
    if above is not None:
        parts["upper"] = (edmp.Box((0.5, 0.8, 0.02)), (0.75, side, high - above + 0.01))
    return edmp.Scene.of(parts)


def leads_out(result: PlanResult, scene: edmp.Scene, robot: Robot = PANDA, noise: float = 3e-5) -> bool:
    """Sampled: what is touched where the motion begins is never deeper than before, nothing else is touched ever, and
    what has parted stays apart. Depths between bodies with many edges are bounds, with some ``noise`` [m]."""
    judge = Judge(robot, scene)
    time = np.linspace(0.0, result.trajectory.duration, 400)
    for path in (result.path, result.trajectory.at(time)):
        before = {(c.link, c.other): c.depth for c in judge.check(path[0]).contacts}
        if not before:
            return False
        for q in path:
            now = {(c.link, c.other): c.depth for c in judge.check(q).contacts}
            if any(depth > before.get(pair, -1.0) + noise for pair, depth in now.items()):
                return False
            before = now
    return not before


@pytest.mark.parametrize("depth", [0.003, 0.015])
def test_out_of_a_table(depth: float):
    scene, start = boards(depth), reaching()
    refused = edmp.plan(scene, start, HOME)
    assert refused.status is Status.START_IN_COLLISION
    assert f'panda_hand is {1e3 * depth:.1f} mm inside "lower"' in refused.message
    assert "escape=True (--escape) leads out of contacts up to 20 mm deep" in refused.message
    result = edmp.plan(scene, start, HOME, escape=True)
    assert result.solved, result.message
    assert f'leads out first: panda_hand is {1e3 * depth:.1f} mm inside "lower"' in result.message
    assert np.array_equal(result.path[0], start)
    assert np.array_equal(result.trajectory.positions[0], start)
    assert np.abs(result.path[-1] - HOME).max() < 1e-6
    assert leads_out(result, scene)
    # Told by the height alone, which the judge has no part in: up, until it is out.
    low = heights(result.trajectory.at(np.linspace(0.0, result.trajectory.duration, 2000)))[0]
    out = np.flatnonzero(low > low[0] + depth)[0]
    assert (np.diff(low[: out + 1]) > -1e-5).all()


@pytest.mark.parametrize(
    ("below", "above"),
    [
        (0.015, -0.006),  # there are 6 mm above it: up alone is no way out
        (0.01, 0.01),  # each holds it in the other: it leaves sideways
        (0.004, 0.002),
    ],
)
def test_out_from_between_two_shelves(below: float, above: float):
    scene = boards(below, above)
    result = edmp.plan(scene, reaching(), HOME, escape=True)
    assert result.solved, result.message
    assert leads_out(result, scene)


def in_itself(count: int) -> list[np.ndarray]:
    """Configurations in which links overlap, by 20 mm at most."""
    rng, judge, found = np.random.default_rng(3), Judge(PANDA, edmp.Scene()), []
    while len(found) < count:
        q = rng.uniform(PANDA.limits.lower, PANDA.limits.upper)
        contacts = judge.check(q).contacts
        if contacts and contacts[0].depth < 0.02:
            found.append(q)
    return found


def test_out_of_itself():
    for start in in_itself(4):
        refused = edmp.plan(edmp.Scene(), start, HOME)
        assert refused.status is Status.START_IN_SELF_COLLISION
        assert "escape=True" in refused.message
        result = edmp.plan(edmp.Scene(), start, HOME, escape=True)
        assert result.solved, result.message
        assert leads_out(result, edmp.Scene(), noise=2e-4)


def test_out_of_a_mesh_that_is_not_convex():
    (table,) = boards(0.004)
    box, x, y, z = table.shape.size, *table.X_WO[:3, 3]
    leg = trimesh.creation.box((0.1, 0.1, 0.2001)).apply_translation((0.2, 0.0, -0.105))
    both = trimesh.util.concatenate([trimesh.creation.box(box), leg])
    scene = edmp.Scene.of({"table": (edmp.Mesh(both.vertices, both.faces), (x, y, z))})
    assert "escape=True" in edmp.plan(scene, reaching(), HOME).message
    result = edmp.plan(scene, reaching(), HOME, escape=True)
    assert result.solved, result.message
    assert leads_out(result, scene)


def test_out_of_the_floor_with_another_arm():
    arm, start = load_robot("ur5"), np.array([0.0, -1.2, 1.6, -0.4, 1.57, 0.0])
    low = min(heights(start[None], link.name, arm)[0][0] for link in arm.links if link.body == arm.dof)
    scene = edmp.Scene.of({"floor": (edmp.Box((1.0, 1.0, 0.02)), (0.8, 0.0, low + 0.008 - 0.01))})
    result = edmp.plan(scene, start, start + np.array([0.5, -0.4, -0.3, 0, 0, 0]), robot=arm, escape=True)
    assert result.solved, result.message
    assert leads_out(result, scene, arm)


def test_from_beyond_a_limit_and_out():
    start = HOME.copy()
    start[5] = PANDA.limits.upper[5] + 5e-4
    high = max(float(heights(start[None], link.name)[1][0]) for link in PANDA.links if link.body == PANDA.dof)
    scene = edmp.Scene.of({"ceiling": (edmp.Box((0.8, 0.8, 0.02)), (0.5, 0.0, high - 0.005 + 0.01))})
    assert Judge(PANDA, scene).check(PANDA.clipped(start)).contacts
    result = edmp.plan(scene, start, HOME, escape=True)
    assert result.solved, result.message
    assert np.array_equal(result.path[0], start)
    assert leads_out(result, scene)


def test_what_is_too_deep_or_held_on_all_sides_fails_with_the_reason():
    refused = edmp.plan(boards(0.015), reaching(), HOME, escape=0.01)
    assert refused.status is Status.START_IN_COLLISION
    assert "deeper than the 10 mm that escape leads out of" in refused.message
    assert edmp.plan(boards(0.015), reaching(), HOME, escape=0.016).solved
    X_LA = np.eye(4)
    X_LA[2, 3] = 0.2
    arm = PANDA.with_attachment("ball", edmp.Sphere(0.03), X_LA, link="panda_hand")
    at = body_poses(arm, torch.as_tensor(HOME[None])).numpy()[0, arm.links[arm.link_index("panda_hand")].body]
    offset = at[:3, 3] + at[:3, :3] @ (arm.links[arm.link_index("ball")].hulls_B[0].mean(axis=0))
    walls = {}
    for axis in range(3):
        for sign in (-1, 1):
            size, place = [0.06, 0.06, 0.06], offset.copy()
            size[axis] = 0.01
            place[axis] += sign * (0.03 - 0.004 + 0.005)
            walls[f"wall{axis}{'+' if sign > 0 else '-'}"] = (edmp.Box(tuple(size)), tuple(place))
    cage = edmp.Scene.of(walls)
    held = edmp.plan(cage, HOME, reaching(), robot=arm, escape=True)
    assert held.status is Status.START_IN_COLLISION
    assert re.search(r"no short retreat was found .* away from .*wall0", held.message), held.message
    inside = edmp.plan(edmp.Scene.of({"block": (edmp.Box((0.6, 0.6, 0.6)), at[:3, 3])}), HOME, reaching(), escape=True)
    assert inside.status is Status.START_IN_COLLISION
    assert "deeper than the 20 mm" in inside.message


def test_a_way_out_is_looked_for_no_longer_than_there_is_time(monkeypatch: pytest.MonkeyPatch):
    from edmp.planner import escape

    monkeypatch.setattr(escape, "time", SimpleNamespace(perf_counter=lambda: np.inf))
    result = edmp.plan(boards(0.008), reaching(), HOME, escape=True)
    assert result.status is Status.TIMEOUT
    assert "mm inside" in result.message
    assert "time ran out while a way out of it was looked for" in result.message


def test_the_judge_refuses_ways_that_go_deeper_or_come_back():
    scene, result = boards(0.01), edmp.plan(boards(0.01), reaching(), HOME, escape=True)
    judge, path = Judge(PANDA, scene, escape=0.02), result.path
    assert judge.check_path(path).valid
    assert Judge(PANDA, scene).check_path(path).cause is Cause.COLLISION
    assert not Judge(PANDA, scene, escape=0.009).check_path(path).valid
    k = int(np.flatnonzero(heights(path)[0] > heights(path)[0][0] + 0.004)[0])
    assert not judge.check_path(path[: k + 1]).valid  # it never parts
    assert not judge.check_path(np.vstack([path[: k + 1], path[1 : k + 1][::-1], path])).valid  # up, down, up
    assert not judge.check_path(np.vstack([path, path[::-1]])).valid  # back to where it was
    assert not judge.check_path(path[::-1]).valid  # a goal is no start
    deeper = path[0] - 0.05 * (path[k] - path[0])
    assert not judge.check_path(np.vstack([path[0], deeper, path])).valid


def test_goals_in_contact_are_none():
    result = edmp.plan(boards(0.01), HOME, reaching(), escape=True)
    assert result.status is Status.GOAL_IN_COLLISION


def test_a_free_start_is_planned_as_ever():
    scene = boards(-0.05)
    plain, asked = (edmp.plan(scene, HOME, reaching(), escape=escape) for escape in (False, True))
    assert np.array_equal(plain.path, asked.path)


def test_plan_file_execution_and_command_line(tmp_path):
    problem = edmp.Problem(PANDA, boards(0.006), reaching(), HOME)
    edmp.save_problem(tmp_path / "problem.yaml", problem)
    out = tmp_path / "plan.json"
    told = CliRunner().invoke(app, ["plan", "--scene", str(tmp_path / "problem.yaml")])
    assert told.exit_code == 1
    assert "--escape" in told.output
    asked = CliRunner().invoke(app, ["plan", "--scene", str(tmp_path / "problem.yaml"), "--escape", "--out", str(out)])
    assert asked.exit_code == 0, asked.output
    plan = edmp.load_plan(out)
    assert plan.problem.escape == 0.02
    assert prepare(plan, tube=None).refusal is None
    document = json.loads(out.read_text())
    document["escape"] = 0.001
    out.write_text(json.dumps(document))
    assert "not free" in (prepare(edmp.load_plan(out), tube=None).refusal or "")
    edmp.save_problem(tmp_path / "again.yaml", plan.problem)
    assert edmp.load_problem(tmp_path / "again.yaml").escape == 0.02
    assert edmp.load_problem(tmp_path / "problem.yaml").escape == 0.0
    with pytest.raises(edmp.InvalidInputError, match=r"escape must be in \[0, 0.1\], got 0.5"):
        edmp.plan(edmp.Scene(), HOME, HOME, escape=0.5)
