"""Running a trajectory on an arm without dynamics: the loop, the checks before it, and coming to rest after a fault."""

import dataclasses
import threading

import numpy as np
import pytest

from edmp.execution import DriverError, ExecutionSettings, Fault, MonitorSettings, Outcome, refuse, run, summarise
from edmp.execution.clock import MotionClock
from edmp.execution.driver import ArmState
from edmp.execution.kinematic import KinematicArm
from edmp.robots import load_robot
from edmp.timing import retime_waypoints


@pytest.fixture(scope="module")
def panda():
    return load_robot("panda")


@pytest.fixture(scope="module")
def trajectory(panda):
    there = panda.home + 0.7
    there[0] += 0.5  # far enough that a motion can be stopped before its second half, which slows down anyway
    return retime_waypoints([panda.home, there], panda.limits, joint_names=panda.joint_names)


def at_rest(recording, limits):
    """The commands end at rest, and never asked for more than the limits."""
    dt = np.diff(recording.times)[:, None]
    velocity = np.diff(recording.commanded, axis=0) / dt
    acceleration = np.diff(velocity, axis=0) / dt[1:]
    assert np.abs(velocity[-1]).max() < 5e-3
    assert not recording.commanded_velocities[-1].any()
    assert (np.abs(velocity) <= 1.02 * limits.velocity).all()
    assert (np.abs(acceleration) <= 1.05 * limits.acceleration).all()


def test_reaches_the_goal_and_records_every_tick(panda, trajectory):
    with KinematicArm(panda, panda.home) as arm:
        done = run(trajectory, arm)
    assert done.outcome is Outcome.REACHED, done.message
    assert done.recording.times[-1] >= trajectory.duration
    np.testing.assert_allclose(done.recording.measured[-1], trajectory.positions[-1], atol=1e-9)
    at_rest(done.recording, panda.limits)
    assert summarise(done.recording).tracking_peak < 1e-9


def test_an_arm_a_little_off_the_start_is_led_there(panda, trajectory):
    off = 0.015 * np.array([1, -1, 1, 1, -1, 1, 1])
    with KinematicArm(panda, panda.home + off) as arm:
        done = run(trajectory, arm)
    assert done.reached, done.message
    np.testing.assert_allclose(done.recording.commanded[0], panda.home + off, atol=1e-3)
    assert (np.diff(done.recording.times) > 0).all()
    at_rest(done.recording, panda.limits)


def test_a_stop_on_the_way_to_the_start_is_a_stop(panda, trajectory):
    stop = threading.Event()
    stop.set()
    with KinematicArm(panda, panda.home + 0.015) as arm:
        done = run(trajectory, arm, interrupt=stop)
        after = arm.wait().positions
    assert done.outcome is Outcome.INTERRUPTED
    assert np.abs(done.recording.commanded - panda.home).min() > 1e-3, "it stopped before it got there"
    np.testing.assert_allclose(after, done.recording.commanded[-1], atol=1e-6)  # and was told nothing more


def test_half_speed_takes_twice_as_long(panda, trajectory):
    with KinematicArm(panda, panda.home) as arm:
        done = run(trajectory, arm, settings=ExecutionSettings(speed=0.5))
    assert done.reached
    assert done.recording.times[-1] - done.recording.times[0] == pytest.approx(2 * trajectory.duration, rel=0.02)


def test_a_delay_shows_as_tracking_error_and_stops_the_arm_on_the_path(panda, trajectory):
    settings = ExecutionSettings(monitor=MonitorSettings(tracking_error=0.01))
    with KinematicArm(panda, panda.home, delay=0.02) as arm:
        done = run(trajectory, arm, settings=settings)
    assert done.outcome is Outcome.STOPPED
    assert done.violation.fault is Fault.TRACKING
    assert "mrad off its command" in done.message
    at_rest(done.recording, panda.limits)
    end = done.recording.commanded[-1]
    share = (end - panda.home) / (trajectory.positions[-1] - panda.home)
    assert np.ptp(share) < 1e-6, "it left the straight path"
    assert 0.0 < share[0] < 1.0


def test_interrupt_is_a_controlled_stop(panda, trajectory):
    stop = threading.Event()

    def press(state, _):
        if state.time > 0.2:
            stop.set()

    with KinematicArm(panda, panda.home) as arm:
        done = run(trajectory, arm, interrupt=stop, on_tick=press)
    assert done.outcome is Outcome.INTERRUPTED
    at_rest(done.recording, panda.limits)


def test_refuses_before_anything_moves(panda, trajectory):
    with KinematicArm(panda, panda.home + 0.1) as arm:
        done = run(trajectory, arm)
    assert done.outcome is Outcome.REFUSED
    assert "not at the start" in done.message
    assert len(done.recording.times) == 0


