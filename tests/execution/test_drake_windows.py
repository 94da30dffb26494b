"""Test sets from Drake: other equations of motion, the same windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edmp.cli.main import main
from edmp.dynamics.draws import Draw, drawing, simulated
from edmp.learning.tensors import read_tensors
from edmp.robots import load_robot

drake_windows = pytest.importorskip("edmp.execution.drivers.drake_windows")


@pytest.mark.parametrize("distribution", ["in", "out"])
def test_drake_and_our_kernels_move_the_same_arms_alike(distribution: str) -> None:
    draw = drawing(load_robot("panda"), "multisine", "D3", distribution, folder=Path(), pool=1, seed=0)(2, (3,))
    assert draw.excitation is not None
    short = Draw(draw.robot, draw.arms, draw.dt, draw.q0, excitation=draw.excitation[:, :20])
    ours, drake = simulated(short), drake_windows.simulated_by_drake(short)
    assert np.abs(ours.positions - short.q0[:, None]).max() > 0.02
    np.testing.assert_allclose(ours.positions, drake.positions, atol=1e-5)
    np.testing.assert_allclose(ours.velocities, drake.velocities, atol=1e-4)
    np.testing.assert_allclose(ours.torques, drake.torques, atol=1e-3)


def test_a_test_set_says_who_moved_the_arms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["dynamics", "generate", "--simulator", "drake", "--count", "1", "--workers", "1", "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as end:
        main([*command, "--excitation", "motions"])
    assert end.value.code == 2
    assert "edmp bench execute" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main([*command, "--distribution", "out"])
    assert end.value.code == 0
    tensors, _ = read_tensors(tmp_path / "shard-00000.safetensors")
    assert tensors["positions"].shape == (1, 160, 7)
    assert '"simulator": "drake"' in (tmp_path / "manifest.json").read_text()
