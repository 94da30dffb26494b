"""Replanning while the arm moves: it gets there past what crosses, and whatever fails, it ends at rest and says why."""

import threading

import numpy as np
import pytest
import torch

from edmp.errors import InvalidInputError
from edmp.execution import DriverError, Fault, Outcome
from edmp.execution.company import Turns
from edmp.execution.crossing import CrossingWorld, make_crossing
from edmp.execution.driver import ArmState
from edmp.execution.kinematic import KinematicArm
from edmp.execution.prediction import Observation, predicted_scene
from edmp.execution.receding import HorizonSettings, RecedingHorizon
from edmp.execution.replanning import ReplanSettings
from edmp.planner.planner import Planner
from edmp.recordings.recording import motion_as_seen
from edmp.result import PlanResult, Solution, Stats, Status
from edmp.robots import load_robot
from edmp.robots.kinematics import tool_pose
from edmp.scenes import Scene, Sphere, as_clouds, as_voxels
from edmp.scenes.scene import Obstacle
from edmp.timing import retime_waypoints
from edmp.validate import Judge
from edmp.validate.spacetime import MovingObstacle, first_encounter

PERIOD = 5e-3
APPEARS = 0.3
"""When something is first seen in the way [s]."""
PATIENT = HorizonSettings(plan_period=0.2, replan=ReplanSettings(patience=1.0))


@pytest.fixture(scope="module")
def panda():
    return load_robot("panda")


@pytest.fixture(scope="module")
def ends(panda):
    a, b = panda.home.copy(), panda.home.copy()
    a[0], b[0] = -1.0, 1.0
    return a, b


class Straight:
    """Plans the straight way in no time, if that is free; at its ``fails``-th call and after, does ``how`` instead."""

    def __init__(self, robot, fails=10**9, how=None):
        self.robot, self.fails, self.how, self.calls = robot, fails, how, 0

    def plan(self, scene, start, goal, *, seed, time_budget, warm, escape):
        self.calls += 1
        if self.calls >= self.fails:
            return self.how()
        path = np.stack([start, goal])
        verdict = Judge(self.robot, scene, escape=escape).check_path(path)
        if not verdict.valid:
            return PlanResult(Status.NO_PATH_FOUND, verdict.message(), None, (), Stats(None, 0.0))
        motion = retime_waypoints(path, self.robot.limits, joint_names=self.robot.joint_names)
        return PlanResult(Status.SOLVED, "", Solution(path, motion, 1.0, np.inf, 0), (), Stats(None, 0.0))


class Source:
    """Sees nothing at first, then what a test says."""

    def __init__(self, arm, *later):
        self.arm, self.later = arm, later

    def __call__(self):
        now = self.arm.now()
        return Observation(Scene(), self.later if now >= APPEARS else (), now)


def in_the_way(robot, q, velocity=(0.0, 0.0, 0.02)):
    """A ball where the tool is at ``q``; it hardly moves."""
    X_WT = tool_pose(robot, torch.as_tensor(q, dtype=torch.float32)).numpy()
    return MovingObstacle(Obstacle.at("ball", Sphere(0.06), X_WT[:3, 3]), np.array(velocity), APPEARS)


def go(arm, goal, planner, source, settings=PATIENT, **options):
    horizon = RecedingHorizon(planner, arm, source, settings, company=Turns(arm, stopwatch=lambda: 0.0))
    return horizon.run(goal, **options)


@pytest.fixture(autouse=True)
def nothing_left_running():
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("edmp-r")] == []
    assert not any(t.name in ("edmp-eyes", "edmp-guard", "edmp-replanner") for t in threading.enumerate())


def comes_to_rest(done, robot):
    """What was commanded ends at rest, without a jump and within limits."""
    commanded, velocities = done.recording.commanded, done.recording.commanded_velocities
    assert np.abs(velocities[-1]).max() < 1e-9
    np.testing.assert_allclose(commanded[-1], commanded[-2], atol=3e-4)
    dt = np.diff(done.recording.times)[:, None]
    measured = np.diff(commanded, axis=0) / dt
    assert (np.abs(measured) <= 1.02 * robot.limits.velocity).all()
    assert (np.abs(np.diff(measured, axis=0) / dt[1:]) <= 1.1 * robot.limits.acceleration).all()


