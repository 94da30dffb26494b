"""Goals near the start and starts as drivers report them: short ways, whole turns, a hair outside."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import edmp
from edmp.errors import InvalidInputError
from edmp.execution.executor import refuse
from edmp.geometry.poses import quaternion_of
from edmp.planner import Planner
from edmp.problem import PoseGoal, Problem
from edmp.result import Status
from edmp.robots import load_robot, solve_ik, tool_pose
from edmp.robots.robot import Robot
from edmp.scenes import Box, Scene
from edmp.validate import Judge

BLOCKS = Scene.of({
    "block": (Box((0.2, 0.2, 0.2)), (0.5, 0.3, 0.2)),
    "beam": (Box((0.2, 0.2, 0.2)), (0.4, -0.45, 0.5)),
    "shelf": (Box((0.2, 0.2, 0.2)), (-0.4, 0.4, 0.5)),
})  # fmt: skip


def pose_near(robot: Robot, q: np.ndarray, rng: np.random.Generator) -> PoseGoal:
    """A pose 0 to 10 mm and 0 to 0.1 rad from the tool's of ``q``."""
    X_WT = tool_pose(robot, torch.as_tensor(q)).numpy().copy()
    shift, turn = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    X_WT[:3, 3] += rng.choice([0.0, 0.001, 0.01]) * shift
    X_WT[:3, :3] = Rotation.from_rotvec(rng.choice([0.0, 0.02, 0.1]) * turn).as_matrix() @ X_WT[:3, :3]
    return PoseGoal(X_WT[:3, 3], quaternion_of(X_WT))


def nearest_free(judge: Judge, goal: PoseGoal, q: np.ndarray) -> float:
    """Distance to the nearest free configuration that inverse kinematics finds from seeds of its own [rad]."""
    found = solve_ik(judge.robot, goal.X_WT, near=q, num_seeds=40, enough=1.0, distinct=1e-3, seed=7).q
    alone = solve_ik(judge.robot, goal.X_WT, near=q, num_seeds=1, distinct=1e-3).q
    return min((float(np.linalg.norm(c - q)) for c in (*alone, *found) if judge.check(c).valid), default=np.inf)


@pytest.mark.parametrize("name", ["panda", "ur5"])
def test_a_pose_near_the_start_is_a_short_motion(name):
    robot, rng = load_robot(name), np.random.default_rng(3)
    judge, tried = Judge(robot, BLOCKS), 0
    while tried < 20:
        start = rng.uniform(robot.limits.lower, robot.limits.upper) * (0.5 if name == "ur5" else 1.0)
        if not judge.check(start).valid:
            continue
        goal = pose_near(robot, start, rng)
        nearest = nearest_free(judge, goal, start)
        if not nearest < 0.5:  # the short way is blocked
            continue
        tried += 1
        result = edmp.plan(BLOCKS, start, goal, robot=robot)
        assert result.solved, result.message
        assert result.best.length <= 1.5 * nearest + 0.1
        assert np.abs(result.path[-1] - start).max() < np.pi


@pytest.mark.parametrize("name", ["panda", "ur5"])
@pytest.mark.parametrize("pose", [True, False])
def test_a_goal_that_is_reached_already_is_a_motion_of_no_length(name, pose, tmp_path):
    robot = load_robot(name)
    X_WT = tool_pose(robot, torch.as_tensor(robot.home)).numpy()
    goal = PoseGoal(X_WT[:3, 3], quaternion_of(X_WT)) if pose else robot.home
    problem = Problem(robot, BLOCKS, robot.home, goal)
    result = edmp.plan(BLOCKS, robot.home, goal, robot=robot)
    assert result.solved
    assert result.best.length == 0.0
    np.testing.assert_array_equal(result.path, np.broadcast_to(robot.home, result.path.shape))
    np.testing.assert_array_equal(result.trajectory.at([0.0, 1.0]), [robot.home, robot.home])
    assert 0.0 < result.trajectory.duration < 0.1
    assert Judge(robot, BLOCKS).check_trajectory(result.trajectory, start=robot.home, goal=robot.home).valid
    edmp.save_plan(tmp_path / "plan.json", problem, result)
    np.testing.assert_array_equal(edmp.load_plan(tmp_path / "plan.json").result.path, result.path)


def test_alternatives_and_warm_starts_from_where_the_goal_is(panda_planner):
    home = panda_planner.robot.home
    result = panda_planner.plan(Scene(), home, home, warm=np.stack([home, home]))
    assert result.solved
    assert result.best.length < 1e-3
    assert edmp.plan(Scene(), home, home, num_alternatives=2).best.length == 0.0


