"""The gate: what is a regression, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import run
from report_cases import line, read, write

from edmp.bench import find_problems, read_records
from edmp.bench.compare import BASELINE_KEYS, CompareSettings, compare, describe, write_baseline
from edmp.errors import InvalidInputError, UnknownNameError

STRICT = CompareSettings()


def lines(count: int = 10, failed: tuple[int, ...] = (), lengths: Any = 4.0, **changes: Any) -> list[dict]:
    lengths = np.broadcast_to(lengths, count)
    return [
        line("edmp", i, solved=False, **changes)
        if i in failed
        else line("edmp", i, length_rad=float(lengths[i - 1]), **changes)
        for i in range(1, count + 1)
    ]


def regressions(folder: Path, old: list[dict], new: list[dict], settings: CompareSettings = STRICT) -> tuple[str, ...]:
    (comparison,) = compare(read(folder, *old), read(folder, *new), settings)
    assert any("REGRESSION" in text for text in describe(comparison, settings)) == bool(comparison.regressions)
    return comparison.regressions


def test_the_same_is_no_regression_however_slow(tmp_path: Path) -> None:
    assert regressions(tmp_path, lines(), lines(time_s=1000.0)) == ()


def test_one_newly_failed_problem_fails_even_if_two_are_newly_solved(tmp_path: Path) -> None:
    assert regressions(tmp_path, lines(), lines(failed=(3,))) == ("1 newly failed, none allowed",)
    assert regressions(tmp_path, lines(failed=(1, 2)), lines(failed=(3,))) == ("1 newly failed, none allowed",)
    assert regressions(tmp_path, lines(failed=(3,)), lines()) == ()


def test_with_a_tolerance_the_net_loss_counts(tmp_path: Path) -> None:
    loose = CompareSettings(success_tolerance=0.1)
    assert regressions(tmp_path, lines(), lines(failed=(3,)), loose) == ()
    assert regressions(tmp_path, lines(), lines(failed=(3, 4)), loose) == ("success dropped by 20.0 %, more than 10 %",)
    assert regressions(tmp_path, lines(failed=(1, 2)), lines(failed=(3, 4, 5)), loose) == ()
    # 5 of 100 lost and none won: less than the tolerance, but p = 2^-5
    (found,) = regressions(tmp_path, lines(100), lines(100, failed=(1, 2, 3, 4, 5)), loose)
    assert found == "the drop in success is significant (p = 0.031 < 0.05)"
    no_test = CompareSettings(success_tolerance=0.1, alpha=0.0)
    assert regressions(tmp_path, lines(100), lines(100, failed=(1, 2, 3, 4, 5)), no_test) == ()


def test_longer_paths(tmp_path: Path) -> None:
    one = np.full(10, 4.0)
    one[4] *= 1.15  # 1.4 % in the mean, and one path of ten is no proof
    assert regressions(tmp_path, lines(), lines(lengths=one)) == ()
    one[5] *= 1.15
    assert regressions(tmp_path, lines(), lines(lengths=one)) == ("paths are 2.8 % longer, more than 2 %",)
    assert regressions(tmp_path, lines(lengths=one), lines()) == ()
    assert regressions(tmp_path, lines(), lines(lengths=4.0 * 1.004)) == ()  # noise, though all grow
    (found,) = regressions(tmp_path, lines(), lines(lengths=4.0 * 1.008))
    assert found.startswith("the growth in length is significant")


def test_a_false_claim_where_none_was(tmp_path: Path) -> None:
    new = lines(failed=(3,))
    new[2] |= {"refuted": "panda_hand touches board", "status": "REFUTED", "claimed": True}
    assert regressions(tmp_path, lines(failed=(3,)), new) == ("1 claims newly refuted by the judge",)


def test_missing_problems(tmp_path: Path) -> None:
    assert regressions(tmp_path, lines(), lines(8)) == ("2 of 10 problems are missing from the new results",)
    assert regressions(tmp_path, lines(), lines(8), CompareSettings(common=True)) == ()
    assert regressions(tmp_path, lines(8), lines()) == ()


def test_what_is_no_comparison(tmp_path: Path) -> None:
    old = read(tmp_path, *lines())
    with pytest.raises(InvalidInputError, match="seed 0 in the old results, 1 in the new ones"):
        compare(old, read(tmp_path, *lines(seed=1)))
    with pytest.raises(InvalidInputError, match="robot panda in the old results, ur5 in the new ones"):
        compare(old, read(tmp_path, *lines(robot="ur5")))
    with pytest.raises(InvalidInputError, match=r"the old results have edmp, the new ones chomp"):
        compare(old, read(tmp_path, line("chomp", 1)))
    with pytest.raises(InvalidInputError, match="edmp is there twice for problem shelf/1"):
        compare(old, read(tmp_path, *lines(), line("edmp", 1)))
    with pytest.raises(UnknownNameError, match="valid: edmp"):
        compare(old, old, planner="edpm")
    with pytest.raises(InvalidInputError, match="alpha must be in"):
        CompareSettings(alpha=2.0)


def test_a_baseline_is_small_and_enough(tmp_path: Path) -> None:
    records = read(tmp_path, *lines(failed=(2,), path=[[0.0] * 7] * 100))
    baseline = tmp_path / "baseline.jsonl"
    write_baseline(records[::-1], baseline)
    assert len(baseline.read_text()) < 250 * len(records)
    kept = read_records(baseline)
    assert [record.index for record in kept] == list(range(1, 11))
    assert [{key: getattr(record, key) for key in BASELINE_KEYS} for record in kept] == [
        {key: getattr(record, key) for key in BASELINE_KEYS} for record in records
    ]
    (comparison,) = compare(kept, records)
    assert comparison.regressions == ()


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = write(tmp_path / "old.jsonl", *lines(), run=True), write(tmp_path / "new.jsonl", *lines(failed=(7,)))
    assert run("bench", "baseline", old, "--out", tmp_path / "kept.jsonl") == 0
    assert run("bench", "compare", tmp_path / "kept.jsonl", old) == 0
    capsys.readouterr()
    assert run("bench", "compare", tmp_path / "kept.jsonl", new) == 1
    text = capsys.readouterr().out
    assert "edmp: REGRESSION" in text
    assert "newly failed: shelf/7: NO_PATH_FOUND: stuck" in text
    assert run("bench", "compare", old, new, "--success-tolerance", 0.1) == 0
    assert "time: new / old 1.00" in capsys.readouterr().out
    assert run("bench", "compare", old, new, "--planner", "nobody") == 2
    assert run("bench", "compare", old, tmp_path / "none.jsonl") == 2


def test_the_committed_baselines_are_of_the_committed_problems() -> None:
    folder = Path(__file__).parents[2] / "benchmarks"
    kept = {(record.set, record.index) for record in read_records(folder / "baseline.jsonl")}
    assert kept == {(entry.set, entry.index) for entry in find_problems(folder / "problems")}
    for record in read_records(folder / "baseline.jsonl"):
        assert record.solved
