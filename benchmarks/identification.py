"""Arms recognised by least squares, by a network, and by both: what is known of them, and how sure that is.

    PYTHONPATH=. python benchmarks/identification.py --arms 16 --pool /tmp/pool

Random arms, whose masses, motors, friction, controller and delay are those of a distribution of `edmp dynamics
generate`, run a planned motion in Drake, of which all, or the first second, is the recording, with torques or without;
then another motion, which has to be predicted. Rows: the arm as described; `edmp.dynamics.identify` by its methods; and
by the network with another arm's recording.

Columns, root mean square over arms: mass of the whole arm [of the described], payload (what is at the tool and
not described) [kg], delay [ms], friction, viscous and Coulomb [Nm s/rad, Nm for each 100 Nm of effort limit]; medians:
torques of the other motion [share of what they differ from the described arm's], largest tracking error of each of its
joints, predicted less measured [mrad]; then what share of mass, delay, and friction lies within one and two standard
deviations (68 and 95 % where these are right).
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import logging
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.dynamics import ArmDynamics, ArmModel, Controller, identify, inverse_dynamics
from edmp.dynamics.arm import effort_scale
from edmp.dynamics.learned.recogniser import Recogniser, load_recogniser, shipped
from edmp.dynamics.least_squares import PriorSettings, fit_torques, parameters_of
from edmp.dynamics.motions import planned_pool
from edmp.dynamics.random_arms import RandomArm, Spread, random_arm
from edmp.errors import EdmpError
from edmp.execution.driver import Command
from edmp.execution.drivers.drake_sim import DrakeArm, DrakeSimSettings
from edmp.recordings import Log
from edmp.robots import load_robot
from edmp.robots.robot import Robot
from edmp.trajectory import Trajectory, slowed

Array = NDArray[np.float64]

KINDS = ("as in training", "all parts far off", "beyond training", "20 % heavier")
BEYOND = Spread(
    mass=(0.35, 0.5),
    shape=(0.2, 0.3),
    com=(0.03, 0.045),
    armature=(0.6, 0.9),
    viscous=(0.05, 0.08),
    coulomb=(0.025, 0.04),
    payload=(2.5, 3.5),
    bandwidth=(12.0, 14.0),
    stiffness=(2.0, 2.5),
    damping=(0.45, 0.5),
    delay=(0.05, 0.06),
)
"""Beyond `wide`, on which the network was trained, in every part; `out` is at its edge in every part."""
SPEED, REST, SHORT = 0.6, 0.3, 1.0
"""Share of the planned speed of the recorded motion; before and after it [s]; of short recordings [s]."""


@dataclasses.dataclass(frozen=True)
class Case:
    """An arm, what was recorded, and a motion with what it did then."""

    real: RandomArm
    log: Log
    motion: Trajectory
    done: Log


def drawn(kind: str, nominal: ArmDynamics, rng: np.random.Generator) -> RandomArm:
    if kind == KINDS[3]:
        return RandomArm(ArmDynamics.of(nominal.robot, mass_error=0.2), Controller(delay=0.02), 0.0)
    one = random_arm(nominal, rng, dict(zip(KINDS, ("wide", "out", BEYOND), strict=False))[kind])
    return dataclasses.replace(
        one, controller=dataclasses.replace(one.controller, delay=round(one.controller.delay, 3))
    )


def run(robot: Robot, real: RandomArm, motion: Trajectory) -> Log:
    """What Drake's arm does, a row each millisecond; touching nothing stops it."""
    c = real.controller
    settings = DrakeSimSettings(c.control, c.bandwidth, c.stiffness, c.damping, delay=c.delay)
    times = 1e-3 * np.arange(1, round((motion.duration + 2 * REST) / 1e-3))
    q, v, a = motion.sample(np.clip(times - REST, 0.0, motion.duration))
    moving = ((times > REST) & (times < REST + motion.duration))[:, None]
    v, a = v * moving, a * moving
    rows = []
    with DrakeArm(robot, q[0], settings=settings, dynamics=real.arm) as arm:
        for k in range(len(times)):
            arm.command(Command(q[k], v[k], a[k]))
            state = arm.wait()
            rows.append((state.positions, state.velocities, state.torques))
    positions, velocities, torques = (np.array(column) for column in zip(*rows, strict=True))
    return Log(robot.joint_names, times, positions, velocities, torques, q, v, source="Drake")


def cases(robot: Robot, kind: str, count: int, pool: list[Trajectory], seed: int) -> list[Case]:
    rng, nominal, found = np.random.default_rng((seed, KINDS.index(kind))), ArmDynamics.of(robot), []
    long = [motion for motion in pool if motion.duration / SPEED > SHORT]
    for _ in range(count):
        real = drawn(kind, nominal, rng)
        one, other = (long[k] for k in rng.choice(len(long), 2, replace=False))
        found.append(Case(real, run(robot, real, slowed(one, SPEED)), other, run(robot, real, other)))
    return found


def described(nominal: ArmDynamics) -> ArmModel:
    fit = fit_torques(nominal, None, 8.0, PriorSettings())
    zero = np.zeros(nominal.dof)
    return ArmModel(nominal, nominal, fit.covariance, Controller(), 0.02, zero, zero, fit.mass_factor, fit.payload)