# -- getting there ----------------------------------------------------------------------------------------------------


def test_with_nothing_in_the_way_one_plan_is_enough(panda, ends):
    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        done = go(arm, ends[1], Straight(panda), Source(arm))
    assert done.reached, done.message
    assert [one.accepted for one in done.replans] == [True]
    np.testing.assert_allclose(done.recording.measured[-1], ends[1], atol=1e-6)
    comes_to_rest(done, panda)


def test_it_waits_for_what_passes_and_goes_on(panda, ends):
    middle = 0.5 * (ends[0] + ends[1])
    passing = in_the_way(panda, middle, (0.0, 0.0, 0.5))  # gone after half a second or so
    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        source = Source(arm, passing)
        done = go(arm, ends[1], Straight(panda), source, HorizonSettings(plan_period=0.2))
    assert done.reached, done.message
    assert len(done.replans) > 1
    comes_to_rest(done, panda)


@pytest.fixture(scope="module")
def planner():
    return Planner("panda")


def behind(robot, q, depth):
    """A scene with a ball behind the hand, about so deep in the arm, seen from where joint 1 turns it [m]."""
    at = tool_pose(robot, torch.as_tensor(q, dtype=torch.float64)).numpy()[:3, 3]
    away = np.cross(at, [0.0, 0.0, 1.0]) / np.hypot(*at[:2])
    for far in np.arange(0.2, 0.0, -0.002):
        scene = Scene.of({"ball": (Sphere(0.06), at + far * away)})
        contacts = Judge(robot, scene).check(q).contacts
        if contacts and max(contact.depth for contact in contacts) >= depth:
            return scene
    raise AssertionError


def test_an_arm_that_stands_in_padding_is_led_out_of_it(panda, ends, planner):
    scene = behind(panda, ends[0], 0.008)
    runs = {}
    for escape in (0.0, 0.03):
        settings = HorizonSettings(plan_period=0.2, replan=ReplanSettings(patience=1.0), escape=escape)
        with KinematicArm(panda, ends[0], period=PERIOD) as arm:
            runs[escape] = go(arm, ends[1], planner, lambda arm=arm: Observation(scene, (), arm.now()), settings)
    assert runs[0.0].violation.fault is Fault.NO_WAY
    assert "mm inside" in runs[0.0].message
    assert runs[0.03].reached, runs[0.03].message
    measured = motion_as_seen(runs[0.03].recording).positions
    assert Judge(panda, scene, escape=0.03).check_path(panda.clipped(measured)).valid


def test_an_escape_that_is_too_deep_is_refused():
    with pytest.raises(InvalidInputError, match="escape"):
        HorizonSettings(escape=0.5)


@pytest.mark.parametrize("seed", [3, 4])
def test_the_planner_leads_past_what_crosses(panda, planner, seed):
    crossing = make_crossing(panda, seed)
    with KinematicArm(panda, crossing.start, period=PERIOD) as arm:
        world = CrossingWorld(crossing, arm)
        company = Turns(arm, stopwatch=lambda: 0.0)
        done = RecedingHorizon(planner, arm, world, company=company).run(crossing.goal)
    after = world.examine(done.recording)
    assert done.reached, done.message
    assert after.touched is None
    assert sum(one.accepted for one in done.replans) > 1
    assert any(one.request.warm is not None for one in done.replans if one.request)
    comes_to_rest(done, panda)


def test_without_replanning_a_crossing_is_a_collision(panda):
    crossing = make_crossing(panda, 3)
    way = retime_waypoints([crossing.start, crossing.goal], panda.limits, joint_names=panda.joint_names)
    from edmp.execution import run

    with KinematicArm(panda, crossing.start, period=PERIOD) as arm:
        world = CrossingWorld(crossing, arm)
        for _ in range(60):
            arm.wait()
        world._begin = 0.0
        done = run(way, arm)
    assert world.examine(done.recording).touched is not None


