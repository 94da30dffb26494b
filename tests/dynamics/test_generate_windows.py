"""edmp dynamics generate: the same data however they are made, and arms that bodies could be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edmp.cli.main import main
from edmp.dynamics import ArmDynamics
from edmp.dynamics.excitation import BANDS, CHIRP_TORQUE, MULTISINE_TORQUE, excitation
from edmp.dynamics.generate import WindowSettings, generate_windows
from edmp.dynamics.motions import there_and_back
from edmp.dynamics.random_arms import SPREADS, parameter_names, random_arm
from edmp.dynamics.simulate import excited
from edmp.errors import InvalidInputError, UnknownNameError
from edmp.learning.tensors import read_tensors
from edmp.robots import Robot
from edmp.timing import retime_waypoints

Array = NDArray[np.float64]

SETTINGS = WindowSettings(count=10, excitations=("chirp", "multisine"), bands=("D1", "D3"), windows_per_shard=4)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_windows(tmp_path_factory.mktemp("windows"), SETTINGS, workers=2).parent


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("shard-*.safetensors"))


def test_every_shard_is_made_and_says_what_it_is(made: Path, panda: Robot) -> None:
    kinds, arms = [], []
    for path in shards(made):
        tensors, header = read_tensors(path)
        kinds.append((header["excitation"].text(), header["band"].text()))
        arms += tensors["arm"].tolist()
        assert tensors["positions"].shape[1:] == (160, 7)
        assert tensors["parameters"].shape[1] == len(parameter_names(panda))
        inside = (tensors["positions"].numpy() >= panda.limits.lower) & (
            tensors["positions"].numpy() <= panda.limits.upper
        )
        assert inside.all()
    assert kinds == [("chirp", "D1"), ("multisine", "D1"), ("chirp", "D3")]
    assert arms == list(range(10))


def test_the_arm_and_its_excitation_are_all_there_is_to_a_window(made: Path, panda: Robot) -> None:
    """From the parameters, where the arm began and the excitation, the window follows."""
    tensors, header = read_tensors(shards(made)[0])
    rows = {name: values.numpy().astype(np.float64) for name, values in tensors.items()}
    inertial, joints = rows["parameters"][:, :70].reshape(-1, 7, 10), rows["parameters"][:, 70:91].reshape(-1, 3, 7)
    nominal = ArmDynamics.of(panda)
    arms = [
        nominal.with_parameters(one, armature=armature, viscous=viscous, coulomb=coulomb)
        for one, (armature, viscous, coulomb) in zip(inertial, joints, strict=True)
    ]
    start = rows["start"]
    q, _, tau = excited(arms, nominal, start, 0 * start, rows["excitation"], header["dt"].number())
    np.testing.assert_allclose(q, rows["positions"], atol=1e-4)
    np.testing.assert_allclose(tau, rows["torques"], atol=1e-2)


def test_other_processes_and_an_interruption_make_the_same(made: Path, tmp_path: Path) -> None:
    generate_windows(tmp_path, SETTINGS, workers=1, max_seconds=1e-3)  # one shard, then stopped
    assert len(shards(tmp_path)) == 1
    generate_windows(tmp_path, SETTINGS, workers=1)
    assert [path.read_bytes() for path in shards(tmp_path)] == [path.read_bytes() for path in shards(made)]


def test_other_settings_are_refused_by_name(made: Path) -> None:
    other = WindowSettings(count=10, excitations=("chirp",), bands=("D1", "D3"), windows_per_shard=4)
    with pytest.raises(InvalidInputError, match=r"other settings \(excitations="):
        generate_windows(made, other)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--excitation", "shove"], "excitation 'shove'"),
        (["--band", "D9"], "band of chirp 'D9'"),
        (["--distribution", "odd"], "distribution 'odd'"),
        (["--simulator", "odd"], "simulator 'odd'"),
        (["--excitation", "chirp,motions"], "folder of their own"),
    ],
)
def test_misuse_is_told(options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["dynamics", "generate", "--out", str(tmp_path / "w"), *options])
    assert end.value.code == 2
    assert says in capsys.readouterr().err.replace("unknown ", "")
    assert not (tmp_path / "w" / "manifest.json").exists()


def test_random_arms_are_made_of_matter(panda: Robot) -> None:
    """Principal moments are at least 0 and fulfil the triangle inequalities; in and out do not overlap."""
    nominal = ArmDynamics.of(panda)
    for name, spread in SPREADS.items():
        arms = [random_arm(nominal, np.random.default_rng(k), name) for k in range(50)]
        moments = np.linalg.eigvalsh(np.array([one.arm.I_C_B for one in arms]))
        assert (moments > 0.0).all()
        assert (moments[..., 0] + moments[..., 1] > moments[..., 2] * (1.0 - 1e-9)).all()
        factors = np.abs(np.log([one.arm.mass[:-1] / nominal.mass[:-1] for one in arms]))
        least, most = max(spread.mass[0] - spread.common[1], 0.0), spread.mass[1] + spread.common[1]
        assert least - 1e-9 <= factors.min() <= factors.max() <= most + 1e-9
        assert len({one.controller.delay for one in arms}) == 50
    smooth = [random_arm(nominal, np.random.default_rng(k), "wide").arm.coulomb.max() == 0.0 for k in range(100)]
    assert 10 <= sum(smooth) <= 30  # a fifth of them do not rub
    again = random_arm(nominal, np.random.default_rng(3)).parameters()
    np.testing.assert_array_equal(again, random_arm(nominal, np.random.default_rng(3)).parameters())
    with pytest.raises(UnknownNameError, match="distribution"):
        random_arm(nominal, np.random.default_rng(0), "odd")


@pytest.mark.parametrize("kind", BANDS)
def test_excitations_keep_to_their_bounds_and_bands(panda: Robot, kind: str) -> None:
    times = np.arange(0.0, 40.0, 0.05)
    for band, (low, high) in BANDS[kind].items():
        torque = excitation(panda, kind, band, times, np.random.default_rng(0))
        most = CHIRP_TORQUE if kind == "chirp" else MULTISINE_TORQUE * high
        share = panda.limits.effort / panda.limits.effort.max()
        assert (np.abs(torque).max(axis=0) <= most * share + 1e-9).all()
        power = np.abs(np.fft.rfft(torque * np.hanning(len(times))[:, None], axis=0)) ** 2
        frequencies = np.fft.rfftfreq(len(times), 0.05)
        inside = (frequencies > low - 0.06) & (frequencies < high + 0.06)
        assert power[inside].sum() > 0.95 * power.sum()


def test_shaken_arms_stay_near_where_they_began(panda: Robot) -> None:
    arm = ArmDynamics.of(panda)
    q0 = panda.home[None]
    still = np.zeros((1, 40, 7))
    q, v, _ = excited(arm, arm, q0, 0 * q0, still, 0.05)
    np.testing.assert_allclose(q[0], np.repeat(q0, 40, axis=0), atol=1e-9)
    np.testing.assert_allclose(v, 0.0, atol=1e-9)


def test_there_and_back_is_a_motion(panda: Robot) -> None:
    motion = retime_waypoints([panda.home, panda.home + 0.3], panda.limits, joint_names=panda.joint_names)
    times = np.arange(0.0, 6.0, 1e-3)
    q, v, a = there_and_back(motion, 0.7, times)
    np.testing.assert_allclose(np.gradient(q, times, axis=0)[1:-1], v[1:-1], atol=2e-3)
    np.testing.assert_allclose(q[0], panda.home, atol=1e-12)
    assert not v[0].any()
    assert np.abs(a).max() <= panda.limits.acceleration.max()


def test_windows_of_planned_motions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["dynamics", "generate", "--out", str(tmp_path), "--count", "6", "--excitation", "motions", "--pool", "2"]
    with pytest.raises(SystemExit) as end:
        main([*command, "--workers", "1"])
    assert end.value.code == 0
    assert "written" in capsys.readouterr().out
    tensors, header = read_tensors(shards(tmp_path)[0])
    assert header["excitation"].text() == "motions"
    error = (tensors["positions"] - tensors["commanded"]).abs()
    assert tensors["commanded"].shape == (6, 128, 7)
    assert 1e-4 < float(error.max()) < 0.5
    assert json.loads((tmp_path / "manifest.json").read_text())["shards"]["0"]["windows"] == 6
