"""Drake's arm protocol over LCM: messages against Drake's own C++, and two processes over UDP multicast on loopback."""

import contextlib
import dataclasses
import json
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edmp.cli import main
from edmp.errors import InvalidInputError, UnknownNameError
from edmp.execution import DriverError, ExecutionSettings, Fault, MonitorSettings, Outcome, run
from edmp.execution.driver import ArmState, Command
from edmp.execution.drivers import drake_lcm, driver_class, make_driver, streamed
from edmp.execution.drivers.drake_lcm import DrakeLcmSettings
from edmp.execution.drivers.lcm_messages import DEFAULT_URL, PROTOCOLS, ArmStatus, Mailbox, effective_url, open_lcm
from edmp.execution.drivers.lcm_server import ArmServer, Reference, ServeSettings
from edmp.execution.kinematic import KinematicArm
from edmp.planfile import save_plan
from edmp.problem import Problem
from edmp.result import PlanResult, Solution, Stats, Status
from edmp.robots import load_robot
from edmp.scenes import Scene
from edmp.timing import retime_waypoints

pytest.importorskip("pydrake")
import drake
from pydrake.lcm import DrakeLcm
from pydrake.manipulation import (
    IiwaCommandReceiver,
    IiwaControlMode,
    IiwaStatusReceiver,
    PandaCommandReceiver,
    PandaStatusReceiver,
)
from pydrake.systems.analysis import Simulator
from pydrake.systems.framework import DiagramBuilder
from pydrake.systems.lcm import LcmInterfaceSystem, LcmSubscriberSystem
from pydrake.systems.primitives import ConstantVectorSource

URL = f"udpm://239.255.76.67:{20000 + os.getpid() % 20000}?ttl=0"
"""Ours alone on this machine, and not beyond it."""

SLOWLY = ExecutionSettings(
    speed=0.2, monitor=MonitorSettings(lateness=5.0, state_age=5.0, velocity_slack=2.0, tracking_error=0.1)
)
"""The arm shares the processor with the tests: how late it is, and how it catches up, says nothing."""

PROTOCOL_NAMES = list(PROTOCOLS)


@pytest.fixture(scope="module")
def panda():
    return load_robot("panda")


@pytest.fixture(scope="module")
def motion(panda):
    there = panda.home + np.array([0.5, 0.2, 0.1, 0.3, -0.2, 0.2, 0.4])
    return retime_waypoints([panda.home, there], panda.limits, joint_names=panda.joint_names)


@pytest.fixture(scope="module")
def multicast():
    try:
        open_lcm(URL)
    except DriverError as error:
        pytest.skip(str(error))


@pytest.fixture
def serve(multicast):
    """Start an arm in a process of its own."""
    processes = []

    def start(protocol="panda"):
        command = [sys.executable, str(Path(__file__).parent / "lcm_arm.py"), URL, protocol]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert select.select([process.stdout], [], [], 60)[0], "the arm did not start"
        assert process.stdout.readline() == "READY\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def serve_here(panda, multicast):
    """The same in a thread, which is there at once."""
    ending, threads = threading.Event(), []

    def start(protocol="panda"):
        ready = threading.Event()

        def work():
            with KinematicArm(panda, panda.home, period=1e-3) as arm:
                ArmServer(arm, settings=ServeSettings(protocol=protocol, url=URL)).serve(ending, ready=ready.set)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        assert ready.wait(20)

    yield start
    ending.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def busy(monkeypatch):
    """Commands and statuses may be as late as a loaded machine makes them."""
    monkeypatch.setattr(streamed, "_NO_STATE", 5.0)
    monkeypatch.setattr(drake_lcm, "_SILENCE", 2.0)
    monkeypatch.setattr(streamed, "_LATE", 5.0)
    monkeypatch.setattr(streamed, "_PATIENCE", 5.0)


def reach(panda, protocol="panda", **options):
    return make_driver("drake-lcm", panda, options={"url": URL, "protocol": protocol, **options})


# -- messages ---------------------------------------------------------------------------------------------------------


