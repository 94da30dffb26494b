"""Hard problems: each kind is what it says, each problem is proved solvable, and a stopped run goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command import run

from edmp.bench import BenchProblem, find_problems, read_records
from edmp.bench.expert import END_CLEARANCE
from edmp.bench.hard import DRAWS
from edmp.bench.hard.cluttered import OBSTACLES
from edmp.bench.hard.containers import KINDS, WRIST, container, section
from edmp.bench.hard.detour import RATIO
from edmp.bench.hard.draft import retreat
from edmp.bench.hard.many_goals import FREE_SHARE, LEAST_CONFIGURATIONS
from edmp.bench.hard.narrow import ROOM
from edmp.bench.suites import MakeSettings, make, suite
from edmp.errors import EdmpError, InvalidInputError
from edmp.problem import PoseGoal, Problem
from edmp.robots import Robot, load_robot, solve_ik
from edmp.robots.kinematics import body_poses, tool_pose
from edmp.scenes import Scene
from edmp.trajectory import path_length
from edmp.validate import Judge
from edmp.validate.bodies import Arm

pytest.importorskip("ompl")

ONE_EACH = MakeSettings(dict.fromkeys(DRAWS, 1), seed=5, goal="kind")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hard")
    assert make(out, ONE_EACH) == len(DRAWS)
    return out


@pytest.fixture(scope="module")
def entries(folder: Path) -> dict[str, BenchProblem]:
    return {entry.set: entry for entry in find_problems(folder)}


@pytest.fixture(scope="module")
def panda() -> Robot:
    return load_robot("panda")


def proof(entry: BenchProblem) -> np.ndarray:
    return np.array(
        json.loads(entry.file.with_name(entry.file.name.replace("scene", "expert")).with_suffix(".json").read_text())[
            "path"
        ]
    )


@pytest.mark.parametrize("kind", DRAWS)
def test_every_problem_is_proved_solvable(kind: str, entries: dict[str, BenchProblem]) -> None:
    entry = entries[kind]
    problem, path = entry.load("panda"), proof(entry)
    judge = Judge(problem.robot, problem.scene)
    assert judge.check_path(path, start=problem.start).valid
    if isinstance(problem.goal, PoseGoal):
        X = tool_pose(problem.robot, torch.as_tensor(path[-1])).numpy()
        np.testing.assert_allclose(problem.goal.X_WT, X, atol=1.5e-3)
    else:
        np.testing.assert_allclose(path[-1], problem.goal, atol=1e-9)
    assert entry.solvable
    assert entry.best_known == pytest.approx(path_length(path), abs=1e-6)
    assert min(judge.check(q).min_clearance for q in (path[0], path[-1])) >= END_CLEARANCE
    assert not judge.check_path(path[[0, -1]]).valid


def test_detours_are_at_least_twice_as_long_as_the_line(entries: dict[str, BenchProblem]) -> None:
    problem = entries["detour"].load("panda")
    assert isinstance(problem.goal, np.ndarray)
    assert entries["detour"].best_known >= RATIO * np.linalg.norm(problem.goal - problem.start)


def test_clutter_is_many_things(entries: dict[str, BenchProblem]) -> None:
    assert OBSTACLES[0] <= len(entries["cluttered"].load("panda").scene.obstacles) <= OBSTACLES[1]


def test_most_configurations_of_the_goal_are_blocked(entries: dict[str, BenchProblem]) -> None:
    problem: Problem = entries["many_goals"].load("panda")
    assert isinstance(problem.goal, PoseGoal)
    judge = Judge(problem.robot, problem.scene)
    found = solve_ik(problem.robot, problem.goal.X_WT, num_seeds=320, enough=1.0, distinct=0.2, seed=99).q
    free = sum(judge.check(q).valid for q in found)
    assert len(found) >= LEAST_CONFIGURATIONS / 2
    assert free <= 2 * FREE_SHARE * len(found)  # other seeds, and without the room that ends keep


@pytest.mark.parametrize("kind", KINDS)
def test_passages_are_a_centimetre_or_so_wider_than_the_arm(kind: str, panda: Robot) -> None:
    rng = np.random.default_rng(3)
    found = next(c for _ in range(60) if (c := container(panda, kind, rng, prefix="", room=ROOM)) is not None)
    assert all(ROOM[0] <= room <= ROOM[1] for room in found.room)
    verdict = Judge(panda, Scene(found.obstacles)).check_path(found.way, tightness=1e-4)
    if verdict.valid:  # its walls may stand in the arm's way behind the hand: then the draw comes to nothing
        assert verdict.min_clearance <= max(found.room) / 2 + 1e-4


def test_a_section_holds_all_of_the_arm_that_is_between_two_heights(panda: Robot) -> None:
    rng = np.random.default_rng(0)
    way = retreat(panda, panda.home, 0.1)
    assert way is not None
    X_WG = tool_pose(panda, torch.as_tensor(panda.home)).numpy()
    z = (-0.2, -0.05)
    bounds = section(panda, way, X_WG, z)
    assert bounds is not None
    X_GB = np.linalg.inv(X_WG) @ body_poses(panda, torch.as_tensor(way)).numpy()
    arm, inside = Arm.of(panda), []
    for piece in (piece for piece in arm.pieces[: arm.moving] if piece.body > panda.dof - WRIST):
        weights = rng.dirichlet(np.full(len(piece.polytope.vertices), 0.01), 400)
        X = X_GB[:, piece.body]
        p = ((weights @ piece.polytope.vertices) @ X[:, :3, :3].transpose(0, 2, 1) + X[:, None, :3, 3]).reshape(-1, 3)
        inside.append(p[(p[:, 2] > z[0]) & (p[:, 2] < z[1]), :2])
    points = np.concatenate(inside)
    assert len(points) > 500
    assert (points >= bounds[0] - 1e-9).all()
    assert (points <= bounds[1] + 1e-9).all()
    assert (np.ptp(points, axis=0) > 0.8 * np.ptp(bounds, axis=0)).all()


# --- the same for everybody ------------------------------------------------------------------------------------------


def test_a_stopped_run_goes_on_to_the_same_files(folder: Path, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    shutil.copytree(folder, stopped)
    (stopped / "narrow" / "scene0001.yaml").unlink()
    assert make(stopped, ONE_EACH) == 1
    for name in ("scene0001.yaml", "expert0001.json"):
        assert (stopped / "narrow" / name).read_bytes() == (folder / "narrow" / name).read_bytes()
    with pytest.raises(InvalidInputError, match=r"made with other settings \(effort=1\)"):
        make(stopped, MakeSettings({"narrow": 1}, seed=5, goal="kind", effort=2))


def test_the_suite_has_a_hundred_of_each() -> None:
    assert suite("hard").counts == dict.fromkeys(DRAWS, 100)
    assert suite("hard", count=8).counts == dict.fromkeys(DRAWS, 2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--family", "narrow", "--goal", "pose"), "--goal: each kind of hard problem"),
        (("--family", "narrow,shelf"), "narrow: hard problems"),
        (("--family", "narrow", "--robot", "ur5"), "hard problems are made for the panda"),
        (("--family", "shelf", "--effort", 2), "effort: only hard problems"),
        (("--suite", "hard", "--seed", 3), "--seed: the suite hard defines it"),
        (("--suite", "hard", "--count", 401), "has 400 problems"),
    ],
)
def test_misuse_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], says: str
) -> None:
    assert run("bench", "make", "--out", tmp_path / "out", *options) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_kind_that_cannot_be_drawn_says_so(monkeypatch: pytest.MonkeyPatch, panda: Robot) -> None:
    from edmp.bench.hard import make as hard

    monkeypatch.setitem(hard.DRAWS, "narrow", lambda robot, number, rng: None)
    with pytest.raises(EdmpError, match="no problem of kind 'narrow' for panda in 500 draws"):
        hard.make_hard(panda, "narrow", seed=0, number=1, effort=1)


# --- deadlines -------------------------------------------------------------------------------------------------------


def test_a_run_tells_success_within_deadlines(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "r.jsonl"
    options = ("--sets", "cluttered", "--planners", "edmp:time_budget=2", "--deadlines", "0.001,60", "--out", out)
    assert run("bench", "run", "--problems", folder, *options) == 0
    table = capsys.readouterr().out
    (record,) = read_records(out)
    assert record.solvable
    assert "0.001 s" in table
    row = next(line.split() for line in table.splitlines() if line.split()[-4:-3] == ["1"])
    assert row[-3:] == ["0.0", *["100.0" if record.solved else "0.0"] * 2]
    assert run("bench", "run", "--problems", folder, "--deadlines", "0", "--out", tmp_path / "no.jsonl") == 2
    assert "deadlines: each must be a time above 0 in seconds, got 0" in capsys.readouterr().err