def test_at_rest_without_a_plan_it_gets_out_of_the_way(panda, ends):
    """Something stands between the arm and its goal, and something else comes for the arm that waits before it."""
    wall = in_the_way(panda, 0.65 * ends[1] + 0.35 * ends[0], (0.0, 0.0, 1e-4))
    far, near = (tool_pose(panda, torch.as_tensor(q, dtype=torch.float32)).numpy()[:3, 3] for q in ends[::-1])
    velocity = 0.25 * (near - far) / np.linalg.norm(near - far)
    comer = MovingObstacle(Obstacle.at("comer", Sphere(0.06), far + np.array([0.2, 0.0, 0.0])), velocity, APPEARS)
    settings = HorizonSettings(plan_period=0.2, replan=ReplanSettings(patience=1.6))
    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        done = go(arm, ends[1], Straight(panda), Source(arm, wall, comer), settings)
    assert done.violation.fault is Fault.NO_WAY
    assert any(one.retreat for one in done.replans)
    motion = motion_as_seen(done.recording)
    begin = float(done.recording.seen[0])
    for one in (wall, comer):
        assert first_encounter(panda, [one], motion, begin=begin, end=begin + motion.duration) is None
    comes_to_rest(done, panda)


# -- faults -----------------------------------------------------------------------------------------------------------


def stopped_short(done, robot, goal, fault, message):
    assert done.outcome is Outcome.STOPPED, done.message
    assert done.violation.fault is fault
    assert message in done.message
    assert np.abs(done.recording.measured[-1] - goal).max() > 0.2
    comes_to_rest(done, robot)


def test_goal_that_becomes_infeasible(panda, ends):
    stays = in_the_way(panda, ends[1], (0.0, 0.0, 1e-4))
    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        done = go(arm, ends[1], Straight(panda), Source(arm, stays))
    stopped_short(done, panda, ends[1], Fault.NO_WAY, "no way to the goal for 1 s")
    assert "ball" in done.message


def test_planner_that_crashes_on_the_way(panda, ends):
    def crash():
        raise ZeroDivisionError("of all things")

    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        source = Source(arm, in_the_way(panda, 0.5 * (ends[0] + ends[1])))
        done = go(arm, ends[1], Straight(panda, fails=2, how=crash), source)
    stopped_short(done, panda, ends[1], Fault.NO_WAY, "the planner raised ZeroDivisionError: of all things")


def test_planner_that_hangs_on_the_way(panda, ends):
    settings = HorizonSettings(replan=ReplanSettings(patience=60.0, time_budget=0.1), plan_silence=1.5)
    release = threading.Event()
    with KinematicArm(panda, ends[0], period=PERIOD, real_time=True, pace=0.5) as arm:
        source = Source(arm, in_the_way(panda, 0.8 * ends[1] + 0.2 * ends[0]))
        hanging = Straight(panda, fails=2, how=release.wait)
        done = RecedingHorizon(hanging, arm, source, settings).run(ends[1])
    release.set()
    assert done.outcome is Outcome.STOPPED, done.message
    assert np.abs(done.recording.commanded_velocities[-1]).max() < 1e-9
    assert np.abs(done.recording.measured[-1] - ends[1]).max() > 0.2
    if done.violation.fault is not Fault.LATE:  # on a busy machine the loop may be late first
        assert "the planner has not answered for" in done.message
    for thread in threading.enumerate():
        if thread.name.startswith("edmp-"):
            thread.join(2.0)


def test_planner_of_other_joints(panda, ends):
    class Mixed(Straight):
        def plan(self, *arguments, **keywords):
            result = super().plan(*arguments, **keywords)
            names = panda.joint_names[::-1]
            best = result.best.trajectory
            motion = type(best)(names, best.times, best.positions, best.velocities, best.accelerations)
            return PlanResult(Status.SOLVED, "", Solution(result.best.path, motion, 1.0, np.inf, 0), (), result.stats)

    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        done = go(arm, ends[1], Mixed(panda), Source(arm))
    assert done.outcome is Outcome.STOPPED
    assert "the planner's motion is of panda_joint7" in done.message
    np.testing.assert_allclose(done.recording.measured, ends[0][None].repeat(len(done.recording.times), 0))


