"""Duties beside a control loop: turns on a simulated clock are charged what they compute, threads end when told."""

import threading
import time

import pytest

from edmp.errors import InvalidInputError
from edmp.execution.company import Duty, Threads, Turns, company_of
from edmp.execution.driver import Command
from edmp.execution.kinematic import KinematicArm
from edmp.robots import load_robot

PERIOD = 0.01


@pytest.fixture
def arm():
    robot = load_robot("panda")
    with KinematicArm(robot, robot.home, period=PERIOD) as arm:
        yield arm


class Stopwatch:
    """Computing takes what a test says."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


def run_until(arm, turns, end):
    while arm.now() < end:
        arm.command(Command.hold(arm.robot.home))
        arm.wait()
        turns.tick()


def test_what_is_computed_takes_effect_when_the_clock_has_come_that_far(arm):
    watch, done = Stopwatch(), []
    turns = Turns(arm, stopwatch=watch)
    lock = turns.lock()

    def step():
        begin = turns.now()
        watch.time += 0.055  # computes
        with lock:
            done.append((begin, arm.now()))

    turns.start([Duty("duty", step, 0.1)], failed=pytest.fail)
    run_until(arm, turns, 0.35)
    assert turns.stop(1.0) == []
    begins, ends = zip(*done, strict=True)
    assert begins == pytest.approx((0.0, 0.1, 0.2, 0.3), abs=1e-9)
    assert ends[:3] == pytest.approx((0.06, 0.16, 0.26), abs=1e-9), "at the first tick after 55 ms"


def test_a_slower_computer_is_charged_more(arm):
    watch, seen = Stopwatch(), []
    turns = Turns(arm, stopwatch=watch, slowdown=3.0)

    def step():
        watch.time += 0.02
        seen.append(turns.now())

    turns.start([Duty("duty", step, 1.0)], failed=pytest.fail)
    run_until(arm, turns, 0.1)
    assert turns.stop(1.0) == []
    assert seen == pytest.approx([0.06])


def test_who_is_farthest_behind_goes_first_and_never_two_at_once(arm):
    watch, order, busy = Stopwatch(), [], threading.Lock()
    turns = Turns(arm, stopwatch=watch)

    def named(name, cost):
        def step():
            assert busy.acquire(blocking=False), "two at once"
            order.append((arm.now(), name))
            watch.time += cost
            busy.release()
            turns.now()

        return step

    duties = [Duty("slow", named("slow", 0.03), 0.01), Duty("quick", named("quick", 0.0), 0.01)]
    turns.start(duties, failed=pytest.fail)
    run_until(arm, turns, 0.1)
    assert turns.stop(1.0) == []
    assert sum(name == "quick" for _, name in order) >= 9, "the slow one holds nobody up"
    assert sum(name == "slow" for _, name in order) in (3, 4)


def test_a_duty_that_raises_is_told_and_ends(arm):
    told = []
    turns = Turns(arm, stopwatch=Stopwatch())

    def step():
        raise ValueError("broken")

    turns.start([Duty("duty", step, 0.01)], failed=told.append)
    run_until(arm, turns, 0.05)
    assert [str(error) for error in told] == ["broken"]
    assert turns.silence("duty") == pytest.approx(arm.now())
    assert turns.stop(1.0) == []


def test_a_duty_that_hangs_is_found_out(arm):
    told, release = [], threading.Event()
    turns = Turns(arm, stopwatch=Stopwatch(), patience=0.1)
    turns.start([Duty("duty", lambda: release.wait(), 0.01)], failed=told.append)
    run_until(arm, turns, 0.05)
    assert "duty hangs" in str(told[0])
    assert turns.stop(0.1) == ["duty"]
    release.set()


def test_threads_keep_their_period_and_end_when_told():
    robot = load_robot("panda")
    arm = KinematicArm(robot, robot.home, real_time=True)
    company = company_of(arm)
    assert isinstance(company, Threads)
    times, told = [], []
    company.start([Duty("edmp-test", lambda: times.append(time.monotonic()), 0.02)], failed=told.append)
    time.sleep(0.2)
    assert company.stop(1.0) == []
    count = len(times)
    assert 2 <= count <= 11
    time.sleep(0.05)
    assert len(times) == count
    assert told == []


def test_nonsense_is_refused(arm):
    with pytest.raises(InvalidInputError, match="slowdown"):
        Turns(arm, slowdown=-1.0)
    assert isinstance(company_of(arm), Turns)
