"""A world model of an arm held against Drake: how far it is off, and whether it stops where Drake stops.

    PYTHONPATH=. python benchmarks/world_model.py --model runs/world/world.safetensors --arms 12 --motions 4

Arms are drawn at random: heavier or lighter, with payload, friction, delay, other motors and controllers, none of them
in any training set; motions are the planner's in random scenes that no training saw. Of each arm one motion at half its
speed is recorded in Drake, from which least squares identifies it and the world model is told of it.

Open loop: there and back for 3 s; from 0.1, 0.4, 0.7 and 1 s on, with the true frames before, the model goes alone.
Root mean square error [mrad] over arms, starts and joints at 0.1, 0.5, 1 and 2 s, of the mean of the samples; CRPS of
the samples, and the share of the truth in their middle 90 %. Rows: the last state held; the arm as described, and as
identified; the world model told of its arm, of another arm, of none.

Stopped or not: every test motion is run by `edmp.execution.run` on each simulated arm, and counted as stopped if a
joint was ever 50 mrad off its command or ended 20 mrad from its goal. A motion is watched to its end in all of them, so
that all see the same commands.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.dynamics import ArmModel, identify, track
from edmp.dynamics.learned.world_model import NominalArm, WorldModel, load_world
from edmp.dynamics.learned.world_windows import at_rest, frames_of
from edmp.dynamics.motions import planned_pool, there_and_back
from edmp.execution import Command, ExecutionSettings, MonitorSettings, run
from edmp.execution.drivers import make_driver
from edmp.execution.effort import effort_limit
from edmp.recordings import Recording
from edmp.recordings.mcap_file import RecordingFile, save_recording
from edmp.robots import load_robot
from edmp.robots.robot import Robot
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

STOPS, SECONDS, STEP = 0.05, 3.0, 1e-3
LOOSE = MonitorSettings(tracking_error=2.0, position_slack=2.0, velocity_slack=5.0)
HORIZONS = (0.1, 0.5, 1.0, 2.0)
STARTS = (0.1, 0.4, 0.7, 1.0)
SAMPLES = 20
SHORTEST = 0.5
"""Motions that take less time [s] say too little of an arm, at half their speed, to identify it."""


def random_options(rng: np.random.Generator) -> dict[str, Any]:
    """Options of `drake-sim`."""
    impedance = rng.random() < 0.5
    control = {"control": "impedance", "stiffness": rng.uniform(4.0, 12.0), "damping": rng.uniform(0.7, 1.2)}
    other = {"control": "inverse-dynamics", "bandwidth": rng.uniform(20.0, 40.0)}
    ranges = {
        "mass_error": (-0.1, 0.3),
        "payload": (0.0, 2.0),
        "delay": (0.0, 0.03),
        "motor_error": (-0.2, 0.4),
        "viscous": (0.0, 0.03),
        "coulomb": (0.0, 0.015),
    }
    return (control if impedance else other) | {name: float(rng.uniform(*ends)) for name, ends in ranges.items()}


def executed(
    name: str, robot: Robot, motion: Trajectory, options: dict[str, Any], speed: float
) -> tuple[bool, Recording]:
    """Whether it would have been stopped, and what it did."""
    driver = make_driver(name, robot, positions=motion.positions[0], options=options)
    with driver:
        done = run(motion, driver, settings=ExecutionSettings(speed=speed, monitor=LOOSE))
    off = np.abs(done.recording.measured - done.recording.commanded).max()
    return bool(off > STOPS or not done.reached), done.recording


def shaken(
    robot: Robot, motion: Trajectory, share: float, options: dict[str, Any]
) -> tuple[tuple[Array, ...], Array, Array]:
    """Commands, positions and velocities (T, dof), one row each tick, of an arm in Drake that goes there and back."""
    times = STEP * np.arange(1, round(SECONDS / STEP) + 1)
    reference = there_and_back(motion, share, times)
    arm = make_driver("drake-sim", robot, positions=motion.positions[0], options=options)
    states = []
    with arm:
        for row in zip(*reference, strict=True):
            arm.command(Command(*row))
            state = arm.wait()
            states.append((state.positions, state.velocities))
    q, v = (np.array(part) for part in zip(*states, strict=True))
    return reference, q, v


def beside(nominal: NominalArm, reference: tuple[Array, ...], every: int) -> tuple[Array, Array]:
    """Positions and velocities (T, dof), frame by frame, of the arm in edmp's own simulation."""
    q, v, a = (part[None] for part in reference)
    q, v, _ = track(nominal.arm, nominal.described, (q, v, a), nominal.controller, STEP, every=every)
    return q[0], v[0]