# --- continuous joints -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endless():
    """A Panda whose first and last joint turn without end."""
    panda = load_robot("panda")
    joints = list(panda.joints)
    lower, upper = panda.limits.lower.copy(), panda.limits.upper.copy()
    for j in (0, 6):
        joints[j] = dataclasses.replace(joints[j], continuous=True)
        lower[j], upper[j] = -2 * np.pi, 2 * np.pi
    limits = dataclasses.replace(panda.limits, lower=lower, upper=upper)
    return dataclasses.replace(panda, name="endless", joints=tuple(joints), limits=limits)


@pytest.fixture(scope="module")
def panda_planner():
    return Planner("panda")


def turned(robot: Robot, first: float, last: float = 0.785) -> np.ndarray:
    q = robot.home.copy()
    q[0], q[6] = first, last
    return q


@pytest.mark.parametrize("turns", [0, 1, -9])
def test_a_continuous_joint_goes_the_short_way_from_where_it_is(endless, turns):
    start = turned(endless, 3.0 + turns * 2 * np.pi)
    result = edmp.plan(Scene(), start, turned(endless, -3.0), robot=endless)
    assert result.solved, result.message
    np.testing.assert_allclose(result.best.length, 2 * np.pi - 6.0, atol=0.03)
    np.testing.assert_allclose(result.path[0], start, atol=1e-9)
    np.testing.assert_allclose(result.trajectory.positions[[0, -1], 0] - start[0], [0.0, 2 * np.pi - 6.0], atol=1e-6)
    assert Judge(endless, Scene()).check_trajectory(result.trajectory, start=start).valid
    assert refuse(result.trajectory, endless) is None


TURNTABLE = """<robot name="turntable">
<link name="base"><collision><geometry><box size="0.1 0.1 0.1"/></geometry></collision></link>
<link name="column">
  <collision><origin xyz="0 0 0.15"/><geometry><box size="0.06 0.06 0.2"/></geometry></collision></link>
<link name="arm"><collision><origin xyz="0.2 0 0"/><geometry><box size="0.3 0.05 0.05"/></geometry></collision></link>
<joint name="turn" type="continuous"><parent link="base"/><child link="column"/><origin xyz="0 0 0.06"/>
  <axis xyz="0 0 1"/><limit velocity="1" effort="1"/></joint>
<joint name="lift" type="revolute"><parent link="column"/><child link="arm"/><origin xyz="0 0 0.3"/>
  <axis xyz="0 1 0"/><limit lower="-1" upper="1" velocity="1" effort="1"/></joint>
</robot>"""


@pytest.mark.filterwarnings("ignore::edmp.EdmpWarning")
def test_continuous_joints_of_a_urdf_and_joints_held_still(tmp_path):
    (tmp_path / "turntable.urdf").write_text(TURNTABLE)
    robot = edmp.load_urdf(tmp_path / "turntable.urdf", tool="arm")
    assert robot.continuous.tolist() == [True, False]
    result = edmp.plan(Scene(), {"turn": 3.0, "lift": 0.0}, {"lift": 0.0, "turn": -3.0}, robot=robot)
    assert result.solved, result.message
    np.testing.assert_allclose(result.best.length, 2 * np.pi - 6.0, atol=0.01)
    held = edmp.load_urdf(tmp_path / "turntable.urdf", tool="arm", frozen={"lift": 0.3})
    assert held.joint_names == ("turn",)
    result = edmp.plan(Scene(), [9.0], {"turn": 2.0}, robot=held)
    assert result.solved, result.message
    np.testing.assert_allclose(result.path[-1], 2.0 + 2 * np.pi, atol=1e-6)


def test_an_earlier_path_may_be_turns_away(endless):
    start, goal = turned(endless, 3.0), turned(endless, -2.0)
    earlier = edmp.plan(Scene(), start, goal, robot=endless).path
    again = Planner(endless).plan(Scene(), start - 4 * np.pi * np.eye(7)[0], goal, warm=earlier)
    assert again.solved
    assert again.best.length < 1.5


def test_a_pose_is_reached_without_a_turn_for_nothing(endless):
    start = turned(endless, 20.0, -30.0)
    X_WT = tool_pose(endless, torch.as_tensor(start + 0.02)).numpy()
    result = edmp.plan(Scene(), start, PoseGoal(X_WT[:3, 3], quaternion_of(X_WT)), robot=endless)
    assert result.solved
    assert result.best.length < 0.2