def test_scene_that_goes_stale(panda, ends):
    class Stale(Source):
        def __call__(self):
            seen = super().__call__()
            return Observation(seen.scene, (), min(seen.time, APPEARS))

    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        done = go(arm, ends[1], Straight(panda), Stale(arm))
    stopped_short(done, panda, ends[1], Fault.SCENE_STALE, "the last observation of the scene is")


def test_scene_source_that_raises(panda, ends):
    class Broken(Source):
        def __call__(self):
            if self.arm.now() > APPEARS:
                raise OSError("camera unplugged")
            return super().__call__()

    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        done = go(arm, ends[1], Straight(panda), Broken(arm))
    stopped_short(done, panda, ends[1], Fault.SCENE_STALE, "camera unplugged")


def test_scene_source_that_gives_something_else(panda, ends):
    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        done = go(arm, ends[1], Straight(panda), lambda: Scene())
    assert done.outcome is Outcome.STOPPED
    assert "gave Scene, not an Observation" in done.message


class Faulty(KinematicArm):
    """From ``APPEARS`` on, its states are what ``change`` makes of them."""

    def __init__(self, robot, positions, change):
        super().__init__(robot, positions, period=PERIOD)
        self._change = change

    def wait(self):
        state = super().wait()
        return self._change(self, state) if state.time >= APPEARS else state


def test_state_that_is_no_number(panda, ends):
    def nan(arm, state):
        return ArmState(state.time, state.positions * np.nan, state.velocities, state.torques, state.external_torques)

    with Faulty(panda, ends[0], nan) as arm:
        done = go(arm, ends[1], Straight(panda), Source(arm))
    assert done.violation.fault is Fault.NOT_FINITE
    assert "nan" in done.message
    comes_to_rest(done, panda)


def test_joints_in_another_order(panda, ends):
    def mixed(arm, state):
        return ArmState(
            state.time, state.positions[::-1], state.velocities[::-1], state.torques, state.external_torques
        )

    with Faulty(panda, ends[0], mixed) as arm:
        done = go(arm, ends[1], Straight(panda), Source(arm))
    assert done.violation.fault is Fault.TRACKING
    assert "off its command" in done.message
    comes_to_rest(done, panda)


@pytest.mark.parametrize("late", [0.06, 0.2, 0.5])
def test_ticks_that_come_late(panda, ends, late):
    stalled = []

    def stall(arm, state):
        if not stalled:
            stalled.append(state.time)
            arm._time += late
        return ArmState(
            arm.now(), state.positions, state.velocities, state.torques, state.external_torques, state.contact
        )

    with Faulty(panda, ends[0], stall) as arm:
        done = go(arm, ends[1], Straight(panda), Source(arm))
    assert done.outcome is Outcome.STOPPED
    assert done.violation.fault is Fault.LATE
    assert "late" in done.message
    assert np.abs(done.recording.commanded_velocities[-1]).max() < 1e-9
    jumps = np.abs(np.diff(done.recording.commanded, axis=0)).max()
    assert jumps < 1.05 * PERIOD * panda.limits.velocity.max(), "late on the path, too, and nothing jumps"


def test_driver_that_dies(panda, ends):
    stops = []

    class Dying(Faulty):
        def stop(self):
            stops.append(self.now())
            super().stop()

    def die(arm, state):
        raise DriverError("the arm does not answer")

    with Dying(panda, ends[0], die) as arm:
        done = go(arm, ends[1], Straight(panda), Source(arm))
    assert done.outcome is Outcome.LOST
    assert done.violation.fault is Fault.DRIVER
    assert "does not answer" in done.message
    assert stops, "it was told to stop by its own means"


def test_interrupt_is_a_controlled_stop(panda, ends):
    stop = threading.Event()

    def press(state, _):
        if state.time > APPEARS:
            stop.set()

    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        done = go(arm, ends[1], Straight(panda), Source(arm), interrupt=stop, on_tick=press)
    assert done.outcome is Outcome.INTERRUPTED
    comes_to_rest(done, panda)


