"""Expert data: reproducible, resumable, free of collisions, and never from a seed kept for benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import edmp.data.generate as module
from edmp.data.generate import BENCHMARK_SEED_BASE, GenerateSettings, generate, shard_files
from edmp.data.task_poses import task_configurations
from edmp.errors import EdmpError, FileFormatError, InvalidInputError
from edmp.prior.spline import Spline
from edmp.robots import load_robot
from edmp.scenes.generators import generate as generate_scene
from edmp.validate.dense import dense_collisions

SMALL = GenerateSettings(
    count=5, seed=7, families=("tabletop", "shelf"), queries_per_scene=4, targets_per_scene=8, scenes_per_shard=2
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("data")
    generate(out, SMALL, workers=1)
    return out


def test_paths_are_splines_within_limits_that_keep_clear_of_their_scene(folder):
    robot = load_robot("panda")
    families = sorted(SMALL.families)
    total = 0
    for path in shard_files(folder):
        shard = load_file(path)
        control_points = shard["control_points"]
        assert control_points.dtype == np.float32
        assert control_points.shape[1:] == (16, 7)
        assert (control_points >= robot.limits.lower - 1e-6).all()
        assert (control_points <= robot.limits.upper + 1e-6).all()
        for row, number in zip(control_points, shard["scene"], strict=True):
            rng = np.random.default_rng(SMALL.scene_seed(int(number)))
            scene = generate_scene(families[int(rng.integers(len(families)))], rng).scene
            q = Spline().basis_at(np.linspace(0, 1, 64)) @ row.astype(np.float64)
            assert not dense_collisions(robot, scene, q.clip(robot.limits.lower, robot.limits.upper))
        total += len(control_points)
    assert total >= SMALL.count


def test_goes_on_where_it_stopped_and_makes_the_same(folder, tmp_path):
    before = {path.name: path.read_bytes() for path in shard_files(folder)}
    manifest = json.loads((folder / "manifest.json").read_text())
    generate(folder, SMALL, workers=1)  # nothing is missing: at most the next shard is made
    for name, content in before.items():
        assert (folder / name).read_bytes() == content
    assert json.loads((folder / "manifest.json").read_text())["settings"] == manifest["settings"]
    generate(tmp_path, SMALL, workers=1)
    for name, content in before.items():
        assert (tmp_path / name).read_bytes() == content


def test_other_settings_need_another_folder(folder):
    with pytest.raises(InvalidInputError, match="seed=7"):
        generate(folder, replace(SMALL, seed=8), workers=1)


def test_a_broken_manifest_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(FileFormatError, match=r"manifest\.json"):
        generate(tmp_path, SMALL, workers=1)


def test_benchmark_seeds_are_out_of_reach():
    assert GenerateSettings(seed=1).scene_seed(999_999) < BENCHMARK_SEED_BASE
    with pytest.raises(InvalidInputError):
        GenerateSettings(seed=1).scene_seed(1_000_000)
    with pytest.raises(InvalidInputError):
        GenerateSettings(seed=BENCHMARK_SEED_BASE // 1_000_000 + 1).scene_seed(0)


def test_task_configurations_are_at_the_poses_and_within_the_limits():
    import torch

    from edmp.robots.kinematics import tool_pose

    robot = load_robot("panda")
    rng = np.random.default_rng(0)
    wanted = tool_pose(robot, torch.as_tensor(rng.uniform(robot.limits.lower, robot.limits.upper, (50, 7)))).numpy()
    q = task_configurations(robot, wanted, rng)
    assert len(q) > 60
    X = tool_pose(robot, torch.as_tensor(q)).numpy()
    nearest = np.linalg.norm(X[:, None, :3, 3] - wanted[None, :, :3, 3], axis=2).argmin(axis=1)
    assert len(np.unique(nearest)) > 25
    assert np.linalg.norm(X[:, :3, 3] - wanted[nearest, :3, 3], axis=1).max() < 1.01e-3
    assert np.abs(X[:, :3, :3] - wanted[nearest, :3, :3]).max() < 2e-3
    assert ((q >= robot.limits.lower + 0.01) & (q <= robot.limits.upper - 0.01)).all()


@pytest.mark.parametrize(
    ("field", "value", "right"),
    [
        ("count", 0, "at least 1"),
        ("seed", -1, "at least 0"),
        ("queries_per_scene", 0, "at least 1"),
        ("targets_per_scene", 0, "at least 1"),
        ("margin", -0.01, "at least 0"),
        ("scenes_per_shard", 0, "at least 1"),
    ],
)
def test_settings_refuse_nonsense(field, value, right):
    with pytest.raises(InvalidInputError, match=f"{field} must be {right}.*, got {value}"):
        GenerateSettings(**{field: value})


def test_misuse_is_told_before_anything_is_written(tmp_path):
    for settings, workers in (
        (replace(SMALL, families=("shelv",)), 1),
        (replace(SMALL, robot="pandaa"), 1),
        (SMALL, 0),
    ):
        with pytest.raises(EdmpError, match=r"Did you mean|workers"):
            generate(tmp_path / "data", settings, workers=workers)
        assert not (tmp_path / "data").exists()


def test_shard_after_shard_without_a_trajectory_ends_the_run(tmp_path, monkeypatch):
    made = []

    def barren_shard(out, settings, shard):
        made.append(shard)
        return shard, {"trajectories": int(shard == 2), "queries": 4, "seconds": 0.1}

    @contextlib.contextmanager
    def threads(count, out):
        with ThreadPoolExecutor(count) as pool:
            yield pool

    monkeypatch.setattr(module, "_make_shard", barren_shard)
    monkeypatch.setattr(module, "shard_pool", threads)
    with pytest.raises(EdmpError, match="8 shards of 2 scenes in a row without a single trajectory of panda"):
        generate(tmp_path, SMALL, workers=1)
    assert made == list(range(11))  # shard 2 was not empty
    assert len(json.loads((tmp_path / "manifest.json").read_text())["shards"]) == 11


def test_ctrl_c_ends_the_workers_and_keeps_what_is_finished(tmp_path):
    code = (
        "from edmp.data.generate import GenerateSettings, generate\n"
        "if __name__ == '__main__':\n"
        "    generate('data', GenerateSettings(count=10**6, families=('tabletop',), queries_per_scene=2,"
        " targets_per_scene=4, scenes_per_shard=1), workers=2)\n"
    )
    (tmp_path / "make.py").write_text(code)
    run = subprocess.Popen(
        [sys.executable, "make.py"],
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        wait_for(lambda: any(shard_files(tmp_path / "data")), 120)
        workers = children_of(run.pid)
        assert len(workers) >= 2
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        _, errors = run.communicate(timeout=60)
        assert errors.decode().rstrip().endswith("KeyboardInterrupt")
        wait_for(lambda: not any(is_running(pid) for pid in workers), 30)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())
    files = {path.name for path in (tmp_path / "data").iterdir()}
    assert {f"shard-{int(k):05d}.safetensors" for k in manifest["shards"]} <= files
    assert not [name for name in files if "partial" in name]


def wait_for(condition, seconds):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
