"""Problems made on demand: solvable, proved, the same for everybody, and never training data."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from command import run

from edmp.bench import find_problems
from edmp.bench.expert import END_CLEARANCE, NEUTRAL, TASK, WORTH_PLANNING, kind_of, make_problem, scene_seed
from edmp.bench.suites import MakeSettings, in_proportion, make, missing, suite
from edmp.data.generate import BENCHMARK_SEED_BASE, GenerateSettings
from edmp.errors import InvalidInputError, UnknownNameError
from edmp.problem import PoseGoal
from edmp.robots import load_robot, tool_pose
from edmp.scenes.generators import FAMILIES
from edmp.trajectory import path_length
from edmp.validate import Judge

SMALL = MakeSettings({"shelf": 2, "cubby": 1}, seed=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("suite")
    assert make(out, SMALL) == 3
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- what comes out --------------------------------------------------------------------------------------------------


def test_every_problem_is_proved_solvable_by_what_lies_beside_it(made: Path) -> None:
    entries = find_problems(made)
    assert [(e.set, e.index) for e in entries] == [("cubby", 1), ("shelf", 1), ("shelf", 2)]
    for entry in entries:
        problem = entry.load("panda")
        proof = json.loads((entry.file.parent / f"expert{entry.index:04d}.json").read_text())
        path = np.array(proof["path"])
        judge = Judge(problem.robot, problem.scene)
        assert judge.check_path(path, start=problem.start).valid
        assert isinstance(problem.goal, PoseGoal)
        X = np.linalg.inv(problem.goal.X_WT) @ tool_pose(problem.robot, torch.as_tensor(path[-1])).numpy()
        np.testing.assert_allclose(X, np.eye(4), atol=1.5e-3)
        assert entry.best_known == pytest.approx(path_length(path), abs=1e-6)
        assert np.linalg.norm(path[-1] - path[0]) >= WORTH_PLANNING
        assert not judge.check_path(path[[0, -1]]).valid  # there is something to plan
        assert judge.check(problem.start).min_clearance >= END_CLEARANCE
        assert proof["kind"] == kind_of(entry.index)
        assert problem.name == f"{entry.set}/{entry.index:04d} ({proof['kind']})"


@pytest.mark.parametrize("family", FAMILIES)
def test_joint_goals_are_reached_exactly(family: str) -> None:
    robot = load_robot("panda")
    problem = make_problem(robot, family, seed=0, number=2, pose_goal=False)
    judge = Judge(robot, problem.scene)
    assert problem.kind == NEUTRAL
    assert judge.check_path(problem.path, start=problem.start, goal=problem.goal).valid
    assert np.abs(problem.start - robot.home).max() < 0.3 * (robot.limits.upper - robot.limits.lower).max()


def test_kinds_alternate() -> None:
    assert [kind_of(number) for number in (1, 2, 3)] == [TASK, NEUTRAL, TASK]


# --- the same for everybody ------------------------------------------------------------------------------------------


def test_the_files_do_not_depend_on_workers_or_interruptions(made: Path, tmp_path: Path) -> None:
    make(tmp_path, MakeSettings({"shelf": 1}, seed=3))
    (tmp_path / "shelf" / "expert0001.json").unlink()  # as if it had stopped in between
    assert missing(tmp_path, SMALL) == [("shelf", 1), ("shelf", 2), ("cubby", 1)]
    assert make(tmp_path, SMALL, workers=2) == 3
    assert files(tmp_path) == files(made)
    assert make(tmp_path, SMALL) == 0


def test_other_settings_need_another_folder(made: Path) -> None:
    with pytest.raises(InvalidInputError, match="made with other settings \\(seed=3\\)"):
        make(made, MakeSettings({"shelf": 1}, seed=4))


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "best_known_lengths.json").write_text("{}")
    with pytest.raises(InvalidInputError, match=r"is not empty and holds no suite.json"):
        make(tmp_path, SMALL)
    assert files(tmp_path) == {"best_known_lengths.json": b"{}"}


# --- seeds -----------------------------------------------------------------------------------------------------------


def test_benchmarks_and_training_never_share_a_seed() -> None:
    lowest = scene_seed("tabletop", 0, 0, 0)
    highest = scene_seed("tabletop", 2**24 - 1, 10**6 - 1, 10**3 - 1)
    assert BENCHMARK_SEED_BASE <= lowest < highest < 2**128
    last = BENCHMARK_SEED_BASE // 10**6
    training = GenerateSettings(seed=last - 1).scene_seed(999_999)
    assert training < BENCHMARK_SEED_BASE
    with pytest.raises(InvalidInputError, match="run into the seeds kept for benchmarks"):
        GenerateSettings(seed=last + 1).scene_seed(0)
    with pytest.raises(InvalidInputError, match="run into the seeds kept for benchmarks"):
        GenerateSettings(seed=1).scene_seed(1_000_000)


def test_every_draw_has_a_seed_of_its_own() -> None:
    draws = [(f, s, n, a) for f in FAMILIES for s in (0, 1) for n in (0, 1, 999_999) for a in (0, 1, 999)]
    assert len({scene_seed(*draw) for draw in draws}) == len(draws)
    with pytest.raises(InvalidInputError, match="number must be at least 0 and below 1000000"):
        scene_seed("shelf", 0, 1_000_000, 0)


# --- suites ----------------------------------------------------------------------------------------------------------


def test_the_suite_keeps_its_proportions() -> None:
    assert suite("mpinets-like").counts == {"tabletop": 600, "cubby": 300, "merged_cubby": 300, "dresser": 600}
    sixth = {"tabletop": 100, "cubby": 50, "merged_cubby": 50, "dresser": 100}
    assert suite("mpinets-like", count=300).counts == sixth
    assert suite("mpinets-like", fraction=Fraction(1, 6)).counts == sixth
    assert sum(suite("mpinets-like", count=7).counts.values()) == 7


def test_sharing_out_leaves_nothing_over() -> None:
    assert in_proportion({"a": 1, "b": 1, "c": 1}, 4) == {"a": 2, "b": 1, "c": 1}
    assert in_proportion({"a": 5, "b": 1}, 3) == {"a": 3, "b": 0}
    for total in range(1, 50):
        assert sum(in_proportion({"a": 3, "b": 7, "c": 11}, total).values()) == total


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "give either --suite or --family"),
        (("--suite", "mpinets-like", "--family", "shelf"), "give either --suite or --family"),
        (("--suite", "mpinet"), "unknown suite 'mpinet'; valid: hard, mpinets-like"),
        (("--suite", "mpinets-like", "--seed", 3), "--seed: the suite mpinets-like defines it"),
        (("--suite", "mpinets-like", "--fraction", "1/6", "--count", 300), "not both"),
        (("--suite", "mpinets-like", "--fraction", "sixth"), "--fraction: expected a number such as 1/6"),
        (("--suite", "mpinets-like", "--fraction", "7/6"), "fraction must be in"),
        (("--suite", "mpinets-like", "--count", 1801), "has 1800 problems"),
        (("--family", "shelves"), "unknown scene family 'shelves'"),
        (("--family", "shelf", "--fraction", "1/2"), "part of a --suite"),
        (("--family", "shelf", "--goal", "here"), "unknown kind of goal 'here'; valid: joints, pose"),
        (("--family", "shelf", "--robot", "arm.yaml"), "unknown built-in robot 'arm.yaml'"),
        (("--family", ","), "name at least one family"),
        (("--family", "shelf", "--count", 2_000_000), "number must be"),
    ],
)
def test_misuse_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], says: str
) -> None:
    out = tmp_path / "out"
    assert run("bench", "make", "--out", out, *options) == 2
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_the_command_makes_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--family", "shelf", "--count", 1, "--goal", "joints", "--workers", 1, "--out", tmp_path)
    assert run("bench", "make", *options) == 0
    assert "1 problems in" in capsys.readouterr().out
    assert run("bench", "make", *options) == 0
    assert "0 made now, 1 were there" in capsys.readouterr().out
    problem = find_problems(tmp_path)[0].load("panda")
    assert problem.goal.shape == (7,)


def test_unknown_suites_are_named() -> None:
    with pytest.raises(UnknownNameError, match="valid: hard, mpinets-like"):
        suite("mbm-like")
