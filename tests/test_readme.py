"""What the README promises runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edmp.problem import load_example
from edmp.scenes.moveit_request import MoveItRequest
from edmp.scenes.moveit_write import save_moveit_request, save_moveit_scene

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = load_example("bookshelf")
    robot = problem.robot
    save_moveit_scene(tmp_path / "scene0001.yaml", problem.scene)
    start, goal = (dict(zip(robot.joint_names, q, strict=True)) for q in (problem.start, problem.goal))
    save_moveit_request(tmp_path / "request0001.yaml", MoveItRequest(start, (goal,)))
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    assert len(code.strip().splitlines()) <= 20
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["result"].solved
    assert (tmp_path / "plan.png").stat().st_size > 20_000


def test_the_checks_use_the_test_command_of_the_readme() -> None:
    (command,) = [block.strip() for block in blocks("bash") if "pytest" in block]
    checks = (ROOT / ".ci" / "run").read_text().replace(".venv-ci", ".venv").replace("--quiet ", "")
    for step in command.split(" && "):
        assert step in checks


def test_links_lead_somewhere() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/experiments.md"):
        text = (ROOT / page).read_text()
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if not target.startswith("http"):
                assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_every_command_in_the_readme_exists() -> None:
    from typer.main import get_command

    from edmp.cli import app

    root = get_command(app)
    for line in "\n".join(blocks("bash")).splitlines():
        match = re.match(r"(?:.*/)?edmp (.*)", line.split(" && ")[-1].split("#")[0])
        if not match:
            continue
        command, words = root, match[1].split()
        while words and getattr(command, "commands", None):
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
        assert {word for word in words if word.startswith("--")} <= known, line
