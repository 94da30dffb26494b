"""Straight lines of the tool: what is promised holds between waypoints; what cannot be had is said, with the reason."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from branching_robot import branching_robot
from command import run
from line_cases import deviation, pose_goal, tool_motion, tool_poses

import edmp
from edmp.geometry.tool_path import rotations_of
from edmp.validate.dense import dense_collisions
from edmp.validate.tool_path import follows
from edmp.viz import subject_of

TOLERANCE, ANGLE = 1e-3, math.radians(0.5)
EMPTY = edmp.Scene()
DOWN = (1.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def panda() -> edmp.Robot:
    return edmp.load_robot("panda")


@pytest.fixture(scope="module")
def ur5() -> edmp.Robot:
    return edmp.load_robot("ur5")


def turned(X: np.ndarray, by: tuple[float, float, float], offset: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """The pose X turned about axes of the world, and moved along them."""
    end = X.copy()
    end[:3, :3] = rotations_of(np.array(by, dtype=float)) @ X[:3, :3]
    end[:3, 3] += offset
    return end


def assert_follows(robot: edmp.Robot, result: edmp.PlanResult, begin: np.ndarray, end: np.ndarray) -> None:
    """On the untimed and on the timed motion, on its samples and between them, the tool is where it should be."""
    assert result.solved, result.message
    best = result.best
    fine = best.trajectory.at(np.linspace(0.0, best.duration, 2000))
    for path in (best.path, best.trajectory.positions, fine):
        off, angle, back = deviation(robot, path, begin, end)
        assert off < TOLERANCE
        assert angle < ANGLE
        assert back < TOLERANCE
    proved = best.tool_deviation
    assert proved is not None
    off, angle, _ = deviation(robot, best.path, begin, end)
    assert off <= proved[0] <= TOLERANCE
    assert angle <= proved[1] <= ANGLE
    np.testing.assert_allclose(tool_poses(robot, best.path[-1:])[0], end, atol=1e-6)


@pytest.mark.parametrize(
    ("by", "offset"),
    [
        ((0, 0, 0), (0, 0, 0.2)),
        ((0.3, -0.2, 0.5), (0.1, 0.3, -0.1)),
        ((0, 0, 0.7), (0, 0, 0)),
        ((0, 0.2, 0), (0, -0.4, 0)),
    ],
)
def test_the_tool_keeps_to_its_line_between_waypoints(panda: edmp.Robot, by: tuple, offset: tuple) -> None:
    begin = tool_poses(panda, panda.home[None])[0]
    end = turned(begin, by, offset)
    result = edmp.plan(EMPTY, panda.home, edmp.Line(pose_goal(end)))
    if any(offset):
        assert_follows(panda, result, begin, end)
    else:  # a turn on the spot
        X = tool_poses(panda, result.trajectory.positions)
        assert np.abs(X[:, :3, 3] - begin[:3, 3]).max() < TOLERANCE
    assert result.fraction == 1.0
    assert edmp.Judge(panda, EMPTY).check_trajectory(result.trajectory, start=panda.home).valid


def test_offsets_are_along_the_axes_of_the_world_or_of_the_tool(panda: edmp.Robot) -> None:
    begin = tool_poses(panda, panda.home[None])[0]
    lift = edmp.plan(EMPTY, panda.home, edmp.Line.by((0.0, 0.0, 0.1)))
    push = edmp.plan(EMPTY, panda.home, edmp.Line.by((0.0, 0.0, 0.1), frame="tool"))
    assert_follows(panda, lift, begin, turned(begin, (0, 0, 0), (0, 0, 0.1)))
    assert_follows(panda, push, begin, turned(begin, (0, 0, 0), tuple(0.1 * begin[:3, 2])))


def test_a_six_joint_arm_and_one_of_two_arms_on_a_torso(ur5: edmp.Robot) -> None:
    begin = tool_poses(ur5, ur5.home[None])[0]
    end = turned(begin, (0.0, 0.3, 0.2), (0.05, 0.2, -0.25))
    assert_follows(ur5, edmp.plan(EMPTY, ur5.home, edmp.Line(pose_goal(end)), robot=ur5), begin, end)

    tree = branching_robot()
    start = np.array([0.2, 0.3, -0.4, 0.1, 0.5, 0.2, 0.1])
    begin = tool_poses(tree, start[None])[0]
    moved = start + np.where(tree.moves[:, tree.tool.body], 0.05, 0.0)
    end = tool_poses(tree, moved[None])[0]
    result = edmp.plan(EMPTY, start, edmp.Line(pose_goal(end)), robot=tree)
    # Four joints cannot keep to six numbers: the tool goes no way at all, and the result says so.
    assert result.status is edmp.Status.LINE_BLOCKED
    assert result.fraction < 0.5


def test_redundancy_leads_past_an_obstacle(panda: edmp.Robot) -> None:
    line = edmp.Line.by((0.0, 0.3, 0.0))
    begin = tool_poses(panda, panda.home[None])[0]
    straight = edmp.plan(EMPTY, panda.home, line)
    scene = edmp.Scene.of({"ball": (edmp.Sphere(0.03), (-0.121, 0.068, 0.756))})
    assert not edmp.Judge(panda, scene).check_path(straight.path).valid
    result = edmp.plan(scene, panda.home, line)
    assert_follows(panda, result, begin, turned(begin, (0, 0, 0), (0, 0.3, 0)))
    for path in (result.path, result.trajectory.positions):
        assert not dense_collisions(panda, scene, path, first_only=True)
    assert result.best.min_clearance > 0.0


def test_the_judge_refuses_what_leaves_the_line(panda: edmp.Robot) -> None:
    result = edmp.plan(EMPTY, panda.home, edmp.Line.by((0.0, 0.3, 0.0)))
    path, tool_path = result.path, result.problem.tool_path
    assert follows(panda, path, tool_path).valid
    # Ends alone are right, and so are the waypoints of every fourth edge: in between the tool leaves its line.
    assert not follows(panda, path[[0, -1]], tool_path).valid
    assert not follows(panda, path[::7], dataclasses.replace(tool_path, tolerance=1e-5)).valid
    there_and_back = np.concatenate([path[:20], path[10:20][::-1], path[10:]])
    assert not follows(panda, there_and_back, tool_path).valid
    bent = path.copy()
    bent[len(path) // 2, 3] += 4e-3
    assert not follows(panda, bent, tool_path).valid
    assert "off its line" in follows(panda, bent, tool_path).message()


# --- via points ------------------------------------------------------------------------------------------------------


def corner(panda: edmp.Robot) -> list[np.ndarray]:
    """The tool's pose at home, and three to go to."""
    begin = tool_poses(panda, panda.home[None])[0]
    first = turned(begin, (0, 0, 0.3), (0.0, 0.2, 0.05))
    second = turned(first, (0.2, 0, 0), (0.12, -0.05, 0.1))
    return [begin, first, second, turned(second, (0, 0, 0), (0.0, -0.25, 0.0))]


