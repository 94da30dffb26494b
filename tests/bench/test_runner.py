"""Runs: lines as they come, crashes, time-outs, going on, and the same results however many processes there are."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bench_cases import SCRIPTED, bench, without_times, write_free_problems

import edmp
from edmp.bench import Record, RunSettings, find_problems, parse_specs, read_records, read_runs, sight
from edmp.bench import run as run_problems
from edmp.bench.worker import cause_of_death

ALL = [("shelf", 1), ("shelf", 2), ("shelf", 3), ("table", 1), ("table", 2)]


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_free_problems(tmp_path / "problems", {"shelf": 3, "table": 2})


def planned(log: Path) -> list[tuple[str, int]]:
    """Problem and seed of every plan in a log of `Scripted`."""
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(name, int(seed)) for _, name, seed, _ in lines]


def gone(pid: int, patience: float = 10.0) -> bool:
    """Does the process end, within ``patience`` [s]?"""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_one_line_a_problem_with_all_that_is_promised(
    problems: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (problems / "best_known_lengths.json").write_text(json.dumps({"sets": {"shelf": {"2": 2.0}}}))
    out, log = tmp_path / "results.jsonl", tmp_path / "log"
    spec = f"{SCRIPTED}:log={log}:invalid=shelf/2:fail=table/2:miss=shelf/3:nothing=table/1"
    assert bench(problems, out, "--seed", 3, planners=spec) == 0
    first, *lines = [json.loads(line) for line in out.read_text().splitlines()]
    records = [Record(**line) for line in lines]
    assert [(r.set, r.index) for r in records] == ALL
    assert planned(log) == [(f"{name}/{k}", 3) for name, k in [ALL[0], *ALL]]  # one warm-up
    promised = {
        "set", "index", "planner", "robot", "gripper_width", "seed", "options", "version", "claimed", "solved",
        "refuted", "status", "message", "stage", "time_s", "timings", "judge_s", "ready_s", "first_s", "path", "times",
        "length_rad", "duration_s", "min_clearance_m", "sparc", "rms_jerk", "max_jerk", "breaches", "sight",
        "unseen_share", "untrue", "solvable", "coarse_solved",
        "num_alternatives", "num_obstacles", "num_constraints", "best_known_rad", "peak_rss_mb",
    }  # fmt: skip
    assert all(set(line) == promised for line in lines)
    solved, invalid, missed, nothing, broken = records

    assert (solved.planner, solved.robot, solved.seed, solved.stage) == (spec, "panda", 3, "repair")
    assert solved.options["miss"] == "shelf/3"
    assert solved.claimed
    assert solved.solved
    assert solved.coarse_solved
    assert np.array(solved.path).shape == (3, 7)
    assert solved.duration_s == solved.times[-1] > 0
    assert solved.sparc < -1
    assert solved.max_jerk > 0
    assert solved.ready_s > solved.time_s + solved.judge_s > solved.time_s
    assert broken.ready_s is None
    assert solved.peak_rss_mb > 20
    assert solved.min_clearance_m is None  # no obstacles
    assert (solved.num_obstacles, solved.num_alternatives) == (0, 1)

    assert (invalid.status, invalid.claimed, invalid.path) == ("GOAL_OUT_OF_LIMITS", False, None)
    assert invalid.best_known_rad == 2.0
    assert (missed.status, missed.claimed, missed.solved) == ("REFUTED", True, False)
    assert missed.refuted == missed.message == "the path does not end at a goal"
    assert missed.coarse_solved  # 3 mrad are less than 1 cm
    assert missed.times is None
    assert nothing.status == "REFUTED"
    assert "shape (0,)" in nothing.refuted
    assert (broken.status, broken.claimed) == ("ERROR", False)
    assert broken.message == "ValueError: broken planner"

    assert set(first) == {"run"}
    (described,) = read_runs(out)
    assert described.to_line() == first
    assert set(first["run"]) == {
        "command", "date", "machine", "cpu", "cores", "workers", "versions", "robot", "seed", "timeout", "options",
    }  # fmt: skip
    assert described.options[spec]["pause"] == 0.0
    assert {"python", "edmp", "torch"} <= set(described.versions)
    assert read_records(out) == records

    captured = capfd.readouterr()
    assert "first plan, imports and kernels included" in " ".join(captured.err.split())
    assert "a planner talks" in captured.err
    assert "a planner talks" not in captured.out
    assert "shelf/2: GOAL_OUT_OF_LIMITS" in captured.out


# --- crashes, time-outs, several processes ---------------------------------------------------------------------------

MISHAPS = f"{SCRIPTED}:hang=a/2:segfault=a/4"


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_free_problems(tmp_path_factory.mktemp("problems"), {"a": 4})


def mishaps(four: Path, out: Path, settings: RunSettings) -> list[Record]:
    records = run_problems(find_problems(four), parse_specs([MISHAPS], {}), out, settings)
    assert not multiprocessing.active_children()
    assert records == read_records(out)
    return sorted(records, key=lambda record: record.key)


@pytest.fixture(scope="module")
def by_one(four: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return mishaps(four, tmp_path_factory.mktemp("by_one") / "r.jsonl", RunSettings(timeout=1.0))


def test_crashes_and_hangs_cost_one_problem_each(by_one: list[Record]) -> None:
    first, hung, third, crashed = by_one
    assert first.solved
    assert third.solved
    assert (hung.status, crashed.status) == ("HUNG", "CRASHED")
    assert hung.message == "no answer after 1 s of planning; the process was killed"
    assert 1.0 <= hung.time_s < 5.0
    assert hung.peak_rss_mb > 20
    assert crashed.message == "the process was killed by SIGSEGV while planning"


def test_two_processes_find_the_same_as_one(four: Path, by_one: list[Record], tmp_path: Path) -> None:
    by_two = mishaps(four, tmp_path / "r.jsonl", RunSettings(timeout=1.0, workers=2))
    assert list(map(without_times, by_two)) == list(map(without_times, by_one))
    assert read_runs(tmp_path / "r.jsonl")[0].workers == 2


def test_processes_side_by_side_keep_to_one_thread(four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDMP_NUM_THREADS", "3")
    log = tmp_path / "log"
    specs = parse_specs([f"{SCRIPTED}:log={log}"], {})
    for workers, threads in ((2, "1"), (1, "3")):
        run_problems(find_problems(four)[:1], specs, tmp_path / f"{workers}.jsonl", RunSettings(workers=workers))
        assert {line.split()[-1] for line in log.read_text().splitlines()} == {threads}
        log.unlink()


def test_over_ray_it_is_the_same(
    four: Path, by_one: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install edmp[ray]")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    over_ray = mishaps(four, tmp_path / "r.jsonl", RunSettings(timeout=1.0, workers=2, ray=True))
    assert list(map(without_times, over_ray)) == list(map(without_times, by_one))
    assert read_runs(tmp_path / "r.jsonl")[0].workers == 2


def test_without_ray_it_says_what_to_install(
    problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    out = tmp_path / "results.jsonl"
    assert bench(problems, out, "--ray") == 2
    assert "pip install edmp[ray]" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (None, "closed its connection"),
        (3, "exited with code 3"),
        (-11, "was killed by SIGSEGV"),
        (-9, "was killed by SIGKILL (out of memory?)"),
    ],
)
def test_the_cause_of_a_death_is_named(code: int | None, says: str) -> None:
    assert cause_of_death(code) == says


# --- stopping and going on -------------------------------------------------------------------------------------------


def test_ctrl_c_keeps_the_lines_and_resume_goes_on(
    problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, log = tmp_path / "results.jsonl", tmp_path / "log"
    specs = parse_specs([f"{SCRIPTED}:log={log}"], {})

    def stop(record: dict) -> None:
        if record.index == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_problems(find_problems(problems), specs, out, on_record=stop)
    assert not multiprocessing.active_children()
    assert [r.index for r in read_records(out)] == [1, 2]
    with out.open("a") as file:
        file.write('{"set": "shelf", "index": 3, "plan')  # a line cut off by a crash

    again = {"planners": specs[0].text}
    before = out.read_bytes()
    for options, says in (
        ((), "go on with --resume or overwrite it with --force"),
        (("--resume", "--seed", 9), "made with seed 0, now 9"),
        (("--resume", "--robot", "ur5"), "made with robot panda, now ur5"),
        (("--resume", "--force"), "choose one"),
    ):
        assert bench(problems, out, *options, **again) == 2
        assert says in capsys.readouterr().err
    assert out.read_bytes() == before

    log.unlink()
    assert bench(problems, out, "--resume", **again) == 0
    assert [name for name, _ in planned(log)] == ["shelf/3", "shelf/3", "table/1", "table/2"]  # warm-up first
    assert [(r.set, r.index) for r in read_records(out)] == ALL
    assert len(read_runs(out)) == 2
    log.unlink()
    assert bench(problems, out, "--resume", **again) == 0  # nothing to do
    assert not log.exists()
    assert len(read_runs(out)) == 2
    assert bench(problems, out, "--force", "--limit", 1, **again) == 0
    assert len(read_records(out)) == 1


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_behind(problems: Path, tmp_path: Path, by: signal.Signals) -> None:
    """Neither by Ctrl-C nor when the command itself is killed, although the planner is in the middle of something."""
    out, log = tmp_path / "results.jsonl", tmp_path / "log"
    command = [sys.executable, "-m", "edmp", "bench", "run", "--problems", problems, "--out", out, "--planners"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [*command, f"{SCRIPTED}:log={log}:hang=shelf/2"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not (log.exists() and "shelf/2" in log.read_text()):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, by)  # as a terminal does
        assert process.wait(20) == (130 if by == signal.SIGINT else -signal.SIGKILL)
    assert [r.index for r in read_records(out)] == [1]
    for pid in {int(line.split()[0]) for line in log.read_text().splitlines()}:
        assert gone(pid)


# --- misuse ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--planners", "ompl"), "unknown planner 'ompl'; valid: aorrtc, bitstar, "),
        (("--planners", "edmpp"), "Did you mean 'edmp'?"),
        (("--planners", ","), "name at least one"),
        (("--planners", "edmp:num_seed=3"), "unknown setting of planner edmp 'num_seed'; valid: "),
        (("--planners", "chomp:time_budget=-1"), "time_budget must be positive"),
        (("--planners", "chomp", "--num-seeds", 3), "num_seeds: none of the planners chomp has this setting"),
        (("--planners", "nowhere.Mine"), "there is no module 'nowhere'"),
        (("--planners", "bench_cases.Nobody"), "bench_cases has no class Nobody with plan(problem, seed)"),
        (("--robot", "pandaa"), "unknown robot 'pandaa'"),
        (("--ensemble", "edmp13"), "unknown ensemble 'edmp13'; valid: default, edmp12"),
        (("--prior", "nosuch"), "unknown prior 'nosuch'"),
        (("--prior", "nosuch.safetensors"), "no such file"),
        (("--num-seeds", 0), "num_seeds must be in [1, 100000]"),
        (("--time-budget", -1), "time_budget must be positive"),
        (("--timeout", 0), "timeout must be positive"),
        (("--sets", "shelv"), "unknown problem set 'shelv'; valid: shelf, table. Did you mean 'shelf'?"),
        (("--numbers", "1-x"), "neither a number nor a range"),
        (("--numbers", "7-3"), "runs backwards"),
        (("--numbers", "99"), "leaves none"),
        (("--out", "/proc/x.jsonl"), "cannot write"),
        (("--problems", "/nowhere"), "no such folder"),
    ],
)
def test_misuse_ends_the_run_before_its_first_line(
    problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], says: str
) -> None:
    out = tmp_path / "results.jsonl"
    assert bench(problems, out, *options, planners="edmp") == 2
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_problems_seen_as_clouds_and_cells(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each planner once a sight, under names of their own; what it is given are points, or cells."""
    folder = write_free_problems(tmp_path / "problems", {"shelf": 1})
    file = folder / "shelf" / "scene0001.yaml"
    far = edmp.Scene.of({"far": (edmp.Box((0.1, 0.1, 0.02)), (0, 3, 0))})
    edmp.save_problem(file, dataclasses.replace(edmp.load_problem(file), scene=far))
    out = tmp_path / "results.jsonl"
    assert bench(folder, out, "--as", "shapes,clouds,voxels", planners=SCRIPTED) == 0
    records = read_records(out)
    assert [(r.planner, r.sight) for r in records] == [
        (SCRIPTED, "shapes"), (f"{SCRIPTED} as clouds", "clouds"), (f"{SCRIPTED} as voxels", "voxels")
    ]  # fmt: skip
    assert all(r.solved and r.untrue is None and r.num_obstacles == 1 for r in records)
    assert "times as long" in capfd.readouterr().out
    assert bench(folder, out, "--as", "clouds,voxels", "--resume", planners=SCRIPTED) == 0
    assert read_records(out) == records
    seen = {how: sight.seen(edmp.load_problem(file), how).scene["far"].shape for how in ("shapes", "clouds", "voxels")}
    assert [type(shape).__name__ for shape in seen.values()] == ["Box", "PointCloud", "Voxels"]
    assert bench(folder, out, "--as", "ghosts", "--force", planners=SCRIPTED) == 2
    assert "ghosts" in capfd.readouterr().err
