"""A world model: trained by the command, then executed on; it knows its arm by a recording."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from heavy_arm import HEAVY, LOOSE, heavy_model, plan_to, recorded
from toy_arms import write_shards
from typer.testing import CliRunner

from edmp.cli.main import app
from edmp.dynamics import ArmDynamics, track
from edmp.dynamics.controlled_arm import ControlledArm
from edmp.dynamics.learned.world import WorldConfig, WorldNetwork
from edmp.dynamics.learned.world_model import Imagined, load_world
from edmp.dynamics.learned.world_windows import WorldWindows
from edmp.dynamics.motions import POOL_FILE
from edmp.dynamics.random_arms import random_arm
from edmp.errors import EdmpError, EdmpWarning, InvalidInputError
from edmp.execution import Command, DriverError, execute
from edmp.execution.drivers import make_driver
from edmp.learning.tensors import read_tensors, write_tensors
from edmp.planfile import save_plan
from edmp.recordings import Log, load_recording
from edmp.recordings.log import TABLES
from edmp.recordings.mcap_file import RecordingFile, save_recording
from edmp.robots import load_robot

SIZES = ("width=32", "depth=1", "hidden=32", "cond=16", "context_width=16", "context_depth=1", "horizon=3")


def invoke(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code in (0, 1), done.output
    return done.output


def refused(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(done.exception, EdmpError), done.output
    return str(done.exception)


def train(data: Path, out: Path, *more: str, steps: int = 60) -> Path:
    words = ["dynamics", "train", "--model", "world", "--data", data, "--out", out, "--max-steps", steps]
    words += ["--threads", "1", "--batch-size", "32", *more]
    invoke(*words, *(word for size in SIZES for word in ("--config", size)))
    return out / "world.safetensors"


@pytest.fixture(scope="module")
def windows(panda, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of random arms, by the command; the motions are there already, so that none is planned."""
    folder = tmp_path_factory.mktemp("windows")
    rng = np.random.default_rng(0)
    excursions = 0.8 * rng.uniform(-1.0, 1.0, (4, panda.dof))
    motions = [plan_to(*row).result.best.trajectory for row in excursions]
    parts = ("positions", "velocities", "accelerations", "times")
    pool = {name: torch.from_numpy(np.concatenate([getattr(m, name) for m in motions])) for name in parts}
    pool["rows"] = torch.tensor([len(m.times) for m in motions])
    write_tensors(folder / POOL_FILE, pool, {"robot": "panda", "count": 4, "seed": 1})
    words = ["dynamics", "generate", "--out", folder, "--excitation", "motions", "--distribution", "wide", "--pool", 4]
    invoke(*words, "--count", 64, "--shard", 32, "--workers", 1)
    return folder