def read_by_drake(kind, raw, receiver):
    """What Drake's own receiver makes of a message, by the names of its ports."""
    builder = DiagramBuilder()
    wire = DrakeLcm("memq://")
    lcm = builder.AddSystem(LcmInterfaceSystem(wire))
    subscriber = builder.AddSystem(LcmSubscriberSystem.Make("X", kind, lcm, use_cpp_serializer=True))
    builder.AddSystem(receiver)
    builder.Connect(subscriber.get_output_port(), receiver.get_input_port(0))
    if receiver.num_input_ports() > 1:  # position_measured, held until there is a command
        elsewhere = builder.AddSystem(ConstantVectorSource(np.full(7, 9.0)))
        builder.Connect(elsewhere.get_output_port(), receiver.get_input_port(1))
    diagram = builder.Build()
    simulator = Simulator(diagram)
    simulator.Initialize()
    wire.Publish("X", raw)
    simulator.AdvanceTo(0.01)
    context = receiver.GetMyContextFromRoot(simulator.get_context())
    ports = [receiver.get_output_port(k) for k in range(receiver.num_output_ports())]
    return {port.get_name(): port.Eval(context) for port in ports}


def some(seed):
    return np.random.default_rng(seed).normal(size=7)


@pytest.mark.parametrize(
    ("protocol", "receiver"),
    [
        ("panda", PandaCommandReceiver(7, drake.lcmt_panda_status.CONTROL_MODE_POSITION)),
        ("iiwa", IiwaCommandReceiver(7, IiwaControlMode.kPositionOnly)),
    ],
)
def test_drake_reads_our_commands(protocol, receiver):
    raw = PROTOCOLS[protocol]().encode_command(some(0), 1e9)
    kind = getattr(drake, f"lcmt_{protocol}_command")
    np.testing.assert_array_equal(read_by_drake(kind, raw, receiver)["position"], some(0))
    stamp, positions = PROTOCOLS[protocol]().decode_command(raw)
    assert stamp == 1e9
    np.testing.assert_array_equal(positions, some(0))


@pytest.mark.parametrize(
    ("protocol", "receiver", "velocity"),
    [("panda", PandaStatusReceiver(7), "velocity_measured"), ("iiwa", IiwaStatusReceiver(7), "velocity_estimated")],
)
def test_drake_reads_our_statuses_and_so_do_we(protocol, receiver, velocity):
    state = ArmState(2.5, some(1), some(2), some(3), some(4))
    ours = PROTOCOLS[protocol]()
    raw = ours.encode_status(ArmStatus(1e9, state), Command(some(5), some(6), some(7)))
    read = read_by_drake(getattr(drake, f"lcmt_{protocol}_status"), raw, receiver)
    np.testing.assert_array_equal(read["position_measured"], state.positions)
    np.testing.assert_array_equal(read[velocity], state.velocities)
    np.testing.assert_array_equal(read["torque_measured"], state.torques)
    np.testing.assert_array_equal(read["torque_external"], state.external_torques)
    np.testing.assert_array_equal(read["position_commanded"], some(5))
    status = ours.decode_status(raw)
    assert (status.stamp, status.refusal) == (1e9, None)
    assert status.state.time == (2.5 if protocol == "panda" else 1e9)
    for name in ("positions", "velocities", "torques", "external_torques"):
        np.testing.assert_array_equal(getattr(status.state, name), getattr(state, name))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("robot_mode", drake.lcmt_panda_status.kIdle, "--control_mode=position"),
        ("robot_mode", drake.lcmt_panda_status.kReflex, "reflex"),
        ("robot_mode", drake.lcmt_panda_status.kUserStopped, "release the stop"),
        ("control_mode", drake.lcmt_panda_status.CONTROL_MODE_VELOCITY, "--control_mode=position"),
        ("control_mode", 0, None),  # as drake-franka-driver leaves it
    ],
)
def test_when_a_panda_takes_no_commands(field, value, says):
    ours, rest = PROTOCOLS["panda"](), Command.hold(np.zeros(7))
    state = ArmState(1.0, *np.zeros((4, 7)))
    message = drake.lcmt_panda_status.decode(ours.encode_status(ArmStatus(1e9, state), rest))
    setattr(message, field, value)
    refusal = ours.decode_status(message.encode()).refusal
    assert refusal is None if says is None else says in refusal


