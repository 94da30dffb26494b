"""Torques and commands of logs that hold states only: recursive Newton-Euler, and a network that adds to it.

    PYTHONPATH=. python benchmarks/inverse_dynamics.py --motions 600 --seconds 120 --recordings 8 --steps 3000

A network is trained on commanded motions of random arms (`edmp.dynamics.random_arms`, inverse dynamics control). Then
a Panda that is 20 % heavier than its controller knows, with friction and late commands, moves in Drake, touching
nothing, and the positions alone are labelled: root mean square error of torques and commands, over joints, rows and
recordings; that of joints 1-4 and 5-7 apart; and the share of numbers within one and two standard deviations (68 and
95 % where these are right). Rows: the arm as described; this and the network, also when that is shown another motion;
the arm as it is, its friction and delay known, which is the best that can be done; all on the same positions, without
and with noise.

Latent actions: an autoencoder whose decoder gets a state and seven numbers, and has to say the next state, is trained
on the same motions without torques; R^2 of linear probes from these numbers to torques (gravity of the arm as described
taken off) and to commands ahead of positions, beside those from finite differences of velocity, from the state alone,
and from both.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from torch import Tensor, nn

from edmp.dynamics import ArmDynamics, Controller, inverse_dynamics, track
from edmp.dynamics.label import Leftover, label_log
from edmp.dynamics.learned.inverse import (
    InverseConfig,
    InverseNetwork,
    LearnedLeftover,
    Transitions,
    examples_of,
    inverse_card,
    load_inverse,
    save_inverse,
)
from edmp.dynamics.random_arms import random_arm
from edmp.dynamics.smoothing import smoothed
from edmp.execution.driver import Command
from edmp.execution.drivers.drake_sim import DrakeArm, DrakeSimSettings
from edmp.learning.tensors import read_tensors
from edmp.learning.training import TrainingRun, TrainSettings, trained
from edmp.recordings import Log
from edmp.robots import load_robot
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

STEP, EVERY, ROWS = 2e-3, 10, 128
"""Of the simulation [s]; its steps in a row; rows of a motion."""
HEAVIER, VISCOUS, COULOMB, DELAY = 0.2, 0.015, 0.0075, 0.02
"""The arm in Drake: share [1], per unit of the effort limit [s/rad], [1], [s]."""


def reference(robot: Robot, rng: np.random.Generator, duration: float) -> CubicSpline:
    """A smooth motion within the limits, at rest at both ends, at 20 to 70 % of the top speed."""
    lower, upper = robot.limits.lower, robot.limits.upper
    middle, half = 0.5 * (lower + upper), 0.35 * (upper - lower)
    count = int(rng.integers(4, 8))
    steps = rng.normal(size=(count, robot.dof)) * 0.25 * half
    points = np.clip(
        middle + rng.uniform(-0.6, 0.6, robot.dof) * half + np.cumsum(steps, axis=0), middle - half, middle + half
    )
    spline = CubicSpline(np.linspace(0.0, duration, count), points, bc_type="clamped")
    times = np.linspace(0.0, duration, 400)
    fast = (np.abs(spline(times, 1)) / robot.limits.velocity).max() / rng.uniform(0.2, 0.7)
    hard = (np.abs(spline(times, 2)) / robot.limits.acceleration).max() / 0.8
    shrink = max(1.0, fast, hard)
    return CubicSpline(np.linspace(0.0, duration, count), points[0] + (points - points[0]) / shrink, bc_type="clamped")


def moved(robot: Robot, count: int, seed: int) -> tuple[Array, Array, Array]:
    """Positions, torques, commands (count, ROWS, dof) of random arms, a row each ``EVERY`` steps."""
    rng, nominal = np.random.default_rng(seed), ArmDynamics.of(robot)
    times = STEP * np.arange(1, ROWS * EVERY + 1)
    splines = [reference(robot, rng, float(times[-1])) for _ in range(count)]
    q, v, a = (np.stack([spline(times, order) for spline in splines]) for order in range(3))
    drawn = [random_arm(nominal, rng) for _ in range(count)]
    controllers = [dataclasses.replace(one.controller, control="inverse-dynamics") for one in drawn]
    found, _, torques = track([one.arm for one in drawn], nominal, (q, v, a), controllers, STEP, every=EVERY)
    return found, torques, q[:, EVERY - 1 :: EVERY]


def read_motions(folder: Path) -> tuple[Array, Array, Array]:
    """The same from the shards of ``edmp dynamics generate --excitation motions``."""
    parts = []
    for path in sorted(folder.glob("shard-*.safetensors")):
        tensors, header = read_tensors(path)
        if "commanded" not in tensors or abs(header["dt"].number() - STEP * EVERY) > 1e-9:
            raise SystemExit(f"{path}: not motions with commands, {STEP * EVERY:g} s apart")
        parts.append([tensors[name].double().numpy() for name in ("positions", "torques", "commanded")])
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]


def recorded(robot: Robot, count: int, seed: int) -> list[tuple[Array, Array, Array, Array]]:
    """Times, positions, torques, commands of Drake's arm, a row each 20 ms."""
    rng, period = np.random.default_rng(seed), 1e-3
    settings = DrakeSimSettings(mass_error=HEAVIER, viscous=VISCOUS, coulomb=COULOMB, delay=DELAY)
    kept: list[tuple[Array, ...]] = []
    while len(kept) < count:
        spline = reference(robot, rng, 2.5)
        times = period * np.arange(1, 2501)
        rows = []
        with DrakeArm(robot, spline(0.0), settings=settings) as arm:
            for t in times:
                arm.command(Command(spline(t), spline(t, 1), spline(t, 2)))
                state = arm.wait()
                if state.contact:  # with itself: no model of an arm explains it
                    break
                rows.append((t, state.positions, state.torques, spline(t)))
        if len(rows) == len(times):
            kept.append(tuple(np.array(column) for column in zip(*rows[19::20], strict=True)))
    return kept  # type: ignore[return-value]