def alone(model: WorldModel, frames: torch.Tensor, arm: torch.Tensor, begin: int, count: int, seed: int) -> Array:
    """(k, count, dof) deviations of positions from frame ``begin`` on, of frames (1, T, 5 dof) known until then."""
    h, dof = model.config.history, model.network.dof
    history = frames[:, begin - h : begin + 1].repeat(SAMPLES, 1, 1)
    generator, drawn = torch.Generator().manual_seed(seed), []
    with torch.no_grad():
        for t in range(begin, begin + count):
            d = model.network.next(history, arm.expand(SAMPLES, -1), generator)
            drawn.append(d[:, :dof])
            history = model.network.then(history, d, frames[:, min(t + 1, frames.shape[1] - 1)].expand(SAMPLES, -1))
    return torch.stack(drawn, dim=1).double().numpy()


def crps(samples: Array, truth: Array) -> Array:
    """Of samples (k, ...) of ``truth`` (...): E|x - y| - E|x - x'| / 2."""
    k = len(samples)
    ordered = np.sort(samples, axis=0)
    weights = 2.0 * np.arange(1, k + 1) - k - 1
    spread = np.tensordot(weights, ordered, axes=(0, 0)) * 2.0 / (k * (k - 1))
    return np.asarray(np.abs(samples - truth).mean(axis=0) - 0.5 * spread)


