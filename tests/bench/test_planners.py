"""Specs of planners: what can be written, what comes of it, and every planner of the table at work."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bench_cases import SCRIPTED, Scripted

from edmp.baselines.edmp_paper.unet import UnetConfig, UnetNetwork
from edmp.baselines.mpinets.network import MpinetsConfig, MpinetsNetwork
from edmp.baselines.mpinets.weights import card_of
from edmp.bench import PLANNERS, find_problems, make_planner, parse_spec, parse_specs
from edmp.bench.examine import goals_of, reaches
from edmp.bench.planners import EdmpPlanner, row
from edmp.bench.records import ERROR, REFUTED
from edmp.bench.worker import Job, Solver
from edmp.constraints import JointRange
from edmp.errors import InvalidInputError, MissingDependencyError, UnknownNameError
from edmp.learning.card import Card, save_network
from edmp.planner import PlannerSettings
from edmp.problem import load_example, save_problem
from edmp.result import Status
from edmp.robots import load_robot
from edmp.validate import Judge


def test_values_are_what_the_settings_are() -> None:
    spec = parse_spec(" edmp:fallback=false:time_budget=2:num_seeds=16:guidance.max_move=0.05:prior=process ")
    assert spec.text == "edmp:fallback=false:time_budget=2:num_seeds=16:guidance.max_move=0.05:prior=process"
    assert spec.name == "edmp"
    assert spec.options == {
        "fallback": False,
        "time_budget": 2,
        "num_seeds": 16,
        "guidance.max_move": 0.05,
        "prior": "process",
    }
    assert parse_spec(f"{SCRIPTED}:log=7").options == {"log": "7"}  # a name may look like a number


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("edmp:fallback=0", "fallback must be true or false, got '0'"),
        ("edmp:num_seeds=1.5", "num_seeds must be a whole number, got '1.5'"),
        ("edmp:num_seeds=true", "num_seeds must be a whole number, got 'true'"),
        ("edmp:time_budget=soon", "time_budget must be a number, got 'soon'"),
        ("edmp:num_seeds", "expected name:key=value:key=value, found 'num_seeds'"),
        ("edmp:", "expected name:key=value:key=value, found ''"),
        ("edmp:num_seeds=1:num_seeds=2", "num_seeds is given twice"),
        ("edmp:repair_clearances=0.1", "unknown setting of planner edmp 'repair_clearances'"),
        ("edmp1:guide=2", "unknown setting of planner edmp1 'guide'"),
        ("edmq", "unknown planner 'edmq'; valid: .*Did you mean 'edmp'"),
        ("edmp.planner.nothing", "edmp.planner has no class nothing with plan"),
        ("no_such_package.Mine", "there is no module 'no_such_package'"),
    ],
)
def test_what_is_no_spec(text: str, says: str) -> None:
    with pytest.raises((InvalidInputError, UnknownNameError), match=says):
        parse_spec(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("edmp:prior=none:prior_share=0.5", "prior=none means prior_share=0, not 0.5"),
        ("edmp:guidance.steps=-1", "steps must be at least 0"),
        ("edmp:prior_share=2", "prior_share must be in"),
        ("chomp:derivative=4", "derivative must be in"),
        ("mpinets:weights=/no/such.ckpt", "there is no file /no/such.ckpt"),
    ],
)
def test_settings_that_make_no_sense(text: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        make_planner(text)


def test_shorthands_are_for_those_that_have_the_setting() -> None:
    specs = parse_specs(
        ["edmp", "chomp:time_budget=5", "chomp", "edmp"],
        {"time_budget": 2.0, "fallback": False, "prior": None, "num_seeds": None},
    )
    assert [spec.text for spec in specs] == [
        "edmp:time_budget=2.0:fallback=false",
        "chomp:time_budget=5",
        "chomp:time_budget=2.0",
    ]
    with pytest.raises(InvalidInputError, match="prior: none of the planners chomp has this setting"):
        parse_specs(["chomp"], {"prior": "process"})
    with pytest.raises(InvalidInputError, match="name at least one"):
        parse_specs([], {})


def test_a_class_needs_no_row() -> None:
    planner = make_planner(f"{SCRIPTED}:pause=1")
    assert isinstance(planner, Scripted)
    assert planner.settings.pause == 1


@pytest.mark.parametrize(
    ("text", "prior", "wanted"),
    [
        ("edmp", "mlp", PlannerSettings()),
        ("edmp:prior=process:sampler_steps=4", "process", PlannerSettings(sampler_steps=4)),
        ("edmp:prior=none:repair_iterations=0", "process", PlannerSettings(prior_share=0.0, repair_iterations=0)),
    ],
)
def test_what_edmp_is_made_of(text: str, prior: str, wanted: PlannerSettings) -> None:
    planner = make_planner(text)
    assert isinstance(planner, EdmpPlanner)
    robot = load_example("bookshelf").robot
    made = planner.planner_for(robot)
    assert made is planner.planner_for(robot)
    assert made.prior.name == prior
    assert made.settings == wanted


# --- every planner ---------------------------------------------------------------------------------------------------

EXAMPLES = ("table", "bin", "bookshelf")


def small_unet(folder: Path) -> str:
    """Settings of EDMP as published with a small network that was never trained."""
    config = UnetConfig(widths=(16, 32), num_timesteps=12, num_waypoints=20)
    limits = load_robot("panda").limits
    card = Card("unet", dataclasses.asdict(config), "panda", 7, tuple(limits.lower), tuple(limits.upper))
    save_network(folder / "unet.safetensors", UnetNetwork(config, 7), card)
    return f":seeds_per_guide=2:prior={folder}/unet.safetensors"


def small_policy(folder: Path) -> str:
    """Settings of Motion Policy Networks with a small policy that was never trained."""
    config = MpinetsConfig(num_obstacle_points=256, num_robot_points=256, fc_widths=(64, 32, 32), neighbors_1=8)
    robot = load_robot("panda")
    network = MpinetsNetwork(config, robot.limits.lower.tolist(), robot.limits.upper.tolist())
    save_network(folder / "policy.safetensors", network, card_of(config, robot, seed=0, command=""))
    return f":max_steps=5:weights={folder}/policy.safetensors"


SMALL: dict[str, Callable[[Path], str]] = {"edmp12": small_unet, "edmp1": small_unet, "mpinets": small_policy}
"""Settings that keep a planner short, or stand for weights that do not ship; a time budget is added if there is one."""


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    for name in EXAMPLES:
        (folder / name).mkdir()
        save_problem(folder / name / "scene0001.yaml", load_example(name))
    return folder


@pytest.fixture(scope="module")
def constrained_examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with a joint that stays in a range: planners on constraint manifolds need something to keep to."""
    folder = tmp_path_factory.mktemp("constrained")
    for name in EXAMPLES:
        (folder / name).mkdir()
        ranged = dataclasses.replace(load_example(name), constraints=(JointRange("panda_joint1", -2.7, 2.7),))
        save_problem(folder / name / "scene0001.yaml", ranged)
    return folder


