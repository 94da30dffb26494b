"""`plan` from end to end: what it calls solved is free by an independent check, and a failure says why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edmp
from edmp.collision.world import World
from edmp.connect import connect
from edmp.errors import InvalidInputError, UnknownNameError
from edmp.planner import FIRST_LOOK, REFINE, Planner, PlannerSettings
from edmp.planner.call import Call
from edmp.planner.certify import differ
from edmp.problem import PoseGoal, load_example, load_problem
from edmp.result import Stage, Status
from edmp.robots import load_robot
from edmp.scenes import Box, Scene
from edmp.scenes.generators import FAMILIES, generate
from edmp.validate import Judge
from edmp.validate.dense import dense_collisions

PROBLEMS = Path(__file__).resolve().parents[2] / "benchmarks" / "problems"
HOME = (0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785)
ASIDE = (1.2, 0.3, 0.2, -1.8, 0.1, 2.0, 0.5)
WALL = Scene.of({"wall": (Box((0.6, 0.04, 0.9)), (0.55, 0.3, 0.45))})


@pytest.fixture(scope="module")
def planner():
    return Planner("panda")


def assert_sound(result, robot, scene, start, goal=None):
    """The strongest claims about a solved result, checked by code that the planner does not use.

    ``goal`` (dof,) is where every motion must end; None if it was a pose, which several configurations answer.
    """
    assert result.solved, result.message
    for solution in (result.best, *result.alternatives):
        for path in (solution.path, solution.trajectory.positions):
            np.testing.assert_allclose(path[0], start, atol=1e-6)
            np.testing.assert_allclose(path[-1], solution.path[-1] if goal is None else goal, atol=1e-6)
            assert (path >= robot.limits.lower).all()
            assert (path <= robot.limits.upper).all()
            assert not dense_collisions(robot, scene, path)
        trajectory = solution.trajectory
        assert (np.diff(trajectory.times) > 0).all()
        assert (np.abs(trajectory.velocities) <= robot.limits.velocity).all()
        assert (np.abs(trajectory.accelerations) <= robot.limits.acceleration).all()
        np.testing.assert_allclose(trajectory.velocities[[0, -1]], 0.0, atol=1e-6)


def test_goes_around_a_wall(planner):
    result = planner.plan(WALL, HOME, ASIDE)
    assert_sound(result, planner.robot, WALL, HOME, ASIDE)
    assert result.stats.stage in (Stage.SAMPLE, Stage.REPAIR)
    assert result.best.min_clearance > 0


def test_empty_scene_is_a_straight_line(planner):
    result = planner.plan(Scene(), HOME, ASIDE)
    assert_sound(result, planner.robot, Scene(), HOME, ASIDE)
    assert result.best.length == pytest.approx(np.linalg.norm(np.subtract(ASIDE, HOME)), rel=1e-3)
    assert np.isinf(result.best.min_clearance)


def test_start_is_goal(planner):
    assert_sound(planner.plan(WALL, HOME, HOME), planner.robot, WALL, HOME, HOME)


@pytest.mark.parametrize("name", ["bookshelf", "table", "cage", "bin"])
def test_examples_are_solved(name):
    problem = load_example(name)
    planner = Planner(problem.robot)
    result = planner.plan(problem.scene, problem.start, problem.goal)
    assert_sound(result, problem.robot, problem.scene, problem.start)


def test_same_seed_same_path(planner):
    first, second = (planner.plan(WALL, HOME, ASIDE, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.path, second.path)
    np.testing.assert_array_equal(first.trajectory.positions, second.trajectory.positions)


def test_a_plan_leaves_nothing_behind(planner):
    """Spheres that overlap something at the ends of one plan are shrunk for that plan only."""
    before = planner.plan(WALL, HOME, ASIDE)
    under_the_fingers = Scene.of({"plate": (Box((0.3, 0.3, 0.02)), (0.31, 0.0, 0.465))})
    assert planner.plan(under_the_fingers, HOME, ASIDE).solved
    np.testing.assert_array_equal(planner.plan(WALL, HOME, ASIDE).path, before.path)


def test_alternatives_are_different_and_worse():
    settings_ = PlannerSettings(num_seeds=64, enough_valid=24, polish_candidates=24, num_alternatives=4)
    planner = Planner("panda", prior="process", settings=settings_)
    scene = Scene.of({"post": (Box((0.1, 0.1, 0.7)), (0.45, 0.25, 0.35))})
    result = planner.plan(scene, HOME, ASIDE)
    assert_sound(result, planner.robot, scene, HOME, ASIDE)
    motions = (result.best, *result.alternatives)
    for i, a in enumerate(motions):
        for b in motions[:i]:
            assert differ(a.path, b.path, settings_.distinct)
            assert b.length <= a.length


def test_a_first_look_is_enough_where_the_way_is_nearly_straight(planner):
    small = Scene.of({"wall": (Box((0.6, 0.04, 0.3)), (0.55, 0.3, 0.15))})
    result = planner.plan(small, HOME, ASIDE)
    assert_sound(result, planner.robot, small, HOME, ASIDE)
    first_look = planner.settings.first_look
    assert result.stats.num_seeds == first_look.num_seeds
    assert result.best.length <= first_look.near * np.linalg.norm(np.subtract(ASIDE, HOME))


def test_rounds_do_not_depend_on_the_first_look():
    none, strict = (
        Planner("panda", settings=PlannerSettings(first_look=look)) for look in (None, replace(FIRST_LOOK, near=1.0))
    )
    without, after = (one.plan(WALL, HOME, ASIDE, fallback=False) for one in (none, strict))
    assert after.stats.num_seeds == without.stats.num_seeds + strict.settings.first_look.num_seeds
    np.testing.assert_array_equal(without.path, after.path)


STRICT = replace(FIRST_LOOK, near=1.0)
"""A look that takes nothing, so that the first search has its turn."""


def test_a_first_search_certifies_something_before_seeds_are_repaired():
    planner = Planner("panda", settings=PlannerSettings(first_look=STRICT))
    result = planner.plan(WALL, HOME, ASIDE)
    assert_sound(result, planner.robot, WALL, HOME, ASIDE)
    assert 0 < result.stats.first_s < result.stats.time_s
    assert result.stats.num_seeds >= STRICT.num_seeds + REFINE.num_seeds  # they look for a shorter one
    alone = {"first_look": STRICT, "refine": None, "fresh": None}
    found = Planner("panda", settings=PlannerSettings(**alone)).plan(WALL, HOME, ASIDE)
    assert found.stats.stage is Stage.FALLBACK
    assert found.stats.num_seeds == STRICT.num_seeds
    assert result.best.length <= found.best.length
    hopeless = {**alone, "num_seeds": 1, "prior_share": 0.0, "repair_iterations": 0, "judge_anyway": 0}
    assert not Planner("panda", settings=PlannerSettings(**hopeless)).plan(WALL, HOME, ASIDE, fallback=False).solved


def test_a_shorter_motion_is_found_round_a_long_one_and_from_nothing():
    """Out of a box, where what the search finds goes the long way round."""
    problem = edmp.load_problem(PROBLEMS / "box" / "scene0002.yaml")
    lengths = []
    for changes in ({"refine": None, "fresh": None}, {"fresh": None}, {}):
        planner = Planner(problem.robot, settings=PlannerSettings(**changes))
        result = planner.plan(problem.scene, problem.start, problem.goal)
        lengths.append(result.best.length)
    assert lengths[2] <= lengths[1] <= lengths[0]
    assert lengths[2] < 0.8 * lengths[0]


def test_what_the_first_search_found_is_returned_when_half_of_the_time_is_gone(monkeypatch):
    monkeypatch.setattr(Call, "left", property(lambda call: 0.4 * call.budget))
    planner = Planner("panda", settings=PlannerSettings(first_look=STRICT))
    result = planner.plan(WALL, HOME, ASIDE)
    assert_sound(result, planner.robot, WALL, HOME, ASIDE)
    assert result.stats.stage is Stage.FALLBACK
    assert result.stats.num_seeds == STRICT.num_seeds


def test_who_asks_for_alternatives_gets_whole_rounds():
    result = edmp.plan(Scene(), HOME, ASIDE, num_alternatives=1)
    assert result.stats.num_seeds == PlannerSettings().num_seeds


def test_a_detour_is_looked_at_twice():
    """What the second round finds is ranked with what the first found, so that the motion can only get shorter."""
    few = {"num_seeds": 6, "enough_valid": 2, "distinct": 0.2, "first_look": None}
    once, twice = (Planner("panda", settings=PlannerSettings(**few, detour=detour)) for detour in (1e9, 1.0))
    for seed in range(3):
        first = once.plan(WALL, HOME, ASIDE, seed=seed)
        second = twice.plan(WALL, HOME, ASIDE, seed=seed)
        assert_sound(second, twice.robot, WALL, HOME, ASIDE)
        assert second.stats.num_seeds == 2 * first.stats.num_seeds
        assert second.best.length <= first.best.length
        found = [second.best, *second.alternatives]
        assert [one.length for one in found] == sorted(one.length for one in found)
        assert len(found) <= 3
        assert all(differ(a.path, b.path, 0.2) for i, a in enumerate(found) for b in found[:i])


def test_several_goals_reach_one(planner):
    inside = Scene.of(
        {"block": (Box((0.2, 0.2, 0.2)), (0.31, 0.0, 0.49)), "wall": (Box((0.6, 0.04, 0.9)), (0.55, 0.3, 0.45))}
    )
    aside, far = np.array(ASIDE), np.array([-1.2, 0.3, 0.2, -1.8, 0.1, 2.0, 0.5])
    result = planner.plan(inside, far, [np.array(HOME), aside])
    assert result.solved, result.message
    assert result.best.goal_index == 1
    np.testing.assert_allclose(result.path[-1], aside, atol=1e-6)


def test_pose_goal(planner):
    goal = PoseGoal(np.array([0.35, 0.55, 0.4]), np.array([1.0, 0.0, 0.0, 0.0]))
    result = planner.plan(WALL, HOME, goal)
    assert_sound(result, planner.robot, WALL, HOME)
    import torch

    from edmp.robots.kinematics import tool_pose

    reached = tool_pose(planner.robot, torch.as_tensor(result.path[-1])).numpy()
    np.testing.assert_allclose(reached[:3, 3], goal.position, atol=1e-3)
    np.testing.assert_allclose(reached[:3, :3], goal.X_WT[:3, :3], atol=5e-3)


def test_unreachable_pose(planner):
    result = planner.plan(WALL, HOME, PoseGoal(np.array([2.0, 0.0, 0.5]), np.array([1.0, 0.0, 0.0, 0.0])))
    assert result.status is Status.GOAL_UNREACHABLE
    assert "mm" in result.message


def test_collisions_name_link_obstacle_and_depth(planner):
    block = Scene.of({"block": (Box((0.2, 0.2, 0.2)), (0.31, 0.0, 0.49))})
    result = planner.plan(block, HOME, ASIDE)
    assert result.status is Status.START_IN_COLLISION
    assert "panda_" in result.message
    assert '"block"' in result.message
    assert "mm" in result.message
    assert planner.plan(block, ASIDE, HOME).status is Status.GOAL_IN_COLLISION


def test_limits_and_self_collision_are_told_apart(planner):
    high = np.array(HOME)
    high[3] = 0.5
    result = planner.plan(WALL, HOME, high)
    assert result.status is Status.GOAL_OUT_OF_LIMITS
    assert "panda_joint4" in result.message
    assert planner.plan(WALL, high, HOME).status is Status.START_OUT_OF_LIMITS
    folded = np.array([0.0, -1.76, 0.0, -3.07, 0.0, 0.0, 0.0])
    assert planner.plan(Scene(), HOME, folded).status is Status.GOAL_IN_SELF_COLLISION


def test_no_path_says_where_it_is_stuck():
    stall = {
        "left": (Box((0.5, 0.02, 1.4)), (0.45, 0.22, 0.7)),
        "right": (Box((0.5, 0.02, 1.4)), (0.45, -0.22, 0.7)),
        "front": (Box((0.02, 0.5, 1.4)), (0.71, 0.0, 0.7)),
    }
    lame = PlannerSettings(num_seeds=4, max_rounds=1, repair_iterations=1, first_look=None)
    planner = Planner("panda", prior="process", settings=lame)
    result = planner.plan(Scene.of(stall), HOME, ASIDE, fallback=False)
    assert result.status is Status.NO_PATH_FOUND
    assert result.path is None
    assert any(f'"{name}"' in result.message for name in stall)
    assert "% of the way" in result.message
    assert planner.plan(Scene.of(stall), HOME, ASIDE, time_budget=1e-3).status is Status.TIMEOUT
    assert Planner("panda").plan(Scene.of(stall), HOME, ASIDE).solved  # over the top: there is a way


@pytest.mark.parametrize("bad", [np.zeros(6), np.full(7, np.nan), [0.0] * 8, np.full(7, np.inf), "home"])
def test_malformed_configurations_raise(planner, bad):
    with pytest.raises(InvalidInputError):
        planner.plan(WALL, bad, ASIDE)
    with pytest.raises(InvalidInputError):
        planner.plan(WALL, HOME, bad)


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(UnknownNameError, match="panda"):
        edmp.plan(WALL, HOME, ASIDE, robot="pandda")
    with pytest.raises(UnknownNameError, match="edmp12"):
        edmp.plan(WALL, HOME, ASIDE, ensemble="edmp13")


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": 1.5},
        {"seed": -1},
        {"time_budget": "3"},
        {"time_budget": 0},
        {"num_seeds": 2.5},
        {"num_seeds": 0},
        {"robot": 7},
        {"ensemble": {}},
        {"ensemble": None},
        {"scene": None},
    ],
)
def test_wrong_arguments_raise_our_errors(wrong):
    with pytest.raises(InvalidInputError):
        edmp.plan(**{"scene": WALL, "start": HOME, "goal": ASIDE, **wrong})


def test_a_custom_ensemble_is_asked_with_any_prior():
    import torch

    from edmp.costs import Cost, Ensemble, Member

    class Counting(Cost):
        name = "counting"
        calls = 0

        def __call__(self, motion, scene, margins):
            Counting.calls += 1
            return motion.q.square().sum((1, 2)) * torch.zeros(())

    planner_steps = PlannerSettings().sampler_steps
    for prior in ("panda", "process"):
        Counting.calls = 0
        ensemble = Ensemble((Member(Counting(), num_seeds=8),))
        edmp.plan(WALL, HOME, ASIDE, prior=prior, ensemble=ensemble, fallback=False)
        assert Counting.calls >= planner_steps


def test_fallback_solves_what_one_lame_seed_cannot(planner):
    lame = PlannerSettings(num_seeds=1, rounds=1, repair_iterations=1, prior_share=0.0, refine=None, fresh=None)
    weak = Planner("panda", settings=lame)
    assert weak.plan(WALL, HOME, ASIDE, fallback=False).status is Status.NO_PATH_FOUND
    result = weak.plan(WALL, HOME, ASIDE)
    assert_sound(result, weak.robot, WALL, HOME, ASIDE)
    assert result.stats.stage in (Stage.STITCH, Stage.FALLBACK)


def test_edmp12_guides_too():
    planner = Planner("panda", ensemble="edmp12")
    assert_sound(planner.plan(WALL, HOME, ASIDE), planner.robot, WALL, HOME, ASIDE)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**20), family=st.sampled_from(sorted(FAMILIES)))
def test_whatever_is_called_solved_is_free(planner, seed, family):
    rng = np.random.default_rng(seed)
    scene = generate(family, rng).scene
    robot = planner.robot
    judge = Judge(robot, scene)
    free = [q for q in rng.uniform(robot.limits.lower, robot.limits.upper, (40, 7)) if judge.check(q).valid]
    if len(free) < 2:
        return
    result = planner.plan(scene, free[0], free[1], seed=seed, time_budget=3.0)
    if result.solved:
        assert_sound(result, robot, scene, free[0], free[1])
    else:
        assert result.status in (Status.NO_PATH_FOUND, Status.TIMEOUT)


def test_real_problems_are_solved(mbm_panda):
    best_known = json.loads((mbm_panda / "best_known_lengths.json").read_text())["sets"]
    ratios = []
    for name in (
        "bookshelf_small",
        "bookshelf_tall",
        "bookshelf_thin",
        "box",
        "cage",
        "table_pick",
        "table_under_pick",
    ):
        for number in (5, 20):
            problem = load_problem(
                mbm_panda / name / f"scene{number:04d}.yaml", mbm_panda / name / f"request{number:04d}.yaml"
            )
            planner = Planner(problem.robot)
            result = planner.plan(problem.scene, problem.start, problem.goal)
            assert_sound(result, problem.robot, problem.scene, problem.start, problem.goal)
            ratios.append(result.best.length / best_known[name][str(number)])
    assert np.mean(ratios) < 1.15


def test_a_goal_out_of_limits_is_reported(mbm_panda):
    for name, number in (("table_pick", 31), ("table_pick", 49), ("table_under_pick", 3)):
        problem = load_problem(
            mbm_panda / name / f"scene{number:04d}.yaml", mbm_panda / name / f"request{number:04d}.yaml"
        )
        result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot)
        assert result.status is Status.GOAL_OUT_OF_LIMITS


def test_attached_object_counts_as_robot(planner):
    robot = load_robot("panda")
    X_LA = np.eye(4)
    X_LA[2, 3] = 0.1  # between the fingertips
    held = robot.with_attachment("rod", Box((0.3, 0.02, 0.02)), X_LA, link="panda_hand")
    result = Planner(held, prior="process").plan(WALL, HOME, ASIDE)
    assert_sound(result, held, WALL, HOME, ASIDE)


@pytest.mark.parametrize("name", ["panda", "ur5"])
def test_turning_the_base_in_free_space_is_a_straight_line(name):
    """Spheres that stick out must not make an arm see itself in the way."""
    planner = Planner(name)
    goal = planner.robot.home.copy()
    goal[0] += 1.2
    result = planner.plan(Scene(), planner.robot.home, goal)
    assert_sound(result, planner.robot, Scene(), planner.robot.home, goal)
    assert result.best.length == pytest.approx(1.2, rel=1e-3)


PASSAGE = edmp.load_problem(Path(__file__).with_name("narrow_passage.yaml"))
"""Out of one box and into another through windows a few centimetres wide: `edmp bench make --suite hard`, narrow 83."""


def test_a_passage_too_narrow_for_spheres_is_found_by_search_and_certified_by_the_judge():
    """Seeds that nobody can repair leave it to the search; in the sphere model there is no way at all."""
    lame = PlannerSettings(num_seeds=4, max_rounds=1, repair_iterations=1)
    planner = Planner(PASSAGE.robot, settings=lame)
    result = planner.plan(PASSAGE.scene, PASSAGE.start, PASSAGE.goal)
    assert_sound(result, PASSAGE.robot, PASSAGE.scene, PASSAGE.start)
    assert result.stats.stage is Stage.FALLBACK
    assert result.best.min_clearance > 0
    without = planner.plan(PASSAGE.scene, PASSAGE.start, PASSAGE.goal, fallback=False)
    assert without.status is Status.NO_PATH_FOUND


def test_what_a_longer_search_finds_gives_way_to_a_shorter_motion_of_the_seeds():
    """What is known in a tenth of the time never makes what is returned longer."""
    options = {"start": PASSAGE.start, "goal": PASSAGE.goal}
    found = Planner(
        PASSAGE.robot, settings=PlannerSettings(refine=None, num_seeds=4, max_rounds=1, repair_iterations=1)
    )
    alone, whole = (one.plan(PASSAGE.scene, **options) for one in (found, Planner(PASSAGE.robot)))
    assert whole.best.length <= alone.best.length + 1e-9
    assert whole.stats.first_s < whole.stats.time_s


def test_samples_about_the_trees_leave_a_narrow_passage():
    world = World.of(PASSAGE.robot, PASSAGE.scene)
    start, goal = (np.repeat(np.asarray(q)[None], 8, axis=0) for q in (PASSAGE.start, PASSAGE.goal))
    found = {
        local: sum(
            path is not None
            for path in connect(world, start, goal, seed=0, margin=-0.005, max_iterations=4000, local=local)
        )
        for local in (0, 2)
    }
    assert found[2] >= 6
    assert found[0] <= 3
