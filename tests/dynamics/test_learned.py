"""Networks that forecast arms they have not met: told of no future, trained by the command, worth more than holding."""

import dataclasses
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_arms import windows, write_shards
from typer.testing import CliRunner

from edmp.cli.main import app
from edmp.dynamics.learned import Ablation, forecast, load
from edmp.dynamics.learned.condition import Condition, ForecastConfig, Normaliser
from edmp.dynamics.learned.networks import NETWORKS
from edmp.dynamics.learned.train import train
from edmp.dynamics.learned.windows import Windows
from edmp.errors import FileFormatError, InvalidInputError, UnknownNameError
from edmp.learning.tensors import read_tensors, write_tensors
from edmp.learning.training import CHECKPOINT_NAME, TrainSettings
from edmp.robots import load_robot

DOF, STEPS, CONTEXT, DT = 7, 40, 8, 0.1
SIZES = {"width": 32, "depth": 2, "context_depth": 1, "widths": [32, 64], "cond": 32, "groups": 4, "patch": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("windows")
    write_shards(folder, 600, robot="panda", dof=DOF, steps=STEPS, dt=DT)
    return folder


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four from the command line, trained for seconds."""
    out = tmp_path_factory.mktemp("runs")
    for name in NETWORKS:
        words = ["dynamics", "train", "--model", name, "--data", str(data), "--out", str(out / name)]
        words += ["--max-steps", "250", "--threads", "1", "--batch-size", "64", "--learning-rate", "3e-3"]
        words += [word for key, value in SIZES.items() for word in ("--config", f"{key}={value}")]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def held_out() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drive, context and what came of it, of arms that no training saw."""
    made = windows(64, dof=DOF, steps=STEPS, dt=DT, seed=99)
    state = np.concatenate([made["positions"], made["velocities"]], axis=-1)
    return made["excitation"], state[:, :CONTEXT], made["positions"][:, CONTEXT:]


def rmse(answers: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((answers.mean(axis=0) - truth) ** 2)))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_forecast_beats_holding_still_and_needs_the_arms_own_context(
    name: str, runs: Path, held_out: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    drive, context, truth = held_out
    model = load(runs / name / "dynamics.safetensors")
    answers = forecast(model, drive, context, num_samples=4)
    assert answers.shape == (1 if name == "robomorph" else 4, *truth.shape)
    told = rmse(answers, truth)
    assert told < 0.9 * rmse(np.repeat(context[:, -1:, :DOF], STEPS - CONTEXT, axis=1)[None], truth)
    others = forecast(model, drive, context, num_samples=4, ablation=Ablation("other"))
    assert rmse(others, truth) > 1.02 * told
    blank = forecast(model, drive, context, num_samples=4, ablation=Ablation("none"))
    assert rmse(blank, truth) > told


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_told_nothing_of_the_future(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other motion after the context changes neither statistics of a window nor a network's input; the drive does."""
    config = ForecastConfig(num_steps=STEPS, num_context=CONTEXT, dt=DT, width=32, depth=1, patch=4, widths=(16, 32))
    torch.manual_seed(0)
    network = NETWORKS[name](config, DOF).eval()
    made = windows(8, dof=DOF, steps=STEPS, dt=DT, seed=1)
    rows = torch.tensor(np.concatenate(list(made.values()), axis=-1), dtype=torch.float32)
    network.normaliser.fit(rows)
    other = rows.clone()
    other[:, CONTEXT:, DOF:] = 100.0 * torch.randn(8, STEPS - CONTEXT, 2 * DOF)
    seen: list[Condition] = []

    def error(self: object, asked: torch.Tensor, condition: Condition, generator: torch.Generator) -> torch.Tensor:
        seen.append(condition)
        return asked.new_zeros(len(asked))

    monkeypatch.setattr(NETWORKS[name], "error", error)
    for windows_of in (rows, other):
        network.loss(windows_of, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))
    other[:, CONTEXT:, :DOF] += 1.0
    network.loss(other, torch.Generator().manual_seed(0))
    assert not torch.equal(seen[0].drive, seen[2].drive)


def test_robomorph_forecasts_from_the_drive_so_far_alone(
    runs: Path, held_out: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    drive, context, _ = held_out
    model = load(runs / "robomorph" / "dynamics.safetensors")
    changed = drive.copy()
    changed[:, 24:] += 3.0
    before, after = (forecast(model, u, context)[0] for u in (drive, changed))
    assert np.array_equal(before[:, : 24 - CONTEXT], after[:, : 24 - CONTEXT])
    assert not np.allclose(before[:, 24 - CONTEXT :], after[:, 24 - CONTEXT :])


def test_a_warm_start_goes_on_from_a_guess(runs: Path, held_out: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    drive, context, truth = held_out
    guess = forecast(load(runs / "robomorph" / "dynamics.safetensors"), drive, context)[0]
    model = load(runs / "cdt" / "dynamics.safetensors")
    warm = forecast(model, drive, context, num_samples=4, warm_start=guess, warm_level=0.5)
    assert rmse(warm, truth) < 1.3 * rmse(guess[None], truth)
    near = forecast(model, drive, context, num_samples=4, warm_start=guess, warm_level=0.05)
    assert np.abs(near - guess).mean() < np.abs(warm - guess).mean()
    with pytest.raises(InvalidInputError, match=r"warm_start should be \(64, 32, 7\)"):
        forecast(model, drive, context, warm_start=guess[:, 1:])


def test_what_is_asked_for_is_undone() -> None:
    config = ForecastConfig(num_steps=STEPS, num_context=CONTEXT)
    normaliser = Normaliser(config, DOF)
    normaliser.fit(torch.randn(16, STEPS, 3 * DOF))
    positions, last = torch.randn(5, STEPS - CONTEXT, DOF), torch.randn(5, DOF)
    assert torch.allclose(normaliser.positions(normaliser.asked(positions, last), last), positions, atol=1e-5)


@pytest.mark.parametrize("name", ["robomorph", "cdt"])
def test_an_interrupted_training_goes_on_to_the_same_weights(name: str, data: Path, tmp_path: Path) -> None:
    settings = TrainSettings(
        max_steps=10, batch_size=16, progress=False, num_threads=1, validation_fraction=0.1, log_every=4, config=SIZES
    )
    robot = load_robot("panda")

    def interrupt(step: int, loss: float) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    train(data, tmp_path / "once", robot=robot, model=name, settings=settings)
    first = train(data, tmp_path / "twice", robot=robot, model=name, settings=settings, on_step=interrupt)
    assert first.interrupted
    train(data, tmp_path / "twice", robot=robot, model=name, settings=settings)
    once, twice = (read_tensors(tmp_path / folder / CHECKPOINT_NAME)[0] for folder in ("once", "twice"))
    assert once.keys() == twice.keys()
    assert all(torch.equal(once[key], twice[key]) for key in once)
    assert (tmp_path / "once" / "loss.png").exists()
    assert "Forecasts the joint positions" in (tmp_path / "once" / "dynamics.md").read_text()


def test_arms_are_held_out_whole(tmp_path: Path) -> None:
    made = {key: torch.tensor(a, dtype=torch.float32) for key, a in windows(40, dof=1, steps=20, dt=DT, seed=0).items()}
    made["arm"] = torch.arange(40) // 4
    write_tensors(tmp_path / "shard-00000.safetensors", made, {"robot": "x", "dt": DT})
    data = Windows(tmp_path, validation_fraction=0.5)
    first = {float(window[0, 1]) for window in data.validation}
    groups = made["positions"][:, 0, 0].reshape(10, 4)
    assert 0 < len(data.validation) < 40
    assert all(sum(float(x) in first for x in group) in (0, 4) for group in groups)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"positions": None}, "no tensor positions"),
        ({"velocities": torch.zeros(3, 20, 2)}, "alike"),
        ({"positions": torch.full((4, 20, 1), torch.nan)}, "not finite"),
        ({"arm": torch.zeros(3)}, "arm should be"),
    ],
)
def test_a_bad_shard_says_what_is_wrong(change: dict, said: str, tmp_path: Path) -> None:
    tensors = {name: torch.zeros(4, 20, 1) for name in ("excitation", "positions", "velocities")} | change
    path = tmp_path / "shard-00000.safetensors"
    write_tensors(path, {k: v for k, v in tensors.items() if v is not None}, {"robot": "x", "dt": DT})
    with pytest.raises(FileFormatError, match=said):
        Windows(tmp_path, validation_fraction=0.1)


def test_wrong_arguments_are_told(
    data: Path, runs: Path, tmp_path: Path, held_out: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    drive, context, _ = held_out
    model = load(runs / "cdcnn" / "dynamics.safetensors")
    with pytest.raises(InvalidInputError, match=r"torques should be \(n, 40, 7\), steps of 0.1 s"):
        forecast(model, drive[:, :-1], context)
    with pytest.raises(InvalidInputError, match="context has numbers that are not finite"):
        forecast(model, drive, np.full_like(context, np.nan))
    settings = TrainSettings(max_steps=1, progress=False)
    with pytest.raises(UnknownNameError, match="transformer"):
        train(data, tmp_path, robot=load_robot("panda"), model="transformer", settings=settings)
    with pytest.raises(InvalidInputError, match="not of 'ur5' with 6"):
        train(data, tmp_path, robot=load_robot("ur5"), model="cdt", settings=settings)
    bad = dataclasses.replace(settings, config={"depths": 1})
    with pytest.raises(InvalidInputError, match=r"bad config.*it has num_steps"):
        train(data, tmp_path, robot=load_robot("panda"), model="cdt", settings=bad)
    with pytest.raises(FileFormatError, match="no such file"):
        load(tmp_path / "none.safetensors")