def test_messages_that_an_arm_does_not_take():
    panda, iiwa = PROTOCOLS["panda"](), PROTOCOLS["iiwa"]()
    with pytest.raises(DriverError, match="no lcmt_panda_command"):
        panda.decode_command(iiwa.encode_command(np.zeros(7), 1e9))
    with pytest.raises(DriverError, match="no lcmt_iiwa_status"):
        iiwa.decode_status(b"short")
    message = drake.lcmt_panda_command.decode(panda.encode_command(np.zeros(7), 1e9))
    message.control_mode_expected = drake.lcmt_panda_status.CONTROL_MODE_TORQUE
    with pytest.raises(DriverError, match="control mode 4"):
        panda.decode_command(message.encode())


def test_reference_follows_a_ramp_one_time_constant_late():
    dt, cutoff, speed = 1e-3, 30.0, np.array([1.0, -0.5])
    reference = Reference(np.zeros(2), dt, cutoff=cutoff, highest=np.array([10.0, 20.0]))
    lag = 1.0 / (2.0 * math.pi * cutoff)
    for k in range(1, 201):
        command = reference.advance(speed * k * dt)
        assert (np.abs(command.accelerations) <= [10.0, 20.0]).all()
    np.testing.assert_allclose(command.positions, speed * (200 * dt - lag), rtol=1e-9)
    np.testing.assert_allclose(command.velocities, speed, rtol=1e-9)
    np.testing.assert_allclose(command.accelerations, 0.0, atol=1e-6)


# -- LCM --------------------------------------------------------------------------------------------------------------


def test_no_way_for_messages_is_told_with_what_to_set():
    with pytest.raises(DriverError, match="ip link set lo multicast on; ip route add"):
        open_lcm("memq://")  # reaches nobody, not even another end in this process