class Tally:
    """Errors, scores and coverage of forecasters by horizon."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[Array, Array, Array]]] = {}

    def add(self, name: str, samples: Array, truth: Array, dt: float) -> None:
        """``samples`` (k, T, dof) of ``truth`` (T, dof)."""
        at = [round(horizon / dt) - 1 for horizon in HORIZONS]
        samples, truth = samples[:, at], truth[at]
        low, high = np.quantile(samples, (0.05, 0.95), axis=0)
        score = crps(samples, truth) if len(samples) > 1 else np.abs(samples[0] - truth)
        inside = (truth >= low) & (truth <= high)
        self.rows.setdefault(name, []).append(((samples.mean(axis=0) - truth) ** 2, score, inside))

    def table(self) -> str:
        lines = [
            "| | " + " | ".join(f"{h:g} s" for h in HORIZONS) + " | CRPS at 1 s | in 90 % band |",
            "|---" * 7 + "|",
        ]
        for name, rows in self.rows.items():
            square, score, inside = (np.array(part) for part in zip(*rows, strict=True))
            rms = 1e3 * np.sqrt(square.mean(axis=(0, 2)))
            covered = f"{inside.mean():.0%}" if "world" in name else ""
            said = " | ".join(f"{x:.2f}" for x in rms)
            lines.append(f"| {name} | {said} | {1e3 * score[:, 2].mean():.2f} | {covered} |")
        return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="world model beside the arm as described")
    parser.add_argument("--beside-identified", type=Path, help="another, beside identified arms")
    parser.add_argument("--robot", default="panda")
    parser.add_argument("--arms", type=int, default=12)
    parser.add_argument("--motions", type=int, default=4, help="of each arm that are executed")
    parser.add_argument("--pool", type=int, default=40, help="planned motions to choose from")
    parser.add_argument("--folder", type=Path, help="where these are kept")
    parser.add_argument("--seed", type=int, default=2001)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    robot = load_robot(arguments.robot)
    files = {"world": arguments.model, "world beside identified": arguments.beside_identified}
    worlds = {name: (file, load_world(file)) for name, file in files.items() if file is not None}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        planned = planned_pool(folder, robot, arguments.pool, arguments.seed)
        pool = [motion for motion in planned if motion.times[-1] >= SHORTEST]
        study(robot, pool, worlds, Path(temporary), arguments.arms, arguments.motions, arguments.seed)


def study(
    robot: Robot,
    pool: list[Trajectory],
    worlds: dict[str, tuple[Path, WorldModel]],
    folder: Path,
    arms: int,
    motions: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    known: list[tuple[dict[str, Any], Path, ArmModel, Path]] = []
    for k in range(arms):
        options, motion = random_options(rng), pool[int(rng.integers(len(pool)))]
        _, recording = executed("drake-sim", robot, motion, options, 0.5)
        file, model_file = folder / f"arm{k}.mcap", folder / f"arm{k}.safetensors"
        save_recording(file, RecordingFile(recording))
        found = identify(recording, robot=robot)
        found.save(model_file)
        known.append((options, file, found, model_file))
        print(f"arm {k}: {json.dumps(options)}", flush=True)
    print(f"\nopen loop [mrad], {arms} arms, {len(STARTS)} starts each\n")
    print(open_loop(robot, pool, worlds, known, rng).table(), flush=True)
    print(f"\nstopped in Drake or not, {arms} arms, {motions} motions each\n")
    print(agreement(robot, pool, worlds, known, motions, rng))


def open_loop(robot: Robot, pool: list[Trajectory], worlds: Any, known: Any, rng: np.random.Generator) -> Tally:
    from edmp.recordings import read_log

    tally = Tally()
    dt = next((model.config.dt for _, model in worlds.values()), 0.02)
    every, count = round(dt / STEP), round(HORIZONS[-1] / dt)
    described = NominalArm.of(robot)
    arms = {}
    for name, (_, model) in worlds.items():
        nominals = [described if model.config.nominal == "described" else NominalArm.of(robot, row[2]) for row in known]
        arms[name] = [
            model.context(read_log(row[1], robot=robot), nom) for row, nom in zip(known, nominals, strict=True)
        ]
    for k, (options, _, found, _) in enumerate(known):
        motion, share = pool[int(rng.integers(len(pool)))], float(rng.uniform(0.6, 1.0))
        reference, q_fine, v_fine = shaken(robot, motion, share, options)
        ends = slice(every - 1, None, every)
        q, v, commands = q_fine[ends], v_fine[ends], tuple(part[ends] for part in reference)
        nominal, identified = beside(described, reference, every), beside(NominalArm.of(robot, found), reference, every)
        for start in STARTS:
            begin = round(start / dt)
            truth = q[begin : begin + count]
            tally.add("the last state held", np.repeat(q[None, begin - 1 : begin], count, axis=1), truth, dt)
            tally.add("as described", nominal[0][None, begin : begin + count], truth, dt)
            tally.add("as identified (least squares)", identified[0][None, begin : begin + count], truth, dt)
            for name, (_, model) in worlds.items():
                near = nominal if model.config.nominal == "described" else identified
                h = model.config.history
                frames = at_rest(frames_of((q, v), near, commands)[None], h)
                rows = torch.from_numpy(frames).float()
                told = {name: arms[name][k], f"{name}, another arm": arms[name][(k + 1) % len(known)]}
                told[f"{name}, told of none"] = model.untold()
                for label, arm in told.items():
                    drawn = alone(model, rows, arm, begin + h, count, seed=k)
                    tally.add(label, near[0][None, begin : begin + count] + drawn, truth, dt)
    return tally


def agreement(
    robot: Robot, pool: list[Trajectory], worlds: Any, known: Any, motions: int, rng: np.random.Generator
) -> str:
    counts: dict[str, Counter[tuple[bool, bool]]] = {}
    off: dict[str, list[float]] = {}
    times: dict[str, list[float]] = {}
    for k, (options, _, _, model_file) in enumerate(known):
        for _ in range(motions):
            motion = pool[int(rng.integers(len(pool)))]
            speed = effort_limit(robot, motion).speed
            clock = time.perf_counter()
            in_drake, truth = executed("drake-sim", robot, motion, options, speed)
            times.setdefault("Drake itself", []).append(time.perf_counter() - clock)
            tried: dict[str, tuple[str, dict[str, Any]]] = {
                "as described": ("drake-sim", {}),
                "as identified (least squares)": ("identified", {"arm_model": str(model_file)}),
            }
            for name, (file, model) in worlds.items():
                beside_it = {} if model.config.nominal == "described" else {"arm_model": str(model_file)}
                for label, told in (
                    (name, {"recording": str(known[k][1])}),
                    (f"{name}, another arm", {"recording": str(known[(k + 1) % len(known)][1])}),
                    (f"{name}, told of none", {}),
                ):
                    tried[label] = ("learned", {"model": str(file), "seed": k, **beside_it, **told})
            for label, (driver, given) in tried.items():
                if label == "as described":
                    said, moved = False, None  # it follows within a millirad
                else:
                    clock = time.perf_counter()
                    said, moved = executed(driver, robot, motion, given, speed)
                    times.setdefault(label, []).append(time.perf_counter() - clock)
                counts.setdefault(label, Counter())[in_drake, said] += 1
                if moved is not None:
                    peaks = [np.abs(one.measured - one.commanded).max() for one in (truth, moved)]
                    off.setdefault(label, []).append(1e3 * abs(peaks[1] - peaks[0]))
    head = ("", "both stop", "both go", "stops, Drake goes", "goes, Drake stops", "agree")
    lines = ["| " + " | ".join((*head, "peak off by, median [mrad]", "s a motion")) + " |", "|---" * 8 + "|"]
    for label, count in counts.items():
        both, neither = count[True, True], count[False, False]
        peak = f"{np.median(off[label]):.1f}" if label in off else ""
        took = f"{np.median(times[label]):.2f}" if label in times else ""
        share = (both + neither) / count.total()
        cells = (both, neither, count[False, True], count[True, False], f"{share:.0%}", peak, took)
        lines.append(f"| {label} | " + " | ".join(map(str, cells)) + " |")
    lines.append(f"\nDrake itself: {np.median(times['Drake itself']):.2f} s a motion")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