def test_a_joint_with_limits_keeps_its_turns():
    ur5 = load_robot("ur5")
    start, goal = ur5.home.copy(), ur5.home.copy()
    start[5], goal[5] = 3.0, -3.0
    result = edmp.plan(Scene(), start, goal, robot=ur5)
    assert result.solved
    np.testing.assert_allclose(result.path[-1], goal, atol=1e-6)


# --- a hair outside --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beyond", [3e-9, 1e-7, 2e-6, 5e-4])
def test_a_start_a_hair_beyond_its_limit_is_led_inside(beyond):
    robot = load_robot("panda")
    start = robot.home.copy()
    start[3] = robot.limits.upper[3] + beyond
    result = edmp.plan(Scene(), start, robot.home, robot=robot)
    assert result.solved, result.message
    path, timed = result.path, result.trajectory.positions
    np.testing.assert_allclose([path[0], timed[0]], [start, start], atol=1e-6)
    assert (robot.beyond_limits(path[1:]) == 0).all()
    assert (np.diff(result.trajectory.times) > 0).all()
    assert robot.beyond_limits(timed[result.trajectory.times > 0.5]).max() == 0
    judge = Judge(robot, Scene())
    assert judge.check_path(path, start=start, goal=robot.home).valid
    assert judge.check_trajectory(result.trajectory, start=start, goal=robot.home).valid
    assert refuse(result.trajectory, robot) is None


def test_a_start_further_outside_is_refused_by_joint_and_order():
    robot = load_robot("panda")
    start = robot.home.copy()
    start[3] = robot.limits.upper[3] + 2e-3
    result = edmp.plan(Scene(), start, robot.home, robot=robot)
    assert result.status is Status.START_OUT_OF_LIMITS
    assert "panda_joint4" in result.message
    assert "in the order panda_joint1, panda_joint2" in result.message
    loose = Planner("panda", settings=edmp.PlannerSettings(start_tolerance=5e-3))
    assert loose.plan(Scene(), start, robot.home).solved
    strict = Planner("panda", settings=edmp.PlannerSettings(start_tolerance=0.0))
    start[3] = robot.limits.upper[3] + 1e-4
    assert strict.plan(Scene(), start, robot.home).status is Status.START_OUT_OF_LIMITS


def test_goals_are_taken_within_rounding_only():
    robot = load_robot("panda")
    goal = robot.home.copy()
    goal[3] = robot.limits.upper[3] + 9e-7
    result = edmp.plan(Scene(), robot.home, goal, robot=robot)
    assert result.solved
    assert result.path[-1, 3] == robot.limits.upper[3]
    goal[3] = robot.limits.upper[3] + 2e-6
    assert edmp.plan(Scene(), robot.home, goal, robot=robot).status is Status.GOAL_OUT_OF_LIMITS


def test_a_path_may_not_dwell_outside(panda_planner):
    robot = panda_planner.robot
    judge = Judge(robot, Scene())
    out = robot.home.copy()
    out[3] = robot.limits.upper[3] + 5e-4
    assert judge.check_path(np.stack([out, robot.home])).valid
    assert not judge.check_path(np.stack([robot.home, out])).valid
    assert not judge.check_path(np.stack([out, out])).valid
    assert not judge.check_path(np.stack([out, robot.home, out, robot.home])).valid
    assert not judge.check(out).valid


# --- by name ---------------------------------------------------------------------------------------------------------


