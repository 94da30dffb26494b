"""What is found about a claim, whoever made it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from plan_cases import straight

import edmp
from edmp.baselines import Claim
from edmp.bench.examine import examine, nearly_reaches, reaches
from edmp.geometry.poses import quaternion_of
from edmp.problem import PoseGoal, Problem, load_example
from edmp.result import PlanResult, Status
from edmp.robots import tool_pose
from edmp.scenes import Scene
from edmp.trajectory import path_length
from edmp.validate import Judge
from edmp.validate.timed import timing_fault


@pytest.fixture(scope="module")
def problem() -> Problem:
    return load_example("bookshelf")


@pytest.fixture(scope="module")
def result(problem: Problem) -> PlanResult:
    found = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot)
    assert found.solved
    return found


def test_what_touches_only_the_true_shapes_is_told(problem: Problem, result: PlanResult) -> None:
    blind = dataclasses.replace(problem, scene=Scene())
    path = np.stack([problem.start, result.path[-1]])
    touching = examine(blind, claimed(path), true=problem)
    assert touching.refuted is None
    assert 'inside "divider"' in touching.untrue
    assert examine(blind, claimed(result.path), true=problem).untrue is None
    assert examine(problem, claimed(result.path), true=problem).untrue is None


def claimed(path: np.ndarray | None, **more: object) -> Claim:
    return dataclasses.replace(Claim(Status.SOLVED, path=path), **more)


def pose_of(problem: Problem, q: np.ndarray) -> PoseGoal:
    import torch

    X = tool_pose(problem.robot, torch.as_tensor(q)).numpy()
    return PoseGoal(X[:3, 3], quaternion_of(X))


def test_a_good_path_is_measured(problem: Problem, result: PlanResult) -> None:
    """Without a trajectory of its own it is timed here, within the limits of the robot."""
    assert result.best is not None
    found = examine(problem, claimed(result.path))
    assert found.refuted is None
    assert found.length == pytest.approx(path_length(result.best.path))
    assert found.min_clearance == pytest.approx(result.best.min_clearance, abs=1e-3)
    assert found.coarse_solved
    assert found.trajectory is not None
    limits = problem.robot.limits
    assert (np.abs(found.trajectory.velocities) <= limits.velocity * (1 + 1e-9)).all()
    assert found.max_jerk == pytest.approx(found.trajectory.max_jerk.max())
    assert found.rms_jerk > 0
    assert found.sparc < -1
    assert found.judge_s > 0
    assert found.timing_s is not None
    assert found.timing_s > 0
    own = examine(problem, claimed(result.path, trajectory=result.trajectory))
    assert own.trajectory is result.trajectory
    assert own.timing_s is None


def test_nothing_claimed_nothing_found(problem: Problem) -> None:
    assert examine(problem, Claim(Status.NO_PATH_FOUND, "stuck")) == type(examine(problem, Claim(Status.TIMEOUT)))()


def test_claims_that_do_not_hold(problem: Problem, result: PlanResult) -> None:
    path = np.array(result.path)
    through = examine(problem, claimed(path[[0, -1]]))
    assert 'inside "' in through.refuted
    assert through.trajectory is None
    assert not through.coarse_solved

    late = path.copy()
    late[0] = late[1]
    assert "away from the start" in examine(problem, claimed(late)).refuted
    assert not examine(problem, claimed(late)).coarse_solved

    short = examine(problem, claimed(path[:-1]))
    assert short.refuted == "the path does not end at a goal"

    beyond = path.copy()
    beyond[50, 3] = problem.robot.limits.upper[3] + 1e-3
    assert "exceeds its upper limit" in examine(problem, claimed(beyond)).refuted

    broken = path.copy()
    broken[7, 2] = np.nan
    assert "nan" in examine(problem, claimed(broken)).refuted
    assert examine(problem, claimed(broken)).length is None

    assert "shape (0,)" in examine(problem, claimed(None)).refuted
    assert "shape (100, 6)" in examine(problem, claimed(path[:, :6])).refuted


def test_a_planner_answers_for_its_own_timing(problem: Problem, result: PlanResult) -> None:
    wrong = straight(problem).trajectory  # through the shelf, while the path goes round
    assert examine(problem, claimed(result.path, trajectory=wrong)).refuted.startswith("timed motion: ")


def test_a_timed_claim_is_judged_by_its_times(problem: Problem, result: PlanResult) -> None:
    """Twice as fast as the limits allow is found out, however the velocities are told."""
    own = result.trajectory
    rest = np.zeros_like(own.positions)

    def said(**changes: object) -> str:
        return str(examine(problem, claimed(result.path, trajectory=dataclasses.replace(own, **changes))).refuted)

    assert examine(problem, claimed(result.path, trajectory=own)).duration == own.times[-1]
    assert "velocity of panda_joint" in said(velocities=2 * own.velocities)
    assert "acceleration of panda_joint" in said(accelerations=2 * own.accelerations)
    assert "velocity by its positions and times" in said(times=0.4 * own.times, velocities=rest, accelerations=rest)
    for factor in (0.4, 0.9, 0.98):  # the velocities that belong to the shorter times, or those of the longer
        assert said(times=factor * own.times).startswith("timed motion: ")
        assert said(
            times=factor * own.times,
            velocities=own.velocities / factor,
            accelerations=own.accelerations,
        ).startswith("timed motion: ")
    assert "does not belong" in said(velocities=rest, accelerations=rest)
    assert "do not increase" in said(times=np.concatenate([own.times[:-1], own.times[-2:-1]]))
    assert "begin at" in said(times=own.times + 1.0)
    assert "not finite" in said(times=np.where(own.times > 0.1, np.nan, own.times))
    assert "do not belong together" in said(velocities=own.velocities[:-1])
    moving = slice(10, None)
    assert "at rest" in str(
        timing_fault(
            problem.robot,
            dataclasses.replace(
                own,
                times=own.times[moving] - own.times[10],
                positions=own.positions[moving],
                velocities=own.velocities[moving],
                accelerations=own.accelerations[moving],
            ),
        )
    )


def test_one_goal_of_several_is_enough(problem: Problem, result: PlanResult) -> None:
    away = np.asarray(problem.start) + 0.1
    for goal in ((away, problem.goal), (away, pose_of(problem, problem.goal))):
        several = dataclasses.replace(problem, goal=goal)
        assert examine(several, claimed(result.path)).refuted is None
    elsewhere = dataclasses.replace(problem, goal=(away, pose_of(problem, away)))
    assert examine(elsewhere, claimed(result.path)).refuted == "the path does not end at a goal"


def test_coarse_success_is_about_the_tool_and_strict_success_about_the_goal(problem: Problem) -> None:
    """1 cm and 15 degrees of the tool against 1e-6 rad, or 1 mm and 10 mrad."""
    free = dataclasses.replace(problem, scene=Scene())
    goal = np.asarray(free.goal, dtype=np.float64)
    path = np.stack([free.start, goal])
    path[1, 6] += np.radians(14)  # the last joint turns the tool about its own axis
    found = examine(free, claimed(path))
    assert found.refuted == "the path does not end at a goal"
    assert found.coarse_solved
    path[1, 6] = goal[6] + np.radians(16)
    assert not examine(free, claimed(path)).coarse_solved


def test_tolerances_of_goals(problem: Problem) -> None:
    robot, goal = problem.robot, np.asarray(problem.goal, dtype=np.float64)
    pose, turn = pose_of(problem, goal), np.eye(7)[6]
    assert reaches(robot, goal + 0.9e-6 * turn, goal)
    assert not reaches(robot, goal + 1.1e-6 * turn, goal)
    assert reaches(robot, goal + 0.009 * turn, pose)
    assert not reaches(robot, goal + 0.011 * turn, pose)
    for shift, near, exact in ((0.0009, True, True), (0.002, True, False), (0.011, False, False)):
        moved = PoseGoal(pose.position + np.array([0, shift, 0]), pose.quaternion)
        assert nearly_reaches(robot, goal, moved) == near
        assert reaches(robot, goal, moved) == exact


# --- with constraints ------------------------------------------------------------------------------------------------


def test_a_path_that_breaks_a_constraint_is_refuted(problem: Problem, result: PlanResult) -> None:
    first, last = result.path[[0, -1], 0]
    keeping = edmp.JointRange("panda_joint1", min(result.path[:, 0]) - 0.1, max(result.path[:, 0]) + 0.1)
    found = examine(dataclasses.replace(problem, constraints=(keeping,)), claimed(result.path))
    assert found.refuted is None
    assert found.breaches == 0
    broken = edmp.JointRange("panda_joint1", -3.0, (first + last) / 2)
    found = examine(dataclasses.replace(problem, constraints=(broken,)), claimed(result.path))
    assert "panda_joint1" in found.refuted
    assert found.breaches is None
    assert examine(problem, claimed(result.path)).breaches is None


def test_the_dumb_checker_needs_no_judge(problem: Problem, result: PlanResult, monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that overlooks everything, and the checker that does not."""
    spread = np.ptp(result.path[:, 0])
    broken = edmp.JointRange("panda_joint1", -3.0, result.path[:, 0].max() - 0.2 * spread)
    monkeypatch.setattr("edmp.bench.examine.Judge", lambda robot, scene, constraints=(): Judge(robot, scene))
    found = examine(dataclasses.replace(problem, constraints=(broken,)), claimed(result.path))
    assert found.refuted is None
    assert found.breaches > 0
