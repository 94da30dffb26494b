"""What drivers of real arms share, on an arm in memory whose clock is the test's."""

import threading
import time

import numpy as np
import pytest

from edmp.errors import InvalidInputError
from edmp.execution import DriverError
from edmp.execution.driver import ArmState, Command
from edmp.execution.drivers.streamed import StreamedArm, slow_down
from edmp.robots import load_robot


@pytest.fixture(scope="module")
def panda():
    return load_robot("panda")


class Arm(StreamedArm):
    """Where it was told to be; ``clock`` tells its time [s], ``fault`` what is wrong with it."""

    name = "in-memory"
    evidence = "in memory"

    def __init__(self, robot, clock=time.monotonic, period=2e-3):
        super().__init__(robot, period=period, dof=7)
        self.clock, self.fault, self.sent, self.calls = clock, None, [], []

    def _reach(self):
        self.calls.append("reach")
        self.at = Command.hold(self.robot.home)

    def _measure(self):
        if self.fault:
            raise DriverError(self.fault)
        zeros = np.zeros(7)
        return ArmState(self.clock(), self.at.positions, self.at.velocities, zeros, zeros)

    def _send(self, command):
        if self.fault:
            raise DriverError(self.fault)
        self.at = command
        self.sent.append((time.monotonic(), command))

    def _halt(self):
        self.calls.append("halt")

    def _release(self):
        self.calls.append("release")


def moving(robot, share=0.5):
    return Command(robot.home, share * robot.limits.velocity, np.zeros(7))


def test_slow_down_is_straight_and_within_the_limits(panda):
    reference, dt, speeds = moving(panda, 0.8), 1e-3, []
    begin = reference
    while reference.velocities.any():
        after = slow_down(reference, panda.limits, dt)
        change = (after.velocities - reference.velocities) / dt
        assert (np.abs(change) <= panda.limits.acceleration * (1 + 1e-9)).all()
        moved = after.positions - reference.positions
        at_most = 0.5 * np.abs(after.velocities + reference.velocities) * dt  # the last step ends within dt
        assert (np.abs(moved) <= at_most + 1e-12).all()
        speeds.append(np.abs(after.velocities).max())
        reference = after
    assert len(speeds) * dt == pytest.approx((np.abs(begin.velocities) / panda.limits.acceleration).max(), abs=2 * dt)
    stopping = 0.5 * begin.velocities * (np.abs(begin.velocities) / panda.limits.acceleration).max()
    np.testing.assert_allclose(reference.positions - begin.positions, stopping, atol=1e-9)
    np.testing.assert_allclose(slow_down(begin, panda.limits, 9.0).positions, reference.positions, atol=1e-9)
    direction = (reference.positions - begin.positions) / begin.velocities
    assert np.ptp(direction) < 1e-12


def test_missing_commands_are_bridged_and_then_the_arm_is_braked(panda):
    with Arm(panda) as arm:
        arm.wait()
        arm.command(moving(panda))
        deadline = time.monotonic() + 5.0
        while arm.at.velocities.any() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not arm.at.velocities.any()
        speeds = np.array([command.velocities[0] for _, command in arm.sent])
        assert (np.diff(speeds) < 0).all()
        assert len(speeds) > 10
        with pytest.raises(DriverError, match="no command for"):
            arm.command(moving(panda))


def test_an_arm_at_rest_needs_no_commands(panda):
    with Arm(panda) as arm:
        arm.command(Command.hold(panda.home))
        time.sleep(0.2)
        arm.command(Command.hold(panda.home))
        assert len(arm.sent) == 2


class Clock:
    """An arm's clock that moves when the test says so; counts how often it was looked at."""

    def __init__(self):
        self.time, self.looks = 7.0, 0

    def __call__(self):
        self.looks += 1
        return self.time


def looks(arm, clock):
    """How often a tick looked at the arm; more than once if it had to wait."""
    before = clock.looks
    arm.wait()
    return clock.looks - before


def test_ticks_follow_the_arms_clock_and_make_up_for_small_delays(panda):
    clock = Clock()
    with Arm(panda, clock=clock, period=5e-3) as arm:
        assert looks(arm, clock) > 1  # the clock stands still: an old state, for the monitor to judge
        clock.time += 0.02
        assert [looks(arm, clock) for _ in range(4)] == [1, 1, 1, 1]  # due meanwhile
        assert looks(arm, clock) > 1
        clock.time += 0.2
        assert looks(arm, clock) == 1
        assert looks(arm, clock) > 1  # too late to be made up for


def test_a_clock_that_stands_still_is_a_lost_arm(panda):
    def wait_on():
        while True:
            arm.wait()

    with Arm(panda, clock=Clock()) as arm, pytest.raises(DriverError, match="no new state for"):
        wait_on()


def test_a_fault_in_the_background_reaches_whoever_commands(panda):
    with Arm(panda) as arm:
        arm.command(moving(panda))
        arm.fault = "the cable is out"
        deadline = time.monotonic() + 5.0
        while arm._failure is None and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(DriverError, match="the cable is out"):
            arm.command(moving(panda))
        with pytest.raises(DriverError, match="the cable is out"):
            arm.wait()


def test_nothing_is_left_running(panda):
    before = threading.active_count()
    arm = Arm(panda)
    with arm:
        assert threading.active_count() == before + 1
        arm.stop()
        arm.stop()
        with pytest.raises(DriverError, match="stopped"):
            arm.command(Command.hold(panda.home))
    arm.close()
    assert threading.active_count() == before
    assert arm.calls == ["reach", "halt", "halt", "release"]
    with pytest.raises(DriverError, match="not connected"):
        arm.wait()
    with arm:  # and again
        arm.command(Command.hold(panda.home))


def test_an_arm_that_cannot_be_reached_is_released(panda):
    arm = Arm(panda)
    arm.fault = "nobody"
    with pytest.raises(DriverError, match="nobody"), arm:
        pass
    assert arm.calls == ["reach", "release"]


def test_another_number_of_joints(panda):
    with pytest.raises(InvalidInputError, match="7 joints"):
        Arm(load_robot("ur5"))


def test_late_commands_are_left_out_but_not_the_last(panda):
    clock = Clock()
    with Arm(panda, clock=clock) as arm:
        arm.command(moving(panda))
        while not arm._braked:
            time.sleep(1e-3)
        clock.time += 0.02
        arm.wait()  # the first of ten ticks that were due meanwhile
        late, last = moving(panda, 0.3), Command.hold(panda.home)
        arm.command(late)
        arm.command(last)
        sent = [command for _, command in arm.sent]
        assert not any(command is late for command in sent)
        assert any(command is last for command in sent)
