"""What a network adds to recursive Newton-Euler: learned from motions, kept in a file, added to a log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from command import run

from edmp.dynamics import ArmDynamics, Controller, track
from edmp.dynamics.label import label_log
from edmp.dynamics.learned.inverse import (
    InverseConfig,
    InverseNetwork,
    LearnedLeftover,
    examples_of,
    inverse_card,
    load_inverse,
    save_inverse,
)
from edmp.errors import FileFormatError, InvalidInputError
from edmp.recordings import Log, read_log, write_log
from edmp.robots import load_robot

ROBOT = load_robot("panda")
NOMINAL = ArmDynamics.of(ROBOT)
ROUGH = NOMINAL.with_parameters(viscous=0.01 * ROBOT.limits.effort, coulomb=0.02 * ROBOT.limits.effort)
CONFIG = InverseConfig(7, width=48, depth=1, hidden=96)


def swung(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, torques, commands (count, 64, 7), 20 ms apart, of arms that have friction nobody described."""
    rng, times = np.random.default_rng(seed), 2e-3 * np.arange(1, 641)
    w, ramp = rng.uniform(1.5, 5.0, (count, 1, 7)), np.clip(times / 0.5, 0.0, 1.0)[:, None]
    q = np.array(ROBOT.home) + 0.15 * np.sin(w * times[:, None]) * ramp**3 * (10 - 15 * ramp + 6 * ramp**2)
    v = np.gradient(q, 2e-3, axis=1)
    found, _, torques = track(
        ROUGH, NOMINAL, (q, v, np.gradient(v, 2e-3, axis=1)), Controller(delay=0.02), 2e-3, every=10
    )
    return found, torques, q[:, 9::10]


@pytest.fixture(scope="module")
def learned() -> LearnedLeftover:
    """A few seconds' worth."""
    torch.manual_seed(0)
    examples = examples_of(ROBOT, *swung(24, 0), CONFIG).reshape(-1, 28 + 4 * 14)
    network, generator = InverseNetwork(CONFIG), torch.Generator().manual_seed(0)
    network.fit(examples)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(250):
        rows = torch.randint(len(examples), (128,), generator=generator)
        loss = network.loss(examples[rows], generator).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return LearnedLeftover(network.eval().requires_grad_(False), inverse_card(ROBOT, CONFIG))


def test_examples_are_pairs_of_states_and_what_lies_between() -> None:
    positions, torques, commanded = swung(2, 1)
    examples = examples_of(ROBOT, positions, torques, commanded, CONFIG).double().numpy()
    assert examples.shape == (2, 60, 28 + 4 * 14)
    np.testing.assert_allclose(examples[1, 10, :7], positions[1, 10], atol=1e-5)
    np.testing.assert_allclose(examples[1, 10, 14:21], positions[1, 14], atol=1e-5)
    ahead = examples[1, 10, 28:].reshape(4, 14)[:, 7:]
    np.testing.assert_allclose(ahead, (commanded - positions)[1, 11:15], atol=1e-5)


def test_friction_and_delay_are_learned_and_errors_are_as_large_as_is_said(learned: LearnedLeftover) -> None:
    (positions,), (torques,), (commanded,) = swung(1, 7)
    log = Log(ROBOT.joint_names, 0.02 * np.arange(64), positions)
    plain, better = label_log(log, ROBOT), label_log(log, ROBOT, leftover=learned)
    inner = slice(5, -5)
    for name, truth, factor in (("torques", torques, 0.6), ("commanded", commanded, 0.4)):
        before, after = ((getattr(one, name) - truth)[inner] for one in (plain, better))
        assert np.sqrt(np.mean(after**2)) < factor * np.sqrt(np.mean(before**2)), name
        assert np.mean(np.abs(after) <= 2 * better.spread[name][inner]) > 0.8, name


def test_a_file_says_whose_network_it_is(learned: LearnedLeftover, tmp_path: Path) -> None:
    path = tmp_path / "inverse.safetensors"
    save_inverse(path, learned.network, learned.card)
    again = load_inverse(path)
    (positions, _, _) = swung(1, 3)
    log = Log(ROBOT.joint_names, 0.02 * np.arange(64), positions[0])
    one, other = (label_log(log, ROBOT, leftover=one).torques for one in (learned, again))
    np.testing.assert_array_equal(one, other)
    ur5 = load_robot("ur5")
    with pytest.raises(InvalidInputError, match="the network is of panda, not of ur5"):
        label_log(Log(ur5.joint_names, log.times, np.zeros((64, 6))), ur5, leftover=again)
    with pytest.raises(InvalidInputError, match="shorter than a chunk of 4 rows"):
        label_log(Log(ROBOT.joint_names, log.times[:6] / 4, positions[0, :6]), ROBOT, leftover=again)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileFormatError, match="truncated"):
        load_inverse(path)


def test_on_the_command_line(
    learned: LearnedLeftover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (positions,), (torques,), _ = swung(1, 7)
    save_inverse("inverse.safetensors", learned.network, learned.card)
    write_log("log.csv", Log(ROBOT.joint_names, 0.02 * np.arange(64), positions))
    label = ("logs", "label", "log.csv", "--robot", "panda", "--out", "out.csv", "--network", "inverse.safetensors")
    assert run(*label) == 0
    assert "torques     added, standard deviations" in capsys.readouterr().out
    plain = label_log(read_log("log.csv", robot="panda"), ROBOT)
    better = read_log("out.csv", robot="panda")
    error, before = (np.square(log.torques - torques)[5:-5].mean() for log in (better, plain))
    assert error < 0.4 * before
    assert run(*label, "--delay", "0.02") == 2
    assert "exclude each other" in capsys.readouterr().err