def test_an_error_inside_ends_at_rest(panda, ends, monkeypatch):
    from edmp.execution import watchers

    def broken(*_, **__):
        raise RuntimeError("a bug")

    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        source = Source(arm)

        def press(state, _):
            if state.time > APPEARS:
                monkeypatch.setattr(watchers, "Outlook", broken)

        done = go(arm, ends[1], Straight(panda), source, on_tick=press)
    stopped_short(done, panda, ends[1], Fault.GUARD, "an error inside: RuntimeError: a bug")


# -- what moves was seen by a sensor ----------------------------------------------------------------------------------

WALKER = Scene.of({"walker": (Sphere(0.06), (0.0, 0.0, 0.0))})


def seen_walker(kind):
    """The ball as a sensor has it, about its middle: points with a radius, or cells."""
    sensed = {"cloud": lambda: as_clouds(WALKER, spacing=0.02), "cells": lambda: as_voxels(WALKER, resolution=0.01)}
    return sensed[kind]()["walker"]


def walking(robot, q, kind, velocity):
    seen, ball = seen_walker(kind), in_the_way(robot, q)
    X_WO = ball.obstacle.X_WO @ seen.X_WO
    return MovingObstacle(Obstacle("walker", seen.shape, X_WO), np.array(velocity), APPEARS)


@pytest.mark.parametrize("kind", ["cloud", "cells"])
def test_it_waits_for_points_that_pass_and_goes_on(panda, ends, kind):
    passing = walking(panda, 0.5 * (ends[0] + ends[1]), kind, (0.0, 0.0, 0.5))
    way = retime_waypoints(np.stack(ends), panda.limits, joint_names=panda.joint_names)
    still = MovingObstacle(passing.obstacle, np.zeros(3))
    met = first_encounter(panda, (still,), way, begin=0.0, end=way.duration)
    ball = MovingObstacle(in_the_way(panda, 0.5 * (ends[0] + ends[1])).obstacle, np.zeros(3))
    assert met.obstacle == "walker"
    assert abs(met.time - first_encounter(panda, (ball,), way, begin=0.0, end=way.duration).time) < 0.05
    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        done = go(arm, ends[1], Straight(panda), Source(arm, passing), HorizonSettings(plan_period=0.2))
    assert done.reached, done.message
    assert len(done.replans) > 1
    assert any("walker" in one.why or "walker" in one.outcome for one in done.replans)
    comes_to_rest(done, panda)


@pytest.mark.parametrize("kind", ["cloud", "cells"])
def test_points_in_the_way_for_good_are_named(panda, ends, kind):
    with KinematicArm(panda, ends[0], period=PERIOD) as arm:
        blocking = walking(panda, ends[1], kind, (0.0, 0.0, 0.001))
        done = go(arm, ends[1], Straight(panda), Source(arm, blocking))
    assert done.outcome is Outcome.STOPPED
    assert done.violation.fault is Fault.NO_WAY
    assert "walker" in done.message


def test_a_planner_goes_round_points_where_they_will_be(panda, planner, ends):
    """Copies of a cloud on its way, grown, stand in the planner's scene; if there is no way, it says by which."""
    walker = walking(panda, 0.5 * (ends[0] + ends[1]), "cloud", (0.0, 0.0, 0.2))
    seen = Observation(Scene(), (walker,), APPEARS)
    scene = predicted_scene(panda, seen, ends[0], begin=APPEARS, end=APPEARS + 0.8, grow=0.05)
    assert len(scene) >= 3
    assert {one.shape.radius for one in scene} == {walker.obstacle.shape.radius + 0.05}
    result = planner.plan(scene, ends[0], ends[1], seed=0)
    assert result.solved, result.message
    assert (
        first_encounter(
            panda, (MovingObstacle(walker.obstacle, np.zeros(3)),), result.trajectory, begin=0.0, end=5.0, margin=0.04
        )
        is None
    )
    middle = 0.5 * (ends[0] + ends[1])
    blocked = planner.plan(scene, ends[0], middle, seed=0)
    assert blocked.status is Status.GOAL_IN_COLLISION
    assert '"walker in 0.00 s"' in blocked.message
