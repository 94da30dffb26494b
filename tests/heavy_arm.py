"""A Panda that is heavier than described and takes commands late, what it was recorded to do, and a motion for it."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np

from edmp.dynamics import ArmModel, identify
from edmp.execution import ExecutionSettings, MonitorSettings, execute
from edmp.planfile import PlanFile
from edmp.problem import Problem
from edmp.recordings import Recording
from edmp.result import PlanResult, Solution, Stage, Stats, Status
from edmp.robots import load_robot
from edmp.scenes import Box, Scene
from edmp.timing import retime_waypoints

FAR = Scene.of({"box": (Box((0.1, 0.1, 0.1)), (1.5, 0.0, 0.5))})
HEAVY = {"mass_error": 0.2, "delay": 0.02}
"""Options of the simulated arm that is recognised."""
LOOSE = ExecutionSettings(monitor=MonitorSettings(tracking_error=0.5))
_EXCURSION = (0.9, 0.4, -0.5, 0.5, 0.9, 0.6, 1.9)


@cache
def plan_to(*excursion: float) -> PlanFile:
    """From the Panda's home and by ``excursion`` [rad], as fast as its limits allow."""
    panda = load_robot("panda")
    there = panda.home + np.array(excursion or _EXCURSION)
    trajectory = retime_waypoints([panda.home, there], panda.limits, joint_names=panda.joint_names)
    solution = Solution(np.stack([panda.home, there]), trajectory, 1.2, 0.3)
    result = PlanResult(Status.SOLVED, "certified", solution, (), Stats(Stage.SAMPLE, 0.1))
    return PlanFile(Problem(panda, FAR, panda.home, there), result)


@cache
def recorded(speed: float = 0.5, **options: float) -> Recording:
    """What the simulated arm did, of another motion than `plan_to` gives by itself."""
    plan = plan_to(-0.7, 0.5, 0.6, -0.6, 0.8, 0.5, -0.9)
    done = execute(plan, options=options or HEAVY, speed=speed, settings=LOOSE, tube=None)
    assert done.reached, done.message
    return done.recording


@cache
def heavy_model() -> ArmModel:
    """The model of the heavy, late arm."""
    return identify(recorded(), robot="panda")


def cut(recording: Recording, rows: slice | np.ndarray, **changed: object) -> Recording:
    """Some rows of a recording, and other tables in it."""
    tables = ("times", "seen", "commanded", "measured", "commanded_velocities", "measured_velocities")
    kept = {name: getattr(recording, name)[rows] for name in (*tables, "torques", "external_torques")}
    return dataclasses.replace(recording, **{**kept, **changed})
