"""Problems as cameras see them: what they do not see is said, and the arm may be where it starts."""

from __future__ import annotations

from pathlib import Path

from bench_cases import SCRIPTED, bench, write_free_problems

import edmp
from edmp.bench import read_records, sight


def test_a_problem_seen_by_cameras() -> None:
    problem = edmp.load_example("bookshelf")
    seen = sight.seen(problem, "cameras")
    assert seen.scene.names == ("map",)
    assert seen.scene.unseen is not None
    assert seen.scene.unseen.policy == "occupied"
    assert 0.05 < seen.scene.unseen.share < 0.6
    assert edmp.Judge(seen.robot, seen.scene).check(seen.start).valid


def test_records_say_how_much_of_the_space_nobody_saw(tmp_path: Path) -> None:
    folder, out = write_free_problems(tmp_path / "problems", {"shelf": 1}), tmp_path / "results.jsonl"
    assert bench(folder, out, "--as", "shapes,cameras-free", planners=SCRIPTED) == 0
    plain, seen = read_records(out)
    assert plain.unseen_share is None
    assert seen.unseen_share is not None
    assert 0.0 < seen.unseen_share < 0.5