def figures(model: ArmModel, case: Case) -> dict[str, float | Array]:
    """Errors, and these divided by their standard deviations."""
    nominal, real, dof = model.nominal, case.real, model.robot.dof
    d, effort = 13 * dof, effort_scale(model.robot)
    heavy = np.zeros(d)
    heavy[0 : 10 * dof : 10] = 1.0 / nominal.mass.sum()
    off = parameters_of(model.arm) - parameters_of(real.arm)
    sigma = np.sqrt(np.maximum(np.diag(model.covariance), 1e-300))
    friction = off[11 * dof :] / np.tile(effort, 2)
    rows = slice(0, None, 20)
    clipped = np.clip(case.done.times - REST, 0.0, case.motion.duration)[rows]
    states = case.motion.sample(clipped)
    truth, ours, plain = (inverse_dynamics(arm, *states) / effort for arm in (real.arm, model.arm, nominal))
    predicted = np.abs(model.predict(case.motion, num_samples=1).errors[0]).max(axis=0)
    assert case.done.commanded is not None
    measured = np.abs(case.done.positions - case.done.commanded).max(axis=0)
    return {
        "mass": heavy @ off,
        "payload": model.payload[0] - real.payload,
        "delay": 1e3 * (model.delay - real.controller.delay),
        "viscous": 100 * friction[:dof],
        "coulomb": 100 * friction[dof:],
        "torques": float(np.sqrt(np.mean((ours - truth) ** 2) / np.mean((plain - truth) ** 2))),
        "tracking": 1e3 * np.abs(predicted - measured),
        "mass z": heavy @ off / np.sqrt(heavy @ model.covariance @ heavy),
        "delay z": (model.delay - real.controller.delay) / max(model.delay_deviation, 1e-9),
        "friction z": off[11 * dof :] / sigma[11 * dof :],
    }


def row(name: str, found: list[dict[str, float | Array]], failed: int) -> str:
    if not found:
        return f"| {name} | refused |"
    columns = {key: np.concatenate([np.atleast_1d(one[key]) for one in found]) for key in found[0]}
    rms = [f"{np.sqrt(np.mean(columns[key] ** 2)):.3g}" for key in ("mass", "payload", "delay", "viscous", "coulomb")]
    medians = [f"{np.median(columns[key]):.3g}" for key in ("torques", "tracking")]
    shares = [
        ", ".join(f"{100 * np.mean(np.abs(columns[key]) <= m):.0f} %" for m in (1, 2))
        for key in ("mass z", "delay z", "friction z")
    ]
    note = f" ({failed} refused)" if failed else ""
    return f"| {name}{note} | " + " | ".join([*rms, *medians, *shares]) + " |"


def shortened(log: Log) -> Log:
    end = int(np.searchsorted(log.times, SHORT + REST))
    tables = ("times", "positions", "velocities", "torques", "commanded", "commanded_velocities")
    return dataclasses.replace(log, **{name: None if (x := getattr(log, name)) is None else x[:end] for name in tables})


def compare(robot: Robot, every: list[Case], recogniser: Recogniser, *, torques: bool, short: bool) -> None:
    nominal = ArmDynamics.of(robot)
    logs = [shortened(case.log) if short else case.log for case in every]
    if not torques:
        logs = [dataclasses.replace(log, torques=None) for log in logs]
    methods = ["described", "least-squares", "learned", "learned, another arm's recording"]
    if torques:  # else learned is all that there is
        methods.insert(3, "both")
    if short:
        methods.pop()
    print("| arm | mass | payload | delay | viscous | Coulomb | torques | tracking | mass | delay | friction |")
    print("|" + "---|" * 11)
    for method in methods:
        found, failed = [], 0
        for k, case in enumerate(every):
            try:
                log = logs[(k + 1) % len(logs)] if "another" in method else logs[k]
                network = None if method == "least-squares" else recogniser
                asked = method.partition(",")[0]
                model = (
                    described(nominal)
                    if method == "described"
                    else identify(log, robot=robot, method=asked, network=network)
                )
            except EdmpError as error:
                failed += 1
                print(f"    {error}")
                continue
            found.append(figures(model, case))
        print(row(method, found, failed), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--arms", type=int, default=16, help="of each kind")
    parser.add_argument("--pool", type=Path, required=True, help="folder in which planned motions are kept")
    parser.add_argument("--network", type=Path, help="of edmp dynamics train --model recogniser; default: the shipped")
    parser.add_argument("--kinds", default=",".join(KINDS[:3]), help="of arms, with commas between")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    robot = load_robot("panda")
    recogniser = load_recogniser(given.network or shipped(robot))
    given.pool.mkdir(parents=True, exist_ok=True)
    pool = planned_pool(given.pool, robot, 40, 77)
    for kind in given.kinds.split(","):
        every = cases(robot, kind, given.arms, pool, given.seed)
        for torques, short in itertools.product((True, False), (False, True)):
            if short and kind != KINDS[0]:
                continue
            extent = f"the first {SHORT:g} s" if short else "whole"
            print(f"\n{kind}; {extent}, {'with' if torques else 'without'} torques; {len(every)} arms")
            compare(robot, every, recogniser, torques=torques, short=short)


if __name__ == "__main__":
    main()