@pytest.fixture(scope="module")
def world(windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(windows, tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    save_plan(path, plan_to().problem, plan_to().result)
    return path


def test_trained_by_the_command_it_is_an_arm_to_execute_on(world: Path, plan: Path, tmp_path: Path) -> None:
    run = tmp_path / "run.mcap"
    words = ["execute", plan, "--driver", "learned", "--option", f"model={world}", "--option", "seed=3"]
    assert "nothing moved" in invoke(*words, "--dry-run")
    said = json.loads(invoke(*words, "--record", run, "--json").splitlines()[-1])
    assert said["outcome"] in ("REACHED", "STOPPED")
    assert said["contacts"] is None
    assert said["contacts_unseen"] == "not simulated by the driver learned"
    replayed = invoke("replay", run, "--summary")
    assert "imagined" not in replayed
    assert "not simulated by the driver learned" in replayed
    recording = load_recording(run).recording
    off = np.abs(recording.measured - recording.commanded)
    assert 1e-4 < off.max() < 0.3  # it is not the arm as described, and did not run away
    next_tick = np.diff(recording.times) < 1.5e-3  # while a driver stops an arm, nothing is recorded
    assert np.abs(np.diff(recording.measured, axis=0)[next_tick]).max() < 6e-3  # nothing jumps from tick to tick
    assert "world model" in (world.parent / "world.md").read_text()
    assert (world.parent / "loss.png").exists()


def test_a_seed_is_a_run_and_a_recording_an_arm(world: Path, tmp_path: Path) -> None:
    plan, run = plan_to(), tmp_path / "heavy.mcap"
    save_recording(run, RecordingFile(recorded()))

    def moved(**options: object) -> np.ndarray:
        done = execute(plan, "learned", options={"model": str(world), **options}, settings=LOOSE, tube=None)
        return done.recording.measured

    first = moved(seed=1)
    assert np.array_equal(first, moved(seed=1))
    other, told = moved(seed=2), moved(seed=1, recording=str(run))
    assert first.shape != other.shape or not np.array_equal(first, other)
    assert first.shape != told.shape or not np.array_equal(first, told)


def test_a_short_training_knows_more_than_the_nominal_arm(windows: Path, world: Path, panda) -> None:
    model = load_world(world)
    held_out = WorldWindows(windows, panda, model.config, validation_fraction=0.3).validation
    h, frames = model.config.history, 25
    truth = held_out[:, h : h + frames, : panda.dof].numpy()
    q, v, a = (held_out[..., (k + 2) * panda.dof : (k + 3) * panda.dof].double().numpy() for k in range(3))
    imagined = Imagined(model, model.told(held_out[:, -model.config.context :]), q[:, h - 1])
    drawn = np.stack([imagined.after(q[:, t], v[:, t], a[:, t])[0] for t in range(h, h + frames)], axis=1)
    assert np.sqrt(np.mean((drawn - truth) ** 2)) < 0.8 * np.sqrt(np.mean(truth**2))


def test_an_identified_arm_moves_as_the_arm_in_drake(plan: Path, tmp_path: Path) -> None:
    heavy_model().save(tmp_path / "arm.safetensors")
    options = {"arm_model": str(tmp_path / "arm.safetensors")}
    in_drake = execute(plan_to(), options=HEAVY, settings=LOOSE, tube=None).recording.measured
    done = execute(plan_to(), "identified", options=options, settings=LOOSE, tube=None)
    rows = min(len(in_drake), len(done.recording.measured))
    assert np.abs(done.recording.measured[:rows] - in_drake[:rows]).max() < 2e-3
    words = ["--driver", "identified", "--option", f"arm_model={options['arm_model']}", "--json"]
    assert json.loads(invoke("execute", plan, *words).splitlines()[-1])["fault"] == "TRACKING"  # as in Drake


def test_one_command_after_another_is_what_the_closed_loop_does_in_one_go(panda) -> None:
    described, rng = ArmDynamics.of(panda), np.random.default_rng(2)
    trajectory = plan_to().result.best.trajectory
    reference = trajectory.sample(1e-3 * np.arange(300))
    for control in ("inverse-dynamics", "impedance"):
        one = random_arm(described, rng)
        controller = dataclasses.replace(one.controller, control=control, delay=0.012)
        at_once = track(one.arm, described, tuple(part[None] for part in reference), controller, 1e-3)
        arm = ControlledArm(one.arm, described, controller, reference[0][0], 1e-3)
        stepped = [arm.advance(*row) for row in zip(*reference, strict=True)]
        for whole, parts in zip(at_once, zip(*stepped, strict=True), strict=True):
            np.testing.assert_array_equal(whole[0], np.array(parts))


def test_without_commands_it_brakes_and_takes_none_any_more(world: Path, panda) -> None:
    arm = make_driver("learned", panda, options={"model": str(world)})
    with arm:
        q = panda.home.copy()
        for _ in range(200):
            q = q + 3e-4
            arm.command(Command(q, np.full(panda.dof, 0.3), np.zeros(panda.dof)))
            arm.wait()
        for _ in range(400):
            state = arm.wait()
        assert np.abs(state.velocities).max() < 0.15
        with pytest.raises(DriverError, match="no command for 50 ms"):
            arm.command(Command.hold(q))
    arm.stop()  # after it is closed, too
    with pytest.raises(DriverError, match="not connected"):
        arm.wait()


def test_what_is_no_world_or_of_another_robot_is_refused_by_name(world: Path, plan: Path, tmp_path: Path) -> None:
    execute_on = ["execute", plan, "--driver", "learned", "--option"]
    assert "driver learned needs the option model" in refused(*execute_on[:-1])
    assert "no such file" in refused(*execute_on, f"model={tmp_path / 'none.safetensors'}")
    assert "Did you mean 'model'" in refused(*execute_on, f"modell={world}")
    assert "model must be the name of a file, got 3" in refused(*execute_on, "model=3")
    heavy_model().save(tmp_path / "arm.safetensors")
    assert "arm.safetensors" in refused(*execute_on, f"model={tmp_path / 'arm.safetensors'}")
    tensors, header = read_tensors(world)
    card = header.plain()
    write_tensors(tmp_path / "prior.safetensors", tensors, {**card, "architecture": "mlp"})
    assert "a network 'mlp', not a world model" in refused(*execute_on, f"model={tmp_path / 'prior.safetensors'}")
    broken = {**tensors, "rest": tensors["rest"] * float("nan")}
    write_tensors(tmp_path / "nan.safetensors", broken, card)
    assert "not finite: rest" in refused(*execute_on, f"model={tmp_path / 'nan.safetensors'}")
    with pytest.raises(InvalidInputError, match="is of panda with 7 joints, not of ur5 with 6"):
        make_driver("learned", load_robot("ur5"), options={"model": str(world)})
    both = [f"model={world}", "--option"]
    assert "no multiple of it" in refused(*execute_on, *both, "period=0.003")
    assert "seed must be" in refused(*execute_on, *both, "seed=-1")
    assert "trained beside the arm as described" in refused(
        *execute_on, *both, f"arm_model={tmp_path / 'arm.safetensors'}"
    )


def test_recordings_that_tell_no_arm_are_refused(world: Path, panda) -> None:
    model, log = load_world(world), Log.of(recorded())
    nominal = model.nominal(panda)
    assert model.context(log, nominal).shape == (1, model.config.cond)
    cases = {
        "holds no commands": dataclasses.replace(log, commanded=None, commanded_velocities=None),
        "too short to tell an arm: 0.64 s": rows_of(log, slice(0, 500)),
        "has a gap of": rows_of(log, np.r_[0:500, 900 : len(log.times)]),
        "is too still": dataclasses.replace(
            log, commanded=0 * log.positions + log.positions[0], commanded_velocities=0 * log.positions
        ),
    }
    for message, bad in cases.items():
        with pytest.raises(InvalidInputError, match=message):
            model.context(bad, nominal)
    cut = rows_of(log, np.r_[0:700, 800 : len(log.times)])
    with pytest.warns(EdmpWarning, match="what is before it is used"):
        told = model.context(cut, nominal)
    assert torch.equal(told, model.context(rows_of(log, slice(0, 700)), nominal))


def rows_of(log: Log, rows: object) -> Log:
    tables = {name: getattr(log, name)[rows] for name in ("times", *TABLES)}
    return dataclasses.replace(log, **tables)


def test_beside_identified_arms(windows: Path, plan: Path, tmp_path: Path) -> None:
    model = train(windows, tmp_path / "run", "--config", 'nominal="identified"', steps=3)
    words = ["execute", plan, "--driver", "learned", "--option", f"model={model}"]
    assert "give the arm's model (edmp identify) as arm_model" in refused(*words)
    heavy_model().save(tmp_path / "arm.safetensors")
    said = json.loads(
        invoke(*words, "--option", f"arm_model={tmp_path / 'arm.safetensors'}", "--json").splitlines()[-1]
    )
    assert said["fault"] == "TRACKING"  # as the arm does that was identified


def test_data_that_are_no_commanded_motions_are_refused(windows: Path, tmp_path: Path) -> None:
    words = ["dynamics", "train", "--model", "world", "--out", tmp_path / "run", "--max-steps", "1", "--data"]
    (tmp_path / "chirps").mkdir()
    write_shards(tmp_path / "chirps", 2, shards=1, robot="panda", dof=7, steps=20, dt=0.05)
    assert "has no tensor arm, commanded" in refused(*words, tmp_path / "chirps")
    assert "not of 'ur5'" in refused(*words, windows, "--robot", "ur5")
    assert "bad config" in refused(*words, windows, "--config", "widht=3")
    assert "nominal must be one of described, identified" in refused(*words, windows, "--config", 'nominal="odd"')
    assert "frames 0.05 s" in refused(*words, windows, "--config", "dt=0.05")
    assert "too short for two contexts of 128" in refused(*words, windows, "--config", "context=128")
    (tmp_path / "none").mkdir()
    assert "no shard-*.safetensors" in refused(*words, tmp_path / "none")
    message = refused("dynamics", "train", "--model", "wrold", "--data", windows, "--out", tmp_path, "--max-steps", "1")
    assert "Did you mean 'world'" in message


def test_activity_is_not_fed_by_what_is_drawn(panda) -> None:
    """Noise that grows with drawn velocities would feed itself: an arm at rest stays at rest."""
    torch.manual_seed(0)
    config = WorldConfig(width=16, depth=1, hidden=16, cond=16, context_width=16)
    network = WorldNetwork(config, panda.dof)
    frames = 0.01 * torch.randn(50, 40, 5 * panda.dof, generator=torch.Generator().manual_seed(1))
    network.fit(frames)
    history = torch.zeros(8, config.history + 1, 5 * panda.dof)
    generator = torch.Generator().manual_seed(2)
    size = []
    with torch.no_grad():
        for _ in range(200):
            d = network.next(history, torch.zeros(8, config.cond), generator)
            history = network.then(history, d, history[:, -1])
            size.append(float(d.abs().max()))
    assert max(size[100:]) < 0.05