def true_arm(robot: Robot) -> ArmDynamics:
    """The arm in Drake."""
    arm = ArmDynamics.of(robot)
    inertial = arm.inertial_parameters() * (1.0 + HEAVIER)
    return arm.with_parameters(inertial, viscous=VISCOUS * robot.limits.effort, coulomb=COULOMB * robot.limits.effort)


def train_inverse(robot: Robot, motions: tuple[Array, Array, Array], seconds: float, seed: int) -> LearnedLeftover:
    config = InverseConfig(robot.dof)
    examples = examples_of(robot, *motions, config)
    held = max(1, len(examples) // 20)
    flat = [part.reshape(-1, examples.shape[2]) for part in (examples[held:], examples[:held])]
    torch.manual_seed(seed)
    network = InverseNetwork(config)
    network.fit(flat[0])
    card = inverse_card(robot, config, seed=seed, command="benchmarks/inverse_dynamics.py")
    settings = TrainSettings(max_seconds=seconds, seed=seed, num_threads=1, progress=False, weight_decay=0.1)
    run = TrainingRun(network, card, settings)
    data = Transitions(flat[0], flat[1], {"motions": len(motions[0])})
    with tempfile.TemporaryDirectory() as folder:
        report = trained(run, data, Path(folder), settings, resume=False, ship=lambda out, path: None, name="inverse")
    print(f"trained on {len(motions[0])} motions: {report.metrics}")
    return LearnedLeftover(run.ema, dataclasses.replace(card, metrics=report.metrics))


@dataclasses.dataclass(frozen=True)
class Elsewhere(Leftover):
    """The control: the network is shown another motion."""

    learned: LearnedLeftover
    other: Log

    def check(self, robot: Robot) -> None:
        self.learned.check(robot)

    def of(self, times: Array, positions: Array, velocities: Array) -> tuple[Array, Array, Array, Array]:
        states = smoothed(times, self.other.positions)
        return self.learned.of(times, states.positions, states.velocities)


def compare(robot: Robot, learned: LearnedLeftover, recordings: list, noise: float, seed: int) -> None:
    """A table."""
    rng = np.random.default_rng(seed)
    late = Controller(delay=DELAY)
    print(f"\npositions with noise of {1e3 * noise:g} mrad, {len(recordings)} recordings")
    print("| labels | torque [Nm] | joints 1-4 | joints 5-7 | within 1, 2 sd | command [mrad] | within 1, 2 sd |")
    print("|---|---|---|---|---|---|---|")
    logs = [
        Log(robot.joint_names, t, q + noise * rng.standard_normal(q.shape), source=f"recording {k}")
        for k, (t, q, _, _) in enumerate(recordings)
    ]
    rows = {
        "arm as described": [{}] * len(logs),
        "and network": [{"leftover": learned}] * len(logs),
        "and network, of another motion": [{"leftover": Elsewhere(learned, log)} for log in [*logs[1:], logs[0]]],
        "arm as it is": [{"arms": [true_arm(robot)] * 2, "controller": late}] * len(logs),
    }
    inner = slice(5, -5)  # two rows are the delay; at the ends no filter knows accelerations
    for name, options in rows.items():
        labelled = [label_log(log, robot, **one) for log, one in zip(logs, options, strict=True)]
        cells = []
        for table, k, scale in (("torques", 2, 1.0), ("commanded", 3, 1e3)):
            error = np.concatenate(
                [(getattr(log, table) - one[k])[inner] for log, one in zip(labelled, recordings, strict=True)]
            )
            spread = np.concatenate([log.spread[table][inner] for log in labelled])
            cells.append(f"{scale * np.sqrt(np.mean(error**2)):.3f}")
            if table == "torques":
                cells += [f"{np.sqrt(np.mean(error[:, part] ** 2)):.3f}" for part in (slice(0, 4), slice(4, None))]
            cells.append(", ".join(f"{100 * np.mean(np.abs(error) <= m * spread):.0f} %" for m in (1, 2)))
        print(f"| {name} | " + " | ".join(cells) + " |")


# --- latent actions --------------------------------------------------------------------------------------------------


def _mlp(n: int, m: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, m))


