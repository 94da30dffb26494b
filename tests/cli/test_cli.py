"""The command line: exit codes, messages, and what is and is not written."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import run
from plan_cases import failed, solved

import edmp
from edmp.problem import PoseGoal, Problem
from edmp.result import PlanResult, Status

ZERO = "0 -0.8 0 -2.4 0 1.6 0.8"
EMPTY = "edmp_scene: 1\nobstacles: {}\n"


class FakePlan:
    """Stands for `edmp.plan`; remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.status = Status.SOLVED

    def __call__(self, scene: Any, start: Any, goal: Any, **options: Any) -> PlanResult:
        self.calls.append({"scene": scene, "start": start, "goal": goal, **options})
        if self.status is not Status.SOLVED:
            return failed(self.status, 'panda_hand is 12 mm inside "board_middle"')
        end = start + 0.1 if isinstance(goal, PoseGoal | tuple) else goal
        print("a library talks")
        return solved(Problem(options["robot"], scene, start, end))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePlan:
    plan = FakePlan()
    monkeypatch.setitem(vars(edmp), "plan", plan)
    return plan


@pytest.fixture
def scene_file(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "empty.yaml"
    path.write_text(EMPTY)
    return path


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == f"edmp {edmp.__version__}"


def test_a_shipped_example_plan_file_picture_and_report(
    fake: FakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, picture = tmp_path / "plan.json", tmp_path / "plan.png"
    assert run("plan", "--scene", "bookshelf", "--out", out, "--picture", picture) == 0
    plan = edmp.load_plan(out)
    assert plan.result.solved
    assert plan.problem.name == "bookshelf"
    assert picture.stat().st_size > 20_000
    report = capsys.readouterr().out
    for word in ("SOLVED", "repair", "0.250 s", "path length", "duration", "2.00 s", "12.3 mm", "plan.json"):
        assert word in report
    assert sorted(file.name for file in tmp_path.iterdir()) == ["plan.json", "plan.png"]


def test_the_denoising_of_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, film = tmp_path / "plan.json", tmp_path / "strip.png"
    assert run("plan", "--scene", "table", "--num-seeds", 8, "--out", out, "--denoising", film) == 0
    assert edmp.load_plan(out).result.solved
    assert film.stat().st_size > 20_000
    assert "strip.png" in capsys.readouterr().out


def test_no_denoising_of_what_was_not_sampled(
    scene_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beyond = ("--start", ZERO, "--goal", "0 -0.8 0 2.4 0 1.6 0.8")
    assert run("plan", "--scene", scene_file, *beyond, "--denoising", tmp_path / "film.gif") == 1
    captured = capsys.readouterr()
    assert "nothing was sampled" in captured.err
    assert "GOAL_OUT_OF_LIMITS" in captured.out
    assert not (tmp_path / "film.gif").exists()


def test_json_is_all_that_stdout_holds(fake: FakePlan, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "--scene", "bookshelf", "--json") == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["status"] == "SOLVED"
    assert document["best"]["trajectory"]["joint_names"][0] == "panda_joint1"
    assert "a library talks" in captured.err


def test_no_plan_is_exit_code_1_and_says_why(
    fake: FakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.status = Status.GOAL_IN_COLLISION
    assert run("plan", "--scene", "bookshelf", "--out", tmp_path / "plan.json") == 1
    assert 'GOAL_IN_COLLISION panda_hand is 12 mm inside "board_middle"' in capsys.readouterr().out
    assert edmp.load_plan(tmp_path / "plan.json").result.status is Status.GOAL_IN_COLLISION


def test_options_reach_the_planner(fake: FakePlan, scene_file: Path) -> None:
    options = (
        "--seed",
        7,
        "--time-budget",
        2.5,
        "--num-seeds",
        8,
        "--ensemble",
        "edmp12",
        "--prior",
        "process",
        "--no-fallback",
    )
    assert run("plan", "--scene", scene_file, "--start", ZERO, "--goal", f"[{ZERO.replace(' ', ', ')}]", *options) == 0
    call = fake.calls[0]
    np.testing.assert_array_equal(call["start"], [0, -0.8, 0, -2.4, 0, 1.6, 0.8])
    np.testing.assert_array_equal(call["goal"], call["start"])
    assert call["robot"].name == "panda"
    chosen = {name: call[name] for name in ("seed", "time_budget", "num_seeds", "ensemble", "prior", "fallback")}
    wanted = {"seed": 7, "time_budget": 2.5, "num_seeds": 8, "ensemble": "edmp12", "prior": "process"}
    assert chosen == {**wanted, "fallback": False}


def test_several_goals_of_either_kind(fake: FakePlan, scene_file: Path) -> None:
    pose = "0.4 0.1 0.5 1 0 0 0"
    assert run("plan", "--scene", scene_file, "--start", ZERO, "--goal", ZERO, "--goal-pose", pose) == 0
    configuration, pose_goal = fake.calls[0]["goal"]
    assert configuration.shape == (7,)
    np.testing.assert_array_equal(pose_goal.position, [0.4, 0.1, 0.5])
    scales = {"velocity_scale", "acceleration_scale"}
    told = {"constraints", "escape", "tool_speed", "tool_acceleration"}
    assert set(fake.calls[0]) == {"scene", "start", "goal", "robot", "seed", "fallback", *scales, *told}
    assert {fake.calls[0][name] for name in scales} == {1.0}


def test_start_may_replace_that_of_the_file(fake: FakePlan) -> None:
    assert run("plan", "--scene", "bookshelf", "--start", ZERO) == 0
    np.testing.assert_array_equal(fake.calls[0]["start"], [0, -0.8, 0, -2.4, 0, 1.6, 0.8])
    assert len(fake.calls[0]["scene"]) > 5


def test_a_robot_beside_its_scene_is_found_and_stands_where_it_says(fake: FakePlan, tmp_path: Path) -> None:
    from edmp.robots import load_robot, save_robot

    save_robot(load_robot("panda"), tmp_path / "arm.yaml")
    (tmp_path / "s.yaml").write_text(
        "edmp_scene: 1\nrobot: {name: arm.yaml, base: {position: [0, 0, 1]}}\nobstacles: {}\n"
    )
    assert run("plan", "--scene", tmp_path / "s.yaml", "--start", ZERO, "--goal", ZERO) == 0
    assert fake.calls[0]["robot"].X_W0[2, 3] == 1.0


MISUSE = [
    ((), "neither|start"),
    (("--start", "1 2 3", "--goal", ZERO), "--start: expected 7 numbers, got 3"),
    (("--start", ZERO, "--goal", ZERO.replace("1.6", "nan")), "--goal: every number must be finite"),
    (("--start", ZERO, "--goal", ZERO.replace("1.6", "inf")), "--goal: every number must be finite"),
    (("--start", ZERO.replace("0.8", "x"), "--goal", ZERO), "--start: '-x' is not a number"),
    (("--start", ZERO, "--goal-pose", "0.4 0 0.5 1 1 0 0"), "quaternion .* must have unit length"),
    (("--start", ZERO, "--goal", ZERO, "--robot", "pandaa"), "unknown robot 'pandaa'; valid: .*panda.*Did you mean"),
    (("--request", "r.yaml", "--start", ZERO), "--request gives start and goal already"),
]


@pytest.mark.parametrize(("arguments", "says"), MISUSE)
def test_misuse_is_one_line_and_exit_code_2(
    fake: FakePlan,
    scene_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    import re

    out = tmp_path / "plan.json"
    assert run("plan", "--scene", scene_file, "--out", out, *arguments) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert re.search(says, lines[-1]), lines[-1]
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert not out.exists()
    assert not fake.calls


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("edmp_scene: 1\nobstacles:\n  a: {type: box, size: [1, 1, 0]}\n", "s.yaml:3: .*positive"),
        ("edmp_scene: 1\nobstacles: {a: {type: bx}}\n", "s.yaml:2: .*unknown obstacle type 'bx'; valid: box"),
        ("edmp_scene: 1\nobstacles: [\n", "s.yaml:.*malformed YAML"),
        ("what: 1\n", "neither an edmp scene"),
    ],
)
def test_bad_scene_files_name_file_and_line(
    fake: FakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, says: str
) -> None:
    import re

    path = tmp_path / "s.yaml"
    path.write_text(content)
    assert run("plan", "--scene", path, "--start", ZERO, "--goal", ZERO) == 2
    assert re.search(says, capsys.readouterr().err)


def test_unknown_examples_and_files(fake: FakePlan, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "--scene", "bookshelv") == 2
    assert "valid: " in capsys.readouterr().err
    assert run("plan", "--scene", "no/such.yaml") == 2
    assert "no such file: no/such.yaml; shipped examples: " in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--picture"])
def test_unwritable_outputs_are_told_before_planning(
    fake: FakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    suffix = {"--out": "json", "--picture": "png"}[option]
    (tmp_path / "file").write_text("")
    for path, says in (
        (tmp_path / "none" / f"x.{suffix}", "does not exist"),
        (tmp_path / "file" / f"x.{suffix}", "does not exist"),
        (tmp_path / "x.txt", "must end in"),
        (Path("/proc") / f"x.{suffix}", "cannot write"),
    ):
        assert run("plan", "--scene", "bookshelf", option, path) == 2
        assert says in capsys.readouterr().err
    assert not fake.calls
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_unknown_options_are_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "--scene", "bookshelf", "--sed", 1) == 2
    assert run("plan") == 2
    assert run("fly") == 2


def test_robot_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("robot", "info", "panda") == 0
    report = capsys.readouterr().out
    assert "panda_joint7" in report
    assert "panda_hand" in report
    assert run("robot", "info", "nosuch") == 2


def test_robot_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("robot", "list") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert {row[0]: row[1] for row in rows} == {"fr3": "7", "panda": "7", "ur5": "6"}


def test_robot_fit_shows_what_it_is_doing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joint = '<joint name="a" type="revolute"><parent link="base"/><child link="{}"/><axis xyz="0 0 1"/>{}</joint>'
    limit = '<limit lower="-1" upper="1" velocity="1" effort="1"/>'
    box = '<collision><origin xyz="0 0 {}"/><geometry><box size="0.05 0.05 0.1"/></geometry></collision>'
    links = f'<link name="base">{box.format(0)}</link><link name="arm">{box.format(0.2)}</link>'
    (tmp_path / "arm.urdf").write_text(f'<robot name="arm">{links}{joint.format("arm", limit)}</robot>')
    command = "robot", "fit", tmp_path / "arm.urdf", "--out", tmp_path / "arm.yaml"
    assert run(*command) == 0
    shown = capsys.readouterr().err
    assert "0% convex pieces of base" in shown
    assert "% spheres of arm" in shown
    made = (tmp_path / "arm.yaml").read_text()
    assert run(*command) == 0
    assert "convex pieces" not in capsys.readouterr().err
    assert run(*command, "--refit") == 0
    assert "convex pieces" in capsys.readouterr().err
    assert (tmp_path / "arm.yaml").read_text() == made


def test_robot_fit_checks_its_output_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("robot", "fit", tmp_path / "arm.urdf", "--out", tmp_path / "no" / "arm.yaml") == 2
    assert "does not exist" in capsys.readouterr().err
    assert run("robot", "fit", tmp_path / "arm.urdf", "--out", tmp_path / "arm.yaml", "--package", "x") == 2
    assert "NAME=FOLDER" in capsys.readouterr().err


def test_learning_commands_refuse_what_they_do_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "--out", tmp_path / "data", "--families", "tabeltop") == 2
    assert "Did you mean 'tabletop'" in capsys.readouterr().err
    assert run("train", "--data", tmp_path / "none", "--out", tmp_path / "run", "--max-steps", 1) == 2
    assert "no such folder" in capsys.readouterr().err
    there = ("train", "--data", tmp_path, "--out", tmp_path / "run")
    for options, says in (
        ((), "--max-steps or --max-seconds"),
        (("--max-steps", 1, "--arch", "mpl"), "unknown prior architecture 'mpl'; valid: mlp, scene, unet"),
        (("--max-steps", 1, "--robot", "pandaa"), "unknown robot 'pandaa'"),
    ):
        assert run(*there, *options) == 2
        assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_prior_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prior", "info") == 0
    assert "bundled priors:" in capsys.readouterr().out
    assert run("prior", "info", "nosuch") == 2
    (tmp_path / "w.safetensors").write_bytes(b"\x80\x04evil")
    assert run("prior", "info", tmp_path / "w.safetensors") == 2
    assert "w.safetensors" in capsys.readouterr().err.splitlines()[-1]


def test_a_warning_of_ours_is_one_line_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def warn(*_: Any, **__: Any) -> None:
        warnings.warn("table.urdf: joint lift stands at 0 m", edmp.EdmpWarning, stacklevel=1)
        raise edmp.FileFormatError("enough")

    monkeypatch.setattr("edmp.robots.fit.fit_description", warn)
    assert run("robot", "fit", "table.urdf", "--out", "table.yaml") == 2
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "warning: table.urdf: joint lift stands at 0 m",
        "error: enough",
    ]
