"""Forecasts of shaken arms by the command: the arm found by least squares is ahead of the described one; scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from edmp.bench.dynamics.forecasters import classical
from edmp.bench.dynamics.study import covered, crps, read_study
from edmp.bench.dynamics.test_sets import read_test_sets
from edmp.cli.main import app
from edmp.dynamics.arm import ArmDynamics, effort_scale
from edmp.dynamics.learned.train import train
from edmp.dynamics.simulate import DAMPER, SPRING, excited, forward_dynamics, inverse_dynamics
from edmp.errors import FileFormatError, InvalidInputError
from edmp.learning.tensors import write_tensors
from edmp.learning.training import TrainSettings
from edmp.robots import load_robot

PANDA = load_robot("panda")
NOMINAL = ArmDynamics.of(PANDA)
READY = np.array([0.0, -0.5, 0.0, -2.0, 0.0, 1.8, 0.8])
STEPS, DT = 80, 0.05
TINY = {"width": 16, "depth": 1, "context_depth": 1, "widths": [16, 16], "cond": 16, "groups": 4}


def shaken(num: int, seed: int) -> dict[str, np.ndarray]:
    """Windows of arms that carry what nobody told of, and rub."""
    rng = np.random.default_rng(seed)
    t = DT * (np.arange(STEPS) + 0.5)
    share = effort_scale(PANDA) / effort_scale(PANDA).max()
    turns, phase = rng.uniform(0.3, 0.6, (2, num, 1, 7))
    excitation = 8.0 * share * np.sin(2 * np.pi * (turns * t[:, None] + phase))
    friction = {"viscous": 0.02 * effort_scale(PANDA), "coulomb": 0.01 * effort_scale(PANDA)}
    arms = [
        NOMINAL.with_payload(mass).with_parameters(
            NOMINAL.with_payload(mass).inertial_parameters(), armature=NOMINAL.armature, **friction
        )
        for mass in rng.uniform(0.5, 2.0, num)
    ]
    q0 = READY + rng.uniform(-0.3, 0.3, (num, 7))
    q, v, tau = excited(arms, NOMINAL, q0, np.zeros_like(q0), excitation, DT)
    return {"excitation": excitation, "torques": tau, "positions": q, "velocities": v}


def write(folder: Path, made: dict[str, np.ndarray], number: int, **header: object) -> None:
    tensors = {name: torch.tensor(values, dtype=torch.float32) for name, values in made.items()}
    about = {"version": 1, "robot": "panda", "dt": DT, "excitation": "chirp", "band": "D2", **header}
    write_tensors(folder / f"shard-{number:05d}.safetensors", tensors, about)


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("windows")
    write(folder, shaken(6, seed=0), 0)
    write(folder, shaken(4, seed=1), 1, band="D1", distribution="out")
    return folder


def test_an_excited_arm_obeys_gravity_compensation_spring_and_effort_limits() -> None:
    """Against semi-implicit Euler written out here, without friction; a strong push is cut off."""
    excitation = np.zeros((1, 3, 7))
    excitation[0, :, 1] = [20.0, -300.0, 0.0]
    arm, scale = NOMINAL.with_payload(1.0), effort_scale(PANDA)
    q, v, h = READY[None], np.zeros((1, 7)), 0.02 / 4
    got_q, got_v, got_tau = excited(arm, NOMINAL, q, v, excitation, 0.02, substeps=4)
    for k in range(3):
        total = np.zeros((1, 7))
        for _ in range(4):
            gravity = inverse_dynamics(NOMINAL, q, 0 * q, 0 * q)
            tau = gravity + excitation[:, k] + scale * (SPRING * (READY - q) - DAMPER * v)
            tau = np.clip(tau, -PANDA.limits.effort, PANDA.limits.effort)
            v = v + h * forward_dynamics(arm, q, v, tau)
            q = q + h * v
            total += tau / 4
        assert np.allclose(got_q[:, k], q, atol=1e-9)
        assert np.allclose(got_v[:, k], v, atol=1e-9)
        assert np.allclose(got_tau[:, k], total, atol=1e-9)
    assert got_tau[0, 1, 1] == pytest.approx(-PANDA.limits.effort[1])
    with pytest.raises(InvalidInputError, match="spring and damper"):
        excited(arm, NOMINAL, q, v, excitation, 0.02, spring=-1.0)


def test_least_squares_from_a_short_context_goes_on_as_the_arm_does(tests: Path) -> None:
    (test,) = (each for each in read_test_sets([tests], count=6) if each.name == "chirp D2")
    assert test.context == 16
    rows = {each.name: each.run(test) for each in classical(NOMINAL, samples=4)}
    error = {name: np.sqrt(np.mean((answers.mean(axis=0) - test.truth) ** 2)) for name, answers in rows.items()}
    assert error["least squares"] < 0.3 * min(error["hold"], error["described arm"])
    assert rows["least squares"].shape == (4, *test.truth.shape)
    assert np.ptp(rows["least squares"], axis=0).max() > 1e-4


def test_the_command_compares_networks_and_baselines(tests: Path, tmp_path: Path) -> None:
    settings = TrainSettings(max_steps=2, batch_size=4, progress=False, num_threads=1, config=TINY)
    files = [
        train(tests, tmp_path / name, robot=PANDA, model=name, settings=settings).file for name in ("robomorph", "cdt")
    ]
    out, picture = tmp_path / "results.jsonl", tmp_path / "bands.png"
    words = ["bench", "dynamics", "--tests", str(tests), "--models", ",".join(map(str, files)), "--out", str(out)]
    words += ["--windows", "3", "--samples", "3", "--picture", str(picture), "--shown", "chirp D2"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    records = read_study(out)
    rows = ["hold", "described arm", "least squares"]
    rows += [name + more for name in ("robomorph", "cdt") for more in ("", ", no context", ", another arm's context")]
    rows.append("cdt, 5 warm steps")
    assert {record.forecaster for record in records} == set(rows)
    assert {record.set for record in records} == {"chirp D2", "chirp D1, arms out"}
    assert all(record.windows == 3 and record.rmse > 0 for record in records)
    assert all((record.covered_90 is None) == (record.samples == 1) for record in records)
    assert all(f"| {record.set} | {record.forecaster} | {record.rmse_05:.2f} |" in done.output for record in records)
    assert picture.stat().st_size > 5000
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, InvalidInputError)
    assert "--force overwrites" in str(again.exception)


def test_scores() -> None:
    rng = np.random.default_rng(0)
    samples, truth = rng.standard_normal((5, 40, 3)), rng.standard_normal((40, 3))
    pairs = [np.abs(a - b) for i, a in enumerate(samples) for j, b in enumerate(samples) if i != j]
    assert crps(samples, truth) == pytest.approx(np.abs(samples - truth).mean() - 0.5 * np.mean(pairs))
    assert crps(truth[None] + 1.0, truth) == pytest.approx(1.0)
    many = rng.standard_normal((19, 4000))
    assert covered(many, rng.standard_normal(4000), 0.9) == pytest.approx(0.9, abs=0.02)
    assert covered(many, rng.standard_normal(4000), 0.5) == pytest.approx(0.5, abs=0.03)


def test_windows_without_an_excitation_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no shard"):
        read_test_sets([tmp_path], count=1)
    made = shaken(2, seed=0)
    del made["excitation"]
    write(tmp_path, made, 0)
    with pytest.raises(FileFormatError, match="needs the tensors excitation and torques"):
        read_test_sets([tmp_path], count=1)