class LatentActions(nn.Module):
    """Encoder of a transition in so many numbers; decoder of the next state from the state before and these."""

    def __init__(self, states: int, latent: int, width: int = 256) -> None:
        super().__init__()

        self.encoder = _mlp(2 * states, latent, width)
        self.decoder = _mlp(states + latent, states, width)

    def forward(self, before: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        z = self.encoder(torch.cat([before, change], dim=1))
        return z, self.decoder(torch.cat([before, z], dim=1))


def latent_actions(robot: Robot, motions: tuple[Array, Array, Array], steps: int, seed: int) -> None:
    """R^2 of linear probes, on motions that neither network nor probes have seen."""
    q, torques, commanded = motions
    period = STEP * EVERY
    v = np.gradient(q, period, axis=1)
    gravity = inverse_dynamics(
        ArmDynamics.of(robot), q.reshape(-1, robot.dof), *2 * [np.zeros((q.size // robot.dof, robot.dof))]
    )
    torques = torques - gravity.reshape(q.shape)
    states, change = np.concatenate([q, v], axis=2)[:, :-1], np.diff(np.concatenate([q, v], axis=2), axis=1)
    targets = {"torque": torques[:, 1:], "command": (commanded - q)[:, 1:]}
    held = len(q) // 5
    x, dx = (torch.from_numpy(one).float() for one in (states, change))
    scale_x, scale_dx = (
        (one[held:].reshape(-1, x.shape[2]).mean(0), one[held:].reshape(-1, x.shape[2]).std(0)) for one in (x, dx)
    )
    x, dx = (x - scale_x[0]) / scale_x[1], (dx - scale_dx[0]) / scale_dx[1]
    torch.manual_seed(seed)
    network, generator = LatentActions(x.shape[2], robot.dof), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    flat_x, flat_dx = x[held:].reshape(-1, x.shape[2]), dx[held:].reshape(-1, x.shape[2])
    for _ in range(steps):
        rows = torch.randint(len(flat_x), (512,), generator=generator)
        _, told = network(flat_x[rows], flat_dx[rows])
        loss = (told - flat_dx[rows]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        z, told = network(x.reshape(-1, x.shape[2]), dx.reshape(-1, x.shape[2]))
    unsaid = (told - dx.reshape(told.shape)).reshape(dx.shape)[:held].square().mean()
    print(f"\nlatent actions, {len(q) - held} motions, {steps} steps: {100 * unsaid:.1f} % of transitions unexplained")
    latent = z.double().numpy().reshape(*x.shape[:2], -1)
    both = np.concatenate([latent, states], axis=2)
    inputs = {
        "latent": latent,
        "finite differences": change[:, :, robot.dof :],
        "state": states,
        "state and latent": both,
        "state and finite differences": np.concatenate([states, change[:, :, robot.dof :]], axis=2),
    }
    print("| probe from | " + " | ".join(f"R^2 of {name}" for name in targets) + " |\n|---|---|---|")
    for name, values in inputs.items():
        scores = [_probe(values[held:], y[held:], values[:held], y[:held]) for y in targets.values()]
        print(f"| {name} | " + " | ".join(f"{score:.3f}" for score in scores) + " |")


def _probe(x: Array, y: Array, x_new: Array, y_new: Array) -> float:
    """Mean R^2 over joints of linear regression."""
    x, y, x_new, y_new = (one.reshape(-1, one.shape[2]) for one in (x, y, x_new, y_new))
    padded = [np.column_stack([one, np.ones(len(one))]) for one in (x, x_new)]
    weights = np.linalg.lstsq(padded[0], y, rcond=None)[0]
    left = ((y_new - padded[1] @ weights) ** 2).mean(axis=0)
    return float(np.mean(1.0 - left / y_new.var(axis=0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--motions", type=int, default=400)
    parser.add_argument("--data", type=Path, help="shards of motions to train on, in the place of motions made here")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--recordings", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3000, help="of the autoencoder; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--network", type=Path, help="a network from --out; none is trained")
    parser.add_argument("--out", type=Path, help="write the network (.safetensors) here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    robot = load_robot("panda")
    count = given.motions if given.network is None or given.steps else 1
    motions = read_motions(given.data) if given.data is not None else moved(robot, count, given.seed)
    if given.network is not None:
        learned = load_inverse(given.network)
    else:
        learned = train_inverse(robot, motions, given.seconds, given.seed)
    if given.out is not None:
        save_inverse(given.out, learned.network, learned.card)
    recordings = recorded(robot, given.recordings, given.seed + 1)
    for noise in (0.0, 1e-4):
        compare(robot, learned, recordings, noise, given.seed)
    if given.steps:
        latent_actions(robot, motions, given.steps, given.seed)


if __name__ == "__main__":
    main()