def test_without_a_blend_the_tool_passes_its_poses_and_rests_there(panda: edmp.Robot) -> None:
    poses = corner(panda)
    result = edmp.plan(EMPTY, panda.home, edmp.Via([pose_goal(X) for X in poses[1:]]))
    assert result.solved, result.message
    trajectory = result.trajectory
    X = tool_poses(panda, trajectory.positions)
    rests = [0]
    for pose in poses[1:]:
        near = np.linalg.norm(X[:, :3, 3] - pose[:3, 3], axis=1)
        k = int(near.argmin())
        np.testing.assert_allclose(X[k], pose, atol=1e-5)
        assert np.abs(trajectory.velocities[k]).max() < 1e-9
        rests.append(k)
    for a, b, begin, end in zip(rests[:-1], rests[1:], poses[:-1], poses[1:], strict=True):
        off, angle, back = deviation(panda, trajectory.positions[a : b + 1], begin, end)
        assert off < TOLERANCE
        assert angle < ANGLE
        assert back < TOLERANCE


def test_corners_are_rounded_within_their_radius(panda: edmp.Robot) -> None:
    poses, radius = corner(panda), 0.05
    goals = [pose_goal(X) for X in poses[1:]]
    result = edmp.plan(EMPTY, panda.home, edmp.Via(goals, blend=radius))
    assert result.solved, result.message
    stops = edmp.plan(EMPTY, panda.home, edmp.Via(goals))
    assert result.best.duration < stops.best.duration
    for path in (result.path, result.trajectory.positions):
        X = tool_poses(panda, path)
        p = X[:, :3, 3]
        segments = [(a[:3, 3], b[:3, 3]) for a, b in itertools.pairwise(poses)]
        to_segments = np.min([_to_segment(p, a, b) for a, b in segments], axis=0)
        to_corners = np.linalg.norm(p[:, None] - np.array([c[:3, 3] for c in poses[1:-1]]), axis=2).min(axis=1)
        rounding = to_corners < radius + TOLERANCE
        assert to_segments[~rounding].max() < TOLERANCE
        assert to_segments[rounding].max() < radius
        assert to_corners.min() > TOLERANCE  # it is rounded: the tool does not go through
    moving = np.abs(result.trajectory.velocities[5:-5]).max(axis=1)
    assert moving.min() > 1e-3