def test_start_and_goals_by_name_in_any_order():
    robot = load_robot("panda")
    names, goal = robot.joint_names, robot.home + 0.1
    start = dict(reversed(list(zip(names, robot.home, strict=True))))
    by_name = dict(sorted(zip(names, goal.tolist(), strict=True), reverse=True))
    for asked in (by_name, [by_name], (by_name, robot.home + 0.5)):
        result = edmp.plan(Scene(), start, asked, robot=robot)
        assert result.solved
        np.testing.assert_allclose(result.path[[0, -1]], [robot.home, goal], atol=1e-9)
    problem = Problem(robot, Scene(), start, by_name)
    np.testing.assert_array_equal(problem.start, robot.home)
    np.testing.assert_array_equal(problem.goal, goal)


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ([0.0] * 9, r"start must have shape \(7,\) for panda, got \(9,\): the values of panda_joint1, .* panda_joint7"),
        ({f"panda_joint{i}": 0.0 for i in range(1, 7)}, "start: no value for joint panda_joint7 of panda"),
        ({f"panda_joint_{i}": 0.0 for i in range(1, 8)}, r"did you mean it by 'panda_joint_1'\?"),
        ({f"panda_joint{i}": 0.0 for i in range(1, 8)} | {"finger": 0.0}, "finger is no joint of panda's arm"),
        ({f"panda_joint{i}": "0" for i in range(1, 8)}, "panda_joint1 must be a number"),
        ({f"panda_joint{i}": np.nan for i in range(1, 8)}, "start is not finite: panda_joint1 = nan"),
        (["0.0"] * 7, "start must be 7 joint values of panda"),
        (object(), "start must be 7 joint values of panda"),
    ],
)
def test_what_is_wrong_is_told_by_name(start, says):
    with pytest.raises(InvalidInputError, match=says):
        edmp.plan(Scene(), start, load_robot("panda").home)
    with pytest.raises(InvalidInputError, match=says):
        Problem(load_robot("panda"), Scene(), start, load_robot("panda").home)


# --- budgets and wrong types -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [np.float64(10), np.float32(10), np.int64(10), 10, float("inf")])
def test_budgets_are_any_positive_number(panda_planner, budget):
    robot = panda_planner.robot
    assert panda_planner.plan(Scene(), robot.home, robot.home + 0.2, time_budget=budget).solved


def test_without_a_limit_of_time_the_fallback_works_too():
    robot = load_robot("panda")
    hopeless = {"num_seeds": 2, "repair_iterations": 0, "judge_anyway": 0, "refine": None}
    settings = edmp.PlannerSettings(first_look=None, max_rounds=3, **hopeless)
    wall = Scene.of({"wall": (Box((0.6, 0.04, 0.9)), (0.55, 0.3, 0.45))})
    aside = (1.2, 0.3, 0.2, -1.8, 0.1, 2.0, 0.5)
    result = Planner(robot, settings=settings).plan(wall, robot.home, aside, time_budget=float("inf"))
    assert result.solved, result.message
    assert result.stats.stage in (edmp.Stage.STITCH, edmp.Stage.FALLBACK)


@pytest.mark.parametrize("budget", ["10", None, np.nan, -1.0, 0, [10.0], 1j])
def test_what_is_no_budget_is_refused(panda_planner, budget):
    with pytest.raises(InvalidInputError, match="time_budget must be a positive number of seconds"):
        panda_planner.plan(Scene(), panda_planner.robot.home, panda_planner.robot.home, time_budget=budget)


@pytest.mark.parametrize("warm", ["x", object(), [[1.0], [1.0, 2.0]], [["0"] * 7] * 2, np.nan, np.zeros(7), {}])
def test_what_is_no_earlier_path_is_refused(panda_planner, warm):
    home = panda_planner.robot.home
    with pytest.raises(InvalidInputError, match=r"warm must be a path \(n >= 2, 7\)"):
        panda_planner.plan(Scene(), home, home, warm=warm)


@pytest.mark.parametrize(
    "position", ["x y z", None, [1, 2], ["a", "b", "c"], ["1", "2", "3"], [np.nan] * 3, object(), {}]
)
def test_what_is_no_pose_is_refused(position):
    with pytest.raises(InvalidInputError, match="goal position must be"):
        PoseGoal(position, [0, 0, 0, 1])
    with pytest.raises(InvalidInputError, match="quaternion"):
        PoseGoal([0, 0, 0], position)


def test_the_time_for_goals_is_booked(panda_planner):
    robot = panda_planner.robot
    result = panda_planner.plan(Scene(), robot.home, pose_near(robot, robot.home + 0.3, np.random.default_rng(0)))
    assert result.stats.timings["goals"] > 0
    assert sum(result.stats.timings.values()) <= result.stats.time_s


def test_out_of_time_with_a_free_candidate_speaks_of_no_obstacle(panda_planner, monkeypatch):
    """Where the time ends between a candidate and its certificate, nothing is "in" the candidate."""
    from edmp.planner import call

    monkeypatch.setattr(call, "certify", lambda *args, **options: None)
    settings = edmp.PlannerSettings(max_rounds=1)
    home = panda_planner.robot.home
    result = Planner("panda", settings=settings).plan(Scene(), home, home + 0.3, fallback=False)
    assert result.status in (Status.NO_PATH_FOUND, Status.TIMEOUT)
    assert "none of which could be certified" in result.message
    assert "candidate free" not in result.message