@pytest.mark.parametrize("name", PLANNERS)
def test_every_planner_answers_and_what_it_is_believed_holds(
    name: str, examples: Path, constrained_examples: Path, tmp_path: Path
) -> None:
    """On three problems: no exception, every claim either proved by the judge or refuted with a reason."""
    try:
        budget = ":time_budget=1" if "time_budget" in row(name).defaults() else ""
        spec = parse_spec(f"{name}{budget}{SMALL[name](tmp_path) if name in SMALL else ''}")
        make_planner(spec)
    except MissingDependencyError as missing:
        pytest.skip(str(missing))
    solver = Solver(Job(spec, "panda", "panda", 0, 60.0, 60.0, True), time.monotonic())
    for entry in find_problems(constrained_examples if name.startswith("projected_") else examples):
        record = solver.solve(entry)
        assert record.status != ERROR, record.message
        assert record.time_s > 0
        if not record.claimed:
            assert record.status in {status.value for status in Status} - {"SOLVED"}
            assert record.message
            continue
        problem = entry.load("panda")
        judge = Judge(problem.robot, problem.scene, constraints=problem.constraints)
        verdict = judge.check_path(record.path, start=problem.start)
        arrived = any(reaches(problem.robot, np.array(record.path[-1]), goal) for goal in goals_of(problem))
        assert record.solved == (verdict.valid and arrived)
        assert record.status == ("SOLVED" if record.solved else REFUTED)
        if record.solved:
            assert record.duration_s > 0
            assert record.min_clearance_m > 0
            assert record.sparc < 0
            assert record.coarse_solved