def _to_segment(p: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    share = np.clip((p - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
    return np.linalg.norm(p - a - share[:, None] * (b - a), axis=1)


def test_there_and_back(panda: edmp.Robot) -> None:
    begin = tool_poses(panda, panda.home[None])[0]
    up = turned(begin, (0, 0, 0), (0, 0, 0.15))
    result = edmp.plan(EMPTY, panda.home, edmp.Via([pose_goal(up), pose_goal(begin)]))
    assert result.solved, result.message
    heights = tool_poses(panda, result.path)[:, 2, 3] - begin[2, 3]
    assert heights.max() == pytest.approx(0.15, abs=1e-4)
    assert heights[-1] == pytest.approx(0.0, abs=1e-6)


# --- speed of the tool -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [(0.15, 0.5, math.inf, math.inf), (0.5, 5.0, 0.4, 1.0)])
def test_limits_of_the_tool_hold_on_lines_and_on_other_motions(panda: edmp.Robot, limits: tuple) -> None:
    speed, acceleration, spin, angular = limits
    asked = {"tool_speed": (speed, spin), "tool_acceleration": (acceleration, angular)}
    begin = tool_poses(panda, panda.home[None])[0]
    line = edmp.Line(pose_goal(turned(begin, (0, 0, 0.4), (0, 0.2, 0.1))))
    other = panda.home + np.array([0.6, 0.3, -0.2, 0.4, 0.0, -0.3, 0.5])
    for goal in (line, other):
        result = edmp.plan(EMPTY, panda.home, goal, prior="process", **asked)
        assert result.solved, result.message
        v, a, w, alpha = (values.max() for values in tool_motion(panda, result.trajectory))
        assert v < speed * 1.01
        assert w < spin * 1.01
        assert a < acceleration * 1.05
        assert alpha < angular * 1.05
        # Some limit is nearly reached: it is not slow for nothing.
        assert max(v / speed, w / spin, a / acceleration, alpha / angular) > 0.9
        assert edmp.Judge(panda, EMPTY).check_trajectory(result.trajectory).valid


def test_one_number_limits_the_speed_of_the_tools_origin(panda: edmp.Robot) -> None:
    problem = edmp.Problem(panda, EMPTY, panda.home, edmp.Line.by((0, 0, 0.1)), tool_speed=0.2)
    assert problem.tool_speed == (0.2, math.inf)
    with pytest.raises(edmp.InvalidInputError, match="tool_speed must be a positive number"):
        edmp.plan(EMPTY, panda.home, panda.home, tool_speed=-0.1)


# --- as far as it goes -----------------------------------------------------------------------------------------------


def assert_partial(robot: edmp.Robot, result: edmp.PlanResult, by: edmp.BlockedBy, low: float, high: float) -> None:
    """A line blocked by this, between these shares of the way, with a motion that leads so far."""
    assert result.status is edmp.Status.LINE_BLOCKED
    assert result.best is None
    assert result.blocked.by is by, result.message
    assert low < result.fraction < high, result.message
    assert f"{100 * result.fraction:.0f} % of the way" in result.message
    partial, tool_path = result.blocked.partial, result.problem.tool_path
    begin, end = tool_path.X_WT
    at = tool_poses(robot, partial.path[-1:])[0]
    way = end[:3, 3] - begin[:3, 3]
    assert (at[:3, 3] - begin[:3, 3]) @ way / (way @ way) == pytest.approx(result.fraction, abs=1e-3)
    off, angle, _ = deviation(robot, partial.trajectory.positions, begin, end)
    assert off < TOLERANCE
    assert angle < ANGLE
    assert edmp.Judge(robot, result.problem.scene).check_trajectory(partial.trajectory).valid


def test_blocked_by_reach(panda: edmp.Robot) -> None:
    result = edmp.plan(EMPTY, panda.home, edmp.Line.by((1.0, 0.0, 0.0)))
    assert_partial(panda, result, edmp.BlockedBy.REACH, 0.3, 0.5)
    assert "out of the reach of panda" in result.message


def test_blocked_by_an_obstacle(panda: edmp.Robot) -> None:
    scene = edmp.Scene.of({"wall": (edmp.Box((0.02, 1.0, 1.0)), (0.75, 0.0, 0.5))})
    result = edmp.plan(scene, panda.home, edmp.Line.by((0.4, 0.0, 0.0)))
    assert_partial(panda, result, edmp.BlockedBy.OBSTACLE, 0.8, 0.99)
    assert '"wall"' in result.message
    assert result.blocked.partial.min_clearance < 0.01  # it goes to within millimetres of the wall


def test_blocked_by_a_limit(ur5: edmp.Robot) -> None:
    start = np.array([0.0, -1.2, 1.6, -1.9, -1.5, 6.2])
    begin = tool_poses(ur5, start[None])[0]
    end = begin @ turned(np.eye(4), (0, 0, 0.5))
    end[:3, 3] += (0.0, 0.0, 0.05)
    result = edmp.plan(EMPTY, start, edmp.Line(pose_goal(end)), robot=ur5)
    assert_partial(ur5, result, edmp.BlockedBy.LIMIT, 0.05, 0.3)
    assert "wrist_3_joint comes to its limit" in result.message


def test_blocked_by_a_singularity(ur5: edmp.Robot) -> None:
    start = np.array([0.0, -1.2, 1.6, -1.9, -0.35, 0.0])
    X = tool_poses(ur5, np.stack([start, start + np.array([0, 0, 0, 0, 0.7, 0])]))
    end = X[1].copy()
    end[:3, 3] = X[0, :3, 3] + (0.02, 0.02, 0.0)
    result = edmp.plan(EMPTY, start, edmp.Line(pose_goal(end)), robot=ur5)
    assert_partial(ur5, result, edmp.BlockedBy.SINGULARITY, 0.3, 0.6)
    assert "singularity" in result.message


# --- what makes no sense ---------------------------------------------------------------------------------------------


def test_lines_that_make_no_sense_are_told(panda: edmp.Robot) -> None:
    begin = tool_poses(panda, panda.home[None])[0]
    here, there = pose_goal(begin), pose_goal(turned(begin, (0, 0, 0), (0, 0.1, 0)))
    half = pose_goal(turned(begin, (0, 0, math.pi), (0, 0, 0.1)))
    for make, words in (
        (lambda: edmp.Line.by((0.0, 0.0, 0.0)), "must have a length"),
        (lambda: edmp.Line.by((0.0, math.nan, 0.1)), "must be finite"),
        (lambda: edmp.Line.by((0.0, 0.0, 0.1), frame="base"), "frame of a Line must be 'world' or 'tool'"),
        (lambda: edmp.Line(), "either a pose or an offset"),
        (lambda: edmp.Line(here, tolerance=0.0), "tolerance must be"),
        (lambda: edmp.Via([]), "one at least"),
        (lambda: edmp.Via([here, there], blend=-0.1), "must not be negative"),
        (lambda: edmp.plan(EMPTY, panda.home, [edmp.Line.by((0, 0, 0.1)), panda.home]), "stands alone"),
        (lambda: edmp.plan(EMPTY, panda.home, edmp.Line(half)), "half a turn may go either way"),
        (lambda: edmp.plan(EMPTY, panda.home, edmp.Via([there, there])), "the two poses are the same"),
        (
            lambda: edmp.plan(EMPTY, panda.home, edmp.Via([there, here], blend=0.15)),
            "the segment from the start to pose 0 is 100 mm long",
        ),
    ):
        with pytest.raises(edmp.InvalidInputError, match=words):
            make()


def test_a_line_to_where_the_tool_is_stays_there(panda: edmp.Robot) -> None:
    result = edmp.plan(EMPTY, panda.home, edmp.Line(pose_goal(tool_poses(panda, panda.home[None])[0])))
    assert result.solved
    assert result.best.length < 1e-6
    assert result.fraction == 1.0


def test_a_start_in_collision_is_told_as_ever(panda: edmp.Robot) -> None:
    scene = edmp.Scene.of({"ball": (edmp.Sphere(0.1), tool_poses(panda, panda.home[None])[0, :3, 3])})
    result = edmp.plan(scene, panda.home, edmp.Line.by((0, 0, 0.1)))
    assert result.status is edmp.Status.START_IN_COLLISION
    assert result.fraction == 0.0


# --- files, the command line, pictures -------------------------------------------------------------------------------


def same_line(a: object, b: object) -> bool:
    """Whether two lines have equal fields."""
    return repr(a) == repr(b)


@pytest.mark.parametrize("kind", ["line", "offset", "via"])
def test_problem_and_plan_files_keep_lines(panda: edmp.Robot, tmp_path: Path, kind: str) -> None:
    begin = tool_poses(panda, panda.home[None])[0]
    goals = [edmp.PoseGoal((0.45, 0.1, 0.5), DOWN), edmp.PoseGoal((0.45, -0.1, 0.5), DOWN)]
    goal = {
        "line": edmp.Line(pose_goal(turned(begin, (0, 0, 0), (0, 0.1, 0))), tolerance=0.002),
        "offset": edmp.Line.by((0.0, 0.0, 0.1), frame="tool", rotation_tolerance=0.02),
        "via": edmp.Via(goals, blend=0.05),
    }[kind]
    result = edmp.plan(EMPTY, panda.home, goal, tool_speed=0.3, tool_acceleration=(1.0, 4.0))
    assert result.solved, result.message
    edmp.save_problem(tmp_path / "problem.yaml", result.problem)
    result.save(tmp_path / "plan.json")
    loaded = edmp.load_result(tmp_path / "plan.json")
    for problem in (edmp.load_problem(tmp_path / "problem.yaml"), loaded.problem):
        assert same_line(problem.goal, goal)
        assert (problem.tool_speed, problem.tool_acceleration) == ((0.3, math.inf), (1.0, 4.0))
    assert loaded.best.tool_deviation == result.best.tool_deviation
    subject = subject_of(loaded)
    end = result.problem.tool_path.X_WT[-1]
    np.testing.assert_allclose(subject.pose_goal.X_WT, end, atol=1e-9)  # what viewers mark as the goal


def test_plan_files_keep_how_far_it_went(panda: edmp.Robot, tmp_path: Path) -> None:
    result = edmp.plan(EMPTY, panda.home, edmp.Line.by((1.0, 0.0, 0.0)))
    result.save(tmp_path / "plan.json")
    loaded = edmp.load_result(tmp_path / "plan.json")
    assert loaded.blocked.by is result.blocked.by
    assert loaded.fraction == result.fraction
    np.testing.assert_array_equal(loaded.blocked.partial.path, result.blocked.partial.path)


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        ("{line: {offset: [0, 0, 0]}}", "must have a length"),
        ("{line: {offset: [0, 0]}}", "offset"),
        ("{line: {position: [0.5, 0, 0.5]}}", "quaternion"),
        ("{via: [{position: [0.5, 0, 0.5], quaternion: [1, 0, 0, 0]}], blend: -1}", "must not be negative"),
        ("{line: {offset: [0, 0, 0.1]}, blend: 0.1}", "blend"),
        ("[{line: {offset: [0, 0, 0.1]}}, [0, 0, 0, -1.5, 0, 1.5, 0]]", "stands alone"),
    ],
)
def test_files_that_make_no_sense_are_told_with_their_line(tmp_path: Path, goal: str, words: str) -> None:
    file = tmp_path / "problem.yaml"
    file.write_text(
        f"edmp_scene: 1\nrobot: panda\nstart: [0, -0.8, 0, -2.4, 0, 1.6, 0.8]\ngoal: {goal}\nobstacles: {{}}\n"
    )
    with pytest.raises(edmp.FileFormatError, match=words) as told:
        edmp.load_problem(file)
    assert "problem.yaml:4" in str(told.value)


def test_the_command_plans_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = tmp_path / "empty.yaml"
    scene.write_text("edmp_scene: 1\nobstacles: {}\n")
    start = "0 -0.785 0 -2.356 0 1.571 0.785"
    common = ("plan", "--scene", scene, "--start", start)
    assert run(*common, "--line-by", "0 0 0.1", "--tool-speed", "0.2", "--out", tmp_path / "plan.json") == 0
    assert "of its line, proved" in capsys.readouterr().out
    assert edmp.load_result(tmp_path / "plan.json").best.duration > 0.5
    first, second = "0.45 0.1 0.5 1 0 0 0", "0.45 -0.1 0.5 1 0 0 0"
    assert run(*common, "--line-to", first, "--line-to", second, "--blend", "0.03") == 0
    assert run(*common, "--line-by", "1 0 0") == 1
    assert "% of the way" in capsys.readouterr().out
    assert run(*common, "--line-by", "1 0 0", "--line-to", first) == 2
    assert run(*common, "--line-to", first, "--blend", "0.03") == 2


def test_constraints_hold_on_the_way(panda: edmp.Robot) -> None:
    line = edmp.Line.by((0.0, 0.3, 0.0))
    kept = edmp.plan(EMPTY, panda.home, line, constraints=[edmp.JointRange("panda_joint1", -0.1, 0.2)])
    assert_follows(panda, kept, *kept.problem.tool_path.X_WT)
    assert len(kept.kept) == 1
    leaning = turned(tool_poses(panda, panda.home[None])[0], (0.5, 0, 0), (0, 0.2, 0))
    upright = edmp.Upright(0.3, axis=(0, 0, -1))
    result = edmp.plan(EMPTY, panda.home, edmp.Line(pose_goal(leaning)), constraints=[upright])
    assert_partial(panda, result, edmp.BlockedBy.CONSTRAINT, 0.5, 0.62)
    assert "upright" in result.message