def wrong(trajectory, panda, what):
    match what:
        case "joint order":
            return dataclasses.replace(trajectory, joint_names=trajectory.joint_names[::-1])
        case "not finite":
            positions = trajectory.positions.copy()
            positions[3, 2] = np.nan
            return dataclasses.replace(trajectory, positions=positions)
        case "velocity limit":
            fast = dataclasses.replace(trajectory, times=trajectory.times / 3, velocities=trajectory.velocities * 3)
            return dataclasses.replace(fast, accelerations=trajectory.accelerations * 9)
        case "position limit":
            return dataclasses.replace(trajectory, positions=trajectory.positions + 3.0)
        case "at rest":
            n = len(trajectory.times) // 2
            cut = {
                name: getattr(trajectory, name)[:n] for name in ("times", "positions", "velocities", "accelerations")
            }
            return dataclasses.replace(trajectory, **cut)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("joint order", "in this order"),
        ("not finite", "not finite"),
        ("velocity limit", "limit"),
        ("position limit", "beyond its position limit"),
        ("at rest", "does not end at rest"),
    ],
)
def test_a_trajectory_that_must_not_run_is_named(panda, trajectory, what, says):
    bad = wrong(trajectory, panda, what)
    assert says in refuse(bad, panda)
    with KinematicArm(panda, panda.home) as arm:
        assert run(bad, arm).outcome is Outcome.REFUSED
    assert refuse(trajectory, panda) is None


class Faulty(KinematicArm):
    """Misbehaves after 0.15 s."""

    def __init__(self, robot, positions, fault):
        super().__init__(robot, positions)
        self.fault, self.stopped = fault, False

    def wait(self):
        state = super().wait()
        if state.time < 0.15:
            return state
        match self.fault:
            case "nan":
                return dataclasses.replace(state, positions=np.full_like(state.positions, np.nan))
            case "pushed":
                return dataclasses.replace(state, external_torques=np.full_like(state.positions, 99.0))
            case "touch":
                return dataclasses.replace(state, contact=("panda_hand", "shelf"))
            case "stale":
                return dataclasses.replace(state, time=0.15)
            case "short":
                return dataclasses.replace(state, positions=state.positions[:-1])
            case "dead":
                raise DriverError("no answer from the arm for 100 ms")
        return state

    def stop(self):
        self.stopped = True
        super().stop()


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("nan", Fault.NOT_FINITE),
        ("pushed", Fault.EXTERNAL_TORQUE),
        ("touch", Fault.CONTACT),
        ("stale", Fault.STALE_STATE),
    ],
)
def test_every_fault_ends_at_rest_and_says_why(panda, trajectory, kind, fault):
    with Faulty(panda, panda.home, kind) as arm:
        done = run(trajectory, arm)
    assert done.outcome is Outcome.STOPPED
    assert done.violation.fault is fault
    commanded = done.recording.commanded
    assert not done.recording.commanded_velocities[-1].any()
    np.testing.assert_allclose(commanded[-1], commanded[-2], atol=1e-5)
    assert not np.allclose(commanded[-1], trajectory.positions[-1])


def test_a_driver_that_dies_is_told_to_stop(panda, trajectory):
    with Faulty(panda, panda.home, "dead") as arm:
        done = run(trajectory, arm)
        assert arm.stopped
    assert done.outcome is Outcome.LOST
    assert done.violation.fault is Fault.DRIVER


def test_a_state_with_a_joint_missing_is_a_lost_arm(panda, trajectory):
    with Faulty(panda, panda.home, "short") as arm:
        done = run(trajectory, arm)
        assert arm.stopped
    assert done.outcome is Outcome.LOST
    assert "positions of shape (6,); panda has 7 joints" in done.message
    assert np.isfinite(done.recording.measured).all()


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("speed", [1.0, 0.3])
def test_braking_keeps_the_limits_wherever_it_begins(panda, trajectory, share, speed):
    clock = MotionClock(trajectory, panda.limits, speed=speed)
    commands = []
    while not clock.at_rest:
        if clock.position >= share * trajectory.duration:
            clock.brake()
        commands.append(clock.advance(1e-3))
    v = np.array([c.velocities for c in commands])
    a = np.array([c.accelerations for c in commands])
    assert (np.abs(v) <= 1.01 * panda.limits.velocity).all()
    assert (np.abs(a) <= 1.05 * panda.limits.acceleration).all()
    assert np.abs(v[-1]).max() < 1e-3


def test_state_is_plain_data(panda):
    zeros = np.zeros(panda.dof)
    state = ArmState(0.0, panda.home, zeros, zeros, zeros)
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.time = 1.0