def test_a_machine_without_a_route():
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to make a network of our own")
    code = f"""
import os
from edmp.execution.drivers.lcm_messages import DriverError, open_lcm
os.system("ip link set lo up")
try:
    open_lcm({URL!r})
except DriverError as error:
    print(error)
os.system("ip link set lo multicast on; ip route add 239.255.76.67/32 dev lo")
open_lcm({URL!r})
print("and that is enough")
"""
    done = subprocess.run([*alone, sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    first, second = done.stdout.splitlines()
    assert "no message gets through LCM" in first
    assert "ip link set lo multicast on; ip route add 239.255.76.67/32 dev lo" in first
    assert second == "and that is enough"


def test_urls(monkeypatch):
    monkeypatch.delenv("LCM_DEFAULT_URL", raising=False)
    assert effective_url("") == DEFAULT_URL
    monkeypatch.setenv("LCM_DEFAULT_URL", "udpm://here")
    assert effective_url("") == "udpm://here"
    assert effective_url("udpm://there") == "udpm://there"


@pytest.mark.parametrize("settings", [DrakeLcmSettings, ServeSettings])
def test_settings_that_make_no_sense(settings):
    with pytest.raises(UnknownNameError, match="iiwa, panda"):
        settings(protocol="kuka")
    with pytest.raises(InvalidInputError, match="url"):
        settings(url=7)
    with pytest.raises(InvalidInputError, match="period"):
        DrakeLcmSettings(period=1.0)


# -- two processes ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def sending(message):
    """Publish what ``message()`` gives, channel and bytes, a hundred times a second."""
    ending = threading.Event()

    def work():
        lcm = DrakeLcm(URL)
        while not ending.wait(0.01):
            lcm.Publish(*message())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def statuses(panda, shift):
    """Of an arm at rest, stamped ``shift`` [s] off the clock."""
    ours, begin = PROTOCOLS["panda"](), time.time()
    state = ArmState(1.0, panda.home, *np.zeros((3, 7)))

    def message():
        now = dataclasses.replace(state, time=1.0 + time.time() - begin)
        return ours.status_channel, ours.encode_status(ArmStatus(time.time() + shift, now), Command.hold(panda.home))

    return message


def listen(arm):
    for _ in range(3000):
        arm.wait()


def threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("drake-lcm")}


@pytest.mark.parametrize("protocol", PROTOCOL_NAMES)
def test_follows_a_motion(protocol, panda, motion, serve, busy):
    server = serve(protocol)
    with reach(panda, protocol) as arm:
        assert arm.hardware, "it cannot know that the arm is simulated"
        done = run(motion, arm, settings=SLOWLY)
    assert done.outcome is Outcome.REACHED, done.message
    recording = done.recording
    np.testing.assert_allclose(recording.measured[-1], motion.positions[-1], atol=2e-3)
    assert np.abs(recording.measured_velocities).max() > 0.1
    assert not threads()
    server.send_signal(signal.SIGTERM)
    said = server.communicate(timeout=20)[0]
    assert server.returncode == 0
    assert "gave_up=None" in said


def test_the_arms_process_is_killed_while_it_moves(panda, motion, serve, busy):
    server = serve()

    def kill(state, command):
        if np.abs(command.velocities).max() > 0.3:
            server.kill()

    with reach(panda) as arm:
        done = run(motion, arm, settings=SLOWLY, on_tick=kill)
    assert done.outcome is Outcome.LOST
    assert done.violation.fault is Fault.DRIVER
    assert "has ended or hangs" in done.message
    assert URL in done.message
    assert not threads()


def test_whoever_commands_is_gone_and_the_arm_rests_where_it_was_told_last(panda, serve):
    serve()
    lcm, ours = open_lcm(URL), PROTOCOLS["panda"]()
    inbox, target, first = Mailbox(lcm, ours.status_channel), panda.home.copy(), time.time()
    for _ in range(100):
        target = target + 1e-3
        lcm.Publish(ours.command_channel, ours.encode_command(target, time.time()))
        time.sleep(2e-3)
    for _ in range(25):
        lcm.Publish(ours.command_channel, ours.encode_command(target, time.time()))
        time.sleep(0.02)
    lcm.Publish(ours.command_channel, ours.encode_command(target + 0.01, first - 10.0))  # expired
    time.sleep(0.5)
    inbox.poll()
    time.sleep(0.05)
    status = ours.decode_status(inbox.poll())
    assert status.refusal is None
    np.testing.assert_allclose(status.state.positions, target, atol=1e-9)
    np.testing.assert_allclose(status.state.velocities, 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("jump", "mode"), [(0.5, 1), (math.nan, 1), (0.0, drake.lcmt_panda_status.CONTROL_MODE_TORQUE)]
)
def test_an_arm_that_gave_up_is_lost_and_says_why(jump, mode, panda, serve_here):
    serve_here()
    with reach(panda) as arm:
        arm.wait()
        message = drake.lcmt_panda_command.decode(PROTOCOLS["panda"]().encode_command(panda.home + jump, 0.0))
        message.control_mode_expected = mode

        def now():
            message.utime = round(1e6 * time.time())
            return "PANDA_COMMAND", message.encode()

        with sending(now), pytest.raises(DriverError, match="reflex"):
            listen(arm)


def test_nobody_there(panda, multicast):
    with pytest.raises(DriverError, match="Is drake-franka-driver running, or edmp sim serve") as raised:
        reach(panda, timeout=0.3).connect()
    assert URL in str(raised.value)
    assert not threads()


@pytest.mark.parametrize(("shift", "says"), [(-3600.0, "s old"), (0.5, "s ahead")])
def test_clocks_apart(shift, says, panda, multicast):
    with sending(statuses(panda, shift)), pytest.raises(DriverError, match="clocks of the two machines") as raised:
        reach(panda, timeout=0.3).connect()
    assert says in str(raised.value)


def test_somebody_else_commands(panda, multicast):
    command = PROTOCOLS["panda"]().encode_command(panda.home, time.time())
    with sending(lambda: ("PANDA_COMMAND", command)), pytest.raises(DriverError, match="somebody else commands"):
        reach(panda).connect()


def test_another_arm(serve_here):
    serve_here()
    ur5 = load_robot("ur5")
    with pytest.raises(DriverError, match=f"an arm of 7 joints; ur5 has {ur5.dof}"):
        reach(ur5).connect()


def test_commands_more_often_than_statuses(panda, serve_here):
    serve_here("iiwa")
    with pytest.raises(DriverError, match="set period to"):
        reach(panda, "iiwa", period=1e-3).connect()


def test_one_arm_a_channel(panda, serve_here):
    serve_here()
    with KinematicArm(panda, panda.home) as arm, pytest.raises(DriverError, match="another arm reports already"):
        ArmServer(arm, settings=ServeSettings(url=URL)).serve(threading.Event())


def test_an_iiwas_driver_ends_where_a_pandas_reports(panda, multicast):
    with KinematicArm(panda, panda.home) as arm:
        server = ArmServer(arm, settings=ServeSettings(protocol="iiwa", url=URL))

        def jump():
            open_lcm(URL).Publish("IIWA_COMMAND", PROTOCOLS["iiwa"]().encode_command(panda.home + 0.5, time.time()))

        with pytest.raises(DriverError, match="jump: drake-iiwa-driver ends then"):
            server.serve(threading.Event(), ready=jump)


@pytest.fixture
def plan(panda, motion, tmp_path):
    best = Solution(np.array([panda.home, motion.positions[-1]]), motion, 0.5, np.inf)
    result = PlanResult(Status.SOLVED, "", best, (), Stats(None, 0.0))
    path = tmp_path / "plan.json"
    save_plan(path, Problem(panda, Scene(), panda.home, motion.positions[-1]), result)
    return path


def test_edmp_sim_serve(panda, plan, multicast):
    """Drake's arm goes where plain messages tell it to, however late a busy machine makes it, and ends when asked."""
    command = [sys.executable, "-m", "edmp", "sim", "serve", "--plan", str(plan), "--url", URL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert select.select([server.stdout], [], [], 60)[0], "edmp sim serve did not start"
            assert server.stdout.readline() == f"READY panda PANDA_STATUS on {URL}\n"
            lcm, ours = open_lcm(URL), PROTOCOLS["panda"]()
            inbox, end, state = Mailbox(lcm, ours.status_channel), time.monotonic() + 90, None
            target = panda.home.copy()
            goal = panda.home + 0.1
            while state is None or np.abs(state.positions - goal).max() > 2e-3:
                target = np.minimum(target + 1e-3, goal)
                lcm.Publish(ours.command_channel, ours.encode_command(target, time.time()))
                time.sleep(5e-3)
                if (raw := inbox.poll()) is not None:
                    status = ours.decode_status(raw)
                    state = status.state
                    assert status.refusal is None
                assert time.monotonic() < end, f"it is at {state}"
            assert np.abs(state.torques).max() > 5.0, "something holds it up"
            server.send_signal(signal.SIGTERM)
            _, said = server.communicate(timeout=20)
        finally:
            server.kill()
    assert server.returncode == 0
    assert "contacts none" in said


def test_edmp_sim_serve_misused(plan, capsys):
    for arguments, says in (
        (["--plan", str(plan), "--robot", "panda"], "--plan gives robot"),
        (["--scene", "nowhere"], "shipped examples"),
        (["--protocol", "kuka"], "iiwa, panda"),
        (["--start", "1 2"], "--start: expected 7 numbers"),
        (["--option", "real_time=true"], "the pace is kept anyhow"),
        (["--option", "delays=1"], "Did you mean 'delay'"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["sim", "serve", *arguments])
        assert stop.value.code == 2
        assert says in capsys.readouterr().err


def test_edmp_execute(plan, serve, busy, monkeypatch, capsys):
    serve()
    monkeypatch.setattr("edmp.execution.ExecutionSettings", lambda speed: dataclasses.replace(SLOWLY, speed=speed))
    driver = ["--driver", "drake-lcm", "--option", f"url={URL}"]
    with pytest.raises(SystemExit) as stop:
        main(["execute", str(plan), *driver, "--yes", "--speed", "0.2", "--json"])
    out, err = capsys.readouterr()
    assert json.loads(out)["outcome"] == "REACHED"
    assert stop.value.code == 0
    assert "a REAL arm" in err


def test_entry(panda):
    assert driver_class("drake-lcm").name == "drake-lcm"
    assert "UNTESTED ON HARDWARE" in driver_class("drake-lcm").evidence
