"""Planning in forked children of a process that has planned: neither threads nor locks are there any more."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import edmp
from edmp.cached import cached_property

CONTEXT = multiprocessing.get_context("fork")
PATIENCE = 60.0
"""A child that has not answered by then hangs [s]; it takes one."""


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Several, on any machine, of kernels and of torch."""
    monkeypatch.setenv("EDMP_NUM_THREADS", "3")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def planned(name: str = "table") -> np.ndarray:
    """(n, dof) the path of an example."""
    problem = edmp.load_example(name)
    result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot, time_budget=60.0)
    assert result.path is not None, result.message
    return result.path


def answer(connection) -> None:
    a = torch.randn(600, 600)
    (a @ a).exp().sum()  # what torch does on all its threads
    connection.send(planned())
    connection.close()


def begin():
    here, there = CONTEXT.Pipe(duplex=False)
    child = CONTEXT.Process(target=answer, args=(there,), daemon=True)
    child.start()
    there.close()
    return child, here


def end(child, connection) -> np.ndarray:
    try:
        assert connection.poll(PATIENCE), "the child hangs"
        path = connection.recv()
        child.join(PATIENCE)
        assert child.exitcode == 0
        return path
    finally:
        child.kill()


def test_children_plan_as_their_parent_does() -> None:
    expected = planned()
    a = torch.randn(600, 600)
    (a @ a).exp().sum()
    children = [begin() for _ in range(3)]  # at the same time
    for child in children:
        np.testing.assert_allclose(end(*child), expected, atol=1e-6)
    np.testing.assert_allclose(planned(), expected, atol=1e-6)


def test_a_child_of_a_thread_while_others_plan() -> None:
    expected, stop = planned(), threading.Event()

    def plan_on() -> None:
        while not stop.is_set():
            planned()

    busy = threading.Thread(target=plan_on)
    busy.start()
    try:
        for _ in range(3):
            paths: list[np.ndarray] = []
            forking = threading.Thread(target=lambda found=paths: found.append(end(*begin())))
            forking.start()
            forking.join()
            np.testing.assert_allclose(paths, [expected], atol=1e-6)
    finally:
        stop.set()
        busy.join()


class Slow:
    """Has an attribute that takes as long as it is told."""

    def __init__(self, ready: threading.Event) -> None:
        self.asked, self.ready = threading.Event(), ready

    @cached_property
    def value(self) -> int:
        self.asked.set()
        self.ready.wait()
        return 5


def test_a_child_does_not_wait_for_what_another_thread_was_computing() -> None:
    """The lock of functools.cached_property, before Python 3.12, is that of all instances, and stays closed in it."""
    slow, quick = Slow(threading.Event()), Slow(threading.Event())
    quick.ready.set()
    busy = threading.Thread(target=lambda: slow.value)
    busy.start()
    slow.asked.wait()
    here, there = CONTEXT.Pipe(duplex=False)
    child = CONTEXT.Process(target=lambda: there.send(quick.value), daemon=True)
    child.start()
    try:
        assert here.poll(PATIENCE / 6), "the child hangs"
        assert here.recv() == 5
    finally:
        child.kill()
        slow.ready.set()
        busy.join()
    assert slow.value == slow.__dict__["value"] == 5


def test_grandchildren() -> None:
    planned()
    here, there = CONTEXT.Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        planned()
        there.send(end(*begin()))
        os._exit(0)
    try:
        assert here.poll(2 * PATIENCE), "a grandchild hangs"
        np.testing.assert_allclose(here.recv(), planned(), atol=1e-6)
    finally:
        os.waitpid(pid, 0)


FORKED = """
import multiprocessing
import numpy as np
import edmp
from edmp.sensing import DepthCamera, SimulatedCameras

camera = DepthCamera([[50, 0, 32], [0, 50, 24], [0, 0, 1]], np.eye(4), 64, 48, near=0.1, far=3.0)
scene = edmp.Scene.of({"wall": (edmp.Box((1.0, 1.0, 0.1)), (0.0, 0.0, 1.0))})
made = SimulatedCameras([camera], scene)

def see(connection, cameras):
    try:
        connection.send(round(float((cameras or SimulatedCameras([camera], scene)).look()[0].min()), 3))
    except edmp.EdmpError as error:
        connection.send(str(error))

def child(cameras):
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=see, args=(there, cameras), daemon=True)
    process.start()
    print(str(here.recv())[:30] if here.poll(20) else "hangs")
    process.kill()

child(made)
child(None)
print(round(float(made.look()[0].min()), 3))
child(made)
child(None)
print(round(float(made.look()[0].min()), 3))
"""


def test_cameras_do_not_hang_in_a_fork() -> None:
    """The graphics library has threads, too: who renders before forking is told so where it would hang."""
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=2 * PATIENCE)
    lines = done.stdout.splitlines()
    strange = "these cameras belong to proces"
    assert lines == [strange, "0.95", "0.95", strange, "this process was forked from o", "0.95"], done.stderr


@pytest.mark.parametrize("text", ["0", "-2", "four", "1.5", "1e3", "²", "99999999"])
def test_a_bad_number_of_threads_is_misuse_that_names_the_variable(text: str) -> None:
    command = [sys.executable, "-m", "edmp", "plan", "--scene", "table"]
    done = subprocess.run(command, env={**os.environ, "EDMP_NUM_THREADS": text}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the environment variable EDMP_NUM_THREADS must be a whole number")
    assert repr(text) in done.stderr
    assert len(done.stderr.splitlines()) == 1
